//! A saved snapshot without names: repositories, workspaces, packages, branches, CIs and people get
//! pseudonyms that sort as the names do, so that the plan of it decides the same.
//!
//! Commits and numbers of changes stay. Fingerprints are made of names, so they are exchanged: those
//! that hold now for those that hold under pseudonyms, others for a hash that only the ledger's own
//! id could give away, which is hidden too.

mod answers;
mod exchange;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::exchange::Exchange;
use super::fingerprint::QUEUE;
use super::plan;
use crate::model::build::{PackageHead, SetMember};
use crate::model::candidate::digest;
use crate::model::change::{Files, ForgeChange, Listing, OpenRef};
use crate::model::identity::{ChangeId, Fingerprint, Name, RepositoryId, Subject};
use crate::model::ledger_view::{
    AttemptView, ChangeFacts, LedgerView, Look, Seen, WorkspaceLedger,
};
use crate::model::locator::{Located, Locator};
use crate::model::manifest::{Manifest, Pin, Vcs};
use crate::model::observed::{Observed, Purpose};
use crate::model::paths::PathPatterns;
use crate::model::plan::FingerprintPart;
use crate::model::question::{Answer, Question};
use crate::model::queue::{QueueId, with_base};
use crate::model::report::Said;
use crate::model::saved::Saved;
use crate::model::settings::{ForgeKind, ForgeSettings, WorkspaceSettings};
use crate::model::snapshot::{RepositoryPart, WorkspacePart};
use crate::references::{Finding, Reading, References};

/// The same without names.
pub fn anonymous(saved: &Saved) -> Saved {
    let mut names = Names::new(saved);
    // The first time gathers the names, the second has them in order.
    names.of_all(saved);
    names.number();
    let mut hidden = names.of_all(saved);
    let (snapshot, ledger) = saved.clone().thawed();
    let real = plan(&snapshot, &ledger);
    let (snapshot, ledger) = hidden.clone().thawed();
    let other = plan(&snapshot, &ledger);
    Exchange { names: &names, real: &real, other: &other, key: key(saved) }
        .exchange(&mut hidden, saved);
    hidden
}

fn key(saved: &Saved) -> [u8; 32] {
    blake3::derive_key("crosswatch anonymous 1", saved.ledger.ledger_id.as_bytes())
}

/// What a name is; each kind is numbered for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Forge,
    Repository,
    Workspace,
    Package,
    Branch,
    Tag,
    Person,
    Label,
    Ci,
    Address,
    Folder,
    Phrase,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Forge => "forge",
            Self::Repository => "repository",
            Self::Workspace => "workspace",
            Self::Package => "package",
            Self::Branch => "branch",
            Self::Tag => "tag",
            Self::Person => "person",
            Self::Label => "label",
            Self::Ci => "ci",
            Self::Address => "address",
            Self::Folder => "folder",
            Self::Phrase => "phrase",
        }
    }
}

struct Names {
    locator: Locator,
    by_kind: RefCell<BTreeMap<Kind, BTreeMap<Name, Name>>>,
    /// Digests of manifests, each with that of the manifest under pseudonyms.
    digests: RefCell<BTreeMap<Fingerprint, Fingerprint>>,
}

impl Names {
    fn new(saved: &Saved) -> Self {
        Self {
            locator: Locator::new(&saved.settings),
            by_kind: RefCell::default(),
            digests: RefCell::default(),
        }
    }

    fn of(&self, kind: Kind, name: &str) -> Name {
        let mut by_kind = self.by_kind.borrow_mut();
        let known = by_kind.entry(kind).or_default();
        known.entry(Name::from(name)).or_insert_with(|| Name::from(kind.word())).clone()
    }

    /// Numbers all names in their order.
    fn number(&mut self) {
        for (kind, names) in self.by_kind.get_mut() {
            let width = names.len().to_string().len();
            for (index, pseudonym) in names.values_mut().enumerate() {
                *pseudonym = format!("{}-{:0width$}", kind.word(), index + 1).into();
            }
        }
    }

    fn repository(&self, id: &RepositoryId) -> RepositoryId {
        RepositoryId::new(self.of(Kind::Forge, &id.forge), self.of(Kind::Repository, &id.path))
    }

    fn change(&self, id: &ChangeId) -> ChangeId {
        self.repository(&id.repository).change(id.number)
    }

