//! Any CI with an HTTP interface: requests by templates, answers by JSON pointers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crosswatch_core::model::build::{BuildRequest, Verdict};
use crosswatch_core::model::settings::{CiSettings, HeaderValue, HttpCall, HttpCi};
use crosswatch_core::model::time::Span;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::answer::{line, link};
use super::ports::{Answer, Call, CallError, HeaderText, Web};
use super::template::{Place, Template};
use super::{
    AskError, Backend, BoxFuture, CiError, Found, Parts, RemoteId, Resolve, SendError, Sent,
    payload, secret,
};

/// Longest answer that is read.
const LONGEST_ANSWER: usize = 1 << 20;

/// A CI that is called by HTTP.
pub(super) struct HttpBackend(Arc<Inner>);

struct Inner {
    send: Prepared,
    id: Option<String>,
    link: Option<String>,
    poll: Option<Poll>,
    cancel: Option<Prepared>,
    key: Option<SecretString>,
    deadline: Span,
    web: Arc<dyn Web>,
}

struct Prepared {
    method: String,
    url: Template,
    origin: url::Origin,
    headers: Vec<(String, HeaderText)>,
    body: Option<Template>,
}

struct Poll {
    call: Prepared,
    state: String,
    link: Option<String>,
    states: BTreeMap<String, Verdict>,
}

impl HttpBackend {
    pub(super) fn new(
        settings: &CiSettings,
        kind: &HttpCi,
        parts: &Parts,
        secrets: Resolve<'_>,
    ) -> Result<Self, CiError> {
        let prepare = |key: &'static str, call: &HttpCall| prepare(settings, key, call, secrets);
        let poll = match &kind.poll {
            None => None,
            Some(poll) => Some(Poll {
                call: prepare("poll", &poll.call)?,
                state: poll.state.clone(),
                link: poll.link.clone(),
                states: poll.states.clone(),
            }),
        };
        let key = match &kind.sign {
            None => None,
            Some(reference) => Some(secret(settings, "sign", reference, secrets)?),
        };
        Ok(Self(Arc::new(Inner {
            send: prepare("send", &kind.send)?,
            id: kind.id.clone(),
            link: kind.link.clone(),
            poll,
            cancel: kind.cancel.as_ref().map(|call| prepare("cancel", call)).transpose()?,
            key,
            deadline: settings.deadline,
            web: Arc::clone(&parts.web),
        })))
    }
}

impl Backend for HttpBackend {
    fn send(
        &self,
        request: Arc<BuildRequest>,
        cancel: CancellationToken,
    ) -> BoxFuture<Result<Sent, SendError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Err(SendError::Uncertain {
                    why: "stopped while the request was sent".to_owned(),
                }),
                sent = inner.send(&request) => sent,
            }
        })
    }

    fn find(
        &self,
        request: Arc<BuildRequest>,
        remote: Option<RemoteId>,
    ) -> BoxFuture<Result<Found, AskError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.find(&request, remote).await })
    }

    fn cancel(
        &self,
        request: Arc<BuildRequest>,
        remote: Option<RemoteId>,
    ) -> BoxFuture<Result<(), AskError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let call = inner.cancel.as_ref().ok_or_else(|| AskError::Unable {
                why: "this CI has no `cancel` request in the configuration".to_owned(),
            })?;
            let (answer, what) = inner.ask(call, &request, remote.as_ref()).await?;
            expect_success(&answer, &what)
        })
    }

    fn can_be_asked(&self) -> bool {
        self.0.poll.as_ref().is_some_and(Poll::by_request_id)
    }
}

impl Poll {
    /// Whether the question can be put before the CI's own id is known.
    fn by_request_id(&self) -> bool {
        let call = &self.call;
        !call.url.uses("id") && !call.body.as_ref().is_some_and(|body| body.uses("id"))
    }
}

