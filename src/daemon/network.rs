//! The one network client, by what the configuration says.

use crosswatch_core::model::settings::Settings;

use super::DaemonError;
use crate::config::Secrets;
use crate::http::{HttpClient, Proxy};

/// The client that everything shares.
pub(super) fn client(settings: &Settings, secrets: &Secrets) -> Result<HttpClient, DaemonError> {
    let made = match &settings.proxy {
        None => HttpClient::new(),
        Some(proxy) => {
            let password = proxy.password.as_ref().map(|reference| secrets.resolve(reference));
            let password = password.transpose().map_err(|error| DaemonError::Secret {
                what: "proxy.password".to_owned(),
                why: error.to_string(),
            })?;
            let login = proxy.user.clone().map(|user| (user, password.unwrap_or_default()));
            let (url, except) = (proxy.url.clone(), proxy.except.clone());
            HttpClient::through(&Proxy { url, except, login })
        }
    };
    made.map_err(|error| DaemonError::Http { why: error.to_string() })
}
