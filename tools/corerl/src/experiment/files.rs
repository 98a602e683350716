//! What an experiment leaves behind: a directory with the case, the report and the curves.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chart::{Line, LineChart};
use experiment::{Case, Report};

use crate::failure::{Exit, Failure};

/// Where results go by default, below the working directory.
const RESULTS: &str = "experiments";
const REPORT: &str = "report.json";
/// Directories of one name at most.
const NUMBER_MAX: u32 = 100_000;

/// A new directory for results: the one that is asked for, or the next one of this name.
pub(super) fn directory(asked: Option<&Path>, name: &str) -> Result<PathBuf, Failure> {
    let attempt = |path: &Path, error: &io::Error| Failure::io(format_args!("cannot make {}", path.display()), error);
    if let Some(path) = asked {
        fs::create_dir_all(path).map_err(|error| attempt(path, &error))?;
        if path.join(REPORT).exists() {
            let message = format!("{} holds results already; name another directory", path.display());
            return Err(Failure::new(Exit::Usage, message));
        }
        return Ok(path.to_owned());
    }
    let results = Path::new(RESULTS);
    fs::create_dir_all(results).map_err(|error| attempt(results, &error))?;
    for number in 1..NUMBER_MAX {
        let path = results.join(format!("{name}-{number}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(attempt(&path, &error)),
        }
    }
    Err(Failure::new(Exit::Usage, format!("{RESULTS} is full of {name}: name a directory with --out")))
}

/// Writes everything about one case into a directory.
pub(super) fn keep(directory: &Path, case: &Case, report: &Report) -> Result<(), Failure> {
    fs::create_dir_all(directory)
        .map_err(|error| Failure::io(format_args!("cannot make {}", directory.display()), &error))?;
    let json = serde_json::to_string_pretty(report)
        .map_err(|error| Failure::new(Exit::Internal, format_args!("the report cannot be written: {error}")))?;
    // The report comes last: a directory that has one is complete.
    for (name, text) in [
        ("case.yaml", case.to_yaml()),
        ("curves.csv", report.curves_csv()),
        ("curves.svg", curves(report)),
        (REPORT, json + "\n"),
    ] {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| Failure::io(format_args!("cannot write {}", path.display()), &error))?;
    }
    Ok(())
}

/// The learning curves of all seeds, their median, and the reference.
fn curves(report: &Report) -> String {
    let class = |name: &str| if name == "median" { "c0" } else { "c0 faint" }.to_owned();
    let line = |(name, points): (String, Vec<(f64, f64)>)| Line { class: class(&name), name, points };
    let mut lines: Vec<_> = report.curves().into_iter().map(line).collect();
    if let Some(reference) = report.reference {
        let points = vec![(0.0, reference), (report.steps as f64, reference)];
        lines.push(Line { name: "reference".to_owned(), class: "c4".to_owned(), points });
    }
    let title =
        format!("{}, {} seeds: median of the last 100 rewards {:.4}", report.case, report.seeds.len(), report.median);
    LineChart { x_label: "step".to_owned(), y_label: "reward".to_owned(), lines, ..LineChart::default() }.file(&title)
}

/// The reports at a place: a file, the directory of an experiment, or one with directories of several.
pub(super) fn reports(place: &Path) -> Result<Vec<Report>, Failure> {
    let found = if place.is_dir() && !place.join(REPORT).is_file() {
        let entries = fs::read_dir(place).map_err(|error| unreadable(place, &error))?;
        let mut found: Vec<_> = entries.flatten().map(|entry| entry.path().join(REPORT)).collect();
        found.retain(|path| path.is_file());
        found.sort();
        found
    } else if place.is_dir() {
        vec![place.join(REPORT)]
    } else {
        vec![place.to_owned()]
    };
    if found.is_empty() {
        let message = format!("there are no results in {}: name a directory of an experiment", place.display());
        return Err(Failure::new(Exit::Unavailable, message));
    }
    found.iter().map(|path| report(path)).collect()
}

fn report(path: &Path) -> Result<Report, Failure> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    Report::parse(&text).map_err(|reason| {
        Failure::new(Exit::Usage, format!("{} is no report of an experiment: {reason}", path.display()))
    })
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::io(format_args!("cannot read {}", path.display()), error)
}
