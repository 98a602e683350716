use super::*;
use crate::carry::Luggage;
use crate::expression::Op;
use crate::tag::TagId;
use proptest::prelude::*;

const SECOND: Span = Span::from_ms(1000);

fn empty() -> Image {
    Image::new(&[]).unwrap()
}

fn envelope(lo: f64, hi: f64, rate: Rate, kind: ScalarKind) -> Envelope {
    let mut envelope = Envelope::new(LimitsByMode::same(Limits { lo, hi, rate })).unwrap();
    envelope.set_kind(Some(kind));
    envelope
}

/// Range [0, 10], one per second.
fn plain(kind: ScalarKind) -> Envelope {
    envelope(0.0, 10.0, Rate::PerSecond(1.0), kind)
}

fn always(action: InterlockAction) -> Interlock {
    Interlock { condition: Program::new(&[Op::Const(1.0)]).unwrap(), action }
}

fn written(verdict: Verdict) -> (f64, Acted) {
    match verdict {
        Verdict::Write { value, acted } => (value, acted),
        Verdict::Withhold(reason) => panic!("withheld: {reason:?}"),
    }
}

fn judge(envelope: &Envelope, desired: f64, last: f64) -> Verdict {
    envelope.judge(Mode::Run, desired, Some(last), SECOND, &empty())
}

#[test]
fn a_permitted_value_passes_as_it_is() {
    assert_eq!(written(judge(&plain(ScalarKind::Double), 5.3, 5.0)), (5.3, Acted::NOTHING));
}

#[test]
fn f22_f24_range_and_rate_cut_a_value_down() {
    let envelope = plain(ScalarKind::Double);
    assert_eq!(written(judge(&envelope, 8.0, 5.0)), (6.0, Acted::RATE));
    assert_eq!(written(judge(&envelope, 11.0, 9.5)), (10.0, Acted::RANGE));
    assert_eq!(written(judge(&envelope, -1e300, 5.0)), (4.0, Acted::RANGE.with(Acted::RATE)));
}

#[test]
fn f25_a_last_value_out_of_range_is_led_back_at_the_permitted_rate_whatever_is_desired() {
    let envelope = plain(ScalarKind::Double);
    let back = Acted::RATE.with(Acted::RETURNING);
    assert_eq!(written(judge(&envelope, 5.0, 13.0)), (12.0, back));
    assert_eq!(written(judge(&envelope, 13.0, 13.0)), (12.0, back.with(Acted::RANGE)));
    assert_eq!(written(judge(&envelope, 13.0, 10.5)), (10.0, Acted::RANGE.with(Acted::RETURNING)));
    assert_eq!(written(judge(&envelope, -9.0, -0.25)), (0.0, Acted::RANGE.with(Acted::RETURNING)));
}

#[test]
fn every_reason_is_found_again_by_its_number() {
    let found = core::array::from_fn(|at| Withheld::from_number(at as u32 + 1).map_or("none", Withheld::name));
    assert_eq!(
        found,
        [
            "mode",
            "kind_unknown",
            "last_unknown",
            "not_finite",
            "interlock_release",
            "interlock_blocked",
            "resolution",
            "limits_corrupt",
            "operator",
            "none",
        ]
    );
}

#[test]
fn unknowns_are_withheld_with_their_reason() {
    let unknown_kind = Envelope::new(LimitsByMode::same(Limits { lo: 0.0, hi: 1.0, rate: Rate::Unlimited })).unwrap();
    assert_eq!(judge(&unknown_kind, 0.5, 0.5), Verdict::Withhold(Withheld::KindUnknown));
    let known = plain(ScalarKind::Double);
    assert_eq!(known.judge(Mode::Run, 0.5, None, SECOND, &empty()), Verdict::Withhold(Withheld::LastUnknown));
    assert_eq!(judge(&known, 0.5, f64::NAN), Verdict::Withhold(Withheld::LastUnknown));
    assert_eq!(judge(&known, f64::NAN, 0.5), Verdict::Withhold(Withheld::NotFinite));
    assert_eq!(judge(&known, f64::INFINITY, 0.5), Verdict::Withhold(Withheld::NotFinite));
}

#[test]
fn conversion_rounds_towards_the_last_value() {
    let envelope = envelope(0.0, 10.0, Rate::PerSecond(3.0), ScalarKind::Int16);
    assert_eq!(written(judge(&envelope, 6.9, 5.0)), (6.0, Acted::ROUNDED));
    assert_eq!(written(judge(&envelope, 3.1, 5.0)), (4.0, Acted::ROUNDED));
    assert_eq!(written(judge(&envelope, 7.0, 5.0)), (7.0, Acted::NOTHING));
    let (value, _) = written(judge(&plain(ScalarKind::Float), 0.1, 0.0));
    assert!(value < 0.1 && 0.1 - value < 1e-8);
}

