//! The binary encoding of Part 6, 5.2: a bounded reader over borrowed bytes and a writer onto a byte vector.
//!
//! Everything the peer says passes through [`Reader`]. It copies nothing, allocates nothing on the paths that cyclic
//! answers take, checks every length against what is left, and walks over what nobody wants with a bounded depth.

use opcua_types::{ByteString, Guid, Identifier, NodeId};

use crate::{
    Violation,
    limits::{ARRAY_LEN_MAX, NESTING_MAX, STRING_BYTES_MAX},
};

type Read<T> = Result<T, Violation>;

/// Bits of the first byte of an ExpandedNodeId (Part 6, 5.2.2.10).
const HAS_URI: u8 = 0x80;
const HAS_SERVER: u8 = 0x40;

/// Bytes from the peer, read from the front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

macro_rules! read_number {
    ($($name:ident: $type:ty),*) => {$(
        pub(crate) fn $name(&mut self) -> Read<$type> {
            self.array().map(<$type>::from_le_bytes)
        }
    )*};
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, len: usize) -> Read<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    read_number!(u8: u8, i8: i8, u16: u16, i16: i16, u32: u32, i32: i32, u64: u64, i64: i64, f32: f32, f64: f64);

    /// A Boolean: any byte but zero is true.
    pub(crate) fn bool(&mut self) -> Read<bool> {
        self.u8().map(|byte| byte != 0)
    }

    /// A length as arrays and strings carry it; `None` for null. Never more than what could still follow if every
    /// element took one byte.
    fn len(&mut self, max: usize) -> Read<Option<usize>> {
        match self.i32()? {
            -1 => Ok(None),
            len => {
                let len = usize::try_from(len).map_err(|_| Violation::Encoding)?;
                match len {
                    _ if len > max => Err(Violation::TooLong),
                    _ if len > self.rest.len() => Err(Violation::Truncated),
                    _ => Ok(Some(len)),
                }
            }
        }
    }

    /// Number of elements of an array; 0 for null.
    pub(crate) fn array_len(&mut self, max: usize) -> Read<usize> {
        Ok(self.len(max)?.unwrap_or(0))
    }

    /// A ByteString; empty for null.
    pub(crate) fn bytes(&mut self, max: usize) -> Read<&'a [u8]> {
        match self.len(max)? {
            Some(len) => self.take(len),
            None => Ok(&[]),
        }
    }

    /// A String; empty for null.
    pub(crate) fn str(&mut self) -> Read<&'a str> {
        std::str::from_utf8(self.bytes(STRING_BYTES_MAX)?).map_err(|_| Violation::Text)
    }

    /// A NodeId, or the NodeId in front of an ExpandedNodeId.
    pub(crate) fn node_id(&mut self) -> Read<NodeId> {
        let form = self.u8()?;
        self.node_id_after(form)
    }

    /// An ExpandedNodeId; `None` when it names a namespace by its URI, or another server.
    pub(crate) fn local_node_id(&mut self) -> Read<Option<NodeId>> {
        let form = self.u8()?;
        let id = self.node_id_after(form & !(HAS_URI | HAS_SERVER))?;
        if form & HAS_URI != 0 {
            self.skip_bytes()?;
        }
        if form & HAS_SERVER != 0 {
            self.skip(4)?;
        }
        Ok((form & (HAS_URI | HAS_SERVER) == 0).then_some(id))
    }

    fn node_id_after(&mut self, form: u8) -> Read<NodeId> {
        Ok(match form {
            0 => NodeId::new(0, u32::from(self.u8()?)),
            1 => {
                let namespace = u16::from(self.u8()?);
                NodeId::new(namespace, u32::from(self.u16()?))
            }
            2 => {
                let namespace = self.u16()?;
                NodeId::new(namespace, self.u32()?)
            }
            3 => {
                let namespace = self.u16()?;
                NodeId::new(namespace, self.str()?)
            }
            4 => {
                let namespace = self.u16()?;
                NodeId::new(namespace, Guid::from_bytes(self.array()?))
            }
            5 => {
                let namespace = self.u16()?;
                NodeId::new(namespace, ByteString::from(self.bytes(STRING_BYTES_MAX)?))
            }
            _ => return Err(Violation::Encoding),
        })
    }

    /// The encoded bytes of a NodeId, to be sent back as they are.
    pub(crate) fn raw_node_id(&mut self) -> Read<&'a [u8]> {
        let start = self.rest;
        self.skip_node_id(false)?;
        Ok(start.get(..start.len() - self.rest.len()).unwrap_or_default())
    }

    /// The numeric id of a message body's type, which is always in namespace 0.
    pub(crate) fn type_id(&mut self) -> Read<u32> {
        match self.u8()? {
            0 => Ok(u32::from(self.u8()?)),
            1 if self.u8()? == 0 => Ok(u32::from(self.u16()?)),
            2 if self.u16()? == 0 => self.u32(),
            _ => Err(Violation::Encoding),
        }
    }

    fn skip(&mut self, len: usize) -> Read<()> {
        self.take(len).map(|_| ())
    }

    fn skip_node_id(&mut self, expanded: bool) -> Read<()> {
        let form = self.u8()?;
        let flags = if expanded { form & (HAS_URI | HAS_SERVER) } else { 0 };
        match form & !flags {
            0 => self.skip(1)?,
            1 => self.skip(3)?,
            2 => self.skip(6)?,
            3 | 5 => {
                self.skip(2)?;
                self.skip_bytes()?;
            }
            4 => self.skip(18)?,
            _ => return Err(Violation::Encoding),
        }
        if flags & HAS_URI != 0 {
            self.skip_bytes()?;
        }
        if flags & HAS_SERVER != 0 {
            self.skip(4)?;
        }
        Ok(())
    }

    /// A string or byte string of any length that the message holds.
    fn skip_bytes(&mut self) -> Read<()> {
        self.bytes(usize::MAX).map(|_| ())
    }

    /// An ExtensionObject, whatever is in it.
    pub(crate) fn skip_extension_object(&mut self) -> Read<()> {
        self.skip_node_id(false)?;
        match self.u8()? {
            0 => Ok(()),
            1 | 2 => self.skip_bytes(),
            _ => Err(Violation::Encoding),
        }
    }

    /// An ExtensionObject: the number of its type and its encoded contents, when the type is one of namespace 0 and the
    /// contents are binary; any other is walked over.
    pub(crate) fn extension_object(&mut self) -> Read<Option<(u32, Reader<'a>)>> {
        const BINARY: u8 = 1;
        let mut inside = *self;
        self.skip_extension_object()?;
        match (inside.type_id(), inside.u8()) {
            (Ok(type_id), Ok(BINARY)) => Ok(Some((type_id, Reader::new(inside.bytes(usize::MAX)?)))),
            _ => Ok(None),
        }
    }

    /// The text of a LocalizedText; empty for none.
    pub(crate) fn localized_text(&mut self) -> Read<&'a str> {
        const HAS_LOCALE: u8 = 1;
        const HAS_TEXT: u8 = 2;
        let mask = self.u8()?;
        if mask & HAS_LOCALE != 0 {
            self.skip_bytes()?;
        }
        if mask & HAS_TEXT != 0 { self.str() } else { Ok("") }
    }

    /// A LocalizedText, whatever it says.
    pub(crate) fn skip_localized_text(&mut self) -> Read<()> {
        let mask = self.u8()?;
        for bit in [1, 2] {
            if mask & bit != 0 {
                self.skip_bytes()?;
            }
        }
        Ok(())
    }

    /// A DiagnosticInfo.
    pub(crate) fn skip_diagnostic_info(&mut self) -> Read<()> {
        // The inner one comes last, so nesting is a loop.
        for _ in 0..NESTING_MAX {
            let mask = self.u8()?;
            for bit in [0x01, 0x02, 0x04, 0x08] {
                if mask & bit != 0 {
                    self.skip(4)?;
                }
            }
            if mask & 0x10 != 0 {
                self.skip_bytes()?;
            }
            if mask & 0x20 != 0 {
                self.skip(4)?;
            }
            if mask & 0x40 == 0 {
                return Ok(());
            }
        }
        Err(Violation::TooLong)
    }

    /// The value of a Variant whose encoding byte has been read.
    pub(crate) fn skip_variant_value(&mut self, encoding: u8, depth: u32) -> Read<()> {
        if depth > NESTING_MAX {
            return Err(Violation::TooLong);
        }
        let type_id = encoding & VARIANT_TYPE_MASK;
        if encoding & VARIANT_ARRAY == 0 {
            return self.skip_scalar(type_id, depth);
        }
        let count = self.array_len(usize::MAX)?;
        match fixed_size(type_id) {
            Some(size) => self.skip(count.checked_mul(size).ok_or(Violation::TooLong)?)?,
            None => (0..count).try_for_each(|_| self.skip_scalar(type_id, depth))?,
        }
        if encoding & VARIANT_DIMENSIONS != 0 {
            let dimensions = self.array_len(ARRAY_LEN_MAX)?;
            self.skip(dimensions * 4)?;
        }
        Ok(())
    }

    fn skip_scalar(&mut self, type_id: u8, depth: u32) -> Read<()> {
        if let Some(size) = fixed_size(type_id) {
            return self.skip(size);
        }
        match type_id {
            12 | 15 | 16 => self.skip_bytes(),
            17 => self.skip_node_id(false),
            18 => self.skip_node_id(true),
            20 => {
                self.skip(2)?;
                self.skip_bytes()
            }
            21 => self.skip_localized_text(),
            22 => self.skip_extension_object(),
            23 => self.skip_data_value(depth + 1),
            24 => {
                let encoding = self.u8()?;
                self.skip_variant_value(encoding, depth + 1)
            }
            25 => self.skip_diagnostic_info(),
            _ => Err(Violation::Encoding),
        }
    }

    fn skip_data_value(&mut self, depth: u32) -> Read<()> {
        let mask = self.u8()?;
        if mask & DATA_VALUE_HAS_VALUE != 0 {
            let encoding = self.u8()?;
            self.skip_variant_value(encoding, depth)?;
        }
        self.data_value_tail(mask).map(|_| ())
    }

    /// What follows the value of a DataValue: its status and source timestamp.
    pub(crate) fn data_value_tail(&mut self, mask: u8) -> Read<(u32, i64)> {
        let status = if mask & 0x02 != 0 { self.u32()? } else { 0 };
        let source_time = if mask & 0x04 != 0 { self.i64()? } else { 0 };
        for (bit, size) in [(0x10, 2), (0x08, 8), (0x20, 2)] {
            if mask & bit != 0 {
                self.skip(size)?;
            }
        }
        Ok((status, source_time))
    }
}

