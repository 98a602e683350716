use std::ops::Range;

use archive::TrackKind;
use tempfile::TempDir;

use super::*;
use crate::account::Account;

/// Of every log here.
const BUDGET: u64 = BUDGET_MIN;

fn run(number: u64) -> Run {
    Run { site: "works".into(), agent: "ph".into(), instance: "main".into(), number, period_ns: 1_000_000 }
}

fn names() -> Vec<TrackName> {
    vec![TrackName { kind: TrackKind::Tag, name: "level".into(), unit: "m".into() }]
}

/// A point for each record.
fn commit(track: TrackId, records: Range<u64>) -> Commit {
    let point = |cycle| (track, Point::new(cycle, cycle as f64, 0));
    Commit { points: records.clone().map(point).collect(), cycle_records: records, ..Commit::default() }
}

/// One run in a log.
struct Writer<D: Disk = Files> {
    spill: Spill<D>,
    kept: Kept,
    track: TrackId,
}

impl<D: Disk> Writer<D> {
    fn open(directory: &Path, disk: D, number: u64) -> Result<Self, SpillError> {
        let mut spill = Spill::open(directory, BUDGET, disk)?;
        let kept = spill.run(&run(number))?;
        let track = spill.tracks(kept.run, &names())?[0];
        Ok(Self { spill, kept, track })
    }

    /// The next so many records.
    fn put(&mut self, count: u64) -> Result<(), SpillError> {
        let next = self.kept.next_cycle_record;
        self.spill.commit(self.kept.run, &commit(self.track, next..next + count))?;
        self.kept.next_cycle_record += count;
        Ok(())
    }
}

/// What a database would have.
#[derive(Debug, Default)]
struct Ledger {
    book: Book,
    accounts: BTreeMap<RunId, Account>,
    stored: Vec<u64>,
    lost: u64,
    damaged: u64,
}

impl Ledger {
    /// Takes all that the log has.
    fn drain(&mut self, outlet: &mut Outlet) {
        loop {
            let pieces = outlet.take().unwrap();
            pieces.iter().for_each(|piece| self.take(piece));
            if pieces.is_empty() {
                return;
            }
            outlet.done(self.accounts.iter().map(|(run, account)| (*run, account.position)).collect());
        }
    }

    fn take(&mut self, piece: &Piece) {
        match piece {
            Piece::Damaged(bytes) => self.damaged += bytes,
            Piece::Head(book) => {
                self.book = book.clone();
                for known in self.book.runs.values() {
                    let gaps = self.accounts.entry(known.id).or_default().reach(known.position, "");
                    self.lost += gaps.iter().map(|gap| gap.count).sum::<u64>();
                }
            }
            Piece::Commit(spilled) if self.book.runs.contains_key(&spilled.run) => {
                let account = self.accounts.entry(spilled.run).or_default();
                if let Some(new) = account.take(spilled, "") {
                    self.stored.extend(new.points().map(|(_, point)| point.cycle));
                    self.lost += new.gaps.iter().map(|gap| gap.count).sum::<u64>();
                }
            }
            Piece::Commit(_) => {}
        }
    }

    /// Everything up to here is stored once or counted as lost, in order.
    fn check(&self, end: u64) {
        assert!(self.stored.is_sorted_by(|a, b| a < b), "{:?}", self.stored);
        assert_eq!(self.stored.len() as u64 + self.lost, end, "{self:?}");
    }
}

fn files(directory: &TempDir) -> Vec<PathBuf> {
    segments(directory.path()).unwrap().iter().map(|segment| path(directory.path(), segment.number)).collect()
}

#[test]
fn f80_what_went_in_comes_out_in_order_and_once_across_restarts_of_both_sides() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    let mut end = 0;
    for turn in 1..20 {
        let mut writer = Writer::open(directory.path(), Files, 1).unwrap();
        assert_eq!(writer.kept.next_cycle_record, end);
        assert_eq!(
            writer.spill.newest(writer.kept.run, writer.track).unwrap().map(|point| point.cycle),
            end.checked_sub(1)
        );
        (0..turn).for_each(|count| writer.put(count + 1).unwrap());
        end = writer.kept.next_cycle_record;
        if turn % 3 == 0 {
            ledger.drain(&mut writer.spill.outlet());
            assert_eq!(files(&directory).len(), 1, "what was read to its end has gone");
        }
    }
    ledger.drain(&mut Writer::open(directory.path(), Files, 1).unwrap().spill.outlet());
    ledger.check(end);
    assert_eq!((ledger.lost, ledger.damaged), (0, 0));
}

