//! One slot of the I/O grid, told in time order: newest set, lease and claim, write, read, report, upkeep.

use rt_core::alarm::ALARMS_MAX;
use rt_core::ports::{Clock, FieldReport};
use rt_core::setpoint::{SETPOINTS_MAX, SetpointSet};
use rt_core::tag::{Quality, Sample, TagId};
use rt_core::time::{MonoTime, Span};
use shm::lease::Lease;
use shm::spsc::Producer;

use crate::bus::{BusError, Connected, Feed, FeedState, FieldBus, Loss, Reading, Receipt, WriteResult};
use crate::claim::Claim;
use crate::news::{News, NewsSender};
use crate::output::Output;
use crate::reconnect::Pauses;
use crate::sets::NewestSet;

/// How long one attempt to connect may take. Only the io thread waits for it.
const CONNECT_TIMEOUT: Span = Span::from_ms(5_000);
/// How long taking leave may take.
const DISCONNECT_TIMEOUT: Span = Span::from_ms(200);
/// An alarm that did not change is written again after this long: its tag may be from before a restart of the plant's
/// controller.
const ALARM_REFRESH: Span = Span::from_ms(10_000);

/// How one connection is driven.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The tags that are read, in the order of the bus's inputs.
    pub inputs: Vec<TagId>,
    /// The setpoints that are written, in the order of the bus's outputs: index in the site's list, and refresh.
    pub outputs: Vec<(u8, Span)>,
    /// The bus has one more output behind these: the plant heartbeat, written this often.
    pub heartbeat_every: Option<Span>,
    /// The bus has one more output per alarm behind these: their places in the site's list.
    pub alarms: Vec<u8>,
    /// The bus has one more input and one more output, the last ones: the tag of the claim, which has this term.
    pub claim_term: Option<Span>,
    /// The deadline of a cyclic call.
    pub call_timeout: Span,
    /// Write and read in one round trip.
    pub paired: bool,
    /// Seed of the pauses between attempts to connect.
    pub seed: u64,
}

/// What has to be held for anything to be sent.
#[derive(Clone, Debug)]
pub struct Rights {
    /// The lease of the plant on this machine; whoever holds it may write.
    pub lease: Lease,
    /// Held by the loop for as long as the plant shows our name, when it has a tag for that. To be seen by others.
    pub claim: Option<Lease>,
}

impl Rights {
    /// What is needed for this connection beside the lease.
    ///
    /// # Real-time
    /// Not for the real-time thread.
    pub fn new(lease: Lease, settings: &Settings) -> Self {
        let claim = settings.claim_term.map(|term| Lease::heap(Claim::looks_hold_for(term).as_ns()));
        Self { lease, claim }
    }
}

/// What the loop has done so far. Plain numbers of its own thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// I/O slots with a connection.
    pub cycles: u64,
    /// Values that were read or told, and handed to the control thread.
    pub samples: u64,
    /// Values that were read or told, and found no place in the ring.
    pub samples_lost: u64,
    /// Those that were read or told and good.
    pub good: u64,
    /// Those that were uncertain.
    pub uncertain: u64,
    /// Those that were bad.
    pub bad: u64,
    /// Setpoints that the plant confirmed.
    pub setpoints_written: u64,
    /// Setpoints that the plant refused.
    pub setpoints_refused: u64,
    /// Sets that were too old to be sent.
    pub sets_expired: u64,
    /// Sets that were not sent because a newer one was there.
    pub sets_superseded: u64,
    /// Sets that were not sent because the lease of the plant was not held at that moment.
    pub sets_fenced: u64,
    /// Heartbeats that the plant confirmed.
    pub heartbeats: u64,
    /// Writes whose outcome is unknown: they missed their deadline, or the connection was lost meanwhile.
    pub writes_unknown: u64,
    /// Calls that missed their deadline.
    pub timeouts: u64,
    /// Calls that the server refused as a whole.
    pub refusals: u64,
    /// Values that the plant refused to take: setpoints, and what is written beside them.
    pub values_refused: u64,
    /// Connections that were lost.
    pub losses: u64,
    /// Attempts to connect that failed.
    pub connect_failures: u64,
    /// Connections that were established.
    pub connects: u64,
    /// How the plant tells by itself what changes.
    pub feed: Feed,
}

/// What the answered calls of one slot took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Inputs were asked for; `None` also where the plant told all of them by itself.
    pub read: Option<Span>,
    /// Outputs were written.
    pub write: Option<Span>,
    /// Both at once.
    pub exchange: Option<Span>,
}

