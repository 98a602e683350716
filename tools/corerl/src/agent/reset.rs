//! `corerl agent reset`: clears a trip and looks whether it stays cleared, because a plant that still refuses trips at once.

use std::time::{Duration, Instant};

use clap::Args;
use rt_control::{Act, Client, LatchedSince, Status};
use rt_core::time::Span;
use serde::Serialize;

use super::ActArguments;
use crate::failure::{Exit, Failure};
use crate::output::{print_json, span};

/// How often the runtime is asked meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// So long it is looked at, where nobody says how long: enough periods for writes to be sent, refused and counted.
const PERIODS: u64 = 100;
const WATCH_MIN: Span = Span::from_ms(1_000);
const WATCH_MAX: Span = Span::from_ms(30_000);

#[derive(Debug, Args)]
pub(super) struct ResetArguments {
    #[command(flatten)]
    act: ActArguments,
    /// Look so long whether it trips again, 0s for not at all [default: 100 control periods, 1 s to 30 s].
    #[arg(long, value_name = "TIME", value_parser = rt_config::duration)]
    watch: Option<Span>,
}

/// A trip that came behind the reset, or that the reset did not clear.
#[derive(Debug, PartialEq, Serialize)]
struct Tripped {
    cause: String,
    /// It is another trip than the one that was to be cleared.
    again: bool,
    since: Option<LatchedSince>,
    /// What the connections said last.
    connections: Vec<String>,
}

pub(super) fn run(arguments: &ResetArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed<'a> {
        agent: String,
        act: &'a str,
        message: &'a str,
        /// How long was looked.
        watched_s: f64,
        tripped: Option<&'a Tripped>,
    }
    let ActArguments { target, cause, json } = &arguments.act;
    let (address, mut client) = target.connect()?;
    let period = Span::from_ns(client.describe()?.period_ns);
    let before = client.status()?;
    let message = client.act(Act::Reset, cause)?;
    // What was not tripped has nothing that could come back.
    let watch = if before.latched.is_some() { arguments.watch.unwrap_or(long_enough(period)) } else { Span::ZERO };
    let tripped = look(&mut client, &before, Duration::from_nanos(watch.as_ns()))?;
    let label = address.label();
    if *json {
        let (agent, watched_s) = (label, watch.as_seconds());
        let printed =
            Printed { agent, act: Act::Reset.name(), message: &message, watched_s, tripped: tripped.as_ref() };
        print_json("corerl.act/1", &printed)?;
    } else {
        eprintln!("{label}: {message}");
        match &tripped {
            Some(tripped) => eprintln!("{label}: {}", tripped.told()),
            None if watch > Span::ZERO => eprintln!("{label}: no trip in the {} since", span(watch.as_ns())),
            None => {}
        }
    }
    Ok(if tripped.is_some() { Exit::CheckFailed } else { Exit::Fine })
}

fn long_enough(period: Span) -> Span {
    Span::from_ns(period.as_ns().saturating_mul(PERIODS)).clamp(WATCH_MIN, WATCH_MAX)
}

/// Asks again and again until there is another trip or the time is over; then what is latched all the same.
fn look(client: &mut Client, before: &Status, watch: Duration) -> Result<Option<Tripped>, Failure> {
    let begun = Instant::now();
    let mut found = None;
    while begun.elapsed() < watch && !found.as_ref().is_some_and(|tripped: &Tripped| tripped.again) {
        std::thread::sleep(ASK_EVERY.min(watch));
        found = Tripped::of(&client.status()?, before);
    }
    Ok(found)
}

impl Tripped {
    fn of(status: &Status, before: &Status) -> Option<Self> {
        let cause = status.latched.clone()?;
        let cycle = |of: &Status| of.latched_since.as_ref().map(|since| since.cycle);
        let again = cycle(status) != cycle(before);
        let said = status.connections.iter().filter_map(|of| Some(format!("{}: {}", of.id, of.last_error.as_ref()?)));
        Some(Self { cause, again, since: status.latched_since.clone(), connections: said.collect() })
    }

    fn told(&self) -> String {
        let place = self.since.as_ref().map(|since| format!(" in cycle {}", since.cycle)).unwrap_or_default();
        let said = match self.connections.as_slice() {
            [] => String::new(),
            said => format!("; {}", said.join("; ")),
        };
        let what = if self.again { "TRIPPED AGAIN" } else { "STILL TRIPPED since a trip" };
        format!("{what}{place}: {}{said}", self.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::tests::example;

    #[test]
    fn a_trip_that_came_back_is_told_with_what_the_plant_says() {
        let (_, mut status) = example();
        let before = status.clone();
        assert_eq!(Tripped::of(&status, &before), None);
        status.latched = Some("write_refused".into());
        status.latched_since = Some(LatchedSince { cycle: 9, utc: String::new(), ago_s: 0.1 });
        status.connections[0].last_error = Some("u: BadNotWritable for 0.4".into());
        let told = Tripped::of(&status, &before).unwrap().told();
        assert_eq!(told, "TRIPPED AGAIN in cycle 9: write_refused; plant: u: BadNotWritable for 0.4");
        let told = Tripped::of(&status, &status).unwrap().told();
        assert!(told.starts_with("STILL TRIPPED since a trip in cycle 9: "), "{told}");
    }

    #[test]
    fn it_is_looked_at_for_many_periods_and_not_for_ever() {
        let watched = [1, 50, 10_000].map(|ms| long_enough(Span::from_ms(ms)));
        assert_eq!(watched, [WATCH_MIN, Span::from_ms(5_000), WATCH_MAX]);
    }
}
