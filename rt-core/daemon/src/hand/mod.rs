//! A person's hand on setpoints: the envelope, the io loops and the lease of a runtime, without its control thread.
//!
//! # Contract
//! - What is sent has gone through the [`Envelope`] of the site file, with the limits of RUN and all interlocks, step by step at
//!   the I/O period, each from what the plant shows; and through the io loop, which sends nothing without the lease of this
//!   machine and, where a plant has a tag for it, the plant's own.
//! - Only setpoints of the site can be named, by their place in it; no other node is an output of any bus.
//! - It writes no plant heartbeat: nobody stands behind a value that a person wrote once.
//! - It ends at the first thing that is not as expected, and the last value stays. Its process may be killed at any instant: the
//!   value stays on its way, and whoever was asked to let go leads again.

mod error;
mod seat;

use std::time::Duration;

use io_loop::{FieldBus, News, OpcUa};
use rt_config::{Setpoint, Site, Tag};
use rt_control::Address;
use rt_core::envelope::{Acted, Envelope, Verdict};
use rt_core::image::Image;
use rt_core::mode::Mode;
use rt_core::ports::{Clock as _, Field as _, FieldReport};
use rt_core::setpoint::{Rate, SETPOINTS_MAX, ScalarKind, SetpointSet};
use rt_core::tag::TagId;
use rt_core::time::{MonoTime, Span};
use rt_sys::MonotonicClock;
use shm::lease::Lease;

pub use error::HandError;

use crate::adapters::Lines;
use crate::failure::Failure;
use crate::segments::new_claimant;
use crate::tenure::epoch_of;
use crate::wiring::Plant;
use seat::Seat;

/// How long servers and tags may take until everything that is needed is known.
const READY_PATIENCE: Span = Span::from_ms(10_000);

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    /// The setpoint's place in [`Site::setpoints`].
    pub setpoint: usize,
    /// Where it shall be, engineering units.
    pub value: f64,
}

/// One setpoint as it stands, and what would become of the wish.
#[derive(Clone, Debug, PartialEq)]
pub struct Prospect {
    /// The setpoint's tag.
    pub tag: String,
    /// Engineering unit.
    pub unit: String,
    /// What was asked for.
    pub wanted: f64,
    /// What the plant shows.
    pub present: f64,
    /// Where the envelope lets it go in the end, engineering units.
    pub goal: f64,
    /// What the envelope changes on the way, but for its rate.
    pub acted: Acted,
    /// How long the way takes at the permitted rate.
    pub takes: Duration,
}

/// Setpoints in a person's hand. Dropping it gives them back.
pub struct Hand<B: FieldBus = OpcUa> {
    plants: Vec<Plant<B>>,
    /// By connection of the site: its name, and whether another server of its set is tried next.
    connections: Vec<(String, bool)>,
    lines: Lines,
    image: Image,
    moves: Vec<Move>,
    clock: MonotonicClock,
    /// One step is made in it: the longest I/O period.
    period: Span,
    expiry: Span,
    settle: Span,
    /// How long another machine's claim is waited for.
    claim_patience: Span,
    /// The first step was made: what is lost from now on ends it.
    under_way: bool,
    steps: u64,
    next_slot: MonoTime,
    lease: Lease,
    /// Behind the lease: what is given up last.
    seat: Option<Seat>,
}

/// One setpoint on its way.
#[derive(Clone, Debug)]
struct Move {
    name: String,
    unit: String,
    tag: TagId,
    wanted: f64,
    envelope: Envelope,
    rate: Rate,
    /// What the plant showed before the last step.
    before: f64,
    /// The last step, and whether it leads to where the envelope lets it go.
    sent: Option<Sent>,
    /// Since when the plant does not show it.
    waits_since: Option<MonoTime>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    value: f64,
    is_last: bool,
    confirmed: bool,
}

impl Hand {
    /// A hand on these setpoints of `site`: connected by [`Hand::look`], writing nothing before [`Hand::take`].
    ///
    /// # Errors
    /// Certificate or key cannot be used, or the kernel gives no thread.
    pub fn new(site: &Site, wishes: &[Wish]) -> Result<Self, Failure> {
        let site = reduced(site, wishes);
        Self::over(&site, wishes, |index, connection| crate::plant::bus(&site, index, connection))
    }
}

