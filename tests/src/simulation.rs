//! The control path in one process and in simulated time: the real cycle, pipeline, policy and I/O loop around a plant.
//!
//! A [`World`] says what happens outside of the control thread, faults included, by a seed. A [`Controller`] is the control
//! thread's part: what it does is a function of its [`Inputs`], so that what was recorded can be played to another one.

use std::cell::Cell;
use std::io::Write;
use std::slice::Iter;

use io_loop::{Faults, IoLoop, Settings, Simulated, news};
use plants::Plant;
use policy::kernels::Kernel;
use policy::pipeline::Columns;
use policy::wire::Verifier;
use policy::{AdoptedPolicy, Agent, PolicySource, actor_spec};
use rt_config::Site;
use rt_core::changes::ChangeSet;
use rt_core::cycle::{Cycle, CycleOutcome};
use rt_core::ports::{Clock, Command, Commands, Field, FieldReport, Policy, Recorder};
use rt_core::record::{CycleView, Event};
use rt_core::schedule::{Grid, Slot};
use rt_core::setpoint::{ScalarKind, SetpointSet};
use rt_core::tag::{Quality, TagId};
use rt_core::time::{MonoTime, Span};
use shm::spsc::{Consumer, Producer, channel};
use shm::{cell, spsc};

/// Room in the rings, far beyond what a cycle leaves in them.
const RING: usize = 256;

/// Everything that one cycle takes in.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// When it ran.
    pub slot: Slot,
    /// What it was told to do.
    pub commands: Vec<Command>,
    /// What the io thread reported.
    pub reports: Vec<FieldReport>,
}

/// The control thread's part.
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
        let lists = site.cycle_lists();
        let cycle = Box::new(Cycle::new(&site.cycle_settings(&lists)).expect("a site's settings are valid"));
        Self { cycle, policy, record: Fingerprint(blake3::Hasher::new()) }
    }

    /// One cycle: what came of it, and the setpoints that it sent.
    ///
    /// # Real-time
    /// As [`Cycle::run`]: nothing here allocates.
    pub fn run(&mut self, inputs: &Inputs) -> (CycleOutcome, Option<SetpointSet>) {
        let clock = At(Cell::new(inputs.slot.woke));
        let mut field = Tape { reports: inputs.reports.iter(), sent: None };
        let mut commands = Script(inputs.commands.iter());
        let Self { cycle, policy, record } = self;
        let outcome = cycle.run(&inputs.slot, &clock, &mut field, &mut commands, policy, record);
        (outcome, field.sent)
    }

    /// A hash of all records and events so far.
    pub fn fingerprint(&self) -> String {
        self.record.0.finalize().to_hex().to_string()
    }
}

/// A clock that stands where it was put.
struct At(Cell<MonoTime>);

impl Clock for At {
    fn now(&self) -> MonoTime {
        self.0.get()
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

struct Script<'a>(Iter<'a, Command>);

impl Commands for Script<'_> {
    fn next_command(&mut self) -> Option<Command> {
        self.0.next().copied()
    }

    fn next_changes(&mut self) -> Option<&ChangeSet> {
        None
    }
}

/// Records, reduced to a hash of all their bits.
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

/// The newest policy that was handed over, as the daemon hands it over.
#[derive(Debug)]
pub struct Newest {
    policies: cell::Reader<AdoptedPolicy>,
    announced: bool,
}

impl PolicySource for Newest {
    fn refresh(&mut self) -> bool {
        let first = !std::mem::replace(&mut self.announced, true);
        self.policies.update() || first
    }

    fn current(&self) -> Option<&AdoptedPolicy> {
        Some(self.policies.get())
    }
}

/// The keeper's part: judges networks and hands them over.
pub struct Desk {
    verifier: Verifier,
    policies: cell::Writer<AdoptedPolicy>,
}

impl Desk {
    /// A desk that believes epoch 0, and the agent that follows what it adopts, the nominal policy at first.
    ///
    /// # Panics
    /// The site makes no agent.
    pub fn new(site: &Site, kernel: Kernel) -> (Self, Agent<Newest>) {
        let spec = actor_spec(Columns::of(site).len(), site.setpoints.len());
        let verifier = Verifier::new(&spec, site.tag_list_hash(), kernel).expect("a network");
        let nominal = AdoptedPolicy::nominal(&spec, site).expect("a network");
        let (policies, newest) = cell::channel([nominal.clone(), nominal.clone(), nominal]);
        let newest = Newest { policies: newest, announced: false };
        (Self { verifier, policies }, Agent::new(site, newest, kernel).expect("a site with an agent"))
    }

