//! The keeper against commands that do their worst.

use crosswatch::clock::Clock;
use crosswatch::supervise::{Exceeded, Outcome, Run, SandboxSpec};
use crosswatch_core::model::time::Span;
use tokio_util::sync::CancellationToken;

use super::{marked, marker, script};
use crate::support::{eventually, supervisor};

/// Starts a grandchild that ignores TERM and one that leaves the session twice.
const STUBBORN: &str = "(trap '' TERM; while :; do sleep 1; done) & \
    setsid sh -c 'setsid sh -c \"trap \\\"\\\" TERM; while :; do sleep 1; done\" & ' & ";

#[tokio::test]
async fn exit_codes_and_signals_are_told() {
    let never = CancellationToken::new();
    let end = async |text: &str| supervisor().run(script(text, "x"), &never).await.outcome;
    assert_eq!(end("exit 0").await, Outcome::Finished(0));
    assert_eq!(end("exit 7").await, Outcome::Finished(7));
    assert_eq!(end("kill -9 $$").await, Outcome::Signalled(9));
    assert!(!Outcome::Signalled(9).success() && Outcome::Finished(0).success());
}

#[tokio::test]
async fn a_deadline_ends_every_descendant() {
    let (never, marker, clock) = (CancellationToken::new(), marker(), Clock::system());
    let mut run = script(&format!("{STUBBORN} trap '' TERM; while :; do sleep 1; done"), &marker);
    run.limits.wall = Span(700);
    let started = clock.now();
    let ended = supervisor().run(run, &never).await;
    assert_eq!(ended.outcome, Outcome::TimedOut(Exceeded::Wall));
    let took = clock.now().since(started);
    assert!(took >= Span(700) && took < Span::seconds(4), "{took}");
    assert_eq!(marked(&marker), [].into());
}

