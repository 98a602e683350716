//! What was seen of a run: every cycle, event and write, and when each step was done. It can be kept, and judged again.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;

use rt_core::mode::Mode;
use serde::{Deserialize, Serialize};

/// What a kept take says of itself.
const SCHEMA: &str = "corerl.take/1";

/// A run as it was seen. Times are nanoseconds after the timeline's begin; what came before is negative.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Take {
    schema: String,
    /// The scenario's name.
    pub scenario: String,
    /// The control period.
    pub period_ns: u64,
    /// The setpoints in the order of the cycles.
    pub setpoints: Vec<SetpointSeen>,
    /// The tags in the order of the cycles.
    pub tags: Vec<TagSeen>,
    /// Every cycle of whoever led, by rising time.
    pub cycles: Vec<CycleSeen>,
    /// Cycles that were overwritten before they were read.
    pub missed: u64,
    /// Events, as they came.
    pub events: Vec<EventSeen>,
    /// Writes that the plant told of; `None` where it tells nothing.
    pub writes: Option<Vec<WriteSeen>>,
    /// What was done, in the order of the scenario's steps.
    pub steps: Vec<StepSeen>,
    /// The runtimes that led, one after another: when each was followed from.
    pub leaders: Vec<i64>,
    /// The timeline's end.
    pub end: i64,
}

/// A setpoint of a take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetpointSeen {
    /// Its tag.
    pub name: String,
    /// What the plant calls it.
    pub node: String,
    /// Engineering unit.
    pub unit: String,
    /// How far it may move in a second; `None` without limit.
    pub rate_per_s: Option<f64>,
    /// Its range, from when on.
    pub ranges: Vec<(i64, f64, f64)>,
}

/// A tag of a take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TagSeen {
    /// Its name.
    pub name: String,
    /// Engineering unit.
    pub unit: String,
}

/// One cycle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CycleSeen {
    /// The slot's release.
    pub at: i64,
    /// Time since the cycle before.
    pub dt_ns: u64,
    /// Slots skipped before it.
    pub skipped: u32,
    /// The mode's number.
    pub mode: u8,
    /// Lateness of the wake-up, nanoseconds.
    pub lateness_ns: u32,
    /// The reward of the step that ended here.
    pub reward: Option<f64>,
    /// One for each setpoint.
    pub setpoints: Vec<Sent>,
    /// One for each tag: value and number of the quality.
    pub tags: Vec<(Option<f64>, u8)>,
}

/// A setpoint in one cycle.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// What the envelope let through; `None` with `written` for what is not finite.
    pub sent: Option<f64>,
    /// The change was measured from this.
    pub last: Option<f64>,
    /// What the plant showed.
    pub readback: Option<f64>,
    /// It went to the plant.
    pub written: bool,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventSeen {
    /// When.
    pub at: i64,
    /// Its kind.
    pub kind: String,
    /// Its text.
    pub text: String,
    /// Its first number, as the kind defines it.
    pub a: u64,
}

/// A write as the plant saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriteSeen {
    /// When it was told.
    pub at: i64,
    /// The plant's name of the input.
    pub node: String,
    /// What was written, where it was a number.
    pub value: Option<f64>,
    /// The answer.
    pub status: String,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepSeen {
    /// What it is, for people.
    pub title: String,
    /// When it began; `None` when it was not done.
    pub begun: Option<i64>,
    /// When it was taken back.
    pub ended: Option<i64>,
    /// What came of it.
    pub outcome: StepOutcome,
}

/// What can become of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// It is still to come.
    Due,
    /// It was done, as it should have been.
    Done,
    /// It was refused, as it should have been.
    Refused(String),
    /// It was not done, or not refused, against what was expected.
    Failed(String),
    /// It cannot be done on this machine.
    NotPossibleHere(String),
}

impl CycleSeen {
    /// The mode, if it is one.
    pub fn mode(&self) -> Option<Mode> {
        Mode::from_number(self.mode)
    }
}

impl Take {
    /// Nothing seen yet.
    pub fn new(scenario: &str) -> Self {
        Self { schema: SCHEMA.to_owned(), scenario: scenario.to_owned(), ..Self::default() }
    }

    /// Keeps it in a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&self, file: &Path) -> std::io::Result<()> {
        let mut writing = BufWriter::new(File::create(file)?);
        serde_json::to_writer(&mut writing, self)?;
        writing.flush()
    }

    /// Reads a kept one.
    ///
    /// # Errors
    /// A sentence: the file cannot be read, or is none.
    pub fn read(file: &Path) -> Result<Self, String> {
        let opened = File::open(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        let take: Self = serde_json::from_reader(BufReader::new(opened)).map_err(|error| {
            format!("{} is no take: {error}; `corerl hil run --out DIR` keeps one for each scenario", file.display())
        })?;
        if take.schema != SCHEMA {
            return Err(format!("{} has the schema `{}`; this program reads `{SCHEMA}`", file.display(), take.schema));
        }
        Ok(take)
    }

    /// Whether all parts of each cycle are there: a file may say anything.
    pub fn is_whole(&self) -> bool {
        let (setpoints, tags) = (self.setpoints.len(), self.tags.len());
        self.cycles.iter().all(|cycle| cycle.setpoints.len() == setpoints && cycle.tags.len() == tags)
    }
}

/// A number that can be kept: what is not finite is nothing.
pub(crate) fn finite(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}
