//! What goes in comes out: recordings written by hand, exported, and read back with the formats' own readers.

use std::fs;
use std::path::Path;

use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::Field;
use proptest::prelude::*;
use rt_core::mode::{Cause, Mode};
use rt_core::record::EventKind;
use rt_recording::capture::{self, Trigger, TriggerKind, What};

use super::*;
use crate::staged::{self, FIRST_UNIX_NS, Staged};

const ALL: Selection = Selection { from: None, until: None, pick: Pick::Every(1) };

/// Levels that a plant has and does not have.
const LEVELS: [f64; 6] = [50.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e-300];

fn recorded() -> Staged {
    recorded_up_to(LEVELS.len())
}

fn recorded_up_to(cycles: usize) -> Staged {
    let mut staged = Staged::new();
    for (number, level) in LEVELS.into_iter().enumerate().take(cycles) {
        let number = number as u64;
        let tripped = EventKind::Latched { cause: Cause::OutputNotFinite };
        let fallback = EventKind::ModeChanged { from: Mode::Run, to: Mode::Fallback, cause: Cause::OutputNotFinite };
        let events = if number == 3 { vec![tripped, fallback] } else { Vec::new() };
        let fill = |record: &mut shm_layout::CycleMut<'_>| {
            record.head.lateness_ns = 1_500;
            record.head.mode = Mode::Run as u8;
            if number == 2 {
                record.head.goal = 1;
                (record.head.zone, record.head.zone_tag, record.head.zone_depth) = (CycleHead::YELLOW, 1, 0.25);
            }
            (record.tags[0].value, record.tags[0].stale) = (5.0, u8::from(number == 3));
            record.tags[0].source_time = 134_402_724_000_000_000 + 10_000 * number as i64;
            record.tags[1].stale = 1;
            (record.tags[1].value, record.tags[1].quality, record.tags[1].age_ns) = (level, 2, u64::MAX);
            let setpoint = &mut record.setpoints[0];
            (setpoint.desired, setpoint.sent, setpoint.last, setpoint.readback) = (12.0, 9.0, 8.5, f64::NAN);
            (setpoint.acted, setpoint.state) = (0b11, 0);
            setpoint.reply = number.min(2) as u32;
        };
        staged.cycle(number, fill, events);
    }
    staged
}

fn exported_to(bytes: &[u8], selection: &Selection, what: (Format, Contents), out: &Path) -> Exported {
    let (_directory, path) = staged::file(bytes);
    let mut footage = Footage::open(&path).unwrap();
    export(&mut footage, selection, what, File::create(out).unwrap(), |_| ()).unwrap()
}

fn exported(bytes: &[u8], selection: &Selection, what: (Format, Contents)) -> (Exported, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let exported = exported_to(bytes, selection, what, &out);
    (exported, fs::read(&out).unwrap())
}

fn csv_of(bytes: &[u8], selection: &Selection, contents: Contents) -> (Exported, String) {
    let (exported, text) = exported(bytes, selection, (Format::Csv, contents));
    (exported, String::from_utf8(text).unwrap())
}

#[test]
fn the_csv_of_a_recording_is_the_golden_one() {
    let (exported, text) = csv_of(recorded().closed().bytes(), &ALL, Contents::Cycles);
    assert_eq!((exported.cycles, exported.events, exported.ending), (6, 2, Some(Ending::Closed)));
    assert_eq!(text.replace("\r\n", "\n"), include_str!("../../golden/cycles.csv"));
    let (_, text) = csv_of(recorded().closed().bytes(), &ALL, Contents::Events);
    assert_eq!(text.replace("\r\n", "\n"), include_str!("../../golden/events.csv"));
}

