//! One line on a terminal that says what runs now, for how long, of how long last time.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crosswatch_core::model::time::{Span, Timestamp};
use tracing_subscriber::fmt::MakeWriter;

use crate::board::{Board, BoardContent};
use crate::clock::Clock;

/// The line is written no more often.
const PERIOD: Duration = Duration::from_millis(500);
/// More runs than these are only counted.
const MOST: usize = 3;
/// Back to the beginning of the line, and nothing left of it.
const CLEAR: &str = "\r\u{1b}[K";
/// A terminal cuts a line that is too long for it, instead of breaking it.
const CUT: (&str, &str) = ("\u{1b}[?7l", "\u{1b}[?7h");

/// Standard error, shared by log lines and, on a terminal, the line below them.
#[derive(Clone, Debug)]
pub struct Progress {
    terminal: bool,
    /// Whether the line stands there now.
    shown: Arc<Mutex<bool>>,
}

impl Progress {
    /// For this process' standard error.
    pub fn new() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { terminal: io::stderr().is_terminal() && !dumb, shown: Arc::default() }
    }

    /// Shows what the board says until it is dropped; does nothing where nobody looks.
    pub(super) async fn run(self, board: Board, clock: Clock) {
        if !self.terminal {
            return;
        }
        loop {
            let text = board.look(|board| line(board, clock.now()));
            self.draw(text.as_deref());
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Leaves the terminal as it was.
    pub(super) fn end(&self) {
        self.draw(None);
    }

    fn draw(&self, text: Option<&str>) {
        let mut shown = self.shown();
        if !*shown && text.is_none() {
            return;
        }
        let line = text.map(|text| format!("{}{text}{}", CUT.0, CUT.1)).unwrap_or_default();
        // A terminal that is gone must not end the daemon.
        write!(io::stderr().lock(), "{CLEAR}{line}").ok();
        *shown = text.is_some();
    }

    fn shown(&self) -> MutexGuard<'_, bool> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes log lines where the line stood, which is then drawn again below them.
pub struct Above<'a>(MutexGuard<'a, bool>);

impl Write for Above<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        if std::mem::take(&mut *self.0) {
            stderr.write_all(CLEAR.as_bytes())?;
        }
        stderr.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Progress {
    type Writer = Above<'a>;

    fn make_writer(&'a self) -> Above<'a> {
        Above(self.shown())
    }
}

/// What runs, the longest first; nothing when nothing runs.
fn line(board: &BoardContent, now: Timestamp) -> Option<String> {
    let mut running: Vec<_> = board
        .workspaces
        .iter()
        .filter_map(|(name, status)| {
            let (step, since) = status.running()?;
            Some((since, name, step, status.took.get(step)))
        })
        .collect();
    running.sort();
    let mut text = String::new();
    for (since, name, step, took) in running.iter().take(MOST) {
        let for_long = now.since(*since);
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a text cannot fail.
        write!(text, "{comma}{name} {step} {}", seconds(for_long)).ok();
        if let Some(took) = took {
            write!(text, " of {}", seconds(**took)).ok();
        }
    }
    let more = running.len().saturating_sub(MOST);
    if more > 0 {
        write!(text, " and {more} more").ok();
    }
    (!text.is_empty()).then_some(text)
}

/// Nobody wants to see milliseconds run.
fn seconds(span: Span) -> Span {
    Span(span.0 / 1000 * 1000)
}

#[cfg(test)]
mod tests {
    use crate::board::WorkspaceStatus;

    use super::*;

    #[test]
    fn the_line_says_what_runs_for_how_long_of_how_long() {
        let mut board = BoardContent::default();
        assert_eq!(line(&board, Timestamp(0)), None);
        for (number, name) in (0..).zip(["a", "b", "c", "d", "e"]) {
            let mut status = WorkspaceStatus::default();
            status.enter("absent", Timestamp(0));
            status.enter("bootstrapping", Timestamp(1_000));
            status.enter("ready", Timestamp(73_000));
            if name != "e" {
                status.enter("updating", Timestamp(100_000 + number * 1_000));
            }
            board.workspaces.insert(name.into(), status);
        }
        let status = board.workspaces.get_mut("b").unwrap();
        status.enter("ready", Timestamp(110_000));
        status.enter("updating", Timestamp(120_000));
        assert_eq!(status.took["bootstrapping"], Span(72_000));
        assert_eq!(
            line(&board, Timestamp(130_700)).unwrap(),
            "a updating 30s, c updating 28s, d updating 27s and 1 more"
        );
        board.workspaces.retain(|name, _| &**name == "b" || &**name == "e");
        assert_eq!(line(&board, Timestamp(130_700)).unwrap(), "b updating 10s of 9s");
        board.workspaces.remove("b");
        assert_eq!(line(&board, Timestamp(130_700)), None);
    }

    #[test]
    fn what_failed_says_nothing_of_how_long_it_takes() {
        let mut status = WorkspaceStatus::default();
        status.enter("updating", Timestamp(0));
        status.enter("failed", Timestamp(1_000));
        assert!(status.took.is_empty() && status.running().is_none());
    }
}
