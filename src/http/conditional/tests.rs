//! Conditional requests against a real server that says what it was asked.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use reqwest::Method;

use super::*;
use crate::http::{Api, Pages, Urgency};

type Answers = Box<dyn FnMut(&Asked) -> Response<Body> + Send>;

/// What the server was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    path: String,
    condition: Option<String>,
}

struct Server {
    url: String,
    log: Arc<Mutex<Vec<Asked>>>,
    /// Requests are held while this is locked.
    hold: Arc<tokio::sync::Mutex<()>>,
    tasks: Tasks,
}

struct Shared {
    answers: Mutex<Answers>,
    log: Arc<Mutex<Vec<Asked>>>,
    hold: Arc<tokio::sync::Mutex<()>>,
}

impl Server {
    async fn start(answers: impl FnMut(&Asked) -> Response<Body> + Send + 'static) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        let hold = Arc::new(tokio::sync::Mutex::new(()));
        let shared = Arc::new(Shared {
            answers: Mutex::new(Box::new(answers)),
            log: Arc::clone(&log),
            hold: Arc::clone(&hold),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/api/", listener.local_addr().expect("an address"));
        let app = axum::Router::new().fallback(answer).with_state(shared);
        let tasks = Tasks::new();
        tasks.spawn("server", async move { axum::serve(listener, app).await.expect("it serves") });
        Self { url, log, hold, tasks }
    }

    fn api(&self, credential: &str) -> Api {
        Api::new(&self.url).expect("an API").authorization(credential, "Bearer canary".to_owned())
    }

    /// What was asked since the last call.
    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.log.lock().expect("a log"))
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let condition = request.headers().get("if-none-match");
    let asked = Asked {
        path: request.uri().to_string(),
        condition: condition.map(|value| value.to_str().expect("text").to_owned()),
    };
    shared.log.lock().expect("a log").push(asked.clone());
    drop(shared.hold.lock().await);
    (shared.answers.lock().expect("answers"))(&asked)
}

fn plain(status: u16, etag: Option<&str>, body: &str) -> Response<Body> {
    let mut response = Response::builder().status(status);
    if let Some(etag) = etag {
        response = response.header("etag", etag);
    }
    response.body(Body::from(body.to_owned())).expect("a response")
}

/// As a server with ETags answers.
fn tagged(asked: &Asked, etag: &str, body: &str) -> Response<Body> {
    let matches = asked.condition.as_deref() == Some(etag);
    if matches { plain(304, Some(etag), "") } else { plain(200, Some(etag), body) }
}

struct Site {
    server: Server,
    tasks: Tasks,
    clock: Clock,
    folder: tempfile::TempDir,
    conditional: Conditional,
    parsed: Arc<AtomicUsize>,
}

impl Site {
    async fn new(answers: impl FnMut(&Asked) -> Response<Body> + Send + 'static) -> Self {
        let server = Server::start(answers).await;
        let folder = tempfile::tempdir().expect("a folder");
        let tasks = Tasks::new();
        let clock = Clock::manual(Timestamp(1_800_000_000_000));
        let conditional = open(&folder, &tasks, &clock).await;
        Self { server, tasks, clock, folder, conditional, parsed: Arc::default() }
    }

    async fn restart(&mut self) {
        self.conditional = open(&self.folder, &self.tasks, &self.clock).await;
    }

    async fn ask(&self, path: &str) -> Result<Reply<u32>, AskError> {
        self.ask_as("main", path).await
    }

    async fn ask_as(&self, credential: &str, path: &str) -> Result<Reply<u32>, AskError> {
        let api = self.server.api(credential);
        let request = api.request(Method::GET, path).expect("a request");
        let parsed = Arc::clone(&self.parsed);
        let parse = move |body: &[u8]| {
            parsed.fetch_add(1, Ordering::SeqCst);
            serde_json::from_slice(body).map_err(|error| error.to_string())
        };
        self.conditional.get(api.toll("core", 1, Urgency::Poll), request, parse).await
    }

