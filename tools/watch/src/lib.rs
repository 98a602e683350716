//! Running agents, seen from outside: the one place where their shared memory is attached to and followed.
//!
//! # Contract
//! - **Watching changes nothing.** Memory is mapped read-only. The control sockets are asked who is there, how it is, and for
//!   read-only descriptors.
//! - **Whoever is watched may go and come back.** A runtime that ended, was replaced by another process, or came back with other
//!   tags or another layout is found out by the next [`Agent::look`], which attaches anew or says why it cannot. Memory that
//!   was attached stays readable after its runtime has ended.
//! - **Every call is bounded**: by the length of a ring, or by the time that an answer may take. A writer that never pauses
//!   keeps nobody here.
//! - **What is missed is counted.** Records that were overwritten before they were read are told with the next ones. Those of a
//!   runtime that leads no more are there to be [read](Agent::former).
//! - Nothing here is for a real-time thread: it allocates, and asks over a socket.
//!
//! # Nouns
//! [`Agents`] are all that can be found below a runtime directory. An [`Agent`] is an address, whoever leads there. Its
//! [`Memory`] is what one runtime has published, with cursors of our own. A [`segment()`] by itself is for whoever wants more of
//! it. [`Blind`] says why nothing is seen.
//!
//! # Example
//!
//! ```no_run
//! use watch::{Agents, From};
//!
//! let mut agents = Agents::below("/run/corerl".into(), From::Newest);
//! for agent in agents.find() {
//!     match agent.look() {
//!         Ok(memory) => {
//!             let missed = memory.cycles(|cycle| println!("cycle {} rewarded with {}", cycle.head.cycle, cycle.head.reward));
//!             println!("{missed:?}");
//!         }
//!         Err(blind) => eprintln!("{}: {blind}", agent.label()),
//!     }
//! }
//! ```
#![forbid(unsafe_code)]

mod agent;
mod agents;
mod memory;
mod segment;

pub use agent::{Agent, Blind};
pub use agents::Agents;
pub use memory::{From, Memory, Missed};
pub use segment::{alleged_header, attach, segment};

#[cfg(test)]
mod tests;
