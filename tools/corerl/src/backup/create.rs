//! `corerl backup create`: everything that a site has, in one file, while everything goes on.

use std::io::{Read as _, Write};
use std::path::PathBuf;

use backup::{About, Class, Depot, Locks, Manifest, Name, PutError, WriteError};
use clap::Args;
use indicatif::HumanBytes;
use serde::Serialize;
use tempfile::TempDir;

use super::gathering::{Gathered, Sites, What};
use super::told::{NewestTold, OfClass, bar, by_class, class_rows};
use super::{PLACES, Store};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

/// How often it is begun again because a day was purged meanwhile.
const ATTEMPTS: u32 = 3;
/// Bytes that are read back at once.
const CHUNK: usize = 1 << 16;

#[derive(Debug, Args)]
#[command(
    after_help = format!("Examples:\n  corerl backup create --config site.yaml --to backups\n  corerl backup create --to s3://plant-backups/works --recipient age1… --keep 14\n\nIn it are the historian's store as it is at one instant, checkpoints, policies, site files, certificates and trust lists, private\nkeys, and what runtimes keep on disk. Passwords that a site file takes from elsewhere are not, nor is what lies in PostgreSQL: the\ndatabase's own tools keep that. A backup that is not encrypted is as secret as the keys in it.\n\n{PLACES}\n\nExit codes: 1 what was written is not what is there, 69 something that was named is not there, 75 the place does not answer, 78 a\nsite file is refused.")
)]
pub(super) struct CreateArguments {
    #[command(flatten)]
    what: What,
    /// The place where it is put.
    #[arg(long, value_name = "PLACE")]
    to: String,
    #[command(flatten)]
    store: Store,
    /// Encrypt it for this recipient, age1…; may be repeated. Whoever has one of their identities can open it.
    #[arg(long, value_name = "RECIPIENT", conflicts_with = "passphrase_file")]
    recipient: Vec<String>,
    /// Encrypt it by the passphrase on the first line of this file.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// What it is called after [default: the site].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Keep so many of this name, and remove the oldest ones, once this one has been read back.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What became of it.
#[derive(Debug, Serialize)]
struct Created {
    backup: String,
    bytes: u64,
    encrypted: bool,
    private_keys: u64,
    files: Vec<OfClass>,
    newest: Vec<NewestTold>,
    removed: Vec<String>,
}

pub(super) fn run(arguments: &CreateArguments) -> Result<Exit, Failure> {
    let locks = Locks::new(&arguments.recipient, arguments.passphrase_file.as_deref())?;
    let depot = Depot::at(&arguments.to, arguments.store.endpoint.as_deref())?;
    let sites = arguments.what.sites()?;
    let site = match &arguments.name {
        Some(name) => name,
        None => sites.name()?,
    };
    let mut attempt = 1;
    let put = loop {
        match put(arguments, &sites, site, &depot, &locks) {
            Err(Unput::Archive(PutError::Archive(WriteError::Changed { .. }))) if attempt < ATTEMPTS => attempt += 1,
            Err(Unput::Archive(error)) => return Err(error.into()),
            Err(Unput::Gathering(failure)) => return Err(failure),
            Ok(put) => break put,
        }
    };
    let removed = match arguments.keep {
        Some(keep) => {
            read_back(&depot, &put)?;
            remove_old(&depot, site, keep)?
        }
        None => Vec::new(),
    };
    tell(arguments.json, &created(&depot, &put, removed))
}

/// An archive that was put into its place.
struct Put {
    name: Name,
    about: About,
    manifest: Manifest,
    bytes: u64,
    digest: blake3::Hash,
}

/// Why there is none.
enum Unput {
    Gathering(Failure),
    Archive(PutError),
}

fn put(arguments: &CreateArguments, sites: &Sites, site: &str, depot: &Depot, locks: &Locks) -> Result<Put, Unput> {
    let staging = staging(depot).map_err(Unput::Gathering)?;
    let now_unix_ns = rt_sys::unix_time().as_ns();
    let name = Name::new(site, now_unix_ns, locks.is_locked()).map_err(|error| Unput::Gathering(error.into()))?;
    let not: Vec<_> = depot.directory().map(PathBuf::from).into_iter().collect();
    let gathered = arguments.what.gather(sites, staging.path(), &not).map_err(Unput::Gathering)?;
    let Gathered { holdings, newest } = gathered;
    let about =
        About::new(concat!("corerl ", env!("CARGO_PKG_VERSION")).to_owned(), site.to_owned(), now_unix_ns, newest);
    let bar = bar("keeping", holdings.bytes());
    let filled = depot.put(&name, |to| {
        let mut counted = Counted { to, bytes: 0, hasher: blake3::Hasher::new() };
        let manifest = backup::write(&about, &holdings, locks, &mut counted, &mut |bytes| bar.inc(bytes))?;
        Ok((manifest, counted.bytes, counted.hasher.finalize()))
    });
    bar.finish_and_clear();
    let (manifest, bytes, digest) = filled.map_err(Unput::Archive)?;
    Ok(Put { name, about, manifest, bytes, digest })
}

/// A place for copies of what changes: where the archive goes there has to be room anyway.
fn staging(depot: &Depot) -> Result<TempDir, Failure> {
    let usual = std::env::temp_dir();
    let parent = depot.directory().unwrap_or(&usual);
    let made =
        std::fs::create_dir_all(parent).and_then(|()| tempfile::Builder::new().prefix(".copies-").tempdir_in(parent));
    made.map_err(|error| Failure::io("it cannot be written", &error).about(parent))
}

/// Counts what passes, and has its digest.
struct Counted<'a> {
    to: &'a mut dyn Write,
    bytes: u64,
    hasher: blake3::Hasher,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

/// Whether what lies in its place now is what was written. Whoever encrypts need not have the key to know that.
fn read_back(depot: &Depot, put: &Put) -> Result<(), Failure> {
    let address = depot.address_of(&put.name);
    let failed = |error| Failure::io("it cannot be read back", &error).about(address.as_ref());
    let (mut from, mut hasher, mut bytes) = (depot.open(&put.name)?, blake3::Hasher::new(), vec![0; CHUNK]);
    loop {
        match from.read(&mut bytes).map_err(failed)? {
            0 => break,
            read => hasher.update(&bytes[..read]),
        };
    }
    if hasher.finalize() == put.digest {
        return Ok(());
    }
    let message = format!("{address}: what lies there is not what was written; no older backup is removed");
    Err(Failure::new(Exit::CheckFailed, message))
}

/// Removes the oldest ones of this name; what was removed.
fn remove_old(depot: &Depot, site: &str, keep: u32) -> Result<Vec<String>, Failure> {
    let mut kept: Vec<Name> = depot.list()?.into_iter().map(|kept| kept.name).collect();
    kept.retain(|name| name.site() == site);
    let too_many = kept.len().saturating_sub(keep as usize);
    kept.truncate(too_many);
    kept.iter().try_for_each(|name| depot.remove(name))?;
    Ok(kept.iter().map(Name::to_string).collect())
}

fn created(depot: &Depot, put: &Put, removed: Vec<String>) -> Created {
    let is_key = |file: &&backup::Entry| file.class == Class::PrivateKey;
    Created {
        backup: depot.address_of(&put.name),
        bytes: put.bytes,
        encrypted: put.name.is_locked(),
        private_keys: put.manifest.files.iter().filter(is_key).count() as u64,
        files: by_class(&put.manifest),
        newest: NewestTold::of(&put.about, put.about.begun_unix_ns),
        removed,
    }
}

fn tell(json: bool, created: &Created) -> Result<Exit, Failure> {
    if json {
        print_json("corerl.backup-create/1", created)?;
    } else {
        let mut rows = class_rows(&created.files);
        rows.extend(created.newest.iter().map(NewestTold::row));
        rows.extend(created.removed.iter().map(|name| ["removed".to_owned(), name.clone()]));
        rows.push(["backup".to_owned(), format!("{}, {}", created.backup, HumanBytes(created.bytes))]);
        print_text(&table(&rows))?;
    }
    if created.private_keys > 0 && !created.encrypted {
        eprintln!(
            "warning: private keys are in it ({}), and it is not encrypted: it is as secret as they are; --recipient encrypts",
            created.private_keys
        );
    }
    Ok(Exit::Fine)
}
