//! A large world, the same in each run: 1,000 workspaces of 200 packages that share 2,000 repositories, with
//! as many open changes as are asked for. Of five changes one depends on another one, in chains of at most
//! eight, and there are five cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crosswatch_core::model::change::{
    Association, Author, ForgeChange, Listing, OpenRef, SourceBranch,
};
use crosswatch_core::model::common::Common;
use crosswatch_core::model::identity::{ChangeId, Name, Oid, RepositoryId};
use crosswatch_core::model::manifest::{Manifest, Package, Vcs};
use crosswatch_core::model::observed::Observed;
use crosswatch_core::model::settings::{ChangeRules, WorkspaceSettings};
use crosswatch_core::model::snapshot::{RepositoryPart, Snapshot, WorkspacePart};
use crosswatch_core::model::time::Timestamp;
use crosswatch_core::references::{References, Via, Written};

use crate::Variant;

const WORKSPACES: usize = 1_000;
const PACKAGES: usize = 200;
const REPOSITORIES: usize = 2_000;
/// Of five changes one depends on another one, in chains of at most this length.
const CHAIN: usize = 8;
const CYCLES: usize = 5;
/// When the world begins.
const START: i64 = 1_790_000_000_000;

/// The world.
pub struct Large {
    /// What the planner sees of it.
    pub snapshot: Snapshot,
    next_oid: u64,
    /// For numbers that look random and are the same in each run.
    seed: u64,
}

fn path(number: usize) -> String {
    format!("robotics-group/package-{number:04}")
}

fn repository(number: usize) -> RepositoryId {
    RepositoryId::new("github.com", path(number))
}

impl Large {
    /// With so many (workspace, change) pairs, and rules for changes that are the simulation's edited.
    pub fn new(pairs: usize, edit: impl Fn(&mut ChangeRules)) -> Self {
        let changes = pairs * REPOSITORIES / (WORKSPACES * PACKAGES);
        let mut settings = Variant::default().settings();
        let workspace = settings.workspaces.first().expect("a workspace").as_ref().clone();
        settings.workspaces = (0..WORKSPACES)
            .map(|at| {
                let name = Name::from(format!("w{at:04}"));
                let mut own =
                    WorkspaceSettings { name: name.clone(), id: name, ..workspace.clone() };
                edit(&mut own.changes);
                Arc::new(own)
            })
            .collect();
        let mut world = Self {
            snapshot: Snapshot::unread(Timestamp(START), Arc::new(settings)),
            next_oid: 1,
            seed: 1,
        };
        world.repositories(changes);
        world.workspaces();
        world
    }

    fn oid(&mut self) -> Oid {
        self.next_oid += 1;
        blake3::hash(&self.next_oid.to_le_bytes()).to_hex()[..40].parse().expect("an oid")
    }

