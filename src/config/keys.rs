//! Every key of the configuration with what it takes: the walk checks by these tables, and the
//! schema is written from them.

/// What a key takes.
#[derive(Debug)]
pub enum Kind {
    /// A text.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Count(u64, u64),
    /// A duration; `true` when zero makes sense.
    Duration(bool),
    /// An amount of bytes.
    Size,
    /// One of these words.
    Words(&'static [&'static str]),
    /// Where a secret is.
    Secret,
    /// Where a secret is, or a list of such places.
    Secrets,
    /// One of these words, or where a secret is.
    WordsOrSecret(&'static [&'static str]),
    /// A list.
    List(&'static Kind),
    /// Keys of a table.
    Table(&'static Table),
    /// Names, each with keys of a table.
    Named(&'static Table),
    /// Free names with texts.
    Texts,
    /// Free names with texts or secrets.
    Headers,
}

/// A key.
#[derive(Debug)]
pub struct Key {
    /// How it is written.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it means.
    pub doc: &'static str,
}

/// Keys that stand together.
#[derive(Debug)]
pub struct Table(pub &'static [Key]);

impl Table {
    /// The key of that name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.0.iter().find(|key| key.name == name)
    }
}

/// Whether any table has the key, or it says where a secret is.
pub fn is_known(name: &str) -> bool {
    fn find(table: &Table, name: &str) -> bool {
        table.0.iter().any(|key| {
            key.name == name
                || match &key.kind {
                    Kind::Table(table) | Kind::Named(table) | Kind::List(Kind::Table(table)) => {
                        find(table, name)
                    }
                    _ => false,
                }
        })
    }
    matches!(name, "file" | "credential") || find(&TOP, name)
}

const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, doc }
}

const POSITIVE: Kind = Kind::Duration(false);
const ANY: Kind = Kind::Duration(true);
const TEXTS: Kind = Kind::List(&Kind::Text);

/// The file itself.
pub static TOP: Table = Table(&[
    key("version", Kind::Count(1, 1), "Version of this format: 1."),
    key("state_dir", Kind::Text, "Where workspaces, logs and the embedded database live."),
    key(
        "database",
        Kind::WordsOrSecret(&["sqlite"]),
        "sqlite, or where the URL of a PostgreSQL server is kept.",
    ),
    key("listen", Kind::Text, "Address and port of the pages."),
    key("public_url", Kind::Text, "The address under which people reach the pages."),
    key(
        "max_updates",
        Kind::Count(1, 1024),
        "Updates and bootstraps that may run at once; as many as there are cores, two at least, when left out.",
    ),
    key(
        "max_candidates",
        Kind::Count(1, 1024),
        "Copies of workspaces in which candidates are made at once; 1 when left out.",
    ),
    key(
        "max_load",
        Kind::Count(1, 100_000),
        "While the 1-minute load average is above it, no further update is started as long as one runs; no limit when left out.",
    ),
    key("logs", Kind::Table(&LOGS), "How long logs of finished runs are kept."),
    key("proxy", Kind::Table(&PROXY), "The proxy for forges and CIs; read at the start."),
    key("forges", Kind::Named(&FORGE), "Servers with repositories, by name."),
    key("ci", Kind::Named(&CI), "CIs, by name."),
    key("defaults", Kind::Table(&WORKSPACE), "Any key of a workspace, for all of them."),
    key("workspaces", Kind::List(&Kind::Table(&WORKSPACE)), "The build configurations."),
]);

/// Keys of `proxy`.
pub static PROXY: Table = Table(&[
    key("url", Kind::Text, "Its address, such as http://proxy.example.org:3128."),
    key("except", TEXTS, "Hosts, domains and networks that are reached without it."),
    key("user", Kind::Text, "User at the proxy."),
    key("password", Kind::Secret, "Where the user's password is."),
]);

/// Keys of `logs`.
pub static LOGS: Table = Table(&[
    key("keep", POSITIVE, "Older ones are removed; the last one of each workspace stays."),
    key("max_size", Kind::Size, "When all together are larger, the oldest are removed."),
]);

/// Keys of `output`.
pub static OUTPUT: Table = Table(&[
    key("max", Kind::Size, "How much a log keeps: what is more is cut out of its middle."),
    key("over", Kind::Words(&["cut", "end"]), "Whether a run that writes more goes on or ends."),
]);

/// Keys of `limits`.
pub static LIMITS: Table = Table(&[
    key("memory", Kind::Size, "Memory of all its processes together; no limit when left out."),
    key("processes", Kind::Count(1, 4_000_000), "Processes at once."),
    key("open_files", Kind::Count(16, 1 << 30), "Open files of each process."),
    key("disk", Kind::Size, "What its folder may take on the disk; no limit when left out."),
]);

