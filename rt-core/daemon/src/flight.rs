//! The flight recorder's thread, and what it has to tell.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use rt_config::{FlightTrigger, Site};
use rt_control::FlightStatus;
use rt_recording::capture::{Clocks, Opening, Reason, TriggerKind, Written};
use rt_recording::{Flight, FlightNotice, FlightOptions};
use rt_sys::MonotonicClock;
use shm::broadcast::{self, Start};
use shm_layout::EventKind;

use crate::keeper::Journal;
use crate::segments::Records;
use crate::state;

/// How often the recorder looks at the events, and at the records while it saves; the rings hold far more.
const TURN: Duration = Duration::from_millis(20);
/// Notices that may wait for the keeper.
const NOTICES_WAITING_MAX: usize = 64;
/// How long the recorder may take to begin a file that somebody asked for.
const SAVE_PATIENCE: Duration = Duration::from_millis(1_000);
/// How long the last file may take to be closed.
const CLOSE_PATIENCE: Duration = Duration::from_millis(200);

/// What the thread is to be started with.
pub(crate) struct AtRest {
    flight: Flight,
    found: Vec<FlightNotice>,
}

/// The flight recorder that the site file asks for, if it does.
pub(crate) fn at_rest(
    site: &Site,
    site_file: String,
    site_text: String,
    state_dir: PathBuf,
    records: &Records,
    events: &broadcast::Writer,
) -> Option<AtRest> {
    let settings = site.runtime.flight.as_ref()?;
    let [setpoints, tags, ..] = records.cycle_layout.dims();
    let opening = Opening {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        site_file,
        site_text,
        site: site.name.clone(),
        agent: site.agent_name.clone(),
        instance: site.instance.clone(),
        tag_list_hash: site.tag_list_hash(),
        pid: std::process::id(),
        period_ns: site.runtime.period.as_ns(),
        setpoints,
        tags,
        clocks: Clocks { monotonic_ns: 0, unix_ns: 0 },
        reason: Reason::Continuous { number: 0 },
    };
    let options = FlightOptions {
        directory: settings.dir.clone().unwrap_or_else(|| state_dir.join("flight")),
        prefix: state::prefix(site),
        utc: rt_state::audit::utc,
        on: settings.on.iter().map(|trigger| kind(*trigger)).collect(),
        before: settings.before,
        after: settings.after,
        pause: settings.pause,
        bytes_max: settings.budget_bytes,
        opening,
    };
    let cycles = records.cycles.reader(Start::Newest);
    let (flight, found) = Flight::new(options, cycles, records.cycle_layout, events.reader(Start::Newest));
    Some(AtRest { flight, found })
}

const fn kind(trigger: FlightTrigger) -> TriggerKind {
    match trigger {
        FlightTrigger::Trip => TriggerKind::Trip,
        FlightTrigger::LostSlot => TriggerKind::LostSlot,
        FlightTrigger::Fault => TriggerKind::Fault,
    }
}

/// The newest text of the site, until the recorder has taken it.
type NewText = Arc<Mutex<Option<String>>>;

/// Somebody asks for a file.
struct Ask {
    cause: String,
    answer: Sender<std::io::Result<PathBuf>>,
}

/// Somebody waits for a file to be begun.
pub(crate) struct Asked {
    answered: Receiver<std::io::Result<PathBuf>>,
    deadline: Instant,
}

impl Asked {
    /// Where the file will be, or why there is none, for people; nothing while the recorder is still at it.
    pub(crate) fn answer(&self) -> Option<Result<PathBuf, String>> {
        match self.answered.try_recv() {
            Ok(begun) => Some(begun.map_err(|error| format!("the flight recorder cannot write: {error}"))),
            Err(TryRecvError::Empty) if Instant::now() < self.deadline => None,
            Err(_) => Some(Err(busy())),
        }
    }
}

fn busy() -> String {
    "the flight recorder waits for its disk: try again".to_owned()
}

/// The running flight recorder, as the keeper sees it.
pub(crate) struct FlightRecorder {
    /// Dropped, it asks the thread to end.
    asks: Option<Sender<Ask>>,
    notices: Receiver<FlightNotice>,
    site_text: NewText,
    thread: JoinHandle<()>,
    status: FlightStatus,
    /// The same failure is told once, until something was saved again.
    failed: bool,
}

