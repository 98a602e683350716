//! Durations as people write them: `"00:00:05"`, `10ms`, `1.5s`, `PT5S`.

use rt_core::time::{NS_PER_S, Span};

/// The longest duration of a site file.
pub(crate) const DURATION_MAX: Span = Span::from_ns(10_000 * DAY_NS);

const MINUTE_NS: u64 = 60 * NS_PER_S;
const HOUR_NS: u64 = 60 * MINUTE_NS;
const DAY_NS: u64 = 24 * HOUR_NS;

/// Units by name, longest first where one ends with another.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("min", MINUTE_NS),
    ("s", NS_PER_S),
    ("h", HOUR_NS),
    ("d", DAY_NS),
];

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DurationError {
    /// A number without a unit.
    NoUnit,
    /// Nothing that is known.
    Unknown,
    /// Not a whole number of nanoseconds.
    TooFine,
    /// Longer than [`DURATION_MAX`].
    TooLong,
}

impl DurationError {
    /// The sentence about it.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::NoUnit => "is a number without a unit",
            Self::Unknown => "is not a duration",
            Self::TooFine => "is finer than a nanosecond",
            Self::TooLong => "is longer than 10000 days",
        }
    }
}

/// Reads a duration.
pub(crate) fn parse(text: &str) -> Result<Span, DurationError> {
    let text = text.trim();
    let ns = if let Some(iso) = text.strip_prefix(['P', 'p']) {
        parse_iso(iso)?
    } else if text.contains(':') {
        parse_clock(text)?
    } else {
        parse_with_unit(text)?
    };
    if ns > DURATION_MAX.as_ns() { Err(DurationError::TooLong) } else { Ok(Span::from_ns(ns)) }
}

fn parse_with_unit(text: &str) -> Result<u64, DurationError> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(if text.is_empty() {
        DurationError::Unknown
    } else {
        DurationError::NoUnit
    })?;
    let (number, unit) = text.split_at(split);
    let unit = unit.trim();
    let (_, unit_ns) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(DurationError::Unknown)?;
    scaled(number, *unit_ns)
}

/// `HH:MM:SS` with an optional fraction of the second.
fn parse_clock(text: &str) -> Result<u64, DurationError> {
    let parts: Vec<&str> = text.split(':').collect();
    let [hours, minutes, seconds] = parts.as_slice() else { return Err(DurationError::Unknown) };
    let [hours_ns, minutes_ns] = [whole(hours, HOUR_NS)?, whole(minutes, MINUTE_NS)?];
    let seconds_ns = scaled(seconds, NS_PER_S)?;
    if minutes_ns >= HOUR_NS || seconds_ns >= MINUTE_NS {
        return Err(DurationError::Unknown);
    }
    sum(sum(hours_ns, minutes_ns)?, seconds_ns)
}

/// ISO 8601 after the `P`: days, hours, minutes and seconds, each at most once and in this order.
fn parse_iso(text: &str) -> Result<u64, DurationError> {
    let (days, time) = text.split_once(['T', 't']).map_or((text, None), |(days, time)| (days, Some(time)));
    let mut total = 0;
    let mut found = false;
    let mut read = |mut rest: &str, units: &[(char, u64)]| {
        for (unit, unit_ns) in units {
            let end = rest.find(|c: char| c.eq_ignore_ascii_case(unit));
            let Some((number, after)) = end.and_then(|end| Some((rest.get(..end)?, rest.get(end + 1..)?))) else {
                continue;
            };
            total = sum(total, scaled(number, *unit_ns)?)?;
            found = true;
            rest = after;
        }
        if rest.is_empty() { Ok(()) } else { Err(DurationError::Unknown) }
    };
    read(days, &[('D', DAY_NS)])?;
    if let Some(time) = time {
        read(time, &[('H', HOUR_NS), ('M', MINUTE_NS), ('S', NS_PER_S)])?;
    }
    if found { Ok(total) } else { Err(DurationError::Unknown) }
}

fn sum(a: u64, b: u64) -> Result<u64, DurationError> {
    a.checked_add(b).ok_or(DurationError::TooLong)
}

fn whole(digits: &str, unit_ns: u64) -> Result<u64, DurationError> {
    if digits.contains('.') { Err(DurationError::Unknown) } else { scaled(digits, unit_ns) }
}

/// `number` units in nanoseconds, exactly: digits with at most one decimal point.
fn scaled(number: &str, unit_ns: u64) -> Result<u64, DurationError> {
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    if integer.is_empty() || !integer.chars().chain(fraction.chars()).all(|c| c.is_ascii_digit()) {
        return Err(DurationError::Unknown);
    }
    // A fraction of up to 14 digits times a unit of up to a day fits into u128.
    if fraction.len() > 14 {
        return Err(DurationError::TooFine);
    }
    let integer: u64 = integer.parse().map_err(|_| DurationError::TooLong)?;
    let numerator = u128::from(fraction.parse::<u64>().unwrap_or(0)) * u128::from(unit_ns);
    let denominator = 10u128.pow(fraction.len() as u32);
    if !numerator.is_multiple_of(denominator) {
        return Err(DurationError::TooFine);
    }
    let fraction_ns = u64::try_from(numerator / denominator).map_err(|_| DurationError::TooLong)?;
    sum(integer.checked_mul(unit_ns).ok_or(DurationError::TooLong)?, fraction_ns)
}

/// A span as a site file would say it, exactly: `5s`, `1500ms`, `250us`.
pub(crate) fn written(span: Span) -> String {
    let ns = span.as_ns();
    let (unit, unit_ns) = [("s", NS_PER_S), ("ms", 1_000_000), ("us", 1_000)]
        .into_iter()
        .find(|(_, unit_ns)| ns.is_multiple_of(*unit_ns))
        .unwrap_or(("ns", 1));
    format!("{}{unit}", ns / unit_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_documented_spelling_is_read() {
        for (text, ns) in [
            ("00:00:05", 5 * NS_PER_S),
            ("01:30:00", 5400 * NS_PER_S),
            ("00:00:00.25", NS_PER_S / 4),
            ("10ms", 10_000_000),
            ("1.5s", 1_500_000_000),
            ("250us", 250_000),
            ("250µs", 250_000),
            ("2 min", 120 * NS_PER_S),
            ("1h", HOUR_NS),
            ("1d", DAY_NS),
            ("PT5S", 5 * NS_PER_S),
            ("PT1M30.5S", 90_500_000_000),
            ("P1DT2H", DAY_NS + 2 * HOUR_NS),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Span::from_ns(ns)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_says_why() {
        for (text, error) in [
            ("5", DurationError::NoUnit),
            ("5.5", DurationError::NoUnit),
            ("", DurationError::Unknown),
            ("5 parsecs", DurationError::Unknown),
            ("-5s", DurationError::Unknown),
            ("00:05", DurationError::Unknown),
            ("00:61:00", DurationError::Unknown),
            ("P", DurationError::Unknown),
            ("PT5", DurationError::Unknown),
            ("PT5S1H", DurationError::Unknown),
            ("0.5ns", DurationError::TooFine),
            ("99999999999999999999s", DurationError::TooLong),
            ("10001d", DurationError::TooLong),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_span_reads_back(ns in 0..DURATION_MAX.as_ns()) {
            prop_assert_eq!(parse(&written(Span::from_ns(ns))), Ok(Span::from_ns(ns)));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
