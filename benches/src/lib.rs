//! The benchmark harness: how things are timed, summarised and described.
//!
//! # Contract
//! Two things are only ever compared in one run, in turns, so that a machine that drifts slows both. What is quoted is the
//! median with its quartiles, and a ratio is the median of the ratios of neighbouring rounds. Every report carries the description of
//! the machine. No test asserts a time that comes from here.
#![forbid(unsafe_code)]

mod machine;
mod measure;
mod report;

pub use machine::Machine;
pub use measure::{Contest, Contestant, Figures, nanoseconds_per_call, percentiles};
pub use report::{Report, Row};
