//! What a track was like in a minute, in an hour, or in any other stretch of time.
//!
//! A point holds until the next one of its track, as whoever keeps by exception means it; it holds no further than to a gap in
//! the run's cycles, and to the newest point of the run. The **mean** is that of the held values, each for as long as it was held;
//! times without a value count nothing. **Good** is the share of the time about which something is known in which a value was
//! there and, for a tag, its quality was good.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::block::{Point, put_points, take_points};
use crate::codec::{Damaged, put, put_signed, put_values, seal, take, take_signed, take_values, unseal};
use crate::rows::TrackKind;
use crate::timeline::{Moment, Timeline};

/// What a track was like from one instant on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// When it begins, nanoseconds since 1970: a multiple of its width.
    pub unix_ns: u64,
    /// Points that were kept in it.
    pub count: u64,
    /// For how long something is known.
    pub known_ns: u64,
    /// For how long there was a value.
    pub valued_ns: u64,
    /// For how long there was one that was good.
    pub good_ns: u64,
    /// The time-weighted mean; NaN when no value was held.
    pub mean: f64,
    /// The least value that was held.
    pub min: f64,
    /// The greatest one.
    pub max: f64,
    /// What was held last; NaN for no value.
    pub last: f64,
}

impl Bucket {
    pub(crate) const fn empty(unix_ns: u64) -> Self {
        let none = f64::NAN;
        Self { unix_ns, count: 0, known_ns: 0, valued_ns: 0, good_ns: 0, mean: none, min: none, max: none, last: none }
    }

    /// The share of the time about which something is known in which it was good; `None` when nothing is known.
    pub fn good(&self) -> Option<f64> {
        (self.known_ns > 0).then(|| self.good_ns as f64 / self.known_ns as f64)
    }

    /// Takes in what comes behind it.
    pub(crate) fn add(&mut self, later: &Self) {
        self.count += later.count;
        self.known_ns += later.known_ns;
        self.good_ns += later.good_ns;
        if later.valued_ns > 0 {
            let before = if self.valued_ns == 0 { later.mean } else { self.mean };
            self.valued_ns += later.valued_ns;
            // A constant's mean is the constant.
            self.mean = before + (later.mean - before) * (later.valued_ns as f64 / self.valued_ns as f64);
        }
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.last = later.last;
    }
}

/// The buckets of this width that others make up, which begin in the order in which they were.
pub(crate) fn gather(parts: &[Bucket], width_ns: u64) -> Vec<Bucket> {
    let mut parts: Vec<_> = parts.iter().map(|part| (part.unix_ns - part.unix_ns % width_ns, part)).collect();
    parts.sort_by_key(|(begin, _)| *begin);
    let bucket = |parts: &[(u64, &Bucket)]| {
        let mut whole = Bucket::empty(parts.first().map_or(0, |(begin, _)| *begin));
        parts.iter().for_each(|(_, part)| whole.add(part));
        whole
    };
    parts.chunk_by(|(a, _), (b, _)| a == b).map(bucket).collect()
}

/// More in one row are not believed.
const BUCKETS_MAX: usize = 1 << 14;
/// A clock that is set back again and again brings so many parts of the same buckets before they are put together.
pub(crate) const PARTS_MAX: usize = BUCKETS_MAX / 2;

/// A width of buckets that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Width {
    /// 60 s.
    Minute,
    /// 3600 s.
    Hour,
}

impl Width {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Minute, Self::Hour];
    /// Buckets that are kept together: a day of minutes, sixty days of hours.
    const TOGETHER: u64 = 1440;

    /// How long a bucket is.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.seconds())
    }

    /// As the archive calls buckets of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minutes",
            Self::Hour => "hours",
        }
    }

    pub(crate) const fn seconds(self) -> u64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }

    /// The same in nanoseconds.
    pub const fn ns(self) -> u64 {
        self.seconds() * 1_000_000_000
    }

    /// The longest ones that buckets of this width are made up of; `None` where they have to be reckoned from points.
    pub fn within(width_ns: u64) -> Option<Self> {
        Self::ALL.into_iter().rfind(|kept| width_ns.is_multiple_of(kept.ns()))
    }

    /// How long those last that are kept together.
    pub(crate) const fn span_ns(self) -> u64 {
        self.ns() * Self::TOGETHER
    }
}

