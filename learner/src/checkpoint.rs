//! Checkpoints: one file with everything that the agent is, so that learning goes on as if it had not been interrupted.
//!
//! ```text
//! "CoreRLck"  version u32  { length u64, bytes }*  0 u64  BLAKE3 of all before (32 bytes)  "CoreRLok"
//! ```
//! Numbers are little-endian. The first section is networks, optimisers, counters, random streams and the transitions;
//! the others are rows of the memory, 1 MiB of `f32` each, and after them the imputer of an agent that has one. All
//! sections are postcard. A row is stored once, however
//! many transitions share it, and what can be calculated is left out: a memory filled to its default limit of 160 MiB
//! makes a file of about that size, an agent of a day at one observation per second and 270 columns one of 95 MB.
//!
//! Writing goes to a temporary file that is flushed to the disk and then renamed: a crash or a full disk at any moment
//! leaves the checkpoint of before. A file is an allegation until its checksum and every width have been checked.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::imputer::{Imputer, ImputerState};
use crate::learning::LearningState;
use crate::options::{AgentShape, Improver};
use crate::random::Stream;
use crate::replay::Replay;
use crate::schedule::Schedule;

/// What the file begins with.
const MAGIC: [u8; 8] = *b"CoreRLck";
/// What a complete file ends with.
const END: [u8; 8] = *b"CoreRLok";
/// The version of the format.
const VERSION: u32 = 5;
const HEAD_BYTES: u64 = (MAGIC.len() + size_of::<u32>()) as u64;
const TAIL_BYTES: u64 = (blake3::OUT_LEN + END.len()) as u64;
/// Numbers in a section of rows.
const PIECE_NUMBERS: usize = 1 << 18;

/// What a checkpoint belongs to, beside the agent itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belongs {
    /// The tags, units and order that the state's columns have.
    pub tag_list_hash: u64,
    /// The last generation of the policy that was published.
    pub generation: u64,
}

/// Why a checkpoint was not written. The one of before, if any, is as it was.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {}: {source}", path.display())]
pub struct SaveError {
    /// What failed: create, write, flush, rename.
    pub act: &'static str,
    /// Which file or directory.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Why a checkpoint was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The operating system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no checkpoint.
    #[error("{} is not a checkpoint of corerl-learner", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It has another format.
    #[error("{} has format {found}, but this program reads format {expected}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The format that this program writes.
        expected: u32,
    },
    /// Its end is missing.
    #[error("{} ends after {length_bytes} bytes, before its checksum", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// Its length.
        length_bytes: u64,
    },
    /// Its checksum does not fit.
    #[error("{} is damaged: its checksum does not fit", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The checksum fits, but the content does not make sense.
    #[error("{} has contents that do not fit together ({what})", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
    /// It is of an agent that learns in another way.
    #[error(
        "{} belongs to an agent that learns by {found:?}, and this one learns by {expected:?}: set that, or begin anew",
        path.display()
    )]
    OtherImprover {
        /// The file.
        path: PathBuf,
        /// How the agent found learns.
        found: Improver,
        /// How this agent learns.
        expected: Improver,
    },
    /// It is of an agent with other columns.
    #[error(
        "{} belongs to an agent with {} state and {} action columns and tag list {found_hash:016x}; this one has {} and {} and {expected_hash:016x}",
        path.display(), found.state, found.action, expected.state, expected.action
    )]
    OtherAgent {
        /// The file.
        path: PathBuf,
        /// The widths found.
        found: AgentShape,
        /// The widths of this agent.
        expected: AgentShape,
        /// The tag list found.
        found_hash: u64,
        /// The tag list of this agent.
        expected_hash: u64,
    },
}

/// The first section, for writing.
#[derive(Serialize)]
struct Writing<'a> {
    shape: AgentShape,
    belongs: Belongs,
    exploration: &'a Stream,
    schedule: &'a Schedule,
    learning: LearningState,
    replay: &'a Replay,
}

/// The first section, as read.
#[derive(Deserialize)]
struct Reading {
    shape: AgentShape,
    belongs: Belongs,
    exploration: Stream,
    schedule: Schedule,
    learning: LearningState,
    replay: Replay,
}

impl Agent {
    /// Writes everything that the agent is to `path`.
    ///
    /// # Errors
    /// [`SaveError`], when the disk is full or refuses. Then the checkpoint of before is still there.
    pub fn save(&self, path: &Path, belongs: Belongs) -> Result<(), SaveError> {
        replace(path, |file| self.write(file, belongs))
    }

