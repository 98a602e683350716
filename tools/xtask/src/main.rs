//! The project's own commands: `cargo xtask …`.
//!
//! # Contract
//! - `test` runs everything that must be green before a commit; `tidy` is its part that checks the project's own rules.
//! - `demo`, `interop` and `purity` start real processes, in process groups of their own and tethered to this one, and leave none
//!   of them behind, whatever ends them.
//! - Data goes to standard output, messages go to standard error. Exit code 0 means that everything went well.
#![forbid(unsafe_code)]

mod bench;
mod demo;
mod fuzz;
mod interop;
mod mutants;
mod peers;
mod purity;
mod scratch;
mod sim;
mod soak;
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
        cargo xtask bench kernel         one benchmark\n  \
        cargo xtask sim --seeds 1..1000  a thousand simulated scenarios full of faults\n  \
        cargo xtask fuzz ua_decode       bytes that no server should send\n  \
        cargo xtask soak --share 0.01    a hundredth of the counts of a release\n  \
        cargo xtask purity               what the control thread never does, proven"
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
    Bench(bench::BenchArguments),
    Sim(sim::SimArguments),
    Fuzz(fuzz::FuzzArguments),
    Soak(soak::SoakArguments),
    Mutants(mutants::MutantsArguments),
    Interop(interop::InteropArguments),
    Purity(purity::PurityArguments),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test => test::run(),
        Command::Tidy => tidy::run(),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Sim(arguments) => sim::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Soak(arguments) => soak::run(&arguments),
        Command::Mutants(arguments) => mutants::run(&arguments),
        Command::Interop(arguments) => interop::run(&arguments),
        Command::Purity(arguments) => purity::run(&arguments),
    }
}
