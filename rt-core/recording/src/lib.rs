//! Recordings of the control cycle: taken without disturbing it, replayed bit for bit.
//!
//! # Contract
//! 1. **A cycle is a function of what is recorded.** Everything that [`Cycle::run`](rt_core::cycle::Cycle::run) and the
//!    agent read passes the [`Tape`]: slot, commands, reports, clock readings, whether a set was taken, adopted weights. A
//!    [`Replay`] gives the same cycle the same things, and compares everything that came out.
//! 2. **The control thread hands over and never waits.** [`Tape::run`] copies values into a ring, without allocating or
//!    encoding. What does not fit is counted, and ends the file that it would have belonged to.
//! 3. **Every file can be replayed by itself.** It opens with the site, the state and the weights in use. A file that
//!    loses a record ends there and says so; the next one opens with a new state.
//! 4. **A file is believed frame by frame.** Each frame has a checksum over itself and all before it; a file that was cut
//!    anywhere is readable up to its last whole frame, and nothing behind a damaged one is looked at.
//! 5. What a learner says of decisions is kept beside the cycles, because people ask for it. No cycle reads it.
//! 6. What can be seen from outside of a runtime is a [`capture`]: a format of its own over the same chain of frames.
//! 7. The [`Flight`] recorder keeps what was before and after an incident, in captures.
//! 8. Nothing here reads a clock or starts a thread: whoever runs the [`Scribe`] tells it the time.
//!
//! # Nouns
//! The [`Tape`] belongs to the control thread, the [`Scribe`] to an ordinary one; [`recording`] makes both. The scribe
//! writes [`Frame`]s into volumes, FILE and then FILE.1, FILE.2 … for the older ones. A [`Reader`] gives frames back, until the
//! [`Ending`]; a [`Replay`] runs them.
//!
//! # The format
//! [`CORERLRC`](MAGIC), the [format's version](FORMAT_VERSION) as u32, then frames: the length of the payload as u32, the same
//! inverted, the payload in postcard, and 16 bytes of BLAKE3 over the digest before, length and payload. Numbers outside of
//! postcard are little-endian. Words of cycle records and steps are stored as differences (exclusive or) to those before.
#![forbid(unsafe_code)]

pub mod capture;
mod chain;
mod compare;
mod estimates;
mod events;
mod flight;
mod frame;
mod outputs;
mod reader;
mod replay;
mod scribe;
mod state;
mod tape;
mod volume;

pub use compare::Difference;
pub use events::{Concern, event_record};
pub use flight::{Flight, FlightNotice, FlightOptions};
pub use frame::{
    Changes, CycleFrame, Estimate, Estimates, FORMAT_VERSION, Frame, Handover, KeptPolicy, Lost, MAGIC, Opening, Why,
};
pub use outputs::CycleRecords;
pub use reader::{Ending, Next, Reader, RecordingRefused};
pub use replay::{Replay, ReplayRefused};
pub use scribe::{KeeperSlot, Notice, Options, Outputs, Scribe, recording};
pub use tape::Tape;

#[cfg(test)]
mod tests;
