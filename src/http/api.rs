//! The API of one server: where its token may go, and nowhere else.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::gate::{Toll, Urgency};
use super::{HttpError, HttpRequest, shown};

/// An API below one URL, with the credential for it.
///
/// Every request is made here, and only to URLs below that one, so no page that a server names can
/// carry the token elsewhere.
#[derive(Clone)]
pub struct Api {
    base: Url,
    credential: String,
    headers: Vec<(String, SecretString)>,
    bearer: Option<Bearer>,
}

/// A token that may be replaced while it is in use: whoever holds it sends the newest.
#[derive(Clone, Default)]
pub struct Bearer(Arc<Mutex<SecretString>>);

impl Bearer {
    /// A token, which may be empty as long as there is none.
    pub fn new(token: SecretString) -> Self {
        Self(Arc::new(Mutex::new(token)))
    }

    /// The token of now.
    pub fn token(&self) -> SecretString {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another one in its place.
    pub fn replace(&self, token: SecretString) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }
}

impl fmt::Debug for Bearer {
    /// Without the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer")
    }
}

impl Api {
    /// The API below `base`, without a credential.
    pub fn new(base: &str) -> Result<Self, HttpError> {
        let bad = |why: String| HttpError::BadRequest { to: shown(base), why };
        let mut base = Url::parse(base).map_err(|error| bad(format!("{error}; check the URL")))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(bad("an API begins with http:// or https:// and a host".to_owned()));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(bad("a user part has no place in it; use `token`".to_owned()));
        }
        base.set_query(None);
        base.set_fragment(None);
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Ok(Self { base, credential: String::new(), headers: Vec::new(), bearer: None })
    }

    /// With this value of `Authorization`; `name` says which credential it is and is shown to people.
    #[must_use]
    pub fn authorization(
        mut self,
        name: impl Into<String>,
        value: impl Into<SecretString>,
    ) -> Self {
        self.credential = name.into();
        self.header("authorization", value)
    }

    /// With this token on every request; `name` says which credential it is and is shown to people.
    #[must_use]
    pub fn bearer(mut self, name: impl Into<String>, bearer: Bearer) -> Self {
        (self.credential, self.bearer) = (name.into(), Some(bearer));
        self
    }

    /// With a header on every request.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Name of the credential; empty without one.
    pub fn credential(&self) -> &str {
        &self.credential
    }

    /// Host and port.
    pub fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match self.base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// What one request costs from a pool of this credential.
    pub fn toll(&self, pool: &str, cost: u32, urgency: Urgency) -> Toll {
        Toll {
            host: self.host(),
            credential: self.credential.clone(),
            pool: pool.to_owned(),
            cost,
            urgency,
        }
    }

    /// A request to a path below the base, or to a whole URL that is below it.
    pub fn request(&self, method: Method, to: &str) -> Result<HttpRequest, HttpError> {
        let url = self.base.join(to.trim_start_matches('/')).ok().filter(|url| self.holds(url));
        let Some(url) = url else {
            let why = format!("it is not below {}", self.base);
            return Err(HttpError::BadRequest { to: shown(to), why });
        };
        let mut request = HttpRequest::new(method, url);
        request.headers.clone_from(&self.headers);
        if let Some(bearer) = &self.bearer {
            let value = format!("Bearer {}", bearer.token().expose_secret());
            request = request.header("authorization", value);
        }
        Ok(request)
    }

    /// Whether the URL is one of this API.
    pub fn holds(&self, url: &Url) -> bool {
        // The parser has resolved `..`, however it was written.
        url.origin() == self.base.origin()
            && url.username().is_empty()
            && url.password().is_none()
            && url.path().starts_with(self.base.path())
    }
}

impl fmt::Debug for Api {
    /// Without the values of headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {:?}", self.base, self.credential)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_stay_below_the_base() {
        let api = Api::new("https://git.example/api/v3")
            .expect("an API")
            .authorization("main", "Bearer canary".to_owned());
        for inside in [
            "/repos/a/b/pulls?page=2",
            "repos/a/b",
            "https://git.example/api/v3/repositories/1/pulls?page=2",
            "https://git.example:443/api/v3/x",
            "repos/a/b/contents/a..b/.github",
        ] {
            let request = api.request(Method::GET, inside).expect(inside);
            assert!(
                request.url.starts_with("https://git.example/api/v3/re")
                    || request.url.ends_with("/x"),
                "{}",
                request.url
            );
        }
        for outside in [
            "https://evil.example/api/v3/x",
            "http://git.example/api/v3/x",
            "https://git.example:444/api/v3/x",
            "https://git.example/other",
            "https://git.example/api/v30/x",
            "https://u:p@git.example/api/v3/x",
            "https://git.example/api/v3/../x",
            "../x",
            "a/%2e%2e/%2E%2E/x",
            "\\\\evil.example/x",
            "ftp://git.example/api/v3/x",
            "javascript:alert(1)",
        ] {
            let asked = api.request(Method::GET, outside);
            assert!(asked.is_err(), "{outside}: {asked:?}");
        }
        for within in ["a/.%2e/x", "//evil.example/x", "/a/../b"] {
            let asked = api.request(Method::GET, within).expect(within);
            assert!(asked.url.starts_with("https://git.example/api/v3/"), "{asked:?}");
        }
        assert!(!format!("{api:?}").contains("canary"));
        for wrong in ["", "git.example", "ftp://x/", "https://u:p@x/", "file:///x"] {
            assert!(Api::new(wrong).is_err(), "{wrong}");
        }
    }
}
