//! Buildbot: the change hook to send, the REST interface to find, follow and cancel.

use std::sync::Arc;

use crosswatch_core::model::build::BuildRequest;
use crosswatch_core::model::settings::{BuildbotCi, CiSettings};
use crosswatch_core::model::time::Span;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::answer::line;
use super::buildbot_reading::{
    BuildPage, ChangePage, Part, RequestPage, RequestRow, found, newest_of_each_builder,
};
use super::ports::{Answer, Call, CallError, HeaderText, Web};
use super::{
    AskError, Backend, BoxFuture, CiError, Found, Parts, RemoteId, Resolve, SendError, Sent,
    payload, secret,
};

/// Build requests of the master that are read at once.
const PAGE: usize = 200;

/// Changes that are read at once; each carries all its properties.
const CHANGES: usize = 50;

/// Pages that are read before the search is given up without an answer.
const PAGES: usize = 40;

/// Builders that one change may set off and be followed on.
const BUILDERS: usize = 32;

/// How far the master's clock may be behind ours.
const CLOCKS_DIFFER: Span = Span::days(1);

/// Longest answer that is read.
const LONGEST_ANSWER: usize = 16 << 20;

/// A Buildbot master.
pub(super) struct Buildbot(Arc<Master>);

struct Master {
    url: String,
    login: Option<SecretString>,
    project: Option<String>,
    deadline: Span,
    web: Arc<dyn Web>,
}

impl Buildbot {
    pub(super) fn new(
        settings: &CiSettings,
        kind: &BuildbotCi,
        parts: &Parts,
        secrets: Resolve<'_>,
    ) -> Result<Self, CiError> {
        let login = match (&kind.user, &kind.password) {
            (Some(user), Some(reference)) => {
                let password = secret(settings, "password", reference, secrets)?;
                let both = format!("{user}:{}", password.expose_secret());
                Some(format!("Basic {}", payload::base64(both.as_bytes())).into())
            }
            _ => None,
        };
        Ok(Self(Arc::new(Master {
            url: kind.url.trim_end_matches('/').to_owned(),
            login,
            project: kind.project.clone(),
            deadline: settings.deadline,
            web: Arc::clone(&parts.web),
        })))
    }
}

impl Backend for Buildbot {
    fn send(
        &self,
        request: Arc<BuildRequest>,
        cancel: CancellationToken,
    ) -> BoxFuture<Result<Sent, SendError>> {
        let master = Arc::clone(&self.0);
        Box::pin(async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Err(SendError::Uncertain {
                    why: "stopped while the change was posted".to_owned(),
                }),
                sent = master.send(&request) => sent,
            }
        })
    }

    fn find(
        &self,
        request: Arc<BuildRequest>,
        remote: Option<RemoteId>,
    ) -> BoxFuture<Result<Found, AskError>> {
        let master = Arc::clone(&self.0);
        Box::pin(async move { master.find(&request, remote.as_ref()).await })
    }

    fn cancel(
        &self,
        request: Arc<BuildRequest>,
        remote: Option<RemoteId>,
    ) -> BoxFuture<Result<(), AskError>> {
        let master = Arc::clone(&self.0);
        Box::pin(async move { master.cancel(&request, remote.as_ref()).await })
    }

    fn can_be_asked(&self) -> bool {
        true
    }
}

impl Master {
    fn project<'a>(&'a self, request: &'a BuildRequest) -> &'a str {
        self.project.as_deref().unwrap_or(&request.workspace)
    }

