//! The audit log's own thread, and what the keeper knows of it.
//!
//! A disk takes as long as it likes; the keeper has heartbeats to watch. So entries go to a thread, which keeps those that find no
//! room and writes them, in order, as soon as there is some.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rt_control::AuditStatus;
use rt_state::audit::{Entry, Log, utc};

/// Entries on their way to the thread.
const ENTRIES_WAITING_MAX: usize = 256;
/// Entries that wait for room on the disk; further ones are counted.
const ENTRIES_LATE_MAX: usize = 1024;
/// News on their way to the keeper. One that finds no room is told by the next one.
const NEWS_WAITING_MAX: usize = 64;
/// How often a log that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long an act waits for its entry, and the keeper with it: shorter than whoever asks for it waits, and than the service
/// manager's watchdog.
pub(crate) const ACT_PATIENCE: Duration = Duration::from_millis(1_500);
/// How long a start waits: nobody else needs the keeper yet.
pub(crate) const START_PATIENCE: Duration = Duration::from_secs(10);

/// The log as the keeper sees it.
pub(crate) struct Audit {
    status: AuditStatus,
    /// Dropped, it asks the thread to end.
    asks: Option<Sender<Ask>>,
    news: Receiver<News>,
    thread: JoinHandle<()>,
    /// Entries that found no room on the way, since the thread was told.
    lost: u64,
}

/// One entry on its way.
struct Ask {
    entry: Entry,
    lost_before: u64,
    /// Where somebody waits for it to be on the disk.
    answer: Option<Sender<Result<(), String>>>,
}

/// What people have to know of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alarm {
    /// It cannot be written.
    pub(crate) failing: bool,
    /// Entries that were late.
    pub(crate) entries: u64,
    pub(crate) text: String,
}

/// What the thread has to tell.
enum News {
    /// The newest entry.
    Head(String),
    /// Entries are late from now on.
    Failing {
        /// Why.
        reason: String,
    },
    /// Nothing is late any more.
    Recovered {
        /// Entries that were.
        late: u64,
        /// Entries that there was no memory for.
        lost: u64,
    },
    /// The log of before did not verify.
    SetAside {
        /// What was wrong with it, and where it is.
        what: String,
    },
}

impl Audit {
    /// Starts the thread on these CPUs.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub(crate) fn start(path: PathBuf, cpus: &[usize]) -> io::Result<Self> {
        let (asks, asked) = bounded(ENTRIES_WAITING_MAX);
        let (tell, news) = bounded(NEWS_WAITING_MAX);
        let status = AuditStatus { path: path.display().to_string(), head: None, trouble: None };
        let clerk = Clerk { log: Log::at(path), late: VecDeque::new(), delayed: 0, lost: 0, tell };
        let thread = rt_sys::spawn_helper("corerl-audit", cpus, move || clerk.work(&asked))?;
        Ok(Self { status, asks: Some(asks), news, thread, lost: 0 })
    }

    /// Records what happened, now or as soon as it can be written. Never waits.
    pub(crate) fn note(&mut self, entry: Entry) {
        let sent = self.send(entry, None);
        self.lost += u64::from(!sent);
    }

    /// Records what is about to be done, and returns when that is on the disk.
    ///
    /// # Errors
    /// Why it is not, for people. Then it must not be done.
    pub(crate) fn require(&mut self, entry: Entry, patience: Duration) -> Result<(), String> {
        let (answer, answered) = bounded(1);
        self.send(entry, Some(answer));
        // Where it could not be sent, nobody holds the other end any more.
        answered
            .recv_timeout(patience)
            .unwrap_or_else(|_| Err(format!("the audit log {} does not answer", self.status.path)))
    }

    fn send(&mut self, entry: Entry, answer: Option<Sender<Result<(), String>>>) -> bool {
        let ask = Ask { entry, lost_before: self.lost, answer };
        let sent = self.asks.as_ref().is_some_and(|asks| asks.try_send(ask).is_ok());
        if sent {
            self.lost = 0;
        }
        sent
    }

    /// What people have to know of it. A reason for which entries are still late is told once.
    pub(crate) fn next_alarm(&mut self) -> Option<Alarm> {
        loop {
            match self.news.try_recv().ok()? {
                News::Head(head) => self.status.head = Some(head),
                News::Failing { reason } => {
                    if self.status.trouble.as_ref() != Some(&reason) {
                        self.status.trouble = Some(reason.clone());
                        return Some(Alarm { failing: true, entries: 0, text: reason });
                    }
                }
                News::Recovered { late, lost } => {
                    self.status.trouble = None;
                    let text = format!("the audit log is written again: {late} entries were late, {lost} are lost");
                    return Some(Alarm { failing: false, entries: late, text });
                }
                News::SetAside { what } => {
                    let text = format!("the audit log did not verify and begins anew: {what}");
                    return Some(Alarm { failing: false, entries: 0, text });
                }
            }
        }
    }

    /// How the log is.
    pub(crate) fn status(&self) -> &AuditStatus {
        &self.status
    }

    /// Waits for the last entries until then; whether they are on the disk, as far as that is possible.
    pub(crate) fn close(&mut self, deadline: Instant) -> bool {
        self.asks = None;
        while !self.thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.thread.is_finished()
    }
}

