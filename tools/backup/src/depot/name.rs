//! What archives are called: `SITE-20240229T123456.000Z.tar.zst`, with `.age` behind it when they are encrypted.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const FORMAT: &str = "%Y%m%dT%H%M%S.%3fZ";
const PACKED: &str = ".tar.zst";
const LOCKED: &str = ".age";

/// The name of an archive: whose it is, when it was begun, and whether it is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    site: String,
    begun: Timestamp,
    locked: bool,
}

/// It is no name of an archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A site that cannot be part of a file's name.
    #[error(
        "{0:?} cannot be part of a file's name: give another one with --name, of letters, digits, dots, dashes and _"
    )]
    Site(String),
    /// Something else.
    #[error("it is not called as an archive is: SITE-20240229T123456.000Z.tar.zst, or with .age behind it")]
    Other,
}

impl Name {
    /// That of an archive of this site, begun at this time, nanoseconds since 1970.
    ///
    /// # Errors
    /// [`NameError::Site`].
    pub fn new(site: &str, begun_unix_ns: u64, locked: bool) -> Result<Self, NameError> {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if site.is_empty() || site.starts_with('.') || !site.chars().all(is_fit) {
            return Err(NameError::Site(site.to_owned()));
        }
        // To the millisecond, as it is written.
        let begun =
            Timestamp::from_millisecond((begun_unix_ns / 1_000_000).cast_signed()).map_err(|_| NameError::Other)?;
        Ok(Self { site: site.to_owned(), begun, locked })
    }

    /// Whose it is.
    pub fn site(&self) -> &str {
        &self.site
    }

    /// When it was begun.
    pub fn begun(&self) -> Timestamp {
        self.begun
    }

    /// Whether it is encrypted.
    pub fn is_locked(&self) -> bool {
        self.locked
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begun = self.begun.to_zoned_datetime(TimeZone::UTC).strftime(FORMAT).to_string();
        write!(f, "{}-{begun}{PACKED}{}", self.site, if self.locked { LOCKED } else { "" })
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (rest, locked) = text.strip_suffix(LOCKED).map_or((text, false), |rest| (rest, true));
        let (site, begun) = rest.strip_suffix(PACKED).and_then(|rest| rest.rsplit_once('-')).ok_or(NameError::Other)?;
        let begun = DateTime::strptime(FORMAT, begun).map_err(|_| NameError::Other)?;
        let begun = begun.to_zoned_datetime(TimeZone::UTC).map_err(|_| NameError::Other)?.timestamp();
        let begun_unix_ns = u64::try_from(begun.as_nanosecond()).map_err(|_| NameError::Other)?;
        let name = Self::new(site, begun_unix_ns, locked)?;
        // One way to write it.
        if name.to_string() == text { Ok(name) } else { Err(NameError::Other) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_others_are_none() {
        let name = Name::new("works-2", 1_709_210_096_789_654_321, true).unwrap();
        assert_eq!(name.to_string(), "works-2-20240229T123456.789Z.tar.zst.age");
        assert_eq!(name.to_string().parse(), Ok(name));
        for other in
            ["works.tar.zst", "works-20240229T123456.789Z.tar", "-20240229T123456.789Z.tar.zst", "works-2024.tar.zst"]
        {
            assert!(other.parse::<Name>().is_err(), "{other}");
        }
        for site in ["", "a/b", ".hidden", "ä"] {
            assert_eq!(Name::new(site, 0, false), Err(NameError::Site(site.into())));
        }
    }
}
