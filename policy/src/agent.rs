//! The agent as the cycle sees it: pipeline, adopted network, decision, and the step that it leaves for the learner.

use rt_config::Site;
use rt_core::carry::Carrier;
use rt_core::image::Image;
use rt_core::ports::{Action, Moment, NoAction, Observed, Policy};
use rt_core::time::MonoTime;
use serde::{Deserialize, Serialize};
use shm_layout::{StepHead, StepMut};

use crate::excursion::Excursions;
use crate::explore::noise;
use crate::kernels::{
    Activation, Kernel, LayerSpec, NetSpec, PackedNet, ParameterCount, Scratch, SpecError, clip, sigmoid,
};
use crate::pipeline::{Judgement, Pipeline, TrainedImputer, UnfitSite, narrowed, normalised};
use crate::probe::{ParametersRefused, Probe};
use crate::spec::PolicySpec;
use crate::sweep::Sweep;
use crate::wire::{Publication, VerifiedWeights};

/// Sums of each of the torso's two layers.
pub const HIDDEN: usize = 128;
/// The largest deviation of a sampled action, on top of [`SIGMA_MIN`].
pub const SIGMA_MAX: f32 = 0.1;
/// The smallest deviation of a sampled action.
pub const SIGMA_MIN: f32 = 1e-5;
/// The generation of the nominal policy; learned ones are above it.
pub const NOMINAL_GENERATION: u64 = 0;
/// sigmoid(10) = 0.99995: the nominal policy explores with all of [`SIGMA_MAX`].
const NOMINAL_SIGMA_LOGIT: f32 = 10.0;

/// The actor's network: two CReLU layers, then the means of all setpoints and after them the logits of their deviations.
pub fn actor_spec(n_state: usize, n_setpoints: usize) -> NetSpec {
    let layers = vec![
        LayerSpec::new(n_state, HIDDEN, Activation::Crelu),
        LayerSpec::new(2 * HIDDEN, HIDDEN, Activation::Crelu),
        LayerSpec::new(2 * HIDDEN, 2 * n_setpoints, Activation::Linear),
    ];
    NetSpec { layers }
}

/// The deviation that a logit of the actor stands for.
///
/// # Real-time
/// Wait-free, a fixed number of operations.
pub fn sigma(logit: f32) -> f32 {
    SIGMA_MAX * sigmoid(logit) + SIGMA_MIN
}

/// What a policy is, beside its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its number; [`NOMINAL_GENERATION`] for the nominal one.
    pub generation: u64,
    /// The learner's updates when it was made: how much it has learnt. 0 when nobody says so, or nothing was.
    pub updates: u64,
    /// It holds the nominal setpoints.
    pub nominal: bool,
}

/// A policy that the agent may follow: an actor and, where the site asks for one, an imputer. Only verified parameters get
/// in, those of both at once.
#[derive(Clone, Debug)]
pub struct AdoptedPolicy {
    net: PackedNet,
    imputer: Option<PackedNet>,
    /// Somebody has trained the imputer: not all of its parameters are 0.
    imputes: bool,
    origin: Kept,
}

impl AdoptedPolicy {
    /// The nominal policy of this site: whatever the state, the mean is each setpoint's nominal value. A network like
    /// any other, so the path from state to plant is the same before and after learning.
    ///
    /// An agent that may not explore holds the nominal setpoints exactly. One that may scatters around them with the
    /// deviation that a trained actor has at most, 0.1 of the scale: the learner needs it to see what actions do.
    /// Like all exploration this noise is a function of seed and cycle, and stays within the agent's bounds.
    ///
    /// Its imputer knows nothing and stands in for nothing.
    ///
    /// # Errors
    /// When `spec` is no policy.
    pub fn nominal(spec: &PolicySpec, site: &Site) -> Result<Self, SpecError> {
        let mut policy = Self::blank(spec, Kept { generation: NOMINAL_GENERATION, updates: 0, nominal: true })?;
        let mut parameters = vec![0.0; spec.parameters()];
        let means = site.setpoints.iter().map(|setpoint| narrowed(normalised(setpoint.nominal, setpoint.scale)));
        let biases = means.chain(site.setpoints.iter().map(|_| NOMINAL_SIGMA_LOGIT));
        // The last layer's biases are the actor's last parameters.
        let first = spec.actor.parameters().saturating_sub(spec.actor.outputs());
        parameters.iter_mut().skip(first).zip(biases).for_each(|(slot, bias)| *slot = bias);
        // As many as the networks have, by construction.
        let _: Result<(), ParameterCount> = policy.pack(&parameters);
        Ok(policy)
    }

