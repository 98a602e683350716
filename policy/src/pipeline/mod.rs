//! From the process image to state, action and reward, once per observation.
//!
//! In order: delta, seasonal and computed tags; triggers, zones and quality are judged on what was read, then a value
//! outside its operating range counts as missing, and one that is odd; something may stand in for it; the reward; the action
//! read back and its bounds; the traces and the past; the state. Everything is a pure function of the image, of the observation's moment, and of
//! the observations before it, so that the learner can run it over recorded data.
//!
//! The state's columns, in [`Columns`]: for each tag of the state but seasonal ones, in the site's order, its normalised
//! value traced with every decay; then for each of them its values of the observations before; then per setpoint the lower
//! and the upper bound of its action; then the seasonal tags; then the decision clock.

mod autoencoder;
mod bounds;
mod clock;
mod columns;
mod delta;
mod filter;
mod guard;
mod impute;
mod past;
mod reward;
mod season;
mod traces;
mod trigger;

use rt_config::{Range, Site, TagKind};
use rt_core::carry::Carrier;
use rt_core::expression::Program;
use rt_core::image::Image;
use rt_core::ports::Moment;
use rt_core::setpoint::Cascade;
use rt_core::tag::TagId;
use rt_core::time::Span;

use autoencoder::Autoencoder;
pub use autoencoder::{ImputerShape, TrainedImputer};
use bounds::Bounds;
use clock::Clock;
pub(crate) use columns::column_count;
pub use columns::{Column, Columns};
use delta::Deltas;
use filter::Filters;
use impute::Imputation;
use past::Past;
pub use reward::Judgement;
use reward::RewardRule;
use season::Seasons;
use traces::Traces;
use trigger::Triggers;

/// How far beyond its normal range a value is still told apart, in widths of that range. One width on either side lets
/// the policy see an excursion, and keeps a broken range from driving the network to where it was never tried.
const EXCURSION_MAX: f64 = 1.0;
/// Smaller magnitudes are zero: no number of the pipeline or of the network's input is ever denormal.
const FLUSH_BELOW: f64 = 1e-30;

const _: () = assert!(FLUSH_BELOW > f32::MIN_POSITIVE as f64, "what is not flushed is a normal f32");

/// Why a site has no pipeline. A site that was resolved from a file never gets here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitSite {
    /// A tag of the state cannot be normalised.
    #[error("tag {tag} is part of the state, but has no range: give it an expected or an operating range")]
    NoRange {
        /// The tag.
        tag: String,
    },
    /// There is nothing to write.
    #[error("the site has no setpoint")]
    NoSetpoint,
}

/// Values of all tags at one observation, in the site's order.
pub(crate) type Values = [Option<f64>];

/// The tag's value, if there is one.
pub(crate) fn value_of(values: &Values, tag: TagId) -> Option<f64> {
    values.get(tag.index()).copied().flatten()
}

/// The pipeline of one agent. All memory is taken by [`Pipeline::new`].
#[derive(Clone, Debug)]
pub struct Pipeline {
    tags: Vec<TagStage>,
    deltas: Deltas,
    seasons: Seasons,
    /// Each after those that it reads.
    computed: Vec<Computed>,
    triggers: Triggers,
    age_max: Span,
    /// As read, or computed from what was read.
    raw: Vec<Option<f64>>,
    /// The same, but missing outside the operating range or where it is odd, or filled in.
    values: Vec<Option<f64>>,
    /// Not older than the state tolerates.
    fresh: Vec<bool>,
    filters: Filters,
    imputation: Imputation,
    /// When a tag has a masked autoencoder.
    autoencoder: Option<Autoencoder>,
    traces: Traces,
    past: Past,
    actions: Vec<ActionStage>,
    clock: Clock,
    reward_rule: RewardRule,

    complete: bool,
    triggered: bool,
    action_read_back: bool,
    judgement: Judgement,
    state: Vec<f32>,
    action: Vec<f32>,
    lo: Vec<f32>,
    hi: Vec<f32>,
}

#[derive(Clone, Debug)]
struct TagStage {
    id: Option<TagId>,
    cascade: Option<Cascade>,
    operating_range: Option<Range>,
}

