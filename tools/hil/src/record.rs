//! A scenario from a running agent: what was seen of it for a while becomes what is expected.
//!
//! What people did becomes the timeline: setpoints that were taken and handed back, arming, commands. What the runtime did
//! becomes expectations: the modes that it went through, those that it never was in, the slots that it lost. Faults leave
//! their traces in modes alone; whoever knows what was broken adds it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rt_config::Site;
use rt_control::Address;
use rt_core::mode::Mode;
use rt_core::ports::Clock as _;
use rt_sys::MonotonicClock;
use serde_json::Value;
use shm_layout::EventKind;

use crate::follow::{Follower, blank};
use crate::run::Stop;
use crate::scenario::{DURATION_MAX, DURATION_MIN};
use crate::take::{CycleSeen, EventSeen, Take, seconds};

/// How often rings are read.
const TICK: Duration = Duration::from_millis(20);
/// How long the runtime may take until the first record is there.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);
/// As many times as many slots may be lost when it is run again.
const MARGIN: u64 = 10;
/// And so many more.
const SLOTS_MORE: u64 = 1000;

/// A scenario as it was recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The text of its file.
    pub text: String,
    /// What was seen.
    pub take: Take,
}

/// Watches the agent at an address for so long. `site_file` is named in the scenario, `plant` is its line: `simulated: {name:
/// saturation}`, or `existing: {rig: bench}`.
///
/// # Errors
/// A sentence: the agent does not answer, ends meanwhile, or is in a mode in which no run can begin.
pub fn record(
    address: Address,
    (site, site_file): (&Site, &Path),
    plant: &str,
    length: Duration,
    stop: &Stop,
    mut tell: impl FnMut(f64),
) -> Result<Recorded, String> {
    let (clock, label) = (MonotonicClock::new(), address.label());
    let mut follower = Follower::new(address);
    let mut take = blank("recorded", site);
    let begun = Instant::now();
    while follower.state().is_none() || take.cycles.is_empty() {
        if begun.elapsed() >= FIRST_PATIENCE {
            return Err(format!("no runtime of {label} answers: start one with `corerl run`"));
        }
        follower.read(&mut take, clock.now());
        std::thread::sleep(TICK);
    }
    if !take.is_whole() {
        return Err(format!("{label} runs with another site file than {}: name its own", site_file.display()));
    }
    take.cycles.last().and_then(CycleSeen::mode).map_or(Ok(()), can_begin).map_err(|why| format!("{label}: {why}"))?;
    let begin = clock.now();
    follower.begin(&mut take, begin);
    while begun.elapsed() < length && !stop.is_asked() {
        follower.read(&mut take, clock.now());
        tell(begun.elapsed().as_secs_f64() / length.as_secs_f64());
        std::thread::sleep(TICK);
    }
    follower.read(&mut take, clock.now());
    take.end = follower.told(clock.now().as_ns());
    Ok(Recorded { text: text(&take, site_file, plant), take })
}

/// Whether a run can begin in this mode: what led to the others is nowhere in what is seen from now on.
fn can_begin(mode: Mode) -> Result<(), String> {
    let undone = match mode {
        Mode::Startup | Mode::Shadow | Mode::Run => return Ok(()),
        Mode::Hold | Mode::Fallback => {
            "`corerl agent status` says why, and `corerl agent reset` clears a trip and a hold"
        }
        Mode::Release => "`corerl agent arm` takes it from there",
    };
    Err(format!(
        "it is in {}, where a scenario cannot begin, because a run gets there by a fault or a command alone: {undone}; then record",
        mode.name()
    ))
}

