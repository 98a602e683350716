//! `cargo xtask bench`: builds the benchmarks, the plant that one of them needs, and the peers that it compares with, and
//! hands the arguments on.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::peers::{self, Library, Prepared};
use crate::workspace;

/// The program with the benchmarks, and the plant that `opcua` talks to where there is no other server.
const PACKAGES: &[&str] = &["benches", "plant-sim"];
/// What acts on other people's plants.
const AGENT: &[&str] = &["corerl", "rt-daemon", "learner-daemon"];
/// What the loop and its historian are.
const LOOP: &[&str] = &["rt-daemon", "historian"];
/// Options with a value, which is not a benchmark's name.
const WITH_VALUE: &[&str] = &["--archive", "--plant", "--steps", "--seeds"];

/// Run the benchmarks, or one of them; --help, --list and everything else are handed on to them.
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "`opcua` compares with open62541's C client where there are cmake and libclang, and with async-opcua's; \
    `learner` with JAX where there are python3, its venv module and PyPI, which `plants` needs as well.\n\n\
    Examples:\n  cargo xtask bench --list\n  cargo xtask bench kernel --json\n  \
    cargo xtask bench plants --archive my-server\n  cargo xtask bench --help"
)]
pub(crate) struct BenchArguments {
    /// Arguments of the benchmark program.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(BenchArguments { arguments }: &BenchArguments) -> ExitCode {
    match peers(arguments) {
        Ok(peers) => {
            let agent = if is_asked_for(arguments, "plants") { AGENT } else { &[] };
            let historian = if is_asked_for(arguments, "historian") { LOOP } else { &[] };
            let packages = [PACKAGES, agent, historian].concat();
            workspace::run_released(&packages, "benches", &[arguments.clone(), peers].concat())
        }
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Gets what can be had of other people's software for the benchmarks that compare with it; the arguments that name it.
fn peers(arguments: &[String]) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    if concerns(arguments, "opcua") {
        found.extend(opcua()?);
    }
    if concerns(arguments, "learner") {
        found.extend(jax()?);
    }
    if is_asked_for(arguments, "plants") {
        found.extend(plants()?);
    }
    Ok(found)
}

/// Whether this benchmark is named, or none is, which means all but those that are run when they are named.
fn concerns(arguments: &[String], bench: &str) -> bool {
    let only_asks = ["--list", "--help", "-h", "--helper"].iter().any(|flag| arguments.iter().any(|word| word == flag));
    !only_asks && named(arguments).all(|word| word == bench)
}

/// Whether this benchmark is named, and more than a question is asked.
fn is_asked_for(arguments: &[String], bench: &str) -> bool {
    concerns(arguments, bench) && named(arguments).next().is_some()
}

/// The words that are neither options nor their values.
fn named(arguments: &[String]) -> impl Iterator<Item = &str> {
    let before = std::iter::once("").chain(arguments.iter().map(String::as_str));
    let words = arguments.iter().map(String::as_str).zip(before);
    words.filter(|(word, before)| !word.starts_with('-') && !WITH_VALUE.contains(before)).map(|(word, _)| word)
}

/// Gets other people's plants if they can be had; the argument that names their Python.
fn plants() -> Result<Vec<String>, String> {
    match peers::plants()? {
        Prepared::There(python) => Ok(vec![format!("--peer=plants={}", python.display())]),
        Prepared::Absent(why) => Err(format!("other people's plants are not there: {why}")),
    }
}

/// Gets JAX if it can be had; the argument that names it.
fn jax() -> Result<Vec<String>, String> {
    Ok(match peers::jax()? {
        Prepared::There(python) => vec![format!("--peer=jax={}", python.display())],
        Prepared::Absent(why) => {
            eprintln!("JAX does not take part: {why}");
            Vec::new()
        }
    })
}

/// Builds the OPC UA clients and servers that can be had; the arguments that name them.
fn opcua() -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut add = |role: &str, program: &Path| found.push(format!("--peer={role}={}", program.display()));
    match Library::prepare()? {
        Prepared::There(library) => {
            add("open62541-server", &library.compile("server")?);
            add("open62541-client", &library.compile("client")?);
        }
        Prepared::Absent(why) => eprintln!("open62541 does not take part: {why}"),
    }
    match peers::async_opcua_client()? {
        Prepared::There(program) => add("async-opcua-client", &program),
        Prepared::Absent(why) => eprintln!("async-opcua's client does not take part: {why}"),
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_built_for_the_benchmark_that_needs_them_alone() {
        let concerns =
            |line: &str, bench| concerns(&line.split_whitespace().map(String::from).collect::<Vec<_>>(), bench);
        for line in ["", "opcua", "--json", "opcua --archive kvm", "--archive kvm --json"] {
            assert!(concerns(line, "opcua"), "{line}");
        }
        for line in ["kernel", "--list", "kernel --archive kvm", "--help", "opcua --help", "learner"] {
            assert!(!concerns(line, "opcua"), "{line}");
        }
        assert!(concerns("learner --json", "learner") && concerns("", "learner") && !concerns("opcua", "learner"));
    }

    #[test]
    fn plants_take_part_only_when_they_are_named() {
        let words = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
        for line in ["plants", "plants --plant cstr --steps 200 --seeds 1", "--archive kvm plants"] {
            assert!(is_asked_for(&words(line), "plants"), "{line}");
        }
        for line in ["", "kernel", "--archive plants", "kernel --archive plants", "plants --help"] {
            assert!(!is_asked_for(&words(line), "plants"), "{line}");
        }
    }
}
