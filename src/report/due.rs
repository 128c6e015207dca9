//! What is to be written: of what the ledger has, that which somebody still sees, where the
//! configuration lets us write and the forge does.

use std::collections::{BTreeMap, BTreeSet};

use crosswatch_core::control::report::{Key, Turn, checks, marker, text};
use crosswatch_core::model::change::Listing;
use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::observed::Purpose;
use crosswatch_core::model::time::Timestamp;

use crate::forge::{Apis, Saying, Sticky};
use crate::ledger::{DueComment, Ledger, LedgerError, Stop};
use crate::pass::Published;

/// Something to write.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) what: What,
    pub(super) since: Timestamp,
}

/// What to write.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A status.
    Status(Box<Saying>),
    /// A comment.
    Comment(Box<Comment>),
}

/// A comment to write.
#[derive(Clone, Debug)]
pub(super) struct Comment {
    pub(super) row: DueComment,
    pub(super) sticky: Sticky,
    /// Of its text.
    pub(super) digest: String,
}

impl Due {
    pub(super) fn turn(&self) -> Turn {
        match &self.what {
            What::Status(saying) => saying.status.state.into(),
            What::Comment(_) => Turn::Comment,
        }
    }
}

/// Everything that is to be written.
pub(super) async fn due(
    ledger: &Ledger,
    published: &Published,
    apis: &Apis,
    stops: &[Stop],
) -> Result<BTreeMap<Key, Due>, LedgerError> {
    let there = There {
        published,
        apis,
        stopped: stops.iter().map(|stop| stop.place.as_str()).collect(),
        named: named(published),
    };
    let mut due = BTreeMap::new();
    for row in ledger.due_statuses().await? {
        let head = |listing: &Listing| listing.builds(row.key.head);
        let since = row.wanted_at;
        let by = there.by(&row.key.repository).is_some_and(|by| by.contains(&row.workspace));
        let key = Key::Status(row.workspace.clone(), row.key.clone());
        if by && there.seen(&key, head) {
            let checks = !there.stopped.contains(checks(&row.key.repository).as_str());
            let saying = Saying { key: row.key, status: row.status, run: row.run, checks };
            due.insert(key, Due { what: What::Status(Box::new(saying)), since });
        }
    }
    for mut row in ledger.due_comments().await? {
        let change = row.change.clone();
        let key = Key::Comment(change.clone());
        let Some(by) = there.by(&change.repository) else { continue };
        if !there.seen(&key, |listing| listing.change(change.number).is_some()) {
            continue;
        }
        row.remarks.retain(|workspace, _| by.contains(workspace));
        let remarks: BTreeMap<Name, Vec<String>> = row
            .remarks
            .iter()
            .filter_map(|(id, remarks)| Some((there.name(id)?, remarks.clone())))
            .collect();
        let marker = marker(ledger.id(), &change);
        let text = text(&marker, &remarks);
        let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
        let (id, create) = (row.comment_id.clone(), !remarks.is_empty());
        let sticky = Sticky { change, marker, text, id, create };
        let since = row.wanted_at;
        let what = What::Comment(Box::new(Comment { row, sticky, digest }));
        due.insert(key, Due { what, since });
    }
    Ok(due)
}

/// Ids of the workspaces that name each repository.
fn named(published: &Published) -> BTreeMap<&RepositoryId, BTreeSet<&Name>> {
    let mut named: BTreeMap<&RepositoryId, BTreeSet<&Name>> = BTreeMap::new();
    for workspace in &published.snapshot.settings.workspaces {
        for repository in &workspace.report_to {
            named.entry(repository).or_default().insert(&workspace.id);
        }
    }
    named
}

/// What may be written to, and is looked at.
struct There<'a> {
    published: &'a Published,
    apis: &'a Apis,
    stopped: BTreeSet<&'a str>,
    named: BTreeMap<&'a RepositoryId, BTreeSet<&'a Name>>,
}

impl There<'_> {
    /// Workspaces that may write there, by id.
    fn by(&self, repository: &RepositoryId) -> Option<&BTreeSet<&Name>> {
        self.named.get(repository)
    }

    fn name(&self, id: &Name) -> Option<Name> {
        let workspaces = &self.published.snapshot.settings.workspaces;
        workspaces.iter().find(|workspace| workspace.id == *id).map(|known| known.name.clone())
    }

    /// Whether somebody looks at it: an old head, a change that is over and an archived repository
    /// are as they are.
    fn seen(&self, key: &Key, looked_at: impl FnOnce(&Listing) -> bool) -> bool {
        let repository = key.repository();
        let part = self.published.snapshot.repositories.get(repository);
        let listing = part.and_then(|part| part.listing.last_known(Purpose::Hiding));
        self.apis.contains_key(&*repository.forge)
            && !key.places().iter().any(|place| self.stopped.contains(place.as_str()))
            && listing.is_some_and(|listing| !listing.archived && looked_at(listing))
    }
}
