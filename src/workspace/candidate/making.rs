//! One candidate, from the copy to the manifest.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crosswatch_core::control::slots::{Event, Priority};
use crosswatch_core::model::candidate::{Candidate, Recipe};
use crosswatch_core::model::identity::Name;
use crosswatch_core::model::manifest::Manifest;
use crosswatch_core::model::run::RunKind;
use crosswatch_core::model::settings::{ManifestFrom, Settings, Step, WorkspaceSettings};
use crosswatch_core::model::time::Span;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::Slots;
use super::super::folders::Folders;
use super::super::manifest::{Exported, from_file, read};
use super::CandidateLender;
use super::place::Place;
use super::trace::asked;
use crate::board::World;
use crate::clock::Clock;
use crate::forge::git::{Lent, local};
use crate::supervise::{Ended, Limits, Outcome, Resource, Run, SandboxSpec, Supervisor};

/// Longest time for the copy.
const COPY: Span = Span::minutes(30);
/// Git's trace, in the copy.
const TRACE: &str = ".crosswatch-trace";
/// Lines of a failed run's log that are kept.
const TAIL: usize = 12;
/// The file with the changes.
const MEMBERS: &str = "changes.json";

/// Makes one.
pub(super) struct Maker {
    pub(super) world: World,
    pub(super) slots: Slots,
    pub(super) supervisor: Supervisor,
    pub(super) lender: CandidateLender,
    pub(super) clock: Clock,
}

/// Why there is no manifest.
enum Without {
    /// Something else than the candidate is to blame.
    Unknown(String),
    /// Its commands ended with a failure.
    Failed(String, Vec<String>),
}

/// A slot, until this is dropped.
struct Slot<'a> {
    slots: &'a Slots,
    name: Name,
    settings: Arc<Settings>,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.slots.send(Event::Release(self.name.clone()), &self.settings);
    }
}

/// What the runs of one candidate share.
struct Within<'a> {
    settings: &'a WorkspaceSettings,
    folders: &'a Folders,
    place: &'a Place,
    lent: &'a Lent,
    cancel: &'a CancellationToken,
}

impl Maker {
    /// Makes it. An error says why that was not possible now.
    pub(super) async fn make(
        &self,
        recipe: &Recipe,
        cancel: &CancellationToken,
    ) -> Result<Candidate, String> {
        let all = self.world.settings();
        let settings = all.workspace(&recipe.workspace).cloned();
        let settings = settings.ok_or_else(|| "its workspace is gone".to_owned())?;
        let _slot = self.slot(&all, recipe, cancel).await?;
        let place =
            Place::make(&all.state_dir).map_err(|error| format!("no place for a copy: {error}"))?;
        let made = self.make_in(&place, &settings, recipe, cancel).await;
        place.remove().await;
        match made {
            Ok(candidate) => Ok(candidate),
            Err(Without::Failed(why, tail)) => Ok(Candidate::Failed { why, tail }),
            Err(Without::Unknown(why)) => Err(why),
        }
    }

