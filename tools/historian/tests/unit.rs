//! The systemd unit starts the historian as it wants to be started, and gives it less than the runtime in everything.

use std::path::Path;
use std::process::Command;

fn unit() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/corerl-historian.service");
    std::fs::read_to_string(path).unwrap()
}

/// What a unit says of this key, the last time that it says it.
fn value<'a>(unit: &'a str, key: &str) -> Option<&'a str> {
    let values = unit.lines().filter_map(|line| line.split_once('=').filter(|(of, _)| *of == key));
    values.map(|(_, value)| value).next_back()
}

#[test]
fn every_option_of_the_unit_and_of_its_remarks_is_one_that_the_historian_has() {
    let help = Command::new(env!("CARGO_BIN_EXE_corerl-historian")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let unit = unit();
    let lines = unit.lines().filter(|line| line.contains("ExecStart=") && line.contains("corerl-historian "));
    let options: Vec<_> = lines.flat_map(str::split_whitespace).filter(|word| word.starts_with("--")).collect();
    assert!(options.len() >= 6, "{options:?}");
    for option in options {
        assert!(help.contains(&format!("{option} <")), "there is no {option}");
    }
}

#[test]
fn the_unit_keeps_the_historian_out_of_the_control_paths_way() {
    let unit = unit();
    for (key, expected) in
        [("CPUSchedulingPolicy", "batch"), ("LimitRTPRIO", "0"), ("RestrictRealtime", "yes"), ("Nice", "10")]
    {
        assert_eq!(value(&unit, key), Some(expected), "{key}");
    }
    // What nobody says anything of has 100.
    for key in ["CPUWeight", "IOWeight"] {
        let weight: u32 = value(&unit, key).unwrap().parse().unwrap();
        assert!(weight < 100, "{key}");
    }
    assert!(value(&unit, "MemoryMax").is_some() && value(&unit, "ProtectSystem") == Some("strict"));
}
