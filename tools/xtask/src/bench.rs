//! `cargo xtask bench`: builds the benchmarks and the plant that one of them needs, and hands the arguments on.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

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
    match build().and_then(|program| program_status(Command::new(program).args(arguments))) {
        Ok(code) => code,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Builds in release form; the program.
fn build() -> Result<PathBuf, String> {
    let mut build = workspace::cargo();
    build.args(["build", "--release", "--quiet"]).args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    match build.status() {
        Ok(status) if status.success() => Ok(workspace::metadata()?.target_directory.join("release/benches")),
        Ok(_) => Err("the benchmarks could not be built".to_owned()),
        Err(error) => Err(format!("cargo cannot be run: {error}")),
    }
}

fn program_status(program: &mut Command) -> Result<ExitCode, String> {
    let status = program.status().map_err(|error| format!("the benchmarks cannot be started: {error}"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
