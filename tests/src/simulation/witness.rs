//! What one cycle leaves behind, as somebody sees it who stands beside.

use rt_core::mode::Mode;
use rt_core::ports::Recorder;
use rt_core::record::{CycleView, Event, Flags, SetpointRow};

/// The newest cycle's record and events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Witness {
    /// Records since [`Witness::forget`].
    pub(crate) records: u32,
    pub(crate) cycle: u64,
    pub(crate) mode: Mode,
    pub(crate) previous: Mode,
    pub(crate) flags: Flags,
    pub(crate) rows: Vec<SetpointRow>,
    pub(crate) heartbeat: Option<u16>,
    pub(crate) events: Vec<Event>,
}

impl Witness {
    /// Before the next cycle.
    pub(crate) fn forget(&mut self) {
        self.records = 0;
        self.events.clear();
    }
}

impl Recorder for Witness {
    fn cycle(&mut self, view: &CycleView<'_>) {
        self.records += 1;
        (self.cycle, self.mode, self.previous) = (view.slot.index, view.mode, view.previous);
        (self.flags, self.heartbeat) = (view.flags, view.heartbeat);
        self.rows.clear();
        self.rows.extend_from_slice(view.setpoints);
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}
