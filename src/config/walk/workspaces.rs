//! Workspaces, with `defaults:` below what each of them says and the presets of tools below that.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use crosswatch_core::model::identity::{Name, RepositoryId};
use crosswatch_core::model::locator::Locator;
use crosswatch_core::model::paths::PathPatterns;
use crosswatch_core::model::settings::{
    Adopt, Bounds, CandidateRules, ChangeRules, Dependencies, Drafts, ForgeSettings, Limits,
    MainlineRules, Mirror, OnClosed, OnConflict, OutputLimit, RebuildOnBase, RefKind,
    SameRepository, Source, Step, Tool, UpdateOn, WorkspaceSettings,
};
use crosswatch_core::model::time::Span;
use crosswatch_core::references::{Grammar, Reading};

use super::super::error::Place;
use super::super::keys::{self, Kind};
use super::super::mask::{is_secret_key, shown};
use super::super::nearest::nearest;
use super::super::tree::{Entry, Node, Value};
use super::{At, Fields, Walk, ci, forges, tools, top, values};

const MAX_WORKSPACES: usize = 1000;
/// Phrases of a workspace, and bytes of one.
const MAX_PHRASES: usize = 20;
const MAX_PHRASE: usize = 64;

/// Names that a workspace may refer to.
pub(super) struct Known {
    /// Of forges, each with its settings if they are right.
    pub(super) forges: BTreeMap<Name, Option<Arc<ForgeSettings>>>,
    /// Of CIs.
    pub(super) ci: Vec<Name>,
}

/// Builds all workspaces, in name order.
pub(super) fn workspaces(
    walk: &mut Walk<'_>,
    top: &Fields<'_>,
    known: &Known,
) -> Vec<Arc<WorkspaceSettings>> {
    let defaults = top
        .node()
        .get("defaults")
        .map(|entry| Rc::clone(&entry.node))
        .filter(|node| !node.is_nothing());
    if let Some(defaults) = &defaults {
        let fields = walk.fields(defaults, "defaults", &keys::WORKSPACE);
        for key in ["name", "id"] {
            if let Some(at) = fields.get(key) {
                walk.error(
                    at.node,
                    at.path,
                    format!("workspaces cannot share one {key}"),
                    "write it in the workspace",
                );
            }
        }
        // Mistakes here are said even if no workspace meets them.
        build(walk, &fields, None, known);
    }
    if !top.has("workspaces") && matches!(top.node().value, Value::Map(_)) {
        walk.missing(top, "workspaces", "write `workspaces:` with a list, or [] for none");
    }
    let mut all = BTreeMap::new();
    let (mut names, mut ids) = (BTreeMap::new(), BTreeMap::new());
    for (index, (node, path)) in
        walk.items(top.get("workspaces")).unwrap_or_default().iter().enumerate()
    {
        if index >= MAX_WORKSPACES {
            walk.error(
                node,
                path,
                format!("more than {MAX_WORKSPACES} workspaces"),
                "split them over several daemons",
            );
            break;
        }
        let merged = merge(defaults.as_deref(), node);
        let fields = walk.fields(&merged, path, &keys::WORKSPACE);
        let Some(workspace) = build(walk, &fields, Some(node), known) else { continue };
        unique(walk, &fields, "name", &workspace.name, &mut names);
        unique(walk, &fields, "id", &workspace.id, &mut ids);
        all.insert(workspace.name.clone(), Arc::new(workspace));
    }
    all.into_values().collect()
}

fn unique(
    walk: &mut Walk<'_>,
    fields: &Fields<'_>,
    key: &str,
    name: &Name,
    seen: &mut BTreeMap<String, Place>,
) {
    let place = fields.get(key).map_or(fields.node().place, |at| at.node.place);
    // Two names that differ in case alone would share a folder on some file systems.
    if let Some(first) = seen.insert(name.to_lowercase(), place) {
        let what = format!(
            "duplicate workspace: the {key} {} stands at {}:{} already",
            shown(name),
            first.line,
            first.column
        );
        walk.error_at(place, &fields.path, what, format!("give each workspace its own {key}"));
    }
}

