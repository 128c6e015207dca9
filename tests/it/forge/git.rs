//! Plain git: listings and commits over real transports.

#![expect(clippy::expect_used, reason = "what fails here fails the test that asked for it")]

use std::path::Path;

use crosswatch::clock::Clock;
use crosswatch::forge::git::commits::Source;
use crosswatch::forge::git::{GitError, GitRemote, ListingRules, Mirrors, RefList, listing};
use crosswatch::http::{HttpClient, HttpError};
use crosswatch_core::model::change::Files;
use crosswatch_core::model::identity::Oid;
use crosswatch_core::model::time::{Span, Timestamp};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::support::git_http::{Counts, GitHttpServer};
use crate::support::git_repo::{bare, commit, commit_files, git};
use crate::support::supervisor;

fn remote() -> GitRemote {
    GitRemote::new(HttpClient::new().expect("a client"), supervisor())
}

async fn list(remote: &GitRemote, url: &str) -> Result<RefList, GitError> {
    let never = CancellationToken::new();
    remote.list(url, &ListingRules::default().prefixes(), None, Span::seconds(20), &never).await
}

/// A repository with a branch, a change with its base, and what nobody asks for.
fn repository(root: &Path) -> String {
    let dir = bare(root, "a.git");
    let main = commit(&dir, "refs/heads/main", "first", &[]);
    commit(&dir, "refs/heads/next", "next", &[&main]);
    commit(&dir, "refs/pull/1/head", "change", &[&main]);
    git(&dir, &["symbolic-ref", "refs/pull/1/base", "refs/heads/next"]);
    git(&dir, &["update-ref", "refs/tags/v1", &main]);
    dir.display().to_string()
}

fn check(list: &RefList) {
    let names: Vec<_> = list.refs.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["HEAD", "refs/heads/main", "refs/heads/next", "refs/pull/1/base", "refs/pull/1/head"]
    );
    assert_eq!(list.head_symref.as_deref(), Some("refs/heads/main"));
    let found = listing(list, &ListingRules::default());
    assert_eq!(found.changes[0].base.as_deref(), Some("next"));
}

#[tokio::test]
async fn over_http_a_look_is_one_request() {
    let root = tempfile::tempdir().expect("a folder");
    repository(root.path());
    let server = GitHttpServer::start(root.path()).await;
    let remote = remote();
    let url = format!("{}/a.git", server.url);
    for _ in 0..3 {
        check(&list(&remote, &url).await.expect("a list"));
    }
    assert_eq!(server.counts(), Counts { info_refs: 1, ls_refs: 3, ..Counts::default() });
    assert!(matches!(
        list(&remote, &format!("{}/b.git", server.url)).await,
        Err(GitError::Status { status: 404, .. })
    ));
}

#[tokio::test]
async fn over_pipes() {
    let root = tempfile::tempdir().expect("a folder");
    let path = repository(root.path());
    check(&list(&remote(), &path).await.expect("a list"));
    check(&list(&remote(), &format!("file://{path}")).await.expect("a list"));
    let error = list(&remote(), "/no/such.git").await.expect_err("nothing there");
    assert!(matches!(error, GitError::Process { .. }), "{error}");
    // What ssh does, without a server: the last word is run by a shell on the other side.
    let ssh = |text: &str| ["sh", "-c", text, "ssh"].map(str::to_owned).to_vec();
    let over = remote().with_ssh(ssh("while [ $# -gt 1 ]; do shift; done; exec sh -c \"$1\""));
    check(&list(&over, &format!("ssh://git@host:22{path}")).await.expect("a list"));
    check(&list(&over, &format!("git@host:{path}")).await.expect("a list"));
}

#[tokio::test]
async fn empty_and_sha256_repositories() {
    let root = tempfile::tempdir().expect("a folder");
    bare(root.path(), "a.git");
    let dir = root.path().join("b.git");
    std::fs::create_dir(&dir).expect("a folder");
    git(&dir, &["init", "-q", "--bare", "--object-format=sha256"]);
    commit(&dir, "refs/heads/main", "first", &[]);
    let server = GitHttpServer::start(root.path()).await;
    for base in [server.url.as_str(), &root.path().display().to_string()] {
        let empty = list(&remote(), &format!("{base}/a.git")).await.expect("a list");
        assert!(empty.refs.is_empty(), "{empty:?}");
        let found = list(&remote(), &format!("{base}/b.git")).await.expect("a list");
        assert_eq!(found.refs["refs/heads/main"].as_bytes().len(), 32);
    }
}

