use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use parquet::basic::{Compression, GzipLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;

use super::*;
use crate::table::Cell;

/// A column's values; in an optional column some are null.
enum Given {
    Bools(Vec<Option<bool>>),
    Ints(Vec<Option<i32>>),
    Longs(Vec<Option<i64>>),
    Floats(Vec<Option<f32>>),
    Doubles(Vec<Option<f64>>),
    Texts(Vec<Option<&'static str>>),
}

fn write<D: DataType>(column: &mut SerializedColumnWriter<'_>, values: impl Iterator<Item = Option<D::T>>) {
    let values: Vec<_> = values.collect();
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<_> = values.into_iter().flatten().collect();
    column.typed::<D>().write_batch(&values, Some(&levels), None).expect("a batch");
}

fn write_any(column: &mut SerializedColumnWriter<'_>, given: &Given) {
    match given {
        Given::Bools(values) => write::<BoolType>(column, values.iter().copied()),
        Given::Ints(values) => write::<Int32Type>(column, values.iter().copied()),
        Given::Longs(values) => write::<Int64Type>(column, values.iter().copied()),
        Given::Floats(values) => write::<FloatType>(column, values.iter().copied()),
        Given::Doubles(values) => write::<DoubleType>(column, values.iter().copied()),
        Given::Texts(values) => {
            write::<ByteArrayType>(column, values.iter().map(|text| text.map(ByteArray::from)));
        }
    }
}

/// A file with these columns in groups of rows.
fn file_as(schema: &str, properties: WriterProperties, groups: &[Vec<Given>]) -> Vec<u8> {
    let schema = parse_message_type(&format!("message history {{ {schema} }}")).expect("a schema");
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)).expect("a writer");
    for columns in groups {
        let mut group = writer.next_row_group().expect("a group");
        for given in columns {
            let mut column = group.next_column().expect("a column").expect("one more");
            write_any(&mut column, given);
            column.close().expect("a whole column");
        }
        group.close().expect("a whole group");
    }
    writer.into_inner().expect("a whole file")
}

fn file(schema: &str, columns: Vec<Given>) -> Vec<u8> {
    file_as(schema, WriterProperties::builder().build(), &[columns])
}

fn read_bytes(bytes: &[u8]) -> Result<Table, TableRefused> {
    let directory = tempfile::tempdir().expect("a place");
    let path = directory.path().join("history.parquet");
    fs::write(&path, bytes).expect("room");
    Table::read(&path)
}

fn refused(bytes: &[u8]) -> String {
    read_bytes(bytes).unwrap_err().to_string()
}

fn some<T: Copy, const N: usize>(values: [T; N]) -> Vec<Option<T>> {
    values.map(Some).to_vec()
}

const HOUR: [i64; 3] = [1_769_868_300, 1_769_868_310, 1_769_868_320];

fn longs(scale: i64) -> Given {
    Given::Longs(HOUR.map(|second| Some(second * scale)).to_vec())
}

/// Three rows of a level.
fn with_time(schema: &str, time: Given) -> Vec<u8> {
    file(&format!("{schema}; required double LEVEL;"), vec![time, Given::Doubles(some([0.5, 0.6, 0.7]))])
}

/// The columns of a file one by one, with their names.
fn columns_of(bytes: &[u8]) -> Result<Vec<(String, Cells)>, TableRefused> {
    let directory = tempfile::tempdir().expect("a place");
    let path = directory.path().join("history.parquet");
    fs::write(&path, bytes).expect("room");
    let Some(file) = ParquetColumns::open(&path)? else { return Ok(Vec::new()) };
    let names = file.names().into_iter().enumerate();
    names.map(|(place, name)| Ok((name, file.read(place)?))).collect()
}

#[test]
fn columns_are_read_as_they_are_for_whoever_knows_what_they_mean() {
    let schema = "required int64 at (TIMESTAMP(MICROS,false)); required int64 ns; optional binary tag (UTF8); optional double value;";
    let values = Given::Doubles(vec![Some(0.5), None, Some(f64::NAN)]);
    // More than a double holds.
    let wholes = Given::Longs(some([1, i64::MAX - 1, -7]));
    let texts = Given::Texts(vec![Some("PH"), None, Some("PH")]);
    let found = columns_of(&file(schema, vec![longs(1_000_000), wholes, texts, values])).unwrap();
    let cells: BTreeMap<_, _> = found.into_iter().collect();
    let times_ns = HOUR.map(|second| Some(second * 1_000_000_000)).to_vec();
    assert_eq!(cells["at"], Cells::Times { times_ns, is_utc: false });
    assert_eq!(cells["ns"], Cells::Wholes(some([1, i64::MAX - 1, -7])));
    assert_eq!(cells["tag"], Cells::Texts(vec![Some("PH".into()), None, Some("PH".into())]));
    let Cells::Numbers(values) = &cells["value"] else { panic!("numbers") };
    assert!(values[0] == 0.5 && values[1].is_nan() && values[2] == f64::INFINITY);
    let utc = with_time("required int64 time (TIMESTAMP(NANOS,true))", longs(1_000_000_000));
    assert!(matches!(columns_of(&utc).unwrap()[0].1, Cells::Times { is_utc: true, .. }));
    assert!(columns_of(b"time,PH\n").unwrap().is_empty(), "it is another file");
}

