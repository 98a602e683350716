//! Recordings in formats that other programs open.
//!
//! | format | opened by | what is in it |
//! |---|---|---|
//! | MCAP | Foxglove, PlotJuggler | a channel for the cycle, for each tag and each setpoint, and one for events |
//! | Parquet | pandas, DuckDB, Spark | a row for each cycle, or for each event; units in the fields' metadata |
//! | CSV | spreadsheets | the same rows |

mod column;
mod mcap;
mod table;

use std::fs::File;
use std::io;

use rt_recording::capture::Gap;
use serde::Serialize;
use shm_layout::{CycleHead, CycleRef, EventRecord};
use tables::{Coding, CsvFile, ParquetFile, Rows, TableError};

use crate::ending::Ending;
use crate::file::{Footage, Moment, count_gap};

/// A format that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Channels of Protobuf messages, with their descriptors. Not compressed: the format's compressions are C libraries.
    Mcap,
    /// Columns, compressed with Snappy.
    Parquet,
    /// Text.
    Csv,
}

/// Which rows a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Cycles; in MCAP cycles and events.
    Cycles,
    /// Events alone.
    Events,
}

/// One end of what is exported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// So long after the first cycle.
    Seconds(f64),
    /// A control cycle.
    Cycle(u64),
}

/// Which of the cycles are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The first one of each so many; at least 1.
    Every(u64),
    /// Those in which the policy was asked.
    Decisions,
}

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selection {
    /// From here on.
    pub from: Option<Bound>,
    /// Up to and including this.
    pub until: Option<Bound>,
    /// Of the cycles between.
    pub pick: Pick,
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exported {
    /// Cycles in the file that was read, up to where reading stopped.
    pub cycles_read: u64,
    /// Cycles between the selection's ends, whichever of them were picked.
    pub cycles_between: u64,
    /// Cycles that were written.
    pub cycles: u64,
    /// Events that were written.
    pub events: u64,
    /// Cycles that are missing in between: slots that were lost are none.
    pub cycles_missing: u64,
    /// Events that are missing.
    pub events_missing: u64,
    /// Number of the first cycle that was written.
    pub first_cycle: Option<u64>,
    /// Number of the last cycle that was written.
    pub last_cycle: Option<u64>,
    /// How the file ends; none when reading stopped before.
    pub ending: Option<Ending>,
}

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The recording cannot be read any more.
    #[error("the recording cannot be read: {0}")]
    Read(io::Error),
    /// The file cannot be written.
    #[error("it cannot be written: {0}")]
    Write(#[from] io::Error),
    /// The same, of a table.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// When something was.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Instant {
    unix_ns: u64,
    /// Since the first cycle.
    seconds: f64,
}

/// What is written.
trait Sink {
    fn cycle(&mut self, at: Instant, record: &CycleRef<'_>) -> Result<(), ExportError>;
    fn event(&mut self, at: Instant, event: &EventRecord) -> Result<(), ExportError>;
    fn finish(self: Box<Self>) -> Result<(), ExportError>;
}

/// Reads a recording to its end, or the selection's, and writes what was selected; `progress` is called now and then with
/// the bytes that were read.
///
/// # Errors
/// The recording cannot be read any more, or `to` cannot be written. What was written until then is no whole file.
pub fn export(
    footage: &mut Footage,
    selection: &Selection,
    (format, contents): (Format, Contents),
    to: File,
    mut progress: impl FnMut(u64),
) -> Result<Exported, ExportError> {
    let mut sink = sink(footage, format, contents, to)?;
    let mut chooser = Chooser::new(*selection);
    let clock = footage.clock();
    let mut first_ns = None;
    loop {
        progress(footage.progress().0);
        match footage.next_moment().map_err(ExportError::Read)? {
            Moment::Cycle(record) => {
                let head = record.head;
                let since =
                    instant(head.release_ns, *first_ns.get_or_insert(head.release_ns), clock.unix_ns(head.release_ns));
                match chooser.cycle(head, since.seconds) {
                    Choice::Take => sink.cycle(since, &record)?,
                    Choice::Pass => {}
                    Choice::Stop => break,
                }
            }
            Moment::Event(event) => {
                let first_ns = first_ns.unwrap_or(event.time_ns);
                let at = instant(event.time_ns, first_ns, clock.unix_ns(event.time_ns));
                if chooser.event(&event, at.seconds) {
                    sink.event(at, &event)?;
                }
            }
            Moment::Gap(gap) => chooser.gap(&gap),
            Moment::End(ending) => {
                chooser.exported.ending = Some(ending);
                break;
            }
        }
    }
    sink.finish()?;
    Ok(chooser.exported)
}

fn sink(footage: &Footage, format: Format, contents: Contents, to: File) -> Result<Box<dyn Sink>, ExportError> {
    let columns = match contents {
        Contents::Cycles => table::Cycles::columns(footage),
        Contents::Events => table::Events::columns(),
    };
    let rows: Box<dyn Rows> = match format {
        Format::Mcap => return Ok(Box::new(mcap::McapFile::begin(footage, to)?)),
        Format::Csv => Box::new(CsvFile::begin(to, &columns)?),
        Format::Parquet => Box::new(ParquetFile::begin(to, &columns, &about(footage), Coding::Common)?),
    };
    Ok(match contents {
        Contents::Cycles => Box::new(table::Cycles::new(footage, rows)),
        Contents::Events => Box::new(table::Events::new(footage, rows)),
    })
}

/// What a file says of itself.
fn about(footage: &Footage) -> [(&'static str, String); 4] {
    let legend = footage.legend();
    [
        ("corerl.site", legend.site.clone()),
        ("corerl.agent", legend.agent.clone()),
        ("corerl.period_ns", legend.period_ns.to_string()),
        ("corerl.program", footage.provenance().program.clone()),
    ]
}

fn instant(time_ns: u64, first_ns: u64, unix_ns: u64) -> Instant {
    // The difference first: as a number with a fraction, the time since boot is not known to the nanosecond.
    let seconds = time_ns.wrapping_sub(first_ns).cast_signed() as f64 / 1e9;
    Instant { unix_ns, seconds }
}

/// What becomes of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Take,
    Pass,
    Stop,
}

/// Chooses, and counts.
struct Chooser {
    selection: Selection,
    /// Number of the last cycle that was read.
    last: Option<u64>,
    exported: Exported,
}

impl Chooser {
    fn new(selection: Selection) -> Self {
        let exported = Exported {
            cycles_read: 0,
            cycles_between: 0,
            cycles: 0,
            events: 0,
            cycles_missing: 0,
            events_missing: 0,
            first_cycle: None,
            last_cycle: None,
            ending: None,
        };
        Self { selection, last: None, exported }
    }

    fn cycle(&mut self, head: &CycleHead, seconds: f64) -> Choice {
        if self.selection.until.is_some_and(|until| until.is_before(head.cycle, seconds)) {
            return Choice::Stop;
        }
        self.exported.cycles_read += 1;
        let expected = self.last.map(|last| last.saturating_add(1).saturating_add(head.skipped.into()));
        self.last = Some(head.cycle);
        let missing = expected.map_or(0, |expected| head.cycle.saturating_sub(expected));
        self.exported.cycles_missing = self.exported.cycles_missing.saturating_add(missing);
        if !self.is_after_begin(head.cycle, seconds) {
            return Choice::Pass;
        }
        let is_chosen = match self.selection.pick {
            Pick::Every(n) => self.exported.cycles_between.is_multiple_of(n.max(1)),
            Pick::Decisions => head.has(CycleHead::DECISION_SLOT),
        };
        self.exported.cycles_between += 1;
        if !is_chosen {
            return Choice::Pass;
        }
        self.exported.cycles += 1;
        self.exported.first_cycle.get_or_insert(head.cycle);
        self.exported.last_cycle = Some(head.cycle);
        Choice::Take
    }

    fn gap(&mut self, gap: &Gap) {
        count_gap(gap, &mut self.exported.cycles_missing, &mut self.exported.events_missing);
    }

    fn event(&mut self, event: &EventRecord, seconds: f64) -> bool {
        let is_over = self.selection.until.is_some_and(|until| until.is_before(event.cycle, seconds));
        let is_chosen = !is_over && self.is_after_begin(event.cycle, seconds);
        self.exported.events += u64::from(is_chosen);
        is_chosen
    }

    fn is_after_begin(&self, cycle: u64, seconds: f64) -> bool {
        match self.selection.from {
            None => true,
            Some(Bound::Seconds(from)) => seconds >= from,
            Some(Bound::Cycle(from)) => cycle >= from,
        }
    }
}

impl Bound {
    /// The cycle, so many seconds after the first one, lies behind it.
    fn is_before(self, cycle: u64, seconds: f64) -> bool {
        match self {
            Self::Seconds(bound) => seconds > bound,
            Self::Cycle(bound) => cycle > bound,
        }
    }
}

#[cfg(test)]
mod tests;
