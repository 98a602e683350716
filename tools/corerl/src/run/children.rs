//! Child processes: started with a tether, stopped in order, started again with patience.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rt_sys::{Lifeline, Wake};
use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{Exit, Failure};

/// A learner gets this much of the time for stopping, to finish what it writes.
const LEARNER_STOP_TIMEOUT: Duration = Duration::from_millis(300);
/// After this time, counted from the first signal, whatever still lives is killed.
const STOP_TIMEOUT: Duration = Duration::from_millis(900);
/// How often a stopping child is looked at.
const STOP_LOOK_EVERY: Duration = Duration::from_millis(5);

const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A learner that lived this long did not die of its start.
const HEALTHY_AGE: Duration = Duration::from_secs(60);
const _: () = assert!(LEARNER_STOP_TIMEOUT.as_nanos() < STOP_TIMEOUT.as_nanos());

/// A running child. Dropping it closes its standard input, at which a tethered child ends.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    started: Instant,
    /// When it was asked to end.
    asked: Option<Instant>,
}

/// How a child ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct How(ExitStatus);

impl How {
    /// The exit that the parent makes of it.
    pub(super) fn exit(self) -> Exit {
        self.0.code().and_then(Exit::of_child).unwrap_or(Exit::Internal)
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.code(), self.0.signal()) {
            (Some(code), _) => write!(f, "ended with exit code {code}"),
            (None, Some(signal)) => write!(f, "was killed by signal {signal}"),
            (None, None) => write!(f, "ended: {}", self.0),
        }
    }
}

impl Child {
    /// Starts a program with a pipe as its standard input. It has a process group of its own, so that Ctrl-C at a
    /// terminal reaches the parent alone, which then stops everything in order. What it prints goes to standard error.
    pub(super) fn start(command: &[OsString]) -> Result<Self, Failure> {
        let (program, arguments) =
            command.split_first().ok_or_else(|| Failure::new(Exit::Internal, "a child without a program"))?;
        let attempt = || {
            let messages = std::io::stderr().as_fd().try_clone_to_owned()?;
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::from(messages)).process_group(0);
            rt_sys::without_blocked_signals(&mut command).spawn()
        };
        let process =
            attempt().map_err(|error| Failure::io(format_args!("cannot start {}", program.display()), &error))?;
        Ok(Self { process, started: Instant::now(), asked: None })
    }

    /// How it ended, once it has.
    pub(super) fn ended(&mut self) -> Option<How> {
        // A wait that fails means that the child is not there to be waited for.
        self.process.try_wait().ok().flatten().map(How)
    }

    /// Its process number.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to end, once, and kills it when `patience` has passed since; called again and again until it has ended.
    pub(super) fn send_away(&mut self, name: &str, patience: Duration) {
        match self.asked {
            None => {
                self.asked = Some(Instant::now());
                self.signal(Signal::TERM);
            }
            Some(asked) if asked.elapsed() >= patience => self.kill(name),
            Some(_) => {}
        }
    }

    fn kill(&mut self, name: &str) {
        eprintln!("{name} did not end when it was asked to, and is killed");
        self.signal(Signal::KILL);
        // SIGKILL cannot be ignored: this wait is short. Its result is of no further use.
        let _ = self.process.wait();
    }

    /// Time since it was started.
    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            // It was not waited for yet, so the number is still its own; failing means that it has ended.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until it has ended, `deadline` has passed, or the user lost patience; `true` when it has ended.
    fn wait_until(&mut self, deadline: Instant, lifeline: &Lifeline) -> bool {
        loop {
            if self.ended().is_some() {
                return true;
            }
            match lifeline.wait(STOP_LOOK_EVERY) {
                wake if wake.is_stop_signal() => return false,
                // A tether that is cut stays so, and no longer waits.
                Wake::ParentGone => std::thread::sleep(STOP_LOOK_EVERY),
                _ => {}
            }
            if Instant::now() >= deadline {
                return false;
            }
        }
    }
}

/// How long children may take to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// So long the runtime is not asked, because the learner still ends.
    pub(super) learner: Duration,
    /// What is left then is killed.
    pub(super) all: Duration,
}

impl Patience {
    /// What a service manager, and a person who pressed Ctrl-C, can expect.
    pub(super) const PROMISED: Self = Self { learner: LEARNER_STOP_TIMEOUT, all: STOP_TIMEOUT };
}

/// Stops the learner, then the runtime; when patience ends, or at a second Ctrl-C, kills what is left.
pub(super) fn stop_in_order(learner: Option<Child>, mut runtime: Child, patience: Patience, lifeline: &Lifeline) {
    let begin = Instant::now();
    let mut learner = learner;
    if let Some(child) = &mut learner {
        child.signal(Signal::TERM);
        child.wait_until(begin + patience.learner, lifeline);
    }
    if runtime.ended().is_none() {
        runtime.signal(Signal::TERM);
        kill_if_late(&mut runtime, "the runtime", begin + patience.all, lifeline);
    }
    if let Some(mut child) = learner {
        kill_if_late(&mut child, "the learner", begin + patience.all, lifeline);
    }
}

