//! The functions that a policy needs, in f32, with one order of operations each: no system library, no tables, no
//! branches on the value, so the same bits everywhere.

/// Beyond it `e^x` is no finite normal number.
const EXP_MAX: f32 = 88.0;
const EXP_MIN: f32 = -87.0;
/// Adding and subtracting it rounds to the nearest integer, for magnitudes below 2^22.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts; the first has few bits, so its products with small integers are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `e^x`, within 2 units in the last place; x is cut to [-87, 88].
///
/// # Real-time
/// Wait-free, a fixed number of operations.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = clip(x, EXP_MIN, EXP_MAX);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    // Taylor's series; the remainder of degree 7 is below 2^-27 for |r| <= ln 2 / 2.
    let mut p = 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = (p * r) * r + r;
    // The low bits of `shifted` are n as an integer; in the exponent's place they multiply by 2^n.
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    p * power + power
}

/// `1 / (1 + e^-x)`, within 3 units in the last place of the result for x > -80.
///
/// # Real-time
/// Wait-free, a fixed number of operations.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent, within 2e-7.
///
/// # Real-time
/// Wait-free, a fixed number of operations.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let square = x * x;
    // Near 0 the quotient would cancel: x - x^3/3 + 2x^5/15 - 17x^7/315 + 62x^9/2835 - 1382x^11/155925.
    let mut p: f32 = -1382.0 / 155_925.0;
    p = p * square + 62.0 / 2835.0;
    p = p * square - 17.0 / 315.0;
    p = p * square + 2.0 / 15.0;
    p = p * square - 1.0 / 3.0;
    let near = x + x * (square * p);
    let magnitude = 1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0);
    let far = if x < 0.0 { -magnitude } else { magnitude };
    if square < 0.12 { near } else { far }
}

/// `x > 0 ? x : 0`.
#[inline(always)]
pub(super) fn relu(x: f32) -> f32 {
    if x > 0.0 { x } else { 0.0 }
}

/// `x`, or the end of `[lo, hi]` that it lies beyond.
#[inline(always)]
pub(crate) fn clip(x: f32, lo: f32, hi: f32) -> f32 {
    let x = if x < lo { lo } else { x };
    if x > hi { hi } else { x }
}

/// The value that a standard normal variable stays below with probability `p`, 0 < p < 1: Wichura's algorithm AS 241
/// (the single precision variant, relative error about 1e-7), evaluated in f64.
///
/// # Real-time
/// Wait-free, a fixed number of operations.
pub fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        let above = ((59.109_374_720 * r + 159.291_132_02) * r + 50.434_271_938) * r + 3.387_132_717_9;
        let below = ((67.187_563_600 * r + 78.757_757_664) * r + 17.895_169_469) * r + 1.0;
        return q * above / below;
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = libm::sqrt(-libm::log(if tail > f64::MIN_POSITIVE { tail } else { f64::MIN_POSITIVE }));
    let magnitude = if r <= 5.0 {
        let r = r - 1.6;
        let above = ((0.170_238_211_03 * r + 1.306_728_481_6) * r + 2.756_815_390_0) * r + 1.423_437_277_7;
        let below = (0.120_211_329_75 * r + 0.737_001_642_50) * r + 1.0;
        above / below
    } else {
        let r = r - 5.0;
        let above = ((0.017_337_203_997 * r + 0.428_682_943_37) * r + 3.081_226_386_0) * r + 6.665_790_511_50;
        let below = (0.012_258_202_635 * r + 0.241_978_942_25) * r + 1.0;
        above / below
    };
    if q < 0.0 { -magnitude } else { magnitude }
}