    fn write(&self, out: &mut dyn Write, belongs: Belongs) -> io::Result<()> {
        let mut out = Hashing::new(out);
        out.write_all(&MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        out.section(&Writing {
            shape: self.shape,
            belongs,
            exploration: &self.exploration,
            schedule: &self.schedule,
            learning: self.learning.state(),
            replay: &self.replay,
        })?;
        for rows in self.replay.rows() {
            for piece in rows.chunks(PIECE_NUMBERS) {
                out.section(piece)?;
            }
            // An empty piece ends a part.
            out.section::<[f32]>(&[])?;
        }
        if let Some(imputer) = &self.imputer {
            out.section(imputer.state())?;
        }
        out.finish()
    }

    /// Takes over what `path` holds; afterwards the agent goes on with the same bits as the one that wrote it, if its
    /// options are the same. Learning rates, batch sizes, schedules and the like may differ; widths, discount, steps per decision,
    /// ensemble and memory may not. When it fails the agent is as it was.
    ///
    /// # Errors
    /// [`LoadError`], when the file is missing, cut, damaged, of another format or of another agent.
    pub fn load(&mut self, path: &Path, tag_list_hash: u64) -> Result<Belongs, LoadError> {
        let fail = |source| LoadError::Io { path: path.to_owned(), source };
        let content = |what| LoadError::Content { path: path.to_owned(), what };
        let mut file = BufReader::new(File::open(path).map_err(fail)?);
        let length_bytes = verify(path, &mut file)?;
        file.seek(SeekFrom::Start(HEAD_BYTES)).map_err(fail)?;
        let section = section(&mut file, length_bytes).map_err(fail)?;
        let mut reading: Reading = postcard::from_bytes(&section).map_err(|_| content("networks"))?;
        let found_hash = reading.belongs.tag_list_hash;
        if reading.shape != self.shape || found_hash != tag_list_hash {
            return Err(LoadError::OtherAgent {
                path: path.to_owned(),
                found: reading.shape,
                expected: self.shape,
                found_hash,
                expected_hash: tag_list_hash,
            });
        }
        let found = reading.learning.improver();
        if found != self.options.improver {
            return Err(LoadError::OtherImprover { path: path.to_owned(), found, expected: self.options.improver });
        }
        let mut rows = [Vec::new(), Vec::new()];
        for part in &mut rows {
            loop {
                let section = self::section(&mut file, length_bytes).map_err(fail)?;
                let piece: Vec<f32> = postcard::from_bytes(&section).map_err(|_| content("rows"))?;
                if piece.is_empty() {
                    break;
                }
                part.extend_from_slice(&piece);
            }
        }
        reading.replay.restore(rows, &self.options);
        if !reading.replay.is_consistent(self.shape, &self.options) {
            return Err(content("the memory: was the discount, the dead time, the ensemble or the capacity changed?"));
        }
        let section = self::section(&mut file, length_bytes).map_err(fail)?;
        let imputer = (!section.is_empty()).then(|| postcard::from_bytes(&section)).transpose();
        self.adopt(reading, imputer.map_err(|_| content("the imputer"))?).map_err(content)
    }

    /// An imputer that was not there before begins now.
    fn adopt(&mut self, reading: Reading, imputer: Option<ImputerState>) -> Result<Belongs, &'static str> {
        let mut kept = self.options.imputer.map(|shape| Imputer::new(shape, self.options.seed));
        if let (Some(kept), Some(state)) = (&mut kept, imputer)
            && !kept.restore(state)
        {
            return Err("the imputer");
        }
        self.learning.restore(reading.learning)?;
        self.imputer = kept;
        self.replay = reading.replay;
        self.schedule.resume(reading.schedule);
        self.exploration = reading.exploration;
        Ok(reading.belongs)
    }
}

