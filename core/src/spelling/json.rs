//! Overrides as our own JSON: version 1, keys in this order.

use serde_json::{Map, Value};

use crate::model::build::{BuildRequest, Override};

pub(super) fn spell(overrides: &[Override]) -> String {
    pretty(vec![("version", Value::from(1)), ("overrides", list(overrides))])
}

pub(super) fn spell_request(request: &BuildRequest) -> String {
    pretty(vec![
        ("version", Value::from(1)),
        ("workspace", text(&request.workspace)),
        ("subject", text(&request.subject)),
        ("fingerprint", text(&request.fingerprint)),
        ("request_id", text(&request.request_id)),
        ("overrides", list(&request.overrides)),
    ])
}

fn list(overrides: &[Override]) -> Value {
    Value::Array(overrides.iter().map(one).collect())
}

fn one(entry: &Override) -> Value {
    object(vec![
        ("change", text(&entry.change)),
        ("change_url", entry.change_url.clone().map_or(Value::Null, Value::from)),
        ("packages", Value::Array(entry.packages.iter().map(text).collect())),
        ("repository_url", text(&entry.repository_url)),
        ("ref", text(&entry.ref_name)),
        ("head", text(&entry.head)),
        ("base", text(&entry.base)),
        ("unpin", Value::from(entry.unpin)),
    ])
}

fn object(keys: Vec<(&str, Value)>) -> Value {
    Value::Object(
        keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>(),
    )
}

fn pretty(keys: Vec<(&str, Value)>) -> String {
    format!("{:#}\n", object(keys))
}

fn text(value: &impl ToString) -> Value {
    Value::from(value.to_string())
}
