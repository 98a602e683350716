//! One event: something that happened to the runtime, with its cycle and cause.

use zerocopy::{FromZeros, IntoBytes, transmute};

/// Bytes of text that an event carries.
pub const EVENT_TEXT_BYTES: usize = 64;
/// Words of an [`EventRecord`].
pub const EVENT_WORDS: usize = 16;

abi_table! {
    /// What happened; `a` and `b` are the two numbers of the record.
    pub enum EventKind: u32 {
        /// The runtime started. a: process id.
        Started => "started",
        /// The runtime ends in good order.
        Stopping => "stopping",
        /// The mode changed. a: from, b: to.
        ModeChange => "mode_change",
        /// Entry to FALLBACK that only an operator resets. a: from mode.
        Trip => "trip",
        /// An operator reset a trip.
        TripReset => "trip_reset",
        /// Armed.
        Armed => "armed",
        /// Disarmed.
        Disarmed => "disarmed",
        /// A policy was adopted. a: generation, b: epoch.
        PolicyAdopted => "policy_adopted",
        /// A policy was refused by verification. a: generation, b: epoch.
        PolicyRefused => "policy_refused",
        /// A learner was granted its segments. a: epoch, b: process id.
        LearnerAttached => "learner_attached",
        /// The learner's process has ended, or it is silent. a: epoch, b: process id.
        LearnerLost => "learner_lost",
        /// The plant connection is up. a: number of the connection, b: 1 where the server has kept the session.
        ConnectionUp => "connection_up",
        /// The plant connection is down. a: number of the connection.
        ConnectionDown => "connection_down",
        /// The server refused setpoints. a: their bits. b: 0 for each write that it refused; the status code when it begins to
        /// refuse one, or does with another.
        SetpointRejected => "setpoint_rejected",
        /// The data type of a setpoint's node is known. a: setpoint.
        SetpointKind => "setpoint_kind",
        /// A setpoint's outcome is unknown. a: setpoint.
        SetpointUnknown => "setpoint_unknown",
        /// An operator took a setpoint on the plant. a: setpoint.
        OperatorTook => "operator_took",
        /// A setpoint was handed back. a: setpoint.
        OperatorReturned => "operator_returned",
        /// A tag became unusable. a: tag, b: quality.
        TagBad => "tag_bad",
        /// A tag is usable again. a: tag.
        TagGood => "tag_good",
        /// Control slots were skipped. a: number of slots.
        SlotsSkipped => "slots_skipped",
        /// Records or samples were lost. a: number.
        Lost => "lost",
        /// A violated expectation was caught. a, b: its place.
        Fault => "fault",
        /// A command was refused or executed over the control socket.
        Command => "command",
        /// A caller's user may not do what it asked for. a: process id.
        AccessRefused => "access_refused",
        /// A real-time means was asked for and is not confirmed. a: bits.
        Degraded => "degraded",
        /// A signal was received. a: its number.
        Signal => "signal",
        /// A setpoint on the plant stays what it was before our confirmed write. a: setpoint.
        ReadBackMismatch => "read_back_mismatch",
        /// What the runtime was started with, or limits, nominal values and rules for tags that were changed live. a: number of
        /// the change.
        Configured => "configured",
        /// A file of the recording was begun; a: its number, b: cycles lost before it. Or the flight recorder saved one; a: its
        /// cycles, b: cycles that are missing in it.
        Recording => "recording",
        /// The lease of the plant was taken. a: epoch, b: epoch before, 0 when there was none.
        LeaseTaken => "lease_taken",
        /// The lease of the plant was let go or lost. a: epoch.
        LeaseLost => "lease_lost",
        /// A verified policy runs in the shadow. a: generation, b: epoch.
        PolicyOnTrial => "policy_on_trial",
        /// A policy did not stand its trial. a: generation, b: epoch.
        PolicyFailedTrial => "policy_failed_trial",
        /// A policy stood its probation. a: generation.
        PolicyProven => "policy_proven",
        /// A policy did not stand its probation. a: its generation, b: the generation that came back.
        PolicyRolledBack => "policy_rolled_back",
        /// The learner lives, gets steps, and neither learns nor publishes. a: epoch, b: process id.
        LearnerStalled => "learner_stalled",
        /// The audit log cannot be written, or can again. a: 1 when it cannot, b: entries that are or were late.
        AuditLog => "audit_log",
        /// The server of a connection tells by itself what changes, or does not any more. a: number of the connection, b: 1
        /// while it does.
        Subscription => "subscription",
        /// An alarm was raised or cleared. a: its place in the site, b: 1 when it was raised.
        Alarm => "alarm",
        /// A learner without a checkpoint begins to learn from the history, or has. a: epoch, b: process id.
        LearnerRebuild => "learner_rebuild",
    }
}

