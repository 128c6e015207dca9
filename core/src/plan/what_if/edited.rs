//! The edits themselves: what the world would look like, as far as anybody can know.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Edit, WhatIfError};
use crate::model::change::{CommitFacts, Fate, Listing, OpenRef};
use crate::model::identity::{ChangeId, Oid, RepositoryId};
use crate::model::observed::{Observed, Purpose};
use crate::model::question::{Answer, Question};
use crate::model::snapshot::Snapshot;
use crate::plan::tracked::update_inputs;
use crate::references::References;

/// A world to which something was done, and what had to be taken for granted for that.
pub(super) struct Edited {
    pub(super) snapshot: Snapshot,
    pub(super) assumed: Vec<String>,
}

impl Edited {
    /// Makes one edit; what it is called with the change's whole name.
    pub(super) fn edit(&mut self, edit: &Edit) -> Result<String, WhatIfError> {
        let id = self.find(edit)?;
        let (listing, open) = self.listed(edit, &id)?;
        match edit {
            Edit::Merged(_) => self.merge(edit, &id, listing, &open)?,
            Edit::Closed(_) => self.close(&id, listing, &open),
            Edit::Head(_, head) => self.push(&id, listing, &open, *head),
        }
        let id = id.to_string();
        Ok(match edit {
            Edit::Merged(_) => Edit::Merged(id),
            Edit::Closed(_) => Edit::Closed(id),
            Edit::Head(_, head) => Edit::Head(id, *head),
        }
        .to_string())
    }

    /// The change that is meant: as it is written, or by an end of it that only one has.
    fn find(&self, edit: &Edit) -> Result<ChangeId, WhatIfError> {
        let wanted = edit.change();
        let mut ends: Vec<ChangeId> = Vec::new();
        for (id, part) in self.snapshot.repositories.iter() {
            let known = part.listing.last_known(Purpose::Display);
            for listed in known.into_iter().flat_map(|listing| &listing.changes) {
                let change = id.change(listed.number);
                let name = change.to_string();
                if name == wanted {
                    return Ok(change);
                }
                if name.strip_suffix(wanted).is_some_and(|before| before.ends_with('/')) {
                    ends.push(change);
                }
            }
        }
        let mut ends = ends.into_iter();
        match (ends.next(), ends.next()) {
            (Some(one), None) => Ok(one),
            (Some(one), Some(other)) => {
                Err(WhatIfError::Ambiguous { edit: edit.to_string(), one, other })
            }
            (None, _) => Err(WhatIfError::NoChange(edit.to_string())),
        }
    }

    fn listed(&self, edit: &Edit, id: &ChangeId) -> Result<(Listing, OpenRef), WhatIfError> {
        let missing = || WhatIfError::NoChange(edit.to_string());
        let part = self.snapshot.repositories.get(&id.repository).ok_or_else(missing)?;
        if let Some(unknown) = part.listing.unknown() {
            return Err(WhatIfError::Unread {
                edit: edit.to_string(),
                repository: id.repository.clone(),
                why: unknown.why.clone(),
            });
        }
        let listing = part.listing.value().ok_or_else(missing)?;
        let open = listing.changes.iter().find(|listed| listed.number == id.number);
        Ok(((**listing).clone(), open.ok_or_else(missing)?.clone()))
    }

    fn put(&mut self, id: &RepositoryId, listing: Listing) {
        if let Some(part) = Arc::make_mut(&mut self.snapshot.repositories).get_mut(id) {
            Arc::make_mut(part).listing = Observed::known(listing);
        }
    }

    /// The base gets a merge commit that contains what it had and the change.
    fn merge(
        &mut self,
        edit: &Edit,
        id: &ChangeId,
        mut listing: Listing,
        open: &OpenRef,
    ) -> Result<(), WhatIfError> {
        let no_base = || WhatIfError::NoBase(edit.to_string());
        let base = open.base.clone().or_else(|| listing.default_branch.clone());
        let base = base.ok_or_else(no_base)?;
        let tip = *listing.branches.get(&base).ok_or_else(no_base)?;
        let repository = &id.repository;
        if self.contains(repository, open.head, tip) == Some(true) {
            return Err(WhatIfError::Merged(edit.to_string()));
        }
        let commit = merge_commit(tip, open.head);
        self.assumed
            .push(format!("{} stands for the commit that merges {id} into {base}", commit.short()));
        let others: BTreeSet<Oid> = listing.changes.iter().map(|listed| listed.head).collect();
        let known = self.snapshot.answers.keys().filter_map(|question| match question {
            Question::Contains { repository: of, ancestor, descendant }
                if of == repository && *descendant == tip =>
            {
                Some(*ancestor)
            }
            _ => None,
        });
        let ancestors: BTreeSet<Oid> = known.chain(others).chain([tip]).collect();
        for ancestor in ancestors {
            let contained = [tip, open.head]
                .iter()
                .any(|parent| self.contains(repository, ancestor, *parent) == Some(true));
            self.answer(repository, ancestor, commit, contained);
        }
        listing.branches.insert(base.clone(), commit);
        if open.forge.is_some() {
            listing.changes.retain(|listed| listed.number != id.number);
            self.fate(id, Fate::Merged { commit: Some(commit), base: Some(base) });
        }
        self.put(repository, listing);
        Ok(())
    }

