use opcua_types::{
    BinaryEncodable, ContextOwned, DataChangeNotification, DataValue, DateTime, DiagnosticInfo, ExtensionObject,
    MonitoredItemNotification, NotificationMessage, PublishResponse, ResponseHeader, StatusChangeNotification,
    StatusCode, Variant,
};
use proptest::prelude::*;

use super::*;
use crate::testing::{answer_head, told, told_again};

const ID: u32 = 7;
const KEEP_ALIVE_NS: u64 = 1_000;

/// A subscription with the requests that it has sent.
struct Rig {
    subscription: Subscription,
    /// Ids of requests to publish, and to publish again with the number asked for.
    publish: Vec<u32>,
    republish: Vec<(u32, u32)>,
    acknowledged: Vec<u32>,
    next_id: u32,
    now_ns: u64,
}

impl Rig {
    fn new(nodes: usize) -> Self {
        let terms = Terms { id: ID, publishing_ns: 10, keep_alive_ns: KEEP_ALIVE_NS };
        let subscription = Subscription::new(services::NO_TOKEN, terms, vec![Shape::Scalar; nodes], None, 0);
        let (publish, republish, acknowledged) = (Vec::new(), Vec::new(), Vec::new());
        let mut rig = Rig { subscription, publish, republish, acknowledged, next_id: 0, now_ns: 0 };
        rig.ask();
        rig
    }

    /// Sends what there is to ask for, as the link does.
    fn ask(&mut self) {
        self.subscription.watch(self.now_ns);
        while self.subscription.has_request() {
            self.next_id += 1;
            let request = self.subscription.request(self.next_id, 0, self.now_ns).to_vec();
            let mut reader = Reader::new(&request);
            let type_id = reader.type_id().unwrap();
            // The rest of the header: token, time, handle, diagnostics, audit, hint, additional header.
            reader.take(2 + 8 + 4 + 4 + 4 + 4 + 3).unwrap();
            if type_id == u32::from(type_id::REPUBLISH_REQUEST) {
                assert_eq!(reader.u32(), Ok(self.subscription.id()));
                self.republish.push((self.next_id, reader.u32().unwrap()));
                continue;
            }
            self.publish.push(self.next_id);
            for _ in 0..reader.array_len(ACKNOWLEDGEMENTS_MAX).unwrap() {
                assert_eq!(reader.u32(), Ok(self.subscription.id()));
                self.acknowledged.push(reader.u32().unwrap());
            }
            assert!(reader.rest().is_empty());
        }
    }

    fn answer(&mut self, id: u32, answer: Result<&[u8], CallError>) {
        self.now_ns += 1;
        let came = Came { now_ns: self.now_ns, since_ns: self.now_ns - 1 };
        assert_eq!(self.subscription.take(id, answer, came), Ok(true));
    }

    /// Answers the oldest request to publish.
    fn tell(&mut self, body: &[u8]) {
        let id = self.publish.remove(0);
        self.answer(id, Ok(body));
        self.ask();
    }

    fn values(&self) -> Vec<f64> {
        self.subscription.values().iter().map(|item| item.value.value).collect()
    }
}

#[test]
fn values_come_to_their_nodes_are_acknowledged_and_asked_for_again() {
    let mut rig = Rig::new(3);
    assert_eq!(rig.publish.len(), PUBLISH_REQUESTS_MAX);
    rig.tell(&told(ID, 1, &[(2, 5.0), (0, 3.0), (2, 6.0), (9, 1.0)]));
    assert_eq!(rig.publish.len(), PUBLISH_REQUESTS_MAX);
    assert_eq!(rig.acknowledged, [1]);
    assert!(rig.values()[1].is_nan());
    assert_eq!((rig.values()[0], rig.values()[2]), (3.0, 6.0), "the last one of several counts");
    let heard = rig.subscription.values()[0];
    assert_eq!((heard.message, heard.since_ns), (1, 0));
    rig.tell(&told(ID, 2, &[(0, 4.0)]));
    assert_eq!((rig.values()[0], rig.subscription.values()[0].message), (4.0, 2));
    assert_eq!(rig.subscription.tally(), SubscriptionTally { values: 5, ..SubscriptionTally::default() });
}

#[test]
fn what_another_subscription_is_told_changes_nothing() {
    let mut rig = Rig::new(1);
    rig.tell(&told(ID + 1, 4, &[(0, 3.0)]));
    assert!(rig.values()[0].is_nan() && rig.acknowledged.is_empty() && rig.republish.is_empty());
    assert_eq!(rig.publish.len(), PUBLISH_REQUESTS_MAX);
}

