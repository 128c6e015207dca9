//! Which changes belong together: references followed to any depth, cycles collapsed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::model::build::SetMember;
use crate::model::identity::{ChangeId, Name, RepositoryId};
use crate::model::plan::Blocked;
use crate::model::settings::{OnClosed, SameRepository};
use crate::model::time::Timestamp;
use crate::references::Finding;

use super::budget::Budget;
use super::edges::{Drawing, Edges};
use super::look::{Facts, View};
use super::matching;
use super::openness::{Changes, Open, State};
use super::tracked::Tracked;

/// The open changes and what each depends on directly.
pub(crate) struct Graph<'a> {
    pub(crate) open: BTreeMap<ChangeId, Open<'a>>,
    edges: BTreeMap<ChangeId, Edges>,
    /// The smallest root of the cycle that a change is part of, for changes in cycles.
    leaders: BTreeMap<ChangeId, ChangeId>,
    budget: Budget,
}

/// A change with all that it depends on.
#[derive(Clone)]
pub(crate) struct ChangeSet {
    /// Dependencies first, ties by identity; the change itself is among them.
    pub(crate) members: Vec<SetMember>,
    /// Members that another member of the same repository contains.
    pub(crate) contained: BTreeSet<ChangeId>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) notes: Vec<Finding>,
    /// Why nothing can be said of it.
    pub(crate) unknown: Option<String>,
    /// Why it cannot be built.
    pub(crate) blocked: Option<(Blocked, String)>,
    /// Until when a merged dependency is waited for, and why.
    pub(crate) waiting: Option<(Timestamp, String)>,
    /// From when on a member's references may be looked up, and why not now.
    pub(crate) unpaid: Option<(Timestamp, String)>,
}

/// Resolves the references of all open changes.
pub(crate) fn graph<'a>(view: &View<'a>, tracked: &Tracked, changes: &Changes<'a>) -> Graph<'a> {
    let joined = matching::joined(view, tracked, changes);
    let drawing = Drawing { view, tracked, changes, joined, budget: Budget::default() };
    let (mut all, mut edges) = (BTreeMap::new(), BTreeMap::new());
    for (id, state) in &changes.states {
        let State::Open(open) = state else { continue };
        view.about(Some(&id.repository));
        all.insert(id.clone(), open.clone());
        edges.insert(id.clone(), drawing.edges(id, open));
    }
    view.about(None);
    let budget = drawing.budget;
    let mut graph = Graph { open: all, edges, leaders: BTreeMap::new(), budget };
    graph.leaders = leaders(view, tracked, &graph);
    graph
}

/// Whether a change is to be built for its own sake here.
pub(crate) fn root(view: &View<'_>, tracked: &Tracked, graph: &Graph<'_>, id: &ChangeId) -> bool {
    let (Some(repository), Some(open)) =
        (tracked.repositories.get(&id.repository), graph.open.get(id))
    else {
        return false;
    };
    let pinned_root =
        view.settings.changes.pinned_roots && repository.overridden(open.base).next().is_some();
    repository.tracks(open.base) || pinned_root
}

fn leaders(view: &View<'_>, tracked: &Tracked, graph: &Graph<'_>) -> BTreeMap<ChangeId, ChangeId> {
    let mut digraph: DiGraph<&ChangeId, ()> = DiGraph::new();
    // Whoever depends on nothing is in no cycle.
    let some = || graph.edges.iter().filter(|(_, edges)| !edges.members.is_empty());
    let nodes: BTreeMap<&ChangeId, NodeIndex> =
        some().map(|(id, _)| (id, digraph.add_node(id))).collect();
    for (id, edges) in some() {
        for member in &edges.members {
            if let (Some(from), Some(to)) = (nodes.get(id), nodes.get(member)) {
                digraph.add_edge(*from, *to, ());
            }
        }
    }
    let mut leaders = BTreeMap::new();
    // Not the recursive algorithm: a chain of changes may be longer than the stack is deep.
    for component in kosaraju_scc(&digraph) {
        let members: BTreeSet<&ChangeId> =
            component.iter().filter_map(|node| digraph.node_weight(*node).copied()).collect();
        // A member that is no root here, such as one of a pinned package, has no plan to stand for.
        let roots = members.iter().find(|id| root(view, tracked, graph, id));
        if let Some(least) = roots.or(members.first()).filter(|_| members.len() > 1) {
            for member in &members {
                leaders.insert((*member).clone(), (*least).clone());
            }
        }
    }
    leaders
}

/// Takes over what lasts longer.
fn later(known: &mut Option<(Timestamp, String)>, other: &Option<(Timestamp, String)>) {
    let until = |waiting: &Option<(Timestamp, String)>| waiting.as_ref().map(|w| w.0);
    if until(known) < until(other) {
        known.clone_from(other);
    }
}

