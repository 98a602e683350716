//! How long a database keeps what, and how much of it, and that it forgets the rest.
//!
//! The historian's role takes nothing away. So the schema's owner writes down what is kept, and the historian asks the database now
//! and then to act on that, by a function which drops what the owner gave up and nothing else.

use std::time::Duration;

use archive::{Limit, Retention};
use postgres::Client;

use super::{MigrateError, Target};

/// A day.
const DAY: Duration = Duration::from_secs(86_400);

/// Why a database cannot keep something for so long and no longer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetentionError {
    /// It counts days.
    #[error("PostgreSQL gives up whole days of {0}: write how many, from 1d on")]
    NoDays(&'static str),
}

/// What is kept of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Class {
    name: &'static str,
    days: Option<i32>,
    bytes: Option<i64>,
}

/// How long a database keeps what, and how much of it; what is not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptFor(Vec<Class>);

impl KeptFor {
    /// From what was asked for.
    ///
    /// # Errors
    /// [`RetentionError`].
    pub fn new(retention: &Retention) -> Result<Self, RetentionError> {
        let Retention { samples, events, minutes, hours } = retention;
        let classes = [("samples", samples), ("events", events), ("minutes", minutes), ("hours", hours)];
        let classes = classes.into_iter().filter(|(_, limit)| **limit != Limit::default());
        classes.map(|(name, limit)| Class::new(name, limit)).collect::<Result<_, _>>().map(Self)
    }

    /// Writes it down in a database; whoever connects owns its schema.
    ///
    /// # Errors
    /// [`MigrateError`]; everything is kept for as long as before then.
    pub fn write(&self, target: &Target) -> Result<(), MigrateError> {
        let mut client = target.connect()?;
        let mut transaction = client.transaction()?;
        for Class { name, days, bytes } in &self.0 {
            let sql = "INSERT INTO corerl.retention (class, days, bytes) VALUES ($1, $2, $3)
                       ON CONFLICT (class) DO UPDATE SET days = $2, bytes = $3";
            transaction.execute(sql, &[name, days, bytes])?;
        }
        Ok(transaction.commit()?)
    }
}

impl Class {
    fn new(name: &'static str, limit: &Limit) -> Result<Self, RetentionError> {
        let days = limit.age.map(|age| whole_days(age).ok_or(RetentionError::NoDays(name))).transpose()?;
        // No disk is larger than the largest number.
        let bytes = limit.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        Ok(Self { name, days, bytes })
    }
}

fn whole_days(age: Duration) -> Option<i32> {
    let days = age.as_secs() / DAY.as_secs();
    i32::try_from(days).ok().filter(|_| days > 0 && DAY * u32::try_from(days).unwrap_or(0) == age)
}

/// Has the database give up what its owner does not keep any longer; what, and how much of it.
pub(super) fn purge(client: &mut Client) -> Result<Vec<(String, i64)>, postgres::Error> {
    let rows = client.query("SELECT class, count FROM corerl.purge() WHERE count > 0", &[])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_gives_up_whole_days_of_every_class_or_what_is_more_than_so_many_bytes() {
        let limit = |days: u32, bytes| Limit { age: Some(DAY * days), bytes };
        let samples = |samples| KeptFor::new(&Retention { samples, ..Retention::default() });
        let class = |name, days, bytes| Class { name, days, bytes };
        assert_eq!(samples(limit(90, None)), Ok(KeptFor(vec![class("samples", Some(90), None)])));
        assert_eq!(samples(limit(90, Some(5))), Ok(KeptFor(vec![class("samples", Some(90), Some(5))])));
        assert_eq!(samples(Limit::default()), Ok(KeptFor::default()));
        for age in [DAY * 2 + Duration::from_secs(1), Duration::ZERO, Duration::from_secs(u64::MAX)] {
            assert_eq!(samples(Limit { age: Some(age), bytes: Some(1) }), Err(RetentionError::NoDays("samples")));
        }
        let all = Limit { age: None, bytes: Some(u64::MAX) };
        let all = KeptFor::new(&Retention { samples: all, events: all, minutes: all, hours: all }).unwrap();
        let classes = ["samples", "events", "minutes", "hours"].map(|name| class(name, None, Some(i64::MAX)));
        assert_eq!(all, KeptFor(classes.to_vec()));
    }
}
