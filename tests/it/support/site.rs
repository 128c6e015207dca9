//! A whole site for one test: real repositories, a configuration, and the built program as daemon.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::git_repo::{bare, commit, git};
use super::{eventually, free_port};

/// Repositories, configuration and state below one folder.
pub struct Site {
    dir: tempfile::TempDir,
    port: u16,
}

/// A running daemon; it is killed when it is dropped.
pub struct Daemon {
    child: Child,
}

/// How the daemon is started.
pub struct Launch {
    /// What comes before `run` on its command line, the program itself as the last.
    pub words: Vec<String>,
    /// Variables of its environment.
    pub variables: Vec<(String, String)>,
    /// Its standard input.
    pub stdin: Stdio,
}

impl Site {
    /// Repositories `types`, `drivers` and `gui`, and the source `conf` whose manifest has them.
    pub fn new() -> Self {
        let site = Self { dir: tempfile::tempdir().expect("a folder"), port: free_port() };
        std::fs::create_dir_all(site.git_root()).expect("a folder");
        for name in ["types", "drivers", "gui"] {
            site.repository(name);
        }
        bare(&site.git_root(), "conf.git");
        site
    }

    /// The folder of everything.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The folder of the repositories.
    pub fn git_root(&self) -> PathBuf {
        self.path().join("git")
    }

    /// The daemon's state directory.
    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// Address of the pages.
    pub fn pages(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The bare repository `name`.
    pub fn repo(&self, name: &str) -> PathBuf {
        self.git_root().join(format!("{name}.git"))
    }

    /// Makes a repository with one commit on `main`.
    pub fn repository(&self, name: &str) {
        bare(&self.git_root(), &format!("{name}.git"));
        commit(&self.repo(name), "refs/heads/main", "first", &[]);
    }

    /// Commits a manifest with `packages` to the source, whose repositories are below `url`.
    pub fn manifest(&self, url: &str, packages: &[(&str, &[&str])]) {
        let packages: Vec<Value> = packages
            .iter()
            .map(|(name, depends_on)| {
                serde_json::json!({
                    "name": name,
                    "git": { "url": format!("{url}/{name}.git"), "branch": "main" },
                    "depends_on": depends_on,
                })
            })
            .collect();
        let text = serde_json::json!({ "version": 1, "packages": packages, "definitions": [] });
        self.source_file(&text.to_string());
    }

    /// Commits `text` as the source's `manifest.json`.
    pub fn source_file(&self, text: &str) {
        let file = self.path().join("manifest.json");
        std::fs::write(&file, text).expect("a file");
        let repo = self.repo("conf");
        let blob = git(&repo, &["hash-object", "-w", &file.display().to_string()]);
        let index = self.path().join("index");
        let tree = {
            let entry = format!("100644 blob {blob}\tmanifest.json\n");
            std::fs::write(&index, entry).expect("a file");
            let script = format!("git mktree < {}", index.display());
            shell(&repo, &script)
        };
        let oid = git(&repo, &["commit-tree", "-m", "manifest", &tree]);
        git(&repo, &["update-ref", "refs/heads/main", &oid]);
    }

    /// Opens or updates change `number` of a repository, on top of `main`; its head.
    pub fn change(&self, name: &str, number: u32, message: &str) -> String {
        let repo = self.repo(name);
        let main = git(&repo, &["rev-parse", "refs/heads/main"]);
        commit(&repo, &format!("refs/pull/{number}/head"), message, &[&main])
    }

    /// Pushes a commit to `main` of a repository; its name.
    pub fn push(&self, name: &str, message: &str) -> String {
        let repo = self.repo(name);
        let main = git(&repo, &["rev-parse", "refs/heads/main"]);
        commit(&repo, "refs/heads/main", message, &[&main])
    }

    /// `file://` address of the repositories.
    pub fn file_url(&self) -> String {
        format!("file://{}", self.git_root().display())
    }

    /// Writes a configuration: a forge at `url`, short times, the `ci` lines and `workspaces`.
    pub fn configure(&self, url: &str, ci: &str, workspaces: &[&str]) {
        let mut text = format!(
            "version: 1\nstate_dir: {state}\nlisten: 127.0.0.1:{port}\nforges:\n  mirror:\n    \
             kind: git\n    url: \"{url}\"\n    authors: any\n    poll: {{interval: 1s}}\n\
             ci:\n{ci}\ndefaults:\n  source: {{url: \"{url}/conf.git\", branch: main}}\n  \
             bootstrap: {{run: [git, clone, -q, \"{url}/conf.git\", .], timeout: 1m}}\n  \
             update: {{run: [git, pull, -q, --ff-only], timeout: 1m}}\n  \
             manifest: {{format: crosswatch, path: manifest.json}}\n  \
             mainline: {{settle: 1s, settle_at_most: 5s}}\n  \
             changes: {{settle: {{new: 300ms, push: 300ms}}}}\nworkspaces:\n",
            state = self.state().display(),
            port = self.port,
        );
        for name in workspaces {
            text.push_str(&format!("  - name: {name}\n"));
        }
        self.write_config(&text);
    }

    /// Writes a configuration as it is.
    pub fn write_config(&self, text: &str) {
        let file = self.path().join("workspaces.yaml");
        let new = self.path().join("workspaces.yaml.new");
        std::fs::write(&new, text).expect("a file");
        std::fs::rename(new, file).expect("a file");
    }

    /// The `ci:` lines of a CI that runs `script` here; its builds append to [`Self::built`].
    pub fn local_ci(&self, script: &str) -> String {
        let file = self.path().join("ci.sh");
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&file, mode).expect("a mode");
        format!(
            "  here: {{kind: local, run: [{}], slots: 4, timeout: 1m, poll_interval: 200ms, sandbox: none}}",
            file.display()
        )
    }

