//! Starts a daemon and keeps it going until it is told to stop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crosswatch_core::model::identity::Name;
use crosswatch_core::model::settings::{Database, Settings};
use crosswatch_core::model::time::{Span, Timestamp};
use tokio::sync::{mpsc, watch};

use super::access::{Access, Order};
use super::error::DaemonError;
use super::forges::Means;
use super::leader::lead;
use super::lock::StateLock;
use super::progress::Progress;
use super::workspaces::Workspaces;
use super::{logs, memory, sandbox, service, settled};
use crate::board::{Board, Wake, World};
use crate::ci::{self, Backends, Driver};
use crate::clock::Clock;
use crate::config::{self, Secrets, Watch};
use crate::forge::Apis;
use crate::forge::git::{GitRemote, Mirrors, SharedMirrors};
use crate::forge::governor::Governor;
use crate::hooks::{Hooks, Keeper, Repair};
use crate::ledger::{Ledger, Term};
use crate::pass::{Publications, Published, Runner, before_the_first_pass};
use crate::report::Reporter;
use crate::store::Store;
use crate::supervise::{Cgroups, Supervisor, environment};
use crate::task::Tasks;
use crate::watch::{Answers, Hint, Hints, Memory, Mirroring, Readers, Registry, TokenReader};
use crate::web;
use crate::workspace::{Candidates, Loan};

/// How a daemon is started.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The configuration.
    pub config: PathBuf,
    /// End when nothing is left to do.
    pub once: bool,
    /// A test of the periods: nothing wakes a pass but time, which comes this often.
    pub passes_every: Option<Span>,
    /// Shows people on a terminal what runs.
    pub progress: Progress,
}

/// Opens the ledger of a configuration.
pub(super) async fn open_ledger(
    settings: &Settings,
    secrets: &Secrets,
    clock: &Clock,
) -> Result<Ledger, DaemonError> {
    let store = match &settings.database {
        Database::Sqlite => Store::sqlite(&settings.state_dir.join("crosswatch.sqlite")).await,
        Database::Postgres(url) => {
            let url = secrets.resolve(url).map_err(|error| DaemonError::Secret {
                what: "database".to_owned(),
                why: error.to_string(),
            })?;
            Store::postgres(&url).await
        }
    };
    let store = store.map_err(|error| DaemonError::Ledger(error.into()))?;
    Ok(Ledger::open(store, clock.clone()).await?)
}

/// Runs a daemon. Returns when it was told to stop, or with `once` when nothing is left to do.
pub async fn run(options: RunOptions) -> Result<(), DaemonError> {
    if let Err(error) = environment::harden() {
        tracing::warn!(%error, "runs may be able to look into the daemon through /proc");
    }
    let secrets = Arc::new(Secrets::from_environment());
    let mut config_watch = Watch::new(&options.config);
    let settings = Arc::new(config::load(&options.config, &secrets).map_err(DaemonError::Config)?);
    let clock = Clock::system();
    std::fs::create_dir_all(&settings.state_dir).map_err(|error| DaemonError::StateDir {
        path: settings.state_dir.clone(),
        why: error.to_string(),
    })?;
    let lock = StateLock::take(&settings.state_dir)?;
    let ledger = open_ledger(&settings, &secrets, &clock).await?;
    let daemon = Daemon::start(&options, settings, secrets, clock, ledger).await?;
    let ended = daemon.serve(&mut config_watch, options.once).await;
    daemon.stop().await;
    options.progress.end();
    drop(lock);
    ended
}

/// A running daemon.
struct Daemon {
    config: PathBuf,
    secrets: Arc<Secrets>,
    tasks: Tasks,
    world: World,
    board: Board,
    ledger: Ledger,
    term: watch::Receiver<Option<Term>>,
    publications: Publications,
    pass: Wake,
    outbox: Wake,
    reporter: Wake,
    backends: watch::Sender<Backends>,
    parts: ci::Parts,
    workspaces: tokio::sync::Mutex<Workspaces>,
    orders: tokio::sync::Mutex<mpsc::Receiver<Order>>,
    pushed: mpsc::Sender<Name>,
    hints: Hints,
    means: Means,
    apis: watch::Sender<Apis>,
    socket: PathBuf,
}

