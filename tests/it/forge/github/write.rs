//! Statuses and comments against the model.

use crosswatch::forge::Sticky;
use crosswatch_core::control::report::{marker, text};
use crosswatch_core::model::report::{Status, StatusKey, StatusState};

use super::*;

fn status(state: StatusState, description: &str) -> Status {
    let target = Some("https://ci.example/1".to_owned());
    Status { state, description: description.to_owned(), target }
}

fn key(head: &str) -> StatusKey {
    let head = head.parse().expect("an oid");
    StatusKey { repository: id("org/a"), head, context: "crosswatch/w".into() }
}

#[tokio::test]
async fn a_status_is_written_in_the_forges_words() {
    let site = Site::new().await;
    site.model.repository("org/a");
    site.model.open("org/a", NewChange::default());
    let head = site.model.push_change("org/a", 1, None);
    let rows = [
        (StatusState::Pending, "pending"),
        (StatusState::Inconclusive, "pending"),
        (StatusState::Success, "success"),
        (StatusState::Failure, "failure"),
        (StatusState::Error, "error"),
    ];
    for (state, word) in rows {
        let written = site.forge.say(key(&head), status(state, "so it is")).await;
        assert_eq!(written, Ok(()), "{word}");
        let last = site.model.state().named("org/a").statuses[&head].last().cloned();
        let last = last.expect("a status");
        let fields =
            ["state", "context", "description", "target_url"].map(|name| last[name].clone());
        assert_eq!(fields, [word, "crosswatch/w", "so it is", "https://ci.example/1"]);
    }
    let gone = "0123456789012345678901234567890123456789";
    let error = site.forge.say(key(gone), status(StatusState::Pending, "x")).await;
    assert_eq!(variant(&error.expect_err("no such commit")), "refused");
    let answer = What::Status(403, Vec::new(), "{\"message\": \"Resource not accessible\"}".into());
    site.model.fault(Fault::on("/statuses/", answer).times(1));
    let error = site.forge.say(key(&head), status(StatusState::Pending, "x")).await;
    assert_eq!(variant(&error.expect_err("no right")), "forbidden");
    site.end().await;
}

#[tokio::test]
async fn a_comment_is_made_edited_and_found_again() {
    let site = Site::new().await;
    site.model.repository("org/a");
    site.model.open("org/a", NewChange::default());
    for n in 0..120 {
        site.model.comment("org/a", 1, "bob", &format!("comment {n}"));
    }
    let change = id("org/a").change(1);
    let marker = marker("ledger", &change);
    let sticky = |id: Option<&str>, words: &str, create| Sticky {
        change: change.clone(),
        marker: marker.clone(),
        text: text(&marker, &[("w".into(), vec![words.to_owned()])].into()),
        id: id.map(str::to_owned),
        create,
    };
    let ours = || -> Vec<(u64, String)> {
        let mut state = site.model.state();
        let all = state.named("org/a").comments.values();
        let own = all.filter(|comment| comment.author.as_deref() == Some("main-owner"));
        own.map(|comment| (comment.id, comment.body.clone())).collect()
    };
    let none = site.forge.comment(sticky(None, "nothing", false)).await;
    assert_eq!((none, ours().len()), (Ok(None), 0), "nothing is made to say nothing");
    let made = site.forge.comment(sticky(None, "one", true)).await.expect("made");
    let made = made.expect("a comment");
    // Somebody copies the mark; what we know of our comment is lost.
    site.model.comment("org/a", 1, "mallory", &format!("{marker}\nhaha"));
    let found = site.forge.comment(sticky(None, "two", true)).await.expect("found");
    assert_eq!(found.as_deref(), Some(made.as_str()));
    let edited = site.forge.comment(sticky(Some(&made), "three", true)).await.expect("edited");
    assert_eq!(edited.as_deref(), Some(made.as_str()));
    let all = ours();
    assert!(all.len() == 1 && all[0].1.contains("three"), "{all:?}");
    let copy = "haha";
    let state = site.model.state().named("org/a").comments.clone();
    assert!(state.values().any(|comment| comment.body.ends_with(copy)), "others' are theirs");
    site.end().await;
}
