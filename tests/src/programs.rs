//! Where the programs are: built once per test run, optimised, because a learner without optimisation learns nothing in time.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

/// The path of one of the project's programs.
///
/// # Panics
/// The programs cannot be built.
pub fn program(name: &str) -> PathBuf {
    DIRECTORY.get_or_init(build).join(name)
}

/// The directory of the workspace.
///
/// # Panics
/// Never: the rig lies in it.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace")
}

fn build() -> PathBuf {
    let packages = ["rt-daemon", "learner-daemon", "corerl", "historian", "plant-sim", "ua-server"];
    let status = children::cargo()
        .current_dir(workspace())
        .args(["build", "--release", "--quiet"])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .status()
        .expect("cargo starts");
    assert!(status.success(), "the programs do not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    workspace().join(target).join("release")
}
