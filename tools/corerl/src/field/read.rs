//! `corerl io read` and `watch`: what the plant shows, beside whatever the runtime does.

use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use rt_config::Site;
use rt_state::audit::utc;
use serde::Serialize;
use ua_session::{NodeAddress, ReadPlan, ReadValue, StatusName, ValueId};

use super::line::{Line, Server, failed};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  corerl io read --config site.yaml\n  corerl io read LEVEL 'ns=2;s=Pump.Speed' --config site.yaml"
)]
pub(super) struct ReadArguments {
    #[command(flatten)]
    what: What,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  corerl io watch LEVEL QUALITY --every 0.5 --config site.yaml\n\nCtrl-C ends it.")]
pub(super) struct WatchArguments {
    #[command(flatten)]
    what: What,
    /// Seconds between two looks; what did not change is not shown again.
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = pause)]
    every: f64,
}

#[derive(Debug, Args)]
struct What {
    /// Tags of the site file, or addresses of nodes; all tags of the connection when none is named.
    #[arg(value_name = "TAG")]
    tags: Vec<String>,
    #[command(flatten)]
    server: Server,
}

fn pause(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text} is no number"))?;
    if (0.01..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("from 0.01 to 3600 seconds".to_owned()) }
}

/// A node and what people call it.
#[derive(Clone, Debug)]
struct Watched {
    tag: String,
    unit: String,
    node: String,
}

/// One value for people and programs.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    tag: &'a str,
    value: Option<f64>,
    unit: &'a str,
    quality: String,
    node: &'a str,
}

/// A session with everything that is to be read prepared.
struct Reader {
    line: Line,
    plan: ReadPlan,
    watched: Vec<Watched>,
    values: Vec<ReadValue>,
}

pub(super) fn read(arguments: &ReadArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Values<'a> {
        values: Vec<Shown<'a>>,
    }
    let mut reader = Reader::connect(&arguments.what)?;
    reader.look()?;
    let shown: Vec<_> = reader.watched.iter().zip(&reader.values).map(|(of, value)| show(of, value)).collect();
    let all_good = reader.values.iter().all(|value| value.status >> 30 == 0);
    if arguments.json {
        print_json("corerl.values/1", &Values { values: shown })?;
    } else {
        let heading = ["tag", "value", "unit", "quality", "node"].map(str::to_owned);
        print_text(&table(&std::iter::once(heading).chain(shown.iter().map(Shown::row)).collect::<Vec<_>>()))?;
    }
    reader.line.close();
    Ok(if all_good { Exit::Fine } else { Exit::CheckFailed })
}

pub(super) fn watch(arguments: &WatchArguments) -> Result<Exit, Failure> {
    let mut reader = Reader::connect(&arguments.what)?;
    let mut before: Vec<(u64, u32)> = Vec::new();
    loop {
        reader.look()?;
        let now: Vec<_> = reader.values.iter().map(|value| (value.value.to_bits(), value.status)).collect();
        let rows = reader.watched.iter().zip(&reader.values).enumerate();
        let changed = rows.filter(|(index, _)| before.get(*index) != now.get(*index));
        let time = utc(rt_sys::unix_time().as_ns());
        let text = changed.map(|(_, (of, value))| format!("{time}  {}\n", show(of, value).line())).collect::<String>();
        print_text(&text)?;
        before = now;
        sleep(Duration::from_secs_f64(arguments.every));
    }
}

impl Reader {
    fn connect(what: &What) -> Result<Self, Failure> {
        let (site, index) = what.server.find()?;
        let watched = what.watched(&site, index)?;
        let line = Line::connect(&site, &site.connections[index])?;
        let values = watched.iter().map(|of| locate(&line, of)).collect::<Result<Vec<_>, _>>()?;
        let plan = line.session.prepare_read(&values).map_err(|error| Failure::new(Exit::Unavailable, error))?;
        Ok(Self { line, plan, values: vec![ReadValue::MISSING; watched.len()], watched })
    }

    fn look(&mut self) -> Result<(), Failure> {
        let deadline = self.line.deadline_ns();
        let read = self.line.session.read(&mut self.plan, &mut self.values, deadline);
        read.map_err(|error| failed("reading", error))
    }
}

fn locate(line: &Line, of: &Watched) -> Result<ValueId, Failure> {
    let refused = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::BadConfiguration, format_args!("{} ({}): {error}", of.tag, of.node))
    };
    let address: NodeAddress = of.node.parse().map_err(|error| refused(&error))?;
    line.session.locate(&address).map_err(|error| refused(&error))
}

impl What {
    fn watched(&self, site: &Site, connection: usize) -> Result<Vec<Watched>, Failure> {
        let tags = site.tags.iter().filter_map(|tag| {
            let source = tag.source.as_ref().filter(|source| source.connection == connection)?;
            Some(Watched { tag: tag.name.clone(), unit: tag.unit.clone(), node: source.node.clone() })
        });
        let tags: Vec<_> = tags.collect();
        if self.tags.is_empty() {
            return Ok(tags);
        }
        let named = |name: &String| {
            let known = tags.iter().find(|tag| tag.tag == *name).cloned();
            let by_address = || {
                name.parse::<NodeAddress>().is_ok().then(|| Watched {
                    tag: name.clone(),
                    unit: String::new(),
                    node: name.clone(),
                })
            };
            known.or_else(by_address).ok_or_else(|| {
                let known = tags.iter().map(|tag| tag.tag.as_str()).collect::<Vec<_>>().join(", ");
                let message =
                    format!("`{name}` is neither a node's address nor a tag of this connection, which has: {known}");
                Failure::new(Exit::BadConfiguration, message)
            })
        };
        self.tags.iter().map(named).collect()
    }
}

fn show<'a>(of: &'a Watched, value: &ReadValue) -> Shown<'a> {
    Shown {
        tag: &of.tag,
        value: value.value.is_finite().then_some(value.value),
        unit: &of.unit,
        quality: quality(value.status),
        node: &of.node,
    }
}

impl Shown<'_> {
    fn row(&self) -> [String; 5] {
        let value = self.value.map_or_else(|| "-".to_owned(), value_of);
        [self.tag.to_owned(), value, self.unit.to_owned(), self.quality.clone(), self.node.to_owned()]
    }

    fn line(&self) -> String {
        let [tag, value, unit, quality, _] = self.row();
        let quality = if quality == "Good" { String::new() } else { format!("  {quality}") };
        format!("{tag}  {value} {unit}").trim_end().to_owned() + &quality
    }
}

/// A status by its name; Good alone stands for itself.
pub(super) fn quality(status: u32) -> String {
    if status == 0 { "Good".to_owned() } else { StatusName(status).to_string() }
}

pub(super) fn value_of(value: f64) -> String {
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_has_no_value_and_says_why() {
        let of = Watched { tag: "LEVEL".into(), unit: "m".into(), node: "ns=2;s=L".into() };
        assert_eq!(show(&of, &ReadValue::MISSING).line(), "LEVEL  - m  BadWaitingForInitialData (0x80320000)");
        let good = ReadValue { value: 0.5, status: 0, ..ReadValue::MISSING };
        assert_eq!(show(&of, &good).line(), "LEVEL  0.5 m");
        assert_eq!(show(&of, &good).row(), ["LEVEL", "0.5", "m", "Good", "ns=2;s=L"]);
    }

    #[test]
    fn a_pause_is_neither_nothing_nor_a_day() {
        assert_eq!(pause("0.5"), Ok(0.5));
        assert!(["0", "-1", "nan", "86400", "x"].iter().all(|text| pause(text).is_err()));
    }
}