/// The loop of one connection. Owned by its io thread.
pub struct IoLoop<B> {
    bus: B,
    link: Link,
    inputs: Box<[TagId]>,
    outputs: Box<[Output]>,
    heartbeat: Option<Beat>,
    alarms: Box<[Output]>,
    /// The plant refused to write one, and that was told on this connection.
    alarm_refused: bool,
    /// Scratch of one slot: requests and answers.
    values: Box<[Option<f64>]>,
    results: Box<[WriteResult]>,
    readings: Box<[Reading]>,
    newest: Option<SetpointSet>,
    /// No slot has looked at the newest set yet.
    unseen: bool,
    lease: Lease,
    claim: Option<Claim>,
    /// It was told on this connection.
    claim_refused: bool,
    reports: Producer<FieldReport>,
    sets: NewestSet,
    news: NewsSender,
    call_timeout: Span,
    paired: bool,
    tally: Tally,
    calls: Calls,
}

#[derive(Debug)]
enum Link {
    Up,
    Down { next_attempt: MonoTime, pauses: Pauses },
}

#[derive(Clone, Copy, Debug)]
struct Beat {
    every: Span,
    last: Option<(u16, MonoTime)>,
}

impl<B: FieldBus> IoLoop<B> {
    /// A loop that is not connected yet: its first slot tries. It sends nothing while one of its rights is not held.
    ///
    /// # Panics
    /// A setpoint or alarm is at or beyond [`SETPOINTS_MAX`] or [`ALARMS_MAX`]: a mistake of the caller.
    pub fn new(
        bus: B,
        settings: &Settings,
        reports: Producer<FieldReport>,
        sets: NewestSet,
        news: NewsSender,
        rights: Rights,
    ) -> Self {
        assert!(
            settings.outputs.iter().all(|(setpoint, _)| usize::from(*setpoint) < SETPOINTS_MAX),
            "a setpoint beyond SETPOINTS_MAX"
        );
        assert!(settings.alarms.iter().all(|alarm| usize::from(*alarm) < ALARMS_MAX), "an alarm beyond ALARMS_MAX");
        let claims = usize::from(settings.claim_term.is_some());
        let beats = usize::from(settings.heartbeat_every.is_some());
        let width = settings.outputs.len() + beats + settings.alarms.len() + claims;
        Self {
            bus,
            link: Link::Down { next_attempt: MonoTime::ZERO, pauses: Pauses::new(settings.seed) },
            inputs: settings.inputs.clone().into(),
            outputs: settings.outputs.iter().map(|(setpoint, refresh)| Output::new(*setpoint, *refresh)).collect(),
            heartbeat: settings.heartbeat_every.map(|every| Beat { every, last: None }),
            alarms: settings.alarms.iter().map(|alarm| Output::new(*alarm, ALARM_REFRESH)).collect(),
            alarm_refused: false,
            values: vec![None; width].into(),
            results: vec![WriteResult::NotAsked; width].into(),
            readings: vec![Reading::MISSING; settings.inputs.len() + claims].into(),
            newest: None,
            unseen: false,
            lease: rights.lease,
            claim: rights.claim.zip(settings.claim_term).map(|(claim, term)| Claim::new(claim, term)),
            claim_refused: false,
            reports,
            sets,
            news,
            call_timeout: settings.call_timeout,
            paired: settings.paired,
            tally: Tally::default(),
            calls: Calls::default(),
        }
    }

    /// One slot: connect if need be, else write what is due and read everything.
    ///
    /// # Real-time
    /// For the io thread. Every call is bounded by the call's time-out, allocates nothing while connected; an attempt to
    /// connect is bounded by five seconds and may allocate.
    pub fn run_slot(&mut self, clock: &impl Clock) {
        self.calls = Calls::default();
        self.take_newest();
        if !self.is_up() && !self.try_connect(clock) {
            return;
        }
        self.tally.cycles += 1;
        let deadline = clock.now() + self.call_timeout;
        let token = self.take_turn(clock.now());
        let due = self.collect_due(clock.now()) && self.is_permitted(clock.now());
        let asked = self.add_token(token) || due;
        let outcome = match (asked, self.paired) {
            (false, _) => self.read(clock, deadline),
            (true, true) => self.write_and_read_together(clock, deadline),
            (true, false) => {
                self.write(clock, deadline).and_then(|()| self.read(clock, clock.now() + self.call_timeout))
            }
        };
        // Before the upkeep, which may mend it.
        self.take_feed();
        let outcome = outcome.and_then(|()| match self.bus.maintain(clock.now() + self.call_timeout) {
            Err(BusError::Lost(loss)) => Err(loss),
            _ => Ok(()),
        });
        if let Err(loss) = outcome {
            self.go_down(loss, clock);
        }
    }

