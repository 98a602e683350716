//! Tags that a server tells by itself.

use rt_core::tag::TagId;
use rt_core::time::Span;

use super::connections::Connections;
use super::tags::Tags;
use super::{given_or, positive, written};
use crate::complaint::{Complaints, Place, quoted};
use crate::form::{At, Field};
use crate::form_special::TagChoice;
use crate::raw::{SiteFile, Subscribe as RawSubscribe};
use crate::site::{Subscribe, Tag, TagKind};

/// A tag of which nothing is heard is read twice before it is stale.
const WATCHES_IN_STALE: u64 = 2;

/// Adds to each connection what its server tells by itself.
pub(crate) fn resolve(raw: &SiteFile, tags: &Tags<'_>, connections: &mut Connections, complaints: &mut Complaints<'_>) {
    let io = raw.runtime.value.as_ref().and_then(|runtime| runtime.io.value.as_ref());
    for (name, io) in io.into_iter().flat_map(|io| &io.0) {
        let place = connections.names.iter().position(|known| *known == name.value);
        let (Some(index), Some(raw)) = (place, io.subscribe.value.as_ref()) else { continue };
        let subscribe = self::subscribe(raw, tags, (index, connections), complaints);
        connections.set_subscribe(index, subscribe);
    }
}

fn subscribe(
    raw: &RawSubscribe,
    tags: &Tags<'_>,
    (index, connections): (usize, &Connections),
    complaints: &mut Complaints<'_>,
) -> Option<Subscribe> {
    let io_period = connections.periods.get(index).copied().flatten();
    let every = if raw.every.given { positive(&raw.every, complaints) } else { io_period };
    if let (Some(every), Some(io_period)) = (every, io_period)
        && every < io_period
    {
        let message =
            format!("{} is shorter than the I/O period, in which it is looked at what was told", written(every));
        complaints.error(raw.every.at, message, format!("write {} or more", written(io_period)));
    }
    let chosen = chosen(raw.tags.value.as_ref()?, tags, (index, connections), complaints);
    if chosen.is_empty() && matches!(raw.tags.value, Some(TagChoice::All)) {
        let help = "take `subscribe` out, or name the connection that the tags come from";
        complaints.error(raw.tags.at, "this connection has no tag but setpoints, which are read in any case", help);
    }
    let watch =
        chosen.into_iter().filter_map(|(tag, at)| Some((tag, watch(&raw.watchdog, (tags, tag, at), complaints)?)));
    let watch = watch.collect();
    Some(Subscribe { every: every?, watch })
}

/// The tags that are meant, each with the place where it is complained of.
fn chosen(
    choice: &TagChoice,
    tags: &Tags<'_>,
    (connection, connections): (usize, &Connections),
    complaints: &mut Complaints<'_>,
) -> Vec<(TagId, Option<Place>)> {
    let comes_from_here = |tag: &Tag| tag.source.as_ref().is_some_and(|source| source.connection == connection);
    let TagChoice::Named(names) = choice else {
        let suits =
            |index: &usize| tags.get(*index).is_some_and(|tag| comes_from_here(tag) && tag.kind != TagKind::Setpoint);
        return (0..tags.names.len()).filter(suits).filter_map(|index| Some((TagId::new(index)?, None))).collect();
    };
    let mut chosen: Vec<(TagId, Option<Place>)> = Vec::new();
    for At { value: name, at } in names {
        let Some(id) = tags.find(name, *at, complaints) else { continue };
        // What is wrong with the tag itself has been complained of.
        let Some(tag) = tags.get(id.index()) else { continue };
        if tag.kind == TagKind::Setpoint {
            let message = format!("{} is a setpoint: it is read back in every I/O period", quoted(name));
            complaints.error(*at, message, "take it out of the list");
        } else if !comes_from_here(tag) {
            let here = connections.names.get(connection).map_or("", String::as_str);
            let message = format!("{} does not come from the connection {}", quoted(name), quoted(here));
            complaints.error(*at, message, "take it out of the list");
        } else if chosen.iter().any(|(known, _)| *known == id) {
            complaints.error(*at, format!("{} is named twice", quoted(name)), "name every tag once");
        } else {
            chosen.push((id, Some(*at)));
        }
    }
    chosen
}

/// How long nothing may be heard of a tag before it is read.
fn watch(
    field: &Field<Span>,
    (tags, tag, at): (&Tags<'_>, TagId, Option<Place>),
    complaints: &mut Complaints<'_>,
) -> Option<Span> {
    let stale_after = tags.get(tag.index())?.settings.stale_after;
    let longest = Span::from_ns(stale_after.as_ns() / WATCHES_IN_STALE);
    let watch = given_or(field, Some(longest))?;
    if watch > longest || watch == Span::ZERO {
        let name = tags.names.get(tag.index()).map_or("", String::as_str);
        let message = format!("{} would be stale after {} and is not read in time", quoted(name), written(stale_after));
        complaints.error(at.unwrap_or(field.at), message, format!("write a watchdog of at most {}", written(longest)));
        return None;
    }
    Some(watch)
}
