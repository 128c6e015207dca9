//! Blocks of raw HTML: comments, `<summary>`, headings, what is quoted or struck.

/// Something in a block of HTML, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A heading or `<summary>`.
    Heading {
        /// Its text.
        text: String,
        /// Lines above it in the block.
        line: u32,
    },
    /// `</details>`.
    EndOfDetails,
    /// A quote or struck text begins (true) or ends.
    Hidden(bool),
    /// A line of other text.
    Text {
        /// The text.
        text: String,
        /// Lines above it in the block.
        line: u32,
    },
}

/// Takes a block apart. Comments are gone.
pub(super) fn parts(block: &str) -> Vec<Part> {
    let mut reader = Reader { parts: Vec::new(), text: String::new(), line: 0, heading: None };
    let mut rest = block;
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        reader.text(text);
        let end = if tag.starts_with("<!--") {
            tag.get(4..).and_then(|inside| inside.find("-->")).map(|end| end + 7)
        } else {
            tag.find('>').map(|end| end + 1)
        };
        let Some((tag, behind)) = end.and_then(|end| tag.split_at_checked(end)) else {
            // Never closed: a comment to the end, or no tag at all.
            if !tag.starts_with("<!--") {
                reader.text(tag);
            }
            rest = "";
            break;
        };
        reader.tag(tag);
        rest = behind;
    }
    reader.text(rest);
    reader.end_line();
    reader.end_heading();
    reader.parts
}

/// The name of a tag in lower case, with its `/` if it closes.
pub(super) fn name(tag: &str) -> String {
    let inside = tag.trim_start_matches('<');
    let name = inside.trim_start_matches('/');
    let slash = if name.len() < inside.len() { "/" } else { "" };
    let name: String = name.chars().take_while(char::is_ascii_alphanumeric).take(20).collect();
    format!("{slash}{}", name.to_ascii_lowercase())
}

struct Reader {
    parts: Vec<Part>,
    text: String,
    line: u32,
    heading: Option<(String, u32)>,
}

impl Reader {
    fn text(&mut self, text: &str) {
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.end_line();
                self.line += 1;
            }
            match &mut self.heading {
                Some((heading, _)) => {
                    heading.push(' ');
                    heading.push_str(&plain(line));
                }
                None => self.text.push_str(&plain(line)),
            }
        }
    }

    fn tag(&mut self, tag: &str) {
        match name(tag).as_str() {
            "summary" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.end_line();
                self.end_heading();
                self.heading = Some((String::new(), self.line));
            }
            "/summary" | "/h1" | "/h2" | "/h3" | "/h4" | "/h5" | "/h6" => self.end_heading(),
            "/details" => {
                self.end_line();
                self.end_heading();
                self.parts.push(Part::EndOfDetails);
            }
            "blockquote" | "del" | "s" | "strike" => self.hidden(true),
            "/blockquote" | "/del" | "/s" | "/strike" => self.hidden(false),
            "br" | "p" | "/p" | "li" | "/li" | "div" | "/div" | "tr" | "/tr" => self.end_line(),
            _ => {}
        }
        self.line += u32::try_from(tag.matches('\n').count()).unwrap_or(0);
    }

    fn hidden(&mut self, begins: bool) {
        self.end_line();
        self.parts.push(Part::Hidden(begins));
    }

    fn end_line(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.trim().is_empty() {
            self.parts.push(Part::Text { text, line: self.line });
        }
    }

    fn end_heading(&mut self) {
        if let Some((text, line)) = self.heading.take() {
            self.parts.push(Part::Heading { text, line });
        }
    }
}

/// The text without the few entities that matter here.
fn plain(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    text.replace("&nbsp;", "\u{a0}").replace("&colon;", ":").replace("&amp;", "&")
}
