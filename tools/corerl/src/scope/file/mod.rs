//! Captures in files, which are read back with the very same bits: [`csv`] for spreadsheets, [`mcap`] for Foxglove and
//! PlotJuggler.
//!
//! Both hold the same facts and samples. Facts: `agent`, `period_ns`, `trigger` as on the command line, `triggered` (false where
//! the sweep began without a trigger), `trigger_ns` (CLOCK_MONOTONIC), `span_ns` of the sweep and `pre_ns` of it before the
//! trigger, `ended` (the runtime ended before the sweep did). Of each sample `lost` are the records before it that were
//! overwritten before they were read, `skipped` the slots before it that passed without a cycle: nothing is known of either.

mod csv;
mod mcap;

use std::io::{Read, Write};
use std::path::Path;
use std::str::FromStr;

use footage::mcap::Texts;
use rt_core::time::NS_PER_S;

use super::acquisition::{SAMPLES_MAX, Sample};
use super::capture::{Capture, Frame};
use super::channel::CHANNELS_MAX;

/// What a file says of itself, and the version of it.
const SCHEMA: &str = "corerl.scope/1";
/// The longest sweep that is believed: a year, which no time on a screen or between two cursors overflows.
const SPAN_NS_MAX: u64 = 365 * 86_400 * NS_PER_S;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Mcap,
}

impl Format {
    /// As the name of the file ends.
    pub(super) fn of(path: &Path) -> Result<Self, String> {
        let ends_in = |ending| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending));
        match () {
            () if ends_in("csv") => Ok(Self::Csv),
            () if ends_in("mcap") => Ok(Self::Mcap),
            () => Err("captures are CSV or MCAP: give a name that ends in .csv or .mcap".to_owned()),
        }
    }
}

/// A capture with all that is needed to look at it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Saved {
    pub(super) agent: String,
    pub(super) period_ns: u64,
    /// As on the command line.
    pub(super) trigger: String,
    /// Titles of the channels: names with units.
    pub(super) titles: Vec<String>,
    pub(super) capture: Capture,
}

impl Saved {
    /// Writes it.
    pub(super) fn write(&self, format: Format, to: &mut impl Write) -> std::io::Result<()> {
        match format {
            Format::Csv => csv::write(self, to),
            Format::Mcap => mcap::write(self, to),
        }
    }

    /// Reads it; what is wrong, and where.
    pub(super) fn read(format: Format, from: impl Read) -> Result<Self, String> {
        match format {
            Format::Csv => csv::read(from),
            Format::Mcap => mcap::read(from),
        }
    }

    /// All but the samples, in the order that people read.
    fn facts(&self) -> [(&'static str, String); 8] {
        let Frame { span_ns, pre_ns, trigger_ns, triggered } = self.capture.frame;
        [
            ("agent", self.agent.clone()),
            ("period_ns", self.period_ns.to_string()),
            ("trigger", self.trigger.clone()),
            ("triggered", triggered.to_string()),
            ("trigger_ns", trigger_ns.to_string()),
            ("span_ns", span_ns.to_string()),
            ("pre_ns", pre_ns.to_string()),
            ("ended", self.capture.ended.to_string()),
        ]
    }

    /// The same without titles and samples.
    fn of_facts(facts: &Texts) -> Result<Self, String> {
        let frame = Frame {
            span_ns: parsed(facts, "span_ns")?,
            pre_ns: parsed(facts, "pre_ns")?,
            trigger_ns: parsed(facts, "trigger_ns")?,
            triggered: parsed(facts, "triggered")?,
        };
        if !(1..=SPAN_NS_MAX).contains(&frame.span_ns) || frame.pre_ns > frame.span_ns {
            return Err(format!("span_ns must be from 1 to {SPAN_NS_MAX}, and pre_ns not above it"));
        }
        Ok(Self {
            agent: text(facts, "agent")?.to_owned(),
            period_ns: parsed(facts, "period_ns")?,
            trigger: text(facts, "trigger")?.to_owned(),
            titles: Vec::new(),
            capture: Capture { frame, ended: parsed(facts, "ended")?, samples: Vec::new() },
        })
    }

    /// Adds the title of a channel.
    fn add_title(&mut self, title: String) -> Result<(), String> {
        self.titles.push(title);
        if self.titles.len() > CHANNELS_MAX {
            return Err(format!("there are more channels than a scope shows, {CHANNELS_MAX}"));
        }
        Ok(())
    }

    /// Adds the next sample.
    fn add(&mut self, sample: Sample, place: impl std::fmt::Display) -> Result<(), String> {
        let samples = &mut self.capture.samples;
        if samples.last().is_some_and(|before| before.time_ns >= sample.time_ns) {
            return Err(format!("{place} is not later than the one before it"));
        }
        if samples.len() == SAMPLES_MAX {
            return Err(format!("there are more than {SAMPLES_MAX} samples"));
        }
        samples.push(sample);
        Ok(())
    }
}

fn text<'a>(facts: &'a Texts, name: &str) -> Result<&'a str, String> {
    let found = facts.get(name).map(String::as_str);
    found.ok_or_else(|| format!("it does not say `{name}`: is it a capture of `corerl shm scope`?"))
}

