//! The loop: steps in, updates, gate, weights out, heartbeat, checkpoints.

use std::time::{Duration, Instant};

use learner::{Drift, Health};
use policy::wire::Publication;
use rt_sys::Lifeline;
use shm::broadcast::Start;
use shm_layout::{LearnerCounter, LearnerHistogram};
use tracing::{debug, info, warn};

use crate::attachment::{AttachError, Attachment, Taken, granted_epoch, is_final};
use crate::failure::Failure;
use crate::opinions::Opinions;
use crate::rebuild::{Progress, Rebuild};
use crate::start::Ready;

/// Steps taken in between two updates, at most.
const STEPS_PER_TURN_MAX: usize = 4_096;
/// The pause when there is nothing to learn.
const PAUSE: Duration = Duration::from_millis(2);
/// How often the runtime is told that the learner lives.
const BEAT_PERIOD: Duration = Duration::from_millis(100);
/// How often the runtime is asked whether it is still the same.
const ASK_PERIOD: Duration = Duration::from_secs(1);
/// Pauses between attempts to join: from the first, doubling, to the second.
const JOIN_PAUSE_MIN: Duration = Duration::from_millis(100);
const JOIN_PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often the networks' health is looked at.
const HEALTH_PERIOD: Duration = Duration::from_secs(2);
/// How often the log says how learning goes.
const REPORT_PERIOD: Duration = Duration::from_secs(60);

/// Something that is due at intervals.
#[derive(Debug)]
struct Every {
    period: Duration,
    next: Instant,
}

impl Every {
    fn new(period: Duration) -> Self {
        Self { period, next: Instant::now() + period }
    }

    /// Whether it is due; then the next one is a period from now.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + self.period;
        }
        due
    }
}

/// What the counters tell beside the agent's own.
#[derive(Debug, Default)]
struct Tally {
    published: u64,
    gated: u64,
    received: u64,
    lost: u64,
    checkpoints: u64,
    publish_failures: u64,
    critic_loss: f64,
    estimates: u64,
}

/// The learner at work.
#[derive(Debug)]
pub(crate) struct Service {
    ready: Ready,
    attachment: Option<Attachment>,
    join_at: Instant,
    join_pause: Duration,
    first_ring: Start,
    /// The last generation that passed the gate and was published.
    generation: u64,
    /// Updates at the last attempt to publish.
    judged_at: u64,
    tally: Tally,
    opinions: Opinions,
    health: Option<Health>,
    beat: Every,
    ask: Every,
    checkpoint: Every,
    look: Every,
    report: Every,
}

impl Service {
    pub(crate) fn new(ready: Ready) -> Self {
        // An agent with a past has learnt from what the ring still holds.
        let has_past = ready.generation > 0 || ready.rebuild.is_some();
        let first_ring = if has_past { Start::Newest } else { Start::Oldest };
        Self {
            attachment: None,
            join_at: Instant::now(),
            join_pause: JOIN_PAUSE_MIN,
            first_ring,
            generation: ready.generation,
            judged_at: 0,
            tally: Tally::default(),
            opinions: Opinions::default(),
            health: None,
            beat: Every::new(BEAT_PERIOD),
            ask: Every::new(ASK_PERIOD),
            checkpoint: Every::new(ready.checkpoint_every.max(Duration::from_secs(1))),
            look: Every::new(HEALTH_PERIOD),
            report: Every::new(REPORT_PERIOD),
            ready,
        }
    }

    /// Learns until asked to stop.
    pub(crate) fn run(mut self, lifeline: &Lifeline) -> Result<(), Failure> {
        let mut pause = Duration::ZERO;
        let outcome = loop {
            if lifeline.wait(pause).asks_to_stop() {
                break Ok(());
            }
            if let Err(failure) = self.turn() {
                break Err(failure);
            }
            let busy = self.ready.rebuild.is_some() || self.ready.agent.is_update_due();
            pause = if busy { Duration::ZERO } else { PAUSE };
        };
        // The checkpoint belongs to whoever teaches the runtime now.
        if !matches!(outcome, Err(Failure::TakenOver { .. })) {
            self.save();
        }
        info!(
            updates = self.ready.agent.counts().critic_updates,
            published = self.tally.published,
            generation = self.generation,
            "the learner ends"
        );
        outcome
    }

    fn turn(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        self.stay_attached(now)?;
        match &self.ready.rebuild {
            // The plant's steps come behind those of the history.
            Some(rebuild) if rebuild.is_reading() => self.rebuild()?,
            Some(_) => {
                self.take_steps();
                self.rebuild()?;
            }
            None => {
                self.take_steps();
                self.learn()?;
            }
        }
        if self.beat.is_due(now) {
            self.show();
        }
        if self.look.is_due(now) {
            self.health = self.ready.agent.health();
        }
        if self.checkpoint.is_due(now) {
            self.save();
        }
        if self.report.is_due(now) {
            self.tell();
        }
        Ok(())
    }

