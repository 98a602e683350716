//! The secure channel of Part 6, 6.7, without any I/O: bytes go in and come out, time is an argument.
//!
//! - Sequence numbers are checked one by one, in both directions, over their wrap.
//! - After a renewal we speak under the new token at once; the old one is accepted until the server has spoken under the
//!   new one, and never after its expiry.
//! - A request id is known from sending until its answer has come, so a late answer is recognised and an answer that
//!   nobody asked for ends the session.
//! - The asymmetric work of a renewal is a value ([`Sealing`], [`Opening`]) that can be carried to another thread.

use std::{fmt, ops::Range, sync::Arc};

use crate::{
    CallError, MessageMode, Violation,
    chunk::{Assembled, Assembly, Inbox},
    codec::{Put, Reader},
    crypto::{
        self, ApplicationInstance, BLOCK_BYTES, NONCE_BYTES, PeerCertificate, SIGNATURE_BYTES, Suite, SymmetricKeys,
    },
    limits::{
        CERTIFICATE_BYTES_MAX, CHANNEL_LIFETIME_MS_MAX, CHANNEL_LIFETIME_MS_MIN, CHUNK_BYTES_MAX, NONCE_BYTES_MAX,
        UNANSWERED_MAX,
    },
    services,
    status::ends_session,
    transport::{self, Agreed, ChunkType, HEADER_BYTES, MessageType, set_size},
};

/// Channel id and token id in front of a symmetric chunk's sequence header, in bytes.
const SYMMETRIC_HEADER_BYTES: usize = 8;
/// Sequence number and request id, in bytes.
const SEQUENCE_HEADER_BYTES: usize = 8;
/// All headers of a symmetric chunk, in bytes.
const HEADERS_BYTES: usize = HEADER_BYTES + SYMMETRIC_HEADER_BYTES + SEQUENCE_HEADER_BYTES;
/// A sequence number beyond this one wraps (Part 6, 6.7.2.4).
const SEQUENCE_WRAP: u32 = u32::MAX - 1024;
/// The first sequence number after a wrap is below this one.
const SEQUENCE_AFTER_WRAP: u32 = 1024;
const MILLISECOND_NS: u64 = 1_000_000;
/// Status of an aborted message that gives none.
const STATUS_ABORTED: u32 = 0x8000_0000;

/// Policy, mode and the two parties of a secured channel.
#[derive(Debug, Clone)]
pub(crate) struct Secured {
    pub(crate) suite: &'static Suite,
    pub(crate) mode: MessageMode,
    pub(crate) ours: Arc<ApplicationInstance>,
    pub(crate) peer: Arc<PeerCertificate>,
}

/// The keys of one token.
#[derive(Debug)]
struct TokenKeys {
    ours: SymmetricKeys,
    theirs: SymmetricKeys,
    encrypts: bool,
}

/// A security token.
#[derive(Debug)]
struct Token {
    id: u32,
    since_ns: u64,
    lifetime_ns: u64,
    keys: Option<TokenKeys>,
}

impl Token {
    /// Three quarters of its life have passed (Part 4, 5.5.2).
    fn is_due(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.since_ns) >= self.lifetime_ns / 4 * 3
    }

    /// Its life and the quarter of grace that Part 4 gives a receiver have passed.
    fn is_over(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.since_ns) > self.lifetime_ns / 4 * 5
    }
}

/// The next sequence number after `last`.
fn next_sequence(last: u32) -> u32 {
    if last >= SEQUENCE_WRAP { 1 } else { last + 1 }
}

/// Whether `found` may follow `last` on the receiving side.
fn follows(last: Option<u32>, found: u32) -> bool {
    match last {
        None => true,
        Some(last) => last.checked_add(1) == Some(found) || (last >= SEQUENCE_WRAP && found < SEQUENCE_AFTER_WRAP),
    }
}

/// Something that came from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// An answer to this request; [`Channel::body`] holds it.
    Answer(u32),
    /// The server gave up answering this request.
    Aborted { request_id: u32, status: u32 },
    /// The channel was opened or its token renewed.
    Opened,
}

/// A renewal under way.
#[derive(Debug)]
struct Pending {
    request_id: u32,
    nonce: [u8; NONCE_BYTES],
}

