//! A bounded XML document as a tree: no document types, no entities but the five of XML itself.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::ManifestError;

const MAX_DEPTH: usize = 32;
const MAX_ELEMENTS: usize = 400_000;
const MAX_ATTRIBUTES: usize = 64;

/// One element with where it begins.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) children: Vec<Self>,
    /// Its own text, without that of its children.
    pub(super) text: String,
    /// `line 3, column 5`.
    pub(super) place: String,
}

impl Element {
    /// The outermost element of a text.
    pub(super) fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut places = Places { text, at: 0, line: 1, line_start: 0 };
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        let mut count = 0usize;
        loop {
            let before = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            let event = reader.read_event().map_err(|error| {
                let at = usize::try_from(reader.error_position()).unwrap_or(usize::MAX);
                syntax(&places.of(at), &error.to_string())
            })?;
            let place = |places: &mut Places<'_>| places.of(before);
            match event {
                Event::Start(_) | Event::Empty(_) if root.is_some() => {
                    return Err(syntax(&place(&mut places), "a second outermost element"));
                }
                Event::Start(start) | Event::Empty(start)
                    if open.len() >= MAX_DEPTH || count >= MAX_ELEMENTS =>
                {
                    let what = if open.len() >= MAX_DEPTH {
                        format!("nested deeper than {MAX_DEPTH}")
                    } else {
                        format!("more than {MAX_ELEMENTS} elements, beginning with {start:?}")
                    };
                    return Err(syntax(&place(&mut places), &what));
                }
                Event::Start(start) => {
                    count += 1;
                    open.push(element(&start, place(&mut places))?);
                }
                Event::Empty(start) => {
                    count += 1;
                    close(element(&start, place(&mut places))?, &mut open, &mut root);
                }
                Event::End(_) => {
                    if let Some(element) = open.pop() {
                        close(element, &mut open, &mut root);
                    }
                }
                Event::Text(text) => match open.last_mut() {
                    Some(element) => element.text.push_str(&text),
                    None if text.trim().is_empty() => {}
                    None => {
                        return Err(syntax(&place(&mut places), "text outside of elements"));
                    }
                },
                Event::DocType(_) => {
                    let what = "a document type (`<!DOCTYPE`); it is not read, remove it";
                    return Err(syntax(&place(&mut places), what));
                }
                Event::GeneralRef(reference) => {
                    let known = ["amp", "lt", "gt", "quot", "apos"];
                    let name = reference.to_string();
                    if !name.starts_with('#') && !known.contains(&name.as_str()) {
                        let what =
                            format!("the entity {name:?}; only those of XML itself are read");
                        return Err(syntax(&place(&mut places), &what));
                    }
                }
                Event::Eof => break,
                Event::CData(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
        if let Some(unclosed) = open.last() {
            return Err(syntax(&unclosed.place, &format!("<{}> is not closed", unclosed.name)));
        }
        root.ok_or_else(|| syntax("line 1, column 1", "no element"))
    }

    /// The value of an attribute, if it is not empty.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// For errors.
    pub(super) fn place(&self) -> String {
        format!("{}: <{}>", self.place, self.name)
    }
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *root = Some(element),
    }
}

fn element(start: &BytesStart<'_>, place: String) -> Result<Element, ManifestError> {
    let name = start.name().as_ref().to_owned();
    let mut attributes = BTreeMap::new();
    for attribute in start.attributes() {
        let wrong = |why: &dyn std::fmt::Display| syntax(&place, &format!("<{name}>: {why}"));
        let attribute = attribute.map_err(|error| wrong(&error))?;
        if attributes.len() >= MAX_ATTRIBUTES {
            return Err(wrong(&format!("more than {MAX_ATTRIBUTES} attributes")));
        }
        let key = attribute.key.as_ref().to_owned();
        let value = attribute
            .normalized_value(quick_xml::XmlVersion::Implicit1_0)
            .map_err(|error| wrong(&error))?;
        attributes.insert(key, value.into_owned());
    }
    Ok(Element { name, attributes, place, ..Element::default() })
}

fn syntax(place: &str, what: &str) -> ManifestError {
    ManifestError::Syntax { message: format!("{place}: {what}") }
}

/// Turns growing positions into lines and columns, in one walk over the text.
struct Places<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    line_start: usize,
}

impl Places<'_> {
    fn of(&mut self, at: usize) -> String {
        let at = at.min(self.text.len());
        let bytes = self.text.as_bytes();
        for (position, byte) in bytes.iter().enumerate().take(at).skip(self.at) {
            if *byte == b'\n' {
                self.line += 1;
                self.line_start = position + 1;
            }
        }
        self.at = self.at.max(at);
        format!("line {}, column {}", self.line, at.saturating_sub(self.line_start) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Element::parse(text).expect_err("refused").to_string()
    }

    #[test]
    fn a_tree_is_read_with_places() {
        let text = "<?xml version=\"1.0\"?>\n<!-- c -->\n<a b=\"&amp;c\">\n  <d/>t</a>\n";
        let root = Element::parse(text).expect("XML");
        assert_eq!(root.attribute("b"), Some("&c"));
        assert_eq!(root.children[0].place, "line 4, column 3");
        assert_eq!(root.text.trim(), "t");
    }

    #[test]
    fn hostile_documents_are_refused_with_their_place() {
        for (text, said) in [
            ("<!DOCTYPE a [<!ENTITY b \"c\">]>\n<a>&b;</a>", "line 1, column 1: a document type"),
            ("<a>\n&b;</a>", "line 2, column 1: the entity \"b\""),
            ("<a b=\"&c;\"/>", "line 1, column 1: <a>:"),
            ("<a b='1' b='2'/>", "duplicated"),
            ("<a><b></a>", "line 1, column"),
            ("<a><b>", "line 1, column 4: <b> is not closed"),
            ("<a/><b/>", "line 1, column 5: a second outermost element"),
            ("<a/>x", "text outside of elements"),
            ("", "no element"),
            (&"<a>".repeat(100_000), "nested deeper than 32"),
        ] {
            let found = refused(text);
            assert!(found.contains(said), "{found}");
        }
        let many: String = (0..100).map(|at| format!(" a{at}='x'")).collect();
        assert!(refused(&format!("<a{many}/>")).contains("more than 64 attributes"));
    }
}
