//! What a text must be read with: whose it is, which forges there are, and which grammar counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::identity::{ChangeId, Name, RepositoryId};
use crate::model::locator::Locator;
use crate::model::settings::{ForgeKind, Settings};

/// How a text is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The change that the text belongs to.
    pub of: &'a ChangeId,
    /// The configured forges.
    pub forges: &'a Forges<'a>,
    /// Phrases besides `depends on`, `depends-on`, `depend on`.
    pub phrases: &'a [String],
    /// The grammar.
    pub grammar: Grammar,
}

impl<'a> Context<'a> {
    /// By the default grammar, without further phrases.
    pub fn new(of: &'a ChangeId, forges: &'a Forges<'a>) -> Self {
        Self { of, forges, phrases: &[], grammar: Grammar::Default }
    }

    /// How the forge of the change itself writes changes.
    pub fn spelling(&self) -> Spelling {
        self.forges.spelling(&self.of.repository.forge)
    }
}

/// How a workspace wants bodies to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reading {
    /// Which texts are references.
    pub grammar: Grammar,
    /// Phrases besides ours, as they are written.
    pub phrases: Vec<String>,
}

/// Which texts are references.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grammar {
    /// Ours.
    #[default]
    #[serde(rename = "crosswatch")]
    Default,
    /// What autoproj-daemon reads, no more and no less.
    Autoproj,
    /// What Zuul reads, no more and no less.
    Zuul,
}

/// How a forge writes its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// `owner/name#12`, `/pull/12`.
    GitHub,
    /// `group/sub/name!12`, `/-/merge_requests/12`.
    GitLab,
    /// `owner/name#12` or `owner/name!12`, `/pulls/12`.
    Gitea,
    /// `path#12`.
    Git,
}

impl From<&ForgeKind> for Spelling {
    fn from(kind: &ForgeKind) -> Self {
        match kind {
            ForgeKind::Git(_) => Self::Git,
            ForgeKind::GitHub(_) => Self::GitHub,
        }
    }
}

/// The configured forges: which address and which way of writing belongs to which.
#[derive(Clone, Debug)]
pub struct Forges<'a> {
    locator: &'a Locator,
    spellings: BTreeMap<Name, Spelling>,
}

impl<'a> Forges<'a> {
    /// All of them plain git, until told otherwise.
    pub fn new(locator: &'a Locator) -> Self {
        Self { locator, spellings: BTreeMap::new() }
    }

    /// Those of a configuration.
    pub fn of(settings: &Settings, locator: &'a Locator) -> Self {
        let spellings = settings.forges.values();
        let spellings = spellings.map(|forge| (forge.identity.clone(), (&forge.kind).into()));
        Self { locator, spellings: spellings.collect() }
    }

    /// The same, with the forge of that identity writing changes in that way.
    pub fn with(mut self, identity: impl Into<Name>, spelling: Spelling) -> Self {
        self.spellings.insert(identity.into(), spelling);
        self
    }

    /// How that forge writes changes.
    pub fn spelling(&self, identity: &str) -> Spelling {
        self.spellings.get(identity).copied().unwrap_or(Spelling::Git)
    }

    pub(super) fn locator(&self) -> &Locator {
        self.locator
    }

    /// The repository in the spelling in which its forge compares.
    pub(super) fn folded(&self, repository: RepositoryId) -> RepositoryId {
        match self.spelling(&repository.forge) {
            Spelling::Git => repository,
            Spelling::GitHub | Spelling::GitLab | Spelling::Gitea => {
                RepositoryId::new(repository.forge, repository.path.to_lowercase())
            }
        }
    }
}
