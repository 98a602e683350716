//! The temporary directory of a run: removed at its end, and by the next run when this one was killed.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// Makes a temporary directory whose name begins with `name` and holds our process id, after removing those of runs
/// that exist no more.
pub(crate) fn directory(name: &str) -> Result<TempDir, String> {
    let place = std::env::temp_dir();
    remove_orphans(&place, name, |pid| Path::new("/proc").join(pid.to_string()).exists());
    tempfile::Builder::new()
        .prefix(&format!("{name}-{}-", std::process::id()))
        .tempdir_in(&place)
        .map_err(|error| format!("no temporary directory can be made in {}: {error}", place.display()))
}

/// What cannot be removed, because it is somebody else's, stays.
fn remove_orphans(place: &Path, name: &str, is_alive: impl Fn(u32) -> bool) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let file_name = entry.file_name();
        let owner = file_name
            .to_str()
            .and_then(|text| text.strip_prefix(name)?.strip_prefix('-')?.split_once('-'))
            .and_then(|(pid, _)| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !is_alive(pid)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_runs_that_are_gone_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let names = ["corerl-demo-1-abc", "corerl-demo-2-abc", "corerl-demo-x", "other-1-abc"];
        for name in names {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        remove_orphans(place.path(), "corerl-demo", |pid| pid == 2);
        let stays = names.map(|name| place.path().join(name).exists());
        assert_eq!(stays, [false, true, true, true]);
    }

    #[test]
    fn a_directory_is_gone_when_its_run_ends_in_order() {
        let made = directory("corerl-xtask-test").unwrap();
        let path = made.path().to_owned();
        assert!(path.exists());
        drop(made);
        assert!(!path.exists());
    }
}
