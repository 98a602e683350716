//! What is kept on disk: every act is recorded before it changes what the plant gets, nothing recorded can be changed unnoticed,
//! and what was applied outlives the process.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Output;

use rt_control::{Act, CallError, Refusal};
use rustix::process::Signal;
use serde_json::Value;
use shm_layout::{Counter, EventKind, EventRecord};
use tests::{Place, Runtime, SiteFile, not_judged, wait_for, wait_for_more};

/// A user who is neither the runtime's nor an operator.
const STRANGER: u32 = 65_534;

fn log_of(place: &Place) -> PathBuf {
    place.path("state").join(format!("{}.{}.main.audit", SiteFile::SITE, SiteFile::AGENT))
}

fn corerl(place: &Place, words: &[&str]) -> Output {
    place.corerl(words).output().unwrap()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether the log on disk is what was written: the exit code of `corerl audit verify`, and what it says.
fn verify(place: &Place) -> (i32, String) {
    let output = place.command("corerl").args(["audit", "verify"]).arg(log_of(place)).output().unwrap();
    (code(&output).unwrap(), said(&output))
}

/// The entries of the log.
fn entries(place: &Place) -> Vec<Value> {
    let output = place.command("corerl").args(["audit", "show", "--json"]).arg(log_of(place)).output().unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    shown["entries"].as_array().unwrap().clone()
}

/// Where `text` is in the log, which it has to be, behind `after`.
fn position(entries: &[Value], what: &str, text: &str, after: usize) -> usize {
    let fits = |entry: &Value| entry["what"] == what && entry["text"].as_str().unwrap().contains(text);
    let found = entries.iter().skip(after).position(fits);
    after + found.unwrap_or_else(|| panic!("no {what} with {text:?} behind entry {after}: {entries:#?}"))
}

fn narrower(place: &Place, site: &SiteFile, hi: &str) -> PathBuf {
    let text = std::fs::read_to_string(site.path()).unwrap();
    let (from, to) = ("u: {range: [0, 0.5]", format!("u: {{range: [0, {hi}]"));
    assert!(text.contains(from));
    let path = place.path("other.yaml");
    std::fs::write(&path, text.replace(from, &to)).unwrap();
    path
}

#[test]
fn s12_each_act_is_recorded_with_who_and_why_and_every_later_change_of_the_record_is_found() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &[]);
    let mut learner = place.learner(&site, "checkpoints");
    runtime.wait_for_status("the learner", |status| status.learner.alive && status.mode == "shadow");
    let other = narrower(&place, &site, "0.45");
    for words in [
        &["agent", "arm", "--cause", "commissioning"][..],
        &["agent", "hold", "--cause", "a look at the valve"],
        &["agent", "reset", "--cause", "valve is fine"],
        &["agent", "hand-back", "u", "--cause", "manual test finished"],
        &["config", "apply", other.to_str().unwrap(), "--cause", "night shift"],
        &["agent", "disarm", "--cause", "end of shift"],
        &["agent", "release", "--cause", "maintenance"],
    ] {
        let output = corerl(&place, words);
        assert_eq!(code(&output), Some(0), "{words:?}: {}", said(&output));
    }
    runtime.wait_for_mode("release");
    let running = wait_for("the running runtime's head to be the log's", || {
        let output = corerl(&place, &["audit", "verify"]);
        (code(&output) == Some(0)).then(|| said(&output))
    });
    assert!(running.contains("each as it was written"), "{running}");
    let head = runtime.status().audit.head.unwrap();
    assert_eq!((learner.stop(Signal::TERM), runtime.process.stop(Signal::TERM)), (0, 0));

    let entries = entries(&place);
    let start = position(&entries, "started", "rig/agent", 0);
    position(&entries, "learner_attached", &format!("process {}", learner.pid()), start);
    // Each act in its order, and what each led to; one does not wait for the other.
    let acts = ["arm", "hold", "reset", "hand back u", "configure", "disarm", "release"];
    acts.iter().fold(start, |at, act| position(&entries, "command", &format!("{act} by uid"), at));
    let effects = [
        ("armed", "arm: taken"),
        ("configured", "change 1"),
        ("disarmed", "disarm: taken"),
        ("mode_change", "-> release"),
        ("stopping", "stopped in order"),
    ];
    effects.iter().fold(start, |at, (what, text)| position(&entries, what, text, at));
    let arm = &entries[position(&entries, "command", "arm by uid", 0)];
    assert!(arm["text"].as_str().unwrap().ends_with(": commissioning"), "{arm}");
    assert_eq!(arm["uid"], rustix::process::getuid().as_raw());
    assert!(arm["pid"].as_u64().unwrap() > 0 && arm["runtime"] == runtime.process.pid(), "{arm}");

    let whole = std::fs::read_to_string(log_of(&place)).unwrap();
    assert_eq!(verify(&place).0, 0);
    let lines: Vec<_> = whole.lines().collect();
    for line in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(line);
        let edited = whole.replacen(lines[line], &lines[line].replacen("\"text\":\"", "\"text\":\"x", 1), 1);
        for forged in [without.join("\n") + "\n", edited] {
            std::fs::write(log_of(&place), forged).unwrap();
            let (code, said) = verify(&place);
            assert!(code == 1 && said.contains("NOT what was written"), "line {line}: {said}");
        }
    }
    std::fs::write(log_of(&place), &whole).unwrap();
    let noted = place.command("corerl").args(["audit", "verify"]).arg(log_of(&place)).args(["--head", &head]).output();
    assert_eq!(code(&noted.unwrap()), Some(0));
    let never = format!("1:{}", "0".repeat(64));
    let noted = place.command("corerl").args(["audit", "verify"]).arg(log_of(&place)).args(["--head", &never]).output();
    assert_eq!(code(&noted.unwrap()), Some(1));
}

