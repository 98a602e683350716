//! From an agent's memory into files, across the restarts of its runtime.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;

use rt_control::{Address, CallError, Description, SiteFile};
use rt_recording::capture::{self, Clocks, Closed, Opening, Reason, What, Writer, Written};
use rt_sys::MonotonicClock;
use watch::{Agent, Blind, From, Memory};

use super::files::Files;
use super::{Kept, Report};
use crate::failure::Failure;

/// One agent that is recorded.
pub(super) struct Taking {
    agent: Agent,
    files: Files,
    clock: MonotonicClock,
    open: Option<Open>,
    kept: Vec<Kept>,
    /// What was said last, so that it is said once.
    said: Option<String>,
}

/// The file that is being written.
struct Open {
    path: PathBuf,
    writer: Writer<BufWriter<File>>,
    opening: Opening,
    /// The run of a runtime that it is of.
    run: u64,
}

impl Taking {
    pub(super) fn new(address: Address, files: Files) -> Self {
        let agent = Agent::new(address, From::Oldest);
        Self { agent, files, clock: MonotonicClock::new(), open: None, kept: Vec::new(), said: None }
    }

    /// Asks who leads. Another runtime than before begins another file, and one that has ended closes its own.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn look(&mut self) -> Result<(), Failure> {
        let run = self.open.as_ref().map(|open| open.run);
        match self.agent.look().map(|memory| memory.description().run) {
            Ok(found) if Some(found) == run => self.say(None),
            Ok(_) => {
                self.leave()?;
                self.begin_with_what_holds()?;
            }
            Err(blind) if blind.is_gone() => {
                self.copy()?;
                self.close(Closed::RuntimeEnded)?;
                self.say(Some("the runtime has ended; waiting for the next one".to_owned()));
            }
            // It may only be busy; what it publishes is read all the same.
            Err(blind) => self.say(Some(blind.to_string())),
        }
        Ok(())
    }

    /// Writes down what was published since the last time.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn take(&mut self) -> Result<(), Failure> {
        self.copy()?;
        let Some(Open { writer, opening, run, .. }) = &self.open else { return Ok(()) };
        if !self.files.is_full(writer.bytes()) {
            return Ok(());
        }
        let (opening, run) = (opening.clone(), *run);
        self.close(Closed::Full)?;
        // Limits may have been changed live; a runtime that does not answer now has the file that it had.
        match self.agent.site_file() {
            Ok((memory, file)) if memory.description().run == run => self.begin_with_what_holds_in(&file),
            Ok((_, file)) => {
                self.begin(opening, run)?;
                self.leave()?;
                self.begin_with_what_holds_in(&file)
            }
            Err(_) => self.begin(opening, run),
        }
    }

    /// Writes down what the runtime of the open file has published.
    fn copy(&mut self) -> Result<(), Failure> {
        match (&mut self.open, self.agent.memory()) {
            (Some(open), Some(memory)) => open.take(memory),
            _ => Ok(()),
        }
    }

    /// Another runtime leads: what the one before has published last belongs to its own file, which ends.
    fn leave(&mut self) -> Result<(), Failure> {
        if let (Some(open), Some(mut former)) = (&mut self.open, self.agent.former()) {
            open.take(&mut former)?;
        }
        self.close(Closed::RuntimeEnded)
    }

    /// Closes the file, if there is one.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn close(&mut self, closed: Closed) -> Result<(), Failure> {
        let Some(Open { path, writer, opening, .. }) = self.open.take() else { return Ok(()) };
        let (Written { cycles, events, lost_cycles, lost_events }, bytes) = (writer.written(), writer.bytes());
        let finished = writer.finish(closed).and_then(capture::to_the_disk);
        self.kept.push(Kept {
            path: path.display().to_string(),
            pid: opening.pid,
            cycles,
            events,
            lost_cycles,
            lost_events,
            bytes,
        });
        let result = finished.map_err(|error| cannot_write(&path, &error));
        self.files.finish(path, bytes);
        result
    }

    /// What was written, and is still there.
    pub(super) fn report(mut self) -> Report {
        let sum = |of: fn(&Kept) -> u64| self.kept.iter().map(of).sum();
        let mut report = Report {
            agent: self.agent.label(),
            files: Vec::new(),
            cycles: sum(|kept| kept.cycles),
            events: sum(|kept| kept.events),
            lost_cycles: sum(|kept| kept.lost_cycles),
            lost_events: sum(|kept| kept.lost_events),
            bytes: sum(|kept| kept.bytes),
            removed_files: self.files.removed(),
        };
        self.kept.retain(|kept| self.files.has(kept.path.as_ref()));
        report.files = self.kept;
        report
    }

    /// How it is, in one line.
    pub(super) fn line(&self) -> String {
        match &self.open {
            Some(Open { path, writer, .. }) => {
                let Written { cycles, lost_cycles, .. } = writer.written();
                let name = path.file_name().unwrap_or_default().display();
                let size = indicatif::HumanBytes(writer.bytes());
                format!("{name}, {cycles} cycles, {size}, {lost_cycles} missing")
            }
            None => self.said.clone().unwrap_or_default(),
        }
    }

    /// Begins a file of whatever runtime answers.
    fn begin_with_what_holds(&mut self) -> Result<(), Failure> {
        match self.agent.site_file() {
            Ok((_, file)) => {
                self.say(None);
                self.begin_with_what_holds_in(&file)
            }
            Err(blind) if blind.is_gone() => Ok(()),
            Err(Blind::Call(error)) if !is_passing(&error) => Err(error.into()),
            Err(blind) => {
                self.say(Some(blind.to_string()));
                Ok(())
            }
        }
    }

    fn begin_with_what_holds_in(&mut self, file: &SiteFile) -> Result<(), Failure> {
        match self.agent.memory().map(|memory| (opening(memory, file), memory.description().run)) {
            Some((opening, run)) => self.begin(opening, run),
            None => Ok(()),
        }
    }

    fn begin(&mut self, opening: Opening, run: u64) -> Result<(), Failure> {
        let (now, wall) = self.clock.with_wall_time();
        let clocks = Clocks { monotonic_ns: now.as_ns(), unix_ns: wall.as_ns() };
        let opening = Opening { clocks, reason: Reason::Continuous { number: self.files.number() }, ..opening };
        let (path, writer) = self.files.begin(&opening)?;
        self.open = Some(Open { path, writer, opening, run });
        Ok(())
    }

    /// Says a thing once, past the progress line.
    fn say(&mut self, what: Option<String>) {
        if let Some(text) = what.as_ref().filter(|_| self.said != what) {
            eprintln!("{}: {text}", self.agent.label());
        }
        self.said = what;
    }
}

