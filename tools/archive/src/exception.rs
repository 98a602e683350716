//! Which samples are kept: by exception, or every one.

use std::collections::BTreeMap;

use crate::{Point, TrackId};

/// What is kept by exception is kept once in so long all the same, whatever it does.
pub const HEARTBEAT_NS: u64 = 60_000_000_000;
/// So long a value may count as the one that holds; then nobody knows.
pub const HOLDS_NS: u64 = 2 * HEARTBEAT_NS;

/// When a track's value is worth keeping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Always.
    Every,
    /// When it differs by more than so much from what was kept last, in engineering units, or has another state, or nothing was
    /// kept for so many cycles.
    ByException {
        /// Above this difference; 0 keeps every change.
        deadband: f64,
        /// And at least every so many cycles, which says that it was looked at.
        heartbeat_cycles: u64,
    },
}

/// What was kept last of each track, and by which rules.
#[derive(Debug, Default)]
pub struct Exceptions {
    tracks: BTreeMap<TrackId, Track>,
}

#[derive(Debug)]
struct Track {
    rule: Rule,
    kept: Option<Point>,
}

impl Exceptions {
    /// A track with its rule; `kept` is what the archive holds of it, the newest point.
    pub fn add(&mut self, track: TrackId, rule: Rule, kept: Option<Point>) {
        self.tracks.insert(track, Track { rule, kept });
    }

    /// Nothing is known of what was between: the next point of every track is kept.
    pub fn gap(&mut self) {
        self.tracks.values_mut().for_each(|track| track.kept = None);
    }

    /// This point of a track is kept, whatever its rule says.
    pub fn note(&mut self, track: TrackId, point: &Point) {
        if let Some(known) = self.tracks.get_mut(&track) {
            known.kept = Some(*point);
        }
    }

    /// Whether this point of a track is to be kept. It counts as kept then. A track without a rule keeps every one.
    pub fn keeps(&mut self, track: TrackId, point: &Point) -> bool {
        let Some(known) = self.tracks.get_mut(&track) else { return true };
        let is_kept = known.kept.is_none_or(|kept| known.rule.tells(&kept, point));
        if is_kept {
            known.kept = Some(*point);
        }
        is_kept
    }
}

impl Rule {
    /// Whether a point says more than the one that was kept last.
    fn tells(self, kept: &Point, point: &Point) -> bool {
        match self {
            Self::Every => true,
            Self::ByException { deadband, heartbeat_cycles } => {
                kept.state != point.state
                    || kept.value.is_nan() != point.value.is_nan()
                    || (kept.value - point.value).abs() > deadband
                    || point.cycle.saturating_sub(kept.cycle) >= heartbeat_cycles
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: Rule = Rule::ByException { deadband: 0.5, heartbeat_cycles: 10 };

    fn point(cycle: u64, value: f64) -> Point {
        Point::new(cycle, value, 0)
    }

    #[test]
    fn changes_beyond_the_deadband_other_states_and_a_long_silence_are_kept() {
        let mut exceptions = Exceptions::default();
        exceptions.add(TrackId(1), RULE, Some(point(0, 1.0)));
        let mut keeps = |cycle, value, state| exceptions.keeps(TrackId(1), &Point { state, ..point(cycle, value) });
        assert!(!keeps(1, 1.5, 0));
        assert!(keeps(2, 1.6, 0));
        assert!(!keeps(3, 1.2, 0));
        assert!(keeps(4, 1.2, 1));
        assert!(!keeps(13, 1.2, 1));
        assert!(keeps(14, 1.2, 1));
        assert!(keeps(15, f64::NAN, 1));
        assert!(!keeps(16, f64::NAN, 1), "none is like none");
        assert!(keeps(17, 1.2, 1));
        exceptions.gap();
        assert!(exceptions.keeps(TrackId(1), &point(18, 1.2)) && exceptions.keeps(TrackId(2), &point(18, 1.2)));
    }

    proptest! {
        #[test]
        fn whoever_holds_the_last_kept_value_is_never_off_by_more_than_the_deadband(
            values in prop::collection::vec(-3.0f64..3.0, 1..100)
        ) {
            let mut exceptions = Exceptions::default();
            exceptions.add(TrackId(1), RULE, None);
            let mut held = f64::NAN;
            for (cycle, value) in (0..).zip(values) {
                if exceptions.keeps(TrackId(1), &point(cycle, value)) {
                    held = value;
                }
                prop_assert!((held - value).abs() <= 0.5);
            }
        }
    }
}
