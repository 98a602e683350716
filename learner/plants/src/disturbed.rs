//! Disturbances of the readings of any plant.

use crate::noise::Noise;
use crate::options::{Checks, ImpossibleOptions, options};
use crate::{Plant, Signal};

options! {
    /// How the measured outputs of a plant are disturbed. The default disturbs nothing.
    ///
    /// Targets among the outputs are not measured, and never disturbed. A *span* of an output is its `hi - lo`.
    pub struct Disturbances {
        /// Readings, and the reward with them, lag by this many steps.
        delay_steps: usize = 0, 0..=1_000;
        /// Probability that a reading is missing (NaN).
        missing_probability: f64 = 0.0, 0.0..=1.0;
        /// Probability that normal noise is added to a reading that is not missing.
        perturbed_probability: f64 = 0.0, 0.0..=1.0;
        /// Deviation of that noise, in spans.
        perturbed_deviation_spans: f64 = 5.0, 0.0..=1000.0;
        /// A constant error of every sensor, in spans.
        bias_spans: f64 = 0.0, -1000.0..=1000.0;
    }
}

/// A plant whose readings are disturbed.
///
/// Each measured output is delayed, then biased, then perhaps perturbed or lost, by chances of its own. A perturbed or
/// biased reading may leave the range of its signal, as a broken sensor's does. During the delay at the beginning the
/// readings are those of the plant before its first step.
///
/// The reward is the plant's own, of the step whose readings are shown, without bias, noise or loss: who sees late is
/// judged late. During the delay at the beginning it is that of the first step.
///
/// # Real-time
/// A step allocates nothing: the delay line has its length from the start.
#[derive(Debug)]
pub struct Disturbed {
    plant: Box<dyn Plant>,
    disturbances: Disturbances,
    seed: u64,
    noise: Noise,
    /// What is observed, disturbed.
    observed: Vec<f64>,
    /// The undisturbed readings of the last steps and their rewards, a row each: a ring.
    rows: Vec<f64>,
    time_steps: u64,
    reward: f64,
}

impl Disturbed {
    /// Disturbs `plant`, which has not made a step yet; `seed` determines all of the disturbances' noise.
    ///
    /// # Errors
    /// [`ImpossibleOptions`] when the disturbances are not permitted.
    pub fn new(plant: Box<dyn Plant>, disturbances: Disturbances, seed: u64) -> Result<Self, ImpossibleOptions> {
        let mut checks = Checks::default();
        disturbances.check(&mut checks);
        checks.result(plant.name())?;
        let width = plant.measured().min(plant.outputs().len()) + 1;
        let mut disturbed = Self {
            observed: vec![0.0; plant.outputs().len()],
            rows: vec![0.0; width * (disturbances.delay_steps + 1)],
            noise: Noise::new(seed, "readings"),
            plant,
            disturbances,
            seed,
            time_steps: 0,
            reward: 0.0,
        };
        disturbed.fill();
        Ok(disturbed)
    }

    /// As before the first step: every row of the ring shows the plant as it begins.
    fn fill(&mut self) {
        self.plant.observe(&mut self.observed);
        let measured = self.measured();
        for row in self.rows.chunks_exact_mut(measured + 1) {
            row[..measured].copy_from_slice(&self.observed[..measured]);
            row[measured] = 0.0;
        }
    }

    /// Puts the readings and the reward of this step into the ring, and takes out those to be shown.
    fn delay(&mut self) {
        let measured = self.measured();
        let count = self.disturbances.delay_steps + 1;
        let place = |steps: u64| (steps % count as u64) as usize * (measured + 1);
        let (now, shown) = (place(self.time_steps), place(self.time_steps + 1));
        self.rows[now..now + measured].copy_from_slice(&self.observed[..measured]);
        if self.time_steps == 0 {
            let first = self.plant.reward();
            self.rows.chunks_exact_mut(measured + 1).for_each(|row| row[measured] = first);
        }
        self.rows[now + measured] = self.plant.reward();
        self.observed[..measured].copy_from_slice(&self.rows[shown..shown + measured]);
        self.reward = self.rows[shown + measured];
    }

    fn disturb(&mut self) {
        let d = self.disturbances;
        let measured = self.measured();
        for (reading, signal) in self.observed[..measured].iter_mut().zip(self.plant.outputs()) {
            // Always three draws, so that one disturbance does not shift the noise of another.
            let (missing, perturbed, noise) = (self.noise.uniform(), self.noise.uniform(), self.noise.normal());
            let span = signal.hi - signal.lo;
            *reading += d.bias_spans * span;
            if missing < d.missing_probability {
                *reading = f64::NAN;
            } else if perturbed < d.perturbed_probability {
                *reading += d.perturbed_deviation_spans * span * noise;
            }
        }
    }
}

