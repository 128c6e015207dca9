//! What is asked about one change alone.

use crosswatch::forge::{ForgeApi, ForgeError};
use crosswatch_core::model::change::{Files, Rights};
use crosswatch_core::model::identity::Oid;
use forge_model::{Edit, Fault, NewChange, Permission, What};

use super::{Site, id};
use crate::support::eventually;

fn many(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("dir/{n:04}")).collect()
}

fn listed(names: &[String]) -> Files {
    Files::Listed(names.iter().map(|name| name.as_str().into()).collect())
}

#[tokio::test]
async fn files_are_read_to_their_end_and_belong_to_a_head() {
    let site = Site::new().await;
    site.model.repository("org/a");
    let rows = [(0, true), (1, true), (250, true), (2_999, true), (3_000, false)];
    for (count, whole) in rows {
        let new = NewChange { files: many(count), ..NewChange::default() };
        let number = site.model.open("org/a", new);
        let head = site.change("org/a", number).await.head;
        site.model.forget_requests();
        let files = site.forge.files(id("org/a"), number, head).await.expect("an answer");
        let expected = if whole { listed(&many(count)) } else { Files::TooMany };
        assert!(files == expected, "{count} files");
        // An empty list does not say of which head it is.
        let other: Oid = "0123456789abcdef0123456789abcdef01234567".parse().expect("an oid");
        let moved = site.forge.files(id("org/a"), number, other).await;
        assert!(matches!(moved, Err(ForgeError::Unavailable(_))), "{moved:?}");
    }
    // A page that fails is not a short list.
    let new = NewChange { files: many(250), ..NewChange::default() };
    let number = site.model.open("org/a", new);
    let head = site.change("org/a", number).await.head;
    let broken = What::Status(502, Vec::new(), String::new());
    site.model.fault(Fault::on("&page=2", broken).times(1));
    let failed = site.forge.files(id("org/a"), number, head).await;
    assert!(matches!(failed, Err(ForgeError::Unavailable(_))), "{failed:?}");
    let files = site.forge.files(id("org/a"), number, head).await.expect("an answer");
    assert_eq!(files, listed(&many(250)));
    // After a push the list is that of the new head.
    let pushed: Oid = site.model.push_change("org/a", number, None).parse().expect("an oid");
    assert!(site.forge.files(id("org/a"), number, head).await.is_err());
    let files = site.forge.files(id("org/a"), number, pushed).await.expect("an answer");
    assert_eq!(files, listed(&many(250)));
    site.end().await;
}

#[tokio::test]
async fn asking_makes_the_forge_try_and_its_word_belongs_to_a_head() {
    let site = Site::new().await;
    site.model.repository("org/a");
    let number = site.model.open("org/a", NewChange::default());
    let head = site.change("org/a", number).await.head;
    let ask = async |head| site.forge.mergeable(id("org/a"), number, head).await;
    assert_eq!(ask(head).await, Ok(None), "it begins to try");
    eventually("the forge has tried", async || ask(head).await == Ok(Some(true))).await;
    site.model.edit("org/a", number, Edit::Mergeable(Some(false)));
    assert_eq!(ask(head).await, Ok(Some(false)));
    site.model.push_change("org/a", number, None);
    assert!(matches!(ask(head).await, Err(ForgeError::Unavailable(_))));
    site.end().await;
}

#[tokio::test]
async fn rights_are_told_or_not() {
    let site = Site::new().await;
    site.model.repository("org/a");
    let rows = [
        (Some(Permission::Admin), Rights::Write),
        (Some(Permission::Maintain), Rights::Write),
        (Some(Permission::Write), Rights::Write),
        (Some(Permission::Triage), Rights::Less),
        (Some(Permission::Read), Rights::Less),
    ];
    for (permission, expected) in rows {
        if let Some(permission) = permission {
            site.model.permit("org/a", "eve", permission);
        }
        let told = site.forge.rights(id("org/a"), "eve".into()).await;
        assert_eq!(told, Ok(expected), "{permission:?}");
    }
    for status in [403, 404] {
        let refused = What::Status(status, Vec::new(), "{}".to_owned());
        site.model.fault(Fault::on("/collaborators/", refused).times(1));
        let told = site.forge.rights(id("org/a"), "eve".into()).await;
        assert_eq!(told, Ok(Rights::Untold), "{status}");
    }
    for status in [401, 429, 502] {
        let failed = What::Status(status, Vec::new(), "{}".to_owned());
        site.model.fault(Fault::on("/collaborators/", failed).times(2));
        let told = site.forge.rights(id("org/a"), "eve".into()).await;
        assert!(told.is_err(), "{status}: {told:?}");
        site.model.no_faults();
    }
    // What is no name of an account is never part of an address.
    site.model.forget_requests();
    for login in ["", "..", "a/b", "a?b", "renovate[bot]"] {
        assert_eq!(site.forge.rights(id("org/a"), login.into()).await, Ok(Rights::Less));
    }
    assert_eq!(site.model.requests().total().requests, 0);
    site.end().await;
}
