//! Which policy follows which: a verified network is tried in the shadow before it acts, and watched after.
//!
//! Verification says that a network is well formed; whether it is any good, only decisions show. So a **candidate**
//! answers the states of live decisions beside the policy **in use**, and nothing that it says reaches the plant: its
//! *trial*, and [`TrialFailed`] names what may go wrong there. If it passes it is adopted, and is on **probation** until it
//! has driven the plant for a while: should it fail ([`ProbationFailed`]), the policy that stood its own probation last
//! comes back, and the generation that failed is refused for ever. While one is on probation the next may be on trial, but
//! it has to wait for the other's end before it is adopted.
//!
//! Of a policy with an imputer the trial sees the actor, on the states that the imputer in use has made; its own imputer is
//! verified before and watched after, like the rest of it.
//!
//! # Liveness
//! Nothing here keeps policies from the plant for ever, but what they do: a learner that has begun anew and leads elsewhere
//! than the policy in use is refused as long as it does, and the plant keeps the one that it has. Trial and probation
//! are counted in decisions, and from the first one on in time as well, because decisions may stop: when either is over,
//! what was seen decides. Before its first decision a candidate makes room for a newer one, and a policy that has not driven
//! yet for the next: nobody acts, so nothing is lost. From then on newer publications wait, and only the newest of them is
//! looked at afterwards: a learner that publishes faster than it is judged gets through all the same.
//!
//! # The first policy
//! The nominal policy and a policy file are not tried: one holds the nominal setpoints, the other is signed. The nominal
//! policy is no measure of what was learnt, since learning leads away from it: beside it a candidate's divergence is not
//! judged; everything else is, and so is its probation.
//!
//! Everything is a function of the words, steps and times that others hand in. Nothing here is for a real-time thread; memory
//! is taken when things are made.

mod answers;
mod canary;
mod probation;

use rt_config::{Canary as CanarySettings, Probation as ProbationSettings, Site};
use rt_core::mode::{Cause, Mode};
use rt_core::time::{MonoTime, Span};
use shm_layout::{StepHead, StepRef};

use crate::agent::AdoptedPolicy;
use crate::kernels::{Kernel, SpecError};
use crate::spec::PolicySpec;
use crate::wire::{Verifier, WeightsRefused};

use answers::Examiner;
use canary::Canary;
pub use canary::TrialFailed;
pub use probation::ProbationFailed;
use probation::Window;

/// Trial and probation may take so many times as long as their decisions take when none is missing.
const PATIENCE: u64 = 4;
/// A collapse is seen as soon as this part of a probation is over.
const COLLAPSE_SEEN_FROM: u32 = 4;

/// What a policy has come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// The candidate stood its trial and is in use from now on.
    Adopted {
        /// Its generation.
        generation: u64,
    },
    /// The candidate did not stand its trial; the policy in use stays.
    Refused {
        /// The candidate's generation.
        generation: u64,
        /// What was too much.
        why: TrialFailed,
    },
    /// The policy in use stood its probation.
    Proven {
        /// Its generation.
        generation: u64,
    },
    /// The policy in use did not stand its probation; an older one is in use again.
    RolledBack {
        /// The generation that failed.
        generation: u64,
        /// The generation that is in use again.
        to: u64,
        /// What was too much.
        why: ProbationFailed,
    },
}

/// How far a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its generation.
    pub generation: u64,
    /// Decisions that it has stood.
    pub decisions: u32,
    /// Decisions that it has to stand.
    pub of: u32,
}

/// Decisions so far, and when they began.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    decisions: u32,
    since: Option<MonoTime>,
}

impl Course {
    fn note(&mut self, at: MonoTime) {
        self.decisions = self.decisions.saturating_add(1);
        self.since.get_or_insert(at);
    }

    const fn has_begun(self) -> bool {
        self.since.is_some()
    }

    /// Enough decisions, or too much time for them.
    fn is_over(self, decisions: u32, decide_every: Span, now: MonoTime) -> bool {
        let patience = decide_every.times(PATIENCE * u64::from(decisions));
        self.decisions >= decisions || self.since.is_some_and(|since| now.since(since) > patience)
    }
}

