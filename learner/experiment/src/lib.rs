//! Experiments: an agent and an environment in one process, in simulated time. How well does it learn?
//!
//! # Contract
//! - State, bounds, reward and action come from the runtime's own pipeline and agent (`policy`), learning from the learner's
//!   own agent: what is learnt here, and how fast, is what a runtime and its learner would have learnt at one decision a
//!   step.
//! - The same case and seed give the same bits, whatever else runs and on however many threads.
//! - A case that cannot be is refused before anything runs, with everything that is wrong with it.
//!
//! # Nouns
//! A [`Case`] is a file: an environment, the setpoints' ranges and steps, options of the agent, goals, a number of steps. A
//! [`Trial`] is one agent on one environment from one seed. A [`Report`] has the scores of several, a [`Comparison`] says
//! whether two reports differ, a [`Sweep`] varies options of a case.
//!
//! An [`Environment`] is a plant of ours, which goes on for ever, or one that another process has (crate `bridge`), which may
//! have episodes. The last observation of an episode is learnt from, and the one that begins the next follows a gap; behind a
//! terminal state nothing is expected. The setpoints begin every episode at their nominal values.
//!
//! ```
//! let mut case = experiment::Case::named("saturation")?;
//! case.steps = 20;
//! let score = experiment::run(&case, 1, |_| true)?.expect("nobody asked it to stop");
//! assert_eq!(score.rewards.len(), 20);
//! # Ok::<(), experiment::ExperimentError>(())
//! ```
#![forbid(unsafe_code)]

mod case;
mod compare;
mod environment;
mod report;
mod site;
mod sweep;
mod trial;
mod world;

pub use case::{ActionRange, Case, CaseError, Evaluation, Reference};
pub use compare::{Comparison, Incomparable};
pub use environment::{Environment, RemoteOptions};
pub use report::{Report, SCHEMA, SeedHealth, SeedScore, WINDOW};
pub use site::site_of;
pub use sweep::{Sweep, SweepError, Variation};
pub use trial::{ExperimentError, Score, Trial, Wishes, run};
pub use world::World;
