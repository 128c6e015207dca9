//! Judges facts: what holds, what holds less, what is broken, and the way out of it.

use crosswatch_core::model::settings::SecretRef;
use crosswatch_core::model::time::Timestamp;

use super::facts::{Daemon, Facts, Folder, SecretFact, Site};
use super::{Check, Level};
use crate::supervise::bubblewrap::SandboxError;

/// Below this there is hardly room for a workspace.
const ROOM: u64 = 2 << 30;
const OPEN_FILES: u64 = 4096;
const PROCESSES: u64 = 1024;
/// 2025-01-01: a clock before that was never set.
const NEVER_EARLIER: Timestamp = Timestamp(1_735_689_600_000);

/// Everything that there is to say, in the order in which a person would mend it.
pub fn judge(facts: &Facts) -> Vec<Check> {
    let mut all = vec![configuration(facts), daemon(facts), user(facts)];
    if let Ok(site) = &facts.site {
        all.push(state_dir(facts, &site.state_dir));
        all.push(database(site));
    }
    all.extend(programs(facts));
    all.push(sandbox(facts));
    all.push(namespaces(facts));
    all.push(cgroup(facts));
    all.push(subreaper(facts));
    all.push(proc(facts));
    all.extend(limits(facts));
    all.push(clock(facts));
    all.extend(credentials(facts));
    if let Ok(site) = &facts.site {
        all.extend(secrets(facts, site));
        all.extend(site.open.iter().map(|ci| open(ci)));
        all.extend(site.peers.iter().map(|peer| match &peer.fault {
            None => ok(&peer.name, format!("{} answers", peer.url)),
            Some(why) => weaker(
                &peer.name,
                why.clone(),
                "what it should say stays as it was last known, and nothing is triggered from that",
                "look at the address in the configuration, the network and the server",
            ),
        }));
    }
    all
}

fn ok(check: &str, found: impl Into<String>) -> Check {
    say(check, Level::Ok, found, "", "")
}

fn weaker(check: &str, found: impl Into<String>, means: &str, way_out: &str) -> Check {
    say(check, Level::Weaker, found, means, way_out)
}

fn broken(check: &str, found: impl Into<String>, means: &str, way_out: &str) -> Check {
    say(check, Level::Broken, found, means, way_out)
}

fn say(
    check: &str,
    level: Level,
    found: impl Into<String>,
    means: impl Into<String>,
    way_out: impl Into<String>,
) -> Check {
    Check {
        check: check.to_owned(),
        level,
        found: found.into(),
        means: means.into(),
        way_out: way_out.into(),
    }
}

fn configuration(facts: &Facts) -> Check {
    match &facts.site {
        Ok(site) => ok(
            "configuration",
            format!("{}: {} workspaces", facts.config.display(), site.workspaces),
        ),
        Err(why) => broken(
            "configuration",
            why.clone(),
            "no daemon starts with it; one that runs goes on with the last good one",
            "mend it; `crosswatch check` shows the same, with the lines",
        ),
    }
}

fn daemon(facts: &Facts) -> Check {
    match &facts.daemon {
        Daemon::None => ok("daemon", "none runs; what follows is about this shell's surroundings"),
        Daemon::Answers { pid } => ok("daemon", format!("process {pid} answers")),
        Daemon::Silent { pid, socket } => weaker(
            "daemon",
            format!(
                "process {pid} has the state directory, and nothing answers at {}",
                socket.display()
            ),
            "the command line does not reach it",
            "name its socket with --socket or CROSSWATCH_SOCKET (under systemd \
             /run/crosswatch/api.sock), as root, as its user or as a member of the socket's group",
        ),
    }
}

fn user(facts: &Facts) -> Check {
    if facts.uid != 0 {
        return ok("user", format!("an ordinary one ({})", facts.uid));
    }
    weaker(
        "user",
        "root",
        "commands of workspaces run as root too: nothing keeps them from the daemon's secrets, \
         limits of processes do not bind them, and a sandboxed build still counts as root where a \
         file is shown to it",
        "run the daemon as a user of its own, as packaging/crosswatch.service does (look again as \
         that user: a doctor that runs as root sees what root can)",
    )
}

