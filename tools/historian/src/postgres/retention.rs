//! For how long a database keeps what, and that it forgets the rest.
//!
//! The historian's role takes nothing away. So the schema's owner writes down for how long what is kept, and the historian asks the
//! database now and then to act on that, by a function which drops what the owner gave up and nothing else.

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
    #[error("PostgreSQL gives up whole days of {0}: write how many, 90d, and no number of bytes")]
    NoDays(&'static str),
    /// It has none.
    #[error("PostgreSQL keeps no {0}, they are reckoned from samples: leave this away")]
    NotKept(&'static str),
}

/// Days for which a class is kept.
type Days = Vec<(&'static str, i32)>;

/// For how long a database keeps what; what is not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptFor(Days);

impl KeptFor {
    /// From what was asked for.
    ///
    /// # Errors
    /// [`RetentionError`].
    pub fn new(retention: &Retention) -> Result<Self, RetentionError> {
        let Retention { samples, events, minutes, hours } = retention;
        for (class, limit) in [("minutes", minutes), ("hours", hours)] {
            if *limit != Limit::default() {
                return Err(RetentionError::NotKept(class));
            }
        }
        let mut days = Days::new();
        for (class, limit) in [("samples", samples), ("events", events)] {
            if *limit != Limit::default() {
                days.push((class, whole_days(limit).ok_or(RetentionError::NoDays(class))?));
            }
        }
        Ok(Self(days))
    }

    /// Writes it down in a database; whoever connects owns its schema.
    ///
    /// # Errors
    /// [`MigrateError`]; everything is kept for as long as before then.
    pub fn write(&self, target: &Target) -> Result<(), MigrateError> {
        let mut client = target.connect()?;
        let mut transaction = client.transaction()?;
        for (class, days) in &self.0 {
            let sql = "INSERT INTO corerl.retention VALUES ($1, $2) ON CONFLICT (class) DO UPDATE SET days = $2";
            transaction.execute(sql, &[class, days])?;
        }
        Ok(transaction.commit()?)
    }
}

fn whole_days(limit: &Limit) -> Option<i32> {
    let Limit { age: Some(age), bytes: None } = limit else { return None };
    let days = age.as_secs() / DAY.as_secs();
    i32::try_from(days).ok().filter(|_| days > 0 && DAY * u32::try_from(days).unwrap_or(0) == *age)
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
    fn a_database_gives_up_whole_days_of_samples_and_events_and_nothing_else() {
        let days = |days: u32| Limit { age: Some(DAY * days), bytes: None };
        let samples = |samples| KeptFor::new(&Retention { samples, ..Retention::default() });
        assert_eq!(samples(days(90)), Ok(KeptFor(vec![("samples", 90)])));
        assert_eq!(samples(Limit::default()), Ok(KeptFor::default()));
        let refused = [
            Limit { age: Some(DAY * 2 + Duration::from_secs(1)), bytes: None },
            Limit { age: Some(Duration::ZERO), bytes: None },
            Limit { age: None, bytes: Some(1) },
            Limit { age: Some(DAY), bytes: Some(1) },
        ];
        for limit in refused {
            assert_eq!(samples(limit), Err(RetentionError::NoDays("samples")));
        }
        let hours = KeptFor::new(&Retention { hours: days(1), ..Retention::default() });
        assert_eq!(hours, Err(RetentionError::NotKept("hours")));
    }
}
