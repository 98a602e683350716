//! A linear controller in discrete time: `x' = A x + B e + L (u - y)`, `y = C x + D e + offset`.
//!
//! `e` are the inputs less their targets, `y` is the output, `u` what became of it. The term with `L` lets the states follow
//! whoever drives the setpoint, and whatever the envelope curbs: the controller takes over from there, and does not wind up.
//! For that `A - L C` has to be stable.

use nalgebra::{SMatrix, SVector};

use crate::carry::Carrier;
use crate::image::Image;
use crate::tag::TagId;
use crate::time::{MonoTime, Span};

/// The most states.
pub const STATES_MAX: usize = 8;
/// The most inputs.
pub const INPUTS_MAX: usize = 4;

/// `A - L C` is stable when one of its powers of two up to this one is small.
const SQUARINGS_MAX: u32 = 24;
const SMALL: f64 = 1e-3;

type States = SVector<f64, STATES_MAX>;
type Inputs = SVector<f64, INPUTS_MAX>;

/// A state-space controller. Unused rows and columns are zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StateSpace {
    /// The time between two steps, which the matrices were made for; at least the control period.
    pub period: Span,
    /// The measured values, each with its target.
    pub inputs: [Option<(TagId, f64)>; INPUTS_MAX],
    /// A: from states to states.
    pub a: SMatrix<f64, STATES_MAX, STATES_MAX>,
    /// B: from inputs to states.
    pub b: SMatrix<f64, STATES_MAX, INPUTS_MAX>,
    /// C: from states to the output, as a column.
    pub c: States,
    /// D: from inputs to the output, as a column.
    pub d: Inputs,
    /// L: how the states follow what became of the output.
    pub tracking: States,
    /// The output at the operating point.
    pub offset: f64,
}

/// Why a state-space controller cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateSpaceError {
    /// A number is not finite.
    #[error("a number of the matrices is not finite")]
    NotFinite,
    /// The period is zero.
    #[error("a period of zero is not possible")]
    Period,
    /// There is no input.
    #[error("a controller without inputs controls nothing")]
    NoInput,
    /// The states would not follow.
    #[error("the states would not follow whoever drives the setpoint: A - L C is not stable")]
    Tracking,
}

/// The states, and what was computed from them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Observer {
    states: States,
    errors: Inputs,
    /// The output of the last step; `None` before the first.
    output: Option<f64>,
    /// When the next step is due.
    due: Option<MonoTime>,
}

impl Observer {
    pub(super) const EMPTY: Self = Self {
        states: States::from_array_storage(nalgebra::ArrayStorage([[0.0; STATES_MAX]])),
        errors: Inputs::from_array_storage(nalgebra::ArrayStorage([[0.0; INPUTS_MAX]])),
        output: None,
        due: None,
    };

    pub(super) fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self { states, errors, output, due } = self;
        states.iter_mut().chain(errors.iter_mut()).for_each(|number| carrier.carry(number));
        carrier.carry(output);
        carrier.carry(due);
    }
}

impl StateSpace {
    pub(super) fn validate(&self) -> Result<(), StateSpaceError> {
        let targets = self.inputs.iter().flatten().map(|(_, target)| target);
        let vectors = self.c.iter().chain(&self.d).chain(&self.tracking).chain([&self.offset]);
        if !self.a.iter().chain(&self.b).chain(vectors).chain(targets).all(|number| number.is_finite()) {
            return Err(StateSpaceError::NotFinite);
        }
        if self.period == Span::ZERO {
            return Err(StateSpaceError::Period);
        }
        if self.inputs.iter().flatten().next().is_none() {
            return Err(StateSpaceError::NoInput);
        }
        if self.tracks() { Ok(()) } else { Err(StateSpaceError::Tracking) }
    }

    /// Whether every difference between the states and what they follow dies away.
    fn tracks(&self) -> bool {
        let mut power = self.a;
        power.ger(-1.0, &self.tracking, &self.c, 1.0);
        for _ in 0..SQUARINGS_MAX {
            let largest = power.amax();
            if largest < SMALL {
                return true;
            }
            if !largest.is_finite() {
                return false;
            }
            let factor = power;
            power.gemm(1.0, &factor, &factor, 0.0);
        }
        false
    }

    /// The output after `dt`, when the setpoint is at `position`; `None` while an input is missing. Between two steps of its
    /// own period the output stays.
    pub(super) fn step(&self, observer: &mut Observer, position: f64, dt: Span, image: &Image) -> Option<f64> {
        let now = image.now();
        // The nearest cycle: a wake-up that is a little early for its step does not put it off.
        let slack = Span::from_ns(dt.as_ns() / 2);
        if observer.due.is_some_and(|due| now.plus(slack) < due) {
            return Some(position);
        }
        let Some(errors) = self.errors(image) else {
            *observer = Observer::EMPTY;
            return None;
        };
        let mut states = observer.states;
        if let Some(computed) = observer.output {
            states.gemv(1.0, &self.a, &observer.states, 0.0);
            states.gemv(1.0, &self.b, &observer.errors, 1.0);
            states.axpy(position - computed, &self.tracking, 1.0);
        }
        let output = self.c.dot(&states) + self.d.dot(&errors) + self.offset;
        // In phase with the steps before; what a pause has left out is not caught up.
        let due = observer.due.unwrap_or(now).plus(self.period).max(now);
        *observer = Observer { states, errors, output: Some(output), due: Some(due) };
        Some(output)
    }

