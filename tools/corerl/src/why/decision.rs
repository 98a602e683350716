//! A decision put together from what was left behind of it: the step, the cycles until the next one, and the estimate.

use std::collections::VecDeque;

use footage::words::because;
use rt_core::envelope::{Acted, Withheld};
use rt_core::mode::Mode;
use rt_core::record::Reply;
use rt_recording::Estimate;
use serde::Serialize;
use shm_layout::{CycleHead, CycleRef, SetpointPart, StepHead, StepRef};

/// What the numbers of a step mean.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) agent: String,
    pub(super) setpoints: Vec<SetpointName>,
    pub(super) columns: Vec<String>,
    pub(super) tags: Vec<String>,
}

/// A setpoint's name and unit, and the values that the actions 0 and 1 stand for.
#[derive(Debug)]
pub(super) struct SetpointName {
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) scale: [f64; 2],
}

/// One decision. What is not known is NaN, which is null in JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Decision {
    pub(super) cycle: u64,
    /// Release of its cycle, by the machine's monotonic clock.
    pub(super) time_ns: u64,
    pub(super) mode: String,
    pub(super) policy_generation: u64,
    pub(super) explored: bool,
    pub(super) outcome: Outcome,
    /// What came of the decision before it.
    pub(super) reward: f64,
    /// Which goal, and which zone, decided that.
    pub(super) because: Vec<String>,
    pub(super) estimate: Option<Estimate>,
    pub(super) setpoints: Vec<Way>,
    /// The state that it was made on: column and normalised value.
    pub(super) state: Vec<(String, f32)>,
    /// Another one came after it.
    #[serde(skip)]
    is_over: bool,
}

/// What came of a decision as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It counts.
    Decided,
    /// A column of the state was missing, or there was no policy.
    NoState,
    /// The policy said something that is no number.
    NotFinite,
    /// It came later than it may, and was dropped.
    Late,
    /// Its cycle's record was overwritten already, or did not come yet.
    Unknown,
}

/// One setpoint's way from the policy's wish to the plant, engineering units.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Way {
    pub(super) name: String,
    pub(super) unit: String,
    /// What the policy asked for.
    pub(super) mean: f64,
    /// The same with exploration.
    pub(super) sampled: f64,
    /// The agent's own bounds.
    pub(super) agent_bounds: [f64; 2],
    /// What they left of it.
    pub(super) bounded: f64,
    /// What the mode asked for instead: a fallback, or the last value.
    pub(super) desired: f64,
    /// What the envelope let through in the cycle of the decision.
    pub(super) envelope: f64,
    /// The last value that was sent before the next decision; whether the plant took it, `reply` says.
    pub(super) sent: f64,
    /// What the plant had answered last when the next decision came; nothing before it has answered at all.
    pub(super) reply: Option<&'static str>,
    /// The value on the plant, as it was read back last before the next decision.
    pub(super) on_plant: f64,
    /// The limits that acted until then.
    pub(super) limits: Vec<&'static str>,
    /// Why nothing was sent, if nothing was.
    pub(super) withheld: Option<&'static str>,
}

/// Gathers the last decisions up to a cycle: steps in their order, cycles and estimates behind the steps that they belong to.
#[derive(Debug)]
pub(super) struct Gathering<'a> {
    names: &'a Names,
    last: usize,
    until: u64,
    pub(super) decisions: VecDeque<Decision>,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(names: &'a Names, last: usize, until: Option<u64>) -> Self {
        Self { names, last, until: until.unwrap_or(u64::MAX), decisions: VecDeque::new() }
    }

    /// Takes a step in, if there was a decision in its slot.
    pub(super) fn step(&mut self, step: &StepRef<'_>) {
        if !step.head.has(StepHead::DECISION_SLOT) || step.head.cycle > self.until {
            return;
        }
        self.push(Decision::of(step, self.names));
    }

    /// Takes a decision in of which there is no step, only its cycle: what the policy wished for is not known then.
    pub(super) fn cycle_alone(&mut self, record: &CycleRef<'_>) {
        if record.head.has(CycleHead::DECISION_SLOT) && record.head.cycle <= self.until {
            self.push(Decision::without_step(record.head, self.names));
        }
        self.cycle(record);
    }

    fn push(&mut self, decision: Decision) {
        self.decisions.push_back(decision);
        if self.decisions.len() > self.last {
            self.decisions.pop_front();
        }
    }

    /// Takes a cycle in, if a decision was in force in it, or in the one before: the plant answers after the cycle that sends.
    pub(super) fn cycle(&mut self, record: &CycleRef<'_>) {
        let cycle = record.head.cycle;
        if cycle > self.until {
            return;
        }
        if let Some(decision) = self.in_force(|decision| decision.cycle < cycle) {
            decision.hear(record);
        }
        let names = self.names;
        if let Some(decision) = self.in_force(|decision| decision.cycle <= cycle) {
            decision.live_through(record, &names.tags);
        }
    }

    /// The last decision of which this is true; it is true of all before that one.
    fn in_force(&mut self, is_before: impl Fn(&Decision) -> bool) -> Option<&mut Decision> {
        let behind = self.decisions.partition_point(is_before);
        behind.checked_sub(1).and_then(|before| self.decisions.get_mut(before))
    }

    /// Takes an estimate in, if it is of one of the decisions.
    pub(super) fn estimate(&mut self, estimate: Estimate) {
        if let Ok(at) = self.decisions.binary_search_by_key(&estimate.cycle, |decision| decision.cycle)
            && let Some(decision) = self.decisions.get_mut(at)
        {
            decision.estimate = Some(estimate);
        }
    }
}

