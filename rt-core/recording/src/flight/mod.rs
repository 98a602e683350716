//! The flight recorder: what was before and after an incident, kept in a [`capture`](crate::capture).
//!
//! # Contract
//! 1. **The rings are the memory.** Cycle records and events lie in shared memory anyway; the recorder has cursors of its own, reads
//!    the events, and the cycles only once there is something to be saved. Whoever writes the rings notices nothing of it.
//! 2. **A file has its name when it is whole.** Until then it is a hidden `….part`; what a crash left of one is found by the
//!    next start, and kept under a name that says so.
//! 3. **The disk is not filled.** Triggers while a file is being written belong to that file and make it longer, up to a limit. For what
//!    can come again and again there is a pause between files; all files together have a budget, and the oldest go first.
//! 4. A disk that refuses costs the file, and is told. What was overwritten before it was read is in the file as a gap.
//! 5. It is told the time and never sleeps; it blocks as long as the disk does, and is nothing for a real-time thread.

mod files;
mod saving;

use std::io;
use std::path::{Path, PathBuf};

use rt_core::time::{MonoTime, Span};
use shm::broadcast::{self, Start};
use shm_layout::{CycleLayout, EVENT_WORDS, EventKind, EventRecord};

use crate::capture::{Clocks, Closed, Opening, Reason, Trigger, TriggerKind, Written};
use files::Shelf;
use saving::{Rings, Saving};

/// A file is made longer by further triggers up to so many times what it was to have after the first one.
const LONGER_MAX: u64 = 8;
/// Triggers that one file lists beside its first; what happened then is among its events anyway.
const LISTED_MAX: usize = 256;

/// What is saved, when, and where.
#[derive(Clone, Debug)]
pub struct FlightOptions {
    /// Where the files go; made when it is not there.
    pub directory: PathBuf,
    /// What the files' names begin with: those of other agents are left alone.
    pub prefix: String,
    /// How a time, nanoseconds since 1970, is written into the names, in ascending order.
    pub utc: fn(u64) -> String,
    /// What makes it save, beside commands.
    pub on: Vec<TriggerKind>,
    /// So long before the trigger a file begins.
    pub before: Span,
    /// So long behind the last trigger it ends.
    pub after: Span,
    /// After a file no other one is begun for lost slots and faults for so long.
    pub pause: Span,
    /// All files together have at most so many bytes, and so has one.
    pub bytes_max: u64,
    /// What every file opens with; clocks and reason are filled in.
    pub opening: Opening,
}

/// What the flight recorder has to tell.
#[derive(Debug)]
pub enum FlightNotice {
    /// Something is being saved.
    Began {
        /// Where it will be.
        path: PathBuf,
        /// Why.
        trigger: Trigger,
    },
    /// It is there.
    Saved {
        /// Where.
        path: PathBuf,
        /// What is in it.
        written: Written,
        /// Older files that made room for it.
        removed: usize,
    },
    /// A crash of before has left the beginning of a file, which was kept.
    Found {
        /// Where.
        path: PathBuf,
    },
    /// The disk refused: nothing was saved.
    Failed(io::Error),
}

/// The flight recorder of one runtime.
#[derive(Debug)]
pub struct Flight {
    options: FlightOptions,
    shelf: Shelf,
    rings: Rings,
    /// Where triggers are looked for.
    events: broadcast::Reader,
    saving: Option<Saving>,
    /// For lost slots and faults no file is begun before.
    quiet_until: MonoTime,
}

impl Flight {
    /// A recorder over these rings, which begins with what happens from now on; and what a crash of before has left.
    pub fn new(
        options: FlightOptions,
        cycles: broadcast::Reader,
        layout: CycleLayout,
        events: broadcast::Reader,
    ) -> (Self, Vec<FlightNotice>) {
        let shelf = Shelf::new(options.directory.clone(), options.prefix.clone());
        let found = shelf.keep_leftovers().into_iter().map(|path| FlightNotice::Found { path }).collect();
        let watched = events.again(Start::Newest);
        let rings = Rings { cycles, layout, events };
        (Self { options, shelf, rings, events: watched, saving: None, quiet_until: MonoTime::ZERO }, found)
    }

    /// Looks for triggers, and goes on with the file that is being written.
    pub fn turn(&mut self, now: MonoTime, unix_ns: u64, mut tell: impl FnMut(FlightNotice)) {
        while let Some(event) = next_event(&mut self.events) {
            if let Some(kind) = trigger_kind(&event).filter(|kind| self.options.on.contains(kind)) {
                self.trigger(Trigger::of(kind, &event), now, unix_ns, &mut tell);
            }
        }
        let Some(saving) = &mut self.saving else { return };
        match saving.turn(now) {
            Ok(None) => {}
            Ok(Some(closed)) => self.finish(closed, now, tell),
            Err(error) => tell(self.give_up(error, now)),
        }
    }

