//! The process around the agent.

mod arguments;
mod attachment;
mod failure;
mod keeping;
mod opinions;
mod service;
mod start;

pub(crate) use arguments::Arguments;
use failure::Failure;

/// Everything from the site file to the last checkpoint.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // First of all, so that every thread inherits the blocked signals.
    let lifeline = rt_sys::Lifeline::new(arguments.tether).map_err(Failure::resource("a signal descriptor"))?;
    let Some(ready) = start::start(arguments, &lifeline)? else { return Ok(()) };
    service::Service::new(ready).run(&lifeline)
}
