//! Objects of the REST API.

use serde_json::{Value, json};

use crate::State;
use crate::world::{Change, ChangeState, Comment, Permission, Repository};

/// A time as GitHub writes it.
pub(crate) fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

/// An account; null when it was deleted.
pub(crate) fn user(state: &State, login: Option<&str>) -> Value {
    let Some(login) = login else { return Value::Null };
    let known = state.users.get(login);
    let (id, bot) = known.map_or((0, false), |user| (user.id, user.bot));
    let url = format!("{}/api/v3/users/{login}", state.url);
    json!({
        "login": login, "id": id, "node_id": format!("U_{id}"), "avatar_url": "", "gravatar_id": "",
        "url": url, "html_url": format!("{}/{login}", state.url),
        "type": if bot { "Bot" } else { "User" }, "site_admin": false,
        "followers_url": url, "following_url": url, "gists_url": url, "starred_url": url,
        "subscriptions_url": url, "organizations_url": url, "repos_url": url, "events_url": url,
        "received_events_url": url,
    })
}

pub(crate) fn repository(state: &State, repository: &Repository) -> Value {
    let name = repository.full_name();
    let open = |change: &&Change| change.state == ChangeState::Open;
    let issues = repository.changes.values().filter(open).count();
    let mut value = json!({
        "id": repository.id, "node_id": format!("R_{}", repository.id),
        "name": repository.name, "full_name": name, "owner": user(state, Some(&repository.owner)),
        "private": repository.private, "html_url": format!("{}/{name}", state.url),
        "description": null, "fork": repository.fork,
        "url": format!("{}/api/v3/repos/{name}", state.url),
        "default_branch": repository.default_branch, "archived": repository.archived,
        "disabled": false, "visibility": if repository.private { "private" } else { "public" },
        "stargazers_count": repository.stars, "watchers_count": repository.stars,
        "watchers": repository.stars, "forks_count": 0, "forks": 0,
        "open_issues_count": issues, "open_issues": issues, "size": 100, "language": null,
        "homepage": null, "license": null, "mirror_url": null, "has_issues": true,
        "has_projects": false, "has_discussions": false, "is_template": false, "allow_forking": true,
        "web_commit_signoff_required": false, "custom_properties": {}, "network_count": 0,
        "subscribers_count": 0, "has_wiki": false, "has_pages": false, "has_downloads": false,
        "clone_url": format!("{}/{name}.git", state.url), "topics": [],
        "git_url": format!("git://localhost/{name}.git"), "svn_url": format!("{}/{name}", state.url),
        "ssh_url": format!("git@localhost:{name}.git"),
        "created_at": time(1_600_000_000), "updated_at": time(repository.updated_at),
        "pushed_at": time(repository.pushed_at),
    });
    if let Some(object) = value.as_object_mut() {
        for kind in [
            "archive",
            "assignees",
            "blobs",
            "branches",
            "collaborators",
            "comments",
            "commits",
            "compare",
            "contents",
            "contributors",
            "deployments",
            "downloads",
            "events",
            "forks",
            "git_commits",
            "git_refs",
            "git_tags",
            "hooks",
            "issue_comment",
            "issue_events",
            "issues",
            "keys",
            "labels",
            "languages",
            "merges",
            "milestones",
            "notifications",
            "pulls",
            "releases",
            "stargazers",
            "statuses",
            "subscribers",
            "subscription",
            "tags",
            "teams",
            "trees",
        ] {
            let url = format!("{}/api/v3/repos/{name}/{kind}", state.url);
            object.insert(format!("{kind}_url"), Value::String(url));
        }
    }
    value
}

