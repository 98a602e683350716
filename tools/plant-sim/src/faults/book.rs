//! Which faults are on, and what they do to the values that pass.

use std::collections::BTreeMap;

use opcua_types::{DataValue, DateTime, NodeId, StatusCode, Variant};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast;

use super::request::{Kind, OutputFault, Request};
use crate::catalogue::{Node, Role};
use crate::space::id_of;

/// Writes that a slow listener may be behind; more are told as lost.
const WRITES_KEPT: usize = 4096;

/// A client's write of an input, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Written {
    /// The input's name.
    pub(crate) node: String,
    /// What was written, where it was a number.
    pub(crate) value: Option<f64>,
    /// The answer, OPC UA's name.
    pub(crate) status: String,
}

/// The faults of one plant. Whoever holds it sees and changes the same ones.
#[derive(Debug)]
pub(crate) struct Book {
    pages: Mutex<Pages>,
    written: broadcast::Sender<Written>,
}

#[derive(Debug)]
struct Pages {
    outputs: BTreeMap<String, Output>,
    inputs: BTreeMap<String, Input>,
    chance: Chance,
}

#[derive(Debug, Default)]
struct Output {
    faults: Vec<Lie>,
    /// What was shown last, for those that will stand still.
    shown: Option<DataValue>,
}

/// A fault that is on.
#[derive(Debug)]
struct Lie {
    fault: OutputFault,
    /// What was shown when it began, for one that stands still: faults that came later are none of its business.
    held: Option<DataValue>,
}

#[derive(Debug, Default)]
struct Input {
    id: NodeId,
    refused: Option<StatusCode>,
    ignored: bool,
    /// What reaches the plant beside what is written.
    load: f64,
    /// What somebody at the plant has set, until the plant's next step.
    set: Option<f64>,
}

impl Book {
    /// The plant with these nodes, without a fault; `seed` determines the noise.
    pub(crate) fn new(nodes: &[Node], seed: u64) -> Self {
        let of = |wanted: fn(&Role) -> bool| nodes.iter().filter(move |node| wanted(&node.role));
        let input = |node: &Node| (node.name.clone(), Input { id: id_of(node), ..Input::default() });
        Self {
            pages: Mutex::new(Pages {
                outputs: of(|role| matches!(role, Role::Output(_)))
                    .map(|node| (node.name.clone(), Output::default()))
                    .collect(),
                inputs: of(|role| matches!(role, Role::Input(_))).map(input).collect(),
                chance: Chance(seed),
            }),
            written: broadcast::channel(WRITES_KEPT).0,
        }
    }

    /// Does what is asked; what was done, or why not.
    pub(crate) fn take(&self, request: &Request) -> Result<String, String> {
        let mut pages = self.pages.lock();
        match request {
            Request::Output { node, fault } => {
                let output = known(&mut pages.outputs, node, "output")?;
                output.faults.retain(|old| old.fault.kind() != fault.kind());
                output.faults.push(Lie { fault: *fault, held: output.shown.clone() });
            }
            Request::Refuse { node, status } => known(&mut pages.inputs, node, "input")?.refused = Some(*status),
            Request::Ignore { node } => known(&mut pages.inputs, node, "input")?.ignored = true,
            Request::Load { node, by } => known(&mut pages.inputs, node, "input")?.load = *by,
            Request::Set { node, value } => known(&mut pages.inputs, node, "input")?.set = Some(*value),
            Request::Clear { node: None, .. } => {
                pages.outputs.values_mut().for_each(Output::clear);
                pages.inputs.values_mut().for_each(Input::clear);
            }
            Request::Clear { node: Some(node), kind } => pages.clear(node, *kind)?,
            Request::Writes => {}
        }
        Ok(request.done())
    }

    /// An output as it is shown: `healthy` is what would be shown without faults.
    pub(crate) fn shown(&self, name: &str, healthy: DataValue, now: DateTime) -> DataValue {
        let mut pages = self.pages.lock();
        let Pages { outputs, chance, .. } = &mut *pages;
        let Some(output) = outputs.get_mut(name) else { return healthy };
        let shown = output.faults.iter_mut().fold(healthy, |value, lie| lie.apply(value, chance, now));
        output.shown = Some(shown.clone());
        shown
    }

    /// What reaches the plant of an input that is `written`.
    pub(crate) fn loaded(&self, name: &str, written: f64) -> f64 {
        self.pages.lock().inputs.get(name).map_or(written, |input| written + input.load)
    }

    /// What somebody at the plant has set since the last time.
    pub(crate) fn set_by_hand(&self) -> Vec<(NodeId, f64)> {
        let mut pages = self.pages.lock();
        pages.inputs.values_mut().filter_map(|input| Some((input.id.clone(), input.set.take()?))).collect()
    }

    /// What happens to a client's write of this node, if it is not simply done: the answer.
    pub(crate) fn instead_of_writing(&self, node: &NodeId) -> Option<StatusCode> {
        let pages = self.pages.lock();
        let input = pages.inputs.values().find(|input| input.id == *node)?;
        input.refused.or(input.ignored.then_some(StatusCode::Good))
    }