#[test]
fn f44_a_message_that_is_missing_is_asked_for_again_and_changes_what_no_later_one_has() {
    let mut rig = Rig::new(2);
    rig.tell(&told(ID, 1, &[(0, 1.0), (1, 1.0)]));
    rig.tell(&told(ID, 3, &[(0, 3.0)]));
    let [(id, 2)] = rig.republish[..] else { panic!("{:?}", rig.republish) };
    rig.answer(id, Ok(&told_again(2, &[(0, 2.0), (1, 2.0)])));
    rig.ask();
    assert_eq!(rig.values(), [3.0, 2.0]);
    assert_eq!(rig.republish.len(), 1);
    rig.tell(&told(ID, 4, &[]));
    let tally = rig.subscription.tally();
    assert_eq!((tally.republished, tally.lost, rig.acknowledged.as_slice()), (1, 0, &[1, 3, 2][..]));
}

#[test]
fn f44_a_keep_alive_tells_of_a_missing_message_too() {
    let mut rig = Rig::new(1);
    rig.tell(&told(ID, 2, &[]));
    assert_eq!(rig.republish.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [1]);
}

#[test]
fn f44_messages_that_the_server_has_no_more_are_lost_and_counted() {
    let not_available = CallError::Refused { status: 0x807B_0000 };
    let mut rig = Rig::new(1);
    rig.tell(&told(ID, 4, &[(0, 4.0)]));
    for number in 1..=3 {
        let (id, asked) = rig.republish[number - 1];
        assert_eq!(asked as usize, number);
        match number {
            1 => rig.answer(id, Err(not_available)),
            2 => rig.answer(id, Ok(&answer_head(397, 0x807B_0000))),
            // The wrong one.
            _ => rig.answer(id, Ok(&told_again(4, &[(0, 4.0)]))),
        }
        rig.ask();
    }
    assert_eq!((rig.subscription.tally().lost, rig.republish.len()), (3, 3));
    assert_eq!(rig.values(), [4.0]);
}

#[test]
fn f44_an_answer_that_is_owed_for_too_long_counts_as_lost() {
    let mut rig = Rig::new(1);
    rig.tell(&told(ID, 3, &[(0, 3.0)]));
    rig.now_ns += SILENT_INTERVALS_MAX * KEEP_ALIVE_NS + 1;
    rig.tell(&told(ID, 4, &[(0, 4.0)]));
    assert_eq!((rig.subscription.tally().lost, rig.republish.len()), (1, 2));
    assert_eq!(rig.subscription.over(), None);
}

#[test]
fn f43_a_subscription_lives_by_its_keep_alives_and_is_over_after_two_intervals_of_silence() {
    let mut rig = Rig::new(1);
    for _ in 0..5 {
        rig.now_ns += SILENT_INTERVALS_MAX * KEEP_ALIVE_NS - 1;
        rig.tell(&told(ID, 1, &[]));
        assert_eq!(rig.subscription.over(), None);
    }
    rig.now_ns += SILENT_INTERVALS_MAX * KEEP_ALIVE_NS;
    rig.ask();
    assert_eq!(rig.subscription.over(), None);
    rig.now_ns += 1;
    rig.ask();
    assert_eq!(rig.subscription.over(), Some(TIMEOUT));
    rig.publish.clear();
    rig.ask();
    assert!(rig.publish.is_empty(), "who is over asks for nothing");
}

#[test]
fn f43_a_server_that_knows_no_subscription_or_ends_it_is_believed() {
    for status in [NO_SUBSCRIPTION, SUBSCRIPTION_ID_INVALID] {
        let mut rig = Rig::new(1);
        rig.tell(&answer_head(397, status));
        assert_eq!(rig.subscription.over(), Some(status));
    }
    let mut rig = Rig::new(1);
    let ended = StatusChangeNotification { status: StatusCode::BadTimeout, diagnostic_info: DiagnosticInfo::null() };
    rig.tell(&encoded(1, vec![ExtensionObject::from_message(ended)]));
    assert_eq!(rig.subscription.over(), Some(TIMEOUT));
}

#[test]
fn f45_a_server_that_wants_fewer_requests_gets_fewer_but_always_one() {
    let mut rig = Rig::new(1);
    for left in [3, 2, 1, 1, 1] {
        rig.tell(&answer_head(397, TOO_MANY_PUBLISH_REQUESTS));
        assert_eq!(rig.publish.len(), left);
        assert_eq!(rig.subscription.over(), None);
    }
}