fn state_dir(facts: &Facts, folder: &Folder) -> Check {
    let what = "state directory";
    let gib = folder.free >> 30;
    let found = format!(
        "{}: {} GiB free on {}{}",
        folder.path.display(),
        gib,
        folder.filesystem,
        if folder.exists { "" } else { ", not made yet" }
    );
    if let Some(why) = &folder.writable {
        return broken(
            what,
            format!("{}: {why}", folder.path.display()),
            "a daemon of this user cannot start here",
            "give it to the daemon's user (chown), or look as that user: \
             `runuser -u USER -- crosswatch doctor`",
        );
    }
    if ["nfs", "cifs", "smb2", "9p", "fuse"].contains(&folder.filesystem.as_str()) {
        return weaker(
            what,
            found,
            "locks on a file system of the network may be lost or not seen by another machine, so \
             that two daemons could work on one ledger; SQLite is not safe there either",
            "put `state_dir` on a local disk",
        );
    }
    if folder.filesystem == "tmpfs" {
        return weaker(
            what,
            found,
            "it is in memory: after a reboot fingerprints are lost, and open changes are adopted anew",
            "put `state_dir` on a disk",
        );
    }
    if folder.free < ROOM {
        return weaker(
            what,
            found,
            "a workspace or a log may not fit; without room nothing is decided",
            "make room, or move `state_dir`",
        );
    }
    if folder.exists && folder.mode & 0o002 != 0 {
        return weaker(
            what,
            format!("{found}; mode {:04o}", folder.mode),
            "everybody on this machine may change what the daemon believes",
            "chmod o-w on it",
        );
    }
    if folder.exists && facts.uid == 0 && folder.owner != 0 {
        return weaker(
            what,
            format!("{found}; it belongs to user {}", folder.owner),
            "this look as root does not show what that user may",
            "look as that user: `runuser -u USER -- crosswatch doctor`",
        );
    }
    ok(what, found)
}

fn database(site: &Site) -> Check {
    match &site.database {
        Ok(place) => ok("database", place.clone()),
        Err(why) => broken(
            "database",
            why.clone(),
            "without its ledger the daemon decides nothing",
            "start the server, or give the daemon's user the right",
        ),
    }
}

fn programs(facts: &Facts) -> Vec<Check> {
    let git = match &facts.programs.git {
        Some(version) => ok("git", version.clone()),
        None => broken(
            "git",
            "not found in PATH",
            "commits cannot be compared, and most workspaces cannot be made",
            "install git 2.30 or later",
        ),
    };
    let wanted = facts.site.as_ref().is_ok_and(|site| site.ssh);
    let ssh = match &facts.programs.ssh {
        Some(version) => ok("ssh", version.clone()),
        None if wanted => broken(
            "ssh",
            "not found in PATH",
            "forges with an ssh:// address cannot be asked",
            "install an ssh client",
        ),
        None => ok("ssh", "not found; no forge of the configuration needs it"),
    };
    vec![git, ssh]
}

fn sandbox(facts: &Facts) -> Check {
    let what = "bubblewrap";
    let found = match &facts.sandbox {
        Ok(found) => found,
        Err(error) => {
            let wanted = facts.site.as_ref().map_or(&[][..], |site| &site.sandboxed);
            let way_out = match error {
                SandboxError::NotInstalled => "install the package `bubblewrap`",
                SandboxError::Forbidden { way_out, .. } => way_out,
                SandboxError::Broken { .. } | SandboxError::Unfit { .. } => {
                    "try `bwrap --unshare-user --unshare-pid --ro-bind / / --proc /proc true` as the \
                     daemon's user; in a container it needs leave to mount and to unshare"
                }
            };
            if wanted.is_empty() {
                return weaker(
                    what,
                    error.to_string(),
                    "code of changes cannot be built on this machine in a sandbox; no CI of the \
                     configuration asks for that",
                    way_out,
                );
            }
            return broken(
                what,
                error.to_string(),
                &format!("builds of changes on {} are refused", wanted.join(", ")),
                way_out,
            );
        }
    };
    let said = format!("{} at {} makes a sandbox", found.version, found.program.display());
    if !found.forbids_namespaces {
        return weaker(
            what,
            said,
            "code in the sandbox may make user namespaces of its own, which opens more of the kernel \
             to it",
            "install bubblewrap 0.8 or later, not setuid",
        );
    }
    ok(what, said)
}

fn namespaces(facts: &Facts) -> Check {
    match (&facts.namespaces_forbidden, &facts.sandbox) {
        (Some(what), Err(_)) => weaker(
            "user namespaces",
            "users may not make them",
            "bubblewrap cannot make a sandbox",
            what,
        ),
        (Some(_), Ok(_)) => ok("user namespaces", "not for everybody; bubblewrap may make them"),
        (None, _) => ok("user namespaces", "no switch of the system forbids them"),
    }
}

fn cgroup(facts: &Facts) -> Check {
    let what = "control groups";
    let held = "every run is still ended by its keeper; memory is bounded by looking every now and \
                then, processes by a limit of the user";
    let Some(folder) = &facts.cgroup.folder else {
        return weaker(
            what,
            "no hierarchy of version 2",
            held,
            "boot with cgroup version 2 (`systemd.unified_cgroup_hierarchy=1`), or mount it at \
             /sys/fs/cgroup/unified",
        );
    };
    if !facts.cgroup.writable {
        return weaker(
            what,
            format!("{} cannot be written", folder.display()),
            held,
            "let systemd delegate one: `Delegate=yes` in the unit, as packaging/crosswatch.service has",
        );
    }
    let missing: Vec<&str> = ["memory", "pids"]
        .into_iter()
        .filter(|one| !facts.cgroup.controllers.iter().any(|have| have == one))
        .collect();
    if !missing.is_empty() {
        return weaker(
            what,
            format!("{}, without {}", folder.display(), missing.join(" and ")),
            "each run has a group that is killed at once; the limits that need the missing controllers \
             are kept by looking every now and then, or by a limit of the user",
            "let version 2 have these controllers: they are either in a hierarchy of version 1, or \
             not delegated",
        );
    }
    ok(what, format!("{} with {}", folder.display(), facts.cgroup.controllers.join(", ")))
}

