//! `cargo xtask tidy`: the project's own rules, checked by machine.
//!
//! Every rule is a pure function from text or data to a list of violations, and has a test in which it catches one.

mod dependencies;
mod edges;
mod source;
mod sources;
mod unsafe_budget;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use crate::workspace::{self, Metadata};
use sources::SourceFile;

/// One violation, in a sentence that names the place and the remedy.
pub(crate) type Violation = String;

/// Runs all checks, prints the result, and exits.
pub(crate) fn run() -> ExitCode {
    if report() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs all checks and prints the result; true when there is no violation.
pub(crate) fn report() -> bool {
    match check() {
        Ok((facts, violations)) => {
            println!("{facts}");
            for violation in &violations {
                println!("tidy: {violation}");
            }
            println!("tidy: {} violations", violations.len());
            violations.is_empty()
        }
        Err(message) => {
            println!("tidy: {message}");
            false
        }
    }
}

fn check() -> Result<(String, Vec<Violation>), String> {
    let metadata = workspace::metadata()?;
    let files = sources::collect(&metadata.workspace_root)?;
    let mut violations = edges::check(&metadata.packages);
    for package in edges::WITHOUT_TOKIO {
        let shipped = ["--package", package, "--edges", "no-dev", "--format", "{p}"];
        violations.extend(edges::check_tree(package, &tree(&shipped)?));
    }
    violations.extend(dependencies::check_licences(&tree(&["--workspace", "--edges", "all", "--format", "{p}|{l}"])?));
    let lock = metadata.workspace_root.join("Cargo.lock");
    let lock = fs::read_to_string(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    violations.extend(dependencies::check_sources(&lock));
    let budget = unsafe_budget::measure(&files);
    violations.extend(budget.violations());
    violations.extend(sources::check(&files));
    violations.extend(check_roots(&metadata, &files));
    let facts = format!(
        "{} packages, {} files; {} of {} lines inside unsafe: {}",
        metadata.packages.len(),
        files.len(),
        budget.total(),
        unsafe_budget::LINES_MAX,
        budget.by_package()
    );
    Ok((facts, violations))
}

/// What `cargo tree` prints, a package a line.
fn tree(options: &[&str]) -> Result<String, String> {
    let output = workspace::cargo()
        .args(["tree", "--prefix", "none"])
        .args(options)
        .output()
        .map_err(|error| format!("cargo tree cannot be run: {error}"))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo tree failed: {}", reason.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Every package takes part in the workspace's lints, and forbids `unsafe` unless it is one of the places for it.
fn check_roots(metadata: &Metadata, files: &[SourceFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in &metadata.packages {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap_or_default();
        if !inherits_lints(&manifest) {
            violations.push(format!(
                "{}: write `[lints]` and `workspace = true`",
                relative(metadata, &package.manifest_path)
            ));
        }
        if unsafe_budget::may_use_unsafe(&package.name) {
            continue;
        }
        let roots = package.targets.iter().filter(|target| {
            let is_program_or_library = |kind: &String| kind == "lib" || kind == "bin";
            target.kind.iter().any(is_program_or_library)
        });
        for root in roots {
            let path = relative(metadata, &root.src_path);
            let text = files.iter().find(|file| file.path == path).map_or("", |file| file.text.as_str());
            if !unsafe_budget::forbids_unsafe(text) {
                violations.push(format!("{path}: write `#![forbid(unsafe_code)]`"));
            }
        }
    }
    violations
}

fn inherits_lints(manifest: &str) -> bool {
    manifest.split_once("[lints]").is_some_and(|(_, after)| after.trim_start().starts_with("workspace = true"))
}

/// A path as it reads inside the repository.
fn relative(metadata: &Metadata, path: &Path) -> String {
    path.strip_prefix(&metadata.workspace_root).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_without_the_workspaces_lints_is_noticed() {
        assert!(inherits_lints("[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"));
        assert!(!inherits_lints("[package]\nname = \"a\"\n"));
        assert!(!inherits_lints("[lints]\nrust.unsafe_code = \"allow\"\n"));
    }
}
