//! The envelope alone against policies: one that means harm, of whose millions of wishes not one breaks an invariant; and one
//! that keeps to the rules, which must not be noticed.
//!
//! `CORERL_SOAK_COUNT` and `CORERL_SOAK_SEED` set another number of wishes and another chance: `cargo xtask soak`.

use rt_core::envelope::{Acted, Envelope, Interlock, InterlockAction, Limits, LimitsByMode, Verdict};
use rt_core::expression::{Op, Program};
use rt_core::image::Image;
use rt_core::mode::Mode;
use rt_core::setpoint::{Rate, ScalarKind};
use rt_core::time::Span;

const STEPS: u64 = 10_000_000;
/// Actions that keep to the rules.
const ACTIONS: u64 = 1_000_000;
/// Steps between two changes of limits, kind and interlocks.
const REGIME: u64 = 1_000;

/// What a soak asks for, or `usual`.
fn asked(name: &str, usual: u64) -> u64 {
    let parsed = |text: String| text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, which is no number"));
    std::env::var(name).map_or(usual, parsed)
}

/// xorshift64*.
struct Malice(u64);

impl Malice {
    fn new() -> Self {
        Self(0xbad_5eed ^ asked("CORERL_SOAK_SEED", 0))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 33) % bound
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Ordinary numbers, edges, and any pattern of bits.
    fn number(&mut self, edge: f64) -> f64 {
        match self.below(8) {
            0 => f64::from_bits(self.next()),
            1 => edge,
            2 => edge.next_up(),
            3 => edge.next_down(),
            4 => -edge,
            5 => self.unit() * 1e6 - 5e5,
            _ => self.unit() * 20.0 - 5.0,
        }
    }
}

/// What holds between two changes.
struct Regime {
    envelope: Envelope,
    limits: Limits,
    kind: ScalarKind,
    may_rise: bool,
    may_fall: bool,
}

impl Regime {
    fn new(malice: &mut Malice) -> Self {
        let (a, b) = (malice.unit() * 300.0 - 100.0, malice.unit() * 300.0 - 100.0);
        let rate = if malice.below(8) == 0 { Rate::Unlimited } else { Rate::PerSecond(malice.unit() * 5_000.0 + 1e-9) };
        let limits = Limits { lo: a.min(b), hi: a.max(b), rate };
        let kind = ScalarKind::ALL[malice.below(11) as usize];
        let mut envelope = Envelope::new(LimitsByMode::same(limits)).unwrap();
        envelope.set_kind(Some(kind));
        let (may_rise, may_fall) = (malice.below(6) != 0, malice.below(6) != 0);
        let blocks = [(may_rise, InterlockAction::BlockIncrease), (may_fall, InterlockAction::BlockDecrease)];
        for (_, action) in blocks.into_iter().filter(|(may, _)| !may) {
            let condition = Program::new(&[Op::Const(1.0)]).unwrap();
            envelope.add(Interlock { condition, action }).unwrap();
        }
        Self { envelope, limits, kind, may_rise, may_fall }
    }

    fn check(&self, last: f64, sent: f64, dt: Span) {
        let Limits { lo, hi, rate } = self.limits;
        let step = match rate {
            Rate::PerSecond(rate) => rate * dt.as_seconds(),
            Rate::Unlimited => f64::INFINITY,
        };
        // Compared themselves: the distances of neighbours may round to the same number.
        let nearer = (last < sent && sent < lo) || (hi < sent && sent < last);
        assert!(sent.is_finite() && self.kind.holds(sent), "I3: {sent} in {:?}", self.kind);
        assert!(lo <= sent && sent <= hi || nearer, "I1: {last} -> {sent} in [{lo}, {hi}]");
        assert!((sent - last).abs() <= step, "I2: {last} -> {sent} by {step}");
        assert!(self.may_rise || sent <= last, "blocked: {last} -> {sent}");
        assert!(self.may_fall || sent >= last, "blocked: {last} -> {sent}");
    }
}

#[test]
fn f22_f23_no_wish_of_millions_gets_through() {
    let steps = asked("CORERL_SOAK_COUNT", STEPS);
    let (image, mut malice) = (Image::new(&[]).unwrap(), Malice::new());
    let mut regime = Regime::new(&mut malice);
    let (mut last, mut written, mut moved) = (0.0, 0_u64, 0_u64);
    for step in 0..steps {
        if step % REGIME == 0 {
            // Limits that shrink, a node that changes its type: the last value may lie anywhere now.
            regime = Regime::new(&mut malice);
        }
        let dt = Span::from_ns(malice.below(1_000_001));
        let wish = malice.number(if step % 2 == 0 { regime.limits.hi } else { last });
        let mode = [Mode::Run, Mode::Hold, Mode::Fallback][malice.below(3) as usize];
        if let Verdict::Write { value, .. } = regime.envelope.judge(mode, wish, Some(last), dt, &image) {
            regime.check(last, value, dt);
            written += 1;
            moved += u64::from(value != last);
            last = value;
        }
    }
    assert!(written > steps / 4 && moved > steps / 20, "{written} of {steps} written, {moved} moved");
}

/// A wish that range, rate, interlocks and the node's data type permit, or one that they do not.
fn tame(malice: &mut Malice, regime: &Regime, last: f64, dt: Span) -> Option<f64> {
    let Limits { lo, hi, rate } = regime.limits;
    let step = match rate {
        Rate::PerSecond(rate) => rate * dt.as_seconds(),
        Rate::Unlimited => hi - lo,
    };
    let wish = match malice.below(4) {
        0 => lo,
        1 => hi,
        2 => last,
        _ => last + step * (2.0 * malice.unit() - 1.0),
    };
    let wish = if regime.kind.holds(wish) { wish } else { f64::from(wish as f32).round() };
    let permitted = lo <= wish
        && wish <= hi
        && (wish - last).abs() <= step
        && (regime.may_rise || wish <= last)
        && (regime.may_fall || wish >= last)
        && regime.kind.holds(wish);
    permitted.then_some(wish)
}

#[test]
fn an_action_within_all_limits_passes_unchanged_bit_for_bit() {
    let actions = asked("CORERL_SOAK_COUNT", ACTIONS);
    let (image, mut malice) = (Image::new(&[]).unwrap(), Malice::new());
    let mut regime = Regime::new(&mut malice);
    let (mut last, mut tried, mut passed, mut moved) = (0.0, 0_u64, 0, 0);
    while passed < actions {
        if tried % REGIME == 0 {
            regime = Regime::new(&mut malice);
            // Inside the range: the way back into it is another promise.
            last = malice.number(regime.limits.lo).clamp(regime.limits.lo, regime.limits.hi);
        }
        tried += 1;
        let dt = Span::from_ns(malice.below(1_000_001));
        let Some(wish) = tame(&mut malice, &regime, last, dt) else { continue };
        let mode = [Mode::Run, Mode::Hold, Mode::Fallback][malice.below(3) as usize];
        match regime.envelope.judge(mode, wish, Some(last), dt, &image) {
            Verdict::Write { value, acted } => {
                assert_eq!(
                    (value.to_bits(), acted),
                    (wish.to_bits(), Acted::default()),
                    "{last} -> {wish}, {:?}",
                    regime.kind
                );
            }
            withheld => panic!("{withheld:?}: {last} -> {wish} in {:?} of {:?}", regime.limits, regime.kind),
        }
        moved += u64::from(wish != last);
        (last, passed) = (wish, passed + 1);
    }
    assert!(moved > passed / 10, "{moved} of {passed} moved");
}
