//! `corerl bench latency`: one loop, measured by itself.

use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;

use clap::{ArgAction, Args};
use rt_core::ports::Clock;
use rt_core::time::Span;
use rt_sys::MonotonicClock;
use serde::Serialize;

use super::contestant::{Measured, Running, Window};
use super::machine::Machine;
use super::options::{LoopOptions, Plan, duration, keep_cpus_awake, pause, write_file};
use super::tape::{Corrected, Figures};
use super::{files, picture};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, span, table};

/// Time for calibrating, the first policy and the first hundreds of cycles; none of it is measured.
pub(super) const WARM_UP: Span = Span::from_ms(600);
/// How often a terminal is told how far it is.
const PROGRESS_EVERY: Span = Span::from_ms(500);

#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  corerl bench latency -i 1000 -D 60s -p 80 -a 1\n  \
                  corerl bench latency --bare --spin off --histfile lateness.txt\n  \
                  corerl bench latency --fail-above 100us --json | jq .lateness.corrected\n\n\
                  Options are named as in cyclictest; -h is the histogram's reach, so help is --help alone.\n\
                  Exit code 1 when --fail-above is exceeded."
)]
pub(super) struct LatencyArguments {
    #[command(flatten)]
    options: LoopOptions,
    /// End after this long: seconds, or with a unit such as 500ms, 10s, 5m, 1h.
    #[arg(short = 'D', long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    duration: Span,
    /// End after so many slots.
    #[arg(short, long, value_name = "N", conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..))]
    loops: Option<u64>,
    /// Reach of the histogram in --histfile, microseconds.
    #[arg(short = 'h', long, value_name = "US", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    histogram: u64,
    /// Write the release lateness as cyclictest writes its histogram.
    #[arg(long, value_name = "FILE")]
    histfile: Option<PathBuf>,
    /// Write the corrected release lateness as HdrHistogram writes percentiles.
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,
    /// Draw the release lateness.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Exit with 1 when a slot began later than this, such as 100us.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    fail_above: Option<Span>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

pub(super) fn run(arguments: &LatencyArguments) -> Result<Exit, Failure> {
    let plan = arguments.options.plan()?;
    let slots = arguments.loops.unwrap_or_else(|| arguments.duration.periods(plan.period).max(1));
    let machine = Machine::describe();
    let _awake = keep_cpus_awake();
    let reach = usize::try_from(arguments.histogram).unwrap_or(usize::MAX);
    let ready = plan.contestant.ready(plan.seat)?;
    let window = Window::ahead(MonotonicClock::new().now(), WARM_UP, plan.period, slots, reach);
    let running = ready.start(window)?;
    show_progress(&window);
    let measured = running.finish()?;

    let report = Report::new(&plan, &window, &measured, machine);
    if arguments.json {
        print_json("corerl.bench.latency/1", &report)?;
    } else {
        print_text(&report.for_people(&measured))?;
    }
    let tape = &measured.tape;
    for (file, text) in [
        (&arguments.histfile, files::histfile(tape)),
        (&arguments.hgrm, files::hgrm(&tape.lateness.corrected)),
        (&arguments.plot, picture::svg("release lateness", &report.heading(), &tape.lateness.corrected)),
    ] {
        if let Some(path) = file {
            write_file(path, &text)?;
        }
    }
    let latest = tape.lateness.corrected.max_ns().unwrap_or(0);
    match arguments.fail_above {
        Some(limit) if latest > limit.as_ns() => {
            eprintln!("a slot began {} late, more than {}", span(latest), span(limit.as_ns()));
            Ok(Exit::CheckFailed)
        }
        _ => Ok(Exit::Fine),
    }
}

/// Tells a terminal how far it is, until the window is nearly over.
pub(super) fn show_progress(window: &Window) {
    let clock = MonotonicClock::new();
    if !std::io::stderr().is_terminal() {
        return;
    }
    while clock.now() + PROGRESS_EVERY < window.end() {
        let (done, all) = (clock.now().since(window.begin).as_seconds(), window.end().since(window.begin).as_seconds());
        let _ = write!(std::io::stderr(), "\x1b[2Kmeasuring: {done:.0} of {all:.0} s\r");
        pause(&clock, PROGRESS_EVERY);
    }
    let _ = write!(std::io::stderr(), "\x1b[2K");
}

/// What is printed; the figures in nanoseconds.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    body: String,
    interval_us: f64,
    duration_s: f64,
    cpu: Option<usize>,
    priority: u8,
    spin_margin_ns: u64,
    /// Empty when everything was granted.
    degraded: Vec<String>,
    slots: u64,
    lost_slots: u64,
    lost_per_million: f64,
    lateness: Both,
    execution: Figures,
    response: Both,
    misses: Misses,
    spin_gaps: u64,
    spin_gap_longest_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocations: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page_faults: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Both {
    raw: Figures,
    corrected: Figures,
}

/// Slots that began later than a tenth of the period, by whom to blame.
#[derive(Debug, Serialize)]
struct Misses {
    late_wake: u64,
    long_body: u64,
    gap_while_spinning: u64,
}

impl Both {
    fn of(times: &Corrected) -> Self {
        Self { raw: Figures::of(&times.raw), corrected: Figures::of(&times.corrected) }
    }
}

impl Report {
    fn new(plan: &Plan, window: &Window, measured: &Measured, machine: Machine) -> Self {
        let Measured { tape, delays, margin, degraded, purity } = measured;
        Self {
            machine,
            body: plan.body(),
            interval_us: plan.period.as_ns() as f64 / 1e3,
            duration_s: window.end().since(window.begin).as_seconds(),
            cpu: plan.seat.cpu,
            priority: plan.seat.priority,
            spin_margin_ns: margin.as_ns(),
            degraded: degraded.clone(),
            slots: tape.slots,
            lost_slots: tape.lost,
            lost_per_million: tape.lost_per_million(),
            lateness: Both::of(&tape.lateness),
            execution: Figures::of(&tape.execution),
            response: Both::of(&tape.response),
            misses: Misses { late_wake: delays.by_wake, long_body: delays.by_body, gap_while_spinning: delays.by_gap },
            spin_gaps: delays.gaps,
            spin_gap_longest_ns: delays.gap_longest.as_ns(),
            allocations: purity.map(|purity| purity.allocations),
            page_faults: purity.and_then(|purity| purity.page_faults),
        }
    }

