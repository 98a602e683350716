//! The flight recorder: what was before and after an incident, kept in a [`capture`](crate::capture).
//!
//! # Contract
//! 1. **The rings are the memory.** Cycle records and events lie in shared memory anyway; the recorder has cursors of its own, reads
//!    the events, and the cycles only once there is something to be saved. Whoever writes the rings notices nothing of it.
//! 2. **A file has its name when it is whole.** Until then it is a hidden `….part`; what a crash left of one is found by the
//!    next start, and kept under a name that says so.
//! 3. **The disk is not filled.** Triggers while a file is being written belong to that file and make it longer, up to a limit. For what
//!    can come again and again there is a pause between files, and a trip or a command that a file is too long for begins
//!    another one. All files together have a budget, what crashes left included; the oldest go first, before there is a new one.
//! 4. A disk that refuses costs the file, and is told. What was overwritten before it was read is in the file as a gap.
//! 5. It is told the time and never sleeps; it blocks as long as the disk does, and is nothing for a real-time thread.

mod files;
mod saving;

use std::collections::VecDeque;
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
/// So often within the time that a file reaches back it is noted how many events there were.
const MARKS_MAX: u64 = 32;

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
    /// Bytes of the finished files.
    finished_bytes: u64,
    /// Files that made room since the last one was told.
    removed: usize,
    /// When how many events had been published, now and then, as far back as a file reaches.
    marks: VecDeque<(MonoTime, u64)>,
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
        let found: Vec<_> = shelf.keep_leftovers().into_iter().map(|path| FlightNotice::Found { path }).collect();
        let watched = events.again(Start::Newest);
        let rings = Rings { cycles, layout, events };
        let (removed, finished_bytes) = shelf.make_room(options.bytes_max, None);
        let mut flight = Self {
            options,
            shelf,
            rings,
            events: watched,
            saving: None,
            finished_bytes,
            removed,
            marks: VecDeque::new(),
            quiet_until: MonoTime::ZERO,
        };
        // What was before this recorder, nobody counted.
        flight.marks.push_back((MonoTime::ZERO, flight.events.cursor()));
        (flight, found)
    }

    /// From now on files open with this site: limits were changed live, say.
    pub fn set_site_text(&mut self, text: String) {
        self.options.opening.site_text = text;
    }

    /// Looks for triggers, and goes on with the file that is being written; `now` and `unix_ns` are one instant.
    pub fn turn(&mut self, now: MonoTime, unix_ns: u64, mut tell: impl FnMut(FlightNotice)) {
        while let Some(event) = next_event(&mut self.events) {
            if let Some(kind) = trigger_kind(&event).filter(|kind| self.options.on.contains(kind)) {
                self.trigger(Trigger::of(kind, &event), now, unix_ns, &mut tell);
            }
        }
        self.mark(now);
        let Some(saving) = &mut self.saving else { return };
        match saving.turn(now) {
            Ok(None) => self.make_room(),
            Ok(Some(closed)) => self.finish(closed, now, tell),
            Err(error) => tell(self.give_up(error, now)),
        }
    }

    /// Keeps in mind how many events there were, at most [`MARKS_MAX`] times.
    fn mark(&mut self, now: MonoTime) {
        let before = self.options.before;
        if self.marks.back().is_none_or(|(at, _)| now.since(*at).as_ns() >= before.as_ns() / MARKS_MAX) {
            self.marks.push_back((now, self.events.cursor()));
        }
        while self.marks.get(1).is_some_and(|(at, _)| now.since(*at) > before) {
            self.marks.pop_front();
        }
    }

    /// Finished files make room for the one that is being written.
    fn make_room(&mut self) {
        let bytes = self.saving.as_ref().map_or(0, Saving::bytes);
        let left = self.options.bytes_max.saturating_sub(bytes);
        if self.finished_bytes > left {
            let (removed, finished_bytes) = self.shelf.make_room(left, None);
            (self.removed, self.finished_bytes) = (self.removed + removed, finished_bytes);
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

    /// The newest file that is whole, of this run or one before; looks at the directory.
    pub fn newest(&self) -> Option<PathBuf> {
        self.shelf.newest()
    }

    fn trigger(&mut self, trigger: Trigger, now: MonoTime, unix_ns: u64, tell: &mut impl FnMut(FlightNotice)) {
        let after = self.options.after;
        let is_too_long = |saving: &Saving| !trigger.is_frequent() && !saving.has_room_for(&trigger, after);
        if self.saving.as_ref().is_some_and(is_too_long) {
            self.end_for_another(now, tell);
        }
        let failed = match &mut self.saving {
            Some(saving) => saving.go_on_for(trigger, after).err(),
            None if trigger.is_frequent() && now < self.quiet_until => None,
            None => self.begin(trigger, now, unix_ns, tell).err(),
        };
        if let Some(error) = failed {
            tell(self.give_up(error, now));
        }
    }

    /// Ends the file with what there is: the next one goes on.
    fn end_for_another(&mut self, now: MonoTime, tell: &mut impl FnMut(FlightNotice)) {
        let Some(saving) = &mut self.saving else { return };
        match saving.turn(now) {
            Ok(closed) => self.finish(closed.unwrap_or(Closed::Full), now, tell),
            Err(error) => tell(self.give_up(error, now)),
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
        let events_before = self.marks.front().map_or(0, |(_, events)| *events);
        let saving = Saving::begin(&self.options, &self.rings, place, &opening, &trigger, (now, events_before))?;
        self.saving = Some(saving);
        self.make_room();
        tell(FlightNotice::Began { path, trigger });
        Ok(())
    }

    fn finish(&mut self, closed: Closed, now: MonoTime, mut tell: impl FnMut(FlightNotice)) {
        let Some(saving) = self.saving.take() else { return };
        self.quiet_until = now + self.options.pause;
        tell(match saving.finish(closed) {
            Ok((path, written)) => {
                let (removed, bytes) = self.shelf.make_room(self.options.bytes_max, Some(&path));
                self.finished_bytes = bytes;
                let removed = removed + std::mem::take(&mut self.removed);
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
