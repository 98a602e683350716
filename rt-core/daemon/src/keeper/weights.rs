//! The desk where weights are judged: what a learner published is copied, verified, packed, and handed to the control
//! thread through memory of our own.

use std::io;
use std::os::fd::OwnedFd;

use policy::AdoptedPolicy;
use policy::wire::Verifier;
use rt_control::LearnerStatus;
use rt_core::ports::{Clock, Command};
use rt_core::time::MonoTime;
use rt_recording::PolicySlot;
use rt_sys::MonotonicClock;
use shm::spsc::Producer;
use shm::{cell, counters};
use shm_layout::{Counter, EventKind, LearnerCounter, SegmentKind};

use crate::adapters::Order;
use crate::keeper::{Journal, LEARNER_SILENCE_MAX};
use crate::segments::LearnerSegments;

/// Judges weights and watches over whoever publishes them.
pub(crate) struct WeightsDesk {
    verifier: Verifier,
    /// Memory for one publication, so that a copy is judged and not what a writer may still change.
    copy: Box<[u64]>,
    adopted: cell::Writer<AdoptedPolicy>,
    /// Where the recording gets them, when there is one.
    recorded: Option<PolicySlot>,
    epoch: u64,
    learner: Option<Learner>,
    counters: counters::Writer<Counter>,
}

/// The learner that was admitted last.
struct Learner {
    pid: u32,
    segments: LearnerSegments,
    heartbeat: u64,
    heard_at: MonoTime,
    alive: bool,
}

impl WeightsDesk {
    /// A desk for publications of `slot_words` words.
    pub(crate) fn new(
        verifier: Verifier,
        slot_words: usize,
        adopted: cell::Writer<AdoptedPolicy>,
        recorded: Option<PolicySlot>,
        counters: counters::Writer<Counter>,
    ) -> Self {
        Self { verifier, copy: vec![0; slot_words].into(), adopted, recorded, epoch: 0, learner: None, counters }
    }

    /// Admits a learner and thereby fences out the one before.
    ///
    /// # Errors
    /// The kernel gives no memory.
    pub(crate) fn admit(&mut self, pid: u32, now: MonoTime) -> io::Result<(u64, &LearnerSegments)> {
        let epoch = self.epoch + 1;
        let segments = LearnerSegments::create(epoch, self.copy.len())?;
        self.epoch = epoch;
        self.verifier.grant(epoch);
        let learner = self.learner.insert(Learner { pid, segments, heartbeat: 0, heard_at: now, alive: true });
        Ok((epoch, &learner.segments))
    }

    /// A read-only descriptor of a learner's segment; `None` before the first learner.
    pub(crate) fn read_only(&self, kind: SegmentKind) -> Option<io::Result<OwnedFd>> {
        self.learner.as_ref().map(|learner| learner.segments.read_only(kind))
    }

    /// How the learner is.
    pub(crate) fn status(&self, now: MonoTime) -> LearnerStatus {
        match &self.learner {
            Some(learner) => LearnerStatus { epoch: self.epoch, pid: learner.pid, alive: !learner.is_silent(now) },
            None => LearnerStatus { epoch: 0, pid: 0, alive: false },
        }
    }

    /// One look at everything that the learner writes.
    pub(crate) fn turn(&mut self, clock: &MonotonicClock, orders: &mut Producer<Order>, journal: &mut Journal) {
        let now = clock.now();
        let Some(learner) = &mut self.learner else { return };
        if let Some(best) = learner.listen(now, self.epoch, journal) {
            // A heartbeat confirms the policy in use when the learner's best generation is no newer one that it failed to
            // bring across.
            if best <= self.verifier.newest() {
                let _ = orders.push(Order::Command(Command::PolicyConfirmed(now)));
            }
        }
        self.counters.set(Counter::LearnerAlive, u64::from(learner.alive));
        match learner.segments.weights.update() {
            Ok(false) => {}
            Ok(true) => self.judge(journal),
            Err(damaged) => self.refuse(journal, 0, &damaged.to_string()),
        }
    }

    fn judge(&mut self, journal: &mut Journal) {
        let Some(learner) = &self.learner else { return };
        if let Err(error) = learner.segments.weights.copy_into(0, &mut self.copy) {
            return self.refuse(journal, 0, &error.to_string());
        }
        let verdict = self.verifier.verify(&self.copy).map(|weights| {
            let generation = weights.generation();
            // The verifier's network and the adopted ones have one shape.
            (generation, self.adopted.back_mut().adopt(&weights))
        });
        match verdict {
            Ok((_, Ok(()))) => {
                // Before the control thread can follow them: a cycle that does is recorded after they are.
                if let Some(recorded) = &self.recorded {
                    recorded.leave(self.adopted.back_mut());
                }
                self.adopted.publish();
                self.counters.add(Counter::PoliciesAdopted, 1);
            }
            Ok((generation, Err(error))) => self.refuse(journal, generation, &error.to_string()),
            Err(refused) => {
                let text = format!("{}: {refused}", refused.name());
                self.refuse(journal, 0, &text);
            }
        }
    }

    fn refuse(&mut self, journal: &mut Journal, generation: u64, reason: &str) {
        self.counters.add(Counter::PoliciesRefused, 1);
        journal.entry(EventKind::PolicyRefused).numbers(generation, self.epoch).text(reason).publish();
    }
}

impl Learner {
    /// The best generation that a new heartbeat confirms. Its time is the learner's word and is only compared with itself.
    fn listen(&mut self, now: MonoTime, epoch: u64, journal: &mut Journal) -> Option<u64> {
        let heartbeat = self.segments.counters.get(LearnerCounter::Heartbeat);
        if heartbeat != self.heartbeat {
            (self.heartbeat, self.heard_at, self.alive) = (heartbeat, now, true);
            return Some(self.segments.counters.get(LearnerCounter::BestGeneration));
        }
        if self.alive && self.is_silent(now) {
            self.alive = false;
            let text = format!("process {} is gone or silent", self.pid);
            journal.entry(EventKind::LearnerLost).numbers(epoch, self.pid.into()).text(&text).publish();
        }
        None
    }

    fn is_silent(&self, now: MonoTime) -> bool {
        now.since(self.heard_at) > LEARNER_SILENCE_MAX
    }
}
