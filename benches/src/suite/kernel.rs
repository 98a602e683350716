//! The forward pass against the limit that memory sets, and against two libraries.
//!
//! The limit is one reading of as many bytes with the same registers, from memory that lies in the same level of the cache:
//! both are called again and again, so that each finds its own bytes where the last call left them.

use std::hint::black_box;

use nalgebra::{DMatrix, DVector};
use ndarray::linalg::general_mat_vec_mul;
use ndarray::{Array1, Array2, ArrayView1};
use policy::actor_spec;
use policy::kernels::{Activation, Kernel, KernelKind, LayerSpec, NetSpec, PackedNet};

use crate::harness::{Contest, Row};

const ROUNDS: usize = 60;
/// A cache line: a load that crosses one takes twice as long.
const LINE_BYTES: usize = 64;

/// A network, and what is expected of it.
struct Case {
    name: &'static str,
    spec: NetSpec,
    limit_ratio_max: Option<f64>,
    ndarray_ratio_max: Option<f64>,
}

pub(super) fn run() -> Result<Vec<Row>, String> {
    let case = |name, spec, limit_ratio_max, ndarray_ratio_max| Case { name, spec, limit_ratio_max, ndarray_ratio_max };
    let cases = [
        case("32-64-64-4", relu(&[32, 64, 64, 4]), None, Some(0.2)),
        case("64-256-256-8", relu(&[64, 256, 256, 8]), Some(1.2), None),
        case("128-512-512-16", relu(&[128, 512, 512, 16]), Some(1.2), None),
        case("actor 248-128x2-128x2-16", actor_spec(248, 8), Some(1.2), None),
    ];
    let mut rows = Vec::new();
    for case in &cases {
        rows.extend(measure(case)?);
    }
    Ok(rows)
}

fn relu(widths: &[usize]) -> NetSpec {
    let last = widths.len() - 2;
    let activation = |layer| if layer == last { Activation::Linear } else { Activation::Relu };
    let layers = widths.windows(2).enumerate().map(|(layer, w)| LayerSpec::new(w[0], w[1], activation(layer)));
    NetSpec { layers: layers.collect() }
}

fn measure(case: &Case) -> Result<Vec<Row>, String> {
    let Case { name, spec, .. } = case;
    let parameters: Vec<f32> = (0..spec.parameters()).map(|i| ((i * 37 % 101) as f32 - 50.0) * 1e-3).collect();
    let input: Vec<f32> = (0..spec.inputs()).map(|i| (i % 7) as f32 * 0.1).collect();
    let mut net = PackedNet::new(spec).map_err(|error| error.to_string())?;
    net.pack(&parameters).map_err(|error| error.to_string())?;
    let (net, best) = (&net, Kernel::best());
    let kernels = [KernelKind::Scalar, KernelKind::Avx2, KernelKind::Avx512].into_iter().filter_map(Kernel::of);

    let words = vec![1_u64; (net.weight_bytes() + LINE_BYTES) / size_of::<u64>()];
    let words = &words[words.as_ptr().align_offset(LINE_BYTES)..][..net.weight_bytes() / size_of::<u64>()];
    let mut contest = Contest::of_batches(ROUNDS).batch("limit", || best.read_once(black_box(words)));
    for kernel in kernels.clone() {
        let (mut scratch, mut out, input) = (net.scratch(), vec![0.0; spec.outputs()], &input);
        contest = contest.batch(kind_name(kernel), move || {
            net.forward(black_box(kernel), black_box(input), &mut scratch, black_box(&mut out));
        });
    }
    let (mut with_ndarray, mut with_nalgebra) = (OnNdarray::new(spec, &parameters), OnNalgebra::new(spec, &parameters));
    agree(net, &input, with_ndarray.forward(&input))?;
    agree(net, &input, with_nalgebra.forward(&input))?;
    let standings = contest
        .batch("ndarray", || with_ndarray.forward(black_box(&input))[0])
        .batch("nalgebra", || with_nalgebra.forward(black_box(&input))[0])
        .run();

    let row = |what: &str| format!("{name}, {what}");
    let us = |of: &str| Row::measured(row(of), standings.p50(of).times(1e-3), "us");
    let mut rows = vec![
        Row::exact(row("weights"), net.weight_bytes() as f64 / 1024.0, "KiB"),
        us("limit").note("reading as many bytes once"),
        Row::ratio(row("control"), standings.control()).note("the limit against itself"),
    ];
    for kernel in kernels {
        let of_limit =
            Row::ratio(row(&format!("{} : limit", kind_name(kernel))), standings.ratio(kind_name(kernel), "limit"));
        let goal = case.limit_ratio_max.filter(|_| kernel == best);
        rows.extend([us(kind_name(kernel)), goal.map_or(of_limit.clone(), |most| of_limit.at_most(most))]);
    }
    for library in ["ndarray", "nalgebra"] {
        let best =
            Row::ratio(row(&format!("{} : {library}", kind_name(best))), standings.ratio(kind_name(best), library));
        let goal = case.ndarray_ratio_max.filter(|_| library == "ndarray");
        rows.extend([us(library), goal.map_or(best.clone(), |most| best.at_most(most))]);
    }
    Ok(rows)
}

