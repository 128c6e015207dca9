//! Which credential of a GitHub is asked what: tokens that share repositories out, and installations
//! of an application, against a model of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crosswatch::clock::Clock;
use crosswatch::forge::github::{App, BodyReader, DEADLINE, GitHub, SetupError};
use crosswatch::forge::several::{Installations, Member, Several};
use crosswatch::forge::{ForgeApi, ForgeError};
use crosswatch::http::conditional::{Bounds, Conditional};
use crosswatch::http::{Bearer, HttpClient};
use crosswatch::task::Tasks;
use crosswatch_core::model::settings::{AppSettings, ForgeSettings, SecretRef};
use crosswatch_core::model::time::{Span, Timestamp};
use forge_model::{Access, Fault, Model, NewChange, What};

use super::github::{id, reader, settings};
use crate::support::eventually;

const APP: u64 = 4711;

struct Site {
    model: Model,
    clock: Clock,
    tasks: Tasks,
    folder: tempfile::TempDir,
    ask: Conditional,
}

impl Site {
    async fn new() -> Self {
        let (model, tasks) = (Model::start().await, Tasks::new());
        let clock = Clock::manual(Timestamp(model.state().now_ms()));
        let folder = tempfile::tempdir().expect("a folder");
        let client = HttpClient::new().expect("a client");
        let kept = Some(folder.path().join("answers"));
        // What is read again because it is old is not what is tested.
        let bounds = Bounds { max_age: Span::days(1), ..Bounds::default() };
        let ask = Conditional::new(client, clock.clone(), tasks.clone(), None, kept, bounds).await;
        Self { model, clock, tasks, folder, ask }
    }

    fn settings(&self) -> (ForgeSettings, BodyReader) {
        let settings = settings(&self.model);
        let reader = reader(&settings);
        (settings, reader)
    }

    /// Time passes, for the forge as well.
    fn pass(&self, span: Span) {
        self.clock.advance(span);
        self.model.state().skew += i64::try_from(span.0 / 1000).expect("a span");
    }

    fn app(&self, installation: Option<u64>, key: &str) -> Result<App, SetupError> {
        let (settings, reader) = self.settings();
        let app = AppSettings { id: APP, installation, key: SecretRef::Env("KEY".to_owned()) };
        let key = key.to_owned().into();
        App::new(&settings, &app, &key, self.clock.clone(), self.ask.clone(), reader)
    }

    fn several(&self, tokens: &[&str], app: Option<App>) -> Several {
        let (settings, reader) = self.settings();
        let members = tokens.iter().map(|name| {
            let credential = Some(((*name).to_owned(), Bearer::new(secret(name).into())));
            let (ask, reader) = (self.ask.clone(), Arc::clone(&reader));
            let api = GitHub::by(DEADLINE, &settings, credential, ask, reader).expect("a reader");
            Member { name: (*name).to_owned(), api: Arc::new(api), renewal: None }
        });
        let app = app.map(|app| Arc::new(app) as Arc<dyn Installations>);
        Several::new(self.clock.clone(), members.collect(), app)
    }

    /// Tokens of which each sees those of these private repositories that are named for it.
    fn tokens(&self, rights: &[(&str, &[&str])]) {
        for (name, repositories) in rights {
            self.model.token(name, &secret(name));
            let mut state = self.model.state();
            let ids = repositories.iter().map(|path| state.id(path).expect("a repository"));
            let ids: BTreeSet<u64> = ids.collect();
            state.tokens.get_mut(&secret(name)).expect("a token").access = Access::Only(ids);
        }
    }

    fn private(&self, paths: &[&str]) {
        for path in paths {
            self.model.repository(path);
            self.model.set_private(path, true);
        }
    }

    fn asked_by(&self, name: &str) -> u64 {
        let summary = self.model.requests();
        let by = summary.by_endpoint.iter().filter(|((token, _), _)| token == name);
        by.map(|(_, count)| count.requests).sum()
    }

    async fn end(self) {
        self.tasks.stop().await;
        assert_eq!(self.tasks.panicked(), Vec::<String>::new());
    }
}

fn secret(name: &str) -> String {
    format!("canary-of-{name}")
}

fn files(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            text.push_str(&files(&path));
        } else {
            text.push_str(&String::from_utf8_lossy(&std::fs::read(&path).expect("a file")));
        }
    }
    text
}

#[tokio::test]
async fn repositories_are_shared_out_and_each_is_asked_by_one_token_only() {
    let site = Site::new().await;
    let paths: Vec<String> = (0..12).map(|n| format!("org/r{n}")).collect();
    for path in &paths {
        site.model.repository(path);
    }
    for name in ["one", "two", "three"] {
        site.model.token(name, &secret(name));
    }
    let forge = site.several(&["one", "two", "three"], None);
    let mut askers = BTreeSet::new();
    for path in &paths {
        site.model.forget_requests();
        let asker = forge.asker(&id(path)).expect("a credential");
        forge.list(id(path)).await.expect("a list");
        forge.fate(id(path), 1).await.expect("a fate");
        let total = site.model.requests().total().requests;
        assert_eq!((site.asked_by(&asker), total), (total, total), "{path}");
        assert_eq!(forge.asker(&id(path)).as_ref(), Some(&asker));
        askers.insert(asker);
    }
    assert_eq!(askers.len(), 3, "each has its share");
    // Marks are one question for the share of each.
    site.model.forget_requests();
    let marks = forge.marks(paths.iter().map(|path| id(path)).collect()).await.expect("marks");
    assert_eq!((marks.len(), site.model.requests().total().requests), (12, 3));
    site.end().await;
}