/// A forge.
pub static FORGE: Table = Table(&[
    key("kind", Kind::Words(&["github", "git"]), "Kind of server."),
    key(
        "url",
        Kind::Text,
        "What the URLs of manifests are matched against; https://github.com for kind github when left out.",
    ),
    key(
        "also",
        TEXTS,
        "Other prefixes of the same server; those of ssh for kind github when left out.",
    ),
    key(
        "token",
        Kind::Secrets,
        "Where the token is; for kind github a list of them too, among which the repositories are shared out.",
    ),
    key(
        "app",
        Kind::Table(&APP),
        "github: the application that it is asked as, beside the tokens.",
    ),
    key("poll", Kind::Table(&POLL), "How often it is looked at."),
    key(
        "api_url",
        Kind::Text,
        "github: address of its API; https://api.github.com, or /api/v3 below the URL of another server, when left out.",
    ),
    key(
        "webhook_secret",
        Kind::Secrets,
        "github: where the secret of webhooks is; a list while one is replaced by another. No webhook is taken when left out.",
    ),
    key("changes", TEXTS, "git: patterns of change refs, with one * for the number."),
    key("base", Kind::Text, "git: base branch of changes; the default branch when left out."),
    key("authors", Kind::Words(&["any", "none"]), "git: whether every head is trusted, or none."),
]);

/// Keys of `app`.
pub static APP: Table = Table(&[
    key("id", Kind::Count(1, 1 << 53), "Number of the application."),
    key(
        "installation",
        Kind::Count(1, 1 << 53),
        "Number of the installation that reads everything; that of each repository's owner when left out.",
    ),
    key("key", Kind::Secret, "Where the application's private key is, in PEM."),
]);

/// Keys of [`FORGE`] that only forges of another kind take.
pub fn foreign_forge_keys(kind: &str) -> &'static [&'static str] {
    if kind == "github" {
        &["changes", "base", "authors"]
    } else {
        &["api_url", "webhook_secret", "app"]
    }
}

/// Keys of `poll`.
pub static POLL: Table = Table(&[
    key("interval", POSITIVE, "Time between two looks at a repository."),
    key("reconcile", POSITIVE, "Time within which everything is read whole again."),
]);

/// A CI; which keys beside the common ones it takes depends on its kind.
pub static CI: Table = Table(&[
    key("kind", Kind::Words(&["local", "buildbot", "http", "command"]), "Kind of CI."),
    key("max_in_flight", Kind::Count(1, 10_000), "Builds between sending and ending at once."),
    key("deadline", POSITIVE, "Deadline of one request."),
    key("poll_interval", POSITIVE, "Time between two questions after a build."),
    key("lost_after", POSITIVE, "Without a sign for this long a build is lost."),
    key("push_secret", Kind::Secret, "Secret of results pushed to /ci/NAME."),
    key("run", TEXTS, "local: program and arguments."),
    key("slots", Kind::Count(1, 1024), "local: builds at once."),
    key("timeout", POSITIVE, "local, command: longest time of one run."),
    key("silence", POSITIVE, "local, command: longest time without output."),
    key("grace", ANY, "local, command: time from TERM to KILL."),
    key("output", Kind::Table(&OUTPUT), "local: how much a build may write."),
    key("limits", Kind::Table(&LIMITS), "local: what a build may use."),
    key(
        "sandbox",
        Kind::Words(&["bubblewrap", "none"]),
        "local: what surrounds the code of changes.",
    ),
    key("read_only", TEXTS, "local: more paths that the sandbox may read."),
    key("network", Kind::Bool, "local: whether the sandbox reaches the network."),
    key("url", Kind::Text, "buildbot: address of the master."),
    key("user", Kind::Text, "buildbot: user of the change hook."),
    key("password", Kind::Secret, "buildbot: where the hook's password is."),
    key("project", Kind::Text, "buildbot: project of the changes."),
    key(
        "send",
        Kind::Table(&CALL),
        "http: the request that starts a build; command: the executable, as a list.",
    ),
    key("id", Kind::Text, "http: JSON pointer to the build's id."),
    key("link", Kind::Text, "http: JSON pointer to the build's page."),
    key(
        "poll",
        Kind::Table(&ASK),
        "http: the request that asks for the state; command: the executable, as a list.",
    ),
    key(
        "cancel",
        Kind::Table(&CALL),
        "http: the request that cancels; command: the executable, as a list.",
    ),
    key("sign", Kind::Secret, "http: where the HMAC key is."),
]);

