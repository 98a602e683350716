//! Points of one track in a few bytes each.
//!
//! A block has its columns one after another, each in the form in which it repeats itself most: cycles as differences of
//! differences, states as runs, ages as differences, values as what their bits differ from the value before, the highest bytes of
//! all of them first. What sources say of the time comes last, as what it differs from a line over the cycles, again the highest
//! bytes first; it is left out where none says anything. Then they are sealed as `codec` has it. Every bit comes back.
//!
//! ```text
//! count, cycles, states, ages, values, times of the sources
//! ```

use serde::{Deserialize, Serialize};

use crate::TrackId;
use crate::codec::Damaged;
use crate::codec::{
    put, put_planes, put_signed, put_values, seal, take, take_planes, take_signed, take_values, unseal, unzigzag,
    zigzag,
};

/// One value of a track.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The cycle in which it was so, counted by its run.
    pub cycle: u64,
    /// The value, in engineering units; NaN for none.
    pub value: f64,
    /// What is to be known beside it, as its track defines it: a quality, the limits that acted.
    pub state: u32,
    /// How old the value was in that cycle, microseconds, saturating.
    pub age_us: u32,
    /// When it was so by its source's own clock, microseconds since 1970; 0 when the source says nothing of it.
    pub source_us: u64,
}

impl Point {
    /// A value without any time but its cycle's: it was never received.
    pub const fn new(cycle: u64, value: f64, state: u32) -> Self {
        Self { cycle, value, state, age_us: 0, source_us: 0 }
    }

    /// When it was so by its source's own clock, microseconds since 1970, if the source says so.
    pub fn source(&self) -> Option<u64> {
        Some(self.source_us).filter(|source_us| *source_us > 0)
    }
}

/// More in one block are not believed.
const POINTS_MAX: usize = 1 << 20;

/// Points of rising cycles as a block.
pub fn pack(points: &[Point]) -> Vec<u8> {
    let mut columns = Vec::with_capacity(points.len() * 12);
    put_points(&mut columns, points);
    put_sources(&mut columns, points);
    seal(&columns)
}

/// The points of a block.
///
/// # Errors
/// It is [`Damaged`].
pub fn unpack(block: &[u8]) -> Result<Vec<Point>, Damaged> {
    let columns = unseal(block)?;
    let mut rest = &columns[..];
    take_all(&mut rest).filter(|_| rest.is_empty()).ok_or(Damaged)
}

/// Points of several tracks as one block; they come back track by track, those of each in their order.
pub(crate) fn pack_many(points: &[(TrackId, Point)]) -> Vec<u8> {
    let mut sorted = points.to_vec();
    sorted.sort_by_key(|(track, _)| *track);
    let mut columns = Vec::with_capacity(points.len() * 14);
    let runs = sorted.chunk_by(|(a, _), (b, _)| a == b);
    put(&mut columns, runs.clone().count() as u64);
    for run in runs {
        put(&mut columns, run.first().map_or(0, |(track, _)| track.0.cast_unsigned()));
        put(&mut columns, run.len() as u64);
    }
    // In one table of columns: what many tracks have in one cycle is alike.
    let points: Vec<Point> = sorted.iter().map(|(_, point)| *point).collect();
    put_points(&mut columns, &points);
    put_sources(&mut columns, &points);
    seal(&columns)
}

/// The points of such a block.
///
/// # Errors
/// It is [`Damaged`].
pub(crate) fn unpack_many(block: &[u8]) -> Result<Vec<(TrackId, Point)>, Damaged> {
    let columns = unseal(block)?;
    let mut rest = &columns[..];
    take_many(&mut rest).filter(|_| rest.is_empty()).ok_or(Damaged)
}

fn take_many(from: &mut &[u8]) -> Option<Vec<(TrackId, Point)>> {
    let mut tracks = Vec::new();
    for _ in 0..take(from)? {
        let track = TrackId(take(from)?.cast_signed());
        let count = usize::try_from(take(from)?).ok()?;
        if count > POINTS_MAX - tracks.len() {
            return None;
        }
        tracks.extend(std::iter::repeat_n(track, count));
    }
    let points = take_all(from).filter(|points| points.len() == tracks.len())?;
    Some(tracks.into_iter().zip(points).collect())
}

/// Points with all that is in a block.
fn take_all(from: &mut &[u8]) -> Option<Vec<Point>> {
    let mut points = take_points(from)?;
    if !from.is_empty() {
        take_sources(from, &mut points)?;
    }
    Some(points)
}

/// All of them but what their sources say.
pub(crate) fn put_points(columns: &mut Vec<u8>, points: &[Point]) {
    put(columns, points.len() as u64);
    put_steps(columns, points.iter().map(|point| point.cycle));
    put_states(columns, points);
    put_ages(columns, points);
    put_values(columns, points.iter().map(|point| point.value));
}

