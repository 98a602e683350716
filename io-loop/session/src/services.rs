//! Requests and answers of the set-up services (Part 4), and the header that all requests and answers share.
//!
//! Only the fields that this client uses are kept; everything else is walked over.

use opcua_types::NodeId;

use crate::{
    CallError, MessageMode, Violation,
    codec::{Put, Reader},
    limits::{ARRAY_LEN_MAX, CERTIFICATE_BYTES_MAX, ENDPOINTS_MAX, NONCE_BYTES_MAX, TOKEN_BYTES_MAX, USER_TOKENS_MAX},
    status::{ends_session, is_bad},
};

/// Type ids of message bodies in the binary encoding (Part 6, A.3).
pub(crate) mod type_id {
    pub(crate) const SERVICE_FAULT: u32 = 397;
    pub(crate) const GET_ENDPOINTS_REQUEST: u16 = 428;
    pub(crate) const GET_ENDPOINTS_ANSWER: u32 = 431;
    pub(crate) const OPEN_REQUEST: u16 = 446;
    pub(crate) const OPEN_ANSWER: u32 = 449;
    pub(crate) const CLOSE_CHANNEL_REQUEST: u16 = 452;
    pub(crate) const CREATE_SESSION_REQUEST: u16 = 461;
    pub(crate) const CREATE_SESSION_ANSWER: u32 = 464;
    pub(crate) const ACTIVATE_SESSION_REQUEST: u16 = 467;
    pub(crate) const ACTIVATE_SESSION_ANSWER: u32 = 470;
    pub(crate) const CLOSE_SESSION_REQUEST: u16 = 473;
    pub(crate) const BROWSE_REQUEST: u16 = 527;
    pub(crate) const BROWSE_ANSWER: u32 = 530;
    pub(crate) const BROWSE_NEXT_REQUEST: u16 = 533;
    pub(crate) const BROWSE_NEXT_ANSWER: u32 = 536;
    pub(crate) const TRANSLATE_REQUEST: u16 = 554;
    pub(crate) const TRANSLATE_ANSWER: u32 = 557;
    pub(crate) const READ_REQUEST: u16 = 631;
    pub(crate) const READ_ANSWER: u32 = 634;
    pub(crate) const WRITE_REQUEST: u16 = 673;
    pub(crate) const WRITE_ANSWER: u32 = 676;
    pub(crate) const CREATE_ITEMS_REQUEST: u16 = 751;
    pub(crate) const CREATE_ITEMS_ANSWER: u32 = 754;
    pub(crate) const CREATE_SUBSCRIPTION_REQUEST: u16 = 787;
    pub(crate) const CREATE_SUBSCRIPTION_ANSWER: u32 = 790;
    pub(crate) const DATA_CHANGE: u32 = 811;
    pub(crate) const STATUS_CHANGE: u32 = 820;
    pub(crate) const PUBLISH_REQUEST: u16 = 826;
    pub(crate) const PUBLISH_ANSWER: u32 = 829;
    pub(crate) const REPUBLISH_REQUEST: u16 = 832;
    pub(crate) const REPUBLISH_ANSWER: u32 = 835;
    pub(crate) const DELETE_SUBSCRIPTIONS_REQUEST: u16 = 847;
    pub(crate) const ANONYMOUS_TOKEN: u16 = 321;
    pub(crate) const USER_NAME_TOKEN: u16 = 324;
    pub(crate) const CERTIFICATE_TOKEN: u16 = 327;
}

/// A null NodeId, as authentication token before there is a session.
pub(crate) const NO_TOKEN: &[u8] = &[0, 0];

const NS_PER_TICK: u64 = 100;
/// Ticks of 100 ns from 1601-01-01 to 1970-01-01.
const UNIX_EPOCH_TICKS: i64 = 116_444_736_000_000_000;

/// A wall-clock time as OPC UA writes it.
pub(crate) fn ticks(unix_ns: u64) -> i64 {
    i64::try_from(unix_ns / NS_PER_TICK).unwrap_or(i64::MAX).saturating_add(UNIX_EPOCH_TICKS)
}

/// Where the parts of a request header are that change from request to request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeaderFields {
    timestamp_at: usize,
}

