//! Everything that the planner sees as one file: `snapshot save` writes it, `plan --offline` reads it.
//!
//! What the planner does not read is left out: commands, environments, CIs, tokens, paths of this
//! machine. What it does read names repositories; [`crate::plan::anonymous`] hides those too.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::candidate::Candidate;
use super::ledger_view::LedgerView;
use super::locator::Locator;
use super::manifest::{Manifest, Vcs};
use super::observed::Observed;
use super::question::{Answer, Question};
use super::settings::{
    CandidateRules, Database, LogRules, ManifestFrom, ManifestSource, Settings, WorkspaceSettings,
};
use super::snapshot::{RepositoryPart, Snapshot, WorkspacePart};
use super::time::Timestamp;

/// What stands in `format`, so that another file is not taken for a snapshot.
const FORMAT: &str = "crosswatch snapshot";
/// Version of the encoding.
pub const VERSION: u32 = 1;
/// Largest file that is read.
pub const MAX_BYTES: u64 = 256 << 20;
/// Dependencies that no configuration may allow.
const MAX_DEPENDENCIES: usize = 100_000;
const MAX_SHOWN: usize = 300;

/// A snapshot with the ledger's view that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    format: String,
    version: u32,
    /// Whether names were replaced by pseudonyms.
    pub anonymous: bool,
    /// The snapshot's time.
    pub at: Timestamp,
    /// The planner's part of the configuration.
    pub settings: Settings,
    /// Workspaces by name.
    pub workspaces: Vec<Arc<WorkspacePart>>,
    /// Repositories by identity.
    pub repositories: Vec<Arc<RepositoryPart>>,
    /// Answers by question.
    pub answers: Vec<(Question, Observed<Answer>)>,
    /// What the plan was made with.
    pub ledger: LedgerView,
}

/// Why a file is no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedError {
    /// It is larger than any that was written.
    #[error("it is larger than {} MiB, which no saved snapshot is", MAX_BYTES >> 20)]
    TooLarge,
    /// Something else altogether.
    #[error("it is no snapshot; `crosswatch snapshot save FILE` writes one")]
    NoSnapshot,
    /// Of another version.
    #[error(
        "it has version {0} of the format, this program reads version {VERSION}; read it with the crosswatch that wrote it"
    )]
    Version(u64),
    /// Not the JSON that it should be.
    #[error("line {line}, column {column}: {why}; save it again, it was cut or changed")]
    Broken {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The parser's words, bounded and harmless to show.
        why: String,
    },
    /// Something that no daemon writes.
    #[error("{0}; save it again, it was changed")]
    Impossible(String),
}

impl Saved {
    /// What the planner saw, without anything else that the configuration says.
    pub fn new(snapshot: &Snapshot, ledger: &LedgerView) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            anonymous: false,
            at: snapshot.at,
            settings: planners(&snapshot.settings),
            workspaces: snapshot.workspaces.values().map(|part| Arc::new(shown(part))).collect(),
            repositories: snapshot.repositories.values().cloned().collect(),
            answers: snapshot
                .answers
                .iter()
                .map(|(q, a)| (q.clone(), a.mapped(shown_answer)))
                .collect(),
            ledger: ledger.clone(),
        }
    }

    /// Reads a file that may come from anybody.
    pub fn read(bytes: &[u8]) -> Result<Self, SavedError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u64,
        }
        if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
            return Err(SavedError::TooLarge);
        }
        let broken = |error: serde_json::Error| SavedError::Broken {
            line: error.line(),
            column: error.column(),
            why: harmless(&error.to_string()),
        };
        let head: Head = match serde_json::from_slice(bytes) {
            Ok(head) => head,
            Err(error) if error.is_data() || !bytes.trim_ascii_start().starts_with(b"{") => {
                return Err(SavedError::NoSnapshot);
            }
            Err(error) => return Err(broken(error)),
        };
        if head.format != FORMAT {
            return Err(SavedError::NoSnapshot);
        }
        if head.version != u64::from(VERSION) {
            return Err(SavedError::Version(head.version));
        }
        let saved: Self = serde_json::from_slice(bytes).map_err(broken)?;
        saved.checked()
    }

    fn checked(self) -> Result<Self, SavedError> {
        let wrong = |why: String| Err(SavedError::Impossible(harmless(&why)));
        let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for workspace in &self.settings.workspaces {
            if !names.insert(&workspace.name) || !ids.insert(&workspace.id) {
                return wrong(format!("workspace {} is in it twice", workspace.name));
            }
            if workspace.changes.max_dependencies > MAX_DEPENDENCIES {
                return wrong(format!(
                    "workspace {} allows more than {MAX_DEPENDENCIES} dependencies",
                    workspace.name
                ));
            }
        }
        let mut repositories = BTreeSet::new();
        for part in &self.repositories {
            if !repositories.insert(&part.id) {
                return wrong(format!("repository {} is in it twice", part.id));
            }
        }
        Ok(self)
    }

    /// What [`crate::plan::plan`] takes.
    pub fn thawed(self) -> (Snapshot, LedgerView) {
        let snapshot = Snapshot {
            at: self.at,
            locator: Arc::new(Locator::new(&self.settings)),
            settings: Arc::new(self.settings),
            workspaces: Arc::new(
                self.workspaces.into_iter().map(|part| (part.name.clone(), part)).collect(),
            ),
            repositories: Arc::new(
                self.repositories.into_iter().map(|part| (part.id.clone(), part)).collect(),
            ),
            answers: Arc::new(self.answers.into_iter().collect()),
            by_first_names: false,
            aliases: Arc::default(),
            times: Arc::default(),
        };
        (snapshot, self.ledger)
    }
}

