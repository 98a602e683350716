use super::*;
use crate::testing::{DOSE_SP, Luggage, Plant, QUALITY, site};
use crate::wire::{Publication, Verifier, encode, slot_words};
use rt_core::setpoint::SETPOINTS_MAX;

const UNTOUCHED: Action = [-7.0; SETPOINTS_MAX];

struct Fixed {
    policy: Option<AdoptedPolicy>,
    new: bool,
}

impl PolicySource for Fixed {
    fn refresh(&mut self) -> bool {
        std::mem::take(&mut self.new)
    }

    fn current(&self) -> Option<&AdoptedPolicy> {
        self.policy.as_ref()
    }
}

fn spec(site: &Site) -> PolicySpec {
    PolicySpec::of(site)
}

fn nominal_agent(site: &Site) -> Agent<Fixed> {
    let policy = AdoptedPolicy::nominal(&spec(site), site).unwrap();
    Agent::new(site, Fixed { policy: Some(policy), new: true }, Kernel::best()).unwrap()
}

/// An agent whose last layer has these biases and whose weights are all zero.
fn agent_with(site: &Site, biases: [f32; 4]) -> Agent<Fixed> {
    let spec = spec(site);
    let mut parameters = vec![0.0; spec.parameters()];
    let last = parameters.len() - 4;
    parameters[last..].copy_from_slice(&biases);
    let mut slot = vec![0; slot_words(&spec).unwrap()];
    let publication = Publication { epoch: 0, generation: 9, updates: 1, tag_list_hash: 1, nominal: false };
    encode(&spec, &publication, &parameters, &mut slot).unwrap();
    let mut policy = AdoptedPolicy::nominal(&spec, site).unwrap();
    policy.adopt(&Verifier::new(&spec, 1, Kernel::best()).unwrap().verify(&slot).unwrap()).unwrap();
    Agent::new(site, Fixed { policy: Some(policy), new: true }, Kernel::best()).unwrap()
}

fn decided(agent: &mut Agent<Fixed>, plant: &Plant, explore: bool) -> (f64, f64) {
    agent.observe(&plant.image, &plant.moment());
    let mut action = UNTOUCHED;
    agent.decide(explore, &mut action).unwrap();
    assert_eq!(action[2..], UNTOUCHED[2..]);
    (action[0], action[1])
}

#[test]
fn the_nominal_policy_holds_the_nominal_setpoints_whatever_the_state() {
    let site = site();
    let (mut agent, mut plant) = (nominal_agent(&site), Plant::of(&site));
    assert_eq!((agent.adopt(), agent.adopt()), (Some(NOMINAL_GENERATION), None));
    for level in [0.0, 0.3, 1.0] {
        plant.read(0.1, 0.2, level, 0.9 - level / 2.0);
        let (feed, dose) = decided(&mut agent, &plant, false);
        assert_eq!(feed, 0.25);
        // Its nominal value, 0.25, lies inside the bounds 0.2 - 0.1 and 0.2 + 0.1.
        assert!((dose - 0.25).abs() < 1e-7, "{dose}");
    }
    let step = agent.step();
    assert_eq!((step.cycle, step.generation, step.explored, step.decision), (plant.cycle, 0, false, true));
}

#[test]
fn an_action_keeps_to_the_agents_bounds() {
    let site = site();
    let (mut agent, mut plant) = (agent_with(&site, [-3.0, 9.0, 0.0, 0.0]), Plant::of(&site));
    assert_eq!(agent.adopt(), Some(9));
    for _ in 0..50 {
        plant.read(0.25, 0.2, 0.5, 0.5);
        assert_eq!(decided(&mut agent, &plant, true), (0.0, 0.2 + 0.1));
    }
}

#[test]
fn exploration_scatters_with_the_deviation_of_the_actor_and_replays() {
    let site = site();
    let (mut agent, mut plant) = (agent_with(&site, [0.5, 0.5, 0.0, -30.0]), Plant::of(&site));
    let mut other = agent_with(&site, [0.5, 0.5, 0.0, -30.0]);
    let (mut sum, mut squares, count) = (0.0, 0.0, 2_000);
    for _ in 0..count {
        plant.read(0.25, 0.25, 0.5, 0.5);
        let (feed, dose) = decided(&mut agent, &plant, true);
        assert!(agent.step().explored);
        if plant.cycle % 7 == 0 {
            // Any cycle alone gives the same bits.
            assert_eq!(decided(&mut other, &plant, true), (feed, dose));
        }
        let offset = feed / 0.5 - 0.5;
        sum += offset;
        squares += offset * offset;
        assert!((dose - 0.25).abs() < 5e-5);
    }
    let (mean, deviation) = (sum / f64::from(count), (squares / f64::from(count)).sqrt());
    assert!(mean.abs() < 0.005 && (deviation - 0.05).abs() < 0.003, "{mean} {deviation}");
}

