//! The benchmarks: `cargo xtask bench`.
//!
//! # Contract
//! - A figure is compared with something that was measured in the same run, in turns; [`harness`] has the rules.
//! - A missed goal is printed, and no failure: the exit code tells whether the benchmark could be run. Nothing asserts a time.
//! - Reports go to standard output, messages to standard error. An archived run is never overwritten.
//! - Processes that a benchmark starts are this program again, the simulated plant, the runtime with its learner, or peers
//!   that the command line names; none outlives it.
#![forbid(unsafe_code)]

mod archive;
mod harness;
mod helper;
mod peer;
mod suite;

use std::process::ExitCode;

use clap::Parser;

use archive::Archive;
use harness::{Machine, Report};
use peer::Peer;
use suite::{Bench, PlantOptions};

/// Allocations are counted where a benchmark claims that there are none.
#[global_allocator]
static ALLOCATOR: rt_sys::guard::CountingAllocator = rt_sys::guard::CountingAllocator;

/// Benchmarks, each against what it should be compared with.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask bench",
    bin_name = "cargo xtask bench",
    after_help = "Examples:\n  \
        cargo xtask bench                            all of them\n  \
        cargo xtask bench kernel                     one of them\n  \
        cargo xtask bench --json > figures.json      a JSON document per benchmark and line\n  \
        cargo xtask bench cycle --archive my-server  also written to benches/runs/my-server-cycle.json\n  \
        cargo xtask bench plants --plant cstr        an agent on somebody else's plant"
)]
struct Arguments {
    /// The benchmark; all of them but `plants` when there is none.
    #[arg(value_enum)]
    bench: Option<Bench>,
    /// List the benchmarks and exit.
    #[arg(long)]
    list: bool,
    /// Print a JSON document per benchmark, one a line.
    #[arg(long)]
    json: bool,
    /// Also write the reports to benches/runs, under this name of the machine and its state.
    #[arg(long, value_name = "NAME")]
    archive: Option<Archive>,
    /// Another one's program that takes part.
    #[arg(long = "peer", hide = true, value_name = "ROLE=PROGRAM")]
    peers: Vec<Peer>,
    #[command(flatten)]
    plants: PlantOptions,
    /// What this process does for another one of this program.
    #[arg(long, hide = true, exclusive = true)]
    helper: Option<helper::Duty>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.helper {
        Some(duty) => duty.run(),
        None if arguments.list => {
            suite::list();
            Ok(())
        }
        None => run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bench: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let chosen = arguments.bench.map_or_else(Bench::all, |bench| vec![bench]);
    if let Some(archive) = &arguments.archive {
        // Before minutes of measuring, not after them.
        chosen.iter().try_for_each(|bench| archive.check(bench.name()))?;
    }
    for bench in chosen {
        let machine = Machine::describe();
        let rows =
            bench.run(&arguments.peers, &arguments.plants).map_err(|reason| format!("{}: {reason}", bench.name()))?;
        let report = Report::new(bench.name(), machine, rows);
        if arguments.json {
            println!("{}", serde_json::to_string(&report).map_err(|error| error.to_string())?);
        } else {
            println!("{report}");
        }
        if let Some(archive) = &arguments.archive {
            archive.write(&report)?;
        }
    }
    Ok(())
}
