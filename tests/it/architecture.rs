//! The arrows between the boxes of the house, and the size of its rooms.
//!
//! `ARCHITECTURE.md` draws the same table for people; this one is checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::Visit;

/// What each top-level module may use besides itself. `core::` names modules of `crosswatch-core`;
/// an entry allows what stands below it too. A module that is not listed here fails the test, so
/// that nobody adds a box without saying where it stands.
const ARROWS: &[(&str, &[&str])] = &[
    // core: everything that decides
    (
        "core::model",
        &[
            "core::references::Finding",
            "core::references::Reading",
            "core::references::References",
            "core::references::Written",
        ],
    ),
    ("core::manifest", &["core::model"]),
    ("core::references", &["core::model"]),
    ("core::spelling", &["core::model"]),
    // The files of the daemon that users come from are read like manifests.
    ("core::moving", &["core::model", "core::manifest"]),
    // The types of what was read, never the readers.
    (
        "core::plan",
        &[
            "core::model",
            "core::references::Finding",
            "core::references::Reading",
            "core::references::References",
            "core::references::Short",
            "core::references::Via",
            "core::references::Written",
            "core::references::no_owner",
        ],
    ),
    ("core::control", &["core::model", "core::plan"]),
    // Common ground, which every box of the world may use
    ("clock", &["core::model"]),
    ("task", &[]),
    // Doors to the outside
    ("store", &["core::model"]),
    ("http", &["core::model"]),
    ("supervise", &["core::model"]),
    // How bodies are read is a word of the configuration.
    ("config", &["core::model", "core::references::Grammar", "core::references::Reading"]),
    // Boxes
    ("board", &["core::model"]),
    ("ledger", &["core::model", "core::plan", "core::control", "store"]),
    (
        "forge",
        &[
            "core::model",
            "core::manifest",
            "core::references",
            "core::control",
            "http",
            "supervise",
        ],
    ),
    // `pass::Publications` brings observers what the plan wants to know: the one thing that flows back.
    (
        "watch",
        &[
            "core::model",
            "core::manifest",
            "core::references",
            "core::control",
            "board",
            "forge",
            "pass::Publications",
            "pass::Published",
            "pass::WatchList",
            "pass::Watching",
            "supervise",
        ],
    ),
    // Which inputs an update answers for is the plan's to say, so that both mean the same.
    (
        "workspace",
        &[
            "core::model",
            "core::manifest",
            "core::control",
            "core::plan::update_inputs",
            "board",
            "forge",
            "pass::Publications",
            "pass::Published",
            "supervise",
        ],
    ),
    ("pass", &["core::model", "core::plan", "core::control", "board", "ledger"]),
    // What a webhook says goes to the registry as a hint, and nowhere else.
    (
        "hooks",
        &[
            "core::model",
            "board",
            "forge",
            "ledger",
            "pass::Publications",
            "watch::Announcement",
            "watch::Hint",
            "watch::Hints",
        ],
    ),
    (
        "ci",
        &[
            "core::model",
            "core::control",
            "core::spelling",
            "board::Wake",
            "ledger",
            "http",
            "supervise",
        ],
    ),
    // It reads the ledger; what pass published says where it may write and what is still looked at.
    (
        "report",
        &[
            "core::model",
            "core::control",
            "board",
            "forge",
            "http::Toll",
            "ledger",
            "pass::Publications",
            "pass::Published",
        ],
    ),
    (
        "web",
        &[
            "core::model",
            "core::plan",
            "core::spelling",
            "board",
            "ci::pushed",
            "config",
            "daemon::Access",
            "daemon::Order",
            "daemon::access",
            "forge::github::hook",
            "ledger",
            "pass",
            "supervise::log",
        ],
    ),
    ("doctor", &["core::model", "config", "http", "store", "supervise"]),
    // The command line shows the rows of the pages, and starts the daemon.
    (
        "cli",
        &[
            "core::model",
            "core::moving",
            "core::plan",
            "core::spelling",
            "board",
            "config",
            "daemon",
            "doctor",
            "ledger",
            "pass",
            "supervise::bubblewrap",
            "supervise::log",
            "supervise::parent",
            "web",
        ],
    ),
    // The only place that wires
    ("daemon", &["*"]),
    ("main", &["cli", "daemon", "supervise"]),
    ("lib", &[]),
];

