//! The claim on a plant: a tag of the server that shows who may write, for runtimes that share no machine.
//!
//! A claimant puts its name into the tag, looks at it in every slot, and writes setpoints only when the name has stood
//! there, at every look, for a quarter of the term. It goes on only as long as its last look, which showed its name, was
//! asked for less than three sixteenths of the term ago. Whoever overwrites the name therefore begins after the one that
//! it overwrites has ended, whatever is late and whoever is stopped: at most one claimant writes. (Fischer's algorithm, as
//! told by L. Lamport, "A Fast Mutual Exclusion Algorithm", ACM TOCS 5(1), 1987, with looks in place of its delay.)
//!
//! The holder changes the tag's beat seldom enough to look at it in between without having written: two who overwrite each
//! other see each other. A tag that has not changed for a term may be claimed, one
//! that nobody holds at once. So the term says how long a plant may be without a writer, and no two writers depend on it.
//!
//! # What it does not exclude
//! A request that was sent in time and arrives late. Only the plant can refuse that, by the epoch in the tag, which grows
//! with every claim. And a server that shows a tag's older value for longer than a sixteenth of the term.

use rt_core::time::{MonoTime, Span};
use shm::lease::{Lease, State};

/// Every beat of a holder but the last one is below this one, which says that it has left.
const LEFT: u64 = (1 << BEAT_BITS) - 1;
const BEAT_BITS: u32 = 9;
const NAME_BITS: u32 = 28;
const EPOCH_BITS: u32 = 16;
const _: () = assert!(BEAT_BITS + NAME_BITS + EPOCH_BITS == f64::MANTISSA_DIGITS, "a double holds every token exactly");

/// Parts of the term: how long a look says what may be written, how long the looks at one name may be apart, and how long
/// a beat lasts. Between two beats there is always a look that a sixteenth lies behind the first and less before the second.
const LOOK_FRESH: u64 = 16;
const PAUSE: u64 = 8;
const BEAT: u64 = 8;

/// The greatest number that a claim's tag has to hold.
pub const TOKEN_MAX: f64 = ((1_u64 << f64::MANTISSA_DIGITS) - 1) as f64;

/// The claim of one connection's plant. Owned by its io thread.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Held while the tag shows our name: for those who are to know.
    lease: Lease,
    term: Span,
    shown: Option<Shown>,
    last_sent: Option<MonoTime>,
}

/// What the tag showed at the newest look.
#[derive(Clone, Copy, Debug)]
struct Shown {
    value: f64,
    /// `None`: nothing that a claimant writes.
    token: Option<Token>,
    /// When the look was asked for.
    asked: MonoTime,
    /// Since when it shows this value.
    unchanged_since: MonoTime,
    /// Since when it shows this name, at every look and without a long pause between two of them.
    named_since: MonoTime,
}

/// What a claimant writes: from the highest bits the epoch, the name and the beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token {
    epoch: u64,
    name: u64,
    beat: u64,
}

impl Token {
    fn of(value: f64) -> Option<Self> {
        let whole = (0.0..=TOKEN_MAX).contains(&value) && value.fract() == 0.0;
        let bits = value as u64;
        whole.then_some(Self {
            epoch: bits >> (NAME_BITS + BEAT_BITS),
            name: bits >> BEAT_BITS & low(NAME_BITS),
            beat: bits & low(BEAT_BITS),
        })
    }

    fn value(self) -> f64 {
        (self.epoch << (NAME_BITS + BEAT_BITS) | self.name << BEAT_BITS | self.beat) as f64
    }

    /// Nobody has to be waited for.
    fn is_free(self) -> bool {
        self.name == 0 || self.beat == LEFT
    }

    /// The first one of whoever claims the plant after this.
    fn succeeded_by(self, name: u64) -> Self {
        Self { epoch: (self.epoch + 1) & low(EPOCH_BITS), name, beat: 0 }
    }

    fn next_beat(self) -> Self {
        Self { beat: (self.beat + 1) % LEFT, ..self }
    }
}

