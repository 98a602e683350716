use rt_core::mode::Mode;
use shm_layout::StepLayout;

use super::*;
use crate::pipeline::Columns;
use crate::testing::site;
use crate::wire::{Publication, WeightsRefused, encode, slot_words};

const DECISIONS: u32 = 6;
const WATCHED: u32 = 12;
/// One decision of the example site.
const PERIOD: Span = Span::from_ms(10);
/// What the mean reward is when nothing is said of it.
const USUAL: f64 = -0.2;

/// A runtime whose policies are constants.
struct Rig {
    succession: Succession,
    spec: PolicySpec,
    tag_list_hash: u64,
    layout: StepLayout,
    now: MonoTime,
}

impl Rig {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Site)) -> Self {
        let mut site = site();
        site.runtime.canary =
            Some(CanarySettings { decisions: DECISIONS, saturation: 0.4, clamps: 0.4, divergence: 0.3 });
        site.runtime.probation = Some(ProbationSettings { decisions: WATCHED, clamps: 0.4, reward: 4.0 });
        change(&mut site);
        let columns = Columns::of(&site).len();
        let spec = PolicySpec::of(&site);
        let first = AdoptedPolicy::nominal(&spec, &site).unwrap();
        Self {
            succession: Succession::new(&site, &spec, &first, Kernel::best()).unwrap(),
            tag_list_hash: site.tag_list_hash(),
            layout: StepLayout::new(columns as u32, site.setpoints.len() as u32).unwrap(),
            spec,
            now: MonoTime::ZERO,
        }
    }

    /// Publishes the network that gives these means whatever the state.
    fn offer(&mut self, generation: u64, means: [f32; 2]) -> Result<u64, WeightsRefused> {
        let mut parameters = vec![0.0; self.spec.parameters()];
        let last = parameters.len() - 4;
        parameters[last..last + 2].copy_from_slice(&means);
        let mut words = vec![0; slot_words(&self.spec).unwrap()];
        let publication =
            Publication { epoch: 0, generation, updates: 1, tag_list_hash: self.tag_list_hash, nominal: false };
        encode(&self.spec, &publication, &parameters, &mut words).unwrap();
        self.succession.offer(&words)
    }

    /// One decision of the policy in use, and its verdict.
    fn decide(&mut self, mode: Mode, reward: f64) -> Option<Verdict> {
        let flags = StepHead::STATE_COMPLETE | StepHead::DECISION_SLOT | StepHead::REWARD_VALID;
        self.step(mode, reward, flags)
    }

    fn step(&mut self, mode: Mode, reward: f64, flags: u32) -> Option<Verdict> {
        self.now = self.now + PERIOD;
        let mut words = vec![0; self.layout.words()];
        let step = self.layout.view_mut(&mut words).unwrap();
        (step.head.mode, step.head.reward, step.head.flags) = (mode as u8, reward, flags);
        step.head.time_ns = self.now.as_ns();
        step.head.policy_generation = self.succession.in_use().generation();
        step.state.fill(0.5);
        step.hi.fill(1.0);
        self.succession.take(&self.layout.view(&words).unwrap());
        self.succession.turn(self.now)
    }

    /// Decisions in SHADOW until there is a verdict.
    fn tried(&mut self) -> Verdict {
        (0..DECISIONS).find_map(|_| self.decide(Mode::Shadow, USUAL)).expect("a verdict after the last decision")
    }

    /// Decisions in RUN with the usual reward; no verdict but that the policy is proven.
    fn drive(&mut self, decisions: u32) {
        for _ in 0..decisions {
            let verdict = self.decide(Mode::Run, USUAL);
            assert!(matches!(verdict, None | Some(Verdict::Proven { .. })), "{verdict:?}");
        }
    }

    /// Generation `generation` is in use and on probation; the one before it has driven for a while.
    fn on_probation(generation: u64, means: [f32; 2]) -> Self {
        let mut rig = Self::new();
        rig.drive(WATCHED);
        rig.adopt(generation, means);
        rig
    }

    fn adopt(&mut self, generation: u64, means: [f32; 2]) {
        assert_eq!(self.offer(generation, means), Ok(generation));
        assert_eq!(self.tried(), Verdict::Adopted { generation });
    }
}

