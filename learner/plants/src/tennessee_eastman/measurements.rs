//! The 41 published measurements: 22 that are always there, and three analysers that sample, each with its dead time.

use super::components::{self, A, D, F, Mixture};
use super::flowsheet::{Flowsheet, Units};
use super::separator::ATMOSPHERE;
use super::stripper;
use crate::Signal;
use crate::noise::Noise;

/// How many measurements there are.
pub(super) const COUNT: usize = CONTINUOUS + ANALYSED;
/// How many are always there.
const CONTINUOUS: usize = 22;
/// How many components the analysers report.
const ANALYSED: usize = 19;
/// How many of these, from the first on, are of gas, by the faster analysers.
const ANALYSED_GAS: usize = 14;
/// Both the time between samples and that from a sample to its result, s.
const GAS_SAMPLE_S: u64 = 360;
const PRODUCT_SAMPLE_S: u64 = 900;

/// From lbmol/h to thousands of standard cubic metres per hour.
const KSCMH: f64 = 0.359 / 35.3145;
/// From lb to kg.
const KG: f64 = 0.454;
/// From ft^3 to m^3.
pub(super) const M3: f64 = 1.0 / 35.3145;
/// From MMBtu/h to kW.
const KW: f64 = 293.07;
/// From MMBtu/h to the lb/h of steam that bring it.
const STEAM: f64 = 1.04e3;
/// Molar masses by which the feeds of D and E are shown, lb/lbmol.
const D_FEED_MASS: f64 = 0.9999 * 32.0 + 0.0001 * 25.4;
const E_FEED_MASS: f64 = 0.9999 * 46.0 + 0.0001 * 48.0;
/// Volumes at 0 % of a level, and from there to 100 %, ft^3.
const REACTOR_FT3: [f64; 2] = [84.6, 666.7];
const SEPARATOR_FT3: [f64; 2] = [27.5, 290.0];
const STRIPPER_FT3: [f64; 2] = [78.25, stripper::VOLUME];

/// Places of measurements that loops and costs use.
pub(super) const A_FEED: usize = 0;
pub(super) const D_FEED: usize = 1;
pub(super) const E_FEED: usize = 2;
pub(super) const AC_FEED: usize = 3;
pub(super) const REACTOR_PRESSURE: usize = 6;
pub(super) const REACTOR_LEVEL: usize = 7;
pub(super) const REACTOR_TEMPERATURE: usize = 8;
pub(super) const PURGE: usize = 9;
pub(super) const SEPARATOR_TEMPERATURE: usize = 10;
pub(super) const SEPARATOR_LEVEL: usize = 11;
pub(super) const STRIPPER_LEVEL: usize = 14;
pub(super) const PRODUCT: usize = 16;
pub(super) const STEAM_FLOW: usize = 18;
pub(super) const COMPRESSOR_WORK: usize = 19;
/// The purge's A; B to H follow.
pub(super) const PURGE_A: usize = 28;
/// The product's D; E to H follow.
pub(super) const PRODUCT_D: usize = 36;
pub(super) const PRODUCT_G: usize = 39;

const fn measured(name: &'static str, unit: &'static str, range: [f64; 2], nominal: f64) -> Signal {
    Signal { name, unit, lo: range[0], hi: range[1], nominal }
}

const fn analysed(name: &'static str, nominal: f64) -> Signal {
    Signal { name, unit: "mol%", lo: 0.0, hi: 100.0, nominal }
}

