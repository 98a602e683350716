//! Certificates and revocation lists: that one of them ends is said in time, before a connection fails for it at night.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rt_config::{Identity, Revocation, Security, Site};
use shm_layout::EventKind;
use ua_session::{CertificateFacts, RevocationFacts, TrustItem};

use crate::keeper::Journal;

/// So many days ahead it is said, and once more when it is too late.
const DAYS_AHEAD: [i64; 3] = [30, 7, 1];
const DAY_S: i64 = 86_400;
/// Files are looked at this often: whoever replaces one is not told of the old one any more.
const LOOK_EVERY_S: u64 = 3_600;
/// No larger files are read, and not more of them.
const FILE_BYTES_MAX: u64 = 1 << 20;
const FILES_MAX: usize = 1_024;

/// The files whose end matters to this site.
pub(crate) struct Expiry {
    watched: Vec<Watched>,
    next_look_s: u64,
    /// How many of the announcements are made, by what they say it of.
    told: BTreeMap<String, usize>,
}

/// A file, or a directory of them, of one connection.
struct Watched {
    connection: String,
    path: PathBuf,
    /// It is one with which this runtime shows itself.
    own: bool,
}

/// What ends, and when.
#[derive(Debug, PartialEq)]
struct End {
    what: String,
    /// Whose it is, where `what` does not say that.
    whose: Option<String>,
    until_unix_s: i64,
    /// How long it holds altogether, where that is known.
    lifetime_s: Option<i64>,
}

impl Expiry {
    /// Of the connections of this site.
    pub(crate) fn of(site: &Site) -> Self {
        let watched = site.connections.iter().flat_map(|connection| {
            let watched = |(path, own): (PathBuf, bool)| Watched { connection: connection.id.clone(), path, own };
            paths(&connection.security, &connection.identity).into_iter().map(watched)
        });
        Self { watched: watched.collect(), next_look_s: 0, told: BTreeMap::new() }
    }

    /// One look at the wall clock, and once in an hour at the files.
    pub(crate) fn turn(&mut self, now_unix_s: u64, journal: &mut Journal) {
        // The wall clock may have been put back meanwhile.
        let until_look_s = self.next_look_s.saturating_sub(now_unix_s);
        if self.watched.is_empty() || (1..=LOOK_EVERY_S).contains(&until_look_s) {
            return;
        }
        self.next_look_s = now_unix_s + LOOK_EVERY_S;
        let ends: Vec<_> = self.watched.iter().flat_map(Watched::ends).collect();
        self.announce(&ends, now_unix_s).iter().for_each(|text| journal.note(EventKind::Fault, text));
    }

    /// What is to be said at this time and was not said before; what is gone is forgotten.
    fn announce(&mut self, ends: &[End], now_unix_s: u64) -> Vec<String> {
        let before = std::mem::take(&mut self.told);
        let mut texts = Vec::new();
        for end in ends {
            let key = format!("{} {:?} {}", end.what, end.whose, end.until_unix_s);
            let (due, told) = (end.due(now_unix_s), before.get(&key).copied().unwrap_or(0));
            if due > told && !self.told.contains_key(&key) {
                texts.push(end.says(now_unix_s));
            }
            self.told.insert(key, due.max(told));
        }
        texts
    }
}

/// What a connection needs to hold.
fn paths(security: &Security, identity: &Identity) -> Vec<(PathBuf, bool)> {
    let mut paths = Vec::new();
    if let Security::Secured { client_cert, server_cert, trust_dir, revocation, .. } = security {
        paths.push((client_cert.clone(), true));
        paths.extend(server_cert.iter().map(|path| (path.clone(), false)));
        let lists = (*revocation == Revocation::Required).then_some("crl");
        let parts = ["trusted", "issuers"].into_iter().chain(lists);
        paths.extend(parts.map(|part| (trust_dir.join(part), false)));
    }
    if let Identity::Certificate { certificate, .. } = identity {
        paths.push((certificate.clone(), true));
    }
    paths
}

impl Watched {
    /// What lies there and ends; what cannot be read is complained of by whoever needs it.
    fn ends(&self) -> Vec<End> {
        let files = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).take(FILES_MAX).collect(),
            Err(_) => vec![self.path.clone()],
        };
        files.iter().filter_map(|file| self.end_of(&TrustItem::read(&read_bounded(file)?)?)).collect()
    }

    fn end_of(&self, item: &TrustItem) -> Option<End> {
        let Self { connection, own, .. } = self;
        match item {
            TrustItem::Certificate(CertificateFacts { subject, valid_until_unix_s, .. }) => Some(End {
                what: format!("{} for {connection}", if *own { "own certificate" } else { "certificate" }),
                whose: (!own).then(|| subject.clone()),
                until_unix_s: (*valid_until_unix_s)?,
                lifetime_s: None,
            }),
            TrustItem::RevocationList(RevocationFacts { issuer, issued_unix_s, next_update_unix_s, .. }) => Some(End {
                what: format!("revocation list for {connection}"),
                whose: Some(issuer.clone()),
                until_unix_s: (*next_update_unix_s)?,
                lifetime_s: Some((*next_update_unix_s)?.saturating_sub(*issued_unix_s)),
            }),
        }
    }
}

