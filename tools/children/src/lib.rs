//! Child processes of a program that looks after them: started with a tether, listened to, stopped in order, and never left
//! behind.
//!
//! Every child has a process group of its own, so that Ctrl-C reaches this program alone, which then stops the others
//! in order; and a pipe as standard input, whose end tells a tethered child that we are gone. What a child has started in its
//! group ends with it. Children inherit which
//! signals are blocked here: only one that reads its signals from a descriptor can be stopped by a signal, the others
//! are let go.
//!
//! # Example
//! ```
//! use std::process::Command;
//! use std::time::Duration;
//! use children::Child;
//!
//! let mut child = Child::start("greeter", Command::new("sh").args(["-c", "echo hello; cat"])).unwrap();
//! assert_eq!(child.line(Duration::from_secs(10)).as_deref(), Some("hello"));
//! let status = child.let_go(Duration::from_secs(10)).expect("it ends with its tether");
//! assert!(status.success());
//! ```
#![forbid(unsafe_code)]

mod port;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

pub use port::Port;

/// Lines of a child's messages that are kept for the case that it dies.
const TAIL_LINES: usize = 20;

/// The longest line, bytes; what is longer is told as several.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Lines that wait for whoever asks for them; when nobody does, further ones are in the tail alone.
const LINES_MAX: usize = 8192;

/// How often a child that shall end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What has ended may be heard out for this long.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What has ended may need this long until the kernel has forgotten it.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// What cargo tells the programs that it runs of their own packages begins like this.
const OF_A_PACKAGE: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

/// The cargo that runs this program, or the one in the path, to be run from here.
///
/// It is not told what this program was told of its own package: build scripts look at such words, and what one program of ours
/// had built would be built once more by the next one.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| OF_A_PACKAGE.iter().any(|beginning| name.starts_with(beginning))) {
            command.env_remove(name);
        }
    }
    command
}

/// The last lines that a child printed.
type Tail = Arc<Mutex<VecDeque<String>>>;

/// A running child; killed when dropped.
#[derive(Debug)]
pub struct Child {
    name: &'static str,
    process: std::process::Child,
    /// How it ended, once that was asked for: from then on its number may be somebody else's.
    status: Option<ExitStatus>,
    output: Receiver<String>,
    tail: Tail,
    /// They read what it prints, to its end.
    listeners: Vec<JoinHandle<()>>,
}

impl Child {
    /// Starts a program under a name for people.
    pub fn start(name: &'static str, command: &mut Command) -> Result<Self, String> {
        Self::spawn(name, command.stderr(Stdio::piped()))
    }

    /// The same for a program whose messages are all needed: they go into a file, and nothing of them is kept here.
    pub fn start_into(name: &'static str, command: &mut Command, log: &Path) -> Result<Self, String> {
        let file = File::create(log).map_err(|error| format!("{} cannot be written: {error}", log.display()))?;
        Self::spawn(name, command.stderr(file))
    }