    async fn value(&self, path: &str) -> (Arc<u32>, Freshness) {
        match self.ask(path).await.expect("a reply") {
            Reply::Value { value, freshness, .. } => (value, freshness),
            Reply::Status(answer) => panic!("{answer:?}"),
        }
    }

    async fn shelved(&self, files: usize) {
        let count = || std::fs::read_dir(self.folder.path()).expect("a folder").count();
        for _ in 0..1000 {
            if count() == files && !self.conditional.0.entries().any_unshelved() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("{} files", count());
    }

    async fn list(&self, path: &str) -> Result<Pages<Vec<u32>>, AskError> {
        let api = self.server.api("main");
        let request = api.request(Method::GET, path).expect("a request");
        let parse = |body: &[u8]| serde_json::from_slice(body).map_err(|error| error.to_string());
        self.conditional.pages(&api, &api.toll("core", 1, Urgency::Poll), request, parse).await
    }

    async fn end(self) {
        self.tasks.stop().await;
        self.server.tasks.stop().await;
        assert_eq!(self.tasks.panicked(), Vec::<String>::new());
    }
}

async fn open(folder: &tempfile::TempDir, tasks: &Tasks, clock: &Clock) -> Conditional {
    let client = HttpClient::new().expect("a client");
    let folder = Some(folder.path().to_owned());
    Conditional::new(client, clock.clone(), tasks.clone(), None, folder, Bounds::default()).await
}

fn conditions(asked: &[Asked]) -> Vec<Option<&str>> {
    asked.iter().map(|asked| asked.condition.as_deref()).collect()
}

#[tokio::test]
async fn what_did_not_change_is_neither_sent_nor_parsed_again() {
    let mut body = 1;
    let site = Site::new(move |asked| {
        body += usize::from(asked.path.contains("next"));
        tagged(asked, &format!("W/\"{body}\""), &body.to_string())
    })
    .await;
    let (first, freshness) = site.value("a").await;
    assert_eq!((*first, freshness), (1, Freshness::Miss));
    let (second, freshness) = site.value("a").await;
    assert_eq!(freshness, Freshness::Revalidated);
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(site.parsed.load(Ordering::SeqCst), 1);
    site.value("next").await;
    let (third, freshness) = site.value("a").await;
    assert_eq!((*third, freshness), (2, Freshness::Changed));
    assert_eq!(conditions(&site.server.asked()), [None, Some("W/\"1\""), None, Some("W/\"1\"")]);
    let counts = Counts { miss: 2, changed: 1, revalidated: 1, ..Counts::default() };
    assert_eq!(site.conditional.counts(), counts);
    // Another credential knows nothing of it.
    site.ask_as("other", "a").await.expect("a reply");
    assert_eq!(conditions(&site.server.asked()), [None]);
    site.end().await;
}

#[tokio::test]
async fn only_whole_parsed_answers_with_a_tag_are_kept() {
    let site = Site::new(|asked| match asked.path.as_str() {
        "/api/missing" => plain(404, Some("\"x\""), "1"),
        "/api/broken" => plain(200, Some("\"x\""), "<html>"),
        "/api/error" => plain(500, Some("\"x\""), "1"),
        "/api/untagged" => plain(200, None, "1"),
        "/api/odd" => plain(200, Some("x"), "1"),
        "/api/private" => {
            let mut response = plain(200, Some("\"x\""), "1");
            response.headers_mut().insert("cache-control", "no-store".parse().expect("a value"));
            response
        }
        "/api/large" => plain(200, Some("\"x\""), &" ".repeat(4 * 1024 * 1024 + 1)),
        "/api/moved" => {
            let mut response = plain(301, Some("\"m\""), "");
            let to = "/api/target".parse().expect("a value");
            response.headers_mut().insert("location", to);
            response
        }
        _ => plain(200, Some("\"x\""), "1"),
    })
    .await;
    for path in ["missing", "broken", "error", "untagged", "odd", "private", "large", "moved"] {
        for _ in 0..2 {
            match site.ask(path).await {
                Err(AskError::Unreadable { .. }) => assert!(["broken", "large"].contains(&path)),
                Ok(Reply::Status(answer)) => assert!(answer.status.as_u16() >= 400),
                Ok(Reply::Value { freshness, moved_to, .. }) => {
                    assert_eq!(freshness, Freshness::Miss, "{path}");
                    assert_eq!(moved_to.is_some(), path == "moved");
                }
                Err(error) => panic!("{path}: {error}"),
            }
        }
        assert!(conditions(&site.server.asked()).iter().all(Option::is_none), "{path}");
    }
    assert_eq!(site.conditional.kept(), (0, 0));
    let api = site.server.api("main");
    for request in [
        api.request(Method::POST, "a").expect("a request"),
        api.request(Method::GET, "a").expect("a request").body("x"),
    ] {
        let toll = api.toll("core", 1, Urgency::Poll);
        let asked = site.conditional.get::<u32, _>(toll, request, |_| Ok(1)).await;
        assert!(matches!(asked, Err(AskError::Http(HttpError::BadRequest { .. }))));
    }
    assert_eq!(site.server.asked(), []);
    site.end().await;
}

#[tokio::test]
async fn a_body_that_was_cut_is_not_kept() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let tasks = Tasks::new();
    let conditional = Conditional::new(
        HttpClient::new().expect("a client"),
        Clock::system(),
        tasks.clone(),
        None,
        None,
        Bounds::default(),
    )
    .await;
    tasks.spawn("server", async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.expect("a request");
            let head = String::from_utf8_lossy(&request[..read]).into_owned();
            assert!(!head.contains("if-none-match"), "{head}");
            let answer = "HTTP/1.1 200 OK\r\netag: \"x\"\r\ncontent-length: 9\r\n\r\n12";
            stream.write_all(answer.as_bytes()).await.expect("written");
        }
    });
    let api = Api::new(&url).expect("an API");
    for _ in 0..2 {
        let request = api.request(Method::GET, "a").expect("a request");
        let toll = api.toll("core", 1, Urgency::Poll);
        let asked = conditional.get(toll, request, |_| Ok(1_u32)).await;
        assert!(matches!(asked, Err(AskError::Http(HttpError::Broken { .. }))), "{asked:?}");
    }
    tasks.stop().await;
    assert_eq!(tasks.panicked(), Vec::<String>::new());
}

