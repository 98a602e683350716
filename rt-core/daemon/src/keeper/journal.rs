//! Events: each is one record in shared memory, one line in the log, and an entry of the audit log if it belongs there. Of what
//! goes on and on, every single one is in shared memory; log and audit log get the beginning, and sums.

use std::time::{Duration, Instant};

use rt_control::{AuditStatus, Peer};
use rt_core::mode::Mode;
use rt_core::ports::Clock;
use rt_core::record::Event;
use rt_recording::{Concern, event_record};
use rt_sys::MonotonicClock;
use shm::{broadcast, counters};
use shm_layout::{Counter, EventKind, EventRecord};

use crate::keeper::audit::{self, Alarm, Audit};
use crate::keeper::restraint::{Restraint, Subject, Verdict};

/// The one writer of the event ring.
pub(crate) struct Journal {
    ring: broadcast::Writer,
    clock: MonotonicClock,
    /// Names of the setpoints, in the site's order.
    setpoints: Vec<String>,
    count: u64,
    /// What the control thread has counted tells which cycle it is in.
    counters: counters::Writer<Counter>,
    /// Of its last event.
    cycle: u64,
    restraint: Restraint,
    audit: Audit,
}

impl Journal {
    pub(crate) fn new(
        ring: broadcast::Writer,
        clock: MonotonicClock,
        audit: Audit,
        counters: counters::Writer<Counter>,
        setpoints: Vec<String>,
    ) -> Self {
        Self { ring, clock, setpoints, count: 0, counters, cycle: 0, restraint: Restraint::default(), audit }
    }

    /// Events so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Something that the keeper itself did or saw.
    pub(crate) fn note(&mut self, kind: EventKind, text: &str) {
        self.entry(kind).text(text).publish();
    }

    /// What somebody asked for.
    pub(crate) fn command(&mut self, peer: Peer, text: &str) {
        self.entry(EventKind::Command).numbers(peer.pid.into(), 0).by(peer).text(text).publish();
    }

    /// An entry of the keeper's, to be completed.
    pub(crate) fn entry(&mut self, kind: EventKind) -> Entry<'_> {
        let (cycle, at) = (self.newest_cycle(), self.clock.now().as_ns());
        let record = EventRecord::new(kind, cycle, at);
        Entry { journal: self, record, message: String::new(), pid: None }
    }

    /// The cycle that ended last, as far as the control thread has told: every slot was a cycle or is counted as lost.
    fn newest_cycle(&self) -> u64 {
        let slots = self.counters.get(Counter::Cycles).saturating_add(self.counters.get(Counter::SlotsSkipped));
        self.cycle.max(slots.saturating_sub(1))
    }

    /// One look at the clock and at the audit log's thread: sums that are due, and what it has to tell.
    pub(crate) fn turn(&mut self) {
        for (subject, count) in self.restraint.sums(self.clock.now()) {
            let text = format!("{} {}: {count} more since the last line", subject.name, subject.of);
            tracing::warn!(event = subject.name, count, "{text}");
            if subject.audited {
                self.audit.note(audit::entry(subject.name, text));
            }
        }
        while let Some(Alarm { failing, entries, text }) = self.audit.next_alarm() {
            self.entry(EventKind::AuditLog).numbers(failing.into(), entries).text(&text).publish();
        }
    }

    /// How the audit log is.
    pub(crate) fn audit_status(&self) -> &AuditStatus {
        self.audit.status()
    }

    /// Waits for the last entries of the audit log until then.
    pub(crate) fn close(&mut self, deadline: Instant) {
        if !self.audit.close(deadline) {
            tracing::error!("the disk is too slow: the last entries of the audit log are not written");
        }
        self.turn();
    }

    /// A complaint that may come again and again, for the log alone.
    pub(crate) fn complain(&mut self, connection: u64, id: &str, message: &str) {
        let subject = Subject { name: "cannot_connect", of: connection, audited: false };
        match self.restraint.judge(subject, self.clock.now()) {
            Verdict::Say => tracing::warn!(connection_id = %id, "cannot connect: {message}"),
            Verdict::SayAsTheLast => tracing::warn!(connection_id = %id, "cannot connect: {message}{COUNTED}"),
            Verdict::Count => {}
        }
    }

    /// An event of the control thread.
    pub(crate) fn record(&mut self, event: &Event) {
        self.cycle = event.cycle;
        let (record, message) = event_record(event, &self.setpoints);
        self.publish(&record);
        self.say(&record, message, None);
    }

    fn publish(&mut self, record: &EventRecord) {
        self.count += u64::from(self.ring.publish(&record.to_words()).is_ok());
    }

    fn say(&mut self, record: &EventRecord, mut message: String, pid: Option<u32>) {
        let verdict = match subject(record) {
            Some(subject) => self.restraint.judge(subject, self.clock.now()),
            None => Verdict::Say,
        };
        match verdict {
            Verdict::Count => return,
            Verdict::SayAsTheLast => message += COUNTED,
            Verdict::Say => {}
        }
        log(record, &message);
        if record.kind().is_some_and(is_audited) {
            self.audit.note(audit_entry(record, message, pid));
        }
    }
}

