//! A body read with a Markdown parser: which lines and items count.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::html::{self, Part};
use super::lines::{self, Said};
use super::phrase::is_space;
use super::tokens::{Atom, Piece, tokens};
use super::{Scope, Via};

const CODE: &str = "not read: it is code; write it as plain text";
const HTML: &str = "not read: it is HTML to Markdown; put an empty line above it";
const LIST: &str =
    "not read: below the phrase references stand in a list; begin the line with `- `";

/// Reads a body by the default grammar.
pub(super) fn read(body: &str, scope: &mut Scope<'_>) {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_GFM;
    let mut reader = Reader::new(body, scope);
    for (event, range) in Parser::new_ext(body, options).into_offset_iter() {
        reader.event(event, range);
    }
}

struct Reader<'b, 's, 'c> {
    body: &'b str,
    scope: &'s mut Scope<'c>,
    /// Offsets at which lines begin.
    starts: Vec<usize>,
    /// The block that is being gathered.
    pieces: Vec<Piece>,
    /// The word that is being gathered is an address, in which `_` is no emphasis.
    in_address: bool,
    /// Depth of what is left out of a block: links, images.
    skipped: usize,
    struck: usize,
    /// Text of `<code>`.
    code: Option<String>,
    /// Quotes around, true for those that are not read.
    quotes: Vec<bool>,
    unread: usize,
    /// Quotes and struck text by HTML around.
    hidden: usize,
    lists: Vec<List>,
    items: Vec<Item>,
    cells: Vec<Vec<Piece>>,
    block: Option<Block>,
    /// A heading was the phrase; the first list counts.
    section: bool,
    /// The line right above was the phrase; a list counts.
    at_once: bool,
}

#[derive(Clone, Copy)]
struct List {
    ordered: bool,
    via: Option<Via>,
}

#[derive(Clone, Copy)]
struct Item {
    list: List,
    /// Its box, if it has one: whether it is ticked.
    ticked: Option<bool>,
    /// Nothing of it was read yet.
    fresh: bool,
}

/// A block that is read as raw text.
struct Block {
    text: String,
    line: u32,
}

