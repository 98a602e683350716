//! The thread that writes the recording, and what it has to tell.

use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use policy::kernels::Kernel;
use rt_config::Site;
use rt_recording::{KeeperSlot, Lost, Notice, Options, Outputs, Scribe, Tape};
use rt_sys::MonotonicClock;
use shm::broadcast::Start;
use shm::counters;
use shm_layout::{Counter, EventKind};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::keeper::Journal;
use crate::segments::Records;

/// Files of a recording, the newest one included.
const FILES: usize = 8;
/// How often the recorder looks at its ring, which holds far more.
const TURN: Duration = Duration::from_millis(20);
/// Notices that may wait for the keeper.
const NOTICES_WAITING_MAX: usize = 64;
/// How long the last file may take to be closed.
const CLOSE_PATIENCE: Duration = Duration::from_millis(200);

/// The three ends of the recording that the command line asks for: of the control thread, of the recorder, and of the keeper.
///
/// # Errors
/// Nothing can be written at its place.
pub(crate) fn begin(
    arguments: &Arguments,
    site: &Site,
    site_text: String,
    kernel: Kernel,
    records: &Records,
) -> Result<Option<(Tape, Scribe, KeeperSlot)>, Failure> {
    let Some(path) = &arguments.record else { return Ok(None) };
    let outputs = Outputs {
        cycles: records.cycles.reader(Start::Newest),
        cycle_layout: records.cycle_layout,
        steps: records.steps.reader(Start::Newest),
        step_layout: records.step_layout,
    };
    let options = Options {
        path: path.clone(),
        bytes_max: arguments.record_mib << 20,
        files_max: FILES,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: format!("{:?}", kernel.kind()).to_lowercase(),
        site_file: arguments.site_file_name(),
        site_text,
    };
    rt_recording::recording(site, options, outputs).map(Some).map_err(Failure::resource("the recording"))
}

/// The running recorder, as the keeper sees it.
pub(crate) struct Recorder {
    path: Box<Path>,
    notices: Receiver<Notice>,
    /// Dropped, it asks the thread to end.
    stop: Option<Sender<()>>,
    thread: JoinHandle<()>,
    /// The same failure is told once, until something was written again.
    failed: bool,
}

impl Recorder {
    /// Starts the thread on these CPUs.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub(crate) fn start(
        scribe: Scribe,
        cpus: &[usize],
        clock: MonotonicClock,
        counters: counters::Writer<Counter>,
    ) -> std::io::Result<Self> {
        let path = scribe.path().into();
        let (tell, notices) = bounded(NOTICES_WAITING_MAX);
        let (stop, stopping) = bounded(0);
        let thread = rt_sys::spawn_helper("corerl-record", cpus, move || {
            let closed = write(scribe, clock, &counters, &stopping, &tell);
            if let Err(error) = closed {
                let _ = tell.try_send(Notice::Failed(error));
            }
        })?;
        Ok(Self { path, notices, stop: Some(stop), thread, failed: false })
    }

    /// Turns what the recorder has to tell into events.
    pub(crate) fn report(&mut self, journal: &mut Journal) {
        while let Ok(notice) = self.notices.try_recv() {
            match notice {
                Notice::Began { number, lost_before } => {
                    self.failed = false;
                    let text = format!("{}: file {number}, {lost_before} cycles lost before", self.path.display());
                    journal.entry(EventKind::Recording).numbers(number, lost_before).text(&text).publish();
                }
                Notice::Lost(Lost { cycle, why }) => {
                    let text = format!("recording: nothing from cycle {cycle} on: {why}");
                    journal.entry(EventKind::Lost).numbers(cycle, 0).text(&text).publish();
                }
                Notice::Failed(error) => {
                    if !self.failed {
                        let text = format!("recording stopped: {error}; the runtime goes on");
                        journal.note(EventKind::Lost, &text);
                    }
                    self.failed = true;
                }
            }
        }
    }

    /// Closes the recording, when the control thread has ended.
    pub(crate) fn stop(mut self, journal: &mut Journal) {
        self.stop = None;
        let deadline = Instant::now() + CLOSE_PATIENCE;
        while !self.thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.report(journal);
    }
}

/// Writes until asked to stop, then what is left.
fn write(
    mut scribe: Scribe,
    clock: MonotonicClock,
    counters: &counters::Writer<Counter>,
    stopping: &Receiver<()>,
    tell: &Sender<Notice>,
) -> std::io::Result<()> {
    loop {
        let stop = stopping.recv_timeout(TURN) != Err(RecvTimeoutError::Timeout);
        let (now, wall) = clock.with_wall_time();
        scribe.turn(now, wall.as_ns(), |notice| {
            // A keeper that does not listen has other cares; the counter tells what was lost.
            let _ = tell.try_send(notice);
        });
        counters.set(Counter::CyclesUnrecorded, scribe.unrecorded());
        if stop {
            return scribe.close();
        }
    }
}
