//! `corerl-learner`: learns from what the runtime reports, and publishes what passes the gate.
//!
//! # Contract
//! - It joins the runtime over its control socket and shares five segments with it: steps come in; weights, counters,
//!   estimates of decisions and durations go out. Nothing it does can lengthen a cycle; whatever it publishes is verified by the runtime.
//! - It outlives the runtime and joins the next one, with growing pauses; another learner that takes over ends it.
//! - It writes a checkpoint at intervals and at its end, and goes on from it when started again. Without one it learns from what
//!   the historian has kept, if the site file wants that, and publishes nothing before it has.
//! - SIGTERM and SIGINT, and the death of a tethered parent: a last checkpoint, exit 0.
//! - Exit codes: 0 fine, 69 something is not to be had, 70 a fault of the program, 75 another learner took over,
//!   77 no permission, 78 the site file or the checkpoint directory is wrong.
#![forbid(unsafe_code)]

mod arguments;
mod attachment;
mod failure;
mod keeping;
mod opinions;
mod rebuild;
mod service;
mod start;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use failure::Failure;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            rt_sys::say_failure("corerl-learner", &failure);
            failure.exit_code()
        }
    }
}

/// Everything from the site file to the last checkpoint.
fn run(arguments: &Arguments) -> Result<(), Failure> {
    // First of all, so that every thread inherits the blocked signals.
    let lifeline = rt_sys::Lifeline::new(arguments.tether).map_err(Failure::resource("a signal descriptor"))?;
    let Some(ready) = start::start(arguments, &lifeline)? else { return Ok(()) };
    service::Service::new(ready).run(&lifeline)
}
