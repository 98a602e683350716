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
    sealing(None, request_id, body).seal(sequence).unwrap()
}

fn sealing(security: Option<Secured>, request_id: u32, body: Vec<u8>) -> Sealing {
    Sealing { security, channel_id: CHANNEL, first: 0, places: 1, request_id, body }
}

/// Does the channel's work, as the worker would.
fn work(channel: &mut Channel, now_ns: u64) -> Result<(), CallError> {
    let done = channel.take_work().unwrap().run()?;
    channel.finish_work(done, now_ns)
}

/// Puts a request to open or renew into the outbox.
fn ask(channel: &mut Channel) {
    channel.begin_open(0).unwrap();
    work(channel, 0).unwrap();
    assert!(channel.place_open());
}

/// Takes in the answer to it.
fn take_answer(channel: &mut Channel, bytes: &[u8], now_ns: u64) -> Result<(), CallError> {
    feed(channel, bytes);
    assert_eq!(channel.next_arrival(now_ns)?, Some(Arrival::Open));
    work(channel, now_ns)
}

/// An open channel without security; the server has used sequence number 1 and token 1.
fn open() -> Channel {
    let mut channel = Channel::new(None, LIFETIME_MS);
    ask(&mut channel);
    drain(&mut channel);
    take_answer(&mut channel, &open_answer(1, 1, 1), 0).unwrap();
    channel
}

fn request(channel: &mut Channel, body: &[u8]) -> u32 {
    let id = channel.next_request_id().unwrap();
    channel.seal(id, body).unwrap();
    id
}

#[test]
fn f96_sequence_numbers_wrap_where_the_standard_says() {
    let wrap = u64::from(SEQUENCE_WRAP);
    assert_eq!([0, 1, wrap - 1, wrap, wrap + 1].map(sequence_number), [1, 2, SEQUENCE_WRAP, 1, 2]);
    assert!(follows(Some(SEQUENCE_WRAP), 0));
    assert!(follows(Some(SEQUENCE_WRAP), SEQUENCE_WRAP + 1));
    assert!(follows(Some(u32::MAX), 1023));
    assert!(!follows(Some(u32::MAX), 1024));
    assert!(!follows(Some(SEQUENCE_WRAP - 1), 0));
    assert!(!follows(Some(5), 7));
    assert!(!follows(Some(5), 5));
}

