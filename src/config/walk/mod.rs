//! The one walk over the tree: collects every mistake and builds the settings.

mod ci;
mod forges;
mod sizes;
mod tools;
mod top;
pub mod values;
mod workspaces;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crosswatch_core::model::settings::{Limits, SecretRef, Settings};
use crosswatch_core::model::time::Span;

use super::error::{ConfigError, Place};
use super::keys::{Key, Kind, Table};
use super::mask::{is_secret_key, looks_secret, shown};
use super::nearest::nearest;
use super::tree::{Node, Value};

/// Errors beyond this number are not collected.
const MAX_ERRORS: usize = 1000;

/// Settings with the secrets and scripts that they name, and all mistakes.
#[derive(Debug)]
pub struct Walked {
    /// The settings; to be used only if there are no errors.
    pub settings: Settings,
    /// What is wrong.
    pub errors: Vec<ConfigError>,
    /// Secrets, each with its place and key.
    pub secrets: Vec<(SecretRef, Place, String)>,
}

/// Walks the tree of a file in `folder`, an absolute path.
pub fn walk(root: &Node, folder: &Path) -> Walked {
    let mut walk = Walk { folder, errors: Vec::new(), seen: BTreeSet::new(), secrets: Vec::new() };
    let settings = top::settings(&mut walk, root);
    Walked { settings, errors: walk.errors, secrets: walk.secrets }
}

/// What the walk carries along.
pub(super) struct Walk<'a> {
    folder: &'a Path,
    errors: Vec<ConfigError>,
    seen: BTreeSet<(Place, String)>,
    secrets: Vec<(SecretRef, Place, String)>,
}

/// A value with its key path and what its key takes.
#[derive(Clone, Copy)]
pub(super) struct At<'t> {
    node: &'t Node,
    path: &'t str,
    kind: &'static Kind,
    name: &'t str,
}

/// The keys of one map, checked against a table.
pub(super) struct Fields<'t> {
    node: &'t Node,
    path: String,
    fields: Vec<Field<'t>>,
}

struct Field<'t> {
    key: &'static Key,
    path: String,
    node: &'t Node,
}

impl<'t> Fields<'t> {
    pub(super) fn get(&self, name: &str) -> Option<At<'_>> {
        self.fields.iter().find(|field| field.key.name == name).map(|field| At {
            node: field.node,
            path: &field.path,
            kind: &field.key.kind,
            name: field.key.name,
        })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn node(&self) -> &'t Node {
        self.node
    }
}

