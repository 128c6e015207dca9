//! Logs of runs: bounded, followed while they grow, compressed when they are over, harmless to show.

use std::path::Path;

use crosswatch::supervise::archive::compress;
use crosswatch::supervise::log::{Follower, Line, Stream, is_over, tail};
use crosswatch::supervise::{Outcome, Run};
use tokio_util::sync::CancellationToken;

use super::script;
use crate::support::{eventually, supervisor};

fn logged(text: &str, folder: &Path) -> (Run, std::path::PathBuf) {
    let path = folder.join("deep/run.log");
    let mut run = script(text, "x");
    run.dir = folder.to_owned();
    run.log = Some(path.clone());
    (run, path)
}

/// Stream and text of lines, without the keeper's own.
fn texts(lines: &[Line]) -> Vec<(char, &str)> {
    let own = |line: &&Line| line.stream != Stream::Note;
    lines.iter().filter(own).map(|line| (line.stream.letter(), line.text.as_str())).collect()
}

/// Reads to the end of the run.
async fn all(path: &Path) -> Vec<Line> {
    let mut follower = Follower::open(path).expect("a log");
    let mut seen = Vec::new();
    eventually("the run is over", async || {
        seen.extend(follower.read().expect("readable"));
        follower.is_over()
    })
    .await;
    assert!(follower.read().expect("readable").is_empty(), "nothing comes after the end");
    seen
}

#[tokio::test]
async fn several_readers_follow_a_log_while_it_grows_and_end_with_the_run() {
    let never = CancellationToken::new();
    let folder = tempfile::tempdir().expect("a folder");
    let text = r"printf 'one \377\n'; until [ -e go ]; do sleep 0.02; done; printf '\033[31mtwo\033[0m\n' >&2; printf three";
    let (run, path) = logged(text, folder.path());
    let expected = [('o', "one \u{fffd}"), ('e', "two"), ('o', "three")];
    let supervisor = supervisor();
    let live = async {
        eventually("the log is there", async || path.exists()).await;
        let mut follower = Follower::open(&path).expect("a log");
        let mut seen = Vec::new();
        eventually("the first line", async || {
            seen.extend(follower.read().expect("readable"));
            !seen.is_empty()
        })
        .await;
        assert_eq!(texts(&seen), [expected[0]]);
        assert!(seen[0].at.is_some() && !follower.is_over() && !is_over(&path));
        std::fs::write(folder.path().join("go"), "").expect("written");
        eventually("the end", async || {
            seen.extend(follower.read().expect("readable"));
            follower.is_over()
        })
        .await;
        assert_eq!(texts(&seen).len(), 3, "{seen:?}");
    };
    let other = async {
        eventually("the log is there", async || path.exists()).await;
        all(&path).await
    };
    let (ended, (), other) = tokio::join!(supervisor.run(run, &never), live, other);
    assert!(ended.outcome.success());
    for seen in [other, all(&path).await] {
        let mut seen = texts(&seen);
        // Which of two pipes is read first is chance.
        seen.sort_by_key(|line| expected.iter().position(|one| one == line));
        assert_eq!(seen, expected);
    }
    let stored = std::fs::read(&path).expect("readable");
    assert!(stored.iter().all(|byte| *byte == b'\n' || !byte.is_ascii_control()));
    assert!(String::from_utf8(stored).expect("text").contains(r"one \xff"));
}

#[tokio::test]
async fn a_question_without_a_newline_is_seen_while_it_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let (run, path) = logged("printf 'Password: '; sleep 60", folder.path());
    let (cancel, supervisor) = (CancellationToken::new(), supervisor());
    let look = async {
        eventually("the question", async || {
            tail(&path, 1).is_ok_and(|lines| texts(&lines) == [('o', "Password: ")])
        })
        .await;
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(supervisor.run(run, &cancel), look);
    assert_eq!(ended.outcome, Outcome::Cancelled);
}

#[tokio::test]
async fn much_output_loses_its_middle_in_constant_memory_and_the_run_goes_on() {
    let never = CancellationToken::new();
    let folder = tempfile::tempdir().expect("a folder");
    // The keeper is the shell's parent: what it takes at most is asked at the end.
    let text = "echo first; head -c 100000000 /dev/zero | tr '\\0' y; echo; \
                head -c 2000000 /dev/zero | tr '\\0' '\\n'; grep VmHWM /proc/$PPID/status";
    let (mut run, path) = logged(text, folder.path());
    run.limits.log_max = 1_000_000;
    let ended = supervisor().run(run, &never).await;
    assert!(ended.outcome.success(), "{ended:?}");
    let peak = ended.tail.last().expect("a line");
    let peak: u64 = peak.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    assert!(peak < 64 * 1024, "{peak} kB");
    let length = std::fs::metadata(&path).expect("a log").len();
    assert!((700_000..1_001_000).contains(&length), "{length}");
    let files = std::fs::read_dir(path.parent().expect("a folder")).expect("readable").count();
    assert_eq!(files, 2, "the log and the result");
    let seen = all(&path).await;
    assert_eq!(texts(&seen).first(), Some(&('o', "first")));
    assert!(texts(&seen).last().expect("a line").1.starts_with("VmHWM"));
    let mark = seen.iter().position(|line| line.text.ends_with("were cut out here"));
    assert!(mark.is_some_and(|at| at > 0 && at < seen.len() - 1), "{mark:?}");
}

#[tokio::test]
async fn a_log_that_is_compressed_while_it_is_read_is_read_whole() {
    let never = CancellationToken::new();
    let folder = tempfile::tempdir().expect("a folder");
    let (run, path) = logged("seq 200000", folder.path());
    assert!(supervisor().run(run, &never).await.outcome.success());
    let mut early = Follower::open(&path).expect("a log");
    let mut seen = early.read().expect("readable");
    assert!(!early.is_over());
    let plain = std::fs::metadata(&path).expect("a log").len();
    compress(&path).expect("compressed");
    while !early.is_over() {
        seen.extend(early.read().expect("readable"));
    }
    let numbers: Vec<String> = (1..=200_000).map(|number: u32| number.to_string()).collect();
    for seen in [seen, all(&path).await] {
        assert!(texts(&seen).iter().map(|(_, text)| *text).eq(numbers.iter().map(String::as_str)));
    }
    assert!(texts(&tail(&path, 3).expect("readable")).contains(&('o', "200000")));
    let packed = std::fs::metadata(path.with_extension("log.gz")).expect("compressed").len();
    assert!(packed * 3 < plain && !path.exists(), "{packed} of {plain}");
}
