//! From what one runtime publishes to commits.

use archive::{Commit, Event, Exceptions, Gap, Kept, Missing, Point, Run, RunId, TrackId, TrackKind, TrackName};
use rt_control::{Description, TagInfo};
use shm_layout::{CycleHead, CycleRef, EstimateRecord, EventKind, EventRecord};
use watch::Memory;

use crate::keeper::{KeepError, Keeper};
use crate::rules::Rules;
use crate::tally::Tally;

/// A wall clock that moves further than this away from what it was has been set.
const CLOCK_STEP_NS: u64 = 10_000_000;

/// One run of a runtime, as far as it is kept.
pub(crate) struct Intake {
    run: RunId,
    /// As the run began to be kept: names do not change while it lasts.
    description: Description,
    tracks: Tracks,
    exceptions: Exceptions,
    next: Kept,
    /// The last cycle that was seen.
    last_cycle: Option<u64>,
    /// The cycle of the last decision of which the critics' estimate is kept.
    estimated: Option<u64>,
    tally: Tally,
}

/// The numbers of a run's tracks, as the cycle record has them.
struct Tracks {
    tags: Vec<TrackId>,
    /// Of the tags that have zones, by their place among all.
    zones: Vec<(u16, TrackId)>,
    /// Raw, sent, written and read back of each setpoint.
    setpoints: Vec<[TrackId; SETPOINT.len()]>,
    reward: TrackId,
    mode: TrackId,
    policy: TrackId,
    value: TrackId,
    spread: TrackId,
}

/// What is kept of each setpoint.
const SETPOINT: [TrackKind; 4] = [TrackKind::Raw, TrackKind::Sent, TrackKind::Written, TrackKind::ReadBack];
/// What is kept of a run as a whole.
const WHOLE: [TrackKind; 5] =
    [TrackKind::Reward, TrackKind::Mode, TrackKind::Policy, TrackKind::Value, TrackKind::Spread];
/// What may stay the same for a long time is kept by exception: its changes, and that it was looked at. Decisions are kept all
/// the same, and rewards and estimates.
const BY_EXCEPTION: [TrackKind; 8] = [
    TrackKind::Tag,
    TrackKind::Zone,
    TrackKind::Raw,
    TrackKind::Sent,
    TrackKind::Written,
    TrackKind::ReadBack,
    TrackKind::Mode,
    TrackKind::Policy,
];

/// The two clocks at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    pub(crate) monotonic_ns: u64,
    pub(crate) unix_ns: u64,
}

impl Clocks {
    fn unix_ns(self, monotonic_ns: u64) -> u64 {
        self.unix_ns.saturating_add(monotonic_ns).saturating_sub(self.monotonic_ns)
    }
}

impl Intake {
    /// Goes on with a run where it was left, or begins with it; its tags are kept by these rules.
    pub(crate) fn begin(keeper: &mut dyn Keeper, memory: &mut Memory, rules: &Rules) -> Result<Self, KeepError> {
        let description = memory.description().clone();
        let of = &description;
        let next = keeper.run(&Run {
            site: of.site.clone(),
            agent: of.agent.clone(),
            instance: of.instance.clone(),
            number: of.run,
            period_ns: of.period_ns,
        })?;
        let names = names(of);
        let ids = keeper.tracks(next.run, &names)?;
        let tracks = Tracks::of(&ids, of);
        let agent = format!("{}/{}", of.site, of.agent);
        let tags: Vec<_> = of.tags.iter().map(|tag| tag.name.as_str()).collect();
        for tag in rules.without_tag(&agent, &tags) {
            tracing::warn!(agent_id = agent, "there is a rule for {tag}, and no such tag");
        }
        let mut exceptions = Exceptions::default();
        for (track, name) in ids.iter().zip(&names).filter(|(_, name)| BY_EXCEPTION.contains(&name.kind)) {
            let rule = match name.kind {
                TrackKind::Tag => rules.of(&agent, &name.name, of.period_ns),
                _ => Rules::usual(of.period_ns),
            };
            exceptions.add(*track, rule, keeper.newest(next.run, *track)?);
        }
        let estimated = keeper.newest(next.run, tracks.value)?.map(|point| point.cycle);
        memory.go_on_at(next.next_cycle_record, next.next_event);
        Ok(Self {
            run: next.run,
            tracks,
            exceptions,
            description,
            last_cycle: next.last_cycle,
            next,
            estimated,
            tally: Tally::default(),
        })
    }

    /// Its number in the archive.
    pub(crate) const fn run(&self) -> RunId {
        self.run
    }

