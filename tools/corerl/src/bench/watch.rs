//! `corerl bench watch`: what it costs the control loop that somebody watches it.
//!
//! Watching is the screen of `corerl shm top`, drawn into nothing, a recorder that reads every cycle record, and whoever counts all
//! of them for metrics once a second: processes of their own that hold read-only descriptors. Each round measures the loop watched, alone, and alone once more, in an order that turns from
//! round to round; the second time alone tells how much of a ratio is chance.

use clap::Args;
use rt_core::time::Span;
use serde::Serialize;

use super::contestant::{Measured, Running, each_once};
use super::disturb::{Disturbance, Kind};
use super::latency::measure;
use super::machine::Machine;
use super::options::{LoopOptions, Plan, duration, keep_cpus_awake};
use super::statistics::Ratio;
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, span, table};

/// Watching may cost so much.
const RATIO_MAX: f64 = 1.05;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  corerl bench watch --rounds 20 --duration 5s\n\n\
                        Exit code 1 when watching certainly costs more than 1.05 times: the whole 95 % interval lies above it. Where the \
                        interval is wider than 0.3, the run says nothing: take more rounds, longer ones, or a quieter machine.")]
pub(super) struct WatchArguments {
    #[command(flatten)]
    options: LoopOptions,
    /// Duration of each of a round's three measurements.
    #[arg(short = 'D', long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    duration: Span,
    /// Rounds.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(3..=1000))]
    rounds: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    body: String,
    interval_us: f64,
    rounds: u64,
    degraded: Vec<String>,
    figures: Vec<Figure>,
    watched_lost_per_million: f64,
    alone_lost_per_million: f64,
}

/// One figure of the loop: watched against alone, and alone against alone.
#[derive(Debug, Serialize)]
struct Figure {
    of: &'static str,
    watched: Ratio,
    control: Ratio,
}

/// The three measurements of a round.
struct Round {
    watched: Measured,
    alone: Measured,
    again: Measured,
}

pub(super) fn run(arguments: &WatchArguments) -> Result<Exit, Failure> {
    let plan = arguments.options.plan()?;
    if !plan.has_shared_memory() {
        return Err(Failure::new(
            Exit::BadConfiguration,
            "a bare loop writes nothing that could be watched: leave out --bare",
        ));
    }
    let machine = Machine::describe();
    let _awake = keep_cpus_awake();
    let mut rounds = Vec::new();
    for number in 0..arguments.rounds {
        eprintln!("round {} of {}", number + 1, arguments.rounds);
        rounds.push(Round::run(&plan, arguments.duration, number)?);
    }
    let report = Report::of(&plan, machine, &rounds);
    if arguments.json {
        print_json("corerl.bench.watch/1", &report)?;
    } else {
        print_text(&report.for_people())?;
    }
    Ok(if report.costs_too_much() { Exit::CheckFailed } else { Exit::Fine })
}

impl Round {
    fn run(plan: &Plan, duration: Span, number: u64) -> Result<Self, Failure> {
        let mut measured = [None, None, None];
        for turn in 0..3 {
            let place = (number + turn) as usize % measured.len();
            measured[place] =
                Some(if place == 0 { watched(plan, duration)? } else { measure(plan, duration, |_| Ok(()))? });
        }
        let [Some(watched), Some(alone), Some(again)] = measured else {
            return Err(Failure::new(Exit::Internal, "a turn was left out"));
        };
        Ok(Self { watched, alone, again })
    }
}

fn watched(plan: &Plan, duration: Span) -> Result<Measured, Failure> {
    let mut watchers = Vec::new();
    let measured = measure(plan, duration, |running: &Running| {
        for kind in Kind::WATCHERS {
            watchers.push(Disturbance::start(kind, duration, running)?);
        }
        Ok(())
    })?;
    watchers.into_iter().try_for_each(Disturbance::end)?;
    Ok(measured)
}

