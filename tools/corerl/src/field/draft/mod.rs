//! `corerl config from-server`: a site file drafted from what lies on a server.
//!
//! The draft reads and writes nothing by itself: every node becomes an input, and which of the writable ones are setpoints a
//! person decides.

mod yaml;

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rt_core::tag::TAGS_MAX;
use ua_session::{
    ApplicationInstance, Identity, MessageMode, NodeAddress, NodeClass, NodeDescription, NodeId, NodeKind,
    OfferedEndpoint, Scale, Security, SecurityPolicy, Target, Trust,
};

use super::browse::{Found, OBJECTS, walk};
use super::line::{self, Line, failed};
use crate::failure::{Exit, Failure};
use crate::output::print_text;
use yaml::{Candidate, Draft, Way};

/// How deep the tree is looked at.
const DEPTH_MAX: usize = 16;
/// What a session without a certificate of its own calls itself; the default of the site file.
const APPLICATION_URI: &str = "urn:corerl:rt";
/// From the best policy to the one that every server has.
const POLICIES: [SecurityPolicy; 3] =
    [SecurityPolicy::Aes256Sha256RsaPss, SecurityPolicy::Aes128Sha256RsaOaep, SecurityPolicy::Basic256Sha256];

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  corerl config from-server opc.tcp://plc:4840 --cert pki/corerl.der --key pki/corerl.pem -o site.yaml\n  \
                        corerl config from-server opc.tcp://127.0.0.1:4840 --below 'nsu=urn:example:plant;s=Reactor'\n\n\
                        Every readable number and Boolean becomes an input. Nodes that may be written are marked; make those that \
                        shall be controlled setpoints by hand. What is left to fill in is said at the end, as `corerl config check` \
                        says it. Without --cert, the server is read in clear, if it lets itself be."
)]
pub(crate) struct FromServerArguments {
    /// `opc.tcp://host:port[/path]`.
    url: String,
    /// Where to put the site file; not overwritten [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Where to begin on the server.
    #[arg(long, value_name = "NODE", default_value = OBJECTS)]
    below: NodeAddress,
    /// Our certificate, as `corerl io cert create` makes it.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The trust directory, as of `corerl io trust`.
    #[arg(long, value_name = "DIR", default_value = "trust")]
    trust_dir: PathBuf,
    /// The user at the server.
    #[arg(long, value_name = "NAME", requires = "password_env")]
    user: Option<String>,
    /// The environment variable that has the password.
    #[arg(long, value_name = "VARIABLE", requires = "user")]
    password_env: Option<String>,
}

pub(crate) fn run(arguments: &FromServerArguments) -> Result<Exit, Failure> {
    let clock = line::clock();
    let offered =
        ua_session::discover(&arguments.url, clock.clone(), line::deadline_ns(&*clock)).map_err(line::refused)?;
    let mut line = Line::open(&target(arguments, &offered)?)?;
    let candidates = candidates(&mut line, &arguments.below)?;
    line.close();
    if candidates.is_empty() {
        let message = format!("no number and no Boolean that may be read lies below {}", arguments.below);
        return Err(Failure::new(Exit::CheckFailed, message));
    }
    let way = Way {
        url: &arguments.url,
        secured: best(&offered),
        cert: arguments.cert.as_deref(),
        key: arguments.key.as_deref(),
        trust_dir: &arguments.trust_dir,
        user: arguments.user.as_deref().zip(arguments.password_env.as_deref()),
    };
    let text = Draft { way, candidates: &candidates }.to_string();
    put(arguments.output.as_deref(), &text)?;
    say(&candidates, &text, arguments.output.as_deref());
    Ok(Exit::Fine)
}

/// The best secured endpoint that we can use, and its policy.
fn best(offered: &[OfferedEndpoint]) -> Option<(SecurityPolicy, &OfferedEndpoint)> {
    POLICIES.iter().find_map(|&policy| {
        let wanted = format!("{policy}/{}", MessageMode::SignAndEncrypt);
        offered.iter().find(|endpoint| endpoint.security == wanted).map(|endpoint| (policy, endpoint))
    })
}

fn target(arguments: &FromServerArguments, offered: &[OfferedEndpoint]) -> Result<Target, Failure> {
    let refused = |message: &dyn std::fmt::Display| Failure::new(Exit::BadConfiguration, message);
    let mut target = Target::lab(&arguments.url, APPLICATION_URI);
    match (&arguments.cert, &arguments.key, best(offered)) {
        (Some(cert), Some(key), Some((policy, _))) => {
            let application = ApplicationInstance::load(cert, key).map_err(|error| refused(&error))?;
            let (mode, application) = (MessageMode::SignAndEncrypt, Arc::new(application));
            target.security = Security::Secured { policy, mode, application };
            target.trust = Trust { directory: Some(arguments.trust_dir.clone()), ..Trust::default() };
        }
        (Some(_), ..) => {
            return Err(refused(&"the server offers no endpoint that signs and encrypts: leave --cert and --key out"));
        }
        _ if offered.iter().any(|endpoint| endpoint.security == "None") => {}
        _ => {
            return Err(refused(
                &"the server cannot be read in clear: make a certificate, let the server trust it, and name it here with --cert \
                  and --key: corerl io cert create --application-uri urn:corerl:rt --cert pki/corerl.der --key pki/corerl.pem",
            ));
        }
    }
    if let (Some(user), Some(variable)) = (&arguments.user, &arguments.password_env) {
        let password = std::env::var(variable)
            .map_err(|_| refused(&format_args!("the environment variable {variable} does not hold a password")))?;
        target.identity = Identity::UserPassword { user: user.clone(), password };
    }
    Ok(target)
}

