//! What other crates derive from a site: the cycle's settings, slots per observation, the hash of the tag list.

use std::num::NonZeroU64;

use rt_core::alarm::AlarmSettings;
use rt_core::changes::{ChangeError, ChangeSet, SetpointTuning};
use rt_core::cycle::CycleSettings;
use rt_core::envelope::Interlock;
use rt_core::fallback::FallbackLaw;
use rt_core::mode::ModeSettings;
use rt_core::setpoint::{Cascade, SetpointSettings};
use rt_core::tag::TagSettings;
use rt_core::time::Span;
use rt_core::trips::TripSettings;

use crate::site::{Alarm, DecisionClock, Setpoint, Site, Tag, TagKind};

/// So many decisions in a row may find an incomplete state before the cycle holds.
const INCOMPLETE_DECISIONS_MAX: u32 = 2;

/// The lists that [`CycleSettings`] borrows.
#[derive(Clone, Debug)]
pub struct CycleLists {
    /// How each tag is judged, in the site's order.
    pub tags: Vec<TagSettings>,
    /// The setpoints, in the site's order.
    pub setpoints: Vec<SetpointSettings>,
    /// Interlocks, each with the index of its setpoint.
    pub interlocks: Vec<(usize, Interlock)>,
    /// The alarms of all connections, in their order.
    pub alarms: Vec<AlarmSettings>,
}

impl Site {
    /// The control period's slots from one observation to the next.
    pub fn obs_every(&self) -> NonZeroU64 {
        self.slots(self.interaction.obs_period)
    }

    /// The control period's slots from one decision to the next.
    pub fn act_every(&self) -> NonZeroU64 {
        self.slots(self.interaction.action_period)
    }

