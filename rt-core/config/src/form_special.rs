//! The forms of values that are more than a word or a number, and fit into no table.

use std::path::PathBuf;

use serde_json::{Value, json};

use rt_core::pacing::Spin;
use rt_core::time::Span;

use crate::complaint::{Complaints, quoted};
use crate::form::{At, Form, one_of};
use crate::raw::{KeptByException, Pid, Priority, Ramp, StateSpaceController};
use crate::value::wanted;
use crate::yaml::{Kind, Node, Plain};

/// The schema version that this crate reads.
pub(crate) const SCHEMA_VERSION: &str = "corerl/1";

/// The schema version; anything but [`SCHEMA_VERSION`] is refused.
#[derive(Clone, Debug)]
pub(crate) struct SchemaVersion;

impl Form for SchemaVersion {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.text == SCHEMA_VERSION => Some(Self),
            Kind::Scalar(scalar) => {
                complaints.error(
                    node.at,
                    format!("the file has schema {}; this program reads {SCHEMA_VERSION}", quoted(&scalar.text)),
                    format!("use the program that the file was written for, or migrate the file to {SCHEMA_VERSION}"),
                );
                None
            }
            _ => wanted(node, "a schema version", &format!("write {SCHEMA_VERSION}"), complaints),
        }
    }

    fn schema() -> Value {
        json!({ "const": SCHEMA_VERSION })
    }
}

/// Digits of a [`PolicyKey`].
const POLICY_KEY_DIGITS: usize = 64;

/// A public key: 64 hexadecimal digits, in small letters.
#[derive(Clone, Debug)]
pub(crate) struct PolicyKey(pub(crate) String);

impl Form for PolicyKey {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        let text = String::decode(node, complaints)?;
        if text.len() == POLICY_KEY_DIGITS && text.bytes().all(|c| c.is_ascii_hexdigit()) {
            return Some(Self(text.to_ascii_lowercase()));
        }
        let help =
            format!("write the {POLICY_KEY_DIGITS} hexadecimal digits that `corerl model keygen` prints, in quotes");
        complaints.error(node.at, format!("{} is no public key", quoted(&text)), help);
        None
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[0-9A-Fa-f]{64}$" })
    }
}

/// The most characters of an [`Identifier`].
const IDENTIFIER_MAX: usize = 32;

/// A name that becomes part of paths: letters, digits, `-`, `_` and `.`, beginning with a letter or digit.
#[derive(Clone, Debug)]
pub(crate) struct Identifier(pub(crate) String);

impl Identifier {
    /// Whether `text` can be such a name.
    pub(crate) fn fits(text: &str) -> bool {
        (1..=IDENTIFIER_MAX).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    }
}

impl Form for Identifier {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        let text = String::decode(node, complaints)?;
        if Self::fits(&text) {
            return Some(Self(text));
        }
        complaints.error(
            node.at,
            format!("{} cannot be part of a file name", quoted(&text)),
            format!("use 1 to {IDENTIFIER_MAX} letters, digits, `-`, `_` or `.`, beginning with a letter or digit"),
        );
        None
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$" })
    }
}

/// A password or where it stands.
#[derive(Clone)]
pub(crate) enum Password {
    /// In clear: for the laboratory.
    Plain(String),
    /// In an environment variable.
    Env(String),
    /// In a file.
    File(PathBuf),
    /// In a credential of the service manager: a file of this name in `$CREDENTIALS_DIRECTORY` (systemd.exec(5)).
    Credential(String),
}

/// How to refer to a password.
pub(crate) const PASSWORD_HELP: &str =
    "write `password: {env: NAME}`, `password: {file: PATH}` or `password: {credential: NAME}`";

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("Plain(…)"),
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Credential(name) => f.debug_tuple("Credential").field(name).finish(),
        }
    }
}

