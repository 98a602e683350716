//! Bringing a database's schema up to date.

use postgres::{Client, Transaction};

use super::{ConnectError, Target};

/// What was done to a schema, step by step; a step is never changed once it was released.
const STEPS: &[Step] = &[
    Step { number: 1, plain: include_str!("migrations/1_runs.sql"), hyper: None },
    Step {
        number: 2,
        plain: include_str!("migrations/2_sample.sql"),
        hyper: Some([
            include_str!("migrations/2_sample_timescaledb.sql"),
            include_str!("migrations/2_sample_timescaledb_licensed.sql"),
        ]),
    },
    Step { number: 3, plain: include_str!("migrations/3_named.sql"), hyper: None },
    Step { number: 4, plain: include_str!("migrations/4_retention.sql"), hyper: None },
    Step { number: 5, plain: include_str!("migrations/5_stale.sql"), hyper: None },
    Step { number: 6, plain: include_str!("migrations/6_source.sql"), hyper: None },
    Step { number: 7, plain: include_str!("migrations/7_rolled.sql"), hyper: None },
];

/// The last step.
pub(super) const VERSION: i32 = STEPS[STEPS.len() - 1].number;
/// Two that migrate at once follow each other.
const LOCK: i64 = 0x436f_524c;

struct Step {
    number: i32,
    /// For PostgreSQL alone.
    plain: &'static str,
    /// With TimescaleDB: what every build does, and what its own licence is needed for.
    hyper: Option<[&'static str; 2]>,
}

/// What TimescaleDB there is, in the schema of this name.
enum Timescale {
    None,
    Apache(String),
    Licensed(String),
}

/// Why a schema stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Nobody could connect.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The database says so.
    #[error("{}", super::chain(.0))]
    Database(#[from] postgres::Error),
    /// A newer program's.
    #[error("its schema has version {0} and this program knows up to {VERSION}: use a newer one")]
    TooNew(i32),
}

/// Brings the schema of a database up to date; whoever connects owns it. How many steps were done.
///
/// # Errors
/// [`MigrateError`]; the schema stays as it was then.
pub fn migrate(target: &Target) -> Result<usize, MigrateError> {
    let mut client = target.connect()?;
    let mut transaction = client.transaction()?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])?;
    transaction.batch_execute(
        "CREATE SCHEMA IF NOT EXISTS corerl;
         CREATE TABLE IF NOT EXISTS corerl.migration (
             number integer PRIMARY KEY,
             at timestamptz NOT NULL DEFAULT now(),
             -- plain, timescaledb or timescaledb licensed.
             form text NOT NULL
         )",
    )?;
    let done: i32 = transaction.query_one("SELECT coalesce(max(number), 0) FROM corerl.migration", &[])?.get(0);
    if done > VERSION {
        return Err(MigrateError::TooNew(done));
    }
    let timescale = timescale(&mut transaction)?;
    let steps = STEPS.iter().filter(|step| step.number > done);
    for step in steps.clone() {
        let form = step.run(&mut transaction, &timescale)?;
        let sql = "INSERT INTO corerl.migration (number, form) VALUES ($1, $2)";
        transaction.execute(sql, &[&step.number, &form])?;
    }
    transaction.commit()?;
    Ok(steps.count())
}

impl Step {
    /// Does it; in which form.
    fn run(&self, transaction: &mut Transaction<'_>, timescale: &Timescale) -> Result<&'static str, postgres::Error> {
        let (form, scripts, schema) = match (&self.hyper, timescale) {
            (None, _) | (_, Timescale::None) => ("plain", &[self.plain][..], "pg_catalog"),
            (Some(hyper), Timescale::Apache(schema)) => ("timescaledb", &hyper[..1], schema.as_str()),
            (Some(hyper), Timescale::Licensed(schema)) => ("timescaledb licensed", &hyper[..], schema.as_str()),
        };
        // The extension's functions are wherever it was created.
        transaction.execute("SELECT set_config('search_path', quote_ident($1), true)", &[&schema])?;
        scripts.iter().try_for_each(|script| transaction.batch_execute(script))?;
        Ok(form)
    }
}

fn timescale(transaction: &mut Transaction<'_>) -> Result<Timescale, postgres::Error> {
    let sql = "SELECT nspname::text, current_setting('timescaledb.license', true) FROM pg_extension
               JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'timescaledb'";
    Ok(match transaction.query_opt(sql, &[])? {
        None => Timescale::None,
        Some(row) => match row.get::<_, Option<&str>>(1) {
            Some("timescale") => Timescale::Licensed(row.get(0)),
            _ => Timescale::Apache(row.get(0)),
        },
    })
}

/// The version of a database's schema; 0 for none.
pub(super) fn version(client: &mut Client) -> Result<i32, postgres::Error> {
    let there: bool = client.query_one("SELECT to_regclass('corerl.migration') IS NOT NULL", &[])?.get(0);
    if !there {
        return Ok(0);
    }
    Ok(client.query_one("SELECT coalesce(max(number), 0) FROM corerl.migration", &[])?.get(0))
}
