//! What may go wrong in a scenario, and when: drawn from the seed.

use rt_config::Site;
use rt_core::changes::{ChangeSet, SetpointTuning};
use rt_core::envelope::{Limits, LimitsByMode};
use rt_core::ports::Command;
use rt_core::setpoint::Rate;
use rt_core::time::Span;

use super::dice::Dice;
use super::learner::Offer;
use super::mood::Mood;
use super::place::OBSERVE_EVERY;
use super::server::{Fate, Malady};
use super::world::Circumstances;

/// The fewest and the most faults of a scenario.
pub(crate) const FAULTS: (u64, u64) = (5, 50);
/// The longest fault, in observations.
const OBSERVATIONS_MAX: u64 = 60;
/// A wall clock steps by an hour: in ticks of 100 ns.
const HOUR_TICKS: i64 = 3600 * 10_000_000;

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// F34: the server is gone.
    ServerGone,
    /// F37: every call takes so long.
    Slow(Span),
    /// F37: reads are not answered.
    Deaf,
    /// F36, F48: writes come to nothing, or nobody knows.
    Writes(Fate),
    /// F33: the plant confirms what it does not do.
    Stuck { setpoint: usize },
    /// F52, F60 to F62, F64, F65: a sensor.
    Sensor { input: usize, malady: Malady },
    /// F64: answers come twice.
    Repeated,
    /// F66: a wall clock steps.
    WallClock(i64),
    /// F30: a person moves a setpoint, before our write or after it.
    Hand { setpoint: usize, value: f64, at_once: bool },
    /// F69: every so many cycles one is late by so much.
    Overruns { every: u64, by: Span },
    /// F68: the whole process stands still.
    Pause(Span),
    /// F27: a look at the clock takes so long, and so does a decision.
    SlowDecisions(Span),
    /// F22, F23, F26: the policy.
    Policy(Mood),
    /// F01, F19: the learner dies; when the fault ends there is another one.
    LearnerKilled,
    /// F02, F13: the learner stands still; when it goes on there is another one.
    LearnerStopped,
    /// F11: the learner lives and does not get on.
    LearnerIdle,
    /// F03, F05 to F10, F12: what it publishes.
    Published(Offer),
    /// F25: other limits.
    Limits { number: u64 },
    /// An operator.
    Said(Command),
    /// F86: the lease is with somebody else.
    LeaseLost,
    /// F88: power loss; the runtime is started again, and finds its policy file like this.
    PowerLoss { down: Span, disk: Disk },
}

/// What is left of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    /// All of it.
    Whole,
    /// Nothing.
    Missing,
    /// So many thousandths.
    Cut { thousandths: usize },
    /// A bit at this thousandth is another one.
    Flipped { thousandths: usize },
}

/// A fault and the slots in which it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Strike {
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) fault: Fault,
}

/// The faults of one scenario, in the order of their beginning.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    strikes: Vec<Strike>,
    next: usize,
    /// Those that hold at present.
    active: Vec<Strike>,
}

impl Plan {
    /// The plan of this seed for so many slots of this site.
    pub(crate) fn draw(seed: u64, slots: u64, site: &Site) -> Self {
        let mut dice = Dice::new(seed, "plan");
        let count = FAULTS.0 + dice.below(FAULTS.1 - FAULTS.0 + 1);
        let mut strikes: Vec<_> = (1..=count).map(|number| strike(number, slots, site, &mut dice)).collect();
        strikes.sort_by_key(|strike| (strike.from, strike.until));
        Self { strikes, next: 0, active: Vec::new() }
    }

    /// How many faults it has.
    pub(crate) fn len(&self) -> usize {
        self.strikes.len()
    }

    /// What begins in the slots up to this one; what is over is forgotten.
    pub(crate) fn advance(&mut self, slot: u64) -> Vec<Strike> {
        self.active.retain(|strike| strike.until > slot);
        let begins: Vec<_> =
            self.strikes[self.next..].iter().take_while(|strike| strike.from <= slot).copied().collect();
        self.next += begins.len();
        self.active.extend(begins.iter().filter(|strike| strike.until > slot));
        begins
    }

    /// No fault holds any more, and none will.
    pub(crate) fn end(&mut self) {
        self.active.clear();
        self.next = self.strikes.len();
    }

    /// Whether such a fault holds.
    pub(crate) fn holds(&self, such: impl Fn(&Fault) -> bool) -> bool {
        self.active.iter().any(|strike| such(&strike.fault))
    }

    /// What holds in this slot, apart from what is said and published.
    pub(crate) fn circumstances(&self, slot: u64) -> Circumstances {
        let mut now = Circumstances::default();
        for strike in &self.active {
            let weather = &mut now.weather;
            match strike.fault {
                Fault::ServerGone => weather.gone = true,
                Fault::Slow(by) => weather.slow = by,
                Fault::Deaf => weather.deaf = true,
                Fault::Writes(fate) => weather.writes = fate,
                Fault::Stuck { setpoint } => weather.stuck |= 1 << setpoint,
                Fault::Sensor { input, malady } => weather.sensors.push((input, malady)),
                Fault::Repeated => weather.repeated = true,
                Fault::WallClock(ticks) => weather.wall_clock_step += ticks,
                Fault::Overruns { every, by } if (slot - strike.from).is_multiple_of(every) => now.late = by,
                Fault::SlowDecisions(pace) => now.pace = pace,
                _ => {}
            }
        }
        now
    }

