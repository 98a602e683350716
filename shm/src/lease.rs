//! The lease of a plant: one word that says who may write, under which epoch and until when.
//!
//! Every runtime has a word of its own for as long as it lives. It [takes](Lease::take) it, renews it with every cycle and
//! looks at it [immediately before it sends](Lease::permits). Its [`Heir`] watches that word and ends it: when it was
//! offered, when it was not renewed in time, or when the holder is dead. All of it is one exchange of one word, so of a
//! renewal and a succession that meet exactly one happens, whatever either side was told before.
//!
//! ```text
//! vacant --take--> held --renew--> held --offer--> offered --take_back--> held, next epoch
//!                   |                                 |
//!                   +------------ succeed ------------+--> taken --take--> held, greater epoch
//! ```
//!
//! A holder stops a quarter of the term before its heir may begin: a request that was sent at the last moment has arrived
//! by then. Time is CLOCK_MONOTONIC, the same for all processes of a machine. Epochs only grow.
//!
//! # Example
//!
//! ```
//! use shm::lease::{Lease, Succession};
//!
//! let second_ns = 1_000_000_000;
//! let (first, second) = (Lease::heap(second_ns), Lease::heap(second_ns));
//! assert!(first.take(1, 0) && first.permits(0));
//! let heir = first.heir();
//! assert_eq!(heir.succeed(second_ns / 2), None);
//! // The first one was stopped for too long:
//! let succession = heir.succeed(2 * second_ns).unwrap();
//! assert_eq!(succession, Succession { epoch: 2, armed: false });
//! assert!(second.take(succession.epoch, 2 * second_ns));
//! assert_eq!(first.renew(2 * second_ns), None);
//! assert!(!first.permits(2 * second_ns) && second.permits(2 * second_ns));
//! ```

#[cfg(not(loom))]
use shm_layout::{CLAIM_WORD, SegmentKind, Shape};

use crate::region::Region;
use crate::sync::{Arc, AtomicU64, Ordering};
#[cfg(not(loom))]
use crate::{Access, RoleRefused, Segment};

/// The greatest epoch: so many successions are more than any plant sees.
pub const EPOCH_MAX: u64 = (1 << EPOCH_BITS) - 1;
/// The longest term, nanoseconds: a day.
pub const TERM_NS_MAX: u64 = 86_400 * 1_000_000_000;

const NS_PER_MS: u64 = 1_000_000;
/// The words of the segment: the lease, and its claimant.
pub(crate) const LEASE_WORDS: usize = 2;
const CLAIMANT_WORD: usize = 1;
/// Bits of the word, from the lowest: the instant in milliseconds, the epoch, the state.
const UNTIL_BITS: u32 = 40;
const EPOCH_BITS: u32 = 21;
const UNTIL_MS_MAX: u64 = (1 << UNTIL_BITS) - 1;
const _: () = assert!(UNTIL_BITS + EPOCH_BITS + 3 == u64::BITS, "three bits are left for the state");
const _: () = assert!(UNTIL_MS_MAX / 1000 / 86_400 / 365 > 30, "a machine that runs for 30 years has its instants");

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has ever held it.
    Vacant,
    /// Its runtime may write.
    Held {
        /// Under this epoch.
        epoch: u64,
        /// Until this instant, milliseconds of CLOCK_MONOTONIC; then its heir may end it.
        until_ms: u64,
    },
    /// Its runtime has let go, for its heir.
    Offered {
        /// The epoch under which it was held.
        epoch: u64,
        /// From this instant on its runtime may take it back, milliseconds of CLOCK_MONOTONIC.
        until_ms: u64,
        /// It was armed, and its heir shall be.
        armed: bool,
    },
    /// Its heir has ended it.
    Taken {
        /// The heir's epoch.
        by: u64,
    },
}

impl State {
    fn from_word(word: u64) -> Self {
        let (epoch, until_ms) = (word >> UNTIL_BITS & EPOCH_MAX, word & UNTIL_MS_MAX);
        match word >> (UNTIL_BITS + EPOCH_BITS) {
            1 => Self::Held { epoch, until_ms },
            2 => Self::Offered { epoch, until_ms, armed: false },
            3 => Self::Offered { epoch, until_ms, armed: true },
            4 => Self::Taken { by: epoch },
            // Also whatever a hostile heir has written: nobody may write then.
            _ => Self::Vacant,
        }
    }

    fn word(self) -> u64 {
        let (state, epoch, until_ms) = match self {
            Self::Vacant => (0, 0, 0),
            Self::Held { epoch, until_ms } => (1, epoch, until_ms),
            Self::Offered { epoch, until_ms, armed } => (2 + u64::from(armed), epoch, until_ms),
            Self::Taken { by } => (4, by, 0),
        };
        state << (UNTIL_BITS + EPOCH_BITS) | epoch.min(EPOCH_MAX) << UNTIL_BITS | until_ms.min(UNTIL_MS_MAX)
    }
}

