//! What can be asked for: one JSON object a line, `{"do": "frozen", "node": "level"}`.

use chrono::TimeDelta;
use opcua_types::{StatusCode, SubStatusCode};
use serde::Deserialize;

/// Source timestamps are moved by this much at most, seconds: ten years.
const SKEW_MAX_S: f64 = 315_360_000.0;

/// What is wrong with an output. Of one kind there is one at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum OutputFault {
    /// The value stands still, its time goes on.
    Frozen,
    /// Value and time stand still.
    Stale,
    /// It is no number, with good quality.
    Nan,
    /// This value, whatever the plant does.
    Forced(f64),
    /// So much is added.
    Offset(f64),
    /// Noise of this deviation is added.
    Noise(f64),
    /// It has this status.
    Quality(StatusCode),
    /// Its time is moved by so much, as by a server whose clock is wrong.
    Skewed(TimeDelta),
}

/// A request that makes sense by itself; whether there is such a node the plant knows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    /// A fault of an output begins.
    Output { node: String, fault: OutputFault },
    /// Writes of an input are answered with this status.
    Refuse { node: String, status: StatusCode },
    /// Writes of an input are answered with Good and forgotten.
    Ignore { node: String },
    /// So much reaches the plant beside what is written.
    Load { node: String, by: f64 },
    /// Somebody at the plant sets an input.
    Set { node: String, value: f64 },
    /// Faults end: of a node those of a kind, or all; without a node all there are.
    Clear { node: Option<String>, kind: Option<Kind> },
    /// This connection hears of every write from now on.
    Writes,
}

/// A request as it is written.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Frozen { node: String },
    Stale { node: String },
    Nan { node: String },
    Forced { node: String, value: f64 },
    Offset { node: String, by: f64 },
    Noise { node: String, deviation: f64 },
    Quality { node: String, status: String },
    Skewed { node: String, by_s: f64 },
    Refuse { node: String, status: String },
    Ignore { node: String },
    Load { node: String, by: f64 },
    Set { node: String, value: f64 },
    Clear { node: Option<String>, kind: Option<Kind> },
    Writes {},
}

/// What can be wrong with a node, by the word that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Frozen,
    Stale,
    Nan,
    Forced,
    Offset,
    Noise,
    Quality,
    Skewed,
    Refuse,
    Ignore,
    Load,
}

impl Kind {
    /// The word.
    const fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::Stale => "stale",
            Self::Nan => "nan",
            Self::Forced => "forced",
            Self::Offset => "offset",
            Self::Noise => "noise",
            Self::Quality => "quality",
            Self::Skewed => "skewed",
            Self::Refuse => "refuse",
            Self::Ignore => "ignore",
            Self::Load => "load",
        }
    }
}

impl OutputFault {
    /// Its kind.
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Frozen => Kind::Frozen,
            Self::Stale => Kind::Stale,
            Self::Nan => Kind::Nan,
            Self::Forced(_) => Kind::Forced,
            Self::Offset(_) => Kind::Offset,
            Self::Noise(_) => Kind::Noise,
            Self::Quality(_) => Kind::Quality,
            Self::Skewed(_) => Kind::Skewed,
        }
    }
}