    /// Tells whoever listens of a client's write.
    pub(crate) fn tell(&self, node: &NodeId, value: Option<&Variant>, status: StatusCode) {
        let pages = self.pages.lock();
        let Some((name, _)) = pages.inputs.iter().find(|(_, input)| input.id == *node) else { return };
        let value = match value {
            Some(Variant::Double(number)) => Some(*number),
            _ => None,
        };
        let status = status.sub_code().name().to_owned();
        // Mostly nobody listens.
        let _ = self.written.send(Written { node: name.clone(), value, status });
    }

    /// Hears of every write from now on.
    pub(super) fn listen(&self) -> broadcast::Receiver<Written> {
        self.written.subscribe()
    }
}

impl Pages {
    fn clear(&mut self, node: &str, kind: Option<Kind>) -> Result<(), String> {
        match (self.outputs.get_mut(node), self.inputs.get_mut(node), kind) {
            (Some(output), _, None) => output.clear(),
            (Some(output), _, Some(kind)) => output.faults.retain(|lie| lie.fault.kind() != kind),
            (None, Some(input), None) => input.clear(),
            (None, Some(input), Some(kind)) => input.clear_one(kind),
            (None, None, _) => {
                return Err(format!("there is no input or output `{node}`: `corerl-plant --list` has them"));
            }
        }
        Ok(())
    }
}

impl Output {
    fn clear(&mut self) {
        self.faults.clear();
    }
}

impl Input {
    fn clear(&mut self) {
        *self = Self { id: std::mem::take(&mut self.id), set: self.set, ..Self::default() };
    }

    /// A kind of output faults it never has.
    fn clear_one(&mut self, kind: Kind) {
        match kind {
            Kind::Refuse => self.refused = None,
            Kind::Ignore => self.ignored = false,
            Kind::Load => self.load = 0.0,
            _ => {}
        }
    }
}

fn known<'p, T>(all: &'p mut BTreeMap<String, T>, name: &str, what: &str) -> Result<&'p mut T, String> {
    let names = all.keys().cloned().collect::<Vec<_>>().join(", ");
    all.get_mut(name).ok_or_else(|| format!("there is no {what} `{name}`; there are {names}"))
}

impl Lie {
    fn apply(&mut self, value: DataValue, chance: &mut Chance, now: DateTime) -> DataValue {
        let number = |value: &DataValue| match value.value {
            Some(Variant::Double(number)) => number,
            _ => f64::NAN,
        };
        let with = |value: DataValue, number: f64| DataValue { value: Some(Variant::Double(number)), ..value };
        match self.fault {
            OutputFault::Frozen => {
                let held = self.held.get_or_insert_with(|| value.clone()).value.clone();
                DataValue { value: held, ..value }
            }
            OutputFault::Stale => self.held.get_or_insert(value).clone(),
            OutputFault::Nan => with(value, f64::NAN),
            OutputFault::Forced(to) => with(value, to),
            OutputFault::Offset(by) => {
                let number = number(&value) + by;
                with(value, number)
            }
            OutputFault::Noise(deviation) => {
                let number = number(&value) + deviation * chance.next();
                with(value, number)
            }
            OutputFault::Quality(status) => DataValue { status: Some(status), ..value },
            OutputFault::Skewed(by) => DataValue { source_timestamp: Some(now + by), ..value },
        }
    }
}

