use super::*;
use crate::tag::{Spike, ne43_band};
use proptest::prelude::*;
use std::vec::Vec;

const PLAIN: TagSettings = TagSettings {
    required: true,
    stale_after: Span::from_ms(100),
    substitute_for: Span::from_ms(30),
    source_time_advancing: false,
    sound: None,
    spike: None,
    frozen_after: None,
};

/// An image of tags that never grow old, with these values; one that is not finite is missing.
pub(crate) fn image_of(values: &[f64]) -> Image {
    let ageless = TagSettings { stale_after: Span::MAX, ..PLAIN };
    let mut image = Image::new(&std::vec![ageless; values.len()]).unwrap();
    for (index, value) in values.iter().enumerate() {
        set(&mut image, index, *value);
    }
    image
}

/// Another value for a tag.
pub(crate) fn set(image: &mut Image, index: usize, value: f64) {
    let tag = TagId::new(index).unwrap();
    let received = image.now();
    assert!(image.receive(&Sample { tag, value, quality: Quality::Good, received, source_time: 0 }));
}

fn tag() -> TagId {
    TagId::new(0).unwrap()
}

fn at(ms: u64) -> MonoTime {
    MonoTime::ZERO + Span::from_ms(ms)
}

fn sample(value: f64, quality: Quality, ms: u64) -> Sample {
    Sample { tag: tag(), value, quality, received: at(ms), source_time: 0 }
}

fn image(settings: TagSettings, samples: &[Sample], now_ms: u64) -> Image {
    let mut image = Image::new(&[settings]).unwrap();
    for sample in samples {
        assert!(image.receive(sample));
    }
    image.advance(at(now_ms));
    image
}

#[test]
fn a_tag_that_was_never_heard_of_is_stale() {
    let image = image(PLAIN, &[], 0);
    assert_eq!(image.judge(tag()), Err(Missing::Stale));
    assert_eq!(image.required_missing(), Some((tag(), Missing::Stale)));
    assert_eq!(image.reading(tag()).age, Span::MAX);
}

#[test]
fn f64_a_good_value_is_used_until_it_is_stale() {
    let image = |now_ms| image(PLAIN, &[sample(3.5, Quality::Good, 10)], now_ms);
    assert_eq!(image(110).usable(tag()), Some(3.5));
    assert_eq!(image(111).judge(tag()), Err(Missing::Stale));
    assert_eq!(image(111).read_back(tag()), None);
}

#[test]
fn f52_an_uncertain_value_is_replaced_by_the_last_good_one_for_a_while() {
    let image = |now_ms| image(PLAIN, &[sample(3.5, Quality::Good, 10), sample(9.0, Quality::Uncertain, 20)], now_ms);
    assert_eq!(image(40).usable(tag()), Some(3.5));
    assert_eq!(image(40).reading(tag()).quality, Quality::Uncertain);
    assert_eq!(image(40).read_back(tag()), None);
    assert_eq!(image(41).judge(tag()), Err(Missing::Bad));
    assert!(image(41).reading(tag()).value.is_nan());
}

#[test]
fn an_uncertain_value_without_a_good_one_before_it_is_bad() {
    assert_eq!(image(PLAIN, &[sample(9.0, Quality::Uncertain, 20)], 20).judge(tag()), Err(Missing::Bad));
}

#[test]
fn f60_a_value_that_is_not_finite_is_bad_whatever_its_quality() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for quality in [Quality::Good, Quality::Uncertain, Quality::Bad] {
            let image = image(PLAIN, &[sample(1.0, Quality::Good, 0), sample(value, quality, 1)], 1);
            assert_eq!(image.judge(tag()), Err(Missing::Bad));
        }
    }
}

