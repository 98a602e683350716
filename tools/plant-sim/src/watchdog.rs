//! The plant's side of the heartbeat, as a PLC has it: whoever stops beating loses the plant's inputs, and gets them back
//! when somebody at the plant arms them again.

use std::time::Duration;

/// Decides who sets the plant's inputs.
#[derive(Debug)]
pub(crate) struct Watchdog {
    patience: Duration,
    beat: u16,
    beaten_at: Option<Duration>,
    remote: bool,
}

impl Watchdog {
    /// The plant's own logic has the inputs; a controller may have them while its beats are not farther apart than
    /// `patience`.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, beat: 0, beaten_at: None, remote: false }
    }

    /// One look at the counter, `now` after the start, and at the wish to arm: whether a controller has the inputs.
    pub(crate) fn look(&mut self, beat: u16, arm: bool, now: Duration) -> bool {
        if beat != self.beat {
            (self.beat, self.beaten_at) = (beat, Some(now));
        }
        let beats = self.beaten_at.is_some_and(|at| now.saturating_sub(at) <= self.patience);
        self.remote = beats && (self.remote || arm);
        self.remote
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Beats every 100 ms from 100 ms on, looked at every 20 ms, armed at 200 ms.
    fn in_charge() -> (Watchdog, u64) {
        let mut watchdog = Watchdog::new(ms(300));
        for now in (0..=600).step_by(20) {
            let remote = watchdog.look((now / 100) as u16, now == 200, ms(now));
            assert_eq!(remote, now >= 200, "{now} ms");
        }
        (watchdog, 600)
    }

    #[test]
    fn f91_a_controller_that_stops_beating_loses_the_inputs_within_the_time_and_not_before() {
        let (mut watchdog, last_beat) = in_charge();
        assert!(watchdog.look(6, false, ms(last_beat + 300)));
        assert!(!watchdog.look(6, false, ms(last_beat + 301)));
    }

    #[test]
    fn f91_beats_that_come_back_give_nothing_back_before_somebody_arms() {
        let (mut watchdog, _) = in_charge();
        assert!(!watchdog.look(6, false, ms(1_000)));
        assert!(!watchdog.look(7, false, ms(1_100)));
        assert!(watchdog.look(8, true, ms(1_200)));
        assert!(watchdog.look(9, false, ms(1_300)));
    }

    #[test]
    fn f91_arming_without_beats_changes_nothing_and_is_not_remembered() {
        let mut watchdog = Watchdog::new(ms(300));
        assert!(!watchdog.look(0, true, ms(0)));
        assert!(!watchdog.look(1, false, ms(100)));
    }
}
