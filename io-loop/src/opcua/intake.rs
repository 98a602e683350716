//! How the inputs of one session come in: read in every call, or told by the server and verified by reading.
//!
//! # What is believed of a server that tells by itself
//! A value that does not change is not told, so silence may mean that nothing changes or that nobody speaks. The server's
//! keep-alives show that the subscription as a whole lives; for the single tag, only a look does. So a tag of which nothing
//! was heard for its watch time is read, in turn with others, and counts as confirmed then. When it reads differently from
//! what was last told, and the change is still not told when it must have been, the subscription is dead for that tag, and
//! another one takes its place. Until there is one, everything is read in every call.

use std::time::Duration;

use rt_core::tag::Quality;
use rt_core::time::{MonoTime, Span};
use ua_session::{
    CallError, Notified, PrepareError, ReadPlan, ReadValue, Session, Subscription, SubscriptionTally, ValueId,
};

use super::translate::{quality_of, reading_of};
use crate::bus::{Feed, FeedState, Reading, Receipt};

/// The shortest time from one attempt to subscribe to the next; it doubles with each that comes to nothing.
const PAUSE_MIN: Span = Span::from_ms(1_000);
/// The longest.
const PAUSE_MAX: Span = Span::from_ms(32_000);
/// A subscription that lived for longer than this was a success.
const LIFE_MIN: Span = Span::from_ms(60_000);
/// What a change may take from the server to us beyond the server's own delay before it counts as not told.
const WAY_MAX: Span = Span::from_ms(250);
/// Part of the watch time in which the turn comes round to everybody.
const TURN_PART: u64 = 4;

/// The server says with a value that its unit or range has changed (Part 4, 7.39.1, SemanticsChanged).
const SEMANTICS_CHANGED: u32 = 1 << 14;

/// Which inputs the server shall tell by itself.
#[derive(Clone, Debug)]
pub struct Subscribing {
    /// It looks at them, and tells what has changed, this often.
    pub every: Span,
    /// The time between two reads.
    pub io_period: Span,
    /// For each input, in the order of the inputs: it is read when nothing was heard of it for this long. `None`: it is not
    /// told, and read every time.
    pub watch: Vec<Option<Span>>,
}

/// A read of some inputs.
struct Request {
    plan: ReadPlan,
    values: Vec<ReadValue>,
    /// Which inputs these are.
    places: Vec<usize>,
}

impl Request {
    fn new(session: &Session, nodes: &[ValueId], places: Vec<usize>) -> Result<Self, PrepareError> {
        let wanted: Vec<_> = places.iter().filter_map(|place| nodes.get(*place)).cloned().collect();
        Ok(Self { plan: session.prepare_read(&wanted)?, values: vec![ReadValue::MISSING; wanted.len()], places })
    }
}

/// One input that the server tells.
struct Told {
    place: usize,
    watch: Span,
    /// The request by which it is verified. `None`: the server does not tell it, and it is read every time.
    share: Option<usize>,
    /// When it was last told or read.
    confirmed: Option<MonoTime>,
    /// The last message that was handed on.
    message: u64,
    /// Since when it reads differently from what was told.
    differs_since: Option<MonoTime>,
}

impl Told {
    fn new(place: usize, watch: Span) -> Self {
        Self { place, watch, share: None, confirmed: None, message: 0, differs_since: None }
    }

    fn is_due(&self, now: MonoTime) -> bool {
        self.confirmed.is_none_or(|at| now.since(at) >= self.watch)
    }

    /// Hands on what was heard, unless it was read later than that; whether it has read differently for longer than `patience`.
    fn hear(
        &mut self,
        heard: &Notified,
        asked_at: u64,
        (now, patience): (MonoTime, Span),
        input: &mut Reading,
    ) -> bool {
        let was_read = input.receipt == Receipt::Asked;
        if was_read {
            self.confirmed = Some(now);
        }
        if heard.message > self.message {
            (self.message, self.differs_since) = (heard.message, None);
            let since = MonoTime::from_ns(heard.since_ns);
            self.confirmed = self.confirmed.max(Some(since));
            if !was_read || heard.message > asked_at {
                *input = Reading { receipt: Receipt::Told { since }, ..reading_of(&heard.value) };
            }
        } else if was_read && self.share.is_some() {
            let told = reading_of(&heard.value);
            let same_value = told.value == input.value || (told.value.is_nan() && input.value.is_nan());
            match same_value && told.quality == input.quality {
                true => self.differs_since = None,
                false => self.differs_since = self.differs_since.or(Some(now)),
            }
        }
        self.differs_since.is_some_and(|since| now.since(since) > patience)
    }
}

/// The place of the request for every input.
const ALL: usize = 0;
/// The place of the request for what is not told. Behind it come the shares: the same, with some of what is told.
const REST: usize = 1;

