//! Long answers, cut to the length of a packet.

use rt_control::PACKET_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// Rows in one answer at most.
pub const ROWS_MAX: usize = 4096;
/// What the rows of one answer may take; what stands around them needs the rest.
const ROWS_BYTES_MAX: usize = 96 << 10;
const _: () = assert!(ROWS_BYTES_MAX + 4096 < PACKET_BYTES_MAX, "an answer travels in one packet");

/// The next rows of a list that is in an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// Those behind the one that was named.
    pub rows: Vec<T>,
    /// Nothing comes behind them.
    pub is_last: bool,
}

/// What was so from the time on that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part<T> {
    /// In the order of their times.
    pub rows: Vec<T>,
    /// Up to here it is everything; nanoseconds since 1970.
    pub until_ns: u64,
}

/// What cannot be cut any shorter.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("what belongs together is longer than an answer may be")]
pub struct TooLong;

impl<T: Serialize> Page<T> {
    /// As many of these rows as fit. `is_all` says whether nothing would come behind them.
    ///
    /// # Errors
    /// Not even the first one does.
    pub fn of(mut rows: Vec<T>, is_all: bool) -> Result<Self, TooLong> {
        let fitting = fitting(&rows);
        let is_last = is_all && fitting == rows.len();
        if fitting == 0 && !rows.is_empty() {
            return Err(TooLong);
        }
        rows.truncate(fitting);
        Ok(Self { rows, is_last })
    }
}

impl<T: Serialize> Part<T> {
    /// As many of these rows as fit, which are everything up to `until_ns`; what is of one instant is not torn apart.
    ///
    /// # Errors
    /// Not even the first instant fits.
    pub fn of(mut rows: Vec<T>, until_ns: u64, unix_ns: impl Fn(&T) -> u64) -> Result<Self, TooLong> {
        let fitting = fitting(&rows);
        let Some(next) = rows.get(fitting) else { return Ok(Self { rows, until_ns }) };
        let cut_ns = unix_ns(next);
        rows.truncate(fitting);
        rows.truncate(rows.partition_point(|row| unix_ns(row) < cut_ns));
        match cut_ns.checked_sub(1) {
            Some(until_ns) if !rows.is_empty() => Ok(Self { rows, until_ns }),
            _ => Err(TooLong),
        }
    }
}

/// How many of the first rows an answer has room for.
fn fitting<T: Serialize>(rows: &[T]) -> usize {
    let mut bytes = 0;
    let fits = |row: &T| {
        bytes += postcard::to_allocvec(row).map_or(ROWS_BYTES_MAX, |row| row.len());
        bytes < ROWS_BYTES_MAX
    };
    rows.iter().take(ROWS_MAX).map(fits).take_while(|fits| *fits).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_that_are_asked_for_one_after_another_are_everything_once(
            steps in prop::collection::vec((0u64..3, 0usize..40_000), 0..40)
        ) {
            let mut unix_ns = 10;
            let all: Vec<(u64, Vec<u8>)> = steps.into_iter().map(|(step, bytes)| {
                unix_ns += step;
                (unix_ns, vec![7; bytes])
            }).collect();
            let (mut from_ns, mut found) = (0, Vec::new());
            while from_ns <= 200 {
                let rest: Vec<_> = all.iter().filter(|row| row.0 >= from_ns).cloned().collect();
                let Ok(part) = Part::of(rest.clone(), 200, |row| row.0) else {
                    let first: usize = rest.iter().filter(|row| row.0 == rest[0].0).map(|row| row.1.len()).sum();
                    prop_assert!(first > ROWS_BYTES_MAX / 2, "{}", first);
                    return Ok(());
                };
                prop_assert!(part.until_ns >= from_ns && postcard::to_allocvec(&part).unwrap().len() < PACKET_BYTES_MAX);
                found.extend(part.rows);
                from_ns = part.until_ns + 1;
            }
            prop_assert_eq!(found, all);
        }
    }

    #[test]
    fn a_page_that_is_cut_is_not_the_last_one() {
        let rows = vec![vec![0_u8; 40_000]; 4];
        let page = Page::of(rows, true).unwrap();
        assert_eq!((page.rows.len(), page.is_last), (2, false));
        assert_eq!(Page::of(vec![vec![0_u8; ROWS_BYTES_MAX]], true), Err(TooLong));
        assert!(Page::<u8>::of(Vec::new(), true).unwrap().is_last);
    }
}
