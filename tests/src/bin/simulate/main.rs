//! `cargo xtask sim`: scenarios of the simulated system, one or many, and the command that repeats one that failed.
#![forbid(unsafe_code)]

mod report;
mod seeds;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use clap::builder::RangedU64ValueParser;
use rt_core::time::Span;
use tests::simulation::Scenario;

use report::Report;
use seeds::Seeds;

/// Nanoseconds of a day.
const DAY_NS: f64 = 86_400e9;
/// Half an hour of simulated time for each seed.
const DAYS: f64 = 1.0 / 48.0;

/// Run the whole system but the operating system in simulated time, with faults drawn from a seed.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask sim",
    bin_name = "cargo xtask sim",
    after_help = "Every seed is one scenario: a plant, its settings, 5 to 50 faults, a learner and an operator. In the safety \
        phase the invariants I1 to I6 are checked in every cycle and for every telegram; then all faults end, and RUN has to \
        come back. The same seed and options give the same hash of all outputs, on every machine.\n\n\
        Exit code 1: an invariant broke; the command that repeats it is printed.\n\n\
        Examples:\n  cargo xtask sim --seed 42\n  cargo xtask sim --seeds 1..1000\n  cargo xtask sim --seed 42 --days 1"
)]
struct Arguments {
    /// The scenario's seed.
    #[arg(long, default_value_t = 1, conflicts_with = "seeds")]
    seed: u64,
    /// Many seeds, first and last: A..B.
    #[arg(long, value_name = "A..B")]
    seeds: Option<Seeds>,
    /// Simulated days of the safety phase of each seed.
    #[arg(long, default_value_t = DAYS, value_parser = days)]
    days: f64,
    /// The control period in microseconds; observations are made every ten periods.
    #[arg(long, value_name = "US", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    period_us: u64,
    /// Seeds that run at the same time; by default one per CPU.
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    threads: Option<usize>,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn scenario(&self, seed: u64) -> Scenario {
        let period = Span::from_ns(self.period_us * 1_000);
        // Beyond u64 it would take longer than anybody waits.
        let slots = (self.days * DAY_NS / period.as_ns() as f64).ceil() as u64;
        Scenario { seed, period, slots }
    }

    /// The command that runs this seed alone.
    fn repeat(&self, seed: u64) -> String {
        let defaults = (self.days == DAYS, self.period_us == 100_000);
        let days = if defaults.0 { String::new() } else { format!(" --days {}", self.days) };
        let period = if defaults.1 { String::new() } else { format!(" --period-us {}", self.period_us) };
        format!("cargo xtask sim --seed {seed}{days}{period}")
    }
}

fn days(text: &str) -> Result<f64, String> {
    let days: f64 = text.parse().map_err(|_| format!("{text} is no number of days"))?;
    if days > 0.0 && days <= 3_650.0 { Ok(days) } else { Err("more than 0 and at most 3650 days".to_owned()) }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seeds = arguments.seeds.unwrap_or(Seeds { first: arguments.seed, last: arguments.seed });
    let threads = arguments.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let began = Instant::now();
    let outcomes = seeds::run(seeds, threads, |seed| arguments.scenario(seed));
    let report = Report::new(&outcomes, began.elapsed());
    if arguments.json {
        println!("{}", report.json(|seed| arguments.repeat(seed)));
    } else {
        print!("{}", report.text(|seed| arguments.repeat(seed)));
    }
    if report.all_passed(seeds.count()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
