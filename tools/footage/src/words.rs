//! Numbers of records in words.

use rt_core::envelope::{Acted, Withheld};
use rt_core::mode::Mode;
use rt_core::record::Reply;
use rt_core::tag::Quality;
use shm_layout::{CycleHead, EventKind, EventRecord, TagPart};

use crate::legend::Legend;

/// A mode's name; `unknown` for a number of another version.
pub fn mode_name(number: u8) -> &'static str {
    Mode::from_number(number).map_or("unknown", Mode::name)
}

/// Behind the numbers of qualities: of a tag that was older than it may be, whatever its quality.
pub const STALE: u8 = 3;

/// A quality's name.
pub fn quality_name(number: u8) -> &'static str {
    const NAMES: [(u8, &str); 4] = [
        (Quality::Good as u8, "good"),
        (Quality::Uncertain as u8, "uncertain"),
        (Quality::Bad as u8, "bad"),
        (STALE, "stale"),
    ];
    NAMES.iter().find(|(quality, _)| *quality == number).map_or("unknown", |(_, name)| name)
}

/// How far a tag could be trusted, with a number of its own for one that was older than it may be.
pub fn tag_quality(part: &TagPart) -> (u8, &'static str) {
    let number = if part.is_stale() { STALE } else { part.quality };
    (number, quality_name(number))
}

/// The limits that changed a value.
pub fn limit_names(acted: u32) -> impl Iterator<Item = &'static str> {
    Acted::NAMES.into_iter().filter(move |(limit, _)| acted & u32::from(limit.bits()) != 0).map(|(_, name)| name)
}

/// Why nothing was written; `None` when something was.
pub fn withheld_name(state: u32) -> Option<&'static str> {
    Withheld::from_number(state).map(Withheld::name)
}

/// What the plant answered last to a write; `None` before its first answer on a connection.
pub fn reply_name(reply: u32) -> Option<&'static str> {
    Reply::from_number(reply).map(Reply::name)
}

/// The zone that decided a reward; `None` when none did.
pub fn zone_name(zone: u32) -> Option<&'static str> {
    const NAMES: [(u8, &str); 2] = [(CycleHead::YELLOW, "yellow"), (CycleHead::RED, "red")];
    NAMES.iter().find(|(number, _)| u32::from(*number) == zone).map(|(_, name)| *name)
}

/// What decided a reward besides its expression: the first goal that was not met, and the zone that a tag lay in.
pub fn because<'a>(head: &CycleHead, tag_name: impl Fn(usize) -> &'a str) -> Vec<String> {
    let goal = (head.goal != 0).then(|| goal_not_met(head.goal.into()));
    let zone = zone_name(head.zone.into()).map(|zone| in_zone(tag_name(head.zone_tag.into()), zone, head.zone_depth));
    goal.into_iter().chain(zone).collect()
}

/// The first goal that was not met, counted from 1.
pub fn goal_not_met(goal: u32) -> String {
    format!("goal {goal} not met")
}

/// How deep a tag lay in a zone.
pub fn in_zone(tag: &str, zone: &str, depth: f64) -> String {
    format!("{tag} in {zone}, {:.0} % of it", (100.0 * depth).clamp(1.0, 100.0))
}

/// The kind of event that is called so, here or as tables print it.
///
/// # Errors
/// There is none; a sentence with those that there are.
pub fn event_named(name: &str) -> Result<EventKind, String> {
    let folded = name.to_lowercase().replace([' ', '-'], "_");
    EventKind::from_name(&folded).ok_or_else(|| {
        let known = || EventKind::ALL.iter().map(|kind| kind.name());
        let near =
            rt_config::nearest(&folded, known()).map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
        format!("there is no event `{name}`{near}; there are {}", known().collect::<Vec<_>>().join(", "))
    })
}

/// What happened, as one would tell it: with the names of what it is about.
pub fn told(event: &EventRecord, legend: &Legend) -> String {
    let what = event.kind().map_or("unknown event", EventKind::name).replace('_', " ");
    let text = match (event.kind(), subject(event, legend)) {
        // The one with a status says more.
        (Some(EventKind::SetpointRejected), _) if event.b == 0 => names(event.a, legend),
        (_, Some(name)) => name.to_owned(),
        (_, None) => event.text().to_owned(),
    };
    match (event.kind(), text.is_empty()) {
        (_, true) => what,
        (Some(EventKind::Alarm), false) => format!("alarm {}: {text}", if event.b == 1 { "raised" } else { "cleared" }),
        (_, false) => format!("{what}: {text}"),
    }
}

/// The setpoints of these bits, by their names.
fn names(bits: u64, legend: &Legend) -> String {
    let named =
        legend.setpoints.iter().take(u64::BITS as usize).enumerate().filter(|(place, _)| bits >> place & 1 == 1);
    named.map(|(_, setpoint)| setpoint.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The tag, setpoint or alarm that an event is about.
fn subject<'a>(event: &EventRecord, legend: &'a Legend) -> Option<&'a str> {
    let index = usize::try_from(event.a).ok()?;
    match event.kind()? {
        EventKind::TagBad | EventKind::TagGood => legend.tags.get(index).map(|tag| tag.name.as_str()),
        EventKind::OperatorTook
        | EventKind::OperatorReturned
        | EventKind::ReadBackMismatch
        | EventKind::SetpointUnknown => legend.setpoints.get(index).map(|setpoint| setpoint.name.as_str()),
        EventKind::Alarm => legend.alarms.get(index).map(String::as_str),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::legend::SetpointLegend;

    #[test]
    fn setpoints_that_were_refused_are_called_by_their_names_and_the_plants_answer_is_told() {
        let (_directory, path) = crate::staged::Staged::new().closed().file();
        let mut legend = crate::Footage::open(&path).unwrap().legend().clone();
        let second = SetpointLegend { name: "ACID_SP".to_owned(), ..legend.setpoints[0].clone() };
        legend.setpoints.push(second);
        let mut event = EventRecord::new(EventKind::SetpointRejected, 1, 1);
        event.set_text("setpoints 0b11");
        for (bits, names) in [(0b1, "FEED_SP"), (0b10, "ACID_SP"), (0b11, "FEED_SP, ACID_SP"), (0b100, "")] {
            event.a = bits;
            assert_eq!(told(&event, &legend), format!("setpoint rejected: {names}").trim_end_matches(": "));
        }
        (event.a, event.b) = (0b1, 0x801f_0000);
        event.set_text("FEED_SP: BadUserAccessDenied for 9.5");
        assert_eq!(told(&event, &legend), "setpoint rejected: FEED_SP: BadUserAccessDenied for 9.5");
    }
}
