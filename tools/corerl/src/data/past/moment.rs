//! `corerl data at`: how it was at one time, what the agent did, and why.

use std::collections::BTreeMap;

use archive::{Timed, TrackKind};
use clap::Args;
use footage::words::in_zone;
use recall::Past;
use serde::Serialize;
use shm_layout::EventKind;

use super::events::{self, Told};
use super::series::Series;
use super::time::{TIMES, Zone, ZoneArguments, span_ns};
use super::{Where, number};
use crate::failure::{Exit, Failure};
use crate::output::{in_brackets, print_json, print_text, span, table};

/// Events that are told to people; all of them are in the JSON.
const EVENTS_TOLD: usize = 20;
/// What happens all the time while a learner learns, and on a machine that is no controller: people are told how much of it there
/// was.
const ROUTINE: [EventKind; 4] =
    [EventKind::PolicyOnTrial, EventKind::PolicyProven, EventKind::PolicyAdopted, EventKind::SlotsSkipped];
/// How far is looked for the change into a mode and out of it, one after the other, seconds.
const FAR_S: [u64; 4] = [120, 3_600, 86_400, 30 * 86_400];
/// What happened so long before a change of mode, and until after it, belongs to it.
const BEFORE_CHANGE_NS: u64 = 5_000_000_000;
const AFTER_CHANGE_NS: u64 = 100_000_000;
/// Times are printed to the millisecond: what is printed is found again.
const PRINTED_NS: u64 = 1_000_000;

#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  corerl data at \"yesterday 14:05\"\n  corerl data at 14:05 --agent works/ph --around 10m\n\n\
    For each setpoint: what policy or fallback asked for (raw), what the envelope let through (sent), with the limits that acted, what \
    was written last, as far as no refusal was known by then, and what the plant showed. That it was refused may be the answer to \
    the write before: an answer comes after its cycle. A tag that is stale was older than it may \
    be, and counted as missing. The value is what the critics expected from there on, +- how far they disagreed.\n\n{TIMES}"))]