#[tokio::test]
async fn an_old_server_is_asked_by_git_itself() {
    let root = tempfile::tempdir().expect("a folder");
    repository(root.path());
    let server = GitHttpServer::start(root.path()).await;
    server.set_old(true);
    let found = list(&remote(), &format!("{}/a.git", server.url)).await.expect("a list");
    // That version tells of no symbolic refs but HEAD.
    assert_eq!(found.head_symref.as_deref(), Some("refs/heads/main"));
    assert!(found.refs.contains_key("refs/pull/1/head"));
    assert!(!found.refs.contains_key("refs/tags/v1"));
}

#[tokio::test]
async fn what_does_not_answer_ends_by_the_deadline() {
    let root = tempfile::tempdir().expect("a folder");
    repository(root.path());
    let server = GitHttpServer::start(root.path()).await;
    server.set_hang(true);
    let (never, clock) = (CancellationToken::new(), Clock::system());
    let hanging = remote().with_ssh(["sh", "-c", "sleep 60"].map(str::to_owned).to_vec());
    for url in [format!("{}/a.git", server.url), "ssh://host/a".to_owned()] {
        let started = clock.now();
        let error = hanging.list(&url, &[], None, Span(400), &never).await.expect_err("no answer");
        assert!(clock.now().since(started) < Span::seconds(3), "{error}");
    }
    server.set_hang(false);
    check(&list(&hanging, &format!("{}/a.git", server.url)).await.expect("a list"));
}

#[tokio::test]
async fn garbage_is_an_error_and_the_next_look_heals() {
    let root = tempfile::tempdir().expect("a folder");
    repository(root.path());
    let server = GitHttpServer::start(root.path()).await;
    let (remote, url) = (remote(), format!("{}/a.git", server.url));
    for garbage in [&b""[..], b"<html>", b"0010ERR go away\n"] {
        server.set_garbage(Some(garbage));
        let error = list(&remote, &url).await.expect_err("garbage");
        assert!(matches!(error, GitError::Protocol { .. }), "{error}");
    }
    server.set_garbage(None);
    check(&list(&remote, &url).await.expect("a list"));
}

#[tokio::test]
async fn a_token_is_sent_and_never_shown() {
    let root = tempfile::tempdir().expect("a folder");
    let path = repository(root.path());
    let main: Oid = git(Path::new(&path), &["rev-parse", "main"]).parse().expect("an oid");
    let server = GitHttpServer::start(root.path()).await;
    server.require(Some("Basic eC1hY2Nlc3MtdG9rZW46Y2FuYXJ5"));
    let (never, url) = (CancellationToken::new(), format!("{}/a.git", server.url));
    let error = list(&remote(), &url).await.expect_err("refused");
    assert!(error.is_auth(), "{error}");
    let right = SecretString::from("canary");
    let wrong = SecretString::from("canary-2");
    let ask = async |auth| remote().list(&url, &[], Some(auth), Span::seconds(20), &never).await;
    assert!(ask(&right).await.is_ok());
    let error = ask(&wrong).await.expect_err("refused");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    let source =
        Source { url: &url, auth: Some(&right), deadline: Span::seconds(20), cancel: &never };
    let mirrors = Mirrors::new(supervisor(), root.path().join("mirrors"));
    assert_eq!(mirrors.read_commits(source, &[main]).await.expect("a commit").len(), 1);
    server.set_old(true);
    assert!(ask(&right).await.is_ok());
}

#[tokio::test]
async fn an_unreachable_server_was_sent_nothing() {
    let error = list(&remote(), "http://127.0.0.1:1/a").await.expect_err("nobody listens");
    let GitError::Http(error @ HttpError::NotSent { .. }) = error else { panic!("{error:?}") };
    assert!(!error.may_have_acted());
}

