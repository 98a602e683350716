//! A learner without conscience: it takes the present one's place and publishes what a runtime must not believe.

use std::fmt::Display;
use std::time::Duration;

use policy::PolicySpec;
use policy::wire::{PARAMETER_MAX, Publication, encode, slot_words};
use rt_config::Site;
use rt_control::Client;
use shm::{Access, Segment, SegmentKind, counters, triple};
use shm_layout::{LearnerCounter, WEIGHTS_HEADER_WORDS};

use crate::scenario::Forgery;

/// Between two publications of a series, so that each is looked at by a runtime whose keeper wakes every few milliseconds.
const PAUSE: Duration = Duration::from_millis(25);
/// Publications of a series with flipped bits.
const FLIPS: usize = 16;
/// A parameter that a runtime believes.
const SMALL: f32 = 0.01;
/// A parameter that a runtime believes, as long as it is not one of many.
const LARGE: f32 = 0.9 * PARAMETER_MAX;
/// Far beyond the end of a setpoint's scale.
const BEYOND: f32 = 1.5;

/// A learner that has joined.
#[derive(Debug)]
pub struct Forger {
    weights: triple::Writer,
    counters: counters::Writer<LearnerCounter>,
    spec: PolicySpec,
    /// What it says of its next network.
    pub publication: Publication,
}

impl Forger {
    /// Joins the runtime of this site; a learner that was there before is fenced out.
    ///
    /// # Errors
    /// A sentence: it is not admitted.
    pub fn join(client: &mut Client, site: &Site) -> Result<Self, String> {
        let tag_list_hash = site.tag_list_hash();
        let (grant, [_, weights, counters, ..]) = client.join_as_learner(tag_list_hash).map_err(said)?;
        let attach = |descriptor, kind| Segment::attach(descriptor, Access::ReadWrite, kind).map_err(said);
        Ok(Self {
            weights: triple::Writer::new(&attach(weights, SegmentKind::Weights)?).map_err(said)?,
            counters: counters::Writer::new(&attach(counters, SegmentKind::LearnerCounters)?).map_err(said)?,
            spec: PolicySpec::of(site),
            publication: Publication {
                epoch: grant.epoch,
                generation: grant.generation + 1,
                updates: 1,
                tag_list_hash,
                nominal: false,
            },
        })
    }

    /// The words of a network that the runtime would believe, but for the changes of `publication` and `parameters`.
    ///
    /// # Panics
    /// The site has no network, which no valid one is without.
    pub fn words(&self, change: impl FnOnce(&mut Publication, &mut [f32])) -> Vec<u64> {
        let mut publication = self.publication;
        let mut parameters = vec![SMALL; self.spec.parameters()];
        change(&mut publication, &mut parameters);
        self.encoded(&self.spec, &publication, &parameters)
    }

    /// A network that the runtime believes.
    pub fn sound(&self) -> Vec<u64> {
        self.words(|_, _| {})
    }

    /// A network that puts every setpoint at this part of its scale, whatever the state.
    pub fn constant(&self, action: f32) -> Vec<u64> {
        let outputs = self.spec.actor.outputs();
        self.words(|_, parameters| {
            let first = parameters.len() - outputs;
            parameters.fill(0.0);
            parameters[first..first + outputs / 2].fill(action);
        })
    }

    /// A sound network for an agent with one column less.
    pub fn of_other_shape(&self) -> Vec<u64> {
        let mut spec = self.spec.clone();
        if let Some(layer) = spec.actor.layers.first_mut() {
            layer.inputs -= 1;
        }
        self.encoded(&spec, &self.publication, &vec![SMALL; spec.parameters()])
    }

    /// The beginning of one network and the end of another one.
    fn torn(&self) -> Vec<u64> {
        let mut words = self.sound();
        let other = self.words(|_, parameters| parameters.fill(-SMALL));
        let half = words.len() / 2;
        words[half..].copy_from_slice(&other[half..]);
        words
    }

    fn encoded(&self, spec: &PolicySpec, publication: &Publication, parameters: &[f32]) -> Vec<u64> {
        let mut words = vec![0; slot_words(&self.spec).expect("a valid site has a network")];
        encode(spec, publication, parameters, &mut words).expect("the slot is made for it");
        words
    }

    /// Puts these words into its slot.
    ///
    /// # Panics
    /// They are more than a slot has.
    pub fn publish(&mut self, words: &[u64]) {
        self.weights.publish(words).expect("the slot is made for it");
        self.counters.add(LearnerCounter::Heartbeat, 1);
    }

    /// Publishes what was ordered; series take a while.
    pub(crate) fn forge(&mut self, forgery: Forgery) {
        match forgery {
            Forgery::Sound => self.publish_next(&self.sound()),
            Forgery::Parameter(value) => self.publish_next(&self.words(|_, parameters| parameters[0] = value)),
            Forgery::Overflowing => self.publish_next(&self.words(|_, parameters| parameters.fill(LARGE))),
            Forgery::Saturating => self.publish_next(&self.constant(BEYOND)),
            Forgery::OtherShape => self.publish_next(&self.of_other_shape()),
            Forgery::Torn => self.publish_next(&self.torn()),
            Forgery::HeaderDamaged => self.series(0..WEIGHTS_HEADER_WORDS),
            Forgery::BitsFlipped => {
                let words = self.weights.slot_words();
                self.series((0..FLIPS).map(|flip| flip * (words - 1) / (FLIPS - 1)));
            }
        }
    }

    /// One publication after another, with another bit of another word flipped.
    fn series(&mut self, words: impl Iterator<Item = usize>) {
        for (count, word) in words.enumerate() {
            let mut network = self.sound();
            if let Some(word) = network.get_mut(word) {
                *word ^= 1 << (count * 7 % 64);
            }
            self.publish_next(&network);
            std::thread::sleep(PAUSE);
        }
    }

    fn publish_next(&mut self, words: &[u64]) {
        self.publish(words);
        self.publication.generation += 1;
    }
}

fn said(error: impl Display) -> String {
    error.to_string()
}
