//! What must hold of the modes.

use rt_config::Site;
use rt_core::mode::Mode;
use rt_core::ports::Command;
use rt_core::record::EventKind;
use rt_core::tag::{Quality, Sample, TagSettings};
use rt_core::time::MonoTime;

use super::super::controller::Inputs;
use super::super::witness::Witness;
use super::{Times, Verdict, demand};

/// The edges of the design's table; any mode may also be left for RELEASE.
const EDGES: [(Mode, Mode); 11] = [
    (Mode::Startup, Mode::Shadow),
    (Mode::Shadow, Mode::Run),
    (Mode::Run, Mode::Hold),
    (Mode::Hold, Mode::Run),
    (Mode::Run, Mode::Fallback),
    (Mode::Hold, Mode::Fallback),
    (Mode::Fallback, Mode::Run),
    (Mode::Run, Mode::Shadow),
    (Mode::Hold, Mode::Shadow),
    (Mode::Fallback, Mode::Shadow),
    (Mode::Release, Mode::Startup),
];

/// The modes in which setpoints are written.
pub(super) fn writes(mode: Mode) -> bool {
    matches!(mode, Mode::Run | Mode::Hold | Mode::Fallback)
}

/// One tag as it was heard.
#[derive(Clone, Copy, Debug)]
struct Heard {
    settings: TagSettings,
    received: Option<MonoTime>,
    quality: Quality,
    last_good: Option<MonoTime>,
}

impl Heard {
    fn usable(&self, now: MonoTime) -> bool {
        let fresh = self.received.is_some_and(|at| now.since(at) <= self.settings.stale_after);
        let substituted = self.last_good.is_some_and(|at| now.since(at) <= self.settings.substitute_for);
        fresh && (self.quality == Quality::Good || self.quality == Quality::Uncertain && substituted)
    }
}

/// The mode, who permitted it, and since when it holds.
pub(super) struct Modes {
    mode: Mode,
    since: MonoTime,
    armed: bool,
    pub(super) lease: bool,
    latched: bool,
    pub(super) link: bool,
    tags: Vec<Heard>,
}

impl Modes {
    pub(super) fn new(site: &Site) -> Self {
        let unheard =
            |settings: TagSettings| Heard { settings, received: None, quality: Quality::Bad, last_good: None };
        Self {
            mode: Mode::Startup,
            since: MonoTime::ZERO,
            armed: false,
            lease: false,
            latched: false,
            link: false,
            tags: site.tags.iter().map(|tag| unheard(tag.settings)).collect(),
        }
    }

    pub(super) fn hear(&mut self, sample: &Sample) {
        let heard = &mut self.tags[sample.tag.index()];
        heard.received = Some(sample.received);
        heard.quality = if sample.value.is_finite() { sample.quality } else { Quality::Bad };
        if heard.quality == Quality::Good {
            heard.last_good = Some(sample.received);
        }
    }

    pub(super) fn judge(&mut self, inputs: &Inputs, seen: &Witness, times: &Times) -> Verdict {
        let was_latched = self.latched && !inputs.commands.contains(&Command::Reset);
        self.obey(&inputs.commands);
        self.judge_change(inputs, seen)?;
        let (mode, woke) = (seen.mode, inputs.slot.woke);
        let said = |command| inputs.commands.contains(&command);
        demand(!writes(mode) || self.armed && self.lease, "armed and leased", || {
            format!("{mode:?} with armed {} and lease {}", self.armed, self.lease)
        })?;
        demand(!said(Command::Release) || mode == Mode::Release, "release at once", || format!("still {mode:?}"))?;
        demand(!was_latched || !matches!(mode, Mode::Run | Mode::Hold), "a trip is latched", || {
            format!("{mode:?} without a reset")
        })?;
        demand(mode != Mode::Hold || woke.since(self.since) < times.hold_max, "t_hold", || {
            format!("HOLD since {:?}, {:?}", self.since, woke)
        })?;
        self.judge_run(mode, woke)?;
        if mode == Mode::Release {
            self.armed = false;
        }
        Ok(())
    }

    fn obey(&mut self, commands: &[Command]) {
        let released = commands.contains(&Command::Release);
        for command in commands {
            match command {
                Command::Arm => self.armed = !released,
                Command::Disarm | Command::Release => self.armed = false,
                Command::Lease(held) => {
                    self.armed &= *held || !self.lease;
                    self.lease = *held;
                }
                Command::Reset => self.latched = false,
                _ => {}
            }
        }
    }

    /// I6: a change of mode has exactly one record, with its cause and its cycle; nothing else has one.
    fn judge_change(&mut self, inputs: &Inputs, seen: &Witness) -> Verdict {
        let mut recorded = None;
        for event in &seen.events {
            demand(event.cycle == inputs.slot.index, "I6", || format!("{event:?} in slot {}", inputs.slot.index))?;
            match event.kind {
                EventKind::ModeChanged { from, to, .. } => {
                    demand(recorded.is_none(), "I6", || format!("two changes in one cycle: {:?}", seen.events))?;
                    recorded = Some((from, to));
                }
                EventKind::Latched { .. } => self.latched = true,
                _ => {}
            }
        }
        demand(seen.previous == self.mode, "I6", || format!("{:?} became {:?} between", self.mode, seen.previous))?;
        let happened = (seen.mode != self.mode).then_some((self.mode, seen.mode));
        demand(recorded == happened, "I6", || format!("{happened:?} happened, {recorded:?} was recorded"))?;
        let Some((from, to)) = happened else { return Ok(()) };
        demand(to == Mode::Release || EDGES.contains(&(from, to)), "an edge of the table", || {
            format!("{from:?} to {to:?}")
        })?;
        (self.mode, self.since) = (to, inputs.slot.woke);
        Ok(())
    }

    /// F34, F52, F60, F64: no RUN without a connection and with a required tag that is missing.
    fn judge_run(&self, mode: Mode, woke: MonoTime) -> Verdict {
        if mode != Mode::Run {
            return Ok(());
        }
        let missing = self.tags.iter().position(|tag| tag.settings.required && !tag.usable(woke));
        demand(self.link, "RUN needs its inputs", || "the connection is down".to_owned())?;
        demand(missing.is_none(), "RUN needs its inputs", || format!("tag {missing:?} is missing"))
    }
}
