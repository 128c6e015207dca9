//! What a 304 costs: the same questions by `Conditional` beside a bare loop over reqwest, turn by turn.
//!
//! The server is this program once more, so that what is counted is the processor time of the client alone.
//! It is plain HTTP/1.1: TLS would cost both the same and make the ratio look better.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "the bare client is what is compared with")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crosswatch::clock::Clock;
use crosswatch::forge::governor::Governor;
use crosswatch::http::conditional::{Bounds, Conditional, Freshness, Reply};
use crosswatch::http::{Api, Gate, HttpClient, Method, Urgency, header};
use crosswatch::task::Tasks;
use crosswatch_core::model::time::Span;
use nix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 31;
/// Questions of each side in a round, over as many repositories.
const QUESTIONS: usize = 200;
/// Times the processor time of the bare loop.
const BAR: f64 = 2.0;
/// Between two questions, so that the governor lets them go at once: 500 a minute.
const PACE: Span = Span(120);
const TOKEN: &str = "Bearer ghs_0123456789abcdefghijklmnopqrstuvwxyz";
const ETAG: &str = "W/\"5c2d29a6ab3ab3f3d5e0f3d2b1b7a1e0d6c5b4a39281706f5e4d3c2b1a090807\"";
const SERVE: &str = "--serve";

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == SERVE) {
        serve();
        return ExitCode::SUCCESS;
    }
    // `cargo test --benches` only has to see that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let (mut server, url) = start();
    // On the runtime's own thread, as in the daemon; on one, since what idle threads cost to wake and to go
    // to sleep depends on how busy the machine is, not on the client.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime");
    let held = runtime.block_on(async { tokio::spawn(measure(url)).await.expect("no panic") });
    server.kill().expect("it runs");
    server.wait().expect("it ends");
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure(url: String) -> bool {
    // The daemon counts requests, so it is part of the price.
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder();
    recorder.expect("a recorder");
    let tasks = Tasks::new();
    let clock = Clock::manual(Clock::system().now());
    let governor: Arc<dyn Gate> = Arc::new(Governor::start(clock.clone(), &tasks, None).await);
    let open = async |gate| {
        let client = HttpClient::new().expect("a client");
        let bounds = Bounds::default();
        Conditional::new(client, clock.clone(), tasks.clone(), gate, None, bounds).await
    };
    let (free, governed) = (open(None).await, open(Some(governor)).await);
    let api = Api::new(&url).expect("an API").authorization("main", TOKEN.to_owned());
    let api = api.header("accept", "application/vnd.github+json".to_owned());
    let api = api.header("x-github-api-version", "2022-11-28".to_owned());
    let client = bare_client();
    let [mut bare, mut ungated, mut gated] = [const { Vec::new() }; 3];
    for round in 0..=ROUNDS {
        let once = [
            bare_loop(&client, &url).await,
            loop_of(&free, &api, &clock, round).await,
            loop_of(&governed, &api, &clock, round).await,
        ];
        // The first round opens connections and reads what the others revalidate.
        if round > 0 {
            for (all, one) in [&mut bare, &mut ungated, &mut gated].into_iter().zip(once) {
                all.push(one);
            }
        }
    }
    tasks.stop().await;
    let base = row("304 by a bare loop", bare);
    let mut held = true;
    for (name, all) in [("304 without a governor", ungated), ("304 with the governor", gated)] {
        let ratio = row(name, all) / base;
        let verdict = if ratio <= BAR { "held" } else { "MISSED" };
        println!("{name:<44} {ratio:.2} times   bar {BAR}: {verdict}");
        held &= ratio <= BAR;
    }
    held
}

/// With the settings of `HttpClient`.
fn bare_client() -> reqwest::Client {
    let builder = reqwest::Client::builder().user_agent("crosswatch").referer(false);
    let builder = builder.redirect(reqwest::redirect::Policy::none());
    let builder = builder.connect_timeout(Duration::from_secs(10)).pool_max_idle_per_host(16);
    builder.tcp_keepalive(Duration::from_secs(30)).build().expect("a client")
}

async fn bare_loop(client: &reqwest::Client, url: &str) -> f64 {
    let before = spent();
    for n in 0..QUESTIONS {
        let request = client
            .get(format!("{url}/{}", path(n)))
            .header(header::AUTHORIZATION, TOKEN)
            .header(header::ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .header(header::IF_NONE_MATCH, ETAG);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 304);
        assert!(answer.bytes().await.expect("a body").is_empty());
    }
    each(before)
}

