//! The rig of the system tests: real programs, real processes, real signals.
//!
//! # Contract
//! Every program runs in a directory of its own below a temporary one and dies with the rig, whatever the test does. Waiting is
//! always bounded and always for a fact, never for a time. Nothing here asserts how long something took.
#![forbid(unsafe_code)]

mod plant;
mod process;
mod programs;
mod runtime;
mod site;

pub use plant::Plant;
pub use process::{Process, is_alive};
pub use programs::program;
pub use runtime::Runtime;
pub use site::SiteFile;

use std::time::{Duration, Instant};

/// Ten times what any of the waits needs on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `fact` is there, and panics with `what` when it does not come.
///
/// # Panics
/// The fact does not come within [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut fact: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = fact() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
