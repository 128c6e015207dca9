//! One request, with its deadline and bounds.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crosswatch_core::model::time::Span;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::shown;

/// What to ask, how long to wait and how much to take.
#[derive(Clone)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// Where to; a user part becomes basic authentication.
    pub url: String,
    /// Headers; all values are treated as secrets.
    pub headers: Vec<(String, SecretString)>,
    /// The body.
    pub body: Bytes,
    /// From the start to the answer's last byte.
    pub deadline: Span,
    /// Longest time without a byte of the answer; the deadline where there is none.
    pub silence: Option<Span>,
    /// The longest body that is taken.
    pub max_body: usize,
    /// Whether redirects within the authority are followed.
    pub follow: bool,
}

impl HttpRequest {
    /// A request with 30 s and 16 MiB.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            deadline: Span::seconds(30),
            silence: None,
            max_body: 16 * 1024 * 1024,
            follow: true,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds basic authentication.
    #[must_use]
    pub fn basic(self, user: &str, password: &SecretString) -> Self {
        let pair = format!("{user}:{}", password.expose_secret());
        self.header("authorization", format!("Basic {}", STANDARD.encode(pair)))
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the deadline.
    #[must_use]
    pub fn deadline(mut self, deadline: Span) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets the longest time without a byte of the answer.
    #[must_use]
    pub fn silence(mut self, silence: Span) -> Self {
        self.silence = Some(silence);
        self
    }

    /// Sets the longest body that is taken.
    #[must_use]
    pub fn max_body(mut self, max_body: usize) -> Self {
        self.max_body = max_body;
        self
    }

    /// Sets whether redirects within the authority are followed.
    #[must_use]
    pub fn follow(mut self, follow: bool) -> Self {
        self.follow = follow;
        self
    }

    pub(super) fn header_map(&self) -> Result<HeaderMap, String> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let wrong = || format!("the header {name:?} or its value has forbidden characters");
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| wrong())?;
            value.set_sensitive(true);
            map.append(name, value);
        }
        Ok(map)
    }
}

impl fmt::Debug for HttpRequest {
    /// Without the headers' values, the body, and the secret parts of the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} within {}", self.method, shown(&self.url), self.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let request = HttpRequest::new(Method::GET, "http://u:canary@h/?t=canary")
            .basic("canary", &SecretString::from("canary"))
            .body("canary");
        assert!(!format!("{request:?}").contains("canary"));
    }
}
