//! `corerl agent`: how an agent is, and what an operator may tell it.

mod reset;

use clap::{Args, Subcommand};
use rt_control::{
    Act, Address, CallError, Client, ConnectError, ConnectionStatus, Description, FlightStatus, LatchedSince,
    LearnerHealth, LearnerStatus, LeaseStatus, PolicyProbation, PolicyProgress, Status, Wishes,
};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, span};
use crate::target::{CALL_TIMEOUT, Target};
use crate::why::{self, WhyArguments};
use reset::ResetArguments;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  corerl agent arm --cause 'commissioning, shift A'")]
pub(crate) struct AgentArguments {
    #[command(subcommand)]
    command: AgentCommand,
}

#[derive(Debug, Subcommand)]
enum AgentCommand {
    /// Mode, policy, learner and connections.
    #[command(after_help = "Example:\n  corerl agent status --json | jq .status.mode")]
    Status(StatusArguments),
    /// Why it did what it did: each decision from the policy's wish to the plant, with what the critics expect of it.
    Why(WhyArguments),
    /// Let the policy write as soon as all conditions are met.
    #[command(after_help = "Example:\n  corerl agent arm --cause 'commissioning, shift A'")]
    Arm(ActArguments),
    /// Write nothing any more; go on deciding and learning.
    #[command(after_help = "Example:\n  corerl agent disarm")]
    Disarm(ActArguments),
    /// Take the hands off the plant: no setpoints, no heartbeat.
    #[command(after_help = "Example:\n  corerl agent release --cause 'maintenance on P-101'")]
    Release(ActArguments),
    /// Clear a latched trip, and end a hold; say whether it trips again at once.
    #[command(after_help = "Example:\n  corerl agent reset --cause 'sensor replaced'\n\n\
                            Exit code 1 when it tripped again while it was looked at: what caused the trip is still there.")]
    Reset(ResetArguments),
    /// Hold the present setpoints for `t_hold`; then the fallback takes over until a reset.
    #[command(after_help = "Example:\n  corerl agent hold")]
    Hold(ActArguments),
    /// Let the runtime that stands by lead from its next cycle on, armed as this one is; this one stands by then.
    #[command(after_help = "Example:\n  corerl agent hand-over --cause 'upgrade to the next version'")]
    HandOver(ActArguments),
    /// Have the flight recorder save what was just now, and what comes next.
    #[command(after_help = "Example:\n  corerl agent save-flight --cause 'the valve stuttered'")]
    SaveFlight(ActArguments),
    /// Give a setpoint back that a person took on the plant.
    #[command(after_help = "Example:\n  corerl agent hand-back PH_SP --cause 'manual test finished'")]
    HandBack(HandBackArguments),
}

#[derive(Debug, Args)]
struct StatusArguments {
    #[command(flatten)]
    target: Target,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ActArguments {
    #[command(flatten)]
    target: Target,
    /// Why, in your words; recorded with your user id.
    #[arg(long, value_name = "TEXT", default_value = "command line")]
    cause: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct HandBackArguments {
    /// The setpoint's tag; all of them without it.
    setpoint: Option<String>,
    #[command(flatten)]
    act: ActArguments,
}

pub(crate) fn run(arguments: &AgentArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        AgentCommand::Status(arguments) => status(arguments),
        AgentCommand::Why(arguments) => why::run(arguments),
        AgentCommand::Arm(arguments) => act(arguments, Act::Arm),
        AgentCommand::Disarm(arguments) => act(arguments, Act::Disarm),
        AgentCommand::Release(arguments) => act(arguments, Act::Release),
        AgentCommand::Reset(arguments) => reset::run(arguments),
        AgentCommand::Hold(arguments) => act(arguments, Act::Hold),
        AgentCommand::HandOver(arguments) => hand_over(arguments),
        AgentCommand::SaveFlight(arguments) => {
            tell(arguments, "save_flight", |client, cause| client.save_flight(cause))
        }
        AgentCommand::HandBack(HandBackArguments { setpoint, act }) => {
            tell(act, "hand_back", |client, cause| client.hand_back(setpoint.as_deref(), cause))
        }
    }
}

fn status(arguments: &StatusArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed<'a> {
        description: &'a Description,
        status: &'a Status,
    }
    let (_, mut client) = arguments.target.connect()?;
    let (description, status) = ask(&mut client)?;
    if arguments.json {
        print_json("corerl.agent/1", &Printed { description: &description, status: &status })?;
    } else {
        print_text(&for_people(&description, &status))?;
    }
    Ok(Exit::Fine)
}

