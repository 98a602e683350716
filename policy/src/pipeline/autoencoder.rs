//! The masked autoencoder: what a trained network makes of the tags that were read stands in for those that were not.
//!
//! # Inputs and outputs
//! Of `n` tags with `d` traces the network sees, one after another: the `n d` traces as the observation before left them,
//! tag by tag as in the state; the `n` present values, normalised, 0 where there is none; `n` masks, 1 where there is a
//! value. For every tag it says how far its value has moved from the last one, which is its trace with decay 0. So a network
//! that says nothing holds the last value, and what is slow need not be learnt.
//!
//! # Permission
//! Nothing is imputed without a trained network, while a larger share of the tags is missing than the tag's imputer
//! permits, before the tag's first reading, or for more observations in a row than its horizon. What is imputed lies in the
//! tag's range. Only what was read counts as read: what other imputers stand in with is no input, and no less missing. A
//! computed tag is missing when one that it is made of is, and needs an imputer of its own.

use rt_config::{ImputerRule, Range, Site, Tag};
use rt_core::carry::Carrier;
use serde::{Deserialize, Serialize};

use super::traces::Traces;
use super::{EXCURSION_MAX, Values, clip, columns, narrowed, normalised};
use crate::kernels::{Activation, Kernel, LayerSpec, NetSpec, PackedNet, Scratch};

/// Sums of each of the network's two hidden layers.
const HIDDEN: usize = 64;

/// What a site's masked autoencoder sees of the state, and when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImputerShape {
    /// Tags of the state with traces: all take part, whether or not the network imputes them.
    pub tags: usize,
    /// Traces of each; their columns are the first ones of the state, tag by tag.
    pub traces: usize,
    /// Which of a tag's traces has decay 0: it is the tag's last value.
    pub last: usize,
    /// The most tags that may be missing at once.
    pub missing_max: usize,
    /// The most observations in a row for which a value is imputed.
    pub horizon: usize,
}

impl ImputerShape {
    /// That of this site; `None` when no tag has a masked autoencoder.
    pub fn of(site: &Site) -> Option<Self> {
        let tags = columns::traced(site).count();
        let rules = site.tags.iter().filter_map(|tag| Rule::of(tag, tags));
        let (missing_max, horizon) = rules.fold((0, 0), |(missing_max, horizon), rule| {
            (rule.missing_max.max(missing_max), rule.horizon.max(horizon))
        });
        let decays = &site.agent.traces;
        let last = decays.iter().position(|decay| *decay == 0.0)?;
        let horizon = usize::try_from(horizon).unwrap_or(usize::MAX);
        (horizon > 0).then_some(Self { tags, traces: decays.len(), last, missing_max, horizon })
    }

    /// The network.
    pub fn spec(&self) -> NetSpec {
        let layers = vec![
            LayerSpec::new(self.inputs(), HIDDEN, Activation::Relu),
            LayerSpec::new(HIDDEN, HIDDEN, Activation::Relu),
            LayerSpec::new(HIDDEN, self.tags, Activation::Linear),
        ];
        NetSpec { layers }
    }

    /// How many numbers the network sees.
    pub const fn inputs(&self) -> usize {
        self.tags * (self.traces + 2)
    }

    /// The parts of the network's inputs: traces, values, masks. A slice of another length gives parts that are cut short.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn parts<'a>(&self, inputs: &'a mut [f32]) -> [&'a mut [f32]; 3] {
        let mut rest = inputs;
        [self.tags * self.traces, self.tags, self.tags].map(|size| rest.split_off_mut(..size).unwrap_or_default())
    }
}

/// A trained imputer, and what to compute it with.
#[derive(Clone, Copy, Debug)]
pub struct TrainedImputer<'a> {
    /// Of the shape of the site's [`ImputerShape::spec`].
    pub net: &'a PackedNet,
    /// All give the same bits.
    pub kernel: Kernel,
}

/// The masked autoencoder of a site, and what it remembers. Without such a tag it is empty and does nothing.
#[derive(Clone, Debug)]
pub(super) struct Autoencoder {
    shape: ImputerShape,
    tags: Vec<MaskedTag>,
    /// Tags that were not read.
    missing: usize,
    inputs: Vec<f32>,
    outputs: Vec<f32>,
    scratch: Scratch,
}

#[derive(Clone, Debug)]
struct MaskedTag {
    /// The tag's place in the site's list.
    index: usize,
    /// Where its last value lies among the network's inputs.
    last: usize,
    scale: Range,
    /// What is imputed stays in here.
    range: Range,
    /// `None` when the network does not stand in for it.
    rule: Option<Rule>,
    /// Observations since it was last read; `None` before the first time.
    missing: Option<u32>,
}

