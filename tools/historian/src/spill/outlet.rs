//! Reading a log in its order, and forgetting what was read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use archive::RunId;

use super::frame::{Frames, Next, Place};
use super::{Book, Entry, Position, Shared, Spilled, State, path};

/// Bytes that are handed out at once, unless one commit is longer.
const BATCH_BYTES: u64 = 4 << 20;

/// What comes out of a log.
#[derive(Debug)]
pub(crate) enum Piece {
    /// What was known before what comes next.
    Head(Book),
    Commit(Spilled),
    /// So many bytes cannot be read.
    Damaged(u64),
}

/// The log's reader. What it hands out comes again until it is [`done`](Outlet::done).
#[derive(Debug)]
pub(crate) struct Outlet {
    directory: PathBuf,
    shared: Arc<Shared>,
    /// The first one that was not handed out.
    next: Place,
}

impl Outlet {
    pub(super) const fn new(directory: PathBuf, shared: Arc<Shared>) -> Self {
        Self { directory, shared, next: Place { segment: 0, offset: 0 } }
    }

    /// Waits until there is something, at most so long.
    pub(crate) fn wait(&self, patience: Duration) {
        let state = self.shared.state();
        let idle = |state: &mut State| !state.is_closed && state.next().is_none();
        let waited = self.shared.changed.wait_timeout_while(state, patience, idle);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Sleeps, unless the log is closed.
    pub(crate) fn sleep(&self, time: Duration) {
        let open = |state: &mut State| !state.is_closed;
        let waited = self.shared.changed.wait_timeout_while(self.shared.state(), time, open);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.shared.state().is_closed
    }

    /// Bytes that are not done.
    pub(crate) fn behind(&self) -> u64 {
        self.shared.state().behind()
    }

    /// The oldest pieces that are not done, of one segment; none if there are none.
    pub(crate) fn take(&mut self) -> io::Result<Vec<Piece>> {
        let Some((place, end)) = self.shared.state().next() else { return Ok(Vec::new()) };
        let mut bytes = vec![0; (end - place.offset) as usize];
        match File::open(path(&self.directory, place.segment))
            .and_then(|file| file.read_exact_at(&mut bytes, place.offset))
        {
            Ok(()) => {}
            // It was dropped just now, or taken away by somebody, or is shorter than it was: nothing will bring it back.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
                self.next = Place { offset: end, ..place };
                return Ok(vec![Piece::Damaged(end - place.offset)]);
            }
            Err(error) => return Err(error),
        }
        let mut frames = Frames::new(&bytes, place);
        let mut pieces = Vec::new();
        while let Some(next) = frames.next() {
            pieces.push(match next {
                Next::Entry(Entry::Head { book, .. }) => Piece::Head(book),
                Next::Entry(Entry::Commit(spilled)) => Piece::Commit(spilled),
                Next::Damaged(count) => Piece::Damaged(count),
                Next::Unknown => Piece::Damaged(0),
            });
            if frames.offset() - place.offset >= BATCH_BYTES {
                break;
            }
        }
        self.next = Place { offset: frames.offset(), ..place };
        Ok(pieces)
    }

    /// What was handed out last is where it belongs, and runs are so far there.
    pub(crate) fn done(&mut self, drained: BTreeMap<RunId, Position>) {
        let mut state = self.shared.state();
        state.at = self.next;
        state.drained.extend(drained);
        // Whole segments that are done go. The last one stays: it knows the runs, and may still be written.
        while state.segments.len() > 1
            && let Some(oldest) = state.segments.front().copied()
            && (oldest.number < state.at.segment
                || oldest.number == state.at.segment && oldest.is_ended && oldest.length <= state.at.offset)
        {
            let path = path(&self.directory, oldest.number);
            if let Err(error) = std::fs::remove_file(&path) {
                // It is read and recognised once more after the next start.
                tracing::warn!("{} cannot be removed: {error}", path.display());
            }
            state.segments.pop_front();
        }
    }
}
