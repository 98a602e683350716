//! `corerl-rt` and its company as a test uses them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rt_control::{Address, Client, Status};
use shm::{Access, Segment, counters};
use shm_layout::{Counter, SegmentKind};

use crate::{Process, SiteFile, program, wait_for};

/// How long the control socket may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// A running runtime, or a foreground parent with everything it starts.
pub struct Runtime {
    /// The process.
    pub process: Process,
    address: Address,
}

impl Runtime {
    /// `corerl-rt` alone.
    pub fn start(site: &SiteFile, dir: &Path, options: &[&str]) -> Self {
        Self::launch(Command::new(program("corerl-rt")), site, dir, options)
    }

    /// `corerl run`: runtime and learner.
    pub fn start_with_company(site: &SiteFile, dir: &Path, options: &[&str]) -> Self {
        let mut command = Command::new(program("corerl"));
        command.arg("run").arg("--checkpoint-dir").arg(dir.join("checkpoints"));
        Self::launch(command, site, dir, options)
    }

    fn launch(mut command: Command, site: &SiteFile, dir: &Path, options: &[&str]) -> Self {
        let runtime_dir = dir.join("run");
        command.arg("--config").arg(site.path()).arg("--runtime-dir").arg(&runtime_dir).args(options);
        let address = Address::new(&runtime_dir, "rig", "agent", "main").expect("a short path");
        Self { process: Process::start(command), address }
    }

    /// Where its control socket is.
    pub fn socket(&self) -> PathBuf {
        self.address.socket().to_path_buf()
    }

    /// A client, as soon as the runtime listens.
    pub fn client(&self) -> Client {
        wait_for("the control socket", || Client::connect(&self.address, ANSWER).ok())
    }

    /// Its present state.
    pub fn status(&self) -> Status {
        wait_for("a status", || Client::connect(&self.address, ANSWER).ok()?.status().ok())
    }

    /// Waits until it is in this mode.
    pub fn wait_for_mode(&self, mode: &str) {
        wait_for(&format!("mode {mode}"), || (self.status().mode == mode).then_some(()));
    }

    /// Its counters, read-only and live.
    pub fn counters(&self) -> counters::Reader<Counter> {
        let descriptor =
            self.client().segment(SegmentKind::Counters.code()).expect("the runtime hands out its counters");
        let segment = Segment::attach(descriptor, Access::ReadOnly, SegmentKind::Counters).expect("a valid segment");
        counters::Reader::new(&segment).expect("a segment of counters")
    }

    /// Waits until a counter has reached `at_least`.
    pub fn wait_for_count(&self, counter: Counter, at_least: u64) {
        let counters = self.counters();
        wait_for(&format!("{} >= {at_least}", counter.name()), || (counters.get(counter) >= at_least).then_some(()));
    }
}
