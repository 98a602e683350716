//! Another site file for a running runtime: judged as a whole, applied as a whole.

use std::io;
use std::path::{Path, PathBuf};

use rt_config::Site;
use rt_core::changes::ChangeSet;
use shm::cell;

/// The site as it holds at the moment, and the way of changes to the control thread.
pub(crate) struct Configuration {
    site: Site,
    /// Names the file in complaints; its relative paths are relative to this one.
    path: PathBuf,
    kept: Kept,
    number: u64,
    changes: cell::Writer<Box<ChangeSet>>,
}

/// Where what was applied is kept for the next start.
pub(crate) struct Kept {
    pub(crate) path: PathBuf,
    /// The text of the site file with which this runtime was started.
    pub(crate) base: String,
    /// The text that holds at the moment.
    pub(crate) holds: String,
}

/// A site file that may be applied.
pub(crate) struct Proposal<'a> {
    site: Box<Site>,
    changes: ChangeSet,
    text: &'a str,
}

impl Configuration {
    pub(crate) fn new(site: Site, path: PathBuf, kept: Kept, changes: cell::Writer<Box<ChangeSet>>) -> Self {
        Self { site, path, kept, number: 0, changes }
    }

    /// The site with everything that was applied.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// The site file's name, and the text that holds at the moment.
    pub(crate) fn file(&self) -> (String, &str) {
        (self.path.file_name().unwrap_or_default().to_string_lossy().into_owned(), &self.kept.holds)
    }

    /// The file that holds what was applied, if anything was.
    pub(crate) fn applied(&self) -> Option<&Path> {
        (self.kept.holds != self.kept.base).then_some(self.kept.path.as_path())
    }

