//! What the rows of many workspaces say alike, kept once.

use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;
use std::sync::Arc;

use crosswatch_core::model::build::{PackageHead, SetMember};
use crosswatch_core::model::common::Common;
use crosswatch_core::model::identity::{ChangeId, Name, RepositoryId, Subject};
use crosswatch_core::model::ledger_view::{ChangeFacts, Look, MainlineFacts, Seen};
use crosswatch_core::model::made_of;
use crosswatch_core::model::plan::FingerprintPart;

/// Names that rows had so far, and what was seen of changes.
#[derive(Debug, Default)]
pub(super) struct Known {
    names: BTreeSet<Name>,
    repositories: BTreeSet<RepositoryId>,
    seen: Common<ChangeId, Seen>,
    /// What is a workspace's own in fingerprints of an epoch: of the one that was read last.
    own: Option<(Name, u64, Arc<[FingerprintPart]>)>,
    /// While everything is read: most texts are in the rows of many workspaces.
    texts: Option<Texts>,
}

/// A set, and the parts of a fingerprint that are made of it.
type Set = (Arc<[SetMember]>, Arc<[FingerprintPart]>);

/// What was read, by its text.
#[derive(Debug, Default)]
struct Texts {
    repositories: HashMap<String, RepositoryId>,
    changes: HashMap<String, ChangeId>,
    subjects: HashMap<String, Subject>,
    sets: HashMap<String, Set>,
    facts: HashMap<String, ChangeFacts>,
}

impl Known {
    /// For everything that will be read.
    pub(super) fn everything() -> Self {
        Self { texts: Some(Texts::default()), ..Self::default() }
    }

    /// Everything was read.
    pub(super) fn end(&mut self) {
        self.texts = None;
    }

    /// A look that was written so.
    pub(super) fn look(&mut self, repository: &str, branch: &str) -> Result<Look, String> {
        let repository = self.text(
            repository,
            |texts| &mut texts.repositories,
            |known, text| Ok(known.repository(parsed(text)?)),
        )?;
        Ok(Look { repository, branch: self.name(branch) })
    }

    /// A change with its facts that were written so.
    pub(super) fn change(
        &mut self,
        change: &str,
        facts: &str,
    ) -> Result<(ChangeId, ChangeFacts), String> {
        let change = self.text(
            change,
            |texts| &mut texts.changes,
            |known, text| {
                let change: ChangeId = parsed(text)?;
                Ok(known.repository(change.repository).change(change.number))
            },
        )?;
        let facts = self.text(
            facts,
            |texts| &mut texts.facts,
            |known, text| {
                let facts: ChangeFacts = json(text)?;
                Ok(ChangeFacts {
                    adopted: facts.adopted,
                    seen: known.seen.share(&change, facts.seen),
                })
            },
        )?;
        Ok((change, facts))
    }

    /// A subject that was written so.
    pub(super) fn subject(&mut self, subject: &str) -> Result<Subject, String> {
        self.text(
            subject,
            |texts| &mut texts.subjects,
            |known, text| {
                let mut subject: Subject = parsed(text)?;
                if let Subject::Change(change) = &mut subject {
                    change.repository = known.repository(change.repository.clone());
                }
                Ok(subject)
            },
        )
    }

    /// A set that was written so, and the parts of a fingerprint that are made of it.
    pub(super) fn members(&mut self, members: &str) -> Result<Set, String> {
        self.text(
            members,
            |texts| &mut texts.sets,
            |known, text| {
                let mut members: Vec<SetMember> = json(text)?;
                for member in &mut members {
                    member.change.repository = known.repository(member.change.repository.clone());
                    member.base = known.name(&member.base);
                }
                let parts = members.iter().map(made_of::member).collect();
                Ok((members.into(), parts))
            },
        )
    }

    /// What is a workspace's own in its fingerprints.
    pub(super) fn own(&mut self, workspace: &Name, epoch: u64) -> Arc<[FingerprintPart]> {
        match &self.own {
            Some((of, in_epoch, own)) if of == workspace && *in_epoch == epoch => Arc::clone(own),
            _ => {
                let own: Arc<[FingerprintPart]> = made_of::workspace(workspace, epoch).into();
                self.own = Some((workspace.clone(), epoch, Arc::clone(&own)));
                own
            }
        }
    }

    /// Facts of a mainline that were written so.
    pub(super) fn mainline(&mut self, facts: &str) -> Result<MainlineFacts, String> {
        let mut mainline: MainlineFacts = json(facts)?;
        let head = |head: &PackageHead| PackageHead {
            package: self.name(&head.package),
            repository: self.repository(head.repository.clone()),
            head: head.head,
        };
        mainline.heads = mainline.heads.iter().map(head).collect();
        Ok(mainline)
    }

    /// A name.
    pub(super) fn name(&mut self, name: &str) -> Name {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let name = Name::from(name);
        self.names.insert(name.clone());
        name
    }

    fn repository(&mut self, id: RepositoryId) -> RepositoryId {
        if let Some(known) = self.repositories.get(&id) {
            return known.clone();
        }
        let id = RepositoryId { forge: self.name(&id.forge), path: id.path };
        self.repositories.insert(id.clone());
        id
    }

    /// What a text says, read unless it was before.
    fn text<T: Clone>(
        &mut self,
        text: &str,
        of: fn(&mut Texts) -> &mut HashMap<String, T>,
        read: impl FnOnce(&mut Self, &str) -> Result<T, String>,
    ) -> Result<T, String> {
        if let Some(known) = self.texts.as_mut().and_then(|texts| of(texts).get(text)) {
            return Ok(known.clone());
        }
        let value = read(self, text)?;
        if let Some(texts) = &mut self.texts {
            of(texts).insert(text.to_owned(), value.clone());
        }
        Ok(value)
    }
}

fn parsed<T: FromStr<Err = String>>(text: &str) -> Result<T, String> {
    text.parse()
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_two_workspaces_share_what_is_equal() {
        let facts = |moved_at: u64| {
            format!(
                "{{\"adopted\":\"no\",\"first_seen\":1,\"head\":\"{}\",\"head_moved_at\":{moved_at},\
                 \"references\":null,\"references_moved_at\":1}}",
                "1".repeat(40)
            )
        };
        for mut known in [Known::everything(), Known::default()] {
            let change = known.change("github.com/o/a#1", &facts(1)).expect("facts");
            let same = known.change("github.com/o/a#1", &facts(1)).expect("facts");
            let moved = known.change("github.com/o/a#1", &facts(2)).expect("facts");
            let look = known.look("github.com/o/a", "main").expect("a look");
            assert_eq!(change, same);
            assert!(Arc::ptr_eq(&change.1.seen, &same.1.seen));
            assert_eq!(moved.1.head_moved_at.0, 2);
            assert_eq!(look.repository, change.0.repository);
            assert_eq!((known.names.len(), known.repositories.len()), (2, 1));
            assert!(known.change("github.com/o/a#1", "{}").is_err());
            known.end();
            assert_eq!(known.change("github.com/o/a#1", &facts(1)).expect("facts"), change);
        }
    }
}