#[test]
fn conversion_never_leaves_the_range() {
    let narrow = envelope(4.6, 5.4, Rate::Unlimited, ScalarKind::Int16);
    assert_eq!(written(judge(&narrow, 5.3, 5.0)).0, 5.0);
    let hopeless = envelope(4.2, 4.8, Rate::Unlimited, ScalarKind::Int16);
    assert_eq!(judge(&hopeless, 4.5, 4.5), Verdict::Withhold(Withheld::Resolution));
    assert_eq!(judge(&hopeless, 4.5, 4.0), Verdict::Withhold(Withheld::Resolution));
    assert_eq!(written(judge(&hopeless, 4.5, 2.0)).0, 4.0);
}

#[test]
fn of_two_values_that_a_node_can_hold_the_one_in_range_is_written_and_of_two_outside_the_nearer_one() {
    let narrow = envelope(4.0, 10.5, Rate::PerSecond(2.0), ScalarKind::Int16);
    assert_eq!(written(judge(&narrow, 10.5, 12.0)).0, 10.0);
    assert_eq!(written(judge(&narrow, 7.0, 13.5)).0, 12.0);
    assert_eq!(written(judge(&narrow, 7.0, 1.5)).0, 3.0);
    let narrow = envelope(4.5, 10.0, Rate::PerSecond(2.0), ScalarKind::Int16);
    assert_eq!(written(judge(&narrow, 4.5, 3.0)).0, 5.0);
    // The last value itself is one that the node cannot hold any more: up first.
    assert_eq!(written(judge(&narrow, 6.5, 6.5)), (7.0, Acted::ROUNDED));
}

#[test]
fn a_value_out_of_range_that_does_not_come_nearer_is_not_written() {
    let narrow = envelope(4.0, 10.0, Rate::PerSecond(0.5), ScalarKind::Int16);
    for last in [13.0, 1.0] {
        assert_eq!(judge(&narrow, 7.0, last), Verdict::Withhold(Withheld::Resolution), "{last}");
    }
}

#[test]
fn what_acted_is_told_by_bits_and_what_was_withheld_by_a_name() {
    let all = [Acted::RANGE, Acted::RATE, Acted::INTERLOCK, Acted::ROUNDED, Acted::RETURNING];
    assert_eq!(all.map(Acted::bits), [1, 2, 4, 8, 16]);
    let two = Acted::RANGE.with(Acted::RATE);
    assert_eq!((two.bits(), two.with(Acted::RATE), Acted::NOTHING.bits()), (3, two, 0));
    assert!(two.contains(Acted::RANGE) && two.contains(two) && two.contains(Acted::NOTHING));
    assert!(!two.contains(Acted::INTERLOCK) && !Acted::RANGE.contains(two) && !Acted::NOTHING.contains(Acted::RANGE));
    let names = [
        (Withheld::Mode, "mode"),
        (Withheld::KindUnknown, "kind_unknown"),
        (Withheld::LastUnknown, "last_unknown"),
        (Withheld::NotFinite, "not_finite"),
        (Withheld::InterlockRelease, "interlock_release"),
        (Withheld::InterlockBlocked, "interlock_blocked"),
        (Withheld::Resolution, "resolution"),
        (Withheld::LimitsCorrupt, "limits_corrupt"),
        (Withheld::Operator, "operator"),
    ];
    names.iter().for_each(|(withheld, name)| assert_eq!(withheld.name(), *name));
}

#[test]
fn a_node_coarser_than_the_rate_stays_where_it_is() {
    let slow = envelope(0.0, 10.0, Rate::PerSecond(0.5), ScalarKind::Int16);
    let (value, acted) = written(judge(&slow, 9.0, 5.0));
    assert_eq!((value, acted), (5.0, Acted::RATE.with(Acted::ROUNDED)));
}

