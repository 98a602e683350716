//! What a scenario expects.

use std::fmt;

use rt_core::mode::Mode;
use rt_core::tag::Quality;

use super::{Verdict, Window};
use crate::scenario::{Expectation, Wanted};
use crate::take::{CycleSeen, Take, WriteSeen};

/// What was found, what was required, and whether that is enough.
type Finding = (String, String, bool);

pub(super) fn judge(expectation: &Expectation, take: &Take, window: Window) -> Verdict {
    let tolerance = expectation.tolerance;
    let (found, required, ok) = match &expectation.wanted {
        Wanted::Reaches(mode) => reached(take, window, |cycle| cycle.mode() == Some(*mode)),
        Wanted::Quality { tag, quality } => {
            reached(take, window, |cycle| cycle.tags.get(*tag).is_some_and(|(_, found)| *found == *quality as u8))
        }
        Wanted::Value { setpoint, is } => reached(take, window, |cycle| {
            let sent = cycle.setpoints.get(*setpoint).filter(|sent| sent.written).and_then(|sent| sent.sent);
            sent.is_some_and(|sent| (sent - is).abs() <= tolerance)
        }),
        Wanted::Settles(mode) => settled(*mode, take, window),
        Wanted::Passes(modes) => passed(modes, take, window),
        Wanted::Stays(mode) => held(take, window, |cycle| cycle.mode() == Some(*mode)),
        Wanted::Never(mode) => held(take, window, |cycle| cycle.mode() != Some(*mode)),
        Wanted::Event { kind, says, at_least, at_most } => {
            let is_one = |event: &&crate::take::EventSeen| {
                window.holds(event.at) && event.kind == kind.name() && event.text.contains(says.as_str())
            };
            let count = take.events.iter().filter(is_one).count() as u64;
            let required = match at_most {
                None => format!("{at_least} or more"),
                Some(at_most) => format!("{at_least} to {at_most}"),
            };
            let ok = count >= *at_least && at_most.is_none_or(|at_most| count <= at_most);
            (count.to_string(), required, ok)
        }
        Wanted::Error { tag, target, below, mean } => {
            let values = seen(take, window).filter_map(|cycle| cycle.tags.get(*tag)?.0);
            let errors: Vec<_> = values.map(|value| (value - target).abs()).collect();
            let found = if *mean { average(&errors) } else { errors.iter().copied().reduce(f64::max) };
            measured(found, format!("below {below}"), |found| found < below + tolerance)
        }
        Wanted::Reward(at_least) => {
            let rewards: Vec<_> = seen(take, window).filter_map(|cycle| cycle.reward).collect();
            measured(average(&rewards), format!("{at_least} or more"), |found| found >= at_least - tolerance)
        }
        Wanted::LostSlots(at_most) => {
            let lost: u64 = take.cycles.iter().map(|cycle| u64::from(cycle.skipped)).sum();
            (lost.to_string(), format!("{at_most} at most"), lost as f64 <= *at_most as f64 + tolerance)
        }
        Wanted::HistoryLost(at_most) => match take.history {
            Some(history) => {
                let rewards = take.cycles.iter().filter(|cycle| cycle.reward.is_some()).count() as u64;
                let lost = history.lost + rewards.saturating_sub(history.rewards);
                let found = format!("{lost}, and {} rewards are kept", history.rewards);
                (found, format!("{at_most} at most"), lost <= *at_most && history.rewards > 0)
            }
            None => ("no historian has kept anything".to_owned(), format!("{at_most} at most"), false),
        },
        Wanted::Untouched(setpoint) => untouched(*setpoint, take, window),
        Wanted::NoWrite(setpoint) => match at_plant(*setpoint, take, window) {
            Some(count) => (format!("{count} writes at the plant"), "0".to_owned(), count == 0),
            None => ("the plant does not tell".to_owned(), "0".to_owned(), false),
        },
    };
    Verdict { expectation: expectation.to_string(), found, required, ok }
}

fn seen(take: &Take, window: Window) -> impl Iterator<Item = &CycleSeen> {
    take.cycles.iter().filter(move |cycle| window.holds(cycle.at))
}