impl<B: FieldBus + Send + 'static> Hand<B> {
    /// A hand on all setpoints of this site, over these buses.
    fn over(
        site: &Site,
        wishes: &[Wish],
        bus: impl Fn(usize, &rt_config::Connection) -> Result<B, Failure>,
    ) -> Result<Self, Failure> {
        let lease = Lease::heap(site.runtime.lease_term.as_ns());
        lease.name(new_claimant());
        let needed =
            |index: usize| site.tags.iter().filter_map(|tag| tag.source.as_ref()).any(|of| of.connection == index);
        let connections = || site.connections.iter().enumerate().filter(|(index, _)| needed(*index));
        let plants = connections()
            .map(|(index, connection)| Ok(Plant::new(site, index, connection, bus(index, connection)?, lease.clone())));
        let (lines, plants): (Vec<_>, Vec<_>) = plants.collect::<Result<Vec<_>, Failure>>()?.into_iter().unzip();
        let moves =
            site.setpoints.iter().zip(wishes).filter_map(|(setpoint, wish)| Move::new(site, setpoint, wish.value));
        let longest =
            |of: fn(&rt_config::Connection) -> Span| connections().map(|(_, connection)| of(connection)).max();
        let clock = MonotonicClock::new();
        Ok(Self {
            plants,
            connections: site.connections.iter().map(|of| (of.id.clone(), !of.failover_urls.is_empty())).collect(),
            lines: Lines::new(lines),
            image: Image::new(&site.cycle_lists().tags).map_err(Failure::internal)?,
            moves: moves.collect::<Result<_, Failure>>()?,
            clock,
            period: longest(|of| of.io_period).unwrap_or(site.runtime.period.span()),
            expiry: site.runtime.setpoint_expiry,
            settle: site.runtime.t_settle.max(longest(|of| of.call_timeout).unwrap_or(Span::ZERO)),
            claim_patience: longest(|of| of.lease.as_ref().map_or(Span::ZERO, |lease| lease.term))
                .unwrap_or(Span::ZERO)
                .times(3),
            under_way: false,
            steps: 0,
            next_slot: clock.now(),
            lease,
            seat: None,
        })
    }

    /// Connects and reads until the value on the plant and the data type of every setpoint are known.
    ///
    /// # Errors
    /// A connection does not come about, or a tag has no good value.
    pub fn look(&mut self) -> Result<(), HandError> {
        let since = self.clock.now();
        loop {
            self.slot()?;
            match self.moves.iter().find(|of| !of.is_known(&self.image, since)) {
                None => return Ok(()),
                Some(of) if self.clock.now().since(since) > READY_PATIENCE => {
                    return Err(HandError::NotKnown { tag: of.name.clone() });
                }
                Some(_) => {}
            }
        }
    }

    /// What would become of every wish, as the plant is at present.
    ///
    /// # Errors
    /// The envelope withholds one.
    pub fn prospects(&self) -> Result<Vec<Prospect>, HandError> {
        self.moves.iter().map(|of| of.prospect(&self.image)).collect()
    }

    /// Takes the plant from a disarmed runtime of this agent, and the place of one that is not there; and looks once more.
    ///
    /// # Errors
    /// A runtime is armed, another machine has the plant's lease, or nobody lets go; then it is theirs.
    pub fn take(&mut self, address: &Address, cause: &str) -> Result<(), HandError> {
        self.seat = Some(Seat::take(&self.lease, address, cause, &self.clock)?);
        let until = self.clock.now() + self.claim_patience;
        while let Some(plant) =
            self.plants.iter().find(|plant| plant.claim.as_ref().is_some_and(|claim| epoch_of(claim).is_none()))
        {
            if self.clock.now() > until {
                return Err(HandError::Claimed { connection: self.name_of(plant.index) });
            }
            self.slot()?;
        }
        // What was read before may be what somebody else has overwritten since.
        self.look()
    }

    /// One step of every setpoint towards where the envelope lets it go; whether the plant shows all of them there.
    ///
    /// # Errors
    /// See [`HandError`]: nothing more is written then.
    pub fn step(&mut self) -> Result<bool, HandError> {
        self.under_way = true;
        // A hand has the time for a look of its own before each step: somebody else's move is not overwritten.
        self.slot()?;
        self.judge()?;
        self.steps += 1;
        let mut values = [None; SETPOINTS_MAX];
        for (of, value) in self.moves.iter_mut().zip(&mut values) {
            *value = Some(of.next(self.period, &self.image)?);
        }
        self.exchange(Some(values))?;
        self.judge()
    }

    fn judge(&mut self) -> Result<bool, HandError> {
        let (image, now, settle) = (&self.image, self.clock.now(), self.settle);
        let arrived = self.moves.iter_mut().map(|of| of.judge(image, now, settle));
        arrived.collect::<Result<Vec<_>, _>>().map(|arrived| arrived.iter().all(|arrived| *arrived))
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One slot in which nothing is sent.
    fn slot(&mut self) -> Result<(), HandError> {
        self.pause()?;
        self.exchange(None)
    }

    /// Waits for the next slot, and sees to it that the plant is still in this hand.
    fn pause(&self) -> Result<(), HandError> {
        let pause = Duration::from_nanos(self.next_slot.since(self.clock.now()).as_ns());
        match &self.seat {
            Some(seat) => {
                seat.attend(pause);
                seat.renew(&self.clock)
            }
            None => {
                std::thread::sleep(pause);
                Ok(())
            }
        }
    }

    /// Sends the values, if there are any, and takes in what the plant says.
    fn exchange(&mut self, values: Option<[Option<f64>; SETPOINTS_MAX]>) -> Result<(), HandError> {
        let now = self.clock.now();
        self.next_slot = now + self.period;
        if let Some(values) = values {
            let expires = now + self.expiry;
            self.lines.send(&SetpointSet { cycle: self.steps, expires, values, heartbeat: None, alarms: None });
        }
        for plant in &mut self.plants {
            plant.io.run_slot(&self.clock);
        }
        self.take_news()?;
        self.take_reports()?;
        self.image.advance(self.clock.now());
        Ok(())
    }

    /// A connection that is lost before the first step is made anew, and of a redundant set each server has its turn.
    fn take_news(&self) -> Result<(), HandError> {
        for plant in &self.plants {
            let connection = || self.name_of(plant.index);
            let is_redundant = self.connections.get(plant.index).is_some_and(|(_, is_redundant)| *is_redundant);
            for news in plant.news.try_iter() {
                match news {
                    News::CannotConnect(failure) if self.under_way || !is_redundant => {
                        return Err(HandError::Unreachable { connection: connection(), reason: failure.message });
                    }
                    News::Down(loss) if self.under_way => {
                        return Err(HandError::Lost { connection: connection(), reason: loss.what });
                    }
                    News::ClaimRefused { .. } => return Err(HandError::ClaimRefused { connection: connection() }),
                    News::Up { .. } | News::Down(_) | News::CannotConnect(_) | News::Feed(_) => {}
                    // A hand has no alarms, and says itself what became of what it wrote.
                    News::AlarmRefused { .. } | News::SetpointRefused { .. } => {}
                }
            }
        }
        Ok(())
    }

    fn take_reports(&mut self) -> Result<(), HandError> {
        while let Some(report) = self.lines.next_report() {
            match report {
                FieldReport::Sample(sample) => {
                    self.image.receive(&sample);
                }
                FieldReport::Kind { setpoint, kind } => self.learn_kind(setpoint, kind),
                FieldReport::Wrote { cycle, written, refused } if cycle == self.steps => {
                    for (of, bit) in self.moves.iter_mut().zip(0_u32..) {
                        if refused >> bit & 1 == 1 {
                            return Err(HandError::Refused { tag: of.name.clone() });
                        }
                        of.confirm(written >> bit & 1 == 1);
                    }
                }
                FieldReport::Wrote { .. } | FieldReport::Link(_) => {}
            }
        }
        Ok(())
    }

    fn learn_kind(&mut self, setpoint: u8, kind: ScalarKind) {
        if let Some(of) = self.moves.get_mut(usize::from(setpoint)) {
            of.envelope.set_kind(Some(kind));
        }
    }

    fn name_of(&self, connection: usize) -> String {
        self.connections.get(connection).map(|(name, _)| name.clone()).unwrap_or_default()
    }
}