    /// Starts the daemon and waits until it is ready.
    pub async fn start(&self) -> Daemon {
        self.start_with(&[]).await
    }

    /// The same with variables of the environment.
    pub async fn start_with(&self, variables: &[(&str, &str)]) -> Daemon {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.launch(Launch {
            words: vec![env!("CARGO_BIN_EXE_crosswatch").to_owned()],
            variables: variables.collect(),
            stdin: Stdio::null(),
        })
        .await
    }

    /// The same in whatever way.
    #[expect(clippy::disallowed_methods, reason = "the daemon itself is what is tested")]
    pub async fn launch(&self, launch: Launch) -> Daemon {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path().join("daemon.log"))
            .expect("a log");
        let child = Command::new(&launch.words[0])
            .args(&launch.words[1..])
            .args(["run", "--config"])
            .arg(self.path().join("workspaces.yaml"))
            .env_remove("CROSSWATCH_SOCKET")
            .env_remove("RUNTIME_DIRECTORY")
            .envs(launch.variables)
            .stdin(launch.stdin)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let daemon = Daemon { child };
        eventually(&format!("the daemon is ready:\n{}", self.log()), async || {
            self.ask(&["workspaces"]).is_some()
        })
        .await;
        daemon
    }

    /// Starts the daemon with a state directory on a disk of its own, of 8 MiB, which is seen from
    /// outside at [`Daemon::inside`]. Wants root, or a system that lets users make namespaces.
    #[expect(clippy::disallowed_methods, reason = "the daemon itself is what is tested")]
    pub async fn start_on_a_small_disk(&self) -> Daemon {
        std::fs::create_dir_all(self.state()).expect("a folder");
        let log = std::fs::File::create(self.path().join("daemon.log")).expect("a log");
        let script = "mount -t tmpfs -o size=8m tmpfs \"$0\" && exec \"$@\"";
        let child = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", script])
            .arg(self.state())
            .arg(env!("CARGO_BIN_EXE_crosswatch"))
            .args(["run", "--config"])
            .arg(self.path().join("workspaces.yaml"))
            .env("CROSSWATCH_SOCKET", self.socket())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("unshare starts");
        let daemon = Daemon { child };
        eventually("the daemon is ready", async || self.ask(&["workspaces"]).is_some()).await;
        daemon
    }

    /// The socket of a daemon whose state directory is not seen from outside.
    fn socket(&self) -> PathBuf {
        self.path().join("api.sock")
    }

    /// What the daemon logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("daemon.log")).unwrap_or_default()
    }

    /// Runs a command of the command line.
    #[expect(clippy::disallowed_methods, reason = "the command line itself is what is tested")]
    pub fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crosswatch"));
        if self.socket().exists() {
            command.arg("--socket").arg(self.socket());
        }
        command
            .arg("--config")
            .arg(self.path().join("workspaces.yaml"))
            .args(arguments)
            .env_remove("CROSSWATCH_SOCKET")
            .env_remove("RUNTIME_DIRECTORY")
            .output()
            .expect("the program starts")
    }

    /// The JSON answer of a command, once it succeeds.
    pub fn ask(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.cli(&[&["--json"], arguments].concat());
        output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    /// Builds, newest first.
    pub fn builds(&self) -> Vec<Value> {
        match self.ask(&["builds", "--limit", "500"]) {
            Some(Value::Array(builds)) => builds,
            _ => Vec::new(),
        }
    }

    /// Builds of a subject that ended with a success.
    pub fn succeeded(&self, workspace: &str, subject: &str) -> usize {
        self.builds()
            .iter()
            .filter(|build| {
                build["request"]["workspace"] == workspace
                    && build["request"]["subject"] == subject
                    && build["stage"] == serde_json::json!({ "ended": "success" })
            })
            .count()
    }

    /// Decision and reason of a subject, as `word: reason`.
    pub fn decision(&self, workspace: &str, subject: &str) -> String {
        let Some(Value::Array(rows)) = self.ask(&["changes", workspace]) else {
            return "no answer".to_owned();
        };
        rows.iter().find(|row| row["change"] == subject).map_or_else(
            || "none".to_owned(),
            |row| {
                let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
                format!("{}: {}", text("decision"), text("reason"))
            },
        )
    }

    /// Opens changes while the workspace is paused and goes on when all of `subjects` are seen, so
    /// that which of them is seen first does not matter.
    pub async fn together(&self, workspace: &str, subjects: &[&str], open: impl FnOnce()) {
        assert!(self.cli(&["pause", workspace]).status.success());
        open();
        for subject in subjects {
            eventually(&format!("{subject} is seen"), async || {
                let decision = self.decision(workspace, subject);
                decision.starts_with("held") || decision.starts_with("blocked")
            })
            .await;
        }
        assert!(self.cli(&["resume", workspace]).status.success());
    }

    /// Waits until every workspace is bootstrapped and its mainline was recorded.
    pub async fn settled(&self, workspaces: &[&str]) {
        for name in workspaces {
            eventually(&format!("{name} is recorded:\n{}", self.log()), async || {
                self.decision(name, "mainline").starts_with("unchanged")
            })
            .await;
        }
    }
}

