//! A connection, and how what comes out of the log gets through it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use archive::{Event, Gap, Missing, Run, RunId, TrackId};
use postgres::{Client, Transaction};

use super::migrate::{VERSION, version};
use super::retention::purge;
use super::rows::{DAY_NS, Samples};
use super::{Target, TargetError};
use crate::account::{Account, New};
use crate::spill::{Book, ClockAt, Piece, Position, Track, unix_ns};

/// Why a gap is there.
const AWAY: &str = "the database was away longer than the spill log is long";
const DAMAGED: &str = "the spill log was damaged";

/// Why a database takes nothing.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It was not even asked.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The database says so, or nobody is there.
    #[error("{}", super::chain(.0))]
    Database(#[from] postgres::Error),
    /// It ended while samples were on their way.
    #[error("samples cannot be copied: {0}")]
    Copy(#[from] std::io::Error),
    /// Its schema is another one.
    #[error(
        "its schema has version {0}, and this program needs {VERSION}: run corerl-historian --migrate as its owner"
    )]
    Version(i32),
    /// Somebody else's commits are in it.
    #[error("another historian writes the same runs")]
    Overtaken,
    /// The log says what it never said.
    #[error("the spill log names a run of which it knows nothing")]
    UnknownRun,
}

/// What was brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Brought {
    pub(super) samples: u64,
    pub(super) lost_cycles: u64,
    pub(super) lost_events: u64,
    pub(super) positions: BTreeMap<RunId, Position>,
}

/// What the log said of runs; it outlives connections.
#[derive(Debug, Default)]
pub(super) struct Source {
    book: Book,
    /// Something could not be read since the last commit that could.
    is_damaged: bool,
}

/// A connection that is open. After an error it is of no use any more.
pub(super) struct Database {
    client: Client,
    runs: BTreeMap<RunId, Row>,
    /// That have their partitions, by their numbers since 1970.
    days: BTreeSet<u64>,
}

/// A run as the database has it.
#[derive(Clone, Debug)]
struct Row {
    id: i32,
    tracks: BTreeMap<TrackId, i32>,
    /// As the database has it.
    stored: Position,
    /// As it will have it.
    account: Account,
}

impl Database {
    pub(super) fn connect(target: &Target) -> Result<Self, ConnectError> {
        let mut client = target.connect()?;
        match version(&mut client)? {
            VERSION => {}
            other => return Err(ConnectError::Version(other)),
        }
        // A segment is removed when the database has said that it has it: that must be so after a loss of power, too.
        client.batch_execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
        )?;
        Ok(Self { client, runs: BTreeMap::new(), days: BTreeSet::new() })
    }

    /// Sees to it that today and tomorrow have their partitions, before anybody waits for them.
    pub(super) fn prepare_days(&mut self, now: SystemTime) -> Result<(), ConnectError> {
        let today = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() / 86_400;
        for day in [today, today + 1] {
            if !self.days.contains(&day) {
                let mut transaction = self.client.transaction()?;
                prepare_day(&mut transaction, day)?;
                transaction.commit()?;
                self.days.insert(day);
            }
        }
        Ok(())
    }

    /// Has the database give up what its owner does not keep any longer; what, and how much of it.
    pub(super) fn purge(&mut self) -> Result<Vec<(String, i64)>, ConnectError> {
        Ok(purge(&mut self.client)?)
    }

    /// Brings pieces of the log into the database: all of them, or, with an error, none.
    pub(super) fn apply(&mut self, source: &mut Source, pieces: &[Piece]) -> Result<Brought, ConnectError> {
        let was_damaged = source.is_damaged;
        // The pieces come once more, and the first of them is as it was.
        self.bring(source, pieces).inspect_err(|_| source.is_damaged = was_damaged)
    }

    fn bring(&mut self, source: &mut Source, pieces: &[Piece]) -> Result<Brought, ConnectError> {
        let mut transaction = self.client.transaction()?;
        let mut batch = Batch { runs: std::mem::take(&mut self.runs), ..Batch::default() };
        for piece in pieces {
            batch.add(&mut transaction, source, piece)?;
        }
        let days: Vec<u64> = batch.days.difference(&self.days).copied().collect();
        days.iter().try_for_each(|day| prepare_day(&mut transaction, *day))?;
        let (runs, brought) = batch.finish(&mut transaction)?;
        transaction.commit()?;
        self.days.extend(days);
        self.runs = runs;
        Ok(brought)
    }
}

/// What a transaction brings.
#[derive(Default)]
struct Batch {
    runs: BTreeMap<RunId, Row>,
    touched: BTreeSet<RunId>,
    samples: Samples,
    days: BTreeSet<u64>,
    brought: Brought,
}

