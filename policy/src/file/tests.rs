use std::fs;

use proptest::prelude::*;

use super::*;
use crate::agent::AdoptedPolicy;
use crate::testing::{LEVEL, site};

const LAB: Trust = Trust { keys: Vec::new(), lab: true };

fn origin() -> Origin {
    Origin { created_by: "a test".into(), generation: 12, updates: 3_400, nominal: false }
}

fn parameters(purpose: &Purpose) -> Vec<f32> {
    (0..purpose.spec().unwrap().parameters()).map(|i| (i * 37 % 101) as f32 * 1e-3 - 0.05).collect()
}

fn written(purpose: &Purpose) -> Vec<u8> {
    to_bytes(purpose, &origin(), &parameters(purpose)).unwrap()
}

fn refused(bytes: &[u8]) -> PolicyFileRefused {
    from_bytes(bytes, &Purpose::of(&site()), &LAB).map(|file| file.manifest).unwrap_err()
}

#[test]
fn what_was_written_is_loaded_bit_for_bit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.safetensors");
    let purpose = Purpose::of(&site());
    for generation in [12, 13] {
        let bytes = to_bytes(&purpose, &Origin { generation, ..origin() }, &parameters(&purpose)).unwrap();
        fs::write(&path, bytes).unwrap();
        let file = load(&path, &purpose, &LAB).unwrap();
        assert_eq!(file.manifest().origin, Origin { generation, ..origin() });
        assert_eq!(file.manifest().purpose, purpose);
        assert_eq!(file.weights().parameters(), parameters(&purpose));
        let mut policy = AdoptedPolicy::nominal(&purpose.spec().unwrap(), &site()).unwrap();
        policy.adopt(&file.weights()).unwrap();
        assert_eq!((policy.generation(), policy.is_nominal()), (generation, false));
    }
}

/// The example site with a tag that a network imputes.
fn imputing_site() -> rt_config::Site {
    let mut site = site();
    let rule = rt_config::ImputerRule::MaskedAutoencoder { missing_max: 0.25 };
    site.tags[LEVEL].imputer = rt_config::Imputer { rule, horizon: 10 };
    site
}

#[test]
fn an_imputer_travels_with_its_actor() {
    let (site, purpose) = (imputing_site(), Purpose::of(&imputing_site()));
    let (spec, parameters) = (purpose.spec().unwrap(), parameters(&purpose));
    assert_eq!(spec, PolicySpec::of(&site));
    let file = from_bytes(&written(&purpose), &purpose, &LAB).unwrap();
    let mut policy = AdoptedPolicy::nominal(&spec, &site).unwrap();
    assert!(policy.imputer().is_none(), "nobody has trained it");
    policy.adopt(&file.weights()).unwrap();
    assert_eq!(policy.parameters(), parameters);
    assert_eq!(policy.imputer().unwrap().unpacked(), parameters[spec.actor.parameters()..]);
}

#[test]
fn a_policy_without_the_imputer_or_with_another_one_is_refused() {
    let (imputing, plain) = (Purpose::of(&imputing_site()), Purpose::of(&site()));
    assert!(!serde_json::to_string(&plain).unwrap().contains("imputer"), "a site without one has the manifest it had");
    let other = |purpose: &Purpose, expected: &Purpose| from_bytes(&written(purpose), expected, &LAB).unwrap_err();
    let (lacking, surplus) = (other(&plain, &imputing), other(&imputing, &plain));
    assert!(matches!(lacking, PolicyFileRefused::OtherShape { net: "imputer", layer: 0, found: None, .. }));
    assert!(matches!(surplus, PolicyFileRefused::OtherShape { net: "imputer", layer: 0, expected: None, .. }));
    let mut wide = imputing.clone();
    wide.imputer[1].outputs += 1;
    wide.imputer[2].inputs += 1;
    assert!(matches!(other(&wide, &imputing), PolicyFileRefused::OtherShape { net: "imputer", layer: 1, .. }));
    // It says the right layers and has tensors of another shape.
    let bytes = written(&wide);
    let (_, head) = SafeTensors::read_metadata(&bytes).unwrap();
    let manifest = head.metadata().as_ref().unwrap()[MANIFEST_KEY]
        .replace(&serde_json::to_string(&wide.imputer).unwrap(), &serde_json::to_string(&imputing.imputer).unwrap());
    let metadata = HashMap::from([(MANIFEST_KEY.to_owned(), manifest)]);
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let lying = safetensors::serialize(tensors.tensors(), Some(metadata)).unwrap();
    let refused = from_bytes(&lying, &imputing, &LAB).unwrap_err();
    assert!(matches!(&refused, PolicyFileRefused::Tensor { name, .. } if name == "imputer1.weight"), "{refused}");
}

