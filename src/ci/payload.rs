//! A build request in the words of the CIs: overrides as autoproj reads them, a Buildbot change.

use std::collections::BTreeMap;

use crosswatch_core::model::build::BuildRequest;
use crosswatch_core::model::identity::Subject;
use crosswatch_core::spelling::{Spelling, spell};
use serde_json::{Map, Value, json};
use url::form_urlencoded::Serializer;

/// Longest property that every database behind a Buildbot master can keep.
const LONGEST_PROPERTY: usize = 60_000;

/// The overrides as the list of one-key maps that autoproj reads from `overrides.d`.
pub(super) fn autoproj_overrides(request: &BuildRequest) -> Value {
    let text = spell(Spelling::Autoproj, &request.overrides);
    // Its own spelling is always YAML; should it not be, autoproj is given the text to say so.
    serde_yaml::from_str(&text).unwrap_or(Value::String(text))
}

/// The overrides in the spellings that the workspace wants, beside autoproj's and JSON, which every
/// request has.
pub(super) fn spelled(request: &BuildRequest) -> BTreeMap<&'static str, String> {
    request
        .spellings
        .iter()
        .filter(|spelling| !matches!(spelling, Spelling::Json | Spelling::Autoproj))
        .map(|spelling| (spelling.word(), spell(*spelling, &request.overrides)))
        .collect()
}

/// `autoproj/PROJECT/HOST/PATH/pulls/N` for a change, `…/queue/BASE/N` for an entry of a merge queue, the
/// tracked branch for the mainline.
///
/// Each change has a branch name of its own, so a busy master never merges requests of two.
pub(super) fn branch(request: &BuildRequest, project: &str) -> String {
    match &request.subject {
        Subject::Mainline => request.primary.branch.to_string(),
        Subject::Change(change) => encoded(&format!(
            "autoproj/{project}/{}/{}/pulls/{}",
            change.repository.forge, change.repository.path, change.number
        )),
        Subject::Queue(queue) => encoded(&format!(
            "autoproj/{project}/{}/{}/queue/{}/{}",
            queue.repository.forge, queue.repository.path, queue.base, queue.number
        )),
    }
}

/// The body of the post to Buildbot's `base` change hook.
pub(super) fn change_form(request: &BuildRequest, project: &str) -> String {
    let repository = page_of(&request.primary.repository_url);
    let author = request.primary.author.as_deref().unwrap_or("crosswatch");
    let committer = request.primary.committer.as_deref().unwrap_or(author);
    let own = request.own();
    let revlink = match &request.subject {
        Subject::Mainline => repository.clone(),
        Subject::Change(_) | Subject::Queue(_) => own
            .and_then(|entry| entry.change_url.clone())
            .or_else(|| request.page.clone())
            .unwrap_or_default(),
    };
    let category = if request.subject == Subject::Mainline { "push" } else { "pull_request" };
    let when = request.primary.when.unwrap_or(request.decided_at).0.div_euclid(1000);
    let revision = request.primary.revision.map(|oid| oid.to_string()).unwrap_or_default();
    Serializer::new(String::new())
        .append_pair("author", author)
        .append_pair("committer", committer)
        .append_pair("branch", &branch(request, project))
        .append_pair("category", category)
        .append_pair("codebase", "")
        .append_pair("comments", "")
        .append_pair("project", project)
        .append_pair("repository", &repository)
        .append_pair("revision", &revision)
        .append_pair("revlink", &revlink)
        .append_pair("when_timestamp", &when.to_string())
        .append_pair("properties", &properties(request).to_string())
        .finish()
}

