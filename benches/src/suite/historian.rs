//! What a historian costs the control loop: release lateness and execution with one that is at work, one that is killed again and
//! again, and one whose disk is full, beside the same loop with none.
//!
//! The loop is `corerl-rt` at 1 kHz on a simulated plant, with fifty tags and a decision every ten cycles, all of which change.
//! A historian begins with nothing each time and finds the last minute in the rings: it is as busy as it ever gets. A full disk is a
//! limit on the length of its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use children::Child;
use shm_layout::CycleRef;
use tempfile::TempDir;
use watch::{Agent, Agents, From};

use crate::harness::{Contest, Row, Standings};
use crate::helper::Helper;

const ROUNDS: usize = 20;
/// Cycles of one measurement, which take two seconds.
const CYCLES: usize = 2_000;
const PERIOD: Duration = Duration::from_millis(1);
const TAGS: usize = 50;
/// What the rings hold, as a site has it that says nothing about them.
const RINGS: Duration = Duration::from_secs(60);
/// Between two deaths of a historian.
const LIFE: Duration = Duration::from_millis(250);
/// A historian whose files may have so many blocks of 512 bytes has a full disk.
const FULL_BLOCKS: u32 = 512;
/// How long anything may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// What becomes of the historian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    None,
    AtWork,
    Killed,
    DiskFull,
}

pub(super) fn run() -> Result<Vec<Row>, String> {
    let (scene, mut rows) = (Scene::begin()?, Vec::new());
    for (of, sample) in [("release lateness", lateness as fn(&CycleRef<'_>) -> f64), ("execution", execution)] {
        rows.extend(rows_of(of, &contest(&scene, sample)?));
    }
    Ok(rows)
}

fn lateness(cycle: &CycleRef<'_>) -> f64 {
    cycle.head.lateness_ns.into()
}

fn execution(cycle: &CycleRef<'_>) -> f64 {
    cycle.head.execution_ns.into()
}

fn contest(scene: &Scene, sample: fn(&CycleRef<'_>) -> f64) -> Result<Standings, String> {
    // The first failure; a contest goes on to its end.
    let failed = std::cell::RefCell::new(Ok(()));
    let series = |fate: Fate| {
        let failed = &failed;
        move |cycles: usize| {
            let samples = scene.measure(fate, cycles, sample);
            samples.unwrap_or_else(|why| {
                let mut failed = failed.borrow_mut();
                *failed = std::mem::replace(&mut *failed, Ok(())).and(Err(why));
                vec![0.0; cycles]
            })
        }
    };
    let standings = Contest::of_series(ROUNDS, CYCLES)
        .series("none", series(Fate::None))
        .series("at work", series(Fate::AtWork))
        .series("killed", series(Fate::Killed))
        .series("disk full", series(Fate::DiskFull))
        .run();
    failed.into_inner().map(|()| standings)
}

fn rows_of(of: &str, standings: &Standings) -> Vec<Row> {
    let mut rows = Vec::new();
    for who in ["none", "at work", "killed", "disk full"] {
        rows.push(Row::measured(format!("{of}, historian {who}, p50"), standings.p50(who), "ns"));
        rows.push(Row::measured(format!("{of}, historian {who}, p99"), standings.p99(who), "ns"));
    }
    for who in ["at work", "killed", "disk full"] {
        let typical = standings.ratio(who, "none");
        rows.push(Row::ratio(format!("{of}, historian {who} : none, p50"), typical).at_most(1.05));
        rows.push(Row::ratio(format!("{of}, historian {who} : none, p99"), standings.tail_ratio(who, "none")));
    }
    rows.push(Row::ratio(format!("{of}, control p50"), standings.control()).note("none against itself"));
    rows.push(Row::ratio(format!("{of}, control p99"), standings.tail_control()).note("none against itself"));
    rows
}

/// A runtime on a plant.
struct Scene {
    directory: TempDir,
    _plant: Helper,
    _runtime: Child,
}

impl Scene {
    fn begin() -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut plant = command("corerl-plant")?;
        plant.args(["--plant", "saturation", "--step", "1ms", "--port", "0", "--json", "--tether", "--pki"]);
        plant.arg(directory.path().join("pki"));
        let plant = Helper::spawn(plant)?;
        let said: serde_json::Value = serde_json::from_str(plant.line()).map_err(|error| error.to_string())?;
        let url = said["url"].as_str().ok_or("the plant does not say where it is")?;
        let site = directory.path().join("site.yaml");
        fs::write(&site, site_text(url)).map_err(|error| error.to_string())?;
        let mut runtime = command("corerl-rt")?;
        runtime.arg("--config").arg(&site).arg("--runtime-dir").arg(directory.path().join("run"));
        let mut runtime = Child::start("corerl-rt", runtime.args(["--arm", "--tether"]))?;
        let run = directory.path().join("run");
        let deadline = std::time::Instant::now() + PATIENCE;
        while Agents::below(run.clone(), From::Newest).find().all(|agent| agent.look().is_err()) {
            runtime.check()?;
            if std::time::Instant::now() > deadline {
                return Err(format!("corerl-rt did not begin:\n{}", runtime.last_lines()));
            }
            thread::sleep(PERIOD);
        }
        // The rings fill, so that every historian finds as much in them.
        thread::sleep(RINGS);
        runtime.check()?;
        Ok(Self { directory, _plant: plant, _runtime: runtime })
    }

    /// So many cycles under this fate of a historian.
    fn measure(&self, fate: Fate, cycles: usize, sample: fn(&CycleRef<'_>) -> f64) -> Result<Vec<f64>, String> {
        let run = self.directory.path().join("run");
        let mut agents = Agents::below(run, From::Newest);
        let agent: &mut Agent = agents.find().next().ok_or("the runtime is gone")?;
        let memory = agent.look().map_err(|blind| blind.to_string())?;
        let mut historian = Historian { fate, scene: self.directory.path(), process: None, history: None };
        let (mut samples, mut left) = (Vec::with_capacity(cycles), PERIOD * cycles as u32);
        while samples.len() < cycles {
            historian.live()?;
            // Whoever measures reads seldom: it is in the way as well.
            let pause = left.clamp(PERIOD, LIFE);
            thread::sleep(pause);
            left = left.saturating_sub(pause);
            if left.is_zero() {
                let missed = memory.cycles(|cycle| samples.push(sample(cycle)));
                if missed.lost > 0 || missed.damaged {
                    return Err("the measurement itself missed cycles".to_owned());
                }
            }
        }
        historian.end()?;
        samples.truncate(cycles);
        Ok(samples)
    }
}

/// A historian with its fate.
struct Historian<'a> {
    fate: Fate,
    scene: &'a Path,
    process: Option<Child>,
    history: Option<TempDir>,
}

impl Historian<'_> {
    /// Begins, or dies and begins anew.
    fn live(&mut self) -> Result<(), String> {
        if self.fate == Fate::None || self.process.is_some() && self.fate != Fate::Killed {
            return Ok(());
        }
        self.kill();
        let history = tempfile::tempdir_in(self.scene).map_err(|error| error.to_string())?;
        let mut command = self.command()?;
        command.arg("--history").arg(history.path().join("history")).arg("--runtime-dir").arg(self.scene.join("run"));
        self.process = Some(Child::start("corerl-historian", command.arg("--tether"))?);
        self.history = Some(history);
        Ok(())
    }

    fn command(&self) -> Result<Command, String> {
        let program = program("corerl-historian")?;
        if self.fate != Fate::DiskFull {
            return Ok(Command::new(program));
        }
        let mut limited = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -S -f {FULL_BLOCKS}; exec \"$0\" \"$@\"");
        limited.args(["-c", &script]).arg(program);
        Ok(limited)
    }

    fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal(rustix::process::Signal::KILL);
        }
    }

    /// Ends it; one that had ended by itself was no historian at work.
    fn end(mut self) -> Result<(), String> {
        let lived = self.process.as_mut().map_or(Ok(()), Child::check);
        self.kill();
        lived
    }
}

