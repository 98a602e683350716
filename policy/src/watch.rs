//! Whether a learner lives and gets on, from what it shows over time.

use rt_config::Site;
use rt_core::time::{MonoTime, Span};

/// A learner that shows no heartbeat for so long is silent.
const SILENCE_MAX: Span = Span::from_ms(3_000);
/// A learner that is given steps and does nothing with them for so long does not get on ...
const STALL_MIN: Span = Span::from_ms(30_000);
/// ... or for so many observation periods, when that is longer.
const STALL_OBSERVATIONS: u64 = 10;

/// What a learner shows of itself. All of it is the learner's word, and is only compared with what it said before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Changes as long as it lives.
    pub heartbeat: u64,
    /// The generation that it stands by.
    pub best_generation: u64,
    /// Its updates so far.
    pub updates: u64,
    /// What it has gone through, and what it has to go through, before it stands by anything: while it learns from the history.
    pub rebuilt: (u64, u64),
}

impl Shown {
    fn rebuilds(&self) -> bool {
        self.rebuilt.0 < self.rebuilt.1
    }
}

/// What a look at a learner finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A new heartbeat.
    Heard {
        /// The generation that it stands by; none while it learns from the history.
        best_generation: Option<u64>,
    },
    /// It has begun to learn from the history.
    Rebuilds,
    /// It has learnt from the history.
    Rebuilt,
    /// It is silent for the first time since it was heard, or its process has ended.
    Lost {
        /// Time since its last heartbeat.
        silent_for: Span,
    },
    /// It lives, gets steps, and neither learns nor publishes, for the first time since it did.
    Stalled {
        /// Time since it did.
        idle_for: Span,
    },
}

/// Watches one learner.
#[derive(Clone, Debug)]
pub struct LearnerWatch {
    shown: Shown,
    heard_at: MonoTime,
    alive: bool,
    progressed_at: MonoTime,
    /// Steps that it was given since.
    steps: u64,
    stalled: bool,
    stall_max: Span,
    /// What it may take to gather experience before its first update.
    warm_up: Span,
}

impl LearnerWatch {
    /// A watch over the learner of this site that joined `now`.
    pub fn new(site: &Site, now: MonoTime) -> Self {
        Self {
            shown: Shown::default(),
            heard_at: now,
            alive: true,
            progressed_at: now,
            steps: 0,
            stalled: false,
            stall_max: STALL_MIN.max(site.interaction.obs_period.times(STALL_OBSERVATIONS)),
            warm_up: site.interaction.warmup_period,
        }
    }

    /// It was given a step to learn from.
    pub fn note_step(&mut self) {
        self.steps = self.steps.saturating_add(1);
    }

    /// One look, at what it shows `now` and whether its process has ended. Of several findings the next look gives the next.
    pub fn look(&mut self, shown: Shown, has_ended: bool, now: MonoTime) -> Option<Finding> {
        let before = std::mem::replace(&mut self.shown, shown);
        let progress = |shown: &Shown| (shown.best_generation, shown.updates, shown.rebuilt);
        if progress(&shown) != progress(&before) {
            (self.progressed_at, self.steps, self.stalled) = (now, 0, false);
        }
        if shown.rebuilds() != before.rebuilds() {
            // The heartbeat that came with it is one that the next look finds.
            self.shown.heartbeat = before.heartbeat;
            return Some(if shown.rebuilds() { Finding::Rebuilds } else { Finding::Rebuilt });
        }
        if shown.heartbeat != before.heartbeat && !has_ended {
            (self.heard_at, self.alive) = (now, true);
            return Some(Finding::Heard { best_generation: (!shown.rebuilds()).then_some(shown.best_generation) });
        }
        let silent_for = now.since(self.heard_at);
        if self.alive && (has_ended || silent_for > SILENCE_MAX) {
            self.alive = false;
            return Some(Finding::Lost { silent_for });
        }
        let idle_for = now.since(self.progressed_at);
        if self.alive && !self.stalled && self.steps >= STALL_OBSERVATIONS && idle_for > self.patience() {
            self.stalled = true;
            return Some(Finding::Stalled { idle_for });
        }
        None
    }

    fn patience(&self) -> Span {
        if self.shown.updates == 0 { self.stall_max + self.warm_up } else { self.stall_max }
    }

    /// Its heartbeat is recent, and its process has not ended.
    pub const fn is_alive(&self) -> bool {
        self.alive
    }

