//! The desk where weights are judged: what a learner published is copied, verified, tried and packed, and handed to the
//! control thread through memory of our own; and what becomes of it there is followed.

use std::io;
use std::os::fd::OwnedFd;

use policy::trial::{Progress, Succession, Verdict};
use policy::{AdoptedPolicy, Finding, LearnerWatch, Shown};
use rt_config::Site;
use rt_control::{LearnerHealth, LearnerStatus, PolicyProbation, PolicyProgress};
use rt_core::mode::Cause;
use rt_core::ports::{Clock, Command};
use rt_core::time::{MonoTime, Span};
use rt_recording::KeeperSlot;
use rt_sys::{MonotonicClock, PeerProcess};
use shm::broadcast::{self, Next};
use shm::spsc::Producer;
use shm::{cell, counters};
use shm_layout::{Counter, EventKind, LearnerCounter, SegmentKind, StepLayout, StepRef};

use crate::adapters::Order;
use crate::keeper::Journal;
use crate::segments::LearnerSegments;

/// Judges weights and watches over whoever publishes them.
pub(crate) struct WeightsDesk {
    site: Site,
    succession: Succession,
    steps: Steps,
    /// Memory for one publication, so that a copy is judged and not what a writer may still change.
    copy: Box<[u64]>,
    outlet: Outlet,
    epoch: u64,
    learner: Option<Learner>,
    /// When the learner last stood by the policy in use.
    confirmed_at: MonoTime,
    counters: counters::Writer<Counter>,
    clock: MonotonicClock,
}

/// Where a policy in use goes.
pub(crate) struct Outlet {
    /// To the control thread.
    pub(crate) adopted: cell::Writer<AdoptedPolicy>,
    /// To the recording, when there is one.
    pub(crate) recorded: Option<KeeperSlot>,
}

/// The runtime's own steps, as the learner gets them.
pub(crate) struct Steps {
    reader: broadcast::Reader,
    layout: StepLayout,
    words: Box<[u64]>,
}

/// The learner that was admitted last.
struct Learner {
    pid: u32,
    /// `None` where the kernel gives no such descriptor: its heartbeat alone has to tell.
    process: Option<PeerProcess>,
    segments: LearnerSegments,
    watch: LearnerWatch,
}

impl WeightsDesk {
    /// A desk for publications of `slot_words` words.
    pub(crate) fn new(
        site: Site,
        succession: Succession,
        slot_words: usize,
        steps: Steps,
        outlet: Outlet,
        counters: counters::Writer<Counter>,
        clock: MonotonicClock,
    ) -> Self {
        Self {
            site,
            succession,
            steps,
            copy: vec![0; slot_words].into(),
            outlet,
            epoch: 0,
            learner: None,
            confirmed_at: clock.now(),
            counters,
            clock,
        }
    }

    /// Admits a learner and thereby fences out the one before: its epoch, its segments, and the generation above which it
    /// has to publish.
    ///
    /// # Errors
    /// The kernel gives no memory.
    pub(crate) fn admit(&mut self, pid: u32) -> io::Result<(u64, u64, &LearnerSegments)> {
        let epoch = self.epoch + 1;
        let segments = LearnerSegments::create(epoch, self.copy.len())?;
        if let Some(recorded) = &self.outlet.recorded {
            recorded.leave_estimates(segments.estimates()?);
        }
        self.epoch = epoch;
        self.succession.grant(epoch);
        let (process, watch) = (PeerProcess::open(pid).ok(), LearnerWatch::new(&self.site, self.clock.now()));
        let learner = self.learner.insert(Learner { pid, process, segments, watch });
        Ok((epoch, self.succession.newest(), &learner.segments))
    }

    /// A read-only descriptor of a learner's segment; `None` before the first learner.
    pub(crate) fn read_only(&self, kind: SegmentKind) -> Option<io::Result<OwnedFd>> {
        self.learner.as_ref().map(|learner| learner.segments.read_only(kind))
    }

    /// How the learner is.
    pub(crate) fn learner(&self) -> LearnerStatus {
        match &self.learner {
            Some(Learner { pid, watch, segments, .. }) => LearnerStatus {
                epoch: self.epoch,
                pid: *pid,
                alive: watch.is_alive(),
                stalled: watch.is_stalled(),
                rebuilding: rebuilding(&segments.counters),
                health: health(&segments.counters),
            },
            None => LearnerStatus { epoch: 0, pid: 0, alive: false, stalled: false, rebuilding: None, health: None },
        }
    }

