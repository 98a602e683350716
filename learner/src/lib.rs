//! corerl-learner: replay, critics, actor, gate and publishing.
#![forbid(unsafe_code)]

mod agent;
mod checkpoint;
mod ensemble;
pub mod experiment;
mod gate;
mod nets;
mod options;
mod percentile;
mod random;
mod replay;
mod schedule;
mod threads;
mod transitions;

pub use agent::{Agent, AgentError, Counts, Update};
pub use checkpoint::{Belongs, LoadError, SaveError};
pub use gate::{GateRefusal, Passed};
pub use options::{AgentOptions, AgentShape, ENSEMBLE_MAX, N_STEP_MAX, OptionsError};
pub use transitions::Step;
