//! Where the workspace is, and what cargo says about it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde::Deserialize;

/// The target of a build with unstable flags: where it is named, build scripts and macros are built without them.
pub(crate) const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// The answer of `cargo metadata`, as far as it is needed here.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    /// Where the workspace's `Cargo.toml` is.
    pub(crate) workspace_root: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target_directory: PathBuf,
    /// The packages of the workspace.
    pub(crate) packages: Vec<Package>,
}

/// One package of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its `Cargo.toml`.
    pub(crate) manifest_path: PathBuf,
    /// What it declares to need.
    pub(crate) dependencies: Vec<Dependency>,
    /// What is built from it.
    pub(crate) targets: Vec<Target>,
}

/// One declared dependency.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// The package's name.
    pub(crate) name: String,
    /// `None` for an ordinary dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// Set for packages of the workspace.
    pub(crate) path: Option<PathBuf>,
}

/// One thing that is built.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    /// `lib`, `bin`, `test` and so on.
    pub(crate) kind: Vec<String>,
    /// Its root file.
    pub(crate) src_path: PathBuf,
}

/// Asks cargo about the workspace that this program belongs to.
pub(crate) fn metadata() -> Result<Metadata, String> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("cargo metadata cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata was not understood: {error}"))
}

/// The root of the workspace; known since this program was built.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().and_then(Path::parent).unwrap_or(here)
}

/// Cargo, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = children::cargo();
    command.current_dir(root());
    command
}

/// Builds these packages in release form and runs a program of theirs; its exit code.
pub(crate) fn run_released(packages: &[&str], program: &str, arguments: &[String]) -> ExitCode {
    let run = || {
        let path = build_released(packages, program)?;
        let status = Command::new(path).args(arguments).status();
        status.map_err(|error| format!("{program} cannot be started: {error}"))
    };
    match run() {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Builds these packages in release form; where a program of theirs is.
pub(crate) fn build_released(packages: &[&str], program: &str) -> Result<PathBuf, String> {
    let mut build = cargo();
    build.args(["build", "--release", "--quiet"]).args(packages.iter().flat_map(|package| ["--package", package]));
    run_build(&mut build, program)?;
    Ok(metadata()?.target_directory.join("release").join(program))
}

/// Lets cargo build `what`, with its complaints where the user sees them; what it prints on standard output.
pub(crate) fn run_build(cargo: &mut Command, what: &str) -> Result<String, String> {
    let built = cargo.stderr(Stdio::inherit()).output().map_err(|error| format!("cargo cannot be run: {error}"))?;
    match built.status.success() {
        true => Ok(String::from_utf8_lossy(&built.stdout).into_owned()),
        false => Err(format!("{what} could not be built")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_gives_what_cargo_said_or_the_name_of_what_could_not_be_built() {
        assert_eq!(run_build(Command::new("echo").arg("built"), "it"), Ok("built\n".to_owned()));
        assert_eq!(run_build(&mut Command::new("false"), "it"), Err("it could not be built".to_owned()));
        let error = run_build(&mut Command::new("/nonexistent/cargo"), "it").unwrap_err();
        assert!(error.starts_with("cargo cannot be run"), "{error}");
    }
}
