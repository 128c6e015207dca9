//! GitHub's own log of what a hook delivered.

use crosswatch_core::model::time::Timestamp;
use serde::Deserialize;

use super::DEADLINE;
use super::failure::Failure;
use crate::forge::Delivered;
use crate::http::conditional::Conditional;
use crate::http::{Api, Bearer, Method, Pages, Urgency};

/// Pages that are read at most; what is older is found when everything is read again.
const PAGES: usize = 10;

/// One page of the log.
type Log = Vec<Delivered>;

/// Who asks.
pub(super) struct Asking<'a> {
    pub(super) api: &'a Api,
    pub(super) ask: &'a Conditional,
    /// What is left out of everything that is said.
    pub(super) token: Option<&'a Bearer>,
}

pub(super) async fn read(
    asking: Asking<'_>,
    place: &str,
    hook: u64,
    since: Timestamp,
) -> Result<Vec<Delivered>, Failure> {
    let Asking { api, ask, token } = asking;
    let at = match place {
        "app" => "app/hook/deliveries?per_page=100".to_owned(),
        place => format!("{place}/hooks/{hook}/deliveries?per_page=100"),
    };
    let about = format!("the log of hook {hook}");
    let old = |page: &Log| page.last().is_some_and(|last| last.at < since);
    let asked = async {
        let request = api.request(Method::GET, &at)?.deadline(DEADLINE);
        let toll = api.toll("core", 1, Urgency::Poll);
        ask.first_pages(api, &toll, request, log, (old, PAGES)).await
    };
    match asked.await {
        Ok(Pages::Whole { pages, .. }) => {
            let all = pages.iter().flat_map(|page| page.iter());
            Ok(all.filter(|entry| entry.at >= since).cloned().collect())
        }
        Ok(Pages::Status(answer)) => Err(Failure::status(about, &answer).without(token)),
        Err(error) => Err(Failure::asking(about, &error).without(token)),
    }
}

#[derive(Deserialize)]
struct Entry {
    guid: String,
    delivered_at: String,
    event: String,
    #[serde(default)]
    status_code: u16,
    #[serde(default)]
    repository_id: Option<u64>,
}

fn log(body: &[u8]) -> Result<Log, String> {
    let entries: Vec<Entry> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let delivered = |entry: Entry| {
        let at = entry.delivered_at.parse::<Timestamp>().map_err(|error| error.to_string())?;
        let Entry { guid, event, repository_id, status_code: status, .. } = entry;
        Ok(Delivered { guid, event, repository_id, at, status })
    };
    entries.into_iter().map(delivered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_log_is_read_and_a_strange_one_is_an_error() {
        let entry = r#"{"id":12,"guid":"0b989ba4-242f-11e5-81e1-c7b6966d2516","delivered_at":
            "2019-06-03T00:57:16Z","redelivery":false,"duration":0.27,"status":"Invalid HTTP",
            "status_code":502,"event":"push","action":null,"installation_id":123,
            "repository_id":456,"url":"","throttled_at":null}"#;
        let read = log(format!("[{entry}]").as_bytes()).expect("a log");
        assert_eq!(read.len(), 1);
        assert_eq!((read[0].status, read[0].repository_id), (502, Some(456)));
        assert_eq!(read[0].at.to_string(), "2019-06-03T00:57:16Z");
        for wrong in ["{}", "[{}]", "[null]", "<html>", "[", &entry.replace("2019", "x")] {
            assert!(log(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
