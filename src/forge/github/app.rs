//! Applications: signed words for the application itself, and tokens of its installations, which are
//! renewed before they end and are never on a disk.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crosswatch_core::control::renewal::{Due, Lease};
use crosswatch_core::model::settings::{AppSettings, ForgeSettings};
use crosswatch_core::model::time::{Span, Timestamp};
use futures_util::future::BoxFuture;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::deliveries::{self, Asking};
use super::failure::{Failure, Reason};
use super::{BodyReader, DEADLINE, GitHub, SetupError};
use crate::clock::Clock;
use crate::forge::several::{Installations, Member, Renewal};
use crate::forge::{Delivered, ForgeError};
use crate::http::conditional::Conditional;
use crate::http::{Api, Bearer, HttpAnswer, Method, Pages, StatusCode, Urgency};

/// So long a word of the application holds; the most that GitHub takes.
const WORD: Span = Span::minutes(10);

/// So much earlier it begins, for clocks that differ.
const EARLIER: Span = Span::minutes(1);

/// After this long it is asked again where the application is installed.
const LIST_AGAIN: Span = Span::hours(1);

/// The same when an owner is asked for who was not among them, and after a failure.
const LOOK_AGAIN: Span = Span::minutes(5);

/// A token that is younger is not renewed because it was refused.
const YOUNG: Span = Span::minutes(1);

/// An application with its key.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    name: String,
    id: u64,
    only: Option<u64>,
    key: RsaKeyPair,
    api: Api,
    word: Bearer,
    ask: Conditional,
    clock: Clock,
    settings: ForgeSettings,
    reader: BodyReader,
    /// Held while it is asked where the application is installed.
    listing: tokio::sync::Mutex<Listing>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Listing {
    read_at: Option<Timestamp>,
    tried_at: Option<Timestamp>,
    failed: Option<ForgeError>,
}

#[derive(Default)]
struct Held {
    /// Installations by their owner, in lower case.
    owners: BTreeMap<String, u64>,
    /// What reads by each of them.
    members: BTreeMap<u64, Member>,
}

impl App {
    /// The application of these settings, whose key has this text.
    pub fn new(
        settings: &ForgeSettings,
        app: &AppSettings,
        key: &SecretString,
        clock: Clock,
        ask: Conditional,
        reader: BodyReader,
    ) -> Result<Self, SetupError> {
        let name = format!("{}: app {}", settings.name, app.id);
        let word = Bearer::default();
        let key =
            read_key(key).map_err(|why| SetupError::Key { forge: settings.name.clone(), why })?;
        let api = super::rest_api(settings)?.bearer(name.clone(), word.clone());
        Ok(Self(Arc::new(Inner {
            name,
            id: app.id,
            only: app.installation,
            key,
            api,
            word,
            ask,
            clock,
            settings: settings.clone(),
            reader,
            listing: tokio::sync::Mutex::default(),
            held: Mutex::default(),
        })))
    }

    /// What reads by an installation.
    fn member(&self, id: u64) -> Result<Member, SetupError> {
        if let Some(member) = self.0.held().members.get(&id) {
            return Ok(member.clone());
        }
        let inner = &self.0;
        let name = format!("{}, installation {id}", inner.name);
        let bearer = Bearer::default();
        let credential = (name.clone(), bearer.clone());
        let (ask, reader) = (inner.ask.clone(), Arc::clone(&inner.reader));
        let github = GitHub::by_app(&inner.settings, credential, ask, reader)?;
        let installation = Installation {
            app: self.clone(),
            id,
            name: name.clone(),
            bearer,
            held: tokio::sync::Mutex::default(),
        };
        let member = Member {
            name,
            api: Arc::new(github),
            renewal: Some(Arc::new(Shared(Arc::new(installation)))),
        };
        Ok(self.0.held().members.entry(id).or_insert(member).clone())
    }