pub(crate) struct AtArguments {
    /// The time.
    #[arg(value_name = "TIME", allow_hyphen_values = true)]
    time: String,
    #[command(flatten)]
    of: Where,
    #[command(flatten)]
    zone: ZoneArguments,
    /// Events so long before and after it are told, too.
    #[arg(long, value_name = "SPAN", default_value = "1m", value_parser = span_ns)]
    around: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How it was with one agent.
#[derive(Debug, Default, Serialize)]
struct Moment {
    agent: String,
    mode: String,
    /// Since when it was in this mode, unless that is longer ago than is looked.
    mode_since: Option<String>,
    /// When it left it; nothing while it is in it.
    mode_until: Option<String>,
    /// What happened when it came into it, adopted policies left out.
    mode_events: Vec<Told>,
    policy_generation: Option<f64>,
    reward: Option<f64>,
    /// Which goal, and which zone, decided it.
    because: Vec<String>,
    value: Option<f64>,
    spread: Option<f64>,
    setpoints: Vec<SetpointThen>,
    tags: Vec<TagThen>,
}

/// A setpoint's way to the plant.
#[derive(Debug, Default, Serialize)]
struct SetpointThen {
    name: String,
    unit: String,
    raw: Option<f64>,
    sent: Option<f64>,
    written: Option<f64>,
    readback: Option<f64>,
    /// Those that changed what was sent.
    limits: String,
    /// Why nothing was written, or that the plant refused it.
    plant: String,
}

#[derive(Debug, Serialize)]
struct TagThen {
    name: String,
    unit: String,
    value: Option<f64>,
    quality: String,
    /// How old it was when it was kept; `null` for what was never received.
    age_s: Option<f64>,
    /// When it was so by its source's own clock; `null` when the source says nothing of it.
    source_time: Option<String>,
    /// So long before it was received, by the two clocks; below 0 when the source's clock is ahead.
    source_s: Option<f64>,
    /// Since it was kept: what does not change, or within its deadband, is kept once a minute.
    kept_s: f64,
}

pub(crate) fn run(arguments: &AtArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed<'a> {
        time: String,
        agents: &'a [Moment],
        events: &'a [Told],
    }
    let zone = arguments.zone.zone()?;
    let at = to_be_found_again(zone.read_ns(&arguments.time)?);
    let past = arguments.of.open()?;
    let agents = moments(&*past, &arguments.of, at, &zone)?;
    let window = (at.saturating_sub(arguments.around), at.saturating_add(arguments.around));
    let events = events::between(&*past, &arguments.of, window, &zone, |_| true)?;
    let time = zone.tell(at);
    if arguments.json {
        print_json("corerl.data-at/1", &Printed { time, agents: &agents, events: &events })?;
        return Ok(Exit::Fine);
    }
    if agents.is_empty() {
        eprintln!("nothing is kept of {time}; `corerl data gaps` says what is missing");
    }
    let mut text = agents.iter().map(|moment| told(moment, &time)).collect::<Vec<_>>().join("\n");
    let all = events.len();
    let rare: Vec<Told> = events.into_iter().filter(|event| is_rare(&event.kind)).collect();
    let near = nearest(&rare, at);
    if !near.is_empty() {
        text += &format!("\nwithin {} before and after it:\n{}", span(arguments.around), events::text(near));
    }
    print_text(&text)?;
    if near.len() < all {
        let routine = all - rare.len();
        let left_out = [
            (routine, "of policies that came and were tried, and of skipped slots"),
            (rare.len() - near.len(), "others"),
        ];
        let told = left_out.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let told = told.collect::<Vec<_>>().join(", and ");
        eprintln!("left out of the events around it: {told}; `corerl data events` tells all");
    }
    Ok(Exit::Fine)
}

/// Whether an event does not come with every policy.
fn is_rare(kind: &str) -> bool {
    !ROUTINE.iter().any(|routine| routine.name() == kind)
}

/// The events that a person reads: those before and after it that lie nearest.
fn nearest(events: &[Told], at: u64) -> &[Told] {
    let after = events.partition_point(|event| event.unix_ns <= at);
    let first = after.saturating_sub(EVENTS_TOLD / 2).min(events.len().saturating_sub(EVENTS_TOLD));
    &events[first..events.len().min(first + EVENTS_TOLD)]
}

/// How it was with each agent that was there.
fn moments(past: &dyn Past, of: &Where, at: u64, zone: &Zone) -> Result<Vec<Moment>, Failure> {
    let all = Series::all(past, of)?;
    let mut moments: BTreeMap<&str, Moment> = BTreeMap::new();
    for series in &all {
        let Some(timed) = series.at(past, at)? else { continue };
        let moment = moments.entry(&series.agent).or_default();
        moment.agent.clone_from(&series.agent);
        moment.take(series, &timed, at, zone);
        if series.kind == TrackKind::Mode
            && let Some(since) = since(past, series, at)?
        {
            let change = (since.saturating_sub(BEFORE_CHANGE_NS), since.saturating_add(AFTER_CHANGE_NS).min(at));
            let events = events::between(past, of, change, zone, |event| is_rare(&event.kind))?;
            moment.mode_events = events.into_iter().filter(|event| event.agent == series.agent).collect();
            moment.mode_since = Some(zone.tell(since));
            moment.mode_until = until(past, series, timed.point.value, at)?.map(|until| zone.tell(until));
        }
    }
    Ok(moments.into_values().collect())
}

