//! The core without its socket, for the fuzz targets in `tests`: everything that a server may say, said by bytes.
//!
//! Nothing here panics, whatever the bytes, unless the session breaks a promise of its own.

use crate::{
    CallError, ReadValue, SecurityPolicy, Trust, browse,
    channel::{Arrival, Channel, TokenKeys, open_symmetric},
    codec::Put,
    crypto::{self, BLOCK_BYTES, Expectation, PeerCertificate, Suite},
    describe, plan, scale, services,
    subscription::{Came, Subscription, SubscriptionTally, Terms},
    transport::set_size,
};

/// Lifetime that is asked for, in milliseconds.
const LIFETIME_MS: u32 = 10_000;
/// Time that passes between two arrivals, in nanoseconds: some of them reach a renewal.
const ARRIVAL_NS: u64 = 900_000_000;
/// Bytes that come at once: as little as makes a chunk arrive in pieces.
const PIECE_BYTES: usize = 1_000;
/// Requests that wait for an answer.
const REQUESTS: usize = 3;

/// A client of nobody: what it says is thrown away, what it hears is the caller's.
struct Listener {
    channel: Channel,
    now_ns: u64,
    /// Requests without an answer.
    waiting: Vec<u32>,
    /// An answer was one of some service.
    believed: bool,
}

impl Listener {
    /// Has said hello.
    fn new() -> Self {
        let mut channel = Channel::new(None, LIFETIME_MS);
        channel.say_hello("opc.tcp://plant:4840");
        Self { channel, now_ns: 0, waiting: Vec::new(), believed: false }
    }

    /// Puts a request to open or renew into the outbox.
    fn ask(&mut self) -> Result<(), CallError> {
        self.channel.begin_open(0)?;
        self.work()?;
        self.channel.place_open();
        Ok(())
    }

    /// Does the channel's work, as the worker would.
    fn work(&mut self) -> Result<(), CallError> {
        while let Some(work) = self.channel.take_work() {
            self.channel.finish_work(work.run()?, self.now_ns)?;
        }
        Ok(())
    }

    /// Keeps some requests waiting.
    fn request(&mut self) -> Result<(), CallError> {
        while self.waiting.len() < REQUESTS {
            let id = self.channel.next_request_id()?;
            self.channel.seal(id, b"?")?;
            self.waiting.push(id);
        }
        let said = self.channel.to_send().len();
        self.channel.sent(said);
        Ok(())
    }

    /// Puts as many bytes into the inbox as there is room for; the others.
    fn hear<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = self.channel.room();
        assert!(!room.is_empty(), "an inbox without a complete chunk has no room");
        let count = bytes.len().min(room.len()).min(PIECE_BYTES);
        let (now, later) = bytes.split_at(count);
        room.iter_mut().zip(now).for_each(|(room, byte)| *room = *byte);
        self.channel.received(count);
        later
    }

    /// Takes in what has come, until more bytes are needed.
    fn take_in(&mut self) -> Result<(), CallError> {
        while let Some(arrival) = self.channel.next_arrival(self.now_ns)? {
            match arrival {
                Arrival::Answer(id) | Arrival::Aborted { request_id: id, .. } => {
                    let asked = self.waiting.iter().position(|waiting| *waiting == id);
                    self.waiting.remove(asked.expect("an answer that nobody asked for came through"));
                    self.believed |= take_apart(self.channel.body());
                }
                Arrival::Open | Arrival::Blocked => self.work()?,
            }
            self.now_ns += ARRIVAL_NS;
            if self.channel.renewal_is_due(self.now_ns) {
                self.ask()?;
            }
            self.request()?;
        }
        Ok(())
    }

    /// An open channel, with the server's numbers so far.
    fn open() -> Result<(Self, Numbers), CallError> {
        let mut listener = Self::new();
        listener.ask()?;
        let numbers = Numbers { channel: 1, token: 1, sequence: 1 };
        let mut answer = b"OPNF\0\0\0\0".to_vec();
        answer.put_u32(numbers.channel);
        answer.put_bytes(crypto::POLICY_NONE_URI.as_bytes());
        answer.put_null();
        answer.put_null();
        // Sequence number and request id; then type and header of the answer, version, channel, token, time, lifetime, nonce.
        answer.put_u32(numbers.sequence);
        answer.put_u32(1);
        put_answer_head(&mut answer, services::type_id::OPEN_ANSWER);
        for number in [0, numbers.channel, numbers.token, 0, 0, LIFETIME_MS] {
            answer.put_u32(number);
        }
        answer.put_null();
        set_size(&mut answer, 0);
        listener.hear(&answer);
        listener.take_in()?;
        listener.request()?;
        Ok((listener, numbers))
    }
}

