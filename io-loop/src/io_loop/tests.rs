//! The loop over a simulated plant and a clock that the test moves.

use std::cell::Cell;

use rt_core::setpoint::ScalarKind;
use shm::spsc::{Consumer, channel};

use super::*;
use crate::Simulated;
use crate::news::news;
use crate::sets::{SetSender, sets};

const PERIOD: Span = Span::from_ms(10);
const REFRESH: Span = Span::from_ms(1_000);
const CLAIM_TERM: Span = Span::from_ms(1_000);
/// BadOutOfRange.
const REFUSAL: u32 = 0x803C_0000;

#[derive(Default)]
struct TestClock(Cell<u64>);

impl Clock for TestClock {
    fn now(&self) -> MonoTime {
        MonoTime::from_ns(self.0.get())
    }
}

type Plant = fn(&[f64], &mut [f64]);

/// A loop with one input, which shows the one setpoint, and perhaps a heartbeat.
struct Rig {
    io: IoLoop<Simulated<Plant>>,
    clock: TestClock,
    reports: Consumer<FieldReport>,
    sets: SetSender,
    news: crossbeam::channel::Receiver<News>,
}

impl Rig {
    fn new(paired: bool) -> Self {
        Self::with_lease(paired, Lease::unshared())
    }

    fn with_lease(paired: bool, lease: Lease) -> Self {
        Self::with(paired, lease, None)
    }

    /// With a tag for the claim, which shows what was written into it.
    fn with_claim(paired: bool) -> Self {
        Self::with(paired, Lease::unshared(), Some(CLAIM_TERM))
    }

    fn with(paired: bool, lease: Lease, claim_term: Option<Span>) -> Self {
        let (producer, reports) = channel(64);
        let (sets, newest) = sets();
        let (teller, news) = news();
        let plant: Plant = |outputs, inputs| {
            inputs[0] = outputs[0];
            inputs.iter_mut().skip(1).for_each(|tag| *tag = outputs[2]);
        };
        let mut outputs = vec![(ScalarKind::Double, 0.0), (ScalarKind::UInt16, 0.0)];
        outputs.extend(claim_term.map(|_| (ScalarKind::UInt64, 0.0)));
        let bus = Simulated::new(outputs.len() - 1, &outputs, plant);
        let settings = Settings {
            inputs: vec![TagId::new(0).unwrap()],
            outputs: vec![(0, REFRESH)],
            heartbeat_every: Some(Span::from_ms(100)),
            alarms: vec![],
            claim_term,
            call_timeout: PERIOD,
            paired,
            seed: 1,
        };
        let io = IoLoop::new(bus, &settings, producer, newest, teller, Rights::new(lease, &settings));
        Self { io, clock: TestClock::default(), reports, sets, news }
    }

    /// One slot, a period after the last one; the values that were read in it.
    fn slot(&mut self) -> Vec<f64> {
        self.clock.0.set((self.clock.now() + PERIOD).as_ns());
        self.io.run_slot(&self.clock);
        let reports = std::iter::from_fn(|| self.reports.pop());
        let value = |report| match report {
            FieldReport::Sample(sample) => Some(sample.value),
            _ => None,
        };
        reports.filter_map(value).collect()
    }

    fn set(&mut self, value: f64, heartbeat: Option<u16>) {
        let mut set = SetpointSet {
            cycle: 1,
            expires: self.clock.now() + PERIOD + PERIOD,
            values: [None; SETPOINTS_MAX],
            heartbeat,
            alarms: None,
        };
        set.values[0] = Some(value);
        self.sets.send(&set);
    }

    fn written(&self) -> u64 {
        self.io.tally().setpoints_written
    }

    fn plant(&mut self) -> &mut Simulated<Plant> {
        self.io.bus_mut()
    }
}

