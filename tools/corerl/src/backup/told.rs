//! What every command here tells alike: files by their class, times, and how they lie to what is allowed.

use std::io::IsTerminal as _;
use std::io::Read;
use std::time::Duration;

use backup::{About, Manifest, Newest};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde::Serialize;
use tables::utc;

/// After a loss, everything is to be there again within this time.
pub(super) const RESTORE_ALLOWED: Duration = Duration::from_secs(4 * 3600);
/// And what is lost with it is no more than what came in this time.
pub(super) const LOSS_ALLOWED: Duration = Duration::from_secs(3600);

/// Files of one class.
#[derive(Debug, Serialize)]
pub(super) struct OfClass {
    class: backup::Class,
    files: u64,
    bytes: u64,
}

pub(super) fn by_class(manifest: &Manifest) -> Vec<OfClass> {
    let of = |(class, files, bytes)| OfClass { class, files, bytes };
    manifest.by_class().into_iter().map(of).collect()
}

pub(super) fn class_rows(classes: &[OfClass]) -> Vec<[String; 2]> {
    let row = |of: &OfClass| [of.class.plural().to_owned(), format!("{}, {}", counted(of.files), HumanBytes(of.bytes))];
    classes.iter().map(row).collect()
}

fn counted(files: u64) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

/// The newest record of an agent.
#[derive(Debug, Serialize)]
pub(super) struct NewestTold {
    agent: String,
    cycle: u64,
    time: String,
    /// Before the backup was begun.
    seconds_before_backup: f64,
    /// Before now: what is lost, if everything but this backup is.
    seconds_ago: f64,
    within_allowed: bool,
}

impl NewestTold {
    pub(super) fn of(about: &About, now_unix_ns: u64) -> Vec<Self> {
        about.newest.iter().map(|newest| Self::one(newest, about, now_unix_ns)).collect()
    }

    fn one(newest: &Newest, about: &About, now_unix_ns: u64) -> Self {
        let Newest { agent, cycle, unix_ns } = newest;
        let seconds_before = |ns: u64| ns.saturating_sub(*unix_ns) as f64 / 1e9;
        let seconds_ago = seconds_before(now_unix_ns);
        Self {
            agent: agent.clone(),
            cycle: *cycle,
            time: utc(*unix_ns),
            seconds_before_backup: seconds_before(about.begun_unix_ns),
            seconds_ago,
            within_allowed: seconds_ago <= LOSS_ALLOWED.as_secs_f64(),
        }
    }

    pub(super) fn row(&self) -> [String; 2] {
        let more = if self.within_allowed { "within" } else { "MORE than" };
        let text = format!(
            "cycle {} at {}, {} before the backup; {} ago, {more} the {} that may be lost",
            self.cycle,
            self.time,
            span(self.seconds_before_backup),
            span(self.seconds_ago),
            span(LOSS_ALLOWED.as_secs_f64()),
        );
        [format!("newest of {}", self.agent), text]
    }
}

/// How long restoring took, beside what it may take.
pub(super) fn restore_row(took: Duration) -> [String; 2] {
    let more = if took <= RESTORE_ALLOWED { "within" } else { "MORE than" };
    let text =
        format!("{}, {more} the {} that it may take", span(took.as_secs_f64()), span(RESTORE_ALLOWED.as_secs_f64()));
    ["restored in".to_owned(), text]
}

/// A span of seconds for people.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.1} s"),
        120.0..7200.0 => format!("{:.0} min", seconds / 60.0),
        7200.0..172_800.0 => format!("{:.0} h", seconds / 3600.0),
        _ => format!("{:.0} days", seconds / 86_400.0),
    }
}

/// How far it has come, on a terminal; nothing elsewhere.
pub(super) fn bar(what: &'static str, bytes: u64) -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(bytes) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{msg} {bar:40} {bytes} of {total_bytes}, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(what)
}

/// Bytes that move a bar while they are read.
pub(super) struct Watched<'a> {
    pub(super) from: Box<dyn Read>,
    pub(super) bar: &'a ProgressBar,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(into)?;
        self.bar.inc(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_unit_that_suits_them() {
        assert_eq!(
            [0.04, 119.9, 3600.0, 14_400.0, 864_000.0].map(span),
            ["0.0 s", "119.9 s", "60 min", "4 h", "10 days"]
        );
    }

    #[test]
    fn what_is_lost_is_counted_from_the_newest_record_to_now() {
        let newest = Newest { agent: "works/ph".into(), cycle: 7, unix_ns: 1_000_000_000 };
        let about = About::new("test".into(), "works".into(), 6_000_000_000, vec![newest]);
        let told = |now_s: u64| NewestTold::of(&about, now_s * 1_000_000_000).remove(0);
        assert_eq!((told(3601).seconds_before_backup, told(3601).seconds_ago), (5.0, 3600.0));
        assert!(told(3601).within_allowed && !told(3602).within_allowed);
        assert!(told(3602).row()[1].contains("MORE than the 60 min"), "{:?}", told(3602).row());
    }
}
