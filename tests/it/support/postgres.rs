//! A real PostgreSQL server on a Unix socket, one for all tests that run at the same time.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a server that does not start fails the test"
)]
#![expect(clippy::disallowed_methods, reason = "the tests' own server, not a supervised run")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tempfile::TempDir;

static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A running server; killed when the last test drops it.
pub struct Server {
    folder: TempDir,
    child: Child,
}

impl Server {
    /// The server that runs already, or a new one.
    pub fn shared() -> Arc<Self> {
        let mut slot = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = slot.upgrade() {
            return server;
        }
        let server = Arc::new(Self::start());
        *slot = Arc::downgrade(&server);
        server
    }

    /// The address of a new, empty database.
    pub fn database(&self) -> String {
        let name = format!("t{}", DATABASES.fetch_add(1, Ordering::SeqCst));
        assert!(self.sql(&format!("CREATE DATABASE {name}")), "no database {name}");
        format!("postgres://crosswatch@localhost/{name}?host={}", self.folder.path().display())
    }

    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("cw-pg").tempdir().expect("a folder");
        if nix::unistd::geteuid().is_root() {
            let user = nix::unistd::User::from_name("postgres")
                .expect("the user database")
                .expect("a user postgres: install postgresql, which refuses to run as root");
            nix::unistd::chown(folder.path(), Some(user.uid), Some(user.gid)).expect("chown");
        }
        let data = folder.path().join("data");
        let made = program("initdb")
            .args(["-U", "crosswatch", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8"])
            .arg("-D")
            .arg(&data)
            .current_dir(folder.path())
            .output()
            .expect("initdb");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let child = program("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgres");
        let server = Self { folder, child };
        for _ in 0..2_000 {
            if server.sql("SELECT 1") {
                return server;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("PostgreSQL did not start within 20 s");
    }

    fn sql(&self, statement: &str) -> bool {
        Command::new("psql")
            .args(["-X", "-q", "-U", "crosswatch", "-d", "postgres", "-c", statement])
            .arg("-h")
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // TERM would wait for clients, KILL would leave shared memory; INT ends them at once.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
        if nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).is_ok() {
            self.child.wait().expect("postgres ends");
        }
    }
}

/// A program of PostgreSQL, as its own user where we are root. `setpriv` replaces itself by it.
fn program(name: &str) -> Command {
    let path = binaries().map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
    if !nix::unistd::geteuid().is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(path);
    command
}

fn binaries() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir(Path::new("/usr/lib/postgresql"))
        .ok()?
        .filter_map(|entry| entry.ok().map(|entry| entry.path().join("bin")))
        .filter(|folder| folder.join("initdb").is_file())
        .collect();
    versions.sort();
    versions.pop()
}
