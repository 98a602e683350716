//! The archive as it is at one instant, copied while somebody else writes it.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{HOT, PATIENCE, StoreError, open_to_read};

/// An archive of one instant: the copy of its hot days, and the sealed files that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The copy, whole in itself.
    pub hot: PathBuf,
    /// Where the sealed files are that its catalogue knows, below the archive's directory. They never change; purging may take
    /// them away.
    pub sealed: Vec<PathBuf>,
}

/// Copies the hot days of the archive in `directory` into the directory `copy`, as they are at one instant: every commit before it,
/// and nothing of those behind it. Whoever writes goes on meanwhile. Beside the sealed files the copy is an archive.
///
/// # Errors
/// [`StoreError`]; there is no room in `copy`, say.
pub fn snapshot(directory: &Path, copy: &Path) -> Result<Snapshot, StoreError> {
    let hot = copy.join(HOT);
    open_to_read(directory)?.execute("VACUUM INTO ?", [hot.to_string_lossy()])?;
    let copied = Connection::open_with_flags(&hot, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    copied.busy_timeout(PATIENCE)?;
    // Whoever goes on with the copy expects what was set for the original: readers that do not wait for the writer.
    copied.pragma_update(None, "journal_mode", "wal")?;
    let mut rows = copied.prepare("SELECT path FROM sealed ORDER BY day, id")?;
    let sealed = rows.query_map([], |row| row.get::<_, String>(0).map(PathBuf::from))?.collect::<Result<_, _>>()?;
    Ok(Snapshot { hot, sealed })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::{Commit, Point, Reader, Run, RunId, Store, TrackId, TrackKind, TrackName, verify};

    const DAY_NS: u64 = 86_400_000_000_000;
    const COMMITS: u64 = 300;

    fn begin(directory: &Path) -> (Store, RunId, TrackId) {
        let mut store = Store::open(directory).unwrap();
        let run = Run {
            site: "works".into(),
            agent: "ph".into(),
            instance: "main".into(),
            number: 1,
            period_ns: DAY_NS / 100,
        };
        let run = store.run(&run).unwrap().run;
        let name = TrackName { kind: TrackKind::Tag, name: "level".into(), unit: "m".into() };
        let track = store.tracks(run, &[name]).unwrap()[0];
        (store, run, track)
    }

    fn point(cycle: u64) -> Point {
        Point::new(cycle, cycle as f64, 0)
    }

    fn commit(store: &mut Store, (run, track): (RunId, TrackId), cycles: std::ops::Range<u64>) {
        let commit = Commit {
            points: cycles.clone().map(|cycle| (track, point(cycle))).collect(),
            clock: (cycles.start == 0).then_some((0, 20_000 * DAY_NS)),
            last_cycle: Some(cycles.end - 1),
            cycle_records: cycles,
            ..Commit::default()
        };
        store.commit(run, &commit).unwrap();
    }

    /// The cycles of all points that an archive has.
    fn cycles(directory: &Path, (run, track): (RunId, TrackId)) -> Vec<u64> {
        let points = Reader::open(directory).unwrap().points(run, track, 0..=u64::MAX >> 1).unwrap();
        points.iter().map(|point| point.cycle).collect()
    }

    #[test]
    fn a_copy_that_is_taken_while_a_writer_goes_on_has_whole_commits_and_none_is_missing() {
        let (directory, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut store, run, track) = begin(directory.path());
        commit(&mut store, (run, track), 0..10);
        let (told, committed) = mpsc::channel();
        let writer = std::thread::spawn(move || {
            for number in 1..COMMITS {
                commit(&mut store, (run, track), number * 10..(number + 1) * 10);
                if number % 50 == 0 {
                    store.compact(run).unwrap();
                }
                let _ = told.send((number + 1) * 10);
            }
        });
        for number in 0.. {
            let before = committed.try_iter().last();
            let is_last = writer.is_finished();
            let copy = copies.path().join(number.to_string());
            std::fs::create_dir(&copy).unwrap();
            snapshot(directory.path(), &copy).unwrap();
            let found = cycles(&copy, (run, track));
            assert_eq!(found, (0..found.len() as u64).collect::<Vec<_>>());
            assert!(found.len().is_multiple_of(10), "half a commit: {} points", found.len());
            assert!(found.len() as u64 >= before.unwrap_or(10), "what was there before the copy is not in it");
            assert_eq!(verify(&copy).unwrap().findings, []);
            if is_last {
                assert_eq!(found.len() as u64, COMMITS * 10);
                break;
            }
        }
        writer.join().unwrap();
    }

    #[test]
    fn a_copy_with_the_sealed_files_beside_it_is_an_archive_that_is_read_and_gone_on_with() {
        let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut store, run, track) = begin(directory.path());
        commit(&mut store, (run, track), 0..150);
        store.seal(crate::Day::of(20_000 * DAY_NS)).unwrap();
        let Snapshot { sealed, .. } = snapshot(directory.path(), copy.path()).unwrap();
        assert_eq!(sealed.len(), 1);
        for path in &sealed {
            std::fs::create_dir_all(copy.path().join(path).parent().unwrap()).unwrap();
            std::fs::copy(directory.path().join(path), copy.path().join(path)).unwrap();
        }
        assert_eq!(verify(copy.path()).unwrap().findings, []);
        assert_eq!(cycles(copy.path(), (run, track)), (0..150).collect::<Vec<_>>());
        let mut store = Store::open(copy.path()).unwrap();
        commit(&mut store, (run, track), 150..160);
        let mode: String = store.connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!((cycles(copy.path(), (run, track)).len(), mode.as_str()), (160, "wal"));
    }
}
