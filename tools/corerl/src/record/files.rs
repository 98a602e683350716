//! Where captures go: their names, when the next one begins, and how many there are.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use rt_recording::capture::{self, Opening, Writer};

use crate::failure::{Exit, Failure};

/// How a capture's file is called.
const ENDING: &str = "cap";

#[derive(Debug)]
pub(super) struct Files {
    place: Place,
    file_bytes_max: u64,
    budget_bytes: u64,
    /// Finished files of this agent, the oldest first, with their bytes.
    finished: VecDeque<(PathBuf, u64)>,
    /// Files that were begun.
    number: u64,
    /// Names that were passed over because others have them.
    taken: u64,
    removed: u64,
}

#[derive(Debug)]
enum Place {
    /// Files are named after agent and time.
    Directory(PathBuf),
    /// The first file.
    File(PathBuf),
}

impl Files {
    /// # Errors
    /// There can be no file here.
    pub(super) fn at(out: &Path, file_bytes_max: u64, budget_bytes: u64) -> Result<Self, Failure> {
        let is_file = out.extension().is_some_and(|ending| ending == ENDING) && !out.is_dir();
        let place = if is_file {
            if fs::symlink_metadata(out).is_ok() {
                let message = format_args!("{} is there already: name another file, or a directory", out.display());
                return Err(Failure::new(Exit::Usage, message));
            }
            Place::File(out.to_owned())
        } else {
            fs::create_dir_all(out)
                .map_err(|error| Failure::io(format_args!("cannot make the directory {}", out.display()), &error))?;
            Place::Directory(out.to_owned())
        };
        Ok(Self { place, file_bytes_max, budget_bytes, finished: VecDeque::new(), number: 0, taken: 0, removed: 0 })
    }

    /// Begins the next file.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn begin(&mut self, opening: &Opening) -> Result<(PathBuf, Writer<BufWriter<File>>), Failure> {
        if self.number == 0
            && let Place::Directory(directory) = &self.place
        {
            self.finished = of_before(directory, &prefix(opening)).into();
        }
        self.make_room();
        loop {
            let path = self.next_path(opening);
            match capture::create(&path, opening) {
                Ok(writer) => {
                    self.number += 1;
                    return Ok((path, writer));
                }
                // It is of an earlier recording, which stays. The first file was not there, and is named by a person.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.is_numbered() => self.taken += 1,
                Err(error) => return Err(Failure::io(format_args!("cannot write {}", path.display()), &error)),
            }
        }
    }

    /// Whether the next file may be called otherwise.
    const fn is_numbered(&self) -> bool {
        self.number > 0 || matches!(self.place, Place::Directory(_))
    }

    /// A file of so many bytes is long enough.
    pub(super) const fn is_full(&self, bytes: u64) -> bool {
        bytes >= self.file_bytes_max
    }

    /// Counts a file as finished.
    pub(super) fn finish(&mut self, path: PathBuf, bytes: u64) {
        self.finished.push_back((path, bytes));
    }

    /// This file's number among those of this run, from 0.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Older files that made room.
    pub(super) const fn removed(&self) -> u64 {
        self.removed
    }

    /// Whether a file was not removed since.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.finished.iter().any(|(kept, _)| kept == path)
    }

    /// Removes the oldest files until another one fits.
    fn make_room(&mut self) {
        let mut bytes: u64 = self.finished.iter().map(|(_, bytes)| bytes).sum();
        while bytes + self.file_bytes_max > self.budget_bytes
            && let Some((path, size)) = self.finished.pop_front()
        {
            bytes -= size;
            self.removed += u64::from(fs::remove_file(path).is_ok());
        }
    }

    fn next_path(&self, opening: &Opening) -> PathBuf {
        match &self.place {
            Place::File(first) if self.number == 0 => first.clone(),
            Place::File(first) => {
                let stem = first.file_stem().unwrap_or_default().to_string_lossy();
                first.with_file_name(format!("{stem}-{}.{ENDING}", self.number + self.taken + 1))
            }
            Place::Directory(directory) => {
                let time = rt_state::audit::utc(opening.clocks.unix_ns);
                let time: String = time.chars().filter(|character| !matches!(character, '-' | ':')).collect();
                let further = if self.taken > 0 { format!("-{}", self.taken + 1) } else { String::new() };
                directory.join(format!("{}{time}{further}.{ENDING}", prefix(opening)))
            }
        }
    }
}

