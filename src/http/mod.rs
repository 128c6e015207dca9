//! The only place that reaches the network over HTTP: deadlines, bounds, and where secrets go.

mod api;
pub mod conditional;
mod error;
#[cfg(test)]
pub(crate) mod fuzz;
mod gate;
mod links;
mod pages;
mod request;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, LOCATION};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use api::{Api, Bearer};
pub use error::HttpError;
pub use gate::{Closed, Gate, Pass, Toll, Urgency};
pub use pages::Pages;
pub use request::HttpRequest;
pub use reqwest::{Method, StatusCode, header};

use error::{broken, failed, innermost};

const CONNECT: Duration = Duration::from_secs(10);
const REDIRECTS: usize = 4;

/// One shared client: connections are kept, nothing else is.
///
/// It keeps no cookies and follows redirects only within the authority (scheme, host, port) of the
/// request, so that headers with secrets reach nobody else.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: reqwest::Client,
}

/// The whole answer to one request.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// The status; any, also 4xx and 5xx.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decoded, never longer than the request allows.
    pub body: Bytes,
    /// Where the answer came from in the end, if redirects were followed.
    pub moved_to: Option<String>,
}

/// Through which everything is sent.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// `http://HOST:PORT`.
    pub url: String,
    /// Hosts, domains and networks that are reached without it.
    pub except: Vec<String>,
    /// User and password.
    pub login: Option<(String, SecretString)>,
}

impl HttpAnswer {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl HttpClient {
    /// A client with its own connections, through the proxy that the environment names, if any
    /// (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).
    pub fn new() -> Result<Self, HttpError> {
        Self::build(|builder| builder)
    }

    /// A client whose requests go through this proxy, whatever the environment says.
    pub fn through(proxy: &Proxy) -> Result<Self, HttpError> {
        let mut through = reqwest::Proxy::all(&proxy.url).map_err(|error| {
            HttpError::BadRequest { to: "the proxy".to_owned(), why: innermost(&error) }
        })?;
        if let Some((user, password)) = &proxy.login {
            through = through.basic_auth(user, password.expose_secret());
        }
        let except = reqwest::NoProxy::from_string(&proxy.except.join(","));
        Self::build(|builder| builder.no_proxy().proxy(through.no_proxy(except)))
    }

