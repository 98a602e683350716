//! What is old, or too much, makes place: whole sealed files, and minutes and hours some hundred rows at a time, so that nobody
//! who writes waits for long. That it was there is a row.

use std::fs;
use std::io::ErrorKind;
use std::str::FromStr;
use std::time::Duration;

use rusqlite::{Connection, Transaction, params};

use super::StoreError;
use super::read::Reader;
use super::write::{Store, begin, count, instant, whole};
use crate::rollup::Width;
use crate::sealed::Class;

/// Rows of minutes or hours that are deleted in one transaction.
const ROWS_AT_ONCE: i64 = 256;

/// How long something is kept, and how much of it; without a limit for as long as there is room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// What is older goes.
    pub age: Option<Duration>,
    /// When there are more bytes, the oldest go.
    pub bytes: Option<u64>,
}

/// How long what is kept. What is still hot is never purged, nor are the minutes and hours that still grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Points of sealed days, and gaps, which say what is missing among them.
    pub samples: Limit,
    /// Events of sealed days.
    pub events: Limit,
    /// Minutes.
    pub minutes: Limit,
    /// Hours.
    pub hours: Limit,
}

/// What was purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purged {
    /// samples, events, gaps, minutes or hours.
    pub what: String,
    /// Of which site; of all of them if there is none.
    pub site: Option<String>,
    /// From this instant on, nanoseconds since 1970.
    pub first_ns: u64,
    /// To this one.
    pub last_ns: u64,
    /// How many rows.
    pub rows: u64,
    /// How many bytes.
    pub bytes: u64,
    /// When.
    pub unix_ns: u64,
}

/// A limit is written as an age, a size, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a limit is written as an age and a size, or one of them, like `90d`, `50GB` or `90d,50GB`")]
pub struct NoLimit;

impl FromStr for Limit {
    type Err = NoLimit;

    fn from_str(text: &str) -> Result<Self, NoLimit> {
        const DAY_S: u64 = 86_400;
        const UNITS: [(&str, u64); 3] = [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000)];
        let mut limit = Self::default();
        for part in text.split(',') {
            let number = |digits: &str, each: u64| digits.parse::<u64>().ok()?.checked_mul(each);
            let size = UNITS.iter().find_map(|(unit, each)| number(part.strip_suffix(unit)?, *each));
            let age = part.strip_suffix('d').and_then(|days| number(days, DAY_S)).map(Duration::from_secs);
            let is_new = limit.bytes.is_none() && size.is_some() || limit.age.is_none() && age.is_some();
            if !is_new {
                return Err(NoLimit);
            }
            (limit.age, limit.bytes) = (limit.age.or(age), limit.bytes.or(size));
        }
        Ok(limit)
    }
}

impl Limit {
    /// Whether what ended then is to go, while there are so many bytes.
    fn is_over(&self, last_ns: u64, now_ns: u64, bytes: u64) -> bool {
        let is_old = |age: Duration| u128::from(now_ns.saturating_sub(last_ns)) > age.as_nanos();
        self.age.is_some_and(is_old) || self.bytes.is_some_and(|most| bytes > most)
    }
}

impl Store {
    /// Purges what is over by now, nanoseconds since 1970; what that was.
    ///
    /// # Errors
    /// [`StoreError`]; what was purged until then is known.
    pub fn purge(&mut self, retention: &Retention, now_ns: u64) -> Result<Vec<Purged>, StoreError> {
        self.delete_files()?;
        let Retention { samples, events, minutes, hours } = retention;
        let mut purged = self.purge_files(&[Class::Samples, Class::Gaps], samples, now_ns)?;
        purged.extend(self.purge_files(&[Class::Events], events, now_ns)?);
        purged.extend(self.purge_buckets(Width::Minute, minutes, now_ns)?);
        purged.extend(self.purge_buckets(Width::Hour, hours, now_ns)?);
        Ok(purged)
    }

    fn purge_files(&mut self, classes: &[Class], limit: &Limit, now_ns: u64) -> Result<Vec<Purged>, StoreError> {
        let files = sealed_files(&self.connection, classes, now_ns)?;
        let mut bytes: u64 = files.iter().map(|(_, _, file)| file.bytes).sum();
        let mut gone = Vec::new();
        for (id, path, file) in files {
            if !limit.is_over(file.last_ns, now_ns, bytes) {
                continue;
            }
            let transaction = begin(&mut self.connection)?;
            for sql in [
                "DELETE FROM share WHERE sealed = ?",
                "DELETE FROM piece WHERE sealed = ?",
                "DELETE FROM sealed WHERE id = ?",
            ] {
                transaction.execute(sql, [id])?;
            }
            file.note(&transaction, Some(&path))?;
            transaction.commit()?;
            bytes -= file.bytes;
            gone.push(file);
        }
        self.delete_files()?;
        Ok(gone)
    }

