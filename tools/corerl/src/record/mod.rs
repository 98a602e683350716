//! `corerl record`: everything that can be seen of a running agent, written into captures from outside.

mod files;
mod taking;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use rt_recording::capture::Closed;
use rt_sys::Lifeline;
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text};
use crate::target::Target;
use files::Files;
use taking::Taking;

/// How often the rings are read: they hold a minute.
const TURN: Duration = Duration::from_millis(50);
/// How often the agent is asked who leads.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  corerl record --out captures/\n  corerl record --agent works/ph --out startup.cap --for 600 --json\n\n\
                  What is written is every cycle record and every event, beginning with what the rings still hold. It is no recording \
                  that can be replayed: `corerl run --record` makes those. An agent that ends is waited for; when it is back, the next \
                  file begins. Ctrl-C ends in order."
)]
pub(crate) struct RecordArguments {
    #[command(flatten)]
    target: Target,
    /// A directory, where files are named after agent and time; or, with the ending `.cap`, the first file, which must not be
    /// there yet, with further ones beside it.
    #[arg(long, value_name = "DIR|FILE")]
    out: PathBuf,
    /// A file that has so many MiB is closed, and the next one begun.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    file_mib: u64,
    /// All files together have about so many MiB at most, at least two files' worth; the oldest go first.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(2..=1 << 30))]
    budget_mib: u64,
    /// End after so many seconds.
    #[arg(long = "for", value_name = "S", value_parser = seconds)]
    duration: Option<Duration>,
    /// Print what was written as JSON.
    #[arg(long)]
    json: bool,
}

/// What a run of this command wrote.
#[derive(Debug, Default, Serialize)]
struct Report {
    agent: String,
    files: Vec<Kept>,
    cycles: u64,
    events: u64,
    lost_cycles: u64,
    lost_events: u64,
    bytes: u64,
    removed_files: u64,
}

/// One file.
#[derive(Debug, Serialize)]
struct Kept {
    path: String,
    pid: u32,
    cycles: u64,
    events: u64,
    lost_cycles: u64,
    lost_events: u64,
    bytes: u64,
}

pub(crate) fn run(arguments: &RecordArguments) -> Result<Exit, Failure> {
    if arguments.budget_mib < 2 * arguments.file_mib {
        let message = format_args!(
            "a budget of {} MiB is less than two files of {}: raise --budget-mib or lower --file-mib",
            arguments.budget_mib, arguments.file_mib
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    let lifeline = Lifeline::new(false).map_err(|error| Failure::io("signals cannot be watched", &error))?;
    let (address, _) = arguments.target.connect()?;
    let files = Files::at(&arguments.out, arguments.file_mib << 20, arguments.budget_mib << 20)?;
    let progress = Progress::new(address.label());
    let mut taking = Taking::new(address, files);
    let deadline = arguments.duration.map(|duration| Instant::now() + duration);
    let mut look_at = Instant::now();
    let ended = loop {
        let now = Instant::now();
        let turned = if now >= look_at {
            look_at = now + LOOK_EVERY;
            taking.take().and_then(|()| taking.look())
        } else {
            taking.take()
        };
        if turned.is_err() || deadline.is_some_and(|deadline| now >= deadline) {
            break turned;
        }
        progress.show(&taking);
        if lifeline.wait(TURN).asks_to_stop() {
            break taking.take();
        }
    };
    progress.end();
    // What was written is told in any case.
    let closed = ended.and_then(|()| taking.close(Closed::Complete));
    let report = taking.report();
    if arguments.json {
        print_json("corerl.record/1", &report)?;
    } else {
        print_text(&report.text())?;
    }
    closed.map(|()| Exit::Fine)
}

impl Report {
    fn text(&self) -> String {
        let Self { agent, files, cycles, events, lost_cycles, lost_events, bytes, removed_files } = self;
        let mut text = format!("{agent}: {cycles} cycles and {events} events in {}", HumanBytes(*bytes));
        text += &match (lost_cycles, lost_events) {
            (0, 0) => ", nothing is missing\n".to_owned(),
            (cycles, events) => {
                format!("; {cycles} cycles and {events} events are missing: they came faster than they were read\n")
            }
        };
        for Kept { path, pid, cycles, .. } in files {
            text += &format!("  {path}: {cycles} cycles of process {pid}\n");
        }
        if *removed_files > 0 {
            text += &format!("  {removed_files} older files made room\n");
        }
        text
    }
}

/// A line on the terminal; nothing when standard error is none.
struct Progress {
    bar: ProgressBar,
    agent: String,
}

impl Progress {
    fn new(agent: String) -> Self {
        let style =
            ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self { bar: ProgressBar::new_spinner().with_style(style), agent }
    }

    fn show(&self, taking: &Taking) {
        self.bar.set_message(format!("{}: {}", self.agent, taking.line()));
        self.bar.tick();
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "write seconds, above 0 and at most a year, for example 600".to_owned();
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if seconds > 0.0 && seconds <= 31_622_400.0 { Ok(Duration::from_secs_f64(seconds)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_one_in_which_something_can_be_recorded() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(["0", "-1", "nan", "inf", "10min", "1e9"].iter().all(|text| seconds(text).is_err()));
    }

    #[test]
    fn the_report_says_what_is_missing_and_what_made_room() {
        let kept =
            Kept { path: "a.cap".to_owned(), pid: 7, cycles: 3, events: 1, lost_cycles: 0, lost_events: 0, bytes: 10 };
        let mut report = Report { agent: "works/ph".to_owned(), files: vec![kept], cycles: 3, ..Report::default() };
        assert_eq!(
            report.text(),
            "works/ph: 3 cycles and 0 events in 0 B, nothing is missing\n  a.cap: 3 cycles of process 7\n"
        );
        (report.lost_cycles, report.removed_files) = (5, 2);
        assert!(report.text().contains("5 cycles and 0 events are missing"), "{}", report.text());
        assert!(report.text().ends_with("  2 older files made room\n"));
    }
}
