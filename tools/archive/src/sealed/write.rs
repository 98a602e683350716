//! A sealed file, as it comes to be: written beside its place, on the disk, and then there.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use tables::{Coding, Column, ParquetFile, Rows as _, Value};

use super::read::Piece;
use crate::store::StoreError;

/// How a file is called until it is whole.
const DRAFT: &str = "part";

/// A file that is being written.
pub(crate) struct Draft {
    table: ParquetFile,
    place: PathBuf,
    rows: u64,
    /// The first and the last instant in it.
    times: Option<(u64, u64)>,
}

/// What was written.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) size: u64,
    pub(crate) rows: u64,
    pub(crate) first_ns: u64,
    pub(crate) last_ns: u64,
    /// Of the whole file.
    pub(crate) digest: String,
    pub(crate) pieces: Vec<Piece>,
}

impl Draft {
    /// Begins a file that shall have this place.
    pub(crate) fn begin(
        place: &Path,
        columns: &[Column],
        about: &[(&'static str, String)],
    ) -> Result<Self, StoreError> {
        if let Some(directory) = place.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = File::create(draft(place))?;
        let table = ParquetFile::begin(file, columns, about, Coding::Dense)?;
        Ok(Self { table, place: place.to_owned(), rows: 0, times: None })
    }

    /// Appends a row of this instant; in which group of rows it lies, and where in it.
    pub(crate) fn row(&mut self, unix_ns: u64, values: &[Value<'_>]) -> Result<(usize, usize), StoreError> {
        let place = self.table.place();
        self.table.row(values)?;
        self.rows += 1;
        let (first, last) = self.times.unwrap_or((unix_ns, unix_ns));
        self.times = Some((first.min(unix_ns), last.max(unix_ns)));
        Ok(place)
    }

    /// Puts the file onto the disk and at its place. A file that somebody left there is replaced. `None` for one without rows,
    /// which is not kept.
    pub(crate) fn end(self) -> Result<Option<Written>, StoreError> {
        let Self { table, place, rows, times } = self;
        let groups = table.close()?;
        let draft = draft(&place);
        let Some((first_ns, last_ns)) = times else {
            fs::remove_file(&draft)?;
            // The directories of a day stay only if they hold something.
            place.ancestors().skip(1).take(2).try_for_each(fs::remove_dir).unwrap_or_default();
            return Ok(None);
        };
        let file = File::open(&draft)?;
        file.sync_all()?;
        let size = file.metadata()?.len();
        let (digest, pieces) = digests(file, &groups, size)?;
        fs::rename(&draft, &place)?;
        sync_directories(&place)?;
        Ok(Some(Written { size, rows, first_ns, last_ns, digest, pieces }))
    }
}

fn draft(place: &Path) -> PathBuf {
    place.with_added_extension(DRAFT)
}

/// Reads the file that was written, for the digest of all of it and the checksum of each group of rows and of the footer.
fn digests(mut file: File, groups: &[u64], size: u64) -> io::Result<(String, Vec<Piece>)> {
    let mut hasher = blake3::Hasher::new();
    let mut pieces = Vec::with_capacity(groups.len() + 1);
    let mut first_byte = 0;
    for end in groups.iter().copied().chain([size]) {
        let mut bytes = Vec::new();
        (&mut file).take(end - first_byte).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != end - first_byte {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&bytes);
        pieces.push(Piece { first_byte, size: end - first_byte, crc32: crc32fast::hash(&bytes) });
        first_byte = end;
    }
    Ok((hasher.finalize().to_hex().to_string(), pieces))
}

/// The file's name, and those of its day and site, are on the disk.
fn sync_directories(place: &Path) -> io::Result<()> {
    place.ancestors().skip(1).take(3).try_for_each(|directory| File::open(directory)?.sync_all())
}
