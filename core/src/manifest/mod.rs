//! Readers of manifests, one file a format. Whoever calls them checks the size of the bytes first;
//! everything else about them is hostile until it went through [`read`].

mod autoproj;
mod crosswatch;
mod gitmodules;
mod kas;
mod origin;
mod repo;
mod text;
mod vcstool;
mod west;
mod xml;
pub(crate) mod yaml;

use crate::model::identity::Name;
use crate::model::manifest::{DefinitionRepository, InvalidManifest, Manifest, Package};
use crate::model::settings::ManifestFormat;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Packages that one manifest may list, and definition repositories.
pub const MAX_PACKAGES: usize = 50_000;
const MAX_NOTES: usize = 100;

/// Reads a manifest that needs nothing beside its own bytes.
pub fn read(format: ManifestFormat, bytes: &[u8]) -> Result<ReadManifest, ManifestError> {
    read_input(format, &Input { bytes, ..Input::default() })
}

/// Reads a manifest. An empty list is an error, never a workspace without packages: tools write one
/// before their first real export.
pub fn read_input(
    format: ManifestFormat,
    input: &Input<'_>,
) -> Result<ReadManifest, ManifestError> {
    let text = text::checked(input.bytes)?;
    match format {
        ManifestFormat::Crosswatch => crosswatch::read(text),
        ManifestFormat::Autoproj => autoproj::read(text),
        ManifestFormat::West => west::read(text, input),
        ManifestFormat::Repo => repo::read(text, input),
        ManifestFormat::Vcstool => vcstool::read(text, input),
        ManifestFormat::Kas => kas::read(text, input),
        ManifestFormat::Gitmodules => gitmodules::read(text, input),
    }
}

/// What a reader is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Input<'a> {
    /// The exported manifest.
    pub bytes: &'a [u8],
    /// Further files of the workspace by their path in it, `/` between its parts.
    pub files: &'a [(String, Vec<u8>)],
    /// Address of the workspace's source, which relative addresses start from.
    pub source: Option<&'a str>,
    /// The branch of it.
    pub source_branch: Option<&'a str>,
    /// The folder that vcstool imports into, relative to the workspace's directory.
    pub checkouts: Option<&'a str>,
}

/// A manifest, and what a person should know about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadManifest {
    /// The manifest.
    pub manifest: Manifest,
    /// What was left out or looks wrong, at most a hundred sentences.
    pub notes: Vec<String>,
    /// Refs of changes that stood where a branch belongs, by override key: the workspace was
    /// exported with overrides in force, or the manifest follows a change on purpose.
    pub change_refs: Vec<(Name, String)>,
}

