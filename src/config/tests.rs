//! Right and wrong configurations.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crosswatch_core::model::locator::{Located, Locator};
use crosswatch_core::model::settings::ForgeKind;

use super::*;

const EXAMPLE: &str = include_str!("../../workspaces.example.yaml");
const CANARY: &str = "hunter2-canary";

const RIGHT: &str = "version: 1
forges:
  m: {kind: git, url: 'file:///srv/git', authors: any}
ci:
  here: {kind: local, run: [./ci.sh], timeout: 1h}
workspaces:
  - name: a
    manifest: {path: m.json}
    ci: [here]
";

fn origin() -> PathBuf {
    PathBuf::from("/etc/crosswatch/workspaces.yaml")
}

fn refused(text: &str) -> String {
    parse(text, &origin()).expect_err("it should be refused").to_string()
}

#[test]
fn the_example_is_right_and_comes_back_from_its_own_writing() {
    for text in [EXAMPLE, RIGHT, FULL] {
        let settings = parse(text, &origin()).unwrap_or_else(|errors| panic!("{errors}"));
        let written = resolved(&settings);
        let again = parse(&written, &origin()).unwrap_or_else(|e| panic!("{e}\n{written}"));
        assert_eq!(again, settings);
    }
}

const FULL: &str = r#"
version: 1
max_load: 12
database: {env: DATABASE_URL}
proxy: {url: "http://proxy.example:3128", except: [localhost, .example.org], user: me, password: {file: /p}}
forges:
  m: {kind: git, url: "https://git.example.org/", authors: none, token: {file: token}}
  g: {kind: github, token: {file: g}, poll: {reconcile: 5m}, webhook_secret: {env: HOOK}}
  e: {kind: github, url: "https://GitHub.Example.org:8443/", also: [], webhook_secret: [{file: new}, {file: old}], token: [{env: A}, {file: b}], app: {id: 7, installation: 8, key: {credential: k}}}
ci:
  bb: {kind: buildbot, url: "http://bb:8010/", user: change, password: {credential: bb}}
  web:
    kind: http
    send: {url: "https://ci/{{ id }}", headers: {Authorization: {env: TOKEN}, Accept: a/b}, body: "no"}
    id: /id
    poll: {url: "https://ci/b", state: /state, states: {passed: success, broken: lost}}
    sign: {file: /k}
  cmd: {kind: command, send: [./send, "1"], poll: [ask], timeout: 90s}
defaults:
  env: &env {A: "1", B: "true"}
  update: {run: [up], timeout: 5m, output: {max: 1MiB, over: end}}