    /// Saves what was just now because somebody asks; where it will be.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn save(
        &mut self,
        text: String,
        now: MonoTime,
        unix_ns: u64,
        mut tell: impl FnMut(FlightNotice),
    ) -> io::Result<PathBuf> {
        let cycle = self.rings.newest_cycle().unwrap_or(0);
        let trigger = Trigger { kind: TriggerKind::Command, cycle, time_ns: now.as_ns(), text };
        let mut failed = None;
        self.trigger(trigger, now, unix_ns, &mut |notice| match notice {
            FlightNotice::Failed(error) => failed = Some(error),
            other => tell(other),
        });
        match (failed, &self.saving) {
            (None, Some(saving)) => Ok(saving.path().to_owned()),
            (error, _) => Err(error.unwrap_or_else(|| io::ErrorKind::Other.into())),
        }
    }

    /// The runtime ends: saves what there is, when something is being saved.
    pub fn close(mut self, now: MonoTime, mut tell: impl FnMut(FlightNotice)) {
        let Some(saving) = &mut self.saving else { return };
        match saving.turn(now) {
            Ok(closed) => self.finish(closed.unwrap_or(Closed::RuntimeEnded), now, tell),
            Err(error) => tell(self.give_up(error, now)),
        }
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.options.directory
    }

    fn trigger(&mut self, trigger: Trigger, now: MonoTime, unix_ns: u64, tell: &mut impl FnMut(FlightNotice)) {
        let failed = match &mut self.saving {
            Some(saving) => saving.go_on_for(trigger, self.options.after).err(),
            None if trigger.is_frequent() && now < self.quiet_until => None,
            None => self.begin(trigger, now, unix_ns, tell).err(),
        };
        if let Some(error) = failed {
            tell(self.give_up(error, now));
        }
    }

    fn begin(
        &mut self,
        trigger: Trigger,
        now: MonoTime,
        unix_ns: u64,
        tell: &mut impl FnMut(FlightNotice),
    ) -> io::Result<()> {
        let clocks = Clocks { monotonic_ns: now.as_ns(), unix_ns };
        let reason = Reason::Flight(trigger.clone());
        let opening = Opening { clocks, reason, ..self.options.opening.clone() };
        let time = (self.options.utc)(clocks.unix_ns_at(trigger.time_ns));
        let place = self.shelf.place(&time, trigger.kind.name())?;
        let path = place.path.clone();
        self.saving = Some(Saving::begin(&self.options, &self.rings, place, &opening, &trigger, now)?);
        tell(FlightNotice::Began { path, trigger });
        Ok(())
    }

    fn finish(&mut self, closed: Closed, now: MonoTime, mut tell: impl FnMut(FlightNotice)) {
        let Some(saving) = self.saving.take() else { return };
        self.quiet_until = now + self.options.pause;
        tell(match saving.finish(closed) {
            Ok((path, written)) => {
                let removed = self.shelf.make_room(self.options.bytes_max, &path);
                FlightNotice::Saved { path, written, removed }
            }
            Err(error) => FlightNotice::Failed(error),
        });
    }

    fn give_up(&mut self, error: io::Error, now: MonoTime) -> FlightNotice {
        if let Some(saving) = self.saving.take() {
            saving.discard();
        }
        self.quiet_until = now + self.options.pause;
        FlightNotice::Failed(error)
    }
}

impl Trigger {
    fn of(kind: TriggerKind, event: &EventRecord) -> Self {
        Self { kind, cycle: event.cycle, time_ns: event.time_ns, text: event.text().to_owned() }
    }

    /// Whether there can be crowds of it: a trip latches, and people tire.
    const fn is_frequent(&self) -> bool {
        matches!(self.kind, TriggerKind::LostSlot | TriggerKind::Fault)
    }
}

fn trigger_kind(event: &EventRecord) -> Option<TriggerKind> {
    match event.kind()? {
        EventKind::Trip => Some(TriggerKind::Trip),
        EventKind::SlotsSkipped => Some(TriggerKind::LostSlot),
        EventKind::Fault => Some(TriggerKind::Fault),
        _ => None,
    }
}

/// The next event that was not overwritten. What was overwritten before the recorder looked makes no file: among so many others
/// there was a trigger, too.
fn next_event(ring: &mut broadcast::Reader) -> Option<EventRecord> {
    let mut words = [0; EVENT_WORDS];
    loop {
        match ring.next(&mut words) {
            broadcast::Next::Record { .. } => return Some(EventRecord::from_words(&words)),
            broadcast::Next::Lost(_) => {}
            broadcast::Next::Empty | broadcast::Next::Damaged { .. } => return None,
        }
    }
}

#[cfg(test)]
mod tests;