    fn subject(&self, subject: &Subject) -> Subject {
        match subject {
            Subject::Mainline => Subject::Mainline,
            Subject::Change(change) => Subject::Change(self.change(change)),
            Subject::Queue(queue) => Subject::Queue(Box::new(QueueId {
                repository: self.repository(&queue.repository),
                base: self.branch(&queue.base),
                ..(**queue).clone()
            })),
        }
    }

    fn branch(&self, name: &Name) -> Name {
        match with_base(name, |base| self.branch(base)) {
            Some(queue) => queue,
            None => self.of(Kind::Branch, name),
        }
    }

    fn package(&self, name: &Name) -> Name {
        // What the planner itself calls a workspace's own source.
        if &**name == "source" { name.clone() } else { self.of(Kind::Package, name) }
    }

    fn forge_url(&self, identity: &str) -> String {
        format!("https://{}.invalid", self.of(Kind::Forge, identity))
    }

    fn url(&self, url: &str) -> String {
        match self.locator.locate(url) {
            Located::Repository { id, .. } => self.url_of(&id),
            Located::Unwatched { .. } => {
                format!("https://unwatched.invalid/{}.git", self.of(Kind::Address, url))
            }
        }
    }

    fn url_of(&self, id: &RepositoryId) -> String {
        let path = self.of(Kind::Repository, &id.path);
        format!("{}/{path}.git", self.forge_url(&id.forge))
    }

    fn of_all(&self, saved: &Saved) -> Saved {
        let mut hidden = saved.clone();
        hidden.anonymous = true;
        hidden.settings.public_url = None;
        hidden.settings.forges = saved
            .settings
            .forges
            .values()
            .map(|forge| (self.of(Kind::Forge, &forge.identity), Arc::new(self.forge(forge))))
            .collect();
        let files: BTreeSet<&Name> = saved.answers.iter().filter_map(files_of).flatten().collect();
        for workspace in &mut hidden.settings.workspaces {
            *workspace = Arc::new(self.workspace_settings(workspace, &files));
        }
        for part in &mut hidden.workspaces {
            *part = Arc::new(self.workspace(part));
        }
        for part in &mut hidden.repositories {
            *part = Arc::new(self.repository_part(part));
        }
        for (question, answer) in &mut hidden.answers {
            *question = self.question(question);
            *answer = unspoken(answer.mapped(|answer| self.answer(answer)));
        }
        let parts = saved.ledger.workspaces.iter();
        let parts =
            parts.map(|(id, part)| (self.of(Kind::Workspace, id), Arc::new(self.ledger(part))));
        hidden.ledger =
            LedgerView { ledger_id: "ledger".to_owned(), workspaces: Arc::new(parts.collect()) };
        hidden
    }

    fn forge(&self, forge: &ForgeSettings) -> ForgeSettings {
        let name = self.of(Kind::Forge, &forge.identity);
        let mut hidden = forge.clone();
        hidden.url = self.forge_url(&forge.identity);
        (hidden.name, hidden.identity) = (name.clone(), name);
        hidden.also.clear();
        match &mut hidden.kind {
            ForgeKind::Git(git) => {
                git.changes = vec!["refs/changes/*/head".to_owned()];
                git.base = git.base.as_ref().map(|base| self.branch(base));
            }
            ForgeKind::GitHub(github) => {
                github.api_url = hidden.url.clone();
                github.webhook_secrets.clear();
            }
        }
        hidden
    }

    fn reading(&self, reading: &Reading) -> Reading {
        let phrases = reading.phrases.iter();
        let phrases = phrases.map(|phrase| self.of(Kind::Phrase, phrase).to_string());
        Reading { grammar: reading.grammar, phrases: phrases.collect() }
    }

    /// Patterns that fit the same of the paths that are known.
    fn patterns(&self, patterns: &PathPatterns, files: &BTreeSet<&Name>) -> PathPatterns {
        let fitting = files.iter().filter(|path| patterns.fit(path)).map(|path| self.path(path));
        // A name alone would fit in every folder.
        let whole = fitting
            .map(|path| if path.contains('/') { path } else { format!("{{{path},{path}/}}") });
        PathPatterns::new(whole.collect()).unwrap_or_default()
    }

