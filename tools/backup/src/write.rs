//! Writing an archive, as a stream: nothing is held but a file's next bytes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use tar::{Builder, EntryType, Header};

use crate::contents::{ABOUT, About, Class, Entry, MANIFEST, Manifest};
use crate::holdings::{Holding, Holdings};
use crate::locks::{Locked, Locks};
use crate::seal::Sealing;

/// zstd's level: beyond it a backup takes much longer and gets little smaller.
const LEVEL: i32 = 3;
/// Restored files belong to the service, and nobody else reads them.
const MODE: u32 = 0o640;
/// A private key is for its owner.
const KEY_MODE: u32 = 0o600;

/// Why an archive cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of the history is not there any more, or not as long as it was.
    #[error("{} was taken away or changed while it was read: begin again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The archive finds no place.
    #[error("the archive cannot be written: {0}")]
    Target(io::Error),
}

/// Writes an archive of these holdings; what was written. `progress` is told of bytes as they are read.
///
/// # Errors
/// [`WriteError`]; what was written so far is no archive then.
pub fn write(
    about: &About,
    holdings: &Holdings,
    locks: &Locks,
    to: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<Manifest, WriteError> {
    let locked = locks.lock(to).map_err(WriteError::Target)?;
    let mut packer = zstd::Encoder::new(Sealing::new(locked), LEVEL).map_err(WriteError::Target)?;
    packer.include_checksum(true).map_err(WriteError::Target)?;
    let mut writer = Writer { tar: Builder::new(packer), written_s: about.begun_unix_ns / 1_000_000_000 };
    writer.member(ABOUT, about)?;
    let mut manifest = Manifest::default();
    for (name, holding) in holdings.iter() {
        manifest.files.extend(writer.file(name, holding, progress)?);
    }
    writer.member(MANIFEST, &manifest)?;
    writer.finish().map_err(WriteError::Target)?;
    Ok(manifest)
}

/// An archive that is being written.
struct Writer<'a> {
    tar: Builder<zstd::Encoder<'static, Sealing<Locked<&'a mut dyn Write>>>>,
    written_s: u64,
}

impl Writer<'_> {
    fn header(&self, size: u64, mode: u32) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(size);
        header.set_mode(mode);
        header.set_mtime(self.written_s);
        header
    }

    /// One of the two members that tell of the others.
    fn member(&mut self, name: &str, value: &impl serde::Serialize) -> Result<(), WriteError> {
        let json = serde_json::to_vec_pretty(value).map_err(|error| WriteError::Target(error.into()))?;
        let mut header = self.header(json.len() as u64, MODE);
        self.tar.append_data(&mut header, name, &json[..]).map_err(WriteError::Target)
    }

    /// A file as it is now, with as many bytes as it has at this moment; `None` for one that is not there any more, and
    /// need not be.
    fn file(
        &mut self,
        name: &str,
        holding: &Holding,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Option<Entry>, WriteError> {
        let source = |source| WriteError::Source { path: holding.from.clone(), source };
        let file = match File::open(&holding.at) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return gone(holding),
            opened => opened.map_err(source)?,
        };
        let size = file.metadata().map_err(source)?.len();
        let mode = if holding.class == Class::PrivateKey { KEY_MODE } else { MODE };
        let mut header = self.header(size, mode);
        let mut reading = Reading { file: file.take(size), hasher: blake3::Hasher::new(), failed: None, progress };
        let appended = self.tar.append_data(&mut header, name, &mut reading);
        if let Some(error) = reading.failed {
            return Err(source(error));
        }
        appended.map_err(WriteError::Target)?;
        if reading.hasher.count() != size {
            return Err(WriteError::Changed { path: holding.from.clone() });
        }
        Ok(Some(Entry {
            name: name.to_owned(),
            class: holding.class,
            size,
            blake3: reading.hasher.finalize().to_hex().to_string(),
            from: holding.from.display().to_string(),
        }))
    }

    /// Every layer has an end that must be written.
    fn finish(self) -> io::Result<()> {
        let sealing = self.tar.into_inner()?.finish()?;
        sealing.finish()?.finish()?.flush()
    }
}

/// Agents end and begin, and with them some of their files. A day of the history goes by purging alone, and then the catalogue in the
/// archive knows more than the archive holds.
fn gone(holding: &Holding) -> Result<Option<Entry>, WriteError> {
    match holding.class {
        Class::State | Class::Checkpoint => Ok(None),
        _ => Err(WriteError::Changed { path: holding.from.clone() }),
    }
}

/// A file that is read, with its digest so far. What fails here must not be taken for a failure of the archive's place.
struct Reading<'a> {
    file: io::Take<File>,
    hasher: blake3::Hasher,
    failed: Option<io::Error>,
    progress: &'a mut dyn FnMut(u64),
}

impl Read for Reading<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.file.read(into) {
            Ok(read) => {
                self.hasher.update(&into[..read]);
                (self.progress)(read as u64);
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}