/// What `own` says, with what it leaves out from `defaults`.
fn merge(defaults: Option<&Node>, own: &Node) -> Node {
    let own_entries = match &own.value {
        Value::Map(entries) => entries.clone(),
        Value::List(items) => return Node::new(own.place, own.end, Value::List(items.clone())),
        Value::Scalar { text, plain } => {
            return Node::new(
                own.place,
                own.end,
                Value::Scalar { text: text.clone(), plain: *plain },
            );
        }
    };
    let Some(Node { value: Value::Map(below), .. }) = defaults else {
        return Node::new(own.place, own.end, Value::Map(own_entries));
    };
    let mut entries: Vec<Entry> = own_entries
        .into_iter()
        .map(|entry| match below.iter().find(|other| other.key == entry.key) {
            Some(other)
                if matches!(
                    (&entry.node.value, &other.node.value),
                    (Value::Map(_), Value::Map(_))
                ) =>
            {
                Entry { node: Rc::new(merge(Some(&other.node), &entry.node)), ..entry }
            }
            _ => entry,
        })
        .collect();
    let said: BTreeSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    // A manifest comes from a path or a command: what the workspace says replaces the other.
    let replaced = |key: &str| match key {
        "path" => said.contains("run"),
        "run" => said.contains("path"),
        _ => false,
    };
    entries.extend(below.iter().filter(|e| !said.contains(&e.key) && !replaced(&e.key)).cloned());
    Node::new(own.place, own.end, Value::Map(entries))
}

/// Builds one workspace; without `own` these are the defaults, where nothing is missing.
fn build(
    walk: &mut Walk<'_>,
    fields: &Fields<'_>,
    own: Option<&Node>,
    known: &Known,
) -> Option<WorkspaceSettings> {
    let whole = own.is_some() && matches!(fields.node().value, Value::Map(_));
    if whole && !fields.has("name") {
        walk.missing(fields, "name", "give it a name, such as name: rock-master");
    }
    let name = name(walk, fields.get("name"));
    let id = self::name(walk, fields.get("id"));
    let tool = walk.choice(fields.get("tool"), Tool::Custom);
    let source = fields.get("source").and_then(|at| {
        let inner = walk.fields(at.node, at.path, &keys::SOURCE);
        if whole && !inner.has("url") {
            walk.missing(&inner, "url", "write the repository's URL");
        }
        let branch = forges::branch(walk, inner.get("branch"));
        forges::git_url(walk, inner.get("url")).map(|url| Source { url, branch })
    });
    let file = tools::file(walk, fields, tool, whole);
    let script = walk.path(fields.get("bootstrap_script"));
    if let Some(at) = fields.get("bootstrap_script")
        && tool != Tool::Autoproj
        && whole
    {
        walk.error(
            at.node,
            at.path,
            "only `tool: autoproj` has a bootstrap script",
            "write the command as bootstrap.run",
        );
    }
    let preset = tools::preset(tool, source.as_ref(), script, file.as_deref());
    let own_run = fields.get("bootstrap").is_some_and(|at| at.node.get("run").is_some());
    if whole && tool != Tool::Custom && source.is_none() && !own_run && !fields.has("source") {
        walk.missing(
            fields,
            "source",
            "the preset of the tool bootstraps from it: write source: {url: …, branch: …}",
        );
    }
    let said = |key: &str| own.and_then(|own| own.get(key)).map(|entry| &*entry.node);
    let bootstrap = fields.get("bootstrap").map(|at| walk.fields(at.node, at.path, &keys::STEP));
    let bootstrap =
        step(walk, bootstrap.as_ref(), preset.bootstrap, limits(Span::hours(2)), said("bootstrap"));
    let update = fields.get("update").map(|at| walk.fields(at.node, at.path, &keys::UPDATE));
    let update_on = walk.choice(update.as_ref().and_then(|u| u.get("on")), UpdateOn::Definitions);
    let update =
        step(walk, update.as_ref(), preset.update, limits(Span::minutes(60)), said("update"));
    let manifest = tools::manifest(walk, fields, preset.manifest, whole);
    let defining = match fields.get("defining") {
        Some(at) => patterns(walk, Some(at)),
        // What a preset names are patterns; a source's file that is none matches nothing.
        None => PathPatterns::new(preset.defining).unwrap_or_default(),
    };
    let spellings = tools::spellings(walk, fields.get("overrides"), preset.spelling);
    let (build_changes, build_mainline) = what(walk, fields.get("build"));
    let ci = cis(walk, fields, known, whole);
    let changes = changes(walk, fields.get("changes"));
    let mainline = fields.get("mainline").map(|at| walk.fields(at.node, at.path, &keys::MAINLINE));
    let mainline = |key| mainline.as_ref().and_then(|rules| rules.get(key));
    let mainline = MainlineRules {
        settle: walk.duration(mainline("settle"), Span::minutes(2)),
        settle_at_most: walk.duration(mainline("settle_at_most"), Span::minutes(15)),
    };
    let report_to = report(walk, fields.get("report"), known);
    let env = env(walk, fields.get("env"));
    let epoch = walk.count(fields.get("epoch"), 0);
    let max_in_flight = walk.size(fields.get("max_in_flight"), 4);
    // Its commands are known to fetch branches and tags alone; what others fetch is not known.
    let mirror = if tool == Tool::Autoproj { Mirror::On } else { Mirror::Off };
    let mirror = walk.choice(fields.get("mirror"), mirror);
    let candidates = candidates(walk, fields.get("candidates"));
    let paused = walk.bool(fields.get("paused"), false);
    let rebootstrap_after = walk.count(fields.get("rebootstrap_after"), 5);
    let max_shrink = walk.count(fields.get("max_shrink"), 50);
    let name = name?;
    Some(WorkspaceSettings {
        id: id.unwrap_or_else(|| name.clone()),
        name,
        tool,
        source,
        bootstrap,
        update,
        update_on,
        manifest: manifest?,
        defining,
        spellings,
        ci,
        build_changes,
        build_mainline,
        changes,
        mainline,
        epoch,
        max_in_flight,
        report_to,
        env,
        mirror,
        candidates,
        paused,
        rebootstrap_after: u32::try_from(rebootstrap_after).unwrap_or(u32::MAX),
        max_shrink,
    })
}

