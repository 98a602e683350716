//! `corerl shm watch`: tags and setpoints, cycle by cycle, beyond the death of the runtime.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use clap::Args;
use rt_control::Description;
use rt_core::envelope::Acted;
use rt_core::time::Span;
use rt_sys::Lifeline;
use serde_json::{Map, Value, json};
use shm_layout::{CycleRef, SetpointPart, TagPart};
use watch::{Agent, Blind, From, Memory};

use super::records::mode_name;
use crate::failure::{Exit, Failure};
use crate::target::Target;

/// How often records are taken: well before a ring is full.
const READ_EVERY: Duration = Duration::from_millis(20);
/// How often it is asked who leads.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a runtime may take to say it; no record is taken meanwhile.
const LOOK_PATIENCE: Duration = Duration::from_millis(500);
/// So many names are told to whoever asked for one that is not known.
const NAMES_TOLD: usize = 20;

#[derive(Debug, Args)]
pub(super) struct WatchArguments {
    /// Tags and setpoints by their names in the site file.
    #[arg(value_name = "TAG", required = true)]
    names: Vec<String>,
    /// A line for the first cycle of every such interval, such as 1s or 100ms.
    #[arg(long, value_name = "TIME", value_parser = rt_config::duration)]
    every: Option<Span>,
    /// A line for every cycle that changed a value or its quality: the default.
    #[arg(long, conflicts_with = "every")]
    on_change: bool,
    /// End after this time.
    #[arg(long = "for", value_name = "TIME", value_parser = rt_config::duration)]
    length: Option<Span>,
    /// End after so many lines.
    #[arg(long, value_name = "N", conflicts_with = "length")]
    count: Option<u64>,
    #[command(flatten)]
    target: Target,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
}

/// A tag or setpoint, and where its parts are in a cycle record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) tag: Option<usize>,
    pub(super) setpoint: Option<usize>,
}

impl Place {
    /// Where this name is; a failure with the nearest known names when it is nowhere.
    pub(super) fn named(name: &str, description: &Description) -> Result<Self, Failure> {
        let place = Self::find(name, description);
        if place.tag.is_none() && place.setpoint.is_none() {
            return Err(Failure::new(Exit::Unavailable, unknown(name, description)));
        }
        Ok(place)
    }

    fn find(name: &str, description: &Description) -> Self {
        let tag = description.tags.iter().position(|tag| tag.name == name);
        let setpoint = description.setpoints.iter().position(|setpoint| setpoint.name == name);
        let unit = tag.and_then(|index| description.tags.get(index)).map(|tag| &tag.unit);
        let unit = unit.or_else(|| Some(&description.setpoints.get(setpoint?)?.unit)).cloned().unwrap_or_default();
        Self { name: name.to_owned(), unit, tag, setpoint }
    }

    /// Its parts in a cycle record.
    pub(super) fn parts<'a>(&self, cycle: &CycleRef<'a>) -> (Option<&'a TagPart>, Option<&'a SetpointPart>) {
        let (tags, setpoints) = (cycle.tags, cycle.setpoints);
        (self.tag.and_then(|index| tags.get(index)), self.setpoint.and_then(|index| setpoints.get(index)))
    }
}

fn unknown(name: &str, description: &Description) -> String {
    let tags = description.tags.iter().map(|tag| tag.name.as_str());
    let mut known: Vec<&str> = tags.chain(description.setpoints.iter().map(|of| of.name.as_str())).collect();
    known.sort_unstable();
    known.dedup();
    let meant = rt_config::nearest(name, known.iter().copied());
    let meant = meant.map_or(String::new(), |meant| format!("did you mean `{meant}`? "));
    let rest = known.len().saturating_sub(NAMES_TOLD);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let listed = known.iter().take(NAMES_TOLD).copied().collect::<Vec<_>>().join(", ");
    format!("there is no tag or setpoint `{name}`: {meant}known are {listed}{more}")
}

/// The name of a quality in a record.
pub(super) fn quality_name(number: u8) -> String {
    match number {
        0 => "good".to_owned(),
        1 => "uncertain".to_owned(),
        2 => "bad".to_owned(),
        other => format!("quality {other}"),
    }
}