#[test]
fn the_same_policy_is_written_in_the_same_bytes() {
    let purpose = Purpose::of(&site());
    assert_eq!(written(&purpose), written(&purpose));
}

#[test]
fn a_file_that_is_not_there_is_no_policy() {
    let path = tempfile::tempdir().unwrap().path().join("policy");
    assert!(matches!(load(&path, &Purpose::of(&site()), &LAB), Err(PolicyFileRefused::Io(_))));
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    let bytes = written(&Purpose::of(&site()));
    let head = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let every_byte_of_the_head = 0..head + 64;
    for length in every_byte_of_the_head.chain((head..bytes.len()).step_by(4_001)).chain([bytes.len() - 1]) {
        let refused = refused(&bytes[..length]);
        assert!(matches!(refused, PolicyFileRefused::Cut { found_bytes } if found_bytes == length), "{refused:?}");
    }
}

#[test]
fn a_policy_for_other_tags_is_refused_by_the_first_that_differs() {
    let tampered = |change: fn(&mut rt_config::Site)| {
        let mut other = site();
        change(&mut other);
        refused(&written(&Purpose::of(&other)))
    };
    let renamed = tampered(|site| site.tags[LEVEL].name = "LEVEL_2".into());
    assert!(matches!(&renamed, PolicyFileRefused::OtherTag { list: "column", index: 8, .. }), "{renamed:?}");
    assert_eq!(
        renamed.to_string(),
        "column 8 of the policy is `LEVEL_2@0` in m, this site has `LEVEL@0` in m: the policy belongs to another tag list"
    );
    let unit = tampered(|site| site.tags[LEVEL].unit = "cm".into());
    assert!(matches!(unit, PolicyFileRefused::OtherTag { index: 8, .. }), "{unit:?}");
    let fewer = tampered(|site| site.tags[LEVEL].in_state = false);
    assert!(matches!(fewer, PolicyFileRefused::OtherTag { index: 8, .. }), "{fewer:?}");
    let traces = tampered(|site| site.agent.traces.truncate(3));
    assert!(matches!(traces, PolicyFileRefused::OtherTag { index: 3, .. }), "{traces:?}");
    let scale = tampered(|site| site.tags[LEVEL].normal_range = site.tags[LEVEL].operating_range);
    let found_expected = ((-0.5, 1.5), (0.0, 1.0));
    assert!(
        matches!(&scale, PolicyFileRefused::OtherScale { name, found, expected }
            if name == "LEVEL@0" && (*found, *expected) == found_expected),
        "{scale:?}"
    );
}

/// Writes the file after a change to its manifest.
fn forged(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let bytes = written(&Purpose::of(&site()));
    let (_, head) = SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut manifest = serde_json::from_str(&head.metadata().as_ref().unwrap()[MANIFEST_KEY]).unwrap();
    change(&mut manifest);
    let metadata = HashMap::from([(MANIFEST_KEY.to_owned(), manifest.to_string())]);
    safetensors::serialize(tensors.tensors(), Some(metadata)).unwrap()
}

#[test]
fn f29_other_manifests_are_refused_by_what_is_wrong_with_them() {
    assert!(from_bytes(&forged(|_| ()), &Purpose::of(&site()), &LAB).is_ok());
    let version = refused(&forged(|manifest| manifest["format_version"] = 2.into()));
    assert!(matches!(version, PolicyFileRefused::FormatVersion { found: 2 }));
    let hash = refused(&forged(|manifest| manifest["parameters_hash"] = "00".into()));
    assert!(matches!(hash, PolicyFileRefused::Hash));
    let layer = refused(&forged(|manifest| manifest["layers"][1]["activation"] = "relu".into()));
    assert!(matches!(layer, PolicyFileRefused::OtherShape { net: "actor", layer: 1, .. }));
    let tags = refused(&forged(|manifest| manifest["tag_list_hash"] = "1".into()));
    assert!(matches!(tags, PolicyFileRefused::OtherTagList { .. }));
    let lacking = refused(&forged(|manifest| drop(manifest.as_object_mut().unwrap().remove("columns"))));
    assert!(matches!(lacking, PolicyFileRefused::Manifest(_)));

    let float = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
    let foreign = safetensors::serialize([("weight", float)], None).unwrap();
    assert!(matches!(refused(&foreign), PolicyFileRefused::NoManifest));
}

