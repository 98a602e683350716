//! `corerl data gaps`: what is not kept, and why.

use std::collections::BTreeMap;

use archive::{Missing, RunId, RunInfo};
use clap::Args;
use recall::Missed;
use serde::Serialize;

use super::Where;
use super::series::LATE_NS;
use super::time::{TIMES, Window, Zone};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  corerl data gaps --from -1d\n  corerl data gaps --from 2026-03-01 --to 2026-04-01 --json\n\n\
    Before the first and after the last run of an agent everything is missing. Cycles and events are when the historian did not read them \
    before they were overwritten; between two runs nothing ran, or nobody kept it.\n\n{TIMES}"))]
pub(crate) struct GapsArguments {
    #[command(flatten)]
    of: Where,
    #[command(flatten)]
    window: Window,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Something that is not there.
#[derive(Debug, Serialize)]
struct Told {
    agent: String,
    from: Option<String>,
    to: Option<String>,
    /// cycles, events, or run for the time between two of them.
    what: &'static str,
    count: Option<u64>,
    after_cycle: Option<u64>,
    before_cycle: Option<u64>,
    why: String,
    #[serde(skip)]
    times_ns: (Option<u64>, Option<u64>),
}

impl Told {
    /// Nothing is there of an agent between two times.
    fn everything(agent: &str, (begin, end): (u64, u64), why: &str, zone: &Zone) -> Self {
        Self {
            agent: agent.to_owned(),
            from: Some(zone.tell(begin)),
            to: Some(zone.tell(end)),
            what: "run",
            count: None,
            after_cycle: None,
            before_cycle: None,
            why: why.to_owned(),
            times_ns: (Some(begin), Some(end)),
        }
    }
}

pub(crate) fn run(arguments: &GapsArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed<'a> {
        gaps: &'a [Told],
    }
    let (from, to, zone) = arguments.window.read()?;
    let past = arguments.of.open()?;
    let runs: Vec<_> = past.runs()?.into_iter().filter(|run| arguments.of.is_of(&run.agent)).collect();
    let agents: BTreeMap<RunId, &str> = runs.iter().map(|run| (run.id, run.agent.as_str())).collect();
    let mut told = between_runs(&runs, &zone);
    told.extend(outside(&runs, (from, to), &zone));
    // A gap is found by where it begins, and may reach into the window from before it.
    for missed in past.gaps(0, to)? {
        if let Some(agent) = agents.get(&missed.run) {
            told.push(of_ring(&missed, agent, &zone));
        }
    }
    // What has no end has no place in time that would rule it out.
    told.retain(|gap| gap.times_ns.0.is_none_or(|begin| begin <= to) && gap.times_ns.1.is_none_or(|end| end >= from));
    told.sort_by_key(|gap| gap.times_ns);
    if arguments.json {
        print_json("corerl.data-gaps/1", &Printed { gaps: &told })?;
    } else if told.is_empty() {
        eprintln!("nothing is missing from {} to {}", zone.tell(from), zone.tell(to));
    } else {
        print_text(&text(&told))?;
    }
    Ok(Exit::Fine)
}

fn of_ring(missed: &Missed, agent: &str, zone: &Zone) -> Told {
    let Missed { gap, times_ns, .. } = missed;
    Told {
        agent: agent.to_owned(),
        from: times_ns.0.map(|time| zone.tell(time)),
        to: times_ns.1.map(|time| zone.tell(time)),
        what: match gap.what {
            Missing::Cycles => "cycles",
            Missing::Events => "events",
        },
        count: Some(gap.count),
        after_cycle: gap.after_cycle,
        before_cycle: gap.before_cycle,
        why: gap.why.clone(),
        times_ns: *times_ns,
    }
}

/// The times between the runs of each agent.
fn between_runs(runs: &[RunInfo], zone: &Zone) -> Vec<Told> {
    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    let mut told = Vec::new();
    let mut known: Vec<_> = runs.iter().filter_map(|run| Some((run.times_ns?, run.agent.as_str()))).collect();
    known.sort_unstable();
    for ((begin, end), agent) in known {
        // Two runs of one agent lie side by side while one stands by.
        if let Some(&before) = ends.get(agent).filter(|before| **before < begin) {
            told.push(Told::everything(agent, (before, begin), "between two runs", zone));
        }
        let last = ends.entry(agent).or_insert(end);
        *last = (*last).max(end);
    }
    told
}

/// The times of the window before the first run of each agent, and after the last one.
fn outside(runs: &[RunInfo], (from, to): (u64, u64), zone: &Zone) -> Vec<Told> {
    let mut kept: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (agent, (begin, end)) in runs.iter().filter_map(|run| Some((run.agent.as_str(), run.times_ns?))) {
        let known = kept.entry(agent).or_insert((begin, end));
        *known = (known.0.min(begin), known.1.max(end));
    }
    let around = kept.into_iter().flat_map(|(agent, (begin, end))| {
        let before = (from < begin)
            .then(|| Told::everything(agent, (from, to.min(begin)), "before the first that is kept", zone));
        let ended = to > end.saturating_add(LATE_NS);
        let after = ended.then(|| Told::everything(agent, (from.max(end), to), "after the last that is kept", zone));
        before.into_iter().chain(after)
    });
    around.collect()
}

fn text(gaps: &[Told]) -> String {
    let mut rows = vec![["from", "to", "agent", "missing", "why"].map(str::to_owned)];
    rows.extend(gaps.iter().map(|gap| {
        let missing = gap.count.map_or_else(|| "everything".to_owned(), |count| format!("{count} {}", gap.what));
        let [from, to] = [&gap.from, &gap.to].map(|time| time.clone().unwrap_or_else(|| "-".to_owned()));
        [from, to, gap.agent.clone(), missing, gap.why.clone()]
    }));
    table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_before_the_first_run_between_two_and_after_the_last_one_is_missing() {
        const S: u64 = 1_000_000_000;
        let run = |id, begin, end| RunInfo {
            id: RunId(id),
            agent: "works/ph".to_owned(),
            period_ns: 1,
            last_cycle: None,
            times_ns: Some((begin * S, end * S)),
        };
        let runs = [run(1, 100, 200), run(2, 300, 400)];
        let zone = Zone::named("UTC").unwrap();
        let around = |from: u64, to: u64| {
            let told = outside(&runs, (from * S, to * S), &zone);
            told.iter().map(|gap| (gap.times_ns.0.unwrap() / S, gap.times_ns.1.unwrap() / S)).collect::<Vec<_>>()
        };
        assert_eq!(around(100, 400), []);
        assert_eq!(around(50, 405), [(50, 100)], "whoever was kept five seconds ago may go on");
        assert_eq!(around(50, 500), [(50, 100), (400, 500)]);
        assert_eq!([around(10, 20), around(600, 700)], [[(10, 20)], [(600, 700)]]);
        let between: Vec<_> = between_runs(&runs, &zone).iter().map(|gap| gap.times_ns).collect();
        assert_eq!(between, [(Some(200 * S), Some(300 * S))]);
    }
}
