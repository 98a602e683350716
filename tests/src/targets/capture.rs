//! A capture from somewhere, read.

use std::sync::LazyLock;

use rt_recording::capture::{
    Clocks, Closed, FORMAT_VERSION, Frame, MAGIC, Next, Opening, Reader, Reason, Trigger, TriggerKind, What, Writer,
};
use shm_layout::{EventKind, EventRecord};

use super::chain::{frames_of, payloads, sealed};
use super::{Verdict, forge};

/// Frames of one file that are looked at.
const FRAMES_MAX: usize = 1_024;

/// The payloads of a genuine capture's frames.
static GENUINE: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| frames_of(&genuine()).map(<[u8]>::to_vec).collect());

/// The first byte, how the rest is meant: the file as it is; payloads, each behind its length in three bytes, to be sealed
/// into frames; or the number of a genuine frame in two bytes, and a forger's words over it.
pub(super) fn run(bytes: &[u8]) -> Verdict {
    let [what, rest @ ..] = bytes else { return Verdict::Refused };
    let file = match what % 3 {
        0 => rest.to_vec(),
        1 => sealed(MAGIC, FORMAT_VERSION, &payloads(rest)),
        _ => forged(rest),
    };
    Verdict::of(read(&file) > 0)
}

/// The genuine capture, with one frame altered.
fn forged(bytes: &[u8]) -> Vec<u8> {
    let [low, high, words @ ..] = bytes else { return Vec::new() };
    let mut frames = GENUINE.clone();
    let number = usize::from(u16::from_le_bytes([*low, *high])) % frames.len();
    forge::alter(&mut frames[number], words);
    sealed(MAGIC, FORMAT_VERSION, &frames)
}

/// Reads it to its end; how many frames came through.
fn read(file: &[u8]) -> usize {
    let Ok(mut reader) = Reader::open(file) else { return 0 };
    let layout = reader.layout();
    for count in 0..FRAMES_MAX {
        match reader.next_frame().expect("bytes can be read") {
            Next::Frame(Frame::Cycle(words)) => drop(layout.view(&words).expect("a cycle has the layout's words")),
            Next::Frame(Frame::Opening(_) | Frame::Closing(_)) => panic!("no frame of the middle"),
            Next::Frame(Frame::Event(event)) => assert!(event.text().len() <= 64),
            Next::Frame(Frame::Gap(_) | Frame::Trigger(_)) => {}
            ending @ Next::End(_) => {
                assert_eq!(reader.next_frame().expect("bytes can be read"), ending);
                return count;
            }
        }
        assert!(reader.bytes() <= file.len() as u64);
    }
    FRAMES_MAX
}

fn genuine() -> Vec<u8> {
    let trigger = Trigger { kind: TriggerKind::Trip, cycle: 3, time_ns: 3_000_000, text: "a trip".to_owned() };
    let opening = Opening {
        program: "fuzz".to_owned(),
        site_file: "site.yaml".to_owned(),
        site_text: "agent_name: ph".to_owned(),
        site: "works".to_owned(),
        agent: "ph".to_owned(),
        instance: "main".to_owned(),
        tag_list_hash: 1,
        pid: 2,
        period_ns: 1_000_000,
        setpoints: 1,
        tags: 2,
        clocks: Clocks { monotonic_ns: 5_000_000, unix_ns: 1 << 60 },
        reason: Reason::Flight(trigger.clone()),
    };
    let layout = opening.layout().expect("a small record");
    let mut writer = Writer::begin(Vec::new(), &opening).expect("a vector takes everything");
    for cycle in 1..=4 {
        let mut words = vec![0; layout.words()];
        layout.view_mut(&mut words).expect("the layout's words").head.cycle = cycle;
        writer.missing(What::Cycles, cycle % 2);
        writer.cycle(&words).expect("a vector takes everything");
    }
    writer.event(&EventRecord::new(EventKind::Trip, 3, 3_000_000)).expect("a vector takes everything");
    writer.trigger(trigger).expect("a vector takes everything");
    writer.finish(Closed::Complete).expect("a vector takes everything")
}
