//! A client that knows nothing of the model.

use std::collections::BTreeMap;

use forge_model::Model;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An answer, read whole.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Without the framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// One exchange on a connection of its own.
pub async fn exchange(model: &Model, head: &str, body: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(model.url.trim_start_matches("http://")).await?;
    let length = body.len();
    let text =
        format!("{head}\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or_else(|| std::io::Error::other("no head"))?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next().unwrap()[9..12].parse().unwrap();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut body = answer[end + 4..].to_vec();
    if headers.contains_key("transfer-encoding") {
        body = unchunk(&body).ok_or_else(|| std::io::Error::other("cut"))?;
    }
    Ok(Answer { status, headers, body })
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        body.extend_from_slice(rest.get(end + 2..end + 2 + size)?);
        if size == 0 {
            return Some(body);
        }
        rest = rest.get(end + 4 + size..)?;
    }
}

/// One exchange on a connection of its own.
pub async fn get(model: &Model, path: &str, etag: Option<&str>) -> Answer {
    get_as(model, "secret", path, etag).await
}

/// One exchange on a connection of its own.
pub async fn get_as(model: &Model, secret: &str, path: &str, etag: Option<&str>) -> Answer {
    let mut head = format!("GET /api/v3{path} HTTP/1.1\r\nauthorization: Bearer {secret}");
    if let Some(etag) = etag {
        head.push_str(&format!("\r\nif-none-match: {etag}"));
    }
    exchange(model, &head, "").await.expect("an answer")
}

/// One exchange on a connection of its own.
pub async fn post(model: &Model, path: &str, body: &Value) -> Answer {
    let head = format!("POST {path} HTTP/1.1\r\nauthorization: Bearer secret");
    exchange(model, &head, &body.to_string()).await.expect("an answer")
}

/// One exchange on a connection of its own.
pub async fn query(model: &Model, query: &str, variables: Value) -> Value {
    post(model, "/api/graphql", &json!({"query": query, "variables": variables})).await.json()
}

/// The next webhook: its headers in lower case, and its body.
pub async fn received(listener: &TcpListener) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().await.expect("a webhook");
    let mut text = Vec::new();
    loop {
        let mut part = [0; 65536];
        let read = stream.read(&mut part).await.expect("a part");
        text.extend_from_slice(&part[..read]);
        let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&text[..end]).to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
        if text.len() >= end + 4 + length.parse::<usize>().unwrap() {
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("answered");
            return (head, text[end + 4..].to_vec());
        }
    }
}
