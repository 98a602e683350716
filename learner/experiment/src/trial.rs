//! One agent on one environment.

use bridge::{Broken, Outcome};
use learner::{AgentOptions, AgentShape, Health, nominal_of};
use policy::kernels::{Kernel, Scratch};
use policy::wire::ParametersRefused;
use policy::{AdoptedPolicy, Agent, PolicySource, PolicySpec, Probe};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use rt_config::Site;
use rt_core::image::Image;
use rt_core::mode::Mode;
use rt_core::ports::{Moment, Policy as _};
use rt_core::setpoint::SETPOINTS_MAX;
use rt_core::tag::{Quality, Sample, TagId};
use rt_core::time::{MonoTime, Span};
use serde::{Deserialize, Serialize};

use crate::case::{Case, CaseError, Evaluation};
use crate::report::WINDOW;
use crate::site::site_of;
use crate::world::{NoWorld, World};

/// From one step to the next, as the site of the case says.
const STEP: Span = Span::from_ms(100);
/// OPC UA's source timestamps count in these, from 1601 on; a trial begins on a Monday, 2001-01-01.
const NS_PER_TICK: u64 = 100;
const EPOCH_TICKS: i64 = 126_227_808_000_000_000;
/// Steps of an evaluation.
const EVALUATION_STEPS: usize = 1_000;
/// The stream of seeds from which the starts of an evaluation come.
const STARTS: u64 = u64::MAX;

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
    /// The environment that another process has is not there, or has gone.
    #[error("case `{case}`: {source}")]
    Broken {
        /// The case.
        case: String,
        /// What happened, and what to do.
        source: Broken,
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
    /// The sum of the rewards of each episode of the evaluation, if the case has one.
    pub returns: Option<Vec<f64>>,
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
    world: World,
    image: Image,
    agent: Agent<Followed>,
    readings: Vec<f64>,
    /// The setpoints, engineering units.
    written: Vec<f64>,
    nominal: Vec<f64>,
    decide_every: u64,
    seed: u64,
    /// Episodes before this one.
    episodes: u64,
    /// Steps of the environment since the episode began.
    steps: u64,
    /// Observations before this one, of all episodes.
    observations: u64,
    /// What the last step led to; at the beginning of an episode nothing.
    outcome: Outcome,
}

/// Before the first step of an episode.
const NOTHING: Outcome = Outcome { reward: 0.0, terminated: false, truncated: false };

impl Driver {
    /// At the beginning of the first episode, which begins from `seed`.
    fn new(case: &Case, setting: Setting, policy: AdoptedPolicy, seed: u64) -> Result<Self, Cannot> {
        let Setting { mut world, site, .. } = setting;
        let settings: Vec<_> = site.tags.iter().map(|tag| tag.settings).collect();
        let followed = Followed { policy, is_new: true };
        let mut readings = vec![f64::NAN; world.outputs().len()];
        world.begin(seed, &mut readings)?;
        let nominal: Vec<f64> = site.setpoints.iter().map(|setpoint| setpoint.nominal).collect();
        Ok(Self {
            image: Image::new(&settings).map_err(Cannot::be)?,
            agent: Agent::new(&site, followed, Kernel::best()).map_err(Cannot::be)?,
            readings,
            written: nominal.clone(),
            nominal,
            decide_every: case.decide_every,
            seed,
            episodes: 0,
            steps: 0,
            observations: 0,
            outcome: NOTHING,
            world,
        })
    }

    /// Begins another episode.
    fn begin(&mut self, seed: u64) -> Result<(), NoWorld> {
        self.world.begin(seed, &mut self.readings)?;
        self.written.copy_from_slice(&self.nominal);
        self.steps = 0;
        self.outcome = NOTHING;
        Ok(())
    }

    fn begin_next(&mut self) -> Result<(), NoWorld> {
        self.episodes += 1;
        self.begin(episode_seed(self.seed, self.episodes))
    }

    fn is_over(&self) -> bool {
        self.outcome.terminated || self.outcome.truncated
    }

