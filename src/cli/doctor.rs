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
        insta::assert_snapshot!(shown(&healthy()), @"");
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
        insta::assert_snapshot!(shown(&facts), @"");
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