/// The checks that do not hold, and those of which nobody can tell.
fn failing(bytes: &[u8], site: Option<(&Purpose, &Trust)>) -> (Vec<Check>, Vec<Check>) {
    let (mut refused, mut unknown) = (Vec::new(), Vec::new());
    for (check, verdict) in examine(bytes, site) {
        match verdict {
            Verdict::Refused(_) => refused.push(check),
            Verdict::Unknown => unknown.push(check),
            Verdict::Holds | Verdict::NoSite => {}
        }
    }
    (refused, unknown)
}

#[test]
fn an_examination_says_everything_that_does_not_hold() {
    let purpose = Purpose::of(&site());
    let unsigned = Trust::default();
    let found = |bytes: &[u8]| failing(bytes, Some((&purpose, &LAB)));
    let good = written(&purpose);
    assert_eq!(found(&good), (vec![], vec![]));
    assert_eq!(failing(&good, Some((&purpose, &unsigned))), (vec![Check::Signature], vec![]));
    let cut = &good[..good.len() - 1];
    assert_eq!(found(cut), (vec![Check::Format], Check::ALL[1..].to_vec()));
    let version = forged(|manifest| manifest["format_version"] = 2.into());
    assert_eq!(found(&version), (vec![Check::Version], Check::ALL[2..].to_vec()));
    let tags_and_sum = forged(|manifest| {
        manifest["tag_list_hash"] = "1".into();
        manifest["parameters_hash"] = "00".into();
    });
    assert_eq!(found(&tags_and_sum), (vec![Check::Tags, Check::Checksum], vec![]));
    let shape = forged(|manifest| manifest["layers"][1]["activation"] = "relu".into());
    assert_eq!(found(&shape), (vec![Check::Shape], Check::ALL[5..].to_vec()));
    let numbers = |values: &[f32]| {
        let mut bad = parameters(&purpose);
        bad[..values.len()].copy_from_slice(values);
        found(&to_bytes(&purpose, &origin(), &bad).unwrap())
    };
    let not_finite = (vec![Check::Finite, Check::Normal, Check::Magnitude], vec![]);
    assert_eq!(numbers(&[f32::NAN, 1e-40, -1e5]), not_finite);
    assert_eq!(numbers(&[1e-40]), (vec![Check::Normal], vec![]));
    let large = vec![9e3; parameters(&purpose).len()];
    assert_eq!(numbers(&large), (vec![Check::Answers], vec![]));
}

#[test]
fn without_a_site_a_policy_is_examined_as_far_as_it_goes_by_itself() {
    let purpose = small();
    let signed = sign(&written(&purpose), &key(1)).unwrap();
    assert_eq!(failing(&signed, None), (vec![], vec![]));
    assert!(matches!(examine(&signed, None)[3], (Check::Tags, Verdict::NoSite)));
    let mut changed = signed.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(failing(&changed, None), (vec![Check::Signature, Check::Checksum], vec![]));
    let unknown = forged(|manifest| manifest["layers"][1]["activation"] = "swish".into());
    assert_eq!(failing(&unknown, None).0, [Check::Shape]);
    assert!(matches!(claims(&unknown).map(drop), Err(PolicyFileRefused::Activation)));
    let no_chain = forged(|manifest| manifest["layers"][1]["inputs"] = 3.into());
    assert!(matches!(claims(&no_chain).map(drop), Err(PolicyFileRefused::Network(_))));
}

#[test]
fn a_policy_with_bad_numbers_is_refused() {
    let purpose = Purpose::of(&site());
    let mut bad = parameters(&purpose);
    bad[77] = f32::NAN;
    let refused = refused(&to_bytes(&purpose, &origin(), &bad).unwrap());
    assert!(matches!(refused, PolicyFileRefused::Parameters(ParametersRefused::NotFinite { index: 77 })));
}

#[test]
fn another_number_of_parameters_is_not_saved() {
    let purpose = Purpose::of(&site());
    assert!(matches!(to_bytes(&purpose, &origin(), &[0.0]), Err(WriteError::Count(ParameterCount { found: 1, .. }))));
}