#[test]
fn the_newest_set_alone_is_written_and_read_back_in_the_same_slot() {
    for paired in [false, true] {
        let mut rig = Rig::new(paired);
        for value in [1.0, 2.0, 3.0] {
            rig.set(value, None);
        }
        assert_eq!(rig.slot(), [3.0]);
        assert_eq!((rig.written(), rig.io.tally().sets_superseded), (1, 2), "paired: {paired}");
    }
}

#[test]
fn f39_of_the_sets_that_a_slow_plant_leaves_waiting_the_newest_is_sent_and_the_others_are_counted() {
    let mut rig = Rig::new(false);
    rig.slot();
    for burst in 0..20_u64 {
        for number in 0..=burst % 5 {
            rig.set((10 * burst + number) as f64, None);
        }
        assert_eq!(rig.slot(), [(10 * burst + burst % 5) as f64]);
    }
    // Bursts of one to five sets, each of another value.
    assert_eq!((rig.written(), rig.io.tally().sets_superseded), (20, 4 * (1 + 2 + 3 + 4)));
}

#[test]
fn f36_a_write_that_was_out_when_the_connection_was_lost_is_unknown_and_is_not_repeated_from_memory() {
    for paired in [false, true] {
        let mut rig = Rig::new(paired);
        rig.slot();
        rig.plant().faults.gone = true;
        rig.set(6.0, None);
        rig.slot();
        assert_eq!((rig.io.tally().writes_unknown, rig.written()), (1, 0), "paired: {paired}");
        rig.plant().faults.gone = false;
        let seen: Vec<f64> = (0..101).flat_map(|_| rig.slot()).collect();
        assert!(
            !seen.is_empty() && seen.iter().all(|value| *value == 0.0),
            "the next write is the control thread's to decide"
        );
        assert_eq!(rig.written(), 0);
    }
}

#[test]
fn an_unchanged_value_travels_again_only_after_its_refresh() {
    let mut rig = Rig::new(false);
    for _ in 0..250 {
        rig.set(1.0, None);
        rig.slot();
    }
    // At once, and after one and two seconds.
    assert_eq!(rig.written(), 3);
}

#[test]
fn an_expired_set_is_counted_and_never_sent() {
    let mut rig = Rig::new(false);
    rig.slot();
    rig.set(5.0, None);
    rig.clock.0.set((rig.clock.now() + PERIOD + PERIOD).as_ns());
    assert_eq!(rig.slot(), [0.0]);
    assert_eq!((rig.written(), rig.io.tally().sets_expired), (0, 1));
}

#[test]
fn nothing_is_sent_without_the_lease_and_what_was_decided_meanwhile_is_never_sent() {
    const TERM: Span = Span::from_ms(80);
    for paired in [false, true] {
        let lease = Lease::heap(TERM.as_ns());
        let mut rig = Rig::with_lease(paired, lease.clone());
        rig.set(1.0, Some(1));
        assert_eq!(rig.slot(), [0.0], "nobody has taken it");
        assert!(lease.take(1, rig.clock.now().as_ns()));
        assert_eq!(rig.slot(), [0.0], "what was decided before is gone");
        rig.set(2.0, Some(2));
        assert_eq!(rig.slot(), [2.0]);
        // The process is stopped, and nobody renews.
        rig.clock.0.set((rig.clock.now() + TERM).as_ns());
        rig.set(3.0, Some(3));
        assert_eq!(rig.slot(), [2.0]);
        assert!(lease.heir().succeed(rig.clock.now().as_ns()).is_some());
        rig.set(4.0, Some(4));
        assert_eq!(rig.slot(), [2.0]);
        assert_eq!(
            (rig.written(), rig.io.tally().heartbeats, rig.io.tally().sets_fenced),
            (1, 1, 3),
            "paired: {paired}"
        );
    }
}