/// What the last line says before others are counted.
const COUNTED: &str = " (again and again: the next ones are counted, and told in sums)";

/// An entry that is being written.
pub(crate) struct Entry<'a> {
    journal: &'a mut Journal,
    record: EventRecord,
    message: String,
    pid: Option<u32>,
}

impl Entry<'_> {
    pub(crate) fn numbers(mut self, a: u64, b: u64) -> Self {
        (self.record.a, self.record.b) = (a, b);
        self
    }

    pub(crate) fn uid(mut self, uid: u32) -> Self {
        self.record.uid = uid;
        self
    }

    /// Whoever asked for it.
    pub(crate) fn by(mut self, peer: Peer) -> Self {
        self.pid = Some(peer.pid);
        self.uid(peer.uid)
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        self.record.set_text(text);
        self.message = text.to_owned();
        self
    }

    pub(crate) fn publish(self) {
        self.journal.publish(&self.record);
        self.journal.say(&self.record, self.message, self.pid);
    }

    /// Publishes it once it is on the disk.
    ///
    /// # Errors
    /// Why it cannot be recorded, or was not within `patience`. Then it is not published, and must not be done.
    pub(crate) fn require(self, patience: Duration) -> Result<(), String> {
        self.journal.audit.require(audit_entry(&self.record, self.message.clone(), self.pid), patience)?;
        self.journal.publish(&self.record);
        log(&self.record, &self.message);
        Ok(())
    }
}

/// What belongs into the audit log: acts of people and processes, and what became of the plant's control by them or by itself.
const fn is_audited(kind: EventKind) -> bool {
    use EventKind as Kind;
    match kind {
        Kind::Started | Kind::Stopping | Kind::Signal | Kind::Degraded => true,
        Kind::Command | Kind::Armed | Kind::Disarmed | Kind::Configured | Kind::AccessRefused => true,
        Kind::ModeChange | Kind::Trip | Kind::TripReset | Kind::Fault => true,
        Kind::OperatorTook | Kind::OperatorReturned => true,
        Kind::LearnerAttached | Kind::PolicyRefused | Kind::PolicyFailedTrial | Kind::PolicyRolledBack => true,
        Kind::LeaseTaken | Kind::LeaseLost => true,
        // A log that cannot be written says so itself when it can again.
        Kind::AuditLog => false,
        Kind::PolicyAdopted | Kind::PolicyOnTrial | Kind::PolicyProven => false,
        Kind::LearnerLost | Kind::LearnerStalled | Kind::LearnerRebuild => false,
        Kind::ConnectionUp | Kind::ConnectionDown | Kind::Subscription => false,
        Kind::SetpointRejected | Kind::SetpointKind | Kind::SetpointUnknown | Kind::ReadBackMismatch => false,
        Kind::TagBad | Kind::TagGood | Kind::SlotsSkipped | Kind::Lost | Kind::Recording | Kind::Alarm => false,
    }
}

