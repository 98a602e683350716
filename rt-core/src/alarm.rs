//! Alarms: what the plant's operators are told about the runtime itself, each in a tag of its own.
//!
//! An alarm is raised when one of its troubles has lasted for its delay, and cleared when none of them has been there for
//! its other delay. The second one keeps a trouble that comes and goes from ringing all day: an operator can attend to
//! about one alarm in ten minutes, and is overwhelmed by ten (EEMUA 191; ISA-18.2, section 16).
//!
//! They are for eyes. What the plant has to rely on is the heartbeat, which stands still when nobody is there to raise an
//! alarm.

use crate::carry::Carrier;
use crate::time::{MonoTime, Span};

/// The most alarms that one runtime has.
pub const ALARMS_MAX: usize = 32;

/// Something that an operator may want to be told of. The numbers are the places in [`Troubles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Trouble {
    /// The mode is none that writes: the plant is on its own.
    NotInCharge = 0,
    /// HOLD: the last setpoints stay.
    Hold = 1,
    /// FALLBACK drives the plant.
    Fallback = 2,
    /// RELEASE: hands off, until armed again.
    Release = 3,
    /// A trip waits for an operator's reset.
    Tripped = 4,
    /// A required tag is bad or stale.
    InputBad = 5,
    /// The policy was not confirmed for longer than it may be.
    PolicyExpired = 6,
    /// A person has a setpoint.
    Operator = 7,
    /// Control slots were skipped just now.
    SlotsSkipped = 8,
    /// The plant refused to write a setpoint just now.
    WriteRefused = 9,
}

/// Several of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Troubles(u16);

impl Troubles {
    /// No trouble at all.
    pub const NONE: Self = Self(0);

    /// These and `trouble`, if it is there.
    ///
    /// # Real-time
    /// Wait-free.
    #[must_use]
    pub const fn with_if(self, is_there: bool, trouble: Trouble) -> Self {
        Self(self.0 | (is_there as u16) << trouble as u8)
    }

    /// Whether both have one in common.
    ///
    /// # Real-time
    /// Wait-free.
    pub const fn meet(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

/// When an alarm is raised, and when it is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlarmSettings {
    /// It is raised while any of these is there.
    pub when: Troubles,
    /// For so long one of them has to last first.
    pub on_delay: Span,
    /// For so long none may be there before it is cleared.
    pub off_delay: Span,
}

/// One alarm.
#[derive(Clone, Copy, Debug)]
struct Alarm {
    settings: AlarmSettings,
    raised: bool,
    /// Since then it ought to be the other way round.
    turning: Option<MonoTime>,
}

impl Alarm {
    /// Whether it was raised or cleared by this.
    fn turn(&mut self, troubles: Troubles, now: MonoTime) -> bool {
        let AlarmSettings { when, on_delay, off_delay } = self.settings;
        let wanted = when.meet(troubles);
        if wanted == self.raised {
            self.turning = None;
            return false;
        }
        let since = *self.turning.get_or_insert(now);
        let delay = if wanted { on_delay } else { off_delay };
        let due = now.since(since) >= delay;
        if due {
            (self.raised, self.turning) = (wanted, None);
        }
        due
    }
}

/// The alarms of a site.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alarms([Option<Alarm>; ALARMS_MAX]);

impl Alarms {
    /// Those of `settings` that have a place, none of them raised.
    pub(crate) fn new(settings: &[AlarmSettings]) -> Self {
        let mut alarms = [None; ALARMS_MAX];
        for (alarm, settings) in alarms.iter_mut().zip(settings) {
            *alarm = Some(Alarm { settings: *settings, raised: false, turning: None });
        }
        Self(alarms)
    }

    /// Whether there is none. They fill their places from the first on.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.0, [None, ..])
    }

    /// Takes in what is there now. Those that were raised or cleared by it, as bits.
    pub(crate) fn turn(&mut self, troubles: Troubles, now: MonoTime) -> u32 {
        bits(self.0.iter_mut().map(|alarm| alarm.as_mut().is_some_and(|alarm| alarm.turn(troubles, now))))
    }

