//! What the runtime creates for others to read, and afresh for every learner to write.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rt_config::Site;
use rt_core::ports::Clock as _;
use rt_core::time::Span;
use rt_sys::MonotonicClock;
use shm::lease::Lease;
use shm::{Segment, Spec, broadcast, counters, histogram, triple};
use shm_layout::{
    ConnectionCounter, Counter, CycleLayout, HistogramKind, LearnerCounter, RoundTrip, SegmentKind, StepLayout,
};

/// Events that are kept.
const EVENTS_KEPT: usize = 4096;
/// Steps that are kept: as long a pause of the learner loses nothing.
const STEPS_KEPT: usize = 8192;
/// Estimates that are kept.
const ESTIMATES_KEPT: usize = 4096;

/// The segments that only the runtime writes, on the shelf from which their read-only descriptors are handed out.
pub struct Shelf {
    segments: Vec<(SegmentKind, OwnedFd)>,
}

/// The writing ends, for the threads that own them.
pub struct Writers {
    /// For the control thread.
    pub records: Records,
    /// For the keeper.
    pub events: broadcast::Writer,
    /// For the io threads, in the order of the site's connections.
    pub(crate) meters: Vec<Meter>,
    /// For everybody who writes to the plant, and for whoever stands by.
    pub(crate) lease: SharedLease,
}

/// The lease of the plant, and the segment that it lies in.
pub(crate) struct SharedLease {
    pub(crate) lease: Lease,
    pub(crate) segment: Segment,
}

/// What the control thread writes for others to read.
pub struct Records {
    pub(crate) cycle_layout: CycleLayout,
    pub(crate) step_layout: StepLayout,
    pub(crate) cycles: broadcast::Writer,
    pub(crate) steps: broadcast::Writer,
    pub(crate) counters: counters::Writer<Counter>,
    pub(crate) histograms: [histogram::Writer; HistogramKind::COUNT],
}

/// What an io thread writes of its connection for others to read.
pub(crate) struct Meter {
    pub(crate) counters: counters::Writer<ConnectionCounter>,
    round_trips: [histogram::Writer; RoundTrip::COUNT],
}

impl Meter {
    /// One for each connection.
    fn all(connections: &Segment, round_trips: &Segment) -> io::Result<Vec<Self>> {
        let counters = counters::writers(connections).map_err(io::Error::other)?;
        let mut writers = histogram::all_writers(round_trips).map_err(io::Error::other)?.into_iter();
        let mut next = || Some([writers.next()?, writers.next()?, writers.next()?]);
        Ok(counters.into_iter().map_while(|counters| Some(Self { counters, round_trips: next()? })).collect())
    }

    /// Notes what a call took that was answered.
    ///
    /// # Real-time
    /// Wait-free.
    pub(crate) fn note(&mut self, call: RoundTrip, took: Span) {
        if let Some(histogram) = self.round_trips.get_mut(call as usize) {
            histogram.record(took.as_ns());
        }
    }
}

/// What one learner may write: fresh memory for every grant, so that whoever was granted before writes into memory that
/// nobody reads.
pub(crate) struct LearnerSegments {
    pub(crate) weights: triple::Reader,
    pub(crate) counters: counters::Reader<LearnerCounter>,
    weights_segment: Segment,
    counters_segment: Segment,
    estimates_segment: Segment,
    histograms_segment: Segment,
}

