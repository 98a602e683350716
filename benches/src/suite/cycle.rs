//! All of one slot's work against its network alone.
//!
//! The work is what the control thread of `corerl-rt` does between two sleeps, on the runtime's own parts: 58 reports come out
//! of the ring into the image; pipeline, network, fallbacks, modes, envelopes; the set goes into its ring; the record, and the
//! step for the learner, go into shared memory of full size. Every slot observes and decides. Feeding the ring is not timed:
//! that is the io thread's work.

use io_loop::{NewestSet, sets};
use policy::kernels::Kernel;
use policy::pipeline::Columns;
use policy::{AdoptedPolicy, PolicySpec};
use rt_config::{Site, Source, TagKind};
use rt_core::cycle::{CycleOutcome, REPORTS_PER_CYCLE_MAX};
use rt_core::mode::Mode;
use rt_core::ports::{Clock as _, Command, FieldReport};
use rt_core::record::Flags;
use rt_core::schedule::Slot;
use rt_core::setpoint::ScalarKind;
use rt_core::tag::{Quality, Sample, TagId};
use rt_core::time::Span;
use rt_daemon::{ControlLoop, Ends, Line, Order, Shelf, Tenure, Writers};
use rt_sys::{MonotonicClock, guard};
use shm::{cell, spsc};

use crate::harness::{Contest, Estimate, Row, nanoseconds_of};

const TAGS: usize = 58;
const SETPOINTS: usize = 8;
const ROUNDS: usize = 40;
const SAMPLES_PER_ROUND: usize = 500;
/// The part of the slots that may end without a decision: where another process has the CPU for longer than a decision may
/// take, the runtime rightly drops it.
const INTERRUPTED_MAX: f64 = 0.01;
/// Slots until the runtime must be in charge.
const START_SLOTS_MAX: u64 = 5_000;

pub(super) fn run() -> Result<Vec<Row>, String> {
    let site = site()?;
    let columns = Columns::of(&site).len();
    let spec = PolicySpec::of(&site);
    let policy = AdoptedPolicy::nominal(&spec, &site).map_err(|error| error.to_string())?;
    let (net, kernel) = (policy.net().clone(), Kernel::best());
    let (mut scratch, mut out) = (net.scratch(), vec![0.0; spec.actor.outputs()]);
    let state: Vec<f32> = (0..columns).map(|i| (i % 7) as f32 * 0.1).collect();
    // As the runtime does: without it, first touches of the ring's pages are page faults in the middle of the work.
    let locked = rt_sys::lock_memory();
    let mut runtime = Runtime::new(&site, policy, kernel)?;
    runtime.take_charge()?;
    let standings = Contest::of_samples(ROUNDS, SAMPLES_PER_ROUND)
        .sample("pass", || nanoseconds_of(|| net.forward(kernel, &state, &mut scratch, &mut out)))
        .sample("body", || runtime.slot().0)
        .run();
    let interrupted = runtime.out_of_charge as f64 / (ROUNDS * SAMPLES_PER_ROUND) as f64;
    if interrupted > INTERRUPTED_MAX {
        return Err(format!("{} slots did not observe, decide and write", runtime.out_of_charge));
    }
    let us = |what: &str, estimate: Estimate| Row::measured(what, estimate.times(1e-3), "us");
    Ok(vec![
        Row::exact("tags", site.tags.len() as f64, ""),
        Row::exact("setpoints", site.setpoints.len() as f64, ""),
        Row::exact("columns", columns as f64, ""),
        Row::exact("parameters of the actor", spec.actor.parameters() as f64, ""),
        us("forward pass p50", standings.p50("pass")),
        us("forward pass p99", standings.p99("pass")),
        us("body p50", standings.p50("body")),
        us("body p99", standings.p99("body")),
        Row::ratio("body : pass p50", standings.ratio("body", "pass")).at_most(3.0),
        Row::ratio("body : pass p99", standings.tail_ratio("body", "pass")).at_most(6.0),
        Row::ratio("control p50", standings.control()).note("the pass against itself"),
        Row::ratio("control p99", standings.tail_control()).note("the pass against itself"),
        Row::exact("memory locked", f64::from(u8::from(locked.is_ok())), ""),
        Row::exact("slots interrupted beyond their decision", runtime.out_of_charge as f64, ""),
        Row::exact("allocations in all bodies", runtime.allocations as f64, "").at_most(0.0),
    ])
}

/// The example site with its first setpoint and its first measured tag repeated; all tags are in the state.
fn site() -> Result<Site, String> {
    let mut site =
        rt_config::parse(rt_config::example(), "site.yaml".as_ref()).map_err(|refused| refused.to_string())?.site;
    let (setpoint_tag, measured_tag, setpoint) =
        (site.tags[0].clone(), site.tags[2].clone(), site.setpoints[0].clone());
    while site.tags.len() < TAGS {
        let index = site.tags.len();
        let is_setpoint = site.setpoints.len() < SETPOINTS;
        let mut tag = if is_setpoint { setpoint_tag.clone() } else { measured_tag.clone() };
        tag.name = format!("TAG_{index}");
        tag.source = Some(Source { connection: 0, node: format!("ns=2;i={index}") });
        site.tags.push(tag);
        if is_setpoint {
            let mut more = setpoint.clone();
            more.tag = TagId::new(index).ok_or("too many tags")?;
            more.settings.tag = more.tag;
            site.setpoints.push(more);
        }
    }
    for tag in &mut site.tags {
        tag.in_state = true;
        tag.normal_range = tag.normal_range.or(measured_tag.normal_range);
    }
    site.interaction.obs_period = site.runtime.period.span();
    site.interaction.action_period = site.runtime.period.span();
    Ok(site)
}

