//! The thread that computes what takes milliseconds, so that the thread of the cycles does not.

use std::{
    fmt, io,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

use crate::{
    CallError,
    asymmetric::{Done, Work},
};

type Outcome = Result<Done, CallError>;

/// A thread that signs, encrypts, decrypts and verifies with RSA whenever a session's keys are renewed.
///
/// Threads inherit policy, priority and CPUs of the thread that starts them: start this one before the thread that drives
/// the session becomes real-time. It sleeps until a renewal is due and ends when the worker and all sessions that were
/// connected with it are gone.
#[derive(Clone)]
pub struct KeyWorker {
    jobs: Sender<Job>,
}

struct Job {
    work: Work,
    report: Sender<Outcome>,
}

impl fmt::Debug for KeyWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyWorker")
    }
}

impl KeyWorker {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system gives no more threads.
    pub fn start() -> io::Result<KeyWorker> {
        let (jobs, received) = channel::<Job>();
        thread::Builder::new().name("corerl-keys".to_owned()).spawn(move || {
            for Job { work, report } in received {
                // A session that was closed meanwhile does not listen any more.
                let _ = report.send(work.run().map_err(CallError::from));
            }
        })?;
        Ok(KeyWorker { jobs })
    }
}

/// Where a channel leaves its work and finds it done. Without a worker it is done at once, by whoever leaves it.
pub(crate) struct Desk {
    worker: Option<KeyWorker>,
    outcome: Option<Receiver<Outcome>>,
}

impl Desk {
    pub(crate) fn new(worker: Option<KeyWorker>) -> Desk {
        Desk { worker, outcome: None }
    }

    /// Leaves work. A channel has one piece at a time.
    pub(crate) fn leave(&mut self, work: Work) {
        let (report, outcome) = channel();
        self.outcome = Some(outcome);
        match &self.worker {
            // A worker that is gone drops the report, which is noticed at the next look.
            Some(worker) => _ = worker.jobs.send(Job { work, report }),
            None => _ = report.send(work.run().map_err(CallError::from)),
        }
    }

    /// Whether something was left and has not been fetched.
    pub(crate) fn is_busy(&self) -> bool {
        self.outcome.is_some()
    }

    /// What has been done, waiting for it as long as this.
    pub(crate) fn wait(&mut self, patience: Duration) -> Result<Option<Done>, CallError> {
        let Some(outcome) = &self.outcome else { return Ok(None) };
        let outcome = match outcome.recv_timeout(patience) {
            Ok(outcome) => outcome.map(Some),
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(CallError::SessionOver),
        };
        self.outcome = None;
        outcome
    }
}
