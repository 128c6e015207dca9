//! What may be said on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use crosswatch_core::model::time::Timestamp;
use crosswatch_core::plan::what_if::Edit;
use crosswatch_core::spelling::Spelling;

/// Watches workspaces of many repositories and triggers CI for changes that belong together.
#[derive(Debug, Parser)]
#[command(name = "crosswatch", version, propagate_version = true)]
pub(super) struct Arguments {
    /// The configuration [default: $CROSSWATCH_CONFIG, ./workspaces.yaml, /etc/crosswatch/workspaces.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The daemon's socket [default: $CROSSWATCH_SOCKET, else by the configuration]
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the daemon
    Run {
        /// End when nothing settles any more and all builds ended
        #[arg(long)]
        once: bool,
    },
    /// Check a configuration
    Check {
        /// The configuration
        file: Option<PathBuf>,
        /// Print it with every default filled in
        #[arg(long)]
        resolved: bool,
    },
    /// Show what would be triggered, and why
    Plan {
        /// Only this workspace
        workspace: Option<String>,
        /// As of this time, from last known answers, without a daemon
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
        /// Of this saved snapshot (`-` for standard input): the same answer anywhere
        #[arg(long, value_name = "FILE")]
        offline: Option<PathBuf>,
        /// What else would be built if somebody did this: merged:CHANGE, closed:CHANGE or
        /// head:CHANGE=SHA; may be said several times
        #[arg(long = "if", value_name = "EDIT")]
        edits: Vec<Edit>,
        /// Beside what autoproj-daemon would have built, by its cache of pull requests
        #[arg(long, value_name = "CACHE", conflicts_with = "edits")]
        compare: Option<PathBuf>,
    },
    /// Make a configuration from that of another daemon
    Import {
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// Show why a change is decided as it is
    Explain {
        /// Workspace
        workspace: String,
        /// Change, or `mainline`
        change: String,
        /// Of this saved snapshot (`-` for standard input)
        #[arg(long, value_name = "FILE")]
        offline: Option<PathBuf>,
    },
    /// Save what decisions are made from, or look at what was saved
    Snapshot {
        #[command(subcommand)]
        command: SnapshotCommand,
    },
    /// Print what a build of a change checks out instead of the mainline
    Overrides {
        /// Workspace
        workspace: String,
        /// Change
        change: String,
        /// Fail unless the change still has this fingerprint
        #[arg(long, conflicts_with = "latest")]
        fingerprint: Option<String>,
        /// Whatever the change has now (the default)
        #[arg(long)]
        latest: bool,
        /// json, autoproj, west, repo, vcstool, kas or gitmodules
        #[arg(long, default_value = "json")]
        format: Spelling,
    },
    /// List workspaces, or show one with its last runs
    Workspaces {
        /// Only this workspace
        workspace: Option<String>,
    },
    /// List mainlines and changes with their decisions
    Changes {
        /// Only this workspace
        workspace: Option<String>,
    },
    /// List builds, newest first
    Builds {
        /// Only this workspace
        workspace: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// List watched repositories with their last look
    Forges,
    /// List webhooks: the URL to enter at each forge, what arrived, and what is wrong
    Hooks,
    /// Print the log of a workspace's last run, or of a build
    Log {
        /// Workspace, or the beginning of a build's request id
        what: String,
        /// Go on until the run ends, and for a workspace with its next runs, until interrupted
        #[arg(long, short)]
        follow: bool,
        /// With --follow: end when the run ends
        #[arg(long, requires = "follow")]
        once: bool,
        /// Show time and stream of each line
        #[arg(long, short)]
        times: bool,
    },
    /// Build a change or the mainline again
    Rebuild {
        /// Workspace
        workspace: String,
        /// Change, or `mainline`
        change: String,
        /// A covered change for itself
        #[arg(long)]
        alone: bool,
    },
    /// Let a set with untrusted heads be built, exactly as it is now
    Approve {
        /// Workspace
        workspace: String,
        /// Change
        change: String,
        /// Fail unless the set still has this fingerprint, which `explain` shows
        #[arg(long)]
        fingerprint: Option<String>,
    },
    /// Trigger nothing in a workspace
    Pause {
        /// Workspace
        workspace: String,
    },
    /// End a pause
    Resume {
        /// Workspace
        workspace: String,
    },
    /// Run a workspace's update now
    Update {
        /// Workspace
        workspace: String,
    },
    /// Bootstrap a workspace anew
    Rebootstrap {
        /// Workspace
        workspace: String,
    },
    /// Take another repository at the same path of a forge for the one that was there
    Accept {
        /// The repository, as `crosswatch forges` writes it
        repository: String,
    },
    /// Read the configuration again
    Reload {
        /// Accept one that triggers many builds
        #[arg(long)]
        yes: bool,
    },
    /// Look at the machine and the configuration: what holds, what is weaker, what is broken
    Doctor,
    /// Print the JSON Schema of the configuration
    Schema,
    /// Print completions for a shell
    Completions {
        /// bash, elvish, fish, powershell or zsh
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Subcommand)]
pub(super) enum SnapshotCommand {
    /// Write what the daemon's last pass saw; without a daemon, the last known answers
    Save {
        /// Where to (`-` for standard output)
        file: PathBuf,
        /// Replace names of repositories, workspaces, packages, branches, CIs and people
        #[arg(long)]
        anonymous: bool,
    },
    /// Show what is in a saved snapshot
    Show {
        /// The file (`-` for standard input)
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// Of autoproj-daemon: prints workspaces.yaml; no token is in it
    AutoprojDaemon {
        /// The workspace that it works in, with `.autoproj/config.yml`
        #[arg(value_name = "WORKSPACE_DIR")]
        folder: PathBuf,
    },
}
