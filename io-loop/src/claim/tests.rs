use super::*;

const TERM: Span = Span::from_ms(1_000);
const SLOT: Span = Span::from_ms(10);
const NS_PER_MS: u64 = 1_000_000;

/// Numbers from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// What a claimant does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Turn,
    /// The write was answered, or its deadline passed.
    Answered,
    /// The server looks at its tag.
    Served,
    Received,
}

struct Claimant {
    claim: Claim,
    name: u64,
    step: Step,
    at: u64,
    slot: u64,
    asked: u64,
    found: f64,
}

impl Claimant {
    fn new(name: u64) -> Self {
        let lease = Lease::heap(Claim::looks_hold_for(TERM).as_ns());
        let claim = Claim::new(lease, TERM);
        Self { claim, name, step: Step::Turn, at: 0, slot: 0, asked: 0, found: 0.0 }
    }

    fn permits(&self, now: u64) -> bool {
        self.claim.permits(self.name, MonoTime::from_ns(now))
    }

    fn is_told(&self) -> bool {
        matches!(self.claim.lease.state(), State::Held { .. })
    }
}

/// Claimants around one tag, each event at its own time.
struct World {
    dice: Dice,
    tag: f64,
    /// Writes on their way.
    flying: Vec<(u64, f64)>,
    claimants: Vec<Claimant>,
    /// Which claimant leads on its machine.
    leads: fn(usize, u64) -> bool,
    now: u64,
    calm: bool,
}

impl World {
    fn new(seed: u64, names: &[u64]) -> Self {
        let claimants = names.iter().map(|name| Claimant::new(*name)).collect();
        Self { dice: Dice(seed), tag: 0.0, flying: Vec::new(), claimants, leads: |_, _| true, now: 0, calm: false }
    }

    /// Goes on until this instant; fails when two claimants may write at the same time.
    fn run_until(&mut self, end_ms: u64) {
        while self.now < end_ms * NS_PER_MS {
            let arrival = self.flying.iter().map(|(at, _)| *at).min().unwrap_or(u64::MAX);
            let (index, at) =
                self.claimants.iter().map(|claimant| claimant.at).enumerate().min_by_key(|(_, at)| *at).unwrap();
            self.now = at.min(arrival);
            if arrival <= at {
                let place = self.flying.iter().position(|(at, _)| *at == arrival).unwrap();
                self.tag = self.flying.swap_remove(place).1;
            } else {
                self.step(index);
            }
            let writers: Vec<_> =
                (0..self.claimants.len()).filter(|one| self.claimants[*one].permits(self.now)).collect();
            assert!(writers.len() <= 1, "{writers:?} may write at {} ms", self.now / NS_PER_MS);
        }
    }

    fn step(&mut self, index: usize) {
        let (fast, stop) = (self.delay(false), self.stop());
        let slow = self.delay(true);
        let Self { claimants, now, flying, leads, tag, .. } = self;
        let (now, one) = (*now, &mut claimants[index]);
        let (step, pause) = match one.step {
            Step::Turn => match one.claim.turn(leads(index, now), one.name, MonoTime::from_ns(now)) {
                Some(token) => {
                    flying.push((now + stop + slow, token));
                    // Whoever waits gives up after two slots.
                    (Step::Answered, stop + slow.min(2 * SLOT.as_ns()))
                }
                None => {
                    one.asked = now;
                    (Step::Served, fast)
                }
            },
            Step::Answered => {
                one.claim.sent(MonoTime::from_ns(now));
                one.asked = now;
                (Step::Served, fast)
            }
            Step::Served => {
                one.found = *tag;
                (Step::Received, fast)
            }
            Step::Received => {
                one.claim.look(one.found, MonoTime::from_ns(one.asked), MonoTime::from_ns(now));
                one.slot = (one.slot + 1).max(now / SLOT.as_ns() + 1);
                (Step::Turn, stop + one.slot * SLOT.as_ns() - now)
            }
        };
        (one.step, one.at) = (step, now + pause);
    }

    /// Mostly a part of a millisecond; a write may be on its way for seconds, a read for a few slots.
    fn delay(&mut self, is_write: bool) -> u64 {
        match (self.calm, self.dice.one_in(60), is_write) {
            (true, ..) | (false, false, _) => 1_000 + self.dice.below(NS_PER_MS / 2),
            (false, true, true) => self.dice.below(3_000 * NS_PER_MS),
            (false, true, false) => self.dice.below(40 * NS_PER_MS),
        }
    }

    /// A process may be stopped between any two instructions.
    fn stop(&mut self) -> u64 {
        if !self.calm && self.dice.one_in(300) { self.dice.below(3_000 * NS_PER_MS) } else { 0 }
    }

    fn writers(&self) -> Vec<usize> {
        (0..self.claimants.len()).filter(|one| self.claimants[*one].permits(self.now)).collect()
    }

    fn calm(names: &[u64]) -> Self {
        Self { calm: true, ..Self::new(1, names) }
    }
}

