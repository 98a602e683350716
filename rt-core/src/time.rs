//! Time as the control path knows it: monotonic nanoseconds, spans and the period of the grid.
//!
//! Nothing here reads a clock. Instants come in as arguments, so a recording, a simulation and the plant run the same code.

use core::num::NonZeroU64;
use core::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// Nanoseconds in a second.
pub const NS_PER_S: u64 = 1_000_000_000;

/// An instant of the monotonic clock, in nanoseconds since an arbitrary origin (on Linux: the boot).
///
/// # Real-time
/// Wait-free arithmetic, saturating at both ends; nothing here panics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MonoTime(u64);

impl MonoTime {
    /// The origin of the clock.
    pub const ZERO: Self = Self(0);

    /// An instant `ns` nanoseconds after the origin.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the origin.
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// The span from `earlier` to this instant; zero when `earlier` is the later one.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// The instant `span` later; the last representable one when there is none so late.
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The instant `span` earlier; the origin when there is none so early.
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Add<Span> for MonoTime {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        self.plus(span)
    }
}

/// A length of time in nanoseconds.
///
/// # Real-time
/// Wait-free arithmetic, saturating at both ends; nothing here panics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// Longer than anything: "never".
    pub const MAX: Self = Self(u64::MAX);

    /// A span of `ns` nanoseconds.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// A span of `ms` milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// The length in nanoseconds.
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// The length in seconds, rounded to the nearest f64.
    pub const fn as_seconds(self) -> f64 {
        self.0 as f64 / NS_PER_S as f64
    }

    /// The sum; [`Span::MAX`] when it is longer than that.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The shorter of two spans.
    pub const fn min(self, other: Self) -> Self {
        if self.0 <= other.0 { self } else { other }
    }

    /// The longer of two spans.
    pub const fn max(self, other: Self) -> Self {
        if self.0 >= other.0 { self } else { other }
    }

    /// How many whole periods it holds.
    pub const fn periods(self, period: Period) -> u64 {
        match self.0.checked_div(period.as_ns()) {
            Some(periods) => periods,
            None => 0,
        }
    }

    /// `count` times this span.
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl Add for Span {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.plus(other)
    }
}

impl Sub for Span {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// The control period T: a span that is never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(NonZeroU64);

impl Period {
    /// A period of `ns` nanoseconds; `None` for zero.
    pub const fn from_ns(ns: u64) -> Option<Self> {
        match NonZeroU64::new(ns) {
            Some(ns) => Some(Self(ns)),
            None => None,
        }
    }

    /// The period in nanoseconds, never zero.
    pub const fn as_ns(self) -> u64 {
        self.0.get()
    }

    /// The period as a span.
    pub const fn span(self) -> Span {
        Span(self.0.get())
    }

    /// How many whole periods `span` holds, when it is an exact multiple; otherwise `None`.
    pub const fn exact_multiple(self, span: Span) -> Option<u64> {
        if span.0.is_multiple_of(self.0.get()) { span.0.checked_div(self.0.get()) } else { None }
    }
}