    /// Adopts the network in these words.
    ///
    /// # Panics
    /// It is refused.
    pub fn adopt(&mut self, words: &[u64]) {
        let weights = self.verifier.verify(words).expect("our own learner's network is sound");
        self.policies.back_mut().adopt(&weights).expect("a network of the same shape");
        self.policies.publish();
    }
}

type Closure = Box<dyn FnMut(&[f64], &mut [f64])>;

/// Everything outside of the control thread: plant, I/O loop and time, with faults on the way.
pub struct World {
    grid: Grid,
    clock: At,
    io: IoLoop<Simulated<Closure>>,
    reported: Consumer<FieldReport>,
    sets: Producer<SetpointSet>,
    dice: u64,
}

impl World {
    /// The plant `saturation` behind the first connection of the rig's site.
    pub fn new(site: &Site, seed: u64) -> Self {
        let plant = plants::by_name("saturation", seed).expect("a plant of this name");
        let steps = site.obs_every().get();
        let bus = Simulated::new(site.tags.len(), &[(ScalarKind::Double, 0.25)], behind_readings(plant, steps));
        let (reports, reported) = channel(RING);
        let (sets, newest) = spsc::channel(RING);
        let settings = Settings {
            inputs: (0..site.tags.len()).filter_map(TagId::new).collect(),
            outputs: site.setpoints.iter().map(|setpoint| (0, setpoint.settings.refresh)).collect(),
            heartbeat_every: None,
            call_timeout: Span::from_ms(100),
            paired: false,
            seed,
        };
        let start = MonoTime::from_ns(1_000_000_000 + seed);
        Self {
            grid: Grid::new(start, site.runtime.period),
            clock: At(Cell::new(start)),
            io: IoLoop::new(bus, &settings, reports, newest, news().0),
            reported,
            sets,
            dice: seed,
        }
    }

    /// What the next cycle takes in, after the io thread has written what the one before sent.
    pub fn next(&mut self, sent: Option<SetpointSet>) -> Inputs {
        if let Some(set) = sent {
            self.sets.push(set).expect("the ring is drained in every slot");
        }
        self.io.bus_mut().faults = faults_in(self.grid.cycles());
        self.io.run_slot(&self.clock);
        let lateness = self.lateness();
        self.clock.0.set(self.grid.next_release() + lateness);
        let slot = self.grid.wake(self.clock.0.get());
        let reports = std::iter::from_fn(|| self.reported.pop()).collect();
        let commands = if slot.index == 0 { vec![Command::Lease(true), Command::Arm] } else { Vec::new() };
        Inputs { slot, commands, reports }
    }

    /// Up to a fifth of a period, and now and then two periods and a half.
    fn lateness(&mut self) -> Span {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (drawn, period_ns) = (self.dice >> 33, self.grid.period().as_ns());
        if drawn.is_multiple_of(97) { Span::from_ns(period_ns * 5 / 2) } else { Span::from_ns(drawn % (period_ns / 5)) }
    }
}

/// The first reading is the setpoint, the others are the plant's outputs, which step once in so many readings.
fn behind_readings(mut plant: Box<dyn Plant>, steps: u64) -> Closure {
    let mut readings = 0;
    Box::new(move |outputs, inputs| {
        let (read_back, measured) = inputs.split_at_mut(1);
        read_back.copy_from_slice(outputs);
        match readings % steps {
            0 => plant.step(outputs, measured),
            _ => plant.observe(measured),
        }
        readings += 1;
    })
}

/// An outage, a deaf server, a doubtful sensor and a write of unknown outcome, each once in a thousand cycles.
fn faults_in(cycle: u64) -> Faults {
    let healthy = Faults::default();
    match cycle % 1000 {
        300..400 => Faults { gone: true, ..healthy },
        600..610 => Faults { read_late: true, ..healthy },
        700..720 => Faults { quality: Some(Quality::Uncertain), ..healthy },
        800 => Faults { write_unknown: true, ..healthy },
        _ => healthy,
    }
}
