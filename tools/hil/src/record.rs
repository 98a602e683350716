//! A scenario from a running agent: what was seen of it for a while becomes what is expected.
//!
//! What people did becomes the timeline: setpoints that were taken and handed back, arming, commands. What the runtime did
//! becomes expectations: the modes that it went through, those that it never was in, the slots that it lost. What it was
//! worth depends on what it had learnt before, so that is a comment. Faults leave their traces in modes alone; whoever knows
//! what was broken adds it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rt_config::Site;
use rt_control::Address;
use rt_core::mode::Mode;
use rt_core::ports::Clock as _;
use rt_sys::MonotonicClock;
use serde_json::{Value, json};
use shm_layout::EventKind;

use crate::Rig;
use crate::follow::{Follower, blank};
use crate::run::Stop;
use crate::scenario::{DURATION_MAX, DURATION_MIN, Scenario, ScenarioError};
use crate::take::{CycleSeen, EventSeen, Take, seconds};
use crate::verdict::average;

/// How often rings are read.
const TICK: Duration = Duration::from_millis(20);
/// How long the runtime may take until the first record is there.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);
/// What nodes of `corerl-plant` begin with, before the plant's name.
const SIMULATED: &str = "nsu=urn:corerl:plant;s=";
/// What stands for a port that is free when the plant is started.
const PORT: &str = "{port}";
/// As many times as many slots may be lost when it is run again.
const MARGIN: u64 = 10;
/// And so many more.
const SLOTS_MORE: u64 = 1000;
/// Parts of a run whose mean rewards tell how much they vary.
const REWARD_PARTS: usize = 10;

/// A scenario as it was recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The text of its file.
    pub text: String,
    /// What was seen.
    pub take: Take,
}

/// What the scenario of a recording is run against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordedPlant {
    /// `corerl-plant` with this plant.
    Simulated {
        /// Its name.
        name: String,
    },
    /// The server that this command starts.
    External {
        /// The program and its arguments. `{port}` stands for a free port.
        start: Vec<String>,
        /// A line of its standard output that holds this says that it listens.
        ready: Option<String>,
        /// Where it is started.
        directory: PathBuf,
    },
    /// A server that is there already.
    Existing {
        /// Its rig.
        rig: Rig,
    },
}

impl RecordedPlant {
    /// The simulated plant whose nodes a site names; `None` where it names other ones.
    pub fn simulated_for(site: &Site) -> Option<Self> {
        let nodes = site.tags.iter().filter_map(|tag| Some(tag.source.as_ref()?.node.as_str()));
        let mut names = nodes.filter_map(|node| node.strip_prefix(SIMULATED)?.split_once('.'));
        names.next().map(|(name, _)| Self::Simulated { name: name.to_owned() })
    }

    /// What stands below `plant` in the scenario, for an agent that was recorded at the server with this address.
    fn value(&self, url: &str) -> Value {
        match self {
            Self::Simulated { name } => json!({ "simulated": { "name": name } }),
            Self::External { start, ready, directory } => {
                let is_anywhere = start.iter().any(|word| word.contains(PORT));
                let endpoint = if is_anywhere { with_any_port(url) } else { url.to_owned() };
                let mut external = json!({ "start": start, "endpoint": endpoint, "directory": directory });
                if let Some(ready) = ready {
                    external["ready"] = Value::from(ready.as_str());
                }
                json!({ "external": external })
            }
            Self::Existing { rig } => json!({ "existing": { "rig": rig.name } }),
        }
    }
}

/// The same address at whatever port is free.
fn with_any_port(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("opc.tcp", url));
    let (place, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
    format!("{scheme}://{host}:{PORT}{path}")
}

/// A recording that is to be made: of which site's agent, and for which plant.
#[derive(Clone, Copy, Debug)]
pub struct Recording<'a> {
    site: &'a Site,
    site_file: &'a Path,
    plant: &'a RecordedPlant,
}

impl<'a> Recording<'a> {
    /// The site file is named in the scenario as it is here.
    ///
    /// # Errors
    /// No scenario can be made of it, because the site has several connections, say.
    pub fn new(site: &'a Site, site_file: &'a Path, plant: &'a RecordedPlant) -> Result<Self, ScenarioError> {
        let new = Self { site, site_file, plant };
        let mut nothing = blank("recorded", site);
        nothing.end = 1_000_000_000;
        Scenario::parse(&new.text(&nothing), Path::new("recorded.yaml")).map(|_| new)
    }