#[test]
fn s12_a_log_that_a_crash_left_torn_goes_on_with_nothing_lost_and_a_forged_one_is_set_aside() {
    let place = Place::new();
    let site = place.site("opc.tcp://127.0.0.1:1", &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_status("an audit log", |status| status.audit.head.is_some());
    assert_eq!(code(&corerl(&place, &["agent", "hold", "--cause", "before the crash"])), Some(0));
    wait_for("the hold's entry", || {
        std::fs::read_to_string(log_of(&place)).unwrap().contains("before the crash").then_some(())
    });
    // Torn afterwards: a process that is killed may leave one more entry in the head alone, and then two would be missing.
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    let whole = std::fs::read_to_string(log_of(&place)).unwrap();
    std::fs::write(log_of(&place), &whole[..whole.len() - 9]).unwrap();
    let (torn, said) = verify(&place);
    assert!(torn == 1 && said.contains("the next start of the runtime completes it"), "{said}");

    let mut runtime = place.runtime(&site, &[]);
    let status = runtime.wait_for_status("an audit log", |status| status.audit.head.is_some());
    assert_eq!((status.audit.trouble, runtime.process.stop(Signal::TERM)), (None, 0));
    assert_eq!(verify(&place).0, 0);
    let completed = std::fs::read_to_string(log_of(&place)).unwrap();
    assert!(completed.starts_with(&whole), "what the crash tore is there again");

    std::fs::write(log_of(&place), completed.replace("before the crash", "by nobody at all")).unwrap();
    let mut runtime = place.runtime(&site, &[]);
    let mut events = runtime.events();
    let alarm = events.next(EventKind::AuditLog);
    assert!(alarm.text().contains("did not verify"), "{}", alarm.text());
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    assert_eq!(verify(&place).0, 0);
    position(&entries(&place), "set_aside", "one of them was changed", 0);
    let aside = log_of(&place).with_added_extension("damaged-1");
    assert!(std::fs::read_to_string(aside).unwrap().contains("by nobody at all"), "the evidence is kept");
}

/// A way to keep the log from being written, and its undoing.
type Blockade = (fn(&Place), fn(&Place));

const BLOCKADES: [Blockade; 2] = [
    // The disk is full: what is written first, the head, finds no room.
    (
        |place| wait_for("nothing half-written", || symlink("/dev/full", half_written_head(place)).ok()),
        |place| std::fs::remove_file(half_written_head(place)).unwrap(),
    ),
    // The directory is gone, and cannot be made.
    (
        |place| {
            std::fs::rename(place.path("state"), place.path("elsewhere")).unwrap();
            std::fs::write(place.path("state"), "").unwrap();
        },
        |place| {
            std::fs::remove_file(place.path("state")).unwrap();
            std::fs::rename(place.path("elsewhere"), place.path("state")).unwrap();
        },
    ),
];

fn half_written_head(place: &Place) -> PathBuf {
    log_of(place).with_added_extension("head.part")
}

#[test]
fn f92_without_an_audit_log_nothing_is_changed_but_control_goes_on_and_hands_off_is_always_done() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_mode("run");
    let (counters, mut events) = (runtime.counters(), runtime.events());
    let other = std::fs::read_to_string(narrower(&place, &site, "0.45")).unwrap();
    for (block, unblock) in BLOCKADES {
        events.drain();
        block(&place);
        let mut client = runtime.client();
        for refused in [
            client.act(Act::Arm, "in vain"),
            client.act(Act::Reset, "in vain"),
            client.hand_back(None, "in vain"),
            client.configure(&other, "in vain"),
        ] {
            assert_not_recorded(refused);
        }
        let arm = corerl(&place, &["agent", "arm"]);
        assert!(code(&arm) == Some(75) && said(&arm).contains("what cannot be recorded is not done"), "{}", said(&arm));
        let status = runtime.status();
        assert!(status.audit.trouble.is_some() && status.applied.is_none() && status.mode == "run", "{status:?}");
        wait_for_more(&counters, Counter::Cycles, 50);
        assert_eq!(runtime.client().describe().unwrap().setpoints[0].hi, 0.5);
        client.act(Act::Disarm, "hands off").unwrap();
        runtime.wait_for_mode("shadow");
        events.next(EventKind::AuditLog);

        unblock(&place);
        runtime.wait_for_status("the log to be written again, by itself", |status| status.audit.trouble.is_none());
        assert_eq!(code(&corerl(&place, &["agent", "arm"])), Some(0));
        runtime.wait_for_mode("run");
    }
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    assert_eq!(verify(&place).0, 0);
    let entries = entries(&place);
    let late = position(&entries, "command", "disarm by uid", 0);
    position(&entries, "command", "not recorded, not done: arm by uid", 0);
    position(&entries, "audit_log", "0 are lost", late);
}

