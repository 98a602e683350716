//! The cycle record as it lies in shared memory: one function for the runtime and the replay.

use std::num::NonZeroU16;

use rt_core::record::{CycleView, Flags};
use rt_core::time::Span;
use shm_layout::{CycleHead, CycleLayout};

/// Turns what a cycle reports into the words of its record. All memory is taken when it is made.
#[derive(Clone, Debug)]
pub struct CycleRecords {
    layout: CycleLayout,
    words: Box<[u64]>,
    /// The generation of the record before.
    generation: u64,
}

impl CycleRecords {
    /// Records of this layout, behind a cycle that followed the policy of this generation.
    pub fn new(layout: CycleLayout, generation: u64) -> Self {
        Self { layout, words: vec![0; layout.words()].into(), generation }
    }

    /// The record of this cycle; `None` when the words do not have the layout's size, which no construction permits.
    ///
    /// # Real-time
    /// Wait-free, bounded by the number of tags and setpoints.
    pub fn fill(&mut self, view: &CycleView<'_>) -> Option<&[u64]> {
        let adopted = view.generation != self.generation;
        self.generation = view.generation;
        let record = self.layout.view_mut(&mut self.words).ok()?;
        *record.head = head(view, adopted);
        record.head.n_setpoints = self.layout.dims()[0];
        record.head.n_tags = self.layout.dims()[1];
        for (part, row) in record.setpoints.iter_mut().zip(view.setpoints) {
            part.desired = row.desired;
            part.sent = row.sent.unwrap_or(f64::NAN);
            part.last = row.last.unwrap_or(f64::NAN);
            part.readback = row.read_back.unwrap_or(f64::NAN);
            part.acted = u32::from(row.acted.bits());
            part.state = row.withheld.map_or(0, |reason| reason as u32);
            part.reply = row.reply.map_or(0, |reply| reply as u32);
        }
        for (part, reading) in record.tags.iter_mut().zip(view.image.readings()) {
            part.value = reading.value;
            part.age_ns = reading.age.as_ns();
            part.quality = reading.quality as u8;
            part.stale = u8::from(reading.stale);
            part.source_time = reading.source_time;
        }
        Some(&self.words)
    }
}

fn head(view: &CycleView<'_>, adopted: bool) -> CycleHead {
    let short = |span: Span| u32::try_from(span.as_ns()).unwrap_or(u32::MAX);
    let flags = [
        (Flags::OBSERVED, CycleHead::OBSERVATION_SLOT),
        (Flags::DECISION, CycleHead::DECISION_SLOT),
        (Flags::TRIGGERED, CycleHead::TRIGGERED),
        (Flags::ARMED, CycleHead::ARMED),
        (Flags::EXPLORED, CycleHead::EXPLORED),
        (Flags::SENT, CycleHead::WROTE),
        (Flags::LATCHED, CycleHead::LATCHED),
        (Flags::FAULT, CycleHead::FAULT),
        (Flags::LINK, CycleHead::CONNECTED),
        (Flags::DECIDED, CycleHead::DECIDED),
        (Flags::NOT_FINITE, CycleHead::NOT_FINITE),
        (Flags::OUT_OF_BOUNDS, CycleHead::OUT_OF_BOUNDS),
        (Flags::LATE_DECISION, CycleHead::LATE_DECISION),
    ];
    let bits = flags.iter().filter(|(flag, _)| view.flags.contains(*flag)).fold(0, |bits, (_, bit)| bits | bit);
    let step_sent = view.flags.contains(Flags::OBSERVED) && view.mode.transitions();
    let zone = view.because.zone;
    CycleHead {
        cycle: view.slot.index,
        release_ns: view.slot.release.as_ns(),
        dt_ns: view.slot.dt.as_ns(),
        policy_generation: view.generation,
        reward: view.reward.unwrap_or(f64::NAN),
        zone_depth: zone.map_or(0.0, |zone| zone.depth),
        lateness_ns: short(view.slot.lateness),
        execution_ns: short(view.execution),
        response_ns: view.response.map_or(0, short),
        skipped: u32::try_from(view.slot.skipped).unwrap_or(u32::MAX),
        samples_drained: view.samples,
        flags: bits
            | if adopted { CycleHead::POLICY_ADOPTED } else { 0 }
            | if step_sent { CycleHead::STEP_SENT } else { 0 },
        mode: view.mode as u8,
        mode_previous: view.previous as u8,
        samples_lost: 0,
        n_setpoints: 0,
        n_tags: 0,
        cause: 0,
        goal: view.because.goal.map_or(0, NonZeroU16::get),
        zone_tag: zone.and_then(|zone| u16::try_from(zone.tag.index()).ok()).unwrap_or(0),
        zone: zone.map_or(0, |zone| if zone.is_red { CycleHead::RED } else { CycleHead::YELLOW }),
        reserved: [0; 3],
    }
}
