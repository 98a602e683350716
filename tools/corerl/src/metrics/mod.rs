//! `corerl metrics`: running agents as Prometheus sees them, and whether they are well.
//!
//! # Contract
//! - It reads shared memory and asks control sockets; it changes nothing, and killing it changes no cycle.
//! - `/metrics` is Prometheus's text format 0.0.4, and `/healthcheck` JSON: 200 when every agent is there and its cycles
//!   advance, 503 with the reasons else. A latched trip is told there and is no reason: starting anew would not help. Nothing
//!   else is served, and nobody can write anything.
//! - A counter never goes down while its runtime or learner lives, but for what is counted from cycle records, which begins at 0
//!   with this program. Records are read once a second, far more often than the ring is round; what was missed is a metric itself.
//! - One agent that does not answer takes two seconds of a scrape.
//!
//! # Parts
//! `catalogue` is the list of metrics, `meaning` what the words of shared memory are as metrics, `tally` what cycle records add
//! up to, `sight` an agent at one moment, `observatory` all agents, `exposition` and `buckets` the text, `http` the way to it.

mod buckets;
mod catalogue;
mod exposition;
mod http;
mod meaning;
mod observatory;
mod sight;
mod tally;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use rt_sys::Lifeline;
use serde::Serialize;
use watch::{Agents, From};

use self::http::{Response, Status};
use self::observatory::{Observatory, up};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};
use crate::target::{Directory, address};

/// Prometheus counts in seconds.
const NS_PER_S: f64 = rt_core::time::NS_PER_S as f64;
/// Its name in logs.
const SERVICE: &str = "corerl-metrics";
/// How often agents are looked at while nobody asks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  corerl metrics\n  corerl metrics --agent works/ph --listen 0.0.0.0:9464\n  corerl metrics --once | grep lateness\n  \
                  corerl metrics --list\n\n\
                  Serves http://ADDRESS/metrics for Prometheus, and http://ADDRESS/healthcheck: 200 when every agent is there and its \
                  cycles advance, else 503 with the reasons; `latched` of an agent is its trip, which waits for an operator. An agent that \
                  was seen once is expected from then on; one that is named is \
                  expected from the start. Run it as the runtime's user, or as one of `runtime.operators`. Whoever can reach the \
                  address can read: it is this machine's own unless --listen says otherwise."
)]
pub(crate) struct MetricsArguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9464")]
    listen: SocketAddr,
    /// Show this agent alone; may be repeated. Without it, all that are found.
    #[arg(long = "agent", value_name = "SITE/AGENT")]
    agents: Vec<String>,
    #[command(flatten)]
    directory: Directory,
    /// Serve value, age and quality of every tag as well.
    #[arg(long)]
    per_tag: bool,
    /// Print the metrics once, and end. That cycles stand still is not seen at one look.
    #[arg(long, conflicts_with = "list")]
    once: bool,
    /// Print a table of all metrics instead, and end.
    #[arg(long)]
    list: bool,
    /// Print the table, or where it is served, as JSON.
    #[arg(long, conflicts_with = "once")]
    json: bool,
    /// End when standard input is closed, that is, when the program that started this one is gone.
    #[arg(long)]
    tether: bool,
}

pub(crate) fn run(arguments: &MetricsArguments) -> Result<Exit, Failure> {
    if arguments.list {
        return list(arguments.json);
    }
    let directory = arguments.directory.path();
    let wanted = arguments.agents.iter().map(|label| Ok(address(&directory, label)?.label()));
    let wanted = wanted.collect::<Result<_, Failure>>()?;
    // Before any thread exists, so that all of them have the signals blocked.
    let lifeline = Lifeline::new(arguments.tether).map_err(|error| Failure::io("cannot watch for signals", &error))?;
    // What was recorded before we came was counted by whoever was here before.
    let agents = Agents::below(directory, From::Newest);
    let mut observatory = Observatory::new(agents, wanted, arguments.per_tag);
    observatory.look();
    if arguments.once {
        print_text(&observatory.page())?;
        let reasons = observatory.health().reasons;
        reasons.iter().for_each(|reason| eprintln!("warning: {reason}"));
        return Ok(if reasons.is_empty() { Exit::Fine } else { Exit::Unavailable });
    }
    rt_sys::start_logging(SERVICE, None);
    // From here on it is a service: why it ends belongs among its log lines.
    serve(arguments, observatory, &lifeline).or_else(|failure| {
        rt_sys::say_failure(SERVICE, &failure);
        Ok(failure.exit())
    })
}

