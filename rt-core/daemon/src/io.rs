//! The io thread: the I/O grid of one connection.

use io_loop::{Calls, FieldBus, IoLoop, Tally};
use rt_core::ports::Clock;
use rt_core::schedule::Grid;
use rt_core::time::{MonoTime, Period, Span};
use rt_sys::MonotonicClock;
use shm::counters;
use shm::spsc::Consumer;
use shm_layout::{ConnectionCounter, Counter, RoundTrip};

use crate::segments::Meter;

/// Ask to leave the loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop;

/// Everything that an io thread owns.
pub(crate) struct IoThread<B> {
    pub(crate) clock: MonotonicClock,
    pub(crate) period: Period,
    pub(crate) phase: Span,
    pub(crate) io: IoLoop<B>,
    pub(crate) stop: Consumer<Stop>,
    pub(crate) counters: counters::Writer<Counter>,
    pub(crate) meter: Meter,
    pub(crate) control_period: Period,
}

impl<B: FieldBus> IoThread<B> {
    /// Runs until the keeper asks to stop, then takes leave of the server.
    pub(crate) fn run(mut self) {
        let mut grid = Grid::new(self.first_release(), self.period);
        let mut told = Tally::default();
        while self.stop.pop().is_none() {
            self.clock.sleep_until(grid.next_release());
            grid.wake(self.clock.now());
            self.io.run_slot(&self.clock);
            self.measure();
            self.tell(&mut told);
        }
        self.io.close(&self.clock);
    }

    /// The I/O grid lies `phase` behind the control grid, whose first slot the counters tell; the control thread starts first.
    fn first_release(&self) -> MonoTime {
        let control = self.counters.get(Counter::TimeFirst);
        let now = self.clock.now();
        let period_ns = self.control_period.as_ns();
        let slots = now.as_ns().saturating_sub(control).div_ceil(period_ns);
        MonoTime::from_ns(control.saturating_add(slots.saturating_mul(period_ns))) + self.phase
    }

    /// Notes how long the slot's calls took.
    fn measure(&mut self) {
        let Calls { read, write, exchange } = self.io.calls();
        for (call, took) in [(RoundTrip::Read, read), (RoundTrip::Write, write), (RoundTrip::Exchange, exchange)] {
            if let Some(took) = took {
                self.meter.note(call, took);
            }
        }
    }

    /// Adds what happened since the last time to the counters, which all connections share, and says it of this connection.
    fn tell(&self, told: &mut Tally) {
        let now = *self.io.tally();
        let changes = [
            (Counter::IoCycles, now.cycles, told.cycles),
            (Counter::SamplesReceived, now.samples, told.samples),
            (Counter::SamplesLost, now.samples_lost, told.samples_lost),
            (Counter::SetpointsWritten, now.setpoints_written, told.setpoints_written),
            (Counter::SetpointsRejected, now.setpoints_refused, told.setpoints_refused),
            (Counter::SetpointsExpired, now.sets_expired, told.sets_expired),
            (Counter::SetpointsSuperseded, now.sets_superseded, told.sets_superseded),
            (Counter::SetpointsFenced, now.sets_fenced, told.sets_fenced),
            (Counter::Heartbeats, now.heartbeats, told.heartbeats),
            (Counter::WritesUnknown, now.writes_unknown, told.writes_unknown),
            (Counter::IoTimeouts, now.timeouts, told.timeouts),
            (Counter::SubscriptionsEnded, now.feed.ended, told.feed.ended),
            (Counter::MessagesRepublished, now.feed.republished, told.feed.republished),
            (Counter::MessagesLost, now.feed.lost, told.feed.lost),
            (Counter::ValueOverflows, now.feed.overflows, told.feed.overflows),
            (Counter::Reconnects, now.connects.saturating_sub(1), told.connects.saturating_sub(1)),
        ];
        for (counter, now, told) in changes {
            if now != told {
                self.counters.add(counter, now - told);
            }
        }
        let own = [
            (ConnectionCounter::Up, u64::from(self.io.is_up())),
            (ConnectionCounter::Connects, now.connects),
            (ConnectionCounter::SamplesGood, now.good),
            (ConnectionCounter::SamplesUncertain, now.uncertain),
            (ConnectionCounter::SamplesBad, now.bad),
            (ConnectionCounter::ErrorsTimeout, now.timeouts),
            (ConnectionCounter::ErrorsRefused, now.refusals),
            (ConnectionCounter::ErrorsValueRefused, now.values_refused),
            (ConnectionCounter::ErrorsLost, now.losses),
            (ConnectionCounter::ErrorsConnect, now.connect_failures),
        ];
        for (counter, value) in own {
            self.meter.counters.set(counter, value);
        }
        *told = now;
    }
}
