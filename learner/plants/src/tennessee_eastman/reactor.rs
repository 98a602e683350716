//! The reactor: four reactions in the vapour, cooled by water in tubes under the liquid.
//!
//! `A + C + D -> G`, `A + C + E -> H`, `A + E -> F`, `3 D -> 2 F`; all are exothermic and irreversible, and the heat of
//! the last two is neglected. The last one's rate depends on A, too, although A takes no part in it.

use super::components::{A, C, COUNT, D, E, F, G, H, Mixture};
use super::conditions::Conditions;
use super::thermodynamics::ZERO_C_IN_K;
use super::vessel::Vessel;

/// Volume of the vessel, ft^3.
pub(super) const VOLUME: f64 = 1300.0;
/// `ln k0` and `E / R` in K, of each reaction; rates are in lbmol/(h ft^3), pressures in mmHg.
const ARRHENIUS: [(f64, f64); 3] =
    [(31.585_953_6, 40_000.0 / 1.987), (3.000_940_14, 20_000.0 / 1.987), (53.406_044_3, 60_000.0 / 1.987)];
/// The rate constant of `3 D -> 2 F`, in that of `A + E -> F`.
const RATIO_D: f64 = 0.767_488_334;
/// Orders of the main reactions in A and C; in D or E it is 1.
const ORDER_A: f64 = 1.1544;
const ORDER_C: f64 = 0.3735;
/// Heat of the main reactions, MMBtu/lbmol.
const HEAT: [f64; 2] = [0.068_993_810_54, 0.05];
/// A liquid of this many ft^3 stands 1 % higher in the tubes.
const PERCENT_OF_TUBES: f64 = 7.8;
/// Heat transfer over covered tubes, MMBtu/(h K).
const HEAT_TRANSFER: f64 = 0.855_49;

/// What the reactions do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reaction {
    /// What arises of each component, lbmol/h.
    pub(super) made: Mixture,
    /// MMBtu/h.
    pub(super) heat: f64,
}

/// The reactions in the vapour of the reactor.
pub(super) fn react(reactor: &Vessel, conditions: &Conditions) -> Reaction {
    let kelvin = reactor.temperature_c + ZERO_C_IN_K;
    let pressures = &reactor.partial_pressures;
    let [to_g, to_h, to_f] = ARRHENIUS.map(|(ln_k0, activation)| libm::exp(ln_k0 - activation / kelvin));
    let main = if pressures[A] > 0.0 && pressures[C] > 0.0 {
        libm::pow(pressures[A], ORDER_A) * libm::pow(pressures[C], ORDER_C)
    } else {
        0.0
    };
    let [g, h, f_of_e, f_of_d] = [
        conditions.kinetics[0] * to_g * main * pressures[D],
        conditions.kinetics[1] * to_h * main * pressures[E],
        to_f * pressures[A] * pressures[E],
        to_f * RATIO_D * pressures[A] * pressures[D],
    ]
    .map(|rate| rate * reactor.vapour_volume);

    let mut made = [0.0; COUNT];
    made[A] = -g - h - f_of_e;
    made[C] = -g - h;
    made[D] = -g - 1.5 * f_of_d;
    made[E] = -h - f_of_e;
    made[F] = f_of_e + f_of_d;
    made[G] = g;
    made[H] = h;
    Reaction { made, heat: g * HEAT[0] + h * HEAT[1] }
}

/// The heat that the cooling water of `water_c` brings in, MMBtu/h: negative. `agitator` is its position, %.
pub(super) fn warm(reactor: &Vessel, water_c: f64, agitator: f64, conditions: &Conditions) -> f64 {
    let speed = (agitator + 150.0) / 100.0;
    let stirred = 2.75 * speed - 0.5 * speed * speed - 2.5;
    let covered = (0.025 * reactor.liquid_volume / PERCENT_OF_TUBES - 0.25).clamp(0.0, 1.0);
    covered * stirred * HEAT_TRANSFER * (water_c - reactor.temperature_c) * conditions.reactor_surface
}

#[cfg(test)]
mod tests {
    use super::super::components::COMPONENTS;
    use super::super::streams::Holdup;
    use super::*;

    /// A reactor that has plenty of everything.
    fn reactor() -> Vessel {
        let holdup = Holdup { moles: [10.0, 4.0, 8.0, 5.0, 24.0, 3.0, 150.0, 160.0], energy: 2.8 };
        Vessel::holding(&holdup, VOLUME)
    }

    #[test]
    fn reactions_make_no_mass_and_leave_b_alone() {
        let reaction = react(&reactor(), &Conditions::base());
        let mass = |made: &Mixture| made.iter().zip(&COMPONENTS).map(|(made, c)| made * c.molar_mass).sum::<f64>();
        let turned = mass(&reaction.made.map(f64::abs));
        assert!(turned > 1.0 && mass(&reaction.made).abs() < 1e-12 * turned, "{reaction:?}");
        assert_eq!(reaction.made[1], 0.0);
        assert!(reaction.heat > 0.0);
    }

    #[test]
    fn without_a_nothing_reacts() {
        let mut reactor = reactor();
        reactor.partial_pressures[A] = 0.0;
        let reaction = react(&reactor, &Conditions::base());
        assert!(reaction.heat == 0.0 && reaction.made.iter().all(|made| *made == 0.0), "{reaction:?}");
    }

    #[test]
    fn a_hot_reactor_reacts_faster_and_kinetics_scale_their_reaction() {
        let (cold, mut hot) = (reactor(), reactor());
        hot.temperature_c += 10.0;
        let slow = Conditions { kinetics: [0.5, 1.0], ..Conditions::base() };
        let made = |reactor: &Vessel, conditions: &Conditions| react(reactor, conditions).made;
        let base = made(&cold, &Conditions::base());
        let hotter = made(&hot, &Conditions::base());
        assert!(hotter[G] > base[G] && hotter[H] > base[H] && hotter[F] > base[F]);
        let slower = made(&cold, &slow);
        assert!((slower[G] - 0.5 * base[G]).abs() < 1e-9 && slower[H] == base[H]);
    }

    #[test]
    fn cooling_needs_covered_tubes_and_a_difference_of_temperatures() {
        let heat = |reactor: &Vessel, water_c| warm(reactor, water_c, 50.0, &Conditions::base());
        let full = reactor();
        assert_eq!(heat(&full, full.temperature_c), 0.0);
        let cooled = heat(&full, full.temperature_c - 10.0);
        // Agitator at 2.0: -2 + 5.5 - 2.5 = 1.
        assert!((cooled + 8.5549).abs() < 1e-9, "{cooled}");
        let half = Vessel { liquid_volume: 30.0 * PERCENT_OF_TUBES, ..full };
        assert!((heat(&half, full.temperature_c - 10.0) + 0.5 * 8.5549).abs() < 1e-9);
        let dry = Vessel { liquid_volume: 5.0 * PERCENT_OF_TUBES, ..full };
        assert_eq!(heat(&dry, 0.0), 0.0);
    }
}
