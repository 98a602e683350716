//! The tabs that are one table: tags, setpoints, threads, events.

use std::time::Duration;

use rt_core::envelope::{Acted, Withheld};
use rt_core::record::Reply;
use shm_layout::{EventKind, EventRecord, TagPart};

use super::Picture;
use super::grid::{Cell, Column, Grid};
use super::numbers::{count, duration, number};
use crate::output::span;
use crate::screen::Look;
use crate::top::model::{Policy, Thread, printable};

/// A wide screen has longer bars and more columns.
const WIDE: u16 = 110;

impl Picture<'_> {
    pub(super) fn tags(&self, width: u16) -> Grid {
        let bar = if width >= WIDE { 30 } else { 16 };
        let columns = vec![
            Column::text("tag", 12),
            Column::number("value", 10),
            Column::text("unit", 8),
            Column::text("quality", 9),
            Column::number("age", 10),
            Column::text("range seen", bar),
            Column::number("lowest", 10).from(WIDE),
            Column::number("highest", 10).from(WIDE),
        ];
        let rows = self.model.tags.iter().enumerate().map(|(index, tag)| {
            let unit =
                self.model.description.as_ref().and_then(|of| of.tags.get(index)).map(|tag| printable(&tag.unit));
            let (quality, look) = quality(&tag.part);
            let (value, [lo, hi]) = (tag.part.value, tag.seen);
            let age = match tag.part.age() {
                None => Cell::number("never", f64::INFINITY),
                Some(ns) => Cell::number(age(ns), ns as f64),
            };
            let share = (value - lo) / (hi - lo);
            vec![
                Cell::text(self.model.tag_name(index)),
                Cell::number(number(value), value),
                Cell::text(unit.unwrap_or_default()),
                Cell::text(quality).look(look),
                age,
                Cell::number(self.theme.range_bar(value, lo, hi, bar), share),
                Cell::number(number(lo), lo),
                Cell::number(number(hi), hi),
            ]
        });
        Grid { columns, rows: rows.collect(), empty: "no cycle with tags was seen yet".into() }
    }

    pub(super) fn setpoints(&self, width: u16) -> Grid {
        let bar = if width >= WIDE { 30 } else { 11 };
        let columns = vec![
            Column::text("setpoint", 9),
            Column::number("raw", 8),
            Column::number("sent", 8),
            Column::number("last", 8),
            Column::number("plant", 8),
            Column::text("limits", 11),
            Column::text("state", 9),
            Column::text("range", bar),
            Column::number("lowest", 9).from(WIDE),
            Column::number("highest", 9).from(WIDE),
            Column::text("unit", 6).from(WIDE),
        ];
        let rows = self.model.setpoints.iter().enumerate().map(|(index, setpoint)| {
            let info = self.model.description.as_ref().and_then(|of| of.setpoints.get(index));
            let [lo, hi] = info.map_or([f64::NAN; 2], |info| [info.lo, info.hi]);
            let part = &setpoint.part;
            let on_plant = if part.readback.is_finite() { part.readback } else { part.last };
            let limits: Vec<_> = Acted::NAMES
                .iter()
                .filter(|(limit, _)| setpoint.acted & u32::from(limit.bits()) != 0)
                .map(|(_, name)| *name)
                .collect();
            let look = if limits.is_empty() { Look::Muted } else { Look::Doubtful };
            let limits = if limits.is_empty() { "none".into() } else { limits.join("+") };
            let (state, state_look) = state(part.state, part.reply);
            vec![
                Cell::text(self.model.setpoint_name(index)),
                Cell::number(number(part.desired), part.desired),
                Cell::number(number(part.sent), part.sent),
                Cell::number(number(part.last), part.last),
                Cell::number(number(part.readback), part.readback),
                Cell::text(limits).look(look),
                Cell::text(state).look(state_look),
                Cell::number(self.theme.range_bar(on_plant, lo, hi, bar), (on_plant - lo) / (hi - lo)),
                Cell::number(number(lo), lo),
                Cell::number(number(hi), hi),
                Cell::text(info.map_or(String::new(), |info| printable(&info.unit))),
            ]
        });
        Grid { columns, rows: rows.collect(), empty: "no cycle with setpoints was seen yet".into() }
    }

    pub(super) fn threads(&self) -> Grid {
        let columns = vec![
            Column::text("thread", 14),
            Column::text("of", 7),
            Column::number("tid", 7),
            Column::number("CPU", 3),
            Column::text("class", 5),
            Column::number("prio", 4),
            Column::number("share", 6),
            Column::number("minflt", 6),
            Column::number("majflt", 6),
            Column::number("vol", 6),
            Column::number("invol", 6),
        ];
        let rows = self.model.processes.threads.iter().map(thread);
        Grid { columns, rows: rows.collect(), empty: "no thread was seen yet".into() }
    }

    pub(super) fn events(&self) -> Grid {
        let columns = vec![
            Column::text("event", 18),
            Column::number("ago", 10),
            Column::number("cycle", 10),
            Column::text("cause", 34),
            Column::number("user", 4),
        ];
        let rows = self.model.events.iter().rev().map(|event| self.event(event));
        Grid { columns, rows: rows.collect(), empty: "no event was seen yet".into() }
    }

    fn event(&self, event: &EventRecord) -> Vec<Cell> {
        let kind = event.kind();
        let name = kind.map_or_else(|| format!("unknown {}", event.kind), |kind| kind.name().to_owned());
        let user = (event.uid != u32::MAX).then_some(event.uid);
        vec![
            Cell::text(name).look(kind.map_or(Look::Doubtful, gravity)),
            Cell::number(self.moment.since(event.time_ns), -(event.time_ns as f64)),
            Cell::number(event.cycle.to_string(), event.cycle as f64),
            Cell::text(self.cause(event)),
            Cell::number(user.map_or("-".into(), |uid| uid.to_string()), user.map_or(f64::NAN, f64::from)),
        ]
    }

    /// The event's text, with the tag or setpoint by name where it has only a number for it.
    fn cause(&self, event: &EventRecord) -> String {
        let text = printable(event.text());
        let index = event.a as usize;
        match event.kind() {
            Some(EventKind::TagBad | EventKind::TagGood) => format!("{} {text}", self.model.tag_name(index)),
            Some(
                EventKind::SetpointUnknown
                | EventKind::OperatorTook
                | EventKind::OperatorReturned
                | EventKind::ReadBackMismatch,
            ) => format!("{} ({text})", self.model.setpoint_name(index)),
            _ => text,
        }
    }
}

