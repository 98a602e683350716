//! Starts of a runtime that did not end in order: whoever keeps dying shall not go on arming itself.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::replace::{FILE_MODE, make_directory_of, remove, replace};

/// More are of no use to anybody.
const STARTS_KEPT: usize = 100;

/// Notes a start at `now_s`, seconds of the wall clock, in the file at `path`; how many starts within `within` were noted there
/// before and did not end in order. Starts that lie in the future count: it is the clock that was set.
///
/// # Errors
/// The system's, when the note cannot be kept; the count is told all the same.
pub fn note(path: &Path, now_s: u64, within: Duration) -> (usize, io::Result<()>) {
    let earlier = std::fs::read_to_string(path).unwrap_or_default();
    let earlier = earlier.lines().filter_map(|line| line.parse::<u64>().ok());
    let counts = |at: &u64| now_s.saturating_sub(*at) <= within.as_secs();
    let mut starts: Vec<_> = earlier.filter(counts).collect();
    let count = starts.len();
    starts.push(now_s);
    let kept = starts.iter().rev().take(STARTS_KEPT).rev();
    let text: String = kept.map(|at| format!("{at}\n")).collect();
    (count, make_directory_of(path).and_then(|()| replace(path, FILE_MODE, text.as_bytes())))
}

/// It ended in order: what was before is forgotten.
///
/// # Errors
/// The system's.
pub fn forget(path: &Path) -> io::Result<()> {
    remove(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(600);

    #[test]
    fn starts_count_for_their_time_and_until_one_ends_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("starts");
        let count = |now| {
            let (count, kept) = note(&path, now, WITHIN);
            kept.unwrap();
            count
        };
        assert_eq!([1_000, 1_001, 1_002, 1_600, 1_601].map(count), [0, 1, 2, 3, 3]);
        assert_eq!(count(1_500), 4, "the clock was set back");
        forget(&path).unwrap();
        forget(&path).unwrap();
        assert_eq!(count(1_502), 0);
    }

    #[test]
    fn a_file_of_anything_is_no_obstacle_and_one_that_cannot_be_kept_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("starts");
        std::fs::write(&path, "nonsense\n-1\n\n1000\n99999999999999999999999\n").unwrap();
        assert_eq!(note(&path, 1_010, WITHIN).0, 1);
        let (count, kept) = note(&path.join("below"), 1_010, WITHIN);
        assert_eq!((count, kept.map_err(|error| error.kind())), (0, Err(io::ErrorKind::AlreadyExists)));
        assert_eq!(note(&dir.path().join("new/starts"), 1_010, WITHIN).0, 0);
        let many: String = (0..10_000).map(|_| "1000\n").collect();
        std::fs::write(&path, many).unwrap();
        assert_eq!(note(&path, 1_010, WITHIN).0, 10_000);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), STARTS_KEPT);
    }
}
