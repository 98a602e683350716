//! What was seen of a run: every cycle, event and write, and when each step was done. It can be kept, and judged again.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;

use rt_core::mode::Mode;
use serde::{Deserialize, Serialize};

use crate::scenario::Scenario;

/// What a kept take says of itself.
const SCHEMA: &str = "corerl.take/1";

/// A run as it was seen. Times are nanoseconds after the timeline's begin; what came before is negative.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Take {
    schema: String,
    /// The scenario's name.
    pub(crate) scenario: String,
    /// The control period.
    pub(crate) period_ns: u64,
    /// The setpoints in the order of the cycles.
    pub(crate) setpoints: Vec<SetpointSeen>,
    /// The tags in the order of the cycles.
    pub(crate) tags: Vec<TagSeen>,
    /// Every cycle of whoever led, by rising time.
    pub(crate) cycles: Vec<CycleSeen>,
    /// Cycles that were overwritten before they were read.
    pub(crate) missed: u64,
    /// Events that were.
    #[serde(default)]
    pub(crate) missed_events: u64,
    /// Writes that the plant could not tell, because it was not listened to in time.
    #[serde(default)]
    pub(crate) missed_writes: u64,
    /// Events, as they came.
    pub(crate) events: Vec<EventSeen>,
    /// Writes that the plant told of; `None` where it tells nothing.
    pub(crate) writes: Option<Vec<WriteSeen>>,
    /// What was done, in the order of the scenario's steps.
    pub(crate) steps: Vec<StepSeen>,
    /// The runtimes that led, one after another: when each was followed from.
    pub(crate) leaders: Vec<i64>,
    /// The timeline's end.
    pub(crate) end: i64,
    /// What a historian has kept of it, if one was there.
    #[serde(default)]
    pub(crate) history: Option<HistorySeen>,
}

/// What a historian has kept of a take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HistorySeen {
    /// Rewards.
    pub(crate) rewards: u64,
    /// Records of cycles and events that it says it has lost.
    pub(crate) lost: u64,
}

/// A setpoint of a take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SetpointSeen {
    /// Its tag.
    pub(crate) name: String,
    /// What the plant calls it.
    pub(crate) node: String,
    /// Engineering unit.
    pub(crate) unit: String,
    /// How far it may move in a second; `None` without limit.
    pub(crate) rate_per_s: Option<f64>,
    /// Its range, from when on.
    pub(crate) ranges: Vec<(i64, f64, f64)>,
}

/// A tag of a take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TagSeen {
    /// Its name.
    pub(crate) name: String,
    /// Engineering unit.
    pub(crate) unit: String,
}

/// One cycle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CycleSeen {
    /// The slot's release.
    pub(crate) at: i64,
    /// Time since the cycle before.
    pub(crate) dt_ns: u64,
    /// Slots skipped before it.
    pub(crate) skipped: u32,
    /// The mode's number.
    pub(crate) mode: u8,
    /// Lateness of the wake-up, nanoseconds.
    pub(crate) lateness_ns: u32,
    /// The reward of the step that ended here.
    pub(crate) reward: Option<f64>,
    /// One for each setpoint.
    pub(crate) setpoints: Vec<Sent>,
    /// One for each tag: value and number of the quality.
    pub(crate) tags: Vec<(Option<f64>, u8)>,
}

/// A setpoint in one cycle.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sent {
    /// What the envelope let through; `None` with `written` for what is not finite.
    pub(crate) sent: Option<f64>,
    /// The change was measured from this.
    pub(crate) last: Option<f64>,
    /// What the plant showed.
    pub(crate) readback: Option<f64>,
    /// It went to the plant.
    pub(crate) written: bool,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventSeen {
    /// When.
    pub(crate) at: i64,
    /// Its kind.
    pub(crate) kind: String,
    /// Its text.
    pub(crate) text: String,
    /// Its first number, as the kind defines it.
    pub(crate) a: u64,
}

