//! The life of workspaces, with a real daemon: what their commands do to them, and what a crash does.

mod manifests;
mod recovery;
mod slots;
mod swaps;

use std::path::PathBuf;

use serde_json::Value;

use crate::support::eventually;
use crate::support::site::Site;

/// A site whose workspaces are made of shell scripts.
struct Farm {
    site: Site,
}

impl Farm {
    fn new() -> Self {
        let site = Site::new();
        let farm = Self { site };
        farm.export(&["types", "drivers", "gui", "conf"]);
        farm
    }

    /// Writes the manifest that scripts copy: packages of these names.
    fn export(&self, names: &[&str]) {
        let packages: Vec<Value> = names
            .iter()
            .map(|name| {
                let url = format!("{}/{name}.git", self.site.file_url());
                serde_json::json!({
                    "name": name, "git": { "url": url, "branch": "main" }, "depends_on": [],
                })
            })
            .collect();
        let text = serde_json::json!({ "version": 1, "packages": packages, "definitions": [] });
        std::fs::write(self.file("export"), text.to_string()).expect("a file");
    }

    /// A file beside the state directory, which scripts reach as `$FARM/NAME`.
    fn file(&self, name: &str) -> PathBuf {
        self.site.path().join(name)
    }

    /// Sets or removes a mark that scripts look for.
    fn mark(&self, name: &str, set: bool) {
        if set {
            std::fs::write(self.file(name), "").expect("a mark");
        } else {
            std::fs::remove_file(self.file(name)).expect("a mark");
        }
    }

    /// A path in the folder of all workspaces.
    fn workspace(&self, path: &str) -> PathBuf {
        self.site.state().join("workspaces").join(path)
    }

    /// One workspace: its name, the scripts of bootstrap and update, and more keys.
    fn define(&self, name: &str, bootstrap: &str, update: &str, more: &str) -> String {
        let farm = self.site.path().display();
        let run = |script: &str| serde_json::json!(["sh", "-c", script]).to_string();
        format!(
            "  - name: {name}\n    env: {{FARM: \"{farm}\"}}\n    bootstrap: {{run: {}}}\n    \
             update: {{run: {}, timeout: 30s, grace: 100ms}}\n    \
             manifest: {{path: manifest.json}}\n{more}",
            run(bootstrap),
            run(update),
        )
    }

    fn configure(&self, top: &str, workspaces: &[String]) {
        let text = format!(
            "version: 1\nstate_dir: {}\nlisten: {}\n{top}forges:\n  mirror: {{kind: git, url: \
             \"{}\", authors: any, poll: {{interval: 5s}}}}\nci:\n{}\nworkspaces:\n{}",
            self.site.state().display(),
            self.site.pages().trim_start_matches("http://"),
            self.site.file_url(),
            self.site.local_ci("true"),
            workspaces.concat(),
        );
        self.site.write_config(&text);
    }

    /// What is shown of a workspace.
    fn row(&self, name: &str) -> Value {
        self.site.ask(&["workspaces", name]).unwrap_or(Value::Null)
    }

    fn phase(&self, name: &str) -> String {
        self.row(name)["phase"].as_str().unwrap_or_default().to_owned()
    }

    fn packages(&self, name: &str) -> u64 {
        self.row(name)["packages"].as_u64().unwrap_or_default()
    }

    /// Waits for the pass that brings the manifest in force to what is shown.
    async fn shows(&self, name: &str, packages: u64) {
        eventually(&format!("{name} has {packages} packages"), async || {
            self.packages(name) == packages
        })
        .await;
    }

    /// Runs of a workspace, newest first, each as `command: how it ended`.
    fn runs(&self, name: &str) -> Vec<String> {
        let row = self.row(name);
        let runs = row["runs"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or("runs").to_owned();
        runs.iter()
            .map(|run| format!("{}: {}", text(&run["kind"]), text(&run["outcome"])))
            .collect()
    }

    async fn ready(&self, name: &str) {
        eventually(&format!("{name} is ready:\n{}", self.site.log()), async || {
            self.phase(name) == "ready"
        })
        .await;
    }

    /// Orders an update and waits until that attempt is over; the state then.
    async fn update(&self, name: &str) -> String {
        self.order("update", name).await
    }

    async fn order(&self, what: &str, name: &str) -> String {
        let newest = |row: &Value| row["runs"][0]["started_at"].as_i64();
        let before = newest(&self.row(name));
        assert!(self.site.cli(&[what, name]).status.success());
        let mut phase = String::new();
        eventually(&format!("the {what} of {name} is over"), async || {
            let row = self.row(name);
            phase = row["phase"].as_str().unwrap_or_default().to_owned();
            newest(&row) > before && matches!(phase.as_str(), "ready" | "failed" | "fenced")
        })
        .await;
        phase
    }
}
