//! What is outside of the daemon: two forges with their repositories, and the people who use them.

use std::collections::{BTreeMap, BTreeSet};

use crosswatch_core::model::change::{
    Association, Author, Fate, Files, ForgeChange, Listing, OpenRef, Rights, SourceBranch,
};
use crosswatch_core::model::identity::{ChangeId, Name, Oid, RepositoryId};
use crosswatch_core::model::manifest::{DefinitionRepository, Manifest, Package, Vcs};
use crosswatch_core::model::question::{Answer, Question};
use crosswatch_core::model::time::{Span, Timestamp};

use crate::git::{Git, written};
use crate::random::Random;

/// Repositories with packages. Those of the owner `o` are on a forge with pull requests.
pub const PATHS: [&str; 5] = ["a", "b", "o/c", "o/d", "o/e"];
/// The repository that decides what the packages are.
pub const DEFINITIONS: &str = "defs";
/// The package that is there only while the definitions say so.
pub const EXTRA: &str = "o/e";
/// Changes that a repository has at most.
const NUMBERS: u64 = 3;

/// Both forges.
#[derive(Default)]
pub struct World {
    /// Repositories.
    pub repositories: BTreeMap<RepositoryId, Repository>,
    /// Commits.
    pub git: Git,
    /// Every head that a change ever had.
    pub history: BTreeSet<(ChangeId, Oid)>,
    /// Every change that ever was not open, or open against something else.
    pub ever_gone: BTreeSet<ChangeId>,
    /// Until when the forge with pull requests refuses everything, by true time.
    pub refuses_until: Timestamp,
}

/// One repository.
pub struct Repository {
    /// Whether it is on the forge with pull requests.
    pub hosted: bool,
    /// Head of `main`.
    pub main: Oid,
    /// Its changes.
    pub changes: BTreeMap<u64, Change>,
    /// It gives no answer.
    pub down: bool,
    /// Read-only.
    pub archived: bool,
    /// As people write it now.
    pub spelling: String,
    /// Moves whenever anything of it does.
    pub version: u64,
}

/// One change.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its head.
    pub head: Oid,
    /// What became of it.
    pub state: State,
    /// What its body names; on plain git the head's trailers do.
    pub names: Vec<ChangeId>,
    /// Not ready.
    pub draft: bool,
    /// Base branch.
    pub base: Name,
    /// Who made it.
    pub author: Who,
    /// Whether it can be merged.
    pub mergeable: Option<bool>,
    /// A label that makes a closed one count as merged.
    pub landed: bool,
    /// When it was opened.
    pub created_at: Timestamp,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Open.
    Open,
    /// Merged as this commit.
    Merged(Oid),
    /// Closed unmerged.
    Closed,
}

/// Who makes changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Pushes to the repository itself.
    Writer,
    /// A member with a fork.
    Member,
    /// Somebody without rights.
    Stranger,
    /// A bot.
    Bot,
}

/// The identity of a path.
pub fn id(path: &str) -> RepositoryId {
    RepositoryId::new(if path.starts_with("o/") { "github.com" } else { "mirror" }, path)
}

fn url(path: &str) -> String {
    let host = if path.starts_with("o/") { "github.com" } else { "git.example.org" };
    format!("https://{host}/{path}.git")
}

/// The source branch of a writer's change.
pub fn topic(number: u64) -> Name {
    format!("topic-{number}").into()
}

impl World {
    /// Some changes are open before anybody watches, some of them old.
    pub fn new(random: &mut Random, now: Timestamp) -> Self {
        let mut world = Self::default();
        for path in PATHS.into_iter().chain([DEFINITIONS]) {
            let main = world.git.commit(now - Span::days(400), &[], Vec::new(), false);
            let repository = Repository {
                hosted: path.starts_with("o/"),
                main,
                changes: BTreeMap::new(),
                down: false,
                archived: false,
                spelling: path.to_owned(),
                version: 0,
            };
            world.repositories.insert(id(path), repository);
        }
        for _ in 0..random.below(4) {
            let path = world.path(random);
            let age = if random.once_in(2) { Span::hours(2) } else { Span::days(3) };
            world.push(random, &path, now - age);
        }
        world
    }