/// A purpose of so few parameters that every bit of its file can be changed.
fn small() -> Purpose {
    let layer = Layer { inputs: 2, outputs: 1, activation: Activation::Relu.name().to_owned() };
    let whole = Purpose::of(&site());
    Purpose { layers: vec![layer], columns: serde_json::from_str("[]").unwrap(), actions: Vec::new(), ..whole }
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// A plant that trusts this key and no other.
fn trusting(key: &SecretKey) -> Trust {
    Trust { keys: vec![key.public()], lab: false }
}

#[test]
fn s8_a_signed_policy_is_loaded_by_those_who_trust_the_key_and_by_nobody_else() {
    let purpose = small();
    let unsigned = written(&purpose);
    let signed = sign(&unsigned, &key(1)).unwrap();
    let file = from_bytes(&signed, &purpose, &trusting(&key(1))).unwrap();
    assert_eq!(file.weights().parameters(), parameters(&purpose));
    assert_eq!(file.manifest().signature.as_ref().map(|signature| &signature.key), Some(&key(1).public()));
    let refused = |bytes: &[u8], trust: &Trust| from_bytes(bytes, &purpose, trust).map(drop).unwrap_err();
    assert!(matches!(refused(&unsigned, &trusting(&key(1))), PolicyFileRefused::Unsigned));
    let other = refused(&signed, &trusting(&key(2)));
    assert!(matches!(&other, PolicyFileRefused::OtherKey { key: named } if *named == key(1).public()), "{other}");
    assert!(matches!(refused(&signed, &Trust::default()), PolicyFileRefused::OtherKey { .. }));
    assert!(from_bytes(&unsigned, &purpose, &LAB).is_ok() && from_bytes(&signed, &purpose, &LAB).is_ok());
    // Signed again by somebody else, it is the same as if signed by him at first.
    assert_eq!(sign(&signed, &key(2)).unwrap(), sign(&unsigned, &key(2)).unwrap());
    assert!(from_bytes(&sign(&signed, &key(2)).unwrap(), &purpose, &trusting(&key(2))).is_ok());
}

#[test]
fn s8_every_single_bit_of_a_signed_policy_is_vouched_for() {
    let purpose = small();
    let signed = sign(&written(&purpose), &key(1)).unwrap();
    let trust = trusting(&key(1));
    assert!(from_bytes(&signed, &purpose, &trust).is_ok());
    for bit in 0..8 * signed.len() {
        let mut changed = signed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(from_bytes(&changed, &purpose, &trust).is_err(), "bit {bit} of {}", 8 * signed.len());
    }
    for length in 0..signed.len() {
        assert!(from_bytes(&signed[..length], &purpose, &trust).is_err(), "cut after {length} bytes");
    }
}

#[test]
fn s8_a_signature_of_another_file_or_by_another_key_is_refused_in_the_laboratory_too() {
    let purpose = small();
    let (first, second) =
        (written(&purpose), to_bytes(&purpose, &Origin { generation: 13, ..origin() }, &parameters(&purpose)));
    let (first, second) = (sign(&first, &key(1)).unwrap(), sign(&second.unwrap(), &key(1)).unwrap());
    let signature = |bytes: &[u8]| from_bytes(bytes, &purpose, &LAB).unwrap().manifest().signature.clone().unwrap();
    let replaced = |from: &str, to: &str| {
        let place = first.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        [&first[..place], to.as_bytes(), &first[place + from.len()..]].concat()
    };
    let moved = replaced(&signature(&first).ed25519, &signature(&second).ed25519);
    let renamed = replaced(&signature(&first).key, &key(2).public());
    for forged in [moved, renamed] {
        let refused = from_bytes(&forged, &purpose, &LAB).map(drop).unwrap_err();
        assert!(matches!(refused, PolicyFileRefused::Forged), "{refused}");
    }
}

#[test]
fn s8_a_secret_key_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.key");
    key(7).save(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(SecretKey::load(&path).map(|key| key.public()).unwrap(), key(7).public());
    assert_eq!(key(8).save(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists, "a key is never overwritten");
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(SecretKey::load(&path), Err(KeyRefused::Mode { mode: found, .. }) if found == mode));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    assert!(matches!(SecretKey::load(&path), Err(KeyRefused::Format { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_changed_byte_passes_or_panics(at in 0_usize..8_000, value: u8) {
        let mut bytes = written(&Purpose::of(&site()));
        prop_assume!(bytes[at] != value);
        bytes[at] = value;
        let purpose = Purpose::of(&site());
        let loaded = from_bytes(&bytes, &purpose, &LAB);
        let found = failing(&bytes, Some((&purpose, &LAB)));
        prop_assert_eq!(loaded.is_ok(), found == (vec![], vec![]), "whoever examines comes to the loader's verdict");
        if let Ok(file) = loaded {
            // Only what describes the origin may differ, or white space and escapes in the text.
            prop_assert_eq!(file.weights().parameters(), parameters(&Purpose::of(&site())));
        }
    }
}
