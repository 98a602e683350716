//! The program `corerl-learner` against a runtime that exists in the test alone: real processes, sockets and segments.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use policy::kernels::Kernel;
use policy::pipeline::Columns;
use policy::wire::Verifier;
use rt_config::Site;
use rt_control::{
    Address, Answer, AuditStatus, Conversation, LearnerGrant, LearnerStatus, LeaseStatus, Received, Request, Server,
    Status, Wishes,
};
use rustix::process::{Pid, Signal, kill_process};
use shm::broadcast::Next;
use shm::{Segment, Spec, broadcast, counters, histogram, triple};
use shm_layout::{ESTIMATE_WORDS, EstimateRecord, LearnerCounter, LearnerHistogram, StepHead, StepLayout};

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(180);

/// Steps that the runtime keeps for its learner.
const STEPS_KEPT: usize = 256;
/// Control cycles from one step to the next.
const CYCLES_PER_STEP: u64 = 10;

fn site_text() -> String {
    let small = "  ensemble: 2\n  batch_size: 8\n  candidates: 20\n  publish_every: 5\n";
    rt_config::example().replace("  ensemble: 2\n", small).replace("warmup_period: 1s", "warmup_period: 50ms")
}

/// The runtime's side of the five segments.
struct Segments {
    layout: StepLayout,
    steps_segment: Segment,
    steps: broadcast::Writer,
    sequence: u64,
    weights_segment: Segment,
    weights: triple::Reader,
    counters_segment: Segment,
    counters: counters::Reader<LearnerCounter>,
    estimates_segment: Segment,
    estimates: broadcast::Reader,
    durations_segment: Segment,
    durations: histogram::Reader,
    verifier: Verifier,
    epoch: u64,
    /// What the status says: 0 until a learner has joined.
    granted: u64,
}

impl Segments {
    fn new(site: &Site, epoch: u64) -> Self {
        let (n, d) = (Columns::of(site).len(), site.setpoints.len());
        let layout = StepLayout::new(n as u32, d as u32).unwrap();
        let spec = policy::PolicySpec::of(site);
        let steps_segment = Segment::create(&Spec::transitions(&layout, STEPS_KEPT)).unwrap();
        let words = policy::wire::slot_words(&spec).unwrap();
        let weights_segment = Segment::create(&Spec::weights(words).generation(epoch)).unwrap();
        let counters_segment = Segment::create(&Spec::counters::<LearnerCounter>().generation(epoch)).unwrap();
        let estimates_segment = Segment::create(&Spec::estimates(STEPS_KEPT).generation(epoch)).unwrap();
        let durations_segment = Segment::create(&Spec::learner_histograms().generation(epoch)).unwrap();
        let mut verifier = Verifier::new(&spec, site.tag_list_hash(), Kernel::best()).unwrap();
        verifier.grant(epoch);
        Self {
            steps: broadcast::Writer::new(&steps_segment).unwrap(),
            weights: triple::Reader::new(&weights_segment).unwrap(),
            counters: counters::Reader::new(&counters_segment).unwrap(),
            estimates: broadcast::Reader::new(&estimates_segment, broadcast::Start::Oldest).unwrap(),
            durations: histogram::Reader::all(&durations_segment).unwrap().remove(LearnerHistogram::Step as usize),
            layout,
            steps_segment,
            sequence: 0,
            weights_segment,
            counters_segment,
            estimates_segment,
            durations_segment,
            verifier,
            epoch,
            granted: 0,
        }
    }

    fn publish_step(&mut self) {
        let mut words = vec![0; self.layout.words()];
        let step = self.layout.view_mut(&mut words).unwrap();
        let phase = self.sequence as f32 * 0.3;
        step.head.sequence = self.sequence;
        step.head.cycle = CYCLES_PER_STEP * self.sequence;
        step.head.reward = -f64::from(phase.sin().abs());
        step.head.flags =
            StepHead::STATE_COMPLETE | StepHead::REWARD_VALID | StepHead::DECISION_SLOT | StepHead::ACTION_READ_BACK;
        step.state.iter_mut().enumerate().for_each(|(i, x)| *x = (phase + i as f32).cos().abs());
        step.action.fill(phase.sin().abs());
        step.hi.fill(1.0);
        // Every third decision comes to nothing.
        step.decided.fill(if self.sequence.is_multiple_of(3) { f32::NAN } else { 0.5 });
        self.steps.publish(&words).unwrap();
        self.sequence += 1;
    }

