//! The site where the programs run: one workspace for each, under a daemon that has a terminal.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::traces::MARK;
use super::{Does, End, Piece, Who};
use crate::support::git_http::GitHttpServer;
use crate::support::site::{Daemon, Launch, Site};

/// Who nobody is.
const NOBODY: u32 = 65_534;
const PATHS: &str = "/usr/local/bin:/usr/bin:/bin";

/// A running daemon whose updates are hostile.
pub(super) struct Stage {
    pub(super) site: Site,
    pub(super) daemon: Daemon,
    who: Who,
    _private: GitHttpServer,
    _mute: TcpListener,
    _terminal: Terminal,
}

impl Stage {
    /// Between TERM and KILL, in milliseconds.
    pub(super) const GRACE: u64 = 300;

    pub(super) async fn open(who: Who, pieces: &[&Piece]) -> Self {
        let site = Site::new();
        let private = GitHttpServer::start(&site.git_root()).await;
        private.require(Some("Basic of nobody"));
        // It takes connections and never says a word.
        let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
        let ssh = mute.local_addr().expect("an address").to_string();
        prepare(&site, pieces, &private.url, &ssh);
        configure(&site, who, pieces);
        let terminal = Terminal::open(who);
        let daemon = site.launch(launch(&site, who, &terminal)).await;
        let (_private, _mute, _terminal) = (private, mute, terminal);
        Self { site, daemon, who, _private, _mute, _terminal }
    }

    /// Where a program writes down its processes.
    pub(super) fn notes(&self, name: &str) -> PathBuf {
        self.site.path().join("notes").join(name)
    }

    /// What its processes have in their environment or among their arguments, if they leave it.
    pub(super) fn marker(&self, name: &str) -> String {
        marker(self.who, name)
    }

    /// What the daemon says about each workspace.
    pub(super) fn workspaces(&self) -> BTreeMap<String, Value> {
        let Some(Value::Array(rows)) = self.site.ask(&["workspaces"]) else {
            return BTreeMap::new();
        };
        let named = |row: Value| Some((row["name"].as_str()?.to_owned(), row));
        rows.into_iter().filter_map(named).collect()
    }

    /// Wants the next run of a workspace, which is well-behaved; whether the daemon took the order.
    pub(super) fn again(&self, piece: &Piece) -> bool {
        let act = if piece.fresh() { "rebootstrap" } else { "update" };
        self.site.cli(&[act, piece.name]).status.success()
    }

    /// Whether the well-behaved run came to its end.
    pub(super) fn is_good(&self, name: &str) -> bool {
        self.site.path().join("good").join(name).exists()
    }

    /// How its first update ended, by the result beside its log.
    pub(super) fn outcome(&self, name: &str) -> Value {
        let logs = std::fs::read_dir(self.site.state().join("logs").join(name));
        let paths = logs.into_iter().flatten().flatten().map(|entry| entry.path());
        let first = paths.filter(|path| path.to_string_lossy().ends_with("-update.json")).min();
        let text = first.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let result: Value = serde_json::from_str(&text).unwrap_or_default();
        result["outcome"].clone()
    }

    pub(super) fn size_of_logs(&self, name: &str) -> u64 {
        let logs = std::fs::read_dir(self.site.state().join("logs").join(name));
        let sizes = logs.into_iter().flatten().flatten().filter_map(|entry| entry.metadata().ok());
        sizes.map(|data| data.len()).sum()
    }

    /// The most memory that the daemon ever had, or its child where it has one.
    pub(super) fn peak_of_daemon(&self) -> u64 {
        let id = self.daemon.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.unwrap_or_default();
        let pids = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
        pids.chain([id]).map(peak).max().unwrap_or_default()
    }

    pub(super) fn elsewhere_is_untouched(&self) -> bool {
        let folder = self.site.path().join("elsewhere");
        let names: Vec<_> = std::fs::read_dir(&folder).into_iter().flatten().flatten().collect();
        names.len() == 1 && std::fs::read(folder.join("canary")).is_ok_and(|text| text == b"sings")
    }
}

/// Whether the daemon shows with `failure` that a run had this end.
pub(super) fn shown(end: End, failure: &str) -> bool {
    let words = match end {
        End::Code(0) => return failure.is_empty(),
        End::Code(code) => return failure.contains(&format!("exited with code {code};")),
        End::Signal(signal) => return failure.contains(&format!("ended by signal {signal}")),
        End::NoManifest => "manifest",
        End::FolderGone => "removed or replaced",
        End::Wall => "took longer than its timeout",
        End::Silence => "wrote nothing for longer than its silence",
        End::Memory => "memory",
        End::Processes => "processes",
        End::Disk => "disk",
        End::Output => "output",
        End::KeeperLost => "lost: its keeper",
    };
    failure.contains(words)
}

/// How the same is written in the result beside the log.
pub(super) fn recorded(end: End) -> Value {
    match end {
        End::Code(code) => serde_json::json!({ "finished": code }),
        End::NoManifest | End::FolderGone => serde_json::json!({ "finished": 0 }),
        End::Signal(signal) => serde_json::json!({ "signalled": signal }),
        End::Wall => serde_json::json!({ "timed_out": "wall" }),
        End::Silence => serde_json::json!({ "timed_out": "silence" }),
        End::Memory => serde_json::json!("out_of_memory"),
        End::Processes => serde_json::json!({ "over_limit": "processes" }),
        End::Disk => serde_json::json!({ "over_limit": "disk" }),
        End::Output => serde_json::json!({ "over_limit": "output" }),
        End::KeeperLost => serde_json::json!("keeper_lost"),
    }
}

/// Whether programs of the gallery find this one.
pub(super) fn installed(program: &str) -> bool {
    PATHS.split(':').any(|folder| Path::new(folder).join(program).is_file())
}