fn name(walk: &mut Walk<'_>, at: Option<At<'_>>) -> Option<Name> {
    let text = walk.text(at)?;
    if let (false, Some(at)) = (values::is_name(&text), at) {
        walk.error(at.node, at.path, format!("{} is not a name", shown(&text)), top::NAME_MEND);
        return None;
    }
    Some(Name::from(text))
}

pub(super) fn limits(timeout: Span) -> Limits {
    let (output, bounds) = (OutputLimit::DEFAULT, Bounds::DEFAULT);
    Limits { timeout, silence: Span::minutes(20), grace: Span::seconds(10), output, bounds }
}

fn step(
    walk: &mut Walk<'_>,
    fields: Option<&Fields<'_>>,
    preset: Option<Vec<String>>,
    default: Limits,
    own: Option<&Node>,
) -> Option<Step> {
    let Some(fields) = fields else { return preset.map(|run| Step { run, limits: default }) };
    let limits = walk.limits(fields, default);
    let said = |key| own.is_some_and(|own| own.get(key).is_some());
    if !fields.has("run")
        && preset.is_none()
        && ["timeout", "silence", "grace", "output", "limits"].into_iter().any(said)
    {
        walk.missing(fields, "run", "write the command, such as run: [./update.sh]");
    }
    let run = if fields.has("run") { walk.command(fields.get("run")) } else { preset };
    Some(Step { run: run?, limits })
}

fn what(walk: &mut Walk<'_>, at: Option<At<'_>>) -> (bool, bool) {
    let (Some(at), Some(items)) = (at, walk.items(at)) else { return (true, true) };
    let Kind::List(kind) = *at.kind else { return (true, true) };
    let words: Vec<String> = items
        .iter()
        .filter_map(|(node, path)| walk.word(Some(At { node, path, kind, name: at.name })))
        .collect();
    if items.is_empty() {
        walk.wrong(at, "changes, mainline or both", "to build nothing write `paused: true`");
    }
    (words.iter().any(|word| word == "changes"), words.iter().any(|word| word == "mainline"))
}