/// The policies of one agent, from publication to proof.
#[derive(Clone, Debug)]
pub struct Succession {
    verifier: Verifier,
    examiner: Examiner,
    canary: Option<CanarySettings>,
    probation: Option<ProbationSettings>,
    /// Time from one decision to the next, when none is missing.
    decide_every: Span,
    in_use: AdoptedPolicy,
    /// Of the policy in use, until it has stood it.
    on_probation: Option<Course>,
    /// What comes back: the last policy before the one in use that stood its probation.
    before: AdoptedPolicy,
    candidate: AdoptedPolicy,
    /// Of the candidate, when there is one.
    on_trial: Option<Canary>,
    /// What came of the policy in use, and of the one that comes back.
    window: Window,
    window_before: Window,
    /// The lowest mean reward of a policy that was kept, since the start.
    worst: Option<f64>,
}

impl Succession {
    /// The succession of this site's policies; `first` is in use.
    ///
    /// # Errors
    /// When `spec` is no policy.
    pub fn new(site: &Site, spec: &PolicySpec, first: &AdoptedPolicy, kernel: Kernel) -> Result<Self, SpecError> {
        let mut verifier = Verifier::new(spec, site.tag_list_hash(), kernel)?;
        verifier.count(first.generation());
        let window = Window::new(site.runtime.probation.map_or(0, |probation| probation.decisions));
        Ok(Self {
            verifier,
            examiner: Examiner::new(site, &spec.actor, kernel)?,
            canary: site.runtime.canary,
            probation: site.runtime.probation,
            decide_every: site.interaction.action_period,
            in_use: first.clone(),
            on_probation: None,
            before: first.clone(),
            candidate: first.clone(),
            on_trial: None,
            window_before: window.clone(),
            window,
            worst: None,
        })
    }

    /// From now on only this epoch's learner is believed.
    pub fn grant(&mut self, epoch: u64) {
        self.verifier.grant(epoch);
    }

    /// The newest generation so far, whatever became of it. Only later ones are believed.
    pub fn newest(&self) -> u64 {
        self.verifier.newest()
    }

    /// The policy to follow.
    pub const fn in_use(&self) -> &AdoptedPolicy {
        &self.in_use
    }

    /// The generation that comes back if the one in use fails.
    pub const fn before(&self) -> u64 {
        self.before.generation()
    }

    /// How far the candidate is, if there is one.
    pub fn trial(&self) -> Option<Progress> {
        let of = self.canary.map_or(0, |settings| settings.decisions);
        self.on_trial.as_ref().map(|canary| Progress {
            generation: self.candidate.generation(),
            decisions: canary.course().decisions,
            of,
        })
    }

    /// How far the policy in use is, unless it has stood its probation.
    pub fn probation(&self) -> Option<Progress> {
        let of = self.probation.map_or(0, |settings| settings.decisions);
        self.on_probation.map(|course| Progress {
            generation: self.in_use.generation(),
            decisions: course.decisions,
            of,
        })
    }

    /// Whether a publication is looked at now; if not, it waits.
    pub fn takes_offers(&self) -> bool {
        self.on_trial.as_ref().is_none_or(|canary| !canary.course().has_begun())
    }

    /// Whether a learner that stands by this generation was understood: it was looked at, or waits until it is. One that
    /// stands by a newer generation failed to bring it across.
    pub fn has_heard_of(&self, generation: u64) -> bool {
        generation <= self.newest() || !self.takes_offers()
    }

    /// Verifies the network in these words, which nobody else may write any more, and makes it the candidate; its
    /// generation. To be called when [`Self::takes_offers`].
    ///
    /// # Errors
    /// The first fact that does not hold; nothing changes then.
    pub fn offer(&mut self, words: &[u64]) -> Result<u64, WeightsRefused> {
        let weights = self.verifier.verify(words)?;
        // One shape, or the verifier would not believe it.
        let _ = self.candidate.adopt(&weights);
        self.on_trial = Some(Canary::default());
        Ok(self.candidate.generation())
    }

