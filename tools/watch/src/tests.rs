use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rt_control::{Address, Answer, Description, PROTOCOL, Received, Refusal, Request, Server, SiteFile};
use shm::{Segment, SegmentKind, Spec, broadcast, counters, histogram};
use shm_layout::{
    ConnectionCounter, Counter, CycleLayout, EstimateRecord, EventKind, EventRecord, LearnerCounter, LearnerHistogram,
    RoundTrip,
};

use super::*;

const WITHIN: Duration = Duration::from_millis(20);
const SLOTS: usize = 8;

/// Something that answers as a runtime does.
struct Runtime {
    cycles: broadcast::Writer,
    events: broadcast::Writer,
    estimates: broadcast::Writer,
    counters: counters::Writer<Counter>,
    learner: counters::Writer<LearnerCounter>,
    connection: counters::Writer<ConnectionCounter>,
    round_trips: Vec<histogram::Writer>,
    durations: Vec<histogram::Writer>,
    layout: CycleLayout,
    end: Sender<()>,
    serving: Option<JoinHandle<()>>,
}

impl Runtime {
    fn start(address: &Address, pid: u32, tags: u32) -> Self {
        let layout = CycleLayout::new(1, tags).unwrap();
        let segments = [
            Spec::cycles(&layout, SLOTS),
            Spec::events(SLOTS),
            Spec::estimates(SLOTS),
            Spec::counters::<Counter>(),
            Spec::counters::<LearnerCounter>(),
            Spec::histograms(),
            Spec::connections(1),
            Spec::round_trips(1),
            Spec::learner_histograms(),
        ]
        .map(|spec| Segment::create(&spec).unwrap());
        let [cycles, events, estimates, counted, learner, _, connections, round_trips, durations] = &segments;
        let mut runtime = Self {
            cycles: broadcast::Writer::new(cycles).unwrap(),
            events: broadcast::Writer::new(events).unwrap(),
            estimates: broadcast::Writer::new(estimates).unwrap(),
            counters: counters::Writer::new(counted).unwrap(),
            learner: counters::Writer::new(learner).unwrap(),
            connection: counters::writers(connections).unwrap().remove(0),
            round_trips: histogram::all_writers(round_trips).unwrap(),
            durations: histogram::all_writers(durations).unwrap(),
            layout,
            end: channel().0,
            serving: None,
        };
        let server = Server::bind(address).unwrap();
        let (end, ended) = channel();
        runtime.end = end;
        runtime.serving = Some(std::thread::spawn(move || {
            while ended.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
                let Some(mut conversation) = server.accept(WITHIN).unwrap() else { continue };
                while let Received::Request(request) = conversation.receive(WITHIN) {
                    answer(&mut conversation, &request, pid, tags, &segments);
                }
            }
        }));
        runtime
    }

    fn cycle(&mut self, number: u64) {
        let mut words = vec![0; self.layout.words()];
        self.layout.view_mut(&mut words).unwrap().head.cycle = number;
        self.cycles.publish(&words).unwrap();
        self.counters.add(Counter::Cycles, 1);
    }

    fn end(mut self) {
        let serving = self.serving.take().unwrap();
        drop(self);
        serving.join().unwrap();
    }
}

fn answer(to: &mut rt_control::Conversation, request: &Request, pid: u32, tags: u32, segments: &[Segment]) {
    match request {
        Request::Describe => to.answer(&Answer::Description(description(pid, tags)), &[]).unwrap(),
        Request::SiteFile => {
            let file = SiteFile { name: "works.yaml".to_owned(), text: "agent_name: ph".to_owned() };
            to.answer(&Answer::SiteFile(file), &[]).unwrap();
        }
        Request::Segment { kind } => match segments.iter().find(|segment| segment.header().kind().code() == *kind) {
            Some(segment) => to.answer(&Answer::Segment, &[segment.read_only_fd().unwrap().as_fd()]).unwrap(),
            None => to.answer(&Answer::Refused(Refusal::NoSuchSegment { kind: *kind }), &[]).unwrap(),
        },
        _ => to.answer(&Answer::Refused(Refusal::NotUnderstood), &[]).unwrap(),
    }
}

fn description(pid: u32, tags: u32) -> Description {
    Description {
        protocol: PROTOCOL,
        version: String::new(),
        site: "works".to_owned(),
        agent: "ph".to_owned(),
        instance: "main".to_owned(),
        pid,
        run: pid.into(),
        lab: false,
        period_ns: 1_000_000,
        obs_period_ns: 1_000_000,
        action_period_ns: 1_000_000,
        tags: Vec::new(),
        setpoints: Vec::new(),
        columns: Vec::new(),
        tag_list_hash: u64::from(tags),
    }
}

