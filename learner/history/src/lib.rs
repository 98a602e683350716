//! What was recorded of a plant.
#![forbid(unsafe_code)]

mod observation;
mod table;

pub use observation::{Observation, UnfitRecording, UnfitTable, observe_recording, observe_table};
pub use table::{Cell, Column, Table, TableRefused};
