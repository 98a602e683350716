//! The text of a drafted site file.

use std::fmt;
use std::path::Path;

use ua_session::{OfferedEndpoint, ScalarKind, SecurityPolicy};

/// A node that could become a tag.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) node: String,
    pub(super) kind: ScalarKind,
    pub(super) writable: bool,
    pub(super) unit: Option<String>,
    /// EURange.
    pub(super) range: Option<(f64, f64)>,
}

/// How the server is reached.
pub(super) struct Way<'a> {
    pub(super) url: &'a str,
    /// The best endpoint that signs and encrypts.
    pub(super) secured: Option<(SecurityPolicy, &'a OfferedEndpoint)>,
    pub(super) cert: Option<&'a Path>,
    pub(super) key: Option<&'a Path>,
    pub(super) trust_dir: &'a Path,
    /// The user, and the variable with the password.
    pub(super) user: Option<(&'a str, &'a str)>,
}

/// A site file as its text.
pub(super) struct Draft<'a> {
    pub(super) way: Way<'a>,
    pub(super) candidates: &'a [Candidate],
}

impl fmt::Display for Draft<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# A site file drafted from {}. Nothing is controlled yet: to fill in,", plain(self.way.url))?;
        writeln!(
            f,
            "#  - which tags are setpoints: `type: ai_setpoint`, with `operating_range` and a rate in runtime.limits"
        )?;
        writeln!(f, "#  - interaction: how often the agent looks and acts")?;
        writeln!(f, "#  - reward: what it is all for")?;
        writeln!(f, "# Remove tags that are nothing to the agent. `corerl config schema` describes every key.")?;
        writeln!(f, "schema: corerl/1\nagent_name: agent")?;
        self.way.fmt(f)?;
        writeln!(f, "\ninteraction:\n  obs_period: 1s\n  action_period: 1s\n\npipeline:\n  tags:")?;
        self.candidates.iter().try_for_each(|candidate| candidate.fmt(f))?;
        writeln!(
            f,
            "  reward:\n    value: \"0\"              # an expression over tags, such as \"-abs({{TAG}} - 0.5)\""
        )?;
        writeln!(
            f,
            "\nruntime:\n  site: site\n  # limits:                 # what no policy can go beyond, per setpoint"
        )?;
        let first = self.candidates.iter().filter(|of| of.writable).find_map(|of| Some((of, of.range?)));
        first.map_or(Ok(()), |(of, (lo, hi))| {
            writeln!(
                f,
                "  #   {}: {{range: [{lo:?}, {hi:?}], rate: 0.1}}    # engineering units per second",
                quoted(&of.name)
            )
        })
    }
}

