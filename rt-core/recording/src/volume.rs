//! One file of a recording, and its place among the older ones.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::frame::{CycleFrame, DIGEST_BYTES, Differences, Frame, PREAMBLE_BYTES, digest, head, preamble};

/// Recordings hold everything about a plant: they are their owner's alone.
const MODE: u32 = 0o600;

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Volume {
    file: BufWriter<File>,
    digest: [u8; DIGEST_BYTES],
    differences: Differences,
    bytes: u64,
}

impl Volume {
    /// Makes room at `path` and begins a file there. What lies there becomes `path.1`, and so on; of the older ones so many
    /// are kept.
    pub(crate) fn create(path: &Path, older_kept: usize) -> io::Result<Self> {
        make_room(path, older_kept)?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)?;
        let (bytes, digest) = preamble();
        let mut file = BufWriter::new(file);
        file.write_all(&bytes)?;
        Ok(Self { file, digest, differences: Differences::default(), bytes: PREAMBLE_BYTES as u64 })
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn cycle(&mut self, mut cycle: Box<CycleFrame>) -> io::Result<()> {
        self.differences.take(&mut cycle);
        self.frame(&Frame::Cycle(cycle))
    }

    /// Appends a frame; of a cycle its differences.
    pub(crate) fn frame(&mut self, frame: &Frame) -> io::Result<()> {
        let payload = postcard::to_allocvec(frame).map_err(io::Error::other)?;
        let head = head(u32::try_from(payload.len()).map_err(io::Error::other)?);
        self.digest = digest(&self.digest, &head, &payload);
        self.file.write_all(&head)?;
        self.file.write_all(&payload)?;
        self.file.write_all(&self.digest)?;
        self.bytes += (head.len() + payload.len() + DIGEST_BYTES) as u64;
        Ok(())
    }

    /// Hands everything to the operating system: from now on a crash of this process loses nothing of it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Hands everything to the disk.
    pub(crate) fn close(mut self) -> io::Result<()> {
        self.file.flush()?;
        match self.file.get_ref().sync_data() {
            // A pipe or a device has nothing to be synchronised.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            done => done,
        }
    }

    /// Leaves the file as the disk has it: what is still buffered would fail like what came before it.
    pub(crate) fn abandon(self) {
        let _ = self.file.into_parts();
    }

    /// Takes the file away again.
    pub(crate) fn discard(self, path: &Path) {
        self.abandon();
        if fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The place of an older file: the first one is 1.
fn older(path: &Path, age: usize) -> PathBuf {
    path.with_added_extension(age.to_string())
}

/// Moves what lies at `path` to `path.1`, and that to `path.2`. What is no ordinary file stays, and so does an empty one.
fn make_room(path: &Path, older_kept: usize) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        _ if older_kept == 0 => return Ok(()),
        Ok(found) if found.is_file() && found.len() > 0 => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => return Ok(()),
    }
    let move_if_there = |from: &Path, to: &Path| match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    };
    for age in (1..older_kept).rev() {
        move_if_there(&older(path, age), &older(path, age + 1))?;
    }
    move_if_there(path, &older(path, 1))
}
