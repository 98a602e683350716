//! The way back: an archive becomes a directory, as a whole or not at all.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::locks::Keys;
use crate::read::{Contents, ReadError, Taker, read};

/// A site's directory: its group may look into it.
const DIRECTORY_MODE: u32 = 0o750;

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Something is there already.
    #[error(
        "{} is not empty, and nothing there is overwritten: name a place that is empty or not there yet",
        .0.display()
    )]
    NotEmpty(PathBuf),
    /// The place cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Place {
        /// The place.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The archive is not believed.
    #[error(transparent)]
    Archive(#[from] ReadError),
}

/// Restores an archive to a directory that is empty or not there: beside it first, and into place once the last byte has been
/// checked and is on the disk.
///
/// # Errors
/// [`RestoreError`]; the directory is as it was.
pub fn restore(from: impl Read, keys: &Keys, to: &Path) -> Result<Contents, RestoreError> {
    let place = |source| RestoreError::Place { path: to.to_owned(), source };
    let to = std::path::absolute(to).map_err(place)?;
    if !is_free(&to).map_err(place)? {
        return Err(RestoreError::NotEmpty(to));
    }
    let parent = to.parent().ok_or_else(|| RestoreError::NotEmpty(to.clone()))?;
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(parent).map_err(place)?;
    let beside = tempfile::Builder::new().prefix(".restoring-").tempdir_in(parent).map_err(place)?;
    let mut unpacking = Unpacking { root: beside.path(), directories: BTreeSet::new() };
    let contents = match read(from, keys, &mut unpacking) {
        Err(ReadError::Taker(error)) => return Err(place(error)),
        read => read?,
    };
    unpacking.sync().map_err(place)?;
    fs::set_permissions(beside.path(), Permissions::from_mode(DIRECTORY_MODE)).map_err(place)?;
    // An empty directory gives way; anything that came into it meanwhile is an error.
    fs::rename(beside.path(), &to).map_err(place)?;
    // It is not there any more, and so cannot be removed.
    let _ = beside.keep();
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(place)?;
    Ok(contents)
}

fn is_free(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(error),
    }
}

/// Puts files below a root, onto the disk.
struct Unpacking<'a> {
    root: &'a Path,
    directories: BTreeSet<PathBuf>,
}

impl Unpacking<'_> {
    /// Names are on the disk once their directories are.
    fn sync(&self) -> io::Result<()> {
        let below = self.directories.iter().map(PathBuf::as_path);
        below.chain([self.root]).try_for_each(|directory| File::open(directory)?.sync_all())
    }
}

impl Taker for Unpacking<'_> {
    fn take(&mut self, name: &str, mode: u32, bytes: &mut dyn Read) -> io::Result<()> {
        let path = self.root.join(name);
        let above = path.ancestors().skip(1).take_while(|directory| *directory != self.root);
        self.directories.extend(above.map(Path::to_owned));
        if let Some(directory) = path.parent() {
            DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        io::copy(bytes, &mut file)?;
        file.sync_all()
    }
}