#[tokio::test]
async fn a_credential_that_is_refused_leaves_the_repository_to_the_next() {
    let site = Site::new().await;
    let paths = ["org/a", "org/b", "org/c", "org/d", "org/e", "org/f"];
    site.private(&paths);
    // By turns only the one and only the other sees a repository.
    site.tokens(&[("one", &["org/a", "org/c", "org/e"]), ("two", &["org/b", "org/d", "org/f"])]);
    site.model.token("ended", &secret("ended"));
    site.model.state().tokens.get_mut(&secret("ended")).expect("a token").expires_at = Some(0);
    let forge = site.several(&["one", "two", "ended"], None);
    for path in paths {
        forge.list(id(path)).await.expect("one of them reads it");
    }
    assert!(forge.credentials()["ended"].as_ref().is_some_and(|why| why.contains("refused")));
    assert_eq!(forge.credentials()["one"], None);
    // What was refused is not asked again for a while.
    let right = |path: &str| if "ace".contains(&path[4..]) { "one" } else { "two" };
    let wrong = |path: &str| if right(path) == "one" { "two" } else { "one" };
    for path in paths {
        site.model.forget_requests();
        forge.list(id(path)).await.expect("it is read");
        assert_eq!(site.asked_by(wrong(path)), 0, "{path}");
        assert!(site.asked_by(right(path)) > 0);
    }
    site.pass(Span::hours(1));
    site.model.forget_requests();
    for path in paths {
        forge.list(id(path)).await.expect("it is read");
    }
    let again: u64 = ["one", "two"].iter().map(|name| site.asked_by(name)).sum();
    assert!(again > 18, "now and then it is asked again: {again}");
    site.end().await;
}

#[tokio::test]
async fn only_what_all_are_refused_is_not_found_and_only_who_reads_others_says_that_it_is_not_there()
 {
    let site = Site::new().await;
    site.private(&["org/a", "org/hidden"]);
    site.tokens(&[("one", &["org/a"]), ("two", &[])]);
    let forge = site.several(&["one", "two"], None);
    let hidden = async || forge.list(id("org/hidden")).await.expect_err("nobody sees it");
    let error = hidden().await;
    assert!(matches!(error, ForgeError::NotFound(_)), "nothing was read yet: {error}");
    forge.list(id("org/a")).await.expect("a list");
    let error = hidden().await;
    assert!(matches!(error, ForgeError::Absent(_)), "{error}");
    // The other ways of not answering never say so.
    let rows = [
        (401, "credential"),
        (403, "may not read"),
        (451, "may not read"),
        (500, "500"),
        (502, "502"),
    ];
    for (status, said) in rows {
        let what = What::Status(status, Vec::new(), "{}".to_owned());
        site.model.fault(Fault::on("org/hidden", what));
        let error = hidden().await;
        let absent = matches!(error, ForgeError::NotFound(_) | ForgeError::Absent(_));
        assert!(!absent && error.to_string().contains(said), "{status}: {error}");
        site.model.no_faults();
        site.pass(Span::hours(1));
    }
    // A day later it may be the credential that reads nothing any more.
    site.pass(Span::days(1));
    let error = hidden().await;
    assert!(matches!(error, ForgeError::NotFound(_)), "{error}");
    site.end().await;
}