    /// How the policy is.
    pub(crate) fn mood(&self) -> Mood {
        let mood = |strike: &Strike| if let Fault::Policy(mood) = strike.fault { Some(mood) } else { None };
        self.active.iter().find_map(mood).unwrap_or_default()
    }
}

fn strike(number: u64, slots: u64, site: &Site, dice: &mut Dice) -> Strike {
    // The first observations are left to the start.
    let from = 5 * OBSERVE_EVERY + dice.below(slots.saturating_sub(5 * OBSERVE_EVERY).max(1));
    // As many short ones as long ones.
    let longest = dice.pick(&[2, OBSERVE_EVERY, 5 * OBSERVE_EVERY, OBSERVATIONS_MAX * OBSERVE_EVERY]);
    let until = (from + 1 + dice.below(longest)).min(slots);
    Strike { from, until, fault: fault(number, site, dice) }
}

fn fault(number: u64, site: &Site, dice: &mut Dice) -> Fault {
    let period = site.runtime.period.span();
    let some_periods = |dice: &mut Dice, most: u64| Span::from_ns(1 + dice.below(most * period.as_ns()));
    let setpoint = dice.index(site.setpoints.len());
    match dice.below(28) {
        0 => Fault::ServerGone,
        1 => Fault::Slow(some_periods(dice, 3)),
        2 => Fault::Deaf,
        3 => Fault::Writes(dice.pick(&[Fate::Refused, Fate::Unconfirmed, Fate::Lost, Fate::NotSent])),
        4 => Fault::Stuck { setpoint },
        5..=7 => Fault::Sensor { input: dice.index(site.tags.len()), malady: malady(dice) },
        8 => Fault::Repeated,
        9 => Fault::WallClock(dice.pick(&[HOUR_TICKS, -HOUR_TICKS])),
        10..=11 => {
            let range = site.setpoints[setpoint].scale;
            let (width, at_once) = (range.hi - range.lo, dice.one_in(2));
            Fault::Hand { setpoint, value: dice.between(range.lo - width / 4.0, range.hi + width / 4.0), at_once }
        }
        12 => Fault::Overruns { every: dice.pick(&[1, 2, 7, 30]), by: some_periods(dice, 4) },
        13 => Fault::Pause(some_periods(dice, 600)),
        14 => Fault::SlowDecisions(some_periods(dice, 1)),
        15 => Fault::Policy(dice.pick(&[Mood::NotFinite, Mood::OutOfBounds, Mood::Restless, Mood::Blind])),
        16 => Fault::LearnerKilled,
        17 => Fault::LearnerStopped,
        18..=19 => Fault::Published(dice.pick(&Offer::UNSOUND)),
        24..=25 => Fault::Published(dice.pick(&Offer::WRONG)),
        26 => Fault::LearnerIdle,
        20 => Fault::Limits { number },
        21 => Fault::Said(dice.pick(&[Command::Disarm, Command::Release, Command::Hold, Command::Reset])),
        22 => Fault::LeaseLost,
        _ => Fault::PowerLoss { down: some_periods(dice, 100), disk: disk(dice) },
    }
}

fn malady(dice: &mut Dice) -> Malady {
    dice.pick(&[Malady::NotANumber, Malady::Bad, Malady::Uncertain, Malady::Frozen, Malady::Reordered, Malady::Wild])
}

fn disk(dice: &mut Dice) -> Disk {
    let thousandths = dice.index(1_000);
    dice.pick(&[Disk::Whole, Disk::Missing, Disk::Cut { thousandths }, Disk::Flipped { thousandths }])
}

impl Disk {
    /// What is read of these bytes.
    pub(crate) fn read(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let place = |thousandths: usize| bytes.len() * thousandths / 1_000;
        match self {
            Self::Whole => Some(bytes.to_vec()),
            Self::Missing => None,
            Self::Cut { thousandths } => Some(bytes[..place(thousandths)].to_vec()),
            Self::Flipped { thousandths } => {
                let mut bytes = bytes.to_vec();
                bytes[place(thousandths)] ^= 1 << (thousandths % 8);
                Some(bytes)
            }
        }
    }
}

/// Limits that are narrower than the site's at one end or both, and slower or faster.
pub(crate) fn draw_limits(site: &Site, number: u64, dice: &mut Dice) -> Box<ChangeSet> {
    let tunings: Vec<_> = site
        .setpoints
        .iter()
        .map(|setpoint| {
            let Limits { lo, hi, rate } = setpoint.settings.limits.run;
            let width = hi - lo;
            let (lo, hi) = (lo + width * dice.between(0.0, 0.6), hi - width * dice.between(0.0, 0.35));
            let rate = match rate {
                Rate::PerSecond(per_second) => Rate::PerSecond(per_second * dice.between(0.3, 2.0)),
                Rate::Unlimited => rate,
            };
            SetpointTuning { limits: LimitsByMode::same(Limits { lo, hi, rate }), nominal: setpoint.nominal }
        })
        .collect();
    let tags: Vec<_> = site.tags.iter().map(|tag| tag.settings).collect();
    Box::new(ChangeSet::new(number, &tunings, &tags).expect("narrower limits are limits"))
}
