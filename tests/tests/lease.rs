//! Two runtimes on one plant: at most one of them writes, whatever happens to the other one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rt_core::mode::{Cause, Mode};
use rustix::process::Signal;
use shm_layout::{Counter, EventKind};
use tests::simulation::Dice;
use tests::{CycleRecord, Cycles, Events, Place, Plant, Proxy, Runtime, SiteFile, soak, wait_for, wait_for_more};

/// Hand-overs, one after another, unless a soak wants more.
const SWITCHES: u64 = 20;
/// Of the rig's site: control period, `t_hold` and the setpoint's rate.
const PERIOD_NS: u64 = 5_000_000;
const T_HOLD_NS: u64 = 300_000_000;
const RATE_PER_S: f64 = 0.2;
/// Processes that are killed, one after another; a soak kills more.
const KILLS: u64 = 6;

/// A plant, a runtime that leads and writes, and one that stands by.
struct Pair {
    place: Place,
    plant: Plant,
    /// Between the plant and the first one alone.
    cable: Proxy,
    site: SiteFile,
    first: Runtime,
    second: Runtime,
}

impl Pair {
    /// Both are armed.
    fn at_work() -> Self {
        Self::with(&["--arm"])
    }

    fn with(of_second: &[&str]) -> Self {
        let place = Place::new();
        let plant = place.plant();
        let cable = Proxy::before(plant.port());
        let first = place.runtime(&place.site(&cable.url(), &[]), &["--arm"]);
        first.wait_for_mode("run");
        let site = place.site(plant.url(), &[]);
        let second = place.runtime(&site, of_second);
        stands_by(&second, &first);
        Self { place, plant, cable, site, first, second }
    }

    fn end(mut self) {
        assert_eq!((self.second.process.stop(Signal::TERM), self.first.process.stop(Signal::TERM)), (0, 0));
        drop(self.plant);
        assert_eq!(self.place.left_behind(), Vec::<String>::new());
    }
}

/// Waits until `second` could take over from `first`.
fn stands_by(second: &Runtime, first: &Runtime) {
    let leader = Some(first.process.pid());
    second.wait_for_status("the one that leads", |status| {
        !status.lease.leads && status.lease.partner == leader && status.mode == "shadow" && status.connections[0].up
    });
}

/// Stops it while it sends nothing: a write that it had decided on and was stopped before would be sent when it wakes up, which
/// only the plant could exclude.
fn stop_between_writes(runtime: &Runtime, cable: &Proxy) {
    let (before, begin) = (cable.writes(), Instant::now());
    while cable.writes() == before && begin.elapsed() < tests::PATIENCE {
        std::thread::sleep(Duration::from_micros(50));
    }
    runtime.process.signal(Signal::STOP);
}

/// Everything that two runtimes recorded, by the slots of the grid that they share.
#[derive(Default)]
struct Log {
    slots: BTreeMap<u64, Vec<(usize, CycleRecord)>>,
}

impl Log {
    fn add(&mut self, runtime: usize, cycles: &mut Cycles) {
        for record in cycles.drain() {
            self.slots.entry(record.head.release_ns).or_default().push((runtime, record));
        }
    }

    /// Who wrote in which slot, in their order; there is never more than one.
    fn writers(&self) -> Vec<(u64, usize)> {
        let slots = self.slots.iter().filter_map(|(slot, records)| {
            let writers: Vec<_> =
                records.iter().filter(|(_, record)| writes(record)).map(|(runtime, _)| *runtime).collect();
            assert!(writers.len() <= 1, "runtimes {writers:?} both wrote in slot {slot}");
            Some((*slot, *writers.first()?))
        });
        slots.collect()
    }

    /// The times without a writer between two writers, and the same writer again.
    fn gaps_ns(&self) -> Vec<u64> {
        let writers = self.writers();
        let changes = writers.windows(2).filter(|pair| pair[0].1 != pair[1].1);
        changes.map(|pair| pair[1].0 - pair[0].0 - PERIOD_NS).collect()
    }

