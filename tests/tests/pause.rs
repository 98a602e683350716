//! The machine stands still, or somebody tidies up behind the runtime's back.

use std::time::Duration;

use rt_core::mode::{Cause, Mode};
use rustix::process::Signal;
use shm_layout::{Counter, EventKind};
use tests::{Place, assert_on_grid, wait_for, wait_for_count, wait_for_more};

/// How long everything stands still: far longer than readings stay fresh.
const PAUSE: Duration = Duration::from_secs(1);
/// The slots of the rig's site in half of the pause.
const SLOTS_IN_PAUSE: u64 = 100;

#[test]
fn f68_after_a_pause_of_everything_there_is_one_overrun_a_hold_and_no_burst() {
    let place = Place::new();
    let mut plant = place.plant();
    let site = place.site(plant.url(), &[("stale_after: 20s", "stale_after: 200ms")]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_mode("run");
    let (mut cycles, mut events, counters) = (runtime.cycles(), runtime.events(), runtime.counters());
    wait_for_more(&counters, Counter::SetpointsWritten, 3);
    events.modes_until(Mode::Run);
    let group = [runtime.process.pid(), plant.process.pid()];
    group.iter().for_each(|pid| tests::signal_to(*pid, Signal::STOP));
    let written = counters.get(Counter::SetpointsWritten);
    std::thread::sleep(PAUSE);
    group.iter().for_each(|pid| tests::signal_to(*pid, Signal::CONT));

    let mut seen = Vec::new();
    wait_for("RUN after HOLD", || {
        seen.extend(events.drain());
        let last = seen.iter().rfind(|event| event.kind() == Some(EventKind::ModeChange))?;
        (last.b == Mode::Run as u64).then_some(())
    });
    let written = counters.get(Counter::SetpointsWritten) - written;
    let of = |kind| seen.iter().filter(move |event| event.kind() == Some(kind));
    assert_eq!(of(EventKind::SlotsSkipped).filter(|event| event.a >= SLOTS_IN_PAUSE).count(), 1, "one overrun");
    let modes: Vec<_> = of(EventKind::ModeChange).map(|event| (event.b, event.cause)).collect();
    assert_eq!(modes.first(), Some(&(Mode::Hold as u64, Cause::RequiredTagStale as u32)));

    let records = cycles.drain();
    let pause =
        records.iter().position(|record| u64::from(record.head.skipped) >= SLOTS_IN_PAUSE).expect("it was seen");
    assert_on_grid(&records, counters.get(Counter::Period));
    assert!(written <= (records.len() - pause) as u64, "{written} writes in {} cycles", records.len() - pause);
    assert_eq!(runtime.status().lease.epoch, 1, "nobody else wanted the plant");
    assert_eq!((runtime.process.stop(Signal::TERM), plant.process.stop(Signal::TERM)), (0, 0));
}

#[test]
fn f15_there_is_nothing_to_unlink_but_an_address_that_comes_back_and_a_restart_gives_everybody_fresh_memory() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    let mut learner = place.learner(&site, "checkpoints");
    runtime.wait_for_mode("run");
    let counters = runtime.counters();
    wait_for_count(&counters, Counter::PoliciesAdopted, 1);

    std::fs::remove_dir_all(place.path("run")).unwrap();
    wait_for("the address", || runtime.socket().exists().then_some(()));
    let mut second = place.runtime(&site, &["--arm"]);
    second.wait_for_status("the one that leads", |status| status.lease.partner == Some(runtime.process.pid()));
    runtime.wait_for_status("the learner", |status| status.learner.alive && status.mode == "run");
    wait_for_more(&counters, Counter::PoliciesAdopted, 1);
    assert_eq!(second.counters().get(Counter::Heartbeats), 0, "two runtimes wrote");
    assert_eq!(second.process.stop(Signal::TERM), 0);

    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    let old = counters.get(Counter::Cycles);
    let mut runtime = place.runtime(&site, &["--arm"]);
    let fresh = runtime.counters();
    runtime.wait_for_status("the learner", |status| status.learner.pid == learner.pid());
    wait_for_count(&fresh, Counter::PoliciesAdopted, 1);
    let listed = place.corerl(&["shm", "ls"]).output().unwrap();
    assert!(listed.status.success() && !listed.stdout.is_empty());
    assert_eq!(counters.get(Counter::Cycles), old, "the memory of the runtime that is gone is nobody's");
    assert_eq!((learner.stop(Signal::TERM), runtime.process.stop(Signal::TERM)), (0, 0));
    drop(plant);
    assert_eq!(place.left_behind(), Vec::<String>::new());
}