/// What may come again and again, and what is counted together then. An act of a person, and what it led to, is always said;
/// a trip latches.
fn subject(record: &EventRecord) -> Option<Subject> {
    use EventKind as Kind;
    let kind = record.kind()?;
    let (name, of) = match kind {
        Kind::ConnectionUp | Kind::ConnectionDown => ("connection", record.a),
        Kind::OperatorTook | Kind::OperatorReturned => ("operator", record.a),
        Kind::TagBad | Kind::TagGood => ("tag", record.a),
        Kind::ReadBackMismatch | Kind::SetpointKind | Kind::SetpointUnknown | Kind::Subscription | Kind::Alarm => {
            (kind.name(), record.a)
        }
        // How a plant begins to refuse is not lost among its refusals, nor what a trip does among changes to and fro.
        Kind::SetpointRejected => (kind.name(), (record.b != 0).into()),
        Kind::ModeChange => (kind.name(), (record.b == Mode::Fallback as u64).into()),
        Kind::SlotsSkipped | Kind::Lost | Kind::Fault => (kind.name(), 0),
        Kind::PolicyAdopted | Kind::PolicyRefused | Kind::LearnerLost | Kind::LearnerAttached => (kind.name(), 0),
        Kind::PolicyOnTrial | Kind::PolicyProven | Kind::PolicyFailedTrial | Kind::PolicyRolledBack => (kind.name(), 0),
        Kind::LearnerStalled | Kind::LearnerRebuild | Kind::AccessRefused | Kind::AuditLog => (kind.name(), 0),
        Kind::Started | Kind::Stopping | Kind::Signal | Kind::Degraded | Kind::Recording => return None,
        Kind::Command | Kind::Armed | Kind::Disarmed | Kind::Configured | Kind::Trip | Kind::TripReset => return None,
        Kind::LeaseTaken | Kind::LeaseLost => return None,
    };
    Some(Subject { name, of, audited: is_audited(kind) })
}

fn audit_entry(record: &EventRecord, text: String, pid: Option<u32>) -> rt_state::audit::Entry {
    let what = record.kind().map_or("unknown", EventKind::name);
    let uid = (record.uid != u32::MAX).then_some(record.uid);
    rt_state::audit::Entry { cycle: record.cycle, uid, pid, ..audit::entry(what, text) }
}

