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

/// What is said of a timeline and an expectation; nothing when they are sound.
fn said_of(timeline: &[&str], expectation: &str) -> String {
    let steps: String = timeline.iter().map(|step| format!("  - {{{step}}}\n")).collect();
    let text = format!(
        "about: a test\nsite: sites/saturation.yaml\nplant: {{simulated: {{}}}}\nduration: 5s\n\
         timeline:\n{steps}expect:\n  - {{{expectation}}}\n"
    );
    let parsed = Scenario::parse(&text, &library().join("test.yaml"));
    parsed.err().map_or(String::new(), |error| error.to_string())
}

#[test]
fn two_steps_that_one_end_would_end_are_refused_and_others_may_overlap() {
    for (one, other, claim) in [
        (
            "when: 1s, offset: {node: level, by: 1}, for: 2s",
            "when: 2s, offset: {node: level, by: 2}",
            "offset of level",
        ),
        ("when: 1s, stale: level", "when: 2s, stale: level, for: 1s", "stale of level"),
        ("when: 1s, cable: pulled, for: 2s", "when: 2s, loss: 3, for: 2s", "the loss of packets"),
        ("when: 2s, pause: runtime, for: 1s", "when: 1s, pause: runtime, for: 2s", "the runtime"),
    ] {
        let said = said_of(&[one, other], "stays: run");
        assert!(said.contains(&format!("another step has {claim} at the same time")), "{one}, {other}: {said}");
    }
    for (one, other) in [
        ("when: 1s, offset: {node: level, by: 1}, for: 1s", "when: 2s, offset: {node: level, by: 2}, for: 1s"),
        ("when: 1s, offset: {node: level, by: 1}, for: 2s", "when: 2s, noise: {node: level, by: 2}, for: 1s"),
        ("when: 1s, forced: {node: level_sp, value: 1}", "when: 2s, forced: {node: level_sp, value: 2}"),
        ("when: 1s, kill: runtime", "when: 3s, pause: runtime, for: 1s"),
        ("when: 1s, cable: pulled, for: 2s", "when: 2s, delay: 10ms, for: 2s"),
    ] {
        assert_eq!(said_of(&[one, other], "stays: run"), "", "{one}, {other}");
    }
}

#[test]
fn a_window_counts_from_its_step_and_ends_with_the_timeline() {
    let death = ["when: 2s, kill: learner, for: 1s, as: death"];
    let late = "the window ends after the timeline";
    assert!(said_of(&death, "stays: run, after: death, to: 3001ms").contains(late));
    assert!(said_of(&death, "stays: run, after: death/end, to: 2001ms").contains(late));
    assert_eq!(said_of(&death, "stays: run, after: death, to: 3s"), "");
    assert_eq!(said_of(&death, "stays: run, after: death/end, to: 2s"), "");
}

#[test]
fn a_fault_is_taken_back_by_its_kind() {
    let file = library().join("quality_bad.yaml");
    let scenario = Scenario::load(&file).unwrap();
    let Act::Plant(fault) = &scenario.steps[0].act else { panic!("{:?}", scenario.steps[0].act) };
    assert_eq!(fault.end(), serde_json::json!({"do": "clear", "node": "level", "kind": "quality"}));
}

#[test]
fn a_secured_plant_gives_the_runtime_a_certificate_and_alone_can_be_trusted() {
    let file = library().join("test.yaml");
    let trusting = SOUND.replace("kill: learner, for: 500ms, as: death", "trust: plant, as: death");
    let trusting = trusting.replace("death/end", "death");
    let said = Scenario::parse(&trusting, &file).unwrap_err().to_string();
    assert!(said.contains("the plant has no certificate") && said.contains("security: encrypt"), "{said}");
    let secured = trusting.replace("simulated: {}", "simulated: {security: encrypt}");
    let scenario = Scenario::parse(&secured, &file).unwrap();
    assert_eq!(scenario.steps[0].act, Act::Trust);
    assert_eq!(scenario.title(&scenario.steps[0]), "the plant's certificate is trusted");
    let security = &scenario.site.connections[0].security;
    let rt_config::Security::Secured { client_cert, encrypt, trust_dir, .. } = security else { panic!("{security:?}") };
    assert!(client_cert.ends_with("client.der") && trust_dir.ends_with("trust") && *encrypt);
    let said = Scenario::parse(&secured.replace("trust: plant", "trust: everybody"), &file).unwrap_err().to_string();
    assert!(said.contains("`everybody`"), "{said}");
    let said = Scenario::parse(&secured.replace("trust: plant", "trust: plant, for: 1s"), &file).unwrap_err();
    assert!(said.to_string().contains("this happens in an instant"), "{said}");
}

#[test]
fn what_reaches_a_plant_is_asked_of_one_that_tells_it() {
    let of = |plant: &str| {
        let text = format!(
            "about: a test\nsite: sites/saturation.yaml\nplant: {{{plant}}}\nduration: 2s\nexpect: [{{no_write: u}}]\n"
        );
        Scenario::parse(&text, &library().join("test.yaml"))
    };
    assert_eq!(of("simulated: {}").unwrap().expectations.len(), 1);
    let refused = of("existing: {rig: bench}").unwrap_err().to_string();
    assert!(refused.contains("tells nobody what is written to it") && refused.contains("untouched"), "{refused}");
}

#[test]
fn certificates_are_exchanged_and_given_little_time_where_there_are_any() {
    let of = |plant: &str, step: &str| {
        let text = SOUND.replace("simulated: {}", &format!("simulated: {{{plant}}}"));
        let text = text.replace("kill: learner, for: 500ms, as: death", &format!("{step}, as: death"));
        Scenario::parse(&text.replace("death/end", "death"), &library().join("test.yaml"))
    };
    let secured = "security: encrypt, trusted: true, certificate_lifetime: 0s, key_lifetime: 2s";
    let scenario = of(secured, "certify: runtime").unwrap();
    let given = scenario.plant.secured().unwrap();
    assert_eq!((given.trusted, given.certificate_lifetime), (true, Some(Duration::ZERO)));
    assert_eq!(given.key_lifetime, Some(Duration::from_secs(2)));
    assert_eq!(scenario.steps[0].act, Act::Certify(Certified::Runtime));
    assert_eq!(of(secured, "certify: plant").unwrap().steps[0].act, Act::Certify(Certified::Plant));
    assert_eq!(of(secured, "distrust: plant").unwrap().steps[0].act, Act::Distrust);
    for (plant, step, said) in [
        ("trusted: true", "kill: learner", "the plant has no certificate"),
        ("key_lifetime: 2s", "kill: learner", "the plant has no certificate"),
        ("", "certify: runtime", "the plant has no certificate"),
        ("security: encrypt, certificate_lifetime: 2h", "certify: plant", "longer than a scenario can wait for"),
    ] {
        let refused = of(plant, step).unwrap_err().to_string();
        assert!(refused.contains(said), "{plant}, {step}: {refused}");
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
    for row in "F01 F03 F05 F08 F09 F22 F23 F31 F34 F35 F46 F48 F52 F55 F59 F60 F64 F69 F79 F84 F86 F87 F88".split(' ')
    {
        assert!(covered.iter().any(|covers| *covers == row), "no scenario covers {row}");
    }
}
