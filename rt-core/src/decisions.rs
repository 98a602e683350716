//! What came of the policy's decisions so far.

use serde::{Deserialize, Serialize};

use crate::mode::Mode;
use crate::ports::{Action, NoAction};
use crate::time::MonoTime;
use crate::trips::{Recent, Streak};

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Decisions {
    pub(crate) generation: Option<u64>,
    /// When somebody last stood by the policy; zero: never.
    pub(crate) confirmed_at: MonoTime,
    /// The last good action.
    pub(crate) action: Option<Action>,
    /// The newest output was not finite, and for how many cycles that has been so.
    output_bad: bool,
    pub(crate) not_finite: Streak,
    pub(crate) out_of_bounds: Streak,
    pub(crate) incomplete: Streak,
    pub(crate) late: Recent,
}

impl Decisions {
    pub(crate) fn note(&mut self, decided: Result<(), NoAction>, action: &Action, out_of_bounds: bool, mode: Mode) {
        self.incomplete.note(decided == Err(NoAction::Incomplete));
        self.late.note(decided == Err(NoAction::Late));
        match decided {
            Ok(()) => {
                self.action = Some(*action);
                self.output_bad = false;
                self.out_of_bounds.note(out_of_bounds);
            }
            // The setpoints stay where they are until the next decision.
            Err(NoAction::Late) => self.action = None,
            Err(no_action) => {
                self.output_bad |= no_action == NoAction::NotFinite;
                // The last action stays while it drives the plant; one from before an interruption must not come back.
                if mode != Mode::Run {
                    self.action = None;
                }
            }
        }
    }

    /// Counts the cycle.
    pub(crate) fn end_cycle(&mut self) {
        self.not_finite.note(self.output_bad);
    }

    /// The policy does not run: what it said before counts no more.
    pub(crate) fn forget(&mut self) {
        *self = Self { generation: self.generation, confirmed_at: self.confirmed_at, ..Self::default() };
    }

    /// An operator has looked at it.
    pub(crate) fn reset_counts(&mut self) {
        self.not_finite = Streak::default();
        self.out_of_bounds = Streak::default();
        self.late = Recent::default();
    }
}