/// What the files of an agent begin with in a directory that others may use, too.
fn prefix(opening: &Opening) -> String {
    format!("{}.{}.{}.record-", opening.site, opening.agent, opening.instance)
}

/// Finished files of earlier runs; names begin with the time, so the oldest come first.
fn of_before(directory: &Path, prefix: &str) -> Vec<(PathBuf, u64)> {
    let sized = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let name = entry.file_name().into_string().ok()?;
        let is_ours = name.starts_with(prefix) && name.ends_with(ENDING);
        is_ours.then(|| entry.metadata().ok().map(|found| (entry.path(), found.len())))?
    };
    let mut found: Vec<_> = fs::read_dir(directory).into_iter().flatten().filter_map(sized).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use rt_recording::capture::{Clocks, Closed, Reason};

    fn opening(unix_s: u64) -> Opening {
        Opening {
            program: "1".to_owned(),
            site_file: "works.yaml".to_owned(),
            site_text: "x".repeat(1_000),
            site: "works".to_owned(),
            agent: "ph".to_owned(),
            instance: "main".to_owned(),
            tag_list_hash: 0,
            pid: 1,
            period_ns: 1,
            setpoints: 0,
            tags: 0,
            clocks: Clocks { monotonic_ns: 0, unix_ns: unix_s * 1_000_000_000 },
            reason: Reason::Continuous { number: 0 },
        }
    }

    /// Begins and finishes one file.
    fn one(files: &mut Files, unix_s: u64) -> PathBuf {
        let (path, writer) = files.begin(&opening(unix_s)).unwrap();
        capture::to_the_disk(writer.finish(Closed::Full).unwrap()).unwrap();
        files.finish(path.clone(), fs::metadata(&path).unwrap().len());
        path
    }

    #[test]
    fn files_in_a_directory_are_named_after_agent_and_time_and_the_oldest_make_room() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("captures");
        let mut files = Files::at(&out, 1_200, 4_000).unwrap();
        let first = one(&mut files, 0);
        assert_eq!(first, out.join("works.ph.main.record-19700101T000000.000Z.cap"));
        fs::write(out.join("other.cap"), "x").unwrap();
        let mut files = Files::at(&out, 1_200, 4_000).unwrap();
        let all: Vec<_> = (1..5).map(|second| one(&mut files, second)).collect();
        assert!(files.removed() >= 2 && !first.exists() && !files.has(&all[0]));
        assert!(all[3].exists() && files.has(&all[3]) && out.join("other.cap").exists());
    }

    #[test]
    fn a_named_file_is_the_first_one_and_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("run.cap");
        let mut files = Files::at(&out, 1 << 20, 4 << 20).unwrap();
        assert_eq!([one(&mut files, 0), one(&mut files, 1)], [out.clone(), directory.path().join("run-2.cap")]);
        assert_eq!(Files::at(&out, 1, 1).unwrap_err().report(), Exit::Usage);
        fs::remove_file(&out).unwrap();
        fs::write(directory.path().join("run-2.cap"), "of an earlier recording").unwrap();
        let mut files = Files::at(&out, 1 << 20, 4 << 20).unwrap();
        let next = [one(&mut files, 0), one(&mut files, 1), one(&mut files, 2)];
        assert_eq!(next, [out, directory.path().join("run-3.cap"), directory.path().join("run-4.cap")]);
        assert_eq!(fs::read(directory.path().join("run-2.cap")).unwrap(), b"of an earlier recording");
    }
}
