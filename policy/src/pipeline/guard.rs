//! A guardrail: what the agent's bounds of one setpoint are cut to while they widen.
//!
//! It counts observations since the pipeline began. A restart begins narrow again: that is the safe side.

use rt_config::{Guardrail, Range};
use rt_core::carry::Carrier;

use super::clip;

/// The guardrail of one setpoint, and how many observations it has seen.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    start: Range,
    scale: Range,
    observations: u32,
    seen: u32,
}

impl Guard {
    pub(super) fn new(guardrail: &Guardrail, scale: Range) -> Self {
        Self { start: guardrail.start, scale, observations: guardrail.observations, seen: 0 }
    }

    /// The range of this observation: the starting one in the first, the scale once all were seen.
    fn next(&mut self) -> Range {
        let (start, scale) = (self.start, self.scale);
        if self.seen >= self.observations {
            return scale;
        }
        let share = f64::from(self.seen) / f64::from(self.observations);
        self.seen += 1;
        Range {
            lo: clip(start.lo - share * (start.lo - scale.lo), scale.lo, start.lo),
            hi: clip(start.hi + share * (scale.hi - start.hi), start.hi, scale.hi),
        }
    }

    /// `bounds` cut to the range of this observation: its nearer end, where they lie outside.
    pub(super) fn cut(&mut self, bounds: Option<Range>) -> Option<Range> {
        // A missing bound is an observation all the same.
        let Range { lo, hi } = self.next();
        bounds.map(|bounds| Range { lo: clip(bounds.lo, lo, hi), hi: clip(bounds.hi, lo, hi) })
    }

    pub(super) fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self { start: _, scale: _, observations: _, seen } = self;
        carrier.carry(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SCALE: Range = Range { lo: 0.0, hi: 8.0 };

    fn guard(lo: f64, hi: f64, observations: u32) -> Guard {
        Guard::new(&Guardrail { start: Range { lo, hi }, observations }, SCALE)
    }

    #[test]
    fn it_widens_linearly_and_then_stays() {
        let mut guard = guard(4.0, 6.0, 4);
        let ranges: Vec<_> = (0..6).map(|_| guard.next()).map(|range| (range.lo, range.hi)).collect();
        assert_eq!(ranges, [(4.0, 6.0), (3.0, 6.5), (2.0, 7.0), (1.0, 7.5), (0.0, 8.0), (0.0, 8.0)]);
    }

    #[test]
    fn bounds_are_cut_and_those_beyond_end_at_the_nearer_end() {
        let cut = |lo, hi| guard(4.0, 6.0, 4).cut(Some(Range { lo, hi })).map(|range| (range.lo, range.hi));
        assert_eq!(cut(0.0, 8.0), Some((4.0, 6.0)));
        assert_eq!(cut(4.5, 5.0), Some((4.5, 5.0)));
        assert_eq!(cut(6.5, 7.0), Some((6.0, 6.0)));
        assert_eq!(cut(1.0, 2.0), Some((4.0, 4.0)));
        let mut guard = guard(4.0, 6.0, 4);
        assert_eq!(guard.cut(None), None);
        assert_eq!(guard.next(), Range { lo: 3.0, hi: 6.5 }, "a missing bound was an observation");
    }

    proptest! {
        #[test]
        fn it_only_widens_inside_the_scale_and_ends_there(lo in 0.1..0.4_f64, hi in 0.41..0.7_f64, observations in 1..300_u32) {
            let scale = Range { lo: 0.1, hi: 0.7 };
            let mut guard = Guard::new(&Guardrail { start: Range { lo, hi }, observations }, scale);
            let mut before = Range { lo, hi };
            for _ in 0..observations {
                let now = guard.next();
                prop_assert!(scale.lo <= now.lo && now.lo <= before.lo && before.hi <= now.hi && now.hi <= scale.hi);
                before = now;
            }
            prop_assert_eq!(guard.next(), scale);
        }
    }
}