impl Daemon {
    async fn start(
        options: &RunOptions,
        settings: Arc<Settings>,
        secrets: Arc<Secrets>,
        clock: Clock,
        ledger: Ledger,
    ) -> Result<Self, DaemonError> {
        let tasks = Tasks::new();
        let board = Board::default();
        let (pass, outbox, reporter) = (Wake::new(), Wake::new(), Wake::new());
        let silent = Wake::new();
        let observed = if options.passes_every.is_some() { silent } else { pass.clone() };
        let world = World::new(Arc::clone(&settings), observed.clone());
        let supervisor = Supervisor::new(clock.clone()).with_cgroups(cgroups(&settings.state_dir));
        let http = super::network::client(&settings, &secrets)?;
        let (term_sender, term) = watch::channel(None);
        lead(
            &tasks,
            &ledger,
            &settings.state_dir,
            term_sender,
            board.clone(),
            pass.clone(),
            clock.clone(),
        )
        .await?;

        let (memory_sender, memory_receiver) = mpsc::channel(10_000);
        let recalled = memory::recall(&ledger, &world, &clock).await?;
        let keeper = memory::keep(ledger.clone(), world.clone(), term.clone(), memory_receiver);
        tasks.spawn("memory", keeper);

        let (publish, publications) = watch::channel(None);
        let limits = settings.state_dir.join("governor.json");
        let means = Means {
            client: http.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            governor: Governor::start(clock.clone(), &tasks, Some(limits)).await,
            secrets: Arc::clone(&secrets),
        };
        let kept = settings.state_dir.join("answers");
        let apis = watch::Sender::new(means.forge_apis(&settings, Some(kept), &board).await);
        let plain = {
            let secrets = Arc::clone(&secrets);
            move |forge: &crosswatch_core::model::settings::ForgeSettings| {
                let token = forge.tokens.first().map(|token| secrets.resolve(token));
                token.transpose().map_err(|error| error.to_string())
            }
        };
        let token = TokenReader { plain: Arc::new(plain), apis: apis.subscribe() };
        let readers = Readers {
            apis: apis.subscribe(),
            governor: means.governor.clone(),
            remote: GitRemote::new(http.clone(), supervisor.clone()),
            mirrors: Mirrors::new(supervisor.clone(), settings.state_dir.join("git")),
            token,
        };
        let (hints_sender, hints) = mpsc::channel(1_000);
        let memory = Memory::new(memory_sender);
        let mirroring = Mirroring::new(
            world.clone(),
            publications.clone(),
            readers.token.clone(),
            SharedMirrors::new(
                supervisor.clone(),
                settings.state_dir.join("mirrors"),
                clock.clone(),
            ),
            clock.clone(),
        );
        tasks.spawn("mirrors", mirroring.clone().run());
        let answers = Answers {
            world: world.clone(),
            publications: publications.clone(),
            readers: readers.clone(),
            memory: memory.clone(),
            clock: clock.clone(),
        };
        tasks.spawn("answers", answers.run());

        let (takes, deliveries) = Hooks::new(board.clone());
        let keeper = Keeper {
            ledger: ledger.clone(),
            term: term.clone(),
            deliveries,
            hints: hints_sender.clone(),
            board: board.clone(),
            clock: clock.clone(),
        };
        tasks.spawn("webhooks", keeper.run());
        let repair = Repair {
            ledger: ledger.clone(),
            term: term.clone(),
            apis: apis.subscribe(),
            publications: publications.clone(),
            world: world.clone(),
            hints: hints_sender.clone(),
            board: board.clone(),
            clock: clock.clone(),
        };
        tasks.spawn("lost webhooks", repair.run());

        let parts = ci::Parts {
            web: Arc::new(http.clone()),
            runner: Arc::new(supervisor.clone()),
            tasks: tasks.clone(),
            clock: clock.clone(),
            state_dir: settings.state_dir.clone(),
            config_dir: folder(&options.config),
        };
        let backends = watch::Sender::new(build_backends(&settings, &parts, &secrets, &board));
        let (pushed, pushed_receiver) = mpsc::channel(100);
        let driver = Driver {
            ledger: ledger.clone(),
            term: term.clone(),
            backends: backends.subscribe(),
            wake: outbox.clone(),
            pass: observed.clone(),
            pushed: pushed_receiver,
            clock: clock.clone(),
            stop: tasks.stop_token().clone(),
        };
        tasks.spawn("outbox", driver.run());

        let sandboxes = sandbox::watch(supervisor.clone(), world.clone(), board.clone());
        tasks.spawn("sandbox", sandboxes);
        let (lends, runs) = (mirroring.clone(), supervisor.clone());
        let mut workspaces = Workspaces::new(
            tasks.clone(),
            world.clone(),
            board.clone(),
            publications.clone(),
            supervisor,
            Arc::new(move |workspace| {
                let mirroring = mirroring.clone();
                Box::pin(async move { mirroring.lend(&workspace).await })
            }),
            ledger.clone(),
            term.clone(),
            clock.clone(),
        );
        let candidates = Candidates {
            world: world.clone(),
            publications: publications.clone(),
            slots: workspaces.slots(),
            supervisor: runs,
            lender: Arc::new(move |workspace, recipe, folder| {
                let lends = lends.clone();
                Box::pin(async move {
                    let lent = lends.lend_for_candidate(&workspace, &recipe, &folder).await;
                    lent.map(|(lent, shown)| Loan { lent, shown })
                })
            }),
            keep: memory::keep_candidates(memory.clone()),
            clock: clock.clone(),
        };
        tasks.spawn("candidates", candidates.run());
        workspaces.adjust(&settings).await?;

        // What an earlier run knew is looked at before the first pass.
        let first = before_the_first_pass(&world.freeze(clock.now()));
        let registry = Registry {
            world: world.clone(),
            board: board.clone(),
            publications: publications.clone(),
            first: Arc::clone(&first),
            hints,
            readers,
            memory,
            seen: recalled.seen,
            absences: recalled.absences,
            clock: clock.clone(),
        };
        tasks.spawn("registry", registry.run());
        let runner = Runner {
            world: world.clone(),
            ledger: ledger.clone(),
            term: term.clone(),
            wake: pass.clone(),
            outbox: outbox.clone(),
            reporter: reporter.clone(),
            publish,
            board: board.clone(),
            first,
            clock: clock.clone(),
            alive: Box::new(service::alive),
            longest: options.passes_every.or_else(service::longest_pass),
        };
        tasks.spawn("pass", runner.run());
        let pen = Reporter {
            ledger: ledger.clone(),
            term: term.clone(),
            publications: publications.clone(),
            apis: apis.subscribe(),
            governor: means.governor.clone(),
            wake: reporter.clone(),
            board: board.clone(),
            clock: clock.clone(),
        };
        tasks.spawn("reports", pen.run());
        tasks.spawn("logs", logs::keep(world.clone(), publications.clone(), clock.clone()));
        tasks.spawn("progress", options.progress.clone().run(board.clone(), clock.clone()));

        let (order_sender, orders) = mpsc::channel(100);
        let access = Access {
            publications: publications.clone(),
            wake: pass.clone(),
            clock,
            tasks: tasks.clone(),
            orders: order_sender,
            board: board.clone(),
            ledger: ledger.clone(),
            term: term.clone(),
            secrets: Arc::clone(&secrets),
            world: world.clone(),
            governor: means.governor.clone(),
            hooks: takes,
        };
        let socket = web::socket_path(&settings.state_dir);
        web::start(&access, &settings, &socket).await.map_err(DaemonError::Web)?;
        Ok(Self {
            config: options.config.clone(),
            secrets,
            tasks,
            world,
            board,
            ledger,
            term,
            publications,
            pass,
            outbox,
            reporter,
            backends,
            parts,
            workspaces: tokio::sync::Mutex::new(workspaces),
            orders: tokio::sync::Mutex::new(orders),
            pushed,
            hints: hints_sender,
            means,
            apis,
            socket,
        })
    }

