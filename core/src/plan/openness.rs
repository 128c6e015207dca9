//! Which changes of the tracked repositories are open, and what is known of each.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::change::{Listing, OpenRef};
use crate::model::identity::{ChangeId, Fingerprint, Name, Oid, RepositoryId, Subject};
use crate::model::ledger_view::{
    Adopted, AttemptView, ChangeFacts, ForgeFacts, Look, RefChoice, Seen,
};
use crate::model::observed::Purpose;
use crate::model::settings::Adopt;
use crate::model::time::{Span, Timestamp};
use crate::references::References;

use super::body;
use super::choice::choose;
use super::look::{Facts, View};
use super::stack::Stack;
use super::tracked::{Tracked, TrackedRepository};

/// What is known of a change that a listing shows.
pub(crate) enum State<'a> {
    /// It is open.
    Open(Open<'a>),
    /// Its base contains its head.
    Merged { head: Oid, base: &'a Name },
    /// Not known, with the reason; it triggers nothing and closes nothing.
    Unknown(String),
}

/// An open change with all that the rules need of it.
#[derive(Clone)]
pub(crate) struct Open<'a> {
    pub(crate) listed: &'a OpenRef,
    /// Its effective base: that of the bottom of its stack.
    pub(crate) base: &'a Name,
    /// The change of the same repository that it is stacked on.
    pub(crate) below: Option<u64>,
    /// What its author says that it depends on.
    pub(crate) references: Cow<'a, References>,
    /// Committer's date of its head on plain git; on a forge, when it was opened.
    pub(crate) dated: Timestamp,
    /// Which ref `ref: auto` means; nothing on plain git, and before the forge said what it can merge.
    pub(crate) choice: Option<RefChoice>,
}

/// The changes of all tracked repositories.
pub(crate) struct Changes<'a> {
    pub(crate) states: BTreeMap<ChangeId, State<'a>>,
    /// Repositories whose listing is not known, with the reason.
    pub(crate) unread: BTreeMap<RepositoryId, String>,
    /// Whether the state of some change or the listing of some repository is not known.
    pub(crate) uncertain: bool,
    /// What changes whose state is not known depended on when last known.
    pub(crate) hiding: BTreeMap<ChangeId, BTreeSet<ChangeId>>,
    /// Stacks of the repositories that are known.
    pub(crate) stacks: BTreeMap<RepositoryId, Stack<'a>>,
    /// Repositories with branches of a merge queue, as far as is known or was last.
    pub(crate) queued: Vec<RepositoryId>,
    pub(crate) facts: Facts,
    pub(crate) looks: Vec<Look>,
}

