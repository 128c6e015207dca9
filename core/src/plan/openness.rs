//! Which changes of the tracked repositories are open, and what is known of each.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::change::{CommitFacts, Listing, OpenRef};
use crate::model::identity::{ChangeId, Fingerprint, Name, RepositoryId, Subject};
use crate::model::ledger_view::{Adopted, ChangeFacts, Look};
use crate::model::observed::Purpose;
use crate::model::settings::Adopt;
use crate::references::References;

use super::look::{Facts, View};
use super::tracked::{Tracked, TrackedRepository};

/// What is known of a change that a listing shows.
pub(crate) enum State<'a> {
    /// It is open.
    Open(Open<'a>),
    /// Its base contains its head.
    Merged,
    /// Not known, with the reason; it triggers nothing and closes nothing.
    Unknown(String),
}

/// An open change with all that the rules need of it.
#[derive(Clone, Copy)]
pub(crate) struct Open<'a> {
    pub(crate) listed: &'a OpenRef,
    pub(crate) base: &'a Name,
    pub(crate) commit: &'a CommitFacts,
}

/// The changes of all tracked repositories.
pub(crate) struct Changes<'a> {
    pub(crate) states: BTreeMap<ChangeId, State<'a>>,
    /// Repositories whose listing is not known, with the reason.
    pub(crate) unread: BTreeMap<RepositoryId, String>,
    /// What changes whose state is not known depended on when last known.
    pub(crate) hiding: BTreeMap<ChangeId, BTreeSet<ChangeId>>,
    pub(crate) facts: Facts,
    pub(crate) looks: Vec<Look>,
}

/// Looks at every change of the tracked repositories.
pub(crate) fn changes<'a>(view: &View<'a>, tracked: &Tracked) -> Changes<'a> {
    let mut changes = Changes {
        states: BTreeMap::new(),
        unread: BTreeMap::new(),
        hiding: BTreeMap::new(),
        facts: Facts::default(),
        looks: Vec::new(),
    };
    for (id, repository) in &tracked.repositories {
        let Some(part) = view.repository(id) else {
            changes.unread.insert(id.clone(), format!("{id} was not read yet"));
            continue;
        };
        if let Some(unknown) = part.listing.unknown() {
            let why = format!("{id} could not be read since {}: {}", unknown.since, unknown.why);
            if let Some(last) = part.listing.last_known(Purpose::Display) {
                for listed in &last.changes {
                    let change = id.change(listed.number);
                    if let Some(facts) = view.ledger.changes.get(&change) {
                        changes.facts.now.insert(change.clone(), facts.clone());
                    }
                    hide(view, &mut changes.hiding, &change, listed);
                    changes.states.insert(change, State::Unknown(why.clone()));
                }
            }
            changes.unread.insert(id.clone(), why);
        }
        if let Some(listing) = part.listing.value() {
            let first = first_looks(view, id, repository, &mut changes.looks);
            for listed in &listing.changes {
                let change = id.change(listed.number);
                let state = state(view, id, listing, listed);
                let base = base(listing, listed);
                let references = match &state {
                    State::Open(open) => Some(digest(&open.commit.references)),
                    _ => None,
                };
                let adopt = base.is_none_or(|base| first.contains(base));
                let facts = facts(view, &change, listed, references, adopt);
                if matches!(state, State::Unknown(_)) {
                    hide(view, &mut changes.hiding, &change, listed);
                }
                changes.facts.now.insert(change.clone(), facts);
                changes.states.insert(change, state);
            }
        }
    }
    changes
}

fn hide(
    view: &View<'_>,
    hiding: &mut BTreeMap<ChangeId, BTreeSet<ChangeId>>,
    change: &ChangeId,
    listed: &OpenRef,
) {
    if let Some(commit) = view.last_commit(&change.repository, listed.head, Purpose::Hiding) {
        let references = &commit.references.references;
        let names = references.iter().map(|reference| reference.change.clone()).collect();
        hiding.insert(change.clone(), names);
    }
}

/// The branches of this repository that are looked at for the first time.
fn first_looks(
    view: &View<'_>,
    id: &RepositoryId,
    repository: &TrackedRepository,
    looks: &mut Vec<Look>,
) -> BTreeSet<Name> {
    let mut first = BTreeSet::new();
    let branches: BTreeSet<Name> =
        repository.uses.iter().filter_map(|used| used.branch.clone()).collect();
    for branch in branches {
        let look = Look { repository: id.clone(), branch: branch.clone() };
        if !view.ledger.looks.contains(&look) {
            first.insert(branch);
            looks.push(look);
        }
    }
    first
}

fn base<'a>(listing: &'a Listing, listed: &'a OpenRef) -> Option<&'a Name> {
    listed.base.as_ref().or(listing.default_branch.as_ref())
}

fn state<'a>(
    view: &View<'a>,
    id: &RepositoryId,
    listing: &'a Listing,
    listed: &'a OpenRef,
) -> State<'a> {
    let Some(base) = base(listing, listed) else {
        return State::Unknown(format!(
            "{id}#{}: no ref names its base branch and the server shows no default branch",
            listed.number
        ));
    };
    if let Some(base_head) = listing.branches.get(base) {
        match view.contains(id, listed.head, *base_head) {
            Ok(true) => return State::Merged,
            Ok(false) => {}
            Err(why) => return State::Unknown(why),
        }
    }
    match view.commit(id, listed.head) {
        Ok(commit) => State::Open(Open { listed, base, commit }),
        Err(why) => State::Unknown(why),
    }
}

fn facts(
    view: &View<'_>,
    change: &ChangeId,
    listed: &OpenRef,
    references: Option<Fingerprint>,
    first_look: bool,
) -> ChangeFacts {
    let at = view.at();
    // A change that was seen before its base was tracked comes in with the first look at that base.
    let adopts = |known: &&ChangeFacts| {
        let subject = Subject::Change(change.clone());
        first_look && known.adopted == Adopted::No && !view.ledger.attempts.contains_key(&subject)
    };
    let Some(known) = view.ledger.changes.get(change).filter(|known| !adopts(known)) else {
        let adopted = match (first_look, view.settings.changes.adopt) {
            (false, _) => Adopted::No,
            (true, Adopt::All) => Adopted::Recent,
            (true, Adopt::Recent | Adopt::None) => Adopted::Undecided,
        };
        return ChangeFacts {
            adopted,
            first_seen: at,
            head: listed.head,
            head_moved_at: at,
            references,
            references_moved_at: at,
        };
    };
    let mut facts = known.clone();
    if facts.head != listed.head {
        facts.head = listed.head;
        facts.head_moved_at = at;
    }
    if let Some(references) = references
        && facts.references != Some(references)
    {
        if facts.references.is_some() {
            facts.references_moved_at = at;
        }
        facts.references = Some(references);
    }
    facts
}

/// Digest of the changes that references name, in their order of identity.
pub(crate) fn digest(references: &References) -> Fingerprint {
    let names: BTreeSet<&ChangeId> = references.references.iter().map(|r| &r.change).collect();
    let mut hasher = blake3::Hasher::new_derive_key("crosswatch references 1");
    for name in names {
        let name = name.to_string();
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
    }
    Fingerprint(*hasher.finalize().as_bytes())
}