#[test]
fn every_kind_of_time_is_the_same_time() {
    let files = [
        with_time("required int64 time (TIMESTAMP(NANOS,true))", longs(1_000_000_000)),
        with_time("required int64 Timestamp (TIMESTAMP(MICROS,false))", longs(1_000_000)),
        with_time("optional int64 ts (TIMESTAMP_MILLIS)", longs(1_000)),
        with_time("required int64 t", longs(1)),
        with_time("required double datetime", Given::Doubles(HOUR.map(|second| Some(second as f64)).to_vec())),
        with_time("required int32 date", Given::Ints(HOUR.map(|second| Some(second as i32)).to_vec())),
        with_time(
            "required binary time (UTF8)",
            Given::Texts(some(["2026-01-31T14:05:00Z", "2026-01-31 14:05:10", "31.01.2026 14:05:20"])),
        ),
    ];
    for bytes in files {
        let table = read_bytes(&bytes).unwrap();
        assert_eq!(table.times_ns, HOUR.map(|second| second * 1_000_000_000));
        let values: Vec<_> = table.column("LEVEL").unwrap().cells().map(Cell::value).collect();
        assert_eq!(values, [Some(0.5), Some(0.6), Some(0.7)]);
    }
    let days = with_time("required int32 day (DATE)", Given::Ints(some([0, 1, 2])));
    assert!(refused(&days).contains("none of them is the time"), "a day is no name of a time");
    let days = with_time("required int32 date (DATE)", Given::Ints(some([0, 1, 2])));
    assert_eq!(read_bytes(&days).unwrap().times_ns[2], 2 * 86_400_000_000_000);
}

#[test]
fn numbers_of_every_kind_are_read_and_nulls_say_nothing() {
    let schema = "optional boolean PUMP; optional int32 COUNT; optional int32 BYTES (INTEGER(32,false)); optional float FLOW; \
                  optional double LEVEL; optional int64 PRICE (DECIMAL(10,2)); required int64 time; optional int64 TOTAL;";
    let columns = || {
        vec![
            Given::Bools(vec![Some(true), None, Some(false)]),
            Given::Ints(vec![Some(-7), None, Some(8)]),
            Given::Ints(vec![Some(-1), None, Some(1)]),
            Given::Floats(vec![Some(0.25), None, Some(f32::NAN)]),
            Given::Doubles(vec![None, None, Some(f64::INFINITY)]),
            Given::Longs(vec![Some(1_250), None, Some(-5)]),
            longs(1),
            Given::Longs(vec![Some(1 << 40), None, Some(0)]),
        ]
    };
    let expected = [
        ("PUMP", Cell::Value(1.0), Cell::Value(0.0)),
        ("COUNT", Cell::Value(-7.0), Cell::Value(8.0)),
        ("BYTES", Cell::Value(4_294_967_295.0), Cell::Value(1.0)),
        ("FLOW", Cell::Value(0.25), Cell::Bad),
        ("LEVEL", Cell::Nothing, Cell::Bad),
        ("PRICE", Cell::Value(12.5), Cell::Value(-0.05)),
        ("TOTAL", Cell::Value(1_099_511_627_776.0), Cell::Value(0.0)),
    ];
    let compressions =
        [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::GZIP(GzipLevel::default()), Compression::LZ4_RAW];
    for compression in compressions {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let properties = WriterProperties::builder().set_compression(compression).set_writer_version(version);
            let table = read_bytes(&file_as(schema, properties.build(), &[columns()])).unwrap();
            assert_eq!(
                table.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(),
                expected.map(|(name, ..)| name)
            );
            for (name, first, last) in expected {
                let cells: Vec<_> = table.column(name).unwrap().cells().collect();
                assert_eq!(cells, [first, Cell::Nothing, last], "{name}, {compression:?}, {version:?}");
            }
        }
    }
}

#[test]
fn groups_of_rows_follow_one_another_and_the_later_of_two_rows_with_one_time_counts() {
    let rows = |first: i64, count: i64| {
        let times = (first..first + count).map(Some).collect();
        vec![Given::Longs(times), Given::Doubles((first..first + count).map(|at| Some(at as f64)).collect())]
    };
    let schema = "required int64 t; required double LEVEL;";
    // More than are asked for at once, and the last time of a group once more.
    let groups =
        [rows(0, 40_000), rows(39_999, 3), vec![Given::Longs(vec![]), Given::Doubles(vec![])], rows(40_002, 5)];
    let table = read_bytes(&file_as(schema, WriterProperties::builder().build(), &groups)).unwrap();
    assert_eq!((table.times_ns.len(), table.replaced), (40_007, 1));
    let cells = table.column("LEVEL").unwrap().cells();
    assert!(cells.enumerate().all(|(row, cell)| cell == Cell::Value(row as f64)));
}

