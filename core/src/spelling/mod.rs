//! Overrides as the tools of workspaces read them, one file a spelling.

mod autoproj;
mod json;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::build::{BuildRequest, Override};

/// Writes overrides.
pub fn spell(format: Spelling, overrides: &[Override]) -> String {
    match format {
        Spelling::Json => json::spell(overrides),
        Spelling::Autoproj => autoproj::spell(overrides),
    }
}

/// Writes the overrides of a build; where the spelling has room for it, with what they are for.
pub fn spell_request(format: Spelling, request: &BuildRequest) -> String {
    match format {
        Spelling::Json => json::spell_request(request),
        Spelling::Autoproj => autoproj::spell(&request.overrides),
    }
}

/// How overrides are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spelling {
    /// Our own JSON.
    Json,
    /// A file for autoproj's `overrides.d`.
    Autoproj,
}

impl Spelling {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Json, Self::Autoproj];

    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Autoproj => "autoproj",
        }
    }
}

impl FromStr for Spelling {
    type Err = UnknownSpelling;

    fn from_str(text: &str) -> Result<Self, UnknownSpelling> {
        Self::ALL
            .into_iter()
            .find(|spelling| spelling.word() == text)
            .ok_or_else(|| UnknownSpelling(text.chars().take(60).collect()))
    }
}

/// A word that is no spelling of overrides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no spelling of overrides; there are {known}", known = Spelling::ALL.map(Spelling::word).join(", "))]
pub struct UnknownSpelling(String);

#[cfg(test)]
mod tests;