/// What a server puts into the headers of its messages.
struct Numbers {
    channel: u32,
    token: u32,
    sequence: u32,
}

fn put_answer_head(out: &mut Vec<u8>, type_id: u32) {
    out.put_type_id(u16::try_from(type_id).unwrap_or_default());
    out.put_i64(0);
    out.put_u32(1);
    out.put_u32(0);
    out.put_u8(0);
    out.put_null();
    out.extend_from_slice(&[0, 0, 0]);
}

/// The bytes are everything that a server says, from the acknowledgement on.
///
/// # Panics
/// The session breaks a promise.
pub fn hear_stream(bytes: &[u8]) -> bool {
    let mut listener = Listener::new();
    let mut later = bytes;
    let mut hear = || -> Result<(), CallError> {
        while !listener.channel.take_acknowledge()? {
            if later.is_empty() {
                return Ok(());
            }
            later = listener.hear(later);
        }
        listener.ask()?;
        listener.take_in()?;
        while !later.is_empty() {
            later = listener.hear(later);
            listener.take_in()?;
        }
        Ok(())
    };
    // A session that ends is what most bytes deserve.
    let _ = hear();
    listener.believed
}

/// The bytes are messages on an open channel: for each its chunk type, a request to which it answers, the length of its
/// contents in two bytes, and the contents. The headers are right.
///
/// # Panics
/// The session breaks a promise.
pub fn hear_messages(bytes: &[u8]) -> bool {
    let Ok((mut listener, mut numbers)) = Listener::open() else { return false };
    let mut hear = || -> Result<(), CallError> {
        let mut rest = bytes;
        while let [kind, request, low, high, after @ ..] = rest {
            let length = usize::from(u16::from_le_bytes([*low, *high]));
            let (contents, after) = after.split_at(length.min(after.len()));
            rest = after;
            let mut chunk = b"MSG".to_vec();
            chunk.push(b"FCA".get(usize::from(*kind)).copied().unwrap_or(*kind));
            chunk.put_u32(0);
            numbers.sequence += 1;
            let id = listener.waiting.get(usize::from(*request) % REQUESTS).copied().unwrap_or_default();
            for number in [numbers.channel, numbers.token, numbers.sequence, id] {
                chunk.put_u32(number);
            }
            chunk.extend_from_slice(contents);
            set_size(&mut chunk, 0);
            let mut later = chunk.as_slice();
            while !later.is_empty() {
                later = listener.hear(later);
                listener.take_in()?;
            }
        }
        Ok(())
    };
    let _ = hear();
    listener.believed
}

/// The bytes are what a server signs and encrypts behind the headers of a message, padding included: it has the keys, and
/// lies.
///
/// # Panics
/// The session breaks a promise.
pub fn hear_sealed(bytes: &[u8], encrypts: bool) -> bool {
    let suite = Suite::of(SecurityPolicy::Basic256Sha256);
    let keys =
        |ours, theirs| TokenKeys { ours: suite.derive(ours, theirs), theirs: suite.derive(theirs, ours), encrypts };
    let (client, server) = (keys(&[1; 32], &[2; 32]), keys(&[2; 32], &[1; 32]));
    let mut plain = b"MSGF\0\0\0\0\x01\0\0\0\x01\0\0\0".to_vec();
    let clear = plain.len();
    plain.extend_from_slice(bytes);
    if encrypts {
        let fill = (plain.len() - clear).next_multiple_of(BLOCK_BYTES) - (plain.len() - clear);
        plain.resize(plain.len() + fill, 0);
    }
    if server.ours.sign(&mut plain, 0).is_err() {
        return false;
    }
    let mut chunk = plain.split_off(clear);
    if encrypts {
        let signed = std::mem::take(&mut chunk);
        if server.ours.encrypt(&signed, &mut chunk).is_err() {
            return false;
        }
    }
    plain.append(&mut chunk);
    let mut room = Vec::new();
    let Ok(opened) = open_symmetric(&client, &plain, &mut room) else { return false };
    assert!(opened.len() <= bytes.len() + BLOCK_BYTES, "more came out than was sealed");
    take_apart(opened.get(8..).unwrap_or_default())
}

