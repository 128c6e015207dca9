//! What the readers of YAML share: a bounded document, and mappings that know where they stand.

use serde_yaml::{Mapping, Value};

use super::ManifestError;
use super::text::{line, masked, name, quoted, shallow, wrong};
use crate::model::identity::Name;

/// The one document of a text.
pub(crate) fn document(text: &str) -> Result<Value, ManifestError> {
    shallow(text)?;
    serde_yaml::from_str(text).map_err(|error| ManifestError::Syntax { message: error.to_string() })
}

/// One mapping, with the words that name it in errors.
pub(crate) struct Entry<'a> {
    pub(crate) map: &'a Mapping,
    pub(crate) place: String,
}

impl<'a> Entry<'a> {
    /// The whole of a document, which must be a mapping.
    pub(crate) fn whole(value: &'a Value, expected: &str) -> Result<Self, ManifestError> {
        Self::of(value, "the file".to_owned(), expected)
    }

    /// `value`, which must be a mapping.
    pub(crate) fn of(
        value: &'a Value,
        place: String,
        expected: &str,
    ) -> Result<Self, ManifestError> {
        match untag(value) {
            Value::Mapping(map) => Ok(Self { map, place }),
            other => Err(wrong(&place, expected, found(other))),
        }
    }

    /// The mapping under a key.
    pub(crate) fn inner(&self, key: &str) -> Result<Option<Self>, ManifestError> {
        let place = format!("{}: {key}", self.place);
        self.get(key).map(|value| Self::of(value, place, "a mapping")).transpose()
    }

    /// The mappings of the list under a key.
    pub(crate) fn list(&self, key: &str) -> Result<Vec<Self>, ManifestError> {
        let place = format!("{}: {key}", self.place);
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Sequence(list)) => list
                .iter()
                .enumerate()
                .map(|(at, value)| Self::of(value, format!("{place}[{at}]"), "a mapping"))
                .collect(),
            Some(other) => Err(wrong(&place, "a list", found(other))),
        }
    }

    /// The mappings under the names of the mapping under a key; null counts as an empty one.
    pub(crate) fn named(&self, key: &str) -> Result<Vec<(String, Option<Self>)>, ManifestError> {
        let Some(inner) = self.inner(key)? else { return Ok(Vec::new()) };
        inner
            .map
            .iter()
            .map(|(key, value)| {
                let Value::String(key) = untag(key) else {
                    return Err(wrong(&inner.place, "texts as keys", found(key)));
                };
                let place = format!("{}: {}", inner.place, quoted(key));
                let entry = match untag(value) {
                    Value::Null => None,
                    value => Some(Self::of(value, place, "a mapping")?),
                };
                Ok((key.clone(), entry))
            })
            .collect()
    }

    /// Texts of the list under a key, or the one text there.
    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>, ManifestError> {
        match self.get(key) {
            Some(Value::Sequence(list)) => list
                .iter()
                .map(|item| match untag(item) {
                    Value::String(text) => Ok(text.clone()),
                    other => Err(wrong(&format!("{}: {key}", self.place), "texts", found(other))),
                })
                .collect(),
            _ => Ok(self.text(key)?.into_iter().collect()),
        }
    }

    /// Names of the list under a key.
    pub(crate) fn names(&self, key: &str) -> Result<Vec<Name>, ManifestError> {
        let place = format!("{}: {key}", self.place);
        let list = match self.get(key) {
            None => return Ok(Vec::new()),
            Some(Value::Sequence(list)) => list,
            Some(other) => return Err(wrong(&place, "a list of names", found(other))),
        };
        list.iter()
            .map(|item| match untag(item) {
                Value::String(text) => name(&place, text),
                other => Err(wrong(&place, "names of packages", found(other))),
            })
            .collect()
    }

    /// A text that is short and, if it is an address, without password.
    pub(crate) fn line(&self, key: &str) -> Result<Option<String>, ManifestError> {
        match self.text(key)? {
            // Ruby code writes both nil and "" for "nothing".
            Some(text) if text.is_empty() => Ok(None),
            Some(text) => {
                let text =
                    if matches!(key, "url" | "repository_id") { masked(&text) } else { text };
                line(&format!("{}: {key}", self.place), &text).map(Some)
            }
            None => Ok(None),
        }
    }

    /// A text of any length; whole numbers count as texts.
    pub(crate) fn text(&self, key: &str) -> Result<Option<String>, ManifestError> {
        let place = || format!("{}: {key}", self.place);
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) if !number.is_f64() => Ok(Some(number.to_string())),
            Some(Value::Number(number)) => {
                Err(wrong(&place(), "a text, so in quotes", number.to_string()))
            }
            Some(other) => Err(wrong(&place(), "a text", found(other))),
        }
    }

    /// The value under the plain key or the Ruby symbol; nothing where it is null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        let value = self.map.get(key).or_else(|| self.map.get(format!(":{key}")));
        value.map(untag).filter(|value| !value.is_null())
    }
}

/// Without tags.
pub(crate) fn untag(mut value: &Value) -> &Value {
    while let Value::Tagged(tagged) = value {
        value = &tagged.value;
    }
    value
}

/// What stands there, for an error.
pub(crate) fn found(value: &Value) -> String {
    match untag(value) {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => quoted(text),
        Value::Sequence(list) => format!("a list of {}", list.len()),
        Value::Mapping(map) => format!("a mapping with {} keys", map.len()),
        Value::Tagged(_) => "a tagged value".to_owned(),
    }
}