/// What a point means.
fn piece(kind: TrackKind, point: &Point, unix_ns: u64, count: u64, known_ns: u64) -> Bucket {
    let Point { value, state, .. } = *point;
    let has_value = !value.is_nan();
    let is_good = has_value && (kind != TrackKind::Tag || state == 0);
    let valued_ns = if has_value { known_ns } else { 0 };
    let good_ns = if is_good { known_ns } else { 0 };
    Bucket { unix_ns, count, known_ns, valued_ns, good_ns, mean: value, min: value, max: value, last: value }
}

/// A point that is held until the next one, and from where on that is not accounted for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Holder {
    kind: TrackKind,
    at: Moment,
    held: Option<Point>,
}

/// What a holder tells.
pub(crate) enum Told {
    /// What was so for a time, which ends in the same step at the latest.
    Piece(Bucket),
    /// Another stretch begins: times may go back.
    Stretch,
}

impl Holder {
    pub(crate) const fn new(kind: TrackKind) -> Self {
        Self { kind, at: Moment { stretch: 0, unix_ns: 0 }, held: None }
    }

    /// Takes points of rising cycles, and the cycles at which nothing is known any more; a point of the same cycle comes behind.
    pub(crate) fn take(
        &mut self,
        timeline: &Timeline,
        points: &[Point],
        losses: &[u64],
        step_ns: u64,
        tell: &mut impl FnMut(Told),
    ) {
        let mut losses = losses.iter().copied().peekable();
        for point in points {
            while let Some(cycle) = losses.next_if(|cycle| *cycle <= point.cycle) {
                self.lose(timeline, cycle, step_ns, tell);
            }
            self.point(timeline, point, step_ns, tell);
        }
        losses.for_each(|cycle| self.lose(timeline, cycle, step_ns, tell));
    }

    /// The next point.
    fn point(&mut self, timeline: &Timeline, point: &Point, step_ns: u64, tell: &mut impl FnMut(Told)) {
        let Some(moment) = timeline.moment(point.cycle) else { return };
        self.pass(timeline, moment, step_ns, tell);
        self.held = Some(*point);
        tell(Told::Piece(piece(self.kind, point, moment.unix_ns, 1, 0)));
    }

    /// Nothing is known from this cycle on.
    fn lose(&mut self, timeline: &Timeline, cycle: u64, step_ns: u64, tell: &mut impl FnMut(Told)) {
        if let Some(moment) = timeline.moment(cycle) {
            self.pass(timeline, moment, step_ns, tell);
            self.held = None;
        }
    }

    /// Accounts for what is held until then, in pieces of which none lies in two steps.
    pub(crate) fn pass(&mut self, timeline: &Timeline, until: Moment, step_ns: u64, tell: &mut impl FnMut(Told)) {
        if until <= self.at {
            return;
        }
        for (begin, end_ns) in timeline.way(self.at, until) {
            if begin.stretch != self.at.stretch {
                tell(Told::Stretch);
            }
            let Some(held) = &self.held else { continue };
            let mut from_ns = begin.unix_ns;
            while from_ns < end_ns {
                let to_ns = (from_ns - from_ns % step_ns).saturating_add(step_ns).min(end_ns);
                tell(Told::Piece(piece(self.kind, held, from_ns, 0, to_ns - from_ns)));
                from_ns = to_ns;
            }
        }
        self.at = until;
    }
}

/// Minutes and hours of one track, as they come to an end. It is a few hundred bytes, from which whoever keeps it goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Rolling {
    holder: Holder,
    open: Open,
}

/// The minute and the hour that are not over.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Open {
    minute: Option<Bucket>,
    hour: Option<Bucket>,
}

/// Minutes and hours that are over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ended {
    pub(crate) minutes: Vec<Bucket>,
    pub(crate) hours: Vec<Bucket>,
}

impl Ended {
    /// Those of this width, in the order in which they came to their end.
    pub fn of(&self, width: Width) -> &[Bucket] {
        match width {
            Width::Minute => &self.minutes,
            Width::Hour => &self.hours,
        }
    }
}

