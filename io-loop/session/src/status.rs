//! Status codes: names for people, and which of them end a session.

use std::fmt;

use opcua_types::StatusCode;

/// A StatusCode that prints as its name and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusName(pub u32);

impl fmt::Display for StatusName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Info bits are not part of the name.
        let name = match self.0 & 0xFFFF_0000 {
            0 => "Good",
            code => StatusCode::from(code).sub_code().name(),
        };
        write!(f, "{name} (0x{:08X})", self.0)
    }
}

/// Whether it is one of these; info bits are not part of a code.
fn is_among(status: u32, codes: &[StatusCode]) -> bool {
    codes.iter().any(|code| code.bits() == status & 0xFFFF_0000)
}

/// Whether the two top bits say Bad.
pub(crate) const fn is_bad(status: u32) -> bool {
    status & 0x8000_0000 != 0
}

/// Whether a service was refused with this status because it was asked for too much at once.
pub(crate) fn is_too_much(status: u32) -> bool {
    const TOO_MUCH: [StatusCode; 4] = [
        StatusCode::BadTooManyOperations,
        StatusCode::BadRequestTooLarge,
        StatusCode::BadResponseTooLarge,
        StatusCode::BadEncodingLimitsExceeded,
    ];
    is_among(status, &TOO_MUCH)
}

/// Whether a server says with this status that it does not trust our certificate (Part 4, 6.1.3: many say no more than that a
/// check has failed).
pub(crate) fn distrusts_us(status: u32) -> bool {
    const DISTRUST: [StatusCode; 6] = [
        StatusCode::BadSecurityChecksFailed,
        StatusCode::BadCertificateUntrusted,
        StatusCode::BadCertificateInvalid,
        StatusCode::BadCertificateTimeInvalid,
        StatusCode::BadCertificateUriInvalid,
        StatusCode::BadCertificateChainIncomplete,
    ];
    is_among(status, &DISTRUST)
}

/// Whether an answer with this status means that session or channel are gone, so that only a new connection helps.
pub(crate) fn ends_session(status: u32) -> bool {
    const ENDING: [StatusCode; 17] = [
        StatusCode::BadCommunicationError,
        StatusCode::BadShutdown,
        StatusCode::BadServerNotConnected,
        StatusCode::BadServerHalted,
        StatusCode::BadSecurityChecksFailed,
        StatusCode::BadSecureChannelIdInvalid,
        StatusCode::BadNonceInvalid,
        StatusCode::BadSessionIdInvalid,
        StatusCode::BadSessionClosed,
        StatusCode::BadSessionNotActivated,
        StatusCode::BadSecureChannelClosed,
        StatusCode::BadSecureChannelTokenUnknown,
        StatusCode::BadSequenceNumberInvalid,
        StatusCode::BadConnectionRejected,
        StatusCode::BadDisconnect,
        StatusCode::BadConnectionClosed,
        StatusCode::BadTcpSecureChannelUnknown,
    ];
    is_among(status, &ENDING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_prints_its_name() {
        assert_eq!(StatusName(0x8034_0000).to_string(), "BadNodeIdUnknown (0x80340000)");
        assert_eq!(StatusName(0).to_string(), "Good (0x00000000)");
    }

    #[test]
    fn only_codes_of_session_and_channel_end_the_session() {
        assert!(ends_session(StatusCode::BadSessionIdInvalid.bits()));
        assert!(!ends_session(StatusCode::BadTooManyOperations.bits()));
    }
}
