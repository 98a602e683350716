//! All agents that are found, each with what is kept of its runs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rt_core::ports::Clock as _;
use rt_sys::MonotonicClock;
use watch::{Agents, Memory};

use crate::intake::{Clocks, Intake};
use crate::keeper::{KeepError, Keeper};

/// How often what came in a hurry gets its lasting form.
const SETTLE_EVERY: Duration = Duration::from_secs(600);

/// All agents below a directory, and where they are kept.
pub struct Keeping {
    agents: Agents,
    keeper: Box<dyn Keeper>,
    clock: MonotonicClock,
    /// By the agent's name: the run that leads.
    kept: BTreeMap<String, Run>,
    settled: Instant,
}

struct Run {
    number: u64,
    intake: Intake,
    /// What was said last, so that it is said once.
    said: Option<String>,
}

impl Keeping {
    /// Keeps all of these there.
    pub fn new(agents: Agents, keeper: Box<dyn Keeper>) -> Self {
        Self { agents, keeper, clock: MonotonicClock::new(), kept: BTreeMap::new(), settled: Instant::now() }
    }

    /// Keeps what all agents have published since the last turn.
    pub fn turn(&mut self) {
        let clocks = Clocks { monotonic_ns: self.clock.now().as_ns(), unix_ns: rt_sys::unix_time().as_ns() };
        let Self { agents, keeper, kept, .. } = self;
        let keeper = &mut **keeper;
        for agent in agents.find() {
            let label = agent.label();
            // Whoever does not answer may have published something before it ended.
            let _ = agent.look();
            if let (Some(run), Some(mut former)) = (kept.get_mut(&label), agent.former()) {
                run.take(&label, keeper, &mut former, clocks);
            }
            let Some(memory) = agent.memory() else { continue };
            let number = memory.description().run;
            if kept.get(&label).is_none_or(|run| run.number != number) {
                match Intake::begin(keeper, memory) {
                    Ok(intake) => _ = kept.insert(label.clone(), Run { number, intake, said: None }),
                    Err(error) => {
                        tracing::error!(agent_id = label, "cannot be kept: {error}");
                        continue;
                    }
                }
            }
            if let Some(run) = kept.get_mut(&label) {
                run.take(&label, keeper, memory, clocks);
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        if self.settled.elapsed() < SETTLE_EVERY {
            return;
        }
        self.settled = Instant::now();
        for (label, run) in &self.kept {
            if let Err(error) = self.keeper.settle(run.intake.run()) {
                tracing::error!(agent_id = label, "what came cannot get its lasting form: {error}");
            }
        }
    }
}

impl Run {
    fn take(&mut self, label: &str, keeper: &mut dyn Keeper, memory: &mut Memory, clocks: Clocks) {
        let failed: Option<KeepError> = self.intake.take(keeper, memory, clocks).err();
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
