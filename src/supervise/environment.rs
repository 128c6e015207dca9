//! What a run inherits: a short list of variables, answers for programs that would ask a person, and
//! nothing of the daemon's own.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

use super::RUN_MARKER;

/// Of the daemon's own environment, all that a run may see.
const INHERITED: [&str; 8] = ["PATH", "HOME", "LANG", "LC_ALL", "USER", "LOGNAME", "TMPDIR", "TZ"];

/// Where programs are looked for when the daemon itself has no `PATH`.
pub(super) const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Makes everything that would ask a person fail at once or go on without.
const UNATTENDED: [(&str, &str); 9] = [
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", "/bin/false"),
    ("GCM_INTERACTIVE", "never"),
    ("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=10"),
    ("GIT_PAGER", "cat"),
    ("SSH_ASKPASS", "/bin/false"),
    ("SSH_ASKPASS_REQUIRE", "never"),
    ("PAGER", "cat"),
    ("LANG", "C.UTF-8"),
];

/// Named in the environment of a daemon that a debugger shall be able to look into.
const DEBUGGABLE: &str = "CROSSWATCH_DEBUGGABLE";

/// The environment of a run: what may be inherited, then what keeps it from asking, then its own
/// variables, then its marker, which nothing overrides.
pub(super) fn of_run(own: BTreeMap<String, String>, id: &str) -> BTreeMap<String, String> {
    assemble(|key| std::env::var(key).ok(), own, id)
}

fn assemble(
    daemon: impl Fn(&str) -> Option<String>,
    own: BTreeMap<String, String>,
    id: &str,
) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = UNATTENDED
        .into_iter()
        .chain([("PATH", USUAL_PATH)])
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    env.extend(INHERITED.into_iter().filter_map(|key| Some((key.to_owned(), daemon(key)?))));
    env.extend(own.into_iter().filter(|(key, value)| usable(key, value)));
    env.insert(RUN_MARKER.to_owned(), id.to_owned());
    env
}

/// Whether the system can pass the variable on as what it is: `A=B` as a name would set `A`.
fn usable(key: &str, value: &str) -> bool {
    !key.is_empty() && !key.contains(['=', '\0']) && !value.contains('\0')
}

/// Shuts this process: no other process of the same user may read its environment, its memory or its
/// open files through `/proc`, nor trace it, and it leaves no core dump.
///
/// To be called before anything of the configuration is read, by the daemon and by its parent, whose
/// environments may have secrets. Root is not kept out. Programs that are started afterwards are open
/// again, as every program is after it was started.
pub fn harden() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    if std::env::var_os(DEBUGGABLE).is_none_or(|value| value.is_empty()) {
        prctl::set_dumpable(false)?;
    }
    Ok(())
}

/// The program that a run finds under this name in the daemon's own `PATH`.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into());
    program_in(name, &path)
}

fn program_in(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).filter(|folder| folder.is_absolute()).find_map(|folder| {
        let file = folder.join(name);
        let about = std::fs::metadata(&file).ok()?;
        (about.is_file() && about.permissions().mode() & 0o111 != 0).then_some(file)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_run_inherits_only_what_is_listed() {
        let daemon = map(&[
            ("PATH", "/opt/bin"),
            ("HOME", "/var/lib/crosswatch"),
            ("GITHUB_TOKEN", "canary"),
            ("CREDENTIALS_DIRECTORY", "/run/credentials/crosswatch"),
            ("SSH_AUTH_SOCK", "/run/agent"),
            ("RUNTIME_DIRECTORY", "/run/crosswatch"),
            ("LD_PRELOAD", "/tmp/evil.so"),
            ("GIT_ASKPASS", "/usr/bin/asks"),
        ]);
        let env = assemble(|key| daemon.get(key).cloned(), BTreeMap::new(), "7");
        insta::assert_snapshot!(
            env.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("\n"),
            @r"
        CROSSWATCH_RUN=7
        GCM_INTERACTIVE=never
        GIT_ASKPASS=/bin/false
        GIT_PAGER=cat
        GIT_SSH_COMMAND=ssh -oBatchMode=yes -oConnectTimeout=10
        GIT_TERMINAL_PROMPT=0
        HOME=/var/lib/crosswatch
        LANG=C.UTF-8
        PAGER=cat
        PATH=/opt/bin
        SSH_ASKPASS=/bin/false
        SSH_ASKPASS_REQUIRE=never
        "
        );
    }

    #[test]
    fn its_own_variables_win_except_over_the_marker() {
        let own = map(&[
            ("PATH", "/own"),
            ("GIT_SSH_COMMAND", "ssh -i key"),
            ("CROSSWATCH_RUN", "another"),
            ("CROSSWATCH_RUN=another", "x"),
            ("", "x"),
            ("NUL", "a\0b"),
        ]);
        let env = assemble(|_| None, own, "7");
        assert_eq!(env["PATH"], "/own");
        assert_eq!(env["GIT_SSH_COMMAND"], "ssh -i key");
        assert_eq!(env["CROSSWATCH_RUN"], "7");
        assert!(env.keys().all(|key| !key.is_empty() && !key.contains('=')));
        assert!(!env.contains_key("NUL"));
        assert_eq!(assemble(|_| None, BTreeMap::new(), "7")["PATH"], USUAL_PATH);
    }
}
