//! One agent on one environment.

use learner::{AgentOptions, AgentShape, Health, nominal_of};
use plants::Plant;
use policy::kernels::{Kernel, NetSpec, Scratch};
use policy::pipeline::Columns;
use policy::wire::ParametersRefused;
use policy::{AdoptedPolicy, Agent, PolicySource, Probe, actor_spec};
use rt_config::Site;
use rt_core::image::Image;
use rt_core::mode::Mode;
use rt_core::ports::{Moment, Policy as _};
use rt_core::setpoint::SETPOINTS_MAX;
use rt_core::tag::{Quality, Sample, TagId};
use rt_core::time::{MonoTime, Span};
use serde::{Deserialize, Serialize};

use crate::case::{Case, CaseError};
use crate::report::WINDOW;
use crate::site::site_of;

/// From one step to the next, as the site of the case says.
const STEP: Span = Span::from_ms(100);
/// OPC UA's source timestamps count in these, from 1601 on; a trial begins on a Monday, 2001-01-01.
const NS_PER_TICK: u64 = 100;
const EPOCH_TICKS: i64 = 126_227_808_000_000_000;
/// Steps of an evaluation.
const EVALUATION_STEPS: usize = 1_000;

/// Why there is no experiment.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// There is no such case.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// The environment's options cannot be.
    #[error("case `{case}`: {message}")]
    Impossible {
        /// The case.
        case: String,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// What was learnt is not believed: a fault of the program.
    #[error("what was learnt is not believed: {0}")]
    Unbelievable(#[from] ParametersRefused),
}

/// What a trial has left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The reward of every step.
    pub rewards: Vec<f64>,
    /// Mean variance of the actor over the last 100 decisions, in the setpoints' units squared.
    pub actor_variance: f64,
    /// Updates of the critics.
    pub updates: u64,
    /// Mean reward of what was learnt without exploring, over 1,000 steps from the start.
    pub deterministic: f64,
    /// The same of the nominal setpoints.
    pub nominal: f64,
    /// How learning got on at the end; `None` when nothing was learnt.
    pub health: Option<Health>,
    /// How often the case's wishes were fulfilled.
    pub wishes: Wishes,
}

/// Which part of the observations fulfilled the wishes of a case, of those in which that could be said; `None` without such
/// a wish.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Wishes {
    /// All goals were met.
    pub goals_met: Option<f64>,
    /// No tag lay in a red or yellow zone.
    pub zones_clear: Option<f64>,
}

/// Answers to a question that has none at times.
#[derive(Debug, Clone, Copy, Default)]
struct Answers {
    yes: u64,
    all: u64,
}

impl Answers {
    fn note(&mut self, answer: Option<bool>) {
        self.yes += u64::from(answer == Some(true));
        self.all += u64::from(answer.is_some());
    }

    fn share(self) -> Option<f64> {
        (self.all > 0).then(|| self.yes as f64 / self.all as f64)
    }
}

/// The policy that the agent follows.
#[derive(Debug)]
struct Followed {
    policy: AdoptedPolicy,
    is_new: bool,
}

impl PolicySource for Followed {
    fn refresh(&mut self) -> bool {
        std::mem::take(&mut self.is_new)
    }

    fn current(&self) -> Option<&AdoptedPolicy> {
        Some(&self.policy)
    }
}

/// The runtime's half: an environment, what is known of it, and the agent that decides.
#[derive(Debug)]
struct Driver {
    plant: Box<dyn Plant>,
    image: Image,
    agent: Agent<Followed>,
    readings: Vec<f64>,
    /// The setpoints, engineering units.
    written: Vec<f64>,
    decide_every: u64,
    steps: u64,
}

impl Driver {
    fn new(case: &Case, site: &Site, policy: AdoptedPolicy, plant: Box<dyn Plant>) -> Result<Self, String> {
        let settings: Vec<_> = site.tags.iter().map(|tag| tag.settings).collect();
        let followed = Followed { policy, is_new: true };
        let mut readings = vec![f64::NAN; plant.outputs().len()];
        plant.observe(&mut readings);
        Ok(Self {
            image: Image::new(&settings).map_err(|error| error.to_string())?,
            agent: Agent::new(site, followed, Kernel::best()).map_err(|error| error.to_string())?,
            readings,
            written: site.setpoints.iter().map(|setpoint| setpoint.nominal).collect(),
            decide_every: case.decide_every,
            steps: 0,
            plant,
        })
    }

