//! The secure channel of Part 6, 6.7, without any I/O: bytes go in and come out, time is an argument.
//!
//! - Sequence numbers are checked one by one, in both directions, over their wrap.
//! - After a renewal we speak under the new token at once; the old one is accepted until the server has spoken under the
//!   new one, and never after its expiry.
//! - A request id is known from sending until its answer has come, so a late answer is recognised and an answer that
//!   nobody asked for ends the session.
//! - The asymmetric work of opening and renewing is a value ([`Work`]) that is fetched from the channel and brought back
//!   done ([`Done`]), so that another thread can do it while the old token serves.

use std::{fmt, ops::Range, sync::Arc};

use crate::{
    CallError, MessageMode, Violation,
    asymmetric::{Done, Opened, Opening, Sealing, Work},
    chunk::{Assembled, Assembly, Inbox},
    codec::{Put, Reader},
    crypto::{
        self, ApplicationInstance, BLOCK_BYTES, NONCE_BYTES, PeerCertificate, SIGNATURE_BYTES, Suite, SymmetricKeys,
    },
    limits::{
        CHANNEL_LIFETIME_MS_MAX, CHANNEL_LIFETIME_MS_MIN, CHUNK_BYTES_MAX, NONCE_BYTES_MAX, RENEWAL_PLACES_MAX,
        UNANSWERED_MAX,
    },
    services,
    status::ends_session,
    transport::{self, Agreed, ChunkType, HEADER_BYTES, MessageType, set_size},
};

const CHANNEL_ID_BYTES: usize = 4;
/// Channel id and token id in front of a symmetric chunk's sequence header, in bytes.
const SYMMETRIC_HEADER_BYTES: usize = CHANNEL_ID_BYTES + 4;
/// Sequence number and request id, in bytes.
const SEQUENCE_HEADER_BYTES: usize = 8;
/// All headers of a symmetric chunk, in bytes.
const HEADERS_BYTES: usize = HEADER_BYTES + SYMMETRIC_HEADER_BYTES + SEQUENCE_HEADER_BYTES;
/// A sequence number beyond this one wraps (Part 6, 6.7.2.4).
const SEQUENCE_WRAP: u32 = u32::MAX - 1024;
/// The first sequence number after a wrap is below this one.
const SEQUENCE_AFTER_WRAP: u32 = 1024;
const MILLISECOND_NS: u64 = 1_000_000;
/// After so many renewals in a row that were sealed too late, no request leaves while the next one is being sealed.
const MISSED_MAX: u32 = 4;
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
pub(crate) struct TokenKeys {
    pub(crate) ours: SymmetricKeys,
    pub(crate) theirs: SymmetricKeys,
    pub(crate) encrypts: bool,
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

/// The sequence number of a chunk before which `sent` others were sent.
pub(crate) fn sequence_number(sent: u64) -> u32 {
    // Below the wrap, so it fits.
    u32::try_from(sent % u64::from(SEQUENCE_WRAP)).unwrap_or_default() + 1
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
    /// The answer to a request to open or renew, which is [`Work`] now.
    Open,
    /// What has come next can be understood only when that work is done.
    Blocked,
}

/// A request to open or renew the channel, on its way.
#[derive(Debug)]
struct Pending {
    request_id: u32,
    nonce: [u8; NONCE_BYTES],
    stage: Stage,
}

/// How far it is.
#[derive(Debug)]
enum Stage {
    /// It is being signed and encrypted since so many chunks were sent, to leave after `first`.
    Sealing { begun: u64, first: u64 },
    /// It is ready to leave as the chunk after `first` others, or one of the next.
    Sealed { first: u64, chunks: Vec<Vec<u8>> },
    /// It has left.
    Asked,
    /// The answer has come and is being decrypted and verified. Its sequence number is encrypted too, so this one is
    /// assumed; near the wrap there are several possible ones.
    Opening { assumed: Option<u32> },
}

/// How chunks leave: what a renewal needs to know to find its place among them.
#[derive(Debug, Default)]
struct Pace {
    /// Chunks sent at the last look.
    looked_at: u64,
    /// Most chunks between two looks of late.
    step: u64,
    /// Chunks that may be sent while a request is being sealed.
    lead: u64,
    /// Requests in a row whose places had passed before they were sealed.
    missed: u32,
}

impl Pace {
    /// The first place and the number of places for a request that is sealed from now on.
    fn window(&self, sent: u64) -> (u64, u64) {
        let lead = if self.missed < MISSED_MAX { self.lead } else { 0 };
        (sent + lead, (self.step + 1).min(RENEWAL_PLACES_MAX))
    }

