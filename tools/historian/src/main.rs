//! corerl-historian: keeps what running agents publish.
//!
//! # Contract
//! - It reads: control sockets and read-only descriptors of shared memory. No runtime waits for it or notices when it is gone.
//! - What it has read is kept, or its loss is a row that says from where to where and why. A historian that is killed goes on
//!   where it stopped, as long as the runtime's rings reach back; nothing is kept twice.
//! - SIGTERM, SIGINT and, with `--tether`, the end of standard input end it with exit code 0. Other exit codes: 2 usage, 69 the
//!   archive cannot be opened, 70 internal.
#![forbid(unsafe_code)]

mod intake;
mod keeping;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use archive::Store;
use clap::Parser;
use rt_sys::Lifeline;
use watch::{Agents, From};

use keeping::Keeping;

/// How often rings are read and commits made.
const TURN: Duration = Duration::from_secs(1);

/// Keeps what running agents publish: samples, setpoints, rewards and events.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  corerl-historian --history /var/lib/corerl/history\n\n\
                                 `corerl data query` reads what is kept, also while this runs."
)]
struct Arguments {
    /// Where the history is kept.
    #[arg(long, value_name = "DIRECTORY", default_value = "history")]
    history: PathBuf,
    /// Where the agents' control sockets are.
    #[arg(long, value_name = "DIRECTORY")]
    runtime_dir: Option<PathBuf>,
    /// End when standard input is closed.
    #[arg(long)]
    tether: bool,
}

/// The archive cannot be opened.
const UNAVAILABLE: u8 = 69;
const INTERNAL: u8 = 70;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    rt_sys::start_logging("corerl-historian", None);
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            rt_sys::say_failure("corerl-historian", &message);
            code.into()
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), (u8, String)> {
    let lifeline =
        Lifeline::new(arguments.tether).map_err(|error| (INTERNAL, format!("cannot watch for signals: {error}")))?;
    let history = &arguments.history;
    let store = Store::open(history)
        .map_err(|why| (UNAVAILABLE, format!("cannot keep anything in {}: {why}", history.display())))?;
    let directory = arguments.runtime_dir.clone().unwrap_or_else(rt_control::default_runtime_dir);
    tracing::info!("keeping agents below {} in {}", directory.display(), history.display());
    let mut keeping = Keeping::new(Agents::below(directory, From::Oldest), store);
    loop {
        keeping.turn();
        if lifeline.wait(TURN).asks_to_stop() {
            keeping.turn();
            return Ok(());
        }
    }
}
