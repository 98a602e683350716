//! What a migrated file needs beyond the keys that it brings along.

use rt_core::setpoint::Rate;

use super::{Change, Done};
use crate::form_special::SCHEMA_VERSION;
use crate::yaml::{Kind, Node};

/// The names of the setpoints of a file.
pub(super) fn setpoints(tree: &Node) -> Vec<String> {
    let tags = value(tree, "pipeline").and_then(|pipeline| value(pipeline, "tags"));
    let Some(Node { kind: Kind::List(tags), .. }) = tags else { return Vec::new() };
    let is_setpoint = |tag: &&Node| value(tag, "type").and_then(text) == Some("ai_setpoint");
    tags.iter().filter(is_setpoint).filter_map(|tag| value(tag, "name").and_then(text)).map(str::to_owned).collect()
}

/// The text with the schema's version in front and the `runtime` section behind, as far as they are not there.
pub(super) fn complete(
    mut text: String,
    tree: &Node,
    setpoints: &[String],
    rates: &[(String, Rate)],
) -> (String, Vec<Change>) {
    let mut changes = Vec::new();
    let mut add = |key: &str, remark: &str| {
        changes.push(Change { line: 0, key: key.to_owned(), done: Done::Added, remark: remark.to_owned() });
    };
    if text.trim_start().starts_with('{') {
        return (text, changes);
    }
    if value(tree, "schema").is_none() {
        text.insert_str(first_key(&text), &format!("schema: {SCHEMA_VERSION}\n"));
        add("schema", "the version of these keys");
    }
    if value(tree, "runtime").is_none() && !setpoints.is_empty() {
        let end = text.rfind("\n...").map_or(text.len(), |at| at + 1);
        let gap = if text[..end].ends_with('\n') { "\n" } else { "\n\n" };
        text.insert_str(end, &format!("{gap}{}", section(setpoints, rates)));
        add("runtime", "every setpoint needs a rate: engineering units per second, or `unlimited`");
    }
    (text, changes)
}

fn section(setpoints: &[String], rates: &[(String, Rate)]) -> String {
    let mut text = "# What the real-time runtime needs to know; `corerl config schema` describes every key.\n\
                    runtime:\n  # period: 1ms\n  # What no policy can go beyond. Without a `range` it is the operating range.\n  \
                    limits:\n"
        .to_owned();
    for name in setpoints {
        let rate = match rates.iter().find(|(of, _)| of == name).map(|(_, rate)| rate) {
            None => "  # to be filled in: engineering units per second, or unlimited".to_owned(),
            Some(Rate::Unlimited) => " unlimited".to_owned(),
            Some(Rate::PerSecond(per_second)) => format!(" {per_second}"),
        };
        text += &format!("    {}:\n      rate:{rate}\n", quoted(name));
    }
    text + "  # What is written while the policy is not trusted: hold, unless it says otherwise.\n  # fallback:\n  #   NAME: nominal\n"
}

/// A name as a key: bare where that is safe.
fn quoted(name: &str) -> String {
    let safe = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        && !["true", "false", "null"].contains(&name.to_ascii_lowercase().as_str());
    if safe { name.to_owned() } else { serde_json::Value::from(name).to_string() }
}

/// Where the line of the first key begins.
fn first_key(text: &str) -> usize {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim();
        if !(content.is_empty() || content.starts_with(['#', '%']) || content == "---") {
            return start;
        }
        start += line.len();
    }
    start
}

fn value<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.kind {
        Kind::Map(entries) => entries.iter().find(|(known, _)| known.name == key).map(|(_, value)| value),
        Kind::List(_) | Kind::Scalar(_) => None,
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar(scalar) => Some(&scalar.text),
        Kind::List(_) | Kind::Map(_) => None,
    }
}
