//! `corerl io`: whom the connections trust, who they are, what the servers show, and setpoints by hand.

mod browse;
mod discover;
mod draft;
mod line;
mod read;
mod trust;
mod write;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use ua_session::{ApplicationError, ApplicationInstance, CertificateFacts, Names, Revocation, Trust};

use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};
use browse::BrowseArguments;
use discover::DiscoverArguments;
pub(crate) use draft::{FromServerArguments, run as draft_site};
use read::{ReadArguments, WatchArguments};
use trust::{Added, Entry, List, TrustDirectory};
use write::WriteArguments;

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
    /// Move setpoints by hand, through the envelope and in the place of a runtime that is not armed.
    Write(WriteArguments),
    /// Servers and authorities that are trusted, revocation lists, and servers that wait for a decision.
    Trust(TrustArguments),
    /// Our own certificates, and how one is judged.
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
    /// The servers and authorities that are trusted, issuers, and revocation lists.
    #[command(after_help = "Example:\n  corerl io trust list --config site.yaml --json")]
    List(Place),
    /// The certificates that servers presented and that nobody has decided about.
    #[command(after_help = "Example:\n  corerl io trust pending --config site.yaml")]
    Pending(Place),
    /// Trust a pending certificate, or a certificate or revocation list from a file.
    #[command(after_help = "Examples:\n  corerl io trust add 9F86D081884C7D65 --config site.yaml\n  \
                            corerl io trust add authority.der --trust-dir pki\n  \
                            corerl io trust add intermediate.der --issuer --trust-dir pki\n  \
                            corerl io trust add authority.crl --trust-dir pki\n\n\
                            A trusted authority vouches for every server that it issued a certificate for.")]
    Add(AddArguments),
    /// Trust a certificate no longer.
    #[command(after_help = "Example:\n  corerl io trust remove 9F86D081884C7D65 --config site.yaml")]
    Remove(Chosen),
}

#[derive(Debug, Args)]
struct Place {
    /// The trust directory, with `trusted/`, `issuers/`, `crl/` and `pending/` in it.
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
struct AddArguments {
    #[command(flatten)]
    chosen: Chosen,
    /// An authority that is not to be trusted by itself: it links servers with one that is.
    #[arg(long)]
    issuer: bool,
}

#[derive(Debug, Args)]
struct Chosen {
    /// The thumbprint (SHA-1), or its first eight digits or more; to add or show, also a file, DER or PEM.
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
    /// Show a certificate, the chain to whoever is trusted, and the verdict.
    #[command(after_help = "Example:\n  corerl io cert show 9F86D081884C7D65 --config site.yaml\n\n\
                            The server's host and application are judged by the runtime alone.")]
    Show(Chosen),
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
        IoCommand::Write(arguments) => write::run(arguments),
        IoCommand::Trust(TrustArguments { command }) => match command {
            TrustCommand::List(place) => {
                let directory = place.directory()?;
                show(place, &directory.trusted()?, Some(&directory.lists(now_unix_s())?))
            }
            TrustCommand::Pending(place) => show(place, &place.directory()?.pending()?, None),
            TrustCommand::Add(AddArguments { chosen: Chosen { certificate, place }, issuer }) => {
                added(place, &place.directory()?.add(certificate, *issuer, now_unix_s())?)
            }
            TrustCommand::Remove(chosen) => {
                let entry = chosen.place.directory()?.remove(&chosen.certificate)?;
                done(&chosen.place, "not trusted any more", &entry)
            }
        },
        IoCommand::Cert(CertArguments { command }) => match command {
            CertCommand::Create(arguments) => create(arguments),
            CertCommand::Show(chosen) => examine(chosen),
        },
    }
}

fn now_unix_s() -> i64 {
    i64::try_from(rt_sys::unix_time().as_ns() / 1_000_000_000).unwrap_or(i64::MAX)
}

impl Place {
    fn directory(&self) -> Result<TrustDirectory, Failure> {
        self.trust().map(|(directory, _)| TrustDirectory::new(directory))
    }

