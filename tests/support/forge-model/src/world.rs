//! The world: repositories, changes, users, tokens. No face of a forge shows here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::fault::{Fault, HookFault};
use crate::limit::{Limits, Meter};
use crate::log::Log;

/// Everything that is true.
pub struct State {
    /// Where the model is reached.
    pub url: String,
    /// By id, which survives renames.
    pub repositories: BTreeMap<u64, Repository>,
    /// Ids by `owner/name` in lower case.
    pub names: BTreeMap<String, u64>,
    /// Names that were given up, and whose they were.
    pub moved: BTreeMap<String, u64>,
    /// By login.
    pub users: BTreeMap<String, User>,
    /// By secret.
    pub tokens: BTreeMap<String, Token>,
    /// Applications, by their number.
    pub apps: BTreeMap<u64, App>,
    /// Where applications are installed, by the installation's number.
    pub installations: BTreeMap<u64, Installation>,
    /// Where webhooks go.
    pub hooks: Vec<Hook>,
    /// Webhooks that were sent or should have been.
    pub deliveries: VecDeque<Delivery>,
    /// Between the API and whoever asks.
    pub faults: Vec<Fault>,
    /// Between the world and whoever is told.
    pub hook_faults: Vec<HookFault>,
    /// What was asked.
    pub log: Log,
    /// Time before any answer.
    pub latency: std::time::Duration,
    /// Limits of whoever comes without a token.
    pub anonymous: Meter,
    /// Seconds that the forge's clock is ahead of ours.
    pub skew: i64,
    /// Milliseconds by which reads of a repository are behind its writes.
    pub lag: i64,
    next: u64,
}

/// A repository.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Never changes.
    pub id: u64,
    /// Owner and name as they are written.
    pub owner: String,
    /// Without the owner.
    pub name: String,
    /// Whether only those with rights see it.
    pub private: bool,
    /// Whether nobody writes any more.
    pub archived: bool,
    /// Whether it came from another one.
    pub fork: bool,
    /// The branch of `HEAD`.
    pub default_branch: String,
    /// Heads by branch.
    pub branches: BTreeMap<String, String>,
    /// What is queued to be merged, first things first: number, branch and head.
    pub queue: Vec<(u64, String, String)>,
    /// By number, also those that are over.
    pub changes: BTreeMap<u64, Change>,
    /// Comments on changes, by id.
    pub comments: BTreeMap<u64, Comment>,
    /// Statuses by commit, the newest last.
    pub statuses: BTreeMap<String, Vec<serde_json::Value>>,
    /// Check runs by id.
    pub checks: BTreeMap<u64, serde_json::Value>,
    /// Rights by login.
    pub collaborators: BTreeMap<String, Permission>,
    /// Seconds.
    pub pushed_at: i64,
    /// Seconds.
    pub updated_at: i64,
    /// Moves the answers of lists in which nothing changed.
    pub stars: u64,
    /// A bare repository with the same refs.
    pub folder: Option<PathBuf>,
    /// Earlier states, by the time in milliseconds until which they held.
    pub past: VecDeque<(i64, Box<Repository>)>,
    pub(crate) next_number: u64,
}

/// A pull request.
#[derive(Clone, Debug)]
pub struct Change {
    /// Within its repository.
    pub number: u64,
    /// Of its own.
    pub id: u64,
    /// First line.
    pub title: String,
    /// `None` when it was never written.
    pub body: Option<String>,
    /// `None` when the account was deleted.
    pub author: Option<String>,
    /// As the forge says it, such as `MEMBER` or `NONE`.
    pub association: String,
    /// Open, closed or merged.
    pub state: ChangeState,
    /// Not ready.
    pub draft: bool,
    /// What it is to go into.
    pub base: String,
    /// Branch in the source repository.
    pub branch: String,
    /// Source repository; `None` when the fork was deleted.
    pub source: Option<u64>,
    /// Owner of the source, also when it is gone.
    pub source_owner: String,
    /// The commit.
    pub head: String,
    /// Names.
    pub labels: BTreeSet<String>,
    /// Paths that differ.
    pub files: Vec<String>,
    /// `None` while the forge computes it; asking for it makes it known.
    pub mergeable: Option<bool>,
    /// Seconds.
    pub created_at: i64,
    /// Seconds.
    pub updated_at: i64,
    /// Seconds.
    pub closed_at: Option<i64>,
    /// The commit that merged it.
    pub merge_commit: Option<String>,
}

