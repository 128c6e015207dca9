//! Parts of a workspace's plan: what is decided of one repository, which workspaces that decide it alike share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::identity::RepositoryId;
use super::plan::SubjectPlan;
use super::question::Question;
use super::time::Timestamp;

/// What is decided of the changes of one repository and of what is queued there, or of the mainline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The repository; nothing for the mainline.
    pub repository: Option<RepositoryId>,
    /// Its subjects, in their order.
    pub subjects: Vec<SubjectPlan>,
    /// What was asked for it; with the mainline what was asked for all changes together.
    pub asked: Asked,
    acts: bool,
    names: Arc<[RepositoryId]>,
}

/// What the rules asked, and how long what they say holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Questions whose answers were used or missed.
    pub consulted: Arc<BTreeSet<Question>>,
    /// Those that somebody should answer.
    pub wanted: BTreeSet<Question>,
    /// When it stops to hold.
    pub next_at: Option<Timestamp>,
    /// Whether something was read that is the workspace's own, beside what is recorded of the changes.
    pub own: bool,
}

impl Part {
    /// Joins subjects with what was asked for them, by repository.
    pub fn all(
        subjects: impl IntoIterator<Item = SubjectPlan>,
        mut asked: BTreeMap<Option<RepositoryId>, Asked>,
    ) -> Vec<Arc<Self>> {
        let mut by: BTreeMap<Option<RepositoryId>, Vec<SubjectPlan>> = BTreeMap::new();
        for subject in subjects {
            by.entry(subject.subject.repository().cloned()).or_default().push(subject);
        }
        for repository in asked
            .keys()
            .filter(|repository| !by.contains_key(*repository))
            .cloned()
            .collect::<Vec<_>>()
        {
            by.insert(repository, Vec::new());
        }
        let parts = by.into_iter().map(|(repository, mut subjects)| {
            subjects.sort_by(|one, other| one.subject.cmp(&other.subject));
            subjects.shrink_to_fit();
            let acts = subjects.iter().any(SubjectPlan::acts);
            let asked = asked.remove(&repository).unwrap_or_default();
            let names = names(repository.as_ref(), &subjects);
            Arc::new(Self { repository, subjects, asked, acts, names })
        });
        parts.collect()
    }

    /// The same with other decisions on its subjects, of the same sets.
    pub fn with(&self, subjects: Vec<SubjectPlan>) -> Self {
        let Self { repository, asked, names, .. } = self;
        Self {
            acts: subjects.iter().any(SubjectPlan::acts),
            repository: repository.clone(),
            subjects,
            asked: asked.clone(),
            names: Arc::clone(names),
        }
    }

    /// Other repositories that its sets and references name, in their order.
    pub fn names(&self) -> &[RepositoryId] {
        &self.names
    }

    /// Whether something is to be triggered or ended.
    pub fn acts(&self) -> bool {
        self.acts
    }

    /// Whether something is to be triggered.
    pub fn triggers(&self) -> bool {
        self.acts && self.subjects.iter().any(|subject| !subject.triggers.is_empty())
    }
}

fn names(own: Option<&RepositoryId>, subjects: &[SubjectPlan]) -> Arc<[RepositoryId]> {
    let named = subjects.iter().flat_map(|subject| {
        let members = subject.set.iter().map(|member| &member.change.repository);
        members.chain(subject.references.iter().map(|written| &written.change.repository))
    });
    let others: BTreeSet<&RepositoryId> = named.filter(|id| Some(*id) != own).collect();
    others.into_iter().cloned().collect()
}
