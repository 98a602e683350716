//! Models of every lock-free structure under loom, each with weakened variants that loom must refuse.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p shm --release --test loom`
#![cfg(loom)]

use loom::thread;
use shm::discipline::{Discipline, NoAcquire, NoAcquireFence, NoRelease, NoReleaseFence, Sound};
use shm::lease::Lease;
use shm::{broadcast, cell, spsc, triple};

/// Explores every interleaving with at most so many involuntary switches between threads, or all.
fn explore(preemptions: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(model);
}

/// Asserts that loom finds an execution in which the model fails.
fn assert_refused(model: impl FnOnce() + std::panic::UnwindSafe) {
    let refused = std::panic::catch_unwind(model).is_err();
    assert!(refused, "loom did not find the mutant's fault");
}

/// Values whose two words differ by one: a torn one shows.
fn triple_model<D: Discipline>() {
    explore(None, || {
        let (mut writer, mut reader) = triple::heap_with::<D>(2);
        let writing = thread::spawn(move || {
            for n in [10, 20, 30] {
                writer.publish(&[n, n + 1]).unwrap();
            }
        });
        let mut last = 0;
        for _ in 0..2 {
            if reader.update().unwrap() {
                let mut value = [0; 2];
                reader.copy_into(0, &mut value).unwrap();
                assert_eq!(value[0] + 1, value[1], "torn");
                assert!(value[0] > last, "older than before");
                last = value[0];
            }
        }
        writing.join().unwrap();
    });
}

#[test]
fn triple_never_shows_a_torn_or_older_value() {
    triple_model::<Sound>();
}

#[test]
fn triple_without_release_is_refused() {
    assert_refused(triple_model::<NoRelease>);
}

#[test]
fn triple_without_acquire_is_refused() {
    assert_refused(triple_model::<NoAcquire>);
}

fn cell_model<D: Discipline>() {
    explore(None, || {
        let (mut writer, mut reader) = cell::channel_with::<u64, D>([0, 0, 0]);
        let writing = thread::spawn(move || {
            for n in 1..=3 {
                *writer.back_mut() = n;
                writer.publish();
            }
        });
        let mut last = 0;
        for _ in 0..2 {
            let fresh = reader.update();
            let value = *reader.get();
            assert_eq!(fresh, value > last, "new if and only if newer");
            last = value;
        }
        writing.join().unwrap();
        reader.update();
        assert_eq!(*reader.get(), 3);
    });
}

#[test]
fn cell_is_owned_by_one_side_at_a_time() {
    cell_model::<Sound>();
}

#[test]
fn cell_without_release_is_refused() {
    assert_refused(cell_model::<NoRelease>);
}

#[test]
fn cell_without_acquire_is_refused() {
    assert_refused(cell_model::<NoAcquire>);
}

fn spsc_model<D: Discipline>() {
    explore(None, || {
        let (mut producer, mut consumer) = spsc::channel_with::<u64, D>(2);
        let pushing = thread::spawn(move || {
            let mut pushed = 0;
            for _ in 0..4 {
                if producer.push(pushed + 1).is_ok() {
                    pushed += 1;
                }
            }
            pushed
        });
        let mut popped = 0;
        for _ in 0..3 {
            if let Some(value) = consumer.pop() {
                popped += 1;
                assert_eq!(value, popped, "out of order");
            }
        }
        let pushed = pushing.join().unwrap();
        while let Some(value) = consumer.pop() {
            popped += 1;
            assert_eq!(value, popped, "out of order");
        }
        assert_eq!(popped, pushed, "lost or invented");
    });
}

#[test]
fn spsc_gives_every_value_once_and_in_order() {
    spsc_model::<Sound>();
}

#[test]
fn spsc_without_release_is_refused() {
    assert_refused(spsc_model::<NoRelease>);
}

#[test]
fn spsc_without_acquire_is_refused() {
    assert_refused(spsc_model::<NoAcquire>);
}

