//! A site whose one workspace is made by a real tool, and a build that applies overrides with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::git_http::GitHttpServer;
use crate::support::git_repo::git;
use crate::support::site::{Daemon, Site};

/// Repositories, their server, and where the tools are.
pub(super) struct Bench {
    pub(super) site: Site,
    pub(super) url: String,
    _server: GitHttpServer,
    path: String,
}

impl Bench {
    /// With `lib` and `app`, each with one file, which `files` may add to; their heads are on `main`.
    pub(super) async fn new() -> Self {
        let site = Site::new();
        for name in ["lib", "app", "pinned"] {
            site.repository(name);
            put(&site, name, "refs/heads/main", &[("README", name)]);
        }
        let server = GitHttpServer::start(&site.git_root()).await;
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv-tools/bin");
        let inherited = std::env::var("PATH").expect("a PATH");
        Self {
            site,
            url: server.url.clone(),
            _server: server,
            path: format!("{}:{inherited}", own.display()),
        }
    }

    /// `PATH` with the tools.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// What the workspace's last run failed with, and the end of its output.
    fn failure(&self) -> Option<String> {
        let rows = self.site.ask(&["workspaces"])?;
        let row = rows.get(0)?;
        row["failure"].as_str().map(|why| format!("{why}\n{}", row["tail"]))
    }

    /// Whether a tool is there; `scripts/setup --tests` brings all but repo.
    pub(super) fn needs(&self, tool: &str) {
        let found = self.path.split(':').any(|folder| Path::new(folder).join(tool).is_file());
        assert!(
            found,
            "no {tool}: run scripts/setup --tests, which installs it into target/venv-tools"
        );
    }

    /// Starts the daemon with one workspace, `one`, that has `lines` beside its source.
    pub(super) async fn start(&self, tool: &str, lines: &str) -> Daemon {
        let (site, url) = (&self.site, &self.url);
        let kept = site.path().join("spelled");
        let ci = site.local_ci(&format!(
            "[ \"$CROSSWATCH_SUBJECT\" = mainline ] || cp ../overrides.* {}",
            kept.display()
        ));
        std::fs::create_dir_all(&kept).expect("a folder");
        // Once a daemon has read the port it is the site's.
        let port = site.pages().rsplit_once(':').expect("a port").1.to_owned();
        site.write_config(&format!(
            "version: 1\nstate_dir: {state}\nlisten: 127.0.0.1:{port}\nforges:\n  mirror: {{kind: git, \
             url: \"{url}\", authors: any, poll: {{interval: 1s}}}}\nci:\n{ci}\nworkspaces:\n  - name: \
             one\n    tool: {tool}\n    mainline: {{settle: 1s, settle_at_most: 5s}}\n    changes: \
             {{settle: {{new: 300ms, push: 300ms}}}}\n{lines}",
            state = site.state().display(),
        ));
        let daemon = site.start_with(&[("PATH", &self.path)]).await;
        eventually("the workspace is made or failed", async || {
            self.failure().is_some() || site.decision("one", "mainline").starts_with("unchanged")
        })
        .await;
        assert_eq!(self.failure(), None, "{}", site.log());
        daemon
    }

    /// `source:` of the workspace.
    pub(super) fn source(&self) -> String {
        format!("    source: {{url: \"{}/conf.git\", branch: main}}\n", self.url)
    }

    /// Opens changes of `lib` and of `app`, which depends on it; their heads once they were built
    /// together, and the overrides as the CI was given them in the file of that name.
    pub(super) async fn set(&self, file: &str) -> (BTreeMap<&'static str, String>, String) {
        let site = &self.site;
        let mut heads = BTreeMap::new();
        site.together("one", &["mirror/lib#1", "mirror/app#1"], || {
            heads.insert("lib", self.change("lib", 1, "lib"));
            heads.insert("app", self.change("app", 1, "app\n\nDepends-On: lib#1"));
        })
        .await;
        eventually("the set is built", async || site.succeeded("one", "mirror/app#1") == 1).await;
        let given = std::fs::read_to_string(site.path().join("spelled").join(file));
        (heads, given.expect("the CI was given the overrides"))
    }

    /// What `crosswatch overrides` prints for the upper change of the set.
    pub(super) fn printed(&self, format: &str) -> String {
        self.printed_for("app#1", format)
    }

    /// The same for any change.
    pub(super) fn printed_for(&self, change: &str, format: &str) -> String {
        let output = self.site.cli(&["overrides", "one", change, "--format", format]);
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("text")
    }

