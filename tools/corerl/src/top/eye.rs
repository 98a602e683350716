//! What looks: asks the runtime how it is, reads its memory, and feeds the model of each agent.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rt_control::Status;
use shm_layout::{Counter, LearnerCounter};
use watch::{Agent, Agents, Blind, Memory, Missed};

use super::model::{Counters, Model, Processes};

/// How often the runtime is asked how it is; its memory is read at every look.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How often when it did not answer: each try may take as long as an answer may.
const RETRY_EVERY: Duration = Duration::from_secs(2);
/// How often the kernel is asked for the threads.
const THREADS_EVERY: Duration = Duration::from_secs(1);

/// What was seen of all agents.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    models: BTreeMap<String, Model>,
    /// The agent that is looked at: none until the first one was found.
    chosen: Option<String>,
}

impl Seen {
    /// With this agent, there or not, or whichever is found first.
    pub(super) fn of(agent: Option<&str>) -> Self {
        let models = agent.map(|label| (label.to_owned(), Model::default()));
        Self { models: models.into_iter().collect(), chosen: agent.map(str::to_owned) }
    }

    /// The agent that is looked at: its name, its place and how many there are, and its model.
    pub(super) fn chosen(&self) -> Option<(&str, usize, usize, &Model)> {
        let place = self.place()?;
        self.models.iter().nth(place).map(|(label, model)| (label.as_str(), place, self.models.len(), model))
    }

    /// Looks at another agent from now on, so many places further in the ring of all.
    pub(super) fn turn(&mut self, steps: usize) {
        let place = self.place().map_or(0, |place| place + steps);
        if let Some(label) = self.models.keys().cycle().nth(place) {
            self.chosen = Some(label.clone());
        }
    }

    /// To the agent before this one.
    pub(super) fn turn_back(&mut self) {
        self.turn(self.models.len().saturating_sub(1));
    }

    fn place(&self) -> Option<usize> {
        let chosen = self.chosen.as_ref()?;
        self.models.keys().position(|label| label == chosen)
    }

    fn found(&mut self, label: String) {
        self.chosen.get_or_insert_with(|| label.clone());
        self.models.entry(label).or_default();
    }
}

/// What looks at the chosen agent.
#[derive(Debug)]
pub(super) struct Eye {
    agents: Agents,
    processes: Processes,
    /// When it was asked last, and who.
    asked: Option<(Instant, String)>,
    is_answered: bool,
    threads_seen: Option<Instant>,
}

impl Eye {
    pub(super) fn new(agents: Agents) -> Self {
        Self { agents, processes: Processes::default(), asked: None, is_answered: true, threads_seen: None }
    }

    /// Looks once. The lock is held while records are taken in, never while somebody is asked.
    pub(super) fn look(&mut self, seen: &Mutex<Seen>) {
        let mut found = None;
        for agent in self.agents.find() {
            let label = agent.label();
            let mut seen = lock(seen);
            seen.found(label.clone());
            if seen.chosen.as_ref() == Some(&label) {
                found = Some((label, agent));
            }
        }
        let Some((label, agent)) = found else { return };
        let now = Instant::now();
        let patience = if self.is_answered { ASK_EVERY } else { RETRY_EVERY };
        let is_due = |(before, whom): &(Instant, String)| *whom != label || now.duration_since(*before) >= patience;
        let answer = self.asked.as_ref().is_none_or(is_due).then(|| {
            self.asked = Some((now, label.clone()));
            ask(agent)
        });
        if let Some(answer) = &answer {
            self.is_answered = !matches!(answer, Err(blind) if !blind.is_gone());
        }
        let threads = look_at_threads(&mut self.processes, &mut self.threads_seen, agent, answer.as_ref());
        if let Some(model) = lock(seen).models.get_mut(&label) {
            take_in(model, agent, answer);
            if threads {
                model.processes.clone_from(&self.processes);
            }
        }
    }
}

fn ask(agent: &mut Agent) -> Result<Status, Blind> {
    agent.status().map(|(_, status)| status)
}

/// Looks at the threads of who has answered just now, from time to time; whether it did.
fn look_at_threads(
    processes: &mut Processes,
    before: &mut Option<Instant>,
    agent: &mut Agent,
    answer: Option<&Result<Status, Blind>>,
) -> bool {
    let now = Instant::now();
    let (Some(Ok(status)), Some(memory)) = (answer, agent.memory()) else { return false };
    if before.is_some_and(|before| now.duration_since(before) < THREADS_EVERY) {
        return false;
    }
    *before = Some(now);
    let mut known = vec![("runtime", memory.description().pid)];
    if status.learner.epoch != 0 && status.learner.alive {
        known.push(("learner", status.learner.pid));
    }
    processes.look(&known, now);
    true
}