    /// Reads everything, and takes the observation in.
    fn observe(&mut self) {
        let now = MonoTime::from_ns((self.observations + 1) * STEP.as_ns());
        let reward = self.outcome.reward * self.world.reward_scale();
        let values = self.written.iter().chain(&self.readings).chain([&reward]);
        for (tag, &value) in (0..).filter_map(TagId::new).zip(values) {
            let quality = if value.is_finite() { Quality::Good } else { Quality::Bad };
            let source_time = EPOCH_TICKS + self.observations as i64 * (STEP.as_ns() / NS_PER_TICK) as i64;
            self.image.receive(&Sample { tag, value, quality, received: now, source_time });
        }
        self.image.advance(now);
        let decision = self.steps.is_multiple_of(self.decide_every) && !self.is_over();
        let (cycle, gap) = (self.observations, self.steps == 0);
        let moment = Moment { cycle, release: now, decision, gap, mode: Mode::Run as u8 };
        self.agent.adopt();
        self.agent.observe(&self.image, &moment);
        self.observations += 1;
    }

    /// Decides, if it is time and the state is complete, and lets the environment go on; its reward.
    fn act(&mut self, explore: bool) -> Result<f64, Broken> {
        let mut action = [0.0; SETPOINTS_MAX];
        if self.agent.step().decision && self.agent.decide(explore, &mut action).is_ok() {
            self.written.iter_mut().zip(action).for_each(|(written, action)| *written = action);
        }
        self.outcome = self.world.step(&self.written, &mut self.readings)?;
        self.steps += 1;
        Ok(self.outcome.reward)
    }

    /// The last observation for a learner. The first one of an episode has no reward: nothing was done before it.
    fn step(&self) -> learner::Step<'_> {
        let policy::Step {
            cycle,
            state,
            action,
            lo,
            hi,
            reward,
            complete,
            all_read,
            action_read_back,
            decision,
            gap,
            ..
        } = self.agent.step();
        learner::Step {
            sequence: cycle,
            complete: complete && action_read_back,
            all_read,
            reward: reward.map(|reward| reward as f32).filter(|_| self.steps > 0),
            decision,
            gap,
            terminal: self.outcome.terminated,
            state,
            action,
            lo,
            hi,
        }
    }
}

/// The seed of an episode: 31 bits of it, which every generator of random numbers takes.
fn episode_seed(seed: u64, episode: u64) -> u64 {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    chance.set_stream(episode);
    u64::from(chance.next_u32() >> 1)
}

/// Why a case is not run; its name is not said yet.
#[derive(Debug)]
enum Cannot {
    Be(String),
    GoOn(Broken),
}

impl Cannot {
    fn be(error: impl std::fmt::Display) -> Self {
        Self::Be(error.to_string())
    }

    fn of(self, case: &str) -> ExperimentError {
        let case = case.to_owned();
        match self {
            Self::Be(message) => ExperimentError::Impossible { case, message },
            Self::GoOn(source) => ExperimentError::Broken { case, source },
        }
    }
}

impl From<Broken> for Cannot {
    fn from(broken: Broken) -> Self {
        Self::GoOn(broken)
    }
}

impl From<NoWorld> for Cannot {
    fn from(error: NoWorld) -> Self {
        match error {
            NoWorld::Impossible(impossible) => Self::be(impossible),
            NoWorld::Broken(broken) => Self::GoOn(broken),
        }
    }
}

/// What a case and a seed make: an environment, and the site of an agent for it.
struct Setting {
    world: World,
    site: Site,
    spec: PolicySpec,
}

impl Setting {
    fn new(case: &Case, seed: u64) -> Result<Self, Cannot> {
        let world = World::open(&case.environment)?;
        let site = site_of(case, &world, seed).map_err(Cannot::Be)?;
        let spec = PolicySpec::of(&site);
        Ok(Self { world, site, spec })
    }

    fn nominal(&self) -> Result<AdoptedPolicy, Cannot> {
        AdoptedPolicy::nominal(&self.spec, &self.site).map_err(Cannot::be)
    }
}

/// The mean reward of a policy that does not explore.
fn mean_reward(case: &Case, seed: u64, policy: AdoptedPolicy) -> Result<f64, Cannot> {
    let mut driver = Driver::new(case, Setting::new(case, seed)?, policy, seed)?;
    let mut sum = 0.0;
    for _ in 0..EVALUATION_STEPS {
        driver.observe();
        sum += driver.act(false)?;
        if driver.is_over() {
            driver.begin_next()?;
        }
    }
    Ok(sum / EVALUATION_STEPS as f64)
}

