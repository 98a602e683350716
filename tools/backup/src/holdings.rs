//! What is to be kept: files, each with the name that it gets.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::contents::{ABOUT, Class, MANIFEST};

/// Parts of names that writers give to what is not finished yet.
const UNFINISHED: [&str; 2] = ["part", "writing"];
/// So much of a file is looked at to know a private key.
const KEY_LOOK_BYTES: u64 = 64 << 10;

/// Why it is not known what is to be kept.
#[derive(Debug, thiserror::Error)]
pub enum HoldingsError {
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Two files would lie in one place.
    #[error(
        "{} and {} would both be {name} in the archive: rename one of them, or make two backups",
        one.display(), other.display()
    )]
    TwoOfAName {
        /// The name.
        name: String,
        /// One of them.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// A name that JSON cannot hold.
    #[error("{} has a name that is no UTF-8: rename it", path.display())]
    NoText {
        /// The file.
        path: PathBuf,
    },
}

/// A file that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// What it is for.
    pub class: Class,
    /// Where it is, as the restored one will be told of.
    pub from: PathBuf,
    /// Where it is read: there, or in a copy that does not change.
    pub at: PathBuf,
}

/// Everything that is to be kept, by its name in the archive.
#[derive(Clone, Debug, Default)]
pub struct Holdings(BTreeMap<String, Holding>);

impl Holdings {
    /// Adds a file under this name. The same file may be added twice.
    ///
    /// # Errors
    /// [`HoldingsError::TwoOfAName`].
    pub fn add(&mut self, name: &Path, holding: Holding) -> Result<(), HoldingsError> {
        let name = name_of(name).ok_or_else(|| HoldingsError::NoText { path: holding.from.clone() })?;
        match self.0.get(&name) {
            Some(known) if known.from != holding.from => {
                Err(HoldingsError::TwoOfAName { name, one: known.from.clone(), other: holding.from })
            }
            // What was said first of a file is more precise than what a directory says of all that is in it.
            Some(_) => Ok(()),
            None => {
                self.0.insert(name, holding);
                Ok(())
            }
        }
    }

    /// Adds a file that is read where it is; a private key whatever its class is said to be.
    ///
    /// # Errors
    /// [`HoldingsError`].
    pub fn add_file(&mut self, name: &Path, class: Class, from: &Path) -> Result<(), HoldingsError> {
        let class = match class {
            Class::Trust | Class::State if is_private_key(from) => Class::PrivateKey,
            class => class,
        };
        self.add(name, Holding { class, from: from.to_owned(), at: from.to_owned() })
    }

