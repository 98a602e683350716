//! `corerl shm scope`: a triggered oscilloscope on the cycle records of a running agent.
//!
//! The engine is pure: [`channel`] says what can be shown, [`trigger`] when a sweep begins, [`acquisition`] which samples belong to
//! it, [`engine`] puts them together; [`cursor`] and [`measurement`] look at samples, and [`file`](mod@file) keeps them. Around it,
//! [`source`] follows an agent, [`headless`] serves scripts, [`desk`] keys, and [`view`] draws.

mod acquisition;
mod capture;
mod channel;
mod cursor;
mod desk;
mod engine;
mod file;
mod headless;
mod interactive;
mod measurement;
#[cfg(test)]
mod rig;
mod source;
mod trigger;
mod view;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::failure::{Exit, Failure};
use crate::fresh::FreshFile;
use crate::target::Target;
use acquisition::{Repeat, Timing};
use channel::Names;
use engine::Setup;
use file::{Format, Saved};
use trigger::Trigger;

/// Divisions of a sweep.
const DIVISIONS: u64 = 10;
/// A division, unless somebody wants another one, and as many cycles at least.
const DIVISION_NS: u64 = 100_000_000;
const DIVISION_CYCLES: u64 = 10;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        corerl shm scope                                     setpoints, tags, reward and lateness, rolling by\n  \
                        corerl shm scope level u.sent u.readback --trigger 'level rising 0.5 hysteresis 0.01'\n  \
                        corerl shm scope lateness execution --trigger 'lateness above 200' --timebase 5ms --pre 0.5\n  \
                        corerl shm scope u.raw u.sent mode --headless --trigger 'mode to hold' --for 60s --save hold.csv\n  \
                        corerl shm scope --load hold.csv --headless --save hold.mcap     for Foxglove and PlotJuggler\n\n\
                        Channels: TAG, SETPOINT.raw, SETPOINT.sent, SETPOINT.readback, reward, lateness, execution, response (us), \
                        mode, policy; `tag:NAME` for a tag that is called like one of those.\n\
                        Triggers: none, CHANNEL rising|falling|either LEVEL [hysteresis H], CHANNEL above|below LEVEL, mode, \
                        mode to MODE, lost (a slot without a cycle), fault (fault or trip), trip, event KIND.\n\
                        On the screen ? shows the keys. Every cycle counts: what was overwritten before it was read is a gap, \
                        marked x. With --headless, exit code 1 says that no trigger came.")]
pub(crate) struct ScopeArguments {
    /// What to show, 16 at most [default: what is sent, tags, reward and lateness].
    #[arg(value_name = "CHANNEL", conflicts_with = "load")]
    channels: Vec<String>,
    #[command(flatten)]
    target: Target,
    /// What a sweep waits for.
    #[arg(long, value_name = "TRIGGER", default_value = "none", conflicts_with = "load")]
    trigger: Trigger,
    /// Time per division; a sweep has ten of them [default: 100ms, or ten cycles if that is longer].
    #[arg(long, value_name = "TIME", value_parser = time_base, conflicts_with = "load")]
    timebase: Option<Duration>,
    /// Share of the sweep before the trigger, 0 to 1.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.2, value_parser = share, conflicts_with = "load")]
    pre: f64,
    /// One sweep, then stop.
    #[arg(long, conflicts_with_all = ["continuous", "load"])]
    single: bool,
    /// Sweep without a trigger, too, when none comes.
    #[arg(long, conflicts_with = "load")]
    continuous: bool,
    /// Look at a capture that was saved.
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    /// Where captures are saved, FILE.csv or FILE.mcap: with --headless at once, on the screen with `s`.
    #[arg(long, value_name = "FILE", value_parser = capture_file)]
    save: Option<PathBuf>,
    /// Without a screen: take one sweep, save it, and print what was measured.
    #[arg(long, conflicts_with = "continuous")]
    headless: bool,
    /// Give up when no trigger has come for so long [default: wait for ever].
    #[arg(long = "for", value_name = "TIME", value_parser = duration, requires = "headless", conflicts_with = "load")]
    patience: Option<Duration>,
    /// Print JSON.
    #[arg(long, requires = "headless")]
    json: bool,
    /// Use no colours.
    #[arg(long)]
    no_color: bool,
}

