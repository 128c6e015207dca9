//! What people do: each act changes the world and sends the webhooks that follow from it.

use serde_json::json;

use crate::github::{hooks, json};
use crate::world::{Change, ChangeState, Comment, Repository};
use crate::{Access, Limits, Meter, Model, Permission, State, Token};

/// A change that is opened.
#[derive(Clone, Debug)]
pub struct NewChange {
    /// First line.
    pub title: String,
    /// The rest.
    pub body: Option<String>,
    /// Who.
    pub author: String,
    /// As the forge says it.
    pub association: String,
    /// What it is to go into.
    pub base: String,
    /// Branch in the source repository.
    pub branch: String,
    /// A fork, by `owner/name`; the repository itself when left out.
    pub fork: Option<String>,
    /// The commit; a new one when left out.
    pub head: Option<String>,
    /// Not ready.
    pub draft: bool,
    /// Paths that differ.
    pub files: Vec<String>,
}

impl Default for NewChange {
    fn default() -> Self {
        Self {
            title: "A change".to_owned(),
            body: None,
            author: "alice".to_owned(),
            association: "MEMBER".to_owned(),
            base: "main".to_owned(),
            branch: "topic".to_owned(),
            fork: None,
            head: None,
            draft: false,
            files: vec!["README".to_owned()],
        }
    }
}

/// What may happen to a change that is there.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Another body.
    Body(Option<String>),
    /// Another title.
    Title(String),
    /// Given up.
    Close,
    /// Taken up again.
    Reopen,
    /// It goes in; the base moves.
    Merge,
    /// Ready or not.
    Draft(bool),
    /// It is to go elsewhere.
    Base(String),
    /// A label more.
    Label(String),
    /// A label less.
    Unlabel(String),
    /// Whether it can be merged; `None`: to be computed.
    Mergeable(Option<bool>),
    /// The fork that it came from is deleted.
    DeleteFork,
    /// The account of its author is deleted.
    DeleteAuthor,
}

impl Model {
    /// A repository with a branch `main`; gives its id.
    pub fn repository(&self, name: &str) -> u64 {
        self.state().add_repository(name)
    }

    /// A token that sees everything and may write, with GitHub's limits.
    pub fn token(&self, name: &str, secret: &str) {
        let token = Token {
            name: name.to_owned(),
            login: format!("{name}-owner"),
            access: Access::All,
            writes: true,
            meter: Meter::new(Limits::github()),
            expires_at: None,
        };
        let mut state = self.state();
        state.user(&token.login);
        state.tokens.insert(secret.to_owned(), token);
    }

    /// Moves a branch, which may be new, to a new commit or to this one.
    pub fn push(&self, name: &str, branch: &str, head: Option<&str>) -> String {
        self.act(name, |state, id, told| {
            let head = head.map_or_else(|| state.commit(), str::to_owned);
            let now = state.now();
            let repository = state.repositories.get_mut(&id).expect("a repository");
            let before = repository.branches.insert(branch.to_owned(), head.clone());
            repository.pushed_at = now;
            repository.updated_at = now;
            let moved = state.follow(id, branch, &head, told);
            state.unsettle(id, branch);
            let reference = format!("refs/heads/{branch}");
            state.write_ref(id, &reference, Some(&head));
            told.push((
                "push",
                None,
                json!({
                    "ref": reference,
                    "before": before.clone().unwrap_or_else(zero),
                    "after": head, "created": before.is_none(), "deleted": false, "forced": false,
                    "base_ref": null, "commits": [], "head_commit": null, "compare": "",
                }),
            ));
            drop(moved);
            head
        })
    }

    /// Deletes a branch; changes into it are closed, as forges do.
    pub fn delete_branch(&self, name: &str, branch: &str) {
        self.act(name, |state, id, told| {
            let now = state.now();
            let repository = state.repositories.get_mut(&id).expect("a repository");
            let before = repository.branches.remove(branch).unwrap_or_else(zero);
            repository.pushed_at = now;
            let open = |change: &&Change| change.state == ChangeState::Open && change.base == branch;
            let closing: Vec<u64> =
                repository.changes.values().filter(open).map(|change| change.number).collect();
            state.write_ref(id, &format!("refs/heads/{branch}"), None);
            told.push(("push", None, json!({
                "ref": format!("refs/heads/{branch}"), "before": before, "after": zero(),
                "created": false, "deleted": true, "forced": false, "commits": [], "head_commit": null, "base_ref": null, "compare": "",
            })));
            for number in closing {
                state.edit(id, number, Edit::Close, told);
            }
        });
    }