    fn members(&self, installation: Option<u64>) -> Result<Vec<Member>, ForgeError> {
        let member = installation.map(|id| self.member(id)).transpose();
        let member = member.map_err(|error| ForgeError::Credential(error.to_string()))?;
        Ok(member.into_iter().collect())
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The installation of an owner, or the oldest one, which reads what everybody may.
    fn installation(&self, owner: &str) -> Option<u64> {
        let held = self.held();
        let own = held.owners.get(&owner.to_lowercase());
        self.only.or(own.copied()).or_else(|| held.owners.values().min().copied())
    }

    /// Learns where the application is installed, if that is due.
    async fn look(&self, owner: &str) -> Result<(), ForgeError> {
        if self.only.is_some() {
            return Ok(());
        }
        let mut listing = self.listing.lock().await;
        let now = self.clock.now();
        let known = self.held().owners.contains_key(&owner.to_lowercase());
        let wait = if known { LIST_AGAIN } else { LOOK_AGAIN };
        let fresh = listing.read_at.is_some_and(|at| now < at + wait);
        let waits = listing.tried_at.is_some_and(|at| now < at + LOOK_AGAIN);
        let due = if listing.failed.is_some() { !waits } else { !fresh };
        if due {
            listing.tried_at = Some(now);
            listing.failed = None;
            match self.list().await {
                Ok(owners) => {
                    self.held().owners = owners;
                    listing.read_at = Some(now);
                }
                Err(failure) => listing.failed = Some(failure.into()),
            }
        }
        match &listing.failed {
            Some(error) if listing.read_at.is_none() => Err(error.clone()),
            _ => Ok(()),
        }
    }

    async fn list(&self) -> Result<BTreeMap<String, u64>, Failure> {
        self.sign()?;
        let about = format!("{}: its installations", self.name);
        let asked = async {
            let request = self.api.request(Method::GET, "app/installations?per_page=100")?;
            let toll = self.api.toll("core", 1, Urgency::Poll);
            self.ask.pages(&self.api, &toll, request.deadline(DEADLINE), installations).await
        };
        match asked.await {
            Ok(Pages::Whole { pages, .. }) => {
                let all = pages.iter().flat_map(|page| page.iter().cloned());
                Ok(all.collect())
            }
            Ok(Pages::Status(answer)) => Err(self.refused(&about, &answer)),
            Err(error) => Err(Failure::asking(&about, &error)),
        }
    }

    /// A token of an installation, and when it ends.
    async fn token(&self, id: u64) -> Result<(SecretString, Timestamp), Failure> {
        self.sign()?;
        let about = format!("{}: a token of installation {id}", self.name);
        let asked = async {
            let to = format!("app/installations/{id}/access_tokens");
            let request = self.api.request(Method::POST, &to)?;
            let toll = self.api.toll("core", 1, Urgency::Write);
            self.ask.send(toll, request.deadline(DEADLINE)).await
        };
        let answer = asked.await.map_err(|error| Failure::asking(&about, &error))?;
        if answer.status != StatusCode::CREATED {
            return Err(self.refused(&about, &answer));
        }
        // Its words may hold the token, so none of them is repeated.
        let odd = || Failure::new(Reason::Nonsense, format!("{about}: the answer has none"));
        let given: Given = serde_json::from_slice(&answer.body).map_err(|_| odd())?;
        let expires_at = given.expires_at.parse().map_err(|_| odd())?;
        if given.token.expose_secret().is_empty() {
            return Err(odd());
        }
        Ok((given.token, expires_at))
    }

    /// Signs a word that says who asks.
    fn sign(&self) -> Result<(), Failure> {
        let signed = word(&self.key, self.id, self.clock.now()).ok_or_else(|| {
            let why = format!("{}: its key cannot sign; make a new one on its page", self.name);
            Failure::new(Reason::Credential, why)
        })?;
        self.word.replace(signed);
        Ok(())
    }

    /// An application that may not do what each may is one that is not there, or is somebody else's.
    fn refused(&self, about: &str, answer: &HttpAnswer) -> Failure {
        let failure = Failure::status(about, answer).without(Some(&self.word));
        match failure.reason {
            Reason::NotFound | Reason::Forbidden | Reason::Credential => Failure {
                reason: Reason::Credential,
                why: format!(
                    "{}; check the number of the application and of the installation, its key, and the clock",
                    failure.why
                ),
                ..failure
            },
            _ => failure,
        }
    }
}

impl Installations for App {
    fn of(&self, owner: &str) -> BoxFuture<'static, Result<Vec<Member>, ForgeError>> {
        let (app, owner) = (self.clone(), owner.to_owned());
        Box::pin(async move {
            app.0.look(&owner).await?;
            let installation = app.0.installation(&owner);
            if installation.is_none() {
                let why = format!("{} is installed nowhere; install it for {owner}", app.0.name);
                return Err(ForgeError::Credential(why));
            }
            app.members(installation)
        })
    }

    fn known(&self, owner: &str) -> Vec<Member> {
        self.members(self.0.installation(owner)).unwrap_or_default()
    }

    fn deliveries(
        &self,
        hook: u64,
        since: Timestamp,
    ) -> BoxFuture<'static, Result<Vec<Delivered>, ForgeError>> {
        let app = self.clone();
        Box::pin(async move {
            let Inner { api, ask, word, .. } = &*app.0;
            app.0.sign()?;
            Ok(deliveries::read(Asking { api, ask, token: Some(word) }, "app", hook, since).await?)
        })
    }

    fn names(&self) -> Vec<String> {
        let members: Vec<String> =
            self.0.held().members.values().map(|member| member.name.clone()).collect();
        if members.is_empty() { vec![self.0.name.clone()] } else { members }
    }
}

struct Installation {
    app: App,
    id: u64,
    name: String,
    bearer: Bearer,
    /// Held while a token is asked for, so that it is asked for once.
    held: tokio::sync::Mutex<Token>,
}

