//! What the historian keeps: every decision, reward and event once, and of every observation what tells it, whatever becomes of
//! the historian meanwhile.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use archive::{Point, Reader, TrackInfo, TrackKind};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use shm_layout::{Counter, CycleHead, EventRecord};
use tests::simulation::Dice;
use tests::{CycleRecord, Place, Process, soak, wait_for_more};

/// How often the historian is killed, unless a soak says otherwise.
const KILLS: u64 = 6;

#[test]
fn a_historian_that_is_killed_at_random_keeps_everything_once() {
    let place = Place::new();
    let plant = place.plant();
    let zones = "    - name: level\n      yellow_bounds: [0.45, 0.55]\n      red_bounds: [0.3, 0.7]\n";
    let site = place.site(plant.url(), &[("    - name: level\n", zones)]);
    let mut runtime = place.company(&site, &["--arm"]);
    let (counters, mut cycles, mut events) = (runtime.counters(), runtime.cycles(), runtime.events());
    let (mut seen, mut happened) = (Vec::new(), Vec::new());
    let mut dice = Dice::new(soak::seed(), "kills of the historian");
    for _ in 0..soak::count(KILLS) {
        let mut historian = place.historian();
        wait_for_more(&counters, Counter::Cycles, dice.below(400));
        historian.kill();
        seen.extend(cycles.drain());
        happened.extend(events.drain());
    }
    let mut historian = place.historian();
    wait_for_more(&counters, Counter::Cycles, 100);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    seen.extend(cycles.drain());
    happened.extend(events.drain());
    assert_eq!(historian.stop(Signal::TERM), 0);

    let kept = Kept::read(&place.path("history"));
    kept.assert_decisions_and_rewards(&seen);
    kept.assert_observations(&seen);
    kept.assert_zones(&seen);
    kept.assert_events(&happened);
    assert_eq!(Reader::open(&place.path("history")).unwrap().gaps(0, u64::MAX).unwrap(), []);
}

#[test]
fn a_site_file_says_where_its_agent_is_kept_and_which_of_its_values() {
    let place = Place::new();
    let plant = place.plant();
    let kept = [
        ("    - name: level\n", "    - name: level\n      kept: every\n"),
        ("lab: true\n", "lab: true\nlearner: {history: archive}\n"),
    ];
    let site = place.site(plant.url(), &kept);
    let mut runtime = place.company(&site, &["--arm"]);
    let (counters, mut cycles) = (runtime.counters(), runtime.cycles());
    let mut command = place.command("corerl-historian");
    command.arg("--config").arg(site.path()).arg("--runtime-dir").arg(place.path("run")).arg("--tether");
    let mut historian = Process::start(command);
    wait_for_more(&counters, Counter::Cycles, 300);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    let seen = cycles.drain();
    assert_eq!(historian.stop(Signal::TERM), 0);

    let kept = Kept::read(&place.path("archive"));
    kept.assert_decisions_and_rewards(&seen);
    let observed = seen.iter().filter(|record| record.head.has(CycleHead::OBSERVATION_SLOT));
    let numbers: Vec<_> = observed.map(|record| record.head.cycle).collect();
    // The historian reads from the first record on, the test from when it came.
    let kept = kept.track(TrackKind::Tag, "level").iter().map(|point| point.cycle);
    assert_eq!(kept.skip_while(|cycle| *cycle < numbers[0]).collect::<Vec<_>>(), numbers);
}

#[test]
fn what_grew_older_than_it_may_is_kept_as_stale_until_the_plant_is_back() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[("stale_after: 20s", "stale_after: 300ms")]);
    let mut runtime = place.company(&site, &["--arm"]);
    let (counters, mut cycles) = (runtime.counters(), runtime.cycles());
    let mut historian = place.historian();
    wait_for_more(&counters, Counter::Cycles, 100);
    plant.process.signal(Signal::STOP);
    wait_for_more(&counters, Counter::Cycles, 200);
    plant.process.signal(Signal::CONT);
    wait_for_more(&counters, Counter::Cycles, 200);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    let seen = cycles.drain();
    assert_eq!(historian.stop(Signal::TERM), 0);

    let kept = Kept::read(&place.path("history"));
    kept.assert_observations(&seen);
    let states: Vec<_> = kept.track(TrackKind::Tag, "level").iter().map(|point| point.state).collect();
    let stale = states.iter().position(|state| *state == TrackKind::STALE).expect("it was stale");
    assert!(states[..stale].contains(&0) && states[stale..].contains(&0), "good before and behind it: {states:?}");
}