    async fn send(&self, request: &BuildRequest) -> Result<Sent, SendError> {
        let url = format!("{}/change_hook/base", self.url);
        let mut headers = vec![(
            "content-type".to_owned(),
            HeaderText::Plain("application/x-www-form-urlencoded".to_owned()),
        )];
        headers.extend(self.authorization());
        let answer = self
            .web
            .call(Call {
                method: "POST".to_owned(),
                url: url.clone(),
                headers,
                body: payload::change_form(request, self.project(request)).into_bytes(),
                deadline: self.deadline,
                max_body: 64 << 10,
            })
            .await
            .map_err(|error| match error {
                CallError::NotSent(why) => SendError::NotTaken { why, retry: true },
                CallError::Unknown(why) => SendError::Uncertain { why },
            })?;
        let said = line(&String::from_utf8_lossy(&answer.body));
        let status = answer.status;
        match status {
            200..=299 if said.starts_with("no change") => Err(SendError::Refused {
                why: format!("POST {url}: the master found no change in the request: {said}"),
            }),
            200..=299 if said.ends_with("found") => Ok(Sent::default()),
            408 | 429 | 503 => Err(SendError::NotTaken {
                why: format!("POST {url}: {status} {said}"),
                retry: true,
            }),
            401 | 403 => Err(SendError::Refused {
                why: format!(
                    "POST {url}: {status} {said}; give `user` and `password` of the change hook"
                ),
            }),
            300..=499 => Err(SendError::Refused {
                why: format!(
                    "POST {url}: {status} {said}; is `url` the master's own address, and the \
                     dialect `base` in its `change_hook_dialects`?"
                ),
            }),
            _ => Err(SendError::Uncertain { why: format!("POST {url}: {status} {said}") }),
        }
    }

    async fn find(
        &self,
        request: &BuildRequest,
        remote: Option<&RemoteId>,
    ) -> Result<Found, AskError> {
        let mut session = None;
        let rows = self.requests(request, remote, &mut session).await?;
        if !rows.is_empty() {
            let mut parts = Vec::new();
            for row in newest_of_each_builder(rows).into_iter().take(BUILDERS) {
                let path = format!("/api/v2/buildrequests/{}/builds?order=number", row.id);
                let page: BuildPage = self.get(&path, &mut session).await?;
                parts.push(Part { request: row, builds: page.builds });
            }
            return Ok(found(&self.url, &parts));
        }
        // Looked at after the build requests: a change that is taken between the two is seen.
        if self.change_is_known(request, &mut session).await? {
            let project = self.project(request);
            return Ok(Found::Unscheduled {
                why: format!(
                    "no scheduler of the master took the change (project {project}, branch {})",
                    payload::branch(request, project)
                ),
            });
        }
        Ok(Found::Never)
    }

    /// All build requests that carry our id, read back to before it was decided.
    async fn requests(
        &self,
        request: &BuildRequest,
        remote: Option<&RemoteId>,
        session: &mut Option<String>,
    ) -> Result<Vec<RequestRow>, AskError> {
        let first: Option<u64> = remote.and_then(|remote| remote.as_str().parse().ok());
        let oldest = (request.decided_at - CLOCKS_DIFFER).0.div_euclid(1000);
        let mut mine = Vec::new();
        for page in 0..PAGES {
            let path = format!(
                "/api/v2/buildrequests?order=-buildrequestid&limit={PAGE}&offset={}\
                 &property=crosswatch_request_id",
                page * PAGE
            );
            let rows: RequestPage = self.get(&path, session).await?;
            let rows = rows.buildrequests;
            let read = rows.len();
            let past = rows.last().is_some_and(|row| {
                first.is_some_and(|first| row.id <= first)
                    || row.submitted_at.is_some_and(|at| at < oldest)
            });
            mine.extend(rows.into_iter().filter(|row| row.is_for(request.request_id)));
            if read < PAGE || past {
                return Ok(mine);
            }
        }
        if mine.is_empty() { Err(self.too_many("build requests")) } else { Ok(mine) }
    }

    /// Whether the master took the change, though nothing came of it.
    async fn change_is_known(
        &self,
        request: &BuildRequest,
        session: &mut Option<String>,
    ) -> Result<bool, AskError> {
        let filter = self.same_change(request);
        for page in 0..PAGES {
            let path = format!(
                "/api/v2/changes?order=-changeid&limit={CHANGES}&offset={}&{filter}",
                page * CHANGES
            );
            let rows: ChangePage = self.get(&path, session).await?;
            if rows.changes.iter().any(|row| row.is_for(request.request_id)) {
                return Ok(true);
            }
            if rows.changes.len() < CHANGES {
                return Ok(false);
            }
        }
        Err(self.too_many("changes"))
    }

    /// The query that lists our own change and few others.
    fn same_change(&self, request: &BuildRequest) -> String {
        let mut filter = url::form_urlencoded::Serializer::new(String::new());
        filter.append_pair("branch", &payload::branch(request, self.project(request)));
        if let Some(revision) = request.primary.revision {
            filter.append_pair("revision", &revision.to_string());
        }
        filter.finish()
    }