#[test]
fn f96_messages_go_on_over_the_wrap_in_both_directions() {
    let mut channel = open();
    channel.sent = u64::from(SEQUENCE_WRAP);
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
fn f96_request_ids_go_on_over_the_wrap_without_zero_and_without_one_that_is_waited_for() {
    let mut channel = open();
    channel.last_request_id = u32::MAX - 2;
    let ids: Vec<_> = (0..3).map(|_| request(&mut channel, b"a")).collect();
    assert_eq!(ids, [u32::MAX - 1, u32::MAX, 1]);
    channel.last_request_id = u32::MAX - 2;
    assert_eq!(request(&mut channel, b"b"), 2, "the ones before it are still waited for");
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
    ask(&mut channel);
    assert!(!channel.renewal_is_due(now));
    let requests: Vec<_> = (0..4).map(|_| request(&mut channel, b"")).collect();
    // An answer under the old token, before the renewal's own answer.
    feed(&mut channel, &chunk(b'F', 1, 2, requests[0], b""));
    assert_eq!(channel.next_arrival(now), Ok(Some(Arrival::Answer(requests[0]))));
    take_answer(&mut channel, &open_answer(2, 3, 2), now).unwrap();
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

/// A channel with one request a cycle whose renewal is being sealed; the work is not done yet.
fn renewing(requests: u64) -> (Channel, Work) {
    let mut channel = open();
    for _ in 0..3 {
        requests_of_a_cycle(&mut channel, requests);
    }
    channel.begin_open(0).unwrap();
    let work = channel.take_work().unwrap();
    (channel, work)
}

fn requests_of_a_cycle(channel: &mut Channel, requests: u64) {
    for _ in 0..requests {
        let id = request(channel, b"");
        drain(channel);
        channel.forget(id).unwrap();
    }
    assert!(!channel.place_open());
}

#[test]
fn requests_go_on_while_a_renewal_is_sealed_and_it_leaves_under_the_number_that_has_come() {
    for requests in 1..=3 {
        let (mut channel, work) = renewing(requests);
        requests_of_a_cycle(&mut channel, requests);
        channel.finish_work(work.run().unwrap(), 0).unwrap();
        assert!(channel.place_open(), "{requests}");
        let number = sequence_number(channel.sent - 1);
        let sent = drain(&mut channel);
        let asked = Opening { security: None, chunk: sent }.run().unwrap();
        assert_eq!(asked.sequence, number);
        // The next request follows without a gap.
        request(&mut channel, b"");
        assert_eq!(drain(&mut channel)[16..20], (number + 1).to_le_bytes());
    }
}

#[test]
fn a_renewal_that_is_sealed_too_late_is_given_up_and_the_next_one_gets_a_later_place() {
    let (mut channel, work) = renewing(2);
    (0..20).for_each(|_| requests_of_a_cycle(&mut channel, 2));
    channel.finish_work(work.run().unwrap(), 0).unwrap();
    assert!(!channel.place_open() && !channel.is_renewing());
    let begun = channel.sent;
    channel.begin_open(0).unwrap();
    let done = channel.take_work().unwrap().run().unwrap();
    (0..20).for_each(|_| requests_of_a_cycle(&mut channel, 2));
    channel.finish_work(done, 0).unwrap();
    let placed = (0..100).find(|_| {
        for _ in 0..2 {
            let id = request(&mut channel, b"");
            channel.forget(id).unwrap();
        }
        channel.place_open()
    });
    assert!(placed.is_some() && channel.sent - begun > 40, "{placed:?}");
}

#[test]
fn a_renewal_whose_place_does_not_come_because_nothing_is_sent_is_begun_anew_here_and_now() {
    let (mut channel, work) = renewing(2);
    (0..20).for_each(|_| requests_of_a_cycle(&mut channel, 2));
    channel.finish_work(work.run().unwrap(), 0).unwrap();
    channel.place_open();
    channel.begin_open(0).unwrap();
    let done = channel.take_work().unwrap().run().unwrap();
    channel.finish_work(done, 0).unwrap();
    assert!(!channel.place_open() && !channel.is_renewing());
    ask(&mut channel);
}

#[test]
fn after_several_late_renewals_requests_are_held_back_for_one() {
    let (mut channel, mut work) = renewing(1);
    for missed in 1..=MISSED_MAX {
        assert!(!channel.renewal_must_not_miss(), "{missed}");
        let lead = channel.pace.lead;
        (0..lead + 20).for_each(|_| requests_of_a_cycle(&mut channel, 1));
        channel.finish_work(work.run().unwrap(), 0).unwrap();
        assert!(!channel.place_open());
        channel.begin_open(0).unwrap();
        work = channel.take_work().unwrap();
    }
    assert!(channel.renewal_must_not_miss());
    channel.finish_work(work.run().unwrap(), 0).unwrap();
    assert!(channel.place_open());
}

#[test]
fn what_comes_under_the_new_token_waits_until_the_answer_before_it_has_been_opened() {
    let mut channel = open();
    let (old, new) = (request(&mut channel, b""), request(&mut channel, b""));
    ask(&mut channel);
    feed(&mut channel, &open_answer(2, 2, 4));
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Open)));
    feed(&mut channel, &chunk(b'F', 1, 3, old, b""));
    feed(&mut channel, &chunk(b'F', 2, 4, new, b"new"));
    // The old token serves meanwhile.
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Answer(old))));
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Blocked)));
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Blocked)));
    work(&mut channel, 0).unwrap();
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Answer(new))));
    assert_eq!(channel.body(), b"new");
}

