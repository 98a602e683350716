//! `corerl io`: whom the connections trust, who they are, and what the servers show.

mod browse;
mod discover;
mod line;
mod read;
mod trust;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use ua_session::{ApplicationError, ApplicationInstance, Names};

use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};
use browse::BrowseArguments;
use discover::DiscoverArguments;
use read::{ReadArguments, WatchArguments};
use trust::{Entry, TrustDirectory};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  corerl io discover opc.tcp://plc:4840\n  corerl io browse --config site.yaml\n  \
                        corerl io trust pending --config site.yaml")]
pub(crate) struct IoArguments {
    #[command(subcommand)]
    command: IoCommand,
}

#[derive(Debug, Subcommand)]
enum IoCommand {
    /// What a server offers to anybody who asks: policies, users, certificates.
    Discover(DiscoverArguments),
    /// What lies on a server, as a tree.
    Browse(BrowseArguments),
    /// Read tags, beside whatever the runtime does.
    Read(ReadArguments),
    /// Read tags again and again, and show what changes.
    Watch(WatchArguments),
    /// Server certificates that are trusted, and those that wait for a decision.
    Trust(TrustArguments),
    /// Our own certificates.
    Cert(CertArguments),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  corerl io trust add 9F86D081884C7D65 --config site.yaml\n\n\
                        Compare the thumbprint with the one that the server itself shows before you trust it.")]
struct TrustArguments {
    #[command(subcommand)]
    command: TrustCommand,
}

#[derive(Debug, Subcommand)]
enum TrustCommand {
    /// The certificates that are trusted.
    #[command(after_help = "Example:\n  corerl io trust list --config site.yaml --json")]
    List(Place),
    /// The certificates that servers presented and that nobody has decided about.
    #[command(after_help = "Example:\n  corerl io trust pending --config site.yaml")]
    Pending(Place),
    /// Trust a pending certificate, or one from a file.
    #[command(after_help = "Examples:\n  corerl io trust add 9F86D081884C7D65 --config site.yaml\n  \
                            corerl io trust add server.der --trust-dir pki")]
    Add(Chosen),
    /// Trust a certificate no longer.
    #[command(after_help = "Example:\n  corerl io trust remove 9F86D081884C7D65 --config site.yaml")]
    Remove(Chosen),
}

#[derive(Debug, Args)]
struct Place {
    /// The trust directory, with `trusted/` and `pending/` in it.
    #[arg(long, value_name = "DIR", required_unless_present = "config", conflicts_with = "config")]
    trust_dir: Option<PathBuf>,
    /// The site file that names it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The connection in the site file, when its connections have several trust directories.
    #[arg(long, value_name = "ID", requires = "config")]
    connection: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Chosen {
    /// The thumbprint (SHA-1), or its first eight digits or more; to add, also a certificate file, DER or PEM.
    #[arg(value_name = "CERTIFICATE")]
    certificate: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct CertArguments {
    #[command(subcommand)]
    command: CertCommand,
}

#[derive(Debug, Subcommand)]
enum CertCommand {
    /// Make a private key and a certificate signed with it.
    #[command(
        after_help = "Example:\n  corerl io cert create --application-uri urn:works:corerl:ph --cert client.der --key client.pem\n\n\
                            Then let the server trust client.der. The key is readable for its owner alone."
    )]
    Create(CreateArguments),
}

#[derive(Debug, Args)]
struct CreateArguments {
    /// `application_uri` of the connection in the site file.
    #[arg(long, value_name = "URI")]
    application_uri: String,
    /// Where to put the certificate (DER); not overwritten.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Where to put the private key (PEM); not overwritten.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Common name.
    #[arg(long, value_name = "NAME", default_value = "CoreRL")]
    name: String,
    /// Organization.
    #[arg(long, value_name = "NAME", default_value = "")]
    organization: String,
    /// Host name or address of this machine; may be repeated [default: the machine's name].
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// Validity in days.
    #[arg(long, value_name = "DAYS", default_value_t = 1825, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &IoArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        IoCommand::Discover(arguments) => discover::run(arguments),
        IoCommand::Browse(arguments) => browse::run(arguments),
        IoCommand::Read(arguments) => read::read(arguments),
        IoCommand::Watch(arguments) => read::watch(arguments),
        IoCommand::Trust(TrustArguments { command }) => match command {
            TrustCommand::List(place) => show(place, &place.directory()?.trusted()?),
            TrustCommand::Pending(place) => show(place, &place.directory()?.pending()?),
            TrustCommand::Add(chosen) => {
                let entry = chosen.place.directory()?.add(&chosen.certificate)?;
                done(&chosen.place, "trusted from now on", &entry)
            }
            TrustCommand::Remove(chosen) => {
                let entry = chosen.place.directory()?.remove(&chosen.certificate)?;
                done(&chosen.place, "not trusted any more", &entry)
            }
        },
        IoCommand::Cert(CertArguments { command: CertCommand::Create(arguments) }) => create(arguments),
    }
}

