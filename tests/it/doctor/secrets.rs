//! An update that goes looking for the daemon's secrets as the daemon's own user.

use std::process::Stdio;

use crate::support::site::Site;
use crate::support::{eventually, ordinary};

/// Looks at its keeper and everything above it that is crosswatch too; `$0` is where it tells.
const LOOK: &str = r#"
tell() { echo "$*" >> "$0"; }
sleep 100 & cat /proc/$!/environ > /dev/null && tell a child of its own can be read
p=$PPID
while :; do
    comm=$(cat /proc/$p/comm) above=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$p/status)
    case $comm in sh) p=$above; continue ;; crosswatch|exe) ;; *) break ;; esac
    tell looked
    for file in environ maps auxv; do cat /proc/$p/$file > /dev/null 2>&1 && tell "read $file of $p"; done
    (: < /proc/$p/mem) 2> /dev/null && tell "opened mem of $p"
    (: > /proc/$p/mem) 2> /dev/null && tell "wrote mem of $p"
    ls /proc/$p/fd > /dev/null 2>&1 && tell "listed fd of $p"
    ls /proc/$p/cwd/ > /dev/null 2>&1 && tell "went through cwd of $p"
    p=$above
done
for fd in /proc/$$/fd/*; do
    case "$(readlink $fd)" in
        *socket*|*sqlite*|*lock*|*canary*) tell "inherited $(readlink $fd)" ;;
    esac
done
env | grep -i canary >> "$0"
ulimit -c | grep -v '^0$' | sed 's/^/core dumps: /' >> "$0"
tell end
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_update_finds_no_secret_of_the_daemon() {
    let exe = std::path::Path::new(env!("CARGO_BIN_EXE_crosswatch"));
    if !ordinary::may_run(exe) {
        eprintln!("skipped: an ordinary user may not run {}", exe.display());
        return;
    }
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[])]);
    site.configure(&url, &site.local_ci("true"), &["one"]);
    let (config, told) = (site.path().join("workspaces.yaml"), site.path().join("told"));
    let script = site.path().join("look.sh");
    std::fs::write(&script, LOOK).expect("a script");
    let text = std::fs::read_to_string(&config).expect("the configuration");
    let clone = format!("[git, clone, -q, \"{url}/conf.git\", .]");
    let look = format!(
        "[sh, -c, 'git clone -q {url}/conf.git . && sh -c \"$(cat {0})\" {1}']",
        script.display(),
        told.display()
    );
    assert!(text.contains(&clone));
    let secret = "push_secret: {env: CROSSWATCH_CANARY_SECRET}, sandbox: none";
    site.write_config(&text.replace(&clone, &look).replace("sandbox: none", secret));
    ordinary::give(site.path());
    let mut daemon = ordinary::command(exe)
        .args(["run", "--config"])
        .arg(&config)
        .env("HOME", site.path())
        .env("CROSSWATCH_CANARY_SECRET", "canary-of-the-environment")
        .env_remove("CROSSWATCH_DEBUGGABLE")
        .env_remove("CROSSWATCH_SOCKET")
        .env_remove("RUNTIME_DIRECTORY")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let read = || std::fs::read_to_string(&told).unwrap_or_default();
    eventually("the update looked", async || read().ends_with("end\n")).await;
    daemon.kill().expect("it runs");
    daemon.wait().expect("it ends");
    let told = read();
    let rest = told.strip_prefix("a child of its own can be read\nlooked\nlooked\n");
    // A parent of the daemon is looked at as well, where there is one.
    let rest = rest.map(|rest| rest.replace("looked\n", ""));
    assert_eq!(rest.as_deref(), Some("end\n"), "{told}");
}
