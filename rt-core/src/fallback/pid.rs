//! A PID controller in velocity form: each cycle it adds a change to where the setpoint really is. So it takes over without
//! a bump, and its integral cannot wind up: there is none, but the setpoint itself.

use serde::{Deserialize, Serialize};

use crate::expression::Program;
use crate::image::Image;
use crate::tag::TagId;
use crate::time::Span;

/// The derivative acts through a first-order filter with this part of its time.
const FILTER: f64 = 10.0;

/// A PID controller's parameters. The derivative acts on the measured value alone, so a change of the target kicks nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pid {
    /// The measured value.
    pub input: TagId,
    /// Where it shall be, engineering units of the input.
    pub target: Program,
    /// Engineering units of the setpoint per engineering unit of the input; negative when a higher setpoint lowers the input.
    pub gain: f64,
    /// After this long the integral has done as much as the proportional part; `None` for no integral part.
    pub integral_time: Option<Span>,
    /// How far the derivative looks ahead; zero for no derivative part.
    pub derivative_time: Span,
}

/// Why a PID controller cannot work.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PidError {
    /// The gain is zero or not finite.
    #[error("the gain {gain} is not a finite number other than 0")]
    Gain {
        /// What was given.
        gain: f64,
    },
    /// The integral time is zero.
    #[error("an integral time of zero makes the controller infinitely fast")]
    IntegralTime,
}

/// What a PID controller remembers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PidMemory {
    /// Error and measured value of the last step.
    last: Option<(f64, f64)>,
    derivative: f64,
}

impl PidMemory {
    pub(super) const EMPTY: Self = Self { last: None, derivative: 0.0 };
}

impl Pid {
    pub(super) fn validate(&self) -> Result<(), PidError> {
        if !(self.gain.is_finite() && self.gain != 0.0) {
            return Err(PidError::Gain { gain: self.gain });
        }
        if self.integral_time == Some(Span::ZERO) { Err(PidError::IntegralTime) } else { Ok(()) }
    }

    /// The output after `dt` from `position`; `None` while input or target is missing, and then nothing is remembered.
    pub(super) fn step(&self, memory: &mut PidMemory, position: f64, dt: Span, image: &Image) -> Option<f64> {
        let known = image.usable(self.input).zip(self.target.eval(image));
        let Some((measured, target)) = known else {
            *memory = PidMemory::EMPTY;
            return None;
        };
        let error = target - measured;
        let (error_before, measured_before) = memory.last.unwrap_or((error, measured));
        let dt = dt.as_seconds();
        let integral = self.integral_time.map_or(0.0, |time| error * dt / time.as_seconds());
        let derivative = self.derivative(memory.derivative, measured - measured_before, dt);
        let change = self.gain * (error - error_before + integral) + derivative - memory.derivative;
        *memory = PidMemory { last: Some((error, measured)), derivative };
        Some(position + change)
    }

    fn derivative(&self, before: f64, moved: f64, dt: f64) -> f64 {
        let time = self.derivative_time.as_seconds();
        if time == 0.0 {
            return 0.0;
        }
        (time * before - self.gain * FILTER * time * moved) / (time + FILTER * dt)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fallback, FallbackLaw};
    use super::*;
    use crate::expression::Op;
    use crate::image::tests::{image_of, set};

    const SECOND: Span = Span::from_ms(1_000);

    fn pid(gain: f64, integral_s: Option<u64>, derivative_s: u64) -> Pid {
        Pid {
            input: TagId::new(0).unwrap(),
            target: Program::new(&[Op::Const(10.0)]).unwrap(),
            gain,
            integral_time: integral_s.map(|s| Span::from_ms(1_000 * s)),
            derivative_time: Span::from_ms(1_000 * derivative_s),
        }
    }

