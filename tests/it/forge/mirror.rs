//! Shared mirrors over a real server.

use std::collections::BTreeMap;
use std::path::Path;

use crosswatch::clock::Clock;
use crosswatch::forge::git::mirror::{Held, Need, Origin, Seen};
use crosswatch::forge::git::{GitError, Lent, SharedMirrors};
use crosswatch::supervise::{Ended, Run, SandboxSpec};
use crosswatch_core::model::change::Listing;
use crosswatch_core::model::identity::{Oid, RepositoryId};
use crosswatch_core::model::time::Span;
use tokio_util::sync::CancellationToken;

use crate::support::git_http::GitHttpServer;
use crate::support::git_repo::{bare, commit, git};
use crate::support::supervisor;

struct Scene {
    root: tempfile::TempDir,
    server: GitHttpServer,
    mirrors: SharedMirrors,
    clock: Clock,
}

impl Scene {
    async fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let dir = bare(root.path(), "a.git");
        let main = commit(&dir, "refs/heads/main", "first", &[]);
        commit(&dir, "refs/pull/1/head", "change", &[&main]);
        let server = GitHttpServer::start(root.path()).await;
        let clock = Clock::manual(Clock::system().now());
        let mirrors = SharedMirrors::new(supervisor(), root.path().join("mirrors"), clock.clone());
        Self { root, server, mirrors, clock }
    }

    fn origin(&self, credential: Option<&str>) -> Origin {
        Origin {
            id: RepositoryId::new("forge", "a"),
            forge_url: self.server.url.clone(),
            credential: credential.map(str::to_owned),
            url: format!("{}/a.git", self.server.url),
            auth: None,
        }
    }

    fn push(&self, message: &str) -> Oid {
        let dir = self.root.path().join("a.git");
        let main = git(&dir, &["rev-parse", "refs/heads/main"]);
        commit(&dir, "refs/heads/main", message, &[&main]).parse().expect("an oid")
    }

    fn listing(&self) -> Listing {
        let dir = self.root.path().join("a.git");
        let main = git(&dir, &["rev-parse", "refs/heads/main"]).parse().expect("an oid");
        Listing {
            archived: false,
            public: false,
            default_branch: Some("main".into()),
            branches: [("main".into(), main)].into(),
            former: Default::default(),
            changes: Vec::new(),
        }
    }

    async fn bring(&self, listing: &Listing, more: &[(&str, Oid)]) -> Result<Held, GitError> {
        let never = CancellationToken::new();
        let seen = Seen { listing, read_at: self.clock.now() };
        let more: BTreeMap<String, Oid> =
            more.iter().map(|(name, oid)| ((*name).to_owned(), *oid)).collect();
        self.mirrors.bring(&self.origin(None), seen, Need::Now, &more, &never).await
    }

    fn lend(&self, held: Held) -> Lent {
        let addresses = [format!("{}/a.git", self.server.url)].into();
        self.mirrors.lend(vec![(held, addresses)], &[].into()).expect("lent")
    }

    async fn run(&self, lent: &Lent, dir: &Path, script: &str, sandbox: bool) -> Ended {
        let mut run = Run::new(["sh", "-c", script], dir);
        lent.extend(&mut run.env);
        run.sandbox = sandbox.then(|| SandboxSpec {
            writable: dir.to_owned(),
            readable: lent.readable(),
            network: false,
            ..SandboxSpec::default()
        });
        supervisor().run(run, &CancellationToken::new()).await
    }

    fn folders(&self) -> usize {
        let entries = std::fs::read_dir(self.root.path().join("mirrors")).expect("a folder");
        entries.flatten().filter(|e| e.path().extension().is_some_and(|e| e == "git")).count()
    }
}

#[tokio::test]
async fn a_sandbox_without_network_and_credentials_reads_a_mirror() {
    let scene = Scene::new().await;
    let head: Oid = git(&scene.root.path().join("a.git"), &["rev-parse", "refs/pull/1/head"])
        .parse()
        .expect("an oid");
    let held = scene.bring(&scene.listing(), &[("refs/pull/1/head", head)]).await.expect("brought");
    let lent = scene.lend(held);
    let inside = tempfile::tempdir().expect("a folder");
    let script = format!(
        "git clone -q {0}/a.git c && cd c && git fetch -q origin refs/pull/1/head && \
         git rev-parse FETCH_HEAD > head && ! git push -q origin HEAD:refs/heads/x && \
         ! git push -q {1} HEAD:refs/heads/x && ! touch {2}/x",
        scene.server.url,
        format_args!("file://{}", lent.mirrors()[0].display()),
        lent.mirrors()[0].display(),
    );
    let ended = scene.run(&lent, inside.path(), &script, true).await;
    assert!(ended.outcome.success(), "{ended:?}");
    let read = std::fs::read_to_string(inside.path().join("c/head")).expect("a head");
    assert_eq!(read.trim(), head.to_string());
}

#[tokio::test]
async fn pushes_and_repositories_of_a_like_name_go_to_the_server() {
    let scene = Scene::new().await;
    bare(scene.root.path(), "a.github.io");
    commit(&scene.root.path().join("a.github.io"), "refs/heads/main", "pages", &[]);
    let lent = scene.lend(scene.bring(&scene.listing(), &[]).await.expect("brought"));
    let inside = tempfile::tempdir().expect("a folder");
    let before = scene.server.counts();
    let url = &scene.server.url;
    let script = format!("git clone -q {url}/a.git a && git -C a fetch -q");
    let ended = scene.run(&lent, inside.path(), &script, false).await;
    assert!(ended.outcome.success(), "{ended:?}");
    assert_eq!(scene.server.counts(), before, "the mirror answers alone");
    let script =
        format!("git clone -q {url}/a.github.io p && git -C a remote get-url --push origin");
    let mut run = Run::new(["sh", "-c", &script], inside.path());
    lent.extend(&mut run.env);
    run.capture = Some(4096);
    let ended = supervisor().run(run, &CancellationToken::new()).await;
    assert!(ended.outcome.success(), "{ended:?}");
    assert_eq!(String::from_utf8_lossy(&ended.stdout).trim(), format!("{url}/a.git"));
    assert!(scene.server.counts().fetch > before.fetch);
}

