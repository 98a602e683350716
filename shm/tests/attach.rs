//! Descriptors that are not what they should be: attaching refuses with facts and never panics.
#![cfg(not(loom))]

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use shm::{Access, AttachRefused, HeaderRefused, RoleRefused, Segment, SegmentKind, Spec, broadcast, triple};
use shm_layout::{CLAIM_WORD, CONTROL_WORD, DATA_WORD, HEADER_BYTES, MAGIC};

fn events() -> Segment {
    Segment::create(&Spec::events(8).generation(5).owner(77, 1234)).unwrap()
}

fn duplicate(segment: &Segment) -> OwnedFd {
    segment.as_fd().try_clone_to_owned().unwrap()
}

#[test]
fn an_attached_segment_has_the_facts_of_its_creator() {
    let segment = events();
    let attached = Segment::attach(duplicate(&segment), Access::ReadWrite, SegmentKind::Events).unwrap();
    assert_eq!(attached.header(), segment.header());
    let header = attached.header();
    assert_eq!((header.generation(), header.owner_nonce()), (5, 77));
    assert_eq!((header.created_monotonic_ns(), header.owner_pid()), (1234, std::process::id()));
}

#[test]
fn the_words_of_a_segment_can_be_looked_at_from_outside_of_its_protocol() {
    let segment = events();
    let mut writer = broadcast::Writer::new(&segment).unwrap();
    writer.publish(&[7; 16]).unwrap();
    let attached = Segment::attach(segment.read_only_fd().unwrap(), Access::ReadOnly, SegmentKind::Events).unwrap();
    assert_eq!(attached.word(0), Some(u64::from_le_bytes(MAGIC)));
    assert_eq!(attached.word(CLAIM_WORD), Some(u64::from(std::process::id())));
    assert_eq!([CONTROL_WORD, DATA_WORD, DATA_WORD + 1].map(|word| attached.word(word)), [Some(1), Some(2), Some(7)]);
    let end = attached.header().length_bytes() / 8;
    assert_eq!((attached.word(end - 1), attached.word(end)), (Some(0), None));
}

#[test]
fn f05_every_flipped_bit_of_the_header_is_refused() {
    let segment = events();
    for bit in 0..HEADER_BYTES * 8 {
        let offset = (bit / 8) as u64;
        let mut byte = [0];
        rustix::io::pread(segment.as_fd(), &mut byte[..], offset).unwrap();
        let flipped = [byte[0] ^ 1 << (bit % 8)];
        rustix::io::pwrite(segment.as_fd(), &flipped, offset).unwrap();
        let refused = Segment::attach(duplicate(&segment), Access::ReadOnly, SegmentKind::Events);
        assert!(matches!(refused, Err(AttachRefused::Header(_))), "bit {bit}");
        rustix::io::pwrite(segment.as_fd(), &byte, offset).unwrap();
    }
    Segment::attach(duplicate(&segment), Access::ReadOnly, SegmentKind::Events).unwrap();
}

#[test]
fn another_kind_is_refused() {
    let refused = Segment::attach(duplicate(&events()), Access::ReadOnly, SegmentKind::Cycles).unwrap_err();
    let found = SegmentKind::Events.code();
    let expected = SegmentKind::Cycles;
    assert_eq!(refused, AttachRefused::Header(HeaderRefused::Kind { found, expected }));
}

#[test]
fn memory_that_could_be_taken_away_is_refused() {
    let file = tempfile();
    rustix::fs::ftruncate(&file, 4096).unwrap();
    let refused = Segment::attach(file, Access::ReadWrite, SegmentKind::Events).unwrap_err();
    assert!(matches!(refused, AttachRefused::NotSealed { .. }));
    let (null, _keep) = rustix::pipe::pipe().unwrap();
    let refused = Segment::attach(null, Access::ReadOnly, SegmentKind::Events).unwrap_err();
    assert_eq!(refused, AttachRefused::NotSealed { found_bits: 0 });
}

