//! Trips that have to happen: counted here once more, from what can be seen of a cycle.

use std::collections::VecDeque;

use rt_config::Site;
use rt_core::mode::Mode;
use rt_core::ports::Command;
use rt_core::record::Flags;
use rt_core::trips::OutOf;

use super::super::controller::Inputs;
use super::super::witness::Witness;
use super::{Verdict, demand};

/// What was counted since the last reset.
pub(super) struct Trips {
    overrun_limit: OutOf,
    nan_limit: u32,
    /// Whether each of the last cycles was late by a period or more.
    late: VecDeque<bool>,
    /// The newest output was not finite, and for so many cycles.
    output_bad: bool,
    bad_cycles: u32,
}

impl Trips {
    pub(super) fn new(site: &Site) -> Self {
        let (overrun_limit, nan_limit) = (site.runtime.overrun_limit, site.runtime.nan_limit);
        Self { overrun_limit, nan_limit, late: VecDeque::new(), output_bad: false, bad_cycles: 0 }
    }

    /// F23, F69: what is counted too often keeps the policy and the last value from the plant.
    pub(super) fn judge(&mut self, inputs: &Inputs, seen: &Witness) -> Verdict {
        self.count(inputs, seen);
        if seen.previous == Mode::Shadow && seen.mode != Mode::Shadow {
            self.reset();
        }
        let driven = matches!(seen.mode, Mode::Run | Mode::Hold);
        let late = self.late.iter().filter(|late| **late).count();
        demand(!driven || late < usize::from(self.overrun_limit.m), "F69", || {
            format!("{:?} after {late} late cycles among {}", seen.mode, self.late.len())
        })?;
        demand(!driven || self.bad_cycles <= self.nan_limit, "F23", || {
            format!("{:?} after {} cycles without a finite output", seen.mode, self.bad_cycles)
        })
    }

    fn count(&mut self, inputs: &Inputs, seen: &Witness) {
        if self.late.len() == usize::from(self.overrun_limit.n) {
            self.late.pop_front();
        }
        self.late.push_back(inputs.slot.skipped > 0);
        if inputs.commands.contains(&Command::Reset) {
            self.reset();
        }
        let runs = matches!(seen.previous, Mode::Shadow | Mode::Run | Mode::Hold | Mode::Fallback);
        self.output_bad |= seen.flags.contains(Flags::NOT_FINITE);
        self.output_bad &= runs && !seen.flags.contains(Flags::DECIDED);
        self.bad_cycles = if self.output_bad { self.bad_cycles + 1 } else { 0 };
    }

    fn reset(&mut self) {
        self.late.clear();
        self.bad_cycles = 0;
    }
}
