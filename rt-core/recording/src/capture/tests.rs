//! Whole captures in memory: written, cut, damaged, read.

use shm_layout::{EventKind, EventRecord};

use super::*;
use crate::{Reader as RecordingReader, RecordingRefused};

/// A capture with every kind of frame, and the frames.
fn small() -> (Vec<u8>, Vec<Frame>) {
    let opening = opening();
    let layout = opening.layout().unwrap();
    let cycle = |number: u64| {
        let mut words = vec![0; layout.words()];
        let record = layout.view_mut(&mut words).unwrap();
        (record.head.cycle, record.head.release_ns) = (number, number * 1_000_000);
        record.setpoints[0].sent = number as f64 / 8.0;
        record.tags[1].value = f64::NAN;
        words
    };
    let mut event = EventRecord::new(EventKind::Trip, 6, 6_000_000);
    event.set_text("a trip");
    let mut writer = Writer::begin(Vec::new(), &opening).unwrap();
    writer.missing(What::Cycles, 5);
    for number in [5, 6] {
        writer.cycle(&cycle(number)).unwrap();
    }
    writer.event(&event).unwrap();
    writer.missing(What::Cycles, 2);
    writer.missing(What::Cycles, 1);
    writer.cycle(&cycle(10)).unwrap();
    writer.trigger(trigger(TriggerKind::LostSlot)).unwrap();
    writer.missing(What::Events, 7);
    let written = Written { cycles: 3, events: 1, lost_cycles: 8, lost_events: 7 };
    assert_eq!(writer.written(), written);
    let file = writer.finish(Closed::Complete).unwrap();
    let frames = vec![
        Frame::Gap(Gap { what: What::Cycles, count: 5, after: None, before: Some(5) }),
        Frame::Cycle(cycle(5)),
        Frame::Cycle(cycle(6)),
        Frame::Event(event),
        Frame::Gap(Gap { what: What::Cycles, count: 3, after: Some(6), before: Some(10) }),
        Frame::Cycle(cycle(10)),
        Frame::Trigger(trigger(TriggerKind::LostSlot)),
        Frame::Gap(Gap { what: What::Events, count: 7, after: Some(6), before: None }),
    ];
    (file, frames)
}

fn trigger(kind: TriggerKind) -> Trigger {
    Trigger { kind, cycle: 6, time_ns: 6_000_000, text: "why".to_owned() }
}

fn opening() -> Opening {
    Opening {
        program: "1".to_owned(),
        site_file: "works.yaml".to_owned(),
        site_text: "agent_name: ph".to_owned(),
        site: "works".to_owned(),
        agent: "ph".to_owned(),
        instance: "main".to_owned(),
        tag_list_hash: 3,
        pid: 4,
        period_ns: 1_000_000,
        setpoints: 1,
        tags: 2,
        clocks: Clocks { monotonic_ns: 6_500_000, unix_ns: 1_000_000_000_000 },
        reason: Reason::Flight(trigger(TriggerKind::Trip)),
    }
}

/// Everything in a file, with how many bytes were whole before and behind each frame.
fn read(bytes: &[u8]) -> Result<(Vec<(usize, Frame)>, Ending), CaptureRefused> {
    let mut reader = Reader::open(bytes)?;
    assert_eq!(*reader.opening(), opening());
    let mut frames = Vec::new();
    loop {
        match reader.next_frame()? {
            Next::Frame(frame) => frames.push((reader.bytes() as usize, frame)),
            Next::End(ending) => {
                assert_eq!(reader.next_frame()?, Next::End(ending), "the end again and again");
                return Ok((frames, ending));
            }
        }
    }
}

fn frames_of(read: &[(usize, Frame)]) -> impl Iterator<Item = &Frame> {
    read.iter().map(|(_, frame)| frame)
}

#[test]
fn a_capture_gives_back_what_was_written_and_gaps_with_the_cycles_around_them() {
    let (file, frames) = small();
    let (found, ending) = read(&file).unwrap();
    assert!(frames_of(&found).eq(&frames), "{found:#?}");
    assert_eq!(ending, Ending::Closed(Closed::Complete));
}

#[test]
fn a_capture_cut_at_any_byte_is_read_up_to_the_last_whole_frame() {
    let (file, _) = small();
    let (whole, _) = read(&file).unwrap();
    let mut fully_refused = 0;
    for length in 0..file.len() {
        match read(&file[..length]) {
            Err(CaptureRefused::Empty) => fully_refused += 1,
            Err(other) => panic!("cut at {length}: {other}"),
            Ok((found, ending)) => {
                let expected: Vec<_> = whole.iter().filter(|(end, _)| *end <= length).cloned().collect();
                assert_eq!(found, expected, "cut at {length}");
                assert!(matches!(ending, Ending::Cut { .. }), "cut at {length}: {ending:?}");
            }
        }
    }
    assert!(fully_refused > 0 && fully_refused < file.len());
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is_and_nothing_behind_it_is_believed() {
    let (file, _) = small();
    let (whole, _) = read(&file).unwrap();
    for bit in 0..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match read(&flipped) {
            Err(_) => {}
            Ok((found, ending)) => {
                let expected: Vec<_> = whole.iter().filter(|(end, _)| *end <= bit / 8).cloned().collect();
                assert_eq!(found, expected, "bit {bit}");
                assert!(!matches!(ending, Ending::Closed(_)), "bit {bit}: {ending:?}");
            }
        }
    }
}

#[test]
fn other_files_are_refused_with_a_sentence_and_a_recording_is_named_as_one() {
    let refused = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert!(refused(b"PK\x03\x04 and so on").contains("no capture"));
    assert!(refused(b"CORERLRC\x07\0\0\0").contains("a recording"));
    assert!(refused(b"CORERLCP\x03\0\0\0").contains("format 3"));
    assert!(refused(b"").contains("holds nothing"));
    assert!(matches!(RecordingReader::open(&small().0[..]), Err(RecordingRefused::Capture)));
}

#[test]
fn a_record_of_another_size_than_the_opening_tells_is_not_believed() {
    let mut writer = Writer::begin(Vec::new(), &opening()).unwrap();
    writer.cycle(&[0; 3]).unwrap();
    let (found, ending) = read(&writer.finish(Closed::Full).unwrap()).unwrap();
    assert!(found.is_empty() && matches!(ending, Ending::Damaged { .. }), "{ending:?}");
}

#[test]
fn a_moment_of_the_monotonic_clock_is_told_by_the_wall_clock() {
    let clocks = opening().clocks;
    assert_eq!(clocks.unix_ns_at(6_500_001), 1_000_000_000_001);
    assert_eq!(clocks.unix_ns_at(6_000_000), 1_000_000_000_000 - 500_000);
}

#[test]
fn a_capture_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.cap");
    to_the_disk(create(&path, &opening()).unwrap().finish(Closed::Complete).unwrap()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(read(&std::fs::read(&path).unwrap()).is_ok());
}