fn read(memory: &mut Memory) -> (Vec<u64>, Missed) {
    let mut numbers = Vec::new();
    let missed = memory.cycles(|cycle| numbers.push(cycle.head.cycle));
    (numbers, missed)
}

fn address(dir: &tempfile::TempDir) -> Address {
    Address::new(dir.path(), "works", "ph", "main").unwrap()
}

#[test]
fn records_are_read_once_and_what_was_overwritten_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut runtime = Runtime::start(&address(&dir), 7, 2);
    let mut agent = Agent::new(address(&dir), From::Oldest);
    runtime.cycle(1);
    runtime.cycle(2);
    let memory = agent.look().unwrap();
    assert_eq!(read(memory), (vec![1, 2], Missed::default()));
    assert_eq!(read(memory), (vec![], Missed::default()));
    (3..23).for_each(|number| runtime.cycle(number));
    let (numbers, missed) = read(agent.look().unwrap());
    assert_eq!((numbers.last(), missed.damaged), (Some(&22), false));
    assert_eq!(numbers.len() as u64 + missed.lost, 20);
    assert!(missed.lost > 0 && numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    runtime.end();
}

#[test]
fn records_as_words_tell_how_many_are_missing_before_each() {
    let dir = tempfile::tempdir().unwrap();
    let mut runtime = Runtime::start(&address(&dir), 7, 2);
    let mut agent = Agent::new(address(&dir), From::Oldest);
    runtime.cycle(1);
    agent.look().unwrap();
    (2..23).for_each(|number| runtime.cycle(number));
    let (memory, mut next) = (agent.memory().unwrap(), 1);
    let missed = memory.cycle_words(|words, lost_before| {
        assert_eq!(words[0], next + lost_before, "the first word is the cycle");
        next = words[0] + 1;
    });
    assert!(next == 23 && missed.lost > 0 && !missed.damaged, "{missed:?}");
    runtime.end();
}

#[test]
fn the_site_file_comes_from_whoever_leads() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::start(&address(&dir), 7, 2);
    let mut agent = Agent::new(address(&dir), From::Newest);
    let (memory, file) = agent.site_file().unwrap();
    assert_eq!((memory.description().pid, file.name.as_str(), file.text.as_str()), (7, "works.yaml", "agent_name: ph"));
    runtime.end();
}

#[test]
fn whoever_begins_with_the_newest_sees_how_it_is_now_and_nothing_older() {
    let dir = tempfile::tempdir().unwrap();
    let mut runtime = Runtime::start(&address(&dir), 7, 2);
    (1..5).for_each(|number| runtime.cycle(number));
    let mut agent = Agent::new(address(&dir), From::Newest);
    assert_eq!(read(agent.look().unwrap()).0, [4]);
    runtime.end();
}

#[test]
fn a_runtime_that_ends_stays_readable_and_one_with_other_tags_is_attached_to_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut agents = Agents::below(dir.path().to_owned(), From::Oldest);
    assert_eq!(agents.find().count(), 0);
    let mut runtime = Runtime::start(&address(&dir), 7, 2);
    agents.find().next().unwrap().look().unwrap();
    runtime.cycle(1);
    runtime.end();
    let agent = agents.find().next().expect("one that is gone can come back");
    assert!(agent.look().unwrap_err().is_gone());
    assert_eq!(read(agent.memory().unwrap()).0, [1]);

    let mut next = Runtime::start(&address(&dir), 8, 3);
    next.cycle(100);
    let memory = agent.look().unwrap();
    assert_eq!((memory.layout().dims()[1], memory.description().pid), (3, 8));
    assert_eq!(read(memory).0, [100]);
    next.end();
}

#[test]
fn of_a_runtime_that_comes_back_everything_is_new_where_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut runtime = Runtime::start(&address(&dir), 7, 2);
    (1..5).for_each(|number| runtime.cycle(number));
    let mut agent = Agent::new(address(&dir), From::Newest).within(Duration::from_secs(1));
    assert_eq!(read(agent.look().unwrap()).0, [4]);
    agent.begin_with(From::Oldest);
    runtime.end();
    let mut next = Runtime::start(&address(&dir), 8, 2);
    (7..10).for_each(|number| next.cycle(number));
    assert_eq!(read(agent.look().unwrap()).0, [7, 8, 9]);
    next.end();
}

