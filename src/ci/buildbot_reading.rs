//! What the answers of Buildbot's REST interface mean.

use std::collections::BTreeMap;

use crosswatch_core::model::build::{RequestId, Verdict};
use crosswatch_core::model::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::answer::{Found, RemoteId, line};

/// A build request of the master: one builder's part in what a change set off.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RequestRow {
    #[serde(rename = "buildrequestid")]
    pub(super) id: u64,
    #[serde(rename = "builderid")]
    pub(super) builder: u64,
    #[serde(default)]
    pub(super) complete: bool,
    #[serde(default)]
    pub(super) results: Option<i64>,
    #[serde(default)]
    pub(super) submitted_at: Option<i64>,
    #[serde(default)]
    pub(super) complete_at: Option<i64>,
    #[serde(default)]
    properties: Value,
}

/// A build: one try at a build request.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct BuildRow {
    pub(super) number: u64,
    #[serde(rename = "builderid")]
    pub(super) builder: u64,
    #[serde(default)]
    pub(super) started_at: Option<i64>,
    #[serde(default)]
    pub(super) state_string: Option<String>,
}

/// A change that the master keeps.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ChangeRow {
    #[serde(default)]
    properties: Value,
}

#[derive(Deserialize)]
pub(super) struct RequestPage {
    pub(super) buildrequests: Vec<RequestRow>,
}

#[derive(Deserialize)]
pub(super) struct BuildPage {
    pub(super) builds: Vec<BuildRow>,
}

#[derive(Deserialize)]
pub(super) struct ChangePage {
    pub(super) changes: Vec<ChangeRow>,
}

impl RequestRow {
    /// Whether it was made for that request of ours.
    pub(super) fn is_for(&self, id: RequestId) -> bool {
        carries(&self.properties, id)
    }
}

impl ChangeRow {
    /// Whether it is that request of ours.
    pub(super) fn is_for(&self, id: RequestId) -> bool {
        carries(&self.properties, id)
    }
}

fn carries(properties: &Value, id: RequestId) -> bool {
    // A property is the pair of its value and where it came from.
    properties
        .get("crosswatch_request_id")
        .and_then(|pair| pair.get(0))
        .and_then(Value::as_str)
        .is_some_and(|text| text == id.to_string())
}

/// One builder's newest build request with its builds, newest last.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) request: RequestRow,
    pub(super) builds: Vec<BuildRow>,
}

/// The newest build request of each builder: a person's rebuild takes the place of the first.
pub(super) fn newest_of_each_builder(rows: Vec<RequestRow>) -> Vec<RequestRow> {
    let mut newest: BTreeMap<u64, RequestRow> = BTreeMap::new();
    for row in rows {
        match newest.get(&row.builder) {
            Some(known) if known.id >= row.id => {}
            _ => drop(newest.insert(row.builder, row)),
        }
    }
    newest.into_values().collect()
}

/// What Buildbot's number for a result means; nothing for one that is not final.
pub(super) fn verdict(results: Option<i64>) -> Option<Verdict> {
    match results? {
        0 | 1 => Some(Verdict::Success),
        2 => Some(Verdict::Failure),
        3 | 4 => Some(Verdict::Lost),
        6 => Some(Verdict::Cancelled),
        _ => None,
    }
}

/// Worst first: what ends with it decides what the whole ended with.
const WORST: [Verdict; 4] = [Verdict::Failure, Verdict::Cancelled, Verdict::Lost, Verdict::Success];

