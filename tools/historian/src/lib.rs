//! The historian: keeps what running agents publish, in an archive or in PostgreSQL.
//!
//! A [`Keeping`] looks at all agents and brings what they publish to a [`Keeper`]. There are two: the archive's own
//! [`Store`](archive::Store), and [`Postgres`], which puts every commit into a log on the disk first and from there into a
//! database that may be away.
#![forbid(unsafe_code)]

mod account;
mod days;
mod intake;
mod keeper;
mod keeping;
mod postgres;
mod rules;
mod spill;

pub use days::look_after_days;
pub use keeper::{KeepError, Keeper};
pub use keeping::Keeping;
pub use postgres::{ConnectError, MigrateError, Postgres, ROLES, Status, Target, TargetError, migrate};
pub use rules::{NoRule, Rules, RulesError, TagRule};
pub use spill::{BUDGET_MIN, SpillError};
