//! What a site has, and where: found by its site files.

use std::fs;
use std::path::{Component, Path, PathBuf};

use archive::{Reader, Snapshot, snapshot};
use backup::{Class, Holding, Holdings, Newest};
use clap::Args;
use rt_config::{Identity, Security, Site};
use rt_state::audit::head_path;

use crate::failure::{Exit, Failure};

/// Where the units of `tools/systemd` have their site files, and what they keep.
const UNITS_CONFIG: &str = "/etc/corerl";
const UNITS_STATE: &str = "/var/lib/corerl";
/// How often an audit log is copied again because an entry came meanwhile.
const ATTEMPTS: u32 = 100;

/// What is to be kept.
#[derive(Clone, Debug, Args)]
pub(super) struct What {
    /// A site file; may be repeated. What it names is kept, too: state directory, policy, certificates, keys, trust lists
    /// [default: those in /etc/corerl, with everything in /var/lib/corerl].
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// The historian's directory [default: as the site file says, or `history` beside it, or /var/lib/corerl/history].
    #[arg(long, value_name = "DIR")]
    history: Option<PathBuf>,
    /// Where the runtimes keep audit logs and what was applied [default: as the site file says, or `state` beside it].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Where the learners keep checkpoints [default: `checkpoints` beside the site file].
    #[arg(long, value_name = "DIR")]
    checkpoints: Option<PathBuf>,
    /// A directory of policy files beyond those that site files name; may be repeated.
    #[arg(long, value_name = "DIR")]
    policies: Vec<PathBuf>,
    /// A directory of certificates and keys beyond those that site files name, such as that of corerl-ua-server; may be repeated.
    #[arg(long, value_name = "DIR")]
    pki: Vec<PathBuf>,
}

/// Everything that was found, as it is now.
pub(super) struct Gathered {
    pub(super) holdings: Holdings,
    pub(super) newest: Vec<Newest>,
}

/// The site files, read.
pub(super) struct Sites {
    files: Vec<(PathBuf, Site)>,
    by_units: bool,
}

impl What {
    /// Reads the site files.
    pub(super) fn sites(&self) -> Result<Sites, Failure> {
        let by_units = self.config.is_empty();
        let paths = if by_units { site_files_of_units()? } else { self.config.clone() };
        let files = paths.into_iter().map(|path| Ok((absolute(&path)?, read_site(&path)?)));
        Ok(Sites { files: files.collect::<Result<_, Failure>>()?, by_units })
    }

    /// Finds everything. What changes is copied into `staging`, as it is at one instant; directories in `not` are left out.
    pub(super) fn gather(&self, sites: &Sites, staging: &Path, not: &[PathBuf]) -> Result<Gathered, Failure> {
        let mut gathered = Gathered { holdings: Holdings::default(), newest: Vec::new() };
        let history = self.history(sites)?;
        let checkpoints = match &self.checkpoints {
            Some(given) => Some(there(given)?),
            None => Some(sites.home().join("checkpoints")).filter(|usual| usual.is_dir()),
        };
        for (path, site) in &sites.files {
            gathered.site(path, site)?;
        }
        let apart: Vec<_> = history.iter().chain(&checkpoints).chain(not).cloned().collect();
        for (number, state) in self.states(sites)?.iter().enumerate() {
            gathered.state(state, &staging.join(format!("state-{number}")), &apart)?;
        }
        if let Some(directory) = &checkpoints {
            gathered.holdings.add_tree("checkpoints".as_ref(), Class::Checkpoint, directory, not)?;
        }
        let home = sites.home();
        for (directories, class) in [(&self.policies, Class::Policy), (&self.pki, Class::Trust)] {
            for directory in directories {
                let directory = there(directory)?;
                gathered.holdings.add_tree(&name_in(&directory, home), class, &directory, not)?;
            }
        }
        if let Some(history) = &history {
            gathered.history(history, staging)?;
        }
        Ok(gathered)
    }

    /// One that is named has to be there; the usual one need not.
    fn history(&self, sites: &Sites) -> Result<Option<PathBuf>, Failure> {
        let said = |(_, site): &(PathBuf, Site)| site.learner.history.clone();
        let usual = match &self.history {
            Some(given) => return there(given).map(Some),
            None if sites.by_units => Some(Path::new(UNITS_STATE).join("history")),
            None => sites.files.first().map(said),
        };
        usual.filter(|usual| usual.is_dir()).map(|usual| absolute(&usual)).transpose()
    }

