//! The log against everything that can be done to it.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// A log in a directory of its own.
struct Place {
    _dir: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { path: dir.path().join("state/works.ph.main.audit"), _dir: dir }
    }

    /// With so many entries, and what wrote them.
    fn with(entries: u64) -> (Self, Log) {
        let place = Self::new();
        let mut log = Log::at(place.path.clone());
        for n in 1..=entries {
            assert_eq!(log.append(&entry(n)).unwrap().head.n, n);
        }
        (place, log)
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.path).unwrap().lines().map(|line| format!("{line}\n")).collect()
    }

    fn put(&self, lines: &[String]) {
        fs::write(&self.path, lines.concat()).unwrap();
    }

    /// What is wrong with it.
    fn fault(&self) -> Fault {
        match verify(&self.path, None) {
            Err(VerifyError::Fault(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }

    fn texts(&self) -> Vec<String> {
        records(&self.path).unwrap().map(|record| record.unwrap().unwrap().entry.text).collect()
    }
}

/// In place: a file that is cut to nothing first is flushed to the disk each time.
fn overwrite(path: &std::path::Path, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
}

fn entry(n: u64) -> Entry {
    Entry {
        time: utc(n * 1_000_000_000),
        runtime: 77,
        cycle: 100 * n,
        what: "command".into(),
        uid: n.is_multiple_of(2).then_some(1000),
        pid: None,
        text: format!("act {n}, with \"quotes\" and\na line's end"),
    }
}

#[test]
fn s12_what_was_appended_is_there_in_order_and_believed() {
    let (place, log) = Place::with(5);
    assert_eq!(verify(&place.path, None).unwrap().as_ref(), log.head());
    let found: Vec<_> = records(&place.path).unwrap().map(|record| record.unwrap().unwrap()).collect();
    assert_eq!(
        found.iter().map(|record| record.entry.clone()).collect::<Vec<_>>(),
        (1..=5).map(entry).collect::<Vec<_>>()
    );
    assert!(found.iter().map(|record| record.n).eq(1..=5));
    // Another process, or this one after a restart, goes on.
    let mut again = Log::at(place.path.clone());
    let appended = again.append(&entry(6)).unwrap();
    assert_eq!((appended.head.n, appended.set_aside), (6, None));
    assert_eq!(verify(&place.path, Some(&appended.head)).unwrap(), Some(appended.head));
}

#[test]
fn s12_every_bit_of_log_and_head_is_vouched_for() {
    let (place, _) = Place::with(4);
    for path in [place.path.clone(), head_path(&place.path)] {
        let whole = fs::read(&path).unwrap();
        for bit in 0..8 * whole.len() {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            overwrite(&path, &changed);
            place.fault();
        }
        overwrite(&path, &whole);
    }
    assert!(verify(&place.path, None).is_ok());
}

#[test]
fn s12_every_entry_that_is_taken_out_put_in_moved_or_doubled_is_found() {
    let (place, _) = Place::with(5);
    let whole = place.lines();
    for at in 0..whole.len() {
        let mut without = whole.clone();
        without.remove(at);
        place.put(&without);
        let fault = place.fault();
        let is_last = at + 1 == whole.len();
        let line = at as u64 + 1;
        let expected = if is_last { Fault::Unfinished { n: 5 } } else { Fault::Misplaced { line, found: line + 1 } };
        assert_eq!(fault, expected);
        for to in 0..whole.len() {
            let mut more = whole.clone();
            more.insert(to, whole[at].clone());
            place.put(&more);
            place.fault();
            if to != at {
                let mut moved = whole.clone();
                moved.swap(at, to);
                place.put(&moved);
                place.fault();
            }
        }
    }
    let forged = Record { n: 6, entry: entry(6), before: hash_of(whole[4].trim_end().as_bytes()) };
    place.put(&[whole.concat(), serde_json::to_string(&forged).unwrap() + "\n"]);
    assert_eq!(place.fault(), Fault::Beyond { head: 5 }, "an entry that goes with the chain, and that nobody wrote");
    place.put(&[whole.concat(), "{".to_owned()]);
    assert_eq!(place.fault(), Fault::Beyond { head: 5 }, "something behind the end that is no line");
}

#[test]
fn s12_an_entry_that_was_edited_is_found_even_when_all_behind_it_are_chained_anew() {
    let (place, mut log) = Place::with(4);
    let noted = log.append(&entry(5)).unwrap().head;
    let forger = Place::new();
    let mut forged = Log::at(forger.path.clone());
    for n in 1..=5 {
        let text = if n == 2 { "nothing happened".to_owned() } else { entry(n).text };
        forged.append(&Entry { text, ..entry(n) }).unwrap();
    }
    fs::copy(&forger.path, &place.path).unwrap();
    assert_eq!(place.fault(), Fault::OtherEnd { n: 5 });
    // With the head, too, it is another history that fits together: found by whoever knows a head of the true one.
    fs::copy(head_path(&forger.path), head_path(&place.path)).unwrap();
    assert!(verify(&place.path, None).is_ok());
    assert!(
        matches!(verify(&place.path, Some(&noted)), Err(VerifyError::Fault(Fault::Rewritten(head))) if head == noted)
    );
    // The process that wrote the true one knows it.
    assert_eq!(log.append(&entry(6)).unwrap().set_aside.map(|aside| aside.fault), Some(Fault::Rewritten(noted)));
}

#[test]
fn s12_a_log_cut_at_any_byte_is_found_and_completed_when_no_more_than_the_newest_entry_is_missing() {
    let (place, _) = Place::with(3);
    let whole = fs::read(&place.path).unwrap();
    let newest_at = whole.len() - place.lines()[2].len();
    // Around the ends of lines each byte matters; inside of a line they are alike.
    let ends = [0, newest_at / 2, newest_at, whole.len()];
    for length in (0..whole.len()).filter(|at| ends.iter().any(|end| end.abs_diff(*at) < 4) || at.is_multiple_of(29)) {
        fs::write(&place.path, &whole[..length]).unwrap();
        let fault = place.fault();
        let appended = Log::at(place.path.clone()).append(&entry(4)).unwrap();
        if length >= newest_at {
            assert_eq!(fault, Fault::Unfinished { n: 3 });
            assert_eq!((appended.head.n, appended.set_aside), (4, None));
            assert_eq!(place.texts()[..3], [1, 2, 3].map(|n| entry(n).text));
        } else {
            assert!(matches!(fault, Fault::Cut { expected: 3, .. }), "{fault:?} at {length}");
            let aside = appended.set_aside.expect("a log that was cut is not continued");
            assert_eq!((aside.fault, appended.head.n), (fault, 2));
            assert_eq!(fs::read(&aside.path).unwrap(), whole[..length], "what was found is kept");
            assert!(place.texts()[0].starts_with("the log begins anew: "));
        }
        assert_eq!(verify(&place.path, None).unwrap(), Some(appended.head));
        fs::remove_file(&place.path).unwrap();
        fs::write(&place.path, &whole).unwrap();
        fs::write(head_path(&place.path), &whole[newest_at..]).unwrap();
    }
}

#[test]
fn s12_a_log_or_head_that_is_gone_is_no_new_beginning() {
    let (place, mut log) = Place::with(3);
    fs::remove_file(head_path(&place.path)).unwrap();
    assert_eq!(place.fault(), Fault::NoHead);
    fs::remove_file(&place.path).unwrap();
    let appended = log.append(&entry(4)).unwrap();
    assert!(matches!(appended.set_aside.unwrap().fault, Fault::Rewritten(Head { n: 3, .. })));
    fs::remove_file(&place.path).unwrap();
    let appended = Log::at(place.path.clone()).append(&entry(5)).unwrap();
    assert_eq!(appended.set_aside.unwrap().fault, Fault::Cut { found: 0, expected: 2 });
    assert_eq!(verify(&place.path, None).unwrap(), Some(appended.head));
}

#[test]
fn two_processes_append_to_one_log() {
    let (place, mut ours) = Place::with(1);
    let mut theirs = Log::at(place.path.clone());
    for n in [2, 4, 6] {
        theirs.append(&entry(n)).unwrap();
        assert_eq!(ours.append(&entry(n + 1)).unwrap().head.n, n + 1);
    }
    assert_eq!(place.texts(), [1, 2, 3, 4, 5, 6, 7].map(|n| entry(n).text));
    assert!(verify(&place.path, None).is_ok());
    let _held = log::open_locked(&place.path).unwrap();
    assert!(matches!(ours.append(&entry(8)), Err(AppendError::Held { .. })));
}

#[test]
fn f92_a_log_that_finds_no_room_says_so_and_goes_on_with_nothing_lost_when_there_is_some() {
    let (place, mut log) = Place::with(2);
    let half_written = head_path(&place.path).with_added_extension("part");
    std::os::unix::fs::symlink("/dev/full", &half_written).unwrap();
    for _ in 0..2 {
        let error = log.append(&entry(3)).unwrap_err().to_string();
        assert!(error.contains("No space left on device") && error.contains("works.ph.main.audit"), "{error}");
    }
    fs::remove_file(&half_written).unwrap();
    assert_eq!(log.append(&entry(3)).unwrap().set_aside, None);
    assert_eq!(place.texts(), [1, 2, 3].map(|n| entry(n).text));
    assert!(verify(&place.path, None).is_ok());
}

#[test]
fn f92_an_entry_that_reached_the_head_alone_is_there_once_after_the_next_try() {
    let (place, mut log) = Place::with(2);
    let bytes = fs::metadata(&place.path).unwrap().len();
    log.append(&entry(3)).unwrap();
    // As if the line had found no room in the log, but in the head.
    fs::OpenOptions::new().write(true).open(&place.path).unwrap().set_len(bytes + 5).unwrap();
    assert_eq!(place.fault(), Fault::Unfinished { n: 3 });
    assert_eq!(log.append(&entry(3)).unwrap().head.n, 3);
    assert_eq!(log.append(&entry(4)).unwrap().head.n, 4);
    assert_eq!(place.texts(), [1, 2, 3, 4].map(|n| entry(n).text));
    assert_eq!(verify(&place.path, None).unwrap().as_ref(), log.head());
}

#[test]
fn f92_what_is_no_file_is_not_written_and_not_taken_for_a_log() {
    let place = Place::new();
    fs::create_dir_all(place.path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/full", &place.path).unwrap();
    let mut log = Log::at(place.path.clone());
    let error = log.append(&entry(1)).unwrap_err().to_string();
    assert!(error.contains("no regular file"), "{error}");
    fs::remove_file(&place.path).unwrap();
    assert_eq!(log.append(&entry(1)).unwrap().set_aside, None);
}

#[test]
fn long_texts_are_cut_and_lines_stay_lines() {
    let (place, mut log) = Place::with(1);
    let text = "\u{1}ü".repeat(TEXT_BYTES_MAX);
    log.append(&Entry { text: text.clone(), ..entry(2) }).unwrap();
    let kept = &place.texts()[1];
    assert!(text.starts_with(kept.as_str()) && (TEXT_BYTES_MAX - 3..=TEXT_BYTES_MAX).contains(&kept.len()));
    assert!(verify(&place.path, None).is_ok());
}

#[test]
fn heads_are_written_and_read() {
    let (_place, log) = Place::with(2);
    let head = log.head().unwrap();
    assert_eq!(head.to_string().parse::<Head>().as_ref(), Ok(head));
    let hash = "0".repeat(64);
    for wrong in
        ["".to_owned(), hash.clone(), format!("x:{hash}"), format!("1:{}", &hash[1..]), format!("1:{}A", &hash[1..])]
    {
        assert_eq!(wrong.parse::<Head>(), Err(NoHead), "{wrong}");
    }
}
