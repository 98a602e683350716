use proptest::prelude::*;

use super::*;

/// The definition once more, read from the module's text, on plain rows.
fn defined(spec: &NetSpec, parameters: &[f32], input: &[f32]) -> Vec<f32> {
    let mut rest = parameters;
    let mut values = input.to_vec();
    for layer in &spec.layers {
        let (weights, after) = rest.split_at(layer.inputs * layer.outputs);
        let (biases, after) = after.split_at(layer.outputs);
        rest = after;
        let sums: Vec<f32> = (0..layer.outputs)
            .map(|output| {
                let row = &weights[output * layer.inputs..][..layer.inputs];
                chained(row, &values, chains_of(output, layer.outputs)) + biases[output]
            })
            .collect();
        let relu = |x: f32| if x > 0.0 { x } else { 0.0 };
        values = match layer.activation {
            Activation::Linear => sums,
            Activation::Relu => sums.into_iter().map(relu).collect(),
            Activation::Tanh => sums.into_iter().map(tanh).collect(),
            Activation::Sigmoid => sums.into_iter().map(sigmoid).collect(),
            Activation::Crelu => sums.iter().map(|x| relu(*x)).chain(sums.iter().map(|x| relu(-*x))).collect(),
        };
    }
    values
}

fn chains_of(output: usize, outputs: usize) -> usize {
    let (mut first, mut rest) = (0, outputs.div_ceil(16) * 16);
    for (width, chains) in [(128, 1), (64, 2), (32, 4), (16, 8)] {
        while rest >= width {
            if output < first + width {
                return chains;
            }
            (first, rest) = (first + width, rest - width);
        }
    }
    unreachable!("output {output} of {outputs}")
}

fn chained(row: &[f32], values: &[f32], chains: usize) -> f32 {
    let mut sums = vec![0.0_f32; chains];
    for i in 0..row.len().next_multiple_of(chains) {
        let product = if i < row.len() { row[i] * values[i] } else { 0.0 };
        sums[i % chains] += product;
    }
    while sums.len() > 1 {
        let upper = sums.split_off(sums.len() / 2);
        for (lower, upper) in sums.iter_mut().zip(upper) {
            *lower += upper;
        }
    }
    sums[0]
}

fn kernels() -> impl Iterator<Item = Kernel> {
    [KernelKind::Scalar, KernelKind::Avx2, KernelKind::Avx512].into_iter().filter_map(Kernel::of)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn packed(spec: &NetSpec, parameters: &[f32]) -> PackedNet {
    let mut net = PackedNet::new(spec).unwrap();
    net.pack(parameters).unwrap();
    net
}

/// A number from a small generator, one in eight special: zeros, denormals, large.
fn number(state: &mut u64) -> f32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let fraction = (*state >> 40) as f32 / (1_u32 << 23) as f32 - 1.0;
    match *state >> 33 & 63 {
        0 | 1 => 0.0,
        2 => -0.0,
        3 => 1e-40 * fraction,
        4 => 1e4 * fraction,
        5 => 1e-20 * fraction,
        _ => fraction,
    }
}

