//! The ring between two threads, with records of 64 bytes, against two others.
//!
//! `shm`'s own rings are two: `spsc`, on the heap, for threads of one process; and the broadcast ring in shared memory,
//! which is what crosses processes, with a reader that may be overtaken and never holds the writer up.

use std::hint::black_box;
use std::sync::Arc;
use std::thread;

use crossbeam::queue::ArrayQueue;
use shm::{Segment, SegmentKind, Spec, broadcast, spsc};

use crate::harness::{Contest, Row, Seats, Standings, nanoseconds_of};

const ROUNDS: usize = 60;
/// Rounds in which records go to another thread and back.
const CROSSING_ROUNDS: usize = 25;
/// How many do between two looks at the clock.
const CROSSINGS: u64 = 100;
/// Looks at the clock in each round, of which the median counts: another process may have a CPU in between.
const CROSSING_SAMPLES: usize = 21;
const CAPACITY: usize = 256;
/// Looks at an empty ring before the other thread is let in: it may be on the same CPU.
const LOOKS_BEFORE_YIELD: u32 = 1 << 10;
/// Ends the other thread.
const LAST: Record = [u64::MAX; 8];

type Record = [u64; 8];

const _: () = assert!(size_of::<Record>() == 64);

pub(super) fn run() -> Vec<Row> {
    let one_thread = Contest::of_batches(ROUNDS)
        .batch("shm", through(shm_ring()))
        .batch("rtrb", through(rtrb_ring()))
        .batch("ArrayQueue", through(array_queue()))
        .batch("broadcast, heap", through(broadcast_ring(broadcast_heap())))
        .batch("broadcast, segment", through(broadcast_ring(broadcast_segment())))
        .run();
    let seats = &Seats::take();
    let heap = || broadcast_ring(broadcast_heap());
    let segment = || broadcast_ring(broadcast_segment());
    let crossing = Contest::of_samples(CROSSING_ROUNDS, 1)
        .sample("shm", || one_way(seats, shm_ring(), shm_ring()))
        .sample("rtrb", || one_way(seats, rtrb_ring(), rtrb_ring()))
        .sample("ArrayQueue", || one_way(seats, array_queue(), array_queue()))
        .sample("broadcast, heap", || one_way(seats, heap(), heap()))
        .sample("broadcast, segment", || one_way(seats, segment(), segment()))
        .run();
    let mut rows = rows("one thread", &one_thread);
    rows.extend(self::rows("one way across threads", &crossing));
    rows
}

fn rows(way: &str, standings: &Standings) -> Vec<Row> {
    let row = |what: &str| format!("{way}, {what}");
    let ns = |name: &str| Row::measured(row(name), standings.p50(name), "ns");
    vec![
        ns("shm"),
        ns("rtrb"),
        ns("ArrayQueue"),
        Row::ratio(row("shm : rtrb"), standings.ratio("shm", "rtrb")).at_most(1.0),
        Row::ratio(row("shm : ArrayQueue"), standings.ratio("shm", "ArrayQueue")),
        Row::ratio(row("control"), standings.control()).note("shm against itself"),
        ns("broadcast, heap"),
        ns("broadcast, segment"),
    ]
}

/// One record in and out again.
fn through((mut push, mut pop): (impl Push, impl Pop)) -> impl FnMut() -> u64 {
    let mut n = 0;
    move || {
        n += 1;
        push(black_box([n; 8]));
        pop().map_or(0, |record| black_box(record)[7])
    }
}

/// Nanoseconds of one way: half of what a record needs through one ring to another thread, and back through another one.
fn one_way(
    seats: &Seats,
    (mut push, mut other_pop): (impl Push, impl Pop),
    (mut other_push, mut pop): (impl Push, impl Pop),
) -> f64 {
    thread::scope(|scope| {
        let echo = move || {
            loop {
                let record = wait(&mut other_pop);
                other_push(record);
                if record == LAST {
                    return;
                }
            }
        };
        seats.for_others(|| scope.spawn(echo));
        let mut there_and_back = |record| {
            push(record);
            black_box(wait(&mut pop));
        };
        // The first one waits for the thread to start.
        there_and_back([0; 8]);
        let mut samples: Vec<f64> = (0..CROSSING_SAMPLES)
            .map(|_| nanoseconds_of(|| (0..CROSSINGS).for_each(|n| there_and_back([n; 8]))))
            .collect();
        there_and_back(LAST);
        samples.sort_unstable_by(f64::total_cmp);
        samples[CROSSING_SAMPLES / 2] / (2 * CROSSINGS) as f64
    })
}

fn wait(pop: &mut impl Pop) -> Record {
    loop {
        for _ in 0..LOOKS_BEFORE_YIELD {
            if let Some(record) = pop() {
                return record;
            }
            std::hint::spin_loop();
        }
        thread::yield_now();
    }
}

/// The end that takes records; `false` when it is full.
trait Push: FnMut(Record) -> bool + Send {}
impl<F: FnMut(Record) -> bool + Send> Push for F {}

/// The end that gives them.
trait Pop: FnMut() -> Option<Record> + Send {}
impl<F: FnMut() -> Option<Record> + Send> Pop for F {}

fn shm_ring() -> (impl Push, impl Pop) {
    let (mut producer, mut consumer) = spsc::channel::<Record>(CAPACITY);
    (move |record| producer.push(record).is_ok(), move || consumer.pop())
}

fn rtrb_ring() -> (impl Push, impl Pop) {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<Record>::new(CAPACITY);
    (move |record| producer.push(record).is_ok(), move || consumer.pop().ok())
}

fn array_queue() -> (impl Push, impl Pop) {
    let queue = Arc::new(ArrayQueue::<Record>::new(CAPACITY));
    let other = Arc::clone(&queue);
    (move |record| queue.push(record).is_ok(), move || other.pop())
}

fn broadcast_ring((mut writer, mut reader): (broadcast::Writer, broadcast::Reader)) -> (impl Push, impl Pop) {
    let pop = move || {
        let mut record = [0; 8];
        matches!(reader.next(&mut record), broadcast::Next::Record { .. }).then_some(record)
    };
    (move |record: Record| writer.publish(&record).is_ok(), pop)
}

fn broadcast_heap() -> (broadcast::Writer, broadcast::Reader) {
    let writer = broadcast::heap(size_of::<Record>() / size_of::<u64>(), CAPACITY);
    let reader = writer.reader(broadcast::Start::Oldest);
    (writer, reader)
}

fn broadcast_segment() -> (broadcast::Writer, broadcast::Reader) {
    let spec = Spec::broadcast(SegmentKind::Events, size_of::<Record>() / size_of::<u64>(), CAPACITY);
    let segment = Segment::create(&spec).expect("two dozen kilobytes of shared memory");
    let writer = broadcast::Writer::new(&segment).expect("a fresh segment has no writer");
    let reader = broadcast::Reader::new(&segment, broadcast::Start::Oldest).expect("it is a broadcast ring");
    (writer, reader)
}
