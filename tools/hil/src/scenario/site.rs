//! The site file of a scenario: as it is written, with the scenario's own values and the address of the plant that it is run
//! against.

use std::path::{Path, PathBuf};

use rt_config::document::{Complaints, read, to_json};
use rt_config::{Loaded, Refused, Site};
use serde_json::{Map, Value, json};

/// The keys by which elements of lists are called.
const NAMES: [&str; 2] = ["name", "connection_id"];

/// The runtime's certificate, beside the site file that it is started with.
pub(crate) const CERTIFICATE_FILE: &str = "client.der";
/// Its key.
pub(crate) const KEY_FILE: &str = "client.pem";
/// Whom the runtime trusts, and whom nobody has decided about.
pub(crate) const TRUST_DIR: &str = "trust";

/// A site file that is complete but for the address of the plant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template {
    values: Value,
    /// The file that it came from.
    file: PathBuf,
}

impl Template {
    /// The site file at `file`, with these values by their dotted paths.
    ///
    /// # Errors
    /// A sentence, or all complaints about the file.
    pub(crate) fn read(file: &Path, with: &[(String, Value)]) -> Result<Self, String> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("the site file {} cannot be read: {error}", file.display()))?;
        let mut complaints = Complaints::of(file, &text, "`corerl config example` prints a complete site file");
        let Some(tree) = read(&mut complaints) else {
            return Err(Refused { complaints: complaints.into_sorted() }.to_string());
        };
        let mut template = Self { values: to_json(&tree), file: file.to_owned() };
        absolute_paths(&mut template.values, file.parent().unwrap_or(Path::new("")));
        with.iter().try_for_each(|(path, value)| template.set(path, value.clone()))?;
        Ok(template)
    }

    /// The same with other values.
    ///
    /// # Errors
    /// A path leads through something that is no mapping and no list.
    pub(crate) fn with(mut self, values: &[(String, Value)]) -> Result<Self, String> {
        values.iter().try_for_each(|(path, value)| self.set(path, value.clone()))?;
        Ok(self)
    }

    /// The same with a connection that is signed and encrypted, with the runtime's own certificate and trust directory.
    pub(crate) fn secured(mut self) -> Self {
        if let Some(connection) = self.values.pointer_mut("/coreio/opc_connections/0") {
            connection["security_policy"] = json!({
                "policy": "basic256_sha256",
                "client_cert_path": CERTIFICATE_FILE,
                "client_key_path": KEY_FILE,
                "trust_dir": TRUST_DIR,
            });
        }
        self
    }

    /// The text of a site file whose one connection leads to `url`, and whose trust directory lies beside it. JSON is YAML, too.
    pub(crate) fn text(&self, url: &str) -> String {
        let mut values = self.leading_to(url);
        if let Some(Value::Object(security)) = values.pointer_mut("/coreio/opc_connections/0/security_policy") {
            security.insert("trust_dir".to_owned(), Value::from(TRUST_DIR));
        }
        format!("{values:#}\n")
    }

    fn leading_to(&self, url: &str) -> Value {
        let mut values = self.values.clone();
        if let Some(connection) = values.pointer_mut("/coreio/opc_connections/0") {
            connection["opc_conn_url"] = Value::from(url);
        }
        values
    }

    /// The site, for a plant that is anywhere.
    ///
    /// # Errors
    /// All complaints about it.
    pub(crate) fn site(&self) -> Result<Site, Refused> {
        let text = self.leading_to("opc.tcp://127.0.0.1:4840").to_string();
        let Loaded { site, .. } = rt_config::parse_to_look_at(&text, &self.file)?;
        Ok(site)
    }

    fn set(&mut self, path: &str, value: Value) -> Result<(), String> {
        let mut place = &mut self.values;
        for name in path.split('.') {
            place = step_into(place, name)
                .ok_or_else(|| format!("`{path}` leads nowhere in {}: there is no `{name}`", self.file.display()))?;
        }
        *place = value;
        Ok(())
    }
}

/// The value below a name: of a mapping, where it comes to be there, or the element of a list that is called so.
fn step_into<'v>(value: &'v mut Value, name: &str) -> Option<&'v mut Value> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => Some(map.entry(name).or_insert(Value::Null)),
        Value::Array(items) => {
            items.iter_mut().find(|item| NAMES.iter().any(|key| item.get(key).is_some_and(|called| called == name)))
        }
        _ => None,
    }
}

/// Paths that are relative to the file stay what they are when the text moves to another directory.
fn absolute_paths(value: &mut Value, base: &Path) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let is_path = key.ends_with("_path") || key.ends_with("_file");
                match value.as_str().map(|text| base.join(text)).filter(|path| is_path && path.exists()) {
                    Some(path) => *value = Value::from(path.canonicalize().unwrap_or(path).display().to_string()),
                    None => absolute_paths(value, base),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| absolute_paths(item, base)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(values: Value) -> Template {
        Template { values, file: "site.yaml".into() }
    }

    #[test]
    fn a_dotted_path_leads_through_mappings_and_to_elements_by_their_names() {
        let site = template(json!({"pipeline": {"tags": [{"name": "u"}, {"name": "level", "stale_after": "1s"}]}}));
        let changed =
            [("pipeline.tags.level.stale_after".to_owned(), json!("2s")), ("runtime.t_hold".to_owned(), json!("1s"))];
        let site = site.with(&changed).unwrap();
        assert_eq!(site.values["pipeline"]["tags"][1]["stale_after"], "2s");
        assert_eq!(site.values["runtime"]["t_hold"], "1s");
        let nowhere = site.with(&[("pipeline.tags.flow.unit".to_owned(), json!("m"))]).unwrap_err();
        assert_eq!(nowhere, "`pipeline.tags.flow.unit` leads nowhere in site.yaml: there is no `flow`");
    }

    #[test]
    fn whom_a_site_trusts_lies_beside_the_file_that_is_run() {
        let connection =
            json!({"opc_conn_url": "opc.tcp://elsewhere:1", "security_policy": {"trust_dir": "/works/pki"}});
        let site = template(json!({"coreio": {"opc_connections": [connection]}}));
        let text = site.text("opc.tcp://127.0.0.1:7");
        assert!(text.contains("\"trust_dir\": \"trust\"") && !text.contains("pki"), "{text}");
    }

    #[test]
    fn the_address_becomes_the_plants() {
        let site = template(json!({"coreio": {"opc_connections": [{"opc_conn_url": "opc.tcp://elsewhere:1"}]}}));
        assert!(site.text("opc.tcp://127.0.0.1:7").contains("\"opc.tcp://127.0.0.1:7\""));
    }
}
