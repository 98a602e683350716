//! Rings: the stamps of their slots, and the newest records.

use std::time::Duration;

use shm::broadcast::{self, Next, Start};
use shm::{Segment, SegmentKind};
use shm_layout::{
    CONTROL_WORD, CycleHead, CycleLayout, CycleRef, DATA_WORD, EVENT_WORDS, EventRecord, StepHead, StepLayout,
};

use super::finding::{FOREIGN, REPORT, STUCK, VERSION};
use super::{Findings, Subject};

/// The newest so many records are looked at.
const RECORDS: u64 = 64;
/// A record is written in microseconds: one that is not finished after so many looks never will be.
const LOOKS: usize = 50;
const LOOK_EVERY: Duration = Duration::from_millis(1);

pub(super) fn examine(segment: &Segment, subject: &Subject, findings: &mut Findings) {
    if !stamps(segment, findings) {
        return;
    }
    match segment.header().kind() {
        SegmentKind::Cycles => cycles(segment, subject, findings),
        SegmentKind::Transitions => steps(segment, findings),
        SegmentKind::Events => events(segment, findings),
        _ => {}
    }
}

/// Whether every slot holds what a sound writer could have left there.
fn stamps(segment: &Segment, findings: &mut Findings) -> bool {
    let (slots, stride) = (segment.header().slots(), segment.header().slot_words() + 1);
    let published = || segment.word(CONTROL_WORD).unwrap_or(0);
    let stamp = |slot: usize| segment.word(DATA_WORD + slot * stride).unwrap_or(0);
    let before = published();
    let stamps: Vec<u64> = (0..slots).map(stamp).collect();
    let after = published();
    let mut wrong = stamps.iter().enumerate().filter(|(slot, stamp)| {
        let slot = *slot as u64;
        !is_possible(**stamp, slot, slots as u64, before..=after)
    });
    if let Some((slot, stamp)) = wrong.next() {
        let others = match wrong.count() {
            0 => String::new(),
            count => format!(", and {count} more of {slots}"),
        };
        let text =
            format!("after {after} records slot {slot} has the stamp {stamp}, which no sound writer leaves{others}");
        findings.add(text, FOREIGN);
        return false;
    }
    let begun = stamps.iter().position(|stamp| *stamp == after.wrapping_mul(2).wrapping_add(1));
    if begun.is_some_and(|slot| stays(|| (published(), stamp(slot)))) {
        findings
            .add(format!("record {after} was begun and is not finished: its writer died or was stopped in it"), STUCK);
    }
    true
}

/// Whether a slot can have this stamp while the count of records is in `published`: `2n + 1` while record `n` is written,
/// `2n + 2` when it is whole, 0 before the first.
fn is_possible(stamp: u64, slot: u64, slots: u64, published: std::ops::RangeInclusive<u64>) -> bool {
    let (before, after) = published.into_inner();
    // The newest record that is known to be whole and belongs here.
    let whole = before.checked_sub(slot + 1).map(|past| before - 1 - past % slots);
    match stamp.checked_sub(1).map(|stamp| stamp / 2) {
        None => whole.is_none(),
        Some(number) => number % slots == slot && number <= after && whole.is_none_or(|whole| number >= whole),
    }
}

fn stays<T: PartialEq>(look: impl Fn() -> T) -> bool {
    let first = look();
    (0..LOOKS).all(|_| {
        std::thread::sleep(LOOK_EVERY);
        look() == first
    })
}

/// Shows the newest records to `judge`, each with the one before it if none is missing between them; the first complaint.
fn first_complaint<T: Copy>(
    segment: &Segment,
    mut judge: impl FnMut(Option<T>, &[u64]) -> (Option<T>, Option<String>),
) -> Option<String> {
    let mut reader = broadcast::Reader::new(segment, Start::Back(RECORDS)).ok()?;
    let mut words = vec![0; reader.slot_words()];
    let mut before = None;
    for _ in 0..RECORDS {
        match reader.next(&mut words) {
            Next::Record { .. } => {
                let (this, complaint) = judge(before, &words);
                if complaint.is_some() {
                    return complaint;
                }
                before = this;
            }
            Next::Lost(_) => before = None,
            Next::Empty | Next::Damaged { .. } => break,
        }
    }
    None
}