/// The measurements in their published order, XMEAS(1) to XMEAS(41), with their values in the base case.
pub(super) const SIGNALS: [Signal; COUNT] = [
    measured("a_feed", "kscmh", [0.0, 1.1], 0.250_521_376_784),
    measured("d_feed", "kg/h", [0.0, 6_000.0], 3_664.038_884_86),
    measured("e_feed", "kg/h", [0.0, 8_600.0], 4_509.268_390_17),
    measured("ac_feed", "kscmh", [0.0, 16.0], 9.347_742_342_51),
    measured("recycle", "kscmh", [0.0, 80.0], 26.902_440_399_6),
    measured("reactor_feed", "kscmh", [0.0, 120.0], 42.338_848_856_3),
    measured("reactor_pressure", "kPa", [0.0, 3_050.0], 2_705.000_000_05),
    measured("reactor_level", "%", [-10.0, 130.0], 74.999_999_980_9),
    measured("reactor_temperature", "degC", [0.0, 180.0], 120.400_000_002),
    measured("purge", "kscmh", [0.0, 1.5], 0.337_117_051_303),
    measured("separator_temperature", "degC", [0.0, 180.0], 80.109_402_259_3),
    measured("separator_level", "%", [-10.0, 150.0], 49.999_999_995_7),
    measured("separator_pressure", "kPa", [0.0, 3_050.0], 2_633.727_883_13),
    measured("separator_underflow", "m3/h", [0.0, 80.0], 25.160_173_384_9),
    measured("stripper_level", "%", [-40.0, 150.0], 50.000_000_004_5),
    measured("stripper_pressure", "kPa", [0.0, 4_000.0], 3_102.213_137_24),
    measured("product", "m3/h", [0.0, 60.0], 22.948_730_089_8),
    measured("stripper_temperature", "degC", [0.0, 180.0], 65.731_029_034_1),
    measured("steam", "kg/h", [0.0, 1_500.0], 230.307_820_405),
    measured("compressor_work", "kW", [-100.0, 1_000.0], 341.433_650_845),
    measured("reactor_water", "degC", [0.0, 180.0], 94.599_275_49),
    measured("condenser_water", "degC", [0.0, 180.0], 77.296_983_53),
    analysed("feed_a", 32.187_613_094_5),
    analysed("feed_b", 8.893_272_645_56),
    analysed("feed_c", 26.383_289_433_2),
    analysed("feed_d", 6.882_011_757_27),
    analysed("feed_e", 18.776_305_947_4),
    analysed("feed_f", 1.656_727_356_65),
    analysed("purge_a", 32.957_537_290_8),
    analysed("purge_b", 13.822_945_867_4),
    analysed("purge_c", 23.978_144_239_8),
    analysed("purge_d", 1.256_542_484_66),
    analysed("purge_e", 18.579_269_702_5),
    analysed("purge_f", 2.263_341_385_14),
    analysed("purge_g", 4.843_640_954_52),
    analysed("purge_h", 2.298_578_075_11),
    analysed("product_d", 0.017_865_524_957_2),
    analysed("product_e", 0.835_702_262_325),
    analysed("product_f", 0.098_576_913_523_5),
    analysed("product_g", 53.723_978_789_3),
    analysed("product_h", 43.828_021_893_6),
];

/// Published deviations of the noise, in the measurements' units and order.
const NOISE_CONTINUOUS: [f64; CONTINUOUS] = [
    0.0012, 18.0, 22.0, 0.05, 0.2, 0.21, 0.3, 0.5, 0.01, 0.0017, 0.01, 1.0, 0.3, 0.125, 1.0, 0.3, 0.115, 0.01, 1.15,
    0.2, 0.01, 0.01,
];
const NOISE_ANALYSED: [f64; ANALYSED] =
    [0.25, 0.1, 0.25, 0.1, 0.25, 0.025, 0.25, 0.1, 0.25, 0.1, 0.25, 0.025, 0.05, 0.05, 0.01, 0.01, 0.01, 0.5, 0.5];

/// From an absolute pressure, mmHg, to kPa above the atmosphere.
pub(super) fn gauge_kpa(pressure: f64) -> f64 {
    (pressure - ATMOSPHERE) / ATMOSPHERE * 101.325
}

fn level([empty, span]: [f64; 2], volume: f64) -> f64 {
    (volume - empty) / span * 100.0
}