#[test]
fn nothing_is_sent_until_the_plant_has_shown_our_name_for_a_quarter_of_the_term() {
    for paired in [false, true] {
        let mut rig = Rig::with_claim(paired);
        let mut slots = 0;
        while rig.written() == 0 {
            slots += 1;
            rig.set(f64::from(slots), Some(1));
            rig.slot();
        }
        // One to look, one to write the name, and one to see it after the quarter.
        assert!((27..=29).contains(&slots), "{slots} slots, paired: {paired}");
        assert_eq!(rig.io.tally().setpoints_written, 1);
        assert_eq!(rig.plant().outputs()[..2], [f64::from(slots), 1.0]);

        // Somebody else's name.
        rig.plant().force(2, 1e12 + 512.0);
        rig.slot();
        let before = (rig.written(), rig.io.tally().heartbeats);
        for _ in 0..50 {
            rig.set(0.5, Some(2));
            rig.slot();
        }
        assert_eq!((rig.written(), rig.io.tally().heartbeats), before, "paired: {paired}");
        assert_eq!(rig.plant().outputs()[2], 1e12 + 512.0, "as long as it may be alive");
    }
}

#[test]
fn a_tag_that_cannot_be_written_is_told_once_and_nothing_is_sent() {
    let mut rig = Rig::with_claim(false);
    rig.plant().faults.refuse = Some(REFUSAL);
    for _ in 0..300 {
        rig.set(1.0, None);
        rig.slot();
    }
    assert_eq!((rig.written(), rig.io.tally().setpoints_refused), (0, 0));
    let told: Vec<_> = rig.news.try_iter().skip(1).collect();
    assert_eq!(told, [News::ClaimRefused { status: REFUSAL }]);
}

#[test]
fn taking_leave_gives_the_claim_up() {
    let mut rig = Rig::with_claim(false);
    while rig.written() == 0 {
        rig.set(1.0, None);
        rig.slot();
    }
    let (shown, clock) = (rig.plant().outputs()[2], TestClock(Cell::new(rig.clock.now().as_ns())));
    rig.io.close(&clock);
    assert_eq!(rig.plant().outputs()[2], (shown / 512.0).floor() * 512.0 + 511.0);
    assert_eq!(rig.plant().outputs()[0], 1.0);
}

#[test]
fn f36_an_unknown_write_is_repeated_only_after_it_was_read_back() {
    for paired in [false, true] {
        let mut rig = Rig::new(paired);
        rig.slot();
        rig.plant().faults.write_unknown = true;
        rig.plant().faults.read_late = true;
        for _ in 0..3 {
            rig.set(4.0, None);
            assert_eq!(rig.slot(), []);
        }
        assert_eq!((rig.io.tally().writes_unknown, rig.written()), (1, 0), "paired: {paired}");
        rig.plant().faults = Default::default();
        rig.set(4.0, None);
        assert_eq!(rig.slot(), [4.0], "the write had been carried out");
        rig.set(4.0, None);
        rig.slot();
        assert_eq!(rig.written(), 1);
    }
}

#[test]
fn f48_a_refused_value_is_not_repeated_blindly_and_another_one_is_tried() {
    let mut rig = Rig::new(false);
    rig.slot();
    rig.plant().faults.refuse = Some(REFUSAL);
    for _ in 0..5 {
        rig.set(9.0, None);
        rig.slot();
    }
    assert_eq!(rig.io.tally().setpoints_refused, 1);
    rig.set(8.0, None);
    rig.slot();
    assert_eq!(rig.io.tally().setpoints_refused, 2);
    let refusals =
        |rig: &Rig| rig.news.try_iter().filter(|news| matches!(news, News::SetpointRefused { .. })).collect();
    let told: Vec<News> = refusals(&rig);
    assert_eq!(told, [News::SetpointRefused { setpoint: 0, value: 9.0, status: REFUSAL }], "the second is no news");
    rig.plant().faults.refuse = Some(REFUSAL + 1);
    rig.set(7.0, None);
    rig.slot();
    rig.plant().faults.refuse = None;
    rig.set(6.0, None);
    rig.slot();
    rig.plant().faults.refuse = Some(REFUSAL + 1);
    rig.set(5.0, None);
    rig.slot();
    let told: Vec<News> = refusals(&rig);
    let expected = [7.0, 5.0].map(|value| News::SetpointRefused { setpoint: 0, value, status: REFUSAL + 1 });
    assert_eq!(told, expected, "another reason, and a refusal after a value was taken");
}