    /// Carries out orders until a signal says to stop.
    async fn serve(&self, config_watch: &mut Watch, once: bool) -> Result<(), DaemonError> {
        let mut signals = service::Signals::new()?;
        let mut publications = self.publications.clone();
        let mut orders = self.orders.lock().await;
        let mut told_ready = false;
        let mut settled_at: Option<u64> = None;
        loop {
            if !told_ready && publications.borrow().is_some() {
                told_ready = true;
                service::ready();
                tracing::info!("ready");
            }
            // Who hears of a pass may have something to do that nobody sees yet: it is over when the next
            // look finds the same pass and still nothing.
            if once {
                let settled =
                    settled::settled(&publications, &self.board, &self.ledger, &self.apis).await;
                if settled.is_some() && settled == settled_at {
                    return settled::verdict(&self.ledger).await;
                }
                settled_at = settled;
            }
            let look_again = std::time::Duration::from_millis(if once { 200 } else { 5_000 });
            tokio::select! {
                signal = signals.next() => match signal {
                    service::Signal::Stop => return Ok(()),
                    // Whatever came of it was logged and is on the board.
                    service::Signal::Reload => drop(self.reloaded(false).await),
                },
                () = config_watch.changed() => drop(self.reloaded(false).await),
                Some(order) = orders.recv() => self.carry_out(order).await,
                _ = publications.changed(), if !once => {}
                () = tokio::time::sleep(look_again) => {}
            }
        }
    }

