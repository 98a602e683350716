//! What is linked into the programs as they are built, and which ways lead to the plant: the graph that cargo plans is checked
//! by `cargo xtask tidy`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tests::{program, workspace};

/// Paths of a crate's sources are in the line tables and panic messages of whatever it is linked into.
fn holds(name: &str, text: &str) -> bool {
    let bytes = std::fs::read(program(name)).unwrap();
    String::from_utf8_lossy(&bytes).contains(text)
}

#[test]
fn no_program_with_or_beside_the_control_path_holds_tokio_and_the_plant_that_may_does() {
    for name in ["corerl-rt", "corerl-learner", "corerl"] {
        assert!(holds(name, "/postcard-"), "{name}: its sources are not named, so this test sees nothing");
        assert!(!holds(name, "/tokio-"), "{name} was linked with tokio");
    }
    assert!(holds("corerl-plant", "/tokio-"));
}

/// Where the products' sources are.
const PRODUCTS: [&str; 6] = ["rt-core", "io-loop", "policy", "learner", "shm", "tools"];

/// The sources below a directory, without those of tests.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().into_string().unwrap_or_default();
        if path.is_dir() && !matches!(name.as_str(), "tests" | "interop" | "target") {
            sources(&path, found);
        } else if name.ends_with(".rs") && !matches!(name.as_str(), "tests.rs" | "testing.rs") {
            found.push(path);
        }
    }
}

/// How often this text stands in which source, whatever tests do there.
fn occurrences(text: &str) -> BTreeMap<String, usize> {
    let mut files = Vec::new();
    PRODUCTS.iter().for_each(|product| sources(&workspace().join(product), &mut files));
    assert!(files.len() > 200, "{} sources: this test sees nothing", files.len());
    let count = |file: &PathBuf| {
        let whole = std::fs::read_to_string(file).unwrap();
        let product = whole.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let place = file.strip_prefix(workspace()).unwrap().display().to_string();
        (place, product.matches(text).count())
    };
    files.iter().map(count).filter(|(_, count)| *count > 0).collect()
}

#[test]
fn s1_one_function_sends_writes_and_one_bus_prepares_them_for_the_nodes_of_the_site_file() {
    let only = |place: &str, count: usize| BTreeMap::from([(place.to_owned(), count)]);
    assert_eq!(occurrences("type_id::WRITE_REQUEST"), only("io-loop/session/src/plan.rs", 1), "who encodes writes");
    // Alone, and together with a read.
    assert_eq!(occurrences(".send_write("), only("io-loop/session/src/session.rs", 2), "who sends them");
    assert_eq!(occurrences(".prepare_write("), only("io-loop/src/opcua.rs", 1), "who says which nodes");
    assert_eq!(occurrences("session.write("), only("io-loop/src/opcua.rs", 1), "who says which values");
}
