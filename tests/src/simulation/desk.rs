//! The keeper's part: judges networks, hands them over, and watches what comes of them and over whoever publishes them.

use policy::file::PolicyFile;
use policy::kernels::Kernel;
use policy::pipeline::Columns;
use policy::trial::{Succession, Verdict};
use policy::wire::{WeightsRefused, slot_words};
use policy::{AdoptedPolicy, Agent, PolicySpec, Step};
use rt_config::Site;
use rt_core::cycle::CycleOutcome;
use rt_core::mode::Cause;
use rt_core::record::Flags;
use rt_core::time::MonoTime;
use rt_daemon::VerifiedPolicy;
use shm::cell;
use shm_layout::StepLayout;

/// What the desk has to tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Told {
    /// What was published was verified: a candidate.
    Believed {
        /// Its generation.
        generation: u64,
    },
    /// What was published was not believed.
    Disbelieved(WeightsRefused),
    /// What has become of a policy.
    Verdict(Verdict),
}

/// Judges networks and hands them over.
pub struct Desk {
    succession: Succession,
    policies: cell::Writer<AdoptedPolicy>,
    /// What was published last, and whether nobody has looked at it yet.
    slot: Vec<u64>,
    is_new: bool,
    step_layout: StepLayout,
    step: Vec<u64>,
    /// Every other policy is not handed over. Only mutants set it.
    pub(super) forgetful: bool,
}

impl Desk {
    /// A desk that believes epoch 0, and the agent that follows what it adopts: at first the policy of this file, or the
    /// nominal one.
    ///
    /// # Panics
    /// The site makes no agent.
    pub fn new(site: &Site, kernel: Kernel, file: Option<&PolicyFile>) -> (Self, Agent<VerifiedPolicy>) {
        let (columns, setpoints) = (Columns::of(site).len(), site.setpoints.len());
        let spec = PolicySpec::of(site);
        let mut first = AdoptedPolicy::nominal(&spec, site).expect("a network");
        if let Some(file) = file {
            first.adopt(&file.weights()).expect("a network of the site's shape");
        }
        let succession = Succession::new(site, &spec, &first, kernel).expect("a network");
        let (policies, newest) = cell::channel([first.clone(), first.clone(), first]);
        let step_layout = StepLayout::new(columns as u32, setpoints as u32).expect("a step of this size");
        let desk = Self {
            succession,
            policies,
            slot: vec![0; slot_words(&spec).expect("a network")],
            is_new: false,
            step: vec![0; step_layout.words()],
            step_layout,
            forgetful: false,
        };
        (desk, Agent::new(site, VerifiedPolicy::new(newest), kernel).expect("a site with an agent"))
    }

    /// From now on only this epoch's learner is believed, and what was published before is gone.
    pub fn grant(&mut self, epoch: u64) {
        self.succession.grant(epoch);
    }

    /// The newest generation that was believed.
    pub fn newest(&self) -> u64 {
        self.succession.newest()
    }

    /// Whether a learner that stands by this generation stands by the policy in use, or by one that waits for its trial.
    pub fn confirms(&self, best_generation: u64) -> bool {
        self.succession.has_heard_of(best_generation)
    }

    /// A learner puts these words into its slot, over what lies there.
    pub fn publish(&mut self, words: &[u64]) {
        self.slot.copy_from_slice(words);
        self.is_new = true;
    }

    /// Another learner gets another slot.
    pub fn clear_slot(&mut self) {
        self.is_new = false;
    }

    /// The keeper's turn after a cycle: what it has to tell, in this order.
    ///
    /// # Panics
    /// The step has another size than the site's.
    pub fn turn(&mut self, outcome: &CycleOutcome, step: &Step<'_>, now: MonoTime) -> Vec<Told> {
        if outcome.flags.contains(Flags::OBSERVED) && outcome.mode.transitions() {
            step.write_to(self.step_layout.view_mut(&mut self.step).expect("the layout's words"));
            self.succession.take(&self.step_layout.view(&self.step).expect("the layout's words"));
        }
        let mut told = self.verdicts(now);
        if self.succession.takes_offers() && std::mem::take(&mut self.is_new) {
            told.push(match self.succession.offer(&self.slot) {
                Ok(generation) => Told::Believed { generation },
                Err(refused) => Told::Disbelieved(refused),
            });
            told.extend(self.verdicts(now));
        }
        told
    }

    /// The runtime tripped.
    pub fn trip(&mut self, cause: Cause) -> Option<Told> {
        let verdict = self.succession.trip(cause)?;
        self.carry_out(&verdict);
        Some(Told::Verdict(verdict))
    }

    fn verdicts(&mut self, now: MonoTime) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(verdict) = self.succession.turn(now) {
            self.carry_out(&verdict);
            told.push(Told::Verdict(verdict));
        }
        told
    }

    fn carry_out(&mut self, verdict: &Verdict) {
        let forgotten = self.forgetful && self.newest().is_multiple_of(2);
        if let (Verdict::Adopted { .. } | Verdict::RolledBack { .. }, false) = (verdict, forgotten) {
            self.policies.back_mut().copy_from(self.succession.in_use());
            self.policies.publish();
        }
    }

    /// What was published and not looked at yet. For mutants.
    pub(super) fn waiting(&self) -> Option<&[u64]> {
        self.is_new.then_some(&self.slot)
    }

    /// Hands over whatever lies at the back. Only mutants do that.
    pub(super) fn hand_over_unjudged(&mut self) {
        self.policies.publish();
    }
}
