//! The oracle: what must hold in every cycle and for every telegram, whatever happens.
//!
//! It is written against the catalogue of faults and shares no code with what it judges. It knows what went into
//! the cycle, what came out and what happened at the plant, and nothing of what lies between.

mod alarm;
mod modes;
mod policies;
mod setpoint;
mod teacher;
mod trips;

use policy::Finding;
use rt_config::Site;
use rt_core::changes::ChangeSet;
use rt_core::ports::FieldReport;
use rt_core::setpoint::SetpointSet;
use rt_core::tag::Quality;
use rt_core::time::{MonoTime, Span};

use super::controller::Inputs;
use super::desk::Told;
use super::server::Traffic;
use super::witness::Witness;

use alarm::Alarm;
use modes::Modes;
use policies::Policies;
pub(crate) use policies::Published;
use setpoint::Watched;
use teacher::Teacher;
use trips::Trips;

/// The plant heartbeat counts modulo this.
const HEARTBEATS: u16 = 1000;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    /// Which.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

pub(super) type Verdict = Result<(), Broken>;

/// Refuses when `holds` does not.
pub(super) fn demand(holds: bool, invariant: &'static str, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Broken { invariant, what: what() }) }
}

/// The times that the oracle judges by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) period: Span,
    pub(super) expiry: Span,
    pub(super) confirm: Span,
    pub(super) hold_max: Span,
}

/// Watches one runtime and its plant.
pub(crate) struct Oracle {
    times: Times,
    setpoints: Vec<Watched>,
    modes: Modes,
    trips: Trips,
    last_woke: Option<MonoTime>,
    last_slot: Option<u64>,
    heartbeat: Option<u16>,
    alarm: Alarm,
    policies: Policies,
    teacher: Teacher,
}

impl Oracle {
    /// An oracle for a runtime of this site that was just started, with the nominal policy.
    pub(crate) fn new(site: &Site, present: &[f64]) -> Self {
        let slowest = site.connections.iter().map(|connection| connection.call_timeout).max();
        let expiry = site.runtime.setpoint_expiry;
        Self {
            times: Times {
                period: site.runtime.period.span(),
                expiry,
                confirm: expiry + slowest.unwrap_or(Span::ZERO),
                hold_max: site.runtime.t_hold,
            },
            setpoints: site.setpoints.iter().zip(present).map(|(of, value)| Watched::new(of, *value)).collect(),
            modes: Modes::new(site),
            trips: Trips::new(site),
            last_woke: None,
            last_slot: None,
            heartbeat: None,
            alarm: Alarm::new(site),
            policies: Policies::new(site, 0),
            teacher: Teacher::new(site),
        }
    }

    /// The runtime was started again with a policy of this generation; the plant is what it was.
    pub(crate) fn restart(&mut self, site: &Site, generation: u64) {
        self.setpoints.iter_mut().zip(&site.setpoints).for_each(|(watched, of)| watched.restart(of));
        (self.modes, self.trips) = (Modes::new(site), Trips::new(site));
        (self.last_woke, self.heartbeat) = (None, None);
        self.alarm = Alarm::new(site);
        self.policies = Policies::new(site, generation);
        self.teacher = Teacher::new(site);
    }

    /// This network was published; `None`: one that must not be believed, or nothing any more.
    pub(crate) fn published(&mut self, published: Option<Published>) {
        self.teacher.has_published |= published.is_some();
        self.policies.published(published);
    }

    /// This generation was published once more, with a sound network.
    pub(crate) fn repeated(&mut self, generation: u64) {
        self.policies.repeated(generation);
    }

    /// Judges what the desk tells.
    pub(crate) fn judge_desk(&mut self, told: &Told) -> Verdict {
        self.policies.judge_desk(told)
    }

    /// Another learner took over.
    pub(crate) fn admitted(&mut self, now: MonoTime) {
        self.policies.published(None);
        self.teacher.replace(now);
    }

    /// Judges what the watch over the learner found, which lived and got on just now or did not.
    pub(crate) fn judge_watch(
        &mut self,
        beats: bool,
        gets_on: bool,
        finding: Option<Finding>,
        now: MonoTime,
    ) -> Verdict {
        self.teacher.judge_watch(beats, gets_on, finding, now)
    }