    /// Reads everything, and takes the observation in.
    fn observe(&mut self) {
        let now = MonoTime::from_ns((self.steps + 1) * STEP.as_ns());
        let reward = self.plant.reward();
        let values = self.written.iter().chain(&self.readings).chain([&reward]);
        for (tag, &value) in (0..).filter_map(TagId::new).zip(values) {
            let quality = if value.is_finite() { Quality::Good } else { Quality::Bad };
            let source_time = EPOCH_TICKS + self.steps as i64 * (STEP.as_ns() / NS_PER_TICK) as i64;
            self.image.receive(&Sample { tag, value, quality, received: now, source_time });
        }
        self.image.advance(now);
        let decision = self.steps.is_multiple_of(self.decide_every);
        let moment = Moment { cycle: self.steps, release: now, decision, gap: self.steps == 0, mode: Mode::Run as u8 };
        self.agent.adopt();
        self.agent.observe(&self.image, &moment);
    }

    /// Decides, if it is time and the state is complete, and lets the environment go on; its reward.
    fn act(&mut self, explore: bool) -> f64 {
        let mut action = [0.0; SETPOINTS_MAX];
        if self.agent.step().decision && self.agent.decide(explore, &mut action).is_ok() {
            self.written.iter_mut().zip(action).for_each(|(written, action)| *written = action);
        }
        self.plant.step(&self.written, &mut self.readings);
        self.steps += 1;
        self.plant.reward()
    }

    /// The last observation for a learner. The first one has no reward: nothing was done before it.
    fn step(&self) -> learner::Step<'_> {
        let policy::Step { cycle, state, action, lo, hi, reward, complete, action_read_back, decision, gap, .. } =
            self.agent.step();
        learner::Step {
            sequence: cycle,
            complete: complete && action_read_back,
            reward: reward.map(|reward| reward as f32).filter(|_| cycle > 0),
            decision,
            gap,
            state,
            action,
            lo,
            hi,
        }
    }
}

/// What a case and a seed make: an environment at its start, and the site of an agent for it.
struct Setting {
    plant: Box<dyn Plant>,
    site: Site,
    spec: NetSpec,
}

impl Setting {
    fn new(case: &Case, seed: u64) -> Result<Self, String> {
        let plant = case.environment.build(seed).map_err(|error| error.to_string())?;
        let site = site_of(case, plant.as_ref(), seed)?;
        let spec = actor_spec(Columns::of(&site).len(), site.setpoints.len());
        Ok(Self { plant, site, spec })
    }

    fn nominal(&self) -> Result<AdoptedPolicy, String> {
        AdoptedPolicy::nominal(&self.spec, &self.site).map_err(|error| error.to_string())
    }

    /// The mean reward of a policy that does not explore.
    fn evaluate(self, case: &Case, policy: AdoptedPolicy) -> Result<f64, String> {
        let mut driver = Driver::new(case, &self.site, policy, self.plant)?;
        let rewards = (0..EVALUATION_STEPS).map(|_| {
            driver.observe();
            driver.act(false)
        });
        Ok(rewards.sum::<f64>() / EVALUATION_STEPS as f64)
    }
}

/// An agent that learns on an environment, step by step.
#[derive(Debug)]
pub struct Trial {
    driver: Driver,
    learner: learner::Agent,
    probe: Probe,
    generation: u64,
    /// Widths of the setpoints' scales, engineering units.
    widths: Vec<f64>,
    scratch: Scratch,
    outputs: Vec<f32>,
    goals_met: Answers,
    zones_clear: Answers,
}

impl Trial {
    /// An agent that holds the nominal setpoints. `go_on` is asked every now and then; when it says no, the trial is good
    /// for nothing.
    ///
    /// # Errors
    /// The case cannot be.
    pub fn new(case: &Case, seed: u64, go_on: impl FnMut() -> bool) -> Result<Self, ExperimentError> {
        Self::of(case, seed, go_on).map_err(|message| impossible(case, message))
    }

