//! Variations of a case: all combinations of some options' values, or a number of them by chance.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value};

use crate::case::{Case, CaseError};

/// More variations than this are a mistake of whoever asks.
const VARIATIONS_MAX: usize = 10_000;

/// An option with the values that it shall have: `agent.gamma` with 0.9 and 0.99.
#[derive(Debug, Clone, PartialEq)]
pub struct Variation {
    /// Where it is in the case, keys with dots between them.
    pub key: String,
    /// Its values.
    pub values: Vec<Value>,
}

/// Options and their values.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep(Vec<Variation>);

/// Why there is no sweep.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// It is no option with values.
    #[error("`{0}` is not of the form KEY=VALUE,VALUE…, for example agent.gamma=0.9,0.99")]
    Form(String),
    /// There are too many combinations.
    #[error("{0} combinations; vary fewer options, or draw some with --random N")]
    TooMany(usize),
    /// A combination is no case.
    #[error(transparent)]
    Case(#[from] CaseError),
}

impl Variation {
    /// `KEY=VALUE,VALUE…`; a value that is no number, word of JSON or list is a text.
    ///
    /// # Errors
    /// It has another form.
    pub fn parse(text: &str) -> Result<Self, SweepError> {
        let wrong = || SweepError::Form(text.to_owned());
        let (key, values) = text.split_once('=').ok_or_else(wrong)?;
        let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        let values: Vec<Value> = values.split(',').map(str::trim).filter(|text| !text.is_empty()).map(value).collect();
        if key.split('.').any(str::is_empty) || values.is_empty() {
            return Err(wrong());
        }
        Ok(Self { key: key.to_owned(), values })
    }
}

impl Sweep {
    /// A sweep over these options.
    #[must_use]
    pub fn new(variations: Vec<Variation>) -> Self {
        Self(variations)
    }

    /// All combinations of values: each a name such as `agent.gamma=0.9` and the case with them.
    ///
    /// # Errors
    /// They are too many, or one is no case.
    pub fn grid(&self, case: &Case) -> Result<Vec<(String, Case)>, SweepError> {
        let count = self.0.iter().fold(1_usize, |count, of| count.saturating_mul(of.values.len()));
        if count > VARIATIONS_MAX {
            return Err(SweepError::TooMany(count));
        }
        (0..count).map(|number| self.case_with(case, &mut Digits(number))).collect()
    }

    /// So many combinations by chance, the same for the same seed.
    ///
    /// # Errors
    /// They are too many, or one is no case.
    pub fn random(&self, case: &Case, count: usize, seed: u64) -> Result<Vec<(String, Case)>, SweepError> {
        if count > VARIATIONS_MAX {
            return Err(SweepError::TooMany(count));
        }
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| self.case_with(case, &mut chance)).collect()
    }

    fn case_with(&self, case: &Case, choice: &mut impl Choice) -> Result<(String, Case), SweepError> {
        let mut varied = serde_json::to_value(case).unwrap_or_default();
        let mut names = Vec::new();
        for Variation { key, values } in &self.0 {
            let value = &values[choice.below(values.len())];
            names.push(format!("{key}={value}"));
            set(&mut varied, key, value.clone());
        }
        let name = names.join(" ");
        Ok((name.clone(), Case::parse(&varied.to_string(), &name)?))
    }
}

/// Which of some values is next.
trait Choice {
    fn below(&mut self, count: usize) -> usize;
}

/// A number whose digits, each to its own base, are the choices.
struct Digits(usize);

impl Choice for Digits {
    fn below(&mut self, count: usize) -> usize {
        let digit = self.0 % count;
        self.0 /= count;
        digit
    }
}

impl Choice for ChaCha8Rng {
    fn below(&mut self, count: usize) -> usize {
        (self.next_u64() % count as u64) as usize
    }
}

/// Puts a value in its place, and makes the maps on the way where there are none.
fn set(value: &mut Value, key: &str, new: Value) {
    match key.split_once('.') {
        None => {
            if let Some(map) = map_of(value) {
                map.insert(key.to_owned(), new);
            }
        }
        Some((first, rest)) => {
            if let Some(map) = map_of(value) {
                set(map.entry(first).or_insert_with(|| Value::Object(Map::new())), rest, new);
            }
        }
    }
}

fn map_of(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sweep(texts: &[&str]) -> Sweep {
        Sweep::new(texts.iter().map(|text| Variation::parse(text).unwrap()).collect())
    }

    #[test]
    fn a_grid_has_every_combination_once() {
        let case = Case::named("saturation").unwrap();
        let grid =
            sweep(&["agent.gamma=0.9,0.99", "steps=100,200,300", "environment.setpoint=0.4"]).grid(&case).unwrap();
        assert_eq!(grid.len(), 6);
        let mut found: Vec<_> = grid.iter().map(|(_, case)| (case.agent["gamma"].clone(), case.steps)).collect();
        found.sort_by_key(|(gamma, steps)| (gamma.to_string(), *steps));
        assert_eq!(found[0], (json!(0.9), 100));
        found.dedup();
        assert_eq!(found.len(), 6);
        assert_eq!(grid[0].0, "agent.gamma=0.9 steps=100 environment.setpoint=0.4");
        let crate::Environment::Plant(environment) = &grid[0].1.environment else { panic!() };
        let plants::PlantOptions::Saturation(options) = &environment.plant else { panic!() };
        assert_eq!(options.setpoint, 0.4);
    }

    #[test]
    fn chance_draws_the_same_for_the_same_seed() {
        let (case, sweep) = (Case::named("saturation").unwrap(), sweep(&["agent.gamma=0.8,0.9,0.99", "steps=1,2,3"]));
        let names = |seed| sweep.random(&case, 20, seed).unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(1), names(1));
        assert_ne!(names(1), names(2));
    }

    #[test]
    fn what_is_no_variation_or_no_case_is_refused() {
        for text in ["agent.gamma", "=1", "agent.=1", "agent.gamma=", "agent..gamma=1"] {
            assert!(Variation::parse(text).is_err(), "{text}");
        }
        let case = Case::named("saturation").unwrap();
        let refused = sweep(&["environment.taw=1"]).grid(&case).unwrap_err().to_string();
        assert!(refused.contains("taw"), "{refused}");
        let many = Sweep::new(vec![Variation { key: "steps".into(), values: vec![json!(1); 101] }; 2]);
        assert!(matches!(many.grid(&case), Err(SweepError::TooMany(10_201))));
    }
}