impl Batch {
    fn add(
        &mut self,
        transaction: &mut Transaction<'_>,
        source: &mut Source,
        piece: &Piece,
    ) -> Result<(), ConnectError> {
        let why = if source.is_damaged { DAMAGED } else { AWAY };
        match piece {
            Piece::Damaged(_) => source.is_damaged = true,
            Piece::Head(book) => {
                source.book = book.clone();
                self.runs.retain(|run, _| book.runs.contains_key(run));
                for known in source.book.runs.values().filter(|known| known.position != Position::default()) {
                    let row = self.row(transaction, &source.book, known.id)?;
                    let gaps = row.account.reach(known.position, why);
                    let id = row.id;
                    self.gaps(transaction, id, &gaps)?;
                }
            }
            Piece::Commit(spilled) => {
                let run = spilled.run;
                let Some(known) = source.book.runs.get(&run).filter(|known| known.knows_tracks_of(&spilled.commit))
                else {
                    // Its segment's head was damaged: a later one will show what is missing.
                    source.is_damaged = true;
                    return Ok(());
                };
                let period_ns = known.run.period_ns;
                let row = self.row(transaction, &source.book, run)?;
                let new = row.account.take(spilled, why);
                let (id, clock) = (row.id, row.account.clock);
                source.is_damaged = false;
                if let Some(new) = new {
                    self.put(transaction, (run, id), &new, clock.map(|clock| (clock, period_ns)))?;
                }
            }
        }
        Ok(())
    }

    /// The run's row; the database knows it and its tracks from now on.
    fn row(&mut self, transaction: &mut Transaction<'_>, book: &Book, run: RunId) -> Result<&mut Row, ConnectError> {
        let known = book.runs.get(&run).ok_or(ConnectError::UnknownRun)?;
        self.touched.insert(run);
        let knows_all =
            self.runs.get(&run).is_some_and(|row| known.tracks.iter().all(|track| row.tracks.contains_key(&track.id)));
        if !knows_all {
            let mut row = match self.runs.remove(&run) {
                Some(row) => row,
                None => Row::of(transaction, &known.run)?,
            };
            row.know(transaction, &known.tracks)?;
            self.runs.insert(run, row);
        }
        self.runs.get_mut(&run).ok_or(ConnectError::UnknownRun)
    }

    fn put(
        &mut self,
        transaction: &mut Transaction<'_>,
        (run, id): (RunId, i32),
        new: &New<'_>,
        clock: Option<(ClockAt, u64)>,
    ) -> Result<(), ConnectError> {
        self.gaps(transaction, id, &new.gaps)?;
        if let Some((first_cycle, unix_ns)) = new.clock {
            let sql = "INSERT INTO corerl.clock (run, first_cycle, unix_ns) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            transaction.execute(sql, &[&id, &first_cycle.cast_signed(), &unix_ns.cast_signed()])?;
        }
        // No commit has points before the run has a clock, nor of a track that the log did not name.
        if let (Some((clock, period_ns)), Some(row)) = (clock, self.runs.get(&run)) {
            for (track, point) in new.points() {
                let Some(track) = row.tracks.get(track) else { continue };
                let time = unix_ns(clock, period_ns, point.cycle);
                self.days.insert(time / DAY_NS);
                self.samples.push((id, *track), time, point);
            }
        }
        Ok(new.events().try_for_each(|event| put_event(transaction, id, event))?)
    }

    fn gaps(&mut self, transaction: &mut Transaction<'_>, id: i32, gaps: &[Gap]) -> Result<(), postgres::Error> {
        for gap in gaps {
            if [AWAY, DAMAGED].contains(&gap.why.as_str()) {
                match gap.what {
                    Missing::Cycles => self.brought.lost_cycles += gap.count,
                    Missing::Events => self.brought.lost_events += gap.count,
                }
            }
            put_gap(transaction, id, gap)?;
        }
        Ok(())
    }

    /// Copies the samples, and says in the database how far runs are.
    fn finish(mut self, transaction: &mut Transaction<'_>) -> Result<(BTreeMap<RunId, Row>, Brought), ConnectError> {
        self.brought.samples = self.samples.count();
        if self.brought.samples > 0 {
            let mut copy = transaction.copy_in(Samples::INTO)?;
            copy.write_all(&self.samples.finish())?;
            copy.finish()?;
        }
        for run in &self.touched {
            let Some(row) = self.runs.get_mut(run) else { continue };
            row.say_how_far(transaction)?;
            self.brought.positions.insert(*run, row.stored);
        }
        Ok((self.runs, self.brought))
    }
}

