//! A room with a wind that turns (specification, section 11, "windy_room").
//!
//! `(x, y) <- clip((x, y) + speed a + wind (cos th, sin th), 0, 1)`; `th` is `wind_start` in the first step and turns
//! once per `wind_period_steps`. The start is uniform in `[start_lo, start_hi)` for either coordinate.
//!
//! The room's own reward is 0: what is asked in it are zones (yellow at .3 and .7, red at .05 and .95, with reflexes
//! that halve the range), and zones and reflexes belong to a site's goals.

use std::f64::consts::{PI, TAU};

use crate::Signal;
use crate::noise::Noise;
use crate::options::options;
use crate::simulated::{Dynamics, copy};

const fn push(name: &'static str) -> Signal {
    Signal { name, unit: "1", lo: -1.0, hi: 1.0, nominal: 0.0 }
}

const fn place(name: &'static str) -> Signal {
    Signal { name, unit: "1", lo: 0.0, hi: 1.0, nominal: 0.5 }
}

const INPUTS: &[Signal] = &[push("a_x"), push("a_y")];
const OUTPUTS: &[Signal] = &[place("x"), place("y")];

options! {
    /// The variants of the windy room.
    pub struct WindyRoomOptions {
        /// The way of a step under the input 1.
        speed: f64 = 0.02, 0.0..=1.0;
        /// The way of a step by the wind.
        wind: f64 = 0.005, 0.0..=1.0;
        /// Where the wind blows to at first, in radians.
        wind_start_rad: f64 = PI, -10.0..=10.0;
        /// The time of a full turn of the wind, in steps.
        wind_period_steps: f64 = 1000.0, 1.0..=1e9;
        /// Either coordinate of the start.
        start: [f64; 2] = [0.45, 0.55], 0.0..=1.0;
    }
    unless {
        start: |o| o.start[0] <= o.start[1], "give the lower end first";
    }
}

/// The room.
#[derive(Debug, Clone)]
pub(crate) struct WindyRoom {
    options: WindyRoomOptions,
    place: [f64; 2],
}

impl WindyRoom {
    pub(crate) fn new(seed: u64, options: WindyRoomOptions) -> Self {
        let mut noise = Noise::new(seed, "windy room start");
        let [lo, hi] = options.start;
        Self { options, place: [noise.between(lo, hi), noise.between(lo, hi)] }
    }
}

impl Dynamics for WindyRoom {
    const NAME: &'static str = "windy_room";

    fn inputs(&self) -> &'static [Signal] {
        INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn advance(&mut self, actuators: &[f64], time_steps: u64) -> f64 {
        let o = &self.options;
        let angle = o.wind_start_rad + TAU * time_steps as f64 / o.wind_period_steps;
        let wind = [o.wind * libm::cos(angle), o.wind * libm::sin(angle)];
        for ((place, input), wind) in self.place.iter_mut().zip(actuators).zip(wind) {
            *place = (*place + o.speed * input + wind).clamp(0.0, 1.0);
        }
        0.0
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&self.place, outputs);
    }
}

#[cfg(test)]
mod tests {
    use crate::Environment;
    use crate::conformance::{close, run};

    #[test]
    fn the_first_steps_follow_the_formula() {
        let case = r#"{"name": "windy_room", "start": [0.5, 0.5]}"#;
        let found = run(case, 1, &[vec![1.0, -0.5], vec![0.0, 0.0]]);
        close(&found[0], &[0.5 + 0.02 - 0.005, 0.5 - 0.01, 0.0]);
        // The wind has turned by 2 pi/1000: cos = -.99998026, sin = -.00628314.
        close(&found[1], &[0.515 - 0.004_999_901_3, 0.49 - 0.000_031_415_7, 0.0]);
    }

    #[test]
    fn the_wind_alone_blows_in_a_circle_and_the_walls_hold() {
        let found = run(r#"{"name": "windy_room", "start": [0.5, 0.5], "wind": 0.001}"#, 1, &vec![vec![0.0; 2]; 1_000]);
        close(&found[999], &[0.5, 0.5, 0.0]);
        let found = run(r#"{"name": "windy_room"}"#, 1, &vec![vec![1.0, -1.0]; 200]);
        assert_eq!(found[199], [1.0, 0.0, 0.0]);
    }

    #[test]
    fn it_begins_in_the_middle_and_not_always_at_the_same_place() {
        let start = |seed| {
            let mut place = [0.0; 2];
            Environment::named("windy_room").unwrap().build(seed).unwrap().observe(&mut place);
            place
        };
        assert!((0..100).all(|seed| start(seed).iter().all(|x| (0.45..0.55).contains(x))));
        assert!(start(1) != start(2) && start(1)[0] != start(1)[1]);
    }
}
