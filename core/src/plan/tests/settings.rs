//! The settings of a world, with the documented defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::paths::PathPatterns;
use crate::model::settings::*;
use crate::model::time::Span;

/// One plain git forge, `mirror`, one GitHub, `hub`, and one workspace, `w`, on one CI.
pub(super) fn settings() -> Settings {
    Settings {
        state_dir: "/state".into(),
        database: Database::Sqlite,
        listen: String::new(),
        public_url: None,
        forges: BTreeMap::from([
            ("mirror".into(), Arc::new(forge())),
            ("hub".into(), Arc::new(hub())),
        ]),
        ci: BTreeMap::new(),
        workspaces: vec![Arc::new(workspace())],
        max_updates: 1,
        max_candidates: 1,
        proxy: None,
        max_load: None,
        logs: LogRules::DEFAULT,
    }
}

fn forge() -> ForgeSettings {
    ForgeSettings {
        name: "mirror".into(),
        identity: "mirror".into(),
        kind: ForgeKind::Git(GitForge {
            changes: vec!["refs/pull/*/head".to_owned()],
            base: None,
            authors: Authors::Any,
        }),
        url: "https://git.example.org".to_owned(),
        also: vec!["ssh://git@git.example.org".to_owned()],
        tokens: Vec::new(),
        app: None,
        interval: Span::minutes(1),
        reconcile: Span::minutes(15),
    }
}

fn hub() -> ForgeSettings {
    ForgeSettings {
        name: "hub".into(),
        identity: "github.com".into(),
        kind: ForgeKind::GitHub(GitHubForge {
            api_url: "https://api.github.com".to_owned(),
            webhook_secrets: Vec::new(),
        }),
        url: "https://github.com".to_owned(),
        also: Vec::new(),
        tokens: Vec::new(),
        app: None,
        interval: Span::minutes(1),
        reconcile: Span::minutes(15),
    }
}

pub(crate) fn workspace() -> WorkspaceSettings {
    WorkspaceSettings {
        name: "w".into(),
        id: "w".into(),
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
            drafts: Drafts::Build,
            max_age: Span::days(120),
            dependencies: Dependencies::Tops,
            trusted: Vec::new(),
            merged_labels: Vec::new(),
            on_conflict: OnConflict::Head,
            bots: Vec::new(),
            adopt: Adopt::Recent,
            max_dependencies: 50,
            on_closed: OnClosed::Block,
            ref_kind: RefKind::Auto,
            same_repository: SameRepository::Block,
            pinned_roots: false,
            branch_matching: false,
            reading: Default::default(),
            paths: PathPatterns::default(),
            ignore_paths: PathPatterns::default(),
            rebuild_on_base: RebuildOnBase::None,
        },
        mainline: MainlineRules { settle: Span::minutes(2), settle_at_most: Span::minutes(15) },
        epoch: 0,
        max_in_flight: 4,
        report_to: Vec::new(),
        env: BTreeMap::new(),
        mirror: crate::model::settings::Mirror::Off,
        candidates: CandidateRules::DEFAULT,
        paused: false,
        rebootstrap_after: 5,
        max_shrink: 50,
    }
}
