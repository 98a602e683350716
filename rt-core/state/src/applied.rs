//! The site file that was applied to a running agent, kept for its next start.
//!
//! A change of limits that ends with the process would come undone by a crash, at night, without anybody's act. So what was
//! applied is kept beside the audit log, together with the hash of the file that the runtime was started with: as long as
//! that one is the same, the next start uses what was applied. A file that was edited since is the later act of a person, and
//! counts; what was applied is set aside then.
//!
//! ```text
//! # Applied to a running agent. base=HASH all=HASH
//! (the text, as it was applied)
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::replace::{FILE_MODE, remove, replace, sync_directory};

const HEADING: &str = "# Applied to a running agent. ";
/// Longer files are none of ours.
const BYTES_MAX: u64 = 2 << 20;

/// What a start finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing was applied.
    Nothing,
    /// This text was applied to a runtime that was started with the same file.
    Applied(String),
    /// The file was edited since; what was applied is there now, out of use.
    Superseded(PathBuf),
}

/// Why what was applied cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read or set aside.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was written.
    #[error(
        "{} is damaged, and what was applied to the agent is not known: put the right limits into the site file, and remove this one",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// Keeps `text`, which was applied to a runtime that was started with `base`, on the disk; a text that is the same as `base` is
/// kept by keeping nothing.
///
/// # Errors
/// The system's. What was kept before still is.
pub fn keep(path: &Path, base: &str, text: &str) -> io::Result<()> {
    if base != text {
        let base = hash_of(&[base]);
        let heading = format!("{HEADING}base={base} all={}\n", hash_of(&[&base, text]));
        return replace(path, FILE_MODE, &[heading.as_bytes(), text.as_bytes()].concat());
    }
    remove(path)
}

/// What was applied to the runtime that was started with `base`, for its next start.
///
/// # Errors
/// The file is damaged, or cannot be read.
pub fn find(path: &Path, base: &str) -> Result<Found, LoadError> {
    match load(path)? {
        None => Ok(Found::Nothing),
        Some((of, text)) if of == hash_of(&[base]) => Ok(Found::Applied(text)),
        Some(_) => {
            let aside = path.with_added_extension("superseded");
            let moved = fs::rename(path, &aside).and_then(|()| sync_directory(path));
            moved.map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
            Ok(Found::Superseded(aside))
        }
    }
}

/// What is applied to a running runtime that was started with `base`, for another one that was; nothing is touched.
///
/// # Errors
/// The file is damaged, or cannot be read.
pub fn look(path: &Path, base: &str) -> Result<Option<String>, LoadError> {
    let found = load(path)?;
    Ok(found.filter(|(of, _)| *of == hash_of(&[base])).map(|(_, text)| text))
}

/// The hash of the base, and the text.
fn load(path: &Path) -> Result<Option<(String, String)>, LoadError> {
    let io = |source| LoadError::Io { path: path.to_owned(), source };
    let bytes = match fs::metadata(path) {
        // Where the state directory should be may be something else: then the audit log says so.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(io(error)),
        Ok(file) if file.len() > BYTES_MAX => Vec::new(),
        Ok(_) => fs::read(path).map_err(io)?,
    };
    let (of, text) = parse(&bytes).ok_or_else(|| LoadError::Damaged { path: path.to_owned() })?;
    Ok(Some((of.to_owned(), text.to_owned())))
}

/// The hash of the base, and the text, if it is the text that was written.
fn parse(bytes: &[u8]) -> Option<(&str, &str)> {
    let (heading, text) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
    let (base, all) = heading.strip_prefix(HEADING)?.strip_prefix("base=")?.split_once(" all=")?;
    (all == hash_of(&[base, text])).then_some((base, text))
}

fn hash_of(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const BASE: &str = "limits: wide\n";
    const APPLIED: &str = "---\nlimits: narrow\n...\n";

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("works.ph.main.applied.yaml");
        (dir, path)
    }

    #[test]
    fn what_was_applied_is_found_until_the_file_is_edited_or_applied_itself() {
        let (_dir, path) = place();
        assert_eq!(find(&path, BASE).unwrap(), Found::Nothing);
        keep(&path, BASE, "limits: narrower\n").unwrap();
        keep(&path, BASE, APPLIED).unwrap();
        assert_eq!(find(&path, BASE).unwrap(), Found::Applied(APPLIED.into()));
        assert_eq!(look(&path, BASE).unwrap().as_deref(), Some(APPLIED));
        assert_eq!(look(&path, "limits: edited\n").unwrap(), None);
        assert!(path.exists(), "a look touches nothing");
        let aside = path.with_added_extension("superseded");
        assert_eq!(find(&path, "limits: edited\n").unwrap(), Found::Superseded(aside.clone()));
        assert!(aside.exists());
        assert_eq!(find(&path, BASE).unwrap(), Found::Nothing, "an edit that is undone does not bring it back");
        keep(&path, BASE, APPLIED).unwrap();
        keep(&path, BASE, BASE).unwrap();
        assert_eq!(find(&path, BASE).unwrap(), Found::Nothing);
        keep(&path, BASE, BASE).unwrap();
    }

    #[test]
    fn f85_a_crash_at_any_byte_of_an_apply_leaves_the_old_file_or_the_new_one() {
        const NARROWER: &str = "limits: narrower\n";
        let (_dir, path) = place();
        keep(&path, BASE, APPLIED).unwrap();
        let (whole, mut old) = (fs::read(&path).unwrap(), fs::File::open(&path).unwrap());
        keep(&path, BASE, NARROWER).unwrap();
        // The new file came in one step: of the old one no byte was touched, so that it was whole until then.
        let mut text = Vec::new();
        old.read_to_end(&mut text).unwrap();
        assert_eq!(text, whole, "the old file was written to");
        assert_ne!(old.metadata().unwrap().ino(), fs::metadata(&path).unwrap().ino());
        // What a crash leaves beside it, however much of a file, is in the way of neither a start nor the next act.
        for length in 0..=whole.len() {
            let torn = || fs::write(path.with_added_extension("part"), &whole[..length]).unwrap();
            torn();
            assert_eq!(find(&path, BASE).unwrap(), Found::Applied(NARROWER.into()), "torn at {length}");
            keep(&path, BASE, APPLIED).unwrap();
            assert_eq!(find(&path, BASE).unwrap(), Found::Applied(APPLIED.into()), "torn at {length}");
            torn();
            keep(&path, BASE, NARROWER).unwrap();
        }
    }

    #[test]
    fn f84_a_kept_file_that_was_cut_or_changed_at_any_byte_is_refused_and_not_taken_for_none() {
        let (_dir, path) = place();
        keep(&path, BASE, APPLIED).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            fs::write(&path, &whole[..at]).unwrap();
            assert!(matches!(find(&path, BASE), Err(LoadError::Damaged { .. })), "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(matches!(find(&path, BASE), Err(LoadError::Damaged { .. })), "changed at {at}");
        }
    }
}
