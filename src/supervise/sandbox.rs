//! Shuts a run in with bubblewrap: a read-only system, one writable folder, nothing of the host.
//!
//! What bubblewrap does not do by itself is said here word by word, and each part is demanded: where
//! the kernel refuses one, nothing is started. There is no filter of system calls: bubblewrap loads one
//! only from a caller that brings it.

use std::path::{Path, PathBuf};

use super::bubblewrap::{Bubblewrap, SandboxError};
use super::run::Run;
use super::supervisor::Supervisor;

/// What a sandboxed run may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxSpec {
    /// The only folder of the host that it may change; the run has to start in it.
    pub writable: PathBuf,
    /// Where it sees that folder, if elsewhere than it is: tools write absolute paths into what they
    /// make, so a copy of it has to stand in its place.
    pub shown_at: Option<PathBuf>,
    /// Folders and files that it may read besides the system's.
    pub readable: Vec<PathBuf>,
    /// What it must not see even where `readable` or the system has it; folders in it that are named
    /// themselves are seen all the same. The daemon's own runtime and credential folders are hidden
    /// without being named.
    pub hidden: Vec<PathBuf>,
    /// Whether it may use the network.
    pub network: bool,
}

/// What a usual program needs of the system; the rest of `/etc` may hold secrets, as may the private
/// keys beside certificates, which a daemon that runs as root could read.
const SYSTEM: [&str; 36] = [
    "/usr",
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/sbin",
    "/opt",
    "/nix/store",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/debian_version",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/java",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/services",
    "/etc/terminfo",
    "/etc/timezone",
];

/// Every namespace that bubblewrap knows besides the network's and the mounts', which it always makes.
///
/// `--unshare-all` would leave out without a word what the kernel refuses.
const NAMESPACES: [&str; 5] =
    ["--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup"];

const HOME: &str = "/tmp/home";
/// Bytes of memory that files in `/tmp` may take.
const TMP_BYTES: &str = "2147483648";
/// Bytes of memory that files in `/dev/shm` may take.
const SHM_BYTES: &str = "536870912";

/// Variables of the daemon that name folders of its own, several divided by `:`.
const OWN_FOLDERS: [&str; 3] = ["RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY", "CROSSWATCH_SOCKET"];

/// The run with its sandbox put around its command, or why it must not be started.
pub(super) async fn wrap(supervisor: &Supervisor, mut run: Run) -> Result<Run, SandboxError> {
    let Some(mut spec) = run.sandbox.take() else { return Ok(run) };
    let bubblewrap = supervisor.sandbox().available(supervisor).await?;
    for name in OWN_FOLDERS {
        if let Some(folders) = std::env::var_os(name) {
            spec.hidden.extend(std::env::split_paths(&folders).filter(|path| path.is_absolute()));
        }
    }
    let mut command = spec.words(&bubblewrap, &run.dir)?;
    command.append(&mut run.command);
    run.command = command;
    Ok(run)
}

/// The words of a sandbox that shows the system alone, for finding out whether one can be made.
pub(super) fn bare(bubblewrap: &Bubblewrap) -> Vec<String> {
    let mut words = beginning(bubblewrap, false);
    words.extend(end(&[]));
    words.push("--".to_owned());
    words
}

