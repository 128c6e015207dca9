//! Webhooks: made from what happened, signed, sent, and noted in the delivery log.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::json;
use crate::Shared;
use crate::acts::Told;
use crate::fault::{HookWhat, strike_hook};
use crate::world::{Delivery, Hook, HookTarget, State};

/// GitHub's time for an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Sends what is told to every hook that listens.
pub(crate) fn send(shared: &Arc<Shared>, state: &mut State, id: u64, told: Told) {
    for (event, action, mut extra) in told {
        // A push to a fork is told by the fork, the change that follows by its own repository.
        let of = extra.as_object_mut().and_then(|extra| extra.remove("of"));
        let repository_id = of.and_then(|of| of.as_u64()).unwrap_or(id);
        let Some(repository) = state.repositories.get(&repository_id) else { continue };
        let mut payload = json!({
            "repository": json::repository(state, repository),
            "sender": json::user(state, Some(&repository.owner)),
        });
        if event == "push" {
            let email = format!("{}@model.invalid", repository.owner);
            payload["pusher"] = json!({"name": repository.owner, "email": email});
        }
        if let (Some(payload), Some(extra)) = (payload.as_object_mut(), extra.as_object()) {
            if let Some(action) = action {
                payload.insert("action".to_owned(), Value::from(action));
            }
            payload.extend(extra.clone());
        }
        let owner = repository.owner.to_lowercase();
        let listens = |hook: &&Hook| match &hook.target {
            HookTarget::Repository(only) => *only == repository_id,
            HookTarget::Organization(only) => *only == owner,
            HookTarget::App => true,
        };
        let hooks: Vec<Hook> = state.hooks.iter().filter(listens).cloned().collect();
        for hook in hooks {
            let number = state.fresh();
            let delivery = Delivery {
                id: number,
                guid: guid(number),
                hook: hook.id,
                event: event.to_owned(),
                action: action.map(str::to_owned),
                repository: repository_id,
                target: target_id(state, &hook.target),
                delivered_at: state.now(),
                status: 0,
                redelivery: false,
                payload: payload.to_string(),
            };
            state.delivered(delivery.clone());
            let what = strike_hook(&mut state.hook_faults, event);
            go(shared, hook, delivery, what);
        }
    }
}

/// Sends a delivery once more, under its own id.
pub(crate) fn again(shared: &Arc<Shared>, state: &mut State, id: u64) -> bool {
    let Some(old) = state.deliveries.iter().find(|delivery| delivery.id == id).cloned() else {
        return false;
    };
    let Some(hook) = state.hooks.iter().find(|hook| hook.id == old.hook).cloned() else {
        return false;
    };
    let number = state.fresh();
    let delivered_at = state.now();
    let delivery = Delivery { id: number, delivered_at, status: 0, redelivery: true, ..old };
    state.delivered(delivery.clone());
    go(shared, hook, delivery, None);
    true
}

/// An entry of the delivery log.
pub(crate) fn entry(delivery: &Delivery) -> Value {
    let status = match delivery.status {
        200..300 => "OK",
        0 => "failed to connect to host",
        _ => "Invalid HTTP Response",
    };
    json!({
        "id": delivery.id, "guid": delivery.guid, "delivered_at": json::time(delivery.delivered_at),
        "redelivery": delivery.redelivery, "duration": 0.1, "status": status,
        "status_code": delivery.status, "event": delivery.event, "action": delivery.action,
        "installation_id": null, "repository_id": delivery.repository, "throttled_at": null,
    })
}

/// The forge's own id of what a hook belongs to.
fn target_id(state: &mut State, target: &HookTarget) -> u64 {
    match target {
        HookTarget::Repository(id) => *id,
        HookTarget::Organization(owner) => state.user(owner).id,
        HookTarget::App => 1,
    }
}

fn go(shared: &Arc<Shared>, hook: Hook, delivery: Delivery, what: Option<HookWhat>) {
    if what == Some(HookWhat::Lose) {
        return;
    }
    let back = Arc::clone(shared);
    let _sender = shared.runtime.spawn(async move {
        match what {
            Some(HookWhat::Late(wait)) => tokio::time::sleep(wait).await,
            Some(HookWhat::Shuffle(within)) => {
                let part = Sha256::digest(&delivery.guid)[0];
                tokio::time::sleep(within * u32::from(part) / 256).await;
            }
            _ => {}
        }
        let times = if what == Some(HookWhat::Duplicate) { 2 } else { 1 };
        for _ in 0..times {
            let sent = tokio::time::timeout(DEADLINE, post(&hook, &delivery, what)).await;
            let status = sent.ok().and_then(Result::ok).unwrap_or(0);
            let mut state = back.state();
            let noted = state.deliveries.iter_mut().find(|noted| noted.id == delivery.id);
            if let Some(noted) = noted {
                noted.status = status;
            }
        }
    });
}

async fn post(
    hook: &Hook,
    delivery: &Delivery,
    what: Option<HookWhat>,
) -> Result<u16, std::io::Error> {
    let bad = || std::io::Error::other("the hook's URL is http://HOST:PORT/PATH");
    let url = url::Url::parse(&hook.url).map_err(|_| bad())?;
    let (host, port) = (url.host_str().ok_or_else(bad)?, url.port().unwrap_or(80));
    let mut stream = tokio::net::TcpStream::connect((host, port)).await?;
    let mut head = format!(
        "POST {} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\
         user-agent: GitHub-Hookshot/model\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nx-github-event: {}\r\nx-github-delivery: {}\r\n\
         x-github-hook-id: {}\r\nx-github-hook-installation-target-type: {}\r\n\
         x-github-hook-installation-target-id: {}\r\n",
        url.path(),
        delivery.payload.len(),
        delivery.event,
        delivery.guid,
        hook.id,
        hook.target.kind(),
        delivery.target,
    );
    let secret = match what {
        Some(HookWhat::BadSignature) => "another secret",
        _ => hook.secret.as_str(),
    };
    if what != Some(HookWhat::Unsigned) {
        let signature = sign(secret, delivery.payload.as_bytes());
        head.push_str(&format!("x-hub-signature-256: sha256={signature}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    stream.write_all(delivery.payload.as_bytes()).await?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    status.and_then(|digits| digits.parse().ok()).ok_or_else(bad)
}

fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is right");
    mac.update(body);
    hex(&mac.finalize().into_bytes())
}

fn guid(number: u64) -> String {
    let hex = hex(&Sha256::digest(format!("delivery {number}")));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