/// Writes a file beside `path`, flushes it, and puts it in the place of `path`.
fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), SaveError> {
    let fail = |act, path: &Path| {
        let path = path.to_owned();
        move |source| SaveError { act, path, source }
    };
    let temporary = path.with_extension("writing");
    let file = File::create(&temporary).map_err(fail("create", &temporary))?;
    let mut out = BufWriter::new(&file);
    let written = write(&mut out)
        .and_then(|()| out.flush())
        .map_err(fail("write", &temporary))
        .and_then(|()| file.sync_all().map_err(fail("flush", &temporary)));
    if let Err(error) = written {
        // What is half written is of no use and may be what fills the disk.
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    std::fs::rename(&temporary, path).map_err(fail("rename", &temporary))?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(fail("flush", directory))
}

/// Checks beginning, end and checksum; the file's length.
fn verify(path: &Path, file: &mut (impl Read + Seek)) -> Result<u64, LoadError> {
    let fail = |source| LoadError::Io { path: path.to_owned(), source };
    let length_bytes = file.seek(SeekFrom::End(0)).map_err(fail)?;
    let cut = || LoadError::Cut { path: path.to_owned(), length_bytes };
    file.rewind().map_err(fail)?;
    let mut head = [0; HEAD_BYTES as usize];
    if length_bytes < HEAD_BYTES {
        return Err(cut());
    }
    file.read_exact(&mut head).map_err(fail)?;
    let (magic, version) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(LoadError::Foreign { path: path.to_owned() });
    }
    let found = version.iter().rev().fold(0, |n, b| n << 8 | u32::from(*b));
    if found != VERSION {
        return Err(LoadError::Version { path: path.to_owned(), found, expected: VERSION });
    }
    if length_bytes < HEAD_BYTES + TAIL_BYTES {
        return Err(cut());
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&head);
    let body = length_bytes - HEAD_BYTES - TAIL_BYTES;
    hasher.update_reader(file.take(body)).map_err(fail)?;
    let mut tail = [0; TAIL_BYTES as usize];
    file.read_exact(&mut tail).map_err(fail)?;
    let (checksum, end) = tail.split_at(blake3::OUT_LEN);
    if end != END {
        return Err(cut());
    }
    if checksum != hasher.finalize().as_bytes() {
        return Err(LoadError::Damaged { path: path.to_owned() });
    }
    Ok(length_bytes)
}

/// Reads the next section.
fn section(file: &mut impl Read, length_bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > length_bytes_max {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A writer that remembers the checksum of what went through it.
struct Hashing<'a> {
    out: &'a mut dyn Write,
    hasher: blake3::Hasher,
}

impl<'a> Hashing<'a> {
    fn new(out: &'a mut dyn Write) -> Self {
        Self { out, hasher: blake3::Hasher::new() }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }

    fn section<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        let bytes = postcard::to_allocvec(value).map_err(io::Error::other)?;
        self.write_all(&(bytes.len() as u64).to_le_bytes())?;
        self.write_all(&bytes)
    }

    fn finish(mut self) -> io::Result<()> {
        self.write_all(&0_u64.to_le_bytes())?;
        self.out.write_all(self.hasher.finalize().as_bytes())?;
        self.out.write_all(&END)
    }
}

#[cfg(test)]
mod tests {
    use policy::pipeline::ImputerShape;

    use super::*;
    use crate::options::{AgentOptions, GammaSchedule};
    use crate::transitions::Step;

    const SHAPE: AgentShape = AgentShape { state: 2, action: 1 };
    const BELONGS: Belongs = Belongs { tag_list_hash: 77, generation: 5 };

    fn agent(seed: u64) -> Agent {
        agent_by(Improver::Percentile, seed)
    }

    fn agent_by(improver: Improver, seed: u64) -> Agent {
        Agent::new(SHAPE, options(improver, seed), &[0.5], 1).unwrap()
    }

    fn options(improver: Improver, seed: u64) -> AgentOptions {
        AgentOptions {
            seed,
            improver,
            batch_size: 8,
            candidates: 8,
            next_actions: 2,
            replay_capacity: 20,
            nominal_critic_steps: 2,
            nominal_actor_steps: 2,
            ..AgentOptions::default()
        }
    }

    /// What depends on age, on the number of updates and on rewards to come.
    fn scheduled(improver: Improver) -> AgentOptions {
        AgentOptions {
            gamma_schedule: Some(GammaSchedule { from: 0.3, updates: 50 }),
            recency: Some(4.0),
            critic_warmup_updates: 40,
            dead_time: 3,
            holding: 4.0,
            ..options(improver, 1)
        }
    }

    /// One that learns to impute, too: of two tags with one trace each.
    fn imputing_agent(seed: u64) -> Agent {
        let imputer = Some(ImputerShape { tags: 2, traces: 1, last: 0, missing_max: 1, horizon: 10 });
        Agent::new(SHAPE, AgentOptions { imputer, ..options(Improver::Pathwise, seed) }, &[0.5], 1).unwrap()
    }