impl Request {
    /// The request in a line, or what is wrong with it.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let line = serde_json::from_str(line).map_err(|error| {
            format!("this is no request: {error}; write {{\"do\": \"frozen\", \"node\": \"level\"}}, say")
        })?;
        let output = |node, fault| Self::Output { node, fault };
        Ok(match line {
            Line::Frozen { node } => output(node, OutputFault::Frozen),
            Line::Stale { node } => output(node, OutputFault::Stale),
            Line::Nan { node } => output(node, OutputFault::Nan),
            Line::Forced { node, value } => output(node, OutputFault::Forced(value)),
            Line::Offset { node, by } => output(node, OutputFault::Offset(by)),
            Line::Noise { node, deviation } => output(node, OutputFault::Noise(deviation)),
            Line::Quality { node, status } => output(node, OutputFault::Quality(status_code(&status)?)),
            Line::Skewed { node, by_s } => output(node, OutputFault::Skewed(skew(by_s)?)),
            Line::Refuse { node, status } => Self::Refuse { node, status: refusing(&status)? },
            Line::Ignore { node } => Self::Ignore { node },
            Line::Load { node, by } => Self::Load { node, by },
            Line::Set { node, value } => Self::Set { node, value },
            Line::Clear { node: None, kind: Some(_) } => return Err("whose fault ends? add the node".to_owned()),
            Line::Clear { node, kind } => Self::Clear { node, kind },
            Line::Writes {} => Self::Writes,
        })
    }

    /// What was done, for people.
    pub(crate) fn done(&self) -> String {
        match self {
            Self::Output { node, fault } => match fault {
                OutputFault::Frozen => format!("{node} keeps its value"),
                OutputFault::Stale => format!("{node} keeps its value and its time"),
                OutputFault::Nan => format!("{node} is no number"),
                OutputFault::Forced(value) => format!("{node} is {value}"),
                OutputFault::Offset(by) => format!("{node} is {by} higher"),
                OutputFault::Noise(deviation) => format!("{node} has noise of deviation {deviation}"),
                OutputFault::Quality(status) => format!("{node} has status {status}"),
                OutputFault::Skewed(by) => format!("the time of {node} is moved by {} s", by.num_seconds()),
            },
            Self::Refuse { node, status } => format!("writes of {node} are answered with {status}"),
            Self::Ignore { node } => format!("writes of {node} are forgotten"),
            Self::Load { node, by } => format!("{by} reaches the plant beside {node}"),
            Self::Set { node, value } => format!("{node} is set to {value} at the plant's next step"),
            Self::Clear { node: Some(node), kind: Some(kind) } => format!("{node} is without {}", kind.name()),
            Self::Clear { node: Some(node), kind: None } => format!("nothing is wrong with {node}"),
            Self::Clear { node: None, .. } => "nothing is wrong".to_owned(),
            Self::Writes => "writes are told".to_owned(),
        }
    }
}

fn status_code(name: &str) -> Result<StatusCode, String> {
    let known = name.parse::<SubStatusCode>().map(StatusCode::from_category);
    known.map_err(|_| format!("OPC UA has no status `{name}`: write a name such as BadSensorFailure"))
}

fn refusing(name: &str) -> Result<StatusCode, String> {
    let status = status_code(name)?;
    let refuses = status.is_bad().then_some(status);
    refuses.ok_or_else(|| format!("`{name}` refuses nothing: write a name that begins with Bad"))
}

fn skew(by_s: f64) -> Result<TimeDelta, String> {
    let by = (by_s.abs() <= SKEW_MAX_S).then(|| TimeDelta::try_milliseconds((by_s * 1e3) as i64)).flatten();
    by.ok_or_else(|| format!("a time is moved by ten years at most, which is {SKEW_MAX_S} s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_done_to_which_node() {
        let request =
            Request::parse(r#"{"do": "quality", "node": "level", "status": "UncertainInitialValue"}"#).unwrap();
        let Request::Output { node, fault: OutputFault::Quality(status) } = request else { panic!("{request:?}") };
        assert_eq!((node.as_str(), status.is_uncertain()), ("level", true));
        assert_eq!(Request::parse(r#"{"do": "clear"}"#), Ok(Request::Clear { node: None, kind: None }));
        let one = Request::Clear { node: Some("level".into()), kind: Some(Kind::Offset) };
        assert_eq!(Request::parse(r#"{"do": "clear", "node": "level", "kind": "offset"}"#), Ok(one));
    }

    #[test]
    fn a_line_that_asks_for_nothing_that_there_is_gets_a_sentence() {
        for (line, part) in [
            ("freeze", "write {\"do\""),
            (r#"{"do": "melt", "node": "level"}"#, "unknown variant `melt`"),
            (r#"{"do": "frozen", "node": "level", "for": 3}"#, "unknown field `for`"),
            (r#"{"do": "quality", "node": "level", "status": "Broken"}"#, "no status `Broken`"),
            (r#"{"do": "clear", "node": "level", "kind": "melted"}"#, "unknown variant `melted`"),
            (r#"{"do": "clear", "kind": "offset"}"#, "add the node"),
            (r#"{"do": "refuse", "node": "u", "status": "UncertainInitialValue"}"#, "refuses nothing"),
            (r#"{"do": "skewed", "node": "level", "by_s": 1e12}"#, "ten years"),
        ] {
            let refused = Request::parse(line).unwrap_err();
            assert!(refused.contains(part), "{line}: {refused}");
        }
    }
}