    /// Takes leave of the server, and gives the claim up first.
    pub fn close(&mut self, clock: &impl Clock) {
        let deadline = clock.now() + DISCONNECT_TIMEOUT;
        let farewell = self.claim.as_ref().filter(|_| self.lease.permits(clock.now().as_ns()));
        let farewell = farewell.and_then(|claim| claim.farewell(self.lease.claimant(), clock.now()));
        self.values.fill(None);
        if self.is_up() && self.add_token(farewell) {
            // Whoever misses it waits for the term.
            let _ = self.bus.write(&self.values, &mut self.results, deadline);
        }
        self.bus.disconnect(deadline);
    }

    /// What was done so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What the calls of the latest slot took.
    pub fn calls(&self) -> Calls {
        self.calls
    }

    /// Whether it is connected.
    pub fn is_up(&self) -> bool {
        matches!(self.link, Link::Up)
    }

    /// The bus, for those who simulate it.
    pub fn bus_mut(&mut self) -> &mut B {
        &mut self.bus
    }

    /// There is only one set to take: after an outage there is no burst of old ones.
    fn take_newest(&mut self) {
        if let Some((set, passed_over)) = self.sets.take() {
            self.tally.sets_superseded += passed_over + u64::from(self.unseen);
            (self.newest, self.unseen) = (Some(set), true);
        }
    }

    fn try_connect(&mut self, clock: &impl Clock) -> bool {
        let Link::Down { next_attempt, pauses } = &mut self.link else { return true };
        if clock.now() < *next_attempt {
            return false;
        }
        match self.bus.connect(clock.now() + CONNECT_TIMEOUT) {
            Ok(connected) => {
                let Connected { server, kinds, notices, resumed } = connected;
                for (output, kind) in self.outputs.iter_mut().zip(&kinds) {
                    output.forget();
                    push(&mut self.reports, FieldReport::Kind { setpoint: output.place, kind: *kind });
                }
                self.alarms.iter_mut().for_each(Output::forget);
                push(&mut self.reports, FieldReport::Link(true));
                self.news.tell(News::Up { server, notices, resumed });
                (self.link, self.claim_refused, self.alarm_refused) = (Link::Up, false, false);
                self.tally.connects += 1;
                // Connecting took its time, and the set may be from before it.
                self.take_newest();
                true
            }
            Err(failure) => {
                *next_attempt = pauses.next_attempt(clock.now());
                self.tally.connect_failures += 1;
                self.news.tell(News::CannotConnect(failure));
                false
            }
        }
    }

    fn go_down(&mut self, loss: Loss, clock: &impl Clock) {
        self.bus.disconnect(clock.now() + DISCONNECT_TIMEOUT);
        self.tally.feed.state = FeedState::Off;
        self.tally.losses += 1;
        push(&mut self.reports, FieldReport::Link(false));
        self.news.tell(News::Down(loss));
        let mut pauses = Pauses::new(clock.now().as_ns());
        self.link = Link::Down { next_attempt: pauses.first_attempt(clock.now()), pauses };
    }

    /// What to write into the claim's tag now.
    fn take_turn(&mut self, now: MonoTime) -> Option<f64> {
        let claim = self.claim.as_mut()?;
        claim.turn(self.lease.permits(now.as_ns()), self.lease.claimant(), now)
    }

    fn add_token(&mut self, token: Option<f64>) -> bool {
        if let (Some(token), Some(value)) = (token, self.values.last_mut()) {
            *value = Some(token);
        }
        token.is_some()
    }

