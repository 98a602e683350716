use proptest::prelude::*;
use rt_config::Imputer;

use super::*;
use crate::kernels::KernelKind;
use crate::testing::{DOSE_SP, FEED_SP, LEVEL, LEVEL_ERROR, Luggage, PUMP_RUNNING, QUALITY, site};

const TRACED: [usize; 5] = [FEED_SP, DOSE_SP, LEVEL, QUALITY, LEVEL_ERROR];
/// Of the example's five tags in the state: two.
const SHARE: f64 = 0.4;
const MISSING_MAX: usize = 2;

/// The example site, whose level and quality are imputed by the network.
fn imputing(horizon: u32) -> Site {
    let mut site = site();
    for tag in [LEVEL, QUALITY] {
        site.tags[tag].imputer = Imputer { rule: ImputerRule::MaskedAutoencoder { missing_max: SHARE }, horizon };
    }
    site
}

/// A network of arbitrary parameters.
fn net(shape: &ImputerShape, seed: u32, scale: f32) -> PackedNet {
    let spec = shape.spec();
    let mut random = seed;
    let mut draw = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((random >> 8) as f32 / (1 << 24) as f32 - 0.5) * scale
    };
    let parameters: Vec<f32> = (0..spec.parameters()).map(|_| draw()).collect();
    let mut net = PackedNet::new(&spec).unwrap();
    net.pack(&parameters).unwrap();
    net
}

/// An autoencoder with traces, as the pipeline has them.
#[derive(Clone)]
struct Rig {
    autoencoder: Autoencoder,
    traces: Traces,
}

impl Rig {
    fn new(site: &Site) -> Self {
        let traced = TRACED.map(|tag| (tag, site.tags[tag].normal_range.unwrap()));
        Self { autoencoder: Autoencoder::new(site, &traced).unwrap(), traces: Traces::new(&traced, &site.agent.traces) }
    }

    /// What becomes of an observation, and whether something was imputed.
    fn observe(&mut self, imputer: Option<TrainedImputer<'_>>, row: &[Option<f64>; 5]) -> ([Option<f64>; 5], bool) {
        let (mut values, mut fresh) = ([None; PUMP_RUNNING + 1], [false; PUMP_RUNNING + 1]);
        for (tag, value) in TRACED.iter().zip(row) {
            (values[*tag], fresh[*tag]) = (*value, value.is_some());
        }
        self.autoencoder.fill(imputer, &self.traces, &mut values, &mut fresh);
        self.traces.update(&values);
        assert_eq!(self.autoencoder.all_read(), row.iter().all(Option::is_some));
        assert_eq!(values.map(|value| value.is_some()), fresh);
        let values = TRACED.map(|tag| values[tag]);
        (values, values != *row)
    }
}

const GOOD: [Option<f64>; 5] = [Some(0.2), Some(0.1), Some(0.5), Some(0.6), Some(0.1)];

fn without(row: [Option<f64>; 5], missing: &[usize]) -> [Option<f64>; 5] {
    std::array::from_fn(|at| row[at].filter(|_| !missing.contains(&TRACED[at])))
}

#[test]
fn the_shape_is_that_of_the_tags_with_traces() {
    assert_eq!(ImputerShape::of(&site()), None);
    let shape = ImputerShape::of(&imputing(7)).unwrap();
    assert_eq!(shape, ImputerShape { tags: 5, traces: 4, last: 0, missing_max: MISSING_MAX, horizon: 7 });
    let spec = shape.spec();
    assert_eq!((spec.check(), spec.inputs(), spec.outputs()), (Ok(()), 5 * 6, 5));
    let mut later = imputing(7);
    later.agent.traces = vec![0.9, 0.0];
    assert_eq!(ImputerShape::of(&later).unwrap().last, 1);
}

#[test]
fn what_nobody_has_trained_imputes_nothing() {
    let mut rig = Rig::new(&imputing(10));
    rig.observe(None, &GOOD);
    let row = without(GOOD, &[LEVEL]);
    assert_eq!(rig.observe(None, &row), (row, false));
}

#[test]
fn the_network_sees_traces_values_and_masks_and_says_how_far_a_value_has_moved() {
    let site = imputing(10);
    let mut rig = Rig::new(&site);
    let shape = rig.autoencoder.shape;
    // Only the last biases: 0.25 for the level, whose range is 0 to 1.
    let mut parameters = vec![0.0; shape.spec().parameters()];
    let first_bias = parameters.len() - shape.tags;
    parameters[first_bias + 2] = 0.25;
    let mut net = PackedNet::new(&shape.spec()).unwrap();
    net.pack(&parameters).unwrap();
    let imputer = Some(TrainedImputer { net: &net, kernel: Kernel::best() });

    assert_eq!(rig.observe(imputer, &GOOD), (GOOD, false));
    let mut moved = without(GOOD, &[LEVEL]);
    moved[0] = Some(0.4);
    let (values, imputed) = rig.observe(imputer, &moved);
    assert_eq!((values[2], values[0], imputed), (Some(0.75), Some(0.4), true));
    let [traces, present, masks] = shape.parts(&mut rig.autoencoder.inputs);
    assert_eq!(traces.len(), 20);
    assert_eq!(traces[..4], [0.4; 4], "0.2 of 0 to 0.5, as the observation before left it");
    assert_eq!(present[..3], [0.8, 0.2, 0.0]);
    assert_eq!(masks, [1.0, 1.0, 0.0, 1.0, 1.0]);
    // It went into the traces, so the next one goes on from it; the range ends at 1.5.
    let later: Vec<_> = (0..4).map(|_| rig.observe(imputer, &moved).0[2].unwrap()).collect();
    assert_eq!(later, [1.0, 1.25, 1.5, 1.5]);
}