/// A write as the plant saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WriteSeen {
    /// When it was told.
    pub(crate) at: i64,
    /// The plant's name of the input.
    pub(crate) node: String,
    /// What was written, where it was a number.
    pub(crate) value: Option<f64>,
    /// The answer.
    pub(crate) status: String,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepSeen {
    /// What it is, for people.
    pub(crate) title: String,
    /// When it began; `None` when it was not done.
    pub(crate) begun: Option<i64>,
    /// When it was taken back.
    pub(crate) ended: Option<i64>,
    /// What came of it.
    pub(crate) outcome: StepOutcome,
}

/// What can become of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepOutcome {
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
    pub(crate) fn mode(&self) -> Option<Mode> {
        Mode::from_number(self.mode)
    }
}

impl Take {
    /// Nothing seen yet.
    pub(crate) fn new(scenario: &str) -> Self {
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
    pub(crate) fn is_whole(&self) -> bool {
        let (setpoints, tags) = (self.setpoints.len(), self.tags.len());
        self.cycles.iter().all(|cycle| cycle.setpoints.len() == setpoints && cycle.tags.len() == tags)
    }

    /// Whether it can be judged by this scenario.
    ///
    /// # Errors
    /// A sentence: it is another one's, or damaged.
    pub fn check_that_it_is_of(&self, scenario: &Scenario) -> Result<(), String> {
        let of_another = |how: String| Err(format!("the take is of another scenario: {how}"));
        if self.scenario != scenario.name {
            return of_another(format!("it is of `{}`, and this is `{}`", self.scenario, scenario.name));
        }
        let steps = (self.steps.len(), scenario.steps.len());
        if steps.0 != steps.1 {
            return of_another(format!("it has {} steps, `{}` has {}", steps.0, scenario.name, steps.1));
        }
        let whole = self.is_whole();
        whole.then_some(()).ok_or_else(|| "the take is damaged: a cycle lacks setpoints or tags".to_owned())
    }

    /// How many cycles were seen.
    pub fn cycle_count(&self) -> usize {
        self.cycles.len()
    }
}

/// A time of a take in seconds.
pub(crate) fn seconds(at: i64) -> f64 {
    at as f64 / 1e9
}

/// A number that can be kept: what is not finite is nothing.
pub(crate) fn finite(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take() -> Take {
        let mut take = Take::new("steady");
        take.setpoints =
            vec![SetpointSeen { name: "u".into(), ranges: vec![(-5, 0.0, 1.0)], ..SetpointSeen::default() }];
        take.tags = vec![TagSeen::default()];
        let sent = Sent { sent: Some(0.1), last: None, readback: Some(1.0 / 3.0), written: true };
        let (dt_ns, skipped, mode, lateness_ns) = (5, 1, 2, 7);
        let (reward, setpoints, tags) = (Some(-0.5), vec![sent], vec![(None, 2)]);
        take.cycles = vec![CycleSeen { at: -3, dt_ns, skipped, mode, lateness_ns, reward, setpoints, tags }];
        take.events = vec![EventSeen { at: 1, kind: "trip".into(), text: "chatter".into(), a: 3 }];
        take.writes = Some(vec![WriteSeen { at: 2, node: "u".into(), value: Some(0.1), status: "Good".into() }]);
        (take.missed, take.missed_events, take.missed_writes, take.end) = (1, 2, 3, 4);
        take
    }

    #[test]
    fn a_take_that_was_kept_is_read_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("take.json");
        take().keep(&file).unwrap();
        assert_eq!(Take::read(&file), Ok(take()));
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("take/1", "take/9")).unwrap();
        assert!(Take::read(&file).unwrap_err().contains("this program reads `corerl.take/1`"));
    }

    #[test]
    fn a_take_is_judged_by_its_own_scenario_alone() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hil/steady.yaml");
        let scenario = Scenario::load(&file).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(take().check_that_it_is_of(&scenario), Ok(()));
        let of_other = Take { scenario: "bumpless".into(), ..take() };
        assert!(
            of_other.check_that_it_is_of(&scenario).unwrap_err().contains("it is of `bumpless`, and this is `steady`")
        );
        let damaged = Take { tags: Vec::new(), ..take() };
        assert!(damaged.check_that_it_is_of(&scenario).unwrap_err().contains("a cycle lacks"));
    }
}
