//! Messages of Protocol Buffers (protobuf.dev, "Encoding"), written and read: as much of it as a model needs.

/// Wire types.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;
/// A varint has at most so many bits.
const VARINT_BITS: u32 = 64;

/// A message that grows field by field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A whole number, 0 included: absent is not the same everywhere.
    #[must_use]
    pub(crate) fn number(mut self, field: u64, value: u64) -> Self {
        self.key(field, VARINT);
        self.varint(value);
        self
    }

    #[must_use]
    pub(crate) fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.key(field, LENGTH);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    #[must_use]
    pub(crate) fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    #[must_use]
    pub(crate) fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// One field for each.
    #[must_use]
    pub(crate) fn messages<'m>(self, field: u64, values: impl IntoIterator<Item = &'m Self>) -> Self {
        values.into_iter().fold(self, |message, value| message.message(field, value))
    }

    /// One field for each.
    #[must_use]
    pub(crate) fn texts<'t>(self, field: u64, values: impl IntoIterator<Item = &'t str>) -> Self {
        values.into_iter().fold(self, |message, value| message.text(field, value))
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
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

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field is longer than what is left.
    #[error("it is cut short")]
    Cut,
    /// A number of more than 64 bits.
    #[error("it has a number that does not end")]
    Varint,
    /// A wire type that proto3 does not have.
    #[error("it has a field of wire type {0}")]
    WireType(u64),
    /// A field holds something else than its number stands for.
    #[error("its field {0} is of another type")]
    Field(u64),
    /// More numbers than any model has there.
    #[error("its field {0} has too many numbers")]
    TooMany(u64),
    /// A text is not UTF-8.
    #[error("its field {0} is no text in UTF-8")]
    Text(u64),
}

/// The fields of a message that somebody else wrote, in their order. It borrows everything and allocates nothing; after an
/// error it has ended.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'b>(&'b [u8]);

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'b> {
    /// Its number.
    pub(crate) number: u64,
    content: Content<'b>,
}

#[derive(Debug, Clone, Copy)]
enum Content<'b> {
    Number(u64),
    Word(u32),
    Long,
    Bytes(&'b [u8]),
}

impl<'b> Fields<'b> {
    pub(crate) const fn of(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    fn field(&mut self) -> Result<Field<'b>, Malformed> {
        let key = self.varint()?;
        let content = match key & 7 {
            VARINT => Content::Number(self.varint()?),
            FIXED64 => self.take(8).map(|_| Content::Long)?,
            LENGTH => {
                let length = self.varint()?;
                Content::Bytes(self.take(length)?)
            }
            FIXED32 => Content::Word(self.word()?),
            other => return Err(Malformed::WireType(other)),
        };
        Ok(Field { number: key >> 3, content })
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..VARINT_BITS).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed::Cut)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Malformed::Varint);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Varint)
    }

    fn word(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(4)?;
        bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)).ok_or(Malformed::Cut)
    }

    fn take(&mut self, length: u64) -> Result<&'b [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed::Cut)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed::Cut)?;
        self.0 = rest;
        Ok(taken)
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<Field<'b>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'b> Field<'b> {
    pub(crate) fn bytes(&self) -> Result<&'b [u8], Malformed> {
        let Content::Bytes(bytes) = self.content else { return Err(Malformed::Field(self.number)) };
        Ok(bytes)
    }

    pub(crate) fn text(&self) -> Result<&'b str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed::Text(self.number))
    }

    pub(crate) fn fields(&self) -> Result<Fields<'b>, Malformed> {
        self.bytes().map(Fields)
    }

    pub(crate) fn varint(&self) -> Result<u64, Malformed> {
        let Content::Number(number) = self.content else { return Err(Malformed::Field(self.number)) };
        Ok(number)
    }

    pub(crate) fn float(&self) -> Result<f32, Malformed> {
        let Content::Word(word) = self.content else { return Err(Malformed::Field(self.number)) };
        Ok(f32::from_bits(word))
    }

    /// One number of a repeated field, or as many as are packed into it: at most so many in all.
    pub(crate) fn varints(&self, into: &mut Vec<u64>, most: usize) -> Result<(), Malformed> {
        let mut push = |number| {
            into.push(number);
            if into.len() > most { Err(Malformed::TooMany(self.number)) } else { Ok(()) }
        };
        if let Content::Number(number) = self.content {
            return push(number);
        }
        let mut packed = self.fields()?;
        while !packed.0.is_empty() {
            push(packed.varint()?)?;
        }
        Ok(())
    }

    /// The same for single-precision numbers.
    pub(crate) fn floats(&self, into: &mut Vec<f32>) -> Result<(), Malformed> {
        if let Content::Word(word) = self.content {
            into.push(f32::from_bits(word));
            return Ok(());
        }
        let mut packed = self.fields()?;
        while !packed.0.is_empty() {
            into.push(f32::from_bits(packed.word()?));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_bytes_of_the_documentations_examples() {
        assert_eq!(Message::new().number(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::new().text(2, "testing").into_bytes(), [0x12, 7, b't', b'e', b's', b't', b'i', b'n', b'g']);
        let inner = Message::new().number(1, 150);
        assert_eq!(Message::new().message(3, &inner).into_bytes(), [0x1a, 3, 0x08, 0x96, 0x01]);
        assert_eq!(Message::new().number(16, u64::MAX).into_bytes()[..2], [0x80, 0x01]);
        assert_eq!(Message::new().number(1, u64::MAX).into_bytes().len(), 11);
    }
    #[test]
    fn what_was_written_is_read() {
        let inner = Message::new().number(1, u64::MAX).text(2, "state");
        let bytes = Message::new().message(7, &inner).number(3, 300).into_bytes();
        let fields: Vec<_> = Fields::of(&bytes).collect::<Result<_, _>>().unwrap();
        let inner: Vec<_> = fields[0].fields().unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!((inner[0].varint(), inner[1].text()), (Ok(u64::MAX), Ok("state")));
        assert_eq!((fields[1].number, fields[1].varint()), (3, Ok(300)));
        let mut packed = Vec::new();
        let field = Field { number: 1, content: Content::Bytes(&[1, 0x96, 0x01, 3]) };
        field.varints(&mut packed, 3).unwrap();
        assert_eq!(packed, [1, 150, 3]);
        assert_eq!(field.varints(&mut packed, 3), Err(Malformed::TooMany(1)));
    }

    #[test]
    fn what_is_malformed_is_named_and_ends_the_message() {
        let refused = |bytes: &[u8]| Fields::of(bytes).find_map(Result::err);
        assert_eq!(refused(&[]), None);
        assert_eq!(refused(&[0x08]), Some(Malformed::Cut));
        assert_eq!(refused(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]), Some(Malformed::Cut));
        assert_eq!(refused(&[0x0d, 1, 2, 3]), Some(Malformed::Cut));
        assert_eq!(refused(&[0xff; 11]), Some(Malformed::Varint));
        assert_eq!(refused(&[0x0b]), Some(Malformed::WireType(3)));
        let text = Field { number: 4, content: Content::Bytes(&[0xff]) };
        assert_eq!((text.text(), text.varint()), (Err(Malformed::Text(4)), Err(Malformed::Field(4))));
        assert_eq!(Fields::of(&[0x0b, 0x08, 1]).count(), 1);
    }
}
