//! A segment of a hostile process: its header, its control words, its content.

use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use shm::lease::{Heir, Lease, TERM_NS_MAX};
use shm::{Access, Segment, SegmentKind, Spec, broadcast, counters, histogram, lease, triple};
use shm_layout::{
    ConnectionCounter, Counter, CycleLayout, ESTIMATE_WORDS, EVENT_WORDS, EstimateRecord, EventRecord, HEADER_BYTES,
    HistogramKind, LearnerCounter, SegmentHeader, StepLayout,
};
use zerocopy::{FromBytes, IntoBytes};

use super::{Verdict, forge};

/// More kinds than there will be: a new one leaves the meaning of a corpus as it is.
const KINDS_MAX: u8 = 32;
const _: () = assert!(SegmentKind::ALL.len() <= KINDS_MAX as usize);
/// Longer segments teach nothing.
const BYTES_MAX: usize = 1 << 16;
/// Reads of a structure; a sound ring of such a length is empty before.
const READS: usize = 64;

/// The first byte: in its lower bits the kind that is expected, in its upper ones how the rest is meant: the segment as it
/// is, the same with a right checksum in its header, or a forger's words over a genuine segment.
pub(super) fn run(bytes: &[u8]) -> Verdict {
    let [what, rest @ ..] = bytes else { return Verdict::Refused };
    let Some(&kind) = SegmentKind::ALL.get(usize::from(what % KINDS_MAX)) else { return Verdict::Refused };
    let mut memory = match what / KINDS_MAX {
        0 => rest.to_vec(),
        1 => resealed(rest.to_vec()),
        _ => forged(kind, rest),
    };
    memory.truncate(BYTES_MAX);
    let mut verdict = Verdict::Refused;
    for access in [Access::ReadOnly, Access::ReadWrite] {
        if let Ok(segment) = Segment::attach(sealed_memory(&memory), access, kind) {
            assert_eq!((segment.header().kind(), segment.header().length_bytes()), (kind, memory.len()));
            use_it(&segment, kind);
            verdict = Verdict::Believed;
        }
    }
    verdict
}

/// A segment as a runtime makes it, but for the forger's words.
fn forged(kind: SegmentKind, words: &[u8]) -> Vec<u8> {
    let spec = match kind {
        SegmentKind::Weights => Spec::weights(8),
        SegmentKind::Transitions => Spec::transitions(&StepLayout::new(3, 1).expect("a small step"), 4),
        SegmentKind::Cycles => Spec::cycles(&CycleLayout::new(1, 2).expect("a small record"), 4),
        SegmentKind::Events => Spec::events(4),
        SegmentKind::Counters => Spec::counters::<Counter>(),
        SegmentKind::LearnerCounters => Spec::counters::<LearnerCounter>(),
        SegmentKind::Histograms => Spec::histograms(),
        SegmentKind::Lease => Spec::lease(),
        SegmentKind::Estimates => Spec::estimates(4),
        SegmentKind::Connections => Spec::connections(2),
        SegmentKind::RoundTrips => Spec::round_trips(1),
        SegmentKind::LearnerHistograms => Spec::learner_histograms(),
    };
    let segment = Segment::create(&spec).expect("a small segment");
    let mut memory = vec![0; segment.header().length_bytes()];
    rustix::io::pread(segment.as_fd(), &mut memory[..], 0).expect("its memory is there");
    forge::alter(&mut memory, words);
    resealed(memory)
}

/// The same with a right checksum in its header.
fn resealed(mut memory: Vec<u8>) -> Vec<u8> {
    if let Ok((header, _)) = SegmentHeader::read_from_prefix(&memory) {
        memory[..HEADER_BYTES].copy_from_slice(header.sealed().as_bytes());
    }
    memory
}

fn sealed_memory(bytes: &[u8]) -> OwnedFd {
    let descriptor =
        memfd_create("fuzz", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).expect("the system gives memory");
    rustix::fs::ftruncate(&descriptor, bytes.len() as u64).expect("memory has a length");
    rustix::io::pwrite(&descriptor, bytes, 0).expect("memory takes bytes");
    fcntl_add_seals(&descriptor, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).expect("memory can be sealed");
    descriptor
}