fn parsed<T: FromStr>(facts: &Texts, name: &str) -> Result<T, String> {
    let text = text(facts, name)?;
    text.parse().map_err(|_| format!("`{text}` cannot be {name}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn small() -> Saved {
        let sample = |cycle: u64, values: [f64; 2]| {
            let mut all = [f64::NAN; CHANNELS_MAX];
            all[..2].copy_from_slice(&values);
            Sample { cycle, time_ns: cycle * 1_000_000, lost: cycle % 3, skipped: 0, values: all }
        };
        let frame = Frame { span_ns: 5_000_000, pre_ns: 1_000_000, trigger_ns: 1_000_000_000, triggered: true };
        Saved {
            agent: "works/ph".into(),
            period_ns: 1_000_000,
            trigger: "level rising 0.5".into(),
            titles: vec!["level [m]".into(), "a, \"b\"".into()],
            capture: Capture {
                frame,
                ended: false,
                samples: vec![
                    sample(999, [0.25, -1e-300]),
                    sample(1000, [0.1 + 0.2, f64::NAN]),
                    sample(1003, [f64::INFINITY, 7.0]),
                ],
            },
        }
    }

    pub(super) fn bytes_of(saved: &Saved, format: Format) -> Vec<u8> {
        let mut bytes = Vec::new();
        saved.write(format, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_ending_of_a_name_is_the_format() {
        for (name, format) in [("a.csv", Format::Csv), ("dir.x/B.MCAP", Format::Mcap)] {
            assert_eq!(Format::of(Path::new(name)), Ok(format));
        }
        for name in ["a", "csv", "a.csv.gz"] {
            assert!(Format::of(Path::new(name)).unwrap_err().contains("ends in .csv or .mcap"));
        }
    }

    proptest! {
        #[test]
        fn what_was_saved_is_loaded_with_every_bit(
            cells in prop::collection::vec((1u64..1_000_000_000, any::<u64>(), 0u32..5, any::<f64>(), any::<f64>()), 0..40),
            trigger_ns in 0u64..1 << 62,
            ended: bool,
        ) {
            let mut saved = small();
            let mut time_ns = trigger_ns.saturating_sub(3_000_000_000);
            saved.capture.samples = cells.into_iter().map(|(step, cycle, skipped, a, b)| {
                time_ns += step;
                let mut values = [f64::NAN; CHANNELS_MAX];
                (values[0], values[1]) = (a, b);
                Sample { cycle, time_ns, lost: cycle >> 60, skipped, values }
            }).collect();
            (saved.capture.frame.trigger_ns, saved.capture.ended) = (trigger_ns, ended);
            for format in [Format::Csv, Format::Mcap] {
                let loaded = Saved::read(format, &bytes_of(&saved, format)[..]).unwrap();
                // As text, where a value that is not a number is like another one.
                prop_assert_eq!(format!("{:?}", loaded), format!("{:?}", saved));
            }
        }
    }
}
