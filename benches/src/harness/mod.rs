//! How things are timed, summarised and described.
//!
//! # Contract
//! - Two things are only ever compared in one run, in turns, so that a machine that drifts slows both. A ratio is the median
//!   of the ratios of neighbouring rounds, with its 95 % bootstrap interval, and beside it stands a control: the first
//!   contestant against itself.
//! - Every report carries the description of the machine, and neither its name nor a path of it.
//! - A goal is judged by the interval: what the machine's noise does not resolve is called so.

mod machine;
mod measure;
mod report;
mod seats;

pub(crate) use machine::Machine;
pub(crate) use measure::{Contest, Estimate, Standings, nanoseconds_of};
pub(crate) use report::{Report, Row};
pub(crate) use seats::Seats;
