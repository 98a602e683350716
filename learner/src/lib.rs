//! The agent: it remembers, judges, decides and publishes what it has learnt.
//!
//! # Contract
//! - The same options, steps and order of calls give the same bits, whatever the number of threads, for one build and
//!   instruction set. Every random number comes from a ChaCha8 stream that is named by its role.
//! - A checkpoint holds everything; an agent that was saved and loaded goes on with the same bits.
//! - No clock is read and no file is touched but those of [`Agent::save`] and [`Agent::load`].
//! - Memory grows with the experience, up to `replay_memory_mib_max`, 8,192 rows of traces for an imputer, and the buffers
//!   that batch size and number of candidates ask for; the latter are taken at the start.
//! - Nothing here is for a real-time thread. The process around it (`corerl-learner`) shares memory with the runtime, and
//!   the runtime trusts nothing that it finds there.
//!
//! # Nouns
//! A [`Step`] is what the runtime reports at an observation. With a *dead time* it waits for the reward of its action. Steps
//! become *transitions* over windows without a decision inside, and are kept in the *replay* memory. From batches of them it learns in one of two ways ([`Improver`]). In the
//! first, an *ensemble* of critics (QRC: Q-learning with regularised corrections) learns the value of actions, and the
//! *percentile* actor moves towards the best of many candidate actions, as the critics judge them. In the second, critics
//! learn from slow copies of themselves, and the *pathwise* actor climbs their slopes. The *schedule* says how many updates
//! an observation is worth. The *imputer* learns what the state's tags are by each other, where the site has a masked
//! autoencoder. The *gate* ([`Agent::pass_gate`]) says whether an actor may be published. How learning gets on
//! is its [`Health`]; what the critics expect of a decision, an [`Estimate`].
//!
//! ```
//! use learner::{Agent, AgentOptions, AgentShape, Step};
//!
//! let options = AgentOptions { batch_size: 8, nominal_critic_steps: 10, ..AgentOptions::default() };
//! let mut agent = Agent::new(AgentShape { state: 2, action: 1 }, options, &[0.5], 1)?;
//! agent.learn_nominal(|| true);
//! for sequence in 0..3 {
//!     agent.observe(&Step {
//!         sequence,
//!         complete: true,
//!         all_read: false,
//!         reward: Some(-0.1),
//!         decision: true,
//!         gap: false,
//!         terminal: false,
//!         state: &[0.2, 0.5],
//!         action: &[0.5],
//!         lo: &[0.0],
//!         hi: &[1.0],
//!     });
//!     agent.update();
//! }
//! assert_eq!(agent.counts().transitions, 2);
//! # Ok::<(), learner::AgentError>(())
//! ```
#![forbid(unsafe_code)]

mod agent;
mod checkpoint;
mod dead_time;
mod discount;
mod ensemble;
mod examiner;
mod gate;
mod health;
mod imputer;
mod learning;
mod nets;
mod options;
mod pathwise;
mod percentile;
mod random;
mod recency;
mod replay;
mod schedule;
mod site;
mod threads;
mod transitions;
pub mod yardstick;

pub use agent::{Agent, AgentError, Counts, Update};
pub use checkpoint::{Belongs, LoadError, SaveError};
pub use gate::{GateRefusal, Passed};
pub use health::{Drift, Estimate, Health, Imputation};
pub use options::{
    AgentOptions, AgentShape, Aggregation, ENSEMBLE_MAX, GammaSchedule, Improver, N_STEP_MAX, OptionsError,
};
pub use site::{checkpoint_name, nominal_of};
pub use transitions::Step;