    /// Looks between two requests how many chunks were sent since the last look, and says so.
    fn look(&mut self, sent: u64) -> u64 {
        let step = sent.saturating_sub(self.looked_at);
        self.looked_at = sent;
        self.step = step.max(self.step.saturating_sub(1));
        step
    }
}

/// A point in the outbox to which unsent requests can be taken back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    outbox_len: usize,
    sent: u64,
    unanswered: usize,
}

/// One end of a secure channel.
pub(crate) struct Channel {
    security: Option<Secured>,
    agreed: Agreed,
    id: u32,
    /// Chunks that were sealed under a sequence number.
    sent: u64,
    received_sequence: Option<u32>,
    last_request_id: u32,
    current: Option<Token>,
    previous: Option<Token>,
    pending: Option<Pending>,
    work: Option<Work>,
    pace: Pace,
    /// Tokens after the first one.
    renewals: u64,
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
            sent: 0,
            received_sequence: None,
            last_request_id: 0,
            current: None,
            previous: None,
            pending: None,
            work: None,
            pace: Pace::default(),
            renewals: 0,
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
        Mark { outbox_len: self.outbox.len(), sent: self.sent, unanswered: self.unanswered.len() }
    }

    /// Takes back what was sealed since the mark, if none of it has been sent; says whether it did.
    pub(crate) fn take_back(&mut self, mark: Mark) -> bool {
        // An emptied outbox was sent to the end.
        let untouched = self.outbox_sent <= mark.outbox_len && self.outbox.len() > mark.outbox_len;
        if untouched {
            self.outbox.truncate(mark.outbox_len);
            self.sent = mark.sent;
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

    /// How often the token was renewed.
    pub(crate) fn renewals(&self) -> u64 {
        self.renewals
    }

    /// Whether a request to open or renew is on its way: from its begin until the new token is there.
    pub(crate) fn is_renewing(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether the place of a renewal was taken so often before it was sealed that no request should leave meanwhile.
    pub(crate) fn renewal_must_not_miss(&self) -> bool {
        matches!(&self.pending, Some(Pending { stage: Stage::Sealing { .. }, .. })) && self.pace.missed >= MISSED_MAX
    }

    /// Begins to open or to renew the channel: reserves a request id and places in the sequence. There is work now.
    pub(crate) fn begin_open(&mut self, timestamp: i64) -> Result<(), CallError> {
        let request_id = self.reserve_request_id()?;
        let nonce = crypto::nonce();
        let open = services::OpenRequest {
            renew: self.current.is_some(),
            mode: self.security.as_ref().map(|secured| secured.mode),
            nonce: if self.security.is_some() { &nonce } else { &[] },
            lifetime_ms: self.requested_lifetime_ms,
        };
        let mut body = Vec::new();
        services::put_open_request(&mut body, request_id, timestamp, &open);
        let (first, places) = self.pace.window(self.sent);
        let (security, channel_id) = (self.security.clone(), self.id);
        self.work = Some(Work::Seal(Sealing { security, channel_id, first, places, request_id, body }));
        self.pending = Some(Pending { request_id, nonce, stage: Stage::Sealing { begun: self.sent, first } });
        Ok(())
    }

    /// Work that has come up; each piece is given once.
    pub(crate) fn take_work(&mut self) -> Option<Work> {
        self.work.take()
    }

    /// Takes in what was done of it.
    pub(crate) fn finish_work(&mut self, done: Done, now_ns: u64) -> Result<(), CallError> {
        let chunks = match done {
            Done::Opened(opened) => return self.finish_open(&opened, now_ns),
            Done::Sealed(chunks) => chunks,
        };
        if let Some(Pending { stage, .. }) = &mut self.pending
            && let Stage::Sealing { begun, first } = *stage
        {
            *stage = Stage::Sealed { first, chunks };
            self.pace.lead = 2 * self.sent.saturating_sub(begun);
        }
        Ok(())
    }

    /// To be called between requests: puts a request to open or renew into the outbox if it is sealed and its place in the
    /// sequence has come, and says whether it did. One whose places have passed is given up; nobody has seen it.
    pub(crate) fn place_open(&mut self) -> bool {
        let step = self.pace.look(self.sent);
        let Some(Pending { request_id, stage, .. }) = &mut self.pending else { return false };
        let Stage::Sealed { first, chunks } = stage else { return false };
        let place = self.sent.checked_sub(*first).and_then(|place| usize::try_from(place).ok());
        match place.map(|place| chunks.get(place)) {
            Some(Some(chunk)) => {
                self.outbox.extend_from_slice(chunk);
                self.unanswered.push(*request_id);
                *stage = Stage::Asked;
                self.sent += 1;
                self.pace.missed = 0;
                return true;
            }
            Some(None) => self.pace.missed += 1,
            // Its place comes with the next requests, if there are any.
            None if step > 0 => return false,
            None => self.pace.lead = 0,
        }
        self.pending = None;
        false
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
        let sequence = sequence_number(self.sent);
        self.sent += 1;
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
        out.put_u32(sequence);
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
                MessageType::Message if self.must_wait(&chunk) => {
                    self.inbox.put_back(&chunk);
                    Some(Arrival::Blocked)
                }
                MessageType::Message => self.take_message(header.chunk, &chunk, now_ns)?,
                MessageType::Open => {
                    self.take_open(&chunk)?;
                    Some(Arrival::Open)
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

    /// Whether a chunk is to be understood only when the answer that came before it has been opened: because it comes
    /// under the new token, or because the sequence number between could not be foretold.
    fn must_wait(&self, chunk: &Range<usize>) -> bool {
        let Some(Pending { stage: Stage::Opening { assumed }, .. }) = &self.pending else { return false };
        let mut reader = Reader::new(self.inbox.get(chunk));
        let token_id = reader.take(HEADER_BYTES + CHANNEL_ID_BYTES).and_then(|_| reader.u32());
        let known = token_id.is_ok_and(|id| self.tokens().any(|token| token.id == id));
        assumed.is_none() || !known
    }

    /// The tokens under which the server may speak.
    fn tokens(&self) -> impl Iterator<Item = &Token> {
        [&self.current, &self.previous].into_iter().flatten()
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
        // Written out, because the keys are borrowed apart from the buffer that is decrypted into.
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
        // A request to open or renew is answered by an opening, and by nothing else.
        if self.pending.as_ref().is_some_and(|pending| pending.request_id == request_id) {
            return Err(Violation::MessageType.into());
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

    /// Makes work of the answer to a request to open or renew.
    fn take_open(&mut self, chunk: &Range<usize>) -> Result<(), CallError> {
        let Some(Pending { stage: stage @ Stage::Asked, .. }) = &mut self.pending else {
            return Err(Violation::Unsolicited.into());
        };
        let assumed = self.received_sequence.filter(|last| *last < SEQUENCE_WRAP).map(|last| last + 1);
        if assumed.is_some() {
            self.received_sequence = assumed;
        }
        *stage = Stage::Opening { assumed };
        self.work =
            Some(Work::Open(Opening { security: self.security.clone(), chunk: self.inbox.get(chunk).to_vec() }));
        Ok(())
    }

    fn finish_open(&mut self, opened: &Opened, now_ns: u64) -> Result<(), CallError> {
        let pending = self.pending.take().ok_or(Violation::Unsolicited)?;
        let Stage::Opening { assumed } = pending.stage else { return Err(Violation::Unsolicited.into()) };
        if pending.request_id != opened.request_id {
            return Err(Violation::Unsolicited.into());
        }
        match assumed {
            Some(assumed) if assumed == opened.sequence => {}
            None if follows(self.received_sequence, opened.sequence) => self.received_sequence = Some(opened.sequence),
            _ => return Err(Violation::SequenceNumber.into()),
        }
        self.forget(opened.request_id)?;
        let answer = services::parse_open_answer(&opened.body)?;
        if self.id == 0 {
            self.id = answer.channel_id;
        }
        if answer.channel_id != self.id || opened.channel_id != self.id || self.id == 0 {
            return Err(Violation::ChannelId.into());
        }
        if self.tokens().any(|token| token.id == answer.token_id) {
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
        self.renewals += u64::from(self.previous.is_some());
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
pub(crate) fn open_symmetric<'a>(
    keys: &TokenKeys,
    bytes: &'a [u8],
    plain: &'a mut Vec<u8>,
) -> Result<&'a [u8], Violation> {
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

#[cfg(test)]
mod tests;