    /// What has been kept since the last time that this was asked.
    pub(crate) fn tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Keeps what was published since the last time.
    pub(crate) fn take(
        &mut self,
        keeper: &mut dyn Keeper,
        memory: &mut Memory,
        clocks: Clocks,
    ) -> Result<(), KeepError> {
        let last_cycle = self.last_cycle;
        let (commit, release) = self.gather(memory, clocks);
        if commit.cycle_records.is_empty() && commit.events_read.is_empty() {
            return Ok(());
        }
        let next = (commit.cycle_records.end, commit.events_read.end);
        let tally = Tally::of(&commit);
        let kept = self.put(keeper, commit, release);
        if kept.is_ok() {
            (self.next.next_cycle_record, self.next.next_event) = next;
            self.tally.add(tally);
        } else {
            // It is read once more, as far as the rings still hold it; nothing of it counts as kept.
            self.last_cycle = last_cycle;
            self.exceptions.gap();
            memory.go_on_at(self.next.next_cycle_record, self.next.next_event);
        }
        kept
    }

    /// What was published since the last time, and the first cycle of it with the wall clock's time.
    fn gather(&mut self, memory: &mut Memory, clocks: Clocks) -> (Commit, Option<(u64, u64)>) {
        let mut commit = Commit::default();
        let layout = memory.layout();
        let (mut number, mut release) = (self.next.next_cycle_record, None);
        let missed = memory.cycle_words(|words, lost| {
            let Ok(record) = layout.view(words) else { return };
            if lost > 0 {
                commit.gaps.push(self.gap(Missing::Cycles, number, lost, Some(record.head.cycle)));
                self.exceptions.gap();
            }
            number += lost + 1;
            release.get_or_insert((record.head.cycle, clocks.unix_ns(record.head.release_ns)));
            self.points(&record, &mut commit.points);
            self.last_cycle = Some(record.head.cycle);
        });
        let mut event_number = self.next.next_event;
        let lost_events = memory.events_after_gaps(|record, lost| {
            if lost > 0 {
                commit.gaps.push(self.gap(Missing::Events, event_number, lost, None));
            }
            event_number += lost;
            commit.events.push(event(record, event_number, &self.description, clocks));
            event_number += 1;
        });
        self.estimates(memory, &mut commit.points);
        let (cycles_end, events_end) = memory.next_numbers();
        self.ends(&mut commit, (number, cycles_end), (event_number, events_end), missed.damaged || lost_events.damaged);
        (commit, release)
    }

    /// Brings a commit to the keeper, with the clock if that is another one than the keeper knows.
    fn put(&self, keeper: &mut dyn Keeper, mut commit: Commit, release: Option<(u64, u64)>) -> Result<(), KeepError> {
        if let Some((cycle, unix_ns)) = release {
            commit.clock = self.clock(keeper, cycle, unix_ns)?;
        }
        keeper.commit(self.run, &commit)
    }

    /// What lies between the last record and where reading goes on is missing, too.
    fn ends(&self, commit: &mut Commit, cycles: (u64, u64), events: (u64, u64), damaged: bool) {
        for (what, (number, end)) in [(Missing::Cycles, cycles), (Missing::Events, events)] {
            if end > number {
                let mut gap = self.gap(what, number, end - number, None);
                if damaged {
                    gap.why = "the ring was damaged".to_owned();
                }
                commit.gaps.push(gap);
            }
        }
        commit.cycle_records = self.next.next_cycle_record..cycles.0.max(cycles.1);
        commit.events_read = self.next.next_event..events.0.max(events.1);
        commit.last_cycle = self.last_cycle;
    }

    fn gap(&self, what: Missing, first: u64, count: u64, before_cycle: Option<u64>) -> Gap {
        let why = match self.last_cycle {
            None => "overwritten before the historian came",
            Some(_) => "overwritten before it was read",
        };
        Gap { what, first, count, after_cycle: self.last_cycle, before_cycle, why: why.to_owned() }
    }

    /// A relation of clocks that is not known yet, or has changed.
    fn clock(&self, keeper: &dyn Keeper, cycle: u64, unix_ns: u64) -> Result<Option<(u64, u64)>, KeepError> {
        let known = keeper.unix_ns(self.run, cycle)?;
        let holds = known.is_some_and(|known| known.abs_diff(unix_ns) <= CLOCK_STEP_NS);
        Ok((!holds).then_some((cycle, unix_ns)))
    }