    /// All parameters are 0.
    fn blank(spec: &PolicySpec, origin: Kept) -> Result<Self, SpecError> {
        let imputer = spec.imputer.as_ref().map(PackedNet::new).transpose()?;
        Ok(Self { net: PackedNet::new(&spec.actor)?, imputer, imputes: false, origin })
    }

    /// Takes over parameters in the order of [`PolicySpec`], without allocating; nothing changes when they are too few or
    /// too many.
    fn pack(&mut self, parameters: &[f32]) -> Result<(), ParameterCount> {
        let of_actor = self.net.spec().parameters();
        let of_imputer = self.imputer.as_ref().map_or(0, |imputer| imputer.spec().parameters());
        let (found, expected) = (parameters.len(), of_actor.saturating_add(of_imputer));
        let wrong = ParameterCount { found, expected };
        let (actor, imputer) = parameters.split_at_checked(of_actor).ok_or(wrong)?;
        if found != expected {
            return Err(wrong);
        }
        self.net.pack(actor)?;
        self.imputes = imputer.iter().any(|parameter| *parameter != 0.0);
        self.imputer.as_mut().map_or(Ok(()), |net| net.pack(imputer))
    }

    /// Takes over verified weights, without allocating.
    ///
    /// # Errors
    /// When they are for networks of another size; nothing changes then.
    pub fn adopt(&mut self, weights: &VerifiedWeights<'_>) -> Result<(), ParameterCount> {
        self.pack(weights.parameters())?;
        let Publication { generation, updates, nominal, .. } = *weights.publication();
        self.origin = Kept { generation, updates, nominal };
        Ok(())
    }

    /// Takes over another policy of the same shape, without allocating.
    pub fn copy_from(&mut self, other: &Self) {
        let Self { net, imputer, imputes, origin } = other;
        self.net.copy_from(net);
        if let (Some(to), Some(from)) = (&mut self.imputer, imputer) {
            to.copy_from(from);
        }
        (self.imputes, self.origin) = (*imputes, *origin);
    }

    /// A policy as it was kept somewhere: parameters that [`AdoptedPolicy::parameters`] gave.
    ///
    /// # Errors
    /// The parameters are not believed, like those of a publication.
    pub fn kept(spec: &PolicySpec, origin: Kept, parameters: &[f32]) -> Result<Self, ParametersRefused> {
        let count = |_| ParameterCount { found: parameters.len(), expected: spec.parameters() };
        Probe::new(spec, Kernel::best()).map_err(count)?.judge(parameters)?;
        let mut policy = Self::blank(spec, origin).map_err(count)?;
        policy.pack(parameters)?;
        Ok(policy)
    }

    /// Takes over what a learner in the same process has learnt, if it is believed like a publication; without allocating.
    /// Not for the real-time thread.
    ///
    /// # Errors
    /// The parameters are not believed, and nothing changes; or the probe is one of another network.
    pub fn follow(
        &mut self,
        probe: &mut Probe,
        generation: u64,
        updates: u64,
        parameters: &[f32],
    ) -> Result<(), ParametersRefused> {
        probe.judge(parameters)?;
        self.pack(parameters)?;
        self.origin = Kept { generation, updates, nominal: false };
        Ok(())
    }

    /// Its parameters in the order of [`PolicySpec`]. Allocates: not for the real-time thread.
    pub fn parameters(&self) -> Vec<f32> {
        let mut parameters = self.net.unpacked();
        parameters.extend(self.imputer.iter().flat_map(PackedNet::unpacked));
        parameters
    }

    /// Its number; [`NOMINAL_GENERATION`] for the nominal one.
    pub const fn generation(&self) -> u64 {
        self.origin.generation
    }

    /// What it is, beside its parameters.
    pub const fn origin(&self) -> Kept {
        self.origin
    }