#[test]
fn a_sealed_descriptor_without_a_header_is_refused() {
    for bytes in [0, 8, 511, 512, 4096] {
        let file = tempfile();
        rustix::fs::ftruncate(&file, bytes).unwrap();
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals).unwrap();
        let refused = Segment::attach(file, Access::ReadWrite, SegmentKind::Events).unwrap_err();
        if bytes < 512 {
            assert_eq!(refused, AttachRefused::Length { found_bytes: bytes });
        } else {
            let found = [0; 8];
            assert_eq!(refused, AttachRefused::Header(HeaderRefused::BadMagic { found }));
        }
    }
}

fn tempfile() -> OwnedFd {
    rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap()
}

#[test]
fn f14_nobody_can_change_a_segment_s_size_or_seals() {
    let segment = events();
    for length in [0, 1, 1 << 20] {
        assert_eq!(rustix::fs::ftruncate(segment.as_fd(), length), Err(Errno::PERM));
    }
    let seals = rustix::fs::fcntl_add_seals(segment.as_fd(), SealFlags::WRITE);
    assert_eq!(seals, Err(Errno::PERM));
    let mode = rustix::fs::fstat(segment.as_fd()).unwrap().st_mode & 0o777;
    assert_eq!(mode, 0o640);
}

#[test]
fn a_read_only_descriptor_cannot_be_mapped_for_writing() {
    let segment = Segment::create(&Spec::weights(16)).unwrap();
    let read_only = || segment.read_only_fd().unwrap();
    let refused = Segment::attach(read_only(), Access::ReadWrite, SegmentKind::Weights).unwrap_err();
    let errno = Errno::ACCESS;
    assert_eq!(refused, AttachRefused::System { call: "mmap", errno });
    let attached = Segment::attach(read_only(), Access::ReadOnly, SegmentKind::Weights).unwrap();
    let kind = SegmentKind::Weights;
    assert_eq!(triple::Writer::new(&attached).unwrap_err(), RoleRefused::ReadOnly { kind });
    assert_eq!(triple::Reader::new(&attached).unwrap_err(), RoleRefused::ReadOnly { kind });
}

#[test]
fn a_reader_without_the_right_to_write_follows_the_ring() {
    let segment = events();
    let mut writer = broadcast::Writer::new(&segment).unwrap();
    let attached = Segment::attach(segment.read_only_fd().unwrap(), Access::ReadOnly, SegmentKind::Events).unwrap();
    let mut reader = broadcast::Reader::new(&attached, broadcast::Start::Oldest).unwrap();
    let mut record = [0; 16];
    for sequence in 0..100 {
        writer.publish(&[sequence; 16]).unwrap();
        assert_eq!(reader.next(&mut record), broadcast::Next::Record { sequence });
        assert_eq!(record, [sequence; 16]);
    }
    for _ in 0..100 {
        writer.publish(&[0; 16]).unwrap();
    }
    let broadcast::Next::Lost(lost) = reader.next(&mut record) else {
        panic!("overwritten records are reported");
    };
    let sequence = 100 + lost;
    assert_eq!(reader.next(&mut record), broadcast::Next::Record { sequence });
}

#[test]
fn impossible_sizes_are_refused_at_creation() {
    let kind = SegmentKind::Cycles;
    for (slot_words, slots) in [(0, 8), (usize::MAX, 8), (8, usize::MAX), (1 << 20, 1 << 20)] {
        let refused = Segment::create(&Spec::broadcast(kind, slot_words, slots)).unwrap_err();
        assert!(matches!(refused, shm::CreateFailed::Geometry { .. }));
    }
}

#[test]
fn a_mapping_outlives_its_descriptor_and_its_segment() {
    let segment = events();
    let mut writer = broadcast::Writer::new(&segment).unwrap();
    let mut reader = broadcast::Reader::new(&segment, broadcast::Start::Oldest).unwrap();
    assert!(segment.as_fd().as_fd().try_clone_to_owned().is_ok());
    drop(segment);
    writer.publish(&[3; 16]).unwrap();
    assert_eq!(reader.next(&mut [0; 16]), broadcast::Next::Record { sequence: 0 });
}
