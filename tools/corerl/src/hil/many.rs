//! Many scenarios at the same time, with a line of progress for those who watch.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::sync::mpsc::{Receiver, Sender, channel};
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
    let waiting = Mutex::new((0..scenarios.len()).collect::<VecDeque<_>>());
    let (telling, news) = channel();
    thread::scope(|scope| {
        for _ in 0..jobs.min(scenarios.len()) {
            let telling = telling.clone();
            scope.spawn(|| work(scenarios, &waiting, with, telling));
        }
        drop(telling);
        watch(scenarios, &news, with, lifeline)
    })
}

fn work(scenarios: &[Scenario], waiting: &Mutex<VecDeque<usize>>, with: &Circumstances, telling: Sender<News>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(index) = next else { return };
        // Whoever listened is gone only when everything ends.
        let tell = |now: &str, share| _ = telling.send(News::Now(index, now.to_owned(), share));
        let result = hil::run(&scenarios[index], with, tell);
        let _ = telling.send(News::Over(index, Box::new(result)));
    }
}

fn watch(scenarios: &[Scenario], news: &Receiver<News>, with: &Circumstances, lifeline: &Lifeline) -> Vec<Result> {
    let watched = std::io::stderr().is_terminal();
    let bar = bar(scenarios.len() as u64 * STEPS, watched);
    let mut shares = vec![0.0_f64; scenarios.len()];
    let mut results: Vec<Option<Result>> = scenarios.iter().map(|_| None).collect();
    while results.iter().any(Option::is_none) {
        if lifeline.wait(LOOK_EVERY).asks_to_stop() && !with.stop.is_asked() {
            eprintln!("stopping: the programs of the scenarios are ended");
            with.stop.ask();
        }
        for told in news.try_iter() {
            match told {
                News::Now(index, now, share) => {
                    shares[index] = share;
                    if !now.is_empty() {
                        bar.set_message(format!("{}: {now}", scenarios[index].name));
                    }
                }
                News::Over(index, result) => {
                    shares[index] = 1.0;
                    if !watched {
                        eprintln!("{}: {:.1} s", scenarios[index].name, result.took.as_secs_f64());
                    }
                    results[index] = Some(*result);
                }
            }
        }
        bar.set_position((shares.iter().sum::<f64>() * STEPS as f64) as u64);
    }
    bar.finish_and_clear();
    results.into_iter().flatten().collect()
}

fn bar(length: u64, watched: bool) -> ProgressBar {
    let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{bar:24} {percent:>3} % {wide_msg}");
    ProgressBar::with_draw_target(Some(length), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
