//! The yardstick: a task on which the learner's layers can be compared with other programs, and with the machine.
//!
//! Ten critics (72-256-256-1) and an actor (64-256-256-8), ReLU, a batch of 256, AdamW. A [`Yardstick::step`] moves every
//! critic towards targets and then the actor, whose actions are bounded by tanh, up the critics' mean value. What the
//! machine could do at best is what [`multiply_add`] takes for the same number of multiplications and additions.

use policy::kernels::{Arithmetic, BLOCK, Kernel, KernelKind, Registers};

use crate::agent::AgentError;
use crate::nets::{AdamW, AdamWOptions, Finish, Head, Layout, Linear, Panels, Real as _, relu_backward};
use crate::random::Stream;
use crate::threads::Threads;

const CRITICS: usize = 10;
const STATE: usize = 64;
const ACTION: usize = 8;
const INPUT: usize = STATE + ACTION;
const HIDDEN: usize = 256;
const ROWS: usize = 256;
const OPTIMISER: AdamWOptions = AdamWOptions { learning_rate: 1e-4, weight_decay: 1e-3 };

/// Multiplications with an addition in a full step: three products for every layer, but for the gradient at the first
/// layer's input, which only the critics' way back to the action needs, and there without gradients of weights.
pub const MULTIPLY_ADDS_PER_STEP: u64 = {
    let critic = INPUT * HIDDEN + HIDDEN * HIDDEN + HIDDEN;
    let actor = STATE * HIDDEN + HIDDEN * HIDDEN + HIDDEN * ACTION;
    let learning = 3 * critic - INPUT * HIDDEN;
    let judging = critic + ACTION * HIDDEN + HIDDEN * HIDDEN + HIDDEN;
    let following = 3 * actor - STATE * HIDDEN;
    (ROWS * (CRITICS * (learning + judging) + following)) as u64
};

/// Multiplies and adds in registers, nothing else, about `count` times; how often exactly.
pub fn multiply_add(count: u64) -> u64 {
    Kernel::best().run(MultiplyAdd { count })
}

struct MultiplyAdd {
    count: u64,
}

impl Arithmetic for MultiplyAdd {
    type Output = u64;

    #[inline(always)]
    fn run<R: Registers<f32>>(self, registers: R) -> u64 {
        // As many sums side by side as the latency needs and the registers hold.
        match R::KIND {
            KernelKind::Avx512 => chains::<R, 12>(registers, self.count),
            KernelKind::Avx2 => chains::<R, 6>(registers, self.count),
            KernelKind::Scalar => chains::<R, 3>(registers, self.count),
        }
    }
}

#[inline(always)]
fn chains<R: Registers<f32>, const N: usize>(registers: R, count: u64) -> u64 {
    let x = std::hint::black_box(0.5);
    let y = registers.load(&[x; BLOCK]);
    let mut sums = [y; N];
    let rounds = count.div_ceil((N * BLOCK) as u64);
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = registers.add_product(*sum, x, y);
        }
    }
    let mut numbers = [[0.0; BLOCK]; N];
    numbers.iter_mut().zip(sums).for_each(|(numbers, sum)| registers.store(sum, numbers));
    std::hint::black_box(numbers);
    rounds * (N * BLOCK) as u64
}

/// The two hidden layers that critics and actor have.
#[derive(Debug, Clone, Copy)]
struct Torso {
    first: Linear,
    second: Linear,
}

/// What the torso computes, and its gradients.
#[derive(Debug)]
struct TorsoPass {
    panels: Panels<f32>,
    relu_1: Vec<f32>,
    relu_2: Vec<f32>,
    d_1: Vec<f32>,
    d_2: Vec<f32>,
}

impl TorsoPass {
    fn new() -> Self {
        let zeros = || vec![0.0; ROWS * HIDDEN];
        Self { panels: Panels::default(), relu_1: zeros(), relu_2: zeros(), d_1: zeros(), d_2: zeros() }
    }
}

impl Torso {
    fn new(layout: &mut Layout, inputs: usize) -> Self {
        Self { first: layout.linear(inputs, HIDDEN), second: layout.linear(HIDDEN, HIDDEN) }
    }

    fn forward(&self, p: &[f32], x: &[f32], pass: &mut TorsoPass) {
        let TorsoPass { panels, relu_1, relu_2, .. } = pass;
        self.first.forward(p, x, ROWS, Finish::Relu(self.first.bias(p)), panels, relu_1);
        self.second.forward(p, relu_1, ROWS, Finish::Relu(self.second.bias(p)), panels, relu_2);
    }