    /// Waits for a slot among those of the updates.
    async fn slot(
        &self,
        settings: &Arc<Settings>,
        recipe: &Recipe,
        cancel: &CancellationToken,
    ) -> Result<Slot<'_>, String> {
        // Names of workspaces have no space, and each recipe is made once at a time.
        let digest = serde_json::to_vec(recipe).unwrap_or_default();
        let name = Name::from(format!("{} {}", recipe.workspace, blake3::hash(&digest).to_hex()));
        let slot = Slot { slots: &self.slots, name: name.clone(), settings: Arc::clone(settings) };
        let mut granted = self.slots.changes();
        self.slots.send(Event::Request(name.clone(), Priority::Candidate), settings);
        while !self.slots.has(&name) {
            tokio::select! {
                () = cancel.cancelled() => return Err("it is no longer wanted".to_owned()),
                changed = granted.changed() => {
                    changed.map_err(|_| "the daemon ends".to_owned())?;
                }
            }
        }
        Ok(slot)
    }

    async fn make_in(
        &self,
        place: &Place,
        settings: &Arc<WorkspaceSettings>,
        recipe: &Recipe,
        cancel: &CancellationToken,
    ) -> Result<Candidate, Without> {
        let state_dir = self.world.settings().state_dir.clone();
        let folders = Folders::of(&state_dir, &settings.name);
        self.copy(&folders, place, settings, cancel).await?;
        let loan = (self.lender)(Arc::clone(settings), recipe.clone(), place.git());
        let loan = loan.await.map_err(Without::Unknown)?;
        give(place, recipe)
            .map_err(|error| Without::Unknown(format!("{}: {error}", place.given().display())))?;
        let mut logs = folders.clone();
        logs.logs = state_dir.join("logs").join(format!("{}+candidates", settings.name));
        let at = self.clock.now();
        let within = Within { settings, folders: &folders, place, lent: &loan.lent, cancel };
        let updated = match &settings.update {
            Some(step) => {
                self.run(&within, step, logs.log(RunKind::Update, at), None).await.map(drop)
            }
            None => Ok(()),
        };
        if let Err(Without::Failed(why, tail)) = updated {
            let locator = Arc::clone(&self.world.freeze(self.clock.now()).locator);
            let copy = place.copy();
            let asked =
                tokio::task::spawn_blocking(move || asked(&copy, TRACE, &locator, &loan.shown));
            let more = asked.await.unwrap_or_default();
            return match more.is_empty() || settings.candidates.network {
                true => Err(Without::Failed(why, tail)),
                false => Ok(Candidate::Needs(more)),
            };
        }
        updated?;
        self.export(&within, logs.log(RunKind::Manifest, at)).await.map(Candidate::Made)
    }

    /// Copies the workspace while nothing moves in it, cheaply where the file system can.
    async fn copy(
        &self,
        folders: &Folders,
        place: &Place,
        settings: &WorkspaceSettings,
        cancel: &CancellationToken,
    ) -> Result<(), Without> {
        let _alone = self.slots.alone(&settings.name).await;
        if !folders.is_there() {
            return Err(Without::Unknown("the workspace is not made yet".to_owned()));
        }
        let text = |path: &Path| path.display().to_string();
        let words = ["cp", "-a", "--reflink=auto", "--"].map(str::to_owned);
        let from = format!("{}/.", text(&folders.root));
        let words = words.into_iter().chain([from, text(&place.copy())]);
        let mut run = Run::new(words, place.copy());
        let disk = Some(settings.candidates.max_size.0);
        run.limits = Limits { wall: COPY, disk, ..Limits::default() };
        run.lock = Some(folders.lock.clone());
        let ended = self.supervisor.run(run, cancel).await;
        match ended.outcome {
            Outcome::Finished(0) => Ok(()),
            Outcome::OverLimit(Resource::Disk) => Err(Without::Failed(
                format!(
                    "the copy of the workspace would be larger than {} (`candidates.max_size`)",
                    settings.candidates.max_size
                ),
                Vec::new(),
            )),
            outcome => {
                let said = ended.tail.last().map(|line| format!(": {line}")).unwrap_or_default();
                Err(Without::Unknown(format!("the copy of the workspace {outcome}{said}")))
            }
        }
    }

    /// Runs a command of the workspace in the copy, shut in, without anything of the daemon's.
    async fn run(
        &self,
        within: &Within<'_>,
        step: &Step,
        log: PathBuf,
        capture: Option<usize>,
    ) -> Result<Ended, Without> {
        let Within { settings, folders, place, lent, cancel } = within;
        let all = self.world.settings();
        let mut run = Run::new(step.run.iter().cloned(), place.copy());
        run.env = settings.env.clone();
        run.env.insert("CROSSWATCH_WORKSPACE".to_owned(), settings.name.to_string());
        let given = place.given().join(MEMBERS).display().to_string();
        run.env.insert("CROSSWATCH_CANDIDATE".to_owned(), given);
        lent.extend(&mut run.env);
        if !settings.candidates.network {
            let trace = folders.root.join(TRACE).display().to_string();
            run.env.insert("GIT_TRACE2_EVENT".to_owned(), trace);
        }
        run.limits = step.limits.into();
        let most = settings.candidates.max_size.0;
        run.limits.disk = Some(run.limits.disk.map_or(most, |disk| disk.min(most)));
        run.log = Some(log.clone());
        run.capture = capture;
        let mut readable = settings.candidates.read_only.clone();
        readable.extend(lent.readable());
        readable.push(place.given());
        readable.push(place.git());
        readable.extend(all.forges.values().filter_map(|forge| local(&forge.url)));
        let program = step.run.first().map(Path::new);
        let program = program.filter(|path| path.is_absolute() && path.exists());
        readable.extend(program.map(Path::to_owned));
        run.sandbox = Some(SandboxSpec {
            writable: place.copy(),
            shown_at: Some(folders.root.clone()),
            readable,
            hidden: vec![all.state_dir.clone()],
            network: settings.candidates.network,
        });
        let ended = self.supervisor.run(run, cancel).await;
        let said = |ended: &Ended| {
            let what = step.run.first().map(String::as_str).unwrap_or_default();
            format!("its `{what}` {}; its log is {}", ended.outcome, log.display())
        };
        match &ended.outcome {
            Outcome::Finished(0) => Ok(ended),
            // None of these is the candidate's own fault.
            Outcome::CouldNotStart(_)
            | Outcome::Cancelled
            | Outcome::KeeperLost
            | Outcome::Unkillable { .. } => Err(Without::Unknown(said(&ended))),
            Outcome::Finished(_)
            | Outcome::Signalled(_)
            | Outcome::TimedOut(_)
            | Outcome::OverLimit(_)
            | Outcome::OutOfMemory => {
                let skip = ended.tail.len().saturating_sub(TAIL);
                let tail = ended.tail.iter().skip(skip).cloned().collect();
                Err(Without::Failed(said(&ended), tail))
            }
        }
    }

    /// The manifest as the tool exports it in the copy, read as the workspace's own is.
    async fn export(&self, within: &Within<'_>, log: PathBuf) -> Result<Manifest, Without> {
        let settings = within.settings.clone();
        let max = settings.manifest.max_bytes;
        // The readers look into the copy; what people are told names the workspace's own folder.
        let mut folders = within.folders.clone();
        folders.root = within.place.copy();
        let failed = |why: String| Without::Failed(why, Vec::new());
        let exported = match &settings.manifest.from {
            ManifestFrom::Path(path) => {
                let (root, path) = (folders.root.clone(), path.clone());
                tokio::task::spawn_blocking(move || from_file(&root, &path, max))
                    .await
                    .map_err(broken)?
                    .map_err(failed)?
            }
            ManifestFrom::Run(command) => {
                let most = usize::try_from(max).unwrap_or(usize::MAX).saturating_add(1);
                let place = format!("the manifest that `{}` prints", command.run.join(" "));
                let ended = self.run(within, command, log, Some(most)).await?;
                Exported { bytes: ended.stdout, place }
            }
        };
        if u64::try_from(exported.bytes.len()).unwrap_or(u64::MAX) > max {
            let place = exported.place;
            return Err(failed(format!(
                "{place} is larger than {max} bytes (`manifest.max_bytes`)"
            )));
        }
        let reading = tokio::task::spawn_blocking(move || {
            let Exported { bytes, place } = exported;
            read(&settings, &folders, &bytes).map_err(|error| format!("{place}: {error}"))
        });
        let read = reading.await.map_err(broken)?.map_err(failed)?;
        Ok(read.manifest)
    }
}

/// Tells the commands which changes are in it, for those that want to know.
fn give(place: &Place, recipe: &Recipe) -> std::io::Result<()> {
    let members: Vec<_> = recipe
        .members
        .iter()
        .map(|member| json!({"change": member.change, "head": member.head, "base": member.base}))
        .collect();
    let text = json!({"version": 1, "workspace": recipe.workspace, "changes": members});
    std::fs::write(place.given().join(MEMBERS), format!("{text:#}\n"))
}

fn broken(_: tokio::task::JoinError) -> Without {
    Without::Unknown("its reader broke; please report it".to_owned())
}