fn broadcast_model<D: Discipline>() {
    explore(Some(3), || {
        let mut writer = broadcast::heap_with::<D>(2, 2);
        let mut reader = writer.reader(broadcast::Start::Oldest);
        let writing = thread::spawn(move || {
            for n in 0..3 {
                writer.publish(&[n, n + 100]).unwrap();
            }
        });
        let mut seen = 0;
        for _ in 0..3 {
            let mut record = [0; 2];
            match reader.next(&mut record) {
                broadcast::Next::Record { sequence } => {
                    assert_eq!(record, [sequence, sequence + 100], "torn");
                    assert_eq!(sequence, seen, "out of order");
                    seen += 1;
                }
                broadcast::Next::Lost(count) => seen += count,
                broadcast::Next::Empty => {}
                broadcast::Next::Damaged { .. } => panic!("a sound ring is called damaged"),
            }
        }
        writing.join().unwrap();
        assert!(seen <= 3, "more than was published");
    });
}

#[test]
fn broadcast_gives_whole_records_and_counts_the_others() {
    broadcast_model::<Sound>();
}

#[test]
fn broadcast_without_release_is_refused() {
    assert_refused(broadcast_model::<NoRelease>);
}

#[test]
fn broadcast_without_acquire_is_refused() {
    assert_refused(broadcast_model::<NoAcquire>);
}

#[test]
fn broadcast_without_the_writer_s_fence_is_refused() {
    assert_refused(broadcast_model::<NoReleaseFence>);
}

#[test]
fn broadcast_without_the_reader_s_fence_is_refused() {
    assert_refused(broadcast_model::<NoAcquireFence>);
}

#[test]
fn two_broadcast_readers_do_not_disturb_each_other() {
    explore(Some(1), || {
        let mut writer = broadcast::heap_with::<Sound>(1, 2);
        let readers = [(); 2].map(|()| writer.reader(broadcast::Start::Oldest));
        let reading = readers.map(|mut reader| {
            thread::spawn(move || {
                let mut seen = 0;
                for _ in 0..2 {
                    let mut record = [0];
                    match reader.next(&mut record) {
                        broadcast::Next::Record { sequence } => {
                            assert_eq!((record[0], sequence), (seen + 7, seen));
                            seen += 1;
                        }
                        broadcast::Next::Lost(count) => seen += count,
                        broadcast::Next::Empty => {}
                        broadcast::Next::Damaged { .. } => panic!("a sound ring is called damaged"),
                    }
                }
            })
        });
        for n in 0..3 {
            writer.publish(&[n + 7]).unwrap();
        }
        for thread in reading {
            thread.join().unwrap();
        }
    });
}

/// A holder that wakes up after its term, and an heir that finds it over: each believes that it may write.
fn lease_model(renewal: fn(&Lease, u64) -> bool) {
    const TERM_NS: u64 = 1_000_000_000;
    explore(None, move || {
        let (first, second) = (Lease::heap(TERM_NS), Lease::heap(TERM_NS));
        assert!(first.take(1, 0));
        let heir = first.heir();
        let now_ns = 2 * TERM_NS;
        let succeeding =
            thread::spawn(move || heir.succeed(now_ns).is_some_and(|succession| second.take(succession.epoch, now_ns)));
        // The check before sending follows the renewal, as the io thread follows the control thread.
        let first_renewed = renewal(&first, now_ns);
        let second_leads = succeeding.join().unwrap();
        assert!(first_renewed != second_leads, "both or neither");
        assert_eq!(first.permits(now_ns), first_renewed);
    });
}

#[test]
fn of_a_late_renewal_and_a_succession_exactly_one_happens() {
    lease_model(|lease, now_ns| lease.renew(now_ns).is_some());
}

#[test]
fn a_holder_that_looks_and_then_goes_on_is_refused() {
    assert_refused(|| lease_model(|lease, _| matches!(lease.state(), shm::lease::State::Held { .. })));
}
