//! What a run of the demo is to be: the plants that it knows, and the site file made from a template.

use std::path::Path;

/// A measured value and the setpoint that it is to follow, by the names of their tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) measured: &'static str,
    pub(crate) setpoint: &'static str,
}

/// A plant that the demo knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DemoPlant {
    /// Its name, as `corerl-plant` knows it.
    pub(crate) name: &'static str,
    template: &'static str,
    /// What the report draws together.
    pub(crate) pairs: &'static [Pair],
}

/// Site and agent as the templates name them.
pub(crate) const SITE: &str = "demo";
pub(crate) const AGENT: &str = "demo";

const fn pair(measured: &'static str, setpoint: &'static str) -> Pair {
    Pair { measured, setpoint }
}

/// The plants of the demo.
pub(crate) const PLANTS: &[DemoPlant] = &[
    DemoPlant {
        name: "saturation",
        template: include_str!("../../demo/saturation.yaml"),
        pairs: &[pair("level", "level_sp")],
    },
    DemoPlant {
        name: "multi_action_saturation",
        template: include_str!("../../demo/multi_action_saturation.yaml"),
        pairs: &[pair("F1", "F1_sp"), pair("F2", "F2_sp"), pair("F3", "F3_sp")],
    },
    DemoPlant {
        name: "three_tanks",
        template: include_str!("../../demo/three_tanks.yaml"),
        pairs: &[pair("H1", "T1"), pair("H3", "T3")],
    },
];

/// What goes into a template.
#[derive(Debug, Clone)]
pub(crate) struct Values<'a> {
    /// The server's address.
    pub(crate) url: &'a str,
    /// The control period, as a site file spells it.
    pub(crate) period: &'a str,
    /// Time between observations, and between decisions.
    pub(crate) obs_period: &'a str,
    /// Seed of the agent.
    pub(crate) seed: u64,
    /// The policy file to start with, a path that holds wherever the site file lies.
    pub(crate) policy: Option<&'a Path>,
}

impl DemoPlant {
    /// The plant of this name.
    pub(crate) fn by_name(name: &str) -> Result<&'static Self, String> {
        PLANTS.iter().find(|plant| plant.name == name).ok_or_else(|| {
            let known: Vec<_> = PLANTS.iter().map(|plant| plant.name).collect();
            format!("there is no plant `{name}`; known are {}", known.join(", "))
        })
    }

    /// The site file.
    pub(crate) fn site_file(&self, values: &Values<'_>) -> String {
        let policy = |path: &Path| format!("\n  policy_file: {}", serde_json::Value::from(path.to_string_lossy()));
        self.template
            .replace("{{policy}}", &values.policy.map(policy).unwrap_or_default())
            .replace("{{url}}", values.url)
            .replace("{{period}}", values.period)
            .replace("{{obs_period}}", values.obs_period)
            .replace("{{seed}}", &values.seed.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_file_has_no_gap_left_and_names_the_tags_that_the_report_draws() {
        let values = Values { url: "opc.tcp://127.0.0.1:1", period: "1ms", obs_period: "10ms", seed: 7, policy: None };
        for plant in PLANTS {
            let text = plant.site_file(&values);
            let keys: String = text.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(!keys.contains("{{") && !keys.contains("}}"), "{text}");
            assert!(text.contains("seed: 7") && text.contains("opc.tcp://127.0.0.1:1"));
            for pair in plant.pairs {
                for tag in [pair.measured, pair.setpoint] {
                    assert!(text.contains(&format!("{}.{tag}", plant.name)), "{tag}");
                }
            }
        }
    }

    #[test]
    fn a_site_file_is_accepted_and_drives_every_input_of_its_plant() {
        let values = Values { url: "opc.tcp://127.0.0.1:1", period: "1ms", obs_period: "10ms", seed: 7, policy: None };
        for (plant, inputs) in PLANTS.iter().zip([1, 3, 2]) {
            let text = plant.site_file(&values);
            let loaded = rt_config::parse(&text, "site.yaml".as_ref()).unwrap_or_else(|refused| panic!("{refused}"));
            assert_eq!((loaded.site.name.as_str(), loaded.site.agent_name.as_str()), (SITE, AGENT));
            assert_eq!(loaded.site.setpoints.len(), inputs);
        }
    }

    #[test]
    fn a_policy_to_start_with_stands_in_the_site_file_whatever_its_path_looks_like() {
        let policy = Some(Path::new("/a place: \"here\"/policy.safetensors"));
        let values = Values { url: "opc.tcp://127.0.0.1:1", period: "1ms", obs_period: "10ms", seed: 7, policy };
        for plant in PLANTS {
            let loaded = rt_config::parse(&plant.site_file(&values), "site.yaml".as_ref());
            let site = loaded.unwrap_or_else(|refused| panic!("{refused}")).site;
            assert_eq!(site.runtime.policy_file.as_deref(), policy);
        }
    }

    #[test]
    fn an_unknown_plant_is_answered_with_the_known_ones() {
        let message = DemoPlant::by_name("boiler").unwrap_err();
        assert!(message.contains("boiler") && message.contains("three_tanks"));
    }
}
