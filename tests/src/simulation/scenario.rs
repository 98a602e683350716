//! One scenario from its seed: a safety phase full of faults, then a liveness phase without any.

use std::collections::VecDeque;

use policy::file::{self, PolicyFile, Purpose, Trust};
use policy::kernels::Kernel;
use policy::trial::Verdict;
use policy::{Agent, Finding, LearnerWatch};
use rt_config::Site;
use rt_core::cycle::{COMMANDS_PER_CYCLE_MAX, CycleOutcome};
use rt_core::envelope::LimitsByMode;
use rt_core::mode::Mode;
use rt_core::ports::Command;
use rt_core::record::{Event, EventKind, Flags};
use rt_core::setpoint::{ScalarKind, SetpointSet};
use rt_core::time::{MonoTime, Span};
use rt_daemon::VerifiedPolicy;

use super::controller::{Controller, Inputs};
use super::desk::{Desk, Told};
use super::dice::Dice;
use super::faults::{Disk, Fault, Plan, Strike, draw_limits};
use super::learner::{Offer, SimulatedLearner};
use super::mood::Moody;
use super::mutant::Mutant;
use super::operator::Operator;
use super::oracle::{Broken, Oracle, Published};
use super::place::{OBSERVE_EVERY, Place};
use super::server::Traffic;
use super::witness::Witness;
use super::world::{Circumstances, World};

/// A sound network is published every so many observations.
const PUBLISH_EVERY: u64 = 60;
/// The generation of the policy file beside the site.
const FILE_GENERATION: u64 = 5;
/// Without faults, RUN has to be there within so many slots …
const LIVENESS_SLOTS: u64 = 3_000;
/// … and to last for so many.
const RUN_SLOTS: u64 = 20 * OBSERVE_EVERY;
/// What a failure shows of what happened before it.
const NOTES: usize = 40;

/// What scenario to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Everything follows from it.
    pub seed: u64,
    /// The control period.
    pub period: Span,
    /// The slots of the safety phase.
    pub slots: u64,
}

/// A scenario that went well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Cycles that ran.
    pub cycles: u64,
    /// Simulated time.
    pub simulated: Span,
    /// Faults that struck.
    pub faults: usize,
    /// Changes of mode.
    pub transitions: u64,
    /// Cycles in RUN.
    pub in_run: u64,
    /// Trips that were latched.
    pub trips: u64,
    /// Setpoints that arrived at the plant.
    pub writes: u64,
    /// Networks that were adopted.
    pub adopted: u64,
    /// Networks that were not believed.
    pub refused: u64,
    /// Networks that did not stand their trial.
    pub failed_trial: u64,
    /// Networks that did not stand their probation.
    pub rolled_back: u64,
    /// Learners that lived and did not get on.
    pub stalled: u64,
    /// Slots without faults until RUN was there to stay.
    pub recovery: u64,
    /// A hash of every record, event and write.
    pub hash: String,
}

/// A scenario in which an invariant broke.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// The slot.
    pub slot: u64,
    /// What broke.
    pub broken: Broken,
    /// What happened before it, oldest first.
    pub before: Vec<String>,
}

impl Scenario {
    /// Runs it, with a planted bug or without.
    ///
    /// # Errors
    /// The first invariant that breaks.
    ///
    /// # Panics
    /// A piece of the composition cannot be made: a mistake of the simulation.
    pub fn run(&self, mutant: Option<Mutant>) -> Result<Passed, Box<Failed>> {
        Run::new(*self, mutant).finish()
    }
}

/// What is worth telling when it goes wrong.
#[derive(Clone, Copy, Debug)]
enum Note {
    Began(Strike),
    Published(Offer),
    Desk(Told),
    Learner(Finding),
    Cycle(EventKind),
}

struct Run {
    scenario: Scenario,
    mutant: Option<Mutant>,
    site: Site,
    kinds: Vec<ScalarKind>,
    world: World,
    desk: Desk,
    controller: Controller<Moody<Agent<VerifiedPolicy>>>,
    learner: SimulatedLearner,
    /// The learner does not answer at present.
    learner_down: bool,
    watch: LearnerWatch,
    operator: Operator,
    plan: Plan,
    /// The site's own limits hold again from the next cycle on.
    restore: bool,
    oracle: Oracle,
    seen: Witness,
    sent: Option<SetpointSet>,
    file: Vec<u8>,
    slot: u64,
    notes: VecDeque<(u64, Note)>,
    hash: blake3::Hasher,
    counts: Passed,
}

