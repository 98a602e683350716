//! What a run comes to: figures of its steps, and of several runs of one kind.

use super::server::Step;
use crate::harness::Estimate;

/// Reward over time is told in so many equal parts.
pub(super) const PARTS: usize = 10;
/// What was learnt is judged by the last of so many parts.
const JUDGED: usize = 4;

/// Figures of one run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figures {
    /// The plant's own reward, mean of each of [`PARTS`].
    pub(super) rewards: Vec<f64>,
    /// The same, mean of the last quarter, as all that follows.
    pub(super) reward: f64,
    /// Of every tracked output: root of the mean square of what it lies apart from its reference.
    pub(super) errors: Vec<f64>,
    /// Of every input: how far it is moved in a step, on average.
    pub(super) travels: Vec<f64>,
}

impl Figures {
    /// Of the steps of a run, of which there are [`PARTS`] at least.
    pub(super) fn of(steps: &[Step]) -> Self {
        let rewards = |steps: &[Step]| mean(steps.iter().map(|step| step.reward));
        let judged = steps.get(steps.len() - steps.len() / JUDGED..).unwrap_or_default();
        let widths = judged.first().map_or((0, 0), |step| (step.errors.len(), step.inputs.len()));
        Self {
            rewards: steps.chunks_exact((steps.len() / PARTS).max(1)).take(PARTS).map(rewards).collect(),
            reward: rewards(judged),
            errors: (0..widths.0).map(|i| mean(judged.iter().map(|step| step.errors[i].powi(2))).sqrt()).collect(),
            travels: (0..widths.1)
                .map(|i| mean(judged.windows(2).map(|pair| (pair[1].inputs[i] - pair[0].inputs[i]).abs())))
                .collect(),
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    sum / count
}

/// The median of one figure over some runs, with the lowest and the highest.
pub(super) fn spread(runs: &[Figures], figure: impl Fn(&Figures) -> f64) -> Estimate {
    let mut values: Vec<f64> = runs.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let median = if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 };
    Estimate { median, interval: [values[0], values[values.len() - 1]] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(reward: f64, error: f64, input: f64) -> Step {
        Step { reward, errors: vec![error], inputs: vec![input], late: 0 }
    }

    #[test]
    fn a_run_is_judged_by_its_last_quarter_and_told_in_tenths() {
        let early = (0..75).map(|_| step(-9.0, 5.0, 0.0));
        // The input goes to and fro by 0.5, the output lies 3 above or 1 below its reference.
        let late = (0..25).map(|k| if k % 2 == 0 { step(-1.0, 3.0, 1.0) } else { step(-1.0, -1.0, 1.5) });
        let figures = Figures::of(&early.chain(late).collect::<Vec<_>>());
        assert_eq!((figures.rewards.len(), figures.rewards[0], figures.rewards[9]), (PARTS, -9.0, -1.0));
        assert_eq!((figures.reward, figures.travels.as_slice()), (-1.0, [0.5].as_slice()));
        let expected = ((13.0 * 9.0 + 12.0) / 25.0_f64).sqrt();
        assert!((figures.errors[0] - expected).abs() < 1e-12, "{figures:?}");
    }

    #[test]
    fn steps_beyond_the_last_full_part_make_no_part_of_their_own() {
        let figures = Figures::of(&vec![step(0.0, 0.0, 0.0); 109]);
        assert_eq!(figures.rewards.len(), PARTS);
    }

    #[test]
    fn some_runs_have_a_median_a_lowest_and_a_highest() {
        let runs = |rewards: &[f64]| -> Vec<_> {
            rewards.iter().map(|reward| Figures::of(&vec![step(*reward, 0.0, 0.0); 10])).collect()
        };
        let three = spread(&runs(&[3.0, 1.0, 2.0]), |run| run.reward);
        assert_eq!((three.median, three.interval), (2.0, [1.0, 3.0]));
        assert_eq!(spread(&runs(&[4.0, 1.0]), |run| run.reward).median, 2.5);
    }
}
