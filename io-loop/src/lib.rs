//! The I/O loop: reads the plant and writes the setpoints, once per I/O period, on a thread of its own.
//!
//! # Contract
//! - Every input is read in one call and handed to the control thread through a ring; a value that finds no place is
//!   counted. Every call has a deadline. A missed one makes samples stale and a write unknown, nothing more.
//! - A server that tells by itself what changes ([`Subscribing`]) is believed as long as looks at single tags agree with it; a
//!   tag of which nothing is heard is looked at before it is stale. What it does not tell, or not any more, is read.
//! - Only the newest setpoint set is written, only while it has not expired, and only those values that changed or whose
//!   refresh is due; and nothing is sent unless the lease of the plant is held at that instant, and the plant shows our
//!   name where it has a tag for that. An unknown write is read back before it is repeated; a refused one is not repeated
//!   blindly.
//! - A lost connection is made anew with pauses of 250 ms to 1 s, for ever. A new connection verifies every node before
//!   it counts as up.
//! - While connected the loop allocates nothing and does not log: it tells the keeper by [`News`].
//! - One function in the tree calls OPC UA Write: the one behind [`FieldBus::write`] of [`OpcUa`].
//!
//! # Nouns
//! A [`FieldBus`] is a connection to a plant with fixed inputs and outputs: [`OpcUa`] for a real server, [`Simulated`]
//! for a closure. An [`IoLoop`] drives one of them, slot by slot; the daemon gives it thread, grid and rings.
//!
//! # Example
//! ```
//! use io_loop::{IoLoop, Rights, Settings, Simulated, news, sets};
//! use rt_core::ports::{Clock, FieldReport};
//! use rt_core::setpoint::ScalarKind;
//! use rt_core::tag::TagId;
//! use rt_core::time::{MonoTime, Span};
//! use shm::lease::Lease;
//! struct At(u64);
//! impl Clock for At {
//!     fn now(&self) -> MonoTime { MonoTime::from_ns(self.0) }
//! }
//! let (reports, mut reported) = shm::spsc::channel(16);
//! let (_sets, newest) = sets();
//! let bus = Simulated::new(1, &[(ScalarKind::Double, 0.0)], |outputs, inputs| inputs[0] = outputs[0] + 1.0);
//! let settings = Settings {
//!     inputs: vec![TagId::new(0).unwrap()],
//!     outputs: vec![(0, Span::from_ms(1000))],
//!     heartbeat_every: None,
//!     alarms: vec![],
//!     claim_term: None,
//!     call_timeout: Span::from_ms(5),
//!     paired: false,
//!     seed: 1,
//! };
//! let rights = Rights::new(Lease::unshared(), &settings);
//! let mut io = IoLoop::new(bus, &settings, reports, newest, news().0, rights);
//! io.run_slot(&At(0));
//! let sample = std::iter::from_fn(|| reported.pop()).find_map(|report| match report {
//!     FieldReport::Sample(sample) => Some(sample.value),
//!     _ => None,
//! });
//! assert_eq!(sample, Some(1.0));
//! ```
#![forbid(unsafe_code)]

mod bus;
mod claim;
mod io_loop;
mod news;
mod opcua;
mod output;
mod reconnect;
mod sets;
mod simulated;

pub use bus::{
    BusError, ConnectFailure, Connected, Feed, FeedState, FieldBus, Loss, Reading, Receipt, RefusedCertificate,
    WriteResult,
};
pub use claim::TOKEN_MAX;
pub use io_loop::{Calls, IoLoop, Rights, Settings, Tally};
pub use news::{News, NewsSender, news};
pub use opcua::{BoundNode, Demand, OpcUa, Pace, Subscribing};
pub use sets::{NewestSet, SetSender, sets};
pub use simulated::{Faults, Simulated};
pub use ua_session::Scale;
