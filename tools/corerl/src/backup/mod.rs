//! `corerl backup`: what a site has, in one file, and back.

mod create;
mod gathering;
mod list;
mod proofs;
mod rehearse;
mod restore;
mod told;
mod verify;

use std::path::PathBuf;

use ::backup::{Depot, DepotError, HoldingsError, KeyError, Keys, Name, NameError, PutError, ReadError, RestoreError};
use clap::{Args, Subcommand};

use crate::failure::{Exit, Failure};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  corerl backup create --config site.yaml --to backups\n  corerl backup rehearse backups\n  corerl backup restore backups --to /srv/corerl"
)]
pub(crate) struct BackupArguments {
    #[command(subcommand)]
    command: BackupCommand,
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Put everything that a site has into one file, while runtime, learner and historian go on.
    Create(create::CreateArguments),
    /// List the backups in a place.
    List(list::ListArguments),
    /// Check whether every byte of a backup is what was written.
    Verify(verify::VerifyArguments),
    /// Bring a backup back, into a place where nothing is.
    Restore(restore::RestoreArguments),
    /// Prove that a backup can be brought back and be used, in a place of its own.
    Rehearse(rehearse::RehearseArguments),
}

pub(crate) fn run(arguments: &BackupArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        BackupCommand::Create(arguments) => create::run(arguments),
        BackupCommand::List(arguments) => list::run(arguments),
        BackupCommand::Verify(arguments) => verify::run(arguments),
        BackupCommand::Restore(arguments) => restore::run(arguments),
        BackupCommand::Rehearse(arguments) => rehearse::run(arguments),
    }
}

/// What `--help` says of places.
const PLACES: &str = "A place is a directory, file:///DIR, or s3://BUCKET/PREFIX: an object store with the keys, region and endpoint of the\nenvironment, as AWS's tools have them (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION,\nAWS_ENDPOINT_URL, AWS_CA_BUNDLE).";

/// Where an object store is.
#[derive(Clone, Debug, Args)]
struct Store {
    /// The object store's address, where that is not AWS [default: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL].
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
}

/// Which backup, and what opens it.
#[derive(Clone, Debug, Args)]
struct Which {
    /// The backup, or the place where backups are: then the newest one there.
    #[arg(value_name = "BACKUP")]
    archive: String,
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    opening: Opening,
}

/// What opens an encrypted backup.
#[derive(Clone, Debug, Args)]
struct Opening {
    /// A file with the identity that opens it, as `age-keygen` makes it; may be repeated.
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// A file with the passphrase that opens it on its first line.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Opening {
    fn keys(&self) -> Result<Keys, Failure> {
        Ok(Keys::new(&self.identity, self.passphrase_file.as_deref())?)
    }
}

/// A backup that was found.
struct Chosen {
    depot: Depot,
    name: Name,
    keys: Keys,
    size: u64,
}

impl Which {
    fn choose(&self) -> Result<Chosen, Failure> {
        let keys = self.opening.keys()?;
        let (depot, name) = Depot::of_archive(&self.archive, self.store.endpoint.as_deref())?;
        let found = depot.list()?.into_iter().rev().find(|kept| name.as_ref().is_none_or(|name| *name == kept.name));
        match found {
            Some(kept) => Ok(Chosen { depot, name: kept.name, keys, size: kept.size }),
            None => Err(Failure::new(
                Exit::Unavailable,
                format!("{}: there is no backup; `corerl backup list` shows what is in a place", self.archive),
            )),
        }
    }
}

impl Chosen {
    fn address(&self) -> String {
        self.depot.address_of(&self.name)
    }

    /// A failure with the backup that it is about.
    fn failed(&self, failure: impl Into<Failure>) -> Failure {
        failure.into().about(self.address().as_ref())
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let exit = match &error {
            KeyError::NoRecipient(_) | KeyError::Both => Exit::Usage,
            KeyError::Unreadable { .. } | KeyError::NoPassphrase { .. } => Exit::Unavailable,
        };
        Self::new(exit, error)
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

impl From<HoldingsError> for Failure {
    fn from(error: HoldingsError) -> Self {
        match error {
            HoldingsError::Io { path, source } => Self::io("it cannot be read", &source).about(&path),
            error => Self::new(Exit::BadConfiguration, error),
        }
    }
}

impl From<DepotError> for Failure {
    fn from(error: DepotError) -> Self {
        let exit = match &error {
            DepotError::File { path, source } => return Self::io("it cannot be used", source).about(path),
            DepotError::NoPlace(_) | DepotError::NoCredentials => Exit::Usage,
            DepotError::Refused { status: 401 | 403, .. } => Exit::NoPermission,
            DepotError::Refused { status: 404, .. } | DepotError::Exists(_) => Exit::Unavailable,
            DepotError::Refused { .. } | DepotError::Unreachable { .. } => Exit::Temporary,
        };
        Self::new(exit, error)
    }
}

impl From<PutError> for Failure {
    fn from(error: PutError) -> Self {
        use ::backup::WriteError;
        match error {
            PutError::Depot(error) => error.into(),
            PutError::Archive(WriteError::Source { path, source }) => {
                Self::io("it cannot be read", &source).about(&path)
            }
            PutError::Archive(error @ WriteError::Changed { .. }) => Self::new(Exit::Temporary, error),
            PutError::Archive(WriteError::Target(error)) => Self::io("the backup cannot be written", &error),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let exit = match &error {
            ReadError::Locked => Exit::Usage,
            ReadError::OtherKey(_) => Exit::NoPermission,
            ReadError::Damaged(_) => Exit::CheckFailed,
            ReadError::TooNew(_) => Exit::Unavailable,
            ReadError::Source(_) => Exit::Temporary,
            ReadError::Taker(_) => Exit::Internal,
        };
        Self::new(exit, error)
    }
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Archive(error) => error.into(),
            RestoreError::Place { path, source } => Self::io("it cannot be written", &source).about(&path),
            error @ RestoreError::NotEmpty(_) => Self::new(Exit::Usage, error),
        }
    }
}
