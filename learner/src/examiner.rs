//! The critics looked at from outside: passes of their networks in buffers of their own, so that nothing of what learning
//! leaves behind is touched, and no random number is drawn.

use crate::nets::{ActionPass, Critic, StatePass};
use crate::options::AgentShape;

/// Rows that are passed over in one piece.
pub(crate) const ROWS_MAX: usize = 128;
/// Steps of the power iteration for the largest singular value of the features. It starts from ones, which are never at
/// right angles to the leading direction of numbers that are not negative.
const POWER_STEPS: usize = 32;

/// Critics of one ensemble, those that count.
#[derive(Debug, Clone)]
pub(crate) struct Critics<'a> {
    /// The network of each.
    pub(crate) net: Critic,
    /// The parameters of each.
    pub(crate) parameters: Vec<&'a [f32]>,
    /// What is taken off all their values while they learn.
    pub(crate) common_value: f32,
}

/// Values of some actions, over the ensemble.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Judged {
    /// The mean.
    pub(crate) value: f32,
    /// The standard deviation.
    pub(crate) spread: f32,
}

/// How a critic's features are used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Features {
    /// The share of units that are off at every row.
    pub(crate) dead_units: f32,
    /// The squared length of the features over that of their leading direction: from 1 to their number.
    pub(crate) stable_rank: f32,
}

/// Buffers for [`ROWS_MAX`] rows.
#[derive(Debug)]
pub(crate) struct Examiner {
    shape: AgentShape,
    at: StatePass<f32>,
    pass: ActionPass<f32>,
    q: Vec<f32>,
}

impl Examiner {
    pub(crate) fn new(shape: AgentShape) -> Self {
        Self { shape, at: StatePass::new(ROWS_MAX), pass: ActionPass::new(ROWS_MAX), q: vec![0.0; ROWS_MAX] }
    }

    /// Judges one action at each state.
    pub(crate) fn judge(&mut self, critics: &Critics<'_>, states: &[f32], actions: &[f32]) -> Vec<Judged> {
        let (n, d) = (self.shape.state, self.shape.action);
        let pieces = states.chunks(ROWS_MAX * n).zip(actions.chunks(ROWS_MAX * d));
        pieces.flat_map(|(states, actions)| self.judge_piece(critics, states, actions)).collect()
    }

    fn judge_piece(&mut self, critics: &Critics<'_>, states: &[f32], actions: &[f32]) -> Vec<Judged> {
        let rows = states.len() / self.shape.state;
        let (mut sums, mut values) = (vec![0.0; rows], Vec::new());
        for parameters in &critics.parameters {
            self.pass_over(critics.net, parameters, states, actions);
            sums.iter_mut().zip(&self.q).for_each(|(sum, q)| *sum += q);
            values.extend_from_slice(&self.q[..rows]);
        }
        let share = 1.0 / critics.parameters.len() as f32;
        let judged = |(row, sum): (usize, &f32)| {
            let mean = sum * share;
            let squares: f32 = values.iter().skip(row).step_by(rows).map(|q| (q - mean) * (q - mean)).sum();
            Judged { value: mean + critics.common_value, spread: (squares * share).sqrt() }
        };
        sums.iter().enumerate().map(judged).collect()
    }

    /// Looks at each critic's features at these states and actions, at most [`ROWS_MAX`] of them.
    pub(crate) fn features(&mut self, critics: &Critics<'_>, states: &[f32], actions: &[f32]) -> Vec<Features> {
        let rows = states.len() / self.shape.state;
        let look = |parameters: &&[f32]| {
            self.pass_over(critics.net, parameters, states, actions);
            let units = self.at.units(rows).into_iter().chain(self.pass.units(rows));
            let (dead, of) = units.fold((0, 0), |(dead, of), (width, units)| (dead + off(width, units), of + width));
            let (width, features) = self.pass.features(rows);
            Features { dead_units: dead as f32 / of as f32, stable_rank: stable_rank(width, features) }
        };
        critics.parameters.iter().map(look).collect()
    }

    /// One critic's values into `q`, and its activations into the passes.
    fn pass_over(&mut self, net: Critic, parameters: &[f32], states: &[f32], actions: &[f32]) {
        let rows = states.len() / self.shape.state;
        net.forward_states(parameters, states, rows, &mut self.at);
        net.forward_actions(parameters, &self.at, 0..rows, actions, 1, &mut self.pass);
        net.q(parameters, &self.pass, &mut self.q[..rows]);
    }
}

/// Units of a layer of this width that are off at every row.
fn off(width: usize, units: &[f32]) -> usize {
    (0..width).filter(|unit| units.iter().skip(*unit).step_by(width).all(|x| *x <= 0.0)).count()
}

