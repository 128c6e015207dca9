//! Applications: who comes with a signed word instead of a token, and what installations get.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{self, KeyPair as _, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::json;
use super::serve::{Ask, Reply};
use crate::world::{Access, App, Installation, State, Token};
use crate::{Limits, Meter, Model};

/// Longest time that the word of an application may hold.
const LONGEST: i64 = 600;

/// Installations on one page where nothing else is asked for.
const PAGE: usize = 30;

impl Model {
    /// An application of that number; its private key, as GitHub gives it.
    pub fn app(&self, id: u64) -> String {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let public = pair.public_key().as_ref().to_vec();
        let meter = Meter::new(Limits::github());
        self.state().apps.insert(id, App { public, meter, token_lasts: 3600 });
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).expect("a key");
        // GitHub gives the inner form: what comes after the header of the outer one.
        let inner = der.as_ref().get(26..).expect("a key of 2048 bits");
        let lines: Vec<String> = STANDARD
            .encode(inner)
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        let lines = lines.join("\n");
        format!("-----BEGIN RSA PRIVATE KEY-----\n{lines}\n-----END RSA PRIVATE KEY-----\n")
    }

    /// Installs an application for all repositories of an owner; the number of the installation.
    pub fn install(&self, app: u64, owner: &str) -> u64 {
        let mut state = self.state();
        let id = state.fresh();
        let installation = Installation { app, owner: owner.to_owned(), suspended: false };
        state.installations.insert(id, installation);
        id
    }

    /// Tokens that installations were given so far.
    pub fn given_tokens(&self, installation: u64) -> usize {
        let name = format!("installation {installation}");
        self.state().tokens.values().filter(|token| token.name == name).count()
    }

    /// Tokens of an application last so many seconds from now on, and those that were given end.
    pub fn end_tokens(&self, app: u64, last: i64) {
        let mut state = self.state();
        let now = state.now();
        if let Some(app) = state.apps.get_mut(&app) {
            app.token_lasts = last;
        }
        let given =
            state.tokens.values_mut().filter(|token| token.name.starts_with("installation"));
        given.for_each(|token| token.expires_at = Some(now));
    }
}

/// The application that asks, where one can; nothing where it is none, or not what it says it is.
pub(super) fn who(state: &State, ask: &Ask) -> Option<u64> {
    let word = ask.secret.as_ref().filter(|_| ask.path.starts_with("/app/"))?;
    let (signed, signature) = word.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let part = |text: &str| -> Option<Value> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    };
    let (header, claims) = (part(header)?, part(claims)?);
    let id: u64 = claims["iss"].as_str()?.parse().ok()?;
    let app = state.apps.get(&id)?;
    let key = UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, &app.public);
    key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let (from, to, now) = (claims["iat"].as_i64()?, claims["exp"].as_i64()?, state.now());
    (header["alg"] == "RS256" && from <= now && now < to && to - now <= LONGEST).then_some(id)
}

pub(super) fn installations(state: &State, app: Option<u64>, ask: &Ask) -> Reply {
    let Some(app) = app else {
        return Reply::message(401, "A JSON web token could not be decoded");
    };
    let number = |name: &str| ask.param(name).and_then(|text| text.parse::<usize>().ok());
    let (size, page) = (number("per_page").unwrap_or(PAGE).min(100), number("page").unwrap_or(1));
    let all: Vec<Value> = state
        .installations
        .iter()
        .filter(|(_, installation)| installation.app == app)
        .map(|(id, installation)| {
            json!({
                "id": id, "app_id": app, "target_type": "Organization",
                "account": {"login": installation.owner, "type": "Organization"},
                "suspended_at": installation.suspended.then(|| json::time(state.now())),
            })
        })
        .collect();
    let shown: Vec<Value> = all.iter().skip((page - 1) * size).take(size).cloned().collect();
    let mut reply = Reply::json(200, &Value::Array(shown));
    if page * size < all.len() {
        let next =
            format!("{}/api/v3/app/installations?per_page={size}&page={}", state.url, page + 1);
        reply.headers.push(("link", format!("<{next}>; rel=\"next\"")));
    }
    reply
}

pub(super) fn access_token(state: &mut State, app: Option<u64>, id: &str) -> Reply {
    let installation = id.parse().ok().and_then(|id: u64| state.installations.get(&id)).cloned();
    let access = match (&installation, app) {
        (Some(installation), Some(app)) if installation.app == app => {
            if installation.suspended {
                return Reply::message(403, "This installation has been suspended");
            }
            Access::Owner(installation.owner.clone())
        }
        // Without an application anybody gets a token that sees everything.
        _ if state.apps.is_empty() => Access::All,
        _ => return Reply::message(404, "Not Found"),
    };
    let number = state.fresh();
    let secret = format!("ghs_model{number}");
    let lasts = app.and_then(|app| state.apps.get(&app)).map_or(3600, |app| app.token_lasts);
    let expires_at = state.now() + lasts;
    let meter = state.tokens.values().find(|token| token.name == format!("installation {id}"));
    let fresh = || Meter::new(Limits { core: 12_500, graphql: 12_500, ..Limits::github() });
    // The budget is the installation's, whichever token spends it.
    let meter = meter.map_or_else(fresh, |token| token.meter.clone());
    let token = Token {
        name: format!("installation {id}"),
        login: "crosswatch[bot]".to_owned(),
        access,
        writes: true,
        meter,
        expires_at: Some(expires_at),
    };
    state.user("crosswatch[bot]");
    state.tokens.insert(secret.clone(), token);
    let expires_at = json::time(expires_at);
    Reply::json(201, &json!({"token": secret, "expires_at": expires_at, "permissions": {}}))
}