/// The inputs of a session.
pub(super) struct Intake {
    nodes: Vec<ValueId>,
    /// [`ALL`], [`REST`], and the shares.
    requests: Vec<Request>,
    subscribing: Option<Subscribing>,
    /// In the order of the subscription.
    told: Vec<Told>,
    /// The request of this call.
    turn: usize,
    /// The share that is looked at next.
    next_share: usize,
    /// The newest message when the read was begun.
    asked_at: u64,
    feed: Feed,
    /// What of the present subscription is counted in `feed`.
    counted: SubscriptionTally,
    /// What was told is not to be relied on before everything was read.
    read_all: bool,
    /// The server has said with a value that its unit or range has changed.
    meaning_changed: bool,
    attempted: Option<MonoTime>,
    pause: Span,
}

impl Intake {
    /// Subscribes if that is wanted; what a server refuses to tell is read. `feed` is what was counted before.
    ///
    /// # Errors
    /// There are too many inputs, or the session is beyond use.
    pub(super) fn open(
        session: &mut Session,
        nodes: &[ValueId],
        (subscribing, feed): (Option<&Subscribing>, Feed),
        (now, deadline): (MonoTime, MonoTime),
    ) -> Result<Self, String> {
        let all = Request::new(session, nodes, (0..nodes.len()).collect()).map_err(|error| error.to_string())?;
        let mut intake = Self {
            nodes: nodes.to_vec(),
            requests: vec![all],
            subscribing: subscribing.cloned(),
            told: Vec::new(),
            turn: ALL,
            next_share: 0,
            asked_at: 0,
            feed: Feed { state: FeedState::Off, ..feed },
            counted: SubscriptionTally::default(),
            read_all: true,
            meaning_changed: false,
            attempted: None,
            pause: PAUSE_MIN,
        };
        intake.keep_subscribed(session, (now, deadline)).map_err(|error| error.to_string())?;
        Ok(intake)
    }

    /// How the server tells, and what went amiss with it.
    pub(super) fn feed(&self) -> Feed {
        self.feed
    }

    /// Whether the server has said since the last call that the unit or the range of a value has changed.
    pub(super) fn take_meaning_changed(&mut self) -> bool {
        std::mem::take(&mut self.meaning_changed)
    }

    fn is_live(&self) -> bool {
        matches!(self.feed.state, FeedState::Live { .. })
    }

    /// Subscribes when there is no subscription that lives, and the pause after the last attempt is over.
    ///
    /// # Errors
    /// The session is beyond use.
    pub(super) fn keep_subscribed(
        &mut self,
        session: &mut Session,
        (now, deadline): (MonoTime, MonoTime),
    ) -> Result<(), CallError> {
        let waits = self.attempted.is_some_and(|at| now.since(at) < self.pause);
        if self.subscribing.is_none() || self.is_live() || waits {
            return Ok(());
        }
        let came_to_nothing = self.attempted.is_some_and(|at| now.since(at) <= LIFE_MIN);
        self.pause = if came_to_nothing { self.pause.times(2).min(PAUSE_MAX) } else { PAUSE_MIN };
        self.attempted = Some(now);
        match self.subscribe(session, deadline) {
            Err(error) if error.needs_reconnect() => return Err(error),
            Err(CallError::Refused { status }) => self.feed.state = FeedState::Refused { status },
            // It was too slow, and is asked again later.
            Err(_) => self.feed.state = FeedState::Over { status: 0 },
            Ok(()) => {}
        }
        Ok(())
    }

    fn subscribe(&mut self, session: &mut Session, deadline: MonoTime) -> Result<(), CallError> {
        let Some(subscribing) = &self.subscribing else { return Ok(()) };
        let watched = subscribing.watch.iter().enumerate().filter_map(|(place, watch)| Some((place, (*watch)?)));
        let (every, io_period) = (subscribing.every, subscribing.io_period);
        let mut told: Vec<Told> = watched.map(|(place, watch)| Told::new(place, watch)).collect();
        let nodes: Vec<_> = told.iter().filter_map(|told| self.nodes.get(told.place)).cloned().collect();
        session.subscribe(&nodes, Duration::from_nanos(every.as_ns()), deadline.as_ns())?;
        let accepted = session.subscription().map(Subscription::accepted).unwrap_or_default();
        let taken = told.iter_mut().zip(accepted).filter(|(_, status)| quality_of(**status) != Quality::Bad);
        let mut taken: Vec<_> = taken.map(|(told, _)| told).collect();
        let size = share_size(&taken, io_period);
        for (index, told) in taken.iter_mut().enumerate() {
            told.share = Some(REST + 1 + index / size);
        }
        self.told = told;
        (self.counted, self.read_all, self.next_share) = (SubscriptionTally::default(), true, REST + 1);
        self.feed.state = FeedState::Live { refused: self.told.iter().filter(|told| told.share.is_none()).count() };
        self.prepare_shares(session);
        Ok(())
    }

