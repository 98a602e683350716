//! Arrow's schema as Parquet files carry it, so that pyarrow and whoever reads like it show the fields' metadata: Parquet
//! itself has none. It is the value of the key `ARROW:schema`: base64 of a schema message of Arrow's IPC format
//! (`format/Message.fbs`, `format/Schema.fbs`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, TableUnfinishedWIPOffset, VOffsetT, WIPOffset};

use crate::{Column, Kind};

/// The key in the file's metadata.
pub(super) const KEY: &str = "ARROW:schema";
/// What every message of the IPC format begins with.
const CONTINUATION: [u8; 4] = [0xff; 4];
/// Messages are filled up to a multiple of so many bytes.
const ALIGNMENT: usize = 8;

const METADATA_VERSION_5: i16 = 4;
const HEADER_SCHEMA: u8 = 1;
const PRECISION_DOUBLE: i16 = 2;
const UNIT_MICROSECOND: i16 = 2;
const UNIT_NANOSECOND: i16 = 3;

/// Codes of the union `Type`.
const INT: u8 = 2;
const FLOATING_POINT: u8 = 3;
const UTF8: u8 = 5;
const BOOL: u8 = 6;
const TIMESTAMP: u8 = 10;

type Table = WIPOffset<TableFinishedWIPOffset>;
type Builder<'a> = FlatBufferBuilder<'a>;

/// The schema of these columns.
pub(super) fn schema(columns: &[Column]) -> String {
    let mut builder = Builder::new();
    let fields: Vec<_> = columns.iter().map(|column| field(&mut builder, column)).collect();
    let fields = builder.create_vector(&fields);
    let schema = table(&mut builder, |builder| builder.push_slot_always(slot(1), fields));
    let message = table(&mut builder, |builder| {
        builder.push_slot_always(slot(3), 0_i64);
        builder.push_slot_always(slot(2), schema);
        builder.push_slot_always(slot(0), METADATA_VERSION_5);
        builder.push_slot_always(slot(1), HEADER_SCHEMA);
    });
    builder.finish_minimal(message);
    STANDARD.encode(encapsulated(builder.finished_data()))
}

fn encapsulated(message: &[u8]) -> Vec<u8> {
    let length = message.len().next_multiple_of(ALIGNMENT);
    let mut bytes = CONTINUATION.to_vec();
    // A schema has a few kilobytes.
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(message);
    bytes.resize(CONTINUATION.len() + size_of::<u32>() + length, 0);
    bytes
}

/// Where the offset of a table's field lies in its vtable: behind the lengths of both.
const fn slot(field: VOffsetT) -> VOffsetT {
    4 + 2 * field
}

fn table<'a>(builder: &mut Builder<'a>, fill: impl FnOnce(&mut Builder<'a>)) -> Table {
    let begun: WIPOffset<TableUnfinishedWIPOffset> = builder.start_table();
    fill(builder);
    builder.end_table(begun)
}

fn field(builder: &mut Builder<'_>, column: &Column) -> Table {
    let name = builder.create_string(&column.name);
    let (code, of_type) = type_of(builder, column.kind);
    let no_children = builder.create_vector::<WIPOffset<TableFinishedWIPOffset>>(&[]);
    let metadata = [("unit", column.unit.as_str()), ("description", column.about)];
    let metadata = metadata.into_iter().filter(|(_, value)| !value.is_empty());
    let metadata: Vec<_> = metadata.map(|(key, value)| key_value(builder, key, value)).collect();
    let metadata = builder.create_vector(&metadata);
    table(builder, |builder| {
        builder.push_slot_always(slot(0), name);
        builder.push_slot_always(slot(3), of_type);
        builder.push_slot_always(slot(5), no_children);
        builder.push_slot_always(slot(6), metadata);
        builder.push_slot_always(slot(1), true);
        builder.push_slot_always(slot(2), code);
    })
}

fn key_value(builder: &mut Builder<'_>, key: &str, value: &str) -> Table {
    let (key, value) = (builder.create_string(key), builder.create_string(value));
    table(builder, |builder| {
        builder.push_slot_always(slot(0), key);
        builder.push_slot_always(slot(1), value);
    })
}

fn type_of(builder: &mut Builder<'_>, kind: Kind) -> (u8, Table) {
    match kind {
        Kind::Time | Kind::Micros => {
            let unit = if kind == Kind::Time { UNIT_NANOSECOND } else { UNIT_MICROSECOND };
            let zone = builder.create_string("UTC");
            let timestamp = table(builder, |builder| {
                builder.push_slot_always(slot(1), zone);
                builder.push_slot_always(slot(0), unit);
            });
            (TIMESTAMP, timestamp)
        }
        Kind::Number => (FLOATING_POINT, table(builder, |builder| builder.push_slot_always(slot(0), PRECISION_DOUBLE))),
        Kind::Count | Kind::Bits => {
            let int = table(builder, |builder| {
                builder.push_slot_always(slot(0), 64_i32);
                builder.push_slot_always(slot(1), kind == Kind::Count);
            });
            (INT, int)
        }
        Kind::Switch => (BOOL, table(builder, |_| ())),
        Kind::Choice | Kind::Word => (UTF8, table(builder, |_| ())),
    }
}