fn refused(verdict: Verdict) -> TrialFailed {
    match verdict {
        Verdict::Refused { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

fn failed(verdict: Option<Verdict>) -> ProbationFailed {
    match verdict {
        Some(Verdict::RolledBack { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_candidate_is_adopted_after_its_decisions_and_not_before() {
    let mut rig = Rig::new();
    assert_eq!(rig.offer(7, [0.4, 0.6]), Ok(7));
    for decisions in 1..DECISIONS {
        assert_eq!(rig.decide(Mode::Shadow, USUAL), None);
        assert_eq!(rig.succession.trial(), Some(Progress { generation: 7, decisions, of: DECISIONS }));
        assert_eq!(rig.succession.in_use().generation(), 0);
    }
    assert_eq!(rig.decide(Mode::Shadow, USUAL), Some(Verdict::Adopted { generation: 7 }));
    assert_eq!((rig.succession.in_use().generation(), rig.succession.before()), (7, 0));
    assert_eq!((rig.succession.trial(), rig.succession.turn(rig.now)), (None, None));
}

#[test]
fn steps_without_a_decision_or_with_an_incomplete_state_count_for_nothing() {
    let mut rig = Rig::new();
    assert_eq!(rig.offer(1, [0.4, 0.6]), Ok(1));
    for flags in [StepHead::STATE_COMPLETE, StepHead::DECISION_SLOT, StepHead::REWARD_VALID] {
        (0..2 * DECISIONS).for_each(|_| assert_eq!(rig.step(Mode::Run, USUAL, flags), None));
    }
    assert_eq!(rig.succession.trial().map(|trial| trial.decisions), Some(0));
}

#[test]
fn f10_a_network_whose_outputs_saturate_is_refused_with_the_measure_and_the_one_in_use_stays() {
    for means in [[-0.4, 1.4], [5.0, 0.5], [-0.4, -0.4]] {
        let mut rig = Rig::new();
        assert_eq!(rig.offer(1, means), Ok(1));
        let why = refused(rig.tried());
        assert!(matches!(why, TrialFailed::Saturation { value: 0.5.., limit: 0.4 }), "{why:?}");
        assert_eq!((rig.succession.in_use().generation(), rig.succession.trial()), (0, None));
        assert!(rig.succession.in_use().is_nominal());
        assert_eq!(rig.offer(1, [0.4, 0.6]), Err(WeightsRefused::NotNewer { found: 1, adopted: 1 }));
        rig.adopt(2, [0.4, 0.6]);
    }
}

#[test]
fn f10_a_network_with_flipped_signs_is_refused() {
    let mut rig = Rig::new();
    rig.adopt(1, [0.4, 0.6]);
    assert_eq!(rig.offer(2, [-0.4, -0.6]), Ok(2));
    assert_eq!(refused(rig.tried()), TrialFailed::Saturation { value: 1.0, limit: 0.4 });
    assert_eq!(rig.succession.in_use().generation(), 1);
}

#[test]
fn a_mean_at_an_end_of_the_scale_does_not_saturate() {
    let mut rig = Rig::new();
    rig.adopt(1, [-0.05, 0.5]);
    let text = TrialFailed::Saturation { value: 0.987, limit: 0.5 }.to_string();
    assert_eq!(text, "saturation: 0.99 of its outputs, at most 0.5");
}

#[test]
fn a_network_that_the_envelope_would_have_to_hold_is_refused() {
    let mut rig = Rig::new();
    // The dose's limits end at 0.45 of 0.5.
    assert_eq!(rig.offer(1, [0.5, 0.95]), Ok(1));
    assert_eq!(refused(rig.tried()), TrialFailed::Clamps { value: 0.5, limit: 0.4 });
    assert_eq!(rig.offer(2, [0.5, 0.9]), Ok(2));
    assert_eq!(rig.tried(), Verdict::Adopted { generation: 2 });
}

#[test]
fn a_network_that_does_something_else_is_refused_unless_nothing_was_learnt_before() {
    let mut rig = Rig::new();
    rig.adopt(1, [0.1, 0.1]);
    assert_eq!(rig.offer(2, [0.5, 0.5]), Ok(2));
    let why = refused(rig.tried());
    assert!(matches!(why, TrialFailed::Divergence { value: 0.399..0.401, limit: 0.3 }), "{why:?}");
    assert_eq!(rig.offer(3, [0.3, 0.3]), Ok(3));
    assert_eq!(rig.tried(), Verdict::Adopted { generation: 3 });
    rig.adopt(4, [0.5, 0.5]);
}

#[test]
fn f04_a_newer_network_replaces_a_candidate_that_was_not_asked_and_waits_for_one_that_was() {
    let mut rig = Rig::new();
    for generation in 1..100 {
        assert!(rig.succession.takes_offers());
        assert_eq!(rig.offer(generation, [0.4, 0.6]), Ok(generation));
    }
    assert!(rig.succession.has_heard_of(99) && !rig.succession.has_heard_of(100));
    assert_eq!(rig.decide(Mode::Shadow, USUAL), None);
    assert!(!rig.succession.takes_offers() && rig.succession.has_heard_of(100));
    assert_eq!(rig.tried(), Verdict::Adopted { generation: 99 });
    assert!(rig.succession.takes_offers() && !rig.succession.has_heard_of(100));
}

#[test]
fn a_candidate_waits_as_long_as_nobody_decides() {
    let mut rig = Rig::new();
    assert_eq!(rig.offer(1, [0.4, 0.6]), Ok(1));
    assert_eq!(rig.succession.turn(MonoTime::ZERO + Span::from_ms(3_600_000)), None);
    assert_eq!(rig.succession.trial(), Some(Progress { generation: 1, decisions: 0, of: DECISIONS }));
    assert!(rig.succession.takes_offers());
}

#[test]
fn when_decisions_stop_what_was_seen_decides() {
    for (means, stands) in [([0.4, 0.6], true), ([2.0, 2.0], false)] {
        let mut rig = Rig::new();
        assert_eq!(rig.offer(1, means), Ok(1));
        assert_eq!(rig.decide(Mode::Run, USUAL), None);
        let patience = PERIOD.times(PATIENCE * u64::from(DECISIONS));
        assert_eq!(rig.succession.turn(rig.now + patience), None);
        let verdict = rig.succession.turn(rig.now + patience + PERIOD);
        assert_eq!(verdict == Some(Verdict::Adopted { generation: 1 }), stands, "{verdict:?}");
        assert!(verdict.is_some());
    }
}

#[test]
fn f10_a_policy_under_which_the_reward_collapses_makes_room_for_the_one_before() {
    let mut rig = Rig::new();
    rig.drive(WATCHED);
    rig.adopt(1, [0.4, 0.6]);
    rig.drive(WATCHED);
    let good = rig.succession.in_use().parameters();
    rig.adopt(2, [0.5, 0.7]);
    assert_eq!(rig.succession.before(), 1);
    let verdict = (0..WATCHED).find_map(|_| rig.decide(Mode::Run, 4.0 * USUAL));
    let (Some(Verdict::RolledBack { generation: 2, to: 1, why }), seen) = (verdict, rig.succession.in_use()) else {
        panic!("{verdict:?}");
    };
    assert!(matches!(why, ProbationFailed::Reward { value: -0.81..-0.79, before: -0.201..-0.199 }), "{why:?}");
    assert_eq!((seen.generation(), seen.parameters() == good), (1, true));
    assert_eq!(rig.offer(2, [0.5, 0.7]), Err(WeightsRefused::NotNewer { found: 2, adopted: 2 }));
    rig.drive(3);
    rig.adopt(3, [0.4, 0.7]);
    assert_eq!(rig.succession.before(), 1);
    assert_eq!(why.to_string(), "reward: -0.8000 on average, -0.2000 before");
}

#[test]
fn the_nominal_policy_comes_back_as_well() {
    let mut rig = Rig::on_probation(1, [0.4, 0.6]);
    let verdict = (0..WATCHED).find_map(|_| rig.decide(Mode::Run, -1.0));
    assert!(matches!(verdict, Some(Verdict::RolledBack { generation: 1, to: 0, .. })), "{verdict:?}");
    assert!(rig.succession.in_use().is_nominal());
}

#[test]
fn a_reward_that_varies_as_it_did_before_is_no_collapse() {
    let mut rig = Rig::new();
    (0..WATCHED).for_each(|i| assert_eq!(rig.decide(Mode::Run, USUAL - 0.1 * f64::from(i % 2)), None));
    rig.adopt(1, [0.4, 0.6]);
    let verdict = (0..WATCHED).find_map(|_| rig.decide(Mode::Run, USUAL - 0.24));
    assert_eq!(verdict, Some(Verdict::Proven { generation: 1 }));
    assert_eq!(rig.succession.probation(), None);
}

#[test]
fn near_the_best_reward_a_dip_is_no_collapse_unless_half_of_what_was_gained_is_lost() {
    for (reward, stands) in [(-0.2, true), (-0.23, false)] {
        let mut rig = Rig::new();
        (0..WATCHED).for_each(|_| assert_eq!(rig.decide(Mode::Run, -0.42), None));
        rig.adopt(1, [0.4, 0.6]);
        let verdict = (0..WATCHED).find_map(|_| rig.decide(Mode::Run, -0.02));
        assert_eq!(verdict, Some(Verdict::Proven { generation: 1 }));
        rig.adopt(2, [0.5, 0.7]);
        let verdict = (0..WATCHED).find_map(|_| rig.decide(Mode::Run, reward));
        assert_eq!(matches!(verdict, Some(Verdict::Proven { generation: 2 })), stands, "{reward}: {verdict:?}");
        // Whoever was taken back has gained nothing, and lost nothing that the next one could be measured by.
        if !stands {
            assert!(matches!(verdict, Some(Verdict::RolledBack { to: 1, .. })), "{verdict:?}");
            (0..WATCHED).for_each(|_| assert_eq!(rig.decide(Mode::Run, -0.02), None));
            rig.adopt(3, [0.5, 0.7]);
            let verdict = (0..WATCHED).find_map(|_| rig.decide(Mode::Run, -0.23));
            assert!(matches!(verdict, Some(Verdict::RolledBack { to: 1, .. })), "{verdict:?}");
        }
    }
}

#[test]
fn the_reward_of_what_the_policy_before_did_last_counts_for_nobody() {
    let mut rig = Rig::on_probation(1, [0.4, 0.6]);
    assert_eq!(rig.decide(Mode::Run, -1e9), None);
    rig.drive(WATCHED);
    assert_eq!(rig.succession.probation(), None);
}

#[test]
fn only_decisions_that_drive_the_plant_prove_a_policy() {
    let mut rig = Rig::on_probation(1, [0.4, 0.6]);
    for mode in [Mode::Shadow, Mode::Hold, Mode::Fallback] {
        (0..2 * WATCHED).for_each(|_| assert_eq!(rig.decide(mode, -1e9), None));
    }
    assert_eq!(rig.succession.probation(), Some(Progress { generation: 1, decisions: 0, of: WATCHED }));
    rig.drive(WATCHED);
    assert_eq!(rig.succession.probation(), None);
}

#[test]
fn without_enough_to_compare_with_there_is_no_collapse() {
    for (decisions_before, compared) in [(0, false), (7, false), (8, true)] {
        let mut rig = Rig::new();
        rig.drive(decisions_before);
        rig.adopt(1, [0.4, 0.6]);
        let verdict = (0..WATCHED).find_map(|_| rig.decide(Mode::Run, -5.0));
        assert_eq!(matches!(verdict, Some(Verdict::RolledBack { .. })), compared, "{decisions_before}: {verdict:?}");
    }
}

#[test]
fn a_probation_without_further_decisions_ends() {
    let mut rig = Rig::on_probation(1, [0.4, 0.6]);
    rig.drive(1);
    let later = rig.now + PERIOD.times(PATIENCE * u64::from(WATCHED) + 1);
    assert_eq!(rig.succession.turn(later), Some(Verdict::Proven { generation: 1 }));
}

#[test]
fn a_policy_that_the_envelope_has_to_hold_more_often_than_the_one_before_does_not_stand_its_probation() {
    // Without a canary, which would see it, too.
    let mut rig = Rig::with(|site| site.runtime.canary = None);
    rig.drive(WATCHED);
    assert_eq!(rig.offer(1, [0.5, 0.95]), Ok(1));
    assert_eq!(rig.succession.turn(rig.now), Some(Verdict::Adopted { generation: 1 }));
    let verdict = (0..WATCHED).find_map(|_| rig.decide(Mode::Run, USUAL));
    assert_eq!(failed(verdict), ProbationFailed::Clamps { value: 0.5, before: 0.0 });
}

#[test]
fn a_policy_that_trips_the_runtime_while_it_is_watched_makes_room_for_the_one_before() {
    let mut rig = Rig::on_probation(1, [0.4, 0.6]);
    assert_eq!(rig.succession.trip(Cause::Overruns), None);
    assert_eq!(failed(rig.succession.trip(Cause::Chatter)), ProbationFailed::Trip { cause: "chatter" });
    assert_eq!((rig.succession.in_use().generation(), rig.succession.trip(Cause::Chatter)), (0, None));
}

#[test]
fn a_policy_that_never_drove_is_replaced_and_what_comes_back_is_the_one_that_did() {
    let mut rig = Rig::on_probation(1, [0.4, 0.6]);
    for generation in 2..5 {
        rig.adopt(generation, [0.4, 0.6]);
        assert_eq!(rig.succession.before(), 0);
    }
    let verdict = (0..WATCHED).find_map(|_| rig.decide(Mode::Run, -1.0));
    assert!(matches!(verdict, Some(Verdict::RolledBack { generation: 4, to: 0, .. })), "{verdict:?}");
}

#[test]
fn a_candidate_is_tried_while_another_is_watched_and_adopted_after_it() {
    let mut rig = Rig::on_probation(1, [0.4, 0.6]);
    rig.drive(1);
    assert_eq!(rig.offer(2, [0.5, 0.5]), Ok(2));
    for _ in 1..WATCHED - 1 {
        assert_eq!(rig.decide(Mode::Run, USUAL), None);
    }
    assert_eq!(rig.decide(Mode::Run, USUAL), Some(Verdict::Proven { generation: 1 }));
    assert_eq!(rig.succession.turn(rig.now), Some(Verdict::Adopted { generation: 2 }));
    assert_eq!(rig.succession.before(), 1);
}

#[test]
fn a_candidate_is_tried_anew_when_the_policy_beside_it_was_not_worth_it() {
    let mut rig = Rig::on_probation(1, [0.4, 0.6]);
    assert_eq!(rig.offer(2, [0.5, 0.5]), Ok(2));
    let verdict = (0..WATCHED).find_map(|_| rig.decide(Mode::Run, -1.0));
    assert!(matches!(verdict, Some(Verdict::RolledBack { generation: 1, to: 0, .. })), "{verdict:?}");
    assert_eq!(rig.succession.trial(), Some(Progress { generation: 2, decisions: 0, of: DECISIONS }));
    assert_eq!(rig.tried(), Verdict::Adopted { generation: 2 });
}

#[test]
fn without_trial_and_probation_what_is_verified_is_adopted() {
    let mut rig = Rig::with(|site| (site.runtime.canary, site.runtime.probation) = (None, None));
    assert_eq!(rig.offer(1, [9.0, 9.0]), Ok(1));
    assert_eq!(rig.succession.turn(rig.now), Some(Verdict::Adopted { generation: 1 }));
    (0..WATCHED).for_each(|_| assert_eq!(rig.decide(Mode::Run, -1e9), None));
    assert_eq!(rig.succession.probation(), None);
}