#[test]
fn the_last_records_of_a_runtime_are_there_once_when_another_one_has_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let mut runtime = Runtime::start(&address(&dir), 7, 2);
    let mut agent = Agent::new(address(&dir), From::Oldest).within(Duration::from_secs(1));
    runtime.cycle(1);
    assert_eq!(read(agent.look().unwrap()).0, [1]);
    assert!(agent.former().is_none());
    runtime.cycle(2);
    runtime.end();
    let mut next = Runtime::start(&address(&dir), 8, 2);
    next.cycle(7);
    assert_eq!(read(agent.look().unwrap()).0, [7]);
    let mut former = agent.former().expect("it has a record that nobody read");
    assert_eq!((former.description().run, read(&mut former).0), (7, vec![2]));
    assert!(agent.former().is_none(), "it is told once");
    next.end();
}

#[test]
fn a_segment_of_another_layout_version_is_refused_and_says_what_it_is() {
    let segment = Segment::create(&Spec::events(SLOTS).generation(5)).unwrap();
    let file = std::fs::File::from(segment.as_fd().try_clone_to_owned().unwrap());
    file.write_all_at(&99_u32.to_le_bytes(), 16).unwrap();
    let descriptor = segment.read_only_fd().unwrap();
    let alleged = alleged_header(&descriptor).unwrap();
    assert_eq!((alleged.layout_version, alleged.generation), (99, 5));
    let blind = attach(descriptor, SegmentKind::Events).unwrap_err();
    assert!(!blind.is_gone() && !blind.is_too_early() && blind.to_string().contains("layout version 99"), "{blind}");
    file.write_all_at(b"something", 0).unwrap();
    assert!(alleged_header(&segment.read_only_fd().unwrap()).is_none());
}

#[test]
fn events_counters_and_the_learner_that_joined_later_with_its_estimates_are_seen() {
    let dir = tempfile::tempdir().unwrap();
    let mut runtime = Runtime::start(&address(&dir), 7, 2);
    let mut agent = Agent::new(address(&dir), From::Oldest);
    assert_eq!(agent.look().unwrap().learner_counter(LearnerCounter::Updates), None);
    runtime.events.publish(&EventRecord::new(EventKind::Trip, 3, 4).to_words()).unwrap();
    runtime.counters.set(Counter::LearnerEpoch, 1);
    runtime.learner.set(LearnerCounter::Updates, 9);
    runtime.durations[LearnerHistogram::Step as usize].record(5);
    let memory = agent.look().unwrap();
    assert_eq!((memory.learner_epoch(), memory.learner_counter(LearnerCounter::Updates)), (Some(1), Some(9)));
    assert_eq!(memory.learner_histogram(LearnerHistogram::Step).map(|steps| steps.count()), Some(1));
    let mut events = Vec::new();
    assert_eq!(memory.events(|event| events.push((event.kind(), event.cycle))), Missed::default());
    assert_eq!(events, [(Some(EventKind::Trip), 3)]);
    let estimate = EstimateRecord { cycle: 3, updates: 9, value: -1.5, spread: 0.25, nominal_value: -2.0 };
    runtime.estimates.publish(&estimate.to_words()).unwrap();
    let mut estimates = Vec::new();
    assert_eq!(memory.estimates(|estimate| estimates.push(*estimate)), Missed::default());
    assert_eq!(estimates, [estimate]);
    assert_eq!(memory.histogram(shm_layout::HistogramKind::Lateness).count(), 0);
    runtime.end();
}

#[test]
fn a_connection_is_seen_and_one_that_is_not_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut runtime = Runtime::start(&address(&dir), 7, 2);
    runtime.connection.add(ConnectionCounter::SamplesGood, 3);
    runtime.round_trips[RoundTrip::Exchange.slot(0)].record(1_000);
    let mut agent = Agent::new(address(&dir), From::Newest);
    let memory = agent.look().unwrap();
    let good = |connection| memory.connection_counter(connection, ConnectionCounter::SamplesGood);
    assert_eq!((good(0), good(1)), (Some(3), None));
    let trips = |connection, call| memory.round_trips(connection, call).count();
    assert_eq!((trips(0, RoundTrip::Exchange), trips(0, RoundTrip::Read), trips(1, RoundTrip::Exchange)), (1, 0, 0));
    runtime.end();
}

#[test]
fn a_segment_that_is_refused_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let address = address(&dir);
    let server = Server::bind(&address).unwrap();
    let serving = std::thread::spawn(move || {
        let mut conversation = server.accept(Duration::from_secs(5)).unwrap().unwrap();
        while let Received::Request(request) = conversation.receive(WITHIN) {
            answer(&mut conversation, &request, 7, 2, &[]);
        }
    });
    let blind = Agent::new(address, From::Newest).look().unwrap_err();
    assert!(!blind.is_gone() && blind.to_string().contains("no segment"), "{blind}");
    serving.join().unwrap();
}