    /// Opens a change; gives its number.
    pub fn open(&self, name: &str, new: NewChange) -> u64 {
        self.act(name, |state, id, told| {
            let head = new.head.clone().unwrap_or_else(|| state.commit());
            state.user(&new.author);
            let source = new.fork.as_deref().map_or(id, |fork| state.fork(fork));
            let source_owner = state.repositories.get(&source).expect("a fork").owner.clone();
            let (now, change_id) = (state.now(), state.fresh());
            if let Some(source) = state.repositories.get_mut(&source) {
                source.branches.insert(new.branch.clone(), head.clone());
            }
            let repository = state.repositories.get_mut(&id).expect("a repository");
            repository.next_number += 1;
            let number = repository.next_number;
            let change = Change {
                number,
                id: change_id,
                title: new.title,
                body: new.body,
                author: Some(new.author),
                association: new.association,
                state: ChangeState::Open,
                draft: new.draft,
                base: new.base,
                branch: new.branch,
                source: Some(source),
                source_owner,
                head: head.clone(),
                labels: Default::default(),
                files: new.files,
                mergeable: None,
                created_at: now,
                updated_at: now,
                closed_at: None,
                merge_commit: None,
            };
            repository.changes.insert(number, change);
            repository.pushed_at = now;
            repository.updated_at = now;
            state.write_ref(id, &format!("refs/pull/{number}/head"), Some(&head));
            state.tell_change(id, number, "opened", json!({}), told);
            number
        })
    }

    /// Moves the head of a change to a new commit or to this one, by a push or a force push.
    pub fn push_change(&self, name: &str, number: u64, head: Option<&str>) -> String {
        let (source, branch) = {
            let mut state = self.state();
            let change = &state.named(name).changes[&number];
            let (source, branch) = (change.source, change.branch.clone());
            let source = source.and_then(|id| state.repositories.get(&id));
            (source.map(Repository::full_name).expect("a source"), branch)
        };
        self.push(&source, &branch, head)
    }

    /// Changes a change.
    pub fn edit(&self, name: &str, number: u64, edit: Edit) {
        self.act(name, |state, id, told| state.edit(id, number, edit, told));
    }

    /// Comments on a change; gives the comment's id.
    pub fn comment(&self, name: &str, number: u64, author: &str, body: &str) -> u64 {
        self.act(name, |state, id, told| {
            state.user(author);
            state.comment(id, number, author, body, told)
        })
    }

    /// Gives a repository another name; the old one leads to it.
    pub fn rename(&self, name: &str, to: &str) {
        self.act(name, |state, id, told| {
            let (owner, new) = to.split_once('/').expect("owner/name");
            let repository = state.repositories.get_mut(&id).expect("a repository");
            let old = repository.full_name().to_lowercase();
            let from = repository.name.clone();
            (repository.owner, repository.name) = (owner.to_owned(), new.to_owned());
            state.names.remove(&old);
            state.moved.insert(old, id);
            state.names.insert(to.to_lowercase(), id);
            let changes = json!({"changes": {"repository": {"name": {"from": from}}}});
            told.push(("repository", Some("renamed"), changes));
        });
    }

    /// Takes a repository out of the world.
    pub fn delete_repository(&self, name: &str) {
        let mut state = self.state();
        let id = state.named(name).id;
        state.repositories.remove(&id);
        state.names.retain(|_, other| *other != id);
        state.moved.retain(|_, other| *other != id);
    }

    /// Hides a repository from whoever has no right, or shows it.
    pub fn set_private(&self, name: &str, private: bool) {
        self.state().named(name).private = private;
    }

    /// Somebody likes it: lists in which nothing changed get another ETag.
    pub fn star(&self, name: &str) {
        self.state().named(name).stars += 1;
    }

    /// Gives somebody a right.
    pub fn permit(&self, name: &str, login: &str, permission: Permission) {
        let mut state = self.state();
        state.user(login);
        state.named(name).collaborators.insert(login.to_owned(), permission);
    }

