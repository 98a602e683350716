//! Where decisions are read from: the shared memory of a running agent, a recording, or a capture.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use policy::pipeline::Columns;
use rt_config::Site;
use rt_control::{Client, Description};
use rt_recording::capture;
use rt_recording::{CycleFrame, Frame, Next, Opening, Reader, RecordingRefused};
use shm::broadcast::{self, Start};
use shm::{Segment, SegmentKind};
use shm_layout::{CycleLayout, ESTIMATE_WORDS, EstimateRecord, StepLayout};

use super::decision::{Gathering, Names, SetpointName};
use crate::failure::{Exit, Failure};

impl Names {
    pub(super) fn of_running(agent: String, description: Description) -> Self {
        let setpoints = description.setpoints.into_iter();
        let named = |of: rt_control::SetpointInfo| SetpointName { name: of.name, unit: of.unit, scale: of.scale };
        let tags = description.tags.into_iter().map(|tag| tag.name).collect();
        Self { agent, setpoints: setpoints.map(named).collect(), columns: description.columns, tags }
    }

    fn of_recorded(site: &Site) -> Self {
        let named = |of: &rt_config::Setpoint| {
            let tag = site.tags.get(of.tag.index());
            let (name, unit) = tag.map(|tag| (tag.name.clone(), tag.unit.clone())).unwrap_or_default();
            SetpointName { name, unit, scale: [of.scale.lo, of.scale.hi] }
        };
        Self {
            agent: format!("{}/{}", site.name, site.agent_name),
            setpoints: site.setpoints.iter().map(named).collect(),
            columns: Columns::of(site).as_slice().iter().map(|column| column.name.clone()).collect(),
            tags: site.tags.iter().map(|tag| tag.name.clone()).collect(),
        }
    }
}

/// Reads the rings of a running agent from their oldest record on: steps, then the cycles around them, then what the
/// learner said, if there is one.
pub(super) fn live(client: &mut Client, gathering: &mut Gathering<'_>) -> Result<(), Failure> {
    let steps = watch::segment(client, SegmentKind::Transitions)?;
    let layout = StepLayout::from_dims(steps.header().dims()).ok_or_else(impossible)?;
    each(&steps, Start::Oldest, |words| {
        if let Ok(step) = layout.view(words) {
            gathering.step(&step);
        }
    })?;
    live_cycles(&watch::segment(client, SegmentKind::Cycles)?, gathering)?;
    let estimates = match watch::segment(client, SegmentKind::Estimates) {
        Err(blind) if blind.is_too_early() => return Ok(()),
        segment => segment?,
    };
    each(&estimates, Start::Oldest, |words| {
        if let Some(words) = words.first_chunk::<ESTIMATE_WORDS>() {
            gathering.estimate(EstimateRecord::from_words(words).into());
        }
    })
}

/// The cycles from the first decision on.
fn live_cycles(segment: &Segment, gathering: &mut Gathering<'_>) -> Result<(), Failure> {
    let layout = CycleLayout::from_dims(segment.header().dims()).ok_or_else(impossible)?;
    let mut newest = 0;
    each(segment, Start::Back(1), |words| newest = layout.view(words).map_or(0, |record| record.head.cycle))?;
    let Some(first) = gathering.decisions.front().map(|decision| decision.cycle) else { return Ok(()) };
    each(segment, Start::Back(newest.saturating_sub(first).saturating_add(1)), |words| {
        if let Ok(record) = layout.view(words) {
            gathering.cycle(&record);
        }
    })
}

fn impossible() -> Failure {
    Failure::new(Exit::Internal, "impossible sizes of records")
}

/// Every record from there on that the ring holds now; a fast writer cannot keep us here.
fn each(segment: &Segment, from: Start, mut take: impl FnMut(&[u64])) -> Result<(), Failure> {
    let internal = |error: shm::RoleRefused| Failure::new(Exit::Internal, error);
    let mut reader = broadcast::Reader::new(segment, from).map_err(internal)?;
    let mut words = vec![0; reader.slot_words()];
    for _ in 0..segment.header().slots() {
        match reader.next(&mut words) {
            broadcast::Next::Record { .. } => take(&words),
            broadcast::Next::Lost(_) => {}
            broadcast::Next::Empty | broadcast::Next::Damaged { .. } => break,
        }
    }
    Ok(())
}

/// A file that was opened.
pub(super) enum Film {
    Recording(Box<Recording>),
    /// Seen from outside: cycles and events, and no steps.
    Capture(Box<capture::Reader<BufReader<File>>>),
}