/// A runtime's own lease. Clones serve the threads of one process.
#[derive(Clone, Debug)]
pub struct Lease {
    word: Word,
    term_ms: u64,
}

impl Lease {
    /// Claims the segment. The lease is vacant; each renewal will hold for `term_ns`, at most [`TERM_NS_MAX`].
    ///
    /// # Errors
    ///
    /// [`RoleRefused`]: another kind, read-only, or claimed before.
    #[cfg(not(loom))]
    pub fn new(segment: &Segment, term_ns: u64) -> Result<Self, RoleRefused> {
        check_kind(segment)?;
        let region = segment.claimed::<CLAIM_WORD>(Shape::Counters, SegmentKind::Lease.name())?;
        Ok(Self::over(region, term_ns))
    }

    /// A vacant lease on the heap.
    ///
    /// # Real-time
    ///
    /// Not for the real-time thread.
    pub fn heap(term_ns: u64) -> Self {
        Self::over(Arc::new(Region::heap(LEASE_WORDS, LEASE_WORDS, 1)), term_ns)
    }

    /// The lease of a plant that nobody else can reach, such as a simulated one: held under epoch 1, for ever.
    ///
    /// # Real-time
    ///
    /// Not for the real-time thread.
    pub fn unshared() -> Self {
        let lease = Self::heap(TERM_NS_MAX);
        lease.word.exchange(State::Vacant, State::Held { epoch: 1, until_ms: UNTIL_MS_MAX });
        lease
    }

    /// Under which name its runtime may claim a plant that others reach from elsewhere; zero when it has none.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn claimant(&self) -> u64 {
        self.word.claimant()
    }

    /// Gives it such a name: one of its own at the start, and the holder's while it stands by for that, so that a claim
    /// outlives a succession.
    pub fn name(&self, claimant: u64) {
        self.word.name(claimant);
    }

    fn over(region: Arc<Region>, term_ns: u64) -> Self {
        // Rounded up: a term of less than a millisecond would never hold.
        Self { word: Word(region), term_ms: term_ns.min(TERM_NS_MAX).div_ceil(NS_PER_MS).max(1) }
    }

    /// What the word says at present.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn state(&self) -> State {
        self.word.state()
    }

    /// Begins to hold it under this epoch; false if it is held, or offered, already.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn take(&self, epoch: u64, now_ns: u64) -> bool {
        let found = self.state();
        let free = matches!(found, State::Vacant | State::Taken { .. });
        free && self.word.exchange(found, State::Held { epoch, until_ms: self.end(now_ns) })
    }

    /// Holds it for another term; the epoch, or `None` when it is not held. To be called in every cycle: it stores eight
    /// times in a term at most.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    #[inline]
    pub fn renew(&self, now_ns: u64) -> Option<u64> {
        let found = self.state();
        let State::Held { epoch, until_ms } = found else { return None };
        let end = self.end(now_ns);
        let worth_it = end.saturating_sub(until_ms) > self.term_ms / 8;
        (!worth_it || self.word.exchange(found, State::Held { epoch, until_ms: end })).then_some(epoch)
    }

    /// Whether its runtime may send at this instant: it is held, and will be for another quarter of the term.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    #[inline]
    pub fn permits(&self, now_ns: u64) -> bool {
        let State::Held { until_ms, .. } = self.state() else { return false };
        now_ns / NS_PER_MS + self.term_ms / 4 < until_ms
    }

    /// Lets go of it for its heir; false if it was not held. Nothing may be sent from now on. Armed or not goes with it.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn offer(&self, armed: bool, now_ns: u64) -> bool {
        let found = self.state();
        let State::Held { epoch, .. } = found else { return false };
        self.word.exchange(found, State::Offered { epoch, until_ms: self.end(now_ns), armed })
    }

    /// Takes an offer back that nobody has accepted within a term: whether it was armed, or `None` when there is no such
    /// offer.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn take_back(&self, now_ns: u64) -> Option<bool> {
        let found = self.state();
        let State::Offered { epoch, until_ms, armed } = found else { return None };
        let held = State::Held { epoch: next(epoch)?, until_ms: self.end(now_ns) };
        (now_ns / NS_PER_MS >= until_ms && self.word.exchange(found, held)).then_some(armed)
    }

    /// An heir of it in this process.
    pub fn heir(&self) -> Heir {
        Heir { word: self.word.clone() }
    }

    fn end(&self, now_ns: u64) -> u64 {
        now_ns / NS_PER_MS + self.term_ms
    }
}