impl Inner {
    async fn send(&self, request: &BuildRequest) -> Result<Sent, SendError> {
        let (call, what) =
            self.call(&self.send, request, None).map_err(|why| SendError::Refused { why })?;
        let answer = self.web.call(call).await.map_err(|error| match error {
            CallError::NotSent(why) => SendError::NotTaken { why, retry: true },
            CallError::Unknown(why) => SendError::Uncertain { why },
        })?;
        let why = said(&answer, &what);
        match answer.status {
            200..=299 => {}
            408 | 429 | 503 => return Err(SendError::NotTaken { why, retry: true }),
            300..=499 => return Err(SendError::Refused { why }),
            _ => return Err(SendError::Uncertain { why }),
        }
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok(Sent {
            remote: pick(&body, self.id.as_deref()).and_then(|id| RemoteId::new(&id)),
            link: pick(&body, self.link.as_deref()).and_then(|text| link(&text)),
        })
    }

    async fn find(
        &self,
        request: &BuildRequest,
        remote: Option<RemoteId>,
    ) -> Result<Found, AskError> {
        let poll = self.poll.as_ref().ok_or_else(|| AskError::Unable {
            why: "this CI has no `poll` request in the configuration".to_owned(),
        })?;
        if remote.is_none() && !poll.by_request_id() {
            return Err(AskError::Unable {
                why: "the CI gave no id, and `poll` needs one; let it use `request_id`".to_owned(),
            });
        }
        let (answer, what) = self.ask(&poll.call, request, remote.as_ref()).await?;
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        // A proxy's page for a wrong address is no JSON, and must not pass for "never seen".
        if answer.status == 404
            && remote.is_none()
            && poll.by_request_id()
            && body.as_ref().is_some_and(Value::is_object)
        {
            return Ok(Found::Never);
        }
        expect_success(&answer, &what)?;
        let odd = |what_is: &str| AskError::Odd { why: format!("{what}: {what_is}") };
        let body = body.ok_or_else(|| odd("the answer is no JSON"))?;
        let word = pick(&body, Some(&poll.state))
            .ok_or_else(|| odd(&format!("the answer has no state at {:?}", poll.state)))?;
        let link = pick(&body, poll.link.as_deref()).and_then(|text| link(&text));
        Ok(match (poll.states.get(word.trim()), word.trim().to_ascii_lowercase().as_str()) {
            (Some(verdict), _) => Found::Ended {
                verdict: *verdict,
                remote,
                link,
                ended_at: None,
                summary: Some(line(&word)),
            },
            (None, "queued" | "pending" | "waiting" | "created") => Found::Queued { remote, link },
            (None, _) => Found::Running { remote, link, since: None },
        })
    }

    async fn ask(
        &self,
        prepared: &Prepared,
        request: &BuildRequest,
        remote: Option<&RemoteId>,
    ) -> Result<(Answer, String), AskError> {
        let (call, what) =
            self.call(prepared, request, remote).map_err(|why| AskError::Refused { why })?;
        let answer = self.web.call(call).await;
        answer
            .map(|answer| (answer, what))
            .map_err(|error| AskError::Away { why: error.to_string() })
    }

    /// The request with all values filled in, and what to call it in messages.
    fn call(
        &self,
        prepared: &Prepared,
        request: &BuildRequest,
        remote: Option<&RemoteId>,
    ) -> Result<(Call, String), String> {
        let whole = serde_json::to_value(request)
            .map_err(|error| format!("the build request has no JSON form: {error}"))?;
        let mut values = json!({
            "request_id": request.request_id,
            "fingerprint": request.fingerprint,
            "workspace": request.workspace,
            "subject": request.subject.to_string(),
            "reason": request.reason,
            "branch": request.primary.branch,
            "revision": request.primary.revision.map(|oid| oid.to_string()),
            "overrides": payload::autoproj_overrides(request),
            "overrides_as": payload::spelled(request),
            "request": whole,
        });
        if let (Some(remote), Some(all)) = (remote, values.as_object_mut()) {
            all.insert("id".to_owned(), json!(remote));
        }
        let url = prepared.url.render(&values).map_err(|why| format!("url: {why}"))?;
        let parsed = Url::parse(&url).map_err(|error| format!("url: {error}"))?;
        if parsed.origin() != prepared.origin {
            return Err("url: a value changed which server the URL names".to_owned());
        }
        let what = format!(
            "{} {}{}",
            prepared.method,
            prepared.origin.ascii_serialization(),
            parsed.path()
        );
        let body = match &prepared.body {
            Some(body) => body.render(&values).map_err(|why| format!("body: {why}"))?,
            None if matches!(prepared.method.as_str(), "GET" | "HEAD" | "DELETE") => String::new(),
            None => values["request"].to_string(),
        };
        let mut headers = prepared.headers.clone();
        let mut plain = |name: &str, text: String| {
            headers.push((name.to_owned(), HeaderText::Plain(text)));
        };
        plain("x-crosswatch-request-id", request.request_id.to_string());
        if let Some(key) = &self.key {
            plain("x-crosswatch-signature", signature(key, body.as_bytes())?);
        }
        let typed = prepared.headers.iter().any(|(name, _)| name == "content-type");
        if !typed && !body.is_empty() {
            plain("content-type", "application/json".to_owned());
        }
        let call = Call {
            method: prepared.method.clone(),
            url,
            headers,
            body: body.into_bytes(),
            deadline: self.deadline,
            max_body: LONGEST_ANSWER,
        };
        Ok((call, what))
    }
}

