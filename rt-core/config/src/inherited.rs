//! Keys that files of the Python services have and this runtime does not: what to write instead.

use std::fmt;

/// What stands for an inherited key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instead {
    /// Another key with the same value.
    Key(&'static str),
    /// What the text says.
    Advice(&'static str),
}

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(name) => write!(f, "write `{name}`, with the same value"),
            Self::Advice(text) => f.write_str(text),
        }
    }
}

use Instead::{Advice, Key};

const COLUMNS: Instead = Advice("the state's columns are made by `agent.traces`; anything else is a computed tag");
const HISTORY: Instead = Advice("`corerl learn --from FILE` learns from a history before the first run");
const LEARNER: Instead = Advice(
    "the learner's options stand in `agent` itself: `critic_lr`, `ensemble_aggregation`, `reset_period` and others",
);
const FIGURES: Instead = Advice("figures are in shared memory (`corerl shm`) and on `corerl-ua-server`");

/// Sorted by name.
const KEYS: [(&str, Instead); 43] = [
    ("action_constructor", COLUMNS),
    ("action_tolerance", Advice("write `runtime.setpoint_expiry`: a set of setpoints is not sent later than this")),
    ("actor", LEARNER),
    ("agg", Advice("the last value counts, as often as `runtime.io.CONNECTION.period` reads it")),
    ("ai_mode_val", Key("ai_mode")),
    (
        "change_bounds",
        Advice("write `runtime.limits.SETPOINT.rate`, or `action_bounds: [\"{TAG} - 0.2\", \"{TAG} + 0.2\"]`"),
    ),
    ("checkpoint_path", Advice("say it to `corerl run --checkpoint-dir DIR`")),
    ("critic", LEARNER),
    ("dtype", Advice("the server tells what its nodes hold")),
    ("env", Advice("servers belong into `coreio.opc_connections`")),
    ("event_bus", Advice("there is no event bus: the runtime is one process")),
    ("event_bus_client", Advice("there is no event bus: the runtime is one process")),
    ("experiment", Advice("write `agent_name`, `seed` and `agent.gamma` themselves")),
    (
        "feature_flags",
        Advice("write `agent.ensemble`, `agent.effective_episodes` or `agent.gamma_schedule` themselves"),
    ),
    ("heartbeat_node_id", Key("node")),
    ("heartbeat_period", Key("period")),
    ("hist_chunk_end", HISTORY),
    ("hist_chunk_start", HISTORY),
    (
        "horizon",
        Advice("write `updates`: critic updates, of which an observation gives rise to `agent.critic_updates`"),
    ),
    (
        "imputer",
        Advice(
            "write it at each tag that shall have it; `masked-ae` has the keys `imputation_horizon` and `missing_max`",
        ),
    ),
    ("is_computed", Advice("write `type: computed`")),
    ("is_endogenous", Advice("the runtime makes no model of the plant")),
    ("load_historical_data", HISTORY),
    ("max_counter", Advice("the heartbeat counts modulo 1000")),
    ("max_critic_updates", Key("critic_updates")),
    ("max_gamma", Advice("the discount grows to `agent.gamma`")),
    ("max_internal_actor_updates", Key("actor_updates")),
    ("max_steps", Advice("it runs until it is stopped; `corerl experiment` counts steps")),
    ("metrics", FIGURES),
    ("mode_is_bool", Advice("a flag is 0 or 1 by itself")),
    ("oddity_filter", Advice("write `filter` at each tag that shall have one")),
    ("op_mode_val", Key("op_mode")),
    ("outlier", Key("filter")),
    ("policy", LEARNER),
    ("preprocess", COLUMNS),
    ("prop_missing_tol", Key("missing_max")),
    (
        "restore_checkpoint",
        Advice("a learner goes on from what is in `checkpoints`, or in `corerl run --checkpoint-dir DIR`"),
    ),
    ("setpoint_ping_period", Advice("write `runtime.refresh`: an unchanged setpoint is sent again after this long")),
    ("state_constructor", COLUMNS),
    ("telegraf", FIGURES),
    ("transition_creator", Advice("transitions follow from `obs_period` and `action_period`")),
    ("transition_filters", Advice("steps with gaps or missing values are no transitions in any case")),
    ("update_interval", Advice("the discount grows with every update")),
];

/// What stands for this key.
pub(crate) fn instead(key: &str) -> Option<Instead> {
    let found = KEYS.binary_search_by_key(&key, |(name, _)| name).ok()?;
    KEYS.get(found).map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_table_is_found() {
        assert!(KEYS.is_sorted_by_key(|(name, _)| *name));
        assert!(KEYS.iter().all(|(name, of)| instead(name) == Some(*of)));
        assert_eq!(instead("obs_period"), None);
    }
}