    async fn cancel(
        &self,
        request: &BuildRequest,
        remote: Option<&RemoteId>,
    ) -> Result<(), AskError> {
        let mut session = None;
        let rows = self.requests(request, remote, &mut session).await?;
        let reason = format!("crosswatch: {} is no longer wanted", request.subject);
        for row in rows.into_iter().filter(|row| !row.complete) {
            let body = json!({
                "jsonrpc": "2.0", "id": row.id, "method": "cancel", "params": {"reason": reason},
            });
            let path = format!("/api/v2/buildrequests/{}", row.id);
            self.ask("POST", &path, body.to_string(), &mut session).await?;
        }
        Ok(())
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        session: &mut Option<String>,
    ) -> Result<T, AskError> {
        let answer = self.ask("GET", path, String::new(), session).await?;
        serde_json::from_slice(&answer.body).map_err(|error| AskError::Odd {
            why: format!("GET {}{path}: no answer of Buildbot's REST interface: {error}", self.url),
        })
    }

    /// One request; logs in when the master wants that and a login is known.
    async fn ask(
        &self,
        method: &str,
        path: &str,
        body: String,
        session: &mut Option<String>,
    ) -> Result<Answer, AskError> {
        let mut answer = self.ask_once(method, path, &body, session.as_deref()).await?;
        if matches!(answer.status, 401 | 403) && session.is_none() && self.login.is_some() {
            *session = self.log_in().await?;
            if session.is_some() {
                answer = self.ask_once(method, path, &body, session.as_deref()).await?;
            }
        }
        let said = line(&String::from_utf8_lossy(&answer.body));
        let why = format!("{method} {}{path}: {} {said}", self.url, answer.status);
        match answer.status {
            200..=299 => Ok(answer),
            401 | 403 => Err(AskError::Refused {
                why: format!("{why}; give a user that the master's `authz` allows this"),
            }),
            300..=499 if answer.status != 408 && answer.status != 429 => {
                Err(AskError::Refused { why: format!("{why}; is `url` the master's own address?") })
            }
            _ => Err(AskError::Away { why }),
        }
    }

    async fn ask_once(
        &self,
        method: &str,
        path: &str,
        body: &str,
        session: Option<&str>,
    ) -> Result<Answer, AskError> {
        let mut headers =
            vec![("accept".to_owned(), HeaderText::Plain("application/json".to_owned()))];
        if !body.is_empty() {
            let kind = HeaderText::Plain("application/json".to_owned());
            headers.push(("content-type".to_owned(), kind));
        }
        if let Some(session) = session {
            headers.push(("cookie".to_owned(), HeaderText::Secret(session.to_owned().into())));
        }
        self.call(method, path, headers, body.as_bytes().to_vec()).await
    }

    /// The cookie of a session; nothing when the master's pages do not know the user.
    async fn log_in(&self) -> Result<Option<String>, AskError> {
        let headers = self.authorization().into_iter().collect();
        let answer = self.call("GET", "/auth/login", headers, Vec::new()).await?;
        if !(200..400).contains(&answer.status) {
            return Ok(None);
        }
        let cookies: Vec<&str> = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .filter_map(|(_, value)| value.split(';').next())
            .collect();
        Ok((!cookies.is_empty()).then(|| cookies.join("; ")))
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        headers: Vec<(String, HeaderText)>,
        body: Vec<u8>,
    ) -> Result<Answer, AskError> {
        let call = Call {
            method: method.to_owned(),
            url: format!("{}{path}", self.url),
            headers,
            body,
            deadline: self.deadline,
            max_body: LONGEST_ANSWER,
        };
        self.web.call(call).await.map_err(|error| AskError::Away { why: error.to_string() })
    }

    fn authorization(&self) -> Option<(String, HeaderText)> {
        let login = self.login.clone()?;
        Some(("authorization".to_owned(), HeaderText::Secret(login)))
    }

    fn too_many(&self, what: &str) -> AskError {
        AskError::Odd {
            why: format!(
                "{}: too many {what} to look through, so nobody knows whether the request is \
                 among them; a shorter history on the master (its JanitorConfigurator) helps",
                self.url
            ),
        }
    }
}
