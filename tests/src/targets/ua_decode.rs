//! What an OPC UA server says.

use ua_session::bare;

use super::Verdict;

/// The first byte: what the rest is.
pub(super) fn run(bytes: &[u8]) -> Verdict {
    let [what, rest @ ..] = bytes else { return Verdict::Refused };
    Verdict::of(match what % 6 {
        0 => bare::hear_stream(rest),
        1 => bare::hear_messages(rest),
        2 => bare::hear_sealed(rest, false),
        3 => bare::hear_sealed(rest, true),
        4 => bare::take_apart(rest),
        _ => bare::see_certificate(rest),
    })
}
