//! Many trials at the same time.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use experiment::{Case, ExperimentError, Report, SeedScore};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Seeds at most: whoever asks for more has mistyped.
const SEEDS_MAX: u64 = 10_000;
/// A process image is large, and built on the stack.
const STACK_BYTES: usize = 16 << 20;
/// Where nobody watches, progress is told this often.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// Seeds, each once, in rising order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seeds(Vec<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not of the form 1..5 or 1,2,7");
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
        let mut seeds: Vec<u64> = match text.split_once("..") {
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last || last - first >= SEEDS_MAX {
                    return Err(format!("`{text}` are no seeds: write the first and the last of at most {SEEDS_MAX}"));
                }
                (first..=last).collect()
            }
            None => text.split(',').map(number).collect::<Result<_, _>>()?,
        };
        seeds.sort_unstable();
        seeds.dedup();
        Ok(Self(seeds))
    }
}

/// The number of trials at a time: one for each CPU.
pub(super) fn jobs(asked: Option<NonZeroUsize>) -> usize {
    asked.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}

/// Runs each case from each seed, so many trials at a time; a report for each case.
pub(super) fn run(cases: &[Case], seeds: &Seeds, jobs: usize) -> Result<Vec<Report>, ExperimentError> {
    // The longest trials come first, so that no CPU is idle at the end.
    let mut trials: Vec<_> = (0..cases.len()).flat_map(|case| seeds.0.iter().map(move |seed| (case, *seed))).collect();
    trials.sort_by_key(|(case, _)| std::cmp::Reverse(cases[*case].steps));
    let progress = Progress::new(trials.iter().map(|(case, _)| cases[*case].steps).sum());
    let (waiting, failure) = (Mutex::new(VecDeque::from(trials)), Mutex::new(None));
    let scores = Mutex::new(vec![Vec::new(); cases.len()]);
    let work = || {
        while let Some((case, seed)) = with(&waiting, VecDeque::pop_front) {
            let begun = Instant::now();
            let mut told = 0;
            let go_on = |step| {
                progress.advance(step - std::mem::replace(&mut told, step));
                with(&failure, |failure: &mut Option<_>| failure.is_none())
            };
            match experiment::run(&cases[case], seed, go_on) {
                Ok(Some(score)) => {
                    let score = SeedScore::of(&cases[case], seed, &score, begun.elapsed().as_secs_f64());
                    with(&scores, |scores| scores[case].push(score));
                }
                Ok(None) => break,
                Err(error) => with(&failure, |failure| *failure = Some(error)),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs {
            if thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work).is_err() {
                // With fewer threads it takes longer.
                break;
            }
        }
    });
    progress.end();
    match with(&failure, Option::take) {
        Some(error) => Err(error),
        None => {
            let scores = with(&scores, std::mem::take);
            Ok(cases.iter().zip(scores).map(|(case, scores)| Report::of(case, scores)).collect())
        }
    }
}

fn with<T, R>(shared: &Mutex<T>, act: impl FnOnce(&mut T) -> R) -> R {
    act(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A bar where somebody watches, a line now and then elsewhere.
struct Progress {
    bar: ProgressBar,
    watched: bool,
    told: Mutex<Instant>,
}

impl Progress {
    fn new(steps: u64) -> Self {
        let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} steps, {eta} left").ok();
        let watched = std::io::stderr().is_terminal();
        let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(steps), target);
        bar.set_style(style.unwrap_or_else(ProgressStyle::default_bar));
        Self { bar, watched, told: Mutex::new(Instant::now()) }
    }

    fn advance(&self, steps: u64) {
        self.bar.inc(steps);
        let is_due = with(&self.told, |told| {
            let is_due = !self.watched && told.elapsed() >= TELL_EVERY;
            if is_due {
                *told = Instant::now();
            }
            is_due
        });
        if is_due {
            eprintln!("{} of {} steps", self.bar.position(), self.bar.length().unwrap_or(0));
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_range_or_a_list() {
        let seeds = |text: &str| text.parse::<Seeds>().map(|seeds| seeds.0);
        assert_eq!(seeds("1..5"), Ok(vec![1, 2, 3, 4, 5]));
        assert_eq!(seeds("7, 2,7"), Ok(vec![2, 7]));
        assert_eq!(seeds("3"), Ok(vec![3]));
        for wrong in ["", "5..1", "a", "1..", "0..99999999999", "1,,2"] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reports_come_in_the_order_of_the_cases_and_a_failure_ends_all() {
        let quick = |name: &str, steps| {
            let mut case = Case::named(name).unwrap();
            case.steps = steps;
            case.agent.insert("critic_updates".to_owned(), 1.into());
            case.agent.insert("batch_size".to_owned(), 16.into());
            case
        };
        let cases = [quick("saturation", 3), quick("inertia_direct", 5)];
        let reports = run(&cases, &"1..2".parse().unwrap(), 2).unwrap();
        let facts: Vec<_> =
            reports.iter().map(|report| (report.case.as_str(), report.steps, report.seeds.len())).collect();
        assert_eq!(facts, [("saturation", 3, 2), ("inertia_direct", 5, 2)]);
        let mut broken = quick("saturation", 3);
        broken.agent.insert("gamma".to_owned(), 7.into());
        assert!(run(&[quick("inertia_direct", 5), broken], &"1..2".parse().unwrap(), 2).is_err());
    }
}