impl<'b, 's, 'c> Reader<'b, 's, 'c> {
    fn new(body: &'b str, scope: &'s mut Scope<'c>) -> Self {
        scope.worked(body.len());
        let ends = body.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self {
            body,
            scope,
            starts,
            pieces: Vec::new(),
            in_address: false,
            skipped: 0,
            struck: 0,
            code: None,
            quotes: Vec::new(),
            unread: 0,
            hidden: 0,
            lists: Vec::new(),
            items: Vec::new(),
            cells: Vec::new(),
            block: None,
            section: false,
            at_once: false,
        }
    }

    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        self.scope.worked(0);
        let quote =
            matches!(event, Event::Start(Tag::BlockQuote(_)) | Event::End(TagEnd::BlockQuote(_)));
        if self.unread > 0 && !quote {
            return;
        }
        match event {
            Event::Start(tag) => self.start(tag, &range),
            Event::End(tag) => self.end(tag, &range),
            Event::Text(text) => match &mut self.block {
                Some(block) => block.text.push_str(&text),
                None => self.text(&text, range.start),
            },
            Event::Code(text) => self.piece(Atom::Code(text.into_string()), range.start),
            Event::Html(text) => {
                if let Some(block) = &mut self.block {
                    block.text.push_str(&text);
                }
            }
            Event::InlineHtml(tag) => self.inline_html(&tag, range.start),
            Event::SoftBreak | Event::HardBreak => self.piece(Atom::Break, range.start),
            Event::Rule => {
                self.flush();
                self.at_once = false;
            }
            Event::TaskListMarker(ticked) => {
                if let Some(item) = self.items.last_mut().filter(|item| item.fresh) {
                    item.ticked = Some(ticked);
                }
            }
            Event::InlineMath(_) | Event::DisplayMath(_) | Event::FootnoteReference(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: &Range<usize>) {
        match tag {
            Tag::Emphasis | Tag::Strong => self.underscore(range, matches!(tag, Tag::Strong)),
            Tag::Strikethrough => {
                self.text(" ", range.start);
                self.struck += 1;
            }
            // Other targets are places of this page or of this repository; the text may be one.
            Tag::Link { ref dest_url, .. } if dest_url.contains("://") || self.skipped > 0 => {
                self.piece(Atom::Link(dest_url.to_string()), range.start);
                self.skipped += 1;
            }
            Tag::Image { .. } => {
                self.piece(Atom::Other, range.start);
                self.skipped += 1;
            }
            Tag::Link { .. } => {}
            Tag::BlockQuote(alert) => {
                self.flush();
                self.quotes.push(alert.is_none());
                self.unread += usize::from(alert.is_none());
            }
            Tag::List(first) => {
                self.flush();
                self.list(first.is_some());
            }
            Tag::Item => {
                self.flush();
                self.at_once = false;
                let list = self.lists.last().copied().unwrap_or(List { ordered: false, via: None });
                self.items.push(Item { list, ticked: None, fresh: true });
            }
            Tag::CodeBlock(_) | Tag::HtmlBlock => {
                self.flush();
                self.block = Some(Block { text: String::new(), line: self.line(range.start) });
            }
            _ => self.flush(),
        }
    }

    fn end(&mut self, tag: TagEnd, range: &Range<usize>) {
        match tag {
            TagEnd::Emphasis | TagEnd::Strong => {
                self.underscore(range, matches!(tag, TagEnd::Strong));
            }
            TagEnd::Strikethrough => self.struck = self.struck.saturating_sub(1),
            TagEnd::Link | TagEnd::Image => self.skipped = self.skipped.saturating_sub(1),
            TagEnd::TableCell => {
                let cell = self.take();
                self.cells.push(cell);
            }
            TagEnd::TableHead | TagEnd::TableRow => self.row(),
            TagEnd::BlockQuote(_) => {
                self.flush();
                let unread = self.quotes.pop().unwrap_or(false);
                self.unread = self.unread.saturating_sub(usize::from(unread));
                self.at_once = false;
            }
            TagEnd::List(_) => {
                self.flush();
                self.lists.pop();
                self.at_once = false;
            }
            TagEnd::Item => {
                self.flush();
                self.items.pop();
                self.at_once = false;
            }
            TagEnd::Heading(_) => {
                let pieces = self.take();
                self.heading(&pieces);
            }
            TagEnd::CodeBlock => self.code_block(),
            TagEnd::HtmlBlock => self.html_block(),
            _ => self.flush(),
        }
    }

    /// A list begins; it counts if the phrase stands above it or the list around it counts.
    fn list(&mut self, ordered: bool) {
        let around = self.items.last().and_then(|item| item.list.via);
        let above = if self.hidden > 0 {
            None
        } else if std::mem::take(&mut self.at_once) {
            self.section = false;
            Some(Via::List)
        } else {
            std::mem::take(&mut self.section).then_some(Via::Section)
        };
        self.lists.push(List { ordered, via: around.or(above) });
    }

    fn piece(&mut self, atom: Atom, at: usize) {
        if self.skipped > 0 || (self.struck > 0 && !matches!(atom, Atom::Break)) {
            return;
        }
        self.in_address = false;
        let line = self.line(at);
        self.pieces.push(Piece { atom, line });
    }

    fn text(&mut self, text: &str, at: usize) {
        self.scope.worked(text.len());
        if self.skipped > 0 || self.struck > 0 {
            return;
        }
        if let Some(code) = &mut self.code {
            code.push_str(text);
            return;
        }
        let word = text.rsplit(is_space).next().unwrap_or_default();
        let address = word.contains("://");
        self.in_address = address || (self.in_address && word.len() == text.len());
        if let Some(Piece { atom: Atom::Text(before), .. }) = self.pieces.last_mut() {
            before.push_str(text);
            return;
        }
        let line = self.line(at);
        self.pieces.push(Piece { atom: Atom::Text(text.to_owned()), line });
    }

    /// Emphasis inside an address is none to a forge, which has made a link of it before.
    fn underscore(&mut self, range: &Range<usize>, strong: bool) {
        if self.in_address && self.body.as_bytes().get(range.start) == Some(&b'_') {
            self.text(if strong { "__" } else { "_" }, range.start);
        }
    }

    fn inline_html(&mut self, tag: &str, at: usize) {
        if tag.starts_with("<!--") {
            return;
        }
        match html::name(tag).as_str() {
            "br" => self.piece(Atom::Break, at),
            "del" | "s" | "strike" => {
                self.text(" ", at);
                self.struck += 1;
            }
            "/del" | "/s" | "/strike" => self.struck = self.struck.saturating_sub(1),
            "code" => self.code = Some(String::new()),
            "/code" => {
                if let Some(code) = self.code.take() {
                    self.piece(Atom::Code(code), at);
                }
            }
            _ => {}
        }
    }

    /// The gathered block, without what HTML hides. Inline HTML ends with its block.
    fn take(&mut self) -> Vec<Piece> {
        self.struck = 0;
        self.skipped = 0;
        self.code = None;
        self.in_address = false;
        let pieces = std::mem::take(&mut self.pieces);
        if self.hidden > 0 { Vec::new() } else { pieces }
    }

    fn flush(&mut self) {
        let pieces = self.take();
        if pieces.is_empty() {
            return;
        }
        self.paragraph(pieces);
    }

    fn paragraph(&mut self, mut pieces: Vec<Piece>) {
        self.at_once = false;
        let mut item = self.items.last().copied();
        if let Some(last) = self.items.last_mut() {
            last.fresh = false;
        }
        if let Some(item) = item.as_mut().filter(|item| item.fresh && item.ticked.is_none()) {
            item.ticked = written_box(&mut pieces);
        }
        let ticked = item.is_some_and(|item| item.ticked == Some(true));
        let mut said_any = false;
        for line in pieces.split(|piece| matches!(piece.atom, Atom::Break)) {
            let said = if !ticked {
                lines::line(line, Via::Line, self.scope)
            } else if lines::is_phrase(line, self.scope) {
                Said::Phrase
            } else {
                Said::Nothing
            };
            if said == Said::Nothing && self.at_once {
                self.note_unlisted(line);
            }
            said_any |= said != Said::Nothing;
            self.at_once = said == Said::Phrase;
        }
        if said_any || ticked {
            return;
        }
        match item {
            Some(Item { list: List { ordered, via: Some(via) }, ticked, fresh: true }) => {
                let boxed = ticked.is_some() && !ordered;
                lines::item(&pieces, boxed, via, self.scope);
            }
            None if self.section => self.note_unlisted(&pieces),
            _ => {}
        }
    }

    fn note_unlisted(&mut self, pieces: &[Piece]) {
        if let Some(token) = lines::begins_with_reference(pieces, self.scope) {
            self.scope.note(token.text(), token.line, LIST);
        }
    }

    fn heading(&mut self, pieces: &[Piece]) {
        self.at_once = false;
        self.section = lines::line(pieces, Via::Line, self.scope) == Said::Phrase;
    }

    fn row(&mut self) {
        self.at_once = false;
        let cells = std::mem::take(&mut self.cells);
        let [first, second] = cells.as_slice() else { return };
        if lines::is_phrase(first, self.scope) {
            lines::value(&tokens(second), Via::Row, self.scope);
            return;
        }
        let mut row = first.clone();
        row.extend_from_slice(second);
        lines::line(&row, Via::Row, self.scope);
    }

    fn code_block(&mut self) {
        let listed = std::mem::take(&mut self.at_once) || self.section;
        let Some(block) = self.block.take() else { return };
        if self.hidden > 0 {
            return;
        }
        // The fence has a line of its own.
        let first = block.line + u32::from(self.fenced(block.line));
        for (line, text) in (first..).zip(block.text.lines()) {
            if let Some(word) = lines::buried(text, listed, self.scope) {
                self.scope.note(&word, line, CODE);
            }
        }
    }

    fn fenced(&self, line: u32) -> bool {
        let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        let start = self.starts.get(index).copied().unwrap_or(usize::MAX);
        let end = self.starts.get(index + 1).copied().unwrap_or(self.body.len());
        self.body.get(start..end).is_some_and(|text| text.contains("```") || text.contains("~~~"))
    }

    fn html_block(&mut self) {
        let Some(block) = self.block.take() else { return };
        self.scope.worked(block.text.len());
        for part in html::parts(&block.text) {
            match part {
                Part::Hidden(true) => self.hidden += 1,
                Part::Hidden(false) => self.hidden = self.hidden.saturating_sub(1),
                _ if self.hidden > 0 => {}
                Part::Heading { text, line } => {
                    let line = block.line.saturating_add(line);
                    self.heading(&[Piece { atom: Atom::Text(text), line }]);
                }
                Part::EndOfDetails => {
                    self.section = false;
                    self.at_once = false;
                }
                Part::Text { text, line } => {
                    let listed = self.section || self.at_once;
                    self.at_once = false;
                    if let Some(word) = lines::buried(&text, listed, self.scope) {
                        self.scope.note(&word, block.line.saturating_add(line), HTML);
                    }
                }
            }
        }
    }

    fn line(&self, at: usize) -> u32 {
        let line = self.starts.partition_point(|start| *start <= at);
        u32::try_from(line).unwrap_or(u32::MAX)
    }
}

/// Takes a box off an item that Markdown does not know as one: `[~]`, `[]`, one with a NBSP in it.
fn written_box(pieces: &mut [Piece]) -> Option<bool> {
    let Some(Piece { atom: Atom::Text(text), .. }) = pieces.first_mut() else { return None };
    let (inside, behind) = text.trim_start().strip_prefix('[')?.split_once(']')?;
    if !behind.is_empty() && !behind.starts_with(is_space) {
        return None;
    }
    let ticked = match inside.trim_matches(is_space) {
        "" => false,
        "~" | "x" | "X" => true,
        _ => return None,
    };
    *text = behind.to_owned();
    Some(ticked)
}
