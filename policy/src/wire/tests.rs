use std::collections::BTreeSet;

use proptest::prelude::*;
use shm_layout::Activation;

use super::*;

const TAGS: u64 = 0x1234_5678_9abc_def0;
const EPOCH: u64 = 3;

fn spec() -> PolicySpec {
    NetSpec { layers: vec![LayerSpec::new(3, 4, Activation::Crelu), LayerSpec::new(8, 3, Activation::Linear)] }.into()
}

fn publication() -> Publication {
    Publication { epoch: EPOCH, generation: 5, updates: 700, tag_list_hash: TAGS, nominal: false }
}

fn parameters() -> Vec<f32> {
    (0..spec().parameters()).map(|i| (i % 7) as f32 * 0.1 - 0.3).collect()
}

fn encoded(publication: &Publication, parameters: &[f32]) -> Vec<u64> {
    let mut slot = vec![0; slot_words(&spec()).unwrap()];
    assert_eq!(encode(&spec(), publication, parameters, &mut slot), Ok(slot.len()));
    slot
}

fn verifier() -> Verifier {
    let mut verifier = Verifier::new(&spec(), TAGS, Kernel::best()).unwrap();
    verifier.grant(EPOCH);
    verifier
}

/// Changes the header and makes its checksum right again: a learner that means it.
fn forged(change: impl FnOnce(&mut WeightsHeader)) -> Vec<u64> {
    let mut words = encoded(&publication(), &parameters());
    let mut header = WeightsHeader::from_words(&words).unwrap();
    change(&mut header);
    let (head, payload) = words.split_at_mut(WEIGHTS_HEADER_WORDS);
    header.checksum = checksum(&header, payload, header.payload_bytes.min(payload.len() as u64 * 8));
    head.copy_from_slice(&header.to_words());
    words
}

#[test]
fn what_was_encoded_is_verified_once() {
    let words = encoded(&publication(), &parameters());
    let mut verifier = verifier();
    let verified = verifier.verify(&words).unwrap();
    assert_eq!(verified.parameters(), parameters());
    assert_eq!((*verified.publication(), verified.generation(), verified.nominal()), (publication(), 5, false));
    assert_eq!(verifier.verify(&words).unwrap_err(), WeightsRefused::NotNewer { found: 5, adopted: 5 });
}

#[test]
fn whether_a_network_is_whole_can_be_said_without_knowing_whose_it_is() {
    let mut words = encoded(&publication(), &parameters());
    let (header, found) = whole(&words).unwrap();
    assert_eq!((header.generation, header.tag_list_hash, found), (5, TAGS, parameters().as_slice()));
    let needed_words = words.len();
    assert_eq!(whole(&words[..8]), Err(WeightsRefused::Cut { found_words: 8, needed_words: WEIGHTS_HEADER_WORDS }));
    let cut = whole(&words[..needed_words - 1]);
    assert_eq!(cut, Err(WeightsRefused::Cut { found_words: needed_words - 1, needed_words }));
    words[WEIGHTS_HEADER_WORDS] ^= 1;
    assert_eq!(whole(&words), Err(WeightsRefused::Checksum));
}

#[test]
fn f12_weights_of_another_epoch_or_an_old_generation_are_refused() {
    let verify = |publication: Publication| {
        let mut verifier = verifier();
        verifier.count(4);
        verifier.verify(&encoded(&publication, &parameters())).map(|verified| verified.generation())
    };
    for found in [0, 2, 4, u64::MAX] {
        let refused = WeightsRefused::Epoch { found, granted: EPOCH };
        assert_eq!(verify(Publication { epoch: found, ..publication() }), Err(refused));
    }
    for found in [0, 4] {
        let refused = WeightsRefused::NotNewer { found, adopted: 4 };
        assert_eq!(verify(Publication { generation: found, ..publication() }), Err(refused));
    }
    assert_eq!(verify(Publication { generation: u64::MAX, ..publication() }), Ok(u64::MAX));
}

