//! What the project's OPC UA servers have in common, on async-opcua's server: who they are, whom they let in, and the process
//! around them.
//!
//! # Contract
//! - A server's certificate is made once and kept; its key is readable for its owner alone.
//! - One endpoint: in clear, or Basic256Sha256 signed and encrypted; one user, or nobody has to have a name.
//! - SIGTERM, SIGINT and, when tethered, the end of standard input end the process in order within half a second.
//!
//! # Nouns
//! An [`Application`] is what a server calls itself. [`Access`] says whom it lets in. [`Failure`] is why a program ends.
#![forbid(unsafe_code)]

mod access;
mod analog;
mod identity;
mod process;

pub use access::{Access, Application, HostArguments, Security, listen};
pub use analog::{insert_property, insert_range, insert_unit, range, range_of};
pub use identity::{Identity, IdentityError};
pub use process::{Failure, asked_to_end, print, run, serve_until, start_log};
