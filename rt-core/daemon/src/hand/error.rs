//! Why a person's hand does not write.

use rt_control::{BindError, CallError};
use rt_core::envelope::Withheld;

/// Why nothing is written, or nothing more.
#[derive(Debug, thiserror::Error)]
pub enum HandError {
    /// A connection does not come about.
    #[error("{connection}: {reason}")]
    Unreachable {
        /// `connection_id`.
        connection: String,
        /// Fact, place and remedy.
        reason: String,
    },
    /// A connection was lost meanwhile.
    #[error("{connection} was lost meanwhile: {reason}; `corerl io read` shows what the plant has now")]
    Lost {
        /// `connection_id`.
        connection: String,
        /// What happened.
        reason: &'static str,
    },
    /// The plant shows no good value of a tag, so there is nothing to move from.
    #[error(
        "the plant shows no good and fresh value of {tag}, so there is nothing to move it from: `corerl io read` shows why"
    )]
    NotKnown {
        /// The setpoint's tag.
        tag: String,
    },
    /// The envelope lets nothing through.
    #[error("the envelope withholds {tag}: {}", because(*.reason))]
    Withheld {
        /// The setpoint's tag.
        tag: String,
        /// Why.
        reason: Withheld,
    },
    /// The plant refused a value.
    #[error(
        "the plant refuses to write {tag}: `corerl io browse` shows who may write its node, and the server's log why"
    )]
    Refused {
        /// The setpoint's tag.
        tag: String,
    },
    /// The plant shows something that was not written here.
    #[error("{tag} is moved by somebody else: the plant shows {shown}, and {sent} was written; nothing more is")]
    Foreign {
        /// The setpoint's tag.
        tag: String,
        /// What the plant shows.
        shown: f64,
        /// What was written last.
        sent: f64,
    },
    /// The plant takes a value and does not show it.
    #[error("the plant took {sent} for {tag} and still shows {shown}: is it the plant's own logic that sets it?")]
    Ignored {
        /// The setpoint's tag.
        tag: String,
        /// What the plant shows.
        shown: f64,
        /// What was written last.
        sent: f64,
    },
    /// A runtime of this agent is armed.
    #[error("the runtime of this agent is armed: `corerl agent disarm` first, and write then")]
    Armed,
    /// The runtime of this agent belongs to another user, who could not take the plant back.
    #[error(
        "the runtime of this agent belongs to user {uid}, and could not take the plant back from another one: write as that user"
    )]
    OtherUser {
        /// The user.
        uid: u32,
    },
    /// Two runtimes of the agent live, or another hand writes.
    #[error("{0}; stop the runtime that stands by, or wait for whoever writes")]
    Busy(BindError),
    /// The agent's address cannot be used.
    #[error(transparent)]
    Address(BindError),
    /// The runtime does not let go of the plant.
    #[error("the runtime of this agent does not let go of the plant: {0}")]
    Call(#[from] CallError),
    /// Its lease cannot be used.
    #[error("the lease of the runtime of this agent cannot be taken over: {0}; stop the runtime, and write then")]
    Lease(String),
    /// Somebody has taken the agent's address meanwhile.
    #[error("somebody has removed or taken the agent's address ({path}) meanwhile: nothing more is written")]
    Ousted {
        /// The lock file.
        path: String,
    },
    /// The plant's tag for the lease shows somebody else.
    #[error(
        "another machine has the lease of {connection}, armed or not: stop its runtime, or hand over, and write then"
    )]
    Claimed {
        /// `connection_id`.
        connection: String,
    },
    /// The plant does not let its tag for the lease be written.
    #[error("{connection}: the server refuses to write the lease tag: correct its access or type")]
    ClaimRefused {
        /// `connection_id`.
        connection: String,
    },
}

/// Why the envelope withholds a value, for people.
const fn because(reason: Withheld) -> &'static str {
    match reason {
        Withheld::InterlockRelease => "a tripped interlock says hands off",
        Withheld::InterlockBlocked => "it is out of its range, and a tripped interlock blocks the way back",
        Withheld::Resolution => "its node cannot hold any value that range and rate permit",
        Withheld::LastUnknown => "the value that it moves from is not known",
        Withheld::KindUnknown => "the data type of its node is not known",
        Withheld::NotFinite => "the value is not finite",
        Withheld::LimitsCorrupt => "its limits were damaged in memory",
        Withheld::Operator | Withheld::Mode => "it is not to be written",
    }
}