#[test]
fn interlocks_block_force_and_release() {
    let with = |actions: &[InterlockAction]| {
        let mut envelope = plain(ScalarKind::Double);
        actions.iter().for_each(|action| envelope.add(always(*action)).unwrap());
        envelope
    };
    let up = with(&[InterlockAction::BlockIncrease]);
    assert_eq!(written(judge(&up, 5.5, 5.0)), (5.0, Acted::INTERLOCK));
    assert_eq!(written(judge(&up, 4.5, 5.0)), (4.5, Acted::NOTHING));
    assert_eq!(judge(&up, 5.0, -1.0), Verdict::Withhold(Withheld::InterlockBlocked));
    let down = with(&[InterlockAction::BlockDecrease]);
    assert_eq!(written(judge(&down, 4.5, 5.0)), (5.0, Acted::INTERLOCK));
    let force = with(&[InterlockAction::Force(2.0), InterlockAction::Force(9.0)]);
    assert_eq!(written(judge(&force, 5.5, 2.5)), (2.0, Acted::INTERLOCK));
    assert_eq!(written(judge(&force, f64::NAN, 5.0)), (4.0, Acted::INTERLOCK.with(Acted::RATE)));
    let release = with(&[InterlockAction::Release]);
    assert_eq!(judge(&release, 5.0, 5.0), Verdict::Withhold(Withheld::InterlockRelease));
    assert!(release.demands_release(&empty()) && !force.demands_release(&empty()));
}

#[test]
fn an_interlock_whose_input_is_missing_counts_as_tripped() {
    let condition = Program::new(&[Op::Tag(TagId::new(0).unwrap()), Op::Const(1e9), Op::Gt]).unwrap();
    let mut envelope = plain(ScalarKind::Double);
    envelope.add(Interlock { condition, action: InterlockAction::BlockIncrease }).unwrap();
    assert_eq!(written(judge(&envelope, 5.5, 5.0)), (5.0, Acted::INTERLOCK));
}

/// Other limits in each mode that writes.
fn by_mode() -> LimitsByMode {
    let limits = |lo, hi| Limits { lo, hi, rate: Rate::Unlimited };
    LimitsByMode { run: limits(0.0, 10.0), hold: limits(2.0, 8.0), fallback: limits(4.0, 6.0) }
}

#[test]
fn each_mode_has_its_limits_and_one_that_does_not_write_gets_nothing_through() {
    let mut envelope = Envelope::new(by_mode()).unwrap();
    envelope.set_kind(Some(ScalarKind::Double));
    let written_in = |mode| match envelope.judge(mode, 99.0, Some(5.0), SECOND, &empty()) {
        Verdict::Write { value, .. } => Ok(value),
        Verdict::Withhold(reason) => Err(reason),
    };
    let expected = [Err(Withheld::Mode), Err(Withheld::Mode), Ok(10.0), Ok(8.0), Ok(6.0), Err(Withheld::Mode)];
    assert_eq!(Mode::ALL.map(written_in), expected);
}

fn with_rates(mut limits: LimitsByMode) -> LimitsByMode {
    for of in [&mut limits.run, &mut limits.hold, &mut limits.fallback] {
        of.rate = Rate::PerSecond(1.0);
    }
    limits
}

fn per_second(limits: &mut Limits) -> &mut f64 {
    match &mut limits.rate {
        Rate::PerSecond(per_second) => per_second,
        Rate::Unlimited => panic!("these limits have a rate"),
    }
}

#[test]
fn f32_a_flipped_bit_in_the_limits_of_any_mode_is_noticed() {
    let flips: [fn(&mut LimitsByMode) -> &mut f64; 9] = [
        |limits| &mut limits.run.lo,
        |limits| &mut limits.run.hi,
        |limits| &mut limits.hold.lo,
        |limits| &mut limits.hold.hi,
        |limits| &mut limits.fallback.lo,
        |limits| &mut limits.fallback.hi,
        |limits| per_second(&mut limits.run),
        |limits| per_second(&mut limits.hold),
        |limits| per_second(&mut limits.fallback),
    ];
    for flip in flips {
        for bit in 0..64 {
            let mut envelope = Envelope::new(with_rates(by_mode())).unwrap();
            envelope.set_kind(Some(ScalarKind::Double));
            let number = flip(&mut envelope.limits);
            *number = f64::from_bits(number.to_bits() ^ (1 << bit));
            assert!(!envelope.intact());
            assert_eq!(judge(&envelope, 5.0, 5.0), Verdict::Withhold(Withheld::LimitsCorrupt));
            // The same bit in another number takes nothing back.
            let other = &mut envelope.limits.run.hi;
            *other = f64::from_bits(other.to_bits() ^ (1 << bit));
            assert!(envelope.limits == with_rates(by_mode()) || !envelope.intact());
        }
    }
}

