//! How a forge is asked: conditional requests and the governor against a model that keeps GitHub's limits.

use std::collections::BTreeSet;
use std::sync::Arc;

use crosswatch::clock::Clock;
use crosswatch::forge::governor::Governor;
use crosswatch::http::conditional::{AskError, Bounds, Conditional, Freshness, Reply};
use crosswatch::http::{Api, Gate, HttpClient, Method, Pages, Toll, Urgency};
use crosswatch::task::Tasks;
use crosswatch_core::model::time::Span;
use forge_model::{Edit, Fault, Model, NewChange, What};

use crate::support::eventually;

struct Site {
    model: Model,
    tasks: Tasks,
    folder: tempfile::TempDir,
    ask: Conditional,
    deadline: Span,
}

type Numbers = Vec<u64>;

impl Site {
    async fn new() -> Self {
        let model = Model::start().await;
        model.token("main", "secret");
        let (tasks, folder) = (Tasks::new(), tempfile::tempdir().expect("a folder"));
        let ask = open(&tasks, folder.path()).await;
        Self { model, tasks, folder, ask, deadline: Span::seconds(2) }
    }

    fn api(&self) -> Api {
        let api = Api::new(&self.model.api_url()).expect("an API");
        api.authorization("main", "Bearer secret".to_owned())
    }

    fn toll(&self) -> Toll {
        self.api().toll("core", 1, Urgency::Poll)
    }

    async fn list(&self, name: &str) -> Result<Pages<Numbers>, AskError> {
        let api = self.api();
        let path = format!("/repos/{name}/pulls?state=open&per_page=100");
        let request = api.request(Method::GET, &path).expect("a request");
        let request = request.deadline(self.deadline);
        self.ask.pages(&api, &self.toll(), request, numbers).await
    }

    async fn whole(&self, name: &str) -> BTreeSet<u64> {
        let read = self.list(name).await.expect("pages");
        let Pages::Whole { pages, .. } = read else { return BTreeSet::new() };
        pages.iter().flat_map(|page| page.to_vec()).collect()
    }

    async fn end(self) {
        self.tasks.stop().await;
        assert_eq!(self.tasks.panicked(), Vec::<String>::new());
    }
}

async fn open(tasks: &Tasks, folder: &std::path::Path) -> Conditional {
    let file = Some(folder.join("governor.json"));
    let governor = Governor::start(Clock::system(), tasks, file).await;
    let gate: Arc<dyn Gate> = Arc::new(governor);
    let client = HttpClient::new().expect("a client");
    let answers = Some(folder.join("answers"));
    let (clock, bounds) = (Clock::system(), Bounds::default());
    Conditional::new(client, clock, tasks.clone(), Some(gate), answers, bounds).await
}

fn numbers(body: &[u8]) -> Result<Numbers, String> {
    let items: Vec<serde_json::Value> =
        serde_json::from_slice(body).map_err(|error| error.to_string())?;
    items.iter().map(|item| item["number"].as_u64().ok_or("no number".to_owned())).collect()
}

#[tokio::test]
async fn at_rest_nothing_is_paid_and_a_restart_changes_nothing() {
    let mut site = Site::new().await;
    let names: Vec<String> = (0..20).map(|n| format!("org/r{n}")).collect();
    for name in &names {
        site.model.repository(name);
        site.model.open(name, NewChange::default());
    }
    for name in &names {
        assert_eq!(site.whole(name).await, [1].into());
    }
    let answers = site.folder.path().join("answers");
    eventually("everything is kept", async || {
        let ending = |path: std::path::PathBuf| path.extension().is_some_and(|e| e == "answer");
        let files = std::fs::read_dir(&answers).expect("a folder");
        files.filter(|file| ending(file.as_ref().expect("a file").path())).count() == 20
    })
    .await;
    for restart in [false, true] {
        if restart {
            site.ask = open(&site.tasks, site.folder.path()).await;
        }
        site.model.forget_requests();
        for name in &names {
            assert_eq!(site.whole(name).await, [1].into());
        }
        let total = site.model.requests().total();
        assert_eq!((total.requests, total.not_modified, total.points), (20, 20, 0), "{restart}");
    }
    site.model.open("org/r3", NewChange { branch: "more".to_owned(), ..NewChange::default() });
    assert_eq!(site.whole("org/r3").await, [1, 2].into());
    assert_eq!(site.model.requests().total().points, 1);
    site.end().await;
}

#[tokio::test]
async fn another_token_of_the_same_name_costs_one_round() {
    let site = Site::new().await;
    site.model.token("main", "renewed");
    site.model.repository("org/a");
    let ask = async |secret: &str| {
        let api = Api::new(&site.model.api_url()).expect("an API");
        let api = api.authorization("main", format!("Bearer {secret}"));
        let request = api.request(Method::GET, "/repos/org/a").expect("a request");
        let toll = api.toll("core", 1, Urgency::Poll);
        let reply = site.ask.get(toll, request, |body| Ok(body.len())).await.expect("a reply");
        let Reply::Value { value, freshness, .. } = reply else { panic!("{reply:?}") };
        (value, freshness)
    };
    let (first, _) = ask("secret").await;
    // ETags belong to the token: everything is read again, and nothing changed.
    let (second, freshness) = ask("renewed").await;
    assert_eq!(freshness, Freshness::Unchanged);
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(ask("renewed").await.1, Freshness::Revalidated);
    assert_eq!(site.model.requests().total().points, 2);
    site.end().await;
}