    /// The estimates since the last call.
    fn estimates(&mut self) -> Vec<EstimateRecord> {
        let mut words = [0; ESTIMATE_WORDS];
        let mut found = Vec::new();
        while let Next::Record { .. } = self.estimates.next(&mut words) {
            found.push(EstimateRecord::from_words(&words));
        }
        found
    }

    /// The generation of newly published weights, if there are any that the runtime would adopt.
    fn adopted(&mut self) -> Option<u64> {
        if !self.weights.update().unwrap() {
            return None;
        }
        let mut words = vec![0; self.weights.slot_words()];
        self.weights.copy_into(0, &mut words).unwrap();
        Some(self.verifier.verify(&words).unwrap().generation())
    }
}

/// Answers one caller as a runtime would.
fn answer(conversation: &mut Conversation, site: &Site, segments: &mut Segments) {
    loop {
        match conversation.receive(Duration::from_millis(200)) {
            Received::Request(Request::JoinAsLearner { tag_list_hash }) => {
                assert_eq!(tag_list_hash, site.tag_list_hash());
                let steps = segments.steps_segment.read_only_fd().unwrap();
                let Segments { weights_segment, counters_segment, estimates_segment, durations_segment, .. } = segments;
                let own = [&*weights_segment, &*counters_segment, &*estimates_segment, &*durations_segment];
                let [weights, counters, estimates, durations] = own.map(|segment| segment.as_fd());
                let descriptors = [steps.as_fd(), weights, counters, estimates, durations];
                let grant = LearnerGrant { epoch: segments.epoch, generation: 3 };
                segments.granted = segments.epoch;
                // A caller that has lost its patience meanwhile comes again.
                let _ = conversation.answer(&Answer::Learner(grant), &descriptors);
            }
            Received::Request(Request::Status) => {
                let status = Status {
                    mode: "RUN".into(),
                    lease: LeaseStatus { leads: true, epoch: 1, partner: None },
                    armed: true,
                    latched: None,
                    latched_since: None,
                    flight: None,
                    with_operator: Vec::new(),
                    degraded: Vec::new(),
                    preemption: String::new(),
                    cycles: 0,
                    slots_skipped: 0,
                    policy_generation: 0,
                    on_trial: None,
                    on_probation: None,
                    learner: LearnerStatus {
                        epoch: segments.granted,
                        pid: 0,
                        alive: true,
                        stalled: false,
                        rebuilding: None,
                        health: None,
                    },
                    wishes: Wishes::default(),
                    connections: Vec::new(),
                    audit: AuditStatus { path: String::new(), head: None, trouble: None },
                    applied: None,
                    uptime_s: 0.0,
                };
                let _ = conversation.answer(&Answer::Status(Box::new(status)), &[]);
            }
            _ => return,
        }
    }
}

/// Plays the runtime, a step at every turn, until `done` says so.
fn play(server: &Server, site: &Site, segments: &mut Segments, mut done: impl FnMut(&mut Segments) -> bool) {
    let start = Instant::now();
    while !done(segments) {
        assert!(start.elapsed() < PATIENCE, "the learner did not do its part in time");
        segments.publish_step();
        if let Some(mut conversation) = server.accept(Duration::from_millis(5)).unwrap() {
            answer(&mut conversation, site, segments);
        }
    }
}

