//! `cargo xtask interop`: the runtime against asyncua's server, which shares no code with it.
//!
//! Two cases, in clear and encrypted with a user; in each, samples have to flow in, setpoints and heartbeats have to
//! arrive (the server counts them), and a restart of the server has to be survived.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use rt_control::Address;
use rt_sys::Lifeline;
use rustix::process::Signal;
use shm_layout::Counter;

use crate::children::{Child, processes_left};
use crate::demo::{Observer, build_release};
use crate::scratch;
use crate::workspace;

const SERVER: &str = "tools/xtask/interop/asyncua_server.py";
const REQUIREMENTS: &str = "tools/xtask/interop/requirements.txt";
const SITE_TEMPLATE: &str = include_str!("../interop/site.yaml");

/// Each check has to come true within this time; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(40);

/// The server stays away for so long.
const OUTAGE: Duration = Duration::from_secs(2);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What counts as flowing.
const SAMPLES_MIN: u64 = 100;
const SETPOINTS_MIN: u64 = 10;
const HEARTBEATS_MIN: u64 = 5;

const USER: &str = "corerl";
const PASSWORD: &str = "interoperability";

/// Runs `corerl run` against asyncua's server, in clear and encrypted.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  cargo xtask interop\n\nNeeds python3 with its venv module, and PyPI the first time."
)]
pub(crate) struct InteropArguments {
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
}

/// One check of one case.
#[derive(Debug, serde::Serialize)]
struct Check {
    case: &'static str,
    what: &'static str,
    passed: bool,
    facts: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Plain,
    Encrypted,
}

impl Case {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "in clear",
            Self::Encrypted => "encrypted, with a user",
        }
    }
}

/// What the server has counted.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    setpoints: u64,
    heartbeats: u64,
}

/// Everything that a case needs.
struct Bench {
    python: PathBuf,
    programs: PathBuf,
    directory: PathBuf,
    lifeline: Lifeline,
}

/// Runs both cases.
pub(crate) fn run(arguments: &InteropArguments) -> ExitCode {
    match perform() {
        Ok(checks) => {
            print!("{}", if arguments.json { json(&checks) } else { table(&checks) });
            if checks.iter().all(|check| check.passed) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(message) => {
            eprintln!("interop: {message}");
            ExitCode::FAILURE
        }
    }
}

fn perform() -> Result<Vec<Check>, String> {
    let programs = build_release()?;
    let python = prepare_python(&workspace::metadata()?.target_directory)?;
    let lifeline = Lifeline::new(false).map_err(|error| format!("signals cannot be watched: {error}"))?;
    let directory = scratch::directory("corerl-interop")?;
    let bench = Bench { python, programs, directory: directory.path().to_owned(), lifeline };
    let mut checks = Vec::new();
    for case in [Case::Plain, Case::Encrypted] {
        eprintln!("asyncua, {}", case.name());
        if let Err(message) = bench.examine(case, &mut checks) {
            checks.push(Check { case: case.name(), what: "the case could be run", passed: false, facts: message });
        }
        let left = processes_left(&bench.directory.display().to_string());
        checks.push(Check {
            case: case.name(),
            what: "nothing is left behind",
            passed: left.is_empty(),
            facts: left.join("; "),
        });
    }
    Ok(checks)
}

/// A Python with asyncua, in the build directory; made the first time, or when the requirements have changed.
fn prepare_python(target_directory: &Path) -> Result<PathBuf, String> {
    let venv = target_directory.join("interop-venv");
    let python = venv.join("bin/python");
    let mark = venv.join("requirements.txt");
    let wanted = fs::read_to_string(workspace::root().join(REQUIREMENTS))
        .map_err(|error| format!("{REQUIREMENTS} cannot be read: {error}"))?;
    if python.exists() && fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
        return Ok(python);
    }
    eprintln!("making a Python environment with asyncua");
    let step = |command: &mut Command, remedy: &str| {
        let output = command
            .current_dir(workspace::root())
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{remedy} ({error})"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(format!("{remedy}:\n{}", said.trim())) }
    };
    step(
        Command::new("python3").args(["-m", "venv"]).arg(&venv),
        "a virtual environment needs python3 and its venv module (Debian: python3-venv)",
    )?;
    step(
        Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS]),
        "asyncua cannot be installed from PyPI",
    )?;
    fs::write(&mark, wanted).map_err(|error| format!("{} cannot be written: {error}", mark.display()))?;
    Ok(python)
}