    /// How far the candidate is, and how far the policy in use.
    pub(crate) fn progress(&self) -> (Option<PolicyProgress>, Option<PolicyProbation>) {
        let before = self.succession.before();
        let tried = |Progress { generation, decisions, of }: Progress| PolicyProgress { generation, decisions, of };
        let watched =
            |Progress { generation, decisions, of }: Progress| PolicyProbation { generation, decisions, of, before };
        (self.succession.trial().map(tried), self.succession.probation().map(watched))
    }

    /// One look at everything that the learner writes, and at what has come of it.
    pub(crate) fn turn(&mut self, orders: &mut Producer<Order>, journal: &mut Journal) {
        let now = self.clock.now();
        self.watch_learner(now, orders, journal);
        self.take_steps(now, journal);
        if self.succession.takes_offers() {
            self.take_publication(journal);
        }
        self.carry_out_verdicts(now, journal);
        self.counters.set(Counter::PolicyAge, now.since(self.confirmed_at).as_ns());
    }

    /// The runtime tripped: a policy that was adopted just before may be to blame.
    pub(crate) fn trip(&mut self, cause: Cause, journal: &mut Journal) {
        if let Some(verdict) = self.succession.trip(cause) {
            self.carry_out(verdict, self.clock.now(), journal);
        }
    }

    fn watch_learner(&mut self, now: MonoTime, orders: &mut Producer<Order>, journal: &mut Journal) {
        let Some(Learner { pid, process, segments, watch }) = &mut self.learner else { return };
        let has_ended = process.as_ref().is_some_and(PeerProcess::has_ended);
        let mut entry =
            |kind, text: &str| journal.entry(kind).numbers(self.epoch, u64::from(*pid)).text(text).publish();
        match watch.look(shown(&segments.counters), has_ended, now) {
            Some(Finding::Heard { best_generation: Some(generation) }) if self.succession.has_heard_of(generation) => {
                let _ = orders.push(Order::Command(Command::PolicyConfirmed(now)));
                self.confirmed_at = now;
            }
            Some(Finding::Heard { .. }) | None => {}
            Some(Finding::Rebuilds) => {
                entry(
                    EventKind::LearnerRebuild,
                    &format!("process {pid} learns from the history; it stands by nothing yet"),
                );
            }
            Some(Finding::Rebuilt) => {
                entry(EventKind::LearnerRebuild, &format!("process {pid} has learnt from the history"));
            }
            Some(Finding::Lost { silent_for }) => {
                let how =
                    if has_ended { "has ended".to_owned() } else { format!("silent for {}", seconds(silent_for)) };
                let age = now.since(self.confirmed_at);
                let end = match self.site.runtime.max_policy_age {
                    Some(max) => {
                        let left = Span::from_ns(max.as_ns().saturating_sub(age.as_ns()));
                        format!("; FALLBACK in {}", seconds(left))
                    }
                    None => String::new(),
                };
                entry(EventKind::LearnerLost, &format!("process {pid} {how}{end}"));
            }
            Some(Finding::Stalled { idle_for }) => {
                let text = format!("process {pid} lives, but learns nothing for {}", seconds(idle_for));
                entry(EventKind::LearnerStalled, &text);
            }
        }
        self.counters.set(Counter::LearnerAlive, u64::from(watch.is_alive()));
        self.counters.set(Counter::LearnerStalled, u64::from(watch.is_stalled()));
    }

    fn take_steps(&mut self, now: MonoTime, journal: &mut Journal) {
        while let Some(step) = self.steps.next() {
            self.succession.take(&step);
            if let Some(learner) = &mut self.learner {
                learner.watch.note_step();
            }
            self.carry_out_verdicts(now, journal);
        }
    }

    fn take_publication(&mut self, journal: &mut Journal) {
        let Some(learner) = &mut self.learner else { return };
        let copied = match learner.segments.weights.update() {
            Ok(false) => return,
            Ok(true) => learner.segments.weights.copy_into(0, &mut self.copy).map_err(|error| error.to_string()),
            Err(damaged) => Err(damaged.to_string()),
        };
        let offered = copied.and_then(|()| {
            self.succession.offer(&self.copy).map_err(|refused| format!("{}: {refused}", refused.name()))
        });
        match offered {
            Ok(generation) => {
                let text = format!("generation {generation}");
                journal.entry(EventKind::PolicyOnTrial).numbers(generation, self.epoch).text(&text).publish();
            }
            Err(reason) => {
                self.counters.add(Counter::PoliciesRefused, 1);
                journal.entry(EventKind::PolicyRefused).numbers(0, self.epoch).text(&reason).publish();
            }
        }
    }

