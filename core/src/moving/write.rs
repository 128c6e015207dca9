//! A configuration made of that of autoproj-daemon.

use super::read::{Daemon, Service};

/// Keys of autoproj that say something about builds or people and nothing about updates.
const IMMATERIAL: [&str; 5] =
    ["user_shells", "operating_system", "manifest_name", "ruby_executable", "gems_install_path"];

/// The name of a workspace: that of the project, in the characters that a name may have.
pub fn workspace_name(daemon: &Daemon, folder: &str) -> String {
    let named = daemon.project.as_deref().unwrap_or(folder);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = named.chars().map(|c| if plain(c) { c } else { '-' }).take(64).collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    if name.is_empty() { "workspace".to_owned() } else { name.to_owned() }
}

/// A whole `workspaces.yaml`. Nothing secret is in it: where a token stood, the file is named that it is
/// to be put into.
pub fn written(daemon: &Daemon, folder: &str) -> String {
    let mut text = String::from(
        "# Made from the configuration of autoproj-daemon. Do what the comments say, then run\n\
         # `crosswatch check` on it; docs/moving-from-autoproj-daemon.md tells the whole way.\n\
         version: 1\nstate_dir: /var/lib/crosswatch\n\nforges:\n",
    );
    let (ours, others): (Vec<&Service>, Vec<&Service>) =
        daemon.services.iter().partition(|service| service.kind == "github");
    for service in &ours {
        text += &forge(daemon, service);
    }
    if ours.is_empty() {
        text += "  # autoproj-daemon knew no GitHub server. Name the servers that packages come from.\n  {}\n";
    }
    for service in &others {
        let (host, kind) = (quoted(&service.host), quoted(&service.kind));
        text += &format!("  # Not carried over: {host}, a server of the kind {kind}.\n");
    }
    let url = format!("http://{}:{}", daemon.buildbot_host, daemon.buildbot_port);
    let name = workspace_name(daemon, folder);
    text += &format!("\nci:\n  main:\n    kind: buildbot\n    url: {}\n", quoted(url.as_str()));
    if let Some(project) = daemon.project.as_ref().filter(|project| **project != name) {
        text += &format!("    project: {}\n", quoted(project));
    }
    text += "    # If its hook asks for a user and a password:\n    # user: change\n    \
             # password: {file: buildbot-password}\n\nworkspaces:\n";
    text += &format!("  - name: {}\n    tool: autoproj\n", quoted(&name));
    match &daemon.source {
        Some((kind, url, branch)) if kind.trim_start_matches(':') == "git" => {
            let branch = branch.as_ref().map(|branch| format!(", branch: {}", quoted(branch)));
            text +=
                &format!("    source: {{url: {}{}}}\n", quoted(url), branch.unwrap_or_default());
        }
        Some((kind, url, _)) => {
            text += &format!(
                "    # The build configuration is {} from {}; only git can be followed. Name its git\n    \
                 # repository here:\n    # source: {{url: …, branch: master}}\n",
                quoted(kind),
                quoted(url)
            );
        }
        None => {
            text += "    # config.yml names no build configuration (manifest_source). Name it here:\n    \
                     # source: {url: …, branch: master}\n";
        }
    }
    text += "    ci: [main]\n    build: [changes, mainline]\n    changes:\n";
    text += &format!("      max_age: {}d\n", daemon.max_age.clamp(1, 36_500));
    text += "      # The switch builds nothing: what is open now is left as it is until it moves. Remove this\n      \
             # line later.\n      adopt: none\n      \
             # autoproj-daemon built each pull request for itself; `each` does so too. `tops` builds\n      \
             # what belongs together once.\n      dependencies: tops\n";
    text += "\n# What is otherwise than before:\n\
             # - The branches autoproj/PROJECT/… are not pushed any more: builds are given the overrides\n\
             #   with the change (docs/ci.md, docs/tools/autoproj.md). Delete those branches once it is gone.\n\
             # - Pull requests of the build configuration itself are built too.\n\
             # - Heads of authors without rights wait for `crosswatch approve`.\n";
    let kept: Vec<String> = daemon
        .others
        .iter()
        .filter(|key| !IMMATERIAL.contains(&key.as_str()))
        .map(|key| quoted(key))
        .collect();
    if !kept.is_empty() {
        text += &format!(
            "# - These keys of its config.yml are not carried over; bootstrap the workspace with the same\n\
             #   answers (`bootstrap: {{run: …}}`): {}\n",
            kept.join(", ")
        );
    }
    text
}

fn forge(daemon: &Daemon, service: &Service) -> String {
    let host = &service.host;
    let plain = host == "github.com";
    let key = if plain { "github".to_owned() } else { key(host) };
    let mut text = format!("  {key}:\n    kind: github\n");
    if !plain {
        text += &format!("    url: {}\n", quoted(&format!("https://{host}")));
    }
    let known = ["https://api.github.com", "https://api.github.com/"];
    if let Some(api) = service.api.as_ref().filter(|api| !plain || !known.contains(&api.as_str())) {
        text += &format!("    api_url: {}\n", quoted(api.trim_end_matches('/')));
    }
    if service.has_token {
        text += &format!(
            "    # Put the token of {} that stands in .autoproj/config.yml, and nothing else, into this\n    \
             # file beside the configuration; only the daemon's user may read it (chmod 600).\n    \
             token: {{file: {key}-token}}\n",
            quoted(host)
        );
    } else {
        text += "    # Without a token GitHub answers 60 requests an hour:\n    # token: {file: github-token}\n";
    }
    let period = daemon.polling_period.clamp(1, 86_400);
    text += &format!("    poll: {{interval: {period}s}}\n");
    text
}

/// A key that every YAML reader takes for a text.
fn key(host: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let key: String = host.chars().map(plain).take(60).collect();
    format!("forge-{}", key.trim_matches('-'))
}

/// A text in double quotes: JSON, which YAML reads the same.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
