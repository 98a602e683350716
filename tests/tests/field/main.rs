//! What cables, networks and servers do to the connection, by a proxy between runtime and plant: cycles go on, the plant is never
//! bumped, and RUN comes back by itself.

mod alarms;
mod recovery;
mod subscription;

use std::num::NonZeroU32;
use std::time::Duration;

use rt_core::mode::{Cause, Mode};
use rt_core::ports::Clock as _;
use rt_sys::MonotonicClock;
use rustix::process::Signal;
use shm::counters;
use shm_layout::{Counter, CycleHead, EventKind, EventRecord};
use tests::simulation::Dice;
use tests::{
    CycleRecord, Cycles, Events, Place, Plant, Proxy, Runtime, assert_accounted, assert_on_grid, soak, wait_for,
};

/// Of the rig's site: control period, the setpoint's range and rate.
const PERIOD_NS: u64 = 5_000_000;
const RANGE: (f64, f64) = (0.0, 0.5);
const RATE_PER_S: f64 = 0.2;
/// A link that is dead is to be noticed within this time; tests assert ten times as much.
const NOTICE_GOAL_NS: u64 = 2_000_000_000;
/// Readings that are this old are stale, where a test says so.
const FRESH_NS: u64 = 500_000_000;
const SOON_STALE: (&str, &str) = ("stale_after: 20s", "stale_after: 500ms");
const PAIRED: (&str, &str) = ("call_timeout: 5s", "call_timeout: 5s\n      pairing: paired");
const IMPATIENT: (&str, &str) = ("call_timeout: 5s", "call_timeout: 200ms");

/// A plant, a runtime, the cable between them, and everything that the runtime recorded.
struct Field {
    place: Place,
    plant: Plant,
    proxy: Proxy,
    runtime: Runtime,
    counters: counters::Reader<Counter>,
    cycles: Cycles,
    events: Events,
    records: Vec<CycleRecord>,
    /// So many of them are judged, and what the last one handed over: unknown before the first one that was seen.
    judged: (usize, Option<f64>),
    seen: Vec<EventRecord>,
}

impl Field {
    /// In RUN, and writing.
    fn at_work(changes: &[(&str, &str)]) -> Self {
        let mut field = Self::behind(|_| (), changes);
        field.wait_for_writing();
        field
    }

    /// Just started, behind a cable that something is wrong with.
    fn behind(wrong: impl FnOnce(&Proxy), changes: &[(&str, &str)]) -> Self {
        Self::with_plant(&[], wrong, changes)
    }

    /// The same with a plant that has these options.
    fn with_plant(options: &[&str], wrong: impl FnOnce(&Proxy), changes: &[(&str, &str)]) -> Self {
        let place = Place::new();
        let plant = place.plant_with(options);
        let proxy = Proxy::before(plant.port());
        wrong(&proxy);
        let site = place.site(&proxy.url(), changes);
        let runtime = place.runtime(&site, &["--arm"]);
        let (counters, cycles, events) = (runtime.counters(), runtime.cycles(), runtime.events());
        Self {
            place,
            plant,
            proxy,
            runtime,
            counters,
            cycles,
            events,
            records: Vec::new(),
            judged: (0, None),
            seen: Vec::new(),
        }
    }

    /// Waits for a fact, and keeps what is recorded meanwhile.
    fn until(&mut self, what: &str, fact: impl Fn(&Self) -> bool) {
        wait_for(what, || {
            self.records.extend(self.cycles.drain());
            self.seen.extend(self.events.drain());
            fact(self).then_some(())
        });
    }

    fn until_more(&mut self, counter: Counter, more: u64) {
        let at_least = self.counters.get(counter) + more;
        self.until(counter.name(), |field| field.counters.get(counter) >= at_least);
    }

    /// Lets time pass that belongs to the fault.
    fn pass(&mut self, time: Duration) {
        let until_ns = now_ns() + u64::try_from(time.as_nanos()).expect("a short time");
        self.until("the time to pass", |_| now_ns() >= until_ns);
    }

