//! Hardware in the loop: the whole system, as real processes, against a plant, along a timeline of troubles, judged by
//! expectations.
//!
//! # Contract
//! - **Everything is real.** Runtime, learner and plant are the programs of the product; faults happen at the plant, on the cable, to
//!   processes and in shared memory. What cannot be done here is told as skipped, never as passed.
//! - **Nothing is left behind.** All programs of a scenario live in one temporary directory, and end with it, in whatever way it
//!   ends. Nothing outside of it is changed, but for real hardware that was named and permits writing.
//! - **A verdict is about facts that were recorded**: every cycle, every event, every write that the plant has told. A take that is
//!   kept can be judged again.
//! - **Times are bounds of liveness**, chosen by the scenario for a machine that does other things, too. Nothing here says how
//!   fast anything is.
//! - **What was missed is told**: cycles, events or writes that nobody saw, and steps that came much too late, are a verdict, too.
//! - Setpoints inside their ranges and within their rates, and a plant that is written nothing else, are expected of every
//!   scenario without being written down.
//!
//! # Nouns
//! A [`Scenario`] says what is started, what happens and what has to be seen. [`run()`] makes a [`Take`] of it under
//! [`Circumstances`], and [`judge`] gives its [`Verdict`]s. A [`Rig`] is real hardware. [`Summary`], [`junit`] and [`page`] tell what
//! came of it. A [`Proxy`] is the cable between runtime and plant.
//!
//! # Example
//! ```no_run
//! use hil::{Circumstances, Patience, Programs, Scenario, Stop};
//!
//! let scenario = Scenario::load("tests/hil/steady.yaml".as_ref()).expect("a scenario");
//! let programs = Programs::in_directory("target/release".as_ref()).expect("a release build");
//! let with = Circumstances { programs, rig: None, patience: Patience::default(), stop: Stop::default() };
//! let result = hil::run(&scenario, &with, |now, share| println!("{:3.0} % {now}", 100.0 * share));
//! for verdict in result.verdicts.iter().filter(|verdict| !verdict.ok) {
//!     println!("{}: {}, required {}", verdict.expectation, verdict.found, verdict.required);
//! }
//! ```
#![forbid(unsafe_code)]

mod crew;
mod follow;
mod forger;
mod history;
mod library;
mod link;
mod papers;
mod programs;
mod proxy;
mod record;
mod report;
mod rig;
mod run;
mod scenario;
mod take;
mod verdict;

pub use forger::Forger;
pub use library::{find, load_all};
pub use programs::Programs;
pub use proxy::Proxy;
pub use record::{Recorded, RecordedPlant, Recording, record};
pub use report::{Counts, Summary, json, junit, page};
pub use rig::Rig;
pub use run::{Circumstances, Outcome, Result, Stop, run};
pub use scenario::{Scenario, ScenarioError};
pub use take::Take;
pub use verdict::{Patience, Verdict, judge};