fn program(name: &str) -> Result<PathBuf, String> {
    Ok(std::env::current_exe().map_err(|error| error.to_string())?.with_file_name(name))
}

fn command(name: &str) -> Result<Command, String> {
    program(name).map(Command::new)
}

/// Fifty tags, each of which follows the plant's level.
fn site_text(url: &str) -> String {
    let tag = |number: usize| {
        format!(
            "    - {{name: level_{number:02}, type: meta, node_identifier: nsu=urn:corerl:plant;s=saturation.level, stale_after: 20s}}\n"
        )
    };
    let tags: String = (2..TAGS).map(tag).collect();
    format!(
        r#"schema: corerl/1
lab: true
agent_name: agent
is_simulation: true
coreio: {{opc_connections: [{{connection_id: plant, opc_conn_url: "{url}"}}]}}
interaction: {{obs_period: 10ms, action_period: 10ms, state_age_tol: 20s}}
pipeline:
  tags:
    - {{name: u, type: ai_setpoint, node_identifier: nsu=urn:corerl:plant;s=saturation.u, operating_range: [0, 0.5], nominal_setpoint: 0.4, stale_after: 20s}}
    - {{name: level, node_identifier: nsu=urn:corerl:plant;s=saturation.level, operating_range: [0, 1], stale_after: 20s}}
{tags}  reward: {{value: "-abs({{level}} - 0.5)"}}
runtime:
  period: 1ms
  overruns: {{m: 64, n: 64}}
  max_policy_age: off
  limits: {{u: {{range: [0, 0.5], rate: 0.2}}}}
  fallback: {{u: hold}}
  io: {{plant: {{call_timeout: 5s}}}}
"#
    )
}