#[test]
fn a_tag_that_was_never_read_is_not_imputed() {
    let site = imputing(10);
    let mut rig = Rig::new(&site);
    let net = net(&rig.autoencoder.shape, 3, 0.2);
    let imputer = Some(TrainedImputer { net: &net, kernel: Kernel::best() });
    let row = without(GOOD, &[LEVEL]);
    for _ in 0..3 {
        assert_eq!(rig.observe(imputer, &row), (row, false));
    }
    rig.observe(imputer, &GOOD);
    assert!(rig.observe(imputer, &row).1);
}

#[test]
fn answers_that_are_no_numbers_leave_the_value_missing() {
    let site = imputing(10);
    let mut rig = Rig::new(&site);
    let shape = rig.autoencoder.shape;
    let mut net = PackedNet::new(&shape.spec()).unwrap();
    net.pack(&vec![f32::NAN; shape.spec().parameters()]).unwrap();
    let imputer = Some(TrainedImputer { net: &net, kernel: Kernel::best() });
    rig.observe(imputer, &GOOD);
    let row = without(GOOD, &[LEVEL]);
    assert_eq!(rig.observe(imputer, &row), (row, false));
}

#[test]
fn its_memory_is_carried() {
    let site = imputing(3);
    let mut rig = Rig::new(&site);
    let net = net(&rig.autoencoder.shape, 3, 0.2);
    let imputer = Some(TrainedImputer { net: &net, kernel: Kernel::best() });
    rig.observe(imputer, &GOOD);
    rig.observe(imputer, &without(GOOD, &[LEVEL]));
    let mut luggage = Luggage::default();
    rig.autoencoder.carry(&mut luggage);
    luggage.arrive();
    let mut successor = Rig { autoencoder: Rig::new(&site).autoencoder, traces: rig.traces.clone() };
    successor.autoencoder.carry(&mut luggage);
    assert!(luggage.is_unpacked());
    for _ in 0..4 {
        let row = without(GOOD, &[LEVEL]);
        assert_eq!(rig.observe(imputer, &row), successor.observe(imputer, &row));
    }
}

/// Rows of the five tags, in their ranges or missing.
fn rows() -> impl Strategy<Value = Vec<[Option<f64>; 5]>> {
    let tag = |lo: f64, hi: f64| prop::option::weighted(0.75, lo..hi);
    let row = (tag(0.0, 0.5), tag(0.0, 0.5), tag(-0.5, 1.5), tag(0.0, 1.0), tag(0.0, 1.0));
    prop::collection::vec(row.prop_map(|(a, b, c, d, e)| [a, b, c, d, e]), 1..60)
}

proptest! {
    #[test]
    fn nothing_is_imputed_above_the_share_beyond_the_horizon_outside_the_range_or_over_a_reading(
        rows in rows(),
        horizon in 1..5_u32,
        seed in any::<u32>(),
        scale in 0.1..4.0_f32,
    ) {
        let site = imputing(horizon);
        let mut rig = Rig::new(&site);
        let net = net(&rig.autoencoder.shape, seed, scale);
        let imputer = Some(TrainedImputer { net: &net, kernel: Kernel::best() });
        let mut since = [None; 5];
        for row in &rows {
            let (values, imputed) = rig.observe(imputer, row);
            let missing = row.iter().filter(|value| value.is_none()).count();
            let filled = |at: usize| row[at].is_none() && values[at].is_some();
            prop_assert_eq!(imputed, (0..5).any(filled));
            for at in 0..5 {
                since[at] = if row[at].is_some() { Some(0) } else { since[at].map(|since: u32| since + 1) };
                prop_assert!(row[at].is_none() || row[at] == values[at]);
                let may = [LEVEL, QUALITY].contains(&TRACED[at])
                    && missing <= MISSING_MAX
                    && since[at].is_some_and(|since| (1..=horizon).contains(&since));
                prop_assert_eq!(filled(at), may);
                let tag = &site.tags[TRACED[at]];
                let Range { lo, hi } = tag.operating_range.or(tag.normal_range).unwrap();
                prop_assert!(!filled(at) || values[at].is_some_and(|value| (lo..=hi).contains(&value)));
            }
        }
    }

    #[test]
    fn every_kernel_imputes_the_same_bits(rows in rows(), seed in any::<u32>()) {
        let site = imputing(10);
        let rig = Rig::new(&site);
        let net = net(&rig.autoencoder.shape, seed, 0.4);
        let kinds = [KernelKind::Scalar, KernelKind::Avx2, KernelKind::Avx512];
        let imputed_by = |kernel| {
            let (mut rig, imputer) = (rig.clone(), Some(TrainedImputer { net: &net, kernel }));
            let bits = |value: Option<f64>| value.map(f64::to_bits);
            rows.iter().map(|row| rig.observe(imputer, row).0.map(bits)).collect::<Vec<_>>()
        };
        let by_definition = imputed_by(Kernel::SCALAR);
        for kernel in kinds.into_iter().filter_map(Kernel::of) {
            prop_assert_eq!(&imputed_by(kernel), &by_definition);
        }
    }
}