#[derive(Default)]
struct Token {
    number: u64,
    given_at: Timestamp,
    lease: Option<Lease>,
}

#[derive(Clone)]
struct Shared(Arc<Installation>);

impl Installation {
    async fn renew(&self, token: &mut Token) -> Result<(), ForgeError> {
        let inner = &self.app.0;
        let (secret, expires_at) = inner.token(self.id).await?;
        let now = inner.clock.now();
        self.bearer.replace(secret);
        token.number += 1;
        token.given_at = now;
        token.lease = Some(Lease::new(&self.name, expires_at, now));
        Ok(())
    }
}

impl Renewal for Shared {
    fn ready(&self) -> BoxFuture<'static, Result<u64, ForgeError>> {
        let installation = Arc::clone(&self.0);
        Box::pin(async move {
            let mut token = installation.held.lock().await;
            let now = installation.app.0.clock.now();
            match token.lease.map_or(Due::Now, |lease| lease.due(now)) {
                Due::Nothing => {}
                Due::Now => installation.renew(&mut token).await?,
                Due::Better => {
                    if let Err(error) = installation.renew(&mut token).await {
                        tracing::warn!(%error, "a token was not renewed; the old one holds a little longer");
                        if let Some(lease) = &mut token.lease {
                            lease.tried(now);
                        }
                    }
                }
            }
            Ok(token.number)
        })
    }

    fn refused(&self, number: u64) -> BoxFuture<'static, Result<(), ForgeError>> {
        let installation = Arc::clone(&self.0);
        Box::pin(async move {
            let mut token = installation.held.lock().await;
            if token.number != number {
                return Ok(());
            }
            if installation.app.0.clock.now() < token.given_at + YOUNG {
                let why =
                    format!("{}: its token was refused just after it was given", installation.name);
                return Err(ForgeError::Credential(why));
            }
            installation.renew(&mut token).await
        })
    }
}

#[derive(Deserialize)]
struct Given {
    token: SecretString,
    expires_at: String,
}

#[derive(Deserialize)]
struct Installed {
    id: u64,
    account: Option<Account>,
    suspended_at: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    /// An enterprise has none.
    login: Option<String>,
}

/// Installations by their owner; one that is suspended reads nothing.
pub(super) fn installations(body: &[u8]) -> Result<Vec<(String, u64)>, String> {
    let all: Vec<Installed> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let active = all.into_iter().filter(|installed| installed.suspended_at.is_none());
    let owned = active
        .filter_map(|installed| Some((installed.account?.login?.to_lowercase(), installed.id)));
    Ok(owned.collect())
}

fn read_key(pem: &SecretString) -> Result<RsaKeyPair, &'static str> {
    let key = PrivateKeyDer::from_pem_slice(pem.expose_secret().as_bytes());
    let key = key.map_err(|_| "it is not a private key in PEM")?;
    let pair = match &key {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        _ => return Err("it is not an RSA key"),
    };
    pair.map_err(|_| "it is not an RSA key of 2048 bits or more")
}

/// A JSON web token: who asks, and for how long that is believed.
fn word(key: &RsaKeyPair, app: u64, now: Timestamp) -> Option<SecretString> {
    let seconds = |time: Timestamp| time.0 / 1000;
    let from = now - EARLIER;
    let header = serde_json::json!({"alg": "RS256", "typ": "JWT"});
    let claims = serde_json::json!({
        "iat": seconds(from), "exp": seconds(from + WORD), "iss": app.to_string(),
    });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).ok()?;
    Some(SecretString::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

impl fmt::Debug for App {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("App").field(&self.0.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::target;
    use super::*;

    const LIST: &str = r#"[{"id":1,"account":{"login":"Octocat","type":"User"},"suspended_at":null,
        "permissions":{"contents":"read"}},{"id":2,"account":{"slug":"github","name":"GitHub"}},
        {"id":3,"account":{"login":"hubot"},"suspended_at":"2026-01-01T00:00:00Z"}]"#;

    #[test]
    fn who_is_suspended_or_owns_no_repositories_is_left_out() {
        assert_eq!(installations(LIST.as_bytes()), Ok(vec![("octocat".to_owned(), 1)]));
        assert_eq!(installations(b"[]"), Ok(Vec::new()));
        for wrong in ["", "{}", "null", "[{}]", "<html>"] {
            assert!(installations(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_answer_makes_a_reader_fall() {
        const GIVEN: &str = r#"{"token":"ghs_canary","expires_at":"2026-01-01T00:00:00Z"}"#;
        let read = target("installations", &[LIST.as_bytes(), GIVEN.as_bytes()], |body| {
            let given = serde_json::from_slice::<Given>(body);
            installations(body).is_ok() || given.is_ok()
        });
        assert!(read > 1_000, "{read}");
    }
}
