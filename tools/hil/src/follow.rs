//! Following whoever leads: every cycle record and every event, read from shared memory, until nobody is left.

use std::time::{Duration, Instant};

use rt_config::Site;
use rt_control::{Address, Description};
use rt_core::mode::Mode;
use rt_core::setpoint::Rate;
use rt_core::time::MonoTime;
use shm_layout::{Counter, CycleRef, EventRecord};
use watch::{Agent, From, Memory, Missed};

use crate::take::{CycleSeen, EventSeen, Sent, SetpointSeen, TagSeen, Take, finite};

/// How often it is asked who leads, and with which limits.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long whoever leads may take for an answer. A timeline waits meanwhile, for one that is stopped again and again.
const ANSWER_PATIENCE: Duration = Duration::from_millis(100);

/// Someone who watches one agent. Instants are the monotonic clock's, until the timeline begins.
#[derive(Debug)]
pub(crate) struct Follower {
    agent: Agent,
    looked: Option<Instant>,
    /// The process that is followed.
    leader: Option<u32>,
    last: u64,
    begin: Option<MonoTime>,
}

impl Follower {
    pub(crate) fn new(address: Address) -> Self {
        let agent = Agent::new(address, From::Oldest).within(ANSWER_PATIENCE);
        Self { agent, looked: None, leader: None, last: 0, begin: None }
    }

    /// Times count from here; what was seen already is told anew.
    pub(crate) fn begin(&mut self, take: &mut Take, now: MonoTime) {
        let shift = |at: &mut i64| *at = at.saturating_sub_unsigned(now.as_ns());
        take.cycles.iter_mut().for_each(|cycle| shift(&mut cycle.at));
        take.events.iter_mut().for_each(|event| shift(&mut event.at));
        take.writes.iter_mut().flatten().for_each(|write| shift(&mut write.at));
        take.leaders.iter_mut().for_each(shift);
        take.setpoints.iter_mut().flat_map(|setpoint| &mut setpoint.ranges).for_each(|range| shift(&mut range.0));
        self.begin = Some(now);
    }

    /// An instant as the take tells it.
    pub(crate) fn told(&self, at: u64) -> i64 {
        told(at, self.begin)
    }

    /// Reads what is new. Now and then it is asked who leads; a leader that is gone is read to its end.
    pub(crate) fn read(&mut self, take: &mut Take, now: MonoTime) {
        self.drain(take);
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return;
        }
        self.looked = Some(Instant::now());
        // Whoever does not answer now is asked again.
        let Ok(memory) = self.agent.look() else { return };
        let description = memory.description().clone();
        if self.leader != Some(description.pid) {
            self.leader = Some(description.pid);
            take.leaders.push(self.told(now.as_ns()));
            if let Some(mut former) = self.agent.former() {
                // What it has recorded since it was read last.
                drain(&mut former, take, &mut self.last, self.begin);
            }
            self.drain(take);
        }
        self.note_ranges(take, &description, now);
    }

    /// The mode now, and how many policies were adopted.
    pub(crate) fn state(&mut self) -> Option<(Mode, u64)> {
        let memory = self.agent.memory()?;
        let mode = Mode::from_number(u8::try_from(memory.counter(Counter::Mode)).ok()?)?;
        Some((mode, memory.counter(Counter::PoliciesAdopted)))
    }

    fn drain(&mut self, take: &mut Take) {
        if let Some(memory) = self.agent.memory() {
            drain(memory, take, &mut self.last, self.begin);
        }
    }

    fn note_ranges(&self, take: &mut Take, description: &Description, now: MonoTime) {
        for (setpoint, info) in take.setpoints.iter_mut().zip(&description.setpoints) {
            let range = (self.told(now.as_ns()), info.lo, info.hi);
            if setpoint.ranges.last().is_none_or(|(_, lo, hi)| (*lo, *hi) != (info.lo, info.hi)) {
                setpoint.ranges.push(range);
            }
        }
    }
}

fn told(at: u64, begin: Option<MonoTime>) -> i64 {
    let begin = begin.map_or(0, MonoTime::as_ns);
    i64::try_from(i128::from(at) - i128::from(begin)).unwrap_or(i64::MAX)
}

