//! Case files.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::environment::Environment;

/// What every case file says of itself.
const SCHEMA: &str = "corerl.case/1";
/// A case file is not longer than this, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Steps of a case, at most.
const STEPS_MAX: u64 = 100_000_000;
/// Episodes of an evaluation, at most.
const EPISODES_MAX: u64 = 10_000;

/// What is tried: an environment, and an agent for it.
///
/// `agent`, `reward`, `computed` and the keys of `tags` are those of a site file (`corerl config schema`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// `corerl.case/1`.
    pub schema: String,
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// What it is about, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The environment with its options and disturbances.
    pub environment: Environment,
    /// Steps of the environment; the agent observes in each.
    pub steps: u64,
    /// The agent decides in every so many steps, and the setpoints stay in between.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub decide_every: u64,
    /// Ranges and steps of setpoints, by name; absent ones have the environment's range.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, ActionRange>,
    /// More keys of the outputs' tags, by name: an imputer, zones, another range. With a range, the environment's own reward,
    /// `environment_reward`, is an input of the agent like they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, Map<String, Value>>,
    /// More tags: computed ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub computed: Vec<Map<String, Value>>,
    /// Options of the agent; absent ones have their defaults.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub agent: Map<String, Value>,
    /// Goals; absent: the environment's own reward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<Map<String, Value>>,
    /// What it is judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Episodes at the end, without exploring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
}

/// Episodes from fixed starts, which are the same for every agent and seed: what was learnt acts without exploring, and
/// learns nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// So many.
    pub episodes: u64,
    /// Steps after which one that has no end is cut off.
    #[serde(default = "thousand", skip_serializing_if = "is_thousand")]
    pub steps_max: u64,
    /// The least mean return, for every seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<f64>,
}

/// The range of a setpoint, and how far it may go in one decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRange {
    /// Ends of the range, in the environment's unit; absent: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// The largest change in one decision, in the environment's unit; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
    /// Where an untrained agent holds it; absent: the environment's nominal value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nominal: Option<f64>,
}

/// When a case counts as learnt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The least mean of the last rewards, for every seed.
    pub reward: f64,
    /// How many rewards these are, at least 1; absent: 100. More where the plant itself varies from hour to hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewards: Option<NonZeroUsize>,
    /// The largest variance of the actor over the last 100 decisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_variance: Option<f64>,
    /// What the product that is the reference has reached, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scored: Option<f64>,
}

/// Why there is no case.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// No file and no case of that name.
    #[error("there is no case `{name}`, and no file of that name; known are {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// It cannot be read.
    #[error("{file} cannot be read: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is no case file.
    #[error("{file}: {message}")]
    Form {
        /// The file, or the name of a case of ours.
        file: String,
        /// What is wrong, and what to do.
        message: String,
    },
}

const fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks it so")]
const fn is_one(number: &u64) -> bool {
    *number == 1
}