#[test]
fn a_selection_is_counted_in_seconds_or_cycles_with_both_ends() {
    let mut staged = recorded();
    let numbers = |from, until, pick| {
        let (_, text) = csv_of(staged.closed().bytes(), &Selection { from, until, pick }, Contents::Cycles);
        let rows = text.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().parse::<u64>().unwrap());
        rows.collect::<Vec<_>>()
    };
    let mut numbers = numbers;
    assert_eq!(numbers(Some(Bound::Cycle(2)), Some(Bound::Cycle(4)), Pick::Every(1)), [2, 3, 4]);
    assert_eq!(numbers(Some(Bound::Seconds(0.002)), Some(Bound::Seconds(0.0035)), Pick::Every(1)), [2, 3]);
    assert_eq!(numbers(Some(Bound::Cycle(1)), None, Pick::Every(2)), [1, 3, 5]);
    assert_eq!(numbers(None, None, Pick::Decisions), [0, 2, 4]);
    assert_eq!(numbers(Some(Bound::Cycle(9)), None, Pick::Every(1)), [0; 0]);
}

#[test]
fn what_is_missing_is_counted_and_where_records_end_is_told() {
    let mut staged = Staged::new();
    staged.cycle(0, |_| (), Vec::new());
    staged.cycle(5, |record| record.head.skipped = 1, Vec::new());
    let (exported, _) = csv_of(staged.lost(6).bytes(), &ALL, Contents::Cycles);
    assert_eq!(exported.cycles_missing, 3, "of four numbers between, one is a slot that was lost");
    let said = exported.ending.unwrap().to_string();
    assert!(said.contains("ends before cycle 6") && said.contains("too late"), "{said}");
}

#[test]
fn a_file_that_is_cut_anywhere_gives_every_whole_cycle_before_the_cut() {
    let whole = recorded().closed().bytes().to_vec();
    let ends: Vec<usize> = (0..=LEVELS.len()).map(|count| recorded_up_to(count).bytes().len()).collect();
    let opening = ends[0];
    for length in (0..whole.len()).step_by(7) {
        let (_directory, path) = staged::file(&whole[..length]);
        match Footage::open(&path) {
            Err(refused) => assert!(length < opening, "{refused}"),
            Ok(mut footage) => {
                let mut cycles = 0;
                let ending = loop {
                    match footage.next_moment().unwrap() {
                        Moment::Cycle(record) => {
                            assert_eq!(record.head.cycle, cycles);
                            cycles += 1;
                        }
                        Moment::Event(_) | Moment::Gap(_) => {}
                        Moment::End(ending) => break ending,
                    }
                };
                assert!(matches!(ending, Ending::Cut { .. }), "{ending}");
                let whole = ends.iter().skip(1).filter(|end| **end <= length).count();
                assert_eq!(cycles, whole as u64, "cut at {length}");
            }
        }
    }
}

/// A flight recorder's file that was just begun.
fn capture_of(trigger: Trigger) -> capture::Writer<Vec<u8>> {
    let opening = capture::Opening {
        program: "9.9.9".to_owned(),
        site_file: "site.yaml".to_owned(),
        site_text: staged::SITE.to_owned(),
        site: "theatre".to_owned(),
        agent: "stage".to_owned(),
        instance: "main".to_owned(),
        tag_list_hash: 0,
        pid: 1,
        period_ns: 1_000_000,
        setpoints: 1,
        tags: 2,
        clocks: capture::Clocks { monotonic_ns: 9_000_000, unix_ns: FIRST_UNIX_NS },
        reason: capture::Reason::Flight(trigger),
    };
    capture::Writer::begin(Vec::new(), &opening).unwrap()
}

fn overruns() -> Trigger {
    Trigger { kind: TriggerKind::Trip, cycle: 8, time_ns: 8_000_000, text: "overruns".to_owned() }
}