/// Which keys of [`CI`] a kind takes beside the common first six.
pub fn ci_keys(kind: &str) -> &'static [&'static str] {
    match kind {
        "local" => &[
            "run",
            "slots",
            "timeout",
            "silence",
            "grace",
            "output",
            "limits",
            "sandbox",
            "read_only",
            "network",
        ],
        "buildbot" => &["url", "user", "password", "project"],
        "http" => &["send", "id", "link", "poll", "cancel", "sign"],
        _ => &["send", "poll", "cancel", "timeout", "silence", "grace"],
    }
}

/// A request.
pub static CALL: Table = Table(&[
    key("method", Kind::Words(&["GET", "POST", "PUT", "PATCH", "DELETE"]), "Method."),
    key("url", Kind::Text, "Address, a template."),
    key("headers", Kind::Headers, "Header fields."),
    key("body", Kind::Text, "Body, a template."),
]);

/// A request for a state.
pub static ASK: Table = Table(&[
    key("method", Kind::Words(&["GET", "POST", "PUT", "PATCH", "DELETE"]), "Method."),
    key("url", Kind::Text, "Address, a template."),
    key("headers", Kind::Headers, "Header fields."),
    key("body", Kind::Text, "Body, a template."),
    key("state", Kind::Text, "JSON pointer to the state."),
    key("link", Kind::Text, "JSON pointer to the build's page."),
    key(
        "states",
        Kind::Texts,
        "The CI's words, each with success, failure, cancelled, lost or refused.",
    ),
]);

/// A workspace.
pub static WORKSPACE: Table = Table(&[
    key("name", Kind::Text, "Its name."),
    key("id", Kind::Text, "What fingerprints call it; survives a rename."),
    key(
        "tool",
        Kind::Words(&["autoproj", "west", "repo", "vcstool", "kas", "gitmodules", "custom"]),
        "Preset for what is left out.",
    ),
    key("source", Kind::Table(&SOURCE), "The repository that it is made from."),
    key(
        "bootstrap_script",
        Kind::Text,
        "autoproj: path of autoproj_bootstrap; looked up on PATH when left out.",
    ),
    key("bootstrap", Kind::Table(&STEP), "Command that makes it in an empty directory."),
    key("update", Kind::Table(&UPDATE), "Command that brings it up to date."),
    key("manifest", Kind::Table(&MANIFEST), "Where the manifest comes from."),
    key(
        "defining",
        TEXTS,
        "Patterns of files that decide the manifest when a change touches them.",
    ),
    key(
        "overrides",
        Kind::List(&Kind::Words(&[
            "json",
            "autoproj",
            "west",
            "repo",
            "vcstool",
            "kas",
            "gitmodules",
        ])),
        "How CIs are given the overrides.",
    ),
    key("ci", TEXTS, "Names of the CIs that build it."),
    key("build", Kind::List(&Kind::Words(&["changes", "mainline"])), "What is built."),
    key("changes", Kind::Table(&CHANGES), "Rules for changes."),
    key("mainline", Kind::Table(&MAINLINE), "Settling of the mainline."),
    key("epoch", Kind::Count(0, 1 << 53), "Raising it builds everything again."),
    key("max_in_flight", Kind::Count(1, 10_000), "Builds between sending and ending at once."),
    key("report", Kind::Table(&REPORT), "What may be written to forges."),
    key("env", Kind::Texts, "Variables of the environment of its commands."),
    key(
        "mirror",
        Kind::Words(&["on", "off"]),
        "Whether git in its commands reads shared mirrors; on with autoproj, else off.",
    ),
    key(
        "candidates",
        Kind::Table(&CANDIDATES),
        "How the manifest is found out that changes would give.",
    ),
    key(
        "rebootstrap_after",
        Kind::Count(0, 1000),
        "After so many failed updates in a row it is bootstrapped into a fresh directory; 5 when left out, 0 for never.",
    ),
    key(
        "max_shrink",
        Kind::Count(0, 100),
        "Packages in percent that a manifest may lose at once; one that lost more is believed when a second run agrees; 50 when left out.",
    ),
    key("paused", Kind::Bool, "Switched off."),
]);

/// Keys of `source`.
pub static SOURCE: Table = Table(&[
    key("url", Kind::Text, "URL of the repository."),
    key("branch", Kind::Text, "The branch; the default branch when left out."),
    key("file", Kind::Text, "west, repo, vcstool, kas: the file in it that the tool reads."),
]);

/// Keys of `step`.
pub static STEP: Table = Table(&[
    key("run", TEXTS, "Program and arguments, without a shell."),
    key("timeout", POSITIVE, "From start to end."),
    key("silence", POSITIVE, "Without any output."),
    key("grace", ANY, "From TERM to KILL."),
    key("output", Kind::Table(&OUTPUT), "How much it may write."),
    key("limits", Kind::Table(&LIMITS), "What it may use."),
]);

