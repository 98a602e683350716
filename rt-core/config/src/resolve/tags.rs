//! Tags: where they come from, their ranges, how they are judged, and the computed ones among them.

mod seasonal;

use std::borrow::Cow;

use rt_core::expression::Program;
use rt_core::setpoint::SETPOINTS_MAX;
use rt_core::tag::{Spike, TAGS_MAX, TagId, TagSettings, ne43_band};
use rt_core::time::Span;

use super::connections::{Connections, complain_of_twice, complain_of_unknown, node};
use super::{Context, given_or, given_or_none, imputers, number, positive, stages};
use crate::complaint::{Complaints, Place, quoted};
use crate::duration::written;
use crate::expression::{self, Tree};
use crate::form::{At, Field};
use crate::form_special::KeptChoice;
use crate::raw::{Pipeline, SourceTime, Tag as RawTag, TagType};
use crate::site::{KEPT_HEARTBEAT_MAX, Kept, Range, Source, Tag, TagKind};
use crate::value::Formula;

/// The tags as far as they could be resolved; indices are the file's, with two for a seasonal one.
pub(crate) struct Tags<'r> {
    pub(crate) raw: Cow<'r, [At<RawTag>]>,
    pub(crate) names: Vec<String>,
    /// The expressions of computed tags.
    trees: Vec<Option<Tree>>,
    /// Computed tags in the order in which to evaluate them; `None` when there is a cycle.
    pub(crate) order: Option<Vec<TagId>>,
    resolved: Vec<Option<Tag>>,
}

impl Tags<'_> {
    /// All tags, when none was complained of.
    pub(crate) fn complete(self) -> Option<Vec<Tag>> {
        self.resolved.into_iter().collect()
    }

    /// The tag at `index`, as far as it could be resolved.
    pub(crate) fn get(&self, index: usize) -> Option<&Tag> {
        self.resolved.get(index).and_then(Option::as_ref)
    }

    /// The tag of this name, with a complaint when there is none.
    pub(crate) fn find(&self, name: &str, at: Place, complaints: &mut Complaints<'_>) -> Option<TagId> {
        match self.names.iter().position(|known| known == name) {
            Some(index) => TagId::new(index),
            None => {
                complain_of_unknown(name, at, "tag", &self.names, complaints);
                None
            }
        }
    }

    /// A tag that is read: what `who` sees are measured values, not what the pipeline makes of them.
    pub(crate) fn measured(&self, field: &Field<String>, who: &str, complaints: &mut Complaints<'_>) -> Option<TagId> {
        let name = field.value.as_ref()?;
        let tag = self.find(name, field.at, complaints)?;
        let made_of = |kind: &TagKind| match kind {
            TagKind::Computed(_) => Some("computed"),
            TagKind::Delta => Some("a change"),
            TagKind::Seasonal(..) => Some("seasonal"),
            TagKind::Default | TagKind::Setpoint | TagKind::Meta => None,
        };
        if let Some(what) = self.get(tag.index()).and_then(|tag| made_of(&tag.kind)) {
            let message = format!("{} is {what}; {who} sees measured tags alone", quoted(name));
            complaints.error(field.at, message, "name a tag that is read from the plant");
            return None;
        }
        Some(tag)
    }

    /// The tree of an expression.
    pub(crate) fn tree(&self, formula: &Formula, complaints: &mut Complaints<'_>) -> Option<Tree> {
        parse(formula, &self.names, complaints)
    }

    /// The program of an expression that is evaluated after the computed tags.
    pub(crate) fn program(&self, formula: &Formula, complaints: &mut Complaints<'_>) -> Option<Program> {
        let tree = self.tree(formula, complaints)?;
        compile(&tree, formula, &|_| None, complaints)
    }

    /// The program of an expression that is evaluated on measured values alone: computed tags are written out.
    pub(crate) fn program_on_image(&self, formula: &Formula, complaints: &mut Complaints<'_>) -> Option<Program> {
        let tree = self.tree(formula, complaints)?;
        // With a cycle among them, computed tags cannot be written out.
        self.order.as_ref()?;
        let inline = |tag: TagId| self.trees.get(tag.index()).and_then(Option::as_ref);
        let program = compile(&tree, formula, &inline, complaints)?;
        // A tag that could not be resolved has been complained of.
        let made = |tag: &TagId| {
            self.get(tag.index()).is_some_and(|tag| matches!(tag.kind, TagKind::Delta | TagKind::Seasonal(..)))
        };
        let Some(tag) = program.tags().find(made) else { return Some(program) };
        let name = self.names.get(tag.index()).map_or("", String::as_str);
        let message = format!("{} is made by the pipeline; this is judged on what is read alone", quoted(name));
        complaints.error(formula.place(0, complaints), message, "use default, meta or computed tags here");
        None
    }
}

