//! Descriptors of the messages in an MCAP file (`google/protobuf/descriptor.proto`), so that whoever opens it needs nothing
//! else. Each schema is a FileDescriptorSet with the message and what it refers to.

use super::Message;

/// Numbers of the fields of the descriptors.
mod number {
    pub(super) const SET_FILE: u32 = 1;
    pub(super) const FILE_NAME: u32 = 1;
    pub(super) const FILE_PACKAGE: u32 = 2;
    pub(super) const FILE_DEPENDENCY: u32 = 3;
    pub(super) const FILE_MESSAGE: u32 = 4;
    pub(super) const FILE_SYNTAX: u32 = 12;
    pub(super) const MESSAGE_NAME: u32 = 1;
    pub(super) const MESSAGE_FIELD: u32 = 2;
    pub(super) const MESSAGE_ENUM: u32 = 4;
    pub(super) const FIELD_NAME: u32 = 1;
    pub(super) const FIELD_NUMBER: u32 = 3;
    pub(super) const FIELD_LABEL: u32 = 4;
    pub(super) const FIELD_TYPE: u32 = 5;
    pub(super) const FIELD_TYPE_NAME: u32 = 6;
    pub(super) const FIELD_JSON_NAME: u32 = 10;
    pub(super) const ENUM_NAME: u32 = 1;
    pub(super) const ENUM_VALUE: u32 = 2;
    pub(super) const VALUE_NAME: u32 = 1;
    pub(super) const VALUE_NUMBER: u32 = 2;
}

const LABEL_OPTIONAL: u64 = 1;

/// Types of fields.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// Eight bytes, IEEE 754.
    Double = 1,
    /// A whole number.
    Int64 = 3,
    /// A whole number from 0.
    Uint64 = 4,
    /// A whole number of 32 bits.
    Int32 = 5,
    /// Four bytes, a whole number from 0.
    Fixed32 = 7,
    /// Yes or no.
    Bool = 8,
    /// UTF-8.
    String = 9,
    /// Another message.
    Message = 11,
    /// One of a few names.
    Enum = 14,
}

/// A schema as a file refers to it: a message, and what it refers to.
#[derive(Clone, Debug)]
pub struct Schema {
    /// Full name of the message.
    pub name: String,
    /// The FileDescriptorSet.
    pub descriptors: Vec<u8>,
}

impl Schema {
    /// A message `corerl.NAME`; the number of each field is its place, from 1.
    pub fn of(name: &str, fields: &[(&str, Type)]) -> Self {
        let mut message = Message::default();
        message.text(number::MESSAGE_NAME, name);
        for (at, (field_name, kind)) in (1..).zip(fields) {
            message.message(number::MESSAGE_FIELD, &field(field_name, at, *kind, ""));
        }
        let file = file(&format!("corerl/{name}.proto"), "corerl", &[], &message);
        Self { name: format!("corerl.{name}"), descriptors: set(&[file]) }
    }

    /// foxglove.Log, which viewers show as a log. Its fields: timestamp, level, message, name, file, line.
    pub fn log() -> Self {
        let mut levels = Message::default();
        levels.text(number::ENUM_NAME, "Level");
        for (level, name) in ["UNKNOWN", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL"].into_iter().enumerate() {
            let mut value = Message::default();
            value.text(number::VALUE_NAME, name).count(number::VALUE_NUMBER, level as u64);
            levels.message(number::ENUM_VALUE, &value);
        }
        let mut message = Message::default();
        message.text(number::MESSAGE_NAME, "Log");
        let fields = [
            field("timestamp", 1, Type::Message, ".google.protobuf.Timestamp"),
            field("level", 2, Type::Enum, ".foxglove.Log.Level"),
            field("message", 3, Type::String, ""),
            field("name", 4, Type::String, ""),
            field("file", 5, Type::String, ""),
            field("line", 6, Type::Fixed32, ""),
        ];
        fields.iter().for_each(|field| _ = message.message(number::MESSAGE_FIELD, field));
        message.message(number::MESSAGE_ENUM, &levels);
        let imports = ["google/protobuf/timestamp.proto"];
        let log = file("foxglove/Log.proto", "foxglove", &imports, &message);
        Self { name: "foxglove.Log".to_owned(), descriptors: set(&[timestamp(), log]) }
    }
}

fn timestamp() -> Message {
    let mut message = Message::default();
    message
        .text(number::MESSAGE_NAME, "Timestamp")
        .message(number::MESSAGE_FIELD, &field("seconds", 1, Type::Int64, ""))
        .message(number::MESSAGE_FIELD, &field("nanos", 2, Type::Int32, ""));
    file("google/protobuf/timestamp.proto", "google.protobuf", &[], &message)
}

fn set(files: &[Message]) -> Vec<u8> {
    let mut set = Message::default();
    files.iter().for_each(|file| _ = set.message(number::SET_FILE, file));
    set.bytes().to_vec()
}

fn file(name: &str, package: &str, imports: &[&str], message: &Message) -> Message {
    let mut file = Message::default();
    file.text(number::FILE_NAME, name).text(number::FILE_PACKAGE, package);
    imports.iter().for_each(|import| _ = file.text(number::FILE_DEPENDENCY, import));
    file.message(number::FILE_MESSAGE, message).text(number::FILE_SYNTAX, "proto3");
    file
}

fn field(name: &str, at: u64, kind: Type, type_name: &str) -> Message {
    let mut field = Message::default();
    field
        .text(number::FIELD_NAME, name)
        .count(number::FIELD_NUMBER, at)
        .count(number::FIELD_LABEL, LABEL_OPTIONAL)
        .count(number::FIELD_TYPE, kind as u64)
        .text(number::FIELD_TYPE_NAME, type_name)
        .text(number::FIELD_JSON_NAME, name);
    field
}