    /// Those that are raised, as bits.
    pub(crate) fn raised(&self) -> u32 {
        bits(self.0.iter().map(|alarm| alarm.is_some_and(|alarm| alarm.raised)))
    }

    pub(crate) fn carry(&mut self, carrier: &mut impl Carrier) {
        for Alarm { settings: _, raised, turning } in self.0.iter_mut().flatten() {
            carrier.carry(raised);
            carrier.carry(turning);
        }
    }
}

/// The first of them is the lowest bit.
fn bits(of_alarms: impl Iterator<Item = bool>) -> u32 {
    (0..u32::BITS).zip(of_alarms).fold(0, |bits, (place, is_one)| bits | u32::from(is_one) << place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_ns(1_000_000 * (1 + ms))
    }

    fn alarm(on_ms: u64, off_ms: u64) -> Alarms {
        let when = Troubles::NONE.with_if(true, Trouble::Hold).with_if(true, Trouble::Fallback);
        Alarms::new(&[AlarmSettings { when, on_delay: Span::from_ms(on_ms), off_delay: Span::from_ms(off_ms) }])
    }

    #[test]
    fn an_alarm_waits_for_its_delays_and_any_of_its_troubles_raises_it() {
        let mut alarms = alarm(10, 20);
        let (hold, fallback) =
            (Troubles::NONE.with_if(true, Trouble::Hold), Troubles::NONE.with_if(true, Trouble::Fallback));
        let story = [
            (0, hold, 0),
            (5, Troubles::NONE, 0),
            (6, hold, 0),
            (15, hold, 0),
            (16, fallback, 1),
            (17, Troubles::NONE, 0),
            (36, hold, 0),
            (37, Troubles::NONE, 0),
            (56, Troubles::NONE, 0),
            (57, Troubles::NONE, 1),
        ];
        for (ms, troubles, turned) in story {
            assert_eq!(alarms.turn(troubles, at(ms)), turned, "at {ms} ms");
            assert_eq!(alarms.raised(), u32::from((16..57).contains(&ms)), "at {ms} ms");
        }
        assert_eq!(alarms.turn(Troubles::NONE.with_if(true, Trouble::Operator), at(60)), 0, "none of its own");
    }

    #[test]
    fn every_trouble_has_a_bit_of_its_own() {
        let all = [
            Trouble::NotInCharge,
            Trouble::Hold,
            Trouble::Fallback,
            Trouble::Release,
            Trouble::Tripped,
            Trouble::InputBad,
            Trouble::PolicyExpired,
            Trouble::Operator,
            Trouble::SlotsSkipped,
            Trouble::WriteRefused,
        ];
        let one = |trouble| Troubles::NONE.with_if(true, trouble);
        for (place, trouble) in all.into_iter().enumerate() {
            let meets: Vec<_> = all.into_iter().map(|other| one(other).meet(one(trouble))).collect();
            assert!(meets.iter().enumerate().all(|(other, meet)| *meet == (other == place)), "{trouble:?}");
        }
        assert!(!Troubles::NONE.with_if(false, Trouble::Hold).meet(one(Trouble::Hold)));
    }

    proptest! {
        #[test]
        fn f95_whatever_comes_and_goes_an_alarm_rings_at_most_once_in_its_off_delay(
            steps in proptest::collection::vec((1_u64..5_000, any::<bool>()), 1..400),
        ) {
            let mut alarms = alarm(0, 60_000);
            let (mut ms, mut rang) = (0, Vec::new());
            for (pause, is_there) in steps {
                ms += pause;
                let turned = alarms.turn(Troubles::NONE.with_if(is_there, Trouble::Hold), at(ms));
                if turned & alarms.raised() != 0 {
                    rang.push(ms);
                }
            }
            prop_assert!(rang.windows(2).all(|pair| pair[1] - pair[0] >= 60_000), "{rang:?}");
        }
    }
}