fn any_spec() -> impl Strategy<Value = NetSpec> {
    let width = || prop_oneof![1_usize..40, Just(64), Just(128), 100_usize..300];
    let activation = prop::sample::select(Activation::ALL.to_vec());
    (width(), prop::collection::vec((width(), activation), 1..4)).prop_map(|(inputs, layers)| {
        let mut given = inputs;
        let chain = layers.into_iter().map(|(outputs, activation)| {
            let layer = LayerSpec::new(given, outputs, activation);
            given = layer.width();
            layer
        });
        NetSpec { layers: chain.collect() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_kernel_gives_the_bits_of_the_definition(spec in any_spec(), mut seed: u64) {
        let parameters: Vec<f32> = (0..spec.parameters()).map(|_| number(&mut seed)).collect();
        let net = packed(&spec, &parameters);
        let mut scratch = net.scratch();
        for _ in 0..2 {
            let input: Vec<f32> = (0..spec.inputs()).map(|_| number(&mut seed)).collect();
            let expected = defined(&spec, &parameters, &input);
            for kernel in kernels() {
                let mut out = vec![f32::NAN; spec.outputs()];
                net.forward(kernel, &input, &mut scratch, &mut out);
                prop_assert_eq!(bits(&out), bits(&expected), "{:?}", kernel);
            }
        }
    }

    #[test]
    fn what_was_packed_can_be_unpacked(spec in any_spec(), mut seed: u64) {
        let parameters: Vec<f32> = (0..spec.parameters()).map(|_| number(&mut seed)).collect();
        prop_assert_eq!(bits(&packed(&spec, &parameters).unpacked()), bits(&parameters));
    }

    #[test]
    fn slices_of_any_length_are_tolerated(inputs in 0_usize..80, outputs in 0_usize..80) {
        let spec = NetSpec { layers: vec![LayerSpec::new(33, 17, Activation::Relu)] };
        let net = packed(&spec, &vec![0.5; spec.parameters()]);
        let mut other = PackedNet::new(&NetSpec { layers: vec![LayerSpec::new(1, 1, Activation::Relu)] }).unwrap().scratch();
        for kernel in kernels() {
            let mut out = vec![7.0; outputs];
            net.forward(kernel, &vec![1.0; inputs], &mut net.scratch(), &mut out);
            let expected = 0.5 + 0.5 * inputs.min(33) as f32;
            prop_assert!(out.iter().take(17).all(|x| *x == expected));
            prop_assert!(out.iter().skip(17).all(|x| *x == 7.0));
            net.forward(kernel, &vec![1.0; inputs], &mut other, &mut out);
        }
    }

    #[test]
    fn functions_are_near_their_mathematics(x in -80_f32..80.0) {
        let exact = f64::from(x).exp();
        prop_assert!((f64::from(exp(x)) / exact - 1.0).abs() < 2e-7, "exp {} != {}", exp(x), exact);
        let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
        prop_assert!((f64::from(sigmoid(x)) / exact - 1.0).abs() < 4e-7, "sigmoid {} != {}", sigmoid(x), exact);
    }

    #[test]
    fn the_tangent_is_near_its_mathematics(x in prop_oneof![-1_f32..1.0, -20_f32..20.0]) {
        prop_assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 2e-7, "tanh {} != {}", tanh(x), f64::from(x).tanh());
    }

    #[test]
    fn a_quantile_undoes_the_distribution(p in prop_oneof![1e-9_f64..1.0, 0.07_f64..0.08, 0.92_f64..0.93]) {
        let x = normal_quantile(p);
        let back = 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
        // A relative error of x becomes one of p through the density.
        let density = libm::exp(-0.5 * x * x) / (2.0 * std::f64::consts::PI).sqrt();
        prop_assert!((back - p).abs() < 2e-7 * x.abs() * density + 1e-12, "{p} -> {x} -> {back}");
    }
}

#[test]
fn functions_stay_in_their_range_for_every_class_of_number() {
    for x in [f32::MIN, -1e30, -89.0, -0.0, 0.0, 1e-45, 89.0, 1e30, f32::MAX, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(exp(x).is_normal(), "{x}");
        assert!((0.0..=1.0).contains(&sigmoid(x)), "{x}");
        assert!((-1.0..=1.0).contains(&tanh(x)), "{x}");
    }
    assert!(exp(f32::NAN).is_nan());
    assert_eq!((exp(0.0), sigmoid(0.0), tanh(0.0)), (1.0, 0.5, 0.0));
    for p in [0.0, 1.0, f64::MIN_POSITIVE, 1.0 - f64::EPSILON] {
        assert!(normal_quantile(p).abs() < 40.0, "{p}");
    }
}

#[test]
fn a_pass_gives_the_recorded_bits() {
    let layers = [(37, 70, Activation::Crelu), (140, 20, Activation::Tanh), (20, 3, Activation::Linear)];
    let spec = NetSpec { layers: layers.map(|(i, o, a)| LayerSpec::new(i, o, a)).to_vec() };
    let parameters: Vec<f32> = (0..spec.parameters()).map(|i| ((i * 37 % 101) as f32 - 50.0) * 3e-3).collect();
    let net = packed(&spec, &parameters);
    let input: Vec<f32> = (0..37).map(|i| (i % 7) as f32 * 0.1).collect();
    for kernel in kernels() {
        let mut out = [0.0; 3];
        net.forward(kernel, &input, &mut net.scratch(), &mut out);
        assert_eq!(bits(&out), GOLDEN, "{kernel:?} {out:?}");
    }
}

/// -0.048450414, 0.103982285 and 5.080551e-5. A recording made today has to replay in years: these never change.
const GOLDEN: [u32; 3] = [0xbd46_73f1, 0x3dd4_f4aa, 0x3855_1800];

#[test]
fn layers_that_make_no_network_are_refused_with_the_place() {
    let net = |layers: &[(usize, usize)]| NetSpec {
        layers: layers.iter().map(|(i, o)| LayerSpec::new(*i, *o, Activation::Crelu)).collect(),
    };
    assert_eq!(net(&[]).check(), Err(SpecError::Layers { layers: 0 }));
    assert_eq!(net(&[(1, 1); LAYERS_MAX + 1]).check(), Err(SpecError::Layers { layers: LAYERS_MAX + 1 }));
    assert_eq!(net(&[(3, 0)]).check(), Err(SpecError::Width { layer: 0, inputs: 3, outputs: 0 }));
    let huge = usize::MAX;
    assert_eq!(net(&[(huge, huge)]).check(), Err(SpecError::Width { layer: 0, inputs: huge, outputs: huge }));
    assert_eq!(net(&[(3, 4), (4, 1)]).check(), Err(SpecError::Chain { layer: 1, inputs: 4, given: 8 }));
    assert_eq!(net(&[(WIDTH_MAX, 300)]).check(), Err(SpecError::TooLarge { parameters: 65_537 * 300 }));
    assert_eq!(net(&[(3, 4), (8, 1)]).check(), Ok(()));
}

#[test]
fn another_number_of_parameters_changes_nothing() {
    let spec = NetSpec { layers: vec![LayerSpec::new(3, 2, Activation::Linear)] };
    let mut net = packed(&spec, &[1.0; 8]);
    let before = net.clone();
    for found in [0, 7, 9] {
        assert_eq!(net.pack(&vec![2.0; found]), Err(ParameterCount { found, expected: 8 }));
    }
    assert_eq!(net, before);
}

/// What registers make of three blocks: each operation once.
struct EachOperation([[f32; BLOCK]; 3]);

impl Arithmetic for EachOperation {
    type Output = [[f32; BLOCK]; 5];

    #[inline(always)]
    fn run<R: Registers<f32>>(self, r: R) -> Self::Output {
        let [a, b, gate] = self.0.map(|numbers| r.load(&numbers));
        let blocks = [r.add_product(a, 3.0, b), r.add(a, b), r.negate(a), r.positive(a), r.pass(a, gate)];
        blocks.map(|block| {
            let mut numbers = [0.0; BLOCK];
            r.store(block, &mut numbers);
            numbers
        })
    }
}

#[test]
fn registers_of_every_kind_do_what_the_operations_say() {
    let numbers = |step: usize| std::array::from_fn(|i| ((i * step) % 7) as f32 - 3.0);
    let (a, b, gate): ([f32; BLOCK], [f32; BLOCK], [f32; BLOCK]) = (numbers(3), numbers(5), numbers(2));
    let expected = |f: &dyn Fn(usize) -> f32| -> [f32; BLOCK] { std::array::from_fn(f) };
    for kernel in kernels() {
        let [product, sum, negated, positive, passed] = kernel.run(EachOperation([a, b, gate]));
        assert_eq!(product, expected(&|i| a[i] + 3.0 * b[i]), "{kernel:?}");
        assert_eq!(sum, expected(&|i| a[i] + b[i]), "{kernel:?}");
        assert_eq!(negated, expected(&|i| -a[i]), "{kernel:?}");
        assert_eq!(positive, expected(&|i| a[i].max(0.0)), "{kernel:?}");
        assert_eq!(passed, expected(&|i| if gate[i] > 0.0 { a[i] } else { 0.0 }), "{kernel:?}");
    }
}
