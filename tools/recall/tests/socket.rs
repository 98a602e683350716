//! An archive that is asked over a socket, by those who mean it well and by others.

use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::Duration;

use archive::{Commit, Event, Gap, Missing, Point, Reader, Run, Store, TrackKind, TrackName};
use proptest::prelude::*;
use recall::{
    Address, Answer, AskError, Asked, BindError, Client, Files, Host, KeeperStatus, Past, Question, Refusal, Server,
    Source, Status,
};
use rt_control::{packet, socket};

const SECOND_NS: u64 = 1_000_000_000;
const BEGIN_NS: u64 = 20_000 * 86_400 * SECOND_NS;
const PATIENCE: Duration = Duration::from_secs(20);

/// Whose answers come from an archive.
struct Archive(std::path::PathBuf);

impl Host for Archive {
    fn status(&self) -> Status {
        let keeper = KeeperStatus::Archive { directory: self.0.display().to_string() };
        Status { pid: std::process::id(), uptime_s: 0, keeper, agents: Vec::new() }
    }

    fn source(&self) -> Result<Box<dyn Source>, Refusal> {
        let reader = Reader::open(&self.0).map_err(|error| Refusal::Unreadable(error.to_string()))?;
        Ok(Box::new(Files(reader)))
    }
}

/// A historian that only answers.
struct Answering {
    address: Address,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Answering {
    fn start(place: &Path) -> Self {
        let address = Address::new(place, "main").unwrap();
        let (stop, stopped) = channel();
        let server = Server::bind(&address).unwrap();
        let host: Arc<dyn Host> = Arc::new(Archive(place.join("history")));
        let thread = std::thread::spawn(move || server.serve(&host, &stopped).unwrap());
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    fn client(&self) -> Client {
        Client::connect(&self.address).unwrap()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

/// What lies between two clocks of a run: for so many steps of a second there is a point; then so many cycles are missing, and the
/// clock is set by so many seconds.
type Stretch = (u64, u64, i64);

/// Two runs of one agent, with what is kept of them.
fn keep(history: &Path, stretches: &[Stretch]) {
    let mut store = Store::open(history).unwrap();
    for number in 1..=2 {
        let run =
            Run { site: "works".into(), agent: "ph".into(), instance: "main".into(), number, period_ns: SECOND_NS };
        let run = store.run(&run).unwrap().run;
        let name = |kind, name: &str| TrackName { kind, name: name.into(), unit: "m".into() };
        let tracks = store.tracks(run, &[name(TrackKind::Tag, "level"), name(TrackKind::Sent, "feed")]).unwrap();
        let (mut cycle, mut unix_ns, mut lost) = (0_u64, BEGIN_NS + number * 86_400 * SECOND_NS, 0_u64);
        for (at, (points, missing, clock_s)) in stretches.iter().enumerate() {
            let first = cycle;
            let cycles = first..first + points;
            let point = |cycle: u64| Point {
                age_us: 3,
                source_us: cycle,
                ..Point::new(cycle, cycle as f64 / 7.0, (cycle / 50 % 2) as u32)
            };
            let gap = |count| Gap {
                what: Missing::Cycles,
                first: first - count,
                count,
                after_cycle: (first - count).checked_sub(1),
                before_cycle: Some(first),
                why: "late".into(),
            };
            let event = Event {
                number: at as u64,
                cycle: first,
                unix_ns,
                kind: "trip".into(),
                cause: 3,
                uid: Some(7),
                a: u64::MAX,
                b: 0,
                text: "level: ä".into(),
            };
            let commit = Commit {
                cycle_records: first - lost..cycles.end,
                events_read: event.number..event.number + 1,
                points: cycles
                    .clone()
                    .flat_map(|cycle| tracks.iter().map(move |track| (*track, point(cycle))))
                    .collect(),
                events: vec![event],
                gaps: (lost > 0).then(|| gap(lost)).into_iter().collect(),
                clock: Some((first, unix_ns)),
                last_cycle: cycles.end.checked_sub(1),
            };
            store.commit(run, &commit).unwrap();
            if at % 2 == 0 {
                store.compact(run).unwrap();
            }
            cycle = cycles.end + missing;
            unix_ns = (unix_ns + (points + missing) * SECOND_NS).saturating_add_signed(clock_s * SECOND_NS as i64);
            lost = *missing;
        }
    }
}

/// Everything that can be asked.
fn everything(past: &dyn Past) -> Vec<String> {
    let (from_ns, to_ns) = (BEGIN_NS + 86_400 * SECOND_NS, BEGIN_NS + 4 * 86_400 * SECOND_NS);
    let runs = past.runs().unwrap();
    let mut all = vec![format!("{runs:?}"), format!("{:?}", past.events(from_ns, to_ns).unwrap())];
    all.push(format!("{:?}", past.gaps(0, to_ns).unwrap()));
    all.extend(runs.iter().map(|run| format!("{:?}", past.newest(run.id).unwrap())));
    for track in past.tracks().unwrap() {
        let mut points = past.between(&track, from_ns, to_ns).unwrap();
        // By cycles or by times: a clock that was set back makes that two orders.
        points.sort_by_key(|timed| (timed.unix_ns, timed.point.cycle));
        all.push(format!("{track:?} {points:?}"));
        for seconds in [7, 60, 3600] {
            let buckets = past.buckets(&track, from_ns, to_ns, Duration::from_secs(seconds)).unwrap();
            all.push(format!("{seconds} {buckets:?}"));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn whoever_asks_over_the_socket_is_told_what_the_files_say(
        stretches in prop::collection::vec((1u64..3000, 0u64..1000, -900i64..900), 1..5)
    ) {
        let place = tempfile::tempdir().unwrap();
        let history = place.path().join("history");
        keep(&history, &stretches);
        let answering = Answering::start(place.path());
        let asked = everything(&Asked(answering.client()));
        for (asked, read) in asked.iter().zip(everything(&Reader::open(&history).unwrap())) {
            prop_assert_eq!(asked, &read);
        }
    }
}

#[test]
fn one_historian_has_an_address_and_leaves_nothing_there() {
    let place = tempfile::tempdir().unwrap();
    let answering = Answering::start(place.path());
    assert!(matches!(Server::bind(&answering.address), Err(BindError::Held(_))));
    assert_eq!(answering.client().status().unwrap().pid, std::process::id());
    let address = answering.address.clone();
    drop(answering);
    assert!(matches!(Client::connect(&address), Err(AskError::Absent(_))));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    // What a crash leaves is replaced.
    std::fs::write(address.socket(), "").unwrap();
    let answering = Answering::start(place.path());
    answering.client().status().unwrap();
}

#[test]
fn f21_the_kernel_lets_nobody_in_but_root_the_historians_user_and_its_group() {
    let place = tempfile::tempdir().unwrap();
    let answering = Answering::start(place.path());
    let metadata = std::fs::metadata(answering.address.socket()).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o660);
}

#[test]
fn nonsense_is_refused_and_the_next_caller_is_answered() {
    let place = tempfile::tempdir().unwrap();
    let answering = Answering::start(place.path());
    let connect = || socket::connect(answering.address.socket(), PATIENCE).unwrap().unwrap();
    let hear = |socket: &std::os::fd::OwnedFd| packet::receive::<Answer>(socket.as_fd(), PATIENCE).unwrap();
    let refused = Some(Answer::Refused(Refusal::NotUnderstood));

    let stranger = connect();
    packet::send(stranger.as_fd(), &[u8::MAX; 300].as_slice(), &[], PATIENCE).unwrap();
    assert_eq!(hear(&stranger).map(|(answer, _)| answer), refused);
    assert!(hear(&stranger).is_none(), "and hung up on");

    let hasty = connect();
    packet::send(hasty.as_fd(), &Question::Status, &[], PATIENCE).unwrap();
    assert_eq!(hear(&hasty).map(|(answer, _)| answer), refused);

    let client = answering.client();
    let why = Asked(answering.client()).runs().unwrap_err().to_string();
    assert!(why.contains("cannot be read"), "there is no history yet: {why}");
    client.status().unwrap();
}

#[test]
fn more_callers_than_are_answered_are_told_so() {
    let place = tempfile::tempdir().unwrap();
    let answering = Answering::start(place.path());
    let callers: Vec<_> = (0..4).map(|_| answering.client()).collect();
    let refused = Client::connect(&answering.address).unwrap_err();
    assert!(matches!(refused, AskError::Refused(Refusal::Busy(4))), "{refused}");
    callers.iter().for_each(|caller| drop(caller.status().unwrap()));
    drop(callers);
    while Client::connect(&answering.address).is_err() {}
}

/// What a peer may say that is no historian.
fn imposter(says: impl Fn(&Question) -> Option<Answer> + Send + 'static) -> (tempfile::TempDir, Address) {
    let place = tempfile::tempdir().unwrap();
    let address = Address::new(place.path(), "main").unwrap();
    let listening = socket::listen(address.socket(), 0o600).unwrap();
    std::thread::spawn(move || {
        let (caller, _) = socket::accept(listening.as_fd(), PATIENCE).unwrap().unwrap();
        while let Ok(Some((question, _))) = packet::receive(caller.as_fd(), PATIENCE) {
            let Some(answer) = says(&question) else { return };
            packet::send(caller.as_fd(), &answer, &[], PATIENCE).unwrap();
        }
    });
    (place, address)
}

#[test]
fn a_peer_that_leads_nowhere_is_left() {
    let page = |answer: &'static (dyn Fn() -> Option<Answer> + Sync)| {
        move |question: &Question| match question {
            Question::Hello { .. } => Some(Answer::Hello { protocol: recall::PROTOCOL }),
            _ => answer(),
        }
    };
    let (_place, address) = imposter(page(&|| Some(Answer::Runs(recall::Page { rows: Vec::new(), is_last: false }))));
    assert!(matches!(Asked(Client::connect(&address).unwrap()).runs(), Err(AskError::NotUnderstood)));
    let (_place, address) = imposter(page(&|| Some(Answer::Events(recall::Part { rows: Vec::new(), until_ns: 4 }))));
    assert!(matches!(Asked(Client::connect(&address).unwrap()).events(5, 9), Err(AskError::NotUnderstood)));
    let (_place, address) = imposter(page(&|| None));
    let client = Client::connect(&address).unwrap();
    assert!(matches!(client.status(), Err(AskError::Closed)));
    assert!(matches!(client.status(), Err(AskError::Closed)), "and stays so");
    let (_place, address) = imposter(|_| Some(Answer::Hello { protocol: 99 }));
    assert!(matches!(Client::connect(&address), Err(AskError::Version { theirs: 99, .. })));
}

#[test]
fn two_that_want_an_address_at_once_do_not_both_get_it() {
    let place = tempfile::tempdir().unwrap();
    let address = Address::new(place.path(), "main").unwrap();
    let ready = Arc::new(Barrier::new(4));
    let try_it = || {
        let (address, ready) = (address.clone(), Arc::clone(&ready));
        std::thread::spawn(move || {
            ready.wait();
            Server::bind(&address)
        })
    };
    let tries: Vec<_> = (0..4).map(|_| try_it()).collect();
    let servers: Vec<_> = tries.into_iter().filter_map(|one| one.join().unwrap().ok()).collect();
    assert_eq!(servers.len(), 1);
}

#[test]
fn no_window_and_no_number_ends_the_one_who_answers() {
    let place = tempfile::tempdir().unwrap();
    keep(place.path(), &[(300, 7, -40), (200, 0, 30)]);
    let reader = Reader::open(place.path()).unwrap();
    let tracks = reader.tracks(None).unwrap();
    let files = Files(reader);
    let ends = [0, 1, BEGIN_NS, u64::MAX - 1, u64::MAX];
    for (from_ns, to_ns) in ends.into_iter().flat_map(|from| ends.map(|to| (from, to))) {
        for track in [tracks[0].clone(), archive::TrackInfo { run: archive::RunId(i64::MAX), ..tracks[0].clone() }] {
            let _ = files.answer(&Question::Points { track: track.clone(), from_ns, to_ns });
            for width_ns in [0, 1, SECOND_NS, 3_600 * SECOND_NS, u64::MAX] {
                let _ = files.answer(&Question::Buckets { track: track.clone(), from_ns, to_ns, width_ns });
            }
        }
        let _ = files.answer(&Question::Events { from_ns, to_ns });
        let after = Some((archive::RunId(i64::MIN), Missing::Events, u64::MAX));
        let _ = files.answer(&Question::Gaps { from_ns, to_ns, after });
    }
    let _ = files.answer(&Question::Newest { run: archive::RunId(-1), after: None });
    let runs = files.answer(&Question::Runs { after: None }).unwrap();
    assert!(matches!(runs, Answer::Runs(page) if page.rows.len() == 2 && page.is_last));
}
