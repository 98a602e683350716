//! The channel against a peer made of bytes. The secured peer is the channel's own asymmetric code with the roles
//! exchanged; that both are right is shown against foreign servers elsewhere.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::{SecurityPolicy, Trust, crypto::Expectation, testing};

const CHANNEL: u32 = 77;
const LIFETIME_MS: u32 = 10_000;
const LIFETIME_NS: u64 = LIFETIME_MS as u64 * MILLISECOND_NS;

fn feed(channel: &mut Channel, bytes: &[u8]) {
    for piece in bytes.chunks(1000) {
        channel.room()[..piece.len()].copy_from_slice(piece);
        channel.received(piece.len());
    }
}

/// Everything in the outbox, taken out.
fn drain(channel: &mut Channel) -> Vec<u8> {
    let bytes = channel.to_send().to_vec();
    channel.sent(bytes.len());
    bytes
}

fn chunk(kind: u8, token: u32, sequence: u32, request_id: u32, body: &[u8]) -> Vec<u8> {
    let mut out = b"MSG".to_vec();
    out.put_u8(kind);
    out.put_u32(0);
    for number in [CHANNEL, token, sequence, request_id] {
        out.put_u32(number);
    }
    out.extend_from_slice(body);
    set_size(&mut out, 0);
    out
}

fn open_answer_body(token: u32, nonce: &[u8]) -> Vec<u8> {
    let mut body = testing::answer_head(449, 0);
    body.put_u32(0);
    body.put_u32(CHANNEL);
    body.put_u32(token);
    body.put_i64(0);
    body.put_u32(LIFETIME_MS);
    body.put_bytes(nonce);
    body
}

fn open_answer(token: u32, sequence: u32, request_id: u32) -> Vec<u8> {
    let body = open_answer_body(token, &[]);
    Sealing { security: None, channel_id: CHANNEL, sequence, request_id, body }.run().unwrap()
}

/// An open channel without security; the server has used sequence number 1 and token 1.
fn open() -> Channel {
    let mut channel = Channel::new(None, LIFETIME_MS);
    channel.request_open(0).unwrap();
    drain(&mut channel);
    feed(&mut channel, &open_answer(1, 1, 1));
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Opened)));
    channel
}

fn request(channel: &mut Channel, body: &[u8]) -> u32 {
    let id = channel.next_request_id().unwrap();
    channel.seal(id, body).unwrap();
    id
}

#[test]
fn sequence_numbers_wrap_where_the_standard_says() {
    assert_eq!(next_sequence(SEQUENCE_WRAP - 1), SEQUENCE_WRAP);
    assert_eq!(next_sequence(SEQUENCE_WRAP), 1);
    assert!(follows(Some(SEQUENCE_WRAP), 0));
    assert!(follows(Some(SEQUENCE_WRAP), SEQUENCE_WRAP + 1));
    assert!(follows(Some(u32::MAX), 1023));
    assert!(!follows(Some(u32::MAX), 1024));
    assert!(!follows(Some(SEQUENCE_WRAP - 1), 0));
    assert!(!follows(Some(5), 7));
    assert!(!follows(Some(5), 5));
}

#[test]
fn messages_go_on_over_the_wrap_in_both_directions() {
    let mut channel = open();
    channel.sent_sequence = SEQUENCE_WRAP;
    channel.received_sequence = Some(u32::MAX - 1);
    let first = request(&mut channel, b"a");
    let sent = drain(&mut channel);
    assert_eq!(sent[16..20], 1u32.to_le_bytes());
    feed(&mut channel, &chunk(b'C', 1, u32::MAX, first, b"x"));
    feed(&mut channel, &chunk(b'F', 1, 3, first, b"y"));
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Answer(first))));
    assert_eq!(channel.body(), b"xy");
}

#[test]
fn a_sequence_number_that_is_not_the_next_ends_the_session() {
    for wrong in [1, 3, 4] {
        let mut channel = open();
        let id = request(&mut channel, b"");
        feed(&mut channel, &chunk(b'F', 1, wrong, id, b""));
        assert_eq!(channel.next_arrival(0), Err(Violation::SequenceNumber.into()));
    }
}

