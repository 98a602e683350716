//! Many scenarios at the same time, with a line of progress for those who watch.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use hil::{Circumstances, Result, Scenario};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rt_sys::Lifeline;

/// How often signals and news are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Steps of the bar for each scenario.
const STEPS: u64 = 100;

/// What a worker tells.
enum News {
    /// What happens now in a scenario, and how much of it is over, from 0 to 1.
    Now(usize, String, f64),
    /// A scenario came to its end.
    Over(usize, Box<Result>),
}

/// Runs them all, so many at a time, in their order; Ctrl-C ends those that run and skips the others. The results are in the
/// order of the scenarios.
pub(super) fn run(scenarios: &[Scenario], with: &Circumstances, jobs: usize, lifeline: &Lifeline) -> Vec<Result> {
    let names: Vec<_> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    let run = |index: usize, tell: &mut dyn FnMut(&str, f64)| hil::run(&scenarios[index], with, tell);
    let lost =
        |index: usize| hil::Result::broken(&scenarios[index], "whoever ran it is gone: this is a mistake in CoreRL");
    let look = || {
        if lifeline.wait(LOOK_EVERY).asks_to_stop() && !with.stop.is_asked() {
            eprintln!("stopping: the programs of the scenarios are ended");
            with.stop.ask();
        }
    };
    let results = run_all(&names, jobs, run, look);
    results.into_iter().enumerate().map(|(index, result)| result.unwrap_or_else(|| lost(index))).collect()
}

/// Has all of these run, by `jobs` workers, and calls `look` again and again meanwhile. Without a result are those whose worker
/// died of them.
fn run_all(
    names: &[&str],
    jobs: usize,
    run: impl Fn(usize, &mut dyn FnMut(&str, f64)) -> Result + Sync,
    look: impl FnMut(),
) -> Vec<Option<Result>> {
    let waiting = Mutex::new((0..names.len()).collect::<VecDeque<_>>());
    let (telling, news) = channel();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.min(names.len()))
            .map(|_| {
                let (telling, waiting, run) = (telling.clone(), &waiting, &run);
                scope.spawn(move || work(waiting, run, &telling))
            })
            .collect();
        drop(telling);
        let results = watch(names, &news, look);
        // A panic has been told of where it happened; whoever is not joined here panics the scope.
        workers.into_iter().for_each(|worker| _ = worker.join());
        results
    })
}

fn work(
    waiting: &Mutex<VecDeque<usize>>,
    run: &impl Fn(usize, &mut dyn FnMut(&str, f64)) -> Result,
    telling: &Sender<News>,
) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(index) = next else { return };
        // Whoever listened is gone only when everything ends.
        let mut tell = |now: &str, share| _ = telling.send(News::Now(index, now.to_owned(), share));
        let result = run(index, &mut tell);
        let _ = telling.send(News::Over(index, Box::new(result)));
    }
}

/// Takes what is told until everybody has told all, or nobody is left who could.
fn watch(names: &[&str], news: &Receiver<News>, mut look: impl FnMut()) -> Vec<Option<Result>> {
    let watched = std::io::stderr().is_terminal();
    let bar = bar(names.len() as u64 * STEPS, watched);
    let mut shares = vec![0.0_f64; names.len()];
    let mut results: Vec<Option<Result>> = names.iter().map(|_| None).collect();
    while results.iter().any(Option::is_none) {
        match news.try_recv() {
            Ok(News::Now(index, now, share)) => {
                shares[index] = share;
                if !now.is_empty() {
                    bar.set_message(format!("{}: {now}", names[index]));
                }
            }
            Ok(News::Over(index, result)) => {
                shares[index] = 1.0;
                if !watched {
                    eprintln!("{}: {:.1} s", names[index], result.took.as_secs_f64());
                }
                results[index] = Some(*result);
            }
            Err(TryRecvError::Empty) => {
                bar.set_position((shares.iter().sum::<f64>() * STEPS as f64) as u64);
                look();
            }
            Err(TryRecvError::Disconnected) => break,
        }
    }
    bar.finish_and_clear();
    results
}

fn bar(length: u64, watched: bool) -> ProgressBar {
    let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{bar:24} {percent:>3} % {wide_msg}");
    ProgressBar::with_draw_target(Some(length), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_worker_that_dies_takes_its_scenario_along_and_nothing_else() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hil/steady.yaml");
        let scenario = Scenario::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let run = |index: usize, tell: &mut dyn FnMut(&str, f64)| {
            tell("it is run", 0.5);
            assert_ne!(index, 1, "a mistake");
            Result::broken(&scenario, "this is a test")
        };
        let results = run_all(&["a", "b", "c"], 2, run, || thread::sleep(Duration::from_millis(1)));
        assert_eq!(results.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    }
}
