//! What is shown while the demo runs: a bar with one line on a terminal, a line a second otherwise.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use shm_layout::{Counter, LearnerCounter};

use super::recording::Recording;

/// On a terminal the line is renewed this often, else a line is printed this often.
const TERMINAL_EVERY: Duration = Duration::from_millis(250);
const PLAIN_EVERY: Duration = Duration::from_secs(1);

/// The mean of so many decisions is shown.
const REWARD_WINDOW: usize = 100;

/// The display; it writes to standard error.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    start: Instant,
    shown: Instant,
    /// Samples and setpoints at the last line, for their rates.
    before: (u64, u64),
}

impl Progress {
    /// A display for a run of `seconds`.
    pub(crate) fn new(seconds: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(seconds * 1000), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %\n{wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        let now = Instant::now();
        Self { bar, start: now, shown: now, before: (0, 0) }
    }

    /// Shows the present state, if it is time to.
    pub(crate) fn show(&mut self, recording: &Recording) {
        let every = if self.bar.is_some() { TERMINAL_EVERY } else { PLAIN_EVERY };
        let since = self.shown.elapsed();
        if since < every {
            return;
        }
        self.shown = Instant::now();
        let now = (recording.counters.get(Counter::SamplesReceived), recording.counters.get(Counter::SetpointsWritten));
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / since.as_secs_f64();
        let rates = (rate(now.0, self.before.0), rate(now.1, self.before.1));
        self.before = now;
        let line = line(recording, rates);
        let elapsed = self.start.elapsed();
        match &self.bar {
            Some(bar) => {
                bar.set_position(elapsed.as_millis() as u64);
                bar.set_message(line);
            }
            None => eprintln!("{:5.1} s  {line}", elapsed.as_secs_f64()),
        }
    }

    /// Takes the display away.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(recording: &Recording, (samples_rate, setpoints_rate): (f64, f64)) -> String {
    let counter = |counter| recording.counters.get(counter);
    let us = |ns: Option<u64>| ns.unwrap_or(0) as f64 / 1000.0;
    let lateness = &recording.lateness;
    let rewards: Vec<f64> = recording
        .decisions
        .iter()
        .rev()
        .map(|decision| decision.reward)
        .filter(|reward| reward.is_finite())
        .take(REWARD_WINDOW)
        .collect();
    let reward = if rewards.is_empty() {
        "-".to_owned()
    } else {
        format!("{:.4}", rewards.iter().sum::<f64>() / rewards.len() as f64)
    };
    format!(
        "cycles {}  late p50 {:.0} p99 {:.0} max {:.0} us  lost {}  samples {samples_rate:.0}/s  setpoints {setpoints_rate:.0}/s  \
         policy {}  updates {}  reward {reward}",
        counter(Counter::Cycles),
        us(lateness.quantile_ns(0.5)),
        us(lateness.quantile_ns(0.99)),
        us(lateness.max_ns()),
        counter(Counter::SlotsSkipped),
        counter(Counter::PolicyGeneration),
        recording.learner.get(LearnerCounter::Updates),
    )
}

#[cfg(test)]
mod tests {
    use super::super::recording::tests::example;
    use super::*;

    #[test]
    fn the_line_holds_the_numbers_that_matter() {
        let line = line(&example(), (3000.0, 100.0));
        for part in ["cycles 9990", "lost 10", "samples 3000/s", "setpoints 100/s", "max 50 us", "reward -0.0011"] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }

    #[test]
    fn before_the_first_decision_there_is_no_reward() {
        let mut recording = example();
        recording.decisions.clear();
        assert!(line(&recording, (0.0, 0.0)).ends_with("reward -"));
    }
}