fn serve(arguments: &MetricsArguments, observatory: Observatory, lifeline: &Lifeline) -> Result<Exit, Failure> {
    let cannot = |error: io::Error| {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::NoPermission,
            _ => Exit::Unavailable,
        };
        let address = arguments.listen;
        Failure::new(exit, format_args!("cannot listen at {address}: {error}; name another address with --listen"))
    };
    let listener = TcpListener::bind(arguments.listen).map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let shared = Arc::new(Mutex::new(observatory));
    let answering = Arc::clone(&shared);
    http::serve(listener, move |path| answer(path, &answering))
        .map_err(|error| Failure::io("cannot start the threads that serve", &error))?;
    announce(address, arguments.json)?;
    tracing::info!("serving http://{address}/metrics and /healthcheck");
    while !lifeline.wait(LOOK_EVERY).asks_to_stop() {
        drop(looked_at(&shared));
    }
    Ok(Exit::Fine)
}

fn answer(path: &str, observatory: &Mutex<Observatory>) -> Response {
    match path {
        "/metrics" => Response::new(Status::Ok, exposition::CONTENT_TYPE, looked_at(observatory).page()),
        "/healthcheck" => {
            let health = looked_at(observatory).health();
            let status = if health.reasons.is_empty() { Status::Ok } else { Status::Unavailable };
            let body = serde_json::to_string(&health).unwrap_or_default();
            Response::new(status, "application/json", format!("{body}\n"))
        }
        _ => Response::sentence(Status::NotFound, "there is nothing here but /metrics and /healthcheck"),
    }
}

/// All agents as they are now.
fn looked_at(observatory: &Mutex<Observatory>) -> std::sync::MutexGuard<'_, Observatory> {
    // A look that panicked has left nothing half done that the next one would not do again.
    let mut observatory = observatory.lock().unwrap_or_else(PoisonError::into_inner);
    observatory.look();
    observatory
}

/// Says where it listens; whoever started the program waits for this line.
fn announce(address: SocketAddr, json: bool) -> Result<(), Failure> {
    let line = match json {
        true => serde_json::json!({ "schema": "corerl.metrics/1", "url": format!("http://{address}") }).to_string(),
        false => format!("metrics at http://{address}/metrics, health at http://{address}/healthcheck"),
    };
    print_text(&format!("{line}\n"))
}

/// A line of the table of metrics.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    #[serde(rename = "type")]
    kind: exposition::Kind,
    labels: Vec<&'static str>,
    help: String,
}

fn list(json: bool) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Metrics {
        metrics: Vec<Listed>,
    }
    let (name, kind, help) = up();
    let first =
        Listed { name: name.to_owned(), kind, labels: catalogue::COMMON_LABELS.to_vec(), help: help.to_owned() };
    let others = catalogue::families().into_iter().map(|family| Listed {
        name: family.name,
        kind: family.kind,
        labels: catalogue::COMMON_LABELS.iter().chain(family.labels).copied().collect(),
        help: family.help,
    });
    let metrics: Vec<_> = std::iter::once(first).chain(others).collect();
    if json {
        print_json("corerl.metrics.list/1", &Metrics { metrics })?;
    } else {
        let heading = ["name", "type", "labels", "help"].map(String::from);
        let rows = metrics.into_iter().map(|of| [of.name, of.kind.name().to_owned(), of.labels.join(", "), of.help]);
        print_text(&table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>()))?;
    }
    Ok(Exit::Fine)
}
