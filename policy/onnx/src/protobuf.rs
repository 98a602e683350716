//! Writing messages of Protocol Buffers (protobuf.dev, "Encoding"): as much of it as a model needs.

/// Wire types.
const VARINT: u64 = 0;
const LENGTH: u64 = 2;

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
}
