//! One thing over time, whichever run it was kept of.

use std::collections::BTreeMap;

use archive::{HOLDS_NS, Point, RunId, RunInfo, Timed, TrackInfo, TrackKind};
use footage::words::{goal_not_met, limit_names, mode_name, quality_name, reply_name, withheld_name, zone_name};
use recall::Past;
use rt_core::record::Reply;
use shm_layout::CycleHead;

use super::Where;
use super::time::Zone;
use crate::failure::{Exit, Failure};

/// A tag, a part of a setpoint, or something of an agent as a whole.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) agent: String,
    /// As people ask for it.
    pub(super) address: String,
    pub(super) unit: String,
    pub(super) kind: TrackKind,
    tracks: Vec<TrackInfo>,
    /// Up to when each of their runs is kept: a run that has ended holds no values.
    ends: BTreeMap<RunId, u64>,
}

/// A run whose newest record is not older than this may go on: a historian commits every second.
pub(super) const LATE_NS: u64 = 5_000_000_000;

impl Series {
    /// Everything that was kept of the agents that are asked for.
    pub(super) fn all(past: &dyn Past, of: &Where) -> Result<Vec<Self>, Failure> {
        let mut all: Vec<Self> = Vec::new();
        let ends: BTreeMap<RunId, u64> =
            past.runs()?.into_iter().filter_map(|run| Some((run.id, run.times_ns?.1))).collect();
        for track in past.tracks()?.into_iter().filter(|track| of.is_of(&track.agent)) {
            let (address, kind) = (track.name.address(), track.name.kind);
            let known = all
                .iter_mut()
                .find(|known| known.agent == track.agent && known.address == address && known.kind == kind);
            match known {
                Some(known) => {
                    // The newest run says what unit it is.
                    known.unit.clone_from(&track.name.unit);
                    known.ends.extend(ends.get_key_value(&track.run));
                    known.tracks.push(track);
                }
                None => all.push(Self {
                    ends: ends.get_key_value(&track.run).into_iter().map(|(run, end)| (*run, *end)).collect(),
                    agent: track.agent.clone(),
                    address,
                    unit: track.name.unit.clone(),
                    kind,
                    tracks: vec![track],
                }),
            }
        }
        if all.is_empty() {
            let whose = of.agent.as_ref().map_or_else(String::new, |agent| format!(" of {agent}"));
            return Err(Failure::new(Exit::Unavailable, format!("nothing{whose} is kept there")));
        }
        Ok(all)
    }

    /// Those of these names, in their order, of every agent that has them.
    pub(super) fn named(past: &dyn Past, of: &Where, names: &[String]) -> Result<Vec<Self>, Failure> {
        let all = Self::all(past, of)?;
        let mut found = Vec::new();
        for name in names {
            let before = found.len();
            found.extend(all.iter().filter(|series| series.address == *name).cloned());
            if found.len() == before {
                return Err(Failure::new(Exit::Usage, unknown(name, &all)));
            }
        }
        Ok(found)
    }

    /// Its points between two times, in their order.
    pub(super) fn between(&self, past: &dyn Past, from_ns: u64, to_ns: u64) -> Result<Vec<Timed>, Failure> {
        let mut points = Vec::new();
        for track in &self.tracks {
            points.extend(past.between(track, from_ns, to_ns)?);
        }
        // Runs follow each other, unless two of them hold the lease in turn.
        points.sort_by_key(|timed| timed.unix_ns);
        Ok(points)
    }

    /// The points that hold somewhere between two times, in their order, each with the time up to which it does, unless another one
    /// comes: nobody is believed for longer than two heartbeats, or when its run had ended.
    pub(super) fn held(&self, past: &dyn Past, from_ns: u64, to_ns: u64) -> Result<Vec<(Timed, u64)>, Failure> {
        let mut held = Vec::new();
        for track in &self.tracks {
            let end = self.ends.get(&track.run).map_or(0, |end| end.saturating_add(LATE_NS));
            let points = past.between(track, from_ns.saturating_sub(HOLDS_NS), to_ns)?;
            held.extend(points.into_iter().map(|timed| (timed, timed.unix_ns.saturating_add(HOLDS_NS).min(end))));
        }
        held.sort_by_key(|(timed, _)| timed.unix_ns);
        Ok(held)
    }