impl<B: FieldBus> Drop for Hand<B> {
    /// Takes leave of the plants while the lease is still held: whoever claims them next need not wait.
    fn drop(&mut self) {
        if let Some(seat) = &self.seat {
            let _ = seat.renew(&self.clock);
        }
        for plant in &mut self.plants {
            plant.io.close(&self.clock);
        }
    }
}

impl Move {
    /// `None` for a setpoint without a tag, which no site has.
    fn new(site: &Site, setpoint: &Setpoint, wanted: f64) -> Option<Result<Self, Failure>> {
        let Tag { name, unit, .. } = site.tags.get(setpoint.tag.index())?;
        let limits = setpoint.settings.limits;
        let envelope = Envelope::new(limits).and_then(|mut envelope| {
            setpoint.interlocks.iter().try_for_each(|interlock| envelope.add(*interlock)).map(|()| envelope)
        });
        Some(envelope.map_err(Failure::internal).map(|envelope| Self {
            name: name.clone(),
            unit: unit.clone(),
            tag: setpoint.tag,
            wanted,
            envelope,
            rate: limits.run.rate,
            before: f64::NAN,
            sent: None,
            waits_since: None,
        }))
    }

    fn is_known(&self, image: &Image, since: MonoTime) -> bool {
        self.envelope.kind().is_some() && image.read_back(self.tag).is_some_and(|read_back| read_back.received >= since)
    }

