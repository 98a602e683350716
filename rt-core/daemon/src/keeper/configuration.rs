//! Another site file for a running runtime: judged as a whole, applied as a whole.

use std::path::PathBuf;

use rt_config::Site;
use rt_core::changes::ChangeSet;
use shm::cell;

/// The site as it holds at the moment, and the way of changes to the control thread.
pub(crate) struct Configuration {
    site: Site,
    /// Names the file in complaints; its relative paths are relative to this one.
    path: PathBuf,
    number: u64,
    changes: cell::Writer<Box<ChangeSet>>,
}

impl Configuration {
    pub(crate) fn new(site: Site, path: PathBuf, changes: cell::Writer<Box<ChangeSet>>) -> Self {
        Self { site, path, number: 0, changes }
    }

    /// The site with everything that was applied.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Hands the changes over to the control thread, which takes them at the beginning of its next cycle; their number.
    ///
    /// # Errors
    /// Every complaint about the file, or what of it would need a restart. Nothing is changed then.
    pub(crate) fn apply(&mut self, text: &str) -> Result<u64, String> {
        let proposed = rt_config::parse(text, &self.path).map_err(|refused| refused.to_string())?.site;
        let beyond = self.site.beyond_change_set(&proposed);
        if !beyond.is_empty() {
            return Err(format!(
                "the file differs from the running configuration in {}: limits, nominal values and rules for tags can be \
                 applied, the rest needs a restart",
                beyond.join(", ")
            ));
        }
        let number = self.number + 1;
        **self.changes.back_mut() = proposed.change_set(number).map_err(|error| error.to_string())?;
        self.changes.publish();
        (self.number, self.site) = (number, proposed);
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> (Configuration, cell::Reader<Box<ChangeSet>>) {
        let path = PathBuf::from("site.yaml");
        let site = rt_config::parse(rt_config::example(), &path).unwrap().site;
        let (changes, taken) = cell::channel([0; 3].map(|number| Box::new(site.change_set(number).unwrap())));
        (Configuration::new(site, path, changes), taken)
    }

    #[test]
    fn a_file_with_other_limits_is_handed_over_as_a_whole() {
        let (mut configuration, mut taken) = configuration();
        let text = rt_config::example().replace("range: [0.0, 0.45]", "range: [0.0, 0.4]");
        assert_eq!(configuration.apply(&text), Ok(1));
        assert!(taken.update());
        assert_eq!((taken.get().number(), taken.get().setpoints().count(), taken.get().tags().count()), (1, 2, 6));
        assert!(taken.get().setpoints().any(|tuning| tuning.limits.run.hi == 0.4));
        assert!(configuration.site().setpoints.iter().any(|setpoint| setpoint.settings.limits.run.hi == 0.4));
        assert_eq!(configuration.apply(rt_config::example()), Ok(2), "and back");
    }

    #[test]
    fn a_file_that_is_wrong_or_goes_too_far_changes_nothing() {
        let (mut configuration, mut taken) = configuration();
        let wrong = rt_config::example().replace("rate: 0.5 ", "rate: -1 ");
        assert!(configuration.apply(&wrong).unwrap_err().contains("site.yaml:"));
        let far = rt_config::example().replace("gamma: 0.99", "gamma: 0.9").replace("rate: 0.5 ", "rate: 0.4 ");
        assert!(configuration.apply(&far).unwrap_err().contains("`agent`"));
        assert!(!taken.update());
        assert_eq!(configuration.apply(rt_config::example()), Ok(1));
    }
}