fn ask(client: &mut Client) -> Result<(Description, Status), Failure> {
    Ok((client.describe()?, client.status()?))
}

fn for_people(description: &Description, status: &Status) -> String {
    let Description { site, agent, instance, pid, version, .. } = description;
    let lab = if description.lab { ", LAB: unencrypted connections and unsigned policies are permitted" } else { "" };
    let armed = if status.armed { "armed" } else { "not armed" };
    let degraded = if status.degraded.is_empty() { "no".to_owned() } else { status.degraded.join("; ") };
    let mut lines = vec![
        ("agent", format!("{site}/{agent} (instance {instance}), process {pid}, version {version}{lab}")),
        ("mode", format!("{}, {armed}", status.mode)),
        ("lease", lease(&status.lease)),
        (
            "cycles",
            format!(
                "{} at {}, {} slots skipped, up {:.0} s",
                status.cycles,
                span(description.period_ns),
                status.slots_skipped,
                status.uptime_s
            ),
        ),
        ("policy", policy(status)),
        ("learner", learner(&status.learner)),
        ("health", status.learner.health.as_ref().map_or("not looked at yet".to_owned(), |of| health(description, of))),
        ("wishes", wishes(&status.wishes)),
        ("degraded", degraded),
        ("preemption", status.preemption.clone()),
    ];
    let audit = match (&status.audit.trouble, &status.audit.head) {
        (Some(trouble), _) => format!("NOT WRITTEN: {trouble}"),
        (None, head) => format!("{}, head {}", status.audit.path, head.as_deref().unwrap_or("none yet")),
    };
    lines.push(("audit log", audit));
    if let Some(applied) = &status.applied {
        lines.push(("applied", format!("{applied}, and not the site file alone")));
    }
    if let Some(latched) = latched(status) {
        lines.insert(3, ("latched", latched));
    }
    lines.extend(status.flight.as_ref().map(|of| ("flight", flight(of))));
    if !status.with_operator.is_empty() {
        let names = status.with_operator.join(", ");
        lines.push(("operator", format!("has {names}; `corerl agent hand-back` gives them back")));
    }
    lines.extend(status.connections.iter().map(|of| ("connection", connection(of))));
    lines.into_iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect()
}

/// The trip that is latched, and since when.
pub(crate) fn latched(status: &Status) -> Option<String> {
    let since = |LatchedSince { cycle, utc, ago_s }: &LatchedSince| {
        format!(" since {utc}, {} ago, cycle {cycle}", span((ago_s.max(0.0) * 1e9) as u64))
    };
    let since = status.latched_since.as_ref().map(since).unwrap_or_default();
    status.latched.as_ref().map(|cause| format!("{cause}{since}; `corerl agent reset` clears it"))
}

/// Where the flight recorder's files are, and the newest of them.
pub(crate) fn flight(flight: &FlightStatus) -> String {
    let FlightStatus { directory, newest, saving } = flight;
    match (saving, newest) {
        (Some(path), _) => format!("{path} is being written"),
        (None, Some(path)) => format!("the newest file is {path}"),
        (None, None) => format!("no file yet in {directory}"),
    }
}

/// Whether a learner is there and gets on.
pub(crate) fn learner(learner: &LearnerStatus) -> String {
    match (learner.epoch, learner.alive) {
        (0, _) => "none has joined".to_owned(),
        (epoch, true) => {
            let getting_on = match learner.rebuilding {
                Some(share) => format!(", learning from the history ({:.0} %)", 100.0 * share),
                None if learner.stalled => ", but does not get on".to_owned(),
                None => String::new(),
            };
            format!("alive{getting_on}, process {}, epoch {epoch}", learner.pid)
        }
        (epoch, false) => format!("silent, was process {}, epoch {epoch}", learner.pid),
    }
}

