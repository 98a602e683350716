//! `corerl-rt`. Everything is in the library of this package; here is what only a program has: the allocator.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: rt_sys::guard::CountingAllocator = rt_sys::guard::CountingAllocator;

fn main() -> ExitCode {
    rt_daemon::run()
}
