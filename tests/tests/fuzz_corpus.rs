//! What fuzzing has found so far, again in every test run.

use std::fs;
use std::path::{Path, PathBuf};

use tests::targets::{Target, Verdict};

/// A corpus is read by people who clone the repository.
const CORPORA_BYTES_MAX: u64 = 200_000;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// The files of a target's corpus, in their order.
fn corpus(target: &Target) -> Vec<PathBuf> {
    let entries = fs::read_dir(corpora().join(target.name)).expect("a target has a corpus");
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn verdict(target: &Target, bytes: &[u8], name: &str) -> Verdict {
    let run = std::panic::AssertUnwindSafe(|| (target.run)(bytes));
    std::panic::catch_unwind(run).unwrap_or_else(|_| panic!("{}: {name} breaks a promise", target.name))
}

#[test]
fn every_target_keeps_its_promises_and_its_corpus_still_reaches_what_lies_behind_the_checks() {
    for target in Target::ALL {
        let found = corpus(target).into_iter().map(|file| {
            let bytes = fs::read(&file).unwrap();
            verdict(target, &bytes, &file.display().to_string())
        });
        let found: Vec<_> = found.collect();
        for wanted in [Verdict::Believed, Verdict::Refused] {
            assert!(found.contains(&wanted), "{}: nothing in its corpus is {wanted:?}", target.name);
        }
    }
}

#[test]
fn the_shortest_inputs_of_every_kind_are_no_trouble() {
    for target in Target::ALL {
        verdict(target, &[], "nothing");
        for byte in 0..=u8::MAX {
            verdict(target, &[byte], "a byte");
            verdict(target, &[byte, 0], "a byte and zero");
        }
    }
}

#[test]
fn every_corpus_belongs_to_a_target_and_all_of_them_are_small() {
    let mut bytes = 0;
    for entry in fs::read_dir(corpora()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let target = Target::named(&name).unwrap_or_else(|| panic!("{name} is the corpus of no target"));
        bytes += corpus(&target).iter().map(|file| fs::metadata(file).unwrap().len()).sum::<u64>();
    }
    assert!(bytes <= CORPORA_BYTES_MAX, "{bytes} bytes of corpora");
}
