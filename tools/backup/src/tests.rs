use std::fs;
use std::io::{self, Read, Write as _};
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const NOW_UNIX_NS: u64 = 1_709_210_096_000_000_000;

fn about() -> About {
    let newest = Newest { agent: "works/ph".into(), cycle: 7, unix_ns: NOW_UNIX_NS - 5 };
    About::new("test 1".into(), "works".into(), NOW_UNIX_NS, vec![newest])
}

/// A directory with these files.
fn tree(files: &[(String, Vec<u8>)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    directory
}

fn holdings(directory: &Path) -> Holdings {
    let mut holdings = Holdings::default();
    holdings.add_tree(Path::new("kept"), Class::State, directory, &[]).unwrap();
    holdings
}

fn archive(directory: &Path, locks: &Locks) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&about(), &holdings(directory), locks, &mut bytes, &mut |_| ()).unwrap();
    bytes
}

fn small() -> TempDir {
    tree(&[("works.ph.main.audit".into(), b"{\"n\":1}\n".to_vec()), ("ph/works.ph.main.ckpt".into(), vec![7; 300])])
}

/// A recipient, and what opens what is for it.
fn pair(directory: &Path) -> (Locks, Keys) {
    let identity = age::x25519::Identity::generate();
    let path = directory.join("identity");
    fs::write(&path, age::secrecy::ExposeSecret::expose_secret(&identity.to_string())).unwrap();
    let locks = Locks::new(&[identity.to_public().to_string()], None).unwrap();
    (locks, Keys::new(&[path], None).unwrap())
}

/// Everything that is below a directory.
fn found(root: &Path, below: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(found(root, &path)),
            false => files.push((path.strip_prefix(root).unwrap().display().to_string(), fs::read(&path).unwrap())),
        }
    }
    files.sort();
    files
}

fn names() -> impl Strategy<Value = String> {
    // Long ones too: a tar has a place of its own for those.
    let part = prop_oneof!["[a-z][a-z0-9 _äß-]{0,8}", "[a-z]{90,120}"];
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/") + ".x")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_back_as_it_was_encrypted_or_not(
        files in prop::collection::btree_map(names(), prop::collection::vec(any::<u8>(), 0..3000), 0..8),
        is_locked: bool,
    ) {
        let files: Vec<_> = files.into_iter().collect();
        let (directory, place) = (tree(&files), tempfile::tempdir().unwrap());
        let (locks, keys) = if is_locked { pair(place.path()) } else { Default::default() };
        let archive = archive(directory.path(), &locks);
        prop_assert_eq!(archive.starts_with(b"age-encryption.org/"), is_locked);
        let back = place.path().join("back");
        let contents = restore(&archive[..], &keys, &back).unwrap();
        prop_assert_eq!(&contents.about, &about());
        prop_assert_eq!(contents.manifest.files.len(), files.len());
        let wanted: Vec<_> = files.into_iter().map(|(name, bytes)| (format!("kept/{name}"), bytes)).collect();
        prop_assert_eq!(found(&back, &back), wanted);
    }
}

#[test]
fn a_flip_of_any_byte_and_a_cut_at_any_byte_are_found_and_restore_nothing() {
    let (directory, place) = (small(), tempfile::tempdir().unwrap());
    for (locks, keys) in [Default::default(), pair(place.path())] {
        let whole = archive(directory.path(), &locks);
        assert!(verify(&whole[..], &keys).is_ok());
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(verify(&flipped[..], &keys).is_err(), "flipped at {at}");
            assert!(verify(&whole[..at], &keys).is_err(), "cut at {at}");
            if at % 97 == 0 {
                let back = place.path().join("back");
                assert!(restore(&flipped[..], &keys, &back).is_err() && restore(&whole[..at], &keys, &back).is_err());
            }
        }
        assert!(verify(&[&whole[..], &[0]].concat()[..], &keys).is_err());
        let left = found(place.path(), place.path());
        assert!(left.iter().all(|(name, _)| name == "identity"), "something is left of what was not restored");
    }
}