impl Report {
    fn of(plan: &Plan, machine: Machine, rounds: &[Round]) -> Self {
        let lost = |of: fn(&Round) -> &Measured| {
            let total = rounds.iter().map(|round| of(round).tape.lost_per_million()).sum::<f64>();
            total / rounds.len().max(1) as f64
        };
        let measured = rounds.iter().flat_map(|Round { watched, alone, again }| [watched, alone, again]);
        Self {
            machine,
            body: plan.body(),
            interval_us: plan.period.as_ns() as f64 / 1e3,
            rounds: rounds.len() as u64,
            degraded: each_once(measured.flat_map(|of| &of.degraded)),
            figures: vec![
                Figure::of("release lateness", "p50", rounds, |of| of.tape.lateness.corrected.quantile_ns(0.5)),
                Figure::of("release lateness", "p99", rounds, |of| of.tape.lateness.corrected.quantile_ns(0.99)),
                Figure::of("execution", "p50", rounds, |of| of.tape.execution.quantile_ns(0.5)),
                Figure::of("execution", "p99", rounds, |of| of.tape.execution.quantile_ns(0.99)),
            ],
            watched_lost_per_million: lost(|round| &round.watched),
            alone_lost_per_million: lost(|round| &round.alone),
        }
    }

    fn costs_too_much(&self) -> bool {
        self.figures.iter().any(Figure::is_above_the_bound)
    }

    fn for_people(&self) -> String {
        let mut rows =
            vec![["", "", "watched", "alone", "ratio, 95 % interval", "alone against itself"].map(String::from)];
        rows.extend(self.figures.iter().map(|Figure { of, watched, control }| {
            let shown = |ratio: &Ratio| ratio.ratio.map_or("-".into(), |ratio| ratio.to_string());
            let [one, other] = [watched.subject_median_ns, watched.opponent_median_ns].map(|ns| span(ns as u64));
            [(*of).into(), watched.quantile.into(), one, other, shown(watched), shown(control)]
        }));
        let mut text = format!("{}, every {} us\n{}\n\n{}", self.body, self.interval_us, self.machine, table(&rows));
        text.push_str(&format!(
            "lost per million: {:.0} watched, {:.0} alone\n",
            self.watched_lost_per_million, self.alone_lost_per_million
        ));
        for reason in &self.degraded {
            text.push_str(&format!("degraded: {reason}\n"));
        }
        text
    }
}

impl Figure {
    fn of(name: &'static str, quantile: &'static str, rounds: &[Round], value: fn(&Measured) -> Option<u64>) -> Self {
        let ns = |of: &Measured| value(of).unwrap_or(0) as f64;
        let pairs = |one: fn(&Round) -> &Measured, other: fn(&Round) -> &Measured| -> Vec<_> {
            rounds.iter().map(|round| (ns(one(round)), ns(other(round)))).collect()
        };
        Self {
            of: name,
            watched: Ratio::of(quantile, &pairs(|round| &round.watched, |round| &round.alone)),
            control: Ratio::of(quantile, &pairs(|round| &round.again, |round| &round.alone)),
        }
    }

    /// Certainly so: all of a narrow interval lies above it.
    fn is_above_the_bound(&self) -> bool {
        self.watched.resolved && self.watched.ratio.is_some_and(|ratio| ratio.low > RATIO_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(pairs: &[(f64, f64)]) -> Figure {
        Figure { of: "execution", watched: Ratio::of("p50", pairs), control: Ratio::of("p50", &[(1.0, 1.0)]) }
    }

    #[test]
    fn only_a_cost_that_is_certain_is_too_much() {
        assert!(figure(&[(1200.0, 1000.0); 9]).is_above_the_bound());
        assert!(!figure(&[(1040.0, 1000.0); 9]).is_above_the_bound());
        let scattered: Vec<_> = (0..9).map(|n| (1000.0 + 200.0 * f64::from(n), 1000.0)).collect();
        assert!(!figure(&scattered).is_above_the_bound(), "an interval this wide says nothing");
    }
}
