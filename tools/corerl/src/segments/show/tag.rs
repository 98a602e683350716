//! A tag or setpoint: its value, and all that the records of the last cycles say of it.

use rt_control::{Address, Description};
use rt_core::envelope::{Acted, Withheld};
use rt_core::mode::Mode;
use rt_core::record::Reply;
use serde::Serialize;
use shm_layout::{CycleRef, SetpointPart, TagPart};
use watch::{Agent, From};

use super::super::follow::{Place, quality_name};
use super::super::found::now_ns;
use super::super::records::number;
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, span, table};

/// Characters of a range bar, its ends not counted.
const BAR: usize = 32;

/// What is known of one tag.
#[derive(Debug, Serialize)]
struct Known<'a> {
    agent: String,
    name: &'a str,
    unit: &'a str,
    cycle: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<Read>,
    #[serde(skip_serializing_if = "Option::is_none")]
    setpoint: Option<Driven>,
    /// The smallest and the largest value among the records that are still there.
    seen: [f64; 2],
}

/// What the plant says.
#[derive(Debug, Serialize)]
struct Read {
    value: f64,
    quality: String,
    /// `None`: there never was a value.
    age_ns: Option<u64>,
}

/// What is done to it.
#[derive(Debug, Serialize)]
struct Driven {
    range: [f64; 2],
    writer: String,
    asked: f64,
    sent: f64,
    /// What the plant answered last; `None` before its first answer on a connection.
    reply: Option<&'static str>,
    last: f64,
    readback: f64,
    /// The limits that acted last, and in which cycle; empty when none of the records that are still there has any.
    limits: Vec<&'static str>,
    limits_cycle: Option<u64>,
    limits_ago_ns: Option<u64>,
}

/// What the records say, gathered from the oldest to the newest.
#[derive(Debug)]
struct Trace {
    place: Place,
    newest: Option<Newest>,
    seen: [f64; 2],
    acted: Option<(u64, u64, u32)>,
}

#[derive(Debug)]
struct Newest {
    cycle: u64,
    mode: u8,
    generation: u64,
    tag: Option<TagPart>,
    setpoint: Option<SetpointPart>,
}

pub(super) fn print(address: Address, name: &str, json: bool) -> Result<Exit, Failure> {
    let mut agent = Agent::new(address, From::Oldest);
    let label = agent.label();
    let memory = agent.look()?;
    let mut trace = Trace::of(Place::named(name, memory.description())?);
    // What was overwritten before it was read is older than all that is shown.
    let _ = memory.cycles(|cycle| trace.take(cycle));
    let known = trace.known(label, memory.description()).ok_or_else(|| {
        Failure::new(Exit::Temporary, "no cycle was recorded yet: try again when the runtime has begun")
    })?;
    if json {
        print_json("corerl.shm.tag/1", &known)?;
    } else {
        print_text(&for_people(&known))?;
    }
    Ok(Exit::Fine)
}

impl Trace {
    fn of(place: Place) -> Self {
        Self { place, newest: None, seen: [f64::INFINITY, f64::NEG_INFINITY], acted: None }
    }

    fn take(&mut self, cycle: &CycleRef<'_>) {
        let (tag, setpoint) = self.place.parts(cycle);
        let value = tag.map(|part| part.value).or_else(|| setpoint.map(|part| part.sent)).unwrap_or(f64::NAN);
        if value.is_finite() {
            let [lo, hi] = self.seen;
            self.seen = [lo.min(value), hi.max(value)];
        }
        let curbed = !u32::from(Acted::ROUNDED.bits());
        if let Some(part) = setpoint.filter(|part| part.acted & curbed != 0) {
            self.acted = Some((cycle.head.cycle, cycle.head.release_ns, part.acted));
        }
        let head = cycle.head;
        self.newest = Some(Newest {
            cycle: head.cycle,
            mode: head.mode,
            generation: head.policy_generation,
            tag: tag.copied(),
            setpoint: setpoint.copied(),
        });
    }

    fn known<'a>(&'a self, agent: String, description: &Description) -> Option<Known<'a>> {
        let newest = self.newest.as_ref()?;
        let read =
            newest.tag.map(|part| Read { value: part.value, quality: quality_name(part.quality), age_ns: part.age() });
        let described = self.place.setpoint.and_then(|index| description.setpoints.get(index));
        let setpoint = newest.setpoint.zip(described).map(|(part, described)| Driven {
            range: [described.lo, described.hi],
            writer: writer(newest, &part),
            asked: part.desired,
            sent: part.sent,
            reply: Reply::from_number(part.reply).map(Reply::name),
            last: part.last,
            readback: part.readback,
            limits: self.acted.map(|(_, _, bits)| limits(bits)).unwrap_or_default(),
            limits_cycle: self.acted.map(|(cycle, ..)| cycle),
            limits_ago_ns: self.acted.map(|(_, release_ns, _)| now_ns().saturating_sub(release_ns)),
        });
        let Place { name, unit, .. } = &self.place;
        Some(Known { agent, name, unit, cycle: newest.cycle, read, setpoint, seen: self.seen })
    }
}

