//! A session of one's own with a server of the site: with the same security as the runtime's, beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rt_config::{Connection, Site};
use rt_daemon::Clocks;
use ua_session::{CallError, Clock, ConnectError, KeyWorker, Session, Target};

use crate::failure::{Exit, Failure};

/// How long a server may take to answer anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which server of which site.
#[derive(Debug, Args)]
pub(super) struct Server {
    /// The site file that says how to connect.
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// The connection in the site file, when there are several.
    #[arg(long, value_name = "ID")]
    pub(super) connection: Option<String>,
}

impl Server {
    /// The site, and the place of the connection in it.
    pub(super) fn find(&self) -> Result<(Site, usize), Failure> {
        let site = crate::run::load_site(&self.config)?;
        let wanted = |of: &Connection| self.connection.as_ref().is_none_or(|name| *name == of.id);
        let mut found = site.connections.iter().enumerate().filter(|(_, of)| wanted(of)).map(|(index, _)| index);
        let ids = || site.connections.iter().map(|of| of.id.as_str()).collect::<Vec<_>>().join(", ");
        match (found.next(), found.next()) {
            (Some(only), None) => Ok((site, only)),
            (Some(_), Some(_)) => Err(several(&self.config, &ids())),
            (None, _) => Err(Failure::new(
                Exit::BadConfiguration,
                format_args!("{} has no such connection, but: {}", self.config.display(), ids()),
            )),
        }
    }
}

fn several(config: &Path, ids: &str) -> Failure {
    let message = format!("{} has several connections: name one with --connection, of: {ids}", config.display());
    Failure::new(Exit::BadConfiguration, message)
}

/// The machine's clocks, and an instant by which something has to be answered.
pub(super) fn clock() -> Arc<dyn Clock> {
    Arc::new(Clocks::default())
}

pub(super) fn deadline_ns(clock: &dyn Clock) -> u64 {
    clock.monotonic_ns() + u64::try_from(PATIENCE.as_nanos()).unwrap_or(u64::MAX)
}

/// A connected session. The thread that renews keys lives as long as it.
pub(super) struct Line {
    pub(super) session: Session,
    clock: Arc<dyn Clock>,
    _worker: KeyWorker,
}

impl Line {
    pub(super) fn connect(site: &Site, connection: &Connection) -> Result<Self, Failure> {
        let target = rt_daemon::target(site, connection)
            .map_err(|error| Failure::new(Exit::BadConfiguration, format_args!("{error}")))?;
        Self::open(&target)
    }

    pub(super) fn open(target: &Target) -> Result<Self, Failure> {
        let worker = KeyWorker::start().map_err(|error| Failure::io("the thread that renews keys", &error))?;
        let clock = clock();
        let session = Session::connect(target, &worker, clock.clone(), deadline_ns(&*clock));
        let session = session.map_err(|error| untrusted(target, &error).unwrap_or_else(|| refused(error)))?;
        session.notices().iter().for_each(|notice| eprintln!("{notice}"));
        Ok(Self { session, clock, _worker: worker })
    }

    pub(super) fn deadline_ns(&self) -> u64 {
        deadline_ns(&*self.clock)
    }

    pub(super) fn close(self) {
        let deadline = self.deadline_ns();
        self.session.close(deadline);
    }
}

/// A server that nobody has decided about waits for a decision, as with the runtime.
fn untrusted(target: &Target, error: &ConnectError) -> Option<Failure> {
    let ConnectError::Certificate { source, .. } = error else { return None };
    let directory = target.trust.directory.as_ref().filter(|_| source.fault.is_undecided())?;
    let complaint = rt_daemon::keep_pending(&error.to_string(), &source.thumbprint, &source.der, directory);
    Some(Failure::new(Exit::Unavailable, complaint))
}

pub(super) fn refused(error: ConnectError) -> Failure {
    let remedy = error.remedy().map_or(String::new(), |remedy| format!("; {remedy}"));
    Failure::new(Exit::Unavailable, format_args!("{error}{remedy}"))
}

pub(super) fn failed(what: impl std::fmt::Display, error: CallError) -> Failure {
    Failure::new(Exit::Unavailable, format_args!("{what}: {error}"))
}
