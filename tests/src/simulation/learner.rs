//! A learner that publishes what it should, and what it should not.

use policy::file::{self, Origin, Purpose};
use policy::wire::{Publication, encode, slot_words};
use policy::{PolicySpec, Shown};
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
    /// A well-formed network whose outputs are one constant, beyond the range.
    Constant,
    /// A well-formed network that does the opposite of what it learnt.
    Opposite,
    /// A well-formed network whose outputs all saturate.
    Saturating,
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
    /// F10: what is well formed, and must not drive the plant.
    pub(crate) const WRONG: [Self; 3] = [Self::Constant, Self::Opposite, Self::Saturating];

    /// It is published as a learner publishes.
    fn is_honest(self) -> bool {
        self == Self::Sound || Self::WRONG.contains(&self)
    }
}

/// The learner of a scenario.
pub(crate) struct SimulatedLearner {
    spec: PolicySpec,
    tag_list_hash: u64,
    parameters: Vec<f32>,
    words: Vec<u64>,
    pub(crate) epoch: u64,
    pub(crate) generation: u64,
    pub(crate) heartbeat: u64,
    /// How often it has learnt something.
    pub(crate) updates: u64,
    dice: Dice,
}

impl SimulatedLearner {
    pub(crate) fn new(site: &Site, seed: u64) -> Self {
        let mut dice = Dice::new(seed, "learner");
        let spec = PolicySpec::of(site);
        let mut parameters: Vec<_> = (0..spec.parameters()).map(|_| dice.between(-0.05, 0.05) as f32).collect();
        let logits = parameters.len() - spec.actor.outputs() / 2;
        parameters[logits - spec.actor.outputs() / 2..logits].fill(0.5);
        let words = vec![0; slot_words(&spec).expect("a network")];
        Self {
            spec,
            tag_list_hash: site.tag_list_hash(),
            parameters,
            words,
            epoch: 0,
            generation: 0,
            heartbeat: 0,
            updates: 1,
            dice,
        }
    }

    /// The learner died, and this is the next one; it goes on where the desk is.
    pub(crate) fn take_over(&mut self, epoch: u64, generation: u64) {
        (self.epoch, self.generation) = (epoch, generation);
        (self.heartbeat, self.updates) = (0, 1);
    }

    /// What it shows of itself.
    pub(crate) fn shown(&self) -> Shown {
        Shown { heartbeat: self.heartbeat, best_generation: self.generation, updates: self.updates, ..Shown::default() }
    }

    /// What lies in the slot after this offer.
    pub(crate) fn publish(&mut self, offer: Offer) -> &[u64] {
        self.learn();
        if offer == Offer::Garbage {
            let Self { words, dice, .. } = self;
            words.iter_mut().for_each(|word| *word = dice.draw());
            return words;
        }
        let next = self.generation + 1;
        if offer.is_honest() {
            self.generation = next;
        }
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
            Offer::Constant | Offer::Opposite | Offer::Saturating => return self.write_wrong(offer, publication),
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
        let layers = &mut spec.actor.layers;
        let hidden = layers[1].outputs - 2;
        (layers[1].outputs, layers[2].inputs) = (hidden, 2 * hidden);
        encode(&spec, publication, &self.parameters[..spec.parameters()], &mut self.words).expect("it is smaller");
    }

    /// The last layer is another one: for a constant all of its weights are zero, and its means lie beyond the range.
    fn write_wrong(&mut self, offer: Offer, publication: &Publication) {
        let mut parameters = self.parameters.clone();
        let actor = &self.spec.actor;
        let (outputs, last) = (actor.outputs(), actor.layers[actor.layers.len() - 1].parameters());
        let (first, biases) = (parameters.len() - last, parameters.len() - outputs);
        match offer {
            Offer::Constant => {
                parameters[first..].fill(0.0);
                parameters[biases..].fill(self.dice.pick(&[-0.3, 1.3]));
            }
            Offer::Opposite => parameters[first..].iter_mut().for_each(|parameter| *parameter = -*parameter),
            _ => parameters[first..].iter_mut().for_each(|parameter| *parameter *= 30.0),
        }
        encode(&self.spec, publication, &parameters, &mut self.words).expect("the slot is made for it");
    }

    /// Means that lie a little elsewhere, and a few other weights.
    fn learn(&mut self) {
        let outputs = self.spec.actor.outputs();
        let first = self.parameters.len() - outputs;
        for index in first..first + outputs / 2 {
            let mean = f64::from(self.parameters[index]) + self.dice.between(-0.1, 0.1);
            self.parameters[index] = mean.clamp(0.2, 0.8) as f32;
        }
        for _ in 0..16 {
            let index = self.dice.index(first);
            self.parameters[index] = self.dice.between(-0.05, 0.05) as f32;
        }
    }
}
