//! A proxy between the daemon and a server, which can hold, cut and release chosen requests.
//!
//! It forwards one request for each connection and says `connection: close` to both sides. What it
//! holds goes on when it is released, whether or not the client is still there: so a request of a
//! daemon that was killed reaches the server after the restart.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to requests whose path begins with the chosen prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They pass.
    Pass,
    /// They wait before the server sees them.
    HoldBefore,
    /// The server's answer waits.
    HoldAfter,
    /// The answer lacks its last byte, and the connection is closed.
    CutLastByte,
}

/// One request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Method and path.
    pub line: String,
    /// Whether the server got it.
    pub forwarded: bool,
    /// Whether the client was sent the whole answer.
    pub answered: bool,
}

/// A running proxy; it ends when it is dropped.
pub struct Proxy {
    /// Its address, without a trailing `/`.
    pub url: String,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

struct Shared {
    upstream: SocketAddr,
    rule: Mutex<(String, Mode)>,
    released: watch::Sender<u64>,
    seen: Mutex<Vec<Seen>>,
    held: watch::Sender<usize>,
}

impl Proxy {
    /// A proxy in front of `127.0.0.1:port`, on a runtime of its own.
    pub fn start(port: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let shared = Arc::new(Shared {
            upstream: SocketAddr::from(([127, 0, 0, 1], port)),
            rule: Mutex::new((String::new(), Mode::Pass)),
            released: watch::Sender::new(0),
            seen: Mutex::default(),
            held: watch::Sender::new(0),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = Arc::clone(&shared);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::runtime::Handle::current().spawn(async move {
                    // A side that goes away is what this proxy is for.
                    drop(shared.serve(client).await);
                });
            }
        });
        Self { url, shared, runtime: Some(runtime) }
    }

    /// From now on requests whose path begins with `prefix` are treated so.
    pub fn on(&self, prefix: &str, mode: Mode) {
        *self.shared.rule.lock().unwrap() = (prefix.to_owned(), mode);
    }

    /// Lets everything go on that is held now.
    pub fn release(&self) {
        self.shared.released.send_modify(|count| *count += 1);
    }

    /// Waits until that many requests are held.
    pub fn wait_held(&self, count: usize) {
        let mut held = self.shared.held.subscribe();
        let waited = self.runtime.as_ref().unwrap().block_on(async {
            tokio::time::timeout(Duration::from_secs(30), held.wait_for(|held| *held >= count))
                .await
                .is_ok()
        });
        assert!(waited, "no {count} requests were held within 30 s: {:?}", self.seen());
    }

    /// All requests that came, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    async fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let Some((head, body)) = message(&mut client).await? else { return Ok(()) };
        let line: String = head.lines().next().unwrap_or_default().to_owned();
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let at = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(Seen { line, forwarded: false, answered: false });
            seen.len() - 1
        };
        let mode = {
            let rule = self.rule.lock().unwrap();
            if path.starts_with(&rule.0) { rule.1 } else { Mode::Pass }
        };
        if mode == Mode::HoldBefore {
            self.hold().await;
        }
        let mut server = TcpStream::connect(self.upstream).await?;
        let mut request = closing(&head).into_bytes();
        request.extend_from_slice(&body);
        server.write_all(&request).await?;
        self.seen.lock().unwrap()[at].forwarded = true;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await?;
        if mode == Mode::HoldAfter {
            self.hold().await;
        }
        if mode == Mode::CutLastByte {
            answer.pop();
            return client.write_all(&answer).await;
        }
        client.write_all(&answer).await?;
        self.seen.lock().unwrap()[at].answered = true;
        client.shutdown().await
    }

    async fn hold(&self) {
        let mut released = self.released.subscribe();
        let before = *released.borrow_and_update();
        self.held.send_modify(|held| *held += 1);
        drop(released.wait_for(|count| *count > before).await);
        self.held.send_modify(|held| *held -= 1);
    }
}

/// Head and body of a request with a `content-length`.
async fn message(stream: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    let mut body = bytes.split_off(end);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some((head, body)))
}

/// The head with `connection: close` in place of what it said.
fn closing(head: &str) -> String {
    let mut lines: Vec<&str> = head
        .trim_end()
        .lines()
        .filter(|line| !line.to_ascii_lowercase().starts_with("connection:"))
        .collect();
    lines.push("connection: close");
    format!("{}\r\n\r\n", lines.join("\r\n"))
}

#[test]
fn a_held_request_goes_on_without_its_client() {
    use std::io::{Read, Write};
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(server.local_addr().unwrap().port());
    proxy.on("/hook", Mode::HoldBefore);
    let mut client = std::net::TcpStream::connect(proxy.url.trim_start_matches("http://")).unwrap();
    client.write_all(b"POST /hook HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi").unwrap();
    proxy.wait_held(1);
    drop(client);
    assert!(!proxy.seen()[0].forwarded);
    proxy.release();
    let (mut got, mut text) = (server.accept().unwrap().0, [0; 256]);
    let mut read = 0;
    while !text[..read].ends_with(b"hi") {
        read += got.read(&mut text[read..]).unwrap();
    }
    assert!(text.starts_with(b"POST /hook HTTP/1.1\r\n"));
}
