//! `corerl bench`: how well this machine keeps the control loop's time.
//!
//! What is measured is the loop that runs at a plant: `rt-daemon`'s threads with a simulated plant behind them, or
//! with `--bare` the same waiting without the cycle. Three times are told apart: *release lateness*, from the release of a slot
//! until the loop has it; *execution*, from there to the end of the work; *response*, the two together. A slot that was lost
//! is no small thing that a maximum hides: the corrected figures hold what would have been measured in it.

mod compare;
mod contestant;
mod cyclictest;
mod disturb;
mod files;
mod latency;
mod load;
mod machine;
mod options;
mod picture;
mod site;
mod statistics;
mod tape;
mod watch;

use clap::{Args, Subcommand};

use crate::failure::{Exit, Failure};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  corerl bench latency --duration 30s\n\n\
                        Run it on a machine that does nothing else, or with what it will do beside control: a figure belongs to its \
                        machine and its load.")]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// How late the control loop begins its slots, and how long it works in them.
    Latency(latency::LatencyArguments),
    /// The control loop beside a reference on the same CPU at the same time: a plain loop, and cyclictest where it is installed.
    Compare(compare::CompareArguments),
    /// The control loop while this program disturbs it, in turns by each means there is.
    Load(load::LoadArguments),
    /// The control loop with a screen and a recorder attached, and without.
    Watch(watch::WatchArguments),
    /// One process beside the loop, of `corerl bench load` and `watch`.
    #[command(hide = true)]
    Disturb(disturb::DisturbArguments),
}

pub(crate) fn run(arguments: &BenchArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        BenchCommand::Latency(arguments) => latency::run(arguments),
        BenchCommand::Compare(arguments) => compare::run(arguments),
        BenchCommand::Load(arguments) => load::run(arguments),
        BenchCommand::Watch(arguments) => watch::run(arguments),
        BenchCommand::Disturb(arguments) => disturb::run(arguments),
    }
}