impl Walk<'_> {
    pub(super) fn error(
        &mut self,
        node: &Node,
        path: &str,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.error_at(node.place, path, message, mend);
    }

    pub(super) fn error_at(
        &mut self,
        place: Place,
        path: &str,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let message = message.into();
        // A mistake in `defaults` or behind an alias is met once for every use.
        if self.errors.len() < MAX_ERRORS && self.seen.insert((place, message.clone())) {
            self.errors.push(ConfigError::new(message).at(place).under(path).mend(mend));
        }
    }

    pub(super) fn fields<'t>(
        &mut self,
        node: &'t Node,
        path: &str,
        table: &'static Table,
    ) -> Fields<'t> {
        let mut fields = Vec::new();
        let Value::Map(entries) = &node.value else {
            let (first, second) = (table.0.first(), table.0.get(1));
            let names: Vec<_> = first.into_iter().chain(second).map(|key| key.name).collect();
            self.error(
                node,
                path,
                format!("expected keys with values, found {}", node.word()),
                format!("write its keys below it, such as {}", names.join(" and ")),
            );
            return Fields { node, path: path.to_owned(), fields };
        };
        for entry in entries {
            let below = join(path, &entry.key);
            match table.key(&entry.key) {
                Some(_) if entry.node.is_nothing() => self.error_at(
                    entry.place,
                    &below,
                    "the key has no value",
                    "give it one, or remove the key",
                ),
                Some(key) => fields.push(Field { key, path: below, node: &entry.node }),
                None => {
                    self.unknown(entry.place, path, &entry.key, table.0.iter().map(|key| key.name))
                }
            }
        }
        Fields { node, path: path.to_owned(), fields }
    }

    fn unknown(
        &mut self,
        place: Place,
        path: &str,
        key: &str,
        known: impl Iterator<Item = &'static str>,
    ) {
        if self.errors.len() >= MAX_ERRORS {
            return;
        }
        let known: Vec<_> = known.collect();
        let mend = match nearest(key, known.iter().copied()) {
            Some(right) => format!("did you mean \"{right}\"?"),
            None => format!("the keys here are {}", known.join(", ")),
        };
        self.error_at(place, path, format!("unknown key {}", shown(key)), mend);
    }

    pub(super) fn missing(&mut self, fields: &Fields<'_>, name: &str, mend: &str) {
        self.error(fields.node, &fields.path, format!("the key \"{name}\" is missing"), mend);
    }

    fn wrong(&mut self, at: At<'_>, expected: &str, mend: &str) {
        let found = match &at.node.value {
            Value::Scalar { text, .. } if !is_secret_key(at.name) => shown(text),
            _ => at.node.word().into(),
        };
        self.error(at.node, at.path, format!("expected {expected}, found {found}"), mend);
    }

    pub(super) fn text(&mut self, at: Option<At<'_>>) -> Option<String> {
        let at = at?;
        match &at.node.value {
            // A secret was refused already, wherever it stands.
            Value::Scalar { text, .. } if looks_secret(text) => None,
            Value::Scalar { text, .. } if text.contains('\0') => {
                self.wrong(at, "a text without NUL", "remove the \\0");
                None
            }
            Value::Scalar { text, plain }
                if !(*plain
                    && (matches!(text.as_str(), "true" | "false") || at.node.is_nothing())) =>
            {
                Some(text.clone())
            }
            _ => {
                self.wrong(
                    at,
                    "a text",
                    "write one text; put it in quotes if it is a word such as true or null",
                );
                None
            }
        }
    }

    /// A text that is not empty.
    pub(super) fn some_text(&mut self, at: Option<At<'_>>) -> Option<String> {
        let at = at?;
        let text = self.text(Some(at))?;
        if text.trim().is_empty() {
            self.wrong(
                at,
                "a text",
                "an empty one means nothing here; remove the key or fill it in",
            );
            return None;
        }
        Some(text)
    }

    pub(super) fn bool(&mut self, at: Option<At<'_>>, default: bool) -> bool {
        let Some(at) = at else { return default };
        match &at.node.value {
            Value::Scalar { text, plain: true } if text == "true" => true,
            Value::Scalar { text, plain: true } if text == "false" => false,
            _ => {
                self.wrong(at, "true or false", "write true or false, without quotes");
                default
            }
        }
    }

    pub(super) fn count(&mut self, at: Option<At<'_>>, default: u64) -> u64 {
        let Some(at) = at else { return default };
        let Kind::Count(least, most) = *at.kind else { return default };
        let number = match &at.node.value {
            Value::Scalar { text, plain: true }
                if text.bytes().all(|b| b.is_ascii_digit())
                    && (text == "0" || !text.starts_with('0')) =>
            {
                text.parse::<u64>().ok()
            }
            _ => None,
        };
        number.filter(|n| (least..=most).contains(n)).unwrap_or_else(|| {
            let expected = if least == most {
                format!("{least}")
            } else {
                format!("a whole number from {least} to {most}")
            };
            self.wrong(at, &expected, "write the digits alone, without quotes");
            default
        })
    }

    pub(super) fn size(&mut self, at: Option<At<'_>>, default: usize) -> usize {
        usize::try_from(self.count(at, default as u64)).unwrap_or(default)
    }

    pub(super) fn duration(&mut self, at: Option<At<'_>>, default: Span) -> Span {
        let Some(at) = at else { return default };
        let Some(text) = self.text(Some(at)) else { return default };
        match text.parse::<Span>() {
            Ok(Span(0)) if matches!(at.kind, Kind::Duration(false)) => {
                self.wrong(at, "a duration greater than zero", "write one such as 90s, 15m or 2h");
                default
            }
            Ok(span) if span <= Span::days(3650) => span,
            Ok(_) => {
                self.wrong(at, "a duration of at most 3650d", "write a shorter one");
                default
            }
            Err(_) => {
                let mend = if text.bytes().all(|b| b.is_ascii_digit()) {
                    "give the unit as well, such as 90s"
                } else {
                    "write a whole number and one of ms, s, m, h, d, such as 90s, 15m, 2h or 120d"
                };
                self.wrong(at, "a duration", mend);
                default
            }
        }
    }

    pub(super) fn word(&mut self, at: Option<At<'_>>) -> Option<String> {
        let at = at?;
        let Kind::Words(words) = *at.kind else { return None };
        let text = match &at.node.value {
            Value::Scalar { text, .. } => text.as_str(),
            _ => "",
        };
        if words.contains(&text) {
            return Some(text.to_owned());
        }
        let mend = match nearest(text, words.iter().copied()) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => "write one of these words".into(),
        };
        self.wrong(at, &words.join(" or "), &mend);
        None
    }

    /// A word as the type that it stands for.
    pub(super) fn choice<T: DeserializeOwned>(&mut self, at: Option<At<'_>>, default: T) -> T {
        self.word(at)
            .and_then(|word| serde_json::from_value(serde_json::Value::String(word)).ok())
            .unwrap_or(default)
    }

    pub(super) fn items<'t>(&mut self, at: Option<At<'t>>) -> Option<Vec<(&'t Node, String)>> {
        let at = at?;
        match &at.node.value {
            Value::List(items) => {
                let path = |index| format!("{}[{index}]", at.path);
                Some(items.iter().enumerate().map(|(i, item)| (&**item, path(i))).collect())
            }
            _ => {
                self.wrong(at, "a list", "write [one, two], or one line with `- ` for each");
                None
            }
        }
    }

    pub(super) fn texts(&mut self, at: Option<At<'_>>) -> Option<Vec<String>> {
        let at = at?;
        let items = self.items(Some(at))?;
        let at = |node, path| At { node, path, kind: &Kind::Text, name: at.name };
        Some(items.iter().filter_map(|(node, path)| self.text(Some(at(node, path)))).collect())
    }

    /// Program and arguments.
    pub(super) fn command(&mut self, at: Option<At<'_>>) -> Option<Vec<String>> {
        let at = at?;
        let run = self.texts(Some(at))?;
        if run.first().is_none_or(|program| program.trim().is_empty()) {
            self.wrong(at, "a program and its arguments", "write [program, argument, …]");
            return None;
        }
        Some(run)
    }

    /// A command whose relative program lies in the configuration's folder.
    pub(super) fn own_command(&mut self, at: Option<At<'_>>) -> Option<Vec<String>> {
        let mut run = self.command(at)?;
        if let Some(program) = run.first_mut()
            && program.contains('/')
        {
            *program = self.folder.join(&*program).to_string_lossy().into_owned();
        }
        Some(run)
    }

    pub(super) fn path(&mut self, at: Option<At<'_>>) -> Option<PathBuf> {
        self.some_text(at).map(|text| self.folder.join(text))
    }

    pub(super) fn limits(&mut self, fields: &Fields<'_>, default: Limits) -> Limits {
        Limits {
            timeout: self.duration(fields.get("timeout"), default.timeout),
            silence: self.duration(fields.get("silence"), default.silence),
            grace: self.duration(fields.get("grace"), default.grace),
            output: self.output(fields.get("output"), default.output),
            bounds: self.bounds(fields.get("limits"), default.bounds),
        }
    }

    /// One secret, or a list of them.
    pub(super) fn secrets(&mut self, at: Option<At<'_>>) -> Vec<SecretRef> {
        let Some(at) = at else { return Vec::new() };
        if !matches!(at.node.value, Value::List(_)) {
            return self.secret(Some(at)).into_iter().collect();
        }
        let items = self.items(Some(at)).unwrap_or_default();
        let at = |node, path| At { node, path, kind: &Kind::Secret, name: at.name };
        items.iter().filter_map(|(node, path)| self.secret(Some(at(node, path)))).collect()
    }

    pub(super) fn secret(&mut self, at: Option<At<'_>>) -> Option<SecretRef> {
        const MEND: &str = "say where it is: {file: PATH}, {env: NAME} or {credential: NAME}";
        let at = at?;
        let entry = match &at.node.value {
            Value::Map(entries) => match entries.as_slice() {
                [entry] => entry,
                _ => {
                    self.error(at.node, at.path, "expected exactly one place of a secret", MEND);
                    return None;
                }
            },
            Value::Scalar { .. } | Value::List(_) => {
                self.error(at.node, at.path, "a secret must not be written here", MEND);
                return None;
            }
        };
        let path = format!("{}.{}", at.path, entry.key);
        let inner = At { node: &entry.node, path: &path, kind: &Kind::Text, name: "file" };
        let reference = match entry.key.as_str() {
            "file" => SecretRef::File(self.path(Some(inner))?),
            "env" => {
                let name = self.some_text(Some(inner))?;
                if !values::is_variable(&name) {
                    self.error(
                        &entry.node,
                        &path,
                        "this is not the name of a variable",
                        "name the variable that has the secret, not the secret itself",
                    );
                    return None;
                }
                SecretRef::Env(name)
            }
            "credential" => {
                let name = self.some_text(Some(inner))?;
                if !values::is_name(&name) {
                    self.error(
                        &entry.node,
                        &path,
                        "this is not the name of a credential",
                        "give the name alone, as in systemd's LoadCredential=",
                    );
                    return None;
                }
                SecretRef::Credential(name)
            }
            other => {
                let known = ["file", "env", "credential"];
                let mend = nearest(other, known)
                    .map_or(MEND.into(), |right| format!("did you mean \"{right}\"?"));
                self.error_at(entry.place, at.path, format!("unknown key {}", shown(other)), mend);
                return None;
            }
        };
        self.secrets.push((reference.clone(), at.node.place, at.path.to_owned()));
        Some(reference)
    }

    /// Refuses everything that has the form of a secret, wherever it stands.
    pub(super) fn refuse_secrets(&mut self, node: &Node, path: &str) {
        const MEND: &str = "put it in a file and name that where a secret is taken";
        match &node.value {
            Value::Scalar { text, .. } if looks_secret(text) => {
                self.error(
                    node,
                    path,
                    "this has the form of a secret, which must not be written here",
                    MEND,
                );
            }
            Value::Scalar { .. } => {}
            Value::List(items) => items
                .iter()
                .enumerate()
                .for_each(|(index, item)| self.refuse_secrets(item, &format!("{path}[{index}]"))),
            Value::Map(entries) => {
                for entry in entries {
                    if looks_secret(&entry.key) {
                        self.error_at(entry.place, path, "this key has the form of a secret", MEND);
                    }
                    self.refuse_secrets(&entry.node, &join(path, &entry.key));
                }
            }
        }
    }
}

/// A key path; a key that may be a secret or is too long is not repeated.
fn join(path: &str, key: &str) -> String {
    let key = if looks_secret(key) || key.len() > 64 || key.contains(char::is_control) {
        "…"
    } else {
        key
    };
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
