//! Setpoints: what the plant's node can hold, what one may be, and the set that travels to the io thread.

use serde::{Deserialize, Serialize};

use crate::envelope::LimitsByMode;
use crate::expression::Program;
use crate::fallback::FallbackLaw;
use crate::image::Image;
use crate::tag::TagId;
use crate::time::{MonoTime, Span};

/// The most setpoints that one runtime writes.
pub const SETPOINTS_MAX: usize = 32;

/// The data type of a node that is written; the envelope rounds inwards to what it can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum ScalarKind {
    /// OPC UA Boolean: 0 or 1.
    Boolean = 1,
    /// 8-bit signed.
    SByte = 2,
    /// 8-bit unsigned.
    Byte = 3,
    /// 16-bit signed.
    Int16 = 4,
    /// 16-bit unsigned.
    UInt16 = 5,
    /// 32-bit signed.
    Int32 = 6,
    /// 32-bit unsigned.
    UInt32 = 7,
    /// 64-bit signed.
    Int64 = 8,
    /// 64-bit unsigned.
    UInt64 = 9,
    /// IEEE 754 single precision.
    Float = 10,
    /// IEEE 754 double precision.
    Double = 11,
}

impl ScalarKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Boolean,
        Self::SByte,
        Self::Byte,
        Self::Int16,
        Self::UInt16,
        Self::Int32,
        Self::UInt32,
        Self::Int64,
        Self::UInt64,
        Self::Float,
        Self::Double,
    ];
}

/// How fast a setpoint may move.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Rate {
    /// At most this many engineering units per second, positive and finite.
    PerSecond(f64),
    /// Any jump inside the range. The site file has to write it out.
    Unlimited,
}

/// The plant-side half of a setpoint: everything that the envelope and the fallback need.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SetpointSettings {
    /// The tag by which the setpoint is read back.
    pub tag: TagId,
    /// Range and rate, engineering units.
    pub limits: LimitsByMode,
    /// What is written in FALLBACK.
    pub fallback: FallbackLaw,
    /// A person has the setpoint while this is true, and while it has no value because an input is missing.
    pub operator_when: Option<Program>,
    /// The plant follows this setpoint or an operator's.
    pub cascade: Option<Cascade>,
    /// A setpoint that did not change is sent again after this long.
    pub refresh: Span,
}

/// A tag that has this value while something is the case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModeWord {
    /// The tag.
    pub tag: TagId,
    /// The value.
    pub value: f64,
}

/// Two setpoints, of which the plant follows one: an operator's, or the one that is written here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cascade {
    /// The tag of the operator's.
    pub operators: TagId,
    /// While the plant follows ours.
    pub agent_when: ModeWord,
    /// While the plant follows the operator's. Without it: whenever the other word is not there.
    pub operator_when: Option<ModeWord>,
}

impl Cascade {
    /// The tag of the setpoint that the plant follows, `ours` or the operator's; `None` when it cannot be told: a word is
    /// missing or uncertain, or both or neither are there.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn followed(&self, ours: TagId, image: &Image) -> Option<TagId> {
        let holds = |word: ModeWord| image.read_back(word.tag).map(|now| now.value == word.value);
        let is_ours = holds(self.agent_when)?;
        let is_theirs = match self.operator_when {
            Some(word) => holds(word)?,
            None => !is_ours,
        };
        match (is_ours, is_theirs) {
            (true, false) => Some(ours),
            (false, true) => Some(self.operators),
            (true, true) | (false, false) => None,
        }
    }

    /// The tags that it reads.
    pub fn tags(&self) -> impl Iterator<Item = TagId> {
        let words = [Some(self.agent_when), self.operator_when];
        words.into_iter().flatten().map(|word| word.tag).chain([self.operators])
    }
}

/// The setpoints of one cycle on their way to the io thread. It is complete: every setpoint that may be written is in
/// it, so the newest set alone is enough and the older ones can be dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SetpointSet {
    /// The cycle that decided it.
    pub cycle: u64,
    /// After this instant the set must not be sent any more.
    pub expires: MonoTime,
    /// Per setpoint, in the site's order: the value to write, already exact in the node's data type; `None` is not written.
    pub values: [Option<f64>; SETPOINTS_MAX],
    /// The plant heartbeat to write, if the mode permits: a counter modulo 1000.
    pub heartbeat: Option<u16>,
    /// The alarms that are raised, as bits in the site's order; `None` when none of them may be written.
    pub alarms: Option<u32>,
}