/// When the mode began that holds at a time.
fn since(past: &dyn Past, mode: &Series, at: u64) -> Result<Option<u64>, Failure> {
    for far_s in FAR_S {
        let points = mode.between(past, at.saturating_sub(far_s * 1_000_000_000), at)?;
        let Some(holds) = points.last().map(|timed| timed.point.value) else { return Ok(None) };
        let others = points.iter().rposition(|timed| timed.point.value.to_bits() != holds.to_bits());
        if let Some(before) = others {
            return Ok(points.get(before + 1).map(|timed| timed.unix_ns));
        }
    }
    Ok(None)
}

/// When a mode that holds at a time gave way to another one.
fn until(past: &dyn Past, mode: &Series, holds: f64, at: u64) -> Result<Option<u64>, Failure> {
    for far_s in FAR_S {
        let points = mode.between(past, at.saturating_add(1), at.saturating_add(far_s * 1_000_000_000))?;
        if let Some(next) = points.iter().find(|timed| timed.point.value.to_bits() != holds.to_bits()) {
            return Ok(Some(next.unix_ns));
        }
    }
    Ok(None)
}

/// The end of the millisecond, of a time that says no more than that.
fn to_be_found_again(at: u64) -> u64 {
    if at.is_multiple_of(PRINTED_NS) { at.saturating_add(PRINTED_NS - 1) } else { at }
}

impl Moment {
    fn take(&mut self, series: &Series, timed: &Timed, at: u64, zone: &Zone) {
        let value = Some(timed.point.value).filter(|value| value.is_finite());
        let state = series.state(&timed.point);
        match series.kind {
            TrackKind::Tag => self.tags.push(TagThen {
                name: series.address.clone(),
                unit: series.unit.clone(),
                value,
                quality: state,
                age_s: value.map(|_| f64::from(timed.point.age_us) / 1e6),
                source_time: timed.point.source().map(|source_us| zone.tell_micros(source_us)),
                source_s: timed.point.source().map(|source_us| {
                    let received_us = (timed.unix_ns / 1_000).saturating_sub(timed.point.age_us.into());
                    (i128::from(received_us) - i128::from(source_us)) as f64 / 1e6
                }),
                kept_s: at.saturating_sub(timed.unix_ns) as f64 / 1e9,
            }),
            TrackKind::Raw => self.setpoint(series).raw = value,
            TrackKind::Sent => {
                let setpoint = self.setpoint(series);
                (setpoint.sent, setpoint.limits) = (value, state);
            }
            TrackKind::Written => {
                let setpoint = self.setpoint(series);
                (setpoint.written, setpoint.plant) = (value, state);
            }
            TrackKind::ReadBack => self.setpoint(series).readback = value,
            TrackKind::Zone if timed.point.value > 0.0 => {
                self.because.push(in_zone(series.subject(), &state, timed.point.value));
            }
            TrackKind::Zone => {}
            TrackKind::Reward => {
                self.reward = value;
                self.because.extend(Some(state).filter(|goal| !goal.is_empty()));
            }
            TrackKind::Mode => self.mode = state,
            TrackKind::Policy => self.policy_generation = value,
            TrackKind::Value => self.value = value,
            TrackKind::Spread => self.spread = value,
        }
    }

    fn setpoint(&mut self, series: &Series) -> &mut SetpointThen {
        let name = series.subject();
        let at = self.setpoints.iter().position(|known| known.name == name).unwrap_or_else(|| {
            let (name, unit) = (name.to_owned(), series.unit.clone());
            self.setpoints.push(SetpointThen { name, unit, ..SetpointThen::default() });
            self.setpoints.len() - 1
        });
        &mut self.setpoints[at]
    }
}

