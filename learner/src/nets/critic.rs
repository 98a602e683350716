//! The critic's network: a state stream and an action stream, fused late.
//!
//! ```text
//! state  -> Lin 128 ReLU LN -> Lin 64 ReLU LN -> Lin 32 CReLU LN -> Lin 64 --+
//!                                                                            + -> ReLU -> Lin 64 ReLU = phi -> q, h
//! action -> Lin 32 ReLU ----------------------> Lin 32 CReLU -----> Lin 64 --+
//! ```
//! The layer after the fusion is split in two, one half for each stream. So everything that depends on the state alone
//! (the first line) is computed once per state, however many actions are judged there.

use std::ops::Range;

use policy::kernels::Kernel;

use super::Real;
use super::activation::{crelu_backward, layer_norm, layer_norm_backward, relu_backward, sum_repeats};
use super::gemm::{Finish, Panels};
use super::linear::{Head, Layout, Linear};
use crate::random::Stream;

const STATE_1: usize = 128;
const STATE_2: usize = 64;
const STATE_3: usize = 32;
const ACTION_1: usize = 32;
const ACTION_2: usize = 32;
/// Width of the layers after the fusion.
const JOINT: usize = 64;
/// Variance scaling of the two heads at the start.
const HEAD_SCALE: f64 = 1e-4;

/// Shapes and places of a critic's layers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Critic {
    /// What its layers and its optimiser run on.
    pub(crate) kernel: Kernel,
    state_1: Linear,
    state_2: Linear,
    state_3: Linear,
    action_1: Linear,
    action_2: Linear,
    joint_state: Linear,
    joint_action: Linear,
    joint_2: Linear,
    q: Head,
    h: Head,
    len: usize,
}

/// What the state stream computes for up to a number of rows, and the gradients on the way back.
#[derive(Debug, Clone)]
pub(crate) struct StatePass<T> {
    panels: Panels<T>,
    relu_1: Vec<T>,
    norm_1: Vec<T>,
    deviation_1: Vec<T>,
    relu_2: Vec<T>,
    norm_2: Vec<T>,
    deviation_2: Vec<T>,
    relu_3: Vec<T>,
    norm_3: Vec<T>,
    deviation_3: Vec<T>,
    /// The state's half of the fused layer, bias included.
    fused: Vec<T>,
    d_fused: Vec<T>,
    d_1: Vec<T>,
    d_2: Vec<T>,
    d_3: Vec<T>,
    d_linear: Vec<T>,
}

impl<T: Real> StatePass<T> {
    pub(crate) fn new(rows: usize) -> Self {
        let zeros = |width: usize| vec![T::zero(); rows * width];
        Self {
            panels: Panels::default(),
            relu_1: zeros(STATE_1),
            norm_1: zeros(STATE_1),
            deviation_1: zeros(1),
            relu_2: zeros(STATE_2),
            norm_2: zeros(STATE_2),
            deviation_2: zeros(1),
            relu_3: zeros(2 * STATE_3),
            norm_3: zeros(2 * STATE_3),
            deviation_3: zeros(1),
            fused: zeros(JOINT),
            d_fused: zeros(JOINT),
            d_1: zeros(STATE_1),
            d_2: zeros(STATE_2),
            d_3: zeros(2 * STATE_3),
            d_linear: zeros(STATE_3),
        }
    }
}

impl<T> StatePass<T> {
    /// The units of a forward pass over `rows` states that may be off: widths, and activations row by row. Of a unit that is
    /// concatenated with its negative one half is always on.
    pub(crate) fn units(&self, rows: usize) -> [(usize, &[T]); 2] {
        [(STATE_1, &self.relu_1[..rows * STATE_1]), (STATE_2, &self.relu_2[..rows * STATE_2])]
    }
}

/// What the action stream and the fused layers compute for up to a number of actions, and the gradients back.
#[derive(Debug, Clone)]
pub(crate) struct ActionPass<T> {
    rows: usize,
    panels: Panels<T>,
    relu_1: Vec<T>,
    crelu_2: Vec<T>,
    phi_1: Vec<T>,
    /// The features of the heads.
    phi: Vec<T>,
    d_phi: Vec<T>,
    d_joint: Vec<T>,
    d_crelu: Vec<T>,
    d_linear: Vec<T>,
    d_relu: Vec<T>,
}