fn kill_if_late(child: &mut Child, name: &str, deadline: Instant, lifeline: &Lifeline) {
    if !child.wait_until(deadline, lifeline) {
        child.kill(name);
    }
}

/// When to start the learner again.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Option<Instant>,
    pause: Duration,
}

impl Backoff {
    /// The first start is due at once.
    pub(super) fn new() -> Self {
        Self { next: Some(Instant::now()), pause: PAUSE_MIN }
    }

    /// A start is due.
    pub(super) fn is_due(&self) -> bool {
        self.next.is_some_and(|next| Instant::now() >= next)
    }

    /// It was started; nothing is due until it ends.
    pub(super) fn started(&mut self) {
        self.next = None;
    }

    /// The learner ended: how long to wait, or `None` when starting again cannot help.
    pub(super) fn after(&mut self, age: Duration, exit: Exit) -> Option<Duration> {
        if exit == Exit::BadConfiguration {
            return None;
        }
        let pause = if age >= HEALTHY_AGE { PAUSE_MIN } else { self.pause };
        self.pause = (pause * 2).min(PAUSE_MAX);
        self.next = Some(Instant::now() + pause);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_begin_anew_after_a_healthy_life() {
        let mut backoff = Backoff::new();
        assert!(backoff.is_due());
        backoff.started();
        assert!(!backoff.is_due());
        let mut pause = |age_s| backoff.after(Duration::from_secs(age_s), Exit::Internal).unwrap().as_secs();
        assert_eq!([1, 1, 1, 1, 1, 1, 1].map(&mut pause), [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!([60, 1].map(&mut pause), [1, 2]);
    }

    #[test]
    fn a_configuration_that_is_refused_is_not_tried_again() {
        let mut backoff = Backoff::new();
        backoff.started();
        assert_eq!(backoff.after(Duration::ZERO, Exit::BadConfiguration), None);
        assert!(!backoff.is_due());
    }

    #[test]
    fn a_child_says_how_it_ended() {
        let end = |script: &str| {
            let mut child = Child::start(&["sh".into(), "-c".into(), script.into()]).unwrap();
            let status = child.process.wait().unwrap();
            let how = How(status);
            (how.exit(), how.to_string())
        };
        assert_eq!(end("exit 78"), (Exit::BadConfiguration, "ended with exit code 78".into()));
        assert_eq!(end("exit 3"), (Exit::Internal, "ended with exit code 3".into()));
        assert_eq!(end("kill -9 $$"), (Exit::Internal, "was killed by signal 9".into()));
    }

    #[test]
    fn the_learner_has_ended_before_the_runtime_is_asked_to() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let child = |name: &str| {
            let script = format!(
                "trap 'echo {name} ends >> {log}; kill $!; exit 0' TERM; sleep 60 & echo {name} >> {log}; wait",
                log = log.display()
            );
            Child::start(&["sh".into(), "-c".into(), script.into()]).unwrap()
        };
        let (learner, runtime) = (child("learner"), child("runtime"));
        let lines = || std::fs::read_to_string(&log).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
        let begin = Instant::now();
        while lines().len() < 2 {
            assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", lines());
            std::thread::sleep(STOP_LOOK_EVERY);
        }
        let patience = Patience { learner: Duration::from_secs(60), all: Duration::from_secs(60) };
        stop_in_order(Some(learner), runtime, patience, &Lifeline::new(false).unwrap());
        assert_eq!(lines()[2..], ["learner ends", "runtime ends"]);
    }

    #[test]
    fn a_child_that_is_sent_away_is_asked_once_and_killed_when_patience_ends() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let script = format!(
            "trap 'echo asked >> {log}' TERM; echo begins >> {log}; \
             for _ in $(seq 6000); do sleep 0.01; done",
            log = log.display()
        );
        let mut child = Child::start(&["sh".into(), "-c".into(), script.into()]).unwrap();
        let lines = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
        let wait_for_lines = |wanted| {
            let begin = Instant::now();
            while lines() < wanted {
                assert!(begin.elapsed() < Duration::from_secs(60));
                std::thread::sleep(STOP_LOOK_EVERY);
            }
        };
        wait_for_lines(1);
        child.send_away("the child", Duration::from_secs(3600));
        wait_for_lines(2);
        for _ in 0..20 {
            child.send_away("the child", Duration::from_secs(3600));
            std::thread::sleep(STOP_LOOK_EVERY);
        }
        assert_eq!(lines(), 2, "it was asked again");
        assert!(child.ended().is_none());
        child.send_away("the child", Duration::ZERO);
        assert_eq!(child.ended().unwrap().to_string(), "was killed by signal 9");
    }

    #[test]
    fn a_program_that_is_not_there_is_a_failure_with_its_name() {
        let failure = Child::start(&["/nonexistent/corerl-rt".into()]).unwrap_err();
        assert_eq!(failure.report(), Exit::Unavailable);
    }
}
