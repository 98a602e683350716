//! What is known of one output: what the plant confirmed, and what it may be sent next.

use rt_core::time::{MonoTime, Span};

use crate::bus::WriteResult;

/// One setpoint on its way to the plant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Its place in the site's list of setpoints, below `SETPOINTS_MAX`.
    pub(crate) setpoint: u8,
    /// An unchanged value is sent again after this long.
    pub(crate) refresh: Span,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing was written on this connection.
    Fresh,
    /// The plant answered at this instant; a refused value is not repeated before the refresh is due.
    Answered { value: f64, at: MonoTime },
    /// The outcome of the last write is unknown: it must be read back before it is repeated.
    Unknown,
}

impl Output {
    pub(crate) fn new(setpoint: u8, refresh: Span) -> Self {
        Self { setpoint, refresh, state: State::Fresh }
    }

    /// Whether `value` is to be sent at `now`.
    pub(crate) fn is_due(&self, value: f64, now: MonoTime) -> bool {
        match self.state {
            State::Fresh => true,
            State::Answered { value: last, at } => last.to_bits() != value.to_bits() || now.since(at) >= self.refresh,
            State::Unknown => false,
        }
    }

    /// The plant answered for `value`.
    pub(crate) fn answered(&mut self, value: f64, result: WriteResult, at: MonoTime) {
        if result != WriteResult::NotAsked {
            self.state = State::Answered { value, at };
        }
    }

    /// `value` was sent and nothing is known of it.
    pub(crate) fn lost_sight(&mut self) {
        self.state = State::Unknown;
    }

    /// Everything was read after the unknown write: the control thread knows the plant's value again.
    pub(crate) fn read_back(&mut self) {
        if matches!(self.state, State::Unknown) {
            self.state = State::Fresh;
        }
    }

    /// A new connection: what the old one confirmed is no longer known to hold.
    pub(crate) fn forget(&mut self) {
        self.state = State::Fresh;
    }
}
