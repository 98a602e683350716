//! Messages of Protocol Buffers (protobuf.dev, "Encoding"), appended to a buffer that is used again and again: an hour at a
//! millisecond is millions of them. A field that holds its type's default is left out, as proto3 has it.

/// Wire types.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;

/// A message that is being written.
#[derive(Clone, Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Begins another message in the same memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// A whole number, or yes or no.
    pub fn count(&mut self, field: u32, value: u64) -> &mut Self {
        if value != 0 {
            self.key(field, VARINT);
            self.varint(value);
        }
        self
    }

    /// NaN is a value like others, and so is minus zero.
    pub fn number(&mut self, field: u32, value: f64) -> &mut Self {
        if value.to_bits() != 0 {
            self.key(field, FIXED64);
            self.0.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        self
    }

    /// A text.
    pub fn text(&mut self, field: u32, value: &str) -> &mut Self {
        if value.is_empty() { self } else { self.part(field, value.as_bytes()) }
    }

    /// A message in this one.
    pub fn message(&mut self, field: u32, value: &Self) -> &mut Self {
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

/// The value of a field, as it lies in a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part<'a> {
    /// A whole number, or yes or no.
    Count(u64),
    /// Eight bytes, which are a double where a schema of ours says so.
    Number(f64),
    /// Four bytes.
    Short(u32),
    /// A text or a message.
    Bytes(&'a [u8]),
}

/// The fields of a message, by their numbers; `Err` with the rest where it is none.
pub fn parts(message: &[u8]) -> impl Iterator<Item = Result<(u32, Part<'_>), &[u8]>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let part = take_part(&mut rest);
        Some(part.ok_or_else(|| std::mem::take(&mut rest)))
    })
}

fn take_part<'a>(rest: &mut &'a [u8]) -> Option<(u32, Part<'a>)> {
    let key = take_varint(rest)?;
    let part = match key as u32 & 7 {
        VARINT => Part::Count(take_varint(rest)?),
        FIXED64 => Part::Number(f64::from_le_bytes(*take(rest, 8)?.first_chunk()?)),
        FIXED32 => Part::Short(u32::from_le_bytes(*take(rest, 4)?.first_chunk()?)),
        LENGTH => {
            let length = take_varint(rest)?;
            Part::Bytes(take(rest, usize::try_from(length).ok()?)?)
        }
        _ => return None,
    };
    Some((u32::try_from(key >> 3).ok()?, part))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(count)?;
    *rest = behind;
    Some(taken)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
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
        let found: Vec<_> = parts(message.bytes()).map(Result::unwrap).collect();
        assert_eq!(found, [(1, Part::Count(150)), (2, Part::Bytes(b"testing"))]);
        assert!(parts(&outer.bytes()[..5]).any(|part| part.is_err()), "half a part is none");
        message.clear();
        assert!(message.count(1, 0).text(2, "").number(3, 0.0).bytes().is_empty());
        assert_eq!(message.number(3, -0.0).bytes().len(), 9);
    }
}