    /// Deletes files that are purged; one that a crash has left, too.
    fn delete_files(&mut self) -> Result<(), StoreError> {
        let mut rows = self.connection.prepare("SELECT id, path FROM purged WHERE path IS NOT NULL")?;
        let rows =
            rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Vec<(i64, String)>, _>>()?;
        for (id, path) in rows {
            match fs::remove_file(self.directory.join(path)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            self.connection.execute("UPDATE purged SET path = NULL WHERE id = ?", [id])?;
        }
        Ok(())
    }

    fn purge_buckets(&mut self, width: Width, limit: &Limit, now_ns: u64) -> Result<Vec<Purged>, StoreError> {
        let spans = spans(&self.connection, width, now_ns)?;
        let mut bytes: u64 = spans.iter().map(|(_, span)| span.bytes).sum();
        let mut gone = Vec::new();
        for (number, span) in spans {
            if span.last_ns >= now_ns || !limit.is_over(span.last_ns, now_ns, bytes) {
                continue;
            }
            bytes -= span.bytes;
            let transaction = begin(&mut self.connection)?;
            span.note(&transaction, None)?;
            transaction.commit()?;
            let sql = "DELETE FROM rollup WHERE id IN (SELECT id FROM rollup WHERE width_s = ? AND span = ? LIMIT ?)";
            let rows = params![whole(width.seconds()), number, ROWS_AT_ONCE];
            while self.connection.prepare_cached(sql)?.execute(rows)? > 0 {}
            gone.push(span);
        }
        Ok(gone)
    }
}

impl Purged {
    fn note(&self, transaction: &Transaction<'_>, path: Option<&str>) -> Result<(), StoreError> {
        let Self { what, site, first_ns, last_ns, rows, bytes, unix_ns } = self;
        let sql = "INSERT INTO purged (what, site, first_ns, last_ns, rows, size, unix_ns, path) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
        let [first_ns, last_ns, rows, bytes, unix_ns] = [first_ns, last_ns, rows, bytes, unix_ns].map(|n| whole(*n));
        transaction.execute(sql, params![what, site, first_ns, last_ns, rows, bytes, unix_ns, path])?;
        Ok(())
    }
}

/// The sealed files of these classes, the oldest first, as they will have been purged.
fn sealed_files(
    connection: &Connection,
    classes: &[Class],
    now_ns: u64,
) -> Result<Vec<(i64, String, Purged)>, StoreError> {
    let sql = "SELECT id, path, class, site, first_ns, last_ns, rows, size FROM sealed ORDER BY day, id";
    let mut rows = connection.prepare_cached(sql)?;
    let file = |row: &rusqlite::Row<'_>| {
        let purged = Purged {
            what: row.get(2)?,
            site: row.get(3)?,
            first_ns: count(row.get(4)?),
            last_ns: count(row.get(5)?),
            rows: count(row.get(6)?),
            bytes: count(row.get(7)?),
            unix_ns: now_ns,
        };
        Ok((row.get(0)?, row.get(1)?, purged))
    };
    let mut files = rows.query_map([], file)?.collect::<Result<Vec<(i64, String, Purged)>, _>>()?;
    files.retain(|(_, _, file)| classes.iter().any(|class| class.name() == file.what));
    Ok(files)
}

/// Minutes or hours that are kept together, the oldest first, as they will have been purged.
fn spans(connection: &Connection, width: Width, now_ns: u64) -> Result<Vec<(i64, Purged)>, StoreError> {
    let sql = "SELECT span, count(*), sum(size) FROM rollup WHERE width_s = ? GROUP BY span ORDER BY span";
    let mut rows = connection.prepare_cached(sql)?;
    let span = |row: &rusqlite::Row<'_>| {
        let span: i64 = row.get(0)?;
        let first_ns = count(span).saturating_mul(width.span_ns());
        let last_ns = first_ns.saturating_add(width.span_ns() - 1);
        let (rows, bytes) = (count(row.get(1)?), count(row.get(2)?));
        let what = width.name().to_owned();
        Ok((span, Purged { what, site: None, first_ns, last_ns, rows, bytes, unix_ns: now_ns }))
    };
    let spans = rows.query_map([whole(width.seconds())], span)?;
    Ok(spans.collect::<Result<_, _>>()?)
}

impl Reader {
    /// What was purged of the time between two instants, the oldest first: it was here, and is not found any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn purged(&self, from_ns: u64, to_ns: u64) -> Result<Vec<Purged>, StoreError> {
        let sql =
            "SELECT what, site, first_ns, last_ns, rows, size, unix_ns FROM purged WHERE first_ns <= ? AND last_ns >= ?
                   ORDER BY first_ns, what, id";
        let mut rows = self.connection.prepare_cached(sql)?;
        let purged = |row: &rusqlite::Row<'_>| {
            Ok(Purged {
                what: row.get(0)?,
                site: row.get(1)?,
                first_ns: count(row.get(2)?),
                last_ns: count(row.get(3)?),
                rows: count(row.get(4)?),
                bytes: count(row.get(5)?),
                unix_ns: count(row.get(6)?),
            })
        };
        let found = rows.query_map(params![instant(to_ns), instant(from_ns)], purged)?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_an_age_a_size_or_both() {
        let both = Limit { age: Some(Duration::from_secs(90 * 86_400)), bytes: Some(50_000_000_000) };
        assert_eq!("90d,50GB".parse(), Ok(both));
        assert_eq!("50GB".parse(), Ok(Limit { age: None, ..both }));
        assert_eq!("90d".parse(), Ok(Limit { bytes: None, ..both }));
        for text in ["", "90", "90d,91d", "-1d", "99999999999999999999GB", "9999999999TB", "1GB,", "90 d"] {
            assert_eq!(text.parse::<Limit>(), Err(NoLimit), "{text}");
        }
    }
}