/// Why bytes are no manifest. The reader's caller adds which file or command they came from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Nothing but white space.
    #[error("it is empty; the tool may not have finished writing it, so run the update again")]
    Empty,
    /// A well-formed list of nothing.
    #[error(
        "it lists no packages; tools write such a file before their first real update, so nothing \
         is concluded from it: run the update, or add packages to the workspace"
    )]
    NoPackages,
    /// Not text.
    #[error("byte {at} is no UTF-8 text; a manifest is text, so check the path")]
    NotText {
        /// Position from 0.
        at: usize,
    },
    /// autoproj's format of before 2016.
    #[error(
        "it is a comma-separated installation manifest of a very old autoproj; update autoproj and \
         run `autoproj envsh`, which writes it anew"
    )]
    Csv,
    /// The text cannot be parsed.
    #[error("it cannot be parsed: {message}")]
    Syntax {
        /// What the parser says, with line and column.
        message: String,
    },
    /// Something has the wrong type or value.
    #[error("{place}: expected {expected}, found {found}")]
    Wrong {
        /// Where, such as `packages[3] ("base/types"): git.url`.
        place: String,
        /// What belongs there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A name that occurs twice.
    #[error(transparent)]
    Invalid(#[from] InvalidManifest),
    /// More than is read.
    #[error("{what}: at most {most} are read; split the workspace")]
    TooMany {
        /// Of what.
        what: String,
        /// How many are allowed.
        most: usize,
    },
    /// A version that this daemon does not read.
    #[error("version {found} is not known; this crosswatch reads version 1")]
    Version {
        /// What the manifest says.
        found: u64,
    },
}

/// Gathers a manifest and its notes.
#[derive(Default)]
struct Builder {
    packages: Vec<Package>,
    definitions: Vec<DefinitionRepository>,
    change_refs: Vec<(Name, String)>,
    notes: Vec<String>,
    notes_left_out: usize,
}

impl Builder {
    fn note(&mut self, note: impl FnOnce() -> String) {
        if self.notes.len() < MAX_NOTES {
            self.notes.push(note());
        } else {
            self.notes_left_out += 1;
        }
    }

    fn finish(mut self) -> Result<ReadManifest, ManifestError> {
        // A list of definitions alone is what an update leaves that broke off before the packages.
        if self.packages.is_empty() {
            return Err(ManifestError::NoPackages);
        }
        for (what, count) in
            [("packages", self.packages.len()), ("definitions", self.definitions.len())]
        {
            if count > MAX_PACKAGES {
                return Err(ManifestError::TooMany { what: what.to_owned(), most: MAX_PACKAGES });
            }
        }
        let known: BTreeSet<Name> =
            self.packages.iter().map(|package| package.name.clone()).collect();
        let packages = std::mem::take(&mut self.packages);
        for package in &packages {
            for name in &package.depends_on {
                if *name == package.name {
                    self.note(|| format!("package {name:?} depends on itself; ignored"));
                } else if !known.contains(name) {
                    self.note(|| {
                        format!(
                            "package {:?} depends on {name:?}, which the manifest does not list; \
                             ignored",
                            package.name
                        )
                    });
                }
            }
        }
        if self.notes_left_out > 0 {
            self.notes.push(format!("and more notes ({} not shown)", self.notes_left_out));
        }
        self.change_refs.sort();
        Ok(ReadManifest {
            manifest: Manifest::new(packages, self.definitions)?,
            notes: self.notes,
            change_refs: self.change_refs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORMATS: [ManifestFormat; 7] = ManifestFormat::ALL;

    #[test]
    fn what_is_empty_or_no_text_is_an_error_in_every_format() {
        for format in FORMATS {
            assert_eq!(read(format, b" \n\t"), Err(ManifestError::Empty));
            assert_eq!(read(format, b""), Err(ManifestError::Empty));
            assert_eq!(read(format, b"ab\xff"), Err(ManifestError::NotText { at: 2 }));
        }
    }

    #[test]
    fn deep_nesting_is_refused_at_once() {
        for format in FORMATS {
            for text in [
                "[".repeat(1_000_000),
                "{\"a\":".repeat(100_000),
                "- ".repeat(10_000),
                "<a>".repeat(300_000),
                format!("<a {}/>", "b='c' ".repeat(100_000)),
            ] {
                assert!(read(format, text.as_bytes()).is_err());
            }
        }
    }

    #[test]
    fn aliases_explode_in_no_format() {
        let mut bomb = "a0: &a0 {name: x, url: y}\n".to_owned();
        for level in 1..30 {
            let before = level - 1;
            bomb.push_str(&format!("a{level}: &a{level} [*a{before}, *a{before}, *a{before}]\n"));
        }
        bomb.push_str("manifest: {projects: *a29}\nrepositories: {a: *a29}\nrepos: {a: *a29}\n");
        for format in FORMATS {
            assert!(read(format, bomb.as_bytes()).is_err());
        }
    }

    proptest! {
        #[test]
        fn hostile_xml_never_panics(text in "(<|>|/|!|\\[|\\]|'|\"|=|&|;|#|\\?|-| |a|manifest|project|include| name='a'| fetch='b'){0,60}") {
            for text in [text.clone(), format!("<manifest><remote name='r' fetch='../'/>{text}</manifest>")] {
                drop(read(ManifestFormat::Repo, text.as_bytes()));
            }
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            for format in FORMATS {
                drop(read(format, &bytes));
            }
        }

        #[test]
        fn hostile_yaml_never_panics(text in "[-:a-e\\[\\]{}&*!'\"#, \n|>?%@`~0-9]{0,200}") {
            for format in FORMATS {
                drop(read(format, text.as_bytes()));
            }
        }

        #[test]
        fn broken_fixtures_never_panic(cut in 0usize..2000, at in 0usize..2000, byte: u8) {
            let mut bytes = include_bytes!("fixtures/autoproj-2.18-github.yml").to_vec();
            bytes.truncate(2000);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            drop(read(ManifestFormat::Autoproj, &bytes));
            bytes.truncate(cut);
            drop(read(ManifestFormat::Autoproj, &bytes));
        }
    }
}
