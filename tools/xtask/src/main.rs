//! The project's own commands: `cargo xtask …`.
//!
//! # Contract
//! - `test` runs everything that must be green before a commit; `tidy` is its part that checks the project's own rules.
//! - `demo` and `interop` start real processes, in process groups of their own and tethered to this one, and leave none
//!   of them behind, whatever ends them.
//! - Data goes to standard output, messages go to standard error. Exit code 0 means that everything went well.
#![forbid(unsafe_code)]

mod children;
mod demo;
mod interop;
mod scratch;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Commands for people who work on CoreRL.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Examples:\n  \
        cargo xtask demo                 see it control a plant, and learn\n  \
        cargo xtask test                 everything that must be green\n  \
        cargo xtask bench kernel         one benchmark"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArguments),
    /// Format, lints, the project's rules, all tests.
    #[command(after_help = "Example:\n  cargo xtask test")]
    Test,
    /// The project's own rules: edges between packages, unsafe code, file lengths.
    #[command(after_help = "Example:\n  cargo xtask tidy")]
    Tidy,
    /// Run the benchmarks, or one of them; what follows is handed on.
    #[command(after_help = "Examples:\n  cargo xtask bench\n  cargo xtask bench kernel --json")]
    Bench {
        /// Arguments of the benchmark program.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    Interop(interop::InteropArguments),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test => test::run(),
        Command::Tidy => tidy::run(),
        Command::Bench { arguments } => bench(&arguments),
        Command::Interop(arguments) => interop::run(&arguments),
    }
}

/// Hands on to the program of the package `benches`.
fn bench(arguments: &[String]) -> ExitCode {
    let status =
        workspace::cargo().args(["run", "--release", "--quiet", "--package", "benches", "--"]).args(arguments).status();
    match status {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("xtask: cargo cannot be run: {error}");
            ExitCode::FAILURE
        }
    }
}
