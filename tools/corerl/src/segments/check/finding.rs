//! What a check may find.

use serde::Serialize;
use shm::SegmentKind;

/// What to do when memory holds what its owner would not write.
pub(super) const FOREIGN: &str = "restart the runtime, and find out who else had the memory: a program that was given a writable descriptor, a debugger, a faulty memory module";
/// What to do about a process that does not go on.
pub(super) const STUCK: &str = "see whether its process was stopped (`corerl agent status`, ps), and restart it";
/// What to do about two programs that do not know each other's memory.
pub(super) const VERSION: &str = "bring runtime, learner and tools to one release";
/// What to do about a runtime that contradicts itself.
pub(super) const REPORT: &str = "a sound runtime never shows this: keep `corerl shm dump --json` and report it";
/// What to do about a learner.
pub(super) const LEARNER: &str =
    "look into the learner's log, and start it again if it is gone: the runtime keeps its policy meanwhile";

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in super::super) struct Finding {
    pub(super) agent: String,
    /// Of no segment alone, when it is `None`.
    pub(super) segment: Option<&'static str>,
    /// What was found.
    pub(super) what: String,
    /// What to do.
    pub(super) advice: &'static str,
}

/// Collects findings about one agent.
#[derive(Debug)]
pub(super) struct Findings {
    agent: String,
    about: Option<SegmentKind>,
    pub(super) list: Vec<Finding>,
}

impl Findings {
    pub(super) fn of(agent: &str) -> Self {
        Self { agent: agent.to_owned(), about: None, list: Vec::new() }
    }

    /// What is found from here on is about this segment.
    pub(super) fn about(&mut self, kind: SegmentKind) {
        self.about = Some(kind);
    }

    /// What is found from here on is about no segment alone.
    pub(super) fn about_all(&mut self) {
        self.about = None;
    }

    pub(super) fn add(&mut self, what: impl Into<String>, advice: &'static str) {
        let (agent, segment) = (self.agent.clone(), self.about.map(SegmentKind::name));
        self.list.push(Finding { agent, segment, what: what.into(), advice });
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let segment = self.segment.map_or(String::new(), |segment| format!(" {segment}"));
        write!(f, "{}{segment}: {}; {}", self.agent, self.what, self.advice)
    }
}