impl Daemon {
    /// Kills it as a power cut would: the daemon and its parent, not the keepers.
    pub fn kill(mut self) {
        let daemon = Path::new("/proc").join(self.id().to_string());
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        // The kernel kills the daemon when its parent dies. Its first thread may be over while others still
        // have its files, and with them the lock of the state directory.
        let lives = || {
            let threads = std::fs::read_dir(daemon.join("task")).into_iter().flatten().flatten();
            let over = |stat: String| stat.contains(") Z ") || stat.contains(") X ");
            let mut stats =
                threads.map(|thread| std::fs::read_to_string(thread.path().join("stat")));
            stats.any(|stat| stat.is_ok_and(|stat| !over(stat)))
        };
        while lives() {
            std::thread::yield_now();
        }
    }

    /// A path as the daemon sees it.
    pub fn inside(&self, path: &Path) -> PathBuf {
        let relative = path.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(self.id().to_string()).join("root").join(relative)
    }

    /// Waits until the process that was started is over.
    pub fn wait(&mut self) {
        self.child.wait().expect("it ends");
    }

    /// The process that was started: the daemon's parent.
    pub fn parent_id(&self) -> u32 {
        self.child.id()
    }

    /// Its process id: the only child of the process that was started, which is its parent.
    pub fn id(&self) -> u32 {
        let parent = self.child.id();
        let path = format!("/proc/{parent}/task/{parent}/children");
        let children = std::fs::read_to_string(path).expect("its parent runs");
        children.split_whitespace().next().expect("it runs").parse().expect("a number")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Killed already, or killed now.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[expect(clippy::disallowed_methods, reason = "tests build their repositories themselves")]
fn shell(dir: &Path, script: &str) -> String {
    let output =
        Command::new("sh").args(["-c", script]).current_dir(dir).output().expect("a shell");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
