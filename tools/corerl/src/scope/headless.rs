//! The scope in scripts: one sweep, saved and measured.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::engine::Scope;
use super::file::Saved;
use super::measurement::Measurement;
use super::source::Source;
use super::view::figure;
use super::{ScopeArguments, save};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

/// How often records are read; the runtime keeps them far longer.
const READ_EVERY: Duration = Duration::from_millis(20);

/// Takes one sweep.
pub(super) fn take(arguments: &ScopeArguments) -> Result<Exit, Failure> {
    let start = Instant::now();
    let (mut source, mut scope) = Source::open(arguments, start)?;
    let is_over = |now: Instant| arguments.patience.is_some_and(|patience| now - start >= patience);
    loop {
        let now = Instant::now();
        source.feed(&mut scope, now);
        if let Some(capture) = scope.last() {
            return finish(arguments, &scope.saved(source.label(), capture));
        }
        if is_over(now) && !scope.is_sweeping() {
            return Ok(give_up(&source, &scope));
        }
        std::thread::sleep(READ_EVERY);
    }
}

/// Measures a capture that was saved.
pub(super) fn measure(arguments: &ScopeArguments, saved: &Saved) -> Result<Exit, Failure> {
    finish(arguments, saved)
}

fn finish(arguments: &ScopeArguments, saved: &Saved) -> Result<Exit, Failure> {
    if let Some(path) = &arguments.save {
        save(saved, path)?;
        eprintln!("{} samples are in {}", saved.capture.samples.len(), path.display());
    }
    if saved.capture.ended {
        eprintln!("warning: the runtime ended before the sweep did");
    }
    let report = Report::of(saved);
    if arguments.json {
        print_json("corerl.shm.scope/1", &report)?
    } else {
        print_text(&report.for_people())?
    }
    Ok(Exit::Fine)
}

fn give_up(source: &Source, scope: &Scope) -> Exit {
    let counts = scope.counts();
    eprintln!("no trigger came: {} in {} cycles of {}", scope.trigger(), counts.records, source.label());
    if let Some(trouble) = source.trouble() {
        eprintln!("at the end: {trouble}");
    }
    let missed = counts.lost + counts.events_lost;
    if missed > 0 {
        eprintln!("{missed} records were overwritten before they were read: it may have been among them");
    }
    Exit::CheckFailed
}

/// What is said of a sweep.
#[derive(Debug, Serialize)]
struct Report<'a> {
    agent: &'a str,
    trigger: &'a str,
    triggered: bool,
    trigger_ns: u64,
    trigger_cycle: Option<u64>,
    ended: bool,
    samples: usize,
    lost: u64,
    skipped: u64,
    channels: Vec<Measured<'a>>,
}

#[derive(Debug, Serialize)]
struct Measured<'a> {
    name: &'a str,
    #[serde(flatten)]
    of: Option<Measurement>,
}

impl<'a> Report<'a> {
    fn of(saved: &'a Saved) -> Self {
        let capture = &saved.capture;
        let measured = |(channel, title): (usize, &'a String)| Measured {
            name: title,
            of: Measurement::of(&capture.samples, channel),
        };
        Self {
            agent: &saved.agent,
            trigger: &saved.trigger,
            triggered: capture.frame.triggered,
            trigger_ns: capture.frame.trigger_ns,
            trigger_cycle: capture.at_trigger().map(|sample| sample.cycle),
            ended: capture.ended,
            samples: capture.samples.len(),
            lost: capture.lost(),
            skipped: capture.skipped(),
            channels: saved.titles.iter().enumerate().map(measured).collect(),
        }
    }

    fn for_people(&self) -> String {
        let cycle = self.trigger_cycle.map_or("-".to_owned(), |cycle| cycle.to_string());
        let began = match (self.trigger, self.triggered) {
            ("none", _) => "a sweep".to_owned(),
            (trigger, true) => format!("triggered by {trigger}"),
            (trigger, false) => format!("without a trigger, waiting for {trigger}"),
        };
        let mut text = format!("{}: {began} at cycle {cycle}\n", self.agent);
        text += &format!("{} samples, {} lost, {} slots skipped\n", self.samples, self.lost, self.skipped);
        let heading = ["", "min", "max", "mean", "rms", "frequency"].map(String::from);
        let rows = self.channels.iter().map(|channel| match channel.of {
            Some(of) => {
                let [min, max, mean, rms] = [of.min, of.max, of.mean, of.rms].map(figure);
                let frequency = of.frequency_hz.map_or("-".to_owned(), |hz| format!("{hz:.4} Hz"));
                [channel.name.to_owned(), min, max, mean, rms, frequency]
            }
            None => [channel.name, "-", "-", "-", "-", "-"].map(String::from),
        });
        text + &table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>())
    }
}