fn limits(bits: u32) -> Vec<&'static str> {
    let acting = Acted::NAMES.iter().filter(|(limit, _)| bits & u32::from(limit.bits()) != 0);
    acting.map(|(_, name)| *name).collect()
}

/// Who puts values there at present.
fn writer(newest: &Newest, part: &SetpointPart) -> String {
    match Withheld::from_number(part.state) {
        Some(Withheld::Operator) => return "a person on the plant".to_owned(),
        Some(why) => return format!("nobody: {}", why.name().replace('_', " ")),
        None => {}
    }
    match Mode::from_number(newest.mode) {
        Some(Mode::Run) if newest.generation == 0 => "the nominal policy".to_owned(),
        Some(Mode::Run) => format!("the policy, generation {}", newest.generation),
        Some(Mode::Hold) => "the runtime, which holds the last value".to_owned(),
        Some(Mode::Fallback) => "the fallback".to_owned(),
        _ => "nobody".to_owned(),
    }
}

fn for_people(known: &Known<'_>) -> String {
    let unit = if known.unit.is_empty() { String::new() } else { format!(" {}", known.unit) };
    let with_unit = |value: f64| format!("{}{unit}", number(value));
    let what = if known.setpoint.is_some() { "setpoint" } else { "tag" };
    let mut rows = vec![[what.to_owned(), format!("{} of {}, in cycle {}", known.name, known.agent, known.cycle)]];
    let mut row = |title: &str, text: String| rows.push([title.to_owned(), text]);
    if let Some(read) = &known.read {
        let age = read.age_ns.map_or("never read".to_owned(), |age_ns| format!("{} old", span(age_ns)));
        row("value", format!("{}, {}, {age}", with_unit(read.value), read.quality));
    }
    let value = known.read.as_ref().map(|read| read.value);
    match &known.setpoint {
        Some(driven) => {
            row("range", bar(value.unwrap_or(driven.sent), driven.range));
            row("written by", driven.writer.clone());
            row("asked for", with_unit(driven.asked));
            row("sent", sent(with_unit(driven.sent), driven.reply));
            row("read back", with_unit(driven.readback));
            row("limits", acted(driven));
        }
        None => {
            row("seen", bar(value.unwrap_or(f64::NAN), known.seen));
            row("written by", "the plant".to_owned());
        }
    }
    table(&rows)
}

/// What became of what was sent, as far as the plant has answered.
fn sent(value: String, reply: Option<&str>) -> String {
    format!("{value} (the plant's last answer: {})", reply.unwrap_or("none yet"))
}

fn acted(driven: &Driven) -> String {
    match (driven.limits_cycle, driven.limits_ago_ns) {
        (Some(cycle), Some(ago)) => format!("{}, last in cycle {cycle}, {} ago", driven.limits.join(", "), span(ago)),
        _ => "none acted in the cycles that are still recorded".to_owned(),
    }
}

/// Where a value lies between two others: `0 [-----|---] 1`; an arrow at the end that it is beyond.
fn bar(value: f64, [lo, hi]: [f64; 2]) -> String {
    if !(lo.is_finite() && hi.is_finite() && lo <= hi) {
        return "-".to_owned();
    }
    let mut cells = vec!['-'; BAR];
    // A range without width has all of its value in the middle.
    let part = if hi > lo { (value - lo) / (hi - lo) } else { 0.5 };
    let (at, mark) = match part {
        part if part.is_nan() => (0, '-'),
        part if part < 0.0 => (0, '<'),
        part if part > 1.0 => (BAR - 1, '>'),
        part => (((BAR - 1) as f64 * part).round() as usize, '|'),
    };
    if let Some(cell) = cells.get_mut(at) {
        *cell = mark;
    }
    format!("{} [{}] {}", number(lo), cells.into_iter().collect::<String>(), number(hi))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_where_a_value_lies_whatever_it_is() {
        let marks = |value, range| {
            let bar = bar(value, range);
            bar.chars().position(|c| "|<>".contains(c)).map(|at| (at, bar.chars().nth(at).unwrap()))
        };
        let first = "0.00000 [".len();
        assert_eq!(marks(0.0, [0.0, 1.0]), Some((first, '|')));
        assert_eq!(marks(1.0, [0.0, 1.0]), Some((first + BAR - 1, '|')));
        assert_eq!(marks(-3.0, [0.0, 1.0]), Some((first, '<')));
        assert_eq!(marks(f64::INFINITY, [0.0, 1.0]), Some((first + BAR - 1, '>')));
        assert_eq!(marks(f64::NAN, [0.0, 1.0]), None);
        assert_eq!(marks(2.0, [2.0, 2.0]), Some((first + BAR / 2, '|')));
        assert_eq!(bar(0.0, [f64::INFINITY, f64::NEG_INFINITY]), "-");
    }
}
