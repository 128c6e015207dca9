//! What is outside of the daemon: a plain git server, the workspace's tool, and a CI.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crosswatch_core::model::build::{RequestId, Verdict};
use crosswatch_core::model::change::{CommitFacts, Listing, OpenRef};
use crosswatch_core::model::identity::{ChangeId, Fingerprint, Oid, RepositoryId, Subject};
use crosswatch_core::model::manifest::{Manifest, Package, Vcs};
use crosswatch_core::model::paths::PathPatterns;
use crosswatch_core::model::question::{Answer, Question};
use crosswatch_core::model::settings::*;
use crosswatch_core::model::time::{Span, Timestamp};
use crosswatch_core::references::{References, Via, Written};

pub const PATHS: [&str; 4] = ["a", "b", "c", "d"];

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn path(&mut self) -> &'static str {
        let index = usize::try_from(self.below(4)).expect("small");
        PATHS.get(index).copied().expect("a path")
    }
}

#[derive(Default)]
pub struct Repository {
    pub base: Option<Oid>,
    pub changes: BTreeMap<u64, Oid>,
    pub down: bool,
}

/// The git server.
#[derive(Default)]
pub struct Server {
    pub repositories: BTreeMap<RepositoryId, Repository>,
    commits: BTreeMap<Oid, CommitFacts>,
    ancestry: BTreeSet<(Oid, Oid)>,
    oids: u64,
}

pub fn id(path: &str) -> RepositoryId {
    RepositoryId::new("mirror", path)
}

impl Server {
    pub fn new() -> Self {
        let mut server = Self::default();
        for path in PATHS {
            let base = Some(server.oid());
            server.repositories.insert(id(path), Repository { base, ..Repository::default() });
        }
        server
    }

    fn oid(&mut self) -> Oid {
        self.oids += 1;
        format!("{:040x}", self.oids).parse().expect("an oid")
    }

    fn repository(&mut self, path: &str) -> &mut Repository {
        self.repositories.get_mut(&id(path)).expect("a repository")
    }

    pub fn push(&mut self, random: &mut Random, path: &str, now: Timestamp) {
        let number = 1 + random.below(2);
        let references = (0..random.below(3))
            .map(|line| {
                let change = id(random.path()).change(1 + random.below(2));
                let as_written = change.to_string();
                let line = u32::try_from(line).expect("small");
                Written { change, as_written, line, via: Via::default() }
            })
            .collect();
        let references = References { references, ..References::default() };
        let head = self.oid();
        self.commits.insert(head, CommitFacts { committed_at: now, references });
        self.repository(path).changes.insert(number, head);
    }

    pub fn close(&mut self, path: &str) {
        self.repository(path).changes.pop_first();
    }

    pub fn push_base(&mut self, path: &str) {
        let head = self.oid();
        let before = self.repository(path).base.replace(head).expect("a base");
        let old: Vec<Oid> =
            self.ancestry.iter().filter(|(_, tip)| *tip == before).map(|(old, _)| *old).collect();
        self.ancestry.extend(old.into_iter().chain([before]).map(|old| (old, head)));
    }

    pub fn merge(&mut self, path: &str, delete: bool) {
        let first = self.repository(path).changes.first_key_value().map(|(n, head)| (*n, *head));
        if let Some((number, head)) = first {
            self.push_base(path);
            let base = self.repository(path).base.expect("a base");
            self.ancestry.insert((head, base));
            if delete {
                self.repository(path).changes.remove(&number);
            }
        }
    }

    /// Nothing while it is down.
    pub fn listing(&self, id: &RepositoryId) -> Option<Listing> {
        let repository = self.repositories.get(id).filter(|repository| !repository.down)?;
        let changes = repository.changes.iter().map(|(number, head)| OpenRef {
            number: *number,
            head: *head,
            base: None,
            ref_name: format!("refs/pull/{number}/head").into(),
            merge: false,
            forge: None,
        });
        Some(Listing {
            default_branch: Some("main".into()),
            archived: false,
            branches: [("main".into(), repository.base?)].into(),
            changes: changes.collect(),
        })
    }

    pub fn answer(&self, question: &Question) -> Option<Answer> {
        self.repositories.get(question.repository()?).filter(|repository| !repository.down)?;
        match question {
            Question::Commit { oid, .. } => self.commits.get(oid).cloned().map(Answer::Commit),
            // No repository here defines what the workspace is made of.
            Question::Candidate(_) => None,
            // A plain git server has no fates, and no package here is only a part of its repository.
            Question::Fate { .. } | Question::Files { .. } => None,
            Question::Contains { ancestor, descendant, .. } => {
                Some(Answer::Contains(self.contains(*ancestor, *descendant)))
            }
        }
    }