impl HeaderFields {
    /// Writes time and handle into an encoded request.
    ///
    /// # Real-time
    /// Wait-free.
    pub(crate) fn patch(self, request: &mut [u8], timestamp: i64, handle: u32) {
        let fields = request.get_mut(self.timestamp_at..self.timestamp_at + 12).unwrap_or_default();
        if let Some((time, number)) = fields.split_first_chunk_mut::<8>() {
            *time = timestamp.to_le_bytes();
            number.copy_from_slice(&handle.to_le_bytes());
        }
    }
}

/// Begins a request: type and header.
pub(crate) fn put_request(out: &mut Vec<u8>, type_id: u16, token: &[u8], handle: u32, timestamp: i64) -> HeaderFields {
    out.put_type_id(type_id);
    out.extend_from_slice(token);
    let timestamp_at = out.len();
    out.put_i64(timestamp);
    out.put_u32(handle);
    // No diagnostics wanted, no audit entry, no hint, no additional header.
    out.put_u32(0);
    out.put_null();
    out.put_u32(0);
    out.extend_from_slice(&[0, 0, 0]);
    HeaderFields { timestamp_at }
}

/// Reads type and header of an answer and gives what follows. A ServiceFault, or a bad result, is an error.
pub(crate) fn open_answer(body: &[u8], expected: u32) -> Result<Reader<'_>, CallError> {
    let mut reader = Reader::new(body);
    let found = reader.type_id()?;
    if found != expected && found != type_id::SERVICE_FAULT {
        return Err(Violation::AnswerType.into());
    }
    let _timestamp = reader.i64()?;
    let _handle = reader.u32()?;
    let status = reader.u32()?;
    if ends_session(status) {
        return Err(CallError::Ended { status });
    }
    if is_bad(status) {
        return Err(CallError::Refused { status });
    }
    if found == type_id::SERVICE_FAULT {
        return Err(Violation::AnswerType.into());
    }
    reader.skip_diagnostic_info()?;
    for _ in 0..reader.array_len(ARRAY_LEN_MAX)? {
        reader.bytes(usize::MAX)?;
    }
    reader.skip_extension_object()?;
    Ok(reader)
}

/// What OpenSecureChannel asks for.
#[derive(Debug)]
pub(crate) struct OpenRequest<'a> {
    pub(crate) renew: bool,
    pub(crate) mode: Option<MessageMode>,
    pub(crate) nonce: &'a [u8],
    pub(crate) lifetime_ms: u32,
}

/// A mode as MessageSecurityMode numbers it.
pub(crate) fn mode_number(mode: Option<MessageMode>) -> i32 {
    match mode {
        None => 1,
        Some(MessageMode::Sign) => 2,
        Some(MessageMode::SignAndEncrypt) => 3,
    }
}

pub(crate) fn put_open_request(out: &mut Vec<u8>, handle: u32, timestamp: i64, open: &OpenRequest<'_>) {
    put_request(out, type_id::OPEN_REQUEST, NO_TOKEN, handle, timestamp);
    out.put_u32(0);
    out.put_i32(i32::from(open.renew));
    out.put_i32(mode_number(open.mode));
    if open.nonce.is_empty() {
        out.put_null();
    } else {
        out.put_bytes(open.nonce);
    }
    out.put_u32(open.lifetime_ms);
}

/// What OpenSecureChannel grants.
#[derive(Debug)]
pub(crate) struct OpenAnswer<'a> {
    pub(crate) channel_id: u32,
    pub(crate) token_id: u32,
    pub(crate) lifetime_ms: u32,
    pub(crate) nonce: &'a [u8],
}

pub(crate) fn parse_open_answer(body: &[u8]) -> Result<OpenAnswer<'_>, CallError> {
    let mut reader = open_answer(body, type_id::OPEN_ANSWER)?;
    let _version = reader.u32()?;
    let (channel_id, token_id) = (reader.u32()?, reader.u32()?);
    let _created = reader.i64()?;
    let lifetime_ms = reader.u32()?;
    let nonce = reader.bytes(NONCE_BYTES_MAX)?;
    Ok(OpenAnswer { channel_id, token_id, lifetime_ms, nonce })
}

/// One endpoint as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) application_uri: String,
    pub(crate) certificate: Vec<u8>,
    pub(crate) mode: i32,
    pub(crate) policy_uri: String,
    pub(crate) user_tokens: Vec<UserToken>,
    pub(crate) is_binary: bool,
}