    fn heading(&self) -> String {
        let cpu = self.cpu.map_or("any CPU".into(), |cpu| format!("CPU {cpu}"));
        let spin = match self.spin_margin_ns {
            0 => "sleeping until each slot".to_owned(),
            margin => format!("spinning {} before each slot", span(margin)),
        };
        format!(
            "{}, every {} us for {:.1} s on {cpu}, SCHED_FIFO {}, {spin}",
            self.body, self.interval_us, self.duration_s, self.priority
        )
    }

    fn for_people(&self, measured: &Measured) -> String {
        let mut text = format!("{}\n{}\n", self.heading(), self.machine);
        for reason in &self.degraded {
            text.push_str(&format!("degraded: {reason}\n"));
        }
        let mut rows = vec![["", "min", "p50", "p99", "p99.9", "p99.99", "max"].map(String::from)];
        rows.push(row("release lateness", &self.lateness.raw));
        rows.push(row("  with lost slots", &self.lateness.corrected));
        rows.push(row("execution", &self.execution));
        rows.push(row("response", &self.response.raw));
        rows.push(row("  with lost slots", &self.response.corrected));
        text.push_str(&format!("\n{}\n", table(&rows)));
        let Misses { late_wake, long_body, gap_while_spinning } = &self.misses;
        text.push_str(&format!(
            "{} slots, {} lost ({:.0} per million)\nlater than a tenth of the interval: {late_wake} by a late wake-up, \
             {long_body} by a long body, {gap_while_spinning} by a gap while spinning\n",
            self.slots, self.lost_slots, self.lost_per_million
        ));
        if self.spin_margin_ns > 0 {
            let longest = span(self.spin_gap_longest_ns);
            text.push_str(&format!("gaps seen while spinning: {}, the longest {longest}\n", self.spin_gaps));
        }
        if let Some(allocations) = self.allocations {
            let faults = self.page_faults.map_or("unknown".into(), |faults| faults.to_string());
            text.push_str(&format!("control thread: {allocations} allocations, {faults} page faults\n"));
        }
        text.push_str(&format!("\nrelease lateness\n{}", picture::bars(&measured.tape.lateness.corrected)));
        text
    }
}

fn row(name: &str, figures: &Figures) -> [String; 7] {
    let shown = |value: Option<u64>| value.map_or("-".into(), span);
    let Figures { min_ns, p50_ns, p99_ns, p999_ns, p9999_ns, max_ns, .. } = figures;
    let [min, p50, p99, p999, p9999, max] = [min_ns, p50_ns, p99_ns, p999_ns, p9999_ns, max_ns].map(|ns| shown(*ns));
    [name.into(), min, p50, p99, p999, p9999, max]
}

/// Measures once and says nothing about it.
pub(super) fn measure(
    plan: &Plan,
    duration: Span,
    beside: impl FnOnce(&Running) -> Result<(), Failure>,
) -> Result<Measured, Failure> {
    let slots = duration.periods(plan.period).max(1);
    let ready = plan.contestant.ready(plan.seat)?;
    let window = Window::ahead(MonotonicClock::new().now(), WARM_UP, plan.period, slots, 0);
    let running = ready.start(window)?;
    beside(&running)?;
    show_progress(&window);
    running.finish()
}