#[test]
fn a_file_that_is_not_what_was_written_is_told_by_its_name() {
    let directory = small();
    let mut bytes = Vec::new();
    let mut manifest =
        write(&about(), &holdings(directory.path()), &Locks::default(), &mut bytes, &mut |_| ()).unwrap();
    let forged = |manifest: &Manifest, name: &str| {
        let files: Vec<(&str, &[u8])> = vec![("kept/ph/works.ph.main.ckpt", &[7; 300]), (name, b"{\"n\":1}\n")];
        let json = serde_json::to_vec(manifest).unwrap();
        let about = serde_json::to_vec(&about()).unwrap();
        let ends: [(&str, &[u8]); 2] = [("backup/about.json", &about), ("backup/manifest.json", &json)];
        tarred([&ends[..1], &files[..], &ends[1..]].concat().iter().map(|(name, bytes)| (*name, *bytes, b'0')))
    };
    assert!(verify(&forged(&manifest, "kept/works.ph.main.audit")[..], &Keys::default()).is_ok());
    let findings = |archive: &[u8]| match verify(archive, &Keys::default()) {
        Err(ReadError::Damaged(findings)) => findings.into_iter().map(|of| of.place).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(findings(&forged(&manifest, "kept/other")), ["kept/works.ph.main.audit", "kept/other"]);
    manifest.files[0].blake3 = manifest.files[1].blake3.clone();
    assert_eq!(findings(&forged(&manifest, "kept/works.ph.main.audit")), ["kept/ph/works.ph.main.ckpt"]);
}

/// An archive with these members, sealed as ours are.
fn tarred<'a>(members: impl Iterator<Item = (&'a str, &'a [u8], u8)>) -> Vec<u8> {
    let sealing = crate::seal::Sealing::new(Vec::new());
    let mut tar = tar::Builder::new(zstd::Encoder::new(sealing, 1).unwrap());
    for (name, bytes, kind) in members {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        if kind == b'2' {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        tar.append(&header, bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap().finish().unwrap()
}

#[test]
fn what_leads_out_of_the_archive_is_refused_however_well_it_is_sealed() {
    let place = tempfile::tempdir().unwrap();
    let about = serde_json::to_vec(&about()).unwrap();
    let wrong = [
        ("../outside", b'0', "leads out"),
        ("/tmp/outside", b'0', "leads out"),
        ("a/../../outside", b'0', "leads out"),
        // Another spelling of a name would be another file to whoever compares names.
        ("a//b", b'0', "leads out"),
        ("link", b'2', "it is no file"),
        ("directory/", b'5', "it is no file"),
        ("backup/about.json", b'0', "leads out"),
    ];
    for (name, kind, told) in wrong {
        let bytes: &[u8] = if kind == b'0' { b"x" } else { b"" };
        let archive = tarred([("backup/about.json", &about[..], b'0'), (name, bytes, kind)].into_iter());
        let error = restore(&archive[..], &Keys::default(), &place.path().join("back")).unwrap_err().to_string();
        assert!(error.contains(told), "{name}: {error}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
    let twice = [("backup/about.json", &about[..], b'0'), ("a", b"x", b'0'), ("a", b"x", b'0')];
    let error = verify(&tarred(twice.into_iter())[..], &Keys::default()).unwrap_err().to_string();
    assert!(error.contains("a: it comes twice"), "{error}");
}

#[test]
fn nothing_that_is_there_is_overwritten_and_an_empty_place_gives_way() {
    let (directory, place) = (small(), tempfile::tempdir().unwrap());
    let archive = archive(directory.path(), &Locks::default());
    fs::write(place.path().join("mine"), "mine").unwrap();
    let refused = restore(&archive[..], &Keys::default(), place.path()).unwrap_err();
    assert!(matches!(refused, RestoreError::NotEmpty(_)), "{refused}");
    let refused = restore(&archive[..], &Keys::default(), &place.path().join("mine")).unwrap_err();
    assert!(matches!(refused, RestoreError::NotEmpty(_)), "{refused}");
    let empty = place.path().join("empty");
    fs::create_dir(&empty).unwrap();
    restore(&archive[..], &Keys::default(), &empty).unwrap();
    assert_eq!(found(&empty, &empty).len(), 2);
}

#[test]
fn without_its_key_an_archive_says_what_is_needed() {
    let (directory, place) = (small(), tempfile::tempdir().unwrap());
    let (locks, keys) = pair(place.path());
    let locked = archive(directory.path(), &locks);
    assert!(matches!(verify(&locked[..], &Keys::default()), Err(ReadError::Locked)));
    let (_, others) = pair(place.path());
    assert!(matches!(peek(&locked[..], &others), Err(ReadError::OtherKey(_))));
    assert_eq!(peek(&locked[..], &keys).unwrap(), about());
    assert!(matches!(Locks::new(&["age1x".into()], None), Err(KeyError::NoRecipient(_))));
}

#[test]
fn a_file_that_grows_is_kept_as_long_as_it_was_and_one_that_shrinks_ends_the_backup() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    fs::write(&path, vec![1; 100_000]).unwrap();
    let write_while = |change: &dyn Fn()| {
        let (mut bytes, mut first) = (Vec::new(), true);
        let mut progress = |_| {
            if std::mem::take(&mut first) {
                change();
            }
        };
        write(&about(), &holdings(directory.path()), &Locks::default(), &mut bytes, &mut progress)
    };
    let grow = || fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&[2; 1000]).unwrap();
    assert_eq!(write_while(&grow).unwrap().files[0].size, 100_000);
    let shrink = || fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(5).unwrap();
    assert!(matches!(write_while(&shrink), Err(WriteError::Changed { .. })));
}

#[test]
fn a_place_that_fails_while_it_is_read_is_told_apart_from_damage() {
    struct Torn<'a>(&'a [u8]);
    impl Read for Torn<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.read(into)? {
                0 => Err(io::ErrorKind::ConnectionReset.into()),
                read => Ok(read),
            }
        }
    }
    let directory = small();
    let whole = archive(directory.path(), &Locks::default());
    assert!(matches!(verify(Torn(&whole[..whole.len() / 2]), &Keys::default()), Err(ReadError::Source(_))));
}