impl Run {
    fn new(scenario: Scenario, mutant: Option<Mutant>) -> Self {
        let Place { site, plant, kinds } = Place::draw(scenario.seed, scenario.period.as_ns());
        let present: Vec<_> = plant.inputs().iter().map(|signal| signal.nominal).collect();
        let (desk, agent) = desk(&site, None, mutant);
        let mut run = Self {
            controller: controller(&site, agent, mutant),
            oracle: Oracle::new(&site, &present),
            world: World::new(&site, plant, &kinds, scenario.seed),
            learner: SimulatedLearner::new(&site, scenario.seed),
            learner_down: false,
            watch: LearnerWatch::new(&site, MonoTime::ZERO),
            operator: Operator::new(scenario.seed, &site),
            plan: Plan::draw(scenario.seed, scenario.slots, &site),
            restore: false,
            seen: Witness::default(),
            sent: None,
            file: Vec::new(),
            slot: 0,
            notes: VecDeque::new(),
            hash: blake3::Hasher::new(),
            counts: Passed::default(),
            scenario,
            mutant,
            desk,
            kinds,
            site,
        };
        run.file = run.learner.policy_file(&run.site, FILE_GENERATION);
        run.admit_learner();
        run
    }

    fn finish(mut self) -> Result<Passed, Box<Failed>> {
        while self.slot < self.scenario.slots {
            self.step(false).map_err(|broken| self.failure(broken))?;
        }
        self.plan.end();
        self.restore = true;
        let begun = self.slot;
        let mut run_since = None;
        while run_since.is_none_or(|since| self.slot - since < RUN_SLOTS) {
            self.step(true).map_err(|broken| self.failure(broken))?;
            let well = self.seen.mode == Mode::Run && self.seen.rows.iter().all(|row| row.sent.is_some());
            run_since = well.then(|| run_since.unwrap_or(self.slot));
            if self.slot - begun > LIVENESS_SLOTS + RUN_SLOTS {
                let what =
                    format!("{:?} {:?} after {LIVENESS_SLOTS} slots without faults", self.seen.mode, self.seen.rows);
                return Err(self.failure(Broken { invariant: "RUN again", what }));
            }
        }
        self.counts.recovery = run_since.map_or(0, |since| since - begun);
        self.counts.simulated = self.scenario.period.times(self.slot + 1);
        self.counts.faults = self.plan.len();
        self.hash.update(self.controller.fingerprint().as_bytes());
        self.counts.hash = self.hash.finalize().to_hex().to_string();
        Ok(self.counts)
    }

    /// One cycle, and everything around it.
    fn step(&mut self, eager: bool) -> Result<(), Broken> {
        let slot = self.world.next_slot();
        let begins = self.plan.advance(slot);
        let mut now = self.plan.circumstances(slot);
        if std::mem::take(&mut self.restore) {
            now.changes = Some(Box::new(self.site.change_set(0).expect("the site's own limits")));
        }
        for strike in begins {
            self.note(slot, Note::Began(strike));
            self.begin(strike, &mut now);
        }
        self.teach(slot, &mut now)?;
        let lease = !self.plan.holds(|fault| *fault == Fault::LeaseLost);
        now.commands.extend(self.operator.speak(slot, &self.seen, lease, eager));
        now.hand = now.hand.or_else(|| self.operator.put_back(slot, &self.seen, eager));
        now.commands.truncate(COMMANDS_PER_CYCLE_MAX);
        let inputs = self.world.next(self.sent.take(), now);
        self.slot = inputs.slot.index;
        let (traffic, newest) = self.world.take_traffic();
        traffic.iter().for_each(|event| self.count_traffic(event));
        self.oracle.judge_traffic(&traffic, newest.as_ref())?;
        let outcome = self.run_cycle(&inputs);
        for index in 0..self.seen.events.len() {
            self.count_event(self.seen.events[index]);
        }
        self.counts.cycles += 1;
        self.counts.in_run += u64::from(self.seen.mode == Mode::Run);
        self.oracle.judge_cycle(&inputs, &self.seen, self.sent.as_ref())?;
        self.keep(&outcome, inputs.slot.woke)
    }

