//! By which rules tags are kept: at which change, and how often at least.
//!
//! A rule is said for a tag as `TAG=DEADBAND`, `TAG=DEADBAND,HEARTBEAT` or `TAG=every`; of one agent alone as
//! `SITE/AGENT:TAG=…`. A tag without one is kept at every change and once a minute.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use archive::{HEARTBEAT_NS, Rule};
use rt_config::Kept;

/// A rule for a tag.
#[derive(Clone, Debug, PartialEq)]
pub struct TagRule {
    /// `SITE/AGENT`; without one it counts for all agents.
    agent: Option<String>,
    tag: String,
    kept: When,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Every,
    Differs { deadband: f64, heartbeat: Duration },
}

impl TagRule {
    /// The rule of a tag in a site file, for its agent, `SITE/AGENT`.
    pub(crate) fn of_site(agent: &str, tag: String, kept: Kept) -> Self {
        let kept = match kept {
            Kept::Every => When::Every,
            Kept::ByException { deadband, heartbeat } => {
                When::Differs { deadband, heartbeat: Duration::from_nanos(heartbeat.as_ns()) }
            }
        };
        Self { agent: Some(agent.to_owned()), tag, kept }
    }
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no rule for a tag: {why}; write TAG=0.05, TAG=0.05,10s or TAG=every, or SITE/AGENT:TAG=0.05 for one agent"
)]
pub struct NoRule {
    text: String,
    why: &'static str,
}

impl FromStr for TagRule {
    type Err = NoRule;

    fn from_str(text: &str) -> Result<Self, NoRule> {
        let refuse = |why| NoRule { text: text.to_owned(), why };
        // A tag may have a `=` in its name, and no rule has.
        let (name, rule) = text.trim().rsplit_once('=').ok_or_else(|| refuse("it has no `=`"))?;
        let (agent, tag) = match name.split_once(':').filter(|(agent, _)| agent.contains('/')) {
            Some((agent, tag)) => (Some(agent.to_owned()), tag),
            None => (None, name),
        };
        if tag.is_empty() {
            return Err(refuse("it names no tag"));
        }
        let kept = when(rule).map_err(refuse)?;
        Ok(Self { agent, tag: tag.to_owned(), kept })
    }
}

fn when(rule: &str) -> Result<When, &'static str> {
    if rule == "every" {
        return Ok(When::Every);
    }
    let (deadband, heartbeat) = rule.split_once(',').unwrap_or((rule, "60s"));
    let deadband: f64 = deadband.parse().map_err(|_| "its deadband is no number")?;
    if !(deadband.is_finite() && deadband >= 0.0) {
        return Err("a deadband is finite and not below 0");
    }
    let seconds = heartbeat.strip_suffix('s').and_then(|seconds| seconds.parse::<f64>().ok());
    let heartbeat = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let heartbeat = heartbeat.ok_or("its heartbeat is no span in seconds, like 10s")?;
    // Whoever reads believes a value for two of the archive's own heartbeats.
    if heartbeat.is_zero() || heartbeat.as_nanos() > u128::from(HEARTBEAT_NS) {
        return Err(
            "a heartbeat is longer than nothing, and 60s at most: no value is believed that is older than two minutes",
        );
    }
    Ok(When::Differs { deadband, heartbeat })
}

/// The rules for all tags.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// By agent, if it is of one, and tag.
    rules: BTreeMap<(Option<String>, String), When>,
}

/// Why there are no rules.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Their file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A line of it is no rule.
    #[error("{path}, line {line}: {source}")]
    Line {
        /// The file.
        path: String,
        /// Counted from one.
        line: usize,
        /// What is wrong.
        source: NoRule,
    },
    /// A tag has two rules.
    #[error("there are two rules for {0}: leave one of them")]
    Twice(String),
}

impl Rules {
    /// Those that were given, and those of a file: one in each line, `#` begins a remark.
    ///
    /// # Errors
    /// [`RulesError`].
    pub fn read(given: &[TagRule], file: Option<&Path>) -> Result<Self, RulesError> {
        let mut all = given.to_vec();
        if let Some(path) = file {
            let shown = path.display().to_string();
            let text =
                std::fs::read_to_string(path).map_err(|source| RulesError::File { path: shown.clone(), source })?;
            for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
                if !line.is_empty() && !line.starts_with('#') {
                    let wrong = |source| RulesError::Line { path: shown.clone(), line: number, source };
                    all.push(line.parse().map_err(wrong)?);
                }
            }
        }
        let mut rules = BTreeMap::new();
        for TagRule { agent, tag, kept } in all {
            if rules.insert((agent, tag.clone()), kept).is_some() {
                return Err(RulesError::Twice(tag));
            }
        }
        Ok(Self { rules })
    }

    /// The rule for a tag of an agent, `SITE/AGENT`, that has a cycle so often.
    pub(crate) fn of(&self, agent: &str, tag: &str, period_ns: u64) -> Rule {
        let find = |agent: Option<&str>| self.rules.get(&(agent.map(str::to_owned), tag.to_owned()));
        let kept = find(Some(agent)).or_else(|| find(None));
        match kept.copied().unwrap_or(When::Differs { deadband: 0.0, heartbeat: Duration::from_nanos(HEARTBEAT_NS) }) {
            When::Every => Rule::Every,
            When::Differs { deadband, heartbeat } => {
                let heartbeat_ns = u64::try_from(heartbeat.as_nanos()).unwrap_or(HEARTBEAT_NS);
                Rule::ByException { deadband, heartbeat_cycles: (heartbeat_ns / period_ns.max(1)).max(1) }
            }
        }
    }

    /// The rule for what has no rules of its own.
    pub(crate) fn usual(period_ns: u64) -> Rule {
        Self::default().of("", "", period_ns)
    }

    /// Rules that name a tag which this agent does not have, although they are for it alone.
    pub(crate) fn without_tag<'a>(&'a self, agent: &str, tags: &[&str]) -> impl Iterator<Item = &'a str> {
        let named = self.rules.keys().filter(move |(of, _)| of.as_deref() == Some(agent)).map(|(_, tag)| tag.as_str());
        named.filter(move |tag| !tags.contains(tag)).collect::<Vec<_>>().into_iter()
    }
}