/// The control loop with the other ends of its rings: this plays io thread and keeper.
struct Runtime<'a> {
    site: &'a Site,
    clock: MonotonicClock,
    control: ControlLoop,
    reports: spsc::Producer<FieldReport>,
    sets: NewestSet,
    orders: spsc::Producer<Order>,
    events: spsc::Consumer<rt_core::record::Event>,
    /// What the plant has been written last; it starts there.
    written: [f64; SETPOINTS],
    index: u64,
    allocations: u64,
    out_of_charge: u64,
    _shelf: Shelf,
    _networks: cell::Writer<AdoptedPolicy>,
}

impl<'a> Runtime<'a> {
    fn new(site: &'a Site, policy: AdoptedPolicy, kernel: Kernel) -> Result<Self, String> {
        let clock = MonotonicClock::new();
        let (shelf, writers) = Shelf::create(site, Columns::of(site).len()).map_err(|error| error.to_string())?;
        let Writers { records, .. } = writers;
        let (reports, reported) = spsc::channel(4 * REPORTS_PER_CYCLE_MAX);
        let (setting, sets) = sets();
        let (orders, ordered) = spsc::channel(64);
        let (facts, events) = spsc::channel(1024);
        let (networks, adopting) = cell::channel([policy.clone(), policy.clone(), policy]);
        let unchanged = Box::new(site.change_set(0).map_err(|error| error.to_string())?);
        let (_, changes) = cell::channel([unchanged.clone(), unchanged.clone(), unchanged]);
        let ends = Ends {
            lines: vec![Line::new(reported, setting)],
            orders: ordered,
            changes,
            tenure: Tenure::unshared(),
            events: facts,
            networks: adopting,
            records,
        };
        let control = ControlLoop::new(site, kernel, clock, ends).map_err(|error| error.to_string())?;
        let written = [0.25; SETPOINTS];
        let (index, allocations, out_of_charge) = (0, 0, 0);
        Ok(Self {
            site,
            clock,
            control,
            reports,
            sets,
            orders,
            events,
            written,
            index,
            allocations,
            out_of_charge,
            _shelf: shelf,
            _networks: networks,
        })
    }

    /// Arms it, and runs it until it writes.
    fn take_charge(&mut self) -> Result<(), String> {
        self.orders.push(Order::Command(Command::Arm)).map_err(|full| full.to_string())?;
        self.report(FieldReport::Link(true));
        for setpoint in 0..SETPOINTS as u8 {
            self.report(FieldReport::Kind { setpoint, kind: ScalarKind::Double });
        }
        let mut mode = Mode::Startup;
        for _ in 0..START_SLOTS_MAX {
            mode = self.slot().1.mode;
            if mode == Mode::Run {
                (self.allocations, self.out_of_charge) = (0, 0);
                return Ok(());
            }
        }
        Err(format!("after {START_SLOTS_MAX} slots the runtime is in {mode:?}"))
    }

    fn report(&mut self, report: FieldReport) {
        assert!(self.reports.push(report).is_ok(), "the ring holds several slots' reports");
    }

    /// One slot: what it took, in nanoseconds, and how it ended.
    fn slot(&mut self) -> (f64, CycleOutcome) {
        self.play_io();
        while self.events.pop().is_some() {}
        let now = self.clock.now();
        let dt = self.site.runtime.period.span();
        let slot = Slot { index: self.index, release: now, woke: now, lateness: Span::ZERO, skipped: 0, dt };
        self.index += 1;
        let before = guard::counts();
        guard::arm();
        let mut outcome = None;
        let took = nanoseconds_of(|| outcome = Some(self.control.one_cycle(&slot)));
        guard::disarm();
        self.allocations += guard::counts().since(before).total();
        let outcome = outcome.expect("it was just set");
        let all = Flags::OBSERVED.with(Flags::COMPLETE).with(Flags::DECIDED).with(Flags::SENT);
        self.out_of_charge += u64::from(!outcome.flags.contains(all) || outcome.mode != Mode::Run);
        (took, outcome)
    }

    /// Writes the newest set to the plant, and reads every tag.
    fn play_io(&mut self) {
        if let Some((set, _)) = self.sets.take() {
            let mut confirmed = 0;
            for (setpoint, (last, value)) in self.written.iter_mut().zip(set.values).enumerate() {
                if let Some(value) = value {
                    *last = value;
                    confirmed |= 1 << setpoint;
                }
            }
            self.report(FieldReport::Wrote { cycle: set.cycle, written: confirmed, refused: 0 });
        }
        let received = self.clock.now();
        for (index, tag) in self.site.tags.iter().enumerate() {
            let setpoint = self.site.setpoints.iter().position(|setpoint| setpoint.tag.index() == index);
            let value = match (&tag.kind, setpoint) {
                (TagKind::Computed(_), _) => continue,
                (_, Some(setpoint)) => self.written[setpoint],
                // In the middle of every range, and moving.
                _ => 0.5 + ((self.index as usize + index) % 10) as f64 * 0.01,
            };
            let tag = TagId::new(index).expect("the site has it");
            let (quality, source_time) = (Quality::Good, self.index as i64 + 1);
            let sample = Sample { tag, value, quality, received, source_time };
            self.reports.push(FieldReport::Sample(sample)).expect("the ring holds several slots' reports");
        }
    }
}