fn read_bounded(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

impl End {
    /// How many announcements are due. What is made anew every week is not announced a week ahead.
    fn due(&self, now_unix_s: u64) -> usize {
        let left_s = self.until_unix_s.saturating_sub_unsigned(now_unix_s);
        let ahead = |days: &&i64| self.lifetime_s.is_none_or(|lifetime| lifetime >= 4 * **days * DAY_S);
        DAYS_AHEAD.iter().filter(ahead).filter(|days| left_s < **days * DAY_S).count() + usize::from(left_s < 0)
    }

    /// An event has room for its begin alone: when it ends stands before whose it is, which is long.
    fn says(&self, now_unix_s: u64) -> String {
        let when = match self.until_unix_s.saturating_sub_unsigned(now_unix_s) {
            ..0 => "has expired".to_owned(),
            0..DAY_S => "expires within a day".to_owned(),
            left_s => format!("expires in {} days", left_s / DAY_S),
        };
        let whose = self.whose.as_ref().map_or(String::new(), |whose| format!(": {whose}"));
        format!("{} {when}{whose}", self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTIL: i64 = 1_000 * DAY_S;

    fn expiry() -> Expiry {
        Expiry { watched: Vec::new(), next_look_s: 0, told: BTreeMap::new() }
    }

    fn end(until_unix_s: i64, lifetime_s: Option<i64>) -> End {
        End { what: "own certificate for plant".into(), whose: None, until_unix_s, lifetime_s }
    }

    /// Everything that is said of it in its last fifty days and ten more.
    fn said(of: &End) -> Vec<String> {
        let mut expiry = expiry();
        let hours = (0..60 * 24).map(|hour| u64::try_from(UNTIL - 50 * DAY_S + hour * 3_600).unwrap());
        hours.flat_map(|now| expiry.announce(std::slice::from_ref(of), now)).collect()
    }

    #[test]
    fn f56_the_end_of_a_certificate_is_announced_30_7_and_1_days_ahead_and_once_it_is_there() {
        assert_eq!(
            said(&end(UNTIL, None)),
            [
                "own certificate for plant expires in 29 days",
                "own certificate for plant expires in 6 days",
                "own certificate for plant expires within a day",
                "own certificate for plant has expired",
            ]
        );
        let foreign =
            End { what: "certificate for plant".into(), whose: Some("CN=Works PLC".into()), ..end(UNTIL, None) };
        assert_eq!(said(&foreign)[3], "certificate for plant has expired: CN=Works PLC");
        // A start with little time left says it once.
        let (mut late, soon) = (expiry(), end(UNTIL, None));
        let now = u64::try_from(UNTIL - 2 * DAY_S).unwrap();
        assert_eq!(late.announce(&[soon], now).len(), 1);
        assert_eq!(late.announce(&[end(UNTIL, None)], now + 60), [] as [String; 0]);
        // One that is replaced is none of the old one's business any more.
        assert_eq!(late.announce(&[end(UNTIL + 90 * DAY_S, None)], now + 120), [] as [String; 0]);
    }

    #[test]
    fn a_list_that_is_made_anew_every_week_is_announced_a_day_ahead_alone() {
        assert_eq!(said(&end(UNTIL, Some(7 * DAY_S))).len(), 2);
        assert_eq!(said(&end(UNTIL, Some(DAY_S))), ["own certificate for plant has expired"]);
        assert_eq!(said(&end(UNTIL, Some(365 * DAY_S))).len(), 4);
    }

    #[test]
    fn whatever_lies_in_the_files_is_found_again_when_it_is_replaced() {
        let place = tempfile::tempdir().unwrap();
        let files = ["own.der", "own.pem"].map(|name| place.path().join(name));
        let make = |valid_days| {
            files.iter().for_each(|file| drop(std::fs::remove_file(file)));
            let hosts = ["localhost".to_owned()];
            let (application_uri, common_name, organization) = ("urn:test", "test", "");
            let names = ua_session::Names { application_uri, common_name, organization, hosts: &hosts, valid_days };
            ua_session::ApplicationInstance::generate(&files[0], &files[1], &names).unwrap();
        };
        let watched = |path: &Path| Watched { connection: "plant".into(), path: path.into(), own: true };
        make(2);
        let (mut expiry, now) = (expiry(), rt_sys::unix_time().as_s());
        let soon = watched(&files[0]).ends();
        assert_eq!((soon.len(), expiry.announce(&soon, now).len()), (1, 1), "{soon:?}");
        make(365);
        let later = watched(place.path()).ends();
        assert_eq!((later.len(), expiry.announce(&later, now)), (1, Vec::new()), "{later:?}");
    }

    #[test]
    fn a_connection_in_clear_has_nothing_that_ends() {
        assert_eq!(paths(&Security::None, &Identity::Anonymous), []);
    }
}
