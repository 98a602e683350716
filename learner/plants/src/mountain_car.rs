//! A car too weak for its hill (specification, section 11, "mountain_car_continuous" and "stand_still").
//!
//! `v <- clip(v + power a - gravity cos 3x, -v_max, v_max); x <- clip(x + v, -1.2, 0.6)`. At either end of the track
//! the car stops: a velocity into the end becomes 0 (Gymnasium's `MountainCarContinuous-v0` does so at the left end,
//! and never comes to the right one).
//!
//! # `mountain_car_continuous`
//! What the specification leaves open is as in Gymnasium: the car begins at rest at `x` uniform in `[-0.6, -0.4)`; `a`
//! is in `[-1, 1]`; the reward is `-0.1 a^2`, plus 100 in the step that reaches the goal, `x >= 0.45` and `v >= 0`.
//! That step ends the attempt, and its observation shows the car at the goal. The step after it ignores its input, puts
//! the car at a new start and has reward 0 (Gymnasium's `AutoresetMode.NEXT_STEP`). There is no limit on the length of
//! an attempt: Gymnasium's 999 steps are a wrapper's.
//!
//! # `stand_still`
//! The same car with reward `-a^2`, `a` in `[-1.5, 1.5]`, nominal 1.2. It has no goal and never ends.

use crate::Signal;
use crate::noise::Noise;
use crate::options::options;
use crate::simulated::{Dynamics, copy};

const INPUTS: &[Signal] = &[Signal { name: "force", unit: "1", lo: -1.0, hi: 1.0, nominal: 0.0 }];
const INPUTS_STAND_STILL: &[Signal] = &[Signal { name: "force", unit: "1", lo: -1.5, hi: 1.5, nominal: 1.2 }];
const OUTPUTS: &[Signal] = &[
    Signal { name: "position", unit: "1", lo: -1.2, hi: 0.6, nominal: -0.5 },
    Signal { name: "velocity", unit: "1", lo: -0.07, hi: 0.07, nominal: 0.0 },
];

options! {
    /// The variants of the mountain car.
    pub struct MountainCarContinuousOptions {
        /// Acceleration per force.
        power: f64 = 0.0015, 0.0..=0.07;
        /// Acceleration on a vertical slope.
        gravity: f64 = 0.0025, 0.0..=0.07;
        /// The highest speed.
        speed_max: f64 = 0.07, 0.0..=0.07;
        /// The ends of the track.
        track: [f64; 2] = [-1.2, 0.6], -1.2..=0.6;
        /// Where a car may begin.
        start: [f64; 2] = [-0.6, -0.4], -1.2..=0.6;
        /// The goal: to be at this position or beyond it.
        goal: f64 = 0.45, -1.2..=0.6;
        /// Reward for the goal.
        goal_reward: f64 = 100.0, 0.0..=1e6;
        /// Cost per square of the force.
        force_cost: f64 = 0.1, 0.0..=1e6;
    }
    unless {
        track: |o| o.track[0] < o.track[1], "give the left end first";
        start: |o| o.track[0] <= o.start[0] && o.start[0] <= o.start[1] && o.start[1] <= o.track[1],
            "give the left end first, both on the track";
        goal: |o| o.start[1] < o.goal && o.goal <= o.track[1], "put it on the track, to the right of the start";
    }
}

options! {
    /// The variants of standing still.
    pub struct StandStillOptions {
        /// Acceleration per force.
        power: f64 = 0.0015, 0.0..=0.07;
        /// Acceleration on a vertical slope.
        gravity: f64 = 0.0025, 0.0..=0.07;
        /// The highest speed.
        speed_max: f64 = 0.07, 0.0..=0.07;
        /// Where the car may begin.
        start: [f64; 2] = [-0.6, -0.4], -1.2..=0.6;
        /// Cost per square of the force.
        force_cost: f64 = 1.0, 0.0..=1e6;
    }
    unless {
        start: |o| o.start[0] <= o.start[1], "give the left end first";
    }
}

/// A car on a hill.
#[derive(Debug, Clone)]
struct Car {
    power: f64,
    gravity: f64,
    speed_max: f64,
    track: [f64; 2],
    start: [f64; 2],
    noise: Noise,
    position: f64,
    velocity: f64,
}