fn start(directory: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_corerl-learner"))
        .arg("--config")
        .arg(directory.join("site.yaml"))
        .arg("--runtime-dir")
        .arg(directory.join("run"))
        .arg("--checkpoint-dir")
        .arg(directory.join("checkpoints"))
        .arg("--tether")
        .args(arguments)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for the end; the exit code and what was said.
fn end(mut child: Child) -> (Option<i32>, String) {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            return (status.code(), said);
        }
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("the learner does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn it_learns_publishes_survives_the_runtime_and_goes_on_from_its_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::write(directory.join("site.yaml"), site_text()).unwrap();
    let site = rt_config::parse(&site_text(), "site.yaml".as_ref()).unwrap().site;
    let address = Address::new(&directory.join("run"), &site.name, &site.agent_name, &site.instance).unwrap();

    // The learner is there first and waits for a runtime.
    let mut child = start(directory, &["--threads", "2"]);
    let server = Server::bind(&address).unwrap();
    let mut segments = Segments::new(&site, 1);
    let mut generations = Vec::new();
    play(&server, &site, &mut segments, |segments| {
        generations.extend(segments.adopted());
        generations.len() >= 3
    });
    assert!(generations[0] > 3, "later than the one that the runtime had");
    assert!(generations.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(segments.durations.snapshot().count() > 0, "what an update takes is told");
    let beat = segments.counters.get(LearnerCounter::Heartbeat);
    play(&server, &site, &mut segments, |segments| segments.counters.get(LearnerCounter::Heartbeat) != beat);
    assert!(segments.counters.get(LearnerCounter::BestGeneration) >= generations[0]);

    // The runtime starts anew, and the learner joins it with what it has.
    drop(server);
    drop(segments);
    let server = Server::bind(&address).unwrap();
    let mut segments = Segments::new(&site, 7);
    let mut adopted = None;
    play(&server, &site, &mut segments, |segments| {
        adopted = adopted.or_else(|| segments.adopted());
        adopted.is_some()
    });
    assert!(adopted > generations.last().copied());

    // The parent goes: a last checkpoint, exit 0.
    drop(child.stdin.take());
    let (code, said) = end(child);
    assert_eq!(code, Some(0), "{said}");
    let checkpoints: Vec<_> = std::fs::read_dir(directory.join("checkpoints")).unwrap().flatten().collect();
    assert_eq!(checkpoints.len(), 1, "{said}");

    // A new learner goes on where the old one was; when another takes over, it ends.
    let child = start(directory, &[]);
    let mut segments = Segments::new(&site, 8);
    let mut again = None;
    play(&server, &site, &mut segments, |segments| {
        again = again.or_else(|| segments.adopted());
        again.is_some()
    });
    assert!(again > adopted);
    segments.granted = 9;
    let mut ended = false;
    let mut child = Some(child);
    play(&server, &site, &mut segments, |_| {
        ended |= child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
        ended
    });
    let (code, said) = end(child.take().unwrap());
    assert_eq!(code, Some(75), "{said}");
}

#[test]
fn f17_steps_that_a_stopped_learner_misses_are_counted_one_by_one_and_nobody_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::write(directory.join("site.yaml"), site_text()).unwrap();
    let site = rt_config::parse(&site_text(), "site.yaml".as_ref()).unwrap().site;
    let address = Address::new(&directory.join("run"), &site.name, &site.agent_name, &site.instance).unwrap();
    let server = Server::bind(&address).unwrap();
    let mut segments = Segments::new(&site, 1);
    let mut child = start(directory, &["--threads", "1"]);
    let received = |segments: &Segments| segments.counters.get(LearnerCounter::TransitionsReceived);
    play(&server, &site, &mut segments, |segments| received(segments) > 20);

    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::STOP).unwrap();
    // Four times what the ring holds.
    (0..4 * STEPS_KEPT).for_each(|_| segments.publish_step());
    kill_process(pid, Signal::CONT).unwrap();
    let lost = |segments: &Segments| segments.counters.get(LearnerCounter::TransitionsLost);
    let start = Instant::now();
    while received(&segments) + lost(&segments) < segments.sequence {
        assert!(start.elapsed() < PATIENCE, "{} and {} of {}", received(&segments), lost(&segments), segments.sequence);
        if let Some(mut conversation) = server.accept(Duration::from_millis(5)).unwrap() {
            answer(&mut conversation, &site, &mut segments);
        }
    }
    assert_eq!(received(&segments) + lost(&segments), segments.sequence);
    assert!(lost(&segments) >= 3 * STEPS_KEPT as u64, "{}", lost(&segments));
    drop(child.stdin.take());
    let (code, said) = end(child);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn it_says_what_its_critics_expect_of_each_decision_and_how_learning_gets_on() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::write(directory.join("site.yaml"), site_text()).unwrap();
    let site = rt_config::parse(&site_text(), "site.yaml".as_ref()).unwrap().site;
    let address = Address::new(&directory.join("run"), &site.name, &site.agent_name, &site.instance).unwrap();
    let server = Server::bind(&address).unwrap();
    let mut segments = Segments::new(&site, 1);
    let mut child = start(directory, &["--threads", "1"]);
    let mut estimates = Vec::new();
    play(&server, &site, &mut segments, |segments| {
        estimates.extend(segments.estimates());
        segments.counters.get(LearnerCounter::HealthUpdates) > 0 && estimates.len() > 30
    });

    assert!(estimates.windows(2).all(|pair| pair[0].cycle < pair[1].cycle), "each decision once");
    for EstimateRecord { cycle, value, spread, nominal_value, .. } in &estimates {
        assert!(!(cycle / CYCLES_PER_STEP).is_multiple_of(3), "cycle {cycle} decided nothing");
        assert!(value.is_finite() && nominal_value.is_finite() && *spread >= 0.0);
    }
    let float = |counter| f64::from_bits(segments.counters.get(counter));
    assert!(float(LearnerCounter::StableRankBits) >= 1.0);
    assert!((0.0..1.0).contains(&float(LearnerCounter::DeadUnitsBits)));
    assert!(float(LearnerCounter::CriticGradientNormBits) > 0.0 && float(LearnerCounter::PredictionErrorBits) > 0.0);
    drop(child.stdin.take());
    assert_eq!(end(child).0, Some(0));
}

