//! Presets of tools: what `tool:` fills in where a workspace says nothing, and the keys that belong
//! to a tool. `docs/tools/` has a page on each.

use std::path::PathBuf;

use crosswatch_core::model::settings::{
    Limits, ManifestFormat, ManifestFrom, ManifestSource, Source, Spelling, Step, Tool,
};
use crosswatch_core::model::time::Span;

use super::super::keys::{self, Kind};
use super::super::mask::shown;
use super::{At, Fields, Walk};

/// Patterns that a workspace may have of one kind.
const MAX_PATTERNS: usize = 50;

/// Brings the clone in the workspace's folder to the head of `$1`.
const FOLLOW: &str = "git fetch -q --no-tags origin \"$1\"\ngit reset -q --hard FETCH_HEAD\n";

/// What a tool fills in.
pub(super) struct Preset {
    pub(super) bootstrap: Option<Vec<String>>,
    pub(super) update: Option<Vec<String>>,
    pub(super) manifest: ManifestPreset,
    pub(super) defining: Vec<String>,
    pub(super) spelling: Option<Spelling>,
}

/// What a tool fills in for `manifest:`.
pub(super) struct ManifestPreset {
    format: ManifestFormat,
    path: Option<String>,
    run: Option<Vec<String>>,
    files: Vec<String>,
    checkouts: Option<&'static str>,
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The preset of a tool.
pub(super) fn preset(
    tool: Tool,
    source: Option<&Source>,
    script: Option<PathBuf>,
    file: Option<&str>,
) -> Preset {
    let url = source.map(|source| source.url.as_str()).unwrap_or_default();
    let branch = source.and_then(|source| source.branch.as_deref());
    match tool {
        Tool::Autoproj => autoproj(url, branch, script),
        Tool::West => west(url, branch, file),
        Tool::Repo => repo(url, branch, file),
        Tool::Vcstool => vcstool(url, branch, file.unwrap_or("workspace.repos")),
        Tool::Kas => kas(url, branch, file.unwrap_or("kas.yml")),
        Tool::Gitmodules => gitmodules(url, branch),
        Tool::Custom => Preset {
            bootstrap: None,
            update: None,
            manifest: ManifestPreset {
                format: ManifestFormat::Crosswatch,
                path: None,
                run: None,
                files: Vec::new(),
                checkouts: None,
            },
            defining: Vec::new(),
            spelling: None,
        },
    }
}

fn autoproj(url: &str, branch: Option<&str>, script: Option<PathBuf>) -> Preset {
    let mut bootstrap = owned(&["ruby"]);
    match script {
        Some(script) => bootstrap.push(script.to_string_lossy().into_owned()),
        // Ruby itself looks for the script on PATH.
        None => bootstrap.extend(owned(&["-S", "autoproj_bootstrap"])),
    }
    bootstrap.extend(owned(&["--no-interactive", "--no-color", "--no-progress", "git"]));
    if !url.is_empty() {
        bootstrap.push(url.to_owned());
        bootstrap.extend(branch.map(|branch| format!("branch={branch}")));
    }
    let update = [
        ".autoproj/bin/autoproj",
        "update",
        "--no-osdeps",
        "--no-bundler",
        "--no-autoproj",
        "--no-interactive",
        "--no-color",
        "--no-progress",
    ];
    Preset {
        bootstrap: Some(bootstrap),
        update: Some(owned(&update)),
        manifest: ManifestPreset {
            format: ManifestFormat::Autoproj,
            path: Some(".autoproj/installation-manifest".to_owned()),
            run: None,
            files: Vec::new(),
            checkouts: None,
        },
        defining: owned(&["manifest.xml", "package.xml", "*.orogen", "*.autobuild", "*.osdeps"]),
        spelling: Some(Spelling::Autoproj),
    }
}

fn west(url: &str, branch: Option<&str>, file: Option<&str>) -> Preset {
    let mut bootstrap = owned(&["west", "init", "-m", url]);
    bootstrap.extend(branch.into_iter().flat_map(|branch| owned(&["--mr", branch])));
    bootstrap.extend(file.into_iter().flat_map(|file| owned(&["--mf", file])));
    bootstrap.push(".".to_owned());
    // `west update` leaves the repository with the manifest as it is.
    let update = "cd \"$(west config manifest.path)\"\ngit fetch -q origin \"$1\"\n\
                  git checkout -q --force --detach FETCH_HEAD\ncd \"$OLDPWD\"\nwest update\n";
    let file = file.unwrap_or("west.yml");
    let mut files = owned(&[".west/config"]);
    let name = file.rsplit('/').next().unwrap_or(file);
    for folder in ["*", "*/*", "*/*/*"] {
        files.push(format!("{folder}/west.yml"));
        files.push(format!("{folder}/submanifests/*.yml"));
        if name != "west.yml" {
            files.push(format!("{folder}/{name}"));
        }
    }
    let mut defining = owned(&["west.yml", "submanifests/*.yml"]);
    if name != "west.yml" {
        defining.push(name.to_owned());
    }
    Preset {
        bootstrap: Some(bootstrap),
        update: Some(script(update, &[branch.unwrap_or("HEAD")])),
        manifest: ManifestPreset {
            format: ManifestFormat::West,
            path: None,
            run: Some(owned(&["west", "manifest", "--resolve"])),
            files,
            checkouts: None,
        },
        defining,
        spelling: Some(Spelling::West),
    }
}

fn repo(url: &str, branch: Option<&str>, file: Option<&str>) -> Preset {
    let mut bootstrap = owned(&["repo", "init", "-q", "-u", url]);
    bootstrap.extend(branch.into_iter().flat_map(|branch| owned(&["-b", branch])));
    bootstrap.extend(file.into_iter().flat_map(|file| owned(&["-m", file])));
    Preset {
        bootstrap: Some(bootstrap),
        update: Some(owned(&["repo", "sync", "-q", "-c", "-d", "--force-sync", "--no-tags"])),
        manifest: ManifestPreset {
            format: ManifestFormat::Repo,
            path: None,
            run: Some(owned(&["repo", "manifest"])),
            // Where `repo init --groups` is kept.
            files: owned(&[".repo/manifests.git/config"]),
            checkouts: None,
        },
        defining: owned(&["*.xml"]),
        spelling: Some(Spelling::Repo),
    }
}

fn vcstool(url: &str, branch: Option<&str>, file: &str) -> Preset {
    // `vcs import` checks a branch out and leaves it where it was before.
    let update = format!(
        "{FOLLOW}mkdir -p src\nvcs import --input \"$2\" src\n\
         find src -name .git -prune -exec sh -euc '\n  for git; do\n    cd \"${{git%/.git}}\"\n    \
         if git symbolic-ref -q HEAD >/dev/null; then git reset -q --hard \"@{{upstream}}\"; fi\n    \
         cd \"$OLDPWD\"\n  done' follow {{}} +\n"
    );
    Preset {
        bootstrap: Some(clone(url, branch)),
        update: Some(script(&update, &[branch.unwrap_or("HEAD"), file])),
        manifest: ManifestPreset {
            format: ManifestFormat::Vcstool,
            path: Some(file.to_owned()),
            run: None,
            files: owned(&[
                "src/**/package.xml",
                "src/**/COLCON_IGNORE",
                "src/**/AMENT_IGNORE",
                "src/**/CATKIN_IGNORE",
            ]),
            checkouts: Some("src"),
        },
        defining: owned(&["*.repos", "*.rosinstall", "package.xml"]),
        spelling: Some(Spelling::Vcstool),
    }
}

fn kas(url: &str, branch: Option<&str>, file: &str) -> Preset {
    let update = format!(
        "{FOLLOW}kas checkout --update --skip repos_apply_patches --skip setup_environ \
         --skip write_bbconfig \"$2\"\n"
    );
    Preset {
        bootstrap: Some(clone(url, branch)),
        update: Some(script(&update, &[branch.unwrap_or("HEAD"), file])),
        manifest: ManifestPreset {
            format: ManifestFormat::Kas,
            path: None,
            run: Some(owned(&["kas", "dump", file])),
            files: owned(&["*.yml", "*.yaml", "*/*.yml", "*/*.yaml", "*/*/*.yml", "*/*/*.yaml"]),
            checkouts: None,
        },
        // Any file may be included.
        defining: owned(&["*.yml", "*.yaml"]),
        spelling: Some(Spelling::Kas),
    }
}

fn gitmodules(url: &str, branch: Option<&str>) -> Preset {
    // The branches are followed, whatever commits are recorded; those inside of submodules are not.
    let update = format!(
        "{FOLLOW}git submodule -q sync\n\
         git submodule -q update --init --force --checkout --remote\n\
         git submodule -q foreach git submodule -q update --init --force --checkout --recursive\n"
    );
    Preset {
        bootstrap: Some(clone(url, branch)),
        update: Some(script(&update, &[branch.unwrap_or("HEAD")])),
        manifest: ManifestPreset {
            format: ManifestFormat::Gitmodules,
            path: None,
            run: Some(owned(&["git", "config", "-f", ".gitmodules", "--list", "-z"])),
            files: Vec::new(),
            checkouts: None,
        },
        defining: owned(&[".gitmodules"]),
        spelling: Some(Spelling::Gitmodules),
    }
}

fn clone(url: &str, branch: Option<&str>) -> Vec<String> {
    let mut run = owned(&["git", "clone", "-q"]);
    run.extend(branch.into_iter().flat_map(|branch| owned(&["-b", branch])));
    run.extend(owned(&["--", url, "."]));
    run
}

/// A fixed script; what the configuration says are its arguments and never part of its text.
fn script(text: &str, arguments: &[&str]) -> Vec<String> {
    let mut run = owned(&["sh", "-euc", text, "update"]);
    run.extend(owned(arguments));
    run
}

/// `source.file`, for the tools that read one.
pub(super) fn file(
    walk: &mut Walk<'_>,
    workspace: &Fields<'_>,
    tool: Tool,
    whole: bool,
) -> Option<String> {
    let source = workspace.get("source")?;
    let fields = walk.fields(source.node, source.path, &keys::SOURCE);
    let at = fields.get("file")?;
    let text = walk.some_text(Some(at))?;
    if whole && matches!(tool, Tool::Autoproj | Tool::Gitmodules | Tool::Custom) {
        walk.error(
            at.node,
            at.path,
            "only the tools west, repo, vcstool and kas read a file of the source",
            "remove it",
        );
        return None;
    }
    // kas takes several, with colons between them.
    let fits = text.split(':').all(|part| !part.starts_with('-') && inside(part));
    if !fits || (tool != Tool::Kas && text.contains(':')) {
        walk.wrong(at, "a path inside the source", "write it relative, without ..");
        return None;
    }
    Some(text)
}

/// How CIs are given the overrides.
pub(super) fn spellings(
    walk: &mut Walk<'_>,
    at: Option<At<'_>>,
    preset: Option<Spelling>,
) -> Vec<Spelling> {
    let (Some(at), Some(items)) = (at, walk.items(at)) else {
        return preset.into_iter().collect();
    };
    let Kind::List(kind) = *at.kind else { return Vec::new() };
    let mut all = Vec::new();
    for (node, path) in &items {
        let word = walk.word(Some(At { node, path, kind, name: at.name }));
        if let Some(spelling) = word.and_then(|word| word.parse::<Spelling>().ok())
            && !all.contains(&spelling)
        {
            all.push(spelling);
        }
    }
    all
}

/// Patterns of files: relative, `*` for anything but `/`, `**` for any folders.
pub(super) fn patterns(walk: &mut Walk<'_>, at: At<'_>) -> Vec<String> {
    let mut all = Vec::new();
    for (node, path) in walk.items(Some(at)).unwrap_or_default() {
        let at = At { node, path: &path, kind: &Kind::Text, name: at.name };
        let Some(text) = walk.some_text(Some(at)) else { continue };
        if !inside(&text) {
            walk.wrong(at, "a pattern of relative paths", "write it relative, without ..");
        } else if all.len() >= MAX_PATTERNS {
            let what = format!("{} is one of more than {MAX_PATTERNS} patterns", shown(&text));
            walk.error(node, &path, what, "write fewer, with * for what differs");
            break;
        } else {
            all.push(text);
        }
    }
    all
}

fn inside(text: &str) -> bool {
    !text.is_empty()
        && PathBuf::from(text).components().all(|part| {
            matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir)
        })
}

