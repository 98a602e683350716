//! A site is kept in one file while everything goes on, and comes back from it: with every record up to the newest, with what its
//! agents have learnt, and with the record of who did what.

use std::path::Path;
use std::process::{Command, Output};

use rustix::process::Signal;
use serde_json::Value;
use shm_layout::Counter;
use tests::{Place, Process, Runtime, SiteFile, wait_for, wait_for_more};

/// A site whose company runs, and has a history, a checkpoint and a key.
struct Works {
    place: Place,
    site: SiteFile,
    runtime: Runtime,
    _historian: Process,
    _plant: tests::Plant,
}

impl Works {
    fn begin() -> Self {
        let place = Place::new();
        let plant = place.plant();
        let site = place.site(plant.url(), &[]);
        std::fs::create_dir(place.path("pki")).unwrap();
        let key = "-----BEGIN PRIVATE KEY-----\nnot really\n-----END PRIVATE KEY-----\n";
        std::fs::write(place.path("pki/own.pem"), key).unwrap();
        let runtime = place.company(&site, &["--arm"]);
        let historian = place.historian();
        wait_for_more(&runtime.counters(), Counter::Cycles, 300);
        wait_for("a checkpoint", || place.path("checkpoints/rig.agent.main.ckpt").exists().then_some(()));
        wait_for("a history", || place.path("history/hot.sqlite").exists().then_some(()));
        Self { place, site, runtime, _historian: historian, _plant: plant }
    }

    fn backup(&self, words: &[&str]) -> Output {
        self.place.command("corerl").arg("backup").args(words).output().unwrap()
    }

    /// A command that has to succeed; what it printed.
    fn told(&self, words: &[&str]) -> Value {
        let output = self.backup(&[words, &["--json"]].concat());
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn create(&self, more: &[&str]) -> Value {
        let words = ["create", "--config", "site.yaml", "--pki", "pki", "--to", "backups"];
        self.told(&[&words, more].concat())
    }

    /// What was kept of a tag up to a time.
    fn query(&self, history: &Path, to: &str) -> String {
        let words =
            ["data", "query", "level", "reward", "--from", "-1h", "--to", to, "--zone", "utc", "--format", "csv"];
        let output = self.place.command("corerl").args(words).arg("--history").arg(history).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn count(told: &Value, class: &str) -> u64 {
    let of_class = |of: &&Value| of["class"] == class;
    told["files"].as_array().unwrap().iter().find(of_class).map_or(0, |of| of["files"].as_u64().unwrap())
}

#[test]
fn a_site_comes_back_from_a_backup_that_was_taken_while_it_ran_and_goes_on() {
    let mut works = Works::begin();
    let created = works.create(&[]);
    for (class, files) in [("site", 1), ("hot_days", 1), ("checkpoint", 1), ("private_key", 1)] {
        assert_eq!(count(&created, class), files, "{class}: {created}");
    }
    assert!(count(&created, "state") >= 2, "an audit log and its head: {created}");
    wait_for_more(&works.runtime.counters(), Counter::Cycles, 50);

    let rehearsed = works.told(&["rehearse", "backups"]);
    assert_eq!((&rehearsed["ok"], &rehearsed["newest"][0]["agent"]), (&true.into(), &"rig/agent".into()));
    let details: Vec<_> =
        rehearsed["proofs"].as_array().unwrap().iter().map(|proof| proof["detail"].as_str().unwrap()).collect();
    for proof in ["a learner takes it over", "every block, row and sealed byte", "entries, each as it was written"] {
        assert!(details.iter().any(|detail| detail.contains(proof)), "{proof}: {details:?}");
    }
    assert_eq!(std::fs::read_dir(works.place.path("tmp")).unwrap().count(), 0, "a rehearsal leaves nothing");

    let restored = works.told(&["restore", "backups", "--to", "restored"]);
    let newest = restored["newest"][0]["time"].as_str().unwrap();
    let original = works.query(&works.place.path("history"), newest);
    assert!(original.lines().count() > 20, "{original}");
    assert_eq!(works.query(&works.place.path("restored/history"), newest), original);

    let refused = works.backup(&["restore", "backups", "--to", "restored"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("nothing there is overwritten"), "{}", said(&refused));

    assert_eq!(works.runtime.process.stop(Signal::TERM), 0);
    let mut again = works.place.command("corerl");
    again.args(["run", "--config", "restored/site.yaml", "--checkpoint-dir", "restored/checkpoints", "--runtime-dir"]);
    let again = Process::start({
        again.arg(works.place.path("run"));
        again
    });
    again.wait_until_it_says("learning goes on from the checkpoint");
    assert!(works.site.path().exists());
}

#[test]
fn a_damaged_backup_is_found_and_nothing_comes_of_it_and_a_locked_one_opens_by_its_key_alone() {
    let works = Works::begin();
    std::fs::write(works.place.path("passphrase"), "correct horse battery staple\n").unwrap();
    let locked = works.create(&["--passphrase-file", "passphrase"]);
    assert_eq!(locked["encrypted"], true);
    let refused = works.backup(&["verify", "backups"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert_eq!(works.told(&["verify", "backups", "--passphrase-file", "passphrase"])["ok"], true);

    let open = works.create(&[]);
    let path = works.place.path(open["backup"].as_str().unwrap());
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 16;
    for bytes in [&damaged, &whole[..whole.len() - 1]] {
        std::fs::write(&path, bytes).unwrap();
        for words in [&["verify", "backups"][..], &["rehearse", "backups"], &["restore", "backups", "--to", "back"]] {
            let output = works.backup(words);
            assert_eq!(output.status.code(), Some(1), "{words:?}: {}", said(&output));
        }
        assert!(!works.place.path("back").exists());
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(works.told(&["verify", "backups"])["ok"], true);
}

#[test]
fn so_many_backups_are_kept_as_are_asked_for_and_one_that_was_killed_is_none() {
    let works = Works::begin();
    let names = || -> Vec<String> {
        let listed = works.told(&["list", "backups"]);
        listed["backups"].as_array().unwrap().iter().map(|of| of["backup"].as_str().unwrap().to_owned()).collect()
    };
    let [first, second, third] = [(); 3].map(|()| works.create(&["--keep", "2"]));
    assert_eq!(names(), [&second, &third].map(|created| created["backup"].as_str().unwrap()));
    assert!(first["backup"].as_str().unwrap().ends_with(third["removed"][0].as_str().unwrap()));

    let mut command: Command = works.place.command("corerl");
    command.args(["backup", "create", "--config", "site.yaml", "--to", "backups"]);
    let mut killed = Process::start(command);
    let part = || std::fs::read_dir(works.place.path("backups")).unwrap().count() > 2;
    wait_for("a backup to begin, or to be done", || (part() || !killed.is_running()).then_some(()));
    if killed.is_running() {
        killed.kill();
    }
    assert!(names().iter().all(|name| works.told(&["verify", name])["ok"] == true));
}