/// Where a change stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeState {
    /// Under discussion.
    Open,
    /// Given up.
    Closed,
    /// In.
    Merged,
}

/// A comment on a change.
#[derive(Clone, Debug)]
pub struct Comment {
    /// Of its own.
    pub id: u64,
    /// The change.
    pub number: u64,
    /// `None` when the account was deleted.
    pub author: Option<String>,
    /// What it says.
    pub body: String,
    /// Seconds.
    pub created_at: i64,
    /// Seconds.
    pub updated_at: i64,
}

/// An account.
#[derive(Clone, Debug)]
pub struct User {
    /// Never changes.
    pub id: u64,
    /// As it is written.
    pub login: String,
    /// Whether the forge flags it as a bot.
    pub bot: bool,
}

/// What somebody may do in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// See it.
    Read,
    /// Sort its issues.
    Triage,
    /// Push.
    Write,
    /// Almost everything.
    Maintain,
    /// Everything.
    Admin,
}

/// A credential.
#[derive(Clone, Debug)]
pub struct Token {
    /// What the log calls it; never the secret.
    pub name: String,
    /// Whose it is.
    pub login: String,
    /// What it reaches beside what is public.
    pub access: Access,
    /// Whether it may write statuses and comments.
    pub writes: bool,
    /// What it may spend.
    pub meter: Meter,
    /// Seconds; refused from then on.
    pub expires_at: Option<i64>,
}

/// An application.
#[derive(Clone, Debug)]
pub struct App {
    /// Its public key.
    pub public: Vec<u8>,
    /// What it may spend by itself.
    pub meter: Meter,
    /// Seconds that the tokens of its installations last.
    pub token_lasts: i64,
}

/// Where an application is installed.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The application's number.
    pub app: u64,
    /// Whose repositories it reaches.
    pub owner: String,
    /// Whether it gets no tokens.
    pub suspended: bool,
}

/// Which repositories a token reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// All.
    All,
    /// These, by id.
    Only(BTreeSet<u64>),
    /// Those of an owner.
    Owner(String),
}

/// Where webhooks go.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Of its own.
    pub id: u64,
    /// What it belongs to, and whose events it tells.
    pub target: HookTarget,
    /// `http://HOST:PORT/PATH`.
    pub url: String,
    /// Signs.
    pub secret: String,
}

/// What a hook belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookTarget {
    /// One repository, by id.
    Repository(u64),
    /// The repositories of an owner, in lower case.
    Organization(String),
    /// An app, which is told of all repositories.
    App,
}

impl HookTarget {
    /// As the forge names its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Repository(_) => "repository",
            Self::Organization(_) => "organization",
            Self::App => "integration",
        }
    }
}

/// A webhook that was to be sent.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Of this attempt.
    pub id: u64,
    /// The same for every attempt.
    pub guid: String,
    /// Whose.
    pub hook: u64,
    /// What the hook belongs to, by id.
    pub target: u64,
    /// Such as `pull_request`.
    pub event: String,
    /// Such as `opened`.
    pub action: Option<String>,
    /// Where it happened.
    pub repository: u64,
    /// Seconds.
    pub delivered_at: i64,
    /// Zero while or when there is no answer.
    pub status: u16,
    /// Whether it is another attempt.
    pub redelivery: bool,
    /// The body.
    pub payload: String,
}

/// Webhooks that the delivery log keeps.
const DELIVERIES: usize = 2_000;

/// Earlier states of a repository that are kept.
const PAST: usize = 50;

