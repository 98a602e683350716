//! Where records come from: an agent, whoever leads it, also after a restart.

use std::time::{Duration, Instant};

use watch::{Agent, From, Memory};

use super::ScopeArguments;
use super::channel::Names;
use super::engine::Scope;
use crate::failure::{Exit, Failure};

/// How often somebody asks who leads.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Whoever does not answer keeps its asker waiting, so it is asked more rarely.
const LOOK_EVERY_SILENT: Duration = Duration::from_secs(5);

/// An agent that is followed.
pub(super) struct Source {
    agent: Agent,
    /// The run of the runtime whose memory is read.
    run: u64,
    look_at: Instant,
    trouble: Option<String>,
}

impl Source {
    /// The agent that was meant, and a scope on it that waits for its first trigger.
    pub(super) fn open(arguments: &ScopeArguments, now: Instant) -> Result<(Self, Scope), Failure> {
        let (address, _) = arguments.target.connect()?;
        // What the runtime remembers lies before the first trigger.
        let mut agent = Agent::new(address, From::Oldest);
        let memory = agent.look()?;
        let description = memory.description();
        let names = Names::of(description);
        let setup = arguments.setup(&names, description.period_ns);
        let run = description.run;
        let usage = |why: String| Failure::new(Exit::Usage, why);
        let mut scope = Scope::new(setup, names, description.period_ns).map_err(usage)?;
        read(memory, &mut scope);
        scope.begin();
        Ok((Self { agent, run, look_at: now + LOOK_EVERY, trouble: None }, scope))
    }

    /// The agent's name, `SITE/AGENT`.
    pub(super) fn label(&self) -> String {
        self.agent.label()
    }

    /// Why there is nothing new.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Reads what has come since the last time.
    pub(super) fn feed(&mut self, scope: &mut Scope, now: Instant) {
        if let Some(memory) = self.agent.memory() {
            read(memory, scope);
        }
        if now >= self.look_at {
            self.look(scope, now);
        }
    }

    fn look(&mut self, scope: &mut Scope, now: Instant) {
        let looked = self.agent.look().map(|memory| memory.description().clone());
        let is_silent = matches!(&looked, Err(blind) if !blind.is_gone());
        self.look_at = now + if is_silent { LOOK_EVERY_SILENT } else { LOOK_EVERY };
        match looked {
            Ok(description) => {
                if description.run != self.run {
                    self.run = description.run;
                    if let Some(mut former) = self.agent.former() {
                        read(&mut former, scope);
                    }
                    scope.ended();
                    scope.follow(Names::of(&description), description.period_ns);
                }
                self.trouble = None;
            }
            Err(blind) => {
                let is_gone = blind.is_gone();
                let newly =
                    self.trouble.replace(if is_gone { "the runtime has ended".into() } else { blind.to_string() });
                if is_gone && newly.is_none() {
                    // Its last records may have come after the last reading.
                    if let Some(memory) = self.agent.memory() {
                        read(memory, scope);
                    }
                    scope.ended();
                }
            }
        }
    }
}

/// Events first: where one is read before its record, that record triggers.
fn read(memory: &mut Memory, scope: &mut Scope) {
    let events = memory.events(|event| scope.event(event));
    let cycles = memory.cycles(|record| scope.record(record));
    scope.missed(cycles, events);
}
