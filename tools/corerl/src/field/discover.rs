//! `corerl io discover`: what a server offers to anybody who asks.

use clap::Args;
use serde::Serialize;
use ua_session::OfferedEndpoint;

use super::line;
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  corerl io discover opc.tcp://plc:4840\n\n\
                        Nothing of it is verified: compare the thumbprint with what the server itself shows.")]
pub(super) struct DiscoverArguments {
    /// `opc.tcp://host:port[/path]`.
    url: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Offered {
    endpoints: Vec<Endpoint>,
}

#[derive(Serialize)]
struct Endpoint {
    url: String,
    application_uri: String,
    security: String,
    supported: bool,
    users: Vec<String>,
    thumbprint: String,
    subject: String,
}

pub(super) fn run(arguments: &DiscoverArguments) -> Result<Exit, Failure> {
    let clock = line::clock();
    let found = ua_session::discover(&arguments.url, clock.clone(), line::deadline_ns(&*clock));
    let offered = Offered { endpoints: found.map_err(line::refused)?.into_iter().map(Endpoint::from).collect() };
    if arguments.json {
        print_json("corerl.endpoints/1", &offered)?;
    } else {
        print_text(&offered.endpoints.iter().map(Endpoint::told).collect::<String>())?;
    }
    Ok(Exit::Fine)
}

impl From<OfferedEndpoint> for Endpoint {
    fn from(of: OfferedEndpoint) -> Self {
        Self {
            url: of.url,
            application_uri: of.application_uri,
            security: of.security,
            supported: of.is_supported,
            users: of.identities,
            thumbprint: of.thumbprint.to_uppercase(),
            subject: of.subject,
        }
    }
}

impl Endpoint {
    fn told(&self) -> String {
        let supported = if self.supported { "" } else { " (not for CoreRL)" };
        let mut text = format!("{}{supported}\n", self.security);
        let certificate = format!("{}  {}", self.thumbprint, self.subject);
        let facts = [
            ("url", self.url.as_str()),
            ("server", &self.application_uri),
            ("users", &self.users.join(", ")),
            ("certificate", if self.thumbprint.is_empty() { "none" } else { &certificate }),
        ];
        facts.iter().for_each(|(name, value)| text += &format!("  {name:<11} {value}\n"));
        text
    }
}