/// A point in the outbox to which unsent requests can be taken back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    outbox_len: usize,
    sequence: u32,
    unanswered: usize,
}

/// One end of a secure channel.
pub(crate) struct Channel {
    security: Option<Secured>,
    agreed: Agreed,
    id: u32,
    sent_sequence: u32,
    received_sequence: Option<u32>,
    last_request_id: u32,
    current: Option<Token>,
    previous: Option<Token>,
    pending: Option<Pending>,
    requested_lifetime_ms: u32,
    last_server_nonce: Vec<u8>,
    unanswered: Vec<u32>,
    inbox: Inbox,
    assembly: Assembly,
    outbox: Vec<u8>,
    outbox_sent: usize,
    plain: Vec<u8>,
    reason: String,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("id", &self.id).field("security", &self.security).finish_non_exhaustive()
    }
}

impl Channel {
    pub(crate) fn new(security: Option<Secured>, requested_lifetime_ms: u32) -> Self {
        Channel {
            security,
            agreed: Agreed { send_chunk_bytes: CHUNK_BYTES_MAX, send_message_bytes: 0, send_chunks: 0 },
            id: 0,
            sent_sequence: 0,
            received_sequence: None,
            last_request_id: 0,
            current: None,
            previous: None,
            pending: None,
            requested_lifetime_ms,
            last_server_nonce: Vec::new(),
            unanswered: Vec::with_capacity(UNANSWERED_MAX),
            inbox: Inbox::new(),
            assembly: Assembly::default(),
            outbox: Vec::with_capacity(CHUNK_BYTES_MAX),
            outbox_sent: 0,
            plain: Vec::with_capacity(CHUNK_BYTES_MAX + BLOCK_BYTES),
            reason: String::new(),
        }
    }

    // Bytes in and out.

