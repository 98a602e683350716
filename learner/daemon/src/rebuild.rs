//! A learner that has lost what it knew learns it again, from what the historian has kept of its agent.
//!
//! # Contract
//! - It goes on in small parts, so that the runtime hears from the learner meanwhile: it reads the newest observations, as many as
//!   the agent remembers, begins with what was done in them, and makes updates on them. The plant's steps of the meantime wait
//!   while it reads, as long as the runtime keeps them, and teach as well after that.
//! - Until that is over, nothing is published and no policy is stood by.
//! - A history that cannot be read, or teaches nothing, is told, and the agent begins anew: without a past, but not without a future.

use history::{COMPLETE_MIN, Recollection, SourceError, usual_updates};
use learner::Agent;
use recall::{AskError, Past};
use rt_config::Site;
use tracing::{error, info};

/// Where a rebuild is.
#[derive(Debug)]
pub(crate) struct Rebuild {
    stage: Stage,
    observations: u64,
    complete: u64,
    updates: u64,
}

#[derive(Debug)]
enum Stage {
    Reading(Box<Recollection>),
    /// So many updates are made.
    Learning(u64),
}

/// What a rebuild has come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It goes on.
    Ongoing,
    /// The agent has learnt from its past.
    Rebuilt,
    /// There is nothing to learn from.
    Nothing,
}

impl Rebuild {
    /// Looks for the site's agent in what is kept; `None`, and a line in the log, when that is nothing.
    pub(crate) fn begin(site: &Site, past: Result<Box<dyn Past>, AskError>, agent: &Agent) -> Option<Self> {
        // One that is complete makes a transition at least.
        let most = agent.replay_capacity() as u64;
        match past.map_err(SourceError::from).and_then(|past| Recollection::of(site, past, most)) {
            Ok(past) => {
                let (_, rows) = past.progress();
                info!(rows, "no checkpoint: the agent learns from its history");
                Some(Self { stage: Stage::Reading(Box::new(past)), observations: 0, complete: 0, updates: 0 })
            }
            Err(error) => {
                error!("the agent cannot learn from its history: {error}; it begins anew");
                None
            }
        }
    }

    /// It goes through the history, and has not come to the present.
    pub(crate) const fn is_reading(&self) -> bool {
        matches!(self.stage, Stage::Reading(_))
    }

    /// Does the next part.
    pub(crate) fn go_on(&mut self, agent: &mut Agent) -> Progress {
        match &mut self.stage {
            Stage::Reading(past) => {
                let (observations, complete) = (&mut self.observations, &mut self.complete);
                let read = past.go_on(|observation| {
                    agent.observe_historical(&observation.step(*observations));
                    *observations += 1;
                    *complete += u64::from(observation.complete);
                });
                match read {
                    Ok(true) => Progress::Ongoing,
                    Ok(false) => self.begin_to_learn(agent),
                    Err(error) => {
                        error!("the history breaks off: {error}; the agent learns from what was read");
                        self.begin_to_learn(agent)
                    }
                }
            }
            Stage::Learning(made) => {
                if agent.study(*made, self.updates).is_none() {
                    error!("too little was kept for the agent's warm-up; it begins anew");
                    return Progress::Nothing;
                }
                *made += 1;
                if *made < self.updates { Progress::Ongoing } else { self.end(agent) }
            }
        }
    }

    fn begin_to_learn(&mut self, agent: &mut Agent) -> Progress {
        let Self { observations, complete, .. } = *self;
        let transitions = agent.counts().transitions;
        if complete < COMPLETE_MIN || transitions == 0 {
            error!(observations, complete, "too little was kept to learn from; the agent begins anew");
            return Progress::Nothing;
        }
        self.updates = usual_updates(observations);
        info!(observations, complete, transitions, updates = self.updates, "the history is read");
        agent.learn_behaviour();
        self.stage = Stage::Learning(0);
        Progress::Ongoing
    }

    fn end(&self, agent: &Agent) -> Progress {
        info!(
            updates = self.updates,
            transitions = agent.counts().transitions,
            "the agent has learnt from its history"
        );
        Progress::Rebuilt
    }

    /// Observations and updates that it has gone through, and all of them.
    pub(crate) fn steps(&self) -> (u64, u64) {
        match &self.stage {
            Stage::Reading(past) => {
                let (done, rows) = past.progress();
                (done, rows + usual_updates(rows))
            }
            Stage::Learning(made) => (self.observations + made, self.observations + self.updates),
        }
    }
}
