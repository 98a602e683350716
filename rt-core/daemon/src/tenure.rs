//! The control thread's part of the lease: it renews it with every cycle, takes it over, lets go of it, and tells the cycle.
//!
//! Where a plant has a tag for it, its claim belongs to the lease: the cycle has the one only while it has the other.

use rt_core::ports::Command;
use rt_core::time::{MonoTime, Span};
use shm::cell;
use shm::lease::{Heir, Lease, State};

/// The control thread's end of the lease. What does not cycle does not renew, and so loses it.
#[derive(Debug)]
pub struct Tenure {
    lease: Lease,
    /// Heir to whoever leads, while this runtime stands by.
    heir: cell::Reader<Option<Heir>>,
    /// What the io threads hold for as long as their plants show our name.
    claims: Box<[Lease]>,
    /// The epoch under which it is held at present.
    epoch: Option<u64>,
    /// What was held when the cycle was told so, as [`Self::held`] says it.
    told: Option<u64>,
    /// The cycle shall be told that it is armed: whoever led until this instant was.
    arm: Option<MonoTime>,
}

/// For so long after a succession the heir arms as soon as its claims are held. Later nobody would expect it.
const ARMING_OUTLASTS: Span = Span::from_ms(1_000);

impl Tenure {
    /// The end of this lease and of the claims that belong to it; through `heir` the keeper hands in whom to succeed.
    pub fn new(lease: Lease, heir: cell::Reader<Option<Heir>>, claims: Vec<Lease>) -> Self {
        Self { lease, heir, claims: claims.into(), epoch: None, told: None, arm: None }
    }

    /// The tenure of a plant that nobody else can reach: held from the first cycle on.
    pub fn unshared() -> Self {
        let (_, nobody) = cell::channel([None, None, None]);
        Self::new(Lease::unshared(), nobody, Vec::new())
    }

    /// At the beginning of a cycle: renews the lease, or takes it over if it can be had.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn turn(&mut self, now: MonoTime) {
        self.heir.update();
        if let Some(armed) = self.lease.take_back(now.as_ns()) {
            self.arm = armed.then_some(now);
        }
        self.arm = self.arm.filter(|since| now.since(*since) <= ARMING_OUTLASTS);
        self.epoch = self.lease.renew(now.as_ns()).or_else(|| self.succeed(now));
    }

    fn succeed(&mut self, now: MonoTime) -> Option<u64> {
        let succession = self.heir.get().as_ref()?.succeed(now.as_ns())?;
        self.arm = succession.armed.then_some(now);
        self.lease.take(succession.epoch, now.as_ns()).then_some(succession.epoch)
    }

    /// Lets go of it for the runtime that stands by.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn let_go(&mut self, armed: bool, now: MonoTime) {
        if self.lease.offer(armed, now.as_ns()) {
            self.epoch = None;
        }
    }

    /// What the cycle does not know yet.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn next_command(&mut self) -> Option<Command> {
        let held = self.held();
        if self.told == held {
            return self.arm.take_if(|_| held.is_some()).map(|_| Command::Arm);
        }
        // Lost and taken anew while the cycle stood still, it is another lease: somebody else may have written under one
        // between them.
        if self.told.take().is_some() {
            return Some(Command::Lease(false));
        }
        self.told = held;
        Some(Command::Lease(true))
    }

    /// The epochs of the lease and of its claims, added up, one of which grows when somebody else has it in between; `None`
    /// while any of them is not held.
    fn held(&self) -> Option<u64> {
        self.claims.iter().try_fold(self.epoch?, |sum, claim| Some(sum + epoch_of(claim)?))
    }

    /// The epoch under which it is held; zero while it is not.
    pub fn epoch(&self) -> u64 {
        self.epoch.unwrap_or(0)
    }
}

