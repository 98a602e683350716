//! What was recorded of an agent: read, exported into formats that other programs open, and reported on.
//!
//! # Contract
//! 1. **Nothing is held in memory but the present**, and the events of a capture. A [`Footage`] reads moment by moment, an [`export`](export::export)
//!    writes as it reads, a [`Report`](report::Report) keeps a fixed number of points per curve. Files may have any size.
//! 2. **Nothing is guessed.** Names, units and limits are those of the site file that the recording opens with. What was
//!    lost, cut or damaged is told with its place; everything before it is there.
//! 3. **Files are allegations.** They are believed frame by frame by `rt-recording`; no file can make this crate panic.
//! 4. Nothing here reads a clock: a recording knows when it was made.
//!
//! # Nouns
//! A [`Footage`] is an open file with its [`Legend`], which says what the numbers mean, and its [`WallClock`]. It gives
//! [`Moment`]s: cycles, events, what is missing, and the [`Ending`].
#![forbid(unsafe_code)]

mod capture;
mod ending;
pub mod export;
mod file;
mod legend;
pub mod mcap;
mod recording;
pub mod report;
mod wall;
pub mod words;

pub use ending::Ending;
pub use file::{Footage, FootageRefused, Moment, Provenance};
pub use legend::{Legend, SetpointLegend, TagLegend, Zone};
pub use wall::WallClock;
pub use words::told;

#[cfg(test)]
mod staged;