fn subreaper(facts: &Facts) -> Check {
    match &facts.subreaper {
        Ok(()) => ok("orphans", "come to their keeper"),
        Err(why) => broken(
            "orphans",
            format!("a process cannot become the parent of orphans: {why}"),
            "processes that leave their parent would escape a run's end",
            "use Linux 3.4 or later, and a container's seccomp profile that allows prctl",
        ),
    }
}

fn proc(facts: &Facts) -> Check {
    if !facts.proc.mounted {
        return broken(
            "/proc",
            "not mounted",
            "keepers cannot find the descendants of a run",
            "mount it, and give a container its own",
        );
    }
    match &facts.proc.hidepid {
        Some(value) if facts.uid != 0 => weaker(
            "/proc",
            format!("mounted with hidepid={value}"),
            "processes of a run that became another user's (sudo, setuid programs) are not seen and \
             not ended; the daemon may not end them either",
            "mount /proc without hidepid for the daemon (`ProtectProc=default`), or keep such programs \
             from its user",
        ),
        _ => ok("/proc", "mounted, all processes are seen"),
    }
}

fn limits(facts: &Facts) -> Vec<Check> {
    let row = |name: &str, limit: Option<u64>, least: u64, means: &str, way_out: &str| match limit {
        Some(value) if value < least => weaker(name, value.to_string(), means, way_out),
        Some(value) => ok(name, value.to_string()),
        None => ok(name, "unlimited"),
    };
    vec![
        row(
            "open files",
            facts.open_files.0,
            OPEN_FILES,
            "many repositories, builds and pages at once may run out of them",
            "raise it: `LimitNOFILE=65536` in the unit, or `ulimit -n`",
        ),
        row(
            "processes",
            facts.processes.0,
            PROCESSES,
            "runs of this user share them; a build with many compilers may run out",
            "raise it: `LimitNPROC=` and `TasksMax=` in the unit, or `ulimit -u`",
        ),
    ]
}

fn clock(facts: &Facts) -> Check {
    if facts.now < NEVER_EARLIER {
        return broken(
            "clock",
            facts.now.to_string(),
            "settling, deadlines of approvals and certificates of forges are judged by it",
            "set it, and keep it by NTP",
        );
    }
    ok("clock", "it was set")
}

fn credentials(facts: &Facts) -> Option<Check> {
    let folder = facts.credentials.as_ref()?;
    let found = format!("{}, mode {:04o}", folder.path.display(), folder.mode);
    if !folder.exists {
        return Some(broken(
            "credentials",
            format!("{} is not there", folder.path.display()),
            "secrets named `credential:` cannot be read",
            "start the daemon by systemd with `LoadCredential=`",
        ));
    }
    if folder.mode & 0o077 != 0 {
        return Some(weaker(
            "credentials",
            found,
            "other users of this machine may read the daemon's secrets",
            "chmod 0700 on it",
        ));
    }
    Some(ok("credentials", found))
}

fn secrets(facts: &Facts, site: &Site) -> Vec<Check> {
    let mut all: Vec<Check> =
        site.secrets.iter().filter_map(|secret| fault(facts, secret)).collect();
    let read = site.secrets.iter().filter(|secret| secret.fault.is_none()).count();
    if read > 0 {
        all.insert(0, ok("secrets", format!("{read} can be read")));
    }
    all.extend(site.secrets.iter().filter_map(|secret| {
        let ci = secret.shown_by.as_ref()?;
        Some(broken(
            &format!("secret {}", secret.key),
            format!("CI {ci} shows {} to the code of changes", secret.reference),
            "whoever opens a change that is built may read it",
            "take the folder out of `read_only`, or move the secret",
        ))
    }));
    all
}

fn fault(facts: &Facts, secret: &SecretFact) -> Option<Check> {
    let why = secret.fault.as_ref()?;
    let what = format!("secret {}", secret.key);
    let elsewhere = match &secret.reference {
        SecretRef::Credential(_) => facts.credentials.is_none(),
        SecretRef::Env(_) => facts.daemon != Daemon::None,
        SecretRef::File(_) => false,
    };
    Some(if elsewhere {
        weaker(
            &what,
            format!("{} is for the daemon alone and not seen from this shell", secret.reference),
            "whether it can be read shows only when the daemon starts",
            "look at the daemon's log",
        )
    } else {
        broken(&what, why.clone(), "no daemon starts without it", "mend the place or the reference")
    })
}

fn open(ci: &str) -> Check {
    weaker(
        &format!("CI {ci}"),
        "builds changes with `sandbox: none`",
        "code of changes runs as the daemon's user and can read what that user can",
        "use `sandbox: bubblewrap` unless everybody who can open a change may do that",
    )
}
