//! What is known of one output: what the plant confirmed, and what it may be sent next.

use rt_core::time::{MonoTime, Span};

use crate::bus::{BusError, WriteResult};

/// One setpoint or alarm on its way to the plant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Its place in the site's list of setpoints or alarms, below `SETPOINTS_MAX` or `ALARMS_MAX`.
    pub(crate) place: u8,
    /// An unchanged value is sent again after this long.
    pub(crate) refresh: Span,
    state: State,
    /// The status with which the plant refuses it at present; 0 while it does not.
    refusal: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing was written on this connection.
    Fresh,
    /// The plant answered at this instant; a refused value is not repeated before the refresh is due.
    Answered { value: f64, at: MonoTime, confirmed: bool },
    /// The outcome of the last write is unknown: it must be read back before it is repeated.
    Unknown,
}

impl Output {
    pub(crate) fn new(place: u8, refresh: Span) -> Self {
        Self { place, refresh, state: State::Fresh, refusal: 0 }
    }

    /// What is to be sent at `now` of what is wanted; nothing is wanted while somebody else may move it.
    pub(crate) fn request(&mut self, wanted: Option<f64>, now: MonoTime) -> Option<f64> {
        if wanted.is_none() {
            self.let_go();
        }
        wanted.filter(|wanted| self.is_due(*wanted, now))
    }

    /// Whether `value` is to be sent at `now`.
    fn is_due(&self, value: f64, now: MonoTime) -> bool {
        match self.state {
            State::Fresh => true,
            State::Answered { value: last, at, .. } => {
                last.to_bits() != value.to_bits() || now.since(at) >= self.refresh
            }
            State::Unknown => false,
        }
    }

    /// What became of the request that `value` was part of, and of it in there. The status of a refusal that is new.
    pub(crate) fn take(
        &mut self,
        outcome: Result<(), BusError>,
        value: f64,
        result: WriteResult,
        at: MonoTime,
    ) -> Option<u32> {
        match outcome {
            Ok(()) => self.answered(value, result, at),
            Err(BusError::Refused { status }) => self.answered(value, WriteResult::Refused { status }, at),
            Err(BusError::NotSent) => None,
            Err(BusError::Unknown | BusError::Lost(_)) => {
                self.lost_sight();
                None
            }
        }
    }

    /// The plant answered for `value`.
    fn answered(&mut self, value: f64, result: WriteResult, at: MonoTime) -> Option<u32> {
        let before = self.refusal;
        self.refusal = match result {
            WriteResult::Done => 0,
            WriteResult::Refused { status } => status,
            WriteResult::NotAsked => return None,
        };
        self.state = State::Answered { value, at, confirmed: result == WriteResult::Done };
        Some(self.refusal).filter(|refusal| *refusal != 0 && *refusal != before)
    }

    /// `value` was sent and nothing is known of it.
    fn lost_sight(&mut self) {
        self.state = State::Unknown;
    }

    /// Everything was read after the unknown write: the control thread knows the plant's value again.
    pub(crate) fn read_back(&mut self) {
        if matches!(self.state, State::Unknown) {
            self.state = State::Fresh;
        }
    }

    /// It is not written at present: somebody may move it, so what was confirmed does not hold any more.
    pub(crate) fn let_go(&mut self) {
        if matches!(self.state, State::Answered { confirmed: true, .. }) {
            self.state = State::Fresh;
        }
    }

    /// A new connection: what the old one confirmed is no longer known to hold.
    pub(crate) fn forget(&mut self) {
        (self.state, self.refusal) = (State::Fresh, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_let_go_is_written_again_at_once_and_what_was_refused_is_not() {
        let (refresh, at) = (Span::from_ms(1_000), MonoTime::ZERO + Span::from_ms(1));
        let after = |result| {
            let mut output = Output::new(0, refresh);
            output.answered(5.0, result, at);
            assert!(!output.is_due(5.0, at), "as long as it is ours");
            output.let_go();
            output.is_due(5.0, at)
        };
        assert!(after(WriteResult::Done));
        assert!(!after(WriteResult::Refused { status: 1 }));
        let mut unknown = Output::new(0, refresh);
        unknown.lost_sight();
        unknown.let_go();
        assert!(!unknown.is_due(5.0, at), "it has to be read back first");
    }
}