    pub(crate) fn act<T>(
        &self,
        name: &str,
        act: impl FnOnce(&mut State, u64, &mut Told) -> T,
    ) -> T {
        let mut state = self.state();
        let id = state.named(name).id;
        state.remember(id);
        let mut told = Vec::new();
        let value = act(&mut state, id, &mut told);
        hooks::send(&self.shared, &mut state, id, told);
        value
    }
}

/// Events with their actions and what is special in their payloads.
pub(crate) type Told = Vec<(&'static str, Option<&'static str>, serde_json::Value)>;

impl State {
    pub(crate) fn add_repository(&mut self, name: &str) -> u64 {
        let (owner, short) = name.split_once('/').expect("owner/name");
        self.user(owner);
        let (id, head, now) = (self.fresh(), self.commit(), self.now());
        let repository = Repository {
            id,
            owner: owner.to_owned(),
            name: short.to_owned(),
            private: false,
            archived: false,
            fork: false,
            default_branch: "main".to_owned(),
            branches: [("main".to_owned(), head)].into(),
            changes: Default::default(),
            comments: Default::default(),
            statuses: Default::default(),
            checks: Default::default(),
            collaborators: [(owner.to_owned(), Permission::Admin)].into(),
            pushed_at: now,
            updated_at: now,
            stars: 0,
            folder: None,
            past: Default::default(),
            queue: Vec::new(),
            next_number: 0,
        };
        self.repositories.insert(id, repository);
        self.names.insert(name.to_lowercase(), id);
        id
    }

    fn fork(&mut self, name: &str) -> u64 {
        if let Some(id) = self.id(name) {
            return id;
        }
        let id = self.add_repository(name);
        if let Some(fork) = self.repositories.get_mut(&id) {
            fork.fork = true;
        }
        id
    }

    /// Changes whose source branch moved move with it, in whatever repository they are.
    fn follow(
        &mut self,
        source: u64,
        branch: &str,
        head: &str,
        told: &mut Told,
    ) -> Vec<(u64, u64)> {
        let mut moved = Vec::new();
        for (id, repository) in &self.repositories {
            for change in repository.changes.values() {
                let comes_from = change.source == Some(source) && change.branch == branch;
                if comes_from && change.state == ChangeState::Open && change.head != head {
                    moved.push((*id, change.number));
                }
            }
        }
        let now = self.now();
        for (id, number) in &moved {
            self.remember(*id);
            let repository = self.repositories.get_mut(id).expect("a repository");
            repository.pushed_at = now;
            let change = repository.changes.get_mut(number).expect("a change");
            let before = std::mem::replace(&mut change.head, head.to_owned());
            change.updated_at = now;
            change.mergeable = None;
            self.write_ref(*id, &format!("refs/pull/{number}/head"), Some(head));
            let extra = json!({"before": before, "after": head, "of": id});
            self.tell_change(*id, *number, "synchronize", extra, told);
        }
        moved
    }

    /// A base that moved leaves mergeability to be computed again; nothing else of a change moves.
    fn unsettle(&mut self, id: u64, branch: &str) {
        if let Some(repository) = self.repositories.get_mut(&id) {
            for change in repository.changes.values_mut().filter(|change| change.base == branch) {
                change.mergeable = None;
            }
        }
    }

    pub(crate) fn comment(
        &mut self,
        id: u64,
        number: u64,
        author: &str,
        body: &str,
        told: &mut Told,
    ) -> u64 {
        let (now, comment_id) = (self.now(), self.fresh());
        let repository = self.repositories.get_mut(&id).expect("a repository");
        let comment = Comment {
            id: comment_id,
            number,
            author: Some(author.to_owned()),
            body: body.to_owned(),
            created_at: now,
            updated_at: now,
        };
        repository.comments.insert(comment_id, comment.clone());
        repository.changes.get_mut(&number).expect("a change").updated_at = now;
        let repository = self.repositories.get(&id).expect("a repository");
        let issue = json::issue(self, repository, &repository.changes[&number]);
        let comment = json::comment(self, repository, &comment);
        let payload = json!({"issue": issue, "comment": comment});
        told.push(("issue_comment", Some("created"), payload));
        comment_id
    }

