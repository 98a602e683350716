//! Pipeline and policy: from the process image to an action, in bounded time, with the same bits everywhere.
//!
//! # Contract
//! 1. [`Agent`] implements [`rt_core::ports::Policy`]. What the control thread calls of it is **wait-free**: no
//!    allocation, no lock, no system call, no panic, and a number of operations that the site's tags, columns and
//!    network fix. All memory is taken when things are made.
//! 2. The outputs are a function of the inputs: no clock, no operating system, no randomness but a seeded function of
//!    the cycle's number. The learner runs the same code over its own data and gets the same bits.
//! 3. A forward pass has one order of operations, which the scalar kernel defines; wider registers change no bit
//!    ([`kernels`]).
//! 4. Foreign weights and files are allegations. [`wire::Verifier`] and [`file::load`] turn them into facts, or say
//!    which fact does not hold; nothing is applied in part.
//!
//! # Nouns
//! A [`pipeline::Pipeline`] turns images into **steps**: state, action read back, bounds, reward. A
//! [`kernels::PackedNet`] is a network as the kernels read it. An [`AdoptedPolicy`] is an actor, and where the site asks
//! for it an imputer ([`PolicySpec`]), with one generation;
//! a [`PolicySource`] hands the newest one to the agent, and a [`trial::Succession`] says which one that is. Networks travel as words of shared memory ([`wire`]) or as
//! policy files ([`mod@file`]).
//!
//! ```
//! use policy::kernels::{Activation, Kernel, LayerSpec, NetSpec, PackedNet};
//!
//! let spec = NetSpec { layers: vec![LayerSpec::new(2, 1, Activation::Relu)] };
//! let mut net = PackedNet::new(&spec)?;
//! net.pack(&[1.0, 2.0, /* bias */ 0.5])?;
//! let (mut scratch, mut out) = (net.scratch(), [0.0]);
//! net.forward(Kernel::best(), &[10.0, 1.0], &mut scratch, &mut out);
//! assert_eq!(out, [12.5]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used,
        clippy::string_slice
    )
)]

mod agent;
mod excursion;
mod explore;
pub mod file;
pub mod kernels;
pub mod pipeline;
mod probe;
mod spec;
mod sweep;
pub mod trial;
mod watch;
pub mod wire;

pub use agent::{
    AdoptedPolicy, Agent, AgentError, HIDDEN, Kept, NOMINAL_GENERATION, PolicySource, SIGMA_MAX, SIGMA_MIN, Step,
    actor_spec, sigma,
};
pub use explore::noise;
pub use probe::Probe;
pub use spec::PolicySpec;
pub use watch::{Finding, LearnerWatch, Shown};

#[cfg(test)]
mod testing;