    fn wait_for_writing(&mut self) {
        self.until("RUN", |field| field.counters.get(Counter::Mode) == Mode::Run as u64);
        self.until_more(Counter::SetpointsWritten, 1);
        self.until("RUN", |field| field.counters.get(Counter::Mode) == Mode::Run as u64);
    }

    /// Waits for an event that comes after this instant, and for which `is_it` holds; how long after.
    fn until_event(&mut self, what: &str, since_ns: u64, is_it: impl Fn(&EventRecord) -> bool) -> u64 {
        let is_it = |event: &&EventRecord| event.time_ns >= since_ns && is_it(event);
        self.until(what, |field| field.seen.iter().any(|event| is_it(&event)));
        self.seen.iter().find(is_it).map(|event| event.time_ns - since_ns).expect("it was waited for")
    }

    fn until_mode(&mut self, mode: Mode, since_ns: u64) -> u64 {
        self.until_event(mode.name(), since_ns, |event| is_change_to(event, mode))
    }

    /// The modes that were entered since this instant.
    fn modes_since(&self, since_ns: u64) -> Vec<(Mode, u32)> {
        let changes = self.seen.iter().filter(|event| event.time_ns >= since_ns);
        let changes = changes.filter(|event| event.kind() == Some(EventKind::ModeChange));
        changes.filter_map(|event| Some((Mode::from_number(u8::try_from(event.b).ok()?)?, event.cause))).collect()
    }

    /// Judges what was recorded so far, and forgets it.
    fn judge(&mut self) {
        self.records.extend(self.cycles.drain());
        assert_on_grid(&self.records, PERIOD_NS);
        let (count, before) = self.judged;
        let before = assert_invariants(&self.records[count..], before);
        // The next one is on the same grid.
        self.records.drain(..self.records.len().saturating_sub(1));
        self.judged = (self.records.len(), before);
        self.seen.clear();
    }

    /// Ends everything, and judges all that was recorded.
    fn end(mut self) {
        self.wait_for_writing();
        assert_eq!(self.runtime.process.stop(Signal::TERM), 0, "{}", self.runtime.process.said());
        assert_accounted(&self.counters);
        self.judge();
        let none = [Counter::AllocationsInCycle, Counter::Trips, Counter::SetpointsRejected];
        assert_eq!(none.map(|counter| self.counters.get(counter)), [0; 3]);
        drop((self.plant, self.proxy));
        assert_eq!(self.place.left_behind(), Vec::<String>::new());
    }
}

fn is_change_to(event: &EventRecord, mode: Mode) -> bool {
    event.kind() == Some(EventKind::ModeChange) && event.b == mode as u64
}

fn now_ns() -> u64 {
    MonotonicClock::new().now().as_ns()
}

fn is_in(record: &CycleRecord, mode: Mode) -> bool {
    record.head.mode == mode as u8
}

/// I1 to I3 of every value that was handed over, and where each one starts from: what was handed over in the cycle before, or
/// what was read back. What was handed over in the last one.
fn assert_invariants(records: &[CycleRecord], mut before: Option<f64>) -> Option<f64> {
    for record in records {
        let of = &record.setpoints[0];
        if is_in(record, Mode::Run) {
            let is_usable = |tag: &shm_layout::TagPart| tag.value.is_finite();
            assert!(record.tags.iter().all(is_usable) && record.head.has(CycleHead::CONNECTED), "{record:?}");
        }
        if !of.sent.is_nan() {
            let dt_ns = record.head.dt_ns.min(PERIOD_NS);
            assert!((RANGE.0..=RANGE.1).contains(&of.sent), "{record:?}");
            assert!((of.sent - of.last).abs() <= RATE_PER_S * dt_ns as f64 * 1e-9 + 1e-12, "{record:?}");
            let from = before.is_none_or(|before| before.to_bits() == of.last.to_bits());
            assert!(from || of.readback.to_bits() == of.last.to_bits(), "{before:?}: {record:?}");
        }
        before = Some(of.sent);
    }
    before
}