#[test]
fn a_request_that_is_never_answered_is_replaced_when_many_younger_ones_were() {
    let mut rig = Rig::new(1);
    let lost = rig.publish.remove(0);
    for number in 1..PASSED_MAX as u32 {
        rig.tell(&told(ID, number, &[(0, 1.0)]));
        assert_eq!(rig.publish.len(), PUBLISH_REQUESTS_MAX - 1);
    }
    rig.tell(&told(ID, PASSED_MAX as u32, &[(0, 1.0)]));
    assert_eq!(rig.publish.len(), PUBLISH_REQUESTS_MAX);
    let came = Came { now_ns: 0, since_ns: 0 };
    assert_eq!(rig.subscription.take(lost, Ok(&told(ID, 9, &[(0, 1.0)])), came), Ok(false));
}

#[test]
fn requests_that_nobody_answers_do_not_outlive_the_next_subscription_but_one() {
    let mut rig = Rig::new(1);
    rig.now_ns += KEEP_ALIVE_NS - 1;
    rig.tell(&told(ID, 1, &[]));
    for (silence_ns, outlive) in [(KEEP_ALIVE_NS, true), (1, false)] {
        rig.now_ns += silence_ns;
        let terms = rig.subscription.terms;
        rig.subscription =
            Subscription::new(services::NO_TOKEN, terms, vec![Shape::Scalar], Some(&rig.subscription), rig.now_ns);
        assert_eq!(rig.subscription.has_request(), !outlive, "{silence_ns}");
    }
}

#[test]
fn requests_outlive_a_subscription_and_one_that_was_not_sent_is_sent_later() {
    let mut rig = Rig::new(1);
    let terms = Terms { id: ID + 1, ..rig.subscription.terms };
    rig.subscription = Subscription::new(services::NO_TOKEN, terms, vec![Shape::Scalar], Some(&rig.subscription), 0);
    assert!(!rig.subscription.has_request());
    rig.tell(&told(ID + 1, 1, &[(0, 2.0)]));
    assert_eq!(rig.values(), [2.0]);

    let mut rig = Rig::new(1);
    let id = rig.publish.remove(0);
    rig.answer(id, Ok(&told(ID, 2, &[(0, 2.0)])));
    let asked = rig.subscription.asked();
    let mut sent = 0;
    while rig.subscription.has_request() {
        sent += 1;
        rig.subscription.request(100 + sent, 0, 0);
    }
    assert_eq!(sent, 2, "one to publish, one to publish again");
    rig.subscription.take_back(asked);
    rig.ask();
    assert_eq!((rig.publish.len(), rig.republish.len()), (PUBLISH_REQUESTS_MAX, 1));
}

#[test]
fn f54_the_overflow_of_a_queue_is_counted_and_is_no_matter_of_quality() {
    let proper = StatusCode::Good.set_info_type(opcua_types::StatusCodeInfoType::DataValue).set_overflow(true);
    // What async-opcua sends.
    let plain = StatusCode::Good.set_overflow(true);
    for flooded in [proper, plain] {
        let mut rig = Rig::new(1);
        let value = DataValue { status: Some(flooded), ..DataValue::value_only(1.0) };
        let notification = MonitoredItemNotification { client_handle: 0, value };
        let change = DataChangeNotification { monitored_items: Some(vec![notification]), diagnostic_infos: None };
        rig.tell(&encoded(1, vec![ExtensionObject::from_message(change)]));
        assert_eq!((rig.subscription.tally().overflows, rig.subscription.values()[0].value.status), (1, 0));
    }
}

/// An answer to Publish as the standard's types encode it.
fn encoded(number: u32, data: Vec<ExtensionObject>) -> Vec<u8> {
    let notification_message =
        NotificationMessage { sequence_number: number, publish_time: DateTime::from(5), notification_data: Some(data) };
    let answer = PublishResponse {
        response_header: ResponseHeader::null(),
        subscription_id: ID,
        available_sequence_numbers: Some(vec![1, 2, 3]),
        more_notifications: true,
        notification_message,
        results: Some(vec![StatusCode::Good, StatusCode::BadSequenceNumberUnknown]),
        diagnostic_infos: None,
    };
    let mut out = Vec::new();
    out.put_type_id(829);
    answer.encode(&mut out, &ContextOwned::default().context()).unwrap();
    out
}