pub(super) fn run(arguments: &WatchArguments) -> Result<Exit, Failure> {
    let lifeline = Lifeline::new(false).map_err(|error| Failure::io("cannot watch for signals", &error))?;
    let (address, _) = arguments.target.connect()?;
    let mut agent = Agent::new(address, From::Newest).within(LOOK_PATIENCE);
    let mut follower = Follower::of(arguments, agent.look()?.description())?;
    // Of a runtime that comes back while we watch, nothing is old.
    agent.begin_with(From::Oldest);
    let end = arguments.length.map(|length| Instant::now() + Duration::from_nanos(length.as_ns()));
    let mut looked = Instant::now();
    while !follower.has_enough() && end.is_none_or(|end| Instant::now() < end) {
        if let Some(memory) = agent.memory() {
            follower.read(memory);
        }
        if looked.elapsed() >= LOOK_EVERY {
            let described = agent.look().map(|memory| memory.description().clone());
            if let Some(mut former) = agent.former() {
                follower.read(&mut former);
            }
            follower.meet(described);
            looked = Instant::now();
        }
        if !follower.has_enough() && lifeline.wait(READ_EVERY).asks_to_stop() {
            break;
        }
    }
    follower.finish();
    Ok(Exit::Fine)
}

/// What a line is made of, compared bit by bit: a value that is no number stays the same while its bits do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shown {
    /// Per place: value, quality, sent, limits.
    places: Vec<(u64, u8, u64, u32)>,
}

/// What was told so far, and to whom it is told.
struct Follower {
    names: Vec<String>,
    every_ns: Option<u64>,
    count: Option<u64>,
    json: bool,
    places: Vec<Place>,
    /// Of the runtime that leads: its process, and the number of its run.
    pid: u32,
    run: u64,
    /// The runtime cannot be seen, for this reason.
    blind: Option<String>,
    /// Records up to this release were looked at.
    since_ns: u64,
    /// The release of the first record that was told.
    first_ns: Option<u64>,
    due_ns: u64,
    shown: Option<Shown>,
    lines: u64,
    lost: u64,
    restarts: u64,
    nobody_reads: bool,
}

impl Follower {
    fn of(arguments: &WatchArguments, description: &Description) -> Result<Self, Failure> {
        let places = arguments.names.iter().map(|name| Place::named(name, description));
        Ok(Self {
            places: places.collect::<Result<_, _>>()?,
            names: arguments.names.clone(),
            every_ns: arguments.every.map(|every| every.as_ns().max(1)),
            count: arguments.count,
            json: arguments.json,
            pid: description.pid,
            run: description.run,
            blind: None,
            since_ns: 0,
            first_ns: None,
            due_ns: 0,
            shown: None,
            lines: 0,
            lost: 0,
            restarts: 0,
            nobody_reads: false,
        })
    }

    fn has_enough(&self) -> bool {
        self.nobody_reads || self.count.is_some_and(|count| self.lines >= count)
    }

    /// Takes what was recorded since the last time.
    fn read(&mut self, memory: &mut Memory) {
        let missed = memory.cycles(|cycle| self.take(cycle));
        if missed.lost > 0 {
            self.lost += missed.lost;
            self.say("lost", &format!("{} records were overwritten before they were read", missed.lost));
        }
        if missed.damaged {
            self.say("damaged", "the ring of cycle records is damaged: `corerl shm check` tells more");
        }
    }

    fn take(&mut self, cycle: &CycleRef<'_>) {
        let release_ns = cycle.head.release_ns;
        // A runtime that took over has records of the time before, too.
        if self.has_enough() || release_ns <= self.since_ns {
            return;
        }
        self.since_ns = release_ns;
        let is_due = match self.every_ns {
            Some(every_ns) => {
                let is_due = release_ns >= self.due_ns;
                if is_due {
                    self.due_ns = (release_ns - release_ns % every_ns).saturating_add(every_ns);
                }
                is_due
            }
            None => {
                let shown = Some(self.seen_in(cycle));
                let is_due = shown != self.shown;
                self.shown = shown;
                is_due
            }
        };
        if is_due {
            self.lines += 1;
            self.tell(cycle);
        }
    }