/// The return of each episode of a policy that does not explore.
fn returns(case: &Case, seed: u64, policy: &AdoptedPolicy, evaluation: Evaluation) -> Result<Vec<f64>, Cannot> {
    let mut driver = Driver::new(case, Setting::new(case, seed)?, policy.clone(), seed)?;
    let one = |episode| {
        driver.begin(episode_seed(STARTS, episode))?;
        let mut sum = 0.0;
        for _ in 0..evaluation.steps_max {
            driver.observe();
            sum += driver.act(false)?;
            if driver.is_over() {
                break;
            }
        }
        Ok(sum)
    };
    (0..evaluation.episodes).map(one).collect()
}

/// An agent that learns on an environment, step by step.
#[derive(Debug)]
pub struct Trial {
    /// The case's name.
    case: String,
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
        Self::of(case, seed, go_on).map_err(|cannot| cannot.of(&case.name))
    }

    fn of(case: &Case, seed: u64, go_on: impl FnMut() -> bool) -> Result<Self, Cannot> {
        let setting = Setting::new(case, seed)?;
        let nominal = setting.nominal()?;
        let Setting { site, spec, .. } = &setting;
        let shape = AgentShape { state: spec.actor.inputs(), action: site.setpoints.len() };
        let mut learner =
            learner::Agent::new(shape, AgentOptions::of(site), &nominal_of(site), 1).map_err(Cannot::be)?;
        learner.learn_nominal(go_on);
        Ok(Self {
            scratch: nominal.net().scratch(),
            learner,
            probe: Probe::new(spec, Kernel::best()).map_err(Cannot::be)?,
            generation: 0,
            widths: site.setpoints.iter().map(|setpoint| setpoint.scale.hi - setpoint.scale.lo).collect(),
            outputs: vec![0.0; spec.actor.outputs()],
            goals_met: Answers::default(),
            zones_clear: Answers::default(),
            driver: Driver::new(case, setting, nominal, seed)?,
            case: case.name.clone(),
        })
    }

    /// Observes, learns what this step is worth, decides, and lets the environment go on; its reward. Of an episode that ends
    /// with it, what is to be seen last is observed, too.
    ///
    /// # Errors
    /// What was learnt is not believed, or the environment has gone.
    pub fn step(&mut self) -> Result<f64, ExperimentError> {
        self.observe();
        let updated = std::iter::from_fn(|| self.learner.update()).count();
        if updated > 0 {
            self.publish()?;
        }
        self.act().map_err(|cannot| cannot.of(&self.case))
    }

    fn observe(&mut self) {
        self.driver.observe();
        let step = self.driver.agent.step();
        self.goals_met.note(step.goals_met);
        self.zones_clear.note(step.zones_clear);
        self.learner.observe(&self.driver.step());
    }

    fn act(&mut self) -> Result<f64, Cannot> {
        let reward = self.driver.act(true)?;
        if self.driver.is_over() {
            self.observe();
            self.driver.begin_next()?;
        }
        Ok(reward)
    }

    fn publish(&mut self) -> Result<(), ExperimentError> {
        let parameters = self.learner.published_parameters().map_err(ParametersRefused::Count)?;
        self.generation += 1;
        let updates = self.learner.counts().critic_updates;
        let followed = self.driver.agent.source_mut();
        followed.policy.follow(&mut self.probe, self.generation, updates, &parameters)?;
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

/// Runs a case from one seed to its end. `go_on` is asked in every step, with the number of those before it, and now and then
/// before the first; `None` when it has said no.
///
/// # Errors
/// The case cannot be.
pub fn run(case: &Case, seed: u64, mut go_on: impl FnMut(u64) -> bool) -> Result<Option<Score>, ExperimentError> {
    let mut trial = Trial::new(case, seed, || go_on(0))?;
    let (mut rewards, mut variances) = (Vec::new(), Vec::new());
    for step in 0..case.steps {
        if !go_on(step) {
            return Ok(None);
        }
        rewards.push(trial.step()?);
        if step + WINDOW as u64 >= case.steps {
            variances.push(trial.variance());
        }
    }
    let evaluate = || {
        let learnt = trial.policy();
        let nominal = Setting::new(case, seed)?.nominal()?;
        let returns = case.evaluation.map(|evaluation| returns(case, seed, learnt, evaluation)).transpose()?;
        Ok((mean_reward(case, seed, learnt.clone())?, mean_reward(case, seed, nominal)?, returns))
    };
    let (deterministic, nominal, returns) = evaluate().map_err(|cannot: Cannot| cannot.of(&case.name))?;
    Ok(Some(Score {
        actor_variance: variances.iter().sum::<f64>() / variances.len().max(1) as f64,
        updates: trial.learner.counts().critic_updates,
        health: trial.learner.health(),
        wishes: Wishes { goals_met: trial.goals_met.share(), zones_clear: trial.zones_clear.share() },
        deterministic,
        nominal,
        returns,
        rewards,
    }))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::Path;
    use std::thread;

    use serde_json::{Value, json};

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
        let run = |seed| run(&case, seed, |_| true).unwrap().unwrap();
        assert_eq!(bits(&run(1)), bits(&run(1)));
        assert_ne!(bits(&run(1)), bits(&run(2)));
        assert_eq!(run(1).updates, 30, "one for each observation");
    }

    #[test]
    fn every_case_of_ours_runs_and_its_rewards_are_the_environments() {
        for name in Case::names() {
            let case = quick(name, 12);
            let score = run(&case, 1, |_| true).unwrap().unwrap();
            assert_eq!(score.rewards.len(), 12, "{name}");
            assert!(score.rewards.iter().all(|reward| reward.is_finite()), "{name}");
            assert!(score.actor_variance > 0.0 && score.deterministic.is_finite(), "{name}");
        }
    }

    #[test]
    fn a_score_tells_how_learning_got_on_and_how_far_wishes_were_fulfilled() {
        let case = quick("saturation", 40);
        let score = |case: &Case| run(case, 1, |_| true).unwrap().unwrap();
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
            trial.driver.act(true).unwrap();
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
        let (mut asked, mut told) = (0, Vec::new());
        let stopped = run(&quick("saturation", 1_000), 1, |step| {
            asked += 1;
            told.push(step);
            asked < 70
        });
        let first = told.iter().rposition(|step| *step == 0).unwrap();
        assert!(told[..first].iter().all(|step| *step == 0) && first > 0, "the nominal start is no step: {told:?}");
        assert!(told[first..].iter().copied().eq(0..(70 - first) as u64), "{told:?}");
        assert_eq!(stopped.unwrap(), None);
        assert_eq!(asked, 70);
    }

    /// A peer on a socket whose episodes take three steps and end in turns, by their end and by a time limit: it shows the
    /// seed's last two bits and the steps, and rewards with the steps. It goes after so many answers.
    fn counter(socket: &Path, answers: usize) {
        let listener = UnixListener::bind(socket).unwrap();
        let converse = move |stream: UnixStream| {
            let (mut seed, mut step, mut episode) = (0, 0, 0);
            let questions = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            for question in questions.take(answers) {
                let question: Value = serde_json::from_str(&question).unwrap();
                let answer = match question["do"].as_str() {
                    Some("describe") => json!({
                        "protocol": bridge::PROTOCOL,
                        "name": "counter",
                        "observations": [
                            {"name": "seed", "unit": "1", "lo": 0, "hi": 3, "nominal": 0},
                            {"name": "step", "unit": "1", "lo": null, "hi": null, "nominal": 0},
                        ],
                        "actions": [{"name": "u", "unit": "1", "lo": -1, "hi": 1, "nominal": 0}],
                    }),
                    Some("reset") => {
                        (seed, step, episode) = (question["seed"].as_u64().unwrap() % 4, 0, episode + 1);
                        json!({"observation": [seed, step]})
                    }
                    _ => {
                        step += 1;
                        let (terminated, truncated) = (step == 3 && episode % 2 == 1, step == 3 && episode % 2 == 0);
                        json!({
                            "observation": [seed, step], "reward": 10 * step,
                            "terminated": terminated, "truncated": truncated,
                        })
                    }
                };
                if writeln!(&stream, "{answer}").is_err() {
                    return;
                }
            }
        };
        thread::spawn(move || {
            listener.incoming().flatten().for_each(|stream| drop(thread::spawn(move || converse(stream))))
        });
    }

    fn counted(socket: &Path) -> Case {
        let text = format!(
            "{{schema: corerl.case/1, name: counted, steps: 10, tags: {{step: {{expected_range: [0, 10]}}}}, \
             environment: {{name: gymnasium, socket: {}, reward_scale: 0.5}}, agent: {{traces: [0]}}}}",
            socket.display()
        );
        Case { agent: quick("saturation", 1).agent, ..Case::parse(&text, "counted").unwrap() }
    }

    #[test]
    fn an_episode_is_learnt_from_to_its_last_observation_and_nothing_leads_to_the_next_one() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("counter");
        counter(&socket, usize::MAX);
        let case = counted(&socket);
        let mut driver =
            Driver::new(&case, Setting::new(&case, 1).unwrap(), Setting::new(&case, 1).unwrap().nominal().unwrap(), 1)
                .unwrap();
        let mut seen = Vec::new();
        let mut note = |driver: &mut Driver| {
            driver.observe();
            let step = driver.step();
            assert!(step.complete);
            seen.push((step.sequence, step.reward, step.decision, step.gap, step.terminal));
        };
        for _ in 0..7 {
            note(&mut driver);
            driver.act(true).unwrap();
            if driver.is_over() {
                note(&mut driver);
                driver.begin_next().unwrap();
                assert_eq!(driver.written, [0.0], "setpoints begin anew, too");
            }
        }
        let (first, end) = ((None, true, true, false), |terminal| (Some(15.0), false, false, terminal));
        let between = |reward| (Some(reward), true, false, false);
        let expected = [
            [first, between(5.0), between(10.0), end(true)],
            [first, between(5.0), between(10.0), end(false)],
            [first, between(5.0), between(10.0), end(true)],
        ];
        let expected = (0..).zip(expected.into_iter().flatten());
        let expected: Vec<_> =
            expected.map(|(sequence, (a, b, c, d))| (sequence, a, b, c, d)).take(seen.len()).collect();
        assert_eq!((seen.len(), &seen), (9, &expected));
    }

    #[test]
    fn a_trial_counts_steps_of_the_environment_and_its_rewards_and_returns_are_not_scaled() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("counter");
        counter(&socket, usize::MAX);
        let evaluation = Some(Evaluation { episodes: 3, steps_max: 2, reference: None });
        let case = Case { evaluation, ..counted(&socket) };
        let score = run(&case, 1, |_| true).unwrap().unwrap();
        assert_eq!(score.rewards, [10.0, 20.0, 30.0, 10.0, 20.0, 30.0, 10.0, 20.0, 30.0, 10.0]);
        assert_eq!(score.returns, Some(vec![30.0; 3]), "cut off after two steps");
        // 13 observations; the four that begin an episode follow nothing.
        let mut trial = Trial::new(&case, 1, || true).unwrap();
        (0..10).for_each(|_| assert!(trial.step().unwrap() > 0.0));
        assert_eq!((trial.learner.counts().observations, trial.learner.counts().transitions), (13, 9));
    }

    #[test]
    fn an_environment_that_goes_away_ends_the_trial_with_a_sentence() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("counter");
        counter(&socket, 6);
        let gone = run(&counted(&socket), 1, |_| true).unwrap_err();
        assert!(matches!(gone, ExperimentError::Broken { .. }));
        assert!(gone.to_string().starts_with("case `counted`: the environment's process has ended"), "{gone}");
    }

    #[test]
    fn a_variable_without_a_range_is_refused_by_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("counter");
        counter(&socket, usize::MAX);
        let case = Case { tags: Default::default(), ..counted(&socket) };
        let refused = run(&case, 1, |_| true).unwrap_err().to_string();
        assert!(refused.contains("no range for step: write") && refused.contains("tags: {step: {"), "{refused}");
    }

    #[test]
    fn episodes_of_a_plant_begin_from_the_same_starts_for_every_seed() {
        let evaluation = Evaluation { episodes: 3, steps_max: 20, reference: None };
        let case = Case { evaluation: Some(evaluation), ..quick("stand_still", 1) };
        let returns = |seed| {
            let nominal = Setting::new(&case, seed).unwrap().nominal().unwrap();
            returns(&case, seed, &nominal, evaluation).unwrap()
        };
        let of_one = returns(1);
        assert_eq!((of_one.len(), &of_one), (3, &returns(2)));
        assert_ne!(episode_seed(1, 0), episode_seed(1, 1));
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_name_of_the_case() {
        let mut case = quick("saturation", 5);
        case.agent.insert("gamma".to_owned(), 1.5.into());
        let refused = run(&case, 1, |_| true).unwrap_err().to_string();
        assert!(refused.starts_with("case `saturation`: ") && refused.contains("below 1"), "{refused}");
    }
}
