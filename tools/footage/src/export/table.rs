//! Recordings as tables: one row for a cycle, or one for an event.

use std::collections::HashSet;

use rt_recording::Concern;
use shm_layout::{CycleRef, EventKind, EventRecord};
use tables::{Column, Kind, Rows, Value};

use super::column::{Field, Subject, Topic, topics};
use super::{ExportError, Instant, Sink};
use crate::file::Footage;
use crate::words::told;

/// The columns that both tables begin with.
fn time_columns() -> Vec<Column> {
    let column =
        |name: &str, kind, unit: &str, about| Column { name: name.to_owned(), kind, unit: unit.to_owned(), about };
    vec![
        column("time", Kind::Time, "", "wall-clock time of the cycle's release, UTC"),
        column("seconds", Kind::Number, "s", "time since the first cycle, by the machine's monotonic clock"),
    ]
}

/// One row for a cycle.
pub(super) struct Cycles {
    topics: Vec<Topic>,
    rows: Box<dyn Rows>,
}

impl Cycles {
    /// The columns: times, then every topic's. Of a tag the value is called as the tag itself, everything else has the
    /// field's name behind a dot.
    pub(super) fn columns(footage: &Footage) -> Vec<Column> {
        let topics = topics(footage.legend());
        let mut columns = time_columns();
        let mut taken: HashSet<String> = columns.iter().map(|column| column.name.clone()).collect();
        for topic in &topics {
            for (at, field) in topic.fields.iter().enumerate() {
                let Field { kind, unit, about, .. } = field.clone();
                columns.push(Column { name: unique(column_name(topic, at), &mut taken), kind, unit, about });
            }
        }
        columns
    }

    pub(super) fn new(footage: &Footage, rows: Box<dyn Rows>) -> Self {
        Self { topics: topics(footage.legend()), rows }
    }
}

fn column_name(topic: &Topic, field: usize) -> String {
    let is_the_topic_itself = field == 0 && !matches!(topic.subject, Subject::Setpoint(_));
    match topic.fields.get(field) {
        Some(field) if !is_the_topic_itself => format!("{}.{}", topic.name, field.name),
        _ => topic.name.clone(),
    }
}

/// The name, with a number behind it when a tag is called like a column of ours.
fn unique(name: String, taken: &mut HashSet<String>) -> String {
    let free = (2..).map(|number| format!("{name} ({number})"));
    let name = std::iter::once(name.clone()).chain(free).find(|name| !taken.contains(name)).unwrap_or(name);
    taken.insert(name.clone());
    name
}

impl Sink for Cycles {
    fn cycle(&mut self, at: Instant, record: &CycleRef<'_>) -> Result<(), ExportError> {
        let mut values = vec![Value::Time(at.unix_ns), Value::Number(at.seconds)];
        self.topics.iter().for_each(|topic| topic.values(record, &mut values));
        Ok(self.rows.row(&values)?)
    }

    fn event(&mut self, _at: Instant, _event: &EventRecord) -> Result<(), ExportError> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), ExportError> {
        Ok(self.rows.finish()?)
    }
}

/// One row for an event.
pub(super) struct Events {
    legend: crate::Legend,
    rows: Box<dyn Rows>,
}

impl Events {
    pub(super) fn columns() -> Vec<Column> {
        let column = |name: &str, kind, about| Column { name: name.to_owned(), kind, unit: String::new(), about };
        let mut columns = time_columns();
        columns.extend([
            column("cycle", Kind::Count, "cycle in which it happened"),
            column("event", Kind::Word, "what kind of event it is"),
            column("warning", Kind::Switch, "an operator has to look at it"),
            column("text", Kind::Word, "what happened"),
        ]);
        columns
    }

    pub(super) fn new(footage: &Footage, rows: Box<dyn Rows>) -> Self {
        Self { legend: footage.legend().clone(), rows }
    }
}

impl Sink for Events {
    fn cycle(&mut self, _at: Instant, _record: &CycleRef<'_>) -> Result<(), ExportError> {
        Ok(())
    }

    fn event(&mut self, at: Instant, event: &EventRecord) -> Result<(), ExportError> {
        Ok(self.rows.row(&[
            Value::Time(at.unix_ns),
            Value::Number(at.seconds),
            Value::Count(event.cycle),
            Value::Word(event.kind().map_or("unknown", EventKind::name).into()),
            Value::Switch(Concern::of(event) == Concern::Warning),
            Value::Word(told(event, &self.legend).into()),
        ])?)
    }

    fn finish(self: Box<Self>) -> Result<(), ExportError> {
        Ok(self.rows.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_columns_have_the_same_name() {
        let mut taken = HashSet::new();
        let names = ["cycle", "cycle", "cycle (2)", "cycle"].map(|name| unique(name.to_owned(), &mut taken));
        assert_eq!(names, ["cycle", "cycle (2)", "cycle (2) (2)", "cycle (3)"]);
    }
}