fn parse(formula: &Formula, names: &[String], complaints: &mut Complaints<'_>) -> Option<Tree> {
    match expression::parse(&formula.text, names) {
        Ok(tree) => Some(tree),
        Err(error) => {
            complaints.error(formula.place(error.offset, complaints), error.message, error.help);
            None
        }
    }
}

fn compile<'t>(
    tree: &'t Tree,
    formula: &Formula,
    inline: &dyn Fn(TagId) -> Option<&'t Tree>,
    complaints: &mut Complaints<'_>,
) -> Option<Program> {
    match expression::compile(tree, inline) {
        Ok(program) => Some(program),
        Err(message) => {
            complaints.error(formula.place(0, complaints), message, "split it into computed tags, or simplify it");
            None
        }
    }
}

pub(crate) fn resolve<'r>(
    pipeline: &'r Pipeline,
    connections: &Connections,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Tags<'r>> {
    let written = pipeline.tags.value.as_ref()?;
    for tag in written {
        complain_of_name(&tag.value.name, complaints);
    }
    let (raw, parts) = seasonal::in_parts(written);
    complain_of_numbers(&raw, pipeline.tags.at, complaints);
    complain_of_twice("tag", raw.iter().map(|tag| &tag.value.name), complaints);
    // A name that was complained of for its braces is still the one that expressions mean.
    let name =
        |tag: &At<RawTag>| tag.value.name.value.as_deref().unwrap_or_default().trim_matches(['{', '}', ' ']).to_owned();
    let names: Vec<String> = raw.iter().map(name).collect();
    let trees: Vec<Option<Tree>> = raw.iter().map(|tag| computed_tree(tag, &names, complaints)).collect();
    let order = evaluation_order(&raw, &names, &trees, complaints);
    let resolved = raw
        .iter()
        .zip(&parts)
        .zip(&trees)
        .map(|((tag, part), tree)| match part {
            Some(part) => seasonal::tag(tag, *part, context, complaints),
            None => self::tag(tag, tree.as_ref(), &names, connections, context, complaints),
        })
        .collect();
    Some(Tags { raw, names, trees, order, resolved })
}

