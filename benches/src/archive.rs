//! Runs that are kept: `benches/runs/NAME-BENCH.json`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

use crate::harness::Report;

/// Where runs are kept, and under which name.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    directory: PathBuf,
    name: String,
}

impl FromStr for Archive {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) {
            return Err("letters, digits, `-`, `_` and `.` make a name, and `.` does not begin one".to_owned());
        }
        let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/runs"));
        Ok(Self { directory, name: name.to_owned() })
    }
}

impl Archive {
    fn path(&self, bench: &str) -> PathBuf {
        self.directory.join(format!("{}-{bench}.json", self.name))
    }

    /// Refuses when there is such a run.
    pub(crate) fn check(&self, bench: &str) -> Result<(), String> {
        let path = self.path(bench);
        if path.exists() {
            return Err(format!("{} is there already; choose another name", path.display()));
        }
        Ok(())
    }

    /// Writes a report to a file that was not there.
    pub(crate) fn write(&self, report: &Report) -> Result<(), String> {
        let path = self.path(report.bench);
        let failed = |error: std::io::Error| format!("{} cannot be written: {error}", path.display());
        fs::create_dir_all(&self.directory).map_err(failed)?;
        let mut text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
        text.push('\n');
        File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
        eprintln!("bench: written to {}", path.display());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{Machine, Row};

    #[test]
    fn a_name_stays_in_its_directory() {
        for name in ["", "..", ".x", "a/b", "a b"] {
            assert!(Archive::from_str(name).is_err(), "{name}");
        }
        let path = Archive::from_str("my-server_2.1").unwrap().path("kernel");
        assert!(path.ends_with("benches/runs/my-server_2.1-kernel.json"), "{}", path.display());
    }

    #[test]
    fn a_run_is_written_once() {
        let directory = tempfile::tempdir().unwrap();
        let archive = Archive { directory: directory.path().join("runs"), name: "a".into() };
        let report = |value| Report::new("kernel", Machine::describe(), vec![Row::exact("x", value, "ns")]);
        assert_eq!(archive.check("kernel"), Ok(()));
        archive.write(&report(1.0)).unwrap();
        assert!(archive.check("kernel").is_err());
        assert!(archive.write(&report(2.0)).is_err());
        let kept = fs::read_to_string(archive.path("kernel")).unwrap();
        assert!(kept.contains("\"value\": 1.0"), "{kept}");
    }

    #[test]
    fn a_report_names_neither_the_machine_nor_a_path() {
        let text = serde_json::to_string(&Report::new("kernel", Machine::describe(), Vec::new())).unwrap();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let version = fs::read_to_string("/proc/version").unwrap();
        // Linux version 6.1 (somebody@somewhere) …
        let builder = version.split(['(', ')']).nth(1).unwrap();
        for private in [host.trim(), builder, concat!(env!("CARGO_MANIFEST_DIR"), "/")] {
            assert!(!text.contains(private), "{private} in {text}");
        }
    }
}
