//! A day that every test knows.

use rt_core::ports::Command;
use rt_core::time::Span;

use super::server::{Fate, Malady, Weather};
use super::world::Circumstances;

/// An outage, a slow server, a doubtful sensor, a write of unknown outcome and late wake-ups, again in every thousand
/// cycles of `period`; the runtime is armed at the beginning.
pub fn tour(cycle: u64, period: Span) -> Circumstances {
    let well = Weather::default();
    let weather = match cycle % 1000 {
        300..400 => Weather { gone: true, ..well },
        600..610 => Weather { slow: period.times(3), ..well },
        700..720 => Weather { sensors: vec![(1, Malady::Uncertain)], ..well },
        800 => Weather { writes: Fate::Unconfirmed, ..well },
        _ => well,
    };
    let late = if cycle % 97 == 96 { Span::from_ns(period.as_ns() * 5 / 2) } else { Span::ZERO };
    let commands = if cycle == 0 { vec![Command::Lease(true), Command::Arm] } else { Vec::new() };
    Circumstances { weather, late, commands, ..Circumstances::default() }
}
