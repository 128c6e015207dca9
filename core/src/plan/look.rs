//! One workspace's view of a snapshot, which notes what was asked of it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::candidate::Candidate;
use crate::model::change::{CommitFacts, Fate, Files, OpenRef, Rights};
use crate::model::identity::{ChangeId, Name, Oid, RepositoryId};
use crate::model::ledger_view::{ChangeFacts, WorkspaceLedger};
use crate::model::observed::{NOT_READ_YET, Observed, Purpose};
use crate::model::part::Asked;
use crate::model::question::{Answer, Question};
use crate::model::settings::{ForgeKind, WorkspaceSettings};
use crate::model::snapshot::{RepositoryPart, Snapshot, WorkspacePart};
use crate::model::time::{Span, Timestamp};

use super::shared::Shared;

/// So long a repository must have been absent until its changes count as closed.
const GONE_AFTER: Span = Span::days(14);

/// What the rules of one workspace read, and what they missed.
pub(crate) struct View<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) settings: &'a WorkspaceSettings,
    pub(crate) part: Option<&'a Arc<WorkspacePart>>,
    pub(crate) ledger: &'a WorkspaceLedger,
    pub(crate) ledger_id: &'a str,
    /// What was noted for changes, by their repository; for the mainline, and for all changes together,
    /// without one.
    asked: RefCell<BTreeMap<Option<RepositoryId>, Asked>>,
    /// The repository whose changes are being decided on.
    about: RefCell<Option<RepositoryId>>,
    /// The repositories whose changes are decided on, if not all.
    scope: Option<BTreeSet<RepositoryId>>,
}