fn cis(walk: &mut Walk<'_>, fields: &Fields<'_>, known: &Known, whole: bool) -> Vec<Name> {
    let Some(at) = fields.get("ci") else {
        if let [only] = known.ci.as_slice() {
            return vec![only.clone()];
        }
        if whole {
            walk.missing(fields, "ci", "name the CIs that build it, such as ci: [main]");
        }
        return Vec::new();
    };
    let items = walk.items(Some(at)).unwrap_or_default();
    let mut all: Vec<Name> = Vec::new();
    for (node, path) in &items {
        let Some(text) = walk.text(Some(At { node, path, kind: &Kind::Text, name: at.name }))
        else {
            continue;
        };
        if let Some(name) = known.ci.iter().find(|name| ***name == *text) {
            if !all.contains(name) {
                all.push(name.clone());
            }
        } else {
            let mend = unknown(&text, &known.ci, "ci");
            walk.error(node, path, format!("there is no CI {}", shown(&text)), mend);
        }
    }
    if items.is_empty() {
        walk.wrong(at, "at least one CI", "to build nothing write `paused: true`");
    }
    all
}

fn unknown(text: &str, known: &[Name], key: &str) -> String {
    match nearest(text, known.iter().map(Name::as_str)) {
        Some(right) => format!("did you mean \"{right}\"?"),
        None => format!("configure it under `{key}:` first"),
    }
}

fn changes(walk: &mut Walk<'_>, at: Option<At<'_>>) -> ChangeRules {
    let fields = at.map(|at| walk.fields(at.node, at.path, &keys::CHANGES));
    let get = |key| fields.as_ref().and_then(|fields| fields.get(key));
    let settle = get("settle").map(|at| walk.fields(at.node, at.path, &keys::SETTLE));
    let settle = |key| settle.as_ref().and_then(|fields| fields.get(key));
    walk.word(get("authors"));
    ChangeRules {
        settle_new: walk.duration(settle("new"), Span::seconds(90)),
        settle_push: walk.duration(settle("push"), Span::seconds(30)),
        settle_bots: walk.duration(settle("bots"), Span::minutes(10)),
        drafts: walk.choice(get("drafts"), Drafts::Build),
        max_age: walk.duration(get("max_age"), Span::days(120)),
        dependencies: walk.choice(get("dependencies"), Dependencies::Tops),
        trusted: walk.texts(get("trusted")).unwrap_or_default(),
        bots: walk.texts(get("bots")).unwrap_or_default(),
        merged_labels: walk.texts(get("merged_labels")).unwrap_or_default(),
        on_conflict: walk.choice(get("on_conflict"), OnConflict::Head),
        adopt: walk.choice(get("adopt"), Adopt::Recent),
        max_dependencies: walk.size(get("max_dependencies"), 50),
        on_closed: walk.choice(get("on_closed"), OnClosed::Block),
        ref_kind: walk.choice(get("ref"), RefKind::Auto),
        same_repository: walk.choice(get("same_repository"), SameRepository::Block),
        pinned_roots: walk.word(get("pinned")).is_some_and(|word| word == "roots"),
        branch_matching: walk.bool(get("branch_matching"), false),
        reading: Reading {
            grammar: walk.choice(get("grammar"), Grammar::Default),
            phrases: phrases(walk, get("phrases")),
        },
        paths: patterns(walk, get("paths")),
        ignore_paths: patterns(walk, get("ignore_paths")),
        rebuild_on_base: walk.choice(get("rebuild_on_base"), RebuildOnBase::None),
    }
}

fn candidates(walk: &mut Walk<'_>, at: Option<At<'_>>) -> CandidateRules {
    let default = CandidateRules::DEFAULT;
    let Some(at) = at else { return default };
    let fields = walk.fields(at.node, at.path, &keys::CANDIDATES);
    let read_only = walk.texts(fields.get("read_only")).unwrap_or_default();
    CandidateRules {
        make: walk.bool(fields.get("make"), default.make),
        network: walk.bool(fields.get("network"), default.network),
        read_only: read_only.iter().map(|path| walk.folder.join(path)).collect(),
        max_size: walk.bytes(fields.get("max_size"), default.max_size),
    }
}

