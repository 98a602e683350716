//! Environments as a case file names them.

use std::path::PathBuf;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// The name of environments that others have.
const REMOTE: &str = "gymnasium";

/// What a case's agent acts on: a plant of ours, or an environment that another process has.
#[derive(Debug, Clone, PartialEq)]
pub enum Environment {
    /// One of ours, by its name.
    Plant(plants::Environment),
    /// `name: gymnasium`.
    Remote(RemoteOptions),
}

/// Where another process's environment is. Exactly one of `command` and `socket` is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteOptions {
    /// The program, with its arguments, that serves it on a socket which is its standard input; every trial starts one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The socket of a server that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// The agent's reward is the environment's times this; what is reported is the environment's.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub reward_scale: f64,
}

const fn one() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks it so")]
const fn is_one(number: &f64) -> bool {
    *number == 1.0
}

impl Environment {
    /// What a case file's text alone tells; the rest shows when the environment is made.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self::Remote(RemoteOptions { command, socket, reward_scale }) = self else { return Ok(()) };
        if command.is_empty() == socket.is_none() {
            return Err(format!(
                "an environment of the name {REMOTE} has either `command`, as in `command: [python3, -m, \
                 corerl_gymnasium, serve, Pendulum-v1]`, or `socket: PATH`"
            ));
        }
        if !(*reward_scale > 0.0 && reward_scale.is_finite()) {
            return Err(format!("`reward_scale` is {reward_scale}: write a number above 0"));
        }
        Ok(())
    }
}

impl Serialize for Environment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Named<'a> {
            name: &'static str,
            #[serde(flatten)]
            options: &'a RemoteOptions,
        }
        match self {
            Self::Plant(environment) => environment.serialize(serializer),
            Self::Remote(options) => Named { name: REMOTE, options }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let name = fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        if name == REMOTE {
            fields.remove("name");
            return RemoteOptions::deserialize(Value::Object(fields)).map(Self::Remote).map_err(D::Error::custom);
        }
        let known = plants::Environment::NAMES;
        if !known.contains(&name.as_str()) {
            let known = known.join(", ");
            return Err(D::Error::custom(format!("`name` is `{name}`: known are {known}, and {REMOTE}")));
        }
        plants::Environment::deserialize(Value::Object(fields)).map(Self::Plant).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Environment, String> {
        let environment: Environment = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        environment.check().map(|()| environment)
    }

    #[test]
    fn an_environment_is_a_plant_of_ours_or_somebody_elses_and_survives_a_round_trip() {
        for text in [
            "{name: saturation, delay_steps: 10, setpoint: 1}",
            "{name: gymnasium, command: [python3, -m, corerl_gymnasium, serve, Pendulum-v1], reward_scale: 0.1}",
            "{name: gymnasium, socket: /tmp/pendulum}",
        ] {
            let environment = read(text).unwrap();
            assert_eq!(read(&serde_saphyr::to_string(&environment).unwrap()).unwrap(), environment, "{text}");
            assert_eq!(matches!(environment, Environment::Plant(_)), text.contains("saturation"));
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        let refused = |text: &str| read(text).unwrap_err();
        assert!(
            refused("{name: boiler}").contains("known are saturation, ") && refused("{}").contains("and gymnasium")
        );
        assert!(refused("{name: saturation, taw: 1}").contains("taw"));
        assert!(refused("{name: gymnasium, sokket: x}").contains("sokket"));
        for neither_or_both in ["{name: gymnasium}", "{name: gymnasium, command: [a], socket: b}"] {
            assert!(refused(neither_or_both).contains("either `command`"));
        }
        for scale in ["0", "-1", ".inf", ".nan"] {
            let text = format!("{{name: gymnasium, socket: b, reward_scale: {scale}}}");
            assert!(read(&text).is_err(), "{text}");
        }
    }
}