#[test]
fn an_answer_to_a_renewal_has_the_sequence_number_between_its_neighbours() {
    for wrong in [1, 3, 9] {
        let mut channel = open();
        ask(&mut channel);
        let refused = take_answer(&mut channel, &open_answer(2, wrong, 2), 0);
        assert_eq!(refused, Err(Violation::SequenceNumber.into()), "{wrong}");
    }
}

#[test]
fn f96_near_the_wrap_everything_waits_for_the_answer_to_a_renewal() {
    let mut channel = open();
    channel.received_sequence = Some(u32::MAX - 5);
    let id = request(&mut channel, b"");
    ask(&mut channel);
    feed(&mut channel, &open_answer(2, 7, 3));
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Open)));
    feed(&mut channel, &chunk(b'F', 1, 8, id, b""));
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Blocked)));
    work(&mut channel, 0).unwrap();
    assert_eq!(channel.next_arrival(0), Ok(Some(Arrival::Answer(id))));
}

#[test]
fn a_renewal_that_repeats_a_token_is_refused() {
    let mut channel = open();
    ask(&mut channel);
    assert_eq!(take_answer(&mut channel, &open_answer(1, 2, 2), 0), Err(Violation::Token.into()));
}

#[test]
fn a_renewal_that_is_answered_by_an_ordinary_message_ends_the_session() {
    for kind in [b'F', b'A'] {
        let mut channel = open();
        ask(&mut channel);
        feed(&mut channel, &chunk(kind, 1, 2, 2, &open_answer_body(2, &[])));
        assert_eq!(channel.next_arrival(0), Err(Violation::MessageType.into()));
    }
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
    /// The trust list, which is read again at every renewal.
    directory: tempfile::TempDir,
}

impl Ends {
    fn new(client_bits: u32, server_bits: u32) -> Ends {
        let directory = tempfile::tempdir().unwrap();
        let make = |name: &str, bits| {
            let file = |kind: &str| directory.path().join(format!("{name}.{kind}"));
            let uri = format!("urn:{name}");
            let application = Arc::new(testing::application_of(bits, &file("der"), &file("pem"), &uri));
            let trust = Trust { pinned: Some(file("der")), ..Trust::default() };
            let expected = Expectation { host: "localhost", application_uri: &uri, now_unix_ns: testing::unix_ns() };
            let (seen, _) = PeerCertificate::check(application.certificate_der(), &trust, expected).unwrap();
            (application, Arc::new(seen))
        };
        let ((client, client_seen), (server, server_seen)) = (make("client", client_bits), make("server", server_bits));
        Ends { client, server, client_seen, server_seen, directory }
    }
}

static ENDS: LazyLock<Ends> = LazyLock::new(|| Ends::new(2048, 2048));

/// The server's end of a secured channel.
struct Server {
    security: Secured,
    keys: Option<TokenKeys>,
    token: u32,
    sequence: u32,
}