    fn seen_in(&self, cycle: &CycleRef<'_>) -> Shown {
        let places = self.places.iter().map(|place| {
            let (tag, setpoint) = place.parts(cycle);
            let (value, quality) = tag.map_or((0, 0), |part| (part.value.to_bits(), part.quality));
            let (sent, acted) = setpoint.map_or((0, 0), |part| (part.sent.to_bits(), part.acted));
            (value, quality, sent, acted)
        });
        Shown { places: places.collect() }
    }

    fn tell(&mut self, cycle: &CycleRef<'_>) {
        let head = cycle.head;
        let first_ns = *self.first_ns.get_or_insert(head.release_ns);
        let line = if self.json {
            let values = self.places.iter().map(|place| (place.name.clone(), value_of(place, cycle)));
            json!({
                "cycle": head.cycle, "time_ns": head.release_ns, "mode": mode_name(head.mode),
                "values": values.collect::<Map<_, _>>(),
            })
            .to_string()
        } else {
            let seconds = head.release_ns.saturating_sub(first_ns) as f64 / 1e9;
            let values = self.places.iter().map(|place| words_of(place, cycle)).collect::<Vec<_>>().join("  ");
            format!("{seconds:10.3} s  cycle {}  {}  {values}", head.cycle, mode_name(head.mode))
        };
        self.print(&line);
    }

    /// What asking who leads has led to.
    fn meet(&mut self, looked: Result<Description, Blind>) {
        match looked {
            Ok(description) => {
                if description.run != self.run {
                    (self.pid, self.run) = (description.pid, description.run);
                    self.restarts += 1;
                    self.places = self.names.iter().map(|name| Place::find(name, &description)).collect();
                    self.shown = None;
                    self.say("restarted", &format!("another runtime leads: process {}", self.pid));
                    self.miss_places();
                } else if self.blind.is_some() {
                    self.say("back", "the runtime answers again");
                }
                self.blind = None;
            }
            Err(blind) => {
                let (event, reason) = if blind.is_gone() {
                    ("gone", "the runtime is gone: waiting for it to come back".to_owned())
                } else {
                    ("blind", format!("the runtime cannot be looked at: {blind}"))
                };
                if self.blind.as_ref() != Some(&reason) {
                    self.say(event, &reason);
                    self.blind = Some(reason);
                }
            }
        }
    }

    fn miss_places(&mut self) {
        let missing = self.places.iter().filter(|place| place.tag.is_none() && place.setpoint.is_none());
        let missing: Vec<String> = missing.map(|place| format!("`{}`", place.name)).collect();
        if !missing.is_empty() {
            self.say("missing", &format!("this runtime has no {}", missing.join(", ")));
        }
    }

    fn finish(&mut self) {
        let Self { lines, lost, restarts, .. } = *self;
        let text = format!("{lines} lines, {lost} records lost, {restarts} restarts of the runtime");
        if self.json {
            self.print(&json!({ "event": "end", "lines": lines, "lost": lost, "restarts": restarts }).to_string());
        } else {
            self.mention(&text);
        }
    }

    /// Says what is no value: beside the values, or as an object among them.
    fn say(&mut self, event: &str, text: &str) {
        if self.json {
            self.print(&json!({ "event": event, "message": text, "pid": self.pid }).to_string());
        } else {
            self.mention(text);
        }
    }

    /// Says something beside the values.
    fn mention(&mut self, text: &str) {
        self.nobody_reads |= writeln!(io::stderr(), "{text}").is_err();
    }

    /// Whoever read it may have gone (`corerl … | head`): there is nothing left to do then.
    fn print(&mut self, line: &str) {
        let mut output = io::stdout().lock();
        self.nobody_reads |= writeln!(output, "{line}").and_then(|()| output.flush()).is_err();
    }
}

