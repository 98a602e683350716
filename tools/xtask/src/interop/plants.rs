//! Other people's plants behind somebody else's server: an agent begins to learn on each.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rt_core::mode::Mode;
use rustix::process::Signal;
use serde::Deserialize;
use shm_layout::Counter;

use super::examine::Push;
use super::stage::{PATIENCE, Stage};
use super::{Absence, Check};
use crate::demo::{Observer, build_release};
use crate::peers::{Prepared, plants, scripts};
use children::{Child, processes_left};

pub(super) const NAME: &str = "plants";
/// Time between two steps of a plant, milliseconds.
const PACE_MS: &str = "30";
/// Long enough to see the plant move and a policy come.
const STEPS_MIN: usize = 100;
const SETPOINTS_MIN: u64 = 10;
const HEARTBEATS_MIN: u64 = 5;

/// A plant, and the site file that a controls engineer would write for it.
struct Plant {
    name: &'static str,
    case: &'static str,
    template: &'static str,
}

const PLANTS: &[Plant] = &[
    Plant {
        name: "cstr",
        case: "PC-Gym's stirred tank reactor",
        template: include_str!("../../interop/plants/cstr.yaml"),
    },
    Plant {
        name: "four_tank",
        case: "PC-Gym's four tanks",
        template: include_str!("../../interop/plants/four_tank.yaml"),
    },
    Plant {
        name: "tclab",
        case: "the temperature control lab",
        template: include_str!("../../interop/plants/tclab.yaml"),
    },
    Plant {
        name: "pendulum",
        case: "Gymnasium's pendulum",
        template: include_str!("../../interop/plants/pendulum.yaml"),
    },
];

/// What may be written to a plant.
#[derive(Debug, Deserialize)]
struct Input {
    low: f64,
    high: f64,
}

/// What a plant says of a step.
#[derive(Debug, Deserialize)]
struct Step {
    inputs: Vec<f64>,
    setpoints: u64,
    heartbeats: u64,
}

/// What was seen of a plant so far.
#[derive(Debug)]
struct Sight {
    inputs: Vec<Input>,
    steps: usize,
    /// Steps with an input outside of its range.
    outside: usize,
    setpoints: u64,
    heartbeats: u64,
}

/// Lets an agent learn on each plant for some seconds.
pub(super) fn examine(checks: &mut Vec<Check>, absent: &mut Vec<Absence>) -> Result<(), String> {
    let python = match plants()? {
        Prepared::There(python) => python,
        Prepared::Absent(why) => {
            eprintln!("{NAME} are not there: {why}");
            absent.push(Absence { peer: NAME, why });
            return Ok(());
        }
    };
    let stage = Stage::new(&build_release()?)?;
    for plant in PLANTS {
        eprintln!("{NAME}: {}", plant.case);
        let mut push = |what: &'static str, passed, facts| {
            checks.push(Check { peer: NAME, case: plant.case, what: what.into(), passed, facts });
        };
        if let Err(message) = plant.examine(&stage, &python, &mut push) {
            push("the case could be run", false, message);
        }
        let left = processes_left(&stage.directory().display().to_string());
        push("nothing is left behind", left.is_empty(), left.join("; "));
    }
    Ok(())
}

impl Plant {
    /// Runs the plant and an agent until what shall be seen was seen; `Err` when it could not come to its checks.
    fn examine(&self, stage: &Stage, python: &Path, push: &mut Push<'_>) -> Result<(), String> {
        let directory = stage.directory().join(self.name);
        fs::create_dir_all(&directory).map_err(|error| format!("{} cannot be made: {error}", directory.display()))?;
        let mut server = self.start_server(python)?;
        let facts = stage.announced(&mut server)?;
        let inputs = serde_json::from_value(facts["inputs"].clone()).map_err(|error| format!("{facts}: {error}"))?;
        let site = directory.join("site.yaml");
        let url = facts["url"].as_str().unwrap_or_default();
        fs::write(&site, self.site(url)).map_err(|error| format!("{} cannot be written: {error}", site.display()))?;
        let mut corerl = stage.start_corerl(&directory, &site)?;
        let mut observer = stage.attach(NAME, &directory, &mut corerl)?;
        let mut sight = Sight::new(inputs);
        let start = Instant::now();
        while !is_enough(&mut observer, &sight) && start.elapsed() < PATIENCE {
            stage.pause()?;
            corerl.check()?;
            server.check()?;
            sight.look(&mut server, Duration::ZERO);
        }
        judge_course(&mut observer, &sight, start.elapsed(), push);
        let end = corerl.stop(Signal::INT, PATIENCE);
        let facts = end.map_or("it had to be killed".to_owned(), |status| status.to_string());
        push("SIGINT ends everything with exit code 0", end.is_some_and(|status| status.success()), facts);
        // The step after the last write tells of it.
        let seen = sight.steps;
        while sight.steps < seen + 2 && sight.look(&mut server, PATIENCE) {}
        judge_writes(&mut observer, &sight, push);
        server.let_go(PATIENCE);
        Ok(())
    }

    fn start_server(&self, python: &Path) -> Result<Child, String> {
        let mut command = Command::new(python);
        command.args(["-W", "ignore"]).arg(scripts(NAME).join("server.py")).env("PYTHONDONTWRITEBYTECODE", "1");
        command.args(["--plant", self.name, "--seed", "1", "--pace-ms", PACE_MS]);
        Child::start(self.name, &mut command)
    }

