//! The control loop with a simulated plant: the threads of `corerl-rt`, without its keeper and its socket.

use std::os::fd::BorrowedFd;
use std::thread::JoinHandle;

use io_loop::Simulated;
use policy::PolicySpec;
use policy::pipeline::Columns;
use rt_config::{Connection, Range, Site};
use rt_core::ports::Command;
use rt_core::record::Event;
use rt_core::setpoint::ScalarKind;
use rt_sys::{Faults, MonotonicClock, Placement};
use shm::lease::Lease;
use shm::spsc::{Consumer, Producer};
use shm::{broadcast, counters};
use shm_layout::{Counter, CycleLayout, SegmentKind};

use crate::adapters::Order;
use crate::failure::Failure;
use crate::io::Stop;
use crate::segments::Shelf;
use crate::tenure::Tenure;
use crate::wiring::{AtRest, ControlStarted, Plant, at_rest, first_policy, start_control};

/// Readings of a simulated plant move through the middle of their range within so many reads.
const READS_PER_SWING: usize = 1000;

/// A running control loop whose plant is simulated. Dropping it stops its threads.
pub struct Rehearsal {
    orders: Producer<Order>,
    control: Option<ControlStarted>,
    io: Vec<(Producer<Stop>, JoinHandle<()>)>,
    shelf: Shelf,
    records: broadcast::Reader,
    layout: CycleLayout,
    counters: counters::Reader<Counter>,
    degraded: Vec<String>,
    /// The control thread tells its events to nobody here, but its ring needs another end.
    _facts: Consumer<Event>,
}

impl Rehearsal {
    /// Starts the control thread and one io thread per connection of `site`, armed, on the CPUs of `placement`; locks the
    /// process's memory. Calibrating makes it take up to a quarter of a second.
    ///
    /// # Errors
    /// The site's policy file cannot be used, or the kernel gives no memory or thread.
    pub fn start(site: &Site, placement: &Placement) -> Result<Self, Failure> {
        let n_state = Columns::of(site).len();
        let (first_policy, _) = first_policy(site, &PolicySpec::of(site))?;
        let (shelf, writers) = Shelf::create(site, n_state).map_err(Failure::resource("the shared memory"))?;
        let written = writers.records;
        let (records, layout) = (written.cycles.reader(broadcast::Start::Oldest), written.cycle_layout);
        let counters = written.counters.clone();
        let plants = site.connections.iter().enumerate();
        let plants = plants.map(|(index, connection)| {
            Plant::new(site, index, connection, bus(site, index, connection), Lease::unshared())
        });
        let (lines, plants): (Vec<_>, Vec<_>) = plants.unzip();
        let AtRest { control, mut orders, facts, .. } =
            at_rest(site, first_policy, written, lines, Tenure::unshared())?;

        let mut degraded: Vec<_> = rt_sys::lock_memory().err().map(|error| error.to_string()).into_iter().collect();
        let control = start_control(control, site, placement)?;
        degraded.extend(control.watched.refusals());
        let _ = orders.push(Order::Command(Command::Arm));
        let mut rehearsal = Self {
            orders,
            control: Some(control),
            io: Vec::new(),
            shelf,
            records,
            layout,
            counters: counters.reader(),
            degraded,
            _facts: facts,
        };
        for (plant, meter) in plants.into_iter().zip(writers.meters) {
            let started = plant.start(site, placement, MonotonicClock::new(), counters.clone(), meter)?;
            rehearsal.degraded.extend(started.watched.refusals());
            rehearsal.io.push((started.stop, started.handle));
        }
        Ok(rehearsal)
    }

    /// What was asked of the kernel and is not so, each as a sentence.
    pub fn degraded(&self) -> &[String] {
        &self.degraded
    }

    /// A reader of the cycle records from the first one on, and their layout.
    pub fn records(&self) -> (broadcast::Reader, CycleLayout) {
        (self.records.clone(), self.layout)
    }

    /// The runtime's counters.
    pub fn counters(&self) -> &counters::Reader<Counter> {
        &self.counters
    }

    /// A read-only descriptor of the segment with the cycle records, for another process.
    pub fn records_descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.shelf.descriptor(SegmentKind::Cycles)
    }

    /// From now on the control thread counts its allocations.
    pub fn warmed_up(&mut self) {
        let _ = self.orders.push(Order::WarmedUp);
    }

    /// The control thread's page faults since it began; `None` when the kernel does not tell.
    pub fn page_faults(&self) -> Option<Faults> {
        self.control.as_ref().and_then(|control| control.watched.view().faults().ok())
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        let _ = self.orders.push(Order::Stop);
        if let Some(control) = self.control.take() {
            let _ = control.thread.join();
        }
        for (mut stop, handle) in self.io.drain(..) {
            let _ = stop.push(Stop);
            let _ = handle.join();
        }
    }
}

