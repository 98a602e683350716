//! A server that does not answer: whether it has forgotten the connection, or is merely slow.

use rt_core::time::{MonoTime, Span};

/// A connection on which nothing was answered for this long is given up, whatever TCP thinks of it.
const SILENCE_MAX: Span = Span::from_ms(30_000);
/// After this long it is found out whether the server answers on another one.
const SUSPECT_AFTER: Span = Span::from_ms(1_500);

/// How long a connection has been silent. What lies between may keep acknowledging for a server that has forgotten it; a
/// server that is slow is slow to everybody.
#[derive(Debug)]
pub(super) struct Silence {
    /// The first request that was not answered in time.
    since: Option<MonoTime>,
    /// When it was last found that the server answers nobody else either.
    compared: MonoTime,
    /// How long it may last before it is compared with another connection: longer each time until something is answered, or a
    /// slow server would never come to its answer.
    patience: Span,
}

impl Silence {
    pub(super) const fn new() -> Self {
        Self { since: None, compared: MonoTime::ZERO, patience: SUSPECT_AFTER }
    }

    /// There is another connection, which is not silent yet.
    pub(super) fn begin_anew(&mut self) {
        (self.since, self.compared) = (None, MonoTime::ZERO);
    }

    /// Something was asked at this instant.
    pub(super) fn asked(&mut self, answered: bool, at: MonoTime) {
        if answered {
            *self = Self::new();
        } else {
            self.since.get_or_insert(at);
        }
    }

    /// Why the connection is given up, if it is. `heard`: when the last bytes came; `greets`: whether the server answers on
    /// another connection.
    pub(super) fn judge(
        &mut self,
        heard: MonoTime,
        now: MonoTime,
        greets: impl FnOnce() -> bool,
    ) -> Option<&'static str> {
        let silence = now.since(self.since?.max(heard));
        if silence > SILENCE_MAX {
            return Some("the server has not answered for 30 s");
        }
        if silence <= self.patience || now.since(self.compared) <= self.patience {
            return None;
        }
        self.compared = now;
        if !greets() {
            return None;
        }
        self.patience = self.patience.times(2).min(SILENCE_MAX);
        Some("the server answers new connections, and not on this one")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_ns(ms * 1_000_000)
    }

    #[test]
    fn f35_a_silent_connection_is_left_for_one_that_answers_later_each_time_until_something_is_answered() {
        let mut silence = Silence::new();
        let mut begin = 1_000;
        for patience in [1_500, 3_000, 6_000, 12_000, 24_000, 30_000] {
            silence.begin_anew();
            assert_eq!(silence.judge(at(begin), at(begin + 90_000), || true), None, "nothing was asked");
            silence.asked(false, at(begin));
            silence.asked(false, at(begin + 10));
            assert_eq!(silence.judge(at(begin), at(begin + patience), || true), None);
            assert!(silence.judge(at(begin), at(begin + patience + 1), || true).is_some());
            begin += 100_000;
        }
        silence.asked(true, at(begin));
        silence.asked(false, at(begin));
        assert!(silence.judge(at(begin), at(begin + 1_501), || true).is_some());
    }

    #[test]
    fn f37_a_server_that_answers_nobody_is_waited_for_and_after_30_seconds_no_longer() {
        let mut silence = Silence::new();
        silence.asked(false, at(1_000));
        let mut greeted = 0;
        for ms in 1_000..=31_000 {
            let judged = silence.judge(at(0), at(ms), || {
                greeted += 1;
                false
            });
            assert_eq!(judged, None, "{ms}");
        }
        assert_eq!(greeted, 19, "it is not asked in every cycle");
        assert!(silence.judge(at(0), at(31_001), || false).is_some());
        // Bytes that came meanwhile are an answer to somebody.
        assert_eq!(silence.judge(at(31_000), at(31_001), || true), None);
    }
}
