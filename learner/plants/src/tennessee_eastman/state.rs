//! The state of the plant, and how it moves on.

use super::streams::Holdup;
use super::valves::Valves;

/// The fifty states: four hold-ups of nine, two temperatures, twelve valves.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) reactor: Holdup,
    pub(super) separator: Holdup,
    pub(super) stripper: Holdup,
    pub(super) feed_zone: Holdup,
    /// Cooling water at the outlets of reactor and condenser, degC.
    pub(super) waters_c: [f64; 2],
    pub(super) valves: Valves,
}

impl State {
    /// The published base case.
    pub(super) fn base() -> Self {
        Self {
            reactor: Holdup {
                moles: [
                    10.404_913_89,
                    4.363_996_017,
                    7.570_059_737,
                    0.423_004_243_1,
                    24.155_134_37,
                    2.942_597_645,
                    154.377_065_5,
                    159.186_596_0,
                ],
                energy: 2.808_522_723,
            },
            separator: Holdup {
                moles: [
                    63.755_811_99,
                    26.740_260_66,
                    46.385_324_32,
                    0.246_452_154_3,
                    15.204_844_04,
                    1.852_266_172,
                    52.446_394_59,
                    41.203_940_08,
                ],
                energy: 0.569_931_776_0,
            },
            stripper: Holdup {
                moles: [
                    0.430_605_637_6,
                    7.990_620_078_3e-3,
                    0.905_603_608_9,
                    1.605_425_821_6e-2,
                    0.750_975_968_7,
                    8.858_285_595_5e-2,
                    48.277_261_93,
                    39.384_590_28,
                ],
                energy: 0.375_529_725_7,
            },
            feed_zone: Holdup {
                moles: [
                    107.756_269_8,
                    29.772_505_46,
                    88.324_811_35,
                    23.039_295_07,
                    62.858_487_94,
                    5.546_318_688,
                    11.922_447_72,
                    5.555_448_243,
                ],
                energy: 0.921_848_976_2,
            },
            waters_c: [94.599_275_49, 77.296_983_53],
            valves: Valves::at_rest(),
        }
    }

    /// Goes on for so many hours at these rates, all but the valves. A hold-up of a component cannot be negative.
    pub(super) fn advance(&mut self, rates: &Rates, hours: f64) {
        let holdups = [&mut self.reactor, &mut self.separator, &mut self.stripper, &mut self.feed_zone];
        for (holdup, rate) in holdups.into_iter().zip(&rates.holdups) {
            for (moles, rate) in holdup.moles.iter_mut().zip(rate.moles) {
                *moles = (*moles + hours * rate).max(0.0);
            }
            holdup.energy += hours * rate.energy;
        }
        for (celsius, rate) in self.waters_c.iter_mut().zip(rates.waters_c) {
            *celsius += hours * rate;
        }
    }
}

/// How fast a state changes, per hour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    /// Of reactor, separator, stripper and feed zone.
    pub(super) holdups: [Holdup; 4],
    /// Of the cooling water, K/h.
    pub(super) waters_c: [f64; 2],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_that_is_used_up_is_not_owed() {
        let mut state = State::base();
        let used = Holdup { moles: [-1e6; 8], energy: -0.5 };
        let rates = Rates { holdups: [used, Holdup::default(), Holdup::default(), used], waters_c: [2.0, -2.0] };
        state.advance(&rates, 0.5);
        assert_eq!((state.reactor.moles, state.feed_zone.moles), ([0.0; 8], [0.0; 8]));
        assert_eq!(state.reactor.energy, State::base().reactor.energy - 0.25);
        assert_eq!(state.separator.moles, State::base().separator.moles);
        assert_eq!(state.waters_c, [State::base().waters_c[0] + 1.0, State::base().waters_c[1] - 1.0]);
    }
}