    fn edit(&mut self, id: u64, number: u64, edit: Edit, told: &mut Told) {
        let now = self.now();
        let merge = matches!(edit, Edit::Merge).then(|| self.merged(id, number));
        let repository = self.repositories.get_mut(&id).expect("a repository");
        let change = repository.changes.get_mut(&number).expect("a change");
        let mut extra = json!({});
        let api = format!("{}/api/v3/repositories/{id}", self.url);
        let mut touched = true;
        let action = match edit {
            Edit::Body(body) => {
                extra =
                    json!({"changes": {"body": {"from": change.body.clone().unwrap_or_default()}}});
                change.body = body;
                "edited"
            }
            Edit::Title(title) => {
                extra = json!({"changes": {"title": {"from": change.title}}});
                change.title = title;
                "edited"
            }
            Edit::Close => {
                change.state = ChangeState::Closed;
                change.closed_at = Some(now);
                "closed"
            }
            Edit::Reopen => {
                change.state = ChangeState::Open;
                change.closed_at = None;
                "reopened"
            }
            Edit::Merge => {
                change.state = ChangeState::Merged;
                change.closed_at = Some(now);
                change.merge_commit.clone_from(&merge);
                "closed"
            }
            Edit::Draft(draft) => {
                change.draft = draft;
                if draft { "converted_to_draft" } else { "ready_for_review" }
            }
            Edit::Base(base) => {
                extra = json!({"changes": {"base": {"ref": {"from": change.base}}}});
                change.base = base;
                change.mergeable = None;
                "edited"
            }
            Edit::Label(label) => {
                extra = json!({"label": json::label(&api, &label)});
                change.labels.insert(label);
                "labeled"
            }
            Edit::Unlabel(label) => {
                change.labels.remove(&label);
                extra = json!({"label": json::label(&api, &label)});
                "unlabeled"
            }
            Edit::Mergeable(mergeable) => {
                change.mergeable = mergeable;
                touched = false;
                ""
            }
            Edit::DeleteFork => {
                change.source = None;
                touched = false;
                ""
            }
            Edit::DeleteAuthor => {
                change.author = None;
                touched = false;
                ""
            }
        };
        if touched {
            change.updated_at = now;
            let (base, merge_commit) = (change.base.clone(), change.merge_commit.clone());
            self.tell_change(id, number, action, extra, told);
            if let (Some(_), Some(head)) = (merge, merge_commit) {
                let repository = self.repositories.get_mut(&id).expect("a repository");
                let before = repository.branches.insert(base.clone(), head.clone());
                repository.pushed_at = now;
                let reference = format!("refs/heads/{base}");
                self.write_ref(id, &reference, Some(&head));
                told.push((
                    "push",
                    None,
                    json!({
                        "ref": reference, "before": before.unwrap_or_else(zero), "after": head,
                        "created": false, "deleted": false, "forced": false, "base_ref": null,
                    "commits": [], "head_commit": null, "compare": "",
                    }),
                ));
                self.unsettle(id, &base);
            }
        }
    }

    /// The commit that stands for a change in its base. A repository on disk is forwarded to its head,
    /// since it has no other commit.
    fn merged(&mut self, id: u64, number: u64) -> String {
        let repository = self.repositories.get(&id).expect("a repository");
        match &repository.folder {
            Some(_) => repository.changes.get(&number).expect("a change").head.clone(),
            None => self.commit(),
        }
    }

    pub(crate) fn tell_change(
        &self,
        id: u64,
        number: u64,
        action: &'static str,
        extra: serde_json::Value,
        told: &mut Told,
    ) {
        let repository = self.repositories.get(&id).expect("a repository");
        let change = json::pull(self, repository, &repository.changes[&number], true);
        let mut payload = json!({"number": number, "pull_request": change});
        if let (Some(payload), Some(extra)) = (payload.as_object_mut(), extra.as_object()) {
            payload.extend(extra.clone());
        }
        told.push(("pull_request", Some(action), payload));
    }

    /// Keeps a repository on disk in step.
    #[expect(clippy::disallowed_methods, reason = "the model's own repositories")]
    pub(crate) fn write_ref(&self, id: u64, reference: &str, head: Option<&str>) {
        let folder = self.repositories.get(&id).and_then(|repository| repository.folder.clone());
        let Some(folder) = folder else { return };
        let mut git = std::process::Command::new("git");
        git.arg("-C").arg(folder).arg("update-ref");
        match head {
            Some(head) => git.args([reference, head]),
            None => git.args(["-d", reference]),
        };
        let done = git.status().expect("git is installed");
        assert!(done.success(), "the model's repository does not take {reference}");
    }
}

fn zero() -> String {
    "0".repeat(40)
}