    /// Takes in a step of the runtime: what the policies say to its state, and what came of the one in use.
    pub fn take(&mut self, step: &StepRef<'_>) {
        let Self { in_use, candidate, examiner, window, .. } = self;
        if step.head.has(StepHead::STATE_COMPLETE) {
            self.verifier.remember(step.state);
        }
        let decided = step.head.has(StepHead::STATE_COMPLETE | StepHead::DECISION_SLOT);
        let at = MonoTime::from_ns(step.head.time_ns);
        if let (Some(canary), Some(settings), true) = (&mut self.on_trial, self.canary, decided)
            && canary.course().decisions < settings.decisions
        {
            canary.note(at, candidate, in_use, examiner, step);
        }
        let drives = step.head.mode == Mode::Run as u8 && step.head.policy_generation == in_use.generation();
        if drives && self.probation.is_some() {
            window.note(in_use, examiner, step);
            if let (Some(course), true) = (&mut self.on_probation, decided) {
                course.note(at);
            }
        }
    }

    /// The verdict that is due, if any. After [`Verdict::Adopted`] and [`Verdict::RolledBack`] another policy is in use.
    pub fn turn(&mut self, now: MonoTime) -> Option<Verdict> {
        self.judge_policy_in_use(now).or_else(|| self.judge_candidate(now))
    }

    /// The runtime tripped. A policy on probation that is to blame for it does not stand its probation.
    pub fn trip(&mut self, cause: Cause) -> Option<Verdict> {
        let to_blame = matches!(cause, Cause::OutputNotFinite | Cause::OutputOutOfBounds | Cause::Chatter);
        let failed = to_blame && self.on_probation.is_some();
        failed.then(|| self.roll_back(ProbationFailed::Trip { cause: cause.name() }))
    }

    fn judge_policy_in_use(&mut self, now: MonoTime) -> Option<Verdict> {
        let (course, settings) = self.on_probation.zip(self.probation)?;
        let over = course.is_over(settings.decisions, self.decide_every, now);
        let shown = over || course.decisions >= settings.decisions.div_ceil(COLLAPSE_SEEN_FROM);
        if shown && let Err(why) = probation::judge(&settings, &self.window_before, &self.window, self.worst) {
            return Some(self.roll_back(why));
        }
        if !over {
            return None;
        }
        self.on_probation = None;
        Some(Verdict::Proven { generation: self.in_use.generation() })
    }

    fn judge_candidate(&mut self, now: MonoTime) -> Option<Verdict> {
        let canary = self.on_trial.as_ref()?;
        if let Some(settings) = self.canary {
            if !canary.course().is_over(settings.decisions, self.decide_every, now) {
                return None;
            }
            if let Err(why) = canary.judge(&settings, self.in_use.is_nominal()) {
                self.on_trial = None;
                return Some(Verdict::Refused { generation: self.candidate.generation(), why });
            }
        }
        let watched = self.on_probation.is_some_and(Course::has_begun);
        (!watched).then(|| self.adopt())
    }

    fn adopt(&mut self) -> Verdict {
        std::mem::swap(&mut self.in_use, &mut self.candidate);
        // One that never drove has proved nothing: what would have come back for it comes back for its successor.
        if self.on_probation.is_none() {
            std::mem::swap(&mut self.before, &mut self.candidate);
            std::mem::swap(&mut self.window_before, &mut self.window);
            self.worst = [self.worst, self.window_before.mean()].into_iter().flatten().reduce(f64::min);
        }
        self.window.clear();
        self.on_trial = None;
        self.on_probation = self.probation.map(|_| Course::default());
        Verdict::Adopted { generation: self.in_use.generation() }
    }

    fn roll_back(&mut self, why: ProbationFailed) -> Verdict {
        let generation = self.in_use.generation();
        std::mem::swap(&mut self.in_use, &mut self.before);
        // What was seen before it was replaced may be long ago.
        self.window.clear();
        self.on_probation = None;
        // The candidate was compared with the one that failed.
        self.on_trial = self.on_trial.take().map(|_| Canary::default());
        Verdict::RolledBack { generation, to: self.in_use.generation(), why }
    }
}

#[cfg(test)]
mod tests;
