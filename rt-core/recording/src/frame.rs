//! What a recording consists of.

use policy::Kept;
use rt_core::changes::SetpointTuning;
use rt_core::ports::{Command, FieldReport};
use rt_core::record::EventKind;
use rt_core::schedule::Slot;
use rt_core::tag::TagSettings;
use rt_core::time::MonoTime;
use serde::{Deserialize, Serialize};
use shm_layout::EstimateRecord;

use crate::capture::Clocks;
use crate::chain::{Format, Previous};

/// What every recording begins with.
pub const MAGIC: [u8; 8] = *b"CORERLRC";
/// The version of the format that this program writes, and the only one that it reads: with another one the state of a
/// cycle may have another meaning, too.
pub const FORMAT_VERSION: u32 = 7;
/// A replay keeps so many weights for the cycles to come. Who records writes older ones again before a cycle that follows
/// them.
pub(crate) const POLICIES_KEPT: usize = 8;
/// How a recording begins.
pub(crate) const FORMAT: Format = Format { magic: MAGIC, version: FORMAT_VERSION };

/// One frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Frame {
    /// The first one of every file.
    Opening(Box<Opening>),
    /// Weights, before the first cycle that follows them.
    Policy(KeptPolicy),
    /// One cycle.
    Cycle(Box<CycleFrame>),
    /// What the learner's critics expected of decisions, as it came: after their cycles, perhaps in the next file only. It is
    /// an input of nothing, so a replay does without it.
    Estimates(Estimates),
    /// Records are missing from here on; the last frame of its file.
    Lost(Lost),
    /// The file was closed in order; the last frame of its file.
    Closing,
}

/// Everything that the replay of a file has to know before its first cycle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// Version of the program that recorded.
    pub program: String,
    /// Name of the site file: parts of the site are named after it.
    pub site_file: String,
    /// The site file's text.
    pub site_text: String,
    /// Hash of the tag list, as policies carry it.
    pub tag_list_hash: u64,
    /// The kernel in use. All of them give the same bits; should they ever not, this says which one it was.
    pub kernel: String,
    /// Both clocks when the file was opened, as captures have them: for people.
    pub clocks: Clocks,
    /// This file's number in the recording, from 0.
    pub number: u64,
    /// Cycles that were not recorded between the file before and this one.
    pub lost_before: u64,
    /// Generation of the policy in use.
    pub generation: u64,
    /// Steps that were sent to the learner so far.
    pub steps_sent: u64,
    /// The state of cycle and agent.
    pub state: Vec<u8>,
}

/// One generation of weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptPolicy {
    /// What it is.
    pub origin: Kept,
    /// Its parameters, in the order of [`policy::kernels::NetSpec`].
    pub parameters: Vec<f32>,
}

/// One cycle: first what it read, then what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CycleFrame {
    /// The slot, with dt.
    pub slot: Slot,
    /// Commands, in their order.
    pub commands: Vec<Command>,
    /// Limits, nominal values and rules for tags that replaced those before.
    pub changes: Option<Changes>,
    /// Reports, in their order.
    pub reports: Vec<FieldReport>,
    /// What the clock said, every time that it was asked.
    pub clock: Vec<MonoTime>,
    /// The generation of the weights that were adopted.
    pub adopted: Option<u64>,
    /// The set that was handed over; whether it was taken is an input.
    pub set: Option<Handover>,
    /// Events.
    pub events: Vec<EventKind>,
    /// The cycle record, as [`shm_layout::CycleLayout`] describes it.
    pub record: Vec<u64>,
    /// The step for the learner, as [`shm_layout::StepLayout`] describes it; empty when there was none.
    pub step: Vec<u64>,
}

/// What a learner said of decisions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimates {
    /// The estimates, in their order.
    pub estimates: Vec<Estimate>,
    /// So many among or before these were overwritten before the recorder read them.
    pub lost: u64,
}

/// What the critics expected of one decision: [`shm_layout::EstimateRecord`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Control cycle of the decision.
    pub cycle: u64,
    /// Updates that the critics had made.
    pub updates: u64,
    /// The action's value: the mean over the ensemble.
    pub value: f64,
    /// The standard deviation over the ensemble.
    pub spread: f64,
    /// The value of the nominal action instead.
    pub nominal_value: f64,
}

impl From<EstimateRecord> for Estimate {
    fn from(record: EstimateRecord) -> Self {
        let EstimateRecord { cycle, updates, value, spread, nominal_value } = record;
        Self { cycle, updates, value, spread, nominal_value }
    }
}

/// A [`ChangeSet`](rt_core::changes::ChangeSet).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// Its number.
    pub number: u64,
    /// The setpoints, in the site's order.
    pub setpoints: Vec<SetpointTuning>,
    /// The tags, in the site's order.
    pub tags: Vec<TagSettings>,
}

/// A set on its way to the io thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    /// When it expires.
    pub expires: MonoTime,
    /// The plant heartbeat.
    pub heartbeat: Option<u16>,
    /// The alarms that are raised.
    pub alarms: Option<u32>,
    /// The values, one per setpoint of the site.
    pub values: Vec<Option<f64>>,
    /// The io thread's ring took it.
    pub taken: bool,
}

/// Where records are missing, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The first cycle that is missing.
    pub cycle: u64,
    /// Why.
    pub why: Why,
}

/// Why records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Why {
    /// The scribe was so late that the ring was full.
    #[error("the recorder was too late and its ring was full")]
    RingFull,
    /// The outputs of a cycle were overwritten before the scribe read them.
    #[error("the recorder was too late and a cycle's outputs were overwritten")]
    OutputsOverwritten,
    /// The weights that a cycle adopted did not reach the scribe.
    #[error("the weights of generation {generation} did not reach the recorder")]
    WeightsMissing {
        /// Which.
        generation: u64,
    },
    /// A change set came out of the ring as none.
    #[error("a change set did not reach the recorder whole")]
    ChangesMissing,
}

/// The words of the cycle before.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    record: Previous,
    step: Previous,
}

impl Differences {
    /// Replaces the words of a cycle by their differences.
    pub(crate) fn take(&mut self, cycle: &mut CycleFrame) {
        self.record.take(&mut cycle.record);
        self.step.take(&mut cycle.step);
    }

    /// Puts the words of a cycle back.
    pub(crate) fn put_back(&mut self, cycle: &mut CycleFrame) {
        self.record.put_back(&mut cycle.record);
        self.step.put_back(&mut cycle.step);
    }
}