/// Keys of `update`.
pub static UPDATE: Table = Table(&[
    key("run", TEXTS, "Program and arguments, without a shell."),
    key("timeout", POSITIVE, "From start to end."),
    key("silence", POSITIVE, "Without any output."),
    key("grace", ANY, "From TERM to KILL."),
    key("output", Kind::Table(&OUTPUT), "How much it may write."),
    key("limits", Kind::Table(&LIMITS), "What it may use."),
    key("on", Kind::Words(&["definitions", "any"]), "When it runs."),
]);

/// Keys of `candidates`.
pub static CANDIDATES: Table = Table(&[
    key("make", Kind::Bool, "false judges every change by the mainline's manifest."),
    key("network", Kind::Bool, "Whether its commands reach the network; false when left out."),
    key("read_only", TEXTS, "Paths that its commands may read besides the system's own."),
    key("max_size", Kind::Size, "Largest copy of the workspace; 20GiB when left out."),
]);

/// Keys of `manifest`.
pub static MANIFEST: Table = Table(&[
    key(
        "format",
        Kind::Words(&["crosswatch", "autoproj", "west", "repo", "vcstool", "kas", "gitmodules"]),
        "How it is written.",
    ),
    key("path", Kind::Text, "File, relative to the workspace's directory."),
    key("run", TEXTS, "Command that prints it."),
    key("timeout", POSITIVE, "From start to end of the command."),
    key("silence", POSITIVE, "Without any output of the command."),
    key("grace", ANY, "From TERM to KILL."),
    key("max_bytes", Kind::Count(1, 1 << 40), "Largest manifest that is read."),
    key("files", TEXTS, "Patterns of further files that its reader looks into."),
    key("checkouts", Kind::Text, "vcstool: the folder that it imports into."),
]);

/// Keys of `changes`.
pub static CHANGES: Table = Table(&[
    key("settle", Kind::Table(&SETTLE), "Quiet times before a build."),
    key("drafts", Kind::Words(&["build", "hold"]), "What happens to drafts."),
    key("max_age", POSITIVE, "Without a move for this long a change is stale."),
    key(
        "dependencies",
        Kind::Words(&["tops", "each", "both"]),
        "Which members of a set are built.",
    ),
    key("authors", Kind::Words(&["trusted"]), "Whose changes are built without an approval."),
    key("trusted", TEXTS, "More names of trusted authors."),
    key("bots", TEXTS, "More names of bots."),
    key(
        "merged_labels",
        TEXTS,
        "Labels that make a closed change count as merged, such as of a bot that pushes it itself.",
    ),
    key(
        "on_conflict",
        Kind::Words(&["head", "block"]),
        "What happens to a change that conflicts with its base: its head is built, or it is blocked.",
    ),
    key(
        "adopt",
        Kind::Words(&["recent", "all", "none"]),
        "Changes that were open before we watched.",
    ),
    key("branch_matching", Kind::Bool, "Join changes with the same branch name."),
    key(
        "rebuild_on_base",
        Kind::Words(&["none", "affected", "all"]),
        "Build a change again, at most once a day and after all others, when the mainline moved: a package that its set affects, or any.",
    ),
    key("max_dependencies", Kind::Count(0, 1000), "Members beside the change."),
    key("on_closed", Kind::Words(&["block", "ignore"]), "What a closed dependency means."),
    key("ref", Kind::Words(&["auto", "merge", "head"]), "Which ref a build checks out."),
    key("same_repository", Kind::Words(&["block", "ci"]), "Two changes of one repository."),
    key("pinned", Kind::Words(&["members", "roots"]), "What changes of pinned packages may be."),
    key(
        "grammar",
        Kind::Words(&["crosswatch", "autoproj", "zuul"]),
        "How bodies name dependencies: as references.md says, or strictly as autoproj-daemon or Zuul read them.",
    ),
    key("phrases", TEXTS, "More phrases that mean `depends on`, such as requires."),
    key(
        "paths",
        TEXTS,
        "Paths that count for packages that live in a folder of their repository, beside that folder.",
    ),
    key("ignore_paths", TEXTS, "Paths that count for no package, such as docs/** or *.md."),
]);

/// Keys of `settle`.
pub static SETTLE: Table = Table(&[
    key("new", ANY, "After a change was first seen."),
    key("push", ANY, "After a push or an edit."),
    key("bots", ANY, "For bots."),
]);

/// Keys of `mainline`.
pub static MAINLINE: Table = Table(&[
    key("settle", ANY, "After the last push."),
    key(
        "settle_at_most",
        ANY,
        "Longest time that pushes are gathered, and up to 15m that the rest of a partly merged set is waited for.",
    ),
]);

/// Keys of `report`.
pub static REPORT: Table = Table(&[key(
    "to",
    TEXTS,
    "Repositories that may be written to, as `FORGE/OWNER/NAME`; none when left out.",
)]);