/// When the network stands in for a tag.
#[derive(Clone, Copy, Debug)]
struct Rule {
    horizon: u32,
    /// The most tags that may be missing, this one included.
    missing_max: usize,
}

impl Rule {
    fn of(tag: &Tag, tags: usize) -> Option<Self> {
        let ImputerRule::MaskedAutoencoder { missing_max } = tag.imputer.rule else { return None };
        Some(Self { horizon: tag.imputer.horizon, missing_max: (missing_max * tags as f64) as usize })
    }
}

impl MaskedTag {
    /// Whether the network stands in for it while so many tags are missing.
    fn is_due(&self, missing: usize) -> bool {
        let since = self.missing.filter(|since| *since > 0);
        since.zip(self.rule).is_some_and(|(since, rule)| since <= rule.horizon && missing <= rule.missing_max)
    }

    /// Engineering units, inside the range: the value that lies so far from the last one, both normalised.
    fn value(&self, last: f32, moved: f32) -> Option<f64> {
        let Range { lo, hi } = self.scale;
        let place = f64::from(last) + f64::from(moved);
        let value = lo + clip(place, -EXCURSION_MAX, 1.0 + EXCURSION_MAX) * (hi - lo);
        value.is_finite().then(|| clip(value, self.range.lo, self.range.hi))
    }
}

impl Autoencoder {
    /// That of this site; `traced` are the tags of the state with traces and their scales. `None` without such a tag.
    pub(super) fn new(site: &Site, traced: &[(usize, Range)]) -> Option<Self> {
        let shape = ImputerShape::of(site)?;
        let tag = |(place, &(index, scale)): (usize, &(usize, Range))| {
            let tag = site.tags.get(index)?;
            let range = tag.operating_range.unwrap_or(scale);
            let last = place * shape.traces + shape.last;
            Some(MaskedTag { index, last, scale, range, rule: Rule::of(tag, traced.len()), missing: None })
        };
        Some(Self {
            shape,
            tags: traced.iter().enumerate().filter_map(tag).collect(),
            missing: traced.len(),
            inputs: vec![0.0; shape.inputs()],
            outputs: vec![0.0; shape.tags],
            scratch: Scratch::of(&shape.spec()).ok()?,
        })
    }

    /// Stands in for what is missing, where it may. What it stands in with is as fresh as a reading. `traces` are those that
    /// the observation before has left.
    ///
    /// # Real-time
    /// Wait-free; bounded by the number of tags and, when something is due, by one forward pass.
    pub(super) fn fill(
        &mut self,
        imputer: Option<TrainedImputer<'_>>,
        traces: &Traces,
        values: &mut Values,
        fresh: &mut [bool],
    ) {
        self.look(values, fresh);
        let missing = self.missing;
        let Some(TrainedImputer { net, kernel }) = imputer else { return };
        if !self.tags.iter().any(|tag| tag.is_due(missing)) {
            return;
        }
        let [before, ..] = self.shape.parts(&mut self.inputs);
        traces.write(before);
        net.forward(kernel, &self.inputs, &mut self.scratch, &mut self.outputs);
        for (tag, moved) in self.tags.iter().zip(&self.outputs).filter(|(tag, _)| tag.is_due(missing)) {
            let value = self.inputs.get(tag.last).and_then(|last| tag.value(*last, *moved));
            if let (Some(value), Some(slot), Some(fresh)) = (value, values.get_mut(tag.index), fresh.get_mut(tag.index))
            {
                (*slot, *fresh) = (Some(value), true);
            }
        }
    }

    /// Every tag was read in the last observation.
    pub(super) const fn all_read(&self) -> bool {
        self.missing == 0
    }

    /// Takes in what was read.
    fn look(&mut self, values: &Values, fresh: &[bool]) {
        let [_, present, masks] = self.shape.parts(&mut self.inputs);
        self.missing = 0;
        for (tag, (present, mask)) in self.tags.iter_mut().zip(present.iter_mut().zip(masks)) {
            let is_fresh = fresh.get(tag.index).copied().unwrap_or(false);
            let read = values.get(tag.index).copied().flatten().filter(|_| is_fresh);
            (*present, *mask) = read.map_or((0.0, 0.0), |value| (narrowed(normalised(value, tag.scale)), 1.0));
            tag.missing = match read {
                Some(_) => Some(0),
                None => tag.missing.map(|since| since.saturating_add(1)),
            };
            self.missing += usize::from(read.is_none());
        }
    }

    pub(super) fn carry(&mut self, carrier: &mut impl Carrier) {
        // Every observation fills the rest before it uses it.
        let Self { shape: _, tags, missing: _, inputs: _, outputs: _, scratch: _ } = self;
        for MaskedTag { index: _, last: _, scale: _, range: _, rule: _, missing } in tags {
            carrier.carry(missing);
        }
    }
}

#[cfg(test)]
mod tests;
