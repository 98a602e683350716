//! The forms of single values, lists and mappings with free names.

use serde_json::{Value, json};

use rt_core::time::Span;

use crate::complaint::{Complaints, quoted};
use crate::duration;
use crate::form::{At, Form};
use crate::site::Range;
use crate::yaml::{Kind, Node, Plain, Scalar};

/// The most characters of a name or any other text that is not an expression.
const TEXT_MAX: usize = 512;

/// Complains that `node` is not what is wanted.
pub fn wanted<T>(node: &Node, what: &str, help: &str, complaints: &mut Complaints<'_>) -> Option<T> {
    complaints.error(node.at, format!("this is {} where {what} belongs", node.called()), help);
    None
}

fn scalar(node: &Node) -> Option<&Scalar> {
    match &node.kind {
        Kind::Scalar(scalar) => Some(scalar),
        Kind::List(_) | Kind::Map(_) => None,
    }
}

/// Text that is not empty.
impl Form for String {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        match scalar(node) {
            Some(scalar) if scalar.text.chars().count() > TEXT_MAX => {
                complaints.error(node.at, format!("text of more than {TEXT_MAX} characters"), "shorten it");
                None
            }
            Some(scalar) if scalar.plain() == Plain::Text => {
                if scalar.text.chars().any(char::is_control) {
                    complaints.error(node.at, "text with control characters", "remove them");
                    return None;
                }
                Some(scalar.text.clone())
            }
            Some(scalar) if scalar.plain() != Plain::Null => {
                wanted(node, "text", &format!("put it in quotes: \"{}\"", scalar.text), complaints)
            }
            _ => wanted(node, "text", "write the text after the colon", complaints),
        }
    }

    fn schema() -> Value {
        json!({ "type": "string", "maxLength": TEXT_MAX })
    }
}

impl Form for bool {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        match scalar(node).map(Scalar::plain) {
            Some(Plain::Flag(flag)) => Some(flag),
            _ => wanted(node, "`true` or `false`", "write true or false, without quotes", complaints),
        }
    }

    fn schema() -> Value {
        json!({ "type": "boolean" })
    }
}

/// A finite number.
impl Form for f64 {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        match scalar(node) {
            Some(scalar) => match scalar.plain() {
                Plain::Number(number) if number.is_finite() => Some(number),
                Plain::Number(_) => wanted(node, "a finite number", "write the number out", complaints),
                Plain::Text if scalar.text.parse::<f64>().is_ok() => {
                    wanted(node, "a number", "remove the quotes", complaints)
                }
                _ => wanted(node, "a number", "write a number such as 0.5", complaints),
            },
            None => wanted(node, "a number", "write a number such as 0.5", complaints),
        }
    }

    fn schema() -> Value {
        json!({ "type": "number" })
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> Form for Whole<MIN, MAX> {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        let number = scalar(node).filter(|scalar| matches!(scalar.plain(), Plain::Number(_))).and_then(|scalar| {
            let Plain::Number(number) = scalar.plain() else { return None };
            let exact = number >= 0.0 && number < 2f64.powi(53) && number.fract() == 0.0;
            scalar.text.parse::<u64>().ok().or(exact.then_some(number as u64))
        });
        match number {
            Some(number) if (MIN..=MAX).contains(&number) => Some(Self(number)),
            _ => wanted(node, "a whole number", &format!("write a number from {MIN} to {MAX}"), complaints),
        }
    }

    fn schema() -> Value {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// How durations are written, for help and schema.
const DURATION_HELP: &str = "write a duration such as \"00:00:05\", 10ms, 1.5s or PT5S";

impl Form for Span {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        let Some(scalar) = scalar(node) else { return wanted(node, "a duration", DURATION_HELP, complaints) };
        match duration::parse(&scalar.text) {
            Ok(span) => Some(span),
            Err(error) => {
                let help = match error {
                    duration::DurationError::NoUnit => format!("add the unit: {0}s or {0}ms", scalar.text.trim()),
                    _ => DURATION_HELP.to_owned(),
                };
                complaints.error(node.at, format!("{} {}", quoted(&scalar.text), error.message()), help);
                None
            }
        }
    }

    fn schema() -> Value {
        json!({
            "type": "string",
            "pattern": concat!(
                r"^\s*([0-9]+(\.[0-9]+)?\s*(ns|us|µs|ms|s|min|h|d)|[0-9]+:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]+)?|",
                r"[Pp]([0-9.]+[Dd])?([Tt]([0-9.]+[HhMmSs])+)?)\s*$"
            ),
        })
    }
}

/// Two numbers, the lower one first.
impl Form for Range {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        let [lo, hi] = pair(node, "a range", "write two numbers: [0.0, 1.0]", complaints)?;
        if [lo, hi].iter().any(|end| scalar(end).is_some_and(|end| end.plain() == Plain::Null)) {
            let help = "write both ends: where nothing ends, a number that is never reached";
            complaints.error(node.at, "this range has one end", help);
            return None;
        }
        let (lo, hi) = (f64::decode(lo, complaints)?, f64::decode(hi, complaints)?);
        if lo < hi && (hi - lo).is_finite() {
            return Some(Self { lo, hi });
        }
        let (message, help) = if lo > hi {
            (format!("the range is reversed: {lo} is above {hi}"), format!("write [{hi}, {lo}]"))
        } else {
            (
                format!("the range from {lo} to {hi} has no usable width"),
                "the first number must be below the second".into(),
            )
        };
        complaints.error(node.at, message, help);
        None
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 })
    }
}