impl<'a> View<'a> {
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        settings: &'a WorkspaceSettings,
        ledger: &'a WorkspaceLedger,
        ledger_id: &'a str,
    ) -> Self {
        Self {
            snapshot,
            settings,
            part: snapshot.workspaces.get(&settings.name),
            ledger,
            ledger_id,
            asked: RefCell::default(),
            about: RefCell::default(),
            scope: None,
        }
    }

    /// Leaves out the changes of other repositories.
    pub(crate) fn limit(&mut self, scope: BTreeSet<RepositoryId>) {
        self.scope = Some(scope);
    }

    /// The repositories whose changes are decided on; nothing where that is all of them.
    pub(crate) fn scope(&self) -> Option<&BTreeSet<RepositoryId>> {
        self.scope.as_ref()
    }

    /// Whether changes of a repository are decided on.
    pub(crate) fn in_scope(&self, id: &RepositoryId) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.contains(id))
    }

    /// What is read from here on is read for changes of this repository; for the mainline or for all
    /// changes where there is none.
    pub(crate) fn about(&self, id: Option<&RepositoryId>) {
        let mut about = self.about.borrow_mut();
        if about.as_ref() != id {
            *about = id.cloned();
        }
    }

    pub(crate) fn at(&self) -> Timestamp {
        self.snapshot.at
    }

    pub(crate) fn repository(&self, id: &RepositoryId) -> Option<&'a Arc<RepositoryPart>> {
        self.snapshot.repositories.get(id)
    }

    /// Whether changes of that forge are pull requests, which it lists only while they are open.
    pub(crate) fn hosted(&self, id: &RepositoryId) -> bool {
        let forge = self.snapshot.settings.forge(&id.forge);
        forge.is_some_and(|forge| matches!(forge.kind, ForgeKind::GitHub(_)))
    }

    /// Since when the repository is not there, if that is long enough to call it gone.
    pub(crate) fn gone(&self, id: &RepositoryId) -> Option<Timestamp> {
        let absent = self.repository(id)?.listing.unknown()?.absent?;
        (self.hosted(id) && !self.until(absent + GONE_AFTER)).then_some(absent)
    }

    /// Notes that a decision holds until `time`; whether that is still to come.
    pub(crate) fn until(&self, time: Timestamp) -> bool {
        let ahead = time > self.at();
        if ahead {
            self.note(|asked| {
                asked.next_at = Some(asked.next_at.map_or(time, |known| known.min(time)));
            });
        }
        ahead
    }

    /// Notes that something was read that is the workspace's own.
    pub(crate) fn own(&self) {
        self.note(|asked| asked.own = true);
    }

    fn note(&self, note: impl FnOnce(&mut Asked)) {
        let about = self.about.borrow();
        let mut asked = self.asked.borrow_mut();
        match asked.get_mut(&*about) {
            Some(known) => note(known),
            None => note(asked.entry(about.clone()).or_default()),
        }
    }

    fn consulted(&self, question: &Question) {
        self.note(|asked| {
            if !asked.consulted.contains(question) {
                Arc::make_mut(&mut asked.consulted).insert(question.clone());
            }
        });
    }

    fn ask(&self, question: Question) -> Result<&'a Answer, String> {
        let answer = self.seen(&question);
        if answer.is_err() {
            self.want(question);
        }
        answer
    }

    /// What is known of a question, without asking for more.
    fn seen(&self, question: &Question) -> Result<&'a Answer, String> {
        self.consulted(question);
        match self.snapshot.answers.get(question) {
            Some(Observed::Known(answer)) => Ok(answer),
            Some(Observed::Unknown(unknown)) => Err(unknown.why.clone()),
            None => Err(NOT_READ_YET.to_owned()),
        }
    }

    /// Asks for something that is not known.
    pub(crate) fn want(&self, question: Question) {
        self.note(|asked| asked.wanted.extend([question]));
    }

    /// Date and references of a commit, or why they are not known.
    pub(crate) fn commit(
        &self,
        repository: &RepositoryId,
        oid: Oid,
    ) -> Result<&'a CommitFacts, String> {
        match self.ask(Question::Commit { repository: repository.clone(), oid }) {
            Ok(Answer::Commit(facts)) => Ok(facts),
            Ok(_) => Err("an answer of the wrong kind".to_owned()),
            Err(why) => Err(format!("commit {} of {repository}: {why}", oid.short())),
        }
    }

    /// What was known of a commit last, without asking for it.
    pub(crate) fn last_commit(
        &self,
        repository: &RepositoryId,
        oid: Oid,
        purpose: Purpose,
    ) -> Option<&'a CommitFacts> {
        let question = Question::Commit { repository: repository.clone(), oid };
        let answer = self.snapshot.answers.get(&question);
        self.consulted(&question);
        match &**answer?.last_known(purpose)? {
            Answer::Commit(facts) => Some(facts),
            _ => None,
        }
    }

    /// Whether `descendant` contains `ancestor`, or why that is not known.
    pub(crate) fn contains(
        &self,
        repository: &RepositoryId,
        ancestor: Oid,
        descendant: Oid,
    ) -> Result<bool, String> {
        if ancestor == descendant {
            return Ok(true);
        }
        let question = Question::Contains { repository: repository.clone(), ancestor, descendant };
        match self.ask(question) {
            Ok(Answer::Contains(contains)) => Ok(*contains),
            Ok(_) => Err("an answer of the wrong kind".to_owned()),
            Err(why) => Err(format!(
                "whether {} of {repository} contains {}: {why}",
                descendant.short(),
                ancestor.short()
            )),
        }
    }

    /// What became of a change that is not among the open ones, or why that is not known.
    pub(crate) fn fate(&self, change: &ChangeId) -> Result<&'a Fate, String> {
        let (repository, number) = (change.repository.clone(), change.number);
        match self.ask(Question::Fate { repository, number }) {
            Ok(Answer::Fate(fate)) => Ok(fate),
            Ok(_) => Err("an answer of the wrong kind".to_owned()),
            Err(why) => Err(format!("what became of {change}: {why}")),
        }
    }

    /// What came of a candidate, if that is known; `Err` says why it is not. It is asked for apart,
    /// with [`Self::want`], since making one runs foreign code.
    pub(crate) fn candidate(&self, question: &Question) -> Result<&'a Candidate, String> {
        match self.seen(question)? {
            Answer::Candidate(candidate) => Ok(candidate),
            _ => Err("an answer of the wrong kind".to_owned()),
        }
    }

    /// Which files an open change touches (see [`Files`] for a list that is too long), or why that is not known.
    pub(crate) fn files(&self, change: &ChangeId, listed: &OpenRef) -> Result<&'a Files, String> {
        let question = self.files_question(change, listed)?;
        of_files(change, self.ask(question))
    }

    /// The same without asking for it.
    pub(crate) fn seen_files(
        &self,
        change: &ChangeId,
        listed: &OpenRef,
    ) -> Result<&'a Files, String> {
        let question = self.files_question(change, listed)?;
        of_files(change, self.seen(&question))
    }

    fn files_question(&self, change: &ChangeId, listed: &OpenRef) -> Result<Question, String> {
        let repository = change.repository.clone();
        let listing = self.repository(&repository).and_then(|part| part.listing.value());
        let base = listing.and_then(|listing| super::openness::base(listing, listed));
        let Some(base) = base.cloned() else {
            return Err(format!("the files of {change}: its base branch is not known"));
        };
        Ok(Question::Files { repository, number: change.number, head: listed.head, base })
    }

    /// Whether the forge can merge a change whose base branch has the head `base`; nothing while it
    /// tries. Or why that is not known.
    pub(crate) fn mergeable(
        &self,
        change: &ChangeId,
        head: Oid,
        base: Oid,
    ) -> Result<Option<bool>, String> {
        let (repository, number) = (change.repository.clone(), change.number);
        match self.ask(Question::Mergeable { repository, number, head, base }) {
            Ok(Answer::Mergeable(mergeable)) => Ok(*mergeable),
            Ok(_) => Err("an answer of the wrong kind".to_owned()),
            Err(why) => Err(format!("whether {change} can be merged: {why}")),
        }
    }

    /// What an account may do in a repository, or why that is not known; then also what it was last.
    pub(crate) fn rights(
        &self,
        repository: &RepositoryId,
        login: &Name,
    ) -> Result<Rights, (String, Option<Rights>)> {
        let (repository, login) = (repository.clone(), login.clone());
        let question = Question::Rights { repository, login };
        let rights = |answer: &Answer| match answer {
            Answer::Rights(rights) => Some(*rights),
            _ => None,
        };
        match self.ask(question.clone()) {
            Ok(answer) => rights(answer).ok_or_else(|| (String::new(), None)),
            Err(why) => {
                let answer = self.snapshot.answers.get(&question);
                let last = answer.and_then(|answer| answer.last_known(Purpose::Hiding));
                Err((why, last.and_then(|last| rights(last))))
            }
        }
    }

    /// Whether that was ever answered, without asking for it.
    pub(crate) fn fate_was_known(&self, change: &ChangeId) -> bool {
        self.last_fate(change).is_some_and(|answer| answer.last_known(Purpose::Hiding).is_some())
    }

    /// Since when it cannot be told what became of a change, if that was asked.
    pub(crate) fn fate_unknown_since(&self, change: &ChangeId) -> Option<Timestamp> {
        Some(self.last_fate(change)?.unknown()?.since)
    }

    fn last_fate(&self, change: &ChangeId) -> Option<&'a Observed<Answer>> {
        let (repository, number) = (change.repository.clone(), change.number);
        let question = Question::Fate { repository, number };
        let answer = self.snapshot.answers.get(&question);
        self.consulted(&question);
        answer
    }

    /// What was noted so far, by repository.
    pub(crate) fn noted(&self) -> BTreeMap<Option<RepositoryId>, Asked> {
        self.asked.take()
    }
}

fn of_files<'a>(
    change: &ChangeId,
    answer: Result<&'a Answer, String>,
) -> Result<&'a Files, String> {
    match answer {
        Ok(Answer::Files(files)) => Ok(files),
        Ok(_) => Err("an answer of the wrong kind".to_owned()),
        Err(why) => Err(format!("the files of {change}: {why}")),
    }
}

/// Facts about changes as they are after this look, and which of them moved.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) now: BTreeMap<ChangeId, ChangeFacts>,
}

impl Facts {
    /// Those that the ledger does not have, or has differently.
    pub(crate) fn moved(
        &self,
        ledger: &WorkspaceLedger,
        shared: &Shared,
    ) -> Vec<(ChangeId, ChangeFacts)> {
        let moved = self.now.iter().filter(|(id, facts)| ledger.changes.get(id) != Some(facts));
        let kept = |(id, facts): (&ChangeId, &ChangeFacts)| {
            let seen = shared.seen(id, Arc::clone(&facts.seen));
            (id.clone(), ChangeFacts { adopted: facts.adopted, seen })
        };
        moved.map(kept).collect()
    }
}
