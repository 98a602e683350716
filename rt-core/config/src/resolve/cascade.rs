//! Cascades: an operator's setpoint beside the agent's, and who says which of them the plant follows.

use rt_core::setpoint::{Cascade, ModeWord};
use rt_core::tag::TagId;

use super::tags::Tags;
use crate::complaint::{Complaints, quoted};
use crate::form::Field;
use crate::form_special::ModeChoice;
use crate::raw::Tag as RawTag;
use crate::raw_stages::Cascade as RawCascade;
use crate::site::TagKind;

/// Who looks at tags here.
const WHO: &str = "a cascade";
/// What a tag of its own has while it says so.
const TRUE: f64 = 1.0;

/// The outer `None` means that it was complained of. `index` is that of the setpoint's tag.
pub(super) fn resolve(
    index: usize,
    tag: &RawTag,
    tags: &Tags<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Option<Cascade>> {
    if !tag.cascade.given {
        return Some(None);
    }
    let raw = tag.cascade.value.as_ref()?;
    complain_of_two_nodes(index, tag, raw, tags, complaints);
    let operators = operators(index, raw, tags, complaints);
    let mode = if raw.mode.given { Some(read(&raw.mode, tags, complaints)) } else { None };
    let operator_when = word(&raw.op_mode, mode, tags, complaints);
    let agent_when = word(&raw.ai_mode, mode, tags, complaints);
    if !raw.ai_mode.given {
        let help = "write `mode: TAG` with `op_mode: 0` and `ai_mode: 1`, or `ai_mode: TAG` for a tag that is 1 while the \
                    plant follows the agent";
        complaints.error(raw.at, "nothing says when the plant follows the agent's setpoint", help);
        return None;
    }
    let (operator_when, agent_when) = (operator_when?, agent_when??);
    if operator_when == Some(agent_when) {
        let help = "write what is there while the plant follows the operator, and what while it follows the agent";
        complaints.error(raw.ai_mode.at, "`op_mode` and `ai_mode` are the same", help);
    }
    Some(Some(Cascade { operators: operators?, operator_when, agent_when }))
}

fn operators(index: usize, raw: &RawCascade, tags: &Tags<'_>, complaints: &mut Complaints<'_>) -> Option<TagId> {
    let id = read(&raw.op_sp, tags, complaints)?;
    let tag = tags.get(id.index())?;
    if tags.get(index).is_some_and(|ours| ours.source == tag.source) {
        let message = "the operator's setpoint is the node that the agent writes";
        complaints.error(raw.op_sp.at, message, "a cascade has two nodes; with one, remove `cascade`");
    }
    Some(id)
}

/// A tag that is read, and that the agent does not write itself.
fn read(field: &Field<String>, tags: &Tags<'_>, complaints: &mut Complaints<'_>) -> Option<TagId> {
    let id = tags.measured(field, WHO, complaints)?;
    let tag = tags.get(id.index())?;
    if tag.kind == TagKind::Setpoint {
        let message = format!("{} is a setpoint of the agent's", quoted(&tag.name));
        complaints.error(field.at, message, "name a tag of `type: meta`, which the plant or a person writes");
        return None;
    }
    Some(id)
}

/// What `ai_sp` says beside `node_identifier` has to be the same node.
fn complain_of_two_nodes(
    index: usize,
    tag: &RawTag,
    raw: &RawCascade,
    tags: &Tags<'_>,
    complaints: &mut Complaints<'_>,
) {
    let Some(text) = raw.ai_sp.value.as_ref().filter(|_| tag.node_identifier.given) else { return };
    let named = tags.names.iter().position(|name| name == text);
    let same = match named {
        Some(named) => tags.get(named).zip(tags.get(index)).is_none_or(|(named, ours)| named.source == ours.source),
        None => tag.node_identifier.value.as_ref().is_none_or(|node| node == text),
    };
    if !same {
        let message = format!("{} is not the node that is written, `node_identifier`", quoted(text));
        complaints.error(raw.ai_sp.at, message, "remove `ai_sp`: what is written is read back there");
    }
}

/// What one of the two modes says; the outer `None` means that it, or the mode tag, was complained of.
fn word(
    field: &Field<ModeChoice>,
    mode: Option<Option<TagId>>,
    tags: &Tags<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Option<ModeWord>> {
    if !field.given {
        return Some(None);
    }
    match (field.value.as_ref()?, mode) {
        (ModeChoice::Value(value), Some(tag)) => Some(Some(ModeWord { tag: tag?, value: *value })),
        (ModeChoice::Tag(name), None) => {
            let name = Field { value: Some(name.clone()), at: field.at, given: true };
            Some(Some(ModeWord { tag: read(&name, tags, complaints)?, value: TRUE }))
        }
        (ModeChoice::Value(_), None) => {
            let help = "write `mode: TAG`, or here a tag that is 1 then";
            complaints.error(field.at, "this is a value of no tag", help);
            None
        }
        (ModeChoice::Tag(_), Some(_)) => {
            complaints.error(field.at, "with `mode` this is one of its values", "write a number, true or false");
            None
        }
    }
}
