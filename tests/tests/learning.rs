//! Learning as people try it: experiments on cases, and a policy from a history that a runtime starts with.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rustix::process::Signal;
use serde_json::Value;
use shm_layout::Counter;
use tests::{Place, SiteFile, wait_for_count};

/// Learns next to nothing, at once.
const QUICK: [&str; 6] =
    ["--set", "agent.batch_size=16", "--set", "agent.critic_updates=1", "--set", "agent.candidates=20"];

/// Runs `corerl` in the place's directory.
fn corerl(place: &Place, words: &[&str]) -> Output {
    command(place, words).output().expect("corerl runs")
}

fn command(place: &Place, words: &[&str]) -> Command {
    let mut command = place.command("corerl");
    command.args(words).current_dir(place.path("."));
    command
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ends by itself")
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn quick<'w>(words: &[&'w str]) -> Vec<&'w str> {
    words.iter().copied().chain(QUICK).collect()
}

#[test]
fn an_experiment_leaves_its_case_report_and_curves_and_the_same_seeds_give_the_same() {
    let place = Place::new();
    let words = ["experiment", "run", "--case", "inertia_direct", "--steps", "30", "--seeds", "1..3", "--json"];
    let [one, other] = [0, 1].map(|_| json(&corerl(&place, &quick(&words))));
    assert_eq!(one["schema"], "corerl.experiment/1");
    assert_eq!((one["case"].as_str(), one["steps"].as_u64()), (Some("inertia_direct"), Some(30)));
    let rewards = |report: &Value| -> Vec<f64> {
        let seeds = report["seeds"].as_array().expect("seeds");
        seeds.iter().map(|seed| seed["mean_last_100"].as_f64().expect("a number")).collect()
    };
    assert_eq!(rewards(&one), rewards(&other));
    for key in ["actor_variance", "wall_s", "updates", "deterministic", "nominal"] {
        assert!(one["seeds"][0][key].is_number(), "{key}");
    }
    assert_eq!(one["seeds"][0]["curve"].as_array().expect("a curve").len(), 30);

    let results = place.path("experiments");
    for file in ["case.yaml", "report.json", "curves.csv", "curves.svg"] {
        for number in [1, 2] {
            assert!(results.join(format!("inertia_direct-{number}")).join(file).is_file(), "{file}");
        }
    }
    // The case that is kept is the one that was run, with the options of the command line.
    let again = results.join("inertia_direct-1/case.yaml").display().to_string();
    let words = ["experiment", "run", "--case", &again, "--seeds", "1..3", "--json"];
    assert_eq!(rewards(&json(&corerl(&place, &words))), rewards(&one));

    let compared = corerl(
        &place,
        &["experiment", "compare", "experiments/inertia_direct-1", "experiments/inertia_direct-2", "--json"],
    );
    let found = &json(&compared)["comparisons"][0];
    assert_eq!((found["difference"].as_f64(), found["significant"].as_bool()), (Some(0.0), Some(false)));
}

#[test]
fn a_suite_says_by_its_exit_code_whether_every_case_has_reached_its_reference() {
    let place = Place::new();
    // Where the nominal action is the best one, an agent that has learnt nothing passes; elsewhere it does not.
    let suite = |only: &str| {
        corerl(&place, &quick(&["experiment", "suite", "--only", only, "--seeds", "1", "--set", "steps=20"]))
    };
    assert_eq!(code(&suite("saturation")), 1);
    let text = String::from_utf8(suite("inertia_direct,saturation").stdout).expect("text");
    assert!(text.contains("NOT PASSED") && text.lines().count() == 3, "{text}");
    assert_eq!(code(&suite("no_such_case")), 69);
}