    async fn carry_out(&self, order: Order) {
        match order {
            Order::Reload { confirm, answer } => {
                let said = self.reloaded(confirm).await;
                // Nobody waits for an answer any more when its receiver is gone.
                answer.send(said).ok();
            }
            Order::Update { workspace, fresh, answer } => {
                let said = self.workspaces.lock().await.order(&workspace, fresh).await;
                answer.send(said).ok();
            }
            Order::Accept { repository } => {
                // When nobody takes it, the daemon is ending.
                self.hints.send(Hint::Accept(repository)).await.ok();
            }
            Order::CiPushed { ci } => {
                if self.pushed.send(ci).await.is_ok() {
                    self.outbox.wake();
                }
            }
        }
    }

    async fn reloaded(&self, confirm: bool) -> Result<String, String> {
        service::reloading();
        let said = self.reload(confirm).await;
        match &said {
            Ok(said) => {
                tracing::info!("{said}");
                self.board.update(|board| board.configuration = None);
                self.report_again().await;
            }
            Err(why) => {
                tracing::error!(
                    "the configuration was not taken over; the last good one goes on\n{why}"
                );
                self.board.update(|board| board.configuration = Some(why.clone()));
            }
        }
        service::ready();
        said
    }

    /// Where a forge refused to be written to it is tried again: somebody may have mended that.
    async fn report_again(&self) {
        let Some(term) = self.term.borrow().clone() else { return };
        if let Err(error) = self.ledger.clear_stops(&term).await {
            tracing::warn!(%error, "forges that refused reports are not tried again now");
        }
        self.reporter.wake();
    }

    async fn reload(&self, confirm: bool) -> Result<String, String> {
        let settings =
            config::load(&self.config, &self.secrets).map_err(|errors| errors.to_string())?;
        let before = self.world.settings();
        if settings == *before {
            return Ok("the configuration is as it was".to_owned());
        }
        if settings.state_dir != before.state_dir
            || settings.database != before.database
            || settings.listen != before.listen
        {
            return Err("state_dir, database and listen take effect at a restart only; \
                        restart the daemon"
                .to_owned());
        }
        let settings = Arc::new(settings);
        let triggers = self.would_trigger(&settings);
        if triggers.len() > MOST_TRIGGERS && !confirm {
            let (named, others) = triggers.split_at(NAMED_TRIGGERS);
            return Err(format!(
                "it would trigger {} builds: {} and {} more; `crosswatch reload --yes` confirms that",
                triggers.len(),
                named.join(", "),
                others.len(),
            ));
        }
        self.workspaces.lock().await.adjust(&settings).await.map_err(|error| error.to_string())?;
        let backends = build_backends(&settings, &self.parts, &self.secrets, &self.board);
        self.backends.send_replace(backends);
        // What reads bodies knows the forges, and how the workspaces want them to be read.
        if settings.forges != before.forges || settings.readings() != before.readings() {
            self.apis.send_replace(self.means.forge_apis(&settings, None, &self.board).await);
        }
        self.world.set_settings(Arc::clone(&settings));
        self.pass.wake();
        Ok(format!("the configuration was taken over: {} workspaces", settings.workspaces.len()))
    }