    /// Puts what is to be written now into `values`; whether that is anything.
    fn collect_due(&mut self, now: MonoTime) -> bool {
        self.values.fill(None);
        self.results.fill(WriteResult::NotAsked);
        self.unseen = false;
        let first_alarm = self.first_alarm();
        let Some(set) = &self.newest else { return false };
        if now > set.expires {
            self.tally.sets_expired += 1;
            self.let_go();
            return false;
        }
        for (value, output) in self.values.iter_mut().zip(&mut self.outputs) {
            *value = output.request(set.values.get(usize::from(output.place)).copied().flatten(), now);
        }
        let beat_value = self.values.get_mut(self.outputs.len());
        if let (Some(beat), Some(count), Some(value)) = (&self.heartbeat, set.heartbeat, beat_value) {
            let due = beat.last.is_none_or(|(last, at)| last != count && now.since(at) >= beat.every);
            *value = due.then_some(f64::from(count));
        }
        for (value, alarm) in self.values.iter_mut().skip(first_alarm).zip(&mut self.alarms) {
            *value = alarm.request(set.alarms.map(|raised| f64::from(raised >> alarm.place & 1)), now);
        }
        self.values.iter().any(Option::is_some)
    }

    /// The last look before anything is sent: whether the plant is ours at this instant. Whatever is between this look and
    /// the wire can still be overtaken by somebody who stops the process there; only the plant can exclude that.
    fn is_permitted(&mut self, now: MonoTime) -> bool {
        let claimant = self.lease.claimant();
        let claimed = self.claim.as_ref().is_none_or(|claim| claim.permits(claimant, now));
        let permitted = claimed && self.lease.permits(now.as_ns());
        if !permitted {
            self.tally.sets_fenced += 1;
            self.values.fill(None);
            self.let_go();
        }
        permitted
    }

    /// The newest set is not to be sent, and whoever writes meanwhile is not us.
    fn let_go(&mut self) {
        self.newest = None;
        self.outputs.iter_mut().chain(&mut self.alarms).for_each(Output::let_go);
    }

    /// Where the alarms begin among the bus's outputs.
    fn first_alarm(&self) -> usize {
        self.outputs.len() + usize::from(self.heartbeat.is_some())
    }

    fn write(&mut self, clock: &impl Clock, deadline: MonoTime) -> Result<(), Loss> {
        let began = clock.now();
        let outcome = self.bus.write(&self.values, &mut self.results, deadline);
        let now = clock.now();
        self.calls.write = is_answered(outcome).then(|| now.since(began));
        self.take_written(outcome, now)
    }

    fn read(&mut self, clock: &impl Clock, deadline: MonoTime) -> Result<(), Loss> {
        let asked = clock.now();
        let outcome = self.bus.read(&mut self.readings, deadline);
        let now = clock.now();
        // Of a call that was refused the readings say nothing.
        let is_round_trip = match outcome {
            Ok(()) => self.readings.iter().any(|reading| reading.receipt == Receipt::Asked),
            refused => is_answered(refused),
        };
        self.calls.read = is_round_trip.then(|| now.since(asked));
        self.take_readings(outcome, asked, now)
    }

    fn write_and_read_together(&mut self, clock: &impl Clock, deadline: MonoTime) -> Result<(), Loss> {
        let asked = clock.now();
        let (written, read) = self.bus.exchange(&self.values, &mut self.results, &mut self.readings, deadline);
        let now = clock.now();
        self.calls.exchange = (is_answered(written) && is_answered(read)).then(|| now.since(asked));
        // The read need not have seen the write, so its outcome is taken after the readings.
        let readings = self.take_readings(read, asked, now);
        self.take_written(written, now).and(readings)
    }

    fn take_readings(
        &mut self,
        outcome: Result<(), BusError>,
        asked: MonoTime,
        received: MonoTime,
    ) -> Result<(), Loss> {
        if let Err(error) = outcome {
            return self.missed(error);
        }
        if let (Some(claim), Some(tag)) = (&mut self.claim, self.readings.last())
            && tag.quality == Quality::Good
            && tag.receipt == Receipt::Asked
        {
            claim.look(tag.value, asked, received);
        }
        for (tag, reading) in self.inputs.iter().zip(&self.readings) {
            let Reading { value, quality, source_time, receipt } = *reading;
            let received = match receipt {
                Receipt::Asked => received,
                Receipt::Told { since } => since,
                Receipt::Nothing => continue,
            };
            let sample = Sample { tag: *tag, value, quality, received, source_time };
            match quality {
                Quality::Good => self.tally.good += 1,
                Quality::Uncertain => self.tally.uncertain += 1,
                Quality::Bad => self.tally.bad += 1,
            }
            match push(&mut self.reports, FieldReport::Sample(sample)) {
                true => self.tally.samples += 1,
                false => self.tally.samples_lost += 1,
            }
        }
        self.outputs.iter_mut().chain(&mut self.alarms).for_each(Output::read_back);
        Ok(())
    }

