//! Options that the benchmarks share, named as cyclictest's users know them, and what they resolve to.

use std::path::{Path, PathBuf};

use clap::Args;
use rt_core::pacing::{Spin, usual_phase};
use rt_core::time::{Period, Span};
use rt_sys::{Cpus, MonotonicClock};

use super::contestant::{Contestant, Seat};
use super::site;
use crate::failure::{Exit, Failure};
use crate::output::span;
use crate::run::load_site;

/// The interval that cyclictest uses, too.
const INTERVAL_US_DEFAULT: u64 = 1000;
/// The longest run: what was measured over days belongs into the runtime's own histograms.
const DURATION_MAX: Span = Span::from_ms(7 * 24 * 3600 * 1000);

#[derive(Debug, Args)]
pub(super) struct LoopOptions {
    /// Time between two releases, microseconds [default: 1000].
    #[arg(short, long, value_name = "US", value_parser = clap::value_parser!(u64).range(50..=1_000_000))]
    interval: Option<u64>,
    /// SCHED_FIFO priority of the loop; without the privilege it runs as an ordinary thread, and says `degraded`.
    #[arg(short, long, value_name = "PRIO", default_value_t = 80, value_parser = clap::value_parser!(u8).range(3..=98))]
    priority: u8,
    /// The loop's CPU [default: the one that `corerl-rt` would choose].
    #[arg(short, long, value_name = "CPU")]
    affinity: Option<usize>,
    /// Spin before each slot: `off`, `auto`, or for how long, such as 50us.
    #[arg(long, value_name = "MARGIN", default_value = "auto", value_parser = margin)]
    spin: Spin,
    /// The slots lie this far behind the multiples of the interval since boot [default: as the runtime's, away from the
    /// kernel's tick].
    #[arg(long, value_name = "TIME", value_parser = rt_config::duration)]
    phase: Option<Span>,
    /// The site whose cycle is the loop's body; its period is the interval [default: 58 tags, of which 8 are setpoints].
    #[arg(long, value_name = "FILE", conflicts_with = "interval")]
    config: Option<PathBuf>,
    /// Measure the waiting alone, without a body.
    #[arg(long, conflicts_with = "config")]
    bare: bool,
}

/// What is to be measured, and where.
pub(super) struct Plan {
    pub(super) contestant: Contestant,
    pub(super) period: Period,
    pub(super) seat: Seat,
}

impl LoopOptions {
    pub(super) fn plan(&self) -> Result<Plan, Failure> {
        let interval = Span::from_ns(self.interval.unwrap_or(INTERVAL_US_DEFAULT) * 1000);
        let site = match &self.config {
            _ if self.bare => None,
            Some(path) => Some(load_site(path)?),
            None => Some(site::of_the_goals(interval)?),
        };
        let period = site.as_ref().map_or_else(|| Period::from_ns(interval.as_ns()), |site| Some(site.runtime.period));
        let period = period.ok_or_else(|| Failure::new(Exit::Internal, "an interval of zero"))?;
        let longest = Spin::longest(period);
        if let Spin::Margin(margin) = self.spin
            && margin > longest
        {
            let longest = span(longest.as_ns());
            let message = format!("--spin: at most a quarter of the interval, here {longest}, leaves others their CPU");
            return Err(Failure::new(Exit::BadConfiguration, message));
        }
        let cpu = Cpus::allowed().placement(self.affinity, None).control;
        let of_the_site = site.as_ref().map_or_else(|| usual_phase(period), |site| site.runtime.phase);
        let phase = self.phase.unwrap_or(of_the_site);
        if phase >= period.span() {
            return Err(Failure::new(Exit::BadConfiguration, "--phase: write less than the interval"));
        }
        let seat = Seat { cpu, priority: self.priority, phase, spin: self.spin };
        Ok(Plan { contestant: Contestant::ours(site), period, seat })
    }
}

impl Plan {
    /// The loop writes cycle records.
    pub(super) fn has_shared_memory(&self) -> bool {
        matches!(self.contestant, Contestant::Real(_))
    }

    /// What the loop does, in a few words.
    pub(super) fn body(&self) -> String {
        match &self.contestant {
            Contestant::Real(site) => {
                format!("the cycle of {}: {} tags, {} setpoints", site.name, site.tags.len(), site.setpoints.len())
            }
            _ => "no body".to_owned(),
        }
    }
}

/// A length of time as cyclictest takes it, seconds or with m, h, d; or with any unit of a site file.
pub(super) fn duration(text: &str) -> Result<Span, String> {
    let in_seconds = text.chars().all(|c| c.is_ascii_digit()).then(|| format!("{text}s"));
    let in_minutes = text.strip_suffix('m').map(|minutes| format!("{minutes}min"));
    let span = rt_config::duration(&in_seconds.or(in_minutes).unwrap_or_else(|| text.to_owned()))?;
    if span > Span::ZERO && span <= DURATION_MAX { Ok(span) } else { Err("write 1s to 7d".to_owned()) }
}

fn margin(text: &str) -> Result<Spin, String> {
    match text {
        "off" => Ok(Spin::Off),
        "auto" => Ok(Spin::Auto),
        length => rt_config::duration(length).map(Spin::Margin),
    }
}

/// A file for a result.
pub(super) fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::io(format_args!("cannot write {}", path.display()), &error))
}

/// The CPUs stay out of deep sleep as long as this lives, for every contestant alike: cyclictest asks for the same.
pub(super) fn keep_cpus_awake() -> Option<rt_sys::CpusAwake> {
    rt_sys::CpusAwake::hold().inspect_err(|error| eprintln!("note: the CPUs may sleep deeply: {error}")).ok()
}

/// Waits on the calling thread; nothing here has a deadline.
pub(super) fn pause(clock: &MonotonicClock, span: Span) {
    use rt_core::ports::Clock;
    clock.sleep_until(clock.now() + span);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_cyclictests_or_a_site_files() {
        let seconds = |text| duration(text).map(|span| span.as_seconds());
        assert_eq!(seconds("30"), Ok(30.0));
        assert_eq!(seconds("2m"), Ok(120.0));
        assert_eq!(seconds("1h"), Ok(3600.0));
        assert_eq!(seconds("1.5s"), Ok(1.5));
        assert!(duration("0").is_err() && duration("8d").is_err() && duration("soon").is_err());
    }

    #[test]
    fn a_margin_is_a_word_or_a_duration() {
        assert_eq!(margin("off"), Ok(Spin::Off));
        assert_eq!(margin("50us"), Ok(Spin::Margin(Span::from_ns(50_000))));
        assert!(margin("on").is_err());
    }
}