impl ScalarKind {
    /// The largest value not above `value` that a node of this kind holds exactly; `None` when there is none.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn round_down(self, value: f64) -> Option<f64> {
        match self {
            Self::Double => value.is_finite().then_some(value),
            Self::Float => {
                let nearest = value as f32;
                let below = if f64::from(nearest) > value { nearest.next_down() } else { nearest };
                below.is_finite().then(|| f64::from(below))
            }
            _ => {
                let (lowest, highest) = self.integer_bounds();
                // Adding 0 turns -0 into 0, which is what an integer makes of it.
                (value >= lowest).then(|| libm::floor(value).min(highest) + 0.0)
            }
        }
    }

    /// The smallest value not below `value` that a node of this kind holds exactly; `None` when there is none.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn round_up(self, value: f64) -> Option<f64> {
        match self {
            Self::Double => value.is_finite().then_some(value),
            Self::Float => {
                let nearest = value as f32;
                let above = if f64::from(nearest) < value { nearest.next_up() } else { nearest };
                above.is_finite().then(|| f64::from(above))
            }
            _ => {
                let (lowest, highest) = self.integer_bounds();
                (value <= highest).then(|| libm::ceil(value).max(lowest) + 0.0)
            }
        }
    }

    /// Whether a node of this kind holds exactly this value.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn holds(self, value: f64) -> bool {
        self.round_down(value) == Some(value)
    }

    /// The lowest and the highest integer that both the kind and an f64 hold exactly.
    const fn integer_bounds(self) -> (f64, f64) {
        match self {
            Self::Boolean => (0.0, 1.0),
            Self::SByte => (i8::MIN as f64, i8::MAX as f64),
            Self::Byte => (0.0, u8::MAX as f64),
            Self::Int16 => (i16::MIN as f64, i16::MAX as f64),
            Self::UInt16 => (0.0, u16::MAX as f64),
            Self::Int32 => (i32::MIN as f64, i32::MAX as f64),
            Self::UInt32 => (0.0, u32::MAX as f64),
            // The conversions of the maxima round up to 2^63 and 2^64, one f64 too far.
            Self::Int64 => (i64::MIN as f64, (i64::MAX as f64).next_down()),
            Self::UInt64 => (0.0, (u64::MAX as f64).next_down()),
            Self::Float => (f32::MIN as f64, f32::MAX as f64),
            Self::Double => (f64::MIN, f64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_are_rounded_to_whole_numbers_of_their_range() {
        assert_eq!(ScalarKind::Int16.round_down(-2.5), Some(-3.0));
        assert_eq!(ScalarKind::Int16.round_up(-2.5), Some(-2.0));
        assert_eq!(ScalarKind::Byte.round_down(-0.5), None);
        assert_eq!(ScalarKind::Byte.round_up(-0.5).map(f64::to_bits), Some(0.0_f64.to_bits()));
        assert_eq!(ScalarKind::Byte.round_down(1e300), Some(255.0));
        assert_eq!(ScalarKind::Byte.round_up(255.5), None);
        assert_eq!(ScalarKind::Boolean.round_down(0.9), Some(0.0));
        assert_eq!(ScalarKind::UInt64.round_down(f64::MAX), Some(18_446_744_073_709_549_568.0));
        assert_eq!(ScalarKind::Int64.round_down(i64::MIN as f64), Some(-9_223_372_036_854_775_808.0));
    }

    #[test]
    fn single_precision_is_rounded_to_the_neighbour_on_the_asked_side() {
        let (below, above) = (ScalarKind::Float.round_down(0.1).unwrap(), ScalarKind::Float.round_up(0.1).unwrap());
        assert!(below < 0.1 && 0.1 < above);
        assert_eq!((below as f32).next_up(), above as f32);
        assert_eq!(ScalarKind::Float.round_down(1e300), Some(f64::from(f32::MAX)));
        assert_eq!(ScalarKind::Float.round_up(1e300), None);
    }

    proptest! {
        #[test]
        fn rounding_encloses_the_value_with_values_that_are_held(value: f64) {
            for kind in ScalarKind::ALL {
                let (down, up) = (kind.round_down(value), kind.round_up(value));
                prop_assert!(down.is_none_or(|down| down <= value && kind.holds(down)));
                prop_assert!(up.is_none_or(|up| up >= value && kind.holds(up)));
                if let (Some(down), Some(up)) = (down, up) {
                    prop_assert_eq!(kind.holds(value), down == up && value.is_finite());
                }
                if value.is_nan() {
                    prop_assert_eq!((down, up), (None, None));
                }
            }
        }
    }
}