fn assert_not_recorded(answer: Result<String, CallError>) {
    match answer {
        Err(CallError::Refused(Refusal::NotRecorded { reason })) => assert!(reason.contains("audit log"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn f92_a_runtime_that_starts_without_an_audit_log_is_not_armed_by_its_command_line() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    std::fs::write(place.path("state"), "").unwrap();
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.process.wait_until_it_says("not armed by the command line: --arm: the audit log");
    runtime.wait_for_mode("shadow");
    assert!(!runtime.status().armed);
    std::fs::remove_file(place.path("state")).unwrap();
    runtime.wait_for_status("the log to be written", |status| status.audit.trouble.is_none());
    assert_eq!(code(&corerl(&place, &["agent", "arm"])), Some(0));
    runtime.wait_for_mode("run");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    position(&entries(&place), "started", "rig/agent", 0);
}

#[test]
fn f21_s6_another_user_gets_no_descriptor_and_no_answer_and_is_recorded() {
    if !rustix::process::getuid().is_root() {
        return not_judged("only root can ask as another user");
    }
    let place = Place::new();
    let site = place.site("opc.tcp://127.0.0.1:1", &[]);
    let mut runtime = place.runtime(&site, &[]);
    let mut events = runtime.events();
    let sentence = format!("user {STRANGER} may not do that");
    let listed = String::from_utf8(place.as_user(STRANGER, "corerl", &["shm", "ls"]).stdout).unwrap();
    let segments: Vec<_> = listed.lines().filter(|line| line.contains("rig/agent")).collect();
    assert!(segments.len() >= 7 && segments.iter().all(|line| line.contains(&sentence)), "{listed}");
    let of_segment =
        |event: &EventRecord| event.kind() == Some(EventKind::AccessRefused) && event.text() == "a segment";
    let refused = wait_for("a segment that is refused", || events.drain().into_iter().find(of_segment));
    assert_eq!(refused.uid, STRANGER);
    let requests: [(&str, &[&str]); 4] = [
        ("corerl", &["shm", "dump", "counters"]),
        ("corerl", &["agent", "arm"]),
        ("corerl", &["agent", "status"]),
        ("corerl-learner", &["--config", site.path().to_str().unwrap()]),
    ];
    for (program, words) in requests {
        events.drain();
        let output = place.as_user(STRANGER, program, words);
        assert_eq!(code(&output), Some(77), "{words:?}: {}", said(&output));
        assert!(said(&output).contains(&sentence), "{words:?}: {}", said(&output));
        assert_eq!(events.next(EventKind::AccessRefused).uid, STRANGER);
    }
    assert_eq!((runtime.status().learner.epoch, runtime.status().armed), (0, false));
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    let refused: Vec<_> = entries(&place).into_iter().filter(|entry| entry["what"] == "access_refused").collect();
    assert!(refused.len() > requests.len() && refused.iter().all(|entry| entry["uid"] == STRANGER), "{refused:#?}");
}

fn upper_limit(runtime: &Runtime) -> f64 {
    runtime.client().describe().unwrap().setpoints[0].hi
}

/// Upper limits above the nominal value, each another one than those before it.
fn upper_limits() -> impl Iterator<Item = String> {
    (0..80).cycle().map(|number| format!("{:.3}", 0.41 + 0.001 * f64::from(number)))
}

#[test]
fn f85_a_runtime_that_is_killed_while_limits_are_applied_starts_again_with_one_of_the_files() {
    let place = Place::new();
    let site = place.site("opc.tcp://127.0.0.1:1", &[]);
    let (mut limits, mut expected) = (upper_limits(), vec![0.5]);
    for round in 0..8_u64 {
        let mut runtime = place.runtime(&site, &[]);
        let found = upper_limit(&runtime);
        assert!(expected.contains(&found), "{found} in round {round}, and not one of {expected:?}");
        assert_eq!(runtime.status().applied.is_some(), found != 0.5);
        let pid = runtime.process.pid();
        // Each round ends at another place of an apply after the first, wherever the machine has got to by then.
        let kill_soon = || {
            std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_micros(1_000 + 1_700 * round));
                tests::signal_to(pid, Signal::KILL);
            })
        };
        expected = vec![found];
        let (mut client, mut killer) = (runtime.client(), None);
        for hi in limits.by_ref() {
            // Before the answer it is either; after it the new one.
            let text = std::fs::read_to_string(narrower(&place, &site, &hi)).unwrap();
            expected.push(hi.parse().unwrap());
            if client.configure(&text, "again and again").is_err() {
                break;
            }
            expected.remove(0);
            killer.get_or_insert_with(kill_soon);
        }
        killer.expect("a change was applied").join().unwrap();
        runtime.process.wait();
    }
}

