//! Everything of an answer that comes in parts.

use std::collections::BTreeMap;
use std::time::Duration;

use archive::{Bucket, Event, RunId, RunInfo, Timed, TrackId, TrackInfo};

use crate::message::{Answer, Question};
use crate::parts::{Page, Part};
use crate::past::{AskError, Missed, Past, Source};

/// Rows that one question may bring together at most.
const TOGETHER_MAX: usize = 1 << 22;

/// A source that is asked until it has said everything. It is an allegation: an answer that does not lead on ends the asking.
pub struct Asked<S>(pub S);

impl<S> std::fmt::Debug for Asked<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asked")
    }
}

impl<S: Source> Asked<S> {
    /// Pages, each behind the last row of the one before.
    fn pages<T, K: Ord + Copy>(
        &self,
        question: impl Fn(Option<K>) -> Question,
        page: impl Fn(Answer) -> Option<Page<T>>,
        key: impl Fn(&T) -> K,
    ) -> Result<Vec<T>, AskError> {
        let mut all: Vec<T> = Vec::new();
        loop {
            let after = all.last().map(&key);
            let Page { rows, is_last } = page(self.0.answer(&question(after))?).ok_or(AskError::NotUnderstood)?;
            let leads_on = rows.iter().map(|row| Some(key(row))).is_sorted_by(|one, next| one < next)
                && rows.first().is_none_or(|first| after < Some(key(first)));
            if !leads_on || rows.is_empty() && !is_last {
                return Err(AskError::NotUnderstood);
            }
            extend(&mut all, rows)?;
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Parts, each from the end of the one before.
    fn parts<T>(
        &self,
        (from_ns, to_ns): (u64, u64),
        question: impl Fn(u64) -> Question,
        part: impl Fn(Answer) -> Option<Part<T>>,
    ) -> Result<Vec<T>, AskError> {
        let mut all = Vec::new();
        let mut next_ns = from_ns;
        while next_ns <= to_ns {
            let Part { rows, until_ns } = part(self.0.answer(&question(next_ns))?)
                .filter(|part| part.until_ns >= next_ns)
                .ok_or(AskError::NotUnderstood)?;
            extend(&mut all, rows)?;
            let Some(next) = until_ns.checked_add(1) else { break };
            next_ns = next;
        }
        Ok(all)
    }
}

fn extend<T>(all: &mut Vec<T>, rows: Vec<T>) -> Result<(), AskError> {
    if rows.len() > TOGETHER_MAX - all.len() {
        return Err(AskError::TooMany(TOGETHER_MAX));
    }
    all.extend(rows);
    Ok(())
}

impl<S: Source> Past for Asked<S> {
    fn runs(&self) -> Result<Vec<RunInfo>, AskError> {
        let page = |answer| if let Answer::Runs(page) = answer { Some(page) } else { None };
        self.pages(|after| Question::Runs { after }, page, |run| run.id)
    }

    fn tracks(&self) -> Result<Vec<TrackInfo>, AskError> {
        let page = |answer| if let Answer::Tracks(page) = answer { Some(page) } else { None };
        self.pages(|after| Question::Tracks { after }, page, |track| (track.run, track.id))
    }

    fn newest(&self, run: RunId) -> Result<BTreeMap<TrackId, Timed>, AskError> {
        let page = |answer| if let Answer::Newest(page) = answer { Some(page) } else { None };
        Ok(self.pages(|after| Question::Newest { run, after }, page, |(track, _)| *track)?.into_iter().collect())
    }

    fn between(&self, track: &TrackInfo, from_ns: u64, to_ns: u64) -> Result<Vec<Timed>, AskError> {
        let part = |answer| if let Answer::Points(part) = answer { Some(part) } else { None };
        self.parts((from_ns, to_ns), |from_ns| Question::Points { track: track.clone(), from_ns, to_ns }, part)
    }

    fn events(&self, from_ns: u64, to_ns: u64) -> Result<Vec<(RunId, Event)>, AskError> {
        let part = |answer| if let Answer::Events(part) = answer { Some(part) } else { None };
        self.parts((from_ns, to_ns), |from_ns| Question::Events { from_ns, to_ns }, part)
    }

    fn gaps(&self, from_ns: u64, to_ns: u64) -> Result<Vec<Missed>, AskError> {
        let page = |answer| if let Answer::Gaps(page) = answer { Some(page) } else { None };
        let key = |missed: &Missed| (missed.run, missed.gap.what, missed.gap.first);
        let mut gaps = self.pages(|after| Question::Gaps { from_ns, to_ns, after }, page, key)?;
        gaps.sort_by_key(|missed| (missed.begin_ns(), key(missed)));
        Ok(gaps)
    }

    fn buckets(&self, track: &TrackInfo, from_ns: u64, to_ns: u64, width: Duration) -> Result<Vec<Bucket>, AskError> {
        let width_ns = u64::try_from(width.as_nanos()).unwrap_or(u64::MAX).max(1);
        let part = |answer| if let Answer::Buckets(part) = answer { Some(part) } else { None };
        let question = |from_ns| Question::Buckets { track: track.clone(), from_ns, to_ns, width_ns };
        self.parts((from_ns, to_ns), question, part)
    }
}