#[tokio::test]
async fn none_of_many_changes_is_missed_while_the_list_moves() {
    let mut site = Site::new().await;
    // A busy machine answers late, which is not what is tested.
    site.deadline = Span::minutes(1);
    site.model.repository("org/a");
    for n in 0..300 {
        let branch = format!("topic-{n}");
        site.model.open("org/a", NewChange { branch, ..NewChange::default() });
    }
    // Each page that is read is followed by the end of a change on an earlier one.
    let mut closing = (201..=300).rev();
    for round in 0..3 {
        let read = async {
            loop {
                match site.list("org/a").await {
                    Ok(Pages::Whole { pages, .. }) => break pages,
                    // It moved all the time; the next look is the answer.
                    Err(AskError::Endless { .. }) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        let close = async {
            for _ in 0..3 {
                let seen = site.model.requests().total().requests;
                eventually("a page is read", async || {
                    site.model.requests().total().requests > seen
                })
                .await;
                site.model.edit("org/a", closing.next().expect("one more"), Edit::Close);
            }
            std::future::pending().await
        };
        let pages = tokio::select! {
            pages = read => pages,
            () = close => panic!("it never ends"),
        };
        let read: BTreeSet<u64> = pages.iter().flat_map(|page| page.to_vec()).collect();
        let missed: Vec<u64> = (1..=200).filter(|number| !read.contains(number)).collect();
        assert_eq!(missed, Vec::<u64>::new(), "round {round}");
    }
    site.end().await;
}

#[tokio::test]
async fn limits_are_never_met() {
    let site = Site::new().await;
    for n in 0..60 {
        site.model.repository(&format!("org/r{n}"));
    }
    site.model.state().latency = Span(30).to_std();
    let wait = vec![("retry-after".to_owned(), "1".to_owned())];
    let refusal = What::Status(429, wait, "{}".to_owned());
    site.model.fault(Fault::on("GET", refusal).after(30).times(1));
    let mut all = tokio::task::JoinSet::new();
    for n in 0..60 {
        let (api, toll, ask) = (site.api(), site.toll(), site.ask.clone());
        all.spawn(async move {
            let request = api.request(Method::GET, &format!("/repos/org/r{n}")).expect("a request");
            ask.get(toll, request, |body| Ok(body.len())).await.expect("an answer")
        });
    }
    let mut refused = 0;
    while let Some(reply) = all.join_next().await {
        refused += usize::from(matches!(reply.expect("no panic"), Reply::Status(_)));
    }
    let seen = site.model.requests();
    assert!(seen.most_in_flight <= 10, "{}", seen.most_in_flight);
    assert!(seen.most_in_a_minute <= 900);
    assert_eq!(seen.early, 0);
    // The one that was told to wait, and what was in flight with it.
    assert!((1..=10).contains(&refused), "{refused}");
    site.end().await;
}

#[tokio::test]
async fn no_fault_looks_like_an_empty_list() {
    let site = Site::new().await;
    site.model.repository("org/a");
    site.model.open("org/a", NewChange::default());
    assert_eq!(site.whole("org/a").await, [1].into());
    let status = |status| What::Status(status, Vec::new(), "[]".to_owned());
    let rows = [
        ("401", status(401)),
        ("403", status(403)),
        ("404", status(404)),
        ("410", status(410)),
        ("500", status(500)),
        ("502", status(502)),
        ("cut", What::Cut),
        ("page for people", What::Html),
        ("garbage", What::Garbage(b"{]".to_vec())),
        ("another shape", What::Garbage(b"{\"message\": \"hello\"}".to_vec())),
        ("nothing", What::Garbage(Vec::new())),
        ("no end", What::Hang),
        ("a byte at a time", What::Drip(Span::seconds(1).to_std())),
    ];
    for (what, fault) in rows {
        // What is not a 304 is read whole, so that the fault has a body to strike.
        site.model.star("org/a");
        site.model.fault(Fault::on("/pulls", fault).times(1));
        match site.list("org/a").await {
            Ok(Pages::Whole { pages, .. }) => panic!("{what}: {pages:?}"),
            Ok(Pages::Status(_)) | Err(_) => {}
        }
        assert_eq!(site.whole("org/a").await, [1].into(), "after {what}");
    }
    // A renamed repository is found, and where it is now is told.
    site.model.rename("org/a", "org/b");
    let request = site.api().request(Method::GET, "/repos/org/a").expect("a request");
    let reply = site.ask.get(site.toll(), request, |body| Ok(body.len())).await.expect("a reply");
    let Reply::Value { moved_to: Some(moved_to), freshness: Freshness::Miss, .. } = reply else {
        panic!("{reply:?}");
    };
    assert!(moved_to.contains("/repositories/"), "{moved_to}");
    site.end().await;
}
