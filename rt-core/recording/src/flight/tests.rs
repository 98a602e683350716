//! Flights over rings in this process.

use std::fs;

use shm::broadcast::heap;
use shm_layout::EVENT_WORDS;

use super::*;
use crate::capture::{Ending, Frame, Gap, Next, Reader, What};

const SLOTS: usize = 64;

/// Rings of a runtime with a period of 1 ms, and the recorder of them.
struct Rig {
    cycles: broadcast::Writer,
    events: broadcast::Writer,
    layout: CycleLayout,
    flight: Flight,
    told: Vec<FlightNotice>,
    now_ms: u64,
    directory: tempfile::TempDir,
}

impl Rig {
    fn new(change: impl FnOnce(&mut FlightOptions)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = CycleLayout::new(1, 2).unwrap();
        let (cycles, events) = (heap(layout.words(), SLOTS), heap(EVENT_WORDS, SLOTS));
        let mut options = options(directory.path());
        change(&mut options);
        let (flight, found) = Flight::new(options, cycles.reader(Start::Newest), layout, events.reader(Start::Newest));
        Self { cycles, events, layout, flight, told: found, now_ms: 0, directory }
    }

    /// Runs the cycles up to this millisecond, with a turn of the recorder after each.
    fn run_to(&mut self, ms: u64) {
        while self.now_ms < ms {
            self.now_ms += 1;
            self.cycle();
            self.turn();
        }
    }

    fn cycle(&mut self) {
        let mut words = vec![0; self.layout.words()];
        let record = self.layout.view_mut(&mut words).unwrap();
        (record.head.cycle, record.head.release_ns) = (self.now_ms, self.now_ms * 1_000_000);
        self.cycles.publish(&words).unwrap();
    }

    fn turn(&mut self) {
        let now = MonoTime::from_ns(self.now_ms * 1_000_000);
        self.flight.turn(now, now.as_ns(), |notice| self.told.push(notice));
    }

    fn event(&mut self, kind: EventKind) {
        let event = EventRecord::new(kind, self.now_ms, self.now_ms * 1_000_000);
        self.events.publish(&event.to_words()).unwrap();
    }

    /// What the recorder of the next start finds.
    fn next_one(&self, change: impl FnOnce(&mut FlightOptions)) -> Vec<FlightNotice> {
        let mut options = options(self.directory.path());
        change(&mut options);
        let (cycles, events) = (self.cycles.reader(Start::Newest), self.events.reader(Start::Newest));
        Flight::new(options, cycles, self.layout, events).1
    }

    /// What a crash leaves of the recorder.
    fn die(&mut self) {
        self.flight.saving = None;
    }

