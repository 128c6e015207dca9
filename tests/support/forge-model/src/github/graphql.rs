//! GraphQL, as far as a reader of repositories and changes needs it, with GitHub's cost rule.
//!
//! A field that is not there is refused, as GitHub refuses it, so that no reader relies on one.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::json;
use super::parse::{Document, Field, Selection, document};
use super::serve::{Ask, Reply, token};
use crate::Shared;
use crate::world::{Change, ChangeState, Comment, Repository, State, Token};

/// Nodes that one query may ask for.
const NODES: u64 = 500_000;

/// How many repositories a query names; for the fault of queries that are too heavy.
pub(crate) fn asked_nodes(body: &str) -> usize {
    let by_id = body.matches("\"R_").count() + body.matches("\\\"R_").count();
    by_id + body.matches("repository(").count()
}

/// Which lists or single things of repositories a question is about, for people who read the log.
pub(crate) fn about(body: &[u8]) -> String {
    const FIELDS: [&str; 3] = ["refs", "pullRequest", "pullRequests"];
    let text = String::from_utf8_lossy(body);
    let asked = FIELDS.into_iter().filter(|field| text.contains(&format!("{field}(")));
    asked.collect::<Vec<_>>().join("+")
}

pub(crate) fn answer(shared: &Arc<Shared>, state: &mut State, ask: &Ask) -> Reply {
    if ask.secret.is_none() {
        return Reply::message(401, "This endpoint requires you to be authenticated.");
    }
    let Ok(body) = serde_json::from_slice::<Value>(&ask.body) else {
        return Reply::message(400, "Problems parsing JSON");
    };
    let text = body["query"].as_str().unwrap_or_default();
    let document = match document(text, &body["variables"]) {
        Ok(document) if !document.mutation => document,
        Ok(_) => return errors(&json!([{"message": "mutations are not modelled"}])),
        Err(message) => return errors(&json!([{"message": message}])),
    };
    let weighed = weigh(&document, &document.selections, 1);
    let (connections, nodes) = match weighed {
        Ok(weight) => weight,
        Err(message) => return errors(&json!([{"message": message}])),
    };
    if nodes > NODES {
        let message = format!("This query requests up to {nodes} possible nodes");
        return errors(&json!([{"type": "MAX_NODE_LIMIT_EXCEEDED", "message": message}]));
    }
    let cost = u32::try_from(((connections + 50) / 100).max(1)).unwrap_or(u32::MAX);
    let now = state.now();
    let secret = ask.secret.clone().unwrap_or_default();
    let rate = state.tokens.get_mut(&secret).map(|token| token.meter.rate(true, now));
    let rate = rate.map_or(Value::Null, |rate| {
        let used = (rate.used + cost).min(rate.limit);
        json!({
            "cost": cost, "limit": rate.limit, "remaining": rate.limit - used, "used": used,
            "resetAt": json::time(rate.reset), "nodeCount": nodes,
        })
    });
    let mut run = Run {
        state,
        document: &document,
        token: token(state, ask),
        rate,
        errors: Vec::new(),
        alias: String::new(),
        tried: BTreeSet::new(),
    };
    let data = run.object(&Thing::Query, &document.selections);
    let (failed, tried) = (std::mem::take(&mut run.errors), std::mem::take(&mut run.tried));
    for (id, number) in tried {
        super::rest::try_to_merge(shared, id, number);
    }
    let mut reply = match data {
        Ok(data) if failed.is_empty() => Reply::json(200, &json!({"data": data})),
        Ok(data) => Reply::json(200, &json!({"data": data, "errors": failed})),
        Err(message) => errors(&json!([{"message": message}])),
    };
    reply.cost = cost;
    reply
}

fn errors(errors: &Value) -> Reply {
    Reply::json(200, &json!({"errors": errors}))
}