    /// The point that holds at a time.
    pub(super) fn at(&self, past: &dyn Past, unix_ns: u64) -> Result<Option<Timed>, Failure> {
        let last = self.held(past, unix_ns, unix_ns)?.pop();
        Ok(last.filter(|(_, until)| unix_ns <= *until).map(|(timed, _)| timed))
    }

    /// Of each run that has it, those of older runs first.
    pub(super) fn tracks(&self) -> &[TrackInfo] {
        &self.tracks
    }

    /// The tag or setpoint that it says something of.
    pub(super) fn subject(&self) -> &str {
        self.address.rsplit_once('.').map_or(self.address.as_str(), |(subject, _)| subject)
    }

    /// Its name with its unit.
    pub(super) fn heading(&self) -> String {
        if self.unit.is_empty() { self.address.clone() } else { format!("{} [{}]", self.address, self.unit) }
    }

    /// What is known beside a value, in words.
    pub(super) fn state(&self, point: &Point) -> String {
        match self.kind {
            TrackKind::Tag => quality_name(u8::try_from(point.state).unwrap_or(u8::MAX)).to_owned(),
            TrackKind::Sent => limit_names(point.state).collect::<Vec<_>>().join(" "),
            TrackKind::Written => written(point.state),
            TrackKind::Mode => mode(point),
            TrackKind::Zone => zone_name(point.state).unwrap_or_default().to_owned(),
            TrackKind::Reward => goal(point.state),
            _ => String::new(),
        }
    }
}

/// From when to when something is kept, for people; empty when nothing is.
pub(super) fn kept_span(past: &dyn Past, of: &Where, zone: &Zone) -> Result<String, Failure> {
    let runs = past.runs()?;
    let times = RunInfo::times_of(runs.iter().filter(|run| of.is_of(&run.agent)));
    Ok(times.map_or_else(String::new, |(from, to)| {
        format!("; what is kept lies between {} and {}", zone.tell(from), zone.tell(to))
    }))
}

/// Why nothing is written, if nothing is; and what the plant answered, if it did not take it.
fn written(state: u32) -> String {
    let withheld = withheld_name(state & ((1 << TrackKind::REPLY_SHIFT) - 1)).map(|why| format!("not written: {why}"));
    let refused =
        Some(state >> TrackKind::REPLY_SHIFT).filter(|reply| *reply == Reply::Refused as u32).and_then(reply_name);
    withheld.into_iter().chain(refused.map(str::to_owned)).collect::<Vec<_>>().join(", ").replace('_', " ")
}

/// Which goal was not met, if one was not.
fn goal(state: u32) -> String {
    if state == 0 { String::new() } else { goal_not_met(state) }
}

fn mode(point: &Point) -> String {
    let flags = [(CycleHead::ARMED, " armed"), (CycleHead::LATCHED, " latched")];
    let told = flags.iter().filter(|(flag, _)| point.state & u32::from(*flag) != 0).map(|(_, word)| *word);
    mode_name(point.value as u8).to_owned() + &told.collect::<String>()
}

fn unknown(name: &str, all: &[Series]) -> String {
    let mut text = format!("nothing is kept under the name {name}");
    let known = || all.iter().map(|series| series.address.as_str());
    let mut near: Vec<_> = known().filter(|known| is_near(known, name)).collect();
    if near.is_empty() {
        near.extend(rt_config::nearest(name, known()));
    }
    if !near.is_empty() {
        text += &format!("; what comes near is {}", near.join(", "));
    }
    text + "; `corerl data tags` lists what there is"
}

/// The same letters, or a part of the other one.
fn is_near(known: &str, name: &str) -> bool {
    let [known, name] = [known, name].map(str::to_lowercase);
    known.contains(&name) || name.contains(&known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_was_too_old_is_called_stale_as_in_exports() {
        assert_eq!(TrackKind::STALE, u32::from(footage::words::STALE));
    }
}