    /// Where bytes from the server go.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.inbox.room()
    }

    /// Says how many came.
    pub(crate) fn received(&mut self, count: usize) {
        self.inbox.filled(count);
    }

    /// Bytes that wait to be sent.
    pub(crate) fn to_send(&self) -> &[u8] {
        self.outbox.get(self.outbox_sent..).unwrap_or_default()
    }

    /// Says how many were sent.
    pub(crate) fn sent(&mut self, count: usize) {
        self.outbox_sent += count;
        if self.outbox_sent >= self.outbox.len() {
            self.outbox.clear();
            self.outbox_sent = 0;
        }
    }

    /// Where requests that are sealed from now on begin.
    pub(crate) fn mark(&self) -> Mark {
        Mark { outbox_len: self.outbox.len(), sequence: self.sent_sequence, unanswered: self.unanswered.len() }
    }

    /// Takes back what was sealed since the mark, if none of it has been sent; says whether it did.
    pub(crate) fn take_back(&mut self, mark: Mark) -> bool {
        // An emptied outbox was sent to the end.
        let untouched = self.outbox_sent <= mark.outbox_len && self.outbox.len() > mark.outbox_len;
        if untouched {
            self.outbox.truncate(mark.outbox_len);
            self.sent_sequence = mark.sequence;
            self.unanswered.truncate(mark.unanswered);
        }
        untouched
    }

    /// The last complete message.
    pub(crate) fn body(&self) -> &[u8] {
        self.assembly.body()
    }

    /// The reason that came with the last Error or aborted message.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    // Opening and renewing.

    /// Puts the Hello message into the outbox.
    pub(crate) fn say_hello(&mut self, url: &str) {
        self.outbox.extend_from_slice(&transport::hello(url));
    }

    /// The server's answer to Hello, once it is there.
    pub(crate) fn take_acknowledge(&mut self) -> Result<bool, CallError> {
        let Some((header, chunk)) = self.inbox.next_chunk()? else { return Ok(false) };
        let body = self.inbox.get(&chunk).get(HEADER_BYTES..).unwrap_or_default();
        match header.message {
            MessageType::Acknowledge => {
                self.agreed = transport::parse_acknowledge(body)?;
                Ok(true)
            }
            MessageType::Error => {
                let (status, reason) = transport::parse_error(body)?;
                self.reason = reason.to_owned();
                Err(CallError::Ended { status })
            }
            MessageType::Open | MessageType::Message => Err(Violation::MessageType.into()),
        }
    }

    /// Whether the token should be renewed now.
    pub(crate) fn renewal_is_due(&self, now_ns: u64) -> bool {
        self.pending.is_none() && self.current.as_ref().is_some_and(|token| token.is_due(now_ns))
    }

    /// Whether a renewal waits for its answer.
    pub(crate) fn renewal_is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Puts a request to open or to renew the channel into the outbox.
    pub(crate) fn request_open(&mut self, timestamp: i64) -> Result<(), CallError> {
        let nonce = crypto::nonce();
        let sealing = self.prepare_open(&nonce, timestamp)?;
        let request_id = sealing.request_id;
        let bytes = sealing.run()?;
        self.outbox.extend_from_slice(&bytes);
        self.unanswered.push(request_id);
        self.pending = Some(Pending { request_id, nonce });
        Ok(())
    }

    fn prepare_open(&mut self, nonce: &[u8; NONCE_BYTES], timestamp: i64) -> Result<Sealing, CallError> {
        let request_id = self.reserve_request_id()?;
        self.sent_sequence = next_sequence(self.sent_sequence);
        let open = services::OpenRequest {
            renew: self.current.is_some(),
            mode: self.security.as_ref().map(|secured| secured.mode),
            nonce: if self.security.is_some() { nonce } else { &[] },
            lifetime_ms: self.requested_lifetime_ms,
        };
        let mut body = Vec::new();
        services::put_open_request(&mut body, request_id, timestamp, &open);
        Ok(Sealing {
            security: self.security.clone(),
            channel_id: self.id,
            sequence: self.sent_sequence,
            request_id,
            body,
        })
    }

    fn reserve_request_id(&mut self) -> Result<u32, CallError> {
        if self.unanswered.len() >= UNANSWERED_MAX {
            return Err(CallError::Unanswered);
        }
        loop {
            self.last_request_id = self.last_request_id.wrapping_add(1);
            // An id that an old request still waits under is not given twice; neither is zero.
            if self.last_request_id != 0 && !self.unanswered.contains(&self.last_request_id) {
                return Ok(self.last_request_id);
            }
        }
    }

    // Sending.

    /// The id that the next request will have.
    pub(crate) fn next_request_id(&mut self) -> Result<u32, CallError> {
        self.reserve_request_id()
    }

    /// Seals a request and puts it into the outbox.
    ///
    /// # Real-time
    /// Bounded by the length of `body`; allocates only to grow the outbox beyond what it held before.
    pub(crate) fn seal(&mut self, request_id: u32, body: &[u8]) -> Result<(), CallError> {
        self.seal_as(*b"MSG", request_id, body)?;
        self.unanswered.push(request_id);
        Ok(())
    }

    /// Seals the message that closes the channel; it has no answer.
    pub(crate) fn seal_close(&mut self, request_id: u32, body: &[u8]) -> Result<(), CallError> {
        self.seal_as(*b"CLO", request_id, body)
    }

    fn seal_as(&mut self, message: [u8; 3], request_id: u32, body: &[u8]) -> Result<(), CallError> {
        let room = self.chunk_room();
        let chunks = body.len().div_ceil(room).max(1);
        let limits = self.agreed;
        if (limits.send_message_bytes != 0 && body.len() > limits.send_message_bytes)
            || (limits.send_chunks != 0 && chunks > limits.send_chunks)
        {
            // BadRequestTooLarge: what the server would say.
            return Err(CallError::Refused { status: 0x80B8_0000 });
        }
        let mut rest = body;
        for index in 1..=chunks {
            let (piece, tail) = rest.split_at(rest.len().min(room));
            rest = tail;
            let kind = if index == chunks { b'F' } else { b'C' };
            self.seal_chunk(message, kind, request_id, piece)?;
        }
        Ok(())
    }

    /// Body bytes that fit one chunk, whatever the padding.
    fn chunk_room(&self) -> usize {
        let overhead = match &self.security {
            None => 0,
            Some(Secured { mode: MessageMode::Sign, .. }) => SIGNATURE_BYTES,
            Some(_) => SIGNATURE_BYTES + BLOCK_BYTES,
        };
        self.agreed.send_chunk_bytes.saturating_sub(HEADERS_BYTES + overhead).max(1)
    }

    fn seal_chunk(&mut self, message: [u8; 3], kind: u8, request_id: u32, piece: &[u8]) -> Result<(), CallError> {
        let token = self.current.as_ref().ok_or(CallError::SessionOver)?;
        self.sent_sequence = next_sequence(self.sent_sequence);
        let keys = token.keys.as_ref();
        let encrypts = keys.is_some_and(|keys| keys.encrypts);
        // What is encrypted is put together elsewhere, because encryption is not in place.
        let start = if encrypts { 0 } else { self.outbox.len() };
        let out = if encrypts { &mut self.plain } else { &mut self.outbox };
        if encrypts {
            out.clear();
        }
        out.extend_from_slice(&message);
        out.put_u8(kind);
        out.put_u32(0);
        out.put_u32(self.id);
        out.put_u32(token.id);
        out.put_u32(self.sent_sequence);
        out.put_u32(request_id);
        out.extend_from_slice(piece);
        let Some(keys) = keys else {
            set_size(out, start);
            return Ok(());
        };
        let cipher_start = start + HEADER_BYTES + SYMMETRIC_HEADER_BYTES;
        if encrypts {
            crypto::pad(out, cipher_start, SIGNATURE_BYTES, BLOCK_BYTES, 1);
        }
        // The size counts the signature, which covers the size.
        out.resize(out.len() + SIGNATURE_BYTES, 0);
        set_size(out, start);
        out.truncate(out.len() - SIGNATURE_BYTES);
        keys.ours.sign(out, start)?;
        if encrypts {
            let (headers, plain) = self.plain.split_at_checked(cipher_start).ok_or(Violation::Security)?;
            self.outbox.extend_from_slice(headers);
            keys.ours.encrypt(plain, &mut self.outbox)?;
        }
        Ok(())
    }

    // Receiving.

    /// The next thing that came from the server; `None` when more bytes are needed.
    ///
    /// # Real-time
    /// Bounded by the bytes in the inbox; allocates nothing for answers once the buffers have grown.
    pub(crate) fn next_arrival(&mut self, now_ns: u64) -> Result<Option<Arrival>, CallError> {
        loop {
            let Some((header, chunk)) = self.inbox.next_chunk()? else { return Ok(None) };
            let arrival = match header.message {
                MessageType::Message => self.take_message(header.chunk, &chunk, now_ns)?,
                MessageType::Open => {
                    self.take_open(&chunk, now_ns)?;
                    Some(Arrival::Opened)
                }
                MessageType::Error => {
                    let body = self.inbox.get(&chunk).get(HEADER_BYTES..).unwrap_or_default();
                    let (status, reason) = transport::parse_error(body)?;
                    self.reason = reason.to_owned();
                    return Err(CallError::Ended { status });
                }
                MessageType::Acknowledge => return Err(Violation::MessageType.into()),
            };
            if arrival.is_some() {
                return Ok(arrival);
            }
        }
    }

    fn take_message(
        &mut self,
        kind: ChunkType,
        chunk: &Range<usize>,
        now_ns: u64,
    ) -> Result<Option<Arrival>, CallError> {
        let bytes = self.inbox.get(chunk);
        let mut reader = Reader::new(bytes);
        reader.take(HEADER_BYTES)?;
        if reader.u32()? != self.id {
            return Err(Violation::ChannelId.into());
        }
        let token_id = reader.u32()?;
        let token = [&self.current, &self.previous]
            .into_iter()
            .flatten()
            .find(|token| token.id == token_id && !token.is_over(now_ns))
            .ok_or(Violation::Token)?;
        let speaks_new = self.current.as_ref().is_some_and(|current| current.id == token_id);
        let opened = match &token.keys {
            Some(keys) => open_symmetric(keys, bytes, &mut self.plain)?,
            None => bytes.get(HEADER_BYTES + SYMMETRIC_HEADER_BYTES..).ok_or(Violation::Truncated)?,
        };
        let mut reader = Reader::new(opened);
        let (sequence, request_id) = (reader.u32()?, reader.u32()?);
        if !follows(self.received_sequence, sequence) {
            return Err(Violation::SequenceNumber.into());
        }
        self.received_sequence = Some(sequence);
        let assembled = self.assembly.add(kind, request_id, reader.rest())?;
        if speaks_new {
            self.previous = None;
        }
        if assembled == Assembled::Incomplete {
            return Ok(None);
        }
        self.forget(request_id)?;
        if assembled == Assembled::Complete {
            return Ok(Some(Arrival::Answer(request_id)));
        }
        let (status, reason) = transport::parse_error(self.assembly.body()).unwrap_or((STATUS_ABORTED, ""));
        self.reason = reason.to_owned();
        if ends_session(status) {
            return Err(CallError::Ended { status });
        }
        Ok(Some(Arrival::Aborted { request_id, status }))
    }

    /// Strikes a request off the list of those without an answer.
    fn forget(&mut self, request_id: u32) -> Result<(), Violation> {
        let place = self.unanswered.iter().position(|id| *id == request_id).ok_or(Violation::Unsolicited)?;
        self.unanswered.remove(place);
        Ok(())
    }

    fn take_open(&mut self, chunk: &Range<usize>, now_ns: u64) -> Result<(), CallError> {
        let opening = Opening { security: self.security.clone(), chunk: self.inbox.get(chunk).to_vec() };
        let opened = opening.run()?;
        self.finish_open(&opened, now_ns)
    }

    fn finish_open(&mut self, opened: &Opened, now_ns: u64) -> Result<(), CallError> {
        if !follows(self.received_sequence, opened.sequence) {
            return Err(Violation::SequenceNumber.into());
        }
        self.received_sequence = Some(opened.sequence);
        let pending = self.pending.take().ok_or(Violation::Unsolicited)?;
        if pending.request_id != opened.request_id {
            return Err(Violation::Unsolicited.into());
        }
        self.forget(opened.request_id)?;
        let answer = services::parse_open_answer(&opened.body)?;
        if self.id == 0 {
            self.id = answer.channel_id;
        }
        if answer.channel_id != self.id || opened.channel_id != self.id || self.id == 0 {
            return Err(Violation::ChannelId.into());
        }
        let taken = [&self.current, &self.previous].into_iter().flatten().any(|token| token.id == answer.token_id);
        if taken {
            return Err(Violation::Token.into());
        }
        let keys = match &self.security {
            None => None,
            Some(secured) => Some(self.derive_keys(secured, &pending.nonce, answer.nonce)?),
        };
        self.last_server_nonce.clear();
        self.last_server_nonce.extend_from_slice(answer.nonce);
        let lifetime_ms = answer.lifetime_ms.clamp(CHANNEL_LIFETIME_MS_MIN, CHANNEL_LIFETIME_MS_MAX);
        let token =
            Token { id: answer.token_id, since_ns: now_ns, lifetime_ns: u64::from(lifetime_ms) * MILLISECOND_NS, keys };
        self.previous = self.current.replace(token);
        Ok(())
    }

    fn derive_keys(&self, secured: &Secured, ours: &[u8], theirs: &[u8]) -> Result<TokenKeys, Violation> {
        let repeated = theirs == self.last_server_nonce || theirs == ours;
        if theirs.len() < NONCE_BYTES || theirs.len() > NONCE_BYTES_MAX || repeated {
            return Err(Violation::Nonce);
        }
        Ok(TokenKeys {
            ours: secured.suite.derive(theirs, ours),
            theirs: secured.suite.derive(ours, theirs),
            encrypts: secured.mode == MessageMode::SignAndEncrypt,
        })
    }
}