impl Shelf {
    /// Creates, seals and prefaults everything, for a state of `n_state` columns.
    ///
    /// # Errors
    /// When the kernel gives no memory, or the site is too large for a record.
    pub fn create(site: &Site, n_state: usize) -> io::Result<(Self, Writers)> {
        let count = |n: usize| u32::try_from(n).map_err(io::Error::other);
        let too_large = || io::Error::other("the site has more tags or columns than a record holds");
        let (n_setpoints, n_tags) = (count(site.setpoints.len())?, count(site.tags.len())?);
        let cycle_layout = CycleLayout::new(n_setpoints, n_tags).ok_or_else(too_large)?;
        let step_layout = StepLayout::new(count(n_state)?, n_setpoints).ok_or_else(too_large)?;
        let cycles_kept = (site.runtime.record_span.as_ns() / site.runtime.period.as_ns()).max(1) as usize;

        let mut segments = Vec::new();
        let mut create = |spec: Spec| -> io::Result<Segment> {
            let segment = Segment::create(&signed(spec)).map_err(io::Error::other)?;
            segments.push((segment.header().kind(), segment.read_only_fd()?));
            Ok(segment)
        };
        let cycles = create(Spec::cycles(&cycle_layout, cycles_kept))?;
        let events = create(Spec::events(EVENTS_KEPT))?;
        let steps = create(Spec::transitions(&step_layout, STEPS_KEPT))?;
        let counters = create(Spec::counters::<Counter>())?;
        let histograms = create(Spec::histograms())?;
        let n_connections = count(site.connections.len())?;
        let connections = create(Spec::connections(n_connections))?;
        let round_trips = create(Spec::round_trips(n_connections))?;
        let segment = create(Spec::lease())?;
        let lease = Lease::new(&segment, site.runtime.lease_term.as_ns()).map_err(io::Error::other)?;
        lease.name(new_claimant());
        let events = broadcast::Writer::new(&events).map_err(io::Error::other)?;
        let records = Records {
            cycle_layout,
            step_layout,
            cycles: broadcast::Writer::new(&cycles).map_err(io::Error::other)?,
            steps: broadcast::Writer::new(&steps).map_err(io::Error::other)?,
            counters: counters::Writer::new(&counters).map_err(io::Error::other)?,
            histograms: histogram::writers(&histograms).map_err(io::Error::other)?,
        };
        let meters = Meter::all(&connections, &round_trips)?;
        Ok((Self { segments }, Writers { records, events, meters, lease: SharedLease { lease, segment } }))
    }

    /// The read-only descriptor of a segment.
    pub(crate) fn descriptor(&self, kind: SegmentKind) -> Option<BorrowedFd<'_>> {
        self.segments.iter().find(|(found, _)| *found == kind).map(|(_, descriptor)| descriptor.as_fd())
    }
}

/// The number of this run, which no other run of a runtime has.
pub(crate) fn run() -> u64 {
    static RUN: OnceLock<u64> = OnceLock::new();
    *RUN.get_or_init(new_claimant)
}

/// With the number of this run and the present time in the header.
fn signed(spec: Spec) -> Spec {
    spec.owner(run(), MonotonicClock::new().now().as_ns())
}

/// A name under which nobody else claims a plant.
pub(crate) fn new_claimant() -> u64 {
    // The standard library seeds every one of these from the operating system's random numbers.
    RandomState::new().hash_one(std::process::id())
}

impl LearnerSegments {
    /// Fresh segments for the learner with this epoch.
    pub(crate) fn create(epoch: u64, slot_words: usize) -> io::Result<Self> {
        let weights_segment = Spec::weights(slot_words).generation(epoch);
        let weights_segment = Segment::create(&signed(weights_segment)).map_err(io::Error::other)?;
        let counters_segment = Spec::counters::<LearnerCounter>().generation(epoch);
        let counters_segment = Segment::create(&signed(counters_segment)).map_err(io::Error::other)?;
        let estimates_segment = Spec::estimates(ESTIMATES_KEPT).generation(epoch);
        let estimates_segment = Segment::create(&signed(estimates_segment)).map_err(io::Error::other)?;
        let histograms_segment = Spec::learner_histograms().generation(epoch);
        let histograms_segment = Segment::create(&signed(histograms_segment)).map_err(io::Error::other)?;
        Ok(Self {
            weights: triple::Reader::new(&weights_segment).map_err(io::Error::other)?,
            counters: counters::Reader::new(&counters_segment).map_err(io::Error::other)?,
            weights_segment,
            counters_segment,
            estimates_segment,
            histograms_segment,
        })
    }

    /// The writable descriptors, for the learner.
    pub(crate) fn writable(&self) -> [BorrowedFd<'_>; 4] {
        [&self.weights_segment, &self.counters_segment, &self.estimates_segment, &self.histograms_segment]
            .map(|segment| segment.as_fd())
    }

    /// What the learner is going to say of decisions.
    pub(crate) fn estimates(&self) -> io::Result<broadcast::Reader> {
        broadcast::Reader::new(&self.estimates_segment, broadcast::Start::Oldest).map_err(io::Error::other)
    }

    /// A read-only descriptor, for a tool.
    pub(crate) fn read_only(&self, kind: SegmentKind) -> io::Result<OwnedFd> {
        let segment = match kind {
            SegmentKind::Weights => &self.weights_segment,
            SegmentKind::Estimates => &self.estimates_segment,
            SegmentKind::LearnerHistograms => &self.histograms_segment,
            _ => &self.counters_segment,
        };
        Ok(segment.read_only_fd()?)
    }
}
