//! Minutes and hours: rolled from the samples that have come, so that trends outlive them.
//!
//! A thread of its own does this, through a connection of its own, so that whoever brings samples never waits for it. Each of its
//! transactions takes some thousand points of some tracks, and keeps with the minutes and hours that are over how far those tracks
//! are: so every point is taken once, whoever is killed when. A track is rolled up to its own newest point and no further: what
//! critics expected comes later than the cycles that it is of.

mod turn;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use archive::{Damaged, Width};
use postgres::Client;
use recall::AskError;

use super::migrate::{VERSION, version};
use super::{ConnectError, Target, chain};

/// How often there is a look at what has come, if nobody asks for one.
const ROLL_EVERY: Duration = Duration::from_secs(300);
/// What failed is tried again after so long.
const PAUSE: Duration = Duration::from_secs(15);

/// Where buckets of a width lie.
pub(super) const fn table(width: Width) -> &'static str {
    match width {
        Width::Minute => "minute",
        Width::Hour => "hour",
    }
}

/// Why minutes and hours stay as they are.
#[derive(Debug, thiserror::Error)]
pub(super) enum RollError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{}", chain(.0))]
    Database(#[from] postgres::Error),
    #[error(transparent)]
    Read(#[from] AskError),
    #[error(
        "what corerl.rolling holds of track {0} is damaged: delete that row, and rows of this track in corerl.minute and corerl.hour"
    )]
    Damaged(i32, #[source] Damaged),
}

/// The thread.
#[derive(Debug)]
pub(super) struct Roller {
    /// `None` once it is to end.
    asks: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Roller {
    /// Begins to roll what is in a database. Without a thread samples are kept all the same.
    pub(super) fn start(target: Target) -> Self {
        let (asks, asked) = sync_channel(1);
        let thread = std::thread::Builder::new().name("rolling".to_owned()).spawn(move || run(&target, &asked));
        let thread = thread.inspect_err(|error| tracing::error!("nothing is rolled to minutes and hours: {error}"));
        Self { asks: Some(asks), thread: thread.ok() }
    }

    /// Has it look soon.
    pub(super) fn ask(&self) {
        if let Some(asks) = &self.asks {
            // Whoever was asked already looks anyway.
            let _ = asks.try_send(());
        }
    }

    /// Has it end after the transaction in which it is; the thread.
    pub(super) fn end(&mut self) -> Option<JoinHandle<()>> {
        self.asks = None;
        self.thread.take()
    }
}

/// Rolls until nobody can ask any more.
fn run(target: &Target, asked: &Receiver<()>) {
    let mut said = None;
    let mut ends = Ends { asked, is_asked: false };
    loop {
        let failed = turn(target, &mut ends).err().map(|error| error.to_string());
        if let Some(why) = failed.as_ref().filter(|_| said != failed) {
            tracing::warn!(
                "{target}: minutes and hours are not rolled, and samples of no age purged before they are: {why}"
            );
        }
        let patience = if failed.is_some() { PAUSE } else { ROLL_EVERY };
        said = failed;
        if !ends.wait(patience) {
            return;
        }
    }
}

/// Rolls what has come.
fn turn(target: &Target, ends: &mut Ends<'_>) -> Result<(), RollError> {
    let mut client = connect(target)?;
    for goal in turn::goals(&mut client)? {
        let mut next = Some(turn::FIRST);
        while let Some(after) = next {
            if ends.now() {
                return Ok(());
            }
            next = turn::roll(&mut client, &goal, after)?;
        }
    }
    Ok(())
}

fn connect(target: &Target) -> Result<Client, ConnectError> {
    let mut client = target.connect()?;
    match version(&mut client)? {
        VERSION => Ok(client),
        other => Err(ConnectError::Version(other)),
    }
}

/// When it is time to look again, and to end.
struct Ends<'a> {
    asked: &'a Receiver<()>,
    /// Since the last look began.
    is_asked: bool,
}

impl Ends<'_> {
    /// Whether it is time to end.
    fn now(&mut self) -> bool {
        match self.asked.try_recv() {
            Ok(()) => self.is_asked = true,
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return true,
        }
        false
    }

    /// Waits until it is time to look again; `false` when it is time to end.
    fn wait(&mut self, patience: Duration) -> bool {
        if std::mem::take(&mut self.is_asked) {
            return !self.now();
        }
        self.asked.recv_timeout(patience) != Err(RecvTimeoutError::Disconnected)
    }
}