impl Car {
    /// Puts the car at rest at a new start.
    fn put_back(&mut self) {
        self.position = self.noise.between(self.start[0], self.start[1]);
        self.velocity = 0.0;
    }

    fn push(&mut self, force: f64) {
        let slope = libm::cos(3.0 * self.position);
        let velocity = self.velocity + self.power * force - self.gravity * slope;
        self.velocity = velocity.clamp(-self.speed_max, self.speed_max);
        self.position = (self.position + self.velocity).clamp(self.track[0], self.track[1]);
        let at_left = self.position == self.track[0] && self.velocity < 0.0;
        let at_right = self.position == self.track[1] && self.velocity > 0.0;
        if at_left || at_right {
            self.velocity = 0.0;
        }
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&[self.position, self.velocity], outputs);
    }
}

/// A car that is to reach the top.
#[derive(Debug, Clone)]
pub(crate) struct MountainCar {
    options: MountainCarContinuousOptions,
    car: Car,
    has_ended: bool,
}

impl MountainCar {
    pub(crate) fn new(seed: u64, options: MountainCarContinuousOptions) -> Self {
        let MountainCarContinuousOptions { power, gravity, speed_max, track, start, .. } = options;
        let noise = Noise::new(seed, "mountain car starts");
        let mut car = Car { power, gravity, speed_max, track, start, noise, position: 0.0, velocity: 0.0 };
        car.put_back();
        Self { options, car, has_ended: false }
    }
}

impl Dynamics for MountainCar {
    const NAME: &'static str = "mountain_car_continuous";

    fn inputs(&self) -> &'static [Signal] {
        INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn advance(&mut self, actuators: &[f64], _time_steps: u64) -> f64 {
        if self.has_ended {
            self.has_ended = false;
            self.car.put_back();
            return 0.0;
        }
        self.car.push(actuators[0]);
        self.has_ended = self.car.position >= self.options.goal && self.car.velocity >= 0.0;
        let reward = if self.has_ended { self.options.goal_reward } else { 0.0 };
        reward - self.options.force_cost * actuators[0] * actuators[0]
    }

    fn observe(&self, outputs: &mut [f64]) {
        self.car.observe(outputs);
    }
}

/// A car that is to do nothing.
#[derive(Debug, Clone)]
pub(crate) struct StandStill {
    force_cost: f64,
    car: Car,
}

impl StandStill {
    pub(crate) fn new(seed: u64, options: StandStillOptions) -> Self {
        let StandStillOptions { power, gravity, speed_max, start, force_cost } = options;
        let noise = Noise::new(seed, "stand still starts");
        let track = [OUTPUTS[0].lo, OUTPUTS[0].hi];
        let mut car = Car { power, gravity, speed_max, track, start, noise, position: 0.0, velocity: 0.0 };
        car.put_back();
        Self { force_cost, car }
    }
}

impl Dynamics for StandStill {
    const NAME: &'static str = "stand_still";

    fn inputs(&self) -> &'static [Signal] {
        INPUTS_STAND_STILL
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn advance(&mut self, actuators: &[f64], _time_steps: u64) -> f64 {
        self.car.push(actuators[0]);
        -self.force_cost * actuators[0] * actuators[0]
    }

    fn observe(&self, outputs: &mut [f64]) {
        self.car.observe(outputs);
    }
}

#[cfg(test)]
mod tests {
    use super::INPUTS_STAND_STILL;
    use crate::Environment;
    use crate::conformance::{close, plant, run};

    #[test]
    fn the_first_steps_follow_the_formula() {
        let case = r#"{"name": "mountain_car_continuous", "start": [-0.5, -0.5]}"#;
        let found = run(case, 1, &[vec![1.0], vec![-0.5]]);
        // v = .0015 - .0025 cos(-1.5) = .0015 - .0025 * .0707372017 = .001323156996
        close(&found[0], &[-0.498_676_843_0, 0.001_323_157_0, -0.1]);
        // cos(3 * -.498676843004) = .074696161387; v = .001323156996 - .00075 - .000186740403
        close(&found[1], &[-0.498_290_426_4, 0.000_386_416_6, -0.025]);
    }

