//! `cargo xtask sim`: builds the simulation in release form and hands the arguments on.

use std::process::ExitCode;

use clap::Args;

use crate::workspace;

/// Run seeds of the simulated system; --help and everything else is handed on to the simulation.
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  cargo xtask sim --seeds 1..1000\n  cargo xtask sim --seed 42 --days 1\n  cargo xtask sim --help"
)]
pub(crate) struct SimArguments {
    /// Arguments of the simulation.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(SimArguments { arguments }: &SimArguments) -> ExitCode {
    workspace::run_released(&["tests"], "simulate", arguments)
}