/// Numbers without a pattern, of deviation 1 and never beyond its double (SplitMix64).
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let uniform = ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        (2.0 * uniform - 1.0) * 3_f64.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        let plant = plants::by_name("saturation", 1).unwrap();
        Book::new(&crate::catalogue::nodes(plant.as_ref()), 1)
    }

    fn ask(book: &Book, line: &str) -> Result<String, String> {
        book.take(&Request::parse(line)?)
    }

    /// What is shown of `level` when it is really this.
    fn shown(book: &Book, level: f64) -> DataValue {
        let now = DateTime::now();
        book.shown("level", DataValue::new_at(level, now), now)
    }

    #[test]
    fn a_frozen_output_keeps_its_value_and_a_stale_one_its_time_as_well() {
        let book = book();
        let first = shown(&book, 0.5);
        ask(&book, r#"{"do": "stale", "node": "level"}"#).unwrap();
        assert_eq!(shown(&book, 0.6), first);
        ask(&book, r#"{"do": "clear", "node": "level"}"#).unwrap();
        assert_eq!(shown(&book, 0.6).value, Some(Variant::Double(0.6)));
        ask(&book, r#"{"do": "frozen", "node": "level"}"#).unwrap();
        let frozen = shown(&book, 0.7);
        assert_eq!(frozen.value, Some(Variant::Double(0.6)));
        assert!(frozen.source_timestamp > first.source_timestamp);
    }

    #[test]
    fn a_lie_changes_what_it_is_about_and_nothing_else() {
        let book = book();
        ask(&book, r#"{"do": "offset", "node": "level", "by": 0.25}"#).unwrap();
        assert_eq!(shown(&book, 0.5).value, Some(Variant::Double(0.75)));
        ask(&book, r#"{"do": "quality", "node": "level", "status": "BadSensorFailure"}"#).unwrap();
        let bad = shown(&book, 0.5);
        assert_eq!((bad.value, bad.status.is_some_and(|status| status.is_bad())), (Some(Variant::Double(0.75)), true));
        ask(&book, r#"{"do": "clear"}"#).unwrap();
        assert_eq!(shown(&book, 0.5).value, Some(Variant::Double(0.5)));
    }

    #[test]
    fn what_stands_still_does_so_under_whatever_is_added_later() {
        for still in ["frozen", "stale"] {
            let book = book();
            shown(&book, 0.5);
            ask(&book, &format!(r#"{{"do": "{still}", "node": "level"}}"#)).unwrap();
            ask(&book, r#"{"do": "offset", "node": "level", "by": 0.25}"#).unwrap();
            for level in [0.6, 0.7, 0.8] {
                assert_eq!(shown(&book, level).value, Some(Variant::Double(0.75)), "{still}");
            }
        }
    }

    #[test]
    fn one_kind_of_fault_ends_and_the_others_of_the_node_stay() {
        let book = book();
        ask(&book, r#"{"do": "offset", "node": "level", "by": 0.25}"#).unwrap();
        ask(&book, r#"{"do": "quality", "node": "level", "status": "BadSensorFailure"}"#).unwrap();
        ask(&book, r#"{"do": "clear", "node": "level", "kind": "quality"}"#).unwrap();
        let left = shown(&book, 0.5);
        assert_eq!(
            (left.value, left.status.is_some_and(|status| status.is_bad())),
            (Some(Variant::Double(0.75)), false)
        );
        let u = book.pages.lock().inputs["u"].id.clone();
        for fault in [r#"{"do": "load", "node": "u", "by": 0.1}"#, r#"{"do": "ignore", "node": "u"}"#] {
            ask(&book, fault).unwrap();
        }
        ask(&book, r#"{"do": "clear", "node": "u", "kind": "load"}"#).unwrap();
        assert_eq!((book.loaded("u", 0.5), book.instead_of_writing(&u)), (0.5, Some(StatusCode::Good)));
    }

    #[test]
    fn the_time_of_a_skewed_output_moves_ahead_or_back_as_it_was_asked() {
        let book = book();
        let now = DateTime::now();
        for (by_s, by_ms) in [(3600.0, 3_600_000), (-3600.0, -3_600_000)] {
            ask(&book, &format!(r#"{{"do": "skewed", "node": "level", "by_s": {by_s:?}}}"#)).unwrap();
            let shown = book.shown("level", DataValue::new_at(0.5, now), now);
            assert_eq!(shown.source_timestamp.map(|time| (time - now).num_milliseconds()), Some(by_ms));
        }
    }

    #[test]
    fn writes_of_an_input_are_refused_or_forgotten_and_told_either_way() {
        let book = book();
        let u = book.pages.lock().inputs["u"].id.clone();
        let mut told = book.listen();
        assert_eq!(book.instead_of_writing(&u), None);
        ask(&book, r#"{"do": "ignore", "node": "u"}"#).unwrap();
        assert_eq!(book.instead_of_writing(&u), Some(StatusCode::Good));
        ask(&book, r#"{"do": "refuse", "node": "u", "status": "BadOutOfRange"}"#).unwrap();
        assert_eq!(book.instead_of_writing(&u), Some(StatusCode::BadOutOfRange));
        book.tell(&u, Some(&Variant::Double(0.3)), StatusCode::BadOutOfRange);
        let written = told.try_recv().unwrap();
        assert_eq!((written.node.as_str(), written.value, written.status.as_str()), ("u", Some(0.3), "BadOutOfRange"));
    }

    #[test]
    fn a_node_that_is_not_there_or_of_the_other_kind_is_refused_with_those_that_are() {
        let refused = ask(&book(), r#"{"do": "frozen", "node": "u"}"#).unwrap_err();
        assert_eq!(refused, "there is no output `u`; there are level, level_sp");
        assert!(ask(&book(), r#"{"do": "clear", "node": "flow"}"#).unwrap_err().contains("`flow`"));
    }

    #[test]
    fn a_load_reaches_the_plant_and_a_hand_is_seen_once() {
        let book = book();
        ask(&book, r#"{"do": "load", "node": "u", "by": -0.1}"#).unwrap();
        assert_eq!(book.loaded("u", 0.5), 0.4);
        ask(&book, r#"{"do": "set", "node": "u", "value": 0.2}"#).unwrap();
        assert_eq!(book.set_by_hand().len(), 1);
        assert_eq!(book.set_by_hand().len(), 0);
    }
}
