//! GraphQL documents: queries with fields, arguments, variables and fragments.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A field or a fragment.
#[derive(Clone, Debug)]
pub(super) enum Selection {
    Field(Field),
    /// On a type, or on any.
    Inline(Option<String>, Vec<Selection>),
    Spread(String),
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) alias: String,
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
    pub(super) selections: Vec<Selection>,
}

/// A document with its variables put in.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) mutation: bool,
    pub(super) selections: Vec<Selection>,
    pub(super) fragments: BTreeMap<String, (String, Vec<Selection>)>,
}

pub(super) fn document(text: &str, variables: &Value) -> Result<Document, String> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0, variables, defaults: Map::new() };
    let mut document =
        Document { mutation: false, selections: Vec::new(), fragments: BTreeMap::new() };
    while let Some(token) = reader.peek() {
        match token {
            "{" => document.selections = reader.selections()?,
            "query" | "mutation" => {
                document.mutation = token == "mutation";
                reader.next();
                if reader.peek().is_some_and(|token| token != "{" && token != "(") {
                    reader.next();
                }
                if reader.take("(") {
                    reader.declarations()?;
                }
                document.selections = reader.selections()?;
            }
            "fragment" => {
                reader.next();
                let name = reader.name()?;
                reader.expect("on")?;
                let on = reader.name()?;
                document.fragments.insert(name, (on, reader.selections()?));
            }
            other => return Err(format!("Expected a definition, found {other}")),
        }
    }
    Ok(document)
}

struct Reader<'a> {
    tokens: Vec<String>,
    at: usize,
    variables: &'a Value,
    defaults: Map<String, Value>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&'static str> {
        // Tokens that steer are few; all others are compared by `take` and read by `name`.
        const STEER: [&str; 14] = [
            "{", "}", "(", ")", "[", "]", ":", "$", "!", "=", "...", "query", "mutation",
            "fragment",
        ];
        let token = self.tokens.get(self.at)?;
        Some(STEER.into_iter().find(|steer| steer == token).unwrap_or("name"))
    }

    fn next(&mut self) -> Option<String> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn take(&mut self, token: &str) -> bool {
        let there = self.tokens.get(self.at).is_some_and(|other| other == token);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) {
            return Ok(());
        }
        Err(format!("Expected {token}, found {:?}", self.tokens.get(self.at)))
    }

    fn name(&mut self) -> Result<String, String> {
        self.next().ok_or_else(|| "Unexpected end of document".to_owned())
    }

    /// `$name: Type! = default`, as many as there are.
    fn declarations(&mut self) -> Result<(), String> {
        while !self.take(")") {
            self.expect("$")?;
            let name = self.name()?;
            self.expect(":")?;
            while self.take("[") {}
            self.name()?;
            while self.take("!") || self.take("]") {}
            if self.take("=") {
                let value = self.value()?;
                self.defaults.insert(name, value);
            }
        }
        Ok(())
    }

    fn selections(&mut self) -> Result<Vec<Selection>, String> {
        self.expect("{")?;
        let mut all = Vec::new();
        while !self.take("}") {
            if self.take("...") {
                if self.take("on") {
                    let on = self.name()?;
                    all.push(Selection::Inline(Some(on), self.selections()?));
                } else if self.peek() == Some("{") {
                    all.push(Selection::Inline(None, self.selections()?));
                } else {
                    all.push(Selection::Spread(self.name()?));
                }
                continue;
            }
            let mut name = self.name()?;
            let mut alias = name.clone();
            if self.take(":") {
                name = self.name()?;
            } else {
                alias.clone_from(&name);
            }
            let mut arguments = Map::new();
            if self.take("(") {
                while !self.take(")") {
                    let argument = self.name()?;
                    self.expect(":")?;
                    let value = self.value()?;
                    arguments.insert(argument, value);
                }
            }
            let selections = if self.peek() == Some("{") { self.selections()? } else { Vec::new() };
            all.push(Selection::Field(Field { alias, name, arguments, selections }));
        }
        Ok(all)
    }

    fn value(&mut self) -> Result<Value, String> {
        if self.take("$") {
            let name = self.name()?;
            let given = self.variables.get(&name).or_else(|| self.defaults.get(&name));
            return Ok(given.cloned().unwrap_or(Value::Null));
        }
        if self.take("[") {
            let mut all = Vec::new();
            while !self.take("]") {
                all.push(self.value()?);
            }
            return Ok(Value::Array(all));
        }
        if self.take("{") {
            let mut all = Map::new();
            while !self.take("}") {
                let name = self.name()?;
                self.expect(":")?;
                let value = self.value()?;
                all.insert(name, value);
            }
            return Ok(Value::Object(all));
        }
        let token = self.name()?;
        // Numbers, texts, true, false and null are JSON; words of enumerations become texts.
        Ok(serde_json::from_str(&token).unwrap_or(Value::String(token)))
    }
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == '\u{feff}');
        let Some(first) = rest.chars().next() else { return Ok(all) };
        if first == '#' {
            rest = rest.split_once('\n').map(|(_, rest)| rest).unwrap_or_default();
            continue;
        }
        let end = if rest.starts_with("...") {
            3
        } else if first == '"' {
            let mut escaped = true;
            let close = rest.char_indices().find(|(_, c)| {
                let closes = *c == '"' && !escaped;
                escaped = !escaped && *c == '\\';
                closes
            });
            close.map(|(at, _)| at + 1).ok_or("Unterminated string")?
        } else if first.is_alphanumeric() || first == '_' || first == '-' {
            let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+');
            rest.find(|c| !inside(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(end);
        all.push(token.to_owned());
        rest = after;
    }
}