    fn slots(&self, span: Span) -> NonZeroU64 {
        // A site's spans are exact multiples of its period, and not zero.
        self.runtime.period.exact_multiple(span).and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN)
    }

    /// The observations from one decision to the next, at least 1.
    pub fn observations_per_decision(&self) -> u64 {
        self.interaction.observations_per_decision()
    }

    /// The alarms of all connections, in their order; an alarm's number is its place here.
    pub fn alarms(&self) -> impl Iterator<Item = &Alarm> {
        self.connections.iter().flat_map(|connection| &connection.alarms)
    }

    /// The lists that the cycle's settings borrow; keep them as long as the settings.
    pub fn cycle_lists(&self) -> CycleLists {
        let interlocks = self
            .setpoints
            .iter()
            .enumerate()
            .flat_map(|(index, setpoint)| setpoint.interlocks.iter().map(move |interlock| (index, *interlock)));
        CycleLists {
            tags: self.tags.iter().map(|tag| tag.settings).collect(),
            setpoints: self.setpoints.iter().map(|setpoint| setpoint.settings).collect(),
            interlocks: interlocks.collect(),
            alarms: self.alarms().map(|alarm| alarm.settings).collect(),
        }
    }

    /// What a [`rt_core::cycle::Cycle`] of this site is made from.
    pub fn cycle_settings<'l>(&self, lists: &'l CycleLists) -> CycleSettings<'l> {
        let runtime = &self.runtime;
        let slowest_call = self.connections.iter().map(|connection| connection.call_timeout).max();
        let byte = |count: u32| u8::try_from(count).unwrap_or(u8::MAX);
        CycleSettings {
            period: runtime.period,
            observe_every: self.obs_every(),
            decide_every: self.act_every(),
            tags: &lists.tags,
            setpoints: &lists.setpoints,
            interlocks: &lists.interlocks,
            alarms: &lists.alarms,
            expiry: runtime.setpoint_expiry,
            // The outcome of a call is known at its deadline at the latest.
            confirm_within: runtime.setpoint_expiry + slowest_call.unwrap_or(Span::ZERO),
            settle_within: runtime.t_settle,
            decide_within: runtime.decide_within,
            modes: ModeSettings {
                hold_max: runtime.t_hold,
                recover_after: runtime.t_recover,
                returns_per_hour: byte(runtime.recoveries_per_hour),
                release_after: runtime.t_release,
            },
            trips: TripSettings {
                not_finite_cycles_max: runtime.nan_limit,
                out_of_bounds_max: runtime.clamp_limit,
                refused_max: runtime.write_fail_limit,
                overruns: runtime.overrun_limit,
                chatter: runtime.chatter,
                late_decisions: runtime.late_limit,
                incomplete_max: INCOMPLETE_DECISIONS_MAX,
            },
            policy_age_max: runtime.max_policy_age,
            // A policy file is somebody's decision; the nominal policy is what there is without one.
            first_policy_waits: self.learner.rebuilds && runtime.policy_file.is_none(),
            explore: self.agent.explore,
        }
    }

    /// What may be changed while a runtime of this site runs: limits and nominal values, and how tags are judged.
    ///
    /// # Errors
    /// Never for a site that was loaded.
    pub fn change_set(&self, number: u64) -> Result<ChangeSet, ChangeError> {
        let tuning =
            |setpoint: &Setpoint| SetpointTuning { limits: setpoint.settings.limits, nominal: setpoint.nominal };
        let setpoints: Vec<_> = self.setpoints.iter().map(tuning).collect();
        let tags: Vec<_> = self.tags.iter().map(|tag| tag.settings).collect();
        ChangeSet::new(number, &setpoints, &tags)
    }

    /// In what `proposed` differs from this site beyond a change set: it would need a restart. Empty when it may be applied.
    pub fn beyond_change_set(&self, proposed: &Self) -> Vec<&'static str> {
        let mut rest = proposed.clone();
        for (theirs, ours) in rest.tags.iter_mut().zip(&self.tags) {
            theirs.settings = ours.settings;
        }
        for (theirs, ours) in rest.setpoints.iter_mut().zip(&self.setpoints) {
            (theirs.settings.limits, theirs.nominal) = (ours.settings.limits, ours.nominal);
            if let (FallbackLaw::Nominal(theirs), FallbackLaw::Nominal(ours)) =
                (&mut theirs.settings.fallback, &ours.settings.fallback)
            {
                *theirs = *ours;
            }
        }
        let names = |site: &Self| (site.name.clone(), site.agent_name.clone(), site.instance.clone());
        let parts = [
            ("the names of site, agent or instance", names(self) == names(&rest)),
            ("`lab` or `seed`", (self.lab, self.seed) == (rest.lab, rest.seed)),
            ("`coreio` or `runtime.io`", self.connections == rest.connections),
            ("tags", self.tags == rest.tags && self.computed == rest.computed),
            ("interlocks, fallbacks or bounds of setpoints", self.setpoints == rest.setpoints),
            ("`interaction`", self.interaction == rest.interaction),
            ("the reward", self.reward == rest.reward),
            ("`agent`", self.agent == rest.agent),
            ("`runtime` apart from limits", self.runtime == rest.runtime),
        ];
        parts.iter().filter(|(_, same)| !same).map(|(what, _)| *what).collect()
    }

    /// The cascade whose agent's half the tag at `index` is.
    pub fn cascade_of(&self, index: usize) -> Option<Cascade> {
        self.setpoints.iter().find(|setpoint| setpoint.tag.index() == index)?.settings.cascade
    }

    /// The tags that make the columns of the agent's state, in their order.
    pub fn state_tags(&self) -> impl Iterator<Item = &Tag> {
        self.tags.iter().filter(|tag| tag.in_state)
    }

    /// A hash of what a policy's inputs and outputs mean: names and units of the state's tags and of the setpoints, in
    /// their order. A policy with another hash belongs to another site.
    pub fn tag_list_hash(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        let mut add = |what: u8, tag: &Tag| {
            hasher.update(&[what]);
            for text in [&tag.name, &tag.unit] {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        };
        self.state_tags().for_each(|tag| add(0, tag));
        self.setpoints.iter().filter_map(|setpoint| self.tags.get(setpoint.tag.index())).for_each(|tag| add(1, tag));
        // Of a site without them the hash is what it always was.
        self.state_tags().filter(|tag| tag.kind == TagKind::Delta).for_each(|tag| add(2, tag));
        match self.agent.decision_clock {
            DecisionClock::Off => {}
            DecisionClock::OneHot => drop(hasher.update(&[3])),
            DecisionClock::Countdown => drop(hasher.update(&[4])),
        }
        hasher.finalize().as_bytes().iter().take(8).rev().fold(0, |hash, byte| hash << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rt_core::cycle::Cycle;

    use crate::site::Site;

    fn example() -> Site {
        crate::parse(crate::example(), Path::new("site.yaml")).expect("the example is valid").site
    }

    #[test]
    fn the_cycle_accepts_the_settings_of_a_site() {
        let site = example();
        let lists = site.cycle_lists();
        let settings = site.cycle_settings(&lists);
        assert_eq!((site.obs_every().get(), site.act_every().get()), (10, 10));
        assert_eq!(settings.interlocks.len(), 2);
        // A cycle is large; it gets a stack of its own.
        std::thread::scope(|scope| {
            let built =
                std::thread::Builder::new().stack_size(16 << 20).spawn_scoped(scope, || Cycle::new(&settings).is_ok());
            assert!(built.expect("a thread").join().expect("no panic"));
        });
    }

    #[test]
    fn limits_nominals_and_tag_rules_may_be_applied_and_nothing_else() {
        let site = example();
        let edited = |from: &str, to: &str| {
            assert!(crate::example().contains(from), "{from}");
            let text = crate::example().replace(from, to);
            crate::parse(&text, Path::new("site.yaml")).unwrap_or_else(|refused| panic!("{refused}")).site
        };
        let live = edited("range: [0.0, 0.45]", "range: [0.0, 0.4]");
        assert_eq!(site.beyond_change_set(&live), [""; 0]);
        let set = live.change_set(3).expect("a loaded site");
        assert_eq!(set.setpoints().nth(1).map(|tuning| tuning.limits.run.hi), Some(0.4));
        for (from, to) in [
            ("nominal_setpoint: 0.25", "nominal_setpoint: 0.3"),
            ("stale_after: 50ms", "stale_after: 80ms"),
            ("rate: 0.5 ", "by_mode: {run: {rate: 0.1}}\n      rate: 0.5 "),
        ] {
            assert_eq!(site.beyond_change_set(&edited(from, to)), [""; 0], "{to}");
        }
        for (from, to, beyond) in [
            ("seed: 1", "seed: 2", "`lab` or `seed`"),
            ("127.0.0.1:4840", "127.0.0.1:4841", "`coreio` or `runtime.io`"),
            ("expected_range: [0.0, 1.0]", "expected_range: [0.0, 2.0]", "tags"),
            ("\"{LEVEL} > 0.95\"", "\"{LEVEL} > 0.9\"", "interlocks, fallbacks or bounds of setpoints"),
            ("warmup_period: 1s", "warmup_period: 2s", "`interaction`"),
            ("- 0.7)", "- 0.6)", "the reward"),
            ("gamma: 0.99", "gamma: 0.9", "`agent`"),
            ("t_hold: 100ms", "t_hold: 200ms", "`runtime` apart from limits"),
            ("site: example", "site: other", "the names of site, agent or instance"),
        ] {
            let differences = site.beyond_change_set(&edited(from, to));
            assert!(differences.contains(&beyond), "{to}: {differences:?}");
        }
    }

    #[test]
    fn f29_the_hash_of_the_tag_list_sees_names_units_and_order() {
        let site = example();
        let mut renamed = site.clone();
        renamed.tags[0].name.push('x');
        let mut other_unit = site.clone();
        other_unit.tags[0].unit = "bar".to_owned();
        let mut swapped = site.clone();
        swapped.tags.swap(0, 1);
        let mut same = site.clone();
        same.tags[0].node_changed();
        let hash = site.tag_list_hash();
        assert_eq!(same.tag_list_hash(), hash);
        for other in [renamed, other_unit, swapped] {
            assert_ne!(other.tag_list_hash(), hash);
        }
    }

    impl crate::site::Tag {
        fn node_changed(&mut self) {
            if let Some(source) = &mut self.source {
                source.node.push('x');
            }
        }
    }
}
