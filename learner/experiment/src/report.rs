//! The scores of a case from several seeds.

use learner::Health;
use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::trial::{Score, Wishes};

/// How a report calls itself.
pub const SCHEMA: &str = "corerl.experiment/1";
/// So many rewards at the end are a trial's score.
pub const WINDOW: usize = 100;
/// Points of a learning curve, at most.
const CURVE_POINTS_MAX: usize = 200;

/// Scores of one case from several seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The case's name.
    pub case: String,
    /// Its steps.
    pub steps: u64,
    /// One score per seed, by rising seeds.
    pub seeds: Vec<SeedScore>,
    /// The median of the seeds' scores.
    pub median: f64,
    /// The worst of them.
    pub worst: f64,
    /// What they are judged by, if the case says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<f64>,
    /// The least mean return, if the case says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_reference: Option<f64>,
    /// Whether every seed reaches what it is judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<bool>,
}

/// The score of one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedScore {
    /// The seed.
    pub seed: u64,
    /// Mean of the last 100 rewards.
    pub mean_last_100: f64,
    /// Mean of as many rewards as the case is judged by, if it says how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_last: Option<f64>,
    /// Mean variance of the actor over the last 100 decisions, in the setpoints' units squared.
    pub actor_variance: f64,
    /// How long it took, seconds.
    pub wall_s: f64,
    /// Updates of the critics.
    pub updates: u64,
    /// Mean reward of what was learnt without exploring, over 1,000 steps from the start.
    pub deterministic: f64,
    /// The same of the nominal setpoints.
    pub nominal: f64,
    /// Mean return of the evaluation's episodes, if the case has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_mean: Option<f64>,
    /// The worst of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_worst: Option<f64>,
    /// Means of equal parts of the rewards, in their order.
    pub curve: Vec<f64>,
    /// How learning got on.
    #[serde(default)]
    pub health: SeedHealth,
}

/// How learning got on at the end, and how often the case's wishes were fulfilled; one object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct SeedHealth {
    /// Of the networks; nothing when nothing was learnt.
    #[serde(flatten)]
    pub learning: Option<Health>,
    /// Of the plant.
    #[serde(flatten)]
    pub wishes: Wishes,
}

impl SeedScore {
    /// The score of a trial of this case.
    #[must_use]
    pub fn of(case: &Case, seed: u64, score: &Score, wall_s: f64) -> Self {
        let last = |count: usize| mean(&score.rewards[score.rewards.len().saturating_sub(count)..]);
        let part = score.rewards.len().div_ceil(CURVE_POINTS_MAX).max(1);
        Self {
            seed,
            mean_last_100: last(WINDOW),
            mean_last: case.reference.and_then(|reference| reference.rewards).map(|count| last(count.get())),
            actor_variance: score.actor_variance,
            wall_s,
            updates: score.updates,
            deterministic: score.deterministic,
            nominal: score.nominal,
            return_mean: score.returns.as_deref().map(mean),
            return_worst: score.returns.as_ref().and_then(|returns| returns.iter().copied().reduce(f64::min)),
            curve: score.rewards.chunks(part).map(mean).collect(),
            health: SeedHealth { learning: score.health, wishes: score.wishes },
        }
    }

    /// What it is judged by.
    #[must_use]
    pub fn judged(&self) -> f64 {
        self.mean_last.unwrap_or(self.mean_last_100)
    }
}

impl Report {
    /// The report of these scores.
    #[must_use]
    pub fn of(case: &Case, mut seeds: Vec<SeedScore>) -> Self {
        seeds.sort_by_key(|score| score.seed);
        let mut scores: Vec<f64> = seeds.iter().map(SeedScore::judged).collect();
        scores.sort_by(f64::total_cmp);
        let return_reference = case.evaluation.and_then(|evaluation| evaluation.reference);
        let passes = |score: &SeedScore| {
            let steady = |most: f64| score.actor_variance <= most;
            let reaches = |least: f64| score.return_mean.is_some_and(|mean| mean >= least);
            let is_rewarded = case.reference.is_none_or(|reference| {
                score.judged() >= reference.reward && reference.actor_variance.is_none_or(steady)
            });
            is_rewarded && return_reference.is_none_or(reaches)
        };
        Self {
            schema: SCHEMA.to_owned(),
            case: case.name.clone(),
            steps: case.steps,
            median: median(&scores),
            worst: scores.first().copied().unwrap_or(f64::NAN),
            reference: case.reference.map(|reference| reference.reward),
            return_reference,
            passed: (case.reference.is_some() || return_reference.is_some()).then(|| seeds.iter().all(passes)),
            seeds,
        }
    }

