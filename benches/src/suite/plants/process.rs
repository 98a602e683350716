//! A process that says lines, and ends in order when its standard input does.

use std::process::Command;
use std::time::Duration;

use children::Child;

/// A process may need so long to end before it is killed.
const FAREWELL: Duration = Duration::from_secs(10);

/// A running process; ended when dropped.
pub(super) struct Process(Child);

impl Process {
    /// Starts a program under a name for people.
    pub(super) fn start(name: &'static str, mut command: Command) -> Result<Self, String> {
        Child::start(name, &mut command).map(Self)
    }

    /// The next line that it says; an error when none comes within this time.
    pub(super) fn line(&mut self, patience: Duration) -> Result<String, String> {
        let line = self.line_within(patience)?;
        line.ok_or_else(|| {
            let (name, last) = (self.0.name(), self.0.last_lines());
            format!("{name} said nothing for {patience:?}; its last messages:\n{last}")
        })
    }

    /// The next line that it says, if it comes within this time; an error when none can come.
    pub(super) fn line_within(&mut self, patience: Duration) -> Result<Option<String>, String> {
        match (self.0.line(patience), self.0.check()) {
            (Some(line), _) => Ok(Some(line)),
            (None, Ok(())) => Ok(None),
            // By now everything has been heard that it said before its end.
            (None, Err(why)) => self.0.line(Duration::ZERO).map(Some).ok_or(why),
        }
    }

    /// An error when it has ended though nobody asked it to.
    pub(super) fn check(&mut self) -> Result<(), String> {
        self.0.check()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.let_go(FAREWELL);
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
        // Its output ends a moment before it does itself.
        let why = std::iter::repeat_with(|| process.line_within(FAREWELL)).find_map(Result::err).unwrap();
        assert!(why.starts_with("the shell ended with exit code 1") && why.contains("trouble"), "{why}");
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
