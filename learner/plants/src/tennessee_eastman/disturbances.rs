//! The twenty published disturbances: steps, random walks, and valves that stick.
//!
//! 1 to 7 are steps, 8 to 13 random variations, 14 and 15 valves that stick. What 16 to 20 do is said to be unknown, so
//! that nobody designs for it; the published program tells: 16, 17, 18 and 20 change the heat to the stripper, from the
//! reactor and from the condenser and the flow out of the reactor, at random; 19 makes four valves stick.

use serde::de::Error as _;

use super::conditions::Conditions;
use super::valves;
use crate::noise::Noise;

/// How many there are.
const COUNT: u8 = 20;
/// Every walk and every pulse begins to move after this time, h.
const STILL_H: f64 = 0.1;
/// A pulse ends this long after it has begun to fall, h.
const FALL_H: f64 = 0.1;
/// A pulse above this falls.
const HIGH: f64 = 0.1;

/// Process disturbances, by their published numbers, 1 to 20; in a case file a list: `[1, 13]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessDisturbances {
    bits: u32,
}

impl ProcessDisturbances {
    /// These.
    ///
    /// # Errors
    /// A number that no disturbance has.
    pub fn of(numbers: &[u8]) -> Result<Self, UnknownDisturbance> {
        let mut bits = 0;
        for &number in numbers {
            if !(1..=COUNT).contains(&number) {
                return Err(UnknownDisturbance { number });
            }
            bits |= 1 << number;
        }
        Ok(Self { bits })
    }

    /// Whether disturbance `number` is among them.
    #[must_use]
    pub fn has(self, number: u8) -> bool {
        self.bits >> number & 1 == 1
    }

    fn part(self, number: u8) -> f64 {
        f64::from(u8::from(self.has(number)))
    }
}

/// A disturbance that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no disturbance {number}: give numbers from 1 to {COUNT}")]
pub struct UnknownDisturbance {
    /// The number that was given.
    pub number: u8,
}

impl serde::Serialize for ProcessDisturbances {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((1..=COUNT).filter(|number| self.has(*number)))
    }
}

