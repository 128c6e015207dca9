//! Changes that alter what the manifest says, with real git and real tools: a package that exists only
//! as a pull request is built with the change that brings it, without a manual step.

use std::path::{Path, PathBuf};

use super::bench::{Bench, put};
use crate::support::eventually;
use crate::support::git_http::GitHttpServer;
use crate::support::git_repo::git;
use crate::support::site::{Daemon, Site};

/// Opens or updates a change on top of `main`, with these files in it and this message; its head.
fn propose(site: &Site, name: &str, number: u32, files: &[(&str, &str)], message: &str) -> String {
    let repo = site.repo(name);
    git(&repo, &["read-tree", "refs/heads/main"]);
    let file = site.path().join("proposed");
    for (path, text) in files {
        std::fs::write(&file, text).expect("a file");
        let blob = git(&repo, &["hash-object", "-w", &file.display().to_string()]);
        let entry = format!("100644,{blob},{path}");
        git(&repo, &["update-index", "--add", "--cacheinfo", &entry]);
    }
    let tree = git(&repo, &["write-tree"]);
    let head = git(&repo, &["commit-tree", "-p", "refs/heads/main", "-m", message, &tree]);
    git(&repo, &["update-ref", &format!("refs/pull/{number}/head"), &head]);
    head
}

/// Logs of candidates of the workspace `one`.
fn logs(site: &Site) -> Vec<PathBuf> {
    let folder = site.state().join("logs/one+candidates");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.to_string_lossy().contains("-update.log")).collect()
}

/// Copies that are there now.
fn copies(site: &Site) -> usize {
    std::fs::read_dir(site.state().join("candidates")).into_iter().flatten().count()
}

async fn nothing_left(site: &Site) {
    eventually("no copy is left", async || copies(site) == 0).await;
}

/// What a sandbox has to see for a tool of the environment for tests: its interpreter's folders.
pub(super) fn interpreter(tool: &str) -> String {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv-tools");
    let script = std::fs::read_to_string(own.join("bin").join(tool)).expect("the tool");
    let first = script.lines().next().expect("a line").trim_start_matches("#!");
    let python = Path::new(first);
    let home = |path: &Path| path.parent().and_then(Path::parent).expect("a folder").to_owned();
    let mut folders = vec![own, home(python)];
    let mut link = python.to_owned();
    while let Ok(next) = std::fs::read_link(&link) {
        link = link.parent().expect("a folder").join(next);
        folders.push(home(&link));
    }
    folders.push(home(&python.canonicalize().expect("an interpreter")));
    folders.sort();
    folders.dedup();
    let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    format!("    candidates: {{read_only: [{}]}}\n", folders.join(", "))
}

