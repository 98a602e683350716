//! Seasonal tags: each is two, which together say where on its circle the plant's time is.

use std::borrow::Cow;

use super::super::Context;
use super::{complain_of_setpoint_keys, complain_of_source, settings};
use crate::complaint::Complaints;
use crate::form::At;
use crate::raw::{Tag as RawTag, TagType};
use crate::raw_stages::SeasonName;
use crate::site::{Imputer, ImputerRule, Range, Season, SeasonPart, Tag, TagKind};

/// What a coordinate of the circle can be.
const UNIT: Range = Range { lo: 0.0, hi: 1.0 };

/// The tags with both parts of each seasonal one, `NAME.sin` and `NAME.cos`, and which part each is.
pub(super) fn in_parts(written: &[At<RawTag>]) -> (Cow<'_, [At<RawTag>]>, Vec<Option<SeasonPart>>) {
    let seasonal = |tag: &At<RawTag>| tag.value.r#type.value == Some(TagType::Seasonal);
    if !written.iter().any(seasonal) {
        return (Cow::Borrowed(written), vec![None; written.len()]);
    }
    let mut tags = Vec::with_capacity(written.len() + 1);
    for tag in written {
        if !seasonal(tag) {
            tags.push((tag.clone(), None));
            continue;
        }
        for (part, end) in [(SeasonPart::Sin, "sin"), (SeasonPart::Cos, "cos")] {
            let mut one = tag.clone();
            one.value.name.value = one.value.name.value.map(|name| format!("{name}.{end}"));
            one.value.seasonal.value = one.value.seasonal.value.or_else(|| by_name(tag));
            tags.push((one, Some(part)));
        }
    }
    let (tags, parts): (Vec<_>, Vec<_>) = tags.into_iter().unzip();
    (Cow::Owned(tags), parts)
}

/// CoreRL's way to say which season: the tag is called like it.
fn by_name(tag: &At<RawTag>) -> Option<SeasonName> {
    match tag.value.name.value.as_deref()? {
        "second_in_hour" => Some(SeasonName::SecondInHour),
        "time_of_day" => Some(SeasonName::TimeOfDay),
        "day_of_week" => Some(SeasonName::DayOfWeek),
        "day_of_year" => Some(SeasonName::DayOfYear),
        _ => None,
    }
}

pub(super) fn tag(
    at: &At<RawTag>,
    part: SeasonPart,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Tag> {
    let raw = &at.value;
    // What is said of both parts is heard once.
    complain_of_source(raw, "seasonal", complaints);
    complain_of_setpoint_keys(raw, TagType::Seasonal, complaints);
    complain_of_what_is_not_read(raw, complaints);
    if raw.seasonal.value.is_none() && !raw.seasonal.given {
        let help = "write `seasonal: time_of_day`, `day_of_week` or `day_of_year`";
        complaints.error(at.at, "this tag does not say what it tells", help);
    }
    let season = match raw.seasonal.value? {
        SeasonName::SecondInHour => Season::Hour,
        SeasonName::TimeOfDay => Season::Day,
        SeasonName::DayOfWeek => Season::Week,
        SeasonName::DayOfYear => Season::Year,
    };
    // No sample will be judged by them.
    let settings = settings(raw, false, None, context, complaints)?;
    Some(Tag {
        name: raw.name.value.clone()?,
        unit: String::new(),
        kind: TagKind::Seasonal(season, part),
        source: None,
        operating_range: None,
        normal_range: Some(UNIT),
        yellow_bounds: None,
        red_bounds: None,
        filters: Vec::new(),
        imputer: Imputer { rule: ImputerRule::None, horizon: 0 },
        trigger: None,
        kept: None,
        settings,
        in_state: true,
    })
}

/// Keys that say something of a sample or of a range.
fn complain_of_what_is_not_read(raw: &RawTag, complaints: &mut Complaints<'_>) {
    for (given, at, name) in [
        (raw.unit.given, raw.unit.at, "unit"),
        (raw.operating_range.given, raw.operating_range.at, "operating_range"),
        (raw.expected_range.given, raw.expected_range.at, "expected_range"),
        (raw.yellow_bounds.given, raw.yellow_bounds.at, "yellow_bounds"),
        (raw.red_bounds.given, raw.red_bounds.at, "red_bounds"),
        (raw.imputer.given, raw.imputer.at, "imputer"),
        (raw.filter.given, raw.filter.at, "filter"),
        (raw.trigger.given, raw.trigger.at, "trigger"),
        (raw.kept.given, raw.kept.at, "kept"),
        (raw.required.given, raw.required.at, "required"),
        (raw.stale_after.given, raw.stale_after.at, "stale_after"),
        (raw.substitute_for.given, raw.substitute_for.at, "substitute_for"),
        (raw.source_time.given, raw.source_time.at, "source_time"),
        (raw.sensor_span.given, raw.sensor_span.at, "sensor_span"),
        (raw.spike.given, raw.spike.at, "spike"),
        (raw.frozen_after.given, raw.frozen_after.at, "frozen_after"),
    ] {
        if given {
            let message = format!("a seasonal tag has no `{name}`: it goes from 0 to 1 by the plant's time alone");
            complaints.error(at, message, format!("remove `{name}`"));
        }
    }
}