impl<'de> serde::Deserialize<'de> for ProcessDisturbances {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of(&Vec::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A cubic of the time since it began, h.
#[derive(Debug, Clone, Copy)]
struct Piece {
    from_h: f64,
    until_h: f64,
    terms: [f64; 4],
}

impl Piece {
    /// Stays at `value` until it is allowed to move.
    fn still(value: f64) -> Self {
        Self { from_h: 0.0, until_h: STILL_H, terms: [value, 0.0, 0.0, 0.0] }
    }

    /// From a value and slope to a value where it rests, in so many hours.
    fn to(from_h: f64, hours: f64, [value, slope]: [f64; 2], rest: f64) -> Self {
        let square = (3.0 * (rest - value) - 2.0 * hours * slope) / (hours * hours);
        let cube = (2.0 * (value - rest) + hours * slope) / (hours * hours * hours);
        Self { from_h, until_h: from_h + hours, terms: [value, slope, square, cube] }
    }

    fn at(&self, hour: f64) -> f64 {
        let h = hour - self.from_h;
        let [a, b, c, d] = self.terms;
        a + h * (b + h * (c + h * d))
    }

    fn end(&self) -> [f64; 2] {
        let h = self.until_h - self.from_h;
        let [_, b, c, d] = self.terms;
        [self.at(self.until_h), b + h * (2.0 * c + 3.0 * h * d)]
    }
}

/// How a quantity varies when its disturbance is on.
#[derive(Debug, Clone, Copy)]
enum Course {
    /// Smoothly, to values up to `spread` around its rest.
    Walk { rest: f64, spread: f64 },
    /// From 0 to 1 and back, again and again.
    Pulse,
}

/// Which disturbance makes what vary, and how.
struct Variation {
    /// Names its noise.
    name: &'static str,
    number: u8,
    course: Course,
    /// Mean and spread of the length of a piece, h.
    hours: [f64; 2],
}

const fn walk(name: &'static str, number: u8, rest: f64, spread: f64, hours: [f64; 2]) -> Variation {
    Variation { name, number, course: Course::Walk { rest, spread }, hours }
}

const fn pulse(name: &'static str, number: u8, hours: [f64; 2]) -> Variation {
    Variation { name, number, course: Course::Pulse, hours }
}

/// The quantities that vary, in their published order.
const VARIATIONS: [Variation; 12] = [
    walk("tennessee eastman A of the feed of A and C", 8, 0.485, 0.03, [0.5, 0.2]),
    walk("tennessee eastman B of the feed of A and C", 8, 0.005, 0.003, [1.0, 0.7]),
    walk("tennessee eastman temperature of the feed of D", 9, 45.0, 10.0, [0.5, 0.25]),
    walk("tennessee eastman temperature of the feed of A and C", 10, 45.0, 10.0, [1.0, 0.7]),
    walk("tennessee eastman water of the reactor", 11, 35.0, 10.0, [0.25, 0.15]),
    walk("tennessee eastman water of the condenser", 12, 40.0, 10.0, [0.25, 0.15]),
    walk("tennessee eastman kinetics of G", 13, 1.0, 0.25, [2.0, 1.0]),
    walk("tennessee eastman kinetics of H", 13, 1.0, 0.25, [2.0, 1.0]),
    walk("tennessee eastman surface of the stripper", 16, 0.0, 0.25, [0.5, 0.4]),
    pulse("tennessee eastman surface of the reactor", 17, [2.0, 1.5]),
    pulse("tennessee eastman surface of the condenser", 18, [3.0, 2.0]),
    pulse("tennessee eastman outlet of the reactor", 20, [2.0, 1.5]),
];

/// A quantity that varies.
#[derive(Debug, Clone)]
struct Varying {
    noise: Noise,
    piece: Piece,
}

impl Varying {
    fn new(seed: u64, variation: &Variation) -> Self {
        let rest = match variation.course {
            Course::Walk { rest, .. } => rest,
            Course::Pulse => 0.0,
        };
        Self { noise: Noise::new(seed, variation.name), piece: Piece::still(rest) }
    }

    /// Its value at an hour that is not before the last one.
    fn at(&mut self, hour: f64, variation: &Variation, active: ProcessDisturbances) -> f64 {
        while hour >= self.piece.until_h {
            self.piece = self.next(variation, active.part(variation.number));
        }
        self.piece.at(hour)
    }

    fn next(&mut self, variation: &Variation, is_on: f64) -> Piece {
        let [mean, spread] = variation.hours;
        let from_h = self.piece.until_h;
        let [value, slope] = self.piece.end();
        match variation.course {
            Course::Walk { rest, spread: height } => {
                let hours = mean + self.noise.between(-spread, spread);
                let goal = rest + is_on * self.noise.between(-height, height);
                Piece::to(from_h, hours, [value, slope], goal)
            }
            Course::Pulse if value > HIGH => Piece::to(from_h, FALL_H, [value, slope], 0.0),
            Course::Pulse => {
                let hours = mean + self.noise.between(-spread, spread);
                Piece { from_h, until_h: from_h + hours, terms: [0.0, 0.0, is_on / (hours * hours), 0.0] }
            }
        }
    }
}

/// The disturbances at work in a plant.
#[derive(Debug, Clone)]
pub(super) struct Disturbing {
    chosen: ProcessDisturbances,
    from_h: f64,
    varying: [Varying; VARIATIONS.len()],
}

impl Disturbing {
    /// The chosen ones, from this hour on.
    pub(super) fn new(seed: u64, chosen: ProcessDisturbances, from_h: f64) -> Self {
        Self { chosen, from_h, varying: VARIATIONS.each_ref().map(|variation| Varying::new(seed, variation)) }
    }

    /// The conditions at an hour that is not before the last one.
    pub(super) fn conditions(&mut self, hour: f64) -> Conditions {
        let active = if hour >= self.from_h { self.chosen } else { ProcessDisturbances::default() };
        let mut values = [0.0; VARIATIONS.len()];
        for ((value, varying), variation) in values.iter_mut().zip(&mut self.varying).zip(&VARIATIONS) {
            *value = varying.at(hour, variation, active);
        }
        let [a, b, d_feed_c, ac_feed_c, reactor_c, condenser_c, to_g, to_h, steam, reactor, condenser, outlet] = values;
        let a = a - 0.03 * active.part(1) - 2.437_19e-3 * active.part(2);
        let b = b + 0.005 * active.part(2);
        let mut stuck = [false; valves::COUNT];
        stuck[valves::REACTOR_WATER] = active.has(14);
        stuck[valves::CONDENSER_WATER] = active.has(15);
        for valve in [valves::RECYCLE, valves::SEPARATOR_LIQUID, valves::STRIPPER_LIQUID, valves::STEAM] {
            stuck[valve] = active.has(19);
        }
        Conditions {
            ac_feed: Conditions::ac_feed_of(a, b),
            d_feed_c: d_feed_c + 5.0 * active.part(3),
            ac_feed_c,
            reactor_water_c: reactor_c + 5.0 * active.part(4),
            condenser_water_c: condenser_c + 5.0 * active.part(5),
            a_supply: 1.0 - active.part(6),
            ac_supply: 1.0 - 0.2 * active.part(7),
            kinetics: [to_g, to_h],
            stripper_surface: 1.0 + steam,
            reactor_surface: 1.0 - 0.35 * reactor,
            condenser_surface: 1.0 - 0.25 * condenser,
            reactor_outlet: 1.0 - 0.25 * outlet,
            stuck,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The conditions of every minute of forty hours.
    fn conditions(numbers: &[u8], from_h: f64) -> Vec<Conditions> {
        let mut disturbing = Disturbing::new(5, ProcessDisturbances::of(numbers).unwrap(), from_h);
        (0..2_400).map(|minute| disturbing.conditions(f64::from(minute) / 60.0)).collect()
    }

    /// Every quantity that a disturbance may change, in a row.
    fn row(c: &Conditions) -> Vec<f64> {
        let mut row = c.ac_feed[..3].to_vec();
        row.extend([c.d_feed_c, c.ac_feed_c, c.reactor_water_c, c.condenser_water_c, c.a_supply, c.ac_supply]);
        row.extend(c.kinetics);
        row.extend([c.stripper_surface, c.reactor_surface, c.condenser_surface, c.reactor_outlet]);
        row.extend(c.stuck.map(|stuck| f64::from(u8::from(stuck))));
        row
    }

    #[test]
    fn undisturbed_the_base_conditions_hold() {
        let base = row(&Conditions::base());
        assert!(conditions(&[], 0.0).iter().all(|found| row(found) == base));
    }

    #[test]
    fn every_disturbance_changes_something_and_no_two_the_same() {
        let changed = |number| {
            let last = conditions(&[number], 0.0);
            let base = row(&Conditions::base());
            let differs = |i: usize| last.iter().any(|found| (row(found)[i] - base[i]).abs() > 1e-9);
            (0..base.len()).filter(|&i| differs(i)).collect::<Vec<_>>()
        };
        // Columns of `row`; the valves are the last twelve.
        let expected: [(u8, &[usize]); 20] = [
            (1, &[0, 2]),
            (2, &[0, 1, 2]),
            (3, &[3]),
            (4, &[5]),
            (5, &[6]),
            (6, &[7]),
            (7, &[8]),
            (8, &[0, 1, 2]),
            (9, &[3]),
            (10, &[4]),
            (11, &[5]),
            (12, &[6]),
            (13, &[9, 10]),
            (14, &[15 + 9]),
            (15, &[15 + 10]),
            (16, &[11]),
            (17, &[12]),
            (18, &[13]),
            (19, &[15 + 4, 15 + 6, 15 + 7, 15 + 8]),
            (20, &[14]),
        ];
        for (number, columns) in expected {
            assert_eq!(changed(number), columns, "{number}");
        }
    }

    #[test]
    fn a_disturbance_waits_for_its_hour() {
        let found = conditions(&[4], 8.0);
        assert_eq!((found[479].reactor_water_c, found[480].reactor_water_c), (35.0, 40.0));
    }

    #[test]
    fn the_published_steps_keep_what_they_are_said_to_keep() {
        let ratio = |c: &Conditions| c.ac_feed[0] / c.ac_feed[2];
        let (base, first, second) = (Conditions::base(), conditions(&[1], 0.0)[9], conditions(&[2], 0.0)[9]);
        assert!(first.ac_feed[1] == base.ac_feed[1] && ratio(&first) < ratio(&base));
        assert!((ratio(&second) - ratio(&base)).abs() < 1e-4 && second.ac_feed[1] == 0.01);
    }

    #[test]
    fn walks_are_smooth_and_stay_near_their_rest() {
        let found: Vec<f64> = conditions(&[11], 0.0).iter().map(|c| c.reactor_water_c).collect();
        let steepest = found.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f64::max);
        assert!(steepest > 0.1 && steepest < 6.0, "{steepest}");
        assert!(found.iter().all(|celsius| (24.9..45.1).contains(celsius)));
        let (lo, hi) = found.iter().fold((99.0, 0.0), |(lo, hi): (f64, f64), c| (lo.min(*c), hi.max(*c)));
        assert!(hi - lo > 14.0, "{lo} {hi}");
    }

    #[test]
    fn pulses_rise_to_their_whole_and_fall_to_nothing() {
        let found: Vec<f64> = conditions(&[17], 0.0).iter().map(|c| 1.0 - c.reactor_surface).collect();
        let hi = found.iter().fold(0.0_f64, |hi, value| hi.max(*value));
        assert!(hi > 0.3 && hi < 0.352, "{hi}");
        let falls = found.windows(2).filter(|pair| pair[0] >= 0.01 && pair[1] < 0.01).count();
        assert!((5..60).contains(&falls), "{falls}");
        assert!(found.iter().all(|value| *value > -1e-9));
    }

    #[test]
    fn numbers_are_a_list_in_a_case_file_and_unknown_ones_are_refused() {
        let read = serde_json::from_str::<ProcessDisturbances>;
        let some = read("[20, 1, 1]").unwrap();
        assert!(some.has(1) && some.has(20) && !some.has(2));
        assert_eq!(serde_json::to_string(&some).unwrap(), "[1,20]");
        for refused in ["[0]", "[21]"] {
            assert!(read(refused).unwrap_err().to_string().contains("from 1 to 20"), "{refused}");
        }
    }
}
