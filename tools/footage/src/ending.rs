//! How a file ends, in a sentence.

use std::fmt;

use rt_recording::capture;
use serde::Serialize;

/// How a file ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Ending {
    /// In order.
    Closed,
    /// By a crash, or it is still being written.
    Cut {
        /// Bytes behind the last whole record.
        surplus_bytes: u64,
    },
    /// Records are missing from here on.
    Lost {
        /// The first cycle that is missing.
        from_cycle: u64,
        /// Why.
        reason: String,
    },
    /// What follows is not what was written.
    Damaged {
        /// Where what is not believed begins.
        at_byte: u64,
    },
}

impl Ending {
    /// Something of the run is not in the file, or may not be.
    pub fn is_incomplete(&self) -> bool {
        *self != Self::Closed
    }
}

impl From<rt_recording::Ending> for Ending {
    fn from(ending: rt_recording::Ending) -> Self {
        match ending {
            rt_recording::Ending::Closed => Self::Closed,
            rt_recording::Ending::Cut { surplus_bytes } => Self::Cut { surplus_bytes },
            rt_recording::Ending::Lost(lost) => Self::Lost { from_cycle: lost.cycle, reason: lost.why.to_string() },
            rt_recording::Ending::Damaged { at_byte } => Self::Damaged { at_byte },
        }
    }
}

impl From<capture::Ending> for Ending {
    fn from(ending: capture::Ending) -> Self {
        match ending {
            // That the runtime ended, or another file goes on, is no loss of this one.
            capture::Ending::Closed(_) => Self::Closed,
            capture::Ending::Cut { surplus_bytes } => Self::Cut { surplus_bytes },
            capture::Ending::Damaged { at_byte } => Self::Damaged { at_byte },
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the file was closed in order"),
            Self::Cut { surplus_bytes: 0 } => {
                f.write_str("the file was not closed (a crash, a full disk, or it is still being written)")
            }
            Self::Cut { surplus_bytes } => write!(
                f,
                "the file was not closed (a crash, a full disk, or it is still being written); \
                 {surplus_bytes} bytes of a record that is not whole were left out"
            ),
            Self::Lost { from_cycle, reason } => {
                write!(f, "the file ends before cycle {from_cycle}, which was not recorded: {reason}")
            }
            Self::Damaged { at_byte } => {
                write!(
                    f,
                    "the file is damaged at byte {at_byte}: nothing behind it can be believed, and none of it was read"
                )
            }
        }
    }
}
