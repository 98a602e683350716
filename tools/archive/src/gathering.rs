//! Buckets from points that come a page at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::block::Point;
use crate::rollup::{Bucket, Holder, Rolling, Told, Width};
use crate::rows::TrackKind;
use crate::timeline::Timeline;

/// What a track was like in stretches of one width, told by its points in the order of their cycles. It holds as many buckets as
/// there are, and no points.
#[derive(Debug)]
pub struct Gathering {
    kind: TrackKind,
    timeline: Timeline,
    /// The cycles from which on nothing is known, as far as they were not come to.
    losses: std::iter::Peekable<std::vec::IntoIter<u64>>,
    width_ns: u64,
    holder: Holder,
    buckets: BTreeMap<u64, Bucket>,
}

impl Gathering {
    /// Begins with nothing. `losses` are the cycles from which on nothing is known until the next point.
    pub fn new(kind: TrackKind, timeline: Timeline, mut losses: Vec<u64>, width: Duration) -> Self {
        losses.sort_unstable();
        let width_ns = u64::try_from(width.as_nanos()).unwrap_or(u64::MAX).max(1);
        let losses = losses.into_iter().peekable();
        Self { kind, timeline, losses, width_ns, holder: Holder::new(kind), buckets: BTreeMap::new() }
    }

    /// Takes in what was kept of buckets that make up these.
    pub fn add(&mut self, kept: &[Bucket]) {
        kept.iter().for_each(|part| put(&mut self.buckets, self.width_ns, part));
    }

    /// Goes on where a track was rolled to minutes or hours, which are added before: with what is not over of them, and what is
    /// held. `losses` lie behind that.
    pub fn go_on(&mut self, rolling: &Rolling, width: Width) {
        self.holder = rolling.holder();
        rolling.open(width).for_each(|part| put(&mut self.buckets, self.width_ns, part));
    }

    /// Takes the next points.
    pub fn take(&mut self, points: &[Point]) {
        let Some(last) = points.last() else { return };
        let losses: Vec<u64> = std::iter::from_fn(|| self.losses.next_if(|loss| *loss <= last.cycle)).collect();
        let Self { timeline, width_ns, holder, buckets, .. } = self;
        holder.take(timeline, points, &losses, *width_ns, &mut |told| hear(buckets, *width_ns, &told));
    }

    /// What was held is not held any more: the next points do not follow on these.
    pub fn interrupt(&mut self) {
        self.holder = Holder::new(self.kind);
    }

    /// All buckets, in their order; what is held is held up to the run's newest cycle and no further.
    pub fn finish(mut self, newest: Option<u64>) -> Vec<Bucket> {
        let Some(newest) = newest else { return self.buckets.into_values().collect() };
        let losses: Vec<u64> = self.losses.by_ref().take_while(|loss| *loss <= newest).collect();
        let Self { timeline, width_ns, holder, buckets, .. } = &mut self;
        let mut tell = |told| hear(buckets, *width_ns, &told);
        holder.take(timeline, &[], &losses, *width_ns, &mut tell);
        if let Some(moment) = timeline.moment(newest) {
            holder.pass(timeline, moment, *width_ns, &mut tell);
        }
        self.buckets.into_values().collect()
    }
}

fn hear(buckets: &mut BTreeMap<u64, Bucket>, width_ns: u64, told: &Told) {
    if let Told::Piece(piece) = told {
        put(buckets, width_ns, piece);
    }
}

fn put(buckets: &mut BTreeMap<u64, Bucket>, width_ns: u64, part: &Bucket) {
    let begin = part.unix_ns - part.unix_ns % width_ns;
    buckets.entry(begin).or_insert(Bucket::empty(begin)).add(part);
}
