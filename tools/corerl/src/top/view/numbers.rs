//! Numbers for people, in few characters.

use std::time::Duration;

/// Significant digits of a value, and the most decimals.
const DIGITS: i32 = 5;
/// Characters of the longest number.
const NUMBER_WIDTH: usize = 8;

/// A value in at most [`NUMBER_WIDTH`] characters; a dash for what is not a number.
pub(super) fn number(value: f64) -> String {
    if value.is_nan() {
        return "-".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+inf" } else { "-inf" }.into();
    }
    let size = value.abs();
    match size {
        0.0 => "0".into(),
        1e-3..1e6 => {
            let decimals = (DIGITS - 1 - size.log10().floor() as i32).clamp(0, DIGITS);
            format!("{value:.*}", decimals as usize)
        }
        // The exponent says more than the last digits.
        _ => {
            let shown = [2, 1].map(|decimals| format!("{value:.decimals$e}"));
            let fits = shown.into_iter().find(|shown| shown.len() <= NUMBER_WIDTH);
            fits.unwrap_or_else(|| format!("{value:.0e}"))
        }
    }
}

/// A time that has passed, in the two units that suit it.
pub(super) fn duration(of: Duration) -> String {
    let seconds = of.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", of.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        7_200..172_800 => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A count in at most six characters.
pub(super) fn count(of: u64) -> String {
    match of {
        0..100_000 => of.to_string(),
        100_000..10_000_000 => format!("{} k", of / 1_000),
        10_000_000..10_000_000_000 => format!("{} M", of / 1_000_000),
        _ => format!("{:.0e}", of as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_five_digits_and_eight_characters_at_most() {
        let shown = [7.0, -0.012_345_67, 123_456.7, 1e-7, -1.5e300, f64::NAN, f64::NEG_INFINITY, 0.0].map(number);
        assert_eq!(shown, ["7.0000", "-0.01235", "123457", "1.00e-7", "-1.5e300", "-", "-inf", "0"]);
        for exponent in -320..308 {
            let value = -1.234_567 * 10_f64.powi(exponent);
            assert!(number(value).len() <= NUMBER_WIDTH, "{}", number(value));
        }
    }

    #[test]
    fn times_and_counts_have_the_unit_that_suits_them() {
        let shown = [0, 9, 119, 125, 7_300, 200_000].map(|seconds| duration(Duration::from_secs(seconds)));
        assert_eq!(shown, ["0.0 s", "9.0 s", "119 s", "2:05 min", "2:01 h", "2 days"]);
        assert_eq!([7, 123_456, 123_456_789, u64::MAX].map(count), ["7", "123 k", "123 M", "2e19"]);
    }
}
