//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// The real-time runtime of one agent. `corerl run` starts it together with the learner.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  corerl-rt --config site.yaml --arm\n  corerl-rt --config site.yaml --record /var/lib/corerl/site.rec --record-mib 4096"
)]
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
    /// Keep every input and output of every cycle, for `corerl replay FILE`. Older files are called FILE.1, FILE.2 …
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// All files of the recording together have about this size at most, in MiB; the oldest go first.
    #[arg(long, value_name = "MIB", default_value_t = 1024, requires = "record", value_parser = clap::value_parser!(u64).range(8..=1 << 30))]
    pub(crate) record_mib: u64,
    /// Release the plant and exit when standard input closes: for a parent in the foreground.
    #[arg(long)]
    pub(crate) tether: bool,
}

impl Arguments {
    /// The site file's name, without its directory.
    pub(crate) fn site_file_name(&self) -> String {
        self.config.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}
