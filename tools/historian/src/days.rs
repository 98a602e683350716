//! Days that are over: sealed, and in the end purged, by a thread of its own, so that nobody who keeps waits for it.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use archive::{Day, Purged, Retention, Sealed, Store, StoreError};

/// How often it is looked whether a day is over.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// So long after its end a day is sealed: what the rings still hold of it has come by then.
const OVER_NS: u64 = 600_000_000_000;

/// Looks after the days of an archive until the other end of `stop` is dropped.
pub fn look_after_days(history: &Path, retention: &Retention, stop: &Receiver<()>) {
    let mut said = None;
    while stop.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        let failed = turn(history, retention, rt_sys::unix_time().as_ns()).err().map(|error| error.to_string());
        if let Some(what) = failed.as_ref().filter(|_| said != failed) {
            tracing::error!("what is over cannot be sealed or purged: {what}");
        }
        said = failed;
    }
}

/// Seals the days that are over, and purges what is too old or too much.
fn turn(history: &Path, retention: &Retention, now_ns: u64) -> Result<(), StoreError> {
    let mut store = Store::open(history)?;
    let today = Day::of(now_ns.saturating_sub(OVER_NS));
    let mut before = None;
    while let Some(day) = store.oldest_hot_day()?.filter(|day| *day < today && before != Some(*day)) {
        let Sealed { samples, events, gaps, bytes } = store.seal(day)?;
        tracing::info!("{day} is sealed: {samples} samples, {events} events and {gaps} gaps in {bytes} bytes");
        before = Some(day);
    }
    for Purged { what, rows, bytes, .. } in store.purge(retention, now_ns)? {
        tracing::info!("{rows} rows of {what} are purged, {bytes} bytes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use archive::{Commit, Point, Reader, Run, TrackKind, TrackName};

    use super::*;

    const DAY_NS: u64 = 86_400_000_000_000;

    #[test]
    fn a_day_is_sealed_once_it_has_been_over_for_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        let run = Run {
            site: "works".into(),
            agent: "ph".into(),
            instance: "main".into(),
            number: 1,
            period_ns: 1_000_000_000,
        };
        let kept = store.run(&run).unwrap();
        let name = TrackName { kind: TrackKind::Tag, name: "level".into(), unit: "m".into() };
        let track = store.tracks(kept.run, &[name]).unwrap()[0];
        let point = |cycle: u64| (track, Point::new(cycle, cycle as f64, 0));
        let commit = Commit {
            cycle_records: 0..100,
            points: (0..100).map(point).collect(),
            clock: Some((0, 20_000 * DAY_NS)),
            last_cycle: Some(99),
            ..Commit::default()
        };
        store.commit(kept.run, &commit).unwrap();
        let is_sealed = || directory.path().join("site=works").exists();
        turn(directory.path(), &Retention::default(), 20_001 * DAY_NS).unwrap();
        assert!(!is_sealed());
        turn(directory.path(), &Retention::default(), 20_001 * DAY_NS + OVER_NS).unwrap();
        assert!(is_sealed());
        let points = Reader::open(directory.path()).unwrap().points(kept.run, track, 0..=1000).unwrap();
        assert_eq!(points, (0..100).map(|cycle| point(cycle).1).collect::<Vec<_>>());
    }
}
