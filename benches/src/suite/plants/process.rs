//! A process that says lines, and ends in order when its standard input does.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

/// A process may need so long to end before it is killed.
const FAREWELL: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// As much of its messages as helps, bytes.
const LAST_WORDS: usize = 2_000;

/// A running process; ended when dropped.
pub(super) struct Process {
    name: &'static str,
    child: Child,
    lines: Receiver<String>,
    messages: NamedTempFile,
}

impl Process {
    /// Starts a program under a name for people.
    pub(super) fn start(name: &'static str, mut command: Command) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{name} cannot be started: {error}");
        let messages = NamedTempFile::new().map_err(failed)?;
        let into: File = messages.reopen().map_err(failed)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(into);
        let mut child = command.spawn().map_err(failed)?;
        let output = child.stdout.take().ok_or("a pipe is missing")?;
        let (sender, lines) = mpsc::channel();
        // It ends with the process, or with whoever listens.
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        Ok(Self { name, child, lines, messages })
    }

    /// The next line that it says; an error when none comes within this time.
    pub(super) fn line(&mut self, patience: Duration) -> Result<String, String> {
        self.line_within(patience)?.ok_or_else(|| self.obituary(&format!("said nothing for {patience:?}")))
    }

    /// The next line that it says, if it comes within this time; an error when none can come.
    pub(super) fn line_within(&mut self, patience: Duration) -> Result<Option<String>, String> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.obituary("has ended")),
        }
    }

    /// An error when it has ended though nobody asked it to.
    pub(super) fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            _ => Err(self.obituary("has ended")),
        }
    }

    /// What became of it, and what it said last.
    fn obituary(&self, what: &str) -> String {
        let said = std::fs::read(self.messages.path()).unwrap_or_default();
        let last = String::from_utf8_lossy(&said[said.len().saturating_sub(LAST_WORDS)..]).trim().to_owned();
        format!("{} {what}; its last messages:\n{last}", self.name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let start = Instant::now();
        while start.elapsed() < FAREWELL {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start("the shell", command).unwrap()
    }

    #[test]
    fn lines_are_heard_and_an_end_is_told_with_the_last_messages() {
        let mut process = shell("echo one; echo trouble >&2; exit 1");
        assert_eq!(process.line(FAREWELL).unwrap(), "one");
        let why = process.line(FAREWELL).unwrap_err();
        assert!(why.starts_with("the shell has ended") && why.ends_with("trouble"), "{why}");
        let mut silent = shell("read wait");
        assert_eq!(silent.line_within(Duration::from_millis(20)), Ok(None));
        let why = silent.line(Duration::from_millis(20)).unwrap_err();
        assert!(why.starts_with("the shell said nothing for 20ms"), "{why}");
    }

    #[test]
    fn a_process_ends_in_order_when_it_is_let_go() {
        let place = tempfile::tempdir().unwrap();
        let mark = place.path().join("mark");
        let mut process = shell(&format!("echo ready; read wait; echo in order > {}", mark.display()));
        process.line(FAREWELL).unwrap();
        process.check().unwrap();
        drop(process);
        assert_eq!(std::fs::read_to_string(mark).unwrap(), "in order\n");
    }
}