/// Without a connection nothing is handed over, and the first value after it starts from what was read back since.
fn assert_begins_with_what_is_read_back(records: &[CycleRecord]) {
    let mut down_ns = None;
    for record in records {
        let (of, tag) = (&record.setpoints[0], &record.tags[0]);
        if !record.head.has(CycleHead::CONNECTED) {
            assert!(of.sent.is_nan(), "{record:?}");
            down_ns = Some(record.head.release_ns);
        } else if let (Some(since_ns), false) = (down_ns, of.sent.is_nan()) {
            assert_eq!(of.last.to_bits(), of.readback.to_bits(), "{record:?}");
            assert!(tag.age_ns < record.head.release_ns + u64::from(record.head.lateness_ns) - since_ns, "{record:?}");
            down_ns = None;
        }
    }
}

#[test]
fn f34_a_server_that_is_killed_and_comes_back_is_held_found_again_and_run_when_every_tag_is_fresh() {
    let mut field = Field::at_work(&[SOON_STALE]);
    let outages = [200, 2_000, 10_000].map(Duration::from_millis);
    for outage in outages {
        let port = field.plant.port();
        let killed_ns = now_ns();
        field.plant.process.kill();
        let held_ns = field.until_mode(Mode::Hold, killed_ns);
        field.pass(outage);
        let back_ns = now_ns();
        field.plant = field.place.plant_on(port);
        let run_ns = field.until_mode(Mode::Run, back_ns);
        println!("{outage:?}: HOLD after {held_ns} ns, RUN {run_ns} ns after the server was started");
        assert!(held_ns <= 10 * NOTICE_GOAL_NS);
    }
    let fresh = |record: &CycleRecord| record.tags.iter().all(|tag| tag.age_ns <= FRESH_NS && tag.quality == 0);
    assert!(field.records.iter().filter(|record| is_in(record, Mode::Run)).all(fresh));
    assert_begins_with_what_is_read_back(&field.records);
    assert_eq!(field.counters.get(Counter::Reconnects), outages.len() as u64);
    field.end();
}

#[test]
fn f35_a_cable_that_is_pulled_is_noticed_although_nobody_says_so_and_nothing_waits_for_it() {
    let mut field = Field::at_work(&[SOON_STALE]);
    for _ in 0..2 {
        let pulled_ns = now_ns();
        field.proxy.lose(100);
        let held_ns = field.until_mode(Mode::Hold, pulled_ns);
        let down = |event: &EventRecord| event.kind() == Some(EventKind::ConnectionDown);
        let down_ns = field.until_event("the loss", pulled_ns, down);
        field.proxy.lose(0);
        let plugged_ns = now_ns();
        let run_ns = field.until_mode(Mode::Run, plugged_ns);
        println!(
            "HOLD after {held_ns} ns, connection down after {down_ns} ns, RUN {run_ns} ns after it was plugged in"
        );
        assert!(held_ns <= 10 * NOTICE_GOAL_NS && down_ns <= 10 * NOTICE_GOAL_NS);
    }
    assert_begins_with_what_is_read_back(&field.records);
    field.end();
}

#[test]
fn f35_a_peer_that_acknowledges_and_never_answers_is_held_by_what_it_does_not_answer() {
    let mut field = Field::at_work(&[SOON_STALE, IMPATIENT]);
    let silent_ns = now_ns();
    field.proxy.swallow(true);
    let held_ns = field.until_mode(Mode::Hold, silent_ns);
    field.until_mode(Mode::Fallback, silent_ns);
    field.until_more(Counter::IoTimeouts, 2);
    field.proxy.swallow(false);
    let heard_ns = now_ns();
    let run_ns = field.until_mode(Mode::Run, heard_ns);
    println!("HOLD after {held_ns} ns, RUN {run_ns} ns after it answers again");
    assert!(held_ns <= 10 * NOTICE_GOAL_NS);
    // Whichever is missed first: an answer to a write, or new values.
    let causes = [Cause::RequiredTagStale as u32, Cause::ReadBackLost as u32];
    assert!(causes.contains(&field.modes_since(silent_ns)[0].1));
    field.end();
}