pub(crate) fn run(arguments: &ScopeArguments) -> Result<Exit, Failure> {
    match (&arguments.load, arguments.headless) {
        (Some(path), true) => headless::measure(arguments, &load(path)?),
        (Some(path), false) => interactive::look_at(arguments, load(path)?),
        (None, true) => headless::take(arguments),
        (None, false) => interactive::watch(arguments),
    }
}

impl ScopeArguments {
    fn setup(&self, names: &Names, period_ns: u64) -> Setup {
        let division_ns = self.timebase.map_or(DIVISION_NS.max(period_ns.saturating_mul(DIVISION_CYCLES)), |time| {
            u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
        });
        Setup {
            channels: if self.channels.is_empty() { names.usual() } else { self.channels.clone() },
            trigger: self.trigger.clone(),
            timing: Timing::new(division_ns.saturating_mul(DIVISIONS), self.pre),
            repeat: match (self.single || self.headless, self.continuous) {
                (true, _) => Repeat::Single,
                (false, true) => Repeat::Continuous,
                (false, false) => Repeat::Normal,
            },
        }
    }
}

/// Reads a capture.
fn load(path: &Path) -> Result<Saved, Failure> {
    let format = Format::of(path).map_err(|why| Failure::new(Exit::Usage, why))?;
    let file = File::open(path).map_err(|error| Failure::io(format_args!("cannot read {}", path.display()), &error))?;
    Saved::read(format, file)
        .map_err(|why| Failure::new(Exit::BadConfiguration, format_args!("{}: {why}", path.display())))
}

/// Writes a capture, in the place of an older one once it is whole.
fn save(saved: &Saved, path: &Path) -> Result<(), Failure> {
    let format = Format::of(path).map_err(|why| Failure::new(Exit::Usage, why))?;
    let fresh = FreshFile::begin(path, true)?;
    let mut file = BufWriter::new(fresh.file()?);
    let written = saved.write(format, &mut file).and_then(|()| file.flush());
    written.map_err(|error| Failure::io(format_args!("cannot write {}", path.display()), &error))?;
    fresh.keep()
}

fn duration(text: &str) -> Result<Duration, String> {
    let span = rt_config::duration(text).map_err(|why| format!("{why}: write 10s, 500ms or the like"))?;
    if span.as_ns() == 0 {
        Err("it must be longer than nothing".to_owned())
    } else {
        Ok(Duration::from_nanos(span.as_ns()))
    }
}

/// A time per division, with or without `/div` behind it.
fn time_base(text: &str) -> Result<Duration, String> {
    duration(text.strip_suffix("/div").unwrap_or(text))
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a number from 0 to 1".to_owned())
}

fn capture_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    Format::of(&path).map(|_| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        scope: ScopeArguments,
    }

    fn parsed(words: &str) -> Result<ScopeArguments, String> {
        let words = std::iter::once("scope").chain(words.split('|').filter(|word| !word.is_empty()));
        Line::try_parse_from(words).map(|line| line.scope).map_err(|error| error.to_string())
    }

    #[test]
    fn a_time_base_is_a_tenth_of_a_sweep_and_long_enough_for_slow_plants() {
        let names = Names::for_tests(&[("level", "")], &[]);
        let span = |words: &str, period_ns| parsed(words).unwrap().setup(&names, period_ns).timing.span_ns;
        assert_eq!(span("--timebase|5ms/div", 1_000_000), 50_000_000);
        assert_eq!(span("--timebase|00:00:02", 1_000_000), 20_000_000_000);
        assert_eq!((span("", 1_000_000), span("", 1_000_000_000)), (1_000_000_000, 100_000_000_000));
    }

    #[test]
    fn what_is_wrong_on_the_command_line_is_told_with_what_to_write() {
        for (words, why) in [
            ("--trigger|level high", "write none | CHANNEL rising"),
            ("--pre|1.5", "a number from 0 to 1"),
            ("--timebase|fast", "500ms or the like"),
            ("--timebase|0s", "longer than nothing"),
            ("--save|hold.txt", "ends in .csv or .mcap"),
            ("--single|--continuous", "cannot be used with"),
            ("--headless|--continuous", "cannot be used with"),
            ("--for|3s", "--headless"),
            ("level|--load|a.csv", "cannot be used with"),
        ] {
            let message = parsed(words).unwrap_err();
            assert!(message.contains(why), "{words}: {message}");
        }
    }
}
