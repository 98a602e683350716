//! What was kept of agents, asked for wherever it is: in an archive's files, or at a historian, which has it in its own archive
//! or in a database.
//!
//! # Contract
//! - The same questions give the same answers, whoever is asked: a [`Past`] is an archive's [`Reader`](archive::Reader), or
//!   [`Asked`] of a [`Source`].
//! - A historian is asked over a local socket, one packet a [`Question`] and one an [`Answer`], both with a length at most. What is
//!   longer comes in parts, each of which is asked for, so that neither side holds more than one for the other one's sake. Every
//!   wait has an end; a peer that says nonsense is told so, or left.
//! - Nothing can be changed by asking.
//!
//! # Nouns
//! An [`Address`] says where a historian listens. A [`Server`] has it exclusively and answers by a [`Host`]; a [`Client`] calls
//! it. Whatever can answer one question at a time is a [`Source`]: a client, an archive's [`Files`], a database.
//!
//! # Example
//! ```
//! use recall::{Address, AskError, Client};
//! let nowhere = Address::new("/nonexistent".as_ref(), "main").unwrap();
//! assert!(matches!(Client::connect(&nowhere), Err(AskError::Absent(_))));
//! ```
#![forbid(unsafe_code)]

mod address;
mod asked;
mod client;
mod files;
mod message;
mod parts;
mod past;
mod server;

pub use address::{Address, BadName};
pub use asked::Asked;
pub use client::Client;
pub use files::{Files, bucket_window};
pub use message::{AgentStatus, Answer, KeeperStatus, PROTOCOL, Question, Refusal, Status};
pub use parts::{Page, Part, ROWS_MAX, TooLong};
pub use past::{AskError, Missed, Past, Source};
pub use server::{BindError, Host, Server};
