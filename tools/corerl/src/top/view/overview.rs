//! The first tab: how the agent is, at a glance.

use rt_core::mode::Mode;
use shm_layout::{Counter, LearnerCounter};

use super::Picture;
use super::facts::{Facts, NAME_WIDTH};
use super::numbers::{count, number};
use crate::agent;
use crate::output::span;
use crate::screen::Look;
use crate::top::model::{Model, Of};

/// Characters before a sparkline: the facts' names and four figures.
const BEFORE_SPARKLINE: u16 = NAME_WIDTH + 41;
/// Characters of a sparkline at most: one for each second.
const SECONDS_MAX: u16 = 60;

/// Mode and arming in words.
pub(super) fn mode(model: &Model) -> (Look, String) {
    let Some(head) = &model.head else { return (Look::Muted, "no cycle seen yet".into()) };
    let mode = Mode::from_number(head.mode);
    let name = mode.map_or_else(|| format!("MODE {}", head.mode), |mode| mode.name().to_uppercase());
    let armed = if head.has(shm_layout::CycleHead::ARMED) { "armed" } else { "not armed" };
    let latched = if head.has(shm_layout::CycleHead::LATCHED) { ", LATCHED" } else { "" };
    let look = match mode {
        Some(Mode::Run) => Look::Good,
        Some(Mode::Fallback) | None => Look::Bad,
        Some(Mode::Hold | Mode::Release) => Look::Doubtful,
        Some(Mode::Startup | Mode::Shadow) => Look::Plain,
    };
    (look, format!("{name}, {armed}{latched}"))
}

impl Picture<'_> {
    pub(super) fn overview(&self, width: u16) -> Facts {
        let seconds = width.saturating_sub(BEFORE_SPARKLINE).min(SECONDS_MAX);
        let mut facts = Facts::default();
        self.trouble(&mut facts);
        self.cycles(&mut facts);
        self.timing(&mut facts, seconds.into());
        self.learning(&mut facts);
        self.plant(&mut facts);
        facts
    }

    fn trouble(&self, facts: &mut Facts) {
        let Some(status) = &self.model.status else { return };
        if let Some(latched) = agent::latched(status) {
            facts.say("latched", latched, Look::Bad);
            status.flight.iter().for_each(|flight| facts.plain("flight", agent::flight(flight)));
        }
        if !status.with_operator.is_empty() {
            let names = status.with_operator.join(", ");
            let text = format!("has {names}; `corerl agent hand-back` gives them back");
            facts.say("operator", text, Look::Doubtful);
        }
        match status.degraded.as_slice() {
            [] => facts.plain("degraded", "no"),
            reasons => facts.say("degraded", reasons.join("; "), Look::Doubtful),
        }
        if let Some(trouble) = &status.audit.trouble {
            facts.say("audit log", format!("NOT WRITTEN: {trouble}"), Look::Bad);
        }
    }

    fn cycles(&self, facts: &mut Facts) {
        let counter = |of| self.model.counters.get(of);
        let skipped = counter(Counter::SlotsSkipped);
        let causes =
            [(Counter::MissesByBody, "body"), (Counter::MissesByWake, "wake-up"), (Counter::MissesByGap, "gap")];
        let blamed = causes.iter().filter(|(of, _)| counter(*of) > 0);
        let blamed: Vec<_> = blamed.map(|(of, name)| format!("{} by {name}", counter(*of))).collect();
        let blamed = if blamed.is_empty() { String::new() } else { format!("; misses: {}", blamed.join(", ")) };
        let look = if self.model.minute.skipped() > 0 { Look::Doubtful } else { Look::Plain };
        let text = format!(
            "{} at {}; slots lost: {skipped}, {} in the last minute{blamed}",
            counter(Counter::Cycles),
            span(counter(Counter::Period)),
            self.model.minute.skipped()
        );
        facts.say("cycles", text, look);
    }

    fn timing(&self, facts: &mut Facts, seconds: usize) {
        let newest = |of| {
            let head = self.model.head.as_ref();
            head.map(|head| match of {
                Of::Lateness => head.lateness_ns,
                Of::Execution => head.execution_ns,
                Of::Response => head.response_ns,
            })
        };
        facts.say("", format!("{:>9} {:>9} {:>9} {:>9}  largest by second", "now", "p50", "p99", "max"), Look::Muted);
        for (name, of) in [("lateness", Of::Lateness), ("execution", Of::Execution), ("response", Of::Response)] {
            let figures = self.model.minute.figures(of);
            let shown = |ns: Option<u64>| ns.map_or("-".into(), span);
            let [p50, p99] = [0.5, 0.99].map(|q| shown(figures.quantile_ns(q)));
            let now = shown(newest(of).map(u64::from).filter(|ns| *ns > 0));
            let line = self.theme.sparkline(self.model.minute.largest(of), seconds);
            facts.plain(name, format!("{now:>9} {p50:>9} {p99:>9} {:>9}  {line}", shown(figures.max_ns())));
        }
        let reward = self.model.minute.rewards().rev().find(|reward| reward.is_finite()).unwrap_or(f64::NAN);
        let line = self.theme.sparkline(self.model.minute.rewards(), seconds);
        facts.plain("reward", format!("{:>9} {:>29}  {line}", number(reward), ""));
    }

    fn learning(&self, facts: &mut Facts) {
        let Some(status) = &self.model.status else { return };
        facts.plain("policy", agent::policy(status));
        let updates = self.model.counters.of_learner(LearnerCounter::Updates);
        let updates = updates.map_or(String::new(), |updates| format!("; {} updates", count(updates)));
        let learner = &status.learner;
        let look = if learner.alive && !learner.stalled { Look::Plain } else { Look::Doubtful };
        facts.say("learner", format!("{}{updates}", agent::learner(learner)), look);
        facts.plain("wishes", agent::wishes(&status.wishes));
    }

    fn plant(&self, facts: &mut Facts) {
        let counter = |of| count(self.model.counters.get(of));
        if let Some(status) = &self.model.status {
            for connection in &status.connections {
                let (text, look) = (agent::connection(connection), Look::Plain);
                facts.say("connection", text, if connection.up { look } else { Look::Bad });
            }
            facts.plain("lease", agent::lease(&status.lease));
        }
        let text = format!(
            "{} samples ({} lost); setpoints {} written, {} refused, {} expired; {} trips",
            counter(Counter::SamplesReceived),
            counter(Counter::SamplesLost),
            counter(Counter::SetpointsWritten),
            counter(Counter::SetpointsRejected),
            counter(Counter::SetpointsExpired),
            counter(Counter::Trips),
        );
        facts.plain("plant", text);
        if let Some(status) = &self.model.status {
            facts.plain("preemption", status.preemption.clone());
        }
    }
}