impl SandboxSpec {
    /// The words that stand before the command, which starts in `dir`.
    fn words(&self, bubblewrap: &Bubblewrap, dir: &Path) -> Result<Vec<String>, SandboxError> {
        let writable = real(&self.writable)?;
        let unfit = |path: &Path, why: &str| SandboxError::Unfit {
            path: path.to_owned(),
            why: why.to_owned(),
        };
        if !writable.is_dir() || writable.parent().is_none() {
            return Err(unfit(&self.writable, "the writable folder must be a folder below /"));
        }
        if !real(dir)?.starts_with(&writable) {
            return Err(unfit(dir, "the command must start in the writable folder"));
        }
        // What is not there cannot be seen either.
        let hidden: Vec<PathBuf> =
            self.hidden.iter().filter_map(|path| path.canonicalize().ok()).collect();
        if let Some(own) = hidden.iter().find(|own| own.starts_with(&writable)) {
            return Err(unfit(
                &self.writable,
                &format!("it holds {}, which is the daemon's own", own.display()),
            ));
        }
        let mut words = beginning(bubblewrap, self.network);
        let mut inner = Vec::new();
        let mut shown: Vec<(PathBuf, PathBuf)> = SYSTEM
            .iter()
            .filter_map(|path| Some((PathBuf::from(path), Path::new(path).canonicalize().ok()?)))
            .collect();
        for path in &self.readable {
            let place = real(path)?;
            if hidden.iter().any(|own| place.starts_with(own)) {
                inner.push(path);
            } else {
                bind(&mut words, "--ro-bind", path)?;
                shown.push((path.clone(), place));
            }
        }
        let mut masks = Vec::new();
        for own in &hidden {
            for (name, place) in &shown {
                let Ok(rest) = own.strip_prefix(place) else { continue };
                // Joining nothing would put a `/` behind the name of a file.
                let own_name =
                    if rest.as_os_str().is_empty() { name.clone() } else { name.join(rest) };
                let own_name = text(&own_name)?;
                if own.is_dir() {
                    words.extend(["--tmpfs".to_owned(), own_name.clone()]);
                    masks.push(own_name);
                } else {
                    words.extend(["--ro-bind".to_owned(), "/dev/null".to_owned(), own_name]);
                }
            }
        }
        for path in inner {
            bind(&mut words, "--ro-bind", path)?;
        }
        let place = self.shown_at.as_ref().unwrap_or(&self.writable);
        words.extend(["--bind".to_owned(), text(&self.writable)?, text(place)?]);
        words.extend(end(&masks));
        let start = match (dir.strip_prefix(&self.writable), &self.shown_at) {
            (Ok(below), Some(place)) if !below.as_os_str().is_empty() => place.join(below),
            (Ok(_), Some(place)) => place.clone(),
            _ => dir.to_owned(),
        };
        words.extend(["--chdir".to_owned(), text(&start)?, "--".to_owned()]);
        Ok(words)
    }
}

fn beginning(bubblewrap: &Bubblewrap, network: bool) -> Vec<String> {
    let mut words = vec![bubblewrap.program.display().to_string()];
    let mut say = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
    say(&NAMESPACES);
    if !network {
        say(&["--unshare-net"]);
    }
    if bubblewrap.forbids_namespaces {
        say(&["--disable-userns"]);
    }
    say(&["--die-with-parent", "--new-session", "--hostname", "sandbox", "--cap-drop", "ALL"]);
    for path in SYSTEM {
        say(&["--ro-bind-try", path, path]);
    }
    say(&["--proc", "/proc", "--dev", "/dev"]);
    for (bytes, place) in [(SHM_BYTES, "/dev/shm"), (TMP_BYTES, "/tmp")] {
        if bubblewrap.bounds_memory {
            say(&["--size", bytes]);
        }
        say(&["--tmpfs", place]);
    }
    say(&["--dir", HOME, "--setenv", "HOME", HOME, "--setenv", "TMPDIR", "/tmp"]);
    words
}

/// What held places for other mounts is made read-only once all of them are there; `/proc` too, for
/// the switches of the kernel in it can be turned by whoever is root outside, rights or not.
fn end(masks: &[String]) -> Vec<String> {
    let places = masks.iter().map(String::as_str).chain(["/proc", "/dev", "/"]);
    places.flat_map(|place| ["--remount-ro".to_owned(), place.to_owned()]).collect()
}

fn bind(words: &mut Vec<String>, how: &str, path: &Path) -> Result<(), SandboxError> {
    let path = text(path)?;
    words.extend([how.to_owned(), path.clone(), path]);
    Ok(())
}

fn text(path: &Path) -> Result<String, SandboxError> {
    path.to_str().filter(|_| path.is_absolute()).map(str::to_owned).ok_or_else(|| {
        SandboxError::Unfit {
            path: path.to_owned(),
            why: "an absolute path in UTF-8 is expected".to_owned(),
        }
    })
}