impl<T: Real> ActionPass<T> {
    pub(crate) fn new(rows: usize) -> Self {
        let zeros = |width: usize| vec![T::zero(); rows * width];
        Self {
            rows,
            panels: Panels::default(),
            relu_1: zeros(ACTION_1),
            crelu_2: zeros(2 * ACTION_2),
            phi_1: zeros(JOINT),
            phi: zeros(JOINT),
            d_phi: zeros(JOINT),
            d_joint: zeros(JOINT),
            d_crelu: zeros(2 * ACTION_2),
            d_linear: zeros(ACTION_2),
            d_relu: zeros(ACTION_1),
        }
    }

    /// The units of a forward pass over `rows` actions that may be off, as [`StatePass::units`] has them.
    pub(crate) fn units(&self, rows: usize) -> [(usize, &[T]); 3] {
        [
            (ACTION_1, &self.relu_1[..rows * ACTION_1]),
            (JOINT, &self.phi_1[..rows * JOINT]),
            (JOINT, &self.phi[..rows * JOINT]),
        ]
    }

    /// The width of the features of the heads, and the features of `rows` actions row by row.
    pub(crate) fn features(&self, rows: usize) -> (usize, &[T]) {
        (JOINT, &self.phi[..rows * JOINT])
    }

    /// How many actions it has room for.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
}

impl Critic {
    pub(crate) fn new(state: usize, action: usize) -> Self {
        let mut layout = Layout::new();
        Self {
            kernel: layout.kernel(),
            state_1: layout.linear(state, STATE_1),
            state_2: layout.linear(STATE_1, STATE_2),
            state_3: layout.linear(STATE_2, STATE_3),
            action_1: layout.linear(action, ACTION_1),
            action_2: layout.linear(ACTION_1, ACTION_2),
            joint_state: layout.linear(2 * STATE_3, JOINT),
            joint_action: layout.linear_unbiased(2 * ACTION_2, JOINT),
            joint_2: layout.linear(JOINT, JOINT),
            q: layout.head(JOINT),
            h: layout.head(JOINT),
            len: layout.len(),
        }
    }

    /// The number of parameters.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Orthogonal layers; heads so small that every value begins near 0.
    pub(crate) fn init<T: Real>(&self, parameters: &mut [T], stream: &mut Stream) {
        let layers = [self.state_1, self.state_2, self.state_3, self.action_1, self.action_2, self.joint_2];
        for layer in layers {
            layer.init_orthogonal(parameters, stream);
        }
        // The halves of the fused layer are one layer: orthogonal as a whole.
        let mut whole = Layout::new();
        let fused = whole.linear(self.joint_state.inputs + self.joint_action.inputs, JOINT);
        let mut weights = vec![T::zero(); whole.len()];
        fused.init_orthogonal(&mut weights, stream);
        let (upper, lower) = weights.split_at(self.joint_state.inputs * JOINT);
        self.joint_state.set_weights(parameters, upper);
        self.joint_action.set_weights(parameters, &lower[..self.joint_action.inputs * JOINT]);

        let deviation = (HEAD_SCALE / JOINT as f64).sqrt();
        for head in [self.q, self.h] {
            for weight in &mut parameters[head.range()] {
                *weight = T::of(deviation * f64::from(stream.normal()));
            }
        }
    }

    /// The state stream for `rows` states, up to its half of the fused layer.
    pub(crate) fn forward_states<T: Real>(&self, parameters: &[T], states: &[T], rows: usize, pass: &mut StatePass<T>) {
        let (p, kernel) = (parameters, self.kernel);
        let StatePass { panels, relu_1, relu_2, relu_3, norm_1, norm_2, norm_3, .. } = pass;
        let relu = &mut relu_1[..rows * STATE_1];
        self.state_1.forward(p, states, rows, Finish::Relu(self.state_1.bias(p)), panels, relu);
        kernel.run(
            #[inline(always)]
            || layer_norm(relu, STATE_1, norm_1, &mut pass.deviation_1),
        );

        let relu = &mut relu_2[..rows * STATE_2];
        self.state_2.forward(p, norm_1, rows, Finish::Relu(self.state_2.bias(p)), panels, relu);
        kernel.run(
            #[inline(always)]
            || layer_norm(relu, STATE_2, norm_2, &mut pass.deviation_2),
        );

        let relu = &mut relu_3[..rows * 2 * STATE_3];
        self.state_3.forward(p, norm_2, rows, Finish::Crelu(self.state_3.bias(p)), panels, relu);
        kernel.run(
            #[inline(always)]
            || layer_norm(relu, 2 * STATE_3, norm_3, &mut pass.deviation_3),
        );

        self.joint_state.forward(p, norm_3, rows, Finish::Bias(self.joint_state.bias(p)), panels, &mut pass.fused);
    }

