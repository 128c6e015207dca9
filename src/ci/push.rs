//! Results that a CI pushes: only ever a hint whose build to ask after.

use crosswatch_core::model::build::RequestId;
use serde_json::Value;

/// Longest push that is read.
const LONGEST: usize = 1 << 20;

/// The request that a pushed body is about, if it names one of that form.
///
/// Understands what Buildbot's `HttpStatusPush` sends, and any JSON object with the id in
/// `crosswatch_request_id` or `request_id`. Nothing else of the body is looked at: a push is
/// neither believed nor needed.
pub fn pushed(body: &[u8]) -> Option<RequestId> {
    if body.len() > LONGEST {
        return None;
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    let property = body.get("properties").and_then(|all| all.get("crosswatch_request_id"));
    let named = [property, body.get("crosswatch_request_id"), body.get("request_id")];
    named.into_iter().flatten().find_map(|value| {
        let text = match value {
            Value::Array(pair) => pair.first().and_then(Value::as_str),
            other => other.as_str(),
        };
        text.and_then(|text| text.parse().ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_names_its_request() {
        let id = "00112233445566778899aabbccddeeff";
        for body in [
            format!(
                r#"{{"properties":{{"crosswatch_request_id":["{id}","Change"]}},"results":0}}"#
            ),
            format!(r#"{{"properties":{{"crosswatch_request_id":"{id}"}}}}"#),
            format!(r#"{{"request_id":"{id}"}}"#),
        ] {
            assert_eq!(pushed(body.as_bytes()).map(|id| id.to_string()).as_deref(), Some(id));
        }
    }

    #[test]
    fn hostile_pushes_are_nothing() {
        let deep = "[".repeat(100_000);
        let long = format!(r#"{{"request_id":"{}"}}"#, "0".repeat(2 << 20));
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"properties":[1]}"#,
            r#"{"request_id":"zz"}"#,
            &deep,
            &long,
        ] {
            assert_eq!(pushed(body.as_bytes()), None);
        }
        assert_eq!(pushed(&[0xff, 0xfe]), None);
    }
}
