//! Archives in a directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{DepotError, PutError};

/// An archive may hold private keys: it is for its owner.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// A directory of archives.
pub(super) struct Directory(pub(super) PathBuf);

impl Directory {
    pub(super) fn list(&self) -> Result<Vec<(String, u64)>, DepotError> {
        let failed = |source| DepotError::File { path: self.0.clone(), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let about = entry.metadata().map_err(failed)?;
            found.extend(
                entry.file_name().into_string().ok().filter(|_| about.is_file()).map(|name| (name, about.len())),
            );
        }
        Ok(found)
    }

    pub(super) fn open(&self, name: &str) -> Result<Box<dyn Read>, DepotError> {
        let path = self.0.join(name);
        let file = File::open(&path).map_err(|source| DepotError::File { path, source })?;
        Ok(Box::new(file))
    }

    /// Beside its name first, then to the disk, then under it.
    pub(super) fn put<T>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> Result<T, PutError>,
    ) -> Result<T, PutError> {
        let path = self.0.join(name);
        let failed = |source| DepotError::File { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&self.0).map_err(failed)?;
        if path.exists() {
            return Err(DepotError::Exists(path.display().to_string()).into());
        }
        let part = Part(path.with_added_extension("part"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&part.0);
        let mut to = BufWriter::new(file.map_err(failed)?);
        let filled = fill(&mut to)?;
        let file = to.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        fs::rename(&part.0, &path).map_err(failed)?;
        self.sync().map_err(failed)?;
        Ok(filled)
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), DepotError> {
        let path = self.0.join(name);
        let removed = fs::remove_file(&path).and_then(|()| self.sync());
        removed.map_err(|source| DepotError::File { path, source })
    }

    /// Names are on the disk once their directory is.
    fn sync(&self) -> io::Result<()> {
        let directory = if self.0.as_os_str().is_empty() { Path::new(".") } else { &self.0 };
        File::open(directory)?.sync_all()
    }
}

/// An archive that is not finished: of no use, and perhaps what fills the disk.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::WriteError;

    #[test]
    fn what_is_finished_is_for_its_owner_and_what_fails_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory(place.path().join("backups"));
        let failing = directory.put("a", |to| {
            to.write_all(b"half").unwrap();
            assert_eq!(directory.list().unwrap()[0].0, "a.part");
            Err::<(), _>(PutError::Archive(WriteError::Changed { path: "x".into() }))
        });
        assert!(failing.is_err() && directory.list().unwrap().is_empty());
        let whole =
            |to: &mut dyn Write| to.write_all(b"whole").map_err(|error| PutError::Archive(WriteError::Target(error)));
        directory.put("a", whole).unwrap();
        let mode = fs::metadata(directory.0.join("a")).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, directory.list().unwrap()), (FILE_MODE, vec![("a".to_owned(), 5)]));
        let again = directory.put("a", |_| Ok(()));
        assert!(matches!(again, Err(PutError::Depot(DepotError::Exists(_)))));
        directory.remove("a").unwrap();
        assert!(directory.list().unwrap().is_empty());
    }
}