impl Bench {
    /// Runs one case; `Err` when it could not come to its checks.
    fn examine(&self, case: Case, checks: &mut Vec<Check>) -> Result<(), String> {
        let directory = self.directory.join(if case == Case::Plain { "plain" } else { "encrypted" });
        let pki = directory.join("pki");
        fs::create_dir_all(&pki).map_err(|error| format!("{} cannot be made: {error}", pki.display()))?;
        self.make_client(case, &pki)?;
        let (mut server, port) = self.start_server(case, &pki, 0)?;
        let site = directory.join("site.yaml");
        write_site(case, &site, &pki, port)?;
        let mut corerl = self.start_corerl(&directory, &site)?;
        let mut observer = self.attach(&directory, &mut corerl)?;
        let mut watch = Watch { bench: self, case, corerl: &mut corerl, observer: &mut observer, checks };
        watch.flows(&mut server, ["samples flow in", "setpoints arrive", "heartbeats arrive"])?;

        // An end without farewell is the harder case.
        server.stop(Signal::KILL, PATIENCE);
        std::thread::sleep(OUTAGE);
        watch.corerl.check()?;
        let (mut server, _) = self.start_server(case, &pki, port)?;
        watch.flows(
            &mut server,
            ["after a restart of the server, samples flow in", "and setpoints arrive", "and heartbeats arrive"],
        )?;
        let end = corerl.stop(Signal::INT, PATIENCE);
        checks.push(Check {
            case: case.name(),
            what: "SIGINT ends everything with exit code 0",
            passed: end.is_some_and(|status| status.success()),
            facts: end.map_or("it had to be killed".to_owned(), |status| status.to_string()),
        });
        server.let_go(PATIENCE);
        Ok(())
    }

