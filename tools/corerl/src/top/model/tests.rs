use std::time::{Duration, Instant};

use shm_layout::{Counter, EventKind, EventRecord};

use super::*;

#[test]
fn the_newest_cycle_is_kept_with_the_range_that_was_seen_and_the_limits_that_acted() {
    let mut model = Model::default();
    examples::cycles(&mut model, 1, 2, 30);
    assert_eq!(model.head.unwrap().cycle, 30);
    assert_eq!((model.tags[0].part.value, model.tags[0].seen), (3.0, [0.1, 3.0]));
    assert!(model.tags[1].seen[0].is_nan(), "a tag that never had a value has no range");
    assert_eq!(model.setpoints[0].acted, 2);
    model.begin_look();
    assert_eq!(model.setpoints[0].acted, 0);
}

#[test]
fn the_minute_has_figures_by_second_and_forgets_what_is_older() {
    let mut model = Model::default();
    examples::cycles(&mut model, 0, 0, 25);
    let largest: Vec<f64> = model.minute.largest(Of::Lateness).rev().take(4).collect();
    assert_eq!(largest[..3], [3_500.0, 2_900.0, 1_900.0]);
    assert!(largest[3].is_nan());
    assert_eq!(model.minute.figures(Of::Execution).count(), 25);
    examples::cycles(&mut model, 0, 0, 1000);
    let (count, first) = (model.minute.figures(Of::Lateness).count(), model.minute.largest(Of::Lateness).next());
    assert_eq!((count, first.map(f64::is_nan)), (591, Some(false)), "59 whole seconds and the one that has begun");
}

#[test]
fn generations_are_kept_with_the_time_of_their_beginning() {
    let mut model = Model::default();
    let mut head = CycleHead { release_ns: 5, ..zeroed() };
    model.minute.take(&head);
    (head.release_ns, head.policy_generation) = (9, 3);
    model.minute.take(&head);
    model.minute.take(&head);
    assert_eq!(model.generations().collect::<Vec<_>>(), [(5, 0), (9, 3)]);
}

fn zeroed() -> CycleHead {
    let mut model = Model::default();
    examples::cycles(&mut model, 0, 0, 1);
    CycleHead { policy_generation: 0, ..model.head.unwrap() }
}

#[test]
fn another_process_is_another_life_and_only_the_events_remain() {
    let mut model = Model::default();
    model.describe(&examples::description(7, &[], &["PH"]));
    examples::cycles(&mut model, 0, 1, 3);
    model.event(&EventRecord::new(EventKind::Started, 0, 1));
    model.describe(&examples::description(7, &[], &["PH"]));
    assert!(model.head.is_some(), "the same one goes on");
    model.describe(&examples::description(8, &[], &["PH"]));
    assert!(model.head.is_none() && model.tags.is_empty());
    assert_eq!(model.events.len(), 1);
}

#[test]
fn who_is_gone_was_there_before_and_stays_gone_since_then() {
    let (mut model, start) = (Model::default(), Instant::now());
    let later = start + Duration::from_secs(5);
    model.miss(start, true, "no socket");
    assert!(matches!(model.presence, Presence::Awaited), "who never was there is not gone");
    model.describe(&examples::description(7, &[], &[]));
    model.miss(start, true, "no socket");
    model.miss(later, true, "no socket");
    assert!(matches!(model.presence, Presence::Gone(since) if since == start));
    model.describe(&examples::description(7, &[], &[]));
    assert!(matches!(model.presence, Presence::Here));
    model.miss(later, false, "no answer");
    assert!(matches!(model.presence, Presence::Silent { since, .. } if since == later));
}

#[test]
fn cycles_stand_still_since_they_were_seen_to_move() {
    let (mut model, start) = (Model::default(), Instant::now());
    let mut counters = Counters::default();
    for (cycles, at) in [(1, 0), (2, 1), (2, 2), (2, 3)] {
        counters.set(Counter::Cycles, cycles);
        model.count(counters.clone(), start + Duration::from_secs(at));
    }
    assert_eq!(model.still_since(), Some(start + Duration::from_secs(1)));
}

#[test]
fn events_are_bounded_and_foreign_text_is_harmless() {
    let mut model = Model::default();
    for cycle in 0..EVENTS_MAX as u64 + 10 {
        model.event(&EventRecord::new(EventKind::Alarm, cycle, cycle));
    }
    assert_eq!((model.events.len(), model.events[0].cycle), (EVENTS_MAX, 10));
    assert_eq!(printable("a\x1b[2Jb\n"), "a?[2Jb?");
}
