//! Real deliveries, told ones, hostile ones.

use std::io::Read as _;

use serde_json::{Value, json};

use super::super::fuzz::target_of;
use super::*;

/// Every example that GitHub's users gathered: event and payload.
fn examples() -> Vec<(String, Value)> {
    let packed =
        include_bytes!("../../../../tests/support/forge-model/schemas/webhook-examples.json.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).expect("a text");
    let all: Vec<Value> = serde_json::from_str(&text).expect("examples");
    let of = |entry: &Value| {
        let event = entry["event"].as_str().expect("an event").to_owned();
        let examples = entry["examples"].as_array().expect("examples").clone();
        examples.into_iter().map(move |example| (event.clone(), example)).collect::<Vec<_>>()
    };
    all.iter().flat_map(of).collect()
}

#[test]
fn every_example_of_github_is_understood() {
    let (mut moved, mut expected) = (0, 0);
    let examples = examples();
    for (event, payload) in &examples {
        let body = payload.to_string();
        let read = announced(event, false, body.as_bytes());
        let read = read.unwrap_or_else(|why| panic!("{event}: {why}\n{body}"));
        let form: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", &body)
            .finish();
        assert_eq!(announced(event, true, form.as_bytes()).as_ref(), Ok(&read), "{event}");
        assert_eq!(read.repository.as_deref(), payload["repository"]["full_name"].as_str());
        let Some(of) = read.moved else { continue };
        moved += 1;
        assert_eq!(Some(of.id), payload["repository"]["id"].as_u64());
        expected += usize::from(of.expected.is_some());
    }
    assert!(examples.len() > 300 && moved > 40 && expected > 20, "{moved} {expected}");
}

fn payload(more: Value) -> String {
    let mut payload = json!({
        "repository": {"id": 7, "full_name": "Rock/Types", "owner": {"login": "Rock"}},
        "sender": {"login": "somebody"},
    });
    if let (Some(all), Value::Object(more)) = (payload.as_object_mut(), more) {
        all.extend(more);
    }
    payload.to_string()
}

#[test]
fn what_a_delivery_announces() {
    let a = "a".repeat(40);
    let zero = "0".repeat(40);
    let head = |of: HeadOf, head: Option<&str>| {
        Some(Expected { of, head: head.map(|head| head.parse().expect("a commit")) })
    };
    let branch = |name: &str| HeadOf::Branch(name.into());
    let pull = |state: &str, action: &str| json!({"action": action, "pull_request": {"number": 12, "state": state, "head": {"sha": a}}});
    for (event, more, expected) in [
        ("push", json!({"ref": "refs/heads/x/y", "after": a}), head(branch("x/y"), Some(&a))),
        (
            "push",
            json!({"ref": "refs/heads/x", "after": zero, "deleted": true}),
            head(branch("x"), None),
        ),
        ("push", json!({"ref": "refs/heads/x", "after": zero}), head(branch("x"), None)),
        ("delete", json!({"ref": "x", "ref_type": "branch"}), head(branch("x"), None)),
        ("create", json!({"ref": "x", "ref_type": "branch"}), None),
        ("pull_request", pull("open", "opened"), head(HeadOf::Change(12), Some(&a))),
        ("pull_request", pull("open", "a_word_of_tomorrow"), head(HeadOf::Change(12), Some(&a))),
        ("pull_request", pull("closed", "closed"), head(HeadOf::Change(12), None)),
        ("repository", json!({"action": "deleted"}), None),
        ("member", json!({"action": "added"}), None),
        ("public", json!({}), None),
    ] {
        let read = announced(event, false, payload(more.clone()).as_bytes()).expect(event);
        let moved = read.moved.unwrap_or_else(|| panic!("{event} {more} moves nothing"));
        assert_eq!((moved.id, &moved.paths), (7, &vec![Name::from("rock/types")]));
        assert_eq!(moved.expected, expected, "{event} {more}");
    }
    // Nothing that is read of a repository differs after these.
    for (event, more) in [
        ("push", json!({"ref": "refs/tags/v1", "after": a})),
        ("create", json!({"ref": "v1", "ref_type": "tag"})),
        ("delete", json!({"ref": "v1", "ref_type": "tag"})),
        ("pull_request", pull("open", "assigned")),
        ("check_run", json!({"action": "completed"})),
        ("star", json!({"action": "created"})),
    ] {
        let read = announced(event, false, payload(more.clone()).as_bytes()).expect(event);
        assert_eq!(read.moved, None, "{event} {more}");
        assert_eq!(read.owner.as_deref(), Some("Rock"));
    }
    for (more, before) in [
        (json!({"changes": {"repository": {"name": {"from": "Old"}}}}), "rock/old"),
        (json!({"changes": {"owner": {"from": {"user": {"login": "Me"}}}}}), "me/types"),
        (json!({"changes": {"owner": {"from": {"organization": {"login": "Us"}}}}}), "us/types"),
    ] {
        let read = announced("repository", false, payload(more).as_bytes()).expect("read");
        let paths = read.moved.expect("it moved").paths;
        assert_eq!(paths, [Name::from("rock/types"), Name::from(before)]);
    }
}

#[test]
fn what_is_not_a_delivery_is_refused() {
    for (event, more) in [
        ("push", json!({"ref": "refs/heads/x"})),
        ("push", json!({"ref": "refs/heads/x", "after": "main"})),
        ("push", json!({"ref": ["x"], "after": "main"})),
        ("push", json!({"repository": {"id": -1, "full_name": "a/b"}})),
        ("push", json!({"repository": {"id": 1, "full_name": "a/b/c"}})),
        ("push", json!({"repository": {"id": 1, "full_name": "../.."}})),
        (
            "pull_request",
            json!({"pull_request": {"number": 1, "state": "open", "head": {"sha": "z"}}}),
        ),
    ] {
        assert!(
            announced(event, false, payload(more.clone()).as_bytes()).is_err(),
            "{event} {more}"
        );
    }
    let deep = format!("{{\"repository\":{}", "[".repeat(200_000));
    for body in ["", "null", "[]", "<html>", "{", &deep] {
        assert!(announced("push", false, body.as_bytes()).is_err());
    }
    assert!(announced("push", true, b"other=1").is_err());
    let nothing =
        announced("push", false, b"{}").expect("an app is told of much without a repository");
    assert_eq!(nothing, Announced::default());
    // A place that is asked for is made of these.
    let odd =
        json!({"repository": {"id": 1, "full_name": "a/../x"}, "organization": {"login": "?"}});
    assert_eq!(announced("ping", false, odd.to_string().as_bytes()), Ok(Announced::default()));
}

#[test]
fn only_a_signature_by_one_of_the_secrets_is_right() {
    // From GitHub's documentation.
    let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let secret = || SecretString::from("It's a Secret to Everybody");
    let other = || SecretString::from("another");
    let digest = signature(right.as_bytes()).expect("a signature");
    for (body, secrets, is_right) in [
        ("Hello, World!", vec![secret()], true),
        ("Hello, World!", vec![other(), secret()], true),
        ("Hello, World!", vec![secret(), other()], true),
        ("Hello, World!", vec![other()], false),
        ("Hello, World!", vec![], false),
        ("Hello, World?", vec![secret()], false),
        ("", vec![secret()], false),
    ] {
        assert_eq!(is_signed(body.as_bytes(), &digest, &secrets), is_right, "{body}");
    }
    for wrong in
        ["", "sha256=", "sha1=757107ea0eb2509fc211221cce984b8a37570b6d", &right[7..], &right[..70]]
    {
        assert_eq!(signature(wrong.as_bytes()), None, "{wrong}");
    }
    assert_eq!(signature(right.replace('7', "g").as_bytes()), None);
    assert_eq!(signature(&[0xff; 71]), None);
}

#[test]
fn no_body_makes_the_receiver_fall() {
    let examples: Vec<_> = examples().into_iter().filter(|(event, _)| moves(event)).collect();
    let bodies: Vec<String> = examples.iter().map(|(_, payload)| payload.to_string()).collect();
    let bodies: Vec<&[u8]> = bodies.iter().map(String::as_bytes).collect();
    let read = target_of("webhooks", &bodies, |at, body| {
        let (event, _) = &examples[at];
        [false, true].into_iter().filter(|form| announced(event, *form, body).is_ok()).count() > 0
    });
    assert!(read > 1_000, "{read}");
}
