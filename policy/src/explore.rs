//! Exploration's random numbers: a function of seed, cycle and setpoint. There is no generator whose state could differ in a
//! replay that begins in the middle.

use crate::kernels::normal_quantile;

/// Weyl increments: odd, far from any simple fraction.
const CYCLE_STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;
const DRAW_STRIDE: u64 = 0xd1b5_4a32_d192_ed03;

/// A number from the standard normal distribution, between -8.3 and 8.3, for this setpoint in this cycle.
///
/// # Real-time
/// Wait-free, a fixed number of operations.
pub fn noise(seed: u64, cycle: u64, setpoint: usize) -> f64 {
    normal_quantile(uniform(seed, cycle, setpoint))
}

/// A number from the uniform distribution between 0 and 1, never one of them: the `draw`-th of this cycle.
///
/// # Real-time
/// Wait-free, a fixed number of operations.
pub(crate) fn uniform(seed: u64, cycle: u64, draw: usize) -> f64 {
    let key = mixed(seed ^ cycle.wrapping_mul(CYCLE_STRIDE));
    let bits = mixed(key ^ (draw as u64).wrapping_add(1).wrapping_mul(DRAW_STRIDE));
    // The middle of one of 2^52 equal parts of (0, 1).
    ((bits >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

/// Two rounds of a 64-bit finaliser: every input bit reaches every output bit.
fn mixed(mut x: u64) -> u64 {
    for factor in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
        x = (x ^ x >> 30).wrapping_mul(factor);
        x = (x ^ x >> 27).wrapping_mul(CYCLE_STRIDE);
        x ^= x >> 31;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_standard_normal_and_independent_of_its_neighbours() {
        let count = 100_000;
        let (mut sum, mut squares, mut tails) = (0.0, 0.0, 0);
        let (mut along_cycles, mut along_setpoints, mut along_seeds) = (0.0, 0.0, 0.0);
        for cycle in 0..count {
            let x = noise(7, cycle, 0);
            sum += x;
            squares += x * x;
            tails += u32::from(x.abs() > 1.959_964);
            along_cycles += x * noise(7, cycle + 1, 0);
            along_setpoints += x * noise(7, cycle, 1);
            along_seeds += x * noise(8, cycle, 0);
        }
        let n = count as f64;
        assert!((sum / n).abs() < 0.012 && (squares / n - 1.0).abs() < 0.02);
        assert!((f64::from(tails) / n - 0.05).abs() < 0.003);
        for product in [along_cycles, along_setpoints, along_seeds] {
            assert!((product / n).abs() < 0.013, "{}", product / n);
        }
    }

    #[test]
    fn the_same_place_has_the_same_bits_for_ever() {
        let bits = [noise(0, 0, 0), noise(1, 2, 3), noise(u64::MAX, u64::MAX, 31)].map(f64::to_bits);
        assert_eq!(bits, [0x3fe5_2fd2_2573_2672, 0xbfd3_05e9_c2a8_b2c3, 0x3fea_c312_566e_6716]);
    }
}
