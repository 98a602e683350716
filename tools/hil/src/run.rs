//! Running one scenario: from the start of its programs to the verdicts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rt_core::ports::Clock as _;
use rt_core::time::MonoTime;
use rt_sys::MonotonicClock;

use crate::crew::{Crew, leftovers};
use crate::follow::{Follower, blank};
use crate::link::Ledger;
use crate::programs::Programs;
use crate::rig::Rig;
use crate::scenario::{Act, Certified, Plant, Scenario, Step};
use crate::take::{StepOutcome, StepSeen, Take, WriteSeen};
use crate::verdict::{Patience, Verdict, judge, not_possible};

/// How often rings are read and steps are looked for.
const TICK: Duration = Duration::from_millis(10);
/// How long the mode may take in which a timeline begins.
const BEGIN_PATIENCE: Duration = Duration::from_secs(60);
/// What a plant answers to writes that it has accepted.
const ACCEPTED: &str = "Good";
/// Why no clock jumps.
const CLOCK: &str = "a clock belongs to the whole machine, and a time namespace moves the monotonic one alone; `skewed` moves \
                     the plant's";
/// What is told of a scenario that somebody has stopped.
pub(crate) const STOPPED: &str = "it was stopped";

/// A wish to end that several threads see.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Mutex<bool>>);

impl Stop {
    /// From now on everybody ends.
    pub fn ask(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Whether somebody wants it to end.
    pub fn is_asked(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a scenario is run with.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The programs.
    pub programs: Programs,
    /// The real hardware, where it was named.
    pub rig: Option<Rig>,
    /// How much later things may come.
    pub patience: Patience,
    /// The wish to end.
    pub stop: Stop,
}

/// How a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was as expected.
    Passed,
    /// Something was not.
    Failed,
    /// It was not run, or not all of it can be done here: why.
    Skipped(String),
    /// It could not be run to its end: why.
    Broken(String),
}

impl Outcome {
    /// Its name for scripts.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped(_) => "skipped",
            Self::Broken(_) => "broken",
        }
    }

    /// Why it was skipped or is broken.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Passed | Self::Failed => None,
            Self::Skipped(why) | Self::Broken(why) => Some(why),
        }
    }
}

/// What came of a scenario.
#[derive(Clone, Debug)]
pub struct Result {
    /// How it ended.
    pub outcome: Outcome,
    /// Every expectation, judged.
    pub verdicts: Vec<Verdict>,
    /// What was seen; nothing when it was not run.
    pub take: Take,
    /// How long it took.
    pub took: Duration,
    /// The last messages of each program.
    pub last_words: Vec<(String, String)>,
}

impl Result {
    /// Of a scenario that could not be run: why.
    pub fn broken(scenario: &Scenario, why: &str) -> Self {
        let take = blank(&scenario.name, &scenario.site);
        without_verdicts(Outcome::Broken(why.to_owned()), take, Instant::now())
    }
}

/// Runs a scenario. `tell` hears what happens now, and how much of it is over, from 0 to 1.
pub fn run(scenario: &Scenario, with: &Circumstances, mut tell: impl FnMut(&str, f64)) -> Result {
    let begun = Instant::now();
    let take = blank(&scenario.name, &scenario.site);
    if let Some(why) = cannot_run(scenario, with) {
        return without_verdicts(Outcome::Skipped(why), take, begun);
    }
    tell("its programs are started", 0.0);
    let mut scene = match Crew::start(scenario, with) {
        Ok(crew) => Scene::new(scenario, crew, take),
        Err(_) if with.stop.is_asked() => return without_verdicts(Outcome::Skipped(STOPPED.to_owned()), take, begun),
        Err(why) => return without_verdicts(Outcome::Broken(why), take, begun),
    };
    let played = scene.play(with, &mut tell);
    tell("its programs are ended", 1.0);
    let (take, last_words, left) = scene.end();
    let mut verdicts = judge(scenario, &take, with.patience);
    verdicts.push(left);
    let outcome = match (played, not_possible(&take)) {
        (Err(why), _) => Outcome::Broken(why),
        (Ok(()), _) if verdicts.iter().any(|verdict| !verdict.ok) => Outcome::Failed,
        (Ok(()), skipped) if !skipped.is_empty() => Outcome::Skipped(skipped.join("; ")),
        (Ok(()), _) => Outcome::Passed,
    };
    Result { outcome, verdicts, take, took: begun.elapsed(), last_words }
}

