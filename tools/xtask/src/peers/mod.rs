//! Other people's software: fetched into the build directory when it is needed, and never part of the workspace.
//!
//! # Contract
//! - What was fetched once is used again until its list of requirements changes; nothing outside of the build directory is
//!   touched.
//! - A peer that this machine cannot have is [`Prepared::Absent`], with the reason; what is ours and cannot be built is an
//!   error.

mod open62541;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::workspace;

pub(crate) use open62541::Library;

/// A program or a list of requirements of ours, for peers.
const DIRECTORY: &str = "tools/xtask/interop";

/// Somebody else's OPC UA server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// In Python, from PyPI.
    Asyncua,
    /// In TypeScript, from npm.
    NodeOpcua,
    /// In C, through its crate.
    Open62541,
}

/// Whether something is there.
#[derive(Debug)]
pub(crate) enum Prepared<T> {
    There(T),
    /// Why it is not.
    Absent(String),
}

/// How a peer's server is started; the options come behind these words.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    program: PathBuf,
    script: Option<PathBuf>,
}

impl Server {
    /// The command, without options.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.script);
        command
    }
}

impl Peer {
    /// Its name for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Asyncua => "asyncua",
            Self::NodeOpcua => "node-opcua",
            Self::Open62541 => "open62541",
        }
    }

    /// Gets what its server needs.
    pub(crate) fn prepare(self) -> Result<Prepared<Server>, String> {
        match self {
            Self::Asyncua => asyncua(&place(self.name())?),
            Self::NodeOpcua => node_opcua(&place(self.name())?),
            Self::Open62541 => Ok(match Library::prepare()? {
                Prepared::There(library) => {
                    Prepared::There(Server { program: library.compile("server")?, script: None })
                }
                Prepared::Absent(why) => Prepared::Absent(why),
            }),
        }
    }
}

/// A virtual environment with asyncua.
fn asyncua(place: &Path) -> Result<Prepared<Server>, String> {
    Ok(match python_with("asyncua", place)? {
        Prepared::There(program) => {
            Prepared::There(Server { program, script: Some(scripts("asyncua").join("server.py")) })
        }
        Prepared::Absent(why) => Prepared::Absent(why),
    })
}

/// A Python that has onnx and onnxruntime.
pub(crate) fn onnxruntime() -> Result<Prepared<PathBuf>, String> {
    python_with("onnxruntime", &place("onnxruntime")?)
}

/// A Python that has Gymnasium.
pub(crate) fn gymnasium() -> Result<Prepared<PathBuf>, String> {
    python_with("gymnasium", &place("gymnasium")?)
}

/// A Python that has what reads exported recordings.
pub(crate) fn readers() -> Result<Prepared<PathBuf>, String> {
    python_with("readers", &place("readers")?)
}

/// A Python that has an object store.
pub(crate) fn objects() -> Result<Prepared<PathBuf>, String> {
    python_with("objects", &place("objects")?)
}

/// A Python that has JAX.
pub(crate) fn jax() -> Result<Prepared<PathBuf>, String> {
    python_with("jax", &place("jax")?)
}

/// A Python that has other people's plants. The list is complete, and what it leaves out of what its packages ask for is
/// heavy and not needed here.
pub(crate) fn plants() -> Result<Prepared<PathBuf>, String> {
    python_with_options("plants", &place("plants")?, &["--no-deps"])
}

/// A Python in a virtual environment with what a package needs.
fn python_with(package: &str, place: &Path) -> Result<Prepared<PathBuf>, String> {
    python_with_options(package, place, &[])
}

/// The same, with these options for pip.
fn python_with_options(package: &str, place: &Path, options: &[&str]) -> Result<Prepared<PathBuf>, String> {
    let requirements = scripts(package).join("requirements.txt");
    let python = place.join("bin/python");
    let fetch = || {
        run(
            Command::new("python3").args(["-m", "venv"]).arg(place),
            "a virtual environment needs python3 and its venv module (Debian: python3-venv)",
        )?;
        run(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet"])
                .args(options)
                .arg("--requirement")
                .arg(&requirements),
            &format!("{package} cannot be installed from PyPI"),
        )
    };
    once(place, &requirements, &format!("{package} from PyPI"), python.clone(), fetch)
}

/// A directory with node-opcua's packages and our script, which finds them because it lies beside them.
fn node_opcua(place: &Path) -> Result<Prepared<Server>, String> {
    let ours = scripts("node");
    let script = place.join("server.mjs");
    for name in ["package.json", "package-lock.json", "server.mjs"] {
        copy(&ours.join(name), &place.join(name))?;
    }
    if let Err(why) = run(Command::new("node").arg("--version"), "it needs node (Debian: nodejs)") {
        return Ok(Prepared::Absent(why));
    }
    let fetch = || {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(place);
        run(&mut npm, "node-opcua cannot be installed by npm (Debian: npm)").map(drop)
    };
    let server = Server { program: "node".into(), script: Some(script) };
    once(place, &ours.join("package-lock.json"), "node-opcua from npm", server, fetch)
}

