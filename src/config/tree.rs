//! The text of a configuration as a tree in which every key and value knows its place.

use std::collections::BTreeMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use super::error::{ConfigError, Place};
use super::mask::shown;

/// Deepest nesting, aliases followed.
pub const MAX_DEPTH: usize = 64;
/// Most values in a file, aliases followed.
pub const MAX_NODES: usize = 100_000;

/// The tree of a text, and what is wrong with the text as YAML.
///
/// A duplicate key still gives a tree, so that the walk finds the other mistakes as well.
pub fn read(text: &str) -> Text {
    let mut builder = Builder::default();
    let mut root = None;
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let step = next
            .map_err(|error| syntax(text, &error))
            .and_then(|(event, span)| builder.step(event, span));
        match step {
            Ok(Some(node)) => root = Some(node),
            Ok(None) => {}
            Err(error) => {
                builder.errors.push(error);
                return Text { root: None, dropped: builder.dropped, errors: builder.errors };
            }
        }
    }
    if let Some(place) = tab_outside(text, &builder.tokens) {
        builder.errors.push(tab(place));
    }
    Text { root, dropped: builder.dropped, errors: builder.errors }
}

/// What became of a text.
#[derive(Debug)]
pub struct Text {
    /// The tree, if the text is YAML.
    pub root: Option<Rc<Node>>,
    /// What stands in the text and not in the tree: second values of a key, and merged maps.
    pub dropped: Vec<Entry>,
    /// What is wrong with it as YAML.
    pub errors: Vec<ConfigError>,
}

/// A value with its place.
#[derive(Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// Where it ends; only scalars are asked for it.
    pub end: Place,
    /// What it is.
    pub value: Value,
    size: usize,
    height: usize,
}

/// What a value is.
#[derive(Debug)]
pub enum Value {
    /// A single text; `plain` when it was written without quotes.
    Scalar {
        /// The text.
        text: String,
        /// Whether it was written without quotes.
        plain: bool,
    },
    /// Values in order.
    List(Vec<Rc<Node>>),
    /// Keys with values, in order.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key begins.
    pub place: Place,
    /// Where the key ends.
    pub end: Place,
    /// The value.
    pub node: Rc<Node>,
}

impl Node {
    /// A value whose size and height follow from what it contains.
    pub fn new(place: Place, end: Place, value: Value) -> Self {
        let (size, height) = match &value {
            Value::Scalar { .. } => (1, 1),
            Value::List(items) => measure(items.iter()),
            Value::Map(entries) => measure(entries.iter().map(|entry| &entry.node)),
        };
        Self { place, end, value, size, height }
    }

    /// The value under a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// Whether nothing was written: `key:`, `~` or `null`.
    pub fn is_nothing(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// A word for messages.
    pub fn word(&self) -> &'static str {
        match &self.value {
            Value::Scalar { .. } if self.is_nothing() => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "keys with values",
        }
    }
}

fn measure<'n>(nodes: impl Iterator<Item = &'n Rc<Node>>) -> (usize, usize) {
    nodes.fold((1, 1), |(size, height), node| {
        (size.saturating_add(node.size), height.max(node.height.saturating_add(1)))
    })
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Rc<Node>>,
    tokens: Vec<(Place, Place)>,
    dropped: Vec<Entry>,
    documents: usize,
    nodes: usize,
    errors: Vec<ConfigError>,
}

struct Frame {
    place: Place,
    anchor: usize,
    kind: FrameKind,
}

enum FrameKind {
    List(Vec<Rc<Node>>),
    Map {
        entries: Vec<Entry>,
        seen: BTreeMap<String, Place>,
        key: Option<Key>,
        merges: Vec<Rc<Node>>,
    },
}

struct Key {
    text: String,
    place: Place,
    end: Place,
    plain: bool,
}

impl Key {
    fn entry(self, node: Rc<Node>) -> Entry {
        Entry { key: self.text, place: self.place, end: self.end, node }
    }
}

