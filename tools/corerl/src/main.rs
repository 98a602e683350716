//! `corerl`: the command line.
//!
//! # Contract
//! - Data goes to standard output, everything said about it to standard error. Every command that prints data does so as
//!   JSON with `--json`, with one object per call and a `schema` in it; a value that is not finite is `null`.
//! - The exit code says what happened: [`failure::Exit`].
//! - Except for `run` and `hil run`, which are the parents of runtimes and learners, and for `io write`, which is a person's
//!   hand on setpoints, killing this program at any instant changes nothing for a plant. It reads shared memory through read-only
//!   descriptors and acts through the control socket, where the runtime checks who asks.

#![forbid(unsafe_code)]

mod agent;
mod audit;
mod backup;
mod bench;
mod config;
mod data;
mod doctor;
mod experiment;
mod export;
mod failure;
mod field;
mod fresh;
mod hil;
mod learn;
mod metrics;
mod migrate;
mod model;
mod output;
mod reading;
mod record;
mod replay;
mod report;
mod run;
mod scope;
mod screen;
mod segments;
mod target;
mod top;
mod why;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// `corerl bench` runs the control loop in this process, and counts what it allocates as the runtime does.
#[global_allocator]
static ALLOCATOR: rt_sys::guard::CountingAllocator = rt_sys::guard::CountingAllocator;

/// Controls a plant by reinforcement learning, in a fixed period: run it, arm it, look inside.
#[derive(Debug, Parser)]
#[command(
    name = "corerl",
    version,
    after_help = "Examples:\n  \
                  corerl config example > site.yaml    a site file to begin with\n  \
                  corerl config check site.yaml        all that is wrong with it\n  \
                  corerl run --config site.yaml        runtime and learner, writing nothing until armed\n  \
                  corerl agent arm                     let it write\n\n\
                  Exit codes: 0 fine, 1 a check failed, 2 usage, 69 unavailable, 70 internal, 75 temporary, \
                  77 no permission, 78 bad configuration."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the runtime and the learner of one agent in the foreground.
    Run(run::RunArguments),
    /// Run recorded cycles once more and compare every bit that came out of them.
    Replay(replay::ReplayArguments),
    /// Write everything that can be seen of a running agent into files, from outside.
    Record(record::RecordArguments),
    /// Write a recording in a format that other programs open: MCAP, Parquet, CSV.
    Export(export::ExportArguments),
    /// Tell what happened in a recording, on one page that can be mailed.
    Report(report::ReportArguments),
    /// Ask a running agent how it is, or tell it what to do.
    Agent(agent::AgentArguments),
    /// Show what was done to an agent, and prove that the record of it is the one that was written.
    Audit(audit::AuditArguments),
    /// Check, apply, describe and exemplify site files.
    Config(config::ConfigCommand),
    /// Serve running agents' metrics to Prometheus, and say whether they are well.
    Metrics(metrics::MetricsArguments),
    /// Policy files: export, sign, verify.
    Model(model::ModelArguments),
    /// Look into the shared memory of running agents.
    Shm(segments::ShmArguments),
    /// What lies on the servers, setpoints by hand, and certificates.
    Io(field::IoArguments),
    /// What was recorded of a plant, and what the historian has kept of agents.
    Data(data::DataArguments),
    /// Keep everything that a site has in one file, and bring it back.
    Backup(backup::BackupArguments),
    /// Learn a policy from what was recorded of a plant.
    Learn(learn::LearnArguments),
    /// Let agents learn on simulated environments, and compare what they reach.
    Experiment(experiment::ExperimentArguments),
    /// Run the whole system against a plant, let things go wrong, and judge what becomes of it.
    Hil(hil::HilArguments),
    /// Measure how well this machine keeps the control loop's time.
    Bench(bench::BenchArguments),
    /// Say what this machine can and cannot do in real time.
    Doctor(doctor::DoctorArguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Record(arguments) => record::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Agent(arguments) => agent::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Config(command) => return config::run(&command),
        Command::Metrics(arguments) => metrics::run(&arguments),
        Command::Model(arguments) => model::run(&arguments),
        Command::Shm(arguments) => segments::run(&arguments),
        Command::Io(arguments) => field::run(&arguments),
        Command::Data(arguments) => data::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Learn(arguments) => learn::run(&arguments),
        Command::Experiment(arguments) => experiment::run(&arguments),
        Command::Hil(arguments) => hil::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
    };
    result.unwrap_or_else(|failure| failure.report()).into()
}