#[test]
fn an_answered_call_is_measured_as_what_it_was_and_every_sample_and_failure_is_counted_by_its_kind() {
    let measured = |rig: &Rig| {
        let Calls { read, write, exchange } = rig.io.calls();
        [read, write, exchange].map(|took| took.is_some())
    };
    for paired in [false, true] {
        let mut rig = Rig::new(paired);
        rig.slot();
        assert_eq!(measured(&rig), [true, false, false]);
        rig.set(1.0, None);
        rig.slot();
        assert_eq!(measured(&rig), [!paired, !paired, paired], "paired: {paired}");
        let Tally { good, uncertain, bad, .. } = *rig.io.tally();
        assert_eq!((good, uncertain, bad), (2, 0, 0));

        rig.plant().faults.refuse = Some(REFUSAL);
        rig.set(2.0, None);
        rig.slot();
        assert_eq!(rig.io.tally().values_refused, 1);

        rig.plant().faults.gone = true;
        rig.set(3.0, None);
        rig.slot();
        assert_eq!(measured(&rig), [false; 3], "nobody answered");
        assert!(!rig.io.is_up());
        (0..101).for_each(|_| drop(rig.slot()));
        let Tally { losses, connect_failures, .. } = *rig.io.tally();
        assert!(losses == 1 && connect_failures >= 1, "{losses} losses, {connect_failures} failures");
    }
}

#[test]
fn a_read_in_which_everything_was_told_is_no_round_trip() {
    let (mut io, ..) = telling(Receipt::Asked, None);
    let clock = TestClock::default();
    for (receipt, is_measured) in [(Receipt::Asked, true), (Receipt::Nothing, false)] {
        io.bus_mut().reading.receipt = receipt;
        io.run_slot(&clock);
        assert_eq!(io.calls().read.is_some(), is_measured, "{receipt:?}");
    }
}

#[test]
fn a_beat_travels_when_its_time_has_come_and_the_count_has_advanced() {
    let mut rig = Rig::new(false);
    for count in 0..30 {
        rig.set(1.0, Some(count));
        rig.slot();
    }
    assert_eq!(rig.io.tally().heartbeats, 3);
    for _ in 0..30 {
        rig.set(1.0, Some(30));
        rig.slot();
    }
    assert_eq!(rig.io.tally().heartbeats, 4);
}

#[test]
fn f34_a_lost_connection_is_tried_for_ever_with_pauses_and_no_old_set_is_sent_after_it() {
    let mut rig = Rig::new(false);
    rig.slot();
    assert!(matches!(rig.news.try_recv(), Ok(News::Up { .. })));
    rig.plant().faults.gone = true;
    rig.set(6.0, None);
    rig.slot();
    assert!(matches!(rig.news.try_recv(), Ok(News::Down(_))));
    // Ten minutes in slots of 10 ms: attempts are 250 ms to 1 s apart.
    let mut attempts = 0;
    for _ in 0..60_000 {
        assert_eq!(rig.slot(), []);
        attempts += rig.news.try_iter().filter(|news| matches!(news, News::CannotConnect(_))).count();
    }
    assert!((600..=2_400).contains(&attempts), "{attempts}");
    rig.plant().faults.gone = false;
    let samples: Vec<f64> = (0..101).flat_map(|_| rig.slot()).collect();
    assert!(!samples.is_empty() && samples.iter().all(|value| *value == 0.0), "nothing old was written");
    assert_eq!((rig.written(), rig.io.tally().connects), (0, 2));
}

/// A bus that tells its one input by itself: what the test has put there.
struct Telling {
    reading: Reading,
    feed: Feed,
    /// Writes so far with a value in them.
    written: usize,
}