    /// It holds the nominal setpoints.
    pub const fn is_nominal(&self) -> bool {
        self.origin.nominal
    }

    /// Its actor.
    pub const fn net(&self) -> &PackedNet {
        &self.net
    }

    /// Its imputer, when somebody has trained one: parameters that are all 0 stand for none.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn imputer(&self) -> Option<&PackedNet> {
        self.imputer.as_ref().filter(|_| self.imputes)
    }
}

/// Where adopted policies come from: the control thread's side of an in-process triple buffer, or a plain value.
pub trait PolicySource {
    /// Moves to the newest policy; whether it is another one than before.
    ///
    /// # Real-time
    /// Wait-free.
    fn refresh(&mut self) -> bool;
    /// The policy to follow, if there is one yet.
    ///
    /// # Real-time
    /// Wait-free.
    fn current(&self) -> Option<&AdoptedPolicy>;
}

/// What one observation leaves for the learner.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The cycle of the observation.
    pub cycle: u64,
    /// Its release.
    pub release: MonoTime,
    /// The mode before the cycle.
    pub mode: u8,
    /// Generation of the policy in use.
    pub generation: u64,
    /// The state, in the order of the columns.
    pub state: &'a [f32],
    /// The setpoints as read back, in [0, 1].
    pub action: &'a [f32],
    /// Lower bounds of the next action, in [0, 1].
    pub lo: &'a [f32],
    /// Upper bounds of the next action, in [0, 1].
    pub hi: &'a [f32],
    /// What the policy asked for, before any bound: 0 and 1 are the ends of the scale. NaN without a decision.
    pub mean: &'a [f32],
    /// The same with exploration.
    pub sampled: &'a [f32],
    /// What the agent's own bounds left of it, in [0, 1]; NaN without a decision.
    pub decided: &'a [f32],
    /// The reward, if there is one.
    pub reward: Option<f64>,
    /// Every goal is met; `None` without goals, or when it cannot be said.
    pub goals_met: Option<bool>,
    /// No tag lies in a red or yellow zone; `None` without zones, or when it cannot be said.
    pub zones_clear: Option<bool>,
    /// Every column of the state is usable.
    pub complete: bool,
    /// The site has a masked autoencoder, and every value of the state that it learns from was read.
    pub all_read: bool,
    /// Every setpoint was read back.
    pub action_read_back: bool,
    /// It was a decision slot: of the grid, or because of a trigger.
    pub decision: bool,
    /// Because of a trigger alone.
    pub triggered: bool,
    /// The step before does not connect to this one.
    pub gap: bool,
    /// The decision of this cycle was sampled, not the mean.
    pub explored: bool,
}

impl Step<'_> {
    /// The bits of [`StepHead::flags`].
    pub fn flags(&self) -> u32 {
        let flags = [
            (self.complete, StepHead::STATE_COMPLETE),
            (self.reward.is_some(), StepHead::REWARD_VALID),
            (self.decision, StepHead::DECISION_SLOT),
            (self.triggered, StepHead::TRIGGERED),
            (self.all_read, StepHead::ALL_READ),
            (self.gap, StepHead::GAP_BEFORE),
            (self.explored, StepHead::EXPLORED),
            (self.action_read_back, StepHead::ACTION_READ_BACK),
            (self.goals_met.is_some(), StepHead::GOALS_JUDGED),
            (self.goals_met == Some(true), StepHead::GOALS_MET),
            (self.zones_clear.is_some(), StepHead::ZONES_JUDGED),
            (self.zones_clear == Some(true), StepHead::ZONES_CLEAR),
        ];
        flags.into_iter().filter(|(holds, _)| *holds).fold(0, |all, (_, flag)| all | flag)
    }

    /// Writes the step into a slot of the ring, everything but its sequence number.
    ///
    /// # Real-time
    /// Wait-free, bounded by the number of columns.
    pub fn write_to(&self, slot: StepMut<'_>) {
        let head = slot.head;
        (head.cycle, head.time_ns, head.mode) = (self.cycle, self.release.as_ns(), self.mode);
        (head.reward, head.policy_generation) = (self.reward.unwrap_or(f64::NAN), self.generation);
        head.flags = self.flags();
        let columns = [
            (slot.state, self.state),
            (slot.action, self.action),
            (slot.lo, self.lo),
            (slot.hi, self.hi),
            (slot.mean, self.mean),
            (slot.sampled, self.sampled),
            (slot.decided, self.decided),
        ];
        for (to, from) in columns {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
    }
}

