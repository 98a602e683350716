//! Time as an argument.

/// Where the session takes its time from; implemented by the caller.
pub trait Clock: Send + Sync {
    /// Nanoseconds since an arbitrary fixed instant; never goes back. Deadlines are instants of this clock.
    fn monotonic_ns(&self) -> u64;

    /// Nanoseconds since 1970-01-01T00:00:00Z. Asked only while connecting: for the validity of certificates, and as
    /// the base of the timestamps in request headers, which servers use for nothing but diagnostics.
    fn unix_ns(&self) -> u64;
}
