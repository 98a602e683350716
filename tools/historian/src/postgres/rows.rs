//! Rows as `COPY … (FORMAT binary)` reads them.

use archive::Point;

/// A day, nanoseconds.
pub(super) const DAY_NS: u64 = 86_400_000_000_000;
/// From 1970, where our time begins, to 2000, where PostgreSQL's does; microseconds.
const EPOCH_US: i64 = 946_684_800_000_000;
/// What a copy begins with: signature, flags, length of an extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// Samples for [`SAMPLE`](Self::INTO).
#[derive(Debug)]
pub(super) struct Samples {
    bytes: Vec<u8>,
    count: u64,
}

impl Default for Samples {
    fn default() -> Self {
        Self { bytes: HEADER.to_vec(), count: 0 }
    }
}

impl Samples {
    /// Where they go, and in which order their columns lie.
    pub(super) const INTO: &str =
        "COPY corerl.sample (time, cycle, value, state, age_us, run, track, source_time) FROM STDIN (FORMAT binary)";

    pub(super) fn push(&mut self, (run, track): (i32, i32), unix_ns: u64, point: &Point) {
        let Point { cycle, value, state, age_us, source_us } = *point;
        let time = microseconds(unix_ns / 1_000);
        self.bytes.extend_from_slice(&8_i16.to_be_bytes());
        let wide = [time, cycle.cast_signed(), value.to_bits().cast_signed(), state.into(), age_us.into()];
        for field in wide {
            self.bytes.extend_from_slice(&8_i32.to_be_bytes());
            self.bytes.extend_from_slice(&field.to_be_bytes());
        }
        for field in [run, track] {
            self.bytes.extend_from_slice(&4_i32.to_be_bytes());
            self.bytes.extend_from_slice(&field.to_be_bytes());
        }
        if source_us == 0 {
            // A length below zero is nothing.
            self.bytes.extend_from_slice(&(-1_i32).to_be_bytes());
        } else {
            self.bytes.extend_from_slice(&8_i32.to_be_bytes());
            self.bytes.extend_from_slice(&microseconds(source_us).to_be_bytes());
        }
        self.count += 1;
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// All of the copy.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&TRAILER);
        self.bytes
    }
}

/// PostgreSQL's time, of one since 1970.
fn microseconds(unix_us: u64) -> i64 {
    i64::try_from(unix_us).unwrap_or(i64::MAX) - EPOCH_US
}
