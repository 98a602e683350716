//! Where a test's programs live: one temporary directory for everything that they make.

use std::cell::RefCell;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use children::Port;
use rt_control::Address;
use tempfile::TempDir;

use crate::process::processes_with;
use crate::{Plant, Process, Runtime, SiteFile, program};

/// A temporary directory in which programs run. All of them have it in their command lines.
pub struct Place {
    dir: TempDir,
    /// Those of its plants, which may be started again.
    ports: RefCell<Vec<Port>>,
}

impl Place {
    /// A new one.
    ///
    /// # Panics
    /// The temporary directory cannot be written.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("corerl-systest-").tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join("tmp")).expect("the temporary directory is writable");
        Self { dir, ports: RefCell::default() }
    }

    /// A file or directory in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command that starts one of the project's programs here.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command.current_dir(self.dir.path()).env("TMPDIR", self.path("tmp"));
        command
    }

    /// Starts the plant on a port that stays this place's own.
    pub fn plant(&self) -> Plant {
        self.plant_with(&[])
    }

    /// Starts the plant on this port: again after a kill, say.
    pub fn plant_on(&self, port: u16) -> Plant {
        Plant::start(self, port, &[])
    }

    /// Starts the plant on a port that stays this place's own, with these options.
    pub fn plant_with(&self, options: &[&str]) -> Plant {
        let port = Port::claim().expect("a port");
        let number = port.number();
        self.ports.borrow_mut().push(port);
        Plant::start(self, number, options)
    }

    /// The rig's site file for the plant at `url`, with these changes.
    pub fn site(&self, url: &str, changes: &[(&str, &str)]) -> SiteFile {
        SiteFile::write(self.dir.path(), url, changes)
    }

    /// `corerl-rt` alone; while another one leads, it stands by.
    pub fn runtime(&self, site: &SiteFile, options: &[&str]) -> Runtime {
        self.start_runtime(self.command("corerl-rt"), site, options, true)
    }

    /// `corerl-rt` started by another program, which becomes it: one that takes privileges away, say.
    pub fn runtime_under(&self, starter: &[&str], site: &SiteFile, options: &[&str]) -> Runtime {
        let mut command = Command::new(starter[0]);
        command
            .args(&starter[1..])
            .arg(program("corerl-rt"))
            .current_dir(self.dir.path())
            .env("TMPDIR", self.path("tmp"));
        self.start_runtime(command, site, options, true)
    }

    /// `corerl run`: runtime and learner.
    pub fn company(&self, site: &SiteFile, options: &[&str]) -> Runtime {
        let mut command = self.command("corerl");
        command.arg("run").arg("--checkpoint-dir").arg(self.path("checkpoints"));
        self.start_runtime(command, site, options, false)
    }

    fn start_runtime(&self, mut command: Command, site: &SiteFile, options: &[&str], alone: bool) -> Runtime {
        command.arg("--config").arg(site.path()).arg("--runtime-dir").arg(self.path("run")).args(options);
        let address =
            Address::new(&self.path("run"), SiteFile::SITE, SiteFile::AGENT, "main").expect("the path is short");
        Runtime::new(Process::start(command), address, alone)
    }

    /// A learner of its own, with its checkpoints in this directory.
    pub fn learner(&self, site: &SiteFile, checkpoints: &str) -> Process {
        let mut command = self.command("corerl-learner");
        command.arg("--config").arg(site.path()).arg("--runtime-dir").arg(self.path("run"));
        command.arg("--checkpoint-dir").arg(self.path(checkpoints)).args(["--threads", "1", "--tether"]);
        Process::start(command)
    }

    /// A historian, which keeps in the directory `history`.
    pub fn historian(&self) -> Process {
        self.historian_by(self.command("corerl-historian"))
    }

    /// The same by a command that becomes it.
    pub fn historian_by(&self, mut command: Command) -> Process {
        command.arg("--history").arg(self.path("history")).arg("--runtime-dir").arg(self.path("run")).arg("--tether");
        Process::start(command)
    }

    /// A command of `corerl` to the runtime here, such as `agent arm`.
    pub fn corerl(&self, words: &[&str]) -> Command {
        let mut command = self.command("corerl");
        command.args(words).arg("--runtime-dir").arg(self.path("run"));
        command
    }

    /// A command to the runtime here as another user, who may ask as far as the file system is concerned.
    ///
    /// # Panics
    /// The test's own user may not do this.
    pub fn as_user(&self, user: u32, name: &str, words: &[&str]) -> Output {
        let copy = self.path(name);
        // By another process: a program that is open for writing in this one, or in a child of it that starts meanwhile, cannot run.
        let copied = Command::new("cp").arg(program(name)).arg(&copy).status().expect("cp is installed");
        assert!(copied.success(), "the temporary directory is writable");
        for path in [self.dir.path(), &self.path("run"), &copy] {
            std::fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it is the test's own");
        }
        let mut command = Command::new(copy);
        command.args(words).arg("--runtime-dir").arg(self.path("run")).current_dir(self.dir.path());
        command.uid(user).gid(user).output().expect("root may be anybody")
    }

    /// What the programs left behind: processes, sockets and locks, temporary files, half-written checkpoints.
    pub fn left_behind(&self) -> Vec<String> {
        let mut found = processes_with(&self.dir.path().display().to_string());
        for place in ["run", "tmp", "plant-pki"] {
            found.extend(files_below(&self.path(place)));
        }
        let checkpoints = files_below(&self.path("checkpoints"));
        found.extend(checkpoints.into_iter().filter(|file| !file.ends_with(".ckpt")));
        found
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

fn files_below(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let below = |path: PathBuf| if path.is_dir() { files_below(&path) } else { vec![path.display().to_string()] };
    entries.flat_map(|entry| below(entry.path())).collect()
}
