//! The agents as they were seen last: looked at again and again, shown as a page of metrics, judged as healthy or not.

use std::collections::BTreeMap;

use rt_control::Status;
use rt_core::ports::Clock as _;
use rt_sys::MonotonicClock;
use serde::Serialize;
use watch::{Agent, Agents, From, Memory};

use super::catalogue::{COMMON_LABELS, Family, Sample, families};
use super::exposition::{Kind, Page, Value};
use super::sight::Sight;
use super::tally::Tally;

/// The one metric that an agent has when nothing is seen of it.
const UP: &str = "corerl_rt_up";
const UP_HELP: &str = "1 while the runtime answers and its cycles advance, else 0: then it has no other metric.";

/// All agents that are meant, and what was seen of them.
#[derive(Debug)]
pub(super) struct Observatory {
    agents: Agents,
    families: Vec<Family>,
    seen: BTreeMap<String, Seen>,
    clock: MonotonicClock,
}

/// The latest look at one agent.
#[derive(Debug, Default)]
struct Seen {
    status: Option<Status>,
    tally: Tally,
    /// Why it is not well.
    trouble: Option<String>,
}

/// How everybody is, as `/healthcheck` says it.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Health {
    pub(super) status: &'static str,
    agents: Vec<AgentHealth>,
    /// What is wrong, a sentence each.
    pub(super) reasons: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize)]
struct AgentHealth {
    agent_id: String,
    healthy: bool,
    mode: Option<String>,
    armed: Option<bool>,
    /// The cause of its trip while one is latched. The runtime is well then, and waits for a person.
    latched: Option<String>,
}

impl Observatory {
    /// Those below the runtime directory of `agents`, or those of them that are `wanted`. Tags have metrics of their own where
    /// that is asked for.
    pub(super) fn new(agents: Agents, wanted: Vec<String>, per_tag: bool) -> Self {
        let families = families().into_iter().filter(|family| per_tag || !family.per_tag).collect();
        let seen = wanted.iter().map(|label| (label.clone(), Seen::default())).collect();
        Self { agents: agents.only(wanted), families, seen, clock: MonotonicClock::new() }
    }

    /// Looks at every agent. A runtime that does not answer takes two seconds.
    pub(super) fn look(&mut self) {
        let runtime_dir = self.agents.runtime_dir().to_owned();
        let mut found = Vec::new();
        for agent in self.agents.find() {
            let label = agent.label();
            self.seen.entry(label.clone()).or_default().look(agent);
            found.push(label);
        }
        for (label, seen) in self.seen.iter_mut().filter(|(label, _)| !found.contains(label)) {
            seen.turn(label, Some(format!("no runtime was found below {}", runtime_dir.display())));
        }
    }

    /// What was seen, as Prometheus reads it.
    pub(super) fn page(&mut self) -> String {
        let now_ns = self.clock.now().as_ns();
        let mut page = Page::default();
        page.family(UP, Kind::Gauge, UP_HELP);
        for (label, seen) in &self.seen {
            let labels = [("service", "corerl-rt"), ("agent_id", label.as_str())];
            page.sample(UP, &labels, &Value::Count(seen.trouble.is_none().into()));
        }
        let mut sights = Vec::new();
        for agent in self.agents.find() {
            let label = agent.label();
            let (Some(seen), Some(memory)) = (self.seen.get(&label), agent.memory()) else { continue };
            let (None, Some(status)) = (&seen.trouble, &seen.status) else { continue };
            let memory: &Memory = memory;
            sights.push((label, Sight { memory, status, tally: &seen.tally, now_ns }));
        }
        for family in &self.families {
            let samples: Vec<_> = sights
                .iter()
                .flat_map(|(label, sight)| family.samples(sight).into_iter().map(move |of| (label, of)))
                .collect();
            if samples.is_empty() {
                continue;
            }
            page.family(&family.name, family.kind, &family.help);
            samples.iter().for_each(|(label, sample)| write(&mut page, family, label, sample));
        }
        page.into_text()
    }

    /// How everybody was.
    pub(super) fn health(&self) -> Health {
        let trouble = |(label, seen): (&String, &Seen)| Some(format!("{label}: {}", seen.trouble.as_ref()?));
        let mut reasons: Vec<_> = self.seen.iter().filter_map(trouble).collect();
        if self.seen.is_empty() {
            reasons.push(format!("no agent was ever found below {}", self.agents.runtime_dir().display()));
        }
        let agents = self.seen.iter().map(|(label, seen)| AgentHealth {
            agent_id: label.clone(),
            healthy: seen.trouble.is_none(),
            mode: seen.status.as_ref().map(|status| status.mode.clone()),
            armed: seen.status.as_ref().map(|status| status.armed),
            latched: seen.status.as_ref().and_then(|status| status.latched.clone()),
        });
        let status = if reasons.is_empty() { "healthy" } else { "unhealthy" };
        Health { status, agents: agents.collect(), reasons }
    }
}

impl Seen {
    fn look(&mut self, agent: &mut Agent) {
        let label = agent.label();
        let trouble = match agent.status() {
            Ok((memory, status)) => {
                self.tally.take(memory);
                self.status = Some(status);
                let trouble = standstill(memory);
                // Of a run that begins while we look, nobody else has counted the first records.
                agent.begin_with(From::Oldest);
                trouble
            }
            Err(blind) => {
                self.status = None;
                Some(blind.to_string())
            }
        };
        self.turn(&label, trouble);
    }

    /// Takes note of how it is now, and says so when that is new.
    fn turn(&mut self, label: &str, trouble: Option<String>) {
        if self.trouble != trouble {
            match &trouble {
                Some(trouble) => tracing::warn!(agent_id = label, "not well: {trouble}"),
                None => tracing::info!(agent_id = label, "well again"),
            }
            self.trouble = trouble;
        }
    }
}

/// What is wrong with an agent that answers, if its cycles do not advance.
fn standstill(memory: &mut Memory) -> Option<String> {
    let still = memory.standstill()?.as_secs();
    Some(format!("it answers, but its cycles have been standing still for more than {still} s"))
}

fn write(page: &mut Page, family: &Family, label: &str, sample: &Sample) {
    let common = COMMON_LABELS.into_iter().zip([family.service, label]);
    let own = family.labels.iter().copied().zip(sample.labels.iter().map(String::as_str));
    page.sample(&family.name, &common.chain(own).collect::<Vec<_>>(), &sample.value);
}

/// What is listed before all others.
pub(super) const fn up() -> (&'static str, Kind, &'static str) {
    (UP, Kind::Gauge, UP_HELP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_was_named_and_is_not_there_is_down_and_nobody_at_all_is_not_healthy() {
        let dir = tempfile::tempdir().unwrap();
        let below = |wanted: &[&str]| {
            let wanted = wanted.iter().map(|label| (*label).to_owned()).collect();
            Observatory::new(Agents::below(dir.path().to_owned(), From::Oldest), wanted, false)
        };
        let mut named = below(&["works/ph"]);
        named.look();
        let page = named.page();
        assert!(page.ends_with("corerl_rt_up{service=\"corerl-rt\",agent_id=\"works/ph\"} 0\n"), "{page}");
        let health = named.health();
        assert_eq!((health.status, health.reasons.len()), ("unhealthy", 1));
        assert!(health.reasons[0].starts_with("works/ph: no runtime was found below "), "{:?}", health.reasons);
        let health = below(&[]).health();
        assert_eq!((health.status, health.reasons.len()), ("unhealthy", 1), "{:?}", health.reasons);
    }
}