fn west(url: &str, projects: &[&str]) -> String {
    let projects: Vec<String> =
        projects.iter().map(|name| format!("{{name: {name}, repo-path: {name}.git}}")).collect();
    format!(
        "manifest:\n  remotes: [{{name: up, url-base: {url}}}]\n  defaults: {{remote: up, revision: main}}\n  \
         projects: [{}]\n  self: {{path: conf}}\n",
        projects.join(", ")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_exists_only_as_a_pull_request_is_built_with_the_change_that_brings_it() {
    let bench = Bench::new().await;
    bench.needs("west");
    let (site, url) = (&bench.site, &bench.url);
    put(site, "conf", "refs/heads/main", &[("west.yml", &west(url, &["lib", "app"]))]);
    let lines = format!("{}{}", bench.source(), interpreter("west"));
    let daemon = bench.start("west", &lines).await;

    site.repository("fresh");
    let first = propose(site, "fresh", 1, &[("README", "fresh")], "The first of it");
    let added = west(url, &["lib", "app", "fresh"]);
    propose(site, "conf", 1, &[("west.yml", &added)], "Add fresh\n\nDepends-On: fresh#1");
    eventually(&format!("both are built together:\n{}", site.log()), async || {
        site.succeeded("one", "mirror/conf#1") == 1
    })
    .await;
    let given = |head: &str| {
        let json = bench.printed_for("conf#1", "json");
        json.contains(head) && json.contains("\"fresh\"") && json.contains("mirror/fresh#1")
    };
    assert!(given(&first), "{}", bench.printed_for("conf#1", "json"));
    assert!(bench.printed_for("conf#1", "west").contains("name: \"fresh\""));
    assert!(site.decision("one", "mirror/fresh#1").starts_with("covered"));
    let explained = site.cli(&["explain", "one", "conf#1"]);
    let explained = String::from_utf8(explained.stdout).expect("text");
    assert!(explained.contains("touches the workspace's source"), "{explained}");
    assert!(explained.contains("adds fresh"), "{explained}");
    assert_eq!(bench.packages(), 2, "the mainline does not have it");

    // A push to the new package rebuilds the set.
    let second = propose(site, "fresh", 1, &[("README", "fresher")], "The second of it");
    eventually("the set is built again", async || site.succeeded("one", "mirror/conf#1") == 2)
        .await;
    assert!(given(&second));
    nothing_left(site).await;

    // A restart makes none again.
    let made = logs(site).len();
    drop(daemon);
    let _daemon = site.start_with(&[("PATH", bench.path())]).await;
    eventually("it is known again", async || {
        site.decision("one", "mirror/conf#1").starts_with("unchanged")
    })
    .await;
    assert_eq!(logs(site).len(), made, "{}", site.log());

    // Closed: forgotten.
    git(&site.repo("conf"), &["update-ref", "-d", "refs/pull/1/head"]);
    eventually("it is forgotten", async || {
        site.decision("one", "mirror/conf#1") == "none"
            && site.decision("one", "mirror/fresh#1") == "none"
    })
    .await;

    // A broken one blocks its own set alone, and says what the tool said.
    propose(site, "conf", 2, &[("west.yml", "manifest: [broken\n")], "Break it");
    bench.change("app", 3, "app");
    eventually("it is blocked", async || {
        site.decision("one", "mirror/conf#2").starts_with("blocked: its candidate failed")
    })
    .await;
    let reason = site.decision("one", "mirror/conf#2");
    assert!(reason.contains("its log is") && reason.contains("yaml"), "{reason}");
    eventually("others go on", async || site.succeeded("one", "mirror/app#3") == 1).await;
    nothing_left(site).await;
}

/// A workspace without any tool's help: package `types` names what it depends on in `deps`.
struct Plain {
    site: Site,
    _server: GitHttpServer,
    _daemon: Daemon,
}

impl Plain {
    async fn start(authors: &str, more: &str) -> Self {
        let site = Site::new();
        let server = GitHttpServer::start(&site.git_root()).await;
        let url = server.url.clone();
        let script = "set -e\ngit pull -q --ff-only\n. ./more.sh\nfetch() {\n  if [ -d $1 ]; then git -C $1 fetch -q origin main; \
             git -C $1 reset -q --hard FETCH_HEAD\n  else git clone -q \"$URL/$1.git\" $1; fi\n}\nfetch types\nall=types\n\
             for d in $(cat types/deps); do fetch $d; all=\"$all $d\"; done\nsep=\n{ printf '{\"version\": 1, \"packages\": ['\n\
             for p in $all; do printf '%s{\"name\": \"%s\", \"git\": {\"url\": \"%s\", \"branch\": \"main\"}}' \"$sep\" $p \"$URL/$p.git\"; sep=,; done\n\
             printf '], \"definitions\": []}'; } > manifest.json\n";
        put(&site, "types", "refs/heads/main", &[("deps", "drivers\n")]);
        put(&site, "conf", "refs/heads/main", &[("update.sh", script), ("more.sh", "")]);
        let ci = site.local_ci("true");
        let port = site.pages().rsplit_once(':').expect("a port").1.to_owned();
        site.write_config(&format!(
            "version: 1\nstate_dir: {state}\nlisten: 127.0.0.1:{port}\nforges:\n  mirror: {{kind: git, \
             url: \"{url}\", authors: {authors}, poll: {{interval: 1s}}}}\nci:\n{ci}\nworkspaces:\n  - name: one\n    \
             source: {{url: \"{url}/conf.git\", branch: main}}\n    \
             bootstrap: {{run: [git, clone, -q, \"{url}/conf.git\", .]}}\n    \
             update: {{run: [sh, ./update.sh]}}\n    env: {{URL: \"{url}\"}}\n    \
             manifest: {{format: crosswatch, path: manifest.json}}\n    defining: [deps]\n    \
             mainline: {{settle: 1s, settle_at_most: 5s}}\n    changes: {{settle: {{new: 300ms, push: 300ms}}}}\n{more}",
            state = site.state().display(),
            ci = if authors == "any" { ci } else { ci.replace(", sandbox: none", "") },
        ));
        let daemon = site.start().await;
        site.settled(&["one"]).await;
        Self { site, _server: server, _daemon: daemon }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_change_that_adds_a_dependency_is_built_with_it() {
    let Plain { site, .. } = &Plain::start("any", "").await;
    site.repository("extra");
    propose(site, "extra", 5, &[("README", "extra")], "Extra");
    // Nothing names where it comes from but the file that decides the manifest.
    propose(site, "types", 1, &[("deps", "drivers\nextra\n")], "Needs extra");
    eventually(&format!("it is built:\n{}", site.log()), async || {
        site.succeeded("one", "mirror/types#1") == 1
    })
    .await;
    let affected = |site: &Site, subject: &str| {
        let builds = site.builds();
        let found = builds.iter().find(|build| build["request"]["subject"] == subject);
        found.expect("a build")["request"].clone()
    };
    assert_eq!(affected(site, "mirror/types#1")["affected"], serde_json::json!(["extra", "types"]));
    // With the pull request of the dependency, by reference.
    let message = "Needs extra\n\nDepends-On: extra#5";
    propose(site, "types", 1, &[("deps", "drivers\nextra\n"), ("x", "y")], message);
    eventually("both are built", async || site.succeeded("one", "mirror/types#1") == 2).await;
    let set = affected(site, "mirror/types#1")["set"].clone();
    assert_eq!(set.as_array().expect("a set").len(), 2, "{set}");
    // What touches no such file has none.
    let before = logs(site).len();
    propose(site, "types", 2, &[("src", "z")], "Plain");
    eventually("it is built", async || site.succeeded("one", "mirror/types#2") == 1).await;
    assert_eq!(logs(site).len(), before);
    nothing_left(site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_untrusted_change_runs_and_an_approved_one_is_shut_in() {
    let plain = Plain::start("none", "").await;
    let site = &plain.site;
    let canary = site.path().join("canary");
    let more = format!(
        "echo out > {}\ncat {}/crosswatch.sqlite || echo hidden\n\
         curl -s -m 2 $URL || echo no network\n",
        canary.display(),
        site.state().display()
    );
    propose(site, "conf", 1, &[("more.sh", &more)], "Do harm");
    eventually("it is held", async || {
        site.decision("one", "mirror/conf#1").starts_with("held: a head of its set is not trusted")
    })
    .await;
    // Another change that is decided after it shows that there was time to run it.
    propose(site, "drivers", 2, &[("x", "y")], "Plain");
    eventually("the other is held", async || {
        site.decision("one", "mirror/drivers#2").starts_with("held: a head of its set is not")
    })
    .await;
    assert_eq!((logs(site).len(), copies(site)), (0, 0));
    assert!(site.cli(&["approve", "one", "conf#1"]).status.success());
    eventually(&format!("it is made:\n{}", site.log()), async || logs(site).len() == 1).await;
    nothing_left(site).await;
    let log = logs(site).remove(0).display().to_string();
    let said = crosswatch::supervise::log::tail(Path::new(&log), 100).expect("a log");
    let said: Vec<&str> = said.iter().map(|line| line.text.as_str()).collect();
    assert!(said.contains(&"hidden") && said.contains(&"no network"), "{said:?}");
    assert!(!canary.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_bounded_in_number_and_size_and_none_is_left() {
    let plain = Plain::start("any", "    candidates: {max_size: 8MiB}\n").await;
    let site = &plain.site;
    for number in 1..=3 {
        let more = format!("sleep 0.5 # {number}\n");
        propose(site, "conf", number, &[("more.sh", &more)], "Slow");
    }
    let mut most = 0;
    eventually(&format!("all are built:\n{}", site.log()), async || {
        most = most.max(copies(site));
        (1..=3).all(|number| site.succeeded("one", &format!("mirror/conf#{number}")) == 1)
    })
    .await;
    assert_eq!(most, 1, "copies at once");
    let more = "dd if=/dev/zero of=big bs=1M count=64; sleep 60\n";
    propose(site, "conf", 4, &[("more.sh", more)], "Large");
    eventually("it is blocked", async || {
        site.decision("one", "mirror/conf#4").starts_with("blocked: its candidate failed")
    })
    .await;
    let reason = site.decision("one", "mirror/conf#4");
    assert!(reason.contains("filled its folder beyond its limit"), "{reason}");
    nothing_left(site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_daemon_left_is_removed() {
    let plain = Plain::start("any", "").await;
    let Plain { site, _server, _daemon } = plain;
    propose(&site, "conf", 1, &[("more.sh", "sleep 600\n")], "Slow");
    eventually("it is being made", async || copies(&site) == 1 && logs(&site).len() == 1).await;
    _daemon.kill();
    assert_eq!(copies(&site), 1);
    propose(&site, "conf", 1, &[("more.sh", "true\n")], "Quick");
    let _daemon = site.start().await;
    eventually("it is built", async || site.succeeded("one", "mirror/conf#1") == 1).await;
    nothing_left(&site).await;
}