    fn contains(&self, ancestor: Oid, descendant: Oid) -> bool {
        self.ancestry.contains(&(ancestor, descendant))
    }

    /// Open changes with what each refers to.
    pub fn open(&self) -> BTreeMap<ChangeId, (Oid, BTreeSet<ChangeId>)> {
        let mut open = BTreeMap::new();
        for (id, repository) in &self.repositories {
            let base = repository.base.expect("a base");
            for (number, head) in &repository.changes {
                if !self.contains(*head, base) {
                    let facts = self.commits.get(head).expect("a commit");
                    let references = &facts.references.references;
                    let names = references.iter().map(|r| r.change.clone()).collect();
                    open.insert(id.change(*number), (*head, names));
                }
            }
        }
        open
    }

    pub fn heads(&self) -> BTreeMap<crosswatch_core::model::identity::Name, Oid> {
        let heads = self.repositories.iter();
        heads.map(|(id, one)| (id.path.clone(), one.base.expect("a base"))).collect()
    }
}

/// A build on the CI.
#[derive(Clone, Debug)]
pub struct Build {
    pub key: (Subject, Fingerprint),
    pub running: bool,
    pub ended: Option<Verdict>,
    /// It is never scheduled.
    pub stuck: bool,
}

/// The CI; it takes whatever arrives, so the same request twice is two builds.
#[derive(Default)]
pub struct Ci {
    pub builds: BTreeMap<RequestId, Vec<Build>>,
    pub down: bool,
}

impl Ci {
    pub fn take(&mut self, id: RequestId, key: (Subject, Fingerprint), stuck: bool) {
        let build = Build { key, running: false, ended: None, stuck };
        self.builds.entry(id).or_default().push(build);
    }

    pub fn progress(&mut self, random: &mut Random, faults: bool) {
        for build in self.builds.values_mut().flatten() {
            if build.stuck || build.ended.is_some() || random.once_in(3) {
            } else if !build.running {
                build.running = true;
            } else {
                build.ended = Some(match random.below(if faults { 8 } else { 7 }) {
                    0..4 => Verdict::Success,
                    4..7 => Verdict::Failure,
                    _ => Verdict::Lost,
                });
            }
        }
    }

    /// Finished builds that were not cancelled or lost, by what they built.
    pub fn finished(&self) -> BTreeMap<&(Subject, Fingerprint), usize> {
        let mut finished = BTreeMap::new();
        for build in self.builds.values().flatten() {
            if matches!(build.ended, Some(Verdict::Success | Verdict::Failure)) {
                *finished.entry(&build.key).or_default() += 1;
            }
        }
        finished
    }
}

pub fn manifest() -> Manifest {
    let packages = PATHS.map(|path| Package {
        name: path.into(),
        vcs: Vcs::Git {
            url: format!("https://git.example.org/{path}"),
            branch: Some("main".into()),
            pin: None,
        },
        directory: None,
        path: None,
        depends_on: Vec::new(),
        override_key: path.into(),
        repeats: None,
    });
    Manifest::new(packages.into(), Vec::new()).expect("a manifest")
}

pub fn settings() -> Settings {
    let forge = ForgeSettings {
        name: "mirror".into(),
        identity: "mirror".into(),
        kind: ForgeKind::Git(GitForge {
            changes: vec!["refs/pull/*/head".to_owned()],
            base: None,
            authors: Authors::Any,
        }),
        url: "https://git.example.org".to_owned(),
        also: Vec::new(),
        token: None,
        interval: Span::minutes(1),
        reconcile: Span::minutes(15),
    };
    let workspace = WorkspaceSettings {
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
            paths: PathPatterns::default(),
            ignore_paths: PathPatterns::default(),
            rebuild_on_base: RebuildOnBase::None,
        },
        mainline: MainlineRules { settle: Span::minutes(2), settle_at_most: Span::minutes(15) },
        epoch: 0,
        max_in_flight: 4,
        report_to: Vec::new(),
        env: BTreeMap::new(),
        mirror: crosswatch_core::model::settings::Mirror::Off,
        candidates: crosswatch_core::model::settings::CandidateRules::DEFAULT,
        paused: false,
        rebootstrap_after: 5,
        max_shrink: 50,
    };
    Settings {
        state_dir: "/state".into(),
        database: Database::Sqlite,
        listen: String::new(),
        public_url: None,
        forges: BTreeMap::from([("mirror".into(), Arc::new(forge))]),
        ci: BTreeMap::new(),
        workspaces: vec![Arc::new(workspace)],
        max_updates: 1,
        max_candidates: 1,
        proxy: None,
        max_load: None,
        logs: LogRules::DEFAULT,
    }
}
