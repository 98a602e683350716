//! Rules about single files: their length, and what must not be written into them.

use std::fs;
use std::path::Path;

use super::Violation;

/// The most lines of a Rust or Python file.
const LINES_MAX: usize = 800;

/// The most lines of ARCHITECTURE.md.
const ARCHITECTURE_LINES_MAX: usize = 400;

/// Files whose text is checked, by extension.
const EXTENSIONS: &[&str] = &["rs", "py", "toml", "md", "yaml", "yml", "sh", "service", "json"];

/// Directories of generated files.
const GENERATED: &[&str] = &["target", "report", "node_modules", "__pycache__"];

/// Beginnings of paths that exist on somebody's machine only. Written in two halves, or this file would hold them.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];

/// A text file of the repository.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// The path inside the repository, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// Reads all text files below `root`, generated ones and the version control's own left out.
pub(super) fn collect(root: &Path) -> Result<Vec<SourceFile>, String> {
    let mut files = Vec::new();
    descend(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn descend(directory: &Path, prefix: &str, files: &mut Vec<SourceFile>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be read: {error}", directory.display());
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            if !GENERATED.contains(&name.as_str()) && name != ".git" {
                descend(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if kind.is_file() && is_text(&name) {
            let text = fs::read_to_string(entry.path()).map_err(|error| format!("{path} cannot be read: {error}"))?;
            files.push(SourceFile { path, text });
        }
    }
    Ok(())
}

fn is_text(name: &str) -> bool {
    name == "run" || name.rsplit_once('.').is_some_and(|(_, extension)| EXTENSIONS.contains(&extension))
}

/// Checks every file by itself.
pub(super) fn check(files: &[SourceFile]) -> Vec<Violation> {
    files.iter().flat_map(|file| [too_long(file), machine_path(file)]).flatten().collect()
}

fn too_long(file: &SourceFile) -> Option<Violation> {
    let is_code = file.path.ends_with(".rs") || file.path.ends_with(".py");
    let limit = match file.path.as_str() {
        "ARCHITECTURE.md" => ARCHITECTURE_LINES_MAX,
        _ if is_code => LINES_MAX,
        _ => return None,
    };
    let lines = file.text.lines().count();
    (lines > limit).then(|| format!("{}: {lines} lines, {limit} are permitted; divide it", file.path))
}

fn machine_path(file: &SourceFile) -> Option<Violation> {
    file.text.lines().enumerate().find_map(|(number, line)| {
        MACHINE_PATHS.iter().find(|path| holds_path(line, path)).map(|path| {
            format!(
                "{}:{}: `{path}…` exists on one machine only; write a path inside the repository or a variable",
                file.path,
                number + 1
            )
        })
    })
}

/// The path stands in the line by itself, and not as the middle of another one.
fn holds_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-/~}>".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: String) -> SourceFile {
        SourceFile { path: path.to_owned(), text }
    }

    #[test]
    fn a_file_that_is_too_long_is_caught() {
        let violations = check(&[
            file("a/src/lib.rs", "x\n".repeat(LINES_MAX + 1)),
            file("a/src/fine.rs", "x\n".repeat(LINES_MAX)),
            file("ARCHITECTURE.md", "x\n".repeat(ARCHITECTURE_LINES_MAX + 1)),
            file("CHANGELOG.md", "x\n".repeat(5000)),
        ]);
        assert_eq!(violations.len(), 2, "{violations:?}");
        assert!(violations[0].starts_with("a/src/lib.rs: 801 lines"));
    }

    #[test]
    fn a_path_of_somebodys_machine_is_caught_with_its_line() {
        let text = format!("fine\nlet p = \"{}someone/x\";\n", MACHINE_PATHS[0]);
        let violations = check(&[file("a.rs", text)]);
        assert_eq!(violations.len(), 1);
        assert!(violations[0].starts_with("a.rs:2:"), "{}", violations[0]);
    }

    #[test]
    fn a_path_inside_the_repository_or_an_address_is_fine() {
        let text = format!("see docs{}x and https://example.org{}y", MACHINE_PATHS[3], MACHINE_PATHS[0]);
        assert!(check(&[file("a.md", text)]).is_empty());
    }

    #[test]
    fn generated_directories_are_not_read() {
        let root = tempfile::tempdir().unwrap();
        for path in ["target/debug", ".git", "src", ".ci"] {
            fs::create_dir_all(root.path().join(path)).unwrap();
        }
        for path in ["target/debug/a.rs", ".git/b.rs", "src/c.rs", ".ci/run", "src/d.bin"] {
            fs::write(root.path().join(path), "x").unwrap();
        }
        let paths: Vec<_> = collect(root.path()).unwrap().into_iter().map(|f| f.path).collect();
        assert_eq!(paths, [".ci/run", "src/c.rs"]);
    }
}
