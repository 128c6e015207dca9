//! What should be triggered: a pure function of a snapshot and the ledger's view.
//!
//! [`incremental::Planner`] is what the daemon calls; [`plan`] is the same from scratch.

mod adoption;
mod again;
mod alias;
mod alike;
pub mod anonymous;
mod answered;
mod attempts;
mod body;
mod budget;
mod candidate;
mod choice;
mod cluster;
mod cover;
mod decide;
mod decided;
mod edges;
pub mod explain;
mod explain_rules;
mod explain_text;
mod fate;
pub mod fingerprint;
mod gone;
mod holds;
pub mod incremental;
mod look;
mod mainline;
mod matching;
mod mergeable;
mod merged;
mod once;
mod openness;
mod overrides;
mod partly;
mod queue;
mod repeat;
mod report;
mod request;
mod rights;
mod scope;
mod sets;
mod shared;
mod stack;
mod ties;
mod tracked;
mod trust;
mod watched_paths;
pub mod what_if;
mod workspace;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, LazyLock};

use crate::model::ledger_view::LedgerView;
use crate::model::plan::Plan;
use crate::model::snapshot::Snapshot;

pub use alias::by_first_names;
pub use tracked::{update_inputs, watched};

use alike::{Pass, Rules};
use shared::Shared;
use ties::Ties;
use workspace::Planned;

/// Questions that one plan may ask; the others are asked by the next.
pub const MAX_WANTED: usize = 2_000;

/// So many workspaces are worth threads of their own, and at most so many of these.
const MANY: usize = 64;
const THREADS: usize = 4;

/// Plans everything from scratch.
pub fn plan(snapshot: &Snapshot, ledger: &LedgerView) -> Plan {
    let shared = Shared::default();
    let named = by_first_names(snapshot);
    let ties = Ties::of(&named);
    let rules = Rules::of(&snapshot.settings);
    let pass = Pass::new(&named, &ties, &rules);
    let workspaces = each(&snapshot.settings.workspaces, |settings| {
        workspace::planned(&named, settings, ledger, &shared, Some(&pass))
    });
    assemble(snapshot, &workspaces)
}

/// What `make` makes of each, in the same order; by several threads where there are many.
fn each<T: Sync, M: Send>(all: &[T], make: impl Fn(&T) -> M + Sync) -> Vec<M> {
    /// Asked once, since the system looks it up in files.
    static CORES: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from).min(THREADS));
    if all.len() < MANY || *CORES == 1 {
        return all.iter().map(make).collect();
    }
    std::thread::scope(|scope| {
        let make = &make;
        let make_all = move |chunk: &[T]| chunk.iter().map(make).collect::<Vec<M>>();
        let (own, others) = all.split_at(all.len().div_ceil(*CORES));
        let others = others.chunks(own.len());
        let threads: Vec<_> = others.map(|chunk| scope.spawn(move || make_all(chunk))).collect();
        let mut made = make_all(own);
        for thread in threads {
            match thread.join() {
                Ok(others) => made.extend(others),
                Err(broke) => std::panic::resume_unwind(broke),
            }
        }
        made
    })
}

/// Joins the plans of all workspaces.
fn assemble(snapshot: &Snapshot, planned: &[Planned]) -> Plan {
    let asking = planned.iter().filter(|planned| planned.wants);
    let wanted = asking.flat_map(|planned| planned.plan.wanted()).take(MAX_WANTED);
    Plan {
        at: snapshot.at,
        wanted: wanted.collect(),
        next_at: planned.iter().filter_map(|planned| planned.next_at).min(),
        workspaces: planned.iter().map(|planned| Arc::clone(&planned.plan)).collect(),
    }
}
