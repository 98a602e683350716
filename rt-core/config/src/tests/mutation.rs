//! Whatever happens to a file, it is answered.

use std::path::Path;

use proptest::prelude::*;

use super::BASE;
use crate::{Severity, parse};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn f84_no_mutation_of_a_file_panics(
        at in 0..BASE.len(),
        length in 0..12_usize,
        put in prop_oneof!["[ -~\\n]{0,6}", Just("\n".to_owned()), Just("{".to_owned()), Just("&a *a".to_owned()), "\\PC{0,3}"],
    ) {
        let mut bytes = BASE.as_bytes().to_vec();
        bytes.splice(at..(at + length).min(BASE.len()), put.bytes());
        let text = String::from_utf8_lossy(&bytes);
        if let Err(refused) = parse(&text, Path::new("site.yaml")) {
            prop_assert!(refused.complaints.iter().any(|said| said.severity == Severity::Error));
            prop_assert!(refused.complaints.iter().all(|said| !said.message.contains("fault of the program")
                && !said.message.contains("without a reason")), "{}\n{}", refused, text);
        }
    }

    #[test]
    fn no_swap_of_lines_panics(from in 0..28_usize, to in 0..28_usize) {
        let mut lines: Vec<&str> = BASE.lines().collect();
        if from < lines.len() && to < lines.len() {
            lines.swap(from, to);
        }
        if let Err(refused) = parse(&lines.join("\n"), Path::new("site.yaml")) {
            prop_assert!(refused.complaints.iter().all(|said| !said.message.contains("without a reason")), "{}", refused);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&String::from_utf8_lossy(&bytes), Path::new("site.yaml"));
    }
}