/// A change; items of lists lack what costs the forge to compute.
pub(crate) fn pull(state: &State, of: &Repository, change: &Change, whole: bool) -> Value {
    let name = of.full_name();
    let api = format!("{}/api/v3/repos/{name}", state.url);
    let number = change.number;
    let source = change.source.and_then(|id| state.repositories.get(&id));
    let owner = change.source_owner.as_str();
    let head = json!({
        "label": format!("{owner}:{}", change.branch), "ref": change.branch, "sha": change.head,
        "user": source.map(|_| user(state, Some(owner))),
        "repo": source.map(|source| repository(state, source)),
    });
    let base_head = of.branches.get(&change.base).cloned().unwrap_or_else(|| change.head.clone());
    let base = json!({
        "label": format!("{}:{}", of.owner, change.base), "ref": change.base, "sha": base_head,
        "user": user(state, Some(&of.owner)), "repo": repository(state, of),
    });
    let link = |path: &str| json!({"href": format!("{api}/{path}")});
    let mut value = json!({
        "id": change.id, "node_id": format!("PR_{}", change.id), "number": number,
        "url": format!("{api}/pulls/{number}"),
        "html_url": format!("{}/{name}/pull/{number}", state.url),
        "diff_url": format!("{}/{name}/pull/{number}.diff", state.url),
        "patch_url": format!("{}/{name}/pull/{number}.patch", state.url),
        "issue_url": format!("{api}/issues/{number}"),
        "commits_url": format!("{api}/pulls/{number}/commits"),
        "review_comments_url": format!("{api}/pulls/{number}/comments"),
        "review_comment_url": format!("{api}/pulls/comments{{/number}}"),
        "comments_url": format!("{api}/issues/{number}/comments"),
        "statuses_url": format!("{api}/statuses/{}", change.head),
        "state": if change.state == ChangeState::Open { "open" } else { "closed" },
        "locked": false, "active_lock_reason": null, "title": change.title, "body": change.body,
        "user": user(state, change.author.as_deref()), "labels": labels(change, &api),
        "milestone": null, "draft": change.draft, "author_association": change.association,
        "created_at": time(change.created_at), "updated_at": time(change.updated_at),
        "closed_at": change.closed_at.map(time),
        "merged_at": change.merge_commit.as_ref().and(change.closed_at).map(time),
        "merge_commit_sha": change.merge_commit, "assignee": null, "assignees": [],
        "requested_reviewers": [], "requested_teams": [], "head": head, "base": base,
        "auto_merge": null,
        "_links": {
            "self": link(&format!("pulls/{number}")), "issue": link(&format!("issues/{number}")),
            "html": {"href": format!("{}/{name}/pull/{number}", state.url)},
            "comments": link(&format!("issues/{number}/comments")),
            "review_comments": link(&format!("pulls/{number}/comments")),
            "review_comment": link("pulls/comments{/number}"),
            "commits": link(&format!("pulls/{number}/commits")),
            "statuses": link(&format!("statuses/{}", change.head)),
        },
    });
    if let (Some(object), true) = (value.as_object_mut(), whole) {
        let of_change = |comment: &&Comment| comment.number == number;
        let clean = match change.mergeable {
            None => "unknown",
            Some(true) => "clean",
            Some(false) => "dirty",
        };
        let more = json!({
            "merged": change.state == ChangeState::Merged, "mergeable": change.mergeable,
            "rebaseable": change.mergeable, "mergeable_state": clean, "merged_by": null,
            "comments": of.comments.values().filter(of_change).count(), "review_comments": 0,
            "maintainer_can_modify": false, "commits": 1, "additions": 1, "deletions": 0,
            "changed_files": change.files.len(),
        });
        object.extend(more.as_object().cloned().unwrap_or_default());
    }
    value
}

fn labels(change: &Change, api: &str) -> Value {
    change.labels.iter().map(|name| label(api, name)).collect()
}

/// A label, whose id is made from its name.
pub(crate) fn label(api: &str, name: &str) -> Value {
    let id = name.bytes().fold(7_u64, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte));
    json!({
        "id": id, "node_id": format!("LA_{id}"), "name": name, "color": "ededed",
        "default": false, "description": "", "url": format!("{api}/labels/{name}"),
    })
}

fn reactions(url: &str) -> Value {
    json!({
        "url": format!("{url}/reactions"), "total_count": 0, "+1": 0, "-1": 0, "laugh": 0,
        "hooray": 0, "confused": 0, "heart": 0, "rocket": 0, "eyes": 0,
    })
}

/// The issue behind a change.
pub(crate) fn issue(state: &State, of: &Repository, change: &Change) -> Value {
    let api = format!("{}/api/v3/repos/{}", state.url, of.full_name());
    let number = change.number;
    json!({
        "id": change.id, "node_id": format!("I_{}", change.id), "number": number,
        "title": change.title, "body": change.body, "labels": labels(change, &api),
        "user": user(state, change.author.as_deref()), "url": format!("{api}/issues/{number}"),
        "state": if change.state == ChangeState::Open { "open" } else { "closed" },
        "html_url": format!("{}/{}/pull/{number}", state.url, of.full_name()),
        "author_association": change.association, "locked": false, "comments": 0,
        "created_at": time(change.created_at), "updated_at": time(change.updated_at),
        "closed_at": change.closed_at.map(time),
        "pull_request": {"url": format!("{api}/pulls/{number}")},
        "active_lock_reason": null, "assignee": null, "assignees": [], "milestone": null,
        "comments_url": format!("{api}/issues/{number}/comments"),
        "events_url": format!("{api}/issues/{number}/events"),
        "labels_url": format!("{api}/issues/{number}/labels{{/name}}"),
        "repository_url": api, "reactions": reactions(&format!("{api}/issues/{number}")),
    })
}

pub(crate) fn comment(state: &State, of: &Repository, comment: &Comment) -> Value {
    let api = format!("{}/api/v3/repos/{}", state.url, of.full_name());
    let Comment { id, number, .. } = comment;
    json!({
        "id": id, "node_id": format!("IC_{id}"), "url": format!("{api}/issues/comments/{id}"),
        "html_url": format!("{}/{}/pull/{number}#issuecomment-{id}", state.url, of.full_name()),
        "issue_url": format!("{api}/issues/{number}"), "body": comment.body,
        "user": user(state, comment.author.as_deref()), "author_association": "NONE",
        "performed_via_github_app": null,
        "reactions": reactions(&format!("{api}/issues/comments/{id}")),
        "created_at": time(comment.created_at), "updated_at": time(comment.updated_at),
    })
}

/// The four words of the old field, and the name of the role.
pub(crate) fn permission(permission: Option<Permission>) -> (&'static str, &'static str) {
    match permission {
        None => ("none", ""),
        Some(Permission::Read) => ("read", "read"),
        Some(Permission::Triage) => ("read", "triage"),
        Some(Permission::Write) => ("write", "write"),
        Some(Permission::Maintain) => ("write", "maintain"),
        Some(Permission::Admin) => ("admin", "admin"),
    }
}