    fn site(&self, url: &str) -> String {
        let pace = format!("{PACE_MS}ms");
        let text = self.template.replace("{{url}}", url).replace("{{seed}}", "1").replace("{{pace}}", &pace);
        text.replace("{{explore}}", "true")
    }
}

/// The plant moves, it is written to, and what was learnt is in use.
fn is_enough(observer: &mut Observer, sight: &Sight) -> bool {
    let adopted = count(observer, Counter::PoliciesAdopted);
    sight.steps >= STEPS_MIN && sight.is_written_to() && adopted > 0
}

fn judge_course(observer: &mut Observer, sight: &Sight, took: Duration, push: &mut Push<'_>) {
    let mode = u8::try_from(count(observer, Counter::Mode)).ok().and_then(Mode::from_number);
    push("the runtime is in RUN", mode == Some(Mode::Run), format!("after {:.1} s", took.as_secs_f64()));
    let facts = format!("{} steps, {} setpoints, {} heartbeats", sight.steps, sight.setpoints, sight.heartbeats);
    push("it steps, setpoints and heartbeats arrive", sight.steps >= STEPS_MIN && sight.is_written_to(), facts);
    let adopted = count(observer, Counter::PoliciesAdopted);
    push("what was learnt is adopted", adopted > 0, format!("{adopted} policies"));
    push("no input leaves its range", sight.outside == 0, format!("{} of {} steps", sight.outside, sight.steps));
}

/// Every write that was confirmed has arrived, and nothing else; one whose answer came too late may have.
fn judge_writes(observer: &mut Observer, sight: &Sight, push: &mut Push<'_>) {
    let mut counts = |counter| count(observer, counter);
    let (written, unknown) = (counts(Counter::SetpointsWritten), counts(Counter::WritesUnknown));
    let refused = counts(Counter::SetpointsRejected) + counts(Counter::WriteFailures);
    let arrived = sight.setpoints;
    let each = unknown * sight.inputs.len() as u64;
    let passed = refused == 0 && (written..=written + each).contains(&arrived);
    push(
        "no write is lost",
        passed,
        format!("{written} written, {arrived} arrived, {unknown} unknown, {refused} refused"),
    );
}

fn count(observer: &mut Observer, counter: Counter) -> u64 {
    observer.drain();
    observer.recording().counters.get(counter)
}

impl Sight {
    fn new(inputs: Vec<Input>) -> Self {
        Self { inputs, steps: 0, outside: 0, setpoints: 0, heartbeats: 0 }
    }

    fn is_written_to(&self) -> bool {
        self.setpoints >= SETPOINTS_MIN && self.heartbeats >= HEARTBEATS_MIN
    }

    /// Takes the steps that the server has told of, the first of which may take that long; whether there were any.
    fn look(&mut self, server: &mut Child, patience: Duration) -> bool {
        let before = self.steps;
        let mut patience = patience;
        while let Some(line) = server.line(patience) {
            patience = Duration::ZERO;
            self.steps += usize::from(self.take(&line));
        }
        self.steps > before
    }

    /// Takes a line; whether it tells of a step.
    fn take(&mut self, line: &str) -> bool {
        let Ok(step) = serde_json::from_str::<Step>(line) else { return false };
        let fits = |(value, input): (&f64, &Input)| (input.low..=input.high).contains(value);
        let fit = step.inputs.len() == self.inputs.len() && step.inputs.iter().zip(&self.inputs).all(fits);
        self.outside += usize::from(!fit);
        (self.setpoints, self.heartbeats) = (step.setpoints, step.heartbeats);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_file_has_no_gap_left_and_is_accepted() {
        for plant in PLANTS {
            let text = plant.site("opc.tcp://127.0.0.1:4840");
            let keys: String = text.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(!keys.contains("{{"), "{}", plant.name);
            let refused = rt_config::parse(&text, Path::new("site.yaml")).err();
            assert!(refused.is_none(), "{}", refused.map(|refused| refused.to_string()).unwrap_or_default());
        }
    }

    #[test]
    fn every_step_is_held_against_the_ranges() {
        let mut sight = Sight::new(vec![Input { low: 295.0, high: 302.0 }]);
        let step = |input: f64| format!(r#"{{"inputs": [{input}], "setpoints": 7, "heartbeats": 2, "errors": [0.1]}}"#);
        assert!(sight.take(&step(302.0)) && sight.take(&step(295.0)));
        assert_eq!((sight.outside, sight.setpoints, sight.heartbeats), (0, 7, 2));
        assert!(sight.take(&step(302.001)) && !sight.take("Traceback"));
        assert_eq!(sight.outside, 1);
        assert!(sight.take(r#"{"inputs": [], "setpoints": 8, "heartbeats": 2}"#));
        assert_eq!((sight.outside, sight.setpoints), (2, 8));
    }

    #[test]
    fn one_input_outside_of_its_range_is_enough() {
        let mut sight = Sight::new(vec![Input { low: 0.0, high: 1.0 }, Input { low: 0.0, high: 2.0 }]);
        let step =
            |first: f64, second: f64| format!(r#"{{"inputs": [{first}, {second}], "setpoints": 1, "heartbeats": 1}}"#);
        assert!(sight.take(&step(1.0, 2.0)));
        assert_eq!(sight.outside, 0);
        assert!(sight.take(&step(1.5, 1.5)) && sight.take(&step(0.5, 2.5)));
        assert_eq!(sight.outside, 2);
    }
}
