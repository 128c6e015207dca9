//! The grammar as tables: each row is a body and what it refers to, each rule with counter-examples.

mod bodies;
mod forms;
mod hostile;
mod page;
mod places;
mod strict;

use super::*;
use crate::model::identity::Name;
use crate::model::locator::Locator;
use crate::model::settings::{Authors, ForgeKind, ForgeSettings, GitForge};
use crate::model::time::Span;

/// Whose change a body belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// `o/r#1` of github.com.
    GitHub,
    /// `g/s/p!1` of gitlab.com.
    GitLab,
    /// `o/r#1` of gitea.example.org.
    Gitea,
    /// `o/r#1` of an Enterprise server.
    Enterprise,
}

/// Rule; forge; body; references, findings and notes, each separated by ` | `.
///
/// A reference is written without the forge where it is the change's own, and with `?` before it
/// where only the tracked repositories decide. A finding or note is a part of its text.
type Row = (&'static str, On, &'static str, &'static str, &'static str, &'static str);

fn forge(name: &str, identity: &str, url: &str) -> ForgeSettings {
    ForgeSettings {
        name: Name::from(name),
        identity: Name::from(identity),
        kind: ForgeKind::Git(GitForge { changes: Vec::new(), base: None, authors: Authors::Any }),
        url: url.to_owned(),
        also: vec![format!("ssh://git@ssh.{identity}:443")],
        tokens: Vec::new(),
        app: None,
        interval: Span::seconds(60),
        reconcile: Span::seconds(900),
    }
}

fn locator() -> Locator {
    Locator::of_forges(&[
        forge("github", "github.com", "https://github.com"),
        forge("gitlab", "gitlab.com", "https://gitlab.com"),
        forge("gitea", "gitea.example.org", "https://gitea.example.org"),
        forge("enterprise", "code.example.org:8443", "https://code.example.org:8443"),
        forge("inner", "git.example.org", "https://git.example.org/lab/"),
        forge("mirror", "mirror", "https://mirror.example.org/git"),
    ])
}

fn forges(locator: &Locator) -> Forges<'_> {
    Forges::new(locator)
        .with("github.com", Spelling::GitHub)
        .with("gitlab.com", Spelling::GitLab)
        .with("gitea.example.org", Spelling::Gitea)
        .with("code.example.org:8443", Spelling::GitHub)
        .with("git.example.org", Spelling::GitLab)
}

fn own(on: On) -> ChangeId {
    let text = match on {
        On::GitHub => "github.com/o/r#1",
        On::GitLab => "gitlab.com/g/s/p#1",
        On::Gitea => "gitea.example.org/o/r#1",
        On::Enterprise => "code.example.org:8443/o/r#1",
    };
    text.parse().expect("a change")
}

fn read_by(grammar: Grammar, on: On, body: &str) -> References {
    let (locator, of) = (locator(), own(on));
    let forges = forges(&locator);
    read(body, &Context { grammar, ..Context::new(&of, &forges) })
}

fn read_on(on: On, body: &str) -> References {
    read_by(Grammar::Default, on, body)
}

fn written(found: &References, on: On) -> Vec<String> {
    let own = format!("{}/", own(on).repository.forge);
    let full = found.references.iter().map(|written| {
        let change = written.change.to_string();
        change.strip_prefix(&own).unwrap_or(&change).to_owned()
    });
    let short = found.short.iter().map(|short| format!("?{}#{}", short.name, short.number));
    full.chain(short).collect()
}

fn check(grammar: Grammar, rows: &[Row]) {
    let mut wrong = Vec::new();
    for (rule, on, body, references, findings, notes) in rows {
        let found = read_by(grammar, *on, body);
        let fits = |said: &[Finding], expected: &str| {
            let expected: Vec<&str> =
                expected.split(" | ").filter(|part| !part.is_empty()).collect();
            said.len() == expected.len()
                && said.iter().zip(expected).all(|(said, part)| said.text.contains(part))
        };
        let expected: Vec<&str> = references.split(" | ").filter(|part| !part.is_empty()).collect();
        if written(&found, *on) != expected
            || !fits(&found.findings, findings)
            || !fits(&found.notes, notes)
        {
            wrong.push(format!(
                "{rule} ({on:?})\n{body}\n  wanted {references:?}, findings {findings:?}, notes \
                 {notes:?}\n  got {:?}, {:?}, {:?}\n",
                written(&found, *on),
                found.findings,
                found.notes
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows\n\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn the_tables_have_their_size() {
    let rows = forms::ROWS.len() + places::ROWS.len() + strict::AUTOPROJ.len() + strict::ZUUL.len();
    assert!(rows >= 250, "{rows}");
}