#[test]
fn f64_age_counts_from_the_last_receipt_whose_source_time_advanced() {
    let settings = TagSettings { source_time_advancing: true, ..PLAIN };
    let stamped = |ms, source_time| Sample { source_time, ..sample(1.0, Quality::Good, ms) };
    let frozen = image(settings, &[stamped(0, 77), stamped(50, 77), stamped(90, 77)], 101);
    assert_eq!(frozen.judge(tag()), Err(Missing::Stale));
    let set_back = image(settings, &[stamped(0, 77), stamped(50, 5), stamped(90, 6)], 101);
    assert_eq!(set_back.reading(tag()).age, Span::from_ms(11));
    let without = image(settings, &[stamped(0, 0), stamped(50, 0)], 50);
    assert_eq!(without.judge(tag()), Err(Missing::Stale));
}

#[test]
fn a_tag_that_the_image_does_not_have_is_refused() {
    let mut image = image(PLAIN, &[], 0);
    let foreign = TagId::new(1).unwrap();
    assert!(!image.receive(&Sample { tag: foreign, ..sample(1.0, Quality::Good, 0) }));
    assert_eq!(image.usable(foreign), None);
    assert_eq!(Image::new(&[PLAIN; TAGS_MAX + 1]).err(), Some(TooManyTags { count: TAGS_MAX + 1 }));
}

#[test]
fn f61_a_value_that_no_sound_sensor_gives_is_bad() {
    // 4 to 20 mA are 0 to 100 %.
    let settings = TagSettings { sound: Some(ne43_band(0.0, 100.0)), ..PLAIN };
    let judged = |value| image(settings, &[sample(50.0, Quality::Good, 0), sample(value, Quality::Good, 1)], 1);
    for value in [-1.25, -0.5, 0.0, 103.125] {
        assert_eq!(judged(value).usable(tag()), Some(value));
    }
    for value in [-1.26, 103.13, 105.0, f64::MAX] {
        assert_eq!(judged(value).judge(tag()), Err(Missing::Bad), "{value}");
    }
}

const SPIKY: TagSettings = TagSettings { spike: Some(Spike { step: 2.0, samples: 3 }), ..PLAIN };

#[test]
fn f62_a_spike_is_replaced_by_the_last_good_value() {
    let image = image(SPIKY, &[sample(5.0, Quality::Good, 0), sample(500.0, Quality::Good, 1)], 1);
    assert_eq!((image.usable(tag()), image.reading(tag()).quality), (Some(5.0), Quality::Uncertain));
    assert_eq!(image.read_back(tag()), None);
}

#[test]
fn f62_a_jump_is_believed_once_enough_samples_have_shown_it() {
    let judged = |values: &[f64]| {
        let samples: Vec<_> = (0..).zip(values).map(|(ms, value)| sample(*value, Quality::Good, ms)).collect();
        image(SPIKY, &samples, values.len() as u64).usable(tag())
    };
    assert_eq!(judged(&[5.0, 9.0, 9.5]), Some(5.0));
    assert_eq!(judged(&[5.0, 9.0, 9.5, 10.0]), Some(10.0));
    assert_eq!(judged(&[5.0, 9.0, 9.0, 5.0, 9.0, 9.0]), Some(5.0), "not in a row");
    assert_eq!(judged(&[5.0, 9.0, 90.0, 900.0]), Some(5.0), "each another one");
    assert_eq!(judged(&[5.0, 7.0, 9.0, 11.0]), Some(11.0), "no jumps");
    assert_eq!(judged(&[9.0]), Some(9.0), "the first value is no jump");
}

#[test]
fn f62_one_sample_that_is_read_again_confirms_nothing() {
    let stamped = |value, ms, source_time| Sample { source_time, ..sample(value, Quality::Good, ms) };
    let mut samples = Vec::from([stamped(5.0, 0, 1)]);
    samples.extend((1..9).map(|ms| stamped(9.0, ms, 2)));
    assert_eq!(image(SPIKY, &samples, 9).usable(tag()), Some(5.0));
    samples.extend([stamped(9.0, 10, 3), stamped(9.0, 11, 4)]);
    assert_eq!(image(SPIKY, &samples, 11).usable(tag()), Some(9.0));
}

