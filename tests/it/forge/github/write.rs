//! Statuses and comments against the model.

use crosswatch::forge::{Saying, Spoken, Sticky};
use crosswatch::http::Bearer;
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

fn saying(head: &str, state: StatusState, description: &str) -> Saying {
    Saying { key: key(head), status: status(state, description), run: None, checks: true }
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
        let written = site.forge.say(saying(&head, state, "so it is")).await;
        assert_eq!(written, Ok(Spoken::default()), "{word}");
        let last = site.model.state().named("org/a").statuses[&head].last().cloned();
        let last = last.expect("a status");
        let fields =
            ["state", "context", "description", "target_url"].map(|name| last[name].clone());
        assert_eq!(fields, [word, "crosswatch/w", "so it is", "https://ci.example/1"]);
    }
    let gone = "0123456789012345678901234567890123456789";
    let error = site.forge.say(saying(gone, StatusState::Pending, "x")).await;
    assert_eq!(variant(&error.expect_err("no such commit")), "refused");
    let answer = What::Status(403, Vec::new(), "{\"message\": \"Resource not accessible\"}".into());
    site.model.fault(Fault::on("/statuses/", answer).times(1));
    let error = site.forge.say(saying(&head, StatusState::Pending, "x")).await;
    assert_eq!(variant(&error.expect_err("no right")), "forbidden");
    site.end().await;
}

#[tokio::test]
async fn an_application_writes_one_check_run_that_is_edited_in_place() {
    let site = Site::new().await;
    let model = &site.model;
    model.repository("org/a");
    model.open("org/a", NewChange::default());
    let head = model.push_change("org/a", 1, None);
    if let Some(token) = model.state().tokens.get_mut(SECRET) {
        token.name = "installation 1".to_owned();
    }
    let client = HttpClient::new().expect("a client");
    let (clock, bounds) = (Clock::system(), Bounds::default());
    let ask = Conditional::new(client, clock, site.tasks.clone(), None, None, bounds).await;
    let settings = settings(model);
    let credential = ("app".to_owned(), Bearer::new(SECRET.to_owned().into()));
    let app = GitHub::by_app(&settings, credential, ask, reader(&settings)).expect("a pen");
    let rows = [
        (StatusState::Pending, "in_progress", None),
        (StatusState::Inconclusive, "in_progress", None),
        (StatusState::Success, "completed", Some("success")),
        (StatusState::Failure, "completed", Some("failure")),
        (StatusState::Error, "completed", Some("cancelled")),
    ];
    let mut run = None;
    for (state, word, conclusion) in rows {
        let text = "`so` @it [is](x)";
        let spoken = app.say(Saying { run, ..saying(&head, state, text) }).await.expect("said");
        assert_eq!(spoken.refused, None);
        let checks = model.state().named("org/a").checks.clone();
        assert_eq!(checks.len(), 1, "{word}: {checks:?}");
        let (id, check) = checks.into_iter().next().expect("a check run");
        assert_eq!(spoken.run, Some(id.to_string()));
        assert_eq!((&check["status"], &check["name"]), (&word.into(), &"crosswatch/w".into()));
        assert_eq!(check["conclusion"].as_str(), conclusion);
        assert_eq!(check["details_url"], "https://ci.example/1");
        assert_eq!(check["external_id"], format!("crosswatch/w@{head}"));
        assert_eq!(check["output"]["title"], text);
        assert_eq!(check["output"]["summary"], format!("`` {text} ``"));
        run = spoken.run;
    }
    // One that is gone is made anew, and a status is left to those who may not write check runs.
    let gone = Saying { run: Some("7".to_owned()), ..saying(&head, StatusState::Pending, "x") };
    let spoken = app.say(gone).await.expect("said");
    assert_eq!(model.state().named("org/a").checks.len(), 2);
    assert!(spoken.run.is_some_and(|run| run != "7"));
    assert!(model.state().named("org/a").statuses.is_empty());
    for status in [403, 404] {
        let refused = What::Status(status, Vec::new(), "{\"message\": \"no\"}".to_owned());
        model.fault(Fault::on("/check-runs", refused).times(1));
        let spoken = app.say(saying(&head, StatusState::Pending, "x")).await.expect("said");
        assert!(spoken.run.is_none() && spoken.refused.is_some(), "{spoken:?}");
    }
    let pending = saying(&head, StatusState::Pending, "x");
    let told = Saying { checks: false, ..pending.clone() };
    assert_eq!(app.say(told).await, Ok(Spoken::default()));
    assert_eq!(model.state().named("org/a").statuses[&head].len(), 3);
    assert_eq!(model.state().named("org/a").checks.len(), 2);
    // What may pass is no refusal: nothing else is written instead.
    for status in [401, 429, 502] {
        let failed = What::Status(status, Vec::new(), "{}".to_owned());
        model.fault(Fault::on("/check-runs", failed).times(1));
        assert!(app.say(pending.clone()).await.is_err(), "{status}");
    }
    let commit = saying("0123456789012345678901234567890123456789", StatusState::Pending, "x");
    assert_eq!(variant(&app.say(commit).await.expect_err("no such commit")), "refused");
    assert_eq!(model.state().named("org/a").statuses[&head].len(), 3);
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
