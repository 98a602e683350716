//! `impure`: a control cycle that does what none may. The proofs of `cargo xtask purity` count only if they catch it.
//!
//! # Contract
//! - It runs the real cycle, [`Cycle`], without a plant, on a thread that looks like the runtime's control thread. In every
//!   cycle the recorder, which is one of the cycle's ports, does the one thing that it was told to do.
//! - It says `ready` when the loop has warmed up, runs until its standard input ends, and then says as JSON how many cycles
//!   there were and what the allocation guard counted.
//! - Nothing of it is part of the product, and nothing imports it.
#![forbid(unsafe_code)]
#![cfg_attr(rtsan, feature(sanitize))]

mod impurity;
mod ports;

use std::io::Read as _;

use clap::Parser;
use rt_core::cycle::Cycle;
use rt_core::pacing::Spin;
use rt_core::schedule::Slot;
use rt_core::time::Span;
use rt_sys::guard::{self, CountingAllocator};
use rt_sys::{Granted, MonotonicClock, Pacer, Pacing, Placement, RealtimeRequest, prefault_stack};
use shm::spsc::{Consumer, Producer, channel};

use impurity::{Deed, Impurity};
use ports::Nobody;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Cycles before anything counts.
const WARM_UP_CYCLES: u64 = 200;
/// Stack that the loop may use without a fault.
const STACK_PREFAULT_BYTES: usize = 512 * 1024;
/// The runtime's default.
const PRIORITY: u8 = 80;

/// A control cycle that does what none may.
#[derive(Debug, Parser)]
struct Arguments {
    /// What the cycle does.
    #[arg(value_enum)]
    impurity: Impurity,
}

/// Ask to leave the loop.
#[derive(Clone, Copy)]
struct Stop;

/// The loop has warmed up.
#[derive(Clone, Copy)]
struct Ready;

fn main() {
    let Arguments { impurity } = Arguments::parse();
    // Best effort, as everything here: whoever judges reads what the kernel shows.
    if impurity != Impurity::PageFault {
        let _ = rt_sys::lock_memory();
    }
    let deed = Deed::prepare(impurity);
    let placement = rt_sys::Cpus::allowed().placement(None, None);
    let (mut stop, stopping) = channel(1);
    let (ready, mut warmed_up) = channel(1);
    let request = RealtimeRequest { cpu: placement.control, priority: Some(PRIORITY) };
    let control = rt_sys::spawn_realtime("corerl-control", request, move |granted| {
        Loop::new(deed, &granted, &placement).run(stopping, ready)
    });
    let control = control.expect("a thread can be started");
    while warmed_up.pop().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    println!("ready");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let _ = stop.push(Stop);
    let (cycles, counted) = control.join().expect("what panics aborts");
    println!("{{\"cycles\": {cycles}, \"allocations\": {counted}}}");
}

/// The control thread.
struct Loop {
    clock: MonotonicClock,
    cycle: Box<Cycle>,
    pacer: Pacer,
    deed: Deed,
}

impl Loop {
    fn new(deed: Deed, granted: &Granted, placement: &Placement) -> Self {
        let loaded = rt_config::parse(rt_config::example(), "example.yaml".as_ref()).expect("the example is valid");
        let site = loaded.site;
        let pacing = Pacing {
            period: site.runtime.period,
            phase: Span::ZERO,
            spin: Spin::Off,
            cpu_is_alone: placement.control_is_alone(),
        };
        let clock = MonotonicClock::new();
        let cycle = Cycle::new(&site.cycle_settings(&site.cycle_lists())).expect("a site's settings are valid");
        Self { clock, cycle: Box::new(cycle), pacer: Pacer::start(clock, &pacing, granted), deed }
    }

    /// Runs until it is asked to stop: how many cycles, and how often they allocated after the warm-up.
    fn run(mut self, mut stop: Consumer<Stop>, mut ready: Producer<Ready>) -> (u64, u64) {
        prefault_stack::<STACK_PREFAULT_BYTES>();
        while stop.pop().is_none() {
            let slot = self.pacer.next_slot().slot;
            self.work(&slot);
            if self.pacer.grid().cycles() == WARM_UP_CYCLES {
                guard::arm();
                let _ = ready.push(Ready);
            }
        }
        guard::disarm();
        (self.pacer.grid().cycles(), guard::counts().total())
    }

    /// All that is done between two sleeps, as in the runtime's loop.
    #[inline(never)]
    #[cfg_attr(rtsan, sanitize(realtime = "nonblocking"))]
    fn work(&mut self, slot: &Slot) {
        let Self { clock, cycle, deed, .. } = self;
        cycle.run(slot, clock, &mut Nobody, &mut Nobody, &mut Nobody, deed);
    }
}
