//! `corerl data status`: how the historian is.

use clap::Args;
use recall::{AgentStatus, AskError, Client, KeeperStatus, Status};

use super::place::Historian;
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  corerl data status\n  corerl data status --json --runtime-dir /run/corerl\n\nWhat is counted began when the historian did. Exit codes: 69 no historian answers."
)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    historian: Historian,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &StatusArguments) -> Result<Exit, Failure> {
    let client = Client::connect(&arguments.historian.address()?).map_err(|error| match error {
        // A directory could not say how a historian is.
        AskError::Absent(path) => {
            let advice = "start corerl-historian, or name its directory with --runtime-dir";
            Failure::new(Exit::Unavailable, format!("no historian answers at {}: {advice}", path.display()))
        }
        other => other.into(),
    })?;
    let status = client.status()?;
    if arguments.json {
        print_json("corerl.data-status/1", &status)?;
    } else {
        print_text(&text(&status))?;
    }
    Ok(Exit::Fine)
}

fn text(status: &Status) -> String {
    let Status { pid, uptime_s, keeper, agents } = status;
    let mut text = format!("process {pid}, for {uptime_s} s, {}\n", kept(keeper));
    if agents.is_empty() {
        return text + "no agent was kept yet\n";
    }
    let mut rows = vec![["agent", "samples", "events", "gaps", "lost", "last kept", ""].map(str::to_owned)];
    rows.extend(agents.iter().map(cells));
    text += "\n";
    text + &table(&rows)
}

fn kept(keeper: &KeeperStatus) -> String {
    match keeper {
        KeeperStatus::Archive { directory } => format!("keeps in {directory}"),
        KeeperStatus::Database { target, away, spill_bytes, spill_budget_bytes, samples, lost_cycles, lost_events } => {
            let answer = match away {
                None => "which answers".to_owned(),
                Some(why) => format!("which takes nothing at present: {why}"),
            };
            let mut text = format!("keeps in {target}, {answer}\n{samples} samples have arrived there, ");
            text += &format!("{spill_bytes} of {spill_budget_bytes} bytes of the spill log wait for it");
            if *lost_cycles + *lost_events > 0 {
                text += &format!("; {lost_cycles} cycles and {lost_events} events were lost on the way");
            }
            text
        }
    }
}

fn cells(of: &AgentStatus) -> [String; 7] {
    let lost = [(of.lost_cycles, "cycles"), (of.lost_events, "events")];
    let lost = lost.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let age = of.last_commit_age_ms.map(|age_ms| format!("{:.1} s ago", age_ms as f64 / 1e3));
    [
        of.agent.clone(),
        of.samples.to_string(),
        of.events.to_string(),
        of.gaps.to_string(),
        lost.collect::<Vec<_>>().join(", "),
        age.unwrap_or_else(|| "-".to_owned()),
        of.failing.clone().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_away_is_told_with_its_reason_and_with_what_waits_for_it() {
        let keeper = KeeperStatus::Database {
            target: "plant of corerl at db:5432".into(),
            away: Some("connection refused".into()),
            spill_bytes: 7,
            spill_budget_bytes: 100,
            samples: 3,
            lost_cycles: 0,
            lost_events: 2,
        };
        let agent = AgentStatus {
            agent: "works/ph".into(),
            lost_cycles: 4,
            last_commit_age_ms: Some(1_500),
            failing: Some("the disk is full".into()),
            ..AgentStatus::default()
        };
        let told = text(&Status { pid: 5, uptime_s: 60, keeper, agents: vec![agent] });
        for part in [
            "at present: connection refused",
            "7 of 100 bytes",
            "2 events were lost",
            "4 cycles",
            "1.5 s ago",
            "disk is full",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