/// What all parts together mean; there is at least one.
pub(super) fn found(url: &str, parts: &[Part]) -> Found {
    let remote = parts
        .iter()
        .map(|part| part.request.id)
        .min()
        .and_then(|id| RemoteId::new(&id.to_string()));
    let ends: Vec<Option<Verdict>> = parts
        .iter()
        .map(|part| if part.request.complete { verdict(part.request.results) } else { None })
        .collect();
    let worst = WORST.into_iter().find(|verdict| ends.contains(&Some(*verdict)));
    if let (Some(verdict), false) = (worst, ends.contains(&None)) {
        let deciding = parts.iter().zip(&ends).find(|(_, end)| **end == Some(verdict));
        let part = deciding.map(|(part, _)| part);
        return Found::Ended {
            verdict,
            remote,
            link: part.and_then(|part| page(url, part)),
            ended_at: parts
                .iter()
                .filter_map(|part| part.request.complete_at)
                .max()
                .map(Timestamp::from_seconds),
            summary: part.map(summary),
        };
    }
    let link = parts.iter().find_map(|part| page(url, part));
    if parts.iter().all(|part| part.builds.is_empty()) {
        return Found::Queued { remote, link };
    }
    Found::Running {
        remote,
        link,
        since: parts
            .iter()
            .flat_map(|part| &part.builds)
            .filter_map(|build| build.started_at)
            .min()
            .map(Timestamp::from_seconds),
    }
}

fn page(url: &str, part: &Part) -> Option<String> {
    let build = part.builds.last()?;
    Some(format!("{url}/#/builders/{}/builds/{}", build.builder, build.number))
}

fn summary(part: &Part) -> String {
    match (part.builds.last(), part.request.results) {
        (Some(build), _) => line(build.state_string.as_deref().unwrap_or("build ended")),
        (None, Some(3)) => {
            "the master merged the request with a later one (its collapseRequests)".to_owned()
        }
        (None, Some(6)) => "cancelled before it was built".to_owned(),
        (None, _) => "ended without a build".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(id: u64, builder: u64, results: Option<i64>, builds: u64) -> Part {
        let request = serde_json::json!({
            "buildrequestid": id, "builderid": builder, "complete": results.is_some(),
            "results": results.unwrap_or(-1), "complete_at": 100 + id,
            "properties": {"crosswatch_request_id": ["07".repeat(16), "Change"]},
        });
        let builds = (1..=builds)
            .map(|number| {
                serde_json::from_value(serde_json::json!({
                    "number": number, "builderid": builder, "started_at": 90, "state_string": "x",
                }))
                .unwrap()
            })
            .collect();
        Part { request: serde_json::from_value(request).unwrap(), builds }
    }

    fn end(parts: &[Part]) -> Option<Verdict> {
        match found("http://b", parts) {
            Found::Ended { verdict, .. } => Some(verdict),
            _ => None,
        }
    }

    #[test]
    fn results_are_mapped() {
        for (results, wanted) in [
            (0, Some(Verdict::Success)),
            (1, Some(Verdict::Success)),
            (2, Some(Verdict::Failure)),
            (3, Some(Verdict::Lost)),
            (4, Some(Verdict::Lost)),
            (5, None),
            (6, Some(Verdict::Cancelled)),
            (77, None),
        ] {
            assert_eq!(end(&[part(1, 1, Some(results), 1)]), wanted, "{results}");
        }
        assert!(part(1, 1, None, 0).request.is_for(RequestId([7; 16])));
        assert!(!part(1, 1, None, 0).request.is_for(RequestId([8; 16])));
    }

    #[test]
    fn several_builders_end_with_the_worst_and_last() {
        assert_eq!(end(&[part(1, 1, Some(0), 1), part(2, 2, Some(2), 1)]), Some(Verdict::Failure));
        assert_eq!(end(&[part(1, 1, Some(4), 1), part(2, 2, Some(0), 1)]), Some(Verdict::Lost));
        assert_eq!(end(&[part(1, 1, Some(2), 1), part(2, 2, None, 1)]), None);
        assert!(matches!(found("u", &[part(1, 1, None, 0)]), Found::Queued { .. }));
        assert!(matches!(
            found("u", &[part(1, 1, None, 0), part(2, 2, Some(0), 1)]),
            Found::Running { since: Some(_), link: Some(_), .. }
        ));
    }

    #[test]
    fn a_rebuild_takes_the_place_of_the_first() {
        let rows = vec![
            part(3, 1, Some(0), 0).request,
            part(1, 1, Some(2), 0).request,
            part(2, 2, Some(0), 0).request,
        ];
        let ids: Vec<u64> = newest_of_each_builder(rows).iter().map(|row| row.id).collect();
        assert_eq!(ids, [3, 2]);
    }
}
