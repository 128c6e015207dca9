//! What a run may use, and the results that are written of it.

use crosswatch::supervise::{Outcome, Resource, RunResult};
use tokio_util::sync::CancellationToken;

use super::{marked, marker, script};
use crate::support::supervisor;

#[tokio::test]
async fn memory_is_bounded_for_all_processes_together() {
    let (never, marker) = (CancellationToken::new(), marker());
    // Two halves, each within the limit; a sleep, so that it can be seen at all.
    let eater = "python3 -c 'a = bytearray(70 << 20); import time; time.sleep(20)' & ";
    let mut run = script(&format!("{eater}{eater} wait"), &marker);
    run.limits.memory = Some(100 << 20);
    let ended = supervisor().run(run, &never).await;
    assert_eq!(ended.outcome, Outcome::OutOfMemory);
    assert_eq!(marked(&marker), [].into());
    let mut run =
        script(&format!("{} exit 0", eater.replace("& ", ";").replace("(20)", "(0.5)")), "x");
    run.limits.memory = Some(100 << 20);
    assert!(supervisor().run(run, &never).await.outcome.success());
}

#[tokio::test]
async fn processes_are_bounded() {
    let (never, marker) = (CancellationToken::new(), marker());
    let text = "for i in $(seq 40); do sleep 20 & done; wait";
    let mut run = script(text, &marker);
    run.limits.processes = Some(20);
    let ended = supervisor().run(run, &never).await;
    let Outcome::OverLimit(Resource::Processes) = ended.outcome else { panic!("{ended:?}") };
    assert_eq!(marked(&marker), [].into());
}

#[tokio::test]
async fn open_files_are_bounded() {
    let never = CancellationToken::new();
    let mut run = script("ulimit -n", "x");
    run.limits.open_files = Some(77);
    run.capture = Some(100);
    assert_eq!(supervisor().run(run, &never).await.stdout, b"77\n");
}

#[tokio::test]
async fn room_on_the_disk_is_bounded() {
    let (never, marker) = (CancellationToken::new(), marker());
    let folder = tempfile::tempdir().expect("a folder");
    let text =
        "mkdir -p deep/er; while :; do head -c 1000000 /dev/zero >> deep/er/file; sleep 0.1; done";
    let mut run = script(text, &marker);
    run.dir = folder.path().to_owned();
    run.limits.disk = Some(3_000_000);
    let ended = supervisor().run(run, &never).await;
    assert_eq!(ended.outcome, Outcome::OverLimit(Resource::Disk));
    assert_eq!(marked(&marker), [].into());
}

#[tokio::test]
async fn output_is_cut_or_ends_the_run() {
    let never = CancellationToken::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = script("yes", "x");
    run.log = Some(folder.path().join("run.log"));
    run.limits.log_max = 100_000;
    run.limits.log_end = true;
    let ended = supervisor().run(run, &never).await;
    assert_eq!(ended.outcome, Outcome::OverLimit(Resource::Output));
}

#[tokio::test]
async fn a_result_is_written_beside_the_log() {
    let never = CancellationToken::new();
    let folder = tempfile::tempdir().expect("a folder");
    for (text, outcome) in
        [("exit 3", Outcome::Finished(3)), ("kill -s 34 $$", Outcome::Signalled(34))]
    {
        let log = folder.path().join(format!("{}.log", text.len()));
        let mut run = script(text, "x");
        run.log = Some(log.clone());
        let ended = supervisor().run(run, &never).await;
        assert_eq!(ended.outcome, outcome);
        let bytes = std::fs::read(RunResult::path(&log)).expect("a result");
        let result: RunResult = serde_json::from_slice(&bytes).expect("readable");
        assert_eq!(result.outcome, outcome);
        assert_eq!(result.text, outcome.to_string());
        assert_eq!(result.command[..2], ["sh", "-c"].map(str::to_owned));
        assert!(result.started_at <= result.ended_at);
    }
}