#[test]
fn an_agent_that_may_not_explore_takes_the_mean() {
    let mut site = site();
    site.agent.explore = false;
    let (mut agent, mut plant) = (agent_with(&site, [0.5, 0.5, 10.0, 10.0]), Plant::of(&site));
    plant.read(0.25, 0.25, 0.5, 0.5);
    assert_eq!(decided(&mut agent, &plant, true), (0.25, 0.25));
    assert!(!agent.step().explored);
}

#[test]
fn a_step_tells_the_decision_stage_by_stage() {
    let site = site();
    let (mut agent, mut plant) = (agent_with(&site, [-3.0, 0.5, 10.0, 10.0]), Plant::of(&site));
    plant.read(0.25, 0.2, 0.5, 0.5);
    let (feed, dose) = decided(&mut agent, &plant, true);
    let step = agent.step();
    // The feed's scale begins at 0; the dose may go from 0.1 to 0.3, of 0.5.
    assert_eq!((step.mean, step.decided[0]), (&[-3.0, 0.5][..], 0.0));
    assert!(feed == 0.0 && (dose - f64::from(step.decided[1]) * 0.5).abs() < 1e-7, "{feed} {dose}");
    for (setpoint, (mean, sampled)) in step.mean.iter().zip(step.sampled).enumerate() {
        let deviation = f64::from(sigma(10.0)) * noise(site.seed, plant.cycle, setpoint);
        assert_eq!(*sampled, mean + deviation as f32);
    }
    let inside = step.sampled[1].clamp(step.lo[1], step.hi[1]);
    assert_eq!(step.decided[1], inside);
}

#[test]
fn a_step_without_a_decision_tells_none() {
    let site = site();
    let (mut agent, mut plant) = (nominal_agent(&site), Plant::of(&site));
    plant.read(0.25, 0.25, 0.5, 0.5);
    decided(&mut agent, &plant, false);
    plant.read(0.25, 0.25, 0.5, 0.5);
    agent.observe(&plant.image, &plant.moment());
    let step = agent.step();
    assert!([step.mean, step.sampled, step.decided].iter().all(|stage| stage.iter().all(|value| value.is_nan())));
}

#[test]
fn without_policy_or_state_there_is_no_action() {
    let site = site();
    let mut plant = Plant::of(&site);
    let mut agent = Agent::new(&site, Fixed { policy: None, new: false }, Kernel::best()).unwrap();
    let mut action = UNTOUCHED;
    plant.read(0.25, 0.25, 0.5, 0.5);
    agent.observe(&plant.image, &plant.moment());
    assert_eq!((agent.adopt(), agent.decide(false, &mut action)), (None, Err(NoAction::NoPolicy)));
    let mut agent = nominal_agent(&site);
    assert_eq!(agent.decide(false, &mut action), Err(NoAction::Incomplete));
    plant.set_with(DOSE_SP, 0.1, rt_core::tag::Quality::Bad);
    agent.observe(&plant.image, &plant.moment());
    assert_eq!(agent.decide(false, &mut action), Err(NoAction::Incomplete));
    assert_eq!(action, UNTOUCHED);
}

#[test]
fn an_output_that_is_not_finite_is_no_action() {
    let site = site();
    let mut agent = nominal_agent(&site);
    let mut parameters = vec![0.0; spec(&site).parameters()];
    *parameters.last_mut().unwrap() = f32::NAN;
    let last_mean = parameters.len() - 3;
    agent.source.policy.as_mut().unwrap().net.pack(&parameters).unwrap();
    let mut plant = Plant::of(&site);
    plant.read(0.25, 0.25, 0.5, 0.5);
    agent.observe(&plant.image, &plant.moment());
    let mut action = UNTOUCHED;
    // The deviation is not asked for without exploration.
    assert_eq!(agent.decide(false, &mut action), Ok(()));
    action = UNTOUCHED;
    assert_eq!(agent.decide(true, &mut action), Err(NoAction::NotFinite));
    assert!(agent.step().mean[1].is_finite() && agent.step().sampled[1].to_bits() == f32::NAN.to_bits());
    parameters[last_mean] = f32::INFINITY;
    agent.source.policy.as_mut().unwrap().net.pack(&parameters).unwrap();
    assert_eq!(agent.decide(false, &mut action), Err(NoAction::NotFinite));
    assert_eq!(action, UNTOUCHED);
}