    fn shown(&self, image: &Image) -> Option<f64> {
        image.read_back(self.tag).map(|read_back| read_back.value)
    }

    /// What the envelope makes of the wish when the way may take so long.
    fn verdict(&self, within: Span, image: &Image) -> Result<(f64, f64, Acted), HandError> {
        let last = self.shown(image);
        match (last, self.envelope.judge(Mode::Run, self.wanted, last, within, image)) {
            (Some(last), Verdict::Write { value, acted }) => Ok((last, value, acted)),
            (_, Verdict::Withhold(reason)) => Err(HandError::Withheld { tag: self.name.clone(), reason }),
            (None, Verdict::Write { .. }) => Err(HandError::NotKnown { tag: self.name.clone() }),
        }
    }

    fn prospect(&self, image: &Image) -> Result<Prospect, HandError> {
        let (present, goal, acted) = self.verdict(Span::MAX, image)?;
        let takes = match self.rate {
            Rate::PerSecond(rate) => {
                Duration::try_from_secs_f64((goal - present).abs() / rate).unwrap_or(Duration::MAX)
            }
            Rate::Unlimited => Duration::ZERO,
        };
        let Self { name, unit, wanted, .. } = self;
        Ok(Prospect { tag: name.clone(), unit: unit.clone(), wanted: *wanted, present, goal, acted, takes })
    }

    /// The value of the next step, from what the plant shows.
    fn next(&mut self, period: Span, image: &Image) -> Result<f64, HandError> {
        let (shown, value, acted) = self.verdict(period, image)?;
        let is_last = !acted.contains(Acted::RATE) || value == shown;
        let confirmed = self.sent.is_some_and(|sent| sent.confirmed && sent.value == value);
        (self.before, self.sent) = (shown, Some(Sent { value, is_last, confirmed }));
        Ok(value)
    }

    fn confirm(&mut self, written: bool) {
        if let Some(sent) = &mut self.sent {
            sent.confirmed |= written;
        }
    }

    /// Whether the plant shows it where it shall be; a plant may show the value before for a while, and no other one.
    fn judge(&mut self, image: &Image, now: MonoTime, settle: Span) -> Result<bool, HandError> {
        let (Some(sent), Some(shown)) = (self.sent, self.shown(image)) else { return Ok(false) };
        if shown == sent.value {
            self.waits_since = None;
            return Ok(sent.is_last && sent.confirmed);
        }
        let tag = self.name.clone();
        if shown != self.before {
            return Err(HandError::Foreign { tag, shown, sent: sent.value });
        }
        if now.since(*self.waits_since.get_or_insert(now)) > settle {
            return Err(HandError::Ignored { tag, shown, sent: sent.value });
        }
        Ok(false)
    }
}

/// The site with these setpoints and what their interlocks read, and nothing else.
fn reduced(site: &Site, wishes: &[Wish]) -> Site {
    let mut site = site.clone();
    site.setpoints = wishes.iter().filter_map(|wish| site.setpoints.get(wish.setpoint).cloned()).collect();
    let interlocks = || site.setpoints.iter().flat_map(|setpoint| &setpoint.interlocks);
    let mut needed: Vec<TagId> = interlocks().flat_map(|interlock| interlock.condition.tags()).collect();
    needed.extend(site.setpoints.iter().map(|setpoint| setpoint.tag));
    for (place, tag) in site.tags.iter_mut().enumerate() {
        tag.source.take_if(|_| !needed.iter().any(|tag| tag.index() == place));
    }
    for connection in &mut site.connections {
        connection.heartbeat = None;
        connection.alarms.clear();
    }
    site
}

#[cfg(test)]
mod tests;
