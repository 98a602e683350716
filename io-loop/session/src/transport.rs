//! The connection protocol of Part 6, 7.1: message headers, Hello, Acknowledge, Error.

use crate::{
    Violation,
    codec::{Put, Reader},
    limits::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, CHUNK_COUNT_MAX, MESSAGE_BYTES_MAX, REASON_BYTES_MAX},
};

/// Size of the header of every message and chunk, in bytes.
pub(crate) const HEADER_BYTES: usize = 8;

/// The type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageType {
    Acknowledge,
    Error,
    Open,
    Message,
}

/// Whether a chunk is the last of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChunkType {
    Intermediate,
    Final,
    Abort,
}

/// The header in front of everything the server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) message: MessageType,
    pub(crate) chunk: ChunkType,
    /// Of the whole chunk, header included.
    pub(crate) size: usize,
}

impl Header {
    /// Reads the header once its bytes are there.
    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Header, Violation> {
        let [a, b, c, kind, size @ ..] = *bytes;
        let message = match &[a, b, c] {
            b"ACK" => MessageType::Acknowledge,
            b"ERR" => MessageType::Error,
            b"OPN" => MessageType::Open,
            b"MSG" => MessageType::Message,
            _ => return Err(Violation::MessageType),
        };
        let chunk = match kind {
            b'F' => ChunkType::Final,
            b'C' if message == MessageType::Message => ChunkType::Intermediate,
            b'A' if message == MessageType::Message => ChunkType::Abort,
            _ => return Err(Violation::MessageType),
        };
        let size = usize::try_from(u32::from_le_bytes(size)).map_err(|_| Violation::TooLong)?;
        match size {
            _ if size < HEADER_BYTES => Err(Violation::Truncated),
            _ if size > CHUNK_BYTES_MAX => Err(Violation::TooLong),
            _ => Ok(Header { message, chunk, size }),
        }
    }
}

/// What both sides agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Largest chunk we may send, in bytes.
    pub(crate) send_chunk_bytes: usize,
    /// Largest message we may send, in bytes; 0 for no limit.
    pub(crate) send_message_bytes: usize,
    /// Most chunks in a message we send; 0 for no limit.
    pub(crate) send_chunks: usize,
}

/// The first message of a connection.
pub(crate) fn hello(url: &str) -> Vec<u8> {
    let mut out = b"HELF\0\0\0\0".to_vec();
    out.put_u32(0);
    for size in [CHUNK_BYTES_MAX, CHUNK_BYTES_MAX, MESSAGE_BYTES_MAX, CHUNK_COUNT_MAX] {
        out.put_u32(u32::try_from(size).unwrap_or(u32::MAX));
    }
    out.put_bytes(url.as_bytes());
    set_size(&mut out, 0);
    out
}

/// Writes the size of the chunk that begins at `start` and ends with the vector into its header.
pub(crate) fn set_size(out: &mut [u8], start: usize) {
    let size = u32::try_from(out.len().saturating_sub(start)).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(start + 4..start + HEADER_BYTES) {
        field.copy_from_slice(&size.to_le_bytes());
    }
}

/// The answer to Hello, after its header.
pub(crate) fn parse_acknowledge(body: &[u8]) -> Result<Agreed, Violation> {
    let mut reader = Reader::new(body);
    let mut next = || reader.u32().and_then(|value| usize::try_from(value).map_err(|_| Violation::TooLong));
    let (_version, receive, send, message, chunks) = (next()?, next()?, next()?, next()?, next()?);
    // The server's receive buffer is what we may send; its send buffer is what we may receive.
    if receive < CHUNK_BYTES_MIN || send > CHUNK_BYTES_MAX {
        return Err(Violation::Acknowledge);
    }
    Ok(Agreed { send_chunk_bytes: receive.min(CHUNK_BYTES_MAX), send_message_bytes: message, send_chunks: chunks })
}

/// Status and reason of an Error message or of an aborted message, after their headers.
pub(crate) fn parse_error(body: &[u8]) -> Result<(u32, &str), Violation> {
    let mut reader = Reader::new(body);
    let status = reader.u32()?;
    // The reason is decoration: one that is too long or no text is left out.
    let reason = reader.bytes(REASON_BYTES_MAX).ok().and_then(|bytes| std::str::from_utf8(bytes).ok());
    Ok((status, reason.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn acknowledge(receive: u32, send: u32) -> Vec<u8> {
        let mut body = Vec::new();
        for value in [0, receive, send, 0, 0] {
            body.put_u32(value);
        }
        body
    }

    #[test]
    fn the_servers_receive_buffer_bounds_what_we_send() {
        let agreed = parse_acknowledge(&acknowledge(8192, 65_536)).unwrap();
        assert_eq!(agreed.send_chunk_bytes, 8192);
        assert_eq!(parse_acknowledge(&acknowledge(u32::MAX, 8192)).unwrap().send_chunk_bytes, CHUNK_BYTES_MAX);
    }

    #[test]
    fn unusable_buffer_sizes_are_refused() {
        assert_eq!(parse_acknowledge(&acknowledge(100, 65_536)), Err(Violation::Acknowledge));
        assert_eq!(parse_acknowledge(&acknowledge(65_536, u32::MAX)), Err(Violation::Acknowledge));
    }

    #[test]
    fn hello_carries_its_own_size_and_the_url() {
        let bytes = hello("opc.tcp://plant:4840");
        assert_eq!(bytes[4..8], u32::try_from(bytes.len()).unwrap().to_le_bytes());
        assert!(bytes.ends_with(b"opc.tcp://plant:4840"));
    }

    #[test]
    fn only_messages_may_be_continued_or_aborted() {
        assert!(Header::parse(b"MSGC\x10\0\0\0").is_ok());
        assert_eq!(Header::parse(b"OPNC\x10\0\0\0"), Err(Violation::MessageType));
        assert_eq!(Header::parse(b"HELF\x10\0\0\0"), Err(Violation::MessageType));
    }

    #[test]
    fn a_chunk_of_impossible_size_is_refused() {
        assert_eq!(Header::parse(b"MSGF\x07\0\0\0"), Err(Violation::Truncated));
        assert_eq!(Header::parse(b"MSGF\xff\xff\xff\xff"), Err(Violation::TooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_transport_panic(header: [u8; 8], body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Header::parse(&header);
            let _ = parse_acknowledge(&body);
            let _ = parse_error(&body);
        }
    }
}