impl Form for Password {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(_) => String::decode(node, complaints).map(Self::Plain),
            Kind::List(_) => wanted(node, "a reference to a password", PASSWORD_HELP, complaints),
            Kind::Map(entries) => match entries.as_slice() {
                [(key, value)] if key.name == "env" => String::decode(value, complaints).map(Self::Env),
                [(key, value)] if key.name == "credential" => String::decode(value, complaints).map(Self::Credential),
                [(key, value)] if key.name == "file" => {
                    String::decode(value, complaints).map(|path| Self::File(path.into()))
                }
                _ => wanted(node, "a reference to a password", PASSWORD_HELP, complaints),
            },
        }
    }

    fn schema() -> Value {
        let one = |key: &str| {
            json!({
                "type": "object",
                "properties": { key: { "type": "string" } },
                "required": [key],
                "additionalProperties": false,
            })
        };
        json!({ "anyOf": [one("env"), one("file"), one("credential"), { "type": "string" }] })
    }
}

/// A value, or `off`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OrOff<T> {
    Off,
    On(T),
}

impl<T> OrOff<T> {
    /// The value, unless it is `off`.
    pub(crate) fn on(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }
}

impl<T: Form> Form for OrOff<T> {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(scalar) if matches!(scalar.text.as_str(), "off" | "Off" | "OFF") => Some(Self::Off),
            _ => T::decode(node, complaints).map(Self::On),
        }
    }

    fn schema() -> Value {
        json!({ "anyOf": [{ "const": "off" }, T::schema()] })
    }
}

/// A duration, `off` or `auto`.
impl Form for Spin {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(scalar) if matches!(scalar.text.as_str(), "off" | "Off" | "OFF") => Some(Self::Off),
            Kind::Scalar(scalar) if scalar.text == "auto" => Some(Self::Auto),
            Kind::Scalar(scalar) if scalar.text.starts_with(|c: char| c.is_ascii_digit()) => {
                Span::decode(node, complaints).map(Self::Margin)
            }
            _ => wanted(node, "a margin", "write auto, off, or a duration such as 50us", complaints),
        }
    }

    fn schema() -> Value {
        json!({ "anyOf": [{ "enum": ["off", "auto"] }, Span::schema()] })
    }
}

/// Engineering units per second, or `unlimited`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RateChoice {
    PerSecond(f64),
    Unlimited,
}

impl Form for RateChoice {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        let number = match &node.kind {
            Kind::Scalar(scalar) if scalar.text == "unlimited" => return Some(Self::Unlimited),
            Kind::Scalar(scalar) => match scalar.plain() {
                Plain::Number(number) if number.is_finite() && number > 0.0 => Some(number),
                _ => None,
            },
            _ => None,
        };
        match number {
            Some(number) => Some(Self::PerSecond(number)),
            None => {
                let help = "write engineering units per second, above 0, or `unlimited`";
                wanted(node, "a rate", help, complaints)
            }
        }
    }

    fn schema() -> Value {
        json!({ "anyOf": [{ "type": "number", "exclusiveMinimum": 0 }, { "const": "unlimited" }] })
    }
}

/// Which values of a tag the historian keeps.
#[derive(Clone, Debug)]
pub(crate) enum KeptChoice {
    Every,
    ByException(At<KeptByException>),
}

impl Form for KeptChoice {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.text == "every" => Some(Self::Every),
            Kind::Map(_) => At::decode(node, complaints).map(Self::ByException),
            _ => wanted(node, "what is kept", "write `every` or `{deadband: VALUE, heartbeat: DURATION}`", complaints),
        }
    }

    fn schema() -> Value {
        json!({ "anyOf": [{ "const": "every" }, KeptByException::schema()] })
    }
}

/// The fallback of a setpoint.
#[derive(Clone, Debug)]
pub(crate) enum FallbackChoice {
    Hold,
    Nominal,
    Ramp(At<Ramp>),
    Pid(Box<At<Pid>>),
    StateSpace(Box<At<StateSpaceController>>),
}