impl FlightRecorder {
    /// Starts the thread on these CPUs.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub(crate) fn start(recorder: AtRest, cpus: &[usize], clock: MonotonicClock) -> std::io::Result<Self> {
        let name = |path: &Path| path.display().to_string();
        let newest = recorder.flight.newest().as_deref().map(name);
        let status = FlightStatus { directory: name(recorder.flight.directory()), newest, saving: None };
        let (tell, notices) = bounded(NOTICES_WAITING_MAX);
        let (asks, asked) = bounded(1);
        let site_text = NewText::default();
        let new_text = Arc::clone(&site_text);
        let work = move || record(recorder, clock, &asked, &new_text, &tell);
        let thread = rt_sys::spawn_helper("corerl-flight", cpus, work)?;
        Ok(Self { asks: Some(asks), notices, site_text, thread, status, failed: false })
    }

    /// Has it save what was just now; never waits for it.
    ///
    /// # Errors
    /// Why it does not, for people.
    pub(crate) fn save(&self, cause: &str) -> Result<Asked, String> {
        let (answer, answered) = bounded(1);
        let ask = Ask { cause: cause.to_owned(), answer };
        let sent = self.asks.as_ref().is_some_and(|asks| asks.try_send(ask).is_ok());
        if sent { Ok(Asked { answered, deadline: Instant::now() + SAVE_PATIENCE }) } else { Err(busy()) }
    }

    /// Limits were changed live: files that are begun from now on open with this text.
    pub(crate) fn set_site_text(&self, text: &str) {
        *self.site_text.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
    }

    /// Where its files are, as far as it has told.
    pub(crate) fn status(&self) -> &FlightStatus {
        &self.status
    }

    /// Turns what the recorder has to tell into events.
    pub(crate) fn report(&mut self, journal: &mut Journal) {
        while let Ok(notice) = self.notices.try_recv() {
            match notice {
                FlightNotice::Began { path, trigger } => {
                    self.status.saving = Some(path.display().to_string());
                    tracing::info!(
                        cycle = trigger.cycle,
                        "{}: saving what was before and what comes: {}",
                        trigger.kind.name(),
                        path.display()
                    );
                }
                FlightNotice::Saved { path, written, removed } => {
                    self.failed = false;
                    (self.status.saving, self.status.newest) = (None, Some(path.display().to_string()));
                    let Written { cycles, events, lost_cycles, lost_events } = written;
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    let text = format!(
                        "flight {name}: {cycles} cycles, {events} events, {lost_cycles} and {lost_events} missing; {removed} older files removed"
                    );
                    journal.entry(EventKind::Recording).numbers(cycles, lost_cycles).text(&text).publish();
                }
                FlightNotice::Found { path } => {
                    tracing::warn!("what a runtime that died was saving is kept: {}", path.display());
                }
                FlightNotice::Failed(error) => {
                    self.status.saving = None;
                    if !self.failed {
                        let text = format!("flight recorder: nothing was saved: {error}; the runtime goes on");
                        journal.note(EventKind::Lost, &text);
                    }
                    self.failed = true;
                }
            }
        }
    }

    /// Saves what is being saved, when the control thread has ended.
    pub(crate) fn stop(mut self, journal: &mut Journal) {
        self.asks = None;
        let deadline = Instant::now() + CLOSE_PATIENCE;
        while !self.thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.report(journal);
    }
}

/// Looks and saves until asked to stop, then saves what is left.
fn record(
    recorder: AtRest,
    clock: MonotonicClock,
    asked: &Receiver<Ask>,
    new_text: &NewText,
    tell: &Sender<FlightNotice>,
) {
    let AtRest { mut flight, found } = recorder;
    // A keeper that does not listen has other cares.
    let tell = |notice| drop(tell.try_send(notice));
    found.into_iter().for_each(tell);
    loop {
        let ask = asked.recv_timeout(TURN);
        if let Some(text) = new_text.lock().unwrap_or_else(PoisonError::into_inner).take() {
            flight.set_site_text(text);
        }
        let (now, wall) = clock.with_wall_time();
        match ask {
            Ok(Ask { cause, answer }) => {
                let _ = answer.send(flight.save(cause, now, wall.as_ns(), tell));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return flight.close(now, tell),
        }
        flight.turn(now, wall.as_ns(), tell);
    }
}
