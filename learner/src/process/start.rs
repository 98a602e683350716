//! From the command line to an agent that is ready to learn.

use learner::{Agent, AgentOptions, AgentShape};
use policy::pipeline::Columns;
use rt_config::Site;
use rt_control::Address;
use rt_sys::{Cpus, Lifeline};
use shm_layout::StepLayout;
use tracing::{info, warn};

use super::attachment::Expected;
use super::keeping::Keeping;
use super::{Arguments, Failure};

/// How much the learner gives way to other ordinary work.
const NICE: u8 = 5;
/// It is the first to go when memory is short.
const OOM_SCORE: i16 = 500;

/// An agent and its surroundings.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) agent: Agent,
    pub(crate) address: Address,
    pub(crate) expected: Expected,
    pub(crate) keeping: Option<Keeping>,
    /// The generation that was published last; 0 for an agent that begins.
    pub(crate) generation: u64,
    pub(crate) publish_every: u64,
    pub(crate) checkpoint_every: std::time::Duration,
}

/// Reads the site file, builds the agent and brings it to where it was. `None`: asked to stop meanwhile.
pub(crate) fn start(arguments: &Arguments, lifeline: &Lifeline) -> Result<Option<Ready>, Failure> {
    let loaded = rt_config::load(&arguments.config).map_err(|refused| Failure::Config(refused.to_string()))?;
    let site = loaded.site;
    rt_sys::start_logging("corerl-learner", &site.agent_name);
    let runtime_dir = arguments.runtime_dir.clone().unwrap_or_else(rt_control::default_runtime_dir);
    let address = Address::new(&runtime_dir, &site.name, &site.agent_name, &site.instance)?;
    let threads = give_way(&site, arguments.threads);

    let shape = AgentShape { state: Columns::of(&site).len(), action: site.setpoints.len() };
    let mut agent = Agent::new(shape, options_of(&site), &nominal_of(&site), threads)?;
    let keeping = arguments.checkpoint_dir.as_deref().map(|directory| Keeping::new(directory, &site)).transpose()?;
    let resumed = keeping.as_ref().map_or(Ok(None), |keeping| keeping.resume(&mut agent))?;
    if resumed.is_none() {
        let mut stop = false;
        agent.learn_nominal(|| {
            stop |= lifeline.wait(std::time::Duration::ZERO).asks_to_stop();
            !stop
        });
        if stop {
            return Ok(None);
        }
    }
    info!(
        columns = shape.state,
        setpoints = shape.action,
        threads,
        replay_capacity = agent.replay_capacity(),
        "ready to learn"
    );
    let too_wide = || Failure::Internal(format!("{} columns do not fit a step", shape.state));
    let size = |columns: usize| u32::try_from(columns).unwrap_or(u32::MAX);
    Ok(Some(Ready {
        agent,
        address,
        expected: Expected {
            spec: policy::actor_spec(shape.state, shape.action),
            steps: StepLayout::new(size(shape.state), size(shape.action)).ok_or_else(too_wide)?,
            tag_list_hash: site.tag_list_hash(),
        },
        keeping,
        generation: resumed.unwrap_or(0),
        publish_every: site.agent.publish_every.max(1) as u64,
        checkpoint_every: std::time::Duration::from_nanos(site.interaction.checkpoint_every.as_ns()),
    }))
}

/// Steps behind everything else on this machine; the number of threads to learn with.
fn give_way(site: &Site, threads: Option<u16>) -> usize {
    let placement = Cpus::allowed().placement(site.runtime.control_cpu, site.runtime.io_cpu);
    if let Err(cause) = rt_sys::become_batch(NICE, &placement.others) {
        warn!("the learner could not give way to the other programs: {cause}");
    }
    if let Err(error) = rt_sys::set_oom_score_adj(OOM_SCORE) {
        warn!("the learner could not offer itself to be killed first when memory is short: {error}");
    }
    threads.map_or(placement.others.len(), usize::from)
}

/// The site's options, in the agent's terms.
fn options_of(site: &Site) -> AgentOptions {
    let (from, interaction) = (&site.agent, &site.interaction);
    let obs_period_ns = interaction.obs_period.as_ns().max(1);
    let defaults = AgentOptions::default();
    AgentOptions {
        seed: site.seed,
        gamma: from.gamma,
        n_step_max: (interaction.action_period.as_ns() / obs_period_ns).max(1) as usize,
        ensemble: from.ensemble,
        ensemble_probability: from.ensemble_probability,
        batch_size: from.batch_size,
        critic_lr: from.critic_lr,
        actor_lr: from.actor_lr,
        candidates: from.candidates,
        // Both judge actions, so a site that asks for fewer candidates gets fewer of these, too.
        next_actions: (defaults.next_actions * from.candidates / defaults.candidates).clamp(1, defaults.next_actions),
        critic_updates: from.critic_updates,
        actor_updates: from.actor_updates,
        replay_capacity: from.replay_capacity,
        warmup_transitions: (interaction.warmup_period.as_ns() / obs_period_ns) as usize,
        ..defaults
    }
}

/// The nominal setpoints, normalised.
fn nominal_of(site: &Site) -> Vec<f32> {
    let normalise = |setpoint: &rt_config::Setpoint| {
        let rt_config::Range { lo, hi } = setpoint.scale;
        ((setpoint.nominal - lo) / (hi - lo)).clamp(0.0, 1.0) as f32
    };
    site.setpoints.iter().map(normalise).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_site_makes_an_agent() {
        let site = rt_config::parse(rt_config::example(), "site.yaml".as_ref()).unwrap().site;
        let options = options_of(&site);
        assert_eq!(options.check(), Ok(()));
        assert_eq!(options.gamma, site.agent.gamma);
        let nominal = nominal_of(&site);
        assert_eq!(nominal.len(), site.setpoints.len());
        assert!(nominal.iter().all(|a| (0.0..=1.0).contains(a)));
    }
}
