//! Same inputs, same bits: of the cycle over its recorded inputs, and of the whole system over its seed.

use learner::{Agent as Learner, AgentOptions, AgentShape, Step};
use plants::Plant;
use policy::kernels::Kernel;
use policy::trial::Verdict;
use policy::wire::{Publication, encode, slot_words};
use policy::{Agent, PolicySpec};
use rt_config::Site;
use rt_core::cycle::CycleOutcome;
use rt_core::mode::Mode;
use rt_core::record::Flags;
use rt_core::setpoint::ScalarKind;
use rt_daemon::VerifiedPolicy;
use tests::SiteFile;
use tests::simulation::{Controller, Desk, Inputs, Told, World, tour};

/// Cycles of a run; one in four observes and decides.
const CYCLES: u64 = 4_000;
/// Observations between two publications of the learner.
const PUBLISH_EVERY: u64 = 40;

fn site() -> Site {
    let text = SiteFile::text("opc.tcp://127.0.0.1:1", &[("explore: false", "explore: true")]);
    rt_config::parse(&text, "site.yaml".as_ref()).unwrap().site
}

fn plant(seed: u64) -> Box<dyn Plant> {
    plants::by_name("saturation", seed).unwrap()
}

/// Control path, world and learner, all in one thread and in simulated time.
struct System {
    site: Site,
    world: World,
    desk: Desk,
    controller: Controller<Agent<VerifiedPolicy>>,
    learner: Learner,
    observations: u64,
    generation: u64,
}

/// What a run leaves behind.
struct Run {
    inputs: Vec<(Option<Vec<u64>>, Inputs)>,
    fingerprint: String,
    actor: Vec<u32>,
    adopted: usize,
    modes: Vec<Mode>,
}

impl System {
    fn new(seed: u64, threads: usize) -> Self {
        let site = Site { seed, ..site() };
        let (desk, agent) = Desk::new(&site, Kernel::best(), None);
        let shape = AgentShape { state: agent.step().state.len(), action: site.setpoints.len() };
        let options = AgentOptions {
            seed,
            batch_size: 8,
            candidates: 20,
            next_actions: 2,
            critic_updates: 1,
            actor_updates: 1,
            ensemble: 3,
            nominal_critic_steps: 20,
            nominal_actor_steps: 20,
            ..AgentOptions::default()
        };
        let mut learner = Learner::new(shape, options, &[0.8], threads).unwrap();
        learner.learn_nominal(|| true);
        let world = World::new(&site, plant(seed), &[ScalarKind::Double], seed);
        let controller = Controller::new(&site, agent);
        Self { site, world, desk, controller, learner, observations: 0, generation: 0 }
    }

    fn run(mut self) -> Run {
        let (mut inputs, mut modes, mut sent, mut adopted) = (Vec::new(), Vec::new(), None, 0);
        for cycle in 0..CYCLES {
            let weights = self.publication();
            if let Some(words) = &weights {
                self.desk.publish(words);
            }
            let taken = self.world.next(sent, tour(cycle, self.site.runtime.period.span()));
            let (outcome, set) = self.controller.run(&taken);
            adopted += adoptions(&mut self.desk, &outcome, &self.controller, &taken);
            if outcome.flags.contains(Flags::OBSERVED) {
                self.learn();
            }
            if modes.last() != Some(&outcome.mode) {
                modes.push(outcome.mode);
            }
            sent = set;
            inputs.push((weights, taken));
        }
        let actor = self.learner.actor_parameters().iter().map(|parameter| parameter.to_bits()).collect();
        let fingerprint = self.controller.fingerprint();
        Run { inputs, fingerprint, actor, adopted, modes }
    }

    fn learn(&mut self) {
        let step = self.controller.policy.step();
        self.learner.observe(&Step {
            sequence: self.observations,
            complete: step.complete && step.action_read_back,
            all_read: step.all_read,
            reward: step.reward.map(|reward| reward as f32),
            decision: step.decision,
            gap: step.gap,
            terminal: false,
            state: step.state,
            action: step.action,
            lo: step.lo,
            hi: step.hi,
        });
        self.learner.update();
        self.observations += 1;
    }

    /// The learner's network, when it is time for a new one.
    fn publication(&mut self) -> Option<Vec<u64>> {
        if self.observations < PUBLISH_EVERY * (self.generation + 1) {
            return None;
        }
        self.generation += 1;
        let spec = PolicySpec::of(&self.site);
        let publication = Publication {
            epoch: 0,
            generation: self.generation,
            updates: self.learner.counts().critic_updates,
            tag_list_hash: self.site.tag_list_hash(),
            nominal: false,
        };
        let mut words = vec![0; slot_words(&spec).unwrap()];
        encode(&spec, &publication, &self.learner.published_parameters().unwrap(), &mut words).unwrap();
        Some(words)
    }
}

/// The desk's turn after a cycle: how many policies it adopted.
fn adoptions(
    desk: &mut Desk,
    outcome: &CycleOutcome,
    controller: &Controller<Agent<VerifiedPolicy>>,
    taken: &Inputs,
) -> usize {
    let told = desk.turn(outcome, &controller.policy.step(), taken.slot.woke);
    assert!(!told.iter().any(|told| matches!(told, Told::Disbelieved(_))), "{told:?}");
    told.iter().filter(|told| matches!(told, Told::Verdict(Verdict::Adopted { .. }))).count()
}

/// Plays recorded inputs to a control path that never saw the plant.
fn replay(inputs: &[(Option<Vec<u64>>, Inputs)], seed: u64, kernel: Kernel) -> String {
    let site = Site { seed, ..site() };
    let (mut desk, agent) = Desk::new(&site, kernel, None);
    let mut controller = Controller::new(&site, agent);
    for (weights, taken) in inputs {
        if let Some(words) = weights {
            desk.publish(words);
        }
        let (outcome, _) = controller.run(taken);
        adoptions(&mut desk, &outcome, &controller, taken);
    }
    controller.fingerprint()
}

#[test]
fn a_recorded_run_replays_bit_for_bit_with_every_kernel_and_one_changed_input_shows() {
    let mut run = System::new(1, 1).run();
    for mode in [Mode::Shadow, Mode::Run, Mode::Hold, Mode::Fallback] {
        assert!(run.modes.contains(&mode), "{mode:?} was not visited: {:?}", run.modes);
    }
    assert!(run.adopted >= 5, "only {} policies were adopted", run.adopted);
    for kernel in [Kernel::best(), Kernel::SCALAR] {
        assert_eq!(replay(&run.inputs, 1, kernel), run.fingerprint, "{kernel:?}");
    }
    let changed = run.inputs.iter_mut().rev().find(|(_, taken)| !taken.reports.is_empty()).unwrap();
    changed.1.reports.pop();
    assert_ne!(replay(&run.inputs, 1, Kernel::best()), run.fingerprint);
}

#[test]
fn the_whole_system_learns_the_same_bits_whatever_the_number_of_threads() {
    let one = System::new(7, 1).run();
    let three = System::new(7, 3).run();
    assert!(three.actor == one.actor, "three threads learnt something else");
    assert_eq!(three.fingerprint, one.fingerprint);
    let other = System::new(8, 1).run();
    assert_ne!((other.fingerprint, other.actor), (one.fingerprint, one.actor));
}