    /// Builds that a pass with other settings would trigger now, each by its subject and workspace.
    fn would_trigger(&self, settings: &Arc<Settings>) -> Vec<String> {
        let world = World::new(Arc::clone(settings), Wake::new());
        let mut snapshot = self.world.freeze(self.parts.clock.now());
        let other = world.freeze(snapshot.at);
        snapshot.settings = other.settings;
        snapshot.locator = other.locator;
        let plan = crosswatch_core::plan::plan(&snapshot, &self.ledger.view());
        let subjects = plan.workspaces.iter().flat_map(|workspace| workspace.acting());
        let triggers = subjects.flat_map(|subject| &subject.triggers).map(|trigger| {
            let request = &trigger.request;
            format!("{} in {} on {}", request.subject, request.workspace, trigger.ci)
        });
        triggers.collect()
    }

    async fn stop(&self) {
        service::stopping();
        self.tasks.stop().await;
        let term = self.term.borrow().clone();
        if let Some(term) = term
            && let Err(error) = self.ledger.release(&term).await
        {
            tracing::warn!(%error, "the lease was not given back");
        }
        self.ledger.close().await;
        // A socket that nobody serves would only mislead; if it stays, the next start replaces it.
        std::fs::remove_file(&self.socket).ok();
    }
}

/// Control groups for the runs, where the system lets us make some.
fn cgroups(state_dir: &Path) -> Option<Cgroups> {
    match Cgroups::find() {
        Ok(found) => Some(found.prepare(state_dir)),
        Err(error) => {
            tracing::info!(%error, "runs have no control groups; `crosswatch doctor` says what that means");
            None
        }
    }
}

/// A reload that triggers more builds than this wants a person's word; so many of them are named.
const MOST_TRIGGERS: usize = 20;
const NAMED_TRIGGERS: usize = 5;

fn folder(config: &Path) -> PathBuf {
    let folder = config.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

/// Backends of all CIs; one that cannot be made is said and left out, the others go on.
fn build_backends(
    settings: &Arc<Settings>,
    parts: &ci::Parts,
    secrets: &Secrets,
    board: &Board,
) -> Backends {
    let resolve = |reference: &_| secrets.resolve(reference).map_err(|error| error.to_string());
    let mut by_name = BTreeMap::new();
    let mut failures = BTreeMap::new();
    for (name, ci) in &settings.ci {
        match ci::build_backend(ci, parts, &resolve) {
            Ok(backend) => {
                by_name.insert(name.clone(), backend);
            }
            Err(error) => {
                tracing::error!(ci = %name, %error, "a CI cannot be used");
                failures.insert(name.clone(), error.to_string());
            }
        }
    }
    board.update(|board| board.ci = failures);
    Backends { by_name, settings: Some(Arc::clone(settings)) }
}

/// What a daemon would decide now, from the ledger alone and without acting: last known answers.
pub async fn offline(config: &Path, at: Option<Timestamp>) -> Result<Published, DaemonError> {
    let secrets = Secrets::from_environment();
    let settings = Arc::new(config::without_secrets(config).map_err(DaemonError::Config)?);
    let clock = Clock::system();
    let ledger = open_ledger(&settings, &secrets, &clock).await?;
    ledger.look().await?;
    let world = World::new(Arc::clone(&settings), Wake::new());
    memory::recall_as_known(&ledger, &world).await?;
    for workspace in &settings.workspaces {
        let saved = memory::saved(&ledger, &workspace.id).await?;
        world.set_workspace(saved.part(workspace));
    }
    let snapshot = world.freeze(at.unwrap_or_else(|| clock.now()));
    let view = ledger.view();
    let plan = crosswatch_core::plan::plan(&snapshot, &view);
    ledger.close().await;
    Ok(Published::offline(snapshot, plan, view))
}

/// How long the ledger's cache of answers is kept.
pub(super) const KEEP_ANSWERS: Span = Span::days(180);