/// The words of a cycle that was released so many milliseconds after the clock's beginning.
fn words_of(number: u64, fill: impl FnOnce(&mut shm_layout::CycleMut<'_>)) -> Vec<u64> {
    let layout = shm_layout::CycleLayout::new(1, 2).unwrap();
    let mut words = vec![0; layout.words()];
    let mut record = layout.view_mut(&mut words).unwrap();
    (record.head.cycle, record.head.release_ns) = (number, number * 1_000_000);
    record.tags[1].value = 40.0;
    fill(&mut record);
    words
}

/// Two cycles, lost events, and a trip that it was written for.
fn captured() -> Vec<u8> {
    let mut writer = capture_of(overruns());
    for number in [7, 8] {
        writer.cycle(&words_of(number, |_| ())).unwrap();
    }
    writer.missing(What::Events, 3);
    let mut event = EventRecord::new(shm_layout::EventKind::Trip, 8, 8_000_000);
    event.set_text("overruns");
    writer.event(&event).unwrap();
    writer.finish(capture::Closed::Complete).unwrap()
}

#[test]
fn a_capture_is_exported_like_a_recording_by_its_own_clocks_and_its_losses_are_told() {
    let (exported, text) = csv_of(&captured(), &ALL, Contents::Cycles);
    assert_eq!((exported.cycles, exported.events, exported.events_missing), (2, 1, 3));
    assert_eq!(exported.ending, Some(Ending::Closed));
    let rows: Vec<_> = text.lines().skip(1).collect();
    assert!(rows[0].starts_with("2024-02-29T12:34:55.998000Z,0.0,7,"), "{}", rows[0]);
    assert!(rows[1].starts_with("2024-02-29T12:34:55.999000Z,0.001,8,"), "{}", rows[1]);
    let (_directory, path) = staged::file(&captured());
    let footage = Footage::open(&path).unwrap();
    assert!(footage.provenance().why.contains("a trip in cycle 8: overruns"), "{}", footage.provenance().why);
    assert_eq!(footage.provenance().cause_ns, Some(8_000_000));
}

/// As a writer takes it turn by turn: all the cycles, then all the events, which two threads told in their own order.
fn taken_in_one_turn() -> Vec<u8> {
    let mut writer = capture_of(overruns());
    writer.missing(What::Cycles, 4);
    for number in 0..20 {
        let fill = |record: &mut shm_layout::CycleMut<'_>| {
            record.head.mode = if number < 8 { Mode::Run } else { Mode::Fallback } as u8;
            record.tags[1].value = if number == 8 { 95.0 } else { 40.0 };
        };
        writer.cycle(&words_of(number, fill)).unwrap();
    }
    for (kind, number) in [(shm_layout::EventKind::PolicyAdopted, 11), (shm_layout::EventKind::Trip, 8)] {
        writer.event(&EventRecord::new(kind, number, number * 1_000_000)).unwrap();
    }
    writer.missing(What::Cycles, 3);
    writer.finish(capture::Closed::Full).unwrap()
}

#[test]
fn an_event_of_a_capture_comes_behind_its_cycle_wherever_it_lies() {
    for until in [Bound::Cycle(9), Bound::Seconds(0.009)] {
        let selection = Selection { until: Some(until), ..ALL };
        let (exported, text) = csv_of(&taken_in_one_turn(), &selection, Contents::Events);
        assert_eq!((exported.cycles, exported.events), (10, 1), "{until:?}");
        assert!(text.lines().nth(1).unwrap().contains(",8,trip,"), "{text}");
    }
}

#[test]
fn what_a_capture_lacks_at_its_ends_is_counted() {
    let (exported, _) = csv_of(&taken_in_one_turn(), &ALL, Contents::Cycles);
    assert_eq!((exported.cycles, exported.cycles_missing, exported.events), (20, 7, 2));
}

#[test]
fn a_report_tells_a_trip_of_a_capture_with_the_state_of_its_cycle() {
    let (_directory, path) = staged::file(&taken_in_one_turn());
    let report = crate::report::Report::read(&mut Footage::open(&path).unwrap(), |_| ()).unwrap();
    let page = crate::report::page(&report, "a.cap");
    assert!(page.contains("<li>mode run since 0.000 s</li>"), "{page}");
    assert!(page.contains("was in its red zone"));
    assert!(page.contains("7 cycles are missing"));
}