    /// What is run against the plant, as a scenario has it.
    fn plant(&self) -> String {
        let url = self.site.connections.first().map_or("", |connection| connection.url.as_str());
        self.plant.value(url).to_string()
    }

    fn text(&self, take: &Take) -> String {
        let is_simulated = matches!(self.plant, RecordedPlant::Simulated { .. });
        text(take, self.site_file, &self.plant(), is_simulated)
    }
}

/// Watches the agent at an address for so long.
///
/// # Errors
/// A sentence: the agent does not answer, ends meanwhile, or is in a mode in which no run can begin.
pub fn record(
    address: Address,
    recording: &Recording<'_>,
    length: Duration,
    stop: &Stop,
    mut tell: impl FnMut(f64),
) -> Result<Recorded, String> {
    let Recording { site, site_file, .. } = *recording;
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
    Ok(Recorded { text: recording.text(&take), take })
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
fn text(take: &Take, site_file: &Path, plant: &str, is_simulated: bool) -> String {
    let during: Vec<_> = take.cycles.iter().filter(|cycle| cycle.at >= 0).collect();
    let begin = during.first().and_then(|cycle| cycle.mode()).unwrap_or(Mode::Startup);
    let length_s = seconds(take.end).clamp(DURATION_MIN.as_secs_f64(), DURATION_MAX.as_secs_f64());
    let mut yaml =
        String::from("# Recorded from a running agent: what people did is the timeline, what it did is expected.\n");
    let _ = writeln!(yaml, "about: what was recorded of a running agent");
    let _ = writeln!(yaml, "site: {}", quoted(&site_file.display().to_string()));
    let _ = writeln!(yaml, "plant: {plant}");
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
    if let Some(reward) = reward(&during) {
        let _ = writeln!(yaml, "  # For an agent that begins with what this one had learnt:\n  # - {reward}");
    }
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
        None => {}
        Some(_) => expectations.push(format!("{{modes: [{}], within: {length_s:.3}s}}", entered.join(", "))),
    }
    let never = Mode::ALL.into_iter().filter(|mode| !modes.contains(mode));
    expectations.extend(never.map(|mode| format!("{{never: {}}}", mode.name())));
    let lost: u64 = cycles.iter().map(|cycle| u64::from(cycle.skipped)).sum();
    expectations.push(format!("{{lost_slots: {}}}", MARGIN * lost + SLOTS_MORE));
    expectations
}