impl Plant for Disturbed {
    fn name(&self) -> &'static str {
        self.plant.name()
    }

    fn inputs(&self) -> &'static [Signal] {
        self.plant.inputs()
    }

    fn outputs(&self) -> &'static [Signal] {
        self.plant.outputs()
    }

    fn measured(&self) -> usize {
        self.plant.measured().min(self.observed.len())
    }

    fn step(&mut self, inputs: &[f64], outputs: &mut [f64]) {
        self.plant.step(inputs, &mut self.observed);
        self.delay();
        self.disturb();
        self.time_steps += 1;
        self.observe(outputs);
    }

    fn observe(&self, outputs: &mut [f64]) {
        crate::simulated::copy(&self.observed, outputs);
    }

    fn reward(&self) -> f64 {
        self.reward
    }

    fn reset(&mut self) {
        self.plant.reset();
        self.noise = Noise::new(self.seed, "readings");
        self.time_steps = 0;
        self.reward = 0.0;
        self.fill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{close, run};

    fn saturation(more: &str, steps: usize) -> Vec<Vec<f64>> {
        run(&format!(r#"{{"name": "saturation"{more}}}"#), 1, &vec![vec![0.1]; steps])
    }

    #[test]
    fn a_delay_shows_the_same_readings_and_rewards_later_but_targets_at_once() {
        let change = r#", "setpoint_change": [5, 0.7]"#;
        let plain = saturation(change, 20);
        let delayed = saturation(&format!(r#"{change}, "delay_steps": 3"#), 20);
        for t in 0..20 {
            let level = if t < 3 { 0.0 } else { plain[t - 3][0] };
            let reward = plain[t.saturating_sub(3)][2];
            assert_eq!(delayed[t], [level, plain[t][1], reward], "{t}");
        }
    }

    #[test]
    fn readings_are_lost_as_often_as_asked_and_rewards_and_targets_are_not() {
        let found = saturation(r#", "missing_probability": 0.4"#, 5_000);
        let missing = found.iter().filter(|row| row[0].is_nan()).count();
        assert!((1_900..2_100).contains(&missing), "{missing}");
        assert!(found.iter().all(|row| row[1] == 0.5 && row[2].is_finite()));
    }

    /// The perturbations of the first reading of a plant in 20,000 steps.
    fn perturbations(name: &str, more: &str) -> Vec<f64> {
        let run = |more: &str| {
            let case = format!(r#"{{"name": "{name}"{more}}}"#);
            run(&case, 1, &vec![vec![]; 20_000])
        };
        let (plain, perturbed) = (run(""), run(more));
        assert!(perturbed.iter().zip(&plain).all(|(row, plain)| row[row.len() - 1] == plain[row.len() - 1]));
        perturbed.iter().zip(&plain).map(|(row, plain)| row[0] - plain[0]).filter(|noise| *noise != 0.0).collect()
    }

    #[test]
    fn readings_are_perturbed_as_often_and_as_much_as_asked() {
        for (name, more, deviation) in [
            ("saturation", r#", "perturbed_probability": 0.2"#, 5.0),
            ("three_tanks", r#", "perturbed_probability": 0.2, "perturbed_deviation_spans": 2"#, 2.0 * 43.1),
        ] {
            let noise = perturbations(name, more);
            assert!((3_800..4_200).contains(&noise.len()), "{name}: {}", noise.len());
            let found = (noise.iter().map(|noise| noise * noise).sum::<f64>() / noise.len() as f64).sqrt();
            assert!((found / deviation - 1.0).abs() < 0.05, "{name}: {found}");
        }
    }

    #[test]
    fn a_reading_that_is_not_lost_is_perturbed_as_often_as_if_none_were() {
        let noise = perturbations("saturation", r#", "missing_probability": 0.4, "perturbed_probability": 0.4"#);
        let perturbed = noise.iter().filter(|noise| noise.is_finite()).count();
        assert!((4_600..5_000).contains(&perturbed), "{perturbed}");
    }

    #[test]
    fn a_bias_is_in_parts_of_each_readings_span_and_adds_to_the_other_disturbances() {
        let tanks = |more: &str| run(&format!(r#"{{"name": "three_tanks"{more}}}"#), 1, &vec![vec![70.0, 70.0]; 9]);
        for (row, plain) in tanks(r#", "bias_spans": 0.1"#).iter().zip(tanks("")) {
            close(&row[..3], &[plain[0] + 4.31, plain[1] + 4.31, plain[2] + 4.31]);
            assert_eq!(row[3..], plain[3..]);
        }
        let perturbed = r#", "perturbed_probability": 1"#;
        let both = saturation(&format!(r#"{perturbed}, "bias_spans": 0.25"#), 9);
        for (row, alone) in both.iter().zip(saturation(perturbed, 9)) {
            close(&row[..1], &[alone[0] + 0.25]);
        }
    }

    #[test]
    fn the_readings_of_one_plant_are_disturbed_independently() {
        let found = run(r#"{"name": "three_tanks", "missing_probability": 0.5}"#, 1, &vec![vec![70.0, 70.0]; 400]);
        let differ = found.iter().filter(|row| row[0].is_nan() != row[1].is_nan()).count();
        assert!((150..250).contains(&differ), "{differ}");
    }

    #[test]
    fn impossible_disturbances_are_refused() {
        let plant = crate::by_name("saturation", 1).unwrap();
        let refused = Disturbed::new(plant, Disturbances { delay_steps: 1_001, ..Default::default() }, 1).unwrap_err();
        assert!(refused.to_string().contains("`delay_steps` is 1001: give a value from 0 to 1000"), "{refused}");
    }
}
