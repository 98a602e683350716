//! From a site file of the Python services to one of this runtime.
//!
//! The text is edited, not written anew, so that its comments and its order stay. Edits are found on the tree and made in
//! the text; what comes out is read again, and has to be the old tree with the same edits, or nothing comes out.

mod edit;
mod runtime;

use std::path::Path;

use rt_core::setpoint::Rate;
use serde_json::Value;

use crate::Refused;
use crate::complaint::{Complaints, Place};
use crate::form::{Form, to_json};
use crate::inherited::{Instead, instead};
use crate::raw::SiteFile;
use crate::yaml::{self, Key, Kind, Node, Plain};

use edit::{Edit, Text};

/// What was done to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is a comment now.
    LeftOut,
    /// It has another name, or another one says the same.
    Renamed,
    /// It has another value.
    Replaced,
    /// It is new.
    Added,
}

impl Done {
    /// The word for it in messages and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeftOut => "left_out",
            Self::Renamed => "renamed",
            Self::Replaced => "replaced",
            Self::Added => "added",
        }
    }
}

/// One thing that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The line of the old file, from 1; 0 for what is new.
    pub line: usize,
    /// The key.
    pub key: String,
    /// What was done to it.
    pub done: Done,
    /// Why, or what says it now.
    pub remark: String,
}

/// A migrated file. It may lack what only a person can say: [`parse`](crate::parse) tells.
#[derive(Clone, Debug)]
pub struct Migration {
    /// The new text.
    pub text: String,
    /// What was changed, in the order of the old file.
    pub changes: Vec<Change>,
    /// The names of the setpoints.
    pub setpoints: Vec<String>,
}

/// Makes a site file for this runtime of one for the Python services. Keys with the same meaning stay; others are renamed,
/// or become comments that say what to write instead. Passwords in clear become references. `rates` are those of setpoints
/// by name; a setpoint without one gets an empty rate, which the runtime refuses.
///
/// # Errors
/// The text is not YAML, or it is laid out so that it cannot be edited.
pub fn migrate(text: &str, path: &Path, rates: &[(String, Rate)]) -> Result<Migration, Refused> {
    let (text, marker) = without_marker(text);
    let mut complaints = Complaints::new(path, &text);
    let Some(tree) = yaml::read(&mut complaints) else { return Err(refused(complaints)) };
    if !matches!(tree.kind, Kind::Map(_)) {
        complaints.error_of_file("there is no key in it", "is this a site file?");
        return Err(refused(complaints));
    }
    let (edited, mut changes) = match edit_all(&tree, &text, path) {
        Ok(done) => done,
        Err(message) => {
            let help = "make the changes by hand: `corerl config check` names what is to be changed";
            complaints.error_of_file(message, help);
            return Err(refused(complaints));
        }
    };
    changes.extend(marker);
    changes.sort_by_key(|change| change.line);
    let setpoints = runtime::setpoints(&tree);
    let (text, added) = runtime::complete(edited, &tree, &setpoints, rates);
    changes.extend(added);
    Ok(Migration { text, changes, setpoints })
}

fn refused(complaints: Complaints<'_>) -> Refused {
    Refused { complaints: complaints.into_sorted() }
}