fn any_value() -> impl Strategy<Value = (Variant, Option<f64>)> {
    prop_oneof![
        any::<f64>().prop_map(|value| (Variant::Double(value), Some(value))),
        any::<f32>().prop_map(|value| (Variant::Float(value), Some(value.into()))),
        any::<i16>().prop_map(|value| (Variant::Int16(value), Some(value.into()))),
        any::<u32>().prop_map(|value| (Variant::UInt32(value), Some(value.into()))),
        any::<bool>().prop_map(|value| (Variant::Boolean(value), Some(u8::from(value).into()))),
        ".{0,20}".prop_map(|value| (Variant::from(value), None)),
        prop::collection::vec(any::<i32>(), 0..4).prop_map(|value| (Variant::from(value), None)),
        Just((Variant::Empty, None)),
    ]
}

const NODES: usize = 5;

proptest! {
    #[test]
    fn what_the_standards_types_encode_is_what_is_told(
        told in prop::collection::vec((0..NODES as u32 + 2, any_value(), prop::option::of(0u32..0x8000), any::<bool>()), 0..30),
        split in 0..30usize,
    ) {
        let mut expected = [(f64::NAN, 0x8032_0000, 0); NODES];
        let notifications = told.iter().enumerate().map(|(at, (handle, (variant, number), status, stamped))| {
            let time = if *stamped { at as i64 + 1 } else { 0 };
            // Every severity, and no info bits, which are another matter.
            let status = status.map(|status| status << 17);
            if let Some(expected) = expected.get_mut(*handle as usize) {
                *expected = (number.unwrap_or(f64::NAN), status.unwrap_or(0), time);
            }
            let value = DataValue {
                value: Some(variant.clone()),
                status: status.map(StatusCode::from),
                source_timestamp: stamped.then(|| DateTime::from(time)),
                server_timestamp: stamped.then(|| DateTime::from(77)),
                ..DataValue::null()
            };
            MonitoredItemNotification { client_handle: *handle, value }
        });
        let mut notifications: Vec<_> = notifications.collect();
        let later = notifications.split_off(split.min(notifications.len()));
        let change = |items| ExtensionObject::from_message(DataChangeNotification { monitored_items: Some(items), diagnostic_infos: None });
        let mut rig = Rig::new(NODES);
        rig.tell(&encoded(1, vec![change(notifications), ExtensionObject::null(), change(later)]));
        for (item, (value, status, time)) in rig.subscription.values().iter().zip(expected) {
            prop_assert_eq!(item.value.value.to_bits(), value.to_bits());
            prop_assert_eq!((item.value.status, item.value.source_time), (status, time));
        }
        prop_assert_eq!(rig.subscription.tally().values, told.len() as u64);
        prop_assert_eq!(rig.acknowledged, [1]);
    }

    #[test]
    fn whatever_order_messages_come_in_the_newest_value_of_each_node_stays(
        sent in prop::collection::vec(prop::collection::vec((0..NODES as u32, any::<i32>().prop_map(f64::from)), 1..6), 1..12),
        shuffled in prop::collection::vec(any::<u32>(), 12),
    ) {
        let mut expected = [f64::NAN; NODES];
        sent.iter().flatten().for_each(|(handle, value)| expected[*handle as usize] = *value);
        let mut order: Vec<usize> = (0..sent.len()).collect();
        order.sort_by_key(|place| shuffled[*place]);
        let mut rig = Rig::new(NODES);
        for place in order {
            rig.tell(&told(ID, place as u32 + 1, &sent[place]));
        }
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&rig.values()), bits(&expected));
        prop_assert_eq!(rig.subscription.newest_message(), sent.len() as u64);
        let mut acknowledged = rig.acknowledged.clone();
        acknowledged.sort_unstable();
        prop_assert_eq!(acknowledged, (1..=sent.len() as u32).collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_make_a_subscription_panic(tail in prop::collection::vec(any::<u8>(), 0..200), type_id in prop::sample::select(vec![829u16, 835, 397])) {
        let mut rig = Rig::new(3);
        let body = [answer_head(type_id, 0), tail.clone()].concat();
        let come = Came { now_ns: 1, since_ns: 0 };
        let _ = rig.subscription.take(1, Ok(&body), come);
        let mut told = told(ID, 3, &[(0, 1.0), (1, 2.0)]);
        let keep = told.len().saturating_sub(tail.len());
        told.truncate(keep);
        told.extend(tail);
        let _ = rig.subscription.take(2, Ok(&told), come);
        rig.ask();
    }
}