    /// Judges a file; nothing is changed.
    ///
    /// # Errors
    /// Every complaint about the file, or what of it would need a restart.
    pub(crate) fn judge<'a>(&self, text: &'a str) -> Result<Proposal<'a>, String> {
        let proposed = rt_config::parse(text, &self.path).map_err(|refused| refused.to_string())?.site;
        let beyond = self.site.beyond_change_set(&proposed);
        if !beyond.is_empty() {
            return Err(format!(
                "the file differs from the running configuration in {}: limits, nominal values and rules for tags can be \
                 applied, the rest needs a restart",
                beyond.join(", ")
            ));
        }
        let changes = proposed.change_set(self.number + 1).map_err(|error| error.to_string())?;
        Ok(Proposal { site: Box::new(proposed), changes, text })
    }

    /// Keeps the file for the next start, then hands its changes over to the control thread, which takes them at the beginning
    /// of its next cycle; their number. A crash in between is a crash after it.
    ///
    /// # Errors
    /// It cannot be kept. Nothing is changed then.
    pub(crate) fn apply(&mut self, proposal: Proposal<'_>) -> io::Result<u64> {
        rt_state::applied::keep(&self.kept.path, &self.kept.base, proposal.text)?;
        Ok(self.hand_over(proposal))
    }

    /// Takes over what the runtime that leads has applied, from where it is kept: whoever stands by has to lead under the same
    /// limits. The number of the change, if there is one.
    ///
    /// # Errors
    /// What is kept there cannot be used. Nothing is changed then.
    pub(crate) fn follow(&mut self) -> Result<Option<u64>, String> {
        let applied = rt_state::applied::look(&self.kept.path, &self.kept.base).map_err(|error| error.to_string())?;
        let text = applied.unwrap_or_else(|| self.kept.base.clone());
        if text == self.kept.holds {
            return Ok(None);
        }
        let proposal = self.judge(&text)?;
        Ok(Some(self.hand_over(proposal)))
    }

    fn hand_over(&mut self, Proposal { site, changes, text }: Proposal<'_>) -> u64 {
        text.clone_into(&mut self.kept.holds);
        self.number = changes.number();
        self.site = *site;
        **self.changes.back_mut() = changes;
        self.changes.publish();
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rt_state::applied::{Found, find};

    /// A runtime's configuration, started with the example.
    struct Place {
        dir: tempfile::TempDir,
        configuration: Configuration,
        taken: cell::Reader<Box<ChangeSet>>,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = PathBuf::from("site.yaml");
            let site = rt_config::parse(rt_config::example(), &path).unwrap().site;
            let (changes, taken) = cell::channel([0; 3].map(|number| Box::new(site.change_set(number).unwrap())));
            let base = rt_config::example().to_owned();
            let kept = Kept { path: dir.path().join("applied.yaml"), holds: base.clone(), base };
            Self { configuration: Configuration::new(site, path, kept, changes), dir, taken }
        }

        fn apply(&mut self, text: &str) -> Result<u64, String> {
            let proposal = self.configuration.judge(text)?;
            self.configuration.apply(proposal).map_err(|error| error.to_string())
        }

        /// What the next start will use.
        fn next(&self) -> Found {
            find(&self.dir.path().join("applied.yaml"), rt_config::example()).unwrap()
        }
    }

    fn narrower() -> String {
        rt_config::example().replace("range: [0.0, 0.45]", "range: [0.0, 0.4]")
    }

    #[test]
    fn a_file_with_other_limits_is_handed_over_as_a_whole_and_kept_for_the_next_start() {
        let mut place = Place::new();
        assert_eq!(place.apply(&narrower()), Ok(1));
        assert!(place.taken.update());
        let taken = place.taken.get();
        assert_eq!((taken.number(), taken.setpoints().count(), taken.tags().count()), (1, 2, 6));
        assert!(taken.setpoints().any(|tuning| tuning.limits.run.hi == 0.4));
        let site = place.configuration.site();
        assert!(site.setpoints.iter().any(|setpoint| setpoint.settings.limits.run.hi == 0.4));
        assert_eq!(place.next(), Found::Applied(narrower()));
        assert!(place.configuration.applied().is_some());
        assert_eq!(place.apply(rt_config::example()), Ok(2), "and back");
        assert_eq!((place.next(), place.configuration.applied()), (Found::Nothing, None));
    }

    #[test]
    fn whoever_stands_by_follows_what_is_applied_to_the_one_who_leads_and_back() {
        let mut leader = Place::new();
        let mut follower = Place::new();
        follower.configuration.kept.path.clone_from(&leader.configuration.kept.path);
        assert_eq!(follower.configuration.follow(), Ok(None));
        leader.apply(&narrower()).unwrap();
        assert_eq!(follower.configuration.follow(), Ok(Some(1)));
        assert!(follower.taken.update());
        assert!(follower.taken.get().setpoints().any(|tuning| tuning.limits.run.hi == 0.4));
        assert_eq!(follower.configuration.follow(), Ok(None), "once");
        assert_eq!(follower.configuration.applied(), leader.configuration.applied());
        leader.apply(rt_config::example()).unwrap();
        assert_eq!(follower.configuration.follow(), Ok(Some(2)));
        assert_eq!(follower.configuration.applied(), None);
        std::fs::write(&leader.configuration.kept.path, "damaged").unwrap();
        assert!(follower.configuration.follow().unwrap_err().contains("is damaged"));
    }

    #[test]
    fn a_file_that_is_wrong_or_goes_too_far_changes_nothing() {
        let mut place = Place::new();
        let wrong = rt_config::example().replace("rate: 0.5 ", "rate: -1 ");
        assert!(place.apply(&wrong).unwrap_err().contains("site.yaml:"));
        let far = rt_config::example().replace("gamma: 0.99", "gamma: 0.9").replace("rate: 0.5 ", "rate: 0.4 ");
        assert!(place.apply(&far).unwrap_err().contains("`agent`"));
        assert!(!place.taken.update());
        assert_eq!(place.next(), Found::Nothing);
        assert_eq!(place.apply(rt_config::example()), Ok(1));
    }

    #[test]
    fn f84_a_file_cut_at_any_byte_is_refused_as_a_whole_and_the_old_one_stays() {
        let mut place = Place::new();
        let text = narrower();
        let end = text.rfind("...").unwrap();
        for cut in (0..end + 2).filter(|cut| text.is_char_boundary(*cut)).step_by(7) {
            assert!(place.apply(&text[..cut]).is_err(), "cut at {cut}");
        }
        for (from, to, names) in [
            ("schema: corerl/1", "schema: corerl/0", "corerl/1"),
            ("schema: corerl/1", "schema: corerl/2", "corerl/1"),
            ("t_hold: 100ms", "t_hld: 100ms", "`t_hold`"),
        ] {
            let complaint = place.apply(&text.replace(from, to)).unwrap_err();
            assert!(complaint.contains(names) && complaint.contains("site.yaml:"), "{complaint}");
        }
        assert!(!place.taken.update(), "something of a refused file was handed over");
        assert_eq!(place.next(), Found::Nothing);
    }

    #[test]
    fn f85_a_file_that_cannot_be_kept_is_not_applied() {
        let mut place = Place::new();
        std::os::unix::fs::symlink("/dev/full", place.dir.path().join("applied.yaml.part")).unwrap();
        assert!(place.apply(&narrower()).unwrap_err().contains("No space left on device"));
        assert!(!place.taken.update());
        assert_eq!((place.next(), place.configuration.applied()), (Found::Nothing, None));
        std::fs::remove_file(place.dir.path().join("applied.yaml.part")).unwrap();
        assert_eq!(place.apply(&narrower()), Ok(1));
    }
}