/// Whether samples come in over it, and whether it may be written over.
pub(crate) fn connection(connection: &ConnectionStatus) -> String {
    let ConnectionStatus { id, url, up, last_error, claimed } = connection;
    let state = if *up { "up" } else { "down" };
    let error = last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
    let claim = match claimed {
        Some(true) => "; its lease shows this runtime",
        Some(false) => "; its lease does not show this runtime, which writes nothing",
        None => "",
    };
    format!("{id} {state}, {url}{error}{claim}")
}

/// Whose the plant is.
pub(crate) fn lease(lease: &LeaseStatus) -> String {
    match (lease.leads, lease.epoch, lease.partner) {
        (true, 0, _) => "lost; moving aside".to_owned(),
        (true, epoch, None) => format!("held under epoch {epoch}; nobody stands by"),
        (true, epoch, Some(pid)) => format!("held under epoch {epoch}; process {pid} stands by"),
        (false, _, Some(pid)) => format!("stands by for process {pid}"),
        (false, _, None) => "stands by; the runtime that leads does not answer yet".to_owned(),
    }
}

/// How learning gets on, in one line; `--json` has all of it.
pub(crate) fn health(description: &Description, health: &LearnerHealth) -> String {
    let LearnerHealth { critic_loss, prediction_error, ensemble_spread, value_added, .. } = *health;
    let column = usize::try_from(health.drift_column).ok().and_then(|column| description.columns.get(column));
    let drift = match column {
        Some(column) if health.drift_largest.is_finite() => {
            format!("{:.1} deviations at most ({column})", health.drift_largest)
        }
        _ => "unknown yet".to_owned(),
    };
    format!(
        "loss {critic_loss:.4}, prediction error {prediction_error:.4}, spread {ensemble_spread:.4}, value added {value_added:+.4}, \
         {:.0} % of the units dead, stable rank {:.1}, drift {drift}",
        100.0 * health.dead_units,
        health.stable_rank
    )
}

/// How often goals and zones were as they should be.
pub(crate) fn wishes(wishes: &Wishes) -> String {
    let share = |what: &str, met: u64, judged: u64| {
        (judged > 0).then(|| format!("{what} in {:.1} % of {judged} observations", 100.0 * met as f64 / judged as f64))
    };
    let goals = share("all goals met", wishes.goals_met, wishes.goals_judged);
    let zones = share("no tag in a red or yellow zone", wishes.zones_clear, wishes.zones_judged);
    let told: Vec<_> = goals.into_iter().chain(zones).collect();
    if told.is_empty() { "no goal or zone was judged".to_owned() } else { told.join("; ") }
}

/// The policy in use, and those on their way to it.
pub(crate) fn policy(status: &Status) -> String {
    let name = |generation| match generation {
        0 => "the nominal one".to_owned(),
        generation => format!("generation {generation}"),
    };
    let mut policy = name(status.policy_generation);
    if let Some(PolicyProbation { decisions, of, before, .. }) = status.on_probation {
        policy += &format!(", on probation: {decisions} of {of} decisions, else back to {}", name(before));
    }
    if let Some(PolicyProgress { generation, decisions, of }) = status.on_trial {
        policy += &format!("; {} on trial: {decisions} of {of} decisions", name(generation));
    }
    policy
}

fn act(arguments: &ActArguments, act: Act) -> Result<Exit, Failure> {
    tell(arguments, act.name(), |client, cause| client.act(act, cause))
}

