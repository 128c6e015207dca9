//! Pull requests of a model of GitHub, from opening to build, over the whole program.

use forge_model::{Edit, Model, NewChange};

use crate::support::eventually;
use crate::support::git_repo::{commit, git};
use crate::support::site::Site;

const TOKEN: &str = "github-canary";
const REPOSITORIES: [&str; 4] = ["conf", "types", "drivers", "gui"];

/// A site whose repositories are those of a GitHub.
pub(crate) struct Hub {
    pub(crate) site: Site,
    pub(crate) model: Model,
}

impl Hub {
    pub(crate) async fn new(script: &str, changes: &str, workspaces: &[&str]) -> Self {
        let (site, model) = (Site::new(), Model::start().await);
        model.token("main", TOKEN);
        let url = format!("{}/rock", model.url);
        site.manifest(&url, &[("types", &[]), ("drivers", &["types"]), ("gui", &["drivers"])]);
        let hub = Self { site, model };
        for name in REPOSITORIES {
            hub.model.repository(&format!("rock/{name}"));
            let head = git(&hub.site.repo(name), &["rev-parse", "refs/heads/main"]);
            hub.model.push(&format!("rock/{name}"), "main", Some(&head));
            hub.model.backed_by(&format!("rock/{name}"), &hub.site.repo(name));
        }
        hub.configure(&url, script, changes, workspaces);
        hub
    }

    fn configure(&self, url: &str, script: &str, changes: &str, workspaces: &[&str]) {
        let token = self.site.path().join("token");
        std::fs::write(&token, TOKEN).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&token, mode).expect("a mode");
        let ci = self.site.local_ci(script).replace("sandbox: none", "sandbox: bubblewrap");
        self.site.configure(url, &ci, workspaces);
        let path = self.site.path().join("workspaces.yaml");
        let text = std::fs::read_to_string(&path).expect("the configuration");
        let forge = format!(
            "  hub:\n    kind: github\n    url: \"{}\"\n    api_url: \"{}\"\n    token: {{file: {}}}\n",
            self.model.url,
            self.model.api_url(),
            token.display()
        );
        let git = format!("  mirror:\n    kind: git\n    url: \"{url}\"\n    authors: any\n");
        let text = text.replace(&git, &forge);
        let settle = "settle: {new: 300ms, push: 300ms}";
        // Which of several changes is seen first, and how much earlier, is not what is tested.
        let none = format!("settle: {{new: 0s, push: 0s}}, {changes}");
        self.site.write_config(&text.replace(settle, &none));
    }

    /// Replaces how often the forge is looked at, and adds `more` keys to it.
    pub(crate) fn forge(&self, poll: &str, more: &str) {
        let path = self.site.path().join("workspaces.yaml");
        let text = std::fs::read_to_string(&path).expect("the configuration");
        let text = text.replace("poll: {interval: 1s}", &format!("poll: {{{poll}}}"));
        let kind = "kind: github\n";
        self.site.write_config(&text.replace(kind, &format!("{kind}    {more}\n")));
    }

    /// Identity of a change.
    pub(crate) fn change(&self, name: &str, number: u64) -> String {
        let host = self.model.url.trim_start_matches("http://");
        format!("{host}/rock/{name}#{number}")
    }

    /// Opens a change with a commit of its own; its number.
    pub(crate) fn open(&self, name: &str, new: NewChange) -> u64 {
        let repo = self.site.repo(name);
        let main = git(&repo, &["rev-parse", "refs/heads/main"]);
        let head = commit(&repo, "refs/heads/new", &format!("{new:?}"), &[&main]);
        git(&repo, &["update-ref", "-d", "refs/heads/new"]);
        self.model.open(&format!("rock/{name}"), NewChange { head: Some(head), ..new })
    }

    /// Pushes a commit to a change.
    pub(crate) fn push(&self, name: &str, number: u64) {
        let repo = self.site.repo(name);
        let before =
            self.model.state().named(&format!("rock/{name}")).changes[&number].head.clone();
        let head = commit(&repo, "refs/heads/new", "more", &[&before]);
        git(&repo, &["update-ref", "-d", "refs/heads/new"]);
        self.model.push_change(&format!("rock/{name}"), number, Some(&head));
    }

    pub(crate) fn edit(&self, name: &str, number: u64, edit: Edit) {
        self.model.edit(&format!("rock/{name}"), number, edit);
    }

    pub(crate) async fn decided(&self, change: &str, word: &str) {
        let site = &self.site;
        eventually(&format!("{change} is {word}:\n{}", site.log()), async || {
            let decision = site.decision("one", change);
            decision.starts_with(word) || decision.contains(word)
        })
        .await;
    }

    pub(crate) async fn built(&self, change: &str, times: usize) {
        let site = &self.site;
        eventually(&format!("{change} is built {times} times:\n{}", site.log()), async || {
            site.succeeded("one", change) == times
        })
        .await;
    }

    /// Opens a change of `types` and one of `drivers` that depends on it, and waits until both were built and
    /// the first is covered. Their names.
    pub(crate) async fn two_that_depend(&self) -> (String, String) {
        let (types, drivers) = (self.change("types", 1), self.change("drivers", 1));
        assert_eq!(self.open("types", NewChange::default()), 1);
        self.built(&types, 1).await;
        assert_eq!(self.open("drivers", saying("Depends on: rock/types#1")), 1);
        self.built(&drivers, 1).await;
        self.decided(&types, "covered").await;
        (types, drivers)
    }
}

