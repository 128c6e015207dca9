//! A GitHub that is asked by a token and by an application, over the whole program.

use std::collections::BTreeSet;

use forge_model::{Access, NewChange};
use serde_json::Value;

use super::github::Hub;
use crate::support::eventually;

const APP: u64 = 4711;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_does_not_see_is_read_by_the_installation_of_its_owner() {
    let hub = Hub::new("true", "ref: head", &["one"]).await;
    let key = hub.site.path().join("app.pem");
    std::fs::write(&key, hub.model.app(APP)).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, mode).expect("a mode");
    let installation = hub.model.install(APP, "rock");
    let app = format!("app: {{id: {APP}, key: {{file: {}}}}}", key.display());
    hub.forge("interval: 1s", &app);
    for name in ["types", "drivers", "gui"] {
        hub.model.set_private(&format!("rock/{name}"), true);
    }
    if let Some(token) = hub.model.state().tokens.values_mut().next() {
        token.access = Access::Only(BTreeSet::new());
    }
    let _daemon = hub.site.start().await;
    hub.site.settled(&["one"]).await;
    hub.open("drivers", NewChange::default());
    hub.built(&hub.change("drivers", 1), 1).await;
    let forges = || hub.site.ask(&["forges"]).expect("an answer")["forges"].take();
    let installed = format!("hub: app {APP}, installation {installation}");
    eventually("both are shown", async || {
        let rows = forges();
        let hub = rows.as_array().expect("rows").iter().find(|row| row["name"] == "hub");
        let credentials = &hub.expect("the forge")["credentials"];
        let all = credentials.as_array().expect("credentials");
        let of = |name: &str| all.iter().find(|row| row["name"].as_str() == Some(name));
        let good = |row: &Value| row["failure"].is_null() && row["budget"] != "";
        all.len() == 2
            && all.iter().any(|row| row["name"].as_str().is_some_and(|n| n.contains("file ")))
            && of(&installed).is_some_and(good)
    })
    .await;
    let text = String::from_utf8_lossy(&hub.site.cli(&["forges"]).stdout).into_owned();
    assert!(text.contains(&installed) && !text.contains("ghs_"), "{text}");
    assert!(!hub.site.log().contains("ghs_"), "a token is in the log");
}