impl Open {
    fn take(&mut self, memory: &mut Memory) -> Result<(), Failure> {
        let copied = copy(memory, &mut self.writer).and_then(|()| self.writer.flush());
        copied.map_err(|error| cannot_write(&self.path, &error))
    }
}

/// What a file of this runtime opens with; clocks and reason are filled in.
fn opening(memory: &Memory, file: &SiteFile) -> Opening {
    let Description { site, agent, instance, tag_list_hash, pid, period_ns, .. } = memory.description();
    let [setpoints, tags, ..] = memory.layout().dims();
    Opening {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        site_file: file.name.clone(),
        site_text: file.text.clone(),
        site: site.clone(),
        agent: agent.clone(),
        instance: instance.clone(),
        tag_list_hash: *tag_list_hash,
        pid: *pid,
        period_ns: *period_ns,
        setpoints,
        tags,
        clocks: Clocks { monotonic_ns: 0, unix_ns: 0 },
        reason: Reason::Continuous { number: 0 },
    }
}

/// Everything that was published since the last time.
fn copy(memory: &mut Memory, writer: &mut Writer<BufWriter<File>>) -> io::Result<()> {
    let (mut written, mut told) = (Ok(()), 0);
    let missed = memory.cycle_words(|words, lost_before| {
        if written.is_ok() {
            writer.missing(What::Cycles, lost_before);
            told += lost_before;
            written = writer.cycle(words);
        }
    });
    written?;
    writer.missing(What::Cycles, missed.lost - told);
    let mut events = Vec::new();
    let missed = memory.events(|event| events.push(*event));
    writer.missing(What::Events, missed.lost);
    events.iter().try_for_each(|event| writer.event(event))
}

/// A runtime that comes back may have other cares: it is asked again.
const fn is_passing(error: &CallError) -> bool {
    matches!(error, CallError::TimedOut(_) | CallError::Closed | CallError::Io(_))
}

fn cannot_write(path: &std::path::Path, error: &io::Error) -> Failure {
    Failure::io(format_args!("cannot write {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rt_control::Refusal;

    use super::*;

    #[test]
    fn a_runtime_that_does_not_answer_in_time_is_asked_again_and_one_that_refuses_is_not() {
        assert!(is_passing(&CallError::TimedOut(Duration::from_secs(1))) && is_passing(&CallError::Closed));
        assert!(!is_passing(&CallError::Refused(Refusal::NotPermitted { uid: 7 })));
        assert!(!is_passing(&CallError::NotUnderstood));
    }
}
