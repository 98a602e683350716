//! Messages of Protocol Buffers (protobuf.dev, "Encoding"), appended to a buffer that is used again and again: an hour at a
//! millisecond is millions of them. A field that holds its type's default is left out, as proto3 has it.

/// Wire types.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;

/// A message that is being written.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// What was written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Begins another message in the same memory.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn count(&mut self, field: u32, value: u64) -> &mut Self {
        if value != 0 {
            self.key(field, VARINT);
            self.varint(value);
        }
        self
    }

    /// NaN is a value like others, and so is minus zero.
    pub(super) fn number(&mut self, field: u32, value: f64) -> &mut Self {
        if value.to_bits() != 0 {
            self.key(field, FIXED64);
            self.0.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        self
    }

    pub(super) fn text(&mut self, field: u32, value: &str) -> &mut Self {
        if value.is_empty() { self } else { self.part(field, value.as_bytes()) }
    }

    /// A message in this one.
    pub(super) fn message(&mut self, field: u32, value: &Self) -> &mut Self {
        self.part(field, &value.0)
    }

    fn part(&mut self, field: u32, bytes: &[u8]) -> &mut Self {
        self.key(field, LENGTH);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn key(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_the_specification_has_them() {
        // The examples of its page: 150 is 96 01, "testing" has length 7.
        let mut message = Message::default();
        message.count(1, 150).text(2, "testing");
        assert_eq!(message.bytes(), b"\x08\x96\x01\x12\x07testing");
        let mut outer = Message::default();
        outer.message(3, &message).number(4, 1.0);
        assert_eq!(&outer.bytes()[..2], [0x1a, 12]);
        assert_eq!(outer.bytes()[14..], [0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        message.clear();
        assert!(message.count(1, 0).text(2, "").number(3, 0.0).bytes().is_empty());
        assert_eq!(message.number(3, -0.0).bytes().len(), 9);
    }
}