    /// What whoever writes reads back of the setpoint moves by its rate at most, also from one writer to the next.
    fn assert_bumpless(&self) {
        // Whoever was stopped wakes up with what it had read before. What the other one reads may be older than it seems: it is
        // written while the answer is on its way.
        let is_fresh = |of: &CycleRecord| of.tags[0].age_ns <= 2 * PERIOD_NS;
        let records = self.slots.iter().flat_map(|(slot, records)| records.iter().map(move |(_, of)| (*slot, of)));
        // A value is as old as its decision: on a busy machine it may be long on its way.
        let mut decided = BTreeMap::new();
        let mut last: Option<(u64, f64)> = None;
        for (slot, of) in records {
            let value = of.tags[0].value;
            if writes(of) && is_fresh(of) {
                if let Some((since, from)) = last {
                    // Two runtimes show what they have read at different times, up to two slots old, in the same slot; and
                    // what was written in the slot before may be read in this one or the next.
                    let permitted = RATE_PER_S * (slot - since + 2 * PERIOD_NS + 2 * PERIOD_NS) as f64 * 1e-9;
                    assert!((value - from).abs() <= permitted + 1e-9, "{from} to {value} in {} ns", slot - since);
                }
                last = Some((decided.get(&value.to_bits()).copied().unwrap_or(slot), value));
            }
            decided.insert(of.setpoints[0].sent.to_bits(), slot);
        }
        assert!(last.is_some(), "records");
    }
}

/// Whether its mode writes setpoints.
fn writes(record: &CycleRecord) -> bool {
    Mode::from_number(record.head.mode).is_some_and(Mode::writes)
}

/// The causes of the changes of mode that led to this one.
fn causes(events: &mut Events, to: Mode) -> Vec<u32> {
    let mut found = Vec::new();
    wait_for(&format!("mode {}", to.name()), || {
        found.extend(events.drain().into_iter().filter(|event| event.kind() == Some(EventKind::ModeChange)));
        found.last().is_some_and(|event| event.b == to as u64).then_some(())
    });
    found.iter().map(|event| event.cause).collect()
}

#[test]
fn f86_whoever_stands_by_writes_nothing_and_takes_over_when_the_first_is_killed() {
    let mut pair = Pair::at_work();
    let (mut log, mut of_first, mut of_second) = (Log::default(), pair.first.cycles(), pair.second.cycles());
    let (first, second) = (pair.first.counters(), pair.second.counters());
    wait_for_more(&first, Counter::Heartbeats, 3);
    assert_eq!((second.get(Counter::SetpointsWritten), second.get(Counter::Heartbeats)), (0, 0));
    log.add(0, &mut of_first);
    pair.first.process.kill();
    log.add(0, &mut of_first);
    pair.second.wait_for_mode("run");
    wait_for_more(&second, Counter::Heartbeats, 3);
    log.add(1, &mut of_second);
    println!("from the last cycle of the first to the first one of the second: {:?} ns", log.gaps_ns());
    assert_eq!(log.gaps_ns().len(), 1, "each wrote once");
    log.assert_bumpless();
    let lease = pair.second.status().lease;
    assert_eq!((lease.leads, lease.epoch, lease.partner), (true, 2, None));
    assert_eq!(pair.second.events().texts(EventKind::LeaseTaken), ["leads under epoch 2"]);

    pair.first = pair.place.runtime(&pair.site, &[]);
    stands_by(&pair.first, &pair.second);
    std::mem::swap(&mut pair.first, &mut pair.second);
    pair.end();
}