    /// What is seen next.
    fn with_step<T>(sequence: u64, take: impl FnOnce(&Step<'_>) -> T) -> T {
        let x = (sequence as f32).sin().abs();
        take(&Step {
            sequence,
            complete: true,
            all_read: true,
            reward: Some(-x),
            decision: true,
            gap: false,
            terminal: false,
            state: &[x, 1.0 - x],
            action: &[x],
            lo: &[0.0],
            hi: &[1.0],
        })
    }

    /// Takes in steps and learns; the bits of actor and actions on the way.
    fn live(agent: &mut Agent, steps: std::ops::Range<u64>) -> Vec<u32> {
        let mut bits = Vec::new();
        let mut action = [0.5];
        for sequence in steps {
            with_step(sequence, |step| {
                agent.observe(step);
                agent.update();
                agent.act(step.state, step.lo, step.hi, true, &mut action);
            });
            bits.push(action[0].to_bits());
        }
        bits.extend(agent.published_parameters().unwrap().iter().map(|p| p.to_bits()));
        bits
    }

    #[test]
    fn a_resumed_agent_goes_on_with_the_same_bits() {
        let both = [Improver::Percentile, Improver::Pathwise];
        let all = both.into_iter().flat_map(|improver| [options(improver, 1), scheduled(improver)]);
        for options in all {
            let born = || Agent::new(SHAPE, options.clone(), &[0.5], 1).unwrap();
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("agent.ckpt");
            let mut agent = born();
            agent.learn_nominal(|| true);
            live(&mut agent, 0..30);
            agent.save(&path, BELONGS).unwrap();
            let mut resumed = born();
            assert_eq!(resumed.load(&path, 77).unwrap(), BELONGS);
            assert_eq!(resumed.counts(), agent.counts());
            assert_eq!(live(&mut resumed, 30..60), live(&mut agent, 30..60));
        }
    }

    #[test]
    fn so_does_one_that_has_learnt_from_a_history_and_is_held_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.ckpt");
        let mut agent = agent_by(Improver::Pathwise, 1);
        (0..15).for_each(|sequence| with_step(sequence, |step| agent.observe_historical(step)));
        agent.learn_behaviour();
        (0..10).for_each(|made| _ = agent.study(made, 10));
        agent.save(&path, BELONGS).unwrap();
        let mut resumed = agent_by(Improver::Pathwise, 1);
        resumed.load(&path, 77).unwrap();
        assert_eq!(live(&mut resumed, 30..40), live(&mut agent, 30..40));
    }

