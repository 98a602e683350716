//! Every command explains itself with an example.

use std::process::Command;

fn help(path: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_corerl")).args(path).arg("--help").output().unwrap();
    assert!(output.status.success(), "{path:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The names in the list of subcommands.
fn subcommands(help: &str) -> Vec<String> {
    let list = help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
    let entries = list.lines().take_while(|line| !line.is_empty());
    let indented = entries.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    indented
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

fn check(path: &[&str], seen: &mut usize) {
    let text = help(path);
    *seen += 1;
    let inner = subcommands(&text);
    if inner.is_empty() {
        assert!(text.contains("Example"), "corerl {} --help has no example:\n{text}", path.join(" "));
    }
    for name in &inner {
        check(&[path, &[name.as_str()]].concat(), seen);
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let mut seen = 0;
    check(&[], &mut seen);
    assert!(seen >= 20, "only {seen} commands were found");
}

#[test]
fn a_command_that_is_not_understood_is_a_usage_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_corerl")).arg("no-such-command").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty() && !output.stderr.is_empty());
}