    /// Adds every finished file below a directory. `skipped` are directories below it that are not looked into.
    ///
    /// # Errors
    /// [`HoldingsError`].
    pub fn add_tree(
        &mut self,
        name: &Path,
        class: Class,
        from: &Path,
        skipped: &[PathBuf],
    ) -> Result<(), HoldingsError> {
        let io = |source| HoldingsError::Io { path: from.to_owned(), source };
        let mut paths = Vec::new();
        for entry in fs::read_dir(from).map_err(io)? {
            paths.push(entry.map_err(io)?.path());
        }
        paths.sort();
        for path in paths.iter().filter(|path| !is_unfinished(path)) {
            let name = name.join(path.file_name().unwrap_or_default());
            // A link to a file is kept as the file. One to a directory may lead in a circle.
            match fs::metadata(path) {
                Ok(found) if found.is_file() => self.add_file(&name, class_below(class, path), path)?,
                Ok(found) if found.is_dir() && !path.is_symlink() && !is_one_of(path, skipped) => {
                    self.add_tree(&name, class, path, skipped)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// How many bytes there are at present.
    pub fn bytes(&self) -> u64 {
        self.0.values().filter_map(|holding| fs::metadata(&holding.at).ok()).map(|found| found.len()).sum()
    }

    /// Whether there is anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them with their names, in the order of these.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Holding)> {
        self.0.iter().map(|(name, holding)| (name.as_str(), holding))
    }
}

/// A name in an archive: below its root, and none of those that it keeps for itself.
pub(crate) fn name_of(path: &Path) -> Option<String> {
    let parts = path.components().map(|part| match part {
        Component::Normal(part) => part.to_str(),
        _ => None,
    });
    let name = parts.collect::<Option<Vec<_>>>()?.join("/");
    (!name.is_empty() && name != ABOUT && name != MANIFEST).then_some(name)
}

/// What learners and runtimes keep side by side is told apart by its name.
fn class_below(class: Class, path: &Path) -> Class {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("ckpt") if class == Class::State => Class::Checkpoint,
        Some("safetensors") if class == Class::State => Class::Policy,
        _ => class,
    }
}

fn is_unfinished(path: &Path) -> bool {
    path.extension().is_some_and(|extension| UNFINISHED.iter().any(|unfinished| extension == *unfinished))
}

fn is_one_of(path: &Path, others: &[PathBuf]) -> bool {
    let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    others.iter().any(|other| canonical(other) == canonical(path))
}

/// Whether it is a key by what is in it. One that cannot be read is told when it is to be kept.
fn is_private_key(path: &Path) -> bool {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).map(|file| io::Read::take(file, KEY_LOOK_BYTES));
    let read = read.and_then(|mut file| io::Read::read_to_end(&mut file, &mut bytes));
    read.is_ok() && bytes.windows(PRIVATE_KEY.len()).any(|window| window == PRIVATE_KEY)
}

const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(holdings: &Holdings) -> Vec<(&str, Class)> {
        holdings.iter().map(|(name, holding)| (name, holding.class)).collect()
    }

    #[test]
    fn a_directory_is_kept_with_what_is_finished_in_it_and_every_file_with_its_class() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file("works.ph.main.audit", "{}");
        file("works.ph.main.audit.part", "{");
        file("ph/works.ph.main.ckpt", "CoreRLck");
        file("ph/works.ph.main.writing", "Core");
        file("pki/key.pem", "-----BEGIN PRIVATE KEY-----\n");
        file("history/hot.sqlite", "SQLite");
        std::os::unix::fs::symlink(directory.path(), directory.path().join("circle")).unwrap();
        std::os::unix::fs::symlink("works.ph.main.audit", directory.path().join("current")).unwrap();
        let mut holdings = Holdings::default();
        let skipped = [directory.path().join("history")];
        holdings.add_tree(Path::new("state"), Class::State, directory.path(), &skipped).unwrap();
        let wanted = [
            ("state/current", Class::State),
            ("state/ph/works.ph.main.ckpt", Class::Checkpoint),
            ("state/pki/key.pem", Class::PrivateKey),
            ("state/works.ph.main.audit", Class::State),
        ];
        assert_eq!(names(&holdings), wanted);
    }

    #[test]
    fn two_files_of_one_name_are_refused_and_one_that_is_named_twice_is_kept_once() {
        let mut holdings = Holdings::default();
        let name = Path::new("site.yaml");
        holdings.add_file(name, Class::Site, Path::new("/one/site.yaml")).unwrap();
        holdings.add_file(name, Class::State, Path::new("/one/site.yaml")).unwrap();
        assert_eq!(names(&holdings), [("site.yaml", Class::Site)]);
        let refused = holdings.add_file(name, Class::Site, Path::new("/two/site.yaml")).unwrap_err();
        assert!(refused.to_string().starts_with("/one/site.yaml and /two/site.yaml"), "{refused}");
    }

    #[test]
    fn a_name_lies_below_the_root_and_is_none_of_the_archives_own() {
        for name in ["", "/etc/passwd", "../x", "a/../b", ABOUT, MANIFEST] {
            assert_eq!(name_of(Path::new(name)), None, "{name}");
        }
        assert_eq!(name_of(Path::new("./a/b")), None);
        assert_eq!(name_of(Path::new("a//b/")).as_deref(), Some("a/b"));
    }
}