/// In one spelling and order, so that workspaces that say the same share what is read.
fn phrases(walk: &mut Walk<'_>, at: Option<At<'_>>) -> Vec<String> {
    let mut phrases = Vec::new();
    for (node, path) in walk.items(at).unwrap_or_default() {
        let at = At { node, path: &path, kind: &Kind::Text, name: "phrases" };
        let Some(text) = walk.text(Some(at)) else { continue };
        let words: Vec<&str> = text.split_whitespace().collect();
        let phrase = words.join(" ").to_lowercase();
        let fits = phrase.chars().any(char::is_alphabetic) && phrase.len() <= MAX_PHRASE;
        if fits && !phrase.contains([':', '#', '!']) {
            phrases.push(phrase);
        } else {
            let what = format!("{} is no phrase", shown(&text));
            walk.error(node, &path, what, "write words such as requires, without the colon");
        }
    }
    if phrases.len() > MAX_PHRASES
        && let Some(at) = at
    {
        walk.wrong(at, "at most 20 phrases", "leave some out");
    }
    phrases.sort();
    phrases.dedup();
    phrases
}

fn patterns(walk: &mut Walk<'_>, at: Option<At<'_>>) -> PathPatterns {
    match PathPatterns::new(walk.texts(at).unwrap_or_default()) {
        Ok(patterns) => patterns,
        Err(wrong) => {
            let items = walk.items(at).unwrap_or_default();
            if let Some((node, path)) = items.get(wrong.index) {
                let what = format!("{} is not a pattern: {}", shown(&wrong.text), wrong.why);
                walk.error(node, path, what, "write it like docs/** or *.md");
            }
            PathPatterns::default()
        }
    }
}

fn report(walk: &mut Walk<'_>, at: Option<At<'_>>, known: &Known) -> Vec<RepositoryId> {
    let Some(fields) = at.map(|at| walk.fields(at.node, at.path, &keys::REPORT)) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for (node, path) in walk.items(fields.get("to")).unwrap_or_default() {
        let Some(text) = walk.text(Some(At { node, path: &path, kind: &Kind::Text, name: "to" }))
        else {
            continue;
        };
        let Ok(repository) = text.parse::<RepositoryId>() else {
            walk.error(
                node,
                &path,
                format!("{} is not a repository", shown(&text)),
                "write FORGE/path, such as github/owner/name",
            );
            continue;
        };
        let right = known.forges.values().flatten();
        let forge =
            right.clone().find(|forge| [&forge.name, &forge.identity].contains(&&repository.forge));
        match forge {
            Some(forge) if forge.kind.git().is_some() => walk.error(
                node,
                &path,
                format!("{} is plain git, where nothing can be reported", shown(&forge.name)),
                "name repositories of a forge with pull requests",
            ),
            Some(forge) => {
                let locator = Locator::of_forges([&**forge]);
                match locator.on_forge(&forge.name, &repository.path) {
                    Some(Ok(repository)) => all.push(repository),
                    Some(Err(_)) | None => walk.error(
                        node,
                        &path,
                        format!("{} is not a repository", shown(&text)),
                        "write FORGE/path, such as github/owner/name",
                    ),
                }
            }
            // What is wrong with the forge is said where it stands.
            None if known.forges.contains_key(&repository.forge) => {}
            None => {
                let names: Vec<Name> = known.forges.keys().cloned().collect();
                let mend = unknown(&repository.forge, &names, "forges");
                walk.error(
                    node,
                    &path,
                    format!("there is no forge {}", shown(&repository.forge)),
                    mend,
                );
            }
        }
    }
    all
}

fn env(walk: &mut Walk<'_>, at: Option<At<'_>>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for (name, node, path) in ci::texts(walk, at) {
        if !values::is_variable(&name) {
            walk.error(
                node,
                &path,
                "this is not the name of a variable",
                "use letters, digits and _",
            );
        } else if name.starts_with("CROSSWATCH_") {
            walk.error(
                node,
                &path,
                "variables of this kind are set by crosswatch itself",
                "use another name",
            );
        } else if is_secret_key(&name) {
            walk.error(
                node,
                &path,
                "a secret must not be written here",
                "commands get no secrets: let them read a file of their own",
            );
        } else if let Some(text) =
            walk.text(Some(At { node, path: &path, kind: &Kind::Text, name: &name }))
        {
            env.insert(name, text);
        }
    }
    env
}