#[test]
fn the_copy_of_the_limits_is_their_inversion_so_that_no_stuck_bit_is_in_both() {
    let rates = [(Rate::PerSecond(0.25), 0.25), (Rate::Unlimited, f64::INFINITY)];
    for (rate, number) in rates {
        let envelope = envelope(1.5, 2.5, rate, ScalarKind::Double);
        assert_eq!(envelope.inverted, [[1.5, 2.5, number].map(|stored: f64| !stored.to_bits()); 3]);
    }
}

#[test]
fn limits_and_data_type_are_carried_to_whoever_goes_on() {
    let mut known = Envelope::new(by_mode()).unwrap();
    known.set_kind(Some(ScalarKind::Int32));
    let mut other = plain(ScalarKind::Double);
    Luggage::pack(|luggage| known.carry(luggage)).unpack(|luggage| other.carry(luggage));
    assert_eq!(other, known);
}

#[test]
fn rounding_alone_curbs_nothing() {
    let curbs = [Acted::RANGE, Acted::RATE, Acted::INTERLOCK, Acted::RETURNING];
    assert!(curbs.iter().all(|acted| acted.curbed() && acted.with(Acted::ROUNDED).curbed()));
    assert!(!Acted::ROUNDED.curbed() && !Acted::NOTHING.curbed());
}

#[test]
fn impossible_limits_and_interlocks_are_refused() {
    let limits = |lo, hi, rate| Envelope::new(LimitsByMode::same(Limits { lo, hi, rate }));
    assert!(matches!(limits(1.0, 0.0, Rate::Unlimited), Err(EnvelopeError::Range { .. })));
    assert!(matches!(limits(f64::NAN, 0.0, Rate::Unlimited), Err(EnvelopeError::Range { .. })));
    for per_second in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(limits(0.0, 1.0, Rate::PerSecond(per_second)), Err(EnvelopeError::Rate { .. })));
    }
    let reversed = Limits { lo: 1.0, hi: 0.0, rate: Rate::Unlimited };
    let one_is = [
        LimitsByMode { run: reversed, ..by_mode() },
        LimitsByMode { hold: reversed, ..by_mode() },
        LimitsByMode { fallback: reversed, ..by_mode() },
    ];
    assert!(one_is.iter().all(|limits| matches!(Envelope::new(*limits), Err(EnvelopeError::Range { .. }))));
    let mut full = plain(ScalarKind::Double);
    let blocks = always(InterlockAction::BlockIncrease);
    assert!((0..INTERLOCKS_MAX).all(|_| full.add(blocks).is_ok()));
    assert_eq!(full.add(blocks), Err(EnvelopeError::TooManyInterlocks));
    let force = always(InterlockAction::Force(f64::INFINITY));
    assert!(matches!(plain(ScalarKind::Double).add(force), Err(EnvelopeError::Force { .. })));
}

/// Ordinary numbers, and the ones that break careless arithmetic.
fn number() -> impl Strategy<Value = f64> {
    let nasty = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        0.5,
        1e-308,
        -5e-324,
        f64::MAX,
        f64::MIN,
        f64::EPSILON,
        9_007_199_254_740_993.0,
        9.3e18,
        -9.3e18,
        1.8e19,
        3.5e38,
        -3.5e38,
        255.5,
        -128.5,
        32_767.25,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    prop_oneof![
        3 => -20.0..20.0,
        2 => (-40_i32..40).prop_map(|half| f64::from(half) * 0.5),
        2 => prop::sample::select(nasty.to_vec()),
        1 => any::<f64>(),
    ]
}

fn finite() -> impl Strategy<Value = f64> {
    number().prop_filter("finite", |value| value.is_finite())
}

fn range() -> impl Strategy<Value = (f64, f64)> {
    (finite(), finite()).prop_map(|(a, b)| if a <= b { (a, b) } else { (b, a) })
}

fn rate() -> impl Strategy<Value = Rate> {
    prop_oneof![
        4 => number().prop_map(|rate| {
            if rate.is_finite() && rate != 0.0 { Rate::PerSecond(rate.abs()) } else { Rate::PerSecond(1.0) }
        }),
        1 => Just(Rate::Unlimited),
    ]
}