    #[test]
    fn so_does_its_imputer() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.ckpt");
        let mut agent = imputing_agent(1);
        live(&mut agent, 0..150);
        agent.save(&path, BELONGS).unwrap();
        let mut resumed = imputing_agent(1);
        resumed.load(&path, 77).unwrap();
        assert_eq!(live(&mut resumed, 150..300), live(&mut agent, 150..300));
        let published = agent.published_parameters().unwrap();
        let imputer = &published[policy::actor_spec(SHAPE.state, SHAPE.action).parameters()..];
        assert!(imputer.iter().any(|parameter| *parameter != 0.0), "it has learnt something");
    }

    #[test]
    fn holding_begins_anew_where_there_was_none_and_is_left_where_nobody_wants_it() {
        let born = |holding| Agent::new(SHAPE, AgentOptions { holding, ..scheduled(Improver::Pathwise) }, &[0.5], 1);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.ckpt");
        for (before, after) in [(0.0, 4.0), (4.0, 0.0)] {
            let mut agent = born(before).unwrap();
            live(&mut agent, 0..60);
            agent.save(&path, BELONGS).unwrap();
            let mut resumed = born(after).unwrap();
            resumed.load(&path, 77).unwrap();
            assert_eq!(resumed.actor_parameters(), agent.actor_parameters());
            assert_ne!(live(&mut resumed, 60..80), live(&mut agent, 60..80));
        }
    }

    #[test]
    fn an_imputer_begins_anew_where_there_was_none_and_changes_nothing_of_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let (with, without) = (directory.path().join("with.ckpt"), directory.path().join("without.ckpt"));
        let mut plain = agent_by(Improver::Pathwise, 1);
        live(&mut plain, 0..20);
        plain.save(&without, BELONGS).unwrap();
        let mut imputing = imputing_agent(1);
        imputing.load(&without, 77).unwrap();
        live(&mut imputing, 20..40);
        live(&mut plain, 20..40);
        assert_eq!(imputing.actor_parameters(), plain.actor_parameters());
        imputing.save(&with, BELONGS).unwrap();
        let mut resumed = agent_by(Improver::Pathwise, 1);
        resumed.load(&with, 77).unwrap();
        assert_eq!(live(&mut resumed, 40..50), live(&mut plain, 40..50));

        let imputer = Some(ImputerShape { tags: 1, traces: 2, last: 0, missing_max: 1, horizon: 10 });
        let options = AgentOptions { imputer, ..options(Improver::Pathwise, 1) };
        let mut other = Agent::new(SHAPE, options, &[0.5], 1).unwrap();
        assert!(matches!(other.load(&with, 77), Err(LoadError::Content { what: "the imputer", .. })));
    }

    #[test]
    fn an_agent_that_learns_in_another_way_is_refused_with_advice() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.ckpt");
        agent_by(Improver::Pathwise, 1).save(&path, BELONGS).unwrap();
        let mut other = agent(1);
        let before = other.actor_parameters().to_vec();
        let error = other.load(&path, 77).unwrap_err();
        assert!(error.to_string().contains("learns by Pathwise, and this one learns by Percentile"), "{error}");
        assert_eq!(other.actor_parameters(), before);
        let options = AgentOptions { ensemble: 3, ..agent_by(Improver::Pathwise, 1).options().clone() };
        let mut wider = Agent::new(SHAPE, options, &[0.5], 1).unwrap();
        assert!(matches!(wider.load(&path, 77), Err(LoadError::Content { .. })));
    }

    #[test]
    fn a_cut_or_changed_file_is_refused_at_every_place_and_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.ckpt");
        let mut agent = self::agent(1);
        live(&mut agent, 0..5);
        agent.save(&path, BELONGS).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let before: Vec<f32> = agent.actor_parameters().to_vec();
        let places = (0..40).chain((40..whole.len()).step_by(whole.len() / 40));
        for place in places {
            std::fs::write(&path, &whole[..place]).unwrap();
            assert!(matches!(agent.load(&path, 77), Err(LoadError::Cut { .. })));
            let mut changed = whole.clone();
            changed[place] ^= 0x10;
            std::fs::write(&path, &changed).unwrap();
            assert!(agent.load(&path, 77).is_err());
        }
        assert_eq!(agent.actor_parameters(), before);
    }

    #[test]
    fn foreign_older_and_others_files_are_refused_with_facts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.ckpt");
        let mut agent = self::agent(1);
        assert!(matches!(agent.load(&path, 77), Err(LoadError::Io { .. })));
        std::fs::write(&path, "a text that somebody wrote").unwrap();
        assert!(matches!(agent.load(&path, 77), Err(LoadError::Foreign { .. })));

        agent.save(&path, BELONGS).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[MAGIC.len()] = 0;
        std::fs::write(&path, &bytes).unwrap();
        let error = agent.load(&path, 77).unwrap_err();
        assert!(matches!(error, LoadError::Version { found: 0, expected: VERSION, .. }));

        agent.save(&path, BELONGS).unwrap();
        let error = agent.load(&path, 78).unwrap_err();
        assert!(matches!(error, LoadError::OtherAgent { found_hash: 77, expected_hash: 78, .. }));
        let wide = AgentShape { state: 3, ..SHAPE };
        let mut other = Agent::new(wide, AgentOptions::default(), &[0.5], 1).unwrap();
        assert!(matches!(other.load(&path, 77), Err(LoadError::OtherAgent { .. })));

        let own = || agent.options().clone();
        for options in [AgentOptions { gamma: 0.5, ..own() }, AgentOptions { dead_time: 1, ..own() }] {
            let mut other = Agent::new(SHAPE, options, &[0.5], 1).unwrap();
            assert!(matches!(other.load(&path, 77), Err(LoadError::Content { .. })));
        }
    }

    #[test]
    fn a_full_disk_leaves_the_checkpoint_of_before_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.ckpt");
        std::fs::write(&path, "before").unwrap();
        let error = replace(&path, |out| {
            out.write_all(b"half of it")?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert_eq!((error.act, error.source.kind()), ("write", io::ErrorKind::StorageFull));
        assert_eq!(std::fs::read(&path).unwrap(), b"before");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_directory_is_reported() {
        let error = agent(1).save(Path::new("/nowhere/agent.ckpt"), BELONGS).unwrap_err();
        assert_eq!(error.act, "create");
    }
}
