//! An archive's files, a question at a time.

use std::time::Duration;

use archive::{Reader, Timed};

use crate::message::{Answer, Question, Refusal};
use crate::parts::{Page, Part, ROWS_MAX, TooLong};
use crate::past::{AskError, Missed, Past, Source};

/// So much time is read at once at first, nanoseconds.
const SLICE_NS: u64 = 600_000_000_000;
/// And at most: of a track that may have a point every millisecond, and of events, which are rare.
const POINTS_NS_MAX: u64 = 3_600_000_000_000;
const EVENTS_NS_MAX: u64 = DAY_NS;
/// Slices in one answer at most, so that it does not take too long where nothing is.
const SLICES_MAX: usize = 512;
/// Buckets are read of so much time at once, at most, unless one of them is longer.
const DAY_NS: u64 = 86_400_000_000_000;
/// Longer ones are refused, days.
const WIDTH_DAYS_MAX: u64 = 31;
/// Shorter ones, too: what is held for an hour would be so many pieces. Nanoseconds.
const WIDTH_NS_MIN: u64 = 100_000_000;
/// Buckets that one answer has room for.
const BUCKETS_MAX: u64 = 1000;

/// An archive that answers as a historian does.
#[derive(Debug)]
pub struct Files(pub Reader);

impl Source for Files {
    fn answer(&self, question: &Question) -> Result<Answer, AskError> {
        let past: &dyn Past = &self.0;
        Ok(match question {
            Question::Runs { after } => Answer::Runs(Page::of(behind(past.runs()?, *after, |run| run.id), true)?),
            Question::Tracks { after } => {
                Answer::Tracks(Page::of(behind(past.tracks()?, *after, |track| (track.run, track.id)), true)?)
            }
            Question::Newest { run, after } => Answer::Newest(Page::of(
                behind(past.newest(*run)?.into_iter().collect(), *after, |(track, _)| *track),
                true,
            )?),
            Question::Points { track, from_ns, to_ns } => {
                let read = |from_ns, to_ns| past.between(track, from_ns, to_ns);
                let mut part = slices(*from_ns, *to_ns, POINTS_NS_MAX, read)?;
                part.rows.sort_by_key(|timed: &Timed| timed.unix_ns);
                Answer::Points(Part::of(part.rows, part.until_ns, |timed| timed.unix_ns)?)
            }
            Question::Events { from_ns, to_ns } => {
                let part = slices(*from_ns, *to_ns, EVENTS_NS_MAX, |from_ns, to_ns| past.events(from_ns, to_ns))?;
                Answer::Events(Part::of(part.rows, part.until_ns, |(_, event)| event.unix_ns)?)
            }
            Question::Gaps { from_ns, to_ns, after } => {
                let key = |missed: &Missed| (missed.run, missed.gap.what, missed.gap.first);
                Answer::Gaps(Page::of(behind(past.gaps(*from_ns, *to_ns)?, *after, key), true)?)
            }
            Question::Buckets { track, from_ns, to_ns, width_ns } => {
                let until_ns = bucket_window(*from_ns, *to_ns, *width_ns)?;
                let buckets = past.buckets(track, *from_ns, until_ns, Duration::from_nanos(*width_ns))?;
                Answer::Buckets(Part::of(buckets, until_ns, |bucket| bucket.unix_ns)?)
            }
            Question::Hello { .. } | Question::Status => return Err(Refusal::NotUnderstood.into()),
        })
    }
}

impl From<TooLong> for AskError {
    fn from(_: TooLong) -> Self {
        Refusal::TooLong.into()
    }
}

/// Up to where buckets that begin from a time on are reckoned for one answer: not so many that they do not fit it, and not over so
/// long a time that nobody waits for it.
///
/// # Errors
/// One bucket alone is too long, or too short.
pub fn bucket_window(from_ns: u64, to_ns: u64, width_ns: u64) -> Result<u64, Refusal> {
    if !(WIDTH_NS_MIN..=WIDTH_DAYS_MAX * DAY_NS).contains(&width_ns) {
        return Err(Refusal::Width { least_ms: WIDTH_NS_MIN / 1_000_000, most_days: WIDTH_DAYS_MAX });
    }
    let many = width_ns.saturating_mul(BUCKETS_MAX).min(DAY_NS.max(width_ns));
    Ok(from_ns.saturating_add(many.max(1) - 1).min(to_ns))
}

/// What comes behind a row, in the order of keys; one more than fits an answer is enough.
fn behind<T, K: Ord + Copy>(mut rows: Vec<T>, after: Option<K>, key: impl Fn(&T) -> K) -> Vec<T> {
    rows.retain(|row| Some(key(row)) > after);
    rows.sort_by_key(key);
    rows.truncate(ROWS_MAX + 1);
    rows
}

/// Reads slice by slice until there is enough for an answer.
fn slices<T>(
    from_ns: u64,
    to_ns: u64,
    slice_ns_max: u64,
    read: impl Fn(u64, u64) -> Result<Vec<T>, AskError>,
) -> Result<Part<T>, AskError> {
    let mut part = Part { rows: Vec::new(), until_ns: to_ns };
    let (mut next_ns, mut slice_ns) = (from_ns, SLICE_NS);
    for _ in 0..SLICES_MAX {
        let until_ns = next_ns.saturating_add(slice_ns - 1).min(to_ns);
        part.rows.extend(read(next_ns, until_ns)?);
        part.until_ns = until_ns;
        if until_ns >= to_ns || part.rows.len() >= ROWS_MAX {
            break;
        }
        next_ns = until_ns + 1;
        slice_ns = (slice_ns * 2).min(slice_ns_max);
    }
    Ok(part)
}
