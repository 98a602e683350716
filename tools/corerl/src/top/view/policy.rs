//! The policy's tab: what is in use, what came of others, and what the critics expect of it.

use shm_layout::{Counter, EventKind, LearnerCounter};

use super::Picture;
use super::facts::Facts;
use super::grid::{Cell, Column, Grid};
use super::numbers::{count, number};
use crate::agent;
use crate::screen::Look;
use crate::top::model::printable;

/// Estimates in a sparkline, one for each decision.
const DECISIONS: usize = 30;
/// Generations that are named one by one.
const NAMED: usize = 4;
/// What happens to policies.
const KINDS: [EventKind; 10] = [
    EventKind::PolicyAdopted,
    EventKind::PolicyRefused,
    EventKind::PolicyOnTrial,
    EventKind::PolicyFailedTrial,
    EventKind::PolicyProven,
    EventKind::PolicyRolledBack,
    EventKind::LearnerAttached,
    EventKind::LearnerLost,
    EventKind::LearnerStalled,
    EventKind::LearnerRebuild,
];
/// Those of them that are no policy's.
const OF_THE_LEARNER: [EventKind; 4] =
    [EventKind::LearnerAttached, EventKind::LearnerLost, EventKind::LearnerStalled, EventKind::LearnerRebuild];

impl Picture<'_> {
    pub(super) fn policy(&self) -> Facts {
        let mut facts = Facts::default();
        if let Some(status) = &self.model.status {
            facts.plain("policy", agent::policy(status));
        }
        facts.plain("generations", self.generations());
        facts.plain("counts", self.policy_counts());
        self.expectations(&mut facts);
        if let (Some(description), Some(status)) = (&self.model.description, &self.model.status) {
            let health = status.learner.health.as_ref();
            let health = health.map_or("not looked at yet".into(), |health| agent::health(description, health));
            facts.plain("health", health);
        }
        facts
    }

    /// The newest generations, and since when each was in use.
    fn generations(&self) -> String {
        let all: Vec<_> = self.model.generations().collect();
        let newest = all.iter().rev().take(NAMED).map(|(since, generation)| {
            let name = if *generation == 0 { "nominal".into() } else { generation.to_string() };
            format!("{name} for {}", self.moment.since(*since))
        });
        let newest: Vec<_> = newest.collect();
        let more = all.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(", and {more} before") } else { String::new() };
        if newest.is_empty() { "none seen yet".into() } else { format!("{}{more}", newest.join("; before it ")) }
    }

    fn policy_counts(&self) -> String {
        let counter = |of| count(self.model.counters.get(of));
        let of_learner = |of| self.model.counters.of_learner(of).map_or("-".into(), count);
        format!(
            "{} adopted, {} refused, {} failed their trial, {} rolled back; learner: {} published, {} held back by its gate",
            counter(Counter::PoliciesAdopted),
            counter(Counter::PoliciesRefused),
            counter(Counter::PoliciesFailedTrial),
            counter(Counter::PoliciesRolledBack),
            of_learner(LearnerCounter::PoliciesPublished),
            of_learner(LearnerCounter::PoliciesGated),
        )
    }

    /// Value and spread of the newest decisions, as the critics say them afterwards.
    fn expectations(&self, facts: &mut Facts) {
        let estimates = &self.model.estimates;
        let Some(newest) = estimates.back() else {
            facts.say("value", "the learner has said nothing yet", Look::Muted);
            return;
        };
        let values = self.theme.sparkline(estimates.iter().map(|estimate| estimate.value), DECISIONS);
        let spreads = self.theme.sparkline(estimates.iter().map(|estimate| estimate.spread), DECISIONS);
        let nominal = format!("nominal {}", number(newest.nominal_value));
        facts.plain("value", format!("{:>9}  {nominal:<18} {values}", number(newest.value)));
        facts.plain("spread", format!("{:>9}  {:<18} {spreads}", number(newest.spread), ""));
    }

    pub(super) fn policy_events(&self) -> Grid {
        let columns = vec![
            Column::text("what", 20),
            Column::number("ago", 10),
            Column::number("cycle", 10),
            Column::number("gen", 6),
            Column::text("", 29),
        ];
        let of_policies = |kind: EventKind| KINDS.contains(&kind);
        let rows = self.model.events.iter().rev().filter(|event| event.kind().is_some_and(of_policies));
        let rows = rows.map(|event| {
            let kind = event.kind();
            let look = match kind {
                Some(EventKind::PolicyAdopted | EventKind::PolicyProven) => Look::Good,
                Some(EventKind::PolicyOnTrial | EventKind::LearnerAttached | EventKind::LearnerRebuild) => Look::Plain,
                _ => Look::Doubtful,
            };
            let is_learner = kind.is_some_and(|kind| OF_THE_LEARNER.contains(&kind));
            let generation = if is_learner { String::new() } else { event.a.to_string() };
            vec![
                Cell::text(kind.map_or("", EventKind::name)).look(look),
                Cell::number(self.moment.since(event.time_ns), -(event.time_ns as f64)),
                Cell::number(event.cycle.to_string(), event.cycle as f64),
                Cell::number(generation, if is_learner { f64::NAN } else { event.a as f64 }),
                Cell::text(printable(event.text())),
            ]
        });
        Grid { columns, rows: rows.collect(), empty: "nothing has happened to a policy yet".into() }
    }
}