impl Rolling {
    /// Of a track that has no points yet.
    pub const fn new(kind: TrackKind) -> Self {
        Self { holder: Holder::new(kind), open: Open { minute: None, hour: None } }
    }

    /// The point that holds at present.
    pub(crate) const fn held(&self) -> Option<Point> {
        self.holder.held
    }

    pub(crate) const fn holder(&self) -> Holder {
        self.holder
    }

    /// What is there of buckets of this width that are not over.
    pub(crate) fn open(&self, width: Width) -> impl Iterator<Item = &Bucket> {
        let Open { minute, hour } = &self.open;
        // A minute comes into its hour when it is over.
        hour.iter().filter(move |_| width == Width::Hour).chain(minute)
    }

    /// Takes points of rising cycles, and the cycles at which nothing is known any more; a point of the same cycle comes behind.
    pub fn take(&mut self, timeline: &Timeline, points: &[Point], losses: &[u64], to: &mut Ended) {
        let Self { holder, open } = self;
        holder.take(timeline, points, losses, Width::Minute.ns(), &mut |told| open.hear(told, to));
    }

    /// The run has come to this cycle, so every minute before it is over. What is held is cut where a minute ends and nowhere
    /// else: so it does not matter how often this is called.
    pub(crate) fn settle(&mut self, timeline: &Timeline, newest: u64, to: &mut Ended) {
        let Some(moment) = timeline.moment(newest) else { return };
        let width_ns = Width::Minute.ns();
        // A stretch may begin within a minute.
        let begin_ns = timeline.moment(moment.stretch).map_or(0, |begin| begin.unix_ns);
        let over_ns = (moment.unix_ns - moment.unix_ns % width_ns).max(begin_ns);
        let Self { holder, open } = self;
        holder.pass(timeline, Moment { unix_ns: over_ns, ..moment }, width_ns, &mut |told| open.hear(told, to));
        if holder.at.stretch == moment.stretch {
            open.settle(over_ns, to);
        }
    }

    /// Everything up to this cycle, whether it is over or not.
    pub(crate) fn finish(mut self, timeline: &Timeline, newest: u64, to: &mut Ended) {
        self.rest(timeline, newest, to);
    }

    /// The same, where more may come after a rest: of the minute and the hour in which it begins, that is another part.
    pub fn rest(&mut self, timeline: &Timeline, newest: u64, to: &mut Ended) {
        let Self { holder, open } = self;
        if let Some(moment) = timeline.moment(newest) {
            holder.pass(timeline, moment, Width::Minute.ns(), &mut |told| open.hear(told, to));
        }
        open.end(to);
    }
}

impl Open {
    fn hear(&mut self, told: Told, to: &mut Ended) {
        match told {
            Told::Stretch => self.end(to),
            Told::Piece(piece) => {
                if let Some(minute) = put_into(&mut self.minute, Width::Minute, &piece) {
                    self.end_minute(minute, to);
                }
            }
        }
    }

    fn end_minute(&mut self, minute: Bucket, to: &mut Ended) {
        to.minutes.push(minute);
        to.hours.extend(put_into(&mut self.hour, Width::Hour, &minute));
    }

    fn end(&mut self, to: &mut Ended) {
        if let Some(minute) = self.minute.take() {
            self.end_minute(minute, to);
        }
        to.hours.extend(self.hour.take());
    }

    /// Ends what lies before this instant.
    fn settle(&mut self, over_ns: u64, to: &mut Ended) {
        let is_over = |width: Width| move |bucket: &mut Bucket| bucket.unix_ns + width.ns() <= over_ns;
        if let Some(minute) = self.minute.take_if(is_over(Width::Minute)) {
            self.end_minute(minute, to);
        }
        to.hours.extend(self.hour.take_if(is_over(Width::Hour)));
    }
}

/// Puts a part into the bucket where it lies; the one before comes back when that is another one.
fn put_into(open: &mut Option<Bucket>, width: Width, part: &Bucket) -> Option<Bucket> {
    let begin = part.unix_ns - part.unix_ns % width.ns();
    let ended = open.take_if(|bucket| bucket.unix_ns != begin);
    open.get_or_insert(Bucket::empty(begin)).add(part);
    ended
}