pub(crate) fn average(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

fn measured(found: Option<f64>, required: String, is_enough: impl FnOnce(f64) -> bool) -> Finding {
    match found {
        Some(found) => (format!("{found:.6}"), required, is_enough(found)),
        None => ("no value in the window".to_owned(), required, false),
    }
}

/// The first cycle that is so. It may come late: then it is told how late.
fn reached(take: &Take, window: Window, is_so: impl Fn(&CycleSeen) -> bool) -> Finding {
    let first = take.cycles.iter().find(|cycle| cycle.at >= window.from && is_so(cycle));
    came(first.map(|cycle| cycle.at), window)
}

fn came(at: Option<i64>, window: Window) -> Finding {
    match at {
        Some(at) => (format!("after {}", window.told(at)), window.limit(), at <= window.to),
        None => ("never".to_owned(), window.limit(), false),
    }
}

/// The first cycle from which on the mode stays to the timeline's end; what the programs' own end does is another matter.
fn settled(mode: Mode, take: &Take, window: Window) -> Finding {
    let after = take.cycles.iter().filter(|cycle| (window.from..=take.end).contains(&cycle.at));
    let stretch = after.rev().take_while(|cycle| cycle.mode() == Some(mode)).last();
    came(stretch.map(|cycle| cycle.at), window)
}

/// Modes that are entered in this order, others perhaps between.
fn passed(modes: &[Mode], take: &Take, window: Window) -> Finding {
    let entered = take.cycles.windows(2).filter_map(|pair| match pair {
        [before, cycle] if before.mode != cycle.mode => Some(cycle),
        _ => None,
    });
    let entered: Vec<_> = entered.filter(|cycle| window.holds(cycle.at)).filter_map(CycleSeen::mode).collect();
    let mut due = modes.iter().peekable();
    for mode in &entered {
        due.next_if(|due| *due == mode);
    }
    (names(&entered), format!("{}, {}", names(modes), window.limit()), due.peek().is_none())
}

/// Every cycle of the window is so, and there are some.
fn held(take: &Take, window: Window, is_so: impl Fn(&CycleSeen) -> bool) -> Finding {
    let required = format!("in every cycle from {} to {}", window.told(window.from), window.told(window.to));
    let count = seen(take, window).count();
    let mut others = seen(take, window).filter(|cycle| !is_so(cycle));
    match others.next() {
        None => (format!("{count} cycles"), required, count > 0),
        Some(first) => {
            let mode = first.mode().map_or("?", Mode::name);
            let found = format!("{} of {count} cycles not, {mode} at {}", others.count() + 1, window.told(first.at));
            (found, required, false)
        }
    }
}

/// No cycle writes it, and the plant has seen no write of it.
fn untouched(setpoint: usize, take: &Take, window: Window) -> Finding {
    let is_written = |cycle: &&CycleSeen| cycle.setpoints.get(setpoint).is_some_and(|sent| sent.written);
    let by_cycles = seen(take, window).filter(is_written).count();
    let at_plant = at_plant(setpoint, take, window).unwrap_or(0);
    let cycles = seen(take, window).count();
    let found = format!("written in {by_cycles} of {cycles} cycles, {at_plant} writes at the plant");
    (found, "0".to_owned(), by_cycles == 0 && at_plant == 0 && cycles > 0)
}

/// How many writes of it the plant has seen; `None` where it does not tell.
fn at_plant(setpoint: usize, take: &Take, window: Window) -> Option<usize> {
    let node = take.setpoints.get(setpoint).map(|setpoint| setpoint.node.as_str());
    let is_one = |write: &&WriteSeen| window.holds(write.at) && Some(write.node.as_str()) == node;
    Some(take.writes.as_ref()?.iter().filter(is_one).count())
}

fn names(modes: &[Mode]) -> String {
    if modes.is_empty() {
        return "no mode".to_owned();
    }
    modes.iter().map(|mode| mode.name()).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wanted {
            Wanted::Reaches(mode) => write!(f, "mode {}", mode.name())?,
            Wanted::Stays(mode) => write!(f, "mode {} stays", mode.name())?,
            Wanted::Never(mode) => write!(f, "never mode {}", mode.name())?,
            Wanted::Settles(mode) => write!(f, "mode {} for good", mode.name())?,
            Wanted::Passes(modes) => write!(f, "modes {}", names(modes))?,
            Wanted::Event { kind, says, .. } if says.is_empty() => write!(f, "event {kind}")?,
            Wanted::Event { kind, says, .. } => write!(f, "event {kind} \"{says}\"")?,
            Wanted::Error { mean: true, target, .. } => write!(f, "mean error from {target}")?,
            Wanted::Error { target, .. } => write!(f, "largest error from {target}")?,
            Wanted::Reward(_) => f.write_str("mean reward")?,
            Wanted::LostSlots(_) => f.write_str("lost slots")?,
            Wanted::HistoryLost(_) => f.write_str("lost to history")?,
            Wanted::Untouched(_) => f.write_str("the setpoint is not written")?,
            Wanted::NoWrite(_) => f.write_str("nothing is written to the plant")?,
            Wanted::Quality { quality, .. } => write!(f, "a tag is {}", name_of(*quality))?,
            Wanted::Value { is, .. } => write!(f, "the setpoint is {is}")?,
        }
        match &self.after {
            Some(after) => write!(f, ", after {}", after.name),
            None => Ok(()),
        }
    }
}

const fn name_of(quality: Quality) -> &'static str {
    match quality {
        Quality::Good => "good",
        Quality::Uncertain => "uncertain",
        Quality::Bad => "bad",
    }
}