/// The mean reward, and how far below it another run's may lie: as far as the best and the worst part of this one lay apart.
/// `None` where there were too few rewards to tell.
fn reward(cycles: &[&CycleSeen]) -> Option<String> {
    let rewards: Vec<_> = cycles.iter().filter_map(|cycle| cycle.reward).collect();
    if rewards.len() < REWARD_PARTS {
        return None;
    }
    let parts = rewards.chunks_exact(rewards.len() / REWARD_PARTS).filter_map(average);
    let (worst, best) = parts.fold((f64::MAX, f64::MIN), |(worst, best), part| (part.min(worst), part.max(best)));
    Some(format!("{{reward: {:.4}, tolerance: {:.4}}}", average(&rewards)?, best - worst))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Act, Plant};
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

    fn simulated() -> RecordedPlant {
        RecordedPlant::Simulated { name: "saturation".into() }
    }

    fn bench() -> RecordedPlant {
        let (name, about, endpoint) = ("bench".into(), "a pump".into(), "opc.tcp://192.0.2.17:4840".into());
        RecordedPlant::Existing { rig: Rig { name, about, endpoint, permits_writing: false } }
    }

    fn command(words: &[&str]) -> RecordedPlant {
        let (start, directory) = (words.iter().map(|word| (*word).to_owned()).collect(), PathBuf::from("/plants/pump"));
        RecordedPlant::External { start, ready: Some("ready: {\"a\"}".into()), directory }
    }

    /// The scenario of the site of the library, whose server listens at port 4840.
    fn recorded(take: &Take, plant: &RecordedPlant) -> Scenario {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hil/sites/saturation.yaml");
        let site = rt_config::parse(&std::fs::read_to_string(&file).unwrap(), &file).unwrap().site;
        let text = Recording::new(&site, &file, plant).unwrap_or_else(|error| panic!("{error}")).text(take);
        Scenario::parse(&text, Path::new("recorded.yaml")).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn a_plant_that_a_command_starts_is_started_again_where_it_was_and_at_any_port_if_the_command_takes_one() {
        for (words, expected) in [
            (["./pump", "--port", "{port}"], "opc.tcp://127.0.0.1:{port}"),
            (["./pump", "--port", "4840"], "opc.tcp://127.0.0.1:4840"),
        ] {
            let scenario = recorded(&take(), &command(&words));
            let Plant::External { start, endpoint, ready, directory, .. } = scenario.plant else {
                panic!("{scenario:?}")
            };
            assert_eq!((start.as_slice(), endpoint.as_str()), (words.map(str::to_owned).as_slice(), expected));
            assert_eq!((ready.as_deref(), directory), (Some("ready: {\"a\"}"), Some("/plants/pump".into())));
        }
        let with_path = with_any_port("opc.tcp://plc.works:4840/ua/pump:1");
        assert_eq!(with_path, "opc.tcp://plc.works:{port}/ua/pump:1");
        assert_eq!(with_any_port("opc.tcp://[::1]:4840"), "opc.tcp://[::1]:{port}");
    }

    #[test]
    fn a_simulated_plant_is_known_by_the_nodes_that_a_site_names() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hil/sites/saturation.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        let of = |text: &str| RecordedPlant::simulated_for(&rt_config::parse(text, &file).unwrap().site);
        assert_eq!(of(&text), Some(simulated()));
        assert_eq!(of(&text.replace("nsu=urn:corerl:plant;", "nsu=urn:works;")), None);
    }

    #[test]
    fn a_site_that_no_scenario_can_have_is_refused_before_anything_is_watched() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hil/sites/saturation.yaml");
        let site = rt_config::parse(&std::fs::read_to_string(&file).unwrap(), &file).unwrap().site;
        let refused = Recording::new(&site, Path::new("/nowhere.yaml"), &simulated()).unwrap_err().to_string();
        assert!(refused.contains("/nowhere.yaml cannot be read"), "{refused}");
    }

    #[test]
    fn what_was_recorded_is_a_scenario() {
        let scenario = recorded(&take(), &simulated());
        let times: Vec<_> = scenario.steps.iter().map(|step| step.at.as_secs()).collect();
        assert_eq!(times, [1, 2, 3, 5, 6, 7, 8]);
        assert!(matches!(&scenario.steps[0].act, Act::Plant(fault) if fault.request["value"] == 1e-7));
        assert_eq!(scenario.steps[4].act, Act::Command(rt_control::Act::Hold));
        assert_eq!((scenario.begin, scenario.arm, scenario.duration.as_secs()), (Mode::Shadow, false, 600));
        let expected: Vec<_> = scenario.expectations.iter().map(ToString::to_string).collect();
        assert_eq!(expected.first().map(String::as_str), Some("modes run, hold"));
    }

    #[test]
    fn what_a_run_was_worth_is_offered_with_how_much_it_varied() {
        let mut take = take();
        assert!(!text(&take, Path::new("site.yaml"), "{}", true).contains("reward"), "nothing was reckoned");
        let rewarded = |at: i64| CycleSeen { reward: Some(-0.2 - at as f64 / 1e3), ..cycle(at * S, Mode::Run) };
        take.cycles = (0..100).map(rewarded).collect();
        let text = text(&take, Path::new("site.yaml"), "{}", true);
        assert!(text.contains("\n  # - {reward: -0.2495, tolerance: 0.0900}\n"), "{text}");
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
        let scenario = recorded(&take(), &bench());
        assert!(scenario.learner);
        assert_eq!(scenario.steps.len(), 6);
        let mut quiet = take();
        quiet.events.truncate(2);
        let scenario = recorded(&quiet, &bench());
        assert_eq!((scenario.steps.len(), scenario.learner), (0, false));
    }
}
