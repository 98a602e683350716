//! `corerl bench load`: the control loop while other processes of this machine are in its way.

use clap::Args;
use rt_core::time::Span;
use serde::Serialize;

use super::contestant::{Running, each_once};
use super::disturb::{Disturbance, Kind};
use super::latency::measure;
use super::machine::Machine;
use super::options::{LoopOptions, duration, keep_cpus_awake};
use super::tape::Figures;
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, span, table};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  corerl bench load --duration 10s\n\n\
                        Each disturbance is made of processes of its own with an ordinary priority, bounded in time and memory, and \
                        ended before the next one begins; whatever ends this program ends them, too.")]
pub(super) struct LoadArguments {
    #[command(flatten)]
    options: LoopOptions,
    /// Duration of each measurement.
    #[arg(short = 'D', long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    duration: Span,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    body: String,
    interval_us: f64,
    runs: Vec<Run>,
}

#[derive(Debug, Serialize)]
struct Run {
    /// `nothing`, or what disturbed.
    beside: &'static str,
    lateness: Figures,
    execution: Figures,
    lost_per_million: f64,
    degraded: Vec<String>,
}

pub(super) fn run(arguments: &LoadArguments) -> Result<Exit, Failure> {
    let plan = arguments.options.plan()?;
    let machine = Machine::describe();
    let _awake = keep_cpus_awake();
    let mut runs = Vec::new();
    let kinds = Kind::LOADS.into_iter().filter(|kind| !kind.reads_records() || plan.has_shared_memory());
    for kind in std::iter::once(None).chain(kinds.map(Some)) {
        let beside = kind.map_or("nothing", Kind::name);
        eprintln!("beside {beside}");
        let mut disturbance = None;
        let begin = |running: &Running| {
            disturbance = kind.map(|kind| Disturbance::start(kind, arguments.duration, running)).transpose()?;
            Ok(())
        };
        let measured = measure(&plan, arguments.duration, begin)?;
        if let Some(disturbance) = disturbance {
            disturbance.end()?;
        }
        runs.push(Run {
            beside,
            lateness: Figures::of(&measured.tape.lateness.corrected),
            execution: Figures::of(&measured.tape.execution),
            lost_per_million: measured.tape.lost_per_million(),
            degraded: measured.degraded,
        });
    }
    let report = Report { machine, body: plan.body(), interval_us: plan.period.as_ns() as f64 / 1e3, runs };
    if arguments.json {
        print_json("corerl.bench.load/1", &report)?;
    } else {
        print_text(&report.for_people())?;
    }
    Ok(Exit::Fine)
}

impl Report {
    fn for_people(&self) -> String {
        let shown = |value: Option<u64>| value.map_or("-".into(), span);
        let mut rows = vec![
            ["beside", "lateness p50", "p99", "p99.9", "max", "execution p99", "lost per million"].map(String::from),
        ];
        rows.extend(self.runs.iter().map(|run| {
            let Figures { p50_ns, p99_ns, p999_ns, max_ns, .. } = &run.lateness;
            let [p50, p99, p999, max, execution] =
                [p50_ns, p99_ns, p999_ns, max_ns, &run.execution.p99_ns].map(|value| shown(*value));
            [run.beside.into(), p50, p99, p999, max, execution, format!("{:.0}", run.lost_per_million)]
        }));
        let mut text = format!("{}, every {} us\n{}\n\n{}", self.body, self.interval_us, self.machine, table(&rows));
        for reason in each_once(self.runs.iter().flat_map(|run| &run.degraded)) {
            text.push_str(&format!("degraded: {reason}\n"));
        }
        text
    }
}
