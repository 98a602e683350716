//! What was kept and what was not, counted.

use archive::{Commit, Missing};
use recall::AgentStatus;

/// What commits have brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    commits: u64,
    samples: u64,
    events: u64,
    gaps: u64,
    lost_cycles: u64,
    lost_events: u64,
}

impl Tally {
    pub(crate) fn of(commit: &Commit) -> Self {
        let lost = |what| commit.gaps.iter().filter(|gap| gap.what == what).map(|gap| gap.count).sum();
        Self {
            commits: 1,
            samples: commit.points.len() as u64,
            events: commit.events.len() as u64,
            gaps: commit.gaps.len() as u64,
            lost_cycles: lost(Missing::Cycles),
            lost_events: lost(Missing::Events),
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.commits += other.commits;
        self.samples += other.samples;
        self.events += other.events;
        self.gaps += other.gaps;
        self.lost_cycles += other.lost_cycles;
        self.lost_events += other.lost_events;
    }

    pub(crate) const fn is_nothing(&self) -> bool {
        self.commits == 0
    }

    /// Into what is told of an agent.
    pub(crate) fn tell(&self, status: &mut AgentStatus) {
        let Self { commits: _, samples, events, gaps, lost_cycles, lost_events } = *self;
        status.samples += samples;
        status.events += events;
        status.gaps += gaps;
        status.lost_cycles += lost_cycles;
        status.lost_events += lost_events;
    }
}