/// What every module of `src/` may use.
const EVERYWHERE: &[&str] = &["clock", "task"];

/// Longest file, in lines.
const LONGEST: usize = 600;

#[test]
fn only_arrows_of_the_table() {
    let mut wrong = Vec::new();
    for file in files() {
        let text = std::fs::read_to_string(file.path()).unwrap();
        wrong.extend(forbidden(&file, &text));
    }
    assert!(wrong.is_empty(), "arrows that the table forbids:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_is_long() {
    let long: Vec<String> = files()
        .iter()
        .filter_map(|file| {
            let lines = std::fs::read_to_string(file.path()).unwrap().lines().count();
            (lines > LONGEST).then(|| format!("{}: {lines} lines", file.shown.display()))
        })
        .collect();
    assert!(long.is_empty(), "over {LONGEST} lines; is there a second thing inside?\n{long:#?}");
}

#[test]
fn a_planted_arrow_is_caught() {
    let world = |path: &str| File { core: false, shown: PathBuf::from(path) };
    let core = |path: &str| File { core: true, shown: PathBuf::from(path) };
    for (file, text) in [
        (world("src/watch/mod.rs"), "use crate::ledger::Ledger;"),
        (world("src/watch/mod.rs"), "use crate::{clock::Clock, ledger};"),
        (world("src/watch/mod.rs"), "use super::ledger::Ledger;"),
        (world("src/watch/deep.rs"), "mod inner { use super::super::super::ledger::Ledger; }"),
        (world("src/ci/http.rs"), "fn f() { let _ = crate::pass::Wake::new(); }"),
        (world("src/ci/http.rs"), "fn f() { println!(\"{}\", crate::pass::NAME); }"),
        (world("src/http/mod.rs"), "use crosswatch_core::plan::plan;"),
        (world("src/web/mod.rs"), "use crate::supervise::Supervisor;"),
        (world("src/new/mod.rs"), "use crate::clock::Clock;"),
        (core("core/src/plan/mod.rs"), "use crate::control::outbox;"),
        (core("core/src/model/mod.rs"), "struct S(crate::plan::Plan);"),
    ] {
        assert!(!forbidden(&file, text).is_empty(), "{}: {text}", file.shown.display());
    }
    for (file, text) in [
        (world("src/watch/mod.rs"), "use crate::clock::Clock; use crate::board::Wake;"),
        (world("src/watch/mod.rs"), "#[cfg(test)] mod tests { use crate::ledger::Ledger; }"),
        (world("src/watch/mod.rs"), "mod answers; use self::answers::Answers; use super::task;"),
        (world("src/web/mod.rs"), "use crate::supervise::log::tail;"),
        (world("src/daemon/run.rs"), "use crate::ledger::Ledger; use crosswatch_core::plan;"),
        (core("core/src/plan/sets.rs"), "use super::look::View; use crate::model::time::Span;"),
    ] {
        assert_eq!(forbidden(&file, text), Vec::<String>::new(), "{text}");
    }
}

/// A source file of one of the two crates.
struct File {
    core: bool,
    /// Path from the top of the repository.
    shown: PathBuf,
}

impl File {
    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(&self.shown)
    }

    /// Names of the modules that the file stands for, from the crate's root.
    fn modules(&self) -> Vec<String> {
        let below = self.shown.strip_prefix(if self.core { "core/src" } else { "src" });
        let mut names: Vec<String> = below
            .expect("a path below the crate")
            .with_extension("")
            .iter()
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        if names.last().is_some_and(|name| name == "mod") {
            names.pop();
        }
        names
    }
}