pub(crate) fn take_points(from: &mut &[u8]) -> Option<Vec<Point>> {
    let count = usize::try_from(take(from)?).ok().filter(|count| *count <= POINTS_MAX)?;
    let mut points = vec![Point::new(0, 0.0, 0); count];
    take_steps(from, points.iter_mut().map(|point| &mut point.cycle))?;
    take_states(from, &mut points)?;
    take_ages(from, &mut points)?;
    let values = take_values(from, count)?;
    points.iter_mut().zip(values).for_each(|(point, value)| point.value = value);
    Some(points)
}

/// Numbers at equal distances are zeros.
fn put_steps(to: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    let (mut before, mut step) = (0_u64, 0_u64);
    for number in numbers {
        let next = number.wrapping_sub(before);
        put_signed(to, next.wrapping_sub(step));
        (before, step) = (number, next);
    }
}

fn take_steps<'a>(from: &mut &[u8], numbers: impl Iterator<Item = &'a mut u64>) -> Option<()> {
    let (mut before, mut step) = (0_u64, 0_u64);
    for number in numbers {
        step = step.wrapping_add(take_signed(from)?);
        before = before.wrapping_add(step);
        *number = before;
    }
    Some(())
}

/// A state, and how many points have it.
fn put_states(to: &mut Vec<u8>, points: &[Point]) {
    for run in points.chunk_by(|a, b| a.state == b.state) {
        put(to, run.first().map_or(0, |point| point.state).into());
        put(to, run.len() as u64);
    }
}

fn take_states(from: &mut &[u8], points: &mut [Point]) -> Option<()> {
    let mut rest = points;
    while !rest.is_empty() {
        let state = take(from)?.try_into().ok()?;
        let count = usize::try_from(take(from)?).ok().filter(|count| *count > 0)?;
        let (run, behind) = rest.split_at_mut_checked(count)?;
        run.iter_mut().for_each(|point| point.state = state);
        rest = behind;
    }
    Some(())
}

fn put_ages(to: &mut Vec<u8>, points: &[Point]) {
    let mut before = 0_u64;
    for age in points.iter().map(|point| u64::from(point.age_us)) {
        put_signed(to, age.wrapping_sub(before));
        before = age;
    }
}

fn take_ages(from: &mut &[u8], points: &mut [Point]) -> Option<()> {
    let mut before = 0_u64;
    for point in points {
        before = before.wrapping_add(take_signed(from)?);
        point.age_us = before.try_into().ok()?;
    }
    Some(())
}

/// Runs of points with a time and of such without, in turns, with one first; the line; and what the times differ from it.
fn put_sources(to: &mut Vec<u8>, points: &[Point]) {
    let stamped = points.iter().filter(|point| point.source_us != 0);
    let Some(line) = Line::of(stamped.clone()) else { return };
    let mut is_with = true;
    for run in points.chunk_by(|a, b| (a.source_us == 0) == (b.source_us == 0)) {
        if is_with == run.iter().any(|point| point.source_us == 0) {
            put(to, 0);
            is_with = !is_with;
        }
        put(to, run.len() as u64);
        is_with = !is_with;
    }
    let Line { cycle, cycles, from_us, rise_us } = line;
    [cycle, cycles, from_us, rise_us.cast_unsigned()].into_iter().for_each(|number| put(to, number));
    let differences: Vec<u64> = stamped.map(|of| zigzag(of.source_us.wrapping_sub(line.at(of.cycle)))).collect();
    put_planes(to, differences.iter().copied());
}

fn take_sources(from: &mut &[u8], points: &mut [Point]) -> Option<()> {
    let mut stamped = Vec::new();
    let (mut rest, mut is_with) = (points, true);
    while !rest.is_empty() {
        let (run, behind) = rest.split_at_mut_checked(usize::try_from(take(from)?).ok()?)?;
        stamped.extend(run.iter_mut().filter(|_| is_with));
        (rest, is_with) = (behind, !is_with);
    }
    let (cycle, cycles, from_us) = (take(from)?, take(from)?, take(from)?);
    let line = Line { cycle, cycles, from_us, rise_us: take(from)?.cast_signed() };
    let differences = take_planes(from, stamped.len())?;
    for (point, difference) in stamped.into_iter().zip(differences) {
        point.source_us = line.at(point.cycle).wrapping_add(unzigzag(difference));
    }
    Some(())
}

/// Where sources that give a time in each cycle have it.
#[derive(Clone, Copy)]
struct Line {
    cycle: u64,
    cycles: u64,
    from_us: u64,
    rise_us: i64,
}

