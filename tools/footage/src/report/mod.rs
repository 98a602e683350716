//! What happened, on one page that can be mailed: read once, from beginning to end, in memory that does not grow with it.

mod envelope;
mod page;
mod story;
mod tracks;

use std::io;

use crate::file::{Footage, Moment};
use story::Story;

pub use page::page;

/// What a page is made of.
#[derive(Debug)]
pub struct Report {
    story: Story,
}

impl Report {
    /// Reads a recording to its end; `progress` is called now and then with the bytes that were read.
    ///
    /// # Errors
    /// The recording cannot be read any more.
    pub fn read(footage: &mut Footage, mut progress: impl FnMut(u64)) -> io::Result<Self> {
        let mut story = Story::new(footage);
        loop {
            progress(footage.progress().0);
            match footage.next_moment()? {
                Moment::Cycle(record) => story.cycle(&record),
                Moment::Event(event) => story.event(&event),
                Moment::Gap(gap) => story.gap(&gap),
                Moment::End(ending) => {
                    story.end(ending);
                    return Ok(Self { story });
                }
            }
        }
    }

    /// Cycles that were read.
    pub fn cycles(&self) -> u64 {
        self.story.cycles
    }

    /// What is not in the page because it is not in the file: sentences.
    pub fn warnings(&self) -> Vec<String> {
        self.story.warnings()
    }
}

#[cfg(test)]
mod tests;
