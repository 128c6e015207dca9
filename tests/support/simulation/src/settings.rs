//! Configurations that a simulated daemon is reloaded with.

use std::collections::BTreeMap;
use std::sync::Arc;

use crosswatch_core::model::identity::Name;
use crosswatch_core::model::paths::PathPatterns;
use crosswatch_core::model::settings::*;
use crosswatch_core::model::time::Span;

use crate::random::Random;

/// Time within which everything is read whole again.
pub const RECONCILE: Span = Span::minutes(15);
/// Time between two looks.
pub const INTERVAL: Span = Span::minutes(1);

/// What differs from reload to reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Which members of a set are built.
    pub dependencies: Dependencies,
    /// What happens to drafts.
    pub drafts: Drafts,
    /// What a closed dependency means.
    pub on_closed: OnClosed,
    /// What two changes of one repository mean.
    pub same_repository: SameRepository,
    /// Members that a set may have.
    pub max_dependencies: usize,
    /// Whether the stranger is trusted.
    pub trusts: bool,
    /// Whether the first workspace is paused.
    pub paused: bool,
    /// Of the first workspace.
    pub epoch: u64,
    /// Whether the second workspace is there.
    pub second: bool,
    /// Its name, which may change while its id stays.
    pub renamed: bool,
}

impl Default for Variant {
    fn default() -> Self {
        Self {
            dependencies: Dependencies::Tops,
            drafts: Drafts::Build,
            on_closed: OnClosed::Block,
            same_repository: SameRepository::Block,
            max_dependencies: 50,
            trusts: false,
            paused: false,
            epoch: 0,
            second: true,
            renamed: false,
        }
    }
}

impl Variant {
    /// One of these is another one.
    pub fn edit(&mut self, random: &mut Random) {
        match random.below(10) {
            0 => {
                self.dependencies = match self.dependencies {
                    Dependencies::Tops => Dependencies::Each,
                    _ => Dependencies::Tops,
                }
            }
            1 => {
                self.drafts = match self.drafts {
                    Drafts::Build => Drafts::Hold,
                    Drafts::Hold => Drafts::Build,
                }
            }
            2 => {
                self.on_closed = match self.on_closed {
                    OnClosed::Block => OnClosed::Ignore,
                    OnClosed::Ignore => OnClosed::Block,
                }
            }
            3 => {
                self.same_repository = match self.same_repository {
                    SameRepository::Block => SameRepository::Ci,
                    SameRepository::Ci => SameRepository::Block,
                }
            }
            4 => self.max_dependencies = if self.max_dependencies == 2 { 50 } else { 2 },
            5 => self.trusts = !self.trusts,
            6 => self.paused = !self.paused,
            7 if random.once_in(4) => self.epoch += 1,
            8 => self.second = !self.second,
            _ => self.renamed = !self.renamed,
        }
    }

    /// The configuration.
    pub fn settings(&self) -> Settings {
        let mut workspaces = vec![Arc::new(self.workspace("w".into(), "w".into()))];
        if self.second {
            let name = if self.renamed { "other" } else { "v" };
            let mut second = self.workspace(name.into(), "v".into());
            (second.paused, second.epoch) = (false, 0);
            workspaces.push(Arc::new(second));
            workspaces.sort_by(|one, other| one.name.cmp(&other.name));
        }
        Settings {
            state_dir: "/state".into(),
            database: Database::Sqlite,
            listen: String::new(),
            public_url: None,
            forges: BTreeMap::from([
                ("mirror".into(), Arc::new(forge("mirror", false))),
                ("hub".into(), Arc::new(forge("hub", true))),
            ]),
            ci: BTreeMap::new(),
            workspaces,
            max_updates: 1,
            max_candidates: 1,
            proxy: None,
            max_load: None,
            logs: LogRules::DEFAULT,
        }
    }

    fn workspace(&self, name: Name, id: Name) -> WorkspaceSettings {
        WorkspaceSettings {
            name,
            id,
            tool: Tool::Custom,
            source: None,
            bootstrap: None,
            update: None,
            update_on: UpdateOn::Definitions,
            manifest: ManifestSource {
                format: ManifestFormat::Crosswatch,
                from: ManifestFrom::Path("manifest.json".into()),
                max_bytes: 1 << 20,
                files: Vec::new(),
                checkouts: None,
            },
            defining: PathPatterns::default(),
            spellings: Vec::new(),
            ci: vec!["ci".into()],
            build_changes: true,
            build_mainline: true,
            changes: ChangeRules {
                settle_new: Span::seconds(90),
                settle_push: Span::seconds(30),
                settle_bots: Span::minutes(10),
                drafts: self.drafts,
                max_age: Span::days(120),
                dependencies: self.dependencies,
                trusted: if self.trusts { vec!["eve".to_owned()] } else { Vec::new() },
                merged_labels: vec!["landed".to_owned()],
                on_conflict: OnConflict::Head,
                bots: Vec::new(),
                adopt: Adopt::Recent,
                max_dependencies: self.max_dependencies,
                on_closed: self.on_closed,
                ref_kind: RefKind::Auto,
                same_repository: self.same_repository,
                pinned_roots: false,
                branch_matching: false,
                reading: Default::default(),
                paths: Default::default(),
                ignore_paths: Default::default(),
                rebuild_on_base: RebuildOnBase::None,
            },
            mainline: MainlineRules { settle: Span::minutes(2), settle_at_most: Span::minutes(15) },
            epoch: self.epoch,
            max_in_flight: 4,
            report_to: Vec::new(),
            env: BTreeMap::new(),
            mirror: Mirror::Off,
            candidates: CandidateRules::DEFAULT,
            paused: self.paused,
            rebootstrap_after: 3,
            max_shrink: 50,
        }
    }
}

fn forge(name: &str, hosted: bool) -> ForgeSettings {
    let kind = if hosted {
        ForgeKind::GitHub(GitHubForge {
            api_url: "https://api.github.com".to_owned(),
            webhook_secrets: Vec::new(),
        })
    } else {
        ForgeKind::Git(GitForge {
            changes: vec!["refs/pull/*/head".to_owned()],
            base: None,
            authors: Authors::Any,
        })
    };
    let host = if hosted { "github.com" } else { "git.example.org" };
    ForgeSettings {
        name: name.into(),
        identity: if hosted { "github.com".into() } else { name.into() },
        kind,
        url: format!("https://{host}"),
        also: Vec::new(),
        tokens: Vec::new(),
        app: None,
        interval: INTERVAL,
        reconcile: RECONCILE,
    }
}
