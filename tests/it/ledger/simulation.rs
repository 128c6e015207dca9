//! The simulation with the real ledger inside, on SQLite: what a crash leaves is what is in the file.

use crosswatch::clock::Clock;
use crosswatch::ledger::{Ledger, Term};
use crosswatch::store::Store;
use crosswatch_core::control::outbox::Row;
use crosswatch_core::model::build::RequestId;
use crosswatch_core::model::identity::{Name, Subject};
use crosswatch_core::model::leap::Leap;
use crosswatch_core::model::ledger_view::{Approval, LedgerView, Rebuild};
use crosswatch_core::model::plan::Plan;
use crosswatch_core::model::time::Timestamp;
use simulation::{Case, Marking, OpenRow, Simulation, shrunk};

use super::plans::AT;

const SEEDS: u64 = 8;
const STEPS: u32 = 60;

/// The ledger that a daemon has open, and the file that outlives it.
struct Real {
    runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
    clock: Clock,
    open: Option<(Ledger, Term)>,
}

impl Real {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let mut real = Self { runtime, folder, clock: Clock::manual(AT), open: None };
        real.open();
        real
    }

    fn open(&mut self) {
        let path = self.folder.path().join("ledger.sqlite");
        let clock = self.clock.clone();
        let opened = self.runtime.block_on(async {
            let store = Store::sqlite(&path).await.expect("a store");
            let ledger = Ledger::open(store, clock).await.expect("a ledger");
            let term = ledger.lead("daemon").await.expect("leads");
            (ledger, term)
        });
        self.open = Some(opened);
    }

    /// Does something with the ledger at a time.
    fn at<T>(&self, now: Timestamp, act: impl AsyncFnOnce(&Ledger, &Term) -> T) -> T {
        self.clock.set(now);
        let (ledger, term) = self.open.as_ref().expect("it is open");
        self.runtime.block_on(act(ledger, term))
    }
}

impl simulation::Ledger for Real {
    fn view(&mut self) -> LedgerView {
        let (ledger, _) = self.open.as_ref().expect("it is open");
        (*ledger.view()).clone()
    }

    fn carry(&mut self, leap: Leap, now: Timestamp) {
        self.at(now, async |ledger, term| ledger.carry(term, leap).await).expect("carried");
    }

    fn commit(&mut self, plan: &Plan, now: Timestamp) {
        self.at(now, async |ledger, term| ledger.commit(term, plan).await.map(drop))
            .expect("committed");
    }

    fn rows(&mut self) -> Vec<OpenRow> {
        let (ledger, _) = self.open.as_ref().expect("it is open");
        let rows = self.runtime.block_on(ledger.outbox()).expect("rows");
        let row = |row: crosswatch::ledger::OutboxRow| {
            let open = Row {
                id: row.request.request_id,
                ci: row.ci,
                workspace: row.workspace,
                stage: row.stage,
                priority: row.priority,
                queued_at: row.queued_at,
                not_before: row.not_before,
                sending_deadline: row.sending_deadline,
                taken_at: row.taken_at,
                cancel_wanted: row.cancel_wanted,
            };
            (open, row.request)
        };
        rows.into_iter().map(row).collect()
    }

    fn mark(&mut self, id: RequestId, mark: Marking, now: Timestamp) -> bool {
        let marked = self.at(now, async |ledger, term| match mark {
            Marking::Sending(deadline) => ledger.mark_sending(term, id, deadline).await,
            Marking::Sent => ledger.mark_sent(term, id, None, None).await,
            Marking::QueuedAgain(time) => ledger.mark_queued_again(term, id, time, "again").await,
            Marking::Running => ledger.mark_running(term, id, None, None).await,
            Marking::Ended(verdict) => ledger.mark_ended(term, id, verdict, None, None).await,
            Marking::Dropped => ledger.mark_dropped(term, id).await,
        });
        marked.expect("marked")
    }

    fn approve(&mut self, workspace: &Name, approval: Approval, now: Timestamp) {
        self.at(now, async |ledger, term| ledger.approve(term, workspace, &approval).await)
            .expect("approved");
    }

    fn rebuild(&mut self, workspace: &Name, subject: &Subject, rebuild: Rebuild, now: Timestamp) {
        self.at(now, async |ledger, term| {
            ledger.ask_rebuild(term, workspace, subject, &rebuild).await
        })
        .expect("asked");
    }

    fn pause(&mut self, workspace: &Name, by: Option<&str>, now: Timestamp) {
        self.at(now, async |ledger, term| match by {
            Some(by) => ledger.pause(term, workspace, by).await,
            None => ledger.resume(term, workspace).await,
        })
        .expect("paused or resumed");
    }

    fn crash(&mut self, now: Timestamp) {
        self.clock.set(now);
        if let Some((ledger, _)) = self.open.take() {
            self.runtime.block_on(ledger.close());
        }
        self.open();
    }
}

#[test]
fn faults_lose_nothing_and_double_nothing_in_the_file() {
    for seed in 0..SEEDS {
        let case = Case::whole(seed, STEPS);
        let Err(failure) = Simulation::run(&case, &mut Real::new()) else { continue };
        let fails = |case: &Case| Simulation::run(case, &mut Real::new()).err();
        let (small, found) = shrunk(&case, failure.clone(), fails);
        panic!("seed {seed}: {failure}\nthe smallest case that was found is {small}: {found}");
    }
}
