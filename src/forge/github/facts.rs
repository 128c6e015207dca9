//! What is asked about a change that lists do not say.

use std::sync::Arc;

use crosswatch_core::model::change::{Fate, Files, Rights};
use crosswatch_core::model::identity::{ChangeId, Name, Oid, RepositoryId};
use serde::Deserialize;
use url::Url;

use super::failure::{Failure, Reason};
use super::{Inner, gather, name, rest};

/// Which files a change touches while `head` is its head.
pub(super) async fn files(inner: &Inner, change: &ChangeId, head: Oid) -> Result<Files, Failure> {
    let ChangeId { repository, number } = change;
    let at = format!("repos/{}/pulls/{number}", name::of(repository)?);
    let files = format!("{at}/files?per_page=100");
    let pages = inner.pages(repository, &files, touched).await?;
    let entries = || pages.iter().flat_map(|page| page.iter());
    // A list that is older or newer than the head belongs to another one.
    let mut moved = entries().any(|file| file.head.is_some_and(|of| of != head));
    // Where the list does not say whose it is, the change does.
    if !moved && entries().next().is_none_or(|file| file.head.is_none()) {
        moved = inner.value(repository, &at, rest::told).await?.head != Some(head);
    }
    if moved {
        return Err(other_head(change, head));
    }
    Ok(Files::of(entries().count(), entries().flat_map(|file| file.names.iter().cloned())))
}

/// Whether a change can be merged while `head` is its head; asking makes the forge try.
pub(super) async fn mergeable(
    inner: &Arc<Inner>,
    change: &ChangeId,
    head: Oid,
) -> Result<Option<bool>, Failure> {
    match gather::ask(inner, change).await? {
        Some(told) if told.head == Some(head) => Ok(told.mergeable),
        Some(_) => Err(other_head(change, head)),
        None => {
            Err(Failure::new(Reason::Unavailable, format!("{change}: there is no such change")))
        }
    }
}

/// What became of a change.
pub(super) async fn fate(inner: &Arc<Inner>, change: &ChangeId) -> Result<Fate, Failure> {
    Ok(gather::ask(inner, change).await?.map_or(Fate::Missing, |told| told.fate))
}

/// What an account may do.
pub(super) async fn rights(
    inner: &Inner,
    repository: &RepositoryId,
    login: &Name,
) -> Result<Rights, Failure> {
    // Anything else would be another address.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if login.is_empty() || !login.chars().all(plain) {
        return Ok(Rights::Less);
    }
    let at = format!("repos/{}/collaborators/{login}/permission", name::of(repository)?);
    match inner.value(repository, &at, permission).await {
        Ok(rights) => Ok(*rights),
        // Only who may write there is told, and of those who are nobody there nothing is told.
        Err(failure) if matches!(failure.reason, Reason::Forbidden | Reason::NotFound) => {
            Ok(Rights::Untold)
        }
        Err(failure) => Err(failure),
    }
}

fn other_head(change: &ChangeId, head: Oid) -> Failure {
    let why = format!("{change}: its head is not {} any more", head.short());
    Failure::new(Reason::Unavailable, why)
}

/// One entry of a list of files.
#[derive(Debug, PartialEq, Eq)]
struct Touched {
    /// Its name, and the one that it had before.
    names: Vec<String>,
    /// The head that it was listed for, where its address tells.
    head: Option<Oid>,
}

fn touched(body: &[u8]) -> Result<Vec<Touched>, String> {
    #[derive(Deserialize)]
    struct File {
        filename: String,
        previous_filename: Option<String>,
        contents_url: Option<String>,
    }
    let files: Vec<File> = rest::read(body)?;
    let file = |file: File| {
        let address = file.contents_url.and_then(|url| Url::parse(&url).ok());
        let head = address.and_then(|url| {
            let of = url.query_pairs().find(|(name, _)| name == "ref");
            of.and_then(|(_, oid)| oid.parse().ok())
        });
        let names = std::iter::once(file.filename).chain(file.previous_filename).collect();
        Touched { names, head }
    };
    Ok(files.into_iter().map(file).collect())
}

/// A word that we do not know, such as of a role that an organisation made up, is no right: the other
/// one says what that role amounts to.
fn permission(body: &[u8]) -> Result<Rights, String> {
    #[derive(Deserialize)]
    struct Answer {
        permission: String,
        #[serde(default)]
        role_name: Option<String>,
    }
    let answer: Answer = rest::read(body)?;
    let writes = |word: &str| matches!(word, "admin" | "maintain" | "write");
    let write = writes(&answer.permission) || answer.role_name.as_deref().is_some_and(writes);
    Ok(if write { Rights::Write } else { Rights::Less })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_file_has_both_names_and_the_list_its_head() {
        let oid = "6dcb09b5b57875f334f61aebed695e2e4193db5e";
        let body = serde_json::json!([
            {"filename": "a/b c", "previous_filename": "x", "contents_url":
                format!("https://api.github.com/repos/o/r/contents/a%2Fb%20c?ref={oid}")},
            {"filename": "d", "contents_url": ""},
        ]);
        let found = touched(body.to_string().as_bytes()).expect("a list");
        let head = oid.parse().expect("an oid");
        let expected = [
            Touched { names: vec!["a/b c".to_owned(), "x".to_owned()], head: Some(head) },
            Touched { names: vec!["d".to_owned()], head: None },
        ];
        assert_eq!(found, expected);
        assert!(touched(b"[{}]").is_err());
    }

    #[test]
    fn rights_are_read_in_whatever_words_they_are_said() {
        for (permission_, role, expected) in [
            ("admin", Some("admin"), Rights::Write),
            ("write", Some("maintain"), Rights::Write),
            ("write", Some("our-own-role"), Rights::Write),
            ("read", Some("triage"), Rights::Less),
            ("none", None, Rights::Less),
            ("word of tomorrow", None, Rights::Less),
        ] {
            let body = serde_json::json!({"permission": permission_, "role_name": role});
            assert_eq!(permission(body.to_string().as_bytes()), Ok(expected), "{body}");
        }
        assert!(permission(b"{}").is_err());
    }
}
