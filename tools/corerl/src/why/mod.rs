//! `corerl agent why`: how decisions came about, and what became of them.

mod decision;
mod sources;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::Args;
use rt_core::ports::Clock as _;
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::{in_brackets, print_json, print_text, span, table};
use crate::target::Target;
use decision::{Decision, Gathering, Names, Way};
use sources::Film;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        corerl agent why                                the last decisions of the running agent\n  \
                        corerl agent why --last 1 --state               with the state that it was made on\n  \
                        corerl agent why --recording site.rec --cycle 120500 --last 1\n  \
                        corerl agent why --from flight.cap --last 3       what the flight recorder saved; without the policy's wish\n  \
                        corerl agent why --json | jq '.decisions[].setpoints[] | {name, mean, sent, reply, limits}'\n\n\
                        For each setpoint: what the policy asked for (mean), with exploration (sampled), what the agent's own \
                        bounds left of it (bounded), what the envelope let through in that cycle (envelope), the last value \
                        that was sent before the next decision (sent), what the plant had answered by then (reply: accepted, \
                        refused, or a dash before it has answered at all), what was read back (plant), and which limits acted. The value is the discounted sum of the rewards that the critics expect from there on, +- \
                        their standard deviation.")]
pub(crate) struct WhyArguments {
    #[command(flatten)]
    target: Target,
    /// Read a recording or a capture, a flight file say, instead of a running agent.
    #[arg(long, visible_alias = "from", value_name = "FILE", conflicts_with_all = ["agent", "runtime_dir"])]
    recording: Option<PathBuf>,
    /// So many decisions, the newest ones.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=8192))]
    last: u16,
    /// As if this control cycle were the newest one.
    #[arg(long, value_name = "NUMBER")]
    cycle: Option<u64>,
    /// Show the state, too: every column, normalised. JSON always has it.
    #[arg(long)]
    state: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Decisions that were found.
struct Found {
    agent: String,
    decisions: Vec<Decision>,
    /// The instant that they are told from, monotonic, and how people call it.
    now_ns: u64,
    now: &'static str,
}

pub(crate) fn run(arguments: &WhyArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed<'a> {
        agent: &'a str,
        decisions: &'a [Decision],
    }
    let Found { agent, decisions, now_ns, now } = match &arguments.recording {
        Some(path) => recorded(arguments, path)?,
        None => running(arguments)?,
    };
    if arguments.json {
        print_json("corerl.why/2", &Printed { agent: &agent, decisions: &decisions })?;
    } else if decisions.is_empty() {
        eprintln!(
            "{agent}: no decision was found: the policy runs in SHADOW, RUN, HOLD and FALLBACK, at decision slots"
        );
    } else {
        let told = |decision: &Decision| for_people(decision, now_ns, now, arguments.state);
        print_text(&decisions.iter().map(told).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(Exit::Fine)
}

fn running(arguments: &WhyArguments) -> Result<Found, Failure> {
    let (address, mut client) = arguments.target.connect()?;
    let names = Names::of_running(address.label(), client.describe()?);
    let mut gathering = Gathering::new(&names, arguments.last.into(), arguments.cycle);
    sources::live(&mut client, &mut gathering)?;
    let decisions = gathering.decisions.into();
    let now_ns = rt_sys::MonotonicClock::new().now().as_ns();
    Ok(Found { agent: names.agent, decisions, now_ns, now: "ago" })
}

fn recorded(arguments: &WhyArguments, path: &std::path::Path) -> Result<Found, Failure> {
    let (names, film) = Film::open(path)?;
    if let Some(lacks) = film.lacks().filter(|_| !arguments.json) {
        eprintln!("{}: {lacks}", path.display());
    }
    let mut gathering = Gathering::new(&names, arguments.last.into(), arguments.cycle);
    let now_ns = film.read(&mut gathering)?;
    let decisions = gathering.decisions.into();
    Ok(Found { agent: names.agent, decisions, now_ns, now: "before the end" })
}

fn for_people(decision: &Decision, now_ns: u64, now: &str, with_state: bool) -> String {
    let Decision { cycle, mode, reward, .. } = decision;
    let policy = match decision.policy_generation {
        0 => "the nominal policy".to_owned(),
        generation => format!("generation {generation}"),
    };
    let explored = if decision.explored { ", explored" } else { "" };
    let before = span(now_ns.saturating_sub(decision.time_ns));
    let because = in_brackets(&decision.because);
    let mut text =
        format!("cycle {cycle}, {before} {now}: {mode}, {policy}{explored}, reward {}{because}\n", number(*reward));
    if let Some(words) = decision.outcome.words() {
        text += &format!("  {words}\n");
    }
    let heading = ["", "mean", "sampled", "bounded", "envelope", "sent", "reply", "plant", "limits"].map(String::from);
    let rows = std::iter::once(heading).chain(decision.setpoints.iter().map(row));
    text += &indented(&table(&rows.collect::<Vec<_>>()));
    text += &match &decision.estimate {
        Some(of) => format!(
            "  value {} +- {}, of the nominal setpoint {} (after {} updates)\n",
            number(of.value),
            number(of.spread),
            number(of.nominal_value),
            of.updates
        ),
        None => "  value: no estimate (no learner, or it said nothing of this decision)\n".to_owned(),
    };
    if with_state {
        let rows = decision.state.iter().map(|(column, value)| [column.clone(), number(f64::from(*value))]);
        text += &indented(&table(&rows.collect::<Vec<_>>()));
    }
    text
}

fn row(way: &Way) -> [String; 9] {
    let unit = if way.unit.is_empty() { String::new() } else { format!(" [{}]", way.unit) };
    let limits = way.limits.iter().map(|limit| limit.replace('_', " "));
    let withheld = way.withheld.map(|why| format!("not sent: {}", why.replace('_', " ")));
    let told = limits.chain(withheld).collect::<Vec<_>>().join(", ");
    let [mean, sampled, bounded, envelope, sent, on_plant] =
        [way.mean, way.sampled, way.bounded, way.envelope, way.sent, way.on_plant].map(number);
    let reply = way.reply.unwrap_or("-").to_owned();
    [format!("{}{unit}", way.name), mean, sampled, bounded, envelope, sent, reply, on_plant, told]
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// Numbers for people; a dash for what is not a number.
fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:.5}") } else { "-".into() }
}