fn thread(thread: &Thread) -> Vec<Cell> {
    let real_time = matches!(thread.policy, Policy::Fifo | Policy::RoundRobin | Policy::Deadline);
    let number = |of: u64| Cell::number(count(of), of as f64);
    let switches = |of: Option<u64>| of.map_or(Cell::number("-", f64::NAN), number);
    vec![
        Cell::text(thread.name.clone()).look(if real_time { Look::Good } else { Look::Plain }),
        Cell::text(thread.process),
        Cell::number(thread.tid.to_string(), thread.tid.into()),
        Cell::number(thread.cpu.to_string(), thread.cpu.into()),
        Cell::text(thread.policy.name()),
        Cell::number(thread.priority.to_string(), thread.priority.into()),
        match thread.share {
            Some(share) => Cell::number(format!("{:.1}%", 100.0 * share), share),
            None => Cell::number("-", f64::NAN),
        },
        number(thread.minor_faults),
        number(thread.major_faults),
        switches(thread.switches.map(|(voluntary, _)| voluntary)),
        switches(thread.switches.map(|(_, involuntary)| involuntary)),
    ]
}

/// Young ages are told apart by their milliseconds.
fn age(ns: u64) -> String {
    const SECOND_NS: u64 = 1_000_000_000;
    if ns < SECOND_NS { span(ns) } else { duration(Duration::from_nanos(ns)) }
}

fn quality(part: &TagPart) -> (String, Look) {
    match part.quality {
        _ if part.is_stale() => ("STALE".into(), Look::Bad),
        0 => ("good".into(), Look::Good),
        1 => ("uncertain".into(), Look::Doubtful),
        2 => ("BAD".into(), Look::Bad),
        number => (format!("? {number}"), Look::Bad),
    }
}

/// What became of it: written as far as the plant has said so, or why not.
pub(super) fn state(number: u32, reply: u32) -> (String, Look) {
    match (number, Withheld::from_number(number), Reply::from_number(reply)) {
        (_, Some(Withheld::Mode), _) => ("mode".into(), Look::Muted),
        (_, Some(Withheld::Operator), _) => ("OPERATOR".into(), Look::Doubtful),
        // Between two attempts nothing is sent, because the value has to be read back: that is not what is wrong.
        (_, _, Some(Reply::Refused)) => ("REFUSED".into(), Look::Bad),
        (0, _, Some(Reply::Accepted)) => ("written".into(), Look::Good),
        (0, _, None) => ("sent".into(), Look::Doubtful),
        (_, Some(withheld), _) => (withheld.name().into(), Look::Bad),
        (number, ..) => (format!("? {number}"), Look::Bad),
    }
}

/// What an event is to somebody who looks for what went wrong.
const fn gravity(kind: EventKind) -> Look {
    match kind {
        EventKind::Trip
        | EventKind::Fault
        | EventKind::ConnectionDown
        | EventKind::SetpointRejected
        | EventKind::ReadBackMismatch
        | EventKind::LeaseLost
        | EventKind::LearnerLost
        | EventKind::TagBad => Look::Bad,
        EventKind::SlotsSkipped
        | EventKind::Lost
        | EventKind::Degraded
        | EventKind::Alarm
        | EventKind::OperatorTook
        | EventKind::SetpointUnknown
        | EventKind::PolicyRefused
        | EventKind::PolicyFailedTrial
        | EventKind::PolicyRolledBack
        | EventKind::LearnerStalled
        | EventKind::AccessRefused => Look::Doubtful,
        _ => Look::Plain,
    }
}