#[test]
fn it_runs_where_the_site_file_says_and_gives_way_as_much_as_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let cpu = rt_sys::Cpus::allowed().list()[0];
    let placed = format!("  cpus: {{learner: [{cpu}]}}\n  priorities: {{control: 80, io: 70, learner_nice: 9}}");
    let text = site_text().replace("  priorities: {control: 80, io: 70}", &placed);
    std::fs::write(directory.join("site.yaml"), text).unwrap();
    let mut child = start(directory, &["--threads", "1"]);
    let of_process = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", child.id())).unwrap();
    // The numbers behind the name in brackets begin with the third one; the nice value is the nineteenth.
    let nice = || of_process("stat").rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().to_owned();
    let ours = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ours: i32 = ours.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse().unwrap();
    let (expected, start) = ((ours + 9).min(19).to_string(), Instant::now());
    let confined = format!("Cpus_allowed_list:\t{cpu}\n");
    while (nice() != expected || !of_process("status").contains(&confined)) && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(nice(), expected);
    assert!(of_process("status").contains(&confined), "{}", of_process("status"));
    drop(child.stdin.take());
    assert_eq!(end(child).0, Some(0));
}

#[test]
fn a_damaged_checkpoint_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::write(directory.join("site.yaml"), site_text()).unwrap();
    let site = rt_config::parse(&site_text(), "site.yaml".as_ref()).unwrap().site;
    std::fs::create_dir(directory.join("checkpoints")).unwrap();
    let file = format!("{}.{}.{}.ckpt", site.name, site.agent_name, site.instance);
    std::fs::write(directory.join("checkpoints").join(&file), "CoreRLck but no more").unwrap();
    let mut child = start(directory, &[]);
    drop(child.stdin.take());
    let (code, said) = end(child);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("set aside"), "{said}");
    assert!(directory.join("checkpoints").join(format!("{file}.refused-1")).exists(), "{said}");
}

#[test]
fn what_cannot_be_used_is_refused_with_its_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (code, said) = end(start(directory, &[]));
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("site.yaml"), "{said}");

    std::fs::write(directory.join("site.yaml"), site_text()).unwrap();
    std::fs::write(directory.join("checkpoints"), "a file, no directory").unwrap();
    let (code, said) = end(start(directory, &[]));
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("--checkpoint-dir"), "{said}");

    let (code, _) = end(start(directory, &["--threads", "0"]));
    assert_eq!(code, Some(2));
}
