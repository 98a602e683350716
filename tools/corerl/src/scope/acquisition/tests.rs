use proptest::prelude::*;

use super::*;

/// Nanoseconds from cycle to cycle.
const T: u64 = 1_000_000;

fn sample(cycle: u64) -> Sample {
    Sample { cycle, time_ns: cycle * T, lost: 0, skipped: 0, values: [cycle as f64; CHANNELS_MAX] }
}

fn armed(span: u64, pre: f64, repeat: Repeat) -> Acquisition {
    let mut acquisition = Acquisition::new(Timing::new(span * T, pre), repeat);
    acquisition.arm();
    acquisition
}

/// Cycles of the sweeps that come of these samples, and the cycles of their triggers.
fn sweeps(acquisition: &mut Acquisition, cycles: std::ops::Range<u64>, triggers: &[u64]) -> Vec<(Vec<u64>, u64)> {
    let taken = cycles.filter_map(|cycle| acquisition.push(sample(cycle), triggers.contains(&cycle)));
    taken.map(|capture| (cycles_of(&capture), capture.frame.trigger_ns / T)).collect()
}

fn cycles_of(capture: &Capture) -> Vec<u64> {
    capture.samples.iter().map(|sample| sample.cycle).collect()
}

#[test]
fn the_trigger_lies_where_the_share_says() {
    let mut acquisition = armed(10, 0.3, Repeat::Normal);
    assert_eq!(sweeps(&mut acquisition, 0..40, &[20]), [((17..27).collect(), 20)]);
    let mut acquisition = armed(10, 0.0, Repeat::Normal);
    assert_eq!(sweeps(&mut acquisition, 0..40, &[20]), [((20..30).collect(), 20)]);
    let mut acquisition = armed(10, 1.0, Repeat::Normal);
    assert_eq!(sweeps(&mut acquisition, 0..40, &[20]), [((10..=20).collect(), 20)]);
}

#[test]
fn a_trigger_counts_before_there_is_enough_before_it() {
    let mut acquisition = armed(10, 0.5, Repeat::Single);
    assert_eq!(sweeps(&mut acquisition, 100..120, &[101]), [((100..106).collect(), 101)]);
}

#[test]
fn what_the_runtime_remembers_lies_before_the_trigger_and_is_none() {
    let mut acquisition = Acquisition::new(Timing::new(10 * T, 0.5), Repeat::Single);
    assert_eq!(sweeps(&mut acquisition, 0..20, &[15]), []);
    acquisition.arm();
    assert_eq!(sweeps(&mut acquisition, 20..40, &[21, 22]), [((16..26).collect(), 21)]);
    assert_eq!((acquisition.state(), sweeps(&mut acquisition, 40..60, &[45])), (State::Stopped, vec![]));
}

#[test]
fn sweeps_follow_each_other_without_a_sample_between_them_that_cannot_trigger() {
    let mut acquisition = armed(10, 0.2, Repeat::Normal);
    let triggers: Vec<u64> = (0..100).collect();
    let found = sweeps(&mut acquisition, 0..30, &triggers);
    assert_eq!(found.iter().map(|(_, trigger)| *trigger).collect::<Vec<_>>(), [0, 8, 16]);
    assert_eq!(found[1].0, (6..16).collect::<Vec<_>>(), "the time before a trigger may be another sweep's");
}

#[test]
fn without_triggers_a_continuous_scope_sweeps_by_itself_and_a_normal_one_waits() {
    let found = sweeps(&mut armed(10, 0.2, Repeat::Continuous), 0..60, &[]);
    assert_eq!(found.iter().map(|(_, trigger)| *trigger).collect::<Vec<_>>(), [10, 28, 46]);
    assert_eq!(sweeps(&mut armed(10, 0.2, Repeat::Normal), 0..60, &[]), []);
}

