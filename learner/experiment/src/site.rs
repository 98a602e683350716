//! From a case to the site file of the agent that is tried on it.
//!
//! An environment has no OPC UA server, so the addresses in it lead nowhere; all else is what a runtime of this agent would
//! read, checked by the same code.

use bridge::Variable;
use rt_config::Site;
use serde_json::{Map, Value, json};

use crate::case::{ActionRange, Case};
use crate::world::World;

/// The tag that has the environment's own reward. A case that gives it a range among its tags lets the agent see it.
const OWN_REWARD: &str = "environment_reward";
/// Nobody asks how fast the agent moves a simulated plant.
const PERIOD: &str = "100ms";

/// The site of this case's agent, with this seed. Tags are the world's inputs, its outputs, and its own reward.
///
/// # Errors
/// Everything that is wrong with the case, as far as a site file shows it.
pub fn site_of(case: &Case, world: &World, seed: u64) -> Result<Site, String> {
    complain_of_strangers(case, world)?;
    complain_of_missing_ranges(case, world)?;
    let actions = || world.inputs().iter().map(|variable| (variable, action_of(case, variable)));
    let mut tags: Vec<Value> = Vec::new();
    for (variable, action) in actions() {
        tags.push(Value::Object(setpoint(variable, action)?));
    }
    for variable in world.outputs() {
        let more = case.tags.get(&variable.name).into_iter().flatten();
        let mut tag = measured(variable);
        tag.extend(more.map(|(key, value)| (key.clone(), value.clone())));
        tags.push(Value::Object(tag));
    }
    tags.push(Value::Object(own_reward_tag(case)));
    tags.extend(case.computed.iter().cloned().map(Value::Object));
    let limits: Map<_, _> =
        actions().map(|(variable, _)| (variable.name.clone(), json!({ "rate": "unlimited" }))).collect();
    let mut agent = case.agent.clone();
    agent.entry("explore").or_insert(Value::Bool(true));
    let own_reward = json!({ "value": format!("{{{OWN_REWARD}}}") });
    let text = json!({
        "schema": "corerl/1",
        "lab": true,
        "agent_name": case.name,
        "is_simulation": true,
        "seed": seed,
        "coreio": { "opc_connections": [{ "connection_id": "plant", "opc_conn_url": "opc.tcp://127.0.0.1:1" }] },
        "interaction": {
            "obs_period": PERIOD,
            "action_period": format!("{}00ms", case.decide_every),
            "state_age_tol": "1h",
        },
        "agent": agent,
        "pipeline": { "tags": tags, "reward": case.reward.clone().map_or(own_reward, Value::Object) },
        "runtime": { "site": "experiment", "period": PERIOD, "limits": limits },
    });
    let loaded = rt_config::parse(&text.to_string(), "case".as_ref()).map_err(|refused| said(&refused))?;
    Ok(loaded.site)
}

/// What is said of the site, without the places in a text that nobody has written.
fn said(refused: &rt_config::Refused) -> String {
    let errors = refused.complaints.iter().filter(|said| said.severity == rt_config::Severity::Error);
    let one = |said: &rt_config::Complaint| match &said.help {
        Some(help) => format!("{} ({help})", said.message),
        None => said.message.clone(),
    };
    errors.map(one).collect::<Vec<_>>().join("; ")
}

/// Names in `actions` and `tags` that the environment does not have.
fn complain_of_strangers(case: &Case, world: &World) -> Result<(), String> {
    let tags = case.tags.keys().filter(|name| *name != OWN_REWARD).collect();
    let groups: [(&str, Vec<&String>, &[Variable]); 2] =
        [("actions", case.actions.keys().collect(), world.inputs()), ("tags", tags, world.outputs())];
    for (key, names, variables) in groups {
        if let Some(stranger) = names.into_iter().find(|name| variables.iter().all(|known| known.name != **name)) {
            let known: Vec<_> = variables.iter().map(|variable| variable.name.as_str()).collect();
            return Err(format!("`{key}` names `{stranger}`, and the environment has {}", known.join(", ")));
        }
    }
    Ok(())
}

/// Variables without a range, by the environment or by the case.
fn complain_of_missing_ranges(case: &Case, world: &World) -> Result<(), String> {
    const RANGES: [&str; 4] = ["expected_range", "operating_range", "red_bounds", "yellow_bounds"];
    let has_range = |name: &str| case.tags.get(name).is_some_and(|tag| RANGES.iter().any(|key| tag.contains_key(*key)));
    let names = |variables: &[Variable], has_range: &dyn Fn(&Variable) -> bool| {
        let without = variables.iter().filter(|variable| range(variable).is_none() && !has_range(variable));
        without.map(|variable| variable.name.clone()).collect::<Vec<_>>()
    };
    let mut observations = names(world.outputs(), &|variable| has_range(&variable.name));
    if case.tags.contains_key(OWN_REWARD) && !has_range(OWN_REWARD) {
        observations.push(OWN_REWARD.to_owned());
    }
    let actions = names(world.inputs(), &|variable| action_of(case, variable).range.is_some());
    match (observations.first(), actions.first()) {
        (Some(first), _) => Err(format!(
            "the environment has no range for {}: write the usual one, as in `tags: {{{first}: {{expected_range: [-1, 1]}}}}`",
            observations.join(", ")
        )),
        (None, Some(first)) => Err(format!(
            "the environment has no range for {}: write one, as in `actions: {{{first}: {{range: [-1, 1]}}}}`",
            actions.join(", ")
        )),
        (None, None) => Ok(()),
    }
}

