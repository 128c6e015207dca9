//! Attempts as decisions see them, read from what stands beside their requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crosswatch_core::model::build::{Base, BuildRequest, Cause, Stage, Verdict};
use crosswatch_core::model::identity::{Name, Subject};
use crosswatch_core::model::ledger_view::AttemptView;
use crosswatch_core::model::made_of::{self, EPOCH, MadeOf};
use crosswatch_core::model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::known::Known;
use super::rows::Rest;
use super::{Ledger, LedgerError, to_json};

/// Ended attempts of a subject on one CI that decisions see, and that pruning keeps.
pub(super) const KEPT: usize = 50;
/// Attempts of a workspace that are read at most, newest first, and how many of them as one text.
const MOST: i64 = 20_000;
const AT_ONCE: i64 = 1_000;

/// What is read of attempts, as [`super::rows`] says; a request only where what decisions see of it does not
/// stand beside it.
macro_rules! read {
    ($from:literal) => {
        concat!(
            "SELECT string_agg(concat(request_id, ' ', fingerprint, ' ', attempt, ' ', decided_at, ' ', \
             ended_at, ' ', stage, ' ', length(subject), ':', subject, length(ci), ':', ci, \
             length(link), ':', link, length(note), ':', note, members, '\n', seen, '\n', parts, '\n', \
             CASE WHEN seen IS NULL THEN (SELECT concat(request, '\n') FROM requests \
             WHERE requests.request_id = one.request_id) END), '') FROM ",
            $from
        )
    };
}

/// All of a workspace, which are few.
const FEW: &str = read!("attempts AS one WHERE workspace = $1");
/// The newest of a workspace.
const NEWEST: &str = read!(
    "(SELECT *, ROW_NUMBER() OVER (ORDER BY is_open DESC, decided_at DESC, attempt DESC, ci) AS place \
     FROM attempts WHERE workspace = $1) AS one WHERE place <= $2 GROUP BY place / $3"
);
/// The newest of a subject.
const OF_SUBJECT: &str = read!(
    "(SELECT *, ROW_NUMBER() OVER (ORDER BY is_open DESC, decided_at DESC, attempt DESC, ci) AS place \
     FROM attempts WHERE workspace = $1 AND subject = $2) AS one WHERE place <= $3 GROUP BY place / $4"
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
    /// The epoch, where the fingerprint is made of that and the set, and its parts are not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
}

impl Asked {
    /// Of an attempt of a workspace.
    pub(super) fn of(workspace: &Name, attempt: &AttemptView) -> Self {
        let AttemptView { cause, mainline, base, .. } = *attempt;
        let said = attempt.parts.iter().find(|part| part.what == EPOCH);
        let epoch = said.and_then(|part| part.value.parse().ok()).filter(|epoch| {
            let own = made_of::workspace(workspace, *epoch).into_iter();
            own.chain(attempt.set.iter().map(made_of::member)).eq(attempt.parts.iter().cloned())
        });
        Self { cause, mainline, base, epoch }
    }