impl Decision {
    fn of(step: &StepRef<'_>, names: &Names) -> Self {
        let head = step.head;
        let columns = names.columns.iter().cloned().zip(step.state.iter().copied());
        Self {
            cycle: head.cycle,
            time_ns: head.time_ns,
            mode: mode_name(head.mode),
            policy_generation: head.policy_generation,
            explored: head.has(StepHead::EXPLORED),
            outcome: Outcome::Unknown,
            reward: head.reward,
            because: Vec::new(),
            estimate: None,
            setpoints: names.setpoints.iter().enumerate().map(|(index, name)| Way::of(step, index, name)).collect(),
            state: columns.collect(),
            is_over: false,
        }
    }

    fn without_step(head: &CycleHead, names: &Names) -> Self {
        Self {
            cycle: head.cycle,
            time_ns: head.release_ns,
            mode: mode_name(head.mode),
            policy_generation: head.policy_generation,
            explored: head.has(CycleHead::EXPLORED),
            outcome: Outcome::Unknown,
            reward: head.reward,
            because: Vec::new(),
            estimate: None,
            setpoints: names.setpoints.iter().map(Way::unknown).collect(),
            state: Vec::new(),
            is_over: false,
        }
    }

    /// What the plant had answered when this cycle began.
    fn hear(&mut self, record: &CycleRef<'_>) {
        for (way, part) in self.setpoints.iter_mut().zip(record.setpoints).filter(|_| !self.is_over) {
            way.reply = Reply::from_number(part.reply).map(Reply::name).filter(|_| way.sent.is_finite());
        }
    }

    /// A cycle in which it is in force: its own, or one before the next decision.
    fn live_through(&mut self, record: &CycleRef<'_>, tags: &[String]) {
        let its_own = record.head.cycle == self.cycle;
        // One of which the step is not known, because it came after the steps were read.
        self.is_over |= record.head.has(CycleHead::DECISION_SLOT) && !its_own;
        if self.is_over {
            return;
        }
        if its_own {
            self.mode = mode_name(record.head.mode);
            self.outcome = Outcome::of(record.head);
            self.because = because(record.head, |tag| tags.get(tag).map_or("?", String::as_str));
        }
        for (way, part) in self.setpoints.iter_mut().zip(record.setpoints) {
            way.follow(part, its_own);
        }
    }
}

impl Outcome {
    fn of(head: &CycleHead) -> Self {
        let told = [
            (CycleHead::DECIDED, Self::Decided),
            (CycleHead::NOT_FINITE, Self::NotFinite),
            (CycleHead::LATE_DECISION, Self::Late),
        ];
        told.iter().find(|(flag, _)| head.has(*flag)).map_or(Self::NoState, |(_, outcome)| *outcome)
    }

    /// In words, when the decision does not count.
    pub(super) fn words(self) -> Option<&'static str> {
        match self {
            Self::Decided => None,
            Self::NoState => Some("no decision: the state was not complete"),
            Self::NotFinite => Some("no decision: the policy said something that is no number"),
            Self::Late => Some("the decision came too late and was dropped"),
            Self::Unknown => Some("the record of its cycle is not there"),
        }
    }
}

impl Way {
    fn of(step: &StepRef<'_>, setpoint: usize, name: &SetpointName) -> Self {
        let [zero, one] = name.scale;
        let raw = |column: &[f32]| column.get(setpoint).map_or(f64::NAN, |value| f64::from(*value));
        let engineering = |column: &[f32]| zero + raw(column) * (one - zero);
        let (sampled, bounded) = (raw(step.sampled), raw(step.decided));
        let mut limits = Vec::new();
        if bounded > sampled {
            limits.push("agent_lower_bound");
        } else if bounded < sampled {
            limits.push("agent_upper_bound");
        }
        Self {
            mean: engineering(step.mean),
            sampled: engineering(step.sampled),
            agent_bounds: [engineering(step.lo), engineering(step.hi)],
            bounded: engineering(step.decided),
            limits,
            ..Self::unknown(name)
        }
    }

    /// Nothing but its name is known yet.
    fn unknown(name: &SetpointName) -> Self {
        Self {
            name: name.name.clone(),
            unit: name.unit.clone(),
            mean: f64::NAN,
            sampled: f64::NAN,
            agent_bounds: [f64::NAN; 2],
            bounded: f64::NAN,
            desired: f64::NAN,
            envelope: f64::NAN,
            sent: f64::NAN,
            reply: None,
            on_plant: f64::NAN,
            limits: Vec::new(),
            withheld: None,
        }
    }

    fn follow(&mut self, part: &SetpointPart, its_own: bool) {
        if its_own {
            (self.desired, self.envelope) = (part.desired, part.sent);
        }
        if part.sent.is_finite() {
            self.sent = part.sent;
        }
        if part.readback.is_finite() {
            self.on_plant = part.readback;
        }
        self.withheld = Withheld::from_number(part.state).map(Withheld::name);
        for (limit, name) in Acted::NAMES {
            if part.acted & u32::from(limit.bits()) != 0 && !self.limits.contains(&name) {
                self.limits.push(name);
            }
        }
    }
}

fn mode_name(number: u8) -> String {
    Mode::from_number(number).map_or_else(|| number.to_string(), |mode| mode.name().to_owned())
}