/// How a simulated reading comes about.
enum Reading {
    /// The value of this output.
    Output(usize),
    /// Somewhere in this range.
    Measured(Range),
}

/// A bus of which every input is good: setpoints read back as they were written, the rest swings inside its range.
pub(crate) fn bus(
    site: &Site,
    index: usize,
    connection: &Connection,
) -> Simulated<impl FnMut(&[f64], &mut [f64]) + Send + use<>> {
    let settings = crate::plant::settings(site, index, connection);
    let setpoint = |place: u8| site.setpoints.get(usize::from(place));
    let written: Vec<_> = settings.outputs.iter().filter_map(|(place, _)| setpoint(*place)).collect();
    let mut readings: Vec<Reading> = settings
        .inputs
        .iter()
        .map(|&tag| match written.iter().position(|setpoint| setpoint.tag == tag) {
            Some(output) => Reading::Output(output),
            None => Reading::Measured(range(site, tag.index())),
        })
        .collect();
    let mut outputs: Vec<_> = written.iter().map(|setpoint| (ScalarKind::Double, setpoint.nominal)).collect();
    outputs.extend(settings.heartbeat_every.map(|_| (ScalarKind::UInt16, 0.0)));
    outputs.extend(settings.alarms.iter().map(|_| (ScalarKind::Boolean, 0.0)));
    if settings.claim_term.is_some() {
        readings.push(Reading::Output(outputs.len()));
        outputs.push((ScalarKind::UInt64, 0.0));
    }
    let mut reads = 0;
    Simulated::new(readings.len(), &outputs, move |outputs: &[f64], inputs: &mut [f64]| {
        for (place, (input, reading)) in inputs.iter_mut().zip(&readings).enumerate() {
            *input = match reading {
                Reading::Output(output) => outputs.get(*output).copied().unwrap_or(f64::NAN),
                Reading::Measured(range) => swing(range, reads + place),
            };
        }
        reads += 1;
    })
}

/// Where a tag's good values lie.
fn range(site: &Site, tag: usize) -> Range {
    let found = site.tags.get(tag).and_then(|tag| tag.normal_range.or(tag.operating_range));
    found.unwrap_or(Range { lo: 0.0, hi: 1.0 })
}

/// To and fro through the middle half of the range.
fn swing(range: &Range, step: usize) -> f64 {
    let phase = (step % READS_PER_SWING) as f64 / READS_PER_SWING as f64;
    let triangle = 1.0 - (2.0 * phase - 1.0).abs();
    range.lo + (range.hi - range.lo) * (0.25 + 0.5 * triangle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rt_core::mode::Mode;
    use rt_core::ports::Clock;
    use rt_core::time::Span;
    use rt_sys::Cpus;
    use shm::broadcast::Next;

    fn example() -> Site {
        let loaded = rt_config::parse(rt_config::example(), std::path::Path::new("example.yaml"));
        loaded.expect("the example is valid").site
    }

    /// An unoptimised build moves a whole cycle through the stack several times: more than a test's thread has.
    fn with_room(test: fn()) {
        let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(test).expect("a thread");
        thread.join().expect("the test does not panic");
    }

    #[test]
    fn a_rehearsal_reaches_run_and_every_slot_is_a_cycle_or_skipped() {
        with_room(rehearse);
    }

    fn rehearse() {
        let site = example();
        let placement = Cpus::allowed().placement(None, None);
        let rehearsal = Rehearsal::start(&site, &placement).expect("threads and memory");
        let clock = MonotonicClock::new();
        let patience = clock.now() + Span::from_ms(20_000);
        let mode = |of: &Rehearsal| of.counters().get(Counter::Mode);
        while mode(&rehearsal) != Mode::Run as u64 && clock.now() < patience {
            clock.sleep_until(clock.now() + Span::from_ms(5));
        }
        assert_eq!(mode(&rehearsal), Mode::Run as u64);
        let (mut records, layout) = rehearsal.records();
        let mut words = vec![0; layout.words()];
        let mut accounted = 0;
        while let Next::Record { .. } = records.next(&mut words) {
            let head = layout.view(&words).expect("the layout's own words").head;
            accounted += 1 + u64::from(head.skipped);
            assert_eq!(accounted, head.cycle + 1);
        }
        assert!(accounted > 0);
    }

    #[test]
    fn simulated_readings_stay_inside_their_range() {
        let range = Range { lo: -2.0, hi: 6.0 };
        let values: Vec<f64> = (0..2 * READS_PER_SWING).map(|step| swing(&range, step)).collect();
        assert!(values.iter().all(|value| (0.0..=4.0).contains(value)));
        assert_ne!(values[0], values[READS_PER_SWING / 2]);
    }
}
