//! All agents that are found, each with what is kept of its runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rt_core::ports::Clock as _;
use rt_sys::MonotonicClock;
use watch::{Agents, Memory};

use crate::board::Board;
use crate::intake::{Clocks, Intake};
use crate::keeper::{KeepError, Keeper};
use crate::rules::Rules;

/// How often what came in a hurry gets its lasting form.
const SETTLE_EVERY: Duration = Duration::from_secs(600);

/// Runs that have ended and wait: each holds a minute of records in memory.
const ENDED_MAX: usize = 8;

/// All agents below a directory, and where they are kept.
pub struct Keeping {
    agents: Agents,
    keeper: Box<dyn Keeper>,
    rules: Rules,
    /// What whoever asks is told.
    board: Arc<Board>,
    clock: MonotonicClock,
    /// By the agent's name: the run that leads.
    kept: BTreeMap<String, Run>,
    /// Runs that have ended, of which not everything is kept yet.
    ended: Vec<Ended>,
    /// By the agent's name: why it is not kept, so that it is said once.
    said: BTreeMap<String, String>,
    settled: Instant,
}

struct Run {
    number: u64,
    intake: Intake,
}

/// A run with the memory that it left behind.
struct Ended {
    label: String,
    run: Run,
    memory: Memory,
}

impl Ended {
    /// Keeps what there is; whether that is everything.
    fn is_kept(&mut self, keeper: &mut dyn Keeper, board: &Board, clocks: Clocks) -> bool {
        let taken = self.run.intake.take(keeper, &mut self.memory, clocks);
        board.kept(&self.label, &self.run.intake.tally());
        taken.is_ok()
    }
}

impl Keeping {
    /// Keeps all of these there, by these rules, and writes on the board how that goes.
    pub fn new(agents: Agents, keeper: Box<dyn Keeper>, rules: Rules, board: Arc<Board>) -> Self {
        Self {
            agents,
            keeper,
            rules,
            board,
            clock: MonotonicClock::new(),
            kept: BTreeMap::new(),
            ended: Vec::new(),
            said: BTreeMap::new(),
            settled: Instant::now(),
        }
    }

    /// Keeps what all agents have published since the last turn.
    pub fn turn(&mut self) {
        let clocks = Clocks { monotonic_ns: self.clock.now().as_ns(), unix_ns: rt_sys::unix_time().as_ns() };
        let Self { agents, keeper, rules, board, kept, ended, said, .. } = self;
        let keeper = &mut **keeper;
        ended.retain_mut(|of| !of.is_kept(keeper, board, clocks));
        for agent in agents.find() {
            let label = agent.label();
            // Whoever does not answer may have published something before it ended.
            let _ = agent.look();
            if let Some((run, memory)) = agent.former().and_then(|memory| Some((kept.remove(&label)?, memory))) {
                leave(ended, Ended { label: label.clone(), run, memory }, keeper, board, clocks);
            }
            let Some(memory) = agent.memory() else { continue };
            let taken = take(memory, kept.get_mut(&label), keeper, rules, clocks);
            let taken = taken.map(|begun| _ = begun.map(|begun| kept.insert(label.clone(), begun)));
            if let Some(run) = kept.get_mut(&label) {
                board.kept(&label, &run.intake.tally());
            }
            let failed = taken.err().map(|error| error.to_string());
            board.failing(&label, failed.as_deref());
            tell(said, label, failed);
        }
        board.keeper(keeper.status());
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

/// Keeps what an agent's run has published; the run, if it is another one than before.
fn take(
    memory: &mut Memory,
    known: Option<&mut Run>,
    keeper: &mut dyn Keeper,
    rules: &Rules,
    clocks: Clocks,
) -> Result<Option<Run>, KeepError> {
    let number = memory.description().run;
    if let Some(run) = known.filter(|run| run.number == number) {
        return run.intake.take(keeper, memory, clocks).map(|()| None);
    }
    let mut run = Run { number, intake: Intake::begin(keeper, memory, rules)? };
    run.intake.take(keeper, memory, clocks)?;
    Ok(Some(run))
}

/// Keeps what a run has left behind, now or as soon as that is possible.
fn leave(ended: &mut Vec<Ended>, mut left: Ended, keeper: &mut dyn Keeper, board: &Board, clocks: Clocks) {
    if left.is_kept(keeper, board, clocks) {
        return;
    }
    ended.push(left);
    if ended.len() > ENDED_MAX {
        let given_up = ended.remove(0).label;
        tracing::error!(agent_id = given_up, "what an earlier run published last cannot be kept, and is given up");
    }
}

/// Says once that an agent is not kept, and that it is again.
fn tell(said: &mut BTreeMap<String, String>, label: String, failed: Option<String>) {
    let Some(what) = failed else {
        if said.remove(&label).is_some() {
            tracing::info!(agent_id = label, "is kept again");
        }
        return;
    };
    if said.get(&label) != Some(&what) {
        tracing::error!(agent_id = label, "nothing is kept at present: {what}");
        said.insert(label, what);
    }
}