    /// The keeper's turn after the cycle.
    fn keep(&mut self, outcome: &CycleOutcome, now: MonoTime) -> Result<(), Broken> {
        if let Some(mutant) = self.mutant {
            mutant.before_turn(&mut self.desk);
        }
        let mut told = self.desk.turn(outcome, &self.controller.policy.inner.step(), now);
        if let Some(mutant) = self.mutant {
            mutant.after_turn(&mut self.desk, &told);
        }
        for event in &self.seen.events {
            if let EventKind::Latched { cause } = event.kind {
                told.extend(self.desk.trip(cause));
            }
        }
        for told in told {
            self.note(self.slot, Note::Desk(told));
            self.count_told(&told);
            self.oracle.judge_desk(&told)?;
        }
        if outcome.flags.contains(Flags::OBSERVED) {
            self.watch.note_step();
        }
        Ok(())
    }

    fn count_told(&mut self, told: &Told) {
        match told {
            Told::Believed { .. } | Told::Verdict(Verdict::Proven { .. }) => {}
            Told::Disbelieved(_) => self.counts.refused += 1,
            Told::Verdict(Verdict::Adopted { .. }) => self.counts.adopted += 1,
            Told::Verdict(Verdict::Refused { .. }) => self.counts.failed_trial += 1,
            Told::Verdict(Verdict::RolledBack { .. }) => self.counts.rolled_back += 1,
        }
    }

    fn run_cycle(&mut self, inputs: &Inputs) -> CycleOutcome {
        self.seen.forget();
        self.controller.policy.mood = self.plan.mood();
        let inputs = self.mutant.map_or_else(|| inputs.clone(), |mutant| mutant.inputs(inputs));
        let (outcome, sent) = self.controller.run_before(&inputs, &mut self.seen);
        self.sent = sent;
        if let Some(mutant) = self.mutant {
            let limits: Vec<(LimitsByMode, ScalarKind)> =
                self.site.setpoints.iter().map(|of| of.settings.limits).zip(self.kinds.iter().copied()).collect();
            mutant.outputs(&limits, &mut self.seen, &mut self.sent);
        }
        outcome
    }

    /// What happens once, when a fault begins.
    fn begin(&mut self, strike: Strike, now: &mut Circumstances) {
        match strike.fault {
            Fault::Hand { setpoint, value, at_once } => now.hand = Some((setpoint, value, at_once)),
            Fault::Pause(span) => (now.late, now.asleep) = (span, true),
            Fault::Published(offer) => self.publish(strike.from, offer),
            Fault::Limits { number } => {
                let mut dice = Dice::new(self.scenario.seed ^ number << 32, "limits");
                now.changes = Some(draw_limits(&self.site, number, &mut dice));
            }
            Fault::Said(command) => now.commands.push(command),
            Fault::PowerLoss { down, disk } => {
                self.restart(disk);
                (now.late, now.asleep) = (down, true);
            }
            _ => {}
        }
    }

    /// The runtime is started again, and believes its policy file or not.
    fn restart(&mut self, disk: Disk) {
        let purpose = Purpose::of(&self.site);
        let file =
            disk.read(&self.file).and_then(|bytes| file::from_bytes(&bytes, &purpose, &Trust::of(&self.site)).ok());
        let generation = file.as_ref().map_or(0, |file| file.weights().generation());
        let (desk, agent) = desk(&self.site, file.as_ref(), self.mutant);
        self.hash.update(self.controller.fingerprint().as_bytes());
        self.controller = controller(&self.site, agent, self.mutant);
        self.desk = desk;
        self.world.restart();
        self.oracle.restart(&self.site, generation);
        self.admit_learner();
        self.seen = Witness::default();
        self.sent = None;
    }

    /// Another learner, which goes on from what was believed.
    fn admit_learner(&mut self) {
        let epoch = self.learner.epoch + 1;
        self.desk.grant(epoch);
        self.desk.clear_slot();
        self.oracle.admitted(self.world.now());
        self.learner.take_over(epoch, self.desk.newest());
        self.watch = LearnerWatch::new(&self.site, self.world.now());
    }

