//! The spill log: commits on their way into a database that may be away.
//!
//! # Contract
//! - A commit that was accepted is on the disk: it survives the loss of power. One that was not accepted has left nothing that
//!   anybody would read twice.
//! - Commits come out in the order in which they went in. What cannot be read any more is told.
//! - The log is never longer than its budget: what does not fit pushes out the oldest commits.
//!
//! A log is a directory of segments. Each opens with a [`Book`], which knows the runs, their tracks and how far they are; commits
//! follow as [`frame`]s. A [`Spill`] writes, an [`Outlet`] reads; segments that were read to their end are removed. Behind a failed
//! write or fsync nothing is appended to the same segment: what was written since the last good one counts as lost and is
//! written again into a new segment.

mod book;
mod disk;
mod frame;
mod outlet;

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use archive::{Commit, Kept, Point, Run, RunId, TrackId, TrackName};
use serde::{Deserialize, Serialize};

pub(crate) use book::{Book, ClockAt, Position, Track, unix_ns};
pub(crate) use disk::{Disk, Files};
use frame::{Frames, Next, Place};
pub(crate) use outlet::{Outlet, Piece};

/// The form of what lies in a frame.
const VERSION: u32 = 1;
/// A segment ends when it is longer, bytes.
const SEGMENT_BYTES_MAX: u64 = 16 << 20;
/// Segments that a full log has at least, so that a small part of it is dropped at once.
const SEGMENTS: u64 = 16;
/// A shorter log is refused, bytes.
pub const BUDGET_MIN: u64 = 64 << 10;

/// Why a commit is not in the log.
#[derive(Debug, thiserror::Error)]
pub enum SpillError {
    /// The disk says so.
    #[error("the spill log {} cannot be {action}: {source}", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is another one.
    #[error("another historian writes the spill log {}", .0.display())]
    Taken(PathBuf),
    /// Another version's.
    #[error("{} was written by another version of this program: let that one empty the log", .0.display())]
    Foreign(PathBuf),
    /// It is longer than the log.
    #[error("a commit of {bytes} bytes is longer than the spill log, which has {budget}: give it a larger budget")]
    TooLong {
        /// The commit's length.
        bytes: u64,
        /// The log's.
        budget: u64,
    },
    /// The budget is too small.
    #[error("a spill log has at least {BUDGET_MIN} bytes, and not {0}")]
    TooSmall(u64),
    /// It would not follow on what is there.
    #[error("a commit begins with {what} {given}, and {next} is next")]
    OutOfOrder {
        /// cycle or event.
        what: &'static str,
        /// Where it begins.
        given: u64,
        /// Where it should.
        next: u64,
    },
    /// Nobody has begun it.
    #[error("the run is not known to the spill log")]
    UnknownRun,
    /// They are not in the database either.
    #[error("{0} runs wait for the database already, and there is no room for one more")]
    TooManyRuns(usize),
}

/// What a frame holds.
#[derive(Debug, Serialize, Deserialize)]
enum Entry<B = Book, C = Spilled> {
    /// At a segment's beginning.
    Head {
        version: u32,
        book: B,
    },
    Commit(C),
}

/// A commit with what is needed to read it alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spilled<C = Commit> {
    pub(crate) run: RunId,
    /// The clock that holds for all its points.
    pub(crate) clock: Option<ClockAt>,
    pub(crate) commit: C,
}

/// What the writer and the reader of a log both see.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// In their order; the last one may be the one that is written.
    segments: VecDeque<Segment>,
    /// The first frame that is not in the database.
    at: Place,
    /// How far runs are there.
    drained: BTreeMap<RunId, Position>,
    is_closed: bool,
}

/// A segment, as far as it is on the disk.
#[derive(Clone, Copy, Debug)]
struct Segment {
    number: u64,
    length: u64,
    /// Nothing more comes.
    is_ended: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock leaves the state half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    /// Of those that are not in the database.
    fn behind(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length.saturating_sub(self.offset(segment))).sum()
    }

    /// Where the next frame lies, and the end of what is on the disk of its segment.
    fn next(&self) -> Option<(Place, u64)> {
        let segment = self.segments.iter().find(|segment| self.offset(segment) < segment.length)?;
        Some((Place { segment: segment.number, offset: self.offset(segment) }, segment.length))
    }

    /// How far a segment is in the database.
    fn offset(&self, segment: &Segment) -> u64 {
        match segment.number.cmp(&self.at.segment) {
            Ordering::Less => segment.length,
            Ordering::Equal => self.at.offset,
            Ordering::Greater => 0,
        }
    }

    fn end(&mut self, number: u64) {
        self.segments.iter_mut().filter(|segment| segment.number == number).for_each(|segment| segment.is_ended = true);
    }
}