#[tokio::test]
async fn an_application_reads_by_the_installation_of_each_owner() {
    let site = Site::new().await;
    let key = site.model.app(APP);
    let (red, blue) = (site.model.install(APP, "Red"), site.model.install(APP, "blue"));
    site.private(&["red/a", "red/b", "blue/a"]);
    site.model.repository("other/public");
    // More owners than one page of them has.
    for n in 0..120 {
        site.model.install(APP, &format!("owner{n}"));
    }
    let forge = site.several(&[], Some(site.app(None, &key).expect("an application")));
    assert_eq!(forge.asker(&id("red/a")), None, "it is not known before it was asked");
    for path in ["red/a", "red/b", "blue/a", "other/public"] {
        forge.list(id(path)).await.expect(path);
    }
    let name = |id: u64| format!("main: app {APP}, installation {id}");
    assert_eq!(forge.asker(&id("red/a")), Some(name(red)));
    assert_eq!(forge.asker(&id("blue/a")), Some(name(blue)));
    let asked = site.model.requests().of("installations").requests;
    assert_eq!(asked, 2 + 1 + 2, "two pages, whether the first stands, two tokens");
    assert_eq!(site.asked_by(&format!("installation {blue}")), 3, "its own repository");
    let names: BTreeSet<String> = forge.credentials().into_keys().collect();
    assert_eq!(names, [name(red), name(blue)].into());
    // A new owner is found, not at once.
    site.model.install(APP, "late");
    site.private(&["late/a"]);
    assert!(forge.list(id("late/a")).await.is_err());
    site.pass(Span::minutes(6));
    site.pass(Span::hours(1));
    forge.list(id("late/a")).await.expect("it is installed there");
    // No token and no word is anywhere but in memory, and none is shown.
    eventually("answers are kept", async || files(site.folder.path()).contains("red/a")).await;
    let kept = files(site.folder.path());
    assert!(!kept.contains("ghs_model") && !kept.contains("eyJ"), "{kept}");
    assert!(!format!("{forge:?}").contains("ghs_"));
    site.end().await;
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end_and_once_when_it_is_refused() {
    let site = Site::new().await;
    let key = site.model.app(APP);
    let number = site.model.install(APP, "red");
    site.private(&["red/a"]);
    site.model.open("red/a", NewChange::default());
    let app = site.app(Some(number), &key).expect("an application");
    let forge = site.several(&[], Some(app));
    let round = async || {
        site.model.forget_requests();
        let listed = forge.list(id("red/a")).await.expect("a list");
        assert_eq!(listed.listing.changes.len(), 1);
        let count = site.model.requests().of("repos");
        (count.requests, count.not_modified)
    };
    assert_eq!(round().await, (3, 0));
    assert_eq!(round().await, (3, 3), "nothing costs points");
    assert_eq!(site.model.given_tokens(number), 1);
    // Long before its end nothing happens; shortly before it there is another one, and what was kept is
    // read once more, for its ETags belong to the token that is gone.
    site.pass(Span::minutes(50));
    assert_eq!(round().await, (3, 3));
    site.pass(Span::minutes(6));
    assert_eq!(round().await, (3, 0));
    assert_eq!(round().await, (3, 3));
    assert_eq!(site.model.given_tokens(number), 2);
    // One that cannot be renewed is used until its end.
    site.pass(Span::minutes(56));
    let broken = What::Status(502, Vec::new(), String::new());
    site.model.fault(Fault::on("access_tokens", broken));
    assert_eq!(round().await, (3, 3));
    site.pass(Span::minutes(5));
    let error = forge.list(id("red/a")).await.expect_err("it has ended");
    assert!(matches!(error, ForgeError::Unavailable(_)), "{error}");
    site.model.no_faults();
    assert_eq!(round().await, (3, 0));
    assert_eq!(site.model.given_tokens(number), 3);
    // One that the forge ended itself is renewed when that shows.
    site.pass(Span::minutes(10));
    site.model.end_tokens(APP, 3600);
    let many = futures_util::future::join_all((0..5).map(|_| forge.fate(id("red/a"), 1)));
    assert!(many.await.iter().all(Result::is_ok));
    assert_eq!(site.model.given_tokens(number), 4, "once, however many were refused");
    // One that is refused at once is not asked for again and again.
    let refused = What::Status(401, Vec::new(), "{}".to_owned());
    site.model.fault(Fault::on("repos/red", refused));
    site.pass(Span::minutes(2));
    for _ in 0..5 {
        let error = forge.list(id("red/a")).await.expect_err("it is refused");
        assert!(matches!(error, ForgeError::Credential(_)), "{error}");
    }
    assert_eq!(site.model.given_tokens(number), 5);
    site.end().await;
}

#[tokio::test]
async fn an_application_that_is_refused_says_why_and_delays_no_token() {
    let site = Site::new().await;
    let (_, stolen) = (site.model.app(APP), site.model.app(1));
    site.model.install(APP, "red");
    site.private(&["red/a"]);
    site.model.token("one", &secret("one"));
    let wrong = || site.app(None, &stolen).expect("an application");
    let error =
        site.several(&[], Some(wrong())).list(id("red/a")).await.expect_err("the wrong key");
    let said = error.to_string();
    assert!(matches!(error, ForgeError::Credential(_)) && said.contains("its key"), "{said}");
    site.model.forget_requests();
    let forge = site.several(&["one"], Some(wrong()));
    for _ in 0..3 {
        forge.list(id("red/a")).await.expect("the token reads it");
    }
    assert_eq!(site.model.requests().of("installations").requests, 1, "not asked each time");
    // Nobody installed it; the one that is named is suspended.
    let key = site.model.app(2);
    let nowhere = AppSettings { id: 2, installation: None, key: SecretRef::Env("KEY".to_owned()) };
    let (settings, reader) = site.settings();
    let secret = key.clone().into();
    let app = App::new(&settings, &nowhere, &secret, site.clock.clone(), site.ask.clone(), reader);
    let error = site.several(&[], Some(app.expect("an application"))).list(id("red/a")).await;
    let said = error.expect_err("it is installed nowhere").to_string();
    assert!(said.contains("install it for red"), "{said}");
    for (key, said) in [("", "not a private key"), ("-----BEGIN X-----", "not a private key")] {
        let error = site.app(None, key).expect_err("no key").to_string();
        assert!(error.contains(said) && error.contains("forge main"), "{error}");
    }
    site.end().await;
}