#[test]
fn f86_at_most_one_claimant_may_write_whoever_is_stopped_and_whatever_is_late() {
    let mut changes = 0;
    for seed in 1..=60 {
        println!("seed {seed}");
        let mut world = World::new(seed, &[11, 22, 33]);
        let mut last = Vec::new();
        for ms in (100..60_000).step_by(100) {
            world.run_until(ms);
            let writers = world.writers();
            if !writers.is_empty() && writers != last {
                changes += 1;
                last = writers;
            }
        }
        world.calm = true;
        // The last stop and the last late write end, then the longest wait.
        world.run_until(60_000 + 6_000 + 4 * 1_000);
        let writers = world.writers();
        assert_eq!(writers.len(), 1, "somebody writes as soon as nothing disturbs it");
        world.run_until(80_000);
        assert_eq!(world.writers(), writers, "and goes on");
    }
    assert!(changes > 200, "{changes} times only the plant went from one to another");
}

#[test]
fn a_plant_that_nobody_has_is_claimed_in_a_quarter_of_the_term() {
    let mut world = World::calm(&[11]);
    world.run_until(240);
    assert_eq!(world.writers(), []);
    world.run_until(300);
    assert_eq!(world.writers(), [0]);
    let token = Token::of(world.tag).unwrap();
    assert_eq!((token.epoch, token.name), (1, short(11)));
}

#[test]
fn whoever_is_silent_for_a_term_is_succeeded_and_told_so_when_it_wakes_up() {
    let mut world = World::calm(&[11, 22]);
    world.run_until(500);
    let first = world.writers()[0];
    world.claimants[first].at += 2_000 * NS_PER_MS;
    world.run_until(1_300);
    assert_eq!(world.writers(), [], "it has to be silent for a term");
    world.run_until(1_900);
    assert_eq!(world.writers(), [1 - first]);
    assert!(world.claimants[first].is_told(), "as far as it knows");
    world.run_until(2_600);
    assert_eq!((world.writers(), world.claimants[first].is_told()), (vec![1 - first], false));
    assert_eq!(Token::of(world.tag).unwrap().epoch, 2);
}

#[test]
fn whoever_takes_leave_is_succeeded_in_a_quarter_of_the_term() {
    let mut world = World::calm(&[11, 22]);
    world.run_until(500);
    let first = world.writers()[0];
    let one = &mut world.claimants[first];
    world.tag = one.claim.farewell(one.name, MonoTime::from_ns(world.now)).unwrap();
    one.at = u64::MAX;
    world.run_until(800);
    assert_eq!(world.writers(), [1 - first]);
    let Claimant { claim, name, .. } = &world.claimants[first];
    assert_eq!(claim.farewell(*name, MonoTime::from_ns(world.now)), None, "what is not ours is not given up");
}

#[test]
fn runtimes_of_one_machine_go_on_with_one_name_from_slot_to_slot() {
    let mut world = World::calm(&[11, 11]);
    world.leads = |index, now| (now < 1_000 * NS_PER_MS) == (index == 0);
    world.run_until(990);
    assert_eq!(world.writers(), [0]);
    world.run_until(1_025);
    assert_eq!(world.writers(), [1]);
    assert_eq!(Token::of(world.tag).unwrap().epoch, 1, "nobody has claimed it anew");
}

#[test]
fn a_tag_that_lost_its_value_is_claimed_again_and_nobody_is_told_of_a_loss() {
    let mut world = World::calm(&[11]);
    world.run_until(500);
    world.tag = 0.0;
    world.run_until(520);
    assert_eq!((world.writers(), world.claimants[0].is_told()), (vec![], true));
    world.run_until(1_100);
    assert_eq!((world.writers(), world.claimants[0].is_told()), (vec![0], true));
}

#[test]
fn what_no_runtime_writes_is_somebody_else_s_until_it_has_not_changed_for_a_term() {
    for nonsense in [-1.0, 0.5, f64::INFINITY, TOKEN_MAX * 2.0] {
        let mut world = World::calm(&[11]);
        world.run_until(500);
        world.tag = nonsense;
        world.run_until(1_500);
        assert_eq!((world.writers(), world.claimants[0].is_told()), (vec![], false), "{nonsense}");
        world.run_until(2_000);
        assert_eq!(world.writers(), [0], "{nonsense}");
        let held = world.claimants[0].claim.lease.state();
        assert!(matches!(held, State::Held { epoch: 2, .. }), "{held:?}: it was lost in between, and the tag says 1");
    }
}

#[test]
fn every_token_survives_its_value() {
    let all = |bits| [0, 1, low(bits)];
    for epoch in all(EPOCH_BITS) {
        for name in all(NAME_BITS) {
            for beat in all(BEAT_BITS) {
                let token = Token { epoch, name, beat };
                assert_eq!(Token::of(token.value()), Some(token));
            }
        }
    }
    assert_eq!(
        Token { epoch: low(EPOCH_BITS), name: 1, beat: 0 }.succeeded_by(2),
        Token { epoch: 0, name: 2, beat: 0 }
    );
    assert!((0..=LEFT).all(|beat| !Token { epoch: 1, name: 1, beat }.next_beat().is_free()));
    assert!([0, 1, u64::MAX, 1 << NAME_BITS].iter().all(|claimant| (1..=low(NAME_BITS)).contains(&short(*claimant))));
}