#[test]
fn a_sweep_ranks_what_it_tries() {
    let place = Place::new();
    let words = ["experiment", "sweep", "--case", "saturation", "--steps", "20", "--seeds", "1", "--json"];
    let words = [&words[..], &["--vary", "agent.gamma=0.8,0.9", "--vary", "decide_every=1,2"]].concat();
    let found = json(&corerl(&place, &quick(&words)));
    let medians: Vec<f64> =
        found["ranking"].as_array().expect("a ranking").iter().map(|of| of["median"].as_f64().unwrap()).collect();
    assert_eq!(medians.len(), 4);
    assert!(medians.is_sorted_by(|a, b| a >= b), "{medians:?}");
}

/// A day of a plant whose level an operator keeps by hand, a row a second.
fn history(path: &Path) {
    let (mut level, mut u, mut text) = (0.5_f64, 0.12_f64, "time,u,level\n".to_owned());
    for second in 0..1_500_u32 {
        if second % 5 == 0 {
            u = (u + f64::from(second * 7_919 % 101) / 1_000.0 - 0.05).clamp(0.02, 0.25);
        }
        text += &format!("{},{u:.5},{level:.5}\n", 1_769_868_300 + second);
        level = (0.75 * level + u).clamp(0.0, 1.0);
    }
    fs::write(path, text).expect("the temporary directory is writable");
}

