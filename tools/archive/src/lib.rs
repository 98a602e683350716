//! What is kept of agents: samples, setpoints, rewards and events, in days that are hot and days that are sealed.
#![forbid(unsafe_code)]

mod block;
mod codec;
mod exception;
mod gathering;
mod rollup;
mod rows;
mod sealed;
mod store;
mod timeline;

pub use block::{Point, pack, unpack};
pub use codec::Damaged;
pub use exception::{Exceptions, HEARTBEAT_NS, HOLDS_NS, Rule};
pub use gathering::Gathering;
pub use rollup::{Bucket, Ended, Rolling, Width};
pub use rows::{Event, Gap, Missing, Run, RunId, TrackId, TrackKind, TrackName};
pub use sealed::{Class, Day, NoDay};
pub use store::{
    Brought, Checked, Commit, Finding, Kept, Limit, NoLimit, Old, OldTrack, Purged, Reader, Retention, RunInfo, Sealed,
    Snapshot, Store, StoreError, Timed, TrackInfo, Turn, Verified, is_archive, label, snapshot, verify,
};
pub use timeline::{Moment, Stretch, Timeline};