/// Looks at every change of the tracked repositories, and of those that only candidates have.
pub(crate) fn changes<'a>(
    view: &View<'a>,
    tracked: &Tracked,
    beyond: &BTreeMap<RepositoryId, Arc<TrackedRepository>>,
) -> Changes<'a> {
    let mut changes = Changes {
        states: BTreeMap::new(),
        unread: BTreeMap::new(),
        uncertain: false,
        hiding: BTreeMap::new(),
        stacks: BTreeMap::new(),
        queued: Vec::new(),
        facts: Facts::default(),
        looks: Vec::new(),
    };
    let limited = view
        .scope()
        .map(|scope| scope.iter().filter_map(|id| tracked.repositories.get_key_value(id)));
    let all = limited.is_none().then(|| tracked.repositories.iter().chain(beyond));
    for (id, repository) in limited.into_iter().flatten().chain(all.into_iter().flatten()) {
        view.about(Some(id));
        let Some(part) = view.repository(id) else {
            changes.unread.insert(id.clone(), format!("{id} was not read yet"));
            continue;
        };
        if view.gone(id).is_some() {
            // Nothing of it is open any more; `fate` says closed of each.
            continue;
        }
        let last = part.listing.last_known(Purpose::Display);
        if last.is_some_and(|last| last.queued().next().is_some()) {
            changes.queued.push(id.clone());
        }
        if let Some(unknown) = part.listing.unknown() {
            let why = format!("{id} could not be read since {}: {}", unknown.since, unknown.why);
            if let Some(last) = part.listing.last_known(Purpose::Display) {
                let stack = Stack::of(id, repository, last);
                for listed in &last.changes {
                    let change = id.change(listed.number);
                    if let Some(facts) = view.ledger.changes.get(&change) {
                        changes.facts.now.insert(change.clone(), facts.clone());
                    }
                    hide(view, tracked, &mut changes.hiding, &change, listed, &stack);
                    changes.states.insert(change, State::Unknown(why.clone()));
                }
            }
            changes.unread.insert(id.clone(), why);
        }
        if let Some(listing) = part.listing.value() {
            let first = first_looks(view, id, repository, &mut changes.looks);
            let stack = Stack::of(id, repository, listing);
            for listed in &listing.changes {
                let change = id.change(listed.number);
                let state = state(view, tracked, id, listing, listed, &stack);
                let (base, open) = match &state {
                    State::Open(open) => (Some(open.base), Some(open)),
                    _ => (base(listing, listed), None),
                };
                let adopt = base.is_none_or(|base| first.contains(base));
                let facts = facts(view, &change, listed, open, adopt);
                if matches!(state, State::Unknown(_)) {
                    hide(view, tracked, &mut changes.hiding, &change, listed, &stack);
                }
                changes.facts.now.insert(change.clone(), facts);
                changes.states.insert(change, state);
            }
            changes.stacks.insert(id.clone(), stack);
        }
    }
    view.about(None);
    let unknown = |state: &State<'_>| matches!(state, State::Unknown(_));
    changes.uncertain = !changes.unread.is_empty() || changes.states.values().any(unknown);
    changes
}

fn hide(
    view: &View<'_>,
    tracked: &Tracked,
    hiding: &mut BTreeMap<ChangeId, BTreeSet<ChangeId>>,
    change: &ChangeId,
    listed: &OpenRef,
    stack: &Stack<'_>,
) {
    let references = match &listed.forge {
        Some(forge) => Some(view.by_first_names(body::references(view, tracked, change, forge))),
        None => view
            .last_commit(&change.repository, listed.head, Purpose::Hiding)
            .map(|commit| view.by_first_names(Cow::Borrowed(&commit.references))),
    };
    if let Some(references) = references {
        let mut names: BTreeSet<ChangeId> =
            references.references.iter().map(|reference| reference.change.clone()).collect();
        let below = stack.below(listed).map(|(below, _)| change.repository.change(below.number));
        names.extend(below);
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

/// The base branch that a change names, or the default branch.
pub(crate) fn base<'a>(listing: &'a Listing, listed: &'a OpenRef) -> Option<&'a Name> {
    listed.base.as_ref().or(listing.default_branch.as_ref())
}

fn state<'a>(
    view: &View<'a>,
    tracked: &Tracked,
    id: &RepositoryId,
    listing: &'a Listing,
    listed: &'a OpenRef,
    stack: &Stack<'a>,
) -> State<'a> {
    if let (Some(forge), Some(own)) = (&listed.forge, base(listing, listed)) {
        let change = id.change(listed.number);
        if forge.references.by(&view.settings.changes.reading).is_none() {
            let why = "its body was not read yet by the `grammar` and `phrases` of this workspace";
            return State::Unknown(format!("{change}: {why}"));
        }
        let stacked = stack.below(listed);
        let known = view.ledger.changes.get(&change).and_then(|facts| facts.forge.as_ref());
        return State::Open(Open {
            listed,
            base: stacked.and_then(|(_, bottom)| base(listing, bottom)).unwrap_or(own),
            below: stacked.map(|(below, _)| below.number),
            references: view.by_first_names(body::references(view, tracked, &change, forge)),
            dated: forge.created_at,
            choice: choose(
                forge,
                forge.mergeable,
                stacked.is_some(),
                known.and_then(|known| known.choice),
            ),
        });
    }
    let Some(base) = base(listing, listed) else {
        return State::Unknown(format!(
            "{id}#{}: no ref names its base branch and the server shows no default branch",
            listed.number
        ));
    };
    if let Some(base_head) = listing.branches.get(base) {
        match view.contains(id, listed.head, *base_head) {
            Ok(true) => return State::Merged { head: listed.head, base },
            Ok(false) => {}
            Err(why) => return State::Unknown(why),
        }
    }
    match view.commit(id, listed.head) {
        Ok(commit) => State::Open(Open {
            listed,
            base,
            below: None,
            references: view.by_first_names(Cow::Borrowed(&commit.references)),
            dated: commit.committed_at,
            choice: None,
        }),
        Err(why) => State::Unknown(why),
    }
}

