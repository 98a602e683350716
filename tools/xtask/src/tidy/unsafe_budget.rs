//! Where `unsafe` may stand, and how many lines of it there are.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::source::{closing_brace, code_only, without_tests, words};
use super::sources::SourceFile;

/// The most lines inside unsafe blocks and unsafe function bodies, outside of tests, in the whole project.
pub(super) const LINES_MAX: usize = 150;

/// The places for `unsafe`: package name and path prefix.
const PLACES: &[(&str, &str)] =
    &[("shm", "shm/src/"), ("rt-sys", "rt-core/sys/src/"), ("policy", "policy/src/kernels")];

/// What was found in one file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// Lines with code inside unsafe blocks and bodies.
    lines: usize,
    /// The word stands in the file's code, outside of tests.
    is_present: bool,
}

/// The count over all files.
#[derive(Debug)]
pub(super) struct Budget {
    lines_by_package: BTreeMap<&'static str, usize>,
    misplaced: Vec<String>,
}

impl Budget {
    pub(super) fn total(&self) -> usize {
        self.lines_by_package.values().sum()
    }

    /// `shm 40, rt-sys 30`, for people.
    pub(super) fn by_package(&self) -> String {
        let parts: Vec<_> = self.lines_by_package.iter().map(|(package, lines)| format!("{package} {lines}")).collect();
        parts.join(", ")
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        let mut violations: Vec<_> = self
            .misplaced
            .iter()
            .map(|path| format!("{path}: `unsafe` belongs into shm, rt-sys and policy's kernels alone"))
            .collect();
        if self.total() > LINES_MAX {
            violations.push(format!(
                "{} lines inside unsafe, {LINES_MAX} are permitted ({})",
                self.total(),
                self.by_package()
            ));
        }
        violations
    }
}

/// Whether a package has a place for `unsafe`.
pub(super) fn may_use_unsafe(package: &str) -> bool {
    PLACES.iter().any(|(name, _)| *name == package)
}

/// Whether the root file of a crate forbids `unsafe` in all of it.
pub(super) fn forbids_unsafe(root: &str) -> bool {
    code_only(root).contains("#![forbid(unsafe_code)]")
}

/// Counts over all Rust files.
pub(super) fn measure(files: &[SourceFile]) -> Budget {
    let mut budget =
        Budget { lines_by_package: PLACES.iter().map(|(package, _)| (*package, 0)).collect(), misplaced: Vec::new() };
    let rust = || files.iter().filter(|file| file.path.ends_with(".rs"));
    let for_tests: BTreeSet<String> = rust().flat_map(test_modules).collect();
    for file in rust().filter(|file| !is_for_tests(&file.path, &for_tests)) {
        let found = count(&file.text);
        match PLACES.iter().find(|(_, place)| file.path.starts_with(place)) {
            Some((package, _)) => *budget.lines_by_package.entry(package).or_default() += found.lines,
            None if found.is_present => budget.misplaced.push(file.path.clone()),
            None => {}
        }
    }
    budget
}

