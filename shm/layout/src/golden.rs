//! The ABI as numbers. A failure here means: another program, built before, reads other bytes.
//! If that is intended, raise `LAYOUT_VERSION` and write the new numbers down.

use core::mem::{align_of, offset_of, size_of};

use crate::*;

/// Asserts the size, the alignment and every offset of a structure.
macro_rules! golden {
    ($name:ident: size $size:literal, align $align:literal { $($field:ident @ $offset:literal,)+ }) => {
        assert_eq!(size_of::<$name>(), $size, concat!("size of ", stringify!($name)));
        assert_eq!(align_of::<$name>(), $align, concat!("align of ", stringify!($name)));
        $(assert_eq!(
            offset_of!($name, $field), $offset,
            concat!(stringify!($name), ".", stringify!($field))
        );)+
        let documented = crate::description::fields($name::DESCRIPTION);
        $(assert!(
            documented.iter().any(|(name, _, offset)| name == stringify!($field) && *offset == $offset),
            concat!(stringify!($name), ".", stringify!($field), " is documented elsewhere")
        );)+
        let fields = [$(stringify!($field)),+].len();
        assert_eq!(
            $name::DESCRIPTION.matches(';').count() - $name::DESCRIPTION.matches("; ").count(),
            fields,
            concat!("every field of ", stringify!($name), " is listed")
        );
    };
}

#[test]
fn the_segment_header_is_where_it_always_was() {
    golden!(SegmentHeader: size 128, align 8 {
        magic @ 0, layout_hash @ 8, layout_version @ 16, kind @ 20, generation @ 24,
        length_bytes @ 32, slot_words @ 40, slots @ 44, owner_pid @ 48, reserved_a @ 52,
        owner_nonce @ 56, created_monotonic_ns @ 64, dims @ 72, reserved_b @ 88, checksum @ 120,
    });
    assert_eq!((CLAIM_WORD, CONTROL_WORD, DATA_WORD), (16, 32, 64));
}

#[test]
fn the_weights_header_is_where_it_always_was() {
    golden!(WeightsHeader: size 256, align 8 {
        magic @ 0, version @ 8, layers @ 12, epoch @ 16, generation @ 24, updates @ 32,
        tag_list_hash @ 40, payload_bytes @ 48, checksum @ 56, flags @ 72, imputer_layers @ 76,
        dims @ 80, reserved_b @ 208,
    });
    golden!(LayerDims: size 16, align 4 {
        inputs @ 0, outputs @ 4, activation @ 8, reserved @ 12,
    });
}

#[test]
fn the_cycle_record_is_where_it_always_was() {
    golden!(CycleHead: size 96, align 8 {
        cycle @ 0, release_ns @ 8, dt_ns @ 16, policy_generation @ 24, reward @ 32,
        lateness_ns @ 40, execution_ns @ 44, response_ns @ 48, skipped @ 52,
        samples_drained @ 56, samples_lost @ 60, n_setpoints @ 64, n_tags @ 68, cause @ 72,
        flags @ 76, mode @ 78, mode_previous @ 79, zone_depth @ 80, goal @ 88, zone_tag @ 90, zone @ 92, reserved @ 93,
    });
    golden!(SetpointPart: size 48, align 8 {
        desired @ 0, sent @ 8, last @ 16, readback @ 24, acted @ 32, state @ 36,
        reply @ 40, reserved @ 44,
    });
    golden!(TagPart: size 32, align 8 {
        value @ 0, age_ns @ 8, source_time @ 16, quality @ 24, stale @ 25, reserved @ 26,
    });
}

#[test]
fn the_step_and_the_event_are_where_they_always_were() {
    golden!(StepHead: size 56, align 8 {
        cycle @ 0, time_ns @ 8, sequence @ 16, reward @ 24, policy_generation @ 32, flags @ 40,
        n_state @ 44, n_action @ 48, mode @ 52, reserved @ 53,
    });
    golden!(EstimateRecord: size 40, align 8 {
        cycle @ 0, updates @ 8, value @ 16, spread @ 24, nominal_value @ 32,
    });
    golden!(EventRecord: size 128, align 8 {
        cycle @ 0, time_ns @ 8, kind @ 16, cause @ 20, uid @ 24, reserved_a @ 28, a @ 32, b @ 40,
        text @ 48, reserved_b @ 112,
    });
}

#[test]
fn tables_and_histogram_have_their_sizes() {
    assert_eq!((SegmentKind::COUNT, HistogramKind::COUNT), (12, 4));
    assert_eq!((RoundTrip::COUNT, LearnerHistogram::COUNT, ConnectionCounter::COUNT), (3, 1, 10));
    assert_eq!(RoundTrip::Exchange.slot(2), 8);
    assert_eq!((crate::step::PER_ACTION, ESTIMATE_WORDS), (6, 5));
    assert_eq!((HISTOGRAM_BUCKETS, HISTOGRAM_WORDS), (1152, 1155));
}

#[test]
fn the_layout_hash_belongs_to_this_version() {
    assert_eq!((LAYOUT_VERSION, LAYOUT_HASH), (11, 13_182_824_408_829_042_970));
}
