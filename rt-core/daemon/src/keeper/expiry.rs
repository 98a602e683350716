//! Our own certificates: that they end is said in time, before a server refuses them at night.

use std::sync::Arc;

use rt_config::Site;
use shm_layout::EventKind;
use ua_session::ApplicationInstance;

use crate::failure::Failure;
use crate::keeper::Journal;

/// So many days ahead it is said, and once more when it is too late.
const DAYS_AHEAD: [i64; 3] = [30, 7, 1];
const DAY_S: i64 = 86_400;

/// The certificates with which this runtime shows itself.
pub(crate) struct Expiry {
    own: Vec<Own>,
}

/// One of a connection.
struct Own {
    certificate: Arc<ApplicationInstance>,
    notice: Notice,
}

/// What was said of it so far.
struct Notice {
    connection: String,
    until_unix_s: i64,
    /// How many of the announcements are made.
    told: usize,
}

impl Expiry {
    /// Those of this site's connections.
    ///
    /// # Errors
    /// Certificate or key cannot be used.
    pub(crate) fn of(site: &Site) -> Result<Self, Failure> {
        let mut own = Vec::new();
        for connection in &site.connections {
            let mut target = crate::plant::target(site, connection)?;
            own.extend(target.own_certificates().map(|certificate| Own::new(&connection.id, certificate.clone())));
        }
        Ok(Self { own })
    }

    /// One look at the wall clock. Before anything is said, the files are asked whether it still holds.
    pub(crate) fn turn(&mut self, now_unix_s: u64, journal: &mut Journal) {
        for own in &mut self.own {
            let due = own.notice.due(now_unix_s).filter(|_| !own.was_replaced());
            if let Some(text) = due {
                journal.note(EventKind::Fault, &text);
            }
        }
    }
}

impl Own {
    fn new(connection: &str, certificate: Arc<ApplicationInstance>) -> Self {
        let until_unix_s = certificate.valid_until_unix_s();
        Self { certificate, notice: Notice { connection: connection.to_owned(), until_unix_s, told: 0 } }
    }

    /// Whether there is another one in its place, which is looked after from now on.
    fn was_replaced(&mut self) -> bool {
        // One that cannot be used is none.
        let Ok(Some(present)) = self.certificate.renewed() else { return false };
        *self = Self::new(&self.notice.connection, Arc::new(present));
        true
    }
}

impl Notice {
    fn due(&mut self, now_unix_s: u64) -> Option<String> {
        let left_s = self.until_unix_s.saturating_sub_unsigned(now_unix_s);
        let due = DAYS_AHEAD.iter().filter(|days| left_s < *days * DAY_S).count() + usize::from(left_s < 0);
        let is_news = due > self.told;
        self.told = due;
        let when = match left_s {
            ..0 => "has expired".to_owned(),
            0..DAY_S => "expires within a day".to_owned(),
            left_s => format!("expires in {} days", left_s / DAY_S),
        };
        is_news.then(|| format!("own certificate for {} {when}", self.connection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f56_the_end_of_our_own_certificate_is_announced_30_7_and_1_days_ahead_and_once_it_is_there() {
        let until = 1_000 * DAY_S;
        let mut own = Notice { connection: "plant".into(), until_unix_s: until, told: 0 };
        let mut told = Vec::new();
        for hour in 0..60 * 24 {
            told.extend(own.due((until - 50 * DAY_S + hour * 3_600) as u64));
        }
        assert_eq!(
            told,
            [
                "own certificate for plant expires in 29 days",
                "own certificate for plant expires in 6 days",
                "own certificate for plant expires within a day",
                "own certificate for plant has expired",
            ]
        );
        // A start with little time left says it once.
        let mut late = Notice { connection: "plant".into(), until_unix_s: until, told: 0 };
        assert!(late.due((until - 2 * DAY_S) as u64).is_some());
        assert_eq!(late.due((until - 2 * DAY_S + 60) as u64), None);
    }
}