/// One way in which a user may identify himself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserToken {
    pub(crate) policy_id: String,
    pub(crate) kind: i32,
    pub(crate) policy_uri: String,
}

/// Numbers of UserTokenType.
pub(crate) const USER_TOKEN_ANONYMOUS: i32 = 0;
pub(crate) const USER_TOKEN_USER_NAME: i32 = 1;
pub(crate) const USER_TOKEN_CERTIFICATE: i32 = 2;
const USER_TOKEN_ISSUED: i32 = 3;

impl UserToken {
    /// The kind for people.
    pub(crate) fn name(&self) -> String {
        match self.kind {
            USER_TOKEN_ANONYMOUS => "an anonymous user".to_owned(),
            USER_TOKEN_USER_NAME => "a user with a password".to_owned(),
            USER_TOKEN_CERTIFICATE => "a user with a certificate".to_owned(),
            USER_TOKEN_ISSUED => "an issued token".to_owned(),
            other => format!("identity type {other}"),
        }
    }
}

pub(crate) fn put_get_endpoints(out: &mut Vec<u8>, handle: u32, timestamp: i64, url: &str) {
    put_request(out, type_id::GET_ENDPOINTS_REQUEST, NO_TOKEN, handle, timestamp);
    out.put_bytes(url.as_bytes());
    out.put_null();
    out.put_null();
}

pub(crate) fn parse_get_endpoints(body: &[u8]) -> Result<Vec<Endpoint>, CallError> {
    let mut reader = open_answer(body, type_id::GET_ENDPOINTS_ANSWER)?;
    Ok(read_endpoints(&mut reader)?)
}

fn read_endpoints(reader: &mut Reader<'_>) -> Result<Vec<Endpoint>, Violation> {
    let count = reader.array_len(ENDPOINTS_MAX)?;
    (0..count).map(|_| read_endpoint(reader)).collect()
}

fn read_endpoint(reader: &mut Reader<'_>) -> Result<Endpoint, Violation> {
    const BINARY_PROFILE: &str = "uatcp-uasc-uabinary";
    let url = reader.str()?.to_owned();
    let application_uri = reader.str()?.to_owned();
    let _product_uri = reader.str()?;
    reader.skip_localized_text()?;
    let _application_type = reader.i32()?;
    let (_gateway_uri, _profile_uri) = (reader.str()?, reader.str()?);
    for _ in 0..reader.array_len(ARRAY_LEN_MAX)? {
        reader.str()?;
    }
    let certificate = reader.bytes(CERTIFICATE_BYTES_MAX)?.to_vec();
    let mode = reader.i32()?;
    let policy_uri = reader.str()?.to_owned();
    let count = reader.array_len(USER_TOKENS_MAX)?;
    let user_tokens = (0..count).map(|_| read_user_token(reader)).collect::<Result<_, _>>()?;
    let profile = reader.str()?;
    let _level = reader.u8()?;
    let is_binary = profile.is_empty() || profile.ends_with(BINARY_PROFILE);
    Ok(Endpoint { url, application_uri, certificate, mode, policy_uri, user_tokens, is_binary })
}

fn read_user_token(reader: &mut Reader<'_>) -> Result<UserToken, Violation> {
    let policy_id = reader.str()?.to_owned();
    let kind = reader.i32()?;
    let (_issued_type, _issuer_url) = (reader.str()?, reader.str()?);
    Ok(UserToken { policy_id, kind, policy_uri: reader.str()?.to_owned() })
}

/// What CreateSession says about us.
#[derive(Debug)]
pub(crate) struct CreateSession<'a> {
    pub(crate) application_uri: &'a str,
    pub(crate) session_name: &'a str,
    pub(crate) endpoint_url: &'a str,
    pub(crate) nonce: &'a [u8],
    pub(crate) certificate: &'a [u8],
    pub(crate) timeout_ms: f64,
    pub(crate) message_bytes_max: u32,
}