    fn carry_out_verdicts(&mut self, now: MonoTime, journal: &mut Journal) {
        while let Some(verdict) = self.succession.turn(now) {
            self.carry_out(verdict, now, journal);
        }
    }

    fn carry_out(&mut self, verdict: Verdict, now: MonoTime, journal: &mut Journal) {
        match verdict {
            Verdict::Adopted { .. } => {
                self.hand_over(now);
                self.counters.add(Counter::PoliciesAdopted, 1);
            }
            Verdict::Refused { generation, why } => {
                self.counters.add(Counter::PoliciesFailedTrial, 1);
                let entry = journal.entry(EventKind::PolicyFailedTrial).numbers(generation, self.epoch);
                entry.text(&why.to_string()).publish();
            }
            Verdict::Proven { generation } => {
                let text = format!("generation {generation}");
                journal.entry(EventKind::PolicyProven).numbers(generation, self.epoch).text(&text).publish();
            }
            Verdict::RolledBack { generation, to, why } => {
                self.hand_over(now);
                self.counters.add(Counter::PoliciesRolledBack, 1);
                let entry = journal.entry(EventKind::PolicyRolledBack).numbers(generation, to);
                entry.text(&why.to_string()).publish();
            }
        }
    }

    fn hand_over(&mut self, now: MonoTime) {
        self.outlet.hand_over(self.succession.in_use());
        self.confirmed_at = now;
    }
}

impl Outlet {
    fn hand_over(&mut self, policy: &AdoptedPolicy) {
        // Before the control thread can follow it: a cycle that does is recorded after it is.
        if let Some(recorded) = &self.recorded {
            recorded.leave_policy(policy);
        }
        self.adopted.back_mut().copy_from(policy);
        self.adopted.publish();
    }
}

impl Steps {
    /// The steps that `reader` finds, of this layout.
    pub(crate) fn new(reader: broadcast::Reader, layout: StepLayout) -> Self {
        Self { reader, layout, words: vec![0; layout.words()].into() }
    }

    /// The next one. Those that were overwritten meanwhile are missed: what is tried is tried on others.
    fn next(&mut self) -> Option<StepRef<'_>> {
        loop {
            match self.reader.next(&mut self.words) {
                Next::Record { .. } => return self.layout.view(&self.words).ok(),
                Next::Lost(_) => {}
                Next::Empty | Next::Damaged { .. } => return None,
            }
        }
    }
}

fn shown(counters: &counters::Reader<LearnerCounter>) -> Shown {
    Shown {
        heartbeat: counters.get(LearnerCounter::Heartbeat),
        best_generation: counters.get(LearnerCounter::BestGeneration),
        updates: counters.get(LearnerCounter::Updates),
        rebuilt: rebuilt(counters),
    }
}

fn rebuilt(counters: &counters::Reader<LearnerCounter>) -> (u64, u64) {
    (counters.get(LearnerCounter::RebuildStepsDone), counters.get(LearnerCounter::RebuildSteps))
}

fn rebuilding(counters: &counters::Reader<LearnerCounter>) -> Option<f64> {
    let (done, all) = rebuilt(counters);
    (done < all).then(|| done as f64 / all as f64)
}

fn health(counters: &counters::Reader<LearnerCounter>) -> Option<LearnerHealth> {
    let float = |counter| f64::from_bits(counters.get(counter));
    let updates = counters.get(LearnerCounter::HealthUpdates);
    (updates > 0).then(|| LearnerHealth {
        updates,
        critic_loss: float(LearnerCounter::CriticLossBits),
        actor_loss: float(LearnerCounter::ActorLossBits),
        critic_gradient_norm: float(LearnerCounter::CriticGradientNormBits),
        actor_gradient_norm: float(LearnerCounter::ActorGradientNormBits),
        dead_units: float(LearnerCounter::DeadUnitsBits),
        stable_rank: float(LearnerCounter::StableRankBits),
        ensemble_spread: float(LearnerCounter::EnsembleSpreadBits),
        prediction_error: float(LearnerCounter::PredictionErrorBits),
        drift_mean: float(LearnerCounter::DriftMeanBits),
        drift_largest: float(LearnerCounter::DriftLargestBits),
        drift_column: counters.get(LearnerCounter::DriftColumn),
        value_added: float(LearnerCounter::ValueAddedBits),
    })
}

fn seconds(span: Span) -> String {
    format!("{:.1} s", span.as_seconds())
}
