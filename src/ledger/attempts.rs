//! Attempts as decisions see them, read from what stands beside their requests.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use crosswatch_core::model::build::{Base, BuildRequest, Cause, Stage, Verdict};
use crosswatch_core::model::identity::{Name, Subject};
use crosswatch_core::model::ledger_view::AttemptView;
use crosswatch_core::model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::rows::Rows;
use super::{Ledger, LedgerError};

/// Ended attempts of a subject on one CI that decisions see, and that pruning keeps.
pub(super) const KEPT: usize = 50;
/// Attempts of a workspace that are read at most, newest first, and how many of them as one text.
const MOST: i64 = 20_000;
const AT_ONCE: i64 = 1_000;

/// What is read of attempts, as [`Rows`].
macro_rules! read {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT string_agg(length(subject) || ':' || subject || length(ci) || ':' || ci || \
             length(request_id) || ':' || request_id || \
             length(fingerprint) || ':' || fingerprint || \
             length(numbers) || ':' || numbers || length(stage) || ':' || stage || \
             length(link) || ':' || link || length(note) || ':' || note || \
             length(members) || ':' || members || length(asked) || ':' || asked || \
             length(parts) || ':' || parts, '') FROM (SELECT subject, ci, request_id, fingerprint, \
             attempt || ' ' || decided_at || ' ' || COALESCE(CAST(ended_at AS TEXT), '') AS numbers, \
             stage, COALESCE('=' || link, '') AS link, COALESCE('=' || note, '') AS note, \
             COALESCE(members, '') AS members, COALESCE(seen, request) AS asked, parts",
            $columns,
            " FROM attempts WHERE workspace = $1",
            $rest
        )
    };
}

/// All of a workspace, which are few.
const FEW: &str = read!("", ") AS few");
/// The newest of a workspace.
const NEWEST: &str = read!(
    ", ROW_NUMBER() OVER (ORDER BY is_open DESC, decided_at DESC, attempt DESC, ci) AS place",
    ") AS ranked WHERE place <= $2 GROUP BY place / $3"
);
/// The newest of a subject.
const OF_SUBJECT: &str = read!(
    ", ROW_NUMBER() OVER (ORDER BY is_open DESC, decided_at DESC, attempt DESC, ci) AS place",
    " AND subject = $2) AS ranked WHERE place <= $3 GROUP BY place / $4"
);

/// Attempts by their subjects, oldest first.
pub(super) type Attempts = BTreeMap<Subject, Vec<AttemptView>>;

/// What decisions see of a request beside its set.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    cause: Cause,
    #[serde(default)]
    mainline: Option<Verdict>,
    #[serde(default)]
    base: Option<Base>,
}

impl Asked {
    pub(super) fn of(attempt: &AttemptView) -> Self {
        Self { cause: attempt.cause, mainline: attempt.mainline, base: attempt.base }
    }
}

/// Lets ended attempts of a subject go that decisions do not see, and brings the others in order.
pub(super) fn keep(attempts: &mut Vec<AttemptView>) {
    attempts.sort_by(|one, other| {
        (one.decided_at, one.attempt, &one.ci).cmp(&(other.decided_at, other.attempt, &other.ci))
    });
    if attempts.len() <= KEPT {
        return;
    }
    let mut of_ci: BTreeMap<Name, usize> = BTreeMap::new();
    let mut kept: Vec<AttemptView> = Vec::with_capacity(attempts.len());
    for attempt in attempts.drain(..).rev() {
        let seen = of_ci.entry(attempt.ci.clone()).or_default();
        if attempt.stage.open() || *seen < KEPT {
            *seen += 1;
            kept.push(attempt);
        }
    }
    kept.reverse();
    *attempts = kept;
}

impl Ledger {
    /// Attempts of a workspace, or of one subject of it.
    pub(super) async fn read_attempts(
        &self,
        workspace: &str,
        subject: Option<&Subject>,
    ) -> Result<Attempts, LedgerError> {
        let texts: Vec<Option<String>> = match subject {
            Some(subject) => {
                let ranked =
                    sqlx::query_scalar(OF_SUBJECT).bind(workspace).bind(subject.to_string());
                ranked.bind(MOST).bind(AT_ONCE).fetch_all(self.store.reader()).await
            }
            None if self.has_few(workspace).await? => {
                sqlx::query_scalar(FEW).bind(workspace).fetch_all(self.store.reader()).await
            }
            None => {
                let ranked = sqlx::query_scalar(NEWEST).bind(workspace).bind(MOST).bind(AT_ONCE);
                ranked.fetch_all(self.store.reader()).await
            }
        }
        .map_err(self.sql())?;
        let texts: Vec<String> = texts.into_iter().flatten().collect();
        if texts.is_empty() {
            return Ok(Attempts::new());
        }
        let known = Arc::clone(&self.known);
        // Beside the threads that everything else runs on.
        let read = tokio::task::spawn_blocking(move || {
            let mut attempts = Attempts::new();
            for text in texts {
                let rows = Rows::new(text);
                let read: Vec<_> =
                    rows.each().map(|row| attempt(row?)).collect::<Result<_, _>>()?;
                // Others read at the same time: nothing is parsed meanwhile that was not read before.
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                for (subject, members, mut attempt) in read {
                    attempt.ci = known.name(&attempt.ci);
                    if let Some(members) = members {
                        attempt.set = known.members(members)?;
                    }
                    // Most have one: a vector that grows would take room for four.
                    let one = || Vec::with_capacity(1);
                    attempts.entry(known.subject(subject)?).or_insert_with(one).push(attempt);
                }
            }
            attempts.values_mut().for_each(keep);
            Ok(attempts)
        });
        let read = read.await.map_err(|error| self.content(error.to_string()))?;
        read.map_err(|why: String| self.content(why))
    }