async fn loop_of(ask: &Conditional, api: &Api, clock: &Clock, round: usize) -> f64 {
    let before = spent();
    for n in 0..QUESTIONS {
        clock.advance(PACE);
        let request = api.request(Method::GET, &path(n)).expect("a request");
        let toll = api.toll("core", 1, Urgency::Poll);
        let reply = ask.get(toll, request, |body| Ok(body.len())).await.expect("a reply");
        let wanted = if round == 0 { Freshness::Miss } else { Freshness::Revalidated };
        assert!(matches!(reply, Reply::Value { freshness, .. } if freshness == wanted));
    }
    each(before)
}

fn path(n: usize) -> String {
    format!("repos/organisation/repository-{n}/pulls?state=open&per_page=100&sort=created")
}

/// Processor time of this process so far, with all its threads.
fn spent() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock"))
}

/// Microseconds of one question.
fn each(before: Duration) -> f64 {
    let questions = u32::try_from(QUESTIONS).expect("few");
    (spent() - before).as_secs_f64() * 1e6 / f64::from(questions)
}

fn row(name: &str, mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    let at = |part: usize| all.get(all.len() * part / 100).copied().unwrap_or_default();
    let (median, late) = (at(50), at(95));
    println!("{name:<44} median {median:>6.1}µs   p95 {late:>6.1}µs   n {}", all.len());
    median
}

/// The server as a process of its own, and where it is.
fn start() -> (Child, String) {
    let program = std::env::current_exe().expect("this program");
    let mut child =
        Command::new(program).arg(SERVE).stdout(Stdio::piped()).spawn().expect("a server");
    let mut url = String::new();
    let said = child.stdout.take().expect("its output");
    BufReader::new(said).read_line(&mut url).expect("an address");
    (child, url.trim().to_owned())
}

fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("http://{}", listener.local_addr().expect("an address"));
    for stream in listener.incoming() {
        let stream = stream.expect("a connection");
        std::thread::spawn(move || answer(stream));
    }
}

/// Answers as api.github.com does: 304 to every condition, otherwise a list.
fn answer(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("a socket");
    let (mut read, mut buffer) = (Vec::new(), [0; 8192]);
    while let Ok(length) = stream.read(&mut buffer) {
        read.extend_from_slice(buffer.get(..length).unwrap_or_default());
        if length == 0 {
            return;
        }
        if !read.ends_with(b"\r\n\r\n") {
            continue;
        }
        let known = String::from_utf8_lossy(&read).to_ascii_lowercase().contains("if-none-match");
        let body = if known { "" } else { "[]" };
        let status = if known { "304 Not Modified" } else { "200 OK\r\ncontent-length: 2" };
        let answer = format!("HTTP/1.1 {status}\r\netag: {ETAG}\r\n{HEADERS}\r\n{body}");
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
        read.clear();
    }
}

/// Those of an answer of api.github.com, in its order.
const HEADERS: &str = "date: Sat, 28 Nov 2026 12:00:00 GMT\r\n\
    cache-control: private, max-age=60, s-maxage=60\r\n\
    vary: Accept, Authorization, Cookie, X-GitHub-OTP,Accept-Encoding, Accept, X-Requested-With\r\n\
    last-modified: Sat, 28 Nov 2026 11:00:00 GMT\r\n\
    x-github-media-type: github.v3; format=json\r\n\
    x-github-api-version-selected: 2022-11-28\r\n\
    access-control-expose-headers: ETag, Link, Location, Retry-After, X-GitHub-OTP, X-RateLimit-Limit, \
    X-RateLimit-Remaining, X-RateLimit-Used, X-RateLimit-Resource, X-RateLimit-Reset, X-OAuth-Scopes, \
    X-Accepted-OAuth-Scopes, X-Poll-Interval, X-GitHub-Media-Type, X-GitHub-SSO, X-GitHub-Request-Id, \
    Deprecation, Sunset\r\n\
    access-control-allow-origin: *\r\n\
    strict-transport-security: max-age=31536000; includeSubdomains; preload\r\n\
    x-frame-options: deny\r\n\
    x-content-type-options: nosniff\r\n\
    x-xss-protection: 0\r\n\
    referrer-policy: origin-when-cross-origin, strict-origin-when-cross-origin\r\n\
    content-security-policy: default-src 'none'\r\n\
    server: github.com\r\n\
    x-ratelimit-limit: 5000\r\n\
    x-ratelimit-remaining: 4987\r\n\
    x-ratelimit-reset: 1795869000\r\n\
    x-ratelimit-used: 13\r\n\
    x-ratelimit-resource: core\r\n\
    x-github-request-id: D06A:2E4B1C:1F4A3B2:3C5D6E7:6749B1C0\r\n";
