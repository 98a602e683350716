//! Reading what is kept in the database, a question at a time.
//!
//! A reader has a connection of its own, in which nothing can be written: as the role `corerl_reader`, where the historian's own
//! role may only insert. Every question is answered out of one snapshot and with so many rows at most as an answer has room for, so
//! that neither the database nor this program ever holds a year of something. The database has times to the microsecond; those of
//! samples are reckoned from their cycles and so the very same as in an archive.

mod buckets;
mod lists;
mod times;

use std::cell::RefCell;
use std::ops::RangeInclusive;

use archive::{Point, RunId, Stretch, Timeline, TrackId};
use postgres::{Client, IsolationLevel, Row, Transaction};
use recall::{Answer, AskError, Question, ROWS_MAX, Refusal, Source};

use super::migrate::{VERSION, version};
use super::{ConnectError, Target, chain};
use lists::point;
pub(super) use times::instant;

/// Rows that are asked for: one more than an answer has room for.
const LIMIT: i64 = ROWS_MAX as i64 + 1;
/// What is not answered by then is given up, milliseconds: whoever asked has left.
const STATEMENT_MS_MAX: u32 = 50_000;

/// Puts on the role of whoever may read, where there is one: for a transaction, or for good.
const AS_READER: &str = "SELECT set_config('role', rolname, $1) FROM pg_roles
                         WHERE rolname = 'corerl_reader' AND pg_has_role(oid, 'MEMBER')";

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
            "SET default_transaction_read_only = on; SET statement_timeout = {STATEMENT_MS_MAX}"
        ))?;
        client.query(AS_READER, &[&false])?;
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
pub(super) struct Snapshot<'a>(Transaction<'a>);

impl<'a> Snapshot<'a> {
    /// For whoever reads first and then writes.
    pub(super) fn of(client: &'a mut Client) -> Result<Self, postgres::Error> {
        let mut transaction = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start()?;
        transaction.query(AS_READER, &[&true])?;
        Ok(Self(transaction))
    }

    /// The same transaction, by the role that it began with.
    pub(super) fn into_writing(mut self) -> Result<Transaction<'a>, postgres::Error> {
        self.0.batch_execute("SET LOCAL ROLE NONE")?;
        Ok(self.0)
    }

    pub(super) fn query(
        &mut self,
        sql: &str,
        values: &[&(dyn postgres::types::ToSql + Sync)],
    ) -> Result<Vec<Row>, AskError> {
        self.0.query(sql, values).map_err(unreadable)
    }

    /// How a run's cycles lie in time.
    pub(super) fn timeline(&mut self, run: RunId) -> Result<Timeline, AskError> {
        let run = number(run.0)?;
        let clocks = "SELECT first_cycle, unix_ns FROM corerl.clock WHERE run = $1 ORDER BY first_cycle";
        let clocks: Vec<_> = self.query(clocks, &[&run])?.iter().map(|row| (count(row, 0), count(row, 1))).collect();
        let period = self.query("SELECT period_ns FROM corerl.run WHERE id = $1", &[&run])?;
        Ok(Timeline::new(&clocks, period.first().map_or(1, |row| count(row, 0))))
    }

    /// The points that a track has of these cycles of a stretch; where it [`is_full`], more may follow.
    pub(super) fn page(
        &mut self,
        track: TrackId,
        stretch: &Stretch,
        cycles: RangeInclusive<u64>,
    ) -> Result<Vec<Point>, AskError> {
        let sql = "SELECT cycle, value, state, age_us, source_time FROM corerl.sample
                   WHERE track = $1 AND time >= $2 AND time <= $3 AND cycle BETWEEN $4 AND $5 ORDER BY time LIMIT $6";
        let [from, to] = [cycles.start(), cycles.end()].map(|cycle| instant(stretch.unix_ns(*cycle)));
        let [first, last] = [cycles.start(), cycles.end()].map(|cycle| cycle.cast_signed());
        let rows = self.query(sql, &[&number(track.0)?, &from, &to, &first, &last, &LIMIT])?;
        Ok(rows.iter().map(|row| point(row, 0)).collect())
    }

    /// From which of these cycles of a run on nothing is known, because others are missing.
    pub(super) fn losses(&mut self, run: RunId, cycles: RangeInclusive<u64>) -> Result<Vec<u64>, AskError> {
        let sql = "SELECT after_cycle + 1 FROM corerl.gap
                   WHERE run = $1 AND what = 'cycles' AND after_cycle + 1 BETWEEN $2 AND $3 ORDER BY after_cycle";
        let [first, last] = [cycles.start(), cycles.end()].map(|cycle| cycle.cast_signed());
        Ok(self.query(sql, &[&number(run.0)?, &first, &last])?.iter().map(|row| count(row, 0)).collect())
    }

    /// The newest cycle of a run that is kept.
    fn last_cycle(&mut self, run: RunId) -> Result<Option<u64>, AskError> {
        let rows = self.query("SELECT last_cycle FROM corerl.run WHERE id = $1", &[&number(run.0)?])?;
        Ok(rows.first().and_then(|row| row.get::<_, Option<i64>>(0)).map(i64::cast_unsigned))
    }
}

/// Whether more may follow on a page.
pub(super) fn is_full(page: &[Point]) -> bool {
    page.len() > ROWS_MAX
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
