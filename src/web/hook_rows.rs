//! What `hooks` shows: how forges tell that something moved, and what is wrong with that.

use crosswatch_core::model::identity::Name;
use crosswatch_core::model::settings::{ForgeKind, ForgeSettings, GitHubForge, Settings};
use crosswatch_core::model::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::board::{BoardContent, HookCounts, HookStatus, HooksStatus};

/// What moved longer ago than this should have been announced.
const PROMPT: Span = Span::minutes(1);

/// What moved longer ago than this is not spoken of any more: the hook may have been mended since.
const KEPT: Span = Span::days(1);

/// Names that are shown before the rest is only counted.
const NAMED: usize = 3;

/// Webhooks of a forge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HooksRow {
    /// The forge's name in the configuration.
    pub forge: Name,
    /// The URL to enter at the forge; nothing without `public_url`.
    pub url: Option<String>,
    /// Secrets that are configured.
    pub secrets: usize,
    /// Hooks that were heard.
    pub hooks: Vec<HookRow>,
    /// The last delivery with a right signature since the start.
    pub last_at: Option<Timestamp>,
    /// What became of deliveries since the start.
    pub counts: HookCounts,
    /// What is wrong, with the way out.
    pub wrong: Vec<String>,
}

/// A hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRow {
    /// The forge's own id of it.
    pub hook: u64,
    /// What it belongs to, in the forge's words.
    pub target: String,
    /// Where that is, such as `orgs/rock`.
    pub place: String,
    /// Events that it delivered.
    pub events: Vec<String>,
    /// Last delivery.
    pub last_at: Timestamp,
    /// When the forge's log of its deliveries was read last.
    pub log_read_at: Option<Timestamp>,
    /// Why that log cannot be read.
    pub log: Option<String>,
}

impl HooksRow {
    /// Counts that are not zero, in one line.
    pub fn counted(&self) -> String {
        let counted = self.counts.named().into_iter().filter(|(_, count)| *count > 0);
        let counted: Vec<String> = counted.map(|(word, count)| format!("{count} {word}")).collect();
        if counted.is_empty() { "none yet".to_owned() } else { counted.join(", ") }
    }

    /// How it is, in one line.
    pub fn state(&self) -> String {
        if self.wrong.is_empty() { "ok".to_owned() } else { self.wrong.join("; ") }
    }
}

/// Webhooks of every forge that has them.
pub fn hooks(settings: &Settings, board: &BoardContent, now: Timestamp) -> Vec<HooksRow> {
    let github = |forge: &ForgeSettings| match &forge.kind {
        ForgeKind::GitHub(github) => Some(github.clone()),
        ForgeKind::Git(_) => None,
    };
    let all = settings.forges.values();
    all.filter_map(|forge| Some(row(settings, board, forge, &github(forge)?, now))).collect()
}

/// Whether webhooks of a forge arrive.
pub fn serves(board: &BoardContent, forge: &Name) -> bool {
    board.hooks.get(forge).is_some_and(|status| status.last_at.is_some())
}

fn row(
    settings: &Settings,
    board: &BoardContent,
    forge: &ForgeSettings,
    github: &GitHubForge,
    now: Timestamp,
) -> HooksRow {
    let status = board.hooks.get(&forge.name).cloned().unwrap_or_default();
    let base = settings.public_url.as_deref().map(|url| url.trim_end_matches('/'));
    let secrets = github.webhook_secrets.len();
    let wrong = wrong(&status, base.is_some(), secrets, now);
    HooksRow {
        forge: forge.name.clone(),
        url: base.map(|base| format!("{base}/hooks/{}", forge.name)),
        secrets,
        last_at: status.last_at,
        counts: status.counts,
        hooks: status.hooks.into_iter().map(|(id, hook)| hook_row(id, hook)).collect(),
        wrong,
    }
}

fn hook_row(hook: u64, status: HookStatus) -> HookRow {
    let HookStatus { target, place, events, last_at, log, log_read_at } = status;
    HookRow { hook, target, place, events: events.into_iter().collect(), last_at, log_read_at, log }
}

fn wrong(status: &HooksStatus, has_url: bool, secrets: usize, now: Timestamp) -> Vec<String> {
    let mut wrong: Vec<String> = Vec::new();
    if secrets == 0 {
        wrong.push("no secret: no webhook is taken; set `webhook_secret`".to_owned());
        return wrong;
    }
    if !has_url {
        wrong
            .push("no `public_url`: the URL to enter at the forge is not known; set it".to_owned());
    }
    wrong.extend(status.secret.clone());
    for (id, hook) in &status.hooks {
        let log = hook.log.as_ref();
        wrong.extend(log.map(|why| format!("the log of hook {id} is asked for hourly: {why}")));
    }
    let recent = |at: Timestamp| at + PROMPT < now && at + KEPT > now;
    let late = status.unannounced.iter().filter(|(_, at)| recent(**at));
    let late: Vec<String> = late.map(|(id, _)| id.to_string()).collect();
    if !late.is_empty() {
        let named = late.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = late.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let why = match status.last_at {
            None => "no webhook arrived since the start".to_owned(),
            Some(at) => format!("the last webhook arrived at {at}"),
        };
        wrong.push(format!(
            "{named}{more} moved and no webhook said so ({why}); look at the hook's recent \
             deliveries at the forge"
        ));
    }
    if status.counts.refused > 0 && status.last_at.is_none() {
        wrong.push(
            "only unsigned or wrongly signed webhooks arrive; is the secret the same at the forge?"
                .to_owned(),
        );
    }
    wrong
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crosswatch_core::model::identity::RepositoryId;

    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_the_way_out() {
        let now = Timestamp(1_700_000_000_000);
        let moved = |count: usize, ago: u64| HooksStatus {
            unannounced: (0..count)
                .map(|n| (RepositoryId::new("h", format!("o/r{n}")), now - Span::seconds(ago)))
                .collect(),
            ..HooksStatus::default()
        };
        let log = HookStatus {
            target: "repository".to_owned(),
            place: "repos/a/b".to_owned(),
            events: BTreeSet::new(),
            last_at: now,
            log: Some("status 404".to_owned()),
            log_read_at: None,
        };
        let counts = HookCounts { refused: 3, ..HookCounts::default() };
        let well = HooksStatus { last_at: Some(now), counts, ..HooksStatus::default() };
        let unread = HooksStatus { secret: Some("no file".to_owned()), ..well.clone() };
        let locked = HooksStatus { hooks: [(7, log)].into(), ..well.clone() };
        for (status, has_url, secrets, says) in [
            (HooksStatus::default(), true, 0, &["set `webhook_secret`"][..]),
            (HooksStatus::default(), true, 1, &[]),
            (HooksStatus::default(), false, 2, &["set it"]),
            (well.clone(), true, 1, &[]),
            (HooksStatus { last_at: None, ..well }, true, 1, &["only unsigned"]),
            (unread, true, 1, &["no file"]),
            (locked, true, 1, &["log of hook 7 is asked for hourly: status 404"]),
            (moved(5, 90), true, 1, &["h/o/r0, h/o/r1, h/o/r2 and 2 more moved"]),
            (moved(1, 5), true, 1, &[]),
            (moved(1, 100_000), true, 1, &[]),
        ] {
            let wrong = wrong(&status, has_url, secrets, now);
            assert_eq!(wrong.len(), says.len(), "{wrong:?}");
            for (wrong, says) in wrong.iter().zip(says) {
                assert!(wrong.contains(says), "{wrong}");
            }
        }
    }
}