    fn saved(&self) -> Vec<PathBuf> {
        let saved = |notice: &FlightNotice| match notice {
            FlightNotice::Saved { path, .. } => Some(path.clone()),
            _ => None,
        };
        self.told.iter().filter_map(saved).collect()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path().join("flight")).into_iter().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn options(directory: &Path) -> FlightOptions {
    FlightOptions {
        directory: directory.join("flight"),
        prefix: "works.ph.main".to_owned(),
        utc: |unix_ns| format!("1970-01-01T00:00:{:09.6}Z", unix_ns as f64 / 1e9),
        on: vec![TriggerKind::Trip, TriggerKind::LostSlot, TriggerKind::Fault],
        before: Span::from_ms(10),
        after: Span::from_ms(5),
        pause: Span::from_ms(1_000),
        bytes_max: 1 << 20,
        opening: Opening {
            program: "1".to_owned(),
            site_file: "works.yaml".to_owned(),
            site_text: String::new(),
            site: "works".to_owned(),
            agent: "ph".to_owned(),
            instance: "main".to_owned(),
            tag_list_hash: 0,
            pid: 1,
            period_ns: 1_000_000,
            setpoints: 1,
            tags: 2,
            clocks: Clocks { monotonic_ns: 0, unix_ns: 0 },
            reason: Reason::Continuous { number: 0 },
        },
    }
}

/// Frames and end of a file, and the cycles in it.
fn read(path: &Path) -> (Reason, Vec<Frame>, Vec<u64>, Ending) {
    let file = fs::read(path).unwrap();
    let mut reader = Reader::open(&file[..]).unwrap();
    let layout = reader.layout();
    let (mut frames, mut cycles) = (Vec::new(), Vec::new());
    loop {
        match reader.next_frame().unwrap() {
            Next::Frame(frame) => {
                if let Frame::Cycle(words) = &frame {
                    cycles.push(layout.view(words).unwrap().head.cycle);
                }
                frames.push(frame);
            }
            Next::End(ending) => return (reader.opening().reason.clone(), frames, cycles, ending),
        }
    }
}

#[test]
fn a_trip_leaves_what_was_before_and_after_it_and_nothing_else() {
    let mut rig = Rig::new(|_| {});
    rig.run_to(30);
    rig.event(EventKind::PolicyAdopted);
    rig.run_to(35);
    rig.event(EventKind::Trip);
    rig.run_to(36);
    assert!(rig.names().iter().all(|name| name.ends_with(".part")), "{:?}", rig.names());
    rig.run_to(200);
    assert_eq!(rig.names(), ["works.ph.main.flight-19700101T000000.035000Z-trip.cap"]);
    let (reason, frames, cycles, ending) = read(&rig.saved()[0]);
    assert!(matches!(reason, Reason::Flight(Trigger { kind: TriggerKind::Trip, cycle: 35, .. })), "{reason:?}");
    assert_eq!(cycles, (25..=40).collect::<Vec<_>>());
    let events = frames.iter().filter(|frame| matches!(frame, Frame::Event(_)));
    assert_eq!((events.count(), ending), (2, Ending::Closed(Closed::Complete)));
}

#[test]
fn triggers_while_a_file_is_written_are_listed_in_it_and_make_it_longer_up_to_a_limit() {
    let mut rig = Rig::new(|_| {});
    rig.run_to(20);
    for _ in 0..100 {
        rig.event(EventKind::SlotsSkipped);
        rig.run_to(rig.now_ms + 1);
    }
    rig.run_to(400);
    assert_eq!(rig.saved().len(), 1, "{:?}", rig.told);
    let (_, frames, cycles, _) = read(&rig.saved()[0]);
    assert_eq!((cycles.first(), cycles.last()), (Some(&10), Some(&(20 + 5 * LONGER_MAX))));
    assert!(frames.iter().filter(|frame| matches!(frame, Frame::Trigger(_))).count() > 30);
}

#[test]
fn a_trigger_that_comes_when_later_cycles_were_seen_already_has_its_own_cycles_in_the_file() {
    let mut rig = Rig::new(|_| {});
    rig.run_to(20);
    rig.event(EventKind::SlotsSkipped);
    // A cycle behind the file's end was seen, and the file still waits for late events.
    rig.run_to(50);
    assert!(rig.saved().is_empty());
    rig.event(EventKind::Trip);
    rig.run_to(300);
    assert_eq!(rig.saved().len(), 1, "{:?}", rig.told);
    let (_, frames, cycles, _) = read(&rig.saved()[0]);
    assert_eq!(cycles, (10..=55).collect::<Vec<_>>());
    assert!(!frames.iter().any(|frame| matches!(frame, Frame::Gap(_))));
}

#[test]
fn a_trip_that_a_file_is_too_long_for_begins_another_one_and_what_comes_in_crowds_does_not() {
    let mut rig = Rig::new(|_| {});
    rig.run_to(20);
    while rig.now_ms < 70 {
        rig.event(EventKind::SlotsSkipped);
        rig.run_to(rig.now_ms + 1);
    }
    rig.event(EventKind::Trip);
    rig.run_to(400);
    let [first, second] = &rig.saved()[..] else { panic!("{:?}", rig.told) };
    let (_, _, cycles, ending) = read(first);
    assert_eq!((cycles, ending), ((10..=60).collect(), Ending::Closed(Closed::Full)));
    let (reason, _, cycles, ending) = read(second);
    assert!(matches!(reason, Reason::Flight(Trigger { kind: TriggerKind::Trip, cycle: 70, .. })), "{reason:?}");
    assert_eq!((cycles, ending), ((60..=75).collect(), Ending::Closed(Closed::Complete)));
}

#[test]
fn what_the_ring_did_not_hold_any_more_when_a_file_began_is_a_gap_at_its_beginning() {
    let mut rig = Rig::new(|options| options.before = Span::from_ms(500));
    rig.run_to(300);
    rig.event(EventKind::Trip);
    rig.run_to(500);
    let (_, frames, cycles, _) = read(&rig.saved()[0]);
    let first = cycles[0];
    assert!(first > 200, "the ring holds {SLOTS}");
    // Cycle 1 is the first that was published.
    let gap = Gap { what: What::Cycles, count: first - 1, after: None, before: Some(first) };
    assert_eq!(frames.iter().find(|frame| matches!(frame, Frame::Gap(_))), Some(&Frame::Gap(gap)));
}

#[test]
fn events_that_were_overwritten_before_they_were_read_are_counted_when_they_may_be_of_the_files_time() {
    let mut rig = Rig::new(|options| options.after = Span::from_ms(500));
    rig.run_to(20);
    rig.event(EventKind::Trip);
    // The first turn of the file finds no event of its time that is still there.
    rig.run_to(21);
    for _ in 0..3 * SLOTS {
        rig.event(EventKind::PolicyAdopted);
    }
    rig.run_to(1_000);
    let (_, frames, ..) = read(&rig.saved()[0]);
    let lost: u64 = frames.iter().map(|frame| if let Frame::Gap(gap) = frame { gap.count } else { 0 }).sum();
    let held = frames.iter().filter(|frame| matches!(frame, Frame::Event(_))).count() as u64;
    assert_eq!((held + lost, lost > SLOTS as u64), (3 * SLOTS as u64 + 1, true));

    let mut rig = Rig::new(|options| options.before = Span::from_ms(500));
    for _ in 0..3 * SLOTS {
        rig.event(EventKind::PolicyAdopted);
        rig.now_ms += 1;
        rig.turn();
    }
    rig.event(EventKind::Trip);
    rig.run_to(1_000);
    let (_, frames, ..) = read(&rig.saved()[0]);
    let gap = frames.iter().find(|frame| matches!(frame, Frame::Gap(Gap { what: What::Events, .. })));
    let Some(Frame::Gap(Gap { count, after: None, .. })) = gap else { panic!("{gap:?}") };
    let held = frames.iter().filter(|frame| matches!(frame, Frame::Event(_))).count() as u64;
    assert_eq!(held + count, 3 * SLOTS as u64 + 1);
}

#[test]
fn lost_slots_begin_no_file_in_the_pause_and_a_trip_and_a_command_do() {
    let mut rig = Rig::new(|_| {});
    rig.run_to(20);
    rig.event(EventKind::SlotsSkipped);
    rig.run_to(200);
    rig.event(EventKind::SlotsSkipped);
    rig.event(EventKind::Fault);
    rig.run_to(400);
    assert_eq!(rig.saved().len(), 1);
    rig.event(EventKind::Trip);
    rig.run_to(600);
    assert_eq!(rig.saved().len(), 2);
    let now = MonoTime::from_ns(rig.now_ms * 1_000_000);
    let path = rig.flight.save("why not".to_owned(), now, now.as_ns(), |_| {}).unwrap();
    rig.run_to(800);
    assert_eq!(rig.saved().get(2), Some(&path));
    let (reason, ..) = read(&path);
    let Reason::Flight(Trigger { kind, cycle, text, .. }) = reason else { panic!("{reason:?}") };
    assert_eq!((kind, cycle, text.as_str()), (TriggerKind::Command, 600, "why not"));
    rig.run_to(2_000);
    rig.event(EventKind::SlotsSkipped);
    rig.run_to(2_200);
    assert_eq!(rig.saved().len(), 4);
}

#[test]
fn what_was_overwritten_before_it_was_read_is_a_gap() {
    let mut rig = Rig::new(|options| options.after = Span::from_ms(500));
    rig.run_to(20);
    rig.event(EventKind::Trip);
    rig.run_to(21);
    for _ in 0..200 {
        rig.now_ms += 1;
        rig.cycle();
    }
    rig.run_to(1_000);
    let (_, frames, cycles, _) = read(&rig.saved()[0]);
    let lost: u64 = frames.iter().map(|frame| if let Frame::Gap(gap) = frame { gap.count } else { 0 }).sum();
    assert!(lost > 100, "{lost}");
    assert_eq!(cycles.len() as u64 + lost, 511, "from 10 to 520");
}

#[test]
fn the_oldest_files_make_room_and_those_of_others_stay() {
    let mut rig = Rig::new(|options| options.bytes_max = 3_000);
    fs::create_dir_all(rig.directory.path().join("flight")).unwrap();
    fs::write(rig.directory.path().join("flight/works.flow.main.flight-1-trip.cap"), [0; 8_000]).unwrap();
    for file in 1..=5 {
        rig.run_to(file * 1_000);
        rig.event(EventKind::Trip);
    }
    rig.run_to(6_000);
    let names = rig.names();
    assert_eq!(rig.saved().len(), 5);
    assert!(names.len() < 6 && names.iter().any(|name| name.starts_with("works.flow")), "{names:?}");
    assert!(rig.saved()[4].exists() && !rig.saved()[0].exists());
    let removed =
        rig.told.iter().map(|notice| if let FlightNotice::Saved { removed, .. } = notice { *removed } else { 0 });
    assert_eq!(removed.sum::<usize>(), 5 + 1 - names.len());
}

#[test]
fn a_disk_that_refuses_costs_the_file_and_is_told() {
    let mut rig = Rig::new(|_| {});
    fs::write(rig.directory.path().join("flight"), "no directory").unwrap();
    rig.run_to(20);
    rig.event(EventKind::Trip);
    rig.run_to(200);
    assert!(matches!(rig.told[..], [FlightNotice::Failed(_)]), "{:?}", rig.told);
    assert!(rig.flight.save(String::new(), MonoTime::ZERO, 0, |_| {}).is_err());
    fs::remove_file(rig.directory.path().join("flight")).unwrap();
    rig.event(EventKind::Trip);
    rig.run_to(400);
    assert_eq!(rig.saved().len(), 1);
}

#[test]
fn a_runtime_that_ends_saves_what_there_is() {
    let mut rig = Rig::new(|_| {});
    rig.run_to(20);
    rig.event(EventKind::Trip);
    rig.run_to(21);
    let mut told = Vec::new();
    rig.flight.close(MonoTime::from_ns(21_000_000), |notice| told.push(notice));
    let [FlightNotice::Saved { path, .. }] = &told[..] else { panic!("{told:?}") };
    let (_, _, cycles, ending) = read(path);
    assert_eq!((cycles.last(), ending), (Some(&21), Ending::Closed(Closed::RuntimeEnded)));
}

#[test]
fn what_a_crash_left_is_kept_under_a_name_that_says_so() {
    let mut rig = Rig::new(|_| {});
    rig.run_to(20);
    rig.event(EventKind::Trip);
    rig.run_to(22);
    let part = rig.names().remove(0);
    let told = rig.next_one(|_| {});
    assert!(told.is_empty() && rig.names() == [part.clone()], "whoever writes lives: {told:?}");
    rig.die();
    let told = rig.next_one(|_| {});
    let [FlightNotice::Found { path }] = &told[..] else { panic!("{told:?}, {part}") };
    assert!(path.to_str().unwrap().ends_with("-trip-cut.cap"));
    let (_, _, cycles, ending) = read(path);
    assert_eq!((cycles.last(), ending), (Some(&22), Ending::Cut { surplus_bytes: 0 }));
}

#[test]
fn what_crashes_left_counts_as_the_other_files_do_and_room_is_made_before_there_is_a_new_one() {
    let mut rig = Rig::new(|_| {});
    for file in 1..=5 {
        rig.run_to(file * 1_000);
        rig.event(EventKind::Trip);
        rig.run_to(file * 1_000 + 2);
        rig.die();
        rig.next_one(|_| {});
    }
    assert_eq!(rig.names().len(), 5, "{:?}", rig.names());
    let bytes = |rig: &Rig| {
        let entries = fs::read_dir(rig.directory.path().join("flight")).unwrap();
        entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    let budget = bytes(&rig) / 2;
    rig.next_one(|options| options.bytes_max = budget);
    assert!(bytes(&rig) <= budget && rig.names().iter().all(|name| !name.contains("001.0000")), "{:?}", rig.names());

    let mut rig = Rig::new(|options| options.bytes_max = 6_000);
    for file in 1..=6 {
        rig.run_to(file * 1_000);
        rig.event(EventKind::Trip);
        while rig.now_ms < file * 1_000 + 200 {
            rig.run_to(rig.now_ms + 1);
            assert!(bytes(&rig) <= 6_000 + 500, "a turn behind at most: {}", bytes(&rig));
        }
    }
}

#[test]
fn files_of_the_same_moment_do_not_take_each_others_place() {
    let mut rig = Rig::new(|options| options.utc = |_| "T".to_owned());
    for file in 1..=2 {
        rig.run_to(file * 1_000);
        rig.event(EventKind::Trip);
    }
    rig.run_to(3_000);
    assert_eq!(rig.names(), ["works.ph.main.flight-T-trip-2.cap", "works.ph.main.flight-T-trip.cap"]);
}
