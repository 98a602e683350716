//! Reading an archive: an allegation until its last byte has been checked.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};

use tar::{Archive, EntryType};

use crate::contents::{ABOUT, ABOUT_BYTES_MAX, About, Entry, MANIFEST, MANIFEST_BYTES_MAX, Manifest, VERSION};
use crate::holdings::name_of;
use crate::locks::{Keys, MARK};
use crate::seal::Unsealing;

/// Something in an archive that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, or the part of the archive.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

/// Why an archive is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is encrypted, and no key was given.
    #[error(
        "it is encrypted: give the identity that opens it with --identity, or its passphrase with --passphrase-file"
    )]
    Locked,
    /// The keys do not fit, or its beginning is damaged.
    #[error("it cannot be opened with the keys that were given: {0}")]
    OtherKey(age::DecryptError),
    /// Its form is one of a newer program.
    #[error("it has version {0} and this program reads up to {VERSION}: use a newer one")]
    TooNew(u32),
    /// It is damaged, or was never a backup.
    #[error("it is not what was written: {}", tell(.0))]
    Damaged(Vec<Finding>),
    /// Where it lies it cannot be read at present.
    #[error("it cannot be read: {0}")]
    Source(io::Error),
    /// What was read cannot be put anywhere.
    #[error("{0}")]
    Taker(io::Error),
}

fn tell(findings: &[Finding]) -> String {
    let told = findings.iter().map(|Finding { place, what }| format!("{place}: {what}"));
    told.collect::<Vec<_>>().join("; ")
}

fn damaged(place: &str, what: impl ToString) -> ReadError {
    ReadError::Damaged(vec![Finding { place: place.to_owned(), what: what.to_string() }])
}

/// What was read of a whole archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// What it is.
    pub about: About,
    /// What is in it.
    pub manifest: Manifest,
}

/// Whoever takes the files of an archive as they come. Nothing is believed before [`read`] has returned.
pub trait Taker {
    /// Takes a file; its name lies below the root, and came only once. What it leaves unread is read for it.
    ///
    /// # Errors
    /// It cannot be put anywhere.
    fn take(&mut self, name: &str, mode: u32, bytes: &mut dyn Read) -> io::Result<()>;
}

/// Takes nothing.
struct Nobody;

impl Taker for Nobody {
    fn take(&mut self, _: &str, _: u32, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }
}

/// What an archive says that it is, of which nothing is proven.
///
/// # Errors
/// [`ReadError`].
pub fn peek(from: impl Read, keys: &Keys) -> Result<About, ReadError> {
    from_source(from, |from| peek_at(from, keys))
}

fn peek_at(from: impl Read, keys: &Keys) -> Result<About, ReadError> {
    let mut archive = unpacking(from, keys)?;
    let mut members = archive.entries().map_err(|error| damaged(BEGINNING, error))?;
    let mut first = members.next().ok_or_else(|| damaged(BEGINNING, "there is nothing in it"))?;
    about(first.as_mut().map_err(|error| damaged(BEGINNING, error))?)
}

const BEGINNING: &str = "the beginning";
const END: &str = "the end";

/// Reads an archive to its last byte, and gives its files away.
///
/// # Errors
/// [`ReadError`]; nothing of what was given away is to be believed then.
pub fn read(from: impl Read, keys: &Keys, taker: &mut dyn Taker) -> Result<Contents, ReadError> {
    from_source(from, |from| read_all(from, keys, taker))
}

/// Reads an archive to its last byte; what is in it.
///
/// # Errors
/// [`ReadError`].
pub fn verify(from: impl Read, keys: &Keys) -> Result<Contents, ReadError> {
    read(from, keys, &mut Nobody)
}

fn read_all(from: impl Read, keys: &Keys, taker: &mut dyn Taker) -> Result<Contents, ReadError> {
    let mut archive = unpacking(from, keys)?;
    let mut reading = Reading::default();
    let members = archive.entries().map_err(|error| damaged(BEGINNING, error))?;
    for member in members {
        let mut member = member.map_err(|error| damaged(&reading.behind(), error))?;
        reading.member(&mut member, taker)?;
    }
    let contents = reading.contents()?;
    let unsealing = archive.into_inner().finish().into_inner();
    match unsealing.into_verdict() {
        Ok(true) => Ok(contents),
        Ok(false) => Err(damaged(END, "the archive's seal is broken: a byte has changed, or some are missing")),
        Err(error) => Err(damaged(END, error)),
    }
}

type Unpacking<'a> = zstd::Decoder<'static, BufReader<Unsealing<Box<dyn Read + 'a>>>>;

/// The members of an archive, in clear.
fn unpacking<'a>(from: impl Read + 'a, keys: &Keys) -> Result<Archive<Unpacking<'a>>, ReadError> {
    let mut from = BufReader::new(from);
    let mut beginning = Vec::new();
    let read = from.by_ref().take(MARK.len() as u64).read_to_end(&mut beginning);
    read.map_err(|error| damaged(BEGINNING, error))?;
    let is_locked = beginning == MARK;
    let whole = io::Cursor::new(beginning).chain(from);
    let clear: Box<dyn Read + 'a> = match (is_locked, keys.is_empty()) {
        (false, _) => Box::new(whole),
        (true, true) => return Err(ReadError::Locked),
        (true, false) => Box::new(keys.open(whole).map_err(not_opened)?),
    };
    let unpacking = zstd::Decoder::new(Unsealing::new(clear)).map_err(|error| damaged(BEGINNING, error))?;
    Ok(Archive::new(unpacking.single_frame()))
}

