//! What comes from outside and is wrong: it is named with its place and its remedy, counted, and the runtime goes on.

use std::io::Write;
use std::net::TcpListener;

use rt_control::{CallError, Refusal};
use rustix::process::Signal;
use shm_layout::{Counter, EventKind, WEIGHTS_HEADER_WORDS};
use tests::{Events, Place, SiteFile, wait_for, wait_for_count, wait_for_more};

/// Runs a runtime on such a site until it complains about its connection: the complaint. It waits, writes nothing, and ends
/// in order.
fn complaint(place: &Place, site: &SiteFile) -> String {
    let mut runtime = place.runtime(site, &["--arm"]);
    let complaint = wait_for("a complaint about the connection", || {
        runtime.status().connections[0].last_error.clone().filter(|error| error != "not connected yet")
    });
    let counters = runtime.counters();
    wait_for_more(&counters, Counter::Cycles, 20);
    assert_eq!((runtime.status().mode.as_str(), counters.get(Counter::SetpointsWritten)), ("startup", 0));
    runtime.process.wait_until_it_says("cannot connect: ");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    complaint
}

fn assert_names(complaint: &str, parts: &[&str]) {
    for part in parts {
        assert!(complaint.contains(part), "{complaint:?} does not hold {part:?}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named_with_what_to_check() {
    let place = Place::new();
    let url = "opc.tcp://127.0.0.1:1";
    let complaint = complaint(&place, &place.site(url, &[]));
    assert_names(&complaint, &[url, "connecting failed", "refused", "opc_conn_url"]);
}

/// A listener on the loopback interface that does this to everybody who comes, and its url.
fn listener(mut greet: impl FnMut(std::net::TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("opc.tcp://{}", listener.local_addr().unwrap());
    // The thread ends with the test's process: it waits for callers that no longer come.
    std::thread::spawn(move || listener.incoming().flatten().for_each(&mut greet));
    url
}

#[test]
fn a_server_that_speaks_another_language_is_no_opc_ua_server() {
    let place = Place::new();
    for garbage in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0xff; 4096], b"ACKF\xff\xff\xff\xff", b"ACKF"] {
        let url = listener(move |mut stream| {
            let _ = stream.write_all(garbage);
        });
        let complaint = complaint(&place, &place.site(&url, &[]));
        assert_names(&complaint, &[&url, "saying hello failed", "opc_conn_url"]);
    }
}

#[test]
fn a_server_that_accepts_and_never_answers_is_given_up() {
    let place = Place::new();
    let mut kept = Vec::new();
    let url = listener(move |stream| kept.push(stream));
    let complaint = complaint(&place, &place.site(&url, &[]));
    assert_names(&complaint, &[&url, "saying hello failed", "deadline", "opc_conn_url"]);
}

#[test]
fn a_node_that_is_unknown_no_number_or_not_writable_is_named_with_its_tag() {
    let place = Place::new();
    let plant = place.plant();
    let level = "nsu=urn:corerl:plant;s=saturation.level";
    let setpoint = "nsu=urn:corerl:plant;s=saturation.u";
    let heartbeat = "nsu=urn:corerl:plant;s=saturation.Heartbeat";
    let cases: [(&str, &str, &[&str]); 7] = [
        (
            level,
            "nsu=urn:corerl:plant;s=saturation.nowhere",
            &["`level`", "BadNodeIdUnknown", "correct node_identifier"],
        ),
        (level, "nsu=urn:elsewhere;s=saturation.level", &["level", "no such namespace", "urn:corerl:plant"]),
        (level, "ns=0;i=2261", &["`level`", "i=2261", "holds no number", "correct node_identifier"]),
        (level, "ns=0;i=2254", &["`level`", "i=2254", "is an array", "correct node_identifier"]),
        (setpoint, level, &["`u`", "saturation.level", "may not be written", "access level"]),
        // At 0.2 per second a whole number would never move in a period of 5 ms.
        (
            setpoint,
            "nsu=urn:corerl:plant;s=saturation.Lease",
            &["`u`", "holds whole numbers", "a rate of at least 200 in runtime.limits"],
        ),
        // The same node by another spelling, which a site file alone does not show.
        (heartbeat, "ns=2;s=saturation.u", &["`u`", "`heartbeat`", "would be written to the same node"]),
    ];
    for (from, to, parts) in cases {
        let complaint = complaint(&place, &place.site(plant.url(), &[(from, to)]));
        assert_names(&complaint, &[plant.url()]);
        assert_names(&complaint, parts);
    }
}

#[test]
fn a_site_file_that_is_cut_or_missing_is_refused_with_its_place_by_every_program() {
    let place = Place::new();
    let text = SiteFile::text("opc.tcp://127.0.0.1:1", &[]);
    let site = place.site("opc.tcp://127.0.0.1:1", &[]);
    let cut = text.find("    - name: level").unwrap();
    std::fs::write(site.path(), &text[..cut]).unwrap();
    for (mut runtime, refusal) in [(place.runtime(&site, &[]), "site.yaml:"), (place.company(&site, &[]), "site.yaml:")]
    {
        assert_eq!(runtime.process.exit_code(), 78);
        runtime.process.wait_until_it_says(refusal);
    }
    let mut learner = place.learner(&site, "checkpoints");
    assert_eq!(learner.exit_code(), 78);
    learner.wait_until_it_says("site.yaml:");
    std::fs::remove_file(site.path()).unwrap();
    let mut runtime = place.runtime(&site, &[]);
    assert_eq!(runtime.process.exit_code(), 78);
    runtime.process.wait_until_it_says("site.yaml");
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

fn changed(mut words: Vec<u64>, word: usize, bits: u64) -> Vec<u64> {
    words[word] ^= bits;
    words
}

#[test]
fn f05_to_f12_weights_that_are_not_what_they_should_be_are_refused_counted_and_named_and_the_next_sound_ones_are_adopted()
 {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_mode("run");
    let (counters, mut events) = (runtime.counters(), runtime.events());
    events.drain();

    let mut forger = runtime.forger(&site);
    let payload = WEIGHTS_HEADER_WORDS;
    let forgeries = [
        ("magic", changed(forger.sound(), 0, 1)),
        ("version", changed(forger.sound(), 1, 1)),
        ("malformed", changed(forger.sound(), 1, 0xff << 32)),
        ("malformed", changed(forger.sound(), 6, 8)),
        ("other_shape", forger.of_other_shape()),
        ("checksum", changed(forger.sound(), payload + 7, 1 << 40)),
        ("checksum", changed(forger.sound(), 4, 1)),
        ("other_tags", forger.words(|publication, _| publication.tag_list_hash ^= 1)),
        ("epoch", forger.words(|publication, _| publication.epoch += 1)),
        ("not_newer", forger.words(|publication, _| publication.generation = 0)),
        ("not_finite", forger.words(|_, parameters| parameters[100] = f32::NAN)),
        ("not_finite", forger.words(|_, parameters| parameters[100] = f32::INFINITY)),
        ("too_large", forger.words(|_, parameters| parameters[100] = 1e9)),
        ("probe", forger.words(|_, parameters| parameters.fill(5e3))),
    ];
    for (count, (name, words)) in (1..).zip(&forgeries) {
        forger.publish(words);
        wait_for_count(&counters, Counter::PoliciesRefused, count);
        assert_refused(&mut events, name);
    }
    assert_eq!(counters.get(Counter::PoliciesRefused), forgeries.len() as u64);
    assert_eq!((counters.get(Counter::PoliciesAdopted), counters.get(Counter::PolicyGeneration)), (0, 0));

    let sound = forger.sound();
    forger.publish(&sound);
    wait_for_count(&counters, Counter::PolicyGeneration, forger.publication.generation);
    wait_for_more(&counters, Counter::Cycles, 20);
    assert_eq!((events.modes(), runtime.status().mode.as_str()), (vec![], "run"));
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

/// The one event since the last look is a refusal with this name.
fn assert_refused(events: &mut Events, name: &str) {
    let texts =
        wait_for("the refusal's event", || Some(events.texts(EventKind::PolicyRefused)).filter(|t| !t.is_empty()));
    assert!(texts.len() == 1 && texts[0].starts_with(&format!("{name}: ")), "{texts:?} instead of {name}");
}

#[test]
fn f29_a_learner_of_another_tag_list_is_not_admitted_and_is_told_what_to_do() {
    let place = Place::new();
    let site = place.site("opc.tcp://127.0.0.1:1", &[]);
    let mut runtime = place.runtime(&site, &[]);
    match runtime.client().join_as_learner(1) {
        Err(CallError::Refused(refusal @ Refusal::OtherTagList { found: 1, .. })) => {
            assert_names(&refusal.to_string(), &["start both with the same site file"]);
        }
        other => panic!("{other:?}"),
    }
    let other = place.site("opc.tcp://127.0.0.1:1", &[("name: level", "name: height"), ("{level}", "{height}")]);
    let mut learner = place.learner(&other, "checkpoints");
    assert_eq!(learner.exit_code(), 78);
    learner.wait_until_it_says("start both with the same site file");
    assert_eq!(runtime.status().learner.epoch, 0);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

#[test]
fn a_checkpoint_that_finds_no_room_is_said_and_the_next_one_is_written() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let checkpoints = place.path("checkpoints");
    std::fs::create_dir(&checkpoints).unwrap();
    // The file that a checkpoint is written into before it gets its name: a device that never has room.
    let half_written = checkpoints.join(format!("{}.{}.main.writing", SiteFile::SITE, SiteFile::AGENT));
    std::os::unix::fs::symlink("/dev/full", &half_written).unwrap();

    let mut runtime = place.runtime(&site, &["--arm"]);
    let mut learner = place.learner(&site, "checkpoints");
    let said = learner.wait_until_it_says("no checkpoint");
    assert_names(&said, &[half_written.to_str().unwrap(), "No space left on device", "the one of before is kept"]);
    let kept = checkpoints.join(format!("{}.{}.main.ckpt", SiteFile::SITE, SiteFile::AGENT));
    wait_for("the next checkpoint", || kept.is_file().then_some(()));
    runtime.wait_for_mode("run");
    wait_for_more(&runtime.counters(), Counter::PoliciesAdopted, 3);
    assert_eq!((learner.stop(Signal::TERM), runtime.process.stop(Signal::TERM)), (0, 0));
    drop(plant);
    assert_eq!(place.left_behind(), Vec::<String>::new());
}
