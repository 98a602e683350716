//! The segments that the learner shares with a runtime.

use std::time::Duration;

use learner::Step;
use policy::PolicySpec;
use policy::wire::{EncodeError, Publication, encode, slot_words};
use rt_control::{Address, CallError, Client};
use rt_core::ports::Clock as _;
use rt_sys::MonotonicClock;
use shm::broadcast::{self, Next};
use shm::{Access, AttachRefused, RoleRefused, Segment, SegmentKind, counters, histogram, triple};
use shm_layout::{EstimateRecord, LearnerCounter, LearnerHistogram, StepHead, StepLayout, StepRef};

use crate::opinions::Decision;

/// How long the runtime's keeper may take to answer.
const CALL_TIMEOUT: Duration = Duration::from_millis(500);

/// Why the learner did not get, or no longer has, its segments.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachError {
    /// The runtime is not there or said no.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A segment is not what it should be.
    #[error("the runtime's segment {kind}: {source}")]
    Segment {
        /// Which.
        kind: SegmentKind,
        /// Why.
        source: AttachRefused,
    },
    /// A segment is not of the right shape, or somebody else has it.
    #[error("the runtime's segment {kind}: {source}")]
    Role {
        /// Which.
        kind: SegmentKind,
        /// Why.
        source: RoleRefused,
    },
    /// The runtime's steps or weights are of another size than this site's.
    #[error("the runtime's segment {kind} is made for another agent: are both started with the same site file?")]
    OtherShape {
        /// Which.
        kind: SegmentKind,
    },
}

/// Whether the runtime's answer is one that waiting does not change.
pub(crate) const fn is_final(error: &CallError) -> bool {
    use rt_control::Refusal::{NotPermitted, OtherTagList};
    matches!(error, CallError::Refused(NotPermitted { .. } | OtherTagList { .. }))
}

/// What an agent's segments look like.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) spec: PolicySpec,
    pub(crate) steps: StepLayout,
    pub(crate) tag_list_hash: u64,
}

/// The learner's place at a runtime.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) epoch: u64,
    /// The generation that the runtime had when we came.
    pub(crate) generation: u64,
    layout: StepLayout,
    steps: broadcast::Reader,
    record: Vec<u64>,
    weights: triple::Writer,
    slot: Vec<u64>,
    estimates: broadcast::Writer,
    pub(crate) counters: counters::Writer<LearnerCounter>,
    durations: Vec<histogram::Writer>,
    clock: MonotonicClock,
}

/// What came out of the ring of steps.
pub(crate) enum Taken<'a> {
    /// A step, and the decision in its slot.
    Step(Step<'a>, Option<Decision<'a>>),
    /// So many were overwritten before they were read.
    Lost(u64),
}

impl Attachment {
    /// Joins the runtime at `address`, reading steps from `from` on.
    pub(crate) fn join(address: &Address, expected: &Expected, from: broadcast::Start) -> Result<Self, AttachError> {
        let mut client = Client::connect(address, CALL_TIMEOUT).map_err(CallError::from)?;
        let (grant, [steps, weights, counters, estimates, histograms]) =
            client.join_as_learner(expected.tag_list_hash)?;
        let attach = |descriptor, access, kind| {
            Segment::attach(descriptor, access, kind).map_err(|source| AttachError::Segment { kind, source })
        };
        let role = |kind| move |source| AttachError::Role { kind, source };
        let steps = attach(steps, Access::ReadOnly, SegmentKind::Transitions)?;
        let weights = attach(weights, Access::ReadWrite, SegmentKind::Weights)?;
        let counters = attach(counters, Access::ReadWrite, SegmentKind::LearnerCounters)?;
        let estimates = attach(estimates, Access::ReadWrite, SegmentKind::Estimates)?;
        let histograms = attach(histograms, Access::ReadWrite, SegmentKind::LearnerHistograms)?;

        if StepLayout::from_dims(steps.header().dims()) != Some(expected.steps) {
            return Err(AttachError::OtherShape { kind: SegmentKind::Transitions });
        }
        let steps = broadcast::Reader::new(&steps, from).map_err(role(SegmentKind::Transitions))?;
        let weights = triple::Writer::new(&weights).map_err(role(SegmentKind::Weights))?;
        let words = slot_words(&expected.spec).unwrap_or(usize::MAX);
        if weights.slot_words() < words {
            return Err(AttachError::OtherShape { kind: SegmentKind::Weights });
        }
        Ok(Self {
            epoch: grant.epoch,
            generation: grant.generation,
            layout: expected.steps,
            record: vec![0; expected.steps.words()],
            steps,
            slot: vec![0; words],
            weights,
            estimates: broadcast::Writer::new(&estimates).map_err(role(SegmentKind::Estimates))?,
            counters: counters::Writer::new(&counters).map_err(role(SegmentKind::LearnerCounters))?,
            durations: histogram::all_writers(&histograms).map_err(role(SegmentKind::LearnerHistograms))?,
            clock: MonotonicClock::new(),
        })
    }