#[tokio::test]
async fn tags_are_compared_weakly_and_wrong_304s_are_not_believed() {
    let mut times = BTreeMap::new();
    let site = Site::new(move |asked| {
        let time = times.entry(asked.path.clone()).or_insert(0);
        *time += 1;
        match (asked.path.as_str(), *time) {
            ("/api/weak", 2) => plain(304, Some("\"a\""), ""),
            ("/api/other", 2) => plain(304, Some("\"b\""), ""),
            ("/api/never", _) => plain(304, Some("\"b\""), ""),
            (_, time) => plain(200, Some("W/\"a\""), &time.to_string()),
        }
    })
    .await;
    for (path, freshness, value) in
        [("weak", Freshness::Revalidated, 1), ("other", Freshness::Changed, 3)]
    {
        site.value(path).await;
        let (read, how) = site.value(path).await;
        assert_eq!((*read, how), (value, freshness), "{path}");
    }
    assert!(matches!(site.ask("never").await, Err(AskError::Unasked { .. })));
    site.end().await;
}

#[tokio::test]
async fn a_restart_costs_no_quota() {
    let mut site = Site::new(|asked| tagged(asked, "\"a\"", "7")).await;
    for path in ["a", "b", "c"] {
        site.value(path).await;
    }
    site.shelved(3).await;
    for entry in std::fs::read_dir(site.folder.path()).expect("a folder") {
        let text = std::fs::read(entry.expect("an entry").path()).expect("a file");
        assert!(!String::from_utf8_lossy(&text).contains("canary"));
    }
    site.restart().await;
    assert_eq!(site.conditional.kept(), (3, 3));
    site.server.asked();
    site.parsed.store(0, Ordering::SeqCst);
    for round in 0..2 {
        let (value, freshness) = site.value("a").await;
        assert_eq!((*value, freshness), (7, Freshness::Revalidated), "{round}");
    }
    assert_eq!(site.parsed.load(Ordering::SeqCst), 1);
    assert_eq!(conditions(&site.server.asked()), [Some("\"a\""), Some("\"a\"")]);
    // A file that was damaged, one that is torn, one of somebody else.
    site.restart().await;
    let files = std::fs::read_dir(site.folder.path()).expect("a folder");
    for (damaged, entry) in files.enumerate() {
        let path = entry.expect("an entry").path();
        let mut text = std::fs::read(&path).expect("a file");
        match damaged {
            0 => *text.last_mut().expect("a body") = b'8',
            1 => text.truncate(text.len() - 1),
            _ => text = b"{".to_vec(),
        }
        std::fs::write(path, text).expect("written");
    }
    std::fs::write(site.folder.path().join("notes.txt"), "mine").expect("written");
    for path in ["a", "b", "c"] {
        assert_eq!(site.value(path).await.1, Freshness::Unchanged, "{path}");
    }
    assert_eq!(conditions(&site.server.asked()), [None, None, None]);
    assert!(site.folder.path().join("notes.txt").exists());
    site.end().await;
}

