//! A corridor with a signal at its beginning and two doors at its end (specification, section 11, "t_maze").
//!
//! The position begins at 0, and a signal of -1 or 1, as likely as the other, is seen in the first observation only;
//! afterwards it reads 0. A step first looks where it stands:
//! - at most `zone * length`, in the corridor: `pos <- max(0, pos + speed a)`, reward `-corridor_cost |a - 1|`;
//! - beyond it, in the zone: the sign of `a` chooses a door. Reward 0 if it is the signal's sign, else -1 (an input of
//!   0 chooses none and is wrong). The step ends the attempt and begins the next: what it leaves to be observed is the
//!   first observation of the new attempt, with its signal, at position 0. The step after it is an ordinary one.

use crate::Signal;
use crate::noise::Noise;
use crate::options::options;
use crate::simulated::{Dynamics, copy};

const INPUTS: &[Signal] = &[Signal { name: "a", unit: "1", lo: -1.0, hi: 1.0, nominal: 0.0 }];
const OUTPUTS: &[Signal] = &[
    Signal { name: "signal", unit: "1", lo: -1.0, hi: 1.0, nominal: 0.0 },
    Signal { name: "position", unit: "1", lo: 0.0, hi: 1.0, nominal: 0.0 },
    Signal { name: "in_zone", unit: "1", lo: 0.0, hi: 1.0, nominal: 0.0 },
];

options! {
    /// The variants of the T-maze; the specification names the lengths 0.2, 0.5 and 1.
    pub struct TMazeOptions {
        /// Length of the corridor.
        length: f64 = 1.0, 0.0..=1.0;
        /// The part of the corridor behind which the zone begins.
        zone: f64 = 0.9, 0.0..=1.0;
        /// The way of a step under the input 1.
        speed: f64 = 0.1, 0.001..=1.0;
        /// Cost of not going forward, per input.
        corridor_cost: f64 = 0.1, 0.0..=1.0;
    }
    unless {
        length: |o| o.length > 0.0, "give a corridor some length, at most 1";
        speed: |o| o.zone * o.length + o.speed <= 1.0,
            "keep zone * length + speed at most 1, or the position leaves its range";
    }
}

/// The maze.
#[derive(Debug, Clone)]
pub(crate) struct TMaze {
    options: TMazeOptions,
    noise: Noise,
    signal: f64,
    is_first: bool,
    position: f64,
}

impl TMaze {
    pub(crate) fn new(seed: u64, options: TMazeOptions) -> Self {
        let mut start =
            Self { options, noise: Noise::new(seed, "t maze signals"), signal: 0.0, is_first: true, position: 0.0 };
        start.begin();
        start
    }

    fn begin(&mut self) {
        self.signal = if self.noise.uniform() < 0.5 { -1.0 } else { 1.0 };
        self.is_first = true;
        self.position = 0.0;
    }

    fn is_in_zone(&self) -> bool {
        self.position > self.options.zone * self.options.length
    }
}

impl Dynamics for TMaze {
    const NAME: &'static str = "t_maze";

    fn inputs(&self) -> &'static [Signal] {
        INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn advance(&mut self, actuators: &[f64], _time_steps: u64) -> f64 {
        let input = actuators[0];
        if self.is_in_zone() {
            let is_right = input * self.signal > 0.0;
            self.begin();
            return if is_right { 0.0 } else { -1.0 };
        }
        self.is_first = false;
        self.position = (self.position + self.options.speed * input).max(0.0);
        -self.options.corridor_cost * (input - 1.0).abs()
    }

    fn observe(&self, outputs: &mut [f64]) {
        let signal = if self.is_first { self.signal } else { 0.0 };
        copy(&[signal, self.position, f64::from(u8::from(self.is_in_zone()))], outputs);
    }
}

#[cfg(test)]
mod tests {
    use crate::conformance::{close, plant, run};

    #[test]
    fn the_first_steps_follow_the_formula() {
        let found = run(r#"{"name": "t_maze", "length": 0.2}"#, 1, &[vec![-0.5], vec![1.0], vec![0.5], vec![1.0]]);
        close(&found[0], &[0.0, 0.0, 0.0, -0.15]);
        close(&found[1], &[0.0, 0.1, 0.0, 0.0]);
        close(&found[2], &[0.0, 0.15, 0.0, -0.05]);
        close(&found[3], &[0.0, 0.25, 1.0, 0.0]);
    }

    #[test]
    fn the_long_corridor_takes_ten_steps() {
        let found = run(r#"{"name": "t_maze"}"#, 1, &vec![vec![1.0]; 10]);
        assert_eq!((found[8][2], found[9][2]), (0.0, 1.0));
    }

    #[test]
    fn the_sign_of_the_signal_opens_the_right_door_and_the_next_attempt_begins() {
        for seed in 0..20 {
            for (choice, reward) in [(1.0, 0.0), (-1.0, -1.0), (0.0, -1.0)] {
                let mut plant = plant(r#"{"name": "t_maze", "length": 0.2}"#, seed);
                let mut seen = [0.0; 3];
                plant.observe(&mut seen);
                let signal = seen[0];
                assert_eq!(signal.abs(), 1.0);
                for _ in 0..2 {
                    plant.step(&[1.0], &mut seen);
                    assert_eq!(seen[0], 0.0);
                }
                assert_eq!(seen[2], 1.0);
                plant.step(&[choice * signal], &mut seen);
                assert_eq!(plant.reward(), reward);
                assert_eq!((seen[0].abs(), seen[1], seen[2]), (1.0, 0.0, 0.0));
                plant.step(&[1.0], &mut seen);
                close(&seen, &[0.0, 0.1, 0.0]);
            }
        }
    }

    #[test]
    fn both_signals_come_equally_often() {
        let found = run(r#"{"name": "t_maze", "length": 0.05}"#, 7, &vec![vec![1.0]; 4_000]);
        let signals: Vec<f64> = found.iter().map(|row| row[0]).filter(|signal| *signal != 0.0).collect();
        assert_eq!(signals.len(), 2_000);
        assert!(signals.iter().sum::<f64>().abs() < 150.0);
    }
}
