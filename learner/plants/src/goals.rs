//! The reward of prioritised goals with an optimisation behind them (specification, section 9), in `[-1, 0]`.

/// How far `value` is short of the goal `value >= threshold`: 0 when it is met, 1 at `lo`, the lowest value.
pub(crate) fn shortfall(value: f64, threshold: f64, lo: f64) -> f64 {
    if value >= threshold { 0.0 } else { ((threshold - value) / (threshold - lo)).min(1.0) }
}

/// The reward of goals in the order of their priority and of an optimisation behind them.
///
/// With K goals and the edges `e = linspace(-1, -1/2, K + 1)` the first goal i that is violated, by v in `(0, 1]`,
/// gives `e_i + (1 - v)(e_{i+1} - e_i)`. When all are met, `cost` counts: 0 at its best, 1 at its worst, and the reward
/// is `-cost/2`. So no gain in the cost makes up for a violated goal.
pub(crate) fn prioritised(violations: &[f64], cost: f64) -> f64 {
    let width = 0.5 / violations.len() as f64;
    match violations.iter().position(|&violation| violation > 0.0) {
        Some(first) => -1.0 + width * (first as f64 + 1.0 - violations[first]),
        None => -0.5 * cost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_goal_fills_the_lower_half_and_its_cost_the_upper() {
        assert_eq!(prioritised(&[1.0], 0.0), -1.0);
        assert_eq!(prioritised(&[0.25], 0.0), -0.625);
        assert_eq!(prioritised(&[0.0], 1.0), -0.5);
        assert_eq!(prioritised(&[0.0], 0.2), -0.1);
        assert_eq!(prioritised(&[0.0], 0.0), 0.0);
    }

    #[test]
    fn two_goals_share_the_lower_half_in_order() {
        assert_eq!(prioritised(&[1.0, 0.0], 0.0), -1.0);
        assert_eq!(prioritised(&[0.5, 1.0], 0.0), -0.875);
        assert_eq!(prioritised(&[0.0, 1.0], 0.0), -0.75);
        assert_eq!(prioritised(&[0.0, 0.5], 0.0), -0.625);
    }

    #[test]
    fn a_shortfall_is_measured_from_the_threshold_to_the_lowest_value() {
        assert_eq!(shortfall(0.5, 0.5, 0.0), 0.0);
        assert_eq!(shortfall(0.9, 0.5, 0.0), 0.0);
        assert_eq!(shortfall(0.25, 0.5, 0.0), 0.5);
        assert_eq!(shortfall(-1.0, 1.0, -1.0), 1.0);
        assert_eq!(shortfall(0.0, 1.0, -1.0), 0.5);
        assert_eq!(shortfall(-2.0, 1.0, -1.0), 1.0);
        assert_eq!(shortfall(0.0, 0.0, 0.0), 0.0);
    }

    proptest! {
        #[test]
        fn a_violated_goal_is_worse_than_any_cost_and_more_violation_is_worse(
            small in 0.001..=1.0f64, more in 0.0..=1.0f64, cost in 0.0..=1.0f64,
        ) {
            let large = small + more * (1.0 - small);
            prop_assert!(prioritised(&[small, 0.0], 0.0) <= prioritised(&[0.0, 1.0], 0.0));
            prop_assert!(prioritised(&[0.0, small], 0.0) <= prioritised(&[0.0, 0.0], cost));
            prop_assert!(prioritised(&[large], 0.0) <= prioritised(&[small], 0.0));
        }
    }
}
