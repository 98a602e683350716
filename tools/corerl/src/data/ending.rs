//! What the name of a file that is asked for says of it.

use std::path::Path;

use crate::failure::{Exit, Failure};

/// Endings that say what is in a file; any other may have whatever somebody wishes.
const MEANT: [&str; 6] = ["csv", "htm", "html", "json", "parquet", "svg"];

/// How a file is written: as its name ends or, with any other name, as somebody says.
pub(super) fn format<F: Copy + PartialEq>(path: &Path, said: Option<F>, endings: &[(&str, F)]) -> Result<F, Failure> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    let by_name = endings.iter().find(|known| known.0 == ending).map(|known| known.1);
    let names = || endings.iter().map(|known| format!(".{}", known.0)).collect::<Vec<_>>().join(" or ");
    let message = match (by_name, said) {
        (Some(format), None) => return Ok(format),
        (Some(format), Some(said)) if format == said => return Ok(said),
        (None, Some(said)) if !MEANT.contains(&ending.as_str()) => return Ok(said),
        (_, Some(_)) => format!(
            "{} would not be what its name says: name it after the format that is asked for, or let its name say the format",
            path.display()
        ),
        (None, None) => {
            format!("{} has no name that says how to write it: let it end with {}", path.display(), names())
        }
    };
    Err(Failure::new(Exit::Usage, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_how_a_file_is_written_and_nobody_contradicts_it() {
        let of = |name: &str, said| format(Path::new(name), said, &[("csv", 1), ("parquet", 2), ("txt", 3)]);
        for (name, said, found) in [
            ("a.csv", None, 1),
            ("a.PARQUET", None, 2),
            ("a.parquet", Some(2), 2),
            ("a.dat", Some(1), 1),
            ("/dev/stdout", Some(2), 2),
        ] {
            assert_eq!(of(name, said).unwrap(), found, "{name}");
        }
        for (name, said, advice) in [
            ("a.csv", Some(2), "let its name say the format"),
            ("a.json", Some(1), "let its name say the format"),
            ("a.json", None, ".csv or .parquet or .txt"),
            ("a", None, ".csv or .parquet or .txt"),
        ] {
            let refused = of(name, said).unwrap_err();
            assert!(refused.exit() == Exit::Usage && refused.to_string().contains(advice), "{refused}");
        }
    }
}