    #[test]
    fn proportional_and_integral_parts_are_those_of_the_velocity_form() {
        let mut image = image_of(&[8.0]);
        let mut fallback = Fallback::new(FallbackLaw::Pid(pid(3.0, Some(4), 0)));
        fallback.track(Some(50.0));
        let mut step = |image: &Image| fallback.step(Some(50.0), SECOND, image).unwrap();
        // No kick at first: 3 * 2 / 4.
        assert_eq!(step(&image), 51.5);
        set(&mut image, 0, 9.0);
        // 3 * (1 - 2) + 3 * 1 / 4.
        assert_eq!(step(&image), 51.5 - 3.0 + 0.75);
    }

    #[test]
    fn the_derivative_looks_at_the_measured_value_and_fades() {
        let mut image = image_of(&[8.0]);
        let mut fallback = Fallback::new(FallbackLaw::Pid(pid(1.0, None, 10)));
        fallback.track(Some(50.0));
        let mut step = |image: &Image| fallback.step(Some(50.0), SECOND, image).unwrap();
        assert_eq!(step(&image), 50.0);
        set(&mut image, 0, 9.0);
        // Proportional -1, derivative -10 * 10 / (10 + 10).
        assert_eq!(step(&image), 50.0 - 1.0 - 5.0);
        assert_eq!(step(&image), 49.0 - 2.5);
        assert_eq!(step(&image), 49.0 - 1.25);
    }

    #[test]
    fn it_takes_over_where_the_setpoint_is_and_does_not_wind_up() {
        let image = image_of(&[0.0]);
        let mut fallback = Fallback::new(FallbackLaw::Pid(pid(1.0, Some(10), 0)));
        for last in [3.0, 80.0, 41.0] {
            fallback.track(Some(last));
            assert_eq!(fallback.step(Some(last), SECOND, &image), Some(last + 1.0));
        }
        // A limit keeps it at 42 for long; it leaves it in one step.
        for _ in 0..1_000 {
            fallback.track(Some(42.0));
            fallback.step(Some(42.0), SECOND, &image);
        }
        let over = image_of(&[20.0]);
        fallback.track(Some(42.0));
        assert_eq!(fallback.step(Some(42.0), SECOND, &over), Some(42.0 - 20.0 - 1.0));
    }

    #[test]
    fn it_brings_the_input_of_a_lagging_plant_to_the_target() {
        let mut image = image_of(&[0.0]);
        let mut fallback = Fallback::new(FallbackLaw::Pid(pid(2.0, Some(5), 0)));
        fallback.track(Some(0.0));
        let (mut level, mut setpoint) = (0.0, 0.0);
        for _ in 0..2_000 {
            set(&mut image, 0, level);
            setpoint = fallback.step(Some(setpoint), Span::from_ms(100), &image).unwrap();
            level += 0.1 * (0.5 * setpoint - level) / 3.0;
        }
        assert!((level - 10.0).abs() < 1e-3, "{level}");
    }

    #[test]
    fn without_its_input_there_is_no_output_and_no_kick_afterwards() {
        let mut image = image_of(&[8.0]);
        let mut fallback = Fallback::new(FallbackLaw::Pid(pid(1.0, None, 0)));
        fallback.track(Some(50.0));
        let mut step = |image: &Image| fallback.step(Some(50.0), SECOND, image);
        assert_eq!(step(&image), Some(50.0));
        set(&mut image, 0, f64::NAN);
        assert_eq!(step(&image), None);
        set(&mut image, 0, 2.0);
        assert_eq!(step(&image), Some(50.0));
    }

    #[test]
    fn impossible_parameters_are_refused() {
        assert_eq!(pid(0.0, None, 0).validate(), Err(PidError::Gain { gain: 0.0 }));
        assert!(matches!(pid(f64::INFINITY, None, 0).validate(), Err(PidError::Gain { .. })));
        assert_eq!(pid(1.0, Some(0), 0).validate(), Err(PidError::IntegralTime));
        assert_eq!(pid(-1.0, Some(1), 1).validate(), Ok(()));
    }
}
