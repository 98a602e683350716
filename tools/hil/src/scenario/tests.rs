use std::path::{Path, PathBuf};

use super::*;

/// The library of this project.
fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hil")
}

const SOUND: &str = "about: a test\nsite: sites/saturation.yaml\nplant: {simulated: {}}\nduration: 2s\n\
                     timeline:\n  - {when: 1s, kill: learner, for: 500ms, as: death}\n\
                     expect:\n  - {mode: run, within: 1s, after: death/end}\n";

fn refused(from: &str, to: &str) -> String {
    assert!(SOUND.contains(from), "{from}");
    Scenario::parse(&SOUND.replace(from, to), &library().join("test.yaml")).unwrap_err().to_string()
}

#[test]
fn a_scenario_says_what_happens_and_what_has_to_be_seen() {
    let scenario = Scenario::parse(SOUND, &library().join("test.yaml")).unwrap();
    assert_eq!((scenario.name.as_str(), scenario.steps.len()), ("test", 1));
    assert_eq!(scenario.steps[0].act, Act::Kill(Program::Learner));
    assert_eq!(scenario.expectations[0].wanted, Wanted::Reaches(Mode::Run));
    assert!(scenario.expectations[0].after.as_ref().unwrap().end);
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_to_write() {
    for (from, to, parts) in [
        ("kill:", "kil:", ["test.yaml:6:16", "unknown key `kil`", "did you mean `kill`?"]),
        ("kill: learner", "kill: lerner", ["test.yaml:6:22", "`lerner`", "did you mean `learner`?"]),
        (
            "kill: learner",
            "kill: learner, delay: 1s",
            ["test.yaml:6", "`delay` and `kill` exclude each other", "entry"],
        ),
        ("for: 500ms", "for: 5s", ["test.yaml:6", "this ends after the timeline", "lengthen `duration`"]),
        ("death/end", "deth", ["test.yaml:8", "no step is called `deth`", "did you mean `death`?"]),
        ("within: 1s, ", "", ["test.yaml:8", "it is not said until when", "within: 5s"]),
        ("mode: run", "untouched: v", ["test.yaml:8", "the site has no setpoint `v`", "did you mean `u`?"]),
        ("sites/saturation", "sites/nowhere", ["test.yaml:2:7", "cannot be read", "correct the site file"]),
        ("about: a test\n", "", ["test.yaml:1:1", "`about` is missing here", "in a sentence"]),
    ] {
        let said = refused(from, to);
        for part in parts {
            assert!(said.contains(part), "{part} is not in:\n{said}");
        }
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let said = refused("duration: 2s\ntimeline:\n  - {when: 1s, kill:", "duration: 2h\ntimeline:\n  - {when: 1s, kil:");
    assert!(said.contains("a timeline of 7200 s is not possible") && said.contains("unknown key `kil`"), "{said}");
}

#[test]
fn the_library_is_sound_and_covers_what_matters_most() {
    let scenarios = crate::load_all(&crate::find(&[library()]).unwrap()).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let covered: Vec<_> = scenarios.iter().flat_map(|scenario| &scenario.faults).collect();
    for row in "F01 F03 F05 F08 F09 F22 F31 F34 F35 F46 F48 F52 F59 F60 F64 F69 F79 F84 F86 F87 F88".split(' ') {
        assert!(covered.iter().any(|covers| *covers == row), "no scenario covers {row}");
    }
}
