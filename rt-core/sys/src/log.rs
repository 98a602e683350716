//! Logs of the threads without deadlines: text on a terminal, else one JSON object per line with CoreRL's field names.

use std::io::IsTerminal;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::unix_time;

/// Starts logging on standard error for a `service`, of one `agent` when it serves only one; `RUST_LOG` chooses the level,
/// `info` by default. Allocates and writes: never to be used by a thread with deadlines, which leaves facts in a ring instead.
pub fn start_logging(service: &'static str, agent: Option<&str>) {
    start(service, agent, EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")));
}

/// The same for a service that has an option for its level, or for several: `warn,LIBRARY=off`.
pub fn start_filtered_logging(service: &'static str, agent: Option<&str>, levels: &str) {
    start(service, agent, EnvFilter::new(levels));
}

fn start(service: &'static str, agent: Option<&str>, filter: EnvFilter) {
    // Why a service ends is said whatever else is not.
    let filter = match LAST_WORDS_HEARD.parse() {
        Ok(heard) => filter.add_directive(heard),
        Err(_) => filter,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let correlation_id = format!("{:x}-{:x}", std::process::id(), unix_time().as_ns());
    // A second start in one process changes nothing and is no reason to fail.
    let _ = if std::io::stderr().is_terminal() {
        builder.with_target(false).without_time().try_init()
    } else {
        builder.event_format(JsonLines { service, agent: agent.map(str::to_owned), correlation_id }).try_init()
    };
}

/// The target of what a service says when it cannot go on.
const LAST_WORDS: &str = "last_words";
/// They are let through.
const LAST_WORDS_HEARD: &str = "last_words=error";

/// Says why a service ends: as a line of the level CRITICAL where it logs JSON, else as a sentence for whoever started it.
pub fn say_failure(service: &str, failure: &dyn std::fmt::Display) {
    if tracing::dispatcher::has_been_set() && !std::io::stderr().is_terminal() {
        tracing::error!(target: LAST_WORDS, exception = %failure, "{service} ends: {failure}");
    } else {
        eprintln!("{service}: {failure}");
    }
}

struct JsonLines {
    service: &'static str,
    agent: Option<String>,
    /// One identity for everything that this process says.
    correlation_id: String,
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut line = Fields::default();
        event.record(&mut line);
        let mut put = |name: &str, value: Value| line.0.insert(name.into(), value);
        put("timestamp", (unix_time().as_ns() as f64 / 1e9).into());
        put("service", self.service.into());
        put("level", level_name(event.metadata()).into());
        put("correlation_id", self.correlation_id.as_str().into());
        if let Some(agent) = &self.agent {
            put("agent_id", agent.as_str().into());
        }
        writeln!(writer, "{}", Value::Object(line.0))
    }
}

/// CoreRL's names of the levels.
fn level_name(of: &Metadata<'_>) -> &'static str {
    match *of.level() {
        Level::ERROR if of.target() == LAST_WORDS => "CRITICAL",
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }
}
