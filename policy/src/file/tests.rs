use proptest::prelude::*;

use super::*;
use crate::agent::AdoptedPolicy;
use crate::testing::{LEVEL, site};

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
    from_bytes(bytes, &Purpose::of(&site())).map(|file| file.manifest).unwrap_err()
}

/// A directory of this process and test, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("corerl-policy-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_was_saved_is_loaded_bit_for_bit() {
    let directory = Directory::new("round-trip");
    let path = directory.0.join("policy.safetensors");
    let purpose = Purpose::of(&site());
    for generation in [12, 13] {
        save(&path, &purpose, &Origin { generation, ..origin() }, &parameters(&purpose)).unwrap();
        let file = load(&path, &purpose).unwrap();
        assert_eq!(file.manifest().origin, Origin { generation, ..origin() });
        assert_eq!(file.manifest().purpose, purpose);
        assert_eq!(file.weights().parameters(), parameters(&purpose));
        let mut policy = AdoptedPolicy::nominal(&purpose.spec().unwrap(), &site()).unwrap();
        policy.adopt(&file.weights()).unwrap();
        assert_eq!((policy.generation(), policy.is_nominal()), (generation, false));
    }
    assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn the_same_policy_is_written_in_the_same_bytes() {
    let purpose = Purpose::of(&site());
    assert_eq!(written(&purpose), written(&purpose));
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let purpose = Purpose::of(&site());
    let path = std::env::temp_dir().join("corerl-policy-no-such-directory/policy");
    let error = save(&path, &purpose, &origin(), &parameters(&purpose)).unwrap_err().to_string();
    assert!(error.starts_with("cannot create ") && error.contains("policy.part"), "{error}");
    assert!(matches!(load(&path, &purpose), Err(PolicyFileRefused::Io(_))));
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
fn other_manifests_are_refused_by_what_is_wrong_with_them() {
    assert!(from_bytes(&forged(|_| ()), &Purpose::of(&site())).is_ok());
    let version = refused(&forged(|manifest| manifest["format_version"] = 2.into()));
    assert!(matches!(version, PolicyFileRefused::FormatVersion { found: 2 }));
    let hash = refused(&forged(|manifest| manifest["parameters_hash"] = "00".into()));
    assert!(matches!(hash, PolicyFileRefused::Hash));
    let layer = refused(&forged(|manifest| manifest["layers"][1]["activation"] = "relu".into()));
    assert!(matches!(layer, PolicyFileRefused::OtherShape { layer: 1, .. }));
    let tags = refused(&forged(|manifest| manifest["tag_list_hash"] = "1".into()));
    assert!(matches!(tags, PolicyFileRefused::OtherTagList { .. }));
    let lacking = refused(&forged(|manifest| drop(manifest.as_object_mut().unwrap().remove("columns"))));
    assert!(matches!(lacking, PolicyFileRefused::Manifest(_)));

    let float = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
    let foreign = safetensors::serialize([("weight", float)], None).unwrap();
    assert!(matches!(refused(&foreign), PolicyFileRefused::NoManifest));
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
    assert!(matches!(to_bytes(&purpose, &origin(), &[0.0]), Err(SaveError::Count(ParameterCount { found: 1, .. }))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_changed_byte_passes_or_panics(at in 0_usize..8_000, value: u8) {
        let mut bytes = written(&Purpose::of(&site()));
        prop_assume!(bytes[at] != value);
        bytes[at] = value;
        if let Ok(file) = from_bytes(&bytes, &Purpose::of(&site())) {
            // Only what describes the origin may differ, or white space and escapes in the text.
            prop_assert_eq!(file.weights().parameters(), parameters(&Purpose::of(&site())));
        }
    }
}