/// Everything that anybody does with a segment, each of which may be refused.
fn use_it(segment: &Segment, kind: SegmentKind) {
    let dims = segment.header().dims();
    let mut words = vec![0; segment.header().slot_words().min(BYTES_MAX)];
    if let Ok(mut reader) = triple::Reader::new(segment) {
        let _ = reader.update();
        let _ = reader.copy_into(0, &mut words);
        let _ = reader.update();
    }
    if let Ok(mut writer) = triple::Writer::new(segment) {
        let _ = writer.publish(&words);
        let _ = writer.publish(&words);
    }
    for start in [broadcast::Start::Oldest, broadcast::Start::Newest] {
        let Ok(mut reader) = broadcast::Reader::new(segment, start) else { continue };
        let (cycles, steps) = (CycleLayout::from_dims(dims), StepLayout::from_dims(dims));
        for _ in 0..READS {
            if !matches!(reader.next(&mut words), broadcast::Next::Record { .. }) {
                continue;
            }
            match kind {
                SegmentKind::Cycles => drop(cycles.and_then(|layout| layout.view(&words).map(|_| ()).ok())),
                SegmentKind::Transitions => drop(steps.and_then(|layout| layout.view(&words).map(|_| ()).ok())),
                SegmentKind::Estimates => look_at_estimate(&words),
                _ => look_at_event(&words),
            }
        }
    }
    if let Ok(mut writer) = broadcast::Writer::new(segment) {
        let _ = writer.publish(&words);
    }
    if let Ok(reader) = counters::Reader::<Counter>::new(segment) {
        let _ = Counter::ALL.iter().fold(0_u64, |sum, counter| sum.wrapping_add(reader.get(*counter)));
    }
    if let Ok(reader) = counters::Reader::<LearnerCounter>::new(segment) {
        let _ = LearnerCounter::ALL.iter().fold(0_u64, |sum, counter| sum.wrapping_add(reader.get(*counter)));
    }
    if let Ok(writer) = counters::Writer::<LearnerCounter>::new(segment) {
        writer.add(LearnerCounter::Heartbeat, u64::MAX);
    }
    for reader in counters::Reader::<ConnectionCounter>::all(segment).unwrap_or_default() {
        let _ = ConnectionCounter::ALL.iter().fold(0_u64, |sum, counter| sum.wrapping_add(reader.get(*counter)));
    }
    use_lease(segment);
    let all = HistogramKind::ALL.iter().filter_map(|kind| histogram::Reader::new(segment, *kind).ok());
    for reader in all.chain(histogram::Reader::all(segment).unwrap_or_default()) {
        let snapshot = reader.snapshot();
        let _ = (snapshot.count(), snapshot.min_ns(), snapshot.max_ns(), snapshot.mean_ns(), snapshot.count_above(1));
        let quantiles = [0.0, 0.5, 0.999, 1.0].map(|q| snapshot.quantile_ns(q));
        assert!(quantiles.is_sorted(), "{quantiles:?}");
    }
}

/// A lease as an heir and its holder use it; what an heir has ended permits nothing.
fn use_lease(segment: &Segment) {
    const INSTANTS: [u64; 3] = [0, TERM_NS_MAX, u64::MAX];
    let _ = lease::look(segment);
    let heir = Heir::new(segment);
    if let Ok(heir) = &heir {
        let _ = (heir.state(), INSTANTS.map(|now_ns| heir.succeed(now_ns)));
    }
    let Ok(own) = Lease::new(segment, TERM_NS_MAX) else { return };
    for now_ns in INSTANTS {
        let _ = (own.take(1, now_ns), own.renew(now_ns), own.permits(now_ns));
        let _ = (own.offer(true, now_ns), own.take_back(now_ns));
        if let Ok(heir) = &heir {
            assert!(heir.bury().is_none() || !own.permits(0), "{:?}", own.state());
        }
    }
}

fn look_at_estimate(words: &[u64]) {
    if let Some(words) = words.first_chunk::<ESTIMATE_WORDS>() {
        assert_eq!(EstimateRecord::from_words(words).to_words(), *words);
    }
}

fn look_at_event(words: &[u64]) {
    if let Some(words) = words.first_chunk::<EVENT_WORDS>() {
        let event = EventRecord::from_words(words);
        let _ = (event.kind(), event.text().len());
    }
}
