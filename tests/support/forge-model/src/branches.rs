//! What happens to branches besides pushes: merge queues and other names.

use serde_json::json;

use crate::Model;
use crate::world::{Change, ChangeState};

/// What GitHub begins the names of a queue's branches with.
const QUEUE: &str = "gh-readonly-queue/";

fn group(branch: &str, base: &str, head: &str, on: &str) -> serde_json::Value {
    let who = json!({"name": "alice", "email": "alice@model.invalid"});
    json!({"merge_group": {
        "head_sha": head, "head_ref": format!("refs/heads/{branch}"),
        "base_sha": on, "base_ref": format!("refs/heads/{base}"),
        "head_commit": {
            "id": head, "tree_id": head, "message": "queued", "timestamp": "2026-01-01T00:00:00Z",
            "author": who, "committer": who,
        },
    }})
}

impl Model {
    /// Puts a change into the merge queue of its base, behind everything that is queued there: makes the
    /// branch of its entry at a new commit, or at this one, which has to contain what it stands on (see
    /// [`Self::queue_end`]). Gives the branch.
    pub fn queue(&self, name: &str, number: u64, head: Option<&str>) -> String {
        let (base, on) = self.queue_end(name, number);
        let branch = format!("{}{base}/pr-{number}-{on}", QUEUE);
        let head = self.push(name, &branch, head);
        self.act(name, |state, id, told| {
            let repository = state.repositories.get_mut(&id).expect("a repository");
            repository.queue.push((number, branch.clone(), head.clone()));
            state.tell_change(id, number, "enqueued", json!({}), told);
            told.push(("merge_group", Some("checks_requested"), group(&branch, &base, &head, &on)));
        });
        branch
    }

    /// The base of a change, and what an entry for it would be put on: the head of the last one that is
    /// queued for that base, or of the base.
    pub fn queue_end(&self, name: &str, number: u64) -> (String, String) {
        let mut state = self.state();
        let repository = state.named(name);
        let base = repository.changes[&number].base.clone();
        let of_base = format!("{QUEUE}{base}/pr-");
        let last =
            repository.queue.iter().rev().find(|(_, queued, _)| queued.starts_with(&of_base));
        let on = last.map_or_else(|| repository.branches[&base].clone(), |(.., head)| head.clone());
        (base, on)
    }

    /// Takes a change out of the queue again, with its branch.
    pub fn unqueue(&self, name: &str, number: u64) {
        let gone = self.state().named(name).queue.iter().find(|entry| entry.0 == number).cloned();
        let (_, branch, head) = gone.expect("a queued change");
        self.state().named(name).queue.retain(|entry| entry.0 != number);
        self.act(name, |state, id, told| {
            state.tell_change(id, number, "dequeued", json!({"reason": "MANUAL"}), told);
            let base = state.repositories[&id].changes[&number].base.clone();
            let on = branch.rsplit('-').next().unwrap_or_default().to_owned();
            let mut payload = group(&branch, &base, &head, &on);
            payload["reason"] = json!("dequeued");
            told.push(("merge_group", Some("destroyed"), payload));
        });
        self.delete_branch(name, &branch);
    }

    /// Gives a branch another name. Changes into it follow, and so does the default branch.
    pub fn rename_branch(&self, name: &str, old: &str, new: &str) {
        self.act(name, |state, id, told| {
            let now = state.now();
            let repository = state.repositories.get_mut(&id).expect("a repository");
            let head = repository.branches.remove(old).expect("a branch");
            repository.branches.insert(new.to_owned(), head.clone());
            repository.updated_at = now;
            if repository.default_branch == old {
                new.clone_into(&mut repository.default_branch);
            }
            let of_it =
                |change: &&mut Change| change.state == ChangeState::Open && change.base == old;
            let mut moved = Vec::new();
            for change in repository.changes.values_mut().filter(of_it) {
                new.clone_into(&mut change.base);
                change.updated_at = now;
                moved.push(change.number);
            }
            state.write_ref(id, &format!("refs/heads/{new}"), Some(&head));
            state.write_ref(id, &format!("refs/heads/{old}"), None);
            for number in moved {
                let changes =
                    json!({"changes": {"base": {"ref": {"from": old}, "sha": {"from": head}}}});
                state.tell_change(id, number, "edited", changes, told);
            }
        });
    }
}