#[test]
fn weights_for_other_tags_are_refused() {
    let words = encoded(&Publication { tag_list_hash: 1, ..publication() }, &parameters());
    assert_eq!(verifier().verify(&words).unwrap_err(), WeightsRefused::OtherTags { found: 1, expected: TAGS });
}

#[test]
fn f05_every_flipped_bit_of_header_and_payload_is_refused() {
    let words = encoded(&publication(), &parameters());
    // The filling half word after an odd number of parameters is nobody's.
    let bits = 8 * WEIGHTS_HEADER_BYTES + 32 * parameters().len();
    let mut verifier = verifier();
    for bit in 0..bits {
        let mut flipped = words.clone();
        flipped[bit / 64] ^= 1 << (bit % 64);
        assert!(verifier.verify(&flipped).is_err(), "bit {bit}");
    }
    assert!(verifier.verify(&words).is_ok());
}

#[test]
fn f06_bits_flipped_at_random_in_the_payload_are_refused() {
    let words = encoded(&publication(), &parameters());
    let mut verifier = verifier();
    let mut random = 1_u64;
    let mut draw = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    for _ in 0..20_000 {
        let mut flipped = words.clone();
        // Different bits, so that none is flipped back.
        let bits: BTreeSet<_> = (0..=draw(8)).map(|_| draw(32 * parameters().len())).collect();
        bits.iter().for_each(|bit| flipped[WEIGHTS_HEADER_WORDS + bit / 64] ^= 1 << (bit % 64));
        assert_eq!(verifier.verify(&flipped).unwrap_err(), WeightsRefused::Checksum, "{bits:?}");
    }
    assert!(verifier.verify(&words).is_ok());
}

#[test]
fn f08_weights_of_every_shorter_length_are_refused() {
    let words = encoded(&publication(), &parameters());
    for length in 0..words.len() {
        let refused = verifier().verify(&words[..length]).unwrap_err();
        assert!(matches!(refused, WeightsRefused::Cut { found_words, .. } if found_words == length));
    }
}

#[test]
fn f08_wrong_sizes_are_refused_even_with_a_right_checksum() {
    let refused = |change: fn(&mut WeightsHeader)| verifier().verify(&forged(change)).unwrap_err().name();
    assert_eq!(refused(|header| header.payload_bytes -= 4), "malformed");
    assert_eq!(refused(|header| header.payload_bytes += 4), "malformed");
    assert_eq!(refused(|header| header.payload_bytes = 0), "malformed");
    assert_eq!(refused(|header| header.payload_bytes = u64::MAX), "malformed");
    assert_eq!(refused(|header| header.layers = u32::MAX), "malformed");
    assert_eq!(refused(|header| header.dims[0].inputs = 0), "malformed");
    assert_eq!(refused(|header| (header.dims[0].inputs, header.dims[0].outputs) = (4, 3)), "malformed");
    assert_eq!(refused(|header| header.magic[0] ^= 1), "magic");
    assert_eq!(refused(|header| header.version += 1), "version");
    assert_eq!(refused(|header| header.dims[0].activation = Activation::Relu.code()), "malformed");
    // The same number of parameters in another function.
    assert_eq!(refused(|header| header.dims[1].activation = Activation::Tanh.code()), "other_shape");

    let other = NetSpec { layers: vec![LayerSpec::new(3, 3, Activation::Linear)] }.into();
    let mut slot = vec![0; slot_words(&other).unwrap()];
    encode(&other, &publication(), &[0.1; 12], &mut slot).unwrap();
    assert_eq!(verifier().verify(&slot).unwrap_err().name(), "other_shape");
}

