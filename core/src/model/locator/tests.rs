//! Tables of addresses.

use proptest::prelude::*;

use super::*;
use crate::model::settings::ForgeKind;
use crate::model::settings::{Authors, GitForge};
use crate::model::time::Span;

fn forge(name: &str, url: &str, also: &[&str]) -> ForgeSettings {
    ForgeSettings {
        name: name.into(),
        identity: name.into(),
        kind: ForgeKind::Git(GitForge { changes: vec![], base: None, authors: Authors::Any }),
        url: url.to_owned(),
        also: also.iter().map(|also| (*also).to_owned()).collect(),
        tokens: Vec::new(),
        app: None,
        interval: Span::seconds(60),
        reconcile: Span::seconds(900),
    }
}

pub(crate) fn locator() -> Locator {
    Locator::of_forges(&[
        forge("local", "file:///srv/git", &[]),
        forge("inner", "file:///srv/git/inner/", &[]),
        forge(
            "web",
            "https://git.example.org",
            &["ssh://git@ssh.example.org:443", "git.example.org:"],
        ),
        forge("prefixed", "http://127.0.0.1:8080/git/", &[]),
        forge("other", "http://127.0.0.1:8081/git", &[]),
        forge("shell", "ssh://git@box.example.org/srv", &[]),
    ])
}

#[test]
fn every_spelling_gives_one_identity() {
    // Address, identity, what is fetched (`=`: as written).
    let table = [
        ("/srv/git/a", "local/a", "file:///srv/git/a"),
        ("/srv/git/a.git", "local/a", "file:///srv/git/a.git"),
        ("/srv/git//a/./b/", "local/a/b", "file:///srv/git/a/b"),
        ("/srv/git/a/.git", "local/a", "file:///srv/git/a/.git"),
        ("/srv/git/a b%20", "local/a b%20", "file:///srv/git/a%20b%2520"),
        ("file:///srv/git/a%20b", "local/a b", "="),
        ("file:///srv/git/a.git/", "local/a", "="),
        ("file://localhost/srv/git/a", "local/a", "="),
        ("FILE:///srv/git/A", "local/A", "="),
        ("/srv/git/inner/x", "inner/x", "file:///srv/git/inner/x"),
        ("/srv/git/innermost", "local/innermost", "file:///srv/git/innermost"),
        ("https://git.example.org/a/b.git", "web/a/b", "="),
        ("https://GIT.Example.org/a/B", "web/a/B", "="),
        ("https://www.git.example.org/a/b", "web/a/b", "="),
        ("https://git.example.org:443/a/b", "web/a/b", "="),
        ("https://me@git.example.org/a/b.git", "web/a/b", "https://git.example.org/a/b.git"),
        ("http://git.example.org/a/b", "web/a/b", "https://git.example.org/a/b"),
        ("git://git.example.org/a/b.git/", "web/a/b", "https://git.example.org/a/b.git"),
        ("ssh://git@git.example.org/a/b.git", "web/a/b", "https://git.example.org/a/b.git"),
        ("ssh://git.example.org:22/a/b", "web/a/b", "https://git.example.org/a/b"),
        ("ssh://git@ssh.example.org:443/a/b", "web/a/b", "https://git.example.org/a/b"),
        ("git@git.example.org:a/b.git", "web/a/b", "https://git.example.org/a/b.git"),
        ("git@git.example.org:/a/b.git", "web/a/b", "https://git.example.org/a/b.git"),
        ("git.example.org:a/b", "web/a/b", "https://git.example.org/a/b"),
        ("http://127.0.0.1:8080/git/a", "prefixed/a", "="),
        ("http://127.0.0.1:8080//git/a.git", "prefixed/a", "="),
        ("http://127.0.0.1:8081/git/a", "other/a", "="),
        ("ssh://git@box.example.org/srv/a.git", "shell/a", "="),
        ("git@box.example.org:/srv/a.git", "shell/a", "ssh://git@box.example.org/srv/a.git"),
    ];
    let locator = locator();
    for (written, identity, fetched) in table {
        let Located::Repository { id, url, .. } = locator.locate(written) else {
            panic!("{written}: {:?}", locator.locate(written));
        };
        assert_eq!(id.to_string(), identity, "{written}");
        assert_eq!(&*url, if fetched == "=" { written } else { fetched }, "{written}");
    }
}

