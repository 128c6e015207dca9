//! What REST says of one change when it is asked about that change alone.

use crosswatch_core::model::change::Files;
use crosswatch_core::model::identity::{Oid, RepositoryId};
use serde::Deserialize;
use url::Url;

use super::failure::{Failure, Reason};
use super::{Inner, name, rest};

/// Which files a change touches while `head` is its head.
pub(super) async fn files(
    inner: &Inner,
    repository: &RepositoryId,
    number: u64,
    head: Oid,
) -> Result<Files, Failure> {
    let change = format!("repos/{}/pulls/{number}", name::of(repository)?);
    let at = format!("{change}/files?per_page=100");
    let pages = inner.pages(repository, &at, touched).await?;
    let entries = || pages.iter().flat_map(|page| page.iter());
    // A list that is older or newer than the head belongs to another one.
    let mut moved = entries().any(|file| file.head.is_some_and(|of| of != head));
    // Where the list does not say whose it is, the change does.
    if !moved && entries().next().is_none_or(|file| file.head.is_none()) {
        moved = *inner.value(repository, &change, head_of).await? != head;
    }
    if moved {
        let why = format!("{repository}#{number}: its head is not {} any more", head.short());
        return Err(Failure::new(Reason::Unavailable, why));
    }
    Ok(Files::of(entries().count(), entries().flat_map(|file| file.names.iter().cloned())))
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

fn head_of(body: &[u8]) -> Result<Oid, String> {
    #[derive(Deserialize)]
    struct Pull {
        head: Head,
    }
    #[derive(Deserialize)]
    struct Head {
        sha: String,
    }
    rest::read::<Pull>(body)?.head.sha.parse()
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
}
