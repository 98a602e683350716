//! What a hostile learner publishes.

use std::sync::LazyLock;

use policy::PolicySpec;
use policy::kernels::{Activation, Kernel, KernelKind, LayerSpec, NetSpec, PackedNet};
use policy::wire::{OUTPUT_MAX, PARAMETER_MAX, Publication, Verifier, encode, slot_words};
use shm_layout::{WEIGHTS_HEADER_WORDS, WeightsHeader};

use super::{Verdict, forge};

const TAG_LIST: u64 = 7;
const EPOCH: u64 = 3;

static SPEC: LazyLock<PolicySpec> = LazyLock::new(|| {
    let actor = vec![
        LayerSpec::new(3, 5, Activation::Crelu),
        LayerSpec::new(10, 4, Activation::Relu),
        LayerSpec::new(4, 3, Activation::Linear),
    ];
    let imputer = vec![LayerSpec::new(6, 4, Activation::Relu), LayerSpec::new(4, 2, Activation::Linear)];
    PolicySpec { actor: NetSpec { layers: actor }, imputer: Some(NetSpec { layers: imputer }) }
});

/// The first byte: whether the slot is as the rest says, or a genuine one with a forger's words, sealed again.
pub(super) fn run(bytes: &[u8]) -> Verdict {
    let [what, rest @ ..] = bytes else { return Verdict::Refused };
    let words = if what % 2 == 0 { forge::words_of(rest) } else { forged(rest) };
    let mut verifier = Verifier::new(&SPEC, TAG_LIST, Kernel::best()).expect("a network");
    verifier.grant(EPOCH);
    verifier.remember(&[0.25, 0.5, 1.0]);
    let newest = verifier.newest();
    let Ok(weights) = verifier.verify(&words) else {
        assert_eq!(verifier.newest(), newest, "refused weights were counted");
        return Verdict::Refused;
    };
    let (publication, parameters) = (*weights.publication(), weights.parameters().to_vec());
    assert_eq!((publication.tag_list_hash, publication.epoch), (TAG_LIST, EPOCH));
    assert!(publication.generation > newest && verifier.newest() == publication.generation);
    assert!(verifier.verify(&words).is_err(), "the same generation was believed twice");
    acts_within_bounds(&parameters);
    Verdict::Believed
}

/// A slot as a learner makes it, but for the forger's words.
fn forged(alterations: &[u8]) -> Vec<u64> {
    let publication = Publication { epoch: EPOCH, generation: 1, updates: 1, tag_list_hash: TAG_LIST, nominal: false };
    let mut words = vec![0; slot_words(&SPEC).expect("a network")];
    encode(&SPEC, &publication, &vec![0.1; SPEC.parameters()], &mut words).expect("a slot of its size");
    let mut bytes = forge::bytes_of(&words);
    forge::alter(&mut bytes, alterations);
    resealed(forge::words_of(&bytes))
}

/// The same with a right checksum, computed from what the layout's documentation says.
fn resealed(mut words: Vec<u64>) -> Vec<u64> {
    let Some(mut header) = WeightsHeader::from_words(&words) else { return words };
    let payload = forge::bytes_of(&words[WEIGHTS_HEADER_WORDS..]);
    let length = usize::try_from(header.payload_bytes).unwrap_or(usize::MAX).min(payload.len());
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header.checked_header()).update(&payload[..length]);
    header.checksum.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    words[..WEIGHTS_HEADER_WORDS].copy_from_slice(&header.to_words());
    words
}

/// Believed parameters are numbers, and what they answer to is bounded and the same on every kernel.
fn acts_within_bounds(parameters: &[f32]) {
    assert_eq!(parameters.len(), SPEC.parameters());
    assert!(parameters.iter().all(|x| x.abs() <= PARAMETER_MAX && !x.is_subnormal()));
    let mut net = PackedNet::new(&SPEC.actor).expect("a network");
    net.pack(&parameters[..SPEC.actor.parameters()]).expect("its number of parameters");
    let answers = [KernelKind::Scalar, KernelKind::Avx2, KernelKind::Avx512].map(|kind| {
        let (mut scratch, mut out) = (net.scratch(), [0.0; 3]);
        net.forward(Kernel::of(kind)?, &[1.0; 3], &mut scratch, &mut out);
        Some(out.map(f32::to_bits))
    });
    let [Some(scalar), wider @ ..] = answers else { panic!("there is always a scalar kernel") };
    assert!(scalar.iter().all(|bits| f32::from_bits(*bits).abs() <= OUTPUT_MAX));
    assert!(wider.into_iter().flatten().all(|answer| answer == scalar), "kernels differ");
}