    fn states(&self, sites: &Sites) -> Result<Vec<PathBuf>, Failure> {
        if let Some(state) = &self.state {
            return Ok(vec![there(state)?]);
        }
        let of = |(path, site): &(PathBuf, Site)| {
            let usual = if sites.by_units { PathBuf::from(UNITS_STATE) } else { beside(path, "state") };
            site.runtime.state_dir.clone().unwrap_or(usual)
        };
        let states = sites.files.iter().map(of).map(|path| absolute(&path));
        let mut states = states.collect::<Result<Vec<_>, _>>()?;
        states.sort();
        states.dedup();
        states.retain(|directory| directory.is_dir());
        Ok(states)
    }
}

impl Sites {
    /// The directory of the first site file: what lies below it keeps its place.
    fn home(&self) -> &Path {
        self.files.first().and_then(|(path, _)| path.parent()).unwrap_or(Path::new("/"))
    }

    /// What a backup of them is called.
    pub(super) fn name(&self) -> Result<&str, Failure> {
        let mut names: Vec<&str> = self.files.iter().map(|(_, site)| site.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        match names[..] {
            [name] => Ok(name),
            _ => Err(Failure::new(
                Exit::Usage,
                format!("the site files are of several sites ({}): name the backup with --name", names.join(", ")),
            )),
        }
    }
}

impl Gathered {
    /// A site file, and every file that it names.
    fn site(&mut self, path: &Path, site: &Site) -> Result<(), Failure> {
        let name = path.file_name().unwrap_or_default();
        self.holdings.add_file(name.as_ref(), Class::Site, path)?;
        let home = path.parent().unwrap_or(Path::new("/"));
        for (class, named) in named_by(site) {
            let named = absolute(&named)?;
            let name = name_in(&named, home);
            match fs::metadata(&named) {
                Ok(found) if found.is_dir() => self.holdings.add_tree(&name, class, &named, &[])?,
                Ok(_) => self.holdings.add_file(&name, class, &named)?,
                Err(error) => {
                    eprintln!("warning: {} names {}, which is not kept: {error}", path.display(), named.display())
                }
            }
        }
        Ok(())
    }

    /// What runtimes keep on disk. Audit logs grow meanwhile: each is copied together with its head.
    fn state(&mut self, state: &Path, staging: &Path, apart: &[PathBuf]) -> Result<(), Failure> {
        let failed = |error| Failure::io("it cannot be copied", &error).about(state);
        fs::create_dir(staging).map_err(failed)?;
        for entry in fs::read_dir(state).map_err(failed)? {
            let log = entry.map_err(failed)?.path();
            if log.extension().is_none_or(|extension| extension != "audit") || !log.is_file() {
                continue;
            }
            for (copy, of) in copy_of_log(&log, staging).map_err(failed)? {
                let name = Path::new("state").join(of.file_name().unwrap_or_default());
                self.holdings.add(&name, Holding { class: Class::State, from: of, at: copy })?;
            }
        }
        Ok(self.holdings.add_tree("state".as_ref(), Class::State, state, apart)?)
    }