#[test]
fn f35_a_connection_that_was_forgotten_is_left_for_a_new_one_as_soon_as_that_answers() {
    let mut field = Field::at_work(&[SOON_STALE, IMPATIENT]);
    for _ in 0..2 {
        let forgotten_ns = now_ns();
        field.proxy.forget();
        let down = |event: &EventRecord| event.kind() == Some(EventKind::ConnectionDown);
        let down_ns = field.until_event("the loss", forgotten_ns, down);
        let run_ns = field.until_mode(Mode::Run, forgotten_ns + down_ns);
        println!("connection down after {down_ns} ns, RUN {run_ns} ns later");
        assert!(down_ns <= 10 * NOTICE_GOAL_NS);
    }
    assert_begins_with_what_is_read_back(&field.records);
    field.end();
}

#[test]
fn f36_a_write_that_was_out_when_the_connection_was_reset_is_unknown_and_read_back_before_it_is_repeated() {
    let mut field = Field::at_work(&[PAIRED]);
    for _ in 0..soak::count(4) {
        // Requests are out nearly all the time, each with a write while the setpoint moves.
        field.proxy.delay(Duration::from_millis(50));
        field.until_more(Counter::IoCycles, 3);
        let (unknown, reset_ns) = (field.counters.get(Counter::WritesUnknown), now_ns());
        field.proxy.reset();
        field.proxy.delay(Duration::ZERO);
        field.until_event("the loss", reset_ns, |event| event.kind() == Some(EventKind::ConnectionDown));
        field.until_mode(Mode::Run, reset_ns);
        field.wait_for_writing();
        println!("{} writes unknown", field.counters.get(Counter::WritesUnknown) - unknown);
    }
    assert!(field.counters.get(Counter::WritesUnknown) > 0, "no write was out at any reset");
    assert_begins_with_what_is_read_back(&field.records);
    field.end();
}

#[test]
fn f37_a_slow_server_slows_no_cycle_down_and_the_age_of_its_tags_decides() {
    let mut field = Field::at_work(&[("stale_after: 20s", "stale_after: 2s")]);
    let slow_ns = now_ns();
    field.proxy.delay(Duration::from_millis(100));
    // More than one of these can have been under way.
    field.until_more(Counter::Heartbeats, 5);
    assert_eq!(field.modes_since(slow_ns), [], "what is late and fresh enough is used");
    field.proxy.delay(Duration::from_secs(3));
    let held_ns = field.until_mode(Mode::Hold, slow_ns);
    field.until_mode(Mode::Fallback, slow_ns);
    let cycles = field.counters.get(Counter::Cycles);
    field.until_more(Counter::IoTimeouts, 1);
    assert!(field.counters.get(Counter::Cycles) > cycles);
    field.proxy.delay(Duration::ZERO);
    let quick_ns = now_ns();
    let run_ns = field.until_mode(Mode::Run, quick_ns);
    println!("HOLD after {held_ns} ns, RUN {run_ns} ns after it was quick again");
    field.end();
}

/// Loss that TCP makes up for.
const LOSS_PERCENT: u32 = 5;

#[test]
fn f38_packets_that_are_lost_now_and_then_trip_nothing() {
    let mut field = Field::at_work(&[("stale_after: 20s", "stale_after: 5s")]);
    let lossy_ns = now_ns();
    field.proxy.lose(LOSS_PERCENT);
    field.until_more(Counter::IoCycles, soak::count(200));
    field.proxy.lose(0);
    println!("at {LOSS_PERCENT} %: {:?}", field.modes_since(lossy_ns));
    let fallen = field.modes_since(lossy_ns).iter().any(|(mode, _)| *mode == Mode::Fallback);
    assert!(!fallen, "{:?}", field.modes_since(lossy_ns));
    field.end();
}

#[test]
fn f39_of_what_a_narrow_line_does_not_take_the_newest_is_sent_and_the_rest_is_dropped_and_counted() {
    let mut field = Field::at_work(&[SOON_STALE]);
    let before = field.counters.get(Counter::SetpointsSuperseded);
    let narrow_ns = now_ns();
    field.proxy.slow(NonZeroU32::new(200));
    let held_ns = field.until_mode(Mode::Hold, narrow_ns);
    field.until_more(Counter::IoCycles, 4);
    field.proxy.slow(None);
    let wide_ns = now_ns();
    let run_ns = field.until_mode(Mode::Run, wide_ns);
    field.wait_for_writing();
    let dropped = [Counter::SetpointsSuperseded, Counter::SetpointsLost, Counter::SetpointsExpired];
    let dropped = dropped.map(|counter| field.counters.get(counter));
    println!("HOLD after {held_ns} ns, RUN {run_ns} ns after; superseded, lost, expired {dropped:?}");
    assert!(dropped[0] > before, "nothing was dropped");
    field.end();
}