    fn workspace_settings(
        &self,
        settings: &WorkspaceSettings,
        files: &BTreeSet<&Name>,
    ) -> WorkspaceSettings {
        let mut hidden = settings.clone();
        hidden.name = self.of(Kind::Workspace, &settings.name);
        hidden.id = self.of(Kind::Workspace, &settings.id);
        for ci in &mut hidden.ci {
            *ci = self.of(Kind::Ci, ci);
        }
        if let Some(source) = &mut hidden.source {
            source.url = self.url(&source.url);
            source.branch = source.branch.as_ref().map(|branch| self.branch(branch));
        }
        for label in &mut hidden.changes.merged_labels {
            *label = self.of(Kind::Label, label).to_string();
        }
        hidden.defining = self.patterns(&settings.defining, files);
        hidden.changes.reading = self.reading(&settings.changes.reading);
        hidden.changes.paths = self.patterns(&settings.changes.paths, files);
        hidden.changes.ignore_paths = self.patterns(&settings.changes.ignore_paths, files);
        for person in hidden.changes.trusted.iter_mut().chain(&mut hidden.changes.bots) {
            *person = self.of(Kind::Person, person).to_string();
        }
        hidden
    }

    fn workspace(&self, part: &WorkspacePart) -> WorkspacePart {
        let mut hidden = part.clone();
        hidden.name = self.of(Kind::Workspace, &part.name);
        hidden.failure = part.failure.as_ref().map(|_| UNSPOKEN.to_owned());
        hidden.manifest = unspoken(part.manifest.mapped(|manifest| self.manifest(manifest)));
        let last = |part: &WorkspacePart| {
            part.manifest.last_known(Purpose::ManifestInForce).map(|manifest| digest(manifest))
        };
        if let (Some(real), Some(other)) = (last(part), last(&hidden)) {
            self.digests.borrow_mut().insert(real, other);
        }
        if let Some(updated) = &mut hidden.updated {
            updated.checkouts = std::mem::take(&mut updated.checkouts)
                .into_iter()
                .map(|(name, head)| (self.package(&name), head))
                .collect();
            for (look, _) in &mut updated.inputs {
                *look = self.look(look);
            }
        }
        hidden
    }

    fn manifest(&self, manifest: &Manifest) -> Manifest {
        let mut hidden = manifest.clone();
        for package in hidden.packages.iter_mut().map(Arc::make_mut) {
            package.name = self.package(&package.name);
            package.override_key = self.of(Kind::Package, &package.override_key);
            package.vcs = self.vcs(&package.vcs);
            package.path = package.path.as_ref().map(|path| self.path(path));
            for needed in &mut package.depends_on {
                *needed = self.package(needed);
            }
        }
        for definition in &mut hidden.definitions {
            definition.name = self.package(&definition.name);
            definition.override_key = self.of(Kind::Package, &definition.override_key);
            definition.vcs = self.vcs(&definition.vcs);
        }
        hidden
    }

    fn vcs(&self, vcs: &Vcs) -> Vcs {
        match vcs {
            Vcs::Git { url, branch, pin } => Vcs::Git {
                url: self.url(url),
                branch: branch.as_ref().map(|branch| self.branch(branch)),
                pin: pin.as_ref().map(|pin| match pin {
                    Pin::Commit(pin) => Pin::Commit(self.pin(pin)),
                    Pin::Tag(tag) => Pin::Tag(self.pin(tag)),
                }),
            },
            Vcs::Other { kind, url } => {
                Vcs::Other { kind: kind.clone(), url: url.as_ref().map(|url| self.url(url)) }
            }
        }
    }

    fn pin(&self, pin: &str) -> String {
        let commit = pin.len() >= 7 && pin.bytes().all(|digit| digit.is_ascii_hexdigit());
        if commit { pin.to_owned() } else { self.of(Kind::Tag, pin).to_string() }
    }

    fn repository_part(&self, part: &RepositoryPart) -> RepositoryPart {
        let id = self.repository(&part.id);
        let same = part.spelling.eq_ignore_ascii_case(&part.id.path);
        let spelled = RepositoryId::new(part.id.forge.clone(), part.spelling.to_lowercase());
        RepositoryPart {
            spelling: if same { id.path.clone() } else { self.repository(&spelled).path }
                .to_string(),
            url: self.url_of(&part.id),
            id,
            listing: unspoken(part.listing.mapped(|listing| self.listing(listing))),
        }
    }