pub(crate) fn put_create_session(out: &mut Vec<u8>, handle: u32, timestamp: i64, create: &CreateSession<'_>) {
    const HAS_TEXT: u8 = 2;
    const CLIENT: i32 = 1;
    put_request(out, type_id::CREATE_SESSION_REQUEST, NO_TOKEN, handle, timestamp);
    out.put_bytes(create.application_uri.as_bytes());
    out.put_null();
    out.put_u8(HAS_TEXT);
    out.put_bytes(create.session_name.as_bytes());
    out.put_i32(CLIENT);
    // No gateway, no discovery profile, no discovery URLs, no server URI.
    for _ in 0..4 {
        out.put_null();
    }
    out.put_bytes(create.endpoint_url.as_bytes());
    out.put_bytes(create.session_name.as_bytes());
    out.put_bytes(create.nonce);
    if create.certificate.is_empty() {
        out.put_null();
    } else {
        out.put_bytes(create.certificate);
    }
    out.put_f64(create.timeout_ms);
    out.put_u32(create.message_bytes_max);
}

/// What CreateSession grants.
#[derive(Debug)]
pub(crate) struct CreatedSession {
    /// Encoded, to be put into every request as it is.
    pub(crate) token: Vec<u8>,
    pub(crate) timeout_ms: f64,
    pub(crate) nonce: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) signature_algorithm: String,
    pub(crate) signature: Vec<u8>,
}

pub(crate) fn parse_create_session(body: &[u8]) -> Result<CreatedSession, CallError> {
    let mut reader = open_answer(body, type_id::CREATE_SESSION_ANSWER)?;
    reader.raw_node_id()?;
    let token = reader.raw_node_id()?;
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Violation::TooLong.into());
    }
    let timeout_ms = reader.f64()?;
    let nonce = reader.bytes(NONCE_BYTES_MAX)?.to_vec();
    let certificate = reader.bytes(CERTIFICATE_BYTES_MAX)?.to_vec();
    let endpoints = read_endpoints(&mut reader)?;
    for _ in 0..reader.array_len(ARRAY_LEN_MAX)? {
        reader.bytes(CERTIFICATE_BYTES_MAX)?;
        reader.bytes(CERTIFICATE_BYTES_MAX)?;
    }
    let signature_algorithm = reader.str()?.to_owned();
    let signature = reader.bytes(CERTIFICATE_BYTES_MAX)?.to_vec();
    Ok(CreatedSession {
        token: token.to_vec(),
        timeout_ms,
        nonce,
        certificate,
        endpoints,
        signature_algorithm,
        signature,
    })
}

/// The server's next nonce, which the session is activated with when it is carried on over another channel.
pub(crate) fn parse_activate_session(body: &[u8]) -> Result<Vec<u8>, CallError> {
    let mut reader = open_answer(body, type_id::ACTIVATE_SESSION_ANSWER)?;
    Ok(reader.bytes(NONCE_BYTES_MAX)?.to_vec())
}