/// The thread.
struct Clerk {
    log: Log,
    /// Entries that could not be written yet.
    late: VecDeque<Entry>,
    /// How many were late since nothing was.
    delayed: u64,
    lost: u64,
    tell: Sender<News>,
}

impl Clerk {
    fn work(mut self, asks: &Receiver<Ask>) {
        loop {
            match asks.recv_timeout(RETRY) {
                Ok(ask) => self.take(ask),
                Err(RecvTimeoutError::Timeout) => drop(self.catch_up()),
                Err(RecvTimeoutError::Disconnected) => return drop(self.catch_up()),
            }
        }
    }

    fn take(&mut self, Ask { entry, lost_before, answer }: Ask) {
        self.lost += lost_before;
        let written = self.catch_up().and_then(|()| self.write(&entry));
        match (answer, &written) {
            // Nobody waits any more: the act was refused, and that is an entry of its own.
            (Some(answer), _) => drop(answer.send(written)),
            (None, Ok(())) => {}
            (None, Err(_)) if self.late.len() < ENTRIES_LATE_MAX => self.late.push_back(entry),
            (None, Err(_)) => self.lost += 1,
        }
    }

    /// Writes what is late; then that there was something.
    fn catch_up(&mut self) -> Result<(), String> {
        while let Some(entry) = self.late.front().cloned() {
            self.write(&entry)?;
            self.late.pop_front();
            self.delayed += 1;
        }
        let (late, lost) = (self.delayed, self.lost);
        if (late, lost) != (0, 0) {
            let text =
                format!("the log could be written again: {late} entries before this one were late, {lost} are lost");
            self.write(&entry("audit_log", text))?;
            (self.delayed, self.lost) = (0, 0);
            let _ = self.tell.try_send(News::Recovered { late, lost });
        }
        Ok(())
    }

    fn write(&mut self, entry: &Entry) -> Result<(), String> {
        match self.log.append(entry) {
            Ok(appended) => {
                let _ = self.tell.try_send(News::Head(appended.head.to_string()));
                if let Some(aside) = appended.set_aside {
                    let what = format!("{}; it is kept as {}", aside.fault, aside.path.display());
                    let _ = self.tell.try_send(News::SetAside { what });
                }
                Ok(())
            }
            Err(error) => {
                let reason = error.to_string();
                let _ = self.tell.try_send(News::Failing { reason: reason.clone() });
                Err(reason)
            }
        }
    }
}

/// An entry of this process and this moment.
pub(crate) fn entry(what: &str, text: String) -> Entry {
    let time = utc(rt_sys::unix_time().as_ns());
    Entry { time, runtime: std::process::id(), what: what.to_owned(), text, ..Entry::default() }
}