/// The log's writer.
#[derive(Debug)]
pub(crate) struct Spill<D: Disk = Files> {
    directory: PathBuf,
    disk: D,
    budget: u64,
    book: Book,
    shared: Arc<Shared>,
    /// `None` if the next commit begins a segment.
    current: Option<Current<D::File>>,
    next_segment: u64,
    _lock: File,
}

#[derive(Debug)]
struct Current<F> {
    number: u64,
    file: F,
    /// Of what is on the disk.
    length: u64,
}

impl<D: Disk> Spill<D> {
    /// Opens a log, or begins one. Whatever another process left at its end and did not finish is not there.
    pub(crate) fn open(directory: &Path, budget: u64, disk: D) -> Result<Self, SpillError> {
        if budget < BUDGET_MIN {
            return Err(SpillError::TooSmall(budget));
        }
        let lock = lock(directory)?;
        let segments = segments(directory).map_err(failed("read", directory))?;
        let book = newest_book(directory, &segments)?;
        let next_segment = segments.back().map_or(1, |last| last.number + 1);
        let shared = Arc::new(Shared { state: State { segments, ..State::default() }.into(), ..Shared::default() });
        let directory = directory.to_owned();
        Ok(Self { directory, disk, budget, book, shared, current: None, next_segment, _lock: lock })
    }

    /// Reads what this one writes. There is one reader.
    pub(crate) fn outlet(&self) -> Outlet {
        Outlet::new(self.directory.clone(), Arc::clone(&self.shared))
    }

    /// What is known of this run; from now on it is known.
    pub(crate) fn run(&mut self, run: &Run) -> Result<Kept, SpillError> {
        let (kept, is_new) = self.book.run(run)?;
        if is_new {
            self.end_segment();
        }
        Ok(kept)
    }

    /// The numbers of a run's tracks; from now on they are known.
    pub(crate) fn tracks(&mut self, run: RunId, names: &[TrackName]) -> Result<Vec<TrackId>, SpillError> {
        let (ids, are_new) = self.book.tracks(run, names)?;
        if are_new {
            self.end_segment();
        }
        Ok(ids)
    }

    pub(crate) fn newest(&self, run: RunId, track: TrackId) -> Result<Option<Point>, SpillError> {
        Ok(self.book.get(run)?.newest(track))
    }

    pub(crate) fn unix_ns(&self, run: RunId, cycle: u64) -> Result<Option<u64>, SpillError> {
        let known = self.book.get(run)?;
        Ok(known.clock.map(|clock| unix_ns(clock, known.run.period_ns, cycle)))
    }

