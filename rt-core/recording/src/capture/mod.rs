//! Captures: what can be seen of a runtime from outside, at full rate.
//!
//! # Contract
//! 1. A capture holds every cycle record and every event that its writer saw, as they lay in shared memory. It cannot be
//!    replayed, since nobody outside sees what a cycle reads; it tells what came of it.
//! 2. **What is missing is said where it is missing**: how many records, between which cycles ([`Gap`]).
//! 3. It is believed frame by frame, like a recording, by the same chain of digests: a file that was cut anywhere is readable up to
//!    its last whole frame, and nothing behind a damaged one is looked at.
//! 4. Cycle records come in the order of their cycles, and events in the order in which they happened. Between the two kinds
//!    no order is promised: both carry cycle and monotonic time.
//! 5. Nothing here reads a clock, starts a thread, or looks at shared memory.
//!
//! # The format
//! [`CORERLCP`](MAGIC), the [format's version](FORMAT_VERSION) as u32, then frames as recordings have them: the length of
//! the payload as u32, the same inverted, a [`Frame`] in postcard, and 16 bytes of BLAKE3 over the digest before, length and
//! payload. The words of a cycle record are stored as differences (exclusive or) to those of the one before in the file.
//!
//! # Example
//! ```
//! use rt_recording::capture::{Clocks, Closed, Ending, Frame, Next, Opening, Reader, Reason, Writer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let opening = Opening {
//!     program: "2.0.0".into(),
//!     site_file: "site.yaml".into(),
//!     site_text: "…".into(),
//!     site: "works".into(),
//!     agent: "ph".into(),
//!     instance: "main".into(),
//!     tag_list_hash: 7,
//!     pid: 4711,
//!     period_ns: 1_000_000,
//!     setpoints: 1,
//!     tags: 3,
//!     clocks: Clocks { monotonic_ns: 0, unix_ns: 1_790_000_000_000_000_000 },
//!     reason: Reason::Continuous { number: 0 },
//! };
//! let mut writer = Writer::begin(Vec::new(), &opening)?;
//! writer.cycle(&vec![0; opening.layout().ok_or("too many parts")?.words()])?;
//! let file = writer.finish(Closed::Complete)?;
//!
//! let mut reader = Reader::open(file.as_slice())?;
//! let Next::Frame(Frame::Cycle(words)) = reader.next_frame()? else { panic!("a cycle was written") };
//! assert_eq!(reader.layout().view(&words)?.tags.len(), 3);
//! assert_eq!(reader.next_frame()?, Next::End(Ending::Closed(Closed::Complete)));
//! # Ok(())
//! # }
//! ```

mod frame;
mod reader;
mod writer;

pub use frame::{Clocks, Closed, FORMAT_VERSION, Frame, Gap, MAGIC, Opening, Reason, Trigger, TriggerKind, What};
pub use reader::{CaptureRefused, Ending, Next, Reader};
pub use writer::{Writer, Written, create, to_the_disk};

#[cfg(test)]
mod tests;
