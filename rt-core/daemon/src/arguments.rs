//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// The real-time runtime of one agent. `corerl run` starts it together with the learner.
#[derive(Debug, Parser)]
#[command(version, after_help = "Example:\n  corerl-rt --config site.yaml --arm")]
pub(crate) struct Arguments {
    /// The site file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Let the policy write as soon as all gates pass, without waiting for `corerl agent arm`.
    #[arg(long)]
    pub(crate) arm: bool,
    /// Where the control socket is made [default: /run/corerl, or the user's runtime directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,
    /// Release the plant and exit when standard input closes: for a parent in the foreground.
    #[arg(long)]
    pub(crate) tether: bool,
}
