//! What site files say of how their agents are kept.

use std::path::{Path, PathBuf};

use rt_config::{Database, Refused};
use rt_sys::Cpus;

use crate::rules::TagRule;

/// What site files say together.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    /// How their tags are kept, each for its own agent.
    pub rules: Vec<TagRule>,
    /// The database in which they are kept; without one they are kept in files.
    pub database: Option<Database>,
    /// Where those files are.
    pub history: Option<PathBuf>,
    /// The CPUs of each runtime's control and I/O threads, as far as they are said.
    threads: Vec<[Option<usize>; 2]>,
}

/// Why site files say nothing that could be done.
#[derive(Debug, thiserror::Error)]
pub enum SitesError {
    /// One of them is wrong; all of the complaints.
    #[error("{0}")]
    Refused(Refused),
    /// One historian keeps in one place.
    #[error("{} and {} name different {what}: start a historian, with another --name, for each of them", one.display(), other.display())]
    Apart {
        /// Which place.
        what: &'static str,
        /// The file that was read before.
        one: PathBuf,
        /// The one that says otherwise.
        other: PathBuf,
    },
}

impl Sites {
    /// Reads them. Of their passwords none is needed here, and none is fetched.
    ///
    /// # Errors
    /// [`SitesError`].
    pub fn load(paths: &[PathBuf]) -> Result<Self, SitesError> {
        let mut all = Self::default();
        let mut first: Option<&Path> = None;
        for path in paths {
            let site = rt_config::load_to_look_at(path).map_err(SitesError::Refused)?.site;
            let apart = |what, one: &Path| SitesError::Apart { what, one: one.to_owned(), other: path.clone() };
            match first {
                None => (all.database, all.history) = (site.database, Some(site.learner.history)),
                Some(one) if all.database != site.database => return Err(apart("databases", one)),
                Some(one) if all.history.as_deref() != Some(&*site.learner.history) => {
                    return Err(apart("directories (learner.history)", one));
                }
                Some(_) => {}
            }
            first.get_or_insert(path);
            all.threads.push([site.runtime.control_cpu, site.runtime.io_cpu]);
            let agent = format!("{}/{}", site.name, site.agent_name);
            let kept = site.tags.into_iter().filter_map(|tag| Some((tag.name, tag.kept?)));
            all.rules.extend(kept.map(|(tag, kept)| TagRule::of_site(&agent, tag, kept)));
        }
        Ok(all)
    }

    /// The CPUs that are in no runtime's way. A runtime whose site file is not known places its threads as the default has it; where
    /// several leave nothing, that one counts.
    pub fn free_cpus(&self, allowed: &Cpus) -> Vec<usize> {
        let left = |[control, io]: [Option<usize>; 2]| allowed.placement(control, io).others;
        let all = self.threads.iter().map(|threads| left(*threads));
        let common = all.reduce(|one, other| one.into_iter().filter(|cpu| other.contains(cpu)).collect());
        common.filter(|cpus| !cpus.is_empty()).unwrap_or_else(|| left([None, None]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example_with(directory: &Path, name: &str, change: impl Fn(String) -> String) -> PathBuf {
        let path = directory.join(name);
        std::fs::write(&path, change(rt_config::example().to_owned())).unwrap();
        path
    }

    #[test]
    fn cpus_that_site_files_give_to_their_threads_are_left_to_them() {
        let free = |threads: &[[Option<usize>; 2]]| {
            let sites = Sites { threads: threads.to_vec(), ..Sites::default() };
            sites.free_cpus(&Cpus::from_list(0..4))
        };
        assert_eq!(free(&[]), [0, 1], "the last ones are the default");
        assert_eq!(free(&[[Some(0), Some(1)]]), [2, 3]);
        assert_eq!(free(&[[Some(0), Some(1)], [Some(2), Some(1)]]), [3]);
        assert_eq!(free(&[[Some(0), Some(1)], [Some(2), Some(3)]]), [0, 1], "somebody has to run somewhere");
    }

    #[test]
    fn a_site_file_names_the_place_and_the_rules_for_its_own_agent() {
        let directory = tempfile::tempdir().unwrap();
        let load = |paths: &[&PathBuf]| Sites::load(&paths.iter().map(|path| (*path).clone()).collect::<Vec<_>>());
        let plain = example_with(directory.path(), "plain.yaml", |text| text);
        let sites = load(&[&plain]).unwrap();
        assert_eq!((sites.database, sites.history), (None, Some(directory.path().join("history"))));
        let placed = example_with(directory.path(), "placed.yaml", |text| {
            text.replacen("\nruntime:\n", "\nruntime:\n  cpus: {control: 0, io: 1}\n", 1)
        });
        assert_eq!(load(&[&placed]).unwrap().free_cpus(&Cpus::from_list(0..4)), [2, 3]);

        let with = |line: &str| line.to_owned();
        let database = "infra: {db: {username: u, password: {env: CORERL_NOT_SET}, ip: db.plant, db_name: d}}\n";
        let elsewhere = example_with(directory.path(), "db.yaml", |text| {
            text.replacen("agent_name:", &(with(database) + "agent_name:"), 1)
        });
        let sites = load(&[&elsewhere]).unwrap();
        assert_eq!(sites.database.unwrap().host, "db.plant");
        let apart = load(&[&plain, &elsewhere]).unwrap_err().to_string();
        assert!(apart.contains("db.yaml name different databases"), "{apart}");

        let wrong = example_with(directory.path(), "wrong.yaml", |text| text.replacen("agent_name:", "agent_nam:", 1));
        let refused = load(&[&wrong]).unwrap_err().to_string();
        assert!(refused.contains("did you mean `agent_name`"), "{refused}");
    }
}