#[tokio::test]
async fn commits_are_read_and_compared() {
    let root = tempfile::tempdir().expect("a folder");
    let dir = bare(root.path(), "a.git");
    let message = "Title\n\nDepends-On: #2";
    let first = commit(&dir, "refs/heads/main", message, &[]);
    let second = commit(&dir, "refs/heads/main", "second", &[&first]);
    let other = commit(&dir, "refs/pull/1/head", "other", &[&first]);
    let [first, second, other] = [first, second, other].map(|oid| oid.parse::<Oid>().expect("oid"));
    let missing: Oid = "0123456789abcdef0123456789abcdef01234567".parse().expect("an oid");
    let server = GitHttpServer::start(root.path()).await;
    let never = CancellationToken::new();
    for url in [format!("{}/a.git", server.url), dir.display().to_string()] {
        let source = Source { url: &url, auth: None, deadline: Span::seconds(20), cancel: &never };
        let mirrors = Mirrors::new(supervisor(), root.path().join("mirrors"));
        let found = mirrors.read_commits(source, &[second, first]).await.expect("commits");
        assert_eq!(found[1].0, first);
        assert_eq!(found[1].1.message.trim_end(), message);
        assert_eq!(found[1].1.committed_at, Timestamp(1_700_000_000_000));
        assert!(mirrors.read_commits(source, &[first, missing]).await.is_err());
        for (ancestor, descendant, expected) in
            [(first, second, true), (second, first, false), (other, second, false)]
        {
            let found = mirrors.contains(source, ancestor, descendant).await;
            assert_eq!(found.expect("an answer"), expected);
        }
        assert!(mirrors.contains(source, missing, second).await.is_err());
    }
    let fetched = server.counts().fetch;
    assert!(fetched <= 8, "what is known is not fetched again: {fetched}");
}

#[tokio::test]
async fn files_of_a_change_are_those_since_it_left_its_base() {
    let root = tempfile::tempdir().expect("a folder");
    let dir = bare(root.path(), "a.git");
    let at = |name: &str, files: &[(&str, &str)], parents: &[&str]| {
        commit_files(&dir, name, files, parents)
    };
    let first = at("refs/heads/main", &[("a/x", "1"), ("b/y z", "2"), ("c", "3")], &[]);
    let change = [("a/x", "4"), ("b/new/\u{fc}", "2"), ("c", "3")];
    let head = at("refs/pull/1/head", &change, &[&first]);
    let main = at("refs/heads/main", &[("a/x", "1"), ("c", "moved on")], &[&first]);
    let alone = at("refs/pull/2/head", &[("q", "5")], &[]);
    let oid = |text: &str| text.parse::<Oid>().expect("an oid");
    let listed = |names: &[&str]| Files::of(0, names.iter().map(|name| (*name).to_owned()));
    let server = GitHttpServer::start(root.path()).await;
    let never = CancellationToken::new();
    for filters in ["true", "false"] {
        git(&dir, &["config", "uploadpack.allowFilter", filters]);
        for url in [format!("{}/a.git", server.url), dir.display().to_string()] {
            let source =
                Source { url: &url, auth: None, deadline: Span::seconds(20), cancel: &never };
            let mirrors = Mirrors::new(supervisor(), root.path().join(filters));
            let files = async |head: &str| mirrors.files(source, oid(&main), oid(head)).await;
            let renamed = listed(&["a/x", "b/new/\u{fc}", "b/y z"]);
            assert_eq!(files(&head).await.expect("a list"), renamed, "{url}");
            assert_eq!(files(&main).await.expect("a list"), listed(&[]), "{url}");
            assert_eq!(files(&alone).await.expect("an answer"), Files::TooMany, "{url}");
            let missing = "0123456789abcdef0123456789abcdef01234567";
            assert!(files(missing).await.is_err());
            let before = server.counts().fetch;
            assert_eq!(files(&head).await.expect("a list"), renamed);
            assert_eq!(server.counts().fetch, before, "what is known is not fetched again");
        }
    }
}

#[tokio::test]
async fn a_damaged_mirror_is_made_again() {
    let root = tempfile::tempdir().expect("a folder");
    let dir = bare(root.path(), "a.git");
    let first: Oid = commit(&dir, "refs/heads/main", "first", &[]).parse().expect("an oid");
    let (never, url) = (CancellationToken::new(), dir.display().to_string());
    let source = Source { url: &url, auth: None, deadline: Span::seconds(20), cancel: &never };
    let mirrors = Mirrors::new(supervisor(), root.path().join("mirrors"));
    mirrors.read_commits(source, &[first]).await.expect("commits");
    let mirror = std::fs::read_dir(root.path().join("mirrors")).expect("mirrors").next();
    let mirror = mirror.expect("one").expect("readable").path().join("commits.git");
    std::fs::write(mirror.join("shallow.lock"), "").expect("written");
    let second: Oid = commit(&dir, "refs/heads/main", "second", &[]).parse().expect("an oid");
    mirrors.read_commits(source, &[second]).await.expect("despite the lock");
    std::fs::write(mirror.join("HEAD"), "garbage").expect("written");
    mirrors.read_commits(source, &[first]).await.expect("made again");
    std::fs::write(mirror.join("config"), "[garbage").expect("written");
    mirrors.read_commits(source, &[first]).await.expect("made again");
}
