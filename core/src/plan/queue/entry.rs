//! Which changes are in an entry of a merge queue, and what belongs to it besides.

use std::collections::BTreeSet;

use crate::model::build::SetMember;
use crate::model::change::Listing;
use crate::model::identity::{ChangeId, Name, Oid, RepositoryId, Subject};
use crate::model::queue::QueueId;
use crate::references::Finding;

use super::super::decide::Deciding;
use super::super::look::View;
use super::super::sets::{ChangeSet, Graph};
use super::super::tracked::TrackedRepository;

/// Entries of one queue that are looked at; GitHub builds no more at once.
const MOST: usize = 100;

/// An entry with the changes in it.
pub(crate) struct Entry {
    pub(super) id: QueueId,
    /// Its base, by its first name.
    pub(super) base: Name,
    pub(super) head: Oid,
    /// The last change in it.
    pub(super) last: ChangeId,
    /// All of them.
    pub(super) changes: BTreeSet<ChangeId>,
}

/// Of what a set is made.
#[derive(Clone, Copy)]
pub(crate) enum Root<'r> {
    /// A change.
    Change(&'r ChangeId),
    /// An entry of a merge queue.
    Queue(&'r Entry),
}

impl<'r> Root<'r> {
    /// What is decided on.
    pub(crate) fn subject(&self) -> Subject {
        match self {
            Self::Change(id) => Subject::Change((*id).clone()),
            Self::Queue(entry) => Subject::Queue(Box::new(entry.id.clone())),
        }
    }

    /// Where its references begin.
    pub(crate) fn changes(&self) -> Vec<&'r ChangeId> {
        match self {
            Self::Change(id) => vec![*id],
            Self::Queue(entry) => entry.changes.iter().collect(),
        }
    }

    /// Its set in a graph. What is queued is merged as it is: of the changes for the same base only those
    /// that are in it belong to it, and only the last of these stands for them.
    pub(crate) fn set(&self, view: &View<'_>, graph: &Graph<'_>) -> ChangeSet {
        let entry = match self {
            Self::Change(id) => return graph.set(view, id),
            Self::Queue(entry) => entry,
        };
        let left_out = |id: &ChangeId| {
            let same = id.repository == entry.id.repository && !entry.changes.contains(id);
            same && graph.open.get(id).is_some_and(|open| *open.base == entry.base)
        };
        let mut set = graph.set_of(view, &self.changes(), &left_out);
        for id in &entry.changes {
            for member in graph.members(id).filter(|member| left_out(member)) {
                let text = format!(
                    "{id} depends on {member}, which is left out: it is not queued before it"
                );
                set.notes.push(Finding { as_written: String::new(), line: 0, text });
            }
            if *id != entry.last {
                set.contained.insert(id.clone());
            }
        }
        set
    }

    /// What a build of its set checks out, in its order: each with the commit.
    pub(crate) fn applied(&self, set: &ChangeSet) -> Vec<SetMember> {
        let apart = |member: &&SetMember| !set.contained.contains(&member.change);
        let mut applied: Vec<SetMember> = set.members.iter().filter(apart).cloned().collect();
        if let Self::Queue(entry) = self {
            let own = applied.iter_mut().find(|member| member.change == entry.last);
            own.into_iter().for_each(|own| own.head = entry.head);
        }
        applied
    }
}

/// The entries of one repository's queues for branches that matter here, each with its head.
pub(super) fn entries(
    deciding: &Deciding<'_, '_>,
    id: &RepositoryId,
    repository: &TrackedRepository,
    listing: &Listing,
) -> Vec<(QueueId, Oid)> {
    let pinned = deciding.view.settings.changes.pinned_roots;
    let matters = |base: &Name| {
        repository.tracks(base) || (pinned && repository.overridden(base).next().is_some())
    };
    let all = listing.queued();
    all.filter_map(|(branch, head)| Some((QueueId::of(id, branch)?, *head)))
        .filter(|(queue, _)| matters(&deciding.view.oldest(id, &queue.base)))
        .collect()
}

/// Which changes are in an entry: its own, and those of every entry whose head it contains. What an entry
/// was put on is in its name, so as a rule nothing has to be asked for that.
pub(super) fn entry(
    view: &View<'_>,
    listing: &Listing,
    all: &[(QueueId, Oid)],
    queue: &QueueId,
    head: Oid,
) -> Result<Entry, String> {
    let others: Vec<&(QueueId, Oid)> = all
        .iter()
        .filter(|(other, _)| other.base == queue.base && other.number != queue.number)
        .collect();
    if others.len() >= MOST {
        return Err(format!(
            "the merge queue of {} for {} has more than {MOST} entries",
            queue.repository, queue.base
        ));
    }
    let last = queue.change();
    let mut changes = BTreeSet::from([last.clone()]);
    let mut on = queue.on;
    while let Some((below, _)) = others.iter().find(|(_, head)| *head == on)
        && changes.insert(below.change())
    {
        on = below.on;
    }
    let base = view.oldest(&queue.repository, &queue.base);
    if listing.branches.get(&base) != Some(&on) {
        for (other, its_head) in others {
            let change = other.change();
            if !changes.contains(&change) && view.contains(&queue.repository, *its_head, head)? {
                changes.insert(change);
            }
        }
    }
    Ok(Entry { id: queue.clone(), base, head, last, changes })
}
