//! Many seeds at the same time.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::thread;

use ::tests::simulation::{Failed, Passed, Scenario};
use indicatif::{ProgressBar, ProgressStyle};

/// A cycle is large, and built on the stack.
const STACK_BYTES: usize = 16 << 20;

/// Seeds from the first to the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seeds {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Seeds {
    /// How many there are.
    pub(crate) fn count(self) -> u64 {
        self.last - self.first + 1
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is not of the form A..B, the first and the last seed");
        let (first, last) = text.split_once("..").ok_or_else(wrong)?;
        let number = |text: &str| text.parse().map_err(|_| wrong());
        let seeds = Self { first: number(first)?, last: number(last)? };
        if seeds.first <= seeds.last { Ok(seeds) } else { Err(format!("{text}: there are no seeds between")) }
    }
}

/// What became of each seed.
pub(crate) type Outcomes = BTreeMap<u64, Result<Passed, Box<Failed>>>;

/// Runs the scenarios of all seeds, so many at the same time. Progress is shown on standard error, on a terminal.
pub(crate) fn run(seeds: Seeds, threads: usize, scenario: impl Fn(u64) -> Scenario + Sync) -> Outcomes {
    let bar = ProgressBar::new(seeds.count());
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} seeds, {eta} left").ok();
    bar.set_style(style.unwrap_or_else(ProgressStyle::default_bar));
    let waiting = Mutex::new(seeds.first..=seeds.last);
    let outcomes = Mutex::new(Outcomes::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            let work = || {
                while let Some(seed) = locked(&waiting, Iterator::next) {
                    let outcome = scenario(seed).run(None);
                    locked(&outcomes, |outcomes| outcomes.insert(seed, outcome));
                    bar.inc(1);
                }
            };
            if let Err(error) = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work) {
                panic!("the system gives no thread: {error}");
            }
        }
    });
    bar.finish_and_clear();
    outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn locked<T, R>(shared: &Mutex<T>, act: impl FnOnce(&mut T) -> R) -> R {
    act(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_two_numbers_in_order() {
        assert_eq!("1..1000".parse(), Ok(Seeds { first: 1, last: 1000 }));
        assert_eq!("7..7".parse(), Ok(Seeds { first: 7, last: 7 }));
        for wrong in ["", "7", "a..b", "9..7", "1..=3"] {
            assert!(wrong.parse::<Seeds>().is_err(), "{wrong}");
        }
    }
}