fn range(variable: &Variable) -> Option<[f64; 2]> {
    Some([variable.lo?, variable.hi?])
}

fn action_of(case: &Case, variable: &Variable) -> ActionRange {
    case.actions.get(&variable.name).copied().unwrap_or_default()
}

fn node(name: &str) -> String {
    format!("nsu=urn:corerl:plant;s={name}")
}

fn measured(variable: &Variable) -> Map<String, Value> {
    let Variable { name, unit, .. } = variable;
    let tag = [("name", json!(name)), ("unit", json!(unit)), ("node_identifier", json!(node(name)))];
    let range = range(variable).map(|range| ("operating_range", json!(range)));
    tag.into_iter().chain(range).map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The environment tells its reward whatever else is missing, so it may be one of the inputs (Wang et al. 2016, "Learning to
/// reinforcement learn"). Otherwise it is what the agent aims at and does not see.
fn own_reward_tag(case: &Case) -> Map<String, Value> {
    let mut tag = Map::from_iter([
        ("name".to_owned(), json!(OWN_REWARD)),
        ("node_identifier".to_owned(), json!(node(OWN_REWARD))),
    ]);
    match case.tags.get(OWN_REWARD) {
        Some(more) => tag.extend(more.clone()),
        None => _ = tag.insert("type".to_owned(), json!("meta")),
    }
    tag
}

fn setpoint(variable: &Variable, action: ActionRange) -> Result<Map<String, Value>, String> {
    let Variable { name, nominal, .. } = variable;
    let ActionRange { range, step, nominal: wanted } = action;
    let (lo, hi) = (variable.lo.unwrap_or(f64::NEG_INFINITY), variable.hi.unwrap_or(f64::INFINITY));
    let [from, to] = range.unwrap_or([lo, hi]);
    if !(lo <= from && from < to && to <= hi) {
        return Err(format!("`actions.{name}.range` is [{from}, {to}], and the environment takes {lo} to {hi}"));
    }
    if step.is_some_and(|step| !(step > 0.0 && step.is_finite())) {
        return Err(format!("`actions.{name}.step` is not a number above 0"));
    }
    let mut tag = measured(&Variable { lo: Some(from), hi: Some(to), ..variable.clone() });
    tag.insert("type".to_owned(), json!("ai_setpoint"));
    tag.insert("nominal_setpoint".to_owned(), json!(wanted.unwrap_or(nominal.clamp(from, to))));
    if let Some(step) = step {
        tag.insert("action_bounds".to_owned(), json!([format!("{{{name}}} - {step}"), format!("{{{name}}} + {step}")]));
    }
    Ok(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    fn site(case: &Case) -> Result<Site, String> {
        site_of(case, &World::open(&case.environment).unwrap(), 1)
    }

    #[test]
    fn every_case_of_ours_makes_a_site_with_its_setpoints() {
        for name in Case::names() {
            let case = Case::named(name).unwrap();
            let site = site(&case).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(site.setpoints.len(), World::open(&case.environment).unwrap().inputs().len());
            assert!(site.agent.explore);
        }
    }

    #[test]
    fn every_environment_makes_a_site_with_nothing_but_its_name() {
        for name in plants::Environment::NAMES {
            let environment = Environment::Plant(plants::Environment::named(name).unwrap());
            let case = Case { environment, ..Case::named("saturation").unwrap() };
            let case = Case { actions: Default::default(), agent: Default::default(), ..case };
            site(&case).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    #[test]
    fn the_agent_sees_the_reward_if_the_case_gives_it_a_range() {
        let mut case = Case::named("saturation").unwrap();
        let columns = |case: &Case| policy::pipeline::Columns::of(&site(case).unwrap()).as_slice().len();
        let unseen = columns(&case);
        case.tags.insert(OWN_REWARD.to_owned(), Map::from_iter([("expected_range".to_owned(), json!([-0.5, 0.0]))]));
        assert_eq!(columns(&case), unseen + site(&case).unwrap().agent.traces.len());
        case.tags.insert(OWN_REWARD.to_owned(), Map::new());
        assert!(site(&case).unwrap_err().contains("no range for environment_reward"));
    }

    #[test]
    fn what_the_environment_does_not_have_is_refused_by_name() {
        let mut case = Case::named("saturation").unwrap();
        case.actions.insert("v".to_owned(), ActionRange::default());
        assert_eq!(site(&case).unwrap_err(), "`actions` names `v`, and the environment has u");
        let mut case = Case::named("saturation").unwrap();
        case.tags.insert("pressure".to_owned(), Map::new());
        assert!(site(&case).unwrap_err().contains("the environment has level, level_sp"));
        let mut case = Case::named("saturation").unwrap();
        case.actions.get_mut("u").unwrap().range = Some([0.0, 0.7]);
        assert!(site(&case).unwrap_err().contains("takes 0 to 0.5"));
        let mut case = Case::named("saturation").unwrap();
        case.agent.insert("gama".to_owned(), json!(0.9));
        assert!(site(&case).unwrap_err().contains("unknown key `gama` (did you mean `gamma`?)"));
    }
}
