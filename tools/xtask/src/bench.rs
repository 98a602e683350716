//! `cargo xtask bench`: builds the benchmarks and the plant that one of them needs, and hands the arguments on.

use std::process::ExitCode;

use clap::Args;

use crate::workspace;

/// The program with the benchmarks, and the plant that `opcua` talks to.
const PACKAGES: &[&str] = &["benches", "plant-sim"];

/// Run the benchmarks, or one of them; --help, --list and everything else are handed on to them.
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  cargo xtask bench --list\n  cargo xtask bench kernel --json\n  cargo xtask bench --help"
)]
pub(crate) struct BenchArguments {
    /// Arguments of the benchmark program.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(BenchArguments { arguments }: &BenchArguments) -> ExitCode {
    workspace::run_released(PACKAGES, "benches", arguments)
}