#[test]
fn what_cannot_be_fetched_safely_is_unwatched() {
    let table = [
        ("", "no address"),
        ("-oProxyCommand=x:y", "begins with `-`"),
        ("ssh://-oProxyCommand=x/a", "no valid host"),
        ("ssh://-x@git.example.org/a", "misread"),
        ("ext::sh -c x", "neither"),
        ("https://git.example.org", "not a repository"),
        ("https://git.example.org/", "not a repository"),
        ("https://git.example.org/.git", "not a repository"),
        ("https://git.example.org/a/../b", "`..`"),
        ("https://git.example.org/a/%2e%2e/b", "`..`"),
        ("https://git.example.org/a%2fb", "hides"),
        ("https://git.example.org/a%0ab", "hides"),
        ("https://git.example.org/a%zz", "percent"),
        ("https://git.example.org/a?b", "query"),
        ("https://git.example.org/a\nb", "control"),
        ("https://me:hunter2@git.example.org/a", "password"),
        ("https://git.example.org:99/a", "no configured forge"),
        ("https://git.example.org:0/a", "port"),
        ("https://elsewhere.example.org/a", "elsewhere.example.org"),
        ("https://git.example.org.evil.example/a", "no configured forge"),
        ("http://127.0.0.1:8080/gitty/a", "no configured forge"),
        ("http://127.0.0.1:8080/a", "no configured forge"),
        ("/srv/gitty/a", "local path"),
        ("file://host/srv/git/a", "names a host"),
        ("../a", "neither"),
        ("svn://git.example.org/a", "scheme"),
    ];
    let locator = locator();
    for (written, why) in table {
        match locator.locate(written) {
            Located::Unwatched { reason } if why == "not a repository" => {
                assert!(!reason.is_empty(), "{written}");
            }
            Located::Unwatched { reason } => {
                assert!(reason.contains(why), "{written}: {reason}");
                assert!(!reason.contains("hunter2"));
            }
            found => panic!("{written}: {found:?}"),
        }
    }
}

#[test]
fn repositories_are_found_by_forge_and_path() {
    let locator = locator();
    let id = locator.on_forge("web", "a/b.git/").expect("a forge").expect("a path");
    assert_eq!(id.to_string(), "web/a/b");
    assert!(locator.on_forge("nowhere", "a").is_none());
    assert!(locator.on_forge("web", "../a").expect("a forge").is_err());
    assert!(locator.on_forge("web", "").expect("a forge").is_err());
}

proptest! {
    #[test]
    fn what_is_located_is_located_again(path in "[a-zA-Z0-9._ %-]{1,8}(/[a-zA-Z0-9._-]{1,8}){0,3}") {
        let locator = locator();
        if let Located::Repository { id, url, .. } = locator.locate(&format!("/srv/git/{path}")) {
            match locator.locate(&url) {
                Located::Repository { id: again, .. } => prop_assert_eq!(again, id),
                unwatched => prop_assert!(false, "{:?}", unwatched),
            }
        }
    }

    #[test]
    fn hostile_addresses_never_panic(text in "\\PC{0,60}") {
        drop(locator().locate(&text));
    }
}

#[test]
fn what_git_may_be_told_of_a_repository_means_that_repository() {
    let locator = locator();
    for (url, some) in [
        ("https://git.example.org/a/b", "git@git.example.org:a/b.git"),
        ("https://git.example.org/a/b", "ssh://git@ssh.example.org:443/a/b.git"),
        ("http://127.0.0.1:8080/git/a%20b.git", "http://127.0.0.1:8080/git/a%20b.git"),
        ("box.example.org:srv/c", "ssh://git@box.example.org/srv/c.git"),
    ] {
        let Located::Repository { id, spelling, .. } = locator.locate(url) else {
            panic!("{url} is of no forge");
        };
        let all = locator.spellings(&id, &spelling);
        assert!(all.contains(some), "{some} is not in {all:?}");
        for one in all {
            let Located::Repository { id: same, .. } = locator.locate(&one) else {
                panic!("{one} is of no forge");
            };
            assert_eq!(same, id, "{one}");
        }
    }
    let Located::Repository { id, spelling, .. } = locator.locate("file:///srv/git/a") else {
        panic!("a local repository is of no forge");
    };
    assert!(locator.spellings(&id, &spelling).is_empty(), "a local path needs no mirror");
}
