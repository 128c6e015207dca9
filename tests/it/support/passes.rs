//! The loop of passes without a daemon around it.

use std::path::Path;
use std::sync::Arc;

use crosswatch::board::{Board, Wake, World};
use crosswatch::clock::Clock;
use crosswatch::ledger::{Ledger, Term};
use crosswatch::pass::{Published, Runner};
use crosswatch::store::Store;
use tokio::sync::watch;

/// A ledger in a folder, and who leads.
pub(crate) async fn ledger(dir: &Path, clock: Clock) -> (Ledger, Term) {
    let store = Store::sqlite(&dir.join("ledger.sqlite")).await.expect("a store");
    let ledger = Ledger::open(store, clock).await.expect("a ledger");
    let term = ledger.lead("test").await.expect("the lease");
    (ledger, term)
}

/// Passes of a configuration without workspaces, and what they publish.
pub(crate) fn runner(
    dir: &Path,
    ledger: &Ledger,
    term: &Term,
    clock: Clock,
) -> (Runner, watch::Receiver<Option<Arc<Published>>>) {
    let text = format!(
        "version: 1\nstate_dir: {}\nforges: {{}}\nci: {{}}\nworkspaces: []\n",
        dir.display()
    );
    let path = dir.join("workspaces.yaml");
    let settings = crosswatch::config::parse(&text, &path).expect("a configuration");
    let wake = Wake::new();
    let (publish, publications) = watch::channel(None);
    let (_, term) = watch::channel(Some(term.clone()));
    let runner = Runner {
        world: World::new(Arc::new(settings), wake.clone()),
        ledger: ledger.clone(),
        term,
        wake,
        outbox: Wake::new(),
        reporter: Wake::new(),
        publish,
        board: Board::default(),
        first: Arc::default(),
        clock,
        alive: Box::new(|| {}),
        longest: None,
    };
    (runner, publications)
}