/// The measurements that are always there, without noise.
fn continuous(flowsheet: &Flowsheet) -> [f64; CONTINUOUS] {
    let Flowsheet { units, streams, heats, waters_c, .. } = flowsheet;
    let Units { reactor, separator, stripper, feed_zone } = units;
    [
        streams.a_feed.flow * KSCMH,
        streams.d_feed.flow * D_FEED_MASS * KG,
        streams.e_feed.flow * E_FEED_MASS * KG,
        streams.ac_feed.flow * KSCMH,
        streams.recycle.flow * KSCMH,
        streams.reactor_feed.flow * KSCMH,
        gauge_kpa(reactor.pressure),
        level(REACTOR_FT3, reactor.liquid_volume),
        reactor.temperature_c,
        streams.purge.flow * KSCMH,
        separator.temperature_c,
        level(SEPARATOR_FT3, separator.liquid_volume),
        gauge_kpa(separator.pressure),
        streams.underflow.flow / separator.density * M3,
        level(STRIPPER_FT3, stripper.liquid_volume),
        gauge_kpa(feed_zone.pressure),
        streams.product.flow / stripper.density * M3,
        stripper.temperature_c,
        heats.stripper * STEAM * KG,
        flowsheet.compressor_work * KW,
        waters_c[0],
        waters_c[1],
    ]
}

/// What the analysers would find now: A to F of the reactor's feed, A to H of the purge, D to H of the product, mol%.
fn analyses(flowsheet: &Flowsheet) -> [f64; ANALYSED] {
    let streams = &flowsheet.streams;
    let parts: [(&Mixture, std::ops::Range<usize>); 3] = [
        (&streams.reactor_feed.fractions, A..F + 1),
        (&streams.purge.fractions, A..components::COUNT),
        (&streams.product.fractions, D..components::COUNT),
    ];
    let mut found = [0.0; ANALYSED];
    let all = parts.into_iter().flat_map(|(fractions, range)| &fractions[range]);
    for (found, part) in found.iter_mut().zip(all) {
        *found = 100.0 * part;
    }
    found
}

/// Sensors and analysers.
#[derive(Debug, Clone)]
pub(super) struct Instruments {
    noise: Noise,
    /// Factor of the published noise.
    noise_scale: f64,
    /// Samples on their way through the analysers.
    sampled: [f64; ANALYSED],
    readings: [f64; COUNT],
}

impl Instruments {
    /// They begin with what there is, without noise.
    pub(super) fn new(seed: u64, noise_scale: f64, flowsheet: &Flowsheet) -> Self {
        let noise = Noise::new(seed, "tennessee eastman measurements");
        let mut instruments = Self { noise, noise_scale, sampled: [0.0; ANALYSED], readings: [0.0; COUNT] };
        instruments.restart(flowsheet);
        instruments
    }

    /// As at the beginning; the noise goes on.
    pub(super) fn restart(&mut self, flowsheet: &Flowsheet) {
        self.sampled = analyses(flowsheet);
        self.readings[..CONTINUOUS].copy_from_slice(&continuous(flowsheet));
        self.readings[CONTINUOUS..].copy_from_slice(&self.sampled);
    }

    /// Lets the analysers do what they have to after so many seconds.
    pub(super) fn sample(&mut self, flowsheet: &Flowsheet, seconds: u64) {
        let runs = [(0..ANALYSED_GAS, GAS_SAMPLE_S), (ANALYSED_GAS..ANALYSED, PRODUCT_SAMPLE_S)];
        for (run, period_s) in runs {
            if !seconds.is_multiple_of(period_s) {
                continue;
            }
            let found = analyses(flowsheet);
            for i in run {
                self.show(CONTINUOUS + i, self.sampled[i], NOISE_ANALYSED[i]);
                self.sampled[i] = found[i];
            }
        }
    }

