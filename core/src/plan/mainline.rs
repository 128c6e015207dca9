//! The mainline of a workspace: the heads that it tracks, built together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::build::PackageHead;
use crate::model::fingerprint::Leaf;
use crate::model::identity::{Fingerprint, Name, Oid, Subject};
use crate::model::ledger_view::MainlineFacts;
use crate::model::manifest::{Manifest, Pin, Vcs};
use crate::model::observed::{NOT_READ_YET, Purpose};
use crate::model::plan::{Blocked, Decision, FingerprintPart, Held};
use crate::model::settings::UpdateOn;
use crate::model::time::{Span, Timestamp};

use super::attempts::{self, Standing};
use super::fingerprint;
use super::look::View;
use super::once::{Known, Once};
use super::tracked::{Tracked, Use, manifest};

/// The mainline as it would be built now.
pub(crate) struct Mainline {
    pub(crate) heads: Arc<[PackageHead]>,
    pub(crate) fingerprint: Fingerprint,
    /// Packages that are held at one commit or tag.
    pub(crate) pins: Vec<(Name, String)>,
}

impl Mainline {
    /// What its fingerprint is made of.
    pub(crate) fn parts(&self, view: &View<'_>) -> Vec<FingerprintPart> {
        fingerprint::parts_of_mainline(view, &self.heads, &self.pins)
    }
}

/// Heads of all packages: what the last update left, with each tracked head that was taken over since
/// in its place. A repository that cannot be read keeps its last known head. `Err` says what is missing.
pub(crate) fn mainline(
    view: &View<'_>,
    tracked: &Tracked,
    once: Option<&Once<'_>>,
) -> Result<Mainline, String> {
    if manifest(view).is_none() {
        let why = view
            .part
            .and_then(|part| part.manifest.unknown())
            .map_or(NOT_READ_YET, |unknown| unknown.why.as_str());
        return Err(format!("the manifest is not known: {why}"));
    }
    let checkouts = view.part.and_then(|part| part.updated.as_ref()).map(|u| &u.checkouts);
    let mut heads = Vec::new();
    let mut pins = Vec::new();
    let reading = once.map(|once| once.reading(tracked.repositories.iter()));
    for (id, repository) in &tracked.repositories {
        if let Some(known) = reading.as_ref().and_then(|reading| reading.of(repository))
            && let Some(known) = listed(view, known, checkouts)
        {
            heads.extend(known);
            continue;
        }
        let listing =
            view.repository(id).and_then(|part| part.listing.last_known(Purpose::ManifestInForce));
        for used in &repository.uses {
            if let Some(Pin::Commit(pin) | Pin::Tag(pin)) = &used.pin {
                pins.push((used.package.clone(), pin.clone()));
                continue;
            }
            let checkout = checkouts.and_then(|checkouts| checkouts.get(&used.package)).copied();
            let head = used
                .branch
                .as_ref()
                .and_then(|branch| listing.and_then(|listing| listing.branches.get(branch)))
                .copied();
            let head = match view.settings.update_on {
                // A checkout is older than heads that were taken over since: no stand-in for a look.
                UpdateOn::Definitions if listing.is_none() => None,
                UpdateOn::Definitions => head.or(checkout),
                UpdateOn::Any => checkout.or(head),
            };
            match head {
                Some(head) => {
                    let (package, repository) = (used.package.clone(), id.clone());
                    let head = PackageHead { package, repository, head };
                    let leaf = fingerprint::head(&head);
                    heads.push((head, leaf));
                }
                None => {
                    let why = match view.repository(id).map(|part| &part.listing) {
                        None => "it was not read yet".to_owned(),
                        Some(listing) => match (listing.unknown(), &used.branch) {
                            (Some(unknown), _) => unknown.why.clone(),
                            (None, Some(branch)) => format!("it has no branch {branch}"),
                            (None, None) => "it has no default branch".to_owned(),
                        },
                    };
                    return Err(format!("the head of {} in {id}: {why}", used.package));
                }
            }
        }
    }
    heads.sort();
    pins.sort();
    let fingerprint = fingerprint::of_mainline(view, heads.iter().map(|(_, leaf)| *leaf), &pins);
    Ok(Mainline { heads: heads.into_iter().map(|(head, _)| head).collect(), fingerprint, pins })
}

/// Heads of a repository of which nothing is pinned and no checkout counts.
fn listed(
    view: &View<'_>,
    known: &Known,
    checkouts: Option<&BTreeMap<Name, Oid>>,
) -> Option<Vec<(PackageHead, Leaf)>> {
    let counts = |used: &Use| match view.settings.update_on {
        UpdateOn::Definitions => true,
        UpdateOn::Any => checkouts.is_none_or(|checkouts| !checkouts.contains_key(&used.package)),
    };
    let uses = &known.tracked.uses;
    let plain = uses.iter().all(|used| used.pin.is_none() && counts(used));
    plain.then(|| known.heads.iter().cloned().collect())?
}

