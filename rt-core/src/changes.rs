//! What may be changed while the cycle runs: a set of everything that may, valid by construction, taken as a whole.

use serde::{Deserialize, Serialize};

use crate::envelope::{EnvelopeError, LimitsByMode};
use crate::setpoint::SETPOINTS_MAX;
use crate::tag::{TAGS_MAX, TagError, TagSettings};

/// What may be changed about a setpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetpointTuning {
    /// Range and rate, engineering units.
    pub limits: LimitsByMode,
    /// Where a fallback to the nominal value goes, engineering units.
    pub nominal: f64,
}

/// Limits and nominal values of all setpoints, and how all tags are judged. It replaces what holds as a whole, so the newest
/// set alone is enough.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeSet {
    number: u64,
    setpoints: [Option<SetpointTuning>; SETPOINTS_MAX],
    tags: [Option<TagSettings>; TAGS_MAX],
}

/// Why there is no such change set.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ChangeError {
    /// More setpoints or tags than a runtime has.
    #[error("{setpoints} setpoints and {tags} tags, at most {SETPOINTS_MAX} and {TAGS_MAX} are possible")]
    TooMany {
        /// Setpoints.
        setpoints: usize,
        /// Tags.
        tags: usize,
    },
    /// The limits of a setpoint.
    #[error("setpoint {setpoint}: {error}")]
    Limits {
        /// The setpoint's index.
        setpoint: usize,
        /// What is wrong with them.
        error: EnvelopeError,
    },
    /// The nominal value of a setpoint is not finite.
    #[error("setpoint {setpoint}: the nominal value is not finite")]
    Nominal {
        /// The setpoint's index.
        setpoint: usize,
    },
    /// How a tag is judged.
    #[error("tag {tag}: {error}")]
    Tag {
        /// The tag's index.
        tag: usize,
        /// What is wrong with it.
        error: TagError,
    },
}

impl ChangeSet {
    /// The set with this number, for a cycle with exactly these setpoints and tags.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn new(number: u64, setpoints: &[SetpointTuning], tags: &[TagSettings]) -> Result<Self, ChangeError> {
        if setpoints.len() > SETPOINTS_MAX || tags.len() > TAGS_MAX {
            return Err(ChangeError::TooMany { setpoints: setpoints.len(), tags: tags.len() });
        }
        for (setpoint, tuning) in setpoints.iter().enumerate() {
            tuning.limits.validate().map_err(|error| ChangeError::Limits { setpoint, error })?;
            if !tuning.nominal.is_finite() {
                return Err(ChangeError::Nominal { setpoint });
            }
        }
        for (tag, settings) in tags.iter().enumerate() {
            settings.validate().map_err(|error| ChangeError::Tag { tag, error })?;
        }
        let mut set = Self { number, setpoints: [None; SETPOINTS_MAX], tags: [None; TAGS_MAX] };
        set.setpoints.iter_mut().zip(setpoints).for_each(|(place, tuning)| *place = Some(*tuning));
        set.tags.iter_mut().zip(tags).for_each(|(place, settings)| *place = Some(*settings));
        Ok(set)
    }

    /// Its number, for the record.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The setpoints, in the site's order.
    pub fn setpoints(&self) -> impl Iterator<Item = &SetpointTuning> {
        self.setpoints.iter().flatten()
    }

    /// The tags, in the site's order.
    pub fn tags(&self) -> impl Iterator<Item = &TagSettings> {
        self.tags.iter().flatten()
    }

    /// Whether it is for so many setpoints and tags.
    pub(crate) fn fits(&self, setpoints: usize, tags: usize) -> bool {
        self.setpoints().count() == setpoints && self.tags().count() == tags
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Limits;
    use crate::setpoint::Rate;
    use crate::tag::Spike;
    use crate::time::Span;

    const TAG: TagSettings = TagSettings {
        required: true,
        stale_after: Span::from_ms(1),
        substitute_for: Span::ZERO,
        source_time_advancing: false,
        sound: None,
        spike: None,
        frozen_after: None,
    };

    fn tuning(lo: f64, hi: f64, nominal: f64) -> SetpointTuning {
        SetpointTuning { limits: LimitsByMode::same(Limits { lo, hi, rate: Rate::Unlimited }), nominal }
    }

    #[test]
    fn a_set_is_valid_or_there_is_none() {
        let set = ChangeSet::new(7, &[tuning(0.0, 1.0, 0.5)], &[TAG; 2]).unwrap();
        assert_eq!((set.number(), set.fits(1, 2), set.fits(1, 3), set.fits(2, 2)), (7, true, false, false));
        let refused = |tuning, tag| ChangeSet::new(1, &[tuning], &[tag]).unwrap_err();
        assert!(matches!(refused(tuning(1.0, 0.0, 0.5), TAG), ChangeError::Limits { setpoint: 0, .. }));
        assert_eq!(refused(tuning(0.0, 1.0, f64::NAN), TAG), ChangeError::Nominal { setpoint: 0 });
        let reversed = TagSettings { sound: Some((1.0, 0.0)), ..TAG };
        assert_eq!(refused(tuning(0.0, 1.0, 0.5), reversed), ChangeError::Tag { tag: 0, error: TagError::Sound });
        let spike = TagSettings { spike: Some(Spike { step: 1.0, samples: 1 }), ..TAG };
        assert_eq!(refused(tuning(0.0, 1.0, 0.5), spike), ChangeError::Tag { tag: 0, error: TagError::Spike });
        let many = std::vec![tuning(0.0, 1.0, 0.5); SETPOINTS_MAX + 1];
        assert!(matches!(ChangeSet::new(1, &many, &[]), Err(ChangeError::TooMany { .. })));
    }
}
