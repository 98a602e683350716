//! The whole system in one thread and in simulated time: the real cycle, pipeline, policy, verifier and I/O loop around a
//! simulated plant, server, learner, disk and operator.
//!
//! # Nouns
//! A [`World`] is everything outside of the control thread, under [`Circumstances`]: what goes wrong in a cycle. A
//! [`Controller`] is the control thread's part: what it does is a function of its [`Inputs`], so that what was recorded can
//! be played to another one. A [`Desk`] is the keeper's part.
//!
//! A [`Scenario`] puts them together and draws everything else from a seed: the place, 5 to 50 faults and when they
//! strike, a learner that publishes what it should not, an operator who puts right what has to be put right. In its safety
//! phase an oracle, which shares no code with what it judges, checks the invariants I1 to I6 of the catalogue of faults in
//! every cycle and for every telegram; in its liveness phase there are no faults, and RUN has to come back. A [`Mutant`] is a
//! bug that is planted to see that the oracle finds it.
//!
//! A [`Pair`] is two runtimes of one agent on one plant: stopped, killed, started again and handed over from a seed, with an
//! oracle that demands one writer in every cycle.

mod controller;
mod desk;
mod dice;
mod faults;
mod learner;
mod mood;
mod mutant;
mod operator;
mod oracle;
mod pair;
mod place;
mod scenario;
mod server;
mod tour;
mod witness;
mod world;

pub use controller::{Controller, Inputs};
pub use desk::{Desk, Told};
pub use dice::Dice;
pub use mutant::Mutant;
pub use oracle::Broken;
pub use pair::{Pair, PairPassed};
pub use scenario::{Failed, Passed, Scenario};
pub use server::{Fate, Malady, Weather};
pub use tour::tour;
pub use world::{Circumstances, World};