/// A recording that was opened.
pub(super) struct Recording {
    reader: Reader<BufReader<File>>,
    cycles: CycleLayout,
    steps: StepLayout,
}

fn refused(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::CheckFailed, format_args!("{}: {why}", path.display()))
}

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let file = File::open(path).map_err(|error| Failure::io(format_args!("cannot read {}", path.display()), &error))?;
    Ok(BufReader::new(file))
}

/// The site that a file opens with.
fn site_of(path: &Path, text: &str, name: &str) -> Result<Site, Failure> {
    let loaded = rt_config::parse_to_look_at(text, Path::new(name));
    Ok(loaded.map_err(|complaints| refused(path, complaints))?.site)
}

impl Film {
    /// Opens a file, whichever kind it is; what its numbers mean.
    pub(super) fn open(path: &Path) -> Result<(Names, Self), Failure> {
        match Reader::open(open(path)?) {
            Ok(reader) => Recording::of(path, reader).map(|(names, film)| (names, Self::Recording(Box::new(film)))),
            Err(RecordingRefused::Capture) => {
                let reader = capture::Reader::open(open(path)?).map_err(|error| refused(path, error))?;
                let capture::Opening { site_text, site_file, .. } = reader.opening();
                let names = Names::of_recorded(&site_of(path, site_text, site_file)?);
                Ok((names, Self::Capture(Box::new(reader))))
            }
            Err(error) => Err(refused(path, error)),
        }
    }

    /// What its decisions lack, for people; nothing of a recording.
    pub(super) fn lacks(&self) -> Option<&'static str> {
        let is_seen_from_outside = matches!(self, Self::Capture(_));
        is_seen_from_outside.then_some(
            "this is a capture, which was seen from outside: what the policy asked for and the state that it decided on are in recordings alone",
        )
    }

    /// Reads it to its end, whatever that is; when its last cycle was released.
    pub(super) fn read(self, gathering: &mut Gathering<'_>) -> Result<u64, Failure> {
        match self {
            Self::Recording(recording) => recording.read(gathering),
            Self::Capture(reader) => read_capture(*reader, gathering),
        }
    }
}

fn read_capture(mut reader: capture::Reader<BufReader<File>>, gathering: &mut Gathering<'_>) -> Result<u64, Failure> {
    let (layout, mut end) = (reader.layout(), 0);
    loop {
        match reader.next_frame().map_err(|error| Failure::io("cannot read the capture", &error))? {
            capture::Next::Frame(capture::Frame::Cycle(words)) => {
                if let Ok(record) = layout.view(&words) {
                    end = record.head.release_ns;
                    gathering.cycle_alone(&record);
                }
            }
            capture::Next::Frame(_) => {}
            capture::Next::End(_) => return Ok(end),
        }
    }
}

impl Recording {
    fn of(path: &Path, reader: Reader<BufReader<File>>) -> Result<(Names, Self), Failure> {
        let Opening { site_text, site_file, .. } = reader.opening();
        let site = site_of(path, site_text, site_file)?;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let setpoints = count(site.setpoints.len());
        let cycles = CycleLayout::new(setpoints, count(site.tags.len())).ok_or_else(impossible)?;
        let steps = StepLayout::new(count(Columns::of(&site).len()), setpoints).ok_or_else(impossible)?;
        Ok((Names::of_recorded(&site), Self { reader, cycles, steps }))
    }

    /// Reads it to its end, whatever that is; when its last cycle was released.
    fn read(mut self, gathering: &mut Gathering<'_>) -> Result<u64, Failure> {
        let mut end = 0;
        loop {
            let next = self.reader.next_frame();
            match next.map_err(|error| Failure::io("cannot read the recording", &error))? {
                Next::Frame(Frame::Cycle(cycle)) => {
                    end = cycle.slot.release.as_ns();
                    self.take(&cycle, gathering);
                }
                Next::Frame(Frame::Estimates(said)) => {
                    said.estimates.into_iter().for_each(|estimate| gathering.estimate(estimate));
                }
                Next::Frame(_) => {}
                Next::End(_) => return Ok(end),
            }
        }
    }

    fn take(&self, cycle: &CycleFrame, gathering: &mut Gathering<'_>) {
        // A cycle without a step has no words of one.
        if let Ok(step) = self.steps.view(&cycle.step) {
            gathering.step(&step);
        }
        if let Ok(record) = self.cycles.view(&cycle.record) {
            gathering.cycle(&record);
        }
    }
}
