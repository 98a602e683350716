//! Taking back what was brought in, because a unit or a zone was wrong.

use std::fs;
use std::io::ErrorKind;

use rusqlite::{Transaction, params};

use super::StoreError;
use super::bring::Turn;
use super::catalogue::run_of;
use super::write::{Store, begin};
use crate::rows::RunId;
use crate::sealed::Owner;

impl Store {
    /// Takes back what an agent's run of this number brought in, as if it had never been there; false if there is no such run, or
    /// if it was kept live.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was taken back then, unless all that is left are files, of which the catalogue knows nothing.
    pub fn take_back(&mut self, _turn: &Turn, (site, agent): (&str, &str), number: u64) -> Result<bool, StoreError> {
        let owner = Owner { agent: agent.to_owned(), instance: "main".to_owned(), run: format!("{number:016x}") };
        let transaction = begin(&mut self.connection)?;
        let Some(run) = run_of(&transaction, site, &owner)? else { return Ok(false) };
        if !was_brought(&transaction, run)? {
            return Ok(false);
        }
        let files = forget(&transaction, run)?;
        transaction.commit()?;
        for path in files {
            match fs::remove_file(self.directory.join(path)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(true)
    }
}

/// What was brought in has neither rows of rings nor points that are hot.
fn was_brought(transaction: &Transaction<'_>, run: RunId) -> Result<bool, StoreError> {
    let sql = "SELECT next_cycle_record = 0 AND next_event = 0 AND last_cycle IS NOT NULL FROM run WHERE id = ?";
    Ok(transaction.query_row(sql, [run.0], |row| row.get(0))?)
}

/// Deletes every row of a run; the files that nobody needs any more.
fn forget(transaction: &Transaction<'_>, run: RunId) -> Result<Vec<String>, StoreError> {
    // A file of what was brought in has nothing of others.
    let own = "SELECT DISTINCT sealed FROM share WHERE track IN (SELECT id FROM track WHERE run = ?)";
    let mut rows = transaction.prepare(&format!("SELECT id, path FROM sealed WHERE id IN ({own})"))?;
    let files = rows.query_map([run.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let files = files.collect::<Result<Vec<(i64, String)>, _>>()?;
    for (id, _) in &files {
        for sql in [
            "DELETE FROM share WHERE sealed = ?",
            "DELETE FROM piece WHERE sealed = ?",
            "DELETE FROM sealed WHERE id = ?",
        ] {
            transaction.prepare_cached(sql)?.execute(params![id])?;
        }
    }
    for sql in [
        "DELETE FROM rollup WHERE track IN (SELECT id FROM track WHERE run = ?)",
        "DELETE FROM gap WHERE run = ?",
        "DELETE FROM clock WHERE run = ?",
        "DELETE FROM track WHERE run = ?",
        "DELETE FROM run WHERE id = ?",
    ] {
        transaction.execute(sql, [run.0])?;
    }
    Ok(files.into_iter().map(|(_, path)| path).collect())
}