#[test]
fn a_step_is_written_whole_into_its_slot() {
    let site = site();
    let (mut agent, mut plant) = (nominal_agent(&site), Plant::of(&site));
    plant.read(0.25, 0.125, 0.75, 0.5);
    decided(&mut agent, &plant, true);
    let step = agent.step();
    let layout = shm_layout::StepLayout::new(step.state.len() as u32, step.action.len() as u32).unwrap();
    let mut words = vec![0; layout.words()];
    step.write_to(layout.view_mut(&mut words).unwrap());
    let read = layout.view(&words).unwrap();
    assert_eq!((read.state, read.action, read.lo, read.hi), (step.state, step.action, step.lo, step.hi));
    assert_eq!((read.mean, read.sampled, read.decided), (step.mean, step.sampled, step.decided));
    assert_eq!((read.head.cycle, read.head.time_ns, read.head.mode), (1, 10_000_000, 2));
    assert_eq!(Some(read.head.reward), step.reward);
    assert!(read.head.has(StepHead::STATE_COMPLETE | StepHead::REWARD_VALID | StepHead::DECISION_SLOT));
    assert!(read.head.has(StepHead::EXPLORED | StepHead::ACTION_READ_BACK) && !read.head.has(StepHead::GAP_BEFORE));
    assert!(read.head.has(StepHead::ZONES_JUDGED | StepHead::ZONES_CLEAR) && !read.head.has(StepHead::GOALS_JUDGED));
}

#[test]
fn every_kernel_decides_the_same_bits() {
    use crate::kernels::KernelKind;
    let site = site();
    let mut plant = Plant::of(&site);
    plant.read(0.25, 0.125, 0.75, 0.5);
    let mut actions = Vec::new();
    for kind in [KernelKind::Scalar, KernelKind::Avx2, KernelKind::Avx512] {
        let mut agent = nominal_agent(&site);
        let parameters: Vec<f32> = (0..spec(&site).parameters()).map(|i| (i * 37 % 101) as f32 * 1e-3 - 0.05).collect();
        agent.source.policy.as_mut().unwrap().net.pack(&parameters).unwrap();
        agent.kernel = Kernel::of(kind).unwrap_or(Kernel::SCALAR);
        let (feed, dose) = decided(&mut agent, &plant, true);
        actions.push((feed.to_bits(), dose.to_bits()));
    }
    assert!(actions.iter().all(|action| *action == actions[0]), "{actions:?}");
}

#[test]
fn an_excursion_goes_far_from_the_mean_and_keeps_to_the_agents_bounds() {
    let mut site = site();
    site.agent.excursions.rate = 0.2;
    // A mean of 0.4 of both scales, and hardly any deviation.
    let (mut agent, mut plant) = (agent_with(&site, [0.4, 0.4, -20.0, -20.0]), Plant::of(&site));
    agent.adopt();
    plant.read(0.25, 0.2, 0.5, 0.5);
    let (mean, _) = decided(&mut agent, &plant, false);
    let (mut far, mut near) = (0, 0);
    for _ in 0..300 {
        plant.read(0.25, 0.2, 0.5, 0.5);
        let (feed, dose) = decided(&mut agent, &plant, true);
        assert!((0.2 - 0.1 - 1e-6..=0.2 + 0.1 + 1e-6).contains(&dose), "{dose}");
        if (feed - mean).abs() > 0.01 { far += 1 } else { near += 1 }
    }
    assert!(far > 30 && near > 30, "{far} {near}");
    for _ in 0..50 {
        plant.read(0.25, 0.2, 0.5, 0.5);
        assert_eq!(decided(&mut agent, &plant, false).0, mean, "who does not explore stays");
    }
}

#[test]
fn a_sweep_leads_through_the_scale_within_the_agents_bounds_and_a_successor_goes_on_with_it() {
    let mut site = site();
    let sweep = rt_config::Sweep { until_updates: u64::MAX, period: 100, start: rt_config::SweepStart::Low };
    site.agent.sweep = Some(sweep);
    let born = || agent_with(&site, [0.4, 0.4, -20.0, -20.0]);
    let (mut agent, mut plant) = (born(), Plant::of(&site));
    let mut decide = |agent: &mut Agent<Fixed>, explore| {
        plant.read(0.25, 0.2, 0.5, 0.5);
        let (_, dose) = decided(agent, &plant, explore);
        assert!((0.2 - 0.1 - 1e-6..=0.2 + 0.1 + 1e-6).contains(&dose), "{dose}");
        agent.decision.sampled[0]
    };
    let up_and_down = |count: u32| f64::from(count.min(100 - count)) / 50.0;
    for count in 1..70 {
        let led = decide(&mut agent, true);
        assert!((f64::from(led) - up_and_down(count)).abs() < 1e-3, "{led} at {count}");
        assert!((decide(&mut agent, false) - 0.4).abs() < 1e-3, "who does not explore stays");
    }
    let (mut successor, mut luggage) = (born(), Luggage::default());
    agent.carry(&mut luggage);
    luggage.arrive();
    successor.carry(&mut luggage);
    assert!((f64::from(decide(&mut successor, true)) - up_and_down(70)).abs() < 1e-3);
    let mut nominal = nominal_agent(&site);
    decide(&mut nominal, true);
    assert_eq!(nominal.sweep.target(0), Sweep::new(&site).target(0), "while nobody learns there is none");
}