fn not_opened(error: age::DecryptError) -> ReadError {
    match error {
        age::DecryptError::Io(error) => damaged(BEGINNING, error),
        error @ (age::DecryptError::InvalidHeader | age::DecryptError::InvalidMac) => damaged(BEGINNING, error),
        error => ReadError::OtherKey(error),
    }
}

/// Reads from a place that may fail itself, which says nothing about the archive.
fn from_source<T>(
    from: impl Read,
    read: impl FnOnce(Source<'_, &mut dyn Read>) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let (mut from, failed) = (from, RefCell::new(None));
    let result = read(Source { from: &mut from, failed: &failed });
    match failed.into_inner() {
        Some(error) => Err(ReadError::Source(error)),
        None => result,
    }
}

/// The place that an archive is read from, with its own failure.
struct Source<'a, R> {
    from: R,
    failed: &'a RefCell<Option<io::Error>>,
}

impl<R: Read> Read for Source<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.from.read(into).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                *self.failed.borrow_mut() = Some(error);
            }
            kind.into()
        })
    }
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    about: Option<About>,
    manifest: Option<Manifest>,
    /// Size and digest of every file.
    files: BTreeMap<String, (u64, String)>,
    last: Option<String>,
}

impl Reading {
    /// Where the next thing is.
    fn behind(&self) -> String {
        self.last.as_ref().map_or_else(|| BEGINNING.to_owned(), |last| format!("what comes behind {last}"))
    }

    fn member(&mut self, member: &mut tar::Entry<'_, impl Read>, taker: &mut dyn Taker) -> Result<(), ReadError> {
        let path = member.path().map_err(|error| damaged(&self.behind(), error))?.into_owned();
        let place = path.display().to_string();
        if member.header().entry_type() != EntryType::Regular {
            return Err(damaged(&place, "it is no file, and a backup has nothing else"));
        }
        match place.as_str() {
            ABOUT if self.about.is_none() => self.about = Some(about(member)?),
            _ if self.about.is_none() => return Err(damaged(&place, "an archive does not begin with it")),
            _ if self.manifest.is_some() => return Err(damaged(&place, "it comes behind the manifest")),
            MANIFEST => self.manifest = Some(json(member, MANIFEST, MANIFEST_BYTES_MAX)?),
            _ => self.file(&place, name_of(&path), member, taker)?,
        }
        self.last = Some(place);
        Ok(())
    }

    fn file(
        &mut self,
        place: &str,
        name: Option<String>,
        member: &mut tar::Entry<'_, impl Read>,
        taker: &mut dyn Taker,
    ) -> Result<(), ReadError> {
        let name = name.filter(|name| name == place);
        let name = name.ok_or_else(|| damaged(place, "its name leads out of the archive"))?;
        if self.files.contains_key(&name) {
            return Err(damaged(place, "it comes twice"));
        }
        let mode = member.header().mode().unwrap_or(0) & 0o777;
        // What fails in the archive is no failure of whoever takes it.
        let failed = RefCell::new(None);
        let mut hashing = Hashing { from: Source { from: member, failed: &failed }, hasher: blake3::Hasher::new() };
        let taken = taker.take(&name, mode, &mut hashing).and_then(|()| io::copy(&mut hashing, &mut io::sink()));
        if let Some(error) = failed.take() {
            return Err(damaged(place, error));
        }
        taken.map_err(ReadError::Taker)?;
        self.files.insert(name, (hashing.hasher.count(), hashing.hasher.finalize().to_hex().to_string()));
        Ok(())
    }

    /// What was read, if it is what the manifest says.
    fn contents(self) -> Result<Contents, ReadError> {
        let behind = self.behind();
        let (Some(about), Some(manifest)) = (self.about, self.manifest) else {
            return Err(damaged(&behind, "the archive ends there: it was never finished, or has been cut"));
        };
        let mut found = self.files;
        let mut findings = Vec::new();
        for Entry { name, size, blake3, .. } in &manifest.files {
            let what = match found.remove(name) {
                Some((_, digest)) if digest == *blake3 => continue,
                Some((found, _)) if found != *size => format!("it has {found} bytes, and {size} were written"),
                Some(_) => "its bytes are not those that were written".to_owned(),
                None => "it is missing".to_owned(),
            };
            findings.push(Finding { place: name.clone(), what });
        }
        let unknown = |name| Finding { place: name, what: "the manifest does not know it".to_owned() };
        findings.extend(found.into_keys().map(unknown));
        if findings.is_empty() { Ok(Contents { about, manifest }) } else { Err(ReadError::Damaged(findings)) }
    }
}

fn about(member: &mut tar::Entry<'_, impl Read>) -> Result<About, ReadError> {
    let about: About = json(member, ABOUT, ABOUT_BYTES_MAX)?;
    if about.version > VERSION { Err(ReadError::TooNew(about.version)) } else { Ok(about) }
}

fn json<T: serde::de::DeserializeOwned>(from: impl Read, place: &str, bytes_max: u64) -> Result<T, ReadError> {
    let mut bytes = Vec::new();
    from.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| damaged(place, error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(damaged(place, format!("it has more than {bytes_max} bytes")));
    }
    serde_json::from_slice(&bytes).map_err(|error| damaged(place, error))
}

/// Passes a file on, and has its digest.
struct Hashing<R> {
    from: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.hasher.update(&into[..read]);
        Ok(read)
    }
}