/// The bytes are the body of an answer, whatever it answers; whether it is one.
pub fn take_apart(body: &[u8]) -> bool {
    let created = services::parse_create_session(body);
    let endpoints = services::parse_get_endpoints(body).or_else(|_| created.map(|created| created.endpoints));
    endpoints.iter().flatten().for_each(|endpoint| drop(crypto::describe(&endpoint.certificate)));
    let batch = plan::WriteBatch { first: 0, end: 3, count: 2 };
    let written = plan::decode_write(body, batch, &[Some(1.0), None, Some(2.0)], &mut [0; 3]);
    let shapes = [plan::Shape::Scalar, plan::Shape::Element, plan::Shape::Scalar];
    let read = plan::decode_read(body, &shapes, &mut [ReadValue::MISSING; 3]);
    [
        be_told(body, false),
        be_told(body, true),
        endpoints.is_ok(),
        services::parse_open_answer(body).is_ok(),
        services::open_answer(body, services::type_id::ACTIVATE_SESSION_ANSWER).is_ok(),
        describe::parse_server(body).is_ok(),
        describe::parse_description(body).is_ok(),
        browse::parse_page(body, services::type_id::BROWSE_ANSWER, &mut Vec::new()).is_ok(),
        scale::parse_targets(body, 3).is_ok(),
        scale::parse_properties(body, 3).is_ok(),
        written.is_ok(),
        read.is_ok(),
    ]
    .contains(&true)
}

/// The bytes are what a subscription is told, or is told again because it missed it; whether it is.
fn be_told(body: &[u8], again: bool) -> bool {
    let terms = Terms { id: 1, publishing_ns: 1, keep_alive_ns: 1 };
    let mut subscription = Subscription::new(services::NO_TOKEN, terms, vec![plan::Shape::Scalar; REQUESTS], None, 0);
    let came = Came { now_ns: 1, since_ns: 0 };
    subscription.request(1, 0, 0);
    if again {
        let mut next = Vec::new();
        put_answer_head(&mut next, services::type_id::PUBLISH_ANSWER);
        // Subscription, available messages, more of them; sequence number, time, notifications.
        next.put_u32(terms.id);
        next.put_u32(0);
        next.put_u8(0);
        next.put_u32(2);
        next.put_i64(0);
        next.put_u32(0);
        let told = subscription.take(1, Ok(&next), came);
        assert!(told == Ok(true) && subscription.newest_message() == 1, "a missing message is not missed");
        subscription.request(1, 0, 0);
    }
    let told = subscription.take(1, Ok(body), came);
    assert_eq!(subscription.take(1, Ok(body), came), Ok(false), "one request was answered twice");
    let SubscriptionTally { values, republished, .. } = subscription.tally();
    told == Ok(true) && values + republished > 0
}

/// The bytes are a certificate, or a chain, as a server shows it; whether it is one. A chain is followed as far as it leads.
///
/// # Panics
/// The session breaks a promise.
pub fn see_certificate(bytes: &[u8]) -> bool {
    let (thumbprint, _) = crypto::describe(bytes);
    assert!(thumbprint.is_empty() || thumbprint.len() == 40, "a thumbprint that is no SHA-1");
    let expected = Expectation { host: "localhost", application_uri: "", now_unix_ns: 0 };
    assert!(PeerCertificate::check(bytes, &Trust::default(), expected).is_err(), "nobody is trusted, and somebody is");
    !thumbprint.is_empty()
}