#[test]
fn f82_a_tail_that_is_torn_at_any_byte_falls_back_to_what_was_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), Files, 1).unwrap();
    (0..3).for_each(|_| writer.put(2).unwrap());
    let before = fs::metadata(&files(&directory)[0]).unwrap().len();
    writer.put(2).unwrap();
    drop(writer);
    let bytes = fs::read(&files(&directory)[0]).unwrap();
    for cut in before as usize..bytes.len() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(path(directory.path(), 1), &bytes[..cut]).unwrap();
        let mut writer = Writer::open(directory.path(), Files, 1).unwrap();
        assert_eq!(writer.kept.next_cycle_record, 6, "cut at {cut}");
        writer.put(3).unwrap();
        let mut ledger = Ledger::default();
        ledger.drain(&mut writer.spill.outlet());
        ledger.check(9);
        assert_eq!((ledger.lost, ledger.damaged), (0, (cut as u64) - before));
    }
}

#[test]
fn f83_a_flipped_bit_costs_what_lies_there_and_is_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), Files, 1).unwrap();
    (0..4).for_each(|_| writer.put(2).unwrap());
    drop(writer);
    let bytes = fs::read(&files(&directory)[0]).unwrap();
    for byte in 0..bytes.len() {
        let directory = tempfile::tempdir().unwrap();
        let mut bytes = bytes.clone();
        bytes[byte] ^= 1 << (byte % 8);
        fs::write(path(directory.path(), 1), &bytes).unwrap();
        let mut writer = Writer::open(directory.path(), Files, 1).unwrap();
        let next = writer.kept.next_cycle_record;
        assert!([0, 6, 8].contains(&next), "{next}: without its head a segment has no runs; its end falls back");
        writer.put(2).unwrap();
        let mut ledger = Ledger::default();
        ledger.drain(&mut writer.spill.outlet());
        ledger.check(next + 2);
        assert!(ledger.damaged > 0 && ledger.lost <= 2, "{ledger:?}");
    }
}

#[test]
fn f79_a_log_that_is_full_drops_the_oldest_and_every_record_of_it_is_in_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), Files, 1).unwrap();
    let mut ledger = Ledger::default();
    let mut outlet = writer.spill.outlet();
    for round in 0..4 {
        for _ in 0..200 {
            writer.put(50).unwrap();
            let on_disk: u64 = files(&directory).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
            assert!(on_disk <= BUDGET);
        }
        ledger.drain(&mut outlet);
        ledger.check(writer.kept.next_cycle_record);
        assert!(ledger.lost > round * 5_000, "{}", ledger.lost);
    }
    assert_eq!(ledger.damaged, 0);
    let huge = commit(writer.track, 40_000..140_000);
    assert!(matches!(writer.spill.commit(writer.kept.run, &huge), Err(SpillError::TooLong { .. })));
    writer.put(1).unwrap();
}

#[test]
fn runs_that_ended_while_the_database_was_away_are_not_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    for number in 0..300 {
        let mut writer = Writer::open(directory.path(), Files, number).unwrap();
        writer.put(10).unwrap();
    }
    let mut writer = Writer::open(directory.path(), Files, 300).unwrap();
    writer.put(10).unwrap();
    ledger.drain(&mut writer.spill.outlet());
    assert_eq!(ledger.stored.len() as u64 + ledger.lost, 3_010);
    assert!(ledger.lost > 0, "the log is shorter than three hundred runs");
    writer.spill.end_segment();
    writer.put(10).unwrap();
    assert!(writer.spill.book.runs.len() <= 129, "what is in the database is forgotten at last");
}

#[test]
fn one_historian_writes_a_log_and_what_does_not_follow_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), Files, 1).unwrap();
    assert!(matches!(Spill::open(directory.path(), BUDGET, Files), Err(SpillError::Taken(_))));
    assert!(matches!(Spill::open(directory.path(), BUDGET - 1, Files), Err(SpillError::TooSmall(_))));
    writer.put(5).unwrap();
    let again = writer.spill.commit(writer.kept.run, &commit(writer.track, 4..6)).unwrap_err();
    assert!(matches!(again, SpillError::OutOfOrder { what: "cycle", given: 4, next: 5 }), "{again}");
    assert!(matches!(writer.spill.commit(RunId(9), &Commit::default()), Err(SpillError::UnknownRun)));
    let clock = Commit { clock: Some((5, 1_000)), ..commit(writer.track, 5..6) };
    writer.spill.commit(writer.kept.run, &clock).unwrap();
    assert_eq!(writer.spill.unix_ns(writer.kept.run, 7).unwrap(), Some(2_001_000));
}