    /// Judges `repeat` actions at each of the states `from..from + states` of a forward state pass.
    pub(crate) fn forward_actions<T: Real>(
        &self,
        parameters: &[T],
        at: &StatePass<T>,
        states: Range<usize>,
        actions: &[T],
        repeat: usize,
        pass: &mut ActionPass<T>,
    ) {
        let p = parameters;
        let rows = states.len() * repeat;
        let ActionPass { panels, relu_1, crelu_2, phi_1, phi, .. } = pass;
        self.action_1.forward(p, actions, rows, Finish::Relu(self.action_1.bias(p)), panels, relu_1);
        self.action_2.forward(p, relu_1, rows, Finish::Crelu(self.action_2.bias(p)), panels, crelu_2);
        let fused = Finish::ReluEach { offsets: &at.fused[states.start * JOINT..], repeat };
        self.joint_action.forward(p, crelu_2, rows, fused, panels, phi_1);
        self.joint_2.forward(p, phi_1, rows, Finish::Relu(self.joint_2.bias(p)), panels, phi);
    }

    /// The action values of a forward action pass, one per entry of `out`.
    pub(crate) fn q<T: Real>(&self, parameters: &[T], pass: &ActionPass<T>, out: &mut [T]) {
        self.q.forward(parameters, &pass.phi, out);
    }

    /// The corrections of a forward action pass, one per entry of `out`.
    pub(crate) fn h<T: Real>(&self, parameters: &[T], pass: &ActionPass<T>, out: &mut [T]) {
        self.h.forward(parameters, &pass.phi, out);
    }

    /// Adds the gradient of `|w_h|^2 / 2`.
    pub(crate) fn regularise_h<T: Real>(&self, parameters: &[T], gradients: &mut [T]) {
        let into = &mut gradients[self.h.range()];
        for (gradient, &weight) in into.iter_mut().zip(&parameters[self.h.range()]) {
            *gradient += weight;
        }
    }

    /// Half the squared length of `w_h`.
    pub(crate) fn h_penalty<T: Real>(&self, parameters: &[T]) -> T {
        let head = &parameters[self.h.range()];
        super::activation::dot(head, head) * T::of(0.5)
    }

    /// The way back of a forward action pass over `dq.len()` actions, `repeat` of them at each of the `states`.
    ///
    /// `dq` is the gradient at each q; `dh`, if any, that at each h. Adds to `gradients` and leaves in `at` what
    /// [`Self::backward_states`] continues with.
    #[allow(clippy::too_many_arguments)] // all of them are buffers of one pass
    pub(crate) fn backward_actions<T: Real>(
        &self,
        parameters: &[T],
        at: &mut StatePass<T>,
        states: Range<usize>,
        actions: &[T],
        dq: &[T],
        dh: Option<&[T]>,
        pass: &mut ActionPass<T>,
        gradients: &mut [T],
    ) {
        let (p, kernel) = (parameters, self.kernel);
        let (rows, repeat) = (dq.len(), dq.len() / states.len());
        let ActionPass { panels, relu_1, crelu_2, phi_1, phi, d_phi, d_joint, d_crelu, d_linear, d_relu, .. } = pass;
        let d_phi = &mut d_phi[..rows * JOINT];
        d_phi.fill(T::zero());
        self.q.backward(p, phi, dq, d_phi, gradients);
        if let Some(dh) = dh {
            self.h.backward(p, phi, dh, d_phi, gradients);
        }
        kernel.run(
            #[inline(always)]
            || relu_backward(d_phi, phi),
        );
        self.joint_2.backward(phi_1, d_phi, rows, panels, gradients);

        let d_joint = &mut d_joint[..rows * JOINT];
        self.joint_2.backward_input(p, d_phi, rows, Finish::Gate(phi_1), panels, d_joint);
        self.joint_action.backward(crelu_2, d_joint, rows, panels, gradients);
        let d_fused = &mut at.d_fused[states.start * JOINT..states.end * JOINT];
        kernel.run(
            #[inline(always)]
            || sum_repeats(d_joint, JOINT, repeat, d_fused),
        );

        self.joint_action.backward_input(p, d_joint, rows, Finish::Set, panels, d_crelu);
        let d_linear = &mut d_linear[..rows * ACTION_2];
        kernel.run(
            #[inline(always)]
            || crelu_backward(d_crelu, crelu_2, ACTION_2, d_linear),
        );
        self.action_2.backward(relu_1, d_linear, rows, panels, gradients);
        self.action_2.backward_input(p, d_linear, rows, Finish::Gate(relu_1), panels, d_relu);
        self.action_1.backward(actions, d_relu, rows, panels, gradients);
    }