impl Row {
    /// Of a run that the database knows from now on.
    fn of(transaction: &mut Transaction<'_>, run: &Run) -> Result<Self, postgres::Error> {
        let number = format!("{:016x}", run.number);
        let [site, agent, instance] = [&run.site, &run.agent, &run.instance].map(|name| storable(name));
        let sql = "INSERT INTO corerl.run (site, agent, instance, number, period_ns) VALUES ($1, $2, $3, $4, $5)
                   ON CONFLICT DO NOTHING";
        transaction.execute(sql, &[&site, &agent, &instance, &number, &run.period_ns.cast_signed()])?;
        let sql = "SELECT id, next_cycle_record, next_event, last_cycle FROM corerl.run
                   WHERE (site, agent, instance, number) = ($1, $2, $3, $4)";
        let row = transaction.query_one(sql, &[&site, &agent, &instance, &number])?;
        let count = |at: usize| row.get::<_, i64>(at).cast_unsigned();
        let stored = Position { cycle_record: count(1), event: count(2) };
        let last_cycle = row.get::<_, Option<i64>>(3).map(i64::cast_unsigned);
        let account = Account { position: stored, last_cycle, clock: None };
        Ok(Self { id: row.get(0), tracks: BTreeMap::new(), stored, account })
    }

    /// Makes these tracks known.
    fn know(&mut self, transaction: &mut Transaction<'_>, tracks: &[Track]) -> Result<(), postgres::Error> {
        let column = |of: fn(&Track) -> &str| tracks.iter().map(|track| storable(of(track))).collect::<Vec<_>>();
        let kinds = column(|track| track.name.kind.name());
        let (names, units) = (column(|track| &track.name.name), column(|track| &track.name.unit));
        let sql = "INSERT INTO corerl.track (run, kind, name, unit)
                   SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[]) ON CONFLICT DO NOTHING";
        transaction.execute(sql, &[&self.id, &kinds, &names, &units])?;
        let rows = transaction.query("SELECT kind, name, id FROM corerl.track WHERE run = $1", &[&self.id])?;
        let ids: BTreeMap<(String, String), i32> =
            rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect();
        for ((track, kind), name) in tracks.iter().zip(kinds).zip(names) {
            if let Some(id) = ids.get(&(kind, name)) {
                self.tracks.insert(track.id, *id);
            }
        }
        Ok(())
    }

    /// Unless somebody else was faster.
    fn say_how_far(&mut self, transaction: &mut Transaction<'_>) -> Result<(), ConnectError> {
        let Account { position, last_cycle, .. } = self.account;
        if position == self.stored {
            return Ok(());
        }
        let sql = "UPDATE corerl.run SET next_cycle_record = $2, next_event = $3, last_cycle = $4
                   WHERE id = $1 AND (next_cycle_record, next_event) = ($5, $6)";
        let [next, event] = [position.cycle_record, position.event].map(u64::cast_signed);
        let [was_next, was_event] = [self.stored.cycle_record, self.stored.event].map(u64::cast_signed);
        let last_cycle = last_cycle.map(u64::cast_signed);
        let changed = transaction.execute(sql, &[&self.id, &next, &event, &last_cycle, &was_next, &was_event])?;
        self.stored = position;
        if changed == 1 { Ok(()) } else { Err(ConnectError::Overtaken) }
    }
}

fn put_event(transaction: &mut Transaction<'_>, run: i32, event: &Event) -> Result<(), postgres::Error> {
    let Event { number, cycle, unix_ns, kind, cause, uid, a, b, text } = event;
    let [number, cycle, a, b] = [number, cycle, a, b].map(|count| count.cast_signed());
    let (cause, uid) = (i64::from(*cause), uid.map(i64::from));
    let time = UNIX_EPOCH + Duration::from_nanos(*unix_ns);
    let (kind, text) = (storable(kind), storable(text));
    let sql = "INSERT INTO corerl.event (time, run, number, cycle, kind, cause, uid, a, b, text)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    transaction.execute(sql, &[&time, &run, &number, &cycle, &kind, &cause, &uid, &a, &b, &text]).map(drop)
}

fn put_gap(transaction: &mut Transaction<'_>, run: i32, gap: &Gap) -> Result<(), postgres::Error> {
    let Gap { what, first, count, after_cycle, before_cycle, why } = gap;
    let [first, count] = [first, count].map(|count| count.cast_signed());
    let [after, before] = [after_cycle, before_cycle].map(|cycle| cycle.map(u64::cast_signed));
    let sql = "INSERT INTO corerl.gap (run, what, first, count, after_cycle, before_cycle, why)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    transaction.execute(sql, &[&run, &what.name(), &first, &count, &after, &before, &storable(why)]).map(drop)
}

fn prepare_day(transaction: &mut Transaction<'_>, day: u64) -> Result<(), postgres::Error> {
    let day = i32::try_from(day).unwrap_or(i32::MAX);
    transaction.execute("SELECT corerl.day(date '1970-01-01' + $1::integer)", &[&day]).map(drop)
}

/// PostgreSQL's texts hold every letter but one.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