fn without_verdicts(outcome: Outcome, take: Take, begun: Instant) -> Result {
    Result { outcome, verdicts: Vec::new(), take, took: begun.elapsed(), last_words: Vec::new() }
}

/// Real hardware is touched only when it was named, and nothing when everybody ends.
fn cannot_run(scenario: &Scenario, with: &Circumstances) -> Option<String> {
    if with.stop.is_asked() {
        return Some(STOPPED.to_owned());
    }
    let Plant::Existing { rig: wanted } = &scenario.plant else { return None };
    match &with.rig {
        None => Some(format!("it is for the rig `{wanted}`: name its file with --rig")),
        Some(rig) if rig.name != *wanted => Some(format!("it is for the rig `{wanted}`, not for `{}`", rig.name)),
        Some(_) => None,
    }
}

/// A running scenario.
struct Scene<'s> {
    scenario: &'s Scenario,
    crew: Crew<'s>,
    follower: Follower,
    take: Take,
    clock: MonotonicClock,
}

/// A step begins, or is taken back.
#[derive(Clone, Copy)]
struct Moment {
    at: Duration,
    step: usize,
    begins: bool,
}

impl<'s> Scene<'s> {
    fn new(scenario: &'s Scenario, crew: Crew<'s>, mut take: Take) -> Self {
        take.steps = scenario.steps.iter().map(|step| due(scenario, step)).collect();
        take.writes = crew.ledger().is_some().then(Vec::new);
        let follower = Follower::new(crew.address().clone());
        Self { scenario, crew, follower, take, clock: MonotonicClock::new() }
    }

    fn play(&mut self, with: &Circumstances, tell: &mut impl FnMut(&str, f64)) -> std::result::Result<(), String> {
        self.wait_for_begin(with, tell)?;
        let begin = self.clock.now();
        self.follower.begin(&mut self.take, begin);
        let mut moments = moments(&self.scenario.steps).into_iter().peekable();
        loop {
            let now = elapsed(begin, self.clock.now());
            while let Some(moment) = moments.next_if(|moment| moment.at <= now) {
                tell(&self.take.steps[moment.step].title, share(now, self.scenario.duration));
                self.act(moment);
            }
            if now >= self.scenario.duration {
                break;
            }
            self.look(with)?;
            tell("", share(now, self.scenario.duration));
            std::thread::sleep(TICK);
        }
        self.read();
        self.take.end = self.follower.told(self.clock.now().as_ns());
        Ok(())
    }

    fn wait_for_begin(
        &mut self,
        with: &Circumstances,
        tell: &mut impl FnMut(&str, f64),
    ) -> std::result::Result<(), String> {
        let mode = self.scenario.begin;
        tell(&format!("waits for mode {}", mode.name()), 0.0);
        let begun = Instant::now();
        loop {
            self.look(with)?;
            let state = self.follower.state();
            if state.is_some_and(|(now, adopted)| now == mode && adopted >= self.scenario.adopted) {
                return Ok(());
            }
            if begun.elapsed() >= BEGIN_PATIENCE {
                let found = state.map_or_else(
                    || "no runtime answers".to_owned(),
                    |(now, adopted)| format!("it is {} and has adopted {adopted} policies", now.name()),
                );
                let wanted = format!("mode {} and {} policies", mode.name(), self.scenario.adopted);
                return Err(format!("the timeline did not begin within {BEGIN_PATIENCE:?}: {found}, not {wanted}"));
            }
            std::thread::sleep(TICK);
        }
    }

    /// Reads what is new, and sees to it that everybody lives.
    fn look(&mut self, with: &Circumstances) -> std::result::Result<(), String> {
        if with.stop.is_asked() {
            return Err(STOPPED.to_owned());
        }
        self.read();
        self.crew.check()
    }