/// Verifies a symmetric chunk, decrypting it first if need be, and gives what follows its security header.
fn open_symmetric<'a>(keys: &TokenKeys, bytes: &'a [u8], plain: &'a mut Vec<u8>) -> Result<&'a [u8], Violation> {
    let clear = HEADER_BYTES + SYMMETRIC_HEADER_BYTES;
    let (headers, cipher) = bytes.split_at_checked(clear).ok_or(Violation::Truncated)?;
    if !keys.encrypts {
        return keys.theirs.verify(bytes)?.get(clear..).ok_or(Violation::Truncated);
    }
    plain.clear();
    plain.extend_from_slice(headers);
    keys.theirs.decrypt(cipher, plain)?;
    let verified = keys.theirs.verify(plain)?.get(clear..).ok_or(Violation::Truncated)?;
    crypto::unpad(verified, 1)
}

/// A request to open or renew a channel, before it is signed and encrypted.
#[derive(Debug)]
pub(crate) struct Sealing {
    security: Option<Secured>,
    channel_id: u32,
    sequence: u32,
    request_id: u32,
    body: Vec<u8>,
}

impl Sealing {
    /// Signs and encrypts: milliseconds of work, on any thread.
    pub(crate) fn run(&self) -> Result<Vec<u8>, Violation> {
        let mut out = b"OPNF\0\0\0\0".to_vec();
        out.put_u32(self.channel_id);
        let Some(Secured { suite, ours, peer, .. }) = &self.security else {
            out.put_bytes(crypto::POLICY_NONE_URI.as_bytes());
            out.put_null();
            out.put_null();
            self.put_contents(&mut out);
            set_size(&mut out, 0);
            return Ok(out);
        };
        out.put_bytes(suite.uri.as_bytes());
        out.put_bytes(ours.certificate_der());
        out.put_bytes(peer.thumbprint());
        let clear = out.len();
        self.put_contents(&mut out);
        let length_bytes = crypto::padding_length_bytes(peer.key_bytes());
        crypto::pad(&mut out, clear, ours.key_bytes(), suite.plain_block_bytes(peer.key()), length_bytes);
        // The size in the signed header is that of the encrypted message.
        let cipher_bytes = suite.cipher_bytes(peer.key(), out.len() - clear + ours.key_bytes());
        let size = u32::try_from(clear + cipher_bytes).map_err(|_| Violation::TooLong)?;
        out.get_mut(4..HEADER_BYTES).unwrap_or_default().copy_from_slice(&size.to_le_bytes());
        let signature = suite.sign(ours.key(), &out)?;
        out.extend_from_slice(&signature);
        let cipher = suite.encrypt(peer.key(), out.get(clear..).unwrap_or_default())?;
        out.truncate(clear);
        out.extend_from_slice(&cipher);
        Ok(out)
    }

