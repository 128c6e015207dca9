//! What there is to know before anything is judged.

use std::path::{Path, PathBuf};

use crosswatch_core::model::settings::{CiKind, Database, Sandbox, SecretRef, Settings};
use crosswatch_core::model::time::{Span, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{peers, system};
use crate::clock::Clock;
use crate::config::{self, Secrets};
use crate::supervise::bubblewrap::{Bubblewrap, SandboxError, forbidden_by};
use crate::supervise::{Run, Supervisor};

/// Everything that the checks are made from.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The configuration that was named or found.
    pub config: PathBuf,
    /// What it asks for, or what is wrong with it.
    pub site: Result<Site, String>,
    /// Effective user of this process.
    pub uid: u32,
    /// A daemon on the same state directory.
    pub daemon: Daemon,
    /// Programs.
    pub programs: Programs,
    /// Control groups of the daemon, or of this process while none runs.
    pub cgroup: Cgroup,
    /// bubblewrap, tried for real.
    pub sandbox: Result<Bubblewrap, SandboxError>,
    /// The switch of the system that forbids user namespaces.
    pub namespaces_forbidden: Option<String>,
    /// Whether processes can be made the parents of orphans.
    pub subreaper: Result<(), String>,
    /// How `/proc` is mounted.
    pub proc: ProcMount,
    /// Open files of the daemon, or of this process.
    pub open_files: Limit,
    /// Processes of the user.
    pub processes: Limit,
    /// The time.
    pub now: Timestamp,
    /// systemd's folder of credentials.
    pub credentials: Option<Folder>,
}

/// What the configuration asks for.
#[derive(Clone, Debug)]
pub struct Site {
    /// Workspaces in it.
    pub workspaces: usize,
    /// The state directory.
    pub state_dir: Folder,
    /// Forges that are reached by ssh.
    pub ssh: bool,
    /// CIs whose builds of changes need the sandbox.
    pub sandboxed: Vec<String>,
    /// CIs that build changes here without one.
    pub open: Vec<String>,
    /// Secrets by the key that names them.
    pub secrets: Vec<SecretFact>,
    /// The database, or what is wrong with it.
    pub database: Result<String, String>,
    /// Forges and CIs with an address.
    pub peers: Vec<Peer>,
}

/// A folder as it is.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// Where.
    pub path: PathBuf,
    /// Whether this process may write there, or make it; else why not.
    pub writable: Option<String>,
    /// Whether it is there; the rest is about the nearest folder above it when not.
    pub exists: bool,
    /// Its owner.
    pub owner: u32,
    /// Its mode.
    pub mode: u32,
    /// Bytes that are free for this user.
    pub free: u64,
    /// Kind of its file system.
    pub filesystem: String,
}

/// A daemon on the state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// None.
    None,
    /// It has the lock and answers.
    Answers {
        /// Its process.
        pid: i32,
    },
    /// It has the lock, and its socket does not answer here.
    Silent {
        /// Its process.
        pid: i32,
        /// Where its socket was looked for.
        socket: PathBuf,
    },
}

/// Programs by their version.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    /// `git --version`.
    pub git: Option<String>,
    /// `ssh -V`.
    pub ssh: Option<String>,
}

/// The control group of the daemon.
#[derive(Clone, Debug, Default)]
pub struct Cgroup {
    /// Its folder in a version 2 hierarchy.
    pub folder: Option<PathBuf>,
    /// Whether the daemon's user may make groups in it.
    pub writable: bool,
    /// Controllers that it may hand on.
    pub controllers: Vec<String>,
}

/// How `/proc` is mounted.
#[derive(Clone, Debug, Default)]
pub struct ProcMount {
    /// At all.
    pub mounted: bool,
    /// `hidepid=`, unless it hides nothing.
    pub hidepid: Option<String>,
}

/// A limit of the system and how much of it there is; `None` is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit(pub Option<u64>);

/// A secret of the configuration.
#[derive(Clone, Debug)]
pub struct SecretFact {
    /// Its key.
    pub key: String,
    /// Where it is.
    pub reference: SecretRef,
    /// Why it cannot be read.
    pub fault: Option<String>,
    /// The CI whose sandbox would show its file.
    pub shown_by: Option<String>,
}

/// Somebody on the network.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Which part of the configuration.
    pub name: String,
    /// Where, without what might be secret.
    pub url: String,
    /// Why it was not reached.
    pub fault: Option<String>,
}