    fn close(&mut self, id: &ChangeId, mut listing: Listing, open: &OpenRef) {
        for tip in listing.branches.values() {
            self.answer_if_unknown(&id.repository, open.head, *tip, false);
        }
        listing.changes.retain(|listed| listed.number != id.number);
        if let Some(forge) = &open.forge {
            let (head, labels) = (Some(open.head), forge.labels.clone());
            self.fate(id, Fate::Closed { head, labels });
        }
        self.put(&id.repository, listing);
    }

    fn push(&mut self, id: &ChangeId, mut listing: Listing, open: &OpenRef, head: Oid) {
        let repository = id.repository.clone();
        let question = |oid| Question::Commit { repository: repository.clone(), oid };
        let known = |question| match self.snapshot.answers.get(&question) {
            Some(Observed::Known(answer)) => Some(Arc::clone(answer)),
            _ => None,
        };
        if open.forge.is_none() && known(question(head)).is_none() {
            let references = match known(question(open.head)).as_deref() {
                Some(Answer::Commit(facts)) => facts.references.clone(),
                _ => References::default(),
            };
            let facts = CommitFacts { committed_at: self.snapshot.at, references };
            Arc::make_mut(&mut self.snapshot.answers)
                .insert(question(head), Observed::known(Answer::Commit(facts)));
            self.assumed.push(format!(
                "{} of {id} is not known; its references are taken to be those of {}",
                head.short(),
                open.head.short()
            ));
        }
        // What is not known of the new head is as it was of the old one: it stands on the same commits.
        let related: Vec<(Oid, Oid, bool)> = self
            .snapshot
            .answers
            .iter()
            .filter_map(|(question, answer)| match (question, answer.value().map(|a| &**a)) {
                (
                    Question::Contains { repository: of, ancestor, descendant },
                    Some(Answer::Contains(contains)),
                ) if *of == repository => {
                    let new = |oid: Oid| if oid == open.head { head } else { oid };
                    let pair = (new(*ancestor), new(*descendant));
                    (pair != (*ancestor, *descendant)).then_some((pair.0, pair.1, *contains))
                }
                _ => None,
            })
            .collect();
        for (ancestor, descendant, contains) in related {
            self.answer_if_unknown(&repository, ancestor, descendant, contains);
        }
        self.same_files(id, open.head, head);
        for listed in listing.changes.iter_mut().filter(|listed| listed.number == id.number) {
            listed.head = head;
        }
        self.put(&repository, listing);
    }

    /// What a push touches nobody can know: as before, where that is known.
    fn same_files(&mut self, id: &ChangeId, before: Oid, now: Oid) {
        let known = self.snapshot.answers.iter().filter_map(|(question, answer)| match question {
            Question::Files { repository, number, head, base }
                if *repository == id.repository && *number == id.number && *head == before =>
            {
                let (repository, base) = (repository.clone(), base.clone());
                let question = Question::Files { repository, number: *number, head: now, base };
                Some((question, answer.clone()))
            }
            _ => None,
        });
        let known: Vec<_> = known.collect();
        let answers = Arc::make_mut(&mut self.snapshot.answers);
        for (question, answer) in known {
            answers.entry(question).or_insert(answer);
        }
    }

    fn fate(&mut self, id: &ChangeId, fate: Fate) {
        let (repository, number) = (id.repository.clone(), id.number);
        let answer = Observed::known(Answer::Fate(fate));
        Arc::make_mut(&mut self.snapshot.answers)
            .insert(Question::Fate { repository, number }, answer);
    }

    fn contains(&self, repository: &RepositoryId, ancestor: Oid, descendant: Oid) -> Option<bool> {
        if ancestor == descendant {
            return Some(true);
        }
        let question = Question::Contains { repository: repository.clone(), ancestor, descendant };
        match self.snapshot.answers.get(&question)?.value().map(|answer| &**answer) {
            Some(Answer::Contains(contains)) => Some(*contains),
            _ => None,
        }
    }

    fn answer(&mut self, repository: &RepositoryId, ancestor: Oid, descendant: Oid, is: bool) {
        let question = Question::Contains { repository: repository.clone(), ancestor, descendant };
        Arc::make_mut(&mut self.snapshot.answers)
            .insert(question, Observed::known(Answer::Contains(is)));
    }

    fn answer_if_unknown(&mut self, id: &RepositoryId, ancestor: Oid, descendant: Oid, is: bool) {
        if self.contains(id, ancestor, descendant).is_none() {
            self.answer(id, ancestor, descendant, is);
        }
    }

    /// Workspaces that would be updated first: what their update changes nobody can know.
    pub(super) fn updates(&mut self, before: &Snapshot) {
        for settings in &before.settings.workspaces {
            let inputs = (update_inputs(before, settings), update_inputs(&self.snapshot, settings));
            if let (Some(one), Some(other)) = inputs
                && one != other
                && let Some(part) =
                    Arc::make_mut(&mut self.snapshot.workspaces).get_mut(&settings.name)
            {
                Arc::make_mut(part).pending = true;
                self.assumed.push(format!(
                    "workspace {} would be updated first; what that changes in its manifest is not known",
                    settings.name
                ));
            }
        }
    }
}

/// A commit that does not exist yet, always the same for the same parents.
fn merge_commit(tip: Oid, head: Oid) -> Oid {
    let mut hasher = blake3::Hasher::new_derive_key("crosswatch what-if merge 1");
    hasher.update(tip.as_bytes());
    hasher.update(head.as_bytes());
    let text = hasher.finalize().to_hex();
    let length = head.to_string().len();
    text.get(..length).and_then(|text| text.parse().ok()).unwrap_or(head)
}
