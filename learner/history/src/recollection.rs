//! What a historian has kept of a site's agent, observed again.

use archive::TrackKind;
use recall::Past;
use rt_config::Site;

use crate::kept::{Rows, Wanted};
use crate::observation::Observation;
use crate::observer::Observer;
use crate::source::SourceError;

/// So many rows are gone through at a time.
const PART_ROWS: u64 = 4096;

/// The past of a site's agent, run by run, from an old observation to the newest.
#[derive(Debug)]
pub struct Recollection {
    past: Box<dyn Past>,
    agent: String,
    columns: Vec<String>,
    every_ns: u64,
    /// From when to when something is kept that has not been gone through; the first one last.
    runs: Vec<(u64, u64)>,
    rows: u64,
    done: u64,
    observer: Option<Observer>,
}

impl Recollection {
    /// What was kept of the site's agent: the newest `most` observations.
    ///
    /// # Errors
    /// It cannot be read, nothing of this agent is in it, or not what the site needs.
    pub fn of(site: &Site, past: Box<dyn Past>, most: u64) -> Result<Self, SourceError> {
        let agent = archive::label(&site.name, &site.agent_name, &site.instance);
        let every_ns = site.interaction.obs_period.as_ns().max(1);
        let kept = past.runs()?.into_iter().filter(|run| run.agent == agent).filter_map(|run| run.times_ns);
        let runs = newest(kept.collect(), every_ns.saturating_mul(most));
        if runs.is_empty() {
            return Err(SourceError::NobodyKept(agent));
        }
        let mut names = Vec::new();
        for track in past.tracks()?.into_iter().filter(|track| track.agent == agent) {
            if track.name.kind == TrackKind::Tag && !names.contains(&track.name.name) {
                names.push(track.name.name);
            }
        }
        let observer = Observer::new(site, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let rows = runs.iter().map(|(from, to)| (to - from) / every_ns + 1).sum();
        Ok(Self { past, agent, columns: names, every_ns, runs, rows, done: 0, observer: Some(observer) })
    }

    /// Observes the next part; whether there may be more.
    ///
    /// # Errors
    /// What was kept cannot be read.
    pub fn go_on(&mut self, mut take: impl FnMut(&Observation)) -> Result<bool, SourceError> {
        let (Some((from, to)), Some(observer)) = (self.runs.pop(), &mut self.observer) else {
            self.observer.take().into_iter().for_each(|observer| observer.end(&mut take));
            return Ok(false);
        };
        let last = to.min(from.saturating_add((PART_ROWS - 1).saturating_mul(self.every_ns)));
        let wanted =
            Wanted { agent: &self.agent, times_ns: (from, last), every_ns: self.every_ns, columns: &self.columns };
        observer.go_on(&Rows::begin(&*self.past, &wanted)?.rest()?, take);
        self.done += (last - from) / self.every_ns + 1;
        if let Some(next) = last.checked_add(self.every_ns).filter(|next| *next <= to) {
            self.runs.push((next, to));
        }
        Ok(true)
    }

    /// Rows that were gone through, and all of them.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.done, self.rows)
    }
}

/// The last so many nanoseconds of these runs, the first one last; what two of them have in common belongs to the later one.
fn newest(mut runs: Vec<(u64, u64)>, span_ns: u64) -> Vec<(u64, u64)> {
    runs.sort_unstable();
    let (mut chosen, mut left, mut before) = (Vec::new(), span_ns, u64::MAX);
    for (from, to) in runs.into_iter().rev() {
        let to = to.min(before.saturating_sub(1));
        if left == 0 || from > to {
            continue;
        }
        let from = from.max(to.saturating_sub(left));
        left -= to - from;
        before = from;
        chosen.push((from, to));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_past_the_newest_part_is_gone_through() {
        let runs = vec![(100, 200), (0, 50), (300, 330)];
        assert_eq!(newest(runs.clone(), 1_000), [(300, 330), (100, 200), (0, 50)]);
        assert_eq!(newest(runs.clone(), 60), [(300, 330), (170, 200)]);
        assert_eq!(newest(runs, 0), []);
        assert_eq!(newest(vec![(0, 100), (50, 80), (90, 120)], 1_000), [(90, 120), (50, 80), (0, 49)]);
    }
}