#[test]
fn what_is_wrong_is_said_with_its_row_or_column() {
    let unsorted = with_time("required int64 t", Given::Longs(some([5, 7, 6])));
    assert!(refused(&unsorted).contains("row 3: its time is before that of the row before: sort"));
    let untimed = with_time("optional int64 t", Given::Longs(vec![Some(5), None, Some(7)]));
    assert!(refused(&untimed).contains("row 2: it has no time"));
    let far = with_time("required int64 t (TIMESTAMP_MILLIS)", Given::Longs(some([5, 7, i64::MAX])));
    assert!(refused(&far).contains("row 3: it has no time, or one that cannot be"));
    let word = with_time("required binary t (UTF8)", Given::Texts(some(["1", "2", "soon"])));
    assert!(refused(&word).contains("row 3: it has no time"));
    let half = with_time("optional binary t (UTF8)", Given::Texts(vec![Some("1"), None, Some("3")]));
    assert!(refused(&half).contains("row 2: it has no time"));
    let nameless = with_time("required int64 __index_level_0__", longs(1));
    assert!(refused(&nameless).contains("none of them is the time") && refused(&nameless).contains("df.index.name"));
    let two = file("required int64 t; required int64 Time;", vec![longs(1), longs(1)]);
    assert!(refused(&two).contains("`t` and `Time` could both be the time: rename one"));
    let alone = file("required int64 t;", vec![longs(1)]);
    assert!(refused(&alone).contains("there is no column behind the time"));
    let columns = || vec![longs(1), Given::Texts(some(["a", "b", "c"]))];
    let text = file("required int64 t; required binary NAME (UTF8);", columns());
    assert!(refused(&text).contains("`NAME` holds no numbers: leave it out"));
    let times = file("required int64 t; required int64 SEEN (TIMESTAMP_MILLIS);", vec![longs(1), longs(1)]);
    assert!(refused(&times).contains("`SEEN` holds times and not numbers"));
    let odd = file("required binary t (UTF8); required double A;", vec![Given::Texts(vec![]), Given::Doubles(vec![])]);
    assert!(refused(&odd).contains("it has no rows"));
    let nested = "required int64 t; required group tank { required double LEVEL; }";
    let nested = file(nested, vec![longs(1), Given::Doubles(some([1.0; 3]))]);
    assert!(refused(&nested).contains("`tank.LEVEL` is nested: write a plain column for each tag"));
    let second =
        WriterProperties::builder().set_writer_version(WriterVersion::PARQUET_2_0).set_dictionary_enabled(false);
    let delta = vec![vec![longs(1), Given::Doubles(some([1.0; 3]))]];
    let delta = file_as("required int64 t; required double A;", second.build(), &delta);
    assert!(refused(&delta).contains("encoded as DELTA_BINARY_PACKED, which is not read: write it as PLAIN"));
    assert!(refused(b"PAR1").contains("it is no whole Parquet file"));
    assert!(refused(b"PAR1 and then nothing of the kind").contains("it is no whole Parquet file"));
}

const TIMES: [&str; 24] = [
    "00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17", "18",
    "19", "20", "21", "22", "23",
];

/// A small file of everything that is read: nulls, texts, two groups; with dictionaries, as the second version of the format
/// has them, or without.
fn small(has_dictionaries: bool) -> Vec<u8> {
    let rows = |first: i64| {
        let values = || first..first + 12;
        vec![
            Given::Texts(TIMES[if first == 0 { 0..12 } else { 12..24 }].iter().map(|text| Some(*text)).collect()),
            Given::Longs(values().map(Some).collect()),
            Given::Doubles(values().map(|at| (at % 3 > 0).then_some(at as f64)).collect()),
            Given::Bools(values().map(|at| (at % 5 > 0).then_some(at % 2 == 0)).collect()),
        ]
    };
    let properties = WriterProperties::builder()
        .set_compression(if has_dictionaries { Compression::SNAPPY } else { Compression::UNCOMPRESSED })
        .set_statistics_enabled(EnabledStatistics::None)
        .set_dictionary_enabled(has_dictionaries)
        .set_writer_version(if has_dictionaries { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 });
    let schema = "required binary t (UTF8); required int64 COUNT; optional double LEVEL; optional boolean PUMP;";
    file_as(schema, properties.build(), &[rows(0), rows(12)])
}

#[test]
fn a_file_that_is_cut_short_anywhere_is_refused() {
    for bytes in [small(true), small(false)] {
        assert_eq!(read_bytes(&bytes).unwrap().times_ns.len(), 24);
        for length in 0..bytes.len() {
            assert!(read_bytes(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_changed_byte_panics_and_what_is_read_is_whole(
        has_dictionaries: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = small(has_dictionaries);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(columns) = columns_of(&bytes) {
            prop_assert!(columns.len() <= 4);
        }
        if let Ok(table) = read_bytes(&bytes) {
            prop_assert!(table.times_ns.is_sorted());
            prop_assert!(table.columns.iter().all(|column| column.cells().len() == table.times_ns.len()));
        }
    }
}
