//! The fuzzer: one program for all of [`tests::targets`]; the environment says which one.
#![no_main]

use std::sync::LazyLock;

use tests::targets::Target;

/// The name of the target.
const NAME: &str = "CORERL_FUZZ_TARGET";

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var(NAME).unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| panic!("{NAME} is `{name}`, which is no target"))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Refused or believed: both are well.
    let _ = (TARGET.run)(bytes);
});