    fn put_contents(&self, out: &mut Vec<u8>) {
        out.put_u32(self.sequence);
        out.put_u32(self.request_id);
        out.extend_from_slice(&self.body);
    }
}

/// The answer to a request to open or renew, as it came.
#[derive(Debug)]
pub(crate) struct Opening {
    security: Option<Secured>,
    chunk: Vec<u8>,
}

/// The same, decrypted and verified.
#[derive(Debug)]
pub(crate) struct Opened {
    channel_id: u32,
    sequence: u32,
    request_id: u32,
    body: Vec<u8>,
}

impl Opening {
    /// Decrypts and verifies: milliseconds of work, on any thread.
    pub(crate) fn run(&self) -> Result<Opened, Violation> {
        let mut reader = Reader::new(&self.chunk);
        reader.take(HEADER_BYTES)?;
        let channel_id = reader.u32()?;
        let uri = reader.str()?;
        let certificate = reader.bytes(CERTIFICATE_BYTES_MAX)?;
        let thumbprint = reader.bytes(CERTIFICATE_BYTES_MAX)?;
        let Some(secured) = &self.security else {
            if uri != crypto::POLICY_NONE_URI {
                return Err(Violation::Policy);
            }
            return Self::contents(channel_id, reader.rest());
        };
        if uri != secured.suite.uri {
            return Err(Violation::Policy);
        }
        if !secured.peer.is(certificate) || thumbprint != secured.ours.thumbprint_bytes() {
            return Err(Violation::Certificate);
        }
        let clear = self.chunk.len() - reader.rest().len();
        let plain = secured.suite.decrypt(secured.ours.key(), reader.rest())?;
        let signature_bytes = secured.peer.key_bytes();
        let (padded, signature) =
            plain.split_at_checked(plain.len().wrapping_sub(signature_bytes)).ok_or(Violation::Security)?;
        let signed = [self.chunk.get(..clear).unwrap_or_default(), padded].concat();
        secured.suite.verify(&secured.peer, &signed, signature)?;
        let length_bytes = crypto::padding_length_bytes(secured.ours.key_bytes());
        Self::contents(channel_id, crypto::unpad(padded, length_bytes)?)
    }

    fn contents(channel_id: u32, contents: &[u8]) -> Result<Opened, Violation> {
        let mut reader = Reader::new(contents);
        Ok(Opened { channel_id, sequence: reader.u32()?, request_id: reader.u32()?, body: reader.rest().to_vec() })
    }
}

#[cfg(test)]
mod tests;