#[test]
fn f40_a_server_that_accepts_and_never_says_hello_is_given_up_and_tried_anew_until_it_does() {
    let mut field = Field::behind(|proxy| proxy.swallow(true), &[]);
    // Each attempt gives up after five seconds, and the next one is a new connection.
    field.until("more attempts", |field| field.proxy.connections() >= 3);
    field.runtime.process.wait_until_it_says("cannot connect");
    assert_eq!(field.modes_since(0), []);
    assert_eq!(field.counters.get(Counter::Connected), 0);
    let cycles = field.counters.get(Counter::Cycles);
    field.until("cycles", |field| field.counters.get(Counter::Cycles) > cycles + 100);
    field.proxy.swallow(false);
    let heard_ns = now_ns();
    let run_ns = field.until_mode(Mode::Run, heard_ns);
    println!("RUN {run_ns} ns after it answers");
    field.end();
}

#[test]
fn f41_a_session_goes_on_over_a_new_connection_and_is_made_anew_where_the_server_has_lost_it() {
    let mut field = Field::at_work(&[]);
    let returned = |event: &EventRecord| event.kind() == Some(EventKind::ConnectionUp) && !event.text().is_empty();
    for kept in [1, 1, 0, 1] {
        let lost_ns = now_ns();
        if kept == 1 {
            field.proxy.reset();
        } else {
            let port = field.plant.port();
            field.plant.process.kill();
            field.plant = field.place.plant_on(port);
        }
        let up_ns = field.until_event("the connection", lost_ns, returned);
        let up = field.seen.iter().find(|event| event.time_ns == lost_ns + up_ns).expect("it was waited for");
        assert_eq!((up.b, up.text().contains("the session goes on")), (kept, kept == 1), "{}", up.text());
        field.until_mode(Mode::Run, lost_ns);
    }
    assert_begins_with_what_is_read_back(&field.records);
    field.end();
}

#[test]
fn an_answer_that_is_lost_costs_its_call_and_at_most_the_session() {
    let mut field = Field::at_work(&[IMPATIENT]);
    for _ in 0..soak::count(4) {
        let cut_ns = now_ns();
        field.proxy.cut_response();
        field.until_more(Counter::IoTimeouts, 1);
        field.wait_for_writing();
        println!("{:?}, {} reconnects", field.modes_since(cut_ns), field.counters.get(Counter::Reconnects));
    }
    assert_begins_with_what_is_read_back(&field.records);
    field.end();
}

/// Type, size, channel, token, sequence number and request id of a message in clear: what is behind them, nothing protects.
const HEADER_BYTES: u64 = 24;

#[test]
fn f58_an_answer_with_a_flipped_bit_in_its_header_ends_the_connection_and_another_one_is_made() {
    let mut field = Field::at_work(&[IMPATIENT]);
    let mut dice = Dice::new(soak::seed(), "flipped bits");
    for _ in 0..soak::count(8) {
        let (byte, bit) = (dice.below(HEADER_BYTES) as usize, dice.below(8) as u8);
        let reconnects = field.counters.get(Counter::Reconnects);
        println!("byte {byte}, bit {bit}");
        field.proxy.flip_bit(byte, bit);
        field.until("another connection", |field| field.counters.get(Counter::Reconnects) > reconnects);
        field.wait_for_writing();
    }
    assert_begins_with_what_is_read_back(&field.records);
    field.end();
}

/// What a cable or a server does all by itself.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Reset,
    Forgotten,
    Swallowed,
    Delayed,
    Narrow,
    Pulled,
    Lossy,
    AnswerCut,
    BitFlipped,
    Restarted,
}

