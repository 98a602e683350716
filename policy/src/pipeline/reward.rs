//! The reward of one observation: an expression, or prioritised goals and then an optimisation; and what zones take off.
//!
//! With K goals, goal i has the reward's range `[e_i, e_(i+1)]`, the edges dividing [-1, -0.5] evenly. The first goal
//! that is not met decides, by how far it is violated; when all are met the optimisation moves the reward in [-0.5, 0]. So a
//! goal is never worth less than those after it. Zones lie below that: see [`Zone`].

use std::num::NonZeroU16;

use rt_config::{Goal, Objective, Range, Reward, Site, Tag};
use rt_core::expression::Program;
use rt_core::ports::{Because, InZone};
use rt_core::tag::TagId;

use super::{Values, clip, value_of};

/// The reward with no goal met at all.
const WORST: f64 = -1.0;
/// The reward with all goals met and nothing optimised.
const GOALS_MET: f64 = -0.5;
/// A reading at the deep end of the yellow zone costs this much.
const YELLOW_COST: f64 = 2.0;
/// A reading at the edge of the red zone has this reward, and at its deep end twice that.
const RED_REWARD: f64 = -4.0;

const _: () = assert!(WORST - YELLOW_COST > RED_REWARD, "with goals, red is worse than any yellow");

/// What an observation is worth, and what of the site's wishes it fulfils. A wish that the site does not have, or whose
/// inputs are missing, is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Judgement {
    /// The reward, when its inputs are there and it is finite.
    pub reward: Option<f64>,
    /// Every goal is met.
    pub goals_met: Option<bool>,
    /// No tag lies in a red or yellow zone.
    pub zones_clear: Option<bool>,
    /// What has decided the reward.
    pub because: Because,
}

/// How the reward comes about.
#[derive(Clone, Debug)]
pub(super) struct RewardRule {
    base: Base,
    zones: Vec<Zone>,
}

#[derive(Clone, Debug)]
enum Base {
    Expression(Box<Program>),
    Priorities { goals: Vec<Goal>, optimise: Vec<Objective> },
}

impl RewardRule {
    pub(super) fn of(site: &Site) -> Self {
        let base = match &site.reward {
            Reward::Expression(program) => Base::Expression(Box::new(*program)),
            Reward::Priorities { goals, optimise } => {
                Base::Priorities { goals: goals.clone(), optimise: optimise.clone() }
            }
        };
        let zones = site.tags.iter().enumerate().filter_map(|(index, tag)| Zone::of(index, tag));
        Self { base, zones: zones.collect() }
    }

    /// Judges an observation. `raw` is before and `values` after the range check.
    pub(super) fn judge(&self, raw: &Values, values: &Values) -> Judgement {
        let (base, met) = match &self.base {
            Base::Expression(program) => (program.eval_with(|tag| value_of(values, tag)), None),
            Base::Priorities { goals, optimise } => prioritised(goals, optimise, values),
        };
        let depths = self.depths(raw);
        let [yellow, red] = [depths.yellow, depths.red].map(|deepest| deepest.depth);
        let reward = if red > 0.0 {
            // The excursion may be why the rest of the reward is missing: it has to be punished all the more.
            let red = RED_REWARD + RED_REWARD * red;
            Some(base.map_or(red, |base| if base < red { base } else { red }))
        } else {
            base.map(|base| base - YELLOW_COST * yellow * yellow)
        };
        Judgement {
            reward: reward.filter(|reward| reward.is_finite()),
            goals_met: met.map(|met| matches!(met, Met::All)),
            zones_clear: depths.seen.then_some(red <= 0.0 && yellow <= 0.0),
            because: Because {
                goal: met.and_then(|met| match met {
                    Met::All => None,
                    Met::UpTo(before) => u16::try_from(before + 1).ok().and_then(NonZeroU16::new),
                }),
                zone: depths.red.in_zone(true).or_else(|| depths.yellow.in_zone(false)),
            },
        }
    }

    fn depths(&self, raw: &Values) -> Depths {
        let readings = self.zones.iter().filter_map(|zone| Some((zone, raw.get(zone.index).copied()??)));
        readings.fold(Depths::default(), |deepest, (zone, x)| Depths {
            red: deepest.red.or_deeper(zone.index, zone.red_depth(x)),
            yellow: deepest.yellow.or_deeper(zone.index, zone.yellow_depth(x)),
            seen: true,
        })
    }
}

/// How deep the tags lie in their zones, at most; and whether there was one to look at.
#[derive(Default)]
struct Depths {
    red: Deepest,
    yellow: Deepest,
    seen: bool,
}

/// The tag that lies deepest in a kind of zone.
#[derive(Clone, Copy, Default)]
struct Deepest {
    /// Meaningless where the depth is 0.
    index: usize,
    depth: f64,
}

impl Deepest {
    fn or_deeper(self, index: usize, depth: f64) -> Self {
        if depth > self.depth { Self { index, depth } } else { self }
    }

