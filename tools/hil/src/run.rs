//! Running one scenario: from the start of its programs to the verdicts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rt_core::ports::Clock as _;
use rt_core::time::MonoTime;
use rt_sys::MonotonicClock;

use crate::crew::{CAUSE, Crew, leftovers};
use crate::follow::{Follower, blank};
use crate::programs::Programs;
use crate::rig::Rig;
use crate::scenario::{Act, Plant, Scenario, Step};
use crate::take::{StepOutcome, StepSeen, Take, WriteSeen};
use crate::verdict::{Patience, Verdict, judge, not_possible};

/// How often rings are read and steps are looked for.
const TICK: Duration = Duration::from_millis(10);
/// How long the mode may take in which a timeline begins.
const BEGIN_PATIENCE: Duration = Duration::from_secs(60);
/// What a plant answers to writes that it has accepted.
const ACCEPTED: &str = "Good";

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
#[derive(Clone, Debug, PartialEq)]
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

/// Runs a scenario. `tell` hears what happens now, and how much of it is over, from 0 to 1.
pub fn run(scenario: &Scenario, with: &Circumstances, mut tell: impl FnMut(&str, f64)) -> Result {
    let begun = Instant::now();
    let take = blank(&scenario.name, &scenario.site);
    if let Some(why) = cannot_run(scenario, with) {
        let outcome = Outcome::Skipped(why);
        return Result { outcome, verdicts: Vec::new(), take, took: Duration::ZERO, last_words: Vec::new() };
    }
    tell("its programs are started", 0.0);
    let mut scene = match Crew::start(scenario, &with.programs, with.rig.as_ref()) {
        Ok(crew) => Scene::new(scenario, crew, take),
        Err(why) => return broken(why, take, begun),
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

fn broken(why: String, take: Take, begun: Instant) -> Result {
    Result { outcome: Outcome::Broken(why), verdicts: Vec::new(), take, took: begun.elapsed(), last_words: Vec::new() }
}

/// Real hardware is touched only when it was named.
fn cannot_run(scenario: &Scenario, with: &Circumstances) -> Option<String> {
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
            return Err("it was stopped".to_owned());
        }
        self.read();
        self.crew.check()
    }

    fn read(&mut self) {
        let now = self.clock.now();
        self.follower.read(&mut self.take, now);
        let (Some(ledger), Some(writes)) = (self.crew.ledger(), &mut self.take.writes) else { return };
        let names: Vec<_> = self.take.setpoints.iter().map(|setpoint| setpoint.node.as_str()).collect();
        let told =
            ledger.take().into_iter().filter(|told| told.status == ACCEPTED && names.contains(&told.node.as_str()));
        writes.extend(told.map(|told| WriteSeen {
            at: self.follower.told(told.at.as_ns()),
            node: told.node,
            value: told.value,
            status: told.status,
        }));
    }

    fn act(&mut self, moment: Moment) {
        let step = &self.scenario.steps[moment.step];
        let at = self.follower.told(self.clock.now().as_ns());
        let done = self.done(step, moment.begins);
        let seen = &mut self.take.steps[moment.step];
        if moment.begins {
            seen.begun = Some(at);
            seen.outcome = outcome(step, done);
        } else {
            seen.ended = Some(at);
            if let Err(why) = done {
                seen.outcome = StepOutcome::Failed(format!("it could not be taken back: {why}"));
            }
        }
    }

    /// Does a step, or takes it back. An error is a sentence.
    fn done(&mut self, step: &Step, begins: bool) -> std::result::Result<(), String> {
        let crew = &mut self.crew;
        match &step.act {
            Act::Plant(fault) if begins => crew.ask_plant(&fault.request).map(drop),
            Act::Plant(fault) => crew.ask_plant(&serde_json::json!({ "do": "clear", "node": fault.node })).map(drop),
            Act::Cable(cable) => {
                crew.set_cable(*cable, begins);
                Ok(())
            }
            Act::Kill(program) if begins => crew.kill(*program),
            Act::Kill(program) | Act::Start(program) => crew.start_program(*program),
            Act::Pause(program) => crew.pause(*program, begins),
            Act::Publish(forgery) => crew.publish(*forgery),
            Act::Busy(count) => crew.busy(if begins { *count } else { 0 }),
            Act::ClockJump(_) => Ok(()),
            Act::Command(rt_control::Act::HandOver) => crew.hand_over(),
            Act::Command(act) => crew.client()?.act(*act, CAUSE).map(drop).map_err(|error| error.to_string()),
            Act::HandBack(setpoint) => {
                crew.client()?.hand_back(Some(setpoint), CAUSE).map(drop).map_err(|error| error.to_string())
            }
            Act::Apply(values) => crew.apply(values),
        }
    }

    /// Ends the programs, and reads what they left: the take, what they said, and what is left of them.
    fn end(self) -> (Take, Vec<(String, String)>, Verdict) {
        let Self { crew, mut follower, mut take, clock, .. } = self;
        let (last_words, place) = (crew.last_words(), crew.place().to_owned());
        let mut troubles = crew.end();
        // A dead runtime's memory is still there for whoever has it mapped.
        follower.read(&mut take, clock.now());
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

fn outcome(step: &Step, done: std::result::Result<(), String>) -> StepOutcome {
    if matches!(step.act, Act::ClockJump(_)) {
        let why = "a clock belongs to the whole machine, and a time namespace moves the monotonic one alone; `skewed` moves \
                   the plant's";
        return StepOutcome::NotPossibleHere(why.to_owned());
    }
    match (done, step.refused) {
        (Ok(()), false) => StepOutcome::Done,
        (Ok(()), true) => StepOutcome::Failed("it was done, and should have been refused".to_owned()),
        (Err(why), true) => StepOutcome::Refused(why),
        (Err(why), false) => StepOutcome::Failed(why),
    }
}

/// All begins and ends, by rising time.
fn moments(steps: &[Step]) -> Vec<Moment> {
    let begins = steps.iter().enumerate().map(|(step, of)| Moment { at: of.at, step, begins: true });
    let ends =
        steps.iter().enumerate().filter_map(|(step, of)| Some(Moment { at: of.at + of.lasts?, step, begins: false }));
    let mut moments: Vec<_> = begins.chain(ends).collect();
    moments.sort_by_key(|moment| moment.at);
    moments
}

fn elapsed(begin: MonoTime, now: MonoTime) -> Duration {
    Duration::from_nanos(now.since(begin).as_ns())
}

fn share(now: Duration, of: Duration) -> f64 {
    (now.as_secs_f64() / of.as_secs_f64()).min(1.0)
}
