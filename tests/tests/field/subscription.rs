//! A plant that tells by itself what changes, and what it does wrong in doing so.

use std::sync::Arc;

use io_loop::{BoundNode, Demand, FieldBus, OpcUa, Scale, WriteResult};
use rt_core::time::Span;
use rt_daemon::Clocks;
use ua_session::Target;

use super::*;

/// What is no setpoint is told.
const SUBSCRIBED: (&str, &str) =
    ("call_timeout: 5s", "call_timeout: 5s\n      subscribe: {tags: all, every: 20ms, watchdog: 200ms}");
/// A tag that changes with every step of the plant, whatever becomes of its level.
const STEP: (&str, &str) = (
    "  reward:",
    "    - {name: step, type: meta, node_identifier: nsu=urn:corerl:plant;s=saturation.Step, stale_after: 20s}\n  reward:",
);
/// How long a test looks whether something stays as it is.
const A_WHILE: Duration = Duration::from_secs(2);

/// Switches a fault of the plant on or off, as somebody at the plant does.
fn switch(plant: &Plant, fault: &str, on: bool) {
    let soon = || MonotonicClock::new().now() + Span::from_ms(10_000);
    let node = BoundNode {
        name: fault.to_owned(),
        address: format!("nsu=urn:corerl:plant;s=saturation.Faults.{fault}").parse().unwrap(),
        demand: Demand::Number,
        scale: Scale::default(),
    };
    let target = Target::lab(plant.url(), "urn:corerl:panel");
    let mut bus = OpcUa::new(target, &[], Arc::new(Clocks::default()), Vec::new(), vec![node]).unwrap();
    bus.connect(soon()).unwrap_or_else(|failure| panic!("{}", failure.message));
    let mut results = [WriteResult::NotAsked];
    bus.write(&[Some(f64::from(u8::from(on)))], &mut results, soon()).unwrap();
    assert_eq!(results, [WriteResult::Done]);
    bus.disconnect(soon());
}

/// Whether the plant begins (or ceases) to tell by itself.
fn is_told(event: &EventRecord, told: bool) -> bool {
    event.kind() == Some(EventKind::Subscription) && event.b == u64::from(told)
}

impl Field {
    fn until_told(&mut self, since_ns: u64, told: bool) {
        let what = if told { "a subscription" } else { "the end of the subscription" };
        self.until_event(what, since_ns, |event| is_told(event, told));
    }

    fn feed(&self) -> [u64; 4] {
        use Counter::{MessagesLost, MessagesRepublished, Reconnects, SubscriptionsEnded};
        [SubscriptionsEnded, MessagesRepublished, MessagesLost, Reconnects].map(|counter| self.counters.get(counter))
    }
}

#[test]
fn f34_a_server_that_comes_back_is_subscribed_anew_and_run_when_every_tag_is_fresh() {
    let mut field = Field::at_work(&[SOON_STALE, SUBSCRIBED]);
    field.until_told(0, true);
    for outage in [200, 2_000].map(Duration::from_millis) {
        let port = field.plant.port();
        let killed_ns = now_ns();
        field.plant.process.kill();
        field.until_mode(Mode::Hold, killed_ns);
        field.pass(outage);
        let back_ns = now_ns();
        field.plant = field.place.plant_on(port);
        let run_ns = field.until_mode(Mode::Run, back_ns);
        field.until_told(back_ns, true);
        println!("{outage:?}: RUN {run_ns} ns after the server was started");
    }
    let fresh = |record: &CycleRecord| record.tags.iter().all(|tag| tag.age_ns <= FRESH_NS && tag.quality == 0);
    assert!(field.records.iter().filter(|record| is_in(record, Mode::Run)).all(fresh));
    assert_begins_with_what_is_read_back(&field.records);
    field.end();
}

#[test]
fn f43_a_subscription_that_dies_silently_is_found_and_replaced_and_nothing_is_stale_meanwhile() {
    let mut field = Field::at_work(&[SOON_STALE, SUBSCRIBED, STEP]);
    for ended in 1..=soak::count(2) {
        let mute_ns = now_ns();
        switch(&field.plant, "mute", true);
        field.until_told(mute_ns, false);
        let found_ns = now_ns();
        field.until_told(found_ns, true);
        println!("found {} ms after", (found_ns - mute_ns) / 1_000_000);
        assert_eq!(field.modes_since(mute_ns), []);
        assert_eq!(field.feed(), [ended, 0, 0, 0]);
    }
    let (told_ns, feed) = (now_ns(), field.feed());
    field.pass(A_WHILE);
    assert_eq!((field.modes_since(told_ns), field.feed()), (Vec::new(), feed), "the new one serves");
    field.end();
}

#[test]
fn f44_a_notification_that_is_lost_is_asked_for_again_and_the_session_goes_on() {
    let mut field = Field::at_work(&[SUBSCRIBED, STEP]);
    field.until_told(0, true);
    let lost_ns = now_ns();
    for again in 1..=soak::count(4) {
        field.proxy.lose_notification();
        field.until("a gap", |field| field.counters.get(Counter::MessagesRepublished) >= again);
        // The request that was answered in vain is missed, too, before the next one is.
        field.until_more(Counter::IoCycles, 100);
    }
    println!("{:?}", field.feed());
    assert_eq!(field.modes_since(lost_ns), []);
    let [ended, _, lost, reconnects] = field.feed();
    assert_eq!([lost, reconnects], [0; 2]);
    assert_eq!(ended, 0);
    field.end();
}

#[test]
fn f44_an_answer_that_is_lost_with_its_number_ends_the_session_and_the_next_one_is_subscribed() {
    let mut field = Field::at_work(&[SUBSCRIBED, IMPATIENT_TOO]);
    for _ in 0..soak::count(2) {
        let cut_ns = now_ns();
        field.proxy.cut_response();
        field.until_event("the loss", cut_ns, |event| event.kind() == Some(EventKind::ConnectionDown));
        field.until_told(cut_ns, true);
        field.wait_for_writing();
    }
    assert_begins_with_what_is_read_back(&field.records);
    field.end();
}

/// Of what [`SUBSCRIBED`] has written.
const IMPATIENT_TOO: (&str, &str) = ("call_timeout: 5s", "call_timeout: 200ms");

#[test]
fn f45_a_server_that_gives_no_subscription_is_read() {
    for (limit, gives) in [(["--max-subscriptions", "0"], false), (["--max-publish-requests", "1"], true)] {
        let mut field = Field::with_plant(&limit, |_| (), &[SUBSCRIBED]);
        field.wait_for_writing();
        field.until_told(0, gives);
        let run_ns = now_ns();
        field.pass(A_WHILE);
        assert_eq!((field.modes_since(run_ns), field.feed()), (Vec::new(), [0; 4]), "{limit:?}");
        if !gives {
            field.runtime.process.wait_until_it_says("no subscription (BadTooManySubscriptions");
        }
        field.end();
    }
}

#[test]
fn f54_a_server_that_floods_throws_values_away_itself_and_no_cycle_notices() {
    let mut field = Field::at_work(&[SUBSCRIBED]);
    field.until_told(0, true);
    let flood_ns = now_ns();
    switch(&field.plant, "flood", true);
    field.until_more(Counter::ValueOverflows, soak::count(100));
    switch(&field.plant, "flood", false);
    field.until_more(Counter::IoCycles, 100);
    println!("{:?}, {} overflows", field.feed(), field.counters.get(Counter::ValueOverflows));
    assert_eq!(field.modes_since(flood_ns), []);
    assert_eq!(field.feed(), [0; 4]);
    field.end();
}