fn take_in(model: &mut Model, agent: &mut Agent, answer: Option<Result<Status, Blind>>) {
    let now = Instant::now();
    if let Some(mut former) = agent.former() {
        read(model, &mut former, now);
    }
    match answer {
        Some(Ok(status)) => {
            if let Some(memory) = agent.memory() {
                model.describe(memory.description());
            }
            model.status = Some(status);
        }
        Some(Err(blind)) => model.miss(now, blind.is_gone(), &blind.to_string()),
        None => {}
    }
    if let Some(memory) = agent.memory() {
        read(model, memory, now);
    }
}

/// Reads what came in since the last look; the memory of a runtime that ended stays readable.
fn read(model: &mut Model, memory: &mut Memory, now: Instant) {
    model.begin_look();
    let cycles = memory.cycles(|cycle| model.cycle(cycle));
    let events = memory.events(|event| model.event(event));
    let estimates = memory.estimates(|estimate| model.estimate(estimate));
    for Missed { lost, damaged } in [cycles, events, estimates] {
        model.missed += lost;
        model.damaged |= damaged;
    }
    let mut counters = Counters::default();
    for &counter in Counter::ALL {
        counters.set(counter, memory.counter(counter));
    }
    for &counter in LearnerCounter::ALL {
        if let Some(value) = memory.learner_counter(counter) {
            counters.set_of_learner(counter, value);
        }
    }
    model.count(counters, now);
}

/// A thread that goes on looking until this is dropped, so that whoever draws never waits for an answer.
pub(super) struct Looking {
    again: Sender<()>,
    thread: JoinHandle<()>,
}

impl Looking {
    pub(super) fn start(mut eye: Eye, seen: Arc<Mutex<Seen>>, every: Duration) -> std::io::Result<Self> {
        let (again, asked) = channel();
        let thread = std::thread::Builder::new().name("top-eye".into()).spawn(move || {
            loop {
                eye.look(&seen);
                if asked.recv_timeout(every) == Err(RecvTimeoutError::Disconnected) {
                    break;
                }
            }
        })?;
        Ok(Self { again, thread })
    }

    /// Looks at once: another agent was chosen.
    pub(super) fn again(&self) {
        // A thread that is gone is found by `is_alive`.
        let _ = self.again.send(());
    }

    /// Whether it still looks: it ends only with its program, or by a fault in it.
    pub(super) fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }
}

pub(super) fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    // What was seen is shown even if somebody has failed over it.
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(seen: &Seen) -> Option<(&str, usize, usize)> {
        seen.chosen().map(|(label, place, of, _)| (label, place, of))
    }

    #[test]
    fn the_first_agent_that_is_found_is_looked_at_and_the_others_are_a_ring() {
        let mut seen = Seen::of(None);
        assert_eq!(label(&seen), None);
        seen.turn(1);
        ["works/ph", "works/flow", "works/temp"].into_iter().for_each(|name| seen.found(name.into()));
        assert_eq!(label(&seen), Some(("works/ph", 1, 3)));
        seen.turn(1);
        assert_eq!(label(&seen), Some(("works/temp", 2, 3)));
        seen.turn(1);
        assert_eq!(label(&seen), Some(("works/flow", 0, 3)));
        seen.turn_back();
        assert_eq!(label(&seen), Some(("works/temp", 2, 3)));
    }

    #[test]
    fn an_agent_that_was_named_is_looked_at_before_it_is_found() {
        let mut seen = Seen::of(Some("works/ph"));
        seen.found("works/flow".into());
        assert_eq!(label(&seen), Some(("works/ph", 1, 2)));
    }

    #[test]
    fn an_agent_that_nobody_runs_is_awaited() {
        let directory = tempfile::tempdir().unwrap();
        let seen = Mutex::new(Seen::of(Some("works/ph")));
        Eye::new(Agents::below(directory.path().into(), watch::From::Oldest)).look(&seen);
        let seen = lock(&seen);
        let (_, _, _, model) = seen.chosen().unwrap();
        assert!(matches!(model.presence, crate::top::model::Presence::Awaited));
    }
}
