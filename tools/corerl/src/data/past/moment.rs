//! `corerl data at`: how it was at one time, what the agent did, and why.

use std::collections::BTreeMap;

use archive::{Timed, TrackKind};
use clap::Args;
use recall::Past;
use serde::Serialize;

use super::events::{self, Told};
use super::series::Series;
use super::time::{TIMES, ZoneArguments, span_ns};
use super::{Where, number};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

/// Events that are told to people; all of them are in the JSON.
const EVENTS_TOLD: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  corerl data at \"yesterday 14:05\"\n  corerl data at 14:05 --agent works/ph --around 10m\n\n\
    For each setpoint: what policy or fallback asked for (raw), what the envelope let through (sent), with the limits that acted, what \
    was written last and what the plant showed. The value is what the critics expected from there on, +- how far they disagreed.\n\n{TIMES}"))]
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
    policy_generation: Option<f64>,
    reward: Option<f64>,
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
    /// Since it was received, or since it was kept last.
    age_s: Option<f64>,
}

pub(crate) fn run(arguments: &AtArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed<'a> {
        time: String,
        agents: &'a [Moment],
        events: &'a [Told],
    }
    let zone = arguments.zone.zone()?;
    let at = zone.read_ns(&arguments.time)?;
    let past = arguments.of.open()?;
    let agents = moments(&*past, &Series::all(&*past, &arguments.of)?, at)?;
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
    let near = nearest(&events, at);
    if !near.is_empty() {
        text += "\n";
        text += &events::text(near);
    }
    print_text(&text)?;
    if near.len() < events.len() {
        eprintln!("{} more events lie around it: `corerl data events` tells all", events.len() - near.len());
    }
    Ok(Exit::Fine)
}

/// The events that a person reads: those before and after it that lie nearest.
fn nearest(events: &[Told], at: u64) -> &[Told] {
    let after = events.partition_point(|event| event.unix_ns <= at);
    let first = after.saturating_sub(EVENTS_TOLD / 2).min(events.len().saturating_sub(EVENTS_TOLD));
    &events[first..events.len().min(first + EVENTS_TOLD)]
}

/// How it was with each agent that was there.
fn moments(past: &dyn Past, all: &[Series], at: u64) -> Result<Vec<Moment>, Failure> {
    let mut moments: BTreeMap<&str, Moment> = BTreeMap::new();
    for series in all {
        let Some(timed) = series.at(past, at)? else { continue };
        let moment = moments.entry(&series.agent).or_default();
        moment.agent.clone_from(&series.agent);
        moment.take(series, &timed, at);
    }
    Ok(moments.into_values().collect())
}

impl Moment {
    fn take(&mut self, series: &Series, timed: &Timed, at: u64) {
        let value = Some(timed.point.value).filter(|value| value.is_finite());
        let state = series.state(&timed.point);
        match series.kind {
            TrackKind::Tag => self.tags.push(TagThen {
                name: series.address.clone(),
                unit: series.unit.clone(),
                value,
                quality: state,
                age_s: Some((at - timed.unix_ns) as f64 / 1e9 + f64::from(timed.point.age_us) / 1e6)
                    .filter(|_| value.is_some()),
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
            TrackKind::Reward => self.reward = value,
            TrackKind::Mode => self.mode = state,
            TrackKind::Policy => self.policy_generation = value,
            TrackKind::Value => self.value = value,
            TrackKind::Spread => self.spread = value,
        }
    }

    fn setpoint(&mut self, series: &Series) -> &mut SetpointThen {
        let name = series.address.rsplit_once('.').map_or(series.address.as_str(), |(name, _)| name);
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
        mode => format!("{mode}, {policy}, reward {}", some(moment.reward)),
    };
    let mut text = format!("{}, {time}: {did}\n", moment.agent);
    let mut rows = vec![["setpoint", "raw", "sent", "written", "plant", ""].map(str::to_owned)];
    rows.extend(moment.setpoints.iter().map(|of| {
        let [raw, sent, written, plant] = [of.raw, of.sent, of.written, of.readback].map(some);
        let told = [of.limits.replace('_', " "), of.plant.clone()].into_iter().filter(|text| !text.is_empty());
        [with_unit(&of.name, &of.unit), raw, sent, written, plant, told.collect::<Vec<_>>().join(", ")]
    }));
    text += &indented(&table(&rows));
    if moment.value.is_some() {
        text += &format!("  value {} +- {}\n", some(moment.value), some(moment.spread));
    }
    let mut rows = vec![["tag", "value", "quality", "age"].map(str::to_owned)];
    rows.extend(moment.tags.iter().map(|tag| {
        let age = tag.age_s.map_or_else(|| "-".to_owned(), |age_s| format!("{age_s:.1} s"));
        [with_unit(&tag.name, &tag.unit), some(tag.value), tag.quality.clone(), age]
    }));
    text + &indented(&table(&rows))
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
