//! Finds bubblewrap and finds out, by a real sandbox, whether it works here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crosswatch_core::model::time::{Span, Timestamp};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::environment;
use super::run::{Ended, Limits, Outcome, Run};
use super::sandbox;
use super::supervisor::Supervisor;

/// A bubblewrap that works here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bubblewrap {
    /// Where it is.
    pub program: PathBuf,
    /// Its version.
    pub version: String,
    /// Whether a sandbox can forbid further user namespaces inside (0.8 and later, not setuid).
    pub forbids_namespaces: bool,
    /// Whether a sandbox can bound the memory of its `/tmp` (0.7 and later).
    pub bounds_memory: bool,
}

/// Why a run was not started: what should shut it in cannot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    /// There is no such program.
    #[error(
        "bubblewrap is not installed: no program `bwrap` in PATH; install the package `bubblewrap`"
    )]
    NotInstalled,
    /// The system does not let it make namespaces.
    #[error("bubblewrap may not make its namespaces here ({said}); {way_out}")]
    Forbidden {
        /// Its words.
        said: String,
        /// What to do.
        way_out: String,
    },
    /// It does not work for another reason.
    #[error("bubblewrap cannot make a sandbox here: {said}")]
    Broken {
        /// Its words, or how it ended.
        said: String,
    },
    /// A path of the sandbox cannot be what it shall be.
    #[error("the sandbox cannot have {path}: {why}", path = path.display())]
    Unfit {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// How long an answer is believed; a refusal shorter, for somebody may just be mending it.
const WORKS_FOR: Span = Span::minutes(1);
const REFUSED_FOR: Span = Span::seconds(10);
/// How long one trial may take.
const TRIAL: Span = Span::seconds(20);

/// The last answer, shared by all clones of a supervisor.
#[derive(Clone, Debug, Default)]
pub struct Sandboxes(Arc<Mutex<Option<Answer>>>);

type Answer = (Timestamp, Result<Bubblewrap, SandboxError>);

impl Sandboxes {
    /// The bubblewrap that works here, or why there is none; asked anew once a minute.
    pub async fn available(&self, supervisor: &Supervisor) -> Result<Bubblewrap, SandboxError> {
        let mut last = self.0.lock().await;
        let now = supervisor.clock().now();
        if let Some((at, answer)) = &*last {
            let age = now.since(*at);
            let keep = if answer.is_ok() { WORKS_FOR } else { REFUSED_FOR };
            if *at <= now && age < keep {
                return answer.clone();
            }
        }
        let answer = look(supervisor).await;
        *last = Some((now, answer.clone()));
        answer
    }
}

async fn look(supervisor: &Supervisor) -> Result<Bubblewrap, SandboxError> {
    let program = environment::program("bwrap").ok_or(SandboxError::NotInstalled)?;
    let version = version(supervisor, &program).await?;
    let number = number(&version);
    let mut found = Bubblewrap {
        program,
        version,
        forbids_namespaces: number >= (0, 8),
        bounds_memory: number >= (0, 7),
    };
    let root = nix::unistd::geteuid().is_root();
    if root && !found.forbids_namespaces {
        return Err(SandboxError::Broken {
            said: format!(
                "version {} cannot forbid user namespaces inside, with which code that counts as root \
                 would turn the kernel's switches; install 0.8 or later, or do not run as root",
                found.version
            ),
        });
    }
    let first = trial(supervisor, &found).await;
    if first.is_err() && found.forbids_namespaces && !root {
        found.forbids_namespaces = false;
        if trial(supervisor, &found).await.is_ok() {
            return Ok(found);
        }
    }
    first.map(|()| found)
}

async fn version(supervisor: &Supervisor, program: &Path) -> Result<String, SandboxError> {
    let ended = run(supervisor, vec![program.display().to_string(), "--version".to_owned()]).await;
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    match text.trim().strip_prefix("bubblewrap ") {
        Some(version) if ended.outcome.success() => Ok(version.chars().take(40).collect()),
        _ => Err(SandboxError::Broken {
            said: format!("`{} --version` {}", program.display(), told(&ended)),
        }),
    }
}

async fn trial(supervisor: &Supervisor, found: &Bubblewrap) -> Result<(), SandboxError> {
    let mut words = sandbox::bare(found);
    words.push("true".to_owned());
    let ended = run(supervisor, words).await;
    if ended.outcome.success() {
        return Ok(());
    }
    let said = told(&ended);
    Err(if is_about_namespaces(&said) {
        SandboxError::Forbidden { way_out: way_out(read_switch), said }
    } else {
        SandboxError::Broken { said }
    })
}

/// Boxed, for a run may itself ask for a sandbox and come here.
async fn run(supervisor: &Supervisor, words: Vec<String>) -> Ended {
    let mut run = Run::new(words, "/");
    run.limits = Limits { wall: TRIAL, grace: Span::seconds(1), ..Limits::default() };
    run.capture = Some(4096);
    // A bare sandbox has the system's programs in their usual places only.
    run.env.insert("PATH".to_owned(), environment::USUAL_PATH.to_owned());
    Box::pin(supervisor.run(run, &CancellationToken::new())).await
}

fn told(ended: &Ended) -> String {
    match (ended.tail.iter().rev().find(|line| !line.trim().is_empty()), &ended.outcome) {
        (Some(line), Outcome::Finished(_)) => line.trim().chars().take(300).collect(),
        (_, outcome) => outcome.to_string(),
    }
}

/// `0.8.0` as something to compare.
fn number(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn is_about_namespaces(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    ["namespace", "uid map", "gid map", "newns", "setgroups", "operation not permitted"]
        .iter()
        .any(|word| said.contains(word))
}

/// Switches of kernels and distributions that keep users from making namespaces: the file below
/// `/proc/sys`, the value that forbids, what to say.
const SWITCHES: [(&str, &str, &str); 3] = [
    (
        "kernel/unprivileged_userns_clone",
        "0",
        "allow them with `sysctl kernel.unprivileged_userns_clone=1`",
    ),
    ("user/max_user_namespaces", "0", "allow them with `sysctl user.max_user_namespaces=15000`"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "allow them with an AppArmor profile for bwrap that has `userns,`, or with \
         `sysctl kernel.apparmor_restrict_unprivileged_userns=0`",
    ),
];

/// What to do about namespaces that may not be made.
fn way_out(switch: impl Fn(&str) -> Option<String>) -> String {
    let wrong = SWITCHES
        .iter()
        .find(|(name, forbids, _)| switch(name).is_some_and(|value| value.trim() == *forbids));
    wrong.map_or_else(
        || {
            "let the daemon make user namespaces: no `RestrictNamespaces=` in its unit, and in a \
             container a seccomp profile that allows `unshare` and `mount`"
                .to_owned()
        },
        |(_, _, what)| (*what).to_owned(),
    )
}

/// The switch that keeps users from making namespaces here, and how to turn it.
pub fn forbidden_by() -> Option<String> {
    SWITCHES
        .iter()
        .find(|(name, forbids, _)| read_switch(name).is_some_and(|value| value.trim() == *forbids))
        .map(|(_, _, what)| (*what).to_owned())
}

/// The value of a switch below `/proc/sys`.
fn read_switch(name: &str) -> Option<String> {
    std::fs::read_to_string(Path::new("/proc/sys").join(name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(number("0.10.0") > number("0.8.0"));
        assert!(number("1.0") > number("0.11"));
        assert_eq!(number("unheard of"), (0, 0));
    }

    #[test]
    fn the_switch_that_forbids_is_named() {
        let off = |wanted: &'static str, value: &'static str| {
            way_out(move |name| (name == wanted).then(|| format!("{value}\n")))
        };
        assert!(off("user/max_user_namespaces", "0").contains("max_user_namespaces=15000"));
        assert!(off("kernel/apparmor_restrict_unprivileged_userns", "1").contains("AppArmor"));
        assert!(off("user/max_user_namespaces", "500").contains("RestrictNamespaces"));
    }
}
