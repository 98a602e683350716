//! The benchmarks.

mod cycle;
mod historian;
mod history;
mod kernel;
mod learner;
mod opcua;
mod plants;
mod ring;
mod triple;

use clap::ValueEnum;

use crate::harness::Row;
use crate::peer::Peer;
pub(crate) use plants::PlantOptions;

/// One benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bench {
    /// Forward passes against the time in which memory gives their weights, ndarray and nalgebra.
    Kernel,
    /// The ring between two threads against rtrb and crossbeam's ArrayQueue.
    Ring,
    /// Reading weights of 300 kB while their writer is absent, at work, in a hurry, killed.
    Triple,
    /// All of a control cycle's work against its network's forward pass alone.
    Cycle,
    /// Updates of the learner, and a full step of its layers against JAX.
    Learner,
    /// A cycle's Read and Write over OPC UA against other people's clients and TCP alone.
    Opcua,
    /// What is kept of agents: commits against a plain table, bytes of a sample, sealing a day, a month's trend.
    History,
    /// The control loop's lateness with a historian at work, killed, and with a full disk, against without; only when it is named.
    Historian,
    /// Agents on other people's plants, beside a constant action and a model-predictive controller; only when it is named.
    Plants,
}

impl Bench {
    /// All that take part unless one is named, in the order of the list.
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().iter().copied().filter(|bench| !bench.is_asked_for()).collect()
    }

    /// It takes long, or everything that there is, and runs when it is named.
    fn is_asked_for(self) -> bool {
        matches!(self, Self::Plants | Self::Historian)
    }

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Ring => "ring",
            Self::Triple => "triple",
            Self::Cycle => "cycle",
            Self::Learner => "learner",
            Self::Opcua => "opcua",
            Self::History => "history",
            Self::Historian => "historian",
            Self::Plants => "plants",
        }
    }

    /// Measures, beside those of `peers` whom it concerns; or the reason why that was not possible.
    pub(crate) fn run(self, peers: &[Peer], plants: &PlantOptions) -> Result<Vec<Row>, String> {
        match self {
            Self::Kernel => kernel::run(),
            Self::Ring => Ok(ring::run()),
            Self::Triple => triple::run(),
            Self::Cycle => cycle::run(),
            Self::Learner => learner::run(peers),
            Self::Opcua => opcua::run(peers),
            Self::History => history::run(),
            Self::Historian => historian::run(),
            Self::Plants => plants::run(peers, plants),
        }
    }
}

/// Prints what there is.
pub(crate) fn list() {
    for bench in Bench::value_variants() {
        let value = bench.to_possible_value();
        let help = value.as_ref().and_then(|value| value.get_help()).map(ToString::to_string).unwrap_or_default();
        println!("{:8} {help}", bench.name());
    }
}
