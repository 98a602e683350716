//! Who is asked what was kept, and where it looks.

use std::path::PathBuf;
use std::sync::Arc;

use archive::Reader;
use recall::{Files, Host, Refusal, Source, Status};

use crate::board::Board;
use crate::postgres::{Reading, Target};

/// Where a historian keeps, for whoever reads.
#[derive(Clone, Debug)]
pub enum Kept {
    /// In an archive in this directory.
    Archive(PathBuf),
    /// In this database.
    Database(Box<Target>),
}

/// Answers by what is on the board and in the place where things are kept. Each caller has a look of its own.
#[derive(Debug)]
pub struct Desk {
    board: Arc<Board>,
    kept: Kept,
}

impl Desk {
    /// Answers for this place.
    pub fn new(board: Arc<Board>, kept: Kept) -> Self {
        Self { board, kept }
    }
}

impl Host for Desk {
    fn status(&self) -> Status {
        self.board.status()
    }

    fn source(&self) -> Result<Box<dyn Source>, Refusal> {
        let unreadable = |why: String| Refusal::Unreadable(why);
        match &self.kept {
            Kept::Archive(directory) => match Reader::open(directory) {
                Ok(reader) => Ok(Box::new(Files(reader))),
                Err(error) => Err(unreadable(error.to_string())),
            },
            Kept::Database(target) => match Reading::connect(target) {
                Ok(database) => Ok(Box::new(database)),
                Err(error) => Err(unreadable(format!("{target}: {error}"))),
            },
        }
    }
}