    /// One update, if one is due, and what comes of it now and then.
    fn learn(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        let Some(update) = self.ready.agent.update() else { return Ok(()) };
        if let Some(attachment) = &mut self.attachment {
            attachment.note(LearnerHistogram::Step, began.elapsed());
        }
        self.tally.critic_loss = f64::from(update.critic_loss);
        let updates = self.ready.agent.counts().critic_updates;
        if updates >= self.judged_at + self.ready.publish_every { self.publish() } else { Ok(()) }
    }

    /// The next part of what it has to learn again.
    fn rebuild(&mut self) -> Result<(), Failure> {
        let Some(rebuild) = &mut self.ready.rebuild else { return Ok(()) };
        let progress = rebuild.go_on(&mut self.ready.agent);
        if progress == Progress::Ongoing {
            return Ok(());
        }
        self.ready.rebuild = None;
        if progress == Progress::Rebuilt {
            self.save();
            self.publish()?;
        }
        self.show();
        Ok(())
    }

    /// Joins a runtime when there is none, and leaves one that is gone.
    fn stay_attached(&mut self, now: Instant) -> Result<(), Failure> {
        match &self.attachment {
            None if now >= self.join_at => self.join(now),
            Some(attachment) if self.ask.is_due(now) => match granted_epoch(&self.ready.address) {
                Ok(found) if found == attachment.epoch => Ok(()),
                Ok(found) if found > 0 => Err(Failure::TakenOver { found, own: attachment.epoch }),
                // A keeper that is slow is there all the same.
                Err(rt_control::CallError::TimedOut(_)) => Ok(()),
                gone => {
                    let why = gone.err().map_or_else(|| "it has started anew".to_owned(), |error| error.to_string());
                    warn!("the runtime has gone: {why}");
                    self.attachment = None;
                    self.join_at = now;
                    self.first_ring = Start::Oldest;
                    Ok(())
                }
            },
            _ => Ok(()),
        }
    }

    fn join(&mut self, now: Instant) -> Result<(), Failure> {
        match Attachment::join(&self.ready.address, &self.ready.expected, self.first_ring) {
            Ok(attachment) => {
                info!(epoch = attachment.epoch, "joined the runtime");
                // A generation is never used twice for one runtime.
                self.generation = self.generation.max(attachment.generation);
                self.attachment = Some(attachment);
                self.join_pause = JOIN_PAUSE_MIN;
                self.show_rebuild();
                // What an earlier runtime was taught is of use to this one at once.
                let knows = self.ready.rebuild.is_none() && self.ready.agent.counts().critic_updates > 0;
                if knows { self.publish() } else { Ok(()) }
            }
            Err(AttachError::Call(call)) if is_final(&call) => Err(Failure::Refused(call)),
            Err(error) => {
                debug!("not joined: {error}");
                self.join_at = now + self.join_pause;
                self.join_pause = (self.join_pause * 2).min(JOIN_PAUSE_MAX);
                Ok(())
            }
        }
    }

    fn take_steps(&mut self) {
        let Some(attachment) = &mut self.attachment else { return };
        for _ in 0..STEPS_PER_TURN_MAX {
            match attachment.take() {
                Some(Taken::Step(step, decision)) => {
                    self.ready.agent.observe(&step);
                    self.tally.received += 1;
                    if let Some(decision) = decision {
                        self.opinions.ask(&decision);
                    }
                }
                Some(Taken::Lost(count)) => self.tally.lost += count,
                None => break,
            }
        }
        for estimate in self.opinions.give(&mut self.ready.agent) {
            attachment.say(&estimate);
            self.tally.estimates += 1;
        }
    }

    /// Publishes the actor if it passes the gate.
    fn publish(&mut self) -> Result<(), Failure> {
        let Some(attachment) = &mut self.attachment else { return Ok(()) };
        let agent = &mut self.ready.agent;
        let updates = agent.counts().critic_updates;
        self.judged_at = updates;
        if let Err(refusal) = agent.pass_gate() {
            self.tally.gated += 1;
            debug!(updates, "not published: {refusal}");
            return Ok(());
        }
        let internal = |error: &dyn std::fmt::Display| Failure::Internal(error.to_string());
        let parameters = agent.published_parameters().map_err(|error| internal(&error))?;
        let publication = Publication {
            epoch: attachment.epoch,
            generation: self.generation + 1,
            updates,
            tag_list_hash: self.ready.expected.tag_list_hash,
            nominal: false,
        };
        let published = attachment
            .publish(&self.ready.expected.spec, &publication, &parameters)
            .map_err(|error| internal(&error))?;
        if published {
            self.generation = publication.generation;
            self.tally.published += 1;
        } else {
            self.tally.publish_failures += 1;
        }
        // At once, so that whoever counts never sees more adopted than published.
        self.show();
        Ok(())
    }

