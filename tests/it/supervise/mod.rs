//! Runs end when they have to, and leave nothing behind.

#![expect(clippy::expect_used, reason = "what fails here fails the test that asked for it")]

mod guardians;
mod keeper;
mod limits;
mod log;
mod sandbox;

use std::collections::BTreeSet;

use crosswatch::supervise::{Limits, Run};
use crosswatch_core::model::time::Span;

/// A run of a shell script, with an argument that marks all that it starts.
fn script(text: &str, marker: &str) -> Run {
    let mut run = Run::new(["sh", "-c", text, marker], "/tmp");
    run.env.insert("TEST_MARKER".to_owned(), marker.to_owned());
    run.limits = Limits { wall: Span::seconds(30), grace: Span(300), ..Limits::default() };
    run
}

fn marker() -> String {
    tempfile::Builder::new()
        .prefix("crosswatch-test-")
        .tempfile()
        .expect("a name")
        .path()
        .display()
        .to_string()
}

/// Processes that have the marker in their arguments or environment.
fn marked(marker: &str) -> BTreeSet<String> {
    let has = |path: String| {
        std::fs::read(path)
            .is_ok_and(|bytes| bytes.windows(marker.len()).any(|part| part == marker.as_bytes()))
    };
    std::fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.parse::<u32>().is_ok_and(|pid| pid != std::process::id()))
        .filter(|pid| has(format!("/proc/{pid}/cmdline")) || has(format!("/proc/{pid}/environ")))
        .collect()
}