/// A disk of which some calls fail.
#[derive(Debug)]
struct Faulty {
    calls: u64,
    /// The calls that do.
    failing: Range<u64>,
    /// A failed fsync leaves nothing of what was written since the last good one.
    forgets: bool,
}

#[derive(Debug)]
struct FaultyFile {
    file: File,
    synced: std::cell::Cell<u64>,
}

impl Faulty {
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        if self.failing.contains(&(self.calls - 1)) { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }
}

impl Disk for Faulty {
    type File = FaultyFile;

    fn create(&mut self, path: &Path) -> io::Result<FaultyFile> {
        self.call()?;
        Ok(FaultyFile { file: Files.create(path)?, synced: 0.into() })
    }

    fn write(&mut self, file: &mut FaultyFile, bytes: &[u8]) -> io::Result<()> {
        let outcome = self.call();
        let written = if outcome.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        Files.write(&mut file.file, written).and(outcome)
    }

    fn sync(&mut self, file: &FaultyFile) -> io::Result<()> {
        match self.call() {
            Ok(()) => file.synced.set(file.file.metadata()?.len()),
            Err(error) if self.forgets => return file.file.set_len(file.synced.get()).and(Err(error)),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn cut(&mut self, file: &FaultyFile, length: u64) -> io::Result<()> {
        self.call()?;
        Files.cut(&file.file, length)
    }

    fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        self.call()?;
        Files.sync_directory(path)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.call()?;
        Files.remove(path)
    }
}

/// Puts records until there are so many; whoever is killed at the first error comes back. How many calls that took.
fn fill(directory: &Path, disk: Faulty, is_killed: bool, records: u64) -> u64 {
    let mut writer = Writer::open(directory, disk, 1).unwrap();
    let mut count = 0;
    while writer.kept.next_cycle_record < records {
        // After an error the ring is read anew, and meanwhile it has become longer.
        count += 1;
        let accepted = writer.kept.next_cycle_record;
        if writer.put(1 + count % 3 * 20).is_err() && is_killed {
            let Faulty { calls, failing, forgets } = writer.spill.disk;
            drop(writer.spill._lock);
            writer = Writer::open(directory, Faulty { calls, failing, forgets }, 1).unwrap();
            assert!(writer.kept.next_cycle_record >= accepted);
        }
    }
    assert!(writer.kept.next_cycle_record >= records);
    writer.spill.disk.calls
}

#[test]
fn f81_whichever_call_fails_once_or_for_a_while_what_was_accepted_comes_out_once() {
    const RECORDS: u64 = 400;
    let none = Faulty { calls: 0, failing: 0..0, forgets: false };
    let all = fill(tempfile::tempdir().unwrap().path(), none, false, RECORDS);
    for first in 0..all {
        for (lasting, forgets, is_killed) in
            [(1, false, false), (1, true, false), (1, false, true), (1, true, true), (2, false, false), (7, true, true)]
        {
            let directory = tempfile::tempdir().unwrap();
            let disk = Faulty { calls: 0, failing: first..first + lasting, forgets };
            fill(directory.path(), disk, is_killed, RECORDS);
            let mut writer = Writer::open(directory.path(), Files, 1).unwrap();
            let mut ledger = Ledger::default();
            ledger.drain(&mut writer.spill.outlet());
            ledger.check(writer.kept.next_cycle_record);
            assert_eq!(ledger.lost, 0, "call {first}, {lasting} of them, {forgets}, {is_killed}");
            writer.put(1).unwrap();
        }
    }
}

/// A disk that may be full, by the kernel's own word.
struct Full(bool);

impl Disk for Full {
    type File = File;

    fn create(&mut self, path: &Path) -> io::Result<File> {
        if self.0 { File::options().append(true).open("/dev/full") } else { Files.create(path) }
    }

    fn write(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        Files.write(file, bytes)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        Files.sync(file)
    }

    fn cut(&mut self, file: &File, length: u64) -> io::Result<()> {
        Files.cut(file, length)
    }

    fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        Files.sync_directory(path)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        Files.remove(path)
    }
}

#[test]
fn f79_on_a_full_disk_nothing_is_accepted_and_nothing_that_was_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), Full(false), 1).unwrap();
    writer.put(10).unwrap();
    writer.spill.end_segment();
    writer.spill.disk.0 = true;
    for _ in 0..3 {
        let Err(SpillError::Disk { source, .. }) = writer.put(10) else { panic!("there is no room") };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    }
    writer.spill.disk.0 = false;
    writer.put(10).unwrap();
    let mut ledger = Ledger::default();
    ledger.drain(&mut writer.spill.outlet());
    ledger.check(20);
    assert_eq!((ledger.lost, ledger.damaged), (0, 0));
}