fn told(moment: &Moment, time: &str) -> String {
    let policy = match moment.policy_generation {
        Some(0.0) => "the nominal policy".to_owned(),
        Some(generation) => format!("policy generation {generation}"),
        None => "policy unknown".to_owned(),
    };
    let did = match moment.mode.as_str() {
        // What was brought in from another historian has no agent that did something.
        "" => "no agent ran, or nothing is kept of it".to_owned(),
        mode => format!("{mode}, {policy}, reward {}{}", some(moment.reward), in_brackets(&moment.because)),
    };
    let mut text = format!("{}, {time}: {did}\n", moment.agent);
    if let Some(since) = &moment.mode_since {
        let until = moment.mode_until.as_ref().map_or_else(String::new, |until| format!(" until {until}"));
        let mode = moment.mode.split(' ').next().unwrap_or_default();
        text += &format!("  {mode} since {since}{until}; what led to it:\n");
        text += &indented(&events::text(&moment.mode_events));
    }
    let mut rows = vec![["setpoint", "raw", "sent", "written", "plant", "remarks"].map(str::to_owned)];
    rows.extend(moment.setpoints.iter().map(|of| {
        let [raw, sent, written, plant] = [of.raw, of.sent, of.written, of.readback].map(some);
        let told = [of.limits.replace('_', " "), of.plant.clone()].into_iter().filter(|text| !text.is_empty());
        [with_unit(&of.name, &of.unit), raw, sent, written, plant, told.collect::<Vec<_>>().join(", ")]
    }));
    text += &indented(&table(&rows));
    if moment.value.is_some() {
        text += &format!("  value {} +- {}\n", some(moment.value), some(moment.spread));
    }
    let mut rows = vec![["tag", "value", "quality", "kept", "source"].map(str::to_owned)];
    rows.extend(moment.tags.iter().map(|tag| {
        let kept = format!("{:.1} s before", tag.kept_s);
        [with_unit(&tag.name, &tag.unit), some(tag.value), tag.quality.clone(), kept, stamped(tag.source_s)]
    }));
    text + &indented(&table(&rows))
}

/// How a source's time lies to that of the receipt.
fn stamped(source_s: Option<f64>) -> String {
    match source_s {
        None => "says no time".to_owned(),
        Some(before) if before < 0.0 => format!("{:.3} s after it came", -before),
        Some(before) => format!("{before:.3} s before it came"),
    }
}

fn some(value: Option<f64>) -> String {
    number(value.unwrap_or(f64::NAN))
}