#[test]
fn what_was_applied_holds_after_a_restart_until_the_site_file_is_edited() {
    let place = Place::new();
    let site = place.site("opc.tcp://127.0.0.1:1", &[]);
    let other = narrower(&place, &site, "0.45");
    let mut runtime = place.runtime(&site, &[]);
    let applied = wait_for("a runtime", || {
        let output = corerl(&place, &["config", "apply", other.to_str().unwrap()]);
        output.status.success().then(|| said(&output))
    });
    assert!(applied.contains("applied.yaml for the next start, unless the site file is edited"), "{applied}");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);

    let mut runtime = place.runtime(&site, &[]);
    runtime.process.wait_until_it_says("what was applied holds, and not the site file");
    assert_eq!(upper_limit(&runtime), 0.45);
    assert!(runtime.status().applied.unwrap().ends_with("rig.agent.main.applied.yaml"));
    assert_eq!(runtime.process.stop(Signal::TERM), 0);

    let edited = std::fs::read_to_string(site.path()).unwrap().replace("u: {range: [0, 0.5]", "u: {range: [0, 0.48]");
    std::fs::write(site.path(), edited).unwrap();
    let mut runtime = place.runtime(&site, &[]);
    runtime.process.wait_until_it_says("the site file was edited after something was applied, and counts");
    assert_eq!((upper_limit(&runtime), runtime.status().applied), (0.48, None));
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

/// The rig's site as on a real plant: with certificates, and no laboratory.
fn secured(place: &Place, runtime: &str) -> SiteFile {
    let (cert, key) = (place.path("client.der"), place.path("client.pem"));
    if !cert.exists() {
        let mut make = place.command("corerl");
        make.args(["io", "cert", "create", "--application-uri", "urn:corerl:rt", "--host", "localhost", "--cert"]);
        assert!(make.arg(&cert).arg("--key").arg(&key).status().unwrap().success());
    }
    let security = "opc_conn_url: opc.tcp://127.0.0.1:1\n      security_policy: {policy: basic256_sha256, \
                    client_cert_path: client.der, client_key_path: client.pem}";
    place.site(
        "opc.tcp://127.0.0.1:1",
        &[
            ("lab: true\n", ""),
            ("opc_conn_url: opc.tcp://127.0.0.1:1", security),
            ("  site: rig\n", &format!("  site: rig\n  policy_file: best.safetensors\n{runtime}")),
        ],
    )
}

