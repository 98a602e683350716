//! The buckets of a latency histogram: log-linear, 32 per octave.

abi_table! {
    /// The latencies that the runtime keeps a histogram of.
    pub enum HistogramKind: u32 {
        /// Wake-up after the slot's release time, nanoseconds.
        Lateness => "lateness",
        /// Control cycle's body, nanoseconds.
        Execution => "execution",
        /// Receipt of the newest sample to the setpoint ring, nanoseconds.
        Response => "response",
        /// One decision: from the complete state to the action, nanoseconds.
        Inference => "inference",
    }
}

abi_table! {
    /// The calls of a connection to its plant that a histogram is kept of: those that were answered.
    pub enum RoundTrip: u32 {
        /// Inputs were asked for, nanoseconds.
        Read => "read",
        /// Outputs were written, nanoseconds.
        Write => "write",
        /// Both in one round trip, nanoseconds.
        Exchange => "exchange",
    }
}

abi_table! {
    /// The durations that the learner keeps a histogram of.
    pub enum LearnerHistogram: u32 {
        /// One update: critics, and actor where it is due, nanoseconds.
        Step => "step",
    }
}

impl RoundTrip {
    /// The histogram of this call and this connection, counted as in the site file.
    pub const fn slot(self, connection: usize) -> usize {
        connection.saturating_mul(Self::COUNT).saturating_add(self as usize)
    }
}

/// Buckets per octave; the relative width of a bucket is at most its inverse.
pub const HISTOGRAM_SUB_BUCKETS: u64 = 1 << SUB_BITS;
/// Values of 2 to this power and beyond fall into the last bucket (about 18 minutes).
pub const HISTOGRAM_VALUE_BITS: u32 = 40;
/// Number of buckets.
pub const HISTOGRAM_BUCKETS: usize = (HISTOGRAM_VALUE_BITS - SUB_BITS + 1) as usize * HISTOGRAM_SUB_BUCKETS as usize;
/// Words of one histogram: smallest and largest value, sum, and the buckets' counts.
///
/// Word 0 holds the bitwise complement of the smallest value, so that a zeroed histogram is empty.
pub const HISTOGRAM_WORDS: usize = HISTOGRAM_BUCKETS + 3;

const SUB_BITS: u32 = 5;

/// The bucket that counts a value.
pub const fn bucket_of(value_ns: u64) -> usize {
    if value_ns < HISTOGRAM_SUB_BUCKETS {
        return value_ns as usize;
    }
    if value_ns >> HISTOGRAM_VALUE_BITS != 0 {
        return HISTOGRAM_BUCKETS - 1;
    }
    // The octave's leading bit is above the five bits that pick the bucket inside it.
    let shift = value_ns.ilog2() - SUB_BITS;
    (shift as u64 * HISTOGRAM_SUB_BUCKETS + (value_ns >> shift)) as usize
}

/// The smallest value of a bucket, in nanoseconds; of the last one if there is no such bucket.
pub const fn lower_bound(bucket: usize) -> u64 {
    let bucket = if bucket < HISTOGRAM_BUCKETS { bucket as u64 } else { HISTOGRAM_BUCKETS as u64 - 1 };
    if bucket < 2 * HISTOGRAM_SUB_BUCKETS {
        return bucket;
    }
    let shift = bucket / HISTOGRAM_SUB_BUCKETS - 1;
    (bucket - shift * HISTOGRAM_SUB_BUCKETS) << shift
}

/// The largest value of a bucket, in nanoseconds; the last bucket's own limit, not what overflowed.
pub const fn upper_bound(bucket: usize) -> u64 {
    if bucket + 1 >= HISTOGRAM_BUCKETS {
        return (1 << HISTOGRAM_VALUE_BITS) - 1;
    }
    lower_bound(bucket + 1) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_contiguous_and_hold_their_bounds() {
        let mut next = 0;
        for bucket in 0..HISTOGRAM_BUCKETS {
            assert_eq!(lower_bound(bucket), next);
            assert_eq!(bucket_of(lower_bound(bucket)), bucket);
            assert_eq!(bucket_of(upper_bound(bucket)), bucket);
            next = upper_bound(bucket) + 1;
        }
        assert_eq!(next, 1 << HISTOGRAM_VALUE_BITS);
    }

    #[test]
    fn a_bucket_is_narrower_than_a_thirty_second_of_its_values() {
        for bucket in 0..HISTOGRAM_BUCKETS {
            let width = upper_bound(bucket) - lower_bound(bucket);
            assert!(width * HISTOGRAM_SUB_BUCKETS <= lower_bound(bucket));
        }
    }

    #[test]
    fn what_is_too_large_falls_into_the_last_bucket() {
        for value in [1 << HISTOGRAM_VALUE_BITS, u64::MAX] {
            assert_eq!(bucket_of(value), HISTOGRAM_BUCKETS - 1);
        }
        assert_eq!(lower_bound(usize::MAX - 1), lower_bound(HISTOGRAM_BUCKETS - 1));
    }
}