impl Builder {
    fn step(&mut self, event: Event<'_>, span: Span) -> Result<Option<Rc<Node>>, ConfigError> {
        let (start, end) = (place(span.start), place(span.end));
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(ConfigError::new("a second document begins here")
                        .at(start)
                        .mend("keep one document in the file: remove the line `---`"));
                }
                Ok(None)
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => Err(ConfigError::new("a YAML tag stands here")
                .at(start)
                .mend("remove what begins with `!`, or put the value in quotes")),
            Event::Scalar(text, style, anchor, None) => {
                self.tokens.push((start, end));
                let plain = style == ScalarStyle::Plain;
                if let Some(Frame { kind: FrameKind::Map { key: key @ None, .. }, .. }) =
                    self.stack.last_mut()
                {
                    *key = Some(Key { text: text.into_owned(), place: start, end, plain });
                    return self.count(1, start).map(|()| None);
                }
                let value = Value::Scalar { text: text.into_owned(), plain };
                let node = Rc::new(Node::new(start, end, value));
                self.finish(node, anchor, start)
            }
            Event::SequenceStart(anchor, None) => {
                self.open(start, anchor, FrameKind::List(Vec::new()))
            }
            Event::MappingStart(anchor, None) => {
                let kind = FrameKind::Map {
                    entries: Vec::new(),
                    seen: BTreeMap::new(),
                    key: None,
                    merges: Vec::new(),
                };
                self.open(start, anchor, kind)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(end),
            Event::Alias(id) => {
                let node = self.anchors.get(&id).map(Rc::clone).ok_or_else(|| {
                    ConfigError::new("this alias stands for a value that contains itself")
                        .at(start)
                        .mend("write the value out")
                })?;
                if self.stack.len() + node.height > MAX_DEPTH {
                    return Err(too_deep(start));
                }
                self.finish(node, 0, start)
            }
            _ => Ok(None),
        }
    }

    fn open(
        &mut self,
        place: Place,
        anchor: usize,
        kind: FrameKind,
    ) -> Result<Option<Rc<Node>>, ConfigError> {
        if let Some(Frame { kind: FrameKind::Map { key: None, .. }, .. }) = self.stack.last() {
            return Err(ConfigError::new("a key must be a single text")
                .at(place)
                .mend("write `key: value`; text that begins with [ or { must be in quotes"));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_deep(place));
        }
        self.stack.push(Frame { place, anchor, kind });
        Ok(None)
    }

    fn close(&mut self, end: Place) -> Result<Option<Rc<Node>>, ConfigError> {
        let Some(frame) = self.stack.pop() else { return Ok(None) };
        let value = match frame.kind {
            FrameKind::List(items) => Value::List(items),
            FrameKind::Map { mut entries, mut seen, merges, .. } => {
                for entry in merges.iter().flat_map(|map| match &map.value {
                    Value::Map(entries) => entries.as_slice(),
                    _ => &[],
                }) {
                    // What the map says itself, or an earlier merge said, stays.
                    if !seen.contains_key(&entry.key) {
                        self.count(entry.node.size, frame.place)?;
                        seen.insert(entry.key.clone(), entry.place);
                        entries.push(entry.clone());
                    }
                }
                Value::Map(entries)
            }
        };
        let node = Rc::new(Node::new(frame.place, end, value));
        self.finish(node, frame.anchor, frame.place)
    }

    /// Puts a finished value where it belongs; the root is handed back.
    fn finish(
        &mut self,
        node: Rc<Node>,
        anchor: usize,
        used_at: Place,
    ) -> Result<Option<Rc<Node>>, ConfigError> {
        // Children of a collection were counted one by one; an alias counts as all that it stands
        // for, so that a bomb is refused before anybody walks it.
        let is_alias = anchor == 0 && used_at != node.place;
        self.count(if is_alias { node.size } else { 1 }, used_at)?;
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        match self.stack.last_mut() {
            None => return Ok(Some(node)),
            Some(Frame { kind: FrameKind::List(items), .. }) => items.push(node),
            Some(Frame { kind: FrameKind::Map { entries, seen, key, merges }, .. }) => {
                let Some(key) = key.take() else {
                    return Err(ConfigError::new("a key must be a single text")
                        .at(used_at)
                        .mend("write the key out instead of an alias"));
                };
                if key.plain && key.text == "<<" {
                    merges.extend(merged(&node, used_at)?);
                    self.dropped.push(key.entry(node));
                    return Ok(None);
                }
                if let Some(first) = seen.get(&key.text) {
                    self.errors.push(
                        ConfigError::new(format!(
                            "duplicate key {}, first written at {}:{}",
                            shown(&key.text),
                            first.line,
                            first.column
                        ))
                        .at(key.place)
                        .mend("remove one of the two"),
                    );
                    self.dropped.push(key.entry(node));
                    return Ok(None);
                }
                seen.insert(key.text.clone(), key.place);
                entries.push(key.entry(node));
            }
        }
        Ok(None)
    }

    fn count(&mut self, nodes: usize, place: Place) -> Result<(), ConfigError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(ConfigError::new(format!(
                "more than {MAX_NODES} values up to here, with aliases written out"
            ))
            .at(place)
            .mend("use fewer aliases, or split the workspaces over several daemons"));
        }
        Ok(())
    }
}