impl Graph<'_> {
    /// The change whose build stands for the cycle that `id` is part of, unless that is `id` itself.
    pub(crate) fn leader(&self, id: &ChangeId) -> Option<&ChangeId> {
        self.leaders.get(id).filter(|leader| *leader != id)
    }

    /// Every change whose cycle is built by another one, with that.
    pub(crate) fn followers(&self) -> impl Iterator<Item = (&ChangeId, &ChangeId)> {
        self.leaders.iter().filter(|(id, leader)| id != leader)
    }

    /// Clear references of `id` itself that fail.
    pub(crate) fn findings(&self, id: &ChangeId) -> impl Iterator<Item = &Finding> {
        self.edges.get(id).into_iter().flat_map(|edges| &edges.findings)
    }

    /// The same of every change that has some.
    pub(crate) fn findings_of_all(&self) -> BTreeMap<ChangeId, Vec<Finding>> {
        let some = self.edges.iter().filter(|(_, edges)| !edges.findings.is_empty());
        some.map(|(id, edges)| (id.clone(), edges.findings.clone())).collect()
    }

    /// What `id` depends on directly.
    pub(crate) fn members(&self, id: &ChangeId) -> impl Iterator<Item = &ChangeId> {
        self.edges.get(id).into_iter().flat_map(|edges| &edges.members)
    }

    /// Keeps since when merged dependencies are waited for, and what was spent on look-ups.
    pub(crate) fn remember(&self, facts: &mut Facts) {
        self.budget.remember(facts);
        for (id, edges) in &self.edges {
            if let Some(facts) = facts.now.get_mut(id)
                && facts.awaited != edges.awaited
            {
                facts.seen_mut().awaited.clone_from(&edges.awaited);
            }
        }
    }

    /// Open changes in an order in which everything that depends on a change comes before it; those
    /// that lead to something unknown come first, since what they cover cannot be seen from here.
    pub(crate) fn tops_first(&self) -> Vec<&ChangeId> {
        let leads = |edges: &Edges| !edges.members.is_empty() || !edges.unknown.is_empty();
        let some = self.edges.iter().filter(|(_, edges)| leads(edges));
        let related = some.flat_map(|(id, edges)| edges.members.iter().chain([id]));
        let related = related.filter_map(|id| Some(self.open.get_key_value(id)?.0));
        let related: BTreeSet<&ChangeId> = related.collect();
        let mut order = self.dependencies_first(&related);
        let mut uncertain: BTreeSet<&ChangeId> = BTreeSet::new();
        loop {
            let before = uncertain.len();
            for id in &order {
                let own = self.edges.get(*id).is_some_and(|edges| !edges.unknown.is_empty());
                if own || self.members(id).any(|member| uncertain.contains(member)) {
                    uncertain.insert(id);
                }
            }
            if uncertain.len() == before {
                break;
            }
        }
        order.reverse();
        order.sort_by_key(|id| !uncertain.contains(id));
        // The others have nothing above or below them.
        order.extend(self.open.keys().rev().filter(|id| !related.contains(id)));
        order
    }

    /// `ids` with dependencies first and ties by identity; a cycle comes as one, by identity.
    fn dependencies_first<'s>(&'s self, ids: &BTreeSet<&'s ChangeId>) -> Vec<&'s ChangeId> {
        let component = |id: &'s ChangeId| self.leaders.get(id).unwrap_or(id);
        let mut waits: BTreeMap<&ChangeId, BTreeSet<&ChangeId>> = BTreeMap::new();
        let mut above: BTreeMap<&ChangeId, BTreeSet<&ChangeId>> = BTreeMap::new();
        let mut content: BTreeMap<&ChangeId, Vec<&ChangeId>> = BTreeMap::new();
        for id in ids {
            let own = component(id);
            content.entry(own).or_default().push(id);
            let waiting = waits.entry(own).or_default();
            for member in self.members(id).filter(|member| ids.contains(member)) {
                let other = component(member);
                if other != own {
                    waiting.insert(other);
                    above.entry(other).or_default().insert(own);
                }
            }
        }
        let mut ready: BTreeSet<&ChangeId> =
            waits.iter().filter(|(_, w)| w.is_empty()).map(|(id, _)| *id).collect();
        let mut order = Vec::with_capacity(ids.len());
        while let Some(next) = ready.pop_first() {
            order.extend(content.remove(next).unwrap_or_default());
            for upper in above.remove(next).unwrap_or_default() {
                if let Some(waiting) = waits.get_mut(upper) {
                    waiting.remove(next);
                    if waiting.is_empty() {
                        ready.insert(upper);
                    }
                }
            }
        }
        order
    }

    /// The set of `root`: everything that it reaches, with what stands in its way.
    pub(crate) fn set(&self, view: &View<'_>, root: &ChangeId) -> ChangeSet {
        self.set_of(view, &[root], &|_| false)
    }

    /// The same of several roots, which their forge has merged already, without what is left out.
    pub(crate) fn set_of(
        &self,
        view: &View<'_>,
        roots: &[&ChangeId],
        left_out: &dyn Fn(&ChangeId) -> bool,
    ) -> ChangeSet {
        let rules = &view.settings.changes;
        let mut set = ChangeSet {
            members: Vec::new(),
            contained: BTreeSet::new(),
            findings: Vec::new(),
            notes: Vec::new(),
            unknown: None,
            blocked: None,
            waiting: None,
            unpaid: None,
        };
        let mut reached: BTreeSet<&ChangeId> = BTreeSet::new();
        let mut queue: VecDeque<&ChangeId> = roots.iter().copied().collect();
        let mut closed = BTreeSet::new();
        while let Some(id) = queue.pop_front() {
            let known = self.edges.get_key_value(id).filter(|(id, _)| reached.insert(id));
            let Some((_, edges)) = known else {
                continue;
            };
            set.findings.extend(edges.findings.iter().cloned());
            set.notes.extend(edges.notes.iter().cloned());
            closed.extend(edges.closed.iter().cloned());
            later(&mut set.waiting, &edges.waiting);
            later(&mut set.unpaid, &edges.unpaid);
            if set.unknown.is_none() {
                set.unknown = edges.unknown.first().cloned();
            }
            if reached.len() > rules.max_dependencies + roots.len() {
                set.blocked = Some((
                    Blocked::TooMany,
                    format!(
                        "it depends on more than {} changes; split it, or raise max_dependencies",
                        rules.max_dependencies
                    ),
                ));
                break;
            }
            queue.extend(edges.members.iter().filter(|member| !left_out(member)));
        }
        let ordered = match reached.len() {
            0 | 1 => reached.into_iter().collect(),
            _ => self.dependencies_first(&reached),
        };
        for id in ordered {
            if let Some(open) = self.open.get(id) {
                set.members.push(SetMember {
                    change: id.clone(),
                    head: open.listed.head,
                    base: open.base.clone(),
                });
            }
        }
        if let Some(dependency) = closed.first() {
            match rules.on_closed {
                OnClosed::Block => {
                    set.blocked.get_or_insert_with(|| {
                        (
                            Blocked::DependencyClosed,
                            format!(
                                "{dependency} was closed; its author reopens it, or the reference is removed"
                            ),
                        )
                    });
                }
                OnClosed::Ignore => set.notes.push(Finding {
                    as_written: dependency.to_string(),
                    line: 0,
                    text: format!("{dependency} was closed and is left out"),
                }),
            }
        }
        let merged = if roots.len() > 1 { roots } else { &[] };
        self.same_repository(view, &mut set, merged);
        set
    }

    fn same_repository(&self, view: &View<'_>, set: &mut ChangeSet, merged: &[&ChangeId]) {
        let mut groups: BTreeMap<(&RepositoryId, &Name), Vec<&SetMember>> = BTreeMap::new();
        for member in set.members.iter().filter(|member| !merged.contains(&&member.change)) {
            groups.entry((&member.change.repository, &member.base)).or_default().push(member);
        }
        let mut contained = BTreeSet::new();
        let mut unknown = None;
        let mut blocked = None;
        for ((repository, _), group) in groups.into_iter().filter(|(_, group)| group.len() > 1) {
            for (index, one) in group.iter().enumerate() {
                for other in group.iter().skip(index + 1) {
                    let upwards = view.contains(repository, one.head, other.head);
                    let downwards = view.contains(repository, other.head, one.head);
                    match (upwards, downwards) {
                        (Ok(true), _) => {
                            contained.insert(one.change.clone());
                        }
                        (_, Ok(true)) => {
                            contained.insert(other.change.clone());
                        }
                        (Err(why), _) | (_, Err(why)) => unknown = unknown.or(Some(why)),
                        (Ok(false), Ok(false))
                            if view.settings.changes.same_repository == SameRepository::Block =>
                        {
                            blocked.get_or_insert_with(|| {
                                (
                                    Blocked::TwoChanges,
                                    format!(
                                        "two changes of {repository}; rebase #{} on #{}",
                                        other.change.number, one.change.number
                                    ),
                                )
                            });
                        }
                        (Ok(false), Ok(false)) => {}
                    }
                }
            }
        }
        set.contained = contained;
        set.unknown = set.unknown.take().or(unknown);
        set.blocked = set.blocked.take().or(blocked);
    }
}
