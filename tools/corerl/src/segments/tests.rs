//! Dumps of segments made here, read through read-only descriptors as a tool would.

use rt_control::{Description, SetpointInfo, TagInfo};
use shm::{Access, Segment, Spec, broadcast, counters, histogram, triple};
use shm_layout::{Counter, CycleHead, CycleLayout, EstimateRecord, EventKind, EventRecord, LearnerCounter, StepLayout};

use super::dump::content;
use super::*;

pub(super) fn names() -> Description {
    Description {
        protocol: rt_control::PROTOCOL,
        version: String::new(),
        site: "works".into(),
        agent: "ph".into(),
        instance: "main".into(),
        pid: 1,
        run: 1,
        lab: true,
        period_ns: 1,
        obs_period_ns: 1,
        action_period_ns: 1,
        tags: vec![TagInfo { name: "PH".into(), unit: String::new(), has_zones: true }],
        setpoints: vec![SetpointInfo { name: "FLOW".into(), unit: String::new(), lo: 0.0, hi: 1.0, scale: [0.0, 1.0] }],
        columns: vec!["PH".into()],
        tag_list_hash: 0,
    }
}

/// As a tool sees it.
fn read_only(segment: &Segment) -> Segment {
    Segment::attach(segment.read_only_fd().unwrap(), Access::ReadOnly, segment.header().kind()).unwrap()
}

fn dumped(segment: &Segment, last: u64) -> Content {
    content(&read_only(segment), &names(), last).unwrap()
}

#[test]
fn every_kind_of_segment_can_be_dumped_before_anything_was_written() {
    let layout = CycleLayout::new(1, 1).unwrap();
    let steps = StepLayout::new(1, 1).unwrap();
    let specs = [
        Spec::weights(64),
        Spec::transitions(&steps, 4),
        Spec::cycles(&layout, 4),
        Spec::events(4),
        Spec::counters::<Counter>(),
        Spec::counters::<LearnerCounter>(),
        Spec::histograms(),
        Spec::lease(),
        Spec::estimates(4),
        Spec::connections(1),
        Spec::round_trips(1),
        Spec::learner_histograms(),
    ];
    assert_eq!(specs.len(), SegmentKind::COUNT);
    for (spec, &kind) in specs.iter().zip(SegmentKind::ALL) {
        let segment = Segment::create(spec).unwrap();
        assert_eq!(segment.header().kind(), kind);
        let Content { json, text } = dumped(&segment, 10);
        assert!(json.is_object() && !text.is_empty(), "{kind}");
    }
}

