//! Templates of the configuration, filled with values that came from outside.
//!
//! The template is the operator's, the values are anybody's: a branch name may hold quotes, slashes
//! or `&`. So each value is written in the way of the place that it stands in, unless the template
//! says `safe` or `tojson`.

use std::collections::HashSet;

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

/// The place that a template's values stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Inside the quotes of a JSON text: `{"ref": "{{ branch }}"}`.
    Json,
    /// A part of a URL or a form.
    Url,
    /// Text without a form of its own.
    Text,
}

/// A template that was read.
pub(super) struct Template {
    environment: Environment<'static>,
    names: HashSet<String>,
    place: Place,
}

const NAME: &str = "template";

impl Template {
    /// Reads a template; the error says where it is wrong.
    pub(super) fn new(source: &str, place: Place) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_filter("urlencode", |value: &Value| {
            Value::from_safe_string(percent(&plain(value)))
        });
        environment.set_formatter(move |out, _, value| {
            let text = plain(value);
            let text = match place {
                _ if value.is_safe() => text,
                Place::Text => text,
                Place::Url => percent(&text),
                Place::Json => inner_json(value, text)?,
            };
            out.write_str(&text).map_err(Error::from)
        });
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| error.to_string())?;
        let names = environment
            .get_template(NAME)
            .map(|template| template.undeclared_variables(false))
            .map_err(|error| error.to_string())?;
        Ok(Self { environment, names, place })
    }

    /// Whether the template has a variable of that name.
    pub(super) fn uses(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The text with all values filled in.
    pub(super) fn render(&self, values: &serde_json::Value) -> Result<String, String> {
        let text = self
            .environment
            .get_template(NAME)
            .and_then(|template| template.render(Value::from(minijinja::value::Serde(values))))
            .map_err(|error| error.to_string())?;
        if self.place == Place::Json
            && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&text)
        {
            return Err(format!("what the template gives is no JSON: {error}"));
        }
        Ok(text)
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The text as it stands between quotes; lists and objects as JSON of their own.
fn inner_json(value: &Value, text: String) -> Result<String, Error> {
    let no_json =
        |error| Error::new(ErrorKind::BadSerialization, "not a JSON value").with_source(error);
    if value.as_str().is_none() {
        return serde_json::to_string(value).map_err(no_json);
    }
    let quoted = serde_json::to_string(&text).map_err(no_json)?;
    Ok(quoted.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned())
}

fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(source: &str, place: Place) -> Result<String, String> {
        let values =
            json!({"branch": "a\"/&b", "start": "\"x", "n": 3, "list": ["a", "\""], "id": null});
        Template::new(source, place)?.render(&values)
    }

    #[test]
    fn values_are_written_for_their_place() {
        for (place, source, wanted) in [
            (Place::Url, "http://ci/{{ branch }}?n={{ n }}", "http://ci/a%22%2F%26b?n=3"),
            (Place::Url, "{{ branch|urlencode }}", "a%22%2F%26b"),
            (Place::Url, "{{ branch|safe }}", "a\"/&b"),
            (Place::Json, r#"{"a":"{{ branch }}","n":{{ n }}}"#, r#"{"a":"a\"/&b","n":3}"#),
            (Place::Json, r#"{"a":"{{ start }}"}"#, r#"{"a":"\"x"}"#),
            (Place::Json, r#"{"a":{{ list }}}"#, r#"{"a":["a","\""]}"#),
            (Place::Text, "{{ branch }}", "a\"/&b"),
        ] {
            assert_eq!(render(source, place).as_deref(), Ok(wanted), "{source}");
        }
        let quoted = render(r#"{"a":{{ branch|tojson }}}"#, Place::Json).unwrap();
        let read: serde_json::Value = serde_json::from_str(&quoted).unwrap();
        assert_eq!(read["a"], "a\"/&b");
    }

    #[test]
    fn wrong_templates_are_told() {
        for (place, source) in [
            (Place::Json, r#"{"a":{{ branch }}}"#),
            (Place::Json, r#"{"a":"{{ nothing }}"}"#),
            (Place::Url, "{{ nothing }}"),
            (Place::Url, "{{ branch"),
            (Place::Url, "{{ branch|nofilter }}"),
        ] {
            assert!(render(source, place).is_err(), "{source}");
        }
    }

    #[test]
    fn a_template_tells_its_variables() {
        let template = Template::new("{{ id }}/{{ request.workspace }}", Place::Url).unwrap();
        assert!(template.uses("id") && template.uses("request") && !template.uses("request_id"));
    }
}