fn kind_name(kernel: Kernel) -> &'static str {
    match kernel.kind() {
        KernelKind::Scalar => "scalar",
        KernelKind::Avx2 => "AVX2",
        KernelKind::Avx512 => "AVX-512",
    }
}

/// Two libraries that sum in another order come near the same numbers, or somebody computes something else.
fn agree(net: &PackedNet, input: &[f32], theirs: &[f32]) -> Result<(), String> {
    let mut ours = vec![0.0; net.spec().outputs()];
    net.forward(Kernel::SCALAR, input, &mut net.scratch(), &mut ours);
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-3 * (1.0 + a.abs());
    if ours.len() == theirs.len() && ours.iter().zip(theirs).all(near) {
        return Ok(());
    }
    Err(format!("a library computes {theirs:?} where the kernel computes {ours:?}"))
}

/// The layers' parameters: shape, weights row by row, biases.
fn layers<'a>(spec: &'a NetSpec, parameters: &'a [f32]) -> impl Iterator<Item = (&'a LayerSpec, &'a [f32], &'a [f32])> {
    let mut rest = parameters;
    spec.layers.iter().map(move |layer| {
        let (weights, after) = rest.split_at(layer.inputs * layer.outputs);
        let (biases, after) = after.split_at(layer.outputs);
        rest = after;
        (layer, weights, biases)
    })
}

/// What comes out of a layer for its sums.
fn activate(activation: Activation, sums: &[f32], out: &mut [f32]) {
    let (positive, negative) = out.split_at_mut(sums.len());
    for (out, sum) in positive.iter_mut().zip(sums) {
        *out = if activation == Activation::Linear { *sum } else { sum.max(0.0) };
    }
    for (out, sum) in negative.iter_mut().zip(sums) {
        *out = (-sum).max(0.0);
    }
}

/// A layer of somebody else's matrices and vectors, with a place for its sums.
struct Layer<M, V> {
    activation: Activation,
    weights: M,
    biases: V,
    sums: V,
}

/// The network on ndarray, as one would write it who minds the allocations.
struct OnNdarray {
    layers: Vec<Layer<Array2<f32>, Array1<f32>>>,
    /// The input, then what each layer hands on.
    stages: Vec<Array1<f32>>,
}

impl OnNdarray {
    fn new(spec: &NetSpec, parameters: &[f32]) -> Self {
        let layer = |(layer, weights, biases): (&LayerSpec, &[f32], &[f32])| {
            let weights = Array2::from_shape_vec((layer.outputs, layer.inputs), weights.to_vec());
            let weights = weights.expect("as many as the layer has");
            let biases = Array1::from_vec(biases.to_vec());
            Layer { activation: layer.activation, weights, sums: biases.clone(), biases }
        };
        let widths = [spec.inputs()].into_iter().chain(spec.layers.iter().map(LayerSpec::width));
        Self { layers: layers(spec, parameters).map(layer).collect(), stages: widths.map(Array1::zeros).collect() }
    }

    fn forward(&mut self, input: &[f32]) -> &[f32] {
        self.stages[0].assign(&ArrayView1::from(input));
        for (index, Layer { activation, weights, biases, sums }) in self.layers.iter_mut().enumerate() {
            sums.assign(&*biases);
            general_mat_vec_mul(1.0, &*weights, &self.stages[index], 1.0, sums);
            let out = self.stages[index + 1].as_slice_mut().expect("contiguous");
            activate(*activation, sums.as_slice().expect("contiguous"), out);
        }
        self.stages.last().and_then(|last| last.as_slice()).expect("contiguous")
    }
}

/// The network on nalgebra, likewise.
struct OnNalgebra {
    layers: Vec<Layer<DMatrix<f32>, DVector<f32>>>,
    /// The input, then what each layer hands on.
    stages: Vec<DVector<f32>>,
}

impl OnNalgebra {
    fn new(spec: &NetSpec, parameters: &[f32]) -> Self {
        let layer = |(layer, weights, biases): (&LayerSpec, &[f32], &[f32])| {
            let weights = DMatrix::from_row_slice(layer.outputs, layer.inputs, weights);
            let biases = DVector::from_column_slice(biases);
            Layer { activation: layer.activation, weights, sums: biases.clone(), biases }
        };
        let widths = [spec.inputs()].into_iter().chain(spec.layers.iter().map(LayerSpec::width));
        Self { layers: layers(spec, parameters).map(layer).collect(), stages: widths.map(DVector::zeros).collect() }
    }

    fn forward(&mut self, input: &[f32]) -> &[f32] {
        self.stages[0].copy_from_slice(input);
        for (index, Layer { activation, weights, biases, sums }) in self.layers.iter_mut().enumerate() {
            sums.copy_from(biases);
            sums.gemv(1.0, weights, &self.stages[index], 1.0);
            activate(*activation, sums.as_slice(), self.stages[index + 1].as_mut_slice());
        }
        self.stages.last().map_or(&[], |last| last.as_slice())
    }
}
