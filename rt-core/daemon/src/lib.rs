//! `corerl-rt`: the one process with deadlines. This crate is the composition root: it adapts rings to ports, starts
//! threads, and is the keeper. No control logic lives here.
//!
//! # Contract
//! - Everything is created, checked and allocated before the control thread's first cycle; then memory is locked.
//! - The control thread runs [`control`], one io thread per connection runs [`io`], the main thread is the [`keeper`].
//!   One more, ordinary thread writes the audit log, and with `--record` another one the recording.
//!   Threads exchange data through rings and a triple buffer of the `shm` crate, and news through bounded channels.
//! - Of two runtimes of an agent one leads, the other one stands by: it decides, writes nothing, and takes the lease of the
//!   plant over when it is let go, when the leader dies, or when its cycles stand still for a term.
//! - SIGTERM and SIGINT: the last value stays on the plant, the heartbeat stops, everything is flushed, exit 0. The death of a tethered
//!   parent: RELEASE first, then the same.
//! - [`ControlLoop`] and what it is made from are public, for whoever runs cycles without the process around them, and
//!   [`target`] for whoever speaks to the same servers; everything else is the program's own.
//! - A [`Rehearsal`] is the same control and io threads with a simulated plant and without a keeper: what `corerl bench`
//!   measures is what runs at a plant, and not a copy of it.
//! - A [`Hand`] is a person's: it writes setpoints in the place of a runtime, through the same envelope, io loop and lease.
//! - Exit codes: 0 fine, 69 no descriptor or thread to be had, 75 two runtimes of this agent live already, 77 privileges missing in strict
//!   mode, 78 site file refused.
#![forbid(unsafe_code)]
#![cfg_attr(rtsan, feature(sanitize))]

mod adapters;
mod arguments;
mod control;
mod failure;
mod flight;
mod hand;
mod io;
mod keeper;
mod pending;
mod plant;
mod recorder;
mod rehearsal;
mod segments;
mod state;
mod tenure;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

pub use adapters::{Line, Order, VerifiedPolicy};
pub use control::{ControlLoop, Ends, UnfitForControl};
pub use failure::Failure;
pub use hand::{Hand, HandError, Prospect, Wish};
pub use pending::keep_pending;
pub use plant::{Clocks, target};
pub use rehearsal::Rehearsal;
pub use segments::{Records, Shelf, Writers};
pub use state::site_in_force;
pub use tenure::Tenure;

/// The program: reads the command line, runs until something asks it to stop, and says why it could not.
pub fn run() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    match wiring::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            rt_sys::say_failure("corerl-rt", &failure);
            failure.exit_code()
        }
    }
}