/// Buckets in few bytes.
pub(crate) fn pack_buckets(buckets: &[Bucket]) -> Vec<u8> {
    let mut columns = Vec::with_capacity(buckets.len() * 48);
    put_buckets(&mut columns, buckets);
    seal(&columns)
}

/// The same buckets.
///
/// # Errors
/// They are [`Damaged`].
pub(crate) fn unpack_buckets(bytes: &[u8]) -> Result<Vec<Bucket>, Damaged> {
    let columns = unseal(bytes)?;
    let mut rest = &columns[..];
    take_buckets(&mut rest).filter(|_| rest.is_empty()).ok_or(Damaged)
}

impl Rolling {
    /// In few bytes.
    pub fn pack(&self) -> Vec<u8> {
        let Self { holder: Holder { kind: _, at, held }, open: Open { minute, hour } } = self;
        let mut columns = Vec::new();
        put(&mut columns, at.stretch);
        put(&mut columns, at.unix_ns);
        put_points(&mut columns, held.as_slice());
        put_buckets(&mut columns, minute.as_slice());
        put_buckets(&mut columns, hour.as_slice());
        seal(&columns)
    }

    /// The same again, of a track of this kind.
    ///
    /// # Errors
    /// It is [`Damaged`].
    pub fn unpack(kind: TrackKind, bytes: &[u8]) -> Result<Self, Damaged> {
        let columns = unseal(bytes)?;
        let mut rest = &columns[..];
        Self::take_from(kind, &mut rest).filter(|_| rest.is_empty()).ok_or(Damaged)
    }

    fn take_from(kind: TrackKind, from: &mut &[u8]) -> Option<Self> {
        let at = Moment { stretch: take(from)?, unix_ns: take(from)? };
        let held = take_points(from)?.pop();
        let open = Open { minute: take_buckets(from)?.pop(), hour: take_buckets(from)?.pop() };
        Some(Self { holder: Holder { kind, at, held }, open })
    }
}

/// The whole numbers of a bucket.
const WHOLE: [fn(&mut Bucket) -> &mut u64; 5] = [
    |bucket| &mut bucket.unix_ns,
    |bucket| &mut bucket.count,
    |bucket| &mut bucket.known_ns,
    |bucket| &mut bucket.valued_ns,
    |bucket| &mut bucket.good_ns,
];
/// The others.
const NUMBERS: [fn(&mut Bucket) -> &mut f64; 4] =
    [|bucket| &mut bucket.mean, |bucket| &mut bucket.min, |bucket| &mut bucket.max, |bucket| &mut bucket.last];

fn put_buckets(to: &mut Vec<u8>, buckets: &[Bucket]) {
    let mut buckets = buckets.to_vec();
    put(to, buckets.len() as u64);
    for field in WHOLE {
        let (mut before, mut step) = (0_u64, 0_u64);
        for number in buckets.iter_mut().map(|bucket| *field(bucket)) {
            let next = number.wrapping_sub(before);
            put_signed(to, next.wrapping_sub(step));
            (before, step) = (number, next);
        }
    }
    for field in NUMBERS {
        let values: Vec<f64> = buckets.iter_mut().map(|bucket| *field(bucket)).collect();
        put_values(to, values.iter().copied());
    }
}

fn take_buckets(from: &mut &[u8]) -> Option<Vec<Bucket>> {
    let count = usize::try_from(take(from)?).ok().filter(|count| *count <= BUCKETS_MAX)?;
    let mut buckets = vec![Bucket::empty(0); count];
    for field in WHOLE {
        let (mut before, mut step) = (0_u64, 0_u64);
        for bucket in &mut buckets {
            step = step.wrapping_add(take_signed(from)?);
            before = before.wrapping_add(step);
            *field(bucket) = before;
        }
    }
    for field in NUMBERS {
        let values = take_values(from, count)?;
        buckets.iter_mut().zip(values).for_each(|(bucket, value)| *field(bucket) = value);
    }
    Some(buckets)
}
