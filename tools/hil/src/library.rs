//! Finding scenarios.

use std::path::{Path, PathBuf};

use crate::scenario::{Scenario, ScenarioError};

/// The files that are meant: a file itself, of a directory every `.yaml` in it, by rising name.
///
/// # Errors
/// A sentence: there is no such file or directory, or the directory has none.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(of_directory(path)?);
        } else if path.is_file() {
            files.push(path.clone());
        } else {
            return Err(format!("there is no scenario {}: name a file, or a directory with some", path.display()));
        }
    }
    Ok(files)
}

fn of_directory(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(directory)
        .map_err(|error| format!("the directory {} cannot be read: {error}", directory.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    if files.is_empty() {
        return Err(format!("the directory {} has no scenario: they end in .yaml", directory.display()));
    }
    files.sort();
    Ok(files)
}

/// Loads them all; two of one name exclude each other, since results are called by names.
///
/// # Errors
/// All that is wrong with any of them.
pub fn load_all(files: &[PathBuf]) -> Result<Vec<Scenario>, Vec<String>> {
    let (mut scenarios, mut wrong) = (Vec::<Scenario>::new(), Vec::new());
    for loaded in files.iter().map(|file| Scenario::load(file)) {
        match loaded {
            Ok(scenario) => match scenarios.iter().find(|other| other.name == scenario.name) {
                Some(other) => wrong.push(twice(other, &scenario)),
                None => scenarios.push(scenario),
            },
            Err(error @ (ScenarioError::Read { .. } | ScenarioError::Refused { .. })) => wrong.push(error.to_string()),
        }
    }
    if wrong.is_empty() { Ok(scenarios) } else { Err(wrong) }
}

fn twice(one: &Scenario, other: &Scenario) -> String {
    let (one_file, other_file) = (one.file.display(), other.file.display());
    format!("{one_file} and {other_file} are both called `{}`: give each its own `name`", one.name)
}