#[tokio::test]
async fn who_is_asked_to_end_may_do_so_in_its_own_way() {
    const TIDY: &str = "import signal, sys\n\
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('tidied', flush=True)))\n\
        open(sys.argv[1], 'w').close()\n\
        while True: signal.pause()";
    let (never, cancel, like) =
        (CancellationToken::new(), CancellationToken::new(), script("", "x"));
    let run = |words: &[&str]| {
        let mut run = Run::new(words.iter().copied(), "/tmp");
        run.limits = like.limits;
        run.limits.grace = Span::seconds(10);
        run
    };
    // A shell would clear the mask itself.
    let ended = supervisor().run(run(&["grep", "SigBlk", "/proc/self/status"]), &never).await;
    assert_eq!(ended.tail, ["SigBlk:\t0000000000000000"], "every signal arrives");
    let folder = tempfile::tempdir().expect("a folder");
    let ready = folder.path().join("ready");
    let tidy = run(&["python3", "-c", TIDY, &ready.display().to_string()]);
    let supervisor = supervisor();
    let stop = async {
        eventually("it listens", async || ready.exists()).await;
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(supervisor.run(tidy, &cancel), stop);
    assert_eq!(ended.outcome, Outcome::Cancelled);
    assert_eq!(ended.tail, ["tidied"]);
}

#[tokio::test]
async fn what_a_finished_command_leaves_is_ended() {
    let (never, marker, clock) = (CancellationToken::new(), marker(), Clock::system());
    let started = clock.now();
    let ended = supervisor().run(script(&format!("{STUBBORN} exit 3"), &marker), &never).await;
    assert_eq!(ended.outcome, Outcome::Finished(3));
    assert!(clock.now().since(started) < Span::seconds(4));
    assert_eq!(marked(&marker), [].into());
}

#[tokio::test]
async fn silence_is_told_from_slowness() {
    let never = CancellationToken::new();
    let mut run = script("for i in 1 2 3 4 5 6; do echo $i; sleep 0.2; done", "x");
    run.limits.silence = Some(Span::seconds(2));
    assert!(supervisor().run(run, &never).await.outcome.success());
    let mut run = script("echo on; trap 'exit 0' TERM; sleep 20 & wait", "x");
    run.limits.silence = Some(Span(300));
    let ended = supervisor().run(run, &never).await;
    assert_eq!(ended.outcome, Outcome::TimedOut(Exceeded::Silence));
    assert_eq!(ended.tail, ["on"]);
}

#[tokio::test]
async fn a_cancelled_run_ends() {
    let (cancel, marker) = (CancellationToken::new(), marker());
    let supervisor = supervisor();
    let run = supervisor.run(script(&format!("{STUBBORN} wait"), &marker), &cancel);
    let stop = async {
        eventually("the tree runs", async || marked(&marker).len() >= 4).await;
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(run, stop);
    assert_eq!(ended.outcome, Outcome::Cancelled);
    assert_eq!(marked(&marker), [].into());
}

#[tokio::test]
async fn nothing_outlives_the_one_who_asked() {
    let (never, marker) = (CancellationToken::new(), marker());
    let supervisor = supervisor();
    // A dropped future closes the control channel, as the daemon's death does.
    tokio::select! {
        _ = supervisor.run(script(&format!("{STUBBORN} wait"), &marker), &never) => {
            panic!("the run has no end of its own");
        }
        () = eventually("the tree runs", async || marked(&marker).len() >= 4) => {}
    }
    eventually("nothing is left", async || marked(&marker).is_empty()).await;
}

#[tokio::test]
async fn a_lost_keeper_leaves_nothing() {
    let (never, marker) = (CancellationToken::new(), marker());
    let supervisor = supervisor();
    let text = format!("echo $PPID > {marker}; {STUBBORN} wait");
    let run = supervisor.run(script(&text, &marker), &never);
    let kill = async {
        eventually("the tree runs", async || marked(&marker).len() >= 4).await;
        let keeper = std::fs::read_to_string(&marker).expect("a pid");
        let keeper = nix::unistd::Pid::from_raw(keeper.trim().parse().expect("a pid"));
        nix::sys::signal::kill(keeper, nix::sys::signal::Signal::SIGKILL).expect("killed");
    };
    let (ended, ()) = tokio::join!(run, kill);
    std::fs::remove_file(&marker).expect("removed");
    assert_eq!(ended.outcome, Outcome::KeeperLost);
    eventually("nothing is left", async || marked(&marker).is_empty()).await;
}

#[tokio::test]
async fn what_cannot_start_is_named() {
    let never = CancellationToken::new();
    let mut run = script("", "x");
    run.command = vec!["no-such-program".to_owned()];
    let ended = supervisor().run(run, &never).await;
    let Outcome::CouldNotStart(why) = ended.outcome else { panic!("{:?}", ended.outcome) };
    assert!(why.contains("no-such-program"), "{why}");
    let mut run = script("", "x");
    run.dir = "/no/such/folder".into();
    let ended = supervisor().run(run, &never).await;
    let Outcome::CouldNotStart(why) = ended.outcome else { panic!("{:?}", ended.outcome) };
    assert!(why.contains("/no/such/folder"), "{why}");
}

#[tokio::test]
async fn only_the_allow_list_and_the_own_variables_are_seen() {
    let never = CancellationToken::new();
    let mut run = script("env; ls -l /proc/self/fd", "x");
    run.env.insert("OWN".to_owned(), "yes".to_owned());
    run.env.remove("TEST_MARKER");
    run.capture = Some(1 << 20);
    let ended = supervisor().run(run, &never).await;
    let text = String::from_utf8(ended.stdout).expect("text");
    assert!(text.contains("OWN=yes") && text.contains("GIT_TERMINAL_PROMPT=0"), "{text}");
    // Cargo gives this test variables of its own, which stand for a secret here.
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok());
    assert!(!text.contains("CARGO"), "{text}");
    assert!(!text.contains("socket:"), "{text}");
}

#[tokio::test]
async fn input_is_given_and_output_bounded() {
    let never = CancellationToken::new();
    let mut run = script("cat; echo aside >&2", "x");
    run.stdin = b"in and out".to_vec();
    run.capture = Some(6);
    let ended = supervisor().run(run, &never).await;
    assert_eq!(ended.stdout, b"in and");
    assert!(ended.stdout_truncated && ended.outcome.success());
    assert_eq!(ended.tail, ["aside"]);
}

#[tokio::test]
async fn a_lock_lets_one_run_at_a_time() {
    let never = CancellationToken::new();
    let folder = tempfile::tempdir().expect("a folder");
    let lock = folder.path().join("lock");
    let text = "mkdir alone && sleep 0.2 && rmdir alone";
    let run = || {
        let mut run = script(text, "x");
        run.dir = folder.path().to_owned();
        run.lock = Some(lock.clone());
        run
    };
    let supervisor = supervisor();
    let (a, b) = tokio::join!(supervisor.run(run(), &never), supervisor.run(run(), &never));
    assert!(a.outcome.success() && b.outcome.success(), "{a:?} {b:?}");
}

#[tokio::test]
async fn a_sandbox_shows_only_its_folder() {
    let never = CancellationToken::new();
    let (inside, outside) = (tempfile::tempdir().expect("a"), tempfile::tempdir().expect("b"));
    std::fs::write(outside.path().join("secret"), "canary").expect("written");
    let text = format!(
        "echo here > made; cat {0}/secret; touch {0}/x /usr/x; ls /etc/shadow; echo end",
        outside.path().display()
    );
    let mut run = script(&text, "x");
    run.dir = inside.path().to_owned();
    run.sandbox =
        Some(SandboxSpec { writable: inside.path().to_owned(), ..SandboxSpec::default() });
    run.capture = Some(1 << 16);
    let ended = supervisor().run(run, &never).await;
    assert_eq!(ended.stdout, b"end\n", "{ended:?}");
    assert_eq!(std::fs::read(inside.path().join("made")).expect("made"), b"here\n");
    assert!(!outside.path().join("x").exists());
}