    fn read(&mut self) {
        let now = self.clock.now();
        self.follower.read(&mut self.take, now);
        enter(self.crew.ledger(), &self.follower, &mut self.take);
    }

    fn act(&mut self, moment: Moment) {
        let step = &self.scenario.steps[moment.step];
        let at = self.follower.told(self.clock.now().as_ns());
        let is_possible = !matches!(self.take.steps[moment.step].outcome, StepOutcome::NotPossibleHere(_));
        let done = if is_possible { self.done(step, moment.begins) } else { Ok(()) };
        let seen = &mut self.take.steps[moment.step];
        if moment.begins {
            seen.begun = Some(at);
            seen.outcome = outcome(step, done);
        } else {
            seen.ended = Some(at);
            if let Err(NotDone::NotPossibleHere(why) | NotDone::Refused(why)) = done {
                seen.outcome = StepOutcome::Failed(format!("it could not be taken back: {why}"));
            }
        }
    }

    /// Does a step, or takes it back.
    fn done(&mut self, step: &Step, begins: bool) -> std::result::Result<(), NotDone> {
        let crew = &mut self.crew;
        let done = match &step.act {
            Act::Cable(cable) => return crew.set_cable(*cable, begins).map_err(NotDone::NotPossibleHere),
            Act::ClockJump(_) => return Err(NotDone::NotPossibleHere(CLOCK.to_owned())),
            Act::Plant(fault) if begins => crew.ask_plant(&fault.request).map(drop),
            Act::Plant(fault) => crew.ask_plant(&fault.end()).map(drop),
            Act::Kill(program) if begins => crew.kill(*program),
            Act::Kill(program) | Act::Start(program) => crew.start_program(*program),
            Act::Pause(program) => crew.pause(*program, begins),
            Act::Publish(forgery) => crew.publish(*forgery),
            Act::Busy(count) => crew.busy(if begins { *count } else { 0 }),
            Act::Command(rt_control::Act::HandOver) => crew.hand_over(),
            Act::Command(act) => crew.command(*act),
            Act::Trust => crew.trust_plant(),
            Act::Distrust => crew.distrust_plant(),
            Act::Certify(Certified::Plant) => crew.papers().renew_plants(),
            Act::Certify(Certified::Runtime) => crew.papers().renew_own(),
            Act::HandBack(setpoint) => crew.hand_back(setpoint),
            Act::Apply(values) => crew.apply(values),
        };
        done.map_err(NotDone::Refused)
    }

    /// Ends the programs, and reads what they left: the take, what they said, and what is left of them.
    fn end(self) -> (Take, Vec<(String, String)>, Verdict) {
        let Self { crew, mut follower, mut take, clock, .. } = self;
        let (last_words, place) = (crew.last_words(), crew.place().to_owned());
        let ledger = crew.ledger().cloned();
        let (history, mut troubles) = crew.end();
        take.history = history;
        // A dead runtime's memory is still there for whoever has it mapped.
        follower.read(&mut take, clock.now());
        enter(ledger.as_ref(), &follower, &mut take);
        troubles.extend(leftovers(&place));
        let left = Verdict {
            expectation: "all programs end in order and leave nothing".to_owned(),
            found: if troubles.is_empty() { "so it is".to_owned() } else { troubles.join("; ") },
            required: "nothing left".to_owned(),
            ok: troubles.is_empty(),
        };
        (take, last_words, left)
    }
}

fn due(scenario: &Scenario, step: &Step) -> StepSeen {
    StepSeen { title: scenario.title(step), begun: None, ended: None, outcome: StepOutcome::Due }
}

/// Why a step was not done: a sentence.
#[derive(Debug)]
enum NotDone {
    /// Somebody refused it.
    Refused(String),
    /// This machine cannot do it.
    NotPossibleHere(String),
}

