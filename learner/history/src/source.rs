//! Where a history lies.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use rt_config::Site;
use rt_recording::{MAGIC, capture};

use crate::observation::{Observation, UnfitRecording, UnfitTable, observe_recording, observe_table};
use crate::table::{Table, TableRefused};

/// A history that can be gone through as often as one likes.
#[derive(Debug)]
pub enum Source {
    /// A table, in memory.
    Table(Table),
    /// A recording of `corerl run --record`, on disk.
    Recording(PathBuf),
}

/// Why there is nothing to go through.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is no table.
    #[error(transparent)]
    Table(#[from] TableRefused),
    /// It does not fit the site.
    #[error(transparent)]
    UnfitTable(#[from] UnfitTable),
    /// It does not fit the site, or is damaged.
    #[error(transparent)]
    UnfitRecording(#[from] UnfitRecording),
}

impl Source {
    /// Opens a file: a recording, or else a table.
    ///
    /// # Errors
    /// It cannot be read, or is neither.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let mut beginning = Vec::new();
        File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut beginning)?;
        // A capture is refused by whoever reads recordings, with what it is.
        if beginning == MAGIC || beginning == capture::MAGIC {
            return Ok(Self::Recording(path.to_owned()));
        }
        Ok(Self::Table(Table::read(path)?))
    }

    /// Goes through all observations, as this site makes them.
    ///
    /// # Errors
    /// It does not fit the site, or cannot be read to its end.
    pub fn observe(&self, site: &Site, take: impl FnMut(&Observation)) -> Result<(), SourceError> {
        match self {
            Self::Table(table) => observe_table(site, table, take)?,
            Self::Recording(path) => observe_recording(site, BufReader::new(File::open(path)?), take)?,
        }
        Ok(())
    }
}
