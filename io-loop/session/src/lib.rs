//! A synchronous OPC UA client session: binary encoding over TCP, driven by one thread, without a runtime.
//!
//! # Contract
//! - **Every call has a deadline**, an absolute instant of the [`Clock`] handed to [`Session::connect`]. No call blocks
//!   beyond it; a call that misses it reports whether the server may have seen the request.
//! - **Every size is bounded** by a constant of [`limits`]; bytes from the peer are checked before they are used and can
//!   at worst end the session. No input makes the crate panic.
//! - **[`Session::read`], [`Session::write`], [`Session::exchange`] and [`Session::take_changes`] allocate nothing** once
//!   the first calls have grown the buffers: requests are encoded once and patched, answers are decoded in place. Every
//!   other call may allocate and belongs to set-up.
//! - Requests to write leave the process through one private function, `Session::send_write`; no value that is not finite,
//!   or not exactly representable in the node's data type, is ever encoded.
//! - Time is an argument: the crate never asks the operating system for it. The one thing it takes from there besides
//!   the socket is randomness for nonces and paddings.
//!
//! # Nouns
//! A [`Target`] says where to connect, as whom, and whom to trust. [`Session::connect`] discovers the endpoint, checks
//! the server's certificate, opens the secure channel and activates the session. A [`NodeAddress`] of the configuration is
//! resolved to a [`NodeId`] once per session, by namespace URI. A [`ReadPlan`] or [`WritePlan`] is a request made ready
//! for a fixed set of nodes; it belongs to the session that prepared it. A [`Subscription`] lets the server tell what
//! changes; a session has one at most. A [`KeyWorker`] is the thread that computes the RSA of renewals.
//!
//! # Example
//! ```no_run
//! use std::sync::Arc;
//! use ua_session::{Clock, KeyWorker, ReadValue, Session, Target};
//! # fn run(clock: Arc<dyn Clock>) -> Result<(), Box<dyn std::error::Error>> {
//! const SECOND_NS: u64 = 1_000_000_000;
//! let target = Target::lab("opc.tcp://127.0.0.1:4840", "urn:example:client");
//! let worker = KeyWorker::start()?;
//! let mut session = Session::connect(&target, &worker, clock.clone(), clock.monotonic_ns() + 5 * SECOND_NS)?;
//! let node = session.resolve(&"nsu=http://example.org/plant;s=Reactor.Temperature".parse()?)?;
//! let mut plan = session.prepare_read(&[node])?;
//! let mut values = [ReadValue::MISSING; 1];
//! session.read(&mut plan, &mut values, clock.monotonic_ns() + SECOND_NS)?;
//! println!("{}", values[0].value);
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod address;
mod asymmetric;
#[doc(hidden)]
pub mod bare;
mod browse;
mod channel;
mod chunk;
mod clock;
mod codec;
mod connect;
mod crypto;
mod describe;
mod discovery;
mod error;
mod key_worker;
pub mod limits;
mod link;
mod plan;
mod scale;
mod services;
mod session;
mod status;
mod subscribe;
mod subscription;
mod target;
#[cfg(test)]
mod testing;
mod transport;
mod user;
mod values;

pub use address::{AddressError, NodeAddress, ValueId};
pub use browse::{ChildNode, NodeClass};
pub use clock::Clock;
pub use connect::Remains;
pub use crypto::{ApplicationInstance, CertificateFacts, Examination, Names, RevocationFacts, TrustItem, examine};
pub use describe::{NodeDescription, NodeKind};
pub use discovery::{OfferedEndpoint, discover, greet};
pub use error::{
    ApplicationError, CallError, CertificateError, CertificateFault, ConnectError, ListFault, PrepareError,
    ResolveError, Step, Violation,
};
pub use key_worker::KeyWorker;
pub use opcua_types::NodeId;
pub use plan::{ReadPlan, WritePlan};
pub use scale::{Scale, ScalePlan};
pub use session::{Exchange, Session};
pub use status::StatusName;
pub use subscription::{Notified, Subscription, SubscriptionTally};
pub use target::{HostMismatch, Identity, MessageMode, Revocation, Security, SecurityPolicy, Target, Trust};
pub use values::{NotRepresentable, ReadValue, ScalarKind, ValueKind, WriteValue};