#[test]
fn a_policy_that_was_learnt_from_a_history_is_what_a_runtime_starts_with() {
    let place = Place::new();
    let plant = place.plant();
    history(&place.path("history.csv"));
    // The history has a row a second.
    let slow = [("obs_period: 20ms", "obs_period: 1s"), ("action_period: 20ms", "action_period: 1s")];
    let site = place.site(plant.url(), &slow);
    let config = site.path().display().to_string();
    let report =
        corerl(&place, &["data", "report", "--from", "history.csv", "--config", &config, "--out", "h.html", "--json"]);
    let found = json(&report);
    assert_eq!((found["rows"].as_u64(), found["goals"]["observations"].as_u64()), (Some(1_500), Some(1_500)));
    assert!(fs::read_to_string(place.path("h.html")).expect("a page").contains("<svg"));
    assert_eq!(found["narrow"], serde_json::json!([]), "an agent sees what moves");
    let of_the_instrument =
        SiteFile::text(plant.url(), &[slow[0], slow[1], ("operating_range: [0, 1]", "operating_range: [0, 20]")]);
    fs::write(place.path("wide.yaml"), of_the_instrument).expect("the temporary directory is writable");
    let told = corerl(&place, &["data", "report", "--from", "history.csv", "--config", "wide.yaml"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("hardly seen") && told.contains("of its range, 0 to 20"), "{told}");
    let drafted = corerl(&place, &["config", "tags", "--from", "history.csv"]);
    assert!(String::from_utf8_lossy(&drafted.stdout).contains("expected_range"), "{drafted:?}");

    let words = ["learn", "--from", "history.csv", "--config", &config, "--out", "policy.safetensors"];
    let more = ["--updates", "200", "--curves", "curves.svg", "--checkpoint-dir", "checkpoints", "--json"];
    let learnt = corerl(&place, &[&words[..], &more].concat());
    let found = json(&learnt);
    assert_eq!((found["schema"].as_str(), found["updates"].as_u64()), (Some("corerl.learn/1"), Some(200)));
    assert!(found["evaluation"]["value_policy"].is_number() && place.path("curves.svg").is_file());
    let again = |force: &[&str]| {
        let refused = corerl(&place, &[&words[..], &more, force].concat());
        assert_eq!(code(&refused), 2, "{refused:?}");
        String::from_utf8_lossy(&refused.stderr).into_owned()
    };
    assert!(again(&[]).contains("policy.safetensors is there already"), "a policy is not written over");
    assert!(again(&["--force"]).contains("checkpoints"), "nor a checkpoint, whatever is said");
    let curves = ["--out", "other.safetensors", "--updates", "200", "--curves", "curves.svg"];
    assert_eq!(code(&corerl(&place, &[&words[..5], &curves].concat())), 2, "nor curves");

    let model = ["model", "export", "--config", &config, "--from", "policy.safetensors", "policy.onnx"];
    assert_eq!(code(&corerl(&place, &model)), 0);
    let bytes = fs::read(place.path("policy.onnx")).expect("a model");
    assert!(bytes.windows(10).any(|window| window == b"level@0.95"), "it names its columns");
    let import = |file: &str, more: &[&str]| {
        let words = ["model", "import", file, "--config", &config, "--out", "imported.safetensors"];
        corerl(&place, &[&words, more].concat())
    };
    let imported = json(&import("policy.onnx", &["--json"]));
    assert_eq!((imported["columns_named"].as_bool(), imported["deviations"].as_bool()), (Some(true), Some(true)));
    let read = |name: &str| fs::read(place.path(name)).expect("a policy");
    assert!(read("policy.safetensors") == read("imported.safetensors"), "it comes back bit for bit");
    assert_eq!(code(&corerl(&place, &["model", "verify", "imported.safetensors", "--config", &config])), 0);
    let refused = import("policy.safetensors", &[]);
    assert_eq!(code(&refused), 1);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("policy.safetensors: it is no ONNX model"),
        "{refused:?}"
    );

    let inspected = json(&corerl(&place, &["model", "inspect", "policy.safetensors", "--json"]));
    assert_eq!(inspected["manifest"]["generation"].as_u64(), Some(1));
    let diff = |other: &str| code(&corerl(&place, &["model", "diff", "policy.safetensors", other]));
    assert_eq!((diff("policy.safetensors"), diff("policy.onnx")), (0, 1));

    let policy = place.path("policy.safetensors").display().to_string();
    let with_policy = [slow[0], slow[1], ("  site: rig", &*format!("  site: rig\n  policy_file: {policy}"))];
    let runtime = place.runtime(&place.site(plant.url(), &with_policy), &[]);
    runtime.wait_for_mode("shadow");
    wait_for_count(&runtime.counters(), Counter::Cycles, 50);
    assert_eq!(runtime.status().policy_generation, 1);
    // Its learner goes on from there.
    let mut learner = place.learner(&site, "checkpoints");
    let status = runtime.wait_for_status("a learner", |status| status.learner.epoch > 0);
    assert_eq!(status.policy_generation, 1);
    assert_eq!(learner.stop(Signal::TERM), 0);
    assert!(learner.said().contains("learning goes on from the checkpoint"), "{}", learner.said());
    // One that knows nothing of it says so.
    let mut novice = place.learner(&site, "elsewhere");
    runtime.wait_for_status("another learner", |now| now.learner.epoch > status.learner.epoch);
    assert_eq!(novice.stop(Signal::TERM), 0);
    assert!(novice.said().contains("what it learns will replace it"), "{}", novice.said());
    assert!(!learner.said().contains("what it learns will replace it"), "{}", learner.said());
}

#[test]
fn a_history_that_cannot_be_used_is_refused_with_what_to_do() {
    let place = Place::new();
    let plant = place.plant();
    let config = place.site(plant.url(), &[]).path().display().to_string();
    let refused = |text: &str| {
        fs::write(place.path("h.csv"), text).expect("the temporary directory is writable");
        let output = corerl(&place, &["learn", "--from", "h.csv", "--config", &config, "--out", "p.safetensors"]);
        assert_eq!(code(&output), 69, "{text}");
        assert!(!place.path("p.safetensors").exists(), "nothing is left of it");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused("").contains("h.csv: it is empty"));
    assert!(refused("time,u\n1,0.1\n").contains("no column for level"));
    assert!(refused("time,u,level\n2,0.1,0.5\n1,0.1,0.5\n").contains("sort the file by time"));
    assert!(refused("time,u,level\n1,0.1,0.5\n61,0.1,0.5\n").contains("rows are 60 s apart"));
    assert!(refused("time,u,level\n0,0.1,0.5\n0.02,0.1,0.5\n").contains("at least 50 are needed"));
    assert!(refused("PAR1 and so on").contains("Parquet"));
}
