//! Shuts a run in with bubblewrap: a read-only system, one writable folder, nothing of the host.

use std::path::{Path, PathBuf};

/// What a sandboxed run may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxSpec {
    /// The only folder of the host that it may change; the run has to start in it.
    pub writable: PathBuf,
    /// Folders and files that it may read besides the system's.
    pub readable: Vec<PathBuf>,
    /// Whether it may use the network.
    pub network: bool,
}

/// What a usual program needs of the system; the rest of `/etc` may hold secrets.
const SYSTEM: [&str; 27] = [
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/sbin",
    "/opt",
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
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/ssl",
    "/etc/services",
];

const HOME: &str = "/tmp/home";

impl SandboxSpec {
    /// The words that stand before the command, which starts in `dir`.
    pub fn prefix(&self, dir: &Path) -> Vec<String> {
        let mut words: Vec<String> = ["bwrap", "--unshare-all", "--die-with-parent"]
            .into_iter()
            .chain(["--new-session", "--hostname", "sandbox", "--cap-drop", "ALL"])
            .chain(["--ro-bind", "/usr", "/usr"])
            .map(str::to_owned)
            .collect();
        if self.network {
            words.push("--share-net".to_owned());
        }
        for path in SYSTEM {
            words.extend(["--ro-bind-try", path, path].map(str::to_owned));
        }
        words.extend(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"].map(str::to_owned));
        words.extend(["--dir", HOME, "--setenv", "HOME", HOME].map(str::to_owned));
        words.extend(["--setenv", "TMPDIR", "/tmp"].map(str::to_owned));
        for path in &self.readable {
            words.push("--ro-bind".to_owned());
            words.extend([path, path].map(|path| path.display().to_string()));
        }
        words.push("--bind".to_owned());
        words.extend([&self.writable, &self.writable].map(|path| path.display().to_string()));
        words.extend(["--chdir".to_owned(), dir.display().to_string(), "--".to_owned()]);
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_folder_is_writable() {
        let spec = SandboxSpec { writable: "/srv/w".into(), ..SandboxSpec::default() };
        let words = spec.prefix(Path::new("/srv/w/a"));
        assert_eq!(words.iter().filter(|word| *word == "--bind").count(), 1);
        assert!(!words.contains(&"--share-net".to_owned()));
        assert!(words.ends_with(&["--chdir".into(), "/srv/w/a".into(), "--".into()]));
    }
}
