//! Every bound of the session, with its unit. A peer that exceeds one ends the session, never the process.

use std::time::Duration;

/// Largest chunk sent or accepted, in bytes; offered in Hello.
pub const CHUNK_BYTES_MAX: usize = 65_536;
/// Smallest chunk a peer may demand, in bytes (Part 6, 7.1.2.3).
pub const CHUNK_BYTES_MIN: usize = 8_192;
/// Largest message accepted, in bytes, all chunks together.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most chunks in one message accepted.
pub const CHUNK_COUNT_MAX: usize = 512;
/// Longest endpoint URL, in bytes (Part 6, 7.1.2.3).
pub const URL_BYTES_MAX: usize = 4_096;
/// Longest reason in an Error message that is kept, in bytes (Part 6, 7.1.2.5).
pub const REASON_BYTES_MAX: usize = 4_096;
/// Longest certificate or certificate chain, in bytes.
pub const CERTIFICATE_BYTES_MAX: usize = 32_768;
/// Longest nonce, in bytes.
pub const NONCE_BYTES_MAX: usize = 1_024;
/// Longest authentication token, encoded, in bytes.
pub const TOKEN_BYTES_MAX: usize = 4_096;
/// Longest string in a set-up message, in bytes.
pub const STRING_BYTES_MAX: usize = 65_535;
/// Most elements of an array in a set-up message.
pub const ARRAY_LEN_MAX: usize = 4_096;
/// Nodes below one node after which no more are asked for.
pub const REFERENCES_MAX: usize = 20_000;
/// Most endpoints a server may describe.
pub const ENDPOINTS_MAX: usize = 64;
/// Most user token policies of an endpoint.
pub const USER_TOKENS_MAX: usize = 32;
/// Deepest nesting of variants, data values and diagnostics that is walked over.
pub const NESTING_MAX: u32 = 8;
/// Most nodes in a plan.
pub const PLAN_NODES_MAX: usize = 20_000;
/// Most nodes put into one request, even when the server states no limit.
pub const REQUEST_NODES_MAX: usize = 1_000;
/// Publish requests that wait for an answer: as many notification messages may be on their way at once.
pub const PUBLISH_REQUESTS_MAX: usize = 4;
/// Most missing notification messages that are asked for again, one after the other; more are lost.
pub const MESSAGES_MISSING_MAX: usize = 16;
/// Most values in one notification message.
pub const NOTIFICATIONS_MAX: usize = 4 * PLAN_NODES_MAX;
/// Most notification messages that one Publish request acknowledges.
pub const ACKNOWLEDGEMENTS_MAX: usize = 64;
/// Most places in the sequence for which a request to renew is sealed, milliseconds of work each.
pub const RENEWAL_PLACES_MAX: u64 = 16;
/// Most unanswered requests before the session is given up.
pub const UNANSWERED_MAX: usize = 64;
/// How long the first call of an address waits for TCP's answer; each further one twice as long.
pub const CALL_PATIENCE: Duration = Duration::from_millis(400);
/// Unacknowledged bytes older than this end the connection, in milliseconds (TCP_USER_TIMEOUT).
pub const TCP_USER_TIMEOUT_MS: u32 = 1_500;
/// After so long without a byte from the peer TCP asks whether it is still there, and again after as long; the shortest time
/// that TCP knows for it.
pub const TCP_PROBE_AFTER: Duration = Duration::from_secs(1);
/// Shortest channel lifetime accepted from a server, in milliseconds.
pub const CHANNEL_LIFETIME_MS_MIN: u32 = 1_000;
/// Longest channel lifetime used, in milliseconds, whatever the server grants.
pub const CHANNEL_LIFETIME_MS_MAX: u32 = 24 * 3_600_000;
/// Largest file read as certificate or key, in bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 65_536;
/// Most certificates read from each part of a trust directory.
pub const TRUSTED_CERTIFICATES_MAX: usize = 1_024;
/// Most certificates taken from a chain that a server sends.
pub const SENT_CERTIFICATES_MAX: usize = 16;
/// Most issuers between a server's certificate and one that is trusted, that one counted.
pub const CHAIN_ISSUERS_MAX: usize = 5;
/// Most signatures verified while looking for a chain, a fraction of a millisecond each.
pub const CHAIN_SIGNATURES_MAX: usize = 64;
/// Most revocation lists read from a trust directory.
pub const REVOCATION_LISTS_MAX: usize = 64;
/// Largest revocation list, in bytes: some 25,000 certificates.
pub const REVOCATION_LIST_BYTES_MAX: u64 = 1 << 20;

const _: () = assert!(CHUNK_BYTES_MIN <= CHUNK_BYTES_MAX);
// They wait for long; requests that wait for an answer now need room beside them.
const _: () = assert!(PUBLISH_REQUESTS_MAX * 4 <= UNANSWERED_MAX);
// Whatever can have come since the last request can be acknowledged with the next one.
const _: () = assert!(ACKNOWLEDGEMENTS_MAX > PUBLISH_REQUESTS_MAX + MESSAGES_MISSING_MAX);
const _: () = assert!(CHUNK_BYTES_MAX <= MESSAGE_BYTES_MAX);
// A message of the largest size must be able to arrive in the smallest chunks.
const _: () = assert!(CHUNK_COUNT_MAX * CHUNK_BYTES_MIN >= MESSAGE_BYTES_MAX);
// The longest chain that is accepted may be sent as a whole.
const _: () = assert!(SENT_CERTIFICATES_MAX > CHAIN_ISSUERS_MAX);
