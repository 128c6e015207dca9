//! Everything that is wrong with a configuration, with places, and never with a secret.

use std::fmt;
use std::path::{Path, PathBuf};

use super::mask::Masks;

/// Most errors that are written out.
const SHOWN_AT_MOST: usize = 50;

/// All that is wrong with one file, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    origin: PathBuf,
    errors: Vec<ConfigError>,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    place: Option<Place>,
    path: String,
    message: String,
    mend: String,
    excerpt: Option<Box<(String, usize)>>,
}

/// A line and a column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl ConfigErrors {
    /// One mistake that is about the file as a whole.
    pub fn whole(origin: &Path, error: ConfigError) -> Self {
        Self { origin: origin.to_owned(), errors: vec![error] }
    }

    /// Mistakes in a text, which is shown as far as `masks` let it.
    pub fn new(origin: &Path, text: &str, masks: &Masks, mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by_key(|error| error.place);
        for error in errors.iter_mut().take(SHOWN_AT_MOST) {
            error.excerpt = error.place.map(|place| Box::new(masks.line(text, place)));
        }
        Self { origin: origin.to_owned(), errors }
    }

    /// The mistakes.
    pub fn errors(&self) -> &[ConfigError] {
        &self.errors
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.origin.display();
        for (index, error) in self.errors.iter().take(SHOWN_AT_MOST).enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match error.place {
                Some(place) => write!(f, "{origin}:{}:{}: {error}", place.line, place.column)?,
                None => write!(f, "{origin}: {error}")?,
            }
            if let Some((line, caret)) = error.excerpt.as_deref()
                && !line.is_empty()
            {
                write!(f, "\n    {line}\n    {:caret$}^", "", caret = *caret)?;
            }
        }
        match self.errors.len().saturating_sub(SHOWN_AT_MOST) {
            0 => Ok(()),
            more => write!(f, "\n{origin}: and {more} more errors"),
        }
    }
}

impl ConfigError {
    /// A mistake without a place yet.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            place: None,
            path: String::new(),
            message: message.into(),
            mend: String::new(),
            excerpt: None,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    /// Under which key it is, such as `workspaces[0].changes`.
    #[must_use]
    pub fn under(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// What to do about it.
    #[must_use]
    pub fn mend(self, mend: impl Into<String>) -> Self {
        Self { mend: mend.into(), ..self }
    }

    /// Where it is, if it is anywhere in the text.
    pub fn place(&self) -> Option<Place> {
        self.place
    }

    /// Under which key it is.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong, without key and mend.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if self.mend.is_empty() { Ok(()) } else { write!(f, "; {}", self.mend) }
    }
}