/// The two items of a list of two.
pub(crate) fn pair<'n>(
    node: &'n Node,
    what: &str,
    help: &str,
    complaints: &mut Complaints<'_>,
) -> Option<[&'n Node; 2]> {
    if let Kind::List(items) = &node.kind
        && let [first, second] = items.as_slice()
    {
        return Some([first, second]);
    }
    wanted(node, what, help, complaints)
}

/// An expression over tags, or a number. It is parsed once the tags are known.
#[derive(Clone, Debug)]
pub(crate) struct Formula {
    /// Its text.
    pub(crate) text: String,
    node: Node,
}

impl Formula {
    /// The place in the file of the byte at `offset` of the text.
    pub(crate) fn place(&self, offset: usize, complaints: &Complaints<'_>) -> crate::complaint::Place {
        self.node.place_of(offset, complaints.text())
    }
}

impl Form for Formula {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        match scalar(node) {
            Some(scalar) if matches!(scalar.plain(), Plain::Text | Plain::Number(_)) => {
                Some(Self { text: scalar.text.clone(), node: node.clone() })
            }
            None if matches!(node.kind, Kind::Map(_)) => {
                let help = "an expression that begins with a brace needs quotes: \"{TAG} - 0.2\"";
                wanted(node, "an expression", help, complaints)
            }
            _ => wanted(node, "an expression", "write \"{TAG} - 0.2\" or a number", complaints),
        }
    }

    fn schema() -> Value {
        json!({ "type": ["string", "number"] })
    }
}

/// Two expressions.
#[derive(Clone, Debug)]
pub(crate) struct FormulaPair(pub(crate) Formula, pub(crate) Formula);

impl Form for FormulaPair {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        let help = "write two numbers or expressions: [\"{PH_SP} - 0.2\", \"{PH_SP} + 0.2\"]";
        let [lo, hi] = pair(node, "a pair of bounds", help, complaints)?;
        Some(Self(Formula::decode(lo, complaints)?, Formula::decode(hi, complaints)?))
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": Formula::schema(), "minItems": 2, "maxItems": 2 })
    }
}

/// A list; items that are wrong are complained of and left out.
impl<T: Form> Form for Vec<At<T>> {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        let Kind::List(items) = &node.kind else {
            return wanted(node, "a list", "write its items with a dash each, or in brackets", complaints);
        };
        Some(items.iter().filter_map(|item| At::decode(item, complaints)).collect())
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }
}

/// A mapping whose keys are names from elsewhere in the file, in the file's order.
#[derive(Clone, Debug)]
pub struct Named<T>(pub Vec<(At<String>, T)>);

impl<T: Form> Form for Named<T> {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            return wanted(node, "a mapping from names", "write `NAME: …`, one per line", complaints);
        };
        let decoded = entries.iter().filter_map(|(key, value)| {
            Some((At { value: key.name.clone(), at: key.at }, T::decode(value, complaints)?))
        });
        Some(Self(decoded.collect()))
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}

/// A value that is accepted and not looked at.
#[derive(Clone, Debug)]
pub struct Anything;

impl Form for Anything {
    fn decode(_: &Node, _: &mut Complaints<'_>) -> Option<Self> {
        Some(Self)
    }

    fn schema() -> Value {
        json!({})
    }
}