/// The settings that decide, with everything else as if nothing were said.
fn planners(settings: &Settings) -> Settings {
    Settings {
        state_dir: std::path::PathBuf::new(),
        database: Database::Sqlite,
        listen: String::new(),
        public_url: settings.public_url.clone(),
        forges: settings
            .forges
            .iter()
            .map(|(name, forge)| {
                let mut forge = (**forge).clone();
                forge.tokens = Vec::new();
                forge.app = None;
                forge.url = without_secret(&forge.url);
                forge.also = forge.also.iter().map(|also| without_secret(also)).collect();
                (name.clone(), Arc::new(forge))
            })
            .collect(),
        ci: std::collections::BTreeMap::new(),
        workspaces: settings.workspaces.iter().map(|w| Arc::new(planners_workspace(w))).collect(),
        max_updates: 1,
        max_candidates: 1,
        max_load: None,
        logs: LogRules::DEFAULT,
        proxy: None,
    }
}

fn planners_workspace(settings: &WorkspaceSettings) -> WorkspaceSettings {
    let mut kept = settings.clone();
    kept.bootstrap = None;
    kept.update = None;
    kept.env.clear();
    kept.candidates = CandidateRules { make: kept.candidates.make, ..CandidateRules::DEFAULT };
    kept.report_to.clear();
    kept.manifest = ManifestSource {
        format: settings.manifest.format,
        from: ManifestFrom::Path(std::path::PathBuf::new()),
        max_bytes: settings.manifest.max_bytes,
        files: Vec::new(),
        checkouts: None,
    };
    if let Some(source) = &mut kept.source {
        source.url = without_secret(&source.url);
    }
    kept
}

fn shown(part: &WorkspacePart) -> WorkspacePart {
    WorkspacePart { manifest: part.manifest.mapped(cleaned), ..part.clone() }
}

fn shown_answer(answer: &Answer) -> Answer {
    match answer {
        Answer::Candidate(Candidate::Made(manifest)) => {
            Answer::Candidate(Candidate::Made(cleaned(manifest)))
        }
        Answer::Candidate(Candidate::Needs(urls)) => Answer::Candidate(Candidate::Needs(
            urls.iter().map(|url| without_secret(url)).collect(),
        )),
        // Lines of a log may hold anything.
        Answer::Candidate(Candidate::Failed { why, .. }) => {
            Answer::Candidate(Candidate::Failed { why: why.clone(), tail: Vec::new() })
        }
        other => other.clone(),
    }
}

fn cleaned(manifest: &Manifest) -> Manifest {
    let vcs = |vcs: &mut Vcs| match vcs {
        Vcs::Git { url, .. } => *url = without_secret(url),
        Vcs::Other { url, .. } => *url = url.as_deref().map(without_secret),
    };
    let mut manifest = manifest.clone();
    manifest.packages.iter_mut().map(Arc::make_mut).for_each(|package| {
        vcs(&mut package.vcs);
        package.directory = None;
    });
    manifest.definitions.iter_mut().for_each(|definition| {
        vcs(&mut definition.vcs);
        definition.directory = None;
    });
    manifest
}

/// An address that means the same to [`Locator`], without what may be a password or a token.
pub fn without_secret(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let http = ["http://", "https://"].iter().any(|http| scheme.eq_ignore_ascii_case(http));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (place, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let place = match place.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => format!("hidden:hidden@{host}"),
        Some((_, host)) if http => format!("hidden@{host}"),
        _ => place.to_owned(),
    };
    let path = match path.find(['?', '#']) {
        Some(at) => format!("{}?hidden", path.get(..at).unwrap_or_default()),
        None => path.to_owned(),
    };
    format!("{scheme}{place}{path}")
}

fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_meaning_and_lose_their_secrets() {
        for (url, kept) in [
            ("https://example.org/a/b.git", "https://example.org/a/b.git"),
            ("https://s3cret@example.org/a", "https://hidden@example.org/a"),
            ("HTTPS://me:s3cret@example.org/a", "HTTPS://hidden:hidden@example.org/a"),
            ("ssh://git@example.org/a", "ssh://git@example.org/a"),
            ("ssh://git:s3cret@example.org/a", "ssh://hidden:hidden@example.org/a"),
            ("git@example.org:a/b", "git@example.org:a/b"),
            ("https://example.org/a?token=s3cret#x", "https://example.org/a?hidden"),
            ("svn+ssh://me:s3cret@x/y", "svn+ssh://hidden:hidden@x/y"),
            ("/local/path@x", "/local/path@x"),
        ] {
            assert_eq!(without_secret(url), kept);
        }
    }

    #[test]
    fn other_files_are_refused_in_words() {
        let deep = "[".repeat(100_000);
        for (text, said) in [
            ("", "it is no snapshot"),
            ("[]", "it is no snapshot"),
            (deep.as_str(), "it is no snapshot"),
            ("{\"a\": 1}", "it is no snapshot"),
            ("{\"format\": \"x\", \"version\": 1}", "it is no snapshot"),
            ("{\"format\": \"crosswatch snapshot\", \"version\": 7}", "version 7 of the format"),
            ("{\"format\": \"crosswatch snapshot\", \"version\"", "line 1, column"),
            ("{\"format\": \"crosswatch snapshot\", \"version\": 1}", "missing field"),
            (
                "{\"format\": \"crosswatch snapshot\", \"version\": 1, \"at\": \"\\u001b[31m\"}",
                "line 1",
            ),
        ] {
            let error = Saved::read(text.as_bytes()).expect_err(said).to_string();
            assert!(error.contains(said) && error.len() < 1000, "{text:.60}: {error}");
            assert!(!error.contains('\u{1b}'), "{error:?}");
        }
    }
}
