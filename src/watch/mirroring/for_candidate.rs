//! What a candidate reads: its workspace's repositories, with its changes in the place of branches.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crosswatch_core::model::candidate::Recipe;
use crosswatch_core::model::identity::{Name, Oid, RepositoryId};
use crosswatch_core::model::settings::WorkspaceSettings;
use crosswatch_core::model::snapshot::Snapshot;
use tokio_util::sync::CancellationToken;

use super::{Mirroring, addresses, chain};
use crate::forge::git::mirror::Held;
use crate::forge::git::{Lent, SharedMirrors, local};

impl Mirroring {
    /// Lends what the commands of a candidate read, all of it fetched before and outside. Repositories
    /// with a change in them are made below `folder`. An error where something could not be had: it
    /// says nothing about the candidate.
    pub async fn lend_for_candidate(
        &self,
        workspace: &WorkspaceSettings,
        recipe: &Recipe,
        folder: &Path,
    ) -> Result<(Lent, BTreeSet<RepositoryId>), String> {
        let snapshot = self.world.freeze(self.clock.now());
        let mut reads = self.reads(workspace, &snapshot);
        reads.extend(recipe.readable.iter().cloned());
        let mut refs: BTreeMap<RepositoryId, Vec<(String, Oid)>> = BTreeMap::new();
        let mut heads: BTreeMap<RepositoryId, BTreeMap<Name, Oid>> = BTreeMap::new();
        for member in &recipe.members {
            let id = &member.change.repository;
            let part = snapshot.repositories.get(id);
            let listing = part.and_then(|part| part.listing.value());
            let name =
                listing.and_then(|listing| listing.ref_of(member.change.number, member.head));
            let name = name.ok_or_else(|| format!("{} moved meanwhile", member.change))?;
            reads.insert(id.clone());
            refs.entry(id.clone()).or_default().push((name.to_string(), member.head));
            // Of two changes of one repository the later counts.
            let names = listing.and_then(|listing| listing.names(&member.base));
            let heads = heads.entry(id.clone()).or_default();
            heads.insert(member.base.clone(), member.head);
            // A manifest may call the branch by any name that it ever had.
            if let Some((present, former)) = names {
                let all = former.iter().chain([present]).cloned();
                heads.extend(all.map(|name| (name, member.head)));
            }
        }
        let (on_this_machine, away): (BTreeSet<_>, BTreeSet<_>) = reads
            .into_iter()
            .partition(|id| url(&snapshot, id).is_none_or(|url| !SharedMirrors::worth(url)));
        let mut bases: BTreeMap<RepositoryId, PathBuf> = BTreeMap::new();
        for id in on_this_machine {
            if let Some(path) = url(&snapshot, &id).and_then(local) {
                bases.insert(id, path);
            }
        }
        let mut behind: Vec<Held> = Vec::new();
        for (id, brought) in self.bring_all(&snapshot, &away, &refs).await {
            match brought {
                Ok(held) => {
                    bases.insert(id, held.dir().to_owned());
                    behind.push(held);
                }
                // With the network it asks the server itself, for what everybody may read.
                Err(_) if workspace.candidates.network && !heads.contains_key(&id) => {}
                Err(why) => return Err(format!("{id} cannot be shown to it: {why}")),
            }
        }
        let mut addresses = addresses(&snapshot);
        let ids: BTreeSet<RepositoryId> = bases.keys().cloned().collect();
        let mut shown = Vec::new();
        for (number, (id, base)) in bases.into_iter().enumerate() {
            let own = addresses.remove(&id).unwrap_or_default();
            let place = match heads.get(&id) {
                None => base,
                Some(heads) => {
                    let into = folder.join(format!("{number}.git"));
                    let never = CancellationToken::new();
                    let made = self.mirrors.with_heads(&base, &into, heads, &never).await;
                    made.map_err(|error| chain(&error))?;
                    into
                }
            };
            shown.push((place, both_endings(own)));
        }
        let others = addresses.into_values().flatten().collect();
        let lent = self.mirrors.lend_to_sandbox(shown, behind, &others);
        lent.map(|lent| (lent, ids)).map_err(|error| chain(&error))
    }
}

fn url<'a>(snapshot: &'a Snapshot, id: &RepositoryId) -> Option<&'a str> {
    snapshot.repositories.get(id).map(|part| part.url.as_str())
}

/// A manifest that nobody saw yet may write an address with or without its ending.
fn both_endings(addresses: BTreeSet<String>) -> BTreeSet<String> {
    let without: Vec<String> =
        addresses.iter().filter_map(|one| one.strip_suffix(".git")).map(str::to_owned).collect();
    addresses.into_iter().chain(without).collect()
}