/// Every class, through the whole path. A refused network changes nothing: the good one of the same number passes.
#[test]
fn f09_bad_numbers_are_refused_by_class() {
    let mut verifier = verifier();
    for (value, name) in [(f32::NAN, "not_finite"), (f32::INFINITY, "not_finite"), (1e30, "too_large"), (9e3, "probe")]
    {
        let mut bad = parameters();
        bad[40] = value;
        bad[20] = if name == "probe" { value } else { bad[20] };
        let refused = verifier.verify(&encoded(&publication(), &bad)).unwrap_err();
        assert_eq!(refused.name(), name, "{refused}");
    }
    assert!(verifier.verify(&encoded(&publication(), &parameters())).is_ok());
}

#[test]
fn f09_denormals_are_encoded_as_zeros_and_refused_when_found() {
    let mut tiny = parameters();
    tiny[7] = 1e-40;
    let mut words = encoded(&publication(), &tiny);
    assert_eq!(verifier().verify(&words).unwrap().parameters()[7], 0.0);

    words[WEIGHTS_HEADER_WORDS] = u64::from(1e-40_f32.to_bits());
    let mut header = WeightsHeader::from_words(&words).unwrap();
    header.checksum = checksum(&header, &words[WEIGHTS_HEADER_WORDS..], header.payload_bytes);
    words[..WEIGHTS_HEADER_WORDS].copy_from_slice(&header.to_words());
    assert_eq!(verifier().verify(&words).unwrap_err(), ParametersRefused::Denormal { index: 0 }.into());
}

#[test]
fn what_does_not_fit_the_slot_is_not_written() {
    let needed_words = slot_words(&spec()).unwrap();
    let mut slot = vec![7; needed_words - 1];
    let error = EncodeError::Slot { found_words: needed_words - 1, needed_words };
    assert_eq!(encode(&spec(), &publication(), &parameters(), &mut slot), Err(error));
    let error = ParameterCount { found: 1, expected: spec().parameters() }.into();
    assert_eq!(encode(&spec(), &publication(), &[0.0], &mut slot), Err(error));
    assert!(slot.iter().all(|word| *word == 7));
}

#[test]
fn columns_become_rows_and_heads_one_layer() {
    let spec =
        NetSpec { layers: vec![LayerSpec::new(2, 2, Activation::Relu), LayerSpec::new(2, 3, Activation::Linear)] };
    // First layer: weights by inputs, biases. Then a head of one output and a head of two.
    let columns = [11., 12., 21., 22., 1., 2., /* head */ 5., 6., 7., /* head */ 31., 32., 41., 42., 8., 9.];
    let rows = [11., 21., 12., 22., 1., 2., /* all heads */ 5., 6., 31., 41., 32., 42., 7., 8., 9.];
    assert_eq!(from_columns(&spec, &[1, 2], &columns).unwrap(), rows);
    assert_eq!(from_columns(&spec, &[1, 2], &columns[1..]), Err(ParameterCount { found: 14, expected: 15 }));
    assert_eq!(from_columns(&spec, &[1, 3], &columns), Err(ParameterCount { found: 18, expected: 15 }));
    assert!(from_columns(&spec, &[], &columns).is_err());
}

proptest! {
    #[test]
    fn no_words_make_the_verifier_panic(
        changes in prop::collection::vec((0_usize..64, any::<u64>()), 0..6),
        length in 0_usize..80,
        resealed: bool,
    ) {
        let mut words = encoded(&publication(), &parameters());
        for (at, value) in changes {
            if let Some(word) = words.get_mut(at) {
                *word = value;
            }
        }
        words.resize(length, 0);
        if resealed && let Some(mut header) = WeightsHeader::from_words(&words) {
            header.checksum = checksum(&header, &words[WEIGHTS_HEADER_WORDS..], header.payload_bytes);
            words[..WEIGHTS_HEADER_WORDS].copy_from_slice(&header.to_words());
        }
        if let Ok(verified) = verifier().verify(&words) {
            prop_assert!(verified.parameters().iter().all(|x| x.is_finite() && x.abs() <= PARAMETER_MAX));
        }
    }
}
