//! Files that are there as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure};

/// A file that is being written under another name; who may read it, the user's umask says. Unless it is [kept](Self::keep), it
/// goes away again.
#[derive(Debug)]
pub(crate) struct FreshFile {
    path: PathBuf,
    under_way: PathBuf,
    file: File,
}

impl FreshFile {
    /// Begins a file that shall be called so; what is there already stays unless `force`.
    pub(crate) fn begin(path: &Path, force: bool) -> Result<Self, Failure> {
        if !force && fs::symlink_metadata(path).is_ok() {
            let message = format!("{} is there already: name another file, or give --force", path.display());
            return Err(Failure::new(Exit::Usage, message));
        }
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty() && !directory.is_dir());
        if let Some(directory) = directory {
            let message = format!("there is no directory {}: make it, or name another one", directory.display());
            return Err(Failure::new(Exit::Unavailable, message));
        }
        let under_way = path.with_added_extension("part");
        let file = OpenOptions::new().write(true).create_new(true).open(&under_way);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                let message = format!(
                    "{} is there already: another command writes it, or one was cut off; remove it if nothing writes it, \
                     or name another file",
                    under_way.display()
                );
                Failure::new(Exit::Usage, message)
            }
            _ => Failure::io(format_args!("cannot write {}", under_way.display()), &error),
        })?;
        Ok(Self { path: path.to_owned(), under_way, file })
    }

    /// Writes all of a file that shall be called so.
    pub(crate) fn write(path: &Path, force: bool, bytes: &[u8]) -> Result<(), Failure> {
        let fresh = Self::begin(path, force)?;
        fresh.file()?.write_all(bytes).map_err(|error| fresh.unwritten(&error))?;
        fresh.keep()
    }

    /// Whether a file can be called so. Nothing is there afterwards that was not there before.
    pub(crate) fn can_be(path: &Path, force: bool) -> Result<(), Failure> {
        Self::begin(path, force).map(drop)
    }

    /// The file, to be written.
    pub(crate) fn file(&self) -> Result<File, Failure> {
        self.file.try_clone().map_err(|error| self.unwritten(&error))
    }

    /// Gives it its name once all of it is on the disk.
    pub(crate) fn keep(self) -> Result<(), Failure> {
        let done = self.file.sync_all().and_then(|()| fs::rename(&self.under_way, &self.path));
        done.map_err(|error| self.unwritten(&error))
    }

    fn unwritten(&self, error: &std::io::Error) -> Failure {
        Failure::io(format_args!("cannot write {}", self.path.display()), error)
    }
}

impl Drop for FreshFile {
    fn drop(&mut self) {
        // After `keep` nothing is there under this name any more.
        let _ = fs::remove_file(&self.under_way);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_missing_is_what_the_message_names() {
        let directory = tempfile::tempdir().unwrap();
        let refused = FreshFile::write(&directory.path().join("none/out.csv"), true, b"").unwrap_err();
        assert!(refused.to_string().ends_with("none: make it, or name another one"), "{refused}");
        assert_eq!(refused.exit(), Exit::Unavailable);
    }

    #[test]
    fn a_file_is_there_once_it_is_whole_and_never_takes_anothers_place_unasked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.csv");
        let names = || fs::read_dir(directory.path()).unwrap().count();
        drop(FreshFile::begin(&path, false).unwrap());
        assert_eq!(names(), 0, "what was given up leaves nothing behind");
        let fresh = FreshFile::begin(&path, false).unwrap();
        fresh.file().unwrap().write_all(b"one").unwrap();
        assert!(!path.exists());
        fresh.keep().unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"one".to_vec(), 1));
        assert_eq!(FreshFile::begin(&path, false).unwrap_err().report(), Exit::Usage);
        let forced = FreshFile::begin(&path, true).unwrap();
        forced.file().unwrap().write_all(b"two").unwrap();
        forced.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let foreign = directory.path().join("out.csv.part");
        fs::write(&foreign, "of somebody else").unwrap();
        let refused = FreshFile::begin(&path, true).unwrap_err();
        assert!(refused.to_string().contains("remove it if nothing writes it"), "{refused}");
        assert_eq!((refused.exit(), fs::read(&foreign).unwrap()), (Exit::Usage, b"of somebody else".to_vec()));
    }
}
