//! How many rows there are of everything, and what they are alike in sum.
//!
//! Each connection that writes has a trigger behind every table: it adds the digest of a row that comes to a sum, and takes that of
//! a row that goes from it, in the same transaction. So a row costs no byte more, and whatever is done to rows in any other way, by
//! a failing disk or by a hand, leaves a sum that is not theirs. What changed before it went stays in the sum as well. There is
//! no secret in it: whoever writes the file can compute the sums.

use std::collections::BTreeMap;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use super::write::begin as begin_to_write;
use super::{SCHEMA as TABLES, StoreError, VERSION};

/// The table of tallies.
pub(super) const SCHEMA: &str = include_str!("tally.sql");
/// Whose a row is: the first of these columns that it has.
const OWNERS: [&str; 3] = ["track", "sealed", "run"];

/// Rows that belong together: the table, and whose they are.
pub(super) type Lot = (String, i64);

/// How many rows there are, and the sum of their digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) rows: i64,
    pub(super) sum: i64,
}

/// A table of the schema.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
}

impl Table {
    /// The column that says whose a row is, if there is one.
    pub(super) fn owner(&self) -> Option<&str> {
        OWNERS.into_iter().find(|owner| self.columns.iter().any(|column| column == owner))
    }

    /// The columns, in a statement that knows them as `of`.
    fn fields(&self, of: &str) -> String {
        self.columns.iter().map(|column| format!("{of}.{column}")).collect::<Vec<_>>().join(", ")
    }

    /// The triggers that keep its tally.
    fn triggers(&self) -> String {
        let name = &self.name;
        let owner = |of: &str| self.owner().map_or_else(|| "0".to_owned(), |owner| format!("{of}.{owner}"));
        let (new, old) = (self.fields("NEW"), self.fields("OLD"));
        let comes = format!(
            "INSERT INTO tally (what, owner, rows, sum) VALUES ('{name}', {}, 1, row_digest({new}))
             ON CONFLICT DO UPDATE SET rows = rows + 1, sum = wrapping_add(sum, excluded.sum);",
            owner("NEW")
        );
        let lot = format!("what = '{name}' AND owner = {}", owner("OLD"));
        let goes = format!(
            "UPDATE tally SET rows = rows - 1, sum = wrapping_sub(sum, row_digest({old})) WHERE {lot};
             DELETE FROM tally WHERE {lot} AND rows = 0 AND sum = 0;"
        );
        format!(
            "CREATE TEMP TRIGGER {name}_comes AFTER INSERT ON main.{name} BEGIN {comes} END;
             CREATE TEMP TRIGGER {name}_goes AFTER DELETE ON main.{name} BEGIN {goes} END;
             CREATE TEMP TRIGGER {name}_changes AFTER UPDATE ON main.{name} BEGIN {goes} {comes} END;"
        )
    }
}

/// Every table whose rows are counted: all that the schema has.
pub(super) fn tables() -> Result<Vec<Table>, StoreError> {
    let model = Connection::open_in_memory()?;
    model.execute_batch(TABLES)?;
    let sql = "SELECT schema.name, info.name FROM sqlite_schema AS schema JOIN pragma_table_info(schema.name) AS info
               WHERE schema.type = 'table' ORDER BY schema.name, info.cid";
    let mut rows = model.prepare(sql)?;
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (table, column) = row?;
        tables.entry(table).or_default().push(column);
    }
    Ok(tables.into_iter().map(|(name, columns)| Table { name, columns }).collect())
}

/// What the tables and indexes of a version are made of, by their names.
pub(super) fn schema(version: i64) -> Result<Vec<(String, String)>, StoreError> {
    let model = Connection::open_in_memory()?;
    model.execute_batch(TABLES)?;
    if version >= VERSION {
        model.execute_batch(SCHEMA)?;
    }
    let mut rows = model.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    let schema = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(schema.collect::<Result<_, _>>()?)
}

/// From now on what this connection writes is counted.
pub(super) fn keep(connection: &Connection) -> Result<(), StoreError> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection
        .create_scalar_function("row_digest", -1, flags, |row| Ok(digest((0..row.len()).map(|at| row.get_raw(at)))))?;
    let of_two = |with: fn(i64, i64) -> i64| move |row: &mut Context<'_>| Ok(with(row.get(0)?, row.get(1)?));
    connection.create_scalar_function("wrapping_add", 2, flags, of_two(i64::wrapping_add))?;
    connection.create_scalar_function("wrapping_sub", 2, flags, of_two(i64::wrapping_sub))?;
    let triggers: String = tables()?.iter().map(Table::triggers).collect();
    Ok(connection.execute_batch(&triggers)?)
}

/// Begins to count in an archive of a version that did not: what is there now counts as what was written.
pub(super) fn begin(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = begin_to_write(connection)?;
    // Another program may have come first.
    if super::versions(&transaction)?.1 < VERSION {
        transaction.execute_batch(SCHEMA)?;
        for ((what, owner), Tally { rows, sum }) in counted(&transaction)? {
            let sql = "INSERT INTO tally (what, owner, rows, sum) VALUES (?, ?, ?, ?)";
            transaction.prepare_cached(sql)?.execute(params![what, owner, rows, sum])?;
        }
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    Ok(transaction.commit()?)
}

/// The tallies that were written.
pub(super) fn written(connection: &Connection) -> Result<BTreeMap<Lot, Tally>, StoreError> {
    let mut rows = connection.prepare("SELECT what, owner, rows, sum FROM tally")?;
    let tally =
        |row: &rusqlite::Row<'_>| Ok(((row.get(0)?, row.get(1)?), Tally { rows: row.get(2)?, sum: row.get(3)? }));
    let tallies = rows.query_map([], tally)?;
    Ok(tallies.collect::<Result<_, _>>()?)
}

/// The tallies of the rows that are there.
pub(super) fn counted(connection: &Connection) -> Result<BTreeMap<Lot, Tally>, StoreError> {
    let mut tallies: BTreeMap<Lot, Tally> = BTreeMap::new();
    for table in tables()? {
        let columns = table.columns.join(", ");
        let sql = format!("SELECT {}, {columns} FROM {}", table.owner().unwrap_or("0"), table.name);
        let mut rows = connection.prepare(&sql)?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let fields = (1..=table.columns.len()).map(|at| row.get_ref(at)).collect::<Result<Vec<_>, _>>()?;
            let tally = tallies.entry((table.name.clone(), row.get(0)?)).or_default();
            tally.rows += 1;
            tally.sum = tally.sum.wrapping_add(digest(fields.into_iter()));
        }
    }
    Ok(tallies)
}

/// 64 bits of all fields of a row, with their kinds and lengths.
fn digest<'a>(fields: impl Iterator<Item = ValueRef<'a>>) -> i64 {
    let mut hasher = blake3::Hasher::new();
    for field in fields {
        let number;
        let (kind, bytes): (u8, &[u8]) = match field {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(integer) => {
                number = integer.to_le_bytes();
                (1, &number)
            }
            ValueRef::Real(real) => {
                number = real.to_bits().to_le_bytes();
                (2, &number)
            }
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(blob) => (4, blob),
        };
        hasher.update(&[kind]);
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    i64::from_le_bytes(first)
}