fn marker(who: Who, name: &str) -> String {
    format!("{MARK}{}-{who:?}-{name}.", std::process::id())
}

fn prepare(site: &Site, pieces: &[&Piece], http: &str, ssh: &str) {
    let root = site.path();
    for folder in ["programs", "flags", "good", "notes", "home", "elsewhere"] {
        std::fs::create_dir(root.join(folder)).expect("a folder");
    }
    std::fs::write(root.join("elsewhere/canary"), "sings").expect("a file");
    let source = root.join("crowd.c");
    std::fs::write(&source, include_str!("programs/crowd.c")).expect("a file");
    std::fs::write(root.join("act.sh"), include_str!("programs/act.sh")).expect("a file");
    run(&["cc", "-O1", "-o", &text(&root.join("crowd")), &text(&source)]);
    let python =
        if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
    let surroundings = format!(
        "PYTHON={python}\nexport GALLERY_HTTP={http} GALLERY_SSH={ssh} GALLERY_KEEPER={}\n",
        crosswatch::supervise::KEEPER
    );
    std::fs::write(root.join("surroundings"), surroundings).expect("a file");
    for piece in pieces {
        let (kind, text) = match piece.does {
            Does::Python(script) => {
                ("py", format!("{}\n{script}\n", include_str!("programs/prelude.py")))
            }
            Does::Crowd(mode) => ("crowd", mode.to_owned()),
        };
        let file = root.join("programs").join(format!("{}.{kind}", piece.name));
        std::fs::write(file, text).expect("a file");
    }
    // Whoever asks through this is never answered.
    let asks = root.join("askpass");
    std::fs::write(&asks, "#!/bin/sh\nexec sleep 50\n").expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&asks, mode).expect("a mode");
}

fn configure(site: &Site, who: Who, pieces: &[&Piece]) {
    let url = site.file_url();
    site.manifest(&url, &[("types", &[])]);
    site.configure(&url, &site.local_ci("true"), &[]);
    let file = site.path().join("workspaces.yaml");
    let mut text = std::fs::read_to_string(&file).expect("the configuration");
    text = text.replacen("version: 1\n", "version: 1\nmax_updates: 8\n", 1);
    text = text.replacen("defaults:\n", "defaults:\n  build: [changes]\n", 1);
    for piece in pieces {
        let name = piece.name;
        let silence =
            piece.silence.map(|silence| format!(", silence: {silence}")).unwrap_or_default();
        let keys = match piece.keys {
            "" => String::new(),
            keys => format!(", {keys}"),
        };
        text.push_str(&format!(
            "  - {{name: {name}, update: {{run: [sh, \"{root}/act.sh\", \"{root}\", {name}, \
             {marker}], timeout: {timeout}ms, grace: {grace}ms{silence}{keys}}}}}\n",
            root = site.path().display(),
            marker = marker(who, name),
            timeout = piece.timeout,
            grace = Stage::GRACE,
        ));
    }
    site.write_config(&text);
}

fn launch(site: &Site, who: Who, terminal: &Terminal) -> Launch {
    let program = Path::new(env!("CARGO_BIN_EXE_crosswatch"));
    let mut words: Vec<String> = Vec::new();
    let mut exe = program.to_owned();
    if who == Who::OrdinaryUser {
        // Where the built program lies others may have no way to.
        exe = site.path().join("crosswatch");
        std::fs::copy(program, &exe).expect("a copy");
        give(site.path());
        let user = NOBODY.to_string();
        let drop = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"];
        words.extend(drop.map(str::to_owned));
    }
    words.extend(["setsid", "--ctty"].map(str::to_owned));
    words.push(text(&exe));
    let mut variables = vec![
        ("PATH".to_owned(), PATHS.to_owned()),
        ("HOME".to_owned(), text(&site.path().join("home"))),
        ("GIT_ASKPASS".to_owned(), text(&site.path().join("askpass"))),
        ("SSH_ASKPASS".to_owned(), text(&site.path().join("askpass"))),
        ("SSH_ASKPASS_REQUIRE".to_owned(), "force".to_owned()),
        ("DISPLAY".to_owned(), ":9".to_owned()),
    ];
    if who == Who::WithoutCgroup {
        variables.push(("CROSSWATCH_CGROUP".to_owned(), "off".to_owned()));
    }
    Launch { words, variables, stdin: terminal.stdin() }
}

/// Gives everything below a folder to nobody.
fn give(folder: &Path) {
    chown(folder, Some(NOBODY), Some(NOBODY)).expect("an owner");
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            give(&path);
        } else {
            chown(&path, Some(NOBODY), Some(NOBODY)).expect("an owner");
        }
    }
}

/// The other end of the daemon's terminal; nobody types there.
struct Terminal {
    holder: Child,
    path: PathBuf,
}

impl Terminal {
    #[expect(clippy::disallowed_methods, reason = "the test's own terminal")]
    fn open(who: Who) -> Self {
        let script = "import os, sys\nmaster, other = os.openpty()\n\
                      print(os.ttyname(other), flush=True)\nsys.stdin.read()";
        let mut holder = Command::new("python3")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is installed");
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a terminal");
        let path = PathBuf::from(line.trim());
        if who == Who::OrdinaryUser {
            chown(&path, Some(NOBODY), None).expect("an owner");
        }
        Self { holder, path }
    }

    fn stdin(&self) -> Stdio {
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::fcntl::OFlag::O_NOCTTY.bits())
            .open(&self.path);
        Stdio::from(file.expect("a terminal"))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}

fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kilobytes.unwrap_or_default() * 1024
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[expect(clippy::disallowed_methods, reason = "the gallery builds its own programs")]
fn run(words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).output().expect("it is installed");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}
