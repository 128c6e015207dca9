//! The reader of GitHub against a model of it.

mod facts;
mod many;
mod traps;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crosswatch::clock::Clock;
use crosswatch::forge::github::{BodyReader, GitHub, SetupError};
use crosswatch::forge::{ForgeApi, ForgeError, Listed};
use crosswatch::http::HttpClient;
use crosswatch::http::conditional::{Bounds, Conditional};
use crosswatch::task::Tasks;
use crosswatch_core::model::change::{Association, Fate, ForgeChange, OpenRef};
use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::settings::{Authors, ForgeKind, ForgeSettings, GitForge, GitHubForge};
use crosswatch_core::model::time::Span;
use crosswatch_core::references::{self, Context, Forges, Spelling};
use forge_model::{Access, Edit, Fault, Model, NewChange, What};

use crate::support::eventually;

const SECRET: &str = "canary-of-the-token";

struct Site {
    model: Model,
    tasks: Tasks,
    folder: tempfile::TempDir,
    forge: GitHub,
}

pub(super) fn settings(model: &Model) -> ForgeSettings {
    let kind = GitHubForge { api_url: model.api_url(), webhook_secrets: Vec::new() };
    ForgeSettings {
        name: "main".into(),
        identity: "127.0.0.1".into(),
        kind: ForgeKind::GitHub(kind),
        url: model.url.clone(),
        also: Vec::new(),
        tokens: Vec::new(),
        app: None,
        interval: Span::seconds(60),
        reconcile: Span::minutes(15),
    }
}

pub(super) fn reader(settings: &ForgeSettings) -> BodyReader {
    let locator = crosswatch_core::model::locator::Locator::of_forges([settings]);
    let identity = settings.identity.clone();
    Arc::new(move |change, body| {
        let forges = Forges::new(&locator).with(identity.clone(), Spelling::GitHub);
        references::read(body, &Context::new(change, &forges))
    })
}

async fn open(model: &Model, tasks: &Tasks, folder: &Path, token: Option<&str>) -> GitHub {
    open_within(Span::seconds(2), model, tasks, folder, token).await
}

async fn open_within(
    deadline: Span,
    model: &Model,
    tasks: &Tasks,
    folder: &Path,
    token: Option<&str>,
) -> GitHub {
    let client = HttpClient::new().expect("a client");
    let answers = Some(folder.join("answers"));
    let (clock, bounds) = (Clock::system(), Bounds::default());
    let ask = Conditional::new(client, clock, tasks.clone(), None, answers, bounds).await;
    let settings = settings(model);
    let token = token.map(|token| token.to_owned().into());
    let reader = reader(&settings);
    GitHub::within(deadline, &settings, token, ask, reader).expect("a reader")
}

pub(super) fn id(path: &str) -> RepositoryId {
    RepositoryId::new("127.0.0.1", path)
}

impl Site {
    async fn new() -> Self {
        let model = Model::start().await;
        model.token("main", SECRET);
        let (tasks, folder) = (Tasks::new(), tempfile::tempdir().expect("a folder"));
        let forge = open(&model, &tasks, folder.path(), Some(SECRET)).await;
        Self { model, tasks, folder, forge }
    }

    /// For many questions: a busy machine answers late, which is not what is tested.
    async fn patient() -> Self {
        let mut site = Self::new().await;
        let folder = site.folder.path();
        site.forge =
            open_within(Span::minutes(1), &site.model, &site.tasks, folder, Some(SECRET)).await;
        site
    }

    async fn list(&self, path: &str) -> Listed {
        self.forge.list(id(path)).await.expect("a list")
    }

    async fn change(&self, path: &str, number: u64) -> OpenRef {
        let listed = self.list(path).await;
        listed.listing.change(number).expect("an open change").clone()
    }

    async fn said(&self, path: &str, number: u64) -> ForgeChange {
        *self.change(path, number).await.forge.expect("a pull request")
    }

    async fn marks(&self, paths: &[String]) -> BTreeMap<RepositoryId, String> {
        let all = paths.iter().map(|path| id(path)).collect();
        self.forge.marks(all).await.expect("marks")
    }

