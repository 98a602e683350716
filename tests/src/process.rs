//! A child that never outlives its test.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

use crate::{wait_for, wait_within};

/// A running program. Dropping it kills it.
pub struct Process {
    name: String,
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Process {
    /// Starts `command`, with a pipe as standard input that closes when the process is dropped. What it says on standard
    /// error is kept, and shown when the test fails.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(mut command: Command) -> Self {
        let program = command.get_program().to_string_lossy().into_owned();
        let name = program.rsplit('/').next().unwrap_or_default().to_owned();
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        let said = Arc::default();
        if let Some(stderr) = child.stderr.take() {
            let kept = Arc::clone(&said);
            std::thread::spawn(move || listen(BufReader::new(stderr), &kept));
        }
        Self { name, child, said }
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// The process is gone.
    pub fn signal(&self, signal: Signal) {
        signal_to(self.pid(), signal);
    }

    /// Kills it, and waits until the kernel has forgotten it.
    ///
    /// # Panics
    /// The process is gone already.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Sends a signal that asks it to end; its exit code.
    ///
    /// # Panics
    /// It does not end, or is ended by the signal instead of ending in order.
    pub fn stop(&mut self, signal: Signal) -> i32 {
        self.signal(signal);
        self.exit_code()
    }

    /// Closes its standard input, as the death of its parent would.
    pub fn cut_tether(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_within(crate::END_PATIENCE, &format!("the end of {}", self.name), || self.child.try_wait().ok().flatten())
    }

    /// Waits for its end; the exit code.
    ///
    /// # Panics
    /// It does not end, or is ended by a signal.
    pub fn exit_code(&mut self) -> i32 {
        let status = self.wait();
        status.code().unwrap_or_else(|| panic!("{}: {status}", self.name))
    }

    /// Everything it said on standard error so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has said `part` on standard error; the line.
    ///
    /// # Panics
    /// It does not.
    pub fn wait_until_it_says(&self, part: &str) -> String {
        wait_for(&format!("{} to say {part:?}", self.name), || {
            self.said().lines().find(|line| line.contains(part)).map(str::to_owned)
        })
    }

    /// Its standard output, to be read while it runs; the pipe must have been asked for.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- {} (process {}) said:\n{}", self.name, self.pid(), self.said());
        }
    }
}

fn listen(lines: impl BufRead, said: &Mutex<String>) {
    for line in lines.lines().map_while(Result::ok) {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push_str(&line);
        said.push('\n');
    }
}

/// Sends a signal to a process that is not a child of the test.
///
/// # Panics
/// There is no such process.
pub fn signal_to(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process number is not zero");
    kill_process(pid, signal).unwrap_or_else(|error| panic!("process {pid} cannot be signalled: {error}"));
}

/// Whether a process of this number exists and is no zombie.
pub fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

/// The command lines of all processes that hold `text`.
pub(crate) fn processes_with(text: &str) -> Vec<String> {
    let commands = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let bytes = std::fs::read(entry.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&bytes).replace('\0', " "))
    });
    commands.filter(|command| command.contains(text)).collect()
}