fn real(path: &Path) -> Result<PathBuf, SandboxError> {
    path.canonicalize().map_err(|error| SandboxError::Unfit {
        path: path.to_owned(),
        why: format!("it cannot be shown: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Bubblewrap {
        Bubblewrap {
            program: "/usr/bin/bwrap".into(),
            version: "0.8.0".to_owned(),
            forbids_namespaces: true,
            bounds_memory: true,
        }
    }

    fn binds<'a>(words: &'a [String], how: &str) -> Vec<&'a str> {
        words.windows(2).filter(|two| two[0] == how).map(|two| two[1].as_str()).collect()
    }

    #[test]
    fn only_the_named_folder_is_writable_and_no_namespace_is_optional() {
        let dir = tempfile::tempdir().unwrap();
        let spec = SandboxSpec { writable: dir.path().into(), ..SandboxSpec::default() };
        let words = spec.words(&found(), dir.path()).unwrap();
        assert_eq!(binds(&words, "--bind"), [dir.path().to_str().unwrap()]);
        assert!(words.contains(&"--unshare-net".to_owned()));
        assert!(!words.iter().any(|word| word == "--unshare-all" || word == "--share-net"));
        assert_eq!(words.iter().filter(|word| word.starts_with("--unshare-")).count(), 6);
        let open = SandboxSpec { network: true, ..spec };
        let words = open.words(&found(), dir.path()).unwrap();
        assert!(!words.contains(&"--unshare-net".to_owned()));
    }

    #[test]
    fn hidden_folders_are_covered_and_named_ones_in_them_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(path("state/builds/1/work")).unwrap();
        std::fs::write(path("api.sock"), "").unwrap();
        let spec = SandboxSpec {
            writable: path("state/builds/1/work"),
            readable: vec![path("state/builds/1"), dir.path().into()],
            hidden: vec![path("state"), path("api.sock"), path("absent")],
            ..SandboxSpec::default()
        };
        let words = spec.words(&found(), &spec.writable).unwrap();
        let at = |how: &str, name: &str| {
            let name = path(name).display().to_string();
            let found = words.windows(2).rposition(|two| two[0] == how && two[1] == name);
            found.unwrap_or_else(|| panic!("{how} {name} in {words:?}"))
        };
        let whole = words
            .windows(2)
            .position(|two| two[0] == "--ro-bind" && *two[1] == *dir.path().as_os_str())
            .unwrap();
        assert!(whole < at("--tmpfs", "state"));
        assert!(at("--tmpfs", "state") < at("--ro-bind", "state/builds/1"));
        assert!(at("--ro-bind", "state/builds/1") < at("--bind", "state/builds/1/work"));
        assert!(at("--bind", "state/builds/1/work") < at("--remount-ro", "state"));
        let covered = words.windows(3).any(|three| {
            three[0] == "--ro-bind"
                && three[1] == "/dev/null"
                && three[2] == path("api.sock").display().to_string()
        });
        assert!(covered, "{words:?}");
    }

    #[test]
    fn a_copy_stands_in_the_place_of_what_it_is_a_copy_of() {
        let dir = tempfile::tempdir().unwrap();
        let (copy, place) = (dir.path().join("copy"), dir.path().join("state/workspaces/w"));
        std::fs::create_dir_all(copy.join("sub")).unwrap();
        let writable = copy.clone();
        let spec =
            SandboxSpec { writable, shown_at: Some(place.clone()), ..SandboxSpec::default() };
        for (start, inside) in [("", place.clone()), ("sub", place.join("sub"))] {
            let start = if start.is_empty() { copy.clone() } else { copy.join(start) };
            let words = spec.words(&found(), &start).unwrap();
            let text = |path: &Path| path.display().to_string();
            let bound = ["--bind".to_owned(), text(&copy), text(&place)];
            assert!(words.windows(3).any(|three| three == bound), "{words:?}");
            assert_eq!(binds(&words, "--chdir"), [text(&inside)]);
        }
    }

    #[test]
    fn a_sandbox_that_would_show_the_daemon_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let refused = |writable: &Path, start: &Path| {
            let spec = SandboxSpec {
                writable: writable.into(),
                hidden: vec![state.clone()],
                ..SandboxSpec::default()
            };
            spec.words(&found(), start).unwrap_err().to_string()
        };
        assert!(refused(dir.path(), dir.path()).contains("the daemon's own"));
        assert!(refused(&state, &state).contains("the daemon's own"));
        assert!(refused(Path::new("/"), dir.path()).contains("below /"));
        assert!(refused(Path::new("/absent"), dir.path()).contains("cannot be shown"));
        let other = tempfile::tempdir().unwrap();
        assert!(refused(other.path(), dir.path()).contains("must start in the writable folder"));
    }
}