const fn thousand() -> u64 {
    1_000
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks it so")]
const fn is_thousand(number: &u64) -> bool {
    *number == thousand()
}

macro_rules! cases {
    ($($name:literal,)*) => {
        /// The cases by which learning is judged, with their texts.
        const STANDARD: &[(&str, &str)] = &[$(($name, include_str!(concat!("cases/", $name, ".yaml"))),)*];
    };
}

cases! {
    "saturation",
    "saturation_goals",
    "delayed_reaction",
    "multi_action_saturation",
    "setpoint_change_narrow",
    "setpoint_change_wide",
    "missing_10",
    "missing_40",
    "missing_80",
    "missing_three",
    "multimodal",
    "delayed_observation",
    "stand_still",
    "calibration",
    "distraction",
    "inertia_direct",
    "inertia_delta",
    "upstream_sensor_step",
    "t_maze_short",
    "tennessee_eastman",
}

impl Case {
    /// The names of the cases by which learning is judged.
    pub fn names() -> impl Iterator<Item = &'static str> {
        STANDARD.iter().map(|(name, _)| *name)
    }

    /// The text of a case of ours, an example to begin with.
    #[must_use]
    pub fn text(name: &str) -> Option<&'static str> {
        STANDARD.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// A case of ours.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn named(name: &str) -> Result<Self, CaseError> {
        let unknown = || CaseError::Unknown { name: name.to_owned(), known: Self::names().collect() };
        Self::parse(Self::text(name).ok_or_else(unknown)?, name)
    }

    /// A case file, or else a case of ours.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn load(name_or_file: &str) -> Result<Self, CaseError> {
        let path = Path::new(name_or_file);
        match std::fs::metadata(path) {
            Ok(found) if found.is_file() => {
                let read = |source| CaseError::Read { file: name_or_file.to_owned(), source };
                if found.len() > FILE_BYTES_MAX {
                    return Err(form(name_or_file, "it is longer than any case file; is this the right one?"));
                }
                Self::parse(&std::fs::read_to_string(path).map_err(read)?, name_or_file)
            }
            _ => Self::named(name_or_file),
        }
    }

    /// The case that a text describes; `file` names it in complaints.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str, file: &str) -> Result<Self, CaseError> {
        let case: Self = serde_saphyr::from_str(text).map_err(|error| form(file, &error.to_string()))?;
        case.check().map_err(|message| form(file, &message))?;
        Ok(case)
    }

    /// The case as a file.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).unwrap_or_default()
    }

    /// What the text alone tells; the rest shows when the site is made.
    fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!("`schema` is `{}`: write `schema: {SCHEMA}`", self.schema));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if self.name.is_empty() || !self.name.chars().all(fits) {
            return Err(format!("`name` is `{}`: write letters, digits, `-` and `_`", self.name));
        }
        if !(1..=STEPS_MAX).contains(&self.steps) || self.decide_every == 0 {
            return Err(format!("`steps` and `decide_every` are at least 1, and there are at most {STEPS_MAX} steps"));
        }
        let runs = |evaluation: Evaluation| {
            (1..=EPISODES_MAX).contains(&evaluation.episodes) && (1..=STEPS_MAX).contains(&evaluation.steps_max)
        };
        if !self.evaluation.is_none_or(runs) {
            return Err(format!(
                "`evaluation` has 1 to {EPISODES_MAX} `episodes` of at least 1 and at most {STEPS_MAX} steps"
            ));
        }
        self.environment.check()
    }
}

fn form(file: &str, message: &str) -> CaseError {
    CaseError::Form { file: file.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_of_ours_has_its_name_and_survives_a_round_trip() {
        for name in Case::names() {
            let case = Case::named(name).unwrap();
            assert_eq!(case.name, name);
            assert!(case.reference.is_some() && !case.about.is_empty());
            assert_eq!(Case::parse(&case.to_yaml(), name).unwrap(), case, "{}", case.to_yaml());
        }
    }

    #[test]
    fn what_is_wrong_with_a_case_is_said_with_its_place() {
        let refused = |from: &str, to: &str| {
            let text = Case::text("saturation").unwrap();
            assert!(text.contains(from), "{from}");
            Case::parse(&text.replacen(from, to, 1), "mine.yaml").unwrap_err().to_string()
        };
        assert!(refused("corerl.case/1", "corerl.case/9").contains("write `schema: corerl.case/1`"));
        assert!(refused("steps: 600", "stepps: 600").contains("stepps"));
        assert!(refused("steps: 600", "steps: 0").contains("at least 1"));
        assert!(refused("steps: 600", "steps: 600\nevaluation: {episodes: 0}").contains("`evaluation` has 1 to"));
        assert!(refused("{name: saturation}", "{name: gymnasium}").contains("either `command`"));
        assert!(refused("name: saturation\n", "name: a b\n").contains("letters, digits"));
        assert!(refused("name: saturation}", "name: saturation, taw: 1}").contains("taw"));
        assert!(Case::load("no such case").unwrap_err().to_string().contains("known are saturation,"));
    }
}
