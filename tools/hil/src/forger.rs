//! A learner without conscience: it takes the present one's place and publishes what a runtime must not believe.

use std::fmt::Display;
use std::time::Duration;

use policy::PolicySpec;
use policy::wire::{Publication, encode, slot_words};
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
/// Far beyond the end of a setpoint's scale.
const BEYOND: f32 = 1.5;

/// A learner that has joined.
#[derive(Debug)]
pub(crate) struct Forger {
    weights: triple::Writer,
    counters: counters::Writer<LearnerCounter>,
    spec: PolicySpec,
    publication: Publication,
}

impl Forger {
    /// Joins the runtime of this site; a learner that was there before is fenced out.
    ///
    /// # Errors
    /// A sentence: it is not admitted.
    pub(crate) fn join(client: &mut Client, site: &Site) -> Result<Self, String> {
        let tag_list_hash = site.tag_list_hash();
        let (grant, [_, weights, counters, _, _]) = client.join_as_learner(tag_list_hash).map_err(said)?;
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

    /// Publishes what was ordered; series take a while.
    ///
    /// # Errors
    /// A sentence: the runtime's memory is not what it should be.
    pub(crate) fn publish(&mut self, forgery: Forgery) -> Result<(), String> {
        match forgery {
            Forgery::Sound => self.put(&self.network(|_| {})?),
            Forgery::Parameter(value) => self.put(&self.network(|parameters| parameters[0] = value)?),
            Forgery::Saturating => self.put(&self.constant(BEYOND)?),
            Forgery::OtherShape => self.put(&self.of_other_shape()?),
            Forgery::Torn => self.put(&self.torn()?),
            Forgery::HeaderDamaged => self.series(0..WEIGHTS_HEADER_WORDS),
            Forgery::BitsFlipped => {
                let words = self.weights.slot_words();
                self.series((0..FLIPS).map(|flip| flip * (words - 1) / (FLIPS - 1)))
            }
        }
    }

    /// One publication after another, with another bit of another word flipped.
    fn series(&mut self, words: impl Iterator<Item = usize>) -> Result<(), String> {
        for (count, word) in words.enumerate() {
            let mut network = self.network(|_| {})?;
            if let Some(word) = network.get_mut(word) {
                *word ^= 1 << (count * 7 % 64);
            }
            self.put(&network)?;
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn put(&mut self, words: &[u64]) -> Result<(), String> {
        self.weights.publish(words).map_err(said)?;
        self.counters.add(LearnerCounter::Heartbeat, 1);
        self.publication.generation += 1;
        Ok(())
    }

    /// A network that the runtime would believe, but for what `change` does to its parameters.
    fn network(&self, change: impl FnOnce(&mut [f32])) -> Result<Vec<u64>, String> {
        let mut parameters = vec![SMALL; self.spec.parameters()];
        change(&mut parameters);
        self.encoded(&self.spec, &parameters)
    }

    /// A network that puts every setpoint at this part of its scale, whatever the state.
    fn constant(&self, action: f32) -> Result<Vec<u64>, String> {
        let outputs = self.spec.actor.outputs();
        self.network(|parameters| {
            let first = parameters.len() - outputs;
            parameters.fill(0.0);
            parameters[first..first + outputs / 2].fill(action);
        })
    }

    /// A sound network for an agent with one column less.
    fn of_other_shape(&self) -> Result<Vec<u64>, String> {
        let mut spec = self.spec.clone();
        if let Some(layer) = spec.actor.layers.first_mut() {
            layer.inputs -= 1;
        }
        self.encoded(&spec, &vec![SMALL; spec.parameters()])
    }

    /// The beginning of one network and the end of another one.
    fn torn(&self) -> Result<Vec<u64>, String> {
        let mut words = self.network(|_| {})?;
        let other = self.network(|parameters| parameters.fill(-SMALL))?;
        let half = words.len() / 2;
        words[half..].copy_from_slice(&other[half..]);
        Ok(words)
    }

    fn encoded(&self, spec: &PolicySpec, parameters: &[f32]) -> Result<Vec<u64>, String> {
        let mut words = vec![0; slot_words(&self.spec).map_err(said)?];
        encode(spec, &self.publication, parameters, &mut words).map_err(said)?;
        Ok(words)
    }
}

fn said(error: impl Display) -> String {
    error.to_string()
}