#[test]
fn s8_a_policy_is_exported_signed_and_started_from_where_its_key_is_trusted_and_nowhere_else() {
    let place = Place::new();
    let model = |words: &[&str]| {
        let mut command = place.command("corerl");
        let output = command.arg("model").args(words).output().unwrap();
        (code(&output).unwrap(), String::from_utf8(output.stdout.clone()).unwrap().trim().to_owned(), said(&output))
    };
    let (made, trusted, _) = model(&["keygen", "--key", "policy.key"]);
    let (made_another, other, _) = model(&["keygen", "--key", "other.key"]);
    assert_eq!((made, made_another, trusted.len(), trusted == other), (0, 0, 64, false));
    assert_ne!(model(&["keygen", "--key", "policy.key"]).0, 0, "a key is never overwritten");

    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &[]);
    let export = |file: &str| {
        let output = corerl(&place, &["model", "export", "--config", "site.yaml", file]);
        (code(&output).unwrap(), said(&output))
    };
    runtime.wait_for_mode("shadow");
    let (nominal, told) = export("best.safetensors");
    assert!(nominal == 69 && told.contains("nothing to export"), "{told}");
    let mut learner = place.learner(&site, "checkpoints");
    tests::wait_for_count(&runtime.counters(), Counter::PoliciesAdopted, 3);
    let (exported, told) = export("best.safetensors");
    assert_eq!(exported, 0, "{told}");
    assert_eq!((learner.stop(Signal::TERM), runtime.process.stop(Signal::TERM)), (0, 0));

    // In a laboratory it may be unsigned; it runs in shadow until somebody arms, as any other.
    let site = place.site(plant.url(), &[("  site: rig\n", "  site: rig\n  policy_file: best.safetensors\n")]);
    let mut runtime = place.runtime(&site, &[]);
    let status = runtime.wait_for_status("shadow", |status| status.mode == "shadow");
    assert!(status.policy_generation >= 3 && !status.armed, "{status:?}");
    let (not_found, told) = export("again.safetensors");
    assert!(not_found == 75 && told.contains("it is from `policy_file`"), "{told}");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);

    let site = secured(&place, &format!("  policy_keys: [\"{trusted}\"]\n"));
    let refused = |sentence: &str| {
        let mut runtime = place.runtime(&site, &["--arm"]);
        assert_eq!(runtime.process.exit_code(), 78, "{}", runtime.process.said());
        runtime.process.wait_until_it_says(sentence);
        let (code, found, _) = model(&["verify", "best.safetensors", "--config", "site.yaml"]);
        assert!(code == 1 && found.contains("signature  REFUSED") && found.contains(sentence), "{found}");
        // The rest of what a runtime asks holds, and without a site nobody asks whom one trusts.
        assert!(found.contains("answers    holds"), "{found}");
    };
    refused("the policy is not signed");
    assert_eq!(model(&["sign", "best.safetensors", "--key", "other.key"]).0, 0);
    refused("which is not in `runtime.policy_keys`");
    std::fs::set_permissions(place.path("policy.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, said) = model(&["sign", "best.safetensors", "--key", "policy.key"]);
    assert!(code == 77 && said.contains("may be read or written by others (mode 0644)"), "{said}");
    std::fs::set_permissions(place.path("policy.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(model(&["sign", "best.safetensors", "--key", "policy.key"]).0, 0);
    assert_eq!(model(&["verify", "best.safetensors", "--config", "site.yaml"]).0, 0);
    let signed = std::fs::read(place.path("best.safetensors")).unwrap();
    let mut changed = signed.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(place.path("best.safetensors"), changed).unwrap();
    refused("the policy's signature does not fit");

    std::fs::write(place.path("best.safetensors"), signed).unwrap();
    let mut runtime = place.runtime(&site, &[]);
    let started = runtime.wait_for_status("the policy", |status| status.policy_generation >= 3);
    assert!(!started.armed && started.mode == "startup", "{started:?}");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    position(&entries(&place), "configured", &format!("signed with the key {trusted}"), 0);
}

#[test]
fn a_runtime_that_stands_by_follows_what_is_applied_and_leads_under_it_when_the_other_one_dies() {
    let place = Place::new();
    let site = place.site("opc.tcp://127.0.0.1:1", &[]);
    let mut first = place.runtime(&site, &[]);
    first.wait_for_status("the lease", |status| status.lease.leads);
    let mut second = place.runtime(&site, &[]);
    let leader = first.process.pid();
    second.wait_for_status("the one that leads", |status| status.lease.partner == Some(leader));
    let text = std::fs::read_to_string(narrower(&place, &site, "0.45")).unwrap();
    match second.client().configure(&text, "to the wrong one") {
        Err(CallError::Refused(Refusal::NotNow { message })) => {
            assert!(message.contains("apply it there"), "{message}")
        }
        other => panic!("{other:?}"),
    }
    first.client().configure(&text, "night shift").unwrap();
    wait_for("the same limits", || (upper_limit(&second) == 0.45).then_some(()));
    first.process.kill();
    second.wait_for_status("the lease", |status| status.lease.leads);
    assert_eq!(upper_limit(&second), 0.45);
    assert_eq!(second.process.stop(Signal::TERM), 0);
    assert_eq!(verify(&place).0, 0, "two processes wrote one log");
    position(&entries(&place), "configured", "what was applied to the runtime that leads", 0);
}
