//! Environments over a local socket: other people's for our agents, and ours for other people's.
//!
//! # Contract
//! - One protocol, whichever side has the environment: lines of JSON over a Unix stream socket, a question and its answer in
//!   turns. Numbers are written so that reading them gives the same bits.
//! - Every line has a length at most, every answer a deadline: a peer that is silent, gone, or says what nobody can read is a
//!   [`Broken`] with a sentence. Whoever serves waits for questions as long as the socket is open.
//! - A program that was started is killed when its [`Remote`] is dropped; the socket is its standard input, so it ends with
//!   us, however we die.
//!
//! # Nouns
//! A [`Remote`] is an environment that somebody else has: it begins an episode from a seed, and makes steps. [`serve`] answers
//! for one of ours; [`listen`] and [`serve_all`] do so on a socket's path, for as many peers as come.
//!
//! # The protocol, `corerl.environment/1`
//! ```text
//! > {"do": "describe", "protocol": "corerl.environment/1"}
//! < {"protocol": "corerl.environment/1", "name": "Pendulum-v1", "observations": [VARIABLE, ...], "actions": [VARIABLE, ...]}
//! > {"do": "reset", "seed": 7}
//! < {"observation": [NUMBER, ...]}
//! > {"do": "step", "action": [NUMBER, ...]}
//! < {"observation": [NUMBER, ...], "reward": NUMBER, "terminated": false, "truncated": false}
//! ```
//! A VARIABLE is `{"name": "torque", "unit": "1", "lo": -2.0, "hi": 2.0, "nominal": 0.0}`; `lo` and `hi` are null where there
//! is no bound, and a NUMBER is null where it is missing or not finite. Units are those of the environment. A seed determines
//! its episode; there is no step before the first reset, nor after the end of an episode. What cannot be done is answered with
//! `{"error": "a sentence"}`.
//!
//! ```
//! use std::os::unix::net::UnixStream;
//!
//! let (ours, theirs) = UnixStream::pair()?;
//! let serving = std::thread::spawn(move || bridge::serve(theirs, &plants::Environment::named("saturation").unwrap()));
//! let mut remote = bridge::Remote::over(ours)?;
//! let mut readings = [0.0; 2];
//! remote.reset(7, &mut readings)?;
//! let outcome = remote.step(&[0.125], &mut readings)?;
//! assert_eq!((readings[0], outcome.reward), (0.125, -0.375));
//! drop(remote);
//! serving.join().unwrap()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod channel;
mod protocol;
mod remote;
mod server;

pub use channel::Broken;
pub use protocol::{Outcome, PROTOCOL, Variable};
pub use remote::Remote;
pub use server::{listen, serve, serve_all};
