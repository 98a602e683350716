//! What was seen of one tag, and of one setpoint.

use std::collections::BTreeMap;

use rt_config::Range;
use rt_core::record::Reply;
use rt_core::tag::Quality;
use shm_layout::{SetpointPart, TagPart};

use super::envelope::Envelope;
use crate::legend::{TagLegend, Zone};
use crate::words::{limit_names, withheld_name};

/// One tag.
#[derive(Debug)]
pub(super) struct TagTrack {
    pub(super) legend: TagLegend,
    pub(super) curve: Envelope,
    /// Cycles by quality: good, uncertain, bad.
    pub(super) qualities: [u64; 3],
    /// Cycles in which its value lay in the red zone, and in the yellow one or beyond it.
    pub(super) red: u64,
    pub(super) yellow: u64,
    /// Lowest and highest value that counted.
    pub(super) extent: Option<(f64, f64)>,
    /// What its latest cycle would worry an operator with.
    pub(super) worry: Option<&'static str>,
}

impl TagTrack {
    pub(super) fn new(legend: TagLegend) -> Self {
        let (qualities, extent, worry) = ([0; 3], None, None);
        Self { legend, curve: Envelope::new(), qualities, red: 0, yellow: 0, extent, worry }
    }

    pub(super) fn take(&mut self, since_ns: u64, part: &TagPart) {
        let is_bad = part.quality == Quality::Bad as u8;
        // What is bad is no value, whatever number stands beside it.
        let value = if is_bad { f64::NAN } else { part.value };
        self.curve.push(since_ns, value);
        if let Some(count) = self.qualities.get_mut(usize::from(part.quality)) {
            *count += 1;
        }
        let is_out = |zone| self.legend.range(zone).is_some_and(|range: Range| value < range.lo || value > range.hi);
        let (red, yellow) = (is_out(Zone::Red), is_out(Zone::Yellow));
        self.red += u64::from(red);
        self.yellow += u64::from(yellow);
        self.worry = match (is_bad, red, yellow) {
            (true, ..) => Some("bad"),
            (_, true, _) => Some("in its red zone"),
            (_, _, true) => Some("in its yellow zone"),
            _ => None,
        };
        if value.is_finite() {
            let (lo, hi) = self.extent.unwrap_or((value, value));
            self.extent = Some((lo.min(value), hi.max(value)));
        }
    }
}

/// One setpoint.
#[derive(Debug)]
pub(super) struct SetpointTrack {
    pub(super) raw: Envelope,
    pub(super) sent: Envelope,
    pub(super) last: Envelope,
    pub(super) readback: Envelope,
    /// Cycles in which each limit acted.
    pub(super) limits: BTreeMap<&'static str, u64>,
    /// Cycles in which nothing was sent, by reason.
    pub(super) withheld: BTreeMap<&'static str, u64>,
    /// Cycles that knew the plant's last answer as a refusal.
    pub(super) refused: u64,
    /// The limits that acted in its latest cycle.
    pub(super) acting: u32,
}

impl SetpointTrack {
    pub(super) fn new() -> Self {
        Self {
            raw: Envelope::new(),
            sent: Envelope::new(),
            last: Envelope::new(),
            readback: Envelope::new(),
            limits: BTreeMap::new(),
            withheld: BTreeMap::new(),
            refused: 0,
            acting: 0,
        }
    }

    pub(super) fn take(&mut self, since_ns: u64, part: &SetpointPart) {
        let curves = [&mut self.raw, &mut self.sent, &mut self.last, &mut self.readback];
        for (curve, value) in curves.into_iter().zip([part.desired, part.sent, part.last, part.readback]) {
            curve.push(since_ns, value);
        }
        self.acting = part.acted;
        self.refused += u64::from(part.reply == Reply::Refused as u32);
        limit_names(part.acted).for_each(|name| *self.limits.entry(name).or_default() += 1);
        if let Some(name) = withheld_name(part.state) {
            *self.withheld.entry(name).or_default() += 1;
        }
    }
}