fn cycles(segment: &Segment, subject: &Subject, findings: &mut Findings) {
    let Some(layout) = CycleLayout::from_dims(segment.header().dims()) else { return };
    let period_ns = subject.description.period_ns;
    let complaint = first_complaint(segment, |before: Option<CycleHead>, words| match layout.view(words) {
        Ok(record) => (Some(*record.head), cycle(before, &record, period_ns)),
        Err(mismatch) => (None, Some(mismatch.to_string())),
    });
    if let Some(complaint) = complaint {
        findings.add(complaint, REPORT);
    }
}

fn cycle(before: Option<CycleHead>, record: &CycleRef<'_>, period_ns: u64) -> Option<String> {
    let head = record.head;
    let number = head.cycle;
    if (head.n_setpoints as usize, head.n_tags as usize) != (record.setpoints.len(), record.tags.len()) {
        return Some(format!("the record of cycle {number} counts other setpoints or tags than it has"));
    }
    if rt_core::mode::Mode::from_number(head.mode).is_none() {
        return Some(format!("the record of cycle {number} has mode {}, which is none", head.mode));
    }
    let before = before?;
    let slots = u64::from(head.skipped).saturating_add(1);
    if number != before.cycle.saturating_add(slots) {
        let skipped = head.skipped;
        return Some(format!(
            "cycle {number} says that it skipped {skipped} slots, and follows cycle {}",
            before.cycle
        ));
    }
    let expected_ns = before.release_ns.saturating_add(slots.saturating_mul(period_ns));
    (head.release_ns != expected_ns)
        .then(|| format!("cycle {number} was released at {} ns, its slot was at {expected_ns} ns", head.release_ns))
}

fn steps(segment: &Segment, findings: &mut Findings) {
    let Some(layout) = StepLayout::from_dims(segment.header().dims()) else { return };
    let complaint = first_complaint(segment, |before: Option<StepHead>, words| {
        let Ok(step) = layout.view(words) else { return (None, None) };
        let number = step.head.sequence;
        let complaint = match before {
            Some(before) if number != before.sequence.wrapping_add(1) => {
                Some(format!("step {number} follows step {}", before.sequence))
            }
            _ if (step.head.n_state as usize, step.head.n_action as usize) != (step.state.len(), step.action.len()) => {
                Some(format!("step {number} counts other columns than it has"))
            }
            _ => None,
        };
        (Some(*step.head), complaint)
    });
    if let Some(complaint) = complaint {
        findings.add(complaint, REPORT);
    }
}

fn events(segment: &Segment, findings: &mut Findings) {
    let complaint = first_complaint(segment, |_: Option<()>, words| {
        let event = words.first_chunk::<EVENT_WORDS>().map(EventRecord::from_words);
        let unknown = event.filter(|event| event.kind().is_none());
        (None, unknown.map(|event| format!("an event has kind {}, which this program does not know", event.kind)))
    });
    if let Some(complaint) = complaint {
        findings.add(complaint, VERSION);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stamp_of_a_sound_ring_is_possible_and_no_other_one_is() {
        let slots = 4;
        for published in 0..20_u64 {
            for slot in 0..slots {
                let whole = (0..published).rev().find(|number| number % slots == slot);
                let mut sound = vec![whole.map_or(0, |number| 2 * number + 2)];
                if published % slots == slot {
                    // The next record is being written here, or whole and not yet counted.
                    sound.extend([2 * published + 1, 2 * published + 2]);
                }
                for stamp in (0..60).chain([u64::MAX]) {
                    let possible = is_possible(stamp, slot, slots, published..=published);
                    let overwritten = whole.is_some_and(|number| stamp == 2 * number + 1);
                    assert!(possible == sound.contains(&stamp) || overwritten, "{published} {slot} {stamp}");
                }
            }
        }
    }
}