    /// Pushes to `lib` and gives the mainline's heads by package, and what was affected.
    pub(super) async fn mainline(&self) -> (BTreeMap<String, String>, Value) {
        let site = &self.site;
        let before = site.succeeded("one", "mainline");
        self.commit("lib", "refs/heads/main", "second");
        eventually("the mainline is built", async || site.succeeded("one", "mainline") > before)
            .await;
        let build = site
            .builds()
            .into_iter()
            .find(|build| build["request"]["subject"] == "mainline")
            .expect("a build of the mainline");
        let heads = build["request"]["heads"].as_array().expect("heads").iter();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let mut heads: BTreeMap<String, String> =
            heads.map(|head| (text(&head["package"]), text(&head["head"]))).collect();
        assert_eq!(heads.remove("source"), Some(self.head("conf", "main")));
        (heads, build["request"]["affected"].clone())
    }

    /// Opens or updates a change with the files of `main`; its head.
    pub(super) fn change(&self, name: &str, number: u32, message: &str) -> String {
        self.commit(name, &format!("refs/pull/{number}/head"), message)
    }

    /// Commits the files of `main` once more, on top of it, to a ref.
    fn commit(&self, name: &str, reference: &str, message: &str) -> String {
        let repo = self.site.repo(name);
        let tree = git(&repo, &["rev-parse", "refs/heads/main^{tree}"]);
        let commit = git(&repo, &["commit-tree", "-p", "refs/heads/main", "-m", message, &tree]);
        git(&repo, &["update-ref", reference, &commit]);
        commit
    }

    /// Packages of the manifest in force, pinned ones too.
    pub(super) fn packages(&self) -> Value {
        self.site.ask(&["workspaces"]).expect("an answer")[0]["packages"].clone()
    }

    /// The commit of a branch or change of a repository.
    pub(super) fn head(&self, name: &str, reference: &str) -> String {
        git(&self.site.repo(name), &["rev-parse", reference])
    }

    /// An empty folder for a build.
    pub(super) fn build_folder(&self) -> PathBuf {
        let folder = self.site.path().join("build");
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    /// Runs a tool as a build step does; its standard output.
    #[expect(clippy::disallowed_methods, reason = "the tool itself is what is tested")]
    pub(super) fn run(&self, dir: &Path, argv: &[&str], stdin: &str) -> String {
        let file = self.site.path().join("stdin");
        std::fs::write(&file, stdin).expect("a file");
        let (program, arguments) = argv.split_first().expect("a program");
        let output = Command::new("env")
            .arg(program)
            .args(arguments)
            .current_dir(dir)
            .env("PATH", &self.path)
            .stdin(Stdio::from(std::fs::File::open(file).expect("a file")))
            .output()
            .expect("env starts");
        let said = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{argv:?}: {said}{printed}");
        printed
    }
}

/// Commits files to a ref of a repository, on top of what it has; the commit.
pub(super) fn put(site: &Site, name: &str, reference: &str, files: &[(&str, &str)]) -> String {
    let work = tempfile::tempdir_in(site.path()).expect("a folder");
    for (path, text) in files {
        let path = work.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    let repo = site.repo(name);
    let git_dir = format!("--git-dir={}", repo.display());
    let tree = format!("--work-tree={}", work.path().display());
    git(work.path(), &[&git_dir, &tree, "add", "-A", "."]);
    commit_index(site, name, reference)
}

/// Commits what the index of a bare repository has.
pub(super) fn commit_index(site: &Site, name: &str, reference: &str) -> String {
    let repo = site.repo(name);
    let tree = git(&repo, &["write-tree"]);
    let mut arguments = vec!["commit-tree", "-m", "files"];
    let parent = git(&repo, &["for-each-ref", "--format=%(objectname)", reference]);
    if !parent.is_empty() {
        arguments.extend(["-p", &parent]);
    }
    arguments.push(&tree);
    let commit = git(&repo, &arguments);
    git(&repo, &["update-ref", reference, &commit]);
    commit
}

/// The commit that a folder is on.
pub(super) fn checked_out(folder: &Path) -> String {
    git(folder, &["rev-parse", "HEAD"])
}

/// A map as the tests compare it.
pub(super) fn heads(pairs: &[(&str, String)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, head)| ((*name).to_owned(), head.clone())).collect()
}

/// A JSON list of names.
pub(super) fn names(names: &[&str]) -> Value {
    json!(names)
}
