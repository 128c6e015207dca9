//! Writing for people and programs: tables on a terminal, tabs in a pipe.

use std::io::{IsTerminal, Write};

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};

use super::CliError;

/// Writes to standard output; a reader that went away is no failure.
pub(super) fn out(text: &str) -> Result<(), CliError> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => CliError::Closed,
        _ => CliError::Failed(format!("standard output: {error}")),
    })
}

/// Writes rows under a head: a table on a terminal, else lines with tabs.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> Result<(), CliError> {
    if !std::io::stdout().is_terminal() {
        return out(&plain(head, rows));
    }
    let colours = std::env::var_os("NO_COLOR").is_none();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(head.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|text| {
            let cell = Cell::new(clean(text));
            match colour(text) {
                Some(colour) if colours => cell.fg(colour),
                _ => cell,
            }
        }));
    }
    out(&format!("{table}\n"))
}

/// Lines with tabs, for pipes.
pub(super) fn plain(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = head.join("\t").to_uppercase();
    text.push('\n');
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| clean(cell)).collect();
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    text
}

/// Foreign text without anything that moves a cursor or breaks a row.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn colour(word: &str) -> Option<Color> {
    match word {
        "success" | "ready" | "ok" => Some(Color::Green),
        "failure" | "blocked" | "refused" | "lost" | "failed" | "broken" => Some(Color::Red),
        "build" | "queued" | "sending" | "sent" | "running" | "updating" => Some(Color::Blue),
        "weaker" => Some(Color::Yellow),
        "unchanged" | "held" | "covered" | "unknown" | "superseded" | "dropped" => {
            Some(Color::DarkGrey)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_get_one_line_a_row_whatever_is_in_it() {
        let rows = vec![vec!["a\tb\n\x1b[31mc".to_owned(), "d".to_owned()]];
        insta::assert_snapshot!(plain(&["one", "two"], &rows), @r"
        ONE	TWO
        a b  [31mc	d
        ");
    }
}
