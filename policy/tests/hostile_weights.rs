//! What a learner that belongs to somebody else can do with the words that it publishes.

use std::cell::Cell;

use policy::PolicySpec;
use policy::kernels::{Activation, Kernel, LayerSpec, NetSpec, PackedNet};
use policy::wire::{
    OUTPUT_MAX, PARAMETER_MAX, Publication, VerifiedWeights, Verifier, WeightsRefused, encode, slot_words,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const TAGS: u64 = 0x1234_5678_9abc_def0;

const INPUTS: usize = 6;
const OUTPUTS: usize = 3;
/// Cases of each property.
const CASES: u32 = 500;
/// So many parameters of any kind among moderate ones.
const ODD_ONES_MAX: usize = 4;

/// An odd number of parameters: half of the last word fills it up.
fn spec() -> PolicySpec {
    let actor = vec![LayerSpec::new(INPUTS, 8, Activation::Crelu), LayerSpec::new(16, OUTPUTS, Activation::Linear)];
    let imputer = vec![LayerSpec::new(4, 2, Activation::Relu), LayerSpec::new(2, 2, Activation::Linear)];
    PolicySpec { actor: NetSpec { layers: actor }, imputer: Some(NetSpec { layers: imputer }) }
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
        proptest::num::f32::ANY,
        -1.0_f32..1.0,
        Just(PARAMETER_MAX),
        Just(-PARAMETER_MAX),
        Just(f32::MIN_POSITIVE / 2.0),
    ]
}

fn moderate() -> impl Strategy<Value = Vec<f32>> {
    proptest::collection::vec(-0.2_f32..0.2, spec().parameters())
}

/// Moderate parameters, a few of them of any kind.
fn tampered() -> impl Strategy<Value = Vec<f32>> {
    let odd_ones = proptest::collection::vec((0..spec().parameters(), any_float()), 0..=ODD_ONES_MAX);
    (moderate(), odd_ones).prop_map(|(mut parameters, odd_ones)| {
        odd_ones.into_iter().for_each(|(at, odd)| parameters[at] = odd);
        parameters
    })
}

/// What the pipeline makes of a plant.
fn states() -> impl Strategy<Value = Vec<[f32; INPUTS]>> {
    proptest::collection::vec(proptest::array::uniform6(-1.0_f32..2.0), 1..20)
}

/// The answers of the actor to these states.
fn answers(weights: &VerifiedWeights<'_>, states: &[[f32; INPUTS]]) -> Vec<[f32; OUTPUTS]> {
    let spec = spec();
    let mut net = PackedNet::new(&spec.actor).unwrap();
    net.pack(&weights.parameters()[..spec.actor.parameters()]).unwrap();
    let mut scratch = net.scratch();
    let mut answer = |state| {
        let mut out = [0.0; OUTPUTS];
        net.forward(Kernel::best(), state, &mut scratch, &mut out);
        out
    };
    states.iter().map(|state| answer(state)).collect()
}

#[test]
fn s7_parameters_of_any_kind_are_refused_or_give_finite_answers_to_all_that_the_pipeline_makes() {
    let believed = Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(CASES));
    let held = runner.run(&(tampered(), states()), |(parameters, states)| {
        match verifier().verify(&published(&parameters)) {
            Err(WeightsRefused::Parameters(_)) => {}
            Err(other) => prop_assert!(false, "{other}"),
            Ok(weights) => {
                believed.set(believed.get() + 1);
                let answers = answers(&weights, &states);
                prop_assert!(answers.iter().flatten().all(|answer| answer.is_finite()), "{answers:?}");
            }
        }
        Ok(())
    });
    held.unwrap_or_else(|failed| panic!("{failed}"));
    assert!((CASES / 10..CASES * 9 / 10).contains(&believed.get()), "{} of {CASES} were believed", believed.get());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn s7_words_that_mean_nothing_are_refused(words in proptest::collection::vec(any::<u64>(), 0..200)) {
        prop_assert!(verifier().verify(&words).is_err());
    }

    #[test]
    fn s7_a_sound_publication_with_any_other_word_is_refused(
        at in 0..slot_words(&spec()).unwrap(),
        bits in prop_oneof![1..u64::MAX, (1..u64::from(u32::MAX)).prop_map(|bits| bits << 32)],
    ) {
        let mut words = published(&vec![0.01; spec().parameters()]);
        prop_assert!(verifier().verify(&words).is_ok());
        words[at] ^= bits;
        // Only what fills up the last word stands for nothing.
        let is_filling = at == words.len() - 1 && bits as u32 == 0;
        prop_assert_eq!(verifier().verify(&words).is_ok(), is_filling, "word {}", at);
    }

    #[test]
    fn s7_moderate_parameters_are_believed_and_their_answers_are_within_the_bound(
        parameters in moderate(),
        states in states(),
    ) {
        let words = published(&parameters);
        let mut verifier = verifier();
        let weights = verifier.verify(&words).map_err(|refused| TestCaseError::fail(refused.to_string()))?;
        let answers = answers(&weights, &states);
        prop_assert!(answers.iter().flatten().all(|answer| answer.abs() <= OUTPUT_MAX), "{answers:?}");
    }
}
