//! One file of a recording, and its place among the older ones.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::chain;
use crate::frame::{CycleFrame, Differences, FORMAT, Frame};

/// Recordings hold everything about a plant: they are their owner's alone.
const MODE: u32 = 0o600;

/// A new or emptied file that is its owner's alone.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)
}

/// A new file that is its owner's alone; nothing that is there already is touched.
pub(crate) fn create_new_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)
}

/// Hands everything to the disk.
pub(crate) fn to_the_disk(mut file: BufWriter<File>) -> io::Result<()> {
    file.flush()?;
    match file.get_ref().sync_data() {
        // A pipe or a device has nothing to be synchronised.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        done => done,
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Volume {
    chain: chain::Writer<BufWriter<File>>,
    differences: Differences,
}

impl Volume {
    /// Makes room at `path` and begins a file there. What lies there becomes `path.1`, and so on; of the older ones so many
    /// are kept.
    pub(crate) fn create(path: &Path, older_kept: usize) -> io::Result<Self> {
        make_room(path, older_kept)?;
        let chain = chain::Writer::begin(BufWriter::new(create_private(path)?), FORMAT)?;
        Ok(Self { chain, differences: Differences::default() })
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.chain.bytes()
    }

    pub(crate) fn cycle(&mut self, mut cycle: Box<CycleFrame>) -> io::Result<()> {
        self.differences.take(&mut cycle);
        self.frame(&Frame::Cycle(cycle))
    }

    /// Appends a frame; of a cycle its differences.
    pub(crate) fn frame(&mut self, frame: &Frame) -> io::Result<()> {
        self.chain.append(frame)
    }

    /// Hands everything to the operating system: from now on a crash of this process loses nothing of it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.chain.flush()
    }

    /// Hands everything to the disk.
    pub(crate) fn close(self) -> io::Result<()> {
        to_the_disk(self.chain.into_output())
    }

    /// Leaves the file as the disk has it: what is still buffered would fail like what came before it.
    pub(crate) fn abandon(self) {
        let _ = self.chain.into_output().into_parts();
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