#[test]
fn a_flipped_bit_ends_the_file_there_and_nothing_behind_it_is_exported() {
    let mut staged = recorded();
    let mut bytes = staged.closed().bytes().to_vec();
    let at = bytes.len() - 60;
    bytes[at] ^= 4;
    let (exported, _) = csv_of(&bytes, &ALL, Contents::Cycles);
    assert!(exported.cycles < 6);
    assert!(matches!(exported.ending, Some(Ending::Damaged { .. })), "{:?}", exported.ending);
}

#[test]
fn a_record_of_another_site_ends_the_file() {
    let mut staged = Staged::of(staged::SITE, shm_layout::CycleLayout::new(1, 3).unwrap());
    staged.cycle(0, |_| (), Vec::new());
    let (exported, text) = csv_of(staged.bytes(), &ALL, Contents::Cycles);
    assert_eq!((exported.cycles, text.lines().count()), (0, 1));
    assert!(matches!(exported.ending, Some(Ending::Damaged { .. })));
}

/// A Parquet file's column as its reader gives it.
fn column(reader: &SerializedFileReader<File>, name: &str) -> Vec<Field> {
    let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap);
    rows.map(|row| row.into_columns().into_iter().find(|(found, _)| found == name).unwrap().1).collect()
}

#[test]
fn parquet_gives_back_what_was_recorded_and_nothing_for_what_is_no_number() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out.parquet");
    exported_to(recorded().closed().bytes(), &ALL, (Format::Parquet, Contents::Cycles), &out);
    let reader = SerializedFileReader::new(File::open(&out).unwrap()).unwrap();
    let levels: Vec<_> = column(&reader, "LEVEL, \"A\"").into_iter().collect();
    for (found, given) in levels.iter().zip(LEVELS) {
        match found {
            Field::Null => assert!(given.is_nan()),
            Field::Double(found) => assert_eq!(found.to_bits(), given.to_bits()),
            other => panic!("{other}"),
        }
    }
    let text = |text: &str| Field::Str(text.to_owned());
    assert_eq!(column(&reader, "LEVEL, \"A\".quality")[0], text("bad"));
    assert_eq!(column(&reader, "LEVEL, \"A\".age_s")[0], Field::Null);
    assert_eq!(column(&reader, "FEED_SP.limits")[0], text("range rate"));
    assert_eq!(column(&reader, "FEED_SP.withheld")[0], Field::Null);
    assert_eq!(column(&reader, "FEED_SP.reply")[..3], [Field::Null, text("accepted"), text("refused")]);
    assert_eq!(column(&reader, "FEED_SP.raw")[0], Field::Double(12.0));
    assert_eq!(column(&reader, "cycle").last(), Some(&Field::Long(5)));
    let metadata = reader.metadata().file_metadata().key_value_metadata().unwrap();
    assert!(metadata.iter().any(|entry| entry.key == "ARROW:schema"));
    assert!(metadata.iter().any(|entry| entry.value.as_deref() == Some("theatre")));
}

