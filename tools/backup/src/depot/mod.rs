//! Where archives are kept: a directory, or a bucket of an object store.

mod bucket;
mod directory;
mod name;

use std::io::{self, Read, Write};
use std::path::PathBuf;

use crate::write::WriteError;
use bucket::Bucket;
pub use bucket::PART_BYTES;
use directory::Directory;
pub use name::{Name, NameError};

/// Why a place is of no use.
#[derive(Debug, thiserror::Error)]
pub enum DepotError {
    /// It is no address.
    #[error("{0} is no place for archives: give a directory, file:///… or s3://bucket/prefix")]
    NoPlace(String),
    /// The object store's keys are not known.
    #[error("the keys of the object store are not known: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")]
    NoCredentials,
    /// A file or directory.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is an archive of this name.
    #[error("{0} is there already")]
    Exists(String),
    /// The object store has said no.
    #[error("{place} answers {status}: {said}")]
    Refused {
        /// Whom was asked.
        place: String,
        /// Its status.
        status: u16,
        /// The code in its answer.
        said: String,
    },
    /// The object store does not answer, or not so that it can be understood.
    #[error("{place}: {why}")]
    Unreachable {
        /// Whom was asked.
        place: String,
        /// What happened.
        why: String,
    },
}

/// Why an archive was not put into a depot.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// It could not be written.
    #[error(transparent)]
    Archive(#[from] WriteError),
    /// The depot does not take it.
    #[error(transparent)]
    Depot(#[from] DepotError),
}

/// An archive that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What it is called.
    pub name: Name,
    /// Bytes.
    pub size: u64,
}

/// A place for archives.
pub struct Depot(Place);

enum Place {
    Directory(Directory),
    Bucket(Box<Bucket>),
}

/// What an address means.
enum Address {
    Directory(PathBuf),
    Bucket { name: String, prefix: String },
}

impl Address {
    fn parse(text: &str) -> Result<Self, DepotError> {
        let no_place = || DepotError::NoPlace(text.to_owned());
        match text.split_once("://") {
            None if text.is_empty() => Err(no_place()),
            None => Ok(Self::Directory(text.into())),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Directory(path.into())),
            Some(("s3", rest)) => {
                let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let prefix = prefix.trim_matches('/');
                let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
                let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
                is_name.then(|| Self::Bucket { name: name.to_owned(), prefix }).ok_or_else(no_place)
            }
            Some(_) => Err(no_place()),
        }
    }
}

impl Depot {
    /// The depot at an address: a directory, `file:///…`, or `s3://bucket/prefix`. The object store is the one at `endpoint`, else
    /// the one that AWS's own tools would use by the environment; so are its keys.
    ///
    /// # Errors
    /// [`DepotError`].
    pub fn at(address: &str, endpoint: Option<&str>) -> Result<Self, DepotError> {
        Ok(Self(match Address::parse(address)? {
            Address::Directory(path) => Place::Directory(Directory(path)),
            Address::Bucket { name, prefix } => Place::Bucket(Box::new(Bucket::new(name, prefix, endpoint)?)),
        }))
    }

    /// The depot in which an archive lies, and its name; or a depot, and none.
    ///
    /// # Errors
    /// [`DepotError`].
    pub fn of_archive(address: &str, endpoint: Option<&str>) -> Result<(Self, Option<Name>), DepotError> {
        let (above, last) = address.rsplit_once('/').unwrap_or((".", address));
        match last.parse::<Name>() {
            Ok(name) => Ok((Self::at(if above.is_empty() { "/" } else { above }, endpoint)?, Some(name))),
            Err(_) => Ok((Self::at(address, endpoint)?, None)),
        }
    }

    /// Its archives, the oldest first.
    ///
    /// # Errors
    /// [`DepotError`].
    pub fn list(&self) -> Result<Vec<Kept>, DepotError> {
        let found = match &self.0 {
            Place::Directory(directory) => directory.list()?,
            Place::Bucket(bucket) => bucket.list()?,
        };
        let known = |(name, size): (String, u64)| Some(Kept { name: name.parse().ok()?, size });
        let mut kept: Vec<_> = found.into_iter().filter_map(known).collect();
        kept.sort_by(|a, b| (a.name.begun(), a.name.site()).cmp(&(b.name.begun(), b.name.site())));
        Ok(kept)
    }

    /// An archive, to be read.
    ///
    /// # Errors
    /// [`DepotError`].
    pub fn open(&self, name: &Name) -> Result<Box<dyn Read>, DepotError> {
        match &self.0 {
            Place::Directory(directory) => directory.open(&name.to_string()),
            Place::Bucket(bucket) => bucket.open(&name.to_string()),
        }
    }

    /// Lets `fill` write an archive, which is there once that has succeeded and everything lasts; else there is nothing.
    ///
    /// # Errors
    /// What `fill` says, or the depot.
    pub fn put<T>(&self, name: &Name, fill: impl FnOnce(&mut dyn Write) -> Result<T, PutError>) -> Result<T, PutError> {
        match &self.0 {
            Place::Directory(directory) => directory.put(&name.to_string(), fill),
            Place::Bucket(bucket) => bucket.put(&name.to_string(), fill),
        }
    }

    /// Removes an archive.
    ///
    /// # Errors
    /// [`DepotError`].
    pub fn remove(&self, name: &Name) -> Result<(), DepotError> {
        match &self.0 {
            Place::Directory(directory) => directory.remove(&name.to_string()),
            Place::Bucket(bucket) => bucket.remove(&name.to_string()),
        }
    }

    /// Where an archive is, for people.
    pub fn address_of(&self, name: &Name) -> String {
        match &self.0 {
            Place::Directory(directory) => directory.0.join(name.to_string()).display().to_string(),
            Place::Bucket(bucket) => bucket.address_of(&name.to_string()),
        }
    }

    /// The directory, if it is one.
    pub fn directory(&self) -> Option<&std::path::Path> {
        match &self.0 {
            Place::Directory(directory) => Some(&directory.0),
            Place::Bucket(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_directory_or_a_bucket_and_anything_else_is_refused() {
        let directory = |text: &str| match Address::parse(text) {
            Ok(Address::Directory(path)) => path.display().to_string(),
            _ => String::new(),
        };
        let bucket = |text: &str| match Address::parse(text) {
            Ok(Address::Bucket { name, prefix }) => (name, prefix),
            _ => Default::default(),
        };
        assert_eq!([directory("backups"), directory("file:///var/backups")], ["backups", "/var/backups"]);
        assert_eq!(bucket("s3://plant/works/ph/"), ("plant".into(), "works/ph/".into()));
        assert_eq!(bucket("s3://plant"), ("plant".into(), String::new()));
        for wrong in ["", "s3://", "s3:///x", "s3://a b/c", "ftp://host/x", "file://host/x"] {
            assert!(matches!(Address::parse(wrong), Err(DepotError::NoPlace(_))), "{wrong}");
        }
    }

    #[test]
    fn an_archive_is_known_by_its_name_wherever_it_lies() {
        let name = "works-20240229T123456.000Z.tar.zst";
        for (address, above) in [(name.to_owned(), "."), (format!("/{name}"), "/"), (format!("a/b/{name}"), "a/b")] {
            let (depot, found) = Depot::of_archive(&address, None).unwrap();
            assert_eq!((depot.directory().unwrap().to_str(), found), (Some(above), Some(name.parse().unwrap())));
        }
        let (depot, none) = Depot::of_archive("a/b", None).unwrap();
        assert_eq!((depot.directory().unwrap().to_str(), none), (Some("a/b"), None));
    }
}
