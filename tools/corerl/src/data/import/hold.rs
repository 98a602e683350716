//! For how long a value counts.
//!
//! The archive takes a value for the one that holds as long as it is younger than [`HOLDS_NS`], because whoever keeps by exception
//! repeats it once a minute. Others do not; so what holds longer is repeated here, with its age.

use archive::{HEARTBEAT_NS, HOLDS_NS, Old};

/// Values with rising times, of several with one time the last; how many others there were.
pub(super) fn in_order(values: &mut Vec<Old>) -> u64 {
    let before = values.len();
    values.sort_by_key(|old| old.unix_ns);
    values.reverse();
    values.dedup_by_key(|old| old.unix_ns);
    values.reverse();
    (before - values.len()) as u64
}

/// For how long values usually count: as long as until the next but one.
pub(super) fn usual_ns(values: &[Old]) -> u64 {
    let mut pauses: Vec<u64> = values.windows(2).map(|pair| pair[1].unix_ns - pair[0].unix_ns).collect();
    let middle = pauses.len().saturating_sub(1) / 2;
    let median = if pauses.is_empty() { 0 } else { *pauses.select_nth_unstable(middle).1 };
    median.saturating_mul(2).max(HOLDS_NS)
}

/// The values, each repeated until the next one, until it does not count any more, or until the file ends: what came after it,
/// somebody else may have kept.
pub(super) fn repeated(values: &[Old], holds_ns: u64, end_ns: u64) -> Vec<Old> {
    let mut all = Vec::with_capacity(values.len());
    // The last repetition counts for as long as the archive lets it, and another one is a heartbeat away at most.
    let covered_ns = HOLDS_NS - HEARTBEAT_NS;
    let limits = values.iter().skip(1).map(|next| next.unix_ns.saturating_sub(covered_ns)).chain([end_ns]);
    for (old, limit_ns) in values.iter().zip(limits) {
        all.push(*old);
        let until_ns = limit_ns.min(old.unix_ns.saturating_add(holds_ns).saturating_sub(HOLDS_NS));
        let times = (1..).map(|count| old.unix_ns + count * HEARTBEAT_NS).take_while(|time_ns| *time_ns <= until_ns);
        all.extend(times.map(|unix_ns| Old { unix_ns, age_us: age_us(unix_ns - old.unix_ns), ..*old }));
    }
    all
}

fn age_us(ns: u64) -> u32 {
    u32::try_from(ns / 1_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn old(unix_ns: u64, value: f64) -> Old {
        Old { unix_ns, value, state: 0, age_us: 0 }
    }

    #[test]
    fn a_value_holds_until_the_next_one_however_the_minutes_fall() {
        const SECOND_NS: u64 = 1_000_000_000;
        let values = [old(0, 1.0), old(299 * SECOND_NS, 2.0)];
        let all = repeated(&values, 358 * SECOND_NS, 299 * SECOND_NS);
        let last = all.iter().rfind(|old| old.value == 1.0).unwrap();
        assert!(last.unix_ns + HOLDS_NS >= 299 * SECOND_NS, "{last:?}");
    }

    #[test]
    fn of_values_with_one_time_the_last_counts() {
        let mut values = vec![old(5, 1.0), old(3, 2.0), old(5, 3.0)];
        assert_eq!(in_order(&mut values), 1);
        assert_eq!(values, [old(3, 2.0), old(5, 3.0)]);
    }

    proptest! {
        #[test]
        fn a_value_is_found_wherever_it_holds_and_nowhere_else(
            pauses in prop::collection::vec(1u64..3_000, 1..12), holds_s in 120u64..2_000, at in 0u64..30_000,
        ) {
            const SECOND_NS: u64 = 1_000_000_000;
            let mut unix_ns = 1_000 * SECOND_NS;
            let values: Vec<_> = pauses.iter().map(|pause| {
                unix_ns += pause * SECOND_NS;
                old(unix_ns, unix_ns as f64)
            }).collect();
            let (at_ns, end_ns) = (at * SECOND_NS, unix_ns + 700 * SECOND_NS);
            let all = repeated(&values, holds_s * SECOND_NS, end_ns);
            prop_assert!(all.is_sorted_by(|a, b| a.unix_ns < b.unix_ns));
            let found = all.iter().rfind(|old| old.unix_ns <= at_ns && at_ns - old.unix_ns <= HOLDS_NS);
            let holding = values.iter().rfind(|old| old.unix_ns <= at_ns);
            // The archive's own step is a minute: so much earlier it may end.
            let known = holding.filter(|old| at_ns - old.unix_ns <= holds_s * SECOND_NS);
            let surely = holding.filter(|old| at_ns <= end_ns && at_ns - old.unix_ns + HEARTBEAT_NS <= holds_s * SECOND_NS);
            prop_assert!(found.is_none() || known.is_some());
            prop_assert!(surely.is_none() || found.is_some());
            if let (Some(found), Some(known)) = (found, known) {
                prop_assert_eq!(found.value, known.value);
                prop_assert_eq!(found.unix_ns - u64::from(found.age_us) * 1_000, known.unix_ns);
            }
        }
    }
}
