use super::super::fuzz::target;
use super::*;

fn read(body: &[u8]) -> Result<BTreeMap<String, Seen>, Failure> {
    graphql::each(graphql::read(body)?)
}

const ANSWER: &str = r#"{"data":{"r0":{"databaseId":1296269,"nameWithOwner":"octocat/Hello-World","isArchived":false,"isPrivate":false,"pushedAt":"2011-01-26T19:06:43Z","defaultBranchRef":{"name":"main"},"pullRequests":{"nodes":[{"number":1347,"updatedAt":"2011-01-26T19:01:12Z"}]}},"r1":{"databaseId":2,"nameWithOwner":"octocat/empty","isArchived":true,"isPrivate":true,"pushedAt":null,"defaultBranchRef":null,"pullRequests":{"nodes":[]}},"r2":null},"errors":[{"type":"NOT_FOUND","path":["r2"],"locations":[{"line":7,"column":3}],"message":"Could not resolve to a Repository with the name 'octocat/gone'."}]}"#;

#[test]
fn what_has_an_error_is_left_out_and_the_rest_is_believed() {
    let data = read(ANSWER.as_bytes()).expect("an answer");
    assert_eq!(data.keys().collect::<Vec<_>>(), ["r0", "r1"]);
    let seen = &data["r0"];
    let odd = ANSWER.replacen("\"isArchived\":false", "\"isArchived\":3", 1);
    assert_eq!(read(odd.as_bytes()).expect("the rest").keys().collect::<Vec<_>>(), ["r1"]);
    let at = |text: &str| Some(text.parse::<Timestamp>().expect("a time"));
    let (young, old) =
        (seen.mark(at("2011-01-26T19:06:44Z")), seen.mark(at("2011-01-26T19:06:50Z")));
    assert_ne!(young, old);
    assert_eq!(old, seen.mark(None));
}

#[test]
fn errors_of_the_whole_question_have_their_meaning() {
    for (error, reason, heavy) in [
        (r#"{"type":"RATE_LIMITED","message":"x","path":["r0"]}"#, Reason::Limited, false),
        (r#"{"message":"You have exceeded a secondary rate limit."}"#, Reason::Limited, false),
        (r#"{"type":"MAX_NODE_LIMIT_EXCEEDED","message":"x"}"#, Reason::Unavailable, true),
        (
            r#"{"message":"Something went wrong while executing your query."}"#,
            Reason::Unavailable,
            true,
        ),
        (r#"{"type":"INSUFFICIENT_SCOPES","message":"x"}"#, Reason::Forbidden, false),
        (r#"{"message":"Parse error"}"#, Reason::Nonsense, false),
        (r#"{"type":"SOMETHING_NEW","message":"x"}"#, Reason::Nonsense, false),
    ] {
        for data in ["null", r#"{"r0":null}"#] {
            let body = format!(r#"{{"data":{data},"errors":[{error}]}}"#);
            let failure = read(body.as_bytes()).err().expect(error);
            assert_eq!((failure.reason, failure.heavy), (reason, heavy), "{body}");
        }
    }
    for body in ["", "{}", "[]", "<html>", r#"{"data":[]}"#, r#"{"data":{"r0":{}}}"#] {
        let failure = read(body.as_bytes()).err().expect(body);
        assert_eq!(failure.reason, Reason::Nonsense, "{body}");
    }
}

#[test]
fn no_answer_makes_a_reader_fall() {
    let read = target("marks", &[ANSWER.as_bytes()], |body| {
        read(body).is_ok_and(|data| data.into_values().any(|seen| !seen.mark(None).is_empty()))
    });
    assert!(read > 1_000, "{read}");
}
