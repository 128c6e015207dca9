//! What a workspace's tool decides: its preset, its manifest, and how it reads overrides.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Step;

/// Presets of commands, manifest, overrides spelling and defining files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// autoproj of Rock.
    Autoproj,
    /// west of Zephyr.
    West,
    /// repo of Android.
    Repo,
    /// vcstool (`vcs`) of ROS.
    Vcstool,
    /// kas of Yocto.
    Kas,
    /// git submodules.
    Gitmodules,
    /// Commands and manifest are given in the configuration.
    Custom,
}

/// Where the manifest comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestSource {
    /// How it is written.
    pub format: ManifestFormat,
    /// File, relative to the workspace's directory, or a command that prints it.
    pub from: ManifestFrom,
    /// Largest manifest that is read, in bytes; of the further files together as well.
    pub max_bytes: u64,
    /// Further files that its reader looks into, as patterns of paths in the workspace's directory.
    pub files: Vec<String>,
    /// The folder that the tool checks repositories out into, where the manifest does not say it.
    pub checkouts: Option<String>,
}

/// File or command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestFrom {
    /// A file that bootstrap and update write.
    Path(PathBuf),
    /// A command that prints it on standard output.
    Run(Step),
}

/// Formats of manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestFormat {
    /// Our own JSON, see `docs/manifest.schema.json`.
    Crosswatch,
    /// autoproj's installation manifest.
    Autoproj,
    /// What `west manifest --resolve` prints.
    West,
    /// repo's XML.
    Repo,
    /// vcstool's `.repos` file.
    Vcstool,
    /// What `kas dump` prints.
    Kas,
    /// What `git config -f .gitmodules --list -z` prints.
    Gitmodules,
}

impl ManifestFormat {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Crosswatch,
        Self::Autoproj,
        Self::West,
        Self::Repo,
        Self::Vcstool,
        Self::Kas,
        Self::Gitmodules,
    ];
}

/// How overrides are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spelling {
    /// Our own JSON.
    Json,
    /// A file for autoproj's `overrides.d`.
    Autoproj,
    /// A manifest that west's own imports before its projects.
    West,
    /// A file for repo's `local_manifests`.
    Repo,
    /// A `.repos` file for `vcs import --shallow`.
    Vcstool,
    /// A configuration file that kas takes behind its own.
    Kas,
    /// Lines for `git update-index --index-info`.
    Gitmodules,
}

impl Spelling {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Json,
        Self::Autoproj,
        Self::West,
        Self::Repo,
        Self::Vcstool,
        Self::Kas,
        Self::Gitmodules,
    ];

    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Autoproj => "autoproj",
            Self::West => "west",
            Self::Repo => "repo",
            Self::Vcstool => "vcstool",
            Self::Kas => "kas",
            Self::Gitmodules => "gitmodules",
        }
    }

    /// The name of a file with it, for CIs that are given files.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Json => "overrides.json",
            Self::Autoproj => "overrides.yml",
            Self::West => "overrides.west.yml",
            Self::Repo => "overrides.repo.xml",
            Self::Vcstool => "overrides.repos",
            Self::Kas => "overrides.kas.yml",
            Self::Gitmodules => "overrides.gitmodules",
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