/// Whether the lease is held at present, and under which epoch.
pub(crate) fn epoch_of(lease: &Lease) -> Option<u64> {
    match lease.state() {
        State::Held { epoch, .. } => Some(epoch),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rt_core::time::Span;

    const TERM: Span = Span::from_ms(100);

    /// A runtime as far as its lease goes: what its cycle is told.
    struct Runtime {
        lease: Lease,
        heirs: cell::Writer<Option<Heir>>,
        tenure: Tenure,
    }

    impl Runtime {
        fn new() -> Self {
            let lease = Lease::heap(TERM.as_ns());
            let (heirs, heir) = cell::channel([None, None, None]);
            Self { tenure: Tenure::new(lease.clone(), heir, Vec::new()), lease, heirs }
        }

        fn stands_by_for(&mut self, leader: &Self) {
            *self.heirs.back_mut() = Some(leader.lease.heir());
            self.heirs.publish();
        }

        fn cycle(&mut self, ms: u64) -> Vec<Command> {
            self.tenure.turn(at(ms));
            std::iter::from_fn(|| self.tenure.next_command()).collect()
        }
    }

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Span::from_ms(ms)
    }

    #[test]
    fn the_cycle_has_the_lease_only_with_every_claim_and_is_armed_once_it_has_them() {
        let (mut first, mut second) = pair();
        let claim = Lease::heap(TERM.as_ns());
        second.tenure.claims = Box::new([claim.clone()]);
        first.tenure.turn(at(1));
        first.tenure.let_go(true, at(1));
        assert_eq!((second.cycle(1), second.tenure.epoch()), (vec![], 2));
        assert!(claim.take(1, at(2).as_ns()));
        assert_eq!(second.cycle(2), [Command::Lease(true), Command::Arm]);
        assert!(claim.heir().bury().is_some());
        assert_eq!(second.cycle(3), [Command::Lease(false)]);
        assert!(claim.take(2, at(4).as_ns()));
        assert_eq!(second.cycle(4), [Command::Lease(true)], "nobody has armed it again");
    }

    #[test]
    fn an_heir_whose_claim_comes_late_is_not_armed_by_it() {
        let (mut first, mut second) = pair();
        let claim = Lease::heap(TERM.as_ns());
        second.tenure.claims = Box::new([claim.clone()]);
        first.tenure.turn(at(1));
        first.tenure.let_go(true, at(1));
        assert_eq!(second.cycle(1), []);
        assert!(claim.take(1, at(1_500).as_ns()));
        assert_eq!(second.cycle(1_500), [Command::Lease(true)]);
    }

    /// A leader since 0 ms, and whoever stands by for it.
    fn pair() -> (Runtime, Runtime) {
        let (mut first, mut second) = (Runtime::new(), Runtime::new());
        assert!(first.lease.take(1, 0));
        second.stands_by_for(&first);
        assert_eq!(first.cycle(0), [Command::Lease(true)]);
        assert_eq!(second.cycle(0), []);
        (first, second)
    }

    #[test]
    fn what_cycles_keeps_the_lease_and_what_stands_still_loses_it_in_one_term() {
        let (mut first, mut second) = pair();
        for ms in 1..500 {
            assert_eq!((first.cycle(ms), second.cycle(ms)), (vec![], vec![]));
        }
        let taken = (500..).find(|ms| second.cycle(*ms) == [Command::Lease(true)]).unwrap();
        assert!((500 + TERM.as_ns() / 1_000_000 * 7 / 8..=500 + TERM.as_ns() / 1_000_000).contains(&taken), "{taken}");
        assert_eq!(first.cycle(taken), [Command::Lease(false)]);
        assert_eq!((first.tenure.epoch(), second.tenure.epoch()), (0, 2));
    }

    #[test]
    fn a_lease_that_was_lost_and_taken_anew_while_the_cycle_stood_still_is_told_as_lost_first() {
        let (mut first, mut second) = pair();
        second.cycle(200);
        assert_eq!(second.tenure.epoch(), 2);
        // The second one dies, and the first one's keeper buries it before the first one's control thread wakes up.
        let succession = second.lease.heir().bury().unwrap();
        assert!(first.lease.take(succession.epoch, at(210).as_ns()));
        assert_eq!(first.cycle(220), [Command::Lease(false), Command::Lease(true)]);
        assert_eq!((first.tenure.epoch(), first.cycle(230)), (3, vec![]));
    }

    #[test]
    fn a_claim_that_somebody_else_had_while_the_cycle_stood_still_is_told_as_lost_first() {
        let (mut first, _) = pair();
        let claim = Lease::heap(TERM.as_ns());
        first.tenure.claims = Box::new([claim.clone()]);
        assert!(claim.take(1, 0));
        assert_eq!(first.cycle(1), [Command::Lease(false), Command::Lease(true)], "it is another lease with a claim");
        assert!(claim.heir().bury().is_some() && claim.take(3, at(20).as_ns()));
        assert_eq!(first.cycle(20), [Command::Lease(false), Command::Lease(true)]);
        assert_eq!(first.cycle(21), []);
    }

    #[test]
    fn an_offered_lease_is_taken_over_in_the_next_cycle_armed_as_it_was() {
        for armed in [false, true] {
            let (mut first, mut second) = pair();
            first.tenure.turn(at(1));
            first.tenure.let_go(armed, at(1));
            assert_eq!(first.tenure.next_command(), Some(Command::Lease(false)));
            let told = second.cycle(1);
            assert_eq!(told.first(), Some(&Command::Lease(true)));
            assert_eq!(told.get(1), armed.then_some(&Command::Arm));
            assert!(!first.lease.permits(at(1).as_ns()) && second.lease.permits(at(1).as_ns()));
            assert_eq!(first.cycle(900), [], "it is gone");
        }
    }

    #[test]
    fn an_offered_lease_that_nobody_takes_comes_back_with_its_arming() {
        let (mut first, _) = pair();
        first.tenure.turn(at(1));
        first.tenure.let_go(true, at(1));
        assert_eq!(first.cycle(100), [Command::Lease(false)]);
        assert_eq!(first.cycle(101), [Command::Lease(true), Command::Arm]);
        assert_eq!(first.tenure.epoch(), 2);
    }
}