    /// The gradient of each q of a forward action pass at its action, `d_actions[rows][d]`; parameters get none.
    pub(crate) fn action_gradients<T: Real>(&self, parameters: &[T], pass: &mut ActionPass<T>, d_actions: &mut [T]) {
        let (p, kernel) = (parameters, self.kernel);
        let rows = d_actions.len() / self.action_1.inputs;
        let ActionPass { panels, relu_1, crelu_2, phi_1, phi, d_phi, d_joint, d_crelu, d_linear, d_relu, .. } = pass;
        let (d_phi, d_linear) = (&mut d_phi[..rows * JOINT], &mut d_linear[..rows * ACTION_2]);
        self.q.weights_in_rows(p, d_phi);
        kernel.run(
            #[inline(always)]
            || relu_backward(d_phi, phi),
        );
        self.joint_2.backward_input(p, d_phi, rows, Finish::Gate(phi_1), panels, d_joint);
        self.joint_action.backward_input(p, d_joint, rows, Finish::Set, panels, d_crelu);
        let d_crelu = &d_crelu[..rows * 2 * ACTION_2];
        kernel.run(
            #[inline(always)]
            || crelu_backward(d_crelu, crelu_2, ACTION_2, d_linear),
        );
        self.action_2.backward_input(p, d_linear, rows, Finish::Gate(relu_1), panels, d_relu);
        self.action_1.backward_input(p, d_relu, rows, Finish::Set, panels, d_actions);
    }

