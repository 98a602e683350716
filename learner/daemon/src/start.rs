//! From the command line to an agent that is ready to learn.

use std::path::Path;

use archive::Reader;
use learner::{Agent, AgentOptions, AgentShape, nominal_of};
use policy::PolicySpec;
use policy::pipeline::Columns;
use recall::{AskError, Asked, Client, Past};
use rt_config::Site;
use rt_control::Address;
use rt_sys::{Cpus, Lifeline};
use shm_layout::StepLayout;
use tracing::{info, warn};

use crate::arguments::Arguments;
use crate::attachment::Expected;
use crate::failure::Failure;
use crate::keeping::Keeping;
use crate::rebuild::Rebuild;

/// It is the first to go when memory is short.
const OOM_SCORE: i16 = 500;

/// An agent and its surroundings.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) agent: Agent,
    pub(crate) address: Address,
    pub(crate) expected: Expected,
    pub(crate) keeping: Option<Keeping>,
    /// What it has to learn again before it is of use.
    pub(crate) rebuild: Option<Rebuild>,
    /// The generation that was published last; 0 for an agent that begins.
    pub(crate) generation: u64,
    pub(crate) publish_every: u64,
    pub(crate) checkpoint_every: std::time::Duration,
}

/// Reads the site file, builds the agent and brings it to where it was. `None`: asked to stop meanwhile.
pub(crate) fn start(arguments: &Arguments, lifeline: &Lifeline) -> Result<Option<Ready>, Failure> {
    let loaded = rt_config::load(&arguments.config).map_err(|refused| Failure::Config(refused.to_string()))?;
    let site = loaded.site;
    rt_sys::start_logging("corerl-learner", Some(&rt_control::label(&site.name, &site.agent_name, &site.instance)));
    let runtime_dir = arguments.runtime_dir.clone().unwrap_or_else(rt_control::default_runtime_dir);
    let address = Address::new(&runtime_dir, &site.name, &site.agent_name, &site.instance)?;
    let threads = give_way(&site, arguments.threads);

    let shape = AgentShape { state: Columns::of(&site).len(), action: site.setpoints.len() };
    let mut agent = Agent::new(shape, AgentOptions::of(&site), &nominal_of(&site), threads)?;
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
    let wanted = resumed.is_none() && site.learner.rebuilds;
    let rebuild = wanted.then(|| {
        let past = past_of(&site, arguments.history.as_deref(), &runtime_dir);
        Rebuild::begin(&site, past, &agent)
    });
    let rebuild = rebuild.flatten();
    let knows_nothing = resumed.is_none() && rebuild.is_none();
    if let Some(policy) = site.runtime.policy_file.as_ref().filter(|_| knows_nothing) {
        warn!(
            policy = %policy.display(),
            "the runtime begins with a policy that this learner knows nothing of, and what it learns will replace it: \
             `corerl learn` with --checkpoint-dir makes the checkpoint to go on from, `corerl run --no-learner` keeps the policy"
        );
    }
    let too_wide = || Failure::Internal(format!("{} columns do not fit a step", shape.state));
    let size = |columns: usize| u32::try_from(columns).unwrap_or(u32::MAX);
    Ok(Some(Ready {
        agent,
        address,
        expected: Expected {
            spec: PolicySpec::of(&site),
            steps: StepLayout::new(size(shape.state), size(shape.action)).ok_or_else(too_wide)?,
            tag_list_hash: site.tag_list_hash(),
        },
        keeping,
        rebuild,
        generation: resumed.unwrap_or(0),
        publish_every: site.agent.publish_every.max(1) as u64,
        checkpoint_every: std::time::Duration::from_nanos(site.interaction.checkpoint_every.as_ns()),
    }))
}

/// What was kept of all agents: in the directory that was named, or in the site's, or by the historian that runs.
fn past_of(site: &Site, named: Option<&Path>, runtime_dir: &Path) -> Result<Box<dyn Past>, AskError> {
    let usual = Some(site.learner.history.as_path()).filter(|usual| archive::is_archive(usual));
    match named.or(usual) {
        Some(directory) => Ok(Box::new(Reader::open(directory)?)),
        None => Ok(Box::new(Asked(Client::connect(&recall::Address::usual(runtime_dir))?))),
    }
}

/// Steps behind everything else on this machine; the number of threads to learn with.
fn give_way(site: &Site, threads: Option<u16>) -> usize {
    let runtime = &site.runtime;
    let cpus = runtime.learner_cpus.clone();
    let cpus = cpus.unwrap_or_else(|| Cpus::allowed().placement(runtime.control_cpu, runtime.io_cpu).others);
    if let Err(cause) = rt_sys::become_batch(runtime.learner_nice, &cpus) {
        warn!("the learner could not give way to the other programs: {cause}");
    }
    if let Err(error) = rt_sys::set_oom_score_adj(OOM_SCORE) {
        warn!("the learner could not offer itself to be killed first when memory is short: {error}");
    }
    threads.map_or(cpus.len(), usize::from)
}
