//! The page for people says what the reader does.

use super::*;

/// What the third cell of a row of `docs/references.md` has to be.
fn cell(on: On, body: &str) -> String {
    let found = read_on(on, body);
    let references = written(&found, on);
    let mut parts: Vec<String> = references.iter().map(|one| format!("`{one}`")).collect();
    parts.extend(found.findings.iter().map(|finding| format!("finding: “{}”", finding.text)));
    parts.extend(found.notes.iter().map(|note| format!("note: “{}”", note.text)));
    if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") }
}

#[test]
fn docs_references_shows_what_is_read() {
    let page = include_str!("../../../../docs/references.md");
    let mut rows = 0;
    let mut wrong = String::new();
    for row in page.lines() {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [on, text, said] = cells.as_slice() else { continue };
        let on = match *on {
            "GitHub" => On::GitHub,
            "GitLab" => On::GitLab,
            "Gitea" => On::Gitea,
            _ => continue,
        };
        let text = text.strip_prefix("`` ").and_then(|text| text.strip_suffix(" ``"));
        let text = text.unwrap_or_else(|| panic!("{row}")).replace(" ⏎ ", "\n").replace("\\|", "|");
        rows += 1;
        let right = cell(on, &text);
        if right != *said {
            wrong.push_str(&format!("{row}\n=> {right}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(rows > 50, "{rows}");
}
