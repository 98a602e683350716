//! All agents that are found, each with what is kept of its runs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use archive::{Store, StoreError};
use rt_core::ports::Clock as _;
use rt_sys::MonotonicClock;
use watch::{Agents, Memory};

use crate::intake::{Clocks, Intake};

/// How often the journal becomes blocks.
const COMPACT_EVERY: Duration = Duration::from_secs(600);

pub(crate) struct Keeping {
    agents: Agents,
    store: Store,
    clock: MonotonicClock,
    /// By the agent's name: the run that leads.
    kept: BTreeMap<String, Run>,
    compacted: Instant,
}

struct Run {
    number: u64,
    intake: Intake,
    /// What was said last, so that it is said once.
    said: Option<String>,
}

impl Keeping {
    pub(crate) fn new(agents: Agents, store: Store) -> Self {
        Self { agents, store, clock: MonotonicClock::new(), kept: BTreeMap::new(), compacted: Instant::now() }
    }

    /// Keeps what all agents have published since the last turn.
    pub(crate) fn turn(&mut self) {
        let clocks = Clocks { monotonic_ns: self.clock.now().as_ns(), unix_ns: rt_sys::unix_time().as_ns() };
        let Self { agents, store, kept, .. } = self;
        for agent in agents.find() {
            let label = agent.label();
            // Whoever does not answer may have published something before it ended.
            let _ = agent.look();
            if let (Some(run), Some(mut former)) = (kept.get_mut(&label), agent.former()) {
                run.take(&label, store, &mut former, clocks);
            }
            let Some(memory) = agent.memory() else { continue };
            let number = memory.description().run;
            if kept.get(&label).is_none_or(|run| run.number != number) {
                match Intake::begin(store, memory) {
                    Ok(intake) => _ = kept.insert(label.clone(), Run { number, intake, said: None }),
                    Err(error) => {
                        tracing::error!(agent_id = label, "cannot be kept: {error}");
                        continue;
                    }
                }
            }
            if let Some(run) = kept.get_mut(&label) {
                run.take(&label, store, memory, clocks);
            }
        }
        self.compact();
    }

    fn compact(&mut self) {
        if self.compacted.elapsed() < COMPACT_EVERY {
            return;
        }
        self.compacted = Instant::now();
        for (label, run) in &self.kept {
            if let Err(error) = self.store.compact(run.intake.run()) {
                tracing::error!(agent_id = label, "the journal cannot become blocks: {error}");
            }
        }
    }
}

impl Run {
    fn take(&mut self, label: &str, store: &mut Store, memory: &mut Memory, clocks: Clocks) {
        let failed: Option<StoreError> = self.intake.take(store, memory, clocks).err();
        let what = failed.map(|error| error.to_string());
        if self.said != what {
            match &what {
                Some(error) => tracing::error!(agent_id = label, "nothing is kept at present: {error}"),
                None => tracing::info!(agent_id = label, "is kept again"),
            }
            self.said = what;
        }
    }
}
