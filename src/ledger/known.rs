//! What the rows of many workspaces say alike, kept once.

use std::collections::{BTreeMap, BTreeSet};

use crosswatch_core::model::build::{PackageHead, SetMember};
use crosswatch_core::model::common::Common;
use crosswatch_core::model::identity::{ChangeId, Name, RepositoryId, Subject};
use crosswatch_core::model::ledger_view::{ChangeFacts, Look, Seen, WorkspaceLedger};

/// Names that rows had so far, and what was seen of changes.
#[derive(Debug, Default)]
pub(super) struct Known {
    names: BTreeSet<Name>,
    repositories: BTreeSet<RepositoryId>,
    seen: Common<ChangeId, Seen>,
    /// While everything is read.
    texts: Option<Texts>,
}

/// Subjects and sets as they are written.
#[derive(Debug, Default)]
struct Texts {
    subjects: BTreeMap<String, Subject>,
    sets: BTreeMap<String, Vec<SetMember>>,
}

impl Known {
    /// A part that was read, with what is known already in the place of what is equal.
    pub(super) fn shared(&mut self, mut part: WorkspaceLedger) -> WorkspaceLedger {
        let looks = std::mem::take(&mut part.looks).into_iter();
        let look = |look: Look| Look {
            repository: self.repository(look.repository),
            branch: self.name(look.branch),
        };
        part.looks = looks.map(look).collect();
        let changes = std::mem::take(&mut part.changes).into_iter();
        let change = |(id, facts): (ChangeId, ChangeFacts)| {
            let id = self.repository(id.repository).change(id.number);
            let seen = self.seen.share(&id, facts.seen);
            (id, ChangeFacts { adopted: facts.adopted, seen })
        };
        part.changes = changes.map(change).collect();
        if let Some(mainline) = &mut part.mainline {
            let head = |head: &PackageHead| PackageHead {
                package: self.name(head.package.clone()),
                repository: self.repository(head.repository.clone()),
                head: head.head,
            };
            mainline.heads = mainline.heads.iter().map(head).collect();
        }
        part
    }

    /// For everything that will be read: the same texts are in many rows.
    pub(super) fn everything() -> Self {
        Self { texts: Some(Texts::default()), ..Self::default() }
    }

    /// Everything was read.
    pub(super) fn end(&mut self) {
        self.texts = None;
    }

    /// A subject that was written so.
    pub(super) fn subject(&mut self, text: &str) -> Result<Subject, String> {
        if let Some(known) = self.texts.as_ref().and_then(|texts| texts.subjects.get(text)) {
            return Ok(known.clone());
        }
        let mut subject: Subject = text.parse()?;
        if let Subject::Change(change) = &mut subject {
            change.repository = self.repository(change.repository.clone());
        }
        if let Some(texts) = &mut self.texts {
            texts.subjects.insert(text.to_owned(), subject.clone());
        }
        Ok(subject)
    }

    /// A set that was written so.
    pub(super) fn members(&mut self, text: &str) -> Result<Vec<SetMember>, String> {
        if let Some(known) = self.texts.as_ref().and_then(|texts| texts.sets.get(text)) {
            return Ok(known.clone());
        }
        let mut members: Vec<SetMember> =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        for member in &mut members {
            member.change.repository = self.repository(member.change.repository.clone());
            member.base = self.name(member.base.clone());
        }
        if let Some(texts) = &mut self.texts {
            texts.sets.insert(text.to_owned(), members.clone());
        }
        Ok(members)
    }

    /// A name that is this one.
    pub(super) fn name(&mut self, name: Name) -> Name {
        if let Some(known) = self.names.get(&name) {
            return known.clone();
        }
        self.names.insert(name.clone());
        name
    }

    fn repository(&mut self, id: RepositoryId) -> RepositoryId {
        if let Some(known) = self.repositories.get(&id) {
            return known.clone();
        }
        let id = RepositoryId { forge: self.name(id.forge), path: id.path };
        self.repositories.insert(id.clone());
        id
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crosswatch_core::model::ledger_view::Adopted;
    use crosswatch_core::model::time::Timestamp;

    use super::*;

    #[test]
    fn parts_of_two_workspaces_share_what_is_equal() {
        let part = || {
            let change: ChangeId = "github.com/o/a#1".parse().expect("a change");
            let seen = Seen {
                first_seen: Timestamp(1),
                head: "1".repeat(40).parse().expect("a commit"),
                head_moved_at: Timestamp(1),
                references: None,
                references_moved_at: Timestamp(1),
                awaited: [].into(),
                forge: None,
                asked: None,
            };
            let facts = ChangeFacts { adopted: Adopted::No, seen: Arc::new(seen) };
            let look = Look { repository: change.repository.clone(), branch: "main".into() };
            WorkspaceLedger {
                looks: [look].into(),
                changes: [(change, facts)].into(),
                ..WorkspaceLedger::default()
            }
        };
        let mut known = Known::default();
        let (one, other) = (known.shared(part()), known.shared(part()));
        assert_eq!(one, part());
        assert_eq!(one, other);
        let seen =
            |part: &WorkspaceLedger| Arc::clone(&part.changes.values().next().expect("one").seen);
        assert!(Arc::ptr_eq(&seen(&one), &seen(&other)));
        assert_eq!((known.names.len(), known.repositories.len()), (2, 1));
    }
}