#[test]
fn f86_a_runtime_that_was_stopped_beyond_its_term_sends_nothing_when_it_wakes_up_and_stands_by() {
    let mut pair = Pair::at_work();
    let (mut log, mut of_first, mut of_second) = (Log::default(), pair.first.cycles(), pair.second.cycles());
    let (counters, mut events) = (pair.first.counters(), pair.first.events());
    causes(&mut events, Mode::Run);
    wait_for_more(&counters, Counter::Cycles, 2);
    stop_between_writes(&pair.first, &pair.cable);
    pair.second.wait_for_mode("run");
    wait_for_more(&pair.second.counters(), Counter::Heartbeats, 3);
    let sent = pair.cable.writes();
    pair.first.process.signal(Signal::CONT);
    assert_eq!(causes(&mut events, Mode::Shadow), [Cause::LeaseLost as u32]);
    stands_by(&pair.first, &pair.second);
    log.add(0, &mut of_first);
    log.add(1, &mut of_second);
    assert_eq!(pair.cable.writes(), sent);
    assert!(sent > 0);
    println!("from the last cycle before the stop to the first one of the other: {:?} ns", log.gaps_ns());
    assert_eq!(log.gaps_ns().len(), 1, "each wrote once");
    log.assert_bumpless();
    assert!(!pair.first.status().armed, "whoever loses the lease is disarmed");
    assert_eq!(pair.first.events().texts(EventKind::LeaseLost), ["taken over under epoch 2"]);

    // It takes over again, and does not write: nobody has armed it.
    pair.second.process.kill();
    pair.first.wait_for_status("the lease", |status| status.lease.leads && status.lease.epoch == 3);
    wait_for_more(&counters, Counter::Cycles, 50);
    assert_eq!((pair.first.status().mode.as_str(), pair.cable.writes()), ("shadow", sent));
    assert_eq!(pair.first.process.stop(Signal::TERM), 0);
}

#[test]
fn f86_a_runtime_that_was_not_armed_takes_the_lease_over_and_writes_nothing() {
    let mut pair = Pair::with(&[]);
    pair.first.process.kill();
    pair.second.wait_for_status("the lease", |status| status.lease.leads && status.lease.epoch == 2);
    let counters = pair.second.counters();
    wait_for_more(&counters, Counter::Cycles, 50);
    assert_eq!((pair.second.status().mode.as_str(), counters.get(Counter::Heartbeats)), ("shadow", 0));
    assert_eq!(pair.second.process.stop(Signal::TERM), 0);
}

#[test]
fn f87_in_every_cycle_of_many_hand_overs_there_is_at_most_one_writer() {
    let switches = soak::count(SWITCHES);
    let mut pair = Pair::with(&[]);
    let mut log = Log::default();
    let mut cycles = [pair.first.cycles(), pair.second.cycles()];
    for switch in 1..=switches {
        let said = pair.place.corerl(&["agent", "hand-over", "--cause", "f87"]).output().unwrap();
        assert!(said.status.success(), "switch {switch}: {}", String::from_utf8_lossy(&said.stderr));
        pair.second.wait_for_mode("run");
        wait_for_more(&pair.second.counters(), Counter::SetpointsWritten, 1);
        stands_by(&pair.first, &pair.second);
        assert!(!pair.first.status().armed, "the arming goes with the lease");
        cycles.iter_mut().enumerate().for_each(|(runtime, cycles)| log.add(runtime, cycles));
        std::mem::swap(&mut pair.first, &mut pair.second);
    }
    let gaps = log.gaps_ns();
    let slots: Vec<_> = gaps.iter().map(|gap| gap / PERIOD_NS).collect();
    println!("{switches} hand-overs, slots without a writer: {slots:?}");
    assert_eq!(gaps.len(), switches as usize, "each hand-over changed the writer once");
    assert!(gaps.iter().all(|gap| *gap <= 10 * T_HOLD_NS), "{gaps:?}");
    log.assert_bumpless();
    assert_eq!(pair.first.status().lease.epoch, switches + 1);
    pair.end();
}