fn complain_of_numbers(tags: &[At<RawTag>], at: Place, complaints: &mut Complaints<'_>) {
    let setpoints: Vec<_> = tags.iter().filter(|tag| tag.value.r#type.value == Some(TagType::AiSetpoint)).collect();
    if tags.is_empty() {
        complaints.error(at, "there are no tags", "add the values that the agent sees and the setpoints that it moves");
    } else if setpoints.is_empty() && tags.iter().all(|tag| tag.value.r#type.value.is_some()) {
        complaints.error(at, "there is no setpoint to move", "give one tag `type: ai_setpoint`");
    }
    if let Some(excess) = tags.get(TAGS_MAX) {
        complaints.error(excess.at, format!("{} tags; {TAGS_MAX} are possible", tags.len()), "leave tags out");
    }
    if let Some(excess) = setpoints.get(SETPOINTS_MAX) {
        let message = format!("{} setpoints; {SETPOINTS_MAX} are possible", setpoints.len());
        complaints.error(excess.at, message, "give the rest to another agent");
    }
}

fn complain_of_name(name: &Field<String>, complaints: &mut Complaints<'_>) {
    if let Some(text) = &name.value
        && (text.contains(['{', '}']) || text.trim() != text || text.is_empty())
    {
        let help = "leave out braces and spaces at the ends; braces stand around names in expressions only";
        complaints.error(name.at, format!("{} cannot be a tag's name", quoted(text)), help);
    }
}

fn computed_tree(tag: &At<RawTag>, names: &[String], complaints: &mut Complaints<'_>) -> Option<Tree> {
    let raw = &tag.value;
    let computed = raw.r#type.value? == TagType::Computed;
    match (&raw.value.value, raw.value.given) {
        (Some(formula), _) if computed => parse(formula, names, complaints),
        (_, true) if !computed => {
            complaints.error(
                raw.value.at,
                "only a computed tag has a `value`",
                "write `type: computed` or remove `value`",
            );
            None
        }
        (None, false) if computed => {
            complaints.error(tag.at, "a computed tag needs a `value`", "write `value: \"{A} - {B}\"`");
            None
        }
        _ => None,
    }
}

/// Which computed tag after which: depth first, in the file's order.
fn evaluation_order(
    raw: &[At<RawTag>],
    names: &[String],
    trees: &[Option<Tree>],
    complaints: &mut Complaints<'_>,
) -> Option<Vec<TagId>> {
    let mut search = Search { trees, path: Vec::new(), done: vec![false; trees.len()], order: Vec::new() };
    for index in 0..trees.len() {
        if let Err(cycle) = search.visit(index) {
            let chain: Vec<&str> = cycle.iter().filter_map(|index| names.get(*index)).map(String::as_str).collect();
            let at = cycle.first().and_then(|index| raw.get(*index)).map_or(Place::default(), |tag| tag.value.value.at);
            complaints.error(
                at,
                format!("computed tags depend on each other in a circle: {}", quoted(&chain.join(" -> "))),
                "break the circle",
            );
            return None;
        }
    }
    search.order.into_iter().map(TagId::new).collect()
}

struct Search<'t> {
    trees: &'t [Option<Tree>],
    path: Vec<usize>,
    done: Vec<bool>,
    order: Vec<usize>,
}

impl Search<'_> {
    /// The error is the cycle.
    fn visit(&mut self, index: usize) -> Result<(), Vec<usize>> {
        if let Some(start) = self.path.iter().position(|open| *open == index) {
            let cycle = self.path.iter().skip(start).copied().chain([index]);
            return Err(cycle.collect());
        }
        let Some(tree) = self.trees.get(index).and_then(Option::as_ref) else { return Ok(()) };
        if self.done.get(index).copied().unwrap_or(true) {
            return Ok(());
        }
        let mut inputs = Vec::new();
        tree.for_each_tag(&mut |tag| inputs.push(tag.index()));
        self.path.push(index);
        for input in inputs {
            self.visit(input)?;
        }
        self.path.pop();
        if let Some(done) = self.done.get_mut(index) {
            *done = true;
        }
        self.order.push(index);
        Ok(())
    }
}

