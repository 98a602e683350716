//! Inputs that the server tells by itself, and what is done when it does not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use io_loop::{Feed, FeedState, FieldBus, OpcUa, Reading, Receipt, Subscribing};
use opcua_server::SubscriptionLimits;
use rt_core::ports::Clock as _;
use rt_core::tag::Quality;
use rt_core::time::{MonoTime, Span};
use rt_sys::MonotonicClock;
use ua_session::Target;

use crate::opcua::{TestClock, bus};
use crate::plant::{Plant, SharedPlant};
use crate::server::{Server, Setup};

const EVERY: Span = Span::from_ms(10);
const IO_PERIOD: Span = Span::from_ms(5);
/// Nothing is read so late in a test.
const NEVER: Span = Span::from_ms(3_600_000);
const SOON: Span = Span::from_ms(100);
const PATIENCE: Duration = Duration::from_secs(20);
/// BadTooManySubscriptions, BadTooManyMonitoredItems.
const TOO_MANY: u32 = 0x8077_0000;
const TOO_MANY_ITEMS: u32 = 0x80DB_0000;

const INPUTS: usize = 5;

pub(crate) fn subscribing(watch: &[Option<Span>]) -> Subscribing {
    Subscribing { every: EVERY, io_period: IO_PERIOD, watch: watch.to_vec() }
}

/// A server, a bus that subscribes, and what came last.
struct Rig {
    bus: OpcUa,
    plant: SharedPlant,
    setup: Setup,
    server: Option<Server>,
    readings: [Reading; INPUTS],
}

impl Rig {
    fn new(watch: [Option<Span>; INPUTS], limits: impl FnOnce(&mut Setup)) -> Self {
        let (mut setup, plant) = (Setup { is_set: true, ..Setup::open(INPUTS, &[]) }, Plant::shared(0));
        limits(&mut setup);
        let server = Server::start(&setup, &plant);
        let target = Target::lab(&server.url(), "urn:corerl:test");
        let bus = bus(target, Arc::new(TestClock::default()), INPUTS, 0).subscribing(Some(subscribing(&watch)));
        let mut rig = Self { bus, plant, setup, server: Some(server), readings: [Reading::MISSING; INPUTS] };
        rig.bus.connect(within()).unwrap();
        rig
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// One slot as the io loop has it; what came in it.
    fn slot(&mut self) -> [Reading; INPUTS] {
        let mut readings = [Reading::MISSING; INPUTS];
        self.bus.read(&mut readings, within()).unwrap();
        for (last, reading) in self.readings.iter_mut().zip(readings) {
            if reading.receipt != Receipt::Nothing {
                *last = reading;
            }
        }
        readings
    }

    fn upkeep(&mut self) {
        self.bus.maintain(within()).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }

    fn until(&mut self, what: &str, fact: impl Fn(&Self, &[Reading; INPUTS]) -> bool) {
        let begin = Instant::now();
        loop {
            let readings = self.slot();
            // Before the upkeep, as the io loop looks.
            if fact(self, &readings) {
                self.upkeep();
                return;
            }
            self.upkeep();
            assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}: {:?}, {readings:?}", self.bus.feed());
        }
    }

    fn until_last(&mut self, values: [f64; INPUTS]) {
        self.until("values", |rig, _| rig.readings.map(|reading| reading.value) == values);
    }

    fn feed(&self) -> Feed {
        self.bus.feed()
    }
}

fn within() -> MonoTime {
    MonotonicClock::new().now() + Span::from_ms(20_000)
}

fn is_told(reading: &Reading) -> bool {
    matches!(reading.receipt, Receipt::Told { .. })
}

#[test]
fn what_changes_is_told_and_only_what_is_not_told_is_read_every_time() {
    let mut rig = Rig::new([Some(NEVER), None, Some(NEVER), Some(NEVER), None], |_| ());
    assert_eq!(rig.feed().state, FeedState::Live { refused: 0 });
    rig.slot();
    assert!(rig.readings.iter().all(|reading| reading.receipt == Receipt::Asked), "at first everything is read");
    for round in 1..20 {
        let value = f64::from(round);
        let begin = MonotonicClock::new().now();
        rig.server().set(&[(0, value), (1, value), (3, -value)], false);
        rig.until("a value that is told", |rig, readings| {
            assert!(readings.iter().enumerate().all(|(place, reading)| match place {
                1 | 4 => reading.receipt == Receipt::Asked,
                _ => reading.receipt != Receipt::Asked,
            }));
            rig.readings.map(|reading| reading.value) == [value, value, 0.0, -value, 0.0]
        });
        let Receipt::Told { since } = rig.readings[0].receipt else { panic!("{:?}", rig.readings[0]) };
        assert!(begin.since(since) < Span::from_ns(PATIENCE.as_nanos() as u64) && since < MonotonicClock::new().now());
    }
    assert_eq!(rig.feed(), Feed { state: FeedState::Live { refused: 0 }, ..Feed::default() });
}

#[test]
fn f43_a_tag_of_which_nothing_is_heard_is_read_before_it_is_stale_and_the_others_are_not() {
    let mut rig = Rig::new([Some(SOON), Some(NEVER), Some(SOON), Some(NEVER), Some(NEVER)], |_| ());
    rig.slot();
    let begin = MonotonicClock::new().now();
    let mut asked = [0; INPUTS];
    while MonotonicClock::new().now().since(begin) < Span::from_ms(1_000) {
        let readings = rig.slot();
        asked
            .iter_mut()
            .zip(readings)
            .for_each(|(asked, reading)| *asked += usize::from(reading.receipt == Receipt::Asked));
        rig.upkeep();
    }
    // Whoever shares a read with one that is due is read, too; the period of the rig gives everyone a read of his own.
    assert!(asked[0] > 0 && asked[2] > 0, "{asked:?}");
    assert_eq!([asked[1], asked[3], asked[4]], [0; 3], "{asked:?}");
    assert_eq!(rig.feed(), Feed { state: FeedState::Live { refused: 0 }, ..Feed::default() });
}

