//! The options of environments: every field with its default and its permitted values, stated once.

use std::fmt;
use std::ops::RangeInclusive;

/// What is wrong with one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The option's name, as in a case file.
    pub option: &'static str,
    /// The value that was given.
    pub value: String,
    /// What to give instead.
    pub advice: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}: {}", self.option, self.value, self.advice)
    }
}

/// Options under which an environment cannot be; all complaints together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImpossibleOptions {
    /// The environment's name.
    pub environment: &'static str,
    /// What is wrong, in the order of the fields.
    pub complaints: Vec<Complaint>,
}

impl fmt::Display for ImpossibleOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment `{}` cannot be built", self.environment)?;
        for (index, complaint) in self.complaints.iter().enumerate() {
            write!(f, "{} {complaint}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ImpossibleOptions {}

/// Collects complaints.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    complaints: Vec<Complaint>,
}

impl Checks {
    pub(crate) fn within<T: Within + fmt::Debug>(
        &mut self,
        option: &'static str,
        value: &T,
        range: &RangeInclusive<T::Bound>,
    ) where
        T::Bound: fmt::Debug,
    {
        let advice = || format!("give a value from {:?} to {:?}", range.start(), range.end());
        self.require(option, value, value.is_within(range), advice);
    }

    pub(crate) fn require(
        &mut self,
        option: &'static str,
        value: &dyn fmt::Debug,
        holds: bool,
        advice: impl Fn() -> String,
    ) {
        if !holds {
            self.complaints.push(Complaint { option, value: format!("{value:?}"), advice: advice() });
        }
    }

    pub(crate) fn result(self, environment: &'static str) -> Result<(), ImpossibleOptions> {
        if self.complaints.is_empty() {
            return Ok(());
        }
        Err(ImpossibleOptions { environment, complaints: self.complaints })
    }
}

/// A value that can be compared with a range: itself, or all that it holds. NaN is within nothing.
pub(crate) trait Within {
    type Bound;

    fn is_within(&self, range: &RangeInclusive<Self::Bound>) -> bool;
}

impl Within for f64 {
    type Bound = f64;

    fn is_within(&self, range: &RangeInclusive<f64>) -> bool {
        range.contains(self)
    }
}

impl Within for u64 {
    type Bound = u64;

    fn is_within(&self, range: &RangeInclusive<u64>) -> bool {
        range.contains(self)
    }
}

impl Within for usize {
    type Bound = usize;

    fn is_within(&self, range: &RangeInclusive<usize>) -> bool {
        range.contains(self)
    }
}

impl<const N: usize> Within for [f64; N] {
    type Bound = f64;

    fn is_within(&self, range: &RangeInclusive<f64>) -> bool {
        self.iter().all(|value| range.contains(value))
    }
}

impl Within for Option<f64> {
    type Bound = f64;

    fn is_within(&self, range: &RangeInclusive<f64>) -> bool {
        self.is_none_or(|value| range.contains(&value))
    }
}

/// A step and the value from then on.
impl Within for Option<(u64, f64)> {
    type Bound = f64;

    fn is_within(&self, range: &RangeInclusive<f64>) -> bool {
        self.is_none_or(|(_, value)| range.contains(&value))
    }
}

/// Declares a struct of options: `field: type = default, permitted range;`, then under `unless` what must hold
/// between fields. The struct has that [`Default`], refuses unknown fields, and `check` collects all complaints.
macro_rules! options {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $($(#[$doc:meta])* $field:ident: $type:ty = $default:expr $(, $range:expr)?;)*
        }
        $(unless { $($culprit:ident: $holds:expr, $advice:literal;)* })?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        $vis struct $name {
            $(
                $(#[$doc])*
                #[doc = ""]
                #[doc = concat!("Default `", stringify!($default), "`" $(, ", of `", stringify!($range), "`")?, ".")]
                pub $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }

        impl $name {
            pub(crate) fn check(&self, checks: &mut $crate::options::Checks) {
                $($(checks.within(stringify!($field), &self.$field, &($range));)?)*
                $($(
                    let holds: fn(&Self) -> bool = $holds;
                    checks.require(stringify!($culprit), &self.$culprit, holds(self), || $advice.to_owned());
                )*)?
            }
        }
    };
}
pub(crate) use options;

#[cfg(test)]
mod tests {
    use super::*;

    options! {
        /// For the tests.
        struct Sample {
            /// A part.
            part: f64 = 0.5, 0.0..=1.0;
            /// A pair.
            pair: [f64; 2] = [0.0, 1.0], -1.0..=1.0;
            /// A count.
            count: u64 = 3, 1..=10;
        }
        unless {
            pair: |o| o.pair[0] < o.pair[1], "give the lower end first";
        }
    }

    #[test]
    fn all_complaints_are_reported_together_with_value_and_advice() {
        let mut checks = Checks::default();
        Sample { part: f64::NAN, pair: [1.0, 0.5], count: 11 }.check(&mut checks);
        let refused = checks.result("sample").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the environment `sample` cannot be built: `part` is NaN: give a value from 0.0 to 1.0; \
             `count` is 11: give a value from 1 to 10; `pair` is [1.0, 0.5]: give the lower end first"
        );
    }

    #[test]
    fn defaults_are_permitted() {
        let mut checks = Checks::default();
        Sample::default().check(&mut checks);
        assert_eq!(checks.result("sample"), Ok(()));
    }
}
