//! The eight components, A to H, and their constants as published.
//!
//! A, B and C are gases that dissolve but do not condense; D and E are what is fed to make G and H, the products; F is
//! their by-product. Properties stand in for those of the real substances, which Eastman did not disclose.

/// How many components there are.
pub(super) const COUNT: usize = 8;

/// A value for each component, from A to H: moles, fractions, flows.
pub(super) type Mixture = [f64; COUNT];

/// The gases: components that have no vapour pressure, and no hold-up in the liquids of reactor and separator.
pub(super) const GASES: std::ops::Range<usize> = A..D;

pub(super) const A: usize = 0;
pub(super) const B: usize = 1;
pub(super) const C: usize = 2;
pub(super) const D: usize = 3;
pub(super) const E: usize = 4;
pub(super) const F: usize = 5;
pub(super) const G: usize = 6;
pub(super) const H: usize = 7;

/// What is known of a component. Polynomials are of the temperature in degC, the constant term first.
#[derive(Debug)]
pub(super) struct Component {
    /// lb/lbmol.
    pub(super) molar_mass: f64,
    /// Antoine's `[a, b, c]`: the vapour pressure is `exp(a + b / (T + c))` mmHg. Meaningless for a gas.
    pub(super) antoine: [f64; 3],
    /// Density of the liquid, lb/ft^3.
    pub(super) density: [f64; 3],
    /// Heat capacity of the liquid, Btu/(lb degF).
    pub(super) liquid_heat: [f64; 3],
    /// Heat capacity of the vapour, Btu/(lb degF).
    pub(super) vapour_heat: [f64; 3],
    /// Heat of vaporisation at 0 degC, Btu/lb.
    pub(super) vaporisation: f64,
}

/// A gas; what is dissolved of it has, as published, a density and a heat capacity of 1.
const fn gas(molar_mass: f64, vapour_heat: [f64; 3]) -> Component {
    Component {
        molar_mass,
        antoine: [0.0; 3],
        density: [1.0, 0.0, 0.0],
        liquid_heat: [1.0, 0.0, 0.0],
        vapour_heat,
        vaporisation: 1.0,
    }
}

/// The components, A to H.
pub(super) const COMPONENTS: [Component; COUNT] = [
    gas(2.0, [3.411, 7.18e-4, 6.0e-7]),
    gas(25.4, [0.3799, 1.08e-3, -3.98e-7]),
    gas(28.0, [0.2491, 1.36e-5, -3.93e-8]),
    Component {
        molar_mass: 32.0,
        antoine: [15.92, -1444.0, 259.0],
        density: [23.3, -0.0700, -0.0002],
        liquid_heat: [0.960, 8.70e-3, 4.81e-5],
        vapour_heat: [0.3567, 8.51e-4, -3.12e-7],
        vaporisation: 86.7,
    },
    Component {
        molar_mass: 46.0,
        antoine: [16.35, -2114.0, 265.5],
        density: [33.9, -0.0957, -0.000_152],
        liquid_heat: [0.573, 2.41e-3, 1.82e-5],
        vapour_heat: [0.3463, 8.96e-4, -3.27e-7],
        vaporisation: 160.0,
    },
    Component {
        molar_mass: 48.0,
        antoine: [16.35, -2114.0, 265.5],
        density: [32.8, -0.0995, -0.000_233],
        liquid_heat: [0.652, 2.18e-3, 1.94e-5],
        vapour_heat: [0.3930, 1.02e-3, -3.12e-7],
        vaporisation: 160.0,
    },
    Component {
        molar_mass: 62.0,
        antoine: [16.43, -2748.0, 232.9],
        density: [49.9, -0.0191, -0.000_425],
        liquid_heat: [0.515, 5.65e-4, 3.82e-6],
        vapour_heat: [0.170, 0.0, 0.0],
        vaporisation: 225.0,
    },
    Component {
        molar_mass: 76.0,
        antoine: [17.21, -3318.0, 249.6],
        density: [50.5, -0.0541, -0.000_150],
        liquid_heat: [0.471, 8.70e-4, 2.62e-6],
        vapour_heat: [0.150, 0.0, 0.0],
        vaporisation: 209.0,
    },
];

/// The parts of each component in the whole; the whole is not empty.
pub(super) fn fractions(moles: &Mixture) -> Mixture {
    let total: f64 = moles.iter().sum();
    moles.map(|moles| moles / total)
}

/// Mean molar mass of a mixture, lb/lbmol.
pub(super) fn molar_mass(fractions: &Mixture) -> f64 {
    fractions.iter().zip(&COMPONENTS).map(|(part, component)| part * component.molar_mass).sum()
}