#[tokio::test]
async fn who_asks_at_once_shares_one_fetch_and_nothing_older_than_seen_is_lent() {
    let scene = Scene::new().await;
    let listing = scene.listing();
    let (a, b, c) = tokio::join!(
        scene.bring(&listing, &[]),
        scene.bring(&listing, &[]),
        scene.bring(&listing, &[])
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(scene.server.counts().fetch, 1);
    scene.push("second");
    scene.bring(&scene.listing(), &[]).await.expect("brought");
    assert_eq!(scene.server.counts().fetch, 2);
    // A server whose copies disagree: it showed a head that it does not give.
    let mut ahead = scene.listing();
    let unknown = "0123456789abcdef0123456789abcdef01234567".parse().expect("an oid");
    ahead.branches.insert("main".into(), unknown);
    scene.clock.advance(Span::minutes(2));
    assert!(scene.bring(&ahead, &[]).await.is_err());
    // And after a failure everybody goes to the server for a while, without waiting.
    let before = scene.server.counts();
    assert!(scene.bring(&scene.listing(), &[]).await.is_err());
    assert_eq!(scene.server.counts(), before);
    scene.clock.advance(Span::hours(1));
    assert!(scene.bring(&scene.listing(), &[]).await.is_ok());
}

#[tokio::test]
async fn a_tag_without_a_moved_branch_is_there_for_the_next_update() {
    let scene = Scene::new().await;
    let listing = scene.listing();
    scene.bring(&listing, &[]).await.expect("brought");
    git(&scene.root.path().join("a.git"), &["tag", "v1", "main"]);
    scene.clock.advance(Span::minutes(2));
    let held = scene.bring(&listing, &[]).await.expect("brought");
    let mirror = scene.lend(held).mirrors()[0].clone();
    assert_eq!(git(&mirror, &["tag"]), "v1");
}

#[tokio::test]
async fn a_hanging_server_ends_the_fetch_and_what_a_killed_git_left_does_not_matter() {
    let mut scene = Scene::new().await;
    scene.bring(&scene.listing(), &[]).await.expect("brought");
    scene.mirrors = scene.mirrors.clone().with_silence(Span::seconds(1));
    scene.server.set_freeze(true);
    scene.push("second");
    scene.clock.advance(Span::minutes(2));
    let error = scene.bring(&scene.listing(), &[]).await.expect_err("a frozen server");
    assert!(error.to_string().contains("silence"), "{error}");
    scene.server.set_freeze(false);
    let mirrors = scene.root.path().join("mirrors");
    let mirror = std::fs::read_dir(&mirrors)
        .expect("a folder")
        .flatten()
        .find(|entry| entry.path().extension().is_some_and(|ending| ending == "git"));
    let mirror = mirror.expect("a mirror").path();
    for lock in ["packed-refs.lock", "config.lock", "refs/heads/main.lock"] {
        std::fs::write(mirror.join(lock), "").expect("written");
    }
    scene.clock.advance(Span::hours(1));
    scene.bring(&scene.listing(), &[]).await.expect("brought");
}

#[tokio::test]
async fn credentials_are_kept_apart_and_what_nobody_uses_goes() {
    let scene = Scene::new().await;
    let never = CancellationToken::new();
    let listing = scene.listing();
    let seen = Seen { listing: &listing, read_at: scene.clock.now() };
    let more = BTreeMap::new();
    for credential in [None, Some("file /a"), Some("file /b")] {
        let origin = scene.origin(credential);
        let held = scene.mirrors.bring(&origin, seen, Need::Now, &more, &never).await;
        held.expect("brought");
    }
    assert_eq!(scene.folders(), 3);
    let held = scene.bring(&listing, &[]).await.expect("brought");
    scene.clock.advance(Span::days(13));
    scene.mirrors.sweep(&never).await;
    assert_eq!(scene.folders(), 3);
    scene.clock.advance(Span::days(2));
    scene.mirrors.sweep(&never).await;
    assert_eq!(scene.folders(), 1, "one is still held");
    drop(held);
    scene.mirrors.sweep(&never).await;
    assert_eq!(scene.folders(), 0);
}

#[tokio::test]
async fn a_doubted_mirror_is_looked_at_and_made_again() {
    let scene = Scene::new().await;
    let held = scene.bring(&scene.listing(), &[]).await.expect("brought");
    let mirror = scene.lend(held).mirrors()[0].clone();
    let objects = mirror.join("objects");
    std::fs::remove_dir_all(&objects).expect("removed");
    std::fs::create_dir_all(objects.join("info")).expect("made");
    std::fs::create_dir_all(objects.join("pack")).expect("made");
    scene.mirrors.doubt(std::slice::from_ref(&mirror));
    scene.bring(&scene.listing(), &[]).await.expect("brought");
    git(&mirror, &["fsck", "--full"]);
    assert_eq!(git(&mirror, &["log", "--format=%s", "main"]), "first");
}