#[test]
fn answers_may_come_in_any_order() {
    let mut channel = open();
    let (first, second) = (request(&mut channel, b""), request(&mut channel, b""));
    feed(&mut channel, &chunk(b'F', 1, 2, second, b"two"));
    feed(&mut channel, &chunk(b'F', 1, 3, first, b"one"));
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Answer(second))));
    assert_eq!(channel.body(), b"two");
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Answer(first))));
    assert_eq!(channel.body(), b"one");
    assert_eq!(channel.next_arrival(0), Ok(None));
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_session() {
    let mut channel = open();
    let id = request(&mut channel, b"");
    feed(&mut channel, &chunk(b'F', 1, 2, id, b""));
    feed(&mut channel, &chunk(b'F', 1, 3, id, b""));
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Answer(id))));
    assert_eq!(channel.next_arrival(0), Err(Violation::Unsolicited.into()));
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let mut channel = open();
    for _ in 0..UNANSWERED_MAX {
        request(&mut channel, b"");
        drain(&mut channel);
    }
    assert_eq!(channel.next_request_id(), Err(CallError::Unanswered));
}

#[test]
fn an_aborted_message_fails_its_request_alone() {
    let mut channel = open();
    let (first, second) = (request(&mut channel, b""), request(&mut channel, b""));
    let mut reason = Vec::new();
    reason.put_u32(0x8007_0000);
    reason.put_bytes(b"too much");
    feed(&mut channel, &chunk(b'C', 1, 2, first, b"half"));
    feed(&mut channel, &chunk(b'A', 1, 3, first, &reason));
    feed(&mut channel, &chunk(b'F', 1, 4, second, b"whole"));
    let aborted = Arrival::Aborted { request_id: first, status: 0x8007_0000 };
    assert_eq!(channel.next_arrival(0), Ok(Some(aborted)));
    assert_eq!(channel.reason(), "too much");
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Answer(second))));
}

#[test]
fn a_chunk_too_short_for_its_headers_ends_the_session() {
    let mut channel = open();
    let id = request(&mut channel, b"");
    let whole = chunk(b'F', 1, 2, id, b"");
    for len in HEADER_BYTES..whole.len() {
        let mut channel = open();
        let mut short = whole[..len].to_vec();
        set_size(&mut short, 0);
        feed(&mut channel, &short);
        assert_eq!(channel.next_arrival(0), Err(Violation::Truncated.into()), "{len}");
    }
}

#[test]
fn an_error_message_ends_the_session_with_its_reason() {
    let mut channel = open();
    let mut error = b"ERRF\0\0\0\0".to_vec();
    error.put_u32(0x8080_0000);
    error.put_bytes(b"no more");
    set_size(&mut error, 0);
    feed(&mut channel, &error);
    assert_eq!(channel.next_arrival(0), Err(CallError::Ended { status: 0x8080_0000 }));
    assert_eq!(channel.reason(), "no more");
}

#[test]
fn a_message_of_another_channel_ends_the_session() {
    let mut channel = open();
    let id = request(&mut channel, b"");
    let mut wrong = chunk(b'F', 1, 2, id, b"");
    wrong[8] ^= 1;
    feed(&mut channel, &wrong);
    assert_eq!(channel.next_arrival(0), Err(Violation::ChannelId.into()));
}