/// How the last decision came about, stage by stage, scaled as [`Step`] says. NaN where there was none.
#[derive(Debug)]
struct Decision {
    mean: Vec<f32>,
    sampled: Vec<f32>,
    decided: Vec<f32>,
}

impl Decision {
    fn none(setpoints: usize) -> Self {
        let nothing = || vec![f32::NAN; setpoints];
        Self { mean: nothing(), sampled: nothing(), decided: nothing() }
    }

    fn forget(&mut self) {
        [&mut self.mean, &mut self.sampled, &mut self.decided].into_iter().for_each(|stage| stage.fill(f32::NAN));
    }

    /// Of one setpoint.
    fn note(&mut self, setpoint: usize, mean: f32, sampled: f32, decided: f32) {
        let stages = [(&mut self.mean, mean), (&mut self.sampled, sampled), (&mut self.decided, decided)];
        for (stage, value) in stages {
            if let Some(slot) = stage.get_mut(setpoint) {
                // One pattern of bits for what is not a number, on every machine.
                *slot = if value.is_nan() { f32::NAN } else { value };
            }
        }
    }
}

/// Pipeline and policy of one site.
#[derive(Debug)]
pub struct Agent<S> {
    pipeline: Pipeline,
    source: S,
    kernel: Kernel,
    scratch: Scratch,
    /// Means, then logits of the deviations.
    outputs: Vec<f32>,
    setpoints: usize,
    may_explore: bool,
    sweep: Sweep,
    excursions: Excursions,
    seed: u64,
    moment: Moment,
    decision: Decision,
    explored: bool,
}

/// Why there is no agent for a site.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// The site has no pipeline.
    #[error(transparent)]
    Site(#[from] UnfitSite),
    /// The state or the action is too large for a network.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

impl<S: PolicySource> Agent<S> {
    /// The agent of this site, before its first observation. Policies from `source` must have the shape of
    /// [`PolicySpec::of`] the site.
    ///
    /// # Errors
    /// When the site has no pipeline, or one too large for a network.
    pub fn new(site: &Site, source: S, kernel: Kernel) -> Result<Self, AgentError> {
        let pipeline = Pipeline::new(site)?;
        let spec = actor_spec(pipeline.state().len(), site.setpoints.len());
        Ok(Self {
            source,
            kernel,
            scratch: Scratch::of(&spec)?,
            outputs: vec![0.0; spec.outputs()],
            setpoints: site.setpoints.len(),
            may_explore: site.agent.explore,
            sweep: Sweep::new(site),
            excursions: Excursions::new(site),
            seed: site.seed,
            moment: Moment { cycle: 0, release: MonoTime::ZERO, decision: false, gap: true, mode: 0 },
            decision: Decision::none(site.setpoints.len()),
            explored: false,
            pipeline,
        })
    }

    /// The last observation, as the learner gets it. `step().cycle` tells whether there was one in a cycle.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn step(&self) -> Step<'_> {
        let (lo, hi) = self.pipeline.bounds();
        let Judgement { reward, goals_met, zones_clear, .. } = self.pipeline.judgement();
        let Decision { mean, sampled, decided } = &self.decision;
        Step {
            cycle: self.moment.cycle,
            release: self.moment.release,
            mode: self.moment.mode,
            generation: self.source.current().map_or(NOMINAL_GENERATION, AdoptedPolicy::generation),
            state: self.pipeline.state(),
            action: self.pipeline.action(),
            lo,
            hi,
            mean,
            sampled,
            decided,
            reward,
            goals_met,
            zones_clear,
            complete: self.pipeline.complete(),
            all_read: self.pipeline.all_read(),
            action_read_back: self.pipeline.action_read_back(),
            decision: self.moment.decision || self.pipeline.triggered(),
            triggered: self.pipeline.triggered(),
            gap: self.moment.gap,
            explored: self.explored,
        }
    }

    /// Hands the agent's memory over to be kept, or takes over what was kept. The policy in use is no part of it: that is
    /// the source's business.
    ///
    /// # Real-time
    /// As wait-free as the carrier; bounded by the number of columns.
    pub fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self {
            pipeline,
            sweep,
            excursions,
            // What the site fixes, and whoever made the agent.
            source: _,
            kernel: _,
            setpoints: _,
            may_explore: _,
            seed: _,
            // Every observation or pass fills them before it uses them.
            scratch: _,
            outputs: _,
            moment: _,
            decision: _,
            explored: _,
        } = self;
        pipeline.carry(carrier);
        sweep.carry(carrier);
        excursions.carry(carrier);
    }

    /// The kernel in use.
    pub const fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Where its policies come from.
    pub const fn source(&self) -> &S {
        &self.source
    }

    /// Where its policies come from, to be told something.
    pub const fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// Decides one setpoint, inside the agent's bounds; in engineering units. What happens on the way is noted, also when
    /// nothing comes of it.
    fn act(&mut self, setpoint: usize, way: Way) -> Result<f64, NoAction> {
        let output = |at: usize| self.outputs.get(at).copied().ok_or(NoAction::NotFinite);
        let (mean, logit) = (output(setpoint)?, output(self.setpoints + setpoint)?);
        let said = match way {
            Way::Mean => mean,
            Way::Sample | Way::Sweep | Way::Excursion => {
                mean + (f64::from(sigma(logit)) * noise(self.seed, self.moment.cycle, setpoint)) as f32
            }
        };
        // A network that says what is no number is no better for going elsewhere.
        let sampled = match way {
            Way::Sweep if said.is_finite() => self.sweep.target(setpoint) + (said - mean),
            Way::Excursion if said.is_finite() => self.excursions.target(setpoint),
            _ => said,
        };
        let (lo, hi) = self.pipeline.bounds();
        let bounds = lo.get(setpoint).zip(hi.get(setpoint)).ok_or(NoAction::Incomplete)?;
        let decided = clip(sampled, *bounds.0, *bounds.1);
        self.decision.note(setpoint, mean, sampled, decided);
        if !sampled.is_finite() {
            return Err(NoAction::NotFinite);
        }
        self.pipeline.engineering(setpoint, decided).ok_or(NoAction::Incomplete)
    }
}

