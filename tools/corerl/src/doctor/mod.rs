//! `corerl doctor`: what this machine can and cannot do in real time. Privileges are found out by trying them.

mod facts;
mod probe;
mod trials;

use clap::Args;
use rt_sys::{Cpus, Host};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};
use crate::target::Directory;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  corerl doctor --json | jq '.findings[] | select(.verdict != \"ok\")'\n\n\
                        Exit code 1 when something is missing, or when a runtime in strict mode would refuse to start here.\n\
                        What is degraded does not keep anything from running.")]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    directory: Directory,
    /// Do not look for gaps, which takes five seconds.
    #[arg(long)]
    quick: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Ok,
    /// It runs, but not with the timing it could have.
    Degraded,
    /// It does not run.
    Missing,
}

impl Verdict {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Missing => "missing",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Finding {
    verdict: Verdict,
    subject: &'static str,
    fact: String,
    /// Where it was read, or how it was found out.
    source: String,
    /// What it costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<&'static str>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    /// A runtime in strict mode refuses to start because of it.
    strict_refuses: bool,
}

impl Finding {
    fn ok(subject: &'static str, fact: impl Into<String>, source: impl Into<String>) -> Self {
        let (fact, source) = (fact.into(), source.into());
        Self { verdict: Verdict::Ok, subject, fact, source, cost: None, remedy: None, strict_refuses: false }
    }

    fn degraded(self, cost: &'static str, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Degraded, cost: Some(cost), remedy: Some(remedy.into()), ..self }
    }

    fn degraded_unless(self, fine: bool, cost: &'static str, remedy: impl Into<String>) -> Self {
        if fine { self } else { self.degraded(cost, remedy) }
    }

    /// Degraded, and strict mode insists on it.
    fn refused(self, cost: &'static str, remedy: impl Into<String>) -> Self {
        Self { strict_refuses: true, ..self.degraded(cost, remedy) }
    }

    fn missing(self, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Missing, cost: Some("nothing runs"), remedy: Some(remedy.into()), ..self }
    }
}

pub(crate) fn run(arguments: &DoctorArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Report<'a> {
        findings: &'a [Finding],
        strict_would_refuse: bool,
    }
    let host = Host::read();
    let cpus = Cpus::allowed();
    let mut findings = trials::all(&host, &cpus, &arguments.directory.path());
    findings.extend(facts::judge(&host, &cpus));
    let control = cpus.placement(None, None).control;
    findings.extend(control.into_iter().flat_map(facts::judge_cpu));
    if !arguments.quick {
        findings.push(probe::gaps(control));
    }
    let strict_would_refuse = findings.iter().any(|finding| finding.strict_refuses);
    if arguments.json {
        print_json("corerl.doctor/1", &Report { findings: &findings, strict_would_refuse })?;
    } else {
        print_text(&for_people(&findings))?;
        if strict_would_refuse {
            eprintln!("a runtime with `runtime.strict: true` would refuse to start here");
        }
    }
    let missing = findings.iter().any(|finding| finding.verdict == Verdict::Missing);
    Ok(if missing || strict_would_refuse { Exit::CheckFailed } else { Exit::Fine })
}

/// A line each; below what is not ok, what it costs and what to do.
fn for_people(findings: &[Finding]) -> String {
    let mut rows: Vec<[String; 3]> = Vec::new();
    for finding in findings {
        rows.push([finding.verdict.name().into(), finding.subject.into(), finding.fact.clone()]);
        let more = [("costs", finding.cost.map(str::to_owned)), ("fix", finding.remedy.clone())];
        let more = more.into_iter().filter_map(|(what, text)| Some(format!("{what}: {}", text?)));
        rows.extend(more.map(|line| [String::new(), String::new(), line]));
    }
    table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ok_is_followed_by_its_cost_and_its_remedy() {
        let fine = Finding::ok("clock", "tsc", "/sys");
        let text = for_people(&[fine.clone(), fine.degraded("time", "another clock")]);
        assert_eq!(
            text,
            "ok        clock  tsc\ndegraded  clock  tsc\n                 costs: time\n                 fix: another clock\n"
        );
    }

    #[test]
    fn only_what_strict_mode_insists_on_makes_it_refuse() {
        let fine = Finding::ok("pinning", "", "");
        assert!(!fine.clone().degraded("", "").strict_refuses && fine.refused("", "").strict_refuses);
    }
}