    fn errors(&self, image: &Image) -> Option<Inputs> {
        let mut errors = Inputs::zeros();
        for (error, input) in errors.iter_mut().zip(&self.inputs) {
            if let Some((tag, target)) = input {
                *error = image.usable(*tag)? - target;
            }
        }
        Some(errors)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fallback, FallbackLaw};
    use super::*;
    use crate::image::tests::{image_of, set};

    const PERIOD: Span = Span::from_ms(10);

    /// An integrator with a proportional part: `u = -0.5 e - 0.1 sum e`.
    fn integrator() -> StateSpace {
        let mut controller = StateSpace {
            period: PERIOD,
            inputs: [Some((TagId::new(0).unwrap(), 10.0)), None, None, None],
            a: SMatrix::zeros(),
            b: SMatrix::zeros(),
            c: SVector::zeros(),
            d: SVector::zeros(),
            tracking: SVector::zeros(),
            offset: 0.0,
        };
        controller.a[(0, 0)] = 1.0;
        controller.b[(0, 0)] = -0.1;
        controller.c[0] = 1.0;
        controller.d[0] = -0.5;
        controller.tracking[0] = 0.5;
        controller
    }

    fn step(fallback: &mut Fallback, last: f64, dt: Span, image: &mut Image) -> f64 {
        image.advance(image.now() + dt);
        fallback.step(Some(last), dt, image).unwrap()
    }

    fn follow(fallback: &mut Fallback, last: f64, steps: usize, image: &mut Image) -> f64 {
        let mut output = f64::NAN;
        for _ in 0..steps {
            fallback.track(Some(last));
            output = step(fallback, last, PERIOD, image);
        }
        output
    }

    #[test]
    fn its_states_follow_whoever_drives_so_that_it_takes_over_there() {
        let mut image = image_of(&[10.0]);
        let mut fallback = Fallback::new(FallbackLaw::StateSpace(integrator()));
        for last in [40.0, -7.0, 90.0] {
            let output = follow(&mut fallback, last, 60, &mut image);
            assert!((output - last).abs() < 1e-9, "{output}");
        }
        assert!((step(&mut fallback, 90.0, PERIOD, &mut image) - 90.0).abs() < 1e-9, "and stays there");
    }

    #[test]
    fn it_does_not_wind_up_behind_a_limit() {
        let mut image = image_of(&[8.0]);
        let mut fallback = Fallback::new(FallbackLaw::StateSpace(integrator()));
        follow(&mut fallback, 50.0, 5_000, &mut image);
        set(&mut image, 0, 12.0);
        let turned = follow(&mut fallback, 50.0, 3, &mut image);
        assert!(turned < 50.0, "{turned}");
    }

    #[test]
    fn the_states_advance_once_in_its_own_period() {
        let mut image = image_of(&[8.0]);
        let mut fallback = Fallback::new(FallbackLaw::StateSpace(integrator()));
        let mut after_5_ms = |image: &mut Image| step(&mut fallback, 0.0, Span::from_ms(5), image);
        assert_eq!(after_5_ms(&mut image), 1.0);
        set(&mut image, 0, 6.0);
        assert_eq!(after_5_ms(&mut image), 1.0, "half of its period");
        // x = 0.1 * 2, and 0.5 * 4.
        assert!((after_5_ms(&mut image) - 2.2).abs() < 1e-12);
    }

    #[test]
    fn it_brings_the_input_of_a_lagging_plant_to_the_target() {
        let mut image = image_of(&[0.0]);
        let mut fallback = Fallback::new(FallbackLaw::StateSpace(integrator()));
        let (mut level, mut setpoint) = (0.0, 0.0);
        for _ in 0..2_000 {
            set(&mut image, 0, level);
            setpoint = step(&mut fallback, setpoint, PERIOD, &mut image);
            level += 0.05 * (setpoint - level);
        }
        assert!((level - 10.0).abs() < 1e-6, "{level}");
    }

    #[test]
    fn without_an_input_there_is_no_output() {
        let mut image = image_of(&[f64::NAN]);
        let mut fallback = Fallback::new(FallbackLaw::StateSpace(integrator()));
        assert_eq!(fallback.step(Some(1.0), PERIOD, &image), None);
        set(&mut image, 0, 10.0);
        assert_eq!(fallback.step(Some(1.0), PERIOD, &image), Some(0.0));
    }

    #[test]
    fn controllers_that_cannot_work_are_refused() {
        let refusal = |change: fn(&mut StateSpace)| {
            let mut controller = integrator();
            change(&mut controller);
            controller.validate()
        };
        assert_eq!(refusal(|_| {}), Ok(()));
        assert_eq!(refusal(|c| c.b[(3, 2)] = f64::NAN), Err(StateSpaceError::NotFinite));
        assert_eq!(refusal(|c| c.inputs[0].as_mut().unwrap().1 = f64::INFINITY), Err(StateSpaceError::NotFinite));
        assert_eq!(refusal(|c| c.period = Span::ZERO), Err(StateSpaceError::Period));
        assert_eq!(refusal(|c| c.inputs = [None; 4]), Err(StateSpaceError::NoInput));
        assert_eq!(refusal(|c| c.tracking[0] = 0.0), Err(StateSpaceError::Tracking), "an integrator left alone");
        assert_eq!(refusal(|c| c.tracking[0] = 2.5), Err(StateSpaceError::Tracking), "it would overshoot");
        assert_eq!(refusal(|c| c.a[(1, 1)] = -1.5), Err(StateSpaceError::Tracking), "a state that grows unseen");
    }
}
