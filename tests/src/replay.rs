//! Recordings, played to every kernel.

use serde_json::Value;

use crate::Place;

/// Replays the recording of this name with every kernel; what was told about the file.
///
/// # Panics
/// It cannot be replayed.
pub fn replayed(place: &Place, name: &str) -> Value {
    let mut command = place.command("corerl");
    let output = command.args(["replay", "--kernel", "all", "--json", name]).output().expect("corerl starts");
    assert!(output.status.success(), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).expect("an object");
    told["files"][0].clone()
}

/// Asserts that every kernel gave every bit of this file again; the number of its cycles.
///
/// # Panics
/// One did not, or there was nothing to compare.
pub fn assert_equal(file: &Value) -> u64 {
    let cycles = file["cycles"].as_u64().expect("a number of cycles");
    let kernels = file["kernels"].as_array().expect("a list of kernels");
    assert!(cycles > 0 && !kernels.is_empty(), "{file:#}");
    for kernel in kernels {
        assert_eq!((kernel["equal_cycles"].as_u64(), &kernel["difference"]), (Some(cycles), &Value::Null), "{kernel}");
    }
    cycles
}