#[test]
fn f87_a_hand_over_needs_somebody_who_stands_by_and_is_ready_and_clears_no_trip() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut first = place.runtime(&site, &["--arm"]);
    first.wait_for_mode("run");
    let hand_over = || place.corerl(&["agent", "hand-over"]).output().unwrap();
    let refused = hand_over();
    assert_eq!(refused.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("start a second runtime with the same site file"));

    let mut second = place.runtime(&site, &[]);
    stands_by(&second, &first);
    assert!(place.corerl(&["agent", "hold", "--cause", "f87"]).status().unwrap().success());
    first.wait_for_status("the hold", |status| status.mode == "hold" || status.mode == "fallback");
    let refused = hand_over();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("does not let go"), "{refused:?}");
    assert_eq!(first.status().lease.epoch, 1);
    assert!(place.corerl(&["agent", "reset", "--cause", "f87"]).status().unwrap().success());
    assert_eq!((second.process.stop(Signal::TERM), first.process.stop(Signal::TERM)), (0, 0));
}

/// Which of its processes a place loses next.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Runtime,
    Plant,
    Both,
}

/// At most so many cycles from one loss to the next.
const CYCLES_BETWEEN: u64 = 128;

#[test]
fn f88_whatever_is_killed_and_when_the_runtime_starts_from_where_the_plant_is_and_arms_as_the_file_says() {
    let mut dice = Dice::new(soak::seed(), "losses");
    let place = Place::new();
    let mut plant = place.plant();
    let port = plant.port();
    let site = place.site(plant.url(), &[("  period: 5ms", "  period: 5ms\n  rearm: after_gates\n  restarts: off")]);
    let mut runtime = place.runtime(&site, &[]);
    runtime.wait_for_mode("run");
    for _ in 0..soak::count(KILLS) {
        let loss = dice.pick(&[Loss::Runtime, Loss::Runtime, Loss::Plant, Loss::Both]);
        let cycles = dice.below(CYCLES_BETWEEN);
        println!("{loss:?} after {cycles} more cycles");
        let (mut log, mut recorded) = (Log::default(), runtime.cycles());
        wait_for_more(&runtime.counters(), Counter::Cycles, cycles);
        if matches!(loss, Loss::Runtime | Loss::Both) {
            runtime.process.kill();
        }
        if matches!(loss, Loss::Plant | Loss::Both) {
            plant.process.kill();
            plant = place.plant_on(port);
        } else {
            // The plant still has what was written last.
            log.add(0, &mut recorded);
        }
        if matches!(loss, Loss::Runtime | Loss::Both) {
            runtime = place.runtime(&site, &[]);
            let modes = runtime.events().modes_until(Mode::Run);
            assert_eq!(modes, [Mode::Shadow, Mode::Run]);
            assert_eq!(runtime.events().texts(EventKind::Armed).len(), 1, "armed once, by the file");
        }
        assert_goes_on_from_where_the_plant_is(&runtime, log);
    }
    assert_eq!((runtime.process.stop(Signal::TERM), plant.process.stop(Signal::TERM)), (0, 0));
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

/// It writes again, and what it reads back moves by its rate, from what is in the log on.
fn assert_goes_on_from_where_the_plant_is(runtime: &Runtime, mut log: Log) {
    let (mut cycles, counters) = (runtime.cycles(), runtime.counters());
    let before = counters.get(Counter::SetpointsWritten);
    wait_for("a write in RUN", || {
        log.add(0, &mut cycles);
        (counters.get(Counter::Mode) == Mode::Run as u64 && counters.get(Counter::SetpointsWritten) > before)
            .then_some(())
    });
    log.add(0, &mut cycles);
    log.assert_bumpless();
}

#[test]
fn a_second_foreground_parent_stands_by_without_a_learner_and_gets_one_when_it_leads() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut first = place.company(&site, &["--arm"]);
    let before = first.wait_for_status("the learner", |status| status.learner.alive && status.mode == "run");
    let mut second = place.company(&site, &["--arm"]);
    second.process.wait_until_it_says("this one stands by, without a learner");
    let status = first.wait_for_status("whoever stands by", |status| status.lease.partner.is_some());
    assert_eq!((status.learner.pid, status.learner.epoch), (before.learner.pid, 1), "the learner was driven out");
    assert_eq!(first.process.stop(Signal::INT), 0);
    let after = second.wait_for_status("its own learner", |status| status.learner.alive && status.mode == "run");
    assert_eq!((after.lease.epoch, after.lease.partner), (2, None));
    assert_ne!(after.learner.pid, before.learner.pid);
    assert_eq!(second.process.stop(Signal::INT), 0, "{}", second.process.said());
    drop(plant);
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

/// A plant with a tag for the lease, and two machines: what excludes two runtimes on one of them lies in its own directory.
struct Machines {
    places: [Place; 2],
    plant: Plant,
    /// Between the plant and the first one alone.
    cable: Proxy,
    sites: [SiteFile; 2],
    runtimes: [Runtime; 2],
}

/// What the site files of several machines have in common.
const LEASE_TAG: (&str, &str) =
    ("  io:\n    plant:", "  io:\n    plant:\n      lease: {node: nsu=urn:corerl:plant;s=saturation.Lease, term: 1s}");

impl Machines {
    /// Both are armed; the first one writes.
    fn at_work() -> Self {
        let places = [Place::new(), Place::new()];
        let plant = places[0].plant();
        let cable = Proxy::before(plant.port());
        let sites = [places[0].site(&cable.url(), &[LEASE_TAG]), places[1].site(plant.url(), &[LEASE_TAG])];
        let first = places[0].runtime(&sites[0], &["--arm"]);
        first.wait_for_mode("run");
        let second = places[1].runtime(&sites[1], &["--arm"]);
        second.wait_for_status("what it waits for", |status| {
            status.lease.leads && status.mode == "shadow" && status.connections[0].claimed == Some(false)
        });
        Self { places, plant, cable, sites, runtimes: [first, second] }
    }
}

#[test]
fn f86_of_two_machines_one_writes_and_the_other_one_takes_over_when_that_one_is_gone() {
    let Machines { places, plant, sites, runtimes: [mut first, mut second], cable: _cable } = Machines::at_work();
    let (mut log, mut of_first, mut of_second) = (Log::default(), first.cycles(), second.cycles());
    let counters = second.counters();
    wait_for_more(&first.counters(), Counter::Heartbeats, 3);
    assert_eq!((counters.get(Counter::SetpointsWritten), counters.get(Counter::Heartbeats)), (0, 0));
    log.add(0, &mut of_first);
    first.process.kill();
    log.add(0, &mut of_first);
    second.wait_for_mode("run");
    wait_for_more(&counters, Counter::Heartbeats, 3);
    log.add(1, &mut of_second);
    println!("killed: {:?} ns without a writer", log.gaps_ns());
    assert_eq!(log.gaps_ns().len(), 1, "each wrote once");
    log.assert_bumpless();
    assert_eq!(second.status().connections[0].claimed, Some(true));

    // One that takes leave says so, and is not waited for.
    first = places[0].runtime(&sites[0], &["--arm"]);
    let (mut log, mut of_first, mut of_second) = (Log::default(), first.cycles(), second.cycles());
    first.wait_for_status("what it waits for", |status| status.mode == "shadow" && status.armed);
    wait_for_more(&counters, Counter::Heartbeats, 3);
    log.add(1, &mut of_second);
    assert_eq!(second.process.stop(Signal::TERM), 0);
    log.add(1, &mut of_second);
    first.wait_for_mode("run");
    log.add(0, &mut of_first);
    println!("stopped in order: {:?} ns without a writer", log.gaps_ns());
    assert_eq!(log.gaps_ns().len(), 1, "each wrote once");
    log.assert_bumpless();
    assert_eq!(first.process.stop(Signal::TERM), 0);
    drop(plant);
    for place in places {
        assert_eq!(place.left_behind(), Vec::<String>::new());
    }
}

#[test]
fn f86_a_machine_that_stood_still_beyond_the_term_sends_nothing_when_it_wakes_up_and_is_disarmed() {
    let Machines { places: _places, plant, cable, runtimes: [mut first, mut second], .. } = Machines::at_work();
    let (mut log, mut of_first, mut of_second) = (Log::default(), first.cycles(), second.cycles());
    let (counters, mut events) = (first.counters(), first.events());
    causes(&mut events, Mode::Run);
    wait_for_more(&counters, Counter::Cycles, 2);
    stop_between_writes(&first, &cable);
    second.wait_for_mode("run");
    wait_for_more(&second.counters(), Counter::Heartbeats, 3);
    let sent = cable.writes();
    log.add(0, &mut of_first);
    log.add(1, &mut of_second);
    first.process.signal(Signal::CONT);
    // Its first cycle still believes that it leads; what that one decides is not sent.
    assert_eq!(causes(&mut events, Mode::Shadow), [Cause::LeaseLost as u32]);
    wait_for_more(&counters, Counter::Cycles, 50);
    assert_eq!(cable.writes(), sent);
    assert!(sent > 0);
    assert_eq!(second.status().mode, "run");
    assert_eq!(log.gaps_ns().len(), 1, "each wrote once");
    log.assert_bumpless();
    let status = first.status();
    assert_eq!((status.armed, status.lease.leads, status.connections[0].claimed), (false, true, Some(false)));
    let texts = first.events().texts(EventKind::LeaseLost);
    assert_eq!(texts, ["another machine has the lease of plant"]);
    assert_eq!((second.process.stop(Signal::TERM), first.process.stop(Signal::TERM)), (0, 0));
    drop(plant);
}

#[test]
fn f87_a_hand_over_on_one_machine_keeps_the_claim_of_the_plant() {
    let Machines {
        places: [place, _other],
        plant,
        sites: [site, _],
        runtimes: [mut first, mut elsewhere],
        cable: _cable,
    } = Machines::at_work();
    let mut second = place.runtime(&site, &[]);
    stands_by(&second, &first);
    let (mut log, mut cycles) = (Log::default(), [first.cycles(), second.cycles(), elsewhere.cycles()]);
    for switch in 1..=4 {
        // Long enough for the heir to have seen the name that it goes on with.
        wait_for_more(&first.counters(), Counter::Heartbeats, 6);
        assert!(place.corerl(&["agent", "hand-over", "--cause", "f87"]).status().unwrap().success(), "{switch}");
        second.wait_for_mode("run");
        stands_by(&first, &second);
        for (runtime, cycles) in cycles.iter_mut().enumerate() {
            log.add(runtime, cycles);
        }
        std::mem::swap(&mut first, &mut second);
    }
    let slots: Vec<_> = log.gaps_ns().iter().map(|gap| gap / PERIOD_NS).collect();
    println!("slots without a writer: {slots:?}");
    assert!(log.writers().iter().all(|(_, runtime)| *runtime < 2), "the other machine had it");
    assert_eq!(slots.len(), 4);
    assert!(log.gaps_ns().iter().all(|gap| *gap <= 10 * T_HOLD_NS), "{slots:?}");
    log.assert_bumpless();
    for runtime in [&mut elsewhere, &mut second, &mut first] {
        assert_eq!(runtime.process.stop(Signal::TERM), 0);
    }
    drop(plant);
}

#[test]
fn a_plant_that_restarts_with_an_empty_tag_goes_on_with_whoever_wrote_before() {
    let Machines { places, plant, runtimes: [mut first, mut second], cable: _cable, .. } = Machines::at_work();
    let (port, mut plant) = (plant.port(), plant);
    let before = first.counters().get(Counter::Heartbeats);
    plant.process.kill();
    first.wait_for_status("the loss", |status| !status.connections[0].up);
    plant = places[0].plant_on(port);
    let writer = |status: &rt_control::Status| status.mode == "run" && status.connections[0].claimed == Some(true);
    let written = wait_for("a writer", || {
        let statuses = [first.status(), second.status()];
        let both = statuses.iter().filter(|status| status.connections[0].claimed == Some(true)).count();
        statuses.iter().any(writer).then_some(both)
    });
    assert_eq!(written, 1);
    assert!(before > 0);
    assert_eq!((second.process.stop(Signal::TERM), first.process.stop(Signal::TERM)), (0, 0));
    drop(plant);
}