fn merged(node: &Rc<Node>, used_at: Place) -> Result<Vec<Rc<Node>>, ConfigError> {
    let wrong = || {
        ConfigError::new("`<<` takes a map, or a list of maps")
            .at(used_at)
            .mend("write `<<: *anchor` for an anchor that stands on keys with values")
    };
    match &node.value {
        Value::Map(_) => Ok(vec![Rc::clone(node)]),
        Value::List(items) => items
            .iter()
            .map(|item| match &item.value {
                Value::Map(_) => Ok(Rc::clone(item)),
                _ => Err(wrong()),
            })
            .collect(),
        Value::Scalar { .. } => Err(wrong()),
    }
}

fn too_deep(place: Place) -> ConfigError {
    ConfigError::new(format!("nested more than {MAX_DEPTH} deep"))
        .at(place)
        .mend("no key of the configuration is that deep; look for stray brackets")
}

fn syntax(text: &str, error: &ScanError) -> ConfigError {
    let at = place(*error.marker());
    // A tab in the indentation shows itself as some other mistake, there or on a later line.
    let first_tab = (1..=at.line + 1).find_map(|line| leading_tab(text, line));
    if let Some(place) = first_tab {
        return tab(place);
    }
    ConfigError::new(format!("not YAML: {}", error.info()))
        .at(at)
        .mend("look for missing quotes, brackets and indentation here and in the line above")
}

fn tab(place: Place) -> ConfigError {
    ConfigError::new("a tab in the indentation").at(place).mend("indent with spaces")
}

fn leading_tab(text: &str, line: usize) -> Option<Place> {
    let line_text = text.lines().nth(line.saturating_sub(1))?;
    let indent = line_text.chars().take_while(|c| matches!(c, ' ' | '\t'));
    let column = indent.enumerate().find(|(_, c)| *c == '\t')?.0 + 1;
    (!line_text.trim().is_empty()).then_some(Place { line, column })
}

/// The first tab in an indentation that is not inside a text of several lines.
fn tab_outside(text: &str, tokens: &[(Place, Place)]) -> Option<Place> {
    if !text.contains('\t') {
        return None;
    }
    text.lines().enumerate().find_map(|(index, line)| {
        let indent = line.chars().take_while(|c| matches!(c, ' ' | '\t'));
        let column = indent.enumerate().find(|(_, c)| *c == '\t')?.0 + 1;
        let rest = line.trim_start();
        let place = Place { line: index + 1, column };
        let inside = tokens.iter().any(|(start, end)| *start < place && place < *end);
        (!rest.is_empty() && !rest.starts_with('#') && !inside).then_some(place)
    })
}

fn place(marker: Marker) -> Place {
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}
