//! What a learner that belongs to somebody else can do with the words that it publishes.

use policy::kernels::{Activation, Kernel, LayerSpec, NetSpec, PackedNet};
use policy::wire::{OUTPUT_MAX, PARAMETER_MAX, Publication, Verifier, WeightsRefused, encode, slot_words};
use proptest::prelude::*;

const TAGS: u64 = 0x1234_5678_9abc_def0;

fn spec() -> NetSpec {
    NetSpec { layers: vec![LayerSpec::new(6, 8, Activation::Crelu), LayerSpec::new(16, 4, Activation::Linear)] }
}

fn verifier() -> Verifier {
    Verifier::new(&spec(), TAGS, Kernel::best()).unwrap()
}

/// A slot with these parameters under a header and checksum that are right.
fn published(parameters: &[f32]) -> Vec<u64> {
    let mut slot = vec![0; slot_words(&spec()).unwrap()];
    let publication = Publication { epoch: 0, generation: 1, updates: 1, tag_list_hash: TAGS, nominal: false };
    encode(&spec(), &publication, parameters, &mut slot).unwrap();
    slot
}

/// Numbers of every class that a float has.
fn any_float() -> impl Strategy<Value = f32> {
    prop_oneof![
        any::<u32>().prop_map(f32::from_bits),
        -1.0_f32..1.0,
        Just(PARAMETER_MAX),
        Just(-PARAMETER_MAX),
        Just(f32::MIN_POSITIVE / 2.0),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn s7_words_that_mean_nothing_are_refused(words in proptest::collection::vec(any::<u64>(), 0..200)) {
        prop_assert!(verifier().verify(&words).is_err());
    }

    #[test]
    fn s7_a_sound_publication_with_any_other_word_is_refused(at in 0..1_000_usize, bits in 1..u64::MAX) {
        let mut words = published(&vec![0.01; spec().parameters()]);
        prop_assert!(verifier().verify(&words).is_ok());
        let at = at % words.len();
        words[at] ^= bits;
        // Only what fills up the last word stands for nothing.
        let is_filling = at == words.len() - 1 && spec().parameters() % 2 == 1 && bits as u32 == 0;
        prop_assert!(verifier().verify(&words).is_err() || is_filling, "word {at}");
    }

    #[test]
    fn s7_parameters_of_any_kind_are_refused_or_give_finite_answers_to_all_that_the_pipeline_makes(
        parameters in proptest::collection::vec(any_float(), spec().parameters()),
        states in proptest::collection::vec(proptest::array::uniform6(-1.0_f32..2.0), 1..20),
    ) {
        let words = published(&parameters);
        let mut verifier = verifier();
        match verifier.verify(&words) {
            Err(WeightsRefused::Parameters(_)) => {}
            Err(other) => prop_assert!(false, "{other}"),
            Ok(weights) => {
                let mut net = PackedNet::new(&spec()).unwrap();
                net.pack(weights.parameters()).unwrap();
                let (mut scratch, mut out) = (net.scratch(), [0.0; 4]);
                for state in states {
                    net.forward(Kernel::best(), &state, &mut scratch, &mut out);
                    prop_assert!(out.iter().all(|out| out.is_finite()), "{out:?}");
                }
            }
        }
    }

    #[test]
    fn s7_moderate_parameters_are_believed_and_bounded(
        parameters in proptest::collection::vec(-0.2_f32..0.2, spec().parameters()),
    ) {
        let words = published(&parameters);
        let mut verifier = verifier();
        let weights = verifier.verify(&words).map_err(|refused| TestCaseError::fail(refused.to_string()))?;
        prop_assert!(weights.parameters().iter().all(|parameter| parameter.abs() < OUTPUT_MAX));
    }
}
