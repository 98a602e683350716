//! What is kept of agents: samples, setpoints, rewards and events, in days that are hot and days that are sealed.
#![forbid(unsafe_code)]

mod block;
mod exception;
mod rows;
mod store;

pub use block::{Damaged, Point, pack, unpack};
pub use exception::{Exceptions, HEARTBEAT_NS, HOLDS_NS, Rule};
pub use rows::{Event, Gap, Missing, Run, RunId, TrackId, TrackKind, TrackName};
pub use store::{Commit, GapInfo, Kept, Reader, RunInfo, Store, StoreError, Timed, TrackInfo, label};
