//! Where the dependencies come from, and under which licences.

use std::collections::BTreeSet;

use super::Violation;

/// The one place from which packages are taken.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// Licences under which the products may be passed on; MPL-2.0 is async-opcua's.
const PERMITTED: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Every package of the lock file is one of the workspace, or is from the registry and has the checksum of what was reviewed.
pub(super) fn check_sources(lock: &str) -> Vec<Violation> {
    let packages = lock.split("[[package]]").skip(1);
    packages
        .filter_map(|package| {
            let field = |name: &str| {
                let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))?;
                Some(line.trim_matches('"'))
            };
            let name = field("name").unwrap_or_default();
            match (field("source"), field("checksum")) {
                (None, _) | (Some(REGISTRY), Some(_)) => None,
                (Some(REGISTRY), None) => Some(format!("Cargo.lock: {name} has no checksum: run cargo update")),
                (Some(source), _) => Some(format!("Cargo.lock: {name} comes from {source}: take it from crates.io")),
            }
        })
        .collect()
}

/// Every line is a package and its licence, as `cargo tree --format '{p}|{l}'` prints them.
pub(super) fn check_licences(tree: &str) -> Vec<Violation> {
    let lines: BTreeSet<_> = tree.lines().filter_map(|line| line.split_once('|')).collect();
    let refused = lines.into_iter().filter(|(_, licence)| !is_permitted(licence.trim_end_matches(" (*)")));
    refused
        .map(|(package, licence)| {
            let shown = if licence.is_empty() { "no licence" } else { licence };
            format!("{package} has {shown}, which is not permitted: use another package, or give a reason in ARCHITECTURE.md")
        })
        .collect()
}

/// Whether an SPDX expression leaves a choice that is permitted. `/` is how `OR` was written once.
fn is_permitted(expression: &str) -> bool {
    let plain = expression.replace('/', " OR ");
    let is_one = |licence: &str| PERMITTED.contains(&licence.trim());
    // Parentheses only ever stand around alternatives of a conjunction.
    let parts: Vec<_> = plain.split(" AND ").collect();
    let alternatives = |part: &str| part.trim().trim_matches(['(', ')']).split(" OR ").any(is_one);
    parts.iter().all(|part| alternatives(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s14_a_licence_is_permitted_if_one_can_be_chosen_and_every_part_has_one() {
        for permitted in ["MIT", "MIT OR GPL-3.0", "GPL-2.0/MIT", "(GPL-3.0 OR MIT) AND Unicode-3.0", "MPL-2.0"] {
            assert!(is_permitted(permitted), "{permitted}");
        }
        for refused in ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR AGPL-3.0) AND MIT", "Apache-2.0 WITH Commons"] {
            assert!(!is_permitted(refused), "{refused}");
        }
        let complaints = check_licences("a v1.0.0|MIT\nb v2.0.0|GPL-3.0\nb v2.0.0|GPL-3.0 (*)\nc v3.0.0|\n");
        assert!(
            complaints[0].starts_with("b v2.0.0 has GPL-3.0") && complaints.iter().any(|text| text.contains("c v3"))
        );
    }

    #[test]
    fn s14_packages_are_from_the_registry_and_have_their_checksums() {
        let package = |source: &str, checksum: &str| {
            format!("version = 4\n\n[[package]]\nname = \"x\"\nversion = \"1.0.0\"\n{source}{checksum}")
        };
        let (registry, checksum) = (format!("source = \"{REGISTRY}\"\n"), "checksum = \"00\"\n");
        assert_eq!(check_sources(&package("", "")), [] as [String; 0]);
        assert_eq!(check_sources(&package(&registry, checksum)), [] as [String; 0]);
        assert!(check_sources(&package(&registry, ""))[0].contains("no checksum"));
        assert!(check_sources(&package("source = \"git+https://example.org/x\"\n", checksum))[0].contains("git+https"));
    }
}