    /// The way back of the state stream, after [`Self::backward_actions`].
    pub(crate) fn backward_states<T: Real>(
        &self,
        parameters: &[T],
        states: &[T],
        rows: usize,
        pass: &mut StatePass<T>,
        gradients: &mut [T],
    ) {
        let (p, kernel) = (parameters, self.kernel);
        let StatePass { panels, relu_1, relu_2, relu_3, norm_1, norm_2, norm_3, d_1, d_2, d_3, d_linear, .. } = pass;
        self.joint_state.backward(norm_3, &pass.d_fused, rows, panels, gradients);

        let d_3 = &mut d_3[..rows * 2 * STATE_3];
        self.joint_state.backward_input(p, &pass.d_fused, rows, Finish::Set, panels, d_3);
        let d_linear = &mut d_linear[..rows * STATE_3];
        kernel.run(
            #[inline(always)]
            || {
                layer_norm_backward(d_3, norm_3, 2 * STATE_3, &pass.deviation_3);
                crelu_backward(d_3, relu_3, STATE_3, d_linear);
            },
        );
        self.state_3.backward(norm_2, d_linear, rows, panels, gradients);

        let d_2 = &mut d_2[..rows * STATE_2];
        self.state_3.backward_input(p, d_linear, rows, Finish::Set, panels, d_2);
        kernel.run(
            #[inline(always)]
            || {
                layer_norm_backward(d_2, norm_2, STATE_2, &pass.deviation_2);
                relu_backward(d_2, relu_2);
            },
        );
        self.state_2.backward(norm_1, d_2, rows, panels, gradients);

        let d_1 = &mut d_1[..rows * STATE_1];
        self.state_2.backward_input(p, d_2, rows, Finish::Set, panels, d_1);
        kernel.run(
            #[inline(always)]
            || {
                layer_norm_backward(d_1, norm_1, STATE_1, &pass.deviation_1);
                relu_backward(d_1, relu_1);
            },
        );
        self.state_1.backward(states, d_1, rows, panels, gradients);
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{gradient_matches, normals};
    use super::*;

    const ROWS: usize = 3;
    const REPEAT: usize = 2;

    #[test]
    fn the_gradient_equals_finite_differences() {
        let critic = Critic::new(4, 2);
        let stream = &mut Stream::new(5, "test", 0);
        let mut parameters = vec![0.0_f64; critic.len()];
        critic.init(&mut parameters, stream);
        // Heads of ordinary size, so that every gradient is of ordinary size.
        for (i, weight) in parameters[critic.q.range().start..].iter_mut().enumerate() {
            *weight = ((i * 7) % 11) as f64 / 11.0 - 0.4;
        }
        let states = normals(stream, ROWS * 4);
        let actions = normals(stream, ROWS * REPEAT * 2);
        let dq = normals(stream, ROWS * REPEAT);
        let dh = normals(stream, ROWS * REPEAT);
        let mut state_pass = StatePass::new(ROWS);
        let mut pass = ActionPass::new(ROWS * REPEAT);

        let loss = |p: &[f64]| {
            let (mut state_pass, mut pass) = (StatePass::new(ROWS), ActionPass::new(ROWS * REPEAT));
            let (mut q, mut h) = (vec![0.0; ROWS * REPEAT], vec![0.0; ROWS * REPEAT]);
            critic.forward_states(p, &states, ROWS, &mut state_pass);
            critic.forward_actions(p, &state_pass, 0..ROWS, &actions, REPEAT, &mut pass);
            critic.q(p, &pass, &mut q);
            critic.h(p, &pass, &mut h);
            let sum = |d: &[f64], x: &[f64]| d.iter().zip(x).map(|(d, x)| d * x).sum::<f64>();
            sum(&dq, &q) + sum(&dh, &h) + critic.h_penalty(p)
        };
        loss(&parameters);

        let p = &parameters;
        let mut gradient = vec![0.0; critic.len()];
        critic.forward_states(p, &states, ROWS, &mut state_pass);
        critic.forward_actions(p, &state_pass, 0..ROWS, &actions, REPEAT, &mut pass);
        critic.backward_actions(p, &mut state_pass, 0..ROWS, &actions, &dq, Some(&dh), &mut pass, &mut gradient);
        critic.backward_states(p, &states, ROWS, &mut state_pass, &mut gradient);
        critic.regularise_h(p, &mut gradient);
        gradient_matches(&mut parameters, &gradient, loss);
    }

    #[test]
    fn the_gradient_at_the_actions_equals_finite_differences() {
        let critic = Critic::new(4, 2);
        let stream = &mut Stream::new(7, "test", 0);
        let mut parameters = vec![0.0_f64; critic.len()];
        critic.init(&mut parameters, stream);
        parameters[critic.q.range()].iter_mut().for_each(|weight| *weight = f64::from(stream.normal()));
        let (states, mut actions) = (normals(stream, ROWS * 4), normals(stream, ROWS * REPEAT * 2));
        let mut at = StatePass::new(ROWS);
        critic.forward_states(&parameters, &states, ROWS, &mut at);
        let mut pass = ActionPass::new(ROWS * REPEAT);
        critic.forward_actions(&parameters, &at, 0..ROWS, &actions, REPEAT, &mut pass);
        let mut gradient = vec![0.0; actions.len()];
        critic.action_gradients(&parameters, &mut pass, &mut gradient);
        for i in 0..actions.len() {
            let (value, mut sums) = (actions[i], [0.0; 2]);
            for (sum, step) in sums.iter_mut().zip([1e-6, -1e-6]) {
                actions[i] = value + step;
                let mut q = [0.0; ROWS * REPEAT];
                critic.forward_actions(&parameters, &at, 0..ROWS, &actions, REPEAT, &mut pass);
                critic.q(&parameters, &pass, &mut q);
                *sum = q.iter().sum::<f64>();
            }
            actions[i] = value;
            let expected = (sums[0] - sums[1]) / 2e-6;
            assert!((expected - gradient[i]).abs() < 1e-6, "action {i}: {} instead of {expected}", gradient[i]);
        }
        assert!(gradient.iter().any(|g| g.abs() > 1e-3));
    }

    #[test]
    fn a_part_of_the_states_gives_the_same_values_as_all_of_them() {
        let critic = Critic::new(3, 1);
        let stream = &mut Stream::new(6, "test", 0);
        let mut parameters = vec![0.0_f64; critic.len()];
        critic.init(&mut parameters, stream);
        let states = normals(stream, 4 * 3);
        let actions = normals(stream, 4 * 5);
        let mut at = StatePass::new(4);
        critic.forward_states(&parameters, &states, 4, &mut at);
        let mut pass = ActionPass::new(20);
        let (mut all, mut part) = (vec![0.0; 20], vec![0.0; 10]);
        critic.forward_actions(&parameters, &at, 0..4, &actions, 5, &mut pass);
        critic.q(&parameters, &pass, &mut all);
        critic.forward_actions(&parameters, &at, 1..3, &actions[5..15], 5, &mut pass);
        critic.q(&parameters, &pass, &mut part);
        for (one, other) in all[5..15].iter().zip(&part) {
            assert!((one - other).abs() < 1e-12);
        }
    }
}
