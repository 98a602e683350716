//! The rig of the system tests: real programs, real processes, real signals.
//!
//! # Contract
//! Every program runs in a directory of its own below a temporary one and dies with the rig, whatever the test does. Waiting is
//! always bounded and always for a fact, never for a time. Nothing here asserts how long something took, and nothing needs
//! real-time privileges: where they are missing, programs run degraded and the same facts hold.
//!
//! # Nouns
//! A [`Place`] is that directory; it starts a [`Plant`], a [`Runtime`] and learners, each a [`Process`], and knows what they
//! left behind. A [`SiteFile`] is what they are configured with. A [`Proxy`] is the cable between runtime and plant. A [`Forger`]
//! is a learner without conscience. [`Cycles`] and [`Events`] are what a runtime records. A [`simulation`] is the control path without processes, threads and time. The
//! [`targets`] are what is fuzzed.
#![forbid(unsafe_code)]

mod place;
mod plant;
mod process;
mod programs;
mod records;
mod replay;
mod runtime;
pub mod simulation;
mod site;
pub mod soak;
pub mod targets;

pub use hil::{Forger, Proxy};
pub use place::Place;
pub use plant::Plant;
pub use process::{Process, is_alive, signal_to};
pub use programs::{program, workspace};
pub use records::{CycleRecord, Cycles, Events, assert_on_grid};
pub use replay::{assert_equal, replayed};
pub use runtime::{Runtime, assert_accounted, wait_for_count, wait_for_more};
pub use site::SiteFile;

use std::io::Write as _;
use std::time::{Duration, Instant};

/// Ten times what any of the waits needs on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Ten times what a program that is asked to end promises to need.
pub const END_PATIENCE: Duration = Duration::from_secs(10);

/// Waits until `fact` is there, and panics with `what` when it does not come.
///
/// # Panics
/// The fact does not come within [`PATIENCE`].
pub fn wait_for<T>(what: &str, fact: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, what, fact)
}

/// Says on standard error, past what the test harness captures of a test that passes, what cannot be judged here.
pub fn not_judged(why: &str) {
    let test = std::thread::current();
    // Without a standard error there is nobody to be told.
    let _ = writeln!(std::io::stderr(), "{}: not judged: {why}", test.name().unwrap_or("a test"));
}

fn wait_within<T>(patience: Duration, what: &str, mut fact: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = fact() {
            return value;
        }
        assert!(start.elapsed() < patience, "waited {patience:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
