//! `crosswatch log`, the pages of logs, and where the end of a failure is shown.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{get, site};
use crate::support::eventually;
use crate::support::site::Site;

/// A site whose updates run `script` first, with the site's folder as `$1`; `more` is said at the
/// end of its configuration.
fn updating(script: &str, more: &str) -> Site {
    let site = site("true", "");
    let file = site.path().join("update.sh");
    std::fs::write(&file, format!("{script}\ngit pull -q --ff-only\n")).expect("a file");
    let config = std::fs::read_to_string(site.path().join("workspaces.yaml")).expect("it is there");
    let run = format!("run: [sh, {}, {}]", file.display(), site.path().display());
    let config = config.replace("run: [git, pull, -q, --ff-only]", &run);
    assert!(config.contains(&run));
    site.write_config(&format!("{config}{more}"));
    site
}

fn text(site: &Site, arguments: &[&str]) -> String {
    let output = site.cli(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A command that goes on, and the file that it writes to.
struct Going(Child, PathBuf);

impl Going {
    #[expect(clippy::disallowed_methods, reason = "the command line itself is what is tested")]
    fn start(site: &Site, arguments: &[&str]) -> Self {
        let path = site.path().join(arguments.join("_"));
        let file = std::fs::File::create(&path).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_crosswatch"))
            .arg("--socket")
            .arg(site.state().join("api.sock"))
            .args(arguments)
            .stdout(file)
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        Self(child, path)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.1).expect("readable")
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        // It may have ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn logs(site: &Site) -> Vec<String> {
    let entries = std::fs::read_dir(site.state().join("logs/one")).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_printed_and_followed_from_one_run_to_the_next() {
    let script = "echo \"update $(date +%N)\"; echo aside >&2; until [ -e $1/go ]; do sleep 0.05; done; \
                  printf '\\033[1mdone'";
    let site = updating(script, "");
    let _daemon = site.start().await;
    eventually("the update runs", async || site.cli(&["log", "one"]).stdout.starts_with(b"update"))
        .await;
    let following = Going::start(&site, &["log", "one", "--follow"]);
    let mut once = Going::start(&site, &["log", "one", "--follow", "--once", "--times"]);
    eventually("the first lines", async || once.said().contains(" e aside\n")).await;
    assert!(once.0.try_wait().expect("asked").is_none(), "it waits for the end");
    let (status, page) = get(&site, "/workspaces/one/log");
    assert_eq!(status, 200);
    assert!(page.contains("http-equiv=\"refresh\"") && page.contains("e aside"), "{page}");

    std::fs::write(site.path().join("go"), "").expect("a file");
    eventually("it ends with the run", async || once.0.try_wait().expect("asked").is_some()).await;
    let said = once.said();
    let line = said.lines().find(|line| line.ends_with(" o done")).expect(&said);
    assert!(line.starts_with("20") && line.contains("Z o "), "{line}");
    site.settled(&["one"]).await;
    eventually("the page is at rest", async || {
        let (status, page) = get(&site, "/workspaces/one/log");
        status == 200 && !page.contains("http-equiv=\"refresh\"") && page.contains("o done")
    })
    .await;
    eventually("the same as text", async || {
        let (status, plain) = get(&site, "/workspaces/one/log.txt");
        status == 200 && plain.contains("\ndone\n")
    })
    .await;

    let before = following.said().matches("aside\n").count();
    assert!(site.cli(&["update", "one"]).status.success());
    let count = |what: &str| following.said().matches(what).count();
    eventually("the next run", async || count("aside\n") > before).await;
    eventually("its end", async || count("done\n") > before).await;
    assert!(!following.said().contains('\u{1b}'));
    // A log is compressed soon after its run.
    eventually("compressed", async || logs(&site).iter().any(|name| name.ends_with(".log.gz")))
        .await;
    eventually("whole all the same", async || text(&site, &["log", "one"]).contains("done\n"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_logs_are_removed_but_for_the_last_one() {
    let site = updating("echo updating", "logs: {keep: 1ms}\n");
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    eventually("one log is left", async || {
        let left = logs(&site);
        left.len() == 2 && left.iter().any(|name| name.ends_with("-update.log.gz"))
    })
    .await;
    assert_eq!(text(&site, &["log", "one"]).lines().next(), Some("updating"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_failure_is_shown_where_the_failure_is() {
    let site = updating("echo 'the reason <why>'; exit 3", "");
    let _daemon = site.start().await;
    let reason = "the reason &lt;why&gt;";
    eventually("it is wrong", async || get(&site, "/").1.contains(reason)).await;
    assert!(get(&site, "/workspaces/one").1.contains(reason));
    eventually("the mainline is explained by it", async || {
        let explained = site.cli(&["explain", "one", "mainline"]);
        let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
        explained.contains("the end of the workspace's failed run:\n    the reason <why>\n")
    })
    .await;
    let rows = site.ask(&["workspaces"]).expect("rows");
    assert!(rows[0]["tail"].to_string().contains("the reason"), "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_failed_build_stands_beside_it() {
    let site = site("echo 'test 7 failed: <x>'; echo; exit 1", "");
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    site.push("types", "second");
    eventually("it is shown", async || {
        get(&site, "/").1.contains("o test 7")
            || get(&site, "/").1.contains("test 7 failed: &lt;x&gt;\n")
    })
    .await;
    let build = site.builds()[0]["request"]["request_id"].as_str().expect("an id").to_owned();
    assert!(text(&site, &["log", &build[..12]]).starts_with("test 7 failed: <x>\n\n"));
    eventually("followed to its end", async || {
        site.cli(&["log", &build[..12], "--follow"]).status.success()
    })
    .await;
}

/// Runs the daemon on a terminal of its own until it has nothing to do; what the terminal showed.
#[expect(clippy::disallowed_methods, reason = "the daemon itself is what is tested")]
fn on_a_terminal(site: &Site) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_crosswatch");
    let config = site.path().join("workspaces.yaml");
    let command = format!("{program} run --once --config {}", config.display());
    let output = Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .env("TERM", "xterm")
        .env_remove("CROSSWATCH_SOCKET")
        .env_remove("RUNTIME_DIRECTORY")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_one_line_says_what_runs_and_never_mixes_with_the_log() {
    let site = updating("sleep 1.5", "");
    let Some(shown) = on_a_terminal(&site) else {
        eprintln!("skipped: there is no `script` to make a terminal with");
        return;
    };
    assert!(shown.contains("\r\u{1b}[K\u{1b}[?7lone updating 1s\u{1b}[?7h"), "{shown:?}");
    for (at, _) in shown.match_indices("INFO") {
        let before = shown.get(..at).unwrap_or_default();
        let line = before.rsplit(['\n']).next().unwrap_or_default();
        let line = line.rsplit("\r\u{1b}[K").next().unwrap_or_default();
        assert!(!line.contains("updating"), "{line:?}");
    }
    assert!(shown.matches("updating").count() < 12, "at most twice a second: {shown:?}");
    assert!(!shown.ends_with("\u{1b}[?7h"), "the line is gone at the end: {shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_pipe_there_is_no_line() {
    let site = updating("sleep 1", "");
    let _daemon = site.start().await;
    site.settled(&["one"]).await;
    assert!(!site.log().contains("\u{1b}[K") && !site.log().contains("updating"), "{}", site.log());
}