fn properties(request: &BuildRequest) -> Value {
    let packages = request.own().map_or(&request.affected, |entry| &entry.packages);
    let set: Vec<Value> = request
        .set
        .iter()
        .map(|member| {
            json!({
                "change": member.change.to_string(),
                "head": member.head.to_string(),
                "base": member.base,
            })
        })
        .collect();
    let mut all = Map::new();
    all.insert("package_names".into(), json!(packages));
    all.insert("source_branch".into(), json!(request.primary.branch));
    if let Some(id) = request.primary.source_project_id {
        all.insert("source_project_id".into(), json!(id));
    }
    all.insert("crosswatch_request_id".into(), json!(request.request_id));
    all.insert("crosswatch_fingerprint".into(), json!(request.fingerprint));
    all.insert("crosswatch_workspace".into(), json!(request.workspace));
    all.insert("crosswatch_subject".into(), json!(request.subject.to_string()));
    all.insert("crosswatch_reason".into(), json!(request.reason));
    all.insert("crosswatch_attempt".into(), json!(request.attempt));
    all.insert("crosswatch_set".into(), json!(set));
    all.insert("crosswatch_overrides".into(), autoproj_overrides(request));
    for (word, text) in spelled(request) {
        all.insert(format!("crosswatch_overrides_{word}"), Value::String(text));
    }
    all.insert("crosswatch_affected".into(), json!(request.affected));
    let heads: Map<String, Value> = request
        .heads
        .iter()
        .map(|head| (head.package.to_string(), json!(head.head.to_string())))
        .collect();
    all.insert("crosswatch_heads".into(), Value::Object(heads));
    if let Some(page) = &request.page {
        all.insert("crosswatch_page".into(), json!(page));
    }
    // What a build can do without is left out rather than cut by the master's database.
    for spare in ["crosswatch_heads", "crosswatch_affected"] {
        if all.get(spare).is_some_and(|value| value.to_string().len() > LONGEST_PROPERTY) {
            all.remove(spare);
        }
    }
    Value::Object(all)
}