#[test]
fn f59_a_value_that_stays_the_same_for_too_long_is_uncertain_and_then_bad() {
    let settings = TagSettings { frozen_after: Some(Span::from_ms(50)), ..PLAIN };
    let frozen = |ms: u64| {
        let samples: Vec<_> = (0..=ms).map(|ms| sample(7.0, Quality::Good, ms)).collect();
        image(settings, &samples, ms)
    };
    assert_eq!(frozen(50).reading(tag()).quality, Quality::Good);
    assert_eq!((frozen(51).reading(tag()).quality, frozen(80).usable(tag())), (Quality::Uncertain, Some(7.0)));
    assert_eq!(frozen(81).judge(tag()), Err(Missing::Bad));
    let samples: Vec<_> = (0..200).map(|ms| sample((ms / 40) as f64, Quality::Good, ms)).collect();
    assert_eq!(image(settings, &samples, 199).reading(tag()).quality, Quality::Good, "it moves now and then");
    assert_eq!(image(PLAIN, &[sample(7.0, Quality::Good, 0); 2], 90).usable(tag()), Some(7.0), "off unless set");
}

#[test]
fn a_source_timestamp_is_that_of_a_good_and_fresh_value() {
    let stamped = |ms, source_time, quality| Sample { source_time, ..sample(1.0, quality, ms) };
    let shown = |source_time, quality, ms| image(PLAIN, &[stamped(0, source_time, quality)], ms).source_time(tag());
    assert_eq!(shown(7, Quality::Good, 0), Some(7));
    assert_eq!(shown(7, Quality::Uncertain, 0), None);
    assert_eq!(shown(7, Quality::Bad, 0), None);
    assert_eq!(shown(0, Quality::Good, 0), None);
    assert_eq!(shown(-7, Quality::Good, 0), None);
    assert_eq!(shown(7, Quality::Good, 1_000_000), None);
    assert_eq!(image(PLAIN, &[], 0).source_time(tag()), None);
    // What is recorded is what the source said, whatever became of the value.
    let read = |quality, ms| image(PLAIN, &[stamped(0, 7, quality)], ms).reading(tag()).source_time;
    assert_eq!([read(Quality::Good, 0), read(Quality::Bad, 0), read(Quality::Good, 1_000_000)], [7; 3]);
}

#[test]
fn f65_source_timestamps_that_go_back_or_vanish_are_counted_and_change_nothing_else() {
    let stamped = |ms, source_time| Sample { source_time, ..sample(ms as f64, Quality::Good, ms) };
    let far_future = i64::MAX;
    let times = [(0, 0), (1, 100), (2, far_future), (3, 101), (4, 102), (5, 0), (6, 0)];
    let image = image(PLAIN, &times.map(|(ms, source_time)| stamped(ms, source_time)), 6);
    assert_eq!((image.odd_times(), image.usable(tag())), (2, Some(6.0)));
}

#[test]
fn settings_may_change_while_samples_come_in() {
    let mut image = image(PLAIN, &[sample(3.0, Quality::Good, 0)], 50);
    assert!(image.set_settings(tag(), TagSettings { stale_after: Span::from_ms(40), ..PLAIN }));
    assert_eq!(image.judge(tag()), Err(Missing::Stale));
    assert!(!image.set_settings(TagId::new(1).unwrap(), PLAIN));
}

proptest! {
    #[test]
    fn a_usable_value_is_finite_and_was_good_not_long_ago(
        samples in prop::collection::vec((any::<f64>(), 0_u8..3, 0_u64..40), 0..30),
        wait in 0_u64..150,
    ) {
        let mut image = Image::new(&[PLAIN]).unwrap();
        let mut now = 0;
        let mut good = None;
        for (value, quality, pause) in samples {
            now += pause;
            let quality = [Quality::Good, Quality::Uncertain, Quality::Bad][usize::from(quality)];
            image.receive(&sample(value, quality, now));
            if quality == Quality::Good && value.is_finite() {
                good = Some((value, now));
            }
        }
        now += wait;
        image.advance(at(now));
        if let Some(usable) = image.usable(tag()) {
            let (value, when) = good.unwrap();
            prop_assert_eq!(usable.to_bits(), value.to_bits());
            prop_assert!(now - when <= 100);
        }
    }
}