/// The scenario's file.
fn text(take: &Take, site_file: &Path, plant: &str) -> String {
    let during: Vec<_> = take.cycles.iter().filter(|cycle| cycle.at >= 0).collect();
    let begin = during.first().and_then(|cycle| cycle.mode()).unwrap_or(Mode::Startup);
    let length_s = seconds(take.end).clamp(DURATION_MIN.as_secs_f64(), DURATION_MAX.as_secs_f64());
    let is_simulated = plant.starts_with("simulated");
    let mut yaml =
        String::from("# Recorded from a running agent: what people did is the timeline, what it did is expected.\n");
    let _ = writeln!(yaml, "about: what was recorded of a running agent");
    let _ = writeln!(yaml, "site: {}", quoted(&site_file.display().to_string()));
    let _ = writeln!(yaml, "plant:\n  {plant}");
    let learnt = |event: &EventSeen| event.at >= 0 && event.kind == EventKind::PolicyAdopted.name();
    if take.events.iter().any(learnt) {
        yaml.push_str("learner: true\n");
    }
    if begin == Mode::Shadow {
        yaml.push_str("arm: false\n");
    }
    let _ = writeln!(yaml, "begin: {}\nduration: {length_s:.3}s", begin.name());
    let events = take.events.iter().filter(|event| event.at >= 0 && seconds(event.at) <= length_s);
    let steps: Vec<_> = events.filter_map(|event| step(event, take, is_simulated)).collect();
    let is_empty = steps.iter().all(|step| step.starts_with('#'));
    let _ = writeln!(yaml, "timeline:{}", if is_empty { " []" } else { "" });
    steps.iter().for_each(|step| _ = writeln!(yaml, "  {step}"));
    yaml.push_str("expect:\n");
    expectations(&during, length_s).iter().for_each(|expectation| _ = writeln!(yaml, "  - {expectation}"));
    yaml
}

/// What a person did; a comment where a scenario cannot do it again, because only a simulated plant has hands.
fn step(event: &EventSeen, take: &Take, is_simulated: bool) -> Option<String> {
    let at = format!("- {{when: {:.3}s", seconds(event.at));
    let setpoint = || take.setpoints.get(usize::try_from(event.a).ok()?);
    Some(match EventKind::from_name(&event.kind)? {
        EventKind::OperatorTook => {
            let index = usize::try_from(event.a).ok()?;
            let after = take.cycles.iter().find(|cycle| cycle.at >= event.at)?;
            let value = after.setpoints.get(index)?.readback?;
            let comment = if is_simulated { "" } else { "# by hand: " };
            format!("{comment}{at}, set: {{node: {}, value: {value}}}}}", quoted(&setpoint()?.node))
        }
        EventKind::OperatorReturned => format!("{at}, hand_back: {}}}", quoted(&setpoint()?.name)),
        EventKind::Armed => format!("{at}, command: arm}}"),
        EventKind::Disarmed => format!("{at}, command: disarm}}"),
        EventKind::TripReset => format!("{at}, command: reset}}"),
        EventKind::ModeChange if event.text.ends_with("hold_command") => format!("{at}, command: hold}}"),
        EventKind::ModeChange if event.text.ends_with("release_command") => format!("{at}, command: release}}"),
        _ => return None,
    })
}

