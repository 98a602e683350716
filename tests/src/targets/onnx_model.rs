//! An ONNX model from somewhere.

use std::sync::LazyLock;

use onnx::{Reading, Scale, from_model, to_model};
use policy::file::{Origin, Trust, from_bytes, to_bytes};

use super::policy_file::PURPOSE;
use super::{Verdict, forge};

/// A model that was exported here.
static GENUINE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let origin = Origin { created_by: "fuzz".into(), generation: 1, updates: 1, nominal: false };
    let count = PURPOSE.spec().expect("known activations").parameters();
    to_model(&PURPOSE, &origin, &vec![0.1; count]).expect("a network of its purpose")
});

/// The first byte: whether the model is as the rest says, or a genuine one with a forger's words; and in what it counts.
pub(super) fn run(bytes: &[u8]) -> Verdict {
    let [what, rest @ ..] = bytes else { return Verdict::Refused };
    let model = if what % 2 == 0 { rest.to_vec() } else { forged(rest) };
    let scale = if what & 2 == 0 { Scale::Engineering } else { Scale::Shares };
    match from_model(&model, &PURPOSE, &Reading { scale, output: None }) {
        Ok(imported) => {
            let file = to_bytes(&PURPOSE, &imported.origin, &imported.parameters).expect("as many as the network has");
            // What it says is its own affair; whether its numbers may act is judged like everybody's.
            let anybody = Trust { keys: Vec::new(), lab: true };
            let judged = from_bytes(&file, &PURPOSE, &anybody);
            Verdict::of(judged.is_ok_and(|policy| policy.weights().parameters() == imported.parameters))
        }
        // What is said of it is for people, on a terminal.
        Err(refused) => {
            let said = refused.to_string();
            assert!(!said.is_empty() && !said.contains(char::is_control), "{said:?}");
            Verdict::Refused
        }
    }
}

fn forged(words: &[u8]) -> Vec<u8> {
    let mut model = GENUINE.clone();
    forge::alter(&mut model, words);
    model
}
