//! The JSON Schema of the configuration, written from the tables that the walk checks by.

use serde_json::{Map, Value, json};

use super::keys::{Kind, TOP, Table};

/// The schema that `crosswatch schema` prints.
pub fn schema() -> Value {
    let mut schema = table(&TOP);
    if let Some(map) = schema.as_object_mut() {
        map.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        map.insert("title".into(), json!("crosswatch workspaces.yaml"));
        map.insert("required".into(), json!(["version", "workspaces"]));
    }
    schema
}

fn table(table: &Table) -> Value {
    let properties: Map<String, Value> = table
        .0
        .iter()
        .map(|key| {
            let mut schema = kind(&key.kind);
            // `send`, `poll` and `cancel` are a table or a command, depending on the CI's kind.
            if key.doc.contains("as a list") {
                schema = json!({"anyOf": [schema, {"type": "array", "items": {"type": "string"}}]});
            }
            if let Some(map) = schema.as_object_mut() {
                map.insert("description".into(), json!(key.doc));
            }
            (key.name.to_owned(), schema)
        })
        .collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Text => json!({"type": ["string", "number"]}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Count(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::Duration(_) => json!({"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"}),
        Kind::Size => json!({"type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB|TiB)$"}),
        Kind::Words(words) => json!({"enum": words}),
        Kind::Secret => secret(),
        Kind::Secrets => {
            json!({"anyOf": [secret(), {"type": "array", "minItems": 1, "items": secret()}]})
        }
        Kind::WordsOrSecret(words) => json!({"anyOf": [{"enum": words}, secret()]}),
        Kind::List(inner) => json!({"type": "array", "items": self::kind(inner)}),
        Kind::Table(inner) => table(inner),
        Kind::Named(inner) => json!({
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
            "additionalProperties": table(inner),
        }),
        Kind::Texts => {
            json!({"type": "object", "additionalProperties": {"type": ["string", "number"]}})
        }
        Kind::Headers => json!({
            "type": "object",
            "additionalProperties": {"anyOf": [{"type": ["string", "number"]}, secret()]},
        }),
    }
}

fn secret() -> Value {
    let text = json!({"type": "string"});
    json!({
        "type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
        "properties": {"file": text, "env": text, "credential": text},
    })
}