#[test]
fn f43_a_subscription_that_says_nothing_of_a_change_is_found_by_looking_and_replaced_without_ending_the_session() {
    let mut rig = Rig::new([Some(SOON); INPUTS], |_| ());
    rig.server().set(&[(0, 1.0), (1, 1.0)], false);
    rig.until_last([1.0, 1.0, 0.0, 0.0, 0.0]);
    rig.server().set(&[(1, 2.0)], true);
    // What it reads counts, from the first look on.
    rig.until("the change", |rig, _| rig.readings[1].value == 2.0 && rig.readings[1].receipt == Receipt::Asked);
    rig.until("the loss", |rig, _| rig.feed().state == FeedState::Mute { input: 1 });
    rig.until("another subscription", |rig, _| rig.feed().state == FeedState::Live { refused: 0 });
    assert_eq!(rig.feed().ended, 1);
    rig.server().set(&[(1, 3.0)], false);
    rig.until("what is told", |rig, readings| rig.readings[1].value == 3.0 && is_told(&readings[1]));
    assert_eq!(rig.feed().ended, 1);
}

#[test]
fn f46_a_node_that_goes_away_is_bad_and_alone_and_told_so_by_the_next_subscription() {
    let mut rig = Rig::new([Some(SOON); INPUTS], |_| ());
    rig.slot();
    rig.server().delete("in2");
    // It reads differently now, and nobody has told.
    rig.until("the loss", |rig, _| rig.feed().state == FeedState::Mute { input: 2 });
    rig.until("another subscription", |rig, readings| rig.feed().ended == 1 && is_told(&readings[2]));
    rig.server().set(&[(0, 1.0)], false);
    rig.until("what is told", |rig, _| rig.readings[0].value == 1.0);
    let quality = rig.readings.map(|reading| reading.quality);
    assert_eq!(quality, std::array::from_fn(|input| if input == 2 { Quality::Bad } else { Quality::Good }));
    assert_eq!(rig.feed().ended, 1);
}

#[test]
fn f45_a_server_that_gives_no_subscription_is_read() {
    let usual = SubscriptionLimits::default();
    let none = SubscriptionLimits { max_subscriptions_per_session: 0, ..usual };
    let few = SubscriptionLimits { max_monitored_items_per_sub: INPUTS - 1, ..usual };
    for (limits, status) in [(none, TOO_MANY), (few, TOO_MANY_ITEMS)] {
        let mut rig = Rig::new([Some(NEVER); INPUTS], |setup| setup.subscriptions = limits);
        assert_eq!(rig.feed().state, FeedState::Refused { status });
        rig.server().set(&[(0, 1.0)], true);
        let readings = rig.slot();
        assert!(readings.iter().all(|reading| reading.receipt == Receipt::Asked) && readings[0].value == 1.0);
        // It is asked again, and refuses again, and the session goes on.
        std::thread::sleep(Duration::from_millis(1_100));
        rig.upkeep();
        assert_eq!((rig.slot()[0].value, rig.feed().state), (1.0, FeedState::Refused { status }));
    }
}

#[test]
fn f45_f50_a_server_that_takes_one_request_to_publish_and_two_nodes_at_a_time_tells_everything() {
    let mut rig = Rig::new([Some(NEVER); INPUTS], |setup| {
        setup.items_per_request = 2;
        setup.subscriptions.max_pending_publish_requests = 1;
    });
    rig.slot();
    for round in 1..20 {
        let values = std::array::from_fn(|input| f64::from(round) + input as f64);
        rig.server().set(&values.iter().copied().enumerate().collect::<Vec<_>>(), false);
        rig.until_last(values);
        assert!(rig.readings.iter().all(is_told));
    }
    assert_eq!(rig.feed(), Feed { state: FeedState::Live { refused: 0 }, ..Feed::default() });
}

#[test]
fn f54_of_a_flood_the_newest_values_come_and_what_was_thrown_away_is_counted() {
    let mut rig = Rig::new([Some(NEVER); INPUTS], |_| ());
    rig.slot();
    let (mut value, begin) = (0.0, Instant::now());
    while rig.feed().overflows < 100 {
        assert!(begin.elapsed() < PATIENCE, "{:?}", rig.feed());
        for _ in 0..1_000 {
            value += 1.0;
            rig.server().set(&[(0, value), (1, -value)], false);
        }
        rig.slot();
        rig.upkeep();
    }
    rig.until_last([value, -value, 0.0, 0.0, 0.0]);
    assert!(rig.readings.iter().all(|reading| reading.quality == Quality::Good));
    assert_eq!(rig.feed().ended, 0);
}

#[test]
fn f34_a_server_that_comes_back_is_subscribed_anew() {
    let mut rig = Rig::new([Some(NEVER); INPUTS], |_| ());
    rig.slot();
    let port = rig.server().port();
    for round in 1..3 {
        let value = f64::from(round);
        rig.server = None;
        assert!(rig.bus.read(&mut [Reading::MISSING; INPUTS], within()).is_err());
        rig.server = Some(Server::start_on(port, &rig.setup, &rig.plant));
        rig.bus.connect(within()).unwrap();
        rig.slot();
        rig.server().set(&[(4, value)], false);
        rig.until("what is told", |rig, readings| rig.readings[4].value == value && is_told(&readings[4]));
    }
}