    fn listing(&self, listing: &Listing) -> Listing {
        let open = |open: &OpenRef| {
            let end = if open.ref_name.ends_with("/head") { "head" } else { "ref" };
            OpenRef {
                base: open.base.as_ref().map(|base| self.branch(base)),
                ref_name: format!("refs/changes/{}/{end}", open.number).into(),
                forge: open.forge.as_ref().map(|forge| Box::new(self.forge_change(forge))),
                ..open.clone()
            }
        };
        let branches = listing.branches.iter();
        Listing {
            archived: listing.archived,
            public: listing.public,
            default_branch: listing.default_branch.as_ref().map(|branch| self.branch(branch)),
            branches: branches.map(|(name, head)| (self.branch(name), *head)).collect(),
            former: listing
                .former
                .iter()
                .map(|(present, names)| {
                    (self.branch(present), names.iter().map(|name| self.branch(name)).collect())
                })
                .collect(),
            changes: listing.changes.iter().map(open).collect(),
        }
    }

    fn forge_change(&self, forge: &ForgeChange) -> ForgeChange {
        let mut hidden = forge.clone();
        if let Some(author) = &mut hidden.author {
            author.login = self.of(Kind::Person, &author.login);
        }
        if let Some(source) = &mut hidden.source {
            source.repository = self.repository(&source.repository);
            source.owner = self.of(Kind::Person, &source.owner);
            source.branch = self.branch(&source.branch);
        }
        hidden.labels = self.labels(&hidden.labels);
        hidden.references = self.references(&hidden.references);
        hidden
    }

    fn labels(&self, labels: &BTreeSet<Name>) -> BTreeSet<Name> {
        labels.iter().map(|label| self.of(Kind::Label, label)).collect()
    }

    fn facts(&self, facts: &ChangeFacts) -> ChangeFacts {
        let mut hidden = Seen::clone(&facts.seen);
        hidden.awaited = facts.awaited.iter().map(|(id, at)| (self.change(id), *at)).collect();
        if let Some(forge) = &mut hidden.forge {
            forge.base = self.branch(&forge.base);
        }
        if let Some(asked) = &mut hidden.asked {
            asked.by = self.of(Kind::Person, &asked.by);
            let at = std::mem::take(&mut asked.at);
            asked.at = at.into_iter().map(|(id, at)| (self.change(&id), at)).collect();
        }
        ChangeFacts { adopted: facts.adopted, seen: Arc::new(hidden) }
    }

    /// A path, part by part, so that what is below a folder stays below it.
    fn path(&self, path: &str) -> String {
        let parts: Vec<Name> = path.split('/').map(|part| self.of(Kind::Folder, part)).collect();
        parts.iter().map(Name::as_str).collect::<Vec<_>>().join("/")
    }

    fn references(&self, references: &References) -> References {
        let mut hidden = references.clone();
        for written in &mut hidden.references {
            written.change = self.change(&written.change);
            written.as_written = written.change.to_string();
        }
        for (reading, read) in &mut hidden.otherwise {
            (*reading, *read) = (self.reading(reading), self.references(read));
        }
        for short in &mut hidden.short {
            short.forge = self.of(Kind::Forge, &short.forge);
            short.name = self.last_name(&short.name);
            short.as_written = format!("{}#{}", short.name, short.number);
        }
        for finding in hidden.findings.iter_mut().chain(&mut hidden.notes) {
            let line = finding.line;
            let (as_written, text) = ("hidden".to_owned(), UNSPOKEN.to_owned());
            *finding = Finding { as_written, line, text };
        }
        hidden
    }

    /// The one repository that such a name ends, as it is called here.
    fn last_name(&self, name: &Name) -> Name {
        let by_kind = self.by_kind.borrow();
        let mut ends = by_kind
            .get(&Kind::Repository)
            .into_iter()
            .flatten()
            .filter(|(path, _)| path.rsplit('/').next() == Some(name));
        match (ends.next(), ends.next()) {
            (Some((_, only)), None) => only.clone(),
            _ => Name::from("elsewhere"),
        }
    }

    fn look(&self, look: &Look) -> Look {
        Look { repository: self.repository(&look.repository), branch: self.branch(&look.branch) }
    }

    fn member(&self, member: &SetMember) -> SetMember {
        SetMember {
            change: self.change(&member.change),
            head: member.head,
            base: self.branch(&member.base),
        }
    }

