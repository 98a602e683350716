//! Which package may use which: the table of the design, and the packages whose graph must not hold tokio.

use super::Violation;
use crate::workspace::Package;

/// What is shipped without an asynchronous runtime.
pub(super) const WITHOUT_TOKIO: &[&str] = &["rt-daemon", "learner-daemon", "corerl"];

/// Packages that must not appear in those graphs.
const FORBIDDEN_IN_TREE: &[&str] = &["tokio", "async-std", "smol"];

/// What a library of the control path may use of ours. A new edge needs a line here and one in ARCHITECTURE.md.
const ALLOWED: &[(&str, &[&str])] = &[
    ("shm-layout", &[]),
    ("rt-core", &[]),
    ("ua-session", &[]),
    ("plants", &[]),
    ("archive", &["tables"]),
    ("backup", &[]),
    ("chart", &[]),
    ("children", &[]),
    ("tables", &[]),
    ("recall", &["archive", "rt-control"]),
    ("footage", &["chart", "rt-config", "rt-core", "rt-recording", "shm", "shm-layout", "tables"]),
    ("ua-host", &["rt-sys"]),
    ("watch", &["rt-control", "shm", "shm-layout"]),
    (
        "hil",
        &[
            "archive",
            "chart",
            "children",
            "policy",
            "rt-config",
            "rt-control",
            "rt-core",
            "rt-sys",
            "shm",
            "shm-layout",
            "watch",
        ],
    ),
    ("shm", &["shm-layout"]),
    ("rt-sys", &["rt-core"]),
    ("rt-config", &["rt-core"]),
    ("rt-control", &["shm-layout"]),
    ("rt-state", &[]),
    ("policy", &["rt-core", "rt-config", "shm-layout"]),
    ("io-loop", &["ua-session", "rt-core", "shm"]),
    ("rt-recording", &["policy", "rt-config", "rt-core", "shm", "shm-layout"]),
    ("learner", &["policy", "rt-core", "rt-config"]),
    (
        "learner-daemon",
        &[
            "archive",
            "history",
            "learner",
            "policy",
            "recall",
            "rt-config",
            "rt-control",
            "rt-core",
            "rt-sys",
            "shm",
            "shm-layout",
        ],
    ),
    ("onnx", &["policy"]),
    ("history", &["archive", "learner", "policy", "recall", "rt-config", "rt-core", "rt-recording", "shm-layout"]),
    ("bridge", &["plants"]),
    ("experiment", &["bridge", "learner", "plants", "policy", "rt-config", "rt-core"]),
    (
        "rt-daemon",
        &[
            "io-loop",
            "ua-session",
            "policy",
            "shm",
            "shm-layout",
            "rt-core",
            "rt-sys",
            "rt-config",
            "rt-control",
            "rt-recording",
            "rt-state",
        ],
    ),
];

/// Programs: they use the public interface of any library, and never each other.
const PROGRAMS: &[&str] =
    &["corerl", "plant-sim", "ua-server", "xtask", "historian", "supervisor", "gateway", "telemetry"];

/// Packages that may use everything, and that nothing may use.
const TOPMOST: &[&str] = &["tests", "impure", "benches"];

/// Checks every edge between packages of the workspace.
pub(super) fn check(packages: &[Package]) -> Vec<Violation> {
    packages
        .iter()
        .flat_map(|package| {
            package.dependencies.iter().filter(|dependency| dependency.path.is_some()).filter_map(|dependency| {
                let is_for_tests = dependency.kind.as_deref() == Some("dev");
                refusal(&package.name, &dependency.name, is_for_tests)
            })
        })
        .collect()
}

fn refusal(from: &str, to: &str, is_for_tests: bool) -> Option<Violation> {
    let is_program = PROGRAMS.contains(&to);
    if TOPMOST.contains(&to) {
        return Some(format!("{from} -> {to}: nothing may import {to}"));
    }
    if TOPMOST.contains(&from) {
        return None;
    }
    if is_program {
        return Some(format!("{from} -> {to}: {to} is a program; its insides are its own"));
    }
    if PROGRAMS.contains(&from) {
        // Programs watch the runtime from outside. Only `corerl bench` runs its control loop, as a rehearsal.
        let may = to != "rt-daemon" || from == "corerl";
        return (!may).then(|| format!("{from} -> {to}: {to} is a program; its insides are its own"));
    }
    // A library's tests may use what stands beside it, as long as cargo finds no circle.
    if is_for_tests {
        return None;
    }
    match ALLOWED.iter().find(|(name, _)| *name == from) {
        None => Some(format!("{from}: a new package; give it a line in the table of allowed edges")),
        Some((_, allowed)) if allowed.contains(&to) => None,
        Some((_, allowed)) => Some(format!(
            "{from} -> {to}: not an allowed edge ({from} may use {})",
            if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") }
        )),
    }
}

/// Checks the output of `cargo tree --prefix none` for packages that must not be there.
pub(super) fn check_tree(package: &str, tree: &str) -> Vec<Violation> {
    FORBIDDEN_IN_TREE
        .iter()
        .filter(|forbidden| {
            tree.lines()
                .any(|line| line.split(' ').next() == Some(**forbidden))
        })
        .map(|forbidden| {
            format!(
                "{package} has {forbidden} in its graph; `cargo tree -p {package} -e no-dev -i {forbidden}` shows who brings it"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(edges: &[(&str, &str, Option<&str>)]) -> Vec<Package> {
        let json: Vec<_> = edges
            .iter()
            .map(|(from, to, kind)| {
                serde_json::json!({
                    "name": from, "manifest_path": "Cargo.toml", "targets": [],
                    "dependencies": [{"name": to, "kind": kind, "path": "somewhere"}],
                })
            })
            .collect();
        serde_json::from_value(serde_json::Value::Array(json)).unwrap()
    }

    #[test]
    fn an_upward_edge_is_caught() {
        let violations = check(&packages(&[("rt-core", "shm", None)]));
        assert_eq!(violations.len(), 1);
        assert!(violations[0].contains("rt-core -> shm"), "{}", violations[0]);
    }

    #[test]
    fn the_learner_may_not_know_the_runtimes_io_and_nothing_imports_tests() {
        for (from, to) in [
            ("learner", "io-loop"),
            ("rt-daemon", "learner"),
            ("learner-daemon", "rt-daemon"),
            ("rt-daemon", "plants"),
            ("shm", "tests"),
            ("corerl", "xtask"),
            ("xtask", "rt-daemon"),
        ] {
            assert_eq!(check(&packages(&[(from, to, None)])).len(), 1, "{from} -> {to}");
        }
    }

    #[test]
    fn an_unknown_package_needs_a_line_in_the_table() {
        let violations = check(&packages(&[("brand-new", "shm", None)]));
        assert!(violations[0].contains("a new package"));
    }

    #[test]
    fn downward_edges_tests_and_programs_are_fine() {
        let fine = packages(&[
            ("shm", "shm-layout", None),
            ("rt-daemon", "io-loop", None),
            ("tests", "learner", None),
            ("corerl", "rt-control", None),
            ("corerl", "rt-daemon", None),
            ("policy", "plants", Some("dev")),
        ]);
        assert_eq!(check(&fine), Vec::<String>::new());
    }

    #[test]
    fn tokio_in_a_shipped_graph_is_caught_and_a_namesake_is_not() {
        let tree = "corerl v0.1.0\nserde v1.0.0\ntokio v1.54.1\n";
        assert_eq!(check_tree("corerl", tree).len(), 1);
        assert!(check_tree("corerl", "corerl v0.1.0\ntokio-free v1.0.0\n").is_empty());
    }
}
