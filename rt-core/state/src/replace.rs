//! Files that are replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Of what the service keeps: readable for its group, writable for itself.
pub(crate) const FILE_MODE: u32 = 0o640;
/// The directory is the service's; its group may look into it.
const DIRECTORY_MODE: u32 = 0o750;

/// Writes a file, with this mode where the user's mask permits: beside its place first, then to the disk, then moved into
/// place. So there is the old file or the new one, whenever the process dies or the power fails.
///
/// # Errors
/// The system's. The old file is untouched then, and no half of a new one is left beside it.
pub fn replace(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_added_extension("part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, path));
    written.inspect_err(|_| remove_half_written(&beside))?;
    sync_directory(path)
}

/// It is of no use, and may be what fills the disk. A device or a link was put there by somebody else, and stays.
fn remove_half_written(beside: &Path) {
    if fs::symlink_metadata(beside).is_ok_and(|found| found.is_file()) {
        let _ = fs::remove_file(beside);
    }
}

/// Makes the directory of a file, and what is above it.
pub(crate) fn make_directory_of(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(directory) => DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory),
        None => Ok(()),
    }
}

/// Removes a file, for good; there need not be one.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) => Ok(()),
        Ok(()) => sync_directory(path),
    }
}

/// A name is on the disk once its directory is.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_finds_no_room_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        replace(&path, FILE_MODE, b"old").unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join("file.part")).unwrap();
        assert_eq!(replace(&path, FILE_MODE, b"new").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        fs::remove_file(dir.path().join("file.part")).unwrap();
        replace(&path, FILE_MODE, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_could_not_be_put_into_its_place_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, FILE_MODE, b"new").is_err());
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "something is left beside it");
    }
}
