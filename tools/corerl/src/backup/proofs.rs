//! What was restored, in the hands of those who would go on with it.

use std::path::Path;

use backup::{Class, Contents, Entry};
use learner::{Agent, AgentOptions, AgentShape, checkpoint_name, nominal_of};
use policy::file::{Purpose, Trust, Verdict, examine};
use policy::pipeline::Columns;
use rt_config::Site;
use rt_state::applied;
use rt_state::audit::{self, Fault, Head, VerifyError};
use serde::Serialize;

use super::gathering::newest;

/// Something that was tried with what was restored.
#[derive(Debug, Serialize)]
pub(super) struct Proof {
    what: String,
    pub(super) ok: bool,
    detail: String,
}

impl Proof {
    fn of(what: impl Into<String>, tried: Result<String, String>) -> Self {
        let ok = tried.is_ok();
        Self { what: what.into(), ok, detail: tried.unwrap_or_else(|why| why) }
    }

    pub(super) fn row(&self) -> [String; 2] {
        let verdict = if self.ok { "" } else { "FAILED: " };
        [self.what.clone(), format!("{verdict}{}", self.detail)]
    }
}

/// A site file of a backup, and the site that it describes.
struct SiteOf<'a> {
    name: &'a str,
    site: Site,
}

/// Tries everything that somebody would want to go on with.
pub(super) fn proofs(root: &Path, contents: &Contents) -> Vec<Proof> {
    let files = &contents.manifest.files;
    let whole = format!("{} files, every byte as it was written", files.len());
    let mut proofs = vec![Proof::of("archive", Ok(whole))];
    let mut sites = Vec::new();
    for file in files.iter().filter(|file| file.class == Class::Site) {
        let read = read_site(root, &file.name);
        let tried = read.as_ref().map(|site| format!("agent {} of site {}", site.agent_name, site.name));
        proofs.push(Proof::of(&file.name, tried.map_err(Clone::clone)));
        sites.extend(read.ok().map(|site| SiteOf { name: &file.name, site }));
    }
    if files.iter().any(|file| file.class == Class::HotDays) {
        proofs.push(Proof::of("history", history(root, contents)));
    }
    proofs.extend(files.iter().filter_map(|file| Some(Proof::of(&file.name, tried(root, file, &sites)?))));
    proofs
}

/// What comes of a file; `None` where its bytes are all that there is to prove.
fn tried(root: &Path, file: &Entry, sites: &[SiteOf<'_>]) -> Option<Result<String, String>> {
    let path = root.join(&file.name);
    let name = path.file_name()?.to_str()?;
    match file.class {
        Class::Checkpoint if name.ends_with(".ckpt") => Some(checkpoint(&path, name, sites)),
        Class::Policy => Some(policy(root, &path, sites)),
        Class::State if name.ends_with(".audit") => Some(audit_log(&path)),
        Class::State if name.ends_with(".applied.yaml") => Some(what_was_applied(&path)),
        _ => None,
    }
}

fn read_site(root: &Path, name: &str) -> Result<Site, String> {
    let path = root.join(name);
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    rt_config::parse_to_look_at(&text, &path).map(|loaded| loaded.site).map_err(|refused| refused.to_string())
}

/// Everything in the store is what was written, up to the newest record that the backup promises.
fn history(root: &Path, contents: &Contents) -> Result<String, String> {
    let history = root.join("history");
    let findings = archive::verify(&history).map_err(|error| error.to_string())?.findings;
    if let Some(first) = findings.first() {
        return Err(format!("{} findings, the first one: {}: {}", findings.len(), first.place, first.what));
    }
    let found = newest(&history).map_err(|error| error.to_string())?;
    if found != contents.about.newest {
        return Err(format!("its newest records are {found:?}, and {:?} were promised", contents.about.newest));
    }
    let agents: Vec<_> = found.iter().map(|newest| newest.agent.as_str()).collect();
    Ok(format!("every block, row and sealed byte as it was written, of {}", agents.join(", ")))
}

/// A learner of the site takes it over.
fn checkpoint(path: &Path, name: &str, sites: &[SiteOf<'_>]) -> Result<String, String> {
    let Some(SiteOf { site, .. }) = sites.iter().find(|of| checkpoint_name(&of.site) == name) else {
        return Ok("its bytes; of no site file in this backup, so no learner took it over".to_owned());
    };
    let shape = AgentShape { state: Columns::of(site).len(), action: site.setpoints.len() };
    let agent = Agent::new(shape, AgentOptions::of(site), &nominal_of(site), 1);
    let mut agent = agent.map_err(|error| error.to_string())?;
    agent.load(path, site.tag_list_hash()).map_err(|error| error.to_string())?;
    let counts = agent.counts();
    Ok(format!("a learner takes it over: {} transitions, {} updates", counts.transitions, counts.critic_updates))
}

/// Every check that a runtime makes; those that need a site, with the one that starts from it.
fn policy(root: &Path, path: &Path, sites: &[SiteOf<'_>]) -> Result<String, String> {
    let starts_from_it = |of: &&SiteOf<'_>| {
        let named = of.site.runtime.policy_file.as_deref().and_then(Path::file_name);
        named.is_some() && named == path.file_name() && root.join(of.name).parent() == path.parent()
    };
    let site = sites.iter().find(starts_from_it);
    let bytes = policy::file::read(path).map_err(|error| error.to_string())?;
    let known = site.map(|of| (Purpose::of(&of.site), Trust::of(&of.site)));
    let checks = examine(&bytes, known.as_ref().map(|(purpose, trust)| (purpose, trust)));
    let refused = checks.iter().find_map(|(_, verdict)| match verdict {
        Verdict::Refused(refused) => Some(refused.to_string()),
        _ => None,
    });
    match (refused, site) {
        (Some(refused), _) => Err(refused),
        (None, Some(of)) => Ok(format!("a policy that a runtime of {} starts from", of.name)),
        (None, None) => Ok("a policy, of no site file in this backup".to_owned()),
    }
}

fn audit_log(path: &Path) -> Result<String, String> {
    let verdict = audit::verify(path, None);
    match &verdict {
        Ok(Some(head)) => Ok(format!("{} entries, each as it was written", head.n)),
        Ok(None) => Ok("no entry".to_owned()),
        Err(_) if is_kept(&verdict) => {
            Ok("its newest entry is in its head, and the next start completes it".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a log is one that a runtime goes on with.
pub(super) fn is_kept(verdict: &Result<Option<Head>, VerifyError>) -> bool {
    matches!(verdict, Ok(_) | Err(VerifyError::Fault(Fault::Unfinished { .. })))
}

fn what_was_applied(path: &Path) -> Result<String, String> {
    let found = applied::look(path, "").map_err(|error| error.to_string());
    found.map(|_| "as it was applied".to_owned())
}