/// What the word of this segment says at present, for those who only look.
///
/// # Errors
///
/// [`RoleRefused::WrongShape`].
#[cfg(not(loom))]
pub fn look(segment: &Segment) -> Result<State, RoleRefused> {
    check_kind(segment)?;
    let region = segment.readable(Shape::Counters, SegmentKind::Lease.name())?;
    Ok(Word(region).state())
}

/// Whoever takes over from a holder.
#[derive(Clone, Debug)]
pub struct Heir {
    word: Word,
}

/// What an heir takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Succession {
    /// The epoch to hold the own lease under.
    pub epoch: u64,
    /// The holder let go of it and was armed then; never so after its death or standstill.
    pub armed: bool,
}

impl Heir {
    /// The heir of whoever created the segment.
    ///
    /// # Errors
    ///
    /// [`RoleRefused`]: another kind, or attached read-only.
    #[cfg(not(loom))]
    pub fn new(segment: &Segment) -> Result<Self, RoleRefused> {
        check_kind(segment)?;
        let kind = SegmentKind::Lease;
        if segment.access() == Access::ReadOnly {
            return Err(RoleRefused::ReadOnly { kind });
        }
        Ok(Self { word: Word(segment.readable(Shape::Counters, kind.name())?) })
    }

    /// What the holder's word says at present.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn state(&self) -> State {
        self.word.state()
    }

    /// Under which name the holder claims the plant; zero when it has none.
    pub fn claimant(&self) -> u64 {
        self.word.claimant()
    }

    /// Ends a lease that was offered or not renewed in time; `None` as long as it is held.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn succeed(&self, now_ns: u64) -> Option<Succession> {
        let found = self.state();
        match found {
            State::Held { epoch, until_ms } if now_ns / NS_PER_MS >= until_ms => self.end(found, epoch),
            State::Offered { epoch, .. } => self.end(found, epoch),
            _ => None,
        }
    }

    /// Ends the lease of a holder that is dead; `None` if it was ended before.
    pub fn bury(&self) -> Option<Succession> {
        match self.state() {
            found @ (State::Held { epoch, .. } | State::Offered { epoch, .. }) => self.end(found, epoch),
            State::Vacant | State::Taken { .. } => None,
        }
    }

    fn end(&self, found: State, epoch: u64) -> Option<Succession> {
        let armed = matches!(found, State::Offered { armed: true, .. });
        let epoch = next(epoch)?;
        self.word.exchange(found, State::Taken { by: epoch }).then_some(Succession { epoch, armed })
    }
}

const fn next(epoch: u64) -> Option<u64> {
    if epoch < EPOCH_MAX { Some(epoch + 1) } else { None }
}

/// The one word of a region that says who may write; and beside it the claimant's name, which no rule depends on.
#[derive(Clone, Debug)]
struct Word(Arc<Region>);

impl Word {
    /// There always is one: other segments are refused. But no panic says so.
    #[inline]
    fn get(&self) -> Option<&AtomicU64> {
        self.0.slot(0).first()
    }

    #[inline]
    fn state(&self) -> State {
        // Acquire, for the Release of `exchange`: who sees a lease ended or let go sees everything before it.
        State::from_word(self.get().map_or(0, |word| word.load(Ordering::Acquire)))
    }

