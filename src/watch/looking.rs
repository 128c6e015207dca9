//! One look at one repository, and one question for the marks of many.

use std::collections::BTreeMap;
use std::sync::Arc;

use crosswatch_core::control::absence::Look;
use crosswatch_core::model::change::Listing;
use crosswatch_core::model::identity::RepositoryId;
use crosswatch_core::model::plan::Watched;
use crosswatch_core::model::settings::ForgeSettings;
use crosswatch_core::model::time::Span;
use tokio_util::sync::CancellationToken;

use super::{Readers, SeenAs};
use crate::forge::ForgeError;
use crate::forge::git::{ListingRules, listing};

/// Longest time for one look at a plain git server.
const DEADLINE: Span = Span::seconds(30);

/// What ended.
pub(super) enum Done {
    /// A look.
    Looked(Box<Looked>),
    /// A question for marks.
    Marks {
        /// What the schedule calls whom it was asked.
        server: String,
        /// What it was about.
        asked: Vec<RepositoryId>,
        /// The answer.
        marks: Result<BTreeMap<RepositoryId, String>, String>,
    },
}

/// A look that ended.
pub(super) struct Looked {
    pub(super) id: RepositoryId,
    pub(super) watched: Watched,
    /// What it says about whether the repository is there.
    pub(super) shows: Look,
    /// What was read, with what the forge showed beside it.
    pub(super) read: Result<(Listing, Option<SeenAs>), String>,
}

/// Looks at a repository that had `mark` before.
pub(super) async fn look(
    readers: Readers,
    settings: Option<Arc<ForgeSettings>>,
    id: RepositoryId,
    watched: Watched,
    mark: Option<String>,
) -> Done {
    let read = async {
        let settings =
            settings.ok_or_else(|| failed(format!("no forge is configured for {id}")))?;
        let Some(git) = settings.kind.git() else {
            return by_api(&readers, &id, mark).await;
        };
        let token = (readers.token.plain)(&settings).map_err(failed)?;
        let rules = ListingRules { patterns: git.changes.clone(), base: git.base.clone() };
        let never = CancellationToken::new();
        let list = readers
            .remote
            .list(&watched.url, &rules.prefixes(), token.as_ref(), DEADLINE, &never)
            .await
            .map_err(|error| failed(chain(&error)))?;
        Ok((listing(&list, &rules), None))
    };
    let (shows, read) = match read.await {
        Ok(read) => (Look::Read, Ok(read)),
        Err((shows, why)) => (shows, Err(why)),
    };
    Done::Looked(Box::new(Looked { id, watched, shows, read }))
}

async fn by_api(
    readers: &Readers,
    id: &RepositoryId,
    mark: Option<String>,
) -> Result<(Listing, Option<SeenAs>), (Look, String)> {
    let api = readers.apis.borrow().get(&*id.forge).cloned();
    let api = api.ok_or_else(|| failed(no_api(&id.forge)))?;
    let listed = api.list(id.clone()).await.map_err(|error| {
        let shows = match &error {
            ForgeError::Absent(_) => Look::Absent,
            ForgeError::NotFound(_) => Look::Hidden,
            ForgeError::Forbidden(_) => Look::Refused,
            _ => Look::Failed,
        };
        (shows, chain(&error))
    })?;
    // After a rename the forge answers to the old name, and says the new one.
    let now = RepositoryId::new(id.forge.clone(), listed.spelling.to_lowercase());
    let seen = SeenAs { forge_id: listed.forge_id, spelling: listed.spelling, mark };
    Ok((listed.listing.watched_as(id, &now), Some(seen)))
}

/// Asks for marks.
pub(super) async fn marks(readers: Readers, server: String, asked: Vec<RepositoryId>) -> Done {
    let forge = asked.first().map(|id| id.forge.to_string()).unwrap_or_default();
    let api = readers.apis.borrow().get(&forge).cloned();
    let marks = match api {
        Some(api) => api.marks(asked.clone()).await.map_err(|error| chain(&error)),
        None => Err(no_api(&forge)),
    };
    Done::Marks { server, asked, marks }
}

fn failed(why: String) -> (Look, String) {
    (Look::Failed, why)
}

/// Why a forge that has an API is not asked.
pub(super) fn no_api(forge: &str) -> String {
    format!("the API of {forge} cannot be used; `crosswatch forges` says why")
}

/// An error with its sources, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
