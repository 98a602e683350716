//! What this agent keeps on disk, and the site to start with.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rt_config::{Loaded, Restarts, Site};
use rt_state::applied::{self, Found};
use rt_state::starts;

use crate::failure::Failure;
use crate::keeper::Kept;

/// Where systemd gives a service room (systemd.exec(5)).
const SERVICE_STATE: &str = "STATE_DIRECTORY";
/// Where it is when neither the site file nor the service manager says so: beside the site file.
const USUAL: &str = "state";

/// What cannot be made without a working directory.
const PATH: &str = "the state directory's path";

/// What a start found.
pub(crate) struct Start {
    /// The site that holds from now on.
    pub(crate) site: Site,
    /// Its text.
    pub(crate) text: String,
    /// Where the audit log is.
    pub(crate) audit: PathBuf,
    /// Where what is applied is kept.
    pub(crate) kept: Kept,
    /// Where starts are counted.
    pub(crate) starts: PathBuf,
    /// Where all of it is.
    pub(crate) directory: PathBuf,
    /// What is to be told about the choice between the site file and what was applied.
    pub(crate) said: Option<String>,
}

/// Reads the site file; and, if it is the one with which something was applied to the agent, that. Logging starts as soon as the
/// agent's name is known.
///
/// # Errors
/// Either is refused.
pub(crate) fn start(config: &Path) -> Result<Start, Failure> {
    let Loaded { site, text: base, notices, .. } =
        rt_config::load(config).map_err(|refused| Failure::Config(refused.to_string()))?;
    rt_sys::start_logging("corerl-rt", Some(&rt_control::label(&site.name, &site.agent_name, &site.instance)));
    notices.iter().for_each(|notice| tracing::warn!("{notice}"));
    let directory = directory(site.runtime.state_dir.clone(), config).map_err(Failure::resource(PATH))?;
    let file = |what: &str| directory.join(file_name(&site, what));
    let (audit, path, starts) = (file("audit"), file("applied.yaml"), file("starts"));
    let shown = path.display().to_string();
    let kept = |holds: &str| Kept { path: path.clone(), base: base.clone(), holds: holds.to_owned() };
    match applied::find(&path, &base).map_err(|error| Failure::Config(error.to_string()))? {
        Found::Nothing => {
            Ok(Start { text: base.clone(), audit, kept: kept(&base), starts, directory, said: None, site })
        }
        Found::Superseded(aside) => {
            let said = format!("the site file was edited after something was applied, and counts: {}", aside.display());
            Ok(Start { text: base.clone(), audit, kept: kept(&base), starts, directory, said: Some(said), site })
        }
        Found::Applied(text) => {
            let Loaded { site, .. } = rt_config::parse(&text, config)
                .map_err(|refused| Failure::Config(format!("{shown}, which was applied to the agent:\n{refused}")))?;
            let said = format!("what was applied holds, and not the site file: {shown}");
            Ok(Start { site, kept: kept(&text), text, audit, starts, directory, said: Some(said) })
        }
    }
}

/// The site as it holds for the agent of this site file: with what was applied to it live, if anything was; and the agent's audit
/// log. Nothing is touched. A running runtime tells its `state_dir`, which need not be the one that it is from here.
///
/// # Errors
/// Either file is refused.
pub fn site_in_force(config: &Path, state_dir: Option<&Path>) -> Result<(Site, PathBuf), Failure> {
    let refused = |refused: rt_config::Refused| Failure::Config(refused.to_string());
    let Loaded { site, text, .. } = rt_config::load(config).map_err(refused)?;
    let given = state_dir.map(Path::to_owned).or_else(|| site.runtime.state_dir.clone());
    let directory = directory(given, config).map_err(Failure::resource(PATH))?;
    let audit = directory.join(file_name(&site, "audit"));
    let applied = applied::look(&directory.join(file_name(&site, "applied.yaml")), &text);
    match applied.map_err(|error| Failure::Config(error.to_string()))? {
        None => Ok((site, audit)),
        Some(text) => Ok((rt_config::parse(&text, config).map_err(refused)?.site, audit)),
    }
}

/// What a file in the state directory is called.
fn file_name(site: &Site, what: &str) -> String {
    format!("{}.{what}", prefix(site))
}

/// What every file of this agent begins with.
pub(crate) fn prefix(site: &Site) -> String {
    format!("{}.{}.{}", site.name, site.agent_name, site.instance)
}

/// Counts this start; what there is to say when those before it ended too often in no order.
pub(crate) fn restless(starts: &Path, site: &Site) -> Option<String> {
    let Restarts { n, within } = site.runtime.restarts?;
    let (before, noted) = starts::note(starts, rt_sys::unix_time().as_s(), Duration::from_nanos(within.as_ns()));
    if let Err(error) = noted {
        tracing::warn!(%error, "starts cannot be counted in {}", starts.display());
    }
    (before >= n as usize)
        .then(|| format!("{before} starts in {:.0} s ended in no order: RELEASE", within.as_seconds()))
}

/// Absolute: whoever is told of a file in it may have been started elsewhere.
fn directory(given: Option<PathBuf>, config: &Path) -> io::Result<PathBuf> {
    let service = || std::env::var(SERVICE_STATE).ok()?.split(':').next().map(PathBuf::from);
    let beside = || config.parent().unwrap_or(Path::new("")).join(USUAL);
    std::path::absolute(given.or_else(service).unwrap_or_else(beside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_is_the_same_wherever_somebody_asks_for_it_from() {
        let here = std::env::current_dir().unwrap();
        let directory =
            |given: Option<&str>| directory(given.map(PathBuf::from), Path::new("works/site.yaml")).unwrap();
        assert_eq!(directory(None), here.join("works/state"));
        assert_eq!(directory(Some("works/kept")), here.join("works/kept"));
        assert_eq!(directory(Some("/var/lib/corerl")), Path::new("/var/lib/corerl"));
    }
}