    fn build(
        with: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, HttpError> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place with a client")]
        let builder = reqwest::Client::builder()
            .user_agent(concat!("crosswatch/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .pool_idle_timeout(Duration::from_secs(90))
            .pool_max_idle_per_host(16)
            .tcp_keepalive(Duration::from_secs(30));
        let client = with(builder).build().map_err(|error| HttpError::BadRequest {
            to: "the network".to_owned(),
            why: innermost(&error),
        })?;
        Ok(Self { client })
    }

    /// Sends one request and reads the whole answer, both within the request's deadline.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        let url = Url::parse(&request.url);
        let host = url.as_ref().ok().and_then(Url::host_str).unwrap_or_default().to_owned();
        let to = url.clone().map_or_else(|_| UNREADABLE.to_owned(), masked);
        let deadline = request.deadline;
        let answer = tokio::time::timeout(deadline.to_std(), self.exchange(request, url, &to))
            .await
            .unwrap_or(Err(HttpError::Deadline { to, deadline }));
        let outcome = match &answer {
            Ok(answer) => answer.status.as_u16().to_string(),
            Err(error) => error.kind().to_owned(),
        };
        metrics::counter!("crosswatch_http_requests_total", "host" => host, "outcome" => outcome)
            .increment(1);
        answer
    }

    async fn exchange(
        &self,
        request: HttpRequest,
        url: Result<Url, url::ParseError>,
        to: &str,
    ) -> Result<HttpAnswer, HttpError> {
        let bad = |why: String| HttpError::BadRequest { to: to.to_owned(), why };
        let mut url = url.map_err(|error| bad(format!("{error}; check the URL")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("it is neither http:// nor https://".to_owned()));
        }
        let headers = request.header_map().map_err(bad)?;
        let mut left = REDIRECTS;
        let mut moved_to = None;
        let silence = request.silence.unwrap_or(request.deadline).min(request.deadline);
        let silent = |_| HttpError::Deadline { to: to.to_owned(), deadline: silence };
        loop {
            let sending = self
                .client
                .request(request.method.clone(), url.clone())
                .headers(headers.clone())
                .body(request.body.clone())
                .send();
            let mut response = tokio::time::timeout(silence.to_std(), sending)
                .await
                .map_err(silent)?
                .map_err(|error| failed(&error, to, request.deadline))?;
            let next = redirect(&request.method, &url, response.status(), response.headers());
            if let Some(next) = next.filter(|_| request.follow && left > 0) {
                left = left.saturating_sub(1);
                url = next;
                moved_to = Some(url.to_string());
                continue;
            }
            let max = request.max_body;
            let too_large = || HttpError::TooLarge { to: to.to_owned(), max };
            let mut body = BytesMut::new();
            loop {
                let chunk = tokio::time::timeout(silence.to_std(), response.chunk())
                    .await
                    .map_err(silent)?
                    .map_err(|error| broken(&error, to, request.deadline))?;
                let Some(chunk) = chunk else { break };
                if body.len().saturating_add(chunk.len()) > max {
                    return Err(too_large());
                }
                body.extend_from_slice(&chunk);
            }
            return Ok(HttpAnswer {
                status: response.status(),
                headers: std::mem::take(response.headers_mut()),
                body: body.freeze(),
                moved_to,
            });
        }
    }
}

/// Where to ask again. What changes state is repeated only when the peer says that it may be.
fn redirect(method: &Method, from: &Url, status: StatusCode, headers: &HeaderMap) -> Option<Url> {
    let followed = match status.as_u16() {
        301 | 302 => method.is_safe(),
        307 | 308 => true,
        _ => false,
    };
    let to = from.join(headers.get(LOCATION).filter(|_| followed)?.to_str().ok()?).ok()?;
    let authority =
        |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port());
    (authority(from) == authority(&to)).then_some(to)
}

/// What is said in place of something that is no URL.
const UNREADABLE: &str = "a URL that cannot be read";

/// A URL fit for a message: without user, password, query and fragment.
pub fn shown(url: &str) -> String {
    Url::parse(url).map_or_else(|_| UNREADABLE.to_owned(), masked)
}

fn masked(mut url: Url) -> String {
    // Only URLs without a host refuse this, and those have no user either.
    url.set_username("").ok();
    url.set_password(None).ok();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use crosswatch_core::model::time::Span;

    use super::*;

    #[test]
    fn urls_are_shown_without_secrets() {
        assert_eq!(shown("https://u:p@h.example/a?token=x#y"), "https://h.example/a");
        assert_eq!(shown("no url"), "a URL that cannot be read");
    }

    #[test]
    fn redirects_stay_within_the_authority() {
        let from = Url::parse("https://a.example/x").expect("a URL");
        let ask = |method: &Method, code: u16, location: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, location.parse().expect("a header"));
            redirect(method, &from, StatusCode::from_u16(code).expect("a code"), &headers)
                .map(|url| url.to_string())
        };
        assert_eq!(ask(&Method::GET, 301, "/y"), Some("https://a.example/y".to_owned()));
        assert_eq!(ask(&Method::POST, 301, "/y"), None);
        assert_eq!(ask(&Method::POST, 308, "/y"), Some("https://a.example/y".to_owned()));
        for other in ["https://b.example/y", "http://a.example/y", "https://a.example:444/y"] {
            assert_eq!(ask(&Method::GET, 302, other), None, "{other}");
        }
    }

    /// Answers every connection with `answer` and keeps it open.
    async fn serve(answer: &'static str) -> (String, crate::task::Tasks) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://u:canary@{}/", listener.local_addr().expect("an address"));
        let tasks = crate::task::Tasks::new();
        tasks.spawn("server", async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _read = stream.read(&mut request).await.expect("a request");
                stream.write_all(answer.as_bytes()).await.expect("written");
                open.push(stream);
            }
        });
        (url, tasks)
    }

    #[tokio::test]
    async fn answers_are_bounded_in_time_and_size() {
        let client = HttpClient::new().expect("a client");
        let ask = async |answer| {
            let (url, tasks) = serve(answer).await;
            let request = HttpRequest::new(Method::GET, url).deadline(Span(500)).max_body(8);
            let answer = client.send(request).await;
            tasks.stop().await;
            answer
        };
        let whole = ask("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.expect("whole");
        assert_eq!(&*whole.body, b"ok");
        for (answer, kind) in [
            ("", "deadline"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", "deadline"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123456789", "too-large"),
            ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2/\r\ncontent-length: 0\r\n\r\n", ""),
            ("nonsense\r\n\r\n", "broken"),
        ] {
            match ask(answer).await {
                Ok(answer) => assert_eq!((answer.status, kind), (StatusCode::FOUND, "")),
                Err(error) => {
                    assert_eq!(error.kind(), kind, "{error}");
                    assert!(error.may_have_acted());
                    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_peer_that_falls_silent_is_given_up_before_the_deadline() {
        let client = HttpClient::new().expect("a client");
        for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no"] {
            let (url, tasks) = serve(answer).await;
            let request = HttpRequest::new(Method::GET, url).silence(Span(200));
            let error = client.send(request).await.expect_err("no answer");
            assert!(error.to_string().contains("within 200ms"), "{error}");
            tasks.stop().await;
        }
    }

    #[tokio::test]
    async fn everything_goes_through_the_proxy_but_what_is_excepted() {
        let (proxy, tasks) = serve("HTTP/1.1 418 proxy\r\ncontent-length: 0\r\n\r\n").await;
        let (direct, others) = serve("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let proxy = proxy.replace("u:canary@", "");
        let login = Some(("u".to_owned(), SecretString::from("canary")));
        let except = vec!["127.0.0.1".to_owned()];
        let client = HttpClient::through(&Proxy { url: proxy, except, login }).expect("a client");
        let ask = async |url: &str| {
            let request = HttpRequest::new(Method::GET, url).deadline(Span::seconds(5));
            client.send(request).await.map(|answer| answer.status.as_u16())
        };
        assert_eq!(ask(&direct).await.expect("directly"), 200);
        assert_eq!(ask("http://forge.invalid/x").await.expect("by the proxy"), 418);
        // Through a tunnel it has to be willing.
        let error = ask("https://forge.invalid/x").await.expect_err("no tunnel");
        assert!(!error.may_have_acted(), "{error}");
        assert!(!format!("{error} {error:?} {client:?}").contains("canary"), "{error}");
        let bad = Proxy { url: "::".to_owned(), except: Vec::new(), login: None };
        assert!(HttpClient::through(&bad).is_err());
        tasks.stop().await;
        others.stop().await;
    }
}
