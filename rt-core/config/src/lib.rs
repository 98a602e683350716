//! The site file: from YAML to a valid site, with every complaint in its place.
//!
//! # Contract
//! - [`load`] and [`parse`] give a [`Site`] that is valid by construction, or refuse the whole file. Nothing is applied
//!   in part, and whoever holds a [`Site`] need not check anything again.
//! - All complaints of a file are reported together, sorted by place; each says where, what is wrong, and what to write.
//! - Every input is answered: no text, however damaged, panics, and size, depth and the expansion of aliases are bounded.
//! - A file that opens with `---` must close with `...`; so a file that was cut short anywhere is refused.
//! - [`parse`] reads, beside the text, only the passwords to which the text refers (`{env: NAME}`, `{file: PATH}`, `{credential: NAME}`).
//! - Nothing here is for a real-time thread: everything allocates.
//!
//! # Nouns
//! The text becomes a tree in which each node knows its line and column (`yaml`); the tree is decoded into the *raw*
//! file by declarations that hold each key's name, form, default and description (`raw`); the raw file is resolved into
//! the [`Site`] (`resolve`), expressions into [`rt_core::expression::Program`]s. [`schema`] is made from the same
//! declarations.
//!
//! ```
//! let loaded = rt_config::parse(rt_config::example(), "site.yaml".as_ref()).expect("the example is valid");
//! assert_eq!(loaded.site.setpoints.len(), 2);
//!
//! let refused = rt_config::parse("agent_nam: a\n", "site.yaml".as_ref()).expect_err("no site");
//! assert!(refused.to_string().contains("site.yaml:1:1: error: unknown key `agent_nam`"));
//! assert!(refused.to_string().contains("help: did you mean `agent_name`?"));
//! ```
#![forbid(unsafe_code)]

mod complaint;
pub mod document;
mod duration;
mod expression;
mod form;
mod form_special;
mod inherited;
mod migrate;
mod password;
mod raw;
mod raw_agent;
mod raw_recorder;
mod raw_stages;
mod resolve;
mod settings;
mod site;
mod spelling;
mod value;
mod yaml;

use std::fmt;
use std::io::Read;
use std::path::Path;

use rt_core::time::Span;
use serde_json::{Value, json};

pub use complaint::{Complaint, Place, Severity};
pub use migrate::{Change, Done, Migration, migrate};
pub use password::{NoPassword, PasswordSource};
pub use settings::CycleLists;
pub use site::{
    AgentOptions, Aggregation, Canary, Candidates, Connection, Database, DecisionClock, Encryption, Excursions, Filter,
    Flight, FlightTrigger, GammaSchedule, Goal, Guardrail, Heartbeat, Identity, Improver, Imputer, ImputerRule,
    Interaction, KEPT_HEARTBEAT_MAX, Kept, Learner, LeaseTag, Objective, OwnCertificate, Probation, Range, Restarts,
    Revocation, Reward, Runtime, Season, SeasonPart, Secret, Security, SecurityPolicy, Setpoint, Site, Source,
    Subscribe, Sweep, SweepStart, Tag, TagKind, Trigger,
};
pub use spelling::nearest;

use complaint::Complaints;
use form::Form;
use form_special::SchemaVersion;
use raw::{Priority, SiteFile};
use resolve::Passwords;
use yaml::{Kind, TEXT_BYTES_MAX};

/// An accepted site file.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The site.
    pub site: Site,
    /// What its author should know, sorted by place.
    pub notices: Vec<Complaint>,
    /// The text that was read: what a recording keeps of the site.
    pub text: String,
}