impl TagStage {
    /// The tag that it is read from: of a cascade the setpoint that the plant follows.
    fn source(&self, image: &Image) -> Option<TagId> {
        match self.cascade {
            Some(cascade) => cascade.followed(self.id?, image),
            None => self.id,
        }
    }
}

#[derive(Clone, Debug)]
struct Computed {
    index: usize,
    program: Program,
}

impl Computed {
    fn of(site: &Site, tag: TagId) -> Option<Self> {
        match site.tags.get(tag.index())?.kind {
            TagKind::Computed(program) => Some(Self { index: tag.index(), program }),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct ActionStage {
    tag: TagId,
    scale: Range,
    bounds: Bounds,
}

impl Pipeline {
    /// The pipeline of this site, before its first observation.
    ///
    /// # Errors
    /// When a tag of the state has no range.
    pub fn new(site: &Site) -> Result<Self, UnfitSite> {
        if site.setpoints.is_empty() {
            return Err(UnfitSite::NoSetpoint);
        }
        let stage = |(index, tag): (usize, &rt_config::Tag)| TagStage {
            id: TagId::new(index),
            cascade: site.cascade_of(index),
            operating_range: tag.operating_range,
        };
        let mut traced = Vec::new();
        for (index, tag) in columns::traced(site) {
            let scale = tag.normal_range.ok_or_else(|| UnfitSite::NoRange { tag: tag.name.clone() })?;
            traced.push((index, scale));
        }
        let actions = site.setpoints.iter().map(|setpoint| ActionStage {
            tag: setpoint.tag,
            scale: setpoint.scale,
            bounds: Bounds::of(setpoint, &site.tags),
        });
        let count = site.tags.len();
        let setpoints = site.setpoints.len();
        Ok(Self {
            tags: site.tags.iter().enumerate().map(stage).collect(),
            deltas: Deltas::new(&site.tags),
            seasons: Seasons::new(&site.tags),
            computed: (site.computed.iter()).filter_map(|tag| Computed::of(site, *tag)).collect(),
            triggers: Triggers::new(&site.tags),
            age_max: site.interaction.state_age_tol,
            raw: vec![None; count],
            values: vec![None; count],
            fresh: vec![false; count],
            filters: Filters::new(&site.tags),
            imputation: Imputation::new(&site.tags),
            autoencoder: Autoencoder::new(site, &traced),
            past: Past::new(traced.len(), site.agent.past_values),
            traces: Traces::new(&traced, &site.agent.traces),
            actions: actions.collect(),
            clock: Clock::new(site),
            reward_rule: RewardRule::of(site),
            complete: false,
            triggered: false,
            action_read_back: false,
            judgement: Judgement::default(),
            state: vec![0.0; column_count(site)],
            action: vec![0.0; setpoints],
            lo: vec![0.0; setpoints],
            hi: vec![0.0; setpoints],
        })
    }

    /// Takes one observation in: the image at this moment. No network stands in for what is missing.
    ///
    /// # Real-time
    /// Wait-free; bounded by the number of tags, columns and operations of the programs.
    pub fn observe(&mut self, image: &Image, moment: &Moment) {
        self.observe_with(None, image, moment);
    }

    /// Takes one observation in: the image at this moment. Where a tag has a masked autoencoder, the trained one stands in.
    ///
    /// # Real-time
    /// Wait-free; bounded by the number of tags, columns and operations of the programs, and by one pass of the imputer.
    pub fn observe_with(&mut self, imputer: Option<TrainedImputer<'_>>, image: &Image, moment: &Moment) {
        self.read(image);
        self.deltas.take(&mut self.raw, &self.fresh, moment.gap);
        self.tell_seasons(image);
        self.compute();
        self.triggered = self.triggers.look(&self.raw, &self.fresh, moment) && !moment.decision;
        self.check_ranges();
        self.filters.apply(&self.raw, &mut self.values);
        self.impute(imputer);
        self.judgement = self.reward_rule.judge(&self.raw, &self.values);
        self.read_actions_back(image);
        let bounds_known = self.bound_actions();
        self.clock.tick(moment, self.triggered);
        let traces_usable = self.traces.update(&self.values) && self.traces.all_fresh(&self.fresh);
        self.past.update(self.traces.present());
        let rest_known = self.write_state();
        self.complete = bounds_known && traces_usable && rest_known;
    }

    /// Hands the pipeline's memory over to be kept, or takes over what was kept. See [`rt_core::carry`].
    ///
    /// # Real-time
    /// As wait-free as the carrier; bounded by the number of columns.
    pub fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self {
            // What the site fixes.
            tags: _,
            computed: _,
            age_max: _,
            reward_rule: _,
            // They remember nothing.
            seasons: _,
            // Every observation fills them before it uses them.
            raw: _,
            values: _,
            fresh: _,
            complete: _,
            triggered: _,
            action_read_back: _,
            judgement: _,
            state: _,
            deltas,
            triggers,
            filters,
            imputation,
            autoencoder,
            traces,
            past,
            actions,
            clock,
            action,
            lo,
            hi,
        } = self;
        deltas.carry(carrier);
        triggers.carry(carrier);
        filters.carry(carrier);
        imputation.carry(carrier);
        autoencoder.iter_mut().for_each(|autoencoder| autoencoder.carry(carrier));
        traces.carry(carrier);
        past.carry(carrier);
        actions.iter_mut().for_each(|ActionStage { tag: _, scale: _, bounds }| bounds.carry(carrier));
        clock.carry(carrier);
        // What could not be read keeps its last value.
        action.iter_mut().chain(lo).chain(hi).for_each(|value| carrier.carry(value));
    }

    /// Every column of the state is valid and fresh.
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// The site has a masked autoencoder, and every value of the state that it learns from was read: none is missing, none is
    /// imputed.
    pub fn all_read(&self) -> bool {
        self.autoencoder.as_ref().is_some_and(Autoencoder::all_read)
    }

    /// A trigger asks for a decision where the grid has none.
    pub fn triggered(&self) -> bool {
        self.triggered
    }

    /// The reward, when all its inputs were there and it is finite.
    pub fn reward(&self) -> Option<f64> {
        self.judgement.reward
    }

    /// The reward, and which of the site's wishes are fulfilled.
    pub fn judgement(&self) -> Judgement {
        self.judgement
    }

    /// The state, in the order of [`Columns`]. Always finite; meaningful as a whole only when [`Self::complete`].
    pub fn state(&self) -> &[f32] {
        &self.state
    }

    /// The setpoints as they were read back, scaled to [0, 1]; a setpoint that could not be read keeps its last value. Of a
    /// cascade it is the setpoint that the plant follows, the operator's or ours.
    pub fn action(&self) -> &[f32] {
        &self.action
    }

    /// Every setpoint was read back, and lies in its scale.
    pub fn action_read_back(&self) -> bool {
        self.action_read_back
    }

    /// The lower and the upper bounds of the next action, in [0, 1].
    pub fn bounds(&self) -> (&[f32], &[f32]) {
        (&self.lo, &self.hi)
    }

    /// The setpoint's value in engineering units for `action` in [0, 1]: inside the scale and the agent's bounds.
    pub(crate) fn engineering(&self, setpoint: usize, action: f32) -> Option<f64> {
        let stage = self.actions.get(setpoint)?;
        let Range { lo, hi } = stage.scale;
        let bounds = stage.bounds.now()?;
        Some(clip(lo + f64::from(action) * (hi - lo), bounds.lo, bounds.hi))
    }

    fn read(&mut self, image: &Image) {
        for ((tag, raw), fresh) in self.tags.iter().zip(&mut self.raw).zip(&mut self.fresh) {
            let source = tag.source(image);
            *raw = source.and_then(|id| image.usable(id));
            *fresh = source.is_some_and(|id| image.reading(id).age <= self.age_max);
        }
    }

    fn tell_seasons(&mut self, image: &Image) {
        let tags = &self.tags;
        let newest = |fresh: &[bool]| {
            let young = tags.iter().zip(fresh).filter(|(_, fresh)| **fresh);
            young.filter_map(|(tag, _)| image.source_time(tag.id?)).max()
        };
        self.seasons.tell(&mut self.raw, &mut self.fresh, newest);
    }

    fn compute(&mut self) {
        for Computed { index, program } in &self.computed {
            let value = program.eval_with(|tag| value_of(&self.raw, tag));
            let fresh = all_fresh(program, &self.fresh);
            if let (Some(slot), Some(fresh_slot)) = (self.raw.get_mut(*index), self.fresh.get_mut(*index)) {
                (*slot, *fresh_slot) = (value, fresh);
            }
        }
    }

    fn check_ranges(&mut self) {
        for ((tag, raw), value) in self.tags.iter().zip(&self.raw).zip(&mut self.values) {
            *value = raw.filter(|x| tag.operating_range.is_none_or(|range| range.lo <= *x && *x <= range.hi));
        }
    }

    /// The network first: it goes by what was read alone.
    fn impute(&mut self, imputer: Option<TrainedImputer<'_>>) {
        let Self { autoencoder, imputation, traces, values, fresh, .. } = self;
        if let Some(autoencoder) = autoencoder {
            autoencoder.fill(imputer, traces, values, fresh);
        }
        imputation.fill(values, fresh);
    }

    fn read_actions_back(&mut self, image: &Image) {
        self.action_read_back = true;
        for (stage, action) in self.actions.iter().zip(&mut self.action) {
            let in_scale = |x: &f64| stage.scale.lo <= *x && *x <= stage.scale.hi;
            let source = self.tags.get(stage.tag.index()).and_then(|tag| tag.source(image));
            match source.and_then(|id| image.read_back(id)).map(|read| read.value).filter(in_scale) {
                Some(value) => *action = narrowed(normalised(value, stage.scale)),
                None => self.action_read_back = false,
            }
        }
    }

    /// Whether all bounds are known.
    fn bound_actions(&mut self) -> bool {
        let mut known = true;
        for ((stage, lo), hi) in self.actions.iter_mut().zip(&mut self.lo).zip(&mut self.hi) {
            match stage.bounds.evaluate(&self.values, &self.fresh) {
                Some(bounds) => {
                    *lo = narrowed(normalised(bounds.lo, stage.scale));
                    *hi = narrowed(normalised(bounds.hi, stage.scale));
                }
                None => known = false,
            }
        }
        known
    }

    /// Writes the columns; whether those that are neither traced nor bounds are known.
    fn write_state(&mut self) -> bool {
        let sizes = [self.traces.len(), self.past.len(), 2 * self.actions.len(), self.seasons.len(), self.clock.len()];
        let mut rest = self.state.as_mut_slice();
        let mut next = |size: usize| rest.split_off_mut(..size).unwrap_or_default();
        let [traced, past, bounds, seasons, clock] = sizes.map(&mut next);
        self.traces.write(traced);
        self.past.write(past);
        for ((lo, hi), column) in self.lo.iter().zip(&self.hi).zip(bounds.as_chunks_mut().0) {
            *column = [*lo, *hi];
        }
        let seasons_known = self.seasons.write(&self.values, seasons);
        let clock_known = self.clock.write(clock);
        seasons_known && clock_known
    }
}

/// Whether all inputs of the program are fresh.
pub(crate) fn all_fresh(program: &Program, fresh: &[bool]) -> bool {
    program.tags().all(|tag| fresh.get(tag.index()).copied().unwrap_or(false))
}

/// The place in the range: 0 at its lower end, 1 at its upper end.
pub(crate) fn normalised(value: f64, range: Range) -> f64 {
    (value - range.lo) / (range.hi - range.lo)
}

/// Within one width of [0, 1] and free of tiny magnitudes, so that it is a normal f32.
pub(crate) fn narrowed(value: f64) -> f32 {
    flushed(clip(value, -EXCURSION_MAX, 1.0 + EXCURSION_MAX)) as f32
}

pub(crate) fn flushed(value: f64) -> f64 {
    if value.abs() < FLUSH_BELOW { 0.0 } else { value }
}

/// `value`, or the end of `[lo, hi]` that it lies beyond.
pub(crate) fn clip(value: f64, lo: f64, hi: f64) -> f64 {
    let value = if value < lo { lo } else { value };
    if value > hi { hi } else { value }
}

#[cfg(test)]
mod tests;