pub(super) fn saying(body: &str) -> NewChange {
    NewChange { body: Some(body.to_owned()), ..NewChange::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_requests_that_belong_together_are_built_as_one_and_again_after_an_edit() {
    let hub = Hub::new("cat \"$CROSSWATCH_OVERRIDES\"", "ref: head", &["one"]).await;
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let (types, drivers, gui) =
        (hub.change("types", 1), hub.change("drivers", 1), hub.change("gui", 1));
    hub.site
        .together("one", &[&types, &drivers], || {
            assert_eq!(hub.open("types", NewChange::default()), 1);
            assert_eq!(hub.open("drivers", saying("Fine.\n\nDepends on: rock/types#1\n")), 1);
        })
        .await;
    hub.built(&drivers, 1).await;
    assert_eq!(hub.site.succeeded("one", &types), 0, "the lower change is covered");
    hub.decided(&types, "covered").await;

    assert_eq!(hub.open("gui", NewChange::default()), 1);
    hub.built(&gui, 1).await;
    hub.edit("gui", 1, Edit::Body(Some("Depends on: rock/drivers#1".into())));
    hub.built(&gui, 2).await;
    hub.decided(&drivers, "covered").await;
    let explained = hub.site.cli(&["explain", "one", &gui]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("types#1"), "{explained}");

    // A restart builds nothing again.
    let builds = hub.site.builds().len();
    drop(_daemon);
    let _daemon = hub.site.start().await;
    hub.decided(&drivers, "covered").await;
    hub.decided(&gui, "unchanged").await;
    assert_eq!(hub.site.builds().len(), builds, "{}", hub.site.log());
    assert!(!hub.site.log().contains(TOKEN), "the token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_drafts_wait_and_what_is_over_is_gone() {
    let hub = Hub::new("true", "ref: head, drafts: hold", &["one"]).await;
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    let stranger = NewChange {
        author: "mallory".into(),
        association: "FIRST_TIME_CONTRIBUTOR".into(),
        fork: Some("mallory/types".into()),
        ..NewChange::default()
    };
    assert_eq!(hub.open("types", stranger), 1);
    let (types, drivers) = (hub.change("types", 1), hub.change("drivers", 1));
    hub.decided(&types, "held").await;
    hub.decided(&types, "approve").await;
    assert!(hub.site.builds().is_empty());
    assert!(hub.site.cli(&["approve", "one", &types]).status.success());
    hub.built(&types, 1).await;

    assert_eq!(hub.open("drivers", NewChange { draft: true, ..NewChange::default() }), 1);
    hub.decided(&drivers, "it is a draft").await;
    hub.edit("drivers", 1, Edit::Draft(false));
    hub.built(&drivers, 1).await;

    hub.edit("types", 1, Edit::Close);
    hub.decided(&types, "none").await;
    // A dependency that was closed blocks; taken up again, it is a stranger's again.
    hub.edit("drivers", 1, Edit::Body(Some("Depends on: rock/types#1".into())));
    hub.decided(&drivers, "blocked").await;
    hub.edit("types", 1, Edit::Reopen);
    hub.decided(&drivers, "held").await;
    // Merged, it is in the mainline: what is left of the set was built already.
    hub.edit("types", 1, Edit::Merge);
    hub.decided(&types, "none").await;
    hub.decided(&drivers, "unchanged").await;
}

/// Requests of five cycles in which nothing moves.
async fn idle_cost(workspaces: &[&str]) -> u64 {
    let hub = Hub::new("true", "ref: head", workspaces).await;
    let _daemon = hub.site.start().await;
    hub.site.settled(workspaces).await;
    let asked = |what: &str| hub.model.requests().of(what).requests;
    for rest in [true, false] {
        // A read that began before the first of these may end after it.
        hub.model.forget_requests();
        eventually("five cycles", async || asked("graphql") >= 5).await;
        let lines = hub.model.requests().lines;
        assert!(rest || asked("/repos") == 0, "nothing moved: {lines:?}\n{}", hub.site.log());
    }
    asked("graphql")
}

#[tokio::test(flavor = "multi_thread")]
async fn five_workspaces_cost_what_one_costs() {
    let one = idle_cost(&["one"]).await;
    let five = idle_cost(&["one", "two", "three", "four", "five"]).await;
    assert!(five <= one + 1, "one workspace: {one} requests, five: {five}");
}
