//! One agent, whoever leads it.

use std::time::Duration;

use rt_control::{Address, CallError, Client, Refusal, SiteFile, Status};
use shm::SegmentKind;

use crate::memory::{From, Memory};

/// How long a runtime may take for an answer unless somebody has [less patience](Agent::within).
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Why nothing is seen of an agent.
#[derive(Debug, thiserror::Error)]
pub enum Blind {
    /// The control socket: nobody is there, nobody answers, or it is refused.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A segment is not what it should be.
    #[error("its segment {kind} cannot be read: {reason}")]
    Memory {
        /// Which.
        kind: SegmentKind,
        /// Why, for people.
        reason: String,
    },
}

impl Blind {
    pub(crate) fn memory(kind: SegmentKind) -> impl Fn(&dyn std::fmt::Display) -> Self {
        move |reason| Self::Memory { kind, reason: reason.to_string() }
    }

    /// Nobody is there: the runtime has ended or was never started.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Call(CallError::Closed | CallError::Connect(rt_control::ConnectError::NotRunning { .. })))
    }

    /// What was asked for is not there yet: no learner has joined that would have it.
    pub fn is_too_early(&self) -> bool {
        matches!(self, Self::Call(CallError::Refused(Refusal::NotNow { .. })))
    }
}

/// An address, and the memory of the runtime that leads there.
#[derive(Debug)]
pub struct Agent {
    address: Address,
    from: From,
    patience: Duration,
    memory: Option<Memory>,
    /// What was attached before that, until somebody takes it.
    former: Option<Memory>,
}

impl Agent {
    /// The agent at this address. Nothing is asked yet.
    pub fn new(address: Address, from: From) -> Self {
        Self { address, from, patience: ANSWER_TIMEOUT, memory: None, former: None }
    }

    /// The same with so much patience for every answer instead of two seconds.
    pub fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Where reading begins at the next runtime that is attached to: one that comes back, say.
    pub fn begin_with(&mut self, from: From) {
        self.from = from;
    }

    /// Its address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its name, `SITE/AGENT`.
    pub fn label(&self) -> String {
        self.address.label()
    }

    /// Asks who leads, and attaches to its memory unless that is done already. Reading goes on where it was.
    ///
    /// # Errors
    /// Nobody answers in time, or the memory cannot be read. What was attached before stays at
    /// [`memory`](Self::memory).
    pub fn look(&mut self) -> Result<&mut Memory, Blind> {
        self.ask(|_| Ok(())).map(|(memory, ())| memory)
    }

    /// The same, and how the agent is in the runtime's own words.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub fn status(&mut self) -> Result<(&mut Memory, Status), Blind> {
        self.ask(Client::status)
    }

    /// The same, and the site file that holds there.
    ///
    /// # Errors
    /// As [`look`](Self::look); the runtime may refuse a file that is too long.
    pub fn site_file(&mut self) -> Result<(&mut Memory, SiteFile), Blind> {
        self.ask(Client::site_file)
    }

    /// What was attached last, without asking anybody: its runtime may be gone.
    pub fn memory(&mut self) -> Option<&mut Memory> {
        self.memory.as_mut()
    }

    /// The memory of the runtime that led before, once after another one was attached to: it may hold records that nobody has
    /// read, and the last ones say why it leads no more.
    pub fn former(&mut self) -> Option<Memory> {
        self.former.take()
    }

    /// Asks anew each time: whoever leads now may be another process than before, and may have other limits.
    fn ask<T>(&mut self, what: impl FnOnce(&mut Client) -> Result<T, CallError>) -> Result<(&mut Memory, T), Blind> {
        let mut client = Client::connect(&self.address, self.patience).map_err(CallError::from)?;
        let description = client.describe()?;
        let answer = what(&mut client)?;
        let memory = match self.memory.take() {
            Some(mut memory) if memory.is_of(&description) => {
                memory.describe(description);
                memory
            }
            before => match Memory::attach(&mut client, description, self.from) {
                Ok(memory) => {
                    self.former = before;
                    memory
                }
                Err(blind) => {
                    self.memory = before;
                    return Err(blind);
                }
            },
        };
        let memory = self.memory.insert(memory);
        memory.follow_learner(&mut client);
        Ok((memory, answer))
    }
}