fn value_of(place: &Place, cycle: &CycleRef<'_>) -> Value {
    let (tag, setpoint) = place.parts(cycle);
    let mut value = json!({
        "value": tag.map(|part| part.value), "quality": tag.map(|part| quality_name(part.quality)),
        "age_ns": tag.and_then(TagPart::age), "unit": place.unit,
    });
    if let (Some(part), Some(value)) = (setpoint, value.as_object_mut()) {
        value.insert("sent".to_owned(), json!(part.sent));
        value.insert("limits".to_owned(), json!(limits(part)));
    }
    value
}

fn words_of(place: &Place, cycle: &CycleRef<'_>) -> String {
    let (tag, setpoint) = place.parts(cycle);
    let unit = if place.unit.is_empty() { String::new() } else { format!(" {}", place.unit) };
    let mut text = format!("{} ", place.name);
    text += &match tag {
        Some(part) if part.quality == 0 => format!("{}{unit}", part.value),
        Some(part) => format!("{}{unit} ({})", part.value, quality_name(part.quality)),
        None => "-".to_owned(),
    };
    if let Some(part) = setpoint {
        text += &format!(" sent {}", part.sent);
        let limits = limits(part);
        if !limits.is_empty() {
            text += &format!(" ({})", limits.join(", "));
        }
    }
    text
}

fn limits(part: &SetpointPart) -> Vec<&'static str> {
    let acting = Acted::NAMES.iter().filter(|(limit, _)| part.acted & u32::from(limit.bits()) != 0);
    acting.map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use shm_layout::CycleLayout;

    use super::super::tests::names;
    use super::*;

    fn follower(every: Option<&str>) -> Follower {
        let arguments = WatchArguments {
            names: vec!["PH".into(), "FLOW".into()],
            every: every.map(|every| rt_config::duration(every).unwrap()),
            on_change: false,
            length: None,
            count: None,
            target: Target { agent: None, directory: crate::target::Directory { runtime_dir: None } },
            json: true,
        };
        Follower::of(&arguments, &names()).unwrap()
    }

    /// Lets it take cycles that were released at these milliseconds and have these values; how many lines came of it.
    fn lines(follower: &mut Follower, cycles: &[(u64, f64)]) -> u64 {
        let layout = CycleLayout::new(1, 1).unwrap();
        let mut words = vec![0; layout.words()];
        for &(ms, value) in cycles {
            let record = layout.view_mut(&mut words).unwrap();
            (record.head.release_ns, record.tags[0].value) = (ms * 1_000_000, value);
            follower.take(&layout.view(&words).unwrap());
        }
        follower.lines
    }

    #[test]
    fn a_line_comes_for_every_change_and_not_for_what_stays_no_number() {
        let cycles = [(1, 1.0), (2, 1.0), (3, f64::NAN), (4, f64::NAN), (5, 2.0)];
        assert_eq!(lines(&mut follower(None), &cycles), 3);
    }

    #[test]
    fn a_line_comes_for_every_interval_whatever_changes() {
        let cycles = [(1, 1.0), (5, 2.0), (9, 3.0), (10, 4.0), (11, 5.0), (35, 5.0)];
        assert_eq!(lines(&mut follower(Some("10ms")), &cycles), 3);
    }

    #[test]
    fn what_a_successor_recorded_of_the_time_before_is_not_told_again() {
        let mut follower = follower(None);
        assert_eq!(lines(&mut follower, &[(10, 1.0), (20, 2.0)]), 2);
        assert_eq!(lines(&mut follower, &[(15, 7.0), (20, 8.0), (25, 9.0)]), 3);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_one() {
        let refused = Place::named("FLWO", &names()).unwrap_err().to_string();
        assert!(refused.contains("did you mean `FLOW`?") && refused.contains("known are FLOW, PH"), "{refused}");
    }

    #[test]
    fn a_setpoint_is_found_beside_its_tag() {
        let place = Place::named("FLOW", &names()).unwrap();
        assert_eq!((place.tag, place.setpoint), (None, Some(0)));
        assert_eq!(Place::named("PH", &names()).unwrap().tag, Some(0));
    }
}
