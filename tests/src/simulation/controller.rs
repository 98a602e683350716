//! The control thread's part: the real cycle over what it takes in.

use std::cell::Cell;
use std::io::Write;
use std::slice::Iter;

use policy::{Agent, PolicySource};
use rt_config::Site;
use rt_core::changes::ChangeSet;
use rt_core::cycle::{Cycle, CycleOutcome, CycleSettings};
use rt_core::ports::{Clock, Command, Commands, Field, FieldReport, Policy, Recorder};
use rt_core::record::{CycleView, Event};
use rt_core::schedule::Slot;
use rt_core::setpoint::SetpointSet;
use rt_core::time::{MonoTime, Span};

/// Everything that one cycle takes in.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// When it ran.
    pub slot: Slot,
    /// Time between two looks at the clock within the cycle.
    pub pace: Span,
    /// What it was told to do.
    pub commands: Vec<Command>,
    /// Limits, nominal values and rules for tags that hold from now on.
    pub changes: Option<Box<ChangeSet>>,
    /// What the io thread reported.
    pub reports: Vec<FieldReport>,
}

/// The control thread's part: what it does is a function of its [`Inputs`].
pub struct Controller<P> {
    cycle: Box<Cycle>,
    /// Pipeline and policy.
    pub policy: P,
    record: Fingerprint,
}

impl<P: Policy> Controller<P> {
    /// The control path of this site, in STARTUP.
    ///
    /// # Panics
    /// The site's settings are refused.
    pub fn new(site: &Site, policy: P) -> Self {
        Self::with_settings(&site.cycle_settings(&site.cycle_lists()), policy)
    }

    /// A control path of these settings, in STARTUP.
    ///
    /// # Panics
    /// They are refused.
    pub fn with_settings(settings: &CycleSettings<'_>, policy: P) -> Self {
        let cycle = Box::new(Cycle::new(settings).expect("a site's settings are valid"));
        Self { cycle, policy, record: Fingerprint::default() }
    }

    /// One cycle: what came of it, and the setpoints that it sent.
    ///
    /// # Real-time
    /// As [`Cycle::run`]: nothing here allocates.
    pub fn run(&mut self, inputs: &Inputs) -> (CycleOutcome, Option<SetpointSet>) {
        self.run_before(inputs, &mut Unwatched)
    }

    /// One cycle, with somebody who watches.
    pub fn run_before(&mut self, inputs: &Inputs, witness: &mut impl Recorder) -> (CycleOutcome, Option<SetpointSet>) {
        let (clock, mut field, mut commands) = ports(inputs);
        let Self { cycle, policy, record } = self;
        let mut recorder = Both(record, witness);
        let outcome = cycle.run(&inputs.slot, &clock, &mut field, &mut commands, policy, &mut recorder);
        (outcome, field.sent)
    }

    /// A hash of all records and events so far.
    pub fn fingerprint(&self) -> String {
        self.record.0.finalize().to_hex().to_string()
    }
}

impl<S: PolicySource> Controller<Agent<S>> {
    /// One cycle, noted on a recording's tape; `steps_sent` is the number of steps that the learner was sent before.
    pub fn run_noted(
        &mut self,
        inputs: &Inputs,
        tape: &mut rt_recording::Tape,
        steps_sent: u64,
        witness: &mut impl Recorder,
    ) -> (CycleOutcome, Option<SetpointSet>) {
        let (clock, mut field, mut commands) = ports(inputs);
        let Self { cycle, policy, record } = self;
        let mut recorder = Both(record, witness);
        let slot = &inputs.slot;
        let outcome = tape.run(slot, steps_sent, cycle, &clock, &mut field, &mut commands, policy, &mut recorder);
        (outcome, field.sent)
    }
}

/// What a cycle sees of its inputs.
fn ports(inputs: &Inputs) -> (Walking, Tape<'_>, Script<'_>) {
    (
        Walking { now: Cell::new(inputs.slot.woke), pace: inputs.pace },
        Tape { reports: inputs.reports.iter(), sent: None },
        Script { commands: inputs.commands.iter(), changes: inputs.changes.as_deref() },
    )
}

/// A clock that goes on by `pace` whenever somebody looks at it.
struct Walking {
    now: Cell<MonoTime>,
    pace: Span,
}

impl Clock for Walking {
    fn now(&self) -> MonoTime {
        self.now.replace(self.now.get() + self.pace)
    }
}

struct Tape<'a> {
    reports: Iter<'a, FieldReport>,
    sent: Option<SetpointSet>,
}

impl Field for Tape<'_> {
    fn next_report(&mut self) -> Option<FieldReport> {
        self.reports.next().copied()
    }

    fn send(&mut self, set: &SetpointSet) -> bool {
        self.sent = Some(*set);
        true
    }
}

struct Script<'a> {
    commands: Iter<'a, Command>,
    changes: Option<&'a ChangeSet>,
}

impl Commands for Script<'_> {
    fn next_command(&mut self) -> Option<Command> {
        self.commands.next().copied()
    }

    fn next_changes(&mut self) -> Option<&ChangeSet> {
        self.changes.take()
    }
}

struct Unwatched;

impl Recorder for Unwatched {
    fn cycle(&mut self, _view: &CycleView<'_>) {}

    fn event(&mut self, _event: Event) {}
}

struct Both<'a, A, B>(&'a mut A, &'a mut B);

impl<A: Recorder, B: Recorder> Recorder for Both<'_, A, B> {
    fn cycle(&mut self, view: &CycleView<'_>) {
        self.0.cycle(view);
        self.1.cycle(view);
    }

    fn event(&mut self, event: Event) {
        self.0.event(event);
        self.1.event(event);
    }
}

/// Records, reduced to a hash of all their bits.
#[derive(Default)]
struct Fingerprint(blake3::Hasher);

impl Fingerprint {
    fn add(&mut self, word: u64) {
        self.0.update(&word.to_le_bytes());
    }

    fn add_number(&mut self, number: Option<f64>) {
        self.add(u64::from(number.is_some()));
        self.add(number.map_or(0, f64::to_bits));
    }
}

impl Recorder for Fingerprint {
    fn cycle(&mut self, view: &CycleView<'_>) {
        self.add(view.slot.index);
        self.add(view.slot.woke.as_ns());
        self.add(view.mode as u64);
        self.add(u64::from(view.flags.bits()));
        self.add(view.generation);
        self.add(view.heartbeat.map_or(u64::MAX, u64::from));
        self.add_number(view.reward);
        for row in view.setpoints {
            self.add_number(Some(row.desired));
            self.add_number(row.sent);
            self.add_number(row.last);
            self.add_number(row.read_back);
            self.add(u64::from(row.acted.bits()));
            self.add(row.withheld.map_or(0, |reason| reason as u64));
        }
        for reading in view.image.readings() {
            self.add_number(Some(reading.value));
            self.add(reading.age.as_ns());
            self.add(reading.quality as u64);
        }
    }

    fn event(&mut self, event: Event) {
        // Writing into a hash cannot fail.
        let _ = write!(self.0, "{event:?}");
    }
}