    /// From the gradient at the torso's output, in `pass.d_2`, to that at the first layer's sums.
    fn backward_input(&self, p: &[f32], kernel: Kernel, pass: &mut TorsoPass) {
        let TorsoPass { panels, relu_1, relu_2, d_1, d_2 } = pass;
        kernel.run(
            #[inline(always)]
            || relu_backward(d_2, relu_2),
        );
        self.second.backward_input(p, d_2, ROWS, Finish::Gate(relu_1), panels, d_1);
    }

    fn backward(&self, x: &[f32], pass: &mut TorsoPass, gradients: &mut [f32]) {
        let TorsoPass { panels, relu_1, d_1, d_2, .. } = pass;
        self.second.backward(relu_1, d_2, ROWS, panels, gradients);
        self.first.backward(x, d_1, ROWS, panels, gradients);
    }
}

/// Parameters and the state of their optimiser.
#[derive(Debug)]
struct Trained {
    parameters: Vec<f32>,
    optimiser: AdamW,
}

/// What a thread needs for one network at a time.
#[derive(Debug)]
struct Workspace {
    pass: TorsoPass,
    gradient: Vec<f32>,
}

impl Workspace {
    fn new(len: usize) -> Self {
        Self { pass: TorsoPass::new(), gradient: vec![0.0; len] }
    }
}

impl Trained {
    fn new(len: usize, role: &str, index: usize) -> Self {
        let stream = &mut Stream::new(1, role, index);
        let parameters = (0..len).map(|_| 0.1 * (stream.uniform() - 0.5)).collect();
        Self { parameters, optimiser: AdamW::new(len) }
    }

    fn descend(&mut self, kernel: Kernel, gradient: &[f32]) {
        self.optimiser.step(kernel, &mut self.parameters, gradient, OPTIMISER);
    }
}

#[derive(Debug)]
struct Critic {
    trained: Trained,
    q: Vec<f32>,
    d_q: Vec<f32>,
    d_action: Vec<f32>,
    loss: f32,
}

/// The networks, a batch, and the threads that share the critics.
#[derive(Debug)]
pub struct Yardstick {
    kernel: Kernel,
    threads: Threads,
    critic: Torso,
    value: Head,
    critics: Vec<Critic>,
    workspaces: Vec<Workspace>,
    actor: Torso,
    means: Linear,
    followed: Trained,
    own: Workspace,
    states: Vec<f32>,
    /// States with actions: those of the batch, and those of the actor.
    inputs: Vec<f32>,
    judged: Vec<f32>,
    targets: Vec<f32>,
    actions: Vec<f32>,
}

impl Yardstick {
    /// Networks and a batch of random numbers, always the same.
    ///
    /// # Errors
    /// [`AgentError::Threads`], when the operating system gives no threads.
    pub fn new(threads: usize) -> Result<Self, AgentError> {
        let (mut critic_layout, mut actor_layout) = (Layout::new(), Layout::new());
        let critic = Torso::new(&mut critic_layout, INPUT);
        let value = critic_layout.head(HIDDEN);
        let actor = Torso::new(&mut actor_layout, STATE);
        let means = actor_layout.linear(HIDDEN, ACTION);
        let critics = (0..CRITICS).map(|index| Critic {
            trained: Trained::new(critic_layout.len(), "yardstick critic", index),
            q: vec![0.0; ROWS],
            d_q: vec![0.0; ROWS],
            d_action: vec![0.0; ROWS * ACTION],
            loss: 0.0,
        });
        let stream = &mut Stream::new(1, "yardstick batch", 0);
        let mut numbers = |len| {
            let mut numbers = vec![0.0; len];
            stream.uniforms(&mut numbers);
            numbers
        };
        let inputs = numbers(ROWS * INPUT);
        let threads = Threads::new(threads)?;
        Ok(Self {
            kernel: critic_layout.kernel(),
            workspaces: (0..threads.count()).map(|_| Workspace::new(critic_layout.len())).collect(),
            own: Workspace::new(actor_layout.len()),
            threads,
            critic,
            value,
            critics: critics.collect(),
            actor,
            means,
            followed: Trained::new(actor_layout.len(), "yardstick actor", 0),
            states: inputs.chunks_exact(INPUT).flat_map(|row| &row[..STATE]).copied().collect(),
            judged: inputs.clone(),
            inputs,
            targets: numbers(ROWS),
            actions: vec![0.0; ROWS * ACTION],
        })
    }

    /// A full step; the critics' mean squared error before it.
    pub fn step(&mut self) -> f32 {
        self.learn();
        self.act();
        self.judge();
        self.follow();
        self.critics.iter().map(|critic| critic.loss).sum::<f32>() / CRITICS as f32
    }