/// Facts of the mainline after this look.
pub(crate) fn facts(view: &View<'_>, mainline: &Mainline) -> MainlineFacts {
    let at = view.at();
    match &view.ledger.mainline {
        None => MainlineFacts {
            recorded: mainline.fingerprint,
            fingerprint: mainline.fingerprint,
            moved_at: at,
            gathering_since: at,
            heads: Arc::clone(&mainline.heads),
            partly: BTreeMap::new(),
        },
        Some(known) => {
            let mut facts = known.clone();
            // A clock that was put back makes nobody wait for a time that comes again.
            let back = facts.moved_at.max(facts.gathering_since).since(at);
            facts.moved_at = facts.moved_at - back;
            facts.gathering_since = facts.gathering_since - back;
            if facts.fingerprint != mainline.fingerprint {
                let built = facts.fingerprint == facts.recorded
                    || attempts::known(view, &Subject::Mainline, facts.fingerprint);
                if built {
                    facts.gathering_since = at;
                }
                facts.fingerprint = mainline.fingerprint;
                facts.moved_at = at;
            }
            facts
        }
    }
}

/// The decision on the mainline; `waiting` is until when it waits for the rest of a set, and why.
pub(crate) fn decide(
    view: &View<'_>,
    mainline: &Mainline,
    facts: &MainlineFacts,
    waiting: Option<(Timestamp, String)>,
) -> Standing {
    let held = |why, reason, until| Standing {
        decision: Decision::Held { why, reason, until },
        due: Vec::new(),
    };
    let subject = Subject::Mainline;
    let rebuild = attempts::rebuild(view, &subject).is_some();
    let known = attempts::known(view, &subject, mainline.fingerprint);
    if mainline.fingerprint == facts.recorded && !known && !rebuild {
        let reason = "it is as it was when the watch began; the next push is built".to_owned();
        return Standing { decision: Decision::Unchanged { reason }, due: Vec::new() };
    }
    if let Some(paused) = paused(view) {
        return held(Held::Paused, paused, None);
    }
    if let Some(part) = view.part {
        if let Some(failure) = &part.failure {
            let reason =
                format!("the workspace's last update failed: {failure}; changes go on without it");
            let decision = Decision::Blocked { why: Blocked::UpdateFailed, reason };
            return Standing { decision, due: Vec::new() };
        }
        if part.pending && !known {
            return held(Held::Mainline, "the workspace is being updated".to_owned(), None);
        }
    }
    if !known && !rebuild {
        let rules = &view.settings.mainline;
        let until = settled_at(facts, rules.settle, rules.settle_at_most);
        if view.until(until) {
            let reason = format!("pushes are gathered until none came for {}", rules.settle);
            return held(Held::Settling, reason, Some(until));
        }
        if let Some((until, reason)) = waiting {
            return held(Held::PartlyMerged, reason, Some(until));
        }
    }
    let parts = || mainline.parts(view);
    attempts::standing(view, &subject, mainline.fingerprint, &parts, None)
}

/// When pushes were gathered for long enough.
pub(crate) fn settled_at(facts: &MainlineFacts, settle: Span, at_most: Span) -> Timestamp {
    (facts.moved_at + settle).min(facts.gathering_since + at_most)
}

/// Why nothing of this workspace is triggered, if it is paused.
pub(crate) fn paused(view: &View<'_>) -> Option<String> {
    if view.settings.paused {
        return Some("the workspace is paused in the configuration".to_owned());
    }
    let by = view.ledger.paused_by.as_ref();
    by.map(|by| format!("{by} paused the workspace; `crosswatch resume` releases it"))
}

/// `changed` packages and all that depend on them, in build order (dependencies first, ties by name).
pub(crate) fn affected(manifest: Option<&Manifest>, changed: &BTreeSet<Name>) -> Vec<Name> {
    let Some(manifest) = manifest else { return changed.iter().cloned().collect() };
    let mut dependents: BTreeMap<&Name, Vec<&Name>> = BTreeMap::new();
    for package in &manifest.packages {
        for dependency in &package.depends_on {
            dependents.entry(dependency).or_default().push(&package.name);
        }
    }
    let mut reached: BTreeSet<&Name> = BTreeSet::new();
    let mut queue: Vec<&Name> = changed.iter().collect();
    while let Some(name) = queue.pop() {
        if reached.insert(name) {
            queue.extend(dependents.get(name).into_iter().flatten());
        }
    }
    let mut waits: BTreeMap<&Name, BTreeSet<&Name>> =
        reached.iter().map(|name| (*name, BTreeSet::new())).collect();
    for package in manifest.packages.iter().filter(|package| reached.contains(&package.name)) {
        let waiting = package.depends_on.iter().filter(|d| reached.contains(d)).collect();
        waits.insert(&package.name, waiting);
    }
    let mut order = Vec::with_capacity(reached.len());
    while !waits.is_empty() {
        // A cycle among packages has no build order; its members come by name.
        let next = waits
            .iter()
            .find(|(name, waiting)| waiting.iter().all(|w| w == *name || !waits.contains_key(w)))
            .or_else(|| waits.first_key_value())
            .map(|(name, _)| *name);
        let Some(next) = next else { break };
        waits.remove(next);
        order.push(next.clone());
    }
    order
}

/// Packages whose head is another one than in `before`, or that are new.
pub(crate) fn changed(before: &[PackageHead], now: &[PackageHead]) -> BTreeSet<Name> {
    now.iter().filter(|head| !before.contains(head)).map(|head| head.package.clone()).collect()
}

/// Where the mainline comes from, for the CI's own change record.
pub(crate) fn source_url(view: &View<'_>) -> Option<String> {
    view.settings.source.as_ref().map(|source| source.url.clone()).or_else(|| {
        manifest(view)?.packages.iter().find_map(|package| match &package.vcs {
            Vcs::Git { url, .. } => Some(url.clone()),
            Vcs::Other { .. } => None,
        })
    })
}
