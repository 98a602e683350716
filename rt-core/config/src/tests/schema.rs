//! The JSON Schema describes what the decoder accepts.

use std::path::Path;

use serde_json::Value;

use super::BASE;
use crate::{example, schema};

/// As much of JSON Schema as the schema uses.
fn valid(schema: &Value, root: &Value, value: &Value) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}: {value} against {schema}"));
    if let Some(name) = schema["$ref"].as_str() {
        return valid(root.pointer(name.trim_start_matches('#')).ok_or("no definition")?, root, value);
    }
    let is = |kind: &Value| match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64(),
        Some("number") => value.is_number(),
        _ => false,
    };
    match &schema["type"] {
        Value::Null => {}
        Value::Array(kinds) if kinds.iter().any(is) => {}
        kind if is(kind) => {}
        _ => return wrong("type"),
    }
    if schema.get("not").is_some() {
        return wrong("not");
    }
    if schema.get("const").is_some_and(|constant| constant != value) {
        return wrong("const");
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return wrong("enum");
    }
    if schema["anyOf"].as_array().is_some_and(|any| any.iter().all(|one| valid(one, root, value).is_err())) {
        return wrong("anyOf");
    }
    for item in value.as_array().into_iter().flatten().filter(|_| schema.get("items").is_some()) {
        valid(&schema["items"], root, item)?;
    }
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        value.get(key).ok_or(format!("{key} is missing"))?;
    }
    for (key, item) in value.as_object().into_iter().flatten() {
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(property), _) => valid(property, root, item)?,
            (None, Value::Bool(false)) => return wrong(key),
            (None, Value::Null) => {}
            (None, other) => valid(other, root, item)?,
        }
    }
    Ok(())
}

fn as_json(text: &str) -> Value {
    let mut complaints = crate::complaint::Complaints::new(Path::new("site.yaml"), text);
    crate::form::to_json(&crate::yaml::read(&mut complaints).expect("YAML"))
}

#[test]
fn the_schema_describes_the_example_and_refuses_strangers() {
    let schema = schema();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    assert_eq!(valid(&schema, &schema, &as_json(example())), Ok(()));
    assert_eq!(valid(&schema, &schema, &as_json(BASE)), Ok(()));
    assert!(valid(&schema, &schema, &as_json(&BASE.replace("seed", "sed"))).is_err());
    assert!(valid(&schema, &schema, &as_json(&BASE.replace("rate: 0.1", "rate: fast"))).is_err());
}

/// Every key has a description, and every default has its key's own form.
fn complete(schema: &Value, root: &Value, path: &str) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        if property["description"].is_null() {
            // The parts of a value, described with the value.
            continue;
        }
        assert!(property["description"].as_str().is_some_and(|text| text.ends_with(['.', ')'])), "{path}");
        if let Some(default) = property.get("default") {
            assert_eq!(valid(property, root, default), Ok(()), "{path}");
        }
        complete(property, root, &path);
        complete(&property["items"], root, &path);
    }
}

#[test]
fn every_key_is_described_and_every_default_is_valid() {
    let schema = schema();
    assert!(
        schema["properties"]["pipeline"]["properties"]["tags"]["items"]["properties"]["type"]["description"]
            .is_string()
    );
    complete(&schema, &schema, "");
}