#[test]
fn the_newest_cycles_are_shown_with_names_and_what_is_no_number_is_null() {
    let layout = CycleLayout::new(1, 1).unwrap();
    let segment = Segment::create(&Spec::cycles(&layout, 8)).unwrap();
    let mut writer = broadcast::Writer::new(&segment).unwrap();
    let mut words = vec![0; layout.words()];
    for cycle in 0..5 {
        let record = layout.view_mut(&mut words).unwrap();
        (record.head.cycle, record.head.mode, record.head.reward) = (cycle, 2, f64::NAN);
        record.head.flags = CycleHead::ARMED | CycleHead::WROTE | 1 << 15;
        record.setpoints[0].sent = 0.5;
        record.tags[0].value = f64::INFINITY;
        writer.publish(&words).unwrap();
    }
    let Content { json, text } = dumped(&segment, 2);
    let records = json["records"].as_array().unwrap();
    assert_eq!(records.iter().map(|record| record["cycle"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(records[0]["mode"], rt_core::mode::Mode::Run.name());
    assert!(records[0]["reward"].is_null() && records[0]["tags"][0]["value"].is_null());
    assert_eq!(records[0]["flags"], json!(["armed", "wrote", 1 << 15]));
    assert_eq!(records[0]["setpoints"][0]["name"], "FLOW");
    assert!(text.contains("FLOW 0.50000") && text.contains("armed wrote"));
}

#[test]
fn an_estimate_is_shown_with_what_the_decision_adds() {
    let segment = Segment::create(&Spec::estimates(4)).unwrap();
    let mut writer = broadcast::Writer::new(&segment).unwrap();
    let estimate = EstimateRecord { cycle: 40, updates: 7, value: -1.0, spread: 0.25, nominal_value: f64::NAN };
    writer.publish(&estimate.to_words()).unwrap();
    let Content { json, text } = dumped(&segment, 10);
    let record = &json["records"][0];
    assert_eq!(
        (&record["cycle"], &record["value"], &record["nominal_value"]),
        (&json!(40), &json!(-1.0), &Value::Null)
    );
    assert!(text.contains("-1.00000  0.25000  -"), "{text}");
}

#[test]
fn an_events_text_cannot_command_a_terminal() {
    let segment = Segment::create(&Spec::events(4)).unwrap();
    let mut writer = broadcast::Writer::new(&segment).unwrap();
    let mut event = EventRecord::new(EventKind::Armed, 7, 9);
    event.set_text("\x1b[2Jby hand");
    writer.publish(&event.to_words()).unwrap();
    let mut unknown = EventRecord::new(EventKind::Armed, 8, 9);
    unknown.kind = 9999;
    writer.publish(&unknown.to_words()).unwrap();
    let Content { json, text } = dumped(&segment, 10);
    assert!(!text.contains('\x1b') && text.contains("by hand"));
    assert_eq!((&json["records"][0]["kind"], &json["records"][0]["uid"]), (&json!("armed"), &Value::Null));
    assert_eq!(json["records"][1]["kind"], "unknown 9999");
}

#[test]
fn counters_and_histograms_have_their_names() {
    let segment = Segment::create(&Spec::counters::<Counter>()).unwrap();
    counters::Writer::<Counter>::new(&segment).unwrap().add(Counter::Cycles, 12);
    assert_eq!(dumped(&segment, 0).json["counters"]["cycles"], 12);

    let segment = Segment::create(&Spec::counters::<LearnerCounter>()).unwrap();
    let writer = counters::Writer::<LearnerCounter>::new(&segment).unwrap();
    writer.set(LearnerCounter::CriticLossBits, f64::NAN.to_bits());
    let Content { json, text } = dumped(&segment, 0);
    assert!(json["counters"]["critic_loss_bits"].is_null() && text.contains("updates"));

    let segment = Segment::create(&Spec::histograms()).unwrap();
    let mut writers = histogram::writers(&segment).unwrap();
    writers[0].record(1500);
    let Content { json, text } = dumped(&segment, 0);
    assert_eq!(json["histograms"]["lateness"]["count"], 1);
    assert!(json["histograms"]["execution"]["p99_ns"].is_null() && text.contains("1.5 us"));
}

#[test]
fn weights_are_shown_whatever_their_writer_left() {
    let segment = Segment::create(&Spec::weights(64)).unwrap();
    let mut writer = triple::Writer::new(&segment).unwrap();
    let nonsense: Vec<u64> = (0..64).map(|word| word * 0x0101_0101).collect();
    writer.publish(&nonsense).unwrap();
    let Content { json, text } = dumped(&segment, 0);
    assert_eq!(json["slots"].as_array().unwrap().len(), 3);
    assert!(text.contains("not a network") && text.contains("empty"));
    assert_eq!(json["writer_pid"], std::process::id());
}

#[test]
fn a_lease_shows_who_holds_it_and_until_when() {
    let segment = Segment::create(&Spec::lease()).unwrap();
    let lease = shm::lease::Lease::new(&segment, 1_000_000_000).unwrap();
    assert!(lease.take(7, 5_000_000_000));
    let Content { json, text } = dumped(&segment, 1);
    assert_eq!(
        (json["state"].as_str(), json["epoch"].as_u64(), json["until_ms"].as_u64()),
        (Some("held"), Some(7), Some(6_000))
    );
    assert_eq!(text, "held, epoch 7 until 6000 ms of CLOCK_MONOTONIC\n");
}
