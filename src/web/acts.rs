//! What may be done over the Unix socket, and by whom.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Extension, Json, Router};
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::ledger_view::{Approval, Rebuild};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{Refusal, Shared, broken, missing, published, rows, workspace_id};
use crate::daemon::{Access, Order};
use crate::ledger::Term;

/// Who is at the other end of the socket, by the kernel's word.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    name: String,
    may_act: bool,
}

impl Peer {
    /// Root and the daemon's own user act; others, whom the socket's group lets in, read.
    pub(super) fn of(uid: u32) -> Self {
        let own = nix::unistd::geteuid().as_raw();
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten();
        let name = user.map_or_else(|| format!("user {uid}"), |user| user.name);
        Self { name, may_act: uid == 0 || uid == own }
    }
}

/// Something that a person wants done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Act {
    /// Build a subject again.
    Rebuild {
        /// Workspace.
        workspace: String,
        /// Change, or `mainline`.
        change: String,
        /// A covered change for itself.
        alone: bool,
    },
    /// Let a set with untrusted heads be built, exactly as it is now.
    Approve {
        /// Workspace.
        workspace: String,
        /// Change.
        change: String,
        /// What was looked at; another set is not approved.
        #[serde(default)]
        fingerprint: Option<String>,
    },
    /// Trigger nothing in a workspace.
    Pause {
        /// Workspace.
        workspace: String,
    },
    /// End a pause.
    Resume {
        /// Workspace.
        workspace: String,
    },
    /// Run a workspace's update now, or bootstrap it anew.
    Update {
        /// Workspace.
        workspace: String,
        /// Bootstrap anew.
        fresh: bool,
    },
    /// Take another repository at the same path of a forge for the one that was there.
    Accept {
        /// The repository, with its forge.
        repository: String,
    },
    /// Read the configuration again.
    Reload {
        /// Accept one that triggers many builds.
        yes: bool,
    },
}

pub(super) fn router(access: Access) -> Router {
    Router::new().route("/api/v1/do", post(act)).with_state(Arc::new(access))
}

async fn act(
    State(access): Shared,
    Extension(peer): Extension<Peer>,
    Json(act): Json<Act>,
) -> Result<String, Refusal> {
    if !peer.may_act {
        let why = format!("{} may read, not act; root and the daemon's own user act", peer.name);
        return Err(Refusal(StatusCode::FORBIDDEN, why));
    }
    tracing::info!(by = peer.name, ?act, "a person acts");
    let said = match act {
        Act::Rebuild { workspace, change, alone } => {
            let published = published(&access)?;
            let (plan, subject) =
                rows::subject(&published, &workspace, &change).map_err(missing)?;
            let rebuild = Rebuild { by: peer.name, at: access.clock.now(), alone };
            let term = term(&access)?;
            let asked = access.ledger.ask_rebuild(&term, &plan.id, &subject.subject, &rebuild);
            asked.await.map_err(broken)?;
            format!("{} will be built again", subject.subject)
        }
        Act::Approve { workspace, change, fingerprint } => {
            let published = published(&access)?;
            let (plan, subject) =
                rows::subject(&published, &workspace, &change).map_err(missing)?;
            if subject.set.is_empty() || subject.trusted {
                let why = format!("{} needs no approval", subject.subject);
                return Err(Refusal(StatusCode::CONFLICT, why));
            }
            let present = plan.fingerprint(subject).map(|present| present.to_string());
            if fingerprint.is_some() && fingerprint != present {
                let why = format!(
                    "{} is another set now; look at it again with `crosswatch explain`",
                    subject.subject
                );
                return Err(Refusal(StatusCode::CONFLICT, why));
            }
            let approval = Approval {
                subject: subject.subject.clone(),
                set: subject.set.clone(),
                by: peer.name,
                at: access.clock.now(),
            };
            let term = term(&access)?;
            access.ledger.approve(&term, &plan.id, &approval).await.map_err(broken)?;
            let heads: Vec<String> = approval
                .set
                .iter()
                .map(|member| format!("{} at {}", member.change, member.head.short()))
                .collect();
            format!("approved: {}", heads.join(", "))
        }
        Act::Pause { workspace } => {
            let id = workspace_id(&*published(&access)?, &workspace).map_err(missing)?;
            access.ledger.pause(&term(&access)?, &id, &peer.name).await.map_err(broken)?;
            format!("{workspace} is paused; running builds go on")
        }
        Act::Resume { workspace } => {
            let id = workspace_id(&*published(&access)?, &workspace).map_err(missing)?;
            access.ledger.resume(&term(&access)?, &id).await.map_err(broken)?;
            format!("{workspace} goes on")
        }
        Act::Update { workspace, fresh } => {
            let workspace = Name::from(workspace);
            order(&access, |answer| Order::Update { workspace, fresh, answer }).await?
        }
        Act::Accept { repository } => {
            let found = access.board.look(|board| {
                board.repositories.keys().find(|id| id.to_string() == repository).cloned()
            });
            let Some(found) = found else {
                let why = format!("{repository} is not watched; `crosswatch forges` lists what is");
                return Err(missing(why));
            };
            let order = Order::Accept { repository: found };
            access.orders.send(order).await.map_err(|_| broken("the daemon is ending"))?;
            format!("{repository} is read again, whatever the forge has there now")
        }
        Act::Reload { yes } => {
            order(&access, |answer| Order::Reload { confirm: yes, answer }).await?
        }
    };
    access.wake.wake();
    Ok(said)
}

fn term(access: &Access) -> Result<Term, Refusal> {
    access.term.borrow().clone().ok_or_else(|| broken("another daemon leads"))
}

async fn order(
    access: &Access,
    make: impl FnOnce(oneshot::Sender<Result<String, String>>) -> Order,
) -> Result<String, Refusal> {
    let (sender, receiver) = oneshot::channel();
    access.orders.send(make(sender)).await.map_err(|_| broken("the daemon is ending"))?;
    let said = receiver.await.map_err(|_| broken("the daemon is ending"))?;
    said.map_err(|why| Refusal(StatusCode::CONFLICT, why))
}