    /// Whether the attempts of a workspace are so few that they need not be brought in order to be read.
    async fn has_few(&self, workspace: &str) -> Result<bool, LedgerError> {
        let count = "SELECT COUNT(*) FROM attempts WHERE workspace = $1";
        let count = sqlx::query_scalar(count).bind(workspace).fetch_one(self.store.reader()).await;
        let count: i64 = count.map_err(self.sql())?;
        Ok(count <= AT_ONCE)
    }

    /// A request as it was decided: the mainline's commits stand elsewhere.
    pub(super) fn request(
        &self,
        text: &str,
        heads: Option<&str>,
    ) -> Result<BuildRequest, LedgerError> {
        let mut request: BuildRequest = self.json(text)?;
        if let Some(heads) = heads {
            request.heads = self.json(heads)?;
        }
        Ok(request)
    }
}

/// One row: its subject, its set if that is no part of a request, and the rest.
fn attempt(row: [&str; 11]) -> Result<(&str, Option<&str>, AttemptView), String> {
    let [subject, ci, request_id, fingerprint, numbers, stage, link, note, members, asked, parts] =
        row;
    let mut numbers = numbers.split(' ');
    let mut number = || numbers.next().unwrap_or_default();
    let wrong = |what: &str| format!("{what} of the attempt {request_id}");
    let attempt: i64 = number().parse().map_err(|_| wrong("the number"))?;
    let decided_at: i64 = number().parse().map_err(|_| wrong("the time"))?;
    let ended_at = match number() {
        "" => None,
        ended_at => Some(ended_at.parse().map_err(|_| wrong("the end"))?),
    };
    let members = Some(members).filter(|members| !members.is_empty());
    let (set, asked) = if members.is_some() {
        (Vec::new(), parsed(asked)?)
    } else {
        let request: BuildRequest = parsed(asked)?;
        let base = Base::of(&request.heads, &request.affected);
        let (cause, mainline) = (request.cause, request.mainline);
        (request.set, Asked { cause, mainline, base })
    };
    let text = |text: &str| text.strip_prefix('=').map(str::to_owned);
    let attempt = AttemptView {
        request_id: request_id.parse()?,
        ci: Name::from(ci),
        fingerprint: fingerprint.parse()?,
        attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
        stage: Stage::from_word(stage).ok_or_else(|| format!("a stage {stage:?}"))?,
        decided_at: Timestamp(decided_at),
        ended_at: ended_at.map(Timestamp),
        set,
        parts: parsed(parts)?,
        link: text(link),
        note: text(note),
        cause: asked.cause,
        mainline: asked.mainline,
        base: asked.base,
    };
    Ok((subject, members, attempt))
}

fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use crosswatch_core::model::build::RequestId;
    use crosswatch_core::model::identity::Fingerprint;

    use super::*;

    #[test]
    fn all_that_is_open_and_the_newest_of_each_ci_are_kept() {
        let ended = |ci: &str, at: i64| AttemptView {
            request_id: RequestId([0; 16]),
            ci: Name::from(ci),
            fingerprint: Fingerprint([0; 32]),
            attempt: 1,
            stage: Stage::Ended(Verdict::Success),
            decided_at: Timestamp(at),
            ended_at: None,
            set: Vec::new(),
            parts: Vec::new(),
            link: None,
            note: None,
            cause: Cause::New,
            mainline: None,
            base: None,
        };
        let mut attempts: Vec<_> = (0..60).rev().map(|at| ended("one", at)).collect();
        attempts.push(ended("other", 1));
        attempts.push(AttemptView { stage: Stage::Sent, ..ended("one", 2) });
        keep(&mut attempts);
        let kept = |ci: &str| -> Vec<i64> {
            let of_ci = attempts.iter().filter(|attempt| *attempt.ci == *ci);
            of_ci.map(|attempt| attempt.decided_at.0).collect()
        };
        assert_eq!(kept("one"), [2].into_iter().chain(10..60).collect::<Vec<_>>());
        assert_eq!(kept("other"), [1]);
        assert!(attempts.is_sorted_by_key(|attempt| attempt.decided_at));
    }
}