#[test]
fn a_historian_that_cannot_write_loses_nothing_that_the_rings_still_hold() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.company(&site, &["--arm"]);
    let (counters, mut cycles, mut events) = (runtime.counters(), runtime.cycles(), runtime.events());
    // No file may be longer than 64 KiB: a disk that is full, as far as the historian can tell.
    let mut full = Command::new("sh");
    full.args(["-c", "trap '' XFSZ; ulimit -S -f 512; exec \"$0\" \"$@\""]).arg(tests::program("corerl-historian"));
    let mut historian = place.historian_by(full);
    historian.wait_until_it_says("nothing is kept at present");
    wait_for_more(&counters, Counter::Cycles, 200);
    assert_eq!((runtime.status().mode.as_str(), counters.get(Counter::AllocationsInCycle)), ("run", 0));
    lift_the_limit_of(historian.pid());
    historian.wait_until_it_says("is kept again");
    wait_for_more(&counters, Counter::Cycles, 100);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    let (seen, happened) = (cycles.drain(), events.drain());
    assert_eq!(historian.stop(Signal::TERM), 0);
    let kept = Kept::read(&place.path("history"));
    kept.assert_decisions_and_rewards(&seen);
    kept.assert_observations(&seen);
    kept.assert_events(&happened);
}

#[test]
fn what_is_overwritten_while_no_historian_runs_is_a_gap_that_says_from_where_to_where() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[("  period: 5ms", "  period: 5ms\n  record_span: 2s")]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    let (counters, mut cycles) = (runtime.counters(), runtime.cycles());
    let mut seen = Vec::new();
    let mut follow = |cycles_more: u64| {
        for _ in 0..cycles_more / 100 {
            wait_for_more(&counters, Counter::Cycles, 100);
            seen.extend(cycles.drain());
        }
    };
    let mut historian = place.historian();
    follow(400);
    historian.kill();
    follow(1000);
    let mut historian = place.historian();
    follow(400);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    seen.extend(cycles.drain());
    assert_eq!(historian.stop(Signal::TERM), 0);

    let gaps = Reader::open(&place.path("history")).unwrap().gaps(0, u64::MAX).unwrap();
    let [(_, _, gap)] = gaps.as_slice() else { panic!("{gaps:?}") };
    let (after, before) = (gap.after_cycle.unwrap(), gap.before_cycle.unwrap());
    let is_missing = |record: &&CycleRecord| (after + 1..before).contains(&record.head.cycle);
    let missing = seen.iter().filter(is_missing).count();
    assert!(missing > 500 && gap.count == missing as u64, "{gap:?}, {missing}");
    let rest: Vec<_> = seen.iter().filter(|record| !is_missing(record)).cloned().collect();
    let kept = Kept::read(&place.path("history"));
    kept.assert_decisions_and_rewards(&rest);
    kept.assert_observations(&rest);
}

/// Files of this process may be as long as they like again.
fn lift_the_limit_of(process: u32) {
    let process = Pid::from_raw(i32::try_from(process).unwrap());
    let unlimited = Rlimit { current: None, maximum: None };
    prlimit(process, Resource::Fsize, unlimited).unwrap();
}

/// All that an archive has of the one run in it.
struct Kept {
    tracks: BTreeMap<(TrackKind, String), Vec<Point>>,
    events: Vec<archive::Event>,
}

impl Kept {
    fn read(history: &Path) -> Self {
        let reader = Reader::open(history).unwrap();
        let points = |track: &TrackInfo| reader.points(track.run, track.id, 0..=i64::MAX as u64).unwrap();
        let tracks = reader.tracks(None).unwrap();
        let tracks = tracks.iter().map(|track| ((track.name.kind, track.name.name.clone()), points(track)));
        let events = reader.events(0, i64::MAX as u64).unwrap();
        Self { tracks: tracks.collect(), events: events.into_iter().map(|(_, event)| event).collect() }
    }

    fn track(&self, kind: TrackKind, name: &str) -> &[Point] {
        &self.tracks[&(kind, name.to_owned())]
    }

