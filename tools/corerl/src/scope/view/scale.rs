//! Vertical scales: which value lies where.

/// Divisions from the lowest to the highest value that is shown.
pub(in crate::scope) const DIVISIONS: f64 = 8.0;
/// Divisions that a channel fills at most when it is scaled by itself.
const FILLED: f64 = 6.0;

/// One channel's vertical scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::scope) struct Scale {
    /// The value in the middle.
    pub(in crate::scope) middle: f64,
    /// Units per division, above zero.
    pub(in crate::scope) per_division: f64,
    /// It follows the values by itself.
    pub(in crate::scope) is_automatic: bool,
    /// It was made for values, and not before there were any.
    is_fitted: bool,
}

impl Scale {
    pub(in crate::scope) const fn automatic() -> Self {
        Self { middle: 0.0, per_division: 1.0, is_automatic: true, is_fitted: false }
    }

    /// Where a value lies: 0 at the bottom, 1 at the top.
    pub(in crate::scope) fn height(&self, value: f64) -> f64 {
        (value - self.middle) / (self.per_division * DIVISIONS) + 0.5
    }

    /// Follows values from `min` to `max`, and stays as it is while they can be seen well.
    pub(in crate::scope) fn follow(&mut self, min: f64, max: f64) {
        let [low, high] = [min, max].map(|value| self.height(value));
        let is_small = max - min < self.per_division && max > min;
        if self.is_automatic && (low < 0.0 || high > 1.0 || is_small || !self.is_fitted) {
            self.fit(min, max);
        }
    }

    /// Scales these values to most of the height.
    pub(in crate::scope) fn fit(&mut self, min: f64, max: f64) {
        let swing = max / FILLED - min / FILLED;
        // A value that stays gets a scale of its own size.
        let wanted = if swing > 0.0 { swing } else { (min.abs() / FILLED).max(f64::MIN_POSITIVE) };
        self.per_division = if min == 0.0 && max == 0.0 { 1.0 } else { round_up(wanted) };
        let step = self.per_division / 2.0;
        let middle = ((min / 2.0 + max / 2.0) / step).round() * step;
        self.middle = if middle.is_finite() { middle } else { 0.0 };
        self.is_fitted = true;
    }

    /// The next scale with more (1) or fewer (-1) units per division, about the same middle.
    pub(in crate::scope) fn step(&mut self, direction: i32) {
        self.per_division = stepped(self.per_division, direction);
        self.is_automatic = false;
    }

    /// Moves the trace by so many divisions upwards.
    pub(in crate::scope) fn shift(&mut self, divisions: f64) {
        self.middle -= divisions * self.per_division;
        self.is_automatic = false;
    }
}

/// The next one of 1, 2, 5, 10, …, upwards or downwards.
pub(in crate::scope) fn stepped(value: f64, direction: i32) -> f64 {
    // A hair beyond the value, so that the value itself is passed.
    let next = if direction > 0 { round_up(value * 1.01) } else { round_up(value / 2.55) };
    if next.is_finite() && next > f64::MIN_POSITIVE { next } else { value }
}

/// The least of 1, 2, 5, 10, … that is not smaller, but for rounding.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powi(value.log10().floor() as i32);
    let found = [1.0, 2.0, 5.0].into_iter().map(|factor| factor * power).find(|step| *step >= value * 0.999_999);
    found.unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_scaled_to_round_numbers_and_most_of_the_height() {
        for (min, max) in
            [(0.0, 1.0), (-3.0, 3.0), (99.9, 100.2), (1e-9, 3e-9), (-1e300, 1e300), (5.0, 5.0), (0.0, 0.0), (-7e7, 0.0)]
        {
            let mut scale = Scale::automatic();
            scale.fit(min, max);
            let heights = [scale.height(min), scale.height(max)];
            assert!(heights.iter().all(|height| (0.0..=1.0).contains(height)), "{min} {max}: {scale:?} {heights:?}");
            assert!(max == min || heights[1] - heights[0] > 0.29, "{min} {max}: {heights:?}");
        }
        let mut scale = Scale::automatic();
        scale.fit(0.0, 1.0);
        assert_eq!((scale.per_division, scale.middle), (0.2, 0.5));
    }

    #[test]
    fn scales_go_up_and_down_in_steps_of_one_two_and_five() {
        let mut up = vec![0.1];
        (0..7).for_each(|_| up.push(stepped(*up.last().unwrap(), 1)));
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a / b - 1.0).abs() < 1e-9);
        assert!(close(&up, &[0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0]), "{up:?}");
        let mut down = vec![20.0];
        (0..7).for_each(|_| down.push(stepped(*down.last().unwrap(), -1)));
        up.reverse();
        assert!(close(&down, &up), "{down:?}");
    }

    #[test]
    fn a_scale_follows_values_that_leave_it_and_not_those_that_somebody_set() {
        let mut scale = Scale::automatic();
        scale.follow(0.0, 1.0);
        let before = scale;
        scale.follow(0.1, 1.2);
        assert_eq!(scale, before, "it can be seen well");
        scale.follow(0.0, 9.0);
        assert_eq!((scale.per_division, scale.middle), (2.0, 5.0));
        scale.shift(1.0);
        scale.step(1);
        let before = scale;
        assert_eq!((scale.per_division, scale.middle), (5.0, 3.0));
        scale.follow(0.0, 1e6);
        assert_eq!(scale, before);
    }
}
