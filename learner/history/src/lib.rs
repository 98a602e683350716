//! What was recorded of a plant: read, observed as the runtime observes it, and reported on.
//!
//! # Contract
//! - Nothing is guessed: a line that cannot be read, a tag that is missing and a pace that cannot be observed are refused with
//!   their place and what to do about them.
//! - Observations come from the runtime's own image and pipeline, on the site's grid: what an agent learns from a history is
//!   what it would have learnt beside the plant.
//! - Nothing here is for a real-time thread.
//!
//! # Nouns
//! A [`Table`] has values of tags over time. An [`Observation`] is the state, action and reward at one instant of it, or of a
//! recording. [`TagFacts`], [`Correlation`] and [`GoalFacts`] say what is in a table before anybody learns from it.
#![forbid(unsafe_code)]

mod kept;
mod narrow;
mod observation;
mod observer;
mod parquet;
mod recollection;
mod recording;
mod source;
mod statistics;
mod table;
mod training;
mod violations;

pub use kept::{Rows, Wanted};
pub use narrow::NarrowFacts;
pub use observation::Observation;
pub use observer::{UnfitTable, observe_table};
pub use parquet::{Cells, ParquetColumns};
pub use recollection::Recollection;
pub use recording::{UnfitRecording, observe_recording};
pub use source::{Source, SourceError};
pub use statistics::{Correlation, TagFacts, correlations};
pub use table::{Cell, Column, TIME_NAMES, Table, TableRefused, delimiter_of};
pub use training::{COMPLETE_MIN, Evaluation, Taught, Training, TrainingError, usual_updates};
pub use violations::{GoalFacts, ZoneFacts};
