//! MCAP files (mcap.dev, "Format Specification") of Protobuf messages, with the descriptors that tell readers what they are.
//!
//! Written by a [`Container`], read by a [`Reader`], which knows what is written here and what other programs make of it
//! without compressing it.

mod container;
mod descriptor;
mod protobuf;
mod reader;

use std::collections::BTreeMap;

pub use container::Container;
pub use descriptor::{Schema, Type};
pub use protobuf::{Message, Part, parts};
pub use reader::{Entry, Reader, Unreadable};

/// What a file begins and ends with.
const MAGIC: &[u8; 8] = b"\x89MCAP0\r\n";
/// How messages and schemas are written.
const ENCODING: &str = "protobuf";
/// A checksum that is none.
const UNCHECKED: u32 = 0;

/// Text by name, as records have it.
pub type Texts = BTreeMap<String, String>;

/// Kinds of records.
mod op {
    pub(super) const HEADER: u8 = 0x01;
    pub(super) const FOOTER: u8 = 0x02;
    pub(super) const SCHEMA: u8 = 0x03;
    pub(super) const CHANNEL: u8 = 0x04;
    pub(super) const MESSAGE: u8 = 0x05;
    pub(super) const CHUNK: u8 = 0x06;
    pub(super) const MESSAGE_INDEX: u8 = 0x07;
    pub(super) const CHUNK_INDEX: u8 = 0x08;
    pub(super) const STATISTICS: u8 = 0x0b;
    pub(super) const METADATA: u8 = 0x0c;
    pub(super) const METADATA_INDEX: u8 = 0x0d;
    pub(super) const DATA_END: u8 = 0x0f;
}