    async fn end(self) {
        self.tasks.stop().await;
        assert_eq!(self.tasks.panicked(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_repository_is_read_whole_with_all_that_happens_to_it() {
    let site = Site::new().await;
    let model = &site.model;
    let forge_id = model.repository("Org/Base").to_string();
    model.repository("org/empty");
    model.state().named("org/empty").branches.clear();
    let head = model.push("org/base", "feature/x", None);
    let change = NewChange {
        body: Some("Depends on: #7\n\nDepends on: org/other#3".to_owned()),
        fork: Some("Alice/Base".to_owned()),
        association: "CONTRIBUTOR".to_owned(),
        ..NewChange::default()
    };
    let first = model.open("org/base", change);
    let bot = model.open(
        "org/base",
        NewChange {
            author: "renovate[bot]".to_owned(),
            branch: "bump".to_owned(),
            draft: true,
            ..NewChange::default()
        },
    );
    let listed = site.list("org/base").await;
    assert_eq!((listed.forge_id, listed.spelling.as_str()), (forge_id, "Org/Base"));
    assert_eq!(listed.listing.default_branch.as_deref(), Some("main"));
    assert_eq!(listed.listing.branches["feature/x"].to_string(), head);
    let numbers: Vec<u64> = listed.listing.changes.iter().map(|change| change.number).collect();
    assert_eq!(numbers, [first, bot]);
    let open = site.change("org/base", first).await;
    assert_eq!((open.ref_name.as_str(), open.base.as_deref()), ("refs/pull/1/head", Some("main")));
    assert!(open.merge);
    let said = site.said("org/base", first).await;
    let source = said.source.expect("a source");
    assert_eq!(source.repository, id("alice/base"));
    assert_eq!((source.owner.as_str(), source.branch.as_str()), ("Alice", "topic"));
    let author = said.author.expect("an author");
    assert_eq!((author.login.as_str(), author.bot), ("alice", false));
    assert_eq!(author.association, Association::None);
    let meant: Vec<String> =
        said.references.references.iter().map(|written| written.change.to_string()).collect();
    assert_eq!(meant, ["127.0.0.1/org/base#7", "127.0.0.1/org/other#3"]);
    let said = site.said("org/base", bot).await;
    assert!(said.draft && said.author.expect("an author").bot);
    // Whatever happens is seen by the next look.
    model.edit("org/base", first, Edit::Body(Some("Depends on: #2".to_owned())));
    model.edit("org/base", first, Edit::Draft(true));
    model.edit("org/base", first, Edit::Label("hold".to_owned()));
    model.edit("org/base", first, Edit::Base("feature/x".to_owned()));
    let pushed = model.push_change("org/base", first, None);
    let open = site.change("org/base", first).await;
    assert_eq!((open.base.as_deref(), open.head.to_string()), (Some("feature/x"), pushed));
    let said = site.said("org/base", first).await;
    assert_eq!(said.references.references.len(), 1);
    assert_eq!((said.draft, said.labels), (true, [Name::from("hold")].into()));
    // A fork and an account that are gone are data.
    model.edit("org/base", first, Edit::DeleteFork);
    model.edit("org/base", first, Edit::DeleteAuthor);
    let said = site.said("org/base", first).await;
    assert_eq!((said.source, said.author), (None, None));
    model.delete_branch("org/base", "feature/x");
    model.state().named("org/base").archived = true;
    let listing = site.list("org/base").await.listing;
    assert!(listing.archived && !listing.branches.contains_key("feature/x"));
    assert_eq!(listing.changes.len(), 1, "the forge closes what goes into a deleted branch");
    // A repository without a commit is one, not an error.
    let listing = site.list("org/empty").await.listing;
    assert_eq!((listing.branches.len(), listing.changes.len()), (0, 0));
    site.end().await;
}

#[tokio::test]
async fn what_became_of_a_change_is_told() {
    let site = Site::new().await;
    let model = &site.model;
    model.repository("org/a");
    let mut opened = Vec::new();
    for n in 0..3 {
        let branch = format!("topic-{n}");
        opened.push(model.open("org/a", NewChange { branch, ..NewChange::default() }));
    }
    let [open, merged, closed] = opened[..] else { panic!("{opened:?}") };
    model.edit("org/a", merged, Edit::Merge);
    let head = model.push_change("org/a", closed, None);
    model.edit("org/a", closed, Edit::Label("merged-by-hand".to_owned()));
    model.edit("org/a", closed, Edit::Close);
    let fate = async |number| site.forge.fate(id("org/a"), number).await;
    assert_eq!(fate(open).await, Ok(Fate::Open));
    let main = model.state().named("org/a").branches["main"].parse().expect("a commit");
    let base = Some(Name::from("main"));
    assert_eq!(fate(merged).await, Ok(Fate::Merged { commit: Some(main), base }));
    let labels = BTreeSet::from([Name::from("merged-by-hand")]);
    let head = Some(head.parse().expect("a commit"));
    assert_eq!(fate(closed).await, Ok(Fate::Closed { head, labels }));
    model.edit("org/a", closed, Edit::Reopen);
    assert_eq!(fate(closed).await, Ok(Fate::Open));
    assert_eq!(fate(99).await, Ok(Fate::Missing));
    // Who does not see the repository cannot say that something is missing in it.
    model.set_private("org/a", true);
    if let Some(token) = model.state().tokens.get_mut(SECRET) {
        token.access = Access::Only(BTreeSet::new());
    }
    assert!(matches!(fate(99).await, Err(ForgeError::NotFound(_))));
    assert!(matches!(fate(open).await, Err(ForgeError::NotFound(_))));
    site.end().await;
}

#[tokio::test]
async fn a_renamed_repository_is_the_same_and_a_new_one_of_its_name_is_not() {
    let site = Site::new().await;
    site.model.repository("org/a");
    site.model
        .open("org/a", NewChange { body: Some("Depends on: #9".into()), ..Default::default() });
    let before = site.list("org/a").await;
    site.model.rename("org/a", "New/B");
    let after = site.list("org/a").await;
    assert_eq!((&after.forge_id, after.spelling.as_str()), (&before.forge_id, "New/B"));
    let change = |listed: &Listed| listed.listing.change(1).expect("a change").clone();
    let meant = |listed: &Listed| {
        let said = change(listed).forge.expect("a pull request");
        said.references.references[0].change.to_string()
    };
    assert_eq!(change(&after).head, change(&before).head);
    // What the body means depends on the name by which it is watched.
    let by_new_name = site.list("new/b").await;
    assert_eq!(meant(&by_new_name), "127.0.0.1/new/b#9");
    assert_eq!(meant(&site.list("org/a").await), "127.0.0.1/org/a#9");
    site.model.repository("org/a");
    let other = site.list("org/a").await;
    assert_ne!(other.forge_id, before.forge_id);
    assert_eq!(other.listing.changes, []);
    site.end().await;
}

#[tokio::test]
async fn none_of_many_changes_is_missed_though_pages_move() {
    let site = Site::patient().await;
    site.model.repository("org/a");
    for n in 0..310 {
        let branch = format!("topic-{n}");
        site.model.open("org/a", NewChange { branch, ..NewChange::default() });
    }
    let numbers = |listed: &Listed| -> BTreeSet<u64> {
        listed.listing.changes.iter().map(|change| change.number).collect()
    };
    assert_eq!(numbers(&site.list("org/a").await), (1..=310).collect());
    // Four pages, and a look back at those before the last: whether they still stand.
    let asked = site.model.requests().of("pulls");
    assert_eq!((asked.points, asked.not_modified), (4, 3));
    // While the second page is on its way, one of the first goes: what was the first item of the second
    // page is then on none that is still to be read.
    site.model.star("org/a");
    site.model.forget_requests();
    let slow = What::Delay(Span(500).to_std());
    site.model.fault(Fault::on("&page=2", slow).times(1));
    let reading = site.forge.list(id("org/a"));
    let moving = async {
        eventually("the first page is read", async || {
            site.model.requests().of("pulls").requests > 0
        })
        .await;
        site.model.edit("org/a", 305, Edit::Close);
    };
    let (listed, ()) = tokio::join!(reading, moving);
    let mut all: BTreeSet<u64> = (1..=310).collect();
    all.remove(&305);
    assert_eq!(numbers(&listed.expect("a list")), all);
    // A page that fails is not a short list.
    site.model.star("org/a");
    let broken = What::Status(502, Vec::new(), String::new());
    site.model.fault(Fault::on("&page=3", broken).times(1));
    let failed = site.forge.list(id("org/a")).await;
    assert!(matches!(failed, Err(ForgeError::Unavailable(_))), "{failed:?}");
    assert_eq!(numbers(&site.list("org/a").await), all);
    site.end().await;
}

#[tokio::test]
async fn at_rest_and_after_a_restart_reading_costs_no_points() {
    let mut site = Site::new().await;
    site.model.repository("org/a");
    site.model.open("org/a", NewChange::default());
    let before = site.list("org/a").await;
    let answers = site.folder.path().join("answers");
    eventually("everything is kept", async || {
        let ending = |path: std::path::PathBuf| path.extension().is_some_and(|e| e == "answer");
        let files = std::fs::read_dir(&answers).expect("a folder");
        files.filter(|file| ending(file.as_ref().expect("a file").path())).count() == 3
    })
    .await;
    for restart in [false, true] {
        if restart {
            site.forge = open(&site.model, &site.tasks, site.folder.path(), Some(SECRET)).await;
        }
        site.model.forget_requests();
        assert_eq!(site.list("org/a").await, before);
        let total = site.model.requests().total();
        assert_eq!((total.requests, total.not_modified, total.points), (3, 3, 0), "{restart}");
    }
    site.end().await;
}

/// The table of `docs/github.md`, a row each.
#[tokio::test]
async fn every_way_of_not_answering_has_its_meaning() {
    let site = Site::new().await;
    site.model.repository("org/a");
    site.model.open("org/a", NewChange::default());
    let status = |code: u16, body: &str| What::Status(code, Vec::new(), body.to_owned());
    let with = |code: u16, name: &str, value: &str| {
        What::Status(code, vec![(name.to_owned(), value.to_owned())], "{}".to_owned())
    };
    let echo = format!("{{\"message\": \"{SECRET} is not welcome\"}}");
    let rows = [
        ("401", status(401, "{\"message\": \"Bad credentials\"}"), "credential"),
        ("403", status(403, "{\"message\": \"Resource not accessible\"}"), "forbidden"),
        ("403 that repeats the token", status(403, &echo), "forbidden"),
        ("403, nothing left", with(403, "x-ratelimit-remaining", "0"), "limited"),
        (
            "403, secondary limit",
            status(403, "{\"message\": \"You have exceeded a secondary rate limit.\"}"),
            "limited",
        ),
        ("404", status(404, "{\"message\": \"Not Found\"}"), "not found"),
        ("410", status(410, "{}"), "not found"),
        ("429", status(429, "{}"), "limited"),
        ("451", status(451, "{}"), "forbidden"),
        ("422", status(422, "{}"), "nonsense"),
        ("409", status(409, "{}"), "nonsense"),
        ("500", status(500, "<html>"), "unavailable"),
        ("502", status(502, ""), "unavailable"),
        ("503", status(503, "{}"), "unavailable"),
        ("504", status(504, "{}"), "unavailable"),
        ("no answer", What::Hang, "unavailable"),
        ("a byte at a time", What::Drip(Span(300).to_std()), "unavailable"),
        ("a torn body", What::Cut, "unavailable"),
        ("HTML", What::Html, "nonsense"),
        ("garbage", What::Garbage(b"\0\xff[".to_vec()), "nonsense"),
        ("nothing", What::Garbage(Vec::new()), "nonsense"),
        ("an object", status(200, "{}"), "nonsense"),
        ("no number", status(200, "[{}]"), "nonsense"),
        ("304 of another answer", with(304, "etag", "\"other\""), "nonsense"),
        ("301 elsewhere", with(301, "location", "http://127.0.0.2/x"), "nonsense"),
        ("301 to nowhere", status(301, "{}"), "nonsense"),
    ];
    for (what, fault, meaning) in rows {
        // Twice, since an answer that cannot be used is asked for once more without a condition.
        site.model.star("org/a");
        site.model.fault(Fault::on("/pulls", fault).times(2));
        let error = site.forge.list(id("org/a")).await.expect_err(what);
        assert_eq!(variant(&error), meaning, "{what}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(SECRET), "{shown}");
        assert!(shown.contains("org/a"), "{what}: {shown}");
        site.model.no_faults();
        assert_eq!(site.list("org/a").await.listing.changes.len(), 1, "after {what}");
    }
    // Of who asks.
    for path in ["org/missing", "org", "a/b/c", "a/.."] {
        let error = site.forge.list(id(path)).await.expect_err(path);
        assert_eq!(variant(&error), "not found", "{error}");
    }
    let wrong = open(&site.model, &site.tasks, site.folder.path(), Some("wrong")).await;
    let error = wrong.list(id("org/a")).await.expect_err("no credential");
    assert_eq!(variant(&error), "credential", "{error}");
    let error = wrong.marks(vec![id("org/a")]).await.expect_err("no credential");
    assert_eq!(variant(&error), "credential", "{error}");
    // Who has no token reads what is public, and has no marks.
    let nobody = open(&site.model, &site.tasks, site.folder.path(), None).await;
    assert_eq!(nobody.list(id("org/a")).await.expect("it is public").listing.changes.len(), 1);
    let error = nobody.marks(vec![id("org/a")]).await.expect_err("no credential");
    assert_eq!(variant(&error), "credential", "{error}");
    let Site { model, tasks, folder, .. } = site;
    let forge = open(&model, &tasks, folder.path(), Some(SECRET)).await;
    assert!(!format!("{forge:?}").contains(SECRET));
    drop(model);
    eventually("nobody answers", async || {
        let answer = forge.list(id("org/a")).await;
        answer.is_err_and(|error| variant(&error) == "unavailable")
    })
    .await;
    tasks.stop().await;
}

fn variant(error: &ForgeError) -> &'static str {
    match error {
        ForgeError::Credential(_) => "credential",
        ForgeError::Forbidden(_) => "forbidden",
        ForgeError::NotFound(_) => "not found",
        ForgeError::Absent(_) => "absent",
        ForgeError::Limited(_) => "limited",
        ForgeError::Unavailable(_) => "unavailable",
        ForgeError::Nonsense(_) => "nonsense",
        ForgeError::Refused(_) => "refused",
    }
}
