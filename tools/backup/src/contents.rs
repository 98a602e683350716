//! What an archive says of itself: at its beginning what it is, at its end what was written.

use serde::{Deserialize, Serialize};

/// The version of the archive's form.
pub(crate) const VERSION: u32 = 1;
/// The first member of an archive.
pub(crate) const ABOUT: &str = "backup/about.json";
/// The last one.
pub(crate) const MANIFEST: &str = "backup/manifest.json";
/// Bytes of the first member, at most.
pub(crate) const ABOUT_BYTES_MAX: u64 = 1 << 20;
/// Bytes of the last one: some hundred for each file.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A site file.
    Site,
    /// The historian's hot days.
    HotDays,
    /// Its days that are over.
    SealedDay,
    /// A learner's checkpoint.
    Checkpoint,
    /// A policy file.
    Policy,
    /// Certificates, ours and those that are trusted, and lists of revoked ones.
    Trust,
    /// A private key.
    PrivateKey,
    /// What a runtime keeps on disk: audit log, limits that were applied, flight recordings.
    State,
}

impl Class {
    /// For people: several of it.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Site => "site files",
            Self::HotDays => "hot days",
            Self::SealedDay => "sealed days",
            Self::Checkpoint => "checkpoints",
            Self::Policy => "policies",
            Self::Trust => "certificates",
            Self::PrivateKey => "private keys",
            Self::State => "state",
        }
    }
}

/// The newest thing that is kept of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// `SITE/AGENT`.
    pub agent: String,
    /// The last cycle of its last run.
    pub cycle: u64,
    /// When that was, nanoseconds since 1970.
    pub unix_ns: u64,
}

/// What an archive is: its first member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The archive's form.
    pub version: u32,
    /// The program that wrote it, with its version.
    pub program: String,
    /// Whose it is.
    pub site: String,
    /// When it was begun, nanoseconds since 1970.
    pub begun_unix_ns: u64,
    /// The newest record of each agent in the store, if there is one.
    pub newest: Vec<Newest>,
}

impl About {
    /// Of an archive that begins now.
    pub fn new(program: String, site: String, now_unix_ns: u64, newest: Vec<Newest>) -> Self {
        Self { version: VERSION, program, site, begun_unix_ns: now_unix_ns, newest }
    }

    /// The newest record of all.
    pub fn newest(&self) -> Option<&Newest> {
        self.newest.iter().max_by_key(|newest| newest.unix_ns)
    }
}

/// A file, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it is in the archive, and below the directory that it is restored to.
    pub name: String,
    /// What it is for.
    pub class: Class,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of them.
    pub blake3: String,
    /// Where it was.
    pub from: String,
}

/// What was written: an archive's last member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Every file but the two that tell of the others, in order.
    pub files: Vec<Entry>,
}

impl Manifest {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// How many files there are of each class, and how many bytes.
    pub fn by_class(&self) -> Vec<(Class, u64, u64)> {
        let mut sums = std::collections::BTreeMap::new();
        for file in &self.files {
            let sum = sums.entry(file.class).or_insert((0, 0));
            *sum = (sum.0 + 1, sum.1 + file.size);
        }
        sums.into_iter().map(|(class, (files, bytes))| (class, files, bytes)).collect()
    }
}
