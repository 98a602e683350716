//! A learner that publishes what it should, and what it should not.

use policy::actor_spec;
use policy::file::{self, Origin, Purpose};
use policy::kernels::NetSpec;
use policy::pipeline::Columns;
use policy::wire::{Publication, encode, slot_words};
use rt_config::Site;

use super::dice::Dice;

/// What a learner publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// A network that has to be adopted.
    Sound,
    /// Words at random.
    Garbage,
    /// The first half of a network over the second half of another.
    Torn,
    /// One bit is another one.
    Flipped,
    /// A parameter is not a number.
    NotFinite,
    /// A parameter is beyond everything.
    Huge,
    /// A network of another shape.
    OtherShape,
    /// A network for other tags.
    OtherTags,
    /// A generation that was published before.
    Repeated,
    /// From the learner before this one.
    Fenced,
}

impl Offer {
    /// What must not be adopted.
    pub(crate) const UNSOUND: [Self; 9] = [
        Self::Garbage,
        Self::Torn,
        Self::Flipped,
        Self::NotFinite,
        Self::Huge,
        Self::OtherShape,
        Self::OtherTags,
        Self::Repeated,
        Self::Fenced,
    ];
}

/// The learner of a scenario.
pub(crate) struct SimulatedLearner {
    spec: NetSpec,
    tag_list_hash: u64,
    parameters: Vec<f32>,
    words: Vec<u64>,
    pub(crate) epoch: u64,
    pub(crate) generation: u64,
    dice: Dice,
}

impl SimulatedLearner {
    pub(crate) fn new(site: &Site, seed: u64) -> Self {
        let mut dice = Dice::new(seed, "learner");
        let spec = actor_spec(Columns::of(site).len(), site.setpoints.len());
        let parameters = (0..spec.parameters()).map(|_| dice.between(-0.05, 0.05) as f32).collect();
        let words = vec![0; slot_words(&spec).expect("a network")];
        Self { spec, tag_list_hash: site.tag_list_hash(), parameters, words, epoch: 0, generation: 0, dice }
    }

    /// The learner died, and this is the next one; it goes on where the desk is.
    pub(crate) fn take_over(&mut self, epoch: u64, generation: u64) {
        (self.epoch, self.generation) = (epoch, generation);
    }

    /// What lies in the slot after this offer.
    pub(crate) fn publish(&mut self, offer: Offer) -> &[u64] {
        self.learn();
        match offer {
            Offer::Sound => self.generation += 1,
            Offer::Garbage => {
                let Self { words, dice, .. } = self;
                words.iter_mut().for_each(|word| *word = dice.draw());
                return words;
            }
            _ => {}
        }
        let next = if offer == Offer::Sound { self.generation } else { self.generation + 1 };
        let honest = Publication {
            epoch: self.epoch,
            generation: next,
            updates: next,
            tag_list_hash: self.tag_list_hash,
            nominal: false,
        };
        let publication = match offer {
            Offer::OtherTags => Publication { tag_list_hash: !self.tag_list_hash, ..honest },
            Offer::Repeated => Publication { generation: self.generation, ..honest },
            Offer::Fenced => Publication { epoch: self.epoch.wrapping_sub(1), ..honest },
            _ => honest,
        };
        self.write(offer, &publication);
        &self.words
    }

    /// The policy file that was put beside the site, of this generation.
    pub(crate) fn policy_file(&self, site: &Site, generation: u64) -> Vec<u8> {
        let origin = Origin { created_by: "simulation".to_owned(), generation, updates: generation, nominal: false };
        file::to_bytes(&Purpose::of(site), &origin, &self.parameters).expect("a network of the site's shape")
    }

    fn write(&mut self, offer: Offer, publication: &Publication) {
        let anywhere = self.dice.index(self.parameters.len());
        let kept = self.parameters[anywhere];
        match offer {
            Offer::NotFinite => self.parameters[anywhere] = self.dice.pick(&[f32::NAN, f32::INFINITY]),
            Offer::Huge => self.parameters[anywhere] = 1e30,
            Offer::OtherShape => return self.write_other_shape(publication),
            _ => {}
        }
        let before = self.words.clone();
        encode(&self.spec, publication, &self.parameters, &mut self.words).expect("the slot is made for it");
        self.parameters[anywhere] = kept;
        let half = self.words.len() / 2;
        match offer {
            // The words before may be those of another offer, but never all the same.
            Offer::Torn if before[half..] != self.words[half..] => self.words[half..].copy_from_slice(&before[half..]),
            Offer::Torn => self.words[half] ^= 1,
            Offer::Flipped => {
                // The last word may be half filling.
                let word = self.dice.index(self.words.len() - 1);
                self.words[word] ^= 1 << self.dice.below(64);
            }
            _ => {}
        }
    }

    fn write_other_shape(&mut self, publication: &Publication) {
        let mut spec = self.spec.clone();
        let hidden = spec.layers[1].outputs - 2;
        (spec.layers[1].outputs, spec.layers[2].inputs) = (hidden, 2 * hidden);
        encode(&spec, publication, &self.parameters[..spec.parameters()], &mut self.words).expect("it is smaller");
    }

    /// Other means, and a few other weights.
    fn learn(&mut self) {
        let outputs = self.spec.outputs();
        let first = self.parameters.len() - outputs;
        for index in first..first + outputs / 2 {
            self.parameters[index] = self.dice.between(-0.2, 1.2) as f32;
        }
        for _ in 0..16 {
            let index = self.dice.index(first);
            self.parameters[index] = self.dice.between(-0.05, 0.05) as f32;
        }
    }
}
