//! What must hold of one setpoint: in the sets that leave the cycle, and at the node of the plant.

use std::collections::VecDeque;

use rt_config::Setpoint;
use rt_core::envelope::{Acted, Limits, LimitsByMode};
use rt_core::mode::Mode;
use rt_core::record::SetpointRow;
use rt_core::setpoint::{Rate, ScalarKind};
use rt_core::tag::TagId;
use rt_core::time::{MonoTime, Span};

use super::super::witness::Witness;
use super::{Times, Verdict, demand};

/// How many readings and values of the node are remembered.
const REMEMBERED: usize = 64;
/// Rounding of sums, relative.
const ROUNDING: f64 = 1e-9;

/// A value and its moment.
#[derive(Clone, Copy, Debug)]
struct At {
    value: f64,
    at: MonoTime,
}

/// One setpoint.
pub(super) struct Watched {
    pub(super) tag: TagId,
    pub(super) kind: Option<ScalarKind>,
    limits: LimitsByMode,
    /// What the cycle before this one sent, and what any did.
    sent_before: Option<At>,
    sent_last: Option<At>,
    /// When recent cycles woke up: their sets arrive later.
    wakes: VecDeque<(u64, MonoTime)>,
    /// The good readings that the control thread got.
    shown: VecDeque<At>,
    node: Node,
}

/// The node at the plant.
struct Node {
    history: VecDeque<At>,
    /// Since when the control thread could know its value, and the fastest rate since then.
    known: MonoTime,
    rate: f64,
    doubt: Doubt,
}

/// Whether the control thread can know what the node holds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Doubt {
    /// It can.
    None,
    /// It was moved by another hand.
    Moved(MonoTime),
    /// A sensor lied.
    Lie(MonoTime),
    /// The truth was seen by the cycle that woke up then; sets from before still come.
    Cleared(MonoTime),
}

impl Watched {
    pub(super) fn new(of: &Setpoint, present: f64) -> Self {
        let start = At { value: present, at: MonoTime::ZERO };
        let node = Node {
            history: VecDeque::from([start]),
            known: MonoTime::ZERO,
            rate: per_second(of.settings.limits.run),
            doubt: Doubt::None,
        };
        Self {
            tag: of.tag,
            kind: None,
            limits: of.settings.limits,
            sent_before: None,
            sent_last: None,
            wakes: VecDeque::new(),
            shown: VecDeque::new(),
            node,
        }
    }

    /// A new runtime knows nothing, and has the site's limits.
    pub(super) fn restart(&mut self, of: &Setpoint) {
        (self.kind, self.sent_before, self.sent_last) = (None, None, None);
        self.shown.clear();
        self.set_limits(of.settings.limits);
    }

    pub(super) fn set_limits(&mut self, limits: LimitsByMode) {
        self.limits = limits;
        for limits in [limits.run, limits.hold, limits.fallback] {
            self.node.rate = self.node.rate.max(per_second(limits));
        }
    }

    /// A person moved it.
    pub(super) fn moved(&mut self, value: f64, at: MonoTime) {
        self.node.set(value, at);
        self.node.doubt = Doubt::Moved(at);
    }

    /// The control thread, which woke up at `woke`, got a good reading of it.
    pub(super) fn shown(&mut self, value: f64, received: MonoTime, woke: MonoTime, times: &Times) {
        remember(&mut self.shown, At { value, at: received });
        if self.node.value_at(received) != value {
            self.node.doubt = Doubt::Lie(received);
            return;
        }
        // While its own sets may still be on their way a reading proves nothing to a control thread that rests.
        let proves = self.sent_last.is_none_or(|sent| received > sent.at + times.expiry);
        match self.node.doubt {
            Doubt::Moved(begun) if received >= begun && (proves || self.sent_before.is_some()) => {
                (self.node.known, self.node.doubt) = (received, Doubt::Cleared(woke));
            }
            // What it knew before is what it goes on from, or what it reads now.
            Doubt::Lie(begun) if received >= begun => self.node.doubt = Doubt::Cleared(woke),
            Doubt::None if proves && self.sent_before.is_none() => {
                (self.node.known, self.node.rate) = (received, self.fastest());
            }
            _ => {}
        }
    }

    /// F31 at the plant: since the control thread could know the node's value, it has moved no farther than the rate permits.
    pub(super) fn arrived(&mut self, index: usize, value: f64, at: MonoTime, cycle: u64, times: &Times) -> Verdict {
        let woke = self.wakes.iter().rev().find(|(number, _)| *number == cycle).map_or(at, |(_, woke)| *woke);
        let excused = match self.node.doubt {
            Doubt::None => false,
            Doubt::Moved(_) | Doubt::Lie(_) => true,
            Doubt::Cleared(seen) => woke < seen,
        };
        let (held, since) = (self.node.value(), woke.since(self.node.known) + times.period);
        let reach = self.node.rate * seconds(since) * (1.0 + ROUNDING);
        demand(excused || (value - held).abs() <= reach, "F31 at the plant", || {
            format!("setpoint {index} jumps from {held} to {value}; {reach} was permitted")
        })?;
        self.node.set(value, at);
        (self.node.known, self.node.rate, self.node.doubt) = (woke, self.fastest(), Doubt::None);
        Ok(())
    }

