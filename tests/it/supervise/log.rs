//! Logs of runs: bounded, followed while they grow, harmless to show.

use crosswatch::supervise::log::{Follower, tail};
use tokio_util::sync::CancellationToken;

use super::script;
use crate::support::{eventually, supervisor};

#[tokio::test]
async fn a_log_is_followed_while_it_grows() {
    let never = CancellationToken::new();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep/run.log");
    let mut run = script(
        r"printf 'one \377\n'; until [ -e go ]; do sleep 0.02; done; printf '\033[31mtwo\033[0m\n'",
        "x",
    );
    run.dir = folder.path().to_owned();
    run.log = Some(path.clone());
    let supervisor = supervisor();
    let follow = async {
        eventually("the log is there", async || path.exists()).await;
        let mut follower = Follower::open(&path).expect("a log");
        let mut seen = String::new();
        eventually("the first line", async || {
            seen.push_str(&follower.read().expect("readable"));
            seen == "one \u{fffd}\n"
        })
        .await;
        std::fs::write(folder.path().join("go"), "").expect("written");
        eventually("the second line", async || {
            seen.push_str(&follower.read().expect("readable"));
            seen == "one \u{fffd}\ntwo\n"
        })
        .await;
    };
    let (ended, ()) = tokio::join!(supervisor.run(run, &never), follow);
    assert!(ended.outcome.success());
    assert_eq!(ended.tail, ["one \u{fffd}", "two"]);
    assert_eq!(tail(&path, 1).expect("readable"), ["two"]);
}

#[tokio::test]
async fn much_output_is_cut_and_the_run_goes_on() {
    let never = CancellationToken::new();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.log");
    // The keeper is the shell's parent: what it takes at most is asked at the end.
    let text = "head -c 100000000 /dev/zero | tr '\\0' y; echo; grep VmHWM /proc/$PPID/status";
    let mut run = script(text, "x");
    run.log = Some(path.clone());
    run.limits.log_max = 1_000_000;
    let ended = supervisor().run(run, &never).await;
    assert!(ended.outcome.success(), "{ended:?}");
    let peak = ended.tail.last().expect("a line");
    let peak: u64 = peak.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    assert!(peak < 64 * 1024, "{peak} kB");
    let length = std::fs::metadata(&path).expect("a log").len();
    assert!((1_000_000..1_001_000).contains(&length), "{length}");
    assert!(tail(&path, 1).expect("readable")[0].contains("cut here"));
}