/// A file that opens with `---` has to close with `...` here, and theirs do not.
fn without_marker(text: &str) -> (String, Option<Change>) {
    let mut lines = text.lines();
    let opens = lines.position(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let Some(number) = opens.filter(|number| text.lines().nth(*number).is_some_and(|line| line.trim_end() == "---"))
    else {
        return (text.to_owned(), None);
    };
    if lines.any(|line| line.trim_end() == "...") {
        return (text.to_owned(), None);
    }
    let remark = "a file that opens with it has to close with `...`".to_owned();
    let change = Change { line: number + 1, key: "---".to_owned(), done: Done::LeftOut, remark };
    (text.replacen("---", "", 1), Some(change))
}

/// The edited text and what was changed.
fn edit_all(tree: &Node, text: &str, path: &Path) -> Result<(String, Vec<Change>), String> {
    let mut edits = Vec::new();
    find(tree, "", &mut edits);
    let renamed = applied(tree, &edits);
    let mut complaints = Complaints::new(path, text);
    SiteFile::decode(&renamed, &mut complaints);
    let strays = complaints.strays().to_vec();
    for (at, remark) in strays {
        // A new name that means nothing in this place is no better than the old one.
        edits.retain(|(edit, of, _)| *of != at || !matches!(edit, Edit::Rename { .. }));
        if edits.iter().all(|(_, of, _)| *of != at) {
            edits.push((Edit::LeaveOut, at, remark));
        }
    }
    let expected = applied(tree, &edits);
    let edited = Text::new(text).edit(tree, &edits)?;
    let mut complaints = Complaints::new(path, &edited);
    let found = yaml::read(&mut complaints);
    if found.is_none_or(|found| said(&found) != said(&expected)) {
        return Err("the file is laid out so that it cannot be edited without changing what it says".to_owned());
    }
    let change = |(edit, at, remark): &(Edit, Place, String)| Change {
        line: at.line,
        key: name_at(tree, *at).unwrap_or_default(),
        done: edit.done(),
        remark: remark.clone(),
    };
    Ok((edited, edits.iter().map(change).collect()))
}

/// What a tree says. An empty mapping is nothing: what is left when all keys are comments.
fn said(node: &Node) -> Value {
    match &node.kind {
        Kind::Map(entries) if entries.is_empty() => Value::Null,
        Kind::Map(entries) => entries.iter().map(|(key, value)| (key.name.clone(), said(value))).collect(),
        Kind::List(items) => items.iter().map(said).collect(),
        Kind::Scalar(_) => to_json(node),
    }
}

/// What can be said in other words, below the key `parent`: the edit, the place of its key, and a remark.
fn find(node: &Node, parent: &str, edits: &mut Vec<(Edit, Place, String)>) {
    match &node.kind {
        Kind::Scalar(_) => {}
        Kind::List(items) => items.iter().for_each(|item| find(item, parent, edits)),
        Kind::Map(entries) => {
            for (key, value) in entries {
                match in_other_words(key, value, parent, entries) {
                    Some((edit, remark)) => edits.push((edit, key.at, remark)),
                    None => find(value, &key.name, edits),
                }
            }
        }
    }
}

fn in_other_words(key: &Key, value: &Node, parent: &str, beside: &[(Key, Node)]) -> Option<(Edit, String)> {
    let has = |name: &str| beside.iter().any(|(key, _)| key.name == name);
    let plain = match &value.kind {
        Kind::Scalar(scalar) => Some(scalar.plain()),
        Kind::List(_) | Kind::Map(_) => None,
    };
    match (key.name.as_str(), instead(&key.name)) {
        (old, Some(Instead::Key(new))) if !has(new) => {
            Some((Edit::Rename { to: new.to_owned() }, format!("`{old}` is called `{new}`")))
        }
        ("is_computed", _) if plain == Some(Plain::Flag(true)) && !has("type") => {
            Some((Edit::Put { text: "type: computed".to_owned() }, "a computed tag is a type of tag".to_owned()))
        }
        ("password", _)
            if matches!(parent, "authentication_mode" | "db") && plain.is_some_and(|it| it != Plain::Null) =>
        {
            let variable = if parent == "db" { "CORERL_DB_PASSWORD" } else { "CORERL_PLANT_PASSWORD" };
            let remark = format!("passwords do not stand in the file: put it into the environment variable {variable}");
            Some((Edit::Put { text: format!("password: {{env: {variable}}}") }, remark))
        }
        _ => None,
    }
}

/// The tree after the edits.
fn applied(node: &Node, edits: &[(Edit, Place, String)]) -> Node {
    let kind = match &node.kind {
        Kind::Scalar(scalar) => Kind::Scalar(scalar.clone()),
        Kind::List(items) => Kind::List(items.iter().map(|item| applied(item, edits)).collect()),
        Kind::Map(entries) => Kind::Map(entries.iter().filter_map(|entry| applied_to_entry(entry, edits)).collect()),
    };
    Node { at: node.at, kind }
}

fn applied_to_entry((key, value): &(Key, Node), edits: &[(Edit, Place, String)]) -> Option<(Key, Node)> {
    let named = |name: &String| Key { name: name.clone(), at: key.at };
    match edits.iter().find(|(_, at, _)| *at == key.at).map(|(edit, ..)| edit) {
        None => Some((key.clone(), applied(value, edits))),
        Some(Edit::LeaveOut) => None,
        Some(Edit::Rename { to }) => Some((named(to), applied(value, edits))),
        Some(Edit::Put { text }) => match yaml::read_default(text, key.at)?.kind {
            Kind::Map(entries) => entries.into_iter().next(),
            Kind::List(_) | Kind::Scalar(_) => None,
        },
    }
}

fn name_at(node: &Node, at: Place) -> Option<String> {
    match &node.kind {
        Kind::Scalar(_) => None,
        Kind::List(items) => items.iter().find_map(|item| name_at(item, at)),
        Kind::Map(entries) => entries
            .iter()
            .find_map(|(key, value)| if key.at == at { Some(key.name.clone()) } else { name_at(value, at) }),
    }
}

#[cfg(test)]
mod tests;