#[tokio::test]
async fn a_stale_304_is_believed_for_an_hour_at_most() {
    // A server that says for ever that nothing changed.
    let mut body = 0;
    let mut site = Site::new(move |asked| {
        body += 1;
        let status = if asked.condition.is_some() { 304 } else { 200 };
        plain(status, Some("\"a\""), &(body / 100).to_string())
    })
    .await;
    let (first, _) = site.value("a").await;
    let mut last = *first;
    let mut unconditional = 0;
    for minute in 0..150 {
        site.clock.advance(Span::minutes(1));
        if minute == 100 {
            site.shelved(1).await;
            site.restart().await;
        }
        let (value, freshness) = site.value("a").await;
        if freshness != Freshness::Revalidated {
            unconditional += 1;
            // The third time that it is read nothing is new.
            let changed = *value != std::mem::replace(&mut last, *value);
            assert_eq!(changed, freshness == Freshness::Changed, "minute {minute}: {freshness:?}");
            assert!(*value != *first || Arc::ptr_eq(&first, &value));
        }
    }
    assert!((2..=3).contains(&unconditional), "{unconditional}");
    site.end().await;
}

#[tokio::test]
async fn the_same_question_at_once_is_one_request() {
    let site = Arc::new(Site::new(|asked| tagged(asked, "\"a\"", "7")).await);
    let held = site.server.hold.lock().await;
    let mut askers = tokio::task::JoinSet::new();
    let first = {
        let site = Arc::clone(&site);
        askers.spawn(async move { drop(site.value("a").await) })
    };
    while site.server.log.lock().expect("a log").is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let arrived = Arc::new(AtomicUsize::new(0));
    for _ in 0..20 {
        let (site, arrived) = (Arc::clone(&site), Arc::clone(&arrived));
        askers.spawn(async move {
            arrived.fetch_add(1, Ordering::SeqCst);
            assert_eq!(*site.value("a").await.0, 7);
        });
    }
    while arrived.load(Ordering::SeqCst) < 20 {
        tokio::task::yield_now().await;
    }
    // Whoever asked first goes; the others lose nothing.
    first.abort();
    tokio::task::yield_now().await;
    drop(held);
    let mut good = 0;
    while let Some(ended) = askers.join_next().await {
        good += usize::from(ended.is_ok());
    }
    assert_eq!(good, 20);
    assert_eq!(site.server.asked().len(), 1);
    assert_eq!(site.conditional.counts().coalesced, 20);
    // When all go, so does the request; the next one asks anew.
    let held = site.server.hold.lock().await;
    let alone = {
        let site = Arc::clone(&site);
        askers.spawn(async move { drop(site.value("b").await) })
    };
    while site.server.log.lock().expect("a log").is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    alone.abort();
    drop(held);
    while askers.join_next().await.is_some() {}
    assert_eq!(*site.value("b").await.0, 7);
    Arc::into_inner(site).expect("nobody else").end().await;
}