/// Connections with those that stand above them multiplied in, and nodes at most.
fn weigh(document: &Document, selections: &[Selection], times: u64) -> Result<(u64, u64), String> {
    let mut sum = (0, 0);
    let mut add = |(connections, nodes): (u64, u64)| {
        sum = (sum.0 + connections, sum.1 + nodes);
    };
    for selection in selections {
        match selection {
            Selection::Inline(_, inner) => add(weigh(document, inner, times)?),
            Selection::Spread(name) => {
                let fragment = document.fragments.get(name);
                let (_, inner) =
                    fragment.ok_or_else(|| format!("Fragment {name} was not found"))?;
                add(weigh(document, inner, times)?);
            }
            Selection::Field(field) => {
                let size = field.arguments.get("first").or_else(|| field.arguments.get("last"));
                let mut inner = times;
                if let Some(size) = size.and_then(Value::as_u64) {
                    if !(1..=100).contains(&size) {
                        return Err(format!("`{}` wants 1 to 100 records", field.name));
                    }
                    add((times, times * size));
                    inner = times * size;
                } else if CONNECTIONS.contains(&field.name.as_str()) {
                    return Err(format!(
                        "You must provide a `first` or `last` value to properly paginate the `{}` connection.",
                        field.name
                    ));
                } else if field.name == "nodes" && field.arguments.contains_key("ids") {
                    let count = field.arguments["ids"].as_array().map_or(1, Vec::len);
                    if count > 100 {
                        return Err("You may not provide more than 100 node ids".to_owned());
                    }
                    inner = times * u64::try_from(count).unwrap_or(1);
                    add((0, inner));
                }
                add(weigh(document, &field.selections, inner)?);
            }
        }
    }
    Ok(sum)
}

const CONNECTIONS: [&str; 5] = ["pullRequests", "refs", "labels", "files", "comments"];