fn files() -> Vec<File> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for (core, root) in [(true, "core/src"), (false, "src")] {
        let mut folders = vec![top.join(root)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ext| ext == "rs") {
                    found.push(File {
                        core,
                        shown: path.strip_prefix(top).expect("a path below").to_owned(),
                    });
                }
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

/// One line for each arrow of `text` that the table lacks.
fn forbidden(file: &File, text: &str) -> Vec<String> {
    let modules = file.modules();
    if modules.iter().any(|name| name == "tests") {
        return Vec::new();
    }
    let syntax = syn::parse_file(text).expect("Rust that compiles");
    let mut uses = Uses { core: file.core, modules, found: BTreeSet::new() };
    let root = matches!(uses.modules.as_slice(), [one] if one == "lib" || one == "main");
    let from = match uses.modules.first() {
        Some(name) if file.core => format!("core::{name}"),
        Some(name) => name.clone(),
        None => return vec![format!("{}: belongs to no module", file.shown.display())],
    };
    if root {
        uses.modules.clear();
    }
    if from == "core::lib" {
        return Vec::new();
    }
    uses.visit_file(&syntax);
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == from) else {
        return vec![format!("{}: `{from}` is not in the table", file.shown.display())];
    };
    uses.found
        .into_iter()
        .filter(|(_, to)| !is_allowed(&from, to, allowed))
        .map(|(line, to)| format!("{}:{line}: {from} → {to}", file.shown.display()))
        .collect()
}

fn is_allowed(from: &str, to: &str, allowed: &[&str]) -> bool {
    let below = |entry: &str| to == entry || to.starts_with(&format!("{entry}::"));
    let common = !from.starts_with("core::") && EVERYWHERE.iter().any(|entry| below(entry));
    common || below(from) || allowed.iter().any(|entry| *entry == "*" || below(entry))
}

/// Collects where paths lead, with their lines.
struct Uses {
    core: bool,
    /// Modules around what is being read.
    modules: Vec<String>,
    found: BTreeSet<(usize, String)>,
}

impl Uses {
    fn path(&mut self, segments: &[String], span: Span) {
        let Some(first) = segments.first() else { return };
        let (core, absolute) = match first.as_str() {
            "crate" => (self.core, segments[1..].to_vec()),
            "crosswatch" if !self.core => (false, segments[1..].to_vec()),
            "crosswatch_core" => (true, segments[1..].to_vec()),
            "super" | "self" => {
                let mut around = self.modules.clone();
                let mut rest = segments;
                while let Some((name, tail)) = rest.split_first() {
                    match name.as_str() {
                        "super" => drop(around.pop()),
                        "self" => {}
                        _ => break,
                    }
                    rest = tail;
                }
                around.extend_from_slice(rest);
                (self.core, around)
            }
            _ => return,
        };
        if absolute.is_empty() {
            return;
        }
        let name = absolute.join("::");
        let name = if core { format!("core::{name}") } else { name };
        self.found.insert((span.start().line, name));
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree, span: Span) {
        let with = |name: &syn::Ident| {
            let mut path = before.to_vec();
            // `{self}` names what stands before it.
            if name != "self" || path.is_empty() {
                path.push(name.to_string());
            }
            path
        };
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree, span),
            syn::UseTree::Name(name) => self.path(&with(&name.ident), name.span()),
            syn::UseTree::Rename(name) => self.path(&with(&name.ident), name.span()),
            syn::UseTree::Glob(_) => self.path(before, span),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(before, tree, tree.span());
                }
            }
        }
    }

    /// Paths in the arguments of macros, which are not parsed.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut start, mut joined) = (Span::call_site(), false);
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if !joined {
                        self.path(&std::mem::take(&mut path), start);
                        start = name.span();
                    }
                    path.push(name.to_string());
                    joined = false;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => joined = !path.is_empty(),
                other => {
                    self.path(&std::mem::take(&mut path), start);
                    joined = false;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.path(&path, start);
    }
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes: &[syn::Attribute] = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            syn::Item::Enum(item) => &item.attrs,
            syn::Item::Const(item) => &item.attrs,
            syn::Item::Static(item) => &item.attrs,
            _ => &[],
        };
        if !attributes.iter().any(is_for_tests) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.modules.push(module.ident.to_string());
        syn::visit::visit_item_mod(self, module);
        self.modules.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree, item.span());
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.path(&segments, path.span());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }
}

fn is_for_tests(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
}
