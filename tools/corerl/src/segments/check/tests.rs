//! A runtime that is not one, whose memory is sound until a test damages it: every finding is provoked once.

use std::os::fd::AsFd;
use std::sync::mpsc::{Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use policy::wire::{Publication, encode, slot_words};
use rt_control::{
    Address, Answer, AuditStatus, LearnerStatus, LeaseStatus, PROTOCOL, Received, Refusal, Request, Server, Wishes,
};
use shm::lease;
use shm::{Spec, broadcast, counters, histogram, triple};
use shm_layout::{
    CONTROL_WORD, ConnectionCounter, Counter, CycleHead, CycleLayout, DATA_WORD, EVENT_WORDS, EventKind, EventRecord,
    HISTOGRAM_WORDS, LearnerCounter, StepLayout, WEIGHTS_HEADER_WORDS,
};

use super::super::found::now_ns;
use super::super::tests::names;
use super::*;

const PERIOD_NS: u64 = 1_000_000;
const TERM_NS: u64 = 60_000_000_000;
const PAUSE: Duration = Duration::from_millis(1);
/// More than there are cycles in a test.
const SLOTS: usize = 1 << 14;

/// All segments of an agent, and what it says of itself.
struct Works {
    segments: BTreeMap<SegmentKind, Segment>,
    subject: Subject,
    counters: counters::Writer<Counter>,
    learner: counters::Writer<LearnerCounter>,
    events: broadcast::Writer,
    steps: broadcast::Writer,
    weights: triple::Writer,
    lease: lease::Lease,
    /// What the control thread does to every record.
    twist: fn(&mut CycleHead),
    /// No cycle is executed.
    stopped: bool,
}

impl Works {
    fn new() -> Self {
        let (cycles, steps) = (CycleLayout::new(1, 1).unwrap(), StepLayout::new(1, 1).unwrap());
        let specs = [
            Spec::cycles(&cycles, SLOTS),
            Spec::transitions(&steps, 4),
            Spec::events(8),
            Spec::counters::<Counter>(),
            Spec::histograms(),
            Spec::connections(0),
            Spec::round_trips(0),
            Spec::lease(),
            Spec::weights(slot_words(&testing_policy()).unwrap()).generation(1),
            Spec::counters::<LearnerCounter>().generation(1),
            Spec::estimates(4).generation(1),
            Spec::learner_histograms().generation(1),
        ];
        let segments: BTreeMap<_, _> = specs.iter().map(|spec| created(spec.owner(1, now_ns()))).collect();
        let events = broadcast::Writer::new(&segments[&SegmentKind::Events]).unwrap();
        let steps = broadcast::Writer::new(&segments[&SegmentKind::Transitions]).unwrap();
        let weights = triple::Writer::new(&segments[&SegmentKind::Weights]).unwrap();
        let counters = counters::Writer::new(&segments[&SegmentKind::Counters]).unwrap();
        let learner = counters::Writer::new(&segments[&SegmentKind::LearnerCounters]).unwrap();
        let _claimed = broadcast::Writer::new(&segments[&SegmentKind::Estimates]).unwrap();
        let _claimed = counters::writers::<ConnectionCounter>(&segments[&SegmentKind::Connections]).unwrap();
        let _claimed = [SegmentKind::RoundTrips, SegmentKind::LearnerHistograms]
            .map(|kind| histogram::all_writers(&segments[&kind]).unwrap());
        let lease = lease::Lease::new(&segments[&SegmentKind::Lease], TERM_NS).unwrap();
        counters.set(Counter::Period, PERIOD_NS);
        counters.set(Counter::LearnerEpoch, 1);
        counters.set(Counter::LearnerAlive, 1);
        learner.set(LearnerCounter::Heartbeat, now_ns());
        let description = Description { pid: std::process::id(), period_ns: PERIOD_NS, ..names() };
        let subject = Subject { description, status: status() };
        let twist = |_: &mut CycleHead| {};
        Self { segments, subject, counters, learner, events, steps, weights, lease, twist, stopped: false }
    }

    /// Writes a word where no writer of ours would.
    fn scribble(&self, kind: SegmentKind, word: usize, value: u64) {
        rustix::io::pwrite(self.segments[&kind].as_fd(), &value.to_le_bytes(), (word * 8) as u64).unwrap();
    }

    /// Publishes a policy whose words were changed.
    fn publish(&mut self, change: impl FnOnce(&mut [f32]), damage: impl FnOnce(&mut [u64])) {
        let spec = testing_policy();
        let mut parameters = vec![0.5; spec.parameters()];
        change(&mut parameters);
        let publication = Publication { epoch: 1, generation: 1, updates: 1, tag_list_hash: 0, nominal: false };
        let mut words = vec![0; slot_words(&spec).unwrap()];
        encode(&spec, &publication, &parameters, &mut words).unwrap();
        damage(&mut words);
        self.weights.publish(&words).unwrap();
    }

    /// What `corerl shm check` finds while this runtime works.
    fn findings(self) -> Vec<Finding> {
        let dir = tempfile::tempdir().unwrap();
        let address = Address::new(dir.path(), "works", "ph", "main").unwrap();
        let server = Server::bind(&address).unwrap();
        let heart = Heart::start(&self);
        let (end, ended) = channel::<()>();
        let works = &self;
        let found = std::thread::scope(|scope| {
            scope.spawn(move || {
                while ended.try_recv() != Err(TryRecvError::Disconnected) {
                    let Some(mut conversation) = server.accept(PAUSE).unwrap() else { continue };
                    while let Received::Request(request) = conversation.receive(Duration::from_secs(5)) {
                        works.answer(&mut conversation, &request);
                    }
                }
            });
            let mut client = Client::connect(&address, CALL_TIMEOUT).unwrap();
            let (_, found) = examine("works/ph", &mut client);
            drop((client, end));
            found
        });
        heart.end();
        found
    }

    fn answer(&self, to: &mut rt_control::Conversation, request: &Request) {
        let told = match request {
            Request::Describe => to.answer(&Answer::Description(self.subject.description.clone()), &[]),
            Request::Status => to.answer(&Answer::Status(Box::new(self.subject.status.clone())), &[]),
            Request::Segment { kind } => {
                match SegmentKind::from_code(*kind).and_then(|kind| self.segments.get(&kind)) {
                    Some(segment) => to.answer(&Answer::Segment, &[segment.read_only_fd().unwrap().as_fd()]),
                    None => to.answer(&Answer::Refused(Refusal::NoSuchSegment { kind: *kind }), &[]),
                }
            }
            _ => to.answer(&Answer::Refused(Refusal::NotUnderstood), &[]),
        };
        told.unwrap();
    }
}

/// A network of this agent's shape.
fn testing_policy() -> policy::PolicySpec {
    let site = rt_config::parse_to_look_at(rt_config::example(), std::path::Path::new("site.yaml")).unwrap().site;
    policy::PolicySpec::of(&site)
}

fn created(spec: Spec) -> (SegmentKind, Segment) {
    let segment = Segment::create(&spec).unwrap();
    (segment.header().kind(), segment)
}

fn status() -> Status {
    Status {
        mode: "run".into(),
        armed: true,
        lease: LeaseStatus { leads: true, epoch: 1, partner: None },
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
            epoch: 1,
            pid: std::process::id(),
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
    }
}

/// A control thread: it lets time move.
struct Heart {
    end: Sender<()>,
    beating: JoinHandle<()>,
}

impl Heart {
    fn start(works: &Works) -> Self {
        let mut cycles = broadcast::Writer::new(&works.segments[&SegmentKind::Cycles]).unwrap();
        let mut histograms = histogram::writers(&works.segments[&SegmentKind::Histograms]).unwrap();
        let (counters, lease, twist, stopped) =
            (works.counters.clone(), works.lease.clone(), works.twist, works.stopped);
        let (end, ended) = channel::<()>();
        let t0 = now_ns();
        counters.set(Counter::TimeFirst, counters.get(Counter::TimeFirst).wrapping_add(t0));
        let epoch = counters.get(Counter::LeaseEpoch).max(1);
        assert!(works.lease.take(epoch, t0));
        counters.set(Counter::LeaseEpoch, epoch);
        let layout = CycleLayout::new(1, 1).unwrap();
        let mut words = vec![0; layout.words()];
        let mut before = None;
        let mut beat = move || {
            let number = (now_ns() - t0) / PERIOD_NS;
            let skipped = before.map_or(number, |before: u64| number.saturating_sub(before + 1));
            if before == Some(number) {
                return;
            }
            let head = layout.view_mut(&mut words).unwrap().head;
            (head.cycle, head.mode, head.skipped) = (number, 2, u32::try_from(skipped).unwrap());
            head.release_ns = t0 + number * PERIOD_NS;
            twist(head);
            let head_release = head.release_ns;
            cycles.publish(&words).unwrap();
            histograms[0].record(1);
            counters.add(Counter::Cycles, 1);
            counters.add(Counter::SlotsSkipped, skipped);
            counters.set(Counter::TimeLast, head_release);
            lease.renew(now_ns());
            before = Some(number);
        };
        // What a record follows is judged by two of them, however late the other thread begins.
        beat();
        std::thread::sleep(Duration::from_nanos(2 * PERIOD_NS));
        beat();
        let beating = std::thread::spawn(move || {
            while ended.try_recv() != Err(TryRecvError::Disconnected) {
                std::thread::sleep(PAUSE);
                if !stopped {
                    beat();
                }
            }
        });
        Self { end, beating }
    }

    fn end(self) {
        drop(self.end);
        self.beating.join().unwrap();
    }
}

/// What is told, about which segment, and what it is told of.
type Damage<'a> = (&'a str, Option<SegmentKind>, fn(&mut Works));

