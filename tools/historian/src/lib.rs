//! The historian: keeps what running agents publish, in an archive or in PostgreSQL.
//!
//! A [`Keeping`] looks at all agents and brings what they publish to a [`Keeper`]. There are two: the archive's own
//! [`Store`](archive::Store), and [`Postgres`], which puts every commit into a log on the disk first and from there into a
//! database that may be away.
//!
//! What was kept is asked for at a [`Desk`], and how the historian is stands on its [`Board`]; both are behind a local socket
//! ([`recall`]).
#![forbid(unsafe_code)]

mod account;
mod board;
mod days;
mod desk;
mod intake;
mod keeper;
mod keeping;
mod postgres;
mod rules;
mod sites;
mod spill;
mod tally;

pub use board::Board;
pub use days::look_after_days;
pub use desk::{Desk, Kept};
pub use keeper::{KeepError, Keeper};
pub use keeping::Keeping;
pub use postgres::{
    ConnectError, KeptFor, MigrateError, Postgres, ROLES, RetentionError, Status, Target, TargetError, migrate,
};
pub use rules::{NoRule, Rules, RulesError, TagRule};
pub use sites::{Sites, SitesError};
pub use spill::{BUDGET_MIN, SpillError};