impl Server {
    fn pair(ends: &Ends, policy: SecurityPolicy, mode: MessageMode) -> (Channel, Server) {
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
        let body = open_answer_body(self.token, &ours);
        sealing(Some(self.security.clone()), asked.request_id, body).seal(self.sequence).unwrap()
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

/// Opens, talks and renews three times.
fn talk(mut channel: Channel, mut server: Server) {
    for round in 0..3 {
        ask(&mut channel);
        let answer = server.open(drain(&mut channel));
        take_answer(&mut channel, &answer, round).unwrap();
        for body in [&b"question"[..], &[7; 300]] {
            let id = request(&mut channel, body);
            assert_eq!(server.hear(&drain(&mut channel))[8..], *body);
            let answer = server.say(id, body);
            feed(&mut channel, &answer);
            assert_eq!(channel.next_arrival(round), Ok(Some(Arrival::Answer(id))));
            assert_eq!(channel.body(), body);
        }
    }
    assert_eq!(channel.renewals(), 2);
}

const POLICIES: [SecurityPolicy; 3] =
    [SecurityPolicy::Basic256Sha256, SecurityPolicy::Aes128Sha256RsaOaep, SecurityPolicy::Aes256Sha256RsaPss];

#[test]
fn a_secured_channel_opens_talks_and_renews_under_every_policy_and_mode() {
    for (policy, mode) in POLICIES
        .into_iter()
        .flat_map(|policy| [MessageMode::Sign, MessageMode::SignAndEncrypt].map(|mode| (policy, mode)))
    {
        let (channel, server) = Server::pair(&ENDS, policy, mode);
        talk(channel, server);
    }
}

#[test]
fn a_certificate_that_is_no_longer_trusted_ends_the_channel_at_its_renewal() {
    let ends = Ends::new(2048, 2048);
    let (mut channel, mut server) = Server::pair(&ends, SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt);
    ask(&mut channel);
    let answer = server.open(drain(&mut channel));
    take_answer(&mut channel, &answer, 0).unwrap();
    ask(&mut channel);
    let answer = server.open(drain(&mut channel));
    std::fs::remove_file(ends.directory.path().join("server.der")).unwrap();
    assert_eq!(take_answer(&mut channel, &answer, 0), Err(Violation::TrustWithdrawn.into()));
}

#[test]
fn keys_of_other_lengths_than_2048_bits_on_either_side_are_padded_as_the_receiver_expects() {
    for (client_bits, server_bits) in [(3072, 2048), (2048, 3072)] {
        let ends = Ends::new(client_bits, server_bits);
        for policy in POLICIES {
            let (channel, server) = Server::pair(&ends, policy, MessageMode::SignAndEncrypt);
            talk(channel, server);
        }
    }
}

/// What a channel holds on to, in bytes.
fn memory(channel: &Channel) -> usize {
    channel.inbox.capacity()
        + channel.assembly.capacity()
        + channel.outbox.capacity()
        + channel.plain.capacity()
        + channel.reason.capacity()
}

/// More than any channel may hold: twice the largest message, because vectors grow by doubling, and the buffers.
const MEMORY_BYTES_MAX: usize = 2 * crate::limits::MESSAGE_BYTES_MAX + 8 * CHUNK_BYTES_MAX;

#[test]
fn f58_a_flipped_bit_anywhere_in_a_secured_message_ends_the_session() {
    let (mut channel, mut server) = Server::pair(&ENDS, SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt);
    ask(&mut channel);
    let answer = server.open(drain(&mut channel));
    take_answer(&mut channel, &answer, 0).unwrap();
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
fn f58_a_flipped_bit_anywhere_in_an_opening_is_refused() {
    let (mut channel, mut server) = Server::pair(&ENDS, SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt);
    ask(&mut channel);
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

    #[test]
    fn a_mutated_secured_conversation_never_panics_and_is_never_believed(
        body in prop::collection::vec(any::<u8>(), 0..200),
        place in any::<prop::sample::Index>(),
        flip in 1u8..,
        encrypt: bool,
    ) {
        let mode = if encrypt { MessageMode::SignAndEncrypt } else { MessageMode::Sign };
        let (mut channel, mut server) = Server::pair(&ENDS, SecurityPolicy::Basic256Sha256, mode);
        ask(&mut channel);
        let answer = server.open(drain(&mut channel));
        take_answer(&mut channel, &answer, 0).unwrap();
        let id = request(&mut channel, b"");
        let mut said = server.say(id, &body);
        let at = place.index(said.len());
        said[at] ^= flip;
        feed(&mut channel, &said);
        prop_assert!(!matches!(channel.next_arrival(0), Ok(Some(_))), "byte {} of {}", at, said.len());
    }

    #[test]
    fn a_server_that_never_ends_its_message_gets_bounded_memory(
        pieces in prop::collection::vec(30_000usize..60_000, 100..400),
    ) {
        let mut channel = open();
        let id = request(&mut channel, b"");
        for (sequence, len) in (2..).zip(pieces) {
            feed(&mut channel, &chunk(b'C', 1, sequence, id, &vec![7; len]));
            let ended = channel.next_arrival(0).is_err();
            prop_assert!(memory(&channel) <= MEMORY_BYTES_MAX, "{}", memory(&channel));
            if ended {
                break;
            }
        }
    }
}
