//! What must hold of the watch over the learner.

use policy::Finding;
use rt_config::Site;
use rt_core::mode::Cause;
use rt_core::ports::Command;
use rt_core::record::{EventKind, Flags};
use rt_core::time::{MonoTime, Span};

use super::super::controller::Inputs;
use super::super::witness::Witness;
use super::{Verdict, demand};

/// A learner may be silent for so long.
const SILENCE_MAX: Span = Span::from_ms(3_000);
/// It may do nothing with its steps for so long, and for so many observations.
const IDLE_MAX: (Span, u64) = (Span::from_ms(30_000), 10);

/// The learner as it was: when it lived, when it got on, and what was said of it.
pub(super) struct Teacher {
    idle_max: Span,
    age_max: Option<Span>,
    beat_at: MonoTime,
    progress_at: MonoTime,
    steps: u64,
    /// Since the last look: that is progress, too.
    pub(super) has_published: bool,
    lost: bool,
    stalled: bool,
    confirmed_at: MonoTime,
}

impl Teacher {
    pub(super) fn new(site: &Site) -> Self {
        Self {
            idle_max: IDLE_MAX.0.max(site.interaction.obs_period.times(IDLE_MAX.1)),
            age_max: site.runtime.max_policy_age,
            beat_at: MonoTime::ZERO,
            progress_at: MonoTime::ZERO,
            steps: 0,
            has_published: false,
            lost: false,
            stalled: false,
            confirmed_at: MonoTime::ZERO,
        }
    }

    /// Another learner.
    pub(super) fn replace(&mut self, now: MonoTime) {
        (self.beat_at, self.progress_at, self.steps) = (now, now, 0);
        (self.lost, self.stalled) = (false, false);
    }

    /// F02, F11: silence and idleness are found out at once, once, and never where there is none.
    pub(super) fn judge_watch(
        &mut self,
        beats: bool,
        gets_on: bool,
        finding: Option<Finding>,
        now: MonoTime,
    ) -> Verdict {
        if beats {
            (self.beat_at, self.lost) = (now, false);
        }
        if std::mem::take(&mut self.has_published) || gets_on {
            (self.progress_at, self.steps, self.stalled) = (now, 0, false);
        }
        let silent = now.since(self.beat_at) > SILENCE_MAX;
        let idle = now.since(self.progress_at) > self.idle_max && self.steps >= IDLE_MAX.1;
        let known = match finding {
            Some(Finding::Heard { .. }) => beats,
            Some(Finding::Lost { .. }) => silent && !std::mem::replace(&mut self.lost, true),
            Some(Finding::Stalled { .. }) => idle && !self.lost && !std::mem::replace(&mut self.stalled, true),
            // No learner of a scenario has a history.
            Some(Finding::Rebuilds | Finding::Rebuilt) => false,
            None => !beats,
        };
        demand(known, "F02, F11: no false alarm", || format!("{finding:?}, last heard at {:?}", self.beat_at))?;
        demand(!silent || self.lost, "F02", || format!("nothing was said of a silence since {:?}", self.beat_at))?;
        // A heartbeat comes first, the rest with the next look.
        let due = idle && !self.lost && !beats;
        demand(!due || self.stalled, "F11", || format!("nothing was said of {:?} without progress", self.progress_at))
    }

    /// F11: as long as the learner stands by the policy in use, its age leads nowhere.
    pub(super) fn judge_cycle(&mut self, inputs: &Inputs, seen: &Witness) -> Verdict {
        self.steps += u64::from(seen.flags.contains(Flags::OBSERVED));
        for command in &inputs.commands {
            if let Command::PolicyConfirmed(at) = command {
                self.confirmed_at = self.confirmed_at.max(*at);
            }
        }
        let aged = |kind| matches!(kind, EventKind::ModeChanged { cause: Cause::PolicyAge, .. });
        let age = inputs.slot.woke.since(self.confirmed_at);
        let fell = seen.events.iter().any(|event| aged(event.kind));
        demand(!fell || self.age_max.is_some_and(|max| age > max), "F11: no FALLBACK by age", || {
            format!("the policy was confirmed {age:?} ago")
        })
    }
}