/// A text as YAML has it, too.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// What the runtime did.
fn expectations(cycles: &[&CycleSeen], length_s: f64) -> Vec<String> {
    let modes: Vec<_> = cycles.iter().filter_map(|cycle| cycle.mode()).collect();
    let entered: Vec<_> = modes.windows(2).filter(|pair| pair[0] != pair[1]).map(|pair| pair[1].name()).collect();
    let mut expectations = Vec::new();
    match modes.first() {
        Some(mode) if entered.is_empty() => expectations.push(format!("{{stays: {}}}", mode.name())),
        _ => expectations.push(format!("{{modes: [{}], within: {length_s:.3}s}}", entered.join(", "))),
    }
    let never = Mode::ALL.into_iter().filter(|mode| !modes.contains(mode));
    expectations.extend(never.map(|mode| format!("{{never: {}}}", mode.name())));
    let lost: u64 = cycles.iter().map(|cycle| u64::from(cycle.skipped)).sum();
    expectations.push(format!("{{lost_slots: {}}}", MARGIN * lost + SLOTS_MORE));
    expectations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Act, Scenario};
    use crate::take::{Sent, SetpointSeen};

    const S: i64 = 1_000_000_000;

    fn cycle(at: i64, mode: Mode) -> CycleSeen {
        let sent = Sent { sent: None, last: None, readback: Some(1e-7), written: false };
        let (setpoints, tags) = (vec![sent], Vec::new());
        CycleSeen { at, dt_ns: 0, skipped: 2, mode: mode as u8, lateness_ns: 0, reward: None, setpoints, tags }
    }

    /// Everything that people can do, once.
    fn take() -> Take {
        let mut take = Take::new("recorded");
        take.setpoints = vec![SetpointSeen { name: "u".into(), node: "u".into(), ..SetpointSeen::default() }];
        take.cycles =
            vec![cycle(-1, Mode::Run), cycle(0, Mode::Shadow), cycle(4 * S, Mode::Run), cycle(9 * S, Mode::Hold)];
        let event =
            |at, kind: EventKind, text: &str| EventSeen { at, kind: kind.name().into(), text: text.into(), a: 0 };
        take.events = vec![
            event(-1, EventKind::Disarmed, ""),
            event(S, EventKind::OperatorTook, ""),
            event(2 * S, EventKind::OperatorReturned, ""),
            event(3 * S, EventKind::Armed, ""),
            event(4 * S, EventKind::ModeChange, "shadow -> run: armed"),
            event(5 * S, EventKind::TripReset, ""),
            event(6 * S, EventKind::ModeChange, "run -> hold: hold_command"),
            event(7 * S, EventKind::ModeChange, "hold -> release: release_command"),
            event(8 * S, EventKind::Disarmed, ""),
            event(8 * S, EventKind::PolicyAdopted, ""),
            event(600 * S + 1, EventKind::Disarmed, ""),
        ];
        take.end = 600 * S + 1;
        take
    }

    fn recorded(take: &Take, plant: &str) -> Scenario {
        let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hil");
        let text = text(take, &library.join("sites/saturation.yaml"), plant);
        Scenario::parse(&text, &library.join("recorded.yaml")).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn what_was_recorded_is_a_scenario() {
        let scenario = recorded(&take(), "simulated: {name: saturation}");
        let times: Vec<_> = scenario.steps.iter().map(|step| step.at.as_secs()).collect();
        assert_eq!(times, [1, 2, 3, 5, 6, 7, 8]);
        assert!(matches!(&scenario.steps[0].act, Act::Plant(fault) if fault.request["value"] == 1e-7));
        assert_eq!(scenario.steps[4].act, Act::Command(rt_control::Act::Hold));
        assert_eq!((scenario.begin, scenario.arm, scenario.duration.as_secs()), (Mode::Shadow, false, 600));
        let expected: Vec<_> = scenario.expectations.iter().map(ToString::to_string).collect();
        assert_eq!(expected.first().map(String::as_str), Some("modes run, hold"));
    }

    #[test]
    fn a_recording_begins_where_a_run_can_get_by_itself_and_says_so_elsewhere() {
        for mode in Mode::ALL {
            let by_itself = matches!(mode, Mode::Startup | Mode::Shadow | Mode::Run);
            let said = can_begin(mode);
            assert_eq!(said.is_ok(), by_itself, "{mode:?}");
            assert!(said.err().is_none_or(|said| said.contains(mode.name()) && said.contains("corerl agent")));
        }
    }

    #[test]
    fn what_was_recorded_on_a_rig_says_in_a_comment_what_hands_did() {
        let scenario = recorded(&take(), "existing: {rig: bench}");
        assert!(scenario.learner);
        assert_eq!(scenario.steps.len(), 6);
        let mut quiet = take();
        quiet.events.truncate(2);
        let scenario = recorded(&quiet, "existing: {rig: bench}");
        assert_eq!((scenario.steps.len(), scenario.learner), (0, false));
    }
}
