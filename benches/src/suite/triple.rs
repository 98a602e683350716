//! Reading weights of 300 kB from a segment whose writer is another process: absent, paced, in a hurry, killed.
//!
//! What is timed is the reader's step to the newest value, against an uncontended atomic swap of an index: `publish` of
//! [`shm::cell`], which is that and nothing else. Both include the reading of the clock. After every step the whole value
//! is copied and compared word by word. Reader and writer have a CPU each, when there are two.

use shm::{Segment, Spec, cell, triple};

use crate::harness::{Contest, Estimate, Row, Seats, nanoseconds_of};
use crate::helper::Helper;

const SLOT_WORDS: usize = 300_000 / size_of::<u64>();
const ROUNDS: usize = 30;
const SAMPLES_PER_ROUND: usize = 100;
/// A writer that is killed gets this many looks of the reader before, and as many after it.
const LOOKS_PER_LIFE: usize = 20;

/// What the writer's process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// There is none; one value was published.
    Absent,
    /// Publishes every millisecond.
    Paced,
    /// Publishes as fast as it can.
    Saturating,
    /// Does so too, and is killed again and again; each successor gets a fresh segment.
    Killed,
}

pub(super) fn run() -> Result<Vec<Row>, String> {
    let seats = Seats::take();
    let mut rows = one_thread();
    let writers = [
        (Writer::Absent, "absent"),
        (Writer::Paced, "paced"),
        (Writer::Saturating, "saturating"),
        (Writer::Killed, "killed"),
    ];
    for (writer, name) in writers {
        rows.extend(measure(writer, name, &seats)?);
    }
    Ok(rows)
}

/// Nothing but the swaps: publishing and updating an empty draft, against two swaps of an index.
fn one_thread() -> Vec<Row> {
    let (mut writer, mut reader) = triple::heap(SLOT_WORDS);
    let (mut swapping, mut swapped) = cell::channel([0_u64; 3]);
    let standings = Contest::of_batches(ROUNDS)
        .batch("swaps", || {
            swapping.publish();
            swapped.update()
        })
        .batch("publish and update", || {
            let published = writer.draft().publish();
            (published, reader.update())
        })
        .run();
    vec![
        Row::measured("one thread, two swaps of an index", standings.p50("swaps"), "ns"),
        Row::measured("one thread, publish and update", standings.p50("publish and update"), "ns"),
        Row::ratio("one thread, publish and update : swaps", standings.ratio("publish and update", "swaps"))
            .at_most(2.0),
        Row::ratio("one thread, control", standings.control()).note("the swaps against themselves"),
    ]
}

fn measure(writer: Writer, name: &str, seats: &Seats) -> Result<Vec<Row>, String> {
    let mut reading = Reading::new(writer, seats)?;
    let (mut swapping, _other_side) = cell::channel([0_u64; 3]);
    let standings = Contest::of_samples(ROUNDS, SAMPLES_PER_ROUND)
        .sample("swap", || nanoseconds_of(|| swapping.publish()))
        .sample("update", || reading.look())
        .run();
    let Reading { looks, fresh, torn, failed, deaths, copies_ns, .. } = reading;
    if let Some(failed) = failed {
        return Err(failed);
    }
    let row = |what: &str| format!("writer {name}, {what}");
    let update = standings.ratio("update", "swap");
    let mut rows = vec![
        Row::measured(row("atomic swap p50"), standings.p50("swap"), "ns"),
        Row::measured(row("update p50"), standings.p50("update"), "ns"),
        Row::measured(row("update p99"), standings.p99("update"), "ns"),
        Row::ratio(row("update : swap p50"), update).at_most(2.0),
        Row::ratio(row("update : swap p99"), standings.tail_ratio("update", "swap")),
        Row::ratio(row("control p50"), standings.control()).note("the swap against itself"),
        Row::measured(row("copy of the value p50"), Estimate::of(&copies_ns).times(1e-3), "us"),
        Row::exact(row("looks"), looks as f64, ""),
        Row::exact(row("looks that found a new value"), fresh as f64, ""),
        Row::exact(row("torn values"), torn as f64, "").at_most(0.0),
    ];
    if writer == Writer::Killed {
        rows.push(Row::exact(row("writers killed"), deaths as f64, ""));
    }
    Ok(rows)
}

/// The reader, and what it has seen so far.
struct Reading<'a> {
    seats: &'a Seats,
    writer: Writer,
    reader: triple::Reader,
    helper: Option<Helper>,
    value: Vec<u64>,
    looks: usize,
    fresh: usize,
    torn: usize,
    deaths: usize,
    copies_ns: Vec<f64>,
    /// What made the rest of the run meaningless.
    failed: Option<String>,
}

impl<'a> Reading<'a> {
    fn new(writer: Writer, seats: &'a Seats) -> Result<Self, String> {
        let (reader, helper) = seats.for_others(|| connected(writer))?;
        let value = vec![0; SLOT_WORDS];
        let (looks, fresh, torn, deaths, copies_ns) = (0, 0, 0, 0, Vec::new());
        Ok(Self { seats, writer, reader, helper, value, looks, fresh, torn, deaths, copies_ns, failed: None })
    }

    /// Takes the newest value: how long that took. Then looks whether it is whole.
    fn look(&mut self) -> f64 {
        if self.writer == Writer::Killed {
            self.age();
        }
        let mut updated = Ok(false);
        let took = nanoseconds_of(|| updated = self.reader.update());
        match updated {
            Ok(fresh) => self.fresh += usize::from(fresh),
            Err(damaged) => self.failed = Some(damaged.to_string()),
        }
        self.copies_ns.push(nanoseconds_of(|| self.reader.copy_into(0, &mut self.value)));
        let whole = self.value.iter().all(|word| *word == self.value[0]);
        self.torn += usize::from(!whole);
        self.looks += 1;
        took
    }

    /// Kills the writer at half of its time, and gives the reader another one at the end of it.
    fn age(&mut self) {
        match self.looks % (2 * LOOKS_PER_LIFE) {
            LOOKS_PER_LIFE => {
                if let Some(helper) = &mut self.helper {
                    helper.kill();
                    self.deaths += 1;
                }
            }
            0 if self.deaths > 0 => match self.seats.for_others(|| connected(self.writer)) {
                Ok((reader, helper)) => (self.reader, self.helper) = (reader, helper),
                Err(reason) => self.failed = Some(reason),
            },
            _ => {}
        }
    }
}

/// A fresh segment with this kind of writer.
fn connected(writer: Writer) -> Result<(triple::Reader, Option<Helper>), String> {
    let segment = Segment::create(&Spec::weights(SLOT_WORDS)).map_err(|error| error.to_string())?;
    let reader = triple::Reader::new(&segment).map_err(|error| error.to_string())?;
    let helper = match writer {
        Writer::Absent => {
            let mut writer = triple::Writer::new(&segment).map_err(|error| error.to_string())?;
            writer.publish(&[1; SLOT_WORDS]).map_err(|error| error.to_string())?;
            None
        }
        Writer::Paced => Some(Helper::writer(&segment, 1_000)?),
        Writer::Saturating | Writer::Killed => Some(Helper::writer(&segment, 0)?),
    };
    Ok((reader, helper))
}