/// Reads what is new in a runtime's memory.
fn drain(memory: &mut Memory, take: &mut Take, last: &mut u64, begin: Option<MonoTime>) {
    let missed = memory.cycles(|cycle| {
        // Whoever took over has stood by before: those cycles were not the leader's.
        if cycle.head.release_ns > *last {
            *last = cycle.head.release_ns;
            take.cycles.push(seen(cycle, told(cycle.head.release_ns, begin)));
        }
    });
    take.missed += count(missed);
    let missed = memory.events(|event| take.events.push(event_seen(event, told(event.time_ns, begin))));
    take.missed_events += count(missed);
}

fn count(missed: Missed) -> u64 {
    missed.lost + u64::from(missed.damaged)
}

/// An empty take of a site's agent.
pub(crate) fn blank(scenario: &str, site: &Site) -> Take {
    let mut take = Take::new(scenario);
    take.period_ns = site.runtime.period.as_ns();
    take.tags = site.tags.iter().map(|tag| TagSeen { name: tag.name.clone(), unit: tag.unit.clone() }).collect();
    take.setpoints = site.setpoints.iter().map(|setpoint| setpoint_of(site, setpoint)).collect();
    take
}

fn setpoint_of(site: &Site, setpoint: &rt_config::Setpoint) -> SetpointSeen {
    let tag = site.tags.get(setpoint.tag.index());
    let limits = &setpoint.settings.limits;
    // The widest of the modes: which one binds is the envelope's business, and tested there.
    let rates = [limits.run.rate, limits.hold.rate, limits.fallback.rate].map(|rate| match rate {
        Rate::PerSecond(rate) => rate,
        Rate::Unlimited => f64::INFINITY,
    });
    SetpointSeen {
        name: tag.map(|tag| tag.name.clone()).unwrap_or_default(),
        node: tag.map(node_name).unwrap_or_default(),
        unit: tag.map(|tag| tag.unit.clone()).unwrap_or_default(),
        rate_per_s: finite(rates.into_iter().fold(0.0, f64::max)),
        ranges: Vec::new(),
    }
}

/// What a simulated plant calls the node of a tag: what comes behind its own name.
fn node_name(tag: &rt_config::Tag) -> String {
    let node = tag.source.as_ref().map_or("", |source| source.node.as_str());
    node.rsplit('.').next().unwrap_or_default().to_owned()
}

fn seen(cycle: &CycleRef<'_>, at: i64) -> CycleSeen {
    CycleSeen {
        at,
        dt_ns: cycle.head.dt_ns,
        skipped: cycle.head.skipped,
        mode: cycle.head.mode,
        lateness_ns: cycle.head.lateness_ns,
        reward: finite(cycle.head.reward),
        setpoints: cycle
            .setpoints
            .iter()
            .map(|part| Sent {
                sent: finite(part.sent),
                last: finite(part.last),
                readback: finite(part.readback),
                written: part.state == 0,
            })
            .collect(),
        tags: cycle.tags.iter().map(|part| (finite(part.value), part.quality)).collect(),
    }
}

fn event_seen(event: &EventRecord, at: i64) -> EventSeen {
    let kind = event.kind().map_or("unknown", |kind| kind.name()).to_owned();
    EventSeen { at, kind, text: event.text().to_owned(), a: event.a }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::take::WriteSeen;

    #[test]
    fn what_came_before_the_begin_is_told_from_there() {
        let address = Address::new("/nowhere".as_ref(), "site", "agent", "main").unwrap();
        let mut follower = Follower::new(address);
        let mut take = Take::new("test");
        let sent = Vec::new();
        let (dt_ns, skipped, mode, lateness_ns, reward, tags) = (0, 0, 0, 0, None, Vec::new());
        take.cycles = vec![CycleSeen { at: 400, dt_ns, skipped, mode, lateness_ns, reward, setpoints: sent, tags }];
        take.events = vec![EventSeen { at: 500, kind: String::new(), text: String::new(), a: 0 }];
        take.writes = Some(vec![WriteSeen { at: 600, node: "u".into(), value: None, status: "Good".into() }]);
        take.leaders = vec![300];
        take.setpoints = vec![SetpointSeen { ranges: vec![(200, 0.0, 1.0)], ..SetpointSeen::default() }];
        follower.begin(&mut take, MonoTime::from_ns(1000));
        let writes = take.writes.unwrap();
        let times =
            [take.cycles[0].at, take.events[0].at, writes[0].at, take.leaders[0], take.setpoints[0].ranges[0].0];
        assert_eq!(times, [-600, -500, -400, -700, -800]);
        assert_eq!(follower.told(1200), 200);
    }
}