impl Place {
    fn directory(&self) -> Result<TrustDirectory, Failure> {
        if let Some(directory) = &self.trust_dir {
            return Ok(TrustDirectory::new(directory.clone()));
        }
        let config =
            self.config.as_deref().ok_or_else(|| Failure::new(Exit::Internal, "neither --trust-dir nor --config"))?;
        let site = crate::run::load_site(config)?;
        let wanted = |id: &str| self.connection.as_ref().is_none_or(|name| name == id);
        let connections = site.connections.iter().filter(|connection| wanted(&connection.id));
        let mut directories: Vec<_> = connections
            .filter_map(|connection| match &connection.security {
                rt_config::Security::Secured { trust_dir, .. } => Some(trust_dir.clone()),
                rt_config::Security::None => None,
            })
            .collect();
        directories.sort();
        directories.dedup();
        match (directories.pop(), directories.is_empty()) {
            (Some(only), true) => Ok(TrustDirectory::new(only)),
            (Some(_), false) => Err(Failure::new(
                Exit::BadConfiguration,
                "the connections of this site have several trust directories: name one with --connection",
            )),
            (None, _) => Err(Failure::new(
                Exit::BadConfiguration,
                format_args!("no such connection in {} has a trust directory", config.display()),
            )),
        }
    }
}

fn show(place: &Place, entries: &[Entry]) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Listed<'a> {
        certificates: &'a [Entry],
    }
    if place.json {
        print_json("corerl.trust/1", &Listed { certificates: entries })?;
    } else if entries.is_empty() {
        eprintln!("none");
    } else {
        let heading = ["thumbprint".into(), "valid until".into(), "subject".into()];
        let rows =
            entries.iter().map(|entry| [entry.thumbprint.clone(), entry.valid_until.clone(), entry.subject.clone()]);
        print_text(&table(&std::iter::once(heading).chain(rows).collect::<Vec<[String; 3]>>()))?;
    }
    Ok(Exit::Fine)
}

fn done(place: &Place, what: &str, entry: &Entry) -> Result<Exit, Failure> {
    if place.json {
        print_json("corerl.trust/1", entry)?;
    } else {
        eprintln!("{} ({}): {what}", entry.thumbprint, entry.subject);
    }
    Ok(Exit::Fine)
}

fn create(arguments: &CreateArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Created<'a> {
        thumbprint: String,
        application_uri: &'a str,
        cert: &'a PathBuf,
        key: &'a PathBuf,
    }
    let hosts = if arguments.hosts.is_empty() { vec![own_host_name()?] } else { arguments.hosts.clone() };
    let names = Names {
        application_uri: &arguments.application_uri,
        common_name: &arguments.name,
        organization: &arguments.organization,
        hosts: &hosts,
        valid_days: arguments.days,
    };
    let made =
        ApplicationInstance::generate(&arguments.cert, &arguments.key, &names).map_err(|error| match &error {
            ApplicationError::File { path, source } => Failure::io(path.display(), source),
            _ => Failure::new(Exit::Internal, &error),
        })?;
    let thumbprint = made.thumbprint().to_uppercase();
    if arguments.json {
        let CreateArguments { application_uri, cert, key, .. } = arguments;
        print_json("corerl.certificate/1", &Created { thumbprint, application_uri, cert, key })?;
    } else {
        eprintln!(
            "made {} (thumbprint {thumbprint}) and its key {}; let the server trust the certificate",
            arguments.cert.display(),
            arguments.key.display()
        );
    }
    Ok(Exit::Fine)
}

fn own_host_name() -> Result<String, Failure> {
    const PATH: &str = "/proc/sys/kernel/hostname";
    let name = std::fs::read_to_string(PATH)
        .map_err(|error| Failure::io(format_args!("name this machine with --host; {PATH}"), &error))?;
    Ok(name.trim().to_owned())
}
