//! What must hold of the alarm that a site of the simulation has: it is raised at once whenever the policy does not drive the
//! plant, and cleared when it has driven it for a while.

use rt_config::Site;
use rt_core::mode::Mode;
use rt_core::time::{MonoTime, Span};

use super::super::witness::Witness;
use super::{Verdict, demand};

/// When the policy began to drive the plant.
pub(super) struct Alarm {
    is_there: bool,
    off_delay: Span,
    driven_since: Option<MonoTime>,
    raised: bool,
}

impl Alarm {
    pub(super) fn new(site: &Site) -> Self {
        let alarm = site.alarms().next();
        Self {
            is_there: alarm.is_some(),
            off_delay: alarm.map_or(Span::ZERO, |alarm| alarm.settings.off_delay),
            driven_since: None,
            raised: false,
        }
    }

    /// Whether it is to be written, and what it shows.
    pub(super) fn judge(&mut self, seen: &Witness, woke: MonoTime, leased: bool, shown: Option<u32>) -> Verdict {
        self.driven_since = (seen.mode == Mode::Run).then_some(self.driven_since.unwrap_or(woke));
        self.raised = match self.driven_since {
            Some(since) => self.raised && woke.since(since) < self.off_delay,
            None => true,
        };
        let expected = (self.is_there && leased).then_some(u32::from(self.raised));
        demand(shown == expected, "alarm", || format!("{shown:?} in {:?}, expected {expected:?}", seen.mode))
    }
}