    /// The trust directory, and what its authorities have to say of those whom they vouch for.
    fn trust(&self) -> Result<(PathBuf, Revocation), Failure> {
        if let Some(directory) = &self.trust_dir {
            return Ok((directory.clone(), Revocation::Required));
        }
        let config =
            self.config.as_deref().ok_or_else(|| Failure::new(Exit::Internal, "neither --trust-dir nor --config"))?;
        let site = crate::run::load_site(config)?;
        let wanted = |id: &str| self.connection.as_ref().is_none_or(|name| name == id);
        let connections = site.connections.iter().filter(|connection| wanted(&connection.id));
        let mut directories: Vec<_> = connections
            .filter_map(|connection| match &connection.security {
                rt_config::Security::Secured { trust_dir, revocation, .. } => {
                    Some((trust_dir.clone(), *revocation == rt_config::Revocation::Optional))
                }
                rt_config::Security::None => None,
            })
            .collect();
        // Where connections of one directory differ, the stricter one is shown.
        directories.sort();
        directories.dedup_by(|(later, _), (earlier, _)| later == earlier);
        match (directories.pop(), directories.is_empty()) {
            (Some((only, is_optional)), true) => {
                Ok((only, if is_optional { Revocation::Optional } else { Revocation::Required }))
            }
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

fn show(place: &Place, entries: &[Entry], lists: Option<&[List]>) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Listed<'a> {
        certificates: &'a [Entry],
        #[serde(skip_serializing_if = "Option::is_none")]
        revocation_lists: Option<&'a [List]>,
    }
    let lists_shown = lists.unwrap_or_default();
    if place.json {
        print_json("corerl.trust/1", &Listed { certificates: entries, revocation_lists: lists })?;
    } else if entries.is_empty() && lists_shown.is_empty() {
        eprintln!("none");
    } else {
        let rows = entries.iter().map(|entry| {
            [entry.kind.name().into(), entry.thumbprint.clone(), entry.valid_until.clone(), entry.subject.clone()]
        });
        print_text(&table(&std::iter::once(CERTIFICATE_HEADING.map(String::from)).chain(rows).collect::<Vec<_>>()))?;
        if !lists_shown.is_empty() {
            print_text(&format!("\n{}", list_table(lists_shown)))?;
        }
    }
    Ok(Exit::Fine)
}

const CERTIFICATE_HEADING: [&str; 4] = ["kind", "thumbprint", "valid until", "subject"];

fn list_table(lists: &[List]) -> String {
    let heading = ["revocation list of", "issued", "next update", "revoked", "signed by"].map(String::from);
    let row = |list: &List| {
        let next_update = list.next_update.as_deref().unwrap_or("not said");
        let late = if list.is_current { "" } else { " (out of date)" };
        let authority = list.authority.clone().unwrap_or_else(|| "no authority here: it counts for nothing".into());
        [list.issuer.clone(), list.issued.clone(), format!("{next_update}{late}"), list.revoked.to_string(), authority]
    };
    table(&std::iter::once(heading).chain(lists.iter().map(row)).collect::<Vec<_>>())
}

fn done(place: &Place, what: &str, entry: &Entry) -> Result<Exit, Failure> {
    if place.json {
        print_json("corerl.trust/1", entry)?;
    } else {
        eprintln!("{} ({}): {what}", entry.thumbprint, entry.subject);
    }
    Ok(Exit::Fine)
}

fn added(place: &Place, added: &Added) -> Result<Exit, Failure> {
    match added {
        Added::Certificate(entry) => {
            let what = match entry.kind {
                trust::Kind::Server => "trusted from now on, as a server",
                trust::Kind::Authority => "trusted from now on, as an authority: every server that it vouches for is",
                trust::Kind::Issuer => "links servers with an authority from now on; it is not trusted by itself",
            };
            done(place, &format!("{what}; it is in {}", entry.file.display()), entry)
        }
        Added::List(list) if place.json => print_json("corerl.trust/1", list).map(|()| Exit::Fine),
        Added::List(list) => {
            let late = if list.is_current { "" } else { ", which is past: get a newer one" };
            eprintln!(
                "the revocation list of {} ({} revoked) counts from now on; it is in {}; the next one is due {}{late}",
                list.issuer,
                list.revoked,
                list.file.display(),
                list.next_update.as_deref().unwrap_or("at a time that it does not say")
            );
            Ok(Exit::Fine)
        }
    }
}

/// Shows how a certificate is judged.
fn examine(chosen: &Chosen) -> Result<Exit, Failure> {
    let (directory, revocation) = chosen.place.trust()?;
    let bytes = if trust::is_thumbprint(&chosen.certificate) {
        TrustDirectory::new(directory.clone()).find(&chosen.certificate)?.der
    } else {
        trust::read_bytes(Path::new(&chosen.certificate))?
    };
    let by = Trust { directory: Some(directory), revocation, ..Trust::default() };
    let examined = ua_session::examine(&bytes, &by, now_unix_s())
        .map_err(|fault| Failure::new(Exit::CheckFailed, format_args!("{}: {fault}", chosen.certificate)))?;
    let refusal = examined.verdict.err().map(|fault| fault.to_string());
    show_chain(&chosen.place, &examined.chain, refusal.as_deref())?;
    Ok(if refusal.is_none() { Exit::Fine } else { Exit::CheckFailed })
}

fn show_chain(place: &Place, chain: &[CertificateFacts], refusal: Option<&str>) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Link<'a> {
        is_authority: bool,
        thumbprint: String,
        subject: &'a str,
        valid_until: &'a str,
    }
    #[derive(Serialize)]
    struct Shown<'a> {
        trusted: bool,
        refusal: Option<&'a str>,
        chain: Vec<Link<'a>>,
    }
    let links = chain.iter().map(|facts| Link {
        is_authority: facts.is_authority,
        thumbprint: facts.thumbprint.to_uppercase(),
        subject: &facts.subject,
        valid_until: &facts.valid_until,
    });
    if place.json {
        return print_json("corerl.chain/1", &Shown { trusted: refusal.is_none(), refusal, chain: links.collect() });
    }
    let rows = links.map(|link| {
        let kind = if link.is_authority { "authority" } else { "server" };
        [kind.to_owned(), link.thumbprint, link.valid_until.to_owned(), link.subject.to_owned()]
    });
    print_text(&table(&std::iter::once(CERTIFICATE_HEADING.map(String::from)).chain(rows).collect::<Vec<_>>()))?;
    match refusal {
        None => eprintln!("trusted"),
        Some(refusal) => eprintln!("not trusted: {refusal}"),
    }
    Ok(())
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
