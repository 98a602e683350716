//! The control thread allocates nothing and takes no page fault, and the guard that says so does count.

use std::hint::black_box;

use policy::kernels::Kernel;
use policy::{AdoptedPolicy, Agent, Kept, PolicySource, PolicySpec};
use rt_core::image::Image;
use rt_core::mode::Mode;
use rt_core::ports::{Action, Moment, NoAction, Observed, Policy};
use rt_core::record::Flags;
use rt_core::setpoint::{SETPOINTS_MAX, ScalarKind};
use rt_core::tag::{Quality, Sample, TagId};
use rt_core::time::{MonoTime, Span};
use rt_sys::guard::{self, CountingAllocator};
use rustix::process::Signal;
use shm_layout::Counter;
use tests::simulation::{Controller, Desk, World, tour};
use tests::{Place, SiteFile, not_judged, wait_for_count};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Cycles of a real run, the warm-up included.
const CYCLES: u64 = 1_200;

#[test]
fn a_run_with_new_policies_allocates_nothing_in_its_cycles_and_takes_no_page_fault() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    let mut learner = place.learner(&site, "checkpoints");
    let counters = runtime.counters();
    wait_for_count(&counters, Counter::Cycles, CYCLES);
    wait_for_count(&counters, Counter::PoliciesAdopted, 10);
    let status = runtime.status();
    assert_eq!(status.mode, "run");
    assert_eq!((learner.stop(Signal::TERM), runtime.process.stop(Signal::TERM)), (0, 0));
    assert_eq!(counters.get(Counter::AllocationsInCycle), 0);
    // Memory that is not locked may be taken away at any time: then nothing is promised, and the runtime says so.
    if status.degraded.iter().any(|reason| reason.contains("lock")) {
        not_judged(&format!("page faults: {}", status.degraded.join("; ")));
    } else {
        assert_eq!(counters.get(Counter::PageFaultsInCycle), 0);
    }
}

/// A policy that does what no policy may do.
struct Impure<P>(P);

impl<P: Policy> Policy for Impure<P> {
    fn adopt(&mut self) -> Option<u64> {
        self.0.adopt()
    }

    fn observe(&mut self, image: &Image, moment: &Moment) -> Observed {
        self.0.observe(image, moment)
    }

    fn decide(&mut self, explore: bool, action: &mut Action) -> Result<(), NoAction> {
        drop(black_box(Box::new(*action)));
        self.0.decide(explore, action)
    }
}

/// Allocations and deallocations in the cycles of a simulated run, and the decisions in it.
fn counted(impure: bool) -> (u64, u64) {
    let text = SiteFile::text("opc.tcp://127.0.0.1:1", &[]);
    let site = rt_config::parse(&text, "site.yaml".as_ref()).unwrap().site;
    let (_desk, agent) = Desk::new(&site, Kernel::best(), None);
    let plant = plants::by_name("saturation", 1).unwrap();
    let world = World::new(&site, plant, &[ScalarKind::Double], 1);
    let period = site.runtime.period.span();
    if impure {
        cycles(Controller::new(&site, Impure(agent)), world, period)
    } else {
        cycles(Controller::new(&site, agent), world, period)
    }
}

fn cycles<P: Policy>(mut controller: Controller<P>, mut world: World, period: Span) -> (u64, u64) {
    let (before, mut decisions, mut sent) = (guard::counts(), 0, None);
    let mut modes = Vec::new();
    for cycle in 0..CYCLES {
        let inputs = world.next(sent, tour(cycle, period));
        guard::arm();
        let (outcome, set) = controller.run(&inputs);
        guard::disarm();
        sent = set;
        decisions += u64::from(outcome.flags.contains(Flags::DECIDED));
        modes.push(outcome.mode);
    }
    assert!([Mode::Run, Mode::Hold, Mode::Fallback].iter().all(|mode| modes.contains(mode)));
    (guard::counts().since(before).total(), decisions)
}

#[test]
fn the_guard_counts_nothing_in_a_pure_cycle_and_every_block_in_an_impure_one() {
    assert!(guard::is_installed());
    let (blocks, decisions) = counted(false);
    assert!(decisions > 100);
    assert_eq!(blocks, 0);
    let (blocks, decisions) = counted(true);
    assert_eq!(blocks, 2 * decisions);
}

/// The policy in use, once and for all.
struct Always(AdoptedPolicy);

impl PolicySource for Always {
    fn refresh(&mut self) -> bool {
        false
    }

    fn current(&self) -> Option<&AdoptedPolicy> {
        Some(&self.0)
    }
}

#[test]
fn a_network_that_stands_in_for_missing_values_allocates_nothing() {
    const QUALITY: usize = 3;
    let text = rt_config::example().replace("# imputer: {name: masked-ae} ", "imputer: {name: masked-ae} ");
    let site = rt_config::parse(&text, "site.yaml".as_ref()).unwrap().site;
    let spec = PolicySpec::of(&site);
    let kept = Kept { generation: 1, updates: 1, nominal: false };
    let policy = AdoptedPolicy::kept(&spec, kept, &vec![0.01; spec.parameters()]).unwrap();
    let mut agent = Agent::new(&site, Always(policy), Kernel::best()).unwrap();
    let settings: Vec<_> = site.tags.iter().map(|tag| tag.settings).collect();
    let mut image = Image::new(&settings).unwrap();
    let (before, mut imputed, mut action) = (guard::counts(), 0, [0.0; SETPOINTS_MAX]);
    for cycle in 1..=CYCLES {
        let release = MonoTime::ZERO + site.interaction.obs_period.times(cycle);
        for (index, value) in [(0, 0.25), (1, 0.2), (2, 0.5), (QUALITY, 0.7), (5, 1.0)] {
            let is_missing = index == QUALITY && cycle % 10 >= 6;
            let quality = if is_missing { Quality::Bad } else { Quality::Good };
            let (tag, source_time) = (TagId::new(index).unwrap(), cycle as i64);
            image.receive(&Sample { tag, value, quality, received: release, source_time });
        }
        image.advance(release);
        let moment = Moment { cycle, release, decision: true, gap: false, mode: Mode::Run as u8 };
        guard::arm();
        agent.observe(&image, &moment);
        let decided = agent.decide(true, &mut action);
        guard::disarm();
        let step = agent.step();
        imputed += u64::from(decided.is_ok() && step.complete && !step.all_read);
    }
    assert_eq!(imputed, CYCLES / 10 * 4, "four readings in ten are missing");
    assert_eq!(guard::counts().since(before).total(), 0);
}