abi_struct! {
    /// One event.
    pub struct EventRecord: 128 {
        /// Cycle in which it happened.
        pub cycle: u64,
        /// CLOCK_MONOTONIC nanoseconds.
        pub time_ns: u64,
        /// Code of the [`EventKind`].
        pub kind: u32,
        /// Cause, as the kind defines it; 0 when none.
        pub cause: u32,
        /// User who asked for it; `u32::MAX` when nobody did.
        pub uid: u32,
        /// Zero.
        pub reserved_a: u32,
        /// First number.
        pub a: u64,
        /// Second number.
        pub b: u64,
        /// UTF-8, filled up with zeros.
        pub text: [u8; 64],
        /// Zero.
        pub reserved_b: [u64; 2],
    }
}

const _: () = assert!(size_of::<EventRecord>() == EVENT_WORDS * 8);

impl EventRecord {
    /// An event without numbers, cause, user or text.
    pub fn new(kind: EventKind, cycle: u64, time_ns: u64) -> Self {
        let mut record = Self::new_zeroed();
        (record.kind, record.cycle, record.time_ns) = (kind.code(), cycle, time_ns);
        record.uid = u32::MAX;
        record
    }

    /// What happened, unless the code is unknown to this build.
    pub fn kind(&self) -> Option<EventKind> {
        EventKind::from_code(self.kind)
    }

    /// Puts in as much of the text as fits, cut at a character's border.
    pub fn set_text(&mut self, text: &str) {
        let end = text.floor_char_boundary(EVENT_TEXT_BYTES);
        self.text = [0; EVENT_TEXT_BYTES];
        for (to, from) in self.text.iter_mut().zip(text.bytes().take(end)) {
            *to = from;
        }
    }

    /// The text up to its first zero or byte that is not UTF-8.
    pub fn text(&self) -> &str {
        let bytes = self.text.split(|byte| *byte == 0).next().unwrap_or(&[]);
        bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
    }

    /// The record as words.
    pub fn to_words(&self) -> [u64; EVENT_WORDS] {
        transmute!(*self)
    }

    /// The record in these words; every pattern of bits is one.
    pub fn from_words(words: &[u64; EVENT_WORDS]) -> Self {
        let mut record = Self::new_zeroed();
        record.as_mut_bytes().copy_from_slice(words.as_bytes());
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_its_words() {
        let mut event = EventRecord::new(EventKind::PolicyAdopted, 12, 34);
        (event.a, event.b) = (5, 6);
        event.set_text("Überdruck");
        let back = EventRecord::from_words(&event.to_words());
        assert_eq!(back, event);
        assert_eq!(back.kind(), Some(EventKind::PolicyAdopted));
        assert_eq!(back.text(), "Überdruck");
    }

    #[test]
    fn long_text_is_cut_between_characters_and_foreign_text_is_harmless() {
        let mut event = EventRecord::new(EventKind::Fault, 0, 0);
        event.set_text(&"ü".repeat(40));
        assert_eq!(event.text(), "ü".repeat(32));
        event.set_text(&std::format!("x{}", "ü".repeat(40)));
        assert_eq!(event.text().len(), 63);
        event.text = [0xff; EVENT_TEXT_BYTES];
        assert_eq!(event.text(), "");
        event.kind = u32::MAX;
        assert_eq!(event.kind(), None);
    }
}
