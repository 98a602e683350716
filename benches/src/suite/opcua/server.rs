//! The server that all clients talk to: open62541's when there is one, else the simulated plant.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde::Deserialize;
use ua_session::{ApplicationInstance, MessageMode, Names, Security, SecurityPolicy};

use crate::helper::Helper;
use crate::peer::{Peer, Role, with_role};

/// The client's application URI.
pub(super) const APPLICATION_URI: &str = "urn:corerl:bench";
const SERVER_URI: &str = "urn:corerl:interop:server";

/// A server as a process.
pub(super) struct Server {
    _process: Helper,
    /// Whose it is.
    pub(super) whose: &'static str,
    pub(super) url: String,
    /// The server's certificate, where there is one.
    pub(super) certificate: Option<PathBuf>,
    /// How our client secures its channel.
    pub(super) security: Security,
    /// Certificates and keys of both sides, where there are any.
    pub(super) pki: PathBuf,
}

/// What it says when it is ready.
#[derive(Deserialize)]
struct Announcement {
    url: String,
    certificate: Option<PathBuf>,
}

impl Server {
    /// One with so many more values that change a hundred times a second, if it is open62541's.
    pub(super) fn start(encrypted: bool, items: usize, peers: &[Peer], directory: &Path) -> Result<Self, String> {
        let pki = directory.join(if encrypted { "encrypted" } else { "clear" });
        let security = if encrypted { secured(&pki)? } else { Security::None };
        let (whose, mut command) = match with_role(peers, Role::Open62541Server) {
            Some(program) => ("open62541", Command::new(program)),
            None => ("the simulated plant", simulated_plant(&pki)?),
        };
        command.args(["--port", "0"]);
        match (encrypted, whose) {
            (false, _) => {}
            (true, "open62541") => drop(command.args(["--security", "encrypt", "--pki"]).arg(&pki)),
            (true, _) => drop(command.args(["--security", "encrypt", "--trust-all-clients"])),
        }
        if whose == "open62541" {
            command.args(["--items", &items.to_string()]);
        }
        let process = Helper::spawn(command)?;
        let said: Announcement = serde_json::from_str(process.line()).map_err(|error| error.to_string())?;
        let certificate = said.certificate.or_else(|| encrypted.then(|| certificate(&pki, "server")));
        Ok(Self { _process: process, whose, url: said.url, certificate, security, pki })
    }
}

fn simulated_plant(pki: &Path) -> Result<Command, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?.with_file_name("corerl-plant");
    let mut command = Command::new(program);
    command.args(["--plant", "saturation", "--json", "--tether", "--pki"]).arg(pki.join("plant"));
    Ok(command)
}

fn certificate(pki: &Path, name: &str) -> PathBuf {
    pki.join(name).join("cert.der")
}

/// Makes certificates of both sides.
fn secured(pki: &Path) -> Result<Security, String> {
    make_identity(pki, "server", SERVER_URI)?;
    let application = make_identity(pki, "client", APPLICATION_URI)?;
    let (policy, mode) = (SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt);
    Ok(Security::Secured { policy, mode, application: Arc::new(application) })
}

fn make_identity(pki: &Path, name: &str, application_uri: &str) -> Result<ApplicationInstance, String> {
    for place in [pki.join(name), pki.join("private")] {
        fs::create_dir_all(place).map_err(|error| error.to_string())?;
    }
    let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let names = Names { application_uri, common_name: name, organization: "", hosts: &hosts, valid_days: 2 };
    let key = pki.join("private").join(format!("{name}.pem"));
    ApplicationInstance::generate(&certificate(pki, name), &key, &names).map_err(|error| error.to_string())
}