    fn in_zone(self, is_red: bool) -> Option<InZone> {
        let Self { index, depth } = self;
        if depth > 0.0 { Some(InZone { tag: TagId::new(index)?, is_red, depth }) } else { None }
    }
}

/// How far the goals are met.
#[derive(Clone, Copy)]
enum Met {
    All,
    /// So many of the first ones, and not the next.
    UpTo(usize),
}

/// The reward without zones, and how far the goals are met.
fn prioritised(goals: &[Goal], optimise: &[Objective], values: &Values) -> (Option<f64>, Option<Met>) {
    let step = (GOALS_MET - WORST) / goals.len().max(1) as f64;
    for (index, goal) in goals.iter().enumerate() {
        match violation(goal, values) {
            None => return (None, None),
            Some(violation) if violation > 0.0 => {
                return (Some(WORST + (index as f64 + 1.0 - violation) * step), Some(Met::UpTo(index)));
            }
            Some(_) => {}
        }
    }
    (optimised(optimise, values), (!goals.is_empty()).then_some(Met::All))
}

/// The reward with all goals met.
fn optimised(optimise: &[Objective], values: &Values) -> Option<f64> {
    let (mut lost, mut weights) = (0.0, 0.0);
    for objective in optimise {
        let Objective { tag, range, minimise, weight } = objective;
        let x = value_of(values, *tag)?;
        let away = if *minimise { x - range.lo } else { range.hi - x };
        lost += weight * clip(away / (range.hi - range.lo), 0.0, 1.0);
        weights += weight;
    }
    Some(if weights > 0.0 { GOALS_MET * (lost / weights) } else { 0.0 })
}

/// How far the goal is from being met: 0 when it is, 1 at the far end of the tag's range.
fn violation(goal: &Goal, values: &Values) -> Option<f64> {
    match goal {
        Goal::UpTo { tag, threshold, range } => {
            let (x, threshold) = (value_of(values, *tag)?, threshold.eval_with(|tag| value_of(values, tag))?);
            Some(share(threshold - x, threshold - range.lo))
        }
        Goal::DownTo { tag, threshold, range } => {
            let (x, threshold) = (value_of(values, *tag)?, threshold.eval_with(|tag| value_of(values, tag))?);
            Some(share(x - threshold, range.hi - threshold))
        }
        Goal::All(goals) => of_each(goals, values, 0.0, |one, other| if one > other { one } else { other }),
        Goal::Any(goals) => of_each(goals, values, 1.0, |one, other| if one < other { one } else { other }),
    }
}

fn of_each(goals: &[Goal], values: &Values, start: f64, pick: fn(f64, f64) -> f64) -> Option<f64> {
    goals.iter().try_fold(start, |so_far, goal| Some(pick(so_far, violation(goal, values)?)))
}

/// `excess / room` in [0, 1]; all of it when a threshold at the end of the range leaves no room.
fn share(excess: f64, room: f64) -> f64 {
    if excess <= 0.0 {
        0.0
    } else if room > excess {
        excess / room
    } else {
        1.0
    }
}

/// The zones of one tag, judged on what was read, even where it counts as missing for everything else. In red the
/// reward is `-4 - 4p` (or the reward itself, should that be less), in yellow it is lowered by `2p^2`, p being the
/// depth into the zone from 0 to 1. Of several tags the deepest decides; red goes before yellow.
#[derive(Clone, Copy, Debug)]
struct Zone {
    /// The tag's place in the site's list.
    index: usize,
    yellow: Option<Range>,
    red: Option<Range>,
    operating: Option<Range>,
}

impl Zone {
    fn of(index: usize, tag: &Tag) -> Option<Self> {
        let zoned = tag.yellow_bounds.is_some() || tag.red_bounds.is_some();
        let (yellow, red) = (tag.yellow_bounds, tag.red_bounds);
        zoned.then_some(Self { index, yellow, red, operating: tag.operating_range })
    }

    fn red_depth(&self, x: f64) -> f64 {
        self.red.map_or(0.0, |red| depth(x, red, self.operating))
    }

    fn yellow_depth(&self, x: f64) -> f64 {
        self.yellow.map_or(0.0, |yellow| depth(x, yellow, self.red.or(self.operating)))
    }
}

/// How deep `x` lies beyond the inner range: 0 inside it, 1 at the outer range and beyond. Without room to an outer
/// range the inner one's width is the measure.
fn depth(x: f64, inner: Range, outer: Option<Range>) -> f64 {
    let (beyond, room) = if x < inner.lo {
        (inner.lo - x, outer.map_or(0.0, |outer| inner.lo - outer.lo))
    } else if x > inner.hi {
        (x - inner.hi, outer.map_or(0.0, |outer| outer.hi - inner.hi))
    } else {
        return 0.0;
    };
    share(beyond, if room > 0.0 { room } else { inner.hi - inner.lo })
}