/// The address of a repository as its pages have it: without credentials and `.git`.
fn page_of(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) if matches!(parsed.scheme(), "http" | "https") => {
            let cleared = parsed.set_username("").and(parsed.set_password(None));
            let text = if cleared.is_ok() { parsed.to_string() } else { String::new() };
            let text = text.trim_end_matches('/');
            text.strip_suffix(".git").unwrap_or(text).to_owned()
        }
        _ => url.to_owned(),
    }
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._/+-".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Standard base64, for Basic authorisation.
pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = (0..3)
            .fold(0_u32, |group, at| (group << 8) | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let letter = (group >> (18 - 6 * at)) & 63;
            let known = at <= chunk.len();
            let letter = LETTERS.get(letter as usize).filter(|_| known);
            out.push(letter.map_or('=', |letter| char::from(*letter)));
        }
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use crosswatch_core::model::build::{Cause, Override, Primary, RequestId, SetMember};
    use crosswatch_core::model::identity::{Fingerprint, Oid, RepositoryId};
    use crosswatch_core::model::time::Timestamp;

    use super::*;

    /// A request for a change that depends on another.
    pub(in crate::ci) fn request() -> BuildRequest {
        let repository = RepositoryId::new("github.com", "rock-core/base-types");
        let head: Oid = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
        let change = repository.change(7);
        BuildRequest {
            request_id: RequestId([7; 16]),
            workspace: "rock-core".into(),
            subject: Subject::Change(change.clone()),
            fingerprint: Fingerprint([1; 32]),
            attempt: 1,
            cause: Cause::New,
            reason: "new change".into(),
            mainline: None,
            decided_at: Timestamp::from_seconds(1_713_175_999),
            set: vec![SetMember { change: change.clone(), head, base: "master".into() }],
            overrides: vec![Override {
                change,
                change_url: Some("https://github.com/rock-core/base-types/pull/7".into()),
                packages: vec!["base/types".into(), "base/orogen/types".into()],
                repository_url: "https://github.com/rock-core/base-types.git".into(),
                ref_name: "refs/pull/7/head".into(),
                head,
                base: "master".into(),
                unpin: false,
                repeats: std::collections::BTreeMap::new(),
            }],
            spellings: Vec::new(),
            heads: std::sync::Arc::default(),
            affected: vec!["base/types".into()],
            trusted: true,
            page: None,
            primary: Primary {
                repository_url: "https://me:secret@github.com/rock-core/base-types.git".into(),
                repository: Some(repository),
                branch: "feature".into(),
                revision: Some(head),
                author: Some("me".into()),
                committer: None,
                source_project_id: None,
                when: Some(Timestamp::from_seconds(1_713_175_954)),
            },
        }
    }

    #[test]
    fn the_form_is_what_the_older_daemon_sent() {
        let form = change_form(&request(), "rock-core");
        let fields: BTreeMap<String, String> =
            url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        for (name, value) in [
            ("author", "me"),
            ("branch", "autoproj/rock-core/github.com/rock-core/base-types/pulls/7"),
            ("category", "pull_request"),
            ("codebase", ""),
            ("comments", ""),
            ("project", "rock-core"),
            ("repository", "https://github.com/rock-core/base-types"),
            ("revision", "0123456789abcdef0123456789abcdef01234567"),
            ("revlink", "https://github.com/rock-core/base-types/pull/7"),
            ("when_timestamp", "1713175954"),
        ] {
            assert_eq!(fields.get(name).map(String::as_str), Some(value), "{name}");
        }
        let properties: Value = serde_json::from_str(&fields["properties"]).unwrap();
        assert_eq!(properties["package_names"], json!(["base/types", "base/orogen/types"]));
        assert_eq!(properties["source_branch"], "feature");
        assert_eq!(properties["crosswatch_request_id"], "07".repeat(16));
        assert_eq!(
            properties["crosswatch_overrides"][1]["base/orogen/types"]["remote_branch"],
            "refs/pull/7/head"
        );
        assert!(!form.contains("secret"));
    }

    #[test]
    fn buildbot_keeps_the_same_of_it_field_by_field() {
        // What a Buildbot gave back after the older daemon's form for the same pull request.
        let theirs = json!({
            "author": "me", "committer": "you", "category": "pull_request", "codebase": "",
            "branch": "autoproj/rock-core/github.com/rock-core/base-types/pulls/7",
            "project": "rock-core", "repository": "https://github.com/rock-core/base-types",
            "revision": "0123456789abcdef0123456789abcdef01234567",
            "revlink": "https://github.com/rock-core/base-types/pull/7",
            "when_timestamp": 1_713_175_954,
            "properties": {
                "package_names": ["base/types", "base/orogen/types"],
                "source_branch": "feature", "source_project_id": 10,
            },
        });
        let mut request = request();
        request.primary.committer = Some("you".into());
        request.primary.source_project_id = Some(10);
        let form = change_form(&request, "rock-core");
        let fields: BTreeMap<String, String> =
            url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        for (name, value) in theirs.as_object().unwrap() {
            match value {
                Value::Object(properties) => {
                    let ours: Value = serde_json::from_str(&fields["properties"]).unwrap();
                    for (name, value) in properties {
                        assert_eq!(ours[name], *value, "{name}");
                    }
                    for name in ours.as_object().unwrap().keys() {
                        assert!(properties.contains_key(name) || name.starts_with("crosswatch_"));
                    }
                }
                Value::Number(number) => assert_eq!(fields[name], number.to_string(), "{name}"),
                value => assert_eq!(value.as_str(), Some(fields[name].as_str()), "{name}"),
            }
        }
        let mut names: Vec<&String> = fields.keys().collect();
        names.retain(|name| !theirs.as_object().unwrap().contains_key(*name));
        assert_eq!(names, ["comments"], "Buildbot shows it elsewhere");
    }

    #[test]
    fn branch_names_are_encoded() {
        let mut request = request();
        request.subject = Subject::Change(RepositoryId::new("git", "a b/ü~c").change(3));
        assert_eq!(branch(&request, "p x"), "autoproj/p%20x/git/a%20b/%C3%BC%7Ec/pulls/3");
        request.subject = Subject::Mainline;
        assert_eq!(branch(&request, "p x"), "feature");
    }

    #[test]
    fn base64_is_standard() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
