//! Field buses against what every field bus promises, and the OPC UA one against a server that nobody here wrote.
#![forbid(unsafe_code)]

mod authority;
mod opcua;
mod plant;
mod security;
mod server;
mod simulated;
mod steady;
mod subscription;
mod suite;

use rt_sys::guard::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;