    #[inline]
    fn claimant(&self) -> u64 {
        // Relaxed: a name orders nothing.
        self.0.slot(0).get(CLAIMANT_WORD).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn name(&self, claimant: u64) {
        if let Some(word) = self.0.slot(0).get(CLAIMANT_WORD) {
            word.store(claimant, Ordering::Relaxed);
        }
    }

    /// Whether the word said `from`, and says `to` now. Every change of a lease goes through here.
    #[inline]
    fn exchange(&self, from: State, to: State) -> bool {
        let exchanged = self.get().map(|word| {
            // AcqRel: partner of itself and of the load in `state`.
            word.compare_exchange(from.word(), to.word(), Ordering::AcqRel, Ordering::Acquire)
        });
        matches!(exchanged, Some(Ok(_)))
    }
}

#[cfg(not(loom))]
fn check_kind(segment: &Segment) -> Result<(), RoleRefused> {
    let found = segment.header().kind();
    if found != SegmentKind::Lease {
        return Err(RoleRefused::WrongShape { found, expected: SegmentKind::Lease.name() });
    }
    Ok(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Spec;

    const TERM: u64 = 1_000 * NS_PER_MS;

    fn ms(ms: u64) -> u64 {
        ms * NS_PER_MS
    }

    fn held() -> Lease {
        let lease = Lease::heap(TERM);
        assert!(lease.take(1, 0));
        lease
    }

    #[test]
    fn every_state_survives_its_word_and_nonsense_permits_nobody() {
        for state in [
            State::Vacant,
            State::Held { epoch: EPOCH_MAX, until_ms: UNTIL_MS_MAX },
            State::Held { epoch: 1, until_ms: 0 },
            State::Offered { epoch: 7, until_ms: 9, armed: true },
            State::Offered { epoch: 7, until_ms: 9, armed: false },
            State::Taken { by: 12 },
        ] {
            assert_eq!(State::from_word(state.word()), state);
        }
        assert_eq!(State::from_word(u64::MAX), State::Vacant);
    }

    #[test]
    fn a_holder_stops_a_quarter_of_the_term_before_its_heir_may_begin() {
        let lease = held();
        assert!(lease.permits(ms(749)));
        assert!(!lease.permits(ms(750)));
        assert_eq!(lease.heir().succeed(ms(999)), None);
        assert!(lease.heir().succeed(ms(1_000)).is_some());
    }

    #[test]
    fn a_lease_that_is_renewed_is_never_succeeded_and_one_that_nobody_wants_goes_on_after_a_pause() {
        let (lease, mut now) = (held(), 0);
        for pause in [5, 100, 740, 3_000, 5] {
            now += ms(pause);
            assert_eq!(lease.renew(now), Some(1));
            assert!(lease.permits(now));
            assert_eq!(lease.heir().succeed(now), None);
        }
    }

    #[test]
    fn a_holder_that_was_stopped_for_too_long_is_fenced_for_good() {
        let lease = held();
        let succession = lease.heir().succeed(ms(1_500));
        assert_eq!(succession, Some(Succession { epoch: 2, armed: false }));
        assert_eq!((lease.renew(ms(1_500)), lease.permits(0)), (None, false));
        assert!(!lease.offer(true, ms(1_500)));
        assert_eq!(lease.state(), State::Taken { by: 2 });
        assert_eq!(lease.heir().succeed(ms(9_000)), None, "there is nothing left to take over");
        assert!(lease.take(3, ms(9_000)) && lease.permits(ms(9_000)));
    }

    #[test]
    fn an_offer_is_accepted_at_once_and_says_whether_it_was_armed() {
        for armed in [false, true] {
            let lease = held();
            assert!(lease.offer(armed, ms(10)));
            assert_eq!((lease.renew(ms(10)), lease.permits(ms(10)), lease.take(9, ms(10))), (None, false, false));
            assert_eq!(lease.heir().succeed(ms(10)), Some(Succession { epoch: 2, armed }));
            assert_eq!(lease.take_back(ms(5_000)), None, "it is somebody else's");
        }
    }

    #[test]
    fn an_offer_that_nobody_accepts_is_taken_back_after_a_term() {
        let lease = held();
        assert!(lease.offer(true, ms(10)));
        assert_eq!(lease.take_back(ms(1_009)), None);
        assert_eq!(lease.take_back(ms(1_010)), Some(true));
        assert_eq!(lease.renew(ms(1_010)), Some(2));
        assert_eq!(lease.heir().succeed(ms(1_010)), None);
    }

    #[test]
    fn the_dead_are_buried_at_once_and_once() {
        let lease = held();
        assert_eq!(lease.heir().bury().map(|succession| succession.epoch), Some(2));
        assert_eq!(lease.heir().bury(), None);
        assert_eq!(Lease::heap(TERM).heir().bury(), None);
    }

    #[test]
    fn an_unshared_lease_holds_for_ever() {
        let lease = Lease::unshared();
        assert!(lease.permits(0) && lease.permits(UNTIL_MS_MAX / 2 * NS_PER_MS));
        assert_eq!(lease.renew(u64::MAX / 2), Some(1));
    }

    #[test]
    fn an_heir_in_another_process_needs_a_writable_descriptor_and_ends_the_same_word() {
        let segment = Segment::create(&Spec::lease()).unwrap();
        let lease = Lease::new(&segment, TERM).unwrap();
        assert!(Lease::new(&segment, TERM).is_err(), "a lease has one holder");
        assert!(lease.take(1, 0));
        let descriptor = segment.read_only_fd().unwrap();
        let seen = Segment::attach(descriptor, Access::ReadOnly, SegmentKind::Lease).unwrap();
        assert_eq!(Heir::new(&seen).unwrap_err(), RoleRefused::ReadOnly { kind: SegmentKind::Lease });
        let descriptor = segment.as_fd().try_clone_to_owned().unwrap();
        let shared = Segment::attach(descriptor, Access::ReadWrite, SegmentKind::Lease).unwrap();
        lease.name(0xCAFE);
        assert_eq!(Heir::new(&shared).unwrap().claimant(), 0xCAFE);
        assert!(Heir::new(&shared).unwrap().succeed(ms(1_000)).is_some());
        assert_eq!(lease.renew(ms(1_000)), None);
        let counters = Segment::create(&Spec::counters::<shm_layout::Counter>()).unwrap();
        assert!(Heir::new(&counters).is_err() && Lease::new(&counters, TERM).is_err());
    }
}