    fn spawn(name: &'static str, command: &mut Command) -> Result<Self, String> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{name} cannot be started: {error}"))?;
        let tail = Tail::default();
        let (lines, output) = mpsc::sync_channel(LINES_MAX);
        let stdout = process.stdout.take().map(|stdout| listen(stdout, tail.clone(), Some(lines)));
        let stderr = process.stderr.take().map(|stderr| listen(stderr, tail.clone(), None));
        let listeners = stdout.into_iter().chain(stderr).collect();
        Ok(Self { name, process, status: None, output, tail, listeners })
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its name for people.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The next line of its standard output, if one comes within `patience` and before its end.
    pub fn line(&mut self, patience: Duration) -> Option<String> {
        self.output.recv_timeout(patience).ok()
    }

    /// How it ended, once it has; the others of its group are killed then.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() && self.has_ended() {
            self.kill();
        }
        self.status
    }

    /// Whether it has ended; its number stays its own, and its group's.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.number().is_some_and(|pid| waitid(WaitId::Pid(pid), options).is_ok_and(|ended| ended.is_some()))
    }

    /// The number of it and of its group, as long as it is theirs.
    fn number(&self) -> Option<Pid> {
        let number = self.status.is_none().then(|| self.process.id())?;
        i32::try_from(number).ok().and_then(Pid::from_raw)
    }

    /// An error when it has ended though nobody asked it to: how, and what it said last.
    pub fn check(&mut self) -> Result<(), String> {
        match self.ended() {
            None => Ok(()),
            Some(status) => Err(self.obituary(status)),
        }
    }

    /// How it ended and the last lines of its messages.
    pub fn obituary(&self, status: ExitStatus) -> String {
        self.hear_out();
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        };
        let last = self.last_lines();
        if last.is_empty() {
            format!("{} {how} and said nothing", self.name)
        } else {
            format!("{} {how}; it said last:\n{last}", self.name)
        }
    }

    /// Waits until everything has been read that it printed before its end; not for ever, because a child of its own may
    /// have its output, too.
    fn hear_out(&self) {
        let start = Instant::now();
        while start.elapsed() < LAST_WORDS && !self.listeners.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The last lines of its messages, indented.
    pub fn last_lines(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let lines: Vec<_> = tail.iter().map(|line| format!("    {line}")).collect();
        lines.join("\n")
    }

    /// Sends a signal; a child that has ended already does not mind.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.number() {
            let _ = kill_process(pid, signal);
        }
    }

    /// Sends a signal to it and to everything that it has started in its group.
    pub fn signal_group(&self, signal: Signal) {
        if let Some(group) = self.number() {
            // Failing means that it has ended.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Sends `signal`, waits for the end, and kills after `patience`; `None` when it had to be killed.
    pub fn stop(&mut self, signal: Signal, patience: Duration) -> Option<ExitStatus> {
        self.signal(signal);
        self.wait(patience)
    }

    /// Cuts the tether, waits for the end, and kills after `patience`; `None` when it had to be killed.
    pub fn let_go(&mut self, patience: Duration) -> Option<ExitStatus> {
        drop(self.process.stdin.take());
        self.wait(patience)
    }

    fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < patience {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        self.kill();
        None
    }

    /// Kills it and its group, and waits until the kernel has forgotten it.
    fn kill(&mut self) {
        self.signal_group(Signal::KILL);
        if self.status.is_none() {
            self.status = self.process.wait().ok();
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads a child's output to its end on a thread of its own.
fn listen(source: impl Read + Send + 'static, tail: Tail, lines: Option<SyncSender<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut source = BufReader::new(source);
        while let Some(line) = next_line(&mut source) {
            let mut kept = tail.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if kept.len() == TAIL_LINES {
                kept.pop_front();
            }
            kept.push_back(line.clone());
            drop(kept);
            if let Some(lines) = &lines {
                // Nobody may be listening any more; a child never waits for whoever does.
                let _ = lines.try_send(line);
            }
        }
    })
}

/// The next line without its end, as far as it is text; `None` at the end of what can be read.
pub fn next_line(source: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    source.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).ok().filter(|bytes| *bytes > 0)?;
    let text = String::from_utf8_lossy(&line);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Some(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Processes whose command line holds `text`, this one left out.
fn processes_with(text: &str) -> Vec<(u32, String)> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse::<u32>().ok()?;
            let bytes = std::fs::read(entry.path().join("cmdline")).ok()?;
            let command = String::from_utf8_lossy(&bytes).replace('\0', " ");
            (pid != std::process::id() && command.contains(text)).then(|| (pid, command.trim().to_owned()))
        })
        .collect()
}

