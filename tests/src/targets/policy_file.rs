//! A policy file from somewhere.

use std::sync::LazyLock;

use policy::file::{Layer, Origin, Purpose, Trust, from_bytes, to_bytes};
use policy::wire::PARAMETER_MAX;

use super::{Verdict, forge};

/// What the example site needs, but with a network that is quickly read.
pub(super) static PURPOSE: LazyLock<Purpose> = LazyLock::new(|| {
    let site = rt_config::parse(rt_config::example(), "site.yaml".as_ref()).expect("the example is valid").site;
    let purpose = Purpose::of(&site);
    let layer = |inputs, outputs, activation: &str| Layer { inputs, outputs, activation: activation.to_owned() };
    let layers = vec![layer(purpose.columns.len(), 2, "crelu"), layer(4, 2 * purpose.actions.len(), "linear")];
    Purpose { layers, ..purpose }
});

/// The first byte: whether the file is as the rest says, or a genuine one with a forger's words.
pub(super) fn run(bytes: &[u8]) -> Verdict {
    let [what, rest @ ..] = bytes else { return Verdict::Refused };
    let file = if what % 2 == 0 { rest.to_vec() } else { forged(rest) };
    // Whoever is trusted can still be wrong: what lies behind the signature has to hold by itself.
    let anybody = Trust { keys: Vec::new(), lab: true };
    match from_bytes(&file, &PURPOSE, &anybody) {
        Ok(policy) => {
            assert!(policy.weights().parameters().iter().all(|x| x.abs() <= PARAMETER_MAX));
            assert_eq!(policy.manifest().purpose, *PURPOSE, "a policy for another purpose was believed");
            Verdict::Believed
        }
        // What is said of it is for people.
        Err(refused) => {
            assert!(!refused.to_string().is_empty());
            Verdict::Refused
        }
    }
}

fn forged(words: &[u8]) -> Vec<u8> {
    let origin = Origin { created_by: "fuzz".into(), generation: 1, updates: 1, nominal: false };
    let parameters = PURPOSE.spec().expect("known activations").parameters();
    let mut file = to_bytes(&PURPOSE, &origin, &vec![0.1; parameters]).expect("a network of its purpose");
    forge::alter(&mut file, words);
    file
}
