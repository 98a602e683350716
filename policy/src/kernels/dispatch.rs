//! Which instructions the forward pass uses: chosen once, proven by the value that names them.

use super::dense::fold;
use super::forward::forward;
use super::pack::{PackedNet, Scratch};
#[cfg(target_arch = "x86_64")]
use super::registers::{Avx2, Avx512};
use super::registers::{Baseline, Registers};

/// The kinds of kernel. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelKind {
    /// What every machine of this architecture can do. This is the definition.
    Scalar,
    /// 256-bit registers.
    Avx2,
    /// 512-bit registers.
    Avx512,
}

/// A kernel that this machine can run: the value is the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(KernelKind);

impl Kernel {
    /// The definition, which runs everywhere.
    pub const SCALAR: Self = Self(KernelKind::Scalar);

    /// The kernel of this kind, when this machine has the instructions.
    pub fn of(kind: KernelKind) -> Option<Self> {
        has(kind).then_some(Self(kind))
    }

    /// The fastest one of this machine. To be chosen once, at load.
    pub fn best() -> Self {
        [KernelKind::Avx512, KernelKind::Avx2].into_iter().find_map(Self::of).unwrap_or(Self::SCALAR)
    }

    /// Reads so many words once, with the widest registers, and does nothing else: what no pass over as many bytes of
    /// weights can be faster than. For benchmarks.
    pub fn read_once(self, words: &[u64]) -> u64 {
        match self.0 {
            // SAFETY: a `Kernel` of this kind is made by `Kernel::of` alone, which has seen AVX2 on this machine.
            #[cfg(target_arch = "x86_64")]
            KernelKind::Avx2 => unsafe { read_avx2(words) },
            // SAFETY: a `Kernel` of this kind is made by `Kernel::of` alone, which has seen AVX-512F on this machine.
            #[cfg(target_arch = "x86_64")]
            KernelKind::Avx512 => unsafe { read_avx512(words) },
            _ => fold(words),
        }
    }

    /// Does the work with this machine's registers.
    pub fn run<W: Arithmetic>(self, work: W) -> W::Output {
        match self.0 {
            KernelKind::Scalar => work.run(Baseline),
            // SAFETY: a `Kernel` of this kind is made by `Kernel::of` alone, which has seen AVX2 and FMA on this machine.
            #[cfg(target_arch = "x86_64")]
            KernelKind::Avx2 => unsafe { run_avx2(work) },
            // SAFETY: a `Kernel` of this kind is made by `Kernel::of` alone, which has seen AVX-512F on this machine.
            #[cfg(target_arch = "x86_64")]
            KernelKind::Avx512 => unsafe { run_avx512(work) },
            #[cfg(not(target_arch = "x86_64"))]
            KernelKind::Avx2 | KernelKind::Avx512 => work.run(Baseline),
        }
    }

    /// Its kind.
    pub const fn kind(self) -> KernelKind {
        self.0
    }
}

#[cfg(target_arch = "x86_64")]
fn has(kind: KernelKind) -> bool {
    match kind {
        KernelKind::Scalar => true,
        KernelKind::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        KernelKind::Avx512 => is_x86_feature_detected!("avx512f") && has(KernelKind::Avx2),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn has(kind: KernelKind) -> bool {
    kind == KernelKind::Scalar
}

/// Work that is written once and compiled for each kind of register: the learner's arithmetic. A policy's has one
/// order of operations for all of them, and is no such work.
pub trait Arithmetic {
    /// What comes out of it.
    type Output;

    /// Does it. This and what it calls has to be inlined, or it is compiled for the narrowest registers.
    fn run<R: Registers<f32>>(self, registers: R) -> Self::Output;
}

/// Loops that need not know the registers.
impl<T, F: FnMut() -> T> Arithmetic for F {
    type Output = T;

    #[inline(always)]
    fn run<R: Registers<f32>>(mut self, _: R) -> T {
        self()
    }
}

impl PackedNet {
    /// The network's outputs for `input`. `scratch` must come from a network of the same shape. Missing inputs count as
    /// zero, surplus ones are ignored, and so is room in `out` beyond the outputs.
    ///
    /// # Real-time
    /// Wait-free; takes as long as reading the weights. Neither allocates nor panics.
    pub fn forward(&self, kernel: Kernel, input: &[f32], scratch: &mut Scratch, out: &mut [f32]) {
        match kernel.0 {
            KernelKind::Scalar => forward::<2>(self, input, scratch, out),
            // SAFETY: a `Kernel` of this kind is made by `Kernel::of` alone, which has seen AVX2 on this machine.
            #[cfg(target_arch = "x86_64")]
            KernelKind::Avx2 => unsafe { forward_avx2(self, input, scratch, out) },
            // SAFETY: a `Kernel` of this kind is made by `Kernel::of` alone, which has seen AVX-512F on this machine.
            #[cfg(target_arch = "x86_64")]
            KernelKind::Avx512 => unsafe { forward_avx512(self, input, scratch, out) },
            #[cfg(not(target_arch = "x86_64"))]
            KernelKind::Avx2 | KernelKind::Avx512 => forward::<2>(self, input, scratch, out),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn forward_avx2(net: &PackedNet, input: &[f32], scratch: &mut Scratch, out: &mut [f32]) {
    forward::<4>(net, input, scratch, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f")]
fn forward_avx512(net: &PackedNet, input: &[f32], scratch: &mut Scratch, out: &mut [f32]) {
    forward::<8>(net, input, scratch, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn read_avx2(words: &[u64]) -> u64 {
    fold(words)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f")]
fn read_avx512(words: &[u64]) -> u64 {
    fold(words)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<W: Arithmetic>(work: W) -> W::Output {
    // SAFETY: this function can only be called where there is AVX2 and FMA.
    work.run(unsafe { Avx2::assume() })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,fma")]
fn run_avx512<W: Arithmetic>(work: W) -> W::Output {
    // SAFETY: this function can only be called where there is AVX-512F.
    work.run(unsafe { Avx512::assume() })
}