    fn random(&mut self, below: usize) -> usize {
        // splitmix64
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % below as u64).expect("small")
    }

    fn repositories(&mut self, changes: usize) {
        // Dealt out in turn; repositories that are `REPOSITORIES / PACKAGES` apart share workspaces.
        let stride = REPOSITORIES / PACKAGES;
        let ids: Vec<ChangeId> = (0..changes)
            .map(|at| repository(at % REPOSITORIES).change(1 + (at / REPOSITORIES) as u64))
            .collect();
        let mut depends: BTreeMap<usize, usize> = BTreeMap::new();
        let mut at = 0;
        while depends.len() < changes / 5 && at + CHAIN * stride < changes {
            for step in 0..CHAIN - 1 {
                depends.insert(at + step * stride, at + (step + 1) * stride);
            }
            at += if (at + 1) % stride == 0 { 1 + CHAIN * stride } else { 1 };
        }
        for cycle in 0..CYCLES {
            let one = changes - 1 - cycle;
            depends.insert(one, one - stride);
            depends.insert(one - stride, one);
        }
        let mut repositories = BTreeMap::new();
        for number in 0..REPOSITORIES {
            let id = repository(number);
            let branch = Name::from("main");
            let mut listing = Listing {
                default_branch: Some(branch.clone()),
                archived: false,
                public: true,
                branches: BTreeMap::from([(branch, self.oid())]),
                former: Default::default(),
                changes: Vec::new(),
            };
            for at in (number..changes).step_by(REPOSITORIES) {
                let below = depends.get(&at).and_then(|other| ids.get(*other));
                listing.changes.push(self.change(&id, ids[at].number, below));
            }
            let part = RepositoryPart {
                id: id.clone(),
                spelling: path(number),
                url: format!("https://github.com/{}.git", path(number)),
                listing: Observed::known(listing),
            };
            repositories.insert(id, Arc::new(part));
        }
        self.snapshot.repositories = Arc::new(repositories);
    }

    fn change(&mut self, id: &RepositoryId, number: u64, below: Option<&ChangeId>) -> OpenRef {
        let written = below.map(|change| Written {
            change: change.clone(),
            as_written: format!("{}#{}", change.repository.path, change.number),
            line: 3,
            via: Via::Line,
        });
        let references =
            References { references: written.into_iter().collect(), ..References::default() };
        OpenRef {
            number,
            head: self.oid(),
            base: Some("main".into()),
            ref_name: format!("refs/pull/{number}/head").into(),
            merge: true,
            forge: Some(Box::new(ForgeChange {
                draft: false,
                author: Some(Author {
                    login: "somebody".into(),
                    bot: false,
                    association: Association::Member,
                }),
                source: Some(SourceBranch {
                    repository: id.clone(),
                    owner: "robotics-group".into(),
                    branch: format!("topic-{number}").into(),
                }),
                created_at: Timestamp(START - 3_600_000),
                labels: BTreeSet::new(),
                mergeable: Some(true),
                references,
            })),
        }
    }

    fn workspaces(&mut self) {
        let stride = REPOSITORIES / PACKAGES;
        let mut packages = Common::default();
        let mut parts = BTreeMap::new();
        for settings in &self.snapshot.settings.workspaces {
            let at = parts.len();
            let of = |step: usize| (at + step * stride) % REPOSITORIES;
            let listed = (0..PACKAGES).map(|step| {
                let number = of(step);
                Package {
                    name: format!("package-{number:04}").into(),
                    vcs: Vcs::Git {
                        url: format!("https://github.com/{}.git", path(number)),
                        branch: Some("main".into()),
                        pin: None,
                    },
                    directory: None,
                    path: None,
                    depends_on: Vec::new(),
                    override_key: format!("package-{number:04}").into(),
                    repeats: None,
                }
            });
            let mut manifest = Manifest::new(listed.collect(), Vec::new()).expect("a manifest");
            manifest.share(&mut packages);
            let part = WorkspacePart {
                name: settings.name.clone(),
                manifest: Observed::known(manifest),
                updated: None,
                failure: None,
                pending: false,
            };
            parts.insert(settings.name.clone(), Arc::new(part));
        }
        self.snapshot.workspaces = Arc::new(parts);
    }

    fn edit(&mut self, edit: impl FnOnce(&mut Listing, Oid)) {
        let oid = self.oid();
        let id = repository(self.random(REPOSITORIES));
        let repositories = Arc::make_mut(&mut self.snapshot.repositories);
        let part = repositories.get_mut(&id).expect("a repository");
        let mut next = RepositoryPart::clone(part);
        let mut listing = Listing::clone(next.listing.value().expect("known"));
        edit(&mut listing, oid);
        next.listing = Observed::known(listing);
        *part = Arc::new(next);
    }

    /// The head of a change moves.
    pub fn push(&mut self) {
        self.edit(|listing, oid| {
            if let Some(change) = listing.changes.first_mut() {
                change.head = oid;
            }
        });
    }

    /// A base branch moves.
    pub fn push_base(&mut self) {
        self.edit(|listing, oid| {
            listing.branches.insert("main".into(), oid);
        });
    }
}