/// The runtime that stands by is asked: it knows whether it is ready to lead.
fn hand_over(arguments: &ActArguments) -> Result<Exit, Failure> {
    let standby = arguments.target.standby()?;
    let client = Client::connect(&standby, CALL_TIMEOUT).map_err(|error| match error {
        ConnectError::NotRunning { .. } => Failure::new(
            Exit::Unavailable,
            format_args!(
                "nobody stands by at {}: start a second runtime with the same site file first",
                standby.socket().display()
            ),
        ),
        error => error.into(),
    })?;
    tell_it(arguments, &standby, client, Act::HandOver.name(), |client, cause| client.act(Act::HandOver, cause))
}

fn tell(
    arguments: &ActArguments,
    act: &str,
    ask: impl FnOnce(&mut Client, &str) -> Result<String, CallError>,
) -> Result<Exit, Failure> {
    let (address, client) = arguments.target.connect()?;
    tell_it(arguments, &address, client, act, ask)
}

fn tell_it(
    arguments: &ActArguments,
    address: &Address,
    mut client: Client,
    act: &str,
    ask: impl FnOnce(&mut Client, &str) -> Result<String, CallError>,
) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed<'a> {
        agent: String,
        act: &'a str,
        message: &'a str,
    }
    let message = ask(&mut client, &arguments.cause)?;
    if arguments.json {
        print_json("corerl.act/1", &Printed { agent: address.label(), act, message: &message })?;
    } else {
        eprintln!("{}: {message}", address.label());
    }
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rt_control::{AuditStatus, PROTOCOL};

    pub(super) fn example() -> (Description, Status) {
        let description = Description {
            protocol: PROTOCOL,
            version: "0.1.0".into(),
            site: "works".into(),
            agent: "ph".into(),
            instance: "main".into(),
            pid: 77,
            run: 1,
            lab: false,
            period_ns: 1_000_000,
            obs_period_ns: 10_000_000,
            action_period_ns: 10_000_000,
            tags: Vec::new(),
            setpoints: Vec::new(),
            columns: Vec::new(),
            tag_list_hash: 1,
        };
        let status = Status {
            mode: "RUN".into(),
            armed: true,
            lease: LeaseStatus { leads: true, epoch: 3, partner: None },
            latched: None,
            latched_since: None,
            with_operator: Vec::new(),
            degraded: Vec::new(),
            preemption: "full".into(),
            cycles: 1000,
            slots_skipped: 2,
            policy_generation: 0,
            on_trial: None,
            on_probation: None,
            learner: LearnerStatus { epoch: 0, pid: 0, alive: false, stalled: false, rebuilding: None, health: None },
            wishes: Wishes::default(),
            connections: vec![ConnectionStatus {
                id: "plant".into(),
                url: "opc.tcp://localhost:4840".into(),
                up: false,
                last_error: Some("refused".into()),
                claimed: None,
            }],
            audit: AuditStatus { path: "state/works.ph.main.audit".into(), head: Some("2:5b1f".into()), trouble: None },
            flight: None,
            applied: None,
            uptime_s: f64::NAN,
        };
        (description, status)
    }

    #[test]
    fn the_status_for_people_has_one_fact_per_line() {
        let (description, mut status) = example();
        let text = for_people(&description, &status);
        assert!(text.contains("mode        RUN, armed\n"));
        assert!(text.contains("lease       held under epoch 3; nobody stands by\n"));
        assert!(text.contains("policy      the nominal one\n"));
        assert!(text.contains("learner     none has joined\n"));
        assert!(text.contains("connection  plant down, opc.tcp://localhost:4840 (refused)\n"));
        assert!(text.contains("audit log   state/works.ph.main.audit, head 2:5b1f\n"));
        assert!(!text.contains("latched") && !text.contains("applied"));
        status.audit.trouble = Some("the disk is full".into());
        status.applied = Some("state/works.ph.main.applied.yaml".into());
        let text = for_people(&description, &status);
        assert!(text.contains("audit log   NOT WRITTEN: the disk is full\n"));
        assert!(text.contains("applied     state/works.ph.main.applied.yaml, and not the site file alone\n"));
        status.with_operator = vec!["PH_SP".into(), "FLOW_SP".into()];
        assert!(for_people(&description, &status).contains("operator    has PH_SP, FLOW_SP;"));
        status.latched = Some("too many late cycles".into());
        assert!(for_people(&description, &status).contains("latched     too many late cycles;"));
        status.latched_since = Some(LatchedSince { cycle: 77, utc: "2026-01-02T03:04:05Z".into(), ago_s: 1.5 });
        let text = for_people(&description, &status);
        let expected =
            "latched     too many late cycles since 2026-01-02T03:04:05Z, 1.5 s ago, cycle 77; `corerl agent";
        assert!(text.contains(expected) && !text.contains("flight"), "{text}");
        status.flight = Some(FlightStatus { directory: "state/flight".into(), ..FlightStatus::default() });
        assert!(for_people(&description, &status).contains("flight      no file yet in state/flight\n"));
        status.flight.as_mut().unwrap().newest = Some("state/flight/a.cap".into());
        assert!(for_people(&description, &status).contains("flight      the newest file is state/flight/a.cap\n"));
        status.flight.as_mut().unwrap().saving = Some("state/flight/b.cap".into());
        assert!(for_people(&description, &status).contains("flight      state/flight/b.cap is being written\n"));
    }

    #[test]
    fn the_status_tells_how_far_policies_are_and_how_the_learner_gets_on() {
        let (description, mut status) = example();
        status.policy_generation = 8;
        status.on_probation = Some(PolicyProbation { generation: 8, decisions: 12, of: 64, before: 0 });
        status.on_trial = Some(PolicyProgress { generation: 9, decisions: 3, of: 16 });
        status.learner =
            LearnerStatus { epoch: 2, pid: 77, alive: true, stalled: true, rebuilding: None, health: None };
        let text = for_people(&description, &status);
        assert!(
            text.contains(
                "policy      generation 8, on probation: 12 of 64 decisions, else back to the nominal one; \
                 generation 9 on trial: 3 of 16 decisions\n"
            ),
            "{text}"
        );
        assert!(text.contains("learner     alive, but does not get on, process 77, epoch 2\n"), "{text}");
        status.learner.rebuilding = Some(0.4321);
        let text = for_people(&description, &status);
        assert!(text.contains("learner     alive, learning from the history (43 %), process 77, epoch 2\n"), "{text}");
    }

    #[test]
    fn the_status_tells_how_learning_gets_on_and_how_far_wishes_are_fulfilled() {
        let (mut description, mut status) = example();
        let text = for_people(&description, &status);
        assert!(text.contains("health      not looked at yet\nwishes      no goal or zone was judged\n"), "{text}");
        description.columns = vec!["PH@0".into(), "FLOW@0".into()];
        let mut health = LearnerHealth {
            updates: 10,
            critic_loss: 0.25,
            actor_loss: 1.0,
            critic_gradient_norm: 1.0,
            actor_gradient_norm: 1.0,
            dead_units: 0.125,
            stable_rank: 3.5,
            ensemble_spread: 0.5,
            prediction_error: 0.75,
            drift_mean: 0.5,
            drift_largest: 2.5,
            drift_column: 1,
            value_added: -0.5,
        };
        status.learner.health = Some(health);
        status.wishes = Wishes { goals_judged: 8, goals_met: 7, zones_judged: 0, zones_clear: 0 };
        let text = for_people(&description, &status);
        let expected = "health      loss 0.2500, prediction error 0.7500, spread 0.5000, value added -0.5000, \
                        12 % of the units dead, stable rank 3.5, drift 2.5 deviations at most (FLOW@0)\n\
                        wishes      all goals met in 87.5 % of 8 observations\n";
        assert!(text.contains(expected), "{text}");
        (health.drift_largest, health.drift_column) = (f64::NAN, 9);
        status.learner.health = Some(health);
        assert!(for_people(&description, &status).contains("drift unknown yet\n"));
    }

    #[test]
    fn a_value_that_is_not_finite_is_null_in_json() {
        let (_, status) = example();
        let json = serde_json::to_value(status).unwrap();
        assert!(json["uptime_s"].is_null());
    }
}