    fn path(&self, random: &mut Random) -> RepositoryId {
        id(random.pick(&PATHS).copied().unwrap_or("a"))
    }

    fn some_change(&self, random: &mut Random) -> ChangeId {
        let path = self.path(random);
        // Now and then one that never was.
        path.change(1 + random.below(NUMBERS + 1))
    }

    fn names(&self, random: &mut Random) -> Vec<ChangeId> {
        let count = random.below(4);
        let mut names: Vec<ChangeId> = Vec::new();
        for _ in 0..count {
            let name = self.some_change(random);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn get(&mut self, id: &RepositoryId) -> &mut Repository {
        let repository = self.repositories.get_mut(id).expect("a repository");
        repository.version += 1;
        repository
    }

    /// A new change, or a push to one, forced or on top, perhaps on top of another change.
    pub fn push(&mut self, random: &mut Random, id: &RepositoryId, now: Timestamp) {
        let number = 1 + random.below(NUMBERS);
        let names = self.names(random);
        let repository = self.repositories.get(id).expect("a repository");
        let (hosted, main) = (repository.hosted, repository.main);
        let before = repository.changes.get(&number).cloned();
        let parent = match (random.below(4), &before) {
            (0, Some(before)) => before.head,
            (1, _) => {
                let other = 1 + random.below(NUMBERS);
                repository.changes.get(&other).map_or(main, |other| other.head)
            }
            _ => main,
        };
        let trailers = if hosted { Vec::new() } else { names.clone() };
        let head = self.git.commit(now, &[parent], trailers, false);
        let change = match before {
            // What was merged stays so; a push to it says nothing.
            Some(before) if matches!(before.state, State::Merged(_)) => return,
            Some(before) => Change { head, ..before },
            None => {
                let author = match random.below(6) {
                    0 => Who::Stranger,
                    1 => Who::Member,
                    2 if random.once_in(2) => Who::Bot,
                    _ => Who::Writer,
                };
                let base = match random.below(5) {
                    0 => topic(1 + random.below(NUMBERS)),
                    _ => "main".into(),
                };
                Change {
                    head,
                    state: State::Open,
                    names,
                    draft: random.once_in(5),
                    base: if hosted { base } else { "main".into() },
                    author: if hosted { author } else { Who::Writer },
                    mergeable: [None, Some(true), Some(true), Some(false)]
                        .get(usize::try_from(random.below(4)).unwrap_or(0))
                        .copied()
                        .flatten(),
                    landed: false,
                    created_at: now,
                }
            }
        };
        self.history.insert((id.change(number), head));
        self.get(id).changes.insert(number, change);
    }

    /// Something happens at the forges; says which repository moved.
    pub fn happens(&mut self, random: &mut Random, now: Timestamp) -> Option<RepositoryId> {
        let id = self.path(random);
        let number = 1 + random.below(NUMBERS);
        let change = id.change(number);
        match random.below(15) {
            0..3 => self.push(random, &id, now),
            3 => {
                let names = self.names(random);
                self.edit(&change, |change| change.names = names);
            }
            4 => self.close(&change),
            5 => self.edit(&change, |change| {
                if change.state == State::Closed {
                    change.state = State::Open;
                }
            }),
            6 => {
                let delete = random.once_in(2);
                self.merge(&change, delete, now);
            }
            7 => self.push_main(&id, now, false),
            8 => self.edit(&change, |change| change.draft = !change.draft),
            9 => {
                let mergeable = [None, Some(true), Some(false)];
                let mergeable = random.pick(&mergeable).copied().flatten();
                self.edit(&change, |change| change.mergeable = mergeable);
            }
            10 => self.edit(&change, |change| change.landed = !change.landed),
            11 => {
                let base: Name = match random.below(3) {
                    0 => topic(1 + random.below(NUMBERS)),
                    1 => "side".into(),
                    _ => "main".into(),
                };
                self.edit(&change, |change| change.base = base);
            }
            12 => {
                let repository = self.get(&id);
                let renamed = format!("{}-renamed", id.path);
                let plain = repository.spelling == *id.path;
                repository.spelling = if plain { renamed } else { id.path.to_string() };
            }
            13 if random.once_in(2) => {
                let definitions = self::id(DEFINITIONS);
                let extra = random.once_in(2);
                self.push_main(&definitions, now, extra);
                return Some(definitions);
            }
            14 if random.once_in(4) => {
                let repository = self.get(&id);
                repository.archived = repository.hosted && !repository.archived;
            }
            _ => return None,
        }
        self.note_gone();
        Some(id)
    }

    fn note_gone(&mut self) {
        for (id, repository) in &self.repositories {
            for (number, change) in &repository.changes {
                let contained = self.git.contains(change.head, repository.main);
                if change.state != State::Open || &*change.base != "main" || contained {
                    self.ever_gone.insert(id.change(*number));
                }
            }
        }
    }

    /// Only pull requests have a body and the like.
    fn edit(&mut self, change: &ChangeId, edit: impl FnOnce(&mut Change)) {
        let repository = self.get(&change.repository);
        if repository.hosted
            && let Some(change) = repository.changes.get_mut(&change.number)
            && !matches!(change.state, State::Merged(_))
        {
            edit(change);
        }
    }

    /// On plain git the ref is deleted.
    fn close(&mut self, id: &ChangeId) {
        let repository = self.get(&id.repository);
        match repository.changes.get_mut(&id.number) {
            Some(change) if repository.hosted && change.state == State::Open => {
                change.state = State::Closed;
            }
            Some(_) if !repository.hosted => {
                repository.changes.remove(&id.number);
                self.ever_gone.insert(id.clone());
            }
            _ => {}
        }
    }

    fn merge(&mut self, id: &ChangeId, delete: bool, now: Timestamp) {
        let repository = self.get(&id.repository);
        let (hosted, main) = (repository.hosted, repository.main);
        let Some(change) = repository.changes.get(&id.number).cloned() else { return };
        if change.state != State::Open || &*change.base != "main" {
            return;
        }
        let merged = self.git.commit(now, &[main, change.head], Vec::new(), false);
        let repository = self.get(&id.repository);
        repository.main = merged;
        if hosted {
            if let Some(change) = repository.changes.get_mut(&id.number) {
                change.state = State::Merged(merged);
            }
            if delete {
                // What stood on its branch is moved to its base, as forges do.
                let branch = topic(id.number);
                for other in repository.changes.values_mut().filter(|c| c.base == branch) {
                    other.base = "main".into();
                }
            }
        } else if delete {
            repository.changes.remove(&id.number);
            self.ever_gone.insert(id.clone());
        }
    }

    fn push_main(&mut self, id: &RepositoryId, now: Timestamp, extra: bool) {
        let main = self.repositories.get(id).expect("a repository").main;
        let head = self.git.commit(now, &[main], Vec::new(), extra);
        self.get(id).main = head;
    }

    /// Branches and open changes; nothing while it is down.
    pub fn listing(&self, id: &RepositoryId) -> Option<Listing> {
        let repository = self.repositories.get(id).filter(|repository| !repository.down)?;
        let open = |change: &&Change| !repository.hosted || change.state == State::Open;
        let changes =
            repository.changes.iter().filter(|(_, change)| open(change)).map(|(number, change)| {
                OpenRef {
                    number: *number,
                    head: change.head,
                    base: repository.hosted.then(|| change.base.clone()),
                    ref_name: format!("refs/pull/{number}/head").into(),
                    merge: false,
                    forge: repository.hosted.then(|| Box::new(change.shown(id, *number))),
                }
            });
        Some(Listing {
            default_branch: Some("main".into()),
            archived: repository.archived,
            public: false,
            former: BTreeMap::new(),
            branches: [("main".into(), repository.main)].into(),
            changes: changes.collect(),
        })
    }

    /// Nothing while its repository is down.
    pub fn answer(&self, question: &Question) -> Option<Answer> {
        // No change here touches what the workspace is made of, so nobody asks for a candidate.
        let id = question.repository()?;
        let repository = self.repositories.get(id).filter(|repository| !repository.down)?;
        match question {
            Question::Commit { oid, .. } => self.git.facts(*oid).map(Answer::Commit),
            Question::Contains { ancestor, descendant, .. } => {
                Some(Answer::Contains(self.git.contains(*ancestor, *descendant)))
            }
            Question::Candidate(_) => None,
            // No package here is only a part of its repository.
            Question::Files { .. } => Some(Answer::Files(Files::TooMany)),
            // Who has no standing has no rights either.
            Question::Rights { .. } => Some(Answer::Rights(Rights::Less)),
            Question::Mergeable { number, .. } => {
                let known = repository.changes.get(number).and_then(|change| change.mergeable);
                Some(Answer::Mergeable(known))
            }
            // A plain git server has no fates.
            Question::Fate { .. } if !repository.hosted => None,
            Question::Fate { number, .. } => {
                Some(Answer::Fate(match repository.changes.get(number) {
                    None => Fate::Missing,
                    Some(change) => match change.state {
                        State::Open => Fate::Open,
                        State::Merged(commit) => {
                            Fate::Merged { commit: Some(commit), base: Some("main".into()) }
                        }
                        State::Closed => {
                            Fate::Closed { head: Some(change.head), labels: change.labels() }
                        }
                    },
                }))
            }
        }
    }

    /// Whether the definitions name the extra package now.
    pub fn extra(&self) -> bool {
        let definitions = self.repositories.get(&id(DEFINITIONS));
        definitions.and_then(|repository| self.git.get(repository.main)).is_some_and(|c| c.extra)
    }

    /// Paths that a workspace's manifest names now.
    pub fn tracked(&self, workspace: &str) -> Vec<&'static str> {
        let extra = self.extra();
        match workspace {
            "w" => PATHS.into_iter().filter(|path| *path != EXTRA || extra).collect(),
            _ => vec!["b", "o/c"],
        }
    }

    /// What the tool of a workspace exports now.
    pub fn manifest(&self, workspace: &str) -> Manifest {
        let git = |path: &str| Vcs::Git { url: url(path), branch: Some("main".into()), pin: None };
        let packages = self.tracked(workspace).into_iter().map(|path| Package {
            name: path.into(),
            vcs: git(path),
            directory: None,
            path: None,
            depends_on: Vec::new(),
            override_key: path.into(),
            repeats: None,
        });
        let definitions = DefinitionRepository {
            name: DEFINITIONS.into(),
            vcs: git(DEFINITIONS),
            override_key: DEFINITIONS.into(),
            directory: None,
            repeats: None,
        };
        let definitions = if workspace == "w" { vec![definitions] } else { Vec::new() };
        Manifest::new(packages.collect(), definitions).expect("a manifest")
    }

    /// What the directories of a workspace hold after an update.
    pub fn checkouts(&self, workspace: &str) -> BTreeMap<Name, Oid> {
        let heads = self.tracked(workspace).into_iter().filter_map(|path| {
            let repository = self.repositories.get(&id(path))?;
            Some((path.into(), repository.main))
        });
        heads.collect()
    }
}

impl Change {
    fn labels(&self) -> BTreeSet<Name> {
        self.landed.then(|| Name::from("Landed")).into_iter().collect()
    }

    fn shown(&self, id: &RepositoryId, number: u64) -> ForgeChange {
        let (login, association) = match self.author {
            Who::Writer => ("wes", Association::Member),
            Who::Member => ("mia", Association::Member),
            Who::Stranger => ("eve", Association::None),
            Who::Bot => ("robot", Association::None),
        };
        let source = match self.author {
            Who::Writer => {
                SourceBranch { repository: id.clone(), owner: "o".into(), branch: topic(number) }
            }
            _ => SourceBranch {
                repository: RepositoryId::new("github.com", format!("{login}/fork").as_str()),
                owner: login.into(),
                branch: topic(number),
            },
        };
        ForgeChange {
            draft: self.draft,
            author: Some(Author { login: login.into(), bot: self.author == Who::Bot, association }),
            source: Some(source),
            created_at: self.created_at,
            labels: self.labels(),
            mergeable: self.mergeable,
            references: written(&self.names),
        }
    }
}
