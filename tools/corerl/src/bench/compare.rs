//! `corerl bench compare`: the control loop beside a reference, on the same CPU at the same time.
//!
//! Each pair of runs shares one window of time: phases apart, so that neither is in the other's way, and priorities in the
//! order ABBA, so that being second costs both alike. A machine that is slow for a while is slow for both, and their ratio
//! stays. The same against itself, measured the same way, tells how much of a ratio is chance.

use clap::Args;
use rt_core::ports::Clock;
use rt_core::time::Span;
use rt_sys::{Grant, MonotonicClock, RealtimeRequest};
use serde::Serialize;

use super::contestant::{Contestant, Measured, Seat, Window, each_once};
use super::cyclictest;
use super::latency::WARM_UP;
use super::machine::Machine;
use super::options::{LoopOptions, Plan, duration, keep_cpus_awake};
use super::statistics::Ratio;
use super::tape::Tape;
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

/// The contestants' slots lie this far apart.
const APART: Span = Span::from_ns(200_000);
/// What is compared.
const QUANTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")];
/// cyclictest begins at the full second after its start: the window leaves room for that.
const AHEAD: Span = Span::from_ms(WARM_UP.as_ns() / 1_000_000 + 900);

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  corerl bench compare --pairs 20 --duration 10s\n\n\
                        Ratios are of release lateness, corrected for lost slots: below 1, corerl is the earlier one. Where the 95 % \
                        interval is wider than 0.3, the run says nothing: take more pairs, longer ones, or a quieter machine. The one comes \
                        first in each interval and wakes the CPU for the other; the same against itself shows what that costs it.")]
pub(super) struct CompareArguments {
    #[command(flatten)]
    options: LoopOptions,
    /// Duration of each pair.
    #[arg(short = 'D', long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    duration: Span,
    /// Pairs per comparison.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(10..=1000))]
    pairs: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &CompareArguments) -> Result<Exit, Failure> {
    let plan = arguments.options.plan()?;
    if plan.period.as_ns() < 4 * APART.as_ns() {
        let message = "two loops fit on one CPU from an interval of 800 us on: write --interval 800 or more";
        return Err(Failure::new(Exit::BadConfiguration, message));
    }
    let machine = Machine::describe();
    let _awake = keep_cpus_awake();
    let ours = &plan.contestant;
    let mut comparisons = Vec::new();
    for opponent in opponents() {
        for subject in [ours, &opponent] {
            comparisons.push(Comparison::run(&plan, subject, &opponent, arguments)?);
        }
    }
    let report = Report { machine, body: plan.body(), interval_us: plan.period.as_ns() as f64 / 1e3, comparisons };
    if arguments.json {
        print_json("corerl.bench.compare/1", &report)?;
    } else {
        print_text(&report.for_people())?;
    }
    Ok(Exit::Fine)
}

/// The plain loop, and cyclictest where it is installed and permitted.
fn opponents() -> Vec<Contestant> {
    let mut opponents = vec![Contestant::Reference];
    match cyclictest::installed() {
        None => eprintln!("note: cyclictest is not installed (Debian: rt-tests), so it is left out"),
        Some(_) if !may_use_fifo() => eprintln!("note: cyclictest needs a real-time priority, so it is left out"),
        Some(path) => opponents.push(Contestant::Cyclictest(path)),
    }
    opponents
}

fn may_use_fifo() -> bool {
    let attempt = || RealtimeRequest { cpu: None, priority: Some(1) }.apply().fifo;
    std::thread::spawn(attempt).join().is_ok_and(|grant| matches!(grant, Grant::Confirmed(_)))
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    body: String,
    interval_us: f64,
    comparisons: Vec<Comparison>,
}

/// One contestant against another.
#[derive(Debug, Serialize)]
struct Comparison {
    subject: &'static str,
    opponent: &'static str,
    pairs: u64,
    degraded: Vec<String>,
    ratios: Vec<Ratio>,
    subject_lost_per_million: f64,
    opponent_lost_per_million: f64,
}

impl Comparison {
    fn run(
        plan: &Plan,
        subject: &Contestant,
        opponent: &Contestant,
        arguments: &CompareArguments,
    ) -> Result<Self, Failure> {
        let mut pairs = Vec::new();
        for pair in 0..arguments.pairs {
            let (one, other) = side_by_side(plan, subject, opponent, pair, arguments.duration)?;
            let p99 = |of: &Measured| of.tape.lateness.corrected.quantile_ns(0.99).unwrap_or(0) as f64 / 1e3;
            eprintln!(
                "{} against {}, pair {} of {}: p99 {:.1} and {:.1} us",
                subject.name(),
                opponent.name(),
                pair + 1,
                arguments.pairs,
                p99(&one),
                p99(&other)
            );
            pairs.push((one, other));
        }
        Ok(Self::of(subject.name(), opponent.name(), &pairs))
    }

    fn of(subject: &'static str, opponent: &'static str, pairs: &[(Measured, Measured)]) -> Self {
        let lost = |tapes: &mut dyn Iterator<Item = &Tape>| {
            let (lost, slots) = tapes.fold((0, 0), |(lost, slots), tape| (lost + tape.lost, slots + tape.slots));
            1e6 * lost as f64 / (lost + slots).max(1) as f64
        };
        let measured = pairs.iter().flat_map(|(one, other)| [one, other]);
        Self {
            subject,
            opponent,
            pairs: pairs.len() as u64,
            degraded: each_once(measured.flat_map(|of| &of.degraded)),
            ratios: QUANTILES.iter().map(|&(quantile, name)| Ratio::of(name, &lateness(quantile, pairs))).collect(),
            subject_lost_per_million: lost(&mut pairs.iter().map(|(one, _)| &one.tape)),
            opponent_lost_per_million: lost(&mut pairs.iter().map(|(_, other)| &other.tape)),
        }
    }
}