#[test]
fn an_event_triggers_at_its_record_whether_that_has_come_or_not() {
    for pushed_before in [15, 19, 21, 25] {
        let mut acquisition = armed(10, 0.5, Repeat::Single);
        assert_eq!(sweeps(&mut acquisition, 0..pushed_before, &[]), []);
        acquisition.event(20);
        assert_eq!(sweeps(&mut acquisition, pushed_before..40, &[]), [((15..25).collect(), 20)]);
    }
    let mut acquisition = Acquisition::new(Timing::new(10 * T, 0.5), Repeat::Single);
    assert_eq!(sweeps(&mut acquisition, 0..25, &[]), []);
    acquisition.arm();
    acquisition.event(20);
    assert_eq!(sweeps(&mut acquisition, 25..50, &[]), [], "it happened before anybody waited");
}

#[test]
fn a_sweep_whose_runtime_ends_is_kept_as_far_as_it_came_and_the_next_runtime_is_waited_for() {
    let mut acquisition = armed(10, 0.5, Repeat::Normal);
    assert_eq!(sweeps(&mut acquisition, 0..22, &[20]), []);
    let capture = acquisition.end().unwrap();
    assert_eq!((cycles_of(&capture), capture.ended), ((15..22).collect(), true));
    assert_eq!(acquisition.end(), None);
    assert_eq!(acquisition.samples().len(), 22, "they stay to be looked at");
    assert_eq!(sweeps(&mut acquisition, 0..20, &[3]), [((0..8).collect(), 3)], "numbers may begin anew");

    assert_eq!(acquisition.end(), None);
    acquisition.event(4);
    let later = (0..20).map(|cycle| Sample { time_ns: (100 + cycle) * T, ..sample(cycle) });
    let capture = later.filter_map(|sample| acquisition.push(sample, false)).next().unwrap();
    assert_eq!(
        cycles_of(&capture),
        (0..9).collect::<Vec<_>>(),
        "an event of the next runtime is none of the one before"
    );
}

#[test]
fn a_forced_sweep_says_that_there_was_no_trigger() {
    let mut acquisition = armed(10, 0.5, Repeat::Single);
    assert_eq!(sweeps(&mut acquisition, 0..20, &[]), []);
    acquisition.force();
    let capture = (20..40).find_map(|cycle| acquisition.push(sample(cycle), false)).unwrap();
    assert_eq!((cycles_of(&capture), capture.frame.triggered), ((14..24).collect(), false));
}

proptest! {
    /// Whatever triggers, and wherever slots are skipped: every sample of a sweep's frame is in it once.
    #[test]
    fn no_sample_is_counted_twice_or_left_out(
        skips in prop::collection::vec(0u64..4, 20..200),
        triggers in prop::collection::vec(any::<bool>(), 200),
        span in 1u64..40,
        pre in 0.0..=1.0,
    ) {
        let mut acquisition = armed(span, pre, Repeat::Normal);
        let mut cycle = 0;
        let mut pushed = Vec::new();
        for (skip, triggers) in skips.iter().zip(triggers) {
            cycle += 1 + skip;
            let sample = Sample { skipped: *skip as u32, ..sample(cycle) };
            if let Some(capture) = acquisition.push(sample, triggers) {
                let frame = capture.frame;
                let within = |sample: &&Sample| (frame.start_ns()..frame.end_ns()).contains(&sample.time_ns);
                let expected: Vec<Sample> = pushed.iter().filter(within).copied().collect();
                prop_assert_eq!(&capture.samples, &expected);
                prop_assert_eq!(capture.at_trigger().unwrap().time_ns, frame.trigger_ns);
                let before = frame.trigger_ns.saturating_sub(frame.start_ns());
                prop_assert!(before == frame.pre_ns || frame.start_ns() == 0);
            }
            pushed.push(sample);
        }
        let kept = acquisition.samples();
        prop_assert_eq!(kept, &pushed[pushed.len() - kept.len()..]);
    }
}
