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
use shm_layout::EventKind;

use crate::follow::{Follower, blank};
use crate::run::Stop;
use crate::take::{CycleSeen, EventSeen, Take};

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
/// A sentence: the agent does not answer, or ends meanwhile.
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

/// The scenario's file.
fn text(take: &Take, site_file: &Path, plant: &str) -> String {
    let during: Vec<_> = take.cycles.iter().filter(|cycle| cycle.at >= 0).collect();
    let begin = during.first().and_then(|cycle| cycle.mode()).unwrap_or(Mode::Startup);
    let length_s = seconds(take.end).max(0.1);
    let mut yaml =
        String::from("# Recorded from a running agent: what people did is the timeline, what it did is expected.\n");
    let _ = writeln!(yaml, "about: what was recorded of a running agent");
    let _ = writeln!(yaml, "site: {:?}", site_file.display().to_string());
    let _ = writeln!(yaml, "plant:\n  {plant}");
    let _ = writeln!(yaml, "begin: {}\nduration: {length_s:.3}s", begin.name());
    let steps: Vec<_> =
        take.events.iter().filter(|event| event.at >= 0).filter_map(|event| step(event, take)).collect();
    let _ = writeln!(yaml, "timeline:{}", if steps.is_empty() { " []" } else { "" });
    steps.iter().for_each(|step| _ = writeln!(yaml, "  - {step}"));
    yaml.push_str("expect:\n");
    expectations(&during, length_s).iter().for_each(|expectation| _ = writeln!(yaml, "  - {expectation}"));
    yaml
}

/// What a person did.
fn step(event: &EventSeen, take: &Take) -> Option<String> {
    let at = format!("when: {:.3}s", seconds(event.at));
    let setpoint = || take.setpoints.get(usize::try_from(event.a).ok()?);
    Some(match EventKind::from_name(&event.kind)? {
        EventKind::OperatorTook => {
            let index = usize::try_from(event.a).ok()?;
            let after = take.cycles.iter().find(|cycle| cycle.at >= event.at)?;
            let value = after.setpoints.get(index)?.readback?;
            format!("{{{at}, set: {{node: {}, value: {value}}}}}", setpoint()?.node)
        }
        EventKind::OperatorReturned => format!("{{{at}, hand_back: {}}}", setpoint()?.name),
        EventKind::Armed => format!("{{{at}, command: arm}}"),
        EventKind::Disarmed => format!("{{{at}, command: disarm}}"),
        EventKind::TripReset => format!("{{{at}, command: reset}}"),
        EventKind::ModeChange if event.text.ends_with("hold_command") => format!("{{{at}, command: hold}}"),
        EventKind::ModeChange if event.text.ends_with("release_command") => format!("{{{at}, command: release}}"),
        _ => return None,
    })
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

fn seconds(at: i64) -> f64 {
    at as f64 / 1e9
}