fn tag(
    at: &At<RawTag>,
    tree: Option<&Tree>,
    names: &[String],
    connections: &Connections,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Tag> {
    let raw = &at.value;
    let r#type = raw.r#type.value?;
    let kind = kind(raw, r#type, tree, complaints);
    let source = if r#type == TagType::Computed {
        complain_of_source(raw, "computed", complaints);
        Some(None)
    } else {
        source(at, connections, complaints).map(Some)
    };
    let in_state = r#type != TagType::Meta;
    let normal_range = normal_range(at, r#type, complaints);
    complain_of_setpoint_keys(raw, r#type, complaints);
    if raw.seasonal.given {
        let help = "write `type: seasonal` or remove the key";
        complaints.error(raw.seasonal.at, "only a seasonal tag has `seasonal`", help);
    }
    let imputer = imputers::resolve(&raw.imputer, in_state, complaints);
    let mut condition = |formula: &Formula, complaints: &mut Complaints<'_>| {
        compile(&parse(formula, names, complaints)?, formula, &|_| None, complaints)
    };
    let filters = stages::filters(&raw.filter, r#type, normal_range, &mut condition, complaints);
    let trigger = stages::trigger(&raw.trigger, &mut condition, complaints);
    let io_period = source.as_ref().and_then(|source| {
        source.as_ref().and_then(|source| connections.periods.get(source.connection).copied().flatten())
    });
    let settings = settings(raw, in_state && r#type != TagType::Computed, io_period, context, complaints);
    Some(Tag {
        name: raw.name.value.clone()?,
        unit: raw.unit.value.clone().unwrap_or_default(),
        kind: kind?,
        source: source?,
        operating_range: raw.operating_range.value,
        normal_range: normal_range?,
        yellow_bounds: raw.yellow_bounds.value,
        red_bounds: raw.red_bounds.value,
        filters: filters?,
        imputer: imputer?,
        trigger: trigger?,
        kept: kept(&raw.kept, complaints)?,
        settings: settings?,
        in_state,
    })
}

fn kind(raw: &RawTag, r#type: TagType, tree: Option<&Tree>, complaints: &mut Complaints<'_>) -> Option<TagKind> {
    match r#type {
        TagType::AiSetpoint => Some(TagKind::Setpoint),
        TagType::Default => Some(TagKind::Default),
        TagType::Meta => Some(TagKind::Meta),
        TagType::Computed => {
            let formula = raw.value.value.as_ref()?;
            compile(tree?, formula, &|_| None, complaints).map(TagKind::Computed)
        }
        TagType::Delta => Some(TagKind::Delta),
        // They have been taken apart before.
        TagType::Seasonal => None,
    }
}

/// Which of its values the historian keeps; outer `None` with complaints.
fn kept(field: &Field<KeptChoice>, complaints: &mut Complaints<'_>) -> Option<Option<Kept>> {
    if !field.given {
        return Some(None);
    }
    let raw = match field.value.as_ref()? {
        KeptChoice::Every => return Some(Some(Kept::Every)),
        KeptChoice::ByException(raw) => &raw.value,
    };
    let deadband =
        number(&raw.deadband, |value| value.is_finite() && value >= 0.0, "a finite number from 0 on", complaints);
    let heartbeat = raw.heartbeat.value.filter(|span| *span > Span::ZERO && *span <= KEPT_HEARTBEAT_MAX);
    if let (Some(span), None) = (raw.heartbeat.value, heartbeat) {
        let message = format!("a heartbeat of {} is not above zero and at most 60s", written(span));
        let help = "write a duration up to 60s: of what is kept, nothing is believed that is older than two minutes";
        complaints.error(raw.heartbeat.at, message, help);
    }
    Some(Some(Kept::ByException { deadband: deadband?, heartbeat: heartbeat? }))
}

fn complain_of_source(raw: &RawTag, r#type: &str, complaints: &mut Complaints<'_>) {
    for (field, name) in [(&raw.node_identifier, "node_identifier"), (&raw.connection_id, "connection_id")] {
        if field.given {
            let message = format!("a {type} tag is not read, but has a `{name}`");
            complaints.error(field.at, message, format!("remove `{name}`, or the type `{type}`"));
        }
    }
}

fn source(at: &At<RawTag>, connections: &Connections, complaints: &mut Complaints<'_>) -> Option<Source> {
    let raw = &at.value;
    let connection = connections.index_of(&raw.connection_id, "this tag", complaints);
    let of_cascade = raw.cascade.value.as_ref().map(|cascade| &cascade.ai_sp).filter(|ai_sp| ai_sp.given);
    let written = of_cascade.filter(|_| !raw.node_identifier.given).unwrap_or(&raw.node_identifier);
    if !written.given {
        complaints.error(at.at, "this tag has no `node_identifier`", "write `node_identifier: ns=2;s=Path`");
    }
    let node = node(written, complaints);
    Some(Source { connection: connection?, node: node? })
}

/// Expected, else red, operating or yellow. The outer `None` means that it was complained of.
fn normal_range(at: &At<RawTag>, r#type: TagType, complaints: &mut Complaints<'_>) -> Option<Option<Range>> {
    let raw = &at.value;
    let in_state = r#type != TagType::Meta;
    let ranges = [&raw.expected_range, &raw.red_bounds, &raw.operating_range, &raw.yellow_bounds];
    let range = ranges.iter().find_map(|field| field.value);
    let broken = ranges.iter().any(|field| field.given && field.value.is_none());
    // A setpoint without an operating range is complained of elsewhere.
    if range.is_none() && in_state && !broken && r#type != TagType::AiSetpoint {
        complaints.error(
            at.at,
            "this tag has no range, so it cannot be normalised for the state",
            "write `expected_range: [lo, hi]` or `operating_range: [lo, hi]`, or `type: meta` to keep it out of the state",
        );
    }
    let fine = !broken && (range.is_some() || !in_state);
    fine.then_some(range)
}

/// Keys that only a setpoint has, and those that it needs.
fn complain_of_setpoint_keys(raw: &RawTag, r#type: TagType, complaints: &mut Complaints<'_>) {
    let help = "write `type: ai_setpoint` or remove the key";
    if r#type != TagType::AiSetpoint {
        for (given, at, name) in [
            (raw.action_bounds.given, raw.action_bounds.at, "action_bounds"),
            (raw.nominal_setpoint.given, raw.nominal_setpoint.at, "nominal_setpoint"),
            (raw.guardrail_schedule.given, raw.guardrail_schedule.at, "guardrail_schedule"),
            (raw.cascade.given, raw.cascade.at, "cascade"),
        ] {
            if given {
                complaints.error(at, format!("only a setpoint has `{name}`"), help);
            }
        }
    }
}

fn settings(
    raw: &RawTag,
    required_by_default: bool,
    io_period: Option<Span>,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<TagSettings> {
    let observations = context.observations(3);
    let usual = observations.map(|span| span.max(io_period.unwrap_or(Span::ZERO).times(3)));
    let stale_after = if raw.stale_after.given { positive(&raw.stale_after, complaints) } else { usual };
    if let (Some(stale_after), Some(io_period)) = (stale_after, io_period)
        && stale_after < io_period
    {
        let message = "every reading would be stale: this is shorter than the I/O period";
        complaints.error(raw.stale_after.at, message, format!("write {} or more", crate::duration::written(io_period)));
    }
    let substitute_for = given_or(&raw.substitute_for, stale_after);
    let required = given_or(&raw.required, Some(required_by_default));
    let source_time = raw.source_time.value;
    let sound = sound(raw);
    let spike = spike(&raw.spike, complaints);
    let frozen_after =
        if raw.frozen_after.given { positive(&raw.frozen_after, complaints).map(Some) } else { Some(None) };
    Some(TagSettings {
        required: required?,
        stale_after: stale_after?,
        substitute_for: substitute_for?,
        source_time_advancing: source_time? == SourceTime::Advancing,
        sound: sound?,
        spike: spike?,
        frozen_after: frozen_after?,
    })
}

/// Values that the tag can have at all. A read-back farther out of a setpoint's operating range than the range is wide is
/// no place from which to move on: the envelope would only lead back from it, step by step. The outer `None` means that
/// it was complained of.
fn sound(raw: &RawTag) -> Option<Option<(f64, f64)>> {
    if !raw.sensor_span.given && raw.r#type.value == Some(TagType::AiSetpoint) {
        let Range { lo, hi } = raw.operating_range.value?;
        let width = hi - lo;
        return Some(Some((lo - width, hi + width)));
    }
    given_or_none(&raw.sensor_span).map(|span| span.map(|Range { lo, hi }| ne43_band(lo, hi)))
}

/// The outer `None` means that it was complained of.
fn spike(field: &Field<crate::raw::Spike>, complaints: &mut Complaints<'_>) -> Option<Option<Spike>> {
    if !field.given {
        return Some(None);
    }
    let raw = field.value.as_ref()?;
    let step = number(&raw.step, |step| step > 0.0, "above 0", complaints)?;
    Some(Some(Spike { step, samples: u8::try_from(raw.samples.value?.0).ok()? }))
}