const TROUBLES: [Trouble; 10] = [
    Trouble::Reset,
    Trouble::Forgotten,
    Trouble::Swallowed,
    Trouble::Delayed,
    Trouble::Narrow,
    Trouble::Pulled,
    Trouble::Lossy,
    Trouble::AnswerCut,
    Trouble::BitFlipped,
    Trouble::Restarted,
];
/// From the begin of one trouble to that of the next, if it is over by then.
const TROUBLE_EVERY: Duration = Duration::from_secs(5);
/// How long one lasts at most.
const TROUBLE_MS_MAX: u64 = 3_000;
/// What a runtime may hold more after many troubles than after the first ones.
const GROWTH_KB_MAX: u64 = 2_048;
/// Open files of somebody who is just being answered.
const FILES_MORE_MAX: usize = 4;

impl Field {
    /// Lets it happen, and repairs it.
    fn suffer(&mut self, trouble: Trouble, dice: &mut Dice) {
        let lasts = Duration::from_millis(dice.below(TROUBLE_MS_MAX));
        match trouble {
            Trouble::Reset => self.proxy.reset(),
            Trouble::Forgotten => self.proxy.forget(),
            Trouble::Swallowed => self.proxy.swallow(true),
            Trouble::Delayed => self.proxy.delay(Duration::from_millis(1 + dice.below(1_000))),
            Trouble::Narrow => self.proxy.slow(NonZeroU32::new(200)),
            Trouble::Pulled => self.proxy.lose(100),
            Trouble::Lossy => self.proxy.lose(30),
            Trouble::AnswerCut => self.proxy.cut_response(),
            Trouble::BitFlipped => self.proxy.flip_bit(dice.below(HEADER_BYTES) as usize, dice.below(8) as u8),
            Trouble::Restarted => self.plant.process.kill(),
        }
        self.pass(lasts);
        self.proxy.swallow(false);
        self.proxy.delay(Duration::ZERO);
        self.proxy.slow(None);
        self.proxy.lose(0);
        if matches!(trouble, Trouble::Restarted) {
            self.plant = self.place.plant_on(self.plant.port());
        }
    }

    /// Memory of the runtime's process, kB, and its open files.
    fn holdings(&self) -> (u64, usize) {
        let process = format!("/proc/{}", self.runtime.process.pid());
        let status = std::fs::read_to_string(format!("{process}/status")).expect("it runs");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB"));
        let files = std::fs::read_dir(format!("{process}/fd")).expect("it runs").count();
        (resident.and_then(|kb| kb.trim().parse().ok()).expect("a size"), files)
    }
}

#[test]
fn one_trouble_after_another_breaks_no_invariant_and_leaves_nothing_behind() {
    // An outage is held; returns from FALLBACK would be used up.
    let mut field = Field::at_work(&[SOON_STALE, IMPATIENT, recovery::TOLD_AND_READ, ("t_hold: 300ms", "t_hold: 60s")]);
    let mut dice = Dice::new(soak::seed(), "troubles");
    let (mut before, mut took_ns) = (None, Vec::new());
    for number in 1..=soak::count(8) {
        let (trouble, begun) = (dice.pick(&TROUBLES), now_ns());
        println!("{number}: {trouble:?}, {:?} kB and open files", field.holdings());
        field.suffer(trouble, &mut dice);
        let repaired_ns = now_ns();
        field.wait_for_writing();
        took_ns.push(now_ns() - repaired_ns);
        println!("    writes {} ms after it was repaired", took_ns.last().expect("one") / 1_000_000);
        field.judge();
        if number >= 3 {
            let (resident_kb, files) = field.holdings();
            let (first_kb, first_files) = *before.get_or_insert((resident_kb, files));
            assert!(resident_kb <= first_kb + GROWTH_KB_MAX, "{resident_kb} kB, and {first_kb} kB at first");
            assert!(files <= first_files + FILES_MORE_MAX, "{files} open files, and {first_files} at first");
        }
        if std::env::var_os("CORERL_SOAK_COUNT").is_some() {
            field.pass(TROUBLE_EVERY.saturating_sub(Duration::from_nanos(now_ns() - begun)));
        }
    }
    soak::tell_durations("setpoints written after a trouble was repaired", took_ns);
    field.end();
}