    fn prepare_shares(&mut self, session: &Session) {
        let mut shares = vec![None; self.nodes.len()];
        for told in &self.told {
            shares.iter_mut().skip(told.place).take(1).for_each(|share| *share = told.share);
        }
        let last = shares.iter().flatten().copied().max().unwrap_or(REST);
        let places = |share| {
            let suits = |of: Option<usize>| of.is_none_or(|of| of == share);
            shares.iter().enumerate().filter(|(_, of)| suits(**of)).map(|(place, _)| place).collect()
        };
        // None is larger than the one for all, which could be prepared.
        let requests = (REST..=last).filter_map(|share| Request::new(session, &self.nodes, places(share)).ok());
        let requests: Vec<_> = requests.collect();
        self.requests.truncate(REST);
        self.requests.extend(requests);
    }

    /// Takes in what was told, and decides what is read in this call.
    ///
    /// # Errors
    /// The session is beyond use.
    ///
    /// # Real-time
    /// As [`Session::take_changes`].
    pub(super) fn begin(
        &mut self,
        session: &mut Session,
        (now, deadline): (MonoTime, MonoTime),
    ) -> Result<(), CallError> {
        self.turn = ALL;
        if !self.is_live() {
            return Ok(());
        }
        // What could not be asked for now is asked for in the next call.
        if let Err(error) = session.take_changes(deadline.as_ns())
            && error.needs_reconnect()
        {
            return Err(error);
        }
        let Some(subscription) = session.subscription() else { return Ok(()) };
        self.count(subscription.tally());
        if let Some(status) = subscription.over() {
            self.end(FeedState::Over { status });
            return Ok(());
        }
        self.asked_at = subscription.newest_message();
        if !self.read_all {
            self.turn = self.next_turn(now);
        }
        Ok(())
    }

    fn end(&mut self, state: FeedState) {
        self.feed.state = state;
        self.feed.ended += 1;
    }

    fn count(&mut self, tally: SubscriptionTally) {
        let SubscriptionTally { republished, lost, overflows, .. } = self.counted;
        self.feed.republished += tally.republished - republished;
        self.feed.lost += tally.lost - lost;
        self.feed.overflows += tally.overflows - overflows;
        // What is told again is old.
        self.read_all |= tally.lost > lost || tally.republished > republished;
        self.counted = tally;
    }

    /// Looks at the next share: it is read when one of it is due.
    fn next_turn(&mut self, now: MonoTime) -> usize {
        let share = self.next_share;
        self.next_share = if share + 1 < self.requests.len() { share + 1 } else { REST + 1 };
        let is_due = |told: &Told| told.share == Some(share) && told.is_due(now);
        if self.told.iter().any(is_due) { share } else { REST }
    }

    /// The read of this call.
    pub(super) fn request(&mut self) -> Option<(&mut ReadPlan, &mut [ReadValue])> {
        let request = self.requests.get_mut(self.turn)?;
        Some((&mut request.plan, &mut request.values))
    }

    /// Hands on what was read and told, once the read has succeeded.
    ///
    /// # Real-time
    /// Bounded by the number of inputs; allocates nothing.
    pub(super) fn finish(&mut self, session: &Session, now: MonoTime, inputs: &mut [Reading]) {
        inputs.iter_mut().for_each(|input| input.receipt = Receipt::Nothing);
        let Some(request) = self.requests.get(self.turn) else { return };
        for (place, value) in request.places.iter().zip(&request.values) {
            self.meaning_changed |= value.status & SEMANTICS_CHANGED != 0;
            if let Some(input) = inputs.get_mut(*place) {
                *input = reading_of(value);
            }
        }
        let Some(subscription) = session.subscription().filter(|_| self.is_live()) else { return };
        self.read_all &= self.turn != ALL;
        let patience = Span::from_ns(subscription.delay_ns().saturating_mul(2)) + WAY_MAX;
        let mut mute = None;
        for (told, heard) in self.told.iter_mut().zip(subscription.values()) {
            let Some(input) = inputs.get_mut(told.place) else { continue };
            self.meaning_changed |= heard.message > told.message && heard.value.status & SEMANTICS_CHANGED != 0;
            if told.hear(heard, self.asked_at, (now, patience), input) {
                mute = mute.or(Some(told.place));
            }
        }
        if let Some(input) = mute {
            self.end(FeedState::Mute { input });
        }
    }
}

/// As small as it can be when the turn shall come round in time.
fn share_size(told: &[&mut Told], io_period: Span) -> usize {
    let shortest = told.iter().map(|told| told.watch).min().unwrap_or(Span::MAX);
    let calls = shortest.as_ns() / TURN_PART / io_period.as_ns().max(1);
    told.len().div_ceil(usize::try_from(calls.max(1)).unwrap_or(usize::MAX)).max(1)
}