logs: {keep: 7d, max_size: 100MiB}
workspaces:
  - {name: b, manifest: {run: [cat, m]}, ci: [bb, cmd], rebootstrap_after: 0, max_shrink: 30, report: {to: [g/A/b]}, changes: {merged_labels: [landed], on_conflict: block, grammar: zuul, phrases: [Requires], paths: [cmake/**], ignore_paths: ['*.md']}, epoch: 3, env: {<<: *env, A: two}}
  - {name: a, tool: autoproj, source: {url: "git@h:b.git"}, ci: [web], changes: {pinned: roots, settle: {new: 0s}}, build: [mainline]}
"#;

#[test]
fn every_tool_has_a_preset_that_comes_back_from_its_own_writing() {
    for (tool, keys, bootstrap, overrides) in [
        (
            "west",
            ", file: conf/top.yml",
            "west init -m https://h/c.git --mr b --mf conf/top.yml .",
            "west",
        ),
        ("repo", ", file: all.xml", "repo init -q -u https://h/c.git -b b -m all.xml", "repo"),
        ("vcstool", ", file: a.repos", "git clone -q -b b -- https://h/c.git .", "vcstool"),
        ("kas", ", file: \"a.yml:b.yml\"", "git clone -q -b b -- https://h/c.git .", "kas"),
        ("gitmodules", "", "git clone -q -b b -- https://h/c.git .", "gitmodules"),
    ] {
        let lines =
            format!("tool: {tool}\n    source: {{url: \"https://h/c.git\", branch: b{keys}}}");
        let text = RIGHT.replace("manifest: {path: m.json}", &lines);
        let settings = parse(&text, &origin()).unwrap_or_else(|errors| panic!("{errors}"));
        let workspace = &settings.workspaces[0];
        assert_eq!(workspace.bootstrap.as_ref().unwrap().run.join(" "), bootstrap);
        assert!(workspace.update.is_some());
        assert_eq!(serde_json::json!(workspace.manifest.format), tool);
        assert_eq!(serde_json::json!(workspace.spellings), serde_json::json!([overrides]));
        assert!(!workspace.defining.is_empty());
        let written = resolved(&settings);
        let again = parse(&written, &origin()).unwrap_or_else(|e| panic!("{e}\n{written}"));
        assert_eq!(again, settings);
        let own = text.replace(
            "ci: [here]",
            "ci: [here]\n    overrides: []\n    defining: [x]\n    \
            update: {run: [up]}\n    bootstrap: {run: [make]}\n    \
            manifest: {path: m, format: crosswatch}",
        );
        let own = parse(&own, &origin()).unwrap_or_else(|errors| panic!("{errors}"));
        let own = &own.workspaces[0];
        assert!(own.spellings.is_empty() && own.manifest.files.is_empty());
        assert_eq!(
            (own.defining.texts(), &own.update.as_ref().unwrap().run[0]),
            (&["x".to_owned()][..], &"up".into())
        );
    }
    for (lines, said) in [
        ("tool: west", "bootstraps from it"),
        ("tool: gitmodules\n    source: {url: /a, file: b}", "read a file of the source"),
        ("tool: west\n    source: {url: /a, file: ../b}", "a path inside the source"),
        ("tool: kas\n    source: {url: /a, file: \"a:-b\"}", "a path inside the source"),
        ("tool: west\n    source: {url: /a}\n    manifest: {files: [/etc/*]}", "relative paths"),
        ("tool: wst", "did you mean \"west\"?"),
        ("tool: west\n    source: {url: /a}\n    overrides: [wset]", "did you mean \"west\"?"),
    ] {
        let found = refused(&RIGHT.replace("manifest: {path: m.json}", lines));
        assert!(found.contains(said), "{found}");
    }
}

#[test]
fn defaults_and_presets_fill_in_what_is_left_out() {
    let settings = parse(FULL, &origin()).unwrap_or_else(|errors| panic!("{errors}"));
    let a = settings.workspace("a").expect("a");
    assert_eq!(a.env.get("A").map(String::as_str), Some("1"));
    let b = settings.workspace("b").expect("b");
    assert_eq!(b.env.get("A").map(String::as_str), Some("two"));
    assert_eq!(b.env.get("B").map(String::as_str), Some("true"));
    let bootstrap = a.bootstrap.as_ref().expect("the preset's");
    assert_eq!(
        bootstrap.run.join(" "),
        "ruby -S autoproj_bootstrap --no-interactive --no-color --no-progress git git@h:b.git"
    );
    assert_eq!((a.rebootstrap_after, a.max_shrink), (5, 50));
    assert_eq!((b.rebootstrap_after, b.max_shrink), (0, 30));
    assert_eq!(settings.max_load, Some(12));
    assert!(!a.build_changes && a.build_mainline && a.changes.pinned_roots);
}

/// What replaces what in the right configuration, where it is refused, and what is said.
const WRONG: [(&str, &str, &str, &str); 67] = [
    ("ci: [here]\n", "ci: [here]\n    changes: {ignore_paths: [a, 'b[']}\n", "10:33", "docs/**"),
    (
        "ci: [here]\n",
        "ci: [here]\n    changes: {phrases: ['needs:']}\n",
        "10:25",
        "without the colon",
    ),
    (
        "ci: [here]\n",
        "ci: [here]\n    changes: {grammar: zul}\n",
        "10:24",
        "did you mean \"zuul\"?",
    ),
    ("timeout: 1h", "output: {max: 64}", "5:53", "give the unit as well, such as 64MiB"),
    ("timeout: 1h", "output: {max: 1KiB}", "5:53", "at least 64KiB"),
    ("timeout: 1h", "output: {over: stop}", "5:54", "cut or end"),
    ("timeout: 1h", "timout: 1h", "5:39", "did you mean \"timeout\"?"),
    ("timeout: 1h", "slots: two", "5:46", "a whole number from 1"),
    ("timeout: 1h", "network: yes", "5:48", "write true or false"),
    ("timeout: 1h", "timeout: 0s", "5:48", "greater than zero"),
    ("timeout: 1h", "timeout: 90", "5:48", "give the unit"),
    ("timeout: 1h", "timeout: soon", "5:48", "such as 90s"),
    (
        "timeout: 1h",
        "timeout: 1h, timeout: 2h",
        "5:52",
        "duplicate key \"timeout\", first written at 5:39",
    ),
    ("timeout: 1h", "password: {file: x}", "5:39", "kind local has no key"),
    ("run: [./ci.sh]", "run: ./ci.sh", "5:28", "expected a list"),
    ("run: [./ci.sh]", "run: []", "5:28", "write [program"),
    ("run: [./ci.sh], ", "", "5:9", "write the build's command"),
    ("kind: local", "kind: locl", "5:16", "did you mean \"local\"?"),
    (
        "kind: git",
        "kind: gitlab",
        "3:13",
        "kind gitlab is not supported by this version; kinds: github, git",
    ),
    ("kind: git", "kind: github", "3:45", "a forge of kind github has no key"),
    ("kind: git", "kind: github", "3:26", "addresses of ssh stand under `also`"),
    (
        "authors: any",
        "authors: any, webhook_secret: {file: x}",
        "3:56",
        "a forge of kind git has no key",
    ),
    (
        "{kind: git, url: 'file:///srv/git', authors: any}",
        "{kind: github, webhook_secret: [{file: x}, hunter2-canary]}",
        "3:49",
        "a secret must not be written here",
    ),
    ("kind: git", "kind: git, api_url: 'https://h'", "3:18", "a forge of kind git has no key"),
    (
        "{kind: git, url: 'file:///srv/git', authors: any}",
        "{kind: github, api_url: nowhere}",
        "3:30",
        "write one such as",
    ),
    (
        "{kind: git, url: 'file:///srv/git', authors: any}",
        "{kind: github}\n  n: {kind: github, url: 'https://GitHub.com:443/'}",
        "4:6",
        "its repositories would be called github.com/",
    ),
    ("ci: [here]\n", "ci: [here]\n    changes: {on_conflict: build}\n", "10:28", "head or block"),
    ("kind: git", "kind: gti", "3:13", "did you mean \"git\"?"),
    ("'file:///srv/git'", "'fil:///srv/git'", "3:23", "https://git.example.org"),
    ("'file:///srv/git'", "'not a url'", "3:23", "expected a URL"),
    ("authors: any", "authors: trusted", "3:51", "any or none"),
    (", authors: any", "", "3:6", "plain git knows no authors"),
    ("authors: any", "authors: any, changes: ['refs/pull/*/*']", "3:66", "exactly one *"),
    ("authors: any", "authors: any, changes: [pull/*/head]", "3:66", "begins with refs/"),
    ("authors: any", "authors: any, token: hunter2-canary", "3:63", "{file: PATH}"),
    ("authors: any", "authors: any, tokn: hunter2-canary", "3:56", "did you mean \"token\"?"),
    ("authors: any", "authors: any, token: {value: hunter2-canary}", "3:64", "{file: PATH}"),
    ("authors: any", "authors: any, token: [{env: A}]", "3:63", "takes one token"),
    ("authors: any", "authors: any, app: {id: 1, key: {env: A}}", "3:56", "has no key \"app\""),
    ("kind: git,", "kind: github, token: [],", "3:28", "at least one token"),
    ("'file:///srv/git'", "'https://u:hunter2-canary@h/'", "3:23", "form of a secret"),
    ("run: [./ci.sh]", "run: [./ci.sh, ghp_hunter2-canary]", "5:38", "form of a secret"),
    (
        "authors: any",
        "authors: none, token: {env: T}}\n  n: {kind: git, url: 'file:///x', authors: none",
        "",
        "",
    ),
    (
        "timeout: 1h",
        "sandbox: none}\n  bb: {kind: buildbot, url: 'http://h', user: u, password: hunter2-canary",
        "6:60",
        "{file: PATH}",
    ),
    ("name: a", "name: ../a", "7:11", "begins with a letter or digit"),
    ("name: a", "name: a/b", "7:11", "a name has at most 64"),
    ("- name: a", "- epoch: 1", "7:5", "such as name: rock-master"),
    ("ci: [here]\n", "ci: [her]\n", "9:10", "did you mean \"here\"?"),
    (
        "ci: [here]\n",
        "ci: [here]\n  - {name: A, manifest: {path: x}}\n",
        "10:12",
        "stands at 7:11 already",
    ),
    (
        "ci: [here]\n",
        "ci: [here]\n    env: {API_TOKEN: hunter2-canary}\n",
        "10:22",
        "must not be written here",
    ),
    ("ci: [here]\n", "ci: [here]\n    report: {to: [n/x]}\n", "10:19", "there is no forge"),
    ("ci: [here]\n", "ci: [here]\n    report: {to: [m/x]}\n", "10:19", "is plain git"),
    ("{path: m.json}", "{path: ../m.json}", "8:22", "without .."),
    ("{path: m.json}", "{path: m, run: [x]}", "8:30", "not both"),
    ("    manifest: {path: m.json}\n", "", "7:5", "write manifest: {path: FILE}"),
    ("    manifest", "\tmanifest", "8:1", "indent with spaces"),
    ("version: 1", "version: 2", "1:10", "expected 1"),
    ("version: 1\n", "", "1:1", "write `version: 1` first"),
    ("version: 1", "version: 1\nlisten: nowhere", "2:9", "127.0.0.1:8020"),
    ("ci: [here]\n", "ci: [here]\n---\nversion: 1\n", "10:1", "one document"),
    ("version: 1", "version: 1\nmax_load: 0", "2:11", "a whole number from 1"),
    ("version: 1", "version: 1\nmax_load: 2.5", "2:11", "a whole number from 1"),
    ("version: 1", "version: 1\nmax_updates: 0", "2:14", "a whole number from 1"),
    ("ci: [here]\n", "ci: [here]\n    max_shrink: 101\n", "10:17", "from 0 to 100"),
    ("ci: [here]\n", "ci: [here]\n    max_shrink: 50%\n", "10:17", "write the digits alone"),
    ("ci: [here]\n", "ci: [here]\n    rebootstrap_after: -1\n", "10:24", "from 0 to 1000"),
    ("ci: [here]\n", "ci: [here]\n    rebootstrap_after: never\n", "10:24", "from 0 to 1000"),
];

#[test]
fn wrong_configurations_are_refused_with_place_and_mend() {
    let mut failed = Vec::new();
    for (from, to, place, said) in WRONG {
        let text = RIGHT.replacen(from, to, 1);
        assert_ne!(text, RIGHT, "{from} is not in it");
        let Err(errors) = parse(&text, &origin()) else {
            // A row without a place is right.
            if !place.is_empty() {
                failed.push(format!("{to}: not refused"));
            }
            continue;
        };
        let message = errors.to_string();
        let at = format!("/etc/crosswatch/workspaces.yaml:{place}: ");
        let all_mended = errors.errors().iter().all(|error| error.to_string().contains("; "));
        if !message.contains(&at) || !message.contains(said) || !all_mended {
            failed.push(format!("{to}: expected {place} {said}\n{message}"));
        }
        assert!(!message.contains("canary"), "{message}");
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn all_mistakes_are_said_at_once_and_at_most_fifty() {
    let text = RIGHT.replace("1h", "0s").replace("name: a", "name: ..").replace("[here]", "[x]");
    assert_eq!(parse(&text, &origin()).expect_err("wrong").errors().len(), 3);
    let many: String = (0..200).map(|n| format!("k{n}: 1\n")).collect();
    let message = refused(&format!("{RIGHT}{many}"));
    assert!(message.contains("and 150 more errors"), "{message}");
}

#[test]
fn github_is_called_by_its_host_and_found_by_ssh() {
    let settings = parse(FULL, &origin()).unwrap_or_else(|errors| panic!("{errors}"));
    let api = |name: &str| match &settings.forges[name].kind {
        ForgeKind::GitHub(github) => github.api_url.clone(),
        ForgeKind::Git(_) => String::new(),
    };
    assert_eq!(api("g"), "https://api.github.com");
    assert_eq!(api("e"), "https://GitHub.Example.org:8443/api/v3");
    assert!(settings.forge("github.example.org:8443").is_some());
    let locator = Locator::new(&settings);
    for url in [
        "https://github.com/Rock-Core/base",
        "git@github.com:rock-core/base.git",
        "ssh://git@ssh.github.com:443/rock-core/base.git",
    ] {
        let Located::Repository { id, .. } = locator.locate(url) else { panic!("{url}") };
        assert_eq!(id.to_string(), "github.com/rock-core/base");
    }
    let b = settings.workspace("b").expect("b");
    assert_eq!(b.report_to[0].to_string(), "github.com/a/b");
}

#[test]
fn a_sandbox_is_left_out_only_where_everybody_is_trusted() {
    let text = RIGHT.replace("timeout: 1h", "sandbox: none");
    assert!(parse(&text, &origin()).is_ok());
    let message = refused(&text.replace("authors: any", "authors: none"));
    assert!(message.contains(":5:48: ci.here.sandbox: without a sandbox"), "{message}");
    let trusted = "{kind: git, url: 'file:///srv/git', authors: any}";
    let message = refused(&text.replace(trusted, "{kind: github}"));
    assert!(message.contains(":5:48: ci.here.sandbox: without a sandbox"), "{message}");
}

#[test]
fn the_line_is_shown_with_a_caret_and_without_its_secrets() {
    let text = RIGHT.replace("kind: local", "kind: buildbot, password: hunter2-canary, usr: x");
    let message = refused(&text);
    assert!(message.contains("password: ***, usr: ***, run:"), "{message}");
    assert!(!message.contains(CANARY) && message.contains("\n    ") && message.contains('^'));
}

#[test]
fn secrets_are_not_shown_where_the_text_is_not_yaml() {
    for tail in [
        "password: hunter2-canary: x\n",
        "password: \"hunter2-canary\n",
        "x: [hunter2-canary\n",
        "password: hunter2-canary\npassword: hunter2-canary\n",
        "{hunter2-canary\n",
        "- hunter2-canary\n",
        "? [hunter2-canary]\n: 1\n",
        "hunter2-canary: {\n",
        "a: !hunter2-canary 1\n",
        "token: |\n  hunter2-canary\n\tx\n",
    ] {
        let message = refused(&format!("{RIGHT}{tail}"));
        assert!(!message.contains("hunter2-canary"), "{tail}: {message}");
    }
}

#[test]
fn what_is_not_worth_parsing_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("workspaces.yaml");
    let large = std::fs::File::create(&path).expect("created");
    large.set_len(50 << 20).expect("grown");
    let secrets = Secrets::with(|_| None);
    let said = |path: &Path| load(path, &secrets).expect_err("refused").to_string();
    assert!(said(&path).contains("larger than 4 MiB; "), "{}", said(&path));
    for (bytes, expected) in [
        (&b"version: \0"[..], "binary"),
        (b"\xff\xfe", "binary"),
        (b"", "empty"),
        (b" \n", "empty"),
        (b"# x\n", "empty"),
    ] {
        std::fs::write(&path, bytes).expect("written");
        assert!(said(&path).contains(expected), "{}", said(&path));
    }
    assert!(said(folder.path()).contains("not a file"));
    assert!(said(&folder.path().join("none")).contains("cannot be read"));
}

#[test]
fn bombs_are_refused() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..12 {
        let row = vec![format!("*a{}", n - 1); 9].join(",");
        bomb.push_str(&format!("a{n}: &a{n} [{row}]\n"));
    }
    assert!(refused(&bomb).contains("more than 100000 values"));
    let deep = format!("version: {}", "[".repeat(200));
    assert!(refused(&deep).contains("nested more than 64 deep"));
    let deep: String = (0..200).map(|n| format!("{}k:\n", " ".repeat(n))).collect();
    assert!(refused(&deep).contains("nested more than 64 deep"));
    let mut chain = "a0: &a0 [x]\n".to_owned();
    (1..99).for_each(|n| chain.push_str(&format!("a{n}: &a{n} [*a{}]\n", n - 1)));
    assert!(refused(&chain).contains("nested more than 64 deep"));
    refused("a: &a [*a]\n");
}

#[test]
fn secrets_must_be_there_and_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("workspaces.yaml");
    let with = |reference: &str| {
        let text = RIGHT.replace("authors: any", &format!("authors: any, token: {reference}"));
        std::fs::write(&path, text).expect("written");
        load(&path, &Secrets::with(|name| (name == "SET").then(|| CANARY.into())))
    };
    let said = |reference: &str| with(reference).expect_err("refused").to_string();
    assert!(with("{env: SET}").is_ok());
    let message = said("{file: token}");
    assert!(message.contains(":3:63: forges.m.token: the secret file"), "{message}");
    let token = folder.path().join("token");
    std::fs::write(&token, format!("{CANARY}\n")).expect("written");
    let mode = |mode| std::fs::set_permissions(&token, PermissionsExt::from_mode(mode));
    mode(0o644).expect("open");
    let message = said("{file: token}");
    assert!(message.contains("mode 0644") && message.contains("chmod o-rwx"), "{message}");
    assert!(!message.contains(CANARY));
    mode(0o640).expect("closed");
    assert!(with("{file: token}").is_ok());
    std::fs::write(&token, "\n").expect("written");
    assert!(said("{file: token}").contains("is empty"));
    std::fs::write(&token, "x".repeat(70_000)).expect("written");
    assert!(said("{file: token}").contains("64 KiB"));
    assert!(said("{file: .}").contains("not a file"));
    assert!(said("{env: UNSET}").contains("is not set"));
    assert!(said("{credential: t}").contains("CREDENTIALS_DIRECTORY"));
    assert!(said("{credential: ../t}").contains("not the name of a credential"));
}

#[test]
fn a_secret_comes_without_its_newline() {
    use secrecy::ExposeSecret;
    let secrets = Secrets::with(|_| Some(format!("{CANARY}\r\n").into()));
    let secret = secrets.resolve(&SecretRef::Env("X".into())).expect("read");
    assert_eq!(secret.expose_secret(), CANARY);
    assert!(!format!("{secret:?}{secrets:?}").contains(CANARY));
}

#[test]
fn the_schema_has_every_key_of_the_example() {
    fn check(value: &serde_json::Value, schema: &serde_json::Value, path: &str) {
        let inner = |key: &str| {
            let known = schema.get("properties").and_then(|all| all.get(key));
            known.or_else(|| schema.get("additionalProperties").filter(|more| more.is_object()))
        };
        match value {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    let schema = inner(key).unwrap_or_else(|| panic!("{path}.{key} is not in it"));
                    check(value, schema, &format!("{path}.{key}"));
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| {
                check(item, schema.get("items").expect("items"), path);
            }),
            _ => {}
        }
    }
    let value: serde_json::Value = serde_yaml::from_str(EXAMPLE).expect("YAML");
    check(&value, &schema(), "");
}