    /// The learner's part of a cycle: it lives, it is heard, it gets on, it publishes.
    fn teach(&mut self, slot: u64, now: &mut Circumstances) -> Result<(), Broken> {
        let down = self.plan.holds(|fault| matches!(fault, Fault::LearnerKilled | Fault::LearnerStopped));
        if self.learner_down && !down {
            self.admit_learner();
        }
        self.learner_down = down;
        let idle = self.plan.holds(|fault| *fault == Fault::LearnerIdle);
        let observes = slot.is_multiple_of(OBSERVE_EVERY);
        if !down && observes {
            self.learner.heartbeat += 1;
            self.learner.updates += u64::from(!idle);
            if !idle && slot.is_multiple_of(PUBLISH_EVERY * OBSERVE_EVERY) {
                self.publish(slot, Offer::Sound);
            }
        }
        let at = self.world.now();
        let finding = self.watch.look(self.learner.shown(), false, at);
        match finding {
            Some(Finding::Heard { best_generation: Some(generation) }) if self.desk.confirms(generation) => {
                now.commands.push(Command::PolicyConfirmed(at));
            }
            Some(Finding::Stalled { .. }) => self.counts.stalled += 1,
            _ => {}
        }
        if let Some(finding @ (Finding::Lost { .. } | Finding::Stalled { .. })) = finding {
            self.note(slot, Note::Learner(finding));
        }
        self.oracle.judge_watch(!down && observes, !down && observes && !idle, finding, at)
    }

    fn publish(&mut self, slot: u64, offer: Offer) {
        let words = self.learner.publish(offer);
        self.desk.publish(words);
        let wrong = Offer::WRONG.contains(&offer);
        let honest = wrong || offer == Offer::Sound;
        if offer == Offer::Repeated {
            self.oracle.repeated(self.learner.generation);
        } else {
            self.oracle.published(honest.then_some(Published { generation: self.learner.generation, wrong }));
        }
        self.note(slot, Note::Published(offer));
    }

    fn count_traffic(&mut self, event: &Traffic) {
        if let Traffic::Wrote { setpoint, value, asked_at, carried_out } = *event {
            self.counts.writes += u64::from(carried_out);
            for word in [setpoint as u64, value.to_bits(), asked_at.as_ns(), u64::from(carried_out)] {
                self.hash.update(&word.to_le_bytes());
            }
        }
    }

    fn count_event(&mut self, event: Event) {
        match event.kind {
            EventKind::ModeChanged { .. } => self.counts.transitions += 1,
            EventKind::Latched { .. } => self.counts.trips += 1,
            // Said in every observation.
            EventKind::Command { command: Command::PolicyConfirmed(_), .. } => return,
            _ => {}
        }
        self.note(event.cycle, Note::Cycle(event.kind));
    }

    fn note(&mut self, slot: u64, note: Note) {
        if self.notes.len() == NOTES {
            self.notes.pop_front();
        }
        self.notes.push_back((slot, note));
    }

    fn failure(&self, broken: Broken) -> Box<Failed> {
        let told = |(slot, note): &(u64, Note)| match note {
            Note::Began(strike) => format!("{slot}: {:?} until {}", strike.fault, strike.until),
            Note::Published(offer) => format!("{slot}: {offer:?} was published"),
            Note::Desk(told) => format!("{slot}: {told:?}"),
            Note::Learner(finding) => format!("{slot}: {finding:?}"),
            Note::Cycle(kind) => format!("{slot}: {kind:?}"),
        };
        Box::new(Failed { slot: self.slot, broken, before: self.notes.iter().map(told).collect() })
    }
}

fn desk(site: &Site, file: Option<&PolicyFile>, mutant: Option<Mutant>) -> (Desk, Agent<VerifiedPolicy>) {
    let site = mutant.map_or_else(|| site.clone(), |mutant| mutant.site(site));
    Desk::new(&site, Kernel::best(), file)
}

fn controller(
    site: &Site,
    agent: Agent<VerifiedPolicy>,
    mutant: Option<Mutant>,
) -> Controller<Moody<Agent<VerifiedPolicy>>> {
    let lists = site.cycle_lists();
    let mut settings = site.cycle_settings(&lists);
    if let Some(mutant) = mutant {
        mutant.settings(&mut settings);
    }
    Controller::with_settings(&settings, Moody::new(agent))
}
