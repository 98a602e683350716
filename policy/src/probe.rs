//! What parameters must be before a network of them may act, wherever they come from: finite, normal, moderate, and with
//! bounded answers to golden inputs.

use crate::kernels::{Kernel, NetSpec, PackedNet, ParameterCount, Scratch, SpecError};
use crate::spec::PolicySpec;

/// The largest magnitude of a weight or bias. A trained actor stays below 10.
pub const PARAMETER_MAX: f32 = 1e4;
/// The largest magnitude of a network's answer to an input that it is probed with. Means are near
/// [0, 1], logits within tens.
pub const OUTPUT_MAX: f32 = 1e3;
/// Golden inputs: every network is asked these.
pub const GOLDEN_INPUTS: usize = 32;
/// Recent states that every network is asked, too.
pub const RECENT_STATES: usize = 32;

/// Why parameters are not believed.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ParametersRefused {
    /// Too few or too many.
    #[error(transparent)]
    Count(#[from] ParameterCount),
    /// NaN or infinite.
    #[error("parameter {index} is not finite")]
    NotFinite {
        /// The first such parameter.
        index: usize,
    },
    /// Too small to be a normal number: it would slow every pass down and means nothing.
    #[error("parameter {index} is a denormal number")]
    Denormal {
        /// The first such parameter.
        index: usize,
    },
    /// Beyond [`PARAMETER_MAX`].
    #[error("parameter {index} is {value}, at most {PARAMETER_MAX} is possible")]
    TooLarge {
        /// The first such parameter.
        index: usize,
        /// What it is.
        value: f32,
    },
    /// An output is not finite or beyond [`OUTPUT_MAX`].
    #[error("probe {probe} makes output {output} {value}, at most {OUTPUT_MAX} is possible")]
    Output {
        /// The input: golden ones first, for an actor recent states after them.
        probe: usize,
        /// The output: the actor's first, the imputer's after them.
        output: usize,
        /// What it is.
        value: f32,
    },
}

impl ParametersRefused {
    /// A stable name for counters and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Count(_) => "parameter_count",
            Self::NotFinite { .. } => "not_finite",
            Self::Denormal { .. } => "denormal",
            Self::TooLarge { .. } => "too_large",
            Self::Output { .. } => "probe",
        }
    }
}

/// A place where parameters are tried before they are adopted.
///
/// Not for a real-time thread: bounded, but long. It allocates only when it is made.
#[derive(Clone, Debug)]
pub struct Probe {
    spec: PolicySpec,
    kernel: Kernel,
    actor: Probed,
    imputer: Option<Probed>,
    recent: Vec<f32>,
    recent_count: usize,
    recent_next: usize,
}

/// A network that is asked.
#[derive(Clone, Debug)]
struct Probed {
    net: PackedNet,
    scratch: Scratch,
    outputs: Vec<f32>,
    golden: Vec<f32>,
}

impl Probed {
    fn new(spec: &NetSpec) -> Result<Self, SpecError> {
        let net = PackedNet::new(spec)?;
        Ok(Self {
            scratch: net.scratch(),
            outputs: vec![0.0; spec.outputs()],
            golden: golden_inputs(spec.inputs()),
            net,
        })
    }

    /// Asks the golden inputs and then these; `first` is the number of the first output.
    fn ask(&mut self, kernel: Kernel, more: &[f32], first: usize) -> Result<(), ParametersRefused> {
        let Self { net, scratch, outputs, golden } = self;
        let width = net.spec().inputs();
        for (probe, input) in golden.chunks_exact(width).chain(more.chunks_exact(width)).enumerate() {
            net.forward(kernel, input, scratch, outputs);
            let bounded = |value: &f32| value.abs() <= OUTPUT_MAX;
            // NaN is not bounded either.
            if let Some((output, &value)) = outputs.iter().enumerate().find(|(_, value)| !bounded(value)) {
                return Err(ParametersRefused::Output { probe, output: first + output, value });
            }
        }
        Ok(())
    }
}

impl Probe {
    /// A probe for policies of this shape.
    ///
    /// # Errors
    /// When `spec` is no policy.
    pub fn new(spec: &PolicySpec, kernel: Kernel) -> Result<Self, SpecError> {
        Ok(Self {
            kernel,
            actor: Probed::new(&spec.actor)?,
            imputer: spec.imputer.as_ref().map(Probed::new).transpose()?,
            recent: vec![0.0; RECENT_STATES * spec.actor.inputs()],
            recent_count: 0,
            recent_next: 0,
            spec: spec.clone(),
        })
    }

    /// Adds a state to the last [`RECENT_STATES`] ones. A state of another length is not remembered.
    pub fn remember(&mut self, state: &[f32]) {
        if state.len() == self.spec.actor.inputs()
            && let Some(slot) = self.recent.chunks_exact_mut(state.len()).nth(self.recent_next)
        {
            slot.copy_from_slice(state);
            self.recent_next = (self.recent_next + 1) % RECENT_STATES;
            self.recent_count = RECENT_STATES.min(self.recent_count + 1);
        }
    }