    /// What a track says of these cycles, if it has every one of them exactly once and in order.
    fn of_cycles(&self, kind: TrackKind, name: &str, cycles: &[u64]) -> Vec<f64> {
        let points: Vec<_> =
            self.track(kind, name).iter().filter(|point| cycles.binary_search(&point.cycle).is_ok()).collect();
        assert_eq!(points.iter().map(|point| point.cycle).collect::<Vec<_>>(), cycles, "{kind:?}");
        points.iter().map(|point| point.value).collect()
    }

    fn assert_decisions_and_rewards(&self, seen: &[CycleRecord]) {
        let decided: Vec<_> = seen.iter().filter(|record| record.head.has(CycleHead::DECISION_SLOT)).collect();
        assert!(decided.len() > 10, "{} decisions", decided.len());
        let numbers: Vec<_> = decided.iter().map(|record| record.head.cycle).collect();
        let raw = decided.iter().map(|record| record.setpoints[0].desired);
        assert_same(&self.of_cycles(TrackKind::Raw, "u", &numbers), raw);
        let sent = decided.iter().map(|record| record.setpoints[0].sent);
        assert_same(&self.of_cycles(TrackKind::Sent, "u", &numbers), sent);
        let rewarded: Vec<_> = seen.iter().filter(|record| !record.head.reward.is_nan()).collect();
        let numbers: Vec<_> = rewarded.iter().map(|record| record.head.cycle).collect();
        assert_same(
            &self.of_cycles(TrackKind::Reward, "reward", &numbers),
            rewarded.iter().map(|record| record.head.reward),
        );
    }

    /// Whoever holds the last value that was kept has what the pipeline observed, to the bit.
    fn assert_observations(&self, seen: &[CycleRecord]) {
        for (tag, name) in ["u", "level"].into_iter().enumerate() {
            let points = self.track(TrackKind::Tag, name);
            assert!(points.is_sorted_by(|a, b| a.cycle < b.cycle), "a cycle is there twice, or out of its order");
            for record in seen.iter().filter(|record| record.head.has(CycleHead::OBSERVATION_SLOT)) {
                let after = points.partition_point(|point| point.cycle <= record.head.cycle);
                let point = after.checked_sub(1).map(|at| points[at]);
                let observed = &record.tags[tag];
                if let Some(kept) = point.filter(|point| point.cycle == record.head.cycle) {
                    // Of what was written to it the plant says no time.
                    assert!(kept.source_us > 0 || name == "u", "{name} in {:?}", record.head);
                    assert_eq!(kept.source(), observed.source_unix_ns().map(|ns| ns / 1_000));
                }
                let held = point.map(|point| (point.value.to_bits(), point.state));
                let state = if observed.stale == 0 { observed.quality.into() } else { TrackKind::STALE };
                let observed = (observed.value.to_bits(), state);
                assert_eq!(held, Some(observed), "{name} in {:?}", record.head);
            }
        }
    }

    /// Whoever holds the last depth that was kept knows which zone decided a reward.
    fn assert_zones(&self, seen: &[CycleRecord]) {
        let points = self.track(TrackKind::Zone, "level");
        let mut zones = BTreeMap::new();
        for CycleRecord { head, .. } in seen.iter().filter(|record| !record.head.reward.is_nan()) {
            let after = points.partition_point(|point| point.cycle <= head.cycle);
            let held = after.checked_sub(1).map(|at| (points[at].value, points[at].state));
            assert_eq!(held, Some((head.zone_depth, head.zone.into())), "{head:?}");
            *zones.entry(head.zone).or_insert(0) += 1;
        }
        assert!(zones.keys().any(|zone| *zone != 0), "the level was in no zone: {zones:?}");
        assert!(points.len() < seen.len() / 2, "kept by exception: {} of {}", points.len(), seen.len());
    }

    fn assert_events(&self, happened: &[EventRecord]) {
        let kept: Vec<_> = self.events.iter().map(|event| (event.number, event.cycle, event.kind.as_str())).collect();
        let number = |place: usize| u64::try_from(place).unwrap();
        let kind = |event: &EventRecord| event.kind().expect("an event of this version").name();
        let told: Vec<_> =
            happened.iter().enumerate().map(|(at, event)| (number(at), event.cycle, kind(event))).collect();
        let mut by_number = kept.clone();
        by_number.sort_unstable();
        assert_eq!(by_number, told);
    }
}

fn assert_same(kept: &[f64], seen: impl Iterator<Item = f64>) {
    let bits = |value: f64| value.to_bits();
    assert_eq!(kept.iter().copied().map(bits).collect::<Vec<_>>(), seen.map(bits).collect::<Vec<_>>());
}
