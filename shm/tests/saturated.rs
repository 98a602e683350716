//! A writer that publishes without a pause, beside a reader that looks all the time.
#![cfg(not(loom))]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};

use shm::{Segment, Spec, triple};

/// Words of a value: half a KiB.
const WORDS: usize = 64;
/// A writer that publishes 1, 2, 3 ... in all words, until it is told to stop: then it says how many.
struct Saturating {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Saturating {
    fn start(segment: &Segment) -> Self {
        let mut writer = triple::Writer::new(segment).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = spawn(move || {
            let mut count = 0;
            while !stopped.load(Ordering::Relaxed) {
                count += 1;
                writer.publish(&[count; WORDS]).unwrap();
            }
            count
        });
        Self { stop, thread }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

#[test]
fn f04_a_reader_beside_a_saturating_writer_gets_the_newest_value_with_one_try() {
    let segment = Segment::create(&Spec::weights(WORDS)).unwrap();
    let mut reader = triple::Reader::new(&segment).unwrap();
    let writer = Saturating::start(&segment);
    let (mut value, mut news) = ([0; 1], 0_u64);
    while news < 1_000 {
        // One exchange, whatever the writer does; there is no loop to starve in.
        if reader.update().unwrap() {
            let before = value[0];
            reader.copy_into(0, &mut value).unwrap();
            assert!(value[0] > before, "{} is no news after {before}", value[0]);
            news += 1;
        }
    }
    let published = writer.stop();
    reader.update().unwrap();
    reader.copy_into(0, &mut value).unwrap();
    assert_eq!(value[0], published, "the last one is there");
}