    /// Moves the critics towards the targets.
    fn learn(&mut self) {
        let (torso, value, kernel) = (self.critic, self.value, self.kernel);
        let (inputs, targets) = (&self.inputs, &self.targets);
        self.threads.each_with(&mut self.workspaces, &mut self.critics, |workspace, critic| {
            let Critic { trained, q, d_q, loss, .. } = critic;
            let (Workspace { pass, gradient }, p) = (workspace, &trained.parameters);
            torso.forward(p, inputs, pass);
            value.forward(p, &pass.relu_2, q);
            for ((d_q, q), target) in d_q.iter_mut().zip(q.iter()).zip(targets) {
                *d_q = (q - target) / ROWS as f32;
            }
            *loss = d_q.iter().map(|d| d * d).sum::<f32>() * ROWS as f32;
            gradient.fill(0.0);
            pass.d_2.fill(0.0);
            value.backward(p, &pass.relu_2, d_q, &mut pass.d_2, gradient);
            torso.backward_input(p, kernel, pass);
            torso.backward(inputs, pass, gradient);
            trained.descend(kernel, gradient);
        });
    }

    /// The actor's actions at the batch's states.
    fn act(&mut self) {
        let (Workspace { pass, .. }, p) = (&mut self.own, &self.followed.parameters);
        self.actor.forward(p, &self.states, pass);
        let TorsoPass { panels, relu_2, .. } = pass;
        self.means.forward(p, relu_2, ROWS, Finish::Bias(self.means.bias(p)), panels, &mut self.actions);
        let actions = &mut self.actions;
        self.kernel.run(
            #[inline(always)]
            || actions.iter_mut().for_each(|a| *a = a.hyperbolic_tangent()),
        );
        for (input, action) in self.judged.chunks_exact_mut(INPUT).zip(self.actions.chunks_exact(ACTION)) {
            input[STATE..].copy_from_slice(action);
        }
    }

    /// The gradient of every critic's value at the actor's actions.
    fn judge(&mut self) {
        let (torso, value, kernel) = (self.critic, self.value, self.kernel);
        let action_part = torso.first.of_last_inputs(ACTION);
        let inputs = &self.judged;
        self.threads.each_with(&mut self.workspaces, &mut self.critics, |workspace, critic| {
            let Critic { trained, q, d_q, d_action, .. } = critic;
            let (Workspace { pass, gradient }, p) = (workspace, &trained.parameters);
            torso.forward(p, inputs, pass);
            value.forward(p, &pass.relu_2, q);
            d_q.fill(-1.0 / (ROWS * CRITICS) as f32);
            pass.d_2.fill(0.0);
            value.backward(p, &pass.relu_2, d_q, &mut pass.d_2, gradient);
            torso.backward_input(p, kernel, pass);
            action_part.backward_input(p, &pass.d_1, ROWS, Finish::Set, &mut pass.panels, d_action);
        });
    }

    /// Moves the actor up the mean value.
    fn follow(&mut self) {
        let mut d_means = vec![0.0; ROWS * ACTION];
        for critic in &self.critics {
            d_means.iter_mut().zip(&critic.d_action).for_each(|(sum, d)| *sum += d);
        }
        d_means.iter_mut().zip(&self.actions).for_each(|(d, a)| *d *= 1.0 - a * a);
        let (Workspace { pass, gradient }, p) = (&mut self.own, &self.followed.parameters);
        gradient.fill(0.0);
        self.means.backward(&pass.relu_2, &d_means, ROWS, &mut pass.panels, gradient);
        self.means.backward_input(p, &d_means, ROWS, Finish::Set, &mut pass.panels, &mut pass.d_2);
        self.actor.backward_input(p, self.kernel, pass);
        self.actor.backward(&self.states, pass, gradient);
        self.followed.descend(self.kernel, gradient);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of_the_actor(yardstick: &mut Yardstick) -> f32 {
        yardstick.act();
        yardstick.judge();
        yardstick.critics.iter().flat_map(|critic| &critic.q).sum::<f32>() / (CRITICS * ROWS) as f32
    }

    #[test]
    fn steps_learn_and_give_the_same_bits_whatever_the_number_of_threads() {
        let run = |threads| {
            let mut yardstick = Yardstick::new(threads).unwrap();
            (0..6).map(|_| yardstick.step().to_bits()).collect::<Vec<u32>>()
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert!(f32::from_bits(one[5]) < 0.9 * f32::from_bits(one[0]));
    }

    #[test]
    fn the_actor_moves_up_the_critics_mean_value() {
        let mut yardstick = Yardstick::new(1).unwrap();
        let before = value_of_the_actor(&mut yardstick);
        for _ in 0..5 {
            yardstick.follow();
            value_of_the_actor(&mut yardstick);
        }
        assert!(value_of_the_actor(&mut yardstick) > before);
    }

    #[test]
    fn multiply_add_does_no_less_than_asked() {
        assert!((1_000..2_000).contains(&multiply_add(1_000)));
    }
}