    /// Of tags what the pipeline observed, by exception; of setpoints every decision, and what changed between them; every reward;
    /// changes of mode and policy.
    fn points(&mut self, record: &CycleRef<'_>, to: &mut Vec<(TrackId, Point)>) {
        let CycleRef { head, setpoints, tags } = record;
        let cycle = head.cycle;
        let mut put = |track: TrackId, point: Point, always: bool| {
            if always {
                self.exceptions.note(track, &point);
            }
            if always || self.exceptions.keeps(track, &point) {
                to.push((track, point));
            }
        };
        let point = |value: f64, state: u32| Point::new(cycle, value, state);
        let flags = head.flags & (CycleHead::ARMED | CycleHead::LATCHED);
        put(self.tracks.mode, point(head.mode.into(), flags.into()), false);
        // No double is exact beyond 2^53 generations, which nobody will publish.
        put(self.tracks.policy, point(head.policy_generation as f64, 0), false);
        if head.has(CycleHead::OBSERVATION_SLOT) {
            for (track, tag) in self.tracks.tags.iter().zip(*tags) {
                let age_us = u32::try_from(tag.age_ns / 1_000).unwrap_or(u32::MAX);
                let state = if tag.is_stale() { TrackKind::STALE } else { tag.quality.into() };
                let source_us = tag.source_unix_ns().map_or(0, |unix_ns| unix_ns / 1_000);
                put(*track, Point { age_us, source_us, ..point(tag.value, state) }, false);
            }
        }
        let decides = head.has(CycleHead::DECISION_SLOT);
        for ([raw, sent, written, readback], part) in self.tracks.setpoints.iter().zip(*setpoints) {
            put(*raw, point(part.desired, 0), decides);
            put(*sent, point(part.sent, part.acted), decides);
            put(*written, point(part.last, part.state | part.reply << TrackKind::REPLY_SHIFT), false);
            put(*readback, point(part.readback, 0), false);
        }
        if !head.reward.is_nan() {
            put(self.tracks.reward, point(head.reward, head.goal.into()), true);
            for (tag, track) in &self.tracks.zones {
                let decided = head.zone != 0 && head.zone_tag == *tag;
                put(*track, if decided { point(head.zone_depth, head.zone.into()) } else { point(0.0, 0) }, false);
            }
        }
    }

    /// What the critics expected of decisions; of those that are read once more after a restart, none twice. Nothing depends on
    /// them, so what is missing is no gap.
    fn estimates(&mut self, memory: &mut Memory, to: &mut Vec<(TrackId, Point)>) {
        let Self { tracks, estimated, .. } = self;
        let _ = memory.estimates(|EstimateRecord { cycle, value, spread, .. }| {
            if estimated.is_none_or(|last| last < *cycle) {
                *estimated = Some(*cycle);
                for (track, value) in [(tracks.value, *value), (tracks.spread, *spread)] {
                    to.push((track, Point::new(*cycle, value, 0)));
                }
            }
        });
    }
}

impl Tracks {
    /// In the order of [`names`].
    fn of(ids: &[TrackId], description: &Description) -> Self {
        let (tags, rest) = ids.split_at(description.tags.len());
        let zoned = zoned(description).filter_map(|(place, _)| u16::try_from(place).ok());
        let (zones, rest) = rest.split_at(zoned.clone().count());
        let zones = zoned.zip(zones.iter().copied()).collect();
        let (setpoints, _) = rest.as_chunks();
        let setpoints = setpoints[..description.setpoints.len()].to_vec();
        let [reward, mode, policy, value, spread] = *ids.last_chunk().expect("every run has these tracks");
        Self { tags: tags.to_vec(), zones, setpoints, reward, mode, policy, value, spread }
    }
}

/// The tags that have zones, with their places among all.
fn zoned(description: &Description) -> impl Iterator<Item = (usize, &TagInfo)> + Clone {
    description.tags.iter().enumerate().filter(|(_, tag)| tag.has_zones)
}

/// The tracks of a run: its tags, their zones, four of each setpoint, and those of the whole.
fn names(description: &Description) -> Vec<TrackName> {
    let name = |kind, name: &str, unit: &str| TrackName { kind, name: name.to_owned(), unit: unit.to_owned() };
    let tags = description.tags.iter().map(|tag| name(TrackKind::Tag, &tag.name, &tag.unit));
    let setpoints = description
        .setpoints
        .iter()
        .flat_map(|setpoint| SETPOINT.map(|kind| name(kind, &setpoint.name, &setpoint.unit)));
    let zones = zoned(description).map(|(_, tag)| name(TrackKind::Zone, &tag.name, ""));
    tags.chain(zones).chain(setpoints).chain(WHOLE.map(|kind| name(kind, kind.name(), ""))).collect()
}

fn event(record: &EventRecord, number: u64, description: &Description, clocks: Clocks) -> Event {
    let text = match (subject(record, description), record.text()) {
        (Some(name), "") => name.to_owned(),
        (Some(name), text) => format!("{name}: {text}"),
        (None, text) => text.to_owned(),
    };
    Event {
        number,
        cycle: record.cycle,
        unix_ns: clocks.unix_ns(record.time_ns),
        kind: record.kind().map_or("unknown", EventKind::name).to_owned(),
        cause: record.cause,
        uid: (record.uid != u32::MAX).then_some(record.uid),
        a: record.a,
        b: record.b,
        text,
    }
}

/// The tag or setpoint that an event is about: whoever reads it later does not know the order of the site file.
fn subject<'a>(record: &EventRecord, description: &'a Description) -> Option<&'a str> {
    let index = usize::try_from(record.a).ok()?;
    match record.kind()? {
        EventKind::TagBad | EventKind::TagGood => description.tags.get(index).map(|tag| tag.name.as_str()),
        EventKind::OperatorTook
        | EventKind::OperatorReturned
        | EventKind::ReadBackMismatch
        | EventKind::SetpointUnknown => description.setpoints.get(index).map(|setpoint| setpoint.name.as_str()),
        _ => None,
    }
}
