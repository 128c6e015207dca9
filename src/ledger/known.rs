//! What the rows of many workspaces say alike, kept once.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use crosswatch_core::model::build::{PackageHead, SetMember};
use crosswatch_core::model::common::Common;
use crosswatch_core::model::identity::{ChangeId, Name, RepositoryId, Subject};
use crosswatch_core::model::ledger_view::{ChangeFacts, Look, MainlineFacts, Seen};
use crosswatch_core::model::made_of;
use crosswatch_core::model::plan::FingerprintPart;

/// Where facts of a change go on with what was seen of it.
const SEEN: &str = ",\"first_seen\":";
/// Texts of which values are kept by what they are of: what is a workspace's own does not come again.
const LATELY: usize = 8;

/// What was seen of changes, and what rows said so far.
#[derive(Debug, Default)]
pub(super) struct Known {
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
    changes: Lately<ChangeId, Arc<Seen>>,
    subjects: Lately<Subject, Set>,
}

/// What was read lately of many, by their texts.
#[derive(Debug)]
struct Lately<K, V>(HashMap<String, (K, Vec<(String, V)>)>);

impl<K, V> Default for Lately<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone, V: Clone> Lately<K, V> {
    fn find(&self, of: &str, text: &str) -> Option<(K, V)> {
        let (of, values) = self.0.get(of)?;
        let (_, value) = values.iter().find(|(said, _)| said == text)?;
        Some((of.clone(), value.clone()))
    }

    fn keep(&mut self, of: &str, text: &str, (read, value): (K, V)) {
        let (_, values) = self.0.entry(of.to_owned()).or_insert((read, Vec::new()));
        if values.len() >= LATELY {
            values.remove(0);
        }
        values.push((text.to_owned(), value));
    }
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
        let known = self.texts.as_ref().and_then(|texts| texts.repositories.get(repository));
        let id = match known {
            Some(known) => known.clone(),
            None => {
                let id: RepositoryId = parsed(repository)?;
                if let Some(texts) = &mut self.texts {
                    texts.repositories.insert(repository.to_owned(), id.clone());
                }
                id
            }
        };
        Ok(Look { repository: id, branch: Name::shared(branch) })
    }

    /// A change with its facts that were written so.
    pub(super) fn change(
        &mut self,
        change: &str,
        facts: &str,
    ) -> Result<(ChangeId, ChangeFacts), String> {
        // How it came in, which is a workspace's own, stands first.
        let apart = facts.strip_prefix("{\"adopted\":").and_then(|rest| rest.split_once(SEEN));
        let known = apart.zip(self.texts.as_ref()).and_then(|((adopted, seen), texts)| {
            texts.changes.find(change, seen).map(|(id, seen)| (id, adopted, seen))
        });
        if let Some((id, adopted, seen)) = known {
            return Ok((id, ChangeFacts { adopted: json(adopted)?, seen }));
        }
        let id: ChangeId = parsed(change)?;
        let ChangeFacts { adopted, seen } = json(facts)?;
        let seen = self.seen.share(&id, seen);
        if let (Some((_, text)), Some(texts)) = (apart, &mut self.texts) {
            texts.changes.keep(change, text, (id.clone(), Arc::clone(&seen)));
        }
        Ok((id, ChangeFacts { adopted, seen }))
    }

    /// A subject and a set that were written so, with the parts of a fingerprint that are made of that.
    pub(super) fn subject(
        &mut self,
        subject: &str,
        members: &str,
    ) -> Result<(Subject, Set), String> {
        let known = self.texts.as_ref().and_then(|texts| texts.subjects.find(subject, members));
        if let Some(known) = known {
            return Ok(known);
        }
        let of: Subject = parsed(subject)?;
        let mut set: Vec<SetMember> = json(members)?;
        for member in &mut set {
            member.base = Name::shared(&member.base);
        }
        let parts = set.iter().map(made_of::member).collect();
        let set: Set = (set.into(), parts);
        if let Some(texts) = &mut self.texts {
            texts.subjects.keep(subject, members, (of.clone(), set.clone()));
        }
        Ok((of, set))
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
}

/// Facts of a mainline that were written so.
pub(super) fn mainline(facts: &str) -> Result<MainlineFacts, String> {
    let mut mainline: MainlineFacts = json(facts)?;
    let head = |head: &PackageHead| PackageHead {
        package: Name::shared(&head.package),
        repository: head.repository.clone(),
        head: head.head,
    };
    mainline.heads = mainline.heads.iter().map(head).collect();
    Ok(mainline)
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
            assert!(known.change("github.com/o/a#1", "{}").is_err());
            known.end();
            assert_eq!(known.change("github.com/o/a#1", &facts(1)).expect("facts"), change);
        }
    }
}
