//! Where a history lies.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use archive::Reader;
use recall::AskError;
use rt_config::Site;
use rt_recording::{MAGIC, capture};

use crate::observation::Observation;
use crate::observer::{UnfitTable, observe_table};
use crate::recollection::Recollection;
use crate::recording::{UnfitRecording, observe_recording};
use crate::table::{Table, TableRefused};

/// A history that can be gone through as often as one likes.
#[derive(Debug)]
pub enum Source {
    /// A table, in memory.
    Table(Table),
    /// A recording of `corerl run --record`, on disk.
    Recording(PathBuf),
    /// The directory of a historian.
    Archive(PathBuf),
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
    /// What the historian kept cannot be read.
    #[error(transparent)]
    Archive(#[from] AskError),
    /// Nothing is kept of the site's agent.
    #[error("nothing is kept of {0}: `corerl data tags` says of whom something is")]
    NobodyKept(String),
    /// It does not fit the site.
    #[error(transparent)]
    UnfitTable(#[from] UnfitTable),
    /// It does not fit the site, or is damaged.
    #[error(transparent)]
    UnfitRecording(#[from] UnfitRecording),
}

impl Source {
    /// Opens a historian's directory, a recording, or else a table.
    ///
    /// # Errors
    /// It cannot be read, or is neither.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        if path.is_dir() {
            return Ok(Self::Archive(path.to_owned()));
        }
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
    pub fn observe(&self, site: &Site, mut take: impl FnMut(&Observation)) -> Result<(), SourceError> {
        match self {
            Self::Table(table) => observe_table(site, table, take)?,
            Self::Archive(directory) => {
                let reader = Reader::open(directory).map_err(AskError::from)?;
                let mut past = Recollection::of(site, Box::new(reader), u64::MAX)?;
                while past.go_on(&mut take)? {}
            }
            Self::Recording(path) => observe_recording(site, BufReader::new(File::open(path)?), take)?,
        }
        Ok(())
    }
}