/// A signature with its algorithm; both empty without security.
#[derive(Debug, Default)]
pub(crate) struct Signature {
    pub(crate) algorithm: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Signature {
    fn put(&self, out: &mut Vec<u8>) {
        put_optional(out, self.algorithm.as_bytes());
        put_optional(out, &self.bytes);
    }
}

/// How the user is named to the server.
#[derive(Debug)]
pub(crate) enum UserProof<'a> {
    Anonymous { policy_id: &'a str },
    UserName { policy_id: &'a str, user: &'a str, password: Vec<u8>, algorithm: &'static str },
    Certificate { policy_id: &'a str, certificate: &'a [u8], signature: Signature },
}

pub(crate) fn put_activate_session(
    out: &mut Vec<u8>,
    (token, handle, timestamp): (&[u8], u32, i64),
    signature: &Signature,
    user: &UserProof<'_>,
) {
    put_request(out, type_id::ACTIVATE_SESSION_REQUEST, token, handle, timestamp);
    signature.put(out);
    // No software certificates, no locales.
    out.put_null();
    out.put_null();
    let mut body = Vec::new();
    // Only a certificate's token is signed.
    let unsigned = Signature::default();
    let (type_id, signature) = match user {
        UserProof::Anonymous { policy_id } => {
            body.put_bytes(policy_id.as_bytes());
            (type_id::ANONYMOUS_TOKEN, &unsigned)
        }
        UserProof::UserName { policy_id, user, password, algorithm } => {
            body.put_bytes(policy_id.as_bytes());
            body.put_bytes(user.as_bytes());
            body.put_bytes(password);
            put_optional(&mut body, algorithm.as_bytes());
            (type_id::USER_NAME_TOKEN, &unsigned)
        }
        UserProof::Certificate { policy_id, certificate, signature } => {
            body.put_bytes(policy_id.as_bytes());
            body.put_bytes(certificate);
            (type_id::CERTIFICATE_TOKEN, signature)
        }
    };
    out.put_type_id(type_id);
    out.put_u8(1);
    out.put_bytes(&body);
    signature.put(out);
}

fn put_optional(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() {
        out.put_null();
    } else {
        out.put_bytes(bytes);
    }
}

pub(crate) fn put_close_session(out: &mut Vec<u8>, token: &[u8], handle: u32, timestamp: i64) {
    put_request(out, type_id::CLOSE_SESSION_REQUEST, token, handle, timestamp);
    out.put_u8(1);
}

pub(crate) fn put_close_channel(out: &mut Vec<u8>, handle: u32, timestamp: i64) {
    put_request(out, type_id::CLOSE_CHANNEL_REQUEST, NO_TOKEN, handle, timestamp);
}

/// Attributes of a node (Part 4, 7.11 and Part 6, A.1).
pub(crate) mod attribute {
    pub(crate) const VALUE: u32 = 13;
    pub(crate) const DATA_TYPE: u32 = 14;
    pub(crate) const VALUE_RANK: u32 = 15;
    pub(crate) const ACCESS_LEVEL: u32 = 17;
    pub(crate) const USER_ACCESS_LEVEL: u32 = 18;
}

/// Begins a Read of `count` attributes; each follows with [`put_read_item`].
pub(crate) fn put_read(out: &mut Vec<u8>, token: &[u8], count: usize) -> HeaderFields {
    /// TimestampsToReturn: the source's.
    const SOURCE: i32 = 0;
    let fields = put_request(out, type_id::READ_REQUEST, token, 0, 0);
    // The newest value that the server can get.
    out.put_f64(0.0);
    out.put_i32(SOURCE);
    out.put_count(count);
    fields
}

pub(crate) fn put_read_item(out: &mut Vec<u8>, node: &NodeId, attribute: u32, element: Option<u32>) {
    out.put_node_id(node);
    out.put_u32(attribute);
    put_index_range(out, element);
    // In the default encoding.
    out.put_u16(0);
    out.put_null();
}

/// The range of one element (Part 4, 7.27), or none for the whole value.
pub(crate) fn put_index_range(out: &mut Vec<u8>, element: Option<u32>) {
    match element {
        Some(element) => out.put_bytes(element.to_string().as_bytes()),
        None => out.put_null(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An answer's type and header.
    pub(crate) fn answer(type_id: u16, status: u32) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_type_id(type_id);
        out.put_i64(0);
        out.put_u32(1);
        out.put_u32(status);
        out.put_u8(0);
        out.put_null();
        out.extend_from_slice(&[0, 0, 0]);
        out
    }

    #[test]
    fn a_service_fault_becomes_its_status() {
        let fault = answer(397, 0x8010_0000);
        assert_eq!(open_answer(&fault, type_id::READ_ANSWER).err(), Some(CallError::Refused { status: 0x8010_0000 }));
        let ended = answer(397, 0x8025_0000);
        assert_eq!(open_answer(&ended, type_id::READ_ANSWER).err(), Some(CallError::Ended { status: 0x8025_0000 }));
    }

    #[test]
    fn a_fault_that_claims_success_is_no_answer() {
        assert!(open_answer(&answer(397, 0), type_id::READ_ANSWER).is_err());
    }

    #[test]
    fn an_answer_of_another_service_is_refused() {
        let wrong = answer(676, 0);
        assert_eq!(open_answer(&wrong, type_id::READ_ANSWER).err(), Some(CallError::Violation(Violation::AnswerType)));
    }

    #[test]
    fn the_unix_epoch_has_its_known_number_of_ticks() {
        assert_eq!(ticks(0), UNIX_EPOCH_TICKS);
        assert_eq!(ticks(1_000_000_000) - ticks(0), 10_000_000);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_set_up_decoder_panic(tail in prop::collection::vec(any::<u8>(), 0..300)) {
            for (id, status) in [(431, 0), (449, 0), (464, 0), (397, 0x8000_0000)] {
                let body = [answer(id, status), tail.clone()].concat();
                let _ = parse_get_endpoints(&body);
                let _ = parse_open_answer(&body);
                let _ = parse_create_session(&body);
            }
            let _ = parse_get_endpoints(&tail);
        }
    }
}