#[test]
fn mcap_has_a_channel_for_each_tag_with_its_unit_and_every_message_at_its_time() {
    let (exported, bytes) = exported(recorded().closed().bytes(), &ALL, (Format::Mcap, Contents::Cycles));
    let messages: Vec<_> = ::mcap::MessageStream::new(&bytes).unwrap().map(Result::unwrap).collect();
    assert_eq!(messages.len() as u64, exported.cycles * 4 + exported.events);
    let summary = ::mcap::Summary::read(&bytes).unwrap().unwrap();
    assert_eq!(summary.stats.unwrap().message_count, messages.len() as u64);
    assert_eq!((summary.channels.len(), summary.schemas.len(), summary.chunk_indexes.len()), (5, 4, 1));
    let of = |topic: &str| messages.iter().filter(|message| message.channel.topic == topic).collect::<Vec<_>>();
    let levels = of("/tags/LEVEL, \"A\"");
    assert_eq!(levels.len(), LEVELS.len());
    assert_eq!(levels[0].channel.metadata["unit"], "%");
    assert_eq!(levels[0].channel.metadata["yellow_bounds"], "[20, 80]");
    for (number, (message, level)) in levels.iter().zip(LEVELS).enumerate() {
        assert_eq!(message.log_time, FIRST_UNIX_NS + number as u64 * 1_000_000);
        // Key of field 1 with eight bytes, and the double; zero is left out, minus zero is not.
        let value = [&[0x09][..], &level.to_le_bytes()].concat();
        assert!(message.data.starts_with(&value), "{level}: {:?}", message.data);
    }
    assert_eq!(of("/setpoints/FEED_SP")[0].channel.metadata["limits"], "[1, 9]");
    let events = of("/events");
    assert_eq!(events[0].channel.schema.as_ref().unwrap().name, "foxglove.Log");
    assert!(events[0].data.windows(4).any(|part| part == b"trip"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_number_comes_out_of_parquet_and_csv_with_its_bits(levels in prop::collection::vec(any::<u64>(), 1..40)) {
        let mut staged = Staged::new();
        for (number, bits) in levels.iter().enumerate() {
            let fill = |record: &mut shm_layout::CycleMut<'_>| record.tags[1].value = f64::from_bits(*bits);
            staged.cycle(number as u64, fill, Vec::new());
        }
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out.parquet");
        exported_to(staged.closed().bytes(), &ALL, (Format::Parquet, Contents::Cycles), &out);
        let reader = SerializedFileReader::new(File::open(&out).unwrap()).unwrap();
        let (_, text) = csv_of(staged.bytes(), &ALL, Contents::Cycles);
        let mut csv = ::csv::Reader::from_reader(text.as_bytes());
        let name = "LEVEL, \"A\" [%]";
        let at = csv.headers().unwrap().iter().position(|found| found == name).unwrap();
        let cells: Vec<_> = csv.records().map(|row| row.unwrap()[at].to_owned()).collect();
        let fields = column(&reader, "LEVEL, \"A\"");
        prop_assert_eq!((fields.len(), cells.len()), (levels.len(), levels.len()));
        for ((bits, field), cell) in levels.iter().zip(fields).zip(cells) {
            let given = f64::from_bits(*bits);
            let stored = if let Field::Double(found) = field { Some(found.to_bits()) } else { None };
            prop_assert_eq!(stored, (!given.is_nan()).then_some(*bits));
            prop_assert_eq!(cell.parse::<f64>().ok().map(f64::to_bits), given.is_finite().then_some(*bits));
        }
    }
}

/// Numbers that no runtime writes.
fn foreign() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), Just(u64::MAX), Just(u64::MAX - 1), Just(1 << 63), 0..40_u64]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_numbers_a_file_holds_it_is_exported_and_reported_on(
        cycles in prop::collection::vec(prop::collection::vec(foreign(), shm_layout::CycleLayout::new(1, 2).unwrap().words()), 1..6),
        events in prop::collection::vec(prop::array::uniform16(foreign()), 0..6),
        gaps in prop::collection::vec(foreign(), 0..4),
    ) {
        let mut writer = capture_of(overruns());
        for (at, words) in cycles.iter().enumerate() {
            gaps.get(at).iter().for_each(|count| writer.missing(What::Events, **count));
            gaps.get(at).iter().for_each(|count| writer.missing(What::Cycles, **count));
            if let Some(words) = events.get(at) {
                let mut event = [0; shm_layout::EVENT_WORDS];
                event.iter_mut().zip(words).for_each(|(to, word)| *to = *word);
                writer.event(&EventRecord::from_words(&event)).unwrap();
            }
            writer.cycle(words).unwrap();
        }
        let bytes = writer.finish(capture::Closed::Complete).unwrap();
        for format in [Format::Mcap, Format::Parquet, Format::Csv] {
            for contents in [Contents::Cycles, Contents::Events] {
                exported(&bytes, &ALL, (format, contents));
            }
        }
        let (_directory, path) = staged::file(&bytes);
        let report = crate::report::Report::read(&mut Footage::open(&path).unwrap(), |_| ()).unwrap();
        crate::report::page(&report, "a.cap");
    }
}