impl fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.secured.is_none() {
            writeln!(f, "lab: true                   # the server offers no encryption: never on a real plant")?;
        }
        writeln!(f, "\ncoreio:\n  opc_connections:\n    - connection_id: plant")?;
        writeln!(f, "      opc_conn_url: {}", quoted(self.url))?;
        if let Some((policy, endpoint)) = &self.secured {
            let path = |path: Option<&Path>, usual: &str| quoted(&path.unwrap_or(Path::new(usual)).to_string_lossy());
            writeln!(
                f,
                "      # The server calls itself {} and shows the certificate",
                plain(&endpoint.application_uri)
            )?;
            writeln!(f, "      #   {}  {}", endpoint.thumbprint.to_uppercase(), plain(&endpoint.subject))?;
            writeln!(
                f,
                "      # which nobody has verified: compare it with what the server itself shows, then `corerl io trust add`."
            )?;
            writeln!(
                f,
                "      security_policy:\n        policy: {}\n        mode: sign_and_encrypt",
                name_of(*policy)
            )?;
            writeln!(f, "        # `corerl io cert create` makes both; the server has to trust the certificate.")?;
            writeln!(f, "        client_cert_path: {}", path(self.cert, "pki/corerl.der"))?;
            writeln!(f, "        client_key_path: {}", path(self.key, "pki/corerl.pem"))?;
            writeln!(f, "        trust_dir: {}", path(Some(self.trust_dir), "trust"))?;
        }
        match (self.user, &self.secured) {
            (Some((user, variable)), _) => {
                writeln!(f, "      authentication_mode:\n        username: {}", quoted(user))?;
                writeln!(f, "        password: {{env: {}}}", quoted(variable))
            }
            (None, Some((_, endpoint))) => {
                writeln!(f, "      # authentication_mode:    # it lets in: {}", plain(&endpoint.identities.join(", ")))
            }
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "    - name: {}              # {:?}", quoted(&self.name), self.kind)?;
        if self.writable {
            writeln!(f, "      # May be written: a setpoint, if the agent shall move it (type: ai_setpoint).")?;
        }
        writeln!(f, "      node_identifier: {}", quoted(&self.node))?;
        match &self.unit {
            Some(unit) => writeln!(f, "      unit: {}", quoted(&plain(unit)))?,
            None => writeln!(f, "      # unit: \"\"              # the node has no EngineeringUnits")?,
        }
        match self.range {
            Some((lo, hi)) => writeln!(f, "      expected_range: [{lo:?}, {hi:?}]      # its EURange"),
            None => {
                writeln!(
                    f,
                    "      type: meta              # read, and no part of the agent's state, because it has no EURange:"
                )?;
                writeln!(f, "      # expected_range: [0, 1]    # write it, and take `type: meta` away, to make it one")
            }
        }
    }
}

/// As the site file calls it.
const fn name_of(policy: SecurityPolicy) -> &'static str {
    match policy {
        SecurityPolicy::Basic256Sha256 => "basic256_sha256",
        SecurityPolicy::Aes128Sha256RsaOaep => "aes128_sha256_rsaoaep",
        SecurityPolicy::Aes256Sha256RsaPss => "aes256_sha256_rsapss",
    }
}

/// A string of JSON, which is one of YAML (YAML 1.2.2, 1.1 and 5.7), whatever a server calls its nodes.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What may stand in a comment, and in any text of a site file.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, writable: bool, range: Option<(f64, f64)>) -> Candidate {
        let node = format!("nsu=urn:p;s={name}");
        Candidate {
            name: name.to_owned(),
            node,
            kind: ScalarKind::Double,
            writable,
            unit: Some("m\"\n".to_owned()),
            range,
        }
    }

    #[test]
    fn a_draft_lacks_nothing_but_a_setpoint_and_is_fine_with_one() {
        let candidates = [candidate("U", true, Some((0.0, 1e-7))), candidate("X: # \"ü\"", false, None)];
        let way =
            Way { url: "opc.tcp://p:1", secured: None, cert: None, key: None, trust_dir: Path::new("t"), user: None };
        let text = Draft { way, candidates: &candidates }.to_string();
        let parse = |text: &str| rt_config::parse_to_look_at(text, Path::new("site.yaml"));
        let refused = parse(&text).expect_err("no setpoint").complaints;
        let errors = refused.iter().filter(|complaint| complaint.severity == rt_config::Severity::Error);
        let errors: Vec<_> = errors.map(|complaint| complaint.message.as_str()).collect();
        assert_eq!(errors, ["there is no setpoint to move"], "{text}");
        let setpoint =
            "      type: ai_setpoint\n      operating_range: [0, 1e-7]\n      node_identifier: \"nsu=urn:p;s=U\"";
        let text = text.replace("      node_identifier: \"nsu=urn:p;s=U\"", setpoint);
        let text = text.replace("  # limits:", "  limits:").replace("  #   \"U\"", "    \"U\"");
        let site = parse(&text).unwrap_or_else(|refused| panic!("{refused}\n{text}")).site;
        let tags: Vec<_> = site.tags.iter().map(|tag| (tag.name.as_str(), tag.unit.as_str())).collect();
        assert_eq!(tags, [("U", "m\" "), ("X: # \"ü\"", "m\" ")]);
    }
}
