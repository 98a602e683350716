//! What must hold of policies: who may come to drive the plant, and when.

use policy::trial::Verdict as Judged;
use rt_config::Site;
use rt_core::mode::Mode;
use rt_core::record::{EventKind, Flags};

use super::super::desk::Told;
use super::super::witness::Witness;
use super::{Verdict, demand};

/// A network that was published honestly: its generation, and whether it would do harm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Published {
    pub(crate) generation: u64,
    pub(crate) wrong: bool,
}

/// Policies as they were published, believed, adopted and taken back.
pub(super) struct Policies {
    /// What lies in the learner's slot, when it was published honestly.
    slot: Option<Published>,
    /// The newest generation that was believed.
    newest: u64,
    /// What was believed, and the decisions since.
    candidate: Option<(Published, u64)>,
    /// Those that were in use, oldest first; the last one is.
    used: Vec<u64>,
    /// What has to be adopted in the next cycle.
    due: Option<u64>,
    decisions_max: u64,
}

impl Policies {
    /// Of a runtime that was just started with a policy of this generation.
    pub(super) fn new(site: &Site, generation: u64) -> Self {
        let tried = site.runtime.canary.map_or(0, |canary| canary.decisions);
        // One that is watched while decisions come may be watched for four times as long as its decisions take.
        let watched = site.runtime.probation.map_or(0, |probation| 4 * probation.decisions);
        Self {
            slot: None,
            newest: generation,
            candidate: None,
            used: Vec::new(),
            due: Some(generation),
            decisions_max: u64::from(tried + watched) + 2,
        }
    }

    /// This was published; `None`: something that must not be believed.
    pub(super) fn published(&mut self, published: Option<Published>) {
        self.slot = published;
    }

    /// A sound one was published under this generation once more: news only if nobody has looked at it yet.
    pub(super) fn repeated(&mut self, generation: u64) {
        self.slot = (generation > self.newest).then_some(Published { generation, wrong: false });
    }

    /// F03, F05 to F10, F12, F13: what the desk believes was published by who may, and is newer; what it adopts was tried and
    /// does no harm; what it takes back was in use before.
    pub(super) fn judge_desk(&mut self, told: &Told) -> Verdict {
        match *told {
            Told::Believed { generation } => {
                let honest = self.slot.take().filter(|slot| slot.generation == generation);
                demand(honest.is_some(), "sound policies alone", || format!("{told:?} was not published"))?;
                self.newest = generation;
                self.candidate = honest.map(|published| (published, 0));
                Ok(())
            }
            Told::Disbelieved(_) => {
                let slot = self.slot.take();
                demand(slot.is_none(), "every sound policy", || format!("{told:?}, but {slot:?} was published"))
            }
            Told::Verdict(Judged::Adopted { generation }) => {
                let candidate = self.candidate.take();
                let fit = candidate.is_some_and(|(found, _)| found == Published { generation, wrong: false });
                demand(fit, "F10", || format!("{told:?}, but the candidate was {candidate:?}"))?;
                self.due = Some(generation);
                Ok(())
            }
            Told::Verdict(Judged::Refused { generation, .. }) => {
                let candidate = self.candidate.take();
                let unfit = candidate.is_some_and(|(found, _)| found == Published { generation, wrong: true });
                demand(unfit, "every sound policy", || format!("{told:?}, but the candidate was {candidate:?}"))
            }
            Told::Verdict(Judged::RolledBack { generation, to, .. }) => {
                let newest = self.due.or(self.used.last().copied());
                let known = newest == Some(generation) && to < generation && self.used.contains(&to);
                demand(known, "a rollback to what was in use", || format!("{told:?} after {:?}", self.used))?;
                self.due = Some(to);
                Ok(())
            }
            Told::Verdict(Judged::Proven { .. }) => Ok(()),
        }
    }

    /// What is due is adopted at once, and nothing else is; and no candidate waits for ever while decisions are made.
    pub(super) fn judge_cycle(&mut self, seen: &Witness) -> Verdict {
        let adopted: Vec<_> = seen
            .events
            .iter()
            .filter_map(|event| match event.kind {
                EventKind::PolicyAdopted { generation } => Some(generation),
                _ => None,
            })
            .collect();
        let due = self.due.take();
        demand(adopted.iter().copied().eq(due), "sound policies alone", || {
            format!("{adopted:?} was adopted, {due:?} was due, {:?} were in use", self.used)
        })?;
        self.used.extend(due);
        let decision = Flags::OBSERVED.with(Flags::DECISION).with(Flags::COMPLETE);
        let Some((candidate, decisions)) = &mut self.candidate else { return Ok(()) };
        *decisions += u64::from(seen.flags.contains(decision) && seen.mode == Mode::Run);
        demand(*decisions <= self.decisions_max, "a verdict in time", || {
            format!("none about {candidate:?} after {decisions} decisions")
        })
    }
}