    /// Judges what happened at the plant while `newest` was the newest set.
    pub(crate) fn judge_traffic(&mut self, traffic: &[Traffic], newest: Option<&SetpointSet>) -> Verdict {
        for event in traffic {
            match *event {
                Traffic::Moved { setpoint, value, at } => self.setpoints[setpoint].moved(value, at),
                Traffic::Beat { count } => {
                    let expected = newest.and_then(|set| set.heartbeat).map(f64::from);
                    demand(expected == Some(count), "heartbeat", || {
                        format!("{count} arrived, the newest set has {expected:?}")
                    })?;
                }
                Traffic::Rang { raised } => {
                    let expected = newest.and_then(|set| set.alarms).map(f64::from);
                    demand(expected == Some(raised), "alarm", || {
                        format!("{raised} arrived, the newest set has {expected:?}")
                    })?;
                }
                Traffic::Wrote { setpoint, value, asked_at, carried_out } => {
                    let set = newest.filter(|set| set.values[setpoint].map(f64::to_bits) == Some(value.to_bits()));
                    let Some(set) = set else {
                        let what = format!("setpoint {setpoint}: {value} was written, which is not in the newest set");
                        return Err(Broken { invariant: "newest set alone", what });
                    };
                    demand(asked_at <= set.expires, "no expired set", || {
                        format!(
                            "setpoint {setpoint}: written at {asked_at:?}, the set was good until {:?}",
                            set.expires
                        )
                    })?;
                    if carried_out {
                        self.setpoints[setpoint].arrived(setpoint, value, asked_at, set.cycle, &self.times)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Judges one cycle by what it took in and what it gave out.
    pub(crate) fn judge_cycle(&mut self, inputs: &Inputs, seen: &Witness, set: Option<&SetpointSet>) -> Verdict {
        let woke = inputs.slot.woke;
        self.listen(inputs);
        self.judge_slot(inputs, seen)?;
        self.policies.judge_cycle(seen)?;
        self.teacher.judge_cycle(inputs, seen)?;
        self.modes.judge(inputs, seen, &self.times)?;
        self.trips.judge(inputs, seen)?;
        self.judge_set(seen, set)?;
        self.alarm.judge(seen, woke, self.modes.lease, set.and_then(|set| set.alarms))?;
        let dt = self.last_woke.map_or(self.times.period, |last| woke.since(last)).min(self.times.period);
        for (index, (watched, row)) in self.setpoints.iter_mut().zip(&seen.rows).enumerate() {
            watched.judge(index, row, seen, woke, dt, &self.times)?;
        }
        self.last_woke = Some(woke);
        Ok(())
    }

    fn listen(&mut self, inputs: &Inputs) {
        if let Some(changes) = &inputs.changes {
            self.change(changes);
        }
        for report in &inputs.reports {
            match *report {
                FieldReport::Sample(sample) => {
                    self.modes.hear(&sample);
                    let good = sample.quality == Quality::Good && sample.value.is_finite();
                    let of_tag = self.setpoints.iter_mut().find(|watched| watched.tag == sample.tag);
                    if let (true, Some(watched)) = (good, of_tag) {
                        watched.shown(sample.value, sample.received, inputs.slot.woke, &self.times);
                    }
                }
                FieldReport::Kind { setpoint, kind } => self.setpoints[usize::from(setpoint)].kind = Some(kind),
                FieldReport::Link(up) => {
                    self.modes.link = up;
                    if !up {
                        self.setpoints.iter_mut().for_each(|watched| watched.kind = None);
                    }
                }
                FieldReport::Wrote { .. } => {}
            }
        }
    }

    fn change(&mut self, changes: &ChangeSet) {
        for (watched, tuning) in self.setpoints.iter_mut().zip(changes.setpoints()) {
            watched.set_limits(tuning.limits);
        }
    }

    /// I5: one cycle in one slot, each later than the one before.
    fn judge_slot(&mut self, inputs: &Inputs, seen: &Witness) -> Verdict {
        let slot = inputs.slot.index;
        demand(seen.records == 1, "I5", || format!("{} records of one cycle", seen.records))?;
        demand(seen.cycle == slot, "I5", || format!("slot {slot} is recorded as {}", seen.cycle))?;
        let in_order = self.last_slot.is_none_or(|last| slot == last + 1 + inputs.slot.skipped);
        demand(in_order, "I5", || format!("slot {slot} after {:?}, skipped {}", self.last_slot, inputs.slot.skipped))?;
        self.last_slot = Some(slot);
        Ok(())
    }

    /// I4: every setpoint is written or withheld for a reason, and the set says the same as the record.
    fn judge_set(&mut self, seen: &Witness, set: Option<&SetpointSet>) -> Verdict {
        for (index, row) in seen.rows.iter().enumerate() {
            demand(row.sent.is_some() != row.withheld.is_some(), "I4", || format!("setpoint {index}: {row:?}"))?;
            let in_set = set.and_then(|set| set.values[index]);
            demand(in_set.map(f64::to_bits) == row.sent.map(f64::to_bits), "I4", || {
                format!("setpoint {index}: {in_set:?} in the set, {:?} in the record", row.sent)
            })?;
        }
        let writes = modes::writes(seen.mode);
        demand(set.is_some_and(|set| set.heartbeat.is_some()) == writes, "I4", || {
            format!("a set is {} in {:?}", if writes { "missing" } else { "sent" }, seen.mode)
        })?;
        let Some(set) = set.filter(|_| writes) else { return Ok(()) };
        let strangers = set.values.iter().skip(seen.rows.len()).flatten().count();
        demand(strangers == 0, "I4", || format!("{strangers} values for setpoints that do not exist"))?;
        let next = self.heartbeat.map(|last| (last + 1) % HEARTBEATS);
        demand(set.heartbeat.is_some_and(|beat| next.is_none_or(|next| beat == next)), "heartbeat", || {
            format!("{:?} after {:?}", set.heartbeat, self.heartbeat)
        })?;
        self.heartbeat = set.heartbeat;
        Ok(())
    }
}