/// A list of numbers in pages of three, with or without tags.
fn page(asked: &Asked, all: &[u32], tags: bool) -> Response<Body> {
    let (path, number) = asked.path.split_once("page=").unwrap_or((&asked.path, "1"));
    let number: usize = number.parse().expect("a number");
    let body =
        serde_json::to_string(&all.iter().skip(3 * (number - 1)).take(3).collect::<Vec<_>>());
    let body = body.expect("numbers");
    let etag = format!("\"{}\"", shelf::digest(body.as_bytes()));
    let mut response = if tags { tagged(asked, &etag, &body) } else { plain(200, None, &body) };
    if all.len() > 3 * number {
        let path = path.trim_end_matches(['?', '&']);
        let link = format!("<{path}?page={}>; rel=\"next\"", number + 1);
        response.headers_mut().insert("link", link.parse().expect("a value"));
    }
    response
}

fn numbers(pages: Result<Pages<Vec<u32>>, AskError>) -> Vec<u32> {
    match pages.expect("pages") {
        Pages::Whole { pages, .. } => pages.iter().flat_map(|page| page.iter().copied()).collect(),
        Pages::Status(answer) => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn lists_are_read_to_their_end_however_short_a_page_is() {
    let site = Site::new(|asked| {
        let (body, next) = match asked.path.as_str() {
            "/api/list" => ("[1, 2]", Some("/api/list?page=2")),
            "/api/list?page=2" => ("[]", Some("?page=3")),
            "/api/list?page=3" => ("[3]", None),
            "/api/loop" => ("[1]", Some("/api/loop")),
            "/api/other" => ("[1]", Some("https://127.0.0.1:1/api/x")),
            "/api/above" => ("[1]", Some("/elsewhere")),
            "/api/fails" => ("[1]", Some("/api/missing")),
            _ => return plain(404, None, "{}"),
        };
        let mut response = plain(200, Some(&format!("\"{}\"", asked.path)), body);
        if let Some(next) = next {
            let link = format!("<{next}>; rel=\"next\"").parse().expect("a value");
            response.headers_mut().insert("link", link);
        }
        response
    })
    .await;
    assert_eq!(numbers(site.list("list").await), [1, 2, 3]);
    assert!(matches!(site.list("loop").await, Err(AskError::Endless { .. })));
    for path in ["other", "above"] {
        assert!(matches!(site.list(path).await, Err(AskError::Elsewhere { .. })), "{path}");
    }
    assert!(matches!(site.list("fails").await, Ok(Pages::Status(_))));
    site.end().await;
}

#[tokio::test]
async fn a_list_that_moves_between_two_pages_loses_nothing() {
    for tags in [true, false] {
        let all = Arc::new(Mutex::new((1..=10).collect::<Vec<u32>>()));
        let served = Arc::clone(&all);
        let mut closed = false;
        let site = Site::new(move |asked| {
            let mut all = served.lock().expect("numbers");
            // The second item goes just before the second page is read for the first time.
            if asked.path.ends_with("page=2") && !closed {
                closed = true;
                all.remove(1);
            }
            page(asked, &all, tags)
        })
        .await;
        let now = || all.lock().expect("numbers").clone();
        let read = numbers(site.list("list").await);
        assert_eq!(read, now());
        all.lock().expect("numbers").insert(0, 77);
        assert_eq!(numbers(site.list("list").await), now());
        site.server.asked();
        assert_eq!(numbers(site.list("list").await), now());
        let asked = site.server.asked();
        // At rest: one condition a page, or everything twice where there are no tags.
        assert_eq!(asked.len(), if tags { 4 } else { 7 });
        assert_eq!(asked.iter().all(|asked| asked.condition.is_some()), tags);
        site.end().await;
    }
}

#[tokio::test]
async fn a_list_that_never_rests_is_no_list() {
    let mut n = 0;
    let site = Site::new(move |asked| {
        n += 1;
        page(asked, &[n, 1, 2, 3, 4], true)
    })
    .await;
    assert!(matches!(site.list("list").await, Err(AskError::Endless { .. })));
    site.end().await;
}
