//! The control socket: how the learner, the tools and the operator talk with a running `corerl-rt`.
//!
//! # Contract
//! One sequenced-packet Unix socket per agent, one request and one answer per packet ([`Request`], [`Answer`]), encoded
//! with postcard and at most [`PACKET_BYTES_MAX`] long. Shared memory is handed out here and nowhere else: an answer may
//! carry descriptors of sealed memory, and holding a descriptor is the permission. The peer's user id comes from the
//! kernel, never from the packet. Every call has a deadline; a peer that sends nonsense is answered with a refusal or
//! dropped, never trusted. Nothing here may be called by the control thread or an io thread.
//!
//! # Nouns
//! An [`Address`] names an agent (site, agent, instance) below a runtime directory. A [`Server`] has it exclusively, by the
//! lock of a file that the kernel lets go of when its process dies, and accepts [`Conversation`]s; a [`Client`] calls it.
//! Two runtimes of an agent may live: one leads and has the agent's address, the other one stands by at the
//! [standby's](Address::standby). Nobody comes to lead but from there, so that there is one heir at most.
//!
//! # Example
//! ```
//! use rt_control::{Address, Answer, Client, Received, Request, Server};
//! use std::time::Duration;
//! let dir = tempfile::tempdir().unwrap();
//! let address = Address::new(dir.path(), "site", "agent", "main").unwrap();
//! let server = Server::bind(&address).unwrap();
//! let asking = std::thread::spawn({
//!     let address = address.clone();
//!     move || Client::connect(&address, Duration::from_secs(1))?.act(rt_control::Act::Arm, "example")
//! });
//! let mut conversation = server.accept(Duration::from_secs(1)).unwrap().unwrap();
//! assert!(matches!(conversation.receive(Duration::from_secs(1)), Received::Request(Request::Act { .. })));
//! conversation.answer(&Answer::Done { message: "armed".into() }, &[]).unwrap();
//! assert_eq!(asking.join().unwrap().unwrap(), "armed");
//! ```
#![forbid(unsafe_code)]

mod address;
mod client;
mod message;
pub mod packet;
mod server;
pub mod socket;

pub use address::{Address, AddressError, STANDBY, default_runtime_dir, label, list};
pub use client::{CallError, Client, ConnectError};
pub use message::{
    Act, Answer, AuditStatus, CONFIGURATION_BYTES_MAX, ConnectionStatus, Description, FlightStatus, LatchedSince,
    LearnerGrant, LearnerHealth, LearnerStatus, LeaseStatus, PROTOCOL, PolicyProbation, PolicyProgress, Refusal,
    Request, SetpointInfo, SiteFile, Status, TagInfo, Wishes,
};
pub use packet::PACKET_BYTES_MAX;
pub use server::{BindError, Conversation, Received, Server, remove_leftovers};
pub use socket::Peer;