fn with_unit(name: &str, unit: &str) -> String {
    if unit.is_empty() { name.to_owned() } else { format!("{name} [{unit}]") }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use archive::{Commit, Event, Point, Reader, Run, Store, TrackId, TrackName};
    use clap::Parser as _;
    use shm_layout::CycleHead;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        asked: AtArguments,
    }

    /// 14:00 on a day.
    pub(in crate::data::past) const BEGIN_NS: u64 = 1_764_165_600_000_000_000;
    const PERIOD_NS: u64 = 100_000_000;
    const RUN: f64 = 2.0;
    const HOLD: f64 = 3.0;

    fn event(number: u64, cycle: u64, kind: EventKind, text: &str) -> Event {
        let unix_ns = BEGIN_NS + cycle * PERIOD_NS;
        let (kind, text) = (kind.name().to_owned(), text.to_owned());
        Event { number, cycle, unix_ns, kind, cause: 0, uid: None, a: 0, b: 0, text }
    }

    /// A minute in RUN, in which policies come and go, and then HOLD because the link is gone.
    pub(in crate::data::past) fn kept(directory: &std::path::Path) {
        let mut store = Store::open(directory).unwrap();
        let run =
            Run { site: "works".into(), agent: "ph".into(), instance: "main".into(), number: 1, period_ns: PERIOD_NS };
        let run = store.run(&run).unwrap().run;
        let name = |kind, name: &str, unit: &str| TrackName { kind, name: name.into(), unit: unit.into() };
        let names = [
            name(TrackKind::Tag, "level", "m"),
            name(TrackKind::Zone, "level", ""),
            name(TrackKind::Reward, "reward", ""),
            name(TrackKind::Mode, "mode", ""),
            name(TrackKind::Policy, "policy", ""),
        ];
        let tracks = store.tracks(run, &names).unwrap();
        let point = |track: TrackId, cycle, value, state| (track, Point::new(cycle, value, state));
        let mut points: Vec<_> = (0..900)
            .step_by(10)
            .flat_map(|cycle| {
                let values = [
                    (4.75, 0),
                    (0.25, 2),
                    (-5.0, 2),
                    (if cycle < 600 { RUN } else { HOLD }, CycleHead::ARMED.into()),
                    (7.0, 0),
                ];
                tracks
                    .iter()
                    .zip(values)
                    .map(move |(track, (value, state))| point(*track, cycle, value, state))
                    .collect::<Vec<_>>()
            })
            .collect();
        points.sort_by_key(|(_, point)| point.cycle);
        let mut events: Vec<_> = (0..600).map(|at| (at, EventKind::PolicyAdopted, "generation 7")).collect();
        events.extend([
            (598, EventKind::ConnectionDown, "plant"),
            (600, EventKind::ModeChange, "run -> hold: link_lost"),
            (601, EventKind::LearnerLost, "process 7"),
        ]);
        events.sort_by_key(|(cycle, ..)| *cycle);
        let events: Vec<_> =
            (0..).zip(events).map(|(number, (cycle, kind, text))| event(number, cycle, kind, text)).collect();
        let events_read = 0..events.len() as u64;
        let commit = Commit {
            points,
            events,
            gaps: Vec::new(),
            clock: Some((0, BEGIN_NS)),
            last_cycle: Some(899),
            cycle_records: 0..900,
            events_read,
        };
        store.commit(run, &commit).unwrap();
    }

    #[test]
    fn a_moment_is_told_with_what_led_to_its_mode_however_long_ago_and_what_decided_its_reward() {
        let directory = tempfile::tempdir().unwrap();
        kept(directory.path());
        let past = Reader::open(directory.path()).unwrap();
        let Line { asked } = Line::parse_from(["at", "now", "--zone", "UTC"]);
        let zone = asked.zone.zone().unwrap();
        let moments = moments(&past, &asked.of, BEGIN_NS + 88 * 1_000_000_000, &zone).unwrap();
        let expected = "works/ph, then: hold armed, policy generation 7, reward -5 (level in red, 25 % of it; goal 2 not met)\n\
            \x20 hold since 2025-11-26T14:01:00.000Z; what led to it:\n\
            \x20 time                      agent     cycle  event\n\
            \x20 2025-11-26T14:00:59.800Z  works/ph  598    connection down  plant\n\
            \x20 2025-11-26T14:01:00.000Z  works/ph  600    mode change      run -> hold: link_lost\n\
            \x20 2025-11-26T14:01:00.100Z  works/ph  601    learner lost     process 7\n";
        let text = told(&moments[0], "then");
        assert!(text.starts_with(expected), "{text}");
        // Whoever asks how it was in between is not told of what came later.
        let between = self::moments(&past, &asked.of, BEGIN_NS + 60_050 * 1_000_000, &zone).unwrap();
        let cycles: Vec<_> = between[0].mode_events.iter().map(|event| event.unix_ns - BEGIN_NS).collect();
        assert_eq!(cycles, [598 * PERIOD_NS, 600 * PERIOD_NS]);
    }

    #[test]
    fn what_a_run_held_is_believed_as_long_as_it_may_go_on_and_no_longer() {
        let directory = tempfile::tempdir().unwrap();
        kept(directory.path());
        let past = Reader::open(directory.path()).unwrap();
        let Line { asked } = Line::parse_from(["at", "now", "--zone", "UTC"]);
        let zone = asked.zone.zone().unwrap();
        // The last cycle is the one of 89.9 s.
        let agents = |ms: u64| moments(&past, &asked.of, BEGIN_NS + ms * 1_000_000, &zone).unwrap().len();
        assert_eq!([89_900, 94_900, 94_901, 120_000].map(agents), [1, 1, 0, 0]);
    }
}