    fn of(case: &Case, seed: u64, go_on: impl FnMut() -> bool) -> Result<Self, String> {
        fn text(error: impl std::fmt::Display) -> String {
            error.to_string()
        }
        let setting = Setting::new(case, seed)?;
        let (nominal, Setting { plant, site, spec }) = (setting.nominal()?, setting);
        let shape = AgentShape { state: spec.inputs(), action: site.setpoints.len() };
        let options = AgentOptions::of(&site);
        let mut learner = learner::Agent::new(shape, options, &nominal_of(&site), 1).map_err(text)?;
        learner.learn_nominal(go_on);
        Ok(Self {
            scratch: nominal.net().scratch(),
            driver: Driver::new(case, &site, nominal, plant)?,
            learner,
            probe: Probe::new(&spec, Kernel::best()).map_err(text)?,
            generation: 0,
            widths: site.setpoints.iter().map(|setpoint| setpoint.scale.hi - setpoint.scale.lo).collect(),
            outputs: vec![0.0; spec.outputs()],
            goals_met: Answers::default(),
            zones_clear: Answers::default(),
        })
    }

    /// Observes, learns what this step is worth, decides, and lets the environment go on; its reward.
    ///
    /// # Errors
    /// What was learnt is not believed.
    pub fn step(&mut self) -> Result<f64, ExperimentError> {
        self.driver.observe();
        let step = self.driver.agent.step();
        self.goals_met.note(step.goals_met);
        self.zones_clear.note(step.zones_clear);
        self.learner.observe(&self.driver.step());
        let updated = std::iter::from_fn(|| self.learner.update()).count();
        if updated > 0 {
            self.publish()?;
        }
        Ok(self.driver.act(true))
    }

    fn publish(&mut self) -> Result<(), ExperimentError> {
        let parameters = self.learner.published_parameters().map_err(ParametersRefused::Count)?;
        self.generation += 1;
        let followed = self.driver.agent.source_mut();
        followed.policy.follow(&mut self.probe, self.generation, &parameters)?;
        followed.is_new = true;
        Ok(())
    }

    /// Mean variance of the actor at the last observation, in the setpoints' units squared.
    fn variance(&mut self) -> f64 {
        let net = self.driver.agent.source().policy.net();
        net.forward(Kernel::best(), self.driver.agent.step().state, &mut self.scratch, &mut self.outputs);
        let logits = self.outputs.iter().skip(self.widths.len());
        let squares = logits.zip(&self.widths).map(|(logit, width)| (f64::from(policy::sigma(*logit)) * width).powi(2));
        squares.sum::<f64>() / self.widths.len() as f64
    }

    /// The policy that it follows.
    #[must_use]
    pub fn policy(&self) -> &AdoptedPolicy {
        &self.driver.agent.source().policy
    }
}

fn impossible(case: &Case, message: String) -> ExperimentError {
    ExperimentError::Impossible { case: case.name.clone(), message }
}