impl Line {
    /// From the first to the last of points.
    fn of<'a>(points: impl Iterator<Item = &'a Point> + Clone) -> Option<Self> {
        let (first, last) = (points.clone().min_by_key(|point| point.cycle)?, points.max_by_key(|point| point.cycle)?);
        Some(Self {
            cycle: first.cycle,
            cycles: last.cycle - first.cycle,
            from_us: first.source_us,
            rise_us: last.source_us.wrapping_sub(first.source_us).cast_signed(),
        })
    }

    /// Whatever the numbers are it is the same for whoever puts and for whoever takes.
    fn at(&self, cycle: u64) -> u64 {
        let rise =
            i128::from(self.rise_us) * i128::from(cycle.wrapping_sub(self.cycle)) / i128::from(self.cycles.max(1));
        self.from_us.wrapping_add(rise as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Damaged;

    fn any_point() -> impl Strategy<Value = Point> {
        (any::<u64>(), any::<u64>(), any::<u32>(), any::<u32>(), prop_oneof![Just(0), any::<u64>()]).prop_map(
            |(cycle, bits, state, age_us, source_us)| Point {
                cycle,
                value: f64::from_bits(bits),
                state: state >> (age_us % 32),
                age_us,
                source_us,
            },
        )
    }

    fn bits(points: &[Point]) -> Vec<(u64, u64, u32, u32, u64)> {
        points.iter().map(|of| (of.cycle, of.value.to_bits(), of.state, of.age_us, of.source_us)).collect()
    }

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked_with_every_bit(points in prop::collection::vec(any_point(), 0..200)) {
            prop_assert_eq!(bits(&unpack(&pack(&points)).unwrap()), bits(&points));
        }

        #[test]
        fn points_of_many_tracks_come_back_track_by_track(
            points in prop::collection::vec((0i64..9, any_point()), 0..100)
        ) {
            let mut points: Vec<_> = points.into_iter().map(|(track, point)| (TrackId(track), point)).collect();
            let found = unpack_many(&pack_many(&points)).unwrap();
            points.sort_by_key(|(track, _)| *track);
            prop_assert_eq!(format!("{:?}", found), format!("{:?}", points));
        }

        #[test]
        fn every_bit_that_changes_and_every_end_that_is_missing_is_noticed(
            points in prop::collection::vec(any_point(), 1..20), at: prop::sample::Index, bit in 0u8..8,
        ) {
            let whole = pack(&points);
            let mut changed = whole.clone();
            changed[at.index(whole.len())] ^= 1 << bit;
            prop_assert_eq!(unpack(&changed), Err(Damaged));
            prop_assert_eq!(unpack(&whole[..at.index(whole.len())]), Err(Damaged));
        }

        #[test]
        fn a_block_that_somebody_made_up_is_no_panic(columns in prop::collection::vec(any::<u8>(), 0..64), length in 0u32..100) {
            let block = crate::codec::seal_as(&columns, length);
            let _ = (unpack(&block), unpack_many(&block));
        }
    }

    #[test]
    fn a_block_of_the_first_version_is_read_and_one_of_a_later_is_not() {
        let points = [Point { age_us: 5, ..Point::new(7, 1.5, 2) }, Point::new(8, 2.5, 0)];
        let as_version = |version| {
            let mut block = pack(&points);
            block[4] = version;
            let sum = crc32fast::hash(&block[4..]).to_le_bytes();
            block[..4].copy_from_slice(&sum);
            unpack(&block)
        };
        assert_eq!([1, 2].map(as_version), [Ok(points.to_vec()), Ok(points.to_vec())]);
        assert_eq!([0, 3].map(as_version), [Err(Damaged), Err(Damaged)]);
    }

    #[test]
    fn a_source_that_says_when_costs_little_more_than_a_byte_a_sample() {
        let points = |source_us: fn(u64) -> u64| -> Vec<Point> {
            (0..1000).map(|n| Point { source_us: source_us(n), ..Point::new(7 + n * 1000, 7.25, 0) }).collect()
        };
        let bytes = |source_us| pack(&points(source_us)).len() as f64 / 1000.0;
        let without = bytes(|_| 0);
        let late = bytes(|n| 1_700_000_000_000_000 + n * 1_000_000 + n * 7919 % 100);
        assert!(late - without < 1.2, "{late} and {without}");
    }

    #[test]
    fn a_slow_measurement_every_second_takes_less_than_five_bytes_a_sample_and_a_constant_almost_none() {
        let points = |value: fn(u64) -> f64| -> Vec<Point> {
            (0..1000).map(|n| Point { age_us: 900 + (n % 7) as u32, ..Point::new(7 + n * 1000, value(n), 0) }).collect()
        };
        // A transmitter of twelve bits.
        let measured = points(|n| (2048.0 + 300.0 * (n as f64 / 50.0).sin()).round() * 10.0 / 4096.0);
        let constant = points(|_| 7.25);
        let bytes = |points: &[Point]| pack(points).len() as f64 / points.len() as f64;
        assert!(bytes(&measured) < 5.0, "{}", bytes(&measured));
        assert!(bytes(&constant) < 1.5, "{}", bytes(&constant));
    }
}
