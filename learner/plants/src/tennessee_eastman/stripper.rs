//! The stripper: the feed of A and C strips what is light out of the liquid of the separator.

use super::components::{COUNT, Mixture};
use super::streams::Stream;

/// Volume of the base, ft^3.
pub(super) const VOLUME: f64 = 156.5;
/// Below this flow of liquid, lbmol/h, nearly everything is stripped.
const LIQUID_FLOW_MIN: f64 = 0.1;
/// How easily D to H are stripped; gases nearly all go up, as far as [`STRIPPED`] says.
const EASE: [f64; 5] = [8.5010, 11.402, 11.795, 0.0480, 0.0242];
/// The part of each component that goes up: of A, B and C always, of the others without liquid.
const STRIPPED: Mixture = [0.995, 0.991, 0.990, 0.9999, 0.999, 0.999, 0.99, 0.98];
/// What warmth is worth at least. Ours from 6 to 20 degC, where the published correlation goes below zero.
const WARMTH_MIN: f64 = 0.1;
/// The temperature of the steam, degC.
const STEAM_C: f64 = 100.0;

/// What leaves the stripping section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    /// Upwards, to the feed zone.
    pub(super) overhead: Stream,
    /// Downwards, into the base.
    pub(super) bottoms: Stream,
}

/// The part of each component that goes up, of `gas` and `liquid` lbmol/h.
fn stripped(gas: f64, liquid: f64, celsius: f64) -> Mixture {
    let mut parts = STRIPPED;
    if liquid > LIQUID_FLOW_MIN {
        let warmth = if celsius > 170.0 {
            celsius - 120.262
        } else {
            (363.744 / (177.0 - celsius) - 2.225_794_88).max(WARMTH_MIN)
        };
        let factor = gas / liquid * warmth;
        for (part, ease) in parts[COUNT - EASE.len()..].iter_mut().zip(EASE) {
            *part = ease * factor / (1.0 + ease * factor);
        }
    }
    parts
}

/// Strips `liquid` by `gas` at the temperature of the base.
pub(super) fn strip(gas: &Stream, liquid: &Stream, celsius: f64) -> Split {
    let (mut up, mut down) = ([0.0; COUNT], [0.0; COUNT]);
    for (i, part) in stripped(gas.flow, liquid.flow, celsius).iter().enumerate() {
        let fed = gas.flow * gas.fractions[i] + liquid.flow * liquid.fractions[i];
        up[i] = part * fed;
        down[i] = fed - up[i];
    }
    let [overhead, bottoms] = [up, down].map(|moles| {
        let flow: f64 = moles.iter().sum();
        (flow, moles.map(|moles| moles / flow))
    });
    Split {
        overhead: Stream::vapour(overhead.0, overhead.1, celsius),
        bottoms: Stream::liquid(bottoms.0, bottoms.1, celsius),
    }
}

/// The heat of the steam, MMBtu/h, over `transfer` MMBtu/(h K).
pub(super) fn warm(transfer: f64, celsius: f64) -> f64 {
    transfer * (STEAM_C - celsius).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAS: Mixture = [0.485, 0.005, 0.51, 0.0, 0.0, 0.0, 0.0, 0.0];
    const LIQUID: Mixture = [0.0, 0.0, 0.0, 0.01, 0.13, 0.02, 0.47, 0.37];

    fn split(liquid: f64, celsius: f64) -> Split {
        strip(&Stream::vapour(900.0, GAS, 45.0), &Stream::liquid(liquid, LIQUID, 80.0), celsius)
    }

    #[test]
    fn what_goes_in_comes_out_above_or_below() {
        for liquid in [0.0, 0.05, 570.0] {
            let Split { overhead, bottoms } = split(liquid, 65.0);
            for i in 0..COUNT {
                let fed = 900.0 * GAS[i] + liquid * LIQUID[i];
                let out = overhead.flow * overhead.fractions[i] + bottoms.flow * bottoms.fractions[i];
                assert!((fed - out).abs() < 1e-9, "{i}: {fed} {out}");
            }
        }
    }

    #[test]
    fn warmth_strips_more_from_twenty_degrees_on() {
        let up = |celsius| stripped(900.0, 570.0, celsius)[4];
        assert!(up(0.0) == up(13.0) && up(0.0) > 0.0);
        let celsius = [0.0, 30.0, 65.0, 100.0, 150.0, 169.0, 180.0];
        assert!(celsius.windows(2).all(|pair| up(pair[0]) < up(pair[1])), "{:?}", celsius.map(up));
        assert!(stripped(900.0, 570.0, 65.0)[6] < 0.1);
    }

    #[test]
    fn steam_does_not_cool() {
        assert_eq!(warm(0.01, 120.0), 0.0);
        assert!((warm(0.01, 60.0) - 0.4).abs() < 1e-12);
    }
}