impl State {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            repositories: BTreeMap::new(),
            names: BTreeMap::new(),
            moved: BTreeMap::new(),
            users: BTreeMap::new(),
            tokens: BTreeMap::new(),
            apps: BTreeMap::new(),
            installations: BTreeMap::new(),
            hooks: Vec::new(),
            deliveries: VecDeque::new(),
            faults: Vec::new(),
            hook_faults: Vec::new(),
            log: Log::default(),
            latency: std::time::Duration::ZERO,
            anonymous: Meter::new(Limits { core: 60, graphql: 0, ..Limits::github() }),
            skew: 0,
            lag: 0,
            next: 1000,
        }
    }

    /// Milliseconds by the forge's clock.
    #[expect(clippy::disallowed_methods, reason = "the model's own clock")]
    pub fn now_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let millis = since.map(|since| since.as_millis()).unwrap_or_default();
        i64::try_from(millis).unwrap_or(i64::MAX) + self.skew * 1000
    }

    /// Seconds by the forge's clock.
    pub fn now(&self) -> i64 {
        self.now_ms() / 1000
    }

    /// A number that was not given before.
    pub fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A commit that was not there before.
    pub fn commit(&mut self) -> String {
        let number = self.fresh();
        let digest = Sha256::digest(format!("{} {number}", self.url));
        digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The repository of that name, also by a name that it gave up.
    pub fn id(&self, name: &str) -> Option<u64> {
        let name = name.to_lowercase();
        self.names.get(&name).or_else(|| self.moved.get(&name)).copied()
    }

    /// The repository of that name; a test that names one that is not there is wrong.
    pub fn named(&mut self, name: &str) -> &mut Repository {
        let id = self.id(name).expect("the model has no such repository");
        self.repositories.get_mut(&id).expect("a repository")
    }

    /// The account, made when it is not there.
    pub fn user(&mut self, login: &str) -> &User {
        if !self.users.contains_key(login) {
            let id = self.fresh();
            let user = User { id, login: login.to_owned(), bot: login.ends_with("[bot]") };
            self.users.insert(login.to_owned(), user);
        }
        self.users.get(login).expect("a user")
    }

    /// Whether whoever comes with this token sees the repository.
    pub fn sees(&self, token: Option<&Token>, repository: &Repository) -> bool {
        let by_token = token.is_some_and(|token| {
            let reached = match &token.access {
                Access::All => true,
                Access::Only(ids) => ids.contains(&repository.id),
                Access::Owner(owner) => owner.eq_ignore_ascii_case(&repository.owner),
            };
            reached || repository.collaborators.contains_key(&token.login)
        });
        by_token || !repository.private
    }

    /// The repository as readers see it, which may be behind what is true.
    pub fn seen<'a>(&self, repository: &'a Repository) -> &'a Repository {
        let at = self.now_ms() - self.lag;
        let past = repository.past.iter().find(|(until, _)| *until > at);
        match past {
            Some((_, past)) if self.lag > 0 => past,
            _ => repository,
        }
    }

    pub(crate) fn remember(&mut self, id: u64) {
        let now = self.now_ms();
        if self.lag == 0 {
            return;
        }
        if let Some(repository) = self.repositories.get_mut(&id) {
            let past = std::mem::take(&mut repository.past);
            let copy = Box::new(repository.clone());
            repository.past = past;
            repository.past.push_back((now, copy));
            if repository.past.len() > PAST {
                repository.past.pop_front();
            }
        }
    }

    pub(crate) fn add_hook(&mut self, target: HookTarget, url: &str, secret: &str) -> u64 {
        let id = self.fresh();
        self.hooks.push(Hook { id, target, url: url.to_owned(), secret: secret.to_owned() });
        id
    }

    pub(crate) fn delivered(&mut self, delivery: Delivery) {
        self.deliveries.push_back(delivery);
        if self.deliveries.len() > DELIVERIES {
            self.deliveries.pop_front();
        }
    }
}

impl Repository {
    /// `owner/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Every ref with its commit, in order.
    pub fn refs(&self) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> =
            self.branches
                .iter()
                .map(|(name, head)| (format!("refs/heads/{name}"), head.clone()))
                .chain(self.changes.values().map(|change| {
                    (format!("refs/pull/{}/head", change.number), change.head.clone())
                }))
                .collect();
        all.sort();
        all
    }
}
