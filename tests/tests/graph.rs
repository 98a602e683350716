//! What is linked into the programs as they are built: the graph that cargo plans is checked by `cargo xtask tidy`.

use tests::program;

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