/// Runs a case from one seed to its end. `go_on` is asked in every step; `None` when it has said no.
///
/// # Errors
/// The case cannot be.
pub fn run(case: &Case, seed: u64, mut go_on: impl FnMut() -> bool) -> Result<Option<Score>, ExperimentError> {
    let mut trial = Trial::new(case, seed, &mut go_on)?;
    let (mut rewards, mut variances) = (Vec::new(), Vec::new());
    for step in 0..case.steps {
        if !go_on() {
            return Ok(None);
        }
        rewards.push(trial.step()?);
        if step + WINDOW as u64 >= case.steps {
            variances.push(trial.variance());
        }
    }
    let evaluate = |policy: AdoptedPolicy| {
        let setting = Setting::new(case, seed);
        setting.and_then(|setting| setting.evaluate(case, policy)).map_err(|message| impossible(case, message))
    };
    let nominal = Setting::new(case, seed).and_then(|setting| setting.nominal());
    Ok(Some(Score {
        actor_variance: variances.iter().sum::<f64>() / variances.len().max(1) as f64,
        updates: trial.learner.counts().critic_updates,
        deterministic: evaluate(trial.policy().clone())?,
        nominal: evaluate(nominal.map_err(|message| impossible(case, message))?)?,
        health: trial.learner.health(),
        wishes: Wishes { goals_met: trial.goals_met.share(), zones_clear: trial.zones_clear.share() },
        rewards,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Learns little, and fast.
    fn quick(name: &str, steps: u64) -> Case {
        let mut case = Case::named(name).unwrap();
        case.steps = steps;
        for (key, value) in [("batch_size", 16), ("candidates", 20), ("critic_updates", 1), ("actor_updates", 1)] {
            case.agent.insert(key.to_owned(), value.into());
        }
        case
    }

    fn bits(score: &Score) -> Vec<u64> {
        score.rewards.iter().map(|reward| reward.to_bits()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bits_and_another_one_others() {
        let case = quick("saturation", 30);
        let run = |seed| run(&case, seed, || true).unwrap().unwrap();
        assert_eq!(bits(&run(1)), bits(&run(1)));
        assert_ne!(bits(&run(1)), bits(&run(2)));
        assert_eq!(run(1).updates, 30, "one for each observation");
    }

    #[test]
    fn every_case_of_ours_runs_and_its_rewards_are_the_environments() {
        for name in Case::names() {
            let case = quick(name, 12);
            let score = run(&case, 1, || true).unwrap().unwrap();
            assert_eq!(score.rewards.len(), 12, "{name}");
            assert!(score.rewards.iter().all(|reward| reward.is_finite()), "{name}");
            assert!(score.actor_variance > 0.0 && score.deterministic.is_finite(), "{name}");
        }
    }

    #[test]
    fn a_score_tells_how_learning_got_on_and_how_far_wishes_were_fulfilled() {
        let case = quick("saturation", 40);
        let score = |case: &Case| run(case, 1, || true).unwrap().unwrap();
        let without = score(&case);
        let health = without.health.unwrap();
        assert_eq!((health.updates, without.wishes), (without.updates, Wishes::default()));
        assert!(health.stable_rank >= 1.0 && health.prediction_error.is_finite() && health.value_added.is_finite());

        // The level begins at 0 and is at 0.9 or so with the nominal setpoint.
        let met = |op| {
            let goal = serde_json::json!({"op": op, "tag": "level", "thresh": 0.3});
            let aim = serde_json::json!({"tags": ["u"], "directions": ["min"]});
            let reward = serde_json::json!({"priorities": [goal, aim]});
            let serde_json::Value::Object(reward) = reward else { unreachable!("it is an object") };
            score(&Case { reward: Some(reward), ..case.clone() }).wishes.goals_met.unwrap()
        };
        let (above, below) = (met("up_to"), met("down_to"));
        assert!((0.5..1.0).contains(&above) && below > 0.0 && below < above, "{above} and {below}");
    }

    #[test]
    fn an_agent_that_has_learnt_nothing_holds_the_nominal_setpoint_inside_its_steps() {
        let case = quick("saturation", 1);
        let mut trial = Trial::new(&case, 1, || true).unwrap();
        let mut before = 0.25;
        for _ in 0..50 {
            trial.driver.observe();
            trial.driver.act(true);
            let now = trial.driver.written[0];
            assert!((now - before).abs() <= 0.1 + 1e-6 && (now - 0.25).abs() < 0.4, "{before} to {now}");
            before = now;
        }
    }

    #[test]
    fn a_reading_that_is_missing_is_filled_in_and_decisions_go_on() {
        let case = quick("missing_80", 60);
        let moved = |case: &Case| {
            let mut trial = Trial::new(case, 3, || true).unwrap();
            let mut moves = 0;
            for _ in 0..case.steps {
                let before = trial.driver.written[0];
                trial.step().unwrap();
                moves += u32::from(trial.driver.written[0] != before);
            }
            moves
        };
        assert!(moved(&case) > 50);
        let without = Case { tags: Default::default(), ..case };
        assert!(moved(&without) < 30, "it decides on complete states alone");
    }

    #[test]
    fn whoever_asks_it_to_stop_gets_no_score() {
        let mut asked = 0;
        let stopped = run(&quick("saturation", 1_000), 1, || {
            asked += 1;
            asked < 70
        });
        assert_eq!(stopped.unwrap(), None);
        assert_eq!(asked, 70);
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_name_of_the_case() {
        let mut case = quick("saturation", 5);
        case.agent.insert("gamma".to_owned(), 1.5.into());
        let refused = run(&case, 1, || true).unwrap_err().to_string();
        assert!(refused.starts_with("case `saturation`: ") && refused.contains("below 1"), "{refused}");
    }
}