const fn low(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// A claimant's name as it is written: never zero, which nobody has.
fn short(claimant: u64) -> u64 {
    ((claimant >> NAME_BITS ^ claimant) & low(NAME_BITS)).max(1)
}

impl Claim {
    /// A claim that is not held. `lease` will be, for as long as the tag shows our name; its term has to be a quarter of
    /// `term`, see [`Claim::looks_hold_for`].
    pub(crate) fn new(lease: Lease, term: Span) -> Self {
        Self { lease, term, shown: None, last_sent: None }
    }

    /// The term of a claim's lease: a look at the own name permits to write for three quarters of it.
    pub(crate) const fn looks_hold_for(term: Span) -> Span {
        Span::from_ns(term.as_ns() / 4)
    }

    /// Whether the plant is ours at this instant, under this name.
    ///
    /// # Real-time
    /// Wait-free, like everything here.
    pub(crate) fn permits(&self, claimant: u64, now: MonoTime) -> bool {
        self.is_ours(claimant) && self.lease.permits(now.as_ns())
    }

    /// The tag was looked at. A look that showed nothing is none.
    pub(crate) fn look(&mut self, value: f64, asked: MonoTime, received: MonoTime) {
        let (token, before) = (Token::of(value), self.shown);
        let name = |token: Option<Token>| token.map(|token| token.name);
        // A beat that was seen a term ago may have come round again.
        let recent = before.filter(|before| asked.since(before.asked) <= self.term);
        let unbroken = before.filter(|before| asked.since(before.asked) <= self.part(PAUSE));
        self.shown = Some(Shown {
            value,
            token,
            asked,
            unchanged_since: recent
                .filter(|before| before.value.to_bits() == value.to_bits())
                .map_or(received, |before| before.unchanged_since),
            named_since: unbroken
                .filter(|before| name(before.token) == name(token))
                .map_or(received, |before| before.named_since),
        });
    }

    /// One slot: holds the lease if the tag permits it; what to write into the tag now. `leads`: the plant is ours as far
    /// as this machine goes.
    pub(crate) fn turn(&mut self, leads: bool, claimant: u64, now: MonoTime) -> Option<f64> {
        if !leads {
            self.lose();
            return None;
        }
        // Nobody writes into a tag that it does not see.
        let shown = self.shown.filter(|shown| now.since(shown.asked) <= self.part(LOOK_FRESH))?;
        let token = shown.token.unwrap_or(Token { epoch: 0, name: 0, beat: 0 });
        let next = if self.is_ours(claimant) {
            if shown.asked.since(shown.named_since) >= Self::looks_hold_for(self.term) {
                self.hold(token.epoch, shown.asked);
            }
            self.is_due(self.part(BEAT), now).then(|| token.next_beat())
        } else {
            // A tag that nobody has, as after a restart of the server, takes nothing away but for the moment.
            if token.name != 0 || shown.token.is_none() {
                self.lose();
            }
            let free = shown.token.is_some_and(Token::is_free) || now.since(shown.unchanged_since) >= self.term;
            let due = free && self.is_due(Self::looks_hold_for(self.term), now);
            due.then(|| token.succeeded_by(short(claimant)))
        };
        next.map(Token::value)
    }

    /// What [`Claim::turn`] gave was sent, and has arrived or not.
    pub(crate) fn sent(&mut self, now: MonoTime) {
        self.last_sent = Some(now);
    }

    /// What to write when taking leave, so that nobody waits for us.
    pub(crate) fn farewell(&self, claimant: u64, now: MonoTime) -> Option<f64> {
        let token = self.shown.and_then(|shown| shown.token).filter(|_| self.permits(claimant, now))?;
        Some(Token { beat: LEFT, ..token }.value())
    }

    fn is_ours(&self, claimant: u64) -> bool {
        let token = self.shown.and_then(|shown| shown.token);
        token.is_some_and(|token| token.name == short(claimant))
    }

    fn is_due(&self, pause: Span, now: MonoTime) -> bool {
        self.last_sent.is_none_or(|last| now.since(last) >= pause)
    }

    fn hold(&self, epoch: u64, asked: MonoTime) {
        if self.lease.renew(asked.as_ns()).is_some() {
            return;
        }
        // A tag may have lost its epoch. Here it grows, or nobody would see that it was lost in between.
        let least = if let State::Taken { by } = self.lease.state() { by } else { 0 };
        self.lease.take(epoch.max(least), asked.as_ns());
    }

    fn lose(&self) {
        if matches!(self.lease.state(), State::Held { .. }) {
            self.lease.heir().bury();
        }
    }

    const fn part(&self, divisor: u64) -> Span {
        Span::from_ns(self.term.as_ns() / divisor)
    }
}

#[cfg(test)]
mod tests;