/// Bit of a DataValue's mask: a value follows.
pub(crate) const DATA_VALUE_HAS_VALUE: u8 = 0x01;
/// Bits of a Variant's encoding byte.
pub(crate) const VARIANT_TYPE_MASK: u8 = 0x3F;
pub(crate) const VARIANT_ARRAY: u8 = 0x80;
pub(crate) const VARIANT_DIMENSIONS: u8 = 0x40;

/// Encoded size of the built-in types that have one size.
fn fixed_size(type_id: u8) -> Option<usize> {
    Some(match type_id {
        0 => 0,
        1..=3 => 1,
        4 | 5 => 2,
        6 | 7 | 10 | 19 => 4,
        8 | 9 | 11 | 13 => 8,
        14 => 16,
        _ => return None,
    })
}

/// Appends encoded values.
pub(crate) trait Put {
    fn put_u8(&mut self, value: u8);
    fn put_u16(&mut self, value: u16);
    fn put_u32(&mut self, value: u32);
    fn put_i32(&mut self, value: i32);
    fn put_i64(&mut self, value: i64);
    fn put_f64(&mut self, value: f64);
    /// A ByteString or String; empty bytes are written as such.
    fn put_bytes(&mut self, value: &[u8]);
    /// A null String, ByteString or array.
    fn put_null(&mut self);
    /// The number of elements of an array.
    fn put_count(&mut self, count: usize);
    /// A NodeId in its shortest form, which every server must take.
    fn put_node_id(&mut self, id: &NodeId);
    /// A type id of namespace 0, as NodeId.
    fn put_type_id(&mut self, id: u16);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_i32(&mut self, value: i32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_i64(&mut self, value: i64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_f64(&mut self, value: f64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_bytes(&mut self, value: &[u8]) {
        self.put_count(value.len());
        self.extend_from_slice(value);
    }

    fn put_null(&mut self) {
        self.put_i32(-1);
    }

    fn put_count(&mut self, count: usize) {
        // What we encode ourselves is bounded far below this.
        self.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
    }

    fn put_node_id(&mut self, id: &NodeId) {
        match &id.identifier {
            Identifier::Numeric(number) => {
                match (u8::try_from(*number), u16::try_from(*number), u8::try_from(id.namespace)) {
                    (Ok(number), _, Ok(0)) => {
                        self.extend_from_slice(&[0, number]);
                    }
                    (_, Ok(number), Ok(namespace)) => {
                        self.extend_from_slice(&[1, namespace]);
                        self.put_u16(number);
                    }
                    _ => {
                        self.put_u8(2);
                        self.put_u16(id.namespace);
                        self.put_u32(*number);
                    }
                }
            }
            Identifier::String(text) => {
                self.put_u8(3);
                self.put_u16(id.namespace);
                self.put_bytes(text.as_ref().as_bytes());
            }
            Identifier::Guid(guid) => {
                self.put_u8(4);
                self.put_u16(id.namespace);
                self.extend_from_slice(&guid.to_bytes());
            }
            Identifier::ByteString(bytes) => {
                self.put_u8(5);
                self.put_u16(id.namespace);
                self.put_bytes(bytes.as_ref());
            }
        }
    }

    fn put_type_id(&mut self, id: u16) {
        self.extend_from_slice(&[1, 0]);
        self.put_u16(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_node_id_survives_encoding() {
        for id in [
            NodeId::new(0, 5u32),
            NodeId::new(0, 2258u32),
            NodeId::new(7, 70_000u32),
            NodeId::new(300, 1u32),
            NodeId::new(2, "Reactor.Temperature"),
            NodeId::new(2, "72962b91-fa75-4ae6-8d28-b404dc7daf63".parse::<Guid>().unwrap()),
            NodeId::new(2, ByteString::from(&[1u8, 2, 3][..])),
        ] {
            let mut bytes = Vec::new();
            bytes.put_node_id(&id);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.node_id().unwrap(), id);
            assert!(reader.rest().is_empty());
            assert_eq!(Reader::new(&bytes).raw_node_id().unwrap(), bytes);
        }
    }

    #[test]
    fn a_guid_is_encoded_as_the_standard_shows_it() {
        // Part 6, 5.2.2.6: the example of that section.
        let id = NodeId::new(4, "72962B91-FA75-4AE6-8D28-B404DC7DAF63".parse::<Guid>().unwrap());
        let mut bytes = Vec::new();
        bytes.put_node_id(&id);
        assert_eq!(
            bytes[3..],
            [0x91, 0x2B, 0x96, 0x72, 0x75, 0xFA, 0xE6, 0x4A, 0x8D, 0x28, 0xB4, 0x04, 0xDC, 0x7D, 0xAF, 0x63]
        );
    }

    #[test]
    fn a_length_beyond_the_message_is_refused_before_anything_is_reserved() {
        let mut bytes = Vec::new();
        bytes.put_i32(i32::MAX);
        assert_eq!(Reader::new(&bytes).bytes(usize::MAX), Err(Violation::Truncated));
        assert_eq!(Reader::new(&bytes).bytes(10), Err(Violation::TooLong));
        bytes.clear();
        bytes.put_i32(-2);
        assert_eq!(Reader::new(&bytes).bytes(10), Err(Violation::Encoding));
    }

    #[test]
    fn nesting_has_an_end() {
        let variants = [24u8; 64];
        assert_eq!(Reader::new(&variants).skip_scalar(24, 0), Err(Violation::TooLong));
        let diagnostics = [0x40u8; 64];
        assert_eq!(Reader::new(&diagnostics).skip_diagnostic_info(), Err(Violation::TooLong));
    }

    #[test]
    fn an_array_of_nulls_cannot_be_longer_than_the_message() {
        let mut bytes = vec![];
        bytes.put_i32(1_000_000);
        assert_eq!(Reader::new(&bytes).skip_variant_value(0x80, 0), Err(Violation::Truncated));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), encoding: u8) {
            let reader = Reader::new(&bytes);
            let _ = reader.clone().node_id();
            let _ = reader.clone().raw_node_id();
            let _ = reader.clone().skip_diagnostic_info();
            let _ = reader.clone().skip_extension_object();
            let _ = reader.clone().skip_variant_value(encoding, 0);
            let _ = reader.clone().skip_data_value(0);
        }
    }
}
