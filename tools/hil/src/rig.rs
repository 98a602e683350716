//! Real hardware: what is there, where it listens, and that it may be written.

use std::path::Path;

use serde::Deserialize;

/// A rig, as its file describes it.
///
/// ```toml
/// name = "bench"
/// about = "The pump on the bench, behind a PLC"
/// endpoint = "opc.tcp://192.0.2.17:4840"
/// # Without this nothing is ever written to it.
/// permits_writing = true
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rig {
    /// Its name, by which scenarios mean it.
    pub name: String,
    /// What it is, in a sentence.
    pub about: String,
    /// Where its OPC UA server listens.
    pub endpoint: String,
    /// Whoever wrote the file stands in for what setpoints do there.
    pub permits_writing: bool,
}

impl Rig {
    /// Reads and checks the file of a rig that a scenario is run against: it has to permit writing.
    ///
    /// # Errors
    /// A sentence with the place.
    pub fn load(file: &Path) -> Result<Self, String> {
        Self::read(file)?.permitted().map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Reads and checks the file of a rig to which nothing is done.
    ///
    /// # Errors
    /// A sentence with the place.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text =
            std::fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", file.display()))
    }

    fn permitted(self) -> Result<Self, String> {
        if self.permits_writing {
            return Ok(self);
        }
        Err(format!(
            "the rig `{}` does not permit writing: a scenario writes setpoints; set `permits_writing = true` when nobody is in \
             danger there",
            self.name
        ))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let rig: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        if !rig.endpoint.starts_with("opc.tcp://") {
            return Err(format!("`{}` is no address: write opc.tcp://HOST:PORT", rig.endpoint));
        }
        Ok(rig)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BENCH: &str =
        "name = \"bench\"\nabout = \"a pump\"\nendpoint = \"opc.tcp://192.0.2.17:4840\"\npermits_writing = true\n";

    #[test]
    fn a_rig_says_where_it_is_and_that_it_may_be_written() {
        assert_eq!(Rig::parse(BENCH).unwrap().name, "bench");
        assert!(Rig::parse(BENCH).unwrap().permitted().is_ok());
        let refused = Rig::parse(&BENCH.replace("true", "false")).unwrap().permitted().unwrap_err();
        assert!(refused.contains("`bench` does not permit writing"), "{refused}");
    }

    #[test]
    fn a_key_that_is_unknown_missing_or_no_address_is_told_with_its_place() {
        let unknown = Rig::parse(&format!("{BENCH}adress = 1\n")).unwrap_err();
        assert!(unknown.contains("unknown field `adress`") && unknown.contains("line 5"), "{unknown}");
        let missing = Rig::parse(&BENCH.replace("permits_writing = true\n", "")).unwrap_err();
        assert!(missing.contains("missing field `permits_writing`"), "{missing}");
        assert!(Rig::parse(&BENCH.replace("opc.tcp", "http")).unwrap_err().contains("is no address"));
    }
}