/// How a decision comes from the network's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The mean.
    Mean,
    /// A sample around the mean.
    Sample,
    /// A sample around where the sweep is.
    Sweep,
    /// Somewhere else, to see what is there.
    Excursion,
}

impl<S: PolicySource> Policy for Agent<S> {
    fn adopt(&mut self) -> Option<u64> {
        if !self.source.refresh() {
            return None;
        }
        self.source.current().map(AdoptedPolicy::generation)
    }

    fn observe(&mut self, image: &Image, moment: &Moment) -> Observed {
        self.moment = *moment;
        self.explored = false;
        self.decision.forget();
        let imputer = self.source.current().and_then(AdoptedPolicy::imputer);
        let imputer = imputer.map(|net| TrainedImputer { net, kernel: self.kernel });
        self.pipeline.observe_with(imputer, image, moment);
        Observed {
            complete: self.pipeline.complete(),
            reward: self.pipeline.reward(),
            because: self.pipeline.judgement().because,
            triggered: self.pipeline.triggered(),
        }
    }

    fn decide(&mut self, explore: bool, action: &mut Action) -> Result<(), NoAction> {
        let policy = self.source.current().ok_or(NoAction::NoPolicy)?;
        if !self.pipeline.complete() {
            return Err(NoAction::Incomplete);
        }
        policy.net.forward(self.kernel, self.pipeline.state(), &mut self.scratch, &mut self.outputs);
        let explore = explore && self.may_explore;
        let way = match explore {
            false => Way::Mean,
            true if self.sweep.tick(policy.origin.updates) => Way::Sweep,
            true if self.excursions.tick(self.moment.cycle, policy.origin.updates) => Way::Excursion,
            true => Way::Sample,
        };
        if way != Way::Excursion {
            self.excursions.end();
        }
        let mut decided = *action;
        for (setpoint, slot) in decided.iter_mut().enumerate().take(self.setpoints) {
            *slot = self.act(setpoint, way)?;
        }
        *action = decided;
        self.explored = explore;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
