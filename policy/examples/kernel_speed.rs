//! Times the forward pass of three networks against reading their weights once with the widest loads.
//! `cargo run --release -p policy --example kernel_speed`
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use policy::kernels::{Activation, Kernel, KernelKind, LayerSpec, NetSpec, PackedNet};

fn net(widths: &[usize]) -> NetSpec {
    let last = widths.len() - 2;
    let layer = |(i, w): (usize, &[usize])| {
        LayerSpec::new(w[0], w[1], if i == last { Activation::Linear } else { Activation::Relu })
    };
    NetSpec { layers: widths.windows(2).enumerate().map(layer).collect() }
}

fn actor(n: usize, d: usize) -> NetSpec {
    let layers = vec![
        LayerSpec::new(n, 128, Activation::Crelu),
        LayerSpec::new(256, 128, Activation::Crelu),
        LayerSpec::new(256, 2 * d, Activation::Linear),
    ];
    NetSpec { layers }
}

/// The best of many short batches, in nanoseconds per call.
fn best(mut call: impl FnMut()) -> f64 {
    let once = Instant::now();
    call();
    let batch = (20_000 / once.elapsed().as_nanos().max(1)).clamp(1, 1000) as u32;
    (0..3_000)
        .map(|_| {
            let start = Instant::now();
            (0..batch).for_each(|_| call());
            start.elapsed().as_nanos() as f64 / f64::from(batch)
        })
        .fold(f64::INFINITY, f64::min)
}

fn main() {
    let nets = [
        ("32-64-64-4", net(&[32, 64, 64, 4])),
        ("64-256-256-8", net(&[64, 256, 256, 8])),
        ("128-512-512-16", net(&[128, 512, 512, 16])),
        ("actor 248 -> 8", actor(248, 8)),
    ];
    for (name, spec) in nets {
        let mut packed = PackedNet::new(&spec).unwrap();
        let parameters: Vec<f32> = (0..spec.parameters()).map(|i| ((i * 37 % 101) as f32 - 50.0) * 1e-3).collect();
        packed.pack(&parameters).unwrap();
        let mut scratch = packed.scratch();
        let input: Vec<f32> = (0..spec.inputs()).map(|i| (i % 7) as f32 * 0.1).collect();
        let mut out = vec![0.0; spec.outputs()];
        let words = vec![1_u64; packed.weight_bytes() / 8];
        let limit = best(|| {
            black_box(Kernel::best().read_once(black_box(&words)));
        });
        print!("{name:16} {:7} bytes, limit {:6.0} ns", packed.weight_bytes(), limit);
        for kind in [KernelKind::Scalar, KernelKind::Avx2, KernelKind::Avx512] {
            let Some(kernel) = Kernel::of(kind) else { continue };
            let ns = best(|| packed.forward(black_box(kernel), black_box(&input), &mut scratch, black_box(&mut out)));
            print!(", {kind:?} {ns:6.0} ns = {:.2}", ns / limit);
        }
        println!();
    }
}