fn outcome(step: &Step, done: std::result::Result<(), NotDone>) -> StepOutcome {
    match (done, step.refused) {
        (Ok(()), false) => StepOutcome::Done,
        (Ok(()), true) => StepOutcome::Failed("it was done, and should have been refused".to_owned()),
        (Err(NotDone::NotPossibleHere(why)), _) => StepOutcome::NotPossibleHere(why),
        (Err(NotDone::Refused(why)), true) => StepOutcome::Refused(why),
        (Err(NotDone::Refused(why)), false) => StepOutcome::Failed(why),
    }
}

/// Takes over what the plant told of writes that it has accepted of setpoints.
fn enter(ledger: Option<&Ledger>, follower: &Follower, take: &mut Take) {
    let (Some(ledger), Some(writes)) = (ledger, &mut take.writes) else { return };
    let heard = ledger.take();
    take.missed_writes += heard.lost;
    let names: Vec<_> = take.setpoints.iter().map(|setpoint| setpoint.node.as_str()).collect();
    let told = heard.writes.into_iter().filter(|told| told.status == ACCEPTED && names.contains(&told.node.as_str()));
    writes.extend(told.map(|told| WriteSeen {
        at: follower.told(told.at.as_ns()),
        node: told.node,
        value: told.value,
        status: told.status,
    }));
}

/// All begins and ends, by rising time; what ends makes way for what begins.
fn moments(steps: &[Step]) -> Vec<Moment> {
    let begins = steps.iter().enumerate().map(|(step, of)| Moment { at: of.at, step, begins: true });
    let ends =
        steps.iter().enumerate().filter_map(|(step, of)| Some(Moment { at: of.at + of.lasts?, step, begins: false }));
    let mut moments: Vec<_> = begins.chain(ends).collect();
    moments.sort_by_key(|moment| (moment.at, moment.begins));
    moments
}

fn elapsed(begin: MonoTime, now: MonoTime) -> Duration {
    Duration::from_nanos(now.since(begin).as_ns())
}

fn share(now: Duration, of: Duration) -> f64 {
    (now.as_secs_f64() / of.as_secs_f64()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Cable, Program};

    fn step(at_s: u64, lasts_s: Option<u64>, act: Act) -> Step {
        let [at, lasts] = [Some(at_s), lasts_s].map(|time| time.map(Duration::from_secs));
        Step { at: at.unwrap_or_default(), lasts, label: None, refused: false, act }
    }

    #[test]
    fn moments_come_by_rising_time_and_an_end_makes_way_for_a_begin() {
        let steps = [
            step(1, Some(2), Act::Cable(Cable::Loss(3))),
            step(2, None, Act::Kill(Program::Learner)),
            step(3, Some(1), Act::Cable(Cable::Pulled)),
        ];
        let told: Vec<_> = moments(&steps).iter().map(|m| (m.at.as_secs(), m.step, m.begins)).collect();
        assert_eq!(told, [(1, 0, true), (2, 1, true), (3, 0, false), (3, 2, true), (4, 2, false)]);
    }

    #[test]
    fn what_this_machine_cannot_do_is_not_possible_here_even_where_it_has_to_be_refused() {
        let mut step = step(1, None, Act::Cable(Cable::Pulled));
        for refused in [false, true] {
            step.refused = refused;
            let done = Err(NotDone::NotPossibleHere("no filters".to_owned()));
            assert_eq!(outcome(&step, done), StepOutcome::NotPossibleHere("no filters".to_owned()));
        }
        assert_eq!(outcome(&step, Err(NotDone::Refused("no".into()))), StepOutcome::Refused("no".into()));
        assert!(matches!(outcome(&step, Ok(())), StepOutcome::Failed(_)));
    }

    #[test]
    fn a_scenario_that_waits_when_somebody_stops_is_skipped() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hil/steady.yaml");
        let scenario = Scenario::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let nowhere = |_: &str| Some("/nowhere/at/all".into());
        let programs = Programs::find(nowhere).unwrap();
        let with = Circumstances { programs, rig: None, patience: Patience::default(), stop: Stop::default() };
        with.stop.ask();
        let result = run(&scenario, &with, |now, _| panic!("{now}"));
        assert_eq!(result.outcome, Outcome::Skipped(STOPPED.to_owned()));
    }
}