    /// I1, I2 and I3 of what leaves the cycle.
    pub(super) fn judge(
        &mut self,
        index: usize,
        row: &SetpointRow,
        seen: &Witness,
        woke: MonoTime,
        dt: Span,
        times: &Times,
    ) -> Verdict {
        if self.wakes.len() == REMEMBERED {
            self.wakes.pop_front();
        }
        self.wakes.push_back((seen.cycle, woke));
        let sent = row.sent.map(|value| At { value, at: woke });
        if let (Some(At { value, .. }), Some(limits)) = (sent, limits_in(seen.mode, &self.limits)) {
            let held = self.kind.is_some_and(|kind| holds(kind, value));
            demand(value.is_finite() && held, "I3", || format!("setpoint {index}: {value} in {:?}", self.kind))?;
            let step = per_second(limits) * seconds(dt) * (1.0 + ROUNDING);
            let from = self.origins(woke, times);
            let near: Vec<_> = from.iter().copied().filter(|last| (value - last).abs() <= step).collect();
            demand(!near.is_empty(), "I2", || {
                format!("setpoint {index}: {value} is more than {step} away from each of {from:?}")
            })?;
            let free = !row.acted.contains(Acted::INTERLOCK) && self.kind == Some(ScalarKind::Double);
            demand(near.iter().any(|last| ranged(value, *last, limits, step, free)), "I1", || {
                format!(
                    "setpoint {index}: from {near:?} to {value}, limits [{}, {}], step {step}",
                    limits.lo, limits.hi
                )
            })?;
        }
        (self.sent_before, self.sent_last) = (sent, sent.or(self.sent_last));
        Ok(())
    }

    /// What the next value may have moved from: what the cycle before sent; after an interval without writing what was
    /// read back since, or for a moment what was sent last.
    fn origins(&self, woke: MonoTime, times: &Times) -> Vec<f64> {
        let recent = |sent: &At| woke.since(sent.at) <= times.confirm;
        let settled = |sent: At| sent.at + times.expiry;
        let read_since =
            |from: MonoTime| self.shown.iter().filter(move |shown| shown.at > from).map(|shown| shown.value);
        let sent = self.sent_before.or(self.sent_last);
        let read = sent.map_or(MonoTime::ZERO, settled);
        sent.filter(recent).map(|sent| sent.value).into_iter().chain(read_since(read)).collect()
    }

    fn fastest(&self) -> f64 {
        [self.limits.run, self.limits.hold, self.limits.fallback].into_iter().map(per_second).fold(0.0, f64::max)
    }
}

impl Node {
    fn value(&self) -> f64 {
        self.history.back().map_or(f64::NAN, |last| last.value)
    }

    fn value_at(&self, at: MonoTime) -> f64 {
        self.history.iter().rev().find(|entry| entry.at <= at).map_or(f64::NAN, |entry| entry.value)
    }

    fn set(&mut self, value: f64, at: MonoTime) {
        remember(&mut self.history, At { value, at });
    }
}

fn remember(list: &mut VecDeque<At>, entry: At) {
    if list.len() == REMEMBERED {
        list.pop_front();
    }
    list.push_back(entry);
}

/// The limits of each mode that writes.
fn limits_in(mode: Mode, limits: &LimitsByMode) -> Option<Limits> {
    let by_mode = [(Mode::Run, limits.run), (Mode::Hold, limits.hold), (Mode::Fallback, limits.fallback)];
    by_mode.into_iter().find(|(of, _)| *of == mode).map(|(_, limits)| limits)
}

/// I1: inside; or, from outside, strictly nearer, by the permitted step or all the way when nothing stands against it.
fn ranged(value: f64, last: f64, limits: Limits, step: f64, free: bool) -> bool {
    let Limits { lo, hi, .. } = limits;
    let outside = |value: f64| if value < lo { lo - value } else { (value - hi).max(0.0) };
    let (before, after) = (outside(last), outside(value));
    let far_enough = !free || before - after >= step.min(before) * (1.0 - 1e-6) - 4.0 * f64::EPSILON * last.abs();
    after == 0.0 && before == 0.0 || after < before && far_enough
}

fn per_second(limits: Limits) -> f64 {
    match limits.rate {
        Rate::PerSecond(per_second) => per_second,
        Rate::Unlimited => f64::INFINITY,
    }
}

fn seconds(span: Span) -> f64 {
    span.as_ns() as f64 / 1e9
}

/// Whether a node of this kind can hold the value: it comes back from there.
fn holds(kind: ScalarKind, value: f64) -> bool {
    let back = match kind {
        ScalarKind::Boolean => f64::from(u8::from(value != 0.0)),
        ScalarKind::SByte => f64::from(value as i8),
        ScalarKind::Byte => f64::from(value as u8),
        ScalarKind::Int16 => f64::from(value as i16),
        ScalarKind::UInt16 => f64::from(value as u16),
        ScalarKind::Int32 => f64::from(value as i32),
        ScalarKind::UInt32 => f64::from(value as u32),
        ScalarKind::Int64 => value as i64 as f64,
        ScalarKind::UInt64 => value as u64 as f64,
        ScalarKind::Float => f64::from(value as f32),
        ScalarKind::Double => value,
    };
    back == value
}