#[test]
fn an_excursion_hides_no_output_that_is_not_finite() {
    let mut site = site();
    site.agent.excursions.rate = 1.0;
    for odd in [f32::NAN, f32::INFINITY] {
        for from_the_end in [1, 3] {
            let (mut agent, mut plant) = (agent_with(&site, [0.4, 0.4, 0.0, 0.0]), Plant::of(&site));
            plant.read(0.25, 0.2, 0.5, 0.5);
            decided(&mut agent, &plant, true);
            assert!(agent.excursions.target(0) != Excursions::new(&site).target(0), "one has begun");
            let net = &mut agent.source.policy.as_mut().unwrap().net;
            let mut parameters = net.unpacked();
            let place = parameters.len() - from_the_end;
            parameters[place] = odd;
            net.pack(&parameters).unwrap();
            plant.read(0.25, 0.2, 0.5, 0.5);
            agent.observe(&plant.image, &plant.moment());
            let decided = agent.decide(true, &mut UNTOUCHED.clone());
            // An infinite logit is the largest deviation.
            let is_fine = from_the_end == 1 && odd == f32::INFINITY;
            assert_eq!(decided, if is_fine { Ok(()) } else { Err(NoAction::NotFinite) }, "{odd} {from_the_end}");
        }
    }
}

#[test]
fn the_nominal_policy_makes_no_excursions() {
    let mut site = site();
    site.agent.excursions.rate = 1.0;
    let (mut agent, mut plant) = (nominal_agent(&site), Plant::of(&site));
    agent.adopt();
    for _ in 0..100 {
        plant.read(0.25, 0.2, 0.5, 0.5);
        decided(&mut agent, &plant, true);
        assert_eq!(agent.excursions.target(0), Excursions::new(&site).target(0), "none has begun");
    }
}

#[test]
fn imputer_and_actor_are_adopted_together_and_who_knows_nothing_imputes_nothing() {
    let mut site = site();
    let rule = rt_config::ImputerRule::MaskedAutoencoder { missing_max: 0.25 };
    site.tags[QUALITY].imputer = rt_config::Imputer { rule, horizon: 10 };
    let (mut agent, mut plant) = (nominal_agent(&site), Plant::of(&site));
    let nominal = agent.source.policy.clone().unwrap();
    let missing = |agent: &mut Agent<Fixed>, plant: &mut Plant| {
        plant.read(0.25, 0.2, 0.5, 0.5);
        agent.observe(&plant.image, &plant.moment());
        assert!(agent.step().complete && agent.step().all_read);
        plant.read(0.25, 0.2, 0.5, f64::NAN);
        agent.observe(&plant.image, &plant.moment());
        assert!(!agent.step().all_read);
        agent.decide(false, &mut UNTOUCHED.clone())
    };
    assert_eq!(missing(&mut agent, &mut plant), Err(NoAction::Incomplete));

    let spec = spec(&site);
    let mut parameters = vec![0.0; spec.parameters()];
    // The actor's mean of the feed, and how far the quality has moved.
    parameters[spec.actor.parameters() - spec.actor.outputs()] = 0.75;
    let bias = parameters.len() - 5 + QUALITY;
    parameters[bias] = 0.25;
    let kept = Kept { generation: 3, updates: 9, nominal: false };
    let learnt = AdoptedPolicy::kept(&spec, kept, &parameters).unwrap();
    assert_eq!(learnt.parameters(), parameters);
    agent.source.policy.as_mut().unwrap().copy_from(&learnt);
    assert_eq!(missing(&mut agent, &mut plant), Ok(()));
    let quality = agent.step().state[4 * QUALITY];
    assert_eq!((quality, agent.decision.mean[0]), (0.75, 0.75), "0.5 moved by 0.25; and the new actor's mean");

    agent.source.policy.as_mut().unwrap().copy_from(&nominal);
    assert_eq!(missing(&mut agent, &mut plant), Err(NoAction::Incomplete));
}