fn facts(
    view: &View<'_>,
    change: &ChangeId,
    listed: &OpenRef,
    open: Option<&Open<'_>>,
    first_look: bool,
) -> ChangeFacts {
    let at = view.at();
    let references = open.map(|open| digest(&open.references));
    // A change that was seen before its base was tracked comes in with the first look at that base.
    // What was built, for itself or as a member of a candidate's set, stays what it is.
    let adopts = |known: &&ChangeFacts| {
        let built = |attempts: &[AttemptView]| {
            attempts
                .iter()
                .flat_map(|attempt| attempt.set.iter())
                .any(|member| member.change == *change)
        };
        first_look
            && known.adopted == Adopted::No
            && !view.ledger.attempts.contains_key(&Subject::Change(change.clone()))
            && !view.ledger.attempts.values().any(|attempts| built(attempts))
    };
    let Some(known) = view.ledger.changes.get(change).filter(|known| !adopts(known)) else {
        let adopted = match (first_look, view.settings.changes.adopt) {
            (false, _) => Adopted::No,
            (true, Adopt::All) => Adopted::Recent,
            (true, Adopt::Recent | Adopt::None) => Adopted::Undecided,
        };
        let seen = Seen {
            first_seen: at,
            head: listed.head,
            head_moved_at: at,
            references,
            references_moved_at: at,
            awaited: BTreeMap::new(),
            forge: open.and_then(|open| forge_facts(open, None, at)),
            asked: None,
        };
        return ChangeFacts { adopted, seen: Arc::new(seen) };
    };
    let mut facts = brought_back(known.clone(), at);
    if facts.head != listed.head {
        let seen = facts.seen_mut();
        (seen.head, seen.head_moved_at) = (listed.head, at);
    }
    if let Some(references) = references
        && facts.references != Some(references)
    {
        let seen = facts.seen_mut();
        if seen.references.is_some() {
            seen.references_moved_at = at;
        }
        seen.references = Some(references);
    }
    if let Some(open) = open {
        let forge = forge_facts(open, facts.forge.as_ref(), at);
        if facts.forge != forge {
            facts.seen_mut().forge = forge;
        }
    }
    facts
}

/// Times that a clock wrote which was put back since are put back with it, so that the last of them is
/// now: nobody waits for a time that comes again.
fn brought_back(mut facts: ChangeFacts, at: Timestamp) -> ChangeFacts {
    let forge = facts.forge.as_ref().map(|forge| forge.moved_at);
    let known = [facts.first_seen, facts.head_moved_at, facts.references_moved_at];
    let back = known.into_iter().chain(forge).max().map_or(Span(0), |latest| latest.since(at));
    if back > Span(0) {
        let seen = facts.seen_mut();
        let forge = seen.forge.as_mut().map(|forge| &mut forge.moved_at);
        let times = [&mut seen.first_seen, &mut seen.head_moved_at, &mut seen.references_moved_at];
        times.into_iter().chain(forge).for_each(|time| *time = *time - back);
    }
    facts
}

/// Facts of a pull request after this look.
fn forge_facts(open: &Open<'_>, known: Option<&ForgeFacts>, at: Timestamp) -> Option<ForgeFacts> {
    let draft = open.listed.forge.as_ref()?.draft;
    let base = open.listed.base.as_ref().unwrap_or(open.base);
    let still = known.filter(|known| known.draft == draft && known.base == *base);
    let moved_at = still.map_or(at, |known| known.moved_at);
    let tried = known.and_then(|known| known.tried);
    Some(ForgeFacts { draft, base: base.clone(), moved_at, choice: open.choice, tried })
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
