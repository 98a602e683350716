//! How the historian is, written down once a turn for whoever asks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use recall::{AgentStatus, KeeperStatus, Status};

use crate::tally::Tally;

/// What is known of agents and of the place where they are kept. Whoever keeps writes, whoever is asked reads; neither waits for
/// more than the other one's copying.
#[derive(Debug)]
pub struct Board {
    since: Instant,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    keeper: KeeperStatus,
    agents: BTreeMap<String, Agent>,
}

#[derive(Debug, Default)]
struct Agent {
    status: AgentStatus,
    kept: Option<Instant>,
}

impl Board {
    /// Nothing was kept yet.
    pub fn new(keeper: KeeperStatus) -> Self {
        Self { since: Instant::now(), known: Known { keeper, agents: BTreeMap::new() }.into() }
    }

    /// As it is at present.
    pub fn status(&self) -> Status {
        let known = self.known();
        let told = |Agent { status, kept }: &Agent| AgentStatus {
            last_commit_age_ms: kept.map(|kept| u64::try_from(kept.elapsed().as_millis()).unwrap_or(u64::MAX)),
            ..status.clone()
        };
        Status {
            pid: std::process::id(),
            uptime_s: self.since.elapsed().as_secs(),
            keeper: known.keeper.clone(),
            agents: known.agents.values().map(told).collect(),
        }
    }

    pub(crate) fn keeper(&self, status: KeeperStatus) {
        self.known().keeper = status;
    }

    /// What was kept of an agent.
    pub(crate) fn kept(&self, label: &str, tally: &Tally) {
        if tally.is_nothing() {
            return;
        }
        let mut known = self.known();
        let agent = known.agent(label);
        tally.tell(&mut agent.status);
        agent.kept = Some(Instant::now());
    }

    /// Why nothing is kept of an agent; `None` while it is.
    pub(crate) fn failing(&self, label: &str, why: Option<&str>) {
        let mut known = self.known();
        if why.is_some() || known.agents.contains_key(label) {
            known.agent(label).status.failing = why.map(str::to_owned);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing that holds the lock leaves it half-changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn agent(&mut self, label: &str) -> &mut Agent {
        let status = AgentStatus { agent: label.to_owned(), ..AgentStatus::default() };
        self.agents.entry(label.to_owned()).or_insert(Agent { status, kept: None })
    }
}

#[cfg(test)]
mod tests {
    use archive::{Commit, Gap, Missing};

    use super::*;

    #[test]
    fn commits_add_up_and_who_is_kept_again_does_not_fail_any_more() {
        let board = Board::new(KeeperStatus::Archive { directory: "history".into() });
        let gap = Gap {
            what: Missing::Events,
            first: 4,
            count: 3,
            after_cycle: None,
            before_cycle: None,
            why: "late".into(),
        };
        let commit = Commit { gaps: vec![gap], ..Commit::default() };
        board.failing("works/ph", Some("the disk is full"));
        assert_eq!(board.status().agents[0].failing.as_deref(), Some("the disk is full"));
        assert_eq!(board.status().agents[0].last_commit_age_ms, None);
        board.kept("works/ph", &Tally::of(&commit));
        board.kept("works/ph", &Tally::of(&commit));
        board.failing("works/ph", None);
        board.failing("works/flow", None);
        let [agent] = &board.status().agents[..] else { panic!("nobody has heard of works/flow") };
        assert_eq!((agent.gaps, agent.lost_events, agent.lost_cycles, &agent.failing), (2, 6, 0, &None));
        assert!(agent.last_commit_age_ms.is_some());
    }
}