/// `|F|_F^2 / |F|_2^2` of features in rows; 0 when all of them are 0.
fn stable_rank(width: usize, features: &[f32]) -> f32 {
    let length = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
    let mut leading = vec![1.0 / (width as f32).sqrt(); width];
    let mut stretch = 0.0;
    for _ in 0..POWER_STEPS {
        let mut next = vec![0.0; width];
        for row in features.chunks_exact(width) {
            let along: f32 = row.iter().zip(&leading).map(|(x, y)| x * y).sum();
            next.iter_mut().zip(row).for_each(|(next, x)| *next += along * x);
        }
        stretch = length(&next);
        if stretch <= 0.0 {
            return 0.0;
        }
        next.iter_mut().for_each(|x| *x /= stretch);
        leading = next;
    }
    features.iter().map(|x| x * x).sum::<f32>() / stretch
}

/// Mean and standard deviation of some numbers.
pub(crate) fn mean_and_deviation(numbers: impl Iterator<Item = f32> + Clone) -> (f32, f32) {
    let (count, sum) = numbers.clone().fold((0.0, 0.0), |(count, sum), x| (count + 1.0, sum + x));
    let mean = sum / count;
    let squares = numbers.map(|x| (x - mean) * (x - mean)).sum::<f32>();
    (mean, (squares / count).sqrt())
}

/// The length of a gradient.
pub(crate) fn norm(gradient: &[f32]) -> f32 {
    gradient.iter().map(|g| g * g).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn the_stable_rank_counts_the_directions_that_matter() {
        assert_eq!(stable_rank(3, &[0.0; 6]), 0.0);
        // One direction, whatever the number of rows.
        let one: Vec<f32> = (1..=5).flat_map(|row| [1.0, 2.0, 0.5].map(|x| x * row as f32)).collect();
        assert!((stable_rank(3, &one) - 1.0).abs() < 1e-5);
        // As many as there are, equally long.
        let all = [2.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0];
        assert!((stable_rank(3, &all) - 3.0).abs() < 1e-5);
        // Squared lengths 9 and 1 at right angles.
        assert!((stable_rank(2, &[3.0, 0.0, 0.0, 1.0]) - 10.0 / 9.0).abs() < 1e-5);
    }

    #[test]
    fn a_unit_is_dead_when_it_is_off_at_every_row() {
        assert_eq!(off(3, &[0.0, 1.0, 0.0, 0.0, 0.0, 0.5]), 1);
        assert_eq!(off(2, &[0.0; 8]), 2);
    }

    #[test]
    fn critics_that_are_silenced_have_dead_units_and_features_of_no_rank() {
        let shape = AgentShape { state: 3, action: 1 };
        let net = Critic::new(3, 1);
        let mut sound = vec![0.0; net.len()];
        net.init(&mut sound, &mut Stream::new(1, "test", 0));
        let silent = vec![0.0; net.len()];
        let critics = Critics { net, parameters: vec![&sound, &silent], common_value: 0.0 };
        let states: Vec<f32> = (0..30).map(|i| (i as f32 * 0.37).sin().abs()).collect();
        let features =
            Examiner::new(shape).features(&critics, &states, &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]);
        assert!(features[0].dead_units < 0.6 && features[0].stable_rank >= 1.0, "{features:?}");
        assert_eq!(features[1], Features { dead_units: 1.0, stable_rank: 0.0 });
    }

    #[test]
    fn mean_and_spread_are_those_of_the_members_however_many_rows_there_are() {
        let shape = AgentShape { state: 2, action: 1 };
        let net = Critic::new(2, 1);
        let members: Vec<Vec<f32>> = (0..3)
            .map(|index| {
                let mut parameters = vec![0.0; net.len()];
                net.init(&mut parameters, &mut Stream::new(4, "test", index));
                parameters
            })
            .collect();
        let rows = 2 * ROWS_MAX + 7;
        let states: Vec<f32> = (0..2 * rows).map(|i| (i as f32 * 0.7).cos()).collect();
        let actions: Vec<f32> = (0..rows).map(|i| (i as f32 * 0.3).sin()).collect();
        let critics = |of: &[usize]| Critics {
            net,
            parameters: of.iter().map(|index| members[*index].as_slice()).collect(),
            common_value: 5.0,
        };
        let mut examiner = Examiner::new(shape);
        let each: Vec<_> = (0..3).map(|index| examiner.judge(&critics(&[index]), &states, &actions)).collect();
        let all = examiner.judge(&critics(&[0, 1, 2]), &states, &actions);
        assert_eq!(all.len(), rows);
        for (row, judged) in all.iter().enumerate() {
            let values: Vec<f32> = each.iter().map(|member| member[row].value).collect();
            let mean = values.iter().sum::<f32>() / 3.0;
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 3.0;
            assert!((judged.value - mean).abs() < 1e-5 && (judged.spread - variance.sqrt()).abs() < 1e-5);
            assert_eq!(each[0][row].spread, 0.0);
        }
        assert!(all.iter().any(|judged| judged.spread > 1e-4));
    }
}