/// How the command was called.
#[derive(Clone, Debug)]
pub struct Usage {
    /// The configuration.
    pub config: PathBuf,
    /// The daemon's socket, given the state directory.
    pub socket: fn(&Path) -> PathBuf,
    /// The same, when it was named.
    pub named_socket: Option<PathBuf>,
}

/// Looks at everything. Nothing is made, changed or kept.
pub async fn gather(usage: &Usage) -> Facts {
    let clock = Clock::system();
    let supervisor = Supervisor::new(clock.clone());
    let loaded = config::with_references(&usage.config).map_err(|errors| errors.to_string());
    let daemon = match &loaded {
        Ok((settings, _)) => {
            let socket = usage.named_socket.clone();
            let socket = socket.unwrap_or_else(|| (usage.socket)(&settings.state_dir));
            system::daemon(&settings.state_dir, socket).await
        }
        Err(_) => Daemon::None,
    };
    let pid = match daemon {
        Daemon::Answers { pid } | Daemon::Silent { pid, .. } => Some(pid),
        Daemon::None => None,
    };
    let site = match loaded {
        Ok((settings, references)) => Ok(site(&settings, references).await),
        Err(why) => Err(why),
    };
    Facts {
        config: usage.config.clone(),
        site,
        uid: nix::unistd::geteuid().as_raw(),
        daemon,
        programs: Programs {
            git: version(&supervisor, &["git", "--version"]).await,
            ssh: version(&supervisor, &["ssh", "-V"]).await,
        },
        cgroup: system::cgroup(pid),
        sandbox: supervisor.sandbox().available(&supervisor).await,
        namespaces_forbidden: forbidden_by(),
        subreaper: system::subreaper(),
        proc: system::proc_mount(),
        open_files: system::limit(pid, "Max open files"),
        processes: system::limit(pid, "Max processes"),
        now: clock.now(),
        credentials: system::credentials(),
    }
}

async fn site(settings: &Settings, references: Vec<(String, SecretRef)>) -> Site {
    let secrets = Secrets::from_environment();
    let cis = |wanted: Sandbox| {
        let here = settings.ci.iter().filter(
            move |(_, ci)| matches!(&ci.kind, CiKind::Local(local) if local.sandbox == wanted),
        );
        here.map(|(name, _)| name.to_string()).collect::<Vec<_>>()
    };
    Site {
        workspaces: settings.workspaces.len(),
        state_dir: system::folder(&settings.state_dir),
        ssh: settings.forges.values().any(|forge| forge.url.starts_with("ssh:")),
        sandboxed: cis(Sandbox::Bubblewrap),
        open: cis(Sandbox::None),
        secrets: references
            .into_iter()
            .map(|(key, reference)| SecretFact {
                fault: secrets.resolve(&reference).err().map(|error| error.to_string()),
                shown_by: shown_by(settings, &reference),
                key,
                reference,
            })
            .collect(),
        database: match &settings.database {
            Database::Sqlite => system::sqlite(&settings.state_dir.join("crosswatch.sqlite")),
            Database::Postgres(url) => peers::postgres(&secrets, url).await,
        },
        peers: peers::reach(settings).await,
    }
}

/// The CI in whose sandbox the file of a secret could be read.
fn shown_by(settings: &Settings, reference: &SecretRef) -> Option<String> {
    let SecretRef::File(path) = reference else { return None };
    let path = path.canonicalize().ok()?;
    let (name, _) = settings.ci.iter().find(|(_, ci)| {
        matches!(&ci.kind, CiKind::Local(local) if local.read_only.iter().any(|shown| {
            shown.canonicalize().is_ok_and(|shown| path.starts_with(shown))
        }))
    })?;
    Some(name.to_string())
}

/// The first line that a program says of its version, wherever it says it.
async fn version(supervisor: &Supervisor, words: &[&str]) -> Option<String> {
    let mut run = Run::new(words.iter().copied(), "/");
    run.limits.wall = Span::seconds(10);
    run.limits.grace = Span::seconds(1);
    run.capture = Some(4096);
    let ended = supervisor.run(run, &CancellationToken::new()).await;
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    let line = said.lines().next().or(ended.tail.first().map(String::as_str))?.trim();
    ended.outcome.success().then(|| line.chars().take(80).collect())
}