    /// Reads the sensors.
    pub(super) fn sense(&mut self, flowsheet: &Flowsheet) {
        for ((index, value), deviation) in continuous(flowsheet).into_iter().enumerate().zip(NOISE_CONTINUOUS) {
            self.show(index, value, deviation);
        }
    }

    fn show(&mut self, index: usize, value: f64, deviation: f64) {
        let signal = &SIGNALS[index];
        let noisy = value + self.noise_scale * deviation * self.noise.normal();
        self.readings[index] = noisy.clamp(signal.lo, signal.hi);
    }

    /// What is shown, in the order of [`SIGNALS`].
    pub(super) fn readings(&self) -> &[f64; COUNT] {
        &self.readings
    }
}

#[cfg(test)]
mod tests {
    use super::super::conditions::Conditions;
    use super::super::state::State;
    use super::*;

    fn base() -> Flowsheet {
        Flowsheet::of(&State::base(), &Conditions::base())
    }

    /// Tables 3 to 5 of the paper, base case.
    const PUBLISHED: [f64; COUNT] = [
        0.250_52, 3664.0, 4509.3, 9.3477, 26.902, 42.339, 2705.0, 75.0, 120.40, 0.337_12, 80.109, 50.0, 2633.7, 25.160,
        50.0, 3102.2, 22.949, 65.731, 230.31, 341.43, 94.599, 77.297, 32.188, 8.8933, 26.383, 6.8820, 18.776, 1.6567,
        32.958, 13.823, 23.978, 1.2565, 18.579, 2.2633, 4.8436, 2.2986, 0.017_87, 0.835_70, 0.098_58, 53.724, 43.828,
    ];

    #[test]
    fn the_base_case_measures_as_published() {
        let instruments = Instruments::new(1, 1.0, &base());
        for ((found, published), signal) in instruments.readings().iter().zip(PUBLISHED).zip(&SIGNALS) {
            // Five digits are published, at most five of them decimals: half of the last is no more than this.
            let tolerance = (published * 5e-5_f64).max(5e-6);
            assert!((found - published).abs() <= tolerance, "{}: {found}, published {published}", signal.name);
        }
    }

    #[test]
    fn noise_has_the_published_deviation_and_can_be_scaled() {
        for scale in [0.0, 1.0, 2.0] {
            let flowsheet = base();
            let mut instruments = Instruments::new(1, scale, &flowsheet);
            let square = |instruments: &mut Instruments| {
                instruments.sense(&flowsheet);
                let error = instruments.readings()[D_FEED] - continuous(&flowsheet)[D_FEED];
                error * error
            };
            let deviation = ((0..4_000).map(|_| square(&mut instruments)).sum::<f64>() / 4_000.0).sqrt();
            assert!((deviation - 18.0 * scale).abs() < 1.0, "{deviation}");
        }
    }

    #[test]
    fn an_analyser_shows_a_sample_when_the_next_one_is_taken() {
        let (mut now, mut later) = (base(), base());
        let mut instruments = Instruments::new(1, 0.0, &now);
        later.streams.purge.fractions[A] = 0.5;
        later.streams.product.fractions[D] = 0.25;
        let shown = |instruments: &Instruments| [instruments.readings()[PURGE_A], instruments.readings()[PRODUCT_D]];
        let before = shown(&instruments);
        let mut seen = vec![];
        for seconds in 1..=2_000 {
            if seconds == 100 {
                now = later;
            }
            instruments.sample(&now, seconds);
            let found = shown(&instruments);
            seen.push([found[0] != before[0], found[1] != before[1]]);
        }
        // Sampled at 360 s and 900 s, shown one period later.
        assert_eq!(seen.iter().position(|seen| seen[0]), Some(720 - 1));
        assert_eq!(seen.iter().position(|seen| seen[1]), Some(1_800 - 1));
        assert_eq!(shown(&instruments), [50.0, 25.0]);
    }
}