#[test]
fn the_old_token_serves_until_the_server_speaks_under_the_new_one() {
    let mut channel = open();
    assert!(!channel.renewal_is_due(LIFETIME_NS / 4 * 3 - 1));
    assert!(channel.renewal_is_due(LIFETIME_NS / 4 * 3));
    let now = LIFETIME_NS / 4 * 3;
    channel.request_open(0).unwrap();
    assert!(!channel.renewal_is_due(now));
    let requests: Vec<_> = (0..4).map(|_| request(&mut channel, b"")).collect();
    // An answer under the old token, before the renewal's own answer.
    feed(&mut channel, &chunk(b'F', 1, 2, requests[0], b""));
    assert_eq!(channel.next_arrival(now), Ok(Some(Arrival::Answer(requests[0]))));
    feed(&mut channel, &open_answer(2, 3, 2));
    assert_eq!(channel.next_arrival(now), Ok(Some(Arrival::Opened)));
    // We speak under the new one at once.
    drain(&mut channel);
    request(&mut channel, b"");
    assert_eq!(drain(&mut channel)[12..16], 2u32.to_le_bytes());
    // The server still may speak under the old one.
    feed(&mut channel, &chunk(b'F', 1, 4, requests[1], b""));
    assert_eq!(channel.next_arrival(now), Ok(Some(Arrival::Answer(requests[1]))));
    // Once it has spoken under the new one, it may not go back.
    feed(&mut channel, &chunk(b'F', 2, 5, requests[2], b""));
    assert_eq!(channel.next_arrival(now), Ok(Some(Arrival::Answer(requests[2]))));
    feed(&mut channel, &chunk(b'F', 1, 6, requests[3], b""));
    assert_eq!(channel.next_arrival(now), Err(Violation::Token.into()));
}

#[test]
fn a_token_is_refused_after_its_life_and_grace() {
    let mut channel = open();
    let (first, second) = (request(&mut channel, b""), request(&mut channel, b""));
    feed(&mut channel, &chunk(b'F', 1, 2, first, b""));
    assert_eq!(channel.next_arrival(LIFETIME_NS / 4 * 5), Ok(Some(Arrival::Answer(first))));
    feed(&mut channel, &chunk(b'F', 1, 3, second, b""));
    assert_eq!(channel.next_arrival(LIFETIME_NS / 4 * 5 + 1), Err(Violation::Token.into()));
}

#[test]
fn a_renewal_that_repeats_a_token_is_refused() {
    let mut channel = open();
    channel.request_open(0).unwrap();
    feed(&mut channel, &open_answer(1, 2, 2));
    assert_eq!(channel.next_arrival(0), Err(Violation::Token.into()));
}

#[test]
fn an_opening_that_nobody_asked_for_is_refused() {
    let mut channel = open();
    feed(&mut channel, &open_answer(2, 2, 2));
    assert_eq!(channel.next_arrival(0), Err(Violation::Unsolicited.into()));
}

#[test]
fn what_has_not_begun_to_leave_can_be_taken_back() {
    let mut channel = open();
    let mark = channel.mark();
    request(&mut channel, b"stale");
    assert!(channel.take_back(mark));
    assert!(channel.to_send().is_empty());
    let id = request(&mut channel, b"fresh");
    // The sequence has no gap: opening was 1, this is 2.
    assert_eq!(drain(&mut channel)[16..20], 2u32.to_le_bytes());
    feed(&mut channel, &chunk(b'F', 1, 2, id, b""));
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Answer(id))));

    let mark = channel.mark();
    request(&mut channel, b"half sent");
    channel.sent(3);
    assert!(!channel.take_back(mark));
    let mark = channel.mark();
    request(&mut channel, b"gone");
    drain(&mut channel);
    assert!(!channel.take_back(mark));
}

#[test]
fn a_long_request_leaves_in_chunks_that_the_server_takes() {
    let mut channel = open();
    channel.agreed.send_chunk_bytes = 8192;
    let body: Vec<u8> = (0..20_000u32).map(|i| i.to_le_bytes()[0]).collect();
    request(&mut channel, &body);
    let sent = drain(&mut channel);
    let (mut rest, mut joined, mut kinds) = (&sent[..], Vec::new(), Vec::new());
    while !rest.is_empty() {
        let size = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        assert!(size <= 8192);
        kinds.push(rest[3]);
        joined.extend_from_slice(&rest[HEADERS_BYTES..size]);
        rest = &rest[size..];
    }
    assert_eq!(kinds, b"CCF");
    assert_eq!(joined, body);
}