/// Where the manifest comes from.
pub(super) fn manifest(
    walk: &mut Walk<'_>,
    workspace: &Fields<'_>,
    preset: ManifestPreset,
    whole: bool,
) -> Option<ManifestSource> {
    let fields = workspace.get("manifest").map(|at| walk.fields(at.node, at.path, &keys::MANIFEST));
    let get = |key| fields.as_ref().and_then(|fields| fields.get(key));
    let format = walk.choice(get("format"), preset.format);
    let max_bytes = walk.count(get("max_bytes"), 32 << 20);
    let default =
        Limits { silence: Span::minutes(5), ..super::workspaces::limits(Span::minutes(5)) };
    let limits = |walk: &mut Walk<'_>| {
        fields.as_ref().map_or(default, |fields| walk.limits(fields, default))
    };
    let from = match (get("path"), get("run")) {
        (Some(_), Some(run)) => {
            walk.error(
                run.node,
                run.path,
                "the manifest comes from a path or a command, not both",
                "remove one of path and run",
            );
            None
        }
        (Some(path), None) => relative(walk, path).map(ManifestFrom::Path),
        (None, Some(run)) => {
            let run = walk.command(Some(run));
            let limits = limits(walk);
            run.map(|run| ManifestFrom::Run(Step { run, limits }))
        }
        (None, None) => match (preset.path, preset.run) {
            (Some(path), _) => Some(ManifestFrom::Path(path.into())),
            (None, Some(run)) => Some(ManifestFrom::Run(Step { run, limits: limits(walk) })),
            (None, None) => {
                if whole {
                    walk.missing(
                        workspace,
                        "manifest",
                        "write manifest: {path: FILE}, or {run: [command, …]}",
                    );
                }
                None
            }
        },
    };
    let files = match get("files") {
        Some(at) => patterns(walk, at),
        None if format == preset.format => preset.files,
        None => Vec::new(),
    };
    let checkouts = match get("checkouts") {
        Some(at) => relative(walk, at).map(|path| path.to_string_lossy().into_owned()),
        None => preset.checkouts.map(str::to_owned),
    };
    Some(ManifestSource { format, from: from?, max_bytes, files, checkouts })
}

fn relative(walk: &mut Walk<'_>, at: At<'_>) -> Option<PathBuf> {
    let text = walk.some_text(Some(at))?;
    if !inside(&text) {
        walk.wrong(at, "a path inside the workspace's directory", "write it relative, without ..");
        return None;
    }
    Some(PathBuf::from(text))
}