/// Paths, without extension, of modules that a file declares for tests alone.
fn test_modules(file: &SourceFile) -> Vec<String> {
    let (_, modules) = without_tests(&code_only(&file.text));
    let stem = file.path.trim_end_matches(".rs");
    let (directory, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    let base = if ["lib", "main", "mod"].contains(&name) { directory } else { stem };
    modules.iter().map(|module| format!("{base}/{module}")).collect()
}

fn is_for_tests(path: &str, modules: &BTreeSet<String>) -> bool {
    let in_tests_directory = path.starts_with("tests/")
        || path.starts_with("benches/")
        || path.contains("/tests/")
        || path.contains("/benches/");
    let stem = path.trim_end_matches(".rs");
    in_tests_directory || modules.iter().any(|module| stem == module || stem.starts_with(&format!("{module}/")))
}

fn count(text: &str) -> Found {
    let (code, _) = without_tests(&code_only(text));
    let line_starts: Vec<usize> = std::iter::once(0).chain(code.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let mut lines = BTreeSet::new();
    let mut is_present = false;
    for at in words(&code, "unsafe") {
        is_present = true;
        let Some(open) = opening_brace(&code, at + "unsafe".len()) else {
            continue;
        };
        let inside = open + 1..closing_brace(&code, open);
        for (number, &start) in line_starts.iter().enumerate() {
            let end = line_starts.get(number + 1).map_or(code.len(), |next| next - 1);
            let (from, to) = (start.max(inside.start), end.min(inside.end));
            if from < to && !code[from..to].trim().is_empty() {
                lines.insert(number);
            }
        }
    }
    Found { lines: lines.len(), is_present }
}

/// The brace that opens what `unsafe` applies to: a block, a function's body or a block of foreign functions. An
/// unsafe trait or implementation, an attribute and a type have none of their own.
fn opening_brace(code: &str, after: usize) -> Option<usize> {
    let rest = code[after..].trim_start();
    let has_body = rest.starts_with('{')
        || rest.starts_with("fn ")
        || (rest.starts_with("extern") && !rest.starts_with("extern crate"));
    if !has_body {
        return None;
    }
    let offset = code[after..].find(['{', ';', ')'].as_slice())?;
    // A parameter list comes before a function's body; skip it.
    let mut at = after + offset;
    while code[at..].starts_with(')') {
        at += 1 + code[at + 1..].find(['{', ';', ')'].as_slice())?;
    }
    code[at..].starts_with('{').then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn lines_inside_blocks_and_bodies_are_counted_without_comments_and_blank_lines() {
        let text = "fn a() {\n    // SAFETY: x\n    unsafe {\n        one();\n\n        // why\n        two();\n    }\n    unsafe { three() };\n}\n\
                    unsafe fn b(x: fn(u8)) -> u8 {\n    4\n}\nunsafe impl Send for C {}\n";
        assert_eq!(count(text), Found { lines: 4, is_present: true });
    }

    #[test]
    fn a_block_in_an_unsafe_function_is_counted_once() {
        let text = "unsafe fn a() {\n    unsafe {\n        one();\n    }\n}\n";
        // The inner opening and closing lines are code of the function's body.
        assert_eq!(count(text).lines, 3);
    }

    #[test]
    fn tests_strings_and_lint_names_do_not_count() {
        let text = "#![forbid(unsafe_code)]\nconst A: &str = \"unsafe { }\";\n#[cfg(test)]\nmod tests {\n    fn a() { unsafe { x() } }\n}\n";
        assert_eq!(count(text), Found::default());
    }

    #[test]
    fn unsafe_in_another_package_is_caught_and_so_is_an_overrun() {
        let block = format!("fn a() {{\n    unsafe {{\n{}    }}\n}}\n", "        x();\n".repeat(LINES_MAX + 1));
        let budget = measure(&[
            file("io-loop/src/lib.rs", "fn a() { unsafe { x() } }"),
            file("shm/src/lib.rs", &block),
            file("policy/src/lib.rs", "fn a() { unsafe { x() } }"),
            file("policy/src/kernels/avx2.rs", "fn a() { unsafe { x() } }"),
        ]);
        assert_eq!(budget.total(), LINES_MAX + 2);
        let violations = budget.violations();
        assert_eq!(violations.len(), 3, "{violations:?}");
        assert!(violations[0].starts_with("io-loop/src/lib.rs"));
        assert!(violations[1].starts_with("policy/src/lib.rs"));
        assert!(violations[2].contains("150 are permitted"));
    }

    #[test]
    fn a_module_that_is_only_compiled_for_tests_does_not_count() {
        let budget = measure(&[
            file("io-loop/src/lib.rs", "#[cfg(test)]\nmod golden;\n"),
            file("io-loop/src/golden.rs", "fn a() { unsafe { x() } }"),
            file("tests/tests/crash.rs", "fn a() { unsafe { x() } }"),
        ]);
        assert_eq!(budget.violations(), Vec::<String>::new());
    }

    #[test]
    fn a_root_must_forbid_unsafe_in_code_not_in_a_comment() {
        assert!(forbids_unsafe("//! Doc.\n#![forbid(unsafe_code)]\n"));
        assert!(!forbids_unsafe("// #![forbid(unsafe_code)]\n"));
    }
}