    /// Puts a commit on the disk.
    pub(crate) fn commit(&mut self, run: RunId, commit: &Commit) -> Result<(), SpillError> {
        self.book.follows(run, commit)?;
        let clock = commit.clock.or(self.book.get(run)?.clock);
        let spilled = Spilled { run, clock, commit };
        // Once more in a new segment: what a failed fsync was about is not on the disk, whatever the next one says.
        self.append(&spilled).or_else(|error| match error {
            SpillError::Disk { .. } => self.append(&spilled),
            other => Err(other),
        })?;
        self.book.apply(run, commit, clock);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Bytes that are not in the database.
    pub(crate) fn behind(&self) -> u64 {
        self.shared.state().behind()
    }

    /// Its reader ends when it has nothing to do.
    pub(crate) fn close(&self) {
        self.shared.state().is_closed = true;
        self.shared.changed.notify_all();
    }

    fn append(&mut self, spilled: &Spilled<&Commit>) -> Result<(), SpillError> {
        let segment_bytes = (self.budget / SEGMENTS).min(SEGMENT_BYTES_MAX);
        if self.current.as_ref().is_some_and(|current| current.length >= segment_bytes) {
            self.end_segment();
        }
        match self.current.take() {
            Some(current) => self.append_to(current, spilled),
            None => self.begin_segment(spilled),
        }
    }

    fn append_to(&mut self, mut current: Current<D::File>, spilled: &Spilled<&Commit>) -> Result<(), SpillError> {
        let number = current.number;
        let place = Place { segment: number, offset: current.length };
        let mut bytes = Vec::new();
        let room = self
            .put(&mut bytes, place, &Entry::<Book, _>::Commit(spilled))
            .and_then(|()| self.make_room(bytes.len() as u64));
        if let Err(error) = room {
            self.current = Some(current);
            return Err(error);
        }
        if !self.shared.state().segments.iter().any(|segment| segment.number == number) {
            // It was the oldest one and had to make room itself.
            return self.begin_segment(spilled);
        }
        let written = self.disk.write(&mut current.file, &bytes).and_then(|()| self.disk.sync(&current.file));
        if let Err(error) = written {
            // As far as this can be done: the frame was not accepted, and is not to be found.
            let _ = self.disk.cut(&current.file, current.length);
            self.shared.state().end(number);
            return Err(failed("written", &path(&self.directory, number))(error));
        }
        current.length += bytes.len() as u64;
        if let Some(segment) = self.shared.state().segments.iter_mut().find(|segment| segment.number == number) {
            segment.length = current.length;
        }
        self.current = Some(current);
        Ok(())
    }

    fn begin_segment(&mut self, spilled: &Spilled<&Commit>) -> Result<(), SpillError> {
        let number = self.next_segment;
        self.next_segment += 1;
        self.book.forget(&self.shared.state().drained);
        let mut bytes = Vec::new();
        let place = Place { segment: number, offset: 0 };
        self.put(&mut bytes, place, &Entry::<_, Spilled>::Head { version: VERSION, book: &self.book })?;
        self.put(&mut bytes, place, &Entry::<Book, _>::Commit(spilled))?;
        self.make_room(bytes.len() as u64)?;
        let path = path(&self.directory, number);
        let file = self.create(&path, &bytes).map_err(failed("written", &path))?;
        let length = bytes.len() as u64;
        self.shared.state().segments.push_back(Segment { number, length, is_ended: false });
        self.current = Some(Current { number, file, length });
        Ok(())
    }

    fn create(&mut self, path: &Path, bytes: &[u8]) -> io::Result<D::File> {
        let mut file = self.disk.create(path)?;
        let written = self
            .disk
            .write(&mut file, bytes)
            .and_then(|()| self.disk.sync(&file))
            .and_then(|()| self.disk.sync_directory(&self.directory));
        if let Err(error) = written {
            let _ = self.disk.cut(&file, 0);
            let _ = self.disk.remove(path);
            return Err(error);
        }
        Ok(file)
    }

    fn put<T: Serialize>(&self, bytes: &mut Vec<u8>, place: Place, entry: &T) -> Result<(), SpillError> {
        let too_long = SpillError::TooLong { bytes: frame::ENTRY_BYTES_MAX as u64, budget: self.budget };
        frame::put(bytes, place, entry).ok_or(too_long)
    }

    /// Drops the oldest segments until there is room.
    fn make_room(&mut self, bytes: u64) -> Result<(), SpillError> {
        if bytes > self.budget {
            return Err(SpillError::TooLong { bytes, budget: self.budget });
        }
        loop {
            let mut state = self.shared.state();
            if state.bytes() + bytes <= self.budget {
                return Ok(());
            }
            let Some(oldest) = state.segments.pop_front() else { return Ok(()) };
            drop(state);
            let path = path(&self.directory, oldest.number);
            tracing::error!(
                bytes = oldest.length,
                "the spill log is full: its oldest segment {} is dropped",
                path.display()
            );
            if let Err(error) = self.disk.remove(&path) {
                tracing::error!("{} cannot be removed: {error}", path.display());
            }
        }
    }

    fn end_segment(&mut self) {
        if let Some(current) = self.current.take() {
            self.shared.state().end(current.number);
        }
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpillError {
    move |source| SpillError::Disk { action, path: path.to_owned(), source }
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:016}.spill"))
}

fn lock(directory: &Path) -> Result<File, SpillError> {
    let open = || {
        fs::create_dir_all(directory)?;
        File::create(directory.join("lock"))
    };
    let lock = open().map_err(failed("opened", directory))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(SpillError::Taken(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed("locked", directory)(error)),
    }
}

/// All segments that are there, in their order.
fn segments(directory: &Path) -> io::Result<VecDeque<Segment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".spill")?.parse().ok());
        if let Some(number) = number {
            found.push(Segment { number, length: entry.metadata()?.len(), is_ended: true });
        }
    }
    found.sort_by_key(|segment| segment.number);
    Ok(found.into())
}

/// What was known at the end of a log: of the newest segment with a head, and what comes behind it.
fn newest_book(directory: &Path, segments: &VecDeque<Segment>) -> Result<Book, SpillError> {
    for segment in segments.iter().rev() {
        let path = path(directory, segment.number);
        let bytes = fs::read(&path).map_err(failed("read", &path))?;
        let mut frames = Frames::new(&bytes, Place { segment: segment.number, offset: 0 });
        let mut book: Option<Book> = None;
        while let Some(next) = frames.next() {
            match next {
                Next::Entry(Entry::Head { version, .. }) if version > VERSION => return Err(SpillError::Foreign(path)),
                Next::Unknown => return Err(SpillError::Foreign(path)),
                Next::Entry(Entry::Head { book: head, .. }) => book = Some(head),
                Next::Entry(Entry::Commit(Spilled { run, clock, commit })) => {
                    if let Some(book) = &mut book {
                        book.apply(run, &commit, clock);
                    }
                }
                Next::Damaged(bytes) => tracing::warn!("{} bytes of {} are damaged", bytes, path.display()),
            }
        }
        if let Some(book) = book {
            return Ok(book);
        }
    }
    Ok(Book::default())
}

#[cfg(test)]
mod tests;