    /// The parts of a fingerprint as they are written beside this.
    pub(super) fn parts(&self, parts: &MadeOf) -> Result<String, LedgerError> {
        if self.epoch.is_some() { Ok(String::new()) } else { to_json(parts) }
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
    /// Attempts of one subject of a workspace.
    pub(super) async fn read_attempts(
        &self,
        workspace: &Name,
        subject: &Subject,
    ) -> Result<Attempts, LedgerError> {
        let ranked =
            sqlx::query_scalar(OF_SUBJECT).bind(workspace.as_str()).bind(subject.to_string());
        let texts = ranked.bind(MOST).bind(AT_ONCE).fetch_all(self.store.reader());
        let texts: Vec<Option<String>> = texts.await.map_err(self.sql())?;
        let (known, workspace) = (Arc::clone(&self.known), workspace.clone());
        self.apart(move || parse(&known, &workspace, &texts)).await
    }

    /// The attempts of a workspace as texts, which has so many of them.
    pub(super) async fn attempt_texts(
        &self,
        workspace: &str,
        many: i64,
    ) -> Result<Vec<Option<String>>, LedgerError> {
        if many == 0 {
            return Ok(Vec::new());
        }
        // Few need not be brought in order to be read.
        let query = if many <= AT_ONCE {
            sqlx::query_scalar(FEW).bind(workspace)
        } else {
            sqlx::query_scalar(NEWEST).bind(workspace).bind(MOST).bind(AT_ONCE)
        };
        query.fetch_all(self.store.reader()).await.map_err(self.sql())
    }

    /// Reads texts beside the threads that everything else runs on: after a start they are many.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|error| self.content(error.to_string()))?.map_err(|why| self.content(why))
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

/// Attempts of a workspace by their texts.
pub(super) fn parse(
    known: &Mutex<Known>,
    workspace: &Name,
    texts: &[Option<String>],
) -> Result<Attempts, String> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let mut read = Vec::new();
    for text in texts.iter().flatten() {
        let mut rest = Rest::of(text);
        while !rest.is_empty() {
            read.push(row(&mut known, workspace, &mut rest)?);
        }
    }
    drop(known);
    read.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut attempts: Vec<(Subject, Vec<AttemptView>)> = Vec::with_capacity(read.len());
    for (subject, attempt) in read {
        match attempts.last_mut() {
            Some((last, attempts)) if *last == subject => attempts.push(attempt),
            // Most have one, and no room for more.
            _ => attempts.push((subject, vec![attempt])),
        }
    }
    attempts.iter_mut().for_each(|(_, attempts)| keep(attempts));
    Ok(attempts.into_iter().collect())
}

/// One row.
fn row(
    known: &mut Known,
    workspace: &Name,
    rest: &mut Rest<'_>,
) -> Result<(Subject, AttemptView), String> {
    let request_id = rest.word()?;
    let wrong = |what: &str| format!("{what} of the attempt {request_id}");
    let fingerprint = rest.word()?.parse()?;
    let attempt: i64 = rest.word()?.parse().map_err(|_| wrong("the number"))?;
    let decided_at = rest.word()?.parse().map_err(|_| wrong("the time"))?;
    let ended_at = match rest.word()? {
        "" => None,
        ended_at => Some(Timestamp(ended_at.parse().map_err(|_| wrong("the end"))?)),
    };
    let stage = rest.word()?;
    let stage = Stage::from_word(stage).ok_or_else(|| format!("a stage {stage:?}"))?;
    let (subject, ci) = (rest.value()?, Name::shared(rest.value()?));
    let (link, note) = (rest.nullable()?.map(str::to_owned), rest.nullable()?.map(str::to_owned));
    let (members, seen, parts) = (rest.line()?, rest.line()?, rest.line()?);
    let (subject, (mut set, of_set)) = known.subject(subject, members.unwrap_or("[]"))?;
    let asked: Asked = match seen {
        Some(seen) => parsed(seen)?,
        None => {
            let request: BuildRequest = parsed(rest.line()?.unwrap_or_default())?;
            let base = Base::of(&request.heads, &request.affected);
            set = request.set.into();
            Asked { cause: request.cause, mainline: request.mainline, base, epoch: None }
        }
    };
    let parts = match asked.epoch {
        Some(epoch) => MadeOf::new(known.own(workspace, epoch), of_set),
        None => parsed(parts.unwrap_or("[]"))?,
    };
    let attempt = AttemptView {
        request_id: request_id.parse()?,
        ci,
        fingerprint,
        attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
        stage,
        decided_at: Timestamp(decided_at),
        ended_at,
        set,
        parts,
        link,
        note,
        cause: asked.cause,
        mainline: asked.mainline,
        base: asked.base,
    };
    Ok((subject, attempt))
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
            set: Arc::default(),
            parts: MadeOf::default(),
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