/// The corrected release lateness of every pair at this quantile, nanoseconds.
fn lateness(quantile: f64, pairs: &[(Measured, Measured)]) -> Vec<(f64, f64)> {
    let value = |of: &Measured| of.tape.lateness.corrected.quantile_ns(quantile).unwrap_or(0) as f64;
    pairs.iter().map(|(one, other)| (value(one), value(other))).collect()
}

/// One pair: both through the same window, on the same CPU. Of four pairs, the subject has the higher priority in the
/// first and the last.
fn side_by_side(
    plan: &Plan,
    subject: &Contestant,
    opponent: &Contestant,
    pair: u64,
    duration: Span,
) -> Result<(Measured, Measured), Failure> {
    let slots = duration.periods(plan.period).max(1);
    let (high, low) = (plan.seat.priority, plan.seat.priority.saturating_sub(1));
    let (first, second) = if matches!(pair % 4, 0 | 3) { (high, low) } else { (low, high) };
    let phase = Span::from_ns((plan.seat.phase + APART).as_ns() % plan.period.as_ns());
    let one = subject.ready(Seat { priority: first, ..plan.seat })?;
    let other = opponent.ready(Seat { priority: second, phase, ..plan.seat })?;
    let window = Window::ahead(MonotonicClock::new().now(), AHEAD, plan.period, slots, 0);
    let (one, other) = (one.start(window)?, other.start(window)?);
    Ok((one.finish()?, other.finish()?))
}

impl Report {
    fn for_people(&self) -> String {
        let mut text = format!("{}, every {} us\n{}\n", self.body, self.interval_us, self.machine);
        let mut rows =
            vec![["", "release lateness", "of the one", "of the other", "ratio, 95 % interval"].map(String::from)];
        for comparison in &self.comparisons {
            let name = format!("{} / {}", comparison.subject, comparison.opponent);
            for (place, ratio) in comparison.ratios.iter().enumerate() {
                let name = if place == 0 { name.clone() } else { String::new() };
                let us = |ns: f64| format!("{:.2} us", ns / 1e3);
                let shown = ratio.ratio.map_or("-".into(), |ratio| ratio.to_string());
                rows.push([
                    name,
                    ratio.quantile.into(),
                    us(ratio.subject_median_ns),
                    us(ratio.opponent_median_ns),
                    shown,
                ]);
            }
            let per_million = |lost: f64| format!("{lost:.0}");
            rows.push([
                String::new(),
                "lost per million".into(),
                per_million(comparison.subject_lost_per_million),
                per_million(comparison.opponent_lost_per_million),
                String::new(),
            ]);
        }
        text.push_str(&format!("\n{}", table(&rows)));
        for reason in each_once(self.comparisons.iter().flat_map(|comparison| &comparison.degraded)) {
            text.push_str(&format!("degraded: {reason}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rt_core::pacing::Delays;
    use rt_core::time::Period;

    fn measured(lateness_ns: u64, lost: u64) -> Measured {
        let mut tape = Tape::new(Period::from_ns(1_000_000).unwrap(), 0);
        (0..99).for_each(|_| tape.note(lateness_ns, 0, 0));
        tape.note(lateness_ns, 0, lost);
        Measured { tape, delays: Delays::default(), margin: Span::ZERO, degraded: vec!["no FIFO".into()], purity: None }
    }

    #[test]
    fn a_ratio_is_the_median_of_the_pairs_ratios() {
        let pairs: Vec<_> =
            [10, 20, 30].iter().map(|scale| (measured(scale * 10, 0), measured(scale * 20, 0))).collect();
        let comparison = Comparison::of("a", "b", &pairs);
        for ratio in &comparison.ratios {
            assert!((ratio.ratio.unwrap().median - 0.5).abs() < 0.04 && ratio.resolved, "{ratio:?}");
        }
    }

    #[test]
    fn a_reason_is_told_once_whichever_run_had_it_and_however_often() {
        let because = |reasons: &[&str]| {
            let degraded = reasons.iter().map(ToString::to_string).collect();
            Measured { degraded, ..measured(10, 0) }
        };
        let (all, fifo) = (["no FIFO", "not locked"], &["no FIFO"]);
        let comparison = Comparison::of("a", "b", &[(because(&all), because(&[])), (because(&all), because(fifo))]);
        assert_eq!(comparison.degraded, all);
        assert_eq!(Comparison::of("a", "b", &[(because(&[]), because(fifo))]).degraded, *fifo);
    }

    #[test]
    fn lost_slots_of_both_are_counted_in_a_million_of_all_pairs() {
        let comparison =
            Comparison::of("a", "b", &[(measured(5, 0), measured(5, 100)), (measured(5, 0), measured(5, 0))]);
        assert_eq!(comparison.subject_lost_per_million, 0.0);
        assert_eq!(comparison.opponent_lost_per_million, 1e6 / 3.0);
    }
}
