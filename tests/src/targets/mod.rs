//! What the fuzz targets do with their bytes: everything that comes from outside and must be refused or believed, and
//! never worse.
//!
//! A target is a function of bytes that panics when a promise is broken. `tests/fuzz` runs each under libFuzzer and a
//! sanitizer; `tests/tests/fuzz_corpus.rs` replays what was found so far in every test run.
//!
//! # Allegations and forgeries
//! Most formats end in a checksum that chance does not meet. So the first byte says how the rest is meant: as it comes, or as
//! the words of a [forger](forge) who alters a genuine article and seals it again. The genuine article is made by this
//! build, and no corpus goes out of date with a layout.

mod capture;
mod chain;
mod control_message;
mod forge;
mod onnx_model;
mod policy_file;
mod recording;
mod shm_attach;
mod site_file;
mod ua_decode;
mod weights_parse;

use std::thread;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Does its worst with these bytes; panics when a promise is broken.
    pub run: fn(&[u8]) -> Verdict,
}

/// What became of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing of them was believed.
    Refused,
    /// Something came through, and was put to use.
    Believed,
}

impl Verdict {
    fn of(believed: bool) -> Self {
        if believed { Self::Believed } else { Self::Refused }
    }
}

impl Target {
    /// Every target.
    pub const ALL: &[Self] = &[
        Self { name: "shm_attach", run: shm_attach::run },
        Self { name: "weights_parse", run: weights_parse::run },
        Self { name: "policy_file", run: policy_file::run },
        Self { name: "onnx_model", run: onnx_model::run },
        Self { name: "site_file", run: site_file::run },
        Self { name: "recording", run: recording::run },
        Self { name: "capture", run: capture::run },
        Self { name: "ua_decode", run: ua_decode::run },
        Self { name: "control_message", run: control_message::run },
    ];

    /// The target with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|target| target.name == name)
    }
}

/// A control cycle is large, and built on the stack.
const CYCLE_STACK_BYTES: usize = 16 << 20;

/// Does something on a stack with room for a control cycle.
fn with_room<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let acting = thread::Builder::new().stack_size(CYCLE_STACK_BYTES).spawn_scoped(scope, act);
        acting.expect("the system gives threads").join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