fn step(rate: Rate, dt: Span) -> f64 {
    match rate {
        Rate::PerSecond(rate) => rate * dt.as_seconds(),
        Rate::Unlimited => f64::INFINITY,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn what_is_written_keeps_the_invariants(
        (lo, hi) in range(),
        rate in rate(),
        kind in prop::sample::select(ScalarKind::ALL.to_vec()),
        last in prop::option::weighted(0.95, number()),
        (desired, at_edge) in (number(), 0_u8..5),
        dt_ns in prop_oneof![Just(1_000_000_u64), Just(0), Just(1_000_000_000), 0_u64..2_000_000_000],
        (up, down) in (prop::bool::weighted(0.2), prop::bool::weighted(0.2)),
    ) {
        let dt = Span::from_ns(dt_ns);
        let step = step(rate, dt);
        let mut envelope = envelope(lo, hi, rate, kind);
        if up { envelope.add(always(InterlockAction::BlockIncrease)).unwrap(); }
        if down { envelope.add(always(InterlockAction::BlockDecrease)).unwrap(); }
        // Some of the wishes lie exactly at, or one unit beside, the edge of what the rate permits.
        let edge = last.unwrap_or(0.0) + if desired < 0.0 { -step } else { step };
        let desired = match at_edge {
            0 => edge,
            1 => edge.next_up(),
            2 => edge.next_down(),
            _ => desired,
        };
        let verdict = envelope.judge(Mode::Run, desired, last, dt, &empty());
        let known = last.filter(|last| last.is_finite());
        let (value, acted) = match (verdict, known) {
            (Verdict::Write { value, acted }, Some(_)) => (value, acted),
            (Verdict::Write { .. }, None) => return Err(TestCaseError::fail("wrote without a last value")),
            (Verdict::Withhold(reason), known) => {
                // From inside the range, on a value that the node holds, there is always something to write.
                let stands = known.is_some_and(|last| lo <= last && last <= hi && kind.holds(last));
                prop_assert!(!stands || !desired.is_finite(), "withheld for {:?}", reason);
                return Ok(());
            }
        };
        let last = known.unwrap();
        prop_assert!(value.is_finite() && kind.holds(value));
        prop_assert!((value - last).abs() <= step, "I2: {} -> {} by {}", last, value, step);
        prop_assert!((!up || value <= last) && (!down || value >= last));
        let inside = lo <= value && value <= hi;
        // As far as the rate permits, but for the rounding of one addition and one subtraction.
        let magnitude = value.abs().max(last.abs()).max(step);
        let full_step = step - (value - last).abs() <= 2.0 * (magnitude.next_up() - magnitude);
        if last < lo {
            prop_assert!(last < value && value <= hi);
            prop_assert!(inside || kind != ScalarKind::Double || full_step, "I1: could be nearer");
        } else if last > hi {
            prop_assert!(lo <= value && value < last);
            prop_assert!(inside || kind != ScalarKind::Double || full_step, "I1: could be nearer");
        } else {
            prop_assert!(inside, "I1");
        }
        prop_assert!(acted != Acted::NOTHING || value.to_bits() == desired.to_bits());
    }

    #[test]
    fn what_is_permitted_passes_bit_for_bit(
        (lo, hi) in range(),
        rate in rate(),
        kind in prop::sample::select(ScalarKind::ALL.to_vec()),
        (last, desired) in (finite(), 0.0..=1.0),
        dt_ns in 0_u64..2_000_000_000,
    ) {
        let dt = Span::from_ns(dt_ns);
        let last = last.clamp(lo, hi);
        let reach = step(rate, dt).min(1e300);
        let (from, to) = ((last - reach).max(lo), (last + reach).min(hi));
        let desired = from + (to - from) * desired;
        let Some(desired) = kind.round_down(desired) else { return Ok(()) };
        let permitted = lo <= desired && desired <= hi && (desired - last).abs() <= step(rate, dt);
        if !permitted {
            return Ok(());
        }
        let (value, acted) = written(envelope(lo, hi, rate, kind).judge(Mode::Run, desired, Some(last), dt, &empty()));
        prop_assert_eq!(value.to_bits(), desired.to_bits());
        prop_assert_eq!(acted, Acted::NOTHING);
    }

    #[test]
    fn f25_limits_that_shrink_lead_the_value_back_without_a_jump(
        start in -50.0..50.0_f64,
        (lo, width) in (-20.0..20.0_f64, 0.0..10.0_f64),
        wishes in prop::collection::vec(number(), 120),
    ) {
        let mut envelope = envelope(-50.0, 50.0, Rate::PerSecond(1.0), ScalarKind::Double);
        let hi = lo + width;
        envelope.set_limits(LimitsByMode::same(Limits { lo, hi, rate: Rate::PerSecond(1.0) })).unwrap();
        let distance = |value: f64| (lo - value).max(value - hi).max(0.0);
        let mut last = start;
        for wish in wishes {
            if let Verdict::Write { value, .. } = judge(&envelope, wish, last) {
                prop_assert!((value - last).abs() <= 1.0);
                prop_assert!(distance(value) <= (distance(last) - 0.999_999).max(0.0));
                last = value;
            }
        }
    }
}
