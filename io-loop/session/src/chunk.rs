//! From bytes to messages: the inbox cuts the stream into chunks, the assembly joins chunks to messages.

use std::ops::Range;

use crate::{
    Violation,
    limits::{CHUNK_BYTES_MAX, CHUNK_COUNT_MAX, MESSAGE_BYTES_MAX},
    transport::{ChunkType, HEADER_BYTES, Header},
};

/// Room for one largest chunk and as much again, so that a partial chunk is rarely moved.
const INBOX_BYTES: usize = 2 * CHUNK_BYTES_MAX;

/// Bytes as they came from the socket.
#[derive(Debug)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    filled: Range<usize>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Inbox { bytes: vec![0; INBOX_BYTES], filled: 0..0 }
    }

    /// Where the next bytes go; never empty as long as every complete chunk is taken out.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.filled.is_empty() {
            self.filled = 0..0;
        } else if self.filled.start >= CHUNK_BYTES_MAX {
            self.bytes.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
        }
        self.bytes.get_mut(self.filled.end..).unwrap_or_default()
    }

    /// Says how many bytes were put there.
    pub(crate) fn filled(&mut self, count: usize) {
        self.filled.end = self.bytes.len().min(self.filled.end + count);
    }

    /// Takes the next complete chunk out; its bytes stay where they are until [`Inbox::room`] is called.
    pub(crate) fn next_chunk(&mut self) -> Result<Option<(Header, Range<usize>)>, Violation> {
        let waiting = self.bytes.get(self.filled.clone()).unwrap_or_default();
        let Some(header) = waiting.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let header = Header::parse(header)?;
        if waiting.len() < header.size {
            return Ok(None);
        }
        let start = self.filled.start;
        self.filled.start += header.size;
        Ok(Some((header, start..start + header.size)))
    }

    /// Puts the chunk back that was taken out last: it comes next again.
    pub(crate) fn put_back(&mut self, chunk: &Range<usize>) {
        self.filled.start = chunk.start;
    }

    /// What it holds on to, in bytes.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The bytes of a chunk that was taken out.
    pub(crate) fn get(&self, chunk: &Range<usize>) -> &[u8] {
        self.bytes.get(chunk.clone()).unwrap_or_default()
    }
}

/// A message under way, and the last complete one.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    body: Vec<u8>,
    request_id: Option<u32>,
    chunks: usize,
}

/// What a chunk amounted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Assembled {
    /// More chunks belong to the message.
    Incomplete,
    /// The message is complete; [`Assembly::body`] holds it.
    Complete,
    /// The sender gave the message up; [`Assembly::body`] holds status and reason.
    Aborted,
}

impl Assembly {
    /// Adds the contents of a verified chunk.
    pub(crate) fn add(&mut self, chunk: ChunkType, request_id: u32, contents: &[u8]) -> Result<Assembled, Violation> {
        match self.request_id {
            Some(open) if open != request_id => return Err(Violation::Interleaved),
            Some(_) => {}
            None => {
                self.body.clear();
                self.chunks = 0;
            }
        }
        if chunk == ChunkType::Abort {
            self.body.clear();
        }
        self.chunks += 1;
        if self.chunks > CHUNK_COUNT_MAX || self.body.len() + contents.len() > MESSAGE_BYTES_MAX {
            return Err(Violation::TooLong);
        }
        self.body.extend_from_slice(contents);
        self.request_id = (chunk == ChunkType::Intermediate).then_some(request_id);
        Ok(match chunk {
            ChunkType::Intermediate => Assembled::Incomplete,
            ChunkType::Final => Assembled::Complete,
            ChunkType::Abort => Assembled::Aborted,
        })
    }

    /// What it holds on to, in bytes.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.body.capacity()
    }

    /// The last message.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn put(inbox: &mut Inbox, bytes: &[u8]) {
        inbox.room()[..bytes.len()].copy_from_slice(bytes);
        inbox.filled(bytes.len());
    }

    fn chunk(body: &[u8]) -> Vec<u8> {
        let mut bytes = b"MSGF\0\0\0\0".to_vec();
        bytes.extend_from_slice(body);
        crate::transport::set_size(&mut bytes, 0);
        bytes
    }

    #[test]
    fn chunks_come_out_whole_however_the_bytes_arrive() {
        let mut inbox = Inbox::new();
        let stream = [chunk(b"first"), chunk(b""), chunk(b"third")].concat();
        let mut seen = Vec::new();
        for byte in stream {
            put(&mut inbox, &[byte]);
            while let Some((_, range)) = inbox.next_chunk().unwrap() {
                seen.push(inbox.get(&range)[HEADER_BYTES..].to_vec());
            }
        }
        assert_eq!(seen, [b"first".to_vec(), b"".to_vec(), b"third".to_vec()]);
    }

    #[test]
    fn there_is_always_room_for_a_largest_chunk() {
        let mut inbox = Inbox::new();
        let largest = chunk(&vec![7; CHUNK_BYTES_MAX - HEADER_BYTES]);
        for _ in 0..5 {
            let (head, tail) = largest.split_at(100);
            put(&mut inbox, head);
            assert!(inbox.next_chunk().unwrap().is_none());
            put(&mut inbox, tail);
            put(&mut inbox, &largest[..50]);
            assert!(inbox.next_chunk().unwrap().is_some());
            put(&mut inbox, &largest[50..]);
            assert!(inbox.next_chunk().unwrap().is_some());
        }
    }

    #[test]
    fn a_message_may_come_in_pieces_but_not_mixed_with_another() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.add(ChunkType::Intermediate, 1, b"ab"), Ok(Assembled::Incomplete));
        assert_eq!(assembly.add(ChunkType::Final, 1, b"c"), Ok(Assembled::Complete));
        assert_eq!(assembly.body(), b"abc");
        assert_eq!(assembly.add(ChunkType::Intermediate, 2, b"ab"), Ok(Assembled::Incomplete));
        assert_eq!(assembly.add(ChunkType::Final, 3, b"c"), Err(Violation::Interleaved));
    }

    #[test]
    fn an_abort_throws_away_what_came_before_it() {
        let mut assembly = Assembly::default();
        assembly.add(ChunkType::Intermediate, 1, b"ab").unwrap();
        assert_eq!(assembly.add(ChunkType::Abort, 1, b"why"), Ok(Assembled::Aborted));
        assert_eq!(assembly.body(), b"why");
        assert_eq!(assembly.add(ChunkType::Final, 2, b"next"), Ok(Assembled::Complete));
        assert_eq!(assembly.body(), b"next");
    }

    #[test]
    fn a_message_without_end_is_refused() {
        let mut assembly = Assembly::default();
        for _ in 0..CHUNK_COUNT_MAX {
            assert_eq!(assembly.add(ChunkType::Intermediate, 1, b""), Ok(Assembled::Incomplete));
        }
        assert_eq!(assembly.add(ChunkType::Intermediate, 1, b""), Err(Violation::TooLong));
        let mut assembly = Assembly::default();
        let piece = vec![0; MESSAGE_BYTES_MAX / 4];
        for _ in 0..4 {
            assert_eq!(assembly.add(ChunkType::Intermediate, 1, &piece), Ok(Assembled::Incomplete));
        }
        assert_eq!(assembly.add(ChunkType::Final, 1, b"x"), Err(Violation::TooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_inbox_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20)) {
            let mut inbox = Inbox::new();
            for piece in pieces {
                put(&mut inbox, &piece);
                while let Ok(Some((header, range))) = inbox.next_chunk() {
                    prop_assert_eq!(inbox.get(&range).len(), header.size);
                }
            }
        }
    }
}
