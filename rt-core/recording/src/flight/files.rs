//! The flight recorder's files: their names, and how many there are.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::volume;

/// How all of them end.
const ENDING: &str = "cap";

/// The directory, and what names of this agent begin with.
#[derive(Debug)]
pub(super) struct Shelf {
    directory: PathBuf,
    beginning: String,
}

/// Where one file is while it is being written, and where then.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) part: PathBuf,
    pub(super) path: PathBuf,
}

impl Place {
    /// The file that will be written: locked, so that everybody sees that its writer lives.
    pub(super) fn create(&self) -> io::Result<File> {
        loop {
            let file = volume::create_new_private(&self.part)?;
            match file.try_lock() {
                // Where nothing can be locked, nobody takes it for a leftover either.
                Ok(()) | Err(TryLockError::Error(_)) => {}
                Err(TryLockError::WouldBlock) => continue,
            }
            // Before it was locked, whoever looks for leftovers may have taken it for one.
            if fs::metadata(&self.part).is_ok_and(|found| file.metadata().is_ok_and(|own| own.ino() == found.ino())) {
                return Ok(file);
            }
        }
    }

    /// From now on it is whole.
    pub(super) fn give_name(&self) -> io::Result<()> {
        fs::rename(&self.part, &self.path)
    }

    /// A file that cannot be whole is worth nothing.
    pub(super) fn discard(&self) {
        if fs::remove_file(&self.part).is_err() {
            // It has its name already, and is not on the disk for certain.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Shelf {
    pub(super) fn new(directory: PathBuf, prefix: String) -> Self {
        Self { directory, beginning: format!("{prefix}.flight-") }
    }

    /// The place of a file of this time.
    pub(super) fn place(&self, time: &str, cause: &str) -> io::Result<Place> {
        fs::create_dir_all(&self.directory)?;
        let time: String = time.chars().filter(|character| !matches!(character, '-' | ':')).collect();
        let name = format!("{}{time}-{cause}", self.beginning);
        let further = (2..).map(|number| format!("{name}-{number}"));
        let path = |name: &str| self.directory.join(format!("{name}.{ENDING}"));
        let is_free = |name: &String| fs::symlink_metadata(path(name)).is_err();
        let name = std::iter::once(name.clone()).chain(further).find(is_free).unwrap_or(name);
        let pid = std::process::id();
        Ok(Place { part: self.directory.join(format!(".{name}.{pid}.part")), path: path(&name) })
    }

    /// Removes the oldest files until all have at most so many bytes; never the newest, if one is named. How many went, and the
    /// bytes of those that stay.
    pub(super) fn make_room(&self, bytes_max: u64, newest: Option<&Path>) -> (usize, u64) {
        let mut files = self.files();
        // Names begin with the time.
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
        let mut removed = 0;
        for (path, size) in files.iter().filter(|(path, _)| Some(path.as_path()) != newest) {
            if bytes <= bytes_max {
                break;
            }
            if fs::remove_file(path).is_ok() {
                (bytes, removed) = (bytes - size, removed + 1);
            }
        }
        (removed, bytes)
    }

    /// Gives what processes that are no more have left a name that says what it is.
    pub(super) fn keep_leftovers(&self) -> Vec<PathBuf> {
        let mut kept = Vec::new();
        for (name, path) in self.entries() {
            let Some((name, _)) = name.strip_prefix('.').and_then(|name| {
                name.strip_suffix(".part")?.rsplit_once('.').filter(|(name, _)| name.starts_with(&self.beginning))
            }) else {
                continue;
            };
            // Another runtime of the same agent, one that stands by say, may be writing a file of its own. The lock is held until
            // the file has its other name.
            let Ok(file) = File::open(&path) else { continue };
            if file.try_lock().is_err() {
                continue;
            }
            if file.metadata().is_ok_and(|found| found.len() == 0) {
                let _ = fs::remove_file(&path);
                continue;
            }
            let to = self.directory.join(format!("{name}-cut.{ENDING}"));
            if fs::rename(path, &to).is_ok() {
                kept.push(to);
            }
        }
        kept
    }

    /// The newest of them: names begin with the time.
    pub(super) fn newest(&self) -> Option<PathBuf> {
        self.files().into_iter().map(|(path, _)| path).max()
    }

    /// The files that have their names, with their bytes.
    fn files(&self) -> Vec<(PathBuf, u64)> {
        let is_ours = |name: &str| name.starts_with(&self.beginning) && name.ends_with(&format!(".{ENDING}"));
        let ours = self.entries().filter(|(name, _)| is_ours(name));
        ours.filter_map(|(_, path)| Some((path.clone(), fs::metadata(path).ok()?.len()))).collect()
    }

    fn entries(&self) -> impl Iterator<Item = (String, PathBuf)> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
    }
}
