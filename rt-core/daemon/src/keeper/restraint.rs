//! How often the same is said: what goes on and on is counted, and told in sums.

use std::collections::{BTreeMap, VecDeque};

use rt_core::time::{MonoTime, Span};

/// So much about one subject is said within [`WINDOW`]; what exceeds it is counted.
const SAID_MAX: usize = 8;
/// The window; and a subject that was quiet for as long is at rest again.
const WINDOW: Span = Span::from_ms(10 * 60_000);
/// How often the sum of what was counted is told.
const SUM_EVERY: Span = Span::from_ms(5 * 60_000);

/// In a fault that does not end, no more than ten lines in ten minutes.
const _: () = assert!(SAID_MAX as u64 + WINDOW.as_ns() / SUM_EVERY.as_ns() <= 10);

/// What is counted together: a kind of happening, of one connection or setpoint if it has such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) of: u64,
    /// Its sums belong into the audit log, too.
    pub(crate) audited: bool,
}

/// What to do with a happening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Say it.
    Say,
    /// Say it, and that the next ones are counted.
    SayAsTheLast,
    /// It was counted.
    Count,
}

/// Keeps count of everything that may go on and on.
#[derive(Debug, Default)]
pub(crate) struct Restraint {
    heard: BTreeMap<Subject, Heard>,
}

#[derive(Debug)]
struct Heard {
    /// When something was said, within the window.
    said: VecDeque<MonoTime>,
    /// Since when, at most, things are counted instead.
    summed: Option<MonoTime>,
    counted: u64,
    last: MonoTime,
}

impl Restraint {
    /// Judges one happening.
    pub(crate) fn judge(&mut self, subject: Subject, now: MonoTime) -> Verdict {
        let new = || Heard { said: VecDeque::with_capacity(SAID_MAX), summed: None, counted: 0, last: now };
        let heard = self.heard.entry(subject).or_insert_with(new);
        heard.last = now;
        if heard.summed.is_some() {
            heard.counted += 1;
            return Verdict::Count;
        }
        heard.said.retain(|at| now.since(*at) < WINDOW);
        heard.said.push_back(now);
        if heard.said.len() < SAID_MAX {
            return Verdict::Say;
        }
        heard.summed = Some(now);
        Verdict::SayAsTheLast
    }

    /// The sums that are due.
    pub(crate) fn sums(&mut self, now: MonoTime) -> Vec<(Subject, u64)> {
        let mut due = Vec::new();
        for (subject, heard) in &mut self.heard {
            let Some(summed) = heard.summed else { continue };
            if heard.counted > 0 && now.since(summed) >= SUM_EVERY {
                due.push((*subject, heard.counted));
                (heard.counted, heard.summed) = (0, Some(now));
            }
            if heard.counted == 0 && now.since(heard.last) >= WINDOW {
                heard.summed = None;
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Subject = Subject { name: "connection", of: 0, audited: false };

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Span::from_ms(ms)
    }

    /// Everything that is said about something that happens this often for an hour, and what the sums add up to.
    fn hour_of(every_ms: u64) -> (Vec<u64>, u64) {
        let mut restraint = Restraint::default();
        let (mut said, mut summed) = (Vec::new(), 0);
        for ms in (0..3_600_000).step_by(usize::try_from(every_ms).unwrap()) {
            for (_, count) in restraint.sums(at(ms)) {
                said.push(ms);
                summed += count;
            }
            if restraint.judge(LINK, at(ms)) != Verdict::Count {
                said.push(ms);
            }
        }
        (said, summed + restraint.heard[&LINK].counted)
    }

    #[test]
    fn f95_a_fault_that_toggles_is_said_ten_times_in_ten_minutes_at_most_and_counted_in_full() {
        for every_ms in [5, 100, 1_000, 30_000, 70_000] {
            let (said, counted) = hour_of(every_ms);
            for window in said.windows(11) {
                assert!(window[10] - window[0] >= WINDOW.as_ns() / 1_000_000, "{every_ms} ms: {window:?}");
            }
            // Sums and what was said one by one account for every happening.
            let (happened, lines) = (3_600_000_u64.div_ceil(every_ms), said.len() as u64);
            assert!(counted > 0 && happened - counted <= lines && lines <= happened - counted + 12, "{every_ms} ms");
        }
    }

    #[test]
    fn f95_what_happens_seldom_is_always_said() {
        let (said, counted) = hour_of(90_000);
        assert_eq!((said.len(), counted), (40, 0));
    }

    #[test]
    fn f94_of_an_error_in_every_cycle_nothing_is_said_but_the_beginning_and_the_sums() {
        let (said, counted) = hour_of(5);
        assert_eq!((said.len(), counted), (SAID_MAX + 11, 720_000 - SAID_MAX as u64));
    }

    #[test]
    fn the_last_one_is_announced_and_after_a_quiet_while_all_is_as_before() {
        let mut restraint = Restraint::default();
        let verdicts: Vec<_> = (0..10).map(|ms| restraint.judge(LINK, at(ms))).collect();
        assert_eq!(verdicts[SAID_MAX - 2..], [Verdict::Say, Verdict::SayAsTheLast, Verdict::Count, Verdict::Count]);
        let other = Subject { of: 1, ..LINK };
        assert_eq!(restraint.judge(other, at(11)), Verdict::Say, "another connection is another subject");
        assert_eq!(restraint.sums(at(299_999)), []);
        assert_eq!(restraint.sums(at(300_007)), [(LINK, 2)]);
        assert_eq!(restraint.judge(LINK, at(300_008)), Verdict::Count);
        assert_eq!(restraint.sums(at(600_007)), [(LINK, 1)]);
        assert_eq!(restraint.sums(at(900_008)), []);
        assert_eq!(restraint.judge(LINK, at(900_009)), Verdict::Say);
    }
}
