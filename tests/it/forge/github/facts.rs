//! What is asked about one change alone.

use crosswatch::forge::{ForgeApi, ForgeError};
use crosswatch_core::model::change::{Fate, Files, Rights};
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
async fn changes_that_are_asked_about_together_are_one_question_and_look_the_same() {
    let site = Site::new().await;
    let model = &site.model;
    let names: Vec<String> = (0..30).map(|n| format!("org/r{n}")).collect();
    let mut all = Vec::new();
    for name in &names {
        model.repository(name);
        let number = model.open(name, NewChange::default());
        all.push((id(name), number, site.change(name, number).await.head));
    }
    let mergeable = async || {
        let asks = all.iter().map(|(of, number, head)| {
            let forge = &site.forge;
            async move { forge.mergeable(of.clone(), *number, *head).await }
        });
        futures_util::future::join_all(asks).await
    };
    model.forget_requests();
    assert!(mergeable().await.iter().all(|told| *told == Ok(None)), "it begins to try");
    let asked = model.requests();
    assert_eq!((asked.of("graphql").requests, asked.total().requests), (1, 1), "{asked:?}");
    // Points as GitHub counts them.
    assert_eq!(asked.total().points, 1, "{asked:?}");
    eventually("the forge has tried", async || {
        mergeable().await.iter().all(|told| *told == Ok(Some(true)))
    })
    .await;
    model.edit("org/r1", 1, Edit::Mergeable(Some(false)));
    model.push_change("org/r2", 1, None);
    model.delete_repository("org/r3");
    model.edit("org/r4", 1, Edit::Merge);
    let head = model.push_change("org/r5", 1, None);
    model.edit("org/r5", 1, Edit::Label("by hand".to_owned()));
    model.edit("org/r5", 1, Edit::Close);
    let check = async |why: &str| {
        for (at, told) in mergeable().await.into_iter().enumerate() {
            match at {
                1 => assert_eq!(told, Ok(Some(false)), "{why}"),
                2 | 5 => {
                    assert!(matches!(told, Err(ForgeError::Unavailable(_))), "{why}: {told:?}")
                }
                3 => assert!(matches!(told, Err(ForgeError::NotFound(_))), "{why}: {told:?}"),
                // What was merged can be anything.
                4 => {}
                _ => assert_eq!(told, Ok(Some(true)), "{why}: {at}"),
            }
        }
        let asks = all.iter().map(|(of, number, _)| site.forge.fate(of.clone(), *number));
        let missing = [site.forge.fate(id("org/r6"), 99), site.forge.fate(id("org/r7"), 1 << 40)];
        let fates = futures_util::future::join_all(asks.chain(missing)).await;
        for (at, fate) in fates.into_iter().enumerate() {
            match at {
                3 => assert!(matches!(fate, Err(ForgeError::NotFound(_))), "{why}: {fate:?}"),
                4 => {
                    let main = model.state().named("org/r4").branches["main"].parse().ok();
                    let base = Some("main".into());
                    assert_eq!(fate, Ok(Fate::Merged { commit: main, base }), "{why}");
                }
                5 => {
                    let labels = ["by hand".into()].into();
                    let head = head.parse().ok();
                    assert_eq!(fate, Ok(Fate::Closed { head, labels }), "{why}");
                }
                30 | 31 => assert_eq!(fate, Ok(Fate::Missing), "{why}"),
                _ => assert_eq!(fate, Ok(Fate::Open), "{why}: {at}"),
            }
        }
    };
    model.forget_requests();
    check("together").await;
    // Those that GraphQL did not answer for were asked of REST, each with whether its repository is there.
    let asked = model.requests();
    assert_eq!(asked.of("graphql").requests, 2, "{asked:?}");
    assert_eq!(asked.total().requests, 2 + 2 + 3 * 2, "{asked:?}");
    model.fault(Fault::on("graphql", What::Heavy(10)));
    check("too heavy: in halves").await;
    for (fault, why) in [
        (What::Status(404, Vec::new(), "{}".to_owned()), "there is no GraphQL"),
        (What::Html, "HTML"),
        (What::Status(200, Vec::new(), "{\"data\":{}}".to_owned()), "no answers"),
        (
            What::Status(200, Vec::new(), "{\"errors\":[{\"message\":\"x\"}]}".to_owned()),
            "the query is refused",
        ),
    ] {
        model.no_faults();
        model.fault(Fault::on("graphql", fault));
        check(why).await;
    }
    // Down: an error for each, without a crowd.
    model.no_faults();
    model.fault(Fault::on("", What::Status(503, Vec::new(), String::new())));
    model.forget_requests();
    assert!(mergeable().await.iter().all(|told| matches!(told, Err(ForgeError::Unavailable(_)))));
    assert_eq!(model.requests().total().requests, 1);
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
