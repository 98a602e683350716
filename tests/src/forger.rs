//! A learner that says what the test wants it to say.

use policy::PolicySpec;
use policy::wire::{Publication, encode, slot_words};
use shm::{Access, Segment, SegmentKind, counters, triple};
use shm_layout::LearnerCounter;

use crate::{Runtime, SiteFile};

/// A learner that says what the test wants it to say.
pub struct Forger {
    weights: triple::Writer,
    counters: counters::Writer<LearnerCounter>,
    spec: PolicySpec,
    /// What it says of its next network.
    pub publication: Publication,
}

impl Forger {
    /// Joins this runtime of this site.
    ///
    /// # Panics
    /// It is not admitted.
    pub fn join(runtime: &Runtime, site: &SiteFile) -> Self {
        let site = rt_config::load(site.path()).expect("the rig's site").site;
        let tag_list_hash = site.tag_list_hash();
        let (grant, [_, weights, counters, ..]) = runtime.client().join_as_learner(tag_list_hash).expect("a grant");
        let attach = |descriptor, kind| Segment::attach(descriptor, Access::ReadWrite, kind).expect("a valid segment");
        Self {
            weights: triple::Writer::new(&attach(weights, SegmentKind::Weights)).expect("its writer"),
            counters: counters::Writer::new(&attach(counters, SegmentKind::LearnerCounters)).expect("its writer"),
            spec: PolicySpec::of(&site),
            publication: Publication {
                epoch: grant.epoch,
                generation: grant.generation + 1,
                updates: 1,
                tag_list_hash,
                nominal: false,
            },
        }
    }

    /// The words of a network that the runtime would believe, but for the changes of `publication` and `parameters`.
    ///
    /// # Panics
    /// The network does not fit its slot.
    pub fn words(&self, change: impl FnOnce(&mut Publication, &mut [f32])) -> Vec<u64> {
        let mut publication = self.publication;
        let mut parameters = vec![0.01; self.spec.parameters()];
        change(&mut publication, &mut parameters);
        let mut words = vec![0; slot_words(&self.spec).expect("a network")];
        encode(&self.spec, &publication, &parameters, &mut words).expect("the slot is made for it");
        words
    }

    /// A network that the runtime believes.
    pub fn sound(&self) -> Vec<u64> {
        self.words(|_, _| {})
    }

    /// A network that puts every setpoint at this part of its range, whatever the state.
    pub fn constant(&self, action: f32) -> Vec<u64> {
        let outputs = self.spec.actor.outputs();
        self.words(|_, parameters| {
            let first = parameters.len() - outputs;
            parameters.fill(0.0);
            parameters[first..first + outputs / 2].fill(action);
        })
    }

    /// A sound network for an agent with one column less.
    ///
    /// # Panics
    /// The network does not fit its slot.
    pub fn of_other_shape(&self) -> Vec<u64> {
        let mut spec = self.spec.clone();
        spec.actor.layers[0].inputs -= 1;
        let mut words = vec![0; slot_words(&self.spec).expect("a network")];
        encode(&spec, &self.publication, &vec![0.01; spec.parameters()], &mut words).expect("it is smaller");
        words
    }

    /// Puts these words into its slot.
    ///
    /// # Panics
    /// The slot is damaged.
    pub fn publish(&mut self, words: &[u64]) {
        self.weights.publish(words).expect("the slot is sound");
        self.counters.add(LearnerCounter::Heartbeat, 1);
    }
}