enum Thing<'a> {
    Query,
    Repository(&'a Repository),
    Ref(&'a Repository, &'a str, &'a str),
    Change(&'a Repository, &'a Change),
    Comment(&'a Repository, &'a Comment),
    /// Type and whole value.
    Plain(&'static str, Value),
}

struct Run<'a> {
    state: &'a State,
    document: &'a Document,
    token: Option<&'a Token>,
    rate: Value,
    errors: Vec<Value>,
    /// Alias of what is being answered.
    alias: String,
    /// Changes whose mergeability was asked for.
    tried: BTreeSet<(u64, u64)>,
}

type Answer = Result<Value, String>;

impl<'a> Run<'a> {
    fn object(&mut self, thing: &Thing<'a>, selections: &[Selection]) -> Answer {
        let mut object = Map::new();
        self.fill(thing, selections, &mut object)?;
        Ok(Value::Object(object))
    }

    fn fill(
        &mut self,
        thing: &Thing<'a>,
        selections: &[Selection],
        object: &mut Map<String, Value>,
    ) -> Result<(), String> {
        for selection in selections {
            match selection {
                Selection::Inline(on, inner) => {
                    if on.as_deref().is_none_or(|on| thing.is(on)) {
                        self.fill(thing, inner, object)?;
                    }
                }
                Selection::Spread(name) => {
                    let document = self.document;
                    if let Some((on, inner)) = document.fragments.get(name)
                        && thing.is(on)
                    {
                        self.fill(thing, inner, object)?;
                    }
                }
                Selection::Field(field) => {
                    let value = self.field(thing, field)?;
                    object.insert(field.alias.clone(), value);
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, thing: &Thing<'a>, field: &Field) -> Answer {
        if field.name == "__typename" {
            return Ok(Value::from(thing.kind()));
        }
        let value = match thing {
            Thing::Query => self.query(field)?,
            Thing::Repository(of) => self.repository(of, field)?,
            Thing::Ref(of, name, head) => self.reference(of, name, head, field)?,
            Thing::Change(of, change) => self.change(of, change, field)?,
            Thing::Comment(of, comment) => self.comment(of, comment, field)?,
            Thing::Plain(kind, value) => match value.get(&field.name) {
                Some(value) if field.selections.is_empty() => Some(value.clone()),
                Some(Value::Null) => Some(Value::Null),
                Some(inner) => {
                    let thing = Thing::Plain(kind, inner.clone());
                    Some(self.object(&thing, &field.selections)?)
                }
                None => None,
            },
        };
        value.ok_or_else(|| {
            format!("Field '{}' doesn't exist on type '{}'", field.name, thing.kind())
        })
    }

    fn query(&mut self, field: &Field) -> Result<Option<Value>, String> {
        let text = |name: &str| field.arguments.get(name).and_then(Value::as_str);
        Ok(Some(match field.name.as_str() {
            "rateLimit" => {
                let rate = Thing::Plain("RateLimit", self.rate.clone());
                self.object(&rate, &field.selections)?
            }
            "viewer" => {
                let login = self.token.map(|token| token.login.clone());
                self.actor(login.as_deref(), field)?
            }
            "repository" => {
                let name = format!(
                    "{}/{}",
                    text("owner").unwrap_or_default(),
                    text("name").unwrap_or_default()
                );
                let id = self.state.id(&name).map(|id| format!("R_{id}"));
                self.alias.clone_from(&field.alias);
                self.node(&id.unwrap_or(name), field, json!([field.alias]))?
            }
            "node" => {
                let id = text("id").unwrap_or_default().to_owned();
                self.node(&id, field, json!([field.alias]))?
            }
            "nodes" => {
                let ids = field.arguments.get("ids").and_then(Value::as_array);
                let ids = ids.cloned().unwrap_or_default();
                let mut all = Vec::new();
                for (at, id) in ids.iter().enumerate() {
                    let path = json!([field.alias, at]);
                    all.push(self.node(id.as_str().unwrap_or_default(), field, path)?);
                }
                Value::Array(all)
            }
            _ => return Ok(None),
        }))
    }

    fn node(&mut self, id: &str, field: &Field, path: Value) -> Answer {
        let state = self.state;
        let all = state.repositories.values();
        let mut all = all.filter(|of| state.sees(self.token, of)).map(|of| state.seen(of));
        let thing = if let Some(number) = id.strip_prefix("R_") {
            let of = number.parse().ok().and_then(|id| state.repositories.get(&id));
            let of = of.filter(|of| state.sees(self.token, of));
            of.map(|of| Thing::Repository(state.seen(of)))
        } else if let Some(number) = id.strip_prefix("PR_") {
            let number = number.parse::<u64>().unwrap_or(0);
            all.find_map(|of| {
                let change = of.changes.values().find(|change| change.id == number)?;
                Some(Thing::Change(of, change))
            })
        } else {
            None
        };
        match thing {
            Some(thing) => self.object(&thing, &field.selections),
            None => {
                let message = format!("Could not resolve to a node with the global id of '{id}'");
                let error = json!({"type": "NOT_FOUND", "path": path, "message": message});
                self.errors.push(error);
                Ok(Value::Null)
            }
        }
    }

    fn actor(&mut self, login: Option<&str>, field: &Field) -> Answer {
        let Some(login) = login else { return Ok(Value::Null) };
        let user = self.state.users.get(login);
        let (id, bot) = user.map_or((0, false), |user| (user.id, user.bot));
        let kind = if bot { "Bot" } else { "User" };
        // GraphQL leaves `[bot]` out of the login.
        let login = login.trim_end_matches("[bot]");
        let value = json!({
            "login": login, "id": format!("U_{id}"), "databaseId": id,
            "url": format!("{}/{login}", self.state.url),
        });
        self.object(&Thing::Plain(kind, value), &field.selections)
    }

    fn repository(&mut self, of: &'a Repository, field: &Field) -> Result<Option<Value>, String> {
        Ok(Some(match field.name.as_str() {
            "id" => json!(format!("R_{}", of.id)),
            "databaseId" => json!(of.id),
            "name" => json!(of.name),
            "nameWithOwner" => json!(of.full_name()),
            "isArchived" => json!(of.archived),
            "isPrivate" => json!(of.private),
            "isFork" => json!(of.fork),
            "visibility" => json!(if of.private { "PRIVATE" } else { "PUBLIC" }),
            "stargazerCount" => json!(of.stars),
            "pushedAt" => json!(json::time(of.pushed_at)),
            "updatedAt" => json!(json::time(of.updated_at)),
            "url" => json!(format!("{}/{}", self.state.url, of.full_name())),
            "owner" => self.actor(Some(&of.owner), field)?,
            "defaultBranchRef" => match of.branches.get_key_value(&of.default_branch) {
                Some((name, head)) => {
                    self.object(&Thing::Ref(of, name, head), &field.selections)?
                }
                None => Value::Null,
            },
            "ref" => {
                let name = field.arguments.get("qualifiedName").and_then(Value::as_str);
                let name = name.unwrap_or_default().trim_start_matches("refs/heads/");
                match of.branches.get_key_value(name) {
                    Some((name, head)) => {
                        self.object(&Thing::Ref(of, name, head), &field.selections)?
                    }
                    None => Value::Null,
                }
            }
            "refs" => {
                let prefix = field.arguments.get("refPrefix").and_then(Value::as_str);
                let heads = prefix.unwrap_or_default().starts_with("refs/heads/");
                let all = of.branches.iter().filter(|_| heads);
                let all = all.map(|(name, head)| Thing::Ref(of, name, head)).collect();
                self.connection(all, field)?
            }
            "pullRequest" => {
                let number = field.arguments.get("number").and_then(Value::as_u64);
                if number.is_none_or(|number| i32::try_from(number).is_err()) {
                    return Err(
                        "Argument 'number' has an invalid value. Expected type 'Int!'.".into()
                    );
                }
                match number.and_then(|number| of.changes.get(&number)) {
                    Some(change) => self.object(&Thing::Change(of, change), &field.selections)?,
                    None => {
                        let number = number.unwrap_or_default();
                        let message = format!(
                            "Could not resolve to a PullRequest with the number of {number}."
                        );
                        let path = json!([self.alias, field.alias]);
                        let error = json!({"type": "NOT_FOUND", "path": path, "message": message});
                        self.errors.push(error);
                        Value::Null
                    }
                }
            }
            "pullRequests" => {
                let all = changes(of, field).into_iter().map(|change| Thing::Change(of, change));
                self.connection(all.collect(), field)?
            }
            _ => return Ok(None),
        }))
    }

    fn reference(
        &mut self,
        of: &'a Repository,
        name: &str,
        head: &str,
        field: &Field,
    ) -> Result<Option<Value>, String> {
        Ok(Some(match field.name.as_str() {
            "id" => json!(format!("REF_{}_{name}", of.id)),
            "name" => json!(name),
            "prefix" => json!("refs/heads/"),
            "target" => self.commit(of, head, field)?,
            _ => return Ok(None),
        }))
    }

    fn commit(&mut self, of: &Repository, head: &str, field: &Field) -> Answer {
        let value = json!({
            "oid": head, "id": format!("C_{head}"), "committedDate": json::time(of.pushed_at),
        });
        self.object(&Thing::Plain("Commit", value), &field.selections)
    }

    fn change(
        &mut self,
        of: &'a Repository,
        change: &'a Change,
        field: &Field,
    ) -> Result<Option<Value>, String> {
        let name = of.full_name();
        let source = change.source.and_then(|id| self.state.repositories.get(&id));
        Ok(Some(match field.name.as_str() {
            "id" => json!(format!("PR_{}", change.id)),
            "databaseId" => json!(change.id),
            "fullDatabaseId" => json!(change.id.to_string()),
            "number" => json!(change.number),
            "title" => json!(change.title),
            "body" => json!(change.body.as_deref().unwrap_or_default()),
            "state" => json!(match change.state {
                ChangeState::Open => "OPEN",
                ChangeState::Closed => "CLOSED",
                ChangeState::Merged => "MERGED",
            }),
            "isDraft" => json!(change.draft),
            "locked" => json!(false),
            "merged" => json!(change.state == ChangeState::Merged),
            "closed" => json!(change.state != ChangeState::Open),
            "createdAt" => json!(json::time(change.created_at)),
            "updatedAt" => json!(json::time(change.updated_at)),
            "closedAt" => json!(change.closed_at.map(json::time)),
            "mergedAt" => json!(change.merge_commit.as_ref().and(change.closed_at).map(json::time)),
            "headRefOid" => json!(change.head),
            "headRefName" => json!(change.branch),
            "baseRefName" => json!(change.base),
            "baseRefOid" => json!(of.branches.get(&change.base)),
            "isCrossRepository" => json!(change.source != Some(of.id)),
            "authorAssociation" => json!(change.association),
            "mergeable" => {
                self.tried.insert((of.id, change.number));
                json!(match change.mergeable {
                    None => "UNKNOWN",
                    Some(true) => "MERGEABLE",
                    Some(false) => "CONFLICTING",
                })
            }
            "url" | "permalink" => {
                json!(format!("{}/{name}/pull/{}", self.state.url, change.number))
            }
            "author" => self.actor(change.author.as_deref(), field)?,
            "headRepositoryOwner" => {
                let owner = source.map(|source| source.owner.clone());
                self.actor(owner.as_deref(), field)?
            }
            "headRepository" => match source {
                Some(source) => self.object(&Thing::Repository(source), &field.selections)?,
                None => Value::Null,
            },
            "baseRepository" | "repository" => {
                self.object(&Thing::Repository(of), &field.selections)?
            }
            "mergeCommit" => match &change.merge_commit {
                Some(head) => self.commit(of, head, field)?,
                None => Value::Null,
            },
            "labels" => {
                let all = change.labels.iter();
                let all = all.map(|name| Thing::Plain("Label", json!({"name": name})));
                self.connection(all.collect(), field)?
            }
            "files" => {
                let file = |path: &String| {
                    let value = json!({"path": path, "additions": 1, "deletions": 0});
                    Thing::Plain("PullRequestChangedFile", value)
                };
                self.connection(change.files.iter().map(file).collect(), field)?
            }
            "comments" => {
                let all = of.comments.values().filter(|other| other.number == change.number);
                let all = all.map(|comment| Thing::Comment(of, comment)).collect();
                self.connection(all, field)?
            }
            _ => return Ok(None),
        }))
    }

    fn comment(
        &mut self,
        of: &Repository,
        comment: &Comment,
        field: &Field,
    ) -> Result<Option<Value>, String> {
        let (id, number) = (comment.id, comment.number);
        Ok(Some(match field.name.as_str() {
            "id" => json!(format!("IC_{id}")),
            "databaseId" => json!(id),
            "body" => json!(comment.body),
            "createdAt" => json!(json::time(comment.created_at)),
            "updatedAt" => json!(json::time(comment.updated_at)),
            "author" => self.actor(comment.author.as_deref(), field)?,
            "url" => {
                let name = of.full_name();
                json!(format!("{}/{name}/pull/{number}#issuecomment-{id}", self.state.url))
            }
            _ => return Ok(None),
        }))
    }

    fn connection(&mut self, all: Vec<Thing<'a>>, field: &Field) -> Answer {
        let number = |name: &str| {
            let number = field.arguments.get(name).and_then(Value::as_u64);
            number.and_then(|number| usize::try_from(number).ok())
        };
        // A cursor is the place of the last item, so pages move when the list does.
        let after = field.arguments.get("after").and_then(Value::as_str);
        let after = after.and_then(|cursor| cursor.parse::<usize>().ok()).unwrap_or(0);
        let total = all.len();
        let (from, to) = match (number("first"), number("last")) {
            (Some(first), _) => (after.min(total), (after + first).min(total)),
            (None, Some(last)) => (total.saturating_sub(last), total),
            (None, None) => (0, 0),
        };
        let page = all.get(from..to).unwrap_or_default();
        let mut object = Map::new();
        for selection in &field.selections {
            let Selection::Field(inner) = selection else {
                return Err("fragments on connections are not modelled".to_owned());
            };
            let value = match inner.name.as_str() {
                "totalCount" => json!(total),
                "pageInfo" => {
                    let value = json!({
                        "hasNextPage": to < total, "hasPreviousPage": from > 0,
                        "endCursor": (to > from).then(|| to.to_string()),
                        "startCursor": (to > from).then(|| from.to_string()),
                    });
                    self.object(&Thing::Plain("PageInfo", value), &inner.selections)?
                }
                "nodes" => {
                    let mut nodes = Vec::new();
                    for thing in page {
                        nodes.push(self.object(thing, &inner.selections)?);
                    }
                    Value::Array(nodes)
                }
                name => return Err(format!("Field '{name}' doesn't exist on type 'Connection'")),
            };
            object.insert(inner.alias.clone(), value);
        }
        Ok(Value::Object(object))
    }
}

/// Changes as the arguments select and order them.
fn changes<'a>(of: &'a Repository, field: &Field) -> Vec<&'a Change> {
    let states = match field.arguments.get("states") {
        Some(Value::Array(states)) => states.clone(),
        Some(Value::Null) | None => Vec::new(),
        Some(one) => vec![one.clone()],
    };
    let wanted = |change: &&Change| {
        let state = match change.state {
            ChangeState::Open => "OPEN",
            ChangeState::Closed => "CLOSED",
            ChangeState::Merged => "MERGED",
        };
        states.is_empty() || states.iter().any(|other| other == state)
    };
    let mut all: Vec<&Change> = of.changes.values().filter(wanted).collect();
    let order = field.arguments.get("orderBy");
    let order = |name: &str| order.and_then(|order| order[name].as_str());
    if order("field") == Some("UPDATED_AT") {
        all.sort_by_key(|change| (change.updated_at, change.number));
    }
    if order("direction") == Some("DESC") {
        all.reverse();
    }
    all
}

impl Thing<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Thing::Query => "Query",
            Thing::Repository(_) => "Repository",
            Thing::Ref(..) => "Ref",
            Thing::Change(..) => "PullRequest",
            Thing::Comment(..) => "IssueComment",
            Thing::Plain(kind, _) => kind,
        }
    }

    /// Whether it is of that type, or of an interface that its type has.
    fn is(&self, on: &str) -> bool {
        const INTERFACES: [&str; 4] = ["Node", "Actor", "RepositoryOwner", "GitObject"];
        on == self.kind() || INTERFACES.contains(&on)
    }
}