/// A refused site file.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Everything that was found, notices included, sorted by place; at least one is an error.
    pub complaints: Vec<Complaint>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, complaint) in self.complaints.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{complaint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// Reads and checks the site file at `path`.
///
/// # Errors
/// Every complaint about the file; a file that is missing, unreadable, too large or no UTF-8 is one complaint.
pub fn load(path: &Path) -> Result<Loaded, Refused> {
    parse(&text_of(path)?, path)
}

fn text_of(path: &Path) -> Result<String, Refused> {
    let refuse = |message: String, help: &str| {
        let mut complaints = Complaints::new(path, "");
        complaints.error_of_file(message, help);
        Refused { complaints: complaints.into_sorted() }
    };
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(TEXT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => "check the path; `corerl config example` prints a site file to start from",
            std::io::ErrorKind::PermissionDenied => "make the file readable for this user",
            _ => "check the path",
        };
        return Err(refuse(format!("the file cannot be read: {error}"), help));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.to_owned()),
        // Bytes beyond the limit may have been cut inside a character.
        Err(_) if bytes.len() > TEXT_BYTES_MAX => Err(refuse(
            format!("the file has more than {TEXT_BYTES_MAX} bytes"),
            "a site file is a few pages: is this the right file?",
        )),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(refuse(format!("the file is not UTF-8 text (line {line})"), "save it as UTF-8"))
        }
    }
}

/// [`load`] for those who connect with nobody, as [`parse_to_look_at`] is [`parse`] for them.
///
/// # Errors
/// As [`load`].
pub fn load_to_look_at(path: &Path) -> Result<Loaded, Refused> {
    parse_to_look_at(&text_of(path)?, path)
}

/// Checks the text of a site file. `path` names it in complaints; relative paths in it are relative to `path`'s directory.
///
/// # Errors
/// Every complaint about the text.
pub fn parse(text: &str, path: &Path) -> Result<Loaded, Refused> {
    checked(text, path, Passwords::Fetched)
}

/// [`parse`] for those who want to know what the site is, but connect with nobody: passwords to which the text refers are
/// not fetched, and empty. So a recording can be replayed where no such password exists.
///
/// # Errors
/// Every complaint about the text.
pub fn parse_to_look_at(text: &str, path: &Path) -> Result<Loaded, Refused> {
    checked(text, path, Passwords::LeftAlone)
}

fn checked(text: &str, path: &Path, passwords: Passwords) -> Result<Loaded, Refused> {
    let mut complaints = Complaints::new(path, text);
    let site = resolved(path, passwords, &mut complaints);
    if !complaints.refuses() {
        if let Some(site) = site {
            return Ok(Loaded { site, notices: complaints.into_sorted(), text: text.to_owned() });
        }
        complaints.error_of_file("the file is refused without a reason", "this is a fault of the program: report it");
    }
    Err(Refused { complaints: complaints.into_sorted() })
}

fn resolved(path: &Path, passwords: Passwords, complaints: &mut Complaints<'_>) -> Option<Site> {
    let tree = yaml::read(complaints)?;
    // Another schema has other keys: nothing else can be said about such a file.
    if let Kind::Map(entries) = &tree.kind
        && let Some((_, version)) = entries.iter().find(|(key, _)| key.name == "schema")
    {
        SchemaVersion::decode(version, complaints)?;
    }
    let raw = SiteFile::decode(&tree, complaints)?;
    resolve::resolve(&raw, path, passwords, complaints)
}

/// A duration as site files write them: `"00:00:05"`, `10ms`, `1.5s`, `PT5S`.
///
/// # Errors
/// A sentence that says what is wrong with the text.
pub fn duration(text: &str) -> Result<Span, String> {
    duration::parse(text).map_err(|error| format!("`{text}` {}", error.message()))
}

/// The JSON Schema (draft-07) of a site file, with every key's description and default.
pub fn schema() -> Value {
    let mut schema = SiteFile::schema();
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("CoreRL site file");
    schema["definitions"] = json!({ "priority": Priority::schema() });
    schema
}

/// A complete site file with comments, to start from.
pub fn example() -> &'static str {
    include_str!("example.yaml")
}

#[cfg(test)]
mod tests;