/// Damages sound works in each of these ways, and asserts that it is told so, about that segment.
fn assert_found(damages: &[Damage<'_>]) {
    for (expected, about, damage) in damages {
        let mut works = Works::new();
        damage(&mut works);
        let found = works.findings();
        let about = about.map(SegmentKind::name);
        let is_told = found.iter().any(|of| of.segment == about && of.what.contains(expected) && !of.advice.is_empty());
        assert!(is_told, "{expected:?} about {about:?} is not among {found:#?}");
    }
}

#[test]
fn sound_works_have_no_findings() {
    let mut works = Works::new();
    works.publish(|_| {}, |_| {});
    works.events.publish(&EventRecord::new(EventKind::Armed, 1, 1).to_words()).unwrap();
    works.counters.set(Counter::Events, 1);
    assert_eq!(works.findings(), []);
}

#[test]
fn headers_owners_and_writers_are_judged() {
    use SegmentKind::{Counters, Cycles, Estimates, Events, Weights};
    assert_found(&[
        ("layout version 5", Some(Events), |works| works.scribble(Events, 2, 5 | 3 << 32)),
        ("header is damaged", Some(Events), |works| works.scribble(Events, 3, 77)),
        ("does not have this segment", Some(Events), |works| drop(works.segments.remove(&Events))),
        ("its segment is not there", Some(Estimates), |works| drop(works.segments.remove(&Estimates))),
        ("made it, but the runtime is process 1", Some(Cycles), |works| works.subject.description.pid = 1),
        ("its writer is process 7", Some(Counters), |works| works.scribble(Counters, shm_layout::CLAIM_WORD, 7)),
        ("but the learner is process 7", Some(Weights), |works| works.subject.status.learner.pid = 7),
        ("made in the future", Some(Estimates), |works| {
            let (kind, segment) = created(Spec::estimates(4).generation(1).owner(1, u64::MAX));
            works.segments.insert(kind, segment);
        }),
        ("other sizes", Some(Cycles), |works| works.subject.description.tags.clear()),
        ("is not there", None, |works| works.subject.description.pid = u32::MAX >> 1),
        ("not understood", None, |works| works.subject.description.protocol = PROTOCOL + 1),
    ]);
}

#[test]
fn rings_and_their_records_are_judged() {
    use SegmentKind::{Cycles, Events, Transitions};
    const STRIDE: usize = EVENT_WORDS + 1;
    assert_found(&[
        ("which no sound writer leaves", Some(Events), |works| works.scribble(Events, DATA_WORD + STRIDE, 99)),
        ("begun and is not finished", Some(Events), |works| works.scribble(Events, DATA_WORD, 1)),
        ("does not know", Some(Events), |works| {
            let event = EventRecord { kind: 9999, ..EventRecord::new(EventKind::Armed, 1, 1) };
            works.events.publish(&event.to_words()).unwrap();
        }),
        ("follows step 5", Some(Transitions), |works| {
            let layout = StepLayout::new(1, 1).unwrap();
            let mut words = vec![0; layout.words()];
            for number in [5, 7] {
                layout.view_mut(&mut words).unwrap().head.sequence = number;
                works.steps.publish(&words).unwrap();
            }
        }),
        ("counts other columns", Some(Transitions), |works| {
            let layout = StepLayout::new(1, 1).unwrap();
            let mut words = vec![0; layout.words()];
            layout.view_mut(&mut words).unwrap().head.n_state = 9;
            works.steps.publish(&words).unwrap();
        }),
        ("counts other setpoints", Some(Cycles), |works| works.twist = |head| head.n_tags = 9),
        ("which is none", Some(Cycles), |works| works.twist = |head| head.mode = 99),
        ("and follows cycle", Some(Cycles), |works| works.twist = |head| head.skipped += 1),
        ("its slot was at", Some(Cycles), |works| works.twist = |head| head.release_ns += head.cycle),
    ]);
}

#[test]
fn policies_are_judged() {
    use SegmentKind::Weights;
    assert_found(&[
        ("names no slot", Some(Weights), |works| works.scribble(Weights, CONTROL_WORD, 3)),
        ("checksum", Some(Weights), |works| works.publish(|_| {}, |words| words[WEIGHTS_HEADER_WORDS] ^= 1)),
        ("not finite", Some(Weights), |works| works.publish(|parameters| parameters[0] = f32::NAN, |_| {})),
        ("an empty policy", Some(Weights), |works| works.publish(|_| {}, |words| words.fill(0))),
    ]);
}

#[test]
fn states_and_sums_are_judged() {
    use SegmentKind::{Counters, Events, Histograms, Lease, Transitions};
    assert_found(&[
        ("its mode is 99", Some(Counters), |works| works.counters.set(Counter::Mode, 99)),
        ("armed is 7", Some(Counters), |works| works.counters.set(Counter::Armed, 7)),
        ("allocated 3 times", Some(Counters), |works| works.counters.set(Counter::AllocationsInCycle, 3)),
        ("its period is 0", Some(Counters), |works| works.counters.set(Counter::Period, 0)),
        ("slots have passed", Some(Counters), |works| {
            works.counters.set(Counter::TimeFirst, 0_u64.wrapping_sub(10 * PERIOD_NS));
        }),
        ("goals_met is 5", Some(Counters), |works| works.counters.set(Counter::GoalsMet, 5)),
        ("transitions_sent says 1", Some(Transitions), |works| works.counters.set(Counter::TransitionsSent, 1)),
        ("events says 3", Some(Events), |works| works.counters.set(Counter::Events, 3)),
        ("were executed", Some(Histograms), |works| works.scribble(Histograms, DATA_WORD + 1000, 5)),
        ("the smallest response", Some(Histograms), |works| {
            let response = DATA_WORD + 2 * HISTOGRAM_WORDS;
            works.scribble(Histograms, response, !10);
            works.scribble(Histograms, response + 1, 5);
            works.scribble(Histograms, response + 3, 1);
        }),
        ("lease_epoch says", Some(Lease), |works| {
            // The segment's own word stays vacant, because the control thread holds another one.
            works.counters.set(Counter::LeaseEpoch, 4);
            works.lease = lease::Lease::heap(TERM_NS);
        }),
    ]);
}

#[test]
fn time_that_does_not_move_and_hearts_that_do_not_beat_are_found() {
    use SegmentKind::{Counters, LearnerCounters, Lease};
    assert_found(&[
        ("stand still", Some(Counters), |works| works.stopped = true),
        ("ran out", Some(Lease), |works| {
            // The segment's own word is held since long ago; the control thread renews another one.
            works.lease = lease::Lease::heap(TERM_NS);
            works.scribble(Lease, DATA_WORD, 1 << 61 | 1 << 40 | 1);
        }),
        ("released in the future", Some(Counters), |works| works.twist = |head| head.release_ns = u64::MAX),
        ("made for epoch 1, the learner has epoch 2", Some(LearnerCounters), |works| {
            works.counters.set(Counter::LearnerEpoch, 2);
        }),
        ("heartbeat is in the future", Some(LearnerCounters), |works| {
            works.learner.set(LearnerCounter::Heartbeat, u64::MAX);
        }),
        ("does not live", Some(LearnerCounters), |works| works.counters.set(Counter::LearnerAlive, 0)),
        ("neither learns nor publishes", Some(LearnerCounters), |works| {
            works.counters.set(Counter::LearnerStalled, 1);
        }),
    ]);
}
