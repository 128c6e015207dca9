//! The pages, the API and the command line of a running daemon, as their users meet them.

#![expect(clippy::expect_used, reason = "what fails here fails the test that asked for it")]

mod acting;
mod commands;
mod import;
mod logs;
mod offline;
mod pages;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::site::Site;

/// A site with one workspace of two packages, whose builds end with `script`; `more` is said of its CI.
fn site(script: &str, more: &str) -> Site {
    let site = Site::new();
    let url = site.file_url();
    site.manifest(&url, &[("types", &[]), ("drivers", &["types"])]);
    let mut ci = site.local_ci(script);
    if !more.is_empty() {
        ci = ci.replace("sandbox: none", &format!("sandbox: none, {more}"));
    }
    site.configure(&url, &ci, &["one"]);
    site
}

/// Asks the daemon's TCP port; status and the whole answer with its head.
fn ask(site: &Site, method: &str, path: &str, headers: &[&str], body: &str) -> (u16, String) {
    let pages = site.pages();
    let address = pages.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("the daemon listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a deadline");
    let host = if headers.iter().any(|header| header.starts_with("Host:")) {
        String::new()
    } else {
        format!("Host: {address}\r\n")
    };
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("it takes the head");
    // A body that is too long may be refused before it is read.
    stream.write_all(body.as_bytes()).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
    (status.unwrap_or(0), answer)
}

/// Asks for a page.
fn get(site: &Site, path: &str) -> (u16, String) {
    ask(site, "GET", path, &[], "")
}