/// Builds async-opcua's client, which takes a minute the first time; where it is.
pub(crate) fn async_opcua_client() -> Result<Prepared<PathBuf>, String> {
    let place = place("async-opcua")?;
    let program = place.join("release/async-opcua-peer");
    if !program.exists() {
        eprintln!("building async-opcua's client");
    }
    let mut fetch = workspace::cargo();
    fetch.args(["fetch", "--quiet", "--locked", "--manifest-path"]).arg(scripts("async-opcua").join("Cargo.toml"));
    if let Err(why) = run(&mut fetch, "its crates cannot be fetched") {
        return Ok(Prepared::Absent(why));
    }
    run(&mut release_build("async-opcua", &place), "async-opcua's client cannot be built")?;
    Ok(Prepared::There(program))
}

/// Builds a package of ours that is no part of the workspace.
fn release_build(peer: &str, place: &Path) -> Command {
    let mut build = workspace::cargo();
    build.args(["build", "--release", "--locked", "--quiet", "--message-format", "json", "--manifest-path"]);
    build.arg(scripts(peer).join("Cargo.toml")).arg("--target-dir").arg(place);
    build
}

/// Where what belongs to a peer is put; made.
fn place(peer: &str) -> Result<PathBuf, String> {
    let place = workspace::metadata()?.target_directory.join("interop").join(peer);
    fs::create_dir_all(&place).map_err(|error| format!("{} cannot be made: {error}", place.display()))?;
    Ok(place)
}

/// The directory with what is ours for this peer.
pub(crate) fn scripts(peer: &str) -> PathBuf {
    workspace::root().join(DIRECTORY).join(peer)
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|error| format!("{} cannot be copied: {error}", from.display()))
}

/// Fetches something unless it was fetched for the very same list of requirements.
fn once<T>(
    place: &Path,
    requirements: &Path,
    what: &str,
    then: T,
    fetch: impl FnOnce() -> Result<(), String>,
) -> Result<Prepared<T>, String> {
    let wanted = fs::read_to_string(requirements)
        .map_err(|error| format!("{} cannot be read: {error}", requirements.display()))?;
    let mark = place.join("fetched-for");
    if fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
        return Ok(Prepared::There(then));
    }
    eprintln!("fetching {what}");
    if let Err(why) = fetch() {
        return Ok(Prepared::Absent(why));
    }
    fs::write(&mark, wanted).map_err(|error| format!("{} cannot be written: {error}", mark.display()))?;
    Ok(Prepared::There(then))
}

/// Runs a command without letting it print; `remedy` says what is missing when it cannot be run or fails.
fn run(command: &mut Command, remedy: &str) -> Result<(), String> {
    output(command, remedy).map(drop)
}

/// The same; what it printed.
fn output(command: &mut Command, remedy: &str) -> Result<Output, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{remedy} ({error})"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [output.stderr, output.stdout].concat();
    Err(format!("{remedy}:\n{}", last_lines(&String::from_utf8_lossy(&said))))
}

/// The end of a program's messages: as much as helps.
fn last_lines(text: &str) -> String {
    const LINES: usize = 20;
    let lines: Vec<_> = text.trim().lines().collect();
    lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(place: &Path, result: Result<(), String>) -> (bool, Prepared<()>) {
        let mut asked = false;
        let fetch = || {
            asked = true;
            result
        };
        let prepared = once(place, &place.join("requirements"), "it", (), fetch).unwrap();
        (asked, prepared)
    }

    #[test]
    fn what_was_fetched_is_fetched_again_only_for_other_requirements() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path();
        fs::write(place.join("requirements"), "a").unwrap();
        assert!(
            matches!(fetched(place, Err("no network".into())), (true, Prepared::Absent(why)) if why == "no network")
        );
        assert!(matches!(fetched(place, Ok(())), (true, Prepared::There(()))));
        assert!(matches!(fetched(place, Ok(())), (false, Prepared::There(()))));
        fs::write(place.join("requirements"), "b").unwrap();
        assert!(matches!(fetched(place, Ok(())), (true, Prepared::There(()))));
    }

    #[test]
    fn a_command_that_fails_is_told_with_the_remedy_and_what_it_said_last() {
        let why =
            run(Command::new("sh").args(["-c", "seq 1 100; echo broken >&2; exit 1"]), "it needs more").unwrap_err();
        assert!(why.starts_with("it needs more:\n") && why.ends_with("\n100") && why.lines().count() == 21, "{why}");
        let why = run(&mut Command::new("no-such-program"), "it needs a program").unwrap_err();
        assert!(why.starts_with("it needs a program ("), "{why}");
    }
}