#[test]
fn a_request_beyond_the_servers_limits_is_refused_here() {
    let mut channel = open();
    channel.agreed.send_message_bytes = 100;
    let id = channel.next_request_id().unwrap();
    assert_eq!(channel.seal(id, &[0; 101]), Err(CallError::Refused { status: 0x80B8_0000 }));
    assert!(channel.to_send().is_empty());
}

/// Both ends of a secured channel.
struct Ends {
    client: Arc<ApplicationInstance>,
    server: Arc<ApplicationInstance>,
    client_seen: Arc<PeerCertificate>,
    server_seen: Arc<PeerCertificate>,
}

static ENDS: LazyLock<Ends> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        let (der, pem) = (directory.path().join(format!("{name}.der")), directory.path().join(format!("{name}.pem")));
        let application = Arc::new(testing::application(&der, &pem, &format!("urn:{name}")));
        let trust = Trust { pinned: Some(der), ..Trust::default() };
        let expected =
            Expectation { host: "localhost", application_uri: &format!("urn:{name}"), now_unix_ns: testing::unix_ns() };
        let (seen, _) = PeerCertificate::check(application.certificate_der(), &trust, expected).unwrap();
        (application, Arc::new(seen))
    };
    let ((client, client_seen), (server, server_seen)) = (make("client"), make("server"));
    Ends { client, server, client_seen, server_seen }
});

/// The server's end of a secured channel.
struct Server {
    security: Secured,
    keys: Option<TokenKeys>,
    token: u32,
    sequence: u32,
}

impl Server {
    fn pair(policy: SecurityPolicy, mode: MessageMode) -> (Channel, Server) {
        let ends = &*ENDS;
        let suite = Suite::of(policy);
        let ours = Secured { suite, mode, ours: ends.client.clone(), peer: ends.server_seen.clone() };
        let theirs = Secured { suite, mode, ours: ends.server.clone(), peer: ends.client_seen.clone() };
        let channel = Channel::new(Some(ours), LIFETIME_MS);
        (channel, Server { security: theirs, keys: None, token: 0, sequence: 0 })
    }

    /// Answers a request to open or renew.
    fn open(&mut self, request: Vec<u8>) -> Vec<u8> {
        let asked = Opening { security: Some(self.security.clone()), chunk: request }.run().unwrap();
        // The nonce is the last field but one: 32 bytes and its length, then the lifetime.
        let nonce = &asked.body[asked.body.len() - 36..asked.body.len() - 4];
        let ours = crypto::nonce();
        self.keys = Some(TokenKeys {
            ours: self.security.suite.derive(nonce, &ours),
            theirs: self.security.suite.derive(&ours, nonce),
            encrypts: self.security.mode == MessageMode::SignAndEncrypt,
        });
        self.token += 1;
        self.sequence += 1;
        let sealing = Sealing {
            security: Some(self.security.clone()),
            channel_id: CHANNEL,
            sequence: self.sequence,
            request_id: asked.request_id,
            body: open_answer_body(self.token, &ours),
        };
        sealing.run().unwrap()
    }

    /// What the client said.
    fn hear(&self, bytes: &[u8]) -> Vec<u8> {
        open_symmetric(self.keys.as_ref().unwrap(), bytes, &mut Vec::new()).unwrap().to_vec()
    }

    fn say(&mut self, request_id: u32, body: &[u8]) -> Vec<u8> {
        self.sequence += 1;
        let keys = self.keys.as_ref().unwrap();
        let mut plain = chunk(b'F', self.token, self.sequence, request_id, body);
        if keys.encrypts {
            crypto::pad(&mut plain, 16, SIGNATURE_BYTES, BLOCK_BYTES, 1);
        }
        plain.extend_from_slice(&[0; SIGNATURE_BYTES]);
        set_size(&mut plain, 0);
        plain.truncate(plain.len() - SIGNATURE_BYTES);
        keys.ours.sign(&mut plain, 0).unwrap();
        if !keys.encrypts {
            return plain;
        }
        let mut out = plain[..16].to_vec();
        keys.ours.encrypt(&plain[16..], &mut out).unwrap();
        out
    }
}