    /// The heartbeat and the counters.
    fn show(&self) {
        self.show_rebuild();
        let Some(attachment) = &self.attachment else { return };
        let counts = self.ready.agent.counts();
        let values = [
            (LearnerCounter::Updates, counts.critic_updates),
            (LearnerCounter::ActorUpdates, counts.actor_updates),
            (LearnerCounter::PoliciesPublished, self.tally.published),
            (LearnerCounter::PoliciesGated, self.tally.gated),
            (LearnerCounter::TransitionsReceived, self.tally.received),
            (LearnerCounter::TransitionsLost, self.tally.lost),
            (LearnerCounter::ReplayLength, counts.transitions),
            (LearnerCounter::CriticLossBits, self.tally.critic_loss.to_bits()),
            (LearnerCounter::Checkpoints, self.tally.checkpoints),
            (LearnerCounter::PublishFailures, self.tally.publish_failures),
            (LearnerCounter::Estimates, self.tally.estimates),
        ];
        let of_health = self.health.as_ref().map(figures).into_iter().flatten();
        for (counter, value) in values.into_iter().chain(of_health) {
            attachment.counters.set(counter, value);
        }
        attachment.beat(self.generation);
    }

    /// How far it is with what it has to learn again. Before the heartbeat, which would be taken for its standing by a policy.
    fn show_rebuild(&self) {
        let Some(attachment) = &self.attachment else { return };
        let (done, all) = self.ready.rebuild.as_ref().map_or((0, 0), Rebuild::steps);
        attachment.counters.set(LearnerCounter::RebuildStepsDone, done);
        attachment.counters.set(LearnerCounter::RebuildSteps, all);
    }

    fn save(&mut self) {
        // An agent without experience is not worth a file, and one that has half of it would be taken for one that has it all.
        let counts = self.ready.agent.counts();
        if self.ready.rebuild.is_some() || counts.observations + counts.transitions == 0 {
            return;
        }
        let Some(keeping) = &self.ready.keeping else { return };
        if keeping.save(&self.ready.agent, self.generation) {
            self.tally.checkpoints += 1;
        }
    }

    fn tell(&self) {
        let counts = self.ready.agent.counts();
        info!(
            observations = counts.observations,
            updates_per_observation = counts.critic_updates as f64 / counts.observations.max(1) as f64,
            critic_loss = self.tally.critic_loss,
            generation = self.generation,
            gated = self.tally.gated,
            steps_lost = self.tally.lost,
            "learning"
        );
        if let Some(health) = &self.health {
            info!(
                actor_loss = health.actor_loss,
                critic_gradient_norm = health.critic_gradient_norm,
                actor_gradient_norm = health.actor_gradient_norm,
                dead_units = health.dead_units,
                stable_rank = health.stable_rank,
                ensemble_spread = health.ensemble_spread,
                prediction_error = health.prediction_error,
                value_added = health.value_added,
                drift_mean = health.drift.map(|drift| drift.mean),
                drift_largest = health.drift.map(|drift| drift.largest),
                drift_column = health.drift.map(|drift| drift.column),
                imputation_error = health.imputation.map(|imputation| imputation.error),
                imputation_held = health.imputation.map(|imputation| imputation.held),
                "health"
            );
        }
    }
}

/// Health as the runtime's keeper and other tools read it.
fn figures(health: &Health) -> [(LearnerCounter, u64); 12] {
    let Drift { mean, largest, column } =
        health.drift.unwrap_or(Drift { mean: f64::NAN, largest: f64::NAN, column: 0 });
    [
        (LearnerCounter::HealthUpdates, health.updates),
        (LearnerCounter::ActorLossBits, health.actor_loss.to_bits()),
        (LearnerCounter::CriticGradientNormBits, health.critic_gradient_norm.to_bits()),
        (LearnerCounter::ActorGradientNormBits, health.actor_gradient_norm.to_bits()),
        (LearnerCounter::DeadUnitsBits, health.dead_units.to_bits()),
        (LearnerCounter::StableRankBits, health.stable_rank.to_bits()),
        (LearnerCounter::EnsembleSpreadBits, health.ensemble_spread.to_bits()),
        (LearnerCounter::PredictionErrorBits, health.prediction_error.to_bits()),
        (LearnerCounter::DriftMeanBits, mean.to_bits()),
        (LearnerCounter::DriftLargestBits, largest.to_bits()),
        (LearnerCounter::DriftColumn, column as u64),
        (LearnerCounter::ValueAddedBits, health.value_added.to_bits()),
    ]
}