    /// Judges parameters in the order of [`PolicySpec`].
    ///
    /// # Errors
    /// The first fact that does not hold.
    pub fn judge(&mut self, parameters: &[f32]) -> Result<(), ParametersRefused> {
        let expected = self.spec.parameters();
        if parameters.len() != expected {
            return Err(ParameterCount { found: parameters.len(), expected }.into());
        }
        finite(parameters)?;
        normal(parameters)?;
        moderate(parameters)?;
        self.answers(parameters)
    }

    /// Asks networks of these parameters the golden inputs, and the actor the recent states, too.
    pub(crate) fn answers(&mut self, parameters: &[f32]) -> Result<(), ParametersRefused> {
        let Self { spec, kernel, actor, imputer, recent, recent_count, .. } = self;
        let (of_actor, of_imputer) = parameters.split_at_checked(spec.actor.parameters()).unwrap_or((parameters, &[]));
        let recent = recent.get(..*recent_count * spec.actor.inputs()).unwrap_or(&[]);
        actor.net.pack(of_actor)?;
        actor.ask(*kernel, recent, 0)?;
        if let Some(imputer) = imputer {
            imputer.net.pack(of_imputer)?;
            imputer.ask(*kernel, &[], spec.actor.outputs())?;
        }
        Ok(())
    }
}

/// Every parameter is a number.
pub(crate) fn finite(parameters: &[f32]) -> Result<(), ParametersRefused> {
    let odd = parameters.iter().position(|value| !value.is_finite());
    odd.map_or(Ok(()), |index| Err(ParametersRefused::NotFinite { index }))
}

/// No parameter is too small to be a normal number.
pub(crate) fn normal(parameters: &[f32]) -> Result<(), ParametersRefused> {
    let odd = parameters.iter().position(|value| value.is_subnormal());
    odd.map_or(Ok(()), |index| Err(ParametersRefused::Denormal { index }))
}

/// No parameter is beyond [`PARAMETER_MAX`].
pub(crate) fn moderate(parameters: &[f32]) -> Result<(), ParametersRefused> {
    let odd = parameters.iter().enumerate().find(|(_, value)| value.abs() > PARAMETER_MAX);
    odd.map_or(Ok(()), |(index, value)| Err(ParametersRefused::TooLarge { index, value: *value }))
}

/// All 0, all 1, all 1/2, alternating, and seeded places in the unit cube.
fn golden_inputs(width: usize) -> Vec<f32> {
    let mut random = 0x636f_7265_726c_u64;
    let mut uniform = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 40) as f32 / (1 << 24) as f32
    };
    let value = |(row, column): (usize, usize)| match row {
        0 => 0.0,
        1 => 1.0,
        2 => 0.5,
        3 => (column % 2) as f32,
        _ => uniform(),
    };
    (0..GOLDEN_INPUTS).flat_map(|row| (0..width).map(move |column| (row, column))).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Activation, LayerSpec};

    fn probe() -> Probe {
        let layers = vec![LayerSpec::new(3, 4, Activation::Crelu), LayerSpec::new(8, 2, Activation::Linear)];
        Probe::new(&NetSpec { layers }.into(), Kernel::best()).unwrap()
    }

    const COUNT: usize = 4 * 4 + 9 * 2;

    #[test]
    fn f09_every_class_of_bad_number_is_named_with_its_place() {
        let judged = |index: usize, value: f32| {
            let mut parameters = [0.1; COUNT];
            parameters[index] = value;
            probe().judge(&parameters)
        };
        for index in 0..COUNT {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                assert_eq!(judged(index, value), Err(ParametersRefused::NotFinite { index }));
            }
            assert_eq!(judged(index, 1e-40), Err(ParametersRefused::Denormal { index }));
            assert_eq!(judged(index, -1e5), Err(ParametersRefused::TooLarge { index, value: -1e5 }));
            assert_eq!(judged(index, -0.0), Ok(()));
            assert_eq!(judged(index, f32::MIN_POSITIVE), Ok(()));
        }
    }

    #[test]
    fn another_count_is_refused() {
        for found in [0, COUNT - 1, COUNT + 1] {
            let refused = ParameterCount { found, expected: COUNT };
            assert_eq!(probe().judge(&vec![0.1; found]), Err(refused.into()));
        }
    }

    #[test]
    fn f09_answers_without_bounds_are_refused() {
        let refused = probe().judge(&[100.0; COUNT]).unwrap_err();
        assert!(matches!(refused, ParametersRefused::Output { probe: 0, output: 0, .. }), "{refused:?}");
    }

    #[test]
    fn recent_states_are_probed_too() {
        let mut probe = probe();
        let parameters = [1.0; COUNT];
        assert_eq!(probe.judge(&parameters), Ok(()));
        probe.remember(&[1e4; 2]);
        assert_eq!(probe.judge(&parameters), Ok(()));
        for _ in 0..RECENT_STATES + 1 {
            probe.remember(&[0.5; 3]);
        }
        probe.remember(&[1e4; 3]);
        assert!(matches!(probe.judge(&parameters), Err(ParametersRefused::Output { probe: 33, .. })));
    }
}
