//! One segment of one agent, as far as it can be looked at.

use rt_control::{CallError, Client, Refusal};
use rt_core::ports::Clock as _;
use serde::Serialize;
use shm::{Segment, SegmentKind};
use shm_layout::{LAYOUT_VERSION, SegmentHeader};

/// A segment that a runtime hands out.
pub(super) enum Found {
    /// Its header is believed.
    Believed(Segment),
    /// It is not, or did not come.
    Refused(Refused),
}

/// Why a segment cannot be looked into, and what it says of itself all the same.
pub(super) struct Refused {
    pub(super) reason: String,
    pub(super) alleged: Option<SegmentHeader>,
}

/// Asks for the segment of this kind; `None` if the runtime has none, as before a learner joined.
pub(super) fn find(client: &mut Client, kind: SegmentKind) -> Option<Found> {
    let descriptor = match client.segment(kind.code()) {
        Ok(descriptor) => descriptor,
        Err(CallError::Refused(Refusal::NoSuchSegment { .. } | Refusal::NotNow { .. })) => return None,
        Err(error) => return Some(Found::Refused(Refused { reason: error.to_string(), alleged: None })),
    };
    let alleged = watch::alleged_header(&descriptor);
    Some(match watch::attach(descriptor, kind) {
        Ok(segment) => Found::Believed(segment),
        Err(blind) => Found::Refused(Refused { reason: blind.to_string(), alleged }),
    })
}

/// What a header says.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    pub(super) bytes: u64,
    pub(super) layout_version: u32,
    pub(super) generation: u64,
    pub(super) slots: u64,
    pub(super) slot_bytes: u64,
    #[serde(flatten)]
    pub(super) owner: Owner,
    /// Since its creation; `None` where the header does not say when that was.
    pub(super) age_ns: Option<u64>,
}

/// The process that made a segment.
#[derive(Debug, Serialize)]
pub(super) struct Owner {
    pub(super) owner_pid: u32,
    pub(super) owner_program: Option<String>,
    pub(super) owner_alive: bool,
}

impl Facts {
    pub(super) fn of(segment: &Segment) -> Self {
        let header = segment.header();
        Self {
            bytes: header.length_bytes() as u64,
            // A segment of another version is not attached at all.
            layout_version: LAYOUT_VERSION,
            generation: header.generation(),
            slots: header.slots() as u64,
            slot_bytes: (header.slot_words() * size_of::<u64>()) as u64,
            owner: Owner::of(header.owner_pid()),
            age_ns: age_ns(header.created_monotonic_ns()),
        }
    }

    pub(super) fn alleged(header: &SegmentHeader) -> Self {
        Self {
            bytes: header.length_bytes,
            layout_version: header.layout_version,
            generation: header.generation,
            slots: header.slots.into(),
            slot_bytes: u64::from(header.slot_words) * size_of::<u64>() as u64,
            owner: Owner::of(header.owner_pid),
            age_ns: age_ns(header.created_monotonic_ns),
        }
    }
}

impl Owner {
    /// What the kernel says of the process with this number.
    pub(super) fn of(pid: u32) -> Self {
        let program = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The state follows the name in brackets, which may itself hold brackets.
        let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
        Self {
            owner_pid: pid,
            // Foreign bytes are not let loose on a terminal.
            owner_program: program.map(|name| name.chars().filter(|c| !c.is_control()).collect()),
            owner_alive: state.is_some_and(|state| !"ZX".contains(state)),
        }
    }

    pub(super) fn for_people(&self) -> String {
        let name = self.owner_program.as_deref().unwrap_or("process");
        let gone = if self.owner_alive { "" } else { ", gone" };
        format!("{name} {}{gone}", self.owner_pid)
    }
}

fn age_ns(created_ns: u64) -> Option<u64> {
    (created_ns > 0).then(|| now_ns().saturating_sub(created_ns))
}

/// Now, by the clock of all headers, records and heartbeats.
pub(super) fn now_ns() -> u64 {
    rt_sys::MonotonicClock::new().now().as_ns()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_called_by_its_program_and_said_to_be_gone_when_it_is() {
        let ours = Owner::of(std::process::id());
        assert!(ours.owner_alive && ours.owner_program.is_some(), "{ours:?}");
        let nobody = Owner::of(u32::MAX);
        assert_eq!(nobody.for_people(), format!("process {}, gone", u32::MAX));
    }
}