/// Every readable scalar below a node, each once.
fn candidates(line: &mut Line, below: &NodeAddress) -> Result<Vec<Candidate>, Failure> {
    let found = walk(line, below, DEPTH_MAX, false)?;
    let variables: Vec<_> = variables(&found).collect();
    let ids: Vec<_> = variables.iter().map(|(place, _)| found[*place].child.id.clone()).collect();
    let deadline = line.deadline_ns();
    let described =
        line.session.describe(&ids, deadline).map_err(|error| failed("asking what the nodes are", error))?;
    let scales = scales(line, &ids)?;
    let (mut names, namespaces) = (Names::default(), line.session.namespaces());
    let candidate = |(((place, parents), of), scale): ((&(usize, Vec<&str>), NodeDescription), Scale)| {
        let NodeKind::Scalar(kind) = of.kind else { return None };
        let child = &found[*place].child;
        let Scale { unit, range } = scale;
        of.readable.then(|| Candidate {
            name: names.give(parents, &child.browse_name),
            node: NodeAddress::of(&child.id, namespaces).to_string(),
            kind,
            writable: of.writable,
            unit,
            range,
        })
    };
    let mut candidates: Vec<_> = variables.iter().zip(described).zip(scales).filter_map(candidate).collect();
    if candidates.len() > TAGS_MAX {
        let count = candidates.len();
        eprintln!(
            "the first {TAGS_MAX} of {count} nodes, which is all that one agent reads: begin further down for others"
        );
        candidates.truncate(TAGS_MAX);
    }
    Ok(candidates)
}

/// The ranges and units of these variables.
fn scales(line: &mut Line, ids: &[NodeId]) -> Result<Vec<Scale>, Failure> {
    let deadline = line.deadline_ns();
    let read = line.session.find_scales(ids, deadline).and_then(|plan| line.session.read_scales(&plan, deadline));
    read.map_err(|error| failed("reading ranges and units", error))
}

/// The places of those variables that are no properties and not the server's own, with the names above each.
fn variables(found: &[Found]) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let mut above: Vec<&str> = Vec::new();
    found.iter().enumerate().filter_map(move |(place, Found { depth, child })| {
        above.truncate(*depth);
        let parents = above.clone();
        above.push(&child.browse_name);
        let is_wanted = child.class == NodeClass::Variable && !child.is_property && child.id.namespace != 0;
        is_wanted.then_some((place, parents))
    })
}

/// Names that are valid and given once.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    /// The browse name; with as many of the names above it as make it unique, else with a number.
    fn give(&mut self, parents: &[&str], browse_name: &str) -> String {
        let parts: Vec<_> = parents.iter().chain([&browse_name]).map(|part| plain(part)).collect();
        let joined = (1..=parts.len()).map(|count| parts[parts.len() - count..].join("."));
        let numbered = (2..).map(|number| format!("{}_{number}", parts.join(".")));
        let free = joined.chain(numbered).find(|name| !self.0.contains(name)).unwrap_or_default();
        self.0.insert(free.clone());
        free
    }
}

/// A name that can stand in expressions.
fn plain(name: &str) -> String {
    let permitted = |c: char| if c.is_alphanumeric() || "_.-".contains(c) { c } else { '_' };
    if name.is_empty() { "tag".to_owned() } else { name.chars().map(permitted).collect() }
}

fn put(output: Option<&Path>, text: &str) -> Result<(), Failure> {
    let Some(path) = output else { return print_text(text) };
    let written =
        OpenOptions::new().write(true).create_new(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::io(format_args!("{} cannot be made", path.display()), &error))
}

/// What was found, and what is left to a person.
fn say(candidates: &[Candidate], text: &str, output: Option<&Path>) {
    let writable = candidates.iter().filter(|of| of.writable).count();
    eprintln!("{} inputs, of which {writable} could be setpoints", candidates.len());
    let path = output.unwrap_or(Path::new("site.yaml"));
    if let Err(refused) = rt_config::parse_to_look_at(text, path) {
        eprintln!("left to fill in, beside what the comments say:\n{refused}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_and_given_once() {
        let mut names = Names::default();
        let mut give = |parents: &[&str], name| names.give(parents, name);
        assert_eq!(give(&["Reactor", "Pump 1"], "Speed"), "Speed");
        assert_eq!(give(&["Reactor", "Pump 2"], "Speed"), "Pump_2.Speed");
        assert_eq!(give(&["Mixer", "Pump 2"], "Speed"), "Mixer.Pump_2.Speed");
        assert_eq!(give(&["Mixer", "Pump 2"], "Speed"), "Mixer.Pump_2.Speed_2");
        assert_eq!((give(&[], "{Füllstand}"), give(&[], "")), ("_Füllstand_".to_owned(), "tag".to_owned()));
    }
}