#[test]
fn a_secured_channel_opens_talks_and_renews_under_every_policy_and_mode() {
    for (policy, mode) in [
        (SecurityPolicy::Basic256Sha256, MessageMode::Sign),
        (SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt),
        (SecurityPolicy::Aes128Sha256RsaOaep, MessageMode::SignAndEncrypt),
        (SecurityPolicy::Aes256Sha256RsaPss, MessageMode::SignAndEncrypt),
    ] {
        let (mut channel, mut server) = Server::pair(policy, mode);
        for round in 0..3 {
            channel.request_open(0).unwrap();
            let answer = server.open(drain(&mut channel));
            feed(&mut channel, &answer);
            assert_eq!(channel.next_arrival(round), Ok(Some(Arrival::Opened)));
            for body in [&b"question"[..], &[7; 300]] {
                let id = request(&mut channel, body);
                assert_eq!(server.hear(&drain(&mut channel))[8..], *body);
                let answer = server.say(id, body);
                feed(&mut channel, &answer);
                assert_eq!(channel.next_arrival(round), Ok(Some(Arrival::Answer(id))));
                assert_eq!(channel.body(), body);
            }
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_secured_message_ends_the_session() {
    let (mut channel, mut server) = Server::pair(SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt);
    channel.request_open(0).unwrap();
    let answer = server.open(drain(&mut channel));
    feed(&mut channel, &answer);
    channel.next_arrival(0).unwrap();
    let id = request(&mut channel, b"");
    let whole = server.say(id, b"answer");
    for place in 8..whole.len() {
        let mut broken = whole.clone();
        broken[place] ^= 0x10;
        feed(&mut channel, &broken);
        assert!(channel.next_arrival(0).is_err(), "{place}");
    }
    feed(&mut channel, &whole);
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Answer(id))));
}

#[test]
fn a_flipped_bit_anywhere_in_an_opening_is_refused() {
    let (mut channel, mut server) = Server::pair(SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt);
    channel.request_open(0).unwrap();
    let whole = server.open(drain(&mut channel));
    let security = channel.security.clone();
    for place in (HEADER_BYTES..whole.len()).step_by(41) {
        let mut broken = whole.clone();
        broken[place] ^= 1;
        assert!(Opening { security: security.clone(), chunk: broken }.run().is_err(), "{place}");
    }
    for len in [0, 8, 12, 60, whole.len() - 1, whole.len() - 256] {
        let chunk = whole[..len].to_vec();
        assert!(Opening { security: security.clone(), chunk }.run().is_err(), "{len}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_an_open_channel_panic(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..6),
        kind in prop::sample::select(vec![&b"MSGF"[..], b"MSGC", b"MSGA", b"OPNF", b"ERRF", b"ACKF"]),
    ) {
        let mut channel = open();
        request(&mut channel, b"");
        for piece in pieces {
            let mut bytes = kind.to_vec();
            bytes.put_u32(0);
            bytes.extend_from_slice(&piece);
            set_size(&mut bytes, 0);
            feed(&mut channel, &bytes);
            let _ = channel.next_arrival(0);
        }
    }

    #[test]
    fn a_mutated_conversation_never_panics(place in any::<prop::sample::Index>(), with: u8, cut in any::<prop::sample::Index>()) {
        let mut channel = open();
        let id = request(&mut channel, b"");
        let mut stream = chunk(b'C', 1, 2, id, b"one");
        stream.extend(chunk(b'F', 1, 3, id, b"two"));
        stream.extend(open_answer(2, 4, 2));
        let at = place.index(stream.len());
        stream[at] = with;
        stream.truncate(cut.index(stream.len() + 1));
        feed(&mut channel, &stream);
        for _ in 0..4 {
            let _ = channel.next_arrival(0);
        }
    }
}