    /// The next step, if there is one.
    pub(crate) fn take(&mut self) -> Option<Taken<'_>> {
        match self.steps.next(&mut self.record) {
            Next::Empty => None,
            Next::Lost(count) => Some(Taken::Lost(count)),
            Next::Damaged { cursor, published } => Some(Taken::Lost(published.saturating_sub(cursor))),
            Next::Record { .. } => {
                let view = self.layout.view(&self.record).ok()?;
                // An action that was not read back may be an old one.
                let usable = StepHead::STATE_COMPLETE | StepHead::ACTION_READ_BACK;
                let step = Step {
                    sequence: view.head.sequence,
                    complete: view.head.has(usable),
                    all_read: view.head.has(StepHead::ALL_READ),
                    reward: view.head.has(StepHead::REWARD_VALID).then_some(view.head.reward as f32),
                    decision: view.head.has(StepHead::DECISION_SLOT),
                    gap: view.head.has(StepHead::GAP_BEFORE),
                    terminal: false,
                    state: view.state,
                    action: view.action,
                    lo: view.lo,
                    hi: view.hi,
                };
                Some(Taken::Step(step, decision_of(&view)))
            }
        }
    }

    /// Publishes a network. False: the segment is damaged, a new one is needed.
    pub(crate) fn publish(
        &mut self,
        spec: &PolicySpec,
        publication: &Publication,
        parameters: &[f32],
    ) -> Result<bool, EncodeError> {
        encode(spec, publication, parameters, &mut self.slot)?;
        Ok(self.weights.publish(&self.slot).is_ok())
    }

    /// Says what the critics expect of a decision.
    pub(crate) fn say(&mut self, estimate: &EstimateRecord) {
        // The slot has the record's size: the runtime's segment of this kind has no other.
        let _ = self.estimates.publish(&estimate.to_words());
    }

    /// Notes how long something took.
    pub(crate) fn note(&mut self, what: LearnerHistogram, took: Duration) {
        if let Some(histogram) = self.durations.get_mut(what as usize) {
            histogram.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// Shows that the learner lives and what it stands by.
    pub(crate) fn beat(&self, best_generation: u64) {
        self.counters.set(LearnerCounter::BestGeneration, best_generation);
        self.counters.set(LearnerCounter::Heartbeat, self.clock.now().as_ns());
    }
}

/// The decision of a step: where none was due, and where one came to nothing, the numbers are none.
fn decision_of<'a>(view: &StepRef<'a>) -> Option<Decision<'a>> {
    let StepRef { head, state, decided, lo, hi, .. } = *view;
    decided.iter().all(|action| action.is_finite()).then_some(Decision {
        cycle: head.cycle,
        state,
        action: decided,
        lo,
        hi,
    })
}

/// The epoch that the runtime has granted last; 0 when it has granted none.
pub(crate) fn granted_epoch(address: &Address) -> Result<u64, CallError> {
    Ok(Client::connect(address, CALL_TIMEOUT)?.status()?.learner.epoch)
}