impl FieldBus for Telling {
    fn connect(&mut self, _deadline: MonoTime) -> Result<crate::Connected, crate::ConnectFailure> {
        Ok(crate::Connected::default())
    }

    fn read(&mut self, inputs: &mut [Reading], _deadline: MonoTime) -> Result<(), BusError> {
        inputs.fill(self.reading);
        Ok(())
    }

    fn write(&mut self, outputs: &[Option<f64>], _: &mut [WriteResult], _deadline: MonoTime) -> Result<(), BusError> {
        self.written += usize::from(outputs.iter().any(Option::is_some));
        Ok(())
    }

    fn feed(&self) -> Feed {
        self.feed
    }

    fn maintain(&mut self, _deadline: MonoTime) -> Result<(), BusError> {
        // Whatever there was to tell has been told by now.
        self.feed.state = FeedState::Live { refused: 0 };
        Ok(())
    }

    fn disconnect(&mut self, _deadline: MonoTime) {}
}

/// A loop over it, with one input.
fn telling(
    receipt: Receipt,
    claim_term: Option<Span>,
) -> (IoLoop<Telling>, Consumer<FieldReport>, crossbeam::channel::Receiver<News>) {
    let (producer, reports) = channel(64);
    let (teller, news) = news();
    let settings = Settings {
        inputs: vec![TagId::new(0).unwrap()],
        outputs: Vec::new(),
        heartbeat_every: None,
        alarms: vec![],
        claim_term,
        call_timeout: PERIOD,
        paired: false,
        seed: 1,
    };
    let reading = Reading { receipt, ..Reading::new(0.0, Quality::Good, 0) };
    let bus = Telling { reading, feed: Feed::default(), written: 0 };
    let lease = Lease::unshared();
    lease.name(7);
    let rights = Rights::new(lease, &settings);
    (IoLoop::new(bus, &settings, producer, sets().1, teller, rights), reports, news)
}

#[test]
fn a_claim_believes_only_what_the_plant_was_asked_for() {
    let (mut told, ..) = telling(Receipt::Nothing, Some(PERIOD.times(100)));
    let (mut asked, ..) = telling(Receipt::Asked, Some(PERIOD.times(100)));
    let clock = TestClock::default();
    for slot in 1..20 {
        clock.0.set(slot * PERIOD.as_ns());
        told.run_slot(&clock);
        asked.run_slot(&clock);
    }
    assert_eq!(told.bus_mut().written, 0);
    assert!(asked.bus_mut().written > 0, "a tag that is free is claimed");
}

#[test]
fn what_is_told_is_as_old_as_the_bus_says_and_what_is_not_told_is_no_sample() {
    let (mut io, mut reports, news) = telling(Receipt::Asked, None);
    let clock = TestClock::default();
    let since = MonoTime::from_ns(7);
    for (receipt, received) in
        [(Receipt::Asked, Some(clock.now() + PERIOD)), (Receipt::Told { since }, Some(since)), (Receipt::Nothing, None)]
    {
        clock.0.set(PERIOD.as_ns());
        io.bus_mut().reading.receipt = receipt;
        io.run_slot(&clock);
        let samples = std::iter::from_fn(|| reports.pop()).filter_map(|report| match report {
            FieldReport::Sample(sample) => Some(sample.received),
            _ => None,
        });
        assert_eq!(samples.collect::<Vec<_>>(), received.into_iter().collect::<Vec<_>>(), "{receipt:?}");
    }
    io.bus_mut().feed = Feed { state: FeedState::Mute { input: 0 }, ended: 1, ..Feed::default() };
    io.run_slot(&clock);
    io.run_slot(&clock);
    let states = news.try_iter().filter_map(|news| match news {
        News::Feed(state) => Some(state),
        _ => None,
    });
    let live = FeedState::Live { refused: 0 };
    assert_eq!(states.collect::<Vec<_>>(), [live, FeedState::Mute { input: 0 }, live]);
    assert_eq!(io.tally().feed.ended, 1);
}