/// Waits until no process with `text` in its command line is left; a sentence for each that stays.
pub fn processes_left(text: &str) -> Vec<String> {
    let start = Instant::now();
    let mut left = processes_with(text);
    while !left.is_empty() && start.elapsed() < LEFT_BEHIND {
        std::thread::sleep(LOOK_EVERY);
        left = processes_with(text);
    }
    left.into_iter().map(|(pid, command)| format!("left behind: process {pid}, {command}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn cargo_is_not_told_of_the_package_that_starts_it() {
        let cargo = cargo();
        let taken: Vec<_> = cargo.get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        for name in ["CARGO_PKG_NAME", "CARGO_PKG_VERSION_MAJOR", "CARGO_MANIFEST_DIR"] {
            assert!(std::env::var_os(name).is_some() && taken.contains(&name.as_ref()), "{name}: {taken:?}");
        }
        assert!(!taken.contains(&"CARGO_HOME".as_ref()));
    }

    fn shell(script: &str) -> Child {
        Child::start("child", Command::new("sh").args(["-c", script])).unwrap()
    }

    fn end(child: &mut Child) -> ExitStatus {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = child.ended() {
                return status;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        panic!("it did not end");
    }

    #[test]
    fn a_child_that_dies_is_named_with_its_exit_code_and_last_words() {
        let mut child = shell("echo one; echo two >&2; exit 7");
        assert_eq!(child.line(PATIENCE).as_deref(), Some("one"));
        end(&mut child);
        let message = child.check().unwrap_err();
        assert!(message.contains("child ended with exit code 7"), "{message}");
        assert!(message.contains("    two"), "{message}");
    }

    #[test]
    fn a_child_that_ends_in_order_is_not_killed_and_a_stubborn_one_is() {
        // Starts nothing: while a shell starts a program, a signal may go to that alone. And TERM, because whoever is started in
        // the background may have INT ignored for good.
        let mut obedient = shell("trap 'exit 0' TERM; echo ready; while :; do :; done");
        obedient.line(PATIENCE).unwrap();
        assert_eq!(obedient.stop(Signal::TERM, PATIENCE).and_then(|s| s.code()), Some(0));
        let mut stubborn = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
        stubborn.line(PATIENCE).unwrap();
        assert_eq!(stubborn.stop(Signal::TERM, Duration::from_millis(50)), None);
        assert!(stubborn.ended().is_some());
    }

    #[test]
    fn a_tethered_child_ends_when_it_is_let_go() {
        let mut child = shell("cat; exit 3");
        assert_eq!(child.let_go(PATIENCE).and_then(|status| status.code()), Some(3));
    }

    #[test]
    fn a_process_that_is_left_behind_is_found_by_its_command_line() {
        let mark = format!("left-behind-{}", std::process::id());
        // It starts no other process: a fork of it has the same command line for a moment.
        let mut child = shell(&format!("echo ready; while read -r _; do :; done # {mark}"));
        child.line(PATIENCE).unwrap();
        let found = processes_with(&mark);
        assert!(found.iter().any(|(pid, _)| *pid == child.process.id()), "{found:?}");
        drop(child);
        assert!(processes_with(&mark).is_empty());
    }

    /// A child that has started another one, whose number it says.
    fn family(script: &str) -> (Child, Pid) {
        // One that starts nothing itself: a shell that is stopped between vfork and exec is never seen as stopped.
        let mut child = shell(&format!("sleep 60 & echo $!; {script}"));
        let other = child.line(PATIENCE).unwrap().parse().unwrap();
        (child, Pid::from_raw(other).unwrap())
    }

    /// What the kernel says a process does: R, S, T … `None` when it is gone, or all but gone.
    fn state(pid: Pid) -> Option<char> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        text.rsplit_once(") ")?.1.chars().next().filter(|state| *state != 'Z')
    }

    fn wait_for(what: impl Fn() -> bool) {
        let start = Instant::now();
        while !what() {
            assert!(start.elapsed() < PATIENCE, "it never came");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    #[test]
    fn what_a_child_has_started_is_stopped_continued_and_killed_with_it() {
        let (child, other) = family("exec sleep 60");
        child.signal_group(Signal::STOP);
        wait_for(|| state(other) == Some('T'));
        child.signal_group(Signal::CONT);
        wait_for(|| state(other) != Some('T'));
        drop(child);
        wait_for(|| state(other).is_none());
    }

    #[test]
    fn what_a_child_leaves_in_its_group_ends_when_its_end_is_seen() {
        let (mut child, other) = family("exit 3");
        assert_eq!(end(&mut child).code(), Some(3));
        wait_for(|| state(other).is_none());
        assert_eq!(child.ended().and_then(|status| status.code()), Some(3));
    }

    #[test]
    fn bytes_that_are_no_text_end_nothing() {
        let mut child = shell(r"printf 'a\377b\n'; echo more; cat");
        assert_eq!(child.line(PATIENCE).as_deref(), Some("a\u{fffd}b"));
        assert_eq!(child.line(PATIENCE).as_deref(), Some("more"));
        assert_eq!(child.let_go(PATIENCE).and_then(|status| status.code()), Some(0));
    }

    #[test]
    fn a_line_without_an_end_comes_in_pieces() {
        let long = vec![b'x'; LINE_BYTES_MAX as usize + 1];
        let said = [&long[..], b"\r\nlast"].concat();
        let mut source = said.as_slice();
        assert_eq!(next_line(&mut source).map(|line| line.len()), Some(LINE_BYTES_MAX as usize));
        assert_eq!(next_line(&mut source).as_deref(), Some("x"));
        assert_eq!(next_line(&mut source).as_deref(), Some("last"));
        assert_eq!(next_line(&mut source), None);
    }

    #[test]
    fn a_child_to_whom_nobody_listens_writes_on() {
        let script = format!("i=0; while [ $i -lt {} ]; do i=$((i + 1)); echo line $i; done", LINES_MAX + 100);
        let mut child = shell(&script);
        assert!(end(&mut child).success());
        child.hear_out();
        assert!(child.last_lines().ends_with(&format!("line {}", LINES_MAX + 100)));
        assert_eq!(std::iter::from_fn(|| child.line(Duration::ZERO)).count(), LINES_MAX);
    }

    #[test]
    fn messages_can_go_into_a_file_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let script = "for i in $(seq 1 100); do echo line $i >&2; done";
        let mut child = Child::start_into("child", Command::new("sh").args(["-c", script]), &log).unwrap();
        end(&mut child);
        assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 100);
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let mut child =
            shell("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do echo line $i; done");
        end(&mut child);
        child.hear_out();
        let last = child.last_lines();
        assert_eq!(last.lines().count(), TAIL_LINES);
        assert!(last.ends_with("line 22"));
    }
}