    fn take_feed(&mut self) {
        let feed = self.bus.feed();
        if feed.state != self.tally.feed.state {
            self.news.tell(News::Feed(feed.state));
        }
        self.tally.feed = feed;
    }

    fn take_written(&mut self, outcome: Result<(), BusError>, now: MonoTime) -> Result<(), Loss> {
        let cycle = self.newest.map_or(0, |set| set.cycle);
        let (mut written, mut refused) = (0u32, 0u32);
        for ((output, value), result) in self.outputs.iter_mut().zip(&self.values).zip(&self.results) {
            let Some(value) = *value else { continue };
            match (outcome, result) {
                (Ok(()), WriteResult::Done) => written |= 1 << output.place,
                (Ok(()), WriteResult::Refused { .. }) | (Err(BusError::Refused { .. }), _) => {
                    refused |= 1 << output.place;
                }
                _ => {}
            }
            if let Some(status) = output.take(outcome, value, *result, now) {
                self.news.tell(News::SetpointRefused { setpoint: output.place, value, status });
            }
        }
        self.tally.setpoints_written += u64::from(written.count_ones());
        self.tally.setpoints_refused += u64::from(refused.count_ones());
        self.tally.writes_unknown += u64::from(matches!(outcome, Err(BusError::Unknown | BusError::Lost(_))));
        let is_refused = |result: &&WriteResult| matches!(result, WriteResult::Refused { .. });
        self.tally.values_refused +=
            if outcome.is_ok() { self.results.iter().filter(is_refused).count() as u64 } else { 0 };
        self.take_heartbeat(outcome.is_ok(), now);
        self.take_alarms(outcome, now);
        self.take_claimed(now);
        if written | refused != 0 {
            push(&mut self.reports, FieldReport::Wrote { cycle, written, refused });
        }
        outcome.or_else(|error| self.missed(error))
    }

    fn take_heartbeat(&mut self, answered: bool, now: MonoTime) {
        let place = self.outputs.len();
        let (Some(beat), Some(value), Some(result)) =
            (&mut self.heartbeat, self.values.get(place), self.results.get(place))
        else {
            return;
        };
        if let (true, Some(_), WriteResult::Done) = (answered, value, result) {
            let count = self.newest.and_then(|set| set.heartbeat).unwrap_or_default();
            beat.last = Some((count, now));
            self.tally.heartbeats += 1;
        }
    }

    fn take_alarms(&mut self, outcome: Result<(), BusError>, now: MonoTime) {
        let first = self.first_alarm();
        let written = self.values.iter().zip(&self.results).skip(first);
        for (alarm, (value, result)) in self.alarms.iter_mut().zip(written) {
            let Some(value) = *value else { continue };
            alarm.take(outcome, value, *result, now);
            if let (Ok(()), WriteResult::Refused { status }, false) = (outcome, result, self.alarm_refused) {
                self.alarm_refused = true;
                self.news.tell(News::AlarmRefused { alarm: alarm.place, status: *status });
            }
        }
    }

    fn take_claimed(&mut self, now: MonoTime) {
        let (Some(claim), Some(Some(_))) = (&mut self.claim, self.values.last()) else { return };
        claim.sent(now);
        if let (Some(WriteResult::Refused { status }), false) = (self.results.last(), self.claim_refused) {
            self.claim_refused = true;
            self.news.tell(News::ClaimRefused { status: *status });
        }
    }

    /// A missed deadline or a refusal makes samples stale and a write unknown, nothing more.
    fn missed(&mut self, error: BusError) -> Result<(), Loss> {
        match error {
            BusError::Lost(loss) => Err(loss),
            BusError::NotSent | BusError::Unknown => {
                self.tally.timeouts += 1;
                Ok(())
            }
            BusError::Refused { .. } => {
                self.tally.refusals += 1;
                Ok(())
            }
        }
    }
}

/// Whether the plant has said anything to a call.
fn is_answered(outcome: Result<(), BusError>) -> bool {
    matches!(outcome, Ok(()) | Err(BusError::Refused { .. }))
}

/// Whether the report found a place; a full ring means that the control thread has stopped, and nobody waits for it.
fn push(reports: &mut Producer<FieldReport>, report: FieldReport) -> bool {
    reports.push(report).is_ok()
}

#[cfg(test)]
mod tests;