/// A loop with a setpoint, no heartbeat, and the alarms 1 and 3, whose tags are its two inputs.
fn ringing(lease: Lease) -> Rig {
    let (producer, reports) = channel(64);
    let (sets, newest) = sets();
    let (teller, news) = news();
    let plant: Plant = |outputs, inputs| inputs.copy_from_slice(&outputs[1..]);
    let bus = Simulated::new(2, &[(ScalarKind::Double, 0.0); 3], plant);
    let settings = Settings {
        inputs: vec![TagId::new(0).unwrap(), TagId::new(1).unwrap()],
        outputs: vec![(0, REFRESH)],
        heartbeat_every: None,
        alarms: vec![1, 3],
        claim_term: None,
        call_timeout: PERIOD,
        paired: false,
        seed: 1,
    };
    let io = IoLoop::new(bus, &settings, producer, newest, teller, Rights::new(lease, &settings));
    Rig { io, clock: TestClock::default(), reports, sets, news }
}

impl Rig {
    fn ring(&mut self, alarms: Option<u32>) {
        let expires = self.clock.now() + PERIOD + PERIOD;
        self.sets.send(&SetpointSet { cycle: 1, expires, values: [None; SETPOINTS_MAX], heartbeat: None, alarms });
    }
}

#[test]
fn alarms_are_written_when_they_change_and_again_after_a_while() {
    let mut rig = ringing(Lease::unshared());
    rig.ring(Some(0b1010));
    assert_eq!(rig.slot(), [1.0, 1.0]);
    rig.ring(Some(0b0010));
    assert_eq!(rig.slot(), [1.0, 0.0]);
    rig.ring(Some(0b0101));
    assert_eq!(rig.slot(), [0.0, 0.0]);
    // Whatever stands there is only written over when its time has come...
    rig.plant().force(1, 7.0);
    let mut shown = (1..=ALARM_REFRESH.as_ns() / PERIOD.as_ns()).map(|_| {
        rig.ring(Some(0));
        rig.slot()
    });
    let before: Vec<_> = shown.by_ref().skip_while(|shown| *shown != [0.0, 0.0]).collect();
    assert_eq!(before.len(), 1, "in the last of these slots");
    // ... or somebody else was in charge, or may have been, or the connection is a new one.
    let meanwhiles: [fn(&mut Rig); 3] =
        [|rig| rig.ring(None), |rig| (0..3).for_each(|_| drop(rig.slot())), |rig| rig.plant().faults.gone = true];
    for meanwhile in meanwhiles {
        meanwhile(&mut rig);
        rig.slot();
        rig.plant().faults.gone = false;
        rig.plant().force(1, 7.0);
        for _ in 0..200 {
            rig.ring(Some(0));
            rig.slot();
        }
        assert_eq!(rig.plant().outputs()[1], 0.0);
    }
    assert_eq!(rig.written(), 0, "they are no setpoints");
}

#[test]
fn no_alarm_is_written_without_the_lease_or_from_an_old_set_and_a_refusal_is_told_once() {
    let mut rig = ringing(Lease::heap(REFRESH.as_ns()));
    rig.ring(Some(0b1010));
    assert_eq!(rig.slot(), [0.0, 0.0], "nobody holds the lease");
    let mut rig = ringing(Lease::unshared());
    rig.ring(Some(0b1010));
    rig.clock.0.set((rig.clock.now() + PERIOD.times(3)).as_ns());
    assert_eq!(rig.slot(), [0.0, 0.0], "it has expired");
    rig.plant().faults.refuse = Some(REFUSAL);
    for alarms in [0b1010, 0b0000, 0b1010] {
        rig.ring(Some(alarms));
        rig.slot();
    }
    let told: Vec<_> = rig.news.try_iter().filter(|news| matches!(news, News::AlarmRefused { .. })).collect();
    assert_eq!(told, [News::AlarmRefused { alarm: 1, status: REFUSAL }]);
    assert_eq!(rig.io.tally().setpoints_refused, 0);
}