#[cfg(test)]
mod tests {
    use archive::{Exceptions, Point, TrackId};
    use proptest::prelude::*;

    use super::*;

    fn rules(given: &[&str]) -> Result<Rules, RulesError> {
        let given: Vec<TagRule> = given.iter().map(|text| text.parse().unwrap()).collect();
        Rules::read(&given, None)
    }

    #[test]
    fn a_rule_is_for_a_tag_of_one_agent_or_of_all() {
        let rules = rules(&["PH=0.05", "FLOW=0.5,10s", "works/ph:PH=every", "a=b:c=1,0.5s"]).unwrap();
        let differs = |deadband, heartbeat_cycles| Rule::ByException { deadband, heartbeat_cycles };
        assert_eq!(rules.of("works/other", "PH", 1_000_000_000), differs(0.05, 60));
        assert_eq!(rules.of("works/ph", "PH", 1_000_000_000), Rule::Every);
        assert_eq!(rules.of("works/ph", "FLOW", 10_000_000), differs(0.5, 1_000));
        assert_eq!(rules.of("works/ph", "a=b:c", 1_000_000_000), differs(1.0, 1));
        assert_eq!(rules.of("works/ph", "LEVEL", 1_000_000), Rules::usual(1_000_000));
        assert_eq!(rules.without_tag("works/ph", &["FLOW"]).collect::<Vec<_>>(), ["PH"]);
    }

    #[test]
    fn a_site_files_rule_is_one_for_its_agent_and_its_heartbeat_no_longer_than_what_is_believed() {
        assert_eq!(rt_config::KEPT_HEARTBEAT_MAX.as_ns(), HEARTBEAT_NS);
        let heartbeat = rt_core::time::Span::from_ms(10_000);
        let kept = [Kept::Every, Kept::ByException { deadband: 0.5, heartbeat }];
        let said = ["works/ph:FLOW=every", "works/ph:FLOW=0.5,10s"];
        for (kept, said) in kept.into_iter().zip(said) {
            assert_eq!(TagRule::of_site("works/ph", "FLOW".into(), kept), said.parse().unwrap());
        }
    }

    #[test]
    fn what_is_no_rule_is_told_with_its_line() {
        for text in ["PH", "PH=", "=1", "PH=-1", "PH=NaN", "PH=1,61s", "PH=1,0s", "PH=1,10", "works/ph:=1"] {
            assert!(text.parse::<TagRule>().is_err(), "{text}");
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rules");
        std::fs::write(&path, "# slow\nPH=0.05\n\nFLOW\n").unwrap();
        let error = Rules::read(&[], Some(&path)).unwrap_err().to_string();
        assert!(error.contains("line 4") && error.contains("no `=`"), "{error}");
        std::fs::write(&path, "PH=0.05\n").unwrap();
        assert!(
            matches!(Rules::read(&["PH=1".parse().unwrap()], Some(&path)), Err(RulesError::Twice(tag)) if tag == "PH")
        );
    }

    proptest! {
        #[test]
        fn whatever_is_shown_is_off_by_no_more_than_the_deadband_and_never_older_than_the_heartbeat(
            samples in prop::collection::vec((1u64..2_000, prop_oneof![8 => -3.0f64..3.0, 1 => Just(f64::NAN)], 0u32..2), 1..120),
            deadband in 0.0f64..2.0, heartbeat_s in 1u64..=60,
        ) {
            let rules = rules(&[&format!("PH={deadband},{heartbeat_s}s")]).unwrap();
            let mut exceptions = Exceptions::default();
            exceptions.add(TrackId(1), rules.of("works/ph", "PH", 100_000_000), None);
            let (mut shown, mut cycle): (Option<Point>, _) = (None, 0);
            for (step, value, state) in samples {
                cycle += step;
                let sample = Point::new(cycle, value, state);
                if exceptions.keeps(TrackId(1), &sample) {
                    shown = Some(sample);
                }
                let shown = shown.expect("the first one is kept");
                prop_assert_eq!((shown.state, shown.value.is_nan()), (state, value.is_nan()));
                prop_assert!(value.is_nan() || (shown.value - value).abs() <= deadband);
                prop_assert!(cycle - shown.cycle < heartbeat_s * 10);
            }
        }
    }
}