    /// A report that was written as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let report: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match report.schema.as_str() {
            SCHEMA => Ok(report),
            other => Err(format!("its schema is `{other}`, and not {SCHEMA}")),
        }
    }

    /// The curves as a table: the step at which each part ends, and the means of all seeds.
    #[must_use]
    pub fn curves_csv(&self) -> String {
        let heads = self.seeds.iter().map(|score| format!("seed {}", score.seed));
        let mut text = format!("step,{}\n", heads.collect::<Vec<_>>().join(","));
        let points = self.seeds.iter().map(|score| score.curve.len()).max().unwrap_or(0);
        for point in 0..points {
            let value = |score: &SeedScore| score.curve.get(point).map_or(String::new(), f64::to_string);
            let values: Vec<_> = self.seeds.iter().map(value).collect();
            text += &format!("{},{}\n", self.step_of(point), values.join(","));
        }
        text
    }

    /// The curves: a name for each, and the reward by the step at which each part ends. The median of all seeds comes last.
    #[must_use]
    pub fn curves(&self) -> Vec<(String, Vec<(f64, f64)>)> {
        let points =
            |curve: &[f64]| (0..).zip(curve).map(|(point, value)| (self.step_of(point) as f64, *value)).collect();
        let mut curves: Vec<_> =
            self.seeds.iter().map(|score| (format!("seed {}", score.seed), points(&score.curve))).collect();
        curves.push(("median".to_owned(), points(&self.medians())));
        curves
    }

    fn medians(&self) -> Vec<f64> {
        let points = self.seeds.iter().map(|score| score.curve.len()).max().unwrap_or(0);
        let at = |point: usize| {
            let mut values: Vec<f64> = self.seeds.iter().filter_map(|score| score.curve.get(point).copied()).collect();
            values.sort_by(f64::total_cmp);
            median(&values)
        };
        (0..points).map(at).collect()
    }

    /// The step with which a point of the curves ends.
    fn step_of(&self, point: usize) -> u64 {
        let part = self.steps.div_ceil(CURVE_POINTS_MAX as u64).max(1);
        (part * (point as u64 + 1)).min(self.steps)
    }
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Of sorted values; of two in the middle their mean.
pub(crate) fn median(sorted: &[f64]) -> f64 {
    let middle = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let upper = sorted.len() / 2;
    if sorted.len() % 2 == 1 { middle(upper) } else { (middle(upper.wrapping_sub(1)) + middle(upper)) / 2.0 }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::case::Reference;

    pub(crate) fn score(rewards: &[f64]) -> Score {
        Score {
            rewards: rewards.to_vec(),
            actor_variance: 0.0625 / 4096.0,
            updates: 7,
            deterministic: -0.5,
            nominal: -0.75,
            health: None,
            wishes: Wishes { goals_met: Some(0.75), zones_clear: None },
            returns: None,
        }
    }

    pub(crate) fn report(name: &str, last: &[f64]) -> Report {
        let case = Case { name: name.to_owned(), steps: 10, ..Case::named("stand_still").unwrap() };
        let seeds = (1..).zip(last).map(|(seed, last)| SeedScore::of(&case, seed, &score(&[*last; 10]), 0.5));
        let seeds = seeds.collect();
        Report::of(&case, seeds)
    }

    #[test]
    fn a_score_is_the_mean_of_the_last_hundred_and_the_curve_is_all_of_it() {
        let rewards: Vec<f64> = (0..1_000).map(f64::from).collect();
        let case = Case::named("stand_still").unwrap();
        let score = SeedScore::of(&case, 3, &score(&rewards), 0.5);
        assert_eq!((score.mean_last_100, score.mean_last), (949.5, None));
        assert_eq!((score.curve.len(), score.curve[0], score.curve[199]), (200, 2.0, 997.0));
    }

    #[test]
    fn a_report_has_the_median_and_the_worst_and_passes_when_every_seed_does() {
        let good = report("a", &[-0.0625, -0.125, -0.03125, -0.015625]);
        assert_eq!((good.median, good.worst, good.passed), (-0.046875, -0.125, Some(true)));
        assert_eq!(report("a", &[-0.1, -0.14]).passed, Some(false));
        let mut unsteady = report("a", &[-0.1]);
        unsteady.seeds[0].actor_variance = 2e-4;
        let case = Case::named("stand_still").unwrap();
        assert_eq!(Report::of(&case, unsteady.seeds).passed, Some(false));
        let free = Case { reference: None, ..case };
        assert_eq!(Report::of(&free, good.seeds.clone()).passed, None);
    }

    #[test]
    fn a_case_may_be_judged_by_more_rewards_than_the_last_hundred() {
        let case = Case::named("stand_still").unwrap();
        let judged = |reward| {
            let reference = Reference { reward, rewards: NonZeroUsize::new(200), ..Reference::default() };
            let case = Case { reference: Some(reference), ..case.clone() };
            let rewards: Vec<f64> = (0..300).map(|step| if step < 200 { -1.0 } else { 0.0 }).collect();
            Report::of(&case, vec![SeedScore::of(&case, 1, &score(&rewards), 0.5)])
        };
        let report = judged(-0.5);
        assert_eq!((report.seeds[0].mean_last_100, report.seeds[0].mean_last), (0.0, Some(-0.5)));
        assert_eq!((report.median, report.worst, report.passed), (-0.5, -0.5, Some(true)));
        assert_eq!(judged(-0.4).passed, Some(false));
        assert_eq!(Report::parse(&serde_json::to_string(&report).unwrap()).unwrap(), report);
    }

    #[test]
    fn a_case_with_episodes_passes_by_the_mean_return_of_every_seed() {
        let evaluation = crate::case::Evaluation { episodes: 2, steps_max: 10, reference: Some(-3.0) };
        let case = Case { reference: None, evaluation: Some(evaluation), ..Case::named("stand_still").unwrap() };
        let seed = |seed, returns: [f64; 2]| {
            SeedScore::of(&case, seed, &Score { returns: Some(returns.to_vec()), ..score(&[0.0; 10]) }, 0.5)
        };
        let report = Report::of(&case, vec![seed(1, [-1.0, -2.0]), seed(2, [-2.0, -4.0])]);
        assert_eq!((report.seeds[1].return_mean, report.seeds[1].return_worst), (Some(-3.0), Some(-4.0)));
        assert_eq!((report.return_reference, report.passed), (Some(-3.0), Some(true)));
        assert_eq!(Report::of(&case, vec![seed(1, [-1.0, -2.0]), seed(2, [-2.0, -4.5])]).passed, Some(false));
        assert_eq!(Report::parse(&serde_json::to_string(&report).unwrap()).unwrap(), report);
    }

    #[test]
    fn a_report_survives_being_written() {
        let report = report("a", &[-0.125, -0.25]);
        assert_eq!(Report::parse(&serde_json::to_string(&report).unwrap()).unwrap(), report);
        assert!(Report::parse("{}").is_err());
        let mut with_health = report.clone();
        with_health.seeds[0].health.learning = Some(Health {
            updates: 5,
            critic_loss: 0.5,
            actor_loss: 0.25,
            critic_gradient_norm: 2.0,
            actor_gradient_norm: 4.0,
            dead_units: 0.125,
            stable_rank: 3.0,
            ensemble_spread: 0.5,
            prediction_error: 0.5,
            value_added: 1.5,
            drift: Some(learner::Drift { mean: 0.5, largest: 1.0, column: 3 }),
            imputation: Some(learner::Imputation { tags: 2, error: 0.125, held: 0.25 }),
        });
        let json = serde_json::to_value(&with_health).unwrap();
        let health = &json["seeds"][0]["health"];
        assert_eq!((&health["value_added"], &health["goals_met"]), (&1.5.into(), &0.75.into()));
        assert_eq!(Report::parse(&json.to_string()).unwrap(), with_health);
        let mut older = json;
        older["seeds"][0].as_object_mut().unwrap().remove("health");
        assert!(Report::parse(&older.to_string()).is_ok(), "reports of before have none");
        let other = serde_json::to_string(&Report { schema: "corerl.bench/1".into(), ..report.clone() }).unwrap();
        assert!(Report::parse(&other).unwrap_err().contains("corerl.bench/1"));
        assert!(report.curves_csv().starts_with("step,seed 1,seed 2\n1,-0.125,-0.25\n"));
        assert_eq!(report.curves_csv().lines().count(), 11);
        let curves = report.curves();
        assert_eq!(curves.len(), 3);
        assert_eq!(curves[2], ("median".to_owned(), (1..=10).map(|step| (f64::from(step), -0.1875)).collect()));
    }
}