fn prepare(
    settings: &CiSettings,
    key: &'static str,
    call: &HttpCall,
    secrets: Resolve<'_>,
) -> Result<Prepared, CiError> {
    let wrong = |part: &str, why: String| CiError::Setting {
        ci: settings.name.to_string(),
        key: format!("{key}.{part}"),
        why,
    };
    // Values are filled in behind the server's name only, so they can never choose the server.
    let fixed = call.url.split("{{").next().unwrap_or_default().split("{%").next();
    let fixed = fixed.unwrap_or_default();
    let whole_name = fixed.len() == call.url.len()
        || fixed.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?', '#']));
    let origin = Url::parse(fixed)
        .ok()
        .filter(|url| whole_name && matches!(url.scheme(), "http" | "https"))
        .map(|url| url.origin())
        .ok_or_else(|| {
            wrong("url", "http(s)://HOST/ without a template in HOST is expected".to_owned())
        })?;
    let mut headers = Vec::new();
    for (name, value) in &call.headers {
        let text = match value {
            HeaderValue::Plain(text) => HeaderText::Plain(text.clone()),
            HeaderValue::Secret(reference) => {
                HeaderText::Secret(secret(settings, "headers", reference, secrets)?)
            }
        };
        headers.push((name.to_ascii_lowercase(), text));
    }
    let kind = headers.iter().find(|(name, _)| name == "content-type").map(|(_, text)| text);
    let place = match kind {
        Some(HeaderText::Plain(kind)) if kind.contains("form-urlencoded") => Place::Url,
        Some(HeaderText::Plain(kind)) if !kind.contains("json") => Place::Text,
        _ => Place::Json,
    };
    let body = match &call.body {
        None => None,
        Some(body) => Some(Template::new(body, place).map_err(|why| wrong("body", why))?),
    };
    Ok(Prepared {
        method: call.method.to_ascii_uppercase(),
        url: Template::new(&call.url, Place::Url).map_err(|why| wrong("url", why))?,
        origin,
        headers,
        body,
    })
}

fn signature(key: &SecretString, body: &[u8]) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes())
        .map_err(|_| "sign: the key has a length that HMAC cannot use".to_owned())?;
    mac.update(body);
    let mut text = String::from("sha256=");
    for byte in mac.finalize().into_bytes() {
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(text)
}

fn pick(body: &Value, pointer: Option<&str>) -> Option<String> {
    match body.pointer(pointer?)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(word) => Some(word.to_string()),
        _ => None,
    }
}

fn said(answer: &Answer, what: &str) -> String {
    format!("{what}: {} {}", answer.status, line(&String::from_utf8_lossy(&answer.body)))
}

fn expect_success(answer: &Answer, what: &str) -> Result<(), AskError> {
    let why = said(answer, what);
    match answer.status {
        200..=299 => Ok(()),
        408 | 429 | 500.. => Err(AskError::Away { why }),
        _ => Err(AskError::Refused { why }),
    }
}