impl Form for FallbackChoice {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        const HELP: &str = "write `{ramp: {to: VALUE, rate: VALUE}}`, `{pid: {…}}` or `{state_space: {…}}`";
        match &node.kind {
            Kind::Map(entries) => match entries.as_slice() {
                [(key, value)] if key.name == "ramp" => At::decode(value, complaints).map(Self::Ramp),
                [(key, value)] if key.name == "pid" => {
                    At::decode(value, complaints).map(|pid| Self::Pid(Box::new(pid)))
                }
                [(key, value)] if key.name == "state_space" => {
                    At::decode(value, complaints).map(|controller| Self::StateSpace(Box::new(controller)))
                }
                _ => wanted(node, "a fallback", HELP, complaints),
            },
            _ => match one_of(node, &["hold", "nominal"], complaints)? {
                "nominal" => Some(Self::Nominal),
                _ => Some(Self::Hold),
            },
        }
    }

    fn schema() -> Value {
        let one = |key: &str, schema: Value| {
            json!({
                "type": "object",
                "properties": { key: schema },
                "required": [key],
                "additionalProperties": false,
            })
        };
        json!({ "anyOf": [
            { "enum": ["hold", "nominal"] },
            one("ramp", Ramp::schema()),
            one("pid", Pid::schema()),
            one("state_space", StateSpaceController::schema()),
        ] })
    }
}

/// What an interlock does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    BlockIncrease,
    BlockDecrease,
    Release,
    Force(f64),
}

impl Form for Then {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(entries) => match entries.as_slice() {
                [(key, value)] if key.name == "force" => f64::decode(value, complaints).map(Self::Force),
                _ => wanted(node, "an interlock's action", "write `{force: VALUE}`", complaints),
            },
            _ => match one_of(node, &["block_increase", "block_decrease", "release"], complaints)? {
                "block_increase" => Some(Self::BlockIncrease),
                "block_decrease" => Some(Self::BlockDecrease),
                _ => Some(Self::Release),
            },
        }
    }

    fn schema() -> Value {
        json!({ "anyOf": [
            { "enum": ["block_increase", "block_decrease", "release"] },
            {
                "type": "object",
                "properties": { "force": { "type": "number" } },
                "required": ["force"],
                "additionalProperties": false,
            },
        ] })
    }
}

/// A value of a mode tag, or a tag of its own.
#[derive(Clone, Debug)]
pub(crate) enum ModeChoice {
    Value(f64),
    Tag(String),
}

impl Form for ModeChoice {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        let plain = match &node.kind {
            Kind::Scalar(scalar) => scalar.plain(),
            Kind::List(_) | Kind::Map(_) => Plain::Null,
        };
        match plain {
            Plain::Number(_) => f64::decode(node, complaints).map(Self::Value),
            Plain::Flag(flag) => Some(Self::Value(f64::from(u8::from(flag)))),
            Plain::Text => String::decode(node, complaints).map(Self::Tag),
            Plain::Null => wanted(node, "a value or a tag", "write a number, true or false, or a tag", complaints),
        }
    }

    fn schema() -> Value {
        json!({ "type": ["number", "boolean", "string"] })
    }
}

/// Goals, which may contain goals: the schema refers to itself.
#[derive(Clone, Debug)]
pub(crate) struct Goals(pub(crate) Vec<At<Priority>>);

impl Form for Goals {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        Form::decode(node, complaints).map(Self)
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": { "$ref": "#/definitions/priority" } })
    }
}

/// `all`, or a list of tags.
#[derive(Clone, Debug)]
pub(crate) enum TagChoice {
    All,
    Named(Vec<At<String>>),
}

impl Form for TagChoice {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        match node.kind {
            Kind::List(_) => Form::decode(node, complaints).map(Self::Named),
            _ => one_of(node, &["all"], complaints).map(|_| Self::All),
        }
    }

    fn schema() -> Value {
        json!({ "anyOf": [{ "const": "all" }, Vec::<At<String>>::schema()] })
    }
}

/// One value for all, or a list.
#[derive(Clone, Debug)]
pub(crate) enum OneOrMore<T> {
    One(T),
    More(Vec<At<T>>),
}

impl<T: Form> Form for OneOrMore<T> {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        match node.kind {
            Kind::List(_) => Form::decode(node, complaints).map(Self::More),
            _ => T::decode(node, complaints).map(Self::One),
        }
    }

    fn schema() -> Value {
        json!({ "anyOf": [T::schema(), { "type": "array", "items": T::schema() }] })
    }
}