    fn make_client(&self, case: Case, pki: &Path) -> Result<(), String> {
        if case == Case::Plain {
            return Ok(());
        }
        let output = Command::new(&self.python)
            .arg(workspace::root().join(SERVER))
            .arg("--make-client")
            .arg(pki.join("client"))
            .output()
            .map_err(|error| format!("python cannot be run: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(format!("no client certificate: {}", said.trim())) }
    }

    fn start_server(&self, case: Case, pki: &Path, port: u16) -> Result<(Child, u16), String> {
        let mut command = Command::new(&self.python);
        command.arg(workspace::root().join(SERVER)).args(["--port", &port.to_string()]).arg("--pki").arg(pki);
        if case == Case::Encrypted {
            command.args(["--security", "encrypt", "--user", USER, "--password", PASSWORD]);
        }
        let mut server = Child::start("asyncua's server", &mut command)?;
        let said = server.line(PATIENCE).unwrap_or_default();
        let facts: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
        match facts["port"].as_u64().and_then(|port| u16::try_from(port).ok()) {
            Some(port) => Ok((server, port)),
            None => Err(format!("asyncua's server did not start; it said last:\n{}", server.last_lines())),
        }
    }

    fn start_corerl(&self, directory: &Path, site: &Path) -> Result<Child, String> {
        Child::start(
            "corerl run",
            Command::new(self.programs.join("corerl"))
                .args(["run", "--arm", "--tether", "--config"])
                .arg(site)
                .arg("--runtime-dir")
                .arg(directory.join("run"))
                .arg("--checkpoint-dir")
                .arg(directory.join("checkpoints"))
                .arg("--programs")
                .arg(&self.programs),
        )
    }

    fn attach(&self, directory: &Path, corerl: &mut Child) -> Result<Observer, String> {
        let address = Address::new(&directory.join("run"), "interop", "interop", "main").map_err(|e| e.to_string())?;
        let start = Instant::now();
        loop {
            let refusal = match Observer::attach(&address, "asyncua") {
                Ok(observer) => return Ok(observer),
                Err(refusal) => refusal,
            };
            corerl.check()?;
            if start.elapsed() > PATIENCE {
                return Err(format!("{refusal}; corerl run said last:\n{}", corerl.last_lines()));
            }
            self.pause()?;
        }
    }

    /// Waits a moment; Ctrl-C is an error that ends the case.
    fn pause(&self) -> Result<(), String> {
        if self.lifeline.wait(LOOK_EVERY).asks_to_stop() { Err("interrupted".to_owned()) } else { Ok(()) }
    }
}

/// A case that is being watched.
struct Watch<'a> {
    bench: &'a Bench,
    case: Case,
    corerl: &'a mut Child,
    observer: &'a mut Observer,
    checks: &'a mut Vec<Check>,
}

impl Watch<'_> {
    /// Waits until samples, setpoints and heartbeats flow anew; adds a check for each.
    fn flows(&mut self, server: &mut Child, what: [&'static str; 3]) -> Result<(), String> {
        self.observer.drain();
        let samples_before = self.samples();
        let mut counts = Counts::default();
        let start = Instant::now();
        loop {
            self.bench.pause()?;
            self.corerl.check()?;
            server.check()?;
            while let Some(line) = server.line(Duration::ZERO) {
                counts = counts_of(&line).unwrap_or(counts);
            }
            self.observer.drain();
            let samples = self.samples().saturating_sub(samples_before);
            let flowing =
                [samples >= SAMPLES_MIN, counts.setpoints >= SETPOINTS_MIN, counts.heartbeats >= HEARTBEATS_MIN];
            if flowing == [true; 3] || start.elapsed() > PATIENCE {
                let seconds = start.elapsed().as_secs_f64();
                let numbers = [samples, counts.setpoints, counts.heartbeats];
                for ((what, passed), number) in what.into_iter().zip(flowing).zip(numbers) {
                    let facts = format!("{number} in {seconds:.1} s");
                    self.checks.push(Check { case: self.case.name(), what, passed, facts });
                }
                if flowing != [true; 3] {
                    eprintln!("corerl run said last:\n{}", self.corerl.last_lines());
                }
                return Ok(());
            }
        }
    }

    fn samples(&self) -> u64 {
        self.observer.recording().counters.get(Counter::SamplesReceived)
    }
}

/// Reads a line of the server's counts.
fn counts_of(line: &str) -> Option<Counts> {
    let facts: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(Counts { setpoints: facts["setpoints"].as_u64()?, heartbeats: facts["heartbeats"].as_u64()? })
}

fn write_site(case: Case, path: &Path, pki: &Path, port: u16) -> Result<(), String> {
    let access = match case {
        Case::Plain => "      security_policy: {policy: none}".to_owned(),
        Case::Encrypted => {
            let pki = pki.display();
            format!(
                "      security_policy: {{policy: basic256_sha256, mode: sign_and_encrypt, \
                 client_cert_path: \"{pki}/client/cert.der\", client_key_path: \"{pki}/private/client.pem\", \
                 server_cert_path: \"{pki}/server/cert.der\"}}\n      \
                 authentication_mode: {{username: {USER}, password: {PASSWORD}}}"
            )
        }
    };
    let text = SITE_TEMPLATE.replace("{{url}}", &format!("opc.tcp://127.0.0.1:{port}")).replace("{{access}}", &access);
    fs::write(path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

fn table(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let verdict = if check.passed { "passed" } else { "FAILED" };
        text += format!("{verdict}  {:24}  {:46}  {}", check.case, check.what, check.facts).trim_end();
        text.push('\n');
    }
    let failed = checks.iter().filter(|check| !check.passed).count();
    text + &format!("{} checks passed, {failed} failed\n", checks.len() - failed)
}

fn json(checks: &[Check]) -> String {
    let value = serde_json::json!({ "schema": "corerl.interop/1", "peer": "asyncua", "checks": checks });
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_counts_is_read_and_another_one_is_not() {
        let counts = counts_of(r#"{"setpoints": 12, "heartbeats": 3, "level": 0.5}"#).unwrap();
        assert_eq!((counts.setpoints, counts.heartbeats), (12, 3));
        assert!(counts_of(r#"{"url": "opc.tcp://127.0.0.1:1"}"#).is_none());
        assert!(counts_of("Traceback").is_none());
    }

    #[test]
    fn the_table_shows_every_check_and_counts_the_failures() {
        let check =
            |passed| Check { case: "in clear", what: "samples flow in", passed, facts: "7 in 1.0 s".to_owned() };
        let text = table(&[check(true), check(false)]);
        assert!(text.contains("FAILED  in clear") && text.ends_with("1 checks passed, 1 failed\n"), "{text}");
    }

    #[test]
    fn a_site_file_has_no_gap_left() {
        let directory = tempfile::tempdir().unwrap();
        for case in [Case::Plain, Case::Encrypted] {
            let path = directory.path().join("site.yaml");
            write_site(case, &path, Path::new("pki"), 4840).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let keys: String = text.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(!keys.contains("{{") && keys.contains("opc.tcp://127.0.0.1:4840"));
            assert_eq!(keys.contains("client_cert_path"), case == Case::Encrypted);
            let refused = rt_config::parse(&text, &path).err();
            assert!(refused.is_none(), "{}", refused.map(|refused| refused.to_string()).unwrap_or_default());
        }
    }
}
