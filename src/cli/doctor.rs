//! `crosswatch doctor`: the checks as a table, and a verdict.

use std::path::PathBuf;

use super::CliError;
use super::output::{out, table};
use crate::doctor::{self, Check, Level, Usage};
use crate::web;

/// Looks, prints, and fails when something is broken.
pub(super) async fn doctor(
    config: PathBuf,
    socket: Option<PathBuf>,
    json: bool,
) -> Result<(), CliError> {
    let usage = Usage { config, socket: web::socket_path, named_socket: socket };
    let checks = doctor::judge(&doctor::gather(&usage).await);
    if json {
        let text = serde_json::to_string_pretty(&checks);
        out(&(text.map_err(|error| CliError::Failed(error.to_string()))? + "\n"))?;
    } else {
        table(&HEAD, &rows(&checks))?;
    }
    match checks.iter().filter(|check| check.level == Level::Broken).count() {
        0 => Ok(()),
        1 => Err(CliError::Failed("one check is broken".to_owned())),
        many => Err(CliError::Failed(format!("{many} checks are broken"))),
    }
}

const HEAD: [&str; 4] = ["check", "state", "found", "what it means → the way out"];

fn rows(checks: &[Check]) -> Vec<Vec<String>> {
    let row = |check: &Check| {
        let says = [check.means.as_str(), check.way_out.as_str()];
        let says: Vec<&str> = says.into_iter().filter(|text| !text.is_empty()).collect();
        vec![
            check.check.clone(),
            check.level.word().to_owned(),
            check.found.clone(),
            says.join(" → "),
        ]
    };
    checks.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use crosswatch_core::model::settings::SecretRef;
    use crosswatch_core::model::time::Timestamp;

    use super::*;
    use crate::cli::output::plain;
    use crate::doctor::{
        Cgroup, Daemon, Facts, Folder, Limit, Peer, ProcMount, Programs, SecretFact, Site,
    };
    use crate::supervise::bubblewrap::{Bubblewrap, SandboxError};

    fn healthy() -> Facts {
        Facts {
            config: "/etc/crosswatch/workspaces.yaml".into(),
            site: Ok(Site {
                workspaces: 17,
                state_dir: Folder {
                    path: "/var/lib/crosswatch".into(),
                    writable: None,
                    exists: true,
                    owner: 990,
                    mode: 0o750,
                    free: 80 << 30,
                    filesystem: "ext".to_owned(),
                },
                ssh: true,
                sandboxed: vec!["here".to_owned()],
                open: Vec::new(),
                secrets: vec![SecretFact {
                    key: "forges.github.token".to_owned(),
                    reference: SecretRef::File("/etc/crosswatch/token".into()),
                    fault: None,
                    shown_by: None,
                }],
                database: Ok("/var/lib/crosswatch/crosswatch.sqlite".to_owned()),
                peers: vec![Peer {
                    name: "forge github".to_owned(),
                    url: "https://github.com".to_owned(),
                    fault: None,
                }],
            }),
            uid: 990,
            daemon: Daemon::Answers { pid: 812 },
            programs: Programs {
                git: Some("git version 2.47.1".to_owned()),
                ssh: Some("OpenSSH_9.9p1".to_owned()),
            },
            cgroup: Cgroup {
                folder: Some("/sys/fs/cgroup/system.slice/crosswatch.service".into()),
                writable: true,
                controllers: ["cpu", "memory", "pids"].map(str::to_owned).into(),
            },
            sandbox: Ok(Bubblewrap {
                program: "/usr/bin/bwrap".into(),
                version: "0.11.0".to_owned(),
                forbids_namespaces: true,
                bounds_memory: true,
            }),
            namespaces_forbidden: None,
            subreaper: Ok(()),
            proc: ProcMount { mounted: true, hidepid: None },
            open_files: Limit(Some(65_536)),
            processes: Limit(None),
            now: Timestamp(1_800_000_000_000),
            credentials: None,
        }
    }

    fn shown(facts: &Facts) -> String {
        let text = plain(&HEAD, &rows(&doctor::judge(facts)));
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_healthy_machine_needs_few_words() {
        insta::assert_snapshot!(shown(&healthy()), @r"
        CHECK	STATE	FOUND	WHAT IT MEANS → THE WAY OUT
        configuration	ok	/etc/crosswatch/workspaces.yaml: 17 workspaces
        daemon	ok	process 812 answers
        user	ok	an ordinary one (990)
        state directory	ok	/var/lib/crosswatch: 80 GiB free on ext
        database	ok	/var/lib/crosswatch/crosswatch.sqlite
        git	ok	git version 2.47.1
        ssh	ok	OpenSSH_9.9p1
        bubblewrap	ok	0.11.0 at /usr/bin/bwrap makes a sandbox
        user namespaces	ok	no switch of the system forbids them
        control groups	ok	/sys/fs/cgroup/system.slice/crosswatch.service with cpu, memory, pids
        orphans	ok	come to their keeper
        /proc	ok	mounted, all processes are seen
        open files	ok	65536
        processes	ok	unlimited
        clock	ok	it was set
        secrets	ok	1 can be read
        forge github	ok	https://github.com answers
        ");
    }

    #[test]
    fn what_is_wrong_says_what_it_means_and_the_way_out() {
        let mut facts = healthy();
        let site = facts.site.as_mut().unwrap();
        site.state_dir.filesystem = "nfs".to_owned();
        site.open = vec!["open".to_owned()];
        site.secrets[0].fault = Some("the secret file /etc/crosswatch/token is empty".to_owned());
        site.secrets.push(SecretFact {
            key: "ci.here.push_secret".to_owned(),
            reference: SecretRef::Credential("hook".to_owned()),
            fault: Some("no credentials".to_owned()),
            shown_by: None,
        });
        site.secrets.push(SecretFact {
            key: "database".to_owned(),
            reference: SecretRef::File("/srv/ci/database".into()),
            fault: None,
            shown_by: Some("here".to_owned()),
        });
        site.database =
            Err("the database PostgreSQL on db/x cannot be reached: refused".to_owned());
        site.peers[0].fault = Some("https://github.com cannot be reached: no route".to_owned());
        facts.uid = 0;
        facts.daemon = Daemon::Silent { pid: 812, socket: "/var/lib/crosswatch/api.sock".into() };
        facts.programs = Programs::default();
        facts.cgroup.writable = false;
        facts.sandbox = Err(SandboxError::NotInstalled);
        facts.namespaces_forbidden = Some("allow them with `sysctl x=1`".to_owned());
        facts.open_files = Limit(Some(1024));
        facts.now = Timestamp(0);
        insta::assert_snapshot!(shown(&facts), @r"
        CHECK	STATE	FOUND	WHAT IT MEANS → THE WAY OUT
        configuration	ok	/etc/crosswatch/workspaces.yaml: 17 workspaces
        daemon	weaker	process 812 has the state directory, and nothing answers at /var/lib/crosswatch/api.sock	the command line does not reach it → name its socket with --socket or CROSSWATCH_SOCKET (under systemd /run/crosswatch/api.sock), as root, as its user or as a member of the socket's group
        user	weaker	root	commands of workspaces run as root too: nothing keeps them from the daemon's secrets, limits of processes do not bind them, and a sandboxed build still counts as root where a file is shown to it → run the daemon as a user of its own, as packaging/crosswatch.service does (look again as that user: a doctor that runs as root sees what root can)
        state directory	weaker	/var/lib/crosswatch: 80 GiB free on nfs	locks on a file system of the network may be lost or not seen by another machine, so that two daemons could work on one ledger; SQLite is not safe there either → put `state_dir` on a local disk
        database	broken	the database PostgreSQL on db/x cannot be reached: refused	without its ledger the daemon decides nothing → start the server, or give the daemon's user the right
        git	broken	not found in PATH	commits cannot be compared, and most workspaces cannot be made → install git 2.30 or later
        ssh	broken	not found in PATH	forges with an ssh:// address cannot be asked → install an ssh client
        bubblewrap	broken	bubblewrap is not installed: no program `bwrap` in PATH; install the package `bubblewrap`	builds of changes on here are refused → install the package `bubblewrap`
        user namespaces	weaker	users may not make them	bubblewrap cannot make a sandbox → allow them with `sysctl x=1`
        control groups	weaker	/sys/fs/cgroup/system.slice/crosswatch.service cannot be written	every run is still ended by its keeper; memory is bounded by looking every now and then, processes by a limit of the user → let systemd delegate one: `Delegate=yes` in the unit, as packaging/crosswatch.service has
        orphans	ok	come to their keeper
        /proc	ok	mounted, all processes are seen
        open files	weaker	1024	many repositories, builds and pages at once may run out of them → raise it: `LimitNOFILE=65536` in the unit, or `ulimit -n`
        processes	ok	unlimited
        clock	broken	1970-01-01T00:00:00Z	settling, deadlines of approvals and certificates of forges are judged by it → set it, and keep it by NTP
        secrets	ok	1 can be read
        secret forges.github.token	broken	the secret file /etc/crosswatch/token is empty	no daemon starts without it → mend the place or the reference
        secret ci.here.push_secret	weaker	credential hook is for the daemon alone and not seen from this shell	whether it can be read shows only when the daemon starts → look at the daemon's log
        secret database	broken	CI here shows file /srv/ci/database to the code of changes	whoever opens a change that is built may read it → take the folder out of `read_only`, or move the secret
        CI open	weaker	builds changes with `sandbox: none`	code of changes runs as the daemon's user and can read what that user can → use `sandbox: bubblewrap` unless everybody who can open a change may do that
        forge github	weaker	https://github.com cannot be reached: no route	what it should say stays as it was last known, and nothing is triggered from that → look at the address in the configuration, the network and the server
        ");
    }

    #[test]
    fn a_configuration_that_does_not_load_leaves_the_machine_to_look_at() {
        let mut facts = healthy();
        facts.site = Err("workspaces.yaml:3:1: unknown key".to_owned());
        facts.sandbox = Err(SandboxError::NotInstalled);
        let checks = doctor::judge(&facts);
        assert_eq!(checks[0].level, Level::Broken);
        let sandbox = checks.iter().find(|check| check.check == "bubblewrap").unwrap();
        assert_eq!(sandbox.level, Level::Weaker, "nothing is known to need it");
        assert!(checks.iter().any(|check| check.check == "git"));
    }
}
