//! Reading what is kept in the database, a question at a time.
//!
//! A reader has a connection of its own, in which nothing can be written: as the role `corerl_reader`, where the historian's own
//! role may only insert. Every question is answered out of one snapshot and with so many rows at most as an answer has room for, so
//! that neither the database nor this program ever holds a year of something. The database has times to the microsecond; those of
//! samples are reckoned from their cycles and so the very same as in an archive.

mod lists;
mod times;

use std::cell::RefCell;

use archive::{RunId, Timeline};
use postgres::{Client, IsolationLevel, Row, Transaction};
use recall::{Answer, AskError, Question, Refusal, Source};

use super::migrate::{VERSION, version};
use super::{ConnectError, Target, chain};

/// What is not answered by then is given up, milliseconds: whoever asked has left.
const STATEMENT_MS_MAX: u32 = 50_000;

/// A connection for one caller.
pub(crate) struct Reading {
    client: RefCell<Client>,
}

impl Reading {
    /// Connects as whoever may read.
    pub(crate) fn connect(target: &Target) -> Result<Self, ConnectError> {
        let mut client = target.connect()?;
        match version(&mut client)? {
            VERSION => {}
            other => return Err(ConnectError::Version(other)),
        }
        client.batch_execute(&format!(
            "SET default_transaction_read_only = on;
             SET statement_timeout = {STATEMENT_MS_MAX};
             SELECT set_config('role', rolname, false) FROM pg_roles
             WHERE rolname = 'corerl_reader' AND pg_has_role(oid, 'MEMBER')"
        ))?;
        Ok(Self { client: client.into() })
    }
}

impl Source for Reading {
    fn answer(&self, question: &Question) -> Result<Answer, AskError> {
        let mut client = self.client.borrow_mut();
        let begin = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let mut snapshot = Snapshot(begin.start().map_err(unreadable)?);
        match question {
            Question::Runs { after } => snapshot.runs(*after),
            Question::Tracks { after } => snapshot.tracks(*after),
            Question::Newest { run, after } => snapshot.newest(*run, *after),
            Question::Points { track, from_ns, to_ns } => snapshot.points(track, *from_ns, *to_ns),
            Question::Events { from_ns, to_ns } => snapshot.events(*from_ns, *to_ns),
            Question::Gaps { from_ns, to_ns, after } => snapshot.gaps((*from_ns, *to_ns), *after),
            Question::Buckets { track, from_ns, to_ns, width_ns } => {
                snapshot.buckets(track, (*from_ns, *to_ns), *width_ns)
            }
            Question::Hello { .. } | Question::Status => Err(Refusal::NotUnderstood.into()),
        }
    }
}

/// What does not change while a question is answered.
struct Snapshot<'a>(Transaction<'a>);

impl Snapshot<'_> {
    fn query(&mut self, sql: &str, values: &[&(dyn postgres::types::ToSql + Sync)]) -> Result<Vec<Row>, AskError> {
        self.0.query(sql, values).map_err(unreadable)
    }

    /// How a run's cycles lie in time.
    fn timeline(&mut self, run: RunId) -> Result<Timeline, AskError> {
        let run = number(run.0)?;
        let clocks = "SELECT first_cycle, unix_ns FROM corerl.clock WHERE run = $1 ORDER BY first_cycle";
        let clocks: Vec<_> = self.query(clocks, &[&run])?.iter().map(|row| (count(row, 0), count(row, 1))).collect();
        let period = self.query("SELECT period_ns FROM corerl.run WHERE id = $1", &[&run])?;
        Ok(Timeline::new(&clocks, period.first().map_or(1, |row| count(row, 0))))
    }

    /// The newest cycle of a run that is kept.
    fn last_cycle(&mut self, run: RunId) -> Result<Option<u64>, AskError> {
        let rows = self.query("SELECT last_cycle FROM corerl.run WHERE id = $1", &[&number(run.0)?])?;
        Ok(rows.first().and_then(|row| row.get::<_, Option<i64>>(0)).map(i64::cast_unsigned))
    }
}

/// A column that counts something.
fn count(row: &Row, column: usize) -> u64 {
    row.get::<_, i64>(column).cast_unsigned()
}

/// A number of ours as the database has it; a larger one is not there.
fn number(id: i64) -> Result<i32, AskError> {
    i32::try_from(id).map_err(|_| Refusal::NotUnderstood.into())
}

fn unreadable(error: postgres::Error) -> AskError {
    let refused = error.code() == Some(&postgres::error::SqlState::INSUFFICIENT_PRIVILEGE);
    let advice = if refused { "; let it be corerl_reader, too: GRANT corerl_reader TO corerl_historian" } else { "" };
    Refusal::Unreadable(format!("{}{advice}", chain(&error))).into()
}