/// The line of an event; skipped slots come in crowds and are for those who ask.
fn log(record: &EventRecord, message: &str) {
    let (cycle, event) = (record.cycle, record.kind().map_or("unknown", EventKind::name));
    // A line says something, also where the event's name says it all.
    let named = event.replace('_', " ");
    let message = if message.is_empty() { &named } else { message };
    match Concern::of(record) {
        Concern::Detail => tracing::debug!(cycle, event, "{message}"),
        Concern::Warning => tracing::warn!(cycle, event, "{message}"),
        Concern::Note => tracing::info!(cycle, event, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rt_core::record::EventKind as CoreEvent;
    use rt_core::time::MonoTime;
    use shm::broadcast::Start;
    use shm_layout::EVENT_WORDS;

    const EVENTS: u64 = 2_000;

    /// How many events a journal put into its ring, and the texts of its audit log up to the one that ends like this.
    fn kept(say: impl FnOnce(&mut Journal), last: &str) -> (u64, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let ring = broadcast::heap(EVENT_WORDS, 4096);
        let mut reader = ring.reader(Start::Oldest);
        let audit = Audit::start(path.clone(), &[]).unwrap();
        let mut journal = Journal::new(ring, MonotonicClock::new(), audit, counters::heap().0, vec!["FEED_SP".into()]);
        say(&mut journal);
        journal.close(Instant::now() + Duration::from_secs(10));
        let (mut words, mut events) = ([0; EVENT_WORDS], 0);
        while matches!(reader.next(&mut words), broadcast::Next::Record { .. }) {
            events += 1;
        }
        // A busy disk may be slower than what is promised at the end.
        let texts = || -> Vec<String> {
            let entries = rt_state::audit::records(&path).into_iter().flatten();
            entries.filter_map(|entry| Some(entry.ok()?.ok()?.entry.text)).collect()
        };
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while texts().last().is_none_or(|text| !text.ends_with(last)) {
            assert!(std::time::Instant::now() < deadline, "{last:?} is not in {:?}", texts());
            std::thread::sleep(Duration::from_millis(5));
        }
        (events, texts())
    }

    fn event(cycle: u64, kind: CoreEvent) -> Event {
        Event { cycle, at: MonoTime::ZERO, kind }
    }

    #[test]
    fn what_the_keeper_says_bears_the_cycle_that_it_is_said_in() {
        let dir = tempfile::tempdir().unwrap();
        let (counters, _reader) = counters::heap();
        let ring = broadcast::heap(EVENT_WORDS, 16);
        let mut events = ring.reader(Start::Oldest);
        let audit = Audit::start(dir.path().join("audit"), &[]).unwrap();
        let mut journal = Journal::new(ring, MonotonicClock::new(), audit, counters.clone(), Vec::new());
        journal.note(EventKind::PolicyAdopted, "before the first cycle");
        journal.record(&event(7, CoreEvent::Changed { number: 1 }));
        counters.set(Counter::Cycles, 90);
        counters.set(Counter::SlotsSkipped, 11);
        journal.note(EventKind::PolicyOnTrial, "generation 3");
        // The control thread's events may be there before its counters.
        journal.record(&event(101, CoreEvent::Changed { number: 2 }));
        journal.note(EventKind::PolicyProven, "generation 3");
        let mut words = [0; EVENT_WORDS];
        let mut next = || matches!(events.next(&mut words), broadcast::Next::Record { .. }).then(|| words);
        let cycles: Vec<_> = std::iter::from_fn(&mut next).map(|words| EventRecord::from_words(&words).cycle).collect();
        assert_eq!(cycles, [0, 7, 100, 101, 101]);
    }

    #[test]
    fn f94_an_error_in_every_cycle_is_in_the_ring_each_time_and_in_the_logs_at_its_beginning() {
        let every_cycle = |journal: &mut Journal| {
            for cycle in 0..EVENTS {
                journal.record(&event(cycle, CoreEvent::ChangesUnfit { number: cycle }));
            }
        };
        let (events, entries) = kept(every_cycle, COUNTED);
        assert_eq!(events, EVENTS);
        assert!(entries.len() <= 8 && entries[0].starts_with("change 0 "), "{entries:?}");
    }

    #[test]
    fn what_a_trip_does_and_how_a_plant_begins_to_refuse_are_said_behind_a_hundred_others() {
        use rt_core::mode::Cause;
        let to = |from, to| CoreEvent::ModeChanged { from, to, cause: Cause::Overruns };
        let noise_and_a_trip = |journal: &mut Journal| {
            for cycle in 0..100 {
                journal.record(&event(cycle, to(Mode::Run, Mode::Hold)));
                journal.record(&event(cycle, CoreEvent::WriteRefused { setpoints: 1 }));
            }
            journal.entry(EventKind::SetpointRejected).numbers(1, 0x801f_0000).text("u: 1 refused").publish();
            journal.record(&event(100, to(Mode::Hold, Mode::Fallback)));
        };
        let (events, entries) = kept(noise_and_a_trip, "hold -> fallback: overruns");
        assert_eq!((events, entries.len()), (202, 9), "{entries:?}");
    }

    #[test]
    fn f94_acts_are_recorded_each_and_in_order_however_much_is_said_besides() {
        let peer = Peer { pid: 7, uid: 1000 };
        let acts_and_noise = |journal: &mut Journal| {
            for act in 0..50 {
                (0..40).for_each(|_| journal.note(EventKind::Fault, "noise"));
                journal.command(peer, &format!("act {act}"));
            }
        };
        let (_, entries) = kept(acts_and_noise, "act 49");
        let acts: Vec<_> = entries.iter().filter(|text| text.starts_with("act ")).cloned().collect();
        assert_eq!(acts, (0..50).map(|act| format!("act {act}")).collect::<Vec<_>>());
    }
}