    /// The store as it is at one instant.
    fn history(&mut self, history: &Path, staging: &Path) -> Result<(), Failure> {
        let about = |error: archive::StoreError| Failure::from(error).about(history);
        let Snapshot { hot, sealed } = snapshot(history, staging).map_err(about)?;
        let name = Path::new("history").join(hot.file_name().unwrap_or_default());
        let from = history.join(hot.file_name().unwrap_or_default());
        self.newest = newest(staging).map_err(about)?;
        self.holdings.add(&name, Holding { class: Class::HotDays, from, at: hot })?;
        for file in sealed {
            self.holdings.add_file(&Path::new("history").join(&file), Class::SealedDay, &history.join(&file))?;
        }
        Ok(())
    }
}

/// The newest record of each agent in a store.
pub(super) fn newest(history: &Path) -> Result<Vec<Newest>, archive::StoreError> {
    let mut newest: Vec<Newest> = Vec::new();
    for run in Reader::open(history)?.runs()? {
        let (Some(cycle), Some((_, unix_ns))) = (run.last_cycle, run.times_ns) else { continue };
        let of_run = Newest { agent: run.agent, cycle, unix_ns };
        match newest.iter_mut().find(|known| known.agent == of_run.agent) {
            Some(known) if known.unix_ns > unix_ns => {}
            Some(known) => *known = of_run,
            None => newest.push(of_run),
        }
    }
    Ok(newest)
}

/// Every file and directory that a site file names, as far as it is one to keep.
fn named_by(site: &Site) -> Vec<(Class, PathBuf)> {
    let mut named: Vec<_> = site.runtime.policy_file.iter().map(|path| (Class::Policy, path.clone())).collect();
    for connection in &site.connections {
        if let Security::Secured { client_cert, client_key, server_cert, trust_dir, .. } = &connection.security {
            named.push((Class::Trust, client_cert.clone()));
            named.push((Class::PrivateKey, client_key.clone()));
            named.extend(server_cert.iter().map(|path| (Class::Trust, path.clone())));
            // It comes into being with the first certificate that waits for a decision.
            named.extend(Some(trust_dir).filter(|path| path.exists()).map(|path| (Class::Trust, path.clone())));
        }
        if let Identity::Certificate { certificate, key } = &connection.identity {
            named.extend([(Class::Trust, certificate.clone()), (Class::PrivateKey, key.clone())]);
        }
    }
    named
}

/// A log with its head, both of one instant: the head is written before each entry, so one that stayed the same while the log was
/// copied is that of the copy.
fn copy_of_log(log: &Path, staging: &Path) -> std::io::Result<Vec<(PathBuf, PathBuf)>> {
    let head = head_path(log);
    let read_head = || match fs::read(&head) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    };
    let copy = staging.join(log.file_name().unwrap_or_default());
    let mut before = read_head()?;
    for _ in 0..ATTEMPTS {
        fs::copy(log, &copy)?;
        let after = read_head()?;
        if before == after {
            break;
        }
        before = after;
    }
    let mut copies = vec![(copy.clone(), log.to_owned())];
    if let Some(bytes) = before {
        fs::write(head_path(&copy), bytes)?;
        copies.push((head_path(&copy), head));
    }
    Ok(copies)
}

/// Below the home of a site file everything keeps its place; what lies elsewhere is kept apart, with its whole path.
fn name_in(path: &Path, home: &Path) -> PathBuf {
    match path.strip_prefix(home) {
        Ok(below) => below.to_owned(),
        Err(_) => Path::new("elsewhere").join(path.strip_prefix("/").unwrap_or(path)),
    }
}

fn beside(file: &Path, name: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(name)
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let absolute =
        std::path::absolute(path).map_err(|error| Failure::io("its path is of no use", &error).about(path))?;
    let is_plain = absolute.components().all(|part| part != Component::ParentDir);
    Ok(if is_plain { absolute } else { absolute.canonicalize().unwrap_or(absolute) })
}

/// A directory that was named.
fn there(directory: &Path) -> Result<PathBuf, Failure> {
    if !directory.is_dir() {
        return Err(Failure::new(Exit::Unavailable, format!("{} is no directory that is there", directory.display())));
    }
    absolute(directory)
}

fn site_files_of_units() -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(UNITS_CONFIG).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|of| of == "yaml")).collect();
    files.sort();
    if files.is_empty() {
        let message = format!("there is no site file in {UNITS_CONFIG}: name yours with --config");
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(files)
}

/// Passwords are left alone: only who they are for may fetch them.
fn read_site(path: &Path) -> Result<Site, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::io("it cannot be read", &error).about(path))?;
    match rt_config::parse_to_look_at(&text, path) {
        Ok(loaded) => Ok(loaded.site),
        Err(refused) => {
            eprintln!("{refused}");
            Err(Failure::new(Exit::BadConfiguration, format!("{} is refused", path.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beside_the_site_file_keeps_its_place_and_other_things_their_whole_path() {
        let name = |path: &str| name_in(Path::new(path), Path::new("/etc/corerl")).display().to_string();
        assert_eq!(name("/etc/corerl/pki/own.pem"), "pki/own.pem");
        assert_eq!(name("/srv/keys/own.pem"), "elsewhere/srv/keys/own.pem");
    }

    #[test]
    fn an_audit_log_is_copied_with_the_head_that_belongs_to_it() {
        let (state, staging) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = state.path().join("works.ph.main.audit");
        let mut log = rt_state::audit::Log::at(path.clone());
        let entry = rt_state::audit::Entry { what: "command".into(), ..Default::default() };
        log.append(&entry).unwrap();
        let writer = std::thread::spawn(move || (0..200).for_each(|_| _ = log.append(&entry).unwrap()));
        let mut copies = 0;
        while !writer.is_finished() || copies == 0 {
            let found = copy_of_log(&path, staging.path()).unwrap();
            let verdict = rt_state::audit::verify(&found[0].0, None);
            assert!(crate::backup::proofs::is_kept(&verdict), "{verdict:?}");
            copies += 1;
        }
        writer.join().unwrap();
    }
}
