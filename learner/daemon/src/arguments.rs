//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Learns from the steps of a running corerl-rt and publishes weights to it. `corerl run` starts both.
#[derive(Debug, Parser)]
#[command(
    name = "corerl-learner",
    version,
    after_help = "Example:\n  corerl-learner --config site.yaml --checkpoint-dir checkpoints"
)]
pub(crate) struct Arguments {
    /// The site file, the same as the runtime's.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Where the runtime's control socket is [default: /run/corerl, or the user's runtime directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,
    /// Where checkpoints are kept; created if it is not there. Without it, nothing outlives the process.
    #[arg(long, value_name = "DIR")]
    pub(crate) checkpoint_dir: Option<PathBuf>,
    /// Where a learner without a checkpoint finds what the historian has kept, if the site file says `learner.rebuild`
    /// [default: `learner.history` of the site file; where none is there, the running historian is asked].
    #[arg(long, value_name = "DIR")]
    pub(crate) history: Option<PathBuf>,
    /// Threads that learn [default: one per CPU that neither the control thread nor the io thread has].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: Option<u16>,
    /// Exit when standard input closes: for a parent in the foreground.
    #[arg(long)]
    pub(crate) tether: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_its_example_is_accepted() {
        Arguments::command().debug_assert();
        let example = "corerl-learner --config site.yaml --checkpoint-dir checkpoints";
        Arguments::try_parse_from(example.split(' ')).unwrap();
    }
}
