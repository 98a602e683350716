//! What replaces the policy's action in FALLBACK, per setpoint, computed in every cycle.
//!
//! While another law drives the setpoint the fallback follows its last value, so that switching over starts exactly there.
//! While it drives itself it follows what the envelope let through: nothing winds up behind a limit.

mod pid;
mod state_space;

pub use pid::{Pid, PidError};
pub use state_space::{INPUTS_MAX, STATES_MAX, StateSpace, StateSpaceError};

use crate::carry::Carrier;
use crate::image::Image;
use crate::time::Span;

use pid::PidMemory;
use state_space::Observer;

/// What replaces the policy's action in FALLBACK.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FallbackLaw {
    /// The last value stays.
    Hold,
    /// Move to the nominal setpoint, as fast as the envelope permits.
    Nominal(f64),
    /// Move to a safe value at this many engineering units per second.
    Ramp {
        /// Where to go, in engineering units.
        target: f64,
        /// How fast, in engineering units per second.
        per_second: f64,
    },
    /// Keep a measured value at its target.
    Pid(Pid),
    /// A linear controller with states of its own.
    StateSpace(StateSpace),
}

/// Why a law cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum FallbackError {
    /// The nominal value is not finite.
    #[error("the nominal value {value} is not finite")]
    Nominal {
        /// What was given.
        value: f64,
    },
    /// The ramp does not move, or has no end.
    #[error("a ramp to {target} at {per_second} per second is not possible: both are finite, and the speed is above 0")]
    Ramp {
        /// Where it shall go.
        target: f64,
        /// How fast.
        per_second: f64,
    },
    /// The PID controller.
    #[error(transparent)]
    Pid(#[from] PidError),
    /// The state-space controller.
    #[error(transparent)]
    StateSpace(#[from] StateSpaceError),
}

impl FallbackLaw {
    /// Whether it can be followed. Not for the real-time thread.
    ///
    /// # Errors
    /// Says why it cannot.
    pub fn validate(&self) -> Result<(), FallbackError> {
        match *self {
            Self::Nominal(value) if !value.is_finite() => Err(FallbackError::Nominal { value }),
            Self::Ramp { target, per_second }
                if !(target.is_finite() && per_second.is_finite() && per_second > 0.0) =>
            {
                Err(FallbackError::Ramp { target, per_second })
            }
            Self::Pid(ref pid) => Ok(pid.validate()?),
            Self::StateSpace(ref controller) => Ok(controller.validate()?),
            Self::Hold | Self::Nominal(_) | Self::Ramp { .. } => Ok(()),
        }
    }
}

/// The fallback of one setpoint.
///
/// # Real-time
/// Wait-free.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fallback {
    law: FallbackLaw,
    /// Where the law has got to. Finer than what the plant's node can hold, so that small steps move a coarse setpoint.
    position: Option<f64>,
    pid: PidMemory,
    observer: Observer,
}

impl Fallback {
    /// A fallback that knows of no value yet.
    pub const fn new(law: FallbackLaw) -> Self {
        Self { law, position: None, pid: PidMemory::EMPTY, observer: Observer::EMPTY }
    }

    /// Another nominal value; the other laws have none.
    pub fn set_nominal(&mut self, nominal: f64) {
        if let FallbackLaw::Nominal(value) = &mut self.law {
            *value = nominal;
        }
    }

    /// Follows `last`, the setpoint's last value: to be called in every cycle in which the fallback's output is not the one
    /// that is written, whenever the last value was taken from a read-back, and when the envelope curbed the output.
    pub fn track(&mut self, last: Option<f64>) {
        self.position = last;
    }

    /// A nominal value is memory, too: it may change between two cycles.
    pub(crate) fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self { law, position, pid, observer } = self;
        if let FallbackLaw::Nominal(value) = law {
            carrier.carry(value);
        }
        carrier.carry(position);
        carrier.carry(pid);
        observer.carry(carrier);
    }

    /// The output after `dt`; `None` while no last value is known or an input is missing.
    pub fn step(&mut self, last: Option<f64>, dt: Span, image: &Image) -> Option<f64> {
        let last = last?;
        let position = self.position.unwrap_or(last);
        let output = match &self.law {
            FallbackLaw::Hold => last,
            FallbackLaw::Nominal(value) => *value,
            FallbackLaw::Ramp { target, per_second } => toward(position, *target, per_second * dt.as_seconds()),
            FallbackLaw::Pid(pid) => pid.step(&mut self.pid, position, dt, image)?,
            FallbackLaw::StateSpace(controller) => controller.step(&mut self.observer, position, dt, image)?,
        };
        self.position = Some(output);
        output.is_finite().then_some(output)
    }
}

/// `target`, or the point `step` on the way to it.
fn toward(from: f64, target: f64, step: f64) -> f64 {
    if target > from {
        if target - from <= step { target } else { from + step }
    } else if from - target <= step {
        target
    } else {
        from - step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAMP: FallbackLaw = FallbackLaw::Ramp { target: 10.0, per_second: 100.0 };
    const MS: Span = Span::from_ms(1);

    fn empty() -> Image {
        Image::new(&[]).unwrap()
    }

    #[test]
    fn without_a_last_value_there_is_no_output() {
        for law in [FallbackLaw::Hold, FallbackLaw::Nominal(1.0), RAMP] {
            assert_eq!(Fallback::new(law).step(None, MS, &empty()), None);
        }
    }

    #[test]
    fn hold_keeps_the_last_value_and_nominal_asks_for_the_nominal_one() {
        assert_eq!(Fallback::new(FallbackLaw::Hold).step(Some(3.0), MS, &empty()), Some(3.0));
        let mut nominal = Fallback::new(FallbackLaw::Nominal(5.0));
        assert_eq!(nominal.step(Some(3.0), MS, &empty()), Some(5.0));
        nominal.set_nominal(6.0);
        assert_eq!(nominal.step(Some(3.0), MS, &empty()), Some(6.0));
    }

    #[test]
    fn a_ramp_starts_at_the_last_value_and_ends_at_its_target() {
        let mut fallback = Fallback::new(RAMP);
        fallback.track(Some(9.75));
        let outputs = [(); 4].map(|()| fallback.step(Some(9.75), MS, &empty()).unwrap());
        assert_eq!(outputs, [9.85, 9.95, 10.0, 10.0]);
    }

    #[test]
    fn a_ramp_follows_the_last_value_until_it_is_switched_on() {
        let mut fallback = Fallback::new(RAMP);
        for last in [4.0, 20.0, 12.0] {
            fallback.track(Some(last));
            assert!((fallback.step(Some(last), MS, &empty()).unwrap() - last).abs() < 0.1001);
        }
    }

    #[test]
    fn laws_that_cannot_be_followed_are_refused() {
        let nominal = FallbackLaw::Nominal(f64::NAN).validate();
        assert!(matches!(nominal, Err(FallbackError::Nominal { .. })));
        for (target, per_second) in [(f64::INFINITY, 1.0), (1.0, 0.0), (1.0, -1.0), (1.0, f64::NAN)] {
            let ramp = FallbackLaw::Ramp { target, per_second }.validate();
            assert!(matches!(ramp, Err(FallbackError::Ramp { .. })));
        }
        assert_eq!([FallbackLaw::Hold, FallbackLaw::Nominal(0.0), RAMP].map(|law| law.validate()), [Ok(()); 3]);
    }
}