    /// It lives, gets steps, and does nothing with them.
    pub const fn is_stalled(&self) -> bool {
        self.alive && self.stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::site;

    /// Looks once a second; the findings but heartbeats, each with its second.
    fn findings(seconds: u64, mut shows: impl FnMut(u64) -> (Shown, bool), steps: bool) -> Vec<(u64, Finding)> {
        let mut site = site();
        site.interaction.warmup_period = Span::from_ms(10_000);
        let mut watch = LearnerWatch::new(&site, MonoTime::ZERO);
        let mut found = Vec::new();
        for second in 1..=seconds {
            if steps {
                watch.note_step();
            }
            let (shown, has_ended) = shows(second);
            let finding = watch.look(shown, has_ended, MonoTime::ZERO + Span::from_ms(1_000 * second));
            found.extend(finding.filter(|it| !matches!(it, Finding::Heard { .. })).map(|it| (second, it)));
        }
        found
    }

    fn beating(second: u64, updates: u64) -> Shown {
        // Two looks to a heartbeat: the one between has time for other findings.
        Shown { heartbeat: second / 2, best_generation: 1, updates, ..Shown::default() }
    }

    #[test]
    fn f02_a_learner_that_stops_is_lost_once_after_its_silence() {
        let found = findings(20, |second| (beating(second.min(10), 10 * second.min(10)), false), true);
        assert_eq!(found, [(14, Finding::Lost { silent_for: Span::from_ms(4_000) })]);
    }

    #[test]
    fn f02_a_learner_that_is_heard_again_is_alive_and_can_be_lost_again() {
        let mut watch = LearnerWatch::new(&site(), MonoTime::ZERO);
        let at = |second: u64| MonoTime::ZERO + Span::from_ms(1_000 * second);
        let shown = |heartbeat| Shown { heartbeat, ..Shown::default() };
        for (second, heartbeat) in [(10, 1), (30, 2)] {
            assert_eq!(
                watch.look(shown(heartbeat), false, at(second)),
                Some(Finding::Heard { best_generation: Some(0) })
            );
            assert!(watch.is_alive());
            let lost = Finding::Lost { silent_for: Span::from_ms(9_000) };
            assert_eq!(watch.look(shown(heartbeat), false, at(second + 9)), Some(lost));
            assert!(!watch.is_alive());
        }
    }

    #[test]
    fn f20_a_learner_whose_process_has_ended_is_lost_at_once_whatever_its_heartbeat_says() {
        let found = findings(20, |second| (beating(second, second), second >= 10), true);
        assert_eq!(found, [(10, Finding::Lost { silent_for: Span::from_ms(2_000) })]);
    }

    #[test]
    fn f11_a_learner_that_lives_without_getting_on_is_found_out_once() {
        let found = findings(100, |second| (beating(second, second.min(20)), false), true);
        assert_eq!(found, [(51, Finding::Stalled { idle_for: Span::from_ms(31_000) })]);
    }

    #[test]
    fn f11_a_learner_without_steps_or_before_its_first_update_has_nothing_to_get_on_with() {
        assert_eq!(findings(100, |second| (beating(second, second.min(20)), false), false), []);
        let found = findings(100, |second| (beating(second, 0), false), true);
        assert_eq!(found, [(43, Finding::Stalled { idle_for: Span::from_ms(42_000) })]);
    }

    #[test]
    fn a_learner_stands_by_nothing_while_it_learns_from_the_history_and_that_is_no_standing_still() {
        let rebuilding = |second: u64, all| Shown { rebuilt: (second.min(80), all), ..beating(second, 0) };
        let found = findings(100, |second| (rebuilding(second, 80), false), true);
        assert_eq!(found, [(1, Finding::Rebuilds), (80, Finding::Rebuilt)]);

        let mut watch = LearnerWatch::new(&site(), MonoTime::ZERO);
        let mut look = |heartbeat, rebuilt| {
            watch.look(Shown { heartbeat, best_generation: 7, updates: 0, rebuilt }, false, MonoTime::ZERO)
        };
        assert_eq!(look(1, (0, 2)), Some(Finding::Rebuilds));
        assert_eq!(look(1, (0, 2)), Some(Finding::Heard { best_generation: None }), "the beat that came with it");
        assert_eq!(look(2, (2, 2)), Some(Finding::Rebuilt));
        assert_eq!(look(2, (0, 0)), Some(Finding::Heard { best_generation: Some(7) }));
    }

    #[test]
    fn f11_a_learner_that_gets_on_again_can_be_found_out_again() {
        let found = findings(200, |second| (beating(second, second / 100), false), true);
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