    #[test]
    fn stand_still_is_the_same_car_with_another_reward() {
        let found = run(r#"{"name": "stand_still", "start": [-0.5, -0.5]}"#, 1, &[vec![1.5], vec![-0.5]]);
        // v = .00225 - .000176843004
        close(&found[0], &[-0.497_926_843_0, 0.002_073_157_0, -2.25]);
        close(&found[1][2..], &[-0.25]);
    }

    #[test]
    fn without_force_the_energy_stays_and_the_car_never_arrives() {
        // The force is -dV/dx of V = gravity/3 sin 3x; the step is symplectic: its energy error stays bounded.
        let found = run(r#"{"name": "mountain_car_continuous"}"#, 3, &vec![vec![0.0]; 5_000]);
        let energy = |row: &[f64]| row[1] * row[1] / 2.0 + 0.0025 / 3.0 * libm::sin(3.0 * row[0]);
        let first = energy(&found[0]);
        for row in &found {
            assert!((energy(row) - first).abs() < 2e-5, "{row:?}");
            assert!(row[0] < -0.3 && row[2] == 0.0, "{row:?}");
        }
    }

    #[test]
    fn a_car_pushed_along_its_velocity_arrives_and_begins_anew() {
        let mut plant = plant(r#"{"name": "mountain_car_continuous"}"#, 5);
        let mut seen = [0.0; 2];
        let mut steps = 0;
        while plant.reward() <= 0.0 {
            plant.observe(&mut seen);
            plant.step(&[if seen[1] < 0.0 { -1.0 } else { 1.0 }], &mut seen);
            steps += 1;
            assert!(steps < 200, "{seen:?}");
        }
        assert!(seen[0] >= 0.45, "{seen:?}");
        close(&[plant.reward()], &[99.9]);
        plant.step(&[1.0], &mut seen);
        assert!((-0.6..-0.4).contains(&seen[0]) && seen[1] == 0.0 && plant.reward() == 0.0, "{seen:?}");
        plant.step(&[0.0], &mut seen);
        assert!(seen[1] != 0.0);
    }

    #[test]
    fn the_car_stops_at_either_end() {
        let case = r#"{"name": "stand_still", "power": 0.07, "start": [-0.5, -0.5]}"#;
        let found = run(case, 1, &vec![vec![-1.0]; 40]);
        assert_eq!(found[39][..2], [-1.2, 0.0]);
        let found = run(case, 1, &vec![vec![1.0]; 40]);
        assert_eq!(found[39][..2], [0.6, 0.0]);
        // The track of the other car, which may have its goal at the end.
        let case = r#"{"name": "mountain_car_continuous", "power": 0.07, "goal": 0.6}"#;
        let found = run(case, 1, &[vec![vec![-1.0]; 40], vec![vec![1.0]; 40]].concat());
        assert_eq!(found[39][..2], [-1.2, 0.0]);
        assert!(found[40..].iter().any(|row| row[0] == 0.6 && row[2] > 99.0));
    }

    #[test]
    fn no_car_is_faster_than_it_may() {
        for name in ["mountain_car_continuous", "stand_still"] {
            let found = run(&format!(r#"{{"name": "{name}", "power": 0.07}}"#), 1, &vec![vec![-1.0]; 20]);
            assert_eq!(found.iter().map(|row| row[1]).fold(0.0, f64::min), -0.07, "{name}");
        }
    }

    #[test]
    fn starts_differ_by_seed_and_lie_where_they_may() {
        for name in ["mountain_car_continuous", "stand_still"] {
            let start = |seed| {
                let mut outputs = [0.0; 2];
                Environment::named(name).unwrap().build(seed).unwrap().observe(&mut outputs);
                outputs[0]
            };
            let starts: Vec<f64> = (0..200).map(start).collect();
            assert!(starts.iter().all(|start| (-0.6..-0.4).contains(start)), "{name}");
            assert!(starts.iter().any(|start| *start < -0.59) && starts.iter().any(|start| *start > -0.41), "{name}");
        }
    }

    #[test]
    fn without_a_controller_the_car_that_should_stand_still_does_not() {
        assert_eq!(INPUTS_STAND_STILL[0].nominal, 1.2);
        let found = run(r#"{"name": "stand_still"}"#, 1, &[vec![]]);
        close(&found[0][2..], &[-1.44]);
    }
}