    fn head(&self, head: &PackageHead) -> PackageHead {
        PackageHead {
            package: self.package(&head.package),
            repository: self.repository(&head.repository),
            head: head.head,
        }
    }

    fn ledger(&self, part: &WorkspaceLedger) -> WorkspaceLedger {
        let mut hidden = part.clone();
        hidden.looks = part.looks.iter().map(|look| self.look(look)).collect();
        hidden.changes =
            part.changes.iter().map(|(id, facts)| (self.change(id), self.facts(facts))).collect();
        if let Some(facts) = &mut hidden.mainline {
            facts.heads = facts.heads.iter().map(|head| self.head(head)).collect();
        }
        hidden.attempts = part
            .attempts
            .iter()
            .map(|(subject, attempts)| {
                let attempts = attempts.iter().map(|attempt| self.attempt(attempt)).collect();
                (self.subject(subject), attempts)
            })
            .collect();
        for approval in &mut hidden.approvals {
            approval.subject = self.subject(&approval.subject);
            approval.set = approval.set.iter().map(|member| self.member(member)).collect();
            approval.by = self.of(Kind::Person, &approval.by).to_string();
        }
        hidden.rebuilds = part
            .rebuilds
            .iter()
            .map(|(subject, rebuild)| {
                let mut rebuild = rebuild.clone();
                rebuild.by = self.of(Kind::Person, &rebuild.by).to_string();
                (self.subject(subject), rebuild)
            })
            .collect();
        hidden.said = Said::EMPTY;
        hidden.paused_by = part.paused_by.as_ref().map(|by| self.of(Kind::Person, by).to_string());
        hidden
    }

    fn attempt(&self, attempt: &AttemptView) -> AttemptView {
        let mut hidden = attempt.clone();
        hidden.ci = self.of(Kind::Ci, &attempt.ci);
        hidden.set = attempt.set.iter().map(|member| self.member(member)).collect();
        hidden.parts = attempt.parts.iter().map(|part| self.part(part)).collect();
        hidden.link = None;
        hidden.note = attempt.note.as_ref().map(|_| UNSPOKEN.to_owned());
        hidden
    }

    /// The parts are words by now; those that are understood are said again with pseudonyms.
    fn part(&self, part: &FingerprintPart) -> FingerprintPart {
        let FingerprintPart { what, value } = part.clone();
        if what == "epoch" {
            return FingerprintPart { what, value };
        }
        if what == "workspace id" {
            let value = self.of(Kind::Workspace, &value).to_string();
            return FingerprintPart { what, value };
        }
        if let Some(package) = what.strip_suffix(" pinned") {
            let what = format!("{} pinned", self.package(&package.into()));
            return FingerprintPart { what, value: self.pin(&value) };
        }
        let change = what.split_once(" on ").and_then(|(change, base)| {
            Some(format!("{} on {}", self.change(&change.parse().ok()?), self.branch(&base.into())))
        });
        let queue = || {
            let (repository, base) = what.strip_prefix(QUEUE)?.split_once(" on ")?;
            let repository = self.repository(&repository.parse().ok()?);
            Some(format!("{QUEUE}{repository} on {}", self.branch(&base.into())))
        };
        let head = || {
            let (package, repository) = what.split_once(" from ")?;
            let repository = self.repository(&repository.parse().ok()?);
            Some(format!("{} from {repository}", self.package(&package.into())))
        };
        let hidden =
            change.or_else(queue).or_else(head).unwrap_or_else(|| "another part".to_owned());
        FingerprintPart { what: hidden, value }
    }
}

/// Names of files in an answer.
fn files_of(
    (_, answer): &(Question, Observed<Answer>),
) -> Option<impl Iterator<Item = &Name> + use<'_>> {
    match &**answer.last_known(Purpose::Display)? {
        Answer::Files(Files::Listed(names)) => Some(names.iter()),
        _ => None,
    }
}

const UNSPOKEN: &str = "the words are hidden";

/// The same without the words of whoever did not answer.
fn unspoken<T>(observed: Observed<T>) -> Observed<T> {
    match observed {
        Observed::Unknown(mut unknown) => {
            unknown.why = UNSPOKEN.to_owned();
            Observed::Unknown(unknown)
        }
        known @ Observed::Known(_) => known,
    }
}
